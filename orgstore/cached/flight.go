package cached

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// flight is one question to the tiers below, asked once for all who wait for it. It runs on a context of its own, so that
// whoever asked first can leave without harm to the others.
type flight struct {
	key    Key
	strong bool // asks the loader at once

	reading    bool // the loader has been asked; guarded by Store.mu
	background bool // nobody waits for it; guarded by Store.mu

	once   sync.Once
	done   chan struct{}
	access *orgstore.Access
	err    error
}

// fetch joins the flight of key or begins one. A strong question joins only one that has not begun to read yet.
func (s *Store) fetch(ctx context.Context, key Key, strong bool) (*orgstore.Access, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	f := s.flights[key]
	switch {
	case s.closed:
		s.mu.Unlock()
		return nil, errClosed
	case f == nil || strong && (!f.strong || f.reading):
		// The caller's strings may be slices of something large, such as a token.
		f = s.launch(&flight{key: Key{strings.Clone(key.Org), strings.Clone(key.Principal)}, strong: strong})
	default:
		f.background = false
		s.stats.joined.Add(1)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.access, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// refresh renews an entry that is still served, if nobody does already. The next try comes after an eighth of MaxStaleness.
func (s *Store) refresh(e *entry, now instant) {
	at := e.refreshAt.Load()
	if now.mono < at || !e.refreshAt.CompareAndSwap(at, now.mono+int64(s.cfg.MaxStaleness/8)) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.flights[e.key] == nil {
		s.stats.refreshes.Add(1)
		s.launch(&flight{key: e.key, background: true})
	}
}

// launch starts f. The caller holds Store.mu.
func (s *Store) launch(f *flight) *flight {
	f.done = make(chan struct{})
	s.flights[f.key] = f
	s.running.Go(func() { s.fly(f) })
	return f
}

// fly runs a flight, and gives its waiters an answer whatever the loader does: they get one at the deadline even when it
// does not return.
func (s *Store) fly(f *flight) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.SharedTimeout+s.cfg.LoadTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.land(f, nil, errTimeout) })
	defer stop()
	defer s.land(f, nil, errPanic) // the loader panicked, or called runtime.Goexit
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Logger.Error("orgstore/cached: the loader panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	a, lease, err := s.read(ctx, f)
	s.land(f, a, err)
	if err == nil && !lease.IsZero() {
		s.share(f.key, a, lease)
	}
}

// retire lets nobody join f any more.
func (s *Store) retire(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
}

// land gives the waiters of f their answer. Only the first call counts.
func (s *Store) land(f *flight, a *orgstore.Access, err error) {
	f.once.Do(func() {
		s.retire(f)
		f.access, f.err = a, err
		close(f.done)
	})
}

// read asks Shared, then the loader. The lease is set when the answer is the loader's and may be shared.
func (s *Store) read(ctx context.Context, f *flight) (*orgstore.Access, Lease, error) {
	var lease Lease
	if s.cfg.Shared != nil && !f.strong {
		began := s.cells.change.Load()
		var a *orgstore.Access
		if a, lease = s.recall(ctx, f); a != nil && s.settle(f, a, began, false) {
			s.stats.sharedHits.Add(1)
			return a, Lease{}, nil
		}
	}
	release, err := s.acquire(ctx, f)
	if err != nil {
		return nil, Lease{}, err
	}
	defer release()
	for again := range 2 {
		began := s.begin(f)
		a, err := s.load(ctx, orgstore.Query{Org: f.key.Org, Principal: f.key.Principal, Strong: f.strong || again > 0})
		if err != nil {
			return nil, Lease{}, err
		}
		if s.settle(f, a, began, true) {
			return a, lease, nil
		}
	}
	return nil, Lease{}, errChanged
}

// recall asks Shared. Its troubles are misses.
func (s *Store) recall(ctx context.Context, f *flight) (*orgstore.Access, Lease) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.SharedTimeout)
	defer cancel()
	found, err := s.cfg.Shared.Get(ctx, f.key, s.cfg.MaxStaleness)
	if err != nil {
		s.stats.sharedErrors.Add(1)
		return nil, Lease{}
	}
	a := found.Access
	if a == nil || a.Standing == orgstore.StandingUnknown || a.Principal != f.key.Principal {
		return nil, found.Lease
	}
	s.mu.Lock()
	background := f.background
	s.mu.Unlock()
	now := s.clock.read()
	if background && now.since(s.clock.at(a.AsOf, now)) > time.Duration(s.refreshAge()) {
		return nil, found.Lease // no younger than what is to be refreshed
	}
	return a, found.Lease
}

// acquire waits for a slot. A refresh does not.
func (s *Store) acquire(ctx context.Context, f *flight) (release func(), err error) {
	release = func() { <-s.slots }
	select {
	case s.slots <- struct{}{}:
		return release, nil
	default:
	}
	s.mu.Lock()
	background := f.background
	if background && s.flights[f.key] == f {
		delete(s.flights, f.key) // nobody has joined, and nobody shall
	}
	s.mu.Unlock()
	if background {
		s.stats.busy.Add(1)
		return nil, errBusy
	}
	timer := time.NewTimer(s.cfg.LoadTimeout / 2)
	defer timer.Stop()
	select {
	case s.slots <- struct{}{}:
		return release, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	s.stats.busy.Add(1)
	return nil, errBusy
}

// begin marks the beginning of a read of the source, and returns the change number before it.
func (s *Store) begin(f *flight) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.reading = true
	return s.cells.change.Load()
}

// load asks the loader, and checks what it says.
func (s *Store) load(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
	s.stats.loads.Add(1)
	started := s.cfg.Clock()
	a, err := s.loader.Resolve(ctx, q)
	switch {
	case err != nil && ctx.Err() != nil:
		err = errTimeout
	case err != nil:
		err = unavailable(err)
	case a == nil || a.Standing == orgstore.StandingUnknown || a.Principal != q.Principal || !wellFormed(a.Vector):
		err = errAnswer
	case a.AsOf.IsZero(): // the loader does not tell: it was read after the call began
		c := *a
		c.AsOf = started
		a = &c
	}
	if err == nil {
		if now := s.clock.read(); now.since(s.clock.at(a.AsOf, now)) > s.cfg.MaxStaleness {
			err = errOld
		}
	}
	if err != nil {
		s.stats.loadErrors.Add(1)
		return nil, err
	}
	return a, nil
}

func wellFormed(v orgstore.Vector) bool {
	for i := range v {
		if v[i].Revision >= revisionLimit {
			return false
		}
	}
	return true
}

// settle keeps an answer, unless what it depends on has changed since its read began. Nobody may join the flight between
// the last comparison and the answer: a change acknowledged in between would be missed by one who asked after it.
func (s *Store) settle(f *flight, a *orgstore.Access, began uint64, source bool) bool {
	e := s.newEntry(f.key, a, began, source)
	if e != nil {
		s.retire(f)
		if s.cells.unchanged(e) {
			s.table.put(e)
			return true
		}
	}
	s.stats.refused.Add(1)
	return false
}

// share offers an answer of the loader to other nodes.
func (s *Store) share(key Key, a *orgstore.Access, lease Lease) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.SharedTimeout)
	defer cancel()
	if err := s.cfg.Shared.Put(ctx, key, a, lease, s.cfg.MaxStaleness); err != nil {
		s.stats.sharedErrors.Add(1)
	}
}
