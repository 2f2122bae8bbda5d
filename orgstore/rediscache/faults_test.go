package rediscache

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// Redis dies under load and comes back empty: nobody gets an error or a wrong answer, and what the node itself revokes is
// revoked at once.
func TestRedisDiesUnderLoad(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	engine := newEngine(t)
	w := orgstoretest.Seed(t, engine)
	c := newCache(t, s.addr, Config{})
	store := newStore(t, engine, c, cached.Config{})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				a, err := store.Resolve(context.Background(), orgstore.Query{Org: w.Org.ID, Principal: w.Emilio.ID})
				if err != nil || a.Standing != orgstore.StandingMember {
					t.Errorf("got %+v, %v", a, err)
					return
				}
				asked.Add(1)
				runtime.Gosched()
			}
		})
	}
	toggle := func(n int) {
		for range n {
			if _, err := engine.Members.Add(t.Context(), w.Org.ID, w.Jonno.ID, orgstore.MemberOptions{}); err != nil {
				t.Fatal(err)
			}
			if got := standing(t, store, w.Org.ID, w.Jonno.ID); got != orgstore.StandingMember {
				t.Fatalf("after the addition: %v", got)
			}
			if _, err := engine.Members.Remove(t.Context(), w.Org.ID, w.Jonno.ID); err != nil {
				t.Fatal(err)
			}
			if got := standing(t, store, w.Org.ID, w.Jonno.ID); got != orgstore.StandingNotMember {
				t.Fatalf("after the removal: %v", got)
			}
		}
	}
	toggle(5)
	s.kill()
	toggle(20)
	eventually(t, "the loss is noticed", func() bool { return !c.Stats().Subscribed })
	if err := store.Health(t.Context()); !errors.Is(err, cached.ErrDegraded) {
		t.Errorf("Health: %v", err)
	}
	s.start()
	toggle(5)
	hits := c.Stats().Hits
	eventually(t, "Redis is used again", func() bool { st := c.Stats(); return st.Subscribed && !st.Skipping && st.Hits > hits })
	eventually(t, "Health", func() bool { return store.Health(t.Context()) == nil })
	close(stop)
	wg.Wait()
	if asked.Load() == 0 {
		t.Error("nothing was asked")
	}
}

// Redis hangs: every request is within R + Q, the first ones included, and goroutines do not pile up.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	engine := newEngine(t)
	w := orgstoretest.Seed(t, engine)
	c := newCache(t, s.addr, Config{Timeout: 25 * time.Millisecond})
	store := newStore(t, engine, c, cached.Config{SharedTimeout: 25 * time.Millisecond, LoadTimeout: 500 * time.Millisecond})
	for i := range 20 {
		standing(t, store, w.Org.ID, ids(i))
	}
	s.signal(syscall.SIGSTOP)
	defer s.signal(syscall.SIGCONT)
	before := runtime.NumGoroutine()
	var slowest time.Duration
	timed := func(do func()) {
		began := time.Now()
		do()
		slowest = max(slowest, time.Since(began))
	}
	for i := range 300 {
		timed(func() { standing(t, store, w.Org.ID, ids(100+i)) })
		if i%50 == 0 {
			timed(func() {
				if _, err := engine.Members.Add(t.Context(), w.Org.ID, w.Jonno.ID, orgstore.MemberOptions{}); err != nil {
					t.Error(err)
				}
			})
			timed(func() {
				if _, err := engine.Members.Remove(t.Context(), w.Org.ID, w.Jonno.ID); err != nil {
					t.Error(err)
				}
			})
			if got := standing(t, store, w.Org.ID, w.Jonno.ID); got != orgstore.StandingNotMember {
				t.Errorf("after the removal: %v", got)
			}
		}
	}
	t.Logf("slowest of 300 misses and 12 mutations: %v; goroutines %d, before %d", slowest, runtime.NumGoroutine(), before)
	if slowest > time.Second { // R + Q, and the patience that a busy machine needs
		t.Errorf("a request took %v", slowest)
	}
	if !c.Stats().Skipping {
		t.Error("a Redis that hangs is not skipped")
	}
	began := time.Now()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
}

