package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// own opens a pool as an application has it, with these parameters.
func own(t testing.TB, path, parameters string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&"+parameters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

const (
	immediate = "_txlock=immediate&_pragma=foreign_keys(1)"
	deferred  = "_pragma=foreign_keys(1)"
)

func begin(t testing.TB, db *sql.DB) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

func TestIn(t *testing.T) {
	t.Parallel()
	orgstoretest.TestIn(t, func(t testing.TB) (*orgstore.Engine, orgstoretest.Foreign) {
		path := filepath.Join(t.TempDir(), "orgs.db")
		e := openFile(t, path, orgstore.Config{})
		begin := func(db *sql.DB) func(context.Context) (*sql.Tx, error) {
			return func(ctx context.Context) (*sql.Tx, error) { return db.BeginTx(ctx, nil) }
		}
		return e, orgstoretest.Foreign{Begin: begin(own(t, path, immediate)), Snapshot: begin(own(t, path, deferred))}
	})
}

// What is unfit for operations of the engine is told before anything is written.
func TestInUnfit(t *testing.T) {
	t.Parallel()
	path, other := filepath.Join(t.TempDir(), "orgs.db"), filepath.Join(t.TempDir(), "other.db")
	e := openFile(t, path, orgstore.Config{})
	openFile(t, other, orgstore.Config{})
	for name, tx := range map[string]*sql.Tx{
		"another file":         begin(t, own(t, other, deferred)),
		"without foreign keys": begin(t, own(t, path, "")),
		"read only":            begin(t, own(t, path, deferred+"&_pragma=query_only(1)")),
	} {
		_, _, err := e.In(tx).Users.Create(t.Context(), orgstore.User{ID: "u"})
		if invalid, ok := errors.AsType[*orgstore.Invalid](err); !ok || invalid.Field != "tx" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A savepoint of the caller's takes the position with it when it is rolled back: what comes next takes one again, so that no
// two transactions have the same.
func TestInPositions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	e := openFile(t, path, orgstore.Config{})
	tx := begin(t, own(t, path, immediate))
	in := e.In(tx)
	for i, statement := range []string{"SAVEPOINT theirs", "ROLLBACK TO theirs", "RELEASE theirs"} {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		if _, _, err := in.Users.Create(t.Context(), orgstore.User{ID: string(rune('a' + i))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	var ahead int
	if err := raw(t, path).QueryRowContext(t.Context(), `
		SELECT COUNT(*) FROM orgauthz_scopes WHERE position > (SELECT position FROM orgauthz_meta)`).Scan(&ahead); err != nil || ahead != 0 {
		t.Errorf("%d scopes have a position that the next transaction would take, %v", ahead, err)
	}
	if result, err := in.Committed(t.Context()); err != nil || len(result.Revision) != 2 {
		t.Errorf("Committed: %+v, %v", result, err)
	}
}

// What is read inside never comes into a cache, so that a rollback leaves nothing there.
func TestInFillsNoCache(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	e := openFile(t, path, orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	store, err := cached.New(e, cached.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	q := orgstore.Query{Org: w.Org.ID, Principal: w.Jonno.ID}
	standing := func(r orgstore.Resolver, want orgstore.Standing) {
		t.Helper()
		if a, err := r.Resolve(t.Context(), q); err != nil || a.Standing != want {
			t.Errorf("%+v, %v, want %v", a, err, want)
		}
	}
	db := own(t, path, immediate)
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx := begin(t, db)
		in := e.In(tx)
		if _, err := in.Members.Add(t.Context(), w.Org.ID, w.Jonno.ID, orgstore.MemberOptions{}); err != nil {
			t.Fatal(err)
		}
		standing(in, orgstore.StandingMember)
		standing(store, orgstore.StandingNotMember)
		if err := end(tx); err != nil {
			t.Fatal(err)
		}
		standing(store, orgstore.StandingNotMember) // for as long as nobody has told it
		if _, err := in.Committed(t.Context()); err == nil {
			standing(store, orgstore.StandingMember)
		}
	}
	standing(store, orgstore.StandingMember)
}
