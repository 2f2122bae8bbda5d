package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Role is a named set of permissions. Members hold roles in one organization each; what they may do there is the union of
// the permissions of the roles held there (rules ROL-1, ROL-5). A role belongs to the tenant, and can then be held in every
// organization, or to one organization (rule ROLE-1).
type Role struct {
	ID           string `json:"id"`                        // "rol_" and 16 alphanumerics; never given again
	Organization string `json:"organization_id,omitempty"` // id of the organization that it belongs to for ever; empty for roles of the tenant
	// Name is 1 to 100 printable characters, unique among the roles of the tenant or of the organization; case matters. Names of
	// organization roles, and no others, begin with "org:" (rule ROLE-2).
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions"` // for every API; sorted, each once; scope-tokens of RFC 6749 section 3.3, at most 280 characters
	// APIPermissions are for one API each: identifiers of APIs, and permissions that these know, sorted, each once (rule DIR-8).
	APIPermissions map[string][]string `json:"api_permissions,omitempty"`
	// Template, of a role of the tenant, lets organizations base roles of their own on it.
	Template bool `json:"template,omitempty"`
	// Base, of an organization role, is the id of the template that is its ceiling: it can hold permissions of that alone, and
	// without one none at all (rule ROLE-3). What the template loses later counts no more, whatever Permissions say.
	Base string `json:"base,omitempty"`
	// FollowsBase, of an organization role, gives it what its base has at each moment; it has no permissions of its own then (rule
	// ROLE-4).
	FollowsBase bool      `json:"follows_base,omitempty"`
	CreatedAt   time.Time `json:"created_at"` // UTC
	UpdatedAt   time.Time `json:"updated_at"` // UTC
}

// RoleUpdate says what to change of a role. What is nil stays as it is.
type RoleUpdate struct {
	Name        *string
	Description *string   // "" clears it
	Permissions *[]string // replaces all of them
	// APIPermissions sets the permissions of these APIs; none removes the API's; those of other APIs stay.
	APIPermissions map[string][]string
	Template       *bool   // of roles of the tenant; what is based on one that is no template any more stays
	Base           *string // of organization roles; "" for none, which is for roles without permissions
	FollowsBase    *bool   // of organization roles, together with or after taking their own permissions away
}

// RoleListOptions selects a page of roles. The zero value is the first page of the tenant's roles.
type RoleListOptions struct {
	ListOptions
	Organization string // lists the roles of this organization, by id, instead of the tenant's
	Query        string // only those whose name begins with it; case matters
}

// Roles are the roles of an Engine.
type Roles struct{ e *Engine }

const (
	roleColumns = `r.id, r.org_id, r.name, r.description, r.permissions, r.api_permissions, r.template, r.base_id, r.follows_base,
	r.created_at, r.updated_at`
	// liveRoles leaves out those of deleted organizations, which end with them before anybody has marked them.
	liveRoles = `SELECT ` + roleColumns + ` FROM orgauthz_roles r WHERE r.deleted_at IS NULL AND (r.org_id = ''
		OR EXISTS (SELECT 1 FROM orgauthz_organizations o WHERE o.id = r.org_id AND o.deleted_at IS NULL))`
)

func scanRole(row scanner) (*Role, error) {
	var r Role
	var permissions, apis string
	var created, updated int64
	err := row.Scan(&r.ID, &r.Organization, &r.Name, &r.Description, &permissions, &apis, &r.Template, &r.Base, &r.FollowsBase, &created, &updated)
	if err == nil {
		r.APIPermissions, err = decodeAPIPermissions(apis)
	}
	r.Permissions = strings.Fields(permissions)
	r.CreatedAt, r.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &r, err
}

func role(ctx context.Context, q queryer, id string) (*Role, error) {
	if !validID("rol_", id) {
		return nil, &NotFound{"role"}
	}
	return one(scanRole(q.QueryRowContext(ctx, liveRoles+` AND r.id = $1`, id)))("role")
}

// checkRoleIn checks that a role can be held in org: that it is of the tenant, or of org itself (rule ROL-4).
func checkRoleIn(ctx context.Context, q queryer, org, id string) error {
	r, err := role(ctx, q, id)
	if err == nil && r.Organization != "" && r.Organization != org {
		err = &NotFound{"role"}
	}
	return err
}

