package orgstore

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// applier imports one record.
type applier = func(ctx context.Context, im *importer, e *Engine, data []byte) (outcome, error)

// recordTypes says how records are imported.
var recordTypes = map[string]applier{
	"api":                       of(importAPI),
	"role":                      of(importRole),
	"connection":                of(importConnection),
	"connection_isolation":      of(importIsolation),
	"organization":              of(importOrganization),
	"organization_settings":     of(importSettings),
	"client":                    of(importClient),
	"client_grant":              of(importGrant),
	"group":                     of(importGroup),
	"user":                      of(importUser),
	"discovery_domain":          of(importDomain),
	"enabled_connection":        of(importEnabled),
	"organization_client":       of(importOrganizationClient),
	"organization_client_grant": of(importOrganizationGrant),
	"team":                      of(importTeam),
	"organization_group":        of(importOrganizationGroup),
	"template":                  of(importTemplate),
	"request":                   of(importRequest),
	"invitation":                of(importInvitation),
	"contract":                  of(importContract),
	"tenant":                    of(importTenant),
}

// of is the applier of records with the value T.
func of[T any](apply func(ctx context.Context, im *importer, e *Engine, v *T) (outcome, error)) applier {
	return func(ctx context.Context, im *importer, e *Engine, data []byte) (outcome, error) {
		v, err := decodeRecord[T](data)
		if err != nil {
			return created, err
		}
		return apply(ctx, im, e, v)
	}
}

// either runs create when err, with which looking for the thing has ended, says that it is not there, and update when it is.
func either(err error, create, update func() error) (outcome, error) {
	switch {
	case err == nil:
		return found, update()
	case errors.Is(err, ErrNotFound):
		return created, create()
	}
	return created, err
}

// third and second are the errors of operations that return more.
func third[A, B any](_ A, _ B, err error) error { return err }

func second[A any](_ A, err error) error { return err }

// needID checks that the record has an id, which would be made up otherwise, and a new one each time.
func needID(prefix, id string) error {
	if !validID(prefix, id) {
		return &Invalid{"id", "EXC-2", "must be " + prefix + " and 16 alphanumeric characters"}
	}
	return nil
}

// keeps checks a field that never changes.
func keeps(field, is, was string) error {
	if is != was {
		return &Invalid{field, "EXC-2", "must be as it is: it never changes"}
	}
	return nil
}

// stamp gives what a record has created or changed the times that the file has. where selects the row; $1 and so on are keys.
func (im *importer) stamp(ctx context.Context, e *Engine, is outcome, err error, createdAt, updatedAt time.Time, table, where string,
	keys ...any) (outcome, error) {
	if err != nil || is == over || !im.changed(e) {
		return is, err
	}
	for _, column := range []struct {
		name string
		at   time.Time
	}{{"created_at", createdAt}, {"updated_at", updatedAt}} {
		if column.at.IsZero() {
			continue
		}
		if !storable(column.at) {
			return is, &Invalid{column.name, "EXC-2", "must be between the years 1970 and 9999"}
		}
		if _, err := e.tx.sql.ExecContext(ctx, `UPDATE `+table+` SET `+column.name+` = $`+strconv.Itoa(len(keys)+1)+` WHERE `+where,
			append(slices.Clone(keys), column.at.UnixMicro())...); err != nil {
			return is, err
		}
	}
	return is, nil
}

// valid refuses tokens from before an instant, as signing out does. Of what is there, a later instant stays.
func (im *importer) valid(ctx context.Context, e *Engine, at time.Time, scope Scope, org, eventType, table, where string, keys ...any) error {
	if at.IsZero() {
		return nil
	}
	if !storable(at) {
		return &Invalid{"tokens_valid_after", "EXC-2", "must be between the years 1970 and 9999"}
	}
	return second(e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{scope}, nil); err != nil {
			return err
		}
		n, err := affected(tx.sql.ExecContext(ctx, `UPDATE `+table+` SET tokens_valid_after = $`+strconv.Itoa(len(keys)+1)+` WHERE `+where+
			` AND tokens_valid_after < $`+strconv.Itoa(len(keys)+1), append(slices.Clone(keys), at.UnixMicro())...))
		if err != nil || n == 0 {
			return err
		}
		return tx.raise(ctx, scope, org, eventType, nil, signedOut{micro(at)})
	}))
}

func importAPI(ctx context.Context, im *importer, e *Engine, a *API) (outcome, error) {
	is, err := either(second(e.APIs.Get(ctx, a.Identifier)), func() error { return third(e.APIs.Create(ctx, *a)) }, func() error {
		return second(e.APIs.Update(ctx, a.Identifier, APIUpdate{
			Name: &a.Name, Permissions: &a.Permissions, TokenLifetime: new(cmp.Or(a.TokenLifetime, usualLifetime)), RBAC: &a.RBAC,
			TokenDialect: &a.TokenDialect,
		}))
	})
	return im.stamp(ctx, e, is, err, a.CreatedAt, a.UpdatedAt, "orgauthz_apis", "identifier = $1", a.Identifier)
}

