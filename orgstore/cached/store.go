package cached

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Store is a Resolver that remembers the answers of another. Make one with New. It is safe for concurrent use.
type Store struct {
	cfg    Config
	loader orgstore.Resolver
	clock  clock
	cells  *cells
	table  *table
	slots  chan struct{} // one token for each running call of the loader

	ctx    context.Context // of everything that runs in the background
	cancel context.CancelFunc
	forget func() // ends OnCommit

	mu       sync.Mutex
	closed   bool
	closing  sync.Once
	closeErr error
	flights  map[Key]*flight // the latest flight of each key
	running  sync.WaitGroup

	stats counters // apart from what hits read, as it is written often
}

// New returns a Store in front of loader. When loader has an OnCommit method, as orgstore.Engine has, the Store registers
// itself: a change is in force on this node before the mutation returns, and other nodes are told through Config.Shared.
func New(loader orgstore.Resolver, cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults(loader)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg:    cfg,
		loader: loader,
		clock:  newClock(cfg.Clock),
		table:  newTable(cfg.MaxBytes),
		slots:  make(chan struct{}, cfg.MaxLoads),
		forget: func() {},

		flights: make(map[Key]*flight),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	// A generation outlives every answer that was read before it began, with a second to spare for the coarseness of clocks.
	generation := cfg.MaxStaleness + cfg.LoadTimeout + cfg.SharedTimeout + time.Second
	s.cells = newCells(generation, int(cfg.MaxBytes/256))
	if cfg.Shared != nil {
		cfg.Shared.Subscribe(s.told, s.gap)
	}
	if c, ok := loader.(committer); ok {
		s.forget = c.OnCommit(s.committed)
	}
	return s, nil
}

// Resolve answers from memory, the Shared cache or the loader, in this order, and never with anything older than
// MaxStaleness; with Query.Strong from the loader at once. Errors are orgstore.ErrUnavailable or the context's own.
func (s *Store) Resolve(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
	strong := q.Strong
	if len(q.AtLeast) > 0 && !s.expect(q.AtLeast) {
		strong = true
	}
	key := Key{Org: q.Org, Principal: q.Principal}
	if !strong {
		if e := s.table.get(key); e != nil {
			if now := s.clock.read(); s.serves(e, now) && reached(e.access.Vector, q.AtLeast) {
				s.stats.localHit()
				if now.mono >= e.refreshAt.Load() {
					s.refresh(e, now)
				}
				return e.access, nil
			}
		}
	}
	a, err := s.fetch(ctx, key, strong)
	if err != nil {
		return nil, err
	}
	if !reached(a.Vector, q.AtLeast) {
		return nil, errBehind
	}
	return a, nil
}

// serves reports whether e may answer at the instant now.
func (s *Store) serves(e *entry, now instant) bool {
	return now.since(e.asOf) <= s.cfg.MaxStaleness &&
		(e.until == 0 || now.wall < e.until) &&
		s.cells.current(e)
}

// maxAtLeast bounds the pairs of a Query.AtLeast that are looked at one by one; a mutation's Result has a few.
const maxAtLeast = 256

// expect raises this node's cells to the revisions that a caller asks for. False means that they are none that an engine
// gives, or too many, and that only a new read of the source can be sure to be late enough.
func (s *Store) expect(v orgstore.Vector) bool {
	if len(v) > maxAtLeast {
		return false
	}
	sane := true
	now := s.clock.read()
	for _, r := range v {
		if r.Revision >= revisionLimit {
			sane = false
			continue
		}
		s.cells.raise(r.Scope, r.Revision, now.mono)
	}
	return sane
}

// reached reports whether an answer has seen the revisions of atLeast. Scopes that it does not depend on do not matter,
// nor do revisions that nothing can reach.
func reached(v, atLeast orgstore.Vector) bool {
	for _, want := range atLeast {
		if r, ok := v.Of(want.Scope); ok && r < want.Revision && want.Revision < revisionLimit {
			return false
		}
	}
	return true
}

