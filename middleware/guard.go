package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// Request is a question to Authorize: may the bearer of this token do this? Action and Token (or Claims) are required.
type Request struct {
	Token  string         // the access token itself, without a scheme
	Claims *claims.Claims // instead of Token, claims that the caller has verified before, for work that outlives its token

	Action string // what is to be done, a scope-token of RFC 6749 section 3.3 such as "update:adventure"

	// Organizations are all the places where the request names its organization beside the token, by id or by name. Each must
	// name the token's organization. Empty leaves it to the token.
	Organizations []string

	// Method, Pattern and Params are what the policy sees as input.request. All may be empty.
	Method  string
	Pattern string
	Params  []policy.Param

	Resource json.RawMessage // input.resource; empty when there is none, "null" when it was looked for and not found

	AtLeast orgstore.Vector // revisions that the answer must have seen: see orgstore.Query
	Strong  bool            // see the option Strong
}

// Authorize is what Require does, without HTTP: for queues, jobs and other protocols. It returns the Principal, or an error:
// a *Refusal, of which errors.Is ErrUnavailable tells a "don't know" from a "no"; or, when req itself makes no sense, another
// error. Config.ReportOnly has no part in it.
func (g *Guard) Authorize(ctx context.Context, req Request) (*Principal, error) {
	if !isScope(req.Action) {
		return nil, fmt.Errorf("middleware: Request.Action %q is no scope-token (RFC 6749 section 3.3)", req.Action)
	}
	if req.Token != "" && req.Claims != nil {
		return nil, errors.New("middleware: Request has a Token and Claims: give one of them")
	}
	p := &passage{Context: ctx, token: req.Token}
	p.principal.Action = req.Action
	p.principal.input = policy.Input{
		Action:   req.Action,
		Request:  policy.Request{Method: req.Method, Pattern: req.Pattern, Params: req.Params},
		Resource: req.Resource,
	}
	no := g.authorize(p, &req)
	g.record(p, no, false)
	if no != nil {
		return nil, no
	}
	return &p.principal, nil
}

func (g *Guard) authorize(p *passage, req *Request) *Refusal {
	if req.Token == "" && req.Claims == nil {
		return g.refuse(req.Action, CodeNoCredentials, "no_token", nil)
	}
	wait := p.begin(g.cfg.Timeout)
	defer wait.end()
	if no := g.identify(wait, p, req.Claims, orgstore.Query{AtLeast: req.AtLeast, Strong: req.Strong}); no != nil {
		return no
	}
	for _, ref := range req.Organizations {
		if !names(ref, &p.principal.Org) {
			return g.refuse(req.Action, CodeNoOrganizationAccess, "request_names_another_organization", nil)
		}
	}
	return g.ask(wait, p)
}

// passage is all that one request needs on its way through the Guard, in one allocation: the context that its handler gets,
// the Principal in it, the policy's input, and the deadline.
type passage struct {
	context.Context // the request's own

	principal Principal
	params    [3]policy.Param // room for the input's, as many as most patterns have
	wait      deadlineContext
	resource  any // as loaded; nil when there is none
	token     string
}

// Value implements context.Context.
func (p *passage) Value(key any) any {
	switch key.(type) {
	case principalKey:
		return &p.principal
	case resourceKey:
		if p.resource != nil {
			return p.resource
		}
	}
	return p.Context.Value(key)
}

// String keeps the token out of a printed context.
func (p *passage) String() string { return "middleware.Principal" }

// begin starts the request's deadline.
func (p *passage) begin(timeout time.Duration) *deadlineContext {
	p.wait.parent, p.wait.deadline = p.Context, time.Now().Add(timeout)
	return &p.wait
}

