package orgstoretest

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// What somebody who may administer a part of an organization tries in order to get more.
var escalationCases = cases{
	"DEL-2 INV-7: resending an invitation grants its roles":              escalateResend,
	"INV-9 ROLE-4: a role that follows its base grants what that has":    escalateFollowing,
	"DEL-1 INV-1: inviting does not write what belongs to the directory": escalateMetadata,
	"DEL-2 LIFE-3: a role with descendants is granted below as well":     escalateDescendants,
	"DEL-2 TREE-2: a move grants the roles that come from above":         escalateMove,
	"DEL-2 CTR-1: who widens a contract grants its roles":                escalateContract,
	"DEL-2 M2M-3: associating a grant grants its permissions":            escalateGrant,
	"DEL-2 CON-1: nobody raises how far they administer a connection":    escalateAccessLevel,
	"DEL-2 ROLE-3: permissions of one API are none of another":           escalateAPI,
	"INV-4: addresses that only look alike are others":                   escalateLookAlike,
	"DEL-1: nobody acts in the name of others":                           escalateSessions,
	"lists: cursors that somebody made":                                  forgedCursors,
	"SES-1: bad input of a session":                                      sessionNUL,
	"EVT-3 INV-7: nothing is left in invitations":                        eraseInvitations,
	"M2M-5: a key ends with the membership that it was made for":         escalateKey,
}

// deputy makes a member of org with these permissions, and returns the engine that acts for it.
func (t *engineTest) deputy(org, user string, permissions ...string) *orgstore.Engine {
	t.Helper()
	t.member(org, t.user(user), t.role("deputy "+user, permissions...))
	return t.As(orgstore.Actor{User: user})
}

func escalateResend(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	strong := t.role("strong", "root")
	as := t.deputy(w.org, "deputy", "create:organization_invitations", "read:x")
	i := t.invite(w, "a@example.com", strong)
	_, _, err := as.Invitations.Resend(ctx, w.org, i.ID, 0)
	t.denied(err, "root")
	if _, err := t.Invitations.GetByTicket(ctx, i.Ticket); err != nil {
		t.Errorf("the ticket: %v", err)
	}
	weak := t.invite(w, "b@example.com", w.role)
	_, result, err := as.Invitations.Resend(ctx, w.org, weak.ID, 0)
	t.changed(result, err)
	// A role that is gone grants nothing.
	t.changed(t.Roles.Delete(ctx, strong))
	_, result, err = as.Invitations.Resend(ctx, w.org, i.ID, 0)
	t.changed(result, err)
}

// A role that follows its base has no permissions of its own, but grants those of the base.
func escalateFollowing(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	as := t.deputy(w.org, "deputy", "create:organization_invitations", "root")
	base, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "base", Template: true, Permissions: []string{"root"}})
	t.ok(err)
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: w.org, Name: "org:r", Base: base.ID, FollowsBase: true})
	t.ok(err)
	i, _, err := as.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{InviterName: "D", Email: "a@example.com", Client: w.client, Roles: []string{r.ID}})
	t.ok(err)
	t.changed(t.Members.SetRoles(ctx, w.org, "deputy"))
	user := t.invitee(w, "u", "a@example.com", "")
	t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: user}))
	if a := t.resolve(w.org, user); a.Member.Has("root") {
		t.Errorf("an inviter who lost the right has granted it: %+v", a.Member)
	}
}

func escalateMetadata(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	as := t.deputy(w.org, "deputy", "create:organization_invitations")
	check := t.nothingWritten()
	_, _, err := as.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "D", Email: "a@example.com", Client: w.client, AppMetadata: map[string]any{"plan": "gold"},
	})
	t.denied(err, "update:users_app_metadata")
	check()
	_, result, err := as.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "D", Email: "a@example.com", Client: w.client, UserMetadata: map[string]any{"color": "red"},
	})
	t.changed(result, err)
}

