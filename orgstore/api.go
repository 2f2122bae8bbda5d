package orgstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// API is a resource server: what access tokens are for.
type API struct {
	Identifier    string          `json:"identifier"` // the audience of its tokens; 1 to 600 printable ASCII characters; never changes
	Name          string          `json:"name,omitempty"`
	Permissions   []APIPermission `json:"scopes,omitempty"` // by name, at most 1,000
	TokenLifetime int             `json:"token_lifetime"`   // seconds, 1 to 2,592,000 (30 days); 0 on create is 86,400
	// RBAC says that a token holds of what it asks for only what the user's roles, or the application's grant, permit.
	RBAC         bool         `json:"enforce_policies"`
	TokenDialect TokenDialect `json:"token_dialect"` // DialectAccessToken when empty
	CreatedAt    time.Time    `json:"created_at"`    // UTC
	UpdatedAt    time.Time    `json:"updated_at"`    // UTC
}

// APIPermission is one permission that an API knows.
type APIPermission struct {
	Name        string `json:"value"` // as in Role.Permissions; unique in its API
	Description string `json:"description,omitempty"`
}

// TokenDialect says what an API's access tokens hold.
type TokenDialect string

// The dialects of access tokens.
const (
	DialectAccessToken TokenDialect = "access_token"
	DialectPermissions TokenDialect = "access_token_authz" // with the claim permissions
)

// APIUpdate says what to change of an API. What is nil stays as it is.
type APIUpdate struct {
	Name          *string
	Permissions   *[]APIPermission // replaces all of them
	TokenLifetime *int
	RBAC          *bool
	TokenDialect  *TokenDialect
}

// APIs are the APIs (resource servers) of an Engine's tenant.
type APIs struct{ e *Engine }

// Bounds of APIs.
const (
	maxAPIName        = 200
	maxAPIPermissions = 1000
	maxTokenLifetime  = 2_592_000
	usualLifetime     = 86_400
)

// APIScope is the scope of one API, by identifier.
func APIScope(identifier string) Scope { return Scope{Kind: ScopeAPI, ID: identifier} }

const apiColumns = `identifier, settings, created_at, updated_at`

func scanAPI(row scanner) (*API, error) {
	var a API
	var identifier, settings string
	var created, updated int64
	if err := row.Scan(&identifier, &settings, &created, &updated); err != nil {
		return nil, err
	}
	err := json.Unmarshal([]byte(settings), &a)
	a.Identifier = identifier
	a.CreatedAt, a.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &a, err
}

func api(ctx context.Context, q queryer, identifier string) (*API, error) {
	if !validAPI(identifier) {
		return nil, &NotFound{"api"}
	}
	return one(scanAPI(q.QueryRowContext(ctx, `SELECT `+apiColumns+` FROM orgauthz_apis WHERE identifier = $1`, identifier)))("api")
}

