package orgstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

// Client is an application that users log in to, or that acts for itself. The fields are those of Auth0's Management API.
type Client struct {
	ID          string `json:"client_id"` // 1 to 64 of letters, digits, - and _; never given again
	Name        string `json:"name"`      // 1 to 255 characters; need not be unique
	Description string `json:"description,omitempty"`
	// FirstParty says that the application is the tenant's own; otherwise the rules for third parties hold.
	FirstParty             bool   `json:"is_first_party"`
	OIDCConformant         bool   `json:"oidc_conformant"`
	ThirdPartySecurityMode string `json:"third_party_security_mode,omitempty"` // strict or permissive; empty counts as strict

	Callbacks         []string `json:"callbacks,omitempty"`           // patterns of URLs (rules URL-1, URL-3)
	AllowedOrigins    []string `json:"allowed_origins,omitempty"`     // patterns of origins
	AllowedLogoutURLs []string `json:"allowed_logout_urls,omitempty"` // patterns of URLs
	InitiateLoginURI  string   `json:"initiate_login_uri,omitempty"`  // rule URL-2
	GrantTypes        []string `json:"grant_types,omitempty"`         // of OAuth 2.0, for example authorization_code

	OrganizationUsage           OrganizationUsage  `json:"organization_usage"`            // OrganizationDeny when empty
	OrganizationRequireBehavior OrganizationPrompt `json:"organization_require_behavior"` // NoPrompt when empty
	// OrganizationDiscoveryMethods are what the prompt for an organization accepts: email and organization_name; empty means its
	// name alone.
	OrganizationDiscoveryMethods []string `json:"organization_discovery_methods,omitempty"`
	// DefaultOrganization is the one that the application acts in when it names none; only where OrganizationUsage is require.
	DefaultOrganization *DefaultOrganization `json:"default_organization,omitempty"`

	CreatedAt time.Time `json:"created_at"` // UTC
	UpdatedAt time.Time `json:"updated_at"` // UTC; connections and secrets do not count
}

// OrganizationUsage says whether an application, or a grant of it, is used with an organization.
type OrganizationUsage string

// The usages of organizations.
const (
	OrganizationDeny    OrganizationUsage = "deny"    // never with an organization
	OrganizationAllow   OrganizationUsage = "allow"   // with and without
	OrganizationRequire OrganizationUsage = "require" // only with one
)

// OrganizationPrompt says how a login without an organization asks for one.
type OrganizationPrompt string

// The prompts for an organization.
const (
	NoPrompt        OrganizationPrompt = "no_prompt"
	PreLoginPrompt  OrganizationPrompt = "pre_login_prompt"  // before credentials
	PostLoginPrompt OrganizationPrompt = "post_login_prompt" // after them
)

// DefaultOrganization is the organization that an application acts in when it names none.
type DefaultOrganization struct {
	OrganizationID string   `json:"organization_id"`
	Flows          []string `json:"flows"` // only client_credentials
}

// ClientUpdate says what to change of an application. What is nil stays as it is.
type ClientUpdate struct {
	Name, Description                            *string
	FirstParty, OIDCConformant                   *bool
	ThirdPartySecurityMode                       *string
	Callbacks, AllowedOrigins, AllowedLogoutURLs *[]string // each replaces all of them
	InitiateLoginURI                             *string   // "" clears it
	GrantTypes                                   *[]string
	OrganizationUsage                            *OrganizationUsage  // "" is the default
	OrganizationRequireBehavior                  *OrganizationPrompt // "" is the default
	OrganizationDiscoveryMethods                 *[]string
	DefaultOrganization                          *DefaultOrganization // one without OrganizationID clears it
}

// ClientListOptions selects a page of applications. Filters that are empty admit everything.
type ClientListOptions struct {
	ListOptions
	Connection string // only those that use this connection, by id
}

// Clients are the applications of an Engine's tenant.
type Clients struct{ e *Engine }

// Bounds of applications.
const (
	maxClientName = 255
	maxClientList = 100 // URLs, or grant types
	maxGrantType  = 255
)

// ClientScope is the scope of one application, by id.
func ClientScope(client string) Scope { return Scope{Kind: ScopeClient, ID: client} }

// ClientPrincipal is the principal of an application that acts for itself: the subject of its tokens.
func ClientPrincipal(client string) string { return client + "@clients" }

