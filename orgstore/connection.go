package orgstore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Connection is where users prove who they are: a database of passwords, an enterprise's identity provider, a social login.
type Connection struct {
	ID          string `json:"id"`       // "con_" and 16 alphanumerics; never given again
	Name        string `json:"name"`     // rule DIR-1; unique in the store; never changes
	Strategy    string `json:"strategy"` // for example auth0, samlp, google-oauth2, sms; see Kind; never changes
	DisplayName string `json:"display_name,omitempty"`
	// Domains are the e-mail domains whose users log in here, in lower case and sorted; only enterprise connections have any.
	Domains []string `json:"domain_aliases,omitempty"`
	// Signup says that people may sign up by themselves; only databases and passwordless connections can.
	Signup bool `json:"is_signup_enabled"`
	// DomainConnection says that third-party applications may use the connection.
	DomainConnection bool `json:"is_domain_connection"`
	// Isolated says that each user of the connection is a member of at most one organization (rule MEM-6).
	Isolated  bool      `json:"is_isolated"`
	CreatedAt time.Time `json:"created_at"` // UTC
	UpdatedAt time.Time `json:"updated_at"` // UTC; applications do not count
}

// ConnectionKind says what kind of place a Connection is.
type ConnectionKind string

// The kinds of connections.
const (
	ConnectionDatabase     ConnectionKind = "database"
	ConnectionEnterprise   ConnectionKind = "enterprise"
	ConnectionSocial       ConnectionKind = "social"
	ConnectionPasswordless ConnectionKind = "passwordless"
)

// strategyKinds are the strategies of Auth0's Management API that are not social.
var strategyKinds = map[string]ConnectionKind{
	"auth0": ConnectionDatabase,
	"email": ConnectionPasswordless, "sms": ConnectionPasswordless,
	"ad": ConnectionEnterprise, "adfs": ConnectionEnterprise, "auth0-adldap": ConnectionEnterprise, "auth0-oidc": ConnectionEnterprise,
	"custom": ConnectionEnterprise, "google-apps": ConnectionEnterprise, "ip": ConnectionEnterprise, "office365": ConnectionEnterprise,
	"oidc": ConnectionEnterprise, "okta": ConnectionEnterprise, "pingfederate": ConnectionEnterprise, "samlp": ConnectionEnterprise,
	"sharepoint": ConnectionEnterprise, "waad": ConnectionEnterprise,
}

// Kind returns what kind of place the connection is, by its strategy. Strategies that are not known are social, which is
// trusted with the least.
func (c *Connection) Kind() ConnectionKind {
	return cmp.Or(strategyKinds[c.Strategy], ConnectionSocial)
}

// ConnectionUpdate says what to change of a connection. What is nil stays as it is.
type ConnectionUpdate struct {
	DisplayName      *string   // "" clears it
	Domains          *[]string // replaces all of them
	Signup           *bool
	DomainConnection *bool
	Isolated         *bool
}

// ConnectionListOptions selects a page of connections. Filters that are empty admit everything.
type ConnectionListOptions struct {
	ListOptions
	Strategy string // only those with this strategy
	Domain   string // only those with this e-mail domain, in any case
	Client   string // only those that this application uses, by id
	// Organization admits only those that are enabled for this organization, by id; Enabled those that are so for any.
	Organization string
	Enabled      bool
}

// Connections are the connections of an Engine's tenant: where users prove who they are.
type Connections struct{ e *Engine }

// Bounds of connections.
const (
	maxConnectionName    = 128
	maxConnectionDomains = 1000
)

// ConnectionScope is the scope of one connection, by id.
func ConnectionScope(connection string) Scope { return Scope{Kind: ScopeConnection, ID: connection} }

const connectionColumns = `id, name, strategy, display_name, domains, signup, domain_connection, isolated, created_at, updated_at`

func scanConnection(row scanner) (*Connection, error) {
	var c Connection
	var domains string
	var created, updated int64
	err := row.Scan(&c.ID, &c.Name, &c.Strategy, &c.DisplayName, &domains, &c.Signup, &c.DomainConnection, &c.Isolated,
		&created, &updated)
	if domains != "" {
		c.Domains = strings.Fields(domains)
	}
	c.CreatedAt, c.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &c, err
}

