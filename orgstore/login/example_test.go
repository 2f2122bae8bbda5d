package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/login"
)

// sign signs an access token with the embedder's key.
func sign(signer *claims.Signer, t *login.AccessToken) (string, error) {
	return signer.Sign(claims.Token{
		Subject: t.Subject, Audience: []string{t.Audience}, ClientID: t.ClientID, Org: claims.Org{ID: t.OrgID, Name: t.OrgName},
		Scopes: strings.Fields(t.Scope), Permissions: t.Permissions, ID: t.ID, IssuedAt: t.IssuedAt, Expiry: t.Expiry, Extra: t.Extra,
	})
}

// What Tokens, Switch, Refresh and ClientCredentials return is signed by the embedder.
func ExampleAccessToken() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := claims.NewSigner(claims.SignerConfig{Key: key, Issuer: "https://login.travel0.example/"})
	if err != nil {
		log.Fatal(err)
	}
	facts := login.Facts{
		Client:  &orgstore.Client{ID: "adventures", FirstParty: true},
		Session: &orgstore.Session{ID: "ses_0123456789abcdef", User: "auth0|jonno", AuthenticatedAt: time.Now()},
		Access: &orgstore.Access{
			Standing: orgstore.StandingMember, Principal: "auth0|jonno", Org: orgstore.AccessOrg{ID: "org_0123456789abcdef", Name: "rocky"},
			Member: orgstore.AccessMember{Permissions: []string{"read:trips"}},
		},
		API: &orgstore.API{
			Identifier: "https://trips.travel0.example", TokenLifetime: 600, RBAC: true, TokenDialect: orgstore.DialectPermissions,
			Permissions: []orgstore.APIPermission{{Name: "read:trips"}, {Name: "write:trips"}},
		},
		Scope: "openid read:trips write:trips", Now: time.Now(),
	}
	token, err := sign(signer, facts.AccessToken())
	if err != nil {
		log.Fatal(err)
	}

	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{claims.Plain("https://login.travel0.example/", "https://trips.travel0.example", signer.KeySet())},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer tokens.Close()
	who, err := tokens.Verify(context.Background(), token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(who.Subject, who.Org.ID, who.Permissions, login.MatchOrganization("org_0123456789abcdef", who.Org.ID, who.Org.Name))
	// Output: auth0|jonno org_0123456789abcdef [read:trips] true
}

// A user picks another organization: the application's server asks for its tokens, and sends the user to log in where that is
// what it takes.
func ExampleService_Switch() {
	var service *login.Service
	var signer *claims.Signer
	change := func(ctx context.Context, sid, organization string) (token string, err error) {
		tokens, err := service.Switch(ctx, login.SwitchRequest{
			Client: "adventures", Session: sid, Organization: organization, Audience: "https://trips.travel0.example", Scope: "read:trips",
		})
		refused, no := errors.AsType[*login.Error](err)
		switch {
		case no && refused.Again != nil: // to /authorize with organization, connection, acr_values and max_age
			return "", fmt.Errorf("log in to %s", refused.Again.Organization)
		case err != nil:
			return "", err
		}
		return sign(signer, tokens.Access)
	}
	_ = change
}
