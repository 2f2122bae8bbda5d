package rediscache

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// breaker spares requests a Redis that does not answer: after some failures in a row it is open, and lets one probe
// through about every second.
type breaker struct {
	failures atomic.Int32
	probeAt  atomic.Int64 // nanoseconds since base; 0 when closed
	base     time.Time
}

const (
	breakAfter = 3
	probeEvery = time.Second
)

func (b *breaker) open() bool { return b.probeAt.Load() != 0 }

func (b *breaker) next() int64 {
	return max(int64(time.Since(b.base)+probeEvery*3/4+rand.N(probeEvery/2)), 1)
}

// allow reports whether to try; of those who ask while the breaker is open, one a second.
func (b *breaker) allow() bool {
	at := b.probeAt.Load()
	return at == 0 || int64(time.Since(b.base)) >= at && b.probeAt.CompareAndSwap(at, b.next())
}

func (b *breaker) succeeded() (closed bool) {
	if b.failures.Load() != 0 {
		b.failures.Store(0)
	}
	return b.probeAt.Load() != 0 && b.probeAt.Swap(0) != 0
}

func (b *breaker) failed() (opened bool) {
	return b.failures.Add(1) >= breakAfter && b.probeAt.CompareAndSwap(0, b.next())
}
