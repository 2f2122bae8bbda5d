package login

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// world is a store of facts.
type world struct {
	tenant        orgstore.TenantSettings
	organizations []organization
	domains       map[string][]string     // domain -> names
	members       map[string][]string     // user -> names
	enabled       map[string][]Connection // name -> connections
	application   []Connection
	preset        string // name of the default database
	err           error  // of every look-up
}

func (w *world) settings() *orgstore.TenantSettings { return &w.tenant }

func (w *world) organization(_ context.Context, ref string) (organization, error) {
	for _, o := range w.organizations {
		if o.ID == ref || o.Name == strings.ToLower(ref) {
			return o, w.err
		}
	}
	return organization{}, cmpErr(w.err, &orgstore.NotFound{Kind: "organization"})
}

func (w *world) atHost(ctx context.Context, host string) (organization, error) {
	name, _ := strings.CutSuffix(host, ".login.example")
	return w.organization(ctx, name)
}

func cmpErr(errs ...error) error {
	return errs[slices.IndexFunc(errs, func(err error) bool { return err != nil })]
}

func (w *world) discover(ctx context.Context, domain string) (found []organization, err error) {
	for _, name := range w.domains[domain] {
		o, _ := w.organization(ctx, name)
		found = append(found, o)
	}
	return found, w.err
}

func (w *world) memberships(ctx context.Context, user, query, after string) (found []Organization, next string, err error) {
	for i, name := range w.members[user] {
		if o, _ := w.organization(ctx, name); strings.HasPrefix(name, query) && name > after {
			found = append(found, o.Organization)
		}
		if len(found) == pickerPage && i+1 < len(w.members[user]) {
			return found, name, w.err
		}
	}
	return found, "", w.err
}

func (w *world) organizationConnections(_ context.Context, org string) ([]Connection, error) {
	for _, o := range w.organizations {
		if o.ID == org {
			return w.enabled[o.Name], w.err
		}
	}
	return nil, w.err
}

func (w *world) clientConnections(context.Context, string) ([]Connection, error) {
	return w.application, w.err
}

func (w *world) enterpriseConnections(_ context.Context, domain string) (found []Connection, err error) {
	for _, connections := range w.enabled {
		for _, c := range connections {
			if c.Kind() == orgstore.ConnectionEnterprise && slices.Contains(c.Domains, domain) {
				found = append(found, c)
			}
		}
	}
	return found, w.err
}

func (w *world) assigning(_ context.Context, connection string) (found []string, err error) {
	for _, o := range w.organizations {
		if c, ok := named(w.enabled[o.Name], connection); ok && c.jit {
			found = append(found, o.ID)
		}
	}
	return found, w.err
}

func (w *world) joinable(context.Context, string, string) (orgstore.AutoJoin, error) {
	return orgstore.AutoJoinOff, w.err
}

func (w *world) invitation(context.Context, string) (*orgstore.Invitation, error) {
	return nil, cmpErr(w.err, &orgstore.NotFound{Kind: "invitation"})
}

func (w *world) hasAddress(context.Context, string, string, string) (bool, error) {
	return false, w.err
}

func (w *world) defaultDatabase(context.Context) (Connection, bool, error) {
	return connection("auth0", w.preset), w.preset != "", w.err
}

func connection(strategy, name string, domains ...string) Connection {
	return Connection{Connection: orgstore.Connection{ID: "con_" + name, Name: name, Strategy: strategy, Domains: domains, DomainConnection: true}}
}

