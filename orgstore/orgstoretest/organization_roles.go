package orgstoretest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var organizationRoleCases = cases{
	"ROLE-1: a role of an organization is held there alone, and ends with it": organizationRolesLife,
	"ROLE-2: names tell whose a role is":                                      organizationRolesNames,
	"ROLE-3: no role has more permissions than its template":                  organizationRolesCeiling,
	"ROLE-1, ROLE-3: bad input":                                               organizationRolesBadInput,
	"DEL-2, ROLE-3: nobody makes a role with more than they hold":             organizationRolesDelegated,
}

var organizationRoleRaces = map[string]race{
	"ROLE-1: organization roles": {orgstore.Limits{OrganizationRoles: 5}, func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return third(t.Roles.Create(t.Context(), orgstore.Role{Organization: o.ID, Name: "org:" + strconv.Itoa(i)}))
		}
	}, 5, limit("organization roles", 5), nil},
	"ROLE-2: one name in an organization": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(int) error {
			return third(t.Roles.Create(t.Context(), orgstore.Role{Organization: o.ID, Name: "org:guide"}))
		}
	}, most: 1, lost: conflict("role", "name")},
	"ROLE-2: one name for roles of an organization": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		roles := t.many(func(i int) string { return t.organizationRole(o.ID, "org:"+strconv.Itoa(i), "") })
		return func(i int) error {
			return second(t.Roles.Update(t.Context(), roles[i], orgstore.RoleUpdate{Name: new("org:guide")}))
		}
	}, most: 1, lost: conflict("role", "name")},
}

// template and organizationRole make a role of each kind, or end the test.
func (t *engineTest) template(name string, permissions ...string) string {
	t.Helper()
	r, _, err := t.Roles.Create(t.Context(), orgstore.Role{Name: name, Permissions: permissions, Template: true})
	t.ok(err)
	return r.ID
}

func (t *engineTest) organizationRole(org, name, base string, permissions ...string) string {
	t.Helper()
	r, _, err := t.Roles.Create(t.Context(), orgstore.Role{Organization: org, Name: name, Base: base, Permissions: permissions})
	t.ok(err)
	return r.ID
}

// nothingWritten returns a check that no event was written since.
func (t *engineTest) nothingWritten() (check func()) {
	t.Helper()
	before := len(t.events())
	return func() {
		t.Helper()
		if n := len(t.events()) - before; n != 0 {
			t.Errorf("refused mutations wrote %d events", n)
		}
	}
}

func organizationRolesLife(t *engineTest) {
	ctx := t.Context()
	a, b, user := t.org("a"), t.org("b"), t.user("u")
	base := t.template("ceiling", "read:a", "write:a")
	r, result, err := t.Roles.Create(ctx, orgstore.Role{
		Organization: a.ID, Name: "org:guide", Description: "shows the way", Base: base, Permissions: []string{"write:a"},
	})
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0].Scope != orgstore.RoleScope(r.ID) {
		t.Errorf("raised %v", result.Revision)
	}
	events := t.events()
	if e := events[len(events)-1]; e.Type != "role.created" || e.Organization != a.ID {
		t.Errorf("event: %+v", e)
	}
	byName, err := t.Roles.GetByNameIn(ctx, a.ID, "org:guide")
	t.ok(err)
	got, err := t.Roles.Get(ctx, r.ID)
	t.ok(err)
	for _, got := range []*orgstore.Role{got, byName} {
		if got.Organization != a.ID || got.Base != base || got.Template || !slices.Equal(got.Permissions, []string{"write:a"}) {
			t.Errorf("got %+v", got)
		}
	}
	// Held there alone.
	t.member(a.ID, user, r.ID)
	t.roles(a.ID, user, "org:guide")
	if got := t.resolve(a.ID, user).Member; !slices.Equal(got.Roles, []string{"org:guide"}) || !slices.Equal(got.Permissions, []string{"write:a"}) {
		t.Errorf("resolved %+v", got)
	}
	_, err = t.Members.Add(ctx, b.ID, user, orgstore.MemberOptions{Roles: []string{r.ID}})
	t.notFound(err, "role")
	t.member(b.ID, user)
	_, err = t.Members.AssignRoles(ctx, b.ID, user, r.ID)
	t.notFound(err, "role")
	_, err = t.Members.SetRoles(ctx, b.ID, user, r.ID)
	t.notFound(err, "role")
	// Lists show whose they are.
	other := t.organizationRole(b.ID, "org:guide", "")
	for org, want := range map[string]string{"": base, a.ID: r.ID, b.ID: other} {
		page, err := t.Roles.List(ctx, orgstore.RoleListOptions{Organization: org})
		if err != nil || len(page.Items) != 1 || page.Items[0].ID != want {
			t.Errorf("roles of %q: %+v, %v", org, page.Items, err)
		}
	}
	t.changed(t.Roles.Delete(ctx, other))
	_, err = t.Roles.Get(ctx, other)
	t.notFound(err, "role")
	// It ends with its organization.
	t.changed(t.Organizations.Delete(ctx, a.ID))
	_, err = t.Roles.Get(ctx, r.ID)
	t.notFound(err, "role")
	_, err = t.Roles.GetByNameIn(ctx, a.ID, "org:guide")
	t.notFound(err, "role")
	_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Description: new("x")})
	t.notFound(err, "role")
	t.unchanged(t.Roles.Delete(ctx, r.ID))
	_, err = t.Roles.List(ctx, orgstore.RoleListOptions{Organization: a.ID})
	t.notFound(err, "organization")
	_, _, err = t.Roles.Create(ctx, orgstore.Role{ID: r.ID, Name: "x"})
	t.conflict(err, "role", "id")
}

