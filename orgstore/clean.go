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
		n := 0
		_, err := e.mutate(ctx, nil, func(tx *transaction) error {
			n, tx.dirty = 0, true
			var id string
			// Who deletes members locks the row that counts them first.
			err := tx.sql.QueryRowContext(ctx, `
				UPDATE orgauthz_organizations SET members = members
				WHERE id = (SELECT id FROM orgauthz_organizations WHERE deleted_at IS NOT NULL AND members > 0 LIMIT 1)
				RETURNING id`).Scan(&id)
			if err == nil {
				n, err = cleanOrganization(ctx, tx, id)
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
		if err != nil || n == 0 {
			return deleted, err
		}
	}
}

// cleanOrganization deletes members of a deleted organization, with the roles that they held there.
func cleanOrganization(ctx context.Context, tx *transaction, id string) (int, error) {
	n, err := affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_members WHERE org_id = $1 AND user_id IN
			(SELECT user_id FROM orgauthz_members WHERE org_id = $1 ORDER BY user_id LIMIT $2)`, id, cleanBatch))
	if err != nil || n == 0 {
		return n, err
	}
	_, err = tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET members = members - $2 WHERE id = $1`, id, n)
	return n, err
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
