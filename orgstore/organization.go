package orgstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"strings"
	"time"
)

// Organization is one customer organization.
type Organization struct {
	ID          string             `json:"id"`   // "org_" and 16 alphanumerics; never given again (rule ORG-5)
	Name        string             `json:"name"` // rule ORG-1; unique in the store
	DisplayName string             `json:"display_name,omitempty"`
	Status      OrganizationStatus `json:"status"`
	// ExternalID is what another system calls the organization: at most 255 characters, unique in the store, empty for none.
	ExternalID string            `json:"external_id,omitempty"`
	Branding   Branding          `json:"branding,omitzero"`
	Metadata   map[string]string `json:"metadata,omitempty"` // nil when there is none
	// TokenQuota is how many tokens its machines get.
	TokenQuota TokenQuota `json:"token_quota,omitzero"`
	// ThirdPartyClientAccess says whether third-party applications may log in to the organization; block when empty (rule APP-1).
	ThirdPartyClientAccess ClientAccess `json:"third_party_client_access"`
	// AppEntitlement admits only the applications that OrganizationClients lists (rule APP-1).
	AppEntitlement bool `json:"is_app_entitlement_active"`
	// InvitationRedirectURL is where people go who have accepted an invitation that says nothing itself: an https URL,
	// empty for none.
	InvitationRedirectURL string `json:"invitation_redirect_url,omitempty"`
	// AutoJoin says what follows from an e-mail address in a proven discovery domain; off when empty (rule AUTO-1).
	AutoJoin AutoJoin `json:"auto_join"`
	// LoginDomain is the host whose logins are for the organization (rule LOG-8), empty for none.
	LoginDomain string `json:"login_domain,omitempty"`
	// OwnerRole is the id of the role whose last holder has to stay (rule MEM-5), empty for none.
	OwnerRole string    `json:"owner_role,omitempty"`
	DeleteAt  time.Time `json:"delete_at,omitzero"` // when a scheduled deletion takes effect; see Organizations.ScheduleDeletion
	CreatedAt time.Time `json:"created_at"`         // UTC
	UpdatedAt time.Time `json:"updated_at"`         // UTC; members do not count
}

// OrganizationUpdate says what to change of an organization. What is nil stays as it is; the zero value of a field clears it.
type OrganizationUpdate struct {
	Name                   *string
	DisplayName            *string
	ExternalID             *string
	LogoURL                *string
	Colors                 *BrandingColors
	Metadata               map[string]*string // sets these keys; a nil value removes its key; other keys stay
	TokenQuota             *TokenQuota
	ThirdPartyClientAccess *ClientAccess // "" is block
	AppEntitlement         *bool
	InvitationRedirectURL  *string
	AutoJoin               *AutoJoin // "" is off
	LoginDomain            *string   // a proven discovery domain of the organization, or a host below one (rule LOG-8)
	OwnerRole              *string
}

// OrganizationListOptions selects a page of organizations. Filters that are empty admit everything.
type OrganizationListOptions struct {
	ListOptions
	Status OrganizationStatus // only those with this status
	Query  string             // only those whose name or display name begins with it, in any case
	Domain string             // only those that have this verified discovery domain
	// Connection admits only those for which this connection, by id, is enabled (rule CON-5).
	Connection string
}

// Organizations are the organizations of an Engine.
type Organizations struct{ e *Engine }

const organizationColumns = `o.id, o.name, o.display_name, o.status, o.external_id, o.branding, o.metadata, o.token_quota,
	o.third_party_client_access, o.app_entitlement, o.invitation_redirect_url, o.auto_join, o.login_domain, o.owner_role, o.delete_at,
	o.created_at, o.updated_at`

func scanOrganization(row scanner) (*Organization, error) {
	var o Organization
	return &o, row.Scan(o.columns()...)
}

// columns are where a row of organizationColumns goes.
func (o *Organization) columns() []any {
	return []any{&o.ID, &o.Name, &o.DisplayName, &o.Status, &o.ExternalID, document{&o.Branding}, pairs{&o.Metadata},
		document{&o.TokenQuota}, &o.ThirdPartyClientAccess, &o.AppEntitlement, &o.InvitationRedirectURL, &o.AutoJoin, &o.LoginDomain,
		&o.OwnerRole, instant{&o.DeleteAt}, instant{&o.CreatedAt}, instant{&o.UpdatedAt}}
}

// live is the condition that organization o is there: neither deleted nor due to be, at the instant that is the first argument of
// the statement.
const live = `o.deleted_at IS NULL AND (o.delete_at IS NULL OR o.delete_at > $1)`

