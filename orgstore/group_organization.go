package orgstore

import (
	"context"
	"slices"
)

// maxOrganizationGroups bounds the groups assigned to one organization, as Auth0 bounds those that hold roles there.
const maxOrganizationGroups = 10_000

// groupState is what events show of a group in an organization: ids, sorted.
type groupState struct {
	Group string   `json:"group"`
	Roles []string `json:"roles"`
}

// Assign assigns a group to an organization, where it can hold roles from then on. Assigning it again changes nothing.
//
// Errors: NotFound (organization or group), Limit (groups).
func (s *Groups) Assign(ctx context.Context, org, group string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.assign", org, group}, func(tx *transaction) error {
		held, err := beginGroup(ctx, tx, org, group, "create:organization_groups", nil)
		if err != nil || held != nil {
			return err
		}
		var groups int
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organization_groups WHERE org_id = $1`,
			org).Scan(&groups); err != nil {
			return err
		}
		if groups >= maxOrganizationGroups {
			return &Limit{"groups", maxOrganizationGroups}
		}
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_organization_groups (org_id, group_id) VALUES ($1, $2)`,
			org, group); err != nil {
			return err
		}
		return tx.raise(ctx, OrganizationScope(org), org, "organization.group.added", nil, &groupState{Group: group})
	})
}

// Unassign takes a group from an organization, with all roles that it holds there. Taking one that is not assigned changes
// nothing. Errors: NotFound (organization or group).
func (s *Groups) Unassign(ctx context.Context, org, group string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.unassign", org, group}, func(tx *transaction) error {
		held, err := beginGroup(ctx, tx, org, group, "delete:organization_groups", nil)
		if err != nil || held == nil {
			return err
		}
		for _, table := range []string{"orgauthz_group_roles", "orgauthz_organization_groups"} {
			if _, err := tx.sql.ExecContext(ctx, `DELETE FROM `+table+` WHERE org_id = $1 AND group_id = $2`, org, group); err != nil {
				return err
			}
		}
		return tx.raise(ctx, OrganizationScope(org), org, "organization.group.removed", held, nil)
	})
}

// AssignRoles gives a group that is assigned to an organization roles there, by id; those held already stay. Either all are given
// or none.
//
// Errors: NotFound (organization, group or role), Limit (roles per group).
func (s *Groups) AssignRoles(ctx context.Context, org, group string, roles ...string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.assignRoles", org, group, roles}, func(tx *transaction) error {
		return changeGroupRoles(ctx, tx, org, group, "create:organization_group_roles", roles, func(held []string) []string {
			return unique(slices.Concat(held, roles))
		})
	})
}

// RemoveRoles takes roles from a group in an organization, by id; those not held, or not known, change nothing.
//
// Errors: NotFound (organization or group).
func (s *Groups) RemoveRoles(ctx context.Context, org, group string, roles ...string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.removeRoles", org, group, roles}, func(tx *transaction) error {
		return changeGroupRoles(ctx, tx, org, group, "delete:organization_group_roles", nil, func(held []string) []string {
			return without(held, roles)
		})
	})
}

// beginGroup locks what a change of a group in an organization needs, and returns what the group holds there, nil when it is not
// assigned. Whoever changes it has the organization alone: which roles groups hold is part of that.
func beginGroup(ctx context.Context, tx *transaction, org, id, permission string, roles []string) (*groupState, error) {
	if err := tx.permit(ctx, org, permission); err != nil {
		return nil, err
	}
	read := []Scope{{Kind: ScopeGroup, ID: id}}
	for _, role := range roles {
		read = append(read, RoleScope(role))
	}
	if err := tx.lock(ctx, []Scope{OrganizationScope(org)}, read); err != nil {
		return nil, err
	}
	if _, err := organization(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	if _, err := group(ctx, tx.sql, id); err != nil {
		return nil, err
	}
	var assigned int
	if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organization_groups WHERE org_id = $1 AND group_id = $2`,
		org, id).Scan(&assigned); err != nil || assigned == 0 {
		return nil, err
	}
	held, err := ids(ctx, tx.sql, `
		SELECT gr.role_id FROM orgauthz_group_roles gr JOIN orgauthz_roles r ON r.id = gr.role_id AND r.deleted_at IS NULL
		WHERE gr.org_id = $1 AND gr.group_id = $2 ORDER BY gr.role_id`, org, id)
	return &groupState{id, held}, err
}

// changeGroupRoles gives a group the roles that edit makes of those held; what is given that is not held is among named.
func changeGroupRoles(ctx context.Context, tx *transaction, org, id, permission string, named []string, edit func(held []string) []string) error {
	before, err := beginGroup(ctx, tx, org, id, permission, named)
	if err == nil && before == nil {
		err = &NotFound{"group"}
	}
	if err != nil {
		return err
	}
	is := edit(before.Roles)
	added, removed := without(is, before.Roles), without(before.Roles, is)
	if err := checkHolder(ctx, tx, org, added, len(is), "roles per group", tx.cfg.Limits.RolesPerGroup); err != nil {
		return err
	}
	if err := tx.hold(ctx, org, added); err != nil {
		return err
	}
	for _, role := range removed {
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_group_roles WHERE org_id = $1 AND group_id = $2 AND role_id = $3`,
			org, id, role); err != nil {
			return err
		}
	}
	for _, role := range added {
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_group_roles (org_id, group_id, role_id) VALUES ($1, $2, $3)`,
			org, id, role); err != nil {
			return err
		}
	}
	event := "organization.group.role.assigned"
	switch {
	case len(removed) > 0:
		event = "organization.group.role.deleted"
	case len(added) == 0:
		return nil
	}
	return tx.raise(ctx, OrganizationScope(org), org, event, before, &groupState{id, is})
}

// Roles returns the roles that a group holds in an organization, by name: at most Limits.RolesPerGroup.
//
// Errors: NotFound (organization or group; also when it is not assigned).
func (s *Groups) Roles(ctx context.Context, org, id string) ([]MemberRole, error) {
	return read(ctx, s.e, func(q queryer) ([]MemberRole, error) {
		if _, err := organization(ctx, q, org); err != nil {
			return nil, err
		}
		if _, err := group(ctx, q, id); err != nil {
			return nil, err
		}
		assigned := 0
		roles, err := collect(ctx, q, `
			SELECT COALESCE(r.id, ''), COALESCE(r.name, '') FROM orgauthz_organization_groups og
			LEFT JOIN orgauthz_group_roles gr ON gr.org_id = og.org_id AND gr.group_id = og.group_id
			LEFT JOIN orgauthz_roles r ON r.id = gr.role_id AND r.deleted_at IS NULL
			WHERE og.org_id = $1 AND og.group_id = $2 ORDER BY r.name, r.id`, []any{org, id},
			func(row scanner) (MemberRole, error) {
				assigned++
				return scanMemberRole(row)
			})
		if err == nil && assigned == 0 {
			err = &NotFound{"group"}
		}
		return slices.DeleteFunc(roles, func(r MemberRole) bool { return r.ID == "" }), err
	})
}
