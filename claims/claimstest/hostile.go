package claimstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/claims"
)

// HostileToken is a token that must be refused. But for one thing, it is one that must be accepted.
type HostileToken struct {
	Name  string
	Token string
	Code  claims.Code // of the refusal by a Verifier that trusts Issuer.Trusted and has default settings
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// edits changes a copy of members: nil takes one out.
type edits map[string]any

func (e edits) apply(members map[string]any) map[string]any {
	members = maps.Clone(members)
	for name, value := range e {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	return members
}

func object(members map[string]any) string {
	data, err := json.Marshal(members)
	if err != nil {
		panic(err) // members are written in this file
	}
	return string(data)
}

// Baseline returns the header and the payload, as JSON, of the good token that the hostile ones are made from.
func (i *Issuer) Baseline() (header, payload string) {
	h, p := i.baseline()
	return object(h), object(p)
}

func (i *Issuer) baseline() (header, payload map[string]any) {
	now := i.clock().Unix()
	return map[string]any{"alg": "ES256", "kid": i.KeyID(), "typ": "at+jwt"}, map[string]any{
		"iss": URL, "sub": "auth0|ann", "aud": Audience, "iat": now, "exp": now + 600, "jti": "1", "org_id": "org_acme",
	}
}

// Hostile returns a token for every known way of attacking a verifier of tokens, each signed with the issuer's key where
// the attack is not the signature itself.
func (i *Issuer) Hostile() []HostileToken {
	i.t.Helper()
	header, payload := i.baseline()
	h, p := object(header), object(payload)
	good := i.Forge(h, p)
	parts := strings.Split(good, ".")
	now := i.clock()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	withHeader := func(e edits) string { return i.Forge(object(e.apply(header)), p) }
	withPayload := func(e edits) string { return i.Forge(h, object(e.apply(payload))) }
	asJWT := func(e edits) string {
		return i.Forge(object(edits{"typ": "JWT"}.apply(header)), object(e.apply(payload)))
	}
	more := func(json, member string) string { return json[:len(json)-1] + "," + member + "}" } // one member more, text as given
	hs256 := func(secret []byte) string {
		input := encode(object(edits{"alg": "HS256"}.apply(header))) + "." + parts[1]
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + encode(string(mac.Sum(nil)))
	}
	jwks := i.publicKeys()
	nested := strings.Repeat("[", 40) + strings.Repeat("]", 40)

	list := []HostileToken{
		// Size and form.
		{"empty", "", claims.CodeMalformed},
		{"too large", withPayload(edits{"x": strings.Repeat("x", 9<<10)}), claims.CodeTooLarge},
		{"9 KiB of dots", strings.Repeat(".", 9<<10), claims.CodeTooLarge},
		{"8 KiB of dots", strings.Repeat(".", 8<<10), claims.CodeMalformed},
		{"two segments", parts[0] + "." + parts[1], claims.CodeMalformed},
		{"four segments", good + ".", claims.CodeMalformed},
		{"JWE with five segments", good + "." + parts[0] + "." + parts[1], claims.CodeMalformed},
		{"flattened JSON serialization", fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]), claims.CodeMalformed},
		{"general JSON serialization", fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, parts[1], parts[0], parts[2]), claims.CodeMalformed},
		{"padding", good + "==", claims.CodeMalformed},
		{"leading space", " " + good, claims.CodeMalformed},
		{"trailing line feed", good + "\n", claims.CodeMalformed},
		{"carriage return inside", parts[0] + "\r." + parts[1] + "." + parts[2], claims.CodeMalformed},
		{"line feed in the signature", parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:], claims.CodeMalformed},
		{"non-zero unused bits", good[:len(good)-1] + flipUnusedBit(good[len(good)-1]), claims.CodeMalformed},
		{"standard base64 alphabet", parts[0] + "." + parts[1] + ".+/" + parts[2][2:], claims.CodeMalformed},
		{"NUL byte", parts[0] + ".\x00" + parts[1] + "." + parts[2], claims.CodeMalformed},
		{"not ASCII", parts[0] + "." + parts[1] + "." + parts[2] + "é", claims.CodeMalformed},
		{"Bearer in front", "Bearer " + good, claims.CodeMalformed},

		// Algorithm.
		{"alg none without a signature", encode(object(edits{"alg": "none"}.apply(header))) + "." + parts[1] + ".", claims.CodeAlgorithmNotAllowed},
		{"alg none with a signature", withHeader(edits{"alg": "none"}), claims.CodeAlgorithmNotAllowed},
		{"alg nOnE", withHeader(edits{"alg": "nOnE"}), claims.CodeAlgorithmNotAllowed},
		{"alg empty", withHeader(edits{"alg": ""}), claims.CodeAlgorithmNotAllowed},
		{"alg missing", withHeader(edits{"alg": nil}), claims.CodeAlgorithmNotAllowed},
		{"alg is a list", withHeader(edits{"alg": []string{"ES256"}}), claims.CodeMalformed},
		{"alg es256 in lower case", withHeader(edits{"alg": "es256"}), claims.CodeAlgorithmNotAllowed},
		{"HS256 keyed with the public key set", hs256(jwks), claims.CodeAlgorithmNotAllowed},
		{"HS256 keyed with nothing", hs256(nil), claims.CodeAlgorithmNotAllowed},
		{"RS256 with the kid of an ES256 key", withHeader(edits{"alg": "RS256"}), claims.CodeInvalidSignature},
		{"EdDSA with the kid of an ES256 key", withHeader(edits{"alg": "EdDSA"}), claims.CodeInvalidSignature},

		// Header.
		{"header is no JSON", i.Forge("alg", p), claims.CodeMalformed},
		{"header is empty", "." + parts[1] + "." + parts[2], claims.CodeMalformed},
		{"header is a list", i.Forge(`["ES256"]`, p), claims.CodeMalformed},
		{"duplicate alg", i.Forge(more(h, `"alg":"none"`), p), claims.CodeMalformed},
		{"duplicate alg, escaped", i.Forge(more(h, `"\u0061lg":"none"`), p), claims.CodeMalformed},
		{"ALG beside alg", i.Forge(more(h, `"ALG":"none"`), p), claims.CodeMalformed},
		{"bytes after the header", i.Forge(h+"{}", p), claims.CodeMalformed},
		{"header with broken UTF-8", i.Forge(more(h, "\"x\":\"\xff\""), p), claims.CodeMalformed},
		{"header nested deeply", i.Forge(more(h, `"x":`+nested), p), claims.CodeMalformed},
		{"crit", withHeader(edits{"crit": []string{"exp"}}), claims.CodeHeaderNotAllowed},
		{"empty crit", withHeader(edits{"crit": []string{}}), claims.CodeHeaderNotAllowed},
		{"b64 false", withHeader(edits{"b64": false, "crit": []string{"b64"}}), claims.CodeHeaderNotAllowed},
		{"b64 false without crit", withHeader(edits{"b64": false}), claims.CodeHeaderNotAllowed},
		{"jku", withHeader(edits{"jku": "https://evil.example/jwks.json"}), claims.CodeHeaderNotAllowed},
		{"x5u", withHeader(edits{"x5u": "https://evil.example/cert.pem"}), claims.CodeHeaderNotAllowed},
		{"jwk", withHeader(edits{"jwk": map[string]string{"kty": "EC"}}), claims.CodeHeaderNotAllowed},
		{"x5c", withHeader(edits{"x5c": []string{"MIIB"}}), claims.CodeHeaderNotAllowed},
		{"cty", withHeader(edits{"cty": "JWT"}), claims.CodeHeaderNotAllowed},
		{"enc", withHeader(edits{"enc": "A128GCM"}), claims.CodeHeaderNotAllowed},
		{"zip", withHeader(edits{"zip": "DEF"}), claims.CodeHeaderNotAllowed},
		{"kid is a number", withHeader(edits{"kid": 1}), claims.CodeMalformed},
		{"kid is empty", withHeader(edits{"kid": ""}), claims.CodeMalformed},
		{"kid of 257 bytes", withHeader(edits{"kid": strings.Repeat("k", 257)}), claims.CodeMalformed},
		{"kid with a line feed", withHeader(edits{"kid": "a\nb"}), claims.CodeMalformed},
		{"kid that is not ASCII", withHeader(edits{"kid": "kéy"}), claims.CodeMalformed},

		// Signature and key.
		{"unknown kid", withHeader(edits{"kid": "unknown"}), claims.CodeInvalidSignature},
		{"kid that is a path", withHeader(edits{"kid": "../../dev/null"}), claims.CodeInvalidSignature},
		{"kid that is SQL", withHeader(edits{"kid": "x' UNION SELECT 'secret"}), claims.CodeInvalidSignature},
		{"signed by another key", forge(i.t, newKey(i.t), h, p), claims.CodeInvalidSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", claims.CodeInvalidSignature},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + encode(strings.Repeat("\x00", 64)), claims.CodeInvalidSignature},
		{"signature with a byte more", parts[0] + "." + parts[1] + "." + encode(decode(parts[2])+"\x00"), claims.CodeInvalidSignature},
		{"payload changed", parts[0] + "." + encode(object(edits{"sub": "auth0|eve"}.apply(payload))) + "." + parts[2], claims.CodeInvalidSignature},
		{"organization changed", parts[0] + "." + encode(object(edits{"org_id": "org_other"}.apply(payload))) + "." + parts[2], claims.CodeInvalidSignature},
		{"header changed", encode(more(h, `"x":1`)) + "." + parts[1] + "." + parts[2], claims.CodeInvalidSignature},

		// Payload.
		{"payload is no JSON", i.Forge(h, "iss"), claims.CodeMalformed},
		{"payload is empty", i.Forge(h, ""), claims.CodeMalformed},
		{"payload is a string", i.Forge(h, `"iss"`), claims.CodeMalformed},
		{"duplicate iss", i.Forge(h, more(p, `"iss":"https://evil.example/"`)), claims.CodeMalformed},
		{"ISS beside iss", i.Forge(h, more(p, `"ISS":"https://evil.example/"`)), claims.CodeMalformed},
		{"ISS instead of iss", withPayload(edits{"iss": nil, "ISS": URL}), claims.CodeMalformed},
		{"iss with a long s", i.Forge(h, more(p, `"i\u017fs":"https://evil.example/"`)), claims.CodeMalformed},
		{"duplicate sub, escaped", i.Forge(h, more(p, `"s\u0075b":"auth0|eve"`)), claims.CodeMalformed},
		{"duplicate org_id", i.Forge(h, more(p, `"org_id":"org_other"`)), claims.CodeMalformed},
		{"ORG_ID beside org_id", i.Forge(h, more(p, `"ORG_ID":"org_other"`)), claims.CodeMalformed},
		{"duplicate below the top", i.Forge(h, more(p, `"x":{"a":1,"a":2}`)), claims.CodeMalformed},
		{"duplicate in a list", i.Forge(h, more(p, `"x":[{"a":1,"a":2}]`)), claims.CodeMalformed},
		{"nested deeply", i.Forge(h, more(p, `"x":`+nested)), claims.CodeMalformed},
		{"second object behind the first", i.Forge(h, p+p), claims.CodeMalformed},
		{"broken UTF-8", i.Forge(h, more(p, "\"x\":\"\xc0\xaf\"")), claims.CodeMalformed},
		{"half a surrogate pair", i.Forge(h, more(p, `"x":"\ud800"`)), claims.CodeMalformed},
		{"comment", i.Forge(h, more(p, `"x":1/**/`)), claims.CodeMalformed},
		{"trailing comma", i.Forge(h, p[:len(p)-1]+",}"), claims.CodeMalformed},
		{"NaN", i.Forge(h, more(p, `"x":NaN`)), claims.CodeMalformed},

		// Claims.
		{"iss missing", withPayload(edits{"iss": nil}), claims.CodeMissingClaim},
		{"iss empty", withPayload(edits{"iss": ""}), claims.CodeMissingClaim},
		{"iss is a list", withPayload(edits{"iss": []string{URL}}), claims.CodeMalformed},
		{"iss of another", withPayload(edits{"iss": "https://evil.example/"}), claims.CodeWrongIssuer},
		{"iss without its last slash", withPayload(edits{"iss": strings.TrimSuffix(URL, "/")}), claims.CodeWrongIssuer},
		{"iss in upper case", withPayload(edits{"iss": strings.ToUpper(URL)}), claims.CodeWrongIssuer},
		{"sub missing", withPayload(edits{"sub": nil}), claims.CodeMissingClaim},
		{"sub empty", withPayload(edits{"sub": ""}), claims.CodeMissingClaim},
		{"sub is a number", withPayload(edits{"sub": 1}), claims.CodeMalformed},
		{"aud missing", withPayload(edits{"aud": nil}), claims.CodeMissingClaim},
		{"aud of another API", withPayload(edits{"aud": "https://other.example"}), claims.CodeWrongAudience},
		{"aud in another case", withPayload(edits{"aud": strings.ToUpper(Audience)}), claims.CodeWrongAudience},
		{"aud empty list", withPayload(edits{"aud": []string{}}), claims.CodeMalformed},
		{"aud is an object", withPayload(edits{"aud": map[string]bool{Audience: true}}), claims.CodeMalformed},
		{"aud with a number in it", withPayload(edits{"aud": []any{Audience, 1}}), claims.CodeMalformed},
		{"exp missing", withPayload(edits{"exp": nil}), claims.CodeMissingClaim},
		{"exp is a string", withPayload(edits{"exp": fmt.Sprint(at(10 * time.Minute))}), claims.CodeMalformed},
		{"exp is null", i.Forge(h, strings.Replace(p, fmt.Sprintf(`"exp":%d`, at(10*time.Minute)), `"exp":null`, 1)), claims.CodeMalformed},
		{"exp overflows", i.Forge(h, strings.Replace(p, fmt.Sprintf(`"exp":%d`, at(10*time.Minute)), `"exp":1e400`, 1)), claims.CodeMalformed},
		{"exp beyond 64 bits", i.Forge(h, strings.Replace(p, fmt.Sprintf(`"exp":%d`, at(10*time.Minute)), `"exp":18446744073709551616`, 1)), claims.CodeMalformed},
		{"exp negative", withPayload(edits{"exp": -1}), claims.CodeMalformed},
		{"exp zero", withPayload(edits{"exp": 0}), claims.CodeExpired},
		{"expired", withPayload(edits{"iat": at(-20 * time.Minute), "exp": at(-10 * time.Minute)}), claims.CodeExpired},
		{"expired, just beyond the skew", withPayload(edits{"iat": at(-20 * time.Minute), "exp": at(-31 * time.Second)}), claims.CodeExpired},
		{"nbf in the future", withPayload(edits{"nbf": at(5 * time.Minute)}), claims.CodeNotYetValid},
		{"nbf is a string", withPayload(edits{"nbf": "now"}), claims.CodeMalformed},
		{"iat in the future", withPayload(edits{"iat": at(5 * time.Minute)}), claims.CodeNotYetValid},
		{"iat is a string", withPayload(edits{"iat": "now"}), claims.CodeMalformed},
		{"lives for 25 hours", withPayload(edits{"exp": at(25 * time.Hour)}), claims.CodeLifetimeTooLong},
		{"lives for 25 hours, no iat", withPayload(edits{"iat": nil, "exp": at(25 * time.Hour)}), claims.CodeLifetimeTooLong},
		{"lives for ten years by nbf, no iat", withPayload(edits{"iat": nil, "nbf": at(-10 * 365 * 24 * time.Hour), "exp": at(time.Hour)}), claims.CodeLifetimeTooLong},
		{"lives for 25 hours, most are over", withPayload(edits{"iat": at(-24 * time.Hour), "exp": at(time.Hour)}), claims.CodeLifetimeTooLong},
		{"org_id is a number", withPayload(edits{"org_id": 7}), claims.CodeMalformed},
		{"org_id is a list", withPayload(edits{"org_id": []string{"org_acme"}}), claims.CodeMalformed},
		{"org_id is a list beside a name", withPayload(edits{"org_id": []string{"org_acme"}, "org_name": "acme"}), claims.CodeMalformed},
		{"org_name is an object, no org_id", withPayload(edits{"org_id": nil, "org_name": map[string]any{}}), claims.CodeMalformed},
		{"org_name is a list, org_id empty", withPayload(edits{"org_id": "", "org_name": []string{"acme"}}), claims.CodeMalformed},
		{"permissions is a string", withPayload(edits{"permissions": "all"}), claims.CodeMalformed},
		{"scope is a list", withPayload(edits{"scope": []string{"a"}}), claims.CodeMalformed},
		{"act is a string", withPayload(edits{"act": "eve"}), claims.CodeMalformed},
		{"cnf is a string", withPayload(edits{"cnf": "jkt"}), claims.CodeMalformed},
		{"bound to a DPoP key", withPayload(edits{"cnf": map[string]string{"jkt": "x"}}), claims.CodeSenderConstrained},
		{"bound to a certificate", withPayload(edits{"cnf": map[string]string{"x5t#S256": "x"}}), claims.CodeSenderConstrained},
		{"bound by something unknown", withPayload(edits{"cnf": map[string]string{"osc": "x"}}), claims.CodeSenderConstrained},

		// Type.
		{"typ missing", withHeader(edits{"typ": nil}), claims.CodeWrongType},
		{"typ of a DPoP proof", withHeader(edits{"typ": "dpop+jwt"}), claims.CodeWrongType},
		{"typ of a logout token", withHeader(edits{"typ": "logout+jwt"}), claims.CodeWrongType},
		{"typ is a number", withHeader(edits{"typ": 1}), claims.CodeMalformed},
		{"ID token: nonce", asJWT(edits{"nonce": "n"}), claims.CodeWrongType},
		{"ID token: at_hash", asJWT(edits{"at_hash": "h"}), claims.CodeWrongType},
		{"ID token: aud is azp", asJWT(edits{"azp": Audience}), claims.CodeWrongType},
		{"ID token: aud is client_id", asJWT(edits{"client_id": Audience}), claims.CodeWrongType},
		{"ID token: aud has azp beside the API", asJWT(edits{"aud": []string{Audience, "client"}, "azp": "client"}), claims.CodeWrongType},
	}
	return list
}

func decode(segment string) string {
	data, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		panic(err) // segments come from encode
	}
	return string(data)
}

// flipUnusedBit changes the last character of 64 encoded bytes, whose lowest four bits say nothing.
func flipUnusedBit(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, last)^1])
}

// publicKeys returns the issuer's JSON Web Key Set.
func (i *Issuer) publicKeys() []byte {
	w := httptest.NewRecorder()
	i.signer.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, jwksPath, nil))
	return w.Body.Bytes()
}
