package orgstoretest

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

var clientGrantCases = cases{
	"M2M-1: client grants":                           grantsLife,
	"M2M-1: client grants, bad input":                grantsBad,
	"M2M-1: no third party acts in any organization": grantsThirdParty,
	"M2M-3: client grants of organizations":          grantsOrganizations,
	"M2M-3: grants end with organizations":           grantsDeletedOrganization,
	"DIR-5: grants end with their application":       grantsDeletedClient,
}

func (t *engineTest) grant(client, audience string, scopes ...string) string {
	t.Helper()
	g, _, err := t.ClientGrants.Create(t.Context(), orgstore.ClientGrant{ClientID: client, Audience: audience, Scopes: scopes})
	t.ok(err)
	return g.ID
}

// raised checks that result raised these scopes and no others.
func (t *engineTest) raised(result orgstore.Result, scopes ...orgstore.Scope) {
	t.Helper()
	for _, s := range scopes {
		if _, ok := result.Revision.Of(s); !ok {
			t.Errorf("%v was not raised: %v", s, result.Revision)
		}
	}
	if len(result.Revision) != len(scopes) {
		t.Errorf("raised %v, want %v", result.Revision, scopes)
	}
}

func grantsLife(t *engineTest) {
	ctx := t.Context()
	c, a := t.client("c"), t.api("a", "read", "write")
	given := orgstore.ClientGrant{ClientID: c, Audience: a, Scopes: []string{"write", "read", "read"}, OrganizationUsage: orgstore.OrganizationRequire,
		AllowAnyOrganization: true}
	g, result, err := t.ClientGrants.Create(ctx, given)
	t.ok(err)
	t.raised(result, orgstore.ClientGrantScope(g.ID), orgstore.UserScope("c@clients"))
	want := given
	want.ID, want.Scopes, want.CreatedAt, want.UpdatedAt = g.ID, []string{"read", "write"}, g.CreatedAt, g.CreatedAt
	got, err := t.ClientGrants.Get(ctx, g.ID)
	if err != nil || !reflect.DeepEqual(*got, want) || !reflect.DeepEqual(*g, want) {
		t.Errorf("got %+v, want %+v, %v", got, want, err)
	}
	t.conflict(third(t.ClientGrants.Create(ctx, orgstore.ClientGrant{ClientID: c, Audience: a})), "client_grant", "audience")
	t.conflict(third(t.ClientGrants.Create(ctx, orgstore.ClientGrant{ID: g.ID, ClientID: t.client("d"), Audience: a})), "client_grant", "id")
	for _, u := range []orgstore.ClientGrantUpdate{{}, {Scopes: &[]string{"write", "read"}}, {AllowAnyOrganization: new(true)}} {
		t.unchanged(t.ClientGrants.Update(ctx, g.ID, u))
	}
	result, err = t.ClientGrants.Update(ctx, g.ID, orgstore.ClientGrantUpdate{Scopes: &[]string{}, OrganizationUsage: new(orgstore.OrganizationUsage("")),
		AllowAnyOrganization: new(false)})
	t.ok(err)
	t.raised(result, orgstore.ClientGrantScope(g.ID), orgstore.UserScope("c@clients"))
	if got, err = t.ClientGrants.Get(ctx, g.ID); err != nil || len(got.Scopes) != 0 || got.OrganizationUsage != orgstore.OrganizationDeny || got.AllowAnyOrganization {
		t.Errorf("updated: %+v, %v", got, err)
	}
	other := t.grant("d", a)
	for _, opts := range []orgstore.ClientGrantListOptions{{Client: "d"}, {Client: "d", Audience: a}} {
		page, err := t.ClientGrants.List(ctx, opts)
		if err != nil || len(page.Items) != 1 || page.Items[0].ID != other {
			t.Errorf("list %+v: %v, %v", opts, page.Items, err)
		}
	}
	for _, opts := range []orgstore.ClientGrantListOptions{{Client: "e"}, {Audience: "b"}, {Client: "\x00"}, {Audience: "\xff"}} {
		if page, err := t.ClientGrants.List(ctx, opts); err != nil || len(page.Items) != 0 {
			t.Errorf("list %+v: %v, %v", opts, page.Items, err)
		}
	}
	result, err = t.ClientGrants.Delete(ctx, g.ID)
	t.ok(err)
	t.raised(result, orgstore.ClientGrantScope(g.ID), orgstore.UserScope("c@clients"))
	t.unchanged(t.ClientGrants.Delete(ctx, g.ID))
	_, err = t.ClientGrants.Get(ctx, g.ID)
	t.notFound(err, "client_grant")
}

