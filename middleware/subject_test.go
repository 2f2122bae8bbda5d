package middleware

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// The Subject of a request must be the one of its own claims and access, whatever else the table holds.
func TestSubjectTable(t *testing.T) {
	t.Parallel()
	table := newSubjectTable(1) // one set, so that everything collides
	type pair struct {
		c *claims.Claims
		a *orgstore.Access
	}
	var pairs []pair
	for i := range 16 {
		c := token(fmt.Sprint("user", i), claims.Org{ID: acme})
		pairs = append(pairs, pair{c, access(acme, "acme", c.Subject, fmt.Sprint("one", i))},
			pair{c, access(acme, "acme", c.Subject, fmt.Sprint("two", i))})
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 4000 {
				p := pairs[(i*(worker+1)+i/7)%len(pairs)]
				s := table.get(p.c, p.a)
				if s.Token().Subject != p.c.Subject || s.Member().Permissions[0] != p.a.Member.Permissions[0] {
					t.Errorf("asked for %s %v, got %s %v", p.c.Subject, p.a.Member.Permissions, s.Token().Subject, s.Member().Permissions)
					return
				}
			}
		})
	}
	wg.Wait()
	if a, b := table.get(pairs[0].c, pairs[0].a), table.get(pairs[0].c, pairs[0].a); a != b {
		t.Error("the same pair is prepared twice")
	}
}

// 1,000 live tokens must each find their Subject again: a table that forgets makes the policy prepare every request.
func TestSubjectTableKeeps(t *testing.T) {
	t.Parallel()
	table := newSubjectTable(defaultSubjects)
	a := access(acme, "acme", "x")
	live := make([]*claims.Claims, 1000)
	first := make([]*policy.Subject, len(live))
	for i := range live {
		live[i] = &claims.Claims{Subject: "x"}
		first[i] = table.get(live[i], a)
	}
	lost := 0
	for i := range live {
		if table.get(live[i], a) != first[i] {
			lost++
		}
	}
	if lost > 10 {
		t.Errorf("%d of %d lost", lost, len(live))
	}
}
