package orgstoretest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var invitationCases = cases{
	"INV-1: the life of an invitation":                           invitationLife,
	"INV-1: what an invitation refers to is there":               invitationRefers,
	"INV-1: bad input":                                           invitationsRefused,
	"INV-2: time to live":                                        invitationTTL,
	"INV-3: a ticket is shown once and stored as a hash":         invitationTicket,
	"INV-3: of two who accept at once one does":                  invitationRace,
	"INV-4: only the invited address may accept":                 invitationAccount,
	"INV-4: only through the demanded connection":                invitationConnection,
	"INV-4: who is trusted to say that an address is somebody's": invitationTrust,
	"INV-5: the tenth wrong account revokes":                     invitationAttempts,
	"INV-5: inside a Transact nothing is counted":                invitationAttemptsTransact,
	"INV-6: all or nothing":                                      invitationWhole,
	"INV-6: a member gets the roles":                             invitationMember,
	"INV-7: statuses, resending and revoking":                    invitationStatuses,
	"INV-7: inviting an address again":                           invitationAgain,
	"INV-7: lists":                                               invitationLists,
	"INV-8: where to go afterwards":                              invitationRedirect,
	"INV-9: roles that were deleted meanwhile are skipped":       invitationRoles,
	"INV-9: an inviter who lost a right does not grant it":       invitationInviter,
	"INV-3, ORG-5, ORG-6: organizations that are not there":      invitationOrganizations,
}

var invitationRaces = map[string]race{
	"INV-1: pending invitations": {limits: orgstore.Limits{Invitations: 6}, setup: func(t *engineTest) func(int) error {
		w := t.inviting()
		return func(i int) error {
			return third(t.Invitations.Create(t.Context(), w.org, orgstore.InvitationOptions{
				InviterName: "A", Email: "p" + strconv.Itoa(i) + "@example.com", Client: w.client,
			}))
		}
	}, most: 6, lost: limit("invitations", 6)},
	"INV-3: one ticket": {setup: func(t *engineTest) func(int) error {
		w := t.inviting()
		i := t.invite(w, "new@example.com")
		users := t.many(func(n int) string { return t.invitee(w, "u"+strconv.Itoa(n), "new@example.com", "") })
		return func(n int) error {
			return third(t.Invitations.Accept(t.Context(), i.Ticket, orgstore.AcceptOptions{User: users[n]}))
		}
	}, most: 1, lost: func(t *engineTest, err error) { t.notFound(err, "invitation") }},
	"INV-7: one pending invitation of an address": {setup: func(t *engineTest) func(int) error {
		w := t.inviting()
		return func(int) error {
			return third(t.Invitations.Create(t.Context(), w.org, orgstore.InvitationOptions{
				InviterName: "A", Email: "same@example.com", Client: w.client,
			}))
		}
	}, most: racers, lost: func(t *engineTest, err error) { t.ok(err) }, after: func(t *engineTest, _ []error) {
		o, err := t.Organizations.GetByName(t.Context(), "acme")
		t.ok(err)
		for status, want := range map[orgstore.InvitationStatus]int{orgstore.InvitationPending: 1, orgstore.InvitationRevoked: racers - 1} {
			page, err := t.Invitations.List(t.Context(), o.ID, orgstore.InvitationListOptions{Status: status, ListOptions: orgstore.ListOptions{Limit: 100}})
			if err != nil || len(page.Items) != want {
				t.Errorf("%d are %s, want %d, %v", len(page.Items), status, want, err)
			}
		}
	}},
}

// inviter is an organization that can invite.
type inviter struct {
	org, client                    string
	database, enterprise, disabled string // connections; the enterprise's domain is corp.example
	role                           string
}

