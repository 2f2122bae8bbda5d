package main

import (
	"fmt"
	"iter"
	"strings"
)

// table is rows to load.
type table struct {
	name    string // without orgauthz_
	columns string // separated by spaces
	rows    iter.Seq[[]any]
	about   int // how many rows these are, more or less
}

// tables are the rows of w, each table after those that it refers to.
func (w *world) tables() []table {
	changes := 2*w.orgs + w.memberships + w.users + w.orgs/10
	return []table{
		{"users", "id email email_verified email_key name name_key blocked kind created_at updated_at", w.userRows(), w.users},
		{"organizations", "id name display_name display_key status metadata members parent_id created_at updated_at", w.orgRows(), w.orgs},
		{"roles", "id org_id name description permissions created_at updated_at", w.roleRows(), w.orgs / 100},
		{"members", "org_id user_id kind metadata joined_by created_at updated_at status name name_key email_key used_at",
			w.memberRows(), w.memberships},
		{"member_roles", "org_id user_id role_id", w.memberRoleRows(), w.memberships * 3 / 4},
		{"scopes", "kind org id revision position clock", w.scopeRows(), changes},
		{"events", "id change_id type org scope_kind scope_org scope_id revision target actor before_json after_json created_at position",
			w.eventRows(), changes},
		{"teams", "id org_id parent_id name description created_at updated_at", w.teamRows(), w.some},
		{"team_roles", "team_id role_id", w.teamRoleRows(), w.some},
		{"team_members", "org_id user_id team_id", w.teamMemberRows(), w.largest},
		{"contracts", "id host_id guest_id name kinds team_id role_id metadata_key metadata_value shares created_at updated_at",
			w.contractRows(), w.some},
		{"contract_roles", "contract_id role_id", w.contractRoleRows(), w.some},
		{"connections", "id name strategy display_name domains signup domain_connection isolated created_at updated_at", each(1, func(int) []any {
			return []any{connectionID, "database", "auth0", "", "", 1, 0, 0, w.at(0, 1), w.at(0, 1)}
		}), 1},
		{"clients", "id name settings secret created_at updated_at", each(1, func(int) []any {
			return []any{clientID, clientID, "{}", "", w.at(0, 1), w.at(0, 1)}
		}), 1},
		{"apis", "identifier name settings created_at updated_at", each(1, func(int) []any {
			return []any{api, "API", "{}", w.at(0, 1), w.at(0, 1)}
		}), 1},
		{"client_grants", "id client_id audience scopes organization_usage allow_any_organization created_at updated_at", each(1, func(int) []any {
			return []any{grantID, clientID, api, "read:it", "allow", 0, w.at(0, 1), w.at(0, 1)}
		}), 1},
		{"organization_grants", "org_id grant_id created_at", each((w.orgs+9)/10, func(n int) []any {
			return []any{orgID(10 * n), grantID, w.at(n, w.orgs)}
		}), w.orgs / 10},
		{"enabled_connections", "org_id connection_id assign_membership show_as_button signup name access_level is_enabled created_at updated_at",
			each((w.orgs+9)/10, func(n int) []any {
				return []any{orgID(10 * n), connectionID, n % 2, 1, 0, "", "full", 1, w.at(n, w.orgs), w.at(n, w.orgs)}
			}), w.orgs / 10},
		{"identities", "connection_id id user_id number origin email email_verified email_key", each((w.users+9)/10, func(n int) []any {
			email := w.email(10 * n)
			return []any{connectionID, fmt.Sprintf("%024d", 10*n), userID(10 * n), 0, userID(10 * n), email, 1, email}
		}), w.users / 10},
		{"domains", "id org_id domain subdomains status discovery verification_text proven_at checked_at created_at updated_at",
			each(w.some, func(n int) []any {
				return []any{fmt.Sprintf("ord_%016d", n), orgID(n % w.orgs), shared, 0, "verified", 1, "text", w.at(n, w.some), w.at(n, w.some),
					w.at(n, w.some), w.at(n, w.some)}
			}), w.some},
		{"groups", "id connection_id external_id name created_at updated_at", each(1, func(int) []any {
			return []any{groupID, connectionID, "", "group", w.at(0, 1), w.at(0, 1)}
		}), 1},
		{"group_members", "user_id group_id", each(w.largest, func(n int) []any {
			return []any{userID(n), groupID}
		}), w.largest},
		{"organization_groups", "org_id group_id", each((w.orgs+99)/100, func(n int) []any { return []any{orgID(100 * n), groupID} }), w.orgs / 100},
		{"group_roles", "org_id group_id role_id", each((w.orgs+99)/100, func(n int) []any {
			return []any{orgID(100 * n), groupID, roleID(1)}
		}), w.orgs / 100},
		{"requests", "id org_id user_id message source status created_at updated_at expires_at", each(10*w.some, func(n int) []any {
			status := "declined"
			if n%20 < 10 && n < w.users {
				status = "pending"
			}
			return []any{fmt.Sprintf("req_%016d", n), orgID(w.owner(n)), userID(n % w.users), "", "user", status, w.at(n, 10*w.some),
				w.at(n, 10*w.some), int64(farAway)}
		}), 10 * w.some},
		{"sessions", "id user_id connection_id client_id acr amr device authenticated_at created_at active_at expires_at",
			w.sessionRows(), 10 * w.some},
		{"session_organizations", "session_id org_id user_id entered_at guest", each(9*w.some, func(n int) []any {
			org, user := w.visit(n)
			return []any{sessionID(w.some + n), orgID(org), userID(user), int64(farAway / 2), 0}
		}), 9 * w.some},
		{"api_keys", "id org_id name principal prefix created_at updated_at", each(10*w.some, func(n int) []any {
			return []any{fmt.Sprintf("key_%016d", n), orgID(w.owner(n)), fmt.Sprintf("key %08d", elsewhere(n, 10*w.some)),
				clientID + "@clients", "sk", w.at(n, 10*w.some), w.at(n, 10*w.some)}
		}), 10 * w.some},
	}
}

