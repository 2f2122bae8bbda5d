package orgstore

import "context"

// pruneBatch is how many events one transaction deletes at most.
const pruneBatch = 1000

// Prune deletes the events that are older than Config.EventRetention, the oldest first, in batches with a transaction each, and
// returns how many it deleted (rule EVT-4). Call it now and then; it may be stopped at any time. No revision is raised, and caches
// are not affected. A follower that has not seen what is deleted is told by Behind.
//
// Events that are younger than the oldest transaction in progress stay until that has ended, and so do those after them.
func (s *Events) Prune(ctx context.Context) (deleted int, err error) {
	for {
		n := 0
		_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
			n = 0
			if err := tx.permit(ctx, "", "delete:events"); err != nil {
				return err
			}
			var err error
			n, err = tx.prune(ctx)
			tx.dirty = tx.dirty || n > 0
			return err
		})
		deleted += n
		if err != nil || n < pruneBatch {
			return deleted, err
		}
	}
}

func (tx *transaction) prune(ctx context.Context) (int, error) {
	// The row that remembers it comes first: whoever prunes at the same time waits for it.
	var text string
	if err := tx.sql.QueryRowContext(ctx, `UPDATE orgauthz_meta SET pruned_id = pruned_id WHERE id = 1 RETURNING `+
		tx.dialect.Feed().Snapshot).Scan(&text); err != nil {
		return 0, err
	}
	seen, err := parseSnapshot(text)
	if err != nil {
		return 0, err
	}
	// What is deleted lies before every transaction that a follower of this moment has still to wait for, so that no cursor from
	// now on looks as if it were behind.
	bound := firstEventID(tx.cfg.Clock().Add(-tx.cfg.EventRetention))
	var young string
	if err := tx.sql.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), '') FROM orgauthz_events WHERE position >= $1`, seen.xmin).
		Scan(&young); err != nil {
		return 0, err
	}
	if young != "" {
		bound = min(bound, young)
	}
	type row struct {
		id       string
		position int64
	}
	rows, err := collect(ctx, tx.sql, `
		DELETE FROM orgauthz_events WHERE id IN
			(SELECT id FROM orgauthz_events WHERE id < $1 AND position < $2 ORDER BY id LIMIT $3)
		RETURNING id, position`, []any{bound, seen.xmin, pruneBatch},
		func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.position) })
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	last := row{position: -1}
	for _, r := range rows {
		last = row{max(last.id, r.id), max(last.position, r.position)}
	}
	_, err = tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_meta SET pruned_id = CASE WHEN pruned_id < $1 THEN $1 ELSE pruned_id END,
			pruned_position = CASE WHEN pruned_position < $2 THEN $2 ELSE pruned_position END
		WHERE id = 1`, last.id, last.position)
	return len(rows), err
}
