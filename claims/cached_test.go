package claims_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

type verify func(context.Context, string) (*claims.Claims, error)

// firstDifference lets a subject and a Verifier without a cache see the same tokens while time passes, keys rotate and
// attackers copy signatures, and says where they first answer differently. wrap makes the subject from the Verifier.
func firstDifference(t *testing.T, seed uint64, cacheBytes int, wrap func(verify, func() time.Time) verify) string {
	t.Helper()
	now := time.Now()
	clock := func() time.Time { return now }
	issuer := claimstest.NewIssuerAt(t, clock)
	cfg := trusting(issuer.Trusted())
	cfg.Clock, cfg.CacheBytes = clock, -1
	direct := newVerifier(t, cfg).Verify
	cfg.CacheBytes = cacheBytes
	subject := wrap(newVerifier(t, cfg).Verify, clock)

	random := rand.New(rand.NewPCG(seed, 0))
	var tokens []string
	for step := range 400 {
		switch random.IntN(8) {
		case 0, 1:
			tokens = append(tokens, issuer.Token(claims.Token{
				Lifetime: time.Duration(1+random.IntN(600)) * time.Second,
				Extra:    map[string]any{"nbf": now.Add(time.Duration(random.IntN(90)) * time.Second).Unix()},
			}))
		case 2:
			if len(tokens) > 0 { // another payload before a good signature
				parts := strings.Split(tokens[random.IntN(len(tokens))], ".")
				header, _ := issuer.Baseline()
				other := strings.Split(issuer.Forge(header, `{"iss":"`+claimstest.URL+`","sub":"eve"}`), ".")
				tokens = append(tokens, parts[0]+"."+other[1]+"."+parts[2])
			}
		case 3:
			now = now.Add(time.Duration(random.IntN(40)) * time.Second)
		case 4:
			if random.IntN(10) == 0 {
				issuer.Rotate()
			}
			if random.IntN(10) == 0 {
				now = now.Add(-time.Minute) // clocks are set back
			}
		}
		for range min(3, len(tokens)) {
			token := tokens[len(tokens)-1-random.IntN(min(20, len(tokens)))]
			a, errA := subject(t.Context(), token)
			b, errB := direct(t.Context(), token)
			if fmt.Sprint(errA) != fmt.Sprint(errB) || (a == nil) != (b == nil) || a != nil && (a.ID != b.ID || a.Subject != b.Subject) {
				return fmt.Sprintf("step %d: %+v (%v) with a cache, %+v (%v) without", step, a, errA, b, errB)
			}
		}
	}
	return ""
}

// remember is what a careless cache does: it keeps answers by key, and gives them out while stillGood says so.
func remember(key func(string) string, stillGood func(*claims.Claims, time.Time) bool) func(verify, func() time.Time) verify {
	return func(next verify, clock func() time.Time) verify {
		var mu sync.Mutex
		held := map[string]*claims.Claims{}
		return func(ctx context.Context, token string) (*claims.Claims, error) {
			mu.Lock()
			defer mu.Unlock()
			if c := held[key(token)]; c != nil && stillGood(c, clock()) {
				return c, nil
			}
			c, err := next(ctx, token)
			if err == nil {
				held[key(token)] = c
			}
			return c, err
		}
	}
}

func whole(token string) string { return token }

func tail(token string) string { return token[len(token)-32:] }

func always(*claims.Claims, time.Time) bool { return true }

func notExpired(c *claims.Claims, now time.Time) bool {
	return now.Before(c.Expiry.Add(30 * time.Second))
}

func inTime(c *claims.Claims, now time.Time) bool {
	begun := now.Add(30 * time.Second)
	return notExpired(c, now) && !c.NotBefore.After(begun) && !c.IssuedAt.After(begun)
}

func asItIs(v verify, _ func() time.Time) verify { return v }

// The cached answer is the uncached one. Each twin remembers tokens with one protection less, and must be found out.
func TestCachedAnswerIsTheUncachedOne(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		bytes int
		wrap  func(verify, func() time.Time) verify
		same  bool
	}{
		"cache":                               {0, asItIs, true},
		"cache that always evicts":            {4 << 10, asItIs, true},
		"twin: time is not checked":           {-1, remember(whole, always), false},
		"twin: nbf is not checked":            {-1, remember(whole, notExpired), false},
		"twin: the key is not checked":        {-1, remember(whole, inTime), false},
		"twin: the token is not all compared": {-1, remember(tail, inTime), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := ""
			for seed := range uint64(4) {
				if found = firstDifference(t, seed, tt.bytes, tt.wrap); found != "" {
					break
				}
			}
			if tt.same && found != "" {
				t.Error(found)
			} else if !tt.same && found == "" {
				t.Error("the twin was not found out: this test could not find the fault in the cache either")
			}
		})
	}
}

// rotateWhileVerifying rotates keys while many verify, and counts the answers that a token got whose key had left before the
// call began. Good tokens must be accepted all the while.
func rotateWhileVerifying(t *testing.T, wrap func(verify, func() time.Time) verify) int {
	t.Helper()
	issuer := claimstest.NewIssuer(t)
	verify := wrap(newVerifier(t, trusting(issuer.Trusted())).Verify, time.Now)
	var mu sync.Mutex
	token, generation := issuer.Token(claims.Token{}), 0
	current := func() (string, int) {
		mu.Lock()
		defer mu.Unlock()
		return token, generation
	}
	var stale atomic.Int64
	var group sync.WaitGroup
	const rotations, workers = 8, 4
	noticed := make(chan struct{}, workers)
	first := token
	for range workers {
		group.Go(func() {
			last, seen := first, 0 // read before the first rotation, so that everyone notices each
			for seen < rotations {
				token, now := current()
				_, err := verify(t.Context(), token)
				if _, after := current(); err != nil && after == now {
					t.Errorf("a good token: %v", err)
				}
				if seen < now {
					if _, err := verify(t.Context(), last); err == nil {
						stale.Add(1)
					}
					noticed <- struct{}{}
				}
				last, seen = token, now
			}
		})
	}
	for range rotations {
		mu.Lock()
		issuer.Rotate()
		token, generation = issuer.Token(claims.Token{}), generation+1
		mu.Unlock()
		for range workers {
			<-noticed
		}
	}
	group.Wait()
	return int(stale.Load())
}

func TestRotationWhileVerifying(t *testing.T) {
	t.Parallel()
	if n := rotateWhileVerifying(t, asItIs); n > 0 {
		t.Errorf("%d answers for tokens whose key had left", n)
	}
	if rotateWhileVerifying(t, remember(whole, inTime)) == 0 {
		t.Error("a cache that does not check the key was not found out: this test could not find the fault in the real one either")
	}
}

func TestHitIsSharedAndDoesNotAllocate(t *testing.T) { // not parallel: it counts allocations
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))
	token := issuer.Token(claims.Token{})
	first, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	ctx, again := t.Context(), strings.Clone(token)
	allocs := testing.AllocsPerRun(100, func() {
		if c, err := v.Verify(ctx, again); c != first || err != nil {
			t.Errorf("Verify = %p, %v; want the first answer, %p", c, err, first)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
