package orgstoretest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var apiCases = cases{
	"DIR-7: APIs":                                      apisLife,
	"DIR-7: APIs, bad input":                           apisBad,
	"DIR-8: permissions of roles at one API":           apisRoles,
	"DIR-8: what an API forgets is taken from all":     apisForget,
	"DIR-8: a deleted API is gone from all":            apisDelete,
	"ROLE-3: the ceiling holds for permissions of one": apisCeiling,
}

func (t *engineTest) api(identifier string, permissions ...string) string {
	t.Helper()
	a, _, err := t.APIs.Create(t.Context(), orgstore.API{Identifier: identifier, Permissions: known(permissions...)})
	t.ok(err)
	return a.Identifier
}

func known(permissions ...string) (all []orgstore.APIPermission) {
	for _, p := range permissions {
		all = append(all, orgstore.APIPermission{Name: p})
	}
	return all
}

func apisLife(t *engineTest) {
	ctx := t.Context()
	given := orgstore.API{Identifier: "https://api.example/?a=b&c=<d>#'%_", Name: "Adventures", RBAC: true, TokenDialect: orgstore.DialectPermissions,
		TokenLifetime: 60, Permissions: []orgstore.APIPermission{{Name: "write:b", Description: "writes"}, {Name: "read:a"}}}
	a, result, err := t.APIs.Create(ctx, given)
	t.changed(result, err)
	want := given
	want.Permissions = []orgstore.APIPermission{{Name: "read:a"}, {Name: "write:b", Description: "writes"}}
	want.CreatedAt, want.UpdatedAt = a.CreatedAt, a.CreatedAt
	got, err := t.APIs.Get(ctx, given.Identifier)
	if err != nil || !reflect.DeepEqual(*got, want) || !reflect.DeepEqual(*a, want) {
		t.Errorf("got %+v\nwant %+v, %v", got, want, err)
	}
	t.conflict(third(t.APIs.Create(ctx, orgstore.API{Identifier: given.Identifier})), "api", "identifier")
	for _, u := range []orgstore.APIUpdate{{}, {Name: new("Adventures")}, {Permissions: &given.Permissions}} {
		t.unchanged(t.APIs.Update(ctx, a.Identifier, u))
	}
	t.changed(t.APIs.Update(ctx, a.Identifier, orgstore.APIUpdate{Name: new(""), RBAC: new(false), TokenDialect: new(orgstore.TokenDialect("")),
		TokenLifetime: new(2_592_000), Permissions: &[]orgstore.APIPermission{}}))
	got, err = t.APIs.Get(ctx, a.Identifier)
	if err != nil || got.Name != "" || got.RBAC || got.TokenDialect != orgstore.DialectAccessToken || got.TokenLifetime != 2_592_000 || len(got.Permissions) != 0 {
		t.Errorf("updated: %+v, %v", got, err)
	}
	t.api("a")
	if got, err = t.APIs.Get(ctx, "a"); err != nil || got.TokenLifetime != 86_400 || got.TokenDialect != orgstore.DialectAccessToken {
		t.Errorf("defaults: %+v, %v", got, err)
	}
	page, err := t.APIs.List(ctx, orgstore.ListOptions{Limit: 1})
	t.ok(err)
	next, err := t.APIs.List(ctx, orgstore.ListOptions{Limit: 1, After: page.Next})
	if err != nil || page.Items[0].Identifier != "a" || next.Items[0].Identifier != a.Identifier || next.Next != "" {
		t.Errorf("pages: %v, %v, %v", page, next, err)
	}
	t.changed(t.APIs.Delete(ctx, a.Identifier))
	t.unchanged(t.APIs.Delete(ctx, a.Identifier))
	_, err = t.APIs.Get(ctx, a.Identifier)
	t.notFound(err, "api")
	t.api(a.Identifier)
}

