package orgstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// ClientGrant lets an application act for itself at an API (client credentials), with at most these permissions of it.
type ClientGrant struct {
	ID       string   `json:"id"`        // "cgr_" and 16 alphanumerics
	ClientID string   `json:"client_id"` // never changes
	Audience string   `json:"audience"`  // identifier of an API; one grant for each of an application; never changes
	Scopes   []string `json:"scope"`     // permissions of the API, sorted, each once
	// OrganizationUsage says whether the application acts in an organization's context at this API; OrganizationDeny when empty.
	OrganizationUsage OrganizationUsage `json:"organization_usage"`
	// AllowAnyOrganization says that it may do so in every organization, not only in those that the grant is associated with. Never
	// for applications of third parties.
	AllowAnyOrganization bool      `json:"allow_any_organization"`
	CreatedAt            time.Time `json:"created_at"` // UTC
	UpdatedAt            time.Time `json:"updated_at"` // UTC; organizations do not count
}

// ClientGrantUpdate says what to change of a client grant. What is nil stays as it is.
type ClientGrantUpdate struct {
	Scopes               *[]string // replaces all of them
	OrganizationUsage    *OrganizationUsage
	AllowAnyOrganization *bool
}

// ClientGrantListOptions selects a page of client grants. Filters that are empty admit everything.
type ClientGrantListOptions struct {
	ListOptions
	Audience string // only those for this API, by identifier
	Client   string // only those of this application, by id
}

// ClientGrants say at which APIs, and in which organizations, applications act for themselves.
type ClientGrants struct{ e *Engine }

// ClientGrantScope is the scope of one client grant, by id.
func ClientGrantScope(grant string) Scope { return Scope{Kind: ScopeClientGrant, ID: grant} }

const grantColumns = `id, client_id, audience, scopes, organization_usage, allow_any_organization, created_at, updated_at`

func scanGrant(row scanner) (*ClientGrant, error) {
	var g ClientGrant
	var scopes string
	var created, updated int64
	err := row.Scan(&g.ID, &g.ClientID, &g.Audience, &scopes, &g.OrganizationUsage, &g.AllowAnyOrganization, &created, &updated)
	g.Scopes = strings.Fields(scopes)
	g.CreatedAt, g.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &g, err
}

func clientGrant(ctx context.Context, q queryer, id string) (*ClientGrant, error) {
	if !validID("cgr_", id) {
		return nil, &NotFound{"client_grant"}
	}
	return one(scanGrant(q.QueryRowContext(ctx, grantList.query+` AND id = $1`, id)))("client_grant")
}

// check checks the form of g and puts its scopes in order.
func (g *ClientGrant) check() error {
	scopes, err := checkPermissions(g.Scopes, maxAPIPermissions)
	if err != nil {
		err = &Invalid{"scope", "M2M-1", "must each be a permission of the API"}
	}
	g.Scopes = scopes
	usage, e := checkUsage("M2M-1", g.OrganizationUsage)
	g.OrganizationUsage = usage
	return errors.Join(err, e)
}

// checkParties checks g against its application and its API, whose scopes are locked.
func (g *ClientGrant) checkParties(ctx context.Context, tx *transaction) error {
	c, err := client(ctx, tx.sql, g.ClientID)
	if err != nil {
		return err
	}
	a, err := api(ctx, tx.sql, g.Audience)
	if err != nil {
		return err
	}
	if len(a.without(g.Scopes)) > 0 {
		err = &Invalid{"scope", "M2M-1", "must each be a permission of the API"}
	}
	if g.AllowAnyOrganization && !c.FirstParty {
		err = errors.Join(err, &Invalid{"allow_any_organization", "M2M-1", "must be false for an application of a third party"})
	}
	return err
}

