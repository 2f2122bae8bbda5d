package cached

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

func tableEntry(k Key) *entry {
	a := &orgstore.Access{Principal: k.Principal, Org: orgstore.AccessOrg{ID: k.Org}}
	return &entry{key: k, access: a, weight: weigh(k, a)}
}

func TestTableIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	tab := newTable(limit)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for range 20000 {
				k := Key{fmt.Sprint("org_", r.IntN(100)), fmt.Sprint(r.IntN(1000))}
				if e := tab.get(k); e != nil {
					if e.key != k || e.access.Principal != k.Principal {
						t.Errorf("asked for %v, got %v", k, e.key)
					}
					continue
				}
				tab.put(tableEntry(k))
			}
		})
	}
	wg.Wait()
	var bytes, count int64
	for i := range tab.buckets {
		for j := range tab.buckets[i].entries {
			if e := tab.buckets[i].entries[j].Load(); e != nil {
				bytes, count = bytes+e.weight, count+1
			}
		}
	}
	if bytes != tab.bytes.Load() || count != tab.count.Load() {
		t.Errorf("holds %d entries of %d bytes, counted %d of %d", count, bytes, tab.count.Load(), tab.bytes.Load())
	}
	if bytes > limit || bytes < limit/2 {
		t.Errorf("holds %d bytes under a limit of %d", bytes, limit)
	}
	big := tableEntry(Key{"org_big", strings.Repeat("x", limit)})
	tab.put(big)
	if tab.get(big.key) != nil {
		t.Error("one entry has taken the whole table")
	}
}

func TestTableKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	tab := newTable(1 << 20)
	hot := make([]Key, 50)
	for i := range hot {
		hot[i] = Key{"org_hot", fmt.Sprint(i)}
		tab.put(tableEntry(hot[i]))
	}
	lost := 0
	for i := range 20000 {
		tab.put(tableEntry(Key{"org_scan", fmt.Sprint(i)}))
		if k := hot[i%len(hot)]; tab.get(k) == nil {
			lost++
			tab.put(tableEntry(k))
		}
	}
	if lost > 200 {
		t.Errorf("a scan evicted what was in use %d times of 20000", lost)
	}
}

func TestTableReplaces(t *testing.T) {
	t.Parallel()
	tab := newTable(1 << 20)
	k := Key{"org_rocky", "jonno"}
	tab.put(tableEntry(k))
	second := tableEntry(k)
	tab.put(second)
	if tab.get(k) != second || tab.count.Load() != 1 {
		t.Errorf("the entry was not replaced: %d entries", tab.count.Load())
	}
}
