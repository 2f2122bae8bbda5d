package orgstoretest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var treeCases = map[string]func(*accessTest){
	"TREE-1: eight organizations in a line, and no cycle": treeDepth,
	"TREE-1: refused": treeRefused,
	"TREE-2: a move changes the organization moved alone": treeMove,
	"TREE-3: a suspension counts below":                   treeSuspension,
	"TREE-1: moves race":                                  treeRace,
	"TREE-4: a role with descendants counts below":        treeDescendants,
}

// line makes organizations, each below the one before.
func (t *engineTest) line(names ...string) []string {
	t.Helper()
	var ids []string
	for i, name := range names {
		ids = append(ids, t.org(name).ID)
		if i > 0 {
			t.changed(t.Organizations.SetParent(t.Context(), ids[i], ids[i-1]))
		}
	}
	return ids
}

func treeDepth(t *accessTest) {
	ctx := t.Context()
	move := func(id, parent string) error { return second(t.Organizations.SetParent(ctx, id, parent)) }
	line := t.line("a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8")
	short := t.line("b1", "b2", "b3")
	t.limit(move(short[0], line[7]), "organizations in one line", 8)
	t.limit(move(short[0], line[5]), "organizations in one line", 8) // it brings two with it
	t.ok(move(short[0], line[4]))
	t.limit(move(line[0], t.org("top").ID), "organizations in one line", 8)
	for _, parent := range line {
		t.invalid(move(line[0], parent), "parent", "")
	}
	t.invalid(move(line[0], short[2]), "parent", "")
	// Everybody in the line is seen from below.
	t.saw(t.resolve(line[7], t.user("u")), orgstore.OrganizationScope(line[0]), orgstore.MembershipScope(line[0], "u"))
	t.changed(t.Organizations.Suspend(ctx, line[0]))
	t.expect(line[7], "u", orgstore.StandingSuspended)

	above, err := t.Organizations.Ancestors(ctx, line[7])
	t.ok(err)
	var names []string
	for _, o := range above {
		names = append(names, o.Name)
	}
	if !slices.Equal(names, []string{"a7", "a6", "a5", "a4", "a3", "a2", "a1"}) {
		t.Errorf("above the last is %q", names)
	}
}

// treeRace moves each organization below the next, so that all together would be a circle.
func treeRace(t *accessTest) {
	ctx := t.Context()
	orgs := t.many(func(i int) string { return t.org(fmt.Sprint("o", i)).ID })
	for range 2 {
		errs := together(racers, func(i int) error { return second(t.Organizations.SetParent(ctx, orgs[i], orgs[(i+1)%racers])) })
		for _, err := range errs {
			if err != nil && !errors.Is(err, orgstore.ErrInvalid) {
				t.limit(err, "organizations in one line", 8)
			}
		}
		if succeeded(errs) == 0 {
			t.Error("nothing was moved")
		}
		for _, org := range orgs {
			if above, err := t.Organizations.Ancestors(ctx, org); err != nil || len(above) > 7 {
				t.Errorf("%d organizations above one, %v", len(above), err)
			}
		}
	}
	t.consistent()
}

func treeRefused(t *accessTest) {
	ctx := t.Context()
	o, p := t.org("acme"), t.org("parent")
	before := len(t.events())
	for _, bad := range []string{"org_0000000000000000", "parent", "org_", "\x00", "\xff", strings.Repeat("a", 10_000), strings.ToUpper(p.ID)} {
		t.notFound(second(t.Organizations.SetParent(ctx, o.ID, bad)), "parent")
		t.notFound(second(t.Organizations.SetParent(ctx, bad, p.ID)), "organization")
		_, err := t.Organizations.Ancestors(ctx, bad)
		t.notFound(err, "organization")
		_, err = t.Organizations.Children(ctx, bad, orgstore.ListOptions{})
		t.notFound(err, "organization")
	}
	t.notFound(second(t.Organizations.SetParent(ctx, "", p.ID)), "organization")
	t.unchanged(t.Organizations.SetParent(ctx, o.ID, ""))
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.changed(t.Organizations.Delete(ctx, p.ID))
	t.notFound(second(t.Organizations.SetParent(ctx, o.ID, p.ID)), "parent")
	t.notFound(second(t.Organizations.SetParent(ctx, p.ID, o.ID)), "organization")
	_, err := t.Organizations.Children(ctx, o.ID, orgstore.ListOptions{After: "x"})
	t.invalid(err, "After", "x")
}

