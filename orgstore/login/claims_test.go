package login

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

const (
	trips = "https://trips.example"
	rbac  = orgstore.DialectPermissions
)

// guide returns the facts of a guide of Rocky who logged in with a password and a second factor, and asks for an API with RBAC.
func guide(edit func(*Facts)) *Facts {
	now := time.Date(2026, 5, 4, 3, 2, 1, 999, time.UTC)
	f := &Facts{
		Client: &orgstore.Client{ID: "app", FirstParty: true, GrantTypes: []string{"refresh_token"}},
		Session: &orgstore.Session{
			ID: "ses_1", User: "auth0|jonno", ACR: "gold", AMR: []string{"mfa", "pwd"}, AuthenticatedAt: now.Add(-time.Minute),
		},
		Access: &orgstore.Access{
			Standing: orgstore.StandingMember, Principal: "auth0|jonno", Org: orgstore.AccessOrg{ID: "org_rocky", Name: "rocky"},
			Member: orgstore.AccessMember{
				Roles: []string{"guide"}, Permissions: []string{"read:trips", "read:secrets"},
				APIPermissions: map[string][]string{trips: {"sign:up"}, "https://other.example": {"write:trips"}},
			},
		},
		API: &orgstore.API{
			Identifier: trips, TokenLifetime: 600, RBAC: true, TokenDialect: rbac,
			Permissions: []orgstore.APIPermission{{Name: "read:trips"}, {Name: "sign:up"}, {Name: "write:trips"}},
		},
		Scope: "openid write:trips read:trips read:trips read:secrets", Nonce: "n", Now: now,
	}
	edit(f)
	return f
}

// machine makes f that of an application that acts for itself.
func machine(f *Facts) {
	f.Session, f.Grant = nil, &orgstore.ClientGrant{ClientID: "app", Audience: trips, Scopes: []string{"read:trips", "write:trips"}}
	f.Access.Principal, f.Scope = "app@clients", ""
}