func escalateDescendants(t *engineTest) {
	ctx := t.Context()
	above, below := t.org("above").ID, t.org("below").ID
	t.changed(t.Organizations.SetParent(ctx, below, above))
	as := t.deputy(above, "deputy", "create:organization_member_roles", "x")
	role := t.role("x", "x")
	all := orgstore.RoleAssignment{Role: role, Descendants: true}
	for _, user := range []string{"deputy", t.user("friend")} {
		if user == "friend" {
			t.member(above, user)
		}
		_, err := as.Members.Assign(ctx, above, user, all)
		t.denied(err, "x")
		if a := t.resolve(below, user); a.Standing == orgstore.StandingMember {
			t.Errorf("%s has raised themselves to a member below: %+v", user, a.Member)
		}
	}
	t.changed(as.Members.Assign(ctx, above, "friend", orgstore.RoleAssignment{Role: role}))
	// Who holds it below grants it below.
	t.changed(t.Members.Assign(ctx, above, "deputy", all))
	t.changed(as.Members.Assign(ctx, above, "friend", all))
	// Not what is over, and what they hold in an organization above counts.
	t.changed(t.Members.Assign(ctx, above, "deputy", orgstore.RoleAssignment{Role: role, Descendants: true, ExpiresAt: t.clock.now().Add(time.Hour)}))
	t.clock.advance(time.Hour)
	t.member(above, t.user("other"))
	_, err := as.Members.Assign(ctx, above, "other", all)
	t.denied(err, "x")
	top := t.org("top").ID
	t.changed(t.Organizations.SetParent(ctx, above, top))
	t.member(top, "deputy")
	t.changed(t.Members.Assign(ctx, top, "deputy", all))
	t.changed(as.Members.Assign(ctx, above, "other", all))
}

func escalateMove(t *engineTest) {
	ctx := t.Context()
	own, target := t.org("own").ID, t.org("target").ID
	as := t.deputy(own, "deputy", "update:organizations")
	t.member(target, "deputy", t.role("mover", "update:organizations"))
	t.changed(t.Members.Assign(ctx, own, "deputy", orgstore.RoleAssignment{Role: t.role("boss", "root"), Descendants: true}))
	_, err := as.Organizations.SetParent(ctx, target, own)
	t.denied(err, "root")
	if a := t.resolve(target, "deputy"); a.Member.Has("root") {
		t.Errorf("the deputy has given themselves a right by a move: %+v", a.Member)
	}
	t.changed(t.Members.AssignRoles(ctx, target, "deputy", t.role("root there", "root")))
	t.changed(as.Organizations.SetParent(ctx, target, own))
}

func escalateContract(t *engineTest) {
	ctx := t.Context()
	host, guest := t.org("host").ID, t.org("guest").ID
	as := t.deputy(host, "deputy", "create:contracts", "update:contracts")
	strong := t.role("strong", "root")
	c, _, err := t.Contracts.Create(ctx, orgstore.Contract{Host: host, Guest: guest, ContractTerms: orgstore.ContractTerms{
		Roles: []string{strong}, MetadataKey: "cleared", MetadataValue: "yes", Until: t.clock.now().Add(time.Hour),
	}})
	t.ok(err)
	t.member(guest, t.user("friend"))
	for name, u := range map[string]orgstore.ContractUpdate{
		"kinds":    {Kinds: &[]string{"employee", "freelancer"}},
		"metadata": {MetadataKey: new(string), MetadataValue: new(string)},
		"until":    {Until: new(time.Time)},
	} {
		if _, err := as.Contracts.Update(ctx, c.ID, u); err == nil {
			t.Errorf("widened: %s", name)
		} else {
			t.denied(err, "root")
		}
	}
	if a := t.resolve(host, "friend"); a.Standing != orgstore.StandingNotMember {
		t.Errorf("a friend was admitted: %+v", a.Member)
	}
	t.changed(as.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Name: new("new")}))
	t.changed(as.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Roles: new([]string), Kinds: &[]string{"freelancer"}}))
}

func escalateGrant(t *engineTest) {
	ctx := t.Context()
	org := t.org("acme").ID
	as := t.deputy(org, "deputy", "create:organization_client_grants", "read:x")
	_, _, err := t.APIs.Create(ctx, orgstore.API{Identifier: "urn:api", Name: "API", Permissions: []orgstore.APIPermission{{Name: "read:x"}, {Name: "root"}}})
	t.ok(err)
	grant := func(name string, scopes ...string) string {
		c, _, err := t.Clients.Create(ctx, orgstore.Client{Name: name, FirstParty: true})
		t.ok(err)
		g, _, err := t.ClientGrants.Create(ctx, orgstore.ClientGrant{ClientID: c.ID, Audience: "urn:api", Scopes: scopes, OrganizationUsage: orgstore.OrganizationAllow})
		t.ok(err)
		return g.ID
	}
	_, err = as.ClientGrants.AddOrganization(ctx, grant("strong", "root"), org)
	t.denied(err, "root")
	t.changed(as.ClientGrants.AddOrganization(ctx, grant("weak", "read:x"), org))
}

