package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/postgres"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

// TestPostgres runs the tests that have an engine on PostgreSQL as well.
func TestPostgres(t *testing.T) {
	t.Parallel()
	conn := connect(t)
	t.Cleanup(func() {
		left := append(schemas.free, schemas.model)
		schemas.free = nil
		for _, schema := range left {
			if _, err := conn.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
				t.Error(err)
			}
		}
	})
	schemas.model = create(t, conn)
	model, err := postgres.Open(t.Context(), at(schemas.model), orgstore.Config{LockTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T){
		"Complete": TestComplete, "Join": TestJoin, "Picker": TestPicker, "DomainJoin": TestDomainJoin, "Travel0": TestTravel0,
		"Security": TestSecurity, "Invitation": TestInvitation, "InvitationURL": TestInvitationURL, "LoginPage": TestLoginPage,
		"InvitationMail": TestInvitationMail,
	} {
		t.Run(name, test)
	}
}

// open opens an engine without any data, in the database that the test is for.
func open(t *testing.T, cfg orgstore.Config) *orgstore.Engine {
	t.Helper()
	cfg.LockTimeout, cfg.LoadTimeout = time.Minute, time.Minute // what is tested is not how busy the machine is
	address, open := ":memory:", sqlite.Open
	if strings.HasPrefix(t.Name(), "TestPostgres/") {
		address, open = at(schema(t)), postgres.Open
	}
	engine, err := open(t.Context(), address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// schemas that tests have left to the next ones, because making all tables takes much longer than emptying them. One is nobody's:
// the others are filled from it.
var schemas struct {
	sync.Mutex
	model string
	free  []string
}

// refill gives each table of a schema the rows of the model, in one statement.
const refill = `DO $$
DECLARE
	name text;
BEGIN
	SET LOCAL session_replication_role = replica;
	FOR name IN SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'MODEL'::regnamespace AND relkind = 'r' LOOP
		EXECUTE 'DELETE FROM SCHEMA.' || name;
		EXECUTE 'INSERT INTO SCHEMA.' || name || ' OVERRIDING SYSTEM VALUE SELECT * FROM MODEL.' || name;
	END LOOP;
END $$`

// schema returns a schema of the test's own, which has nothing but perhaps tables.
func schema(t *testing.T) string {
	t.Helper()
	conn := connect(t)
	schemas.Lock()
	defer schemas.Unlock()
	var name string
	if last := len(schemas.free) - 1; last >= 0 {
		name, schemas.free = schemas.free[last], schemas.free[:last]
	} else {
		name = create(t, conn)
	}
	t.Cleanup(func() { // after the engine is closed
		_, err := conn.Exec(context.WithoutCancel(t.Context()), strings.NewReplacer("MODEL", schemas.model, "SCHEMA", name).Replace(refill))
		if err != nil {
			t.Error(err)
		}
		schemas.Lock()
		defer schemas.Unlock()
		schemas.free = append(schemas.free, name)
	})
	return name
}

func create(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	name := "orgauthz_test_" + strings.ToLower(rand.Text()[:12])
	if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

func address() string {
	return cmp.Or(os.Getenv("ORGAUTHZ_POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/test")
}

// at is the URL of a schema.
func at(schema string) string {
	u, err := url.Parse(address())
	if err != nil {
		panic(err)
	}
	query := u.Query()
	query.Set("search_path", schema)
	query.Set("pool_max_conns", "4")
	u.RawQuery = query.Encode()
	return u.String()
}

// connect connects to the server, or ends the test.
func connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address())
	switch {
	case err == nil:
	case os.Getenv("ORGAUTHZ_POSTGRES_URL") != "" || os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1":
		t.Fatalf("no PostgreSQL to test with: %v", err)
	default:
		t.Skipf("NOT TESTED: no PostgreSQL at 127.0.0.1:5432 with a database test, and ORGAUTHZ_POSTGRES_URL names no other: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
