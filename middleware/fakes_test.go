package middleware

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// The world of these tests: two organizations, and a token that is the name of who holds it.
const (
	acme  = "org_AAAAAAAAAAAAAAAA"
	bravo = "org_BBBBBBBBBBBBBBBB"
)

var issued = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

type verifyFunc func(context.Context, string) (*claims.Claims, error)

func (f verifyFunc) Verify(ctx context.Context, token string) (*claims.Claims, error) {
	return f(ctx, token)
}

type resolveFunc func(context.Context, orgstore.Query) (*orgstore.Access, error)

func (f resolveFunc) Resolve(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
	return f(ctx, q)
}

type decideFunc func(context.Context, *policy.Input) (policy.Decision, error)

func (f decideFunc) Decide(ctx context.Context, in *policy.Input) (policy.Decision, error) {
	return f(ctx, in)
}

// tokens is a verifier that knows these tokens.
type tokens map[string]*claims.Claims

func (t tokens) Verify(_ context.Context, token string) (*claims.Claims, error) {
	if c, ok := t[token]; ok {
		return c, nil
	}
	return nil, fmt.Errorf("unknown to the fake: %w", claims.ErrInvalid)
}

// members is a resolver that knows these members, by organization and subject.
type members map[[2]string]*orgstore.Access

func (m members) Resolve(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
	if a, ok := m[[2]string{q.Org, q.Principal}]; ok {
		return a, nil
	}
	for key := range m {
		if key[0] == q.Org {
			return &orgstore.Access{Standing: orgstore.StandingNotMember, Principal: q.Principal}, nil
		}
	}
	return &orgstore.Access{Standing: orgstore.StandingNoOrganization, Principal: q.Principal}, nil
}

func token(sub string, org claims.Org) *claims.Claims {
	return &claims.Claims{
		Issuer: "https://issuer.example/", Subject: sub, Org: org, IssuedAt: issued, Expiry: issued.Add(time.Hour),
		Scopes: []string{"openid"},
	}
}

func access(id, name, sub string, permissions ...string) *orgstore.Access {
	return &orgstore.Access{
		Standing: orgstore.StandingMember, Principal: sub, AsOf: issued,
		Org:    orgstore.AccessOrg{ID: id, Name: name, Status: orgstore.OrganizationActive, Metadata: map[string]string{"plan": "gold"}},
		Member: orgstore.AccessMember{Kind: "employee", Roles: []string{"guide"}, Permissions: permissions},
	}
}

func standing(s orgstore.Standing, sub string) *orgstore.Access {
	return &orgstore.Access{Standing: s, Principal: sub}
}

// world returns a verifier and a resolver in which ada may read at acme and nothing else, and ben is at bravo.
func world() (tokens, members) {
	signedOut := access(acme, "acme", "gil", "read:things")
	signedOut.TokensValidAfter = issued.Add(-defaultClockSkew)
	signedIn := access(acme, "acme", "hal", "read:things")
	signedIn.TokensValidAfter = issued.Add(-defaultClockSkew - time.Nanosecond)
	bound := token("ada", claims.Org{ID: acme})
	bound.Confirmation.JKT = "thumbprint"
	undated := token("hal", claims.Org{ID: acme})
	undated.IssuedAt = time.Time{}
	return tokens{
			"ada":           token("ada", claims.Org{ID: acme, Name: "a-stale-name"}),
			"ada-by-name":   token("ada", claims.Org{Name: "ACME"}),
			"ada-nowhere":   token("ada", claims.Org{}),
			"ada-elsewhere": token("ada", claims.Org{ID: bravo}),
			"ada-unknown":   token("ada", claims.Org{ID: "org_ZZZZZZZZZZZZZZZZ"}),
			"ada-slash":     token("ada", claims.Org{ID: "org_a/b"}),
			"ada-foreign":   token("ada", claims.Org{ID: "acme"}), // an issuer's id that reads like a name of ours
			"ada-fake-id":   token("ada", claims.Org{Name: acme}),
			"ada-bound":     bound,
			"ben":           token("ben", claims.Org{ID: bravo}),
			"cat-blocked":   token("cat", claims.Org{ID: acme}),
			"dan-suspended": token("dan", claims.Org{ID: acme}),
			"nobody":        token("", claims.Org{ID: acme}),
			"gil":           token("gil", claims.Org{ID: acme}),
			"hal":           token("hal", claims.Org{ID: acme}),
			"hal-undated":   undated,
		}, members{
			{acme, "ada"}:   access(acme, "acme", "ada", "read:things"),
			{"ACME", "ada"}: access(acme, "acme", "ada", "read:things"),
			{"acme", "ada"}: access(acme, "acme", "ada", "read:things"),
			{bravo, "ben"}:  access(bravo, "bravo", "ben", "read:things"),
			{acme, "cat"}:   standing(orgstore.StandingBlocked, "cat"),
			{acme, "dan"}:   standing(orgstore.StandingSuspended, "dan"),
			{acme, ""}:      access(acme, "acme", "", "read:things"),
			{acme, "gil"}:   signedOut,
			{acme, "hal"}:   signedIn,
		}
}

// guard returns a Guard over the world, after change has had its say.
func guard(t testing.TB, change func(*Config)) *Guard {
	t.Helper()
	tk, mb := world()
	cfg := Config{Tokens: tk, Members: mb, Realm: "tests"}
	if change != nil {
		change(&cfg)
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// answering returns a change that makes the policy answer d.
func answering(d policy.Decision) func(*Config) {
	return func(c *Config) {
		c.Policy = decideFunc(func(context.Context, *policy.Input) (policy.Decision, error) { return d, nil })
	}
}

func request(method, target, bearer string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

// thing returns a mux with one guarded route, the handler of which counts how often it ran.
func thing(g *Guard, ran *int, opts ...Option) *Mux {
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
		*ran++
		ok(w, r)
	}, opts...))
	return mux
}

// spy remembers the last query.
type spy struct {
	MemberResolver
	last *orgstore.Query
}

func (s spy) Resolve(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
	*s.last = q
	return s.MemberResolver.Resolve(ctx, q)
}

// peek remembers the last request that the policy saw.
type peek struct {
	Decider
	last *policy.Request
}

func (p peek) Decide(ctx context.Context, in *policy.Input) (policy.Decision, error) {
	*p.last = in.Request
	return p.Decider.Decide(ctx, in)
}
