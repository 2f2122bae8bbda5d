package orgstore

import "strconv"

// ScopeKind says what kind of thing a Scope is.
type ScopeKind uint8

// The kinds of scopes. The numbers are stored in databases and caches: they are never given to another kind. Those
// that answers of Resolve are not computed from (see Answers) have revisions because every change has one.
const (
	ScopeOrganization ScopeKind = 1 // one organization: its name, status, metadata, parent, security policy, roles of groups
	ScopeMembership   ScopeKind = 2 // one principal in one organization: being a member, roles and teams, metadata, grants of a machine
	ScopeUser         ScopeKind = 3 // one principal of the directory: existing, blocked, groups, signed out everywhere
	ScopeRole         ScopeKind = 4 // one role: its name and permissions
	ScopeName         ScopeKind = 5 // one organization name: which organization it means
	ScopeTeam         ScopeKind = 6 // one team: its parent and roles
	ScopeContracts    ScopeKind = 7 // one organization as a host: the set of contracts that admit members into it
	ScopeContract     ScopeKind = 8 // one contract: its terms

	ScopeConnection             ScopeKind = 9  // one connection of the tenant
	ScopeClient                 ScopeKind = 10 // one application
	ScopeAPI                    ScopeKind = 11 // one API (resource server)
	ScopeClientGrant            ScopeKind = 12 // one client grant
	ScopeTenant                 ScopeKind = 13 // the settings of the tenant
	ScopeOrganizationConnection ScopeKind = 14 // one connection as it is enabled for one organization
	ScopeDomain                 ScopeKind = 15 // one discovery domain of one organization
	ScopeInvitation             ScopeKind = 16 // one invitation
	ScopeGroup                  ScopeKind = 17 // one group of an enterprise connection
	ScopeTemplate               ScopeKind = 18 // one page or e-mail template
	ScopeRequest                ScopeKind = 19 // one membership request
	ScopeSession                ScopeKind = 20 // one login session
	ScopeOrganizationClient     ScopeKind = 21 // one application's access to one organization
	ScopeAPIKey                 ScopeKind = 22 // one API key of one organization
)

// kinds says of each kind what it is called and which ids its scopes have.
var kinds = map[ScopeKind]struct {
	name string
	org  bool // scopes of this kind are of one organization each: Scope.Org holds its id
	id   func(string) bool
}{
	ScopeOrganization:           {"organization", false, idOf("org_")},
	ScopeMembership:             {"membership", true, validUserID},
	ScopeUser:                   {"user", false, validUserID},
	ScopeRole:                   {"role", false, idOf("rol_")},
	ScopeName:                   {"name", false, validName},
	ScopeTeam:                   {"team", false, idOf("team_")},
	ScopeContracts:              {"contracts", false, idOf("org_")},
	ScopeContract:               {"contract", false, idOf("ctr_")},
	ScopeConnection:             {"connection", false, idOf("con_")},
	ScopeClient:                 {"client", false, validClientID},
	ScopeAPI:                    {"api", false, validAPI},
	ScopeClientGrant:            {"client_grant", false, idOf("cgr_")},
	ScopeTenant:                 {"tenant", false, func(id string) bool { return id == tenantID }},
	ScopeOrganizationConnection: {"organization_connection", true, idOf("con_")},
	ScopeDomain:                 {"domain", true, idOf("ord_")},
	ScopeInvitation:             {"invitation", true, idOf("uinv_")},
	ScopeGroup:                  {"group", false, idOf("grp_")},
	ScopeTemplate:               {"template", false, validTemplateID},
	ScopeRequest:                {"request", true, idOf("req_")},
	ScopeSession:                {"session", false, idOf("ses_")},
	ScopeOrganizationClient:     {"organization_client", true, validClientID},
	ScopeAPIKey:                 {"api_key", true, idOf("key_")},
}

// Answers reports whether answers of Resolve are computed from scopes of this kind: a change of any other puts none out of date.
// Kinds that are not known are said to be.
func (k ScopeKind) Answers() bool { return k <= ScopeContract || k == ScopeGroup || k > ScopeAPIKey }

// tenantID is the id of the one ScopeTenant.
const tenantID = "tenant"

func idOf(prefix string) func(string) bool {
	return func(id string) bool { return validID(prefix, id) }
}

func (k ScopeKind) String() string {
	if kind, ok := kinds[k]; ok {
		return kind.name
	}
	return "scope(" + strconv.Itoa(int(k)) + ")"
}

// Scope is a thing whose change can change an answer. It is comparable, so that it can be a map key; two scopes are the
// same thing exactly when they are equal.
type Scope struct {
	Kind ScopeKind
	Org  string // organization id; only for kinds of things that one organization has, such as ScopeMembership
	ID   string // organization id, principal, user id, role id, organization name and so on, by Kind
}

// valid reports whether there can be such a thing. What cannot exist need not be locked, and may hold what a database refuses.
func (s Scope) valid() bool {
	kind, ok := kinds[s.Kind]
	return ok && kind.id(s.ID) && (kind.org && validID("org_", s.Org) || !kind.org && s.Org == "")
}

// OrganizationScope is the scope of one organization, by id.
func OrganizationScope(org string) Scope { return Scope{Kind: ScopeOrganization, ID: org} }

// MembershipScope is the scope of one principal in one organization, by ids.
func MembershipScope(org, principal string) Scope {
	return Scope{Kind: ScopeMembership, Org: org, ID: principal}
}

// UserScope is the scope of one user of the directory, by id.
func UserScope(user string) Scope { return Scope{Kind: ScopeUser, ID: user} }

// RoleScope is the scope of one role, by id.
func RoleScope(role string) Scope { return Scope{Kind: ScopeRole, ID: role} }

// NameScope is the scope of one organization name.
func NameScope(name string) Scope { return Scope{Kind: ScopeName, ID: name} }

// TeamScope is the scope of one team, by id.
func TeamScope(team string) Scope { return Scope{Kind: ScopeTeam, ID: team} }

// ContractsScope is the scope of the set of contracts that admit members into an organization, by the organization's id.
func ContractsScope(host string) Scope { return Scope{Kind: ScopeContracts, ID: host} }

// ContractScope is the scope of one contract, by id.
func ContractScope(contract string) Scope { return Scope{Kind: ScopeContract, ID: contract} }

// Revision is the state of one scope: a counter that every change of the scope raises by one. 0 means that the scope was
// found absent and has never been changed. Revisions stay below 2^53.
type Revision struct {
	Scope    Scope
	Revision uint64
}

// Vector is the set of revisions that an answer was computed from, or that a mutation raised: each scope once, in no
// particular order. An answer is out of date as soon as any of its scopes has moved on.
type Vector []Revision

// Of returns the revision of s in v, and whether v holds s.
func (v Vector) Of(s Scope) (uint64, bool) {
	for i := range v {
		if v[i].Scope == s {
			return v[i].Revision, true
		}
	}
	return 0, false
}

// Change is one raised scope of one committed mutation, as OnCommit tells it.
type Change struct {
	Scope    Scope
	Revision uint64 // the revision that the mutation raised Scope to
	ID       string // change id: common to all scopes that one transaction raised
	Type     string // event type, for example "organization.member.added"
}
