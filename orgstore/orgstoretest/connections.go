package orgstoretest

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var connectionCases = cases{
	"DIR-1: connections":                         connectionsLife,
	"DIR-1: connections, bad input":              connectionsBad,
	"DIR-1: kinds of connections":                connectionsKinds,
	"DIR-2: a deleted connection is gone":        connectionsDelete,
	"DIR-3: connections by domain":               connectionsByDomain,
	"DIR-4: applications of connections":         connectionsClients,
	"DIR-1: connections, lists":                  connectionsList,
	"ORG-4: what changes nothing of connections": connectionsUnchanged,
}

func (t *engineTest) connection(name, strategy string) string {
	t.Helper()
	c, _, err := t.Connections.Create(t.Context(), orgstore.Connection{Name: name, Strategy: strategy})
	t.ok(err)
	return c.ID
}

// noConnections are no ids of anything.
var noConnections = []string{"", "con_", "con_000000000000000", "con_0000000000000000\x00", "con_000000000000000\u0430", "\xff", "org_0000000000000000",
	strings.Repeat("c", 10_000)}

func connectionsLife(t *engineTest) {
	ctx := t.Context()
	given := orgstore.Connection{Name: "granite-IdP-1", Strategy: "samlp", DisplayName: "Granite", Domains: []string{"Granite.example", "a.example", "a.example"},
		DomainConnection: true, Isolated: true}
	c, result, err := t.Connections.Create(ctx, given)
	t.changed(result, err)
	if _, ok := result.Revision.Of(orgstore.ConnectionScope(c.ID)); !ok || len(result.Revision) != 1 {
		t.Errorf("raised %v", result.Revision)
	}
	byName, err := t.Connections.GetByName(ctx, given.Name)
	t.ok(err)
	got, err := t.Connections.Get(ctx, c.ID)
	t.ok(err)
	want := given
	want.ID, want.CreatedAt, want.UpdatedAt, want.Domains = c.ID, c.CreatedAt, c.CreatedAt, []string{"a.example", "granite.example"}
	for _, got := range []*orgstore.Connection{c, got, byName} {
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	t.changed(t.Connections.Update(ctx, c.ID, orgstore.ConnectionUpdate{DisplayName: new(""), Domains: &[]string{"b.example"}, Isolated: new(false)}))
	got, err = t.Connections.Get(ctx, c.ID)
	t.ok(err)
	want.DisplayName, want.Domains, want.Isolated, want.UpdatedAt = "", []string{"b.example"}, false, got.UpdatedAt
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("updated: %+v, want %+v", got, want)
	}
	_, _, err = t.Connections.Create(ctx, orgstore.Connection{Name: given.Name, Strategy: "auth0"})
	t.conflict(err, "connection", "name")
	_, _, err = t.Connections.Create(ctx, orgstore.Connection{ID: c.ID, Name: "other", Strategy: "auth0"})
	t.conflict(err, "connection", "id")
	if id := t.connection(strings.ToUpper(given.Name), "auth0"); id == c.ID {
		t.Error("the case of names does not count")
	}
}

func connectionsUnchanged(t *engineTest) {
	c, _, err := t.Connections.Create(t.Context(), orgstore.Connection{Name: "c", Strategy: "okta", Domains: []string{"b.example", "a.example"}})
	t.ok(err)
	for _, u := range []orgstore.ConnectionUpdate{
		{}, {DisplayName: new("")}, {Domains: &[]string{"A.example", "b.example", "b.example"}}, {Signup: new(false)},
	} {
		t.unchanged(t.Connections.Update(t.Context(), c.ID, u))
	}
}

