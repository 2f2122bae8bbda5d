package rediscache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
)

const maxAge = time.Minute

var (
	key        = cached.Key{Org: "org_rocky", Principal: "auth0|sumana"}
	membership = orgstore.MembershipScope(key.Org, key.Principal)
)

func get(t testing.TB, c *Cache, k cached.Key) cached.Found {
	t.Helper()
	f, err := c.Get(t.Context(), k, maxAge)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func put(t testing.TB, c *Cache, k cached.Key, a *orgstore.Access, l cached.Lease) {
	t.Helper()
	if err := c.Put(t.Context(), k, a, l, maxAge); err != nil {
		t.Fatal(err)
	}
}

// at returns an answer of the membership at one revision, read now.
func at(revision uint64) *orgstore.Access {
	a := sample(time.Now())
	a.Vector[1].Revision = revision
	return a
}

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		f := get(t, c, key)
		if f.Access != nil || f.Lease.IsZero() {
			t.Fatalf("empty: %+v", f)
		}
		a := at(5)
		put(t, c, key, a, f.Lease)
		got := get(t, c, key).Access
		if got == nil {
			t.Fatalf("not there: %+v", c.Stats())
		}
		if got.Standing != orgstore.StandingMember || got.Member.Roles[0] != "guide" {
			t.Errorf("got %+v", got)
		}
		if got.AsOf.Sub(a.AsOf) > time.Millisecond /* the clocks drift */ || a.AsOf.Sub(got.AsOf) > maxAge/2 {
			t.Errorf("read at %v, came back as of %v", a.AsOf, got.AsOf)
		}
		if other := get(t, c, cached.Key{Org: "org_granite", Principal: key.Principal}).Access; other != nil {
			t.Errorf("another organization has %+v", other)
		}
		put(t, c, cached.Key{Org: "x", Principal: key.Principal}, a, cached.Lease{})
		if c.Stats().Puts != 1 {
			t.Error("a fill without a lease was stored")
		}
	})
}

// A fill that was read before a change and is written after it is refused, whatever kind of scope changed. The twin writes
// plainly.
func TestTombstones(t *testing.T) {
	t.Parallel()
	plain := redis.NewScript(`redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2]) return 'stored'`)
	onEach(t, func(t *testing.T, addr string) {
		for name, scope := range map[string]orgstore.Scope{
			"membership":   membership,
			"organization": orgstore.OrganizationScope(key.Org),
			"name":         orgstore.NameScope("rocky-mountain-high"),
		} {
			for _, twin := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/twin=%v", name, twin), func(t *testing.T) {
					cfg := Config{Prefix: fmt.Sprint(name, twin)}
					filler, writer, reader := newCache(t, addr, cfg), newCache(t, addr, cfg), newCache(t, addr, cfg)
					if twin {
						filler.put = plain
					}
					k := key
					if scope.Kind == orgstore.ScopeName {
						k.Org = scope.ID
					}
					stale := sample(time.Now())
					stale.Vector = orgstore.Vector{{Scope: scope, Revision: 4}}
					lease := get(t, filler, k).Lease
					if err := writer.Invalidate(t.Context(), orgstore.Vector{{Scope: scope, Revision: 5}}, maxAge); err != nil {
						t.Fatal(err)
					}
					put(t, filler, k, stale, lease)
					value, err := rawClient(t, addr).Exists(t.Context(), filler.keyOf(k)).Result()
					if err != nil {
						t.Fatal(err)
					}
					if stored := value == 1; stored != twin {
						t.Errorf("stored: %v", stored)
					}
					// Reading compares once more, so that even the twin's entry is not believed.
					if a := get(t, reader, k).Access; a != nil {
						t.Errorf("the answer from before the change was returned: %+v", a)
					}
					fresh := sample(time.Now())
					fresh.Vector = orgstore.Vector{{Scope: scope, Revision: 5}}
					put(t, reader, k, fresh, get(t, reader, k).Lease)
					if get(t, filler, k).Access == nil {
						t.Error("an answer at the new revision was refused")
					}
				})
			}
		}
	})
}

func (c *Cache) keyOf(k cached.Key) string {
	keys, _ := c.keys.entry(k)
	return keys[0]
}

// A change of an organization puts all its entries out of use at once, and no other organization's.
func TestOrganizationChange(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		fill := func(org, principal string) cached.Key {
			k := cached.Key{Org: org, Principal: principal}
			a := sample(time.Now())
			a.Principal, a.Org.ID = principal, org
			a.Vector = orgstore.Vector{{Scope: orgstore.OrganizationScope(org), Revision: 1}}
			put(t, c, k, a, get(t, c, k).Lease)
			return k
		}
		here := []cached.Key{fill("org_rocky", "a"), fill("org_rocky", "b"), fill("org_rocky", "c")}
		there := fill("org_granite", "a")
		if err := c.Invalidate(t.Context(), orgstore.Vector{{Scope: orgstore.OrganizationScope("org_rocky"), Revision: 2}}, maxAge); err != nil {
			t.Fatal(err)
		}
		for _, k := range here {
			if get(t, c, k).Access != nil {
				t.Errorf("%v is still there", k)
			}
		}
		if get(t, c, there).Access == nil {
			t.Error("another organization's entry has gone too")
		}
	})
}

