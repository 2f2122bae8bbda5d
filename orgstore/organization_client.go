package orgstore

import (
	"context"
	"errors"
	"slices"
	"time"
)

// OrganizationClient is the access of one application to one organization (rule APP-1). It counts while the organization's
// AppEntitlement is on, and can be prepared before.
type OrganizationClient struct {
	Organization string `json:"organization_id"`
	ClientID     string `json:"client_id"`
	// UseForMemberAccess lets members of the organization log in to the application in its context.
	UseForMemberAccess bool      `json:"use_for_member_access"`
	Client             Client    `json:"client"` // read only
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
}

// clientAccess is what events show of an OrganizationClient.
type clientAccess struct {
	UseForMemberAccess bool `json:"use_for_member_access"`
}

// NewOrganizationClient is an application that is given access to an organization.
type NewOrganizationClient struct {
	ClientID           string
	UseForMemberAccess bool
}

// OrganizationClients say which applications have access to organizations.
type OrganizationClients struct{ e *Engine }

// maxClientsPerCall is how many applications one call adds or removes, as in Auth0's Management API.
const maxClientsPerCall = 10

const organizationClients = `SELECT oc.org_id, oc.use_for_member_access, oc.created_at, oc.updated_at,
		c.id, c.name, c.settings, c.created_at, c.updated_at
	FROM orgauthz_organization_clients oc
	JOIN orgauthz_clients c ON c.id = oc.client_id AND c.deleted_at IS NULL
	JOIN orgauthz_organizations o ON o.id = oc.org_id AND o.deleted_at IS NULL
	WHERE oc.org_id = $1`

func scanOrganizationClient(row scanner) (*OrganizationClient, error) {
	var oc OrganizationClient
	c := &oc.Client
	var id, name string
	var created, updated time.Time
	err := row.Scan(&oc.Organization, &oc.UseForMemberAccess, instant{&oc.CreatedAt}, instant{&oc.UpdatedAt},
		&id, &name, document{c}, instant{&created}, instant{&updated})
	c.ID, c.Name, c.CreatedAt, c.UpdatedAt = id, name, created, updated
	oc.ClientID = id
	return &oc, err
}

func organizationClient(ctx context.Context, q queryer, org, client string) (*OrganizationClient, error) {
	if !validID("org_", org) || !validClientID(client) {
		return nil, &NotFound{"client"}
	}
	return one(scanOrganizationClient(q.QueryRowContext(ctx, organizationClients+` AND oc.client_id = $2`, org, client)))("client")
}

func organizationClientScope(org, client string) Scope {
	return Scope{Kind: ScopeOrganizationClient, Org: org, ID: client}
}

func checkClientsPerCall(n int) error {
	if n > maxClientsPerCall {
		return &Limit{"clients per call", maxClientsPerCall}
	}
	return nil
}

// Add gives applications access to an organization, all or none; those that have it already stay as they are.
//
// Errors: NotFound (organization or client), Limit (clients of an organization; more than 10 clients per call).
func (s *OrganizationClients) Add(ctx context.Context, org string, clients ...NewOrganizationClient) (Result, error) {
	if err := checkClientsPerCall(len(clients)); err != nil {
		return Result{}, err
	}
	// Alone with the organization: it counts its applications.
	write, read := []Scope{OrganizationScope(org)}, []Scope(nil)
	for _, c := range clients {
		write, read = append(write, organizationClientScope(org, c.ClientID)), append(read, ClientScope(c.ClientID))
	}
	return s.e.mutate(ctx, call{"organization_clients.add", org, clients}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "create:organization_clients"); err != nil {
			return err
		}
		if err := tx.lock(ctx, write, read); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
		for _, c := range clients {
			if _, err := client(ctx, tx.sql, c.ClientID); err != nil {
				return err
			}
			if _, err := organizationClient(ctx, tx.sql, org, c.ClientID); !errors.Is(err, ErrNotFound) {
				if err != nil {
					return err
				}
				continue
			}
			at, err := tx.now(ctx)
			if err != nil {
				return err
			}
			if _, err := tx.sql.ExecContext(ctx, `
				INSERT INTO orgauthz_organization_clients (org_id, client_id, use_for_member_access, created_at, updated_at)
				VALUES ($1, $2, $3, $4, $4)`, org, c.ClientID, flag(c.UseForMemberAccess), at.UnixMicro()); err != nil {
				return err
			}
			if err := tx.raise(ctx, organizationClientScope(org, c.ClientID), org, "organization.client.added", nil,
				&clientAccess{c.UseForMemberAccess}); err != nil {
				return err
			}
		}
		var n int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+organizationClients+`) listed`, org).Scan(&n)
		if limit := tx.cfg.Limits.OrganizationClients; err == nil && n > limit {
			err = &Limit{"clients of an organization", limit}
		}
		return err
	})
}

