package orgstoretest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func membersSearch(t *engineTest) {
	ctx := t.Context()
	o, other, a, b := t.org("acme"), t.org("other"), t.role("a"), t.role("b")
	for i, u := range []orgstore.User{
		{ID: "1", Name: "Zoë", Email: "Amy@Example.com"}, {ID: "2", Name: "amy 100%", Email: "x_y@example.com"}, {ID: "3", Name: "Amy_Lee", Email: "b@example.com"},
		{ID: "4", Name: "Bob", Email: "AMYLEE@example.com"}, {ID: "5", Name: "ÄRGER", Email: ""}, {ID: "6", Name: "", Email: "xay@example.com"},
	} {
		_, _, err := t.Users.Create(ctx, u)
		t.ok(err)
		t.changed(t.Members.Add(ctx, o.ID, u.ID, orgstore.MemberOptions{
			Kind: []string{"employee", "guest"}[i%2], JoinedBy: []string{"admin", "import", "jit"}[i%3], Roles: []string{a, b}[:i%3],
		}))
	}
	t.member(other.ID, "1", a)
	t.changed(t.Members.Suspend(ctx, o.ID, "4"))
	team, _, err := t.Teams.Create(ctx, orgstore.Team{Organization: o.ID, Name: "team"})
	t.ok(err)
	t.changed(t.Teams.AddMember(ctx, o.ID, team.ID, "2"))
	list := func(opts orgstore.MemberListOptions) string {
		t.Helper()
		var got strings.Builder
		opts.Limit, opts.Total = 2, true
		for pages := 0; ; pages++ {
			page, err := t.Members.List(ctx, o.ID, opts)
			t.ok(err)
			for _, m := range page.Items {
				got.WriteString(m.User)
			}
			if opts.After = page.Next; opts.After == "" {
				if got.Len() != page.Total {
					t.Errorf("%+v: total is %d of %q", opts, page.Total, got.String())
				}
				return got.String()
			}
		}
	}
	for _, test := range []struct {
		opts orgstore.MemberListOptions
		want string
	}{
		{orgstore.MemberListOptions{}, "123456"},
		{orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Descending: true}}, "654321"},
		{orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}}, "634125"},
		{orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Sort: orgstore.SortCreated, Descending: true}}, "654321"},
		{orgstore.MemberListOptions{Status: orgstore.MemberActive}, "12356"},
		{orgstore.MemberListOptions{Status: orgstore.MemberSuspended}, "4"},
		{orgstore.MemberListOptions{Kind: "guest"}, "246"},
		{orgstore.MemberListOptions{JoinedBy: "jit"}, "36"},
		{orgstore.MemberListOptions{Role: a}, "2356"},
		{orgstore.MemberListOptions{Role: b, Kind: "guest"}, "6"},
		{orgstore.MemberListOptions{Role: "rol_0000000000000000"}, ""},
		{orgstore.MemberListOptions{Team: team.ID}, "2"},
		{orgstore.MemberListOptions{Team: "team_0000000000000000"}, ""},
		{orgstore.MemberListOptions{Query: "amy"}, "1234"},
		{orgstore.MemberListOptions{Query: "AMY", ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}}, "3412"},
		{orgstore.MemberListOptions{Query: "amy_"}, "3"},
		{orgstore.MemberListOptions{Query: "amy%"}, ""},
		{orgstore.MemberListOptions{Query: "amy 100%"}, "2"},
		{orgstore.MemberListOptions{Query: "amylee"}, "4"},
		{orgstore.MemberListOptions{Query: "x_"}, "2"},
		{orgstore.MemberListOptions{Query: "ärg"}, "5"},
		{orgstore.MemberListOptions{Query: "zoë"}, "1"},
		{orgstore.MemberListOptions{Query: "lee"}, ""},
		{orgstore.MemberListOptions{Query: `\`}, ""},
		{orgstore.MemberListOptions{Query: "amy", Role: a, Status: orgstore.MemberActive}, "23"},
	} {
		if got := list(test.opts); got != test.want {
			t.Errorf("%+v: %q, want %q", test.opts, got, test.want)
		}
	}
	// A user's new name and address are found, and no membership was changed by them.
	result, err := t.Users.Update(ctx, "5", orgstore.UserUpdate{Name: new("Amy Z"), Email: new("new@example.com")})
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v", result.Revision)
	}
	for query, want := range map[string]string{"ärg": "", "amy z": "5", "new@": "5"} {
		if got := list(orgstore.MemberListOptions{Query: query}); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Offset: 2, Limit: 2, Total: true}})
	if err != nil || len(page.Items) != 2 || page.Items[0].User != "3" || page.Total != 6 {
		t.Errorf("by offset: %+v, %v", page, err)
	}
}

func membersSearchRefused(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	for field, opts := range map[string][]orgstore.MemberListOptions{
		"Status":   {{Status: "gone"}, {Status: "ACTIVE"}},
		"Kind":     {{Kind: "owner"}, {Kind: "a\x00"}},
		"JoinedBy": {{JoinedBy: "magic"}},
		"Role":     {{Role: "admin"}, {Role: "rol_%"}, {Role: "\xff"}, {Role: o.ID}},
		"Team":     {{Team: "team"}, {Team: "team_\x00"}},
		"Query":    {{Query: "a\x00"}, {Query: "\xff"}, {Query: "a\nb"}, {Query: strings.Repeat("a", 1025)}},
		"Limit":    {{ListOptions: orgstore.ListOptions{Limit: -1}}, {ListOptions: orgstore.ListOptions{Limit: 1001}}},
		"Sort":     {{ListOptions: orgstore.ListOptions{Sort: "used_at"}}, {ListOptions: orgstore.ListOptions{Sort: "m.name; --"}}},
		"After":    {{ListOptions: orgstore.ListOptions{After: "x"}}},
	} {
		for _, opts := range opts {
			_, err := t.Members.List(ctx, o.ID, opts)
			t.invalid(err, field, "")
		}
	}
}

func userOrganizations(t *engineTest) {
	ctx := t.Context()
	user, a, b := t.user("u"), t.role("a"), t.role("b")
	var orgs []*orgstore.Organization
	for i, name := range []string{"zulu", "alpha", "mike", "bravo"} {
		o, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: name, DisplayName: "The " + name + " Ltd."})
		t.ok(err)
		orgs = append(orgs, o)
		t.member(o.ID, user, []string{a, b}[:i%3]...)
	}
	t.member(t.org("deleted").ID, user)
	gone, err := t.Organizations.GetByName(ctx, "deleted")
	t.ok(err)
	t.changed(t.Organizations.Delete(ctx, gone.ID))
	t.changed(t.Organizations.Suspend(ctx, orgs[2].ID))
	t.changed(t.Members.Suspend(ctx, orgs[3].ID, user))
	n := len(t.events())
	for _, i := range []int{3, 0} {
		t.ok(t.Members.Use(ctx, orgs[i].ID, user))
		t.clock.advance(time.Minute)
	}
	t.ok(t.Members.Use(ctx, orgs[1].ID, "nobody"))
	t.ok(t.Members.Use(ctx, "nonsense", "u\x00"))
	if len(t.events()) != n {
		t.Error("use has told events")
	}
	list := func(opts orgstore.MembershipListOptions) string {
		t.Helper()
		var got []string
		opts.Limit, opts.Total = 2, true
		for {
			page, err := t.Users.Organizations(ctx, user, opts)
			t.ok(err)
			for _, m := range page.Items {
				got = append(got, fmt.Sprint(m.Organization.Name, len(m.Member.Roles)))
			}
			if opts.After = page.Next; opts.After == "" {
				if page.Total != len(got) {
					t.Errorf("%+v: total is %d of %q", opts, page.Total, got)
				}
				return strings.Join(got, " ")
			}
		}
	}
	sorted := func(by orgstore.Sort, descending bool) orgstore.MembershipListOptions {
		return orgstore.MembershipListOptions{ListOptions: orgstore.ListOptions{Sort: by, Descending: descending}}
	}
	for _, test := range []struct {
		opts orgstore.MembershipListOptions
		want string
	}{
		{sorted(orgstore.SortName, false), "alpha1 bravo0 mike2 zulu0"},
		{sorted(orgstore.SortCreated, false), "zulu0 alpha1 mike2 bravo0"},
		{sorted(orgstore.SortCreated, true), "bravo0 mike2 alpha1 zulu0"},
		{orgstore.MembershipListOptions{Status: orgstore.MemberSuspended}, "bravo0"},
		{orgstore.MembershipListOptions{OrganizationStatus: orgstore.OrganizationSuspended}, "mike2"},
		{orgstore.MembershipListOptions{Query: "MI"}, "mike2"},
		{orgstore.MembershipListOptions{Query: "the al"}, "alpha1"},
		{orgstore.MembershipListOptions{Query: "%"}, ""},
	} {
		if got := list(test.opts); got != test.want {
			t.Errorf("%+v: %q, want %q", test.opts, got, test.want)
		}
	}
	if got := list(sorted(orgstore.SortUsed, true)); !strings.HasPrefix(got, "zulu0 bravo0 ") {
		t.Errorf("by use: %q", got)
	}
	page, err := t.Users.Organizations(ctx, user, orgstore.MembershipListOptions{Query: "bravo"})
	if err != nil || len(page.Items) != 1 || page.Items[0].Member.Status != orgstore.MemberSuspended || page.Items[0].Member.UsedAt.IsZero() ||
		page.Items[0].Organization.DisplayName != "The bravo Ltd." {
		data, _ := json.Marshal(page)
		t.Errorf("one: %s, %v", data, err)
	}
}

func userOrganizationsRefused(t *engineTest) {
	ctx := t.Context()
	user := t.user("u")
	if page, err := t.Users.Organizations(ctx, user, orgstore.MembershipListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("none: %+v, %v", page, err)
	}
	for _, id := range []string{"", "nobody", "u\x00", "\xff", strings.Repeat("u", 1025)} {
		_, err := t.Users.Organizations(ctx, id, orgstore.MembershipListOptions{})
		t.notFound(err, "user")
	}
	for field, opts := range map[string]orgstore.MembershipListOptions{
		"Status": {Status: "gone"}, "OrganizationStatus": {OrganizationStatus: "gone"}, "Query": {Query: "\xff"},
		"Sort": {ListOptions: orgstore.ListOptions{Sort: "x"}}, "After": {ListOptions: orgstore.ListOptions{After: "x"}},
	} {
		_, err := t.Users.Organizations(ctx, user, opts)
		t.invalid(err, field, "")
	}
}
