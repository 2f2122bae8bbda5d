package orgstoretest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var groupCases = cases{
	"GRP-1, GRP-5: a group's life":             groupsLife,
	"GRP-1, GRP-3, GRP-4: bad input":           groupsBadInput,
	"GRP-2: users of groups":                   groupsUsers,
	"GRP-3, GRP-4: groups of an organization":  groupsOrganizations,
	"GRP-1: lists":                             groupsLists,
	"GRP-2, GRP-4: what is raised":             groupsRaised,
	"GRP-5: what a deleted group leaves":       groupsLeft,
	"DEL-2, GRP-4: nobody grants more by them": groupsDelegated,
}

var groupRaces = map[string]race{
	"GRP-1: one name for groups": {setup: func(t *engineTest) func(int) error {
		con := t.connection("con", "samlp")
		return func(int) error {
			return third(t.Groups.Create(t.Context(), orgstore.Group{Connection: con, Name: "g"}))
		}
	}, most: 1, lost: conflict("group", "name")},
	"GRP-1: one id for groups": {setup: func(t *engineTest) func(int) error {
		con := t.connection("con", "samlp")
		return func(i int) error {
			return third(t.Groups.Create(t.Context(), orgstore.Group{ID: "grp_0000000000000000", Connection: con, Name: strconv.Itoa(i)}))
		}
	}, most: 1, lost: conflict("group", "id")},
	"GRP-4: roles of a group": {orgstore.Limits{RolesPerGroup: 6}, func(t *engineTest) func(int) error {
		o, roles, group := t.org("acme"), t.many(t.roleNumber), t.group(t.connection("con", "samlp"), "g")
		t.changed(t.Groups.Assign(t.Context(), o.ID, group))
		return func(i int) error { return second(t.Groups.AssignRoles(t.Context(), o.ID, group, roles[i])) }
	}, 6, limit("roles per group", 6), nil},
	"GRP-5: deleted while it is used": {setup: func(t *engineTest) func(int) error {
		con := t.connection("con", "samlp")
		o, role, user, group := t.org("acme"), t.role("r"), t.user("u"), t.group(con, "g")
		users := t.many(t.userNumber)
		t.changed(t.Groups.Assign(t.Context(), o.ID, group))
		return func(i int) error {
			var err error
			switch i % 4 {
			case 0:
				_, err = t.Groups.AddMember(t.Context(), group, users[i])
			case 1:
				_, err = t.Groups.SetOfUser(t.Context(), con, users[i], "g")
			case 2:
				_, err = t.Groups.AssignRoles(t.Context(), o.ID, group, role)
			case 3:
				if i == racers/2+3 {
					return second(t.Groups.Delete(t.Context(), group))
				}
				_, err = t.Groups.AddMember(t.Context(), group, user)
			}
			if err != nil {
				t.notFound(err, "group")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		if n, err := t.Clean(t.Context()); err != nil || n != 0 {
			t.Errorf("Clean found %d rows that were added to a deleted group, %v", n, err)
		}
	}},
}

// group makes a group, or ends the test.
func (t *engineTest) group(connection, name string) string {
	t.Helper()
	g, _, err := t.Groups.Create(t.Context(), orgstore.Group{Connection: connection, Name: name})
	t.ok(err)
	return g.ID
}

func groupsLife(t *engineTest) {
	ctx := t.Context()
	con, other := t.connection("con", "samlp"), t.connection("other", "samlp")
	g, result, err := t.Groups.Create(ctx, orgstore.Group{Connection: con, Name: "Guides", ExternalID: "ü-1"})
	t.changed(result, err)
	got, err := t.Groups.Get(ctx, g.ID)
	t.ok(err)
	byName, err := t.Groups.GetByName(ctx, con, "Guides")
	t.ok(err)
	if *got != *g || *byName != *g || g.ExternalID != "ü-1" || g.Connection != con {
		t.Errorf("got %+v and %+v, want %+v", got, byName, g)
	}
	_, err = t.Groups.GetByName(ctx, other, "Guides")
	t.notFound(err, "group")
	_, _, err = t.Groups.Create(ctx, orgstore.Group{Connection: con, Name: "Guides"})
	t.conflict(err, "group", "name")
	_, _, err = t.Groups.Create(ctx, orgstore.Group{ID: g.ID, Connection: con, Name: "x"})
	t.conflict(err, "group", "id")
	t.group(other, "Guides")
	t.group(con, "guides")
	t.unchanged(t.Groups.Update(ctx, g.ID, orgstore.GroupUpdate{}))
	t.unchanged(t.Groups.Update(ctx, g.ID, orgstore.GroupUpdate{Name: new("Guides")}))
	_, err = t.Groups.Update(ctx, g.ID, orgstore.GroupUpdate{Name: new("guides")})
	t.conflict(err, "group", "name")
	t.changed(t.Groups.Update(ctx, g.ID, orgstore.GroupUpdate{Name: new("Leaders"), ExternalID: new("")}))
	if got, err = t.Groups.Get(ctx, g.ID); err != nil || got.Name != "Leaders" || got.ExternalID != "" {
		t.Errorf("updated: %+v, %v", got, err)
	}
	_, err = t.Connections.Delete(ctx, con)
	t.invalid(err, "connection", "")
	t.changed(t.Groups.Delete(ctx, g.ID))
	t.unchanged(t.Groups.Delete(ctx, g.ID))
	_, err = t.Groups.Get(ctx, g.ID)
	t.notFound(err, "group")
	_, _, err = t.Groups.Create(ctx, orgstore.Group{ID: g.ID, Connection: con, Name: "x"})
	t.conflict(err, "group", "id")
	t.group(con, "Leaders")
}

func groupsBadInput(t *engineTest) {
	ctx := t.Context()
	con := t.connection("con", "samlp")
	o, user, role, group := t.org("acme"), t.user("u"), t.role("r"), t.group(con, "g")
	own := t.organizationRole(t.org("other").ID, "org:foreign", "")
	t.changed(t.Groups.Assign(ctx, o.ID, group))
	unassigned := t.group(con, "unassigned")
	check := t.nothingWritten()
	for _, name := range []string{"", "é", "a\nb", "\x00", "\xff", strings.Repeat("x", 129)} {
		_, _, err := t.Groups.Create(ctx, orgstore.Group{Connection: con, Name: name})
		t.invalid(err, "name", name)
		_, err = t.Groups.Update(ctx, group, orgstore.GroupUpdate{Name: &name})
		t.invalid(err, "name", name)
		_, err = t.Groups.GetByName(ctx, con, name)
		t.notFound(err, "group")
	}
	for _, id := range []string{"a\nb", "\x00", "\xff", strings.Repeat("x", 257)} {
		_, _, err := t.Groups.Create(ctx, orgstore.Group{Connection: con, Name: "x", ExternalID: id})
		t.invalid(err, "external_id", id)
		_, err = t.Groups.Update(ctx, group, orgstore.GroupUpdate{ExternalID: &id})
		t.invalid(err, "external_id", id)
	}
	_, _, err := t.Groups.Create(ctx, orgstore.Group{ID: "grp_", Connection: con, Name: "x"})
	t.invalid(err, "id", "")
	for _, con := range []string{"", "con_", "google", "con_0000000000000000", "\x00", strings.Repeat("c", 10_000)} {
		_, _, err := t.Groups.Create(ctx, orgstore.Group{Connection: con, Name: "x"})
		t.notFound(err, "connection")
		if len(con) != 20 {
			_, err = t.Groups.SetOfUser(ctx, con, user, "g")
			t.notFound(err, "connection")
		}
		_, err = t.Groups.GetByName(ctx, con, "g")
		t.notFound(err, "group")
	}
	for _, id := range []string{"", "g", "grp_0000000000000000", strings.ToUpper(group), "\x00", "\xff", strings.Repeat("g", 10_000)} {
		_, err := t.Groups.Get(ctx, id)
		t.notFound(err, "group")
		_, err = t.Groups.Update(ctx, id, orgstore.GroupUpdate{Name: new("x")})
		t.notFound(err, "group")
		t.unchanged(t.Groups.Delete(ctx, id))
		_, err = t.Groups.AddMember(ctx, id, user)
		t.notFound(err, "group")
		_, err = t.Groups.RemoveMember(ctx, id, user)
		t.notFound(err, "group")
		_, err = t.Groups.Members(ctx, id, orgstore.ListOptions{})
		t.notFound(err, "group")
		_, err = t.Groups.Assign(ctx, o.ID, id)
		t.notFound(err, "group")
		_, err = t.Groups.Unassign(ctx, o.ID, id)
		t.notFound(err, "group")
		_, err = t.Groups.AssignRoles(ctx, o.ID, id, role)
		t.notFound(err, "group")
		_, err = t.Groups.RemoveRoles(ctx, o.ID, id, role)
		t.notFound(err, "group")
		_, err = t.Groups.Roles(ctx, o.ID, id)
		t.notFound(err, "group")
	}
	for _, org := range []string{"", "acme", "org_0000000000000000", strings.ToUpper(o.ID), "\x00", strings.Repeat("o", 10_000)} {
		_, err := t.Groups.Assign(ctx, org, group)
		t.notFound(err, "organization")
		_, err = t.Groups.Unassign(ctx, org, group)
		t.notFound(err, "organization")
		_, err = t.Groups.AssignRoles(ctx, org, group, role)
		t.notFound(err, "organization")
		_, err = t.Groups.Roles(ctx, org, group)
		t.notFound(err, "organization")
		if org != "" {
			_, err = t.Groups.List(ctx, orgstore.GroupListOptions{Organization: org})
			t.notFound(err, "organization")
		}
	}
	for _, user := range []string{"", "nobody", "\x00", "\xff", strings.Repeat("u", 10_000)} {
		_, err := t.Groups.AddMember(ctx, group, user)
		t.notFound(err, "user")
		_, err = t.Groups.SetOfUser(ctx, con, user, "g")
		t.notFound(err, "user")
		t.unchanged(t.Groups.RemoveMember(ctx, group, user))
	}
	for _, role := range []string{"", "r", "rol_0000000000000000", own, "\x00"} {
		_, err := t.Groups.AssignRoles(ctx, o.ID, group, role)
		t.notFound(err, "role")
		t.unchanged(t.Groups.RemoveRoles(ctx, o.ID, group, role))
	}
	_, err = t.Groups.AssignRoles(ctx, o.ID, unassigned, role)
	t.notFound(err, "group")
	_, err = t.Groups.Roles(ctx, o.ID, unassigned)
	t.notFound(err, "group")
	for _, name := range []string{"\x00", "\xff", strings.Repeat("n", 1025)} {
		_, err = t.Groups.SetOfUser(ctx, con, user, "fine", name)
		t.invalid(err, "names", name)
	}
	for field, opts := range map[string]orgstore.GroupListOptions{
		"Query":      {Query: "a\x00"},
		"Connection": {Connection: "google"},
		"User":       {User: "\x00"},
		"Role":       {Role: role},
		"After":      {ListOptions: orgstore.ListOptions{After: "bogus"}},
	} {
		_, err := t.Groups.List(ctx, opts)
		t.invalid(err, field, "")
	}
	_, err = t.Groups.Members(ctx, group, orgstore.ListOptions{After: "bogus"})
	t.invalid(err, "After", "")
	check()
}

// groupsOf checks which groups a list has, by name.
func (t *engineTest) groupsOf(opts orgstore.GroupListOptions, want ...string) {
	t.Helper()
	opts.Sort, opts.Limit, opts.Total = orgstore.SortName, 2, true
	var got []string
	for {
		page, err := t.Groups.List(t.Context(), opts)
		t.ok(err)
		if page.Total != len(want) {
			t.Errorf("total %d, want %d", page.Total, len(want))
		}
		for _, g := range page.Items {
			got = append(got, g.Name)
		}
		if opts.After = page.Next; opts.After == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("groups %q, want %q", got, want)
	}
}

func groupsUsers(t *engineTest) {
	ctx := t.Context()
	con, other, user := t.connection("con", "samlp"), t.connection("other", "samlp"), t.user("u")
	a, elsewhere := t.group(con, "a"), t.group(other, "b")
	for _, name := range []string{"b", "c"} {
		t.group(con, name)
	}
	of := func(want ...string) {
		t.Helper()
		t.groupsOf(orgstore.GroupListOptions{User: user, Connection: con}, want...)
	}
	t.changed(t.Groups.AddMember(ctx, elsewhere, user))
	t.changed(t.Groups.AddMember(ctx, a, user))
	t.unchanged(t.Groups.AddMember(ctx, a, user))
	of("a")
	result, err := t.Groups.SetOfUser(ctx, con, user, "b", "c", "unknown", "é", "b")
	t.changed(result, err)
	of("b", "c")
	if len(result.Revision) != 1 || result.Revision[0].Scope != orgstore.UserScope(user) {
		t.Errorf("raised %v", result.Revision)
	}
	t.unchanged(t.Groups.SetOfUser(ctx, con, user, "c", "b"))
	t.changed(t.Groups.SetOfUser(ctx, con, user, "c", "a"))
	t.changed(t.Groups.RemoveMember(ctx, a, user))
	t.unchanged(t.Groups.RemoveMember(ctx, a, user))
	of("c")
	t.changed(t.Groups.SetOfUser(ctx, con, user))
	of()
	t.groupsOf(orgstore.GroupListOptions{User: user}, "b") // of the other connection
	page, err := t.Groups.Members(ctx, elsewhere, orgstore.ListOptions{Total: true})
	if err != nil || page.Total != 1 || len(page.Items) != 1 || page.Items[0].User != user {
		t.Errorf("members: %+v, %v", page, err)
	}
	// It ends with the user, and does not come back with the id.
	t.changed(t.Users.Delete(ctx, user))
	t.user(user)
	t.groupsOf(orgstore.GroupListOptions{User: user})
	var many []string
	for i := range 1001 {
		many = append(many, strconv.Itoa(i))
	}
	_, err = t.Groups.SetOfUser(ctx, con, user, many...)
	t.limit(err, "groups per user", 1000)
	t.unchanged(t.Groups.SetOfUser(ctx, con, user, many[:1000]...))
}

func groupsOrganizations(t *engineTest) {
	ctx := t.Context()
	o, other, con := t.org("acme"), t.org("other"), t.connection("con", "samlp")
	group, own := t.group(con, "g"), t.organizationRole(o.ID, "org:own", "")
	a, b := t.role("a"), t.role("b")
	names := func(org string, want ...string) {
		t.Helper()
		roles, err := t.Groups.Roles(ctx, org, group)
		t.ok(err)
		var got []string
		for _, r := range roles {
			got = append(got, r.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("roles %q, want %q", got, want)
		}
	}
	for _, org := range []string{o.ID, other.ID} {
		t.changed(t.Groups.Assign(ctx, org, group))
		t.unchanged(t.Groups.Assign(ctx, org, group))
	}
	t.unchanged(t.Groups.AssignRoles(ctx, o.ID, group))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, b, own, b))
	t.unchanged(t.Groups.AssignRoles(ctx, o.ID, group, own))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, a))
	names(o.ID, "a", "b", "org:own")
	names(other.ID)
	_, err := t.Groups.AssignRoles(ctx, other.ID, group, own)
	t.notFound(err, "role")
	t.changed(t.Groups.RemoveRoles(ctx, o.ID, group, a, "nonsense"))
	t.changed(t.Roles.Delete(ctx, b))
	names(o.ID, "org:own")
	var many []string
	for i := range 10 {
		many = append(many, t.role(fmt.Sprint("role ", i)))
	}
	_, err = t.Groups.AssignRoles(ctx, o.ID, group, many...)
	t.limit(err, "roles per group", 10)
	names(o.ID, "org:own")
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, many[:9]...))
	_, err = t.Groups.AssignRoles(ctx, o.ID, group, many[9])
	t.limit(err, "roles per group", 10)
	// Taking the group away takes its roles.
	t.changed(t.Groups.Unassign(ctx, o.ID, group))
	t.unchanged(t.Groups.Unassign(ctx, o.ID, group))
	t.changed(t.Groups.Assign(ctx, o.ID, group))
	names(o.ID)
}

