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
	for last := ""; ; {
		n, next := 0, last
		_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
			n = 0
			if err := tx.permit(ctx, "", "delete:events"); err != nil {
				return err
			}
			var err error
			n, next, err = tx.prune(ctx, last)
			tx.dirty = tx.dirty || n > 0
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted, last = deleted+n, next
		if n < pruneBatch {
			return deleted, nil
		}
	}
}

// prune deletes a batch after the id of the last one: the database need not look again at what it has deleted. It returns the
// last id of the batch.
func (tx *transaction) prune(ctx context.Context, after string) (n int, last string, err error) {
	// The row that remembers it comes first: whoever prunes at the same time waits for it.
	var text string
	if err := tx.sql.QueryRowContext(ctx, `UPDATE orgauthz_meta SET pruned_id = pruned_id WHERE id = 1 RETURNING `+
		tx.dialect.Feed().Snapshot).Scan(&text); err != nil {
		return 0, after, err
	}
	seen, err := parseSnapshot(text)
	if err != nil {
		return 0, after, err
	}
	// What is deleted lies before every transaction that a follower of this moment has still to wait for, so that no cursor from
	// now on looks as if it were behind.
	bound := firstEventID(tx.cfg.Clock().Add(-tx.cfg.EventRetention))
	var young string
	if err := tx.sql.QueryRowContext(ctx, `SELECT COALESCE(MIN(id), '') FROM orgauthz_events WHERE position >= $1`, seen.xmin).
		Scan(&young); err != nil {
		return 0, after, err
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
			(SELECT id FROM orgauthz_events WHERE id > $1 AND id < $2 AND position < $3 ORDER BY id LIMIT $4)
		RETURNING id, position`, []any{after, bound, seen.xmin, pruneBatch},
		func(s scanner) (r row, err error) { return r, s.Scan(&r.id, &r.position) })
	if err != nil || len(rows) == 0 {
		return 0, after, err
	}
	newest := row{position: -1}
	for _, r := range rows {
		newest = row{max(newest.id, r.id), max(newest.position, r.position)}
	}
	_, err = tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_meta SET pruned_id = CASE WHEN pruned_id < $1 THEN $1 ELSE pruned_id END,
			pruned_position = CASE WHEN pruned_position < $2 THEN $2 ELSE pruned_position END
		WHERE id = 1`, newest.id, newest.position)
	return len(rows), newest.id, err
}
