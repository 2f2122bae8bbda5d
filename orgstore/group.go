package orgstore

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// Longest texts of groups, as in Auth0's Management API.
const (
	maxGroupName       = 128
	maxGroupExternalID = 256
)

// Group is a group of an enterprise connection: of the customer's own directory. Organizations that it is assigned to give it
// roles, which their members hold who are in the group.
type Group struct {
	ID         string    `json:"id"` // "grp_" and 16 alphanumerics; never given again
	Connection string    `json:"connection_id"`
	Name       string    `json:"name"`                  // 1 to 128 printable ASCII characters, unique in the connection, case matters
	ExternalID string    `json:"external_id,omitempty"` // its id in the customer's directory, at most 256 printable characters
	CreatedAt  time.Time `json:"created_at"`            // UTC
	UpdatedAt  time.Time `json:"updated_at"`            // UTC; of name and external id
}

// GroupUpdate says what to change of a group. What is nil stays as it is.
type GroupUpdate struct {
	Name       *string
	ExternalID *string // "" clears it
}

// Groups are the groups of enterprise connections.
type Groups struct{ e *Engine }

const liveGroups = `SELECT g.id, g.connection_id, g.name, g.external_id, g.created_at, g.updated_at FROM orgauthz_groups g
	WHERE g.deleted_at IS NULL`

func scanGroup(row scanner) (*Group, error) {
	var g Group
	var created, updated int64
	err := row.Scan(&g.ID, &g.Connection, &g.Name, &g.ExternalID, &created, &updated)
	g.CreatedAt, g.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &g, err
}

func group(ctx context.Context, q queryer, id string) (*Group, error) {
	if !validID("grp_", id) {
		return nil, &NotFound{"group"}
	}
	return one(scanGroup(q.QueryRowContext(ctx, liveGroups+` AND g.id = $1`, id)))("group")
}

func validGroupName(name string) bool {
	return name != "" && len(name) <= maxGroupName && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })
}

func (g *Group) check() (err error) {
	if !validGroupName(g.Name) {
		err = &Invalid{"name", "GRP-1", "must be 1 to 128 printable ASCII characters"}
	}
	if !printable(g.ExternalID) || utf8.RuneCountInString(g.ExternalID) > maxGroupExternalID {
		err = errors.Join(err, &Invalid{"external_id", "GRP-1", "must be at most 256 printable characters"})
	}
	return err
}

func groupNameIsFree(ctx context.Context, tx *transaction, connection, name string) error {
	var taken int
	err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_groups WHERE connection_id = $1 AND name = $2 AND deleted_at IS NULL`,
		connection, name).Scan(&taken)
	if err == nil && taken > 0 {
		return &Conflict{"group", "name"}
	}
	return err
}

// connectionGroups returns how many groups a connection has.
func connectionGroups(ctx context.Context, q queryer, connection string) (n int, err error) {
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_groups WHERE connection_id = $1 AND deleted_at IS NULL`, connection).Scan(&n)
	return n, err
}

// Create makes a group of g, whose Connection and Name must be given. ID is generated when empty; a given one must never have
// been used in this store. The times of g are ignored.
//
// Errors: Invalid (GRP-1), NotFound (connection), Conflict (id or name taken).
func (s *Groups) Create(ctx context.Context, g Group) (*Group, Result, error) {
	given := g
	if g.ID == "" {
		g.ID = newID("grp_")
	}
	if err := errors.Join(checkID("grp_", g.ID), g.check()); err != nil {
		return nil, Result{}, err
	}
	if !validID("con_", g.Connection) {
		return nil, Result{}, &NotFound{"connection"}
	}
	return create(ctx, s.e, call{"groups.create", given}, &g, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:groups"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{{Kind: ScopeGroup, ID: g.ID}}, []Scope{ConnectionScope(g.Connection)}); err != nil {
			return err
		}
		var taken int
		if _, err := connection(ctx, tx.sql, g.Connection); err != nil {
			return err
		}
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_groups WHERE id = $1`, g.ID).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"group", "id"}
		}
		if err == nil {
			err = groupNameIsFree(ctx, tx, g.Connection, g.Name)
		}
		if err != nil {
			return err
		}
		if g.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		g.UpdatedAt = g.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_groups (id, connection_id, external_id, name, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $5)`,
			g.ID, g.Connection, g.ExternalID, g.Name, g.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, Scope{Kind: ScopeGroup, ID: g.ID}, "", "group.created", nil, &g)
	})
}

// Get returns a group. Errors: NotFound.
func (s *Groups) Get(ctx context.Context, id string) (*Group, error) {
	return read(ctx, s.e, func(q queryer) (*Group, error) { return group(ctx, q, id) })
}

// GetByName returns the group of a connection, by id, that has this name, byte for byte. Errors: NotFound.
func (s *Groups) GetByName(ctx context.Context, connection, name string) (*Group, error) {
	if !validID("con_", connection) || !validGroupName(name) {
		return nil, &NotFound{"group"}
	}
	return read(ctx, s.e, func(q queryer) (*Group, error) {
		return one(scanGroup(q.QueryRowContext(ctx, liveGroups+` AND g.connection_id = $1 AND g.name = $2`, connection, name)))("group")
	})
}

// GroupListOptions selects a page of groups. The zero value is the first page of all.
type GroupListOptions struct {
	ListOptions
	Connection   string // only those of this connection, by id
	Query        string // only those whose name begins with it; case matters
	User         string // only those that this user, by id, is in
	Organization string // only those assigned to this organization, by id
	Role         string // only those that hold this role, by id, in Organization, which must be given
}

