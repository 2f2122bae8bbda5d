package rediscache

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

func TestResolver(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		var n atomic.Int64
		orgstoretest.TestResolver(t, func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
			e := newEngineAt(t, clock)
			return e, newStore(t, e, newCache(t, addr, Config{Prefix: fmt.Sprint("p", n.Add(1)), Clock: clock}), cached.Config{Clock: clock})
		})
	})
}

func standing(t testing.TB, r orgstore.Resolver, org, principal string) orgstore.Standing {
	t.Helper()
	a, err := r.Resolve(t.Context(), orgstore.Query{Org: org, Principal: principal})
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	return a.Standing
}

// pair is two nodes on one database and one Redis: what a writes, b learns through Redis alone, as ages end after a minute.
type pair struct {
	t      *testing.T
	engine *orgstore.Engine
	world  orgstoretest.World
	a, b   *cached.Store
	cacheB *Cache
}

func newPair(t *testing.T, addrA, addrB string, cfgB Config, wrap func(*Cache) cached.Shared) *pair {
	t.Helper()
	p := &pair{t: t, engine: newEngine(t)}
	p.world = orgstoretest.Seed(t, p.engine)
	p.a = newStore(t, p.engine, newCache(t, addrA, Config{}), cached.Config{MaxStaleness: time.Minute})
	p.cacheB = newCache(t, addrB, cfgB)
	var shared cached.Shared = p.cacheB
	if wrap != nil {
		shared = wrap(p.cacheB)
	}
	p.b = newStore(t, quiet{p.engine}, shared, cached.Config{MaxStaleness: time.Minute, SharedTimeout: cfgB.Timeout})
	eventually(t, "b is subscribed", p.cacheB.subscribed.Load)
	return p
}

func (p *pair) add() {
	p.t.Helper()
	if _, err := p.engine.Members.Add(p.t.Context(), p.world.Org.ID, p.world.Jonno.ID, orgstore.MemberOptions{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) remove() {
	p.t.Helper()
	if _, err := p.engine.Members.Remove(p.t.Context(), p.world.Org.ID, p.world.Jonno.ID); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) onA() bool {
	return standing(p.t, p.a, p.world.Org.ID, p.world.Jonno.ID) == orgstore.StandingMember
}

func (p *pair) onB() bool {
	return standing(p.t, p.b, p.world.Org.ID, p.world.Jonno.ID) == orgstore.StandingMember
}

func TestRevocationReachesTheOtherNode(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		p := newPair(t, addr, addr, Config{}, nil)
		var took []time.Duration
		for range 100 {
			p.add()
			if !p.onA() {
				t.Fatal("a does not see its own addition")
			}
			eventually(t, "b sees the addition", p.onB)
			p.remove()
			if p.onA() {
				t.Fatal("a does not see its own removal")
			}
			took = append(took, eventually(t, "b sees the removal", func() bool { return !p.onB() }))
		}
		slices.Sort(took)
		t.Logf("revocation on another node: p50 %v, p99 %v, max %v", took[50], took[98], took[99])
		if took[99] > 2*time.Second {
			t.Errorf("took %v", took[99])
		}

		// Roles and users leave nothing in Redis but the message.
		if _, err := p.engine.Users.Block(t.Context(), p.world.Emilio.ID); err != nil {
			t.Fatal(err)
		}
		eventually(t, "b sees that Emilio is blocked", func() bool {
			return standing(t, p.b, p.world.Org.ID, p.world.Emilio.ID) == orgstore.StandingBlocked
		})
	})
}

// gapless trusts its connection.
type gapless struct{ *Cache }

func (g gapless) Subscribe(raised func(orgstore.Vector), gap func()) {
	g.Cache.Subscribe(raised, func() {})
}

