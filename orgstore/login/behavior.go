package login

import "github.com/orgauthz/orgauthz/orgstore"

// way is how a login goes.
type way struct {
	organization bool // in the context of the organization that was sent
	prompt       bool // the user is asked for an organization first
	picker       bool // the user picks an organization after the credentials
	personal     bool // the user may go without an organization
}

// decide is the table of organization_usage, organization_require_behavior and whether an organization was sent.
func decide(usage orgstore.OrganizationUsage, behavior orgstore.OrganizationPrompt, sent bool) (way, error) {
	switch {
	case usage != orgstore.OrganizationAllow && usage != orgstore.OrganizationRequire:
		if sent {
			return way{}, invalid("parameter organization is not allowed for this client")
		}
		return way{personal: true}, nil
	case sent:
		return way{organization: true}, nil
	case behavior == orgstore.PreLoginPrompt:
		return way{prompt: true, personal: usage == orgstore.OrganizationAllow}, nil
	case behavior == orgstore.PostLoginPrompt:
		return way{picker: true, personal: usage == orgstore.OrganizationAllow}, nil
	case usage == orgstore.OrganizationRequire:
		return way{}, invalid("parameter organization is required for this client")
	}
	return way{personal: true}, nil
}