func importRole(ctx context.Context, im *importer, e *Engine, r *Role) (outcome, error) {
	if err := needID("rol_", r.ID); err != nil {
		return created, err
	}
	was, err := e.Roles.Get(ctx, r.ID)
	is, err := either(err, func() error { return third(e.Roles.create(ctx, *r, false)) }, func() error {
		if err := keeps("organization_id", r.Organization, was.Organization); err != nil {
			return err
		}
		apis := map[string][]string{}
		for api := range was.APIPermissions {
			apis[api] = nil
		}
		u := RoleUpdate{
			Name: &r.Name, Description: &r.Description, Permissions: &r.Permissions, APIPermissions: patchedAPIPermissions(apis, r.APIPermissions),
			Template: &r.Template,
		}
		if r.Base != was.Base {
			u.Base = &r.Base
		}
		return second(e.Roles.Update(ctx, r.ID, u))
	})
	return im.stamp(ctx, e, is, err, r.CreatedAt, r.UpdatedAt, "orgauthz_roles", "id = $1", r.ID)
}

func importConnection(ctx context.Context, im *importer, e *Engine, c *Connection) (outcome, error) {
	if err := needID("con_", c.ID); err != nil {
		return created, err
	}
	was, err := e.Connections.Get(ctx, c.ID)
	is, err := either(err, func() error { return third(e.Connections.Create(ctx, *c)) }, func() error {
		if err := errors.Join(keeps("name", c.Name, was.Name), keeps("strategy", c.Strategy, was.Strategy)); err != nil {
			return err
		}
		u := ConnectionUpdate{DisplayName: &c.DisplayName, Domains: &c.Domains, Signup: &c.Signup, DomainConnection: &c.DomainConnection}
		return second(e.Connections.Update(ctx, c.ID, u))
	})
	return im.stamp(ctx, e, is, err, c.CreatedAt, c.UpdatedAt, "orgauthz_connections", "id = $1", c.ID)
}

func importIsolation(ctx context.Context, im *importer, e *Engine, r *isolationRecord) (outcome, error) {
	c, err := e.Connections.Get(ctx, r.Connection)
	if err != nil {
		return created, err
	}
	if err := second(e.Connections.Update(ctx, r.Connection, ConnectionUpdate{Isolated: new(true)})); err != nil {
		return created, err
	}
	// It is the rest of the connection's own record.
	return im.stamp(ctx, e, created, nil, c.CreatedAt, c.UpdatedAt, "orgauthz_connections", "id = $1", c.ID)
}

func importClient(ctx context.Context, im *importer, e *Engine, r *clientRecord) (outcome, error) {
	c := &r.Client
	if !validClientID(c.ID) {
		return created, &Invalid{"client_id", "DIR-5", "must be 1 to 64 of letters, digits, - and _"}
	}
	is, err := either(second(e.Clients.Get(ctx, c.ID)), func() error { return third(e.Clients.Create(ctx, *c)) }, func() error {
		d := c.DefaultOrganization
		if d == nil {
			d = &DefaultOrganization{}
		}
		return second(e.Clients.Update(ctx, c.ID, ClientUpdate{
			Name: &c.Name, Description: &c.Description, FirstParty: &c.FirstParty, OIDCConformant: &c.OIDCConformant,
			ThirdPartySecurityMode: &c.ThirdPartySecurityMode, Callbacks: &c.Callbacks, AllowedOrigins: &c.AllowedOrigins,
			AllowedLogoutURLs: &c.AllowedLogoutURLs, InitiateLoginURI: &c.InitiateLoginURI, GrantTypes: &c.GrantTypes,
			OrganizationUsage: &c.OrganizationUsage, OrganizationRequireBehavior: &c.OrganizationRequireBehavior,
			OrganizationDiscoveryMethods: &c.OrganizationDiscoveryMethods, DefaultOrganization: d,
		}))
	})
	if err == nil {
		err = importUses(ctx, e, c.ID, r.Connections)
	}
	if is, err = im.stamp(ctx, e, is, err, c.CreatedAt, c.UpdatedAt, "orgauthz_clients", "id = $1", c.ID); err != nil || is != created {
		return is, err
	}
	return im.stamp(ctx, e, is, err, c.CreatedAt, c.CreatedAt, "orgauthz_users", "id = $1", ClientPrincipal(c.ID))
}

// importUses makes connections the ones that an application uses.
func importUses(ctx context.Context, e *Engine, client string, connections []string) error {
	uses, err := ids(ctx, e.tx.sql, `SELECT cc.connection_id FROM orgauthz_connection_clients cc
		JOIN orgauthz_connections c ON c.id = cc.connection_id AND c.deleted_at IS NULL WHERE cc.client_id = $1 ORDER BY cc.connection_id`, client)
	for _, id := range without(unique(connections), uses) {
		if err == nil {
			err = second(e.Connections.EnableClients(ctx, id, client))
		}
	}
	for _, id := range without(uses, connections) {
		if err == nil {
			err = second(e.Connections.DisableClients(ctx, id, client))
		}
	}
	return err
}

