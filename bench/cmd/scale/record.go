package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// recorder is a connector whose connections write down what is asked of them: so are the statements of the engine explained without
// being copied here.
type recorder struct {
	driver.Connector
	on         bool
	statements []statement
}

type statement struct {
	text string
	args []any
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := r.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	all, ok := c.(queryConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a connection of type %T lacks methods", c), c.Close())
	}
	return &recordingConn{all, r}, nil
}

// queryConn is what the connections of both drivers can do.
type queryConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
}

type recordingConn struct {
	queryConn
	r *recorder
}

func (c *recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.r.on {
		s := statement{text: query}
		for _, arg := range args {
			s.args = append(s.args, arg.Value)
		}
		c.r.statements = append(c.r.statements, s)
	}
	return c.queryConn.QueryContext(ctx, query, args)
}

// CheckNamedValue leaves values to the driver where it wants them so.
func (c *recordingConn) CheckNamedValue(v *driver.NamedValue) error {
	if checker, ok := c.queryConn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

// record runs f, which is to read with an engine in tx, and returns the statements that this asked.
func (r *recorder) record(f func() error) ([]statement, error) {
	r.statements, r.on = nil, true
	err := f()
	r.on = false
	return r.statements, err
}

// within runs f in a transaction on the database of s, with an engine that records what it asks.
func (s *store) within(ctx context.Context, f func(tx *sql.Tx, r *recorder) error) error {
	c, err := s.database.connector()
	if err != nil {
		return err
	}
	r := &recorder{Connector: c}
	db := sql.OpenDB(r)
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		err = errors.Join(f(tx, r), tx.Rollback())
	}
	return errors.Join(err, db.Close())
}