func TestRedisComesLater(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	s.kill()
	engine := newEngine(t)
	w := orgstoretest.Seed(t, engine)
	c, err := Open(t.Context(), "redis://"+s.addr+"/0", Config{Timeout: time.Second})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	store, err := cached.New(engine, cached.Config{Shared: c, SharedTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if got := standing(t, store, w.Org.ID, w.Emilio.ID); got != orgstore.StandingMember {
		t.Errorf("without Redis: %v", got)
	}
	s.start()
	eventually(t, "subscribed", func() bool { return c.Stats().Subscribed })
}

// Redis is full: changes are acknowledged, other nodes are told, questions are answered.
func TestRedisIsFull(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	p := newPair(t, s.addr, s.addr, Config{}, nil)
	p.add()
	eventually(t, "b sees the addition", p.onB)
	raw := rawClient(t, s.addr)
	for name, value := range map[string]string{"maxmemory-policy": "noeviction", "maxmemory": "1"} {
		if err := raw.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	p.remove()
	if p.onA() {
		t.Error("a does not see its own removal")
	}
	eventually(t, "b sees the removal", func() bool { return !p.onB() })
	if p.cacheB.Stats().Skipping {
		t.Error("a Redis that answers is skipped")
	}
}

// A write that is stuck on its way is dead when it gets there.
func TestWriteStuckInTheSocket(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		const maxAge = 300 * time.Millisecond
		via := startProxy(t, addr)
		c := newCache(t, via.addr(), Config{Timeout: 100 * time.Millisecond})
		f, err := c.Get(t.Context(), key, maxAge)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Put(t.Context(), key, sample(time.Now()), f.Lease, maxAge); err != nil {
			t.Fatal(err) // so that the script is known there
		}
		raw := rawClient(t, addr)
		if err := raw.Del(t.Context(), c.keyOf(key)).Err(); err != nil {
			t.Fatal(err)
		}
		read := time.Now()
		a := sample(read)
		via.set(toServer, false)
		if err := c.Put(t.Context(), key, a, f.Lease, maxAge); err == nil {
			t.Fatal("a write that is stuck was acknowledged")
		}
		before := raw.Info(t.Context(), "commandstats").Val()
		eventually(t, "the answer is too old", func() bool { return time.Since(read) > maxAge })
		via.set(toServer, true)
		eventually(t, "the write has arrived, or never will", func() bool {
			return raw.Info(t.Context(), "commandstats").Val() != before || time.Since(read) > 3*maxAge
		})
		if n := raw.Exists(t.Context(), c.keyOf(key)).Val(); n != 0 {
			t.Error("it lives")
		}
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	c := newCache(t, deadEnd(t), Config{})
	open := 0
	for range 1000 {
		_, err := c.Get(t.Context(), key, maxAge)
		if err == nil {
			t.Fatal("an answer from nowhere")
		}
		if errors.Is(err, errOpen) {
			open++
		}
	}
	if open < 990 {
		t.Errorf("%d of 1000 calls skipped Redis", open)
	}
	// The caller's own leaving says nothing about Redis.
	c = newCache(t, deadEnd(t), Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		_, _ = c.Get(ctx, key, maxAge)
	}
	if c.Stats().Skipping {
		t.Error("callers who left have opened the breaker")
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		subscribe(t, c, func(orgstore.Vector) {}, func() {})
		if err := c.Health(t.Context()); err != nil {
			t.Errorf("Health: %v", err)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Get(t.Context(), key, maxAge); err == nil {
			t.Error("Get after Close")
		}
		if err := c.Health(t.Context()); err == nil {
			t.Error("Health after Close")
		}
		c.Subscribe(func(orgstore.Vector) {}, func() {}) // begins nothing
	})
}