const clientColumns = `id, name, settings, created_at, updated_at`

func scanClient(row scanner) (*Client, error) {
	var c Client
	var id, name, settings string
	var created, updated int64
	if err := row.Scan(&id, &name, &settings, &created, &updated); err != nil {
		return nil, err
	}
	err := json.Unmarshal([]byte(settings), &c)
	c.ID, c.Name = id, name
	c.CreatedAt, c.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &c, err
}

// client reads a live application.
func client(ctx context.Context, q queryer, id string) (*Client, error) {
	if !validClientID(id) {
		return nil, &NotFound{"client"}
	}
	return one(scanClient(q.QueryRowContext(ctx,
		`SELECT `+clientColumns+` FROM orgauthz_clients WHERE id = $1 AND deleted_at IS NULL`, id)))("client")
}

// check checks c and fills in what is empty.
func (c *Client) check() error {
	var problems []error
	invalid := func(field, rule, text string) { problems = append(problems, &Invalid{field, rule, text}) }
	if strings.TrimSpace(c.Name) == "" {
		invalid("name", "DIR-5", "must be given")
	}
	problems = append(problems, checkText("name", "DIR-5", c.Name, maxClientName),
		checkText("description", "DIR-5", c.Description, maxDescription))
	switch c.ThirdPartySecurityMode {
	case "", "strict", "permissive":
	default:
		invalid("third_party_security_mode", "DIR-5", "must be strict or permissive")
	}
	for _, list := range []struct {
		field  string
		values *[]string
		check  func(string) error
	}{
		{"callbacks", &c.Callbacks, urls.CheckRedirect},
		{"allowed_origins", &c.AllowedOrigins, urls.CheckOrigin},
		{"allowed_logout_urls", &c.AllowedLogoutURLs, urls.CheckRedirect},
		{"grant_types", &c.GrantTypes, checkGrantType},
	} {
		*list.values = unique(*list.values)
		if len(*list.values) > maxClientList {
			invalid(list.field, "DIR-5", "must be at most "+strconv.Itoa(maxClientList))
			continue
		}
		for _, v := range *list.values {
			if err := list.check(v); err != nil {
				invalid(list.field, "URL-3", err.Error())
				break
			}
		}
	}
	if c.InitiateLoginURI != "" {
		if err := urls.CheckLogin(c.InitiateLoginURI); err != nil {
			invalid("initiate_login_uri", "URL-2", err.Error())
		}
	}
	return errors.Join(append(problems, c.checkOrganizations())...)
}

// checkOrganizations checks how c uses organizations, and fills in what is empty.
func (c *Client) checkOrganizations() error {
	var problems []error
	invalid := func(field, text string) { problems = append(problems, &Invalid{field, "DIR-6", text}) }
	var err error
	if c.OrganizationUsage, err = checkUsage("DIR-6", c.OrganizationUsage); err != nil {
		problems = append(problems, err)
	}
	switch c.OrganizationRequireBehavior {
	case "":
		c.OrganizationRequireBehavior = NoPrompt
	case NoPrompt, PreLoginPrompt:
	case PostLoginPrompt:
		if !c.OIDCConformant {
			invalid("organization_require_behavior", "must not be post_login_prompt without oidc_conformant")
		}
	default:
		invalid("organization_require_behavior", "must be no_prompt, pre_login_prompt or post_login_prompt")
	}
	c.OrganizationDiscoveryMethods = unique(c.OrganizationDiscoveryMethods)
	for _, m := range c.OrganizationDiscoveryMethods {
		if m != "email" && m != "organization_name" {
			invalid("organization_discovery_methods", "must each be email or organization_name")
			break
		}
	}
	if d := c.DefaultOrganization; d != nil {
		if !validID("org_", d.OrganizationID) || !slices.Equal(d.Flows, []string{"client_credentials"}) {
			invalid("default_organization", "must have the id of an organization, and client_credentials as its only flow")
		}
		if c.OrganizationUsage != OrganizationRequire {
			invalid("default_organization", "must be empty where organization_usage is not require")
		}
	}
	return errors.Join(problems...)
}

