package orgstoretest

import (
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

var roleBaseCases = cases{
	"ROLE-3: what a template loses is lost at once":   roleBasesNarrow,
	"ROLE-4: a role that follows its base":            roleBasesFollow,
	"ROLE-4: bad input":                               roleBasesBadInput,
	"DEL-2 ROLE-3 ROLE-4: what a role counts for":     roleBasesDelegated,
	"ROLE-3 ROLE-4: bases reach whoever has the role": roleBasesReach,
}

// permitted resolves, and compares the permissions for all APIs, and those for one besides.
func (t *engineTest) permitted(org, user, api string, apiPermissions []string, want ...string) *orgstore.Access {
	t.Helper()
	a := t.resolve(org, user)
	if !slices.Equal(a.Member.Permissions, want) || !slices.Equal(a.Member.APIPermissions[api], apiPermissions) {
		t.Errorf("%s has %q and %q, want %q and %q", user, a.Member.Permissions, a.Member.APIPermissions, want, apiPermissions)
	}
	return a
}

// based makes a template with permissions a and b, and r and w of an API, and a role with all of them that is based on it.
func (t *engineTest) based(org string) (base, own string) {
	t.Helper()
	ctx := t.Context()
	_, _, err := t.APIs.Create(ctx, orgstore.API{Identifier: "https://api", Permissions: []orgstore.APIPermission{{Name: "r"}, {Name: "w"}}})
	t.ok(err)
	role := orgstore.Role{Name: "ceiling", Permissions: []string{"a", "b"}, APIPermissions: map[string][]string{"https://api": {"r", "w"}}, Template: true}
	r, _, err := t.Roles.Create(ctx, role)
	t.ok(err)
	role.Organization, role.Name, role.Base, role.Template = org, "org:own", r.ID, false
	o, _, err := t.Roles.Create(ctx, role)
	t.ok(err)
	return r.ID, o.ID
}

func roleBasesNarrow(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	base, own := t.based(o.ID)
	t.member(o.ID, user, own)
	a := t.permitted(o.ID, user, "https://api", []string{"r", "w"}, "a", "b")
	t.saw(a, orgstore.RoleScope(own), orgstore.RoleScope(base))

	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{
		Permissions: &[]string{"b", "c"}, APIPermissions: map[string][]string{"https://api": {"r"}},
	}))
	a = t.permitted(o.ID, user, "https://api", []string{"r"}, "b")
	if revision, _ := a.Vector.Of(orgstore.RoleScope(base)); revision != 2 || !slices.Equal(a.Member.Roles, []string{"org:own"}) {
		t.Errorf("answer %+v", a)
	}
	if r, err := t.Roles.Get(ctx, own); err != nil || !slices.Equal(r.Permissions, []string{"a", "b"}) {
		t.Errorf("the role says %+v, %v", r, err)
	}
	// What the base has for every API it has for each.
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{
		Permissions: &[]string{"a", "w"}, APIPermissions: map[string][]string{"https://api": nil},
	}))
	t.permitted(o.ID, user, "https://api", []string{"w"}, "a")
	// One that is no template any more goes on.
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{Template: new(false), Permissions: &[]string{"a", "b"}}))
	t.permitted(o.ID, user, "https://api", nil, "a", "b")
	t.changed(t.Roles.Delete(ctx, base))
	a = t.permitted(o.ID, user, "https://api", nil)
	if a.Standing != member || !slices.Equal(a.Member.Roles, []string{"org:own"}) {
		t.Errorf("answer %+v", a)
	}
}

func roleBasesFollow(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	base, own := t.based(o.ID)
	t.member(o.ID, user, own)
	nothing := map[string][]string{"https://api": nil}
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{FollowsBase: new(true), Permissions: &[]string{}, APIPermissions: nothing}))
	t.unchanged(t.Roles.Update(ctx, own, orgstore.RoleUpdate{FollowsBase: new(true)}))
	t.permitted(o.ID, user, "https://api", []string{"r", "w"}, "a", "b")
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{Permissions: &[]string{"b", "c"}, APIPermissions: nothing}))
	t.permitted(o.ID, user, "https://api", nil, "b", "c")
	if r, err := t.Roles.Get(ctx, own); err != nil || !r.FollowsBase || len(r.Permissions) > 0 {
		t.Errorf("the role says %+v, %v", r, err)
	}
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{FollowsBase: new(false), Permissions: &[]string{"c"}}))
	t.permitted(o.ID, user, "https://api", nil, "c")
	follower, result, err := t.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:follower", Base: base, FollowsBase: true})
	t.changed(result, err)
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, follower.ID))
	t.permitted(o.ID, user, "https://api", nil, "b", "c")
	t.changed(t.Roles.Delete(ctx, base))
	t.permitted(o.ID, user, "https://api", nil)
}

