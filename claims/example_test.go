package claims_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"

	"github.com/orgauthz/orgauthz/claims"
)

func ExampleNewVerifier() {
	// The keys are fetched in the background; a token that comes before them waits for them, as long as its context lasts.
	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{claims.Auth0("https://acme.eu.auth0.com/", "https://api.acme.example")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()

	ctx, token := context.Background(), "the token of a request"
	who, err := tokens.Verify(ctx, token)
	switch {
	case errors.Is(err, claims.ErrInvalid): // 401
		refusal, _ := errors.AsType[*claims.Error](err)
		log.Print("refused: ", refusal.Code)
	case err != nil: // 503
		log.Print("cannot know: ", err)
	default:
		log.Print(who.Subject, " of ", who.Org.ID)
	}
}

// Any OpenID Connect provider whose access tokens are JWTs. Its URLs are in its /.well-known/openid-configuration, as "issuer"
// and "jwks_uri"; where its tokens put things is in a token of its own.
func ExampleIssuer() {
	provider := claims.Issuer{
		URL:      "https://login.example/realms/acme", // with or without the last slash, as iss has it
		Audience: []string{"https://api.acme.example"},
		JWKSURL:  "https://login.example/realms/acme/protocol/openid-connect/certs",
		Dialect: claims.Dialect{
			Types: []string{"at+jwt", "JWT"}, // JWT where the provider does not follow RFC 9068
			OrgID: "https://acme.example/tenant_id",
			Roles: "groups",
			// The others are org_name and permissions.
		},
	}
	tokens, err := claims.NewVerifier(claims.Config{Issuers: []claims.Issuer{provider}})
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()
}

func ExampleSigner() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := claims.NewSigner(claims.SignerConfig{Key: key, Issuer: "https://login.acme.example/"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := signer.Sign(claims.Token{
		Subject:  "user_ann",
		Audience: []string{"https://api.acme.example"},
		Org:      claims.Org{ID: "org_granite", Name: "granite-outpost"},
	})
	if err != nil {
		log.Fatal(err)
	}

	// In the same process the signer's own key set will do. Elsewhere, serve signer.JWKS() and set Issuer.JWKSURL.
	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{claims.Plain("https://login.acme.example/", "https://api.acme.example", signer.KeySet())},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()
	who, err := tokens.Verify(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(who.Subject, who.Org.ID, who.Org.Name)
	// Output: user_ann org_granite granite-outpost
}

func ExampleParseKeySet() {
	keys, err := claims.ParseKeySet([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{claims.Plain("https://idp.example/", "https://api.acme.example", keys)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(tokens.Health(context.Background()), tokens.Close())
	// Output: <nil> <nil>
}
