package orgstoretest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var teamCases = cases{
	"TEAM-1, TEAM-5: a team's life":                      teamsLife,
	"TEAM-1: bad input":                                  teamsBadInput,
	"TEAM-1: lists":                                      teamsLists,
	"TEAM-2: nesting":                                    teamsNesting,
	"TEAM-3: roles of a team":                            teamsRoles,
	"TEAM-4: members of a team":                          teamsMembers,
	"TEAM-3, TEAM-4: what is raised":                     teamsRaised,
	"TEAM-1, TEAM-3: ends with its organization":         teamsEndWithOrganization,
	"DEL-2, TEAM-2, TEAM-4: nobody grants by teams more": teamsDelegated,
}

// team makes a team, or ends the test.
func (t *engineTest) team(org, name, parent string) string {
	t.Helper()
	made, _, err := t.Teams.Create(t.Context(), orgstore.Team{Organization: org, Name: name, Parent: parent})
	t.ok(err)
	return made.ID
}

func teamsLife(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	team, result, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "Guides", Description: "show the way"})
	t.changed(result, err)
	got, err := t.Teams.Get(ctx, o.ID, team.ID)
	t.ok(err)
	if *got != *team || got.Organization != o.ID || got.Description != "show the way" || got.CreatedAt.IsZero() || got.Parent != "" {
		t.Errorf("got %+v, want %+v", got, team)
	}
	_, err = t.Teams.Get(ctx, other.ID, team.ID)
	t.notFound(err, "team")
	_, _, err = t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "Guides"})
	t.conflict(err, "team", "name")
	t.team(other.ID, "Guides", "")
	_, _, err = t.Teams.Create(ctx, orgstore.Team{Organization: other.ID, Name: "x", ID: team.ID})
	t.conflict(err, "team", "id")

	t.unchanged(t.Teams.Update(ctx, o.ID, team.ID, orgstore.TeamUpdate{}))
	t.unchanged(t.Teams.Update(ctx, o.ID, team.ID, orgstore.TeamUpdate{Name: new("Guides"), Parent: new("")}))
	_, err = t.Teams.Update(ctx, other.ID, team.ID, orgstore.TeamUpdate{Name: new("x")})
	t.notFound(err, "team")
	taken := t.team(o.ID, "taken", "")
	_, err = t.Teams.Update(ctx, o.ID, team.ID, orgstore.TeamUpdate{Name: new("taken")})
	t.conflict(err, "team", "name")
	t.changed(t.Teams.Update(ctx, o.ID, team.ID, orgstore.TeamUpdate{Name: new("guides"), Description: new("")}))
	if got, err = t.Teams.Get(ctx, o.ID, team.ID); err != nil || got.Name != "guides" || got.Description != "" {
		t.Errorf("updated: %+v, %v", got, err)
	}

	t.unchanged(t.Teams.Delete(ctx, other.ID, team.ID))
	t.changed(t.Teams.Update(ctx, o.ID, taken, orgstore.TeamUpdate{Parent: &team.ID}))
	_, err = t.Teams.Delete(ctx, o.ID, team.ID)
	t.invalid(err, "team", "")
	t.changed(t.Teams.Delete(ctx, o.ID, taken))
	t.changed(t.Teams.Delete(ctx, o.ID, team.ID))
	t.unchanged(t.Teams.Delete(ctx, o.ID, team.ID))
	_, err = t.Teams.Get(ctx, o.ID, team.ID)
	t.notFound(err, "team")
	_, _, err = t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x", ID: team.ID})
	t.conflict(err, "team", "id")
	t.team(o.ID, "guides", "")
}