func roleBasesBadInput(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	base, own := t.based(o.ID)
	bare := t.organizationRole(o.ID, "org:bare", "")
	check := t.nothingWritten()
	for _, r := range []orgstore.Role{
		{Name: "tenant", FollowsBase: true},
		{Organization: o.ID, Name: "org:x", FollowsBase: true},
		{Organization: o.ID, Name: "org:x", Base: base, FollowsBase: true, Permissions: []string{"a"}},
		{Organization: o.ID, Name: "org:x", Base: base, FollowsBase: true, APIPermissions: map[string][]string{"https://api": {"r"}}},
	} {
		_, _, err := t.Roles.Create(ctx, r)
		t.invalid(err, "follows_base", "")
	}
	for _, id := range []string{base, own, bare} {
		_, err := t.Roles.Update(ctx, id, orgstore.RoleUpdate{FollowsBase: new(true)})
		t.invalid(err, "follows_base", "")
	}
	check()
}

func roleBasesDelegated(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	base, own := t.based(o.ID)
	t.member(o.ID, user)
	admin := t.role("admin", "a", "create:roles", "update:roles", "create:organization_member_roles")
	t.member(o.ID, t.user("admin"), admin)
	as := t.As(orgstore.Actor{User: "admin"})
	check := t.nothingWritten()
	_, _, err := as.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:x", Base: base, FollowsBase: true})
	t.is(err, orgstore.ErrDenied)
	_, err = as.Members.AssignRoles(ctx, o.ID, user, own)
	t.is(err, orgstore.ErrDenied)
	check()
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{Permissions: &[]string{"a"}, APIPermissions: map[string][]string{"https://api": nil}}))
	t.changed(as.Members.AssignRoles(ctx, o.ID, user, own))
	follower, result, err := as.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:x", Base: base, FollowsBase: true})
	t.changed(result, err)
	t.changed(as.Members.AssignRoles(ctx, o.ID, user, follower.ID))
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{Permissions: &[]string{"a", "z"}}))
	t.member(o.ID, t.user("v"))
	_, err = as.Members.AssignRoles(ctx, o.ID, "v", follower.ID)
	t.is(err, orgstore.ErrDenied)
	t.permitted(o.ID, user, "", nil, "a", "z")
}

// roleBasesReach: a role counts for what its base has however somebody comes to it.
func roleBasesReach(t *engineTest) {
	ctx := t.Context()
	o, guest, user, visitor := t.org("acme"), t.org("guest"), t.user("u"), t.user("visitor")
	base, own := t.based(o.ID)
	t.member(o.ID, user)
	team, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "x"})
	t.ok(err)
	t.changed(t.Teams.AssignRoles(ctx, o.ID, team.ID, own))
	t.changed(t.Teams.AddMember(ctx, o.ID, team.ID, user))
	t.member(guest.ID, visitor)
	_, _, err = t.Contracts.Create(ctx, orgstore.Contract{Host: o.ID, Guest: guest.ID, ContractTerms: orgstore.ContractTerms{Roles: []string{own}}})
	t.ok(err)
	for _, principal := range []string{user, visitor} {
		t.saw(t.permitted(o.ID, principal, "https://api", []string{"r", "w"}, "a", "b"), orgstore.RoleScope(own), orgstore.RoleScope(base))
	}
	t.changed(t.Roles.Update(ctx, base, orgstore.RoleUpdate{Permissions: &[]string{"b", "c"}, APIPermissions: map[string][]string{"https://api": {"w"}}}))
	for _, principal := range []string{user, visitor} {
		t.permitted(o.ID, principal, "https://api", []string{"w"}, "b")
	}
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{
		FollowsBase: new(true), Permissions: &[]string{}, APIPermissions: map[string][]string{"https://api": nil},
	}))
	for _, principal := range []string{user, visitor} {
		t.permitted(o.ID, principal, "https://api", []string{"w"}, "b", "c")
	}
}
