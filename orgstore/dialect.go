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

	// Lock makes the transaction the only one that changes the scopes of write until it ends, and keeps the scopes of
	// read from being changed by others meanwhile. Both are sorted by kind, organization and id, and hold no duplicates.
	// Scopes that have no row yet are locked too. It does nothing where write transactions run one at a time.
	Lock(ctx context.Context, tx *sql.Tx, write, read []Scope) error

	// Alive returns an error when tx has already ended although nobody ended it: a database may roll back a transaction
	// whose statement fails (SQLite does when a write is interrupted, or the disk is full) and would commit each later
	// statement by itself. It returns nil where a failed transaction refuses later statements.
	Alive(ctx context.Context, tx *sql.Tx) error

	// Stamp returns the position of the transaction's changes, and its time: now, or the time of an earlier transaction
	// where that is later, so that ids made of both sort in the order of commits as well as the database can tell it.
	// Both in microseconds since 1970. It is called once per transaction, before its first change.
	Stamp(ctx context.Context, tx *sql.Tx, now int64) (position, at int64, err error)
}
