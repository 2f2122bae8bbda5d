package cached

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestAnswersAreKept(t *testing.T) {
	t.Parallel()
	src := newSource()
	src.set("org_rocky", "jonno", true)
	s := newStore(t, src, Config{})
	for range 5 {
		if got := standing(t, s, jonno); got != orgstore.StandingMember {
			t.Fatalf("jonno is %v", got)
		}
		if got := standing(t, s, orgstore.Query{Org: "org_rocky", Principal: "nobody"}); got != orgstore.StandingNotMember {
			t.Fatalf("nobody is %v", got)
		}
	}
	if n := src.calls.Load(); n != 2 {
		t.Errorf("the loader was called %d times, want 2: a no is an answer too", n)
	}
}

func TestCommitIsInForceWhenItReturns(t *testing.T) {
	t.Parallel()
	src := newSource()
	down := &board{fail: func(context.Context) error { return errors.New("down") }}
	for name, cfg := range map[string]Config{"alone": {}, "shared": {Shared: &board{}}, "shared is down": {Shared: down}} {
		s := newStore(t, src, cfg)
		for i := range 100 {
			member := i%2 == 0
			src.set("org_rocky", "jonno", member)
			if got := standing(t, s, jonno) == orgstore.StandingMember; got != member {
				t.Fatalf("%s: after change %d jonno is a member: %v", name, i, got)
			}
		}
	}
}

// A filler reads, the membership is revoked, the filler goes on.
func TestFillFromBeforeAChange(t *testing.T) {
	t.Parallel()
	for _, blind := range []bool{false, true} {
		t.Run(fmt.Sprintf("blind=%v", blind), func(t *testing.T) {
			t.Parallel()
			src := newSource()
			src.set("org_rocky", "jonno", true)
			read, resume := make(chan struct{}), make(chan struct{})
			leading := once()
			src.after = func(context.Context, orgstore.Query) error {
				if leading() {
					close(read)
					<-resume
				}
				return nil
			}
			s := newStore(t, src, Config{LoadTimeout: time.Minute})
			s.cells.blind = blind
			answer := make(chan orgstore.Standing)
			go func() {
				a, err := s.Resolve(context.Background(), jonno)
				if err != nil {
					t.Error(err)
					a = &orgstore.Access{}
				}
				answer <- a.Standing
			}()
			<-read
			src.set("org_rocky", "jonno", false)
			close(resume)
			first, second := <-answer, standing(t, s, jonno)
			if stale := first == orgstore.StandingMember || second == orgstore.StandingMember; stale != blind {
				t.Errorf("answers %v and %v after the revocation", first, second)
			}
			if got := s.Stats().Refused; !blind && got != 1 {
				t.Errorf("refused %d fills, want 1", got)
			}
		})
	}
}

// The same, but the change comes with every read: there is no answer.
func TestAnswerThatNeverStandsStill(t *testing.T) {
	t.Parallel()
	src := newSource()
	src.after = func(context.Context, orgstore.Query) error {
		src.set("org_rocky", "jonno", src.calls.Load()%2 == 0)
		return nil
	}
	s := newStore(t, src, Config{})
	if a, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("got %+v, %v; want ErrUnavailable", a, err)
	}
	if n := src.calls.Load(); n != 2 {
		t.Errorf("%d loads, want 2", n)
	}
}

func TestServedUntilMaxStalenessWhenTheLoaderIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		src.set("org_rocky", "jonno", true)
		s := newStore(t, quiet{src}, Config{})
		standing(t, s, jonno)
		src.after = func(context.Context, orgstore.Query) error { return errors.New("down") }
		for range 20 {
			standing(t, s, jonno)
			time.Sleep(100 * time.Millisecond)
		}
		standing(t, s, jonno) // at 2 s sharp
		time.Sleep(time.Millisecond)
		if _, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("got %v after MaxStaleness, want ErrUnavailable", err)
		}
		src.after = nil
		standing(t, s, jonno) // errors are not kept
		if n := src.calls.Load(); n > 12 {
			t.Errorf("%d loads in 2 s of refreshes that fail", n)
		}
	})
}

func TestRefreshKeepsRequestsFromWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		src.set("org_rocky", "jonno", true)
		s := newStore(t, quiet{src}, Config{})
		standing(t, s, jonno)
		src.after = func(context.Context, orgstore.Query) error { time.Sleep(200 * time.Millisecond); return nil }
		var oldest time.Duration
		for range 500 {
			began := time.Now()
			a, err := s.Resolve(t.Context(), jonno)
			if err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited != 0 {
				t.Fatalf("a request waited %v for a refresh", waited)
			}
			oldest = max(oldest, time.Since(a.AsOf))
			time.Sleep(20 * time.Millisecond)
		}
		if oldest > 2*time.Second {
			t.Errorf("served an answer that was %v old", oldest)
		}
		if n := src.calls.Load(); n > 14 {
			t.Errorf("%d loads in 10 s for one key", n)
		}
	})
}

// An answer that is old when it leaves Shared is not young again in memory. The twin is a Shared that lies about the age.
func TestAgeIsInherited(t *testing.T) {
	t.Parallel()
	for _, lie := range []bool{false, true} {
		t.Run(fmt.Sprintf("lie=%v", lie), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				src := newSource()
				src.set("org_rocky", "jonno", true)
				old := src.snapshot(jonno)
				read := time.Now()
				old.AsOf = read
				time.Sleep(1900 * time.Millisecond)
				if lie {
					old.AsOf = time.Now()
				}
				b := &board{entries: map[Key]*orgstore.Access{{"org_rocky", "jonno"}: old}}
				s := newStore(t, quiet{src}, Config{Shared: b})
				src.after = func(context.Context, orgstore.Query) error { return errors.New("down") }
				var oldest time.Duration
				for range 300 {
					if _, err := s.Resolve(t.Context(), jonno); err == nil {
						oldest = time.Since(read)
					}
					time.Sleep(10 * time.Millisecond)
				}
				if oldest == 0 {
					t.Error("the shared answer was never used")
				}
				if bad := oldest > 2*time.Second; bad != lie {
					t.Errorf("last served at age %v", oldest)
				}
			})
		})
	}
}

func TestClocks(t *testing.T) {
	t.Parallel()
	// The machine is suspended: the monotonic clock stands still. The wall clock is set back: it lies.
	for name, c := range map[string]struct {
		now, then instant
		want      time.Duration
	}{
		"both":      {instant{100, 100}, instant{90, 90}, 10},
		"suspended": {instant{3600, 10}, instant{0, 9}, 3600},
		"set back":  {instant{0, 10}, instant{3600, 0}, 10},
	} {
		if got := c.now.since(c.then); got != c.want {
			t.Errorf("%s: age %d, want %d", name, got, c.want)
		}
	}
	var offset time.Duration
	var mu sync.Mutex
	now := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Round(0).Add(offset)
	}
	src := newSource()
	s := newStore(t, quiet{src}, Config{Clock: now})
	standing(t, s, jonno)
	mu.Lock()
	offset = time.Hour
	mu.Unlock()
	src.edit = func(a *orgstore.Access) { a.AsOf = time.Time{} }
	src.set("org_rocky", "jonno", true)
	if got := standing(t, s, jonno); got != orgstore.StandingMember {
		t.Errorf("after an hour's jump of the clock the old answer %v is served", got)
	}
	// An answer from the future is no younger than one from now, and one from before 1970 is old.
	ref := s.clock.read()
	if got := ref.since(s.clock.at(time.Unix(0, ref.wall).Add(time.Hour), ref)); got != 0 {
		t.Errorf("an answer from the future is %v old, want 0", got)
	}
	for _, ancient := range []time.Time{{}, time.Unix(-1<<40, 0), time.Unix(0, 0)} {
		if got := ref.since(s.clock.at(ancient, ref)); got < time.Hour {
			t.Errorf("an answer of %v is %v old", ancient, got)
		}
	}
}

