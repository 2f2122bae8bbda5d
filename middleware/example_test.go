package middleware_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/middleware/middlewaretest"
	"github.com/orgauthz/orgauthz/policy"
)

// A token, a membership and a policy before one route. The members come from middlewaretest here; a product has an engine of
// orgstore, and package cached before it.
func Example() {
	ada := middlewaretest.Member("acme", "guide").Subject("auth0|ada").Permissions("read:adventures")
	members := middlewaretest.NewDirectory(ada)

	_, key, _ := ed25519.GenerateKey(nil)
	signer, err := claims.NewSigner(claims.SignerConfig{Issuer: "https://idp.example/", Key: key})
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{claims.Plain("https://idp.example/", "https://api.example", signer.KeySet())},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()
	rules, err := policy.Open(context.Background(), policy.Config{Timeout: time.Second, Source: policy.FS(fstest.MapFS{"authz.rego": {Data: []byte(`
		package authz
		default allow := false
		allow if input.action in input.member.permissions
		deny contains "closed" if input.request.params.id == "13"
	`)}})})
	if err != nil {
		log.Fatal(err)
	}
	defer rules.Close()

	guard, err := middleware.New(middleware.Config{Tokens: tokens, Members: members, Policy: rules})
	if err != nil {
		log.Fatal(err)
	}
	mux := middleware.NewMux()
	mux.Handle("GET /orgs/{org}/adventures/{id}", guard.RequireFunc("read:adventures", func(w http.ResponseWriter, r *http.Request) {
		who := middleware.MustPrincipal(r.Context())
		fmt.Fprintf(w, "%s, %s at %s\n", who.Subject, strings.Join(who.Member.Roles, ", "), who.Org.Name)
	}))
	api := middleware.Problems(mux)

	token, err := signer.Sign(claims.Token{
		Subject: "auth0|ada", Audience: []string{"https://api.example"}, Org: claims.Org{ID: ada.Principal().Org.ID},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range []string{"/orgs/acme/adventures/1", "/orgs/acme/adventures/13", "/orgs/bravo/adventures/1"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 auth0|ada, guide at acme
	// 403 {"type":"urn:orgauthz:problem:policy_denied","title":"Denied by policy","status":403,"reasons":["closed"]}
	// 403 {"type":"urn:orgauthz:problem:no_organization_access","title":"No access to this organization","status":403}
}

type adventure struct {
	Name  string `json:"name"`
	Owner string `json:"owner"`
}

// A resource is loaded once, for the policy and for the handler; what does not exist is told only to who may ask.
func ExampleResource() {
	ada := middlewaretest.Member("acme", "guide").Permissions("read:adventures")
	people := middlewaretest.NewDirectory(ada)
	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people})
	if err != nil {
		log.Fatal(err)
	}

	load := middleware.Resource(func(r *http.Request, who *middleware.Principal) (*adventure, error) {
		if who.Org.Name != "acme" || r.PathValue("id") != "1" {
			return nil, middleware.ErrResourceNotFound
		}
		return &adventure{Name: "Cliff", Owner: "ada"}, nil
	})
	show := func(w http.ResponseWriter, r *http.Request) {
		a, _ := middleware.ResourceFrom[*adventure](r.Context())
		fmt.Fprintln(w, a.Name)
	}
	mux := middleware.NewMux()
	mux.Handle("GET /orgs/{org}/adventures/{id}", guard.RequireFunc("read:adventures", show, load))
	mux.Handle("DELETE /orgs/{org}/adventures/{id}", guard.RequireFunc("delete:adventures", show, load))

	for _, request := range []string{"GET /orgs/acme/adventures/1", "GET /orgs/acme/adventures/2", "DELETE /orgs/acme/adventures/2"} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, ada.Login(httptest.NewRequest(method, path, nil)))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 Cliff
	// 404 {"type":"urn:orgauthz:problem:not_found","title":"Not Found","status":404}
	// 403 {"type":"urn:orgauthz:problem:insufficient_scope","title":"A permission is missing","status":403}
}

// A job asks the same question without HTTP, and keeps "no" apart from "don't know".
func ExampleGuard_Authorize() {
	ada := middlewaretest.Member("acme", "guide").Permissions("export:ratings")
	people := middlewaretest.NewDirectory(ada)
	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people})
	if err != nil {
		log.Fatal(err)
	}
	for _, action := range []string{"export:ratings", "delete:ratings"} {
		who, err := guard.Authorize(context.Background(), middleware.Request{Token: ada.Token(), Action: action})
		switch {
		case errors.Is(err, middleware.ErrUnavailable):
			fmt.Println("try again later")
		case err != nil:
			fmt.Println("drop the job:", err)
		default:
			fmt.Println("work for", who.Subject)
		}
	}
	// Output:
	// work for test|member
	// drop the job: middleware: delete:ratings refused: insufficient_scope
}

// A handler asks about other actions, such as those that a page offers as buttons.
func ExampleGuard_CanAll() {
	ada := middlewaretest.Member("acme", "guide").Permissions("read:adventures", "update:adventures")
	people := middlewaretest.NewDirectory(ada)
	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people})
	if err != nil {
		log.Fatal(err)
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		can, err := guard.CanAll(r.Context(), "update:adventures", "delete:adventures")
		if err != nil {
			middleware.WriteRefusal(w, err) // nobody knows: 503
			return
		}
		fmt.Fprintln(w, "update:", can["update:adventures"].Allow, "delete:", can["delete:adventures"].Allow)
	}
	w := httptest.NewRecorder()
	handler(w, ada.Request(httptest.NewRequest("GET", "/", nil)))
	fmt.Print(w.Body)
	// Output: update: true delete: false
}

// A test that fails when somebody registers a route and forgets the guard.
func ExampleGuard_Audit() {
	people := middlewaretest.NewDirectory()
	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people})
	if err != nil {
		log.Fatal(err)
	}
	h := func(http.ResponseWriter, *http.Request) {}
	mux := middleware.NewMux()
	mux.HandleFunc("GET /healthz", h)
	mux.Handle("GET /orgs/{org}/adventures", guard.RequireFunc("read:adventures", h))
	mux.HandleFunc("DELETE /orgs/{org}/adventures/{id}", h)

	fmt.Println(guard.Audit(mux, "GET /healthz"))
	// Output: middleware: "DELETE /orgs/{org}/adventures/{id}" is not guarded: put Guard.Require around its handler, or name it public
}
