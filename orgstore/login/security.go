package login

import (
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// permitted returns the connections that the organization's security policy lets logins come through (rule SEC-1).
func permitted(p *orgstore.SecurityPolicy, connections []Connection) []Connection {
	if p == nil || len(p.Connections) == 0 {
		return connections
	}
	return slices.DeleteFunc(slices.Clone(connections), func(c Connection) bool { return !slices.Contains(p.Connections, c.ID) })
}

// errNetwork refuses a network that the organization does not admit: another login from there would not help.
var errNetwork = denied("the organization does not admit logins from this network")

// unmet returns what an authentication lacks of what the organization demands (rule SEC-1), or nil. The codes are those of OpenID
// Connect Core section 3.1.2.6 and of OpenID Connect Core Error Code unmet_authentication_requirements.
func unmet(p *orgstore.SecurityPolicy, auth Authentication, now time.Time) error {
	switch {
	case p == nil:
		return nil
	case !p.Admits(auth.Address):
		return errNetwork
	case len(p.Connections) > 0 && !slices.Contains(p.Connections, auth.Connection):
		return denied("the connection is not allowed by the organization")
	case p.MFA && !slices.Contains(auth.AMR, "mfa") && (auth.ACR == "" || !slices.Contains(p.ACR, auth.ACR)):
		return &Error{Code: UnmetRequirements, Description: "the organization requires multi-factor authentication"}
	case !p.Knows(auth.AMR):
		return &Error{Code: UnmetRequirements, Description: "the organization requires another authentication method"}
	case p.MaxSession > 0 && !auth.At.IsZero() && now.Sub(auth.At) > p.MaxSession:
		return &Error{Code: LoginRequired, Description: "the organization requires a more recent login"}
	}
	return nil
}