func grantsBad(t *engineTest) {
	ctx := t.Context()
	c, a, o := t.client("c"), t.api("a", "read"), t.org("acme")
	g := t.grant(c, a)
	before := len(t.events())
	create := func(g orgstore.ClientGrant) error { return third(t.ClientGrants.Create(ctx, g)) }
	for _, s := range []string{"write", "", "a b", "\x00", "\xff", "\u0430"} {
		t.invalid(create(orgstore.ClientGrant{ClientID: c, Audience: a, Scopes: []string{s}}), "scope", s)
		_, err := t.ClientGrants.Update(ctx, g, orgstore.ClientGrantUpdate{Scopes: &[]string{"read", s}})
		t.invalid(err, "scope", s)
	}
	t.invalid(create(orgstore.ClientGrant{ClientID: c, Audience: a, OrganizationUsage: "sometimes"}), "organization_usage", "sometimes")
	t.invalid(create(orgstore.ClientGrant{ID: "cgr_", ClientID: c, Audience: a}), "id", "")
	for _, id := range []string{"", "nobody", "a b", "\x00", "\xff"} {
		t.notFound(create(orgstore.ClientGrant{ClientID: id, Audience: a}), "client")
		t.notFound(create(orgstore.ClientGrant{ClientID: c, Audience: id}), "api")
		_, err := t.ClientGrants.AddOrganization(ctx, g, id)
		t.notFound(err, "organization")
		_, err = t.ClientGrants.RemoveOrganization(ctx, g, id)
		t.notFound(err, "organization")
		_, err = t.ClientGrants.ListByOrganization(ctx, id, orgstore.ClientGrantListOptions{})
		t.notFound(err, "organization")
	}
	for _, id := range []string{"", "cgr_", "cgr_0000000000000000", "cgr_\x00", "\xff", o.ID} {
		_, err := t.ClientGrants.Get(ctx, id)
		t.notFound(err, "client_grant")
		_, err = t.ClientGrants.Update(ctx, id, orgstore.ClientGrantUpdate{})
		t.notFound(err, "client_grant")
		t.unchanged(t.ClientGrants.Delete(ctx, id))
		_, err = t.ClientGrants.AddOrganization(ctx, id, o.ID)
		t.notFound(err, "client_grant")
		_, err = t.ClientGrants.RemoveOrganization(ctx, id, o.ID)
		t.notFound(err, "client_grant")
		_, err = t.ClientGrants.Organizations(ctx, id, orgstore.ListOptions{})
		t.notFound(err, "client_grant")
	}
	foreign, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{Limit: 1}})
	t.ok(err)
	for _, after := range []string{"foreign", "\x00", foreign.Next + "A"} {
		_, err := t.ClientGrants.List(ctx, orgstore.ClientGrantListOptions{ListOptions: orgstore.ListOptions{After: after}})
		t.invalid(err, "After", after)
		_, err = t.ClientGrants.Organizations(ctx, g, orgstore.ListOptions{After: after})
		t.invalid(err, "After", after)
		_, err = t.ClientGrants.ListByOrganization(ctx, o.ID, orgstore.ClientGrantListOptions{ListOptions: orgstore.ListOptions{After: after}})
		t.invalid(err, "After", after)
	}
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
}

