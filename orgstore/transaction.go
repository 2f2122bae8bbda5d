package orgstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Result says what a mutation did.
type Result struct {
	// Changed is false when there was nothing to do: then nothing was written, no revision raised and no event told.
	Changed bool
	// Revision holds the revisions that the mutation raised, for Query.AtLeast. Nil when nothing changed.
	Revision Vector
	// Replayed is true when the answer is that of an earlier call with the same idempotency key, and this one did nothing.
	Replayed bool
}

func resultOf(changes []Change) Result {
	if len(changes) == 0 {
		return Result{}
	}
	last, at := make(Vector, 0, len(changes)), make(map[Scope]int, len(changes))
	for _, c := range changes {
		i, ok := at[c.Scope]
		if !ok {
			i = len(last)
			last, at[c.Scope] = append(last, Revision{}), i
		}
		last[i] = Revision{c.Scope, c.Revision}
	}
	return Result{Changed: true, Revision: last}
}

// actorKey is the context key of WithActor.
type actorKey struct{}

// WithActor returns a context whose mutations name actor in their events: a user id, or whatever names who acts, in at most
// 1,024 bytes of printable characters. With any other actor they fail as Invalid.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

func actorOf(ctx context.Context) (string, error) {
	actor, _ := ctx.Value(actorKey{}).(string)
	if !validActor(actor) {
		return "", &Invalid{"actor", "", "must be at most 1,024 bytes of printable characters"}
	}
	return actor, nil
}

// insideKey is the context key that marks the function of a Transact of one core.
type insideKey struct{ *core }

// transaction is one SQL transaction of the engine.
type transaction struct {
	*core
	sql   sqlTx
	ended bool // the function of Transact has returned, or the database has ended the transaction
	dirty bool // something was written, or may have been, that is none of changes

	foreign bool // somebody else ends it
	fitting bool // foreign, and found to be fit

	replayed bool // changes are those of an earlier transaction

	id       string // change id
	position int64
	latest   int64     // newest clock of the scopes locked so far
	at       time.Time // zero until the first change
	changes  []Change
	events   []string // their ids

	as          *actor      // of the Engine whose operation is running
	authorities []authority // that the operation relies on, until lock has confirmed them
}

// mutate runs op, all of it or nothing, in the transaction that e is bound to or else in one of its own. c is for the
// comparison of calls with one idempotency key: call{"members.remove", org, user}. Operations that return what they have made
// use create.
func (e *Engine) mutate(ctx context.Context, c call, op func(tx *transaction) error) (Result, error) {
	return e.run(ctx, c, nil, op)
}

func (e *Engine) run(ctx context.Context, c call, v value, op func(tx *transaction) error) (Result, error) {
	bounded := func(tx *transaction) error {
		before := tx.as
		tx.as = e.as
		defer func() { tx.as, tx.authorities = before, nil }()
		return op(tx)
	}
	if e.tx != nil {
		return e.tx.join(ctx, func() error { return bounded(e.tx) })
	}
	result, err := e.commit(e.acting(ctx), sql.LevelReadCommitted, c.of(e.as), v, bounded)
	return result, e.failure(ctx, err)
}

// Transact runs fn in one transaction: what fn does with tx, and what it does with the operations of e, is committed
// together when fn returns nil, and not at all when it returns an error (which Transact returns as it is) or panics.
// Functions of OnCommit are called once, after the commit and before Transact returns. The Result is that of all
// operations of e.
//
// Inside fn: use e, not the Engine that Transact was called on, whose mutations are refused there (they would wait for this
// transaction to end). Reads of e see what fn has done so far. e.Transact nests: an error of the inner function undoes what
// the inner one did, no more. e and tx are for one goroutine, end with fn, and fn neither commits nor rolls back itself.
//
// fn may use savepoints of its own: what it rolls back to one has never been. It runs again from its beginning when the database
// reports a conflict with another transaction, so that its only effects should be those of the transaction. While it runs no one
// else may be able to write: keep it short.
//
// What fn reads with tx stays as it is until the commit, unless fn changes it: transactions are serial on SQLite, and have the
// isolation level REPEATABLE READ on PostgreSQL. After an error of a statement of its own fn should return, because PostgreSQL
// refuses everything after it; e.Transact around the statement keeps the error from spreading.
func (e *Engine) Transact(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx, e *Engine) error) (Result, error) {
	if e.tx != nil {
		return e.tx.nest(ctx, func() error { return fn(ctx, e.tx.sql.Tx, e) })
	}
	inside := context.WithValue(ctx, insideKey{e.core}, true)
	return e.commit(e.acting(ctx), sql.LevelRepeatableRead, call{"transact"}.of(e.as), nil, func(tx *transaction) error {
		tx.dirty = true
		defer func() { tx.ended = true }()
		bound := e.engine(tx)
		bound.as = e.as
		if err := fn(inside, tx.sql.Tx, bound); err != nil || len(tx.changes) == 0 {
			return err
		}
		kept, err := tx.kept(ctx, tx.sql)
		tx.changes = kept
		return tx.failure(ctx, err)
	})
}

