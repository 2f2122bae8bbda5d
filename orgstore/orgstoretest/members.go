package orgstoretest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func membersAdd(t *engineTest) {
	ctx := t.Context()
	o, guide, admin := t.org("acme"), t.role("guide"), t.role("admin")
	_, _, err := t.Users.Create(ctx, orgstore.User{ID: "u", Email: "u@example.com", Name: "U."})
	t.ok(err)
	result, err := t.Members.Add(ctx, o.ID, "u", orgstore.MemberOptions{
		Kind: "freelancer", Metadata: map[string]string{"employment": "freelance"}, Roles: []string{guide, admin, guide}, JoinedBy: "import",
	})
	t.changed(result, err)
	m, err := t.Members.Get(ctx, o.ID, "u")
	t.ok(err)
	if m.Organization != o.ID || m.User != "u" || m.Email != "u@example.com" || m.Name != "U." || m.Blocked || m.Kind != "freelancer" ||
		m.JoinedBy != "import" || !maps.Equal(m.Metadata, map[string]string{"employment": "freelance"}) ||
		!slices.Equal(m.Roles, []orgstore.MemberRole{{ID: admin, Name: "admin"}, {ID: guide, Name: "guide"}}) ||
		m.JoinedAt.IsZero() || m.JoinedAt.Location() != time.UTC {
		t.Errorf("member: %+v", m)
	}
	// Adding again changes nothing, whatever is asked for.
	t.unchanged(t.Members.Add(ctx, o.ID, "u", orgstore.MemberOptions{Kind: "guest", Roles: []string{guide}}))
	if again, err := t.Members.Get(ctx, o.ID, "u"); err != nil || again.Kind != "freelancer" || len(again.Roles) != 2 {
		t.Errorf("added again: %+v, %v", again, err)
	}
	t.user("v")
	t.member(o.ID, "v")
	if m, err = t.Members.Get(ctx, o.ID, "v"); err != nil || m.Kind != "employee" || m.JoinedBy != "admin" || m.Metadata != nil || m.Roles != nil {
		t.Errorf("defaults: %+v, %v", m, err)
	}
}

func membersAddRefused(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("guide")
	before := len(t.events())
	none := orgstore.MemberOptions{}
	for _, org := range []string{"", "acme", "org_0000000000000000", "org_%"} {
		_, err := t.Members.Add(ctx, org, user, none)
		t.notFound(err, "organization")
	}
	for _, u := range []string{"", "nobody", "U", "%", "u\x00", strings.Repeat("u", 10_000)} {
		_, err := t.Members.Add(ctx, o.ID, u, none)
		t.notFound(err, "user")
	}
	for _, r := range []string{"", "guide", "rol_0000000000000000", strings.ToUpper(role)} {
		_, err := t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Roles: []string{role, r}})
		t.notFound(err, "role")
	}
	_, err := t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Kind: "owner"})
	t.invalid(err, "kind", "owner")
	_, err = t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{JoinedBy: "magic"})
	t.invalid(err, "joined_by", "magic")
	_, err = t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Metadata: map[string]string{"": ""}})
	t.invalid(err, "metadata", "")
	if n := len(t.events()); n != before {
		t.Errorf("refused mutations wrote %d events", n-before)
	}
	if page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("members: %+v, %v", page, err)
	}
}

