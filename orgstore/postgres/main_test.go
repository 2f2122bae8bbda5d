package postgres

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestMain is also the other process of the tests that kill one.
func TestMain(m *testing.M) {
	if address := os.Getenv("ORGAUTHZ_TEST_DATABASE"); address != "" {
		if err := stormIn(address, os.Getenv("ORGAUTHZ_TEST_STORM")); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := dropSchemas(); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// server returns the URL of the server to test with, once it has answered.
var server = sync.OnceValues(func() (string, error) {
	address := os.Getenv("ORGAUTHZ_POSTGRES_URL")
	if address == "" {
		address = "postgres://postgres@127.0.0.1:5432/test"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return "", err
	}
	return address, conn.Close(ctx)
})

// with returns a URL with these parameters set.
func with(t testing.TB, address string, parameters ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for i := 0; i < len(parameters); i += 2 {
		query.Set(parameters[i], parameters[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// connect opens a connection beside the engines, as another program would.
func connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("pool_max_conns")
	u.RawQuery = query.Encode()
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the test's context has ended
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func execute(t testing.TB, conn *pgx.Conn, statement string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(context.WithoutCancel(t.Context()), statement, args...); err != nil {
		t.Fatal(err)
	}
}

func openAt(t testing.TB, address string, cfg orgstore.Config) *orgstore.Engine {
	t.Helper()
	cfg.LockTimeout = cmp.Or(cfg.LockTimeout, time.Minute) // what is tested is not how busy the machine is
	cfg.LoadTimeout = cmp.Or(cfg.LoadTimeout, time.Minute)
	e, err := Open(t.Context(), address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, e)
	return e
}

func closeAfter(t testing.TB, e *orgstore.Engine) {
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func fresh(t testing.TB) *orgstore.Engine {
	t.Helper()
	return openAt(t, database(t), orgstore.Config{})
}