func teamsBadInput(t *engineTest) {
	ctx := t.Context()
	o, other, user := t.org("acme"), t.org("other"), t.user("u")
	t.member(o.ID, user)
	team, foreign := t.team(o.ID, "team", ""), t.team(other.ID, "team", "")
	role := t.role("r")
	check := t.nothingWritten()
	for _, name := range []string{"", " x", "x ", "a\nb", "\x00", "\xff", strings.Repeat("x", 101)} {
		_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: name})
		t.invalid(err, "name", name)
		_, err = t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Name: &name})
		t.invalid(err, "name", name)
	}
	for _, text := range []string{"a\nb", "\x00", "\xff", strings.Repeat("x", 256)} {
		_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x", Description: text})
		t.invalid(err, "description", text)
		_, err = t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Description: &text})
		t.invalid(err, "description", text)
	}
	for _, id := range []string{"team_", "x", "team_000000000000000\x00", o.ID} {
		_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x", ID: id})
		t.invalid(err, "id", id)
	}
	for _, parent := range []string{"x", "team_0000000000000000", foreign, o.ID, "\x00", "\xff", strings.Repeat("t", 10_000)} {
		_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x", Parent: parent})
		t.notFound(err, "parent")
		_, err = t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Parent: &parent})
		t.notFound(err, "parent")
	}
	for _, id := range []string{"", "x", "team_0000000000000000", foreign, strings.ToUpper(team), "\x00", "\xff", strings.Repeat("t", 10_000)} {
		_, err := t.Teams.Get(ctx, o.ID, id)
		t.notFound(err, "team")
		_, err = t.Teams.Update(ctx, o.ID, id, orgstore.TeamUpdate{Name: new("x")})
		t.notFound(err, "team")
		t.unchanged(t.Teams.Delete(ctx, o.ID, id))
		_, err = t.Teams.AssignRoles(ctx, o.ID, id, role)
		t.notFound(err, "team")
		_, err = t.Teams.RemoveRoles(ctx, o.ID, id, role)
		t.notFound(err, "team")
		_, err = t.Teams.Roles(ctx, o.ID, id)
		t.notFound(err, "team")
		_, err = t.Teams.AddMember(ctx, o.ID, id, user)
		t.notFound(err, "team")
		_, err = t.Teams.RemoveMember(ctx, o.ID, id, user)
		t.notFound(err, "team")
		_, err = t.Teams.Members(ctx, o.ID, id, orgstore.ListOptions{})
		t.notFound(err, "team")
	}
	for _, org := range []string{"", "acme", "org_0000000000000000", strings.ToUpper(o.ID), "\x00", "\xff", strings.Repeat("o", 10_000)} {
		_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: org, Name: "x"})
		t.notFound(err, "organization")
		_, err = t.Teams.List(ctx, org, orgstore.TeamListOptions{})
		t.notFound(err, "organization")
		_, err = t.Teams.Get(ctx, org, team)
		t.notFound(err, "team")
		_, err = t.Teams.AddMember(ctx, org, team, user)
		t.notFound(err, "team")
		_, err = t.Teams.AssignRoles(ctx, org, team, role)
		t.notFound(err, "team")
	}
	for _, user := range []string{"", "nobody", "U", "\x00", "\xff", strings.Repeat("u", 10_000)} {
		_, err := t.Teams.AddMember(ctx, o.ID, team, user)
		t.notFound(err, "member")
		t.unchanged(t.Teams.RemoveMember(ctx, o.ID, team, user))
	}
	check()
	own := t.organizationRole(other.ID, "org:foreign", "")
	check = t.nothingWritten()
	for _, role := range []string{"", "r", "rol_0000000000000000", own, "\x00", strings.Repeat("r", 10_000)} {
		_, err := t.Teams.AssignRoles(ctx, o.ID, team, role)
		t.notFound(err, "role")
		t.unchanged(t.Teams.RemoveRoles(ctx, o.ID, team, role))
	}
	for field, opts := range map[string]orgstore.TeamListOptions{
		"Query":  {Query: "a\x00"},
		"Parent": {Parent: "x"},
		"Member": {Member: "\x00"},
		"After":  {ListOptions: orgstore.ListOptions{After: "bogus"}},
		"Limit":  {ListOptions: orgstore.ListOptions{Limit: 1001}},
		"Sort":   {ListOptions: orgstore.ListOptions{Sort: "members"}},
	} {
		_, err := t.Teams.List(ctx, o.ID, opts)
		t.invalid(err, field, "")
	}
	_, err := t.Teams.Members(ctx, o.ID, team, orgstore.ListOptions{After: "bogus"})
	t.invalid(err, "After", "")
	check()
}

