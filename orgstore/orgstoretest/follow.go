package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var followCases = cases{
	"follow: each event once, and at once": followTells,
	"follow: resumes after every event":    followResumes,
	"follow: many events":                  followMany,
	"follow: concurrent writers":           followConcurrent,
	"follow: bad input":                    followRefused,
	"follow: ends":                         followEnds,
	"follow: a new epoch":                  followEpoch,
}

// follow returns the ids of the next n events, or ends the test.
func (t *engineTest) follow(opts orgstore.FollowOptions, n int) (events []*orgstore.Event) {
	t.Helper()
	for e, err := range t.Events.Follow(t.Context(), opts) {
		t.ok(err)
		events = append(events, e)
		if len(events) == n {
			break
		}
	}
	return events
}

func ids(events []*orgstore.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

// followTells: what was there is told, and what is committed meanwhile, without waiting for the interval.
func followTells(t *engineTest) {
	o := t.org("acme")
	now := t.poll("").Cursor
	got, after := 0, 0
	for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Interval: time.Hour}) {
		t.ok(err)
		if got++; got == 2 { // the organization and its name
			t.user("u")
			t.member(o.ID, "u")
		}
		if got == 4 {
			if e.Type != "organization.member.added" {
				t.Errorf("the last event is %+v", e)
			}
			break
		}
	}
	for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Cursor: now, Type: "organization.member."}) {
		t.ok(err)
		after++
		if e.Scope != orgstore.MembershipScope(o.ID, "u") {
			t.Errorf("from then on, members: %+v", e)
		}
		break
	}
	if got != 4 || after != 1 {
		t.Errorf("%d events, %d after the cursor", got, after)
	}
}

// followResumes: from the cursor of each event, the next one is told first.
func followResumes(t *engineTest) {
	o := t.org("acme")
	first := t.follow(orgstore.FollowOptions{}, 1)
	for i := range 3 { // windows of several events, and of one
		t.user(fmt.Sprint("u", i))
		t.changed(t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			return errors.Join(second(e.Members.Add(ctx, o.ID, fmt.Sprint("u", i), orgstore.MemberOptions{})), second(e.Users.Block(ctx, fmt.Sprint("u", i))))
		}))
	}
	want := ids(t.events())
	events := append(first, t.follow(orgstore.FollowOptions{Cursor: first[0].Cursor}, len(want)-1)...)
	if !slices.Equal(ids(events), want) {
		t.Errorf("followed %q, want %q", ids(events), want)
	}
	for i, e := range events[:len(events)-1] {
		if got := ids(t.follow(orgstore.FollowOptions{Cursor: e.Cursor}, len(want)-i-1)); !slices.Equal(got, want[i+1:]) {
			t.Errorf("after event %d: %q, want %q", i, got, want[i+1:])
		}
	}
}

// followMany: more than is read at once, told in the order of ids, while what is committed meanwhile comes after it.
func followMany(t *engineTest) {
	const n = 1200
	o := t.org("acme")
	start := t.poll("").Cursor
	many := func(prefix string) {
		t.changed(t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) (err error) {
			for i := range n {
				err = errors.Join(err, third(e.Users.Create(ctx, orgstore.User{ID: fmt.Sprint(prefix, i)})))
			}
			return err
		}))
	}
	many("a")
	for name, cursor := range map[string]string{"from a cursor": start, "from the oldest": ""} {
		var got []string
		skip, wrote := 0, false
		for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Cursor: cursor}) {
			t.ok(err)
			if e.Organization == o.ID {
				skip++
				continue
			}
			if e.Type != "user.created" {
				continue
			}
			if got = append(got, e.ID); !wrote {
				wrote = true
				t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{DisplayName: new(name)}))
			}
			if len(got) == n {
				break
			}
		}
		if !slices.IsSorted(got) || len(slices.Compact(got)) != n {
			t.Errorf("%s: not each once and in order", name)
		}
		t.Logf("%s: %d others before the last", name, skip)
	}
}

