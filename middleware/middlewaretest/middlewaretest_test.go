package middlewaretest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/middleware/middlewaretest"
	"github.com/orgauthz/orgauthz/policy"
)

func show(w http.ResponseWriter, r *http.Request) {
	who := middleware.MustPrincipal(r.Context())
	_ = json.NewEncoder(w).Encode([]any{who.Subject, who.Org, who.Member, who.Decision.Obligations})
}

func TestMember(t *testing.T) {
	t.Parallel()
	base := middlewaretest.Member("acme", "guide", "admin")
	ada := base.Subject("ada").Kind("freelancer").Permissions("b", "a").Permissions("a").Metadata("k", "v").Metadata("k2", "v2").
		OrgMetadata("plan", "gold").Resource(7).Obligations(map[string]any{"mask": true})

	who := ada.Principal()
	wantOrg := policy.Org{ID: "org_822b33ad87c148a0", Name: "acme", Status: "active", Metadata: map[string]string{"plan": "gold"}}
	wantMember := policy.Member{ID: "ada", Kind: "freelancer", Roles: []string{"admin", "guide"}, Permissions: []string{"a", "b"},
		Metadata: map[string]string{"k": "v", "k2": "v2"}}
	if who.Subject != "ada" || !reflect.DeepEqual(who.Org, wantOrg) || !reflect.DeepEqual(who.Member, wantMember) || !who.Decision.Allow {
		t.Errorf("%+v", who)
	}
	if p := base.Principal(); p.Subject != "test|member" || p.Member.Metadata != nil || p.Has("a") || p.Org.Metadata != nil {
		t.Errorf("the copy changed its origin: %+v", p)
	}
	if p := middlewaretest.Member("org_Acme").Principal(); p.Org.ID != "org_Acme" || p.Org.Name != "acme" {
		t.Errorf("%+v", p.Org)
	}
	if v, ok := middleware.ResourceFrom[int](ada.Context(context.Background())); !ok || v != 7 {
		t.Error("no resource")
	}
	if _, ok := middleware.ResourceFrom[int](base.Context(context.Background())); ok {
		t.Error("a resource from nowhere")
	}
	w, v := httptest.NewRecorder(), httptest.NewRecorder()
	ada.Wrap(http.HandlerFunc(show)).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	show(v, ada.Request(httptest.NewRequest("GET", "/", nil)))
	if w.Body.String() != v.Body.String() || w.Code != 200 {
		t.Error(w.Body, v.Body)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	ada := middlewaretest.Member("acme", "admin").Subject("ada").Permissions("read:things")
	ben := middlewaretest.Member("bravo").OrgID("org_2").Subject("ben")
	people := middlewaretest.NewDirectory(ada, ben, ada.OrgID("org_3").Subject("ada"))
	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people})
	if err != nil {
		t.Fatal(err)
	}
	mux := middleware.NewMux()
	mux.Handle("GET /orgs/{org}/things", guard.RequireFunc("read:things", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, middleware.MustPrincipal(r.Context()).Member.Roles)
	}))
	for name, tt := range map[string]struct {
		who    middlewaretest.M
		path   string
		status int
		body   string
	}{
		"allowed":         {ada, "/orgs/acme/things", 200, "[admin]"},
		"by id":           {ada, "/orgs/" + ada.Principal().Org.ID + "/things", 200, "[admin]"},
		"elsewhere":       {ada, "/orgs/bravo/things", 403, ""},
		"no permission":   {ben, "/orgs/bravo/things", 403, ""},
		"not a member":    {ada.Subject("eva"), "/orgs/acme/things", 401, ""},
		"another's token": {ada.OrgID("org_9"), "/orgs/acme/things", 401, ""},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, tt.who.Login(httptest.NewRequest("GET", tt.path, nil)))
		if w.Code != tt.status || tt.body != "" && w.Body.String() != tt.body {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("two members under one name are accepted")
		}
	}()
	middlewaretest.NewDirectory(ada, ada.Permissions("x"))
}

func ExampleMember() {
	greet := func(w http.ResponseWriter, r *http.Request) {
		who := middleware.MustPrincipal(r.Context())
		fmt.Fprintln(w, "hello", who.Subject, "of", who.Org.Name, who.Has("create:adventures"))
	}

	ada := middlewaretest.Member("acme", "admin").Subject("ada").Permissions("create:adventures")
	w := httptest.NewRecorder()
	greet(w, ada.Request(httptest.NewRequest("GET", "/orgs/acme/hello", nil)))
	fmt.Print(w.Body)
	// Output: hello ada of acme true
}