// noGrantForAny checks that an application has no grant that third parties cannot have.
func noGrantForAny(ctx context.Context, tx *transaction, client string) error {
	var n int
	err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_client_grants WHERE client_id = $1 AND allow_any_organization = 1`,
		client).Scan(&n)
	if err == nil && n > 0 {
		err = &Invalid{"is_first_party", "M2M-1", "must be true while the application has a grant for any organization"}
	}
	return err
}

// Create makes a client grant of g, whose ClientID and Audience must be given. ID is generated when empty. The times of g are
// ignored.
//
// Errors: Invalid (M2M-1), NotFound (client or api), Conflict (id, or audience: the application has a grant for it).
func (s *ClientGrants) Create(ctx context.Context, g ClientGrant) (*ClientGrant, Result, error) {
	given := g
	if g.ID == "" {
		g.ID = newID("cgr_")
	}
	if err := errors.Join(checkID("cgr_", g.ID), g.check()); err != nil {
		return nil, Result{}, err
	}
	principal := UserScope(ClientPrincipal(g.ClientID))
	return create(ctx, s.e, call{"clientGrants.create", given}, &g, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:client_grants"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ClientGrantScope(g.ID), principal}, []Scope{ClientScope(g.ClientID), APIScope(g.Audience)}); err != nil {
			return err
		}
		if err := g.checkParties(ctx, tx); err != nil {
			return err
		}
		for field, query := range map[string]string{
			"id":       `SELECT COUNT(*) FROM orgauthz_client_grants WHERE id = $1`,
			"audience": `SELECT COUNT(*) FROM orgauthz_client_grants WHERE client_id = $1 AND audience = $2`,
		} {
			args, taken := []any{g.ID}, 0
			if field == "audience" {
				args = []any{g.ClientID, g.Audience}
			}
			if err := tx.sql.QueryRowContext(ctx, query, args...).Scan(&taken); err != nil {
				return err
			}
			if taken > 0 {
				return &Conflict{"client_grant", field}
			}
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		g.CreatedAt, g.UpdatedAt = at, at
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_client_grants (id, client_id, audience, scopes, organization_usage, allow_any_organization,
				created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7)`,
			g.ID, g.ClientID, g.Audience, strings.Join(g.Scopes, " "), string(g.OrganizationUsage), flag(g.AllowAnyOrganization),
			at.UnixMicro()); err != nil {
			return err
		}
		return g.raise(ctx, tx, "created", nil, &g)
	})
}

// raise raises what changed with a grant: itself, and what its application may do.
func (g *ClientGrant) raise(ctx context.Context, tx *transaction, what string, before, after *ClientGrant) error {
	var was, is any // a nil pointer is not nil in an interface
	if before != nil {
		was = before
	}
	if after != nil {
		is = after
	}
	if err := tx.raise(ctx, ClientGrantScope(g.ID), "", "client_grant."+what, was, is); err != nil {
		return err
	}
	return tx.raise(ctx, UserScope(ClientPrincipal(g.ClientID)), "", "client.principal.grant."+what, was, is)
}

// save writes g, which was before. Both of its scopes are locked.
func (g *ClientGrant) save(ctx context.Context, tx *transaction, before *ClientGrant) error {
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_client_grants SET scopes = $2, organization_usage = $3, allow_any_organization = $4, updated_at = $5 WHERE id = $1`,
		g.ID, strings.Join(g.Scopes, " "), string(g.OrganizationUsage), flag(g.AllowAnyOrganization), g.UpdatedAt.UnixMicro()); err != nil {
		return err
	}
	return g.raise(ctx, tx, "updated", before, g)
}

// delete deletes g with its associations. Both of its scopes are locked.
func (g *ClientGrant) delete(ctx context.Context, tx *transaction) error {
	if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_client_grants WHERE id = $1`, g.ID); err != nil {
		return err
	}
	return g.raise(ctx, tx, "deleted", g, nil)
}

