package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/orgauthz/orgauthz/policy"
)

// Option is a choice of one route, or in Config.Options of all.
type Option func(*settings)

// settings are what a route's options add up to.
type settings struct {
	org       []orgSource
	inherited bool // org is from Config.Options or the default: a route's own replaces it
	opaque    []string
	strong    bool
	load      loader
	errs      []error
}

type orgSource struct {
	kind orgSourceKind
	name string // wildcard, header or host suffix
}

type orgSourceKind uint8

const (
	fromPath orgSourceKind = iota
	fromHeader
	fromHost
	fromToken
)

// defaultWildcard names the organization in the pattern of a route that says nothing else.
const defaultWildcard = "org"

func newSettings(opts []Option) settings {
	s := settings{org: []orgSource{{fromPath, defaultWildcard}}, inherited: true}
	s.apply(opts)
	return s
}

func (s *settings) apply(opts []Option) {
	for _, opt := range opts {
		if opt == nil {
			s.errs = append(s.errs, errors.New("an Option is nil"))
			continue
		}
		opt(s)
	}
}

// with returns s with a route's own options.
func (s *settings) with(opts []Option) settings {
	t := *s
	t.inherited = true
	t.opaque = append([]string(nil), s.opaque...)
	t.apply(opts)
	return t
}

func (s *settings) addOrg(kind orgSourceKind, name string) {
	if s.inherited {
		s.org, s.inherited = nil, false
	}
	s.org = append(s.org, orgSource{kind, name})
}

// OrgFromPath says that the wildcard {name} of the route's pattern names the organization, by id or by name. The default is
// OrgFromPath("org"). A route whose pattern lacks the wildcard panics when it is registered at a Mux, else at its first
// request.
//
// The token decides which organization a request is about. What the request says beside it must agree: where several
// sources are given, every one that is present must name the token's organization, byte for byte. So must the value of a
// wildcard {org}, wherever the options say that the organization is named: call the wildcard otherwise if it means another.
func OrgFromPath(name string) Option {
	return func(s *settings) {
		if name == "" {
			s.errs = append(s.errs, errors.New("OrgFromPath needs the name of a wildcard"))
		}
		s.addOrg(fromPath, name)
	}
}

// OrgFromHeader says that the header names the organization, by id or by name. A request without the header is about the
// token's organization; one that has it twice is refused.
func OrgFromHeader(name string) Option {
	return func(s *settings) {
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f || !isTokenByte(byte(r)) }) {
			s.errs = append(s.errs, fmt.Errorf("OrgFromHeader: %q is no header name", name))
		}
		s.addOrg(fromHeader, http.CanonicalHeaderKey(name))
	}
}

// OrgFromHost says that the host's leftmost label names the organization, by name, below a suffix such as
// ".api.example.com". The Host header decides, as the server received it; a request to any other host is refused, so put a
// route that several suffixes serve behind one Require each.
func OrgFromHost(suffix string) Option {
	return func(s *settings) {
		if len(suffix) < 2 || suffix[0] != '.' || strings.ContainsAny(suffix, ":/ ") {
			s.errs = append(s.errs, fmt.Errorf("OrgFromHost: %q must be a host suffix that begins with a dot, such as .api.example.com", suffix))
		}
		s.addOrg(fromHost, strings.ToLower(suffix))
	}
}

// OrgFromToken says that only the token names the organization, nothing in the request but a wildcard {org}, if there is one.
func OrgFromToken() Option { return func(s *settings) { s.addOrg(fromToken, "") } }

// OpaqueValues names wildcards whose values may hold anything, such as the ids of users that an identity provider made.
// Without it a value with an encoded separator, a dot segment or a control character names nothing: 404, if the policy
// allows the request at all.
func OpaqueValues(wildcards ...string) Option {
	return func(s *settings) { s.opaque = append(s.opaque, wildcards...) }
}

// Strong asks the store for an answer that was read from its source after the request began (orgstore.Query.Strong): for
// the few routes where a revocation a moment ago must count.
func Strong() Option { return func(s *settings) { s.strong = true } }

