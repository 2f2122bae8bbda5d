package claims_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

func TestNewVerifierRefusesBadConfig(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	good := issuer.Trusted()
	with := func(edit func(*claims.Issuer)) claims.Config {
		i := good
		edit(&i)
		return trusting(i)
	}
	url := func(u string) claims.Config {
		return with(func(i *claims.Issuer) { i.Keys, i.JWKSURL = nil, u })
	}
	for name, tt := range map[string]struct {
		cfg  claims.Config
		want string
	}{
		"no issuer":               {claims.Config{}, "Issuers is empty"},
		"issuer twice":            {trusting(good, good), "is there twice"},
		"no URL":                  {with(func(i *claims.Issuer) { i.URL = "" }), "URL is empty"},
		"Auth0 of nothing":        {trusting(claims.Auth0("", "")), "URL is empty"},
		"Auth0 without a scheme":  {trusting(claims.Auth0("acme.eu.auth0.com", "a")), `URL "acme.eu.auth0.com/": not an absolute URL`},
		"Auth0 over http":         {trusting(claims.Auth0("http://acme.eu.auth0.com", "a")), `URL "http://acme.eu.auth0.com/": keys`},
		"Auth0 with a port alone": {trusting(claims.Auth0("127.0.0.1:8080", "a")), "URL is no URL"},
		"query":                   {url("http://issuer.example/keys?token=secret"), `JWKSURL "http://issuer.example/keys?…": keys`},
		"no audience":             {with(func(i *claims.Issuer) { i.Audience = nil }), "Audience is empty"},
		"empty audience":          {with(func(i *claims.Issuer) { i.Audience = []string{""} }), "Audience is empty"},
		"no keys":                 {with(func(i *claims.Issuer) { i.Keys = nil }), "neither Keys nor JWKSURL"},
		"keys twice":              {with(func(i *claims.Issuer) { i.JWKSURL = "https://a/b" }), "both Keys and JWKSURL"},
		"zero KeySet":             {with(func(i *claims.Issuer) { i.Keys = new(claims.KeySet) }), "empty KeySet"},
		"HS256":                   {with(func(i *claims.Issuer) { i.Algorithms = []string{"HS256"} }), `"HS256" is not supported`},
		"none":                    {with(func(i *claims.Issuer) { i.Algorithms = []string{"none"} }), `"none" is not supported`},
		"empty typ":               {with(func(i *claims.Issuer) { i.Dialect.Types = []string{""} }), "empty typ"},
		"roles in sub":            {with(func(i *claims.Issuer) { i.Dialect.Roles = "sub" }), "meaning of its own"},
		"http":                    {url("http://issuer.example/jwks.json"), "https only"},
		"http to a private net":   {url("http://10.0.0.1/jwks.json"), "https only"},
		"http to a look-alike":    {url("http://localhost.evil.example/"), "https only"},
		"file":                    {url("file:///etc/passwd"), "absolute URL"},
		"relative":                {url("/jwks.json"), "absolute URL"},
		"not a URL":               {url("https://[::1"), "JWKSURL is no URL"},
		"password":                {url("https://u:secret@issuer.example/"), "user name or password"},
		"negative size":           {claims.Config{Issuers: trusting(good).Issuers, MaxTokenBytes: -1}, "MaxTokenBytes"},
		"large leeway":            {claims.Config{Issuers: trusting(good).Issuers, Leeway: time.Hour}, "Leeway"},
		"negative lifetime":       {claims.Config{Issuers: trusting(good).Issuers, MaxLifetime: -1}, "MaxLifetime"},
		"tiny refresh":            {claims.Config{Issuers: trusting(good).Issuers, RefreshInterval: 1}, "RefreshInterval"},
		"keys age before refresh": {claims.Config{Issuers: trusting(good).Issuers, MaxKeyAge: time.Minute}, "MaxKeyAge"},
	} {
		v, err := claims.NewVerifier(tt.cfg)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") || v != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Each problem is said once, and of the field that has it.
	for name, tt := range map[string]struct {
		cfg    claims.Config
		absent string
	}{
		"Auth0 without a scheme": {trusting(claims.Auth0("acme.eu.auth0.com", "a")), "JWKSURL"},
		"Auth0 of nothing":       {trusting(claims.Auth0("", "a")), "absolute URL"},
		"negative key age":       {claims.Config{Issuers: trusting(good).Issuers, MaxKeyAge: -1}, "must exceed"},
	} {
		if _, err := claims.NewVerifier(tt.cfg); err == nil || strings.Contains(err.Error(), tt.absent) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := claims.NewVerifier(claims.Config{MaxTokenBytes: -1, MaxLifetime: -1, Issuers: []claims.Issuer{{}}})
	for _, want := range []string{"MaxTokenBytes", "MaxLifetime", "URL", "Audience", "Keys"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not among the problems: %v", want, err)
		}
	}
}

func TestKeyURLs(t *testing.T) {
	t.Parallel()
	offline := func(i claims.Issuer) claims.Config {
		cfg := trusting(i)
		cfg.HTTPClient = &http.Client{Transport: noNetwork{}}
		return cfg
	}
	for _, url := range []string{"http://localhost:1/", "http://127.0.0.1:1/", "http://127.9.9.9:1/", "http://[::1]:1/", "https://issuer.invalid/"} {
		newVerifier(t, offline(claims.Issuer{URL: "i", Audience: []string{"a"}, JWKSURL: url}))
	}
	newVerifier(t, offline(claims.Issuer{URL: "i", Audience: []string{"a"}, JWKSURL: "http://issuer.invalid/", InsecureKeysOverHTTP: true}))
}

type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no network")
}