var groupList = listing[*Group]{
	name:  "groups",
	query: liveGroups,
	id:    "g.id",
	sorts: map[Sort]string{SortName: "g.name", SortCreated: "g.created_at"},
	scan:  scanGroup,
	key: func(g *Group, by Sort) (any, string) {
		if by == SortName {
			return g.Name, g.ID
		}
		return g.CreatedAt.UnixMicro(), g.ID
	},
}

// List returns a page of groups, by id, name or created_at. With Organization, User and Role it tells by which groups somebody
// holds a role. Errors: NotFound (organization), Invalid.
func (s *Groups) List(ctx context.Context, opts GroupListOptions) (Page[*Group], error) {
	from, to, err := beginning(opts.Query)
	switch {
	case err != nil:
	case opts.Connection != "" && !validID("con_", opts.Connection):
		err = &Invalid{"Connection", "", "must be the id of a connection, or empty"}
	case opts.User != "" && !validUserID(opts.User):
		err = &Invalid{"User", "", "must be the id of a user, or empty"}
	case opts.Role != "" && (opts.Organization == "" || !validID("rol_", opts.Role)):
		err = &Invalid{"Role", "", "must be the id of a role, together with Organization, or empty"}
	case opts.Organization != "" && !validID("org_", opts.Organization):
		err = &NotFound{"organization"}
	}
	if err != nil {
		return Page[*Group]{}, err
	}
	l := groupList
	where := func(condition string, values ...any) {
		for _, value := range values {
			l.args = append(l.args, value)
			condition = strings.Replace(condition, "?", parameter(l.args), 1)
		}
		l.query += " AND " + condition
	}
	if opts.Connection != "" {
		where(`g.connection_id = ?`, opts.Connection)
	}
	if opts.Query != "" {
		where(`g.name >= ? AND g.name < ?`, from, to)
	}
	if opts.User != "" {
		where(`g.id IN (SELECT gm.group_id FROM orgauthz_group_members gm WHERE gm.user_id = ?)`, opts.User)
	}
	if opts.Organization != "" {
		where(`g.id IN (SELECT og.group_id FROM orgauthz_organization_groups og
			JOIN orgauthz_organizations o ON o.id = og.org_id AND o.deleted_at IS NULL WHERE og.org_id = ?)`, opts.Organization)
	}
	if opts.Role != "" {
		where(`g.id IN (SELECT gr.group_id FROM orgauthz_group_roles gr
			JOIN orgauthz_roles r ON r.id = gr.role_id AND r.deleted_at IS NULL WHERE gr.org_id = ? AND gr.role_id = ?)`,
			opts.Organization, opts.Role)
	}
	page, err := l.read(ctx, s.e, opts.ListOptions)
	if err == nil && len(page.Items) == 0 && opts.Organization != "" {
		_, err = s.e.Organizations.Get(ctx, opts.Organization)
	}
	return page, err
}

// Update changes what u names. Errors: NotFound, Invalid (GRP-1), Conflict (name taken).
func (s *Groups) Update(ctx context.Context, id string, u GroupUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"groups.update", id, u}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:groups"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{{Kind: ScopeGroup, ID: id}}, nil); err != nil {
			return err
		}
		before, err := group(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		g := *before
		if u.Name != nil {
			g.Name = *u.Name
		}
		if u.ExternalID != nil {
			g.ExternalID = *u.ExternalID
		}
		if err := g.check(); err != nil || g == *before {
			return err
		}
		if g.Name != before.Name {
			if err := groupNameIsFree(ctx, tx, g.Connection, g.Name); err != nil {
				return err
			}
		}
		if g.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_groups SET external_id = $2, name = $3, updated_at = $4 WHERE id = $1`,
			id, g.ExternalID, g.Name, g.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, Scope{Kind: ScopeGroup, ID: id}, "", "group.updated", before, &g)
	})
}

// Delete ends the group; its members lose the roles that they have by it in every organization at once (rule GRP-5). Its name is
// free from then on, its id is never given again. Deleting one that is not there changes nothing.
func (s *Groups) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.delete", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:groups"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{{Kind: ScopeGroup, ID: id}}, nil); err != nil {
			return err
		}
		before, err := group(ctx, tx.sql, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_groups SET external_id = '', updated_at = $2, deleted_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := cleanGroup(ctx, tx, id, cleanBatch); err != nil {
			return err
		}
		return tx.raise(ctx, Scope{Kind: ScopeGroup, ID: id}, "", "group.deleted", before, nil)
	})
}

// cleanGroup takes members, roles and organizations from a deleted group, at most so many of them.
func cleanGroup(ctx context.Context, tx *transaction, id string, most int) (deleted int, err error) {
	for _, of := range []struct{ table, key string }{
		{"orgauthz_group_members", "user_id"},
		{"orgauthz_group_roles", "org_id, role_id"},
		{"orgauthz_organization_groups", "org_id"},
	} {
		n, err := affected(tx.sql.ExecContext(ctx, `DELETE FROM `+of.table+` WHERE group_id = $1 AND (`+of.key+`) IN
			(SELECT `+of.key+` FROM `+of.table+` WHERE group_id = $1 LIMIT $2)`, id, most-deleted))
		if deleted += n; err != nil || deleted == most {
			return deleted, err
		}
	}
	return deleted, nil
}
