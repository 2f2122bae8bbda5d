package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Engine holds organizations, users, roles and members in a SQL database and enforces every rule about them. Open one with
// a backend, for example sqlite.Open. Its methods and those of its nouns may be called from any number of goroutines.
//
// Mutations are durable when they return nil, and visible to every later Resolve of every Engine on the same database.
type Engine struct {
	Organizations *Organizations
	Users         *Users
	Roles         *Roles
	Members       *Members
	Events        *Events

	// The directory.
	Tenant       *Tenant
	Connections  *Connections
	Clients      *Clients
	APIs         *APIs
	ClientGrants *ClientGrants

	// What organizations have.
	EnabledConnections  *EnabledConnections
	DiscoveryDomains    *DiscoveryDomains
	OrganizationClients *OrganizationClients
	Templates           *Templates
	Invitations         *Invitations
	Requests            *Requests
	Teams               *Teams
	Groups              *Groups
	Contracts           *Contracts
	APIKeys             *APIKeys
	Sessions            *Sessions

	*core
	tx *transaction // nil, except in the Engine that Transact hands to its function
	as *actor       // nil, except in the Engine that As returns
}

// core is what an Engine shares with the Engines that Transact derives from it.
type core struct {
	cfg                        Config
	dialect                    Dialect
	write, read                *sql.DB
	feed                       *sql.DB
	byID                       statement
	byName                     statement
	pictureByID, pictureByName statement // what these cannot answer
	clockGiven                 bool      // Config.Clock was set
	changes                    statement // of Poll

	// For tests of tests: checks whose locks are left out, and what is called between a check and the writes that rely on it.
	unguarded bool
	checked   func()

	closeOnce sync.Once
	closeErr  error

	mu        sync.Mutex
	closed    bool           // no operation begins any more
	running   sync.WaitGroup // operations that have begun
	listeners []*listener    // copied on every change
}

type listener struct {
	call func(ctx context.Context, changes []Change)
}

var _ Resolver = (*Engine)(nil)

// New makes an Engine of an open database whose schema is up to date. It is for backends; everyone else opens one of them.
//
// Transactions on write are asked for with one of two isolation levels. With sql.LevelReadCommitted each statement must see
// what was committed before it began; with sql.LevelRepeatableRead a transaction must keep seeing what its first statement
// saw, and fail as Retryable when it changes what others have changed meanwhile. More isolation than that does no harm.
// Statements on read must see the newest committed state when they begin, and transactions on read one snapshot. The
// change feed is read on feed, like read but better not shared, so that it never waits for loads; one connection is enough.
// All may be the same pool. New owns them: they are closed with the Engine, and when New fails.
func New(write, read, feed *sql.DB, dialect Dialect, cfg Config) (*Engine, error) {
	err := cfg.Validate()
	c := &core{cfg: cfg.withDefaults(), clockGiven: cfg.Clock != nil, dialect: dialect, write: write, read: read, feed: feed}
	c.byID = statement{db: read, text: resolveByID + dialect.Newest()}
	c.byName = statement{db: read, text: resolveByName + dialect.Newest()}
	c.pictureByID = statement{db: read, text: pictureStatement(pictureByID, dialect)}
	c.pictureByName = statement{db: read, text: pictureStatement(pictureByName, dialect)}
	c.changes = statement{db: feed, text: changesStatement(dialect)}
	for _, s := range []*statement{&c.byID, &c.byName, &c.pictureByID, &c.pictureByName, &c.changes} {
		if err == nil && !dialect.Prepares() {
			s.prepared, err = s.db.Prepare(s.text)
		}
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c.engine(nil), nil
}

// engine returns an Engine whose operations run in tx, or in transactions of their own when tx is nil.
func (c *core) engine(tx *transaction) *Engine {
	e := &Engine{core: c, tx: tx}
	e.Organizations = &Organizations{e}
	e.Users = &Users{e}
	e.Roles = &Roles{e}
	e.Members = &Members{e}
	e.Events = &Events{e}
	e.Tenant = &Tenant{e}
	e.Connections = &Connections{e}
	e.Clients = &Clients{e}
	e.APIs = &APIs{e}
	e.ClientGrants = &ClientGrants{e}
	e.EnabledConnections = &EnabledConnections{e}
	e.DiscoveryDomains = &DiscoveryDomains{e}
	e.OrganizationClients = &OrganizationClients{e}
	e.Templates = &Templates{e}
	e.Invitations = &Invitations{e}
	e.Requests = &Requests{e}
	e.Teams = &Teams{e}
	e.Groups = &Groups{e}
	e.Contracts = &Contracts{e}
	e.APIKeys = &APIKeys{e}
	e.Sessions = &Sessions{e}
	return e
}

// Close waits for running operations and closes the database. Later operations fail with ErrUnavailable. Closing again
// does nothing and returns the same error. It must not be called from inside an operation.
func (e *Engine) Close() error {
	if e.tx != nil {
		return errors.New("orgstore: the engine of a transaction cannot be closed")
	}
	return e.close()
}

func (c *core) close() error {
	c.closeOnce.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.running.Wait()
		for _, s := range []statement{c.byID, c.byName, c.pictureByID, c.pictureByName, c.changes} {
			if s.prepared != nil {
				c.closeErr = errors.Join(c.closeErr, s.prepared.Close())
			}
		}
		c.closeErr = errors.Join(c.closeErr, c.read.Close())
		if c.feed != c.read && c.feed != c.write {
			c.closeErr = errors.Join(c.closeErr, c.feed.Close())
		}
		if c.write != c.read {
			c.closeErr = errors.Join(c.closeErr, c.write.Close())
		}
	})
	return c.closeErr
}

