package orgstoretest

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var membershipCases = cases{
	"MEM-1: many are added at once":                              membersAddAll,
	"MEM-1: many are added at once, once for an idempotency key": membersAddAllOnce,
	"MEM-2: many are removed at once":                            membersRemoveAll,
	"MEM-4: members are filtered, sorted and found":              membersSearch,
	"MEM-4: filters that cannot be":                              membersSearchRefused,
	"MEM-5: the last owner stays":                                ownerStays,
	"MEM-5: users who own and roles of owners":                   ownersOfDirectory,
	"MEM-6: isolated users join one organization":                isolatedUsers,
	"ROL-1: the organizations of a user, with the roles in each": userOrganizations,
	"ROL-1: the organizations of a user, filters that cannot be": userOrganizationsRefused,
}

var membershipRaces = map[string]race{
	"MEM-5: all owners leave": {setup: func(t *engineTest) func(int) error {
		o, owner := t.org("acme"), t.role("owner")
		users := t.many(t.userNumber)
		for _, user := range users {
			t.member(o.ID, user, owner)
		}
		t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{OwnerRole: &owner}))
		return func(i int) error {
			switch i % 6 {
			case 0:
				return second(t.Members.Remove(t.Context(), o.ID, users[i]))
			case 1:
				return second(t.Members.RemoveRoles(t.Context(), o.ID, users[i], owner))
			case 2:
				return second(t.Members.Suspend(t.Context(), o.ID, users[i]))
			case 3:
				return second(t.Members.Update(t.Context(), o.ID, users[i], orgstore.MemberUpdate{ExpiresAt: new(time.Now().Add(time.Hour))}))
			case 4:
				return second(t.Users.Delete(t.Context(), users[i]))
			}
			outcomes, _, err := t.Members.RemoveAll(t.Context(), o.ID, users[i:i+1])
			if err == nil {
				err = outcomes[0].Err
			}
			return err
		}
	}, most: racers - 1, lost: conflict("organization", "owner")},
	"MEM-6: an isolated user joins many organizations": {setup: func(t *engineTest) func(int) error {
		user := t.isolate(t.user("u"))
		orgs := t.many(func(i int) string { return t.org(fmt.Sprint("o", i)).ID })
		return func(i int) error {
			if i%2 == 0 {
				return second(t.Members.Add(t.Context(), orgs[i], user, orgstore.MemberOptions{}))
			}
			outcomes, _, err := t.Members.AddAll(t.Context(), orgs[i], []orgstore.MemberAdd{{User: user}})
			if err == nil {
				err = outcomes[0].Err
			}
			return err
		}
	}, most: 1, lost: conflict("user", "membership")},
	"members, many at once": {orgstore.Limits{Members: 70}, func(t *engineTest) func(int) error {
		o, users := t.org("acme"), t.directory(10*racers)
		return func(i int) error {
			var adds []orgstore.MemberAdd
			for _, user := range users[10*i : 10*i+10] {
				adds = append(adds, orgstore.MemberAdd{User: user})
			}
			outcomes, _, err := t.Members.AddAll(t.Context(), o.ID, adds)
			if err == nil {
				err = outcomes[9].Err
			}
			return err
		}
	}, 7, limit("members", 70), nil},
}

