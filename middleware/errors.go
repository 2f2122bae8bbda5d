package middleware

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Code names the outcome of a refused request. Codes are stable; each is a row of the table in the package documentation.
type Code string

// The codes.
const (
	CodeNoCredentials        Code = "no_credentials"                   // no bearer token was sent
	CodeInvalidRequest       Code = "invalid_request"                  // two Authorization headers, a broken credential, a method in lower case
	CodeInvalidToken         Code = "invalid_token"                    // malformed, expired, tampered, for somebody else, or signed out
	CodeStepUp               Code = "insufficient_user_authentication" // the organization demands another login (RFC 9470)
	CodeNoOrganizationAccess Code = "no_organization_access"           // no such organization, not a member, or another one than the token's
	CodeInsufficientScope    Code = "insufficient_scope"               // the member lacks the permission, and no policy gave a reason
	CodePolicyDenied         Code = "policy_denied"                    // the policy said no
	CodePolicyFailed         Code = "policy_failed"                    // the evaluation failed, which denies
	CodePolicyTimedOut       Code = "policy_timed_out"                 // the evaluation exceeded its budget, which denies
	CodeNotFound             Code = "not_found"                        // allowed, but the resource is not there
	CodeUnavailable          Code = "unavailable"                      // nobody knows: keys, store, policy or resource out of reach
)

// ErrUnavailable is wrapped by every Refusal that is no "no" but a "don't know": errors.Is(err, ErrUnavailable) means
// that the same question may be answered later.
var ErrUnavailable = errors.New("middleware: unavailable")

// ErrResourceNotFound is what a loader given to Resource returns for what does not exist.
var ErrResourceNotFound = errors.New("middleware: resource not found")

// row is one row of the only table from outcomes to answers. Two codes may share a problem type, when a client is to treat
// them alike.
type row struct {
	code      Code
	status    int
	typ       string // last part of the problem's type URI
	title     string
	challenge challenge
	error     string // error code of the challenge (RFC 6750 section 3.1)
	body      []byte // the whole answer, when nothing in it depends on the request
}

// challenge says what the answer's WWW-Authenticate holds. What a step-up asks for (RFC 9470 section 3) is added by stepUp.
type challenge uint8

const (
	noChallenge    challenge = iota
	bareChallenge            // realm only: RFC 6750 section 3.1, a request without credentials gets no error code
	errorChallenge           // realm and error
	scopeChallenge           // realm, error and the scope that would do
)

const problemTypePrefix = "urn:orgauthz:problem:"

var table = withBodies([...]row{
	{code: CodeNoCredentials, status: 401, title: "A bearer token is required", challenge: bareChallenge},
	{code: CodeInvalidRequest, status: 400, title: "The request is malformed", challenge: errorChallenge, error: "invalid_request"},
	{code: CodeInvalidToken, status: 401, title: "The access token is not valid", challenge: errorChallenge, error: "invalid_token"},
	{code: CodeStepUp, status: 401, title: "The login does not suffice for this organization",
		challenge: errorChallenge, error: "insufficient_user_authentication"},
	{code: CodeNoOrganizationAccess, status: 403, title: "No access to this organization"},
	{code: CodeInsufficientScope, status: 403, title: "A permission is missing", challenge: scopeChallenge, error: "insufficient_scope"},
	{code: CodePolicyDenied, status: 403, title: "Denied by policy"},
	{code: CodePolicyFailed, status: 403, typ: "policy_denied", title: "Denied by policy"},
	{code: CodePolicyTimedOut, status: 403, typ: "policy_denied", title: "Denied by policy"},
	{code: CodeNotFound, status: 404, title: "Not Found"},
	{code: CodeUnavailable, status: 503, title: "Temporarily unavailable"},
})

// rows is the size of the table, and spares its literal a second count.
const rows = 11