// roleByName returns a role of the tenant, or of org if that is given.
func roleByName(ctx context.Context, q queryer, org, name string) (*Role, error) {
	if !validRoleName(name) || org != "" && !validID("org_", org) {
		return nil, &NotFound{"role"}
	}
	return one(scanRole(q.QueryRowContext(ctx, liveRoles+` AND r.org_id = $1 AND r.name = $2`, org, name)))("role")
}

// ownedBy returns the id of the organization that a role belongs to, which never changes and can be asked before anything is
// locked, and that of its base; empty for the tenant's, and for what is no role.
func ownedBy(ctx context.Context, q queryer, id string) (org, base string, err error) {
	if !validID("rol_", id) {
		return "", "", nil
	}
	err = q.QueryRowContext(ctx, `SELECT org_id, base_id FROM orgauthz_roles WHERE id = $1`, id).Scan(&org, &base)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return org, base, err
}

func validRoleName(name string) bool {
	return name != "" && strings.TrimSpace(name) == name && printable(name) && utf8.RuneCountInString(name) <= maxRoleName
}

// ownRole begins the names of organization roles. Policies see names: whoever names a role of their organization must not be
// able to pass it off as one of the product's.
const ownRole = "org:"

// check checks r and puts its permissions in order.
func (r *Role) check(limit int) error {
	permissions, err := checkPermissions(r.Permissions, limit)
	err = errors.Join(err, r.checkAPIPermissions(limit))
	own := strings.HasPrefix(r.Name, ownRole) && r.Name != ownRole
	switch {
	case !validRoleName(r.Name):
		err = errors.Join(err, &Invalid{"name", "", "must be 1 to 100 printable characters, without spaces around them"})
	case own != (r.Organization != ""):
		err = errors.Join(err, &Invalid{"name", "ROLE-2", "must begin with org: and go on, for a role of an organization, and for no other"})
	}
	if r.Template && r.Organization != "" {
		err = errors.Join(err, &Invalid{"template", "ROLE-3", "must be a role of the tenant"})
	}
	switch {
	case r.Base != "" && r.Organization == "":
		err = errors.Join(err, &Invalid{"base", "ROLE-3", "must be empty for a role of the tenant"})
	case r.Base == "" && r.Organization != "" && len(r.Permissions)+len(r.APIPermissions) > 0:
		err = errors.Join(err, &Invalid{"base", "ROLE-3", "must be a template for a role of an organization that has permissions"})
	}
	switch {
	case r.FollowsBase && r.Base == "":
		err = errors.Join(err, &Invalid{"follows_base", "ROLE-4", "must be false for a role without a base"})
	case r.FollowsBase && len(r.Permissions)+len(r.APIPermissions) > 0:
		err = errors.Join(err, &Invalid{"follows_base", "ROLE-4", "must be false for a role with permissions of its own"})
	}
	r.Permissions = permissions
	return errors.Join(err, checkText("description", "", r.Description, maxDescription))
}

// checkBase checks that an organization role has no more permissions than its template. chosen says that the template has been
// chosen just now: one that is no template any more stays where it is.
func (r *Role) checkBase(ctx context.Context, q queryer, chosen bool) error {
	if r.Base == "" {
		return nil
	}
	base, err := role(ctx, q, r.Base)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && (base.Organization != "" || chosen && !base.Template):
		if !chosen && !r.FollowsBase && len(r.Permissions)+len(r.APIPermissions) == 0 {
			return nil
		}
		return &NotFound{"template"}
	case err != nil:
		return err
	case len(without(r.Permissions, base.Permissions)) > 0:
		return &Invalid{"permissions", "ROLE-3", "must be among those of the template"}
	case len(r.beyond(base)) > 0:
		return &Invalid{"api_permissions", "ROLE-3", "must be among those of the template"}
	}
	return nil
}