func membersRoles(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	a, b, c := t.role("a"), t.role("b"), t.role("c")
	_, err := t.Members.AssignRoles(ctx, o.ID, user, a)
	t.notFound(err, "member")
	_, err = t.Members.RemoveRoles(ctx, o.ID, user, a)
	t.notFound(err, "member")
	t.member(o.ID, user, a)
	t.unchanged(t.Members.AssignRoles(ctx, o.ID, user))
	t.unchanged(t.Members.AssignRoles(ctx, o.ID, user, a, a))
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, b, a))
	t.roles(o.ID, user, "a", "b")
	_, err = t.Members.AssignRoles(ctx, o.ID, user, c, "rol_0000000000000000")
	t.notFound(err, "role")
	t.roles(o.ID, user, "a", "b")
	t.unchanged(t.Members.RemoveRoles(ctx, o.ID, user, c, "rol_0000000000000000", "nonsense"))
	t.changed(t.Members.RemoveRoles(ctx, o.ID, user, a, c))
	t.roles(o.ID, user, "b")
	t.unchanged(t.Members.SetRoles(ctx, o.ID, user, b))
	result, err := t.Members.SetRoles(ctx, o.ID, user, a, c)
	t.changed(result, err)
	t.roles(o.ID, user, "a", "c")
	if len(result.Revision) != 1 {
		t.Errorf("the result names a scope twice: %v", result.Revision)
	}
	t.changed(t.Members.SetRoles(ctx, o.ID, user))
	t.roles(o.ID, user)
	// Another organization's role is no role here.
	own := t.organizationRole(t.org("other").ID, "org:own", "")
	_, err = t.Members.AssignRoles(ctx, o.ID, user, a, own)
	t.notFound(err, "role")
	_, err = t.Members.SetRoles(ctx, o.ID, user, a, own)
	t.notFound(err, "role")
	t.roles(o.ID, user)
}

// membersOwnRoles gives one user other roles in each of two organizations: what counts in one counts nowhere else.
func membersOwnRoles(t *engineTest) {
	ctx := t.Context()
	a, b, user, guide, admin := t.org("a"), t.org("b"), t.user("u"), t.role("guide", "read:a"), t.role("admin", "write:a")
	t.member(a.ID, user, guide)
	t.member(b.ID, user, admin)
	check := func(org string, roles, permissions []string) {
		t.Helper()
		t.roles(org, user, roles...)
		if m := t.resolve(org, user).Member; !slices.Equal(m.Roles, roles) || !slices.Equal(m.Permissions, permissions) {
			t.Errorf("roles %q and permissions %q, want %q and %q", m.Roles, m.Permissions, roles, permissions)
		}
	}
	check(a.ID, []string{"guide"}, []string{"read:a"})
	check(b.ID, []string{"admin"}, []string{"write:a"})
	t.changed(t.Members.RemoveRoles(ctx, b.ID, user, admin))
	check(a.ID, []string{"guide"}, []string{"read:a"})
	check(b.ID, nil, nil)
	t.changed(t.Members.Remove(ctx, b.ID, user))
	check(a.ID, []string{"guide"}, []string{"read:a"})
}

// membersRoleLimit assigns more roles than the limit: none of them is given. Roles that were deleted do not count.
func membersRoleLimit(t *engineTest) {
	ctx := t.Context()
	o, user, a := t.org("acme"), t.user("u"), t.role("a")
	t.member(o.ID, user)
	var many []string
	for i := range 51 {
		many = append(many, t.role(fmt.Sprintf("role %02d", i)))
	}
	_, err := t.Members.AssignRoles(ctx, o.ID, user, many...)
	t.limit(err, "roles per member", 50)
	t.roles(o.ID, user)
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, many[:50]...))
	_, err = t.Members.AssignRoles(ctx, o.ID, user, many[50])
	t.limit(err, "roles per member", 50)
	t.changed(t.Roles.Delete(ctx, many[0]))
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, many[50]))
	t.user("v")
	_, err = t.Members.Add(ctx, o.ID, "v", orgstore.MemberOptions{Roles: slices.Concat(many[1:], []string{a})})
	t.limit(err, "roles per member", 50)
}

