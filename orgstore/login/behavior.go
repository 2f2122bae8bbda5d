package login

// What an application makes of organizations (organization_usage).
const (
	UsageDeny    = "deny" // also when empty
	UsageAllow   = "allow"
	UsageRequire = "require"
)

// What happens when no organization was sent (organization_require_behavior).
const (
	NoPrompt        = "no_prompt" // also when empty
	PreLoginPrompt  = "pre_login_prompt"
	PostLoginPrompt = "post_login_prompt"
)

// way is how a login goes.
type way struct {
	organization bool // in the context of the organization that was sent
	prompt       bool // the user is asked for an organization first
	picker       bool // the user picks an organization after the credentials
	personal     bool // the user may go without an organization
}

// decide is the table of organization_usage, organization_require_behavior and whether an organization was sent.
func decide(usage, behavior string, sent bool) (way, error) {
	switch {
	case usage != UsageAllow && usage != UsageRequire:
		if sent {
			return way{}, invalid("parameter organization is not allowed for this client")
		}
		return way{personal: true}, nil
	case sent:
		return way{organization: true}, nil
	case behavior == PreLoginPrompt:
		return way{prompt: true, personal: usage == UsageAllow}, nil
	case behavior == PostLoginPrompt:
		return way{picker: true, personal: usage == UsageAllow}, nil
	case usage == UsageRequire:
		return way{}, invalid("parameter organization is required for this client")
	}
	return way{personal: true}, nil
}
