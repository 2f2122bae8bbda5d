package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// connector gives database/sql connections of the pool, which begin and commit transactions in our way.
type connector struct {
	driver.Connector
	pool        *pgxpool.Pool
	lockTimeout time.Duration
}

// view returns a view of the pool that uses at most most of its connections; 0 means all. Closing it closes the pool.
func view(pool *pgxpool.Pool, most int, lockTimeout time.Duration) *sql.DB {
	db := sql.OpenDB(&connector{stdlib.GetPoolConnector(pool), pool, lockTimeout})
	db.SetMaxIdleConns(0) // the pool keeps them
	db.SetMaxOpenConns(most)
	return db
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pgxConn, ok := plain.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("pgx gave a connection of type %T", plain), plain.Close())
	}
	return &conn{pgxConn, c.lockTimeout}, nil
}

func (c *connector) Close() error {
	c.pool.Close()
	return nil
}

type conn struct {
	*stdlib.Conn
	lockTimeout time.Duration
}

// BeginTx sets all that a transaction depends on as it begins, in one message: not for the session, which a function of
// Transact could change and a pooler could share.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if c.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	begin := "begin isolation level repeatable read read only"
	if !opts.ReadOnly {
		level := "read committed"
		if sql.IsolationLevel(opts.Isolation) == sql.LevelRepeatableRead {
			level = "repeatable read"
		}
		begin = fmt.Sprintf("begin isolation level %s read write; set local synchronous_commit = on; set local lock_timeout = %d",
			level, max(1, c.lockTimeout.Milliseconds()))
	}
	t, err := c.Conn.Conn().BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		if pgconn.SafeToRetry(err) {
			return nil, driver.ErrBadConn
		}
		return nil, err
	}
	return &tx{ctx, c.Conn.Conn(), t}, nil
}

type tx struct {
	ctx  context.Context
	conn *pgx.Conn
	tx   pgx.Tx
}

// unanswered is the error of a commit that was sent and not answered.
type unanswered struct{ cause error }

func (e *unanswered) Error() string { return e.cause.Error() }
func (e *unanswered) Unwrap() error { return e.cause }

// grace is how long a commit may go on after its context has ended: leaving it alone would leave the outcome open.
const grace = time.Second

func (t *tx) Commit() error {
	// What has failed before the commit is sent is certain.
	switch status := t.conn.PgConn().TxStatus(); {
	case t.conn.IsClosed():
		return errors.New("the connection was lost before the commit")
	case status == 'E':
		return errors.Join(errors.New("a statement has failed, and PostgreSQL has rolled the transaction back"), t.Rollback())
	case status != 'T':
		return errors.Join(errors.New("the transaction has ended before the commit"), t.Rollback())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.ctx))
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	stop := context.AfterFunc(t.ctx, func() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-done:
		}
	})
	defer stop()
	err := t.tx.Commit(ctx)
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	// Only the server's word counts: a connection that ends after the commit was sent is also told as one that pgx calls
	// safe to use again.
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Severity == "ERROR" {
		return err
	}
	return &unanswered{err}
}

func (t *tx) Rollback() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), grace)
	defer cancel()
	if err := t.tx.Rollback(ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		return err
	}
	return nil
}

// single is a connector outside of the pool. Its connections close as those of the pool do: that the server has ended one of them
// is not an error of closing it.
type single struct{ driver.Connector }

func (s single) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pgxConn, ok := plain.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("pgx gave a connection of type %T", plain), plain.Close())
	}
	return singleConn{pgxConn}, nil
}

type singleConn struct{ *stdlib.Conn }

func (c singleConn) Close() error {
	_ = c.Conn.Close()
	return nil
}