// The subscriber's connection is cut, and the membership is revoked before it is back. The twin does not mind gaps.
func TestRevocationInAGap(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		for _, twin := range []bool{false, true} {
			t.Run(fmt.Sprintf("twin=%v", twin), func(t *testing.T) {
				t.Parallel()
				via := startProxy(t, addr)
				p := newPair(t, addr, via.addr(), Config{}, func(c *Cache) cached.Shared {
					if twin {
						return gapless{c}
					}
					return c
				})
				rounds := 10
				if twin {
					rounds = 1
				}
				for range rounds {
					p.add()
					eventually(t, "b sees the addition", p.onB)
					via.refuse(true)
					eventually(t, "b has lost its subscription", func() bool { return !p.cacheB.subscribed.Load() })
					if !p.onB() { // fills b's memory again, after the gap that it has noticed
						t.Fatal("b does not see the addition")
					}
					p.remove()
					via.refuse(false)
					gaps := p.cacheB.stats.gaps.Load()
					eventually(t, "b is subscribed", func() bool { return p.cacheB.stats.gaps.Load() > gaps || p.cacheB.subscribed.Load() })
					if twin {
						if !p.onB() {
							t.Error("b has seen the removal without minding gaps: this test shows nothing")
						}
						continue
					}
					eventually(t, "b sees the removal", func() bool { return !p.onB() })
				}
			})
		}
	})
}

// Nothing arrives any more, but the connection stands.
func TestHalfOpenSubscription(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		via := startProxy(t, addr)
		p := newPair(t, addr, via.addr(), Config{Timeout: 100 * time.Millisecond}, nil)
		p.add()
		eventually(t, "b sees the addition", p.onB)
		via.set(toClient, false)
		p.remove()
		took := eventually(t, "b sees the removal", func() bool { return !p.onB() })
		t.Logf("noticed after %v", took)
		if took > 2500*time.Millisecond {
			t.Errorf("noticed after %v, want about 1.5 s", took)
		}
		via.set(toClient, true)
		eventually(t, "b is subscribed again", p.cacheB.subscribed.Load)
	})
}

// As long as nobody has anything to say, the nodes keep the channel alive between them.
func TestSilenceIsNoGap(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		const beat = 100 * time.Millisecond
		var gaps [3]atomic.Int64
		var caches [3]*Cache
		for i := range caches {
			caches[i] = newCache(t, addr, Config{heartbeat: beat})
			subscribe(t, caches[i], func(orgstore.Vector) {}, func() { gaps[i].Add(1) })
		}
		client := rawClient(t, addr)
		ps := client.Subscribe(t.Context(), caches[0].keys.channel())
		defer ps.Close()
		const listen = 20
		began, heard := time.Now(), 0
		for time.Since(began) < listen*beat {
			if _, err := ps.ReceiveTimeout(t.Context(), beat); err == nil {
				heard++
			}
		}
		for i := range gaps {
			if n := gaps[i].Load(); n != 1 {
				t.Errorf("node %d had %d gaps, want the first alone", i, n)
			}
		}
		t.Logf("%d messages in %d heartbeats of 3 nodes", heard, listen)
		if heard > 3*listen {
			t.Errorf("%d messages in %d heartbeats: each node speaks for itself", heard, listen)
		}
	})
}

func TestMessagesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		var raised atomic.Int64
		key := []byte("0123456789abcdef")
		c := newCache(t, addr, Config{HMACKey: key})
		subscribe(t, c, func(v orgstore.Vector) { raised.Add(int64(len(v))) }, func() {})
		raw, channel := rawClient(t, addr), c.keys.channel()
		v := orgstore.Vector{{Scope: membership, Revision: 7}}
		bad := [][]byte{
			nil, {0}, []byte("{}"), make([]byte, 1<<20),
			sealer{}.encodeMessages(channel, "other", v)[0],                                           // not authenticated
			sealer{key}.encodeMessages("another channel", "other", v)[0],                              // of another product
			sealer{key}.seal(channel, []byte(messageMagic+"other -\n1..b3Jn=")),                       // cut
			sealer{key}.seal(channel, []byte(messageMagic+"other -\n1..b3Jn=18446744073709551615\n")), // 2^64 - 1
			sealer{key}.seal(channel, []byte("oam2 other -\n\n")),                                     // of another schema
		}
		for _, m := range bad {
			if err := raw.Publish(t.Context(), channel, m).Err(); err != nil {
				t.Fatal(err)
			}
		}
		good := sealer{key}.encodeMessages(channel, "other", v)[0]
		own := sealer{key}.encodeMessages(channel, c.sender, v)[0]
		for _, m := range [][]byte{own, good} {
			if err := raw.Publish(t.Context(), channel, m).Err(); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "the good message arrives", func() bool { return raised.Load() > 0 })
		if s := c.Stats(); s.Malformed != uint64(len(bad)) || s.Received != 1 || raised.Load() != 1 {
			t.Errorf("%d pairs raised, counted %+v", raised.Load(), s)
		}
	})
}
