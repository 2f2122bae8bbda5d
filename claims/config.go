package claims

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Config is what a Verifier is made from. Only Issuers is required.
type Config struct {
	// Issuers whose tokens are accepted, each with its own keys. At least one; no two with the same URL.
	Issuers []Issuer

	// MaxTokenBytes is the length above which a token is refused unread. 0 means 8 KiB.
	MaxTokenBytes int
	// Leeway is how far the clocks of issuer and verifier may differ. 0 means 30 s, a negative value none; at most 10 min.
	Leeway time.Duration
	// MaxLifetime is the longest time from iat to exp; from nbf in a token without iat, from now in one with neither. 0 means
	// 24 h.
	MaxLifetime time.Duration
	// CacheBytes bounds the memory of the cache of verified tokens, about 2.5 KB each. 0 means 64 MiB, a negative value no
	// cache.
	CacheBytes int

	// RefreshInterval is the longest time between two fetches of keys from a JWKSURL; the shortest is two thirds of it. 0
	// means 15 min.
	RefreshInterval time.Duration
	// UnknownKeyInterval is the shortest time between two fetches of an issuer's keys on behalf of tokens with an unknown
	// kid, whoever sends them and whether the fetch succeeds or not. In between, such a token is refused if the last fetch
	// succeeded, and answered with ErrUnavailable if it failed. 0 means 1 min.
	UnknownKeyInterval time.Duration
	// MaxKeyAge is how long fetched keys, and the cached tokens that they vouch for, are used while they cannot be fetched
	// again: no answer, a status other than 200, or a body that is no JSON Web Key Set. After that Verify answers
	// ErrUnavailable. 0 means 24 h. It is no grace for a withdrawn key: a key set without it, be it one without any usable
	// key, ends the key at once.
	MaxKeyAge time.Duration

	// HTTPClient fetches keys. Its CheckRedirect is not used. Nil means a client of the package's own, which honours the proxy
	// settings that net/http reads from the environment.
	HTTPClient *http.Client
	// Clock tells the time. Nil means time.Now.
	Clock func() time.Time
	// Logger gets what an operator should know: keys that cannot be fetched or are not used. Nil discards it.
	Logger *slog.Logger

	// InsecureSkipConfirmation accepts tokens with a cnf claim (RFC 7800), which say that they are worth nothing without a proof
	// of the sender's key. Only for an embedder who checks that proof (DPoP, RFC 9449; mutual TLS, RFC 8705) against
	// Claims.Confirmation for every request.
	InsecureSkipConfirmation bool
}

// Issuer is one party whose tokens are accepted. [Auth0] and [Plain] make the usual ones. For any other OpenID Connect provider
// write it out: URL and JWKSURL are the "issuer" and the "jwks_uri" of its document at /.well-known/openid-configuration,
// which is not fetched, and Dialect says how its access tokens differ from RFC 9068.
type Issuer struct {
	// URL is the exact iss of its tokens, byte for byte: with "https://acme.example" a token of "https://acme.example/" is
	// refused. Required.
	URL string
	// Audience are the names of this API: a token must carry one of them in aud. Required; without it, tokens made for others
	// would be accepted.
	Audience []string

	// Keys are the issuer's keys, given. Exactly one of Keys and JWKSURL is required.
	Keys *KeySet
	// JWKSURL is where the issuer publishes its keys. They are fetched in the background. Only https, or http to this machine.
	JWKSURL string
	// InsecureKeysOverHTTP allows a JWKSURL without TLS. Whoever can change what it answers can mint any token.
	InsecureKeysOverHTTP bool

	// Algorithms is the allow-list of alg. Empty means RS256, ES256, EdDSA and PS256, which are also all that there are.
	Algorithms []string
	// Dialect says how the issuer writes its tokens. The zero value is that of [Plain].
	Dialect Dialect
}

// Dialect says which tokens of an issuer are access tokens, and where it puts what this library looks for. Each zero field
// has a default.
type Dialect struct {
	// Types are the accepted values of the header's typ, in any case, with or without "application/". Empty means at+jwt (RFC
	// 9068). Where a typ other than at+jwt is accepted, a token with it is refused that looks like an ID token: one with a nonce,
	// an at_hash, or with the client's own id in aud.
	Types []string
	// Names of the claims, exactly as they stand at the top level of the payload, such as "tenant" or "https://acme.example/org":
	// dots and slashes are parts of a name, there are no paths into objects. OrgID and OrgName are strings, Permissions and Roles
	// lists of strings. "" means org_id, org_name, permissions and roles.
	OrgID, OrgName, Permissions, Roles string
}

const auth0KeyPath = ".well-known/jwks.json"

// Auth0 is the Issuer for an Auth0 tenant, whose issuerURL is "https://<tenant domain>/" (a missing last slash is added), and
// for the API whose identifier is audience. Its JWKSURL is issuerURL + ".well-known/jwks.json", where Auth0 publishes the
// tenant's keys; another provider's may lie elsewhere, see [Issuer]. It accepts both of Auth0's token profiles: typ at+jwt (RFC
// 9068), and JWT with the precautions that [Dialect] describes. Roles are not in Auth0's tokens unless an Action puts them
// there: set Dialect.Roles to the name that it uses.
func Auth0(issuerURL, audience string) Issuer {
	if issuerURL != "" && !strings.HasSuffix(issuerURL, "/") {
		issuerURL += "/"
	}
	return Issuer{
		URL:      issuerURL,
		Audience: []string{audience},
		JWKSURL:  issuerURL + auth0KeyPath,
		Dialect:  Dialect{Types: []string{"at+jwt", "JWT"}},
	}
}

