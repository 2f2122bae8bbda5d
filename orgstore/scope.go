package orgstore

import "strconv"

// ScopeKind says what kind of thing a Scope is.
type ScopeKind uint8

// The kinds of scopes. The numbers are stored in databases and caches: they are never given to another kind.
const (
	ScopeOrganization ScopeKind = 1 // one organization: its name, status, metadata
	ScopeMembership   ScopeKind = 2 // one principal in one organization: being a member, roles held, metadata
	ScopeUser         ScopeKind = 3 // one user of the directory: existing, blocked, signed out everywhere
	ScopeRole         ScopeKind = 4 // one role: its name and permissions
	ScopeName         ScopeKind = 5 // one organization name: which organization it means
)

func (k ScopeKind) String() string {
	switch k {
	case ScopeOrganization:
		return "organization"
	case ScopeMembership:
		return "membership"
	case ScopeUser:
		return "user"
	case ScopeRole:
		return "role"
	case ScopeName:
		return "name"
	}
	return "scope(" + strconv.Itoa(int(k)) + ")"
}

// Scope is a thing whose change can change an answer. It is comparable, so that it can be a map key; two scopes are the
// same thing exactly when they are equal.
type Scope struct {
	Kind ScopeKind
	Org  string // organization id; only for ScopeMembership
	ID   string // organization id, principal, user id, role id or organization name, by Kind
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