func teamsLists(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	user := t.user("u")
	t.member(o.ID, user)
	a, b, c, d := t.team(o.ID, "ant", ""), t.team(o.ID, "bee", ""), t.team(o.ID, "Cat", ""), t.team(o.ID, "be%", "")
	for _, team := range []string{b, c} {
		t.changed(t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Parent: &a}))
	}
	t.changed(t.Teams.AddMember(ctx, o.ID, c, user))
	t.changed(t.Teams.AddMember(ctx, o.ID, d, user))
	gone := t.team(o.ID, "gone", "")
	t.changed(t.Teams.AddMember(ctx, o.ID, gone, user))
	t.changed(t.Teams.Delete(ctx, o.ID, gone))
	byName := orgstore.ListOptions{Sort: orgstore.SortName, Total: true, Limit: 2}
	byCreated := orgstore.ListOptions{Sort: orgstore.SortCreated, Total: true, Limit: 3}
	downwards := orgstore.ListOptions{Sort: orgstore.SortName, Descending: true, Total: true, Limit: 1}
	for name, test := range map[string]struct {
		opts orgstore.TeamListOptions
		want []string
	}{
		"all":        {orgstore.TeamListOptions{ListOptions: byName}, []string{c, a, d, b}},
		"created":    {orgstore.TeamListOptions{ListOptions: byCreated}, []string{a, b, c, d}},
		"descending": {orgstore.TeamListOptions{ListOptions: downwards}, []string{b, d, a, c}},
		"by name":    {orgstore.TeamListOptions{ListOptions: byName, Query: "be"}, []string{d, b}},
		"below":      {orgstore.TeamListOptions{ListOptions: byName, Parent: a}, []string{c, b}},
		"member":     {orgstore.TeamListOptions{ListOptions: byName, Member: user}, []string{c, d}},
		"together":   {orgstore.TeamListOptions{ListOptions: byName, Member: user, Parent: a, Query: "C"}, []string{c}},
		"nobody":     {orgstore.TeamListOptions{ListOptions: byName, Member: "nobody"}, nil},
	} {
		var got []string
		for opts := test.opts; ; {
			page, err := t.Teams.List(ctx, o.ID, opts)
			t.ok(err)
			if page.Total != len(test.want) {
				t.Errorf("%s: total %d", name, page.Total)
			}
			for _, team := range page.Items {
				got = append(got, team.ID)
			}
			if opts.After = page.Next; opts.After == "" {
				break
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func teamsNesting(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	var chain []string
	parent := ""
	for i := range 5 {
		parent = t.team(o.ID, strconv.Itoa(i), parent)
		chain = append(chain, parent)
	}
	_, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "deep", Parent: parent})
	t.limit(err, "levels of teams", 5)
	for _, below := range chain {
		_, err = t.Teams.Update(ctx, o.ID, chain[0], orgstore.TeamUpdate{Parent: &below})
		t.invalid(err, "parent_id", "")
	}
	// What is moved counts with all that is below it.
	top := t.team(o.ID, "top", "")
	_, err = t.Teams.Update(ctx, o.ID, chain[0], orgstore.TeamUpdate{Parent: &top})
	t.limit(err, "levels of teams", 5)
	t.changed(t.Teams.Delete(ctx, o.ID, chain[4]))
	result, err := t.Teams.Update(ctx, o.ID, chain[0], orgstore.TeamUpdate{Parent: &top})
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("a move raised %v", result.Revision)
	}
	t.changed(t.Teams.Update(ctx, o.ID, chain[2], orgstore.TeamUpdate{Parent: new("")}))
	t.changed(t.Teams.Update(ctx, o.ID, top, orgstore.TeamUpdate{Parent: &chain[3]}))
	t.acyclic()
}

