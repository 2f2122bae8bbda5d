package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Codes of PostgreSQL's errors: https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	uniqueViolation       = "23505"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	invalidCatalogName    = "3D000"
	insufficientPrivilege = "42501"
	tooManyConnections    = "53300"
	cannotConnectNow      = "57P03"
)

// dialect is the orgstore.Dialect of PostgreSQL.
type dialect struct {
	gated func(orgstore.Scope) bool
}

var _ orgstore.Dialect = dialect{}

// Retryable leaves a lost connection to the caller, who knows whether there is another server, and a lock that was not got
// within lock_timeout, because that was all the time there is.
func (dialect) Retryable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch e.Code {
	case serializationFailure, deadlockDetected:
		return true
	case uniqueViolation: // of the engine's: one of the application's own would not go away
		return strings.HasPrefix(e.ConstraintName, "orgauthz_")
	}
	return false
}

func (dialect) Undecided(err error) bool {
	_, ok := errors.AsType[*unanswered](err)
	return ok
}

// Lock goes through both lists in one ascending order, with one statement for each stretch of the same kind of lock.
func (d dialect) Lock(ctx context.Context, tx *sql.Tx, write, read []orgstore.Scope) (clock int64, err error) {
	for len(write)+len(read) > 0 {
		list, statement := &write, lockToWrite
		bound := read
		if len(write) == 0 || len(read) > 0 && less(read[0], write[0]) {
			list, statement = &read, lockToRead
			bound = write
		}
		n := 1
		for n < len(*list) && (len(bound) == 0 || less((*list)[n], bound[0])) {
			n++
		}
		newest, err := d.lock(ctx, tx, statement, (*list)[:n])
		if err != nil {
			return 0, err
		}
		*list, clock = (*list)[n:], max(clock, newest)
	}
	return clock, nil
}

const (
	// An update instead of FOR UPDATE does three things at once: it makes missing rows, it locks, and it makes transactions
	// with REPEATABLE READ that began before fail rather than go on with what they have seen. The value 0 is never read.
	lockToWrite = `
		WITH gates AS MATERIALIZED (SELECT pg_advisory_xact_lock(key) IS NULL FROM unnest($4::bigint[]) AS key)
		INSERT INTO orgauthz_scopes (kind, org, id, revision, position)
		SELECT s.kind, s.org, s.id, 0, 0
		FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS s (kind, org, id, n)
		WHERE (SELECT COUNT(*) FROM gates) >= 0 ORDER BY s.n
		ON CONFLICT (kind, org, id) DO UPDATE SET revision = orgauthz_scopes.revision
		RETURNING kind, org, id, clock`

	lockToRead = `
		WITH gates AS MATERIALIZED (SELECT pg_advisory_xact_lock_shared(key) IS NULL FROM unnest($4::bigint[]) AS key)
		SELECT o.kind, o.org, o.id, o.clock
		FROM unnest($1::smallint[], $2::text[], $3::text[]) WITH ORDINALITY AS s (kind, org, id, n)
		JOIN orgauthz_scopes o ON o.kind = s.kind AND o.org = s.org AND o.id = s.id
		WHERE (SELECT COUNT(*) FROM gates) >= 0 ORDER BY s.n FOR SHARE OF o`
)

// lock locks scopes, which are in order, and returns their newest clock.
func (d dialect) lock(ctx context.Context, tx *sql.Tx, statement string, scopes []orgstore.Scope) (clock int64, err error) {
	kinds, orgs, ids := make([]int16, len(scopes)), make([]string, len(scopes)), make([]string, len(scopes))
	var gates []int64
	for i, s := range scopes {
		kinds[i], orgs[i], ids[i] = int16(s.Kind), s.Org, s.ID
		if d.gated(s) {
			gates = append(gates, gate(s))
		}
	}
	rows, err := tx.QueryContext(ctx, statement, kinds, orgs, ids, gates)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	there := make(map[orgstore.Scope]bool, len(scopes))
	for rows.Next() {
		var got orgstore.Scope
		var of int64
		if err := rows.Scan(&got.Kind, &got.Org, &got.ID, &of); err != nil {
			return 0, err
		}
		clock, there[got] = max(clock, of), true
	}
	if err := rows.Err(); err != nil || len(there) == len(scopes) {
		return clock, err
	}
	missing := slices.DeleteFunc(slices.Clone(scopes), func(s orgstore.Scope) bool { return there[s] })
	// What has no row cannot be shared. It is about to be missed, or has been made this very moment.
	newest, err := d.lock(ctx, tx, lockToWrite, missing)
	return max(clock, newest), err
}

