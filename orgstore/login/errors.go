package login

import (
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The codes of Error: RFC 6749 sections 4.1.2.1 and 5.2, RFC 8707 section 2 (invalid_target), OpenID Connect Core section 3.1.2.6,
// OpenID Connect Core Error Code unmet_authentication_requirements, and too_many_requests (with status 429) of Auth0's APIs.
const (
	InvalidRequest     = "invalid_request"
	AccessDenied       = "access_denied"
	UnauthorizedClient = "unauthorized_client"
	LoginRequired      = "login_required"
	UnmetRequirements  = "unmet_authentication_requirements"
	InvalidClient      = "invalid_client"
	InvalidGrant       = "invalid_grant"
	InvalidScope       = "invalid_scope"
	InvalidTarget      = "invalid_target"
	TooManyRequests    = "too_many_requests"
)

// Error is the answer "no" to a login or to a request for tokens, in the words of an OAuth error response. It is an
// orgstore.ErrInvalid when the code is invalid_request, invalid_scope or invalid_target, an orgstore.ErrLimit when it is
// too_many_requests, and an orgstore.ErrDenied otherwise. Any other error of this package is a "don't know".
type Error struct {
	Code        string // the parameter error
	Description string // the parameter error_description; where Auth0 Organizations has a text for it, that one
	// Show says that the application's redirect URI is not to be trusted: the error is shown to the user and sent nowhere.
	Show bool
	// Again says how to log in for another answer, where a login helps: of Tokens, Switch and Refresh.
	Again *Again
	// AutoJoin says, when it is not empty, how somebody who is no member, and has an address in a proven domain of the organization,
	// can become one (rule AUTO-2): AutoJoinSuggest, by a request that Requests.Create makes when the user wants it;
	// AutoJoinApproval, by the one that this login has made, unless one was pending or declined already.
	AutoJoin orgstore.AutoJoin
	// RetryAt is when the answer may become another one by itself; set for too_many_requests.
	RetryAt time.Time
}

// Again is how a user has to log in, as parameters of a request to log in.
type Again struct {
	Organization string        // organization: an id; empty for none
	Connections  []string      // connection: the ids of those that may be used; empty for any that is enabled
	MFA          bool          // a second factor is needed
	ACR          []string      // acr_values: what counts as a second factor, best first; empty for any
	MaxAge       time.Duration // max_age; 0 for no bound
}

func (e *Error) Error() string { return "login: " + e.Code + ": " + e.Description }

// Is makes the error an orgstore.ErrDenied, an orgstore.ErrInvalid or an orgstore.ErrLimit.
func (e *Error) Is(target error) bool {
	switch e.Code {
	case InvalidRequest, InvalidScope, InvalidTarget:
		return target == orgstore.ErrInvalid
	case TooManyRequests:
		return target == orgstore.ErrLimit
	}
	return target == orgstore.ErrDenied
}

func invalid(description string) *Error {
	return &Error{Code: InvalidRequest, Description: description}
}
func denied(description string) *Error { return &Error{Code: AccessDenied, Description: description} }

// invalidOrganization is the one answer to an organization that is not there, deleted, suspended, or closed to the application
// (rule LOG-1). It repeats ref only if that could be an organization's: a description has few characters (RFC 6749 section 4.1.2.1).
func invalidOrganization(ref string) *Error {
	const text = "parameter organization is invalid"
	if ref == "" || len(ref) > 50 {
		return invalid(text)
	}
	for _, c := range []byte(ref) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return invalid(text)
		}
	}
	return invalid(text + ": " + ref)
}