func organizationRolesNames(t *engineTest) {
	ctx := t.Context()
	a, b := t.org("a"), t.org("b")
	for _, name := range []string{"guide", "org:", "ORG:guide", "org;guide", "оrg:guide"} { // the last one with a Cyrillic letter
		_, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: a.ID, Name: name})
		t.invalid(err, "name", name)
	}
	_, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "org:guide"})
	t.invalid(err, "name", "")
	tenant := t.role("guide")
	_, err = t.Roles.Update(ctx, tenant, orgstore.RoleUpdate{Name: new("org:guide")})
	t.invalid(err, "name", "")

	first, second := t.organizationRole(a.ID, "org:guide", ""), t.organizationRole(a.ID, "org:helper", "")
	t.organizationRole(b.ID, "org:guide", "")
	_, _, err = t.Roles.Create(ctx, orgstore.Role{Organization: a.ID, Name: "org:guide"})
	t.conflict(err, "role", "name")
	_, err = t.Roles.Update(ctx, second, orgstore.RoleUpdate{Name: new("org:guide")})
	t.conflict(err, "role", "name")
	_, err = t.Roles.Update(ctx, second, orgstore.RoleUpdate{Name: new("guide")})
	t.invalid(err, "name", "")
	t.changed(t.Roles.Delete(ctx, first))
	t.changed(t.Roles.Update(ctx, second, orgstore.RoleUpdate{Name: new("org:guide")}))
	_, err = t.Roles.GetByName(ctx, "org:guide")
	t.notFound(err, "role")

	// Query is the beginning of the name.
	for _, name := range []string{"org:ga", "org:g%", "org:G", "org:h"} {
		t.organizationRole(a.ID, name, "")
	}
	page, err := t.Roles.List(ctx, orgstore.RoleListOptions{
		Organization: a.ID, Query: "org:g", ListOptions: orgstore.ListOptions{Sort: orgstore.SortName, Limit: 2, Total: true},
	})
	t.ok(err)
	next, err := t.Roles.List(ctx, orgstore.RoleListOptions{
		Organization: a.ID, Query: "org:g", ListOptions: orgstore.ListOptions{Sort: orgstore.SortName, After: page.Next},
	})
	t.ok(err)
	var names []string
	for _, r := range slices.Concat(page.Items, next.Items) {
		names = append(names, r.Name)
	}
	if page.Total != 3 || !slices.Equal(names, []string{"org:g%", "org:ga", "org:guide"}) {
		t.Errorf("names %q, total %d", names, page.Total)
	}
}