// organization reads a live organization.
func organization(ctx context.Context, q queryer, id string) (*Organization, error) {
	if !validID("org_", id) {
		return nil, &NotFound{"organization"}
	}
	return organizationBy(ctx, q, "o.id", id)
}

// organizationBy reads the live organization that has value in column, which is unique.
func organizationBy(ctx context.Context, q queryer, column, value string) (*Organization, error) {
	return one(scanOrganization(q.QueryRowContext(ctx, `
		SELECT `+organizationColumns+` FROM orgauthz_organizations o WHERE `+live+` AND `+column+` = $2`,
		q.clock().UnixMicro(), value)))("organization")
}

// one turns the absence of a row into a NotFound.
func one[T any](v *T, err error) func(kind string) (*T, error) {
	return func(kind string) (*T, error) {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, &NotFound{kind}
		}
		return v, err
	}
}

// Create makes an organization of o, whose Name must be given. ID is generated when empty; a given one must never have been
// used in this store. Status is active when empty. The times of o are ignored. connections are enabled for it in the same breath.
//
// Errors: Invalid (ORG-1, ORG-3, CON-2, LOG-8: there is no login domain before its discovery domain is proven), Conflict (id, name or
// external id taken, a connection given twice), NotFound (owner role or connection), Limit (organizations, metadata pairs, connections).
func (s *Organizations) Create(ctx context.Context, o Organization, connections ...NewConnection) (*Organization, Result, error) {
	given := o
	if o.ID == "" {
		o.ID = newID("org_")
	}
	if o.Status == "" {
		o.Status = OrganizationActive
	}
	o.Metadata = emptyToNil(maps.Clone(o.Metadata))
	o.DeleteAt = time.Time{}
	err := errors.Join(checkID("org_", o.ID), o.check(s.e.cfg.Limits.Metadata))
	if o.Status != OrganizationActive && o.Status != OrganizationSuspended {
		err = errors.Join(err, &Invalid{"status", "ORG-6", "must be active or suspended"})
	}
	if o.LoginDomain != "" {
		err = errors.Join(err, errLoginDomain)
	}
	write, read := []Scope{OrganizationScope(o.ID), NameScope(o.Name)}, o.reads()
	for _, c := range connections {
		err = errors.Join(err, c.check())
		write, read = append(write, enabledScope(o.ID, c.ConnectionID)), append(read, ConnectionScope(c.ConnectionID))
	}
	if err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"organizations.create", given, connections}, &o, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:organizations"); err != nil {
			return err
		}
		if err := tx.lock(ctx, write, read); err != nil {
			return err
		}
		var taken int
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organizations WHERE id = $1`,
			o.ID).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return &Conflict{"organization", "id"}
		}
		if err := o.fits(ctx, tx, &Organization{}); err != nil {
			return err
		}
		if err := count(ctx, tx, 1); err != nil {
			return err
		}
		if o.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		o.UpdatedAt = o.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_organizations (id, name, display_name, status, metadata, members, created_at, updated_at)
			VALUES ($1, $2, '', $3, '{}', 0, $4, $4)`, o.ID, o.Name, string(o.Status), o.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := o.save(ctx, tx); err != nil {
			return err
		}
		if err := tx.raise(ctx, OrganizationScope(o.ID), o.ID, "organization.created", nil, &o); err != nil {
			return err
		}
		if err := tx.raise(ctx, NameScope(o.Name), o.ID, "organization.name.assigned", nil, &o.ID); err != nil {
			return err
		}
		for _, c := range connections {
			if err := new(EnabledConnection).add(ctx, tx, o.ID, c.ConnectionID, c.EnabledConnectionSettings); err != nil {
				return err
			}
		}
		return nil
	})
}

