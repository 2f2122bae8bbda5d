package migrations

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestUpAgain(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "m.db"))
	schema := func() (schema string) {
		t.Helper()
		if err := db.QueryRow(`SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_master ORDER BY name)`).Scan(&schema); err != nil {
			t.Fatal(err)
		}
		return schema
	}
	var first string
	for i := range 3 {
		if err := Up(t.Context(), db, goose.DialectSQLite3); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = schema()
		}
	}
	if !strings.Contains(first, "orgauthz_scopes") || schema() != first {
		t.Errorf("the schema changed from %q to %q", first, schema())
	}
}

func TestNewer(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "m.db"))
	if err := Up(t.Context(), db, goose.DialectSQLite3); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO orgauthz_schema (version_id, is_applied) VALUES (100, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := Up(t.Context(), db, goose.DialectSQLite3); !errors.Is(err, ErrNewer) {
		t.Errorf("error: %v", err)
	}
}

func TestBroken(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "m.db"))
	versions, err := database.NewStore(goose.DialectSQLite3, table)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (n INTEGER);\nCREATE TABLE a (n INTEGER);\n")}}
	if err := up(t.Context(), db, store{versions}, files); err == nil || !strings.Contains(err.Error(), "version:1") {
		t.Errorf("error: %v", err)
	}
	var n int
	if err := db.QueryRow(`SELECT COUNT(*) FROM sqlite_master WHERE name = 'a'`).Scan(&n); err != nil || n != 0 {
		t.Errorf("half of a migration is left: %d, %v", n, err)
	}
}

// meeting holds two starters back until both have seen which migrations the database lacks.
type meeting struct {
	database.Store
	arrive func()
}

func (m meeting) ListMigrations(ctx context.Context, db database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	list, err := m.Store.ListMigrations(ctx, db)
	m.arrive()
	return list, err
}

// TestTwoStarters has two starters find the same migration missing, one that does not notice when it is applied twice.
func TestTwoStarters(t *testing.T) {
	t.Parallel()
	const newest = "00002_b.sql"
	files := fstest.MapFS{
		"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE a (n INTEGER);\nINSERT INTO a (n) VALUES (0);\n")},
		newest:        {Data: []byte("-- +goose Up\nUPDATE a SET n = n + 1;\n")},
	}
	run := func(t *testing.T, guard func(database.Store) database.Store) (times int) {
		path := filepath.Join(t.TempDir(), "m.db")
		plain, err := database.NewStore(goose.DialectSQLite3, table)
		if err != nil {
			t.Fatal(err)
		}
		first, second := open(t, path), open(t, path)
		if err := up(t.Context(), first, guard(plain), fs.FS(fstest.MapFS{"00001_a.sql": files["00001_a.sql"]})); err != nil {
			t.Fatal(err)
		}
		var both, starters sync.WaitGroup
		both.Add(2)
		for _, db := range []*sql.DB{first, second} {
			starters.Go(func() {
				arrive := sync.OnceFunc(func() { both.Done(); both.Wait() })
				if err := up(t.Context(), db, meeting{guard(plain), arrive}, files); err != nil {
					t.Errorf("starter: %v", err)
				}
			})
		}
		starters.Wait()
		if err := first.QueryRow(`SELECT n FROM a`).Scan(&times); err != nil {
			t.Fatal(err)
		}
		return times
	}
	t.Run("guarded", func(t *testing.T) {
		t.Parallel()
		if n := run(t, func(s database.Store) database.Store { return store{s} }); n != 1 {
			t.Errorf("the migration was applied %d times", n)
		}
	})
	t.Run("twin without the guard", func(t *testing.T) {
		t.Parallel()
		if n := run(t, func(s database.Store) database.Store { return s }); n != 2 {
			t.Errorf("without the guard the migration was applied %d times: this test proves nothing", n)
		}
	})
}
