package orgstoretest

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var sessionCases = cases{
	"SES-1: a session has its times":                        sessionTimes,
	"SES-1: blocked and deleted users have none":            sessionUsers,
	"SES-1: bad input":                                      sessionsRefused,
	"SES-2: logins and activity are no changes":             sessionActivity,
	"SES-3: a session enters organizations and leaves them": sessionOrganizations,
	"SES-3: guests by a contract":                           sessionGuests,
	"SES-4: lists of a user and of an organization":         sessionLists,
	"SES-4: one session ends":                               sessionEnds,
	"SES-4: Clean deletes what has expired":                 sessionsCleaned,
	"M2M-4: quotas per hour and day":                        quotaCounts,
	"M2M-4: a quota that is not enforced counts":            quotaNotEnforced,
	"M2M-4: bad input":                                      quotaRefused,
}

var sessionRaces = map[string]race{
	"M2M-4: tokens per hour": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(int) error {
			return second(t.Clients.CountToken(t.Context(), "client", o.ID, orgstore.Quota{PerHour: 6, Enforce: true}))
		}
	}, most: 6, lost: limit("tokens per hour", 6)},
}

// login makes a session of a user.
func (t *engineTest) login(user string) *orgstore.Session {
	t.Helper()
	s, err := t.Sessions.Create(t.Context(), orgstore.Session{User: user, Client: "app", AMR: []string{"pwd", "mfa"}, ACR: "loa2", Device: "Firefox"})
	t.ok(err)
	return s
}

func (t *engineTest) noSession(id string) {
	t.Helper()
	_, err := t.Sessions.Get(t.Context(), id)
	t.notFound(err, "session")
}

func sessionTimes(t *engineTest) {
	t.user("u")
	s := t.login("u")
	if !strings.HasPrefix(s.ID, "ses_") || s.User != "u" || !s.Active || s.CreatedAt.IsZero() || !s.AuthenticatedAt.Equal(s.CreatedAt) ||
		!s.ExpiresAt.Equal(s.CreatedAt.Add(7*24*time.Hour)) || !slices.Equal(s.AMR, []string{"mfa", "pwd"}) || s.ACR != "loa2" {
		t.Errorf("session: %+v", s)
	}
	got, err := t.Sessions.Get(t.Context(), s.ID)
	t.ok(err)
	if got.ID != s.ID || got.Device != "Firefox" || got.Client != "app" || !slices.Equal(got.AMR, s.AMR) || !got.ExpiresAt.Equal(s.ExpiresAt) || !got.Active {
		t.Errorf("read: %+v", got)
	}
	// Idle.
	idle := t.login("u")
	for range 3 {
		t.clock.advance(2 * 24 * time.Hour)
		_, err = t.Sessions.Touch(t.Context(), s.ID)
		t.ok(err)
	}
	t.noSession(idle.ID)
	_, err = t.Sessions.Touch(t.Context(), idle.ID)
	t.notFound(err, "session")
	// Expired, however active.
	t.clock.advance(25 * time.Hour)
	t.noSession(s.ID)
	// The user proved who they are before, but never in the future.
	for ago, want := range map[time.Duration]bool{-time.Hour: true, time.Hour: false} {
		at := t.clock.now().Add(ago).UTC().Truncate(time.Microsecond)
		s, err := t.Sessions.Create(t.Context(), orgstore.Session{User: "u", AuthenticatedAt: at})
		t.ok(err)
		if s.AuthenticatedAt.Equal(at) != want || s.AuthenticatedAt.After(s.CreatedAt) {
			t.Errorf("authenticated at %v, asked for %v", s.AuthenticatedAt, at)
		}
	}
}

func sessionUsers(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	s := t.login("u")
	t.changed(t.Users.Block(ctx, "u"))
	t.noSession(s.ID)
	_, err := t.Sessions.Create(ctx, orgstore.Session{User: "u"})
	t.is(err, orgstore.ErrDenied)
	t.changed(t.Users.Unblock(ctx, "u"))
	_, err = t.Sessions.Get(ctx, s.ID)
	t.ok(err)
	t.changed(t.Users.Delete(ctx, "u"))
	t.noSession(s.ID)
	t.user("u") // another user of the same id
	t.noSession(s.ID)
	_, err = t.Sessions.Create(ctx, orgstore.Session{User: "nobody"})
	t.notFound(err, "user")
}