// save writes what Update can change of o.
func (o *Organization) save(ctx context.Context, tx *transaction) error {
	metadata, err := encodeMetadata(o.Metadata)
	if err != nil {
		return err
	}
	_, err = tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_organizations SET name = $2, display_name = $3, display_key = $4, status = $5, external_id = $6, branding = $7,
			metadata = $8, token_quota = $9, third_party_client_access = $10, app_entitlement = $11, invitation_redirect_url = $12,
			auto_join = $13, login_domain = $14, owner_role = $15, delete_at = $16, updated_at = $17
		WHERE id = $1`,
		o.ID, o.Name, o.DisplayName, strings.ToLower(o.DisplayName), string(o.Status), o.ExternalID, document{&o.Branding},
		metadata, document{&o.TokenQuota}, string(o.ThirdPartyClientAccess), flag(o.AppEntitlement), o.InvitationRedirectURL,
		string(o.AutoJoin), o.LoginDomain, o.OwnerRole, instant{&o.DeleteAt}, o.UpdatedAt.UnixMicro())
	return err
}

// count adds n to the number of organizations, under the lock of the row that holds it.
func count(ctx context.Context, tx *transaction, n int) error {
	var organizations int
	if err := tx.sql.QueryRowContext(ctx, `
		UPDATE orgauthz_meta SET organizations = organizations + $1 WHERE id = 1 RETURNING organizations`,
		n).Scan(&organizations); err != nil {
		return err
	}
	if limit := tx.cfg.Limits.Organizations; n > 0 && organizations > limit {
		return &Limit{"organizations", limit}
	}
	return nil
}

// Get returns the organization with this id. Errors: NotFound.
func (s *Organizations) Get(ctx context.Context, id string) (*Organization, error) {
	return read(ctx, s.e, func(q queryer) (*Organization, error) { return organization(ctx, q, id) })
}

// GetByName returns the organization that has this name now, upper case read as lower case (rule ORG-1). Errors: NotFound.
func (s *Organizations) GetByName(ctx context.Context, name string) (*Organization, error) {
	name, ok := nameOf(name)
	return s.getBy(ctx, "o.name", name, ok)
}

// GetByExternalID returns the organization that has this external id, byte for byte. Errors: NotFound.
func (s *Organizations) GetByExternalID(ctx context.Context, id string) (*Organization, error) {
	return s.getBy(ctx, "o.external_id", id, id != "" && checkExternalID(id) == nil)
}

func (s *Organizations) getBy(ctx context.Context, column, value string, possible bool) (*Organization, error) {
	if !possible {
		return nil, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (*Organization, error) { return organizationBy(ctx, q, column, value) })
}

// organizationList lists the organizations that are live now.
func organizationList(now time.Time) listing[*Organization] {
	return listing[*Organization]{
		name:  "organizations",
		query: `SELECT ` + organizationColumns + ` FROM orgauthz_organizations o WHERE ` + live,
		args:  []any{now.UnixMicro()},
		id:    "o.id",
		sorts: map[Sort]string{SortName: "o.name", SortCreated: "o.created_at"},
		scan:  scanOrganization,
		key: func(o *Organization, by Sort) (any, string) {
			if by == SortName {
				return o.Name, o.ID
			}
			return o.CreatedAt.UnixMicro(), o.ID
		},
	}
}

// List returns a page of the organizations that opts admits, by id, name or created_at. Errors: Invalid.
func (s *Organizations) List(ctx context.Context, opts OrganizationListOptions) (Page[*Organization], error) {
	l := organizationList(s.e.cfg.Clock())
	if opts.Status != "" {
		if opts.Status != OrganizationActive && opts.Status != OrganizationSuspended {
			return Page[*Organization]{}, &Invalid{"Status", "ORG-6", "must be active or suspended, or empty for both"}
		}
		l = l.and(`o.status = '` + string(opts.Status) + `'`) // no parameter: the indexes of those that are suspended have no others
	}
	if opts.Query != "" {
		from, to, err := beginning(strings.ToLower(opts.Query))
		if err != nil {
			return Page[*Organization]{}, err
		}
		// A range for each index: with OR it would be a scan.
		l = l.and(`o.id IN (
			SELECT id FROM orgauthz_organizations WHERE name >= ? AND name < ? AND deleted_at IS NULL
			UNION
			SELECT id FROM orgauthz_organizations WHERE display_key >= ? AND display_key < ? AND deleted_at IS NULL)`, from, to, from, to)
	}
	if opts.Domain != "" {
		domain, ok := domainOf(opts.Domain)
		if !ok {
			return Page[*Organization]{}, &Invalid{"Domain", "DOM-1", "must be a domain name"}
		}
		l = l.and(`o.id IN (SELECT d.org_id FROM orgauthz_domains d WHERE d.domain = ? AND d.status = 'verified'
			{after d.org_id})`, domain)
	}
	if opts.Connection != "" {
		l = l.where(`o.id IN (SELECT ec.org_id FROM orgauthz_enabled_connections ec
			JOIN orgauthz_connections c ON c.id = ec.connection_id AND c.deleted_at IS NULL WHERE c.id = ? AND ec.is_enabled = 1
			{after ec.org_id})`,
			validID("con_", opts.Connection), opts.Connection)
	}
	return l.read(ctx, s.e, opts.ListOptions)
}

// Update changes what u names. A rename frees the old name at once (rule ORG-2).
//
// Errors: NotFound (organization or owner role), Invalid (ORG-1, ORG-3, LOG-8), Conflict (name, external id or login domain taken),
// Limit (metadata pairs).
func (s *Organizations) Update(ctx context.Context, id string, u OrganizationUpdate) (Result, error) {
	return s.change(ctx, call{"organizations.update", id, u}, "update:organizations", id, "organization.updated", u, func(o *Organization) error {
		set(&o.Name, u.Name)
		set(&o.DisplayName, u.DisplayName)
		set(&o.ExternalID, u.ExternalID)
		set(&o.Branding.LogoURL, u.LogoURL)
		set(&o.Branding.Colors, u.Colors)
		o.Metadata = patched(o.Metadata, u.Metadata)
		set(&o.TokenQuota, u.TokenQuota)
		set(&o.ThirdPartyClientAccess, u.ThirdPartyClientAccess)
		set(&o.AppEntitlement, u.AppEntitlement)
		set(&o.InvitationRedirectURL, u.InvitationRedirectURL)
		set(&o.AutoJoin, u.AutoJoin)
		set(&o.LoginDomain, u.LoginDomain)
		set(&o.OwnerRole, u.OwnerRole)
		return o.check(s.e.cfg.Limits.Metadata)
	})
}

// Suspend keeps everything of the organization and refuses every access to it (rule ORG-6). Errors: NotFound.
func (s *Organizations) Suspend(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"organizations.suspend", id}, "update:organizations", id, "organization.suspended",
		OrganizationUpdate{}, func(o *Organization) error {
			o.Status = OrganizationSuspended
			return nil
		})
}

// Resume ends a suspension: everything is as it was. Errors: NotFound.
func (s *Organizations) Resume(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"organizations.resume", id}, "update:organizations", id, "organization.resumed",
		OrganizationUpdate{}, func(o *Organization) error {
			o.Status = OrganizationActive
			return nil
		})
}

// change applies edit to an organization; what is as before is no change (rule ORG-4). u names what of the names of other things
// edit may give.
func (s *Organizations) change(ctx context.Context, c call, permission, id, eventType string, u OrganizationUpdate,
	edit func(*Organization) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		if err := tx.permit(ctx, id, permission); err != nil {
			return err
		}
		scopes := []Scope{OrganizationScope(id)}
		var named Organization
		if u.Name != nil {
			if err := checkName(*u.Name); err != nil {
				return err
			}
			// The old name's scope needs no lock: only who holds the organization's can free it.
			scopes = append(scopes, NameScope(*u.Name))
		}
		set(&named.OwnerRole, u.OwnerRole)
		if err := tx.lock(ctx, scopes, named.reads()); err != nil {
			return err
		}
		before, err := organization(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		o := *before
		if err := edit(&o); err != nil {
			return err
		}
		if o.equal(before) {
			return nil
		}
		if err := o.fits(ctx, tx, before); err != nil {
			return err
		}
		if o.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if err := o.save(ctx, tx); err != nil {
			return err
		}
		if err := tx.raise(ctx, OrganizationScope(id), id, eventType, before, &o); err != nil {
			return err
		}
		if o.Name == before.Name {
			return nil
		}
		if err := tx.raise(ctx, NameScope(before.Name), id, "organization.name.released", &id, nil); err != nil {
			return err
		}
		return tx.raise(ctx, NameScope(o.Name), id, "organization.name.assigned", nil, &id)
	})
}

// reads are the scopes that o.fits looks at.
func (o *Organization) reads() []Scope {
	if o.OwnerRole == "" {
		return nil
	}
	return []Scope{RoleScope(o.OwnerRole)}
}

// fits checks o, which was before, against everything else in the store.
func (o *Organization) fits(ctx context.Context, tx *transaction, before *Organization) error {
	for _, unique := range []struct{ column, is, was string }{
		{"name", o.Name, before.Name}, {"external_id", o.ExternalID, before.ExternalID}, {"login_domain", o.LoginDomain, before.LoginDomain},
	} {
		if unique.is == unique.was || unique.is == "" {
			continue
		}
		var taken int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organizations WHERE `+unique.column+` = $1 AND deleted_at IS NULL`,
			unique.is).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"organization", unique.column}
		}
		if err != nil {
			return err
		}
	}
	if o.LoginDomain != before.LoginDomain && o.LoginDomain != "" {
		if proven, err := o.loginDomainProven(ctx, tx.sql); err != nil || !proven {
			return cmp.Or(err, error(errLoginDomain))
		}
	}
	if o.OwnerRole != before.OwnerRole && o.OwnerRole != "" {
		if err := checkRoleIn(ctx, tx.sql, o.ID, o.OwnerRole); err != nil {
			return err
		}
	}
	return nil
}
