package orgstoretest

import (
	"context"
	"database/sql"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var organizationClientCases = cases{
	"APP-1: access of applications":                     organizationClientsLife,
	"APP-1: access of applications, bad input":          organizationClientsRefused,
	"APP-1: what is deleted has no access":              organizationClientsDeleted,
	"APP-1: access of applications is told by its name": organizationClientsList,
}

var organizationClientRaces = map[string]race{
	"APP-1: applications of an organization": {limits: orgstore.Limits{OrganizationClients: 5}, setup: func(t *engineTest) func(int) error {
		o, clients := t.org("acme"), t.many(func(i int) string { return t.client("c" + strconv.Itoa(i)) })
		return func(i int) error {
			return second(t.OrganizationClients.Add(t.Context(), o.ID, orgstore.NewOrganizationClient{ClientID: clients[i]}))
		}
	}, most: 5, lost: limit("clients of an organization", 5)},
	"APP-1: one access of an application": {setup: func(t *engineTest) func(int) error {
		o, client := t.org("acme"), t.client("c")
		return func(int) error {
			result, err := t.OrganizationClients.Add(t.Context(), o.ID, orgstore.NewOrganizationClient{ClientID: client})
			if err == nil && !result.Changed {
				err = errUndo // was there already
			}
			return err
		}
	}, most: 1, lost: func(t *engineTest, err error) { t.is(err, errUndo) }},
}

func organizationClientsLife(t *engineTest) {
	ctx := t.Context()
	o, a, b := t.org("acme"), t.client("a"), t.client("b")
	result, err := t.OrganizationClients.Add(ctx, o.ID, orgstore.NewOrganizationClient{ClientID: a, UseForMemberAccess: true}, orgstore.NewOrganizationClient{ClientID: b})
	t.changed(result, err)
	if len(result.Revision) != 2 || result.Revision[0].Scope != (orgstore.Scope{Kind: orgstore.ScopeOrganizationClient, Org: o.ID, ID: a}) {
		t.Errorf("raised %v", result.Revision)
	}
	is := func(client string, want bool) {
		t.Helper()
		got, err := t.OrganizationClients.Get(ctx, o.ID, client)
		if err != nil || got.UseForMemberAccess != want || got.ClientID != client || got.Organization != o.ID || got.Client.ID != client ||
			got.Client.Name != "client "+client || !got.Client.FirstParty {
			t.Errorf("%s: %+v, %v", client, got, err)
		}
	}
	is(a, true)
	is(b, false)
	t.unchanged(t.OrganizationClients.Add(ctx, o.ID, orgstore.NewOrganizationClient{ClientID: a}))
	t.unchanged(t.OrganizationClients.Add(ctx, o.ID))
	is(a, true)
	t.unchanged(t.OrganizationClients.Update(ctx, o.ID, a, true))
	t.changed(t.OrganizationClients.Update(ctx, o.ID, a, false))
	is(a, false)
	t.changed(t.OrganizationClients.Remove(ctx, o.ID, a, a, "unknown"))
	t.unchanged(t.OrganizationClients.Remove(ctx, o.ID, a))
	_, err = t.OrganizationClients.Get(ctx, o.ID, a)
	t.notFound(err, "client")
	_, err = t.OrganizationClients.Update(ctx, o.ID, a, true)
	t.notFound(err, "client")
	t.changed(t.OrganizationClients.Add(ctx, o.ID, orgstore.NewOrganizationClient{ClientID: a}))
	var types []string
	for _, e := range t.events() {
		if e.Scope.Kind == orgstore.ScopeOrganizationClient && e.Scope.ID == a {
			types = append(types, strings.TrimPrefix(e.Type, "organization.client."))
		}
	}
	if got := strings.Join(types, " "); got != "added updated removed added" {
		t.Errorf("events: %s", got)
	}
	t.consistent()
}

func organizationClientsList(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	for _, id := range []string{"c", "a", "b"} {
		t.changed(t.OrganizationClients.Add(ctx, o.ID, orgstore.NewOrganizationClient{ClientID: t.client(id)}))
	}
	for sort, want := range map[orgstore.Sort]string{orgstore.SortID: "a b c", orgstore.SortName: "a b c", orgstore.SortCreated: "c a b"} {
		var got []string
		for after := ""; ; {
			page, err := t.OrganizationClients.List(ctx, o.ID, orgstore.ListOptions{Sort: sort, Limit: 2, After: after})
			t.ok(err)
			for _, c := range page.Items {
				got = append(got, c.ClientID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("by %s: %q, want %q", sort, got, want)
		}
	}
	if page, err := t.OrganizationClients.List(ctx, other.ID, orgstore.ListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("another organization: %+v, %v", page, err)
	}
}

func organizationClientsRefused(t *engineTest) {
	ctx := t.Context()
	o, a := t.org("acme"), t.client("a")
	before := len(t.events())
	for _, org := range badIDs("org_") {
		_, err := t.OrganizationClients.Add(ctx, org, orgstore.NewOrganizationClient{ClientID: a})
		t.notFound(err, "organization")
		_, err = t.OrganizationClients.List(ctx, org, orgstore.ListOptions{})
		t.notFound(err, "organization")
		_, err = t.OrganizationClients.Get(ctx, org, a)
		t.notFound(err, "client")
		t.unchanged(t.OrganizationClients.Remove(ctx, org, a))
	}
	for _, id := range []string{"", "unknown", "a\x00", "\xff", "ａ", "a b", strings.Repeat("a", 65), strings.Repeat("a", 100_000)} {
		_, err := t.OrganizationClients.Add(ctx, o.ID, orgstore.NewOrganizationClient{ClientID: a}, orgstore.NewOrganizationClient{ClientID: id})
		t.notFound(err, "client")
		_, err = t.OrganizationClients.Get(ctx, o.ID, id)
		t.notFound(err, "client")
		_, err = t.OrganizationClients.Update(ctx, o.ID, id, true)
		t.notFound(err, "client")
		t.unchanged(t.OrganizationClients.Remove(ctx, o.ID, id))
	}
	_, err := t.OrganizationClients.Add(ctx, o.ID, make([]orgstore.NewOrganizationClient, 11)...)
	t.limit(err, "clients per call", 10)
	_, err = t.OrganizationClients.Remove(ctx, o.ID, make([]string, 11)...)
	t.limit(err, "clients per call", 10)
	_, err = t.OrganizationClients.List(ctx, o.ID, orgstore.ListOptions{Limit: -1})
	t.invalid(err, "Limit", "")
	_, err = t.OrganizationClients.List(ctx, o.ID, orgstore.ListOptions{After: "foreign"})
	t.invalid(err, "After", "foreign")
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
}

func organizationClientsDeleted(t *engineTest) {
	ctx := t.Context()
	o, gone, a := t.org("acme"), t.org("gone"), t.client("a")
	for _, org := range []string{o.ID, gone.ID} {
		t.changed(t.OrganizationClients.Add(ctx, org, orgstore.NewOrganizationClient{ClientID: a}))
	}
	t.changed(t.Organizations.Delete(ctx, gone.ID))
	_, err := t.OrganizationClients.Get(ctx, gone.ID, a)
	t.notFound(err, "client")
	t.changed(t.Clients.Delete(ctx, a))
	_, err = t.OrganizationClients.Get(ctx, o.ID, a)
	t.notFound(err, "client")
	if page, err := t.OrganizationClients.List(ctx, o.ID, orgstore.ListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("list: %+v, %v", page, err)
	}
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	t.left("orgauthz_organization_clients", 0)
}

// left fails the test unless a table has so many rows.
func (t *engineTest) left(table string, want int) {
	t.Helper()
	var n int
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n)
	}))
	if n != want {
		t.Errorf("%d rows of %s are left, want %d", n, table, want)
	}
}
