package login

import (
	"cmp"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The ways in which a prompt finds an organization (organization_discovery_methods). An application that names none asks by name.
const (
	ByEmail = "email"
	ByName  = "organization_name"
)

// uses reports whether the application may be used with an organization.
func uses(c *orgstore.Client) bool {
	return c.OrganizationUsage == orgstore.OrganizationAllow || c.OrganizationUsage == orgstore.OrganizationRequire
}

// organization is what a login knows of an organization, for the client that asks.
type organization struct {
	Organization
	suspended bool
	security  *orgstore.SecurityPolicy
	landing   string // where those go who have accepted an invitation; empty for nowhere of its own
	// thirdParties admits applications of third parties (third_party_client_access is allow).
	thirdParties bool
	// entitlement says that applications need an association (is_app_entitlement_active); listed is whether this one has one,
	// and entitled what it says (use_for_member_access).
	entitlement, listed, entitled bool
}

// closed reports whether no login of c can be for o (rules ORG-6, APP-1).
func (o *organization) closed(c *orgstore.Client) bool {
	switch {
	case o.suspended:
		return true
	case !o.entitlement:
		return !c.FirstParty && !o.thirdParties
	case o.listed:
		return !o.entitled
	}
	return c.FirstParty || !o.thirdParties
}

func compareShown(a, b Organization) int {
	return cmp.Or(cmp.Compare(cmp.Or(a.DisplayName, a.Name), cmp.Or(b.DisplayName, b.Name)), cmp.Compare(a.ID, b.ID))
}
