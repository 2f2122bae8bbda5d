package login

import "context"

// Config is what a Service can be told. The zero value is ready for use.
type Config struct {
	// MergeConnections shows the application's connections beside the organization's own when a login is for an organization.
	MergeConnections bool
	// AlwaysPick shows the picker also to users of one organization whose application requires one.
	AlwaysPick bool
}

// store is what Plan looks up.
type store interface {
	// names reports whether the tenant allows names of organizations where ids are expected.
	names() bool
	// organization returns the organization with this id or name, as the application sees it, or an ErrNotFound.
	organization(ctx context.Context, ref string) (organization, error)
	// discover returns the organizations that a verified discovery domain leads to.
	discover(ctx context.Context, domain string) ([]organization, error)
	// memberships returns a page of the active organizations that the user is a member of.
	memberships(ctx context.Context, user, query, after string) (found []Organization, next string, err error)
	// organizationConnections returns the connections enabled for an organization, clientConnections those for an application, and
	// enterpriseConnections those for any organization that know an e-mail domain.
	organizationConnections(ctx context.Context, org string) ([]Connection, error)
	clientConnections(ctx context.Context, client string) ([]Connection, error)
	enterpriseConnections(ctx context.Context, domain string) ([]Connection, error)
	// defaultDatabase returns the tenant's default database connection, if it has one.
	defaultDatabase(ctx context.Context) (Connection, bool, error)
}
