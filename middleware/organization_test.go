package middleware

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

func TestWhereTheOrganizationIsNamed(t *testing.T) {
	t.Parallel()
	header := func(values ...string) http.Header { return http.Header{"X-Org": values} }
	for name, tt := range map[string]struct {
		config  []Option
		options []Option
		pattern string
		path    string
		host    string
		header  http.Header
		bearer  string
		status  int
	}{
		"another wildcard":           {options: []Option{OrgFromPath("tenant")}, pattern: "/t/{tenant}", path: "/t/acme", status: 200},
		"another wildcard, another":  {options: []Option{OrgFromPath("tenant")}, pattern: "/t/{tenant}", path: "/t/bravo", status: 403},
		"by configuration":           {config: []Option{OrgFromPath("tenant")}, pattern: "/t/{tenant}", path: "/t/bravo", status: 403},
		"route replaces":             {config: []Option{OrgFromPath("tenant")}, options: []Option{OrgFromToken()}, pattern: "/x", path: "/x", status: 200},
		"route replaces the default": {options: []Option{OrgFromToken()}, pattern: "/t/{of}", path: "/t/bravo", status: 200},
		"{org} counts all the same":  {options: []Option{OrgFromToken()}, pattern: "/t/{org}", path: "/t/bravo", status: 403},
		"{org} agrees":               {options: []Option{OrgFromToken()}, pattern: "/t/{org}", path: "/t/" + acme, status: 200},
		"{org} below a header":       {config: []Option{OrgFromHeader("x-org")}, pattern: "/t/{org}", path: "/t/bravo", header: header("acme"), status: 403},
		"{org} without the header":   {config: []Option{OrgFromHeader("x-org")}, pattern: "/t/{org}", path: "/t/bravo", status: 403},
		"rest of the path":           {options: []Option{OrgFromPath("rest")}, pattern: "/t/{rest...}", path: "/t/acme", status: 200},
		"rest of the path, empty":    {options: []Option{OrgFromPath("rest")}, pattern: "/t/{rest...}", path: "/t/", status: 403},
		"rest of the path, more":     {options: []Option{OrgFromPath("rest")}, pattern: "/t/{rest...}", path: "/t/acme/x", status: 403},

		"header":             {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header("acme"), status: 200},
		"header with the id": {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header(acme), status: 200},
		"header absent":      {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", status: 200},
		"header empty":       {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header(""), status: 403},
		"header differs":     {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header("bravo"), status: 403},
		"header twice":       {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header("acme", "acme"), status: 403},
		"header of no token": {options: []Option{OrgFromHeader("x-org")}, pattern: "/x", path: "/x", header: header("acme"), bearer: "ada-nowhere", status: 403},

		"host":               {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "acme.api.example.com", status: 200},
		"host and port":      {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "acme.api.example.com:8443", status: 200},
		"host in upper case": {options: []Option{OrgFromHost(".API.example.com")}, pattern: "/x", path: "/x", host: "ACME.api.Example.com", status: 200},
		"host differs":       {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "bravo.api.example.com", status: 403},
		"host without label": {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "api.example.com", status: 403},
		"host, two labels":   {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "x.acme.api.example.com", status: 403},
		"another host":       {options: []Option{OrgFromHost(".api.example.com")}, pattern: "/x", path: "/x", host: "acme.api.example.org", status: 403},

		"path and header agree":    {options: []Option{OrgFromPath("org"), OrgFromHeader("x-org")}, pattern: "/t/{org}", path: "/t/acme", header: header(acme), status: 200},
		"path and header disagree": {options: []Option{OrgFromPath("org"), OrgFromHeader("x-org")}, pattern: "/t/{org}", path: "/t/acme", header: header("bravo"), status: 403},
		"header and path disagree": {options: []Option{OrgFromPath("org"), OrgFromHeader("x-org")}, pattern: "/t/{org}", path: "/t/bravo", header: header("acme"), status: 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := guard(t, func(c *Config) { c.Options = tt.config })
			mux := NewMux()
			mux.Handle(tt.pattern, g.RequireFunc("read:things", ok, tt.options...))
			if tt.bearer == "" {
				tt.bearer = "ada"
			}
			r := request("GET", tt.path, tt.bearer)
			if tt.host != "" {
				r.Host = tt.host
			}
			maps.Copy(r.Header, tt.header)
			w := serve(mux, r)
			if w.Code != tt.status || tt.status == 403 && w.Body.String() != bodyNoAccess {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}

func TestForwardedHeadersNameNothing(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	mux := NewMux()
	mux.Handle("/x", g.RequireFunc("read:things", ok, OrgFromHost(".api.example.com")))
	r := request("GET", "/x", "ada")
	r.Host = "bravo.api.example.com"
	r.Header.Set("X-Forwarded-Host", "acme.api.example.com")
	r.Header.Set("Forwarded", "host=acme.api.example.com")
	r.Header.Set("X-Http-Method-Override", "HEAD")
	if w := serve(mux, r); w.Code != 403 {
		t.Error(w.Code)
	}
}

func TestStrong(t *testing.T) {
	t.Parallel()
	_, mb := world()
	var asked orgstore.Query
	g := guard(t, func(c *Config) { c.Members = spy{mb, &asked} })
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/weak", g.RequireFunc("read:things", ok))
	mux.Handle("GET /orgs/{org}/strong", g.RequireFunc("read:things", ok, Strong()))
	serve(mux, request("GET", "/orgs/acme/weak", "ada"))
	if asked.Strong || asked.Org != acme {
		t.Errorf("%+v", asked)
	}
	serve(mux, request("GET", "/orgs/acme/strong", "ada"))
	if !asked.Strong {
		t.Errorf("%+v", asked)
	}
}

func TestOpaqueValues(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/users/{user}/files/{file}", g.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.PathValue("user"))
	}, OpaqueValues("user")))
	if w := serve(mux, request("GET", "/orgs/acme/users/samlp%7Ca%2fb/files/x", "ada")); w.Code != 200 || w.Body.String() != "samlp|a/b" {
		t.Error(w.Code, w.Body)
	}
	if w := serve(mux, request("GET", "/orgs/acme/users/x/files/a%2fb", "ada")); w.Code != 404 {
		t.Error(w.Code, w.Body)
	}
}

// Around a whole mux no value is known yet: the pattern is, and organizations come from elsewhere.
func TestAroundAMux(t *testing.T) {
	t.Parallel()
	var seen policy.Request
	g := guard(t, func(c *Config) {
		answering(policy.Decision{Allow: true})(c)
		inner := c.Policy
		c.Policy = peek{inner, &seen}
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.PathValue("id"), MustPrincipal(r.Context()).Subject)
	})
	h := g.Middleware("read:things", OrgFromToken())(mux)
	if w := serve(h, request("GET", "/things/7", "ada")); w.Code != 200 || w.Body.String() != "7ada" {
		t.Error(w.Code, w.Body)
	}
	if want := (policy.Request{Method: "GET", Pattern: "GET /things/{id}", Params: seen.Params}); !reflect.DeepEqual(seen, want) || len(seen.Params) != 0 {
		t.Errorf("%+v", seen)
	}
	if w := serve(h, request("GET", "/things/7", "")); w.Code != 401 {
		t.Error(w.Code)
	}
}