// isolate gives user an identity at a connection that isolates its users.
func (t *engineTest) isolate(user string) string {
	t.Helper()
	c, _, err := t.Connections.Create(t.Context(), orgstore.Connection{Name: "isolated", Strategy: "auth0", Isolated: true})
	t.ok(err)
	_, err = t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO orgauthz_identities (connection_id, id, user_id, number, origin, email, email_verified, email_key)
			VALUES ($1, 'x', $2, 1, '', '', 0, '')`, c.ID, user)
		return err
	})
	t.ok(err)
	return user
}

func (t *engineTest) outcomes(got []orgstore.Outcome, want ...string) {
	t.Helper()
	var list []string
	for _, o := range got {
		s := o.User + " " + fmt.Sprint(o.Changed)
		if o.Err != nil {
			s += " " + o.Err.Error()
		}
		list = append(list, s)
	}
	if !slices.Equal(list, want) {
		t.Errorf("outcomes:\n%s\nwant:\n%s", strings.Join(list, "\n"), strings.Join(want, "\n"))
	}
}

func membersAddAll(t *engineTest) {
	ctx := t.Context()
	o, other, a, b := t.org("acme"), t.org("other"), t.role("a"), t.role("b")
	users := t.directory(1200)
	t.member(o.ID, users[0], a)
	t.changed(t.Members.Add(ctx, o.ID, users[1], orgstore.MemberOptions{ExpiresAt: t.in(time.Hour), Roles: []string{b}}))
	t.clock.advance(time.Hour)
	var many []string
	for i := range 51 {
		many = append(many, t.role(fmt.Sprint("many ", i)))
	}
	n := len(t.events())
	with := func(user string, opts orgstore.MemberOptions) orgstore.MemberAdd {
		return orgstore.MemberAdd{User: user, MemberOptions: opts}
	}
	outcomes, result, err := t.Members.AddAll(ctx, o.ID, []orgstore.MemberAdd{
		with(users[0], orgstore.MemberOptions{Roles: []string{b}}),
		with(users[1], orgstore.MemberOptions{Kind: "guest"}),
		with(users[2], orgstore.MemberOptions{Roles: []string{b, a, b}, JoinedBy: "import", Metadata: map[string]string{"x": "y"}}),
		with(users[2], orgstore.MemberOptions{}),
		with("nobody", orgstore.MemberOptions{}),
		with("", orgstore.MemberOptions{}),
		with("u\x00", orgstore.MemberOptions{}),
		with(users[3], orgstore.MemberOptions{Roles: []string{a, "rol_0000000000000000"}}),
		with(users[4], orgstore.MemberOptions{Roles: many}),
		with(users[5], orgstore.MemberOptions{Kind: "owner", JoinedBy: "magic"}),
		with(users[6], orgstore.MemberOptions{ExpiresAt: t.in(-time.Hour)}),
		with(users[7], orgstore.MemberOptions{ExpiresAt: time.Unix(1<<60, 0)}),
		with(users[8], orgstore.MemberOptions{ExpiresAt: t.in(time.Hour)}),
	})
	t.changed(result, err)
	t.outcomes(outcomes, users[0]+" false", users[1]+" true", users[2]+" true", users[2]+" false",
		"nobody false orgstore: no such user", " false orgstore: no such user", "u\x00 false orgstore: no such user",
		users[3]+" false orgstore: no such role", users[4]+" false orgstore: more roles per member than the limit of 50",
		users[5]+" false orgstore: kind must be employee, freelancer, guest or other (MEM-4)\n"+
			"orgstore: joined_by must be admin, invitation, jit, contract, import or request (MEM-4)",
		users[6]+" false orgstore: expires_at must be in the future (LIFE-2)",
		users[7]+" false orgstore: expires_at must be after 1970 and before the year 10000 (LIFE-2)", users[8]+" true")
	if len(result.Revision) != 3 {
		t.Errorf("raised %v", result.Revision)
	}
	if want := []string{"organization.member.deleted", "organization.member.added", "organization.member.added", "organization.member.added"}; !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
	t.expired(t.events()[n])
	t.roles(o.ID, users[0], "a")
	t.roles(o.ID, users[1])
	t.roles(o.ID, users[2], "a", "b")
	if m, err := t.Members.Get(ctx, o.ID, users[2]); err != nil || m.JoinedBy != "import" || m.Metadata["x"] != "y" || m.Name != "User 2" {
		t.Errorf("member: %+v, %v", m, err)
	}

	// More than fit one statement.
	var adds []orgstore.MemberAdd
	for _, user := range users {
		adds = append(adds, with(user, orgstore.MemberOptions{Roles: []string{a, b}}))
	}
	outcomes, result, err = t.Members.AddAll(ctx, other.ID, adds)
	t.changed(result, err)
	if len(result.Revision) != len(users) || slices.ContainsFunc(outcomes, func(o orgstore.Outcome) bool { return !o.Changed || o.Err != nil }) {
		t.Errorf("%d scopes raised", len(result.Revision))
	}
	t.roles(other.ID, users[1199], "a", "b")
	_, result, err = t.Members.AddAll(ctx, other.ID, adds)
	t.unchanged(result, err)

	_, _, err = t.Members.AddAll(ctx, "org_0000000000000000", adds)
	t.notFound(err, "organization")
	_, _, err = t.Members.AddAll(ctx, o.ID, make([]orgstore.MemberAdd, 10_001))
	t.limit(err, "members per call", 10_000)
	_, result, err = t.Members.AddAll(ctx, o.ID, nil)
	t.unchanged(result, err)
	t.consistent()
}

func membersAddAllOnce(t *engineTest) {
	o, user := t.org("acme"), t.user("u")
	ctx := orgstore.WithIdempotencyKey(t.Context(), "k")
	adds := []orgstore.MemberAdd{{User: user}, {User: "nobody", MemberOptions: orgstore.MemberOptions{Kind: "owner"}}}
	first, result, err := t.Members.AddAll(ctx, o.ID, adds)
	t.changed(result, err)
	second, result, err := t.Members.AddAll(ctx, o.ID, adds)
	if err != nil || !result.Replayed || len(second) != 2 || second[0] != first[0] || !second[0].Changed {
		t.Errorf("again: %+v, %+v, %v", second, result, err)
	}
	t.invalid(second[1].Err, "kind", "owner")
	_, _, err = t.Members.AddAll(ctx, o.ID, adds[:1])
	t.conflict(err, "mutation", "idempotency_key")
}

func membersRemoveAll(t *engineTest) {
	ctx := t.Context()
	o, a := t.org("acme"), t.role("a")
	users := t.directory(1200)
	var adds []orgstore.MemberAdd
	for _, user := range users[:1100] {
		adds = append(adds, orgstore.MemberAdd{User: user, MemberOptions: orgstore.MemberOptions{Roles: []string{a}}})
	}
	_, result, err := t.Members.AddAll(ctx, o.ID, adds)
	t.changed(result, err)
	outcomes, result, err := t.Members.RemoveAll(ctx, o.ID, []string{users[0], users[1150], "nobody", "", "u\x00", users[0], users[1]})
	t.changed(result, err)
	t.outcomes(outcomes, users[0]+" true", users[1150]+" false", "nobody false", " false", "u\x00 false", users[0]+" false", users[1]+" true")
	if len(result.Revision) != 2 {
		t.Errorf("raised %v", result.Revision)
	}
	// Of several owners the last one stays.
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{OwnerRole: &a}))
	t.changed(t.Users.Block(ctx, users[1000]))
	outcomes, result, err = t.Members.RemoveAll(ctx, o.ID, users)
	t.changed(result, err)
	for i, oc := range outcomes {
		switch {
		case i == 1099:
			t.conflict(oc.Err, "organization", "owner")
		case oc.Err != nil || oc.Changed != (i > 1 && i < 1100):
			t.Errorf("%d: %+v", i, oc)
		}
	}
	page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].User != users[1099] {
		t.Errorf("left: %+v, %v", page, err)
	}
	_, _, err = t.Members.RemoveAll(ctx, "org_0000000000000000", users)
	t.notFound(err, "organization")
	_, _, err = t.Members.RemoveAll(ctx, o.ID, make([]string, 10_001))
	t.limit(err, "members per call", 10_000)
	t.consistent()
}

func ownerStays(t *engineTest) {
	ctx := t.Context()
	o, owner, guide := t.org("acme"), t.role("owner"), t.role("guide")
	t.user("a")
	t.user("b")
	t.member(o.ID, "a", owner)
	t.member(o.ID, "b", guide)
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{OwnerRole: &owner}))
	n := len(t.events())
	refused := func() {
		t.Helper()
		for name, err := range map[string]error{
			"remove":      second(t.Members.Remove(ctx, o.ID, "a")),
			"demote":      second(t.Members.RemoveRoles(ctx, o.ID, "a", owner)),
			"set":         second(t.Members.SetRoles(ctx, o.ID, "a", guide)),
			"suspend":     second(t.Members.Suspend(ctx, o.ID, "a")),
			"expire":      second(t.Members.Update(ctx, o.ID, "a", orgstore.MemberUpdate{ExpiresAt: new(t.in(time.Hour))})),
			"expire role": second(t.Members.Assign(ctx, o.ID, "a", orgstore.RoleAssignment{Role: owner, ExpiresAt: t.in(time.Hour)})),
			"delete user": second(t.Users.Delete(ctx, "a")),
		} {
			if err == nil {
				t.Errorf("%s was not refused", name)
			}
			t.conflict(err, "organization", "owner")
		}
	}
	refused()
	if got := t.types(n); len(got) != 0 {
		t.Errorf("refused mutations wrote %q", got)
	}
	t.changed(t.Members.SetRoles(ctx, o.ID, "a", owner, guide))
	t.changed(t.Members.AssignRoles(ctx, o.ID, "b", owner))
	t.changed(t.Users.Block(ctx, "b"))
	refused()
	t.changed(t.Users.Unblock(ctx, "b"))
	t.changed(t.Members.Remove(ctx, o.ID, "a"))
	_, err := t.Members.Remove(ctx, o.ID, "b")
	t.conflict(err, "organization", "owner")
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{OwnerRole: new("")}))
	t.changed(t.Members.Remove(ctx, o.ID, "b"))
}

func ownersOfDirectory(t *engineTest) {
	ctx := t.Context()
	o, owner, user := t.org("acme"), t.role("owner"), t.user("u")
	t.member(o.ID, user, owner)
	t.member(t.org("other").ID, user, owner)
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{OwnerRole: &owner}))
	_, err := t.Roles.Delete(ctx, owner)
	t.conflict(err, "role", "owner")
	_, err = t.Users.Delete(ctx, user)
	t.conflict(err, "organization", "owner")
	t.changed(t.Users.Block(ctx, user))
	t.changed(t.Users.ForceDelete(ctx, user))
	t.changed(t.Organizations.Delete(ctx, o.ID))
	t.changed(t.Roles.Delete(ctx, owner))
	t.consistent()
}

func isolatedUsers(t *engineTest) {
	ctx := t.Context()
	a, b, user := t.org("a"), t.org("b"), t.isolate(t.user("u"))
	t.user("free")
	for _, o := range []*orgstore.Organization{a, b} {
		t.member(o.ID, "free")
	}
	t.changed(t.Members.Add(ctx, a.ID, user, orgstore.MemberOptions{ExpiresAt: t.in(time.Hour)}))
	t.unchanged(t.Members.Add(ctx, a.ID, user, orgstore.MemberOptions{}))
	_, err := t.Members.Add(ctx, b.ID, user, orgstore.MemberOptions{})
	t.conflict(err, "user", "membership")
	outcomes, result, err := t.Members.AddAll(ctx, b.ID, []orgstore.MemberAdd{{User: user}})
	t.unchanged(result, err)
	t.conflict(outcomes[0].Err, "user", "membership")
	t.clock.advance(time.Hour)
	t.changed(t.Members.Add(ctx, b.ID, user, orgstore.MemberOptions{}))
	t.changed(t.Organizations.Delete(ctx, b.ID))
	t.changed(t.Members.Add(ctx, a.ID, user, orgstore.MemberOptions{}))
	t.changed(t.Members.Remove(ctx, a.ID, user))
	t.changed(t.Members.Add(ctx, t.org("c").ID, user, orgstore.MemberOptions{}))
}