func treeMove(t *accessTest) {
	ctx := t.Context()
	a, b := t.org("a").ID, t.org("b").ID
	var children []string
	for i := range 5 {
		children = append(children, t.org(fmt.Sprint("child", i)).ID)
		result, err := t.Organizations.SetParent(ctx, children[i], a)
		t.changed(result, err)
		if len(result.Revision) != 1 || result.Revision[0].Scope != orgstore.OrganizationScope(children[i]) {
			t.Errorf("a move raised %v", result.Revision)
		}
	}
	t.unchanged(t.Organizations.SetParent(ctx, children[0], a))
	slices.Sort(children)
	var got []string
	for after := ""; ; {
		page, err := t.Organizations.Children(ctx, a, orgstore.ListOptions{Limit: 2, After: after})
		t.ok(err)
		for _, o := range page.Items {
			got = append(got, o.ID)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if !slices.Equal(got, children) {
		t.Errorf("children %q, want %q", got, children)
	}
	t.changed(t.Organizations.SetParent(ctx, children[0], b))
	t.changed(t.Organizations.SetParent(ctx, children[1], ""))
	t.changed(t.Organizations.Delete(ctx, children[2]))
	if page, err := t.Organizations.Children(ctx, a, orgstore.ListOptions{}); err != nil || len(page.Items) != 2 {
		t.Errorf("children %+v, %v", page.Items, err)
	}
	if page, err := t.Organizations.Children(ctx, children[1], orgstore.ListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("children of one without: %+v, %v", page.Items, err)
	}
}

func treeSuspension(t *accessTest) {
	ctx := t.Context()
	line, user := t.line("top", "middle", "low"), t.user("u")
	t.member(line[2], user)
	t.expect(line[2], user, member)
	t.changed(t.Organizations.Suspend(ctx, line[0]))
	a := t.expect(line[2], user, orgstore.StandingSuspended)
	if a.Org.Status != orgstore.OrganizationActive {
		t.Errorf("its own status is %v", a.Org.Status)
	}
	t.expect("low", "\x00", orgstore.StandingSuspended)
	t.changed(t.Organizations.Resume(ctx, line[0]))
	t.expect(line[2], user, member)
	t.changed(t.Organizations.Suspend(ctx, line[1]))
	t.expect(line[2], user, orgstore.StandingSuspended)
	// What is deleted hands nothing down, neither its own suspension nor that of those above it.
	t.changed(t.Organizations.Suspend(ctx, line[0]))
	t.changed(t.Organizations.Delete(ctx, line[1]))
	t.expect(line[2], user, member)
	if above, err := t.Organizations.Ancestors(ctx, line[2]); err != nil || len(above) != 0 {
		t.Errorf("above it is %+v, %v", above, err)
	}
	// The same by schedule.
	next := t.line("one", "two")
	t.member(next[1], user)
	t.changed(t.Organizations.Suspend(ctx, next[0]))
	t.sql(`UPDATE orgauthz_organizations SET delete_at = $1 WHERE id = $2`, epoch.Add(time.Hour).UnixMicro(), next[0])
	if a := t.expect(next[1], user, orgstore.StandingSuspended); !a.ValidUntil.Equal(epoch.Add(time.Hour).Truncate(time.Microsecond)) {
		t.Errorf("valid until %v", a.ValidUntil)
	}
	t.at(time.Hour)
	t.expect(next[1], user, member)
}

func treeDescendants(t *accessTest) {
	ctx := t.Context()
	line, user := t.line("top", "middle", "low"), t.user("u")
	admin, guide := t.role("admin", "a"), t.role("guide", "g")
	t.member(line[0], user, admin, guide)
	t.expect(line[2], user, notMember)
	descend := func(n int) {
		t.sql(`UPDATE orgauthz_member_roles SET descendants = $1 WHERE role_id = $2 AND org_id = $3`, n, admin, line[0])
	}
	descend(1)
	a := t.expect(line[2], user, member, "admin")
	if a.Member.Via != orgstore.ViaAncestor || a.Member.Kind != "employee" || a.Member.Metadata != nil {
		t.Errorf("member is %+v", a.Member)
	}
	t.saw(a, orgstore.MembershipScope(line[0], user), orgstore.MembershipScope(line[1], user), orgstore.MembershipScope(line[2], user))
	t.sources(line[2], user, "admin: ancestor:"+line[0])
	t.expect(line[0], user, member, "admin", "guide")

	t.changed(t.Members.Add(ctx, line[2], user, orgstore.MemberOptions{Kind: "freelancer", Roles: []string{guide}}))
	a = t.expect(line[2], user, member, "admin", "guide")
	if a.Member.Via != "" || a.Member.Kind != "freelancer" {
		t.Errorf("member is %+v", a.Member)
	}
	t.sources(line[2], user, "admin: ancestor:"+line[0], "guide: direct")
	t.sql(`UPDATE orgauthz_members SET status = 'suspended' WHERE org_id = $1`, line[0])
	t.expect(line[2], user, member, "guide")
	t.sql(`UPDATE orgauthz_members SET status = 'active', expires_at = $2 WHERE org_id = $1`, line[0], epoch.Add(time.Hour).UnixMicro())
	t.expect(line[2], user, member, "admin", "guide")
	t.at(time.Hour)
	t.expect(line[2], user, member, "guide")
	t.at(0)
	// A suspended membership below is not made good by a role from above.
	t.sql(`UPDATE orgauthz_members SET status = 'suspended' WHERE org_id = $1`, line[2])
	t.expect(line[2], user, orgstore.StandingMemberSuspended, "admin", "guide")
	t.changed(t.Members.Remove(ctx, line[2], user))
	t.expect(line[2], user, member, "admin")
	t.changed(t.Organizations.SetParent(ctx, line[1], ""))
	t.expect(line[2], user, notMember)
	t.changed(t.Organizations.SetParent(ctx, line[1], line[0]))
	descend(0)
	t.expect(line[2], user, notMember)
}
