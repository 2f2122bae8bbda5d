package postgres

import (
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	orgstoretest.TestEngine(t, fresh)
}

func TestResolver(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t testing.TB) (*orgstore.Engine, orgstore.Resolver){
		"engine": func(t testing.TB) (*orgstore.Engine, orgstore.Resolver) {
			e := fresh(t)
			return e, e
		},
		"another engine": func(t testing.TB) (*orgstore.Engine, orgstore.Resolver) {
			address := database(t)
			return openAt(t, address, orgstore.Config{}), openAt(t, address, orgstore.Config{})
		},
		"cached": func(t testing.TB) (*orgstore.Engine, orgstore.Resolver) {
			e := fresh(t)
			store, err := cached.New(e, cached.Config{LoadTimeout: time.Minute})
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
