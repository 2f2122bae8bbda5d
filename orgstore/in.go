package orgstore

import (
	"context"
	"database/sql"
	"errors"
)

// ErrNotCommitted is the error of Joined.Committed when the transaction is not, or not yet, committed to the engine's database.
var ErrNotCommitted = errors.New("orgstore: the transaction is not committed")

// Joined is an Engine whose operations run in a transaction that somebody else commits; see Engine.In.
type Joined struct {
	*Engine
	result *Result // of Committed, once it has been
}

// In returns an Engine whose operations join tx, a transaction that the caller began on the same database and ends itself. It
// is for callers whose framework owns the transaction: Transact does more for everybody else.
//
//	in := engine.In(tx)
//	_, err := in.Members.Remove(ctx, org, user)
//	…
//	err = tx.Commit()
//	…
//	result, err := in.Committed(ctx)
//
// Nothing leaves the process before Committed, which is to be called after the commit: it tells the functions of OnCommit, and
// what it returns is the acknowledgement. Until then other nodes, and caches on this one, may answer from before the change for
// as long as their MaxStaleness, and no longer, whether it is called or not. What the caller rolls back, all of it or to a
// savepoint, has never been.
//
// An operation that fails undoes what it did itself, no more. Reads see what tx has done so far and are of tx alone. Conflicts
// with other transactions are for the caller, who runs the whole transaction again: they are ErrUnavailable and wrap the
// driver's error. Idempotency keys are not looked at: the caller's own retry is what repeats, and only the caller can tell what
// else was in tx. A context's key is left for the next mutation outside.
//
// tx must be writable. On PostgreSQL any isolation level will do, and commits are made to be synced; a lock is waited for as
// long as the transaction's lock_timeout and ctx allow. On SQLite its driver is modernc.org/sqlite, with foreign_keys on, as the
// engine's; transactions that begin with BEGIN IMMEDIATE (_txlock=immediate) need not run again. There, nobody else can write
// until tx ends: a mutation of the Engine that In was called on, made while tx is open by its own goroutine, fails when
// Config.LockTimeout is over. What is unfit for the engine is Invalid, from the first operation on.
//
// A Joined is for one goroutine, like tx.
func (e *Engine) In(tx *sql.Tx) *Joined {
	in := e.engine(&transaction{core: e.core, sql: sqlTx{tx, e.cfg.Clock}, foreign: true})
	in.as = e.as
	return &Joined{Engine: in}
}

// fit checks, once, that tx, which is somebody else's, is fit for the engine.
func (tx *transaction) fit(ctx context.Context) error {
	if err := tx.enter(); err != nil {
		return err
	}
	defer tx.leave()
	if !tx.fitting {
		if err := tx.dialect.Join(ctx, tx.sql.Tx, tx.read); err != nil {
			return err
		}
		tx.fitting = true
	}
	return nil
}

// Committed says what the operations have done, after the caller has committed their transaction, and tells the functions of
// OnCommit of it. It looks for the changes on another connection: when they are not there, it is ErrNotCommitted and nobody is
// told; the caller may ask again. So it also answers whether a commit whose outcome is unknown was done. Without any change it
// has nothing to look for, and returns the zero Result. After success it returns the same Result again and tells nobody.
func (j *Joined) Committed(ctx context.Context) (Result, error) {
	if j.result != nil {
		return *j.result, nil
	}
	tx := j.tx
	if err := tx.enter(); err != nil {
		return Result{}, err
	}
	defer tx.leave()
	if len(tx.changes) == 0 {
		return Result{}, nil
	}
	found, err := tx.kept(ctx, pool{tx.read, tx.cfg.Clock})
	if err != nil {
		return Result{}, tx.failure(ctx, err)
	}
	if len(found) == 0 {
		if err := j.core.engine(nil).Health(ctx); err != nil {
			return Result{}, err // a server that may lack the newest changes
		}
		return Result{}, ErrNotCommitted
	}
	tx.ended = true
	tx.committed(ctx, found)
	result := resultOf(found)
	j.result = &result
	return result, nil
}
