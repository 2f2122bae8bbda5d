package policy

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Config says how an Engine works. The zero value is the built-in policy with all defaults.
type Config struct {
	// Source is where the policies are. Nil means the built-in policy: what is asked for must be among the member's permissions.
	Source Source

	// Timeout is the most that one evaluation may take, the organization's own policy included. Default 50 ms.
	Timeout time.Duration
	// CacheBytes bounds the memory of the decision cache. Default 16 MiB; negative for no cache.
	CacheBytes int64
	// PollInterval is how often the source is looked at for changes. A change takes effect when it has stayed the same for a
	// tenth of it. Default 1 s; negative for never.
	PollInterval time.Duration

	// Clock is the time of day, for time.now_ns in policies among others. Default time.Now.
	Clock func() time.Time
	// Logger gets what goes wrong with policies. Nil discards.
	Logger *slog.Logger
	// OnReload, when not nil, is called after each change of the source: with nil when it has become the active revision,
	// else with the reason why not, once for each distinct one. Calls come one at a time and delay the next look at the source;
	// they must not close the engine.
	OnReload func(error)
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Timeout < 0 {
		errs = append(errs, fmt.Errorf("%w: Config.Timeout is negative; leave it 0 for the default", ErrInvalid))
	}
	if c.Timeout == 0 {
		c.Timeout = 50 * time.Millisecond
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 16 << 20
	}
	if c.PollInterval == 0 {
		c.PollInterval = time.Second
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if d, ok := c.Source.(dirSource); ok && d == "" {
		errs = append(errs, fmt.Errorf("%w: Config.Source is Dir(\"\"); name a directory, \".\" for the current one", ErrInvalid))
	}
	if f, ok := c.Source.(fsSource); ok && f.fsys == nil {
		errs = append(errs, fmt.Errorf("%w: Config.Source is FS(nil); leave Source nil for the built-in policy", ErrInvalid))
	}
	return c, errors.Join(errs...)
}

// Engine decides by the active revision of its source. It is safe for concurrent use.
type Engine struct {
	config Config
	active atomic.Pointer[revision] // nil after Close
	cache  *cache

	stop     context.CancelFunc
	watching sync.WaitGroup

	lastFailure atomic.Int64 // when a failed evaluation was last logged, nanoseconds since 1970
	unlogged    atomic.Int64 // failures since then

	programs uint64 // the last program id given; only for Open and the watcher

	mu      sync.Mutex
	problem error // why the newest state of the source is not the active revision
}

// Open reads and compiles the source, and begins to watch it. The context bounds Open only. An error is an ErrInvalid that says
// what to mend, all problems of all files at once, or the context's.
func Open(ctx context.Context, config Config) (*Engine, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{config: config, cache: newCache(config.CacheBytes)}
	w := &watcher{engine: e}
	snapshot := &snapshot{hash: "built-in"}
	if config.Source != nil {
		now := config.Clock()
		if w.listed, err = list(config.Source); err != nil {
			return nil, err
		}
		if snapshot, err = read(config.Source, w.listed); err != nil {
			return nil, err
		}
		w.racy = racy(w.listed, now)
	}
	r, err := e.compile(ctx, snapshot, nil)
	if err != nil {
		return nil, err
	}
	e.active.Store(r)

	watch, stop := context.WithCancel(context.Background())
	e.stop = stop
	if f, ok := config.Source.(fsSource); ok {
		if _, fixed := f.fsys.(embed.FS); fixed {
			return e, nil
		}
	}
	if config.Source != nil && config.PollInterval > 0 {
		e.watching.Go(func() { w.run(watch) })
	}
	return e, nil
}

// Close stops watching the source and waits for that. Decide refuses from then on. It always returns nil and may be called again.
func (e *Engine) Close() error {
	e.stop()
	e.watching.Wait()
	e.active.Store(nil)
	return nil
}

// Health is nil when the newest state of the source that was looked at is the active revision. An ErrDegraded says why it is not,
// naming file and line; the last good revision decides. After Close it is an ErrUnavailable.
func (e *Engine) Health(context.Context) error {
	if e.active.Load() == nil {
		return fmt.Errorf("%w: the engine is closed", ErrUnavailable)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.problem
}

// Revision names the active revision: a digest of the source, "built-in" without one, empty after Close.
func (e *Engine) Revision() string {
	if r := e.active.Load(); r != nil {
		return r.name
	}
	return ""
}

// Decide answers in. Whatever is wrong with the policies or the input is a denial, and its Outcome says so. An error is an
// ErrUnavailable: the engine is closed, or ctx ended first (then it is ctx's error as well).
func (e *Engine) Decide(ctx context.Context, in *Input) (Decision, error) {
	r := e.active.Load()
	if r == nil {
		return Decision{}, fmt.Errorf("%w: the engine is closed", ErrUnavailable)
	}
	if in == nil || in.Subject == nil || in.Subject.tokenTerm == nil {
		return e.failed(ctx, r, errors.New("the input has no Subject made by NewSubject")), nil
	}

	org, orgID, pure := r.orgs[in.Subject.org.ID], uint64(0), r.product.deterministic
	if org != nil {
		orgID, pure = org.id, pure && org.deterministic
	}
	var hash uint64
	cacheable := pure && e.cache != nil
	if cacheable {
		hash = e.cache.hash(r.product.id, orgID, in)
		if hit := e.cache.get(hash, r.product.id, orgID, in); hit != nil {
			d := hit.decision
			d.Revision, d.Cached = r.name, true
			return d, nil
		}
	}
	d, final, err := e.evaluate(ctx, r, org, in)
	if err != nil {
		return Decision{}, err
	}
	if cacheable && final {
		e.cache.put(hash, r.product.id, orgID, in, d)
	}
	d.Revision = r.name
	return d, nil
}

// evaluate runs the policies. A decision that is not final may be another next time, for the same input.
func (e *Engine) evaluate(ctx context.Context, r *revision, org *program, in *Input) (d Decision, final bool, err error) {
	if ctx.Err() != nil {
		return Decision{}, false, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	}
	input, err := document(in)
	if err != nil {
		return e.failed(ctx, r, fmt.Errorf("the resource is not JSON that policies can see: %w", err)), false, nil
	}
	run := &evaluation{ctx: ctx, revision: r, org: org, input: input, now: e.config.Clock()}
	budget := time.AfterFunc(e.config.Timeout, run.cancel.Cancel)
	defer budget.Stop()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, run.cancel.Cancel)()
	}

	d, err = run.decide()
	switch {
	case err == nil:
		return d, true, nil
	case ctx.Err() != nil:
		return Decision{}, false, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
	case topdown.IsCancel(err):
		d = e.failed(ctx, r, fmt.Errorf("the evaluation took more than %v: %w", e.config.Timeout, err))
		d.Outcome = TimedOut
		return d, false, nil
	}
	return e.failed(ctx, r, err), false, nil
}

