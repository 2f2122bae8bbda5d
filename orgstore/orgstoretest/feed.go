package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var feedCases = cases{
	"feed: what became visible": feedVisible,
	"feed: concurrent writers":  feedConcurrent,
	"feed: a gap":               feedGap,
	"feed: epochs":              feedEpochs,
	"feed: cursors":             feedCursors,
}

func (t *engineTest) poll(after string) *orgstore.FeedPage {
	t.Helper()
	page, err := t.Poll(t.Context(), after)
	t.ok(err)
	return page
}

// feedVisible: a poll tells of exactly what was committed since the one before, at its newest revision.
func feedVisible(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	page := t.poll("")
	if !page.Gap || page.Changes != nil || page.Epoch == "" || page.Cursor == "" {
		t.Errorf("the first poll: %+v", page)
	}
	if d := time.Since(page.Time); d < -time.Hour || d > time.Hour || page.Time.Location() != time.UTC {
		t.Errorf("the database's clock: %v", page.Time)
	}
	expect := func(want ...orgstore.Revision) {
		t.Helper()
		next := t.poll(page.Cursor)
		got := orgstore.Vector(next.Changes)
		if len(got) != len(want) || next.Gap || next.Epoch != page.Epoch {
			t.Errorf("the poll says %+v, want changes %v", next, want)
		}
		for _, w := range want {
			if revision, _ := got.Of(w.Scope); revision != w.Revision {
				t.Errorf("%v is at %d, want %d", w.Scope, revision, w.Revision)
			}
		}
		if again := t.poll(page.Cursor); len(again.Changes) != len(want) {
			t.Errorf("the same poll again says %v, want %v", again.Changes, want)
		}
		page = next
	}
	expect()
	user := t.user("u")
	t.changed(t.Users.Block(ctx, user))
	t.changed(t.Users.Unblock(ctx, user))
	expect(orgstore.Revision{Scope: orgstore.UserScope(user), Revision: 3})
	t.member(o.ID, user)
	t.changed(t.Organizations.Suspend(ctx, o.ID))
	membership := orgstore.Revision{Scope: orgstore.MembershipScope(o.ID, user), Revision: 1}
	expect(membership, orgstore.Revision{Scope: orgstore.OrganizationScope(o.ID), Revision: 2})

	t.unchanged(t.Organizations.Suspend(ctx, o.ID))
	_, err := t.Members.Add(ctx, "org_0000000000000000", user, orgstore.MemberOptions{})
	t.is(err, orgstore.ErrNotFound)
	_, err = t.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		if _, err := e.Users.Block(ctx, user); err != nil {
			return err
		}
		page, err := e.Poll(ctx, page.Cursor) // what is not committed is not seen, here neither
		if err != nil || len(page.Changes) != 0 || page.Gap {
			t.Errorf("in a transaction: %+v, %v", page, err)
		}
		return errUndo
	})
	t.is(err, errUndo)
	expect()
	t.changed(t.Users.Block(ctx, user))
	expect(orgstore.Revision{Scope: orgstore.UserScope(user), Revision: 4})
}

