package orgstoretest

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var organizationCases = cases{
	"ORG-3, ORG-4: settings of an organization":          organizationSettings,
	"ORG-3: settings, bad input":                         organizationSettingsRefused,
	"ORG-3: external id":                                 organizationExternalID,
	"ORG-3: owner role":                                  organizationOwnerRole,
	"LOG-8: login domain":                                organizationLoginDomain,
	"organizations: filters":                             organizationFilters,
	"ORG-5: a scheduled deletion takes effect by itself": organizationScheduled,
	"ORG-5: a scheduled deletion is cancelled":           organizationScheduleCancelled,
	"ORG-5: a scheduled deletion, refused":               organizationScheduleRefused,
	"ORG-5: Clean ends what is due":                      organizationCleanDue,
	"ORG-5: what is due ends once":                       organizationDueOnce,
}

var organizationRaces = map[string]race{
	"ORG-3: one external id for organizations": {setup: func(t *engineTest) func(int) error {
		orgs := t.many(func(i int) string { return t.org("o" + strconv.Itoa(i)).ID })
		return func(i int) error {
			return second(t.Organizations.Update(t.Context(), orgs[i], orgstore.OrganizationUpdate{ExternalID: new("acme")}))
		}
	}, most: 1, lost: conflict("organization", "external_id")},
	"ORG-3: one external id for new organizations": {setup: func(t *engineTest) func(int) error {
		return func(i int) error {
			return third(t.Organizations.Create(t.Context(), orgstore.Organization{Name: "o" + strconv.Itoa(i), ExternalID: "acme"}))
		}
	}, most: 1, lost: conflict("organization", "external_id")},
	"LOG-8: one login domain": {setup: func(t *engineTest) func(int) error {
		orgs := t.many(func(i int) string {
			o := t.org("o" + strconv.Itoa(i)).ID
			t.proven(orgstore.DiscoveryDomain{Organization: o, Domain: "acme.example"})
			return o
		})
		return func(i int) error {
			return second(t.Organizations.Update(t.Context(), orgs[i], orgstore.OrganizationUpdate{LoginDomain: new("acme.example")}))
		}
	}, most: 1, lost: conflict("organization", "login_domain")},
}

