package cached

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// revisionLimit is the first revision that no engine ever gives: what carries one is garbage.
const revisionLimit = 1 << 53

// cell holds the highest revision of one scope that this node knows of. Entries point to their cells and compare on every
// hit, so that raising one cell puts every entry that depends on the scope out of use.
type cell struct {
	revision atomic.Uint64
	raised   uint64 // change number of the last raise; guarded by the shard's mutex
}

// dep is one pair of an entry's vector.
type dep struct {
	cell     *cell
	revision uint64
}

// cells interns one cell for each scope that an entry in use, or a fill in flight, may depend on.
//
// Forgetting is by generations. A cell that nobody met during one generation is forgotten with the next; a generation
// outlives MaxStaleness, so that whatever was read before the cell's last raise, and every entry that still points to it,
// is by then too old to be served. Where even that is too much memory, a shard is emptied at once, together with
// everything that may depend on it (see overflow).
type cells struct {
	// change counts raises and flushes. It orders them against the beginnings of reads, without a clock.
	change atomic.Uint64
	// floor is the change number below which nothing that began is served from memory: a flush of everything at once.
	floor atomic.Uint64
	// lost is the same for answers on their way, which a flush alone leaves alone: raises from before it are forgotten.
	lost atomic.Uint64

	// blind switches the comparison of revisions off, for tests that show what it is good for.
	blind bool

	seed       maphash.Seed
	generation time.Duration
	shardLimit int // cells of one generation of one shard
	shards     [64]cellShard
}

type cellShard struct {
	mu       sync.Mutex
	now, old map[orgstore.Scope]*cell
	turned   int64 // monotonic instant at which now began
	_        [64]byte
}

func newCells(generation time.Duration, limit int) *cells {
	c := &cells{seed: maphash.MakeSeed(), generation: generation}
	c.shardLimit = max(limit/len(c.shards), 16)
	return c
}

func (c *cells) shard(s orgstore.Scope) *cellShard {
	return &c.shards[maphash.Comparable(c.seed, s)%uint64(len(c.shards))]
}

// get returns the cell of s; a new one is raised to r, from which a read that began earlier can tell that it is behind.
// The caller holds the shard's mutex.
func (c *cells) get(sh *cellShard, s orgstore.Scope, r uint64, mono int64) *cell {
	if time.Duration(mono-sh.turned) >= c.generation || sh.now == nil {
		sh.old, sh.now, sh.turned = sh.now, make(map[orgstore.Scope]*cell), mono
	}
	if cl := sh.now[s]; cl != nil {
		return cl
	}
	if len(sh.now) >= c.shardLimit {
		c.overflow(sh)
	}
	cl := sh.old[s]
	if cl == nil {
		cl = &cell{}
		c.lift(cl, r)
	}
	sh.now[s] = cl
	return cl
}

// overflow forgets a shard and flushes, under the shard's mutex: who meets a cell before it points to a forgotten one but
// began below the floor, and who meets one after it finds the floor raised.
func (c *cells) overflow(sh *cellShard) {
	sh.old, sh.now = nil, make(map[orgstore.Scope]*cell)
	c.flush(&c.floor, &c.lost)
}

// flush puts everything that has begun by now out of use. The floors rise before the change is counted, as in lift.
func (c *cells) flush(floors ...*atomic.Uint64) {
	for {
		n := c.change.Load()
		for _, floor := range floors {
			for f := floor.Load(); f <= n && !floor.CompareAndSwap(f, n+1); f = floor.Load() {
			}
		}
		if c.change.CompareAndSwap(n, n+1) {
			return
		}
	}
}

// close puts out of use whatever there is and will be.
func (c *cells) close() {
	c.floor.Store(math.MaxUint64)
	c.change.Add(1)
}

// current reports whether e may be served from memory.
func (c *cells) current(e *entry) bool {
	change := c.change.Load()
	if e.checked.Load() == change || c.blind {
		return true
	}
	if e.began < c.floor.Load() || !c.unchanged(e) {
		return false
	}
	e.checked.Store(change)
	return true
}

// unchanged reports whether nothing that e depends on has changed since it was read, as far as this node knows.
func (c *cells) unchanged(e *entry) bool {
	if c.blind {
		return true
	}
	for i := range e.deps {
		if e.deps[i].cell.revision.Load() > e.deps[i].revision {
			return false
		}
	}
	return e.began >= c.lost.Load()
}

// raise lifts the cell of s to r, and remembers that it did even when nothing depends on s yet: a fill may be under way.
func (c *cells) raise(s orgstore.Scope, r uint64, mono int64) {
	if r >= revisionLimit {
		return
	}
	sh := c.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if cl := c.get(sh, s, r, mono); cl.revision.Load() < r {
		c.lift(cl, r)
	}
}

// lift stores the revision before it counts the change: who read the new count sees the new revision.
func (c *cells) lift(cl *cell, r uint64) {
	cl.revision.Store(r)
	cl.raised = c.change.Add(1)
}

// meet returns the cell of s for an answer at revision r, whose read began at change number began; nil means that the
// answer is out of date.
//
// An answer of the source that began after the cell was raised is the truth even when it is lower: the cell was raised by
// something forged, or by commits that a restored database has lost, and comes down.
func (c *cells) meet(s orgstore.Scope, r, began uint64, source bool, mono int64) *cell {
	sh := c.shard(s)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	cl := c.get(sh, s, r, mono)
	switch known := cl.revision.Load(); {
	case known < r:
		c.lift(cl, r)
	case known > r && source && cl.raised <= began:
		cl.revision.Store(r)
	case known > r && !c.blind:
		return nil
	}
	return cl
}