// feedConcurrent: whoever polls while others write knows every scope's newest revision in the end.
func feedConcurrent(t *engineTest) {
	const writers, steps = 8, 25
	known := make(map[orgstore.Scope]uint64)
	page := t.poll("")
	apply := func() error {
		next, err := t.Poll(t.Context(), page.Cursor)
		if err != nil {
			return err
		}
		for _, r := range next.Changes {
			if r.Revision < known[r.Scope] {
				t.Errorf("%v goes back from %d to %d", r.Scope, known[r.Scope], r.Revision)
			}
			known[r.Scope] = r.Revision
		}
		if next.Gap {
			t.Errorf("a gap: %+v", next)
		}
		page = next
		return nil
	}
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := apply(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for _, err := range together(writers, func(i int) error {
		id := fmt.Sprint("u", i%3)
		for step := range steps {
			err := third(t.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprintf("%d-%d", i, step)}))
			if step%2 == 0 {
				err = errors.Join(err, ignoreConflict(third(t.Users.Create(t.Context(), orgstore.User{ID: id}))))
			} else {
				err = errors.Join(err, second(t.Users.Delete(t.Context(), id)))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}) {
		t.ok(err)
	}
	close(done)
	group.Wait()
	t.ok(apply())
	newest := make(map[orgstore.Scope]uint64)
	for _, e := range t.events() {
		newest[e.Scope] = max(newest[e.Scope], e.Revision)
	}
	if len(newest) < writers*steps || len(newest) != len(known) {
		t.Errorf("%d scopes are known of %d", len(known), len(newest))
	}
	for scope, revision := range newest {
		if known[scope] != revision {
			t.Errorf("%v is known at %d, and is at %d", scope, known[scope], revision)
		}
	}
}

func ignoreConflict(err error) error {
	if errors.Is(err, orgstore.ErrConflict) {
		return nil
	}
	return err
}

// feedGap: a poll that would have to tell of too much says so, and the feed goes on behind it.
func feedGap(t *engineTest) {
	const most = 20_000
	user := t.user("u")
	page := t.poll("")
	raise := func(n int) {
		t.Helper()
		t.changed(t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			if _, err := e.Users.Update(ctx, user, orgstore.UserUpdate{Name: new(strconv.Itoa(n))}); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `
				WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
				INSERT INTO orgauthz_scopes (kind, org, id, revision, position)
				SELECT 5, '', 'n' || i, 1, (SELECT position FROM orgauthz_scopes WHERE kind = 3 AND id = 'u') FROM n WHERE true
				ON CONFLICT (kind, org, id) DO UPDATE SET revision = orgauthz_scopes.revision + 1, position = excluded.position`, n)
			return err
		}))
	}
	raise(most - 1)
	if page = t.poll(page.Cursor); page.Gap || len(page.Changes) != most {
		t.Errorf("gap %v with %d changes", page.Gap, len(page.Changes))
	}
	raise(most)
	if page = t.poll(page.Cursor); !page.Gap || page.Changes != nil {
		t.Errorf("gap %v with %d changes", page.Gap, len(page.Changes))
	}
	t.changed(t.Users.Block(t.Context(), user))
	if page = t.poll(page.Cursor); page.Gap || len(page.Changes) != 1 {
		t.Errorf("after a gap: gap %v with %d changes", page.Gap, len(page.Changes))
	}
}

// feedEpochs: a cursor that has seen more than there is ends the epoch, once, for everybody.
func feedEpochs(t *engineTest) {
	first := t.poll("")
	part := strings.SplitN(first.Cursor, ":", 3)
	progress, err := strconv.ParseInt(part[1], 10, 64)
	t.ok(err)
	lost := strings.Join([]string{part[0], strconv.FormatInt(progress+1<<40, 10), part[2]}, ":")
	var mu sync.Mutex
	epochs := make(map[string]bool)
	for _, err := range together(8, func(int) error {
		page, err := t.Poll(t.Context(), lost)
		if err != nil {
			return err
		}
		if !page.Gap || page.Epoch == first.Epoch {
			t.Errorf("after commits were lost: %+v", page)
		}
		mu.Lock()
		defer mu.Unlock()
		epochs[page.Epoch] = true
		return nil
	}) {
		t.ok(err)
	}
	if len(epochs) != 1 {
		t.Errorf("%d epochs have begun", len(epochs))
	}
	t.user("u")
	page := t.poll(first.Cursor)
	if !page.Gap || page.Changes != nil {
		t.Errorf("with a cursor of the epoch before: %+v", page)
	}
	t.user("v")
	if page = t.poll(page.Cursor); page.Gap || len(page.Changes) != 1 {
		t.Errorf("in the new epoch: %+v", page)
	}
}

func feedCursors(t *engineTest) {
	good := t.poll("").Cursor
	for _, bad := range []string{
		"x", ":", "::::", "nonsense nonsense", good + ",x", good + ":", "x" + "\x00" + good, "\xff" + good, ":" + good, strings.Replace(good, ":", ";", 1),
		"e:1:1:1:-1", "e:1:1:x:", "e:x:1:1:", "e:1:1:99999999999999999999:", "e:1:1:1:1,,2", strings.Repeat("x", 1<<16),
	} {
		page, err := t.Poll(t.Context(), bad)
		t.invalid(err, "cursor", bad)
		if page != nil {
			t.Errorf("%.40q: %+v", bad, page)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := t.Poll(ctx, good)
	t.is(err, context.Canceled)
	t.ok(t.Close())
	_, err = t.Poll(t.Context(), good)
	t.is(err, orgstore.ErrUnavailable)
}
