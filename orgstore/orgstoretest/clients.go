package orgstoretest

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var clientCases = cases{
	"DIR-5: applications":                        clientsLife,
	"DIR-5, URL-3: applications, bad input":      clientsBad,
	"DIR-6: how applications use organizations":  clientsOrganizations,
	"DIR-5: principals of applications":          clientsPrincipals,
	"DIR-5: a deleted application is gone":       clientsDelete,
	"DIR-9: secrets of applications":             clientsSecrets,
	"DIR-5: applications, lists":                 clientsList,
	"MEM-1: the principal of one is a member":    clientsMembers,
	"ORG-4: what changes nothing of application": clientsUnchanged,
}

func (t *engineTest) client(id string) string {
	t.Helper()
	c, _, err := t.Clients.Create(t.Context(), orgstore.Client{ID: id, Name: "client " + id, FirstParty: true})
	t.ok(err)
	return c.ID
}

func clientsLife(t *engineTest) {
	ctx := t.Context()
	given := orgstore.Client{
		Name: "Adventure Management", Description: "books guides", FirstParty: true, OIDCConformant: true, ThirdPartySecurityMode: "permissive",
		Callbacks:      []string{"https://{organization_name}.travel0.example/callback", "https://a.example/cb"},
		AllowedOrigins: []string{"https://{organization_name}.travel0.example"}, AllowedLogoutURLs: []string{"https://*.travel0.example/"},
		InitiateLoginURI: "https://{organization.metadata.public_host}/login?x=1#y", GrantTypes: []string{"refresh_token", "authorization_code"},
		OrganizationUsage: orgstore.OrganizationRequire, OrganizationRequireBehavior: orgstore.PostLoginPrompt,
		OrganizationDiscoveryMethods: []string{"organization_name", "email"},
		DefaultOrganization:          &orgstore.DefaultOrganization{OrganizationID: t.org("acme").ID, Flows: []string{"client_credentials"}},
	}
	c, result, err := t.Clients.Create(ctx, given)
	t.changed(result, err)
	if len(c.ID) != 32 || len(result.Revision) != 2 {
		t.Errorf("made %q, raised %v", c.ID, result.Revision)
	}
	want := given
	want.ID, want.CreatedAt, want.UpdatedAt = c.ID, c.CreatedAt, c.CreatedAt
	want.Callbacks = []string{"https://a.example/cb", "https://{organization_name}.travel0.example/callback"}
	want.GrantTypes, want.OrganizationDiscoveryMethods = []string{"authorization_code", "refresh_token"}, []string{"email", "organization_name"}
	got, err := t.Clients.Get(ctx, c.ID)
	t.ok(err)
	if !reflect.DeepEqual(*got, want) || !reflect.DeepEqual(*c, want) {
		t.Errorf("got %+v\nand %+v\nwant %+v", got, c, want)
	}
	t.changed(t.Clients.Update(ctx, c.ID, orgstore.ClientUpdate{
		Description: new(""), Callbacks: &[]string{}, InitiateLoginURI: new(""), OrganizationUsage: new(orgstore.OrganizationAllow),
		OrganizationRequireBehavior: new(orgstore.OrganizationPrompt("")), DefaultOrganization: &orgstore.DefaultOrganization{},
	}))
	want.Description, want.Callbacks, want.InitiateLoginURI, want.DefaultOrganization = "", nil, "", nil
	want.OrganizationUsage, want.OrganizationRequireBehavior = orgstore.OrganizationAllow, orgstore.NoPrompt
	got, err = t.Clients.Get(ctx, c.ID)
	t.ok(err)
	want.UpdatedAt = got.UpdatedAt
	if !reflect.DeepEqual(*got, want) || !got.UpdatedAt.After(got.CreatedAt) {
		t.Errorf("updated: %+v\nwant %+v", got, want)
	}
	_, _, err = t.Clients.Create(ctx, orgstore.Client{ID: c.ID, Name: "other"})
	t.conflict(err, "client", "id")
	small, _, err := t.Clients.Create(ctx, orgstore.Client{ID: "small", Name: "small"})
	if err != nil || small.OrganizationUsage != orgstore.OrganizationDeny || small.OrganizationRequireBehavior != orgstore.NoPrompt || small.FirstParty {
		t.Errorf("defaults: %+v, %v", small, err)
	}
}

