package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// schemas of a run. Creating all tables takes a hundred times as long as emptying them, so that a test which has not failed leaves
// its schema to the next one, as the migrations had left it. One is nobody's: the others are compared with it and filled from it.
var schemas struct {
	sync.Mutex
	model       string
	description string // of the model
	free        []string
}

// describe lists what a schema is made of, without rows, and says how many bytes these take. It reads the system's tables once: they
// are large where many schemas were made and dropped.
const describe = `WITH relations AS MATERIALIZED (
		SELECT oid, concat_ws(' ', relname, relkind, relnatts, relchecks, reloptions::text) AS x FROM pg_class WHERE relnamespace = $1::regnamespace),
	functions AS MATERIALIZED (SELECT proname AS x FROM pg_proc WHERE pronamespace = $1::regnamespace)
	SELECT (SELECT string_agg(x, E'\n' ORDER BY x) FROM relations) || (SELECT COALESCE(string_agg(x, E'\n' ORDER BY x), '') FROM functions),
		(SELECT SUM(pg_relation_size(oid)) FROM relations)`

// refill gives each table of a schema the rows of the model, in one statement.
const refill = `DO $$
DECLARE
	name text;
BEGIN
	SET LOCAL session_replication_role = replica;
	FOR name IN SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'MODEL'::regnamespace AND relkind = 'r'
			AND pg_relation_size(oid) + pg_relation_size(('SCHEMA.' || quote_ident(relname))::regclass) > 0 LOOP
		EXECUTE 'DELETE FROM SCHEMA.' || name;
		EXECUTE 'INSERT INTO SCHEMA.' || name || ' OVERRIDING SYSTEM VALUE SELECT * FROM MODEL.' || name;
	END LOOP;
END $$`

// database returns the URL of a schema of the test's own on the server with all tables, without anything in them, and with more
// parameters (name, value …).
func database(t testing.TB, parameters ...string) string {
	t.Helper()
	address := available(t)
	schema, err := take(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := give(context.WithoutCancel(t.Context()), address, schema, t.Failed()); err != nil {
			t.Error(err)
		}
	})
	return at(t, address, schema, parameters...)
}

// nothing returns the URL of a new schema without tables.
func nothing(t testing.TB, parameters ...string) string {
	t.Helper()
	address := available(t)
	schema := randomName()
	admin := connect(t, address)
	execute(t, admin, "CREATE SCHEMA "+schema)
	t.Cleanup(func() { execute(t, admin, "DROP SCHEMA "+schema+" CASCADE") })
	return at(t, address, schema, parameters...)
}

func at(t testing.TB, address, schema string, parameters ...string) string {
	t.Helper()
	// The whole suite in parallel must not need more connections than a server has by default.
	return with(t, address, append([]string{"search_path", schema, "pool_max_conns", "6"}, parameters...)...)
}

// available returns the URL of the server, or ends the test.
func available(t testing.TB) string {
	t.Helper()
	address, err := server()
	switch {
	case err == nil:
	case os.Getenv("ORGAUTHZ_POSTGRES_URL") != "" || os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1":
		t.Fatalf("no PostgreSQL to test with: %v", err)
	default:
		t.Skipf("NOT TESTED: no PostgreSQL at 127.0.0.1:5432 with a database test, and ORGAUTHZ_POSTGRES_URL names no other: %v", err)
	}
	return address
}

func randomName() string { return "orgauthz_test_" + strings.ToLower(rand.Text()[:12]) }

func take(ctx context.Context, address string) (string, error) {
	schemas.Lock()
	defer schemas.Unlock()
	if schemas.model == "" {
		model, err := migrated(ctx, address)
		if err != nil {
			return "", err
		}
		schemas.model = model
		var size int64
		if err := run(ctx, address, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, describe, model).Scan(&schemas.description, &size)
		}); err != nil {
			return "", err
		}
	}
	if last := len(schemas.free) - 1; last >= 0 {
		schema := schemas.free[last]
		schemas.free = schemas.free[:last]
		return schema, nil
	}
	return migrated(ctx, address)
}