func TestParsePattern(t *testing.T) {
	t.Parallel()
	s := newSettings([]Option{OpaqueValues("user")})
	for text, want := range map[string][]wildcard{
		"GET /orgs/{org}/things/{id}": {{name: "org"}, {name: "id"}},
		"/orgs/{org}/{rest...}":       {{name: "org"}, {name: "rest", multi: true}},
		"api.example.com/{org}/{$}":   {{name: "org"}},
		"POST /orgs/{org}/u/{user}":   {{name: "org"}, {name: "user", opaque: true}},
		"/":                           nil,
		"":                            nil,
	} {
		p := parsePattern(text, &s)
		if !reflect.DeepEqual(p.wildcards, want) {
			t.Errorf("%q: %+v", text, p.wildcards)
		}
		if (p.missing == "org") != !strings.Contains(text, "{org}") {
			t.Errorf("%q: missing %q", text, p.missing)
		}
	}
}

// One handler may stand at several patterns, and be asked by many at once.
func TestPatternCache(t *testing.T) {
	t.Parallel()
	var c patternCache
	s := newSettings(nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2 * maxPatterns {
				text := fmt.Sprintf("/orgs/{org}/%d/{v%d}", i, i)
				if p := c.get(text, &s); p.text != text || p.wildcards[1].name != fmt.Sprint("v", i) {
					t.Errorf("%q gave %+v", text, p)
				}
			}
		})
	}
	wg.Wait()
	if n := len(*c.list.Load()); n > maxPatterns {
		t.Errorf("%d patterns held", n)
	}
}

