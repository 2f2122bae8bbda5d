package orgstore

import (
	"context"
	"errors"
	"slices"
)

// TeamMember is a member of a team.
type TeamMember struct {
	User  string `json:"user_id"`
	Email string `json:"email,omitempty"` // of the directory's user
	Name  string `json:"name,omitempty"`  // of the directory's user
}

// rolesState is what events show of who holds roles: ids, sorted.
type rolesState struct {
	Roles []string `json:"roles"`
}

// teamsState is what events show of the teams of a member: ids, sorted.
type teamsState struct {
	Teams []string `json:"teams"`
}

func ids(ctx context.Context, q queryer, query string, args ...any) ([]string, error) {
	return collect(ctx, q, query, args, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// teamRoles returns the ids of the live roles that a team holds itself, sorted.
func teamRoles(ctx context.Context, q queryer, team string) ([]string, error) {
	return ids(ctx, q, `SELECT tr.role_id FROM orgauthz_team_roles tr JOIN orgauthz_roles r ON r.id = tr.role_id AND r.deleted_at IS NULL
		WHERE tr.team_id = $1 ORDER BY tr.role_id`, team)
}

// holdTeam is hold for the roles that the members of a team get by it: its own, and those of the teams above it.
func (tx *transaction) holdTeam(ctx context.Context, org, id string) error {
	if tx.as == nil || id == "" {
		return nil
	}
	above, err := ancestors(ctx, tx.sql, id)
	if err != nil {
		return err
	}
	var roles []string
	for _, id := range above {
		held, err := teamRoles(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		roles = append(roles, held...)
	}
	return tx.hold(ctx, org, roles)
}

// AssignRoles gives a team roles, by id, of the tenant or of the organization; those held already stay. Either all are given or
// none.
//
// Errors: NotFound (team or role), Limit (roles per team).
func (s *Teams) AssignRoles(ctx context.Context, org, team string, roles ...string) (Result, error) {
	return s.e.mutate(ctx, call{"teams.assignRoles", org, team, roles}, func(tx *transaction) error {
		return changeTeamRoles(ctx, tx, org, team, "create:organization_team_roles", roles, func(held []string) []string {
			return unique(slices.Concat(held, roles))
		})
	})
}

// RemoveRoles takes roles from a team, by id; those not held, or not known, change nothing. Errors: NotFound (team).
func (s *Teams) RemoveRoles(ctx context.Context, org, team string, roles ...string) (Result, error) {
	return s.e.mutate(ctx, call{"teams.removeRoles", org, team, roles}, func(tx *transaction) error {
		return changeTeamRoles(ctx, tx, org, team, "delete:organization_team_roles", nil, func(held []string) []string {
			return without(held, roles)
		})
	})
}

// changeTeamRoles gives a team the roles that edit makes of those held; what is given that is not held is among named.
func changeTeamRoles(ctx context.Context, tx *transaction, org, id, permission string, named []string, edit func(held []string) []string) error {
	if err := tx.permit(ctx, org, permission); err != nil {
		return err
	}
	read := []Scope{OrganizationScope(org)}
	for _, role := range named {
		read = append(read, RoleScope(role))
	}
	if err := tx.lock(ctx, []Scope{TeamScope(id)}, read); err != nil {
		return err
	}
	if _, err := team(ctx, tx.sql, org, id); err != nil {
		return err
	}
	held, err := teamRoles(ctx, tx.sql, id)
	if err != nil {
		return err
	}
	is := edit(held)
	added, removed := without(is, held), without(held, is)
	if err := checkHolder(ctx, tx, org, added, len(is), "roles per team", tx.cfg.Limits.RolesPerTeam); err != nil {
		return err
	}
	if err := tx.hold(ctx, org, added); err != nil {
		return err
	}
	for _, role := range removed {
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_team_roles WHERE team_id = $1 AND role_id = $2`, id, role); err != nil {
			return err
		}
	}
	for _, role := range added {
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_team_roles (team_id, role_id) VALUES ($1, $2)`, id, role); err != nil {
			return err
		}
	}
	return raiseRoles(ctx, tx, TeamScope(id), org, "organization.team.role.", held, is)
}

// checkHolder checks that what holds roles in org may hold n of them, with those of added.
func checkHolder(ctx context.Context, tx *transaction, org string, added []string, n int, name string, limit int) error {
	for _, id := range added {
		if err := checkRoleIn(ctx, tx.sql, org, id); err != nil {
			return err
		}
	}
	if len(added) > 0 && n > limit {
		return &Limit{name, limit}
	}
	return nil
}

// raiseRoles raises scope for a change of the roles that it holds, from was to is, if there is one.
func raiseRoles(ctx context.Context, tx *transaction, scope Scope, org, event string, was, is []string) error {
	switch {
	case len(without(is, was)) > 0:
		return tx.raise(ctx, scope, org, event+"assigned", &rolesState{was}, &rolesState{is})
	case len(without(was, is)) > 0:
		return tx.raise(ctx, scope, org, event+"deleted", &rolesState{was}, &rolesState{is})
	}
	return nil
}

// Roles returns the roles that a team holds itself, by name: at most Limits.RolesPerTeam. Errors: NotFound (team).
func (s *Teams) Roles(ctx context.Context, org, id string) ([]MemberRole, error) {
	return read(ctx, s.e, func(q queryer) ([]MemberRole, error) {
		if _, err := team(ctx, q, org, id); err != nil {
			return nil, err
		}
		return collect(ctx, q, `
			SELECT r.id, r.name FROM orgauthz_team_roles tr JOIN orgauthz_roles r ON r.id = tr.role_id AND r.deleted_at IS NULL
			WHERE tr.team_id = $1 ORDER BY r.name, r.id`, []any{id}, scanMemberRole)
	})
}

func scanMemberRole(row scanner) (r MemberRole, err error) { return r, row.Scan(&r.ID, &r.Name) }

// AddMember puts a member of the organization into a team. Adding somebody who is in it changes nothing.
//
// Errors: NotFound (team or member), Limit (teams per member).
func (s *Teams) AddMember(ctx context.Context, org, team, user string) (Result, error) {
	return s.e.mutate(ctx, call{"teams.addMember", org, team, user}, func(tx *transaction) error {
		teams, err := beginTeamMember(ctx, tx, org, team, user, "create:organization_team_members")
		if err != nil {
			return err
		}
		if slices.Contains(teams, team) {
			return nil
		}
		if limit := tx.cfg.Limits.TeamsPerMember; len(teams) >= limit {
			return &Limit{"teams per member", limit}
		}
		if err := tx.holdTeam(ctx, org, team); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_team_members (org_id, user_id, team_id) VALUES ($1, $2, $3)`,
			org, user, team); err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.team.added",
			&teamsState{teams}, &teamsState{unique(append(teams, team))})
	})
}

// RemoveMember takes a member out of a team. Removing somebody who is not in it changes nothing. Errors: NotFound (team).
func (s *Teams) RemoveMember(ctx context.Context, org, team, user string) (Result, error) {
	return s.e.mutate(ctx, call{"teams.removeMember", org, team, user}, func(tx *transaction) error {
		teams, err := beginTeamMember(ctx, tx, org, team, user, "delete:organization_team_members")
		if missing, ok := errors.AsType[*NotFound](err); ok && missing.Kind == "member" || err == nil && !slices.Contains(teams, team) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_team_members WHERE org_id = $1 AND user_id = $2 AND team_id = $3`,
			org, user, team); err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.team.deleted",
			&teamsState{teams}, &teamsState{without(teams, []string{team})})
	})
}

