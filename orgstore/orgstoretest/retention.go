package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestEvents tests the retention of events, and the erasure of users from them. open returns a fresh, empty engine with cfg.
func TestEvents(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	for name, test := range map[string]struct {
		keep time.Duration
		test func(*engineTest, *clock)
	}{
		"EVT-4: retention deletes by age":             {0, pruneByAge},
		"EVT-4: events can be kept for ever":          {1<<63 - 1, pruneNothing},
		"EVT-4: a follower that fell behind is told":  {time.Hour, followBehind},
		"EVT-3: nothing personal is left in events":   {0, eraseUser},
		"EVT-3: somebody who was deleted is erased":   {0, eraseDeleted},
		"EVT-3, DEL-2: only the tenant erases":        {0, eraseDenied},
		"EVT-3: erasing touches nobody else's events": {0, eraseOthers},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(clock)
			test.test(&engineTest{T: t, Engine: open(t, orgstore.Config{Clock: c.now, EventRetention: test.keep})}, c)
		})
	}
}

// prune prunes n events: as soon as no transaction, of whatever test, is older than them.
func (t *engineTest) prune(n int) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for deleted := 0; deleted != n; {
		d, err := t.Events.Prune(t.Context())
		t.ok(err)
		if deleted += d; deleted > n || time.Now().After(deadline) {
			t.Fatalf("%d events were pruned, want %d", deleted, n)
		}
	}
	d, err := t.Events.Prune(t.Context())
	if err != nil || d != 0 {
		t.Errorf("pruned %d more, %v", d, err)
	}
}

// settled returns a cursor that has seen every transaction which had begun: there are those of other tests.
func (t *engineTest) settled() string {
	t.Helper()
	bounds := func(cursor string) (xmin, xmax int) {
		part := strings.Split(cursor, ":")
		xmin, err := strconv.Atoi(part[2])
		t.ok(err)
		xmax, err = strconv.Atoi(part[3])
		t.ok(err)
		return xmin, xmax
	}
	_, until := bounds(t.poll("").Cursor)
	for deadline := time.Now().Add(time.Minute); ; {
		cursor := t.poll("").Cursor
		if xmin, _ := bounds(cursor); xmin >= until {
			return cursor
		}
		if time.Now().After(deadline) {
			t.Fatal("a transaction stays open")
		}
	}
}

func pruneByAge(t *engineTest, c *clock) {
	const many = 2300 // more than two batches
	o := t.org("acme")
	t.changed(t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) (err error) {
		for i := range many {
			err = errors.Join(err, third(e.Users.Create(ctx, orgstore.User{ID: fmt.Sprint("u", i)})))
		}
		return err
	}))
	if n, err := t.Events.Prune(t.Context()); n != 0 || err != nil {
		t.Errorf("young events: %d pruned, %v", n, err)
	}
	c.ahead.Store(int64(399 * 24 * time.Hour))
	t.user("v")
	if n, err := t.Events.Prune(t.Context()); n != 0 || err != nil {
		t.Errorf("events of 399 days: %d pruned, %v", n, err)
	}
	page := t.poll("")
	c.ahead.Store(int64(401 * 24 * time.Hour))
	t.prune(many + 2)
	if next := t.poll(page.Cursor); len(next.Changes) != 0 || next.Gap {
		t.Errorf("the feed tells of pruning: %+v", next)
	}
	if events := t.events(); len(events) != 1 || events[0].Target != "v" {
		t.Errorf("%d events are left", len(events))
	}
	// Revisions go on where they were.
	result, err := t.Organizations.Suspend(t.Context(), o.ID)
	t.changed(result, err)
	if revision, _ := result.Revision.Of(orgstore.OrganizationScope(o.ID)); revision != 2 {
		t.Errorf("revision %d", revision)
	}
}

func pruneNothing(t *engineTest, c *clock) {
	t.org("acme")
	c.ahead.Store(int64(100 * 365 * 24 * time.Hour))
	if n, err := t.Events.Prune(t.Context()); n != 0 || err != nil || len(t.events()) != 2 {
		t.Errorf("%d pruned, %v", n, err)
	}
}

func followBehind(t *engineTest, c *clock) {
	start := t.poll("").Cursor
	t.org("acme")
	events := t.follow(orgstore.FollowOptions{Cursor: start}, 2)
	t.user("u")
	seen := t.settled()
	c.ahead.Store(int64(2 * time.Hour))
	t.prune(3)
	for name, cursor := range map[string]string{"before all": start, "within": events[0].Cursor, "before the last": events[1].Cursor} {
		err := t.ended(cursor)
		if behind, ok := errors.AsType[*orgstore.Behind](err); !ok || behind.Epoch || !strings.Contains(err.Error(), "age") {
			t.Errorf("%s: %v", name, err)
		}
		t.is(err, orgstore.ErrNotFound)
	}
	t.user("v")
	for name, cursor := range map[string]string{"up to date": seen, "from the oldest": "", "from now": t.poll(seen).Cursor} {
		if name == "from now" {
			t.user("w")
		}
		if e := t.follow(orgstore.FollowOptions{Cursor: cursor}, 1)[0]; e.Type != "user.created" || e.Target == "u" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}
