package policy

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"sync/atomic"
)

// cache holds decisions by everything that they were computed from, compared exactly. It is a table of small sets of slots;
// a look-up reads one set without a lock. The bytes of all entries together stay below a limit: when they reach it, slots are
// emptied in turn, and an entry that would take more than a small part of it is not stored.
type cache struct {
	seed  maphash.Seed
	sets  [][ways]atomic.Pointer[cached]
	limit int64
	bytes atomic.Int64
	hand  atomic.Uint64 // the next slot to empty
}

const (
	ways         = 8
	typicalEntry = 1 << 10 // bytes; what the number of slots is reckoned from
	cachedShare  = 64      // an entry may take this part of the limit
)

// cached is one decision and what it was computed from: the identities of the two programs and the whole input. (A projection
// of the input onto what the programs read belongs here, once they say what that is.)
type cached struct {
	hash         uint64
	product, org uint64
	action       string
	method       string
	pattern      string
	params       []Param
	subject      string // Subject.key
	resource     string // absent is empty, and "null" is not

	decision Decision
	size     int64
	used     atomic.Bool // since a newcomer last looked for a place here
}

// newCache returns nil, which holds nothing, for a limit that leaves no room.
func newCache(limit int64) *cache {
	n := limit / (ways * typicalEntry)
	if n <= 0 {
		return nil
	}
	return &cache{seed: maphash.MakeSeed(), sets: make([][ways]atomic.Pointer[cached], 1<<(bits.Len64(uint64(n))-1)), limit: limit}
}

// hash only finds the set to look in; equality is decided by matches.
func (c *cache) hash(product, org uint64, in *Input) uint64 {
	h := mix(in.Subject.hash^product, org)
	h = mix(h, maphash.String(c.seed, in.Action))
	h = mix(h, maphash.String(c.seed, in.Request.Method))
	h = mix(h, maphash.String(c.seed, in.Request.Pattern))
	for i := range in.Request.Params {
		h = mix(h, maphash.String(c.seed, in.Request.Params[i].Name))
		h = mix(h, maphash.String(c.seed, in.Request.Params[i].Value))
	}
	if len(in.Resource) > 0 {
		h = mix(h, maphash.Bytes(c.seed, in.Resource))
	}
	return h
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo
}

func (e *cached) matches(hash, product, org uint64, in *Input) bool {
	return e.hash == hash && e.product == product && e.org == org &&
		e.action == in.Action && e.method == in.Request.Method && e.pattern == in.Request.Pattern &&
		slices.Equal(e.params, in.Request.Params) && e.subject == in.Subject.key && e.resource == string(in.Resource)
}

func (c *cache) set(hash uint64) *[ways]atomic.Pointer[cached] {
	return &c.sets[hash&uint64(len(c.sets)-1)]
}

func (c *cache) get(hash, product, org uint64, in *Input) *cached {
	set := c.set(hash)
	for i := range set {
		if e := set[i].Load(); e != nil && e.matches(hash, product, org, in) {
			if !e.used.Load() {
				e.used.Store(true)
			}
			return e
		}
	}
	return nil
}

func (c *cache) put(hash, product, org uint64, in *Input, d Decision) {
	params := slices.Clone(in.Request.Params)
	size := int64(len(in.Action)+len(in.Request.Method)+len(in.Request.Pattern)+len(in.Subject.key)+len(in.Resource)) +
		sizeOf(d.Reasons) + sizeOf(d.Obligations) + 512
	for i, p := range params { // values are parts of a longer text, which must not be kept for them
		params[i] = Param{Name: strings.Clone(p.Name), Value: strings.Clone(p.Value)}
		size += int64(len(p.Name)+len(p.Value)) + 64
	}
	if size > c.limit/cachedShare {
		return
	}
	e := &cached{
		hash: hash, product: product, org: org,
		action: in.Action, method: in.Request.Method, pattern: in.Request.Pattern, params: params,
		subject: in.Subject.key, resource: string(in.Resource),
		decision: d, size: size,
	}
	added := size
	if old := c.place(hash, in, e).Swap(e); old != nil {
		added -= old.size
	}
	for total := c.bytes.Add(added); total > c.limit; {
		i := c.hand.Add(1)
		slot := &c.sets[i/ways%uint64(len(c.sets))][i%ways]
		if old := slot.Load(); old != nil && slot.CompareAndSwap(old, nil) {
			total = c.bytes.Add(-old.size)
		}
	}
}

// place chooses the slot for e: that of the same question, else an empty one, else one that was not used lately.
func (c *cache) place(hash uint64, in *Input, e *cached) *atomic.Pointer[cached] {
	set := c.set(hash)
	var free *atomic.Pointer[cached]
	for i := range set {
		old := set[i].Load()
		switch {
		case old == nil:
			free = &set[i]
		case old.matches(hash, e.product, e.org, in):
			return &set[i]
		}
	}
	if free != nil {
		return free
	}
	for i := range set {
		if old := set[i].Load(); old == nil || !old.used.Swap(false) {
			return &set[i]
		}
	}
	return &set[c.hand.Add(1)%ways]
}

// sizeOf estimates the bytes that a JSON value takes.
func sizeOf(v any) int64 {
	n := int64(32)
	switch v := v.(type) {
	case string:
		n += int64(len(v))
	case []any:
		for _, x := range v {
			n += sizeOf(x)
		}
	case map[string]any:
		for k, x := range v {
			n += int64(len(k)) + 64 + sizeOf(x)
		}
	}
	return n
}
