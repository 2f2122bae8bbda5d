// Package migrations holds the engine's schema as versioned SQL and brings a database up to date with it. Backends call it
// when they open; package orgstore never does.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed sql/*.sql
var embedded embed.FS

// table is where the versions are recorded that a database has. An embedder may use goose for tables of its own.
const table = "orgauthz_schema"

// ErrNewer means that a newer version of this library has changed the database's schema.
var ErrNewer = errors.New("the database was written by a newer version of orgauthz: use that version or a later one")

// Up applies what db lacks. Any number of processes may do so at the same time: each migration is applied by one of them, in
// one transaction with its record. On SQLite, transactions on db must take the write lock as they begin. On PostgreSQL, db
// must be able to open two connections; the tables are in its current schema.
func Up(ctx context.Context, db *sql.DB, dialect goose.Dialect) error {
	files, err := fs.Sub(embedded, "sql")
	if err != nil {
		return err
	}
	if dialect == goose.DialectPostgres {
		files = collated{files}
		unlock, err := lock(ctx, db)
		if err != nil {
			return err
		}
		defer unlock()
	}
	versions, err := database.NewStore(dialect, table)
	if err != nil {
		return err
	}
	return up(ctx, db, store{versions}, files)
}

func up(ctx context.Context, db *sql.DB, versions database.Store, files fs.FS) error {
	const attempts = 20
	for attempt := 1; ; attempt++ {
		err := apply(ctx, db, versions, files)
		if err == nil || errors.Is(err, ErrNewer) || ctx.Err() != nil || attempt == attempts {
			return err
		}
		// Most likely another process was faster: then there is nothing left to apply. A migration that is broken fails
		// again and again, and in the end for good.
		pause := time.NewTimer(5*time.Millisecond + rand.N(20*time.Millisecond))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

func apply(ctx context.Context, db *sql.DB, versions database.Store, files fs.FS) error {
	provider, err := goose.NewProvider(goose.DialectCustom, db, files,
		goose.WithStore(versions), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	current, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > newest {
		return fmt.Errorf("schema version %d, but this version knows up to %d: %w", current, newest, ErrNewer)
	}
	_, err = provider.Up(ctx)
	return err
}

// store makes goose's record of versions safe for processes that start at the same time: creating the table again does
// nothing, and recording a version again fails, which undoes the second application of its migration.
type store struct{ database.Store }

var errApplied = errors.New("another process has applied this migration")

func (s store) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	exists, err := s.tableExists(ctx, db)
	if err != nil || exists {
		return err
	}
	return s.Store.CreateVersionTable(ctx, db)
}

func (s store) tableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	// PostgreSQL ends a transaction in which a statement fails, so that trying is for the others.
	if asking, ok := s.Store.(database.StoreExtender); ok {
		if exists, err := asking.TableExists(ctx, db); !errors.Is(err, errors.ErrUnsupported) {
			return exists, err
		}
	}
	_, err := s.GetLatestVersion(ctx, db)
	return err == nil, nil
}

func (s store) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	_, err := s.GetMigration(ctx, db, req.Version)
	switch {
	case errors.Is(err, database.ErrVersionNotFound):
		return s.Store.Insert(ctx, db, req)
	case err != nil:
		return err
	case req.Version == 0: // written with the table itself
		return nil
	}
	return errApplied
}