func groupsLists(t *engineTest) {
	ctx := t.Context()
	o, other, con := t.org("acme"), t.org("other"), t.connection("con", "samlp")
	user, role := t.user("u"), t.role("r")
	a, b, c := t.group(con, "ant"), t.group(t.connection("other", "samlp"), "bee"), t.group(con, "be%")
	t.group(con, "Cat")
	for _, group := range []string{a, b, c} {
		t.changed(t.Groups.Assign(ctx, o.ID, group))
	}
	t.changed(t.Groups.Assign(ctx, other.ID, a))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, a, role))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, b, role))
	t.changed(t.Groups.AssignRoles(ctx, other.ID, a, role))
	t.changed(t.Groups.AddMember(ctx, b, user))
	t.changed(t.Groups.AddMember(ctx, c, user))
	t.groupsOf(orgstore.GroupListOptions{}, "Cat", "ant", "be%", "bee")
	t.groupsOf(orgstore.GroupListOptions{Query: "be"}, "be%", "bee")
	t.groupsOf(orgstore.GroupListOptions{Connection: con, Query: "be"}, "be%")
	t.groupsOf(orgstore.GroupListOptions{Organization: o.ID}, "ant", "be%", "bee")
	t.groupsOf(orgstore.GroupListOptions{Organization: o.ID, Role: role}, "ant", "bee")
	t.groupsOf(orgstore.GroupListOptions{Organization: o.ID, Role: role, User: user}, "bee")
	t.groupsOf(orgstore.GroupListOptions{Organization: other.ID, User: user})
	t.groupsOf(orgstore.GroupListOptions{User: user}, "be%", "bee")
	t.changed(t.Roles.Delete(ctx, role))
	t.groupsOf(orgstore.GroupListOptions{Organization: o.ID, Role: role})
}

