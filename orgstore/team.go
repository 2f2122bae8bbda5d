package orgstore

import (
	"context"
	"errors"
	"slices"
	"time"
)

// maxTeamLevels is how deep teams nest (rule TEAM-2).
const maxTeamLevels = 5

// Team is a team of one organization. Its members hold its roles, and those of the teams above it, in that organization.
type Team struct {
	ID           string    `json:"id"` // "team_" and 16 alphanumerics; never given again
	Organization string    `json:"organization_id"`
	Parent       string    `json:"parent_id,omitempty"` // id of the team that it is below; empty at the top
	Name         string    `json:"name"`                // 1 to 100 printable characters, unique in the organization, case matters
	Description  string    `json:"description,omitempty"`
	CreatedAt    time.Time `json:"created_at"` // UTC
	UpdatedAt    time.Time `json:"updated_at"` // UTC; of all of these, not of roles and members
}

// TeamUpdate says what to change of a team. What is nil stays as it is.
type TeamUpdate struct {
	Name        *string
	Description *string // "" clears it
	Parent      *string // "" moves it to the top, with all below it
}

// Teams are the teams of organizations. A team of another organization than the one named is not found.
type Teams struct{ e *Engine }

const liveTeams = `SELECT t.id, t.org_id, t.parent_id, t.name, t.description, t.created_at, t.updated_at FROM orgauthz_teams t
	JOIN orgauthz_organizations o ON o.id = t.org_id AND ` + live + ` WHERE t.org_id = $2 AND t.deleted_at IS NULL`

func scanTeam(row scanner) (*Team, error) {
	var t Team
	var created, updated int64
	err := row.Scan(&t.ID, &t.Organization, &t.Parent, &t.Name, &t.Description, &created, &updated)
	t.CreatedAt, t.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return &t, err
}

func team(ctx context.Context, q queryer, org, id string) (*Team, error) {
	if !validID("org_", org) || !validID("team_", id) {
		return nil, &NotFound{"team"}
	}
	return one(scanTeam(q.QueryRowContext(ctx, liveTeams+` AND t.id = $3`, q.clock().UnixMicro(), org, id)))("team")
}

func (t *Team) check() error {
	err := checkText("description", "", t.Description, maxDescription)
	if !validRoleName(t.Name) {
		err = errors.Join(err, &Invalid{"name", "TEAM-1", "must be 1 to 100 printable characters, without spaces around them"})
	}
	return err
}