func (t *engineTest) inviting() (w inviter) {
	t.Helper()
	ctx := t.Context()
	w.org = t.org("acme").ID
	w.role = t.role("guide", "read:x")
	c, _, err := t.Clients.Create(ctx, orgstore.Client{
		Name: "App", FirstParty: true, OrganizationUsage: orgstore.OrganizationAllow,
		InitiateLoginURI: "https://app.example/login", Callbacks: []string{"https://app.example/welcome"},
	})
	t.ok(err)
	w.client = c.ID
	make := func(name, strategy string, enable bool, domains ...string) string {
		c, _, err := t.Connections.Create(ctx, orgstore.Connection{Name: name, Strategy: strategy, Domains: domains})
		t.ok(err)
		if enable {
			_, _, err = t.EnabledConnections.Add(ctx, w.org, c.ID, orgstore.EnabledConnectionSettings{})
			t.ok(err)
		}
		return c.ID
	}
	w.database = make("db", "auth0", true)
	w.enterprise = make("corp", "samlp", true, "corp.example")
	w.disabled = make("other", "auth0", false)
	return w
}

func (t *engineTest) invite(w inviter, email string, roles ...string) *orgstore.Invitation {
	t.Helper()
	i, result, err := t.Invitations.Create(t.Context(), w.org, orgstore.InvitationOptions{
		InviterName: "Ada", Email: email, Client: w.client, Roles: roles,
	})
	t.changed(result, err)
	return i
}

// invitee makes a user with an address, and an identity at a connection unless that is empty.
func (t *engineTest) invitee(_ inviter, id, email, connection string) string {
	t.Helper()
	u := orgstore.User{ID: id, Email: email}
	if connection != "" {
		u.Identities = []orgstore.Identity{{Connection: connection, ID: id, Email: email}}
	}
	_, _, err := t.Users.Create(t.Context(), u)
	t.ok(err)
	return id
}

func (t *engineTest) accept(ticket string, opts orgstore.AcceptOptions) error {
	return third(t.Invitations.Accept(t.Context(), ticket, opts))
}

func (t *engineTest) invitation(i *orgstore.Invitation) *orgstore.Invitation {
	t.Helper()
	got, err := t.Invitations.Get(t.Context(), i.Organization, i.ID)
	t.ok(err)
	return got
}

func invitationLife(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i, result, err := t.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "Ada", Email: "New@Example.com", Client: w.client, Kind: "freelancer", Roles: []string{w.role},
		AppMetadata: map[string]any{"plan": "gold"}, UserMetadata: map[string]any{"color": "red"},
	})
	t.changed(result, err)
	if !strings.HasPrefix(i.ID, "uinv_") || i.Status != orgstore.InvitationPending || i.Organization != w.org || i.Inviter.Name != "Ada" || i.Inviter.User != "" ||
		!i.ExpiresAt.Equal(i.CreatedAt.Add(7*24*time.Hour)) || len(i.Ticket) != 26 {
		t.Errorf("created: %+v", i)
	}
	shown, err := t.Invitations.GetByTicket(ctx, i.Ticket)
	if err != nil || shown.ID != i.ID || shown.Invitee.Email != "New@Example.com" || shown.Ticket != "" {
		t.Errorf("by ticket: %+v, %v", shown, err)
	}
	t.invitee(w, "u", "new@example.com", "")
	a, result, err := t.Invitations.Accept(ctx, i.Ticket, orgstore.AcceptOptions{User: "u"})
	t.changed(result, err)
	if !a.Joined || !slices.Equal(a.Roles, []string{w.role}) || a.Skipped != nil || a.Invitation.Status != orgstore.InvitationAccepted || a.Invitation.AcceptedBy != "u" {
		t.Errorf("accepted: %+v, %+v", a, a.Invitation)
	}
	m, err := t.Members.Get(ctx, w.org, "u")
	t.ok(err)
	u, err := t.Users.Get(ctx, "u")
	t.ok(err)
	if m.Kind != "freelancer" || m.JoinedBy != "invitation" || len(m.Roles) != 1 || !u.EmailVerified || u.AppMetadata["plan"] != "gold" || u.UserMetadata["color"] != "red" {
		t.Errorf("member %+v, user %+v", m, u)
	}
	var types []string
	for _, e := range t.events() {
		if strings.Contains(e.Type, "invitation") || e.Type == "organization.member.added" {
			types = append(types, e.Type)
		}
	}
	if want := []string{"organization.invitation.created", "organization.member.added", "organization.invitation.accepted"}; !slices.Equal(types, want) {
		t.Errorf("events %q, want %q", types, want)
	}
}