// owner is whose the nth of what organization 0 has a tenth of is.
func (w *world) owner(n int) int {
	if n%10 == 0 {
		return 0
	}
	return 1 + n%(w.orgs-1)
}

// visit is where the nth session that has entered an organization is, and whose.
func (w *world) visit(n int) (org, user int) {
	if n < w.some {
		return 0, n
	}
	org = 1 + n%(w.orgs-1)
	return org, w.member(org, 0)
}

// farAway is an instant that no measurement sees, in microseconds since 1970.
const farAway = 8_000_000_000_000_000

func sessionID(n int) string { return fmt.Sprintf("ses_%016d", n) }

// each yields n rows.
func each(n int, row func(n int) []any) iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for i := range n {
			if !yield(row(i)) {
				return
			}
		}
	}
}

func (w *world) userRows() iter.Seq[[]any] {
	return each(w.users+2, func(n int) []any {
		if n == w.users+1 {
			return []any{clientID + "@clients", "", 0, "", clientID, clientID, 0, "client", w.at(0, 1), w.at(0, 1)}
		}
		name, blocked, at := w.userName(n), 0, w.at(n, w.users+1)
		if n%1000 == 999 {
			blocked = 1
		}
		return []any{userID(n), w.email(n), 1, w.email(n), name, strings.ToLower(name), blocked, "user", at, at}
	})
}

func (w *world) orgRows() iter.Seq[[]any] {
	return each(w.orgs, func(n int) []any {
		name, status, above, at := orgName(n, w.orgs), "active", "", w.at(n, w.orgs)
		if n%100 == 99 {
			status = "suspended"
		}
		if p, ok := parent(n); ok {
			above = orgID(p)
		}
		display := "The " + name
		return []any{orgID(n), name, display, strings.ToLower(display), status, `{"plan":"gold"}`, w.size(n), above, at, at}
	})
}