func checkUsage(rule string, usage OrganizationUsage) (OrganizationUsage, error) {
	switch usage {
	case "":
		return OrganizationDeny, nil
	case OrganizationDeny, OrganizationAllow, OrganizationRequire:
		return usage, nil
	}
	return usage, &Invalid{"organization_usage", rule, "must be deny, allow or require"}
}

func checkGrantType(s string) error {
	if s == "" || len(s) > maxGrantType || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("must each be 1 to 255 ASCII characters without spaces")
	}
	return nil
}

// defaultOrganization checks that the default organization of c exists. Its scope is locked.
func (c *Client) defaultOrganization(ctx context.Context, tx *transaction) error {
	if c.DefaultOrganization == nil {
		return nil
	}
	_, err := organization(ctx, tx.sql, c.DefaultOrganization.OrganizationID)
	return err
}

// scopes returns the scopes of organizations that c names.
func (d *DefaultOrganization) scopes() []Scope {
	if d == nil || d.OrganizationID == "" {
		return nil
	}
	return []Scope{OrganizationScope(d.OrganizationID)}
}

// Create makes an application of c, whose Name must be given, and its principal (ClientPrincipal), which can be a member of
// organizations like a user. ID is generated when empty; a given one must never have been used in this store. The times of c are
// ignored.
//
// Errors: Invalid (DIR-5, DIR-6, URL-1 to URL-3), Conflict (id taken, as an application's or as that of a user who has the
// principal's name), NotFound (the default organization).
func (s *Clients) Create(ctx context.Context, c Client) (*Client, Result, error) {
	given := c
	if c.ID == "" {
		c.ID = newID("") + newID("") // 32 characters, as Auth0's
	}
	if d := c.DefaultOrganization; d != nil {
		c.DefaultOrganization = &DefaultOrganization{d.OrganizationID, slices.Clone(d.Flows)}
	}
	err := c.check()
	if !validClientID(c.ID) {
		err = errors.Join(err, &Invalid{"client_id", "DIR-5", "must be 1 to 64 of letters, digits, - and _, or empty to get a new one"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	principal := ClientPrincipal(c.ID)
	return create(ctx, s.e, call{"clients.create", given}, &c, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:clients"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ClientScope(c.ID), UserScope(principal)}, c.DefaultOrganization.scopes()); err != nil {
			return err
		}
		var taken int
		err := tx.sql.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM orgauthz_clients WHERE id = $1) +
			(SELECT COUNT(*) FROM orgauthz_users WHERE id = $2)`, c.ID, principal).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"client", "id"}
		}
		if err == nil {
			err = c.defaultOrganization(ctx, tx)
		}
		if err != nil {
			return err
		}
		if c.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		c.UpdatedAt = c.CreatedAt
		settings, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_clients (id, name, settings, secret, created_at, updated_at) VALUES ($1, $2, $3, '', $4, $4)`,
			c.ID, c.Name, string(settings), c.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_users (id, kind, email, name, blocked, created_at, updated_at) VALUES ($1, 'client', '', $2, 0, $3, $3)`,
			principal, c.Name, c.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, ClientScope(c.ID), "", "client.created", nil, &c); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(principal), "", "client.principal.created", nil, &principalState{c.Name})
	})
}

// principalState is what events show of the principal of an application.
type principalState struct {
	Name string `json:"name"`
}

// Get returns the application with this id. Errors: NotFound.
func (s *Clients) Get(ctx context.Context, id string) (*Client, error) {
	return read(ctx, s.e, func(q queryer) (*Client, error) { return client(ctx, q, id) })
}

var clientList = listing[*Client]{
	name:  "clients",
	query: `SELECT ` + clientColumns + ` FROM orgauthz_clients WHERE deleted_at IS NULL`,
	id:    "id",
	sorts: map[Sort]string{SortName: "name", SortCreated: "created_at"},
	scan:  scanClient,
	key: func(c *Client, by Sort) (any, string) {
		if by == SortName {
			return c.Name, c.ID
		}
		return c.CreatedAt.UnixMicro(), c.ID
	},
}

// List returns a page of the applications that opts admits, by id, name or created_at. A filter that nothing can match gives an
// empty page.
func (s *Clients) List(ctx context.Context, opts ClientListOptions) (Page[*Client], error) {
	l := clientList
	if opts.Connection != "" {
		l = l.where(`id IN (SELECT cc.client_id FROM orgauthz_connection_clients cc
			JOIN orgauthz_connections c ON c.id = cc.connection_id AND c.deleted_at IS NULL WHERE c.id = ?)`,
			validID("con_", opts.Connection), opts.Connection)
	}
	return l.read(ctx, s.e, opts.ListOptions)
}

// Update changes what u names.
//
// Errors: NotFound (client, the default organization), Invalid (DIR-5, DIR-6, URL-1 to URL-3, M2M-1: an application with a grant
// for any organization cannot become a third party's).
func (s *Clients) Update(ctx context.Context, id string, u ClientUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"clients.update", id, u}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:clients"); err != nil {
			return err
		}
		principal := ClientPrincipal(id)
		write := []Scope{ClientScope(id)}
		if u.Name != nil {
			write = append(write, UserScope(principal))
		}
		if err := tx.lock(ctx, write, u.DefaultOrganization.scopes()); err != nil {
			return err
		}
		before, err := client(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		c := *before
		u.apply(&c)
		if err := c.check(); err != nil {
			return err
		}
		was, err := json.Marshal(before)
		if err != nil {
			return err
		}
		is, err := json.Marshal(c)
		if err != nil || bytes.Equal(was, is) {
			return err
		}
		if u.DefaultOrganization != nil {
			if err := c.defaultOrganization(ctx, tx); err != nil {
				return err
			}
		}
		if before.FirstParty && !c.FirstParty {
			if err := noGrantForAny(ctx, tx, id); err != nil {
				return err
			}
		}
		if c.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if is, err = json.Marshal(c); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_clients SET name = $2, settings = $3, updated_at = $4 WHERE id = $1`,
			id, c.Name, string(is), c.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, ClientScope(id), "", "client.updated", before, &c); err != nil || c.Name == before.Name {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_users SET name = $2, updated_at = $3 WHERE id = $1`,
			principal, c.Name, c.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := renameMember(ctx, tx, principal, c.Name, ""); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(principal), "", "client.principal.updated", &principalState{before.Name}, &principalState{c.Name})
	})
}

func (u *ClientUpdate) apply(c *Client) {
	set(&c.Name, u.Name)
	set(&c.Description, u.Description)
	set(&c.FirstParty, u.FirstParty)
	set(&c.OIDCConformant, u.OIDCConformant)
	set(&c.ThirdPartySecurityMode, u.ThirdPartySecurityMode)
	set(&c.Callbacks, u.Callbacks)
	set(&c.AllowedOrigins, u.AllowedOrigins)
	set(&c.AllowedLogoutURLs, u.AllowedLogoutURLs)
	set(&c.InitiateLoginURI, u.InitiateLoginURI)
	set(&c.GrantTypes, u.GrantTypes)
	set(&c.OrganizationUsage, u.OrganizationUsage)
	set(&c.OrganizationRequireBehavior, u.OrganizationRequireBehavior)
	set(&c.OrganizationDiscoveryMethods, u.OrganizationDiscoveryMethods)
	if d := u.DefaultOrganization; d != nil {
		c.DefaultOrganization = nil
		if d.OrganizationID != "" {
			c.DefaultOrganization = d
		}
	}
}

// Delete ends the application at once: its grants, its use of connections, and its principal with all memberships. Its id is never
// given again. Deleting one that is not there changes nothing.
func (s *Clients) Delete(ctx context.Context, id string) (Result, error) {
	principal := ClientPrincipal(id)
	return s.e.mutate(ctx, call{"clients.delete", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:clients"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{ClientScope(id), UserScope(principal)}, nil); err != nil {
			return err
		}
		c, err := client(ctx, tx.sql, id)
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
			UPDATE orgauthz_clients SET settings = '{}', secret = '', updated_at = $2, deleted_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_connection_clients WHERE client_id = $1`, id); err != nil {
			return err
		}
		// Only who holds the principal's scope changes its grants, whose scopes come after it in the order of locks.
		if err := deleteGrants(ctx, tx, id); err != nil {
			return err
		}
		if err := deletePrincipal(ctx, tx, principal); err != nil {
			return err
		}
		if err := tx.raise(ctx, ClientScope(id), "", "client.deleted", c, nil); err != nil {
			return err
		}
		return tx.raise(ctx, UserScope(principal), "", "client.principal.deleted", &principalState{c.Name}, nil)
	})
}
