package orgstoretest

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var actorCases = cases{
	"DEL-1: an operation needs its permission":               actorNeeds,
	"DEL-1: what belongs to no organization is refused":      actorTenant,
	"DEL-1: only active members may do anything":             actorStanding,
	"DEL-1: an empty actor may do nothing":                   actorEmpty,
	"DEL-2: nobody grants more than they hold":               actorGrants,
	"DEL-3: nobody acts on somebody who holds more":          actorTargets,
	"DEL-4: a right that is lost at the same moment is lost": actorLosesRight,
	"DEL-5: events name the actor, and who impersonates":     actorEvents,
}

// administration is an organization with an actor who holds some permissions, and somebody to act on.
type administration struct {
	inviter
	role   string // that the actor holds
	member string // an ordinary member
}

func (t *engineTest) administration(permissions ...string) administration {
	t.Helper()
	a := administration{inviter: t.inviting(), member: "member"}
	a.role = t.role("administrator", permissions...)
	t.user("actor")
	t.user(a.member)
	t.member(a.org, "actor", a.role)
	t.member(a.org, a.member)
	return a
}

// may makes permissions the only ones that the actor holds.
func (t *engineTest) may(a administration, permissions ...string) {
	t.Helper()
	t.ok(second(t.Roles.Update(t.Context(), a.role, orgstore.RoleUpdate{Permissions: &permissions})))
}

func (t *engineTest) asActor() *orgstore.Engine { return t.As(orgstore.Actor{User: "actor"}) }

func (t *engineTest) denied(err error, permission string) {
	t.Helper()
	if d, ok := errors.AsType[*orgstore.Denied](err); !ok || d.Permission != permission {
		t.Errorf("error is %v, want denied for want of %s", err, permission)
	}
	t.is(err, orgstore.ErrDenied)
}

func actorNeeds(t *engineTest) {
	ctx := t.Context()
	a := t.administration()
	spare := t.role("spare")
	e := t.asActor()
	n := 0
	name := func() string { n++; return "n" + strconv.Itoa(n) }
	t.user("new")
	for _, test := range []struct {
		permission string
		operation  func() error
	}{
		{"create:organization_members", func() error { return second(e.Members.Add(ctx, a.org, "new", orgstore.MemberOptions{})) }},
		{"update:organization_members", func() error {
			return second(e.Members.Update(ctx, a.org, a.member, orgstore.MemberUpdate{Kind: new("guest")}))
		}},
		{"create:organization_member_roles", func() error { return second(e.Members.AssignRoles(ctx, a.org, a.member, spare)) }},
		{"delete:organization_member_roles", func() error { return second(e.Members.RemoveRoles(ctx, a.org, a.member, spare)) }},
		{"delete:organization_members", func() error { return second(e.Members.Remove(ctx, a.org, "new")) }},
		{"update:organization_members", func() error { return second(e.Members.SignOut(ctx, a.org, a.member)) }},
		{"update:organizations", func() error {
			return second(e.Organizations.Update(ctx, a.org, orgstore.OrganizationUpdate{DisplayName: new(name())}))
		}},
		{"create:organization_invitations", func() error {
			return third(e.Invitations.Create(ctx, a.org, orgstore.InvitationOptions{InviterName: "A", Email: name() + "@example.com", Client: a.client}))
		}},
		{"create:organization_api_keys", func() error {
			return third(e.APIKeys.Create(ctx, a.org, orgstore.APIKeyOptions{Name: name(), Principal: a.member}))
		}},
		{"create:organization_teams", func() error {
			return third(e.Teams.Create(ctx, orgstore.Team{Organization: a.org, Name: name()}))
		}},
		{"create:organization_discovery_domains", func() error {
			return third(e.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: a.org, Domain: name() + ".example.com"}))
		}},
		{"create:organization_connections", func() error {
			return third(e.EnabledConnections.Add(ctx, a.org, a.disabled, orgstore.EnabledConnectionSettings{}))
		}},
		{"delete:organization_connections", func() error { return second(e.EnabledConnections.Remove(ctx, a.org, a.disabled)) }},
		{"create:roles", func() error {
			return third(e.Roles.Create(ctx, orgstore.Role{Organization: a.org, Name: "org:" + name()}))
		}},
	} {
		t.may(a, "read:everything")
		before := len(t.events())
		t.denied(test.operation(), test.permission)
		if after := len(t.events()); after != before {
			t.Errorf("%s: %d events of an operation that was denied", test.permission, after-before)
		}
		t.may(a, test.permission)
		if err := test.operation(); err != nil {
			t.Errorf("with %s: %v", test.permission, err)
		}
	}
	// A permission in one organization is none in another.
	other := t.org("other").ID
	t.may(a, "create:organization_members")
	t.denied(second(e.Members.Add(ctx, other, "new", orgstore.MemberOptions{})), "create:organization_members")
	t.denied(second(e.Members.Add(ctx, "acme", "new", orgstore.MemberOptions{})), "create:organization_members")
}