func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	const whole = `"amr":["mfa","pwd"],"aud":"https://trips.example","auth_time":1777863661,"azp":"app","client_id":"app","exp":1777864321,"iat":1777863721`
	for _, tt := range []struct {
		name string
		edit func(*Facts)
		want string // without jti, acr, sid and sub, and for users without what whole has; none when there is no token
	}{
		{"TOK-1: org_id always, no name; TOK-2: permissions held, scope asked and permitted", func(*Facts) {},
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"],"scope":"openid read:trips"}`},
		{"TOK-1: org_name where the tenant allows names", func(f *Facts) { f.Names, f.Scope = true, "" },
			`{"org_id":"org_rocky","org_name":"rocky","permissions":["read:trips","sign:up"]}`},
		{"TOK-1: no organization", func(f *Facts) { f.Names, f.Access, f.Scope = true, nil, "read:trips openid" },
			`{"permissions":[],"scope":"openid"}`},
		{"TOK-2: permissions held nowhere are an empty list", func(f *Facts) { f.Access.Member = orgstore.AccessMember{} },
			`{"org_id":"org_rocky","permissions":[],"scope":"openid"}`},
		{"TOK-2: RBAC without the dialect", func(f *Facts) { f.API.TokenDialect = orgstore.DialectAccessToken },
			`{"org_id":"org_rocky","scope":"openid read:trips"}`},
		{"TOK-2: the dialect without RBAC; all that the API knows may be asked for", func(f *Facts) { f.API.RBAC = false },
			`{"org_id":"org_rocky","scope":"openid write:trips read:trips"}`},
		{"TOK-2: no RBAC, no organization", func(f *Facts) { f.API.RBAC, f.Access = false, nil }, `{"scope":"openid write:trips read:trips"}`},
		{"TOK-2: another API's permission of the same name", func(f *Facts) { f.API.Identifier = "https://third.example" },
			`{"aud":"https://third.example","org_id":"org_rocky","permissions":["read:trips"],"scope":"openid read:trips"}`},
		{"TOK-2: a permission that is called like a scope of OpenID Connect", func(f *Facts) {
			f.API.Permissions, f.Scope = append(f.API.Permissions, orgstore.APIPermission{Name: "email"}), "email profile"
		}, `{"org_id":"org_rocky","permissions":["read:trips","sign:up"],"scope":"profile"}`},
		{"TOK-3: roles by a URL", func(f *Facts) { f.RolesClaim, f.Scope = "https://travel0.example/roles", "" },
			`{"https://travel0.example/roles":["guide"],"org_id":"org_rocky","permissions":["read:trips","sign:up"]}`},
		{"TOK-3: no roles are an empty list", func(f *Facts) { f.RolesClaim, f.Access.Member = "roles", orgstore.AccessMember{} },
			`{"org_id":"org_rocky","permissions":[],"roles":[],"scope":"openid"}`},
		{"TOK-3: no organization, no roles", func(f *Facts) { f.RolesClaim, f.Access, f.API.RBAC, f.Scope = "roles", nil, false, "" }, `{}`},
		{"TOK-3: roles replace no claim", func(f *Facts) { f.RolesClaim, f.Scope = "org_id", "" },
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"]}`},
		{"TOK-3: roles are no claim that is left out", func(f *Facts) { f.RolesClaim, f.Scope = "org_name", "" },
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"]}`},
		{"TOK-5: not a member", func(f *Facts) { f.Access.Standing = orgstore.StandingNotMember }, ``},
		{"TOK-5: suspended", func(f *Facts) { f.Access.Standing = orgstore.StandingSuspended }, ``},
		{"TOK-5: no answer", func(f *Facts) { f.Access.Standing = orgstore.StandingUnknown }, ``},
		{"TOK-5: somebody else's access", func(f *Facts) { f.Access.Principal = "auth0|emilio" }, ``},
		{"TOK-5: nobody", func(f *Facts) { f.Session = nil }, ``},
		{"TOK-5: no API", func(f *Facts) { f.API = nil }, ``},
		{"TOK-8: offline_access for applications that refresh", func(f *Facts) { f.Scope = "offline_access" },
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"],"scope":"offline_access"}`},
		{"TOK-8: offline_access, an application that does not", func(f *Facts) { f.Scope, f.Client.GrantTypes = "offline_access", nil },
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"]}`},
		{"TOK-8: offline_access, admitted by a contract", func(f *Facts) { f.Scope, f.Access.Member.Via = "offline_access", orgstore.ViaContract },
			`{"org_id":"org_rocky","permissions":["read:trips","sign:up"]}`},
		{"M2M-2: an application", machine,
			`{"aud":"https://trips.example","azp":"app","client_id":"app","exp":1777864321,"gty":"client-credentials","iat":1777863721,` +
				`"org_id":"org_rocky","permissions":["read:trips","write:trips"],"scope":"read:trips write:trips"}`},
		{"M2M-2: asked for less", func(f *Facts) { machine(f); f.Scope, f.Names = "openid write:trips sign:up", true },
			`{"aud":"https://trips.example","azp":"app","client_id":"app","exp":1777864321,"gty":"client-credentials","iat":1777863721,` +
				`"org_id":"org_rocky","org_name":"rocky","permissions":["write:trips"],"scope":"write:trips"}`},
		{"M2M-2: its grant holds without RBAC too", func(f *Facts) { machine(f); f.API.RBAC, f.Access = false, nil },
			`{"aud":"https://trips.example","azp":"app","client_id":"app","exp":1777864321,"gty":"client-credentials","iat":1777863721,` +
				`"scope":"read:trips write:trips"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := guide(tt.edit)
			token := f.AccessToken()
			if token == nil || tt.want == "" {
				if token != nil || tt.want != "" {
					t.Fatalf("got %+v, want %s", token, tt.want)
				}
				return
			}
			if len(token.ID) != 26 || token.ID == f.AccessToken().ID {
				t.Errorf("jti %q is not random", token.ID)
			}
			want := map[string]any{"jti": token.ID, "sub": "app@clients"}
			add := func(text string) {
				if err := json.Unmarshal([]byte(text), &want); err != nil {
					t.Fatal(err)
				}
			}
			if f.Session != nil {
				add("{" + whole + `,"acr":"gold","sid":"ses_1","sub":"auth0|jonno"}`)
			}
			add(tt.want)
			same(t, token.Claims(), want)
		})
	}
}

func same(t *testing.T, got, want map[string]any) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestTokensHoldNoPersonalData(t *testing.T) {
	t.Parallel()
	f := guide(func(f *Facts) {
		f.Session.Device, f.Access.Member.Metadata = "a phone", map[string]string{"name": "Jonno"}
		f.Scope, f.Names, f.RolesClaim = "openid profile email address phone", true, "roles"
	})
	known := []string{
		"jti", "sub", "aud", "client_id", "azp", "iat", "exp", "sid", "auth_time", "acr", "amr", "org_id", "org_name", "scope",
		"permissions", "roles",
	}
	for name := range f.AccessToken().Claims() {
		if !slices.Contains(known, name) {
			t.Errorf("there is a claim %s", name)
		}
	}
}

func TestIDTokenClaims(t *testing.T) {
	t.Parallel()
	whole := map[string]any{
		"sub": "auth0|jonno", "aud": "app", "iat": 1777863721, "exp": 1777899721, "sid": "ses_1", "auth_time": 1777863661, "acr": "gold",
		"amr": []string{"mfa", "pwd"},
	}
	for _, tt := range []struct {
		name string
		edit func(*Facts)
		want map[string]any // besides whole; nil when there is no token
	}{
		{"TOK-1: org_id and nonce", func(*Facts) {}, map[string]any{"org_id": "org_rocky", "nonce": "n"}},
		{"TOK-1: org_name", func(f *Facts) { f.Names = true }, map[string]any{"org_id": "org_rocky", "org_name": "rocky", "nonce": "n"}},
		{"TOK-1: no organization", func(f *Facts) { f.Names, f.Access, f.Nonce = true, nil, "" }, map[string]any{}},
		{"TOK-1: its own lifetime", func(f *Facts) { f.IDTokenLifetime, f.Nonce = time.Minute, "" },
			map[string]any{"org_id": "org_rocky", "exp": 1777863781}},
		{"TOK-5: not a member", func(f *Facts) { f.Access.Standing = orgstore.StandingBlocked }, nil},
		{"TOK-5: a third party's application", func(f *Facts) { f.Client.FirstParty = false }, nil},
		{"TOK-5: a permissive third party's application", func(f *Facts) {
			f.Client.FirstParty, f.Client.ThirdPartySecurityMode = false, "permissive"
		}, map[string]any{"org_id": "org_rocky", "nonce": "n"}},
		{"M2M-2: an application", machine, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token := guide(tt.edit).IDToken()
			if token == nil || tt.want == nil {
				if token != nil || tt.want != nil {
					t.Fatalf("got %+v, want %v", token, tt.want)
				}
				return
			}
			want := maps.Clone(whole)
			maps.Copy(want, tt.want)
			same(t, token.Claims(), want)
		})
	}
}

func TestMatchOrganization(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		expected, id, other string
		want                bool
	}{
		{"TOK-4: the id", "org_Rocky", "org_Rocky", "", true},
		{"TOK-4: the id, whatever the name", "org_Rocky", "org_Rocky", "granite", true},
		{"TOK-4: an id's case counts", "org_rocky", "org_Rocky", "", false},
		{"TOK-4: another id with a name that looks like it", "org_Rocky", "org_Granite", "org_Rocky", false},
		{"TOK-4: an id, no org_id", "org_Rocky", "", "org_rocky", false},
		{"TOK-4: the beginning of an id", "org_Rock", "org_Rocky", "", false},
		{"TOK-4: the name", "rocky", "org_Rocky", "rocky", true},
		{"TOK-4: the name in another case", "ROCKY", "org_Rocky", "rocky", true},
		{"TOK-4: the name in another case in the token", "rocky", "", "Rocky", true},
		{"TOK-4: another name", "rocky", "org_Rocky", "granite", false},
		{"TOK-4: a name, no org_name", "rocky", "rocky", "", false},
		{"TOK-4: a name that is no name", "ORG_Rocky", "", "org_rocky", false},
		{"TOK-4: letters that only Unicode folds", "roc\u212ay", "", "rocky", false},
		{"TOK-4: invalid UTF-8", "a\xff", "", "a\xfe", false},
		{"TOK-4: nothing expected", "", "org_Rocky", "rocky", false},
		{"TOK-4: nothing at all", "", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := MatchOrganization(tt.expected, tt.id, tt.other); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