func grantsThirdParty(t *engineTest) {
	ctx := t.Context()
	a := t.api("a")
	c, _, err := t.Clients.Create(ctx, orgstore.Client{Name: "third"})
	t.ok(err)
	t.invalid(third(t.ClientGrants.Create(ctx, orgstore.ClientGrant{ClientID: c.ID, Audience: a, AllowAnyOrganization: true})), "allow_any_organization", "")
	g := t.grant(c.ID, a)
	_, err = t.ClientGrants.Update(ctx, g, orgstore.ClientGrantUpdate{AllowAnyOrganization: new(true)})
	t.invalid(err, "allow_any_organization", "")
	t.changed(t.Clients.Update(ctx, c.ID, orgstore.ClientUpdate{FirstParty: new(true)}))
	t.changed(t.ClientGrants.Update(ctx, g, orgstore.ClientGrantUpdate{AllowAnyOrganization: new(true)}))
	_, err = t.Clients.Update(ctx, c.ID, orgstore.ClientUpdate{FirstParty: new(false)})
	t.invalid(err, "is_first_party", "")
	t.changed(t.ClientGrants.Delete(ctx, g))
	t.changed(t.Clients.Update(ctx, c.ID, orgstore.ClientUpdate{FirstParty: new(false)}))
}

func grantsOrganizations(t *engineTest) {
	ctx := t.Context()
	c, o, p := t.client("c"), t.org("o"), t.org("p")
	g, h := t.grant(c, t.api("a")), t.grant(c, t.api("b"))
	result, err := t.ClientGrants.AddOrganization(ctx, g, o.ID)
	t.ok(err)
	t.raised(result, orgstore.MembershipScope(o.ID, "c@clients"))
	t.unchanged(t.ClientGrants.AddOrganization(ctx, g, o.ID))
	t.unchanged(t.ClientGrants.RemoveOrganization(ctx, g, p.ID))
	t.changed(t.ClientGrants.AddOrganization(ctx, g, p.ID))
	t.changed(t.ClientGrants.AddOrganization(ctx, h, o.ID))
	orgs, err := t.ClientGrants.Organizations(ctx, g, orgstore.ListOptions{Sort: orgstore.SortName, Limit: 1, Total: true})
	t.ok(err)
	rest, err := t.ClientGrants.Organizations(ctx, g, orgstore.ListOptions{Sort: orgstore.SortName, After: orgs.Next})
	if err != nil || orgs.Total != 2 || orgs.Items[0].ID != o.ID || len(rest.Items) != 1 || rest.Items[0].ID != p.ID {
		t.Errorf("organizations: %v, %v, %v", orgs, rest, err)
	}
	list := func(opts orgstore.ClientGrantListOptions) (ids []string) {
		t.Helper()
		page, err := t.ClientGrants.ListByOrganization(ctx, o.ID, opts)
		t.ok(err)
		for _, g := range page.Items {
			ids = append(ids, g.ID)
		}
		return ids
	}
	both := []string{g, h}
	slices.Sort(both)
	if got := list(orgstore.ClientGrantListOptions{}); !slices.Equal(got, both) {
		t.Errorf("grants: %q, want %q", got, both)
	}
	if got := list(orgstore.ClientGrantListOptions{Audience: "b", Client: c}); !slices.Equal(got, []string{h}) {
		t.Errorf("grants for b: %q", got)
	}
	if got := list(orgstore.ClientGrantListOptions{Client: "d"}); len(got) != 0 {
		t.Errorf("grants of another: %q", got)
	}
	result, err = t.ClientGrants.RemoveOrganization(ctx, g, o.ID)
	t.ok(err)
	t.raised(result, orgstore.MembershipScope(o.ID, "c@clients"))
	t.unchanged(t.ClientGrants.RemoveOrganization(ctx, g, o.ID))
	t.changed(t.ClientGrants.Delete(ctx, h))
	if got := list(orgstore.ClientGrantListOptions{}); len(got) != 0 {
		t.Errorf("grants at the end: %q", got)
	}
}

