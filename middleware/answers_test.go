package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// The bodies, spelled out: a client may compare them.
const (
	bodyNoCredentials = `{"type":"urn:orgauthz:problem:no_credentials","title":"A bearer token is required","status":401}` + "\n"
	bodyInvalidReq    = `{"type":"urn:orgauthz:problem:invalid_request","title":"The request is malformed","status":400}` + "\n"
	bodyInvalidToken  = `{"type":"urn:orgauthz:problem:invalid_token","title":"The access token is not valid","status":401}` + "\n"
	bodyNoAccess      = `{"type":"urn:orgauthz:problem:no_organization_access","title":"No access to this organization","status":403}` + "\n"
	bodyScope         = `{"type":"urn:orgauthz:problem:insufficient_scope","title":"A permission is missing","status":403}` + "\n"
	bodyDenied        = `{"type":"urn:orgauthz:problem:policy_denied","title":"Denied by policy","status":403,"reasons":[]}` + "\n"
	bodyFailed        = `{"type":"urn:orgauthz:problem:policy_denied","title":"Denied by policy","status":403,"reasons":["policy_failed"]}` + "\n"
	bodyTimedOut      = `{"type":"urn:orgauthz:problem:policy_denied","title":"Denied by policy","status":403,"reasons":["policy_timed_out"]}` + "\n"
	bodyNotFound      = `{"type":"urn:orgauthz:problem:not_found","title":"Not Found","status":404}` + "\n"
	bodyNotAllowed    = `{"type":"urn:orgauthz:problem:method_not_allowed","title":"Method Not Allowed","status":405}` + "\n"
	bodyUnavailable   = `{"type":"urn:orgauthz:problem:unavailable","title":"Temporarily unavailable","status":503}` + "\n"

	challengeBare    = `Bearer realm="tests"`
	challengeRequest = `Bearer realm="tests", error="invalid_request"`
	challengeToken   = `Bearer realm="tests", error="invalid_token"`
	challengeScope   = `Bearer realm="tests", error="insufficient_scope", scope="read:things"`
)

func failingPolicy(err error) func(*Config) {
	return func(c *Config) {
		c.Policy = decideFunc(func(context.Context, *policy.Input) (policy.Decision, error) { return policy.Decision{}, err })
	}
}

func verifying(f verifyFunc) func(*Config) { return func(c *Config) { c.Tokens = f } }

func resolving(f resolveFunc) func(*Config) { return func(c *Config) { c.Members = f } }

