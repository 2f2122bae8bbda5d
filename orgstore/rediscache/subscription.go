package rediscache

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/redis/go-redis/v9"
)

// Subscribe listens until Close, through all losses of the connection. The client's own reconnecting is not used, as it
// does not tell when messages may have been lost.
func (c *Cache) Subscribe(raised func(orgstore.Vector), gap func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.running.Go(func() {
		const first, last = 50 * time.Millisecond, time.Second
		wait, warned := first, false
		for c.ctx.Err() == nil {
			connected, err := c.listen(raised, gap)
			if connected {
				wait, warned = first, false
			}
			if c.ctx.Err() != nil {
				return
			}
			if !warned {
				c.cfg.Logger.Warn("orgstore/rediscache: not subscribed to other nodes' changes, trying again", slog.Any("error", err))
				warned = true
			}
			select {
			case <-time.After(wait/2 + rand.N(wait)):
			case <-c.ctx.Done():
			}
			wait = min(wait*2, last)
		}
	})
}

// listen is one life of the subscription. It begins and ends with a gap.
func (c *Cache) listen(raised func(orgstore.Vector), gap func()) (connected bool, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	ps := c.client.Subscribe(ctx)
	defer ps.Close()
	silence := 3 * c.cfg.heartbeat
	bounded, done := context.WithTimeout(ctx, silence)
	err = ps.Subscribe(bounded, c.keys.channel())
	done()
	if err != nil {
		return false, err
	}

	var heard atomic.Int64 // nanoseconds since began
	began := time.Now()
	watching := make(chan struct{})
	go func() { // ends with ctx
		defer close(watching)
		c.watch(ctx, ps, func() time.Duration { return time.Since(began) - time.Duration(heard.Load()) })
	}()
	defer func() {
		cancel()
		ps.Close() // a watch that is about to close it may do so twice
		<-watching
		if connected {
			c.subscribed.Store(false)
			c.stats.gaps.Add(1)
			gap()
		}
	}()
	for {
		message, err := receive(ctx, ps)
		if err != nil {
			return connected, err
		}
		heard.Store(int64(time.Since(began)))
		switch m := message.(type) {
		case *redis.Subscription:
			if connected { // the client has reconnected by itself
				return connected, fmt.Errorf("the connection was replaced")
			}
			connected = true
			c.subscribed.Store(true)
			c.stats.gaps.Add(1)
			gap()
		case *redis.Message:
			c.deliver(m.Payload, raised)
		}
	}
}

// receive turns a panic of the client about a reply that makes no sense into an error.
func receive(ctx context.Context, ps *redis.PubSub) (message any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed reply: %v", p)
		}
	}()
	return ps.Receive(ctx)
}

// watch speaks when the channel has been silent for about a heartbeat, so that one node's voice is enough for all, and
// ends a subscription that does not even hear that: its connection may be half open, or lead to a Redis that others left.
func (c *Cache) watch(ctx context.Context, ps *redis.PubSub, silence func() time.Duration) {
	beat := c.cfg.heartbeat
	tick := time.NewTicker(beat / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ps.Close()
			return
		case <-tick.C:
		}
		switch quiet := silence(); {
		case quiet >= 3*beat:
			ps.Close()
			return
		case quiet >= beat*3/4+rand.N(beat/4):
			c.beat(ctx)
		}
	}
}

func (c *Cache) beat(ctx context.Context) {
	for _, m := range c.sealer.encodeMessages(c.keys.channel(), c.sender, nil) {
		_ = c.try(ctx, func(ctx context.Context) error { return c.client.Publish(ctx, c.keys.channel(), m).Err() })
	}
}

func (c *Cache) deliver(payload string, raised func(orgstore.Vector)) {
	sender, v, err := c.sealer.decodeMessage(c.keys.channel(), payload)
	switch {
	case err != nil:
		c.stats.malformed.Add(1)
	case sender != c.sender && len(v) > 0:
		c.stats.received.Add(1)
		raised(v)
	}
}
