package orgstore

import (
	"context"
	"slices"
	"time"
)

// MemberRole names a role that a member holds.
type MemberRole struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // UTC; when it ends by itself (rule LIFE-3); zero for never
	Descendants bool      `json:"descendants,omitempty"` // it counts in all organizations below as well
}

// RoleAssignment is a role for a member, and for how long and where it counts.
type RoleAssignment struct {
	Role        string    `json:"role_id"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`   // in the future: when it ends by itself (rule LIFE-3); zero for never
	Descendants bool      `json:"descendants,omitempty"` // it counts in all organizations below as well
}

// roleTerms is what a role held has beside itself. The zero value is a role of this organization alone, for good.
type roleTerms struct {
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	Descendants bool      `json:"descendants,omitempty"`
}

func (t roleTerms) equal(other roleTerms) bool {
	return t.ExpiresAt.Equal(other.ExpiresAt) && t.Descendants == other.Descendants
}

func (m *memberState) setTerms(role string, t roleTerms) {
	switch {
	case t.equal(roleTerms{}):
		delete(m.Terms, role)
	case m.Terms == nil:
		m.Terms = map[string]roleTerms{role: t}
	default:
		m.Terms[role] = t
	}
}

// drop takes roles from m.
func (m *memberState) drop(roles []string) {
	m.Roles = without(m.Roles, roles)
	for _, id := range roles {
		delete(m.Terms, id)
	}
}

// altered returns the roles that m and was both hold, with other terms.
func (m *memberState) altered(was *memberState) []string {
	return slices.DeleteFunc(slices.Clone(m.Roles), func(id string) bool {
		return !slices.Contains(was.Roles, id) || m.Terms[id].equal(was.Terms[id])
	})
}

// below returns those of roles that m holds in all organizations below as well.
func (m *memberState) below(roles []string) []string {
	return slices.DeleteFunc(slices.Clone(roles), func(id string) bool { return !m.Terms[id].Descendants })
}

// rows returns the rows of roles that user holds in org by m.
func (m *memberState) rows(org, user string, roles []string) [][]any {
	rows := make([][]any, 0, len(roles))
	for _, id := range roles {
		t := m.Terms[id]
		rows = append(rows, []any{org, user, id, instant{&t.ExpiresAt}, flag(t.Descendants)})
	}
	return rows
}

// insertRoles writes rows of roles held. One that has expired, or has other terms, is replaced.
func insertRoles(ctx context.Context, tx *transaction, rows [][]any) error {
	return tx.insert(ctx, `orgauthz_member_roles (org_id, user_id, role_id, expires_at, descendants)`, rows, `
		ON CONFLICT (org_id, user_id, role_id) DO UPDATE SET expires_at = excluded.expires_at, descendants = excluded.descendants`)
}

// What an actor needs to change the roles of members.
const (
	assignRoles = "create:organization_member_roles"
	deleteRoles = "delete:organization_member_roles"
)

// AssignRoles gives a member roles, by id, for good; those held already stay as they are. Either all are given or none.
//
// Errors: NotFound (organization, user, member or role; rule ROL-4), Limit (roles per member; rule ROL-2).
func (s *Members) AssignRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.assignRoles", org, user, roles}, []string{assignRoles}, org, user, roles,
		func(_ *transaction, is *memberState) error {
			is.Roles = unique(slices.Concat(is.Roles, roles))
			return nil
		})
}

// Assign gives a member roles that end by themselves, or count in all organizations below (rule LIFE-3). One that is held
// already is held as the assignment says from then on. Either all are given or none; of one role the last one counts.
//
// Errors: those of AssignRoles, Invalid (LIFE-2), Conflict (organization owner; rule MEM-5).
func (s *Members) Assign(ctx context.Context, org, user string, assignments ...RoleAssignment) (Result, error) {
	var roles []string
	for _, a := range assignments {
		if err := checkInstant(a.ExpiresAt); err != nil {
			return Result{}, err
		}
		roles = append(roles, a.Role)
	}
	return s.change(ctx, call{"members.assign", org, user, assignments}, []string{assignRoles}, org, user, roles,
		func(tx *transaction, is *memberState) error {
			is.Roles = unique(slices.Concat(is.Roles, roles))
			for _, a := range assignments {
				if err := checkFuture(tx, a.ExpiresAt); err != nil {
					return err
				}
				is.setTerms(a.Role, roleTerms{micro(a.ExpiresAt), a.Descendants})
			}
			return nil
		})
}

// RemoveRoles takes roles from a member, by id; those not held, or not known, change nothing.
//
// Errors: NotFound (organization, user or member), Conflict (organization owner; rule MEM-5).
func (s *Members) RemoveRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.removeRoles", org, user, roles}, []string{deleteRoles}, org, user, nil,
		func(_ *transaction, is *memberState) error {
			is.drop(roles)
			return nil
		})
}

// SetRoles makes roles, by id, the only ones that a member holds; those held already stay as they are.
//
// Errors: those of AssignRoles, Conflict (organization owner; rule MEM-5).
func (s *Members) SetRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.setRoles", org, user, roles}, []string{assignRoles, deleteRoles}, org, user, roles,
		func(_ *transaction, is *memberState) error {
			is.drop(without(is.Roles, roles))
			is.Roles = unique(roles)
			return nil
		})
}

// checkRoles checks that members of org can be given these roles, if they held no others (rules ROL-2, ROL-4).
func checkRoles(ctx context.Context, tx *transaction, org string, roles []string) error {
	if limit := tx.cfg.Limits.RolesPerMember; len(roles) > limit {
		return &Limit{"roles per member", limit}
	}
	known, err := rolesFor(ctx, tx, org, roles)
	if err == nil && len(known) < len(roles) {
		err = &NotFound{"role"}
	}
	return err
}

// rolesFor returns which of roles, each named once, members of org can hold: those of the tenant and of org itself.
func rolesFor(ctx context.Context, tx *transaction, org string, roles []string) (map[string]bool, error) {
	known := map[string]bool{}
	roles = slices.DeleteFunc(slices.Clone(roles), func(id string) bool { return !validID("rol_", id) })
	for some := range slices.Chunk(roles, batch) {
		found, err := ids(ctx, tx.sql, `
			SELECT id FROM orgauthz_roles WHERE deleted_at IS NULL AND org_id IN ('', $1) AND id IN (`+parameters(2, len(some))+`)`,
			append([]any{org}, anys(some)...)...)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			known[id] = true
		}
	}
	return known, nil
}

// without returns the elements of list that are not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}
