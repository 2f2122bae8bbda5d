package orgstore

import (
	"context"
	"errors"
	"time"
)

// EnabledConnection is one connection as it is enabled for one organization.
type EnabledConnection struct {
	Organization string `json:"organization_id"`
	ConnectionID string `json:"connection_id"`
	// Connection is read only.
	Connection ConnectionName `json:"connection"`
	// AssignMembershipOnLogin makes whoever logs in through the connection a member (rule JIT-1).
	AssignMembershipOnLogin bool `json:"assign_membership_on_login"`
	// ShowAsButton shows the connection on the organization's login prompt; it only matters for enterprise connections (rule CON-3).
	ShowAsButton bool `json:"show_as_button"`
	// Signup lets people sign up on the organization's login prompt (rule CON-2).
	Signup bool `json:"is_signup_enabled"`
	// Name is what administrators of the organization call it; empty for none.
	Name string `json:"organization_connection_name,omitempty"`
	// AccessLevel is how far administrators of the organization may administer the connection by themselves.
	AccessLevel AccessLevel `json:"organization_access_level"`
	// Enabled is false where the settings are kept, and nobody logs in through the connection.
	Enabled   bool      `json:"is_enabled"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// ConnectionName names a connection.
type ConnectionName struct {
	Name     string `json:"name"`
	Strategy string `json:"strategy"`
}

// AccessLevel is how far administrators of an organization may administer one of its connections.
type AccessLevel string

// The access levels, as in Auth0's My Organization API.
const (
	AccessNone     AccessLevel = "none"
	AccessReadonly AccessLevel = "readonly"
	AccessLimited  AccessLevel = "limited"
	AccessFull     AccessLevel = "full"
)

// EnabledConnectionSettings are the settings of an enabled connection. What is nil has its default when the connection is added,
// and stays as it is when it is updated.
type EnabledConnectionSettings struct {
	AssignMembershipOnLogin *bool        // default false
	ShowAsButton            *bool        // default true
	Signup                  *bool        // default false
	Name                    *string      // 1 to 50 characters; "" for none, the default
	AccessLevel             *AccessLevel // default none
	Enabled                 *bool        // default true
}

// NewConnection is a connection that a new organization is made with.
type NewConnection struct {
	ConnectionID string
	EnabledConnectionSettings
}

// EnabledConnectionListOptions selects a page of enabled connections. Filters that are nil admit everything.
type EnabledConnectionListOptions struct {
	ListOptions
	Enabled          *bool
	AssignMembership *bool
}

// EnabledConnections are the connections that are enabled for organizations. A connection can be enabled for many (rule CON-5).
type EnabledConnections struct{ e *Engine }

const maxEnabledConnectionName = 50

const enabledColumns = `ec.org_id, ec.connection_id, c.name, c.strategy, ec.assign_membership, ec.show_as_button, ec.signup, ec.name,
	ec.access_level, ec.is_enabled, ec.created_at, ec.updated_at`

// fromEnabled is where enabledColumns come from: of live organizations and connections.
const fromEnabled = ` FROM orgauthz_enabled_connections ec
	JOIN orgauthz_connections c ON c.id = ec.connection_id AND c.deleted_at IS NULL
	JOIN orgauthz_organizations o ON o.id = ec.org_id AND o.deleted_at IS NULL`

func scanEnabled(row scanner) (*EnabledConnection, error) {
	var c EnabledConnection
	return &c, row.Scan(&c.Organization, &c.ConnectionID, &c.Connection.Name, &c.Connection.Strategy, &c.AssignMembershipOnLogin,
		&c.ShowAsButton, &c.Signup, &c.Name, &c.AccessLevel, &c.Enabled, instant{&c.CreatedAt}, instant{&c.UpdatedAt})
}

// enabledConnection reads an enabled connection.
func enabledConnection(ctx context.Context, q queryer, org, id string) (*EnabledConnection, error) {
	if !validID("org_", org) || !validID("con_", id) {
		return nil, &NotFound{"connection"}
	}
	return one(scanEnabled(q.QueryRowContext(ctx, `
		SELECT `+enabledColumns+fromEnabled+` WHERE ec.org_id = $1 AND ec.connection_id = $2`, org, id)))("connection")
}

// enabledScope is the scope of one connection as it is enabled for one organization.
func enabledScope(org, connection string) Scope {
	return Scope{Kind: ScopeOrganizationConnection, Org: org, ID: connection}
}

// check checks the settings by themselves.
func (s EnabledConnectionSettings) check() error {
	var err error
	if s.Name != nil {
		err = checkText("organization_connection_name", "CON-1", *s.Name, maxEnabledConnectionName)
	}
	if s.AccessLevel != nil {
		switch *s.AccessLevel {
		case "", AccessNone, AccessReadonly, AccessLimited, AccessFull:
		default:
			err = errors.Join(err, &Invalid{"organization_access_level", "CON-1", "must be none, readonly, limited or full"})
		}
	}
	return err
}

// permitLevel refuses an actor who says how far administrators of the organization may administer the connection: that bounds them.
func (s EnabledConnectionSettings) permitLevel(tx *transaction, was AccessLevel) error {
	if tx.as == nil || s.AccessLevel == nil || *s.AccessLevel == was || *s.AccessLevel == "" && was == AccessNone {
		return nil
	}
	return &Denied{"update:connections"}
}

// apply changes c as s says, and checks the outcome.
func (s EnabledConnectionSettings) apply(c *EnabledConnection) error {
	set(&c.AssignMembershipOnLogin, s.AssignMembershipOnLogin)
	set(&c.ShowAsButton, s.ShowAsButton)
	set(&c.Signup, s.Signup)
	set(&c.Name, s.Name)
	set(&c.AccessLevel, s.AccessLevel)
	set(&c.Enabled, s.Enabled)
	if c.AccessLevel == "" {
		c.AccessLevel = AccessNone
	}
	if c.Signup && (c.Connection.Strategy != "auth0" || !c.AssignMembershipOnLogin) {
		return &Invalid{"is_signup_enabled", "CON-2",
			"Only database connections with assign_membership_on_login = true support is_signup_enabled = true."}
	}
	return nil
}

// Add enables a connection, by id, for an organization.
//
// Errors: NotFound (organization or connection), Invalid (CON-1, CON-2), Conflict (it is there already, enabled or not), Limit
// (connections).
func (s *EnabledConnections) Add(ctx context.Context, org, connection string,
	settings EnabledConnectionSettings) (*EnabledConnection, Result, error) {
	if err := settings.check(); err != nil {
		return nil, Result{}, err
	}
	c := &EnabledConnection{}
	return create(ctx, s.e, call{"enabled_connections.add", org, connection, settings}, c, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "create:organization_connections"); err != nil {
			return err
		}
		// Alone with the organization: it counts its connections.
		if err := tx.lock(ctx, []Scope{OrganizationScope(org), enabledScope(org, connection)},
			[]Scope{ConnectionScope(connection)}); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
		if err := settings.permitLevel(tx, AccessNone); err != nil {
			return err
		}
		return c.add(ctx, tx, org, connection, settings)
	})
}

// add enables a connection for an organization, in *c. Both have been locked, and the organization is there.
func (c *EnabledConnection) add(ctx context.Context, tx *transaction, org, id string, settings EnabledConnectionSettings) error {
	of, err := connection(ctx, tx.sql, id)
	if err != nil {
		return err
	}
	var connections, same int
	if err := tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*), COALESCE(SUM(CASE WHEN ec.connection_id = $2 THEN 1 ELSE 0 END), 0)`+fromEnabled+` WHERE ec.org_id = $1`,
		org, id).Scan(&connections, &same); err != nil {
		return err
	}
	if same > 0 {
		return &Conflict{"connection", "connection_id"}
	}
	if limit := tx.cfg.Limits.Connections; connections >= limit {
		return &Limit{"connections", limit}
	}
	*c = EnabledConnection{Organization: org, ConnectionID: id, Connection: ConnectionName{of.Name, of.Strategy}, ShowAsButton: true, Enabled: true}
	if err := settings.apply(c); err != nil {
		return err
	}
	if c.CreatedAt, err = tx.now(ctx); err != nil {
		return err
	}
	c.UpdatedAt = c.CreatedAt
	if _, err := tx.sql.ExecContext(ctx, `
		INSERT INTO orgauthz_enabled_connections (org_id, connection_id, assign_membership, show_as_button, signup, name,
			access_level, is_enabled, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
		org, id, flag(c.AssignMembershipOnLogin), flag(c.ShowAsButton), flag(c.Signup), c.Name, string(c.AccessLevel),
		flag(c.Enabled), c.CreatedAt.UnixMicro()); err != nil {
		return err
	}
	return tx.raise(ctx, enabledScope(org, id), org, "organization.connection.added", nil, c)
}

// Get returns a connection as it is enabled for an organization. Errors: NotFound (connection; also when there is no such
// organization).
func (s *EnabledConnections) Get(ctx context.Context, org, connection string) (*EnabledConnection, error) {
	return read(ctx, s.e, func(q queryer) (*EnabledConnection, error) { return enabledConnection(ctx, q, org, connection) })
}

// enabledBy is the list of the connections of an organization, and that of the organizations of a connection; $1 is the one.
func enabledBy(one, other, value string, id func(*EnabledConnection) string, opts EnabledConnectionListOptions) listing[*EnabledConnection] {
	joined := map[string]string{"org_id": "o.id", "connection_id": "c.id"}[other]
	l := listing[*EnabledConnection]{
		name:  "enabled by " + one,
		query: `SELECT ` + enabledColumns + fromEnabled + ` WHERE ec.` + one + ` = $1 {after ` + joined + `}`,
		args:  []any{value},
		id:    "ec." + other,
		sorts: map[Sort]string{SortCreated: "ec.created_at"},
		scan:  scanEnabled,
		key: func(c *EnabledConnection, _ Sort) (any, string) {
			return c.CreatedAt.UnixMicro(), id(c)
		},
	}
	if opts.Enabled != nil {
		l = l.and(`ec.is_enabled = ?`, flag(*opts.Enabled))
	}
	if opts.AssignMembership != nil {
		l = l.and(`ec.assign_membership = ?`, flag(*opts.AssignMembership))
	}
	return l
}

// List returns a page of the connections of an organization, by id (of the connection) or created_at. Errors: NotFound
// (organization).
func (s *EnabledConnections) List(ctx context.Context, org string, opts EnabledConnectionListOptions) (Page[*EnabledConnection], error) {
	l := enabledBy("org_id", "connection_id", org, func(c *EnabledConnection) string { return c.ConnectionID }, opts)
	return l.of(ctx, s.e, org, opts.ListOptions)
}

// ListByConnection returns a page of all organizations' settings of one connection, by id (of the organization) or created_at. It
// is empty when there is no such connection.
func (s *EnabledConnections) ListByConnection(ctx context.Context, connection string,
	opts EnabledConnectionListOptions) (Page[*EnabledConnection], error) {
	if !validID("con_", connection) {
		connection = ""
	}
	l := enabledBy("connection_id", "org_id", connection, func(c *EnabledConnection) string { return c.Organization }, opts)
	return l.read(ctx, s.e, opts.ListOptions)
}

// Update changes what settings names. Errors: NotFound (connection), Invalid (CON-1, CON-2).
func (s *EnabledConnections) Update(ctx context.Context, org, connection string, settings EnabledConnectionSettings) (Result, error) {
	if err := settings.check(); err != nil {
		return Result{}, err
	}
	return s.e.mutate(ctx, call{"enabled_connections.update", org, connection, settings}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, "update:organization_connections", org, connection)
		if err != nil {
			return err
		}
		if err := settings.permitLevel(tx, before.AccessLevel); err != nil {
			return err
		}
		c := *before
		if err := settings.apply(&c); err != nil {
			return err
		}
		if c == *before {
			return nil
		}
		if c.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_enabled_connections SET assign_membership = $3, show_as_button = $4, signup = $5, name = $6,
				access_level = $7, is_enabled = $8, updated_at = $9
			WHERE org_id = $1 AND connection_id = $2`,
			org, connection, flag(c.AssignMembershipOnLogin), flag(c.ShowAsButton), flag(c.Signup), c.Name, string(c.AccessLevel),
			flag(c.Enabled), c.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, enabledScope(org, connection), org, "organization.connection.updated", before, &c)
	})
}

