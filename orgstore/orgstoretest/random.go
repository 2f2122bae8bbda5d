package orgstoretest

import (
	"errors"
	"math/rand/v2"
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

// randomMutations runs each mutation once, which must change something, and then random ones. After each it asks some questions, and
// now and then all.
func randomMutations(t *resolverTest) {
	const most = 150
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	w := newChanging(t, t.engine, t.world, t.clock)
	var deleted []string // organizations
	asking, steps := rand.New(rand.NewPCG(seed, 1)), 0
	step := func(m mutation, random *rand.Rand) bool {
		before := w.list(orgsThere)
		result, err := m.do(&chance{t.Context(), t.engine, w, random})
		if err != nil && (random == nil || !refused(err)) {
			t.Fatalf("%s: %v", m.name, err)
		}
		after := w.list(orgsThere)
		for _, org := range before {
			if !slices.Contains(after, org) {
				deleted = append(deleted, org)
			}
		}
		principals := w.principals()
		steps++
		for _, org := range slices.Concat(orgNames, after, deleted[max(0, len(deleted)-1):]) {
			for _, principal := range principals[max(0, len(principals)-6):] {
				if steps%10 != 0 && asking.IntN(4) != 0 {
					continue
				}
				if m.name == "time" {
					t.landed(org, principal)
				}
				t.ask(org, principal)
			}
		}
		return result.Changed
	}
	for _, m := range mutationsInOrder {
		if !step(m, nil) {
			t.Fatalf("%s changed nothing", m.name)
		}
	}
	random, changed := rand.New(rand.NewPCG(seed, 0)), 0
	for range most {
		m := mutations[random.IntN(len(mutations))]
		t.Log(m.name)
		if step(m, random) {
			changed++
		}
	}
	if changed < most/10 { // a seed may block or delete everybody for a while
		t.Fatalf("only %d of %d mutations changed anything", changed, most)
	}
}

// landed waits for a load that a cache began before the clock was moved: it is too old when it comes, which is no answer.
func (t *resolverTest) landed(org, principal string) {
	t.Helper()
	for range 100 {
		_, err := t.resolver.Resolve(t.Context(), orgstore.Query{Org: org, Principal: principal})
		if !errors.Is(err, orgstore.ErrUnavailable) {
			return
		}
	}
}

func without(list []string, element string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == element })
}