func clientsUnchanged(t *engineTest) {
	c, _, err := t.Clients.Create(t.Context(), orgstore.Client{Name: "c", Callbacks: []string{"https://b.example", "https://a.example"}})
	t.ok(err)
	for _, u := range []orgstore.ClientUpdate{
		{}, {Name: new("c")}, {Callbacks: &[]string{"https://a.example", "https://b.example", "https://a.example"}}, {GrantTypes: &[]string{}},
		{OrganizationUsage: new(orgstore.OrganizationUsage(""))}, {DefaultOrganization: &orgstore.DefaultOrganization{}},
	} {
		t.unchanged(t.Clients.Update(t.Context(), c.ID, u))
	}
}

func clientsBad(t *engineTest) {
	ctx := t.Context()
	there := t.client("there")
	before := len(t.events())
	for _, id := range []string{"a b", "a@clients", "a|b", "ä", "\u0430bc", "a\x00", "\xff", strings.Repeat("x", 65)} {
		t.invalid(third(t.Clients.Create(ctx, orgstore.Client{ID: id, Name: "c"})), "client_id", id)
	}
	for _, id := range []string{"", "nobody", "a b", "a\x00", "\xff", strings.Repeat("x", 10_000)} {
		_, err := t.Clients.Get(ctx, id)
		t.notFound(err, "client")
		_, err = t.Clients.Update(ctx, id, orgstore.ClientUpdate{Name: new("x")})
		t.notFound(err, "client")
		_, _, err = t.Clients.RotateSecret(ctx, id)
		t.notFound(err, "client")
		_, err = t.Clients.Authenticate(ctx, id, "")
		t.notFound(err, "client")
		t.unchanged(t.Clients.Delete(ctx, id))
	}
	many := make([]string, 101)
	for i := range many {
		many[i] = "https://a.example/" + strconv.Itoa(i)
	}
	for _, bad := range []struct {
		field, value string
		client       orgstore.Client
	}{
		{"name", "", orgstore.Client{Name: ""}},
		{"name", "", orgstore.Client{Name: "  "}},
		{"name", "line\nbreak", orgstore.Client{Name: "line\nbreak"}},
		{"name", "", orgstore.Client{Name: "a\x00"}},
		{"name", "", orgstore.Client{Name: "\xff"}},
		{"name", strings.Repeat("n", 256), orgstore.Client{Name: strings.Repeat("n", 256)}},
		{"description", strings.Repeat("d", 256), orgstore.Client{Name: "c", Description: strings.Repeat("d", 256)}},
		{"third_party_security_mode", "careless!", orgstore.Client{Name: "c", ThirdPartySecurityMode: "careless!"}},
		{"callbacks", "https://u@a.example", orgstore.Client{Name: "c", Callbacks: []string{"https://u@a.example"}}},
		{"callbacks", "https://a.example/#f", orgstore.Client{Name: "c", Callbacks: []string{"https://a.example/#f"}}},
		{"callbacks", "javascript:alert(1)", orgstore.Client{Name: "c", Callbacks: []string{"javascript:alert(1)"}}},
		{"callbacks", "https://a.example/\x00", orgstore.Client{Name: "c", Callbacks: []string{"https://a.example/\x00"}}},
		{"callbacks", "https://x{organization_name}.a.example", orgstore.Client{Name: "c", Callbacks: []string{"https://x{organization_name}.a.example"}}},
		{"callbacks", "", orgstore.Client{Name: "c", Callbacks: many}},
		{"allowed_origins", "https://a.example/path", orgstore.Client{Name: "c", AllowedOrigins: []string{"https://a.example/path"}}},
		{"allowed_logout_urls", "//a.example/path", orgstore.Client{Name: "c", AllowedLogoutURLs: []string{"//a.example/path"}}},
		{"initiate_login_uri", "http://a.example", orgstore.Client{Name: "c", InitiateLoginURI: "http://a.example"}},
		{"initiate_login_uri", "https://localhost/", orgstore.Client{Name: "c", InitiateLoginURI: "https://localhost/"}},
		{"initiate_login_uri", "https://{organization.metadata.secret}/", orgstore.Client{Name: "c", InitiateLoginURI: "https://{organization.metadata.secret}/"}},
		{"grant_types", "a grant type", orgstore.Client{Name: "c", GrantTypes: []string{"a grant type"}}},
		{"organization_usage", "sometimes!", orgstore.Client{Name: "c", OrganizationUsage: "sometimes!"}},
		{"organization_require_behavior", "sometimes!", orgstore.Client{Name: "c", OrganizationRequireBehavior: "sometimes!"}},
		{"organization_require_behavior", "", orgstore.Client{Name: "c", OrganizationRequireBehavior: orgstore.PostLoginPrompt}},
		{"organization_discovery_methods", "telepathy", orgstore.Client{Name: "c", OrganizationDiscoveryMethods: []string{"email", "telepathy"}}},
	} {
		t.invalid(third(t.Clients.Create(ctx, bad.client)), bad.field, bad.value)
	}
	_, err := t.Clients.Update(ctx, there, orgstore.ClientUpdate{Callbacks: &[]string{"https://a.example\\@b.example"}})
	t.invalid(err, "callbacks", "https://a.example\\@b.example")
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
}

