package orgstoretest

import (
	"reflect"

	"github.com/orgauthz/orgauthz/orgstore"
)

var tenantCases = cases{
	"DIR-14: settings of the tenant":              tenantLife,
	"DIR-14, URL-2: settings, bad input":          tenantBad,
	"MEM-6: all users of the tenant are isolated": tenantIsolated,
}

func (t *engineTest) settings() *orgstore.TenantSettings {
	t.Helper()
	s, err := t.Tenant.Get(t.Context())
	t.ok(err)
	return s
}

func tenantLife(t *engineTest) {
	ctx := t.Context()
	if got, want := *t.settings(), (orgstore.TenantSettings{PickerOrder: orgstore.PickLastUsed}); !reflect.DeepEqual(got, want) {
		t.Errorf("a store begins with %+v", got)
	}
	t.unchanged(t.Tenant.Update(ctx, orgstore.TenantUpdate{}))
	t.unchanged(t.Tenant.Update(ctx, orgstore.TenantUpdate{AskSole: new(false), PickerOrder: new(orgstore.PickerOrder(""))}))
	db := t.connection("db", "auth0")
	quota := orgstore.Quota{PerHour: 1, PerDay: 2, Enforce: true}
	branding := orgstore.Branding{LogoURL: "https://a.example/logo.png", Colors: orgstore.BrandingColors{Primary: "#fff", PageBackground: "#000000"}}
	result, err := t.Tenant.Update(ctx, orgstore.TenantUpdate{OrganizationNames: new(true), DefaultRedirectionURI: new("https://a.example/login"),
		DefaultDirectory: &db, MergeConnections: new(true), AskSole: new(true), PickerOrder: new(orgstore.PickByName), Branding: &branding,
		DefaultTokenQuota: &orgstore.TokenQuota{ClientCredentials: quota}})
	t.ok(err)
	t.raised(result, orgstore.TenantScope())
	want := orgstore.TenantSettings{OrganizationNames: true, DefaultRedirectionURI: "https://a.example/login", DefaultDirectory: db,
		MergeConnections: true, AskSole: true, PickerOrder: orgstore.PickByName, Branding: branding,
		DefaultTokenQuota: orgstore.TokenQuota{ClientCredentials: quota}}
	if got := *t.settings(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// One that has ended is no reason to refuse other changes.
	t.changed(t.Connections.Delete(ctx, db))
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultRedirectionURI: new("")}))
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultDirectory: new(""), Branding: &orgstore.Branding{},
		DefaultTokenQuota: &orgstore.TokenQuota{}}))
	want.DefaultTokenQuota = orgstore.TokenQuota{}
	want.DefaultRedirectionURI, want.DefaultDirectory, want.Branding = "", "", orgstore.Branding{}
	if got := *t.settings(); !reflect.DeepEqual(got, want) {
		t.Errorf("cleared: %+v", got)
	}
}

func tenantBad(t *engineTest) {
	ctx := t.Context()
	idp := t.connection("idp", "samlp")
	before := len(t.events())
	for _, uri := range []string{"http://a.example", "https://localhost", "https://{organization.metadata.public_x}.example", "https://a.example/\x00", "\xff"} {
		_, err := t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultRedirectionURI: &uri})
		t.invalid(err, "default_redirection_uri", uri)
	}
	for _, id := range append(noConnections[1:], "con_0000000000000000") {
		_, err := t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultDirectory: &id})
		t.notFound(err, "connection")
	}
	_, err := t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultDirectory: &idp})
	t.invalid(err, "default_directory", "")
	_, err = t.Tenant.Update(ctx, orgstore.TenantUpdate{PickerOrder: new(orgstore.PickerOrder("at random"))})
	t.invalid(err, "picker_order", "at random")
	_, err = t.Tenant.Update(ctx, orgstore.TenantUpdate{DefaultTokenQuota: &orgstore.TokenQuota{ClientCredentials: orgstore.Quota{PerDay: -1}}})
	t.invalid(err, "default_token_quota", "-1")
	_, err = t.Tenant.Update(ctx, orgstore.TenantUpdate{Branding: &orgstore.Branding{LogoURL: "http://a.example/logo"}})
	t.invalid(err, "logo_url", "http://a.example/logo")
	_, err = t.Tenant.Update(ctx, orgstore.TenantUpdate{Branding: &orgstore.Branding{Colors: orgstore.BrandingColors{Primary: "#fff"}}})
	t.invalid(err, "colors", "")
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
}

func tenantIsolated(t *engineTest) {
	ctx := t.Context()
	a, b, u, v := t.org("a"), t.org("b"), t.user("u"), t.user("v")
	machine := orgstore.ClientPrincipal(t.client("machine"))
	t.member(a.ID, v)
	t.member(b.ID, v)
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{IsolateUsers: new(true)}))
	t.member(a.ID, u)
	_, err := t.Members.Add(ctx, b.ID, u, orgstore.MemberOptions{})
	t.conflict(err, "user", "membership")
	t.member(a.ID, machine)
	t.member(b.ID, machine)
	if s := t.resolve(b.ID, v).Standing; s != orgstore.StandingMember {
		t.Errorf("who was a member before is %v", s)
	}
	t.changed(t.Members.Remove(ctx, a.ID, u))
	t.member(b.ID, u)
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{IsolateUsers: new(false)}))
	t.member(a.ID, u)
}

var tenantRaces = map[string]race{
	"MEM-6: a user of an isolated tenant joins one organization": {setup: func(t *engineTest) func(int) error {
		u, orgs := t.user("u"), t.many(func(i int) string { return t.org("o" + string(rune('a'+i%26)) + string(rune('a'+i/26))).ID })
		t.changed(t.Tenant.Update(t.Context(), orgstore.TenantUpdate{IsolateUsers: new(true)}))
		return func(i int) error { return second(t.Members.Add(t.Context(), orgs[i], u, orgstore.MemberOptions{})) }
	}, most: 1, lost: conflict("user", "membership")},
}
