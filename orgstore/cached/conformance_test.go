package cached_test

import (
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func open(t testing.TB, clock func() time.Time) (*orgstore.Engine, *cached.Store) {
	t.Helper()
	engine, err := sqlite.Open(t.Context(), ":memory:", orgstore.Config{LoadTimeout: time.Minute, LockTimeout: time.Minute, Clock: clock}) // busy machines are not the matter
	if err != nil {
		t.Fatal(err)
	}
	store, err := cached.New(engine, cached.Config{LoadTimeout: time.Minute, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine, store
}

func TestResolver(t *testing.T) {
	t.Parallel()
	orgstoretest.TestResolver(t, func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
		return open(t, clock)
	})
}
