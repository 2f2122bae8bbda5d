package claims

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// cache holds verified tokens, and nothing else. A look-up takes no lock and writes nothing that other cores read, except
// once per entry and sweep: the table is sets of few atomic pointers to immutable entries.
type cache struct {
	seed  maphash.Seed
	slots []atomic.Pointer[entry] // len is a power of two
	limit int                     // bytes

	mu    sync.Mutex // serializes add
	bytes int
	hand  int // of the clock that evicts when bytes exceeds limit
}

// entry is a token that was verified, with all that a hit must check again.
type entry struct {
	token     string
	claims    *Claims
	key       *key
	notBefore int64 // Unix nanoseconds, skew included
	notAfter  int64
	size      int

	used atomic.Bool // since the hand passed
}

const (
	ways         = 4   // slots in a set
	bytesPerSlot = 512 // an entry is about five times larger: sets seldom fill up, and bytes are what runs out
)

// newCache returns nil, which holds nothing, for a limit too small to be of use.
func newCache(limit int) *cache {
	slots := ways
	for slots*2*bytesPerSlot <= limit {
		slots *= 2
	}
	if limit < slots*bytesPerSlot {
		return nil
	}
	return &cache{seed: maphash.MakeSeed(), slots: make([]atomic.Pointer[entry], slots), limit: limit}
}

// set returns the slots where token may be. Only the token's end is hashed: that is the signature, which no two tokens that
// verify share, and the whole token is compared in any case.
func (c *cache) set(token string) []atomic.Pointer[entry] {
	at := int(maphash.String(c.seed, token[max(0, len(token)-32):])) & (len(c.slots) - 1) &^ (ways - 1)
	return c.slots[at : at+ways]
}

func (e *entry) good(now int64) bool {
	return now < e.notAfter && now >= e.notBefore && e.key.good(now)
}

// get returns the claims of a token that was verified before and would be verified again now, or nil.
func (c *cache) get(token string, now int64) *Claims {
	if c == nil {
		return nil
	}
	set := c.set(token)
	for i := range set {
		if e := set[i].Load(); e != nil && e.token == token {
			if !e.good(now) {
				return nil
			}
			if !e.used.Load() {
				e.used.Store(true)
			}
			return e.claims
		}
	}
	return nil
}

func (c *cache) add(e *entry, now int64) {
	if c == nil || e.size > c.limit {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(c.victim(c.set(e.token), e.token, now), e)
	for c.bytes > c.limit {
		slot := &c.slots[c.hand]
		c.hand = (c.hand + 1) & (len(c.slots) - 1)
		if old := slot.Load(); old != nil && (!old.used.Swap(false) || !old.good(now)) {
			c.put(slot, nil)
		}
	}
}

// victim picks the slot to overwrite: the token's own, an empty one, or that of an entry that is dead or was not used lately.
func (c *cache) victim(set []atomic.Pointer[entry], token string, now int64) *atomic.Pointer[entry] {
	var best *atomic.Pointer[entry]
	for i := range set {
		old := set[i].Load()
		switch {
		case old == nil:
			if best == nil || best.Load() != nil {
				best = &set[i]
			}
		case old.token == token:
			return &set[i]
		case best == nil && (!old.good(now) || !old.used.Swap(false)):
			best = &set[i]
		}
	}
	if best == nil {
		best = &set[0]
	}
	return best
}

func (c *cache) put(slot *atomic.Pointer[entry], e *entry) {
	if old := slot.Load(); old != nil {
		c.bytes -= old.size
	}
	if e != nil {
		c.bytes += e.size
	}
	slot.Store(e)
}