func sessionsRefused(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	org := t.org("acme").ID
	for field, s := range map[string]orgstore.Session{
		"device": {User: "u", Device: strings.Repeat("d", 301)},
		"acr":    {User: "u", ACR: "a\x00b"},
		"amr":    {User: "u", AMR: []string{"pwd mfa"}},
	} {
		_, err := t.Sessions.Create(ctx, s)
		t.invalid(err, field, "")
	}
	for _, user := range []string{"", "u\x00", "nobody", strings.Repeat("u", 5000)} {
		_, err := t.Sessions.Create(ctx, orgstore.Session{User: user})
		t.notFound(err, "user")
	}
	for _, id := range []string{"", "ses_", "ses_0000000000000000", "ses_%", "x\x00", strings.Repeat("s", 10_000)} {
		t.noSession(id)
		_, err := t.Sessions.Touch(ctx, id)
		t.notFound(err, "session")
		_, err = t.Sessions.Enter(ctx, id, org)
		t.notFound(err, "session")
		t.unchanged(t.Sessions.End(ctx, id))
	}
	for _, opts := range []orgstore.SessionListOptions{{}, {User: "u", Organization: "org_0000000000000000"}, {User: "u\x00"}, {User: "u", ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}}} {
		_, err := t.Sessions.List(ctx, opts)
		t.is(err, orgstore.ErrInvalid)
	}
	page, err := t.Sessions.List(ctx, orgstore.SessionListOptions{User: "u"})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("sessions of bad input: %+v, %v", page, err)
	}
}

func sessionActivity(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	o := t.org("acme")
	t.member(o.ID, "u")
	before := len(t.events())
	s := t.login("u")
	_, err := t.Sessions.Enter(ctx, s.ID, o.ID)
	t.ok(err)
	touched, err := t.Sessions.Touch(ctx, s.ID)
	t.ok(err)
	if !touched.ActiveAt.Equal(s.ActiveAt) {
		t.Errorf("active at %v: within a minute nothing is written", touched.ActiveAt)
	}
	t.clock.advance(2 * time.Minute)
	touched, err = t.Sessions.Touch(ctx, s.ID)
	t.ok(err)
	read, err := t.Sessions.Get(ctx, s.ID)
	t.ok(err)
	if !touched.ActiveAt.After(s.ActiveAt) || !read.ActiveAt.Equal(touched.ActiveAt) {
		t.Errorf("active at %v, then %v, read as %v", s.ActiveAt, touched.ActiveAt, read.ActiveAt)
	}
	if after := len(t.events()); after != before {
		t.Errorf("%d events", after-before)
	}
}

func sessionOrganizations(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	acme, other := t.org("acme"), t.org("other")
	t.member(acme.ID, "u")
	t.member(other.ID, "u")
	s := t.login("u")
	in := func(want ...string) {
		t.Helper()
		got, err := t.Sessions.Get(ctx, s.ID)
		t.ok(err)
		var ids []string
		for _, o := range got.Organizations {
			ids = append(ids, o.ID)
		}
		slices.Sort(want)
		if !slices.Equal(ids, want) {
			t.Errorf("the session is in %q, want %q", ids, want)
		}
	}
	in()
	enter := func(org string) {
		t.Helper()
		entered, err := t.Sessions.Enter(ctx, s.ID, org)
		t.ok(err)
		if !slices.ContainsFunc(entered.Organizations, func(o orgstore.SessionOrganization) bool { return o.ID == org && !o.EnteredAt.IsZero() }) {
			t.Errorf("entered %+v", entered)
		}
	}
	enter(acme.ID)
	enter(other.ID)
	in(acme.ID, other.ID)
	enter(acme.ID)
	in(acme.ID, other.ID)
	// Removed, and back: that is another membership.
	t.changed(t.Members.Remove(ctx, acme.ID, "u"))
	in(other.ID)
	t.member(acme.ID, "u")
	in(other.ID)
	enter(acme.ID)
	in(acme.ID, other.ID)
	t.changed(t.Organizations.Delete(ctx, acme.ID))
	in(other.ID)
	_, err := t.Sessions.Enter(ctx, s.ID, acme.ID)
	t.notFound(err, "organization")
	_, err = t.Sessions.Enter(ctx, s.ID, t.org("third").ID)
	t.notFound(err, "member")
}

