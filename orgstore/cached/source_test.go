package cached

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// source is a small source of truth: members of organizations, with revisions, snapshots and OnCommit like the engine's.
type source struct {
	mu        sync.Mutex
	revisions map[orgstore.Scope]uint64
	members   map[Key]bool
	listeners map[int]func(context.Context, []orgstore.Change)

	calls atomic.Int64
	// after runs between the snapshot and its return; an error takes its place.
	after func(ctx context.Context, q orgstore.Query) error
	// edit changes an answer before it is returned.
	edit func(*orgstore.Access)
}

func newSource() *source {
	return &source{
		revisions: map[orgstore.Scope]uint64{},
		members:   map[Key]bool{},
		listeners: map[int]func(context.Context, []orgstore.Change){},
	}
}

func (s *source) Resolve(ctx context.Context, q orgstore.Query) (*orgstore.Access, error) {
	s.calls.Add(1)
	asOf := time.Now()
	a := s.snapshot(q)
	a.AsOf = asOf
	if s.after != nil {
		if err := s.after(ctx, q); err != nil {
			return nil, err
		}
	}
	if s.edit != nil {
		s.edit(a)
	}
	return a, nil
}

func (s *source) snapshot(q orgstore.Query) *orgstore.Access {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &orgstore.Access{Standing: orgstore.StandingNotMember, Principal: q.Principal, Org: orgstore.AccessOrg{ID: q.Org}}
	if s.members[Key{q.Org, q.Principal}] {
		a.Standing = orgstore.StandingMember
		a.Member.Permissions = []string{"read:adventures"}
	}
	for _, scope := range []orgstore.Scope{
		orgstore.OrganizationScope(q.Org), orgstore.MembershipScope(q.Org, q.Principal), orgstore.UserScope(q.Principal),
	} {
		a.Vector = append(a.Vector, orgstore.Revision{Scope: scope, Revision: s.revisions[scope]})
	}
	return a
}

func (s *source) OnCommit(call func(context.Context, []orgstore.Change)) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := len(s.listeners)
	s.listeners[id] = call
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.listeners[id] = func(context.Context, []orgstore.Change) {}
	}
}

// set adds or removes a member, and returns when everyone who wants to know was told.
func (s *source) set(org, principal string, member bool) orgstore.Vector {
	s.mu.Lock()
	scope := orgstore.MembershipScope(org, principal)
	s.members[Key{org, principal}] = member
	s.revisions[scope]++
	r := orgstore.Revision{Scope: scope, Revision: s.revisions[scope]}
	var calls []func(context.Context, []orgstore.Change)
	for _, call := range s.listeners {
		calls = append(calls, call)
	}
	s.mu.Unlock()
	for _, call := range calls {
		call(context.Background(), []orgstore.Change{{Scope: r.Scope, Revision: r.Revision, ID: "chg_1", Type: "test"}})
	}
	return orgstore.Vector{r}
}

// once returns a function that is true for its first caller.
func once() func() bool {
	var done atomic.Bool
	return func() bool { return done.CompareAndSwap(false, true) }
}

// quiet hides OnCommit, as on a node that did not write.
type quiet struct{ orgstore.Resolver }

func newStore(t testing.TB, loader orgstore.Resolver, cfg Config) *Store {
	t.Helper()
	s, err := New(loader, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func standing(t testing.TB, r orgstore.Resolver, q orgstore.Query) orgstore.Standing {
	t.Helper()
	a, err := r.Resolve(t.Context(), q)
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	return a.Standing
}

var jonno = orgstore.Query{Org: "org_rocky", Principal: "jonno"}

// board is a Shared in memory that believes everything.
type board struct {
	mu      sync.Mutex
	entries map[Key]*orgstore.Access
	asked   int
	told    []orgstore.Vector
	raised  func(orgstore.Vector)
	gap     func()
	fail    func(ctx context.Context) error
	closed  bool
}

func (b *board) Get(ctx context.Context, k Key, _ time.Duration) (Found, error) {
	if b.fail != nil {
		if err := b.fail(ctx); err != nil {
			return Found{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	return Found{Access: b.entries[k], Lease: Lease{Server: time.Now(), Local: time.Now()}}, nil
}

func (b *board) Put(ctx context.Context, k Key, a *orgstore.Access, l Lease, _ time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = map[Key]*orgstore.Access{}
	}
	b.entries[k] = a
	return nil
}

func (b *board) Invalidate(ctx context.Context, v orgstore.Vector, _ time.Duration) error {
	if b.fail != nil {
		if err := b.fail(ctx); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append(b.told, slices.Clone(v))
	return nil
}

func (b *board) Subscribe(raised func(orgstore.Vector), gap func()) { b.raised, b.gap = raised, gap }

func (b *board) Health(ctx context.Context) error {
	if b.fail != nil {
		return b.fail(ctx)
	}
	return nil
}

func (b *board) Close() error { b.closed = true; return nil }

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
