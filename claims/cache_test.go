package claims

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func testEntry(token string, size int) *entry {
	e := &entry{token: token, claims: &Claims{Subject: token}, key: new(key), notBefore: 100, notAfter: 200, size: size}
	e.key.goodUntil.Store(forever)
	return e
}

func TestCacheEntryIsGoodForItsTimeAndKey(t *testing.T) {
	t.Parallel()
	c := newCache(1 << 20)
	e := testEntry("token", 100)
	c.add(e, 150)
	for _, tt := range []struct {
		now  int64
		want bool
	}{{99, false}, {100, true}, {150, true}, {199, true}, {200, false}} {
		if got := c.get("token", tt.now); (got != nil) != tt.want {
			t.Errorf("get at %d = %v, want %v", tt.now, got, tt.want)
		}
	}
	e.key.goodUntil.Store(150)
	if c.get("token", 149) == nil || c.get("token", 150) != nil {
		t.Error("the entry does not end with its key")
	}
}

func TestCacheComparesWholeTokens(t *testing.T) {
	t.Parallel()
	c := newCache(1 << 20)
	tail := strings.Repeat("s", 40)
	c.add(testEntry("a"+tail, 100), 150)
	for _, token := range []string{"b" + tail, tail, "aa" + tail, ""} {
		if got := c.get(token, 150); got != nil {
			t.Errorf("get(%q) = %+v", token, got)
		}
	}
	if c.get(strings.Clone("a"+tail), 150) == nil {
		t.Error("an equal token is not found")
	}
}

func TestCacheIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	c := newCache(limit)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 5_000 {
		e := testEntry(fmt.Sprintf("token %d", random.IntN(2_000)), 200+random.IntN(3_000))
		c.add(e, 150)
		if c.get(e.token, 150) != e.claims && c.get(e.token, 150) != nil {
			t.Fatal("another token's claims")
		}
		if i%100 == 0 {
			sum := 0
			for j := range c.slots {
				if e := c.slots[j].Load(); e != nil {
					sum += e.size
				}
			}
			if sum != c.bytes || sum > limit {
				t.Fatalf("holds %d bytes, counts %d, limit %d", sum, c.bytes, limit)
			}
		}
	}
	if c.bytes < limit/2 {
		t.Errorf("holds %d of %d bytes under load", c.bytes, limit)
	}
	c.add(testEntry("huge", limit+1), 150)
	if c.get("huge", 150) != nil {
		t.Error("an entry above the limit is held")
	}
}

// What is in use outlives what came once.
func TestCacheKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	c := newCache(64 << 10)
	c.add(testEntry("hot", 1000), 150)
	lost := 0
	for i := range 2_000 {
		if c.get("hot", 150) == nil {
			lost++
			c.add(testEntry("hot", 1000), 150)
		}
		c.add(testEntry(fmt.Sprint("once ", i), 1000), 150)
	}
	if lost > 20 {
		t.Errorf("lost the hot entry %d times in 2000 additions", lost)
	}
}

func TestCacheOff(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 0, 100} {
		c := newCache(limit)
		c.add(testEntry("token", 50), 150)
		if c.get("token", 150) != nil {
			t.Errorf("a cache of %d bytes holds something", limit)
		}
	}
}

func TestCacheConcurrently(t *testing.T) {
	t.Parallel()
	c := newCache(16 << 10)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 0))
			for range 3_000 {
				token := fmt.Sprint("token ", random.IntN(100))
				if got := c.get(token, 150); got == nil {
					c.add(testEntry(token, 500), 150)
				} else if got.Subject != token {
					t.Errorf("get(%q) = %q", token, got.Subject)
				}
			}
		})
	}
	group.Wait()
}