func apisBad(t *engineTest) {
	ctx := t.Context()
	there := t.api("there")
	before := len(t.events())
	for _, id := range []string{"", "a b", "a\n", "ä", "\u0430pi", "a\x00", "\xff", strings.Repeat("x", 601)} {
		t.invalid(third(t.APIs.Create(ctx, orgstore.API{Identifier: id})), "identifier", id)
		_, err := t.APIs.Get(ctx, id)
		t.notFound(err, "api")
		_, err = t.APIs.Update(ctx, id, orgstore.APIUpdate{Permissions: new(known("a"))})
		t.notFound(err, "api")
		t.unchanged(t.APIs.Delete(ctx, id))
	}
	_, err := t.APIs.Update(ctx, "nowhere", orgstore.APIUpdate{Name: new("x")})
	t.notFound(err, "api")
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprint("p", i))
	}
	for _, bad := range []struct {
		field string
		api   orgstore.API
	}{
		{"name", orgstore.API{Name: "line\nbreak"}},
		{"name", orgstore.API{Name: strings.Repeat("n", 201)}},
		{"token_lifetime", orgstore.API{TokenLifetime: -1}},
		{"token_lifetime", orgstore.API{TokenLifetime: 2_592_001}},
		{"token_dialect", orgstore.API{TokenDialect: "rfc9068_profile"}},
		{"scopes", orgstore.API{Permissions: known("")}},
		{"scopes", orgstore.API{Permissions: known("a b")}},
		{"scopes", orgstore.API{Permissions: known(`a"`)}},
		{"scopes", orgstore.API{Permissions: known("\u0430")}},
		{"scopes", orgstore.API{Permissions: known("a\x00")}},
		{"scopes", orgstore.API{Permissions: known(strings.Repeat("p", 281))}},
		{"scopes", orgstore.API{Permissions: known("a", "a")}},
		{"scopes", orgstore.API{Permissions: []orgstore.APIPermission{{Name: "a", Description: strings.Repeat("d", 256)}}}},
	} {
		bad.api.Identifier = "new"
		t.invalid(third(t.APIs.Create(ctx, bad.api)), bad.field, bad.api.Name)
	}
	t.limit(third(t.APIs.Create(ctx, orgstore.API{Identifier: "new", Permissions: known(many...)})), "permissions per API", 1000)
	_, err = t.APIs.Update(ctx, there, orgstore.APIUpdate{Permissions: new(known(many...))})
	t.limit(err, "permissions per API", 1000)
	_, err = t.APIs.Update(ctx, there, orgstore.APIUpdate{TokenLifetime: new(0)})
	t.invalid(err, "token_lifetime", "")
	_, err = t.APIs.List(ctx, orgstore.ListOptions{After: "foreign"})
	t.invalid(err, "After", "foreign")
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.api("full", many[:1000]...)
}

func apisRoles(t *engineTest) {
	ctx := t.Context()
	a, b := t.api("https://a.example/?x&y", "read", "write"), t.api("b", "read")
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "guide", Permissions: []string{"everywhere"}, APIPermissions: map[string][]string{
		a: {"write", "read", "write"}, "nowhere": {}}})
	t.ok(err)
	got, err := t.Roles.Get(ctx, r.ID)
	if want := map[string][]string{a: {"read", "write"}}; err != nil || !reflect.DeepEqual(got.APIPermissions, want) || !reflect.DeepEqual(r, got) {
		t.Errorf("made %+v, got %+v, want %v, %v", r, got, want, err)
	}
	t.unchanged(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{a: {"write", "read"}, b: nil}}))
	t.changed(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{b: {"read"}}}))
	t.changed(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{a: {}}}))
	got, err = t.Roles.Get(ctx, r.ID)
	if want := map[string][]string{b: {"read"}}; err != nil || !reflect.DeepEqual(got.APIPermissions, want) {
		t.Errorf("got %v, want %v, %v", got.APIPermissions, want, err)
	}
	before := len(t.events())
	for _, identifier := range []string{"nowhere", "", "a b", "\x00", "\xff"} {
		_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{identifier: {"read"}}})
		t.notFound(err, "api")
		t.notFound(third(t.Roles.Create(ctx, orgstore.Role{Name: "new", APIPermissions: map[string][]string{identifier: {"read"}}})), "api")
	}
	for _, p := range []string{"write", "", "a b", "\x00", "\u0430"} {
		_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{b: {"read", p}}})
		t.invalid(err, "api_permissions", p)
		t.invalid(third(t.Roles.Create(ctx, orgstore.Role{Name: "new", APIPermissions: map[string][]string{b: {p}}})), "api_permissions", p)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprint("p", i))
	}
	t.api("many", many...)
	t.limit(third(t.Roles.Create(ctx, orgstore.Role{Name: "new", Permissions: []string{"x"}, APIPermissions: map[string][]string{"many": many}})),
		"permissions per role", 1000)
	if n := len(t.events()); n != before+1 {
		t.Errorf("%d events of what was refused", n-before-1)
	}
}

