package rediscache

import "sync/atomic"

// Stats counts what a Cache has done since New.
type Stats struct {
	Hits      uint64 // entries returned
	Misses    uint64 // keys without an entry
	Outdated  uint64 // entries not returned because of their age, or of a revision known in Redis
	Corrupt   uint64 // entries not returned because they were malformed, too large or not for their key
	Puts      uint64 // entries stored
	Refused   uint64 // entries not stored because they were late, out of date or too large
	Errors    uint64 // operations that failed
	Received  uint64 // messages of other nodes
	Malformed uint64 // messages ignored because they made no sense
	Gaps      uint64 // beginnings and ends of a subscription

	Skipping   bool // Redis has not answered of late, and is only probed
	Subscribed bool // other nodes' changes are heard
}

type counters struct {
	hits, misses, outdated, corrupt, puts, refused, errors, received, malformed, gaps atomic.Uint64
}

// Stats returns the counters as they stand.
func (c *Cache) Stats() Stats {
	s := &c.stats
	return Stats{
		Hits:       s.hits.Load(),
		Misses:     s.misses.Load(),
		Outdated:   s.outdated.Load(),
		Corrupt:    s.corrupt.Load(),
		Puts:       s.puts.Load(),
		Refused:    s.refused.Load(),
		Errors:     s.errors.Load(),
		Received:   s.received.Load(),
		Malformed:  s.malformed.Load(),
		Gaps:       s.gaps.Load(),
		Skipping:   c.breaker.open(),
		Subscribed: c.subscribed.Load(),
	}
}