// gated reports whether a lock of s has a gate before it: an advisory lock of the same kind, until the end of the transaction.
// PostgreSQL lets locks that share a row pass those that want it alone, without end while there are enough of them, so that
// nobody could suspend an organization or take a permission from a role whose members change all the time. Advisory locks
// come in turn. Memberships and names are not shared, and a user's memberships in one organization change one after the
// other: they need no gate. The fewer there are, the less can a large transaction fill the server's table of locks.
func gated(s orgstore.Scope) bool {
	return s.Kind == orgstore.ScopeOrganization || s.Kind == orgstore.ScopeRole
}

func gate(s orgstore.Scope) int64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "orgauthz %d %s", s.Kind, s.ID) // a Hash never fails
	return int64(h.Sum64())
}

// less is the order in which everybody locks.
func less(a, b orgstore.Scope) bool {
	switch {
	case a.Kind != b.Kind:
		return a.Kind < b.Kind
	case a.Org != b.Org:
		return a.Org < b.Org
	}
	return a.ID < b.ID
}

// Alive leaves it to PostgreSQL, which refuses a savepoint outside of a transaction, and to the commit.
func (dialect) Alive(context.Context, *sql.Tx) error { return nil }

// Join also makes the commit wait for the disk, as those of the engine's own do. It asks nothing that could fail, which would
// end the transaction.
func (dialect) Join(ctx context.Context, tx *sql.Tx, own *sql.DB) error {
	const table = `SELECT COALESCE(to_regclass('orgauthz_scopes')::oid::bigint, 0), current_database()`
	var theirs, ours struct {
		table    int64
		database string
	}
	var readOnly, commit string
	if err := tx.QueryRowContext(ctx, table+`, current_setting('transaction_read_only'),
		CASE WHEN current_setting('synchronous_commit') IN ('on', 'remote_apply') THEN '' ELSE set_config('synchronous_commit', 'on', true) END`).
		Scan(&theirs.table, &theirs.database, &readOnly, &commit); err != nil {
		return err
	}
	if err := own.QueryRowContext(ctx, table).Scan(&ours.table, &ours.database); err != nil {
		return err
	}
	switch {
	case theirs != ours:
		return &orgstore.Invalid{Field: "tx", Text: "must be one of the engine's database, with its tables on the search_path"}
	case readOnly != "off":
		return &orgstore.Invalid{Field: "tx", Text: "must be writable"}
	}
	return nil
}

// Stamp takes the transaction's id as position, from which a reader with a snapshot knows what it has not seen yet. There is
// no row that all transactions would have to update.
func (dialect) Stamp(ctx context.Context, tx *sql.Tx, now int64) (position, at int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT pg_current_xact_id()::text::bigint`).Scan(&position)
	return position, now, err
}

// Newest is asked with each answer, although connections to a standby are refused: a pooler may change what is behind one.
func (dialect) Newest() string { return "NOT pg_is_in_recovery()" }

// Feed tells what is visible from PostgreSQL's own snapshots, because transactions commit in another order than that of their
// ids. The timeline is that of the write-ahead log that is written: the control file lags after a promotion.
func (dialect) Feed() orgstore.Feed {
	return orgstore.Feed{
		Snapshot: `pg_current_snapshot()::text`,
		Since: func(xmax, xip string) string {
			return `(position >= ` + xmax + ` OR position = ANY (string_to_array(` + xip + `, ',')::bigint[]))`
		},
		Cluster:  `(SELECT system_identifier::text FROM pg_control_system())`,
		Timeline: `left(pg_walfile_name(pg_current_wal_lsn()), 8)`,
		Progress: `(pg_current_wal_lsn() - '0/0')::bigint`,
		Clock:    now,
	}
}

func (dialect) References() string {
	return `
		SELECT c.conrelid::regclass::text, c.conname::text, child.attname::text, c.confrelid::regclass::text, parent.attname::text
		FROM pg_constraint c, unnest(c.conkey, c.confkey) WITH ORDINALITY AS k (child, parent, n), pg_attribute child, pg_attribute parent
		WHERE c.contype = 'f' AND c.connamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'orgauthz_scopes'::regclass)
		AND c.conrelid::regclass::text LIKE 'orgauthz\_%'
		AND child.attrelid = c.conrelid AND child.attnum = k.child AND parent.attrelid = c.confrelid AND parent.attnum = k.parent
		ORDER BY c.conrelid::regclass::text, c.conname, k.n`
}

// Damage leaves it to the extension amcheck, which an administrator has to create.
func (dialect) Damage() string { return "" }

// now is the server's clock, microseconds since 1970.
const now = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`

// Now is the server's clock: that of a node would let what has expired live on while it is behind.
func (dialect) Now() string { return now }

func (dialect) Prepares() bool { return true }