func escalateAccessLevel(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	as := t.deputy(w.org, "deputy", "create:organization_connections", "update:organization_connections")
	full := orgstore.EnabledConnectionSettings{AccessLevel: new(orgstore.AccessFull)}
	_, err := as.EnabledConnections.Update(ctx, w.org, w.database, full)
	t.denied(err, "update:connections")
	_, _, err = as.EnabledConnections.Add(ctx, w.org, w.disabled, full)
	t.denied(err, "update:connections")
	t.changed(as.EnabledConnections.Update(ctx, w.org, w.database, orgstore.EnabledConnectionSettings{Name: new("ours")}))
}

func escalateAPI(t *engineTest) {
	ctx := t.Context()
	org := t.org("acme").ID
	for _, api := range []string{"urn:a", "urn:b"} {
		_, _, err := t.APIs.Create(ctx, orgstore.API{Identifier: api, Name: api, Permissions: []orgstore.APIPermission{{Name: "p"}}})
		t.ok(err)
	}
	base, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "base", Template: true, Permissions: []string{"p"}, APIPermissions: map[string][]string{"urn:a": {"p"}, "urn:b": {"p"}}})
	t.ok(err)
	only := map[string][]string{"urn:a": {"p"}}
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: org, Name: "org:a", Base: base.ID, APIPermissions: only})
	t.ok(err)
	as := t.deputy(org, "deputy", "create:roles", "update:roles")
	t.changed(t.Members.AssignRoles(ctx, org, "deputy", r.ID))
	_, err = as.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{"urn:b": {"p"}}})
	t.denied(err, "p")
	_, err = as.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Permissions: &[]string{"p"}})
	t.denied(err, "p")
	if a := t.resolve(org, "deputy"); a.Member.HasFor("urn:b", "p") {
		t.Errorf("the deputy has raised themselves: %+v", a.Member)
	}
	_, _, err = as.Roles.Create(ctx, orgstore.Role{Organization: org, Name: "org:b", Base: base.ID, APIPermissions: map[string][]string{"urn:b": {"p"}}})
	t.denied(err, "p")
	_, result, err := as.Roles.Create(ctx, orgstore.Role{Organization: org, Name: "org:c", Base: base.ID, APIPermissions: only})
	t.changed(result, err)
}

func escalateLookAlike(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	for address, other := range map[string]string{"sam@example.com": "\u017fam@example.com", "kim@example.com": "\u212aim@example.com"} {
		i := t.invite(w, address)
		for _, connection := range []string{"", w.database} {
			user := t.invitee(w, "u"+connection+address, other, connection)
			t.is(t.accept(i.Ticket, orgstore.AcceptOptions{User: user, Connection: connection}), orgstore.ErrWrongAccount)
		}
		// A look-alike is no obstacle for whom the address belongs to.
		user := t.invitee(w, address, address, w.database)
		t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: user, Connection: w.database}))
		t.changed(t.Users.Update(ctx, user, orgstore.UserUpdate{Email: new("new" + other)}))
		if u, err := t.Users.Get(ctx, user); err != nil || u.EmailVerified {
			t.Errorf("a look-alike counts as verified: %+v, %v", u, err)
		}
	}
}

func escalateKey(t *engineTest) {
	ctx := t.Context()
	org, user := t.org("acme").ID, t.user("u")
	t.member(org, user)
	k, _, err := t.APIKeys.Create(ctx, org, orgstore.APIKeyOptions{Name: "k", Principal: user})
	t.ok(err)
	if _, err := t.APIKeys.Authenticate(ctx, k.Secret); err != nil {
		t.Error(err)
	}
	t.changed(t.Members.Remove(ctx, org, user))
	t.clock.advance(time.Second)
	t.member(org, user)
	_, err = t.APIKeys.Authenticate(ctx, k.Secret)
	t.notFound(err, "API key")
	// Whoever gives it a new secret gives it to the new member.
	k, _, err = t.APIKeys.Rotate(ctx, org, k.ID, 0)
	t.ok(err)
	if _, err := t.APIKeys.Authenticate(ctx, k.Secret); err != nil {
		t.Error(err)
	}
}

