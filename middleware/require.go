package middleware

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Require returns h behind the Guard: only requests whose bearer may do action in their organization reach it, with a
// Principal in their context. Everybody else gets an answer of the package's table.
//
// Put it inside the mux, one per route: what the policy sees, and where the organization is named, is the pattern that
// matched and its values. Around a whole mux it works only with OrgFromHeader, OrgFromHost or OrgFromToken, since no value
// is known there yet, and one action for all routes; the policy then sees the pattern that the mux will match.
//
// action is a scope-token (RFC 6749 section 3.3), for example "read:adventures". Require panics, as http.ServeMux does,
// when it, h or an option makes no sense.
func (g *Guard) Require(action string, h http.Handler, opts ...Option) http.Handler {
	rt := &route{guard: g, action: action, next: h, settings: g.defaults.with(opts)}
	errs := rt.settings.errs
	if !isScope(action) {
		errs = append(errs, fmt.Errorf("action %q must be a scope-token (RFC 6749 section 3.3), such as read:adventures", action))
	}
	if h == nil {
		errs = append(errs, errors.New("the handler is nil"))
	}
	if len(errs) > 0 {
		panic(fmt.Sprintf("middleware: Require(%q): %v", action, errors.Join(errs...)))
	}
	rt.outer, _ = h.(Router)
	return rt
}

// RequireFunc is Require for a function.
func (g *Guard) RequireFunc(action string, h func(http.ResponseWriter, *http.Request), opts ...Option) http.Handler {
	if h == nil {
		return g.Require(action, nil, opts...)
	}
	return g.Require(action, http.HandlerFunc(h), opts...)
}

// Middleware is Require for routers and chains that want it in this shape.
func (g *Guard) Middleware(action string, opts ...Option) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler { return g.Require(action, h, opts...) }
}

// route is one guarded handler.
type route struct {
	guard    *Guard
	action   string
	next     http.Handler
	outer    Router // next, when it is a mux
	settings settings
	patterns patternCache
}

func (rt *route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := &passage{Context: r.Context()}
	passed, no := rt.pass(p, r)
	rt.guard.record(p, no, rt.guard.cfg.ReportOnly)
	if no != nil {
		if !rt.guard.cfg.ReportOnly {
			WriteRefusal(w, no)
			return
		}
		rt.guard.reported.Add(1)
		if passed == nil && p.principal.input.Subject != nil {
			passed = r.WithContext(p)
		}
		if passed == nil {
			passed = r
		}
	}
	rt.next.ServeHTTP(w, passed)
}

// pass takes r through the Guard, and returns the request for the handler or why there is none.
func (rt *route) pass(p *passage, r *http.Request) (*http.Request, *Refusal) {
	g, in := rt.guard, &p.principal.input
	p.principal.Action, in.Action, in.Request.Method = rt.action, rt.action, r.Method
	pat := rt.pattern(r)
	in.Request.Pattern = pat.text
	if !validMethod(r.Method) {
		return nil, g.refuse(rt.action, CodeInvalidRequest, "method", nil)
	}
	token, code, cause := bearerToken(r.Header)
	if code != "" {
		return nil, g.refuse(rt.action, code, cause, nil)
	}
	p.token = token

	// Nothing between begin and end panics but a loader, which runs outside of the deadline: no defer is needed.
	wait := p.begin(g.cfg.Timeout)
	no := g.identify(wait, p, nil, orgstore.Query{Strong: rt.settings.strong})
	found := true
	if no == nil {
		if cause := rt.settings.disagrees(r, &p.principal.Org); cause != "" {
			in.Subject = nil // whoever they are elsewhere, here they are nobody
			no = g.refuse(rt.action, CodeNoOrganizationAccess, cause, nil)
		} else {
			in.Request.Params, found = pat.params(r, p.params[:0])
		}
	}
	var passed *http.Request
	if no == nil && rt.settings.load != nil {
		// The loader is the application's and has the request's own time: what was left of ours is kept for the policy.
		left := time.Until(wait.deadline)
		wait.end()
		passed = r.WithContext(p)
		found, no = rt.load(p, passed, found)
		wait = &deadlineContext{parent: p.Context, deadline: time.Now().Add(left)}
	}
	if no == nil {
		no = g.ask(wait, p)
	}
	wait.end()

	switch {
	case no != nil:
		return nil, no
	case !found:
		return nil, g.refuse(rt.action, CodeNotFound, "", nil)
	case passed == nil:
		passed = r.WithContext(p)
	}
	return passed, nil
}

