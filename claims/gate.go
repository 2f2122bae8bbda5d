package claims

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// compact is a token that has the one form that this package accepts: a compact JWS (RFC 7515 section 7.1) whose header and
// payload are strict JSON objects. Nothing in it has been verified yet, except where it was opened.
type compact struct {
	alg, kid, typ string // of the header; kid and typ may be missing
	hasKID        bool
	iss           string
	payload       []member // all claims, in order
	input         []byte   // what was signed: header and payload segment with the dot between them
	signature     []byte
}

const maxKIDBytes = 256

// segments decodes one of the three: base64url without padding, and with unused bits that are zero, so that no two tokens
// decode to the same bytes.
var segments = base64.RawURLEncoding.Strict()

// open is the gate: the only code that meets a token before its signature is checked, and so it is strict. Each thing that
// it refuses made some real verifier accept a forged token, or two of them read one token differently.
func open(token string) (compact, error) {
	var c compact
	first := strings.IndexByte(token, '.')
	last := strings.LastIndexByte(token, '.')
	if first < 0 || first == last || strings.IndexByte(token[first+1:last], '.') >= 0 {
		return c, refuse(CodeMalformed, "not three segments")
	}
	// encoding/base64 skips these two without a word.
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return c, refuse(CodeMalformed, "line break in the token")
	}
	raw := []byte(token)
	decoded := make([]byte, 0, segments.DecodedLen(len(raw)))
	decoded, err1 := segments.AppendDecode(decoded, raw[:first])
	headerEnd := len(decoded)
	decoded, err2 := segments.AppendDecode(decoded, raw[first+1:last])
	payloadEnd := len(decoded)
	decoded, err3 := segments.AppendDecode(decoded, raw[last+1:])
	if err1 != nil || err2 != nil || err3 != nil {
		return c, refuse(CodeMalformed, "not strict base64url")
	}
	c.input, c.signature = raw[:last], decoded[payloadEnd:]

	header, err := parseObject(string(decoded[:headerEnd]))
	if err != nil {
		return c, refuse(CodeMalformed, "header: "+err.Error())
	}
	if err := c.readHeader(header); err != nil {
		return c, err
	}
	if c.payload, err = parseObject(string(decoded[headerEnd:payloadEnd])); err != nil {
		return c, refuse(CodeMalformed, "payload: "+err.Error())
	}
	if err := refuseCaseVariants(c.payload, registeredClaims); err != nil {
		return c, refuse(CodeMalformed, "payload: "+err.Error())
	}
	return c, c.readIssuer()
}

// headerRefused are parameters that bring a key of their own, or change what the rest of the token means. The thumbprints
// x5t and x5t#S256 do neither, and some issuers always send them: they are ignored.
var headerRefused = []string{"crit", "b64", "jku", "x5u", "jwk", "x5c", "cty", "enc", "zip"}

var registeredHeaders = append([]string{"alg", "kid", "typ"}, headerRefused...)

func (c *compact) readHeader(header []member) error {
	if err := refuseCaseVariants(header, registeredHeaders); err != nil {
		return refuse(CodeMalformed, "header: "+err.Error())
	}
	for _, m := range header {
		ok := true
		switch m.name {
		case "alg":
			c.alg, ok = asString(m.raw)
		case "typ":
			c.typ, ok = asString(m.raw)
		case "kid":
			c.hasKID = true
			c.kid, ok = asString(m.raw)
			ok = ok && wellFormedKID(c.kid)
		default:
			if slices.Contains(headerRefused, m.name) {
				return refuse(CodeHeaderNotAllowed, m.name)
			}
		}
		if !ok {
			return refuse(CodeMalformed, "header: "+m.name)
		}
	}
	if !slices.Contains(supportedAlgorithms, c.alg) {
		return refuse(CodeAlgorithmNotAllowed, "")
	}
	return nil
}

func (c *compact) readIssuer() error {
	for _, m := range c.payload {
		if m.name != "iss" {
			continue
		}
		iss, ok := asString(m.raw)
		if !ok {
			return refuse(CodeMalformed, "payload: iss")
		}
		if c.iss = iss; iss != "" {
			return nil
		}
	}
	return refuse(CodeMissingClaim, "iss")
}

// wellFormedKID: a key id is a key of a map and nothing else, and it may reach logs.
func wellFormedKID(kid string) bool {
	for i := range len(kid) {
		if kid[i] < 0x20 || kid[i] > 0x7e {
			return false
		}
	}
	return kid != "" && len(kid) <= maxKIDBytes
}

// registeredClaims are the names that decide something here or in a reader behind this package.
var registeredClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "scope", "org_id", "org_name",
	"sid", "acr", "amr", "auth_time", "act", "cnf", "nonce", "at_hash",
}

var errCaseVariant = errors.New("a member's name differs from a registered one only in case")

// refuseCaseVariants refuses names that a reader who ignores case, as encoding/json does, takes for one of registered, which
// are in lower case.
func refuseCaseVariants(members []member, registered []string) error {
	for _, m := range members {
		if mayFold(m.name) && isCaseVariant(m.name, registered) {
			return errCaseVariant
		}
	}
	return nil
}

func isCaseVariant(name string, registered []string) bool {
	return slices.ContainsFunc(registered, func(r string) bool { return name != r && strings.EqualFold(name, r) })
}

// mayFold reports whether name has a byte that could fold to a lower-case letter: an upper-case one, or the first byte of the
// long s and of the Kelvin sign. It spares nearly all names the comparison.
func mayFold(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return true
		}
	}
	return false
}