func teamNameIsFree(ctx context.Context, tx *transaction, org, name string) error {
	var taken int
	err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_teams WHERE org_id = $1 AND name = $2 AND deleted_at IS NULL`,
		org, name).Scan(&taken)
	if err == nil && taken > 0 {
		return &Conflict{"team", "name"}
	}
	return err
}

// ancestors returns the ids of a team and of all above it, upwards.
func ancestors(ctx context.Context, q queryer, id string) ([]string, error) {
	// The bound is for the day on which there is a cycle all the same.
	return ids(ctx, q, `
		WITH RECURSIVE up (id, parent_id, level) AS (
			SELECT id, parent_id, 1 FROM orgauthz_teams WHERE id = $1
			UNION ALL
			SELECT t.id, t.parent_id, up.level + 1 FROM up JOIN orgauthz_teams t ON t.id = up.parent_id WHERE up.level < 100
		) SELECT id FROM up ORDER BY level`, id)
}

// levels returns how many levels a team and those below it have.
func levels(ctx context.Context, q queryer, id string) (n int, err error) {
	err = q.QueryRowContext(ctx, `
		WITH RECURSIVE down (id, level) AS (
			SELECT id, 1 FROM orgauthz_teams WHERE id = $1
			UNION ALL
			SELECT t.id, down.level + 1 FROM down JOIN orgauthz_teams t ON t.parent_id = down.id AND t.deleted_at IS NULL WHERE down.level < 100
		) SELECT COALESCE(MAX(level), 1) FROM down`, id).Scan(&n)
	return n, err
}

// checkParent checks that t may be below its parent (rule TEAM-2). Whoever changes parents has the organization alone, so that
// nobody else can do the other half of a cycle.
func (t *Team) checkParent(ctx context.Context, tx *transaction) error {
	if t.Parent == "" {
		return nil
	}
	if _, err := team(ctx, tx.sql, t.Organization, t.Parent); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = &NotFound{"parent"}
		}
		return err
	}
	above, err := ancestors(ctx, tx.sql, t.Parent)
	if err != nil {
		return err
	}
	if slices.Contains(above, t.ID) {
		return &Invalid{"parent_id", "TEAM-2", "must be neither the team itself nor one below it"}
	}
	below, err := levels(ctx, tx.sql, t.ID)
	if err == nil && len(above)+below > maxTeamLevels {
		return &Limit{"levels of teams", maxTeamLevels}
	}
	return err
}

// Create makes a team of t, whose Organization and Name must be given. ID is generated when empty; a given one must never have
// been used in this store. The times of t are ignored.
//
// Errors: Invalid (TEAM-1, TEAM-2), NotFound (organization or parent), Conflict (id or name taken), Limit (teams, levels of teams).
func (s *Teams) Create(ctx context.Context, t Team) (*Team, Result, error) {
	given := t
	if t.ID == "" {
		t.ID = newID("team_")
	}
	if err := errors.Join(checkID("team_", t.ID), t.check()); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"teams.create", given}, &t, func(tx *transaction) error {
		if err := tx.permit(ctx, t.Organization, "create:organization_teams"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(t.Organization), TeamScope(t.ID)}, nil); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, t.Organization); err != nil {
			return err
		}
		var taken, teams int
		err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_teams WHERE id = $1`, t.ID).Scan(&taken)
		if err == nil && taken > 0 {
			err = &Conflict{"team", "id"}
		}
		if err == nil {
			err = teamNameIsFree(ctx, tx, t.Organization, t.Name)
		}
		if err == nil {
			err = t.checkParent(ctx, tx)
		}
		if err == nil {
			err = tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_teams WHERE org_id = $1 AND deleted_at IS NULL`,
				t.Organization).Scan(&teams)
		}
		if limit := tx.cfg.Limits.Teams; err == nil && teams >= limit {
			err = &Limit{"teams", limit}
		}
		if err != nil {
			return err
		}
		if t.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		t.UpdatedAt = t.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_teams (id, org_id, parent_id, name, description, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)`,
			t.ID, t.Organization, t.Parent, t.Name, t.Description, t.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, TeamScope(t.ID), t.Organization, "organization.team.created", nil, &t)
	})
}

// Get returns a team of an organization. Errors: NotFound.
func (s *Teams) Get(ctx context.Context, org, id string) (*Team, error) {
	return read(ctx, s.e, func(q queryer) (*Team, error) { return team(ctx, q, org, id) })
}

var teamList = listing[*Team]{
	name:  "teams",
	query: liveTeams,
	id:    "t.id",
	sorts: map[Sort]string{SortName: "t.name", SortCreated: "t.created_at"},
	scan:  scanTeam,
	key: func(t *Team, by Sort) (any, string) {
		if by == SortName {
			return t.Name, t.ID
		}
		return t.CreatedAt.UnixMicro(), t.ID
	},
}

// TeamListOptions selects a page of an organization's teams.
type TeamListOptions struct {
	ListOptions
	Query  string // only those whose name begins with it; case matters
	Parent string // only those directly below this team, by id
	Member string // only those that this user, by id, is directly in
}