// failed is the denial after err, which goes to the log at most once a second.
func (e *Engine) failed(ctx context.Context, r *revision, err error) Decision {
	e.unlogged.Add(1)
	now, last := e.config.Clock().UnixNano(), e.lastFailure.Load()
	if (now-last >= int64(time.Second) || now < last) && e.lastFailure.CompareAndSwap(last, now) {
		e.config.Logger.ErrorContext(ctx, "policy evaluation failed; the request was denied",
			"error", shorten(err.Error()), "revision", r.name, "failures", e.unlogged.Swap(0))
	}
	return Decision{Outcome: Failed, Revision: r.name}
}

// shorten keeps values of the input, which OPA puts into its errors, from filling the log.
func shorten(text string) string {
	const most = 512
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + " …"
	}
	return text
}

// compile makes a revision of s, and takes over from before what did not change. A revision is all or nothing: one
// organization's broken policy refuses it for everybody, so that what was deployed together takes effect together.
func (e *Engine) compile(ctx context.Context, s *snapshot, before *revision) (*revision, error) {
	groups := s.byOrg()
	r := &revision{hash: s.hash, name: s.hash[:min(16, len(s.hash))], orgs: map[string]*program{}}
	if r.builtIn = len(groups[""]) == 0; r.builtIn {
		groups[""] = []file{{name: "built-in", text: builtInPolicy}}
	}
	if before != nil {
		if r.builtIn && !before.builtIn {
			return nil, fmt.Errorf("%w: the product's .rego files are gone; put them back, or restart to use the built-in policy", ErrInvalid)
		}
		if len(groups) == 1 && len(before.orgs) > 0 {
			return nil, fmt.Errorf("%w: the policies of all organizations are gone; put them back, or restart to go on without", ErrInvalid)
		}
	}

	var problems []Problem
	for org, files := range groups {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
		}
		p, found := before.program(org, files), []Problem(nil)
		if p == nil {
			if p, found = compile(org, files); p != nil {
				e.programs++
				p.id = e.programs
			}
		}
		problems = append(problems, found...)
		if org == "" {
			r.product = p
		} else {
			r.orgs[org] = p
		}
	}
	if len(problems) > 0 {
		return nil, &InvalidError{Problems: sorted(problems)}
	}
	r.store = inmem.New()
	txn, err := r.store.NewTransaction(ctx, storage.TransactionParams{Context: storage.NewContext()})
	if err != nil {
		return nil, err
	}
	r.txn = txn
	return r, nil
}

// program returns what r compiled from files, or nil.
func (r *revision) program(org string, files []file) *program {
	if r == nil {
		return nil
	}
	p := r.orgs[org]
	if org == "" {
		p = r.product
	}
	if p == nil || p.text != textOf(files) {
		return nil
	}
	return p
}
