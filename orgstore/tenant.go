package orgstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

// Tenant is the settings of the whole store, as of an Auth0 tenant.
type Tenant struct{ e *Engine }

// TenantSettings are what holds for all organizations and applications (rule DIR-14). The zero value is what a store begins with,
// except for PickerOrder.
type TenantSettings struct {
	// OrganizationNames lets logins name an organization by its name, not only by its id, and puts org_name into tokens.
	OrganizationNames bool `json:"allow_organization_name_in_authentication_api"`
	// DefaultRedirectionURI is where a login begins for applications without an initiate_login_uri; empty for nowhere (rule URL-2).
	DefaultRedirectionURI string `json:"default_redirection_uri,omitempty"`
	// DefaultDirectory is the id of the database connection for whoever no enterprise connection is for; empty for none. One that has
	// been deleted is none.
	DefaultDirectory string `json:"default_directory,omitempty"`
	// IsolateUsers makes every user a member of at most one organization (rule MEM-6).
	IsolateUsers bool `json:"isolate_users"`
	// MergeConnections shows the application's connections beside the organization's own when a login is for an organization.
	MergeConnections bool `json:"merge_connections"`
	// AskSole asks also those with one organization which one they want, where a login has to be for one.
	AskSole bool `json:"ask_sole_organization"`
	// PickerOrder is the order in which users see their organizations.
	PickerOrder PickerOrder `json:"picker_order"`
	// DefaultTokenQuota is how many tokens are issued for each organization that has no quota of its own (rule M2M-4).
	DefaultTokenQuota TokenQuota `json:"default_token_quota,omitzero"`
	// Branding is for whatever neither the organization nor the application says.
	Branding Branding `json:"branding,omitzero"`
}

// PickerOrder is the order in which users see their organizations.
type PickerOrder string

// The orders of the picker.
const (
	PickLastUsed PickerOrder = "last_used" // the default
	PickByName   PickerOrder = "name"
	PickByJoin   PickerOrder = "joined_at"
)

// TenantUpdate says what to change of the settings. What is nil stays as it is.
type TenantUpdate struct {
	OrganizationNames     *bool
	DefaultRedirectionURI *string // "" clears it
	DefaultDirectory      *string // "" clears it
	IsolateUsers          *bool
	MergeConnections      *bool
	AskSole               *bool
	PickerOrder           *PickerOrder // "" is the default
	DefaultTokenQuota     *TokenQuota  // replaces all of it
	Branding              *Branding    // replaces all of it
}

// TenantScope is the scope of the settings of the tenant.
func TenantScope() Scope { return Scope{Kind: ScopeTenant, ID: tenantID} }

// tenant reads the settings.
func tenant(ctx context.Context, q queryer) (*TenantSettings, error) {
	var t TenantSettings
	var settings string
	err := q.QueryRowContext(ctx, `SELECT settings FROM orgauthz_tenant WHERE id = 1`).Scan(&settings)
	if err == nil {
		err = json.Unmarshal([]byte(settings), &t)
	}
	t.PickerOrder = cmp.Or(t.PickerOrder, PickLastUsed)
	return &t, err
}

func (t *TenantSettings) check() error {
	var problems []error
	t.PickerOrder = cmp.Or(t.PickerOrder, PickLastUsed)
	if t.PickerOrder != PickLastUsed && t.PickerOrder != PickByName && t.PickerOrder != PickByJoin {
		problems = append(problems, &Invalid{"picker_order", "DIR-14", "must be last_used, name or joined_at"})
	}
	if t.DefaultRedirectionURI != "" {
		if err := urls.CheckDefault(t.DefaultRedirectionURI); err != nil {
			problems = append(problems, &Invalid{"default_redirection_uri", "URL-2", err.Error()})
		}
	}
	return errors.Join(append(problems, t.DefaultTokenQuota.check("default_token_quota"), t.Branding.check("DIR-14"))...)
}

// Get returns the settings of the tenant.
func (s *Tenant) Get(ctx context.Context) (*TenantSettings, error) {
	return read(ctx, s.e, func(q queryer) (*TenantSettings, error) { return tenant(ctx, q) })
}

// Update changes what u names. Users who are members of several organizations stay so when they are isolated: the rule is for those
// who join from then on.
//
// Errors: Invalid (DIR-14, URL-2, M2M-4), NotFound (connection).
func (s *Tenant) Update(ctx context.Context, u TenantUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"tenant.update", u}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:tenant_settings"); err != nil {
			return err
		}
		var directory []Scope
		if u.DefaultDirectory != nil {
			directory = append(directory, ConnectionScope(*u.DefaultDirectory))
		}
		if err := tx.lock(ctx, []Scope{TenantScope()}, directory); err != nil {
			return err
		}
		before, err := tenant(ctx, tx.sql)
		if err != nil {
			return err
		}
		t := *before
		set(&t.OrganizationNames, u.OrganizationNames)
		set(&t.DefaultRedirectionURI, u.DefaultRedirectionURI)
		set(&t.DefaultDirectory, u.DefaultDirectory)
		set(&t.IsolateUsers, u.IsolateUsers)
		set(&t.MergeConnections, u.MergeConnections)
		set(&t.AskSole, u.AskSole)
		set(&t.PickerOrder, u.PickerOrder)
		set(&t.DefaultTokenQuota, u.DefaultTokenQuota)
		set(&t.Branding, u.Branding)
		if err := t.check(); err != nil {
			return err
		}
		if t.DefaultDirectory != before.DefaultDirectory && t.DefaultDirectory != "" {
			c, err := connection(ctx, tx.sql, t.DefaultDirectory)
			if err == nil && c.Kind() != ConnectionDatabase {
				err = &Invalid{"default_directory", "DIR-14", "must be a database connection"}
			}
			if err != nil {
				return err
			}
		}
		was, err := json.Marshal(before)
		if err != nil {
			return err
		}
		is, err := json.Marshal(t)
		if err != nil || bytes.Equal(was, is) {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_tenant SET settings = $1, isolated = $2 WHERE id = 1`,
			string(is), flag(t.IsolateUsers)); err != nil {
			return err
		}
		return tx.raise(ctx, TenantScope(), "", "tenant.updated", before, &t)
	})
}