func grantsDeletedOrganization(t *engineTest) {
	ctx := t.Context()
	o, g := t.org("o"), t.grant(t.client("c"), t.api("a"))
	t.changed(t.ClientGrants.AddOrganization(ctx, g, o.ID))
	t.changed(t.Organizations.Delete(ctx, o.ID))
	if page, err := t.ClientGrants.Organizations(ctx, g, orgstore.ListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("organizations: %v, %v", page.Items, err)
	}
	_, err := t.ClientGrants.ListByOrganization(ctx, o.ID, orgstore.ClientGrantListOptions{})
	t.notFound(err, "organization")
	_, err = t.ClientGrants.AddOrganization(ctx, g, o.ID)
	t.notFound(err, "organization")
}

func grantsDeletedClient(t *engineTest) {
	ctx := t.Context()
	c, o := t.client("c"), t.org("o")
	g := t.grant(c, t.api("a"))
	t.changed(t.ClientGrants.AddOrganization(ctx, g, o.ID))
	result, err := t.Clients.Delete(ctx, c)
	t.ok(err)
	t.raised(result, orgstore.ClientScope(c), orgstore.UserScope("c@clients"), orgstore.ClientGrantScope(g))
	_, err = t.ClientGrants.Get(ctx, g)
	t.notFound(err, "client_grant")
	if page, err := t.ClientGrants.ListByOrganization(ctx, o.ID, orgstore.ClientGrantListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("grants: %v, %v", page.Items, err)
	}
	t.notFound(third(t.ClientGrants.Create(ctx, orgstore.ClientGrant{ClientID: c, Audience: "a"})), "client")
}

var clientGrantRaces = map[string]race{
	"M2M-1: one grant of an application for an API": {setup: func(t *engineTest) func(int) error {
		c, a := t.client("c"), t.api("a")
		return func(int) error {
			return third(t.ClientGrants.Create(t.Context(), orgstore.ClientGrant{ClientID: c, Audience: a}))
		}
	}, most: 1, lost: conflict("client_grant", "audience")},
	"M2M-3: grants of an organization": {orgstore.Limits{OrganizationGrants: 5}, func(t *engineTest) func(int) error {
		a, o := t.api("a"), t.org("o")
		grants := t.many(func(i int) string { return t.grant(t.client(fmt.Sprint("c", i)), a) })
		return func(i int) error { return second(t.ClientGrants.AddOrganization(t.Context(), grants[i], o.ID)) }
	}, 5, limit("client grants per organization", 5), nil},
	"M2M-1: an application becomes a third party's while it gets a grant for any organization": {setup: func(t *engineTest) func(int) error {
		a := t.api("a")
		clients := t.many(func(i int) string { return t.client(fmt.Sprint("c", i)) })
		return func(i int) error {
			if i%2 == 0 {
				return second(t.Clients.Update(t.Context(), clients[i/2], orgstore.ClientUpdate{FirstParty: new(false)}))
			}
			return third(t.ClientGrants.Create(t.Context(), orgstore.ClientGrant{ClientID: clients[i/2], Audience: a, AllowAnyOrganization: true}))
		}
	}, most: racers / 2, lost: func(t *engineTest, err error) { t.is(err, orgstore.ErrInvalid) }},
	"DIR-5: applications are deleted while they get grants": {setup: func(t *engineTest) func(int) error {
		a, o := t.api("a"), t.org("o")
		clients := t.many(func(i int) string { return t.client(fmt.Sprint("c", i)) })
		return func(i int) error {
			if i%2 == 0 {
				return second(t.Clients.Delete(t.Context(), clients[i/2]))
			}
			g, _, err := t.ClientGrants.Create(t.Context(), orgstore.ClientGrant{ClientID: clients[i/2], Audience: a})
			if err != nil {
				t.notFound(err, "client")
				return nil
			}
			if _, err = t.ClientGrants.AddOrganization(t.Context(), g.ID, o.ID); err != nil {
				t.notFound(err, "client_grant")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		if grants, err := t.ClientGrants.List(t.Context(), orgstore.ClientGrantListOptions{}); err != nil || len(grants.Items) != 0 {
			t.Errorf("grants of nobody: %v, %v", grants.Items, err)
		}
	}},
}
