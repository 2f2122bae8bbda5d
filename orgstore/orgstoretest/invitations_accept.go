package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

func invitationTicket(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	if got := t.invitation(i); got.Ticket != "" {
		t.Error("the ticket is shown again")
	}
	t.ok(t.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, query := range []string{
			`SELECT COUNT(*) FROM orgauthz_invitations WHERE ticket = $1`,
			`SELECT COUNT(*) FROM orgauthz_events WHERE after_json LIKE '%' || $1 || '%' OR before_json LIKE '%' || $1 || '%'`,
		} {
			var n int
			if err := tx.QueryRowContext(ctx, query, i.Ticket).Scan(&n); err != nil {
				return err
			}
			if n != 0 {
				t.Errorf("the ticket is stored: %s", query)
			}
		}
		return nil
	}))
	t.invitee(w, "u", "a@example.com", "")
	t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}))
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
	// Repeating the call that made one does not show its ticket again.
	opts := orgstore.InvitationOptions{InviterName: "A", Email: "b@example.com", Client: w.client}
	first, _, err := t.Invitations.Create(t.key("k"), w.org, opts)
	t.ok(err)
	again, result, err := t.Invitations.Create(t.key("k"), w.org, opts)
	t.ok(err)
	if first.Ticket == "" || again.Ticket != "" || again.ID != first.ID || !result.Replayed {
		t.Errorf("repeated: %+v, %+v", again, result)
	}
}

func invitationRace(t *engineTest) {
	w := t.inviting()
	i := t.invite(w, "a@example.com", w.role)
	t.invitee(w, "u", "a@example.com", "")
	errs := together(2, func(int) error { return t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}) })
	if n := succeeded(errs); n != 1 {
		t.Errorf("%d accepted: %v", n, errs)
	}
}

func invitationAccount(t *engineTest) {
	w := t.inviting()
	i := t.invite(w, "New@Example.com")
	t.invitee(w, "other", "other@example.com", "")
	err := t.accept(i.Ticket, orgstore.AcceptOptions{User: "other"})
	t.is(err, orgstore.ErrWrongAccount)
	t.is(err, orgstore.ErrDenied)
	if !strings.Contains(err.Error(), "the specified account is not allowed to accept the current invitation") {
		t.Errorf("error: %v", err)
	}
	t.invitee(w, "blocked", "new@example.com", "")
	t.changed(t.Users.Block(t.Context(), "blocked"))
	t.is(t.accept(i.Ticket, orgstore.AcceptOptions{User: "blocked"}), orgstore.ErrWrongAccount)
	if got := t.invitation(i); got.Status != orgstore.InvitationPending || got.Attempts != 2 {
		t.Errorf("after wrong accounts: %+v", got)
	}
	t.invitee(w, "right", "new@EXAMPLE.com", "")
	t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: "right"}))
}

func invitationConnection(t *engineTest) {
	w := t.inviting()
	i, _, err := t.Invitations.Create(t.Context(), w.org, orgstore.InvitationOptions{
		InviterName: "A", Email: "a@example.com", Client: w.client, Connection: w.database,
	})
	t.ok(err)
	t.invitee(w, "u", "a@example.com", w.database)
	for _, connection := range []string{"", w.enterprise, w.disabled, "con_0000000000000000"} {
		t.is(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u", Connection: connection}), orgstore.ErrWrongAccount)
	}
	t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u", Connection: w.database}))
}

func invitationTrust(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	social, _, err := t.Connections.Create(ctx, orgstore.Connection{Name: "social", Strategy: "github"})
	t.ok(err)
	_, _, err = t.EnabledConnections.Add(ctx, w.org, social.ID, orgstore.EnabledConnectionSettings{})
	t.ok(err)
	n := 0
	for _, test := range []struct {
		name, connection, email string
		verified, demanded, ok  bool
	}{
		{"a database: the ticket is the proof", w.database, "a@example.com", false, false, true},
		{"social, verified there", social.ID, "a@example.com", true, false, true},
		{"social, not verified", social.ID, "a@example.com", false, false, false},
		{"enterprise, its own domain", w.enterprise, "a@corp.example", true, false, true},
		{"enterprise, its own domain in capitals", w.enterprise, "a@CORP.example", true, false, true},
		{"enterprise, not verified", w.enterprise, "a@corp.example", false, false, false},
		{"enterprise, somebody else's domain", w.enterprise, "a@example.com", true, false, false},
		{"enterprise, somebody else's domain, demanded", w.enterprise, "a@example.com", true, true, true},
		{"not enabled", w.disabled, "a@example.com", true, false, false},
	} {
		n++
		id := "u" + strconv.Itoa(n)
		_, _, err := t.Users.Create(ctx, orgstore.User{ID: id, Identities: []orgstore.Identity{
			{Connection: test.connection, ID: id, Email: test.email, EmailVerified: test.verified},
		}})
		t.ok(err)
		opts := orgstore.InvitationOptions{InviterName: "A", Email: test.email, Client: w.client}
		if test.demanded {
			opts.Connection = test.connection
		}
		i, _, err := t.Invitations.Create(ctx, w.org, opts)
		t.ok(err)
		err = t.accept(i.Ticket, orgstore.AcceptOptions{User: id, Connection: test.connection})
		if test.ok != (err == nil) || !test.ok && !errors.Is(err, orgstore.ErrWrongAccount) {
			t.Errorf("%s: %v", test.name, err)
		}
		t.ok(second(t.Users.Delete(ctx, id)))
	}
}

func invitationAttempts(t *engineTest) {
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	t.invitee(w, "wrong", "wrong@example.com", "")
	before := len(t.events())
	for n := range 10 {
		if got := t.invitation(i); got.Status != orgstore.InvitationPending || got.Attempts != n {
			t.Errorf("after %d attempts: %+v", n, got)
		}
		t.is(t.accept(i.Ticket, orgstore.AcceptOptions{User: "wrong"}), orgstore.ErrWrongAccount)
	}
	if got := t.invitation(i); got.Status != orgstore.InvitationRevoked {
		t.Errorf("after ten attempts it is %s", got.Status)
	}
	if after := len(t.events()); after != before+1 {
		t.Errorf("%d events: counting is no change, revoking is one", after-before)
	}
	t.invitee(w, "right", "a@example.com", "")
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "right"}), "invitation")
}

