// Quickstart protects one route with orgauthz, without any service beside it, and prints a request to try.
package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

const idp, audience = "https://idp.example/", "https://api.acme.example"

func main() {
	api, token := newAPI(context.Background())
	fmt.Printf("curl http://127.0.0.1:8080/orgs/acme/adventures -H 'Authorization: Bearer %s'\n", token)
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", api))
}

func newAPI(ctx context.Context) (api http.Handler, token string) {
	_, key, _ := ed25519.GenerateKey(nil) // stands for an identity provider: with a real one, claims.Auth0(url, audience)
	signer := must(claims.NewSigner(claims.SignerConfig{Issuer: idp, Key: key}))
	store := must(sqlite.Open(ctx, ":memory:", orgstore.Config{}))
	members := must(cached.New(store, cached.Config{}))
	tokens := must(claims.NewVerifier(claims.Config{Issuers: []claims.Issuer{claims.Plain(idp, audience, signer.KeySet())}}))
	guard := must(middleware.New(middleware.Config{Tokens: tokens, Members: members}))
	mux := http.NewServeMux()
	mux.Handle("GET /orgs/{org}/adventures", guard.RequireFunc("read:adventures", listAdventures))
	ada := claims.Token{Subject: "auth0|ada", Audience: []string{audience}, Org: claims.Org{ID: createAcme(ctx, store)}}
	return middleware.Problems(mux), must(signer.Sign(ada))
}

func listAdventures(w http.ResponseWriter, r *http.Request) {
	who := middleware.MustPrincipal(r.Context())
	fmt.Fprintf(w, "Hello %s, %v at %s\n", who.Member.ID, who.Member.Roles, who.Org.Name)
}

func createAcme(ctx context.Context, store *orgstore.Engine) (id string) {
	acme, _, err := store.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
	guide, _, err2 := store.Roles.Create(ctx, orgstore.Role{Name: "guide", Permissions: []string{"read:adventures"}})
	ada, _, err3 := store.Users.Create(ctx, orgstore.User{ID: "auth0|ada"})
	must(0, errors.Join(err, err2, err3))
	must(store.Members.Add(ctx, acme.ID, ada.ID, orgstore.MemberOptions{Roles: []string{guide.ID}}))
	return acme.ID
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