func clientsOrganizations(t *engineTest) {
	ctx := t.Context()
	o, flows := t.org("acme"), []string{"client_credentials"}
	create := func(c orgstore.Client) error { c.Name = "c"; return third(t.Clients.Create(ctx, c)) }
	for _, d := range []orgstore.DefaultOrganization{
		{OrganizationID: "acme", Flows: flows}, {OrganizationID: o.ID}, {OrganizationID: o.ID, Flows: []string{"authorization_code"}},
		{OrganizationID: o.ID, Flows: []string{"client_credentials", "client_credentials"}}, {Flows: flows},
	} {
		t.invalid(create(orgstore.Client{OrganizationUsage: orgstore.OrganizationRequire, DefaultOrganization: &d}), "default_organization", "")
	}
	d := &orgstore.DefaultOrganization{OrganizationID: o.ID, Flows: flows}
	t.invalid(create(orgstore.Client{OrganizationUsage: orgstore.OrganizationAllow, DefaultOrganization: d}), "default_organization", "")
	unknown := &orgstore.DefaultOrganization{OrganizationID: "org_0000000000000000", Flows: flows}
	t.notFound(create(orgstore.Client{OrganizationUsage: orgstore.OrganizationRequire, DefaultOrganization: unknown}), "organization")
	c := t.client("c")
	_, err := t.Clients.Update(ctx, c, orgstore.ClientUpdate{OrganizationRequireBehavior: new(orgstore.PostLoginPrompt)})
	t.invalid(err, "organization_require_behavior", "")
	t.changed(t.Clients.Update(ctx, c, orgstore.ClientUpdate{OrganizationRequireBehavior: new(orgstore.PostLoginPrompt), OIDCConformant: new(true)}))
	_, err = t.Clients.Update(ctx, c, orgstore.ClientUpdate{OIDCConformant: new(false)})
	t.invalid(err, "organization_require_behavior", "")
	_, err = t.Clients.Update(ctx, c, orgstore.ClientUpdate{DefaultOrganization: d})
	t.invalid(err, "default_organization", "")
	_, err = t.Clients.Update(ctx, c, orgstore.ClientUpdate{DefaultOrganization: unknown, OrganizationUsage: new(orgstore.OrganizationRequire)})
	t.notFound(err, "organization")
	t.changed(t.Clients.Update(ctx, c, orgstore.ClientUpdate{DefaultOrganization: d, OrganizationUsage: new(orgstore.OrganizationRequire)}))
	_, err = t.Clients.Update(ctx, c, orgstore.ClientUpdate{OrganizationUsage: new(orgstore.OrganizationAllow)})
	t.invalid(err, "default_organization", "")
	// What has ended meanwhile is no reason to refuse other changes.
	t.changed(t.Organizations.Delete(ctx, o.ID))
	t.changed(t.Clients.Update(ctx, c, orgstore.ClientUpdate{Name: new("other")}))
}

