package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

const adventuresOfGranite = "/orgs/granite-outpost/adventures"

// forger writes tokens by hand, with whatever is wanted in them.
type forger struct{ key *ecdsa.PrivateKey }

func newForger(t testing.TB) forger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return forger{key}
}

// token signs (ES256) a token that is in order but for the claims that change: nil removes one.
func (f forger) token(t testing.TB, kid string, change map[string]any) string {
	t.Helper()
	now := time.Now().Unix()
	payload := map[string]any{"iss": issuer, "aud": audience, "sub": "hiroko", "org_id": graniteID, "iat": now, "exp": now + 60}
	for name, value := range change {
		payload[name] = value
		if value == nil {
			delete(payload, name)
		}
	}
	signed := segment(t, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}) + "." + segment(t, payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// segment encodes v as a segment of a token.
func segment(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// startForged starts an instance whose tokens the returned functions can write: forge with its own key and key id.
func startForged(t testing.TB) (*instance, func(t testing.TB, change map[string]any) string, string) {
	t.Helper()
	f := newForger(t)
	i := start(t, options{key: writeKey(t, f.key)})
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(i.send(call{method: "GET", path: "/.well-known/jwks.json"}).body), &set); err != nil {
		t.Fatal(err)
	}
	kid := set.Keys[0].Kid
	return i, func(t testing.TB, change map[string]any) string { return f.token(t, kid, change) }, kid
}

// TestTokensRefused: every token that is not one of this issuer, for this API, now, is a 401 with error="invalid_token".
func TestTokensRefused(t *testing.T) {
	t.Parallel()
	i, forge, kid := startForged(t)
	now := time.Now().Unix()
	fine := forge(t, nil)
	parts := strings.Split(fine, ".")
	with := func(name string, value any) string { return forge(t, map[string]any{name: value}) }

	tokens := map[string]string{
		"no token at all":       "x",
		"two segments":          parts[0] + "." + parts[1],
		"four segments":         fine + ".x",
		"padding":               fine + "=",
		"signature cut":         fine[:len(fine)-4],
		"signature of nothing":  parts[0] + "." + parts[1] + ".",
		"payload exchanged":     parts[0] + "." + segment(t, map[string]any{"iss": issuer, "aud": audience, "sub": "granite-admin", "org_id": graniteID, "exp": now + 60}) + "." + parts[2],
		"alg none":              segment(t, map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + parts[1] + ".",
		"alg none, signed":      segment(t, map[string]any{"alg": "none", "typ": "at+jwt"}) + "." + parts[1] + "." + parts[2],
		"HMAC":                  segment(t, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": kid}) + "." + parts[1] + "." + parts[2],
		"another audience":      with("aud", "https://other.example"),
		"no audience":           with("aud", nil),
		"no subject":            with("sub", nil),
		"an empty subject":      with("sub", ""),
		"no expiry":             with("exp", nil),
		"expired":               with("exp", now-60),
		"issued in the future":  forge(t, map[string]any{"iat": now + 3600, "exp": now + 3660}),
		"not valid yet":         forge(t, map[string]any{"nbf": now + 3600, "exp": now + 3660}),
		"over a day":            with("exp", now+24*3600+60),
		"another key":           newForger(t).token(t, "another", nil),
		"the key's id, forged":  newForger(t).token(t, kid, nil),
		"another issuer":        with("iss", "https://evil.example/"),
		"9 KiB":                 with("x", strings.Repeat("x", 9<<10)),
		"an expired demo token": i.mint(`{"user":"hiroko","org":"granite-outpost","expires_in":-31}`),
	}
	if got := i.send(call{method: "GET", path: adventuresOfGranite, token: fine}); got.status != 200 {
		t.Fatalf("the token that the others are made of = %d %s", got.status, got.body)
	}
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := (&instance{t: t, url: i.url}).send(call{method: "GET", path: adventuresOfGranite, token: token})
			if got.status != 401 {
				t.Fatalf("status %d %s, want 401", got.status, got.body)
			}
			wantProblem(t, got, "invalid_token")
			challenge := got.header.Get("WWW-Authenticate")
			if !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
	unknownKey := i.send(call{method: "GET", path: adventuresOfGranite, token: tokens["another key"]})
	badSignature := i.send(call{method: "GET", path: adventuresOfGranite, token: parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))})
	if unknownKey.body != badSignature.body {
		t.Errorf("an unknown key gets %s, a bad signature %s", unknownKey.body, badSignature.body)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	token := i.token("hiroko", "granite-outpost")

	got := i.send(call{method: "GET", path: adventuresOfGranite})
	if got.status != 401 {
		t.Fatalf("without a token = %d %s", got.status, got.body)
	}
	wantProblem(t, got, "no_credentials")
	if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="travel0"` {
		t.Errorf("challenge without a token: %q", challenge)
	}
	for name, values := range map[string][]string{
		"two headers":     {"Bearer " + token, "Bearer " + token},
		"another scheme":  {"Basic aGk6aG8="},
		"only a scheme":   {"Bearer"},
		"an empty token":  {"Bearer "},
		"two spaces":      {"Bearer  " + token},
		"two tokens":      {"Bearer " + token + " " + token},
		"no scheme":       {token},
		"a comma":         {"Bearer " + token + ", Bearer " + token},
		"an empty header": {""},
	} {
		got := i.send(call{method: "GET", path: adventuresOfGranite, header: http.Header{"Authorization": values}})
		if got.status != 400 && got.status != 401 {
			t.Errorf("%s = %d, want 400 or 401", name, got.status)
		}
		if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s: Content-Type %q", name, ct)
		}
	}
	if got := i.send(call{method: "GET", path: adventuresOfGranite, header: http.Header{"Authorization": {"bearer " + token}}}); got.status != 200 {
		t.Errorf("the scheme in lower case = %d, want 200 (RFC 9110: case-insensitive)", got.status)
	}
	if got := i.send(call{method: "GET", path: adventuresOfGranite + "?access_token=" + token}); got.status != 401 {
		t.Errorf("a token in the query = %d, want 401", got.status)
	}
}

// TestOutsidersGetOneAnswer: whoever is no member here cannot tell why, nor what exists.
func TestOutsidersGetOneAnswer(t *testing.T) {
	t.Parallel()
	i, forge, _ := startForged(t)
	hiroko := i.token("hiroko", "granite-outpost")
	calls := map[string]call{
		"another organization's path":          {path: "/orgs/adventurez/adventures", token: hiroko},
		"another organization's id":            {path: "/orgs/" + adventurezID + "/adventures", token: hiroko},
		"an unknown organization":              {path: "/orgs/nowhere/adventures", token: hiroko},
		"an unknown organization's id":         {path: "/orgs/org_0000000000000000/adventures", token: hiroko},
		"no member":                            {path: adventuresOfGranite, token: i.token("sumana", "granite-outpost")},
		"a token without an organization":      {path: adventuresOfGranite, token: forge(t, map[string]any{"org_id": nil})},
		"a token with a malformed one":         {path: adventuresOfGranite, token: forge(t, map[string]any{"org_id": "org_../x"})},
		"a token with an unknown one":          {path: "/orgs/org_0000000000000000/adventures", token: forge(t, map[string]any{"org_id": "org_0000000000000000"})},
		"a name in upper case":                 {path: "/orgs/Granite-Outpost/adventures", token: hiroko},
		"an encoded slash":                     {path: "/orgs/granite-outpost%2fx/adventures", token: hiroko},
		"an encoded dot segment":               {path: "/orgs/%2e%2e/adventures", token: hiroko},
		"a NUL":                                {path: "/orgs/granite-outpost%00/adventures", token: hiroko},
		"a parameter":                          {path: "/orgs/granite-outpost;x/adventures", token: hiroko},
		"a trailing dot":                       {path: "/orgs/granite-outpost./adventures", token: hiroko},
		"a space":                              {path: "/orgs/granite-outpost%20/adventures", token: hiroko},
		"a name of 10 kB":                      {path: "/orgs/" + strings.Repeat("a", 10_000) + "/adventures", token: hiroko},
		"another route":                        {path: "/orgs/adventurez/members", token: hiroko},
		"a write":                              {method: "POST", path: "/orgs/adventurez/adventures", token: hiroko, body: `{"name":"x"}`},
		"a write that is no JSON":              {method: "POST", path: "/orgs/adventurez/adventures", token: hiroko, body: `{`},
		"an adventure that is there":           {method: "POST", path: "/orgs/adventurez/adventures/canyon-zip-line/signups", token: hiroko},
		"an adventure that is not there":       {method: "POST", path: "/orgs/adventurez/adventures/nowhere/signups", token: hiroko},
		"a removal in another's organization ": {method: "DELETE", path: "/orgs/adventurez/members/sumana", token: hiroko},
	}
	var first answer
	var firstName string
	for name, c := range calls {
		if c.method == "" {
			c.method = "GET"
		}
		got := i.send(c)
		if got.status != 403 {
			t.Errorf("%s = %d %s, want 403", name, got.status, got.body)
			continue
		}
		wantProblem(t, got, "no_organization_access")
		if firstName == "" {
			first, firstName = got, name
		}
		if got.body != first.body {
			t.Errorf("the bodies differ:\n%s: %s\n%s: %s", name, got.body, firstName, first.body)
		}
		got.header.Del("Date")
		first.header.Del("Date")
		if len(got.header) != len(first.header) {
			t.Errorf("the headers differ:\n%s: %v\n%s: %v", name, got.header, firstName, first.header)
		}
	}
}

// TestIDDecides: the organization's id in the token decides, whatever name stands beside it.
func TestIDDecides(t *testing.T) {
	t.Parallel()
	i, forge, _ := startForged(t)
	stale := forge(t, map[string]any{"org_name": "former-name"})
	if got := i.send(call{method: "GET", path: adventuresOfGranite, token: stale}); got.status != 200 {
		t.Errorf("a stale org_name = %d %s, want 200", got.status, got.body)
	}
	other := forge(t, map[string]any{"org_name": "adventurez"})
	if got := i.send(call{method: "GET", path: "/orgs/adventurez/adventures", token: other}); got.status != 403 {
		t.Errorf("another organization's org_name = %d %s, want 403", got.status, got.body)
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	token := i.token("hiroko", "granite-outpost")
	head := i.send(call{method: "HEAD", path: adventuresOfGranite, token: token})
	if head.status != 200 || head.body != "" {
		t.Errorf("HEAD = %d %q, want 200 and no body", head.status, head.body)
	}
	if got := i.send(call{method: "HEAD", path: "/orgs/granite-outpost/members", token: token}); got.status != 403 {
		t.Errorf("HEAD of what GET refuses = %d, want 403", got.status)
	}
	for _, c := range []call{
		{method: "PUT", path: adventuresOfGranite}, {method: "DELETE", path: adventuresOfGranite}, {method: "PATCH", path: "/orgs/granite-outpost/members"},
		{method: "GET", path: "/dev/tokens"}, {method: "POST", path: "/healthz"}, {method: "POST", path: "/.well-known/jwks.json"},
		{method: "get", path: adventuresOfGranite}, {method: "GET", path: "/orgs/granite-outpost/members/hiroko"},
		{method: "GET", path: "/dev/login"}, {method: "GET", path: "/me/switch"}, {method: "POST", path: "/me/organizations"},
		{method: "GET", path: "/invitations/accept"}, {method: "PUT", path: "/orgs/granite-outpost/invitations"},
		{method: "POST", path: "/orgs/granite-outpost/contracts"}, {method: "DELETE", path: "/orgs/granite-outpost/guides/hiroko/ratings"},
	} {
		c.token = token
		got := i.send(c)
		if got.status != 405 || got.header.Get("Allow") == "" {
			t.Errorf("%s %s = %d %s, Allow %q; want 405", c.method, c.path, got.status, got.body, got.header.Get("Allow"))
			continue
		}
		wantProblem(t, got, "method_not_allowed")
	}
	got := i.send(call{method: "GET", path: "/nowhere"})
	if got.status != 404 {
		t.Fatalf("GET /nowhere = %d", got.status)
	}
	wantProblem(t, got, "not_found")
}
