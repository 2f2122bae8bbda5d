package orgstoretest

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

func usersLife(t *engineTest) {
	ctx := t.Context()
	u, result, err := t.Users.Create(ctx, orgstore.User{ID: "auth0|emilio", Email: "emilio@example.com", Name: "Emilio"})
	t.changed(result, err)
	got, err := t.Users.Get(ctx, u.ID)
	t.ok(err)
	if !reflect.DeepEqual(got, u) || got.Email != "emilio@example.com" || got.Name != "Emilio" || got.Blocked {
		t.Errorf("got %+v, want %+v", got, u)
	}
	_, _, err = t.Users.Create(ctx, orgstore.User{ID: u.ID})
	t.conflict(err, "user", "id")

	t.unchanged(t.Users.Unblock(ctx, u.ID))
	t.changed(t.Users.Block(ctx, u.ID))
	t.unchanged(t.Users.Block(ctx, u.ID))
	if got, err = t.Users.Get(ctx, u.ID); err != nil || !got.Blocked {
		t.Errorf("blocked: %+v, %v", got, err)
	}
	t.changed(t.Users.Unblock(ctx, u.ID))
	t.unchanged(t.Users.Update(ctx, u.ID, orgstore.UserUpdate{}))
	t.unchanged(t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Name: new("Emilio")}))
	t.changed(t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Name: new("E."), Email: new("")}))
	if got, err = t.Users.Get(ctx, u.ID); err != nil || got.Name != "E." || got.Email != "" || got.Blocked {
		t.Errorf("updated: %+v, %v", got, err)
	}
	blocked, _, err := t.Users.Create(ctx, orgstore.User{ID: "blocked", Blocked: true})
	if err != nil || !blocked.Blocked {
		t.Errorf("created blocked: %+v, %v", blocked, err)
	}
	for name, mutate := range map[string]func(string) (orgstore.Result, error){
		"block":   func(id string) (orgstore.Result, error) { return t.Users.Block(ctx, id) },
		"unblock": func(id string) (orgstore.Result, error) { return t.Users.Unblock(ctx, id) },
		"update": func(id string) (orgstore.Result, error) {
			return t.Users.Update(ctx, id, orgstore.UserUpdate{Name: new("x")})
		},
	} {
		t.Log(name)
		_, err := mutate("nobody")
		t.notFound(err, "user")
		_, err = mutate("\x00")
		t.notFound(err, "user")
	}
	_, err = t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Name: new("line\nbreak")})
	t.invalid(err, "name", "line\nbreak")
	_, err = t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Email: new(strings.Repeat("e", 321))})
	t.invalid(err, "email", strings.Repeat("e", 321))
}