func connectionsBad(t *engineTest) {
	ctx := t.Context()
	create := func(c orgstore.Connection) error { return third(t.Connections.Create(ctx, c)) }
	c := t.connection("there", "samlp")
	before := len(t.events())
	for _, name := range []string{"", "-a", "a-", "a--b", "a_b", "a b", "ä", "\u212a", "a\x00", "\xff", "a\n", strings.Repeat("x", 129)} {
		t.invalid(create(orgstore.Connection{Name: name, Strategy: "auth0"}), "name", name)
		_, err := t.Connections.GetByName(ctx, name)
		t.notFound(err, "connection")
	}
	for _, strategy := range []string{"", "AUTH0", "auth0|", "a b", "a\x00", "\xff", strings.Repeat("x", 65)} {
		t.invalid(create(orgstore.Connection{Name: "c", Strategy: strategy}), "strategy", strategy)
	}
	for _, domain := range []string{"", "com", "a b.example", "-a.example", "a-.example", "a..example", "a.example.", "*.example.com", "@a.example",
		"ex\u00e4mple.com", "\u212a.example", "a.example\x00", "\xff.example", strings.Repeat("x", 64) + ".example", strings.Repeat("x.", 130) + "example"} {
		t.invalid(create(orgstore.Connection{Name: "c", Strategy: "samlp", Domains: []string{domain}}), "domain_aliases", domain)
		_, err := t.Connections.Update(ctx, c, orgstore.ConnectionUpdate{Domains: &[]string{"fine.example", domain}})
		t.invalid(err, "domain_aliases", domain)
	}
	for _, id := range noConnections[1:] {
		t.invalid(create(orgstore.Connection{ID: id, Name: "c", Strategy: "auth0"}), "id", id)
	}
	for _, id := range append(noConnections, "con_0000000000000000") {
		_, err := t.Connections.Get(ctx, id)
		t.notFound(err, "connection")
		_, err = t.Connections.Update(ctx, id, orgstore.ConnectionUpdate{DisplayName: new("x")})
		t.notFound(err, "connection")
		_, err = t.Connections.EnableClients(ctx, id, "client")
		t.notFound(err, "connection")
		_, err = t.Connections.DisableClients(ctx, id, "client")
		t.notFound(err, "connection")
		t.unchanged(t.Connections.Delete(ctx, id))
	}
	t.invalid(create(orgstore.Connection{Name: "c", Strategy: "auth0", Domains: []string{"a.example"}}), "domain_aliases", "")
	t.invalid(create(orgstore.Connection{Name: "c", Strategy: "samlp", Signup: true}), "is_signup_enabled", "")
	t.invalid(create(orgstore.Connection{Name: "c", Strategy: "auth0", DisplayName: "line\nbreak"}), "display_name", "line\nbreak")
	t.invalid(create(orgstore.Connection{Name: "c", Strategy: "auth0", DisplayName: strings.Repeat("d", 256)}), "display_name", strings.Repeat("d", 256))
	many := make([]string, 1001)
	for i := range many {
		many[i] = "d" + strconv.Itoa(i) + ".example"
	}
	t.limit(create(orgstore.Connection{Name: "c", Strategy: "samlp", Domains: many}), "domains per connection", 1000)
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.ok(create(orgstore.Connection{Name: strings.Repeat("x", 128), Strategy: "samlp", Domains: many[:1000]}))
}

func connectionsKinds(t *engineTest) {
	for strategy, want := range map[string]orgstore.ConnectionKind{
		"auth0": orgstore.ConnectionDatabase, "samlp": orgstore.ConnectionEnterprise, "oidc": orgstore.ConnectionEnterprise,
		"waad": orgstore.ConnectionEnterprise, "okta": orgstore.ConnectionEnterprise, "adfs": orgstore.ConnectionEnterprise,
		"google-apps": orgstore.ConnectionEnterprise, "google-oauth2": orgstore.ConnectionSocial, "github": orgstore.ConnectionSocial,
		"unheard-of": orgstore.ConnectionSocial, "email": orgstore.ConnectionPasswordless, "sms": orgstore.ConnectionPasswordless,
	} {
		c, err := t.Connections.Get(t.Context(), t.connection(strategy, strategy))
		if err != nil || c.Kind() != want {
			t.Errorf("%s is %s, want %s, %v", strategy, c.Kind(), want, err)
		}
	}
}