// Remove takes a connection from an organization: nobody logs in to it through the connection any more. Members stay members;
// LockedOut tells those who have no other way in (rule CON-4). Removing one that is not there changes nothing.
func (s *EnabledConnections) Remove(ctx context.Context, org, connection string) (Result, error) {
	return s.e.mutate(ctx, call{"enabled_connections.remove", org, connection}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, "delete:organization_connections", org, connection)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_enabled_connections WHERE org_id = $1 AND connection_id = $2`,
			org, connection); err != nil {
			return err
		}
		return tx.raise(ctx, enabledScope(org, connection), org, "organization.connection.removed", before, nil)
	})
}

// begin locks what an operation on an enabled connection needs, and returns it.
func (s *EnabledConnections) begin(ctx context.Context, tx *transaction, permission, org, connection string) (*EnabledConnection, error) {
	if err := tx.permit(ctx, org, permission); err != nil {
		return nil, err
	}
	if err := tx.lock(ctx, []Scope{enabledScope(org, connection)}, []Scope{OrganizationScope(org)}); err != nil {
		return nil, err
	}
	return enabledConnection(ctx, tx.sql, org, connection)
}

// LockedOut returns a page of the members of an organization, by user id, who have identities, but none in a connection that is
// enabled for it: they stay members and cannot log in (rule CON-4). Errors: NotFound (organization).
func (s *EnabledConnections) LockedOut(ctx context.Context, org string, opts ListOptions) (Page[string], error) {
	return listing[string]{
		name: "locked out",
		query: `SELECT m.user_id FROM orgauthz_members m JOIN orgauthz_organizations o ON o.id = m.org_id AND o.deleted_at IS NULL
			WHERE m.org_id = $1 AND EXISTS (SELECT 1 FROM orgauthz_identities i WHERE i.user_id = m.user_id)
			AND NOT EXISTS (SELECT 1 FROM orgauthz_identities i
				JOIN orgauthz_enabled_connections ec ON ec.org_id = m.org_id AND ec.connection_id = i.connection_id AND ec.is_enabled = 1
				JOIN orgauthz_connections c ON c.id = ec.connection_id AND c.deleted_at IS NULL
				WHERE i.user_id = m.user_id)`,
		id:   "m.user_id",
		scan: func(row scanner) (user string, err error) { return user, row.Scan(&user) },
		key:  byID(func(user string) string { return user }),
	}.of(ctx, s.e, org, opts)
}