func TestValidUntil(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		until := time.Now().Add(500 * time.Millisecond)
		src.edit = func(a *orgstore.Access) { a.ValidUntil = until }
		s := newStore(t, quiet{src}, Config{})
		standing(t, s, jonno)
		time.Sleep(499 * time.Millisecond)
		standing(t, s, jonno)
		if n := src.calls.Load(); n != 1 {
			t.Fatalf("%d loads before ValidUntil, want 1", n)
		}
		time.Sleep(time.Millisecond)
		standing(t, s, jonno)
		standing(t, s, jonno) // the source insists: its answers are used, and not kept
		if n := src.calls.Load(); n != 3 {
			t.Errorf("%d loads, want 3", n)
		}
	})
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	src := newSource()
	s := newStore(t, quiet{src}, Config{}) // a node that hears of nothing
	standing(t, s, jonno)
	v := src.set("org_rocky", "jonno", true)
	if got := standing(t, s, jonno); got != orgstore.StandingNotMember {
		t.Fatalf("without a revision the node is to be behind, it says %v", got)
	}
	q := jonno
	q.AtLeast = v
	if got := standing(t, s, q); got != orgstore.StandingMember {
		t.Errorf("with the revision: %v", got)
	}
	if got := standing(t, s, jonno); got != orgstore.StandingMember {
		t.Errorf("after it: %v", got)
	}

	calls := src.calls.Load()
	q.AtLeast = orgstore.Vector{{Scope: orgstore.RoleScope("rol_other"), Revision: 7}}
	standing(t, s, q)
	if n := src.calls.Load(); n != calls {
		t.Error("a scope that the answer does not depend on has cost a load")
	}

	// A revision that nobody has given: the caller is refused, everyone else is served, for the price of one load.
	membership := orgstore.MembershipScope("org_rocky", "jonno")
	q.AtLeast = orgstore.Vector{{Scope: membership, Revision: 1 << 40}}
	if _, err := s.Resolve(t.Context(), q); !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("got %v for a revision that nothing reaches, want ErrUnavailable", err)
	}
	calls = src.calls.Load()
	for range 3 {
		standing(t, s, jonno)
	}
	if n := src.calls.Load() - calls; n > 1 {
		t.Errorf("the forged revision has cost others %d loads", n)
	}

	// Garbage is as good as asking strongly.
	for name, v := range map[string]orgstore.Vector{
		"2^53":     {{Scope: membership, Revision: 1 << 53}},
		"too many": make(orgstore.Vector, maxAtLeast+1),
	} {
		calls = src.calls.Load()
		q.AtLeast = v
		if got := standing(t, s, q); got != orgstore.StandingMember || src.calls.Load() != calls+1 {
			t.Errorf("%s: %v after %d loads, want member after 1", name, got, src.calls.Load()-calls)
		}
	}
}

func TestStrong(t *testing.T) {
	t.Parallel()
	src := newSource()
	b := &board{}
	s := newStore(t, quiet{src}, Config{Shared: b})
	standing(t, s, jonno)
	src.set("org_rocky", "jonno", true)
	q := jonno
	q.Strong = true
	if got := standing(t, s, q); got != orgstore.StandingMember {
		t.Errorf("strong: %v", got)
	}
	if b.asked != 1 {
		t.Errorf("the shared cache was asked %d times: a strong question is for the loader alone", b.asked)
	}
	if got := standing(t, s, jonno); got != orgstore.StandingMember {
		t.Errorf("a strong answer does not fill the cache: %v", got)
	}
}

