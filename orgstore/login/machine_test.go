package login

import (
	"errors"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// grant gives the application a client grant for trips, in the organizations.
func (h *hall) grant(usage orgstore.OrganizationUsage, anywhere bool, orgs ...string) {
	h.Helper()
	g, _, err := h.engine.ClientGrants.Create(h.Context(), orgstore.ClientGrant{
		ClientID: "app", Audience: trips, Scopes: []string{"read:trips", "write:trips"}, OrganizationUsage: usage, AllowAnyOrganization: anywhere,
	})
	h.ok(err)
	for _, org := range orgs {
		h.done(h.engine.ClientGrants.AddOrganization(h.Context(), g.ID, h.ids[org]))
	}
}

// preset makes AdventureZ the application's default organization.
func (h *hall) preset() {
	h.Helper()
	h.use(orgstore.OrganizationRequire)
	h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{
		DefaultOrganization: &orgstore.DefaultOrganization{OrganizationID: h.ids["adventurez"], Flows: []string{"client_credentials"}},
	}))
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	const (
		deny, allow, require = orgstore.OrganizationDeny, orgstore.OrganizationAllow, orgstore.OrganizationRequire
		all                  = "read:trips write:trips"
		personal             = " |" + all + "|" + all
		rocky                = "ROCKY |" + all + "|" + all
		invalidly            = "invalid_request: parameter organization is invalid: "
		notAllowed           = "invalid_request: parameter organization is not allowed for this client grant"
		required             = "invalid_request: parameter organization is required for this client grant"
		unauthorized         = "access_denied: the client is not authorized to access the audience"
		wrong                = "invalid_client: the client is unknown, or its secret is wrong"
	)
	give := func(usage orgstore.OrganizationUsage, orgs ...string) func(h *hall) {
		return func(h *hall) { h.grant(usage, false, orgs...) }
	}
	anywhere := func(usage orgstore.OrganizationUsage) func(h *hall) { return func(h *hall) { h.grant(usage, true) } }
	in := func(org string) MachineRequest { return MachineRequest{Audience: trips, Organization: org} }
	for _, tt := range []struct {
		name string
		edit func(h *hall)
		ask  MachineRequest // without Client and proof
		want string
	}{
		{"M2M-1: deny, not sent", give(deny), in(""), personal},
		{"M2M-1: deny, sent", give(deny), in("rocky"), notAllowed},
		{"M2M-1: deny, sent and associated", give(deny, "rocky"), in("rocky"), notAllowed},
		{"M2M-1: deny, unknown", give(deny), in("org_0123456789abcdef"), notAllowed},
		{"M2M-1: allow, not sent", give(allow, "rocky"), in(""), personal},
		{"M2M-1: allow, associated", give(allow, "rocky"), in("rocky"), rocky},
		{"M2M-1: allow, not associated", give(allow, "granite"), in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: allow, any", anywhere(allow), in("rocky"), rocky},
		{"M2M-1: allow, any, not sent", anywhere(allow), in(""), personal},
		{"M2M-1: require, not sent", give(require, "rocky"), in(""), required},
		{"M2M-1: require, associated", give(require, "rocky"), in("rocky"), rocky},
		{"M2M-1: require, not associated", give(require, "granite"), in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: require, any", anywhere(require), in("rocky"), rocky},
		{"M2M-1: require, any, not sent", anywhere(require), in(""), required},
		{"M2M-1: require, not sent, a default", func(h *hall) { h.grant(require, false, "adventurez"); h.preset() }, in(""),
			"ADVENTUREZ |" + all + "|" + all},
		{"M2M-1: require, not sent, a default that is not associated", func(h *hall) { h.grant(require, false, "rocky"); h.preset() }, in(""),
			invalidly + "ADVENTUREZ"},
		{"M2M-1: require, sent, the default is another", func(h *hall) { h.grant(require, false, "rocky"); h.preset() }, in("rocky"), rocky},
		{"M2M-1: allow, not sent, a default", func(h *hall) { h.grant(allow, false, "adventurez"); h.preset() }, in(""), personal},
		{"M2M-1: deny, not sent, a default", func(h *hall) { h.grant(deny, false, "adventurez"); h.preset() }, in(""), personal},
		{"M2M-1: a third party's application, associated", func(h *hall) {
			h.grant(allow, false, "rocky")
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{FirstParty: new(false)}))
		}, in("rocky"), rocky},
		{"M2M-1: another API's grant is associated", func(h *hall) {
			h.grant(allow, false)
			g, _, err := h.engine.ClientGrants.Create(h.Context(), orgstore.ClientGrant{
				ClientID: "app", Audience: "https://bare.example", OrganizationUsage: allow, AllowAnyOrganization: true,
			})
			h.ok(err)
			h.done(h.engine.ClientGrants.AddOrganization(h.Context(), g.ID, h.ids["rocky"]))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: a member, not associated", func(h *hall) {
			h.grant(allow, false)
			h.done(h.engine.Members.Add(h.Context(), h.ids["rocky"], "app@clients", orgstore.MemberOptions{}))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: a member that is suspended, associated", func(h *hall) {
			h.grant(allow, false, "rocky")
			h.done(h.engine.Members.Add(h.Context(), h.ids["rocky"], "app@clients", orgstore.MemberOptions{}))
			h.done(h.engine.Members.Suspend(h.Context(), h.ids["rocky"], "app@clients"))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-3: the association has ended", func(h *hall) {
			h.grant(allow, false, "rocky")
			page, err := h.engine.ClientGrants.List(h.Context(), orgstore.ClientGrantListOptions{Client: "app"})
			h.ok(err)
			h.done(h.engine.ClientGrants.RemoveOrganization(h.Context(), page.Items[0].ID, h.ids["rocky"]))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: unknown", anywhere(allow), in("org_0123456789abcdef"), invalidly + "org_0123456789abcdef"},
		{"M2M-1: suspended", anywhere(allow), in("suspended"), invalidly + "SUSPENDED"},
		{"M2M-1: deleted", func(h *hall) {
			h.grant(allow, false, "rocky")
			h.done(h.engine.Organizations.Delete(h.Context(), h.ids["rocky"]))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: suspended from above", func(h *hall) {
			h.grant(allow, false, "rocky")
			h.done(h.engine.Organizations.SetParent(h.Context(), h.ids["rocky"], h.ids["suspended"]))
		}, in("rocky"), invalidly + "ROCKY"},
		{"M2M-1: what can be no organization", anywhere(allow), in("org_\x00"), "invalid_request: parameter organization is invalid"},
		{"M2M-1, LOG-2: a name", anywhere(allow), in("Rocky"), "invalid_request: authorization request parameter organization must be an organization id"},
		{"M2M-1, LOG-2: a name where names are allowed", func(h *hall) { h.grant(allow, true); h.allowNames() }, in("Rocky"), "ROCKY rocky|" + all + "|" + all},
		{"M2M-1, APP-1: entitlement does not count", func(h *hall) {
			h.grant(allow, true)
			h.done(h.engine.Organizations.Update(h.Context(), h.ids["rocky"], orgstore.OrganizationUpdate{AppEntitlement: new(true)}))
		}, in("rocky"), rocky},
		{"M2M-1, SEC-1: a security policy is for people", func(h *hall) {
			h.grant(allow, true)
			h.demand("rocky", orgstore.SecurityPolicy{MFA: true})
		}, in("rocky"), rocky},
		{"M2M-1: no grant", func(*hall) {}, in("rocky"), unauthorized},
		{"M2M-1: no API", anywhere(allow), MachineRequest{Audience: "https://gone.example"}, unauthorized},
		{"M2M-1: what can be no API", anywhere(allow), MachineRequest{Audience: "a\x00"}, unauthorized},
		{"M2M-1: no audience", anywhere(allow), MachineRequest{}, "invalid_request: parameter audience is required"},
		{"M2M-1: the grant type is not allowed", func(h *hall) {
			h.grant(allow, true)
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{GrantTypes: &[]string{"authorization_code"}}))
		}, in("rocky"), "unauthorized_client: the grant type client_credentials is not allowed for this client"},
		{"M2M-2: asking for less", give(allow, "rocky"), MachineRequest{Audience: trips, Organization: "rocky", Scope: "write:trips sign:up openid"},
			"ROCKY |write:trips|write:trips"},
		{"M2M-2: asking for what it may not have", give(allow, "rocky"), MachineRequest{Audience: trips, Organization: "rocky", Scope: "sign:up"}, "ROCKY ||"},
		{"M2M-2: the application is deleted", func(h *hall) { h.done(h.engine.Clients.Delete(h.Context(), "app")) }, in(""), wrong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			secret, _, err := h.engine.Clients.RotateSecret(t.Context(), "app")
			h.ok(err)
			tt.edit(h)
			tt.ask.Client, tt.ask.Organization = "app", h.id(tt.ask.Organization)
			for _, proof := range []MachineRequest{{Secret: secret}, {Authenticated: true}} {
				tt.ask.Secret, tt.ask.Authenticated = proof.Secret, proof.Authenticated
				tokens, err := h.ClientCredentials(t.Context(), tt.ask)
				if got := h.told(tokens, err); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
				if err == nil && (tokens.Access.Subject != "app@clients" || tokens.Access.Extra["gty"] != "client-credentials") {
					t.Errorf("got %+v", tokens.Access)
				}
			}
			for _, secret := range []string{"", secret + "x", "\x00"} {
				tt.ask.Secret, tt.ask.Authenticated = secret, false
				if got := h.told(h.ClientCredentials(t.Context(), tt.ask)); got != wrong {
					t.Errorf("with another secret: %s", got)
				}
			}
		})
	}
	t.Run("M2M-2: an application without a secret", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		h.grant(allow, true)
		for _, client := range []string{"app", "", "unknown", "\x00"} {
			if got := h.told(h.ClientCredentials(t.Context(), MachineRequest{Client: client, Audience: trips})); got != wrong {
				t.Errorf("%q: %s", client, got)
			}
		}
	})
}