func organizationSettings(t *engineTest) {
	ctx := t.Context()
	given := orgstore.Organization{
		Name: "acme", DisplayName: "Acme", ExternalID: "crm-1",
		Branding:               orgstore.Branding{LogoURL: "https://acme.example/logo.png?size=1", Colors: orgstore.BrandingColors{Primary: "#fff", PageBackground: "#00AAff"}},
		TokenQuota:             orgstore.TokenQuota{ClientCredentials: orgstore.Quota{Enforce: true, PerDay: 100, PerHour: 10}},
		ThirdPartyClientAccess: orgstore.ClientAccessAllow, AppEntitlement: true, InvitationRedirectURL: "https://acme.example/welcome",
		AutoJoin: orgstore.AutoJoinApproval, DeleteAt: time.Now(),
	}
	o, result, err := t.Organizations.Create(ctx, given)
	t.changed(result, err)
	given.ID, given.Status, given.DeleteAt, given.CreatedAt, given.UpdatedAt = o.ID, o.Status, time.Time{}, o.CreatedAt, o.UpdatedAt
	if !reflect.DeepEqual(*o, given) {
		t.Errorf("created %+v, want %+v", *o, given)
	}
	stored := func() orgstore.Organization {
		t.Helper()
		got, err := t.Organizations.Get(ctx, o.ID)
		t.ok(err)
		return *got
	}
	if got := stored(); !reflect.DeepEqual(got, given) {
		t.Errorf("stored %+v, want %+v", got, given)
	}
	t.unchanged(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{
		ExternalID: new("crm-1"), LogoURL: &given.Branding.LogoURL, Colors: &given.Branding.Colors, TokenQuota: &given.TokenQuota,
		ThirdPartyClientAccess: &given.ThirdPartyClientAccess, AppEntitlement: new(true), InvitationRedirectURL: &given.InvitationRedirectURL,
		AutoJoin: &given.AutoJoin, LoginDomain: new(""), OwnerRole: new(""),
	}))
	// One field after the other, so that each is seen to change nothing else.
	for _, step := range []struct {
		update orgstore.OrganizationUpdate
		change func()
	}{
		{orgstore.OrganizationUpdate{LogoURL: new("")}, func() { given.Branding.LogoURL = "" }},
		{orgstore.OrganizationUpdate{Colors: &orgstore.BrandingColors{}}, func() { given.Branding.Colors = orgstore.BrandingColors{} }},
		{orgstore.OrganizationUpdate{Colors: &orgstore.BrandingColors{Primary: "#12345678", PageBackground: "#abcd"}},
			func() { given.Branding.Colors = orgstore.BrandingColors{Primary: "#12345678", PageBackground: "#abcd"} }},
		{orgstore.OrganizationUpdate{TokenQuota: &orgstore.TokenQuota{}}, func() { given.TokenQuota = orgstore.TokenQuota{} }},
		{orgstore.OrganizationUpdate{ThirdPartyClientAccess: new(orgstore.ClientAccess(""))}, func() { given.ThirdPartyClientAccess = orgstore.ClientAccessBlock }},
		{orgstore.OrganizationUpdate{AppEntitlement: new(false)}, func() { given.AppEntitlement = false }},
		{orgstore.OrganizationUpdate{InvitationRedirectURL: new("")}, func() { given.InvitationRedirectURL = "" }},
		{orgstore.OrganizationUpdate{AutoJoin: new(orgstore.AutoJoin(""))}, func() { given.AutoJoin = orgstore.AutoJoinOff }},
		{orgstore.OrganizationUpdate{ExternalID: new("")}, func() { given.ExternalID = "" }},
	} {
		result, err := t.Organizations.Update(ctx, o.ID, step.update)
		t.changed(result, err)
		if len(result.Revision) != 1 {
			t.Errorf("raised %v", result.Revision)
		}
		step.change()
		got := stored()
		given.UpdatedAt = got.UpdatedAt
		if !reflect.DeepEqual(got, given) {
			t.Errorf("%+v: stored %+v, want %+v", step.update, got, given)
		}
		t.unchanged(t.Organizations.Update(ctx, o.ID, step.update))
	}
}

