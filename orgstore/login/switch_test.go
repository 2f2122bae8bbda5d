package login

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestSwitch(t *testing.T) {
	t.Parallel()
	const (
		another  = "login_required: the organization requires a login through one of its connections"
		entered  = "ADVENTUREZ |write:trips|write:trips"
		unknown  = "invalid_request: parameter organization is invalid: "
		notEmpty = "invalid_request: parameter organization is required"
	)
	strict := func(p orgstore.SecurityPolicy) func(h *hall) { return func(h *hall) { h.demand("adventurez", p) } }
	for _, tt := range []struct {
		name string
		edit func(h *hall)                 // before the login
		then func(h *hall, session string) // after it
		user string
		org  string
		want string
	}{
		{"TOK-6: a member", nil, nil, "emilio", "adventurez", entered},
		{"TOK-6: an organization is required", func(h *hall) { h.use(orgstore.OrganizationRequire) }, nil, "emilio", "adventurez", entered},
		{"TOK-6: no member", nil, nil, "jonno", "adventurez", "access_denied: user jonno is not part of the ADVENTUREZ organization"},
		{"TOK-6: a member who was removed", nil, func(h *hall, _ string) {
			h.done(h.engine.Members.Remove(h.Context(), h.ids["adventurez"], "emilio"))
		}, "emilio", "adventurez", "access_denied: user emilio is not part of the ADVENTUREZ organization"},
		{"TOK-6: a membership that is suspended", nil, func(h *hall, _ string) {
			h.done(h.engine.Members.Suspend(h.Context(), h.ids["adventurez"], "emilio"))
		}, "emilio", "adventurez", "access_denied: user emilio is not part of the ADVENTUREZ organization"},
		{"TOK-6: the application allows no organizations", func(h *hall) { h.use(orgstore.OrganizationDeny) }, nil, "emilio", "adventurez",
			"invalid_request: parameter organization is not allowed for this client"},
		{"TOK-6: no organization", nil, nil, "emilio", "", notEmpty},
		{"TOK-6: the connection is not enabled", nil, nil, "emilio", "granite", another + " [log in to GRANITE]"},
		{"TOK-6: the connection is disabled meanwhile", nil, func(h *hall, _ string) {
			h.done(h.engine.EnabledConnections.Update(h.Context(), h.ids["adventurez"], h.ids["travel0"],
				orgstore.EnabledConnectionSettings{Enabled: new(false)}))
		}, "emilio", "adventurez", another + " [log in to ADVENTUREZ]"},
		{"TOK-6: the session has ended", nil, func(h *hall, session string) { h.done(h.engine.Sessions.End(h.Context(), session)) },
			"emilio", "adventurez", "login_required: the session has ended [log in to ADVENTUREZ]"},
		{"TOK-6: the session is too old", nil, func(h *hall, session string) { h.wait(8 * 24 * time.Hour) },
			"emilio", "adventurez", "login_required: the session has ended [log in to ADVENTUREZ]"},
		{"TOK-6: the user is blocked", nil, func(h *hall, _ string) { h.done(h.engine.Users.Block(h.Context(), "emilio")) },
			"emilio", "adventurez", "login_required: the session has ended [log in to ADVENTUREZ]"},
		{"TOK-6, TOK-7: the member has signed out there", nil, func(h *hall, _ string) {
			h.done(h.engine.Members.SignOut(h.Context(), h.ids["adventurez"], "emilio"))
		}, "emilio", "adventurez", "login_required: the session was signed out of the organization [log in to ADVENTUREZ]"},
		{"TOK-6, TOK-7: everybody has signed out there", nil, func(h *hall, _ string) {
			h.done(h.engine.Organizations.SignOut(h.Context(), h.ids["adventurez"]))
		}, "emilio", "adventurez", "login_required: the session was signed out of the organization [log in to ADVENTUREZ]"},
		{"TOK-6, TOK-7: the member had signed out there before", func(h *hall) {
			h.done(h.engine.Members.SignOut(h.Context(), h.ids["adventurez"], "emilio"))
			h.wait(time.Second)
		}, nil, "emilio", "adventurez", entered},
		{"TOK-6, SEC-1: the policy names the connection", func(h *hall) {
			h.demand("adventurez", orgstore.SecurityPolicy{Connections: []string{h.ids["travel0"]}})
		}, nil, "emilio", "adventurez", entered},
		{"TOK-6, SEC-1: the policy names another connection", func(h *hall) {
			h.demand("adventurez", orgstore.SecurityPolicy{Connections: []string{h.ids["granite-okta"]}})
		}, nil, "emilio", "adventurez", another + " [log in to ADVENTUREZ]"},
		{"TOK-6, SEC-1: no second factor", strict(orgstore.SecurityPolicy{MFA: true}), nil, "emilio", "adventurez",
			"unmet_authentication_requirements: the organization requires multi-factor authentication [log in to ADVENTUREZ]"},
		{"TOK-6, SEC-1: an acr that counts as one", strict(orgstore.SecurityPolicy{MFA: true, ACR: []string{"gold", "silver"}}), nil, "emilio",
			"adventurez", entered},
		{"TOK-6, SEC-1: the oldest login", strict(orgstore.SecurityPolicy{MaxSession: time.Hour}),
			func(h *hall, _ string) { h.wait(time.Hour - time.Second) }, "emilio", "adventurez", entered},
		{"TOK-6, SEC-1: an older login", strict(orgstore.SecurityPolicy{MaxSession: time.Hour}), func(h *hall, _ string) { h.wait(time.Hour) },
			"emilio", "adventurez", "login_required: the organization requires a more recent login [log in to ADVENTUREZ]"},
		{"TOK-6, SEC-1: the longest idle", strict(orgstore.SecurityPolicy{MaxIdle: time.Hour}),
			func(h *hall, _ string) { h.wait(time.Hour - time.Second) }, "emilio", "adventurez", entered},
		{"TOK-6, SEC-1: idle for longer", strict(orgstore.SecurityPolicy{MaxIdle: time.Hour}), func(h *hall, _ string) { h.wait(time.Hour) },
			"emilio", "adventurez", "login_required: the session was idle for longer than the organization allows [log in to ADVENTUREZ]"},
		{"TOK-6, SEC-1: older and in use", strict(orgstore.SecurityPolicy{MaxIdle: time.Hour}), func(h *hall, session string) {
			h.wait(time.Hour)
			_, err := h.engine.Sessions.Touch(h.Context(), session)
			h.ok(err)
		}, "emilio", "adventurez", entered},
		{"TOK-6, LOG-1: unknown", nil, nil, "emilio", "org_0123456789abcdef", unknown + "org_0123456789abcdef"},
		{"TOK-6, LOG-1: suspended", nil, nil, "emilio", "suspended", unknown + "SUSPENDED"},
		{"TOK-6, LOG-1: deleted", nil, func(h *hall, _ string) {
			h.done(h.engine.Organizations.Delete(h.Context(), h.ids["adventurez"]))
		}, "emilio", "adventurez", unknown + "ADVENTUREZ"},
		{"TOK-6, LOG-1: suspended from above", nil, func(h *hall, _ string) {
			h.done(h.engine.Organizations.SetParent(h.Context(), h.ids["adventurez"], h.ids["suspended"]))
		}, "emilio", "adventurez", unknown + "ADVENTUREZ"},
		{"TOK-6, LOG-1: what can be no organization", nil, nil, "emilio", "org_\"\x00", "invalid_request: parameter organization is invalid"},
		{"TOK-6, LOG-2: a name", nil, nil, "emilio", "AdventureZ",
			"invalid_request: authorization request parameter organization must be an organization id"},
		{"TOK-6, LOG-2: a name where names are allowed", func(h *hall) { h.allowNames() }, nil, "emilio", "AdventureZ",
			"ADVENTUREZ adventurez|write:trips|write:trips"},
		{"TOK-6, LOG-2: an unknown name where names are allowed", func(h *hall) { h.allowNames() }, nil, "emilio", "nobodys", unknown + "nobodys"},
		{"TOK-6, APP-1: entitlement without an association", func(h *hall) {
			h.done(h.engine.Organizations.Update(h.Context(), h.ids["adventurez"], orgstore.OrganizationUpdate{AppEntitlement: new(true)}))
		}, nil, "emilio", "adventurez", unknown + "ADVENTUREZ"},
		{"TOK-6, APP-1: entitlement with an association", func(h *hall) {
			h.done(h.engine.Organizations.Update(h.Context(), h.ids["adventurez"], orgstore.OrganizationUpdate{AppEntitlement: new(true)}))
			h.done(h.engine.OrganizationClients.Add(h.Context(), h.ids["adventurez"],
				orgstore.NewOrganizationClient{ClientID: "app", UseForMemberAccess: true}))
		}, nil, "emilio", "adventurez", entered},
		{"TOK-6, APP-1: a third party's application", func(h *hall) {
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{FirstParty: new(false)}))
		}, nil, "emilio", "adventurez", unknown + "ADVENTUREZ"},
		{"TOK-6, APP-1: a third party's application that is allowed", func(h *hall) {
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{FirstParty: new(false)}))
			h.done(h.engine.Organizations.Update(h.Context(), h.ids["adventurez"],
				orgstore.OrganizationUpdate{ThirdPartyClientAccess: new(orgstore.ClientAccessAllow)}))
		}, nil, "emilio", "adventurez", entered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			if tt.edit != nil {
				tt.edit(h)
			}
			session := h.login(tt.user)
			if tt.then != nil {
				tt.then(h, session)
			}
			tokens, err := h.Switch(t.Context(), SwitchRequest{
				Client: "app", Session: session, Organization: h.id(tt.org), Audience: trips, Scope: "read:trips write:trips",
			})
			if got := h.told(tokens, err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			found, getErr := h.engine.Sessions.Get(t.Context(), session)
			if in := getErr == nil && len(found.Organizations) == 1; in != (err == nil) {
				t.Errorf("the session is %+v", found)
			}
		})
	}
}