// disagrees says which of the request's hints does not name org, or "" when all agree. Hints only ever narrow. A wildcard
// {org} is always one: a handler may read it although the options look elsewhere.
func (s *settings) disagrees(r *http.Request, org *policy.Org) string {
	if ref := r.PathValue(defaultWildcard); ref != "" && !names(ref, org) {
		return "path_names_another_organization"
	}
	for _, src := range s.org {
		switch src.kind {
		case fromPath:
			if !names(r.PathValue(src.name), org) {
				return "path_names_another_organization"
			}
		case fromHeader:
			if v := r.Header[src.name]; len(v) > 1 || len(v) == 1 && !names(v[0], org) {
				return "header_names_another_organization"
			}
		case fromHost:
			host, _, _ := strings.Cut(r.Host, ":")
			label, ok := strings.CutSuffix(strings.ToLower(host), src.name)
			if !ok || label == "" || label != org.Name {
				return "host_names_another_organization"
			}
		}
	}
	return ""
}

// names reports whether ref is the id or the name of org, byte for byte. Since both are well-formed, so is a ref that
// equals one: no separator, dot segment or control character gets past.
func names(ref string, org *policy.Org) bool {
	return ref != "" && (ref == org.ID || ref == org.Name)
}

// pattern is what a route knows of one pattern that it was matched by.
type pattern struct {
	text      string
	wildcards []wildcard
	missing   string // a wildcard that OrgFromPath names and the pattern lacks
}

type wildcard struct {
	name   string
	multi  bool // {name...}
	opaque bool
}

// parsePattern finds the wildcards of a pattern of http.ServeMux, which has checked its syntax.
func parsePattern(text string, s *settings) *pattern {
	p := &pattern{text: text}
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(after, "}")
		if !ok {
			break
		}
		rest = after
		if name == "$" || name == "" {
			continue
		}
		w := wildcard{name: name}
		w.name, w.multi = strings.CutSuffix(name, "...")
		w.opaque = slices.Contains(s.opaque, w.name)
		p.wildcards = append(p.wildcards, w)
	}
	for _, src := range s.org {
		if src.kind == fromPath && !p.has(src.name) {
			p.missing = src.name
		}
	}
	return p
}

func (p *pattern) has(name string) bool {
	return slices.ContainsFunc(p.wildcards, func(w wildcard) bool { return w.name == name })
}

// params returns the values of the wildcards, in into when they fit, and whether each is one that can name something.
func (p *pattern) params(r *http.Request, into []policy.Param) (_ []policy.Param, wellFormed bool) {
	wellFormed = true
	for _, w := range p.wildcards {
		v := r.PathValue(w.name)
		into = append(into, policy.Param{Name: w.name, Value: v})
		if !w.opaque && !plainValue(v, w.multi) {
			wellFormed = false
		}
	}
	return into, wellFormed
}

// plainValue reports whether a path value means the same to everybody who may look at it: no separator, no dot segment, no
// control character, valid UTF-8. The value of a {name...} wildcard may hold slashes, but no dot segment between them.
func plainValue(v string, multi bool) bool {
	start, ascii := 0, true
	for i := range len(v) {
		switch b := v[i]; {
		case b == '/':
			if !multi || dotSegment(v[start:i]) {
				return false
			}
			start = i + 1
		case b < ' ' || b == '\\' || b == 0x7f:
			return false
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return !dotSegment(v[start:]) && (ascii || utf8.ValidString(v))
}

func dotSegment(s string) bool { return s == "." || s == ".." }

// patternCache keeps the parsed patterns of one route: nearly always one. It is read without a lock; losing a race costs
// parsing once more.
type patternCache struct{ list atomic.Pointer[[]*pattern] }

// maxPatterns bounds the cache where patterns are made up at run time.
const maxPatterns = 64

func (c *patternCache) get(text string, s *settings) *pattern {
	old := c.list.Load()
	var held []*pattern
	if old != nil {
		held = *old
	}
	for _, p := range held {
		if p.text == text {
			return p
		}
	}
	p := parsePattern(text, s)
	if len(held) < maxPatterns {
		grown := append(slices.Clip(held), p)
		c.list.CompareAndSwap(old, &grown)
	}
	return p
}