// travel0 is the world of the tests: the organizations of the scenario and some more.
func travel0() *world {
	org := func(name string) organization {
		return organization{Organization: Organization{ID: "org_" + name, Name: name}}
	}
	suspended, entitled, listed := org("suspended"), org("entitled"), org("listed")
	suspended.suspended, entitled.entitlement = true, true
	listed.entitlement, listed.listed, listed.entitled = true, true, true
	open, partner := org("open"), connection("okta", "open-okta", "open.example")
	partner.DomainConnection = false
	open.thirdParties = true
	signup, hidden := connection("auth0", "travel0"), connection("samlp", "adventurez-saml", "adventurez.example")
	signup.SignUp, hidden.hidden = true, true
	return &world{
		organizations: []organization{
			org("granite"), org("adventurez"), org("rocky"), org("bare"), org("veiled"), suspended, entitled, listed, open,
		},
		domains: map[string][]string{
			"granite.example": {"granite"}, "shared.example": {"rocky", "granite", "suspended"}, "gone.example": {"suspended"},
		},
		members: map[string][]string{"jonno": {"rocky"}, "emilio": {"granite", "rocky"}},
		enabled: map[string][]Connection{
			"granite":    {connection("okta", "granite-okta", "granite.example"), connection("auth0", "travel0")},
			"adventurez": {hidden, connection("google-oauth2", "google")},
			"rocky":      {signup},
			"veiled":     {hidden},
			"listed":     {connection("email", "mail")}, "open": {signup, partner}, "entitled": {signup},
		},
		application: []Connection{connection("auth0", "travel0"), connection("google-oauth2", "google"), connection("waad", "travel0-ad", "travel0.example")},
	}
}

// shown is a step in one line.
func shown(s *Step) string {
	parts := []string{string(s.Do)}
	if s.Organization != nil {
		parts = append(parts, "for "+s.Organization.Name)
	}
	for _, c := range s.Connections {
		parts = append(parts, c.Name)
	}
	for _, o := range s.Organizations {
		parts = append(parts, o.Name)
	}
	parts = append(parts, s.Methods...)
	for text, ok := range map[string]bool{"+signup": s.SignUp, "+personal": s.Personal, "+more": s.Next != "", "+mfa": s.MFA, "+begin-with-signup": s.Screen == "signup"} {
		if ok {
			parts = append(parts, text)
		}
	}
	slices.Sort(parts[1:])
	return strings.Join(parts, " ")
}

func application(usage orgstore.OrganizationUsage, behavior orgstore.OrganizationPrompt) orgstore.Client {
	return orgstore.Client{FirstParty: true, OrganizationUsage: usage, OrganizationRequireBehavior: behavior}
}

func planned(w *world, c orgstore.Client, req Request) string {
	service := Service{nil, Config{}, func(context.Context, *orgstore.Engine, string) (store, *orgstore.Client, error) { return w, &c, nil }}
	s, err := service.Plan(context.Background(), req)
	if refused, ok := errors.AsType[*Error](err); ok {
		if refused.Show {
			return "show " + refused.Code + ": " + refused.Description
		}
		return refused.Code + ": " + refused.Description
	}
	if err != nil {
		return "unknown: " + err.Error()
	}
	return shown(s)
}