func invitationRefers(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	deny, _, err := t.Clients.Create(ctx, orgstore.Client{Name: "D", FirstParty: true, InitiateLoginURI: "https://d.example/login"})
	t.ok(err)
	lost, _, err := t.Clients.Create(ctx, orgstore.Client{Name: "L", FirstParty: true, OrganizationUsage: orgstore.OrganizationRequire})
	t.ok(err)
	sms, _, err := t.Connections.Create(ctx, orgstore.Connection{Name: "sms", Strategy: "sms"})
	t.ok(err)
	_, _, err = t.EnabledConnections.Add(ctx, w.org, sms.ID, orgstore.EnabledConnectionSettings{})
	t.ok(err)
	foreign, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "org:theirs", Organization: t.org("other").ID})
	t.ok(err)
	before := len(t.events())
	create := func(edit func(*orgstore.InvitationOptions)) error {
		opts := orgstore.InvitationOptions{InviterName: "Ada", Email: "a@example.com", Client: w.client}
		edit(&opts)
		return third(t.Invitations.Create(ctx, w.org, opts))
	}
	for field, edits := range map[string][]func(*orgstore.InvitationOptions){
		"client_id": {
			func(o *orgstore.InvitationOptions) { o.Client = "" },
			func(o *orgstore.InvitationOptions) { o.Client = "nobody" },
			func(o *orgstore.InvitationOptions) { o.Client = "a\x00b" },
			func(o *orgstore.InvitationOptions) { o.Client = deny.ID },
			func(o *orgstore.InvitationOptions) { o.Client = lost.ID },
		},
		"connection_id": {
			func(o *orgstore.InvitationOptions) { o.Connection = "con_0000000000000000" },
			func(o *orgstore.InvitationOptions) { o.Connection = "db\x00" },
			func(o *orgstore.InvitationOptions) { o.Connection = w.disabled },
			func(o *orgstore.InvitationOptions) { o.Connection = sms.ID },
		},
	} {
		for _, edit := range edits {
			t.invalid(create(edit), field, "")
		}
	}
	for _, role := range []string{"rol_0000000000000000", "guide", foreign.ID, ""} {
		t.notFound(create(func(o *orgstore.InvitationOptions) { o.Roles = []string{role} }), "role")
	}
	for _, org := range []string{"", "acme", "org_0000000000000000", "org_\x00"} {
		_, _, err := t.Invitations.Create(ctx, org, orgstore.InvitationOptions{InviterName: "A", Email: "a@example.com", Client: w.client})
		t.notFound(err, "organization")
	}
	if after := len(t.events()); after != before {
		t.Errorf("%d events", after-before)
	}
	// The tenant's default is a login route too.
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultRedirectionURI: new("https://app.example/")}))
	t.ok(create(func(o *orgstore.InvitationOptions) { o.Client = lost.ID }))
}