func roleNameIsFree(ctx context.Context, tx *transaction, org, name string) error {
	_, err := roleByName(ctx, tx.sql, org, name)
	switch {
	case err == nil:
		return &Conflict{"role", "name"}
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

// lockRole locks what a change of a role of org depends on: its organization, alone if count is set because roles are counted
// there, its templates of before and after, and the APIs whose permissions it gets.
func lockRole(ctx context.Context, tx *transaction, id, org string, bases []string, apis map[string][]string, count bool) error {
	write, read := []Scope{RoleScope(id)}, apiScopes(apis)
	switch {
	case org != "" && count:
		write = append(write, OrganizationScope(org))
	case org != "":
		read = append(read, OrganizationScope(org))
	}
	for _, base := range bases {
		if base != "" {
			read = append(read, RoleScope(base))
		}
	}
	return tx.lock(ctx, write, read)
}

// Create makes a role of r, whose Name must be given. ID is generated when empty; a given one must never have been used in
// this store. The times of r are ignored.
//
// Errors: Invalid, NotFound (organization, template or api), Conflict (id or name taken), Limit (permissions per role, organization
// roles).
func (s *Roles) Create(ctx context.Context, r Role) (*Role, Result, error) {
	return s.create(ctx, r, true)
}

// create is Create. chosen says that the template must be one: an import takes over what was based on one that is none any more.
func (s *Roles) create(ctx context.Context, r Role, chosen bool) (*Role, Result, error) {
	given := r
	if r.ID == "" {
		r.ID = newID("rol_")
	}
	if err := errors.Join(checkID("rol_", r.ID), r.check(s.e.cfg.Limits.PermissionsPerRole)); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"roles.create", given}, &r, func(tx *transaction) error {
		if err := tx.permit(ctx, r.Organization, "create:roles"); err != nil {
			return err
		}
		if err := lockRole(ctx, tx, r.ID, r.Organization, []string{r.Base}, r.APIPermissions, true); err != nil {
			return err
		}
		var taken, roles int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_roles WHERE id = $1`, r.ID).Scan(&taken)
		if err == nil && r.Organization != "" {
			if _, err = organization(ctx, tx.sql, r.Organization); err == nil {
				err = tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_roles WHERE org_id = $1 AND deleted_at IS NULL`,
					r.Organization).Scan(&roles)
			}
		}
		if err == nil && taken > 0 {
			err = &Conflict{"role", "id"}
		}
		if err == nil {
			err = roleNameIsFree(ctx, tx, r.Organization, r.Name)
		}
		if err == nil {
			err = r.checkBase(ctx, tx.sql, chosen)
		}
		if err == nil {
			err = r.held(ctx, tx, nil)
		}
		if err == nil {
			err = r.apisKnow(ctx, tx, r.APIPermissions)
		}
		if limit := tx.cfg.Limits.OrganizationRoles; err == nil && r.Organization != "" && roles >= limit {
			err = &Limit{"organization roles", limit}
		}
		if err != nil {
			return err
		}
		if r.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		r.UpdatedAt = r.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_roles (id, org_id, name, description, permissions, api_permissions, template, base_id, created_at, updated_at,
				follows_base)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`,
			r.ID, r.Organization, r.Name, r.Description, strings.Join(r.Permissions, " "), encodeAPIPermissions(r.APIPermissions),
			flag(r.Template), r.Base, r.CreatedAt.UnixMicro(), flag(r.FollowsBase)); err != nil {
			return err
		}
		return tx.raise(ctx, RoleScope(r.ID), r.Organization, "role.created", nil, &r)
	})
}

// Get returns the role with this id. Errors: NotFound.
func (s *Roles) Get(ctx context.Context, id string) (*Role, error) {
	return read(ctx, s.e, func(q queryer) (*Role, error) { return role(ctx, q, id) })
}

// GetByName returns the role of the tenant with this name, byte for byte. Errors: NotFound.
func (s *Roles) GetByName(ctx context.Context, name string) (*Role, error) {
	return read(ctx, s.e, func(q queryer) (*Role, error) { return roleByName(ctx, q, "", name) })
}

// GetByNameIn returns the role of an organization, by id, with this name, byte for byte. Errors: NotFound.
func (s *Roles) GetByNameIn(ctx context.Context, org, name string) (*Role, error) {
	if org == "" {
		return nil, &NotFound{"role"}
	}
	return read(ctx, s.e, func(q queryer) (*Role, error) { return roleByName(ctx, q, org, name) })
}

var roleList = listing[*Role]{
	name:  "roles",
	query: liveRoles + ` AND r.org_id = $1 AND r.name >= $2 AND r.name < $3`,
	id:    "r.id",
	sorts: map[Sort]string{SortName: "r.name", SortCreated: "r.created_at"},
	scan:  scanRole,
	key: func(r *Role, by Sort) (any, string) {
		if by == SortName {
			return r.Name, r.ID
		}
		return r.CreatedAt.UnixMicro(), r.ID
	},
}

// List returns a page of the roles of the tenant or of an organization, by id, name or created_at. Errors: NotFound
// (organization), Invalid.
func (s *Roles) List(ctx context.Context, opts RoleListOptions) (Page[*Role], error) {
	if opts.Organization != "" && !validID("org_", opts.Organization) {
		return Page[*Role]{}, &NotFound{"organization"}
	}
	from, to, err := beginning(opts.Query)
	if err != nil {
		return Page[*Role]{}, err
	}
	l := roleList
	l.args = []any{opts.Organization, from, to}
	page, err := l.read(ctx, s.e, opts.ListOptions)
	if err == nil && len(page.Items) == 0 && opts.Organization != "" {
		_, err = s.e.Organizations.Get(ctx, opts.Organization)
	}
	return page, err
}

// Update changes what u names, for everyone who holds the role. Errors: NotFound (role, template or api), Invalid, Conflict (name
// taken), Limit (permissions per role).
func (s *Roles) Update(ctx context.Context, id string, u RoleUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"roles.update", id, u}, func(tx *transaction) error {
		org, base, err := ownedBy(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if err := tx.permit(ctx, org, "update:roles"); err != nil {
			return err
		}
		bases := []string{base}
		if u.Base != nil {
			bases = append(bases, *u.Base)
		}
		if err := lockRole(ctx, tx, id, org, bases, u.APIPermissions, false); err != nil {
			return err
		}
		before, err := role(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if before.Base != base {
			return errMoved
		}
		r := *before
		set(&r.Name, u.Name)
		set(&r.Description, u.Description)
		set(&r.Permissions, u.Permissions)
		set(&r.Template, u.Template)
		set(&r.Base, u.Base)
		set(&r.FollowsBase, u.FollowsBase)
		r.APIPermissions = patchedAPIPermissions(r.APIPermissions, u.APIPermissions)
		if err := r.check(tx.cfg.Limits.PermissionsPerRole); err != nil {
			return err
		}
		if r.Name == before.Name && r.Description == before.Description && slices.Equal(r.Permissions, before.Permissions) &&
			maps.EqualFunc(r.APIPermissions, before.APIPermissions, slices.Equal) && r.Template == before.Template && r.Base == before.Base &&
			r.FollowsBase == before.FollowsBase {
			return nil
		}
		if r.Name != before.Name {
			if err := roleNameIsFree(ctx, tx, org, r.Name); err != nil {
				return err
			}
		}
		if err := r.apisKnow(ctx, tx, u.APIPermissions); err != nil {
			return err
		}
		if u.Base != nil || u.Permissions != nil || u.APIPermissions != nil || u.FollowsBase != nil {
			if err := r.checkBase(ctx, tx.sql, r.Base != before.Base); err != nil {
				return err
			}
		}
		// Before anything is written: whoever holds the role would hold what they add to it.
		if err := r.held(ctx, tx, before); err != nil {
			return err
		}
		if r.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		return r.save(ctx, tx, before)
	})
}

// save writes r, which was before. Its scope is locked.
func (r *Role) save(ctx context.Context, tx *transaction, before *Role) error {
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_roles SET name = $2, description = $3, permissions = $4, api_permissions = $5, template = $6, base_id = $7,
			updated_at = $8, follows_base = $9
		WHERE id = $1`,
		r.ID, r.Name, r.Description, strings.Join(r.Permissions, " "), encodeAPIPermissions(r.APIPermissions), flag(r.Template), r.Base,
		r.UpdatedAt.UnixMicro(), flag(r.FollowsBase)); err != nil {
		return err
	}
	return tx.raise(ctx, RoleScope(r.ID), r.Organization, "role.updated", before, r)
}

// Delete ends the role and takes it from everyone who holds it at once (rule ROL-3). Its name is free from then on, its id
// is never given again. Deleting one that is not there changes nothing.
//
// Assignments that are too many for one transaction stay behind unseen until Engine.Clean.
//
// Errors: Conflict (role owner: an organization demands it of its owner; rule MEM-5).
func (s *Roles) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"roles.delete", id}, func(tx *transaction) error {
		org, _, err := ownedBy(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if err := tx.permit(ctx, org, "delete:roles"); err != nil {
			return err
		}
		if err := lockRole(ctx, tx, id, org, nil, nil, false); err != nil {
			return err
		}
		r, err := role(ctx, tx.sql, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := checkNotDemanded(ctx, tx, id); err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_roles SET description = '', permissions = '', api_permissions = '{}', base_id = '', follows_base = 0,
				updated_at = $2, deleted_at = $2
			WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := cleanRole(ctx, tx, id, cleanBatch); err != nil {
			return err
		}
		return tx.raise(ctx, RoleScope(id), org, "role.deleted", r, nil)
	})
}
