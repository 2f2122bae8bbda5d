package middleware

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/policy"
)

type adventure struct {
	Name      string `json:"name"`
	StaffOnly bool   `json:"staff_only"`
}

// What does not exist is told only to those who may do the action.
func TestResource(t *testing.T) {
	t.Parallel()
	cliff := &adventure{"Cliff", true}
	loads := func(a *adventure, err error) Option {
		return Resource(func(*http.Request, *Principal) (*adventure, error) { return a, err })
	}
	custom := errors.New("gone")
	for name, tt := range map[string]struct {
		load    Option
		path    string
		allow   bool
		status  int
		body    string
		input   string
		unasked bool
	}{
		"there, allowed":             {load: loads(cliff, nil), allow: true, status: 200, body: "Cliff", input: `{"name":"Cliff","staff_only":true}`},
		"there, denied":              {load: loads(cliff, nil), status: 403, body: bodyDenied, input: `{"name":"Cliff","staff_only":true}`},
		"not there, allowed":         {load: loads(nil, fmt.Errorf("adventure 7: %w", ErrResourceNotFound)), allow: true, status: 404, body: bodyNotFound, input: "null"},
		"not there, denied":          {load: loads(nil, ErrResourceNotFound), status: 403, body: bodyDenied, input: "null"},
		"nil without an error":       {load: loads(nil, nil), allow: true, status: 404, body: bodyNotFound, input: "null"},
		"value beside not found":     {load: loads(cliff, ErrResourceNotFound), allow: true, status: 404, body: bodyNotFound, input: "null"},
		"by configuration":           {load: loads(nil, custom), allow: true, status: 404, body: bodyNotFound, input: "null"},
		"malformed value, allowed":   {load: loads(cliff, nil), path: "/orgs/acme/things/a%2fb", allow: true, status: 404, body: bodyNotFound, input: "null"},
		"malformed value, denied":    {load: loads(cliff, nil), path: "/orgs/acme/things/a%2fb", status: 403, body: bodyDenied, input: "null"},
		"outage":                     {load: loads(nil, errors.New("down")), allow: true, status: 503, body: bodyUnavailable, unasked: true},
		"a socket that is not there": {load: loads(nil, fs.ErrNotExist), allow: true, status: 503, body: bodyUnavailable, unasked: true},
		"no rows, not configured":    {load: loads(nil, sql.ErrNoRows), allow: true, status: 503, body: bodyUnavailable, unasked: true},
		"no JSON form": {load: Resource(func(*http.Request, *Principal) (chan int, error) { return make(chan int), nil }),
			allow: true, status: 503, body: bodyUnavailable, unasked: true},
		"not a member": {load: loads(cliff, nil), path: "/orgs/bravo/things/7", allow: true, status: 403, body: bodyNoAccess, unasked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input, asked := "", false
			g := guard(t, func(c *Config) {
				c.NotFound = func(err error) bool { return errors.Is(err, custom) }
				c.Policy = decideFunc(func(_ context.Context, in *policy.Input) (policy.Decision, error) {
					input, asked = string(in.Resource), true
					return policy.Decision{Allow: tt.allow}, nil
				})
			})
			mux := NewMux()
			mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
				got, found := ResourceFrom[*adventure](r.Context())
				if !found || got != cliff {
					t.Errorf("the handler got %v", got)
				}
				if _, found := ResourceFrom[adventure](r.Context()); found {
					t.Error("another type is found")
				}
				fmt.Fprint(w, got.Name)
			}, tt.load))
			if tt.path == "" {
				tt.path = "/orgs/acme/things/7"
			}
			w := serve(mux, request("GET", tt.path, "ada"))
			if w.Code != tt.status || w.Body.String() != tt.body || input != tt.input || asked == tt.unasked {
				t.Errorf("%d %s, the policy saw %q (%v)", w.Code, w.Body, input, asked)
			}
		})
	}
}

