package login

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(h *hall)
		ask  TokenRequest // without Client and Session; Organization by name
		want string
	}{
		{"TOK-1: an organization's login", nil, TokenRequest{Organization: "rocky", Audience: trips, Scope: "openid sign:up"},
			"ROCKY |openid sign:up|read:trips sign:up|id"},
		{"TOK-1: names are allowed", func(h *hall) { h.allowNames() }, TokenRequest{Organization: "rocky", Audience: trips}, "ROCKY rocky||read:trips sign:up"},
		{"TOK-1: no organization", nil, TokenRequest{Audience: trips, Scope: "openid sign:up"}, " |openid||id"},
		{"TOK-1: no API", nil, TokenRequest{Organization: "rocky", Scope: "openid sign:up"}, "no access token|id"},
		{"TOK-1: nothing asked for", nil, TokenRequest{Organization: "rocky"}, "no access token"},
		{"TOK-2: an API that the roles do not know", nil, TokenRequest{Organization: "rocky", Audience: "https://bare.example", Scope: "sign:up"}, "ROCKY ||"},
		{"TOK-2: an API that is not there", nil, TokenRequest{Organization: "rocky", Audience: "https://gone.example"},
			"invalid_target: the audience is no API"},
		{"TOK-2: what can be no API", nil, TokenRequest{Organization: "rocky", Audience: "a\x00"}, "invalid_target: the audience is no API"},
		{"TOK-2: a scope that is no text", nil, TokenRequest{Organization: "rocky", Audience: trips, Scope: "\x00 \xff sign:up"},
			"ROCKY |sign:up|read:trips sign:up"},
		{"TOK-5: the application requires an organization", func(h *hall) { h.use(orgstore.OrganizationRequire) }, TokenRequest{Audience: trips},
			"invalid_request: parameter organization is required for this client"},
		{"TOK-5: the application allows none", func(h *hall) { h.use(orgstore.OrganizationDeny) }, TokenRequest{Organization: "rocky", Audience: trips},
			"invalid_request: parameter organization is not allowed for this client"},
		{"TOK-5: the application allows none, and none is asked for", func(h *hall) { h.use(orgstore.OrganizationDeny) }, TokenRequest{Audience: trips}, " ||"},
		{"TOK-5: the membership has ended", func(h *hall) { h.done(h.engine.Members.Remove(h.Context(), h.ids["rocky"], "emilio")) },
			TokenRequest{Organization: "rocky", Audience: trips}, "access_denied: user emilio is not part of the ROCKY organization"},
		{"TOK-8: a refresh token", nil, TokenRequest{Organization: "rocky", Audience: trips, Scope: "offline_access"},
			"ROCKY |offline_access|read:trips sign:up|refresh"},
		{"TOK-8: a refresh token without an organization", nil, TokenRequest{Audience: trips, Scope: "offline_access"}, " |offline_access||refresh"},
		{"TOK-8: an application that has none", func(h *hall) {
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{GrantTypes: &[]string{"authorization_code"}}))
		}, TokenRequest{Organization: "rocky", Audience: trips, Scope: "offline_access"}, "ROCKY ||read:trips sign:up"},
		{"TOK-8: a permission of the API that is called like it", func(h *hall) {
			permissions := []orgstore.APIPermission{{Name: "offline_access"}}
			h.done(h.engine.APIs.Update(h.Context(), trips, orgstore.APIUpdate{Permissions: &permissions, RBAC: new(false)}))
			h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{GrantTypes: &[]string{"authorization_code"}}))
		}, TokenRequest{Organization: "rocky", Audience: trips, Scope: "offline_access"}, "ROCKY |offline_access|"},
		{"CTR-1, TOK-8: admitted by a contract, no refresh token", func(h *hall) {
			h.done(h.engine.Members.Remove(h.Context(), h.ids["rocky"], "emilio"))
			_, _, err := h.engine.Contracts.Create(h.Context(), orgstore.Contract{
				Host: h.ids["rocky"], Guest: h.ids["adventurez"], ContractTerms: orgstore.ContractTerms{Roles: []string{h.ids["host"]}},
			})
			h.ok(err)
		}, TokenRequest{Organization: "rocky", Audience: trips, Scope: "write:trips read:trips offline_access"}, "ROCKY |write:trips|write:trips"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			if tt.edit != nil {
				tt.edit(h)
			}
			tt.ask.Client, tt.ask.Session = "app", h.login("emilio")
			if tt.ask.Organization != "" {
				tt.ask.Organization = h.ids[tt.ask.Organization]
			}
			if got := h.told(h.Tokens(t.Context(), tt.ask)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	t.Run("TOK-1: a session or an application that is not there", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		for _, session := range []string{"", "ses_0123456789abcdef", "org_0123456789abcdef", "\x00"} {
			if got := h.told(h.Tokens(t.Context(), TokenRequest{Client: "app", Session: session})); got != "login_required: the session has ended [log in to ]" {
				t.Errorf("%q: %s", session, got)
			}
		}
		if got := h.told(h.Tokens(t.Context(), TokenRequest{Client: "\x00", Session: h.login("emilio")})); got != "unauthorized_client: unknown client" {
			t.Errorf("got %s", got)
		}
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	const (
		unknown = "invalid_grant: unknown or invalid refresh token"
		renewed = "ROCKY |openid read:trips offline_access|read:trips sign:up|id|refresh"
	)
	for _, tt := range []struct {
		name  string
		then  func(h *hall, session string) // after the login
		scope string
		want  string
		kept  bool // the refresh token can be used afterwards, once what refused it is over
	}{
		{"TOK-8: a refresh", nil, "", renewed, false},
		{"TOK-8: asking for less", nil, "read:trips", "ROCKY |read:trips|read:trips sign:up|refresh", false},
		{"TOK-5: asking for more", nil, "read:trips sign:up", "invalid_scope: the scope is more than that of the refresh token", true},
		{"TOK-5: permissions are those of now, the scope is never more", func(h *hall, _ string) {
			h.done(h.engine.Members.SetRoles(h.Context(), h.ids["rocky"], "emilio", h.ids["host"]))
		}, "", "ROCKY |openid offline_access|write:trips|id|refresh", false},
		{"TOK-8: the membership has ended", func(h *hall, _ string) {
			h.done(h.engine.Members.Remove(h.Context(), h.ids["rocky"], "emilio"))
		}, "", unknown, false},
		{"TOK-8: the organization is suspended", func(h *hall, _ string) {
			h.done(h.engine.Organizations.Suspend(h.Context(), h.ids["rocky"]))
		}, "", unknown, true},
		{"TOK-8: the organization is deleted", func(h *hall, _ string) { h.done(h.engine.Organizations.Delete(h.Context(), h.ids["rocky"])) }, "", unknown, false},
		{"TOK-8: the session has ended", func(h *hall, session string) { h.done(h.engine.Sessions.End(h.Context(), session)) }, "", unknown, false},
		{"TOK-8: the user is blocked", func(h *hall, _ string) { h.done(h.engine.Users.Block(h.Context(), "emilio")) }, "", unknown, false},
		{"TOK-8: the member has signed out", func(h *hall, _ string) {
			h.done(h.engine.Members.SignOut(h.Context(), h.ids["rocky"], "emilio"))
		}, "", unknown, false},
		{"TOK-8: the application allows no organizations any more", func(h *hall, _ string) { h.use(orgstore.OrganizationDeny) }, "",
			"invalid_grant: parameter organization is not allowed for this client", true},
		{"TOK-8, APP-1: the organization is closed to the application", func(h *hall, _ string) {
			h.done(h.engine.Organizations.Update(h.Context(), h.ids["rocky"], orgstore.OrganizationUpdate{AppEntitlement: new(true)}))
		}, "", "invalid_grant: parameter organization is invalid: ROCKY", true},
		{"TOK-8, CON-4: the connection is taken from the organization", func(h *hall, _ string) {
			h.done(h.engine.EnabledConnections.Remove(h.Context(), h.ids["rocky"], h.ids["travel0"]))
		}, "", "invalid_grant: the organization requires a login through one of its connections [log in to ROCKY]", true},
		{"TOK-8: the API is deleted", func(h *hall, _ string) { h.done(h.engine.APIs.Delete(h.Context(), trips)) }, "",
			"invalid_grant: the audience is no API", true},
		{"TOK-8, SEC-1: a second factor is demanded", func(h *hall, _ string) { h.demand("rocky", orgstore.SecurityPolicy{MFA: true}) }, "",
			"invalid_grant: the organization requires multi-factor authentication [log in to ROCKY]", true},
		{"TOK-8, SEC-1: the login is too long ago", func(h *hall, _ string) {
			h.demand("rocky", orgstore.SecurityPolicy{MaxSession: time.Hour})
			h.wait(2 * time.Hour)
		}, "", "invalid_grant: the organization requires a more recent login [log in to ROCKY]", true},
		{"TOK-8, SEC-1: idle for too long", func(h *hall, _ string) {
			h.demand("rocky", orgstore.SecurityPolicy{MaxIdle: time.Hour})
			h.wait(2 * time.Hour)
		}, "", unknown, true},
		{"TOK-8, SEC-1: older and in use", func(h *hall, session string) {
			h.demand("rocky", orgstore.SecurityPolicy{MaxIdle: time.Hour})
			h.wait(2 * time.Hour)
			_, err := h.engine.Sessions.Touch(h.Context(), session)
			h.ok(err)
		}, "", renewed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHall(t)
			session := h.login("emilio")
			first, err := h.Tokens(t.Context(), TokenRequest{
				Client: "app", Session: session, Organization: h.ids["rocky"], Audience: trips, Scope: "openid read:trips write:trips offline_access",
			})
			h.ok(err)
			if tt.then != nil {
				tt.then(h, session)
			}
			refresh := RefreshRequest{Client: "app", Token: first.Refresh, Scope: tt.scope}
			tokens, err := h.Refresh(t.Context(), refresh)
			if got := h.told(tokens, err); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			switch {
			case err == nil && (tokens.Refresh == first.Refresh || tokens.Access.ID == first.Access.ID):
				t.Error("the refresh gave the same token again")
			case err != nil && tt.kept != h.unused(first.Refresh):
				t.Errorf("the refresh token is unused: %v", !tt.kept)
			}
		})
	}
	t.Run("TOK-8: a refresh token is used once, and ends its family", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		first, err := h.Tokens(t.Context(), TokenRequest{
			Client: "app", Session: h.login("emilio"), Organization: h.ids["rocky"], Audience: trips, Scope: "offline_access",
		})
		h.ok(err)
		next, err := h.Refresh(t.Context(), RefreshRequest{Client: "app", Token: first.Refresh})
		h.ok(err)
		for _, token := range []string{first.Refresh, next.Refresh, "", "unknown", "\x00"} {
			if got := h.told(h.Refresh(t.Context(), RefreshRequest{Client: "app", Token: token})); got != unknown {
				t.Errorf("%q: %s", token, got)
			}
		}
	})
	t.Run("TOK-8: another application's refresh token", func(t *testing.T) {
		t.Parallel()
		h := newHall(t)
		_, _, err := h.engine.Clients.Create(t.Context(), orgstore.Client{ID: "other", Name: "Other", OrganizationUsage: orgstore.OrganizationAllow})
		h.ok(err)
		first, err := h.Tokens(t.Context(), TokenRequest{Client: "app", Session: h.login("emilio"), Audience: trips, Scope: "offline_access"})
		h.ok(err)
		for _, client := range []string{"other", "", "\x00"} {
			if got := h.told(h.Refresh(t.Context(), RefreshRequest{Client: client, Token: first.Refresh})); got != unknown {
				t.Errorf("%q: %s", client, got)
			}
		}
		if got := h.told(h.Refresh(t.Context(), RefreshRequest{Client: "app", Token: first.Refresh})); got != " |offline_access||refresh" {
			t.Errorf("got %s", got)
		}
	})
}

// unused reports whether a refresh token was left as it was, whatever refuses it now.
func (h *hall) unused(token string) bool {
	h.Helper()
	undo := errors.New("undo")
	if _, err := h.engine.Organizations.Resume(h.Context(), h.ids["rocky"]); errors.Is(err, orgstore.ErrNotFound) {
		return false
	}
	h.done(h.engine.Organizations.SetSecurity(h.Context(), h.ids["rocky"], nil))
	var err error
	if _, e := h.engine.Transact(h.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, _, err = e.Sessions.Refresh(ctx, "app", token)
		return undo
	}); !errors.Is(e, undo) {
		h.Fatal(e)
	}
	return err == nil
}
