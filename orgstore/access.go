package orgstore

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Resolver answers what a principal is in an organization. It is the read port of the hot path: the Engine is one,
// cached.Store is one in front of any other, and a team whose organizations live elsewhere writes its own.
//
// Resolve returns an Access for every question that can be answered, a "no" included: see Access.Standing. An error means
// that the answer is not known (errors.Is ErrUnavailable, or the context's error) and must be refused, never guessed.
// The Access may be shared between callers: nobody changes it.
type Resolver interface {
	Resolve(ctx context.Context, q Query) (*Access, error)
}

// Query asks for one principal in one organization.
type Query struct {
	Org       string // organization id when it starts with "org_", else an organization name
	Principal string // user id, or the subject of a machine's token

	// AtLeast holds revisions that the answer must have seen: the Revision of a mutation's Result. Nil asks for none.
	AtLeast Vector
	// Strong asks for an answer that was read from the source after the call began.
	Strong bool
}

// IsOrganizationID reports whether ref is to be read as an organization's id rather than its name (rule ORG-1: no name
// starts with "org_").
func IsOrganizationID(ref string) bool { return strings.HasPrefix(ref, "org_") }

// Standing is what a principal is in an organization. The zero value is no answer at all and grants nothing.
type Standing uint8

// The standings. Only StandingMember lets a request go on to the policy.
const (
	StandingUnknown         Standing = iota // no answer; never returned without an error
	StandingMember                          // an active member of an active organization
	StandingNotMember                       // the organization is there, the principal is no member of it
	StandingBlocked                         // a member, but the user is blocked (rule MEM-3)
	StandingSuspended                       // the organization is suspended (rule ORG-6)
	StandingNoOrganization                  // no such organization, or deleted (rule ORG-5)
	StandingMemberSuspended                 // the membership is suspended (rule LIFE-1)
)

func (s Standing) String() string {
	switch s {
	case StandingMember:
		return "member"
	case StandingNotMember:
		return "not_member"
	case StandingBlocked:
		return "blocked"
	case StandingSuspended:
		return "suspended"
	case StandingNoOrganization:
		return "no_organization"
	case StandingMemberSuspended:
		return "member_suspended"
	}
	return "unknown"
}

// Access is what one principal is and may do in one organization, as one snapshot of the store had it. It is immutable.
//
// Unless Standing is StandingMember, only Principal, Vector, AsOf and ValidUntil are sure to be set.
type Access struct {
	Standing  Standing
	Principal string // as asked for

	Org    AccessOrg
	Member AccessMember

	// TokensValidAfter refuses tokens that were issued at or before it ("sign out everywhere", rule TOK-7). Zero refuses none.
	TokensValidAfter time.Time

	// Vector holds every scope that was read or found absent, with its revision in the snapshot.
	Vector Vector
	// AsOf is the local instant before the snapshot was taken. Copies inherit it: it is the age of the answer.
	AsOf time.Time
	// ValidUntil is the next instant at which the answer changes by time alone. Zero means never.
	ValidUntil time.Time
}

// AccessOrg is the organization of an Access.
type AccessOrg struct {
	ID       string // "org_…"
	Name     string
	Status   OrganizationStatus // its own; one above it may be suspended
	Metadata map[string]string
	// Security is what the organization demands of logins (rule SEC-1); nil for nothing.
	Security *SecurityPolicy
	// Shares are the data that the contracts which admit the principal share with the principal's own organization. Nil for
	// whoever is admitted by no contract (rule CTR-2).
	Shares []AccessShare
}

// AccessMember is the membership of an Access.
type AccessMember struct {
	Kind        string   // employee, freelancer, guest or other (rule MEM-4); guest by a contract, machine for applications
	Roles       []string // names of the roles that count in this organization, sorted, each once
	Permissions []string // union of the permissions of these roles that count for every API, sorted, each once (rule ROL-5)
	// APIPermissions are permissions that count for one API alone, by its identifier, sorted, each once.
	APIPermissions map[string][]string
	Metadata       map[string]string // of the membership; nil for whoever is no member
	// Via says what admits a principal that is no member of the organization; empty for members.
	Via Via
	// Contracts are those that admit the principal, by id; nil unless Via is ViaContract.
	Contracts []AccessContract
}

// Via is what admits a principal that is no member.
type Via string

// What can admit a principal that is no member.
const (
	ViaAncestor Via = "ancestor" // a role that is held above and counts below (rule TREE-4)
	ViaContract Via = "contract" // a contract with an organization that the principal is a member of (rule CTR-1)
	ViaGrant    Via = "grant"    // a client grant (rule M2M-3)
)

// AccessContract is a contract that admits the principal.
type AccessContract struct {
	ID    string // "ctr_…"
	Guest string // id of the organization that the principal is a member of
}

// AccessShare is what a contract shares.
type AccessShare struct {
	Share
	Contract string // id of the contract
	With     string // id of the other organization
}

// Has reports whether the member holds a permission that counts for every API.
func (m *AccessMember) Has(permission string) bool {
	return slices.Contains(m.Permissions, permission)
}

// HasFor reports whether the member holds permission at the API with this identifier.
func (m *AccessMember) HasFor(api, permission string) bool {
	return m.Has(permission) || slices.Contains(m.APIPermissions[api], permission)
}

// OrganizationStatus is the status of an organization.
type OrganizationStatus string

// The statuses of an organization.
const (
	OrganizationActive    OrganizationStatus = "active"
	OrganizationSuspended OrganizationStatus = "suspended"
)
