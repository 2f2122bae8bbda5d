package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
)

// Mux is http.ServeMux that remembers what was registered, which http.ServeMux does not tell: Audit can then prove that no
// route was forgotten. It takes the same patterns, matches in the same way, and refuses at registration, by a panic, a
// guarded handler whose pattern lacks the wildcard that names the organization. The zero value is ready for use.
type Mux struct {
	mux    http.ServeMux
	mu     sync.Mutex
	routes []registered
}

type registered struct {
	pattern string
	handler http.Handler
}

// NewMux returns a new Mux.
func NewMux() *Mux { return new(Mux) }

// Handle registers h for pattern. See http.ServeMux.Handle.
func (m *Mux) Handle(pattern string, h http.Handler) {
	if rt, ok := guarded(h); ok {
		if pat := parsePattern(pattern, &rt.settings); pat.missing != "" {
			panic(rt.missing(pat))
		}
	}
	m.mux.Handle(pattern, h)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.routes = append(m.routes, registered{pattern, h})
}

// HandleFunc registers h for pattern. See http.ServeMux.HandleFunc.
func (m *Mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	if h == nil {
		panic("middleware: HandleFunc: the handler is nil")
	}
	m.Handle(pattern, http.HandlerFunc(h))
}

// Handler returns the handler and the pattern for r. See http.ServeMux.Handler.
func (m *Mux) Handler(r *http.Request) (h http.Handler, pattern string) { return m.mux.Handler(r) }

// ServeHTTP dispatches r. See http.ServeMux.ServeHTTP.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// Audit returns an error that lists every route of mux that is neither behind this Guard nor named in public, the list of
// patterns that are meant to be open. Call it from a test:
//
//	if err := guard.Audit(mux, "GET /healthz"); err != nil { t.Error(err) }
//
// An entry of public that is no route, or that is guarded after all, is an error too, so that the list stays true; and so
// is a mux without any guarded route, since an audit that finds nothing to check proves nothing.
//
// It sees what was registered at mux, and into a Mux that is registered there. A handler that wraps a guarded one hides it:
// put Require outermost, or give the wrapper a method Unwrap() http.Handler. What a route does not do behind Require, such
// as asking for the right action, no audit can see.
func (g *Guard) Audit(mux *Mux, public ...string) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("middleware: "+format, args...)) }
	seen, protected := map[string]bool{}, 0
	for _, r := range mux.all() {
		rt, ok := guarded(r.handler)
		ok = ok && rt.guard == g
		open := slices.Contains(public, r.pattern)
		seen[r.pattern] = true
		switch {
		case ok && open:
			bad("%q is named public but guarded by %q: take it off the list", r.pattern, rt.action)
		case ok:
			protected++
		case !open:
			bad("%q is not guarded: put Guard.Require around its handler, or name it public", r.pattern)
		}
	}
	for _, pattern := range public {
		if !seen[pattern] {
			bad("%q is named public but is no route: take it off the list", pattern)
		}
	}
	if protected == 0 {
		bad("the mux has no route that this Guard protects: there is nothing to audit")
	}
	return errors.Join(errs...)
}

// all returns the routes of m, and in place of a Mux below it that one's routes.
func (m *Mux) all() []registered {
	m.mu.Lock()
	routes := slices.Clone(m.routes)
	m.mu.Unlock()
	var out []registered
	for _, r := range routes {
		if below, ok := r.handler.(*Mux); ok && below != m {
			out = append(out, below.all()...)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// guarded returns the route that h is, or wraps visibly.
func guarded(h http.Handler) (*route, bool) {
	for h != nil {
		if rt, ok := h.(*route); ok {
			return rt, true
		}
		w, ok := h.(interface{ Unwrap() http.Handler })
		if !ok {
			break
		}
		h = w.Unwrap()
	}
	return nil, false
}
