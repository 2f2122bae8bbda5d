package login

import "github.com/orgauthz/orgauthz/orgstore"

// The codes of Error: RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6, and OpenID Connect Core Error Code
// unmet_authentication_requirements.
const (
	InvalidRequest     = "invalid_request"
	AccessDenied       = "access_denied"
	UnauthorizedClient = "unauthorized_client"
	LoginRequired      = "login_required"
	UnmetRequirements  = "unmet_authentication_requirements"
)

// Error is the answer "no" to a login, in the words of an OAuth error response. It is an orgstore.ErrInvalid when the code is
// invalid_request, and an orgstore.ErrDenied otherwise. Any other error of this package is a "don't know".
type Error struct {
	Code        string // the parameter error
	Description string // the parameter error_description; where Auth0 Organizations has a text for it, that one
	// Show says that the application's redirect URI is not to be trusted: the error is shown to the user and sent nowhere.
	Show bool
}

func (e *Error) Error() string { return "login: " + e.Code + ": " + e.Description }

// Is makes the error an orgstore.ErrDenied or an orgstore.ErrInvalid.
func (e *Error) Is(target error) bool {
	if e.Code == InvalidRequest {
		return target == orgstore.ErrInvalid
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
