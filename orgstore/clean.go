package orgstore

import (
	"context"
	"database/sql"
	"errors"
)

// cleanBatch is how many rows one transaction cleans up at most.
const cleanBatch = 1000

// leftovers are what Clean looks for: rows of something deleted that are left, and who deletes a batch of them.
var leftovers = []struct {
	find  string
	clean func(ctx context.Context, tx *transaction, id string, most int) (int, error)
}{
	// Who deletes members locks the row that counts them first.
	{`UPDATE orgauthz_organizations SET cleaned = cleaned
		WHERE id = (SELECT id FROM orgauthz_organizations WHERE deleted_at IS NOT NULL AND cleaned = 0 LIMIT 1)
		RETURNING id`, cleanOrganization},
	{`SELECT r.id FROM orgauthz_roles r WHERE r.deleted_at IS NOT NULL
		AND (EXISTS (SELECT 1 FROM orgauthz_member_roles h WHERE h.role_id = r.id)
			OR EXISTS (SELECT 1 FROM orgauthz_team_roles h WHERE h.role_id = r.id)
			OR EXISTS (SELECT 1 FROM orgauthz_group_roles h WHERE h.role_id = r.id)
			OR EXISTS (SELECT 1 FROM orgauthz_contract_roles h WHERE h.role_id = r.id)) LIMIT 1`, cleanRole},
	{`SELECT g.id FROM orgauthz_groups g WHERE g.deleted_at IS NOT NULL
		AND (EXISTS (SELECT 1 FROM orgauthz_group_members h WHERE h.group_id = g.id)
			OR EXISTS (SELECT 1 FROM orgauthz_organization_groups h WHERE h.group_id = g.id)) LIMIT 1`, cleanGroup},
	{`SELECT t.id FROM orgauthz_teams t WHERE t.deleted_at IS NOT NULL
		AND (EXISTS (SELECT 1 FROM orgauthz_team_members h WHERE h.team_id = t.id)
			OR EXISTS (SELECT 1 FROM orgauthz_team_roles h WHERE h.team_id = t.id)) LIMIT 1`, cleanTeam},
	{`SELECT c.id FROM orgauthz_connections c WHERE c.deleted_at IS NOT NULL
		AND (EXISTS (SELECT 1 FROM orgauthz_identities h WHERE h.connection_id = c.id)
			OR EXISTS (SELECT 1 FROM orgauthz_enabled_connections h WHERE h.connection_id = c.id)) LIMIT 1`, cleanConnection},
	{`SELECT c.id FROM orgauthz_clients c WHERE c.deleted_at IS NOT NULL
		AND (EXISTS (SELECT 1 FROM orgauthz_organization_clients h WHERE h.client_id = c.id)
			OR EXISTS (SELECT 1 FROM orgauthz_templates h WHERE h.client_id = c.id AND h.client_id <> '')) LIMIT 1`, cleanClient},
}

// Clean makes deletions of those that were scheduled (Organizations.ScheduleDeletion) and are due. Then it deletes what deleted
// organizations, roles, teams, connections and applications have left behind, memberships and roles of members that have ended, and idempotency
// keys and sessions whose time is over, in batches with a transaction each, and returns how many rows these were. Nothing of that
// was to be seen any more, so that it raises no revision and tells no event, except for memberships and roles that have ended: that
// is told here for the first time (rule LIFE-4). Call Clean now and then; it may be stopped at any time.
func (e *Engine) Clean(ctx context.Context) (deleted int, err error) {
	if e.as != nil {
		return 0, &Denied{"delete:organizations"}
	}
	if err := e.Organizations.deleteDue(ctx); err != nil {
		return 0, err
	}
	for _, clean := range cleaners {
		for more := true; more; {
			n := 0
			if _, err := e.mutate(ctx, nil, func(tx *transaction) (err error) {
				tx.dirty = true
				n, more, err = clean(ctx, tx)
				return err
			}); err != nil {
				return deleted, err
			}
			deleted += n
		}
	}
	return deleted, nil
}

// cleaners are the steps of Clean. Each deletes a batch in one transaction, and says whether there may be more.
var cleaners = []func(ctx context.Context, tx *transaction) (deleted int, more bool, err error){
	cleanLeftovers, untilNone(cleanExpiredMembers), untilNone(cleanExpiredRoles), untilNone(cleanKeys), untilNone(cleanSessions),
}

// untilNone is a cleaner that is done when it finds nothing.
func untilNone(clean func(ctx context.Context, tx *transaction) (int, error)) func(context.Context, *transaction) (int, bool, error) {
	return func(ctx context.Context, tx *transaction) (deleted int, more bool, err error) {
		deleted, err = clean(ctx, tx)
		return deleted, deleted > 0, err
	}
}

func cleanLeftovers(ctx context.Context, tx *transaction) (deleted int, more bool, err error) {
	for _, l := range leftovers {
		var id string
		err := tx.sql.QueryRowContext(ctx, l.find).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			deleted, err = l.clean(ctx, tx, id, cleanBatch)
		}
		return deleted, true, err
	}
	return 0, false, nil
}

// owned lists the tables of what organizations have, each after those that refer to it, with the columns that are its key beside
// org_id. Rows that depend on one of them with ON DELETE CASCADE go along.
var owned = []struct{ table, key string }{
	{"orgauthz_members", "user_id"},
	{"orgauthz_organization_grants", "grant_id"},
	{"orgauthz_domains", "id"},
	{"orgauthz_enabled_connections", "connection_id"},
	{"orgauthz_organization_clients", "client_id"},
	{"orgauthz_templates", "kind"},
	{"orgauthz_api_keys", "id"},
	{"orgauthz_requests", "id"},
	{"orgauthz_group_roles", "group_id, role_id"},
	{"orgauthz_organization_groups", "group_id"},
	{"orgauthz_invitations", "id"},
}

// cleanOrganization deletes at most so many rows of what a deleted organization had, and writes down when none is left.
func cleanOrganization(ctx context.Context, tx *transaction, id string, most int) (deleted int, err error) {
	members := 0
	for _, o := range owned {
		n, err := affected(tx.sql.ExecContext(ctx, `
			DELETE FROM `+o.table+` WHERE org_id = $1 AND (`+o.key+`) IN
				(SELECT `+o.key+` FROM `+o.table+` WHERE org_id = $1 ORDER BY `+o.key+` LIMIT $2)`, id, most-deleted))
		if err != nil {
			return deleted, err
		}
		if deleted += n; o.table == "orgauthz_members" {
			members = n
		}
	}
	_, err = tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET members = members - $2, cleaned = $3 WHERE id = $1`,
		id, members, flag(deleted < most))
	return deleted, err
}

// cleanRole takes a deleted role from at most so many of those who hold it.
func cleanRole(ctx context.Context, tx *transaction, id string, most int) (deleted int, err error) {
	for _, held := range []struct{ table, by string }{
		{"orgauthz_member_roles", "org_id, user_id"},
		{"orgauthz_team_roles", "team_id"},
		{"orgauthz_group_roles", "org_id, group_id"},
		{"orgauthz_contract_roles", "contract_id"},
	} {
		n, err := affected(tx.sql.ExecContext(ctx, `DELETE FROM `+held.table+` WHERE role_id = $1 AND (`+held.by+`) IN
			(SELECT `+held.by+` FROM `+held.table+` WHERE role_id = $1 LIMIT $2)`, id, most-deleted))
		if deleted += n; err != nil || deleted == most {
			return deleted, err
		}
	}
	return deleted, nil
}

func affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
