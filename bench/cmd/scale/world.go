package main

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// world is what a store is filled with, computed from numbers: nothing of it is kept in memory. Organizations and users are numbers
// from 0, and their ids sort as these do; their names and times are in another order.
//
//   - organization 0 has the most members, and some of everything that an organization has
//   - organization 1 has every hundredth organization below it, and every hundred has one line of 8 in it
//   - organization 2 admits members of 5 others by contracts, and organization 3 has some contracts
//   - all others have about 10 members, more or less, and of every hundred one has teams and one has roles of its own
//
// One user, the last, is a member of every hundredth organization.
type world struct {
	orgs, memberships, largest, users int

	some     int       // how much the first organization has of what it has besides members
	began    time.Time // when everything begins to be made
	position int64     // of all changes
}

func newWorld(orgs, memberships, largest int, now time.Time) *world {
	return &world{
		orgs: orgs, memberships: memberships, largest: largest, users: max(memberships/5, largest),
		some: max(largest/10, 100), began: now.Add(-30 * 24 * time.Hour).Truncate(time.Microsecond),
	}
}

func orgID(n int) string  { return fmt.Sprintf("org_%016d", n) }
func userID(n int) string { return fmt.Sprintf("auth0|%024d", n) }
func roleID(n int) string { return fmt.Sprintf("rol_%016d", n) }
func teamID(n int) string { return fmt.Sprintf("team_%016d", n) }

const (
	tenantRoles  = 100
	orgRoles     = 350 // of organization 0
	connectionID = "con_0000000000000000"
	clientID     = "client"
	api          = "https://api.example.com/"
	grantID      = "cgr_0000000000000000"
	groupID      = "grp_0000000000000000"
	shared       = "shared.example.com" // a domain of many organizations
)

// elsewhere is a permutation of 0 to n-1.
func elsewhere(i, n int) int {
	const prime = 1_000_003
	if n%prime == 0 {
		return i
	}
	return int((int64(i)*prime + 17) % int64(n))
}

func orgName(n, orgs int) string { return fmt.Sprintf("company-%08d", elsewhere(n, orgs)) }

var firstNames = strings.Fields("Ada Bo Chi Dina Emilio Femi Gita Hiroko Ivan Jo Kofi Lena Mia Noor Olu Pia")

func (w *world) userName(n int) string {
	p := elsewhere(n, w.users+1)
	return fmt.Sprintf("%s %08d", firstNames[p%len(firstNames)], p)
}

func (w *world) email(n int) string { return fmt.Sprintf("u%08d@example.com", elsewhere(n, w.users+1)) }

// at is some time for the nth of so many, in another order than theirs.
func (w *world) at(n, of int) int64 {
	return w.began.UnixMicro() + int64(elsewhere(n, of))*1000
}

// size is how many members an organization has.
func (w *world) size(org int) int {
	if org == 0 {
		return w.largest
	}
	rest, others := w.memberships-w.largest, w.orgs-1
	average := rest / others
	extra := 0
	if org <= rest%others {
		extra = 1
	}
	if org == others && others%2 == 1 { // has no partner
		return average + extra
	}
	pair := (org - 1) / 2
	spread := average * (pair % 8) / 8
	if org%2 == 1 {
		spread = -spread
	}
	return average + spread + extra
}

// member is the nth member of an organization.
func (w *world) member(org, n int) int {
	if org == 0 {
		return n
	}
	if org%100 == 50 && n == w.size(org)-1 {
		return w.users
	}
	return (int(int64(org)*7_368_787%int64(w.users)) + n) % w.users
}

// parent is the organization above another, and false when there is none.
func parent(org int) (int, bool) {
	switch place := org % 100; {
	case org > 100 && place == 7:
		return 1, true
	case place >= 11 && place <= 17:
		return org - 1, true
	}
	return 0, false
}

// guests are the organizations whose members organization 2 admits.
var guests = []int{60, 61, 62, 63, 64}

// contract is one of organization 2, or later of organization 3.
func (w *world) contracts() iter.Seq2[string, [2]int] {
	return func(yield func(string, [2]int) bool) {
		for n := range len(guests) + 10*w.some {
			host, guest := 3, 20+n%(w.orgs-20)
			switch {
			case n < len(guests):
				host, guest = 2, guests[n]
			case n%10 != 0: // of others, few each
				host = 3 + 100*(1+n%(w.orgs/100-1))
			}
			if guest == host {
				guest++
			}
			if !yield(fmt.Sprintf("ctr_%016d", n), [2]int{host, guest}) {
				return
			}
		}
	}
}

// teams yields the numbers of teams, with organization and parent (-1 for none). Organization 0 has some beside each other, and
// those that end in 20 have 3 in a line each.
func (w *world) teams() iter.Seq2[int, [2]int] {
	return func(yield func(int, [2]int) bool) {
		for n := range w.some {
			if !yield(n, [2]int{0, -1}) {
				return
			}
		}
		for org, n := 20, w.some; org < w.orgs; org += 100 {
			for level := range 3 {
				parent := -1
				if level > 0 {
					parent = n - 1
				}
				if !yield(n, [2]int{org, parent}) {
					return
				}
				n++
			}
		}
	}
}