func withBodies(t [rows]row) [rows]row {
	for i := range t {
		r := &t[i]
		if r.typ == "" {
			r.typ = string(r.code)
		}
		switch r.code {
		case CodePolicyDenied: // carries the policy's reasons
		case CodePolicyFailed, CodePolicyTimedOut:
			r.body = r.problem([]any{string(r.code)})
		default:
			r.body = r.problem(nil)
		}
	}
	return t
}

func (r *row) problem(reasons []any) []byte {
	p := Problem{Type: problemTypePrefix + r.typ, Title: r.title, Status: r.status}
	if reasons != nil {
		p.Extra = map[string]any{"reasons": reasons}
	}
	return p.encode()
}

// rowOf returns the index of code's row. Codes come from this package only, so a miss is a bug here, and answers 503.
func rowOf(code Code) int {
	for i := range table {
		if table[i].code == code {
			return i
		}
	}
	return len(table) - 1
}

// Refusal is the error of a request that must not go on, as one row of the package's table says it. What a client may see
// of it is what WriteRefusal writes; Error and Unwrap are for logs.
type Refusal struct {
	Code      Code
	Status    int    // the HTTP status
	Type      string // the problem's type URI (RFC 9457)
	Challenge string // value of WWW-Authenticate (RFC 6750 section 3), empty when the answer has none
	Action    string // what was asked for
	Reasons   []any  // why the policy denied: strings or JSON objects, meant for the client. Nil unless Code is CodePolicyDenied

	cause string // which of the ways to this Code it was; not for clients
	err   error  // what went wrong, nil when nothing did
}

// Error says what was refused and why, for logs. It holds no token.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("middleware: %s refused: %s", r.Action, r.Code)
	if r.cause != "" {
		s += " (" + r.cause + ")"
	}
	if r.err != nil {
		s += ": " + r.err.Error()
	}
	return s
}

// Unwrap returns what the verifier, the resolver, the decider or the loader said, and ErrUnavailable for a "don't know".
func (r *Refusal) Unwrap() []error {
	var errs []error
	if r.Code == CodeUnavailable {
		errs = append(errs, ErrUnavailable)
	}
	if r.err != nil {
		errs = append(errs, r.err)
	}
	return errs
}

// refuse makes and counts a refusal.
func (g *Guard) refuse(action string, code Code, cause string, err error) *Refusal {
	i := rowOf(code)
	g.refused[i].Add(1)
	r := &Refusal{
		Code: code, Status: table[i].status, Type: problemTypePrefix + table[i].typ, Action: action, cause: cause, err: err,
	}
	switch ch := "Bearer realm=\"" + g.cfg.Realm + "\""; table[i].challenge {
	case bareChallenge:
		r.Challenge = ch
	case errorChallenge:
		r.Challenge = ch + ", error=\"" + table[i].error + "\""
	case scopeChallenge:
		r.Challenge = ch + ", error=\"" + table[i].error + "\", scope=\"" + action + "\""
	}
	return r
}

// retryAfter is what a "don't know" asks clients to wait, in seconds: longer than a cache's refresh, shorter than patience.
const retryAfter = "1"

// WriteRefusal answers a request with err: the *Refusal in it as the package's table says, anything else as 503. It is for
// handlers that called Can or Authorize themselves.
func WriteRefusal(w http.ResponseWriter, err error) {
	no, ok := errors.AsType[*Refusal](err)
	if !ok {
		no = &Refusal{Code: CodeUnavailable, Status: http.StatusServiceUnavailable}
	}
	body := table[rowOf(no.Code)].body
	if body == nil {
		body = table[rowOf(no.Code)].problem(presentable(no.Reasons))
	}
	h := w.Header()
	if no.Challenge != "" {
		h.Set("WWW-Authenticate", no.Challenge)
	}
	if no.Code == CodeUnavailable {
		h.Set("Retry-After", retryAfter)
	}
	writeProblem(w, no.Status, body)
}

// presentable returns reasons as they can be written: never nil, and none when a policy made something that is no JSON.
func presentable(reasons []any) []any {
	if _, err := json.Marshal(reasons); err != nil || reasons == nil {
		return []any{}
	}
	return reasons
}