// pattern returns what is known of the pattern that r was matched by.
func (rt *route) pattern(r *http.Request) *pattern {
	if r.Pattern == "" && rt.outer != nil {
		_, text := rt.outer.Handler(r)
		// The wildcards of text have no values yet.
		pat := *rt.patterns.get("", &rt.settings)
		pat.text = text
		rt.mustHave(&pat, r)
		return &pat
	}
	pat := rt.patterns.get(r.Pattern, &rt.settings)
	rt.mustHave(pat, r)
	return pat
}

func (rt *route) mustHave(pat *pattern, r *http.Request) {
	if pat.missing != "" && r.PathValue(pat.missing) == "" {
		panic(rt.missing(pat))
	}
}

func (rt *route) missing(pat *pattern) string {
	return fmt.Sprintf("middleware: Require(%q): the pattern %q has no wildcard {%s} to name the organization: put it there, "+
		"or say with OrgFromPath, OrgFromHeader, OrgFromHost or OrgFromToken where the organization is named",
		rt.action, pat.text, pat.missing)
}

// loader loads a route's resource: its value, and its JSON form.
type loader func(r *http.Request, p *Principal) (value any, raw json.RawMessage, err error)

// Resource loads what the route is about, once: the policy sees its JSON form as input.resource, and the handler reads the
// same value by ResourceFrom[T]. load runs when the caller is known to be a member, before the policy is asked, and with
// the Principal in the request's context; it must not change anything, and must look only into the Principal's organization.
//
// When load returns an error that means "not found" (ErrResourceNotFound, Config.NotFound) or a value whose
// JSON form is null, the policy is asked with input.resource null; if it denies, the answer is 403 as for any other
// denial, and only an allow releases the 404. Every other error, and a value without a JSON form, is answered with 503. A
// panic is the application's own: it goes up like a handler's, which does not run.
func Resource[T any](load func(*http.Request, *Principal) (T, error)) Option {
	return func(s *settings) {
		if load == nil {
			s.errs = append(s.errs, errors.New("Resource needs a function"))
			return
		}
		if s.load != nil {
			s.errs = append(s.errs, errors.New("Resource is there twice: a route has one resource"))
			return
		}
		s.load = func(r *http.Request, p *Principal) (any, json.RawMessage, error) {
			v, err := load(r, p)
			if err != nil {
				return nil, nil, err
			}
			raw, err := json.Marshal(v)
			if err != nil {
				return nil, nil, fmt.Errorf("middleware: the resource has no JSON form: %w", err)
			}
			return v, raw, nil
		}
	}
}

// load runs the route's loader, unless a path value already shows that there is nothing to load.
func (rt *route) load(p *passage, r *http.Request, wellFormed bool) (found bool, no *Refusal) {
	in := &p.principal.input
	in.Resource = json.RawMessage("null")
	if !wellFormed {
		return false, nil
	}
	v, raw, err := rt.settings.load(r, &p.principal)
	switch {
	case err == nil && string(raw) != "null":
		p.resource, in.Resource = v, raw
		return true, nil
	case err == nil, rt.guard.notFound(err):
		return false, nil
	}
	return false, rt.guard.refuse(rt.action, CodeUnavailable, "resource", err)
}

func (g *Guard) notFound(err error) bool {
	return errors.Is(err, ErrResourceNotFound) || g.cfg.NotFound != nil && g.cfg.NotFound(err)
}
