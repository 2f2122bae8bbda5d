package orgstore

import (
	"context"
	"database/sql"
)

// Dialect is what differs between the databases that an Engine works on. It is small because the engine's SQL keeps to
// what SQLite and PostgreSQL share: numbered placeholders ($1), ON CONFLICT, RETURNING, partial indexes, savepoints; and
// its columns to text, integers, and instants as integers (microseconds since 1970).
type Dialect interface {
	// Retryable reports whether err says that the transaction lost against another one, and that running it again may
	// succeed: a lock not got in time, a serialization failure, a deadlock, or a unique index that a concurrent
	// transaction filled first (the second run then finds what was in the way).
	Retryable(err error) bool

	// Undecided reports whether err, with which a commit has ended, leaves open whether the transaction was committed.
	Undecided(err error) bool

	// Lock makes the transaction the only one that changes the scopes of write until it ends, and keeps the scopes of
	// read from being changed by others meanwhile. Both are sorted by kind, organization and id, hold no duplicates and
	// nothing that cannot exist. Scopes of write that have no row yet get one, with revision 0. What was committed by
	// whoever had the locks before is visible afterwards, or Lock fails as Retryable.
	//
	// It returns the newest clock of the scopes. Where write transactions run one at a time it does nothing.
	Lock(ctx context.Context, tx *sql.Tx, write, read []Scope) (clock int64, err error)

	// Alive returns an error when tx has already ended although nobody ended it: a database may roll back a transaction
	// whose statement fails (SQLite does when a write is interrupted, or the disk is full) and would commit each later
	// statement by itself. It returns nil where a failed transaction refuses later statements.
	Alive(ctx context.Context, tx *sql.Tx) error

	// Join returns an Invalid of the field tx when operations cannot run in tx, which somebody else began: when it is not one
	// of the database that own is a pool of, cannot write, or lacks what the engine's own have. It makes what it can so.
	Join(ctx context.Context, tx *sql.Tx, own *sql.DB) error

	// Stamp returns the position of the transaction's changes, and their time: now, or later where the database keeps one
	// clock for all transactions. Ids that are made of both sort in the order of commits as far as these depend on each
	// other: now is later than what Lock returned. Both in microseconds since 1970. It is called once per transaction,
	// before its first change.
	Stamp(ctx context.Context, tx *sql.Tx, now int64) (position, at int64, err error)

	// Newest is a condition in SQL that is false on a server that may lack what was committed elsewhere. A statement whose
	// WHERE it is then returns no row, which is no answer.
	Newest() string

	// Now is the time in SQL, in microseconds since 1970, where the database has one clock for all nodes, by which they can agree
	// on what has expired. It is empty where the engine's own clock is as good.
	Now() string

	// Feed returns the SQL that the change feed reads with.
	Feed() Feed

	// References is a statement that lists the columns of all foreign keys of the engine's tables: table, what names the key
	// within it, column, table and column that it refers to; those of one key after each other.
	References() string

	// Damage is a statement that returns what the database finds damaged in itself, as text; empty where it cannot tell.
	Damage() string

	// Prepares reports whether the driver keeps statements prepared by itself, so that the engine need not.
	Prepares() bool
}

// Feed is SQL with which Engine.Poll and Events.Follow read what became visible. All but Since are expressions over the row of
// orgauthz_meta, without parameters, that must not fail where Newest is true.
type Feed struct {
	// Snapshot is the text of what the statement sees, by the positions of Stamp: xmin:xmax:xip, as PostgreSQL writes its
	// pg_snapshot. Seen are all transactions with positions below xmax that are not among xip (separated by commas); all of
	// xip are at least xmin.
	Snapshot string
	// Since is the condition that a row's column position is not seen in a snapshot, whose xmax (a number) and xip (a text)
	// are the two parameters, for example $1 and $2. It should be served by an index.
	Since func(xmax, xip string) string
	// Cluster is the text of what counts the positions: those of two clusters are not to be compared.
	Cluster string
	// Timeline is a text that changes when the server has come to its state in another way than by committing, as far as
	// it knows: by promotion, or by recovery to a point in time.
	Timeline string
	// Progress is a number that is lower than it was only when commits have been lost.
	Progress string
	// Clock is the time now, in microseconds since 1970.
	Clock string
}
