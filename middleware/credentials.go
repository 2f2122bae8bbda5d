package middleware

import (
	"net/http"
	"strings"
)

// bearerToken returns the token of the request's one Authorization header (RFC 6750 section 2.1), or the code to refuse
// with and what was wrong. Tokens in the query or the body (sections 2.2 and 2.3) are never looked at.
//
// Here stands only what tells a credential from none: the token's own form is the verifier's business, so that every
// malformed token gets the answer of an invalid one.
func bearerToken(h http.Header) (token string, code Code, cause string) {
	values := h["Authorization"]
	if len(values) == 0 {
		return "", CodeNoCredentials, "no_authorization_header"
	}
	if len(values) > 1 {
		return "", CodeInvalidRequest, "several_authorization_headers"
	}
	const scheme = "bearer"
	v := values[0]
	if len(v) < len(scheme) || !equalFoldASCII(v[:len(scheme)], scheme) {
		// RFC 6750 section 3.1: an unsupported method is no authentication information.
		return "", CodeNoCredentials, "other_scheme"
	}
	v = v[len(scheme):]
	if v == "" {
		return "", CodeInvalidRequest, "no_token_after_scheme"
	}
	if v[0] != ' ' {
		if isTokenByte(v[0]) { // "BearerX", another scheme
			return "", CodeNoCredentials, "other_scheme"
		}
		return "", CodeInvalidRequest, "credential_form"
	}
	v = v[1:]
	if v == "" {
		return "", CodeInvalidRequest, "no_token_after_scheme"
	}
	// IndexByte is a tenth of what a loop costs over a token, and the server lets no other white space into a header.
	if strings.IndexByte(v, ' ') >= 0 || strings.IndexByte(v, '\t') >= 0 {
		return "", CodeInvalidRequest, "credential_form"
	}
	return v, "", ""
}

// validMethod reports whether m is a token (RFC 9110 section 5.6.2) without lower-case letters. The standard methods all
// are; "get" is another method than GET, which only a pattern without a method would match.
func validMethod(m string) bool {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	for i := range len(m) {
		if !isTokenByte(m[i]) || 'a' <= m[i] && m[i] <= 'z' {
			return false
		}
	}
	return m != ""
}

// isTokenByte reports whether b is a tchar of RFC 9110 section 5.6.2.
func isTokenByte(b byte) bool {
	switch {
	case '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z':
		return true
	}
	switch b {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}

// isScope reports whether s is a scope-token of RFC 6749 section 3.3, which an action must be to stand in a challenge.
func isScope(s string) bool {
	for i := range len(s) {
		if b := s[i]; b <= ' ' || b > '~' || b == '"' || b == '\\' {
			return false
		}
	}
	return s != ""
}

// equalFoldASCII reports whether s and t are equal when ASCII letters are lower-cased. Unlike strings.EqualFold it knows no
// look-alikes: the Kelvin sign is no k.
func equalFoldASCII(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		if lower(s[i]) != lower(t[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