func invitationsRefused(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	before := len(t.events())
	for field, all := range map[string][]orgstore.InvitationOptions{
		"inviter.name": {{}, {InviterName: strings.Repeat("n", 301)}, {InviterName: "a\x00"}, {InviterName: "\xff"}},
		"invitee.email": {
			{InviterName: "A"}, {InviterName: "A", Email: "a"}, {InviterName: "A", Email: "@example.com"}, {InviterName: "A", Email: "a@"},
			{InviterName: "A", Email: "a@b@c"}, {InviterName: "A", Email: "a\n@example.com"}, {InviterName: "A", Email: strings.Repeat("a", 320) + "@example.com"},
		},
		"kind":          {{InviterName: "A", Email: "a@example.com", Kind: "boss"}},
		"ttl_sec":       {{InviterName: "A", Email: "a@example.com", TTL: -1}, {InviterName: "A", Email: "a@example.com", TTL: 30*24*time.Hour + 1}},
		"app_metadata":  {{InviterName: "A", Email: "a@example.com", AppMetadata: map[string]any{"x": strings.Repeat("x", 20_000)}}},
		"user_metadata": {{InviterName: "A", Email: "a@example.com", UserMetadata: map[string]any{"x": func() {}}}},
	} {
		for _, opts := range all {
			opts.Client = w.client
			_, _, err := t.Invitations.Create(ctx, w.org, opts)
			var found bool
			for _, e := range unjoined(err) {
				invalid, ok := errors.AsType[*orgstore.Invalid](e)
				found = found || ok && invalid.Field == field
			}
			if !found {
				t.Errorf("%+v: %v, want invalid %s", opts, err, field)
			}
		}
	}
	other := t.org("other").ID
	for _, id := range []string{"", "uinv_0000000000000000", i.ID + "\x00", strings.ToUpper(i.ID)} {
		_, err := t.Invitations.Get(ctx, w.org, id)
		t.notFound(err, "invitation")
		_, err = t.Invitations.Revoke(ctx, w.org, id)
		t.notFound(err, "invitation")
		_, _, err = t.Invitations.Resend(ctx, w.org, id, 0)
		t.notFound(err, "invitation")
	}
	_, err := t.Invitations.Get(ctx, other, i.ID)
	t.notFound(err, "invitation")
	_, err = t.Invitations.Revoke(ctx, other, i.ID)
	t.notFound(err, "invitation")
	_, _, err = t.Invitations.Resend(ctx, w.org, i.ID, -1)
	t.invalid(err, "ttl_sec", "")
	t.user("u")
	for _, ticket := range []string{"", "x", i.Ticket + "A", strings.ToLower(i.Ticket), "\x00", strings.Repeat("A", 10_000)} {
		t.notFound(t.accept(ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
		_, err := t.Invitations.GetByTicket(ctx, ticket)
		t.notFound(err, "invitation")
		t.unchanged(t.Invitations.CountAttempt(ctx, ticket))
	}
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "nobody"}), "user")
	for _, opts := range []orgstore.InvitationListOptions{
		{Status: "open"}, {Email: "x"}, {ListOptions: orgstore.ListOptions{After: "x"}}, {ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}},
	} {
		_, err := t.Invitations.List(ctx, w.org, opts)
		t.is(err, orgstore.ErrInvalid)
	}
	if after := len(t.events()); after != before+1 { // other's
		if after != before+3 { // an organization, its name and a user
			t.Errorf("%d events", after-before)
		}
	}
}

func invitationTTL(t *engineTest) {
	w := t.inviting()
	t.invitee(w, "u", "a@example.com", "")
	for ttl, want := range map[time.Duration]time.Duration{0: 7 * 24 * time.Hour, time.Second: time.Second, 30 * 24 * time.Hour: 30 * 24 * time.Hour} {
		i, _, err := t.Invitations.Create(t.Context(), w.org, orgstore.InvitationOptions{InviterName: "A", Email: "a@example.com", Client: w.client, TTL: ttl})
		t.ok(err)
		if !i.ExpiresAt.Equal(i.CreatedAt.Add(want)) {
			t.Errorf("for %v it expires after %v", ttl, i.ExpiresAt.Sub(i.CreatedAt))
		}
		t.clock.advance(want)
		t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
		if got := t.invitation(i); got.Status != orgstore.InvitationExpired {
			t.Errorf("at its end it is %s", got.Status)
		}
	}
}