func (w *world) roleRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n, org := range w.roles() {
			id, name := "", fmt.Sprintf("role %05d", n)
			if org >= 0 {
				id, name = orgID(org), fmt.Sprintf("org:role %05d", n)
			}
			if !yield([]any{roleID(n), id, name, "", "read:it write:it", w.at(n, w.orgs), w.at(n, w.orgs)}) {
				return
			}
		}
	}
}

func (w *world) memberRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for org, m := range w.members() {
			user, n := m[0], m[1]
			kind, status, by := "employee", "active", "admin"
			switch {
			case n%100 == 50:
				kind = "guest"
			case n%20 == 3:
				kind = "freelancer"
			}
			if n%100 == 49 {
				status = "suspended"
			}
			if n%100 == 7 {
				by = "import"
			}
			name, at := w.userName(user), w.at(n, max(w.size(org), 1))
			if !yield([]any{orgID(org), userID(user), kind, "{}", by, at, at, status, name, strings.ToLower(name), w.email(user),
				w.at(org, w.orgs)}) {
				return
			}
		}
	}
}

func (w *world) memberRoleRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for org, m := range w.members() {
			if m[1]%4 != 0 && !yield([]any{orgID(org), userID(m[0]), roleID(m[1] % tenantRoles)}) {
				return
			}
		}
	}
}

// changed is the time of the nth change.
func (w *world) changed(n int) int64 { return w.began.UnixMicro() + int64(n)*100 }

func (w *world) scopeRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		n := 0
		for c := range w.changes() {
			if !yield([]any{int16(c.scope.Kind), c.scope.Org, c.scope.ID, 1, w.position, w.changed(n)}) {
				return
			}
			n++
		}
	}
}

func (w *world) eventRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		n := 0
		for c := range w.changes() {
			at, actor := w.changed(n), ""
			if n%100 == 0 {
				actor = userID(0)
			}
			if !yield([]any{w.eventID(n), "chg_loaded", c.event, c.org, int16(c.scope.Kind), c.scope.Org, c.scope.ID, 1, c.scope.ID, actor,
				nil, c.after, at, w.position}) {
				return
			}
			n++
		}
	}
}

func (w *world) eventID(n int) string {
	return fmt.Sprintf("evt_%014x%012x%06x", w.changed(n), w.position, 0)
}

func (w *world) teamRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n, t := range w.teams() {
			above := ""
			if t[1] >= 0 {
				above = teamID(t[1])
			}
			if !yield([]any{teamID(n), orgID(t[0]), above, fmt.Sprintf("team %08d", n), "", w.at(n, w.orgs), w.at(n, w.orgs)}) {
				return
			}
		}
	}
}

func (w *world) teamRoleRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for n := range w.teams() {
			if !yield([]any{teamID(n), roleID(n % tenantRoles)}) {
				return
			}
		}
	}
}

func (w *world) teamMemberRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for org, m := range w.teamMembers() {
			if !yield([]any{orgID(org), userID(m[0]), teamID(m[1])}) {
				return
			}
		}
	}
}

func (w *world) contractRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for id, c := range w.contracts() {
			if !yield([]any{id, orgID(c[0]), orgID(c[1]), "contract", "employee freelancer guest", "", "", "", "", "[]", w.at(0, 1), w.at(0, 1)}) {
				return
			}
		}
	}
}

func (w *world) contractRoleRows() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for id := range w.contracts() {
			if !yield([]any{id, roleID(0)}) {
				return
			}
		}
	}
}

// sessionRows are some sessions of user 0, some that have entered organization 0, and others.
func (w *world) sessionRows() iter.Seq[[]any] {
	return each(10*w.some, func(n int) []any {
		user := 0
		if n >= w.some {
			_, user = w.visit(n - w.some)
		}
		at := w.changed(3_000_000_000) + int64(n)
		return []any{sessionID(n), userID(user), "", "", "", "", "", at, at, int64(farAway), int64(farAway)}
	})
}