// Get returns the access of an application to an organization. Errors: NotFound (client; also when there is no such organization).
func (s *OrganizationClients) Get(ctx context.Context, org, client string) (*OrganizationClient, error) {
	return read(ctx, s.e, func(q queryer) (*OrganizationClient, error) { return organizationClient(ctx, q, org, client) })
}

// List returns a page of the applications that have access to an organization, by id, name or created_at (of the access). Errors:
// NotFound (organization).
func (s *OrganizationClients) List(ctx context.Context, org string, opts ListOptions) (Page[*OrganizationClient], error) {
	return listing[*OrganizationClient]{
		name:  "organization clients",
		query: organizationClients,
		id:    "oc.client_id",
		sorts: map[Sort]string{SortName: "c.name", SortCreated: "oc.created_at"},
		scan:  scanOrganizationClient,
		key: func(c *OrganizationClient, by Sort) (any, string) {
			if by == SortName {
				return c.Client.Name, c.ClientID
			}
			return c.CreatedAt.UnixMicro(), c.ClientID
		},
	}.of(ctx, s.e, org, opts)
}

// Update says whether members log in to an application. Errors: NotFound (client).
func (s *OrganizationClients) Update(ctx context.Context, org, client string, useForMemberAccess bool) (Result, error) {
	return s.e.mutate(ctx, call{"organization_clients.update", org, client, useForMemberAccess}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "update:organization_clients"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{organizationClientScope(org, client)}, []Scope{OrganizationScope(org)}); err != nil {
			return err
		}
		before, err := organizationClient(ctx, tx.sql, org, client)
		if err != nil || before.UseForMemberAccess == useForMemberAccess {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_organization_clients SET use_for_member_access = $3, updated_at = $4 WHERE org_id = $1 AND client_id = $2`,
			org, client, flag(useForMemberAccess), at.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, organizationClientScope(org, client), org, "organization.client.updated",
			&clientAccess{before.UseForMemberAccess}, &clientAccess{useForMemberAccess})
	})
}

// Remove takes the access to an organization from applications, by id; those without it change nothing.
//
// Errors: Limit (more than 10 clients per call).
func (s *OrganizationClients) Remove(ctx context.Context, org string, clients ...string) (Result, error) {
	if err := checkClientsPerCall(len(clients)); err != nil {
		return Result{}, err
	}
	clients = slices.DeleteFunc(unique(clients), func(id string) bool { return !validClientID(id) })
	var write []Scope
	for _, id := range clients {
		write = append(write, organizationClientScope(org, id))
	}
	return s.e.mutate(ctx, call{"organization_clients.remove", org, clients}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "delete:organization_clients"); err != nil {
			return err
		}
		if err := tx.lock(ctx, write, []Scope{OrganizationScope(org)}); err != nil {
			return err
		}
		for _, id := range clients {
			before, err := organizationClient(ctx, tx.sql, org, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_organization_clients WHERE org_id = $1 AND client_id = $2`,
				org, id); err != nil {
				return err
			}
			if err := tx.raise(ctx, organizationClientScope(org, id), org, "organization.client.removed",
				&clientAccess{before.UseForMemberAccess}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// cleanClient deletes what a deleted application had at organizations, and its templates.
func cleanClient(ctx context.Context, tx *transaction, id string, most int) (deleted int, err error) {
	for _, left := range []struct{ table, key string }{{"orgauthz_organization_clients", "org_id"}, {"orgauthz_templates", "kind"}} {
		n, err := affected(tx.sql.ExecContext(ctx, `
			DELETE FROM `+left.table+` WHERE client_id = $1 AND `+left.key+` IN
				(SELECT `+left.key+` FROM `+left.table+` WHERE client_id = $1 ORDER BY `+left.key+` LIMIT $2)`, id, most-deleted))
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
