package login

import (
	"cmp"
	"slices"
	"strings"
)

// Kind is what kind of connection an identity comes from.
type Kind string

// The kinds of connections.
const (
	Database     Kind = "database"
	Social       Kind = "social"
	Enterprise   Kind = "enterprise"
	Passwordless Kind = "passwordless"
)

// enterprise holds the strategies that belong to customers' own identity providers.
var enterprise = []string{
	"ad", "adfs", "auth0-adldap", "google-apps", "ip", "office365", "oidc", "okta", "pingfederate", "samlp", "sharepoint", "waad",
}

// KindOf returns the kind of the connections with this strategy: the one before the first | of a user's id.
func KindOf(strategy string) Kind {
	switch {
	case strategy == "auth0":
		return Database
	case strategy == "email" || strategy == "sms":
		return Passwordless
	case slices.Contains(enterprise, strategy):
		return Enterprise
	}
	return Social
}

// Connection is a connection that a login can go through.
type Connection struct {
	ID       string
	Name     string // what the parameter connection names
	Strategy string
	Label    string // what to show: its display name, or else its name
	SignUp   bool   // new users may sign up (a database's)

	domains []string // e-mail domains whose users it knows (an enterprise's)
	hidden  bool     // on no page: only reachable by its name and by e-mail domain
	jit     bool     // assign_membership_on_login
}

// Kind is the kind of the connection.
func (c *Connection) Kind() Kind { return KindOf(c.Strategy) }

// named returns the connection with this name or id.
func named(connections []Connection, ref string) (Connection, bool) {
	i := slices.IndexFunc(connections, func(c Connection) bool { return c.Name == ref || c.ID == ref })
	if i < 0 {
		return Connection{}, false
	}
	return connections[i], true
}

// visible returns the connections to show on a page, in the order of their labels.
func visible(connections []Connection) []Connection {
	shown := slices.DeleteFunc(slices.Clone(connections), func(c Connection) bool { return c.hidden })
	slices.SortStableFunc(shown, func(a, b Connection) int { return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.ID, b.ID)) })
	return shown
}

// byDomain returns the first enterprise connection that knows the users of an e-mail domain, in the order of their ids.
func byDomain(connections []Connection, domain string) (found Connection, ok bool) {
	for _, c := range connections {
		if c.Kind() == Enterprise && slices.Contains(c.domains, domain) && (!ok || c.ID < found.ID) {
			found, ok = c, true
		}
	}
	return found, ok
}

// domainOf returns the domain of an e-mail address, in lower case. What is no address has none.
func domainOf(email string) string {
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" || strings.Contains(domain, "@") {
		return ""
	}
	return strings.ToLower(domain)
}
