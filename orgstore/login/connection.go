package login

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Connection is a connection that a login can go through.
type Connection struct {
	orgstore.Connection
	SignUp bool // new users may sign up on the page of this login

	hidden bool // on no page: only reachable by its name and by e-mail domain
	jit    bool // assign_membership_on_login
}

// Label is what pages call the connection.
func (c *Connection) Label() string { return cmp.Or(c.DisplayName, c.Name) }

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
	slices.SortStableFunc(shown, func(a, b Connection) int { return cmp.Or(cmp.Compare(a.Label(), b.Label()), cmp.Compare(a.ID, b.ID)) })
	return shown
}

// byDomain returns the first enterprise connection that knows the users of an e-mail domain, in the order of their ids.
func byDomain(connections []Connection, domain string) (found Connection, ok bool) {
	for _, c := range connections {
		if c.Kind() == orgstore.ConnectionEnterprise && slices.Contains(c.Domains, domain) && (!ok || c.ID < found.ID) {
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
