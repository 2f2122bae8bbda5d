package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	driverpkg "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/internal/migrations"
)

// Open opens the database file at path, creates it if it is not there, and brings its schema up to date. ":memory:" is a new
// database of its own that ends with Close.
//
// ctx bounds opening only. The caller closes the Engine.
func Open(ctx context.Context, path string, cfg orgstore.Config) (*orgstore.Engine, error) {
	e, err := open(ctx, path, cfg)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", explain(path, err))
	}
	return e, nil
}

func open(ctx context.Context, path string, cfg orgstore.Config) (*orgstore.Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var temporary string
	if path == ":memory:" {
		dir, err := os.MkdirTemp("", "orgauthz-")
		if err != nil {
			return nil, fmt.Errorf("no place for a temporary database: %w", err)
		}
		temporary, path = dir, filepath.Join(dir, "memory.db")
	} else if err := checkPath(path); err != nil {
		return nil, err
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	durability := "synchronous(FULL)"
	if temporary != "" {
		durability = "synchronous(OFF)" // nobody will read it again after a crash
	}
	write, err := pool(absolute, temporary, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {durability, "busy_timeout(100)"}, // short: whoever waits longer tries again, with jitter
	})
	if err != nil {
		return nil, err
	}
	// One connection: SQLite has one writer at a time, and waiting for a connection is fair and ends with its context.
	write.SetMaxOpenConns(1)
	read, err := pool(absolute, "", url.Values{"_pragma": {"query_only(1)", "busy_timeout(5000)", "cache_size(-8192)"}})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	readers := min(max(4, 2*runtime.GOMAXPROCS(0)), 16) // each with a page cache of up to 8 MiB
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	feed, err := pool(absolute, "", url.Values{"_pragma": {"query_only(1)", "busy_timeout(5000)"}})
	if err != nil {
		return nil, errors.Join(err, read.Close(), write.Close())
	}
	feed.SetMaxOpenConns(1)

	if err := prepare(ctx, write, cmp.Or(cfg.LockTimeout, 5*time.Second)); err != nil {
		return nil, errors.Join(err, feed.Close(), read.Close(), write.Close())
	}
	e, err := orgstore.New(write, read, feed, dialect{}, cfg)
	if err != nil {
		return nil, err
	}
	if _, err := e.Poll(ctx, ""); err != nil { // gives a new database its epoch
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// prepare switches the database to the write-ahead log, waiting at most patience for others who have it locked, and brings
// its schema up to date.
func prepare(ctx context.Context, write *sql.DB, patience time.Duration) error {
	var mode string
	began := time.Now()
	for {
		err := write.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode)
		if err == nil {
			break
		}
		if !(dialect{}).Retryable(err) || time.Since(began) > patience {
			return err
		}
		pause := time.NewTimer(10 * time.Millisecond) // this statement does not always wait by itself
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
	if mode != "wal" {
		return fmt.Errorf("the file system does not support SQLite's write-ahead log (journal mode stayed %q)", mode)
	}
	return migrations.Up(ctx, write, goose.DialectSQLite3)
}

// pool returns a pool of connections to the file. temporary is a directory that is removed when the pool is closed.
func pool(file, temporary string, query url.Values) (*sql.DB, error) {
	c, err := connector(file, query)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(&remover{c, temporary}), nil
}

func connector(file string, query url.Values) (driver.Connector, error) {
	query.Add("_pragma", "foreign_keys(1)")
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: query.Encode()}
	if !strings.HasPrefix(name.Path, "/") { // C:\ on Windows
		name.Path = "/" + name.Path
	}
	return driverpkg.NewConnector(name.String())
}

// remover is a connector whose pool removes a directory when it is closed.
type remover struct {
	driver.Connector
	dir string
}

func (r *remover) Close() error {
	if r.dir == "" {
		return nil
	}
	return os.RemoveAll(r.dir)
}

// checkPath finds what is wrong with path as far as that can be seen without opening the file. (The file itself must not be
// opened here: closing it again would drop the locks that SQLite holds on it elsewhere in this process.)
func checkPath(path string) error {
	if path == "" {
		return errors.New("the path is empty: give a file, or :memory: for a database that ends with the process")
	}
	if strings.HasPrefix(path, "file:") {
		return errors.New("the path is a URI: give a plain path")
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return errors.New("the path is a directory: give a file in it")
	case err == nil && !info.Mode().IsRegular():
		return errors.New("the path is no regular file")
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dir := filepath.Dir(path)
	if info, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return errors.New("its directory does not exist: create it first")
	} else if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("what should be its directory is a file")
	}
	return nil
}

// explain says what to do about errors of opening.
func explain(path string, err error) error {
	hint := ""
	if e, ok := errors.AsType[*driverpkg.Error](err); ok {
		switch e.Code() & 0xff {
		case codes.SQLITE_NOTADB:
			hint = "the file is not a SQLite database; it was left as it is: "
		case codes.SQLITE_READONLY:
			hint = "the file, or its directory, cannot be written: "
		case codes.SQLITE_CANTOPEN, codes.SQLITE_PERM, codes.SQLITE_AUTH:
			hint = "the file cannot be opened, check the permissions of it and its directory: "
		case codes.SQLITE_CORRUPT:
			hint = "the database is damaged: "
		case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
			hint = "another process keeps the database locked: "
		}
	}
	return fmt.Errorf("open %q: %s%w", path, hint, err)
}