// deleteGrants deletes the grants of an application. The scope of its principal is locked.
func deleteGrants(ctx context.Context, tx *transaction, client string) error {
	grants, err := collect(ctx, tx.sql, grantList.query+` AND client_id = $1 ORDER BY id`, []any{client}, scanGrant)
	if err != nil {
		return err
	}
	scopes := make([]Scope, 0, len(grants))
	for _, g := range grants {
		scopes = append(scopes, ClientGrantScope(g.ID))
	}
	if err := tx.lock(ctx, scopes, nil); err != nil {
		return err
	}
	for _, g := range grants {
		if err := g.delete(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the client grant with this id. Errors: NotFound.
func (s *ClientGrants) Get(ctx context.Context, id string) (*ClientGrant, error) {
	return read(ctx, s.e, func(q queryer) (*ClientGrant, error) { return clientGrant(ctx, q, id) })
}

var grantList = listing[*ClientGrant]{
	name:  "client grants",
	query: `SELECT ` + grantColumns + ` FROM orgauthz_client_grants WHERE 1 = 1`,
	id:    "id",
	scan:  scanGrant,
	key:   byID(func(g *ClientGrant) string { return g.ID }),
}

// List returns a page of the client grants that opts admits, by id. Filters that nothing can match give an empty page.
func (s *ClientGrants) List(ctx context.Context, opts ClientGrantListOptions) (Page[*ClientGrant], error) {
	return opts.filter(grantList).read(ctx, s.e, opts.ListOptions)
}

func (opts ClientGrantListOptions) filter(l listing[*ClientGrant]) listing[*ClientGrant] {
	if opts.Audience != "" {
		l = l.where("audience = ?", validAPI(opts.Audience), opts.Audience)
	}
	if opts.Client != "" {
		l = l.where("client_id = ?", validClientID(opts.Client), opts.Client)
	}
	return l
}

// Update changes what u names. Errors: NotFound, Invalid (M2M-1).
func (s *ClientGrants) Update(ctx context.Context, id string, u ClientGrantUpdate) (Result, error) {
	return s.change(ctx, call{"clientGrants.update", id, u}, "update:client_grants", id, func(tx *transaction, before *ClientGrant) error {
		g := *before
		set(&g.Scopes, u.Scopes)
		set(&g.OrganizationUsage, u.OrganizationUsage)
		set(&g.AllowAnyOrganization, u.AllowAnyOrganization)
		err := g.check()
		if err == nil {
			err = g.checkParties(ctx, tx)
		}
		if err != nil {
			return err
		}
		if slices.Equal(g.Scopes, before.Scopes) && g.OrganizationUsage == before.OrganizationUsage &&
			g.AllowAnyOrganization == before.AllowAnyOrganization {
			return nil
		}
		if g.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		return g.save(ctx, tx, before)
	})
}

// Delete ends the grant in all organizations at once. Deleting one that is not there changes nothing.
func (s *ClientGrants) Delete(ctx context.Context, id string) (Result, error) {
	result, err := s.change(ctx, call{"clientGrants.delete", id}, "delete:client_grants", id, func(tx *transaction, g *ClientGrant) error {
		return g.delete(ctx, tx)
	})
	if missing, ok := errors.AsType[*NotFound](err); ok && missing.Kind == "client_grant" {
		return Result{}, nil
	}
	return result, err
}

// change runs op on a grant that exists, with the scopes of all that it concerns locked.
func (s *ClientGrants) change(ctx context.Context, c call, permission, id string,
	op func(tx *transaction, before *ClientGrant) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", permission); err != nil {
			return err
		}
		// Whose it is never changes, so that it can be looked up before the lock.
		g, err := clientGrant(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ClientGrantScope(id), UserScope(ClientPrincipal(g.ClientID))},
			[]Scope{ClientScope(g.ClientID), APIScope(g.Audience)}); err != nil {
			return err
		}
		if g, err = clientGrant(ctx, tx.sql, id); err != nil {
			return err
		}
		return op(tx, g)
	})
}