func organizationRolesCeiling(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	base, other, plain := t.template("ceiling", "a", "b"), t.template("other", "c"), t.role("plain", "a")
	own := t.organizationRole(o.ID, "org:own", "")
	check := t.nothingWritten()
	_, err := t.Roles.Update(ctx, own, orgstore.RoleUpdate{Permissions: &[]string{"a"}})
	t.invalid(err, "base", "")
	_, err = t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &plain, Permissions: &[]string{"a"}})
	t.notFound(err, "template")
	_, err = t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &base, Permissions: &[]string{"a", "c"}})
	t.invalid(err, "permissions", "")
	_, err = t.Roles.Update(ctx, base, orgstore.RoleUpdate{Base: &other})
	t.invalid(err, "base", "")
	_, err = t.Roles.Update(ctx, own, orgstore.RoleUpdate{Template: new(true)})
	t.invalid(err, "template", "")
	check()
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &base, Permissions: &[]string{"a"}}))
	t.unchanged(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &base, Permissions: &[]string{"a"}}))
	_, err = t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &other})
	t.invalid(err, "permissions", "")
	_, err = t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: new("")})
	t.invalid(err, "base", "")
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Base: &other, Permissions: &[]string{"c"}}))
	// A base stays where it is when it is a template no more.
	t.changed(t.Roles.Update(ctx, other, orgstore.RoleUpdate{Template: new(false)}))
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Description: new("x")}))
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Permissions: &[]string{}}))
	t.changed(t.Roles.Update(ctx, own, orgstore.RoleUpdate{Permissions: &[]string{"c"}}))
	_, _, err = t.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:new", Base: other})
	t.notFound(err, "template")
}

func organizationRolesBadInput(t *engineTest) {
	ctx := t.Context()
	o, tenant := t.org("acme"), t.role("tenant")
	check := t.nothingWritten()
	for _, org := range []string{"acme", "org_0000000000000000", "org_%", strings.ToUpper(o.ID), o.ID + "\x00", "\xff", strings.Repeat("o", 10_000)} {
		_, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: org, Name: "org:x"})
		t.notFound(err, "organization")
		_, err = t.Roles.List(ctx, orgstore.RoleListOptions{Organization: org})
		t.notFound(err, "organization")
		_, err = t.Roles.GetByNameIn(ctx, org, "org:x")
		t.notFound(err, "role")
	}
	for _, base := range []string{"x", "rol_0000000000000000", tenant, o.ID, "\x00", strings.Repeat("r", 10_000)} {
		_, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:x", Base: base})
		t.notFound(err, "template")
	}
	_, err := t.Roles.GetByNameIn(ctx, "", "tenant")
	t.notFound(err, "role")
	for _, query := range []string{"\x00", "\xff", "a\nb", strings.Repeat("q", 2000)} {
		_, err := t.Roles.List(ctx, orgstore.RoleListOptions{Query: query})
		t.invalid(err, "Query", query)
	}
	page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{})
	t.ok(err)
	_, err = t.Roles.List(ctx, orgstore.RoleListOptions{ListOptions: orgstore.ListOptions{After: page.Items[0].ID}})
	t.invalid(err, "After", "")
	check()
}

func organizationRolesDelegated(t *engineTest) {
	ctx := t.Context()
	a, b, base := t.org("a"), t.org("b"), t.template("ceiling", "x", "y", "update:roles")
	own := t.organizationRole(a.ID, "org:own", base, "x")
	admin := t.role("admin", "x", "create:roles", "update:roles", "delete:roles")
	t.member(a.ID, t.user("admin"), admin, own)
	as := t.As(orgstore.Actor{User: "admin"})
	denied := func(err error) { t.Helper(); t.is(err, orgstore.ErrDenied) }
	check := t.nothingWritten()
	_, _, err := as.Roles.Create(ctx, orgstore.Role{Organization: a.ID, Name: "org:new", Base: base, Permissions: []string{"y"}})
	denied(err)
	// Nor by a role that they hold themselves.
	_, err = as.Roles.Update(ctx, own, orgstore.RoleUpdate{Permissions: &[]string{"x", "y"}})
	denied(err)
	_, _, err = as.Roles.Create(ctx, orgstore.Role{Organization: b.ID, Name: "org:new"})
	denied(err)
	_, _, err = as.Roles.Create(ctx, orgstore.Role{Name: "new"})
	denied(err)
	_, err = as.Roles.Update(ctx, admin, orgstore.RoleUpdate{Permissions: &[]string{}})
	denied(err)
	_, err = as.Roles.Delete(ctx, base)
	denied(err)
	check()
	_, result, err := as.Roles.Create(ctx, orgstore.Role{Organization: a.ID, Name: "org:new", Base: base, Permissions: []string{"x"}})
	t.changed(result, err)
	t.changed(as.Roles.Update(ctx, own, orgstore.RoleUpdate{Permissions: &[]string{"update:roles"}}))
	t.changed(as.Roles.Delete(ctx, own))
}
