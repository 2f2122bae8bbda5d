package sqlite

import (
	"context"
	"database/sql"
	"errors"

	driverpkg "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/orgauthz/orgauthz/orgstore"
)

// dialect is the orgstore.Dialect of SQLite. Every write transaction begins with BEGIN IMMEDIATE: there is one at a time,
// and what it reads is the newest state.
type dialect struct{}

var _ orgstore.Dialect = dialect{}

func (dialect) Retryable(err error) bool {
	e, ok := errors.AsType[*driverpkg.Error](err)
	return ok && (e.Code()&0xff == codes.SQLITE_BUSY || e.Code()&0xff == codes.SQLITE_LOCKED)
}

func (dialect) Undecided(error) bool { return false }

func (dialect) Lock(context.Context, *sql.Tx, []orgstore.Scope, []orgstore.Scope) (int64, error) {
	return 0, nil
}

// Alive tries to begin a transaction, which SQLite refuses exactly while there is one.
func (dialect) Alive(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, "BEGIN")
	if e, ok := errors.AsType[*driverpkg.Error](err); ok && e.Code() == codes.SQLITE_ERROR {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "ROLLBACK")
	return errors.Join(errors.New("SQLite has rolled the transaction back"), err)
}

// Join insists on foreign keys, which every connection has to be told to keep: without them a member who is removed would
// leave roles behind.
func (dialect) Join(ctx context.Context, tx *sql.Tx, own *sql.DB) error {
	const file = `SELECT file FROM pragma_database_list WHERE name = 'main'`
	var keys, readOnly int
	var theirs, ours string
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT foreign_keys FROM pragma_foreign_keys), (SELECT query_only FROM pragma_query_only),
		(`+file+`)`).Scan(&keys, &readOnly, &theirs); err != nil {
		return err
	}
	if err := own.QueryRowContext(ctx, file).Scan(&ours); err != nil {
		return err
	}
	switch {
	case theirs != ours:
		return &orgstore.Invalid{Field: "tx", Text: "must be one of the engine's database file"}
	case keys == 0:
		return &orgstore.Invalid{Field: "tx", Text: "must be one of a connection with foreign_keys on"}
	case readOnly != 0:
		return &orgstore.Invalid{Field: "tx", Text: "must be writable"}
	}
	// Takes the write lock, or fails when others have written since tx read for the first time: otherwise an operation could
	// find in an old state that there is nothing to do.
	_, err := tx.ExecContext(ctx, `UPDATE orgauthz_meta SET position = position WHERE id = 1`)
	return err
}

func (dialect) Stamp(ctx context.Context, tx *sql.Tx, now int64) (position, at int64, err error) {
	err = tx.QueryRowContext(ctx, `
		UPDATE orgauthz_meta SET position = position + 1, clock = CASE WHEN clock < $1 THEN $1 ELSE clock END
		WHERE id = 1 RETURNING position, clock`, now).Scan(&position, &at)
	return position, at, err
}

func (dialect) Newest() string { return "1 = 1" }

// Feed counts positions in the row of orgauthz_meta, which is what a statement sees of it: one transaction writes at a time.
// A file has no timeline; that it was replaced by an older copy shows in the counter.
func (dialect) Feed() orgstore.Feed {
	return orgstore.Feed{
		Snapshot: `(position + 1) || ':' || (position + 1) || ':'`,
		Since: func(xmax, xip string) string {
			return `(position >= ` + xmax + ` AND ` + xip + ` IS NOT NULL)` // nothing else is ever in progress
		},
		Cluster:  `'sqlite'`,
		Timeline: `''`,
		Progress: `position`,
		Clock:    `CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)`,
	}
}

func (dialect) References() string {
	return `
		SELECT t.name, CAST(f.id AS TEXT), f."from", f."table", f."to" FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f
		WHERE t.type = 'table' AND t.name LIKE 'orgauthz\_%' ESCAPE '\' ORDER BY t.name, f.id, f.seq`
}

func (dialect) Damage() string {
	return `SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`
}

// Now leaves it to the engine, which runs on the same machine.
func (dialect) Now() string { return "" }

func (dialect) Prepares() bool { return false }
