package claims_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

// newVerifier returns a Verifier for cfg that lives as long as the test.
func newVerifier(t testing.TB, cfg claims.Config) *claims.Verifier {
	t.Helper()
	v, err := claims.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	return v
}

func trusting(issuers ...claims.Issuer) claims.Config { return claims.Config{Issuers: issuers} }

// wantCode fails the test, but does not end it, unless err is a refusal with code.
func wantCode(t testing.TB, err error, code claims.Code) {
	t.Helper()
	got, ok := errors.AsType[*claims.Error](err)
	if !ok || got.Code != code {
		t.Errorf("error = %v, want code %s", err, code)
		return
	}
	category, other := claims.ErrInvalid, claims.ErrUnavailable
	if code == claims.CodeKeysUnavailable {
		category, other = other, category
	}
	if !errors.Is(err, category) || errors.Is(err, other) {
		t.Errorf("error %v is not of the category %q alone", err, category)
	}
}

func TestVerifyRefusesHostileTokens(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))

	hostile := issuer.Hostile()
	if len(hostile) < 100 {
		t.Fatalf("only %d hostile tokens", len(hostile))
	}
	// The twin: were the token that they are made from refused itself, they would prove nothing.
	header, payload := issuer.Baseline()
	for _, h := range []string{header, strings.Replace(header, "at+jwt", "JWT", 1)} {
		if _, err := v.Verify(t.Context(), issuer.Forge(h, payload)); err != nil {
			t.Fatalf("the baseline is refused: %v", err)
		}
	}
	for _, tt := range hostile {
		t.Run(tt.Name, func(t *testing.T) {
			for range 2 { // a refusal is not remembered as something else
				c, err := v.Verify(t.Context(), tt.Token)
				if c != nil {
					t.Fatalf("accepted: %+v", c)
				}
				wantCode(t, err, tt.Code)
				for segment := range strings.SplitSeq(tt.Token, ".") {
					said := fmt.Sprintf("%v %+v %v", err, *err.(*claims.Error), err.(*claims.Error).LogValue())
					if len(segment) > 8 && strings.Contains(said, segment) {
						t.Errorf("the error holds a part of the token: %s", said)
					}
				}
			}
		})
	}
}

// A token without an organization is a good token, however the issuer writes that; and a name that is odd does not matter where
// an id decides. The twins are among the hostile tokens.
func TestVerifyReadsOrg(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))
	header, payload := issuer.Baseline()
	acme := claims.Org{ID: "org_acme"}
	for org, want := range map[string]claims.Org{
		`"x":1`:                                {},
		`"org_id":""`:                          {},
		`"org_id":null`:                        {},
		`"org_id":null,"org_name":null`:        {},
		`"org_id":"","org_name":""`:            {},
		`"org_name":""`:                        {},
		`"org_name":null`:                      {},
		`"org_name":"acme"`:                    {Name: "acme"},
		`"org_id":null,"org_name":"acme"`:      {Name: "acme"},
		`"org_id":"org_acme","org_name":""`:    acme,
		`"org_id":"org_acme","org_name":null`:  acme,
		`"org_id":"org_acme","org_name":7`:     acme,
		`"org_name":{},"org_id":"org_acme"`:    acme,
		`"org_name":["a"],"org_id":"org_acme"`: acme,
	} {
		c, err := v.Verify(t.Context(), issuer.Forge(header, strings.Replace(payload, `"org_id":"org_acme"`, org, 1)))
		if err != nil || c.Org != want {
			t.Errorf("%s: %+v, %v; want %+v", org, c, err, want)
		}
	}
}

func TestVerifyReadsClaims(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))
	now := time.Now().Truncate(time.Second).UTC()
	c, err := v.Verify(t.Context(), issuer.Token(claims.Token{
		Subject: "auth0|ann", Audience: []string{"https://other.example", claimstest.Audience},
		Org:      claims.Org{ID: "org_acme", Name: "acme"},
		ClientID: "web", Scopes: []string{"a", "b"}, Permissions: []string{"read:x"}, Roles: []string{"admin"},
		ID: "id1", IssuedAt: now, Expiry: now.Add(time.Hour),
		Extra: map[string]any{
			"sid": "s1", "acr": "high", "amr": []string{"pwd", "otp"}, "auth_time": now.Unix() - 5, "nbf": float64(now.Unix()) - 1.5,
			"act":                       map[string]any{"sub": "auth0|eve", "act": map[string]any{"client_id": "cron"}},
			"https://acme.example/plan": "gold \"x\"",
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]bool{
		"Issuer":      c.Issuer == claimstest.URL,
		"Subject":     c.Subject == "auth0|ann",
		"ID":          c.ID == "id1",
		"Audience":    strings.Join(c.Audience, " ") == "https://other.example "+claimstest.Audience,
		"Expiry":      c.Expiry.Equal(now.Add(time.Hour)),
		"IssuedAt":    c.IssuedAt.Equal(now),
		"NotBefore":   c.NotBefore.Equal(now.Add(-1500 * time.Millisecond)),
		"ClientID":    c.ClientID == "web",
		"Org":         c.Org == claims.Org{ID: "org_acme", Name: "acme"},
		"Scopes":      strings.Join(c.Scopes, "|") == "a|b",
		"Roles":       strings.Join(c.Roles, "|") == "admin",
		"Permissions": strings.Join(c.Permissions, "|") == "read:x",
		"SessionID":   c.SessionID == "s1",
		"ACR":         c.ACR == "high",
		"AMR":         strings.Join(c.AMR, "|") == "pwd|otp",
		"AuthTime":    c.AuthTime.Equal(now.Add(-5 * time.Second)),
		"Actor":       c.Actor != nil && c.Actor.Subject == "auth0|eve" && c.Actor.Actor != nil && c.Actor.Actor.ClientID == "cron" && c.Actor.Actor.Actor == nil,
	}
	for field, ok := range checks {
		if !ok {
			t.Errorf("%s is wrong in %+v", field, c)
		}
	}
	raw, ok := c.Claim("https://acme.example/plan")
	if string(raw) != `"gold \"x\""` || !ok {
		t.Errorf("Claim = %s, %v", raw, ok)
	}
	raw[1] = 'X'
	if again, _ := c.Claim("https://acme.example/plan"); again[1] != 'g' {
		t.Error("a change of what Claim returned reached the Claims")
	}
	if raw, ok := c.Claim("none"); raw != nil || ok {
		t.Errorf("Claim of a missing claim = %s, %v", raw, ok)
	}
}