func groupsRaised(t *engineTest) {
	ctx := t.Context()
	o, user, role, group := t.org("acme"), t.user("u"), t.role("r"), t.group(t.connection("con", "samlp"), "g")
	organization, ofUser, ofGroup := orgstore.OrganizationScope(o.ID), orgstore.UserScope(user), orgstore.Scope{Kind: orgstore.ScopeGroup, ID: group}
	var types []string
	for _, step := range []struct {
		mutate func() (orgstore.Result, error)
		scope  orgstore.Scope
		event  string
	}{
		{func() (orgstore.Result, error) { return t.Groups.AddMember(ctx, group, user) }, ofUser, "group.member.added"},
		{func() (orgstore.Result, error) { return t.Groups.Assign(ctx, o.ID, group) }, organization, "organization.group.added"},
		{func() (orgstore.Result, error) { return t.Groups.AssignRoles(ctx, o.ID, group, role) }, organization, "organization.group.role.assigned"},
		{func() (orgstore.Result, error) { return t.Groups.RemoveRoles(ctx, o.ID, group, role) }, organization, "organization.group.role.deleted"},
		{func() (orgstore.Result, error) { return t.Groups.Unassign(ctx, o.ID, group) }, organization, "organization.group.removed"},
		{func() (orgstore.Result, error) { return t.Groups.RemoveMember(ctx, group, user) }, ofUser, "group.member.deleted"},
		{func() (orgstore.Result, error) {
			return t.Groups.Update(ctx, group, orgstore.GroupUpdate{Name: new("x")})
		}, ofGroup, "group.updated"},
		{func() (orgstore.Result, error) { return t.Groups.Delete(ctx, group) }, ofGroup, "group.deleted"},
	} {
		result, err := step.mutate()
		t.changed(result, err)
		if len(result.Revision) != 1 || result.Revision[0].Scope != step.scope {
			t.Errorf("%s raised %v", step.event, result.Revision)
		}
		types = append(types, step.event)
	}
	events := t.events()
	events = events[len(events)-len(types):]
	for i, e := range events {
		org := ""
		if strings.HasPrefix(types[i], "organization.") {
			org = o.ID
		}
		if e.Type != types[i] || e.Organization != org {
			t.Errorf("event %+v, want %s of %q", e, types[i], org)
		}
	}
}