// check checks a and puts its permissions in order.
func (a *API) check() error {
	err := checkText("name", "DIR-7", a.Name, maxAPIName)
	names := make([]string, 0, len(a.Permissions))
	for _, p := range a.Permissions {
		names = append(names, p.Name)
		if e := checkText("scopes", "DIR-7", p.Description, maxDescription); e != nil {
			err = errors.Join(err, e)
			break
		}
	}
	switch sorted, e := checkPermissions(names, maxAPIPermissions); {
	case errors.Is(e, ErrLimit):
		err = errors.Join(err, &Limit{"permissions per API", maxAPIPermissions})
	case e != nil:
		err = errors.Join(err, &Invalid{"scopes", "DIR-7", `must each have a value of 1 to 280 ASCII characters without spaces, " and \`})
	case len(sorted) != len(names):
		err = errors.Join(err, &Invalid{"scopes", "DIR-7", "must each have a value of its own"})
	}
	a.Permissions = slices.SortedFunc(slices.Values(a.Permissions), func(x, y APIPermission) int { return cmp.Compare(x.Name, y.Name) })
	if a.TokenLifetime < 1 || a.TokenLifetime > maxTokenLifetime {
		err = errors.Join(err, &Invalid{"token_lifetime", "DIR-7", "must be 1 to 2,592,000 seconds"})
	}
	a.TokenDialect = cmp.Or(a.TokenDialect, DialectAccessToken)
	if a.TokenDialect != DialectAccessToken && a.TokenDialect != DialectPermissions {
		err = errors.Join(err, &Invalid{"token_dialect", "DIR-7", "must be access_token or access_token_authz"})
	}
	return err
}

// without returns those of permissions that a does not know. a may be nil: then it knows none.
func (a *API) without(permissions []string) []string {
	return slices.DeleteFunc(slices.Clone(permissions), func(p string) bool {
		if a == nil {
			return false
		}
		_, ok := slices.BinarySearchFunc(a.Permissions, p, func(have APIPermission, p string) int { return cmp.Compare(have.Name, p) })
		return ok
	})
}

// Create makes an API of a, whose Identifier must be given. The times of a are ignored. The identifier of a deleted API can be
// used again: nobody has any of its permissions then.
//
// Errors: Invalid (DIR-7), Conflict (identifier taken), Limit (permissions per API).
func (s *APIs) Create(ctx context.Context, a API) (*API, Result, error) {
	given := a
	a.TokenLifetime = cmp.Or(a.TokenLifetime, usualLifetime)
	err := a.check()
	if !validAPI(a.Identifier) {
		err = errors.Join(err, &Invalid{"identifier", "DIR-7", "must be 1 to 600 printable ASCII characters without spaces"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"apis.create", given}, &a, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:resource_servers"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{APIScope(a.Identifier)}, nil); err != nil {
			return err
		}
		_, err := api(ctx, tx.sql, a.Identifier)
		switch {
		case err == nil:
			return &Conflict{"api", "identifier"}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if a.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		a.UpdatedAt = a.CreatedAt
		settings, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_apis (identifier, name, settings, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)`,
			a.Identifier, a.Name, string(settings), a.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, APIScope(a.Identifier), "", "api.created", nil, &a)
	})
}

// Get returns the API with this identifier. Errors: NotFound.
func (s *APIs) Get(ctx context.Context, identifier string) (*API, error) {
	return read(ctx, s.e, func(q queryer) (*API, error) { return api(ctx, q, identifier) })
}

var apiList = listing[*API]{
	name:  "apis",
	query: `SELECT ` + apiColumns + ` FROM orgauthz_apis WHERE 1 = 1`,
	id:    "identifier",
	sorts: map[Sort]string{SortName: "name", SortCreated: "created_at"},
	scan:  scanAPI,
	key: func(a *API, by Sort) (any, string) {
		if by == SortName {
			return a.Name, a.Identifier
		}
		return a.CreatedAt.UnixMicro(), a.Identifier
	},
}

// List returns a page of the APIs, by id (their identifier), name or created_at.
func (s *APIs) List(ctx context.Context, opts ListOptions) (Page[*API], error) {
	return apiList.read(ctx, s.e, opts)
}

// Update changes what u names. Permissions that the API does not know any more are taken from all roles and client grants at once
// (rule DIR-8). Errors: NotFound, Invalid (DIR-7), Limit (permissions per API).
func (s *APIs) Update(ctx context.Context, identifier string, u APIUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"apis.update", identifier, u}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:resource_servers"); err != nil {
			return err
		}
		var holders holders
		var err error
		if u.Permissions == nil {
			err = tx.lock(ctx, []Scope{APIScope(identifier)}, nil)
		} else {
			holders, err = lockHolders(ctx, tx, identifier)
		}
		if err != nil {
			return err
		}
		before, err := api(ctx, tx.sql, identifier)
		if err != nil {
			return err
		}
		a := *before
		set(&a.Name, u.Name)
		set(&a.Permissions, u.Permissions)
		set(&a.TokenLifetime, u.TokenLifetime)
		set(&a.RBAC, u.RBAC)
		set(&a.TokenDialect, u.TokenDialect)
		if err := a.check(); err != nil {
			return err
		}
		was, err := json.Marshal(before)
		if err != nil {
			return err
		}
		is, err := json.Marshal(a)
		if err != nil || bytes.Equal(was, is) {
			return err
		}
		if a.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if is, err = json.Marshal(a); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_apis SET name = $2, settings = $3, updated_at = $4 WHERE identifier = $1`,
			identifier, a.Name, string(is), a.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, APIScope(identifier), "", "api.updated", before, &a); err != nil {
			return err
		}
		return holders.keep(ctx, tx, &a)
	})
}

// Delete ends the API, its client grants, and takes its permissions from all roles at once (rule DIR-8). Deleting one that is not
// there changes nothing.
func (s *APIs) Delete(ctx context.Context, identifier string) (Result, error) {
	return s.e.mutate(ctx, call{"apis.delete", identifier}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:resource_servers"); err != nil {
			return err
		}
		holders, err := lockHolders(ctx, tx, identifier)
		if err != nil {
			return err
		}
		a, err := api(ctx, tx.sql, identifier)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_apis WHERE identifier = $1`, identifier); err != nil {
			return err
		}
		if err := tx.raise(ctx, APIScope(identifier), "", "api.deleted", a, nil); err != nil {
			return err
		}
		return holders.keep(ctx, tx, nil)
	})
}

