package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// FollowOptions says which events Follow tells, and from where. The zero value is all events from the oldest that is kept.
type FollowOptions struct {
	Organization string // this one and the next four as in EventOptions
	Type         string
	Actor        string
	Target       string
	Scope        Scope

	// Cursor is that of the last Event that was handled, or of a FeedPage: Engine.Poll with an empty cursor returns one for
	// what is committed from now on. Empty means from the oldest event that is kept.
	Cursor string
	// Interval is how long to wait before looking again for what other processes have committed. Default 1 s. Commits of this
	// process do not wait for it.
	Interval time.Duration
}

// followBatch is how many events are read at once.
const followBatch = 500

// Behind is the error of following events from a cursor after which events are missing, or may be. It is an ErrNotFound. Events
// are still listed by Events.List; following them again begins without a cursor, or at one from Engine.Poll.
type Behind struct {
	// Epoch is true when the database's history has begun anew since the cursor, by a failover or a restored backup: events that
	// were told may be gone, and others be there instead. Otherwise events after the cursor are older than
	// Config.EventRetention and were deleted.
	Epoch bool
}

func (e *Behind) Error() string {
	if e.Epoch {
		return "orgstore: the database was restored, or has failed over, since the cursor: events may be missing"
	}
	return "orgstore: events after the cursor were deleted because of their age"
}

// Is makes the error an ErrNotFound.
func (e *Behind) Is(target error) bool { return target == ErrNotFound }

// Follow tells each event once, as it is committed by whatever process, and misses none: it goes by what transactions see of each
// other, because they do not commit in the order of ids. Of changes that depend on each other it tells the earlier one first.
//
// The sequence waits for more until ctx ends. To go on after a restart, store the Cursor of the last event that was handled and
// give it to the next Follow. Rarely does a cursor get too old: see Behind.
//
// An error comes with a nil event. After an ErrUnavailable, unless the Engine was closed, the sequence goes on if the loop does,
// and misses nothing; all other errors end it: Invalid, Behind, the context's.
func (s *Events) Follow(ctx context.Context, opts FollowOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		var filter where
		err := EventOptions{Organization: opts.Organization, Type: opts.Type, Actor: opts.Actor, Target: opts.Target, Scope: opts.Scope}.
			where(&filter)
		at, cursorErr := parsePlace(opts.Cursor)
		if opts.Interval < 0 {
			err = errors.Join(err, &Invalid{"Interval", "", "must not be negative; 0 means one second"})
		}
		if err := errors.Join(err, cursorErr); err != nil {
			yield(nil, err)
			return
		}
		if opts.Interval == 0 {
			opts.Interval = time.Second
		}
		wake := make(chan struct{}, 1)
		stop := s.e.OnCommit(func(context.Context, []Change) {
			select {
			case wake <- struct{}{}:
			default:
			}
		})
		defer stop()
		again := time.NewTimer(opts.Interval)
		defer again.Stop()
		for {
			events, next, err := s.after(ctx, &filter, at)
			if err != nil && (!yield(nil, err) || !errors.Is(err, ErrUnavailable) || errors.Is(err, errClosed)) {
				return
			}
			for _, event := range events {
				if !yield(event, nil) {
					return
				}
			}
			if err == nil {
				at = next
				if at.last != "" {
					continue
				}
			}
			again.Reset(opts.Interval)
			select {
			case <-again.C:
			case <-wake:
			case <-ctx.Done():
				yield(nil, s.e.failure(ctx, ctx.Err()))
				return
			}
		}
	}
}

// place is where a follower is. Events come in windows: what one snapshot sees and an earlier one did not, which is the same
// whenever it is read. In a window they are in the order of their ids.
type place struct {
	cursor           // where the window begins; without an epoch at the oldest event
	upto   *snapshot // where the window ends; nil when it is to be opened
	last   string    // id of the last event told of the window
}

func (p place) String() string {
	if p.upto == nil {
		return p.cursor.String()
	}
	return p.cursor.String() + "/" + p.upto.String() + "/" + p.last
}

