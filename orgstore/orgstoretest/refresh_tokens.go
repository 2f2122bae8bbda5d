package orgstoretest

import (
	"errors"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var refreshCases = cases{
	"TOK-8: refresh tokens rotate":                     refreshRotates,
	"TOK-8: a reused refresh token ends its family":    refreshReused,
	"TOK-8: losing the membership ends refresh tokens": refreshMembership,
	"TOK-8: a session's end ends refresh tokens":       refreshSession,
	"TOK-8, SEC-1: idle for longer than is allowed":    refreshIdle,
	"TOK-8: bad input":                                 refreshRefused,
	"TOK-8: of many callers one refreshes":             refreshRace,
}

// refreshable is a session of a member, and its first refresh token.
func (t *engineTest) refreshable() (s *orgstore.Session, org, token string) {
	t.Helper()
	t.user("u")
	o := t.org("acme")
	t.member(o.ID, "u")
	s = t.login("u")
	_, err := t.Sessions.Enter(t.Context(), s.ID, o.ID)
	t.ok(err)
	token, err = t.Sessions.IssueRefreshToken(t.Context(), orgstore.RefreshGrant{
		Session: s.ID, Client: "app", Organization: o.ID, Audience: "https://api.example", Scope: "read:x write:x",
	})
	t.ok(err)
	return s, o.ID, token
}

func refreshRotates(t *engineTest) {
	ctx := t.Context()
	s, org, token := t.refreshable()
	for range 3 {
		t.clock.advance(time.Hour)
		g, next, err := t.Sessions.Refresh(ctx, "app", token)
		t.ok(err)
		if g.Session != s.ID || g.Organization != org || g.Audience != "https://api.example" || g.Scope != "read:x write:x" || next == token || len(next) != 26 {
			t.Errorf("grant %+v, next %d characters", g, len(next))
		}
		token = next
	}
	if again, err := t.Sessions.Get(ctx, s.ID); err != nil || !again.ActiveAt.After(s.ActiveAt) {
		t.Errorf("refreshing is no activity: %+v, %v", again, err)
	}
	_, _, err := t.Sessions.Refresh(ctx, "other", token) // of another client
	t.notFound(err, "refresh token")
	_, _, err = t.Sessions.Refresh(ctx, "app", token)
	t.ok(err)
	short, err := t.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app", Lifetime: time.Minute})
	t.ok(err)
	t.clock.advance(time.Minute)
	_, _, err = t.Sessions.Refresh(ctx, "app", short)
	t.notFound(err, "refresh token")
}

func refreshIdle(t *engineTest) {
	ctx := t.Context()
	s, org, token := t.refreshable()
	t.changed(t.Organizations.SetSecurity(ctx, org, &orgstore.SecurityPolicy{MaxIdle: time.Hour}))
	t.clock.advance(59 * time.Minute)
	_, token, err := t.Sessions.Refresh(ctx, "app", token)
	t.ok(err)
	t.clock.advance(61 * time.Minute)
	_, _, err = t.Sessions.Refresh(ctx, "app", token)
	t.notFound(err, "refresh token")
	_, err = t.Sessions.Touch(ctx, s.ID) // the user came back
	t.ok(err)
	_, _, err = t.Sessions.Refresh(ctx, "app", token)
	t.ok(err)
}

func refreshReused(t *engineTest) {
	ctx := t.Context()
	s, _, first := t.refreshable()
	other, err := t.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app"})
	t.ok(err)
	_, second, err := t.Sessions.Refresh(ctx, "app", first)
	t.ok(err)
	_, _, err = t.Sessions.Refresh(ctx, "app", first)
	t.is(err, orgstore.ErrRefreshReused)
	t.is(err, orgstore.ErrDenied)
	_, _, err = t.Sessions.Refresh(ctx, "app", second)
	t.notFound(err, "refresh token")
	_, _, err = t.Sessions.Refresh(ctx, "app", other) // another family
	t.ok(err)
}

func refreshMembership(t *engineTest) {
	ctx := t.Context()
	for name, end := range map[string]func(org string) error{
		"removed":   func(org string) error { return second(t.Members.Remove(ctx, org, "u")) },
		"suspended": func(org string) error { return second(t.Organizations.Suspend(ctx, org)) },
		"deleted":   func(org string) error { return second(t.Organizations.Delete(ctx, org)) },
		"blocked":   func(string) error { return second(t.Users.Block(ctx, "u")) },
	} {
		_, org, token := t.refreshable()
		t.ok(end(org))
		_, _, err := t.Sessions.Refresh(ctx, "app", token)
		if missing, ok := errors.AsType[*orgstore.NotFound](err); !ok || missing.Kind != "refresh token" {
			t.Errorf("%s: %v", name, err)
		}
		t.ok(second(t.Organizations.Delete(ctx, org)))
		t.ok(second(t.Users.Delete(ctx, "u")))
	}
}

func refreshSession(t *engineTest) {
	ctx := t.Context()
	s, _, token := t.refreshable()
	t.changed(t.Sessions.End(ctx, s.ID))
	_, _, err := t.Sessions.Refresh(ctx, "app", token)
	t.notFound(err, "refresh token")
	_, err = t.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app"})
	t.notFound(err, "session")
}

func refreshRefused(t *engineTest) {
	ctx := t.Context()
	s, _, _ := t.refreshable()
	for _, g := range []orgstore.RefreshGrant{
		{Session: s.ID}, {Session: s.ID, Client: "a b"}, {Session: s.ID, Client: "app", Organization: "acme"},
		{Session: s.ID, Client: "app", Scope: "a\x00"}, {Session: s.ID, Client: "app", Audience: "\xff"}, {Session: s.ID, Client: "app", Lifetime: -1},
	} {
		_, err := t.Sessions.IssueRefreshToken(ctx, g)
		t.invalid(err, "grant", "")
	}
	for _, token := range []string{"", "x", "\x00", strings.Repeat("A", 10_000)} {
		_, _, err := t.Sessions.Refresh(ctx, "app", token)
		t.notFound(err, "refresh token")
	}
}

func refreshRace(t *engineTest) {
	_, _, token := t.refreshable()
	errs := together(racers, func(int) error {
		_, _, err := t.Sessions.Refresh(t.Context(), "app", token)
		return err
	})
	if n := succeeded(errs); n != 1 {
		t.Errorf("%d refreshed with one token", n)
	}
	for _, err := range errs {
		if err != nil {
			t.is(err, orgstore.ErrRefreshReused)
		}
	}
}
