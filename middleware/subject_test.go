package middleware

import (
	"fmt"
	"reflect"
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

// 16,000 live tokens must each find their Subject again: a table that forgets makes the policy prepare every request.
func TestSubjectTableKeeps(t *testing.T) {
	t.Parallel()
	table := newSubjectTable(defaultSubjects)
	a := access(acme, "acme", "x")
	live := make([]*claims.Claims, 16_000)
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
	if lost > len(live)/50 {
		t.Errorf("%d of %d lost", lost, len(live))
	}
}

// What is kept stays below the limit in bytes, however large the tokens are.
func TestSubjectTableIsBounded(t *testing.T) {
	t.Parallel()
	const size = 64
	table := newSubjectTable(size)
	a := access(acme, "acme", "x")
	scopes := make([]string, 100)
	found := 0
	for range 4 * size {
		c := &claims.Claims{Subject: "x", Scopes: scopes}
		if s := table.get(c, a); table.get(c, a) == s {
			found++ // unless the sweep has just come along
		}
		if kept := table.bytes.Load(); kept > table.limit || kept <= 0 {
			t.Fatalf("%d bytes are kept, the limit is %d", kept, table.limit)
		}
	}
	if found < 3*size {
		t.Errorf("only %d of %d were found again at once", found, 4*size)
	}
	held := int64(0)
	for i := range table.slots {
		if p := table.slots[i].Load(); p != nil {
			held += p.size
		}
	}
	if held != table.bytes.Load() {
		t.Errorf("%d bytes are held, %d are counted", held, table.bytes.Load())
	}
	monster := &claims.Claims{Subject: "x", Scopes: make([]string, 1000)}
	if s := table.get(monster, a); table.get(monster, a) == s {
		t.Error("a Subject of more than half of the limit is kept")
	}
}

// An access that was read again and says the same keeps its Subject; one that says anything else does not.
func TestSubjectOfRefreshedAccess(t *testing.T) {
	t.Parallel()
	c := token("ada", claims.Org{ID: acme})
	fresh := func(change func(*orgstore.Access)) *orgstore.Access {
		a := access(acme, "acme", "ada", "read:things")
		a.Member.Metadata = map[string]string{"k": "v"}
		a.AsOf = a.AsOf.Add(1)
		change(a)
		return a
	}
	for name, tt := range map[string]struct {
		change func(*orgstore.Access)
		same   bool
	}{
		"nothing":               {func(*orgstore.Access) {}, true},
		"organization's id":     {func(a *orgstore.Access) { a.Org.ID = bravo }, false},
		"organization's name":   {func(a *orgstore.Access) { a.Org.Name = "bravo" }, false},
		"organization's status": {func(a *orgstore.Access) { a.Org.Status = "x" }, false},
		"organization metadata": {func(a *orgstore.Access) { a.Org.Metadata = map[string]string{"plan": "tin"} }, false},
		"kind":                  {func(a *orgstore.Access) { a.Member.Kind = "guest" }, false},
		"roles":                 {func(a *orgstore.Access) { a.Member.Roles = []string{"admin"} }, false},
		"permissions":           {func(a *orgstore.Access) { a.Member.Permissions = nil }, false},
		"metadata":              {func(a *orgstore.Access) { a.Member.Metadata = nil }, false},
		"via":                   {func(a *orgstore.Access) { a.Member.Via = orgstore.ViaGrant }, false},
		"contracts":             {func(a *orgstore.Access) { a.Member.Contracts = []orgstore.AccessContract{{ID: "c"}} }, false},
		"shares":                {func(a *orgstore.Access) { a.Org.Shares = []orgstore.AccessShare{{With: "o"}} }, false},
		"permissions here":      {func(a *orgstore.Access) { a.Member.APIPermissions = map[string][]string{"here": {"x"}} }, false},
		"permissions elsewhere": {func(a *orgstore.Access) { a.Member.APIPermissions = map[string][]string{"there": {"x"}} }, true},
	} {
		table := newSubjectTable(1)
		table.api = "here"
		first := table.get(c, fresh(func(*orgstore.Access) {}))
		changed := fresh(tt.change)
		got := table.get(c, changed)
		if (got == first) != tt.same {
			t.Errorf("%s: same Subject %v", name, got == first)
		}
		if want := newSubject(c, changed, "here"); !reflect.DeepEqual(got.Org(), want.Org()) || !reflect.DeepEqual(got.Member(), want.Member()) {
			t.Errorf("%s: %+v %+v", name, got.Org(), got.Member())
		}
	}
}
