package orgstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Role is a named set of permissions. Members hold roles in one organization each; what they may do there is the union of
// the permissions of the roles held there (rules ROL-1, ROL-5).
type Role struct {
	ID          string    `json:"id"`   // "rol_" and 16 alphanumerics; never given again
	Name        string    `json:"name"` // 1 to 100 printable characters, unique in the store, case matters
	Description string    `json:"description,omitempty"`
	Permissions []string  `json:"permissions"` // sorted, each once; scope-tokens of RFC 6749 section 3.3, at most 280 characters
	CreatedAt   time.Time `json:"created_at"`  // UTC
	UpdatedAt   time.Time `json:"updated_at"`  // UTC
}

// RoleUpdate says what to change of a role. What is nil stays as it is.
type RoleUpdate struct {
	Name        *string
	Description *string   // "" clears it
	Permissions *[]string // replaces all of them
}

// Roles are the roles of an Engine.
type Roles struct{ e *Engine }

const roleColumns = `id, name, description, permissions, created_at, updated_at`

func scanRole(row scanner) (*Role, error) {
	var r Role
	var permissions string
	var created, updated int64
	err := row.Scan(&r.ID, &r.Name, &r.Description, &permissions, &created, &updated)
	r.Permissions = strings.Fields(permissions)
	r.CreatedAt, r.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &r, err
}

func role(ctx context.Context, q queryer, id string) (*Role, error) {
	if !validID("rol_", id) {
		return nil, &NotFound{"role"}
	}
	return one(scanRole(q.QueryRowContext(ctx,
		`SELECT `+roleColumns+` FROM orgauthz_roles WHERE id = $1 AND deleted_at IS NULL`, id)))("role")
}

func roleByName(ctx context.Context, q queryer, name string) (*Role, error) {
	if !validRoleName(name) {
		return nil, &NotFound{"role"}
	}
	return one(scanRole(q.QueryRowContext(ctx,
		`SELECT `+roleColumns+` FROM orgauthz_roles WHERE name = $1 AND deleted_at IS NULL`, name)))("role")
}

func validRoleName(name string) bool {
	return name != "" && strings.TrimSpace(name) == name && printable(name) && utf8.RuneCountInString(name) <= maxRoleName
}

// check checks r and puts its permissions in order.
func (r *Role) check(limit int) error {
	permissions, err := checkPermissions(r.Permissions, limit)
	if !validRoleName(r.Name) {
		err = errors.Join(err, &Invalid{"name", "", "must be 1 to 100 printable characters, without spaces around them"})
	}
	r.Permissions = permissions
	return errors.Join(err, checkText("description", "", r.Description, maxDescription))
}

func roleNameIsFree(ctx context.Context, tx *transaction, name string) error {
	_, err := roleByName(ctx, tx.sql, name)
	switch {
	case err == nil:
		return &Conflict{"role", "name"}
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

// Create makes a role of r, whose Name must be given. ID is generated when empty; a given one must never have been used in
// this store. The times of r are ignored.
//
// Errors: Invalid, Conflict (id or name taken), Limit (permissions per role).
func (s *Roles) Create(ctx context.Context, r Role) (*Role, Result, error) {
	given := r
	if r.ID == "" {
		r.ID = newID("rol_")
	}
	if err := errors.Join(checkID("rol_", r.ID), r.check(s.e.cfg.Limits.PermissionsPerRole)); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"roles.create", given}, &r, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{RoleScope(r.ID)}, nil); err != nil {
			return err
		}
		var taken int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_roles WHERE id = $1`, r.ID).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"role", "id"}
		}
		if err == nil {
			err = roleNameIsFree(ctx, tx, r.Name)
		}
		if err != nil {
			return err
		}
		if r.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		r.UpdatedAt = r.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_roles (id, name, description, permissions, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $5)`,
			r.ID, r.Name, r.Description, strings.Join(r.Permissions, " "), r.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, RoleScope(r.ID), "", "role.created", nil, &r)
	})
}

// Get returns the role with this id. Errors: NotFound.
func (s *Roles) Get(ctx context.Context, id string) (*Role, error) {
	return read(ctx, s.e, func(q queryer) (*Role, error) { return role(ctx, q, id) })
}

// GetByName returns the role with this name, byte for byte. Errors: NotFound.
func (s *Roles) GetByName(ctx context.Context, name string) (*Role, error) {
	return read(ctx, s.e, func(q queryer) (*Role, error) { return roleByName(ctx, q, name) })
}

var roleList = listing[*Role]{
	name:  "roles",
	query: `SELECT ` + roleColumns + ` FROM orgauthz_roles WHERE deleted_at IS NULL`,
	id:    "id",
	sorts: map[Sort]string{SortName: "name", SortCreated: "created_at"},
	scan:  scanRole,
	key: func(r *Role, by Sort) (any, string) {
		if by == SortName {
			return r.Name, r.ID
		}
		return r.CreatedAt.UnixMicro(), r.ID
	},
}

// List returns a page of the roles, by id, name or created_at.
func (s *Roles) List(ctx context.Context, opts ListOptions) (Page[*Role], error) {
	return roleList.read(ctx, s.e, opts)
}

// Update changes what u names, for everyone who holds the role. Errors: NotFound, Invalid, Conflict (name taken), Limit
// (permissions per role).
func (s *Roles) Update(ctx context.Context, id string, u RoleUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"roles.update", id, u}, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{RoleScope(id)}, nil); err != nil {
			return err
		}
		before, err := role(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		r := *before
		if u.Name != nil {
			r.Name = *u.Name
		}
		if u.Description != nil {
			r.Description = *u.Description
		}
		if u.Permissions != nil {
			r.Permissions = *u.Permissions
		}
		if err := r.check(tx.cfg.Limits.PermissionsPerRole); err != nil {
			return err
		}
		if r.Name == before.Name && r.Description == before.Description && slices.Equal(r.Permissions, before.Permissions) {
			return nil
		}
		if r.Name != before.Name {
			if err := roleNameIsFree(ctx, tx, r.Name); err != nil {
				return err
			}
		}
		if r.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_roles SET name = $2, description = $3, permissions = $4, updated_at = $5 WHERE id = $1`,
			id, r.Name, r.Description, strings.Join(r.Permissions, " "), r.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, RoleScope(id), "", "role.updated", before, &r)
	})
}

// Delete ends the role and takes it from everyone who holds it at once (rule ROL-3). Its name is free from then on, its id
// is never given again. Deleting one that is not there changes nothing.
//
// Assignments that are too many for one transaction stay behind unseen until Engine.Clean.
func (s *Roles) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"roles.delete", id}, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{RoleScope(id)}, nil); err != nil {
			return err
		}
		r, err := role(ctx, tx.sql, id)
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
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_roles SET description = '', permissions = '', updated_at = $2, deleted_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := cleanRole(ctx, tx, id); err != nil {
			return err
		}
		return tx.raise(ctx, RoleScope(id), "", "role.deleted", r, nil)
	})
}