func TestAnEntryIsOnlyReplacedByOneThatIsNotOlder(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		lease := get(t, c, key).Lease
		for _, step := range []struct {
			put, want uint64
		}{{5, 5}, {4, 5}, {5, 5}, {6, 6}, {1, 6}} {
			put(t, c, key, at(step.put), lease)
			a := get(t, c, key).Access
			if a == nil || a.Vector[1].Revision != step.want {
				t.Fatalf("after revision %d: %+v, want %d", step.put, a, step.want)
			}
		}
		if got := c.Stats().Refused; got != 2 {
			t.Errorf("refused %d, want 2", got)
		}
	})
}

// A write that took its time is born dead, by the clock of Redis.
func TestLateWriteIsBornDead(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		raw := rawClient(t, addr)
		for late, want := range map[time.Duration]time.Duration{maxAge / 3: maxAge * 2 / 3, maxAge + time.Millisecond: -2} {
			lease := get(t, c, key).Lease
			lease.Server = lease.Server.Add(-late) // as if Redis got it so much later
			put(t, c, key, at(1), lease)
			if life := raw.PTTL(t.Context(), c.keyOf(key)).Val(); life > want || want > 0 && life < want/2 {
				t.Errorf("%v late, it lives for %v, want %v", late, life, want)
			}
			raw.Del(t.Context(), c.keyOf(key))
		}
	})
}

func TestAges(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		raw := rawClient(t, addr)
		for name, c := range map[string]struct {
			age  time.Duration // by the wall clock of who wrote
			life time.Duration // in Redis
			want time.Duration // the age that it comes back with; negative: not at all
		}{
			"fresh":                      {0, maxAge, 0},
			"old by the wall clock":      {40 * time.Second, maxAge, 40 * time.Second},
			"old by the clock of Redis":  {0, 20 * time.Second, 40 * time.Second},
			"too old":                    {maxAge + time.Millisecond, maxAge, -1},
			"slightly ahead":             {-200 * time.Millisecond, maxAge, 0},
			"ahead":                      {-maxAge, maxAge, -1},
			"lives longer than anything": {0, 2 * maxAge, -1},
			"never dies":                 {0, 0, -1},
		} {
			cache := newCache(t, addr, Config{Prefix: strings.ReplaceAll(name, " ", "-")})
			value, err := cache.sealer.encodeEntry(cache.keyOf(key), sample(time.Now().Add(-c.age)))
			if err != nil {
				t.Fatal(err)
			}
			if err := raw.Set(t.Context(), cache.keyOf(key), value, c.life).Err(); err != nil {
				t.Fatal(err)
			}
			a := get(t, cache, key).Access
			if (a != nil) != (c.want >= 0) {
				t.Errorf("%s: got %+v", name, a)
			}
			if a != nil {
				if age := time.Since(a.AsOf); age < c.want || age > c.want+15*time.Second {
					t.Errorf("%s: came back at age %v, want %v", name, age, c.want)
				}
			}
			if s := cache.Stats(); a == nil && s.Outdated != 1 {
				t.Errorf("%s: not counted: %+v", name, s)
			}
		}
	})
}

