package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// BenchmarkResolve resolves random members of organizations of two sizes, on a file. It reads the same number of rows in both;
// the larger one does not fit in SQLite's page cache, which makes it about twice as slow: 24 and 49 µs on 2 shared vCPU.
func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		e := openFile(b, filepath.Join(b.TempDir(), "orgs.db"), orgstore.Config{})
		world := orgstoretest.Seed(b, e)
		crowd(b, e, world.Org.ID, world.Guide.ID, n)
		for name, org := range map[string]string{"id": world.Org.ID, "name": world.Org.Name} {
			b.Run(fmt.Sprintf("members=%d/by=%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				for b.Loop() {
					a, err := e.Resolve(ctx, orgstore.Query{Org: org, Principal: fmt.Sprintf("crowd|%08d", 1+rand.IntN(n))})
					if err != nil || a.Standing != orgstore.StandingMember {
						b.Fatal(a, err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("members=%d/parallel", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					a, err := e.Resolve(b.Context(), orgstore.Query{Org: world.Org.ID, Principal: fmt.Sprintf("crowd|%08d", 1+rand.IntN(n))})
					if err != nil || a.Standing != orgstore.StandingMember {
						b.Fatal(a, err)
					}
				}
			})
		})
	}
}

// BenchmarkMembers is the cost of adding and removing a member, synced to disk, in organizations of two sizes; and of the
// same in memory.
func BenchmarkMembers(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		for name, path := range map[string]string{"file": filepath.Join(b.TempDir(), "orgs.db"), "memory": ":memory:"} {
			e := openFile(b, path, orgstore.Config{Limits: orgstore.Limits{Members: math.MaxInt}})
			world := orgstoretest.Seed(b, e)
			crowd(b, e, world.Org.ID, world.Guide.ID, n)
			b.Run(fmt.Sprintf("members=%d/%s", n, name), func(b *testing.B) {
				for b.Loop() {
					if _, err := e.Members.Add(b.Context(), world.Org.ID, world.Jonno.ID, orgstore.MemberOptions{Roles: []string{world.Guide.ID}}); err != nil {
						b.Fatal(err)
					}
					if _, err := e.Members.Remove(b.Context(), world.Org.ID, world.Jonno.ID); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkListMembers reads pages of 50 members with their roles from the middle of a large organization.
func BenchmarkListMembers(b *testing.B) {
	e := memory(b)
	world := orgstoretest.Seed(b, e)
	crowd(b, e, world.Org.ID, world.Guide.ID, 100_000)
	page, err := e.Members.List(b.Context(), world.Org.ID, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Limit: 1000}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if page, err := e.Members.List(b.Context(), world.Org.ID, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{After: page.Next}}); err != nil || len(page.Items) != 50 {
			b.Fatal(page, err)
		}
	}
}

// BenchmarkTransact is the cost of an empty transaction.
func BenchmarkTransact(b *testing.B) {
	e := memory(b)
	for b.Loop() {
		if _, err := e.Transact(b.Context(), func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