// Plain is the Issuer whose tokens follow RFC 9068, typ at+jwt only, with the organization in org_id and org_name. It is the
// dialect of [Signer].
func Plain(issuerURL, audience string, keys *KeySet) Issuer {
	return Issuer{URL: issuerURL, Audience: []string{audience}, Keys: keys}
}

func (c Config) withDefaults() Config {
	orDefault(&c.MaxTokenBytes, 8<<10)
	orDefault(&c.Leeway, 30*time.Second)
	orDefault(&c.MaxLifetime, 24*time.Hour)
	orDefault(&c.CacheBytes, 64<<20)
	orDefault(&c.RefreshInterval, defaultRefresh)
	orDefault(&c.UnknownKeyInterval, time.Minute)
	orDefault(&c.MaxKeyAge, 24*time.Hour)
	c.Leeway = max(c.Leeway, 0)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate returns every problem of a Config with defaults.
func (c Config) validate() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("claims: "+format, args...))
	}
	if c.MaxTokenBytes < 0 {
		problem("Config.MaxTokenBytes is %d: want a number of bytes, or 0 for 8 KiB", c.MaxTokenBytes)
	}
	if c.Leeway > 10*time.Minute {
		problem("Config.Leeway is %s: clocks that far apart are to be mended, at most 10m is accepted", c.Leeway)
	}
	if c.MaxLifetime < 0 || c.MaxLifetime > 10*365*24*time.Hour {
		problem("Config.MaxLifetime is %s: want a positive duration of at most ten years, or 0 for 24h", c.MaxLifetime)
	}
	for name, d := range map[string]time.Duration{
		"RefreshInterval": c.RefreshInterval, "UnknownKeyInterval": c.UnknownKeyInterval, "MaxKeyAge": c.MaxKeyAge,
	} {
		if d < time.Second {
			problem("Config.%s is %s: want at least 1s, or 0 for the default", name, d)
		}
	}
	if c.MaxKeyAge >= time.Second && c.MaxKeyAge <= c.RefreshInterval {
		problem("Config.MaxKeyAge is %s: it must exceed RefreshInterval, %s, or keys would run out between two fetches",
			c.MaxKeyAge, c.RefreshInterval)
	}
	if len(c.Issuers) == 0 {
		problem("Config.Issuers is empty: name at least one, such as claims.Auth0(issuerURL, audience)")
	}
	seen := map[string]bool{}
	for i, issuer := range c.Issuers {
		if seen[issuer.URL] {
			problem("Config.Issuers[%d]: %q is there twice: give one Issuer several audiences instead", i, issuer.URL)
		}
		seen[issuer.URL] = true
		for _, err := range issuer.problems() {
			problem("Config.Issuers[%d]: %w", i, err)
		}
	}
	return errors.Join(problems...)
}

func (i Issuer) problems() (problems []error) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if i.URL == "" {
		problem("URL is empty: want the exact iss of its tokens")
	}
	if len(i.Audience) == 0 || slices.Contains(i.Audience, "") {
		problem("Audience is empty: want the identifier of this API; without it, tokens made for others would be accepted")
	}
	switch {
	case i.Keys == nil && i.JWKSURL == "":
		problem("neither Keys nor JWKSURL is set: want one of them")
	case i.Keys != nil && i.JWKSURL != "":
		problem("both Keys and JWKSURL are set: want one of them")
	case i.Keys != nil && i.Keys.ring.Load() == nil:
		problem("Keys is an empty KeySet: make one with ParseKeySet or Signer.KeySet")
	case i.URL == "" && i.JWKSURL == auth0KeyPath: // of Auth0 without a URL, which has been said
	case i.JWKSURL != "":
		if err := i.keyURLProblem(); err != nil {
			problems = append(problems, err)
		}
	}
	for _, alg := range i.Algorithms {
		if !slices.Contains(supportedAlgorithms, alg) {
			problem("Algorithms: %q is not supported: want some of %q", alg, supportedAlgorithms)
		}
	}
	d := i.Dialect
	if slices.Contains(d.Types, "") {
		problem("Dialect.Types has an empty typ: a token must say that it is an access token")
	}
	for _, name := range []string{d.OrgID, d.OrgName, d.Permissions, d.Roles} {
		if slices.Contains(fixedClaims, name) {
			problem("Dialect: the claim %q has a meaning of its own and cannot be used for another", name)
		}
	}
	return problems
}

// keyURLProblem names the field that is to be changed: of a JWKSURL that Auth0 made, that is the URL.
func (i Issuer) keyURLProblem() error {
	field, suffix := "JWKSURL", ""
	if i.JWKSURL == i.URL+auth0KeyPath {
		field, suffix = "URL", auth0KeyPath
	}
	u, err := url.Parse(i.JWKSURL)
	if err != nil {
		return fmt.Errorf("%s is no URL", field) // err would quote it, a password included
	}
	if err := checkKeyURL(u, i.InsecureKeysOverHTTP); err != nil {
		return fmt.Errorf("%s %q: %w", field, strings.TrimSuffix(showURL(i.JWKSURL), suffix), err)
	}
	return nil
}

func (d Dialect) withDefaults() Dialect {
	if len(d.Types) == 0 {
		d.Types = []string{typeAccessToken}
	}
	d.Types = slices.Clone(d.Types)
	for i, typ := range d.Types {
		d.Types[i] = mediaType(typ)
	}
	orDefault(&d.OrgID, "org_id")
	orDefault(&d.OrgName, "org_name")
	orDefault(&d.Permissions, "permissions")
	orDefault(&d.Roles, "roles")
	return d
}

const typeAccessToken = "at+jwt"

// mediaType spells a typ in the one way that is compared: RFC 7515 section 4.1.9.
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