func organizationSettingsRefused(t *engineTest) {
	ctx := t.Context()
	target := t.org("target")
	before := len(t.events())
	type update = orgstore.OrganizationUpdate
	refused := func(field, value string, u update, o orgstore.Organization) {
		t.Helper()
		_, err := t.Organizations.Update(ctx, target.ID, u)
		t.invalid(err, field, value)
		o.Name = "x"
		_, _, err = t.Organizations.Create(ctx, o)
		t.invalid(err, field, value)
	}
	for _, url := range []string{
		"http://acme.example/x", "https://", "acme.example", "/x", "https://localhost/x", "https://user@acme.example/x", "javascript:alert(1)", "https:///x",
		"data:image/png;base64,AA==", "https://acme.example/\x00", "https://acme.example/ x", "https://äcme.example/", "https://acme.example/\xff",
		`https://acme.example/"><script>`, "https://acme.example/{organization.metadata.public_x}", "https://acme.example/" + strings.Repeat("a", 100_000), " https://acme.example",
	} {
		refused("logo_url", url, update{LogoURL: &url}, orgstore.Organization{Branding: orgstore.Branding{LogoURL: url}})
		refused("invitation_redirect_url", url, update{InvitationRedirectURL: &url}, orgstore.Organization{InvitationRedirectURL: url})
	}
	for _, color := range []string{"", "#", "fff", "#ff", "#fffff", "#ggg", "#fffffffff", "red", "#fff ", "#ff\x00", "#ＦＦＦ", "rgb(0,0,0)", "#fff;background:url(x)"} {
		for _, colors := range []orgstore.BrandingColors{{Primary: color, PageBackground: "#000"}, {Primary: "#000", PageBackground: color}} {
			refused("colors", color, update{Colors: &colors}, orgstore.Organization{Branding: orgstore.Branding{Colors: colors}})
		}
	}
	for _, quota := range []orgstore.Quota{{PerDay: -1}, {PerHour: -1}, {PerDay: 1 << 31}, {PerHour: 1 << 31}, {PerDay: 1 << 31, PerHour: -1}} {
		q := orgstore.TokenQuota{ClientCredentials: quota}
		refused("token_quota", "", update{TokenQuota: &q}, orgstore.Organization{TokenQuota: q})
	}
	for _, access := range []orgstore.ClientAccess{"deny", "Allow", "allow\x00", "allow-everything"} {
		refused("third_party_client_access", string(access), update{ThirdPartyClientAccess: &access}, orgstore.Organization{ThirdPartyClientAccess: access})
	}
	for _, join := range []orgstore.AutoJoin{"on", "Off", "off\x00", "automatically"} {
		refused("auto_join", string(join), update{AutoJoin: &join}, orgstore.Organization{AutoJoin: join})
	}
	for _, id := range []string{"a\nb", "a\x00b", "\xff", strings.Repeat("ä", 256)} {
		refused("external_id", id, update{ExternalID: &id}, orgstore.Organization{ExternalID: id})
		_, err := t.Organizations.GetByExternalID(ctx, id)
		t.notFound(err, "organization")
	}
	for _, domain := range []string{"acme", "acme.example\x00", "https://acme.example", "\xff.example", "acme.example", "192.0.2.1"} {
		refused("login_domain", domain, update{LoginDomain: &domain}, orgstore.Organization{LoginDomain: domain})
		_, err := t.Organizations.GetByLoginDomain(ctx, domain)
		t.notFound(err, "organization")
	}
	for _, role := range badIDs("rol_")[1:] {
		_, err := t.Organizations.Update(ctx, target.ID, update{OwnerRole: &role})
		t.notFound(err, "role")
		_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "x", OwnerRole: role})
		t.notFound(err, "role")
	}
	for _, id := range badIDs("org_") {
		_, err := t.Organizations.Update(ctx, id, update{ExternalID: new("x")})
		t.notFound(err, "organization")
		_, err = t.Organizations.ScheduleDeletion(ctx, id, time.Now().Add(time.Hour))
		t.notFound(err, "organization")
		_, err = t.Organizations.CancelDeletion(ctx, id)
		t.notFound(err, "organization")
	}
	_, err := t.Organizations.GetByExternalID(ctx, "")
	t.notFound(err, "organization")
	_, err = t.Organizations.GetByLoginDomain(ctx, "")
	t.notFound(err, "organization")
	// All that is wrong is told at once.
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "X", ExternalID: "\n", AutoJoin: "on", Branding: orgstore.Branding{LogoURL: "x"}})
	for _, field := range []string{"name", "external_id", "auto_join", "logo_url"} {
		if err == nil || !strings.Contains(err.Error(), "orgstore: "+field+" ") {
			t.Errorf("error is %v, want one with %s", err, field)
		}
	}
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
}

func organizationExternalID(t *engineTest) {
	ctx := t.Context()
	a, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "a", ExternalID: "CRM 1"})
	t.ok(err)
	b := t.org("b")
	_, err = t.Organizations.Update(ctx, b.ID, orgstore.OrganizationUpdate{ExternalID: new("CRM 1")})
	t.conflict(err, "organization", "external_id")
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "c", ExternalID: "CRM 1"})
	t.conflict(err, "organization", "external_id")
	t.changed(t.Organizations.Update(ctx, b.ID, orgstore.OrganizationUpdate{ExternalID: new("crm 1")}))
	for id, want := range map[string]string{"CRM 1": a.ID, "crm 1": b.ID} {
		if got, err := t.Organizations.GetByExternalID(ctx, id); err != nil || got.ID != want {
			t.Errorf("%q is %+v, %v", id, got, err)
		}
	}
	t.changed(t.Organizations.Delete(ctx, a.ID))
	_, err = t.Organizations.GetByExternalID(ctx, "CRM 1")
	t.notFound(err, "organization")
	t.changed(t.Organizations.Update(ctx, b.ID, orgstore.OrganizationUpdate{ExternalID: new("CRM 1")}))
}