// TestAnswers goes through every row of the table in the package documentation, over each way that leads to it.
func TestAnswers(t *testing.T) {
	t.Parallel()
	broken := errors.New("a backend's own words, not for clients")
	denied := policy.Decision{Outcome: policy.Denied}
	tests := []struct {
		name      string
		config    func(*Config)
		authorize []string // nil: "Bearer ada"
		method    string
		path      string
		status    int
		challenge string
		body      string
	}{
		{name: "allowed", status: 200, body: "ok"},
		{name: "allowed: organization by id", path: "/orgs/" + acme + "/things/7", status: 200, body: "ok"},
		{name: "allowed: organization percent-encoded", path: "/orgs/%61cme/things/7", status: 200, body: "ok"},
		{name: "allowed: scheme in lower case", authorize: []string{"bearer ada"}, status: 200, body: "ok"},
		{name: "allowed: scheme in mixed case", authorize: []string{"bEaReR ada"}, status: 200, body: "ok"},
		{name: "allowed: HEAD", method: "HEAD", status: 200, body: "ok"},
		{name: "allowed: token names organization by name", authorize: []string{"Bearer ada-by-name"}, status: 200, body: "ok"},
		{name: "allowed: token issued after signing out", authorize: []string{"Bearer hal"}, status: 200, body: "ok"},
		{name: "allowed: policy without an outcome", config: answering(policy.Decision{Allow: true}), status: 200, body: "ok"},

		{name: "no header", authorize: []string{}, status: 401, challenge: challengeBare, body: bodyNoCredentials},
		{name: "empty header", authorize: []string{""}, status: 401, challenge: challengeBare, body: bodyNoCredentials},
		{name: "another scheme", authorize: []string{"Basic YTpi"}, status: 401, challenge: challengeBare, body: bodyNoCredentials},
		{name: "a scheme that begins alike", authorize: []string{"Bearer1 ada"}, status: 401, challenge: challengeBare, body: bodyNoCredentials},
		{name: "token in the query", authorize: []string{}, path: "/orgs/acme/things/7?access_token=ada", status: 401, challenge: challengeBare, body: bodyNoCredentials},

		{name: "two headers", authorize: []string{"Bearer ada", "Bearer ada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "two schemes", authorize: []string{"Basic YTpi", "Bearer ada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "scheme alone", authorize: []string{"Bearer"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "scheme and space", authorize: []string{"Bearer "}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "two spaces", authorize: []string{"Bearer  ada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "a tab", authorize: []string{"Bearer\tada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "no space", authorize: []string{"Bearer:ada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "something after the token", authorize: []string{"Bearer ada x"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "space after the token", authorize: []string{"Bearer ada "}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "two in one", authorize: []string{"Bearer ada, Bearer ada"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},
		{name: "a tab after the token", authorize: []string{"Bearer ada\tx"}, status: 400, challenge: challengeRequest, body: bodyInvalidReq},

		{name: "refused by the verifier", authorize: []string{"Bearer nonsense"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "no token at all by its form", authorize: []string{"Bearer {\"a\":1}"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "not ASCII", authorize: []string{"Bearer ad\u00e4"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "no subject", authorize: []string{"Bearer nobody"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "signed out", authorize: []string{"Bearer gil"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "signed out, undated token", authorize: []string{"Bearer hal-undated"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "bound to a key", authorize: []string{"Bearer ada-bound"}, status: 401, challenge: challengeToken, body: bodyInvalidToken},
		{name: "invalid before the organization", authorize: []string{"Bearer nonsense"}, path: "/orgs/bravo/things/7", status: 401, challenge: challengeToken, body: bodyInvalidToken},

		{name: "another organization's path", path: "/orgs/bravo/things/7", status: 403, body: bodyNoAccess},
		{name: "another organization's id", path: "/orgs/" + bravo + "/things/7", status: 403, body: bodyNoAccess},
		{name: "unknown organization's path", path: "/orgs/nowhere/things/7", status: 403, body: bodyNoAccess},
		{name: "not a member", authorize: []string{"Bearer ada-elsewhere"}, path: "/orgs/bravo/things/7", status: 403, body: bodyNoAccess},
		{name: "unknown organization", authorize: []string{"Bearer ada-unknown"}, path: "/orgs/org_ZZZZZZZZZZZZZZZZ/things/7", status: 403, body: bodyNoAccess},
		{name: "token without an organization", authorize: []string{"Bearer ada-nowhere"}, status: 403, body: bodyNoAccess},
		{name: "token names a malformed organization", authorize: []string{"Bearer ada-slash"}, path: "/orgs/org_a%2fb/things/7", status: 403, body: bodyNoAccess},
		{name: "issuer's id reads like a name", authorize: []string{"Bearer ada-foreign"}, status: 403, body: bodyNoAccess},
		{name: "token's name reads like an id", authorize: []string{"Bearer ada-fake-id"}, status: 403, body: bodyNoAccess},
		{name: "blocked", authorize: []string{"Bearer cat-blocked"}, status: 403, body: bodyNoAccess},
		{name: "suspended", authorize: []string{"Bearer dan-suspended"}, status: 403, body: bodyNoAccess},
		{name: "stale name of the token", path: "/orgs/a-stale-name/things/7", status: 403, body: bodyNoAccess},
		{name: "name in upper case", path: "/orgs/ACME/things/7", status: 403, body: bodyNoAccess},
		{name: "encoded separator", path: "/orgs/acme%2fx/things/7", status: 403, body: bodyNoAccess},
		{name: "encoded backslash", path: "/orgs/acme%5cx/things/7", status: 403, body: bodyNoAccess},
		{name: "encoded dot segment", path: "/orgs/%2e%2e/things/7", status: 403, body: bodyNoAccess},
		{name: "NUL", path: "/orgs/acme%00/things/7", status: 403, body: bodyNoAccess},
		{name: "trailing dot", path: "/orgs/acme./things/7", status: 403, body: bodyNoAccess},
		{name: "path parameter", path: "/orgs/acme;x/things/7", status: 403, body: bodyNoAccess},
		{name: "trailing space", path: "/orgs/acme%20/things/7", status: 403, body: bodyNoAccess},
		{name: "look-alike", path: "/orgs/%D0%B0cme/things/7", status: 403, body: bodyNoAccess},
		{name: "invalid UTF-8", path: "/orgs/%ff/things/7", status: 403, body: bodyNoAccess},
		{name: "a standing of the future", config: resolving(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			a := access(acme, "acme", q.Principal, "read:things")
			a.Standing = 200
			return a, nil
		}), status: 403, body: bodyNoAccess},
		{name: "resolver answers about another organization", config: resolving(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			return access(bravo, "bravo", q.Principal, "read:things"), nil
		}), path: "/orgs/bravo/things/7", status: 403, body: bodyNoAccess},
		{name: "organization before the policy", config: answering(policy.Decision{Allow: true}), path: "/orgs/bravo/things/7", status: 403, body: bodyNoAccess},

		{name: "permission missing, no policy", config: func(c *Config) {
			m := members{{acme, "ada"}: access(acme, "acme", "ada")}
			c.Members = m
		}, status: 403, challenge: challengeScope, body: bodyScope},
		{name: "permission missing, policy undefined", config: func(c *Config) {
			c.Members = members{{acme, "ada"}: access(acme, "acme", "ada", "other:things")}
			answering(policy.Decision{Outcome: policy.Undefined})(c)
		}, status: 403, challenge: challengeScope, body: bodyScope},
		{name: "permission missing, but a reason", config: func(c *Config) {
			c.Members = members{{acme, "ada"}: access(acme, "acme", "ada")}
			answering(policy.Decision{Outcome: policy.Denied, Reasons: []any{"staff_only"}})(c)
		}, status: 403, body: strings.Replace(bodyDenied, "[]", `["staff_only"]`, 1)},
		{name: "permission there, no reason", config: answering(denied), status: 403, body: bodyDenied},
		{name: "permission there, undefined", config: answering(policy.Decision{Outcome: policy.Undefined}), status: 403, body: bodyDenied},
		{name: "zero decision", config: answering(policy.Decision{}), status: 403, body: bodyDenied},
		{name: "reasons", config: answering(policy.Decision{Outcome: policy.Denied, Reasons: []any{"staff_only", map[string]any{"code": "hours", "from": json.Number("9")}}}),
			status: 403, body: strings.Replace(bodyDenied, "[]", `["staff_only",{"code":"hours","from":9}]`, 1)},
		{name: "reasons without a JSON form", config: answering(policy.Decision{Outcome: policy.Denied, Reasons: []any{make(chan int)}}), status: 403, body: bodyDenied},
		{name: "policy failed", config: answering(policy.Decision{Outcome: policy.Failed}), status: 403, body: bodyFailed},
		{name: "policy timed out", config: answering(policy.Decision{Outcome: policy.TimedOut}), status: 403, body: bodyTimedOut},
		{name: "policy contradicts itself", config: answering(policy.Decision{Allow: true, Outcome: policy.Denied}), status: 403, body: bodyDenied},
		{name: "policy contradicts itself by a failure", config: answering(policy.Decision{Allow: true, Outcome: policy.Failed}), status: 403, body: bodyFailed},

		{name: "value with a separator", path: "/orgs/acme/things/a%2fb", status: 404, body: bodyNotFound},
		{name: "value that is a dot segment", path: "/orgs/acme/things/%2e%2e", status: 404, body: bodyNotFound},
		{name: "value with NUL", path: "/orgs/acme/things/a%00", status: 404, body: bodyNotFound},
		{name: "malformed value, but denied", config: answering(denied), path: "/orgs/acme/things/a%2fb", status: 403, body: bodyDenied},

		{name: "verifier out of reach", config: verifying(func(context.Context, string) (*claims.Claims, error) { return nil, broken }), status: 503, body: bodyUnavailable},
		{name: "verifier without an answer", config: verifying(func(context.Context, string) (*claims.Claims, error) { return nil, nil }), status: 503, body: bodyUnavailable},
		{name: "verifier panics", config: verifying(func(context.Context, string) (*claims.Claims, error) { panic("no") }), status: 503, body: bodyUnavailable},
		{name: "resolver out of reach", config: resolving(func(context.Context, orgstore.Query) (*orgstore.Access, error) { return nil, broken }), status: 503, body: bodyUnavailable},
		{name: "resolver's access beside an error", config: resolving(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			return access(acme, "acme", q.Principal, "read:things"), broken
		}), status: 503, body: bodyUnavailable},
		{name: "resolver without an answer", config: resolving(func(context.Context, orgstore.Query) (*orgstore.Access, error) { return nil, nil }), status: 503, body: bodyUnavailable},
		{name: "resolver does not know", config: resolving(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			return standing(orgstore.StandingUnknown, q.Principal), nil
		}), status: 503, body: bodyUnavailable},
		{name: "resolver answers about another principal", config: resolving(func(context.Context, orgstore.Query) (*orgstore.Access, error) {
			return access(acme, "acme", "somebody", "read:things"), nil
		}), status: 503, body: bodyUnavailable},
		{name: "resolver answers without an organization", config: resolving(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			return access("", "", q.Principal, "read:things"), nil
		}), status: 503, body: bodyUnavailable},
		{name: "resolver panics", config: resolving(func(context.Context, orgstore.Query) (*orgstore.Access, error) { panic(broken) }), status: 503, body: bodyUnavailable},
		{name: "policy out of reach", config: failingPolicy(broken), status: 503, body: bodyUnavailable},
		{name: "policy's allow beside an error", config: func(c *Config) {
			c.Policy = decideFunc(func(context.Context, *policy.Input) (policy.Decision, error) {
				return policy.Decision{Allow: true, Outcome: policy.Allowed}, broken
			})
		}, status: 503, body: bodyUnavailable},
		{name: "policy panics", config: func(c *Config) {
			c.Policy = decideFunc(func(context.Context, *policy.Input) (policy.Decision, error) { panic("no") })
		}, status: 503, body: bodyUnavailable},

		{name: "method without the mux's table", method: "POST", status: 405, body: bodyNotAllowed},
		{name: "method in lower case", method: "get", status: 405, body: bodyNotAllowed},
		{name: "no such path", path: "/nothing", status: 404, body: bodyNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, ran := guard(t, tt.config), 0
			if tt.method == "" {
				tt.method = "GET"
			}
			if tt.path == "" {
				tt.path = "/orgs/acme/things/7"
			}
			if tt.authorize == nil {
				tt.authorize = []string{"Bearer ada"}
			}
			r := request(tt.method, tt.path, "")
			if len(tt.authorize) > 0 {
				r.Header["Authorization"] = tt.authorize
			}
			w := serve(Problems(thing(g, &ran)), r)

			if w.Code != tt.status || w.Body.String() != tt.body {
				t.Errorf("answered %d %s\nwant     %d %s", w.Code, w.Body, tt.status, tt.body)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("challenge %q, want %q", got, tt.challenge)
			}
			if (ran == 1) != (tt.status == 200) {
				t.Errorf("the handler ran %d times", ran)
			}
			if tt.status == 200 {
				return
			}
			for name, want := range map[string]string{
				"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
				"Retry-After": map[bool]string{true: "1"}[tt.status == 503],
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// A pattern without a method lets every method through to the Guard.
func TestMethodIsAnUpperCaseToken(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	mux := NewMux()
	mux.Handle("/orgs/{org}/things", g.RequireFunc("read:things", ok))
	for method, status := range map[string]int{
		"GET": 200, "HEAD": 200, "M-SEARCH": 200, "PROPFIND": 200, "get": 400, "Get": 400, "GET\u00e4": 400, "G ET": 400,
	} {
		r := request("GET", "/orgs/acme/things", "ada")
		r.Method = method
		w := serve(mux, r)
		if w.Code != status {
			t.Errorf("%q: %d, want %d", method, w.Code, status)
		}
		if status == 400 && w.Body.String() != bodyInvalidReq {
			t.Errorf("%q: %s", method, w.Body)
		}
	}
	r := request("GET", "/orgs/acme/things", "ada")
	r.Method = ""
	if w := serve(mux, r); w.Code != 400 {
		t.Errorf("no method: %d", w.Code)
	}
}

// What the whole answer is made of must not tell the cases apart either.
func TestSameAnswerForEveryOrganizationOutOfReach(t *testing.T) {
	t.Parallel()
	ran := 0
	mux := thing(guard(t, nil), &ran)
	var first http.Header
	for _, c := range [][2]string{
		{"ada", "/orgs/bravo/things/7"}, {"ada-elsewhere", "/orgs/bravo/things/7"}, {"ada", "/orgs/nowhere/things/7"},
		{"ada-nowhere", "/orgs/acme/things/7"}, {"ada", "/orgs/a%2fb/things/7"}, {"cat-blocked", "/orgs/acme/things/7"},
		{"dan-suspended", "/orgs/acme/things/7"}, {"ada-unknown", "/orgs/acme/things/%2e"},
	} {
		w := serve(mux, request("GET", c[1], c[0]))
		if w.Code != 403 || w.Body.String() != bodyNoAccess {
			t.Errorf("%v: %d %s", c, w.Code, w.Body)
		}
		if first == nil {
			first = w.Header()
		}
		if len(w.Header()) != len(first) {
			t.Errorf("%v: headers %v, others %v", c, w.Header(), first)
		}
		for name := range first {
			if first.Get(name) != w.Header().Get(name) {
				t.Errorf("%v: %s differs", c, name)
			}
		}
	}
	if ran != 0 {
		t.Error("a handler ran")
	}
}

// The documentation has the table; the code must have no other.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	seen := map[Code]bool{}
	for i, r := range table {
		if seen[r.code] || rowOf(r.code) != i {
			t.Errorf("%s is there twice", r.code)
		}
		seen[r.code] = true
		if r.status < 400 || r.title == "" || r.typ == "" {
			t.Errorf("%s lacks something: %+v", r.code, r)
		}
		if r.body == nil && r.code != CodePolicyDenied {
			t.Errorf("%s has no body", r.code)
		}
	}
	if rowOf("something else") != rowOf(CodeUnavailable) {
		t.Error("an unknown code must answer like unavailable")
	}
}
