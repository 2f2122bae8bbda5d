package main

import (
	"iter"

	"github.com/jackc/pgx/v5"
)

// copySource gives the rows of a table to COPY.
type copySource struct {
	table    table
	progress func(table string, rows, of int)
	n        int
	row      []any
	next     func() ([]any, bool)
	stop     func()
}

var _ pgx.CopyFromSource = (*copySource)(nil)

func (s *copySource) start() *copySource {
	s.next, s.stop = iter.Pull(s.table.rows)
	return s
}

func (s *copySource) Next() (ok bool) {
	s.row, ok = s.next()
	if ok {
		s.n++
	}
	if s.n%20_000 == 0 {
		s.progress(s.table.name, s.n, s.table.about)
	}
	return ok
}

func (s *copySource) Values() ([]any, error) { return s.row, nil }
func (s *copySource) Err() error             { return nil }
