package auth0import

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Convert reads the files of a tenant, as the documentation of the package names them, and writes what orgstore.Engine.Import reads.
//
// The error is an *Error for a file that is not as the API returns it: cut off, another shape, a field of another type. Fields that
// are not known are no error, but in the Report. The Report is there also when Convert fails.
func Convert(files fs.FS, w io.Writer) (*Report, error) {
	c := &converter{
		files: files, counts: map[string]int64{}, lefts: map[Left]*Left{}, fields: map[reflect.Type]map[string]bool{},
		apis: map[string]map[string]bool{}, roles: map[string]string{}, connections: map[string]string{}, byName: map[string]string{},
		uses: map[string][]string{}, clients: map[string]bool{}, grants: map[string]bool{}, users: map[string]bool{}, orgs: map[string]bool{},
	}
	var err error
	if c.w, err = orgstore.NewExportWriter(w); err != nil {
		return c.report(), err
	}
	for _, step := range []func() error{
		c.readAPIs, c.tenantRoles, c.readConnections, c.organizations, c.readClients, c.readGrants, c.readUsers, c.insides,
	} {
		if err := step(); err != nil {
			return c.report(), err
		}
	}
	return c.report(), c.w.Close()
}

type converter struct {
	files  fs.FS
	w      *orgstore.ExportWriter
	counts map[string]int64
	lefts  map[Left]*Left
	fields map[reflect.Type]map[string]bool

	apis        map[string]map[string]bool // permissions by identifier
	roles       map[string]string          // the organization of each role, empty for the tenant's
	ownRoles    []role                     // of organizations
	connections map[string]string          // strategies by id
	byName      map[string]string          // ids of connections by name
	uses        map[string][]string        // ids of connections by client
	clients     map[string]bool
	grants      map[string]bool
	users       map[string]bool
	orgs        map[string]bool
	orgList     []string
}

func (c *converter) write(typ string, value any) error {
	c.counts[typ]++
	return c.w.Write(typ, value)
}

// id checks the id of something, and notes when it cannot be taken over.
func (c *converter) id(kind, prefix, id string) bool {
	rest, ok := strings.CutPrefix(id, prefix)
	ok = ok && len(rest) == 16 && strings.Trim(strings.ToLower(rest), "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	if !ok {
		c.left(kind, id, "", "its id is not "+prefix+" and 16 letters and digits")
	}
	return ok
}

// has notes when something refers to what was not carried over.
func (c *converter) has(ok bool, kind, id, field, what string) bool {
	if !ok {
		c.left(kind, id, field, "there is no such "+what+" in the files, or it was left out")
	}
	return ok
}

type record = map[string]any

// clean leaves out what is empty.
func clean(r record) record {
	for key, value := range r {
		v := reflect.ValueOf(value)
		switch v.Kind() {
		case reflect.Bool: // false says something
		case reflect.Slice, reflect.Map:
			if v.Len() == 0 {
				delete(r, key)
			}
		default:
			if !v.IsValid() || v.IsZero() {
				delete(r, key)
			}
		}
	}
	return r
}

type resourceServer struct {
	Identifier string `json:"identifier"`
	Name       string `json:"name"`
	System     bool   `json:"is_system"`
	Scopes     []struct {
		Value       string `json:"value"`
		Description string `json:"description"`
	} `json:"scopes"`
	Lifetime int    `json:"token_lifetime"`
	Enforce  bool   `json:"enforce_policies"`
	Dialect  string `json:"token_dialect"`
}

func (c *converter) readAPIs() error {
	err := c.items("resource-servers.json", "resource_servers", false, func(raw json.RawMessage) error {
		a, err := read(c, "resource server", func(a *resourceServer) string { return a.Identifier }, raw)
		if err != nil {
			return err
		}
		if a.System {
			c.left("resource server", a.Identifier, "", "it is Auth0's own API")
			return nil
		}
		known := map[string]bool{}
		scopes := []record{}
		for _, s := range a.Scopes {
			known[s.Value] = true
			scopes = append(scopes, clean(record{"value": s.Value, "description": s.Description}))
		}
		c.apis[a.Identifier] = known
		dialect := orgstore.DialectAccessToken
		if strings.HasSuffix(a.Dialect, "_authz") {
			dialect = orgstore.DialectPermissions
		}
		if a.Dialect != "" && a.Dialect != string(dialect) {
			c.left("resource server", a.Identifier, "token_dialect", "became "+string(dialect))
		}
		return c.write("api", clean(record{
			"identifier": a.Identifier, "name": a.Name, "scopes": scopes, "token_lifetime": a.Lifetime, "enforce_policies": a.Enforce,
			"token_dialect": dialect,
		}))
	})
	return err
}

