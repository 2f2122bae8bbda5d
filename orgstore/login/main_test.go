package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
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
	for name, test := range map[string]func(*testing.T){
		"Complete": TestComplete, "Join": TestJoin, "Picker": TestPicker, "DomainJoin": TestDomainJoin, "Travel0": TestTravel0,
		"Security": TestSecurity, "Invitation": TestInvitation, "InvitationURL": TestInvitationURL,
	} {
		t.Run(name, test)
	}
}

// open opens an engine without any data, in the database that the test is for.
func open(t *testing.T, cfg orgstore.Config) *orgstore.Engine {
	t.Helper()
	cfg.LockTimeout, cfg.LoadTimeout = time.Minute, time.Minute // what is tested is not how busy the machine is
	address, connect := ":memory:", sqlite.Open
	if strings.HasPrefix(t.Name(), "TestPostgres/") {
		address, connect = schema(t), postgres.Open
	}
	engine, err := connect(t.Context(), address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	return engine
}

// schema returns the URL of a schema of the test's own.
func schema(t *testing.T) string {
	t.Helper()
	address := cmp.Or(os.Getenv("ORGAUTHZ_POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/test")
	admin, err := pgx.Connect(t.Context(), address)
	switch {
	case err == nil:
	case os.Getenv("ORGAUTHZ_POSTGRES_URL") != "" || os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1":
		t.Fatalf("no PostgreSQL to test with: %v", err)
	default:
		t.Skipf("NOT TESTED: no PostgreSQL at 127.0.0.1:5432 with a database test, and ORGAUTHZ_POSTGRES_URL names no other: %v", err)
	}
	ctx := context.WithoutCancel(t.Context())
	name := "orgauthz_test_" + strings.ToLower(rand.Text()[:12])
	t.Cleanup(func() {
		if _, err := admin.Exec(ctx, "DROP SCHEMA IF EXISTS "+name+" CASCADE"); err != nil {
			t.Error(err)
		}
		_ = admin.Close(ctx)
	})
	if _, err := admin.Exec(ctx, "CREATE SCHEMA "+name); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("search_path", name)
	query.Set("pool_max_conns", "4")
	u.RawQuery = query.Encode()
	return u.String()
}