// migrated makes a schema and its tables.
func migrated(ctx context.Context, address string) (string, error) {
	schema := randomName()
	if err := run(ctx, address, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE SCHEMA "+schema)
		return err
	}); err != nil {
		return "", err
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return "", err
	}
	config.ConnConfig.RuntimeParams["search_path"] = schema
	config.MaxConns = 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	return schema, prepare(ctx, pool)
}

// give makes a schema free for the next test, or drops it: one whose test has failed, and one that is not to be used again.
func give(ctx context.Context, address, schema string, failed bool) error {
	return run(ctx, address, func(conn *pgx.Conn) error {
		same, err := emptied(ctx, conn, schema)
		if err != nil || failed || !same {
			_, dropped := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
			return errors.Join(err, dropped)
		}
		schemas.Lock()
		defer schemas.Unlock()
		schemas.free = append(schemas.free, schema)
		return nil
	})
}

// emptied makes a schema as the migrations leave it. It reports false for one whose tables were changed or have grown.
func emptied(ctx context.Context, conn *pgx.Conn, schema string) (bool, error) {
	var is string
	var size int64
	if err := conn.QueryRow(ctx, describe, schema).Scan(&is, &size); err != nil || is != schemas.description || size > 16<<20 {
		return false, err
	}
	_, err := conn.Exec(ctx, strings.NewReplacer("MODEL", schemas.model, "SCHEMA", schema).Replace(refill))
	return err == nil, err
}

// dropSchemas ends what the tests have left.
func dropSchemas() error {
	schemas.Lock()
	defer schemas.Unlock()
	if schemas.model == "" {
		return nil
	}
	address, err := server()
	if err != nil {
		return err
	}
	return run(context.Background(), address, func(conn *pgx.Conn) error {
		var errs []error
		for _, schema := range append(schemas.free, schemas.model) {
			_, err := conn.Exec(context.Background(), "DROP SCHEMA "+schema+" CASCADE")
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func run(ctx context.Context, address string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

// A schema that is used again is as the migrations leave it, and one that was changed is not used again.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		statement string
		same      bool
	}{
		"rows":        {`UPDATE orgauthz_meta SET position = 7; INSERT INTO orgauthz_schema (version_id, is_applied) VALUES (9999, true)`, true},
		"no rows":     {`DELETE FROM orgauthz_meta; DELETE FROM orgauthz_tenant; DELETE FROM orgauthz_schema`, true},
		"a table":     {`CREATE TABLE customers (n INTEGER)`, false},
		"a column":    {`ALTER TABLE orgauthz_users ADD COLUMN n INTEGER`, false},
		"no key":      {`ALTER TABLE orgauthz_users DROP CONSTRAINT orgauthz_users_pkey CASCADE`, false},
		"a function":  {`CREATE FUNCTION f() RETURNS boolean LANGUAGE sql AS 'SELECT true'`, false},
		"a parameter": {`ALTER TABLE orgauthz_meta SET (fillfactor = 90)`, false},
		"much storage": {`CREATE TEMPORARY TABLE n AS SELECT generate_series(1, 30000) AS n;
			INSERT INTO orgauthz_users (id, email, name, blocked, created_at, updated_at) SELECT n || repeat('x', 900), '', '', 0, 0, 0 FROM n`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := available(t)
			schema, err := take(t.Context(), address)
			if err != nil {
				t.Fatal(err)
			}
			conn := connect(t, at(t, address, schema))
			t.Cleanup(func() { execute(t, conn, "DROP SCHEMA "+schema+" CASCADE") })
			rows := func(schema string) (all string) {
				t.Helper()
				if err := conn.QueryRow(t.Context(), `SELECT schema_to_xml($1::name, false, false, '')::text`, schema).Scan(&all); err != nil {
					t.Fatal(err)
				}
				return strings.ReplaceAll(all, schema, "schema")
			}
			want := rows(schemas.model)
			execute(t, conn, test.statement)
			if rows(schema) == want && test.same {
				t.Error("the change is not seen")
			}
			if same, err := emptied(t.Context(), conn, schema); err != nil || same != test.same {
				t.Errorf("fit to be used again: %t, want %t, %v", same, test.same, err)
			}
			if test.same && rows(schema) != want {
				t.Errorf("rows are not those of the migrations")
			}
		})
	}
}
