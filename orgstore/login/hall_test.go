package login

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// hall is a Service over an engine whose clock stands still.
type hall struct {
	*testing.T
	*Service
	ahead atomic.Int64
	begun time.Time
	ids   map[string]string // of organizations, connections and roles, by name
}

func (h *hall) now() time.Time { return h.begun.Add(time.Duration(h.ahead.Load())) }

func (h *hall) wait(d time.Duration) { h.ahead.Add(int64(d)) }

// allowNames lets the tenant allow names of organizations.
func (h *hall) allowNames() {
	h.Helper()
	h.done(h.engine.Tenant.Update(h.Context(), orgstore.TenantUpdate{OrganizationNames: new(true)}))
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{T: t, begun: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), ids: map[string]string{}}
	engine := open(t, orgstore.Config{Clock: h.now})
	var err error
	h.Service, err = New(engine, Config{Clock: h.now, RolesClaim: "roles"})
	h.ok(err)
	for name, strategy := range map[string]string{"travel0": "auth0", "granite-okta": "okta"} {
		c, _, err := engine.Connections.Create(t.Context(), orgstore.Connection{Name: name, Strategy: strategy, DomainConnection: true})
		h.ok(err)
		h.ids[name] = c.ID
	}
	for _, identifier := range []string{trips, "https://bare.example"} {
		_, _, err := engine.APIs.Create(t.Context(), orgstore.API{
			Identifier: identifier, TokenLifetime: 600, RBAC: true, TokenDialect: rbac,
			Permissions: []orgstore.APIPermission{{Name: "read:trips"}, {Name: "sign:up"}, {Name: "write:trips"}},
		})
		h.ok(err)
	}
	for name, permissions := range map[string][]string{"guide": {"read:trips", "sign:up"}, "host": {"write:trips"}} {
		r, _, err := engine.Roles.Create(t.Context(), orgstore.Role{Name: name, APIPermissions: map[string][]string{trips: permissions}})
		h.ok(err)
		h.ids[name] = r.ID
	}
	for _, name := range []string{"rocky", "granite", "adventurez", "suspended"} {
		o, _, err := engine.Organizations.Create(t.Context(), orgstore.Organization{Name: name}, orgstore.NewConnection{ConnectionID: h.ids["travel0"]})
		h.ok(err)
		h.ids[name] = o.ID
	}
	h.done(engine.EnabledConnections.Remove(t.Context(), h.ids["granite"], h.ids["travel0"]))
	_, _, err = engine.EnabledConnections.Add(t.Context(), h.ids["granite"], h.ids["granite-okta"], orgstore.EnabledConnectionSettings{})
	h.ok(err)
	// Emilio guides at Rocky, and is host of AdventureZ. Jonno is Rocky's only.
	for user, roles := range map[string]map[string]string{
		"emilio": {"rocky": "guide", "adventurez": "host", "granite": "guide", "suspended": "guide"}, "jonno": {"rocky": "guide"},
	} {
		_, _, err := engine.Users.Create(t.Context(), orgstore.User{ID: user})
		h.ok(err)
		for org, role := range roles {
			h.done(engine.Members.Add(t.Context(), h.ids[org], user, orgstore.MemberOptions{Roles: []string{h.ids[role]}}))
		}
	}
	h.done(engine.Organizations.Suspend(t.Context(), h.ids["suspended"]))
	_, _, err = engine.Clients.Create(t.Context(), orgstore.Client{
		ID: "app", Name: "Adventures", FirstParty: true, OrganizationUsage: orgstore.OrganizationAllow,
		GrantTypes: []string{"authorization_code", "refresh_token", "client_credentials"},
	})
	h.ok(err)
	h.wait(time.Minute)
	return h
}

func (h *hall) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *hall) done(_ orgstore.Result, err error) {
	h.Helper()
	h.ok(err)
}

// use sets how the application uses organizations.
func (h *hall) use(usage orgstore.OrganizationUsage) {
	h.Helper()
	h.done(h.engine.Clients.Update(h.Context(), "app", orgstore.ClientUpdate{OrganizationUsage: &usage}))
}

// demand sets an organization's security policy.
func (h *hall) demand(org string, p orgstore.SecurityPolicy) {
	h.Helper()
	h.done(h.engine.Organizations.SetSecurity(h.Context(), h.ids[org], &p))
}

// login begins a session through Travel0's database.
func (h *hall) login(user string) string {
	h.Helper()
	s, err := h.engine.Sessions.Create(h.Context(), orgstore.Session{
		User: user, Connection: h.ids["travel0"], Client: "app", ACR: "silver", AMR: []string{"pwd"},
	})
	h.ok(err)
	h.wait(time.Second)
	return s.ID
}

// id is the id of what has this name; what has none is its own.
func (h *hall) id(name string) string {
	if id, ok := h.ids[name]; ok {
		return id
	}
	return name
}

// told is an outcome in one line, with names for ids.
func (h *hall) told(t *Tokens, err error) string {
	h.Helper()
	var text string
	if refused, ok := errors.AsType[*Error](err); ok {
		text = refused.Code + ": " + refused.Description
		if refused.Again != nil {
			text += " [log in to " + refused.Again.Organization + "]"
		}
	} else if err != nil {
		return "unknown: " + err.Error()
	} else {
		if t.Access == nil {
			text = "no access token"
		} else {
			text = t.Access.OrgID + " " + t.Access.OrgName + "|" + t.Scope + "|" + strings.Join(t.Access.Permissions, " ")
		}
		if t.ID != nil {
			text += "|id"
			if t.Access != nil && t.ID.OrgID != t.Access.OrgID {
				h.Error("the tokens are of different organizations")
			}
		}
		if t.Refresh != "" {
			text += "|refresh"
		}
	}
	for name, id := range h.ids {
		text = strings.ReplaceAll(text, id, strings.ToUpper(name))
	}
	return text
}