func TestAuth0(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://acme.eu.auth0.com", "https://acme.eu.auth0.com/"} {
		i := claims.Auth0(url, "https://api")
		if i.URL != "https://acme.eu.auth0.com/" || i.JWKSURL != "https://acme.eu.auth0.com/.well-known/jwks.json" {
			t.Errorf("Auth0(%q) = %+v", url, i)
		}
	}
}

func TestDialects(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	plain := issuer.Trusted()
	plain.Dialect = claims.Dialect{}
	own := issuer.Trusted()
	own.Dialect = claims.Dialect{
		Types: []string{"application/AT+JWT"}, OrgID: "tenant", OrgName: "Tenant-Name", Roles: "https://acme.example/Roles", Permissions: "perms",
	}
	accepts := map[string]map[string]bool{
		"at+jwt": {"plain": true, "auth0": true, "own": true}, "AT+JWT": {"plain": true, "auth0": true, "own": true},
		"application/at+jwt": {"plain": true, "auth0": true, "own": true}, "JWT": {"auth0": true}, "jwt": {"auth0": true}, "JOSE": {}, "": {},
	}
	header, payload := issuer.Baseline()
	verifiers := map[string]*claims.Verifier{
		"plain": newVerifier(t, trusting(plain)), "auth0": newVerifier(t, trusting(issuer.Trusted())), "own": newVerifier(t, trusting(own)),
	}
	for typ, by := range accepts {
		token := issuer.Forge(strings.Replace(header, "at+jwt", typ, 1), payload)
		for name, v := range verifiers {
			if _, err := v.Verify(t.Context(), token); (err == nil) != by[name] {
				t.Errorf("typ %q for %s: %v", typ, name, err)
			} else if err != nil {
				wantCode(t, err, claims.CodeWrongType)
			}
		}
	}
	c, err := verifiers["own"].Verify(t.Context(), issuer.Token(claims.Token{Org: claims.Org{ID: "ignored"}, Extra: map[string]any{
		"tenant": "t1", "Tenant-Name": "one", "perms": []string{"p"}, "https://acme.example/Roles": []string{"r"}, "roles": 7,
	}}))
	if err != nil || c.Org != (claims.Org{ID: "t1", Name: "one"}) || c.Roles[0] != "r" || c.Permissions[0] != "p" {
		t.Errorf("claims = %+v, %v", c, err)
	}
	for name, extra := range map[string]map[string]any{
		"name without an id": {"Tenant-Name": 1}, "number": {"tenant": 1}, "case variant": {"tenant": "a", "TENANT": "b"}, "variant of the name": {"tenant-name": "x"},
	} {
		_, err := verifiers["own"].Verify(t.Context(), issuer.Token(claims.Token{Extra: extra}))
		if wantCode(t, err, claims.CodeMalformed); t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	with := func(edit func(*claims.Config)) *claims.Verifier {
		cfg := trusting(issuer.Trusted())
		edit(&cfg)
		return newVerifier(t, cfg)
	}
	late := issuer.Token(claims.Token{Expiry: time.Now().Add(-5 * time.Second)})
	wantOK(t, with(func(*claims.Config) {}), late)
	wantNBF := func(nbf time.Duration, v *claims.Verifier, code claims.Code) {
		t.Helper()
		header, payload := issuer.Baseline()
		_, rest, _ := strings.Cut(payload, `"iat":`)
		iat, _, _ := strings.Cut(rest, ",")
		payload = strings.Replace(payload, `"iat":`+iat, fmt.Sprintf(`"nbf":%d`, time.Now().Add(-nbf).Unix()), 1)
		if token := issuer.Forge(header, payload); code == "" {
			wantOK(t, v, token)
		} else {
			wantRefusal(t, v, token, code)
		}
	}
	wantNBF(23*time.Hour, with(func(*claims.Config) {}), "")
	wantNBF(24*time.Hour, with(func(*claims.Config) {}), claims.CodeLifetimeTooLong)
	wantNBF(24*time.Hour, with(func(c *claims.Config) { c.MaxLifetime = 25 * time.Hour }), "")
	wantRefusal(t, with(func(c *claims.Config) { c.Leeway = -1 }), late, claims.CodeExpired)
	wantOK(t, with(func(c *claims.Config) { c.MaxLifetime = 48 * time.Hour }), issuer.Token(claims.Token{Lifetime: 48 * time.Hour}))
	wantOK(t, with(func(*claims.Config) {}), issuer.Token(claims.Token{Lifetime: 24 * time.Hour}))
	wantRefusal(t, with(func(*claims.Config) {}), issuer.Token(claims.Token{Lifetime: 24*time.Hour + time.Second}), claims.CodeLifetimeTooLong)
	token := issuer.Token(claims.Token{})
	wantOK(t, with(func(c *claims.Config) { c.MaxTokenBytes = len(token) }), token)
	wantRefusal(t, with(func(c *claims.Config) { c.MaxTokenBytes = len(token) - 1 }), token, claims.CodeTooLarge)

	only := issuer.Trusted()
	only.Algorithms = []string{"RS256"}
	wantRefusal(t, newVerifier(t, trusting(only)), token, claims.CodeAlgorithmNotAllowed)

	bound := issuer.Token(claims.Token{Extra: map[string]any{"cnf": map[string]string{"jkt": "thumb", "x5t#S256": "cert"}}})
	wantRefusal(t, with(func(*claims.Config) {}), bound, claims.CodeSenderConstrained)
	c, err := with(func(c *claims.Config) { c.InsecureSkipConfirmation = true }).Verify(t.Context(), bound)
	if err != nil || c.Confirmation != (claims.Confirmation{JKT: "thumb", X5TS256: "cert"}) {
		t.Errorf("claims = %+v, %v", c, err)
	}
}

// Times are judged by the clock that the embedder gives, at the edges too.
func TestClockEdges(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	issuer := claimstest.NewIssuerAt(t, clock)
	cached, direct := trusting(issuer.Trusted()), trusting(issuer.Trusted())
	cached.Clock, direct.Clock, direct.CacheBytes = clock, clock, -1
	token := issuer.Token(claims.Token{Extra: map[string]any{"nbf": now.Add(time.Minute).Unix()}}) // 1 to 10 minutes
	for _, v := range []*claims.Verifier{newVerifier(t, cached), newVerifier(t, direct)} {
		for _, tt := range []struct {
			after time.Duration
			code  claims.Code
		}{
			{30*time.Second - 1, claims.CodeNotYetValid}, {30 * time.Second, ""}, {5 * time.Minute, ""}, {10*time.Minute + 30*time.Second - 1, ""},
			{10*time.Minute + 30*time.Second, claims.CodeExpired}, {30*time.Second - 1, claims.CodeNotYetValid}, {30 * time.Second, ""},
		} {
			now = time.Unix(1_700_000_000, 0).Add(tt.after)
			if tt.code == "" {
				wantOK(t, v, token)
			} else {
				wantRefusal(t, v, token, tt.code)
			}
		}
	}
}