// followConcurrent: several followers beside 8 writers, and one that begins anew after every event.
func followConcurrent(t *engineTest) {
	const writers, steps, followers = 8, 15, 3
	var group sync.WaitGroup
	got := make([][]string, followers)
	for i := range followers {
		group.Go(func() {
			cursor := ""
			for len(got[i]) < writers*steps {
				for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Cursor: cursor, Interval: time.Millisecond}) {
					if err != nil {
						t.Error(err)
						return
					}
					got[i], cursor = append(got[i], e.ID), e.Cursor
					if i == 0 || len(got[i]) == writers*steps {
						break
					}
				}
			}
		})
	}
	for _, err := range together(writers, func(i int) (err error) {
		for step := range steps {
			err = errors.Join(err, third(t.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprintf("%d-%d", i, step)})))
		}
		return err
	}) {
		t.ok(err)
	}
	group.Wait()
	want := ids(t.events())
	for i := range followers {
		slices.Sort(got[i])
		if !slices.Equal(got[i], want) {
			t.Errorf("follower %d: %d events, %d different ones, want %d", i, len(got[i]), len(slices.Compact(got[i])), len(want))
		}
	}
}

func followRefused(t *engineTest) {
	t.org("acme")
	good := t.follow(orgstore.FollowOptions{}, 1)[0].Cursor
	if !strings.Contains(good, "/") {
		t.Fatalf("not within a window: %s", good)
	}
	opts := map[string][]orgstore.FollowOptions{
		"Type": {{Type: "a\x00"}}, "Organization": {{Organization: "\xff"}}, "Actor": {{Actor: "a\nb"}}, "Target": {{Target: "\x00"}},
		"Scope": {{Scope: orgstore.Scope{Kind: 99, ID: "x"}}}, "Interval": {{Interval: -1}},
	}
	window, rest, _ := strings.Cut(good, "/")
	for _, bad := range []string{"x", good + "/", good + "/x", window + "/", window + "//", window + "/1:1/evt_1", window + "/1:1:/", "/" + rest, window + "/1:1:/evt_\x00"} {
		opts["cursor"] = append(opts["cursor"], orgstore.FollowOptions{Cursor: bad})
	}
	for field, list := range opts {
		for _, o := range list {
			n := 0
			for e, err := range t.Events.Follow(t.Context(), o) {
				n++
				t.invalid(err, field, o.Cursor)
				if e != nil {
					t.Errorf("%+v: event %+v", o, e)
				}
			}
			if n != 1 {
				t.Errorf("%+v: %d times", o, n)
			}
		}
	}
}

// followEnds: with its context, and with the engine.
func followEnds(t *engineTest) {
	t.user("u")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for e, err := range t.Events.Follow(ctx, orgstore.FollowOptions{Interval: time.Hour}) {
		if last = err; e != nil {
			n++
			cancel()
		}
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d events, then %v", n, last)
	}
	n = 0
	for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Interval: time.Millisecond}) {
		if last = err; e != nil {
			n++
			t.ok(t.Close())
		}
	}
	if n != 1 || !errors.Is(last, orgstore.ErrUnavailable) {
		t.Errorf("%d events, then %v", n, last)
	}
}

// ended follows from a cursor from which there is nothing to be had but an error.
func (t *engineTest) ended(cursor string) (last error) {
	t.Helper()
	for e, err := range t.Events.Follow(t.Context(), orgstore.FollowOptions{Cursor: cursor}) {
		if last = err; e != nil {
			t.Errorf("event %+v", e)
			break
		}
	}
	return last
}

func followEpoch(t *engineTest) {
	t.org("acme")
	cursor := t.follow(orgstore.FollowOptions{}, 1)[0].Cursor
	part := strings.SplitN(cursor, ":", 3)
	for _, cursor := range []string{
		"another:" + part[1] + ":" + part[2],
		part[0] + ":9000000000000000000:" + part[2], // from the future: it ends the epoch
		cursor,
	} {
		err := t.ended(cursor)
		if behind, ok := errors.AsType[*orgstore.Behind](err); !ok || !behind.Epoch || !strings.Contains(err.Error(), "failed over") {
			t.Errorf("error: %v", err)
		}
		t.is(err, orgstore.ErrNotFound)
	}
	if n := len(t.follow(orgstore.FollowOptions{}, 2)); n != 2 { // whatever is kept is of the new epoch
		t.Errorf("%d events", n)
	}
}