// holders are the roles and client grants that have permissions of one API.
type holders struct {
	identifier string
	roles      []*Role
	grants     []*ClientGrant
}

// lockHolders locks an API and all that have permissions of it. Who gives permissions of an API reads its scope, so that there are
// none that it does not find.
func lockHolders(ctx context.Context, tx *transaction, identifier string) (holders, error) {
	h := holders{identifier: identifier}
	if !validAPI(identifier) {
		return h, nil
	}
	var locked []Scope
	for {
		if err := h.find(ctx, tx); err != nil {
			return h, err
		}
		scopes := []Scope{APIScope(identifier)}
		for _, r := range h.roles {
			scopes = append(scopes, RoleScope(r.ID))
		}
		for _, g := range h.grants {
			scopes = append(scopes, ClientGrantScope(g.ID), UserScope(ClientPrincipal(g.ClientID)))
		}
		missing := slices.DeleteFunc(scopes, func(s Scope) bool { return slices.Contains(locked, s) })
		if len(missing) == 0 {
			return h, nil
		}
		// The first round locks everything in its order, and the second finds nothing new but what was given meanwhile. Locking that
		// is against the order, and a deadlock is run again.
		if err := tx.lock(ctx, missing, nil); err != nil {
			return h, err
		}
		locked = append(locked, missing...)
	}
}

func (h *holders) find(ctx context.Context, tx *transaction) error {
	key, err := json.Marshal(h.identifier)
	if err != nil {
		return err
	}
	pattern := "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(string(key)) + ":%"
	h.roles, err = collect(ctx, tx.sql, liveRoles+`
		AND r.api_permissions <> '{}' AND r.api_permissions LIKE $1 ESCAPE '!' ORDER BY r.id`, []any{pattern}, scanRole)
	if err != nil {
		return err
	}
	h.roles = slices.DeleteFunc(h.roles, func(r *Role) bool { return len(r.APIPermissions[h.identifier]) == 0 })
	h.grants, err = collect(ctx, tx.sql, grantList.query+` AND audience = $1 ORDER BY id`, []any{h.identifier}, scanGrant)
	return err
}

// keep takes from all of h what a does not know; a is nil when it has been deleted.
func (h *holders) keep(ctx context.Context, tx *transaction, a *API) error {
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	for _, before := range h.roles {
		r := *before
		r.UpdatedAt = at
		r.APIPermissions = cloneAPIPermissions(before.APIPermissions)
		gone := a.without(before.APIPermissions[h.identifier])
		if len(gone) == 0 {
			continue
		}
		if r.APIPermissions[h.identifier] = without(before.APIPermissions[h.identifier], gone); len(r.APIPermissions[h.identifier]) == 0 {
			delete(r.APIPermissions, h.identifier)
		}
		if err := r.save(ctx, tx, before); err != nil {
			return err
		}
	}
	for _, before := range h.grants {
		if a == nil {
			if err := before.delete(ctx, tx); err != nil {
				return err
			}
			continue
		}
		if gone := a.without(before.Scopes); len(gone) > 0 {
			g := *before
			g.Scopes, g.UpdatedAt = without(before.Scopes, gone), at
			if err := g.save(ctx, tx, before); err != nil {
				return err
			}
		}
	}
	return nil
}
