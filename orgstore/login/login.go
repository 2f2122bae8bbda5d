package login

import (
	"context"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Config is what a Service can be told. The zero value is ready for use.
type Config struct {
	// Join, if set, is asked before a login makes somebody a member by itself (rule JIT-2). It approves by returning what the
	// membership is to have, of which JoinedBy does not count, and refuses by returning an *Error. It runs outside of any
	// transaction and may run again for the same login.
	Join func(ctx context.Context, j Joining) (orgstore.MemberOptions, error)
	// RolesClaim is the claim of access tokens that holds the names of the user's roles, a URL or "roles" (rule TOK-3). Empty means
	// none. It never replaces another claim.
	RolesClaim string
	// IDTokenLifetime is how long ID tokens are good. 0 means 10 hours.
	IDTokenLifetime time.Duration
	// Clock tells the time; give the one of the engine's Config. Nil means time.Now.
	Clock func() time.Time
}

func (c *Config) now() time.Time {
	if c.Clock == nil {
		return time.Now()
	}
	return c.Clock()
}

// Service decides logins to the organizations of one engine. Make one with New; it may be used by any number of goroutines.
type Service struct {
	engine *orgstore.Engine
	cfg    Config
	facts  func(ctx context.Context, e *orgstore.Engine, client string) (store, *orgstore.Client, error)
}

// flow returns the flow of a request, whose facts are read with e.
func (s *Service) flow(ctx context.Context, e *orgstore.Engine, req Request) (*flow, error) {
	facts, c, err := s.facts(ctx, e, req.Client)
	if err != nil {
		return nil, err
	}
	f := &flow{store: facts, req: req, client: c}
	return f, f.host(ctx)
}

// Plan says what is next in a login.
//
// Errors: *Error for a "no"; ErrUnavailable and the context's error for a "don't know".
func (s *Service) Plan(ctx context.Context, req Request) (*Step, error) {
	f, err := s.flow(ctx, s.engine, req)
	if err != nil {
		return nil, err
	}
	return f.plan(ctx)
}

// store is what Plan looks up.
type store interface {
	// settings are the tenant's.
	settings() *orgstore.TenantSettings
	// organization returns the organization with this id or name, as the application sees it, or an ErrNotFound.
	organization(ctx context.Context, ref string) (organization, error)
	// atHost returns the organization that has the host as its login domain, or an ErrNotFound.
	atHost(ctx context.Context, host string) (organization, error)
	// discover returns the organizations that a verified discovery domain leads to.
	discover(ctx context.Context, domain string) ([]organization, error)
	// memberships returns a page of the active organizations that the user is a member of.
	memberships(ctx context.Context, user, query, after string) (found []Organization, next string, err error)
	// organizationConnections returns the connections enabled for an organization, clientConnections those for an application, and
	// enterpriseConnections those for any organization that know an e-mail domain.
	organizationConnections(ctx context.Context, org string) ([]Connection, error)
	clientConnections(ctx context.Context, client string) ([]Connection, error)
	enterpriseConnections(ctx context.Context, domain string) ([]Connection, error)
	// assigning returns the ids of the organizations that have the connection with assign_membership_on_login, at most two.
	assigning(ctx context.Context, connection string) ([]string, error)
	// joinable returns what follows in the organization from the domain of who has the e-mail address.
	joinable(ctx context.Context, org, email string) (orgstore.AutoJoin, error)
	// invitation returns the pending invitation that a ticket opens, or an ErrNotFound.
	invitation(ctx context.Context, ticket string) (*orgstore.Invitation, error)
	// hasAddress reports whether the user has the e-mail address at the connection, by its id.
	hasAddress(ctx context.Context, user, connection, email string) (bool, error)
	// defaultDatabase returns the tenant's default database connection, if it has one.
	defaultDatabase(ctx context.Context) (Connection, bool, error)
}