func clientsPrincipals(t *engineTest) {
	ctx := t.Context()
	principal := orgstore.ClientPrincipal(t.client("machine"))
	user := t.user("person@clients")
	_, err := t.Users.Get(ctx, principal)
	t.notFound(err, "user")
	for _, mutate := range []func() (orgstore.Result, error){
		func() (orgstore.Result, error) { return t.Users.Block(ctx, principal) },
		func() (orgstore.Result, error) { return t.Users.Unblock(ctx, principal) },
		func() (orgstore.Result, error) {
			return t.Users.Update(ctx, principal, orgstore.UserUpdate{Name: new("x")})
		},
	} {
		_, err := mutate()
		t.notFound(err, "user")
	}
	t.unchanged(t.Users.Delete(ctx, principal))
	t.conflict(third(t.Users.Create(ctx, orgstore.User{ID: principal})), "user", "id")
	t.conflict(third(t.Clients.Create(ctx, orgstore.Client{ID: "person", Name: "x"})), "client", "id")
	page, err := t.Users.List(ctx, orgstore.UserListOptions{})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != user {
		t.Errorf("users: %v, %v", page.Items, err)
	}
}

func clientsMembers(t *engineTest) {
	ctx := t.Context()
	o, role, client := t.org("acme"), t.role("guide", "read:adventures"), t.client("machine")
	principal := orgstore.ClientPrincipal(client)
	t.member(o.ID, principal, role)
	if a := t.resolve(o.ID, principal); a.Standing != orgstore.StandingMember || !reflect.DeepEqual(a.Member.Permissions, []string{"read:adventures"}) {
		t.Errorf("the machine is %+v", a)
	}
	result, err := t.Clients.Update(ctx, client, orgstore.ClientUpdate{Name: new("renamed")})
	t.changed(result, err)
	if _, ok := result.Revision.Of(orgstore.UserScope(principal)); !ok {
		t.Errorf("raised %v", result.Revision)
	}
	m, err := t.Members.Get(ctx, o.ID, principal)
	if err != nil || m.Name != "renamed" {
		t.Errorf("member %+v, %v", m, err)
	}
	t.changed(t.Clients.Delete(ctx, client))
	if a := t.resolve(o.ID, principal); a.Standing != orgstore.StandingNotMember {
		t.Errorf("the deleted machine is %+v", a)
	}
	_, err = t.Members.Add(ctx, o.ID, principal, orgstore.MemberOptions{})
	t.notFound(err, "user")
}

func clientsDelete(t *engineTest) {
	ctx := t.Context()
	id := t.client("c")
	secret, _, err := t.Clients.RotateSecret(ctx, id)
	t.ok(err)
	t.changed(t.Clients.Delete(ctx, id))
	t.unchanged(t.Clients.Delete(ctx, id))
	_, err = t.Clients.Get(ctx, id)
	t.notFound(err, "client")
	_, err = t.Clients.Authenticate(ctx, id, secret)
	t.notFound(err, "client")
	_, err = t.Clients.Authenticate(ctx, id, "")
	t.notFound(err, "client")
	t.conflict(third(t.Clients.Create(ctx, orgstore.Client{ID: id, Name: "again"})), "client", "id")
}