func membersUpdate(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	_, err := t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{})
	t.notFound(err, "member")
	t.member(o.ID, user, t.role("a"))
	t.unchanged(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{}))
	t.unchanged(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: new("employee"), Metadata: map[string]*string{"x": nil}}))
	_, err = t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: new("")})
	t.invalid(err, "kind", "")
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: new("guest"), Metadata: map[string]*string{"x": new("1"), "y": new("2")}}))
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Metadata: map[string]*string{"x": nil}}))
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || m.Kind != "guest" || !maps.Equal(m.Metadata, map[string]string{"y": "2"}) || len(m.Roles) != 1 {
		t.Errorf("updated: %+v, %v", m, err)
	}
	for _, kind := range []string{"employee", "freelancer", "guest", "other"} {
		if _, err := t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: &kind}); err != nil {
			t.Errorf("kind %s: %v", kind, err)
		}
	}
}

func membersRemove(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.unchanged(t.Members.Remove(ctx, o.ID, user))
	t.unchanged(t.Members.Remove(ctx, o.ID, "nobody"))
	_, err := t.Members.Remove(ctx, "org_0000000000000000", user)
	t.notFound(err, "organization")
	t.changed(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Kind: "guest", Metadata: map[string]string{"a": "b"}, Roles: []string{role}}))
	t.changed(t.Members.Remove(ctx, o.ID, user))
	t.unchanged(t.Members.Remove(ctx, o.ID, user))
	_, err = t.Members.Get(ctx, o.ID, user)
	t.notFound(err, "member")
	// Added again, nothing of before is left.
	t.member(o.ID, user)
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || m.Kind != "employee" || m.Metadata != nil || m.Roles != nil {
		t.Errorf("added again: %+v, %v", m, err)
	}
}

func membersList(t *engineTest) {
	ctx := t.Context()
	o, other, a, b := t.org("acme"), t.org("other"), t.role("a"), t.role("b")
	for i := range 7 {
		user := t.user(fmt.Sprintf("user %d", i))
		t.member(o.ID, user, []string{a, b}[:i%3]...)
		if i%2 == 0 {
			t.member(other.ID, user, a)
		}
	}
	var got []string
	for after := ""; ; {
		page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Limit: 2, After: after}})
		t.ok(err)
		for _, m := range page.Items {
			got = append(got, fmt.Sprint(m.User, len(m.Roles)))
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if want := []string{"user 00", "user 11", "user 22", "user 30", "user 41", "user 52", "user 60"}; !slices.Equal(got, want) {
		t.Errorf("members with their number of roles: %q, want %q", got, want)
	}
	empty := t.org("empty")
	if page, err := t.Members.List(ctx, empty.ID, orgstore.MemberListOptions{}); err != nil || len(page.Items) != 0 || page.Next != "" {
		t.Errorf("an empty organization: %+v, %v", page, err)
	}
	_, err := t.Members.List(ctx, "org_0000000000000000", orgstore.MemberListOptions{})
	t.notFound(err, "organization")
}

func listPages(t *engineTest) {
	ctx := t.Context()
	ids := func(page orgstore.Page[*orgstore.User]) (list []string) {
		for _, u := range page.Items {
			list = append(list, u.ID)
		}
		return list
	}
	if page, err := t.Users.List(ctx, orgstore.UserListOptions{}); err != nil || len(page.Items) != 0 || page.Next != "" {
		t.Errorf("an empty list: %+v, %v", page, err)
	}
	// Byte order, whatever the collation of the database.
	want := []string{"A", "B", "Z", "_", "a", "a b", "ab", "b", "z", "ä", "ö", "日"}
	for _, i := range []int{3, 11, 0, 7, 1, 9, 5, 2, 10, 4, 8, 6} {
		t.user(want[i])
	}
	for _, limit := range []int{1, 2, 3, 5, 11, 12, 13, 1000, 0} {
		var got []string
		pages := 0
		for after := ""; ; {
			page, err := t.Users.List(ctx, orgstore.UserListOptions{ListOptions: orgstore.ListOptions{Limit: limit, After: after}})
			t.ok(err)
			got = append(got, ids(page)...)
			pages++
			if after = page.Next; after == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %q, want %q", limit, got, want)
		}
		if limit == 3 && pages != 4 {
			t.Errorf("12 users on %d pages of 3", pages)
		}
	}
	for i := range 40 {
		t.user(fmt.Sprint("more ", i))
	}
	if page, err := t.Users.List(ctx, orgstore.UserListOptions{}); err != nil || len(page.Items) != 50 {
		t.Errorf("the default page has %d, %v", len(page.Items), err)
	}
}

