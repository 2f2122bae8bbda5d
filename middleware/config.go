package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// TokenVerifier says who is asking: *claims.Verifier is one.
//
// An error that wraps claims.ErrInvalid means that the token is no good (401). Every other error means that nobody knows
// (503). The *claims.Claims may be shared between requests; a verifier that returns the same pointer for the same token lets
// the Guard prepare its part of the policy's input once.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (*claims.Claims, error)
}

// MemberResolver says what they are in the organization: it has the method of orgstore.Resolver, and the same contract.
// A "no" is an Access with that Standing (403); an error means that nobody knows (503). Query.Org is always 1 to 255 ASCII
// letters, digits, - and _: a token that names anything else is refused before.
type MemberResolver interface {
	Resolve(ctx context.Context, q orgstore.Query) (*orgstore.Access, error)
}

// Decider says whether they may: *policy.Engine is one. A "no" is a Decision (403); an error means that nobody knows (503).
type Decider interface {
	Decide(ctx context.Context, in *policy.Input) (policy.Decision, error)
}

// Config is what New builds a Guard from. Tokens and Members are required; the zero value of every other field is safe.
type Config struct {
	Tokens  TokenVerifier
	Members MemberResolver

	// Policy decides. Nil means permission match: an action is allowed exactly when it is among the member's permissions.
	Policy Decider

	// API is the identifier of the API that this Guard protects: permissions that count for it alone are then among the member's,
	// for the policy and for Principal.Has. Empty: only those that count for every API are.
	API string

	// Realm is the realm of the WWW-Authenticate challenge (RFC 6750 section 3): printable ASCII without `"` and `\`.
	// Default "api".
	Realm string

	// Timeout is the time that one request's verification, resolution and decision may take together: then their context
	// ends, and what is not known by then is refused with 503. A route's resource loader is not part of it. Default 1 s.
	Timeout time.Duration

	// ClockSkew is how far the token issuer's clock may be ahead: after signing out everywhere (Access.TokensValidAfter),
	// tokens issued up to this long after it are refused too (rule TOK-7). Default 30 s.
	ClockSkew time.Duration

	// Options apply to every route, before the route's own. A route that says where its organization is named replaces what
	// these say about that.
	Options []Option

	// NotFound reports whether a resource loader's error means that the resource does not exist, as sql.ErrNoRows often does.
	// ErrResourceNotFound always means it; every other error is an outage. Nil adds none.
	NotFound func(error) bool

	// Logger gets one record for each decision. Nil discards them. A token appears as the first 8 hex digits of its SHA-256.
	Logger *slog.Logger

	// AllowLevel is the level at which grants are logged. Refusals are logged at Info, "don't know" at Warn. Nil is Debug.
	AllowLevel slog.Leveler

	// Subjects bounds how many pairs of a token and an Access are kept ready for the policy, and by 2 KiB for each of them
	// (estimated) how much memory they take. Default 32,768, which is 64 MiB at the most; rounded up to a power of two.
	Subjects int

	// ReportOnly lets every request through to its handler, and only logs and counts what would have been refused: for
	// adoption on live traffic. It PROTECTS NOTHING. Where the caller is not known there is no Principal, so handlers must
	// use PrincipalFrom; where only the policy said no, Principal.Decision says so. Authorize is not affected.
	ReportOnly bool
}

// Defaults of Config.
const (
	defaultRealm     = "api"
	defaultTimeout   = time.Second
	defaultClockSkew = 30 * time.Second
	defaultSubjects  = 1 << 15
	maxSubjects      = 1 << 24
)

// Guard protects routes. Make one with New and share it: it is immutable, safe for concurrent use, and starts nothing that
// would need to be closed.
type Guard struct {
	cfg      Config
	defaults settings
	subjects subjectTable
	refused  [len(table)]atomic.Uint64
	reported atomic.Uint64
}

// New returns a Guard, or all that is wrong with cfg as one error.
func New(cfg Config) (*Guard, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("middleware: "+format, args...)) }

	if isNil(cfg.Tokens) {
		bad("Config.Tokens is missing: set it to a claims.Verifier")
	}
	if isNil(cfg.Members) {
		bad("Config.Members is missing: set it to an orgstore.Resolver, such as an Engine or a cached.Store")
	}
	if cfg.Policy != nil && isNil(cfg.Policy) {
		bad("Config.Policy is a nil %T: leave it out for permission match", cfg.Policy)
	}
	if cfg.Realm == "" {
		cfg.Realm = defaultRealm
	}
	if strings.ContainsFunc(cfg.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		bad(`Config.Realm %q must be printable ASCII without " and \`, cfg.Realm)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Timeout < 0 {
		bad("Config.Timeout %v is negative: leave it 0 for %v", cfg.Timeout, defaultTimeout)
	}
	if cfg.ClockSkew == 0 {
		cfg.ClockSkew = defaultClockSkew
	}
	if cfg.ClockSkew < 0 {
		bad("Config.ClockSkew %v is negative: leave it 0 for %v", cfg.ClockSkew, defaultClockSkew)
	}
	if cfg.Subjects == 0 {
		cfg.Subjects = defaultSubjects
	}
	if cfg.Subjects < 0 || cfg.Subjects > maxSubjects {
		bad("Config.Subjects %d must be between 1 and %d, or 0 for %d", cfg.Subjects, maxSubjects, defaultSubjects)
		cfg.Subjects = 1
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.AllowLevel == nil {
		cfg.AllowLevel = slog.LevelDebug
	}
	if cfg.Policy == nil {
		cfg.Policy = permissionMatch{}
	}

	g := &Guard{cfg: cfg}
	g.defaults = newSettings(cfg.Options)
	for _, err := range g.defaults.errs {
		bad("Config.Options: %w", err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	g.subjects = newSubjectTable(cfg.Subjects)
	g.subjects.api = cfg.API
	if cfg.ReportOnly {
		cfg.Logger.Warn("authorization is in report-only mode: requests are let through that should be refused")
	}
	return g, nil
}

// isNil reports whether v is nil, or a nil pointer in an interface: what a constructor returned beside an error that nobody
// looked at.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}

// Stats counts what a Guard did since New. Grants are not counted: one counter that all cores write would cost them more
// than the decision does.
type Stats struct {
	// Refused counts refusals by their code, those of Can and Authorize and those that ReportOnly let through included.
	// A "no" of Can is an answer and not a refusal.
	Refused map[Code]uint64
	// Reported counts the requests that ReportOnly let through although they should have been refused.
	Reported uint64
}

// Stats returns the counts so far.
func (g *Guard) Stats() Stats {
	s := Stats{Refused: map[Code]uint64{}, Reported: g.reported.Load()}
	for i := range g.refused {
		if n := g.refused[i].Load(); n > 0 {
			s.Refused[table[i].code] = n
		}
	}
	return s
}

// permissionMatch is the policy of a Guard without one.
type permissionMatch struct{}

func (permissionMatch) Decide(_ context.Context, in *policy.Input) (policy.Decision, error) {
	if slices.Contains(in.Subject.Member().Permissions, in.Action) {
		return policy.Decision{Allow: true, Outcome: policy.Allowed, Revision: "permission match"}, nil
	}
	return policy.Decision{Outcome: policy.Denied, Revision: "permission match"}, nil
}