func teamsRoles(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	team, own := t.team(o.ID, "guides", ""), t.organizationRole(o.ID, "org:own", "")
	a, b := t.role("a"), t.role("b")
	names := func(want ...string) {
		t.Helper()
		roles, err := t.Teams.Roles(ctx, o.ID, team)
		t.ok(err)
		var got []string
		for _, r := range roles {
			got = append(got, r.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("roles %q, want %q", got, want)
		}
	}
	t.unchanged(t.Teams.AssignRoles(ctx, o.ID, team))
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team, b, own, b))
	t.unchanged(t.Teams.AssignRoles(ctx, o.ID, team, b))
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team, a, b))
	names("a", "b", "org:own")
	_, err := t.Teams.AssignRoles(ctx, o.ID, team, t.role("c"), "rol_0000000000000000")
	t.notFound(err, "role")
	t.changed(t.Teams.RemoveRoles(ctx, o.ID, team, a, "rol_0000000000000000"))
	names("b", "org:own")
	t.changed(t.Roles.Delete(ctx, b))
	names("org:own")
	// Roles that were deleted do not count.
	var many []string
	for i := range 50 {
		many = append(many, t.role(fmt.Sprint("role ", i)))
	}
	_, err = t.Teams.AssignRoles(ctx, o.ID, team, many...)
	t.limit(err, "roles per team", 50)
	names("org:own")
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team, many[:49]...))
	_, err = t.Teams.AssignRoles(ctx, o.ID, team, many[49])
	t.limit(err, "roles per team", 50)
}

func teamsMembers(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	team := t.team(o.ID, "guides", "")
	for _, user := range []string{"c", "a", "b"} {
		_, _, err := t.Users.Create(ctx, orgstore.User{ID: user, Email: user + "@example.com", Name: strings.ToUpper(user)})
		t.ok(err)
		_, err = t.Teams.AddMember(ctx, o.ID, team, user)
		t.notFound(err, "member")
		t.member(o.ID, user)
		t.member(other.ID, user)
		t.changed(t.Teams.AddMember(ctx, o.ID, team, user))
		t.unchanged(t.Teams.AddMember(ctx, o.ID, team, user))
	}
	members := func(want ...string) {
		t.Helper()
		var got []string
		for opts := (orgstore.ListOptions{Limit: 2, Total: true}); ; {
			page, err := t.Teams.Members(ctx, o.ID, team, opts)
			t.ok(err)
			for _, m := range page.Items {
				if got = append(got, m.User); m.Email != m.User+"@example.com" || m.Name != strings.ToUpper(m.User) {
					t.Errorf("member %+v", m)
				}
			}
			if opts.After = page.Next; opts.After == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("members %q, want %q", got, want)
		}
	}
	members("a", "b", "c")
	t.changed(t.Teams.RemoveMember(ctx, o.ID, team, "a"))
	t.unchanged(t.Teams.RemoveMember(ctx, o.ID, team, "a"))
	t.changed(t.Members.Remove(ctx, other.ID, "b"))
	members("b", "c")
	// It ends with the membership, and does not come back with it.
	t.changed(t.Members.Remove(ctx, o.ID, "b"))
	t.member(o.ID, "b")
	t.changed(t.Users.Delete(ctx, "c"))
	members()
	for i := range 50 {
		t.changed(t.Teams.AddMember(ctx, o.ID, t.team(o.ID, strconv.Itoa(i), ""), "a"))
	}
	_, err := t.Teams.AddMember(ctx, o.ID, team, "a")
	t.limit(err, "teams per member", 50)
	first, err := t.Teams.List(ctx, o.ID, orgstore.TeamListOptions{Query: "0"})
	t.ok(err)
	t.changed(t.Teams.Delete(ctx, o.ID, first.Items[0].ID))
	t.changed(t.Teams.AddMember(ctx, o.ID, team, "a"))
}