func organizationOwnerRole(t *engineTest) {
	ctx := t.Context()
	a, b := t.org("a"), t.org("b")
	role := t.role("owner")
	of := func(org string) string {
		r, _, err := t.Roles.Create(ctx, orgstore.Role{Name: "org:own", Organization: org})
		t.ok(err)
		return r.ID
	}
	own, foreign := of(a.ID), of(b.ID)
	t.changed(t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{OwnerRole: &role}))
	t.changed(t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{OwnerRole: &own}))
	_, err := t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{OwnerRole: &foreign})
	t.notFound(err, "role")
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "c", OwnerRole: foreign})
	t.notFound(err, "role")
	t.changed(t.Roles.Delete(ctx, role))
	_, err = t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{OwnerRole: &role})
	t.notFound(err, "role")
	if got, err := t.Organizations.Get(ctx, a.ID); err != nil || got.OwnerRole != own {
		t.Errorf("got %+v, %v", got, err)
	}
}

func organizationLoginDomain(t *engineTest) {
	ctx := t.Context()
	a, b := t.org("a"), t.org("b")
	login := func(org, domain string) error {
		return second(t.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{LoginDomain: &domain}))
	}
	t.domain(orgstore.DiscoveryDomain{Organization: a.ID, Domain: "written.example", Status: orgstore.DomainVerified})
	t.invalid(login(a.ID, "written.example"), "login_domain", "written.example")
	d := t.proven(orgstore.DiscoveryDomain{Organization: a.ID, Domain: "acme.example"})
	t.proven(orgstore.DiscoveryDomain{Organization: b.ID, Domain: "acme.example"})
	for _, domain := range []string{"notacme.example", "acme.example.evil.example", "example"} {
		t.invalid(login(a.ID, domain), "login_domain", domain)
	}
	t.ok(login(a.ID, "Login.ACME.example"))
	t.conflict(login(b.ID, "login.acme.example"), "organization", "login_domain")
	t.ok(login(b.ID, "acme.example"))
	for host, want := range map[string]string{"LOGIN.acme.example": a.ID, "acme.example": b.ID} {
		if got, err := t.Organizations.GetByLoginDomain(ctx, host); err != nil || got.ID != want {
			t.Errorf("%s is %+v, %v", host, got, err)
		}
	}
	// It counts as long as the proof does.
	_, _, err := t.DiscoveryDomains.Verify(ctx, a.ID, d.ID, &names{})
	t.ok(err)
	_, err = t.Organizations.GetByLoginDomain(ctx, "login.acme.example")
	t.notFound(err, "organization")
	t.changed(t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{DisplayName: new("still")}))
	dns := &names{}
	dns.set(d.VerificationHost, d.VerificationText)
	_, _, err = t.DiscoveryDomains.Verify(ctx, a.ID, d.ID, dns)
	t.ok(err)
	if got, err := t.Organizations.GetByLoginDomain(ctx, "login.acme.example"); err != nil || got.ID != a.ID {
		t.Errorf("proven again: %+v, %v", got, err)
	}
	t.changed(t.DiscoveryDomains.Delete(ctx, a.ID, d.ID))
	_, err = t.Organizations.GetByLoginDomain(ctx, "login.acme.example")
	t.notFound(err, "organization")
	t.changed(t.Organizations.Delete(ctx, b.ID))
	_, err = t.Organizations.GetByLoginDomain(ctx, "acme.example")
	t.notFound(err, "organization")
}

