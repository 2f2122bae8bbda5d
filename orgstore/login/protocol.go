package login

// Protocol is how an application asks for a login.
type Protocol string

// The protocols. Organizations are for logins on a page of one's own identity provider with OpenID Connect: the others are
// refused for applications that allow organizations, each with its own error (rule PRO-1).
const (
	OpenIDConnect Protocol = ""         // authorization code, implicit and hybrid flows
	SAML          Protocol = "samlp"    // the application is a SAML service provider
	WSFederation  Protocol = "wsfed"    // the application is a WS-Federation relying party
	DeviceCode    Protocol = "device"   // RFC 8628
	Password      Protocol = "password" // resource owner password credentials, RFC 6749 section 4.3
	ClassicLogin  Protocol = "classic"  // a login page that asks for no organization
)

var unsupported = map[Protocol]*Error{
	SAML:         invalid("organizations are not supported with SAML towards the application"),
	WSFederation: invalid("organizations are not supported with WS-Federation towards the application"),
	DeviceCode:   {Code: UnauthorizedClient, Description: "organizations are not supported with the device flow"},
	Password:     {Code: UnauthorizedClient, Description: "organizations are not supported with the resource owner password grant"},
	ClassicLogin: invalid("organizations are not supported with the classic login page"),
}

// check returns why a login with p cannot be an organization's (rule PRO-1), or nil.
func (p Protocol) check() error {
	if p == OpenIDConnect {
		return nil
	}
	if err, ok := unsupported[p]; ok {
		return err
	}
	return invalid("organizations are not supported with this protocol")
}