// connection reads a live connection.
func connection(ctx context.Context, q queryer, id string) (*Connection, error) {
	if !validID("con_", id) {
		return nil, &NotFound{"connection"}
	}
	return one(scanConnection(q.QueryRowContext(ctx,
		`SELECT `+connectionColumns+` FROM orgauthz_connections WHERE id = $1 AND deleted_at IS NULL`, id)))("connection")
}

func connectionByName(ctx context.Context, q queryer, name string) (*Connection, error) {
	if !validConnectionName(name) {
		return nil, &NotFound{"connection"}
	}
	return one(scanConnection(q.QueryRowContext(ctx,
		`SELECT `+connectionColumns+` FROM orgauthz_connections WHERE name = $1 AND deleted_at IS NULL`, name)))("connection")
}

// validConnectionName reports whether name is the name of a connection (rule DIR-1).
func validConnectionName(name string) bool {
	return words(name, maxConnectionName, func(c byte) bool { return isLower(c) || isDigit(c) || 'A' <= c && c <= 'Z' })
}

func validStrategy(strategy string) bool {
	return words(strategy, 64, func(c byte) bool { return isLower(c) || isDigit(c) })
}

// validEmailDomain reports whether domain, in lower case, can stand behind the @ of an address.
func validEmailDomain(domain string) bool {
	if len(domain) > 253 || !strings.Contains(domain, ".") {
		return false
	}
	for label := range strings.SplitSeq(domain, ".") {
		if len(label) > 63 || label == "" || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// words reports whether s is 1 to most characters: words of one or more letters with one hyphen between them.
func words(s string, most int, letter func(byte) bool) bool {
	if len(s) > most {
		return false
	}
	for word := range strings.SplitSeq(s, "-") {
		if word == "" {
			return false
		}
		for i := range len(word) {
			if !letter(word[i]) {
				return false
			}
		}
	}
	return true
}

// check checks c and puts its domains in order.
func (c *Connection) check() error {
	err := checkText("display_name", "DIR-1", c.DisplayName, maxDisplayName)
	if !validConnectionName(c.Name) {
		err = errors.Join(err, &Invalid{"name", "DIR-1", "must be 1 to 128 letters and digits, with single hyphens between them"})
	}
	if !validStrategy(c.Strategy) {
		err = errors.Join(err, &Invalid{"strategy", "DIR-1", "must be the name of a strategy, such as auth0, samlp or google-oauth2"})
	}
	domains := make([]string, 0, len(c.Domains))
	for _, d := range c.Domains {
		// What is no ASCII stays as it is and is refused: the lower case of the Kelvin sign is a k.
		d = lowerASCII(d)
		if !validEmailDomain(d) {
			err = errors.Join(err, &Invalid{"domain_aliases", "DIR-1", "must each be a domain name, in ASCII"})
			break
		}
		domains = append(domains, d)
	}
	c.Domains = unique(domains)
	switch kind := c.Kind(); {
	case len(c.Domains) > maxConnectionDomains:
		err = errors.Join(err, &Limit{"domains per connection", maxConnectionDomains})
	case len(c.Domains) > 0 && kind != ConnectionEnterprise:
		err = errors.Join(err, &Invalid{"domain_aliases", "DIR-1", "must be empty, except for enterprise connections"})
	}
	if kind := c.Kind(); c.Signup && kind != ConnectionDatabase && kind != ConnectionPasswordless {
		err = errors.Join(err, &Invalid{"is_signup_enabled", "DIR-1", "must be false, except for databases and passwordless connections"})
	}
	return err
}

// lowerASCII returns s with A to Z in lower case and everything else as it is.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// Create makes a connection of c, whose Name and Strategy must be given. ID is generated when empty; a given one must never have
// been used in this store. The times of c are ignored.
//
// Errors: Invalid (DIR-1), Conflict (id or name taken), Limit (domains per connection).
func (s *Connections) Create(ctx context.Context, c Connection) (*Connection, Result, error) {
	given := c
	if c.ID == "" {
		c.ID = newID("con_")
	}
	if err := errors.Join(checkID("con_", c.ID), c.check()); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"connections.create", given}, &c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:connections"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ConnectionScope(c.ID)}, nil); err != nil {
			return err
		}
		var taken int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_connections WHERE id = $1`, c.ID).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"connection", "id"}
		}
		if err != nil {
			return err
		}
		_, err = connectionByName(ctx, tx.sql, c.Name)
		switch {
		case err == nil:
			return &Conflict{"connection", "name"}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if c.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		c.UpdatedAt = c.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_connections (id, name, strategy, display_name, domains, signup, domain_connection, isolated,
				created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
			c.ID, c.Name, c.Strategy, c.DisplayName, strings.Join(c.Domains, " "), flag(c.Signup), flag(c.DomainConnection),
			flag(c.Isolated), c.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := c.saveDomains(ctx, tx); err != nil {
			return err
		}
		return tx.raise(ctx, ConnectionScope(c.ID), "", "connection.created", nil, &c)
	})
}

func (c *Connection) saveDomains(ctx context.Context, tx *transaction) error {
	for _, d := range c.Domains {
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_connection_domains (domain, connection_id) VALUES ($1, $2)`, d, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the connection with this id. Errors: NotFound.
func (s *Connections) Get(ctx context.Context, id string) (*Connection, error) {
	return read(ctx, s.e, func(q queryer) (*Connection, error) { return connection(ctx, q, id) })
}

// GetByName returns the connection with this name, byte for byte. Errors: NotFound.
func (s *Connections) GetByName(ctx context.Context, name string) (*Connection, error) {
	return read(ctx, s.e, func(q queryer) (*Connection, error) { return connectionByName(ctx, q, name) })
}

var connectionList = listing[*Connection]{
	name:  "connections",
	query: `SELECT ` + connectionColumns + ` FROM orgauthz_connections WHERE deleted_at IS NULL`,
	id:    "id",
	sorts: map[Sort]string{SortName: "name", SortCreated: "created_at"},
	scan:  scanConnection,
	key: func(c *Connection, by Sort) (any, string) {
		if by == SortName {
			return c.Name, c.ID
		}
		return c.CreatedAt.UnixMicro(), c.ID
	},
}

// List returns a page of the connections that opts admits, by id, name or created_at. Filters that nothing can match give an
// empty page.
func (s *Connections) List(ctx context.Context, opts ConnectionListOptions) (Page[*Connection], error) {
	l := connectionList
	if opts.Strategy != "" {
		l = l.where("strategy = ?", validStrategy(opts.Strategy), opts.Strategy)
	}
	if opts.Domain != "" {
		domain := lowerASCII(opts.Domain)
		l = l.where("id IN (SELECT connection_id FROM orgauthz_connection_domains WHERE domain = ?)", validEmailDomain(domain), domain)
	}
	if opts.Client != "" {
		l = l.where(`id IN (SELECT cc.connection_id FROM orgauthz_connection_clients cc
			JOIN orgauthz_clients c ON c.id = cc.client_id AND c.deleted_at IS NULL WHERE c.id = ?)`, validClientID(opts.Client), opts.Client)
	}
	if opts.Organization != "" {
		l = l.where(`id IN (SELECT ec.connection_id FROM orgauthz_enabled_connections ec
			JOIN orgauthz_organizations o ON o.id = ec.org_id AND o.deleted_at IS NULL WHERE ec.is_enabled = 1 AND o.id = ?)`,
			validID("org_", opts.Organization), opts.Organization)
	}
	if opts.Enabled {
		l.query += ` AND EXISTS (SELECT 1 FROM orgauthz_enabled_connections ec
			JOIN orgauthz_organizations o ON o.id = ec.org_id AND o.deleted_at IS NULL
			WHERE ec.is_enabled = 1 AND ec.connection_id = orgauthz_connections.id)`
	}
	return l.read(ctx, s.e, opts.ListOptions)
}

// where returns l with one more condition, in which ? stands for value. possible is false when value can match nothing, and may be
// what a database refuses.
func (l listing[T]) where(condition string, possible bool, value any) listing[T] {
	if !possible {
		l.query += " AND 1 = 0"
		return l
	}
	l.args = append(slices.Clone(l.args), value)
	l.query += " AND " + strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(l.args)))
	return l
}

