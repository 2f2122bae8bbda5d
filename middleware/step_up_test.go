package middleware

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
)

func TestStepUp(t *testing.T) {
	t.Parallel()
	const begin = `Bearer realm="tests", error="insufficient_user_authentication"`
	mfa := &orgstore.SecurityPolicy{MFA: true, ACR: []string{"urn:phr", "urn:mfa"}}
	hour := &orgstore.SecurityPolicy{MaxSession: time.Hour}
	for name, tt := range map[string]struct {
		policy    *orgstore.SecurityPolicy
		claims    func(*claims.Claims)
		kind      string
		challenge string // empty when the token suffices
	}{
		"nothing demanded":          {policy: nil},
		"nothing that tokens say":   {policy: &orgstore.SecurityPolicy{Connections: []string{"con_0000000000000000"}, MaxIdle: time.Second, ACR: []string{"x"}}},
		"no second factor":          {policy: mfa, challenge: begin + `, acr_values="urn:phr urn:mfa"`},
		"no second factor, no acr":  {policy: &orgstore.SecurityPolicy{MFA: true}, challenge: begin},
		"empty acr":                 {policy: &orgstore.SecurityPolicy{MFA: true, ACR: []string{""}}, challenge: begin + `, acr_values=""`},
		"another acr":               {policy: mfa, claims: func(c *claims.Claims) { c.ACR = "urn:pwd" }, challenge: begin + `, acr_values="urn:phr urn:mfa"`},
		"other methods":             {policy: mfa, claims: func(c *claims.Claims) { c.AMR = []string{"pwd", "otp"} }, challenge: begin + `, acr_values="urn:phr urn:mfa"`},
		"a method":                  {policy: &orgstore.SecurityPolicy{Methods: []string{"otp"}}, claims: func(c *claims.Claims) { c.AMR = []string{"pwd", "otp"} }},
		"another method":            {policy: &orgstore.SecurityPolicy{Methods: []string{"hwk"}}, claims: func(c *claims.Claims) { c.AMR = []string{"pwd", "otp"} }, challenge: begin},
		"acr":                       {policy: mfa, claims: func(c *claims.Claims) { c.ACR = "urn:mfa" }},
		"amr":                       {policy: mfa, claims: func(c *claims.Claims) { c.AMR = []string{"pwd", "mfa"} }},
		"a machine":                 {policy: mfa, kind: "machine"},
		"unknown time":              {policy: hour, challenge: begin + `, max_age="3600"`},
		"long ago":                  {policy: hour, claims: func(c *claims.Claims) { c.AuthTime = time.Now().Add(-time.Hour - time.Minute) }, challenge: begin + `, max_age="3600"`},
		"not long ago":              {policy: hour, claims: func(c *claims.Claims) { c.AuthTime = time.Now().Add(-59 * time.Minute) }},
		"both, of which one is not": {policy: &orgstore.SecurityPolicy{MFA: true, MaxSession: time.Hour}, claims: func(c *claims.Claims) { c.AMR = []string{"mfa"} }, challenge: begin + `, max_age="3600"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := access(acme, "acme", "ada", "read:things")
			a.Org.Security = tt.policy
			if tt.kind != "" {
				a.Member.Kind = tt.kind
			}
			c := token("ada", claims.Org{ID: acme})
			if tt.claims != nil {
				tt.claims(c)
			}
			g := guard(t, func(cfg *Config) { cfg.Members = members{{acme, "ada"}: a} })
			p, err := g.Authorize(t.Context(), Request{Claims: c, Action: "read:things"})
			if tt.challenge == "" {
				if err != nil || p == nil {
					t.Fatal(err)
				}
				return
			}
			no, ok := errors.AsType[*Refusal](err)
			if !ok || no.Code != CodeStepUp || no.Status != 401 || no.Challenge != tt.challenge {
				t.Fatalf("%v, challenge %s", err, no.Challenge)
			}
			w := httptest.NewRecorder()
			WriteRefusal(w, no)
			if w.Code != 401 || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("answered %d, %v", w.Code, w.Header())
			}
		})
	}
}

// A Guard counts the permissions of its own API.
func TestAPIPermissions(t *testing.T) {
	t.Parallel()
	for api, want := range map[string][]string{
		"":        {"read:things"},
		"here":    {"a", "read:things", "write:things"},
		"nowhere": {"read:things"},
	} {
		g := guard(t, func(c *Config) {
			c.API = api
			c.Members = resolveFunc(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
				a := access(acme, "acme", q.Principal, "read:things")
				a.Member.APIPermissions = map[string][]string{"here": {"a", "read:things", "write:things"}, "there": {"b"}, "": {"c"}}
				return a, nil
			})
		})
		p, err := g.Authorize(t.Context(), Request{Token: "ada", Action: "read:things"})
		if err != nil || !slices.Equal(p.Member.Permissions, want) || p.Has("write:things") != (api == "here") {
			t.Errorf("API %q: %+v, %v", api, p, err)
		}
		if _, err := g.Authorize(t.Context(), Request{Token: "ada", Action: "write:things"}); (err == nil) != (api == "here") {
			t.Errorf("API %q: %v", api, err)
		}
	}
}