func apisForget(t *engineTest) {
	ctx := t.Context()
	a, other, client := t.api("a%_!", "read", "write", "delete"), t.api("aXXX", "read", "write"), t.client("c")
	all := map[string][]string{a: {"read", "write"}, other: {"read", "write"}}
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "both", Permissions: []string{"write"}, APIPermissions: all})
	t.ok(err)
	one, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "one", APIPermissions: map[string][]string{a: {"read"}}})
	t.ok(err)
	untouched, err := t.Roles.Get(ctx, one.ID)
	t.ok(err)
	g := t.grant(client, a, "read", "write")
	result, err := t.APIs.Update(ctx, a, orgstore.APIUpdate{Permissions: new(known("read", "new"))})
	t.changed(result, err)
	for _, scope := range []orgstore.Scope{orgstore.APIScope(a), orgstore.RoleScope(r.ID), orgstore.ClientGrantScope(g),
		orgstore.UserScope(orgstore.ClientPrincipal(client))} {
		if _, ok := result.Revision.Of(scope); !ok {
			t.Errorf("%v was not raised: %v", scope, result.Revision)
		}
	}
	if len(result.Revision) != 4 {
		t.Errorf("raised %v", result.Revision)
	}
	got, err := t.Roles.Get(ctx, r.ID)
	if want := map[string][]string{a: {"read"}, other: {"read", "write"}}; err != nil || !reflect.DeepEqual(got.APIPermissions, want) ||
		!slices.Equal(got.Permissions, []string{"write"}) {
		t.Errorf("got %+v, want %v, %v", got, want, err)
	}
	if same, err := t.Roles.Get(ctx, untouched.ID); err != nil || !reflect.DeepEqual(same, untouched) {
		t.Errorf("a role was touched: %+v, %v", same, err)
	}
	if grant, err := t.ClientGrants.Get(ctx, g); err != nil || !slices.Equal(grant.Scopes, []string{"read"}) {
		t.Errorf("the grant is %+v, %v", grant, err)
	}
}

func apisDelete(t *engineTest) {
	ctx := t.Context()
	a, client := t.api("a", "read"), t.client("c")
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "r", APIPermissions: map[string][]string{a: {"read"}}})
	t.ok(err)
	g := t.grant(client, a, "read")
	t.changed(t.ClientGrants.AddOrganization(ctx, g, t.org("acme").ID))
	result, err := t.APIs.Delete(ctx, a)
	t.changed(result, err)
	if len(result.Revision) != 4 {
		t.Errorf("raised %v", result.Revision)
	}
	t.api(a, "read")
	if got, err := t.Roles.Get(ctx, r.ID); err != nil || len(got.APIPermissions) != 0 {
		t.Errorf("the role has %v, %v", got.APIPermissions, err)
	}
	_, err = t.ClientGrants.Get(ctx, g)
	t.notFound(err, "client_grant")
}

func apisCeiling(t *engineTest) {
	ctx := t.Context()
	o, a := t.org("acme"), t.api("a", "read", "write")
	base, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "base", Template: true, Permissions: []string{"x"}, APIPermissions: map[string][]string{a: {"read"}}})
	t.ok(err)
	create := func(base string, permissions ...string) error {
		return third(t.Roles.Create(ctx, orgstore.Role{Organization: o.ID, Name: "org:r", Base: base, APIPermissions: map[string][]string{a: permissions}}))
	}
	t.invalid(create("", "read"), "base", "")
	t.invalid(create(base.ID, "read", "write"), "api_permissions", "")
	t.ok(create(base.ID, "read"))
	r, err := t.Roles.GetByNameIn(ctx, o.ID, "org:r")
	t.ok(err)
	_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{APIPermissions: map[string][]string{a: {"write"}}})
	t.invalid(err, "api_permissions", "")
}

var apiRaces = map[string]race{
	"DIR-7: one identifier for APIs": {setup: func(t *engineTest) func(int) error {
		return func(int) error { return third(t.APIs.Create(t.Context(), orgstore.API{Identifier: "a"})) }
	}, most: 1, lost: conflict("api", "identifier")},
	"DIR-8: an API is deleted while roles and grants get its permissions": {setup: func(t *engineTest) func(int) error {
		a, roles := t.api("a", "read"), t.many(t.roleNumber)
		clients := t.many(func(i int) string { return t.client(fmt.Sprint("c", i)) })
		return func(i int) (err error) {
			switch {
			case i == racers/2:
				return second(t.APIs.Delete(t.Context(), a))
			case i%2 == 0:
				_, err = t.Roles.Update(t.Context(), roles[i], orgstore.RoleUpdate{APIPermissions: map[string][]string{a: {"read"}}})
			default:
				_, _, err = t.ClientGrants.Create(t.Context(), orgstore.ClientGrant{ClientID: clients[i], Audience: a, Scopes: []string{"read"}})
			}
			if err != nil {
				t.notFound(err, "api")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		page, err := t.Roles.List(t.Context(), orgstore.RoleListOptions{})
		t.ok(err)
		for _, r := range page.Items {
			if len(r.APIPermissions) != 0 {
				t.Errorf("%s has permissions of an API that is not there", r.Name)
			}
		}
		grants, err := t.ClientGrants.List(t.Context(), orgstore.ClientGrantListOptions{})
		if err != nil || len(grants.Items) != 0 {
			t.Errorf("grants of an API that is not there: %v, %v", grants.Items, err)
		}
	}},
}