type role struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Type        string `json:"type"`
	Owner       string `json:"owner_id"`
}

type permission struct {
	API  string `json:"resource_server_identifier"`
	Name string `json:"permission_name"`
}

func (c *converter) tenantRoles() error {
	err := c.items("roles.json", "roles", false, func(raw json.RawMessage) error {
		r, err := read(c, "role", func(r *role) string { return r.ID }, raw)
		if err != nil || !c.id("role", "rol_", r.ID) {
			return err
		}
		if r.Owner != "" {
			c.ownRoles = append(c.ownRoles, *r)
			return nil
		}
		permissions, err := c.permissions(r.ID)
		if err != nil {
			return err
		}
		c.roles[r.ID] = ""
		return c.write("role", clean(record{"id": r.ID, "name": r.Name, "description": r.Description, "api_permissions": permissions}))
	})
	return err
}

func (c *converter) permissions(role string) (map[string][]string, error) {
	all := map[string][]string{}
	err := c.items("roles/"+role+"/permissions.json", "permissions", false, func(raw json.RawMessage) error {
		p, err := read(c, "permission", func(p *permission) string { return p.Name }, raw)
		if err != nil {
			return err
		}
		if c.has(c.apis[p.API][p.Name], "permission", role, "", "permission of a resource server") {
			all[p.API] = append(all[p.API], p.Name)
		}
		return nil
	})
	return all, err
}

type connection struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Strategy    string   `json:"strategy"`
	DisplayName string   `json:"display_name"`
	Domain      bool     `json:"is_domain_connection"`
	Clients     []string `json:"enabled_clients"`
	Options     struct {
		Domains       []string `json:"domain_aliases"`
		DisableSignup bool     `json:"disable_signup"`
	} `json:"options"`
}

func (c *converter) readConnections() error {
	err := c.items("connections.json", "connections", false, func(raw json.RawMessage) error {
		n, err := read(c, "connection", func(n *connection) string { return n.ID }, raw)
		if err != nil || !c.id("connection", "con_", n.ID) {
			return err
		}
		c.connections[n.ID], c.byName[n.Name] = n.Strategy, n.ID
		for _, client := range n.Clients {
			c.uses[client] = append(c.uses[client], n.ID)
		}
		of := orgstore.Connection{Strategy: n.Strategy}
		if of.Kind() != orgstore.ConnectionEnterprise && len(n.Options.Domains) > 0 {
			c.left("connection", n.ID, "options.domain_aliases", "only enterprise connections have domains")
			n.Options.Domains = nil
		}
		signup := of.Kind() == orgstore.ConnectionDatabase && !n.Options.DisableSignup
		return c.write("connection", clean(record{
			"id": n.ID, "name": n.Name, "strategy": n.Strategy, "display_name": n.DisplayName, "domain_aliases": n.Options.Domains,
			"is_signup_enabled": signup, "is_domain_connection": n.Domain,
		}))
	})
	return err
}

type organization struct {
	ID          string                `json:"id"`
	Name        string                `json:"name"`
	DisplayName string                `json:"display_name"`
	Branding    *orgstore.Branding    `json:"branding"`
	Metadata    map[string]string     `json:"metadata"`
	Quota       json.RawMessage       `json:"token_quota"`
	ThirdParty  orgstore.ClientAccess `json:"third_party_client_access"`
	Entitlement bool                  `json:"is_app_entitlement_active"`
}

func (c *converter) organizations() error {
	err := c.items("organizations.json", "organizations", false, func(raw json.RawMessage) error {
		o, err := read(c, "organization", func(o *organization) string { return o.ID }, raw)
		if err != nil || !c.id("organization", "org_", o.ID) {
			return err
		}
		c.orgs[o.ID], c.orgList = true, append(c.orgList, o.ID)
		if string(o.Quota) == "null" {
			o.Quota = nil
		}
		return c.write("organization", clean(record{
			"id": o.ID, "name": o.Name, "display_name": o.DisplayName, "branding": o.Branding, "metadata": o.Metadata, "token_quota": o.Quota,
			"third_party_client_access": o.ThirdParty, "is_app_entitlement_active": o.Entitlement,
		}))
	})
	return err
}