func escalateSessions(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	victim := t.user("victim")
	t.member(w.org, victim)
	s := t.login(victim)
	i := t.invite(w, "a@example.com")
	t.invitee(w, "invited", "a@example.com", "")
	deputy := t.user("deputy")
	check := t.nothingWritten()
	for _, user := range []string{"", deputy} {
		as := t.As(orgstore.Actor{User: user})
		_, created := as.Sessions.Create(ctx, orgstore.Session{User: victim})
		_, entered := as.Sessions.Enter(ctx, s.ID, w.org)
		_, issued := as.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app"})
		_, counted := as.Clients.CountToken(ctx, "app", w.org, orgstore.Quota{})
		_, cleaned := as.Clean(ctx)
		_, _, accepted := as.Invitations.Accept(ctx, i.Ticket, orgstore.AcceptOptions{User: "invited"})
		for name, err := range map[string]error{
			"create a session": created, "enter": entered, "issue a refresh token": issued, "count a token": counted, "clean": cleaned,
			"accept for somebody else": accepted,
		} {
			if !errors.Is(err, orgstore.ErrDenied) {
				t.Errorf("%q may %s: %v", user, name, err)
			}
		}
	}
	page, err := t.Sessions.List(ctx, orgstore.SessionListOptions{User: victim})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d sessions, %v", len(page.Items), err)
	}
	check()
	t.ok(third(t.As(orgstore.Actor{User: "invited"}).Invitations.Accept(ctx, i.Ticket, orgstore.AcceptOptions{User: "invited"})))
}

func forgedCursors(t *engineTest) {
	ctx := t.Context()
	t.org("a")
	t.org("b")
	opts := orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{Limit: 1, Sort: orgstore.SortCreated}}
	page, err := t.Organizations.List(ctx, opts)
	t.ok(err)
	text, err := base64.RawURLEncoding.DecodeString(page.Next)
	t.ok(err)
	head, _, _ := strings.Cut(string(text), ":n")
	opts.After = base64.RawURLEncoding.EncodeToString([]byte(head + ":sx\x00org_a"))
	_, err = t.Organizations.List(ctx, opts)
	t.invalid(err, "After", opts.After)
	opts.Sort = orgstore.SortName
	opts.After = ""
	page, err = t.Organizations.List(ctx, opts)
	t.ok(err)
	text, err = base64.RawURLEncoding.DecodeString(page.Next)
	t.ok(err)
	head, _, _ = strings.Cut(string(text), ":s")
	opts.After = base64.RawURLEncoding.EncodeToString([]byte(head + ":n1\x00org_a"))
	_, err = t.Organizations.List(ctx, opts)
	t.invalid(err, "After", opts.After)
}

func sessionNUL(t *engineTest) {
	user := t.user("u")
	for field, s := range map[string]orgstore.Session{
		"connection_id": {User: user, Connection: "a\x00b"}, "client_id": {User: user, Client: "a\xffb"},
	} {
		_, err := t.Sessions.Create(t.Context(), s)
		t.invalid(err, field, "")
	}
}

func eraseInvitations(t *engineTest) {
	ctx := t.Context()
	w := t.inviting()
	i, _, err := t.Invitations.Create(ctx, w.org, orgstore.InvitationOptions{
		InviterName: "Ada", Email: "Emilio@example.com", Client: w.client, UserMetadata: map[string]any{"phone": "555"},
	})
	t.ok(err)
	t.invitee(w, "u", "emilio@example.com", "")
	t.ok(t.accept(i.Ticket, orgstore.AcceptOptions{User: "u"}))
	t.changed(t.Users.Erase(ctx, "u"))
	got := t.invitation(i)
	if got.Invitee.Email != "" || len(got.UserMetadata) > 0 || got.AcceptedBy != "u" {
		t.Errorf("after an erasure: %+v", got)
	}
}