func sessionGuests(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	host, guest := t.org("rocky"), t.org("adventurez")
	t.member(guest.ID, "u")
	contract, _, err := t.Contracts.Create(ctx, orgstore.Contract{
		Host: host.ID, Guest: guest.ID, ContractTerms: orgstore.ContractTerms{Roles: []string{t.role("guide")}},
	})
	t.ok(err)
	s := t.login("u")
	entered, err := t.Sessions.Enter(ctx, s.ID, host.ID)
	t.ok(err)
	if len(entered.Organizations) != 1 || entered.Organizations[0].ID != host.ID {
		t.Errorf("entered %+v", entered.Organizations)
	}
	page, err := t.Sessions.List(ctx, orgstore.SessionListOptions{Organization: host.ID})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("sessions of the host: %+v, %v", page.Items, err)
	}
	token, err := t.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app", Organization: host.ID})
	t.ok(err)
	_, token, err = t.Sessions.Refresh(ctx, "app", token)
	t.ok(err)
	t.changed(t.Contracts.End(ctx, contract.ID))
	_, _, err = t.Sessions.Refresh(ctx, "app", token)
	t.notFound(err, "refresh token")
	_, err = t.Sessions.Enter(ctx, s.ID, host.ID)
	t.notFound(err, "member")
	// Who has become a member was no member when entering.
	t.member(host.ID, "u")
	if got, err := t.Sessions.Get(ctx, s.ID); err != nil || len(got.Organizations) != 0 {
		t.Errorf("in %+v, %v", got, err)
	}
}

func sessionLists(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	for _, u := range []string{"a", "b"} {
		t.user(u)
		t.member(o.ID, u)
	}
	var ofA, inOrg []string
	for i := range 5 {
		s := t.login("a")
		ofA = append(ofA, s.ID)
		if i%2 == 0 {
			_, err := t.Sessions.Enter(ctx, s.ID, o.ID)
			t.ok(err)
			inOrg = append(inOrg, s.ID)
		}
		t.clock.advance(time.Second)
	}
	s := t.login("b")
	_, err := t.Sessions.Enter(ctx, s.ID, o.ID)
	t.ok(err)
	inOrg = append(inOrg, s.ID)
	list := func(opts orgstore.SessionListOptions) (ids []string) {
		t.Helper()
		opts.Limit = 2
		for {
			page, err := t.Sessions.List(ctx, opts)
			t.ok(err)
			for _, s := range page.Items {
				if !s.Active {
					t.Errorf("not active: %+v", s)
				}
				ids = append(ids, s.ID)
			}
			if opts.After = page.Next; opts.After == "" {
				return ids
			}
		}
	}
	if got := list(orgstore.SessionListOptions{User: "a", ListOptions: orgstore.ListOptions{Sort: orgstore.SortCreated}}); !slices.Equal(got, ofA) {
		t.Errorf("in the order of logins %q, want %q", got, ofA)
	}
	got := list(orgstore.SessionListOptions{User: "a", ListOptions: orgstore.ListOptions{Sort: orgstore.SortCreated, Descending: true}})
	if slices.Reverse(got); !slices.Equal(got, ofA) {
		t.Errorf("newest first %q", got)
	}
	slices.Sort(inOrg)
	if got := list(orgstore.SessionListOptions{Organization: o.ID}); !slices.Equal(got, inOrg) {
		t.Errorf("of the organization %q, want %q", got, inOrg)
	}
	t.changed(t.Sessions.End(ctx, s.ID))
	if got := list(orgstore.SessionListOptions{Organization: o.ID}); len(got) != len(inOrg)-1 {
		t.Errorf("after one has ended %q", got)
	}
	if got := list(orgstore.SessionListOptions{User: "b"}); len(got) != 0 {
		t.Errorf("of b %q", got)
	}
}