// List returns a page of an organization's teams, by id, name or created_at. Errors: NotFound (organization), Invalid.
func (s *Teams) List(ctx context.Context, org string, opts TeamListOptions) (Page[*Team], error) {
	from, to, err := beginning(opts.Query)
	switch {
	case err != nil:
		return Page[*Team]{}, err
	case !validID("org_", org):
		return Page[*Team]{}, &NotFound{"organization"}
	case opts.Parent != "" && !validID("team_", opts.Parent):
		return Page[*Team]{}, &Invalid{"Parent", "", "must be the id of a team, or empty"}
	case opts.Member != "" && !validUserID(opts.Member):
		return Page[*Team]{}, &Invalid{"Member", "", "must be the id of a user, or empty"}
	}
	l := teamList
	l.args = []any{s.e.cfg.Clock().UnixMicro(), org}
	if opts.Query != "" {
		l = l.and(`t.name >= ? AND t.name < ?`, from, to)
	}
	if opts.Parent != "" {
		l = l.and(`t.parent_id = ?`, opts.Parent)
	}
	if opts.Member != "" {
		l = l.and(`t.id IN (SELECT tm.team_id FROM orgauthz_team_members tm WHERE tm.org_id = $2 AND tm.user_id = ?)`, opts.Member)
	}
	return l.of(ctx, s.e, org, opts.ListOptions)
}

// Update changes what u names. Moving a team takes all teams below it along.
//
// Errors: NotFound (team or parent), Invalid (TEAM-1, TEAM-2), Conflict (name taken), Limit (levels of teams).
func (s *Teams) Update(ctx context.Context, org, id string, u TeamUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"teams.update", org, id, u}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "update:organization_teams"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(org), TeamScope(id)}, nil); err != nil {
			return err
		}
		before, err := team(ctx, tx.sql, org, id)
		if err != nil {
			return err
		}
		t := *before
		if u.Name != nil {
			t.Name = *u.Name
		}
		if u.Description != nil {
			t.Description = *u.Description
		}
		if u.Parent != nil {
			t.Parent = *u.Parent
		}
		if err := t.check(); err != nil || t == *before {
			return err
		}
		if t.Name != before.Name {
			if err := teamNameIsFree(ctx, tx, org, t.Name); err != nil {
				return err
			}
		}
		if t.Parent != before.Parent {
			if err := t.checkParent(ctx, tx); err != nil {
				return err
			}
			// Its members get the roles of the teams above.
			if err := tx.holdTeam(ctx, org, t.Parent); err != nil {
				return err
			}
		}
		if t.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_teams SET parent_id = $2, name = $3, description = $4, updated_at = $5 WHERE id = $1`,
			id, t.Parent, t.Name, t.Description, t.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, TeamScope(id), org, "organization.team.updated", before, &t)
	})
}

// Delete ends a team that has none below it; its members lose its roles at once and stay members of the organization (rule
// TEAM-5). Its name is free from then on, its id is never given again. Deleting one that is not there changes nothing.
//
// Errors: Invalid (TEAM-5).
func (s *Teams) Delete(ctx context.Context, org, id string) (Result, error) {
	return s.e.mutate(ctx, call{"teams.delete", org, id}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "delete:organization_teams"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(org), TeamScope(id)}, nil); err != nil {
			return err
		}
		before, err := team(ctx, tx.sql, org, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := levels(ctx, tx.sql, id)
		if err == nil && n > 1 {
			err = &Invalid{"team", "TEAM-5", "must have no teams below it: move or delete them first"}
		}
		if err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_teams SET parent_id = '', description = '', updated_at = $2, deleted_at = $2 WHERE id = $1`,
			id, at.UnixMicro()); err != nil {
			return err
		}
		if _, err := cleanTeam(ctx, tx, id, cleanBatch); err != nil {
			return err
		}
		return tx.raise(ctx, TeamScope(id), org, "organization.team.deleted", before, nil)
	})
}

// cleanTeam takes members and roles from a deleted team.
func cleanTeam(ctx context.Context, tx *transaction, id string, most int) (int, error) {
	n, err := affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_team_members WHERE team_id = $1 AND (org_id, user_id) IN
			(SELECT org_id, user_id FROM orgauthz_team_members WHERE team_id = $1 LIMIT $2)`, id, most))
	if err != nil || n == most {
		return n, err
	}
	roles, err := affected(tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_team_roles WHERE team_id = $1`, id))
	return n + roles, err
}
