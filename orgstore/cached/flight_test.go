package cached

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestColdHerdLoadsOnce(t *testing.T) {
	t.Parallel()
	src := newSource()
	start := make(chan struct{})
	src.after = func(context.Context, orgstore.Query) error { <-start; return nil }
	s := newStore(t, src, Config{LoadTimeout: time.Minute})
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if _, err := s.Resolve(context.Background(), jonno); err != nil {
				t.Error(err)
			}
		})
	}
	for s.stats.joined.Load() != 999 {
		runtime.Gosched()
	}
	close(start)
	wg.Wait()
	if n := src.calls.Load(); n != 1 {
		t.Errorf("%d loads for one key, want 1", n)
	}
}

func TestLeaderLeaves(t *testing.T) {
	t.Parallel()
	src := newSource()
	reading, resume := make(chan struct{}), make(chan struct{})
	src.after = func(ctx context.Context, _ orgstore.Query) error {
		close(reading)
		<-resume
		return ctx.Err()
	}
	s := newStore(t, src, Config{LoadTimeout: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	leader := make(chan error)
	go func() {
		_, err := s.Resolve(ctx, jonno)
		leader <- err
	}()
	<-reading
	follower := make(chan error)
	go func() {
		_, err := s.Resolve(context.Background(), jonno)
		follower <- err
	}()
	for s.stats.joined.Load() != 1 {
		runtime.Gosched()
	}
	cancel()
	if err := <-leader; !errors.Is(err, context.Canceled) {
		t.Errorf("leader: %v", err)
	}
	close(resume)
	if err := <-follower; err != nil {
		t.Errorf("follower: %v", err)
	}
}

func TestLoaderThatBreaks(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(){
		"panic":  func() { panic("broken") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := newSource()
			var broken atomic.Bool
			broken.Store(true)
			src.after = func(context.Context, orgstore.Query) error {
				if broken.Load() {
					breaks()
				}
				return nil
			}
			s := newStore(t, src, Config{Logger: testLogger(t), MaxLoads: 1})
			for range 3 {
				if _, err := s.Resolve(t.Context(), jonno); !errors.Is(err, errPanic) || !errors.Is(err, orgstore.ErrUnavailable) {
					t.Fatalf("got %v", err)
				}
			}
			broken.Store(false)
			standing(t, s, jonno)
		})
	}
}

func TestNoFreeSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		src.after = func(ctx context.Context, q orgstore.Query) error {
			if q.Org == "org_slow" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		s := newStore(t, src, Config{MaxLoads: 2})
		for i := range 2 {
			go s.Resolve(context.Background(), orgstore.Query{Org: "org_slow", Principal: fmt.Sprint(i)})
		}
		synctest.Wait()
		began := time.Now()
		_, err := s.Resolve(t.Context(), jonno)
		if !errors.Is(err, orgstore.ErrUnavailable) || !errors.Is(err, errBusy) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 250*time.Millisecond {
			t.Errorf("refused after %v, want half of LoadTimeout", took)
		}
		time.Sleep(time.Second)
		standing(t, s, jonno)
	})
}

// A refresh never takes a slot that a request could need, nor waits for one.
func TestRefreshDoesNotQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		s := newStore(t, quiet{src}, Config{MaxLoads: 1})
		standing(t, s, jonno)
		time.Sleep(1500 * time.Millisecond)
		src.after = func(ctx context.Context, _ orgstore.Query) error { <-ctx.Done(); return ctx.Err() }
		go s.Resolve(context.Background(), orgstore.Query{Org: "org_slow", Principal: "x"})
		synctest.Wait()
		standing(t, s, jonno)
		synctest.Wait()
		if st := s.Stats(); st.Refreshes != 1 || st.Busy != 1 {
			t.Errorf("%d refreshes, %d busy; want 1 and 1", st.Refreshes, st.Busy)
		}
		if len(s.flights) != 1 {
			t.Errorf("%d flights, want that of org_slow alone", len(s.flights))
		}
	})
}

// Whoever waits has an answer at the deadline, even when the loader does not care for its context; and the key is free.
func TestLoaderThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		resume := make(chan struct{})
		leading := once()
		src.after = func(context.Context, orgstore.Query) error {
			if leading() {
				<-resume
			}
			return nil
		}
		s := newStore(t, src, Config{})
		began := time.Now()
		if _, err := s.Resolve(context.Background(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 525*time.Millisecond {
			t.Errorf("answered after %v, want R + Q", took)
		}
		standing(t, s, jonno)
		close(resume)
	})
}

func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*orgstore.Access){
		"no standing":       func(a *orgstore.Access) { a.Standing = orgstore.StandingUnknown },
		"another principal": func(a *orgstore.Access) { a.Principal = "emilio" },
		"revision 2^53":     func(a *orgstore.Access) { a.Vector[0].Revision = 1 << 53 },
		"old":               func(a *orgstore.Access) { a.AsOf = a.AsOf.Add(-time.Hour) },
	} {
		src := newSource()
		src.edit = edit
		s := newStore(t, src, Config{})
		if a, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("%s: got %v, %v", name, a, err)
		}
	}
	s := newStore(t, nothing{}, Config{})
	if a, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("nil: got %v, %v", a, err)
	}
}

type nothing struct{}

func (nothing) Resolve(context.Context, orgstore.Query) (*orgstore.Access, error) { return nil, nil }

// The loader's error reaches the caller, as an ErrUnavailable.
func TestLoaderError(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	src := newSource()
	src.after = func(context.Context, orgstore.Query) error { return cause }
	s := newStore(t, src, Config{})
	if _, err := s.Resolve(t.Context(), jonno); !errors.Is(err, orgstore.ErrUnavailable) || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Resolve(ctx, jonno); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v for a cancelled context", err)
	}
}