// teamMembers yields organization, user and team. All members of organization 0 are in its first team, and one member of the
// others in the lowest.
func (w *world) teamMembers() iter.Seq2[int, [2]int] {
	return func(yield func(int, [2]int) bool) {
		for n := range w.largest {
			if !yield(0, [2]int{n, 0}) {
				return
			}
		}
		for org, n := 20, w.some; org < w.orgs; org += 100 {
			if !yield(org, [2]int{w.member(org, 0), n + 2}) {
				return
			}
			n += 3
		}
	}
}

// role yields the roles, with the organization of each (-1 for those of the tenant).
func (w *world) roles() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for n := range tenantRoles + orgRoles {
			org := -1
			if n >= tenantRoles {
				org = 0
			}
			if !yield(n, org) {
				return
			}
		}
		for org, n := 30, tenantRoles+orgRoles; org < w.orgs; org += 100 {
			if !yield(n, org) {
				return
			}
			n++
		}
	}
}

// members yields all members.
func (w *world) members() iter.Seq2[int, [2]int] {
	return func(yield func(int, [2]int) bool) {
		for org := range w.orgs {
			for n := range w.size(org) {
				if !yield(org, [2]int{w.member(org, n), n}) {
					return
				}
			}
		}
	}
}

// change is a revision with its event.
type change struct {
	scope orgstore.Scope
	org   string
	event string
	after string
}

// changes yields the first and only revision of everything, in the order of scopes.
func (w *world) changes() iter.Seq[change] {
	return func(yield func(change) bool) {
		ok := true
		one := func(kind orgstore.ScopeKind, scopeOrg, id, org, event, after string) bool {
			ok = ok && yield(change{orgstore.Scope{Kind: kind, Org: scopeOrg, ID: id}, org, event, after})
			return ok
		}
		for n := range w.orgs {
			if !one(orgstore.ScopeOrganization, "", orgID(n), orgID(n), "organization.created", `{"name":"`+orgName(n, w.orgs)+`"}`) {
				return
			}
		}
		for org, m := range w.members() {
			id := orgID(org)
			if !one(orgstore.ScopeMembership, id, userID(m[0]), id, "organization.member.added", `{"kind":"employee","status":"active","roles":[]}`) {
				return
			}
		}
		for n := range w.users + 1 {
			if !one(orgstore.ScopeUser, "", userID(n), "", "user.created", `{"email_verified":true}`) {
				return
			}
		}
		one(orgstore.ScopeUser, "", clientID+"@clients", "", "user.created", `{}`)
		for n, org := range w.roles() {
			id := ""
			if org >= 0 {
				id = orgID(org)
			}
			if !one(orgstore.ScopeRole, "", roleID(n), id, "role.created", `{}`) {
				return
			}
		}
		for n := range w.orgs {
			if !one(orgstore.ScopeName, "", orgName(n, w.orgs), orgID(n), "organization.name.assigned", `"`+orgID(n)+`"`) {
				return
			}
		}
		for n, t := range w.teams() {
			if !one(orgstore.ScopeTeam, "", teamID(n), orgID(t[0]), "organization.team.created", `{}`) {
				return
			}
		}
		for _, host := range []int{2, 3} {
			one(orgstore.ScopeContracts, "", orgID(host), orgID(host), "organization.contract.created", `{}`)
		}
		for id, c := range w.contracts() {
			one(orgstore.ScopeContract, "", id, orgID(c[0]), "organization.contract.created", `{}`)
		}
		one(orgstore.ScopeConnection, "", connectionID, "", "connection.created", `{}`)
		one(orgstore.ScopeClient, "", clientID, "", "client.created", `{}`)
		one(orgstore.ScopeAPI, "", api, "", "api.created", `{}`)
		one(orgstore.ScopeClientGrant, "", grantID, "", "client_grant.created", `{}`)
		for n := 0; n < w.orgs; n += 10 {
			if !one(orgstore.ScopeOrganizationConnection, orgID(n), connectionID, orgID(n), "organization.connection.added", `{}`) {
				return
			}
		}
		for n := range w.some {
			one(orgstore.ScopeDomain, orgID(n%w.orgs), fmt.Sprintf("ord_%016d", n), orgID(n%w.orgs), "organization.domain.created", `{}`)
		}
		one(orgstore.ScopeGroup, "", groupID, "", "group.created", `{}`)
		for n := range 10 * w.some {
			org := orgID(w.owner(n))
			one(orgstore.ScopeRequest, org, fmt.Sprintf("req_%016d", n), org, "organization.request.created", `{}`)
		}
		for n := range 10 * w.some {
			org := orgID(w.owner(n))
			one(orgstore.ScopeAPIKey, org, fmt.Sprintf("key_%016d", n), org, "organization.api_key.created", `{}`)
		}
	}
}
