package cached

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Whatever is changed in whatever order: an answer has seen every change that was acknowledged before the question, and
// when nothing is under way any more, the cached answer is the direct one.
func TestDifferential(t *testing.T) {
	t.Parallel()
	for _, blind := range []bool{false, true} {
		t.Run(fmt.Sprintf("blind=%v", blind), func(t *testing.T) {
			t.Parallel()
			const orgs, users, rounds = 3, 5, 4000
			src := newSource()
			s := newStore(t, src, Config{})
			s.cells.blind = blind
			var acknowledged [orgs][users]atomic.Uint64
			var behind atomic.Int64
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					r := rand.New(rand.NewPCG(uint64(w), 1))
					for range rounds {
						o, u := r.IntN(orgs), r.IntN(users)
						q := orgstore.Query{Org: fmt.Sprint("org_", o), Principal: fmt.Sprint(u)}
						if r.IntN(10) == 0 {
							n := src.set(q.Org, q.Principal, r.IntN(2) == 0)[0].Revision
							for old := acknowledged[o][u].Load(); old < n && !acknowledged[o][u].CompareAndSwap(old, n); {
								old = acknowledged[o][u].Load()
							}
						}
						want := acknowledged[o][u].Load()
						a, err := s.Resolve(context.Background(), q)
						if errors.Is(err, errChanged) {
							continue
						}
						if err != nil || a.Org.ID != q.Org || a.Principal != q.Principal {
							t.Errorf("asked for %v, got %v, %v", q, a, err)
							return
						}
						if got, _ := a.Vector.Of(orgstore.MembershipScope(q.Org, q.Principal)); got < want {
							behind.Add(1)
						}
					}
				})
			}
			wg.Wait()
			for o := range orgs {
				for u := range users {
					q := orgstore.Query{Org: fmt.Sprint("org_", o), Principal: fmt.Sprint(u)}
					if a, err := s.Resolve(t.Context(), q); err != nil || a.Standing != src.snapshot(q).Standing {
						behind.Add(1)
					}
				}
			}
			if bad := behind.Load() > 0; bad != blind {
				t.Errorf("%d answers had not seen an acknowledged change", behind.Load())
			}
		})
	}
}