func invitationStatuses(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	t.clock.advance(8 * 24 * time.Hour)
	again, result, err := t.Invitations.Resend(ctx, w.org, i.ID, time.Hour)
	t.changed(result, err)
	if again.Ticket == i.Ticket || again.Status != orgstore.InvitationPending || !again.ExpiresAt.Equal(again.UpdatedAt.Add(time.Hour)) || again.ID != i.ID {
		t.Errorf("sent again: %+v", again)
	}
	t.invitee(w, "u", "a@example.com", "")
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation") // the old one is dead
	t.changed(t.Invitations.Revoke(ctx, w.org, i.ID))
	t.unchanged(t.Invitations.Revoke(ctx, w.org, i.ID))
	t.notFound(t.accept(again.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
	_, _, err = t.Invitations.Resend(ctx, w.org, i.ID, 0)
	t.conflict(err, "invitation", "status")
	accepted := t.invite(w, "a@example.com")
	t.ok(t.accept(accepted.Ticket, orgstore.AcceptOptions{User: "u"}))
	_, _, err = t.Invitations.Resend(ctx, w.org, accepted.ID, 0)
	t.conflict(err, "invitation", "status")
	t.unchanged(t.Invitations.Revoke(ctx, w.org, accepted.ID))
	if got := t.invitation(accepted); got.Status != orgstore.InvitationAccepted {
		t.Errorf("it is %s", got.Status)
	}
	// An expired one whose address was invited anew stays expired.
	old := t.invite(w, "b@example.com")
	t.clock.advance(8 * 24 * time.Hour)
	t.invite(w, "b@example.com")
	if got := t.invitation(old); got.Status != orgstore.InvitationExpired {
		t.Errorf("it is %s", got.Status)
	}
	_, _, err = t.Invitations.Resend(ctx, w.org, old.ID, 0)
	t.conflict(err, "invitation", "email")
}

func invitationAgain(t *engineTest) {
	w := t.inviting()
	first := t.invite(w, "A@example.com")
	newer := t.invite(w, "a@Example.com")
	other, _, err := t.Invitations.Create(t.Context(), t.org("other").ID, orgstore.InvitationOptions{InviterName: "A", Email: "a@example.com", Client: w.client})
	t.ok(err)
	for i, want := range map[*orgstore.Invitation]orgstore.InvitationStatus{
		first: orgstore.InvitationRevoked, newer: orgstore.InvitationPending, other: orgstore.InvitationPending,
	} {
		if got := t.invitation(i); got.Status != want {
			t.Errorf("%s is %s, want %s", i.ID, got.Status, want)
		}
	}
}

func invitationLists(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	var all []string
	for n := range 5 {
		all = append(all, t.invite(w, "p"+strconv.Itoa(n)+"@example.com").ID)
		t.clock.advance(time.Second)
	}
	t.changed(t.Invitations.Revoke(ctx, w.org, all[1]))
	list := func(opts orgstore.InvitationListOptions) (ids []string) {
		t.Helper()
		opts.Limit = 2
		for {
			page, err := t.Invitations.List(ctx, w.org, opts)
			t.ok(err)
			for _, i := range page.Items {
				ids = append(ids, i.ID)
			}
			if opts.After = page.Next; opts.After == "" {
				return ids
			}
		}
	}
	created := orgstore.ListOptions{Sort: orgstore.SortCreated}
	if got := list(orgstore.InvitationListOptions{ListOptions: created}); !slices.Equal(got, all) {
		t.Errorf("listed %q, want %q", got, all)
	}
	if got := list(orgstore.InvitationListOptions{ListOptions: created, Status: orgstore.InvitationRevoked}); !slices.Equal(got, all[1:2]) {
		t.Errorf("revoked %q", got)
	}
	if got := list(orgstore.InvitationListOptions{Email: "P3@Example.com"}); !slices.Equal(got, all[3:4]) {
		t.Errorf("of one address %q", got)
	}
	t.clock.advance(8 * 24 * time.Hour)
	if got := list(orgstore.InvitationListOptions{Status: orgstore.InvitationExpired, Email: "p3@example.com"}); !slices.Equal(got, all[3:4]) {
		t.Errorf("expired, of one address %q", got)
	}
	if got := list(orgstore.InvitationListOptions{Status: orgstore.InvitationPending}); len(got) != 0 {
		t.Errorf("pending %q", got)
	}
	if got := list(orgstore.InvitationListOptions{Status: orgstore.InvitationExpired}); len(got) != 4 {
		t.Errorf("expired %q", got)
	}
	_, err := t.Invitations.List(ctx, "org_0000000000000000", orgstore.InvitationListOptions{})
	t.notFound(err, "organization")
}

func invitationRedirect(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	opts := orgstore.InvitationOptions{InviterName: "A", Email: "a@example.com", Client: w.client, RedirectURI: "https://app.example/welcome"}
	i, _, err := t.Invitations.Create(ctx, w.org, opts)
	if err != nil || t.invitation(i).RedirectURI != opts.RedirectURI {
		t.Errorf("%+v, %v", i, err)
	}
	for _, uri := range []string{"https://evil.example/welcome", "/welcome", "https://app.example/welcome#x", "javascript:alert(1)", "https://app.example\\@evil.example/", "x\x00"} {
		opts.RedirectURI = uri
		_, _, err := t.Invitations.Create(ctx, w.org, opts)
		t.invalid(err, "redirect_uri", uri)
	}
}