// Health reports whether the store can be read at this moment: nil, an ErrUnavailable, or the context's error.
func (e *Engine) Health(ctx context.Context) error {
	_, err := read(ctx, e, func(q queryer) (position int64, err error) {
		err = q.QueryRowContext(ctx, `SELECT position FROM orgauthz_meta WHERE id = 1 AND `+e.dialect.Newest()).Scan(&position)
		if errors.Is(err, sql.ErrNoRows) {
			err = errNoAnswer
		}
		return position, err
	})
	return err
}

var errClosed = errors.New("the engine is closed")

// enter begins an operation, which ends with leave. It fails when the engine is closed.
func (c *core) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return &unavailable{errClosed}
	}
	c.running.Add(1)
	return nil
}

func (c *core) leave() { c.running.Done() }

// queryer is what a read needs of a pool or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row

	clock() time.Time // by which things are over or not
}

// pool is the queryer of a pool.
type pool struct {
	*sql.DB
	now func() time.Time
}

func (p pool) clock() time.Time { return p.now() }

// sqlTx is the queryer of a transaction.
type sqlTx struct {
	*sql.Tx
	now func() time.Time
}

func (t sqlTx) clock() time.Time { return t.now() }

// statement is one that runs so often that it is prepared.
type statement struct {
	db       *sql.DB
	text     string
	prepared *sql.Stmt // on db; nil where the driver does it by itself
}

// query runs s on db, or in tx when there is one.
func (s *statement) query(ctx context.Context, tx *transaction, args ...any) (*sql.Rows, error) {
	switch {
	case tx != nil:
		return tx.sql.QueryContext(ctx, s.text, args...)
	case s.prepared != nil:
		return s.prepared.QueryContext(ctx, args...)
	}
	return s.db.QueryContext(ctx, s.text, args...)
}

// read runs f on the transaction that e is bound to, or else on the newest committed state.
func read[T any](ctx context.Context, e *Engine, f func(queryer) (T, error)) (v T, err error) {
	q := queryer(pool{e.read, e.cfg.Clock})
	if e.tx != nil {
		q = e.tx.sql
	} else {
		if err := e.enter(); err != nil {
			return v, err
		}
		defer e.leave()
	}
	found, err := f(q)
	if err != nil {
		return v, e.failure(ctx, err)
	}
	return found, nil
}

// OnCommit has call called after every commit that changed something, before the mutation or Transact that committed
// returns to its caller: with all changes of the transaction, in their order. Calls of concurrent transactions may come in
// another order than their commits: what counts is the revision of each change. The context has the values of the
// mutation's, is not cancelled with it, and ends after Config.CommitTimeout. A panic is logged and goes no further.
//
// After stop, no further call begins. Changes made by other processes are not told, except those that a mutation with an
// idempotency key is answered with: these may be told twice.
func (e *Engine) OnCommit(call func(ctx context.Context, changes []Change)) (stop func()) {
	l := &listener{call: call}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listeners = append(slices.Clone(e.listeners), l)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.listeners = slices.DeleteFunc(slices.Clone(e.listeners), func(o *listener) bool { return o == l })
	}
}

// committed tells the listeners of changes.
func (c *core) committed(ctx context.Context, changes []Change) {
	c.mu.Lock()
	listeners := c.listeners
	c.mu.Unlock()
	if len(changes) == 0 || len(listeners) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.cfg.CommitTimeout)
	defer cancel()
	for _, l := range listeners {
		c.tell(ctx, l, changes)
	}
}

func (c *core) tell(ctx context.Context, l *listener, changes []Change) {
	defer func() {
		if p := recover(); p != nil {
			c.cfg.Logger.ErrorContext(ctx, "orgstore: a function of OnCommit panicked",
				"panic", p, "change", changes[0].ID, "stack", string(debug.Stack()))
		}
	}()
	l.call(ctx, slices.Clone(changes))
}

// failure turns what the database answered into an error of this package. Errors of this package stay as they are.
func (c *core) failure(ctx context.Context, err error) error {
	_, open := errors.AsType[*undecided](err)
	switch {
	case err == nil || open:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("orgstore: %w", ctx.Err())
	}
	for _, category := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrLimit, ErrDenied, ErrUnavailable} {
		if errors.Is(err, category) {
			return err
		}
	}
	if errors.Is(err, context.DeadlineExceeded) { // a bound of ours, and not the caller's
		err = errors.New("the database did not answer in time")
	}
	return &unavailable{err}
}
