// Package claims answers who sends a request: it turns a bearer token into [Claims] that can be relied on.
//
//	tokens, err := claims.NewVerifier(claims.Config{
//		Issuers: []claims.Issuer{claims.Auth0("https://acme.eu.auth0.com/", "https://api.acme.example")},
//	})
//	…
//	defer tokens.Close()
//	who, err := tokens.Verify(ctx, token)
//
// A [Verifier] accepts JWT access tokens (RFC 9068, RFC 7519) in the compact form of JWS that one of its issuers signed for
// this API, and nothing else. It promises:
//
//   - Nothing of a token is believed before its signature is checked, except which key to check it with. One parser reads a
//     token, once, and it refuses whatever two parsers could read differently: duplicate members, names that differ in case,
//     loose base64, broken UTF-8.
//   - The key decides the algorithm: each key of an issuer has one. Only public-key algorithms exist: RS256, ES256, EdDSA and
//     PS256. A token without kid is accepted only where its issuer has exactly one key for its alg.
//   - Every token has an audience, a subject and an end, and lives no longer than [Config.MaxLifetime].
//   - "No" and "don't know" never mix: an error is [ErrInvalid] or [ErrUnavailable], and its [Code] says why. Clients cannot
//     tell an unknown key from a bad signature, except while the issuer's keys cannot be fetched: then an unknown key is a
//     "don't know".
//   - Verified tokens are remembered. A hit compares the whole token, and asks again what time and the issuer's keys can
//     change: a token ends on time, and with its key. When an issuer publishes its keys at a URL, a key that it withdraws is
//     noticed at the next fetch, within [Config.RefreshInterval], also when it was the last one: while an issuer publishes no
//     usable key, its tokens are answered with [ErrUnavailable].
//
// It does not look up memberships, it knows nothing of HTTP headers, and it does not check proofs of possession: a token that
// demands one (cnf) is refused. A token stays good until it expires: what must end sooner is the business of whoever looks
// up the membership.
//
// A [Signer] mints tokens that a Verifier accepts, for one's own login, for machines and for tests; the package claimstest
// has a whole issuer for tests, good and hostile tokens included.
package claims