// committed is called by the loader after each commit. This node comes first, and cannot fail.
func (s *Store) committed(ctx context.Context, changes []orgstore.Change) {
	v := make(orgstore.Vector, 0, len(changes))
	for _, c := range changes {
		if c.Scope.Kind.Answers() { // others would fill memory with cells that nothing depends on
			v = append(v, orgstore.Revision{Scope: c.Scope, Revision: c.Revision})
		}
	}
	s.raise(v)
	if s.cfg.Shared == nil || len(v) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.SharedTimeout)
	defer cancel()
	if err := s.cfg.Shared.Invalidate(ctx, v, s.cfg.MaxStaleness); err != nil {
		s.stats.sharedErrors.Add(1)
		s.cfg.Logger.WarnContext(ctx, "orgstore/cached: other nodes were not told of a change and see it within MaxStaleness",
			slog.String("change", changes[0].ID), slog.Any("error", err))
	}
}

// told is called by Shared with what another node changed.
func (s *Store) told(v orgstore.Vector) {
	s.stats.invalidations.Add(uint64(len(v)))
	s.raise(v)
}

// gap is called by Shared when changes of other nodes may have been missed.
func (s *Store) gap() {
	s.stats.gaps.Add(1)
	s.cells.flush(&s.cells.floor)
}

func (s *Store) raise(v orgstore.Vector) {
	now := s.clock.read()
	for _, r := range v {
		s.cells.raise(r.Scope, r.Revision, now.mono)
	}
}

// newEntry makes an entry of an answer that was read at change number began, or nil when something that it depends on has
// changed since, or when it is too old. source says that the loader gave it just now.
func (s *Store) newEntry(key Key, a *orgstore.Access, began uint64, source bool) *entry {
	now := s.clock.read()
	e := &entry{key: key, access: a, began: began, deps: make([]dep, len(a.Vector)), asOf: s.clock.at(a.AsOf, now)}
	if now.since(e.asOf) > s.cfg.MaxStaleness {
		return nil
	}
	if !a.ValidUntil.IsZero() {
		e.until = a.ValidUntil.UnixNano()
		if now.wall >= e.until && !source {
			return nil
		}
	}
	for i, r := range a.Vector {
		c := s.cells.meet(r.Scope, r.Revision, began, source, now.mono)
		if c == nil {
			return nil
		}
		e.deps[i] = dep{cell: c, revision: r.Revision}
	}
	e.weight = weigh(key, a)
	e.refreshAt.Store(e.asOf.mono + s.refreshAge() + rand.Int64N(s.refreshAge()/4+1))
	return e
}

// refreshAge is the age, less jitter, from which a hit begins a refresh.
func (s *Store) refreshAge() int64 { return int64(s.cfg.MaxStaleness) * 2 / 5 }

// Health is nil when the Store can answer at its best, an ErrDegraded when only Shared is in trouble, and else the error of
// the loader's own Health, if it has one.
func (s *Store) Health(ctx context.Context) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	if h, ok := s.loader.(healther); ok {
		if err := h.Health(ctx); err != nil {
			return fmt.Errorf("cached: loader: %w", err)
		}
	}
	if s.cfg.Shared != nil {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.SharedTimeout)
		defer cancel()
		if err := s.cfg.Shared.Health(ctx); err != nil {
			return fmt.Errorf("%w: shared cache: %w", ErrDegraded, err)
		}
	}
	return nil
}

// Close stops listening, closes Config.Shared, and waits for what runs in the background, whose contexts end. Later calls
// of Resolve are answered ErrUnavailable. The loader stays open. Close may be called more than once.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.cells.close()
		s.forget()
		s.cancel()
		if s.cfg.Shared != nil {
			s.closeErr = s.cfg.Shared.Close()
		}
		s.running.Wait()
	})
	return s.closeErr
}

var _ orgstore.Resolver = (*Store)(nil)