type user struct {
	ID            string         `json:"user_id"`
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	Name          string         `json:"name"`
	Picture       string         `json:"picture"`
	Blocked       bool           `json:"blocked"`
	App           map[string]any `json:"app_metadata"`
	Own           map[string]any `json:"user_metadata"`
	CreatedAt     time.Time      `json:"created_at"`
	UpdatedAt     time.Time      `json:"updated_at"`
	Identities    []struct {
		Connection string `json:"connection"`
		Provider   string `json:"provider"`
		UserID     any    `json:"user_id"`
		Profile    struct {
			Email         string `json:"email"`
			EmailVerified bool   `json:"email_verified"`
		} `json:"profileData"`
	} `json:"identities"`
}

func (c *converter) readUsers() error {
	err := c.items("users.json", "users", true, func(raw json.RawMessage) error {
		u, err := read(c, "user", func(u *user) string { return u.ID }, raw)
		if err != nil {
			return err
		}
		c.users[u.ID] = true
		var identities []record
		for n, i := range u.Identities {
			con, ok := c.byName[i.Connection]
			id, text := i.UserID.(string)
			if number, is := i.UserID.(float64); is {
				id, text = strings.TrimSuffix(jsonNumber(number), ".0"), true
			}
			if !c.has(ok, "user", u.ID, "identities", "connection") || !c.has(text && id != "", "user", u.ID, "identities", "account") {
				continue
			}
			if n == 0 {
				identities = append(identities, clean(record{"connection_id": con, "user_id": id, "email": u.Email,
					"email_verified": u.EmailVerified && u.Email != ""}))
				continue
			}
			identities = append(identities, clean(record{"connection_id": con, "user_id": id, "linked_from": i.Provider + "|" + id,
				"email": i.Profile.Email, "email_verified": i.Profile.EmailVerified && i.Profile.Email != ""}))
		}
		return c.write("user", clean(record{
			"user_id": u.ID, "email": u.Email, "email_verified": u.EmailVerified && u.Email != "", "name": u.Name, "picture": u.Picture,
			"blocked": u.Blocked, "app_metadata": u.App, "user_metadata": u.Own, "created_at": u.CreatedAt, "updated_at": u.UpdatedAt,
			"identities": identities,
		}))
	})
	return err
}

func jsonNumber(f float64) string {
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(text)
}

// insides converts what organizations have.
func (c *converter) insides() error {
	for _, org := range c.orgList {
		for _, step := range []func(string) error{
			c.organizationRoles, c.domains, c.enabled, c.organizationClients, c.organizationGrants, c.members, c.invitations,
		} {
			if err := step(org); err != nil {
				return err
			}
		}
	}
	for _, r := range c.ownRoles {
		c.has(c.orgs[r.Owner], "role", r.ID, "", "organization")
	}
	return nil
}

func (c *converter) organizationRoles(org string) error {
	for _, r := range c.ownRoles {
		if r.Owner != org {
			continue
		}
		permissions, err := c.permissions(r.ID)
		if err != nil {
			return err
		}
		if len(permissions) > 0 {
			c.left("role", r.ID, "permissions", "roles of organizations have a template here, whose permissions bound theirs: give it one")
		}
		name := r.Name
		if !strings.HasPrefix(name, "org:") {
			name = "org:" + name
			c.left("role", r.ID, "name", "names of organizations' roles begin with org: here")
		}
		c.roles[r.ID] = org
		if err := c.write("role", clean(record{"id": r.ID, "organization_id": org, "name": name, "description": r.Description})); err != nil {
			return err
		}
	}
	return nil
}

// known returns those of roles that members of org can hold.
func (c *converter) known(kind, org, id string, roles []string) []string {
	return slices.DeleteFunc(roles, func(role string) bool {
		of, ok := c.roles[role]
		return !c.has(ok && (of == "" || of == org), kind, id, "roles", "role")
	})
}

// path is the name of a file of an organization.
func path(org string, names ...string) string {
	for i := range names {
		names[i] = url.PathEscape(names[i])
	}
	return "organizations/" + org + "/" + strings.Join(names, "/") + ".json"
}