func invitationAttemptsTransact(t *engineTest) {
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	t.invitee(w, "wrong", "wrong@example.com", "")
	_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		return third(e.Invitations.Accept(ctx, i.Ticket, orgstore.AcceptOptions{User: "wrong"}))
	})
	t.is(err, orgstore.ErrWrongAccount)
	if got := t.invitation(i); got.Attempts != 0 {
		t.Errorf("%d attempts", got.Attempts)
	}
	t.ok(second(t.Invitations.CountAttempt(t.Context(), i.Ticket)))
	if got := t.invitation(i); got.Attempts != 1 {
		t.Errorf("%d attempts", got.Attempts)
	}
}

func invitationWhole(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	many := make([]string, 50)
	for n := range many {
		many[n] = t.role("role " + strconv.Itoa(n))
	}
	t.invitee(w, "u", "a@example.com", "")
	t.changed(t.Members.Add(ctx, w.org, "u", orgstore.MemberOptions{Roles: many}))
	i, _, err := t.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "A", Email: "a@example.com", Client: w.client, Roles: []string{w.role}, AppMetadata: map[string]any{"x": 1},
	})
	t.ok(err)
	before := len(t.events())
	t.limit(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "roles per member", 50)
	u, err := t.Users.Get(ctx, "u")
	t.ok(err)
	if got := t.invitation(i); got.Status != orgstore.InvitationPending || u.AppMetadata != nil || len(t.events()) != before {
		t.Errorf("half accepted: %+v, %+v", got, u)
	}
}

func invitationMember(t *engineTest) {
	w := t.inviting()
	t.invitee(w, "u", "a@example.com", "")
	admin := t.role("admin")
	t.member(w.org, "u", admin)
	i := t.invite(w, "a@example.com", w.role, admin)
	a, _, err := t.Invitations.Accept(t.Context(), i.Ticket, orgstore.AcceptOptions{User: "u"})
	t.ok(err)
	if a.Joined || len(a.Roles) != 2 {
		t.Errorf("accepted: %+v", a)
	}
	t.roles(w.org, "u", "admin", "guide")
	m, err := t.Members.Get(t.Context(), w.org, "u")
	if err != nil || m.JoinedBy != "admin" {
		t.Errorf("member: %+v, %v", m, err)
	}
}

func invitationRoles(t *engineTest) {
	w := t.inviting()
	gone := t.role("gone")
	i := t.invite(w, "a@example.com", w.role, gone)
	t.changed(t.Roles.Delete(t.Context(), gone))
	t.invitee(w, "u", "a@example.com", "")
	a, _, err := t.Invitations.Accept(t.Context(), i.Ticket, orgstore.AcceptOptions{User: "u"})
	t.ok(err)
	if !slices.Equal(a.Roles, []string{w.role}) || !slices.Equal(a.Skipped, []string{gone}) {
		t.Errorf("accepted: %+v", a)
	}
	t.roles(w.org, "u", "guide")
}

func invitationInviter(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	admin := t.role("admin", "create:organization_invitations", "read:x", "write:x")
	writer := t.role("writer", "write:x")
	t.user("boss")
	t.member(w.org, "boss", admin)
	i, _, err := t.As(orgstore.Actor{User: "boss"}).Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "Boss", Email: "a@example.com", Client: w.client, Roles: []string{w.role, writer},
	})
	t.ok(err)
	if i.Inviter.User != "boss" {
		t.Errorf("inviter: %+v", i.Inviter)
	}
	t.changed(t.Roles.Update(ctx, admin, orgstore.RoleUpdate{Permissions: &[]string{"read:x"}}))
	t.invitee(w, "u", "a@example.com", "")
	a, _, err := t.Invitations.Accept(ctx, i.Ticket, orgstore.AcceptOptions{User: "u"})
	t.ok(err)
	if !slices.Equal(a.Roles, []string{w.role}) || !slices.Equal(a.Skipped, []string{writer}) {
		t.Errorf("accepted: %+v", a)
	}
}

func invitationOrganizations(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i := t.invite(w, "a@example.com")
	t.invitee(w, "u", "a@example.com", "")
	t.changed(t.Organizations.Suspend(ctx, w.org))
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
	t.changed(t.Organizations.Resume(ctx, w.org))
	t.changed(t.Organizations.Delete(ctx, w.org))
	t.notFound(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}), "invitation")
	_, err := t.Invitations.GetByTicket(ctx, i.Ticket)
	t.notFound(err, "invitation")
	_, err = t.Invitations.Get(ctx, w.org, i.ID)
	t.notFound(err, "invitation")
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	t.ok(t.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_invitations`).Scan(&n)
		if n != 0 {
			t.Errorf("%d invitations are left", n)
		}
		return err
	}))
}
