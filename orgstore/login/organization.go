package login

import "cmp"

// The ways in which a prompt finds an organization (organization_discovery_methods). An application that names none asks by name.
const (
	ByEmail = "email"
	ByName  = "organization_name"
)

// client is what a login knows of the application.
type client struct {
	id              string
	usage, behavior string // organization_usage, organization_require_behavior
	methods         []string
	callbacks       []string
	thirdParty      bool
}

// uses reports whether the application may be used with an organization.
func (c *client) uses() bool { return c.usage == UsageAllow || c.usage == UsageRequire }

// organization is what a login knows of an organization, for the client that asks.
type organization struct {
	Organization
	suspended bool
	// thirdParties admits applications of third parties (third_party_client_access is allow).
	thirdParties bool
	// entitlement says that applications need an association (is_app_entitlement_active); listed is whether this one has one,
	// and entitled what it says (use_for_member_access).
	entitlement, listed, entitled bool
}

// closed reports whether no login of c can be for o (rules ORG-6, APP-1).
func (o *organization) closed(c *client) bool {
	switch {
	case o.suspended:
		return true
	case !o.entitlement:
		return c.thirdParty && !o.thirdParties
	case o.listed:
		return !o.entitled
	}
	return !c.thirdParty || !o.thirdParties
}

func compareShown(a, b Organization) int {
	return cmp.Or(cmp.Compare(cmp.Or(a.DisplayName, a.Name), cmp.Or(b.DisplayName, b.Name)), cmp.Compare(a.ID, b.ID))
}
