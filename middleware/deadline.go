package middleware

import (
	"context"
	"sync/atomic"
	"time"
)

// deadlineContext is a context with a deadline whose timer starts only when somebody waits for it: a request whose three
// answers are all cached never does, and pays for no timer.
type deadlineContext struct {
	parent   context.Context
	deadline time.Time
	made     atomic.Pointer[liveContext]
	ended    atomic.Bool
}

type liveContext struct {
	context.Context
	cancel context.CancelFunc
}

// live returns the context with the timer, making it on the first call.
func (c *deadlineContext) live() *liveContext {
	if l := c.made.Load(); l != nil {
		return l
	}
	ctx, cancel := context.WithDeadline(c.parent, c.deadline)
	l := &liveContext{ctx, cancel}
	if !c.made.CompareAndSwap(nil, l) {
		cancel()
		return c.made.Load()
	}
	if c.ended.Load() { // end may have come before there was something to cancel
		cancel()
	}
	return l
}

// end cancels c.
func (c *deadlineContext) end() {
	c.ended.Store(true)
	if l := c.made.Load(); l != nil {
		l.cancel()
	}
}

// Deadline implements context.Context.
func (c *deadlineContext) Deadline() (time.Time, bool) {
	if d, ok := c.parent.Deadline(); ok && d.Before(c.deadline) {
		return d, true
	}
	return c.deadline, true
}

// Done implements context.Context.
func (c *deadlineContext) Done() <-chan struct{} { return c.live().Done() }

// Err implements context.Context.
func (c *deadlineContext) Err() error {
	if l := c.made.Load(); l != nil {
		return l.Err()
	}
	if !c.ended.Load() && c.parent.Err() == nil && time.Now().Before(c.deadline) {
		return nil
	}
	return c.live().Err() // from now on the same answer
}

// Value implements context.Context. It leads to the live context where there is one, so that package context finds its own
// cancellation there and needs no goroutine for contexts derived from c.
func (c *deadlineContext) Value(key any) any {
	if l := c.made.Load(); l != nil {
		return l.Value(key)
	}
	return c.parent.Value(key)
}
