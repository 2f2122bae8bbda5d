package auth0import

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

type client struct {
	ID          string   `json:"client_id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Global      bool     `json:"global"`
	FirstParty  *bool    `json:"is_first_party"`
	Conformant  bool     `json:"oidc_conformant"`
	Security    string   `json:"third_party_security_mode"`
	Callbacks   []string `json:"callbacks"`
	Origins     []string `json:"allowed_origins"`
	Logout      []string `json:"allowed_logout_urls"`
	Login       string   `json:"initiate_login_uri"`
	GrantTypes  []string `json:"grant_types"`
	Usage       string   `json:"organization_usage"`
	Behavior    string   `json:"organization_require_behavior"`
	Methods     []string `json:"organization_discovery_methods"`
	Default     *struct {
		Organization string   `json:"organization_id"`
		Flows        []string `json:"flows"`
	} `json:"default_organization"`
}

func (c *converter) readClients() error {
	err := c.items("clients.json", "clients", false, func(raw json.RawMessage) error {
		a, err := read(c, "client", func(a *client) string { return a.ID }, raw)
		if err != nil {
			return err
		}
		if a.Global {
			c.left("client", a.ID, "", "it is Auth0's own application")
			return nil
		}
		c.clients[a.ID] = true
		fit := func(field string, list []string, check func(string) error) []string {
			var good []string
			for _, v := range list {
				if err := check(v); err != nil {
					c.left("client", a.ID, field, "a URL "+err.Error())
					continue
				}
				good = append(good, v)
			}
			return good
		}
		if a.Login != "" && urls.CheckLogin(a.Login) != nil {
			c.left("client", a.ID, "initiate_login_uri", "it "+urls.CheckLogin(a.Login).Error())
			a.Login = ""
		}
		var organization any
		if d := a.Default; d != nil && c.has(c.orgs[d.Organization], "client", a.ID, "default_organization", "organization") {
			organization = d
		}
		return c.write("client", clean(record{
			"client_id": a.ID, "name": a.Name, "description": a.Description, "is_first_party": a.FirstParty == nil || *a.FirstParty,
			"oidc_conformant": a.Conformant, "third_party_security_mode": a.Security, "callbacks": fit("callbacks", a.Callbacks, urls.CheckRedirect),
			"allowed_origins":     fit("allowed_origins", a.Origins, urls.CheckOrigin),
			"allowed_logout_urls": fit("allowed_logout_urls", a.Logout, urls.CheckRedirect), "initiate_login_uri": a.Login,
			"grant_types": a.GrantTypes, "organization_usage": a.Usage, "organization_require_behavior": a.Behavior,
			"organization_discovery_methods": a.Methods, "default_organization": organization, "connections": c.uses[a.ID],
		}))
	})
	return err
}

type grant struct {
	ID       string   `json:"id"`
	Client   string   `json:"client_id"`
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
	Usage    string   `json:"organization_usage"`
	Any      bool     `json:"allow_any_organization"`
	Subject  string   `json:"subject_type"`
}

func (c *converter) readGrants() error {
	err := c.items("client-grants.json", "client_grants", false, func(raw json.RawMessage) error {
		g, err := read(c, "client grant", func(g *grant) string { return g.ID }, raw)
		if err != nil || !c.id("client grant", "cgr_", g.ID) {
			return err
		}
		if g.Subject == "user" {
			c.left("client grant", g.ID, "", "it is for users: grants here are for machines")
			return nil
		}
		known, ok := c.apis[g.Audience]
		if !c.has(ok, "client grant", g.ID, "", "resource server") || !c.has(c.clients[g.Client], "client grant", g.ID, "", "client") {
			return nil
		}
		var scope []string
		for _, p := range g.Scope {
			if c.has(known[p], "client grant", g.ID, "scope", "permission") {
				scope = append(scope, p)
			}
		}
		c.grants[g.ID] = true
		return c.write("client_grant", clean(record{
			"id": g.ID, "client_id": g.Client, "audience": g.Audience, "scope": scope, "organization_usage": g.Usage, "allow_any_organization": g.Any,
		}))
	})
	return err
}

type discoveryDomain struct {
	ID        string `json:"id"`
	Domain    string `json:"domain"`
	Status    string `json:"status"`
	Discovery bool   `json:"use_for_organization_discovery"`
	Text      string `json:"verification_txt"`
	Host      string `json:"verification_host"`
}

func (c *converter) domains(org string) error {
	err := c.items(path(org, "discovery-domains"), "domains", false, func(raw json.RawMessage) error {
		d, err := read(c, "discovery domain", func(d *discoveryDomain) string { return d.ID }, raw)
		if err != nil || !c.id("discovery domain", "ord_", d.ID) {
			return err
		}
		return c.write("discovery_domain", clean(record{
			"id": d.ID, "organization_id": org, "domain": d.Domain, "status": d.Status, "use_for_organization_discovery": d.Discovery,
			"verification_txt": d.Text,
		}))
	})
	return err
}

type enabledConnection struct {
	Connection string `json:"connection_id"`
	Assign     bool   `json:"assign_membership_on_login"`
	Button     *bool  `json:"show_as_button"`
	Signup     bool   `json:"is_signup_enabled"`
	Name       string `json:"organization_connection_name"`
	Access     string `json:"organization_access_level"`
	Enabled    *bool  `json:"is_enabled"`
}

func (c *converter) enabled(org string) error {
	err := c.items(path(org, "enabled_connections"), "enabled_connections", false, func(raw json.RawMessage) error {
		e, err := read(c, "enabled connection", func(e *enabledConnection) string { return org + " " + e.Connection }, raw)
		if err != nil || !c.has(c.connections[e.Connection] != "", "enabled connection", org+" "+e.Connection, "", "connection") {
			return err
		}
		return c.write("enabled_connection", clean(record{
			"organization_id": org, "connection_id": e.Connection, "assign_membership_on_login": e.Assign,
			"show_as_button": e.Button == nil || *e.Button, "is_signup_enabled": e.Signup, "organization_connection_name": e.Name,
			"organization_access_level": e.Access, "is_enabled": e.Enabled == nil || *e.Enabled,
		}))
	})
	return err
}

type organizationClient struct {
	Client string `json:"client_id"`
	Use    bool   `json:"use_for_member_access"`
}

func (c *converter) organizationClients(org string) error {
	err := c.items(path(org, "clients"), "clients", false, func(raw json.RawMessage) error {
		a, err := read(c, "organization client", func(a *organizationClient) string { return org + " " + a.Client }, raw)
		if err != nil || !c.has(c.clients[a.Client], "organization client", org+" "+a.Client, "", "client") {
			return err
		}
		return c.write("organization_client", record{"organization_id": org, "client_id": a.Client, "use_for_member_access": a.Use})
	})
	return err
}

type organizationGrant struct {
	ID    string `json:"id"`
	Grant string `json:"grant_id"` // as some versions call it
}

func (c *converter) organizationGrants(org string) error {
	err := c.items(path(org, "client-grants"), "client_grants", false, func(raw json.RawMessage) error {
		g, err := read(c, "organization grant", func(g *organizationGrant) string { return org + " " + g.ID + g.Grant }, raw)
		if err != nil {
			return err
		}
		if g.Grant == "" {
			g.Grant = g.ID
		}
		if !c.has(c.grants[g.Grant], "organization grant", org+" "+g.Grant, "", "client grant") {
			return nil
		}
		return c.write("organization_client_grant", record{"organization_id": org, "grant_id": g.Grant})
	})
	return err
}

type member struct {
	User    string  `json:"user_id"`
	Email   string  `json:"email"`
	Name    string  `json:"name"`
	Picture string  `json:"picture"`
	Roles   *[]role `json:"roles"`
}

func (c *converter) members(org string) error {
	err := c.items(path(org, "members"), "members", false, func(raw json.RawMessage) error {
		m, err := read(c, "member", func(m *member) string { return org + " " + m.User }, raw)
		if err != nil {
			return err
		}
		if !c.users[m.User] {
			c.users[m.User] = true
			c.left("user", m.User, "", "it is not in users.json: what the membership says of it was taken, which has no identities")
			if err := c.write("user", clean(record{"user_id": m.User, "email": m.Email, "name": m.Name, "picture": m.Picture})); err != nil {
				return err
			}
		}
		var roles []string
		if m.Roles != nil {
			for _, r := range *m.Roles {
				roles = append(roles, r.ID)
			}
		} else if err := c.items(path(org, "members", m.User, "roles"), "roles", false, func(raw json.RawMessage) error {
			r, err := read(c, "member role", func(r *role) string { return r.ID }, raw)
			if err == nil {
				roles = append(roles, r.ID)
			}
			return err
		}); err != nil {
			return err
		}
		held := []record{}
		for _, id := range c.known("member", org, org+" "+m.User, roles) {
			held = append(held, record{"role_id": id})
		}
		return c.write("member", clean(record{"organization_id": org, "user_id": m.User, "joined_by": "import", "roles": held}))
	})
	return err
}

type invitation struct {
	ID           string `json:"id"`
	Organization string `json:"organization_id"`
	Inviter      struct {
		Name string `json:"name"`
	} `json:"inviter"`
	Invitee struct {
		Email string `json:"email"`
	} `json:"invitee"`
	Client     string         `json:"client_id"`
	Connection string         `json:"connection_id"`
	App        map[string]any `json:"app_metadata"`
	Own        map[string]any `json:"user_metadata"`
	Roles      []string       `json:"roles"`
	CreatedAt  time.Time      `json:"created_at"`
	ExpiresAt  time.Time      `json:"expires_at"`
}

func (c *converter) invitations(org string) error {
	newest := map[string]bool{}
	err := c.items(path(org, "invitations"), "invitations", false, func(raw json.RawMessage) error {
		i, err := read(c, "invitation", func(i *invitation) string { return i.ID }, raw)
		if err != nil || !c.id("invitation", "uinv_", i.ID) || !c.has(c.clients[i.Client], "invitation", i.ID, "", "client") {
			return err
		}
		if i.Connection != "" && !c.has(c.connections[i.Connection] != "", "invitation", i.ID, "", "connection") {
			return nil
		}
		// The API returns the newest first.
		if email := strings.ToLower(i.Invitee.Email); newest[email] {
			c.left("invitation", i.ID, "", "there is a newer one for the same address")
			return nil
		} else {
			newest[email] = true
		}
		return c.write("invitation", clean(record{
			"id": i.ID, "organization_id": org, "status": "pending", "inviter": i.Inviter, "invitee": i.Invitee, "client_id": i.Client,
			"connection_id": i.Connection, "kind": "employee", "roles": c.known("invitation", org, i.ID, i.Roles), "app_metadata": i.App,
			"user_metadata": i.Own, "created_at": i.CreatedAt, "updated_at": i.CreatedAt, "expires_at": i.ExpiresAt,
		}))
	})
	return err
}