func TestLoaderGetsThePrincipal(t *testing.T) {
	t.Parallel()
	g, loaded := guard(t, nil), 0
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", ok,
		Resource(func(r *http.Request, who *Principal) (string, error) {
			loaded++
			if who.Org.ID != acme || MustPrincipal(r.Context()) != who || r.PathValue("id") != "7" || who.Decision.Allow {
				t.Errorf("the loader got %+v", who)
			}
			return "x", nil
		})))
	if w := serve(mux, request("GET", "/orgs/acme/things/7", "ada")); w.Code != 200 || loaded != 1 {
		t.Error(w.Code, loaded)
	}
}

// A loader is the application's own code: its panic is the application's to see, and the handler does not run.
func TestLoaderPanics(t *testing.T) {
	t.Parallel()
	g, ran := guard(t, nil), 0
	defer func() {
		if v := recover(); v != "loader" || ran != 0 {
			t.Error(v, ran)
		}
	}()
	serve(thing(g, &ran, Resource(func(*http.Request, *Principal) (int, error) { panic("loader") })), request("GET", "/orgs/acme/things/7", "ada"))
}

func TestWithoutResource(t *testing.T) {
	t.Parallel()
	if v := MustResource[string](WithResource(t.Context(), "x")); v != "x" {
		t.Errorf("%q", v)
	}
	for name, ctx := range map[string]context.Context{"none": t.Context(), "another type": WithResource(t.Context(), 7)} {
		func() {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, "of type string") {
					t.Errorf("%s: %s", name, said)
				}
			}()
			MustResource[string](ctx)
		}()
	}
	if v, found := ResourceFrom[string](t.Context()); found {
		t.Error(v)
	}
	if v, _ := ResourceFrom[string](WithResource(t.Context(), "x")); v != "x" {
		t.Error(v)
	}
}

func TestCan(t *testing.T) {
	t.Parallel()
	broken := errors.New("down")
	g := guard(t, func(c *Config) {
		c.Policy = decideFunc(func(_ context.Context, in *policy.Input) (policy.Decision, error) {
			switch in.Action {
			case "break:things":
				return policy.Decision{Allow: true}, broken
			case "panic:things":
				panic("policy")
			case "odd:things":
				return policy.Decision{Allow: true, Outcome: policy.Failed}, nil
			case "write:things":
				return policy.Decision{Outcome: policy.Denied, Reasons: []any{string(in.Resource)}}, nil
			case "never:things":
				return policy.Decision{Outcome: policy.Denied}, nil
			}
			if in.Subject.Member().ID != "ada" || in.Request.Pattern != "GET /orgs/{org}/things/{id}" {
				return policy.Decision{}, nil
			}
			return policy.Decision{Allow: true, Outcome: policy.Allowed, Obligations: map[string]any{"saw": string(in.Resource)}}, nil
		})
	})
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if d, err := g.Can(ctx, "delete:things"); err != nil || !d.Allow || d.Obligations["saw"] != `"route's own"` {
			t.Error(d, err)
		}
		if d, err := g.Can(ctx, "delete:things", On(adventure{"Cliff", false})); err != nil || !d.Allow || d.Obligations["saw"] != `{"name":"Cliff","staff_only":false}` {
			t.Error(d, err)
		}
		if d, err := g.Can(ctx, "write:things", On(nil)); err != nil || d.Allow || d.Reasons[0] != "null" {
			t.Error(d, err)
		}
		if d, err := g.Can(ctx, "odd:things"); err != nil || d.Allow {
			t.Error(d, err)
		}
		for _, action := range []string{"break:things", "panic:things"} {
			d, err := g.Can(ctx, action)
			if !errors.Is(err, ErrUnavailable) || d.Allow {
				t.Error(d, err)
			}
			w := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteRefusal(w, err) }), r)
			if w.Code != 503 || w.Body.String() != bodyUnavailable || w.Header().Get("Retry-After") != "1" {
				t.Error(w.Code, w.Body)
			}
		}
		for _, bad := range []func() (policy.Decision, error){
			func() (policy.Decision, error) { return g.Can(ctx, "") },
			func() (policy.Decision, error) { return g.Can(ctx, "x", On(make(chan int))) },
			func() (policy.Decision, error) { return g.Can(context.Background(), "x") },
		} {
			if d, err := bad(); err == nil || errors.Is(err, ErrUnavailable) || d.Allow {
				t.Error(d, err)
			}
		}
		if err := g.Check(ctx, "delete:things"); err != nil {
			t.Error(err)
		}
		for action, want := range map[string]Code{
			"write:things": CodePolicyDenied, "never:things": CodeInsufficientScope, "odd:things": CodePolicyFailed, "break:things": CodeUnavailable,
		} {
			no, ok := errors.AsType[*Refusal](g.Check(ctx, action, On("x")))
			if !ok || no.Code != want || no.Action != action || want == CodePolicyDenied && no.Reasons[0] != `"x"` {
				t.Errorf("Check(%s): %+v", action, no)
			}
		}
		if _, ok := errors.AsType[*Refusal](g.Check(context.Background(), "x")); ok {
			t.Error("Check without a Principal is a Refusal")
		}
		all, err := g.CanAll(ctx, "delete:things", "write:things")
		if err != nil || len(all) != 2 || !all["delete:things"].Allow || all["write:things"].Allow || all["other"].Allow {
			t.Error(all, err)
		}
		if all, err := g.CanAll(ctx, "delete:things", "break:things"); !errors.Is(err, broken) || all != nil {
			t.Error(all, err)
		}
		if all, err := g.CanAll(context.Background(), "x"); err == nil || all != nil {
			t.Error(all, err)
		}
	}, Resource(func(*http.Request, *Principal) (string, error) { return "route's own", nil })))
	if w := serve(mux, request("GET", "/orgs/acme/things/7", "ada")); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
}