// beginTeamMember locks what a change of somebody's teams needs, and returns the ids of the live teams that they are in, sorted.
func beginTeamMember(ctx context.Context, tx *transaction, org, id, userID, permission string) ([]string, error) {
	if err := tx.permit(ctx, org, permission, userID); err != nil {
		return nil, err
	}
	// The user ends memberships too.
	if err := tx.lock(ctx, []Scope{MembershipScope(org, userID)}, []Scope{OrganizationScope(org), UserScope(userID), TeamScope(id)}); err != nil {
		return nil, err
	}
	if _, err := team(ctx, tx.sql, org, id); err != nil {
		return nil, err
	}
	if _, err := member(ctx, tx.sql, org, userID); err != nil {
		return nil, err
	}
	return ids(ctx, tx.sql, `
		SELECT tm.team_id FROM orgauthz_team_members tm JOIN orgauthz_teams t ON t.id = tm.team_id AND t.deleted_at IS NULL
		WHERE tm.org_id = $1 AND tm.user_id = $2 ORDER BY tm.team_id`, org, userID)
}

var teamMemberList = listing[*TeamMember]{
	name: "team members",
	query: `SELECT u.id, u.email, u.name FROM orgauthz_team_members tm JOIN orgauthz_users u ON u.id = tm.user_id
		JOIN orgauthz_members m ON m.org_id = tm.org_id AND m.user_id = tm.user_id AND (m.expires_at IS NULL OR m.expires_at > $2)
		WHERE tm.team_id = $1 {after u.id} {after m.user_id}`,
	id: "tm.user_id",
	scan: func(row scanner) (*TeamMember, error) {
		var m TeamMember
		return &m, row.Scan(&m.User, &m.Email, &m.Name)
	},
	key: byID(func(m *TeamMember) string { return m.User }),
}

// Members returns a page of those who are directly in a team, by id. Errors: NotFound (team), Invalid.
func (s *Teams) Members(ctx context.Context, org, id string, opts ListOptions) (Page[*TeamMember], error) {
	if _, err := s.Get(ctx, org, id); err != nil {
		return Page[*TeamMember]{}, err
	}
	l := teamMemberList
	l.args = []any{id, s.e.cfg.Clock().UnixMicro()}
	return l.read(ctx, s.e, opts)
}