// listStable reads pages while rows come and go before, at and after the cursor.
func listStable(t *engineTest) {
	ctx := t.Context()
	for _, id := range []string{"b", "d", "f", "h"} {
		t.user(id)
	}
	first, err := t.Users.List(ctx, orgstore.UserListOptions{ListOptions: orgstore.ListOptions{Limit: 2}})
	t.ok(err)
	t.user("a")
	t.user("e")
	t.user("z")
	t.changed(t.Users.Delete(ctx, "d")) // the row that the cursor stands on
	t.changed(t.Users.Delete(ctx, "f"))
	second, err := t.Users.List(ctx, orgstore.UserListOptions{ListOptions: orgstore.ListOptions{After: first.Next}})
	t.ok(err)
	var got []string
	for _, u := range second.Items {
		got = append(got, u.ID)
	}
	if !slices.Equal(got, []string{"e", "h", "z"}) {
		t.Errorf("the second page is %q", got)
	}
}

func listCursors(t *engineTest) {
	ctx := t.Context()
	o, _, _ := t.org("a"), t.org("b"), t.org("c")
	page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{Limit: 1}})
	t.ok(err)
	if page.Next == "" || strings.Contains(page.Next, page.Items[0].ID) {
		t.Errorf("cursor %q", page.Next)
	}
	for _, after := range []string{"x", "%", "' OR 1=1 --", page.Next[1:], "AAAA", strings.Repeat("A", 10_000), "b3JnYW5pemF0aW9uczr_", "b3JnYW5pemF0aW9uczoA"} {
		_, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{After: after}})
		t.invalid(err, "After", after)
	}
	_, err = t.Users.List(ctx, orgstore.UserListOptions{ListOptions: orgstore.ListOptions{After: page.Next}})
	t.invalid(err, "After", page.Next)
	for _, limit := range []int{-1, 1001} {
		_, err = t.Organizations.List(ctx, orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{Limit: limit}})
		t.invalid(err, "Limit", "")
		_, err = t.Members.List(ctx, o.ID, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Limit: limit}})
		t.invalid(err, "Limit", "")
		_, err = t.Events.List(ctx, orgstore.EventOptions{Limit: limit})
		t.invalid(err, "Limit", "")
	}
	_, err = t.Events.List(ctx, orgstore.EventOptions{After: "\x00"})
	t.invalid(err, "After", "")
}

// textTraps stores texts that databases like to change, and reads them back.
func textTraps(t *engineTest) {
	ctx := t.Context()
	for i, text := range []string{
		"", " ", "trailing ", "NULL", "null", "''", `\'`, `\n`, "%", "_", "ä", "a\u0308", "İ", "ß", "0", "00", "1e5", "0x10", "true", "2006-01-02", "2006-01-02T15:04:05Z",
		"👩‍👩‍👧", "$1", "?1", ":a", "/* x */", "-- x", "\u00a0",
	} {
		o, _, err := t.Organizations.Create(ctx, orgstore.Organization{
			Name: fmt.Sprint("o", i), DisplayName: text, Metadata: map[string]string{"text": text, "k" + text: "v"},
		})
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := t.Organizations.Get(ctx, o.ID)
		t.ok(err)
		if got.DisplayName != text || !maps.Equal(got.Metadata, o.Metadata) || got.Metadata["text"] != text {
			t.Errorf("%q came back as %q, %q", text, got.DisplayName, got.Metadata)
		}
	}
}