// Update changes what u names. Errors: NotFound, Invalid (DIR-1), Limit (domains per connection).
func (s *Connections) Update(ctx context.Context, id string, u ConnectionUpdate) (Result, error) {
	return s.change(ctx, call{"connections.update", id, u}, id, func(tx *transaction, before *Connection) error {
		c := *before
		set(&c.DisplayName, u.DisplayName)
		set(&c.Domains, u.Domains)
		set(&c.Signup, u.Signup)
		set(&c.DomainConnection, u.DomainConnection)
		set(&c.Isolated, u.Isolated)
		if err := c.check(); err != nil {
			return err
		}
		sameDomains := slices.Equal(c.Domains, before.Domains)
		if sameDomains && c.DisplayName == before.DisplayName && c.Signup == before.Signup &&
			c.DomainConnection == before.DomainConnection && c.Isolated == before.Isolated {
			return nil
		}
		var err error
		if c.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_connections
			SET display_name = $2, domains = $3, signup = $4, domain_connection = $5, isolated = $6, updated_at = $7 WHERE id = $1`,
			id, c.DisplayName, strings.Join(c.Domains, " "), flag(c.Signup), flag(c.DomainConnection), flag(c.Isolated),
			c.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if !sameDomains {
			if err := forgetDomains(ctx, tx, id); err != nil {
				return err
			}
			if err := c.saveDomains(ctx, tx); err != nil {
				return err
			}
		}
		return tx.raise(ctx, ConnectionScope(id), "", "connection.updated", before, &c)
	})
}

// set sets what an update names.
func set[T any](to *T, value *T) {
	if value != nil {
		*to = *value
	}
}

func forgetDomains(ctx context.Context, tx *transaction, id string) error {
	_, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_connection_domains WHERE connection_id = $1`, id)
	return err
}

// change runs op on a connection that exists. clients are those that op may look at.
func (s *Connections) change(ctx context.Context, c call, id string, op func(tx *transaction, before *Connection) error,
	clients ...string) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:connections"); err != nil {
			return err
		}
		var read []Scope
		for _, client := range clients {
			read = append(read, ClientScope(client))
		}
		if err := tx.lock(ctx, []Scope{ConnectionScope(id)}, read); err != nil {
			return err
		}
		before, err := connection(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		return op(tx, before)
	})
}