func usersIDs(t *engineTest) {
	ctx := t.Context()
	ids := []string{
		"auth0|emilio", "AUTH0|EMILIO", "a:b", "{a}", "a*b", "a%b", "a_b", "'", `"`, `\`, " x", "x ", "ä", "a\u0308", "日本", "client@clients",
		"👩", strings.Repeat("x", 1024),
	}
	for _, id := range ids {
		if _, _, err := t.Users.Create(ctx, orgstore.User{ID: id, Name: id[:min(len(id), 100)]}); err != nil {
			t.Errorf("user %.40q: %v", id, err)
		}
	}
	for _, id := range ids {
		u, err := t.Users.Get(ctx, id)
		if err != nil || u.ID != id || u.Name != id[:min(len(id), 100)] {
			t.Errorf("user %.40q: got %+v, %v", id, u, err)
		}
	}
	for _, id := range []string{"", "a\nb", "a\x00", "\xff", "\u202eabc", strings.Repeat("x", 1025), strings.Repeat("x", 10_000)} {
		_, _, err := t.Users.Create(ctx, orgstore.User{ID: id})
		t.invalid(err, "user_id", id)
		_, err = t.Users.Get(ctx, id)
		t.notFound(err, "user")
		t.unchanged(t.Users.Delete(ctx, id))
	}
}

// usersBlock blocks somebody with memberships, and one without.
func usersBlock(t *engineTest) {
	ctx := t.Context()
	a, b, user, other, role := t.org("a"), t.org("b"), t.user("u"), t.user("v"), t.role("admin", "do:it")
	for _, org := range []string{a.ID, b.ID} {
		t.member(org, user, role)
		t.member(org, other, role)
	}
	before := t.resolve(b.ID, user)
	result, err := t.Users.Block(ctx, user)
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v: more than the user", result.Revision)
	}
	for _, org := range []string{a.ID, b.ID} {
		if access := t.resolve(org, user); access.Standing != orgstore.StandingBlocked {
			t.Errorf("blocked: %+v", access)
		}
		if access := t.resolve(org, other); access.Standing != orgstore.StandingMember || !access.Member.Has("do:it") {
			t.Errorf("somebody else: %+v", access)
		}
	}
	t.changed(t.Users.Unblock(ctx, user))
	after := t.resolve(b.ID, user)
	after.Vector = before.Vector
	if !Equal(before, after) {
		t.Errorf("unblocked: %+v, before: %+v", after, before)
	}
}

func usersDelete(t *engineTest) {
	ctx := t.Context()
	a, b, user, role := t.org("a"), t.org("b"), t.user("u"), t.role("admin", "do:it")
	t.member(a.ID, user, role)
	t.member(b.ID, user, role)
	result, err := t.Users.Delete(ctx, user)
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v: more than the user", result.Revision)
	}
	t.unchanged(t.Users.Delete(ctx, user))
	_, err = t.Users.Get(ctx, user)
	t.notFound(err, "user")
	for _, org := range []string{a.ID, b.ID} {
		_, err = t.Members.Get(ctx, org, user)
		t.notFound(err, "member")
		if s := t.resolve(org, user).Standing; s != orgstore.StandingNotMember {
			t.Errorf("standing %v", s)
		}
		_, err = t.Members.Add(ctx, org, user, orgstore.MemberOptions{})
		t.notFound(err, "user")
		t.unchanged(t.Members.Remove(ctx, org, user))
	}
	// Whoever comes back with the id comes back to nothing.
	_, result, err = t.Users.Create(ctx, orgstore.User{ID: user})
	t.changed(result, err)
	if revision, _ := result.Revision.Of(orgstore.UserScope(user)); revision != 3 {
		t.Errorf("revision %d", revision)
	}
	for _, org := range []string{a.ID, b.ID} {
		if acc := t.resolve(org, user); acc.Standing != orgstore.StandingNotMember || len(acc.Member.Roles) != 0 {
			t.Errorf("the user came back as %+v", acc)
		}
	}
	t.member(a.ID, user)
	t.roles(a.ID, user)
}

func rolesLife(t *engineTest) {
	ctx := t.Context()
	permissions := []string{"write:b", "read:a", "write:b"}
	r, result, err := t.Roles.Create(ctx, orgstore.Role{Name: "guide", Description: "shows the way", Permissions: permissions})
	t.changed(result, err)
	permissions[0] = "changed:by-the-caller"
	if !regexp.MustCompile(`^rol_[a-zA-Z0-9]{16}$`).MatchString(r.ID) {
		t.Errorf("id %q", r.ID)
	}
	byName, err := t.Roles.GetByName(ctx, "guide")
	t.ok(err)
	got, err := t.Roles.Get(ctx, r.ID)
	t.ok(err)
	for _, got := range []*orgstore.Role{got, byName} {
		if got.ID != r.ID || got.Description != "shows the way" || !slices.Equal(got.Permissions, []string{"read:a", "write:b"}) {
			t.Errorf("got %+v", got)
		}
	}
	_, err = t.Roles.GetByName(ctx, "Guide")
	t.notFound(err, "role")
	t.role("Guide")

	t.unchanged(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{}))
	t.unchanged(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Name: new("guide"), Permissions: &[]string{"write:b", "read:a", "read:a"}}))
	_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Name: new("Guide")})
	t.conflict(err, "role", "name")
	t.changed(t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Name: new("leader"), Description: new(""), Permissions: &[]string{}}))
	got, err = t.Roles.Get(ctx, r.ID)
	if err != nil || got.Name != "leader" || got.Description != "" || len(got.Permissions) != 0 {
		t.Errorf("updated: %+v, %v", got, err)
	}
	t.role("guide")

	given, _, err := t.Roles.Create(ctx, orgstore.Role{ID: "rol_aZ09aZ09aZ09aZ09", Name: "given"})
	t.ok(err)
	_, _, err = t.Roles.Create(ctx, orgstore.Role{ID: given.ID, Name: "other"})
	t.conflict(err, "role", "id")
	_, _, err = t.Roles.Create(ctx, orgstore.Role{Name: "given"})
	t.conflict(err, "role", "name")
	page, err := t.Roles.List(ctx, orgstore.RoleListOptions{})
	if err != nil || len(page.Items) != 4 {
		t.Errorf("list: %d, %v", len(page.Items), err)
	}
}

func rolesRules(t *engineTest) {
	ctx := t.Context()
	for _, name := range []string{"", " x", "x ", "a\nb", "\x00", "\xff", strings.Repeat("x", 101)} {
		_, _, err := t.Roles.Create(ctx, orgstore.Role{Name: name})
		t.invalid(err, "name", name)
		_, err = t.Roles.GetByName(ctx, name)
		t.notFound(err, "role")
	}
	for _, p := range []string{"", "a b", "a\tb", `a"b`, `a\b`, "ä", "a\x00", strings.Repeat("p", 281)} {
		_, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "x", Permissions: []string{"fine", p}})
		t.invalid(err, "permissions", p)
	}
	for _, id := range []string{"rol_", "rol_000000000000000", "org_0000000000000000"} {
		_, _, err := t.Roles.Create(ctx, orgstore.Role{ID: id, Name: "x"})
		t.invalid(err, "id", id)
	}
	_, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "x", Description: strings.Repeat("d", 256)})
	t.invalid(err, "description", strings.Repeat("d", 256))
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("p:%d", i))
	}
	_, _, err = t.Roles.Create(ctx, orgstore.Role{Name: "x", Permissions: many})
	t.limit(err, "permissions per role", 1000)
	r, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "x", Permissions: many[:1000]})
	t.ok(err)
	_, err = t.Roles.Update(ctx, r.ID, orgstore.RoleUpdate{Permissions: &many})
	t.limit(err, "permissions per role", 1000)
	_, err = t.Roles.Update(ctx, "rol_0000000000000000", orgstore.RoleUpdate{Name: new("y")})
	t.notFound(err, "role")
}

