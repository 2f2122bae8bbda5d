package policy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// watcher makes the engine follow its source. It belongs to one goroutine.
type watcher struct {
	engine *Engine

	listed []entry // what the source held when its content was last read; nil to read it again
	racy   bool    // that content may have changed without listed showing it

	pending string // a new content that was seen once: it must stay the same for a moment
	refused string // the content that could not be compiled
	logged  string // the last problem that was logged

	eager bool // activates a content at first sight: what tests compare with
}

func (w *watcher) run(ctx context.Context) {
	timer := time.NewTimer(w.engine.config.PollInterval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(w.look(ctx))
	}
}

// look compares the source with the active revision, replaces that if it must, and returns when to look again.
func (w *watcher) look(ctx context.Context) (next time.Duration) {
	e := w.engine
	next = e.config.PollInterval
	defer func() {
		if r := recover(); r != nil { // a file system of the embedder's
			w.refuse(ctx, fmt.Errorf("%w: looking at the source: panic: %v", ErrInvalid, r))
		}
	}()

	now := e.config.Clock()
	listed, err := list(e.config.Source)
	if err != nil {
		w.refuse(ctx, err)
		return next
	}
	if w.listed != nil && !w.racy && slices.Equal(listed, w.listed) {
		return next
	}
	s, err := read(e.config.Source, listed)
	if err != nil {
		w.refuse(ctx, err)
		return next
	}
	active := e.active.Load()
	if s.hash != active.hash && s.hash != w.refused && s.hash != w.pending && !w.eager {
		// Several files are rarely written at once, and a file that is half written may well compile.
		w.listed, w.pending = nil, s.hash
		return next / 10
	}
	w.listed, w.racy, w.pending = listed, racy(listed, now), ""
	switch s.hash {
	case w.refused:
	case active.hash:
		if w.logged != "" { // what was wrong has been taken back
			e.config.Logger.InfoContext(ctx, "policies are in order again", "revision", active.name)
			w.good()
		}
	default:
		r, err := e.compile(ctx, s, active)
		if ctx.Err() != nil {
			return next
		}
		if err != nil {
			w.refuse(ctx, err)
			w.listed, w.refused = listed, s.hash
			return next
		}
		e.active.Store(r)
		e.config.Logger.InfoContext(ctx, "policies reloaded", "revision", r.name)
		w.good()
	}
	return next
}

func (w *watcher) good() {
	w.refused, w.logged = "", ""
	w.report(nil)
	w.tell(nil)
}

// refuse keeps the active revision and says why, once for each distinct reason.
func (w *watcher) refuse(ctx context.Context, err error) {
	w.listed, w.pending, w.refused = nil, "", ""
	w.report(fmt.Errorf("%w: %w", ErrDegraded, err))
	if w.logged == err.Error() {
		return
	}
	w.logged = err.Error()
	w.engine.config.Logger.ErrorContext(ctx, "policies not reloaded; the last good ones stay", "error", err,
		"revision", w.engine.Revision())
	w.tell(err)
}

func (w *watcher) report(err error) {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	w.engine.problem = err
}

func (w *watcher) tell(err error) {
	if w.engine.config.OnReload != nil {
		w.engine.config.OnReload(err)
	}
}