// A strong question must not join a flight that has begun to read.
func TestStrongJoinsNoEarlierRead(t *testing.T) {
	t.Parallel()
	src := newSource()
	reading, resume := make(chan struct{}), make(chan struct{})
	leading := once()
	src.after = func(context.Context, orgstore.Query) error {
		if leading() {
			close(reading)
			<-resume
		}
		return nil
	}
	s := newStore(t, quiet{src}, Config{LoadTimeout: time.Minute})
	strong := jonno
	strong.Strong = true
	go s.Resolve(context.Background(), strong)
	<-reading
	src.set("org_rocky", "jonno", true)
	if got := standing(t, s, strong); got != orgstore.StandingMember {
		t.Errorf("joined a read from before the call: %v", got)
	}
	close(resume)
}

func TestGapForgetsEverything(t *testing.T) {
	t.Parallel()
	src := newSource()
	b := &board{}
	s := newStore(t, quiet{src}, Config{Shared: b})
	standing(t, s, jonno)
	src.set("org_rocky", "jonno", true)
	b.mu.Lock()
	clear(b.entries)
	b.mu.Unlock()
	b.gap()
	if got := standing(t, s, jonno); got != orgstore.StandingMember {
		t.Errorf("after a gap the old answer is served: %v", got)
	}
	v := src.set("org_rocky", "jonno", false)
	b.raised(v)
	if got := standing(t, s, jonno); got != orgstore.StandingNotMember {
		t.Errorf("after a notice the old answer is served: %v", got)
	}
	if st := s.Stats(); st.Gaps != 1 || st.Invalidations != 1 {
		t.Errorf("counted %d gaps and %d invalidations", st.Gaps, st.Invalidations)
	}
}

// A gap while an answer is on its way leaves it an answer, as old as it is, and keeps it from being remembered.
func TestGapDuringALoad(t *testing.T) {
	t.Parallel()
	src, b := newSource(), &board{}
	src.after = func(context.Context, orgstore.Query) error { b.gap(); return nil }
	s := newStore(t, quiet{src}, Config{Shared: b})
	standing(t, s, jonno)
	b.mu.Lock()
	clear(b.entries)
	b.mu.Unlock()
	standing(t, s, jonno)
	if n := src.calls.Load(); n != 2 {
		t.Errorf("%d loads for two questions, want 2", n)
	}
}

func TestCommitTellsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		b := &board{}
		s := newStore(t, src, Config{Shared: b, Logger: testLogger(t)})
		v := src.set("org_rocky", "jonno", true)
		if len(b.told) != 1 || b.told[0][0] != v[0] {
			t.Errorf("told %v, want %v", b.told, v)
		}
		b.fail = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		began := time.Now()
		src.set("org_rocky", "jonno", false)
		if took := time.Since(began); took != 25*time.Millisecond {
			t.Errorf("a hung Shared held up a mutation for %v, want SharedTimeout", took)
		}
		began = time.Now()
		if got := standing(t, s, jonno); got != orgstore.StandingNotMember {
			t.Errorf("after the revocation: %v", got)
		}
		if took := time.Since(began); took > 25*time.Millisecond {
			t.Errorf("a hung Shared held up a request for %v", took)
		}
		if err := s.Health(t.Context()); !errors.Is(err, ErrDegraded) {
			t.Errorf("Health: %v, want ErrDegraded", err)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	src, b := newSource(), &board{}
	s := newStore(t, src, Config{Shared: b})
	standing(t, s, jonno)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !b.closed {
		t.Error("Shared was not closed")
	}
	if _, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("Resolve after Close: %v", err)
	}
	if err := s.Health(t.Context()); err == nil {
		t.Error("Health after Close is nil")
	}
	src.set("org_rocky", "jonno", true) // must not be told any more
	if len(b.told) != 0 {
		t.Error("a closed Store told of a change")
	}
}

func TestConfigProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(nil, Config{MaxStaleness: -1, SharedTimeout: -1, LoadTimeout: -1, MaxLoads: -1, MaxBytes: 1})
	for _, name := range []string{"loader", "MaxStaleness", "SharedTimeout", "LoadTimeout", "MaxLoads", "MaxBytes"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not mention %s: %v", name, err)
		}
	}
}