func clientsSecrets(t *engineTest) {
	ctx := t.Context()
	id, other := t.client("c"), t.client("other")
	_, err := t.Clients.Authenticate(ctx, id, "")
	t.notFound(err, "client")
	secret, result, err := t.Clients.RotateSecret(ctx, id)
	t.changed(result, err)
	if c, err := t.Clients.Authenticate(ctx, id, secret); err != nil || c.ID != id || len(secret) != 52 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, wrong := range []string{"", secret[1:], secret + "A", strings.ToLower(secret), "\x00", "\xff"} {
		_, err = t.Clients.Authenticate(ctx, id, wrong)
		t.notFound(err, "client")
	}
	_, err = t.Clients.Authenticate(ctx, other, secret)
	t.notFound(err, "client")
	renewed, first, err := t.Clients.RotateSecret(t.key("k"), id)
	t.changed(first, err)
	_, err = t.Clients.Authenticate(ctx, id, secret)
	t.notFound(err, "client")
	if _, err = t.Clients.Authenticate(ctx, id, renewed); err != nil || renewed == secret {
		t.Error("the new secret is none:", err)
	}
	again, second, err := t.Clients.RotateSecret(t.key("k"), id)
	t.replayed(first, second, err)
	if again != "" {
		t.Error("the secret is told twice")
	}
	_, err = t.Clients.Authenticate(ctx, id, renewed)
	t.ok(err)
	for _, e := range t.events() {
		if text, err := json.Marshal(e); err != nil || strings.Contains(string(text), renewed) || strings.Contains(string(text), "secret\":") {
			t.Errorf("an event tells a secret: %s, %v", text, err)
		}
	}
}

func clientsList(t *engineTest) {
	ctx := t.Context()
	for _, id := range []string{"b", "a", "c"} {
		t.client(id)
	}
	t.changed(t.Clients.Delete(ctx, "c"))
	for _, by := range []orgstore.Sort{"", orgstore.SortName, orgstore.SortCreated} {
		var ids []string
		opts := orgstore.ClientListOptions{ListOptions: orgstore.ListOptions{Limit: 1, Sort: by, Total: true}}
		for {
			page, err := t.Clients.List(ctx, opts)
			t.ok(err)
			ids = append(ids, page.Items[0].ID)
			if page.Total != 2 {
				t.Errorf("total %d", page.Total)
			}
			if opts.After = page.Next; opts.After == "" {
				break
			}
		}
		want := []string{"a", "b"}
		if by == orgstore.SortCreated {
			want = []string{"b", "a"}
		}
		if !reflect.DeepEqual(ids, want) {
			t.Errorf("by %q: %q", by, ids)
		}
	}
	_, err := t.Clients.List(ctx, orgstore.ClientListOptions{ListOptions: orgstore.ListOptions{After: "foreign"}})
	t.invalid(err, "After", "foreign")
}

var clientRaces = map[string]race{
	"DIR-5: one id for applications": {setup: func(t *engineTest) func(int) error {
		return func(int) error { return third(t.Clients.Create(t.Context(), orgstore.Client{ID: "c", Name: "c"})) }
	}, most: 1, lost: conflict("client", "id")},
	"DIR-5: one principal for an application and a user": {setup: func(t *engineTest) func(int) error {
		return func(i int) error {
			if i%2 == 0 {
				return third(t.Users.Create(t.Context(), orgstore.User{ID: "c@clients"}))
			}
			return third(t.Clients.Create(t.Context(), orgstore.Client{ID: "c", Name: "c"}))
		}
	}, most: 1, lost: func(t *engineTest, err error) { t.is(err, orgstore.ErrConflict) }},
	"DIR-4: applications are deleted while they are enabled": {setup: func(t *engineTest) func(int) error {
		con, clients := t.connection("con", "auth0"), t.many(func(i int) string { return t.client("c" + strconv.Itoa(i)) })
		return func(i int) error {
			if i%2 == 0 {
				return second(t.Clients.Delete(t.Context(), clients[i/2]))
			}
			if err := second(t.Connections.EnableClients(t.Context(), con, clients[i/2])); err != nil {
				t.notFound(err, "client")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		page, err := t.Connections.List(t.Context(), orgstore.ConnectionListOptions{})
		t.ok(err)
		enabled, err := t.Clients.List(t.Context(), orgstore.ClientListOptions{Connection: page.Items[0].ID})
		if err != nil || len(enabled.Items) != 0 {
			t.Errorf("deleted applications are enabled: %v, %v", enabled.Items, err)
		}
	}},
}
