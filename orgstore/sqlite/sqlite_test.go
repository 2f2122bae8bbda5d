package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

func memory(t testing.TB) *orgstore.Engine {
	t.Helper()
	return openFile(t, ":memory:", orgstore.Config{})
}

func TestResolver(t *testing.T) {
	t.Parallel()
	orgstoretest.TestResolver(t, func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
		e := openFile(t, ":memory:", orgstore.Config{Clock: clock})
		return e, e
	})
}

func TestEngine(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]func(t testing.TB) string{
		"memory": func(testing.TB) string { return ":memory:" },
		"file":   func(t testing.TB) string { return filepath.Join(t.TempDir(), "orgs.db") },
	} {
		if name == "file" && testing.Short() {
			continue // what differs is the disk
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			orgstoretest.TestEngine(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openFile(t, path(t), cfg) })
		})
	}
}

func TestRaces(t *testing.T) {
	t.Parallel()
	orgstoretest.TestRaces(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine {
		return openFile(t, filepath.Join(t.TempDir(), "orgs.db"), cfg)
	})
}

func TestNodes(t *testing.T) {
	t.Parallel()
	orgstoretest.TestNodes(t, func(t testing.TB) (a, b *orgstore.Engine) {
		path := filepath.Join(t.TempDir(), "orgs.db")
		return openFile(t, path, orgstore.Config{}), openFile(t, path, orgstore.Config{})
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	orgstoretest.TestIdempotency(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine {
		return openFile(t, filepath.Join(t.TempDir(), "orgs.db"), cfg)
	})
}

func TestVerify(t *testing.T) {
	t.Parallel()
	orgstoretest.TestVerify(t, func(t testing.TB) (*orgstore.Engine, *sql.DB) {
		path := filepath.Join(t.TempDir(), "orgs.db")
		return openFile(t, path, orgstore.Config{}), own(t, path, "")
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	orgstoretest.TestEvents(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openFile(t, ":memory:", cfg) })
}

func TestAccess(t *testing.T) {
	t.Parallel()
	orgstoretest.TestAccess(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine { return openFile(t, ":memory:", cfg) })
}

func TestExchange(t *testing.T) {
	t.Parallel()
	orgstoretest.TestExchange(t, func(t testing.TB, cfg orgstore.Config) *orgstore.Engine {
		return openFile(t, filepath.Join(t.TempDir(), "orgs.db"), cfg)
	})
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	orgstoretest.TestBadInput(t, memory)
}