// TestBehavior has every row of the table of usage, behaviour and whether an organization was sent.
func TestBehavior(t *testing.T) {
	t.Parallel()
	const (
		notAllowed  = "invalid_request: parameter organization is not allowed for this client"
		required    = "invalid_request: parameter organization is required for this client"
		noneOfThem  = "invalid_request: client requires organization membership, but user does not belong to any organization"
		ofTheClient = "credentials google travel0 travel0-ad"
		rocky       = "credentials +signup for rocky travel0"
	)
	for _, tt := range []struct {
		name             string
		usage            orgstore.OrganizationUsage
		behavior         orgstore.OrganizationPrompt
		sent, user, want string
	}{
		{"LOG-1: deny, nothing sent", "deny", "", "", "", ofTheClient},
		{"LOG-1: deny, sent", "deny", "", "org_rocky", "", notAllowed},
		{"LOG-1: deny, pre_login_prompt, nothing sent", "deny", orgstore.PreLoginPrompt, "", "", ofTheClient},
		{"LOG-1: deny, pre_login_prompt, sent", "deny", orgstore.PreLoginPrompt, "org_rocky", "", notAllowed},
		{"LOG-1: deny, post_login_prompt, nothing sent", "deny", orgstore.PostLoginPrompt, "", "", ofTheClient},
		{"LOG-1: deny, post_login_prompt, after the login", "deny", orgstore.PostLoginPrompt, "", "jonno", "complete"},
		{"LOG-1: empty usage is deny", "", "", "org_rocky", "", notAllowed},
		{"LOG-1: an unknown usage is deny", "Allow", "", "org_rocky", "", notAllowed},
		{"LOG-1: allow, no_prompt, nothing sent", "allow", orgstore.NoPrompt, "", "", ofTheClient},
		{"LOG-1: allow, empty behaviour, nothing sent", "allow", "", "", "", ofTheClient},
		{"LOG-1: allow, no_prompt, sent", "allow", orgstore.NoPrompt, "org_rocky", "", rocky},
		{"LOG-1: allow, no_prompt, after the login", "allow", orgstore.NoPrompt, "", "jonno", "complete"},
		{"LOG-1: allow, pre_login_prompt, nothing sent", "allow", orgstore.PreLoginPrompt, "", "", "organization +personal organization_name"},
		{"LOG-1: allow, pre_login_prompt, sent", "allow", orgstore.PreLoginPrompt, "org_rocky", "", rocky},
		{"LOG-5: allow, post_login_prompt, nothing sent", "allow", orgstore.PostLoginPrompt, "", "", ofTheClient},
		{"LOG-5: allow, post_login_prompt, sent", "allow", orgstore.PostLoginPrompt, "org_rocky", "", rocky},
		{"LOG-5: allow, post_login_prompt, one organization", "allow", orgstore.PostLoginPrompt, "", "jonno", "picker +personal rocky"},
		{"LOG-5: allow, post_login_prompt, two organizations", "allow", orgstore.PostLoginPrompt, "", "emilio", "picker +personal granite rocky"},
		{"LOG-5: allow, post_login_prompt, no organization", "allow", orgstore.PostLoginPrompt, "", "nobody", "complete"},
		{"LOG-1: require, no_prompt, nothing sent", "require", orgstore.NoPrompt, "", "", required},
		{"LOG-1: require, empty behaviour, nothing sent", "require", "", "", "", required},
		{"LOG-1: require, no_prompt, sent", "require", orgstore.NoPrompt, "org_rocky", "", rocky},
		{"LOG-1: require, pre_login_prompt, nothing sent", "require", orgstore.PreLoginPrompt, "", "", "organization organization_name"},
		{"LOG-1: require, pre_login_prompt, a session does not replace the prompt", "require", orgstore.PreLoginPrompt, "", "jonno", "organization organization_name"},
		{"LOG-1: require, pre_login_prompt, sent", "require", orgstore.PreLoginPrompt, "org_rocky", "", rocky},
		{"LOG-5: require, post_login_prompt, nothing sent", "require", orgstore.PostLoginPrompt, "", "", ofTheClient},
		{"LOG-5: require, post_login_prompt, two organizations", "require", orgstore.PostLoginPrompt, "", "emilio", "picker granite rocky"},
		{"LOG-5: require, post_login_prompt, the only one is selected", "require", orgstore.PostLoginPrompt, "", "jonno", "complete for rocky"},
		{"LOG-5: require, post_login_prompt, no organization", "require", orgstore.PostLoginPrompt, "", "nobody", noneOfThem},
		{"LOG-5: require, post_login_prompt, sent", "require", orgstore.PostLoginPrompt, "org_rocky", "", rocky},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := Request{Organization: tt.sent, User: tt.user, UserConnection: "con_travel0"}
			if got := planned(travel0(), application(tt.usage, tt.behavior), req); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const (
		noOrganization = "invalid_request: no organization was found"
		notEnabled     = "access_denied: the connection is not enabled for the organization"
		wantedID       = "invalid_request: authorization request parameter organization must be an organization id"
		badRedirect    = "show invalid_request: the redirect URI is not allowed for the client"
		cb             = "https://{organization_name}.travel0.example/cb"
	)
	allow, pre := application("allow", ""), application("allow", orgstore.PreLoginPrompt)
	allow.Callbacks, pre.OrganizationDiscoveryMethods = []string{"https://travel0.example/cb", cb}, []string{ByEmail, ByName}
	byName, byEmail := pre, pre
	byName.OrganizationDiscoveryMethods, byEmail.OrganizationDiscoveryMethods = []string{ByName}, []string{ByEmail}
	post, deny, third := application("require", orgstore.PostLoginPrompt), application("deny", ""), application("allow", "")
	third.FirstParty = false
	many := travel0()
	for i := range 45 {
		name := "o" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		many.organizations = append(many.organizations, organization{Organization: Organization{ID: "org_" + name, Name: name}})
		many.members["jonno"] = append(many.members["jonno"], name)
	}
	merging, asking := travel0(), travel0()
	merging.tenant.MergeConnections, asking.tenant.AskSole = true, true
	named, preset, failing, empty := travel0(), travel0(), travel0(), travel0()
	named.tenant.OrganizationNames, preset.preset, failing.err, empty.application = true, "customers", orgstore.ErrUnavailable, nil

	for _, tt := range []struct {
		name string
		w    *world
		c    orgstore.Client
		req  Request
		want string
	}{
		{"LOG-1: unknown", nil, allow, Request{Organization: "org_unknown"}, "invalid_request: parameter organization is invalid: org_unknown"},
		{"LOG-1: suspended", nil, allow, Request{Organization: "org_suspended"}, "invalid_request: parameter organization is invalid: org_suspended"},
		{"LOG-1: what cannot be told", nil, allow, Request{Organization: "org_\"x\n"}, "invalid_request: parameter organization is invalid"},
		{"LOG-1: too long", nil, allow, Request{Organization: "org_" + strings.Repeat("x", 47)}, "invalid_request: parameter organization is invalid"},
		{"LOG-1: an unknown name", named, allow, Request{Organization: "unknown"}, "invalid_request: parameter organization is invalid: unknown"},
		{"LOG-1: a suspended one's name", named, allow, Request{Organization: "suspended"}, "invalid_request: parameter organization is invalid: suspended"},
		{"LOG-1: a store that does not answer is no refusal", failing, allow, Request{Organization: "org_rocky"}, "unknown: " + orgstore.ErrUnavailable.Error()},
		{"LOG-2: a name that the tenant does not allow", nil, allow, Request{Organization: "rocky"}, wantedID},
		{"LOG-2: an unknown name that the tenant does not allow", nil, allow, Request{Organization: "unknown"}, wantedID},
		{"LOG-2: a name", named, allow, Request{Organization: "Rocky"}, "credentials +signup for rocky travel0"},
		{"LOG-2: an id where names are allowed", named, allow, Request{Organization: "org_rocky"}, "credentials +signup for rocky travel0"},

		{"LOG-3: the organization's connections only", nil, allow, Request{Organization: "org_granite"}, "credentials for granite granite-okta travel0"},
		{"LOG-3: the application's beside them", merging, allow, Request{Organization: "org_granite"}, "credentials for granite google granite-okta travel0 travel0-ad"},
		{"LOG-3: a hidden one is not shown", nil, allow, Request{Organization: "org_adventurez"}, "credentials for adventurez google"},
		{"LOG-3: a hidden one by its name", nil, allow, Request{Organization: "org_adventurez", Connection: "adventurez-saml"}, "connection adventurez-saml for adventurez"},
		{"LOG-3: a hidden one by its id", nil, allow, Request{Organization: "org_adventurez", Connection: "con_adventurez-saml"}, "connection adventurez-saml for adventurez"},
		{"LOG-3: a hidden one by e-mail domain", nil, allow, Request{Organization: "org_adventurez", Identifier: "Sumana@AdventureZ.example"}, "connection adventurez-saml for adventurez"},
		{"LOG-3: login_hint decides nothing", nil, allow, Request{Organization: "org_adventurez", LoginHint: "sumana@adventurez.example"}, "credentials for adventurez google"},
		{"LOG-3: a database by its name has a page", nil, allow, Request{Organization: "org_granite", Connection: "travel0"}, "credentials for granite travel0"},
		{"LOG-3: a connection of the application only", nil, allow, Request{Organization: "org_rocky", Connection: "google"}, notEnabled},
		{"LOG-3: an unknown connection", nil, allow, Request{Organization: "org_rocky", Connection: "unknown"}, notEnabled},
		{"LOG-3: none enabled", nil, allow, Request{Organization: "org_bare"}, "invalid_request: no connections enabled for the organization"},
		{"LOG-3: none visible", nil, allow, Request{Organization: "org_veiled"}, "invalid_request: no connections enabled for the organization are visible"},
		{"LOG-3: none for the application", empty, deny, Request{}, "invalid_request: no connections enabled for the client"},
		{"LOG-3: a session through a connection of the organization", nil, allow, Request{Organization: "org_rocky", User: "jonno", UserConnection: "con_travel0"}, "complete for rocky"},
		{"LOG-3: a session through another connection", nil, allow, Request{Organization: "org_rocky", User: "jonno", UserConnection: "con_google"}, "credentials +signup for rocky travel0"},
		{"LOG-3: begin with signing up", nil, allow, Request{Organization: "org_rocky", Screen: "signup"}, "credentials +begin-with-signup +signup for rocky travel0"},
		{"LOG-3: nothing to sign up at", nil, allow, Request{Organization: "org_granite", Screen: "signup"}, "credentials for granite granite-okta travel0"},

		{"LOG-4: methods", nil, pre, Request{}, "organization +personal email organization_name"},
		{"LOG-4: a name", nil, pre, Request{Entered: "Granite"}, "credentials for granite granite-okta travel0"},
		{"LOG-4: a name where names are not asked for", nil, byEmail, Request{Entered: "granite"}, noOrganization},
		{"LOG-4: an e-mail address where only names are asked for", nil, byName, Request{Entered: "hiroko@granite.example"}, noOrganization},
		{"LOG-4: a domain of one", nil, pre, Request{Entered: "hiroko@Granite.example"}, "connection for granite granite-okta"},
		{"LOG-4: a domain of several", nil, pre, Request{Entered: "x@shared.example"}, "picker +personal granite rocky"},
		{"LOG-4: a domain of none", nil, pre, Request{Entered: "x@unknown.example"}, noOrganization},
		{"LOG-4: a domain of a suspended one", nil, pre, Request{Entered: "x@gone.example"}, noOrganization},
		{"LOG-4: a suspended one's name", nil, pre, Request{Entered: "suspended"}, noOrganization},
		{"LOG-4: an unknown name", nil, pre, Request{Entered: "unknown"}, noOrganization},
		{"LOG-4: no address", nil, pre, Request{Entered: "@granite.example"}, noOrganization},
		{"LOG-4: two addresses", nil, pre, Request{Entered: "x@evil.example@granite.example"}, noOrganization},
		{"LOG-4: a personal account", nil, pre, Request{Personal: true}, "credentials google travel0 travel0-ad"},
		{"LOG-4: no personal account under require", nil, post, Request{Personal: true, User: "jonno"}, "invalid_request: parameter organization is required for this client"},
		{"LOG-4: no personal account beside an organization", nil, allow, Request{Personal: true, Organization: "org_rocky"}, "invalid_request: parameter organization is required for this client"},
		{"LOG-4: the application's enterprise connection", nil, post, Request{Identifier: "a@travel0.example"}, "connection travel0-ad"},
		{"LOG-4: any organization's enterprise connection", nil, post, Request{Identifier: "sumana@adventurez.example"}, "connection adventurez-saml"},
		{"LOG-4: no organization's where none can be picked", nil, allow, Request{Identifier: "sumana@adventurez.example"}, "credentials travel0"},
		{"LOG-4: no organization's under deny", nil, deny, Request{Identifier: "sumana@adventurez.example"}, "credentials travel0"},
		{"LOG-4: the default database", preset, post, Request{Identifier: "x@unknown.example"}, "credentials customers"},
		{"LOG-4: the application's database", nil, post, Request{Identifier: "x@unknown.example"}, "credentials travel0"},
		{"LOG-4: an identifier that is no address", nil, post, Request{Identifier: "emilio"}, "credentials travel0"},
		{"LOG-4: the connection parameter comes first", nil, post, Request{Connection: "google", Identifier: "x@travel0.example"}, "connection google"},
		{"LOG-4: a connection that the application has not", nil, post, Request{Connection: "granite-okta"}, "invalid_request: the connection is not enabled for the client"},

		{"LOG-5: a page", many, post, Request{User: "jonno"}, "picker +more oaa oab oac oad oae oaf oag oah oai oaj oak oal oam oan oao oap oaq oar oas rocky"},
		{"LOG-5: the last page", many, post, Request{User: "jonno", After: "obm"}, "picker obn obo obp obq obr obs rocky"},
		{"LOG-5: search", many, post, Request{User: "jonno", Query: "ob"}, "picker oba obb obc obd obe obf obg obh obi obj obk obl obm obn obo obp obq obr obs"},
		{"LOG-5: nothing found is no refusal", many, post, Request{User: "jonno", Query: "zz"}, "picker"},
		{"LOG-5: the switch", asking, post, Request{User: "jonno"}, "picker rocky"},
		{"LOG-5: continue personally", nil, application("allow", orgstore.PostLoginPrompt), Request{User: "emilio", Personal: true}, "complete"},
		{"LOG-5: a pick", nil, post, Request{User: "emilio", UserConnection: "con_travel0", Organization: "org_granite"}, "complete for granite"},
		{"LOG-5: a pick whose connections are others", nil, post, Request{User: "emilio", UserConnection: "con_travel0", Organization: "org_adventurez"}, "credentials for adventurez google"},

		{"LOG-8: a login domain is the context", nil, allow, Request{Host: "rocky.login.example"}, "credentials +signup for rocky travel0"},
		{"LOG-8: and asks for no organization", nil, pre, Request{Host: "rocky.login.example"}, "credentials +signup for rocky travel0"},
		{"LOG-8: the same organization by id", nil, allow, Request{Host: "rocky.login.example", Organization: "org_rocky"}, "credentials +signup for rocky travel0"},
		{"LOG-8: the same organization by name", nil, allow, Request{Host: "rocky.login.example", Organization: "Rocky"}, "credentials +signup for rocky travel0"},
		{"LOG-8: another organization", nil, allow, Request{Host: "rocky.login.example", Organization: "org_granite"}, "invalid_request: parameter organization is invalid: org_granite"},
		{"LOG-8: a host that leads nowhere", nil, allow, Request{Host: "travel0.example"}, "credentials google travel0 travel0-ad"},
		{"LOG-8: a suspended organization", nil, allow, Request{Host: "suspended.login.example"}, "invalid_request: parameter organization is invalid: org_suspended"},
		{"LOG-8: an application that allows no organizations", nil, deny, Request{Host: "rocky.login.example"}, "invalid_request: parameter organization is not allowed for this client"},
		{"LOG-8: an error goes nowhere it must not", nil, allow, Request{Host: "rocky.login.example", Organization: "org_granite", RedirectURI: "https://evil.example"}, "show invalid_request: parameter organization is invalid: org_granite"},

		{"APP-1: a third party is blocked", nil, third, Request{Organization: "org_rocky"}, "invalid_request: parameter organization is invalid: org_rocky"},
		{"APP-1: a third party is allowed", nil, third, Request{Organization: "org_open"}, "credentials +signup for open travel0"},
		{"APP-1: a third party uses domain-level connections only", nil, third, Request{Organization: "org_open", Connection: "open-okta"}, notEnabled},
		{"APP-1: the tenant's own use the others too", nil, allow, Request{Organization: "org_open", Connection: "open-okta"}, "connection for open open-okta"},
		{"APP-1: not entitled", nil, allow, Request{Organization: "org_entitled"}, "invalid_request: parameter organization is invalid: org_entitled"},
		{"APP-1: entitled", nil, allow, Request{Organization: "org_listed"}, "credentials for listed mail"},

		{"URL-1: the organization's own", nil, allow, Request{Organization: "org_rocky", RedirectURI: "https://rocky.travel0.example/cb"}, "credentials +signup for rocky travel0"},
		{"URL-1: another organization's", nil, allow, Request{Organization: "org_rocky", RedirectURI: "https://granite.travel0.example/cb"}, badRedirect},
		{"URL-1: an organization's in a personal login", nil, allow, Request{User: "jonno", RedirectURI: "https://rocky.travel0.example/cb"}, badRedirect},
		{"URL-3: elsewhere", nil, allow, Request{Organization: "org_rocky", RedirectURI: "https://evil.example/cb"}, badRedirect},
		{"URL-3: an error goes nowhere", nil, allow, Request{Organization: "org_unknown", RedirectURI: "https://evil.example/cb"}, "show invalid_request: parameter organization is invalid: org_unknown"},
		{"URL-3: an error goes to the application", nil, allow, Request{Organization: "org_unknown", RedirectURI: "https://travel0.example/cb"}, "invalid_request: parameter organization is invalid: org_unknown"},
		{"URL-3: an error of an organization's login goes to its own", nil, allow, Request{Organization: "org_bare", RedirectURI: "https://bare.travel0.example/cb"}, "invalid_request: no connections enabled for the organization"},

		{"PRO-1: SAML", nil, allow, Request{Protocol: SAML}, "invalid_request: organizations are not supported with SAML towards the application"},
		{"PRO-1: WS-Federation", nil, allow, Request{Protocol: WSFederation}, "invalid_request: organizations are not supported with WS-Federation towards the application"},
		{"PRO-1: device flow", nil, allow, Request{Protocol: DeviceCode}, "unauthorized_client: organizations are not supported with the device flow"},
		{"PRO-1: resource owner password", nil, allow, Request{Protocol: Password}, "unauthorized_client: organizations are not supported with the resource owner password grant"},
		{"PRO-1: classic login", nil, allow, Request{Protocol: ClassicLogin}, "invalid_request: organizations are not supported with the classic login page"},
		{"PRO-1: something else", nil, allow, Request{Protocol: "x"}, "invalid_request: organizations are not supported with this protocol"},
		{"PRO-1: sent by an application that allows none", nil, deny, Request{Protocol: SAML, Organization: "org_rocky"}, "invalid_request: organizations are not supported with SAML towards the application"},
		{"PRO-1: an application without organizations", nil, deny, Request{Protocol: SAML}, "credentials google travel0 travel0-ad"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tt.w
			if w == nil {
				w = travel0()
			}
			if got := planned(w, tt.c, tt.req); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestAccess has every case of an application's access to an organization.
func TestAccess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		o          organization
		thirdParty bool
		closed     bool
	}{
		{"APP-1: first party", organization{}, false, false},
		{"APP-1: third party, blocked", organization{}, true, true},
		{"APP-1: third party, allowed", organization{thirdParties: true}, true, false},
		{"APP-1: third party, blocked, an association without entitlement", organization{listed: true, entitled: true}, true, true},
		{"APP-1: entitlement, first party not listed", organization{entitlement: true, thirdParties: true}, false, true},
		{"APP-1: entitlement, first party without access", organization{entitlement: true, listed: true}, false, true},
		{"APP-1: entitlement, first party with access", organization{entitlement: true, listed: true, entitled: true}, false, false},
		{"APP-1: entitlement, third party not listed, blocked", organization{entitlement: true}, true, true},
		{"APP-1: entitlement, third party not listed, allowed", organization{entitlement: true, thirdParties: true}, true, false},
		{"APP-1: entitlement, third party without access", organization{entitlement: true, thirdParties: true, listed: true}, true, true},
		{"APP-1: entitlement, third party with access, blocked", organization{entitlement: true, listed: true, entitled: true}, true, false},
		{"ORG-6: suspended", organization{suspended: true, entitlement: true, listed: true, entitled: true}, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.o.closed(&orgstore.Client{FirstParty: !tt.thirdParty}); got != tt.closed {
				t.Errorf("closed = %t, want %t", got, tt.closed)
			}
		})
	}
}