func sessionEnds(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	s, other := t.login("u"), t.login("u")
	t.changed(t.Sessions.End(ctx, s.ID))
	t.noSession(s.ID)
	t.unchanged(t.Sessions.End(ctx, s.ID))
	_, err := t.Sessions.Get(ctx, other.ID)
	t.ok(err)
	events := t.events()
	if last := events[len(events)-1]; last.Type != "session.ended" || last.Scope != (orgstore.Scope{Kind: orgstore.ScopeSession, ID: s.ID}) {
		t.Errorf("event: %+v", last)
	}
}

func sessionsCleaned(t *engineTest) {
	ctx := t.Context()
	t.user("u")
	s := t.login("u")
	_, err := t.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app"})
	t.ok(err)
	t.clock.advance(8 * 24 * time.Hour)
	kept := t.login("u")
	n, err := t.Clean(ctx)
	if err != nil || n == 0 {
		t.Errorf("cleaned %d, %v", n, err)
	}
	t.ok(t.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for table, want := range map[string]int{"orgauthz_sessions": 1, "orgauthz_refresh_tokens": 0} {
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n); err != nil {
				return err
			}
			if n != want {
				t.Errorf("%d rows of %s, want %d", n, table, want)
			}
		}
		return nil
	}))
	_, err = t.Sessions.Get(ctx, kept.ID)
	t.ok(err)
}

func quotaCounts(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	t.clock.advance(t.clock.now().Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(t.clock.now())) // a new day begins
	q := orgstore.Quota{PerHour: 2, PerDay: 3, Enforce: true}
	count := func(client, org string) error { return second(t.Clients.CountToken(ctx, client, org, q)) }
	t.ok(count("a", o.ID))
	use, err := t.Clients.CountToken(ctx, "a", o.ID, q)
	t.ok(err)
	if use.Hour != 2 || use.Day != 2 || use.Over || use.ResetHour.Sub(t.clock.now()) > time.Hour || use.ResetDay.Sub(t.clock.now()) > 24*time.Hour {
		t.Errorf("use: %+v", use)
	}
	t.limit(count("a", o.ID), "tokens per hour", 2)
	t.ok(count("b", o.ID))
	t.ok(count("a", other.ID))
	t.clock.advance(time.Hour)
	t.ok(count("a", o.ID)) // what was refused was not counted
	t.limit(count("a", o.ID), "tokens per day", 3)
	t.clock.advance(23 * time.Hour)
	t.ok(count("a", o.ID))
	t.clock.advance(72 * time.Hour)
	if n, err := t.Clean(ctx); err != nil || n == 0 {
		t.Errorf("cleaned %d, %v", n, err)
	}
}

func quotaNotEnforced(t *engineTest) {
	o := t.org("acme")
	for i := range 4 {
		use, err := t.Clients.CountToken(t.Context(), "a", o.ID, orgstore.Quota{PerDay: 2})
		t.ok(err)
		if use.Day != i+1 || use.Over != (i >= 2) {
			t.Errorf("use: %+v", use)
		}
	}
}

func quotaRefused(t *engineTest) {
	o := t.org("acme")
	for _, c := range []struct {
		client, org, field string
		q                  orgstore.Quota
	}{
		{"", o.ID, "client_id", orgstore.Quota{}}, {"a b", o.ID, "client_id", orgstore.Quota{}}, {"a", "acme", "client_id", orgstore.Quota{}},
		{"a", o.ID, "token_quota", orgstore.Quota{PerDay: -1}}, {"a", o.ID, "token_quota", orgstore.Quota{PerHour: -1}},
	} {
		_, err := t.Clients.CountToken(t.Context(), c.client, c.org, c.q)
		t.invalid(err, c.field, "")
	}
}