func connectionsByDomain(t *engineTest) {
	list := func(domain string) (names []string) {
		t.Helper()
		page, err := t.Connections.List(t.Context(), orgstore.ConnectionListOptions{ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}, Domain: domain})
		t.ok(err)
		for _, c := range page.Items {
			names = append(names, c.Name)
		}
		return names
	}
	one, _, err := t.Connections.Create(t.Context(), orgstore.Connection{Name: "one", Strategy: "samlp", Domains: []string{"a.example", "b.example"}})
	t.ok(err)
	_, _, err = t.Connections.Create(t.Context(), orgstore.Connection{Name: "two", Strategy: "okta", Domains: []string{"b.example"}})
	t.ok(err)
	for domain, want := range map[string][]string{
		"a.example": {"one"}, "B.EXAMPLE": {"one", "two"}, "c.example": nil, "example": nil, "xa.example": nil, "%": nil, "\x00": nil, "\xff": nil,
	} {
		if got := list(domain); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", domain, got, want)
		}
	}
	t.changed(t.Connections.Update(t.Context(), one.ID, orgstore.ConnectionUpdate{Domains: &[]string{"c.example"}}))
	if a, c := list("a.example"), list("c.example"); len(a) != 0 || len(c) != 1 {
		t.Errorf("after the update: %q and %q", a, c)
	}
	t.changed(t.Connections.Delete(t.Context(), one.ID))
	if c := list("c.example"); len(c) != 0 {
		t.Errorf("after the end: %q", c)
	}
}

func connectionsClients(t *engineTest) {
	ctx := t.Context()
	con, other, a, b := t.connection("con", "auth0"), t.connection("other", "auth0"), t.client("a"), t.client("b")
	clients := func(connection string) (ids []string) {
		t.Helper()
		page, err := t.Clients.List(ctx, orgstore.ClientListOptions{Connection: connection})
		t.ok(err)
		for _, c := range page.Items {
			ids = append(ids, c.ID)
		}
		return ids
	}
	connections := func(client string) (ids []string) {
		t.Helper()
		page, err := t.Connections.List(ctx, orgstore.ConnectionListOptions{Client: client})
		t.ok(err)
		for _, c := range page.Items {
			ids = append(ids, c.ID)
		}
		return ids
	}
	result, err := t.Connections.EnableClients(ctx, con, b, a, a)
	t.changed(result, err)
	if _, ok := result.Revision.Of(orgstore.ConnectionScope(con)); !ok || len(result.Revision) != 1 {
		t.Errorf("raised %v", result.Revision)
	}
	t.unchanged(t.Connections.EnableClients(ctx, con, a))
	t.unchanged(t.Connections.EnableClients(ctx, con))
	t.unchanged(t.Connections.DisableClients(ctx, other, a))
	t.unchanged(t.Connections.DisableClients(ctx, con, "nobody", "\x00"))
	if got := clients(con); !reflect.DeepEqual(got, []string{a, b}) {
		t.Errorf("clients: %q", got)
	}
	if got := connections(a); !reflect.DeepEqual(got, []string{con}) {
		t.Errorf("connections: %q", got)
	}
	_, err = t.Connections.EnableClients(ctx, other, a, "nobody")
	t.notFound(err, "client")
	_, err = t.Connections.EnableClients(ctx, other, a, "\x00")
	t.notFound(err, "client")
	if got := clients(other); got != nil {
		t.Errorf("clients of a refused call: %q", got)
	}
	for _, id := range noConnections[1:] {
		if got := clients(id); got != nil {
			t.Errorf("clients of no connection: %q", got)
		}
	}
	if got := connections("\xff"); got != nil {
		t.Errorf("connections of no client: %q", got)
	}
	t.changed(t.Connections.DisableClients(ctx, con, a))
	t.changed(t.Connections.EnableClients(ctx, other, b))
	t.changed(t.Clients.Delete(ctx, b))
	t.changed(t.Connections.Delete(ctx, con))
	if got := append(clients(con), clients(other)...); got != nil {
		t.Errorf("clients at the end: %q", got)
	}
	if got := append(connections(a), connections(b)...); got != nil {
		t.Errorf("connections at the end: %q", got)
	}
	_, err = t.Connections.EnableClients(ctx, other, b)
	t.notFound(err, "client")
}

