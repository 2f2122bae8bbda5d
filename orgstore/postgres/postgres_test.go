package postgres

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	orgstoretest.TestEngine(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestResolver(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver){
		"engine": func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
			e := openAt(t, database(t), orgstore.Config{Clock: clock})
			return e, e
		},
		"another engine": func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
			address := database(t)
			return openAt(t, address, orgstore.Config{Clock: clock}), openAt(t, address, orgstore.Config{Clock: clock})
		},
		"cached": func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
			e := openAt(t, database(t), orgstore.Config{Clock: clock})
			store, err := cached.New(e, cached.Config{LoadTimeout: time.Minute, Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := store.Close(); err != nil {
					t.Error(err)
				}
			})
			return e, store
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orgstoretest.TestResolver(t, open)
		})
	}
}

func TestRaces(t *testing.T) {
	t.Parallel()
	orgstoretest.TestRaces(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestNodes(t *testing.T) {
	t.Parallel()
	orgstoretest.TestNodes(t, func(t testing.TB) (a, b *orgstore.Engine) {
		address := database(t)
		return openAt(t, address, orgstore.Config{}), openAt(t, address, orgstore.Config{})
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	orgstoretest.TestIdempotency(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestIn(t *testing.T) {
	t.Parallel()
	orgstoretest.TestIn(t, func(t testing.TB) (*orgstore.Engine, orgstoretest.Foreign) {
		address := database(t)
		db := own(t, address)
		begin := func(level sql.IsolationLevel) func(context.Context) (*sql.Tx, error) {
			return func(ctx context.Context) (*sql.Tx, error) { return db.BeginTx(ctx, &sql.TxOptions{Isolation: level}) }
		}
		return openAt(t, address, orgstore.Config{}), orgstoretest.Foreign{
			Begin: begin(sql.LevelDefault), Snapshot: begin(sql.LevelRepeatableRead),
		}
	})
}

// own opens a pool as an application has it.
func own(t testing.TB, address string) *sql.DB {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("pool_max_conns")
	u.RawQuery = query.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// What is unfit for operations of the engine is told before anything is written; commits are synced whatever the pool's default.
func TestInUnfit(t *testing.T) {
	t.Parallel()
	address := database(t)
	e := openAt(t, address, orgstore.Config{})
	begin := func(address string, opts *sql.TxOptions) *sql.Tx {
		t.Helper()
		tx, err := own(t, address).BeginTx(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback() })
		return tx
	}
	other := database(t)
	openAt(t, other, orgstore.Config{})
	for name, tx := range map[string]*sql.Tx{
		"another schema": begin(other, nil),
		"no schema":      begin(with(t, address, "search_path", "pg_catalog"), nil),
		"read only":      begin(address, &sql.TxOptions{ReadOnly: true}),
	} {
		_, _, err := e.In(tx).Users.Create(t.Context(), orgstore.User{ID: "u"})
		if invalid, ok := errors.AsType[*orgstore.Invalid](err); !ok || invalid.Field != "tx" {
			t.Errorf("%s: %v", name, err)
		}
	}
	for setting, want := range map[string]string{"off": "on", "local": "on", "on": "on", "remote_apply": "remote_apply"} {
		tx := begin(with(t, address, "synchronous_commit", setting), nil)
		if _, _, err := e.In(tx).Users.Create(t.Context(), orgstore.User{ID: "u " + setting}); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := tx.QueryRowContext(t.Context(), `SELECT current_setting('synchronous_commit')`).Scan(&got); err != nil || got != want {
			t.Errorf("synchronous_commit %s became %s, %v", setting, got, err)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	orgstoretest.TestVerify(t, func(t testing.TB) (*orgstore.Engine, *sql.DB) {
		address := database(t)
		return openAt(t, address, orgstore.Config{}), own(t, with(t, address, "session_replication_role", "replica"))
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	orgstoretest.TestEvents(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestAccess(t *testing.T) {
	t.Parallel()
	orgstoretest.TestAccess(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestExchange(t *testing.T) {
	t.Parallel()
	orgstoretest.TestExchange(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openAt(t, database(t), cfg) })
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	orgstoretest.TestBadInput(t, fresh)
}
