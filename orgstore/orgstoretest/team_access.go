package orgstoretest

import (
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

var teamAccessCases = cases{
	"TEAM-3, TEAM-4, TEAM-5: access by teams":      teamsAccess,
	"GRP-2, GRP-3, GRP-4, GRP-5: access by groups": groupsAccess,
}

// resolvesTo checks the names of the roles that somebody holds, by whatever they have them.
func (t *engineTest) resolvesTo(org, user string, want ...string) {
	t.Helper()
	if got := t.resolve(org, user).Member.Roles; !slices.Equal(got, want) {
		t.Errorf("holds %q, want %q", got, want)
	}
}

func teamsAccess(t *engineTest) {
	ctx := t.Context()
	o, user, lead, guide := t.org("acme"), t.user("u"), t.role("lead", "lead:it"), t.role("guide", "guide:it")
	own := t.organizationRole(o.ID, "org:own", "")
	t.member(o.ID, user)
	above := t.team(o.ID, "above", "")
	team := t.team(o.ID, "team", above)
	t.changed(t.Teams.AssignRoles(ctx, o.ID, above, lead))
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team, guide, own))
	t.resolvesTo(o.ID, user)
	t.changed(t.Teams.AddMember(ctx, o.ID, team, user))
	t.resolvesTo(o.ID, user, "guide", "lead", "org:own")
	if m := t.resolve(o.ID, user).Member; !m.Has("lead:it") || !m.Has("guide:it") {
		t.Errorf("permissions %q", m.Permissions)
	}
	t.changed(t.Teams.Update(ctx, o.ID, team, orgstore.TeamUpdate{Parent: new("")}))
	t.resolvesTo(o.ID, user, "guide", "org:own")
	t.changed(t.Teams.RemoveRoles(ctx, o.ID, team, guide))
	t.resolvesTo(o.ID, user, "org:own")
	t.changed(t.Teams.AddMember(ctx, o.ID, above, user))
	t.resolvesTo(o.ID, user, "lead", "org:own")
	t.changed(t.Teams.Delete(ctx, o.ID, above))
	t.resolvesTo(o.ID, user, "org:own")
	t.changed(t.Teams.RemoveMember(ctx, o.ID, team, user))
	t.resolvesTo(o.ID, user)
	t.changed(t.Teams.AddMember(ctx, o.ID, team, user))
	t.changed(t.Members.Remove(ctx, o.ID, user))
	t.member(o.ID, user)
	t.resolvesTo(o.ID, user)
}

func groupsAccess(t *engineTest) {
	ctx := t.Context()
	con := t.connection("con", "samlp")
	o, other, user, guide, group := t.org("acme"), t.org("other"), t.user("u"), t.role("guide"), t.group(con, "g")
	t.changed(t.Groups.AddMember(ctx, group, user))
	t.changed(t.Groups.Assign(ctx, o.ID, group))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, guide))
	if a := t.resolve(o.ID, user); a.Standing != orgstore.StandingNotMember {
		t.Errorf("a group makes somebody %v", a.Standing)
	}
	t.member(o.ID, user)
	t.member(other.ID, user)
	t.resolvesTo(o.ID, user, "guide")
	t.resolvesTo(other.ID, user)
	t.changed(t.Groups.SetOfUser(ctx, con, user))
	t.resolvesTo(o.ID, user)
	t.changed(t.Groups.SetOfUser(ctx, con, user, "g"))
	t.resolvesTo(o.ID, user, "guide")
	t.changed(t.Groups.RemoveRoles(ctx, o.ID, group, guide))
	t.resolvesTo(o.ID, user)
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, guide))
	t.changed(t.Groups.Unassign(ctx, o.ID, group))
	t.resolvesTo(o.ID, user)
	t.changed(t.Groups.Assign(ctx, o.ID, group))
	t.changed(t.Groups.AssignRoles(ctx, o.ID, group, guide))
	t.resolvesTo(o.ID, user, "guide")
	t.changed(t.Groups.Delete(ctx, group))
	t.resolvesTo(o.ID, user)
}