func TestClientCredentialsQuota(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		quota  orgstore.Quota
		fails  int // the token that is refused, from 1; 0 for none
		period string
		reset  time.Duration // after the test's clock
		over   int           // the first that is over, and given
	}{
		{"M2M-4: none", orgstore.Quota{}, 0, "", 0, 0},
		{"M2M-4: by the hour", orgstore.Quota{PerHour: 2, PerDay: 9, Enforce: true}, 3, "hour", 56*time.Minute + 59*time.Second, 0},
		{"M2M-4: by the day", orgstore.Quota{PerDay: 2, Enforce: true}, 3, "day", 20*time.Hour + 56*time.Minute + 59*time.Second, 0},
		{"M2M-4: counted only", orgstore.Quota{PerHour: 2}, 0, "", 0, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			h.grant(orgstore.OrganizationAllow, true)
			h.done(h.engine.Organizations.Update(t.Context(), h.ids["rocky"],
				orgstore.OrganizationUpdate{TokenQuota: &orgstore.TokenQuota{ClientCredentials: tt.quota}}))
			ask := MachineRequest{Client: "app", Authenticated: true, Audience: trips, Organization: h.ids["rocky"]}
			for n := 1; n <= 4; n++ {
				tokens, err := h.ClientCredentials(t.Context(), ask)
				if tt.fails == 0 || n < tt.fails {
					h.ok(err)
					if use := tokens.Quota; use == nil || use.Hour != n || use.Day != n || use.Over != (tt.over > 0 && n >= tt.over) {
						t.Errorf("token %d: used %+v", n, use)
					}
					continue
				}
				refused, ok := errors.AsType[*Error](err)
				if !ok || refused.Code != TooManyRequests || refused.Description != "the organization's quota of tokens per "+tt.period+" is used up" ||
					!refused.RetryAt.Equal(h.now().Add(tt.reset)) || !errors.Is(err, orgstore.ErrLimit) {
					t.Errorf("token %d: %+v, %v", n, refused, err)
				}
			}
			for _, org := range []string{"granite", ""} { // which have quotas of their own, or none
				ask.Organization = h.id(org)
				tokens, err := h.ClientCredentials(t.Context(), ask)
				h.ok(err)
				if counted := tokens.Quota != nil; counted != (org != "") {
					t.Errorf("%q: used %+v", org, tokens.Quota)
				}
			}
			if tt.fails > 0 {
				h.wait(tt.reset)
				ask.Organization = h.ids["rocky"]
				_, err := h.ClientCredentials(t.Context(), ask)
				h.ok(err)
			}
		})
	}
	t.Run("M2M-4: the tenant's default, for each organization that has no quota", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		h.grant(orgstore.OrganizationAllow, true)
		of := func(perHour int) *orgstore.TokenQuota {
			return &orgstore.TokenQuota{ClientCredentials: orgstore.Quota{PerHour: perHour, Enforce: true}}
		}
		h.done(h.engine.Tenant.Update(t.Context(), orgstore.TenantUpdate{DefaultTokenQuota: of(1)}))
		h.done(h.engine.Organizations.Update(t.Context(), h.ids["adventurez"], orgstore.OrganizationUpdate{TokenQuota: of(2)}))
		for org, most := range map[string]int{"rocky": 1, "granite": 1, "adventurez": 2} {
			for n := 1; n <= 3; n++ {
				_, err := h.ClientCredentials(t.Context(), MachineRequest{Client: "app", Authenticated: true, Audience: trips, Organization: h.ids[org]})
				if errors.Is(err, orgstore.ErrLimit) != (n > most) || n <= most && err != nil {
					t.Errorf("%s, token %d: %v", org, n, err)
				}
			}
		}
	})
	t.Run("M2M-4: what is refused is not counted", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		h.grant(orgstore.OrganizationAllow, false, "rocky")
		h.done(h.engine.Organizations.Update(t.Context(), h.ids["granite"],
			orgstore.OrganizationUpdate{TokenQuota: &orgstore.TokenQuota{ClientCredentials: orgstore.Quota{PerHour: 1, Enforce: true}}}))
		ask := MachineRequest{Client: "app", Authenticated: true, Audience: trips, Organization: h.ids["granite"]}
		for range 3 {
			_, err := h.ClientCredentials(t.Context(), ask)
			if refused, _ := errors.AsType[*Error](err); refused == nil || refused.Code != InvalidRequest {
				t.Errorf("got %v", err)
			}
		}
	})
}