// Delete ends the connection everywhere at once: in organizations, in applications, and as a way for its users to log in, who
// stay in the directory (rule DIR-2). Its name is free from then on, its id is never given again. Deleting one that is not there
// changes nothing.
//
// Identities and organizations that are too many for one transaction keep it unseen until Engine.Clean.
//
// Errors: Invalid (GRP-1: it has groups).
func (s *Connections) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"connections.delete", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:connections"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ConnectionScope(id)}, nil); err != nil {
			return err
		}
		c, err := connection(ctx, tx.sql, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		groups, err := connectionGroups(ctx, tx.sql, id)
		if err == nil && groups > 0 {
			err = &Invalid{"connection", "GRP-1", "must have no groups: delete them first"}
		}
		if err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_connections SET display_name = '', domains = '', updated_at = $2, deleted_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if err := forgetDomains(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_connection_clients WHERE connection_id = $1`, id); err != nil {
			return err
		}
		if _, err := cleanConnection(ctx, tx, id, cleanBatch); err != nil {
			return err
		}
		return tx.raise(ctx, ConnectionScope(id), "", "connection.deleted", c, nil)
	})
}

// cleanConnection deletes identities of a deleted connection, and what organizations had it enabled with.
func cleanConnection(ctx context.Context, tx *transaction, id string, most int) (deleted int, err error) {
	for _, left := range []struct{ table, key string }{{"orgauthz_identities", "id"}, {"orgauthz_enabled_connections", "org_id"}} {
		n, err := affected(tx.sql.ExecContext(ctx, `
			DELETE FROM `+left.table+` WHERE connection_id = $1 AND `+left.key+` IN
				(SELECT `+left.key+` FROM `+left.table+` WHERE connection_id = $1 ORDER BY `+left.key+` LIMIT $2)`, id, most-deleted))
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