func TestPoisonedEntries(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		raw := rawClient(t, addr)
		ctx := t.Context()
		for name, poison := range map[string]func(c *Cache, value string) error{
			"flipped bit": func(c *Cache, v string) error {
				b := []byte(v)
				b[len(b)/2] ^= 1
				return raw.Set(ctx, c.keyOf(key), b, maxAge).Err()
			},
			"truncated":      func(c *Cache, v string) error { return raw.Set(ctx, c.keyOf(key), v[:len(v)/2], maxAge).Err() },
			"one byte":       func(c *Cache, v string) error { return raw.Set(ctx, c.keyOf(key), "x", maxAge).Err() },
			"10 MB":          func(c *Cache, v string) error { return raw.Set(ctx, c.keyOf(key), make([]byte, 10<<20), maxAge).Err() },
			"not a string":   func(c *Cache, v string) error { return raw.LPush(ctx, c.keyOf(key), v).Err() },
			"another schema": func(c *Cache, v string) error { return poisonWith(c, raw, "oae9 "+v[5:len(v)-32]) },
			"unknown standing": func(c *Cache, v string) error {
				_, body, _ := strings.Cut(v[:len(v)-32], "\n")
				return poisonWith(c, raw, entryMagic+"\n\x07"+body[1:])
			},
			"revision 2^63": func(c *Cache, v string) error {
				_, body, _ := strings.Cut(v[:len(v)-32], "\n")
				return poisonWith(c, raw, entryMagic+"1..b3Jn=9223372036854775808\n"+body)
			},
			"another organization's": func(c *Cache, _ string) error {
				other := cached.Key{Org: "org_granite", Principal: key.Principal}
				v, err := c.sealer.encodeEntry(c.keyOf(other), sample(time.Now()))
				return errors.Join(err, raw.Set(ctx, c.keyOf(key), v, maxAge).Err())
			},
			"another organization's, sealed for this key": func(c *Cache, _ string) error {
				a := sample(time.Now())
				a.Org.ID = "org_granite"
				v, err := c.sealer.encodeEntry(c.keyOf(key), a)
				return errors.Join(err, raw.Set(ctx, c.keyOf(key), v, maxAge).Err())
			},
			"a cell that is no number": func(c *Cache, v string) error {
				keys, _ := c.keys.entry(key)
				return errors.Join(raw.Set(ctx, keys[0], v, maxAge).Err(), raw.Set(ctx, keys[1], "x", maxAge).Err())
			},
		} {
			c := newCache(t, addr, Config{Prefix: strings.ReplaceAll(name, " ", "-")})
			value, err := c.sealer.encodeEntry(c.keyOf(key), sample(time.Now()))
			if err != nil {
				t.Fatal(err)
			}
			if err := poison(c, string(value)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			f := get(t, c, key)
			if f.Access != nil || c.Stats().Corrupt != 1 {
				t.Errorf("%s: got %+v, counted %+v", name, f.Access, c.Stats())
			}
			put(t, c, key, sample(time.Now()), f.Lease)
			if name != "a cell that is no number" && get(t, c, key).Access == nil {
				t.Errorf("%s: the place is lost", name)
			}
		}
	})
}

func poisonWith(c *Cache, raw *redis.Client, unsealed string) error {
	return raw.Set(context.Background(), c.keyOf(key), c.sealer.seal(c.keyOf(key), []byte(unsealed)), maxAge).Err()
}

func TestHostileIDs(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, addr string) {
		c := newCache(t, addr, Config{})
		hostile := []string{"", ":", "{", "}", "{}", "*", "\x00", "\n", " ", "a=b", "org_a", "org_A", strings.Repeat("x", 10<<10), "\xff"}
		n := uint64(0)
		want := map[cached.Key]uint64{}
		for _, o := range hostile {
			for _, p := range hostile {
				n++
				k := cached.Key{Org: o, Principal: p}
				want[k] = n
				a := &orgstore.Access{Standing: orgstore.StandingNotMember, Principal: p, AsOf: time.Now()}
				a.Vector = orgstore.Vector{{Scope: orgstore.MembershipScope(o, p), Revision: n}}
				if err := c.Put(t.Context(), k, a, get(t, c, k).Lease, time.Minute); err != nil {
					t.Fatal(err)
				}
			}
		}
		for k, n := range want {
			f, err := c.Get(t.Context(), k, time.Minute)
			if err != nil || f.Access == nil || f.Access.Vector[0].Revision != n {
				t.Errorf("%.10q %.10q: %+v, %v", k.Org, k.Principal, f.Access, err)
			}
		}
		victim := cached.Key{Org: "{", Principal: "*"}
		err := c.Invalidate(t.Context(), orgstore.Vector{{Scope: orgstore.MembershipScope(victim.Org, victim.Principal), Revision: 1 << 52}}, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			f, err := c.Get(t.Context(), k, time.Minute)
			if err != nil || (f.Access == nil) != (k == victim) {
				t.Errorf("after a change of one: %.10q %.10q: %+v, %v", k.Org, k.Principal, f.Access, err)
			}
		}
	})
}

func TestConfigProblemsAtOnce(t *testing.T) {
	t.Parallel()
	careless := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer careless.Close()
	_, err := New(careless, Config{Prefix: "{x}", Timeout: -1, HMACKey: []byte("short")})
	for _, name := range []string{"ContextTimeoutEnabled", "Prefix", "Timeout", "HMACKey"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not mention %s: %v", name, err)
		}
	}
	if _, err := New(nil, Config{}); err == nil {
		t.Error("a nil client was accepted")
	}
	for name, client := range map[string]redis.UniversalClient{
		"cluster": redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}}),
		"ring":    redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFrequency: time.Hour}),
	} {
		if _, err := New(client, Config{}); err == nil {
			t.Errorf("a careless %s client was accepted", name)
		}
		_ = client.Close()
	}
	if _, err := Open(t.Context(), "redis://user:secret@host:port/x", Config{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("malformed URL: %v", err)
	}
	for _, target := range []string{"", ":", "localhost", "127.0.0.1:6379/3", "127.0.0.1:redis", "127.0.0.1:70000"} {
		if _, err := Open(t.Context(), target, Config{}); err == nil || !strings.Contains(err.Error(), "host:port") {
			t.Errorf("Open(%q): %v", target, err)
		}
	}
	if _, err := Open(t.Context(), "127.0.0.1:1", Config{Timeout: -1}); err == nil {
		t.Error("Open took a Config that New refuses")
	}
}