func TestSwitchBetweenOrganizations(t *testing.T) {
	t.Parallel()
	t.Run("TOK-6: each organization's own permissions, in one session", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		session := h.login("emilio")
		ask := SwitchRequest{Client: "app", Session: session, Audience: trips, Scope: "openid read:trips write:trips offline_access"}
		for range 2 {
			for org, want := range map[string]string{
				"rocky":      "ROCKY |openid read:trips offline_access|read:trips sign:up|id|refresh",
				"adventurez": "ADVENTUREZ |openid write:trips offline_access|write:trips|id|refresh",
			} {
				ask.Organization = h.ids[org]
				tokens, err := h.Switch(t.Context(), ask)
				if got := h.told(tokens, err); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		}
		if s, err := h.engine.Sessions.Get(t.Context(), session); err != nil || len(s.Organizations) != 2 {
			t.Errorf("the session is %+v (%v)", s, err)
		}
	})
	t.Run("SEC-1: from a network that the organization does not admit", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		session, office := h.login("emilio"), netip.MustParseAddr("10.1.2.3")
		h.demand("adventurez", orgstore.SecurityPolicy{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
		ask := SwitchRequest{Client: "app", Session: session, Organization: h.ids["adventurez"], Audience: trips, Scope: "offline_access"}
		const refused = ": the organization does not admit logins from this network"
		for address, want := range map[netip.Addr]string{
			office: "ADVENTUREZ |offline_access|write:trips|refresh", netip.MustParseAddr("11.1.2.3"): AccessDenied + refused, {}: AccessDenied + refused,
		} {
			ask.Address = address
			tokens, err := h.Switch(t.Context(), ask)
			if got := h.told(tokens, err); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
		ask.Address = office
		tokens, err := h.Switch(t.Context(), ask)
		h.ok(err)
		use := RefreshRequest{Client: "app", Token: tokens.Refresh}
		if got := h.told(h.Refresh(t.Context(), use)); got != InvalidGrant+refused {
			t.Errorf("refreshed from elsewhere: %s", got)
		}
		use.Address = office
		_, err = h.Refresh(t.Context(), use)
		h.ok(err)
	})
	t.Run("SEC-1: how to log in instead", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		h.demand("adventurez", orgstore.SecurityPolicy{
			Connections: []string{h.ids["travel0"]}, MFA: true, ACR: []string{"gold"}, MaxSession: time.Hour,
		})
		_, err := h.Switch(t.Context(), SwitchRequest{Client: "app", Session: h.login("emilio"), Organization: h.ids["adventurez"]})
		refused, ok := errors.AsType[*Error](err)
		if !ok || refused.Again == nil || !errors.Is(err, orgstore.ErrDenied) {
			t.Fatalf("got %v", err)
		}
		again := *refused.Again
		if again.Organization != h.ids["adventurez"] || len(again.Connections) != 1 || !again.MFA || again.ACR[0] != "gold" || again.MaxAge != time.Hour {
			t.Errorf("got %+v", again)
		}
	})
	t.Run("TOK-6, LOG-1: suspended or deleted just now", func(t *testing.T) {
		t.Parallel()
		for _, end := range []func(*orgstore.Organizations, context.Context, string) (orgstore.Result, error){
			(*orgstore.Organizations).Suspend, (*orgstore.Organizations).Delete,
		} {
			h := newHall(t)
			session, read, org := h.login("emilio"), h.facts, h.ids["adventurez"]
			h.facts = func(ctx context.Context, e *orgstore.Engine, client string) (store, *orgstore.Client, error) {
				s, c, err := read(ctx, e, client)
				return ending{s, func() { h.done(end(h.engine.Organizations, ctx, org)) }}, c, err
			}
			got := h.told(h.Switch(t.Context(), SwitchRequest{Client: "app", Session: session, Organization: org}))
			if got != "invalid_request: parameter organization is invalid: ADVENTUREZ" {
				t.Errorf("got %s", got)
			}
		}
	})
	t.Run("TOK-5: the context is done", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		session := h.login("emilio")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := h.Switch(ctx, SwitchRequest{Client: "app", Session: session, Organization: h.ids["adventurez"]})
		if _, refused := errors.AsType[*Error](err); refused || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// ending is a store that ends an organization as soon as it has answered.
type ending struct {
	store
	end func()
}

func (e ending) organization(ctx context.Context, ref string) (organization, error) {
	o, err := e.store.organization(ctx, ref)
	e.end()
	return o, err
}