// AddOrganization associates the grant with an organization: the application may act there. One that is associated already stays
// so, and the Result says that nothing changed.
//
// Errors: NotFound (client_grant or organization), Limit (client grants per organization).
func (s *ClientGrants) AddOrganization(ctx context.Context, grant, org string) (Result, error) {
	return s.associate(ctx, call{"clientGrants.addOrganization", grant, org}, "create:organization_client_grants", grant, org,
		func(tx *transaction, g *ClientGrant, associated bool) error {
			if associated {
				return nil
			}
			if err := tx.holdAll(ctx, org, &AccessMember{APIPermissions: map[string][]string{g.Audience: g.Scopes}}); err != nil {
				return err
			}
			at, err := tx.now(ctx)
			if err != nil {
				return err
			}
			// The organization's row is the lock that makes the limit hold.
			if err := guard(ctx, tx, org); err != nil {
				return err
			}
			if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_organization_grants (org_id, grant_id, created_at) VALUES ($1, $2, $3)`,
				org, grant, at.UnixMicro()); err != nil {
				return err
			}
			var n int
			if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organization_grants WHERE org_id = $1`, org).Scan(&n); err != nil {
				return err
			}
			if limit := tx.cfg.Limits.OrganizationGrants; n > limit {
				return &Limit{"client grants per organization", limit}
			}
			return tx.raise(ctx, MembershipScope(org, ClientPrincipal(g.ClientID)), org, "organization.client_grant.added", nil, &g.ID)
		})
}

// RemoveOrganization ends an association: the application acts there no more, from its next request on (rule M2M-3). One that is
// not there changes nothing. Errors: NotFound (client_grant or organization).
func (s *ClientGrants) RemoveOrganization(ctx context.Context, grant, org string) (Result, error) {
	return s.associate(ctx, call{"clientGrants.removeOrganization", grant, org}, "delete:organization_client_grants", grant, org,
		func(tx *transaction, g *ClientGrant, associated bool) error {
			if !associated {
				return nil
			}
			if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_organization_grants WHERE org_id = $1 AND grant_id = $2`,
				org, grant); err != nil {
				return err
			}
			return tx.raise(ctx, MembershipScope(org, ClientPrincipal(g.ClientID)), org, "organization.client_grant.removed", &g.ID, nil)
		})
}

func (s *ClientGrants) associate(ctx context.Context, c call, permission, grant, org string,
	op func(tx *transaction, g *ClientGrant, associated bool) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, org, permission); err != nil {
			return err
		}
		g, err := clientGrant(ctx, tx.sql, grant)
		if err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{MembershipScope(org, ClientPrincipal(g.ClientID))},
			[]Scope{OrganizationScope(org), ClientGrantScope(grant)}); err != nil {
			return err
		}
		if g, err = clientGrant(ctx, tx.sql, grant); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
		var n int
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organization_grants WHERE org_id = $1 AND grant_id = $2`,
			org, grant).Scan(&n); err != nil {
			return err
		}
		return op(tx, g, n > 0)
	})
}

// Organizations returns a page of the organizations that the grant is associated with, by id, name or created_at.
//
// Errors: NotFound (client_grant).
func (s *ClientGrants) Organizations(ctx context.Context, grant string, opts ListOptions) (Page[*Organization], error) {
	l := organizationList(s.e.cfg.Clock()).where("o.id IN (SELECT org_id FROM orgauthz_organization_grants WHERE grant_id = ? {after org_id})",
		validID("cgr_", grant), grant)
	l.name = "organizations of a client grant"
	page, err := l.read(ctx, s.e, opts)
	if err == nil && len(page.Items) == 0 {
		_, err = s.Get(ctx, grant)
	}
	return page, err
}

// ListByOrganization returns a page of the grants that are associated with an organization and that opts admits, by id.
//
// Errors: NotFound (organization).
func (s *ClientGrants) ListByOrganization(ctx context.Context, org string, opts ClientGrantListOptions) (Page[*ClientGrant], error) {
	l := opts.filter(grantList.where("id IN (SELECT grant_id FROM orgauthz_organization_grants WHERE org_id = ?)", validID("org_", org), org))
	l.name = "client grants of an organization"
	page, err := l.read(ctx, s.e, opts.ListOptions)
	if err == nil {
		_, err = s.e.Organizations.Get(ctx, org) // the rows of a deleted one may still be there
	}
	if err != nil {
		return Page[*ClientGrant]{}, err
	}
	return page, nil
}