func organizationFilters(t *engineTest) {
	ctx := t.Context()
	for _, o := range []orgstore.Organization{
		{Name: "acme", DisplayName: "Zebra Inc."}, {Name: "acme-2", Status: orgstore.OrganizationSuspended}, {Name: "other", DisplayName: "ACME Öst"}, {Name: "rest", DisplayName: "not acme"},
		{Name: "escape", DisplayName: "a_%b"},
	} {
		_, _, err := t.Organizations.Create(ctx, o)
		t.ok(err)
	}
	other, err := t.Organizations.GetByName(ctx, "other")
	t.ok(err)
	t.domain(orgstore.DiscoveryDomain{Organization: other.ID, Domain: "other.example", Status: orgstore.DomainVerified})
	rest, err := t.Organizations.GetByName(ctx, "rest")
	t.ok(err)
	t.domain(orgstore.DiscoveryDomain{Organization: rest.ID, Domain: "other.example"})
	byName := orgstore.ListOptions{Sort: orgstore.SortName}
	for _, tt := range []struct {
		opts orgstore.OrganizationListOptions
		want string
	}{
		{orgstore.OrganizationListOptions{}, "acme acme-2 escape other rest"},
		{orgstore.OrganizationListOptions{Status: orgstore.OrganizationSuspended}, "acme-2"},
		{orgstore.OrganizationListOptions{Status: orgstore.OrganizationActive}, "acme escape other rest"},
		{orgstore.OrganizationListOptions{Query: "acme"}, "acme acme-2 other"},
		{orgstore.OrganizationListOptions{Query: "ACME-"}, "acme-2"},
		{orgstore.OrganizationListOptions{Query: "zebra"}, "acme"},
		{orgstore.OrganizationListOptions{Query: "acme ÖST"}, "other"},
		{orgstore.OrganizationListOptions{Query: "a_"}, "escape"},
		{orgstore.OrganizationListOptions{Query: "%"}, ""},
		{orgstore.OrganizationListOptions{Query: "acme", Status: orgstore.OrganizationActive}, "acme other"},
		{orgstore.OrganizationListOptions{Domain: "Other.example"}, "other"},
		{orgstore.OrganizationListOptions{Domain: "example.com"}, ""},
	} {
		tt.opts.ListOptions = byName
		tt.opts.Total = true
		page, err := t.Organizations.List(ctx, tt.opts)
		t.ok(err)
		var got []string
		for _, o := range page.Items {
			got = append(got, o.Name)
		}
		if strings.Join(got, " ") != tt.want || page.Total != len(got) {
			t.Errorf("%+v: %q of %d, want %q", tt.opts, got, page.Total, tt.want)
		}
		tt.opts.Limit, tt.opts.Total = 1, false
		for n := 0; ; n++ {
			page, err := t.Organizations.List(ctx, tt.opts)
			t.ok(err)
			if tt.opts.After = page.Next; page.Next == "" || n > len(got) {
				if n+len(page.Items) != max(n, len(got)) {
					t.Errorf("%+v: %d pages of %d", tt.opts, n+1, len(got))
				}
				break
			}
		}
	}
	for field, opts := range map[string]orgstore.OrganizationListOptions{
		"Status": {Status: "closed"}, "Query": {Query: "a\x00"}, "Domain": {Domain: "\xff"}, "Limit": {ListOptions: orgstore.ListOptions{Limit: -1}},
		"After": {ListOptions: orgstore.ListOptions{After: "foreign"}}, "Sort": {ListOptions: orgstore.ListOptions{Sort: "metadata"}},
	} {
		_, err := t.Organizations.List(ctx, opts)
		t.invalid(err, field, "")
	}
}

func organizationScheduled(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	t.proven(orgstore.DiscoveryDomain{Organization: o.ID, Domain: "acme.example", Discovery: true})
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{ExternalID: new("crm"), LoginDomain: new("acme.example"), AutoJoin: new(orgstore.AutoJoinAutomatic)}))
	at := t.clock.now().Add(24 * time.Hour)
	result, err := t.Organizations.ScheduleDeletion(ctx, o.ID, at)
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0].Scope != orgstore.OrganizationScope(o.ID) {
		t.Errorf("raised %v", result.Revision)
	}
	t.unchanged(t.Organizations.ScheduleDeletion(ctx, o.ID, at))
	if got, err := t.Organizations.Get(ctx, o.ID); err != nil || !got.DeleteAt.Equal(at.Truncate(time.Microsecond)) {
		t.Errorf("scheduled: %+v, %v", got, err)
	}
	t.clock.advance(24*time.Hour - time.Minute)
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	if _, err := t.Organizations.GetByName(ctx, "acme"); err != nil {
		t.Errorf("before its time: %v", err)
	}
	t.clock.advance(2 * time.Minute)
	for name, err := range map[string]error{
		"get":             second(t.Organizations.Get(ctx, o.ID)),
		"by name":         second(t.Organizations.GetByName(ctx, "acme")),
		"by external id":  second(t.Organizations.GetByExternalID(ctx, "crm")),
		"by login domain": second(t.Organizations.GetByLoginDomain(ctx, "acme.example")),
		"update":          second(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{DisplayName: new("x")})),
		"suspend":         second(t.Organizations.Suspend(ctx, o.ID)),
		"cancel":          second(t.Organizations.CancelDeletion(ctx, o.ID)),
		"schedule":        second(t.Organizations.ScheduleDeletion(ctx, o.ID, at.Add(48*time.Hour))),
		"add a member":    second(t.Members.Add(ctx, o.ID, t.user("v"), orgstore.MemberOptions{})),
		"add a domain":    third(t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: o.ID, Domain: "b.example"})),
	} {
		t.Log(name)
		t.notFound(err, "organization")
	}
	if page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{ListOptions: orgstore.ListOptions{Total: true}}); err != nil || len(page.Items)+page.Total != 0 {
		t.Errorf("list: %+v, %v", page, err)
	}
	page, err := t.DiscoveryDomains.Discover(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	page, err = t.DiscoveryDomains.Joinable(ctx, "user@acme.example", orgstore.ListOptions{})
	t.matches(page, err)()
	t.changed(t.Organizations.Delete(ctx, o.ID)) // makes it what it is
	t.unchanged(t.Organizations.Delete(ctx, o.ID))
	t.consistent()
}