func teamsRaised(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.member(o.ID, user)
	team, above := t.team(o.ID, "guides", ""), t.team(o.ID, "above", "")
	ofTeam, ofMember := orgstore.TeamScope(team), orgstore.MembershipScope(o.ID, user)
	var types []string
	for _, step := range []struct {
		mutate func() (orgstore.Result, error)
		scope  orgstore.Scope
		event  string
	}{
		{func() (orgstore.Result, error) { return t.Teams.AddMember(ctx, o.ID, team, user) }, ofMember, "organization.member.team.added"},
		{func() (orgstore.Result, error) { return t.Teams.AssignRoles(ctx, o.ID, team, role) }, ofTeam, "organization.team.role.assigned"},
		{func() (orgstore.Result, error) {
			return t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Parent: &above})
		}, ofTeam, "organization.team.updated"},
		{func() (orgstore.Result, error) { return t.Teams.RemoveRoles(ctx, o.ID, team, role) }, ofTeam, "organization.team.role.deleted"},
		{func() (orgstore.Result, error) { return t.Teams.RemoveMember(ctx, o.ID, team, user) }, ofMember, "organization.member.team.deleted"},
		{func() (orgstore.Result, error) { return t.Teams.Delete(ctx, o.ID, team) }, ofTeam, "organization.team.deleted"},
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
		if e.Type != types[i] || e.Organization != o.ID {
			t.Errorf("event %+v, want %s", e, types[i])
		}
	}
	if got := string(events[0].Before) + string(events[0].After); got != `{"teams":null}{"teams":["`+team+`"]}` {
		t.Errorf("the event of a member: %s", got)
	}
	if got := string(events[1].Before) + string(events[1].After); got != `{"roles":null}{"roles":["`+role+`"]}` {
		t.Errorf("the event of a role: %s", got)
	}
}

func teamsEndWithOrganization(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.member(o.ID, user)
	above := t.team(o.ID, "above", "")
	team := t.team(o.ID, "guides", above)
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team, role))
	t.changed(t.Teams.AddMember(ctx, o.ID, team, user))
	result, err := t.Organizations.Delete(ctx, o.ID)
	t.changed(result, err)
	if len(result.Revision) != 2 {
		t.Errorf("raised %v", result.Revision)
	}
	_, err = t.Teams.Get(ctx, o.ID, team)
	t.notFound(err, "team")
	_, err = t.Teams.List(ctx, o.ID, orgstore.TeamListOptions{})
	t.notFound(err, "organization")
	_, err = t.Teams.AssignRoles(ctx, o.ID, team, role)
	t.notFound(err, "team")
	t.unchanged(t.Teams.Delete(ctx, o.ID, team))
	_, _, err = t.Teams.Create(ctx, orgstore.Team{Organization: t.org("new").ID, ID: team, Name: "x"})
	t.conflict(err, "team", "id")
	if n, err := t.Clean(ctx); err != nil || n != 1 {
		t.Errorf("Clean found %d rows, want the role of the team; %v", n, err)
	}
}

func teamsDelegated(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	admin, strong := t.role("admin", "a", "create:organization_teams", "update:organization_teams", "delete:organization_teams",
		"create:organization_team_roles", "delete:organization_team_roles", "create:organization_team_members",
		"delete:organization_team_members"), t.role("strong", "root")
	weak := t.role("weak", "a")
	t.member(o.ID, t.user("admin"), admin)
	above, team := t.team(o.ID, "above", ""), t.team(o.ID, "team", "")
	below := t.team(o.ID, "below", above)
	t.changed(t.Teams.AssignRoles(ctx, o.ID, above, strong))
	as := t.As(orgstore.Actor{User: "admin"})
	denied := func(err error) { t.Helper(); t.is(err, orgstore.ErrDenied) }
	check := t.nothingWritten()
	_, err := as.Teams.AssignRoles(ctx, o.ID, team, strong)
	denied(err)
	_, err = as.Teams.AddMember(ctx, o.ID, above, user)
	denied(err)
	_, err = as.Teams.AddMember(ctx, o.ID, below, user) // roles come from above
	denied(err)
	_, err = as.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Parent: &below})
	denied(err)
	nobody := t.As(orgstore.Actor{User: user})
	_, _, err = nobody.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x"})
	denied(err)
	_, err = nobody.Teams.AddMember(ctx, o.ID, team, user)
	denied(err)
	_, err = nobody.Teams.RemoveRoles(ctx, o.ID, above, strong)
	denied(err)
	_, err = nobody.Teams.Delete(ctx, o.ID, team)
	denied(err)
	check()
	t.changed(as.Teams.AssignRoles(ctx, o.ID, team, weak))
	t.changed(as.Teams.AddMember(ctx, o.ID, team, user))
	t.changed(as.Teams.RemoveMember(ctx, o.ID, team, user))
	t.changed(as.Teams.Delete(ctx, o.ID, team))
}