// identify answers who is asking and what they are in the token's organization, and fills p.principal with it. The caller
// has still to compare what the request itself says about the organization.
func (g *Guard) identify(ctx context.Context, p *passage, c *claims.Claims, q orgstore.Query) *Refusal {
	action := p.principal.input.Action
	if c == nil {
		var err error
		switch c, err = g.verify(ctx, p.token); {
		case err != nil && errors.Is(err, claims.ErrInvalid):
			return g.refuse(action, CodeInvalidToken, "verifier", err)
		case err != nil:
			return g.refuse(action, CodeUnavailable, "verifier", err)
		case c == nil:
			return g.refuse(action, CodeUnavailable, "verifier", errNoAnswer)
		}
	}
	p.principal.Token, p.principal.Subject = c, c.Subject
	if c.Subject == "" {
		return g.refuse(action, CodeInvalidToken, "no_subject", nil)
	}
	if c.Confirmation != (claims.Confirmation{}) {
		// RFC 9449 section 7.1, RFC 8705 section 3: whoever holds a bound token without its key has stolen it.
		return g.refuse(action, CodeInvalidToken, "bound_token_as_bearer", nil)
	}

	byName := c.Org.ID == ""
	q.Org, q.Principal = c.Org.ID, c.Subject
	if byName {
		q.Org = c.Org.Name
	}
	switch {
	case q.Org == "":
		return g.refuse(action, CodeNoOrganizationAccess, "token_without_organization", nil)
	case !isReference(q.Org) || byName && orgstore.IsOrganizationID(q.Org):
		return g.refuse(action, CodeNoOrganizationAccess, "token_names_no_organization", nil)
	}

	a, err := g.resolve(ctx, q)
	switch {
	case err != nil:
		return g.refuse(action, CodeUnavailable, "resolver", err)
	case a == nil || a.Standing == orgstore.StandingUnknown:
		return g.refuse(action, CodeUnavailable, "resolver", errNoAnswer)
	case a.Principal != c.Subject:
		return g.refuse(action, CodeUnavailable, "resolver", errWrongAnswer)
	case a.Standing != orgstore.StandingMember:
		return g.refuse(action, CodeNoOrganizationAccess, a.Standing.String(), nil)
	case a.Org.ID == "":
		return g.refuse(action, CodeUnavailable, "resolver", errWrongAnswer)
	case !byName && a.Org.ID != c.Org.ID, byName && !equalFoldASCII(a.Org.Name, c.Org.Name):
		// An issuer's id that is none of ours was read as a name, and found another organization.
		return g.refuse(action, CodeNoOrganizationAccess, "token_names_another_organization", nil)
	}
	if after := a.TokensValidAfter; !after.IsZero() && !c.IssuedAt.After(after.Add(g.cfg.ClockSkew)) {
		return g.refuse(action, CodeInvalidToken, "signed_out", nil)
	}

	if no := g.stepUp(action, c, a); no != nil {
		return no
	}

	subject := g.subjects.get(c, a)
	p.principal.input.Subject = subject
	p.principal.Org, p.principal.Member = subject.Org(), subject.Member()
	return nil
}

// ask answers whether the member may, and puts the decision into p.principal.
func (g *Guard) ask(ctx context.Context, p *passage) *Refusal {
	in := &p.principal.input
	d, err := g.decide(ctx, in)
	if err != nil {
		return g.refuse(in.Action, CodeUnavailable, "policy", err)
	}
	p.principal.Decision = d
	return g.judge(in.Action, d, &p.principal)
}

// judge says what a decision about p means for the answer: nil when it allows.
func (g *Guard) judge(action string, d policy.Decision, p *Principal) *Refusal {
	switch {
	case d.Allow:
		return nil
	case d.Outcome == policy.Failed:
		return g.refuse(action, CodePolicyFailed, "", nil)
	case d.Outcome == policy.TimedOut:
		return g.refuse(action, CodePolicyTimedOut, "", nil)
	case len(d.Reasons) == 0 && !p.Has(action):
		return g.refuse(action, CodeInsufficientScope, "", nil)
	}
	no := g.refuse(action, CodePolicyDenied, "", nil)
	no.Reasons = d.Reasons
	return no
}

// verify, resolve and decide ask the three. A panic is an error, and so a "don't know". They are functions of their own, since
// a deferred call costs little only in a function with few returns.

func (g *Guard) verify(ctx context.Context, token string) (c *claims.Claims, err error) {
	defer caught(&err)
	return g.cfg.Tokens.Verify(ctx, token)
}

func (g *Guard) resolve(ctx context.Context, q orgstore.Query) (a *orgstore.Access, err error) {
	defer caught(&err)
	return g.cfg.Members.Resolve(ctx, q)
}

func (g *Guard) decide(ctx context.Context, in *policy.Input) (d policy.Decision, err error) {
	defer caught(&err)
	d, err = g.cfg.Policy.Decide(ctx, in)
	switch {
	case err != nil:
		d = policy.Decision{}
	case d.Allow && d.Outcome == "":
		d.Outcome = policy.Allowed
	case d.Allow && d.Outcome != policy.Allowed: // it contradicts itself
		d.Allow = false
	}
	return d, err
}

// caught, deferred, makes an error of a panic. Only the runtime's own texts are repeated: others may hold anything.
func caught(err *error) {
	switch v := recover().(type) {
	case nil:
	case runtime.Error:
		*err = fmt.Errorf("middleware: panic: %w", v)
	default:
		*err = fmt.Errorf("middleware: panic with a %T", v)
	}
}

var (
	errNoAnswer    = errors.New("middleware: no answer and no error")
	errWrongAnswer = errors.New("middleware: the answer is not about what was asked")
)

// maxReference is the length of the longest organization reference that is looked up.
const maxReference = 255

// isReference reports whether ref can be an id or a name of an organization: a strict alphabet, so that nothing else gets
// near a store or a cache key.
func isReference(ref string) bool {
	for i := range len(ref) {
		switch b := ref[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return false
		}
	}
	return ref != "" && len(ref) <= maxReference
}
