package claims

import (
	"encoding/json"
	"time"
)

// Claims is what a verified access token says. The Verifier hands the same value to every request that carries the same
// token, so neither it nor anything it points to may be changed.
//
// A claim that the token does not carry is the zero value of its field.
type Claims struct {
	Issuer    string    // iss, byte for byte as the token spells it
	Subject   string    // sub: a user id, or "<client id>@clients" for a machine (Auth0)
	ID        string    // jti
	Audience  []string  // aud; a single string is a list of one
	Expiry    time.Time // exp, always present
	IssuedAt  time.Time // iat
	NotBefore time.Time // nbf
	ClientID  string    // client_id (RFC 9068) or azp

	Org         Org      // the organization that the token is scoped to, as the issuer's Dialect finds it
	Scopes      []string // scope, split at spaces (RFC 8693)
	Roles       []string // roles that the issuer wrote into the token; they inform, they never grant
	Permissions []string // permissions that the issuer wrote into the token (Auth0 RBAC); they inform, they never grant

	SessionID string    // sid
	ACR       string    // acr
	AMR       []string  // amr
	AuthTime  time.Time // auth_time

	Actor        *Actor       // act (RFC 8693 section 4.1), nil when nobody acts for the subject
	Confirmation Confirmation // cnf (RFC 7800)

	payload []member // every claim, in the token's order
}

// Org names the organization that a token is scoped to. ID decides; Name is a hint that may be stale. A claim that is null or
// "" is as good as none: the token has no organization, which is no fault of the token. A claim of another JSON type makes it
// malformed, except a name beside an ID, which is then left out.
type Org struct {
	ID   string // org_id with Auth0, empty when the token names the organization by name only
	Name string // org_name with Auth0
}

// IsZero reports whether the token names no organization at all.
func (o Org) IsZero() bool { return o.ID == "" && o.Name == "" }

// Actor is the party that acts for the subject (RFC 8693 section 4.1).
type Actor struct {
	Subject  string // sub of the actor
	ClientID string // client_id of the actor
	Actor    *Actor // whom this actor acts through, nil at the end of the chain
}

// Confirmation binds a token to a key of the sender (RFC 7800).
type Confirmation struct {
	JKT     string // jkt: thumbprint of a DPoP key (RFC 9449)
	X5TS256 string // x5t#S256: thumbprint of a TLS client certificate (RFC 8705)
}

// Claim returns a copy of the JSON of one claim of the payload, standard or private, and whether the token carries it.
func (c *Claims) Claim(name string) (json.RawMessage, bool) {
	for _, m := range c.payload {
		if m.name == name {
			return json.RawMessage(m.raw), true
		}
	}
	return nil, false
}
