package cached

import (
	"math/rand/v2"
	"sync/atomic"
)

// Stats counts what a Store has done since New, and says what it holds.
type Stats struct {
	LocalHits     uint64 // answers from memory; sampled, so that counting costs the hot path nothing
	SharedHits    uint64 // answers from Shared
	Loads         uint64 // calls of the loader
	LoadErrors    uint64 // of them without a usable answer
	Joined        uint64 // callers who waited for a flight that another had begun
	Refreshes     uint64 // flights that began before they were needed
	Refused       uint64 // answers not kept because what they depend on had changed
	Busy          uint64 // flights that found no free slot
	SharedErrors  uint64 // failed operations on Shared
	Invalidations uint64 // revisions told by other nodes
	Gaps          uint64 // times that all answers were put out of use because some may have been missed

	Entries int64 // answers held, the outdated included
	Bytes   int64 // what they take, by estimate
}

type counters struct {
	localHits, sharedHits, loads, loadErrors, joined, refreshes atomic.Uint64
	refused, busy, sharedErrors, invalidations, gaps            atomic.Uint64
}

// hitSample is a power of two: one hit of so many is counted, for all of them.
const hitSample = 64

func (c *counters) localHit() {
	if rand.Uint64()%hitSample == 0 {
		c.localHits.Add(hitSample)
	}
}

// Stats returns the counters as they stand.
func (s *Store) Stats() Stats {
	c := &s.stats
	return Stats{
		LocalHits:     c.localHits.Load(),
		SharedHits:    c.sharedHits.Load(),
		Loads:         c.loads.Load(),
		LoadErrors:    c.loadErrors.Load(),
		Joined:        c.joined.Load(),
		Refreshes:     c.refreshes.Load(),
		Refused:       c.refused.Load(),
		Busy:          c.busy.Load(),
		SharedErrors:  c.sharedErrors.Load(),
		Invalidations: c.invalidations.Load(),
		Gaps:          c.gaps.Load(),
		Entries:       s.table.count.Load(),
		Bytes:         s.table.bytes.Load(),
	}
}