func actorTenant(t *engineTest) {
	ctx := t.Context()
	t.administration("update:users", "create:users", "create:roles", "create:organizations", "update:roles", "create:connections", "update:tenant_settings")
	e := t.asActor()
	guide, err := t.Roles.GetByName(ctx, "guide")
	t.ok(err)
	for name, err := range map[string]error{
		"create an organization": third(e.Organizations.Create(ctx, orgstore.Organization{Name: "mine"})),
		"create a user":          third(e.Users.Create(ctx, orgstore.User{ID: "x"})),
		"block a user":           second(e.Users.Block(ctx, "member")),
		"create a role":          third(e.Roles.Create(ctx, orgstore.Role{Name: "x"})),
		"change a role":          second(e.Roles.Update(ctx, guide.ID, orgstore.RoleUpdate{Description: new("x")})),
		"create a connection":    third(e.Connections.Create(ctx, orgstore.Connection{Name: "x", Strategy: "auth0"})),
		"change the tenant":      second(e.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultRedirectionURI: new("https://x.example/")})),
	} {
		if !errors.Is(err, orgstore.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func actorStanding(t *engineTest) {
	ctx := t.Context()
	a := t.administration("create:organization_members")
	t.user("new")
	add := func() error { return second(t.asActor().Members.Add(ctx, a.org, "new", orgstore.MemberOptions{})) }
	for name, test := range map[string]struct{ end, again func() error }{
		"a suspended organization": {
			func() error { return second(t.Organizations.Suspend(ctx, a.org)) }, func() error { return second(t.Organizations.Resume(ctx, a.org)) },
		},
		"a blocked actor": {
			func() error { return second(t.Users.Block(ctx, "actor")) }, func() error { return second(t.Users.Unblock(ctx, "actor")) },
		},
		"a suspended membership": {
			func() error { return second(t.Members.Suspend(ctx, a.org, "actor")) }, func() error { return second(t.Members.Resume(ctx, a.org, "actor")) },
		},
		"a removed actor": {
			func() error { return second(t.Members.Remove(ctx, a.org, "actor")) },
			func() error {
				return second(t.Members.Add(ctx, a.org, "actor", orgstore.MemberOptions{Roles: []string{a.role}}))
			},
		},
	} {
		t.ok(test.end())
		if err := add(); !errors.Is(err, orgstore.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
		t.ok(test.again())
	}
	t.ok(add())
}

func actorEmpty(t *engineTest) {
	a := t.administration("create:organization_members")
	for _, user := range []string{"", "nobody", "actor\x00", "\xff"} {
		_, err := t.As(orgstore.Actor{User: user}).Members.Add(t.Context(), a.org, "actor", orgstore.MemberOptions{})
		t.denied(err, "create:organization_members")
	}
}

func actorGrants(t *engineTest) {
	ctx := t.Context()
	all := []string{
		"create:organization_members", "update:organization_members", "create:organization_member_roles", "create:organization_invitations",
		"create:roles", "update:roles", "create:organization_teams", "create:organization_team_roles", "delete:organization_member_roles", "read:x",
	}
	a := t.administration(all...)
	e := t.asActor()
	low, high := t.role("low", "read:x"), t.role("high", "read:x", "write:x")
	t.user("new")
	ceiling, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "ceiling", Template: true, Permissions: []string{"read:x", "write:x"}})
	t.ok(err)
	own, _, err := e.Roles.Create(ctx, orgstore.Role{Organization: a.org, Name: "org:own", Base: ceiling.ID, Permissions: []string{"read:x"}})
	t.ok(err)
	for name, grant := range map[string]func(role string) error{
		"assign": func(role string) error { return second(e.Members.AssignRoles(ctx, a.org, a.member, role)) },
		"add": func(role string) error {
			t.ok(second(t.Members.Remove(ctx, a.org, "new")))
			return second(e.Members.Add(ctx, a.org, "new", orgstore.MemberOptions{Roles: []string{role}}))
		},
		"set": func(role string) error { return second(e.Members.SetRoles(ctx, a.org, a.member, role)) },
		"to oneself": func(role string) error {
			return second(e.Members.AssignRoles(ctx, a.org, "actor", role))
		},
		"invite": func(role string) error {
			return third(e.Invitations.Create(ctx, a.org, orgstore.InvitationOptions{
				InviterName: "A", Email: "a@example.com", Client: a.client, Roles: []string{role},
			}))
		},
		"to a team": func(role string) error {
			team, _, err := e.Teams.Create(ctx, orgstore.Team{Organization: a.org, Name: "team of " + role})
			t.ok(err)
			return second(e.Teams.AssignRoles(ctx, a.org, team.ID, role))
		},
	} {
		if err := grant(high); !errors.Is(err, orgstore.ErrDenied) {
			t.Errorf("%s: more than the actor holds: %v", name, err)
		} else {
			t.denied(err, "write:x")
		}
		if err := grant(low); err != nil {
			t.Errorf("%s: what the actor holds: %v", name, err)
		}
	}
	_, _, err = e.Roles.Create(ctx, orgstore.Role{Organization: a.org, Name: "org:more", Base: ceiling.ID, Permissions: []string{"write:x"}})
	t.denied(err, "write:x")
	_, err = e.Roles.Update(ctx, own.ID, orgstore.RoleUpdate{Permissions: &[]string{"read:x", "write:x"}})
	t.denied(err, "write:x")
}

func actorTargets(t *engineTest) {
	ctx := t.Context()
	a := t.administration("delete:organization_members", "update:organization_members", "delete:organization_member_roles", "create:organization_api_keys", "read:x")
	e := t.asActor()
	boss, peer := t.role("boss", "everything"), t.role("peer", "read:x")
	for _, u := range []string{"boss", "peer"} {
		t.user(u)
	}
	t.member(a.org, "boss", boss, peer)
	t.member(a.org, "peer", peer)
	for name, act := range map[string]func(user string) error{
		"key": func(u string) error {
			return third(e.APIKeys.Create(ctx, a.org, orgstore.APIKeyOptions{Name: "k", Principal: u}))
		},
		"update": func(u string) error {
			return second(e.Members.Update(ctx, a.org, u, orgstore.MemberUpdate{Kind: new("guest")}))
		},
		"suspend": func(u string) error { return second(e.Members.Suspend(ctx, a.org, u)) },
		"roles":   func(u string) error { return second(e.Members.RemoveRoles(ctx, a.org, u, peer)) },
		"sign":    func(u string) error { return second(e.Members.SignOut(ctx, a.org, u)) },
	} {
		t.ok(second(t.Members.Resume(ctx, a.org, "peer")))
		if err := act("boss"); !errors.Is(err, orgstore.ErrDenied) {
			t.Errorf("%s the boss: %v", name, err)
		}
		if err := act("peer"); err != nil {
			t.Errorf("%s a peer: %v", name, err)
		}
	}
	t.denied(second(e.Members.Remove(ctx, a.org, "boss")), "everything")
	t.ok(second(e.Members.Remove(ctx, a.org, "peer")))
	t.ok(second(e.Members.Remove(ctx, a.org, "actor"))) // oneself
}

// actorLosesRight has an actor add many members while the right is taken away: what the actor did comes before that, or not at all.
func actorLosesRight(t *engineTest) {
	ctx := t.Context()
	a := t.administration("create:organization_members")
	users := t.many(t.userNumber)
	demoted := time.Time{}
	errs := together(racers, func(i int) error {
		if i == racers/2 {
			err := second(t.Members.RemoveRoles(ctx, a.org, "actor", a.role))
			demoted = time.Now()
			return err
		}
		return second(t.asActor().Members.Add(ctx, a.org, users[i], orgstore.MemberOptions{}))
	})
	for i, err := range errs {
		if err != nil && (i == racers/2 || !errors.Is(err, orgstore.ErrDenied)) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if demoted.IsZero() {
		t.Fatal("nobody was demoted")
	}
	events := t.events()
	end := slices.IndexFunc(events, func(e *orgstore.Event) bool { return e.Type == "organization.member.role.deleted" })
	added := 0
	for i, e := range events {
		if e.Type == "organization.member.added" && e.Actor == "actor" {
			added++
			if i > end {
				t.Errorf("the actor added %s after having lost the right", e.Scope.ID)
			}
		}
	}
	if n := succeeded(errs) - 1; added != n {
		t.Errorf("%d were added, %d succeeded", added, n)
	}
	t.denied(second(t.asActor().Members.Add(ctx, a.org, "late", orgstore.MemberOptions{})), "create:organization_members")
}

func actorEvents(t *engineTest) {
	ctx := orgstore.WithActor(t.Context(), "somebody else")
	a := t.administration("create:organization_members", "create:organization_invitations")
	t.user("new")
	support := t.As(orgstore.Actor{User: "actor", Impersonator: "support"})
	t.changed(support.Members.Add(ctx, a.org, "new", orgstore.MemberOptions{}))
	t.ok(third(t.asActor().Invitations.Create(ctx, a.org, orgstore.InvitationOptions{InviterName: "A", Email: "a@example.com", Client: a.client})))
	events := t.events()
	added, invited := events[len(events)-2], events[len(events)-1]
	if added.Actor != "actor" || added.Impersonator != "support" || invited.Actor != "actor" || invited.Impersonator != "" {
		t.Errorf("events: %+v, %+v", added, invited)
	}
}
