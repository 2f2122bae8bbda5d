package login

import (
	"cmp"
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Facts is what the claims of tokens are made of. Client and Now must be set; the rest as far as there is any.
type Facts struct {
	Client  *orgstore.Client
	Session *orgstore.Session     // of a user
	Grant   *orgstore.ClientGrant // of an application that acts for itself, instead of Session
	Access  *orgstore.Access      // what the user or the application is in the token's organization; nil outside of any
	API     *orgstore.API         // that the access token is for; nil for no access token
	Scope   string                // asked for, separated by spaces
	Nonce   string                // of the request to log in
	Now     time.Time

	Names           bool          // the tenant allows names of organizations (rule TOK-1)
	RolesClaim      string        // see Config
	IDTokenLifetime time.Duration // see Config
}

// AccessToken is what to sign as an access token (RFC 9068), without iss and personal data.
type AccessToken struct {
	ID       string // jti: 130 random bits
	Subject  string // sub
	Audience string // aud
	ClientID string // client_id
	OrgID    string // org_id; empty outside of any organization
	OrgName  string // org_name; empty where the tenant does not allow names
	Scope    string // scope, separated by spaces
	// Permissions are those of the API that the user holds in the organization, or that the application was granted: not nil only
	// where the API has RBAC on and takes them (rule TOK-2).
	Permissions []string
	IssuedAt    time.Time // iat, whole seconds
	Expiry      time.Time // exp, whole seconds: IssuedAt and the lifetime of the API's tokens

	// Extra are the other claims: azp, sid, auth_time, acr and amr of users, gty of applications, and roles by their configured
	// name.
	Extra map[string]any
}

// IDToken is what to sign as an ID token (OpenID Connect Core section 2), without iss. Claims about the user, such as name and
// e-mail address, are the embedder's to add as the scope allows.
type IDToken struct {
	Subject  string // sub
	ClientID string // aud
	Nonce    string // nonce
	OrgID    string // org_id; empty outside of any organization
	OrgName  string // org_name; empty where the tenant does not allow names
	IssuedAt time.Time
	Expiry   time.Time
	Extra    map[string]any // sid, auth_time, acr and amr
}

// The scopes of OpenID Connect Core sections 5.4 and 11, which need no permission of an API.
var openIDScopes = []string{"openid", "profile", "email", "address", "phone", offlineAccess}

const (
	offlineAccess = "offline_access"
	usualIDToken  = 10 * time.Hour
)

// AccessToken returns the access token that f is good for; nil where that is none: without an API, without a user or an
// application, and where Access does not say member.
func (f *Facts) AccessToken() *AccessToken {
	if f.API == nil || !f.member() {
		return nil
	}
	t := &AccessToken{
		ID: rand.Text(), Subject: f.subject(), Audience: f.API.Identifier, ClientID: f.Client.ID,
		Scope: strings.Join(f.scope(), " "), IssuedAt: f.Now.UTC().Truncate(time.Second), Extra: map[string]any{},
	}
	t.Expiry = t.IssuedAt.Add(time.Duration(f.API.TokenLifetime) * time.Second)
	t.OrgID, t.OrgName = f.organization()
	if f.API.RBAC && f.API.TokenDialect == orgstore.DialectPermissions {
		t.Permissions = f.permitted()
		if f.Grant != nil {
			t.Permissions = f.scope()
		}
	}
	if f.RolesClaim != "" && f.Access != nil {
		t.Extra[f.RolesClaim] = append([]string{}, f.Access.Member.Roles...)
	}
	for _, name := range []string{"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "org_id", "org_name", "scope", "permissions"} {
		delete(t.Extra, name)
	}
	maps.Copy(t.Extra, f.authentication())
	t.Extra["azp"] = f.Client.ID
	if f.Grant != nil {
		t.Extra["gty"] = "client-credentials"
	}
	return t
}

// Claims returns all claims of the token but iss. Claims that the token has not are left out.
func (t *AccessToken) Claims() map[string]any {
	c := maps.Clone(t.Extra)
	maps.Copy(c, map[string]any{
		"jti": t.ID, "sub": t.Subject, "aud": t.Audience, "client_id": t.ClientID, "iat": t.IssuedAt.Unix(), "exp": t.Expiry.Unix(),
	})
	setTexts(c, map[string]string{"org_id": t.OrgID, "org_name": t.OrgName, "scope": t.Scope})
	if t.Permissions != nil {
		c["permissions"] = t.Permissions
	}
	return c
}

// IDToken returns the ID token that f is good for; nil where that is none: for an application that acts for itself, and for one
// of a third party whose ThirdPartySecurityMode is not permissive.
func (f *Facts) IDToken() *IDToken {
	if f.Session == nil || !f.member() || !f.Client.FirstParty && f.Client.ThirdPartySecurityMode != "permissive" {
		return nil
	}
	t := &IDToken{
		Subject: f.subject(), ClientID: f.Client.ID, Nonce: f.Nonce, IssuedAt: f.Now.UTC().Truncate(time.Second), Extra: f.authentication(),
	}
	t.Expiry = t.IssuedAt.Add(cmp.Or(f.IDTokenLifetime, usualIDToken))
	t.OrgID, t.OrgName = f.organization()
	return t
}

// Claims returns all claims of the token but iss. Claims that the token has not are left out.
func (t *IDToken) Claims() map[string]any {
	c := maps.Clone(t.Extra)
	maps.Copy(c, map[string]any{"sub": t.Subject, "aud": t.ClientID, "iat": t.IssuedAt.Unix(), "exp": t.Expiry.Unix()})
	setTexts(c, map[string]string{"nonce": t.Nonce, "org_id": t.OrgID, "org_name": t.OrgName})
	return c
}

func setTexts(c map[string]any, texts map[string]string) {
	for name, text := range texts {
		if text != "" {
			c[name] = text
		}
	}
}

// member reports whether there is somebody whom Access, if there is one, is of and calls a member.
func (f *Facts) member() bool {
	subject := f.subject()
	return subject != "" && (f.Access == nil || f.Access.Standing == orgstore.StandingMember && f.Access.Principal == subject)
}

func (f *Facts) subject() string {
	switch {
	case f.Grant != nil:
		return orgstore.ClientPrincipal(f.Client.ID)
	case f.Session != nil:
		return f.Session.User
	}
	return ""
}

// organization returns org_id and org_name.
func (f *Facts) organization() (id, name string) {
	switch {
	case f.Access == nil:
		return "", ""
	case f.Names:
		name = f.Access.Org.Name
	}
	return f.Access.Org.ID, name
}

// authentication returns the claims about how and when the user logged in.
func (f *Facts) authentication() map[string]any {
	c := map[string]any{}
	if s := f.Session; s != nil {
		setTexts(c, map[string]string{"sid": s.ID, "acr": s.ACR})
		if !s.AuthenticatedAt.IsZero() {
			c["auth_time"] = s.AuthenticatedAt.Unix()
		}
		if len(s.AMR) > 0 {
			c["amr"] = slices.Clone(s.AMR)
		}
	}
	return c
}

// permitted returns the permissions of the API that are permitted: by RBAC those that the user holds in the organization, without
// it all, and to an application those of its grant. It is never nil.
func (f *Facts) permitted() []string {
	permitted := []string{}
	if f.API == nil {
		return permitted
	}
	for _, p := range f.API.Permissions {
		switch {
		case f.Grant != nil:
			if !slices.Contains(f.Grant.Scopes, p.Name) {
				continue
			}
		case f.API.RBAC:
			if f.Access == nil || !f.Access.Member.HasFor(f.API.Identifier, p.Name) {
				continue
			}
		}
		permitted = append(permitted, p.Name)
	}
	return permitted
}

// scope returns what is granted of the scope that was asked for, in its order (rule TOK-2). An application that acts for itself and
// asks for nothing gets all that it may have.
func (f *Facts) scope() []string {
	permitted := f.permitted()
	asked := strings.Fields(f.Scope)
	if f.Grant != nil && len(asked) == 0 {
		return permitted
	}
	granted := []string{}
	for _, s := range asked {
		if !slices.Contains(granted, s) && (slices.Contains(permitted, s) || f.openID(s)) {
			granted = append(granted, s)
		}
	}
	return granted
}

// openID reports whether s is a scope of OpenID Connect that is granted without a permission. A permission that an API calls the
// same is the API's.
func (f *Facts) openID(s string) bool {
	return f.Grant == nil && slices.Contains(openIDScopes, s) && (s != offlineAccess || f.offline()) &&
		(f.API == nil || !slices.ContainsFunc(f.API.Permissions, func(p orgstore.APIPermission) bool { return p.Name == s }))
}

// offline reports whether the application may have refresh tokens. They hang on a session that has entered the organization, which
// only members do: who is admitted by a contract, or from an organization above, logs in again.
func (f *Facts) offline() bool {
	return slices.Contains(f.Client.GrantTypes, "refresh_token") && (f.Access == nil || f.Access.Member.Via == "")
}

// MatchOrganization reports whether a token is of the organization that its consumer expects, an id or a name (rule TOK-4): orgID
// and orgName are its claims org_id and org_name, empty where it has none. An expected "org_…" is compared with the id alone, byte
// for byte; anything else with the name alone, without regard to the case of ASCII letters. Names move when organizations are
// renamed: expect ids where there is a choice. Whoever expects nothing matches nothing.
func MatchOrganization(expected, orgID, orgName string) bool {
	if orgstore.IsOrganizationID(expected) {
		return expected == orgID
	}
	name := lower(orgName)
	return name != "" && !orgstore.IsOrganizationID(name) && lower(expected) == name
}

// lower changes ASCII letters only: elsewhere two characters may have one lower case.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