func importGrant(ctx context.Context, im *importer, e *Engine, g *ClientGrant) (outcome, error) {
	if err := needID("cgr_", g.ID); err != nil {
		return created, err
	}
	was, err := e.ClientGrants.Get(ctx, g.ID)
	is, err := either(err, func() error { return third(e.ClientGrants.Create(ctx, *g)) }, func() error {
		if err := errors.Join(keeps("client_id", g.ClientID, was.ClientID), keeps("audience", g.Audience, was.Audience)); err != nil {
			return err
		}
		u := ClientGrantUpdate{Scopes: &g.Scopes, OrganizationUsage: &g.OrganizationUsage, AllowAnyOrganization: &g.AllowAnyOrganization}
		return second(e.ClientGrants.Update(ctx, g.ID, u))
	})
	return im.stamp(ctx, e, is, err, g.CreatedAt, g.UpdatedAt, "orgauthz_client_grants", "id = $1", g.ID)
}

func importGroup(ctx context.Context, im *importer, e *Engine, g *Group) (outcome, error) {
	if err := needID("grp_", g.ID); err != nil {
		return created, err
	}
	was, err := e.Groups.Get(ctx, g.ID)
	is, err := either(err, func() error { return third(e.Groups.Create(ctx, *g)) }, func() error {
		if err := keeps("connection_id", g.Connection, was.Connection); err != nil {
			return err
		}
		return second(e.Groups.Update(ctx, g.ID, GroupUpdate{Name: &g.Name, ExternalID: &g.ExternalID}))
	})
	return im.stamp(ctx, e, is, err, g.CreatedAt, g.UpdatedAt, "orgauthz_groups", "id = $1", g.ID)
}

func importTemplate(ctx context.Context, im *importer, e *Engine, t *Template) (outcome, error) {
	set := func() error { return second(e.Templates.Set(ctx, *t)) }
	is, err := either(second(e.Templates.Get(ctx, t.Owner, t.Kind)), set, set)
	return im.stamp(ctx, e, is, err, t.CreatedAt, t.UpdatedAt, "orgauthz_templates", "org_id = $1 AND client_id = $2 AND kind = $3",
		t.Owner.Organization, t.Owner.Client, string(t.Kind))
}

func importTenant(ctx context.Context, _ *importer, e *Engine, t *TenantSettings) (outcome, error) {
	was, err := e.Tenant.Get(ctx)
	if err != nil {
		return created, err
	}
	is := found
	if reflect.DeepEqual(was, &TenantSettings{PickerOrder: PickLastUsed}) {
		is = created
	}
	return is, second(e.Tenant.Update(ctx, TenantUpdate{
		OrganizationNames: &t.OrganizationNames, DefaultRedirectionURI: &t.DefaultRedirectionURI, DefaultDirectory: &t.DefaultDirectory,
		IsolateUsers: &t.IsolateUsers, MergeConnections: &t.MergeConnections, AskSole: &t.AskSole, PickerOrder: &t.PickerOrder,
		Branding: &t.Branding,
	}))
}

func importContract(ctx context.Context, im *importer, e *Engine, c *Contract) (outcome, error) {
	if err := needID("ctr_", c.ID); err != nil {
		return created, err
	}
	ended := c.EndedAt
	if !storable(ended) {
		return created, &Invalid{"ended_at", "EXC-2", "must be between the years 1970 and 9999"}
	}
	was, err := e.Contracts.Get(ctx, c.ID)
	is, err := either(err, func() error {
		// A condition that names what is not there any more admits nobody.
		return third(e.Contracts.create(ctx, *c, &Contract{ContractTerms: ContractTerms{Team: c.Team, Role: c.Role}}))
	}, func() error {
		if err := errors.Join(keeps("host", c.Host, was.Host), keeps("guest", c.Guest, was.Guest)); err != nil || !was.EndedAt.IsZero() {
			return err
		}
		t := &c.ContractTerms
		return second(e.Contracts.Update(ctx, c.ID, ContractUpdate{
			Name: &t.Name, Kinds: &t.Kinds, Team: &t.Team, Role: &t.Role, MetadataKey: &t.MetadataKey, MetadataValue: &t.MetadataValue,
			Roles: &t.Roles, Shares: &t.Shares, From: &t.From, Until: &t.Until,
		}))
	})
	if err == nil && !ended.IsZero() && (was == nil || was.EndedAt.IsZero()) {
		if err = second(e.Contracts.End(ctx, c.ID)); err == nil {
			_, err = e.tx.sql.ExecContext(ctx, `UPDATE orgauthz_contracts SET ended_at = $2 WHERE id = $1`, c.ID, ended.UnixMicro())
		}
	}
	return im.stamp(ctx, e, is, err, c.CreatedAt, c.UpdatedAt, "orgauthz_contracts", "id = $1", c.ID)
}