func rolesDelete(t *engineTest) {
	ctx := t.Context()
	o, user, kept, gone := t.org("acme"), t.user("u"), t.role("kept", "a"), t.role("gone", "b")
	t.member(o.ID, user, kept, gone)
	result, err := t.Roles.Delete(ctx, gone)
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v: more than the role", result.Revision)
	}
	t.unchanged(t.Roles.Delete(ctx, gone))
	t.unchanged(t.Roles.Delete(ctx, "no id"))
	t.roles(o.ID, user, "kept")
	if a := t.resolve(o.ID, user); !slices.Equal(a.Member.Permissions, []string{"a"}) {
		t.Errorf("permissions: %q", a.Member.Permissions)
	}
	_, err = t.Roles.Get(ctx, gone)
	t.notFound(err, "role")
	_, err = t.Roles.GetByName(ctx, "gone")
	t.notFound(err, "role")
	_, err = t.Members.AssignRoles(ctx, o.ID, user, gone)
	t.notFound(err, "role")
	_, _, err = t.Roles.Create(ctx, orgstore.Role{ID: gone, Name: "other"})
	t.conflict(err, "role", "id")
	again := t.role("gone", "c")
	t.roles(o.ID, user, "kept")
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, again))
	t.roles(o.ID, user, "gone", "kept")
}