func TestCanWithAPrincipalMadeByHand(t *testing.T) {
	t.Parallel()
	g := guard(t, nil)
	ctx := WithPrincipal(t.Context(), &Principal{Subject: "eva", Member: policy.Member{ID: "eva", Permissions: []string{"read:things"}}})
	all, err := g.CanAll(ctx, "read:things", "write:things")
	if err != nil || !all["read:things"].Allow || all["write:things"].Allow {
		t.Error(all, err)
	}
}

func TestWriteRefusalOfAnotherError(t *testing.T) {
	t.Parallel()
	w := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteRefusal(w, errors.New("a secret")) }), request("GET", "/", ""))
	if w.Code != 503 || w.Body.String() != bodyUnavailable {
		t.Error(w.Code, w.Body)
	}
}

// A Principal in the context is no credential, not even in a nested Require, and the inner one is the inner handler's.
func TestNestedRequire(t *testing.T) {
	t.Parallel()
	outer, inner := guard(t, nil), guard(t, func(c *Config) {
		c.Tokens = tokens{"ada": token("ada-inside", claims.Org{ID: acme})}
		c.Members = members{{acme, "ada-inside"}: access(acme, "acme", "ada-inside", "read:things")}
	})
	mux := NewMux()
	mux.Handle("GET /orgs/{org}/things", outer.Require("read:things", inner.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, MustPrincipal(r.Context()).Subject)
	})))
	if w := serve(mux, request("GET", "/orgs/acme/things", "ada")); w.Body.String() != "ada-inside" {
		t.Error(w.Code, w.Body)
	}
	r := request("GET", "/orgs/acme/things", "")
	r = r.WithContext(WithPrincipal(r.Context(), &Principal{Subject: "forged"}))
	if w := serve(mux, r); w.Code != 401 {
		t.Error(w.Code)
	}
	if !reflect.DeepEqual(outer.Stats().Refused, map[Code]uint64{CodeNoCredentials: 1}) {
		t.Error(outer.Stats())
	}
}