func groupsLeft(t *engineTest) {
	ctx := t.Context()
	o, gone, user, role, group := t.org("acme"), t.org("gone"), t.user("u"), t.role("r"), t.group(t.connection("con", "samlp"), "g")
	for _, org := range []string{o.ID, gone.ID} {
		t.changed(t.Groups.Assign(ctx, org, group))
		t.changed(t.Groups.AssignRoles(ctx, org, group, role))
	}
	t.changed(t.Groups.AddMember(ctx, group, user))
	t.changed(t.Organizations.Delete(ctx, gone.ID))
	t.changed(t.Groups.Delete(ctx, group))
	t.groupsOf(orgstore.GroupListOptions{Organization: o.ID})
	t.groupsOf(orgstore.GroupListOptions{User: user})
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows, %v", n, err)
	}
}

func groupsDelegated(t *engineTest) {
	ctx := t.Context()
	o, con := t.org("acme"), t.connection("con", "samlp")
	group, strong := t.group(con, "g"), t.role("strong", "root")
	admin := t.role("admin", "a", "create:organization_groups", "delete:organization_groups", "create:organization_group_roles", "create:groups")
	t.member(o.ID, t.user("admin"), admin)
	as := t.As(orgstore.Actor{User: "admin"})
	denied := func(err error) { t.Helper(); t.is(err, orgstore.ErrDenied) }
	t.changed(as.Groups.Assign(ctx, o.ID, group))
	check := t.nothingWritten()
	_, err := as.Groups.AssignRoles(ctx, o.ID, group, strong)
	denied(err)
	_, err = as.Groups.RemoveRoles(ctx, o.ID, group, strong)
	denied(err)
	_, err = as.Groups.AddMember(ctx, group, "admin")
	denied(err)
	_, err = as.Groups.SetOfUser(ctx, con, "admin", "g")
	denied(err)
	_, _, err = as.Groups.Create(ctx, orgstore.Group{Connection: con, Name: "x"})
	denied(err)
	_, err = as.Groups.Delete(ctx, group)
	denied(err)
	check()
	t.changed(as.Groups.AssignRoles(ctx, o.ID, group, t.role("weak", "a")))
	t.changed(as.Groups.Unassign(ctx, o.ID, group))
}
