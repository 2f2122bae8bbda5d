package cached

import (
	"hash/maphash"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/orgauthz/orgauthz/orgstore"
)

// entry is one answer in L1. What is not atomic never changes.
type entry struct {
	key    Key
	access *orgstore.Access
	deps   []dep
	began  uint64 // change number before the answer was read
	asOf   instant
	until  int64 // wall clock of ValidUntil in nanoseconds, 0 for never
	weight int64

	checked   atomic.Uint64 // change number at which deps were last found current
	refreshAt atomic.Int64  // monotonic instant from which a hit begins a refresh
	used      atomic.Bool   // hit since the evicting hand passed
}

// slots is chosen so that a bucket fills one cache line.
const slots = 7

// bucket is a small set of entries. tags holds one byte of each entry's hash, so that a look-up touches no other entry.
type bucket struct {
	tags    atomic.Uint64
	entries [slots]atomic.Pointer[entry]
}

// table is a set-associative map bounded in bytes: reads take no lock and write nothing but a use mark that is not set
// yet; what was not used since the hand passed goes first (CLOCK).
type table struct {
	seed    maphash.Seed
	mask    uint64
	buckets []bucket
	locks   [64]sync.Mutex // of buckets, by index; writers only

	limit int64
	bytes atomic.Int64
	count atomic.Int64
	hand  atomic.Uint64
}

func newTable(limit int64) *table {
	n := uint64(1) << bits.Len64(uint64(limit)/(512*slots)) // an entry is seldom below 512 bytes
	return &table{seed: maphash.MakeSeed(), mask: n - 1, buckets: make([]bucket, n), limit: limit}
}

func (t *table) find(k Key) (i uint64, tag uint64) {
	h := maphash.Comparable(t.seed, k)
	return h & t.mask, h >> 56
}

func (t *table) get(k Key) *entry {
	i, tag := t.find(k)
	b := &t.buckets[i]
	tags := b.tags.Load()
	for j := range b.entries {
		if tags>>(8*j)&0xff == tag {
			if e := b.entries[j].Load(); e != nil && e.key == k {
				if !e.used.Load() {
					e.used.Store(true)
				}
				return e
			}
		}
	}
	return nil
}

// put stores e in place of an entry of the same key.
func (t *table) put(e *entry) {
	if e.weight > t.limit/8 {
		return
	}
	i, tag := t.find(e.key)
	b, mu := &t.buckets[i], &t.locks[i%uint64(len(t.locks))]
	mu.Lock()
	j := b.place(e.key)
	t.set(b, j, e, tag)
	mu.Unlock()
	for n := 0; t.bytes.Load() > t.limit && n < 2*len(t.buckets); n++ {
		t.sweep()
	}
}

// place chooses the slot for a key: its own, an empty one, or that of an entry not used of late.
func (b *bucket) place(k Key) int {
	free := -1
	for j := range b.entries {
		switch e := b.entries[j].Load(); {
		case e == nil:
			free = j
		case e.key == k:
			return j
		}
	}
	if free >= 0 {
		return free
	}
	for j := range b.entries {
		if !b.entries[j].Load().used.Swap(false) {
			return j
		}
	}
	return 0
}

// set replaces slot j; nil empties it. The caller holds the bucket's lock.
func (t *table) set(b *bucket, j int, e *entry, tag uint64) {
	if old := b.entries[j].Load(); old != nil {
		t.bytes.Add(-old.weight)
		t.count.Add(-1)
	}
	if e != nil {
		t.bytes.Add(e.weight)
		t.count.Add(1)
	}
	b.entries[j].Store(e)
	b.tags.Store(b.tags.Load()&^(0xff<<(8*j)) | tag<<(8*j))
}

// sweep moves the hand by one bucket, and evicts what was not used since it last passed.
func (t *table) sweep() {
	i := t.hand.Add(1) & t.mask
	b, mu := &t.buckets[i], &t.locks[i%uint64(len(t.locks))]
	mu.Lock()
	defer mu.Unlock()
	for j := range b.entries {
		if e := b.entries[j].Load(); e != nil && !e.used.Swap(false) {
			t.set(b, j, nil, 0)
		}
	}
}

// weigh estimates the bytes that an entry holds, its cells included.
func weigh(k Key, a *orgstore.Access) int64 {
	const (
		fixed   = int(unsafe.Sizeof(entry{}) + unsafe.Sizeof(orgstore.Access{}))
		str     = int(unsafe.Sizeof(""))
		perDep  = int(unsafe.Sizeof(orgstore.Revision{}) + unsafe.Sizeof(dep{}))
		perCell = 128 // a cell, its map slot and its key; counted twice an entry, as most are shared
		perPair = 64  // of a map
	)
	n := fixed + 2*perCell + len(k.Org) + len(k.Principal) + len(a.Principal)
	n += len(a.Org.ID) + len(a.Org.Name) + len(a.Org.Status) + len(a.Member.Kind)
	texts := func(list []string) {
		for _, s := range list {
			n += str + len(s)
		}
	}
	texts(a.Member.Roles)
	texts(a.Member.Permissions)
	for api, permissions := range a.Member.APIPermissions {
		n += perPair + len(api)
		texts(permissions)
	}
	for _, s := range a.Org.Shares {
		n += int(unsafe.Sizeof(s)) + len(s.Name) + len(s.Direction) + len(s.Contract) + len(s.With)
	}
	for _, c := range a.Member.Contracts {
		n += int(unsafe.Sizeof(c)) + len(c.ID) + len(c.Guest)
	}
	if p := a.Org.Security; p != nil {
		n += int(unsafe.Sizeof(*p))
		texts(p.Connections)
		texts(p.ACR)
		texts(p.Methods)
		n += len(p.Networks) * int(unsafe.Sizeof(netip.Prefix{}))
	}
	for _, m := range []map[string]string{a.Org.Metadata, a.Member.Metadata} {
		for k, v := range m {
			n += perPair + len(k) + len(v)
		}
	}
	for _, r := range a.Vector {
		n += perDep + len(r.Scope.Org) + len(r.Scope.ID)
	}
	return int64(n)
}