func FuzzPlainValue(f *testing.F) {
	for _, v := range []string{"7", "a/b", "..", ".", "a/../b", "a\x00", "\\", "ä", "\xff", "", "/", "...", "auth0|x"} {
		f.Add(v, false)
		f.Add(v, true)
	}
	f.Fuzz(func(t *testing.T, v string, multi bool) {
		got := plainValue(v, multi)
		want := utf8.ValidString(v) && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }) &&
			(multi || !strings.Contains(v, "/"))
		for segment := range strings.SplitSeq(v, "/") {
			want = want && segment != "." && segment != ".."
		}
		if got != want {
			t.Errorf("%q (multi %v): %v", v, multi, got)
		}
	})
}

// Whatever stands in the path and in the token: only the organization's own id or name gets through.
func FuzzOrganizationReference(f *testing.F) {
	for _, v := range []string{"acme", acme, "ACME", "a/b", "..", "acme\x00", "org_", "", "аcme", "acme ", strings.Repeat("a", 300)} {
		f.Add(v)
	}
	org := &policy.Org{ID: acme, Name: "acme"}
	f.Fuzz(func(t *testing.T, v string) {
		if names(v, org) != (v == acme || v == "acme") {
			t.Errorf("%q names acme", v)
		}
		if names(v, &policy.Org{}) {
			t.Errorf("%q names an organization without id and name", v)
		}
		if isReference(v) && (v == "" || len(v) > maxReference || strings.Trim(v,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" && strings.ContainsAny(v, "/\\.%\x00 ")) {
			t.Errorf("%q is taken for a reference", v)
		}
	})
}

func FuzzBearerToken(f *testing.F) {
	for _, v := range []string{"Bearer x", "bearer x", "Bearer", "Bearer ", "Bearer  x", "Bearer x ", "Basic x", "Bearerx", "", "Bearer\tx", "BEARER a.b.c", "\u212aearer x"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		token, code, cause := bearerToken(http.Header{"Authorization": {v}})
		if (code == "") != (token != "") || (code == "") != (cause == "") {
			t.Fatalf("%q: %q %q %q", v, token, code, cause)
		}
		if code == "" && (!strings.EqualFold(v[:7], "bearer ") || v[7:] != token || strings.ContainsAny(token, " \t")) {
			t.Errorf("%q gave %q", v, token)
		}
		if code != "" && code != CodeNoCredentials && code != CodeInvalidRequest {
			t.Errorf("%q: %s", v, code)
		}
		if _, code, _ := bearerToken(http.Header{"Authorization": {v, v}}); code != CodeInvalidRequest {
			t.Errorf("%q twice: %s", v, code)
		}
	})
}

// What reaches a policy comes from the matched pattern, however the path is spelled.
func TestPolicySeesWhatMatched(t *testing.T) {
	t.Parallel()
	var seen policy.Request
	g := guard(t, func(c *Config) {
		answering(policy.Decision{Allow: true})(c)
		c.Policy = peek{c.Policy, &seen}
	})
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", ok))
	mux.Handle("GET /orgs/{org}/files/{path...}", g.RequireFunc("read:things", ok))
	for path, want := range map[string]struct {
		params []policy.Param
		status int
	}{
		"/orgs/acme/things/a%20b":       {[]policy.Param{{Name: "org", Value: "acme"}, {Name: "id", Value: "a b"}}, 200},
		"/orgs/acme/things/a%2f..%2fb":  {[]policy.Param{{Name: "org", Value: "acme"}, {Name: "id", Value: "a/../b"}}, 404},
		"/orgs/acme/files/a/b":          {[]policy.Param{{Name: "org", Value: "acme"}, {Name: "path", Value: "a/b"}}, 200},
		"/orgs/acme/files/a/%2e%2e/b":   {[]policy.Param{{Name: "org", Value: "acme"}, {Name: "path", Value: "a/../b"}}, 404},
		"/orgs/acme/things/x;y=z?q=%2f": {[]policy.Param{{Name: "org", Value: "acme"}, {Name: "id", Value: "x;y=z"}}, 200},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, request("GET", path, "ada"))
		if w.Code != want.status || !reflect.DeepEqual(seen.Params, want.params) {
			t.Errorf("%s: %d %+v", path, w.Code, seen.Params)
		}
	}
}