func organizationCleanDue(t *engineTest) {
	ctx := t.Context()
	o, kept := t.org("acme"), t.org("kept")
	t.member(o.ID, t.user("u"))
	t.changed(t.Organizations.ScheduleDeletion(ctx, o.ID, t.clock.now().Add(time.Hour)))
	t.changed(t.Organizations.ScheduleDeletion(ctx, kept.ID, t.clock.now().Add(3*time.Hour)))
	t.clock.advance(2 * time.Hour)
	_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
	t.conflict(err, "organization", "name")
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	var types []string
	for _, e := range t.events() {
		if e.Organization == o.ID && e.Scope.Kind == orgstore.ScopeOrganization {
			types = append(types, e.Type)
		}
	}
	if got := strings.Join(types, " "); got != "organization.created organization.deletion.scheduled organization.deleted" {
		t.Errorf("events: %s", got)
	}
	if got, err := t.Organizations.Get(ctx, kept.ID); err != nil || got.DeleteAt.IsZero() {
		t.Errorf("kept: %+v, %v", got, err)
	}
	t.org("acme")
	t.consistent()
}

func organizationDueOnce(t *engineTest) {
	const organizations = 4
	for i := range organizations {
		t.changed(t.Organizations.ScheduleDeletion(t.Context(), t.org("o"+strconv.Itoa(i)).ID, t.clock.now().Add(time.Hour)))
	}
	t.clock.advance(2 * time.Hour)
	for _, err := range together(racers, func(int) error { return second(t.Clean(t.Context())) }) {
		t.ok(err)
	}
	deleted := 0
	for _, e := range t.events() {
		if e.Type == "organization.deleted" {
			deleted++
		}
	}
	if deleted != organizations {
		t.Errorf("%d deletions of %d organizations", deleted, organizations)
	}
	t.consistent()
}

func organizationScheduleCancelled(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	t.unchanged(t.Organizations.CancelDeletion(ctx, o.ID))
	t.changed(t.Organizations.ScheduleDeletion(ctx, o.ID, t.clock.now().Add(time.Hour)))
	t.changed(t.Organizations.ScheduleDeletion(ctx, o.ID, t.clock.now().Add(2*time.Hour)))
	t.changed(t.Organizations.CancelDeletion(ctx, o.ID))
	t.unchanged(t.Organizations.CancelDeletion(ctx, o.ID))
	t.clock.advance(3 * time.Hour)
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	if got, err := t.Organizations.Get(ctx, o.ID); err != nil || !got.DeleteAt.IsZero() {
		t.Errorf("cancelled: %+v, %v", got, err)
	}
}

func organizationScheduleRefused(t *engineTest) {
	o := t.org("acme")
	for _, at := range []time.Time{{}, time.Unix(0, 0), t.clock.now().Add(-time.Second)} {
		_, err := t.Organizations.ScheduleDeletion(t.Context(), o.ID, at)
		t.invalid(err, "delete_at", "")
	}
}