func connectionsDelete(t *engineTest) {
	ctx := t.Context()
	id := t.connection("con", "auth0")
	result, err := t.Connections.Delete(ctx, id)
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v", result.Revision)
	}
	t.unchanged(t.Connections.Delete(ctx, id))
	_, err = t.Connections.Get(ctx, id)
	t.notFound(err, "connection")
	_, err = t.Connections.Update(ctx, id, orgstore.ConnectionUpdate{})
	t.notFound(err, "connection")
	t.connection("con", "auth0")
	_, _, err = t.Connections.Create(ctx, orgstore.Connection{ID: id, Name: "other", Strategy: "auth0"})
	t.conflict(err, "connection", "id")
}

func connectionsList(t *engineTest) {
	ctx := t.Context()
	t.connection("b", "auth0")
	t.connection("a", "auth0")
	t.connection("c", "samlp")
	var names []string
	opts := orgstore.ConnectionListOptions{ListOptions: orgstore.ListOptions{Limit: 1, Sort: orgstore.SortName, Total: true}, Strategy: "auth0"}
	for {
		page, err := t.Connections.List(ctx, opts)
		t.ok(err)
		for _, c := range page.Items {
			names = append(names, c.Name)
		}
		if page.Total != 2 {
			t.Errorf("total %d", page.Total)
		}
		if opts.After = page.Next; opts.After == "" {
			break
		}
	}
	if !reflect.DeepEqual(names, []string{"a", "b"}) {
		t.Errorf("databases: %q", names)
	}
	page, err := t.Connections.List(ctx, orgstore.ConnectionListOptions{ListOptions: orgstore.ListOptions{Sort: orgstore.SortCreated, Descending: true}})
	if err != nil || len(page.Items) != 3 || page.Items[0].Name != "c" {
		t.Errorf("newest first: %v, %v", page.Items, err)
	}
	foreign, err := t.Clients.List(ctx, orgstore.ClientListOptions{ListOptions: orgstore.ListOptions{Limit: 1}})
	t.ok(err)
	for _, after := range []string{"x", foreign.Next + "A", "\x00"} {
		_, err = t.Connections.List(ctx, orgstore.ConnectionListOptions{ListOptions: orgstore.ListOptions{After: after}})
		t.invalid(err, "After", after)
	}
	if page, err = t.Connections.List(ctx, orgstore.ConnectionListOptions{Strategy: "no\x00ne"}); err != nil || len(page.Items) != 0 {
		t.Errorf("of no strategy: %v, %v", page.Items, err)
	}
}

var connectionRaces = map[string]race{
	"DIR-1: one name for connections": {setup: func(t *engineTest) func(int) error {
		return func(int) error {
			return third(t.Connections.Create(t.Context(), orgstore.Connection{Name: "con", Strategy: "auth0"}))
		}
	}, most: 1, lost: conflict("connection", "name")},
	"DIR-1: one id for connections": {setup: func(t *engineTest) func(int) error {
		return func(i int) error {
			return third(t.Connections.Create(t.Context(), orgstore.Connection{ID: "con_0000000000000000", Name: "c" + strconv.Itoa(i), Strategy: "auth0"}))
		}
	}, most: 1, lost: conflict("connection", "id")},
}