func parsePlace(text string) (p place, err error) {
	if text == "" {
		return p, nil
	}
	part := strings.Split(text, "/")
	if p.cursor, err = parseCursor(part[0]); err != nil || len(part) == 1 {
		return p, err
	}
	if len(part) == 3 && p.epoch != "" && strings.HasPrefix(part[2], "evt_") && len(part[2]) <= maxEventID && printable(part[2]) {
		upto, err := parseSnapshot(part[1])
		if err == nil {
			p.upto, p.last = &upto, part[2]
			return p, nil
		}
	}
	return p, &Invalid{"cursor", "", "must be one that the feed has returned"}
}

// lost reports whether events after p have been pruned.
func (p place) lost(m moment) bool {
	if p.xmax == 0 && p.last == "" { // whatever is kept is what was asked for
		return false
	}
	return m.prunedPosition >= p.xmin && m.prunedID > p.last
}

// after returns the next events after p, and where they end. There may be more when that is within a window.
func (s *Events) after(ctx context.Context, filter *where, p place) ([]*Event, place, error) {
	if err := s.e.enter(); err != nil {
		return nil, p, err
	}
	defer s.e.leave()
	for {
		events, next, now, err := s.window(ctx, filter, p)
		if err == nil && (now.foreign() || p.before(now)) {
			if err = s.e.renew(ctx, now); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, p, s.e.failure(ctx, err)
		}
		return events, next, nil
	}
}

// window reads the next events after p, in one snapshot.
func (s *Events) window(ctx context.Context, filter *where, p place) (events []*Event, next place, now moment, err error) {
	tx, err := s.e.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, p, now, err
	}
	defer tx.Rollback() // a read has nothing to commit
	feed := s.e.dialect.Feed()
	var text string
	err = tx.QueryRowContext(ctx, `SELECT `+momentColumn(feed)+` FROM orgauthz_meta WHERE id = 1 AND `+s.e.dialect.Newest()).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		err = errNoAnswer
	}
	if err == nil {
		now, err = parseMoment(text)
	}
	switch {
	case err != nil, now.foreign(), p.before(now):
		return nil, p, now, err
	case p.epoch != "" && p.epoch != now.epochName():
		return nil, p, now, &Behind{Epoch: true}
	case p.lost(now):
		return nil, p, now, &Behind{}
	}
	p.epoch, p.progress = now.epochName(), now.progress
	if p.upto == nil {
		p.upto = &now.snapshot
	}
	next = place{cursor: cursor{p.epoch, p.progress, *p.upto}}
	if p.snapshot == *p.upto {
		return nil, next, now, nil
	}
	query, args := windowQuery(feed, filter, p)
	if events, err = collect(ctx, sqlTx{tx, s.e.cfg.Clock}, query, args, scanEvent); err != nil {
		return nil, p, now, err
	}
	whole := len(events) <= followBatch
	if !whole {
		events = events[:followBatch]
	}
	for _, event := range events {
		p.last = event.ID
		event.Cursor = p.String()
	}
	switch {
	case !whole:
		next = p
	case len(events) > 0:
		events[len(events)-1].Cursor = next.String()
	}
	return events, next, now, nil
}

// windowQuery reads one event more than a batch has.
func windowQuery(feed Feed, filter *where, p place) (query string, args []any) {
	w := where{slices.Clone(filter.text), slices.Clone(filter.args)}
	w.add(`NOT `+feed.Since("?", "?"), p.upto.xmax, p.upto.xip)
	w.add(`id > ?`, p.last)
	if p.xmax == 0 { // all there is: the order of ids is the shortest way
		return `SELECT ` + eventColumns + ` FROM orgauthz_events ` + w.String() + fmt.Sprintf(` ORDER BY id LIMIT %d`, followBatch+1), w.args
	}
	// First what the window holds, by the index of positions: it is small, where the order of ids would lead through everything.
	w.add(feed.Since("?", "?"), p.xmax, p.xip)
	return `WITH seen AS MATERIALIZED (SELECT id FROM orgauthz_events ` + w.String() + `)
		SELECT ` + eventColumns + ` FROM orgauthz_events
		WHERE id IN (SELECT id FROM seen ORDER BY id LIMIT ` + fmt.Sprint(followBatch+1) + `) ORDER BY id`, w.args
}