// View runs fn in a read-only transaction of the same database, for a caller's own queries beside the engine's tables: one
// snapshot of all that was committed before. The error of fn is returned as it is. In the Engine of a Transact it sees what
// that has done so far.
func (e *Engine) View(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if e.tx != nil {
		if err := e.tx.usable(ctx); err != nil {
			return err
		}
		return fn(ctx, e.tx.sql.Tx)
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	tx, err := e.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return e.failure(ctx, err)
	}
	defer tx.Rollback() // a read has nothing to commit
	return fn(ctx, tx)
}

// commit runs op, which makes v, in a new transaction, again while it loses against others, and tells the listeners.
func (c *core) commit(ctx context.Context, level sql.IsolationLevel, what call, v value, op func(tx *transaction) error) (Result, error) {
	if ctx.Value(insideKey{c}) != nil {
		return Result{}, &Invalid{Field: "engine", Text: "must be the one that Transact hands to its function"}
	}
	once, err := what.once(ctx)
	if err != nil {
		return Result{}, err
	}
	if once != nil {
		first := op
		op = func(tx *transaction) error { return once.do(ctx, tx, v, first) }
	}
	if err := c.enter(); err != nil {
		return Result{}, err
	}
	defer c.leave()
	began := time.Now()
	for most := 2 * time.Millisecond; ; most = min(2*most, 64*time.Millisecond) {
		tx, err := c.attempt(ctx, level, op)
		if err == nil {
			c.committed(ctx, tx.changes)
			result := resultOf(tx.changes)
			result.Replayed = tx.replayed
			return result, nil
		}
		if ctx.Err() != nil || !c.dialect.Retryable(err) && !errors.Is(err, errMoved) || time.Since(began) >= c.cfg.LockTimeout {
			return Result{}, err
		}
		if _, ok := errors.AsType[*undecided](err); ok {
			return Result{}, err
		}
		pause := time.NewTimer(time.Millisecond + mathrand.N(most)) // longer and longer, and never the same as another's
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// attempt runs op in a new transaction once.
func (c *core) attempt(ctx context.Context, level sql.IsolationLevel, op func(tx *transaction) error) (*transaction, error) {
	// Waiting for a connection is waiting for other writers of this process.
	wait, cancel := context.WithTimeout(ctx, c.cfg.LockTimeout)
	conn, err := c.write.Conn(wait)
	cancel()
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	defer conn.Close()
	began, err := conn.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	defer began.Rollback() // after a commit it does nothing; after an error or a panic all is undone
	tx := &transaction{core: c, sql: sqlTx{began, c.cfg.Clock}}
	if err := op(tx); err != nil {
		return nil, err
	}
	if tx.replayed || len(tx.changes) == 0 && !tx.dirty {
		return tx, nil // there is nothing but locks
	}
	if err := began.Commit(); err != nil {
		if c.dialect.Undecided(err) {
			return nil, &undecided{err}
		}
		return nil, c.failure(ctx, err)
	}
	return tx, nil
}

// usable reports whether operations can still join tx.
func (tx *transaction) usable(ctx context.Context) error {
	if tx.foreign {
		if err := tx.fit(ctx); err != nil {
			return tx.failure(ctx, err)
		}
	}
	if !tx.ended {
		err := tx.dialect.Alive(ctx, tx.sql.Tx)
		if err == nil {
			// The caller may have rolled back to a savepoint of their own, and the stamp with it.
			tx.at = time.Time{}
			return nil
		}
		if ctx.Err() == nil {
			tx.ended = true
		}
		return tx.failure(ctx, fmt.Errorf("an earlier error has ended the transaction: %w", err))
	}
	return tx.failure(ctx, errors.New("the transaction of this engine has ended"))
}

// kept returns those of the changes that q finds in the database: what a caller rolls back to a savepoint of their own is gone,
// although the rest is not.
func (tx *transaction) kept(ctx context.Context, q queryer) ([]Change, error) {
	var kept []Change
	for ids := range slices.Chunk(tx.events, 500) {
		args, places := make([]any, len(ids)), make([]string, len(ids))
		for i, id := range ids {
			args[i], places[i] = id, "$"+strconv.Itoa(i+1)
		}
		found, err := collect(ctx, q, `SELECT id FROM orgauthz_events WHERE id IN (`+strings.Join(places, ", ")+`)`, args,
			func(row scanner) (id string, err error) { return id, row.Scan(&id) })
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if slices.Contains(found, id) {
				kept = append(kept, tx.changes[slices.Index(tx.events, id)])
			}
		}
	}
	return kept, nil
}

// savepoint names every savepoint of the engine: with the same name the newest counts, in SQLite as in PostgreSQL.
const savepoint = "orgauthz_savepoint"

// nest runs fn so that an error undoes what it did in tx, and no more. It returns the error of fn as it is.
func (tx *transaction) nest(ctx context.Context, fn func() error) (Result, error) {
	if err := tx.usable(ctx); err != nil {
		return Result{}, err
	}
	if _, err := tx.sql.ExecContext(ctx, "SAVEPOINT "+savepoint); err != nil {
		return Result{}, tx.failure(ctx, err)
	}
	before, at, done := len(tx.changes), tx.at, false
	defer func() {
		if done {
			return
		}
		tx.changes, tx.events, tx.at = tx.changes[:before], tx.events[:before], at // a stamp taken by fn is undone with the rest
		// Not with ctx: it may be what ended fn. Where this fails, the database has ended the whole transaction.
		undo := context.WithoutCancel(ctx)
		if _, e := tx.sql.ExecContext(undo, "ROLLBACK TO SAVEPOINT "+savepoint); e != nil {
			tx.ended = true
		} else if _, e := tx.sql.ExecContext(undo, "RELEASE SAVEPOINT "+savepoint); e != nil {
			tx.ended = true
		}
	}()
	if err := fn(); err != nil {
		return Result{}, err
	}
	if _, err := tx.sql.ExecContext(ctx, "RELEASE SAVEPOINT "+savepoint); err != nil {
		return Result{}, tx.failure(ctx, err)
	}
	done = true
	return resultOf(tx.changes[before:]), nil
}

// join runs one operation of the engine in tx.
func (tx *transaction) join(ctx context.Context, op func() error) (Result, error) {
	result, err := tx.nest(ctx, op)
	return result, tx.failure(ctx, err)
}

// lock locks the scopes that an operation changes, and those that its checks read, before it looks at either.
func (tx *transaction) lock(ctx context.Context, write, read []Scope) error {
	order := func(a, b Scope) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Org, b.Org), cmp.Compare(a.ID, b.ID))
	}
	sorted := func(scopes []Scope) []Scope {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s Scope) bool { return !s.valid() })
		slices.SortFunc(scopes, order)
		return slices.Compact(scopes)
	}
	clock, err := tx.dialect.Lock(ctx, tx.sql.Tx, sorted(write), sorted(append(read, tx.reliedOn()...)))
	tx.latest = max(tx.latest, clock)
	if err != nil {
		return err
	}
	return tx.confirm(ctx)
}

// now returns the time of what the transaction writes: later than all changes of the scopes that it has locked, whatever
// the clocks of the nodes that made them say. Asking for it is a write.
func (tx *transaction) now(ctx context.Context) (time.Time, error) {
	if tx.at.IsZero() {
		position, at, err := tx.dialect.Stamp(ctx, tx.sql.Tx, max(tx.cfg.Clock().UnixMicro(), tx.latest+1))
		if err != nil {
			return time.Time{}, err
		}
		tx.id = cmp.Or(tx.id, "chg_"+strings.ToLower(rand.Text()))
		tx.position, tx.at = position, time.UnixMicro(at).UTC()
	}
	if tx.at.UnixMicro() <= tx.latest {
		tx.at = time.UnixMicro(tx.latest + 1).UTC()
	}
	return tx.at, nil
}
