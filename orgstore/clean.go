package orgstore

import (
	"context"
	"database/sql"
	"errors"
)

// cleanBatch is how many rows one transaction cleans up at most.
const cleanBatch = 1000

// Clean deletes what deleted organizations and roles have left behind, and idempotency keys whose time is over, in batches with
// a transaction each, and returns how many rows it deleted. Nothing that Clean deletes was to be seen any more, so that it raises
// no revision and tells no event. Call it now and then; it may be stopped at any time.
func (e *Engine) Clean(ctx context.Context) (deleted int, err error) {
	for {
		n, more := 0, false
		_, err := e.mutate(ctx, nil, func(tx *transaction) error {
			n, more, tx.dirty = 0, false, true
			var id string
			// Who deletes members locks the row that counts them first.
			err := tx.sql.QueryRowContext(ctx, `
				UPDATE orgauthz_organizations SET cleaned = cleaned
				WHERE id = (SELECT id FROM orgauthz_organizations WHERE deleted_at IS NOT NULL AND cleaned = 0 LIMIT 1)
				RETURNING id`).Scan(&id)
			if err == nil {
				n, err = cleanOrganization(ctx, tx, id, cleanBatch)
				more = true
				return err
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			err = tx.sql.QueryRowContext(ctx, `
				SELECT r.id FROM orgauthz_roles r WHERE r.deleted_at IS NOT NULL
				AND EXISTS (SELECT 1 FROM orgauthz_member_roles mr WHERE mr.role_id = r.id) LIMIT 1`).Scan(&id)
			if err == nil {
				n, err = cleanRole(ctx, tx, id)
				return err
			}
			if errors.Is(err, sql.ErrNoRows) {
				n, err = cleanKeys(ctx, tx)
			}
			return err
		})
		deleted += n
		if err != nil || n == 0 && !more {
			return deleted, err
		}
	}
}

// owned lists the tables of what organizations have, each after those that refer to it, with the columns that are its key beside
// org_id. Rows that depend on one of them with ON DELETE CASCADE go along.
var owned = []struct{ table, key string }{
	{"orgauthz_members", "user_id"},
	{"orgauthz_domains", "id"},
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

// cleanRole takes a deleted role from members.
func cleanRole(ctx context.Context, tx *transaction, id string) (int, error) {
	return affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_member_roles WHERE role_id = $1 AND (org_id, user_id) IN
			(SELECT org_id, user_id FROM orgauthz_member_roles WHERE role_id = $1 LIMIT $2)`, id, cleanBatch))
}

func affected(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}
