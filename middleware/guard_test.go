package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

func TestNewReportsAllProblems(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		Tokens: (*claims.Verifier)(nil), Policy: (*policy.Engine)(nil), // as constructors return them beside an error
		Realm: `a"b`, Timeout: -1, ClockSkew: -1, Subjects: -1,
		Options: []Option{nil, OrgFromPath(""), OrgFromHeader("a b"), OrgFromHost("example.com"), Resource[int](nil)},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Config.Tokens", "Config.Members", "Config.Policy is a nil *policy.Engine", "Config.Realm", "Config.Timeout", "Config.ClockSkew", "Config.Subjects",
		"an Option is nil", "OrgFromPath", "OrgFromHeader", "OrgFromHost", "Resource needs a function",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in %v", want, err)
		}
	}
}

func TestRequirePanicsOnMisuse(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	h := http.HandlerFunc(ok)
	for name, tt := range map[string]struct {
		register func()
		says     string
	}{
		"no action":        {func() { g.Require("", h) }, "scope-token"},
		"action and space": {func() { g.Require("read things", h) }, "scope-token"},
		"action and quote": {func() { g.Require(`read"`, h) }, "scope-token"},
		"no handler":       {func() { g.Require("read:things", nil) }, "the handler is nil"},
		"no function":      {func() { g.RequireFunc("read:things", nil) }, "the handler is nil"},
		"two resources": {func() {
			load := func(*http.Request, *Principal) (int, error) { return 0, nil }
			g.Require("read:things", h, Resource(load), Resource(load))
		}, "twice"},
		"bad option": {func() { g.Middleware("read:things", OrgFromHost("x"))(h) }, "host suffix"},
		"pattern without the organization, at a Mux": {func() { NewMux().Handle("GET /things/{id}", g.Require("read:things", h)) },
			"no wildcard {org}"},
		"pattern without the organization, at a request": {func() {
			mux := http.NewServeMux()
			mux.Handle("GET /things/{id}", g.Require("read:things", h))
			serve(mux, request("GET", "/things/7", "ada"))
		}, "no wildcard {org}"},
		"no mux at all": {func() { serve(g.Require("read:things", h), request("GET", "/orgs/acme/things", "ada")) }, "no wildcard {org}"},
		"around a mux": {func() {
			mux := http.NewServeMux()
			mux.Handle("GET /orgs/{org}/things", h)
			serve(g.Require("read:things", mux), request("GET", "/orgs/acme/things", "ada"))
		}, `"GET /orgs/{org}/things" has no wildcard {org}`},
		"no principal":          {func() { MustPrincipal(context.Background()) }, "Guard.Require"},
		"nil function at a Mux": {func() { NewMux().HandleFunc("GET /x", nil) }, "the handler is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, tt.says) {
					t.Errorf("panic %q, want one about %q", got, tt.says)
				}
			}()
			tt.register()
		})
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	var seen *policy.Input
	decision := policy.Decision{Allow: true, Outcome: policy.Allowed, Obligations: map[string]any{"mask": true}, Revision: "r1"}
	g := guard(t, func(c *Config) {
		c.Policy = decideFunc(func(_ context.Context, in *policy.Input) (policy.Decision, error) {
			seen = in
			return decision, nil
		})
	})
	type outerKey struct{}
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things/{id}/{rest...}", g.RequireFunc("read:things", func(_ http.ResponseWriter, r *http.Request) {
		who := MustPrincipal(r.Context())
		if who.Subject != "ada" || who.Action != "read:things" || who.Token.Issuer != "https://issuer.example/" {
			t.Errorf("principal %+v", who)
		}
		if who.Org.ID != acme || who.Org.Name != "acme" || who.Org.Status != "active" || who.Org.Metadata["plan"] != "gold" {
			t.Errorf("organization %+v", who.Org)
		}
		if who.Member.ID != "ada" || who.Member.Kind != "employee" || !reflect.DeepEqual(who.Member.Roles, []string{"guide"}) {
			t.Errorf("member %+v", who.Member)
		}
		if !who.Has("read:things") || who.Has("write:things") {
			t.Error("Has is wrong")
		}
		if !reflect.DeepEqual(who.Decision, decision) {
			t.Errorf("decision %+v", who.Decision)
		}
		if r.PathValue("id") != "7" || r.Context().Value(outerKey{}) != 1 {
			t.Error("the handler's request lost something")
		}
		if _, ok := r.Context().Deadline(); ok {
			t.Error("the Guard's deadline reached the handler")
		}
		if s := fmt.Sprint(r.Context()); strings.Contains(s, "ada") {
			t.Errorf("a printed context says %s", s)
		}
	}))
	r := request("HEAD", "/orgs/acme/things/7/a/b", "ada")
	r = r.WithContext(context.WithValue(r.Context(), outerKey{}, 1))
	if w := serve(mux, r); w.Code != 200 {
		t.Fatal(w.Code, w.Body)
	}
	want := policy.Request{Method: "HEAD", Pattern: "GET /orgs/{org}/things/{id}/{rest...}", Params: []policy.Param{
		{Name: "org", Value: "acme"}, {Name: "id", Value: "7"}, {Name: "rest", Value: "a/b"},
	}}
	if !reflect.DeepEqual(seen.Request, want) || seen.Action != "read:things" || seen.Resource != nil {
		t.Errorf("the policy saw %+v", seen)
	}
	if got := seen.Subject.Token(); got.Subject != "ada" || got.Issuer != "https://issuer.example/" || got.AuthTime != 0 || len(got.Scopes) != 1 {
		t.Errorf("the policy saw %+v", got)
	}
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		config func(*Config)
		req    Request
		code   Code
	}{
		{name: "allowed", req: Request{Token: "ada", Action: "read:things"}},
		{name: "allowed with hints", req: Request{Token: "ada", Action: "read:things", Organizations: []string{"acme", acme}}},
		{name: "allowed with claims", req: Request{Claims: token("ada", claims.Org{ID: acme}), Action: "read:things"}},
		{name: "report-only is of no effect", config: func(c *Config) { c.ReportOnly = true },
			req: Request{Token: "ben", Action: "write:things"}, code: CodeInsufficientScope},
		{name: "nothing", req: Request{Action: "read:things"}, code: CodeNoCredentials},
		{name: "bad token", req: Request{Token: "x", Action: "read:things"}, code: CodeInvalidToken},
		{name: "one hint differs", req: Request{Token: "ada", Action: "read:things", Organizations: []string{"acme", "bravo"}}, code: CodeNoOrganizationAccess},
		{name: "an empty hint", req: Request{Token: "ada", Action: "read:things", Organizations: []string{""}}, code: CodeNoOrganizationAccess},
		{name: "permission missing", req: Request{Token: "ada", Action: "write:things"}, code: CodeInsufficientScope},
		{name: "policy out of reach", config: failingPolicy(errors.New("down")), req: Request{Token: "ada", Action: "read:things"}, code: CodeUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			who, err := guard(t, tt.config).Authorize(t.Context(), tt.req)
			if tt.code == "" {
				if err != nil || who == nil || who.Subject != "ada" {
					t.Fatal(who, err)
				}
				return
			}
			no, ok := errors.AsType[*Refusal](err)
			if !ok || who != nil || no.Code != tt.code || no.Status != table[rowOf(tt.code)].status || no.Action != tt.req.Action ||
				no.Type != "urn:orgauthz:problem:"+string(tt.code) {
				t.Fatalf("%+v %v", who, err)
			}
			if errors.Is(err, ErrUnavailable) != (tt.code == CodeUnavailable) {
				t.Error("a no and a don't know are mixed")
			}
			if !strings.Contains(err.Error(), string(tt.code)) || !strings.Contains(err.Error(), tt.req.Action) {
				t.Errorf("the error says %v", err)
			}
		})
	}
}

func TestAuthorizeRefusesRequestsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for name, req := range map[string]Request{
		"no action": {Token: "ada"}, "no scope-token": {Token: "ada", Action: "a b"},
		"token and claims": {Token: "ada", Claims: &claims.Claims{}, Action: "read:things"},
	} {
		who, err := guard(t, nil).Authorize(t.Context(), req)
		if _, refused := errors.AsType[*Refusal](err); who != nil || err == nil || refused {
			t.Errorf("%s: %v %v", name, who, err)
		}
	}
}

func TestAuthorizePassesOn(t *testing.T) {
	t.Parallel()
	want := orgstore.Vector{{Scope: orgstore.OrganizationScope(acme), Revision: 7}}
	var query orgstore.Query
	var input policy.Input
	g := guard(t, func(c *Config) {
		c.Members = resolveFunc(func(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
			query = q
			return access(acme, "acme", "ada"), nil
		})
		c.Policy = decideFunc(func(_ context.Context, in *policy.Input) (policy.Decision, error) {
			input = *in
			return policy.Decision{Allow: true, Outcome: policy.Allowed}, nil
		})
	})
	params := []policy.Param{{Name: "id", Value: "7"}}
	if _, err := g.Authorize(t.Context(), Request{
		Token: "ada", Action: "write:things", AtLeast: want, Strong: true, Method: "JOB", Pattern: "queue/things", Params: params,
		Resource: json.RawMessage(`{"a":1}`),
	}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(query, orgstore.Query{Org: acme, Principal: "ada", AtLeast: want, Strong: true}) {
		t.Errorf("query %+v", query)
	}
	if !reflect.DeepEqual(input.Request, policy.Request{Method: "JOB", Pattern: "queue/things", Params: params}) || string(input.Resource) != `{"a":1}` {
		t.Errorf("input %+v", input)
	}
}

// One deadline covers the three questions; who gives up waiting, or takes too long, is refused as "don't know".
func TestTimeout(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, change := range map[string]func(*Config){
		"verifier": verifying(func(ctx context.Context, _ string) (*claims.Claims, error) { return nil, hang(ctx) }),
		"resolver": resolving(func(ctx context.Context, _ orgstore.Query) (*orgstore.Access, error) { return nil, hang(ctx) }),
		"policy": func(c *Config) {
			c.Policy = decideFunc(func(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
				return policy.Decision{}, hang(ctx)
			})
		},
		"all together": func(c *Config) {
			tk, mb := world()
			slow := func(ctx context.Context) error {
				select {
				case <-time.After(c.Timeout * 2 / 5):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			c.Tokens = verifyFunc(func(ctx context.Context, s string) (*claims.Claims, error) {
				if err := slow(ctx); err != nil {
					return nil, err
				}
				return tk.Verify(ctx, s)
			})
			c.Members = resolveFunc(func(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
				if err := slow(ctx); err != nil {
					return nil, err
				}
				return mb.Resolve(ctx, q)
			})
			c.Policy = decideFunc(func(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
				return policy.Decision{Allow: true, Outcome: policy.Allowed}, slow(ctx)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := guard(t, func(c *Config) { c.Timeout = 700 * time.Millisecond; change(c) })
				ran, began := 0, time.Now()
				w := serve(thing(g, &ran), request("GET", "/orgs/acme/things/7", "ada"))
				if w.Code != 503 || ran != 0 {
					t.Errorf("%d %s", w.Code, w.Body)
				}
				if took := time.Since(began); took != 700*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
	t.Run("client goes away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := guard(t, resolving(func(ctx context.Context, _ orgstore.Query) (*orgstore.Access, error) { return nil, hang(ctx) }))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			_, err := g.Authorize(ctx, Request{Token: "ada", Action: "read:things"})
			if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
	t.Run("a loader takes none of it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := guard(t, func(c *Config) {
				c.Policy = decideFunc(func(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
					deadline, _ := ctx.Deadline()
					if left := time.Until(deadline); left != defaultTimeout {
						t.Errorf("%v left for the policy", left)
					}
					return policy.Decision{Allow: true, Outcome: policy.Allowed}, ctx.Err()
				})
			})
			ran := 0
			w := serve(thing(g, &ran, Resource(func(r *http.Request, _ *Principal) (int, error) {
				time.Sleep(10 * defaultTimeout)
				return 1, r.Context().Err()
			})), request("GET", "/orgs/acme/things/7", "ada"))
			if w.Code != 200 {
				t.Error(w.Code, w.Body)
			}
		})
	})
}

func TestReportOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	report := func(change func(*Config)) func(*Config) {
		return func(c *Config) {
			c.ReportOnly, c.Logger = true, slog.New(slog.NewTextHandler(&log, nil))
			if change != nil {
				change(c)
			}
		}
	}
	g := guard(t, report(nil))
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "report-only") {
		t.Errorf("New is not loud: %s", &log)
	}
	for name, tt := range map[string]struct {
		guard     *Guard
		bearer    string
		path      string
		principal bool
		code      Code
	}{
		"allowed":              {g, "ada", "/orgs/acme/things/7", true, ""},
		"no token":             {g, "", "/orgs/acme/things/7", false, CodeNoCredentials},
		"bad token":            {g, "x", "/orgs/acme/things/7", false, CodeInvalidToken},
		"another organization": {g, "ada", "/orgs/bravo/things/7", false, CodeNoOrganizationAccess},
		"denied": {guard(t, report(answering(policy.Decision{Outcome: policy.Denied, Revision: "r9"}))), "ada",
			"/orgs/acme/things/7", true, CodePolicyDenied},
		"unknown": {guard(t, report(failingPolicy(errors.New("down")))), "ada", "/orgs/acme/things/7", true, CodeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			before := tt.guard.Stats()
			ran := false
			mux := NewMux()
			mux.Handle("GET /orgs/{org}/things/{id}", tt.guard.RequireFunc("read:things", func(_ http.ResponseWriter, r *http.Request) {
				ran = true
				who, got := PrincipalFrom(r.Context())
				if got != tt.principal {
					t.Errorf("principal %v", who)
				}
				if got && who.Decision.Allow != (tt.code == "") {
					t.Errorf("decision %+v", who.Decision)
				}
				if r.PathValue("id") != "7" {
					t.Error("path values are lost")
				}
			}))
			serve(mux, request("GET", tt.path, tt.bearer))
			after := tt.guard.Stats()
			loud := strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "let through")
			if !ran || loud != (tt.code != "") {
				t.Errorf("ran %v, log %s", ran, &log)
			}
			if tt.code != "" && (after.Reported != before.Reported+1 || after.Refused[tt.code] != before.Refused[tt.code]+1) {
				t.Errorf("not counted: %+v", after)
			}
		})
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	g, ran := guard(t, nil), 0
	mux := thing(g, &ran)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { serve(mux, request("GET", "/orgs/acme/things/7", "")) })
		wg.Go(func() { serve(mux, request("GET", "/orgs/bravo/things/7", "ada")) })
	}
	wg.Wait()
	want := Stats{Refused: map[Code]uint64{CodeNoCredentials: 10, CodeNoOrganizationAccess: 10}}
	if got := g.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// Many requests of different people at once each get their own Principal.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	g := guard(t, func(c *Config) { c.Subjects = 1 })
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/who", g.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
		who := MustPrincipal(r.Context())
		fmt.Fprint(w, who.Subject, "@", who.Org.Name)
	}))
	server := httptest.NewServer(mux)
	defer server.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			who, org := "ada", "acme"
			if i%2 == 1 {
				who, org = "ben", "bravo"
			}
			for range 50 {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/orgs/"+org+"/who", nil)
				r.Header.Set("Authorization", "Bearer "+who)
				answer, err := server.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				var body bytes.Buffer
				_, _ = body.ReadFrom(answer.Body)
				_ = answer.Body.Close()
				if body.String() != who+"@"+org {
					t.Errorf("%s was answered %q", who, &body)
				}
			}
		})
	}
	wg.Wait()
	server.Client().CloseIdleConnections()
}
