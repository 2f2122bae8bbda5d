package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orgauthz/orgauthz/orgstore"
)

// byNumber follows the scopes as one would without a snapshot: what has a higher position than the last one seen.
type byNumber struct {
	conn  *pgx.Conn
	last  int64
	known map[string]uint64
}

func (b *byNumber) poll(ctx context.Context) error {
	rows, err := b.conn.Query(ctx, `SELECT id, revision, position FROM orgauthz_scopes WHERE revision > 0 AND position > $1`, b.last)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var revision uint64
		var position int64
		if err := rows.Scan(&id, &revision, &position); err != nil {
			return err
		}
		b.known[id], b.last = revision, max(b.last, position)
	}
	return rows.Err()
}

// TestFeedMissesNothing polls beside writers, some of which stay open while others that began later commit. The twin that goes
// by numbers must miss changes.
func TestFeedMissesNothing(t *testing.T) {
	t.Parallel()
	const writers, rounds, failed = 8, 12, 1 << 30
	address := with(t, database(t), "pool_max_conns", "20")
	a, b := openAt(t, address, orgstore.Config{}), openAt(t, address, orgstore.Config{})
	twin := &byNumber{connect(t, address), 0, map[string]uint64{}}
	known := make(map[string]uint64)
	page, err := a.Poll(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	cursor := page.Cursor

	var mu sync.Mutex
	polled := sync.NewCond(&mu)
	polls, seen := 0, 0
	poll := func() error {
		page, err := a.Poll(t.Context(), cursor)
		if err != nil {
			return err
		}
		if page.Gap {
			return errors.New("there is a gap")
		}
		cursor = page.Cursor
		for _, r := range page.Changes {
			known[r.Scope.ID] = r.Revision
		}
		err = twin.poll(t.Context())
		mu.Lock()
		defer mu.Unlock()
		polls, seen = polls+1, len(known)
		polled.Broadcast()
		return err
	}
	done := make(chan struct{})
	var poller, group sync.WaitGroup
	poller.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := poll(); err != nil {
				t.Error(err)
				mu.Lock()
				polls = failed // nobody waits for more
				polled.Broadcast()
				mu.Unlock()
				return
			}
		}
	})
	for i := range writers {
		group.Go(func() {
			for round := range rounds {
				_, err := []*orgstore.Engine{a, b}[i%2].Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
					if _, _, err := e.Users.Create(ctx, orgstore.User{ID: fmt.Sprintf("%d-%d", i, round)}); err != nil {
						return err
					}
					if round%writers == i { // stay open while the others commit
						mu.Lock()
						defer mu.Unlock()
						until, others := polls+5, 0
						if i == 0 { // of so many of the others, one at least has begun after this one
							others = min(seen+writers, (writers-1)*rounds)
						}
						for polls < until || seen < others && polls < failed {
							polled.Wait()
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	close(done)
	poller.Wait()
	if err := poll(); err != nil {
		t.Fatal(err)
	}
	if len(known) != writers*rounds {
		t.Errorf("the feed told of %d changes, want %d", len(known), writers*rounds)
	}
	if len(twin.known) >= writers*rounds {
		t.Error("the twin that goes by numbers missed nothing: this test shows nothing")
	}
	t.Logf("%d polls; by numbers, %d of %d changes were missed", polls, writers*rounds-len(twin.known), writers*rounds)
}

// A transaction that stays open anywhere in the cluster makes polls no larger. The twin that reads from the oldest transaction in
// progress grows with every change.
func TestFeedBesideOpenTransaction(t *testing.T) {
	t.Parallel()
	const rounds, each = 10, 20
	address := database(t)
	e := openAt(t, address, orgstore.Config{})
	idle, raw := connect(t, address), connect(t, address)
	execute(t, idle, `BEGIN`)
	execute(t, idle, `SELECT pg_current_xact_id()`)
	var prepared int
	if err := raw.QueryRow(t.Context(), `SELECT current_setting('max_prepared_transactions')::int`).Scan(&prepared); err != nil {
		t.Fatal(err)
	}
	if prepared > 0 { // one that no connection holds
		name := "'orgauthz_test_" + rand.Text() + "'"
		execute(t, raw, `BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION `+name)
		t.Cleanup(func() { execute(t, raw, `ROLLBACK PREPARED `+name) })
	}
	t.Cleanup(func() { execute(t, idle, `ROLLBACK`) })

	page, err := e.Poll(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	twin := 0
	for round := range rounds {
		part := strings.Split(page.Cursor, ":")
		xmin, err := strconv.ParseInt(part[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for i := range each {
			if _, _, err := e.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprintf("%d-%d", round, i)}); err != nil {
				t.Fatal(err)
			}
		}
		if page, err = e.Poll(t.Context(), page.Cursor); err != nil || page.Gap || len(page.Changes) != each {
			t.Errorf("round %d: %d changes, want %d; gap %v, %v", round, len(page.Changes), each, page.Gap, err)
		}
		if err := raw.QueryRow(t.Context(), `SELECT COUNT(*) FROM orgauthz_scopes WHERE position >= $1`, xmin).Scan(&twin); err != nil {
			t.Fatal(err)
		}
	}
	if twin != rounds*each {
		t.Errorf("the twin read %d rows for the last %d changes, and should have read all %d: this test shows nothing", twin, each, rounds*each)
	}
}

// restored is the dialect on a server to which the database was restored from another one.
type restored struct{ dialect }

func (r restored) Feed() orgstore.Feed {
	f := r.dialect.Feed()
	f.Cluster = `'7000000000000000001'`
	return f
}

// Positions that another cluster has counted would be in every poll, or in none: whoever comes first begins a new epoch in which
// they are of the past.
func TestFeedOfRestoredDatabase(t *testing.T) {
	t.Parallel()
	address := with(t, database(t), "pool_max_conns", "2")
	old := openAt(t, address, orgstore.Config{})
	before, err := old.Poll(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"u", "v"} {
		if _, _, err := old.Users.Create(t.Context(), orgstore.User{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	raw := connect(t, address)
	execute(t, raw, `UPDATE orgauthz_scopes SET position = 1 << 40 WHERE id = 'v'`) // the other one had come further

	nodes, errs := make([]*orgstore.Engine, 6), make([]error, 6)
	var group sync.WaitGroup
	for i := range nodes {
		group.Go(func() { nodes[i], errs[i] = open(t.Context(), address, orgstore.Config{}, restored{dialect{gated}}) })
	}
	group.Wait()
	epochs := make(map[string]bool)
	var page *orgstore.FeedPage
	for i, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
		closeAfter(t, nodes[i])
		if page, err = nodes[i].Poll(t.Context(), before.Cursor); err != nil || !page.Gap {
			t.Fatalf("with a cursor of the old server: %+v, %v", page, err)
		}
		epochs[page.Epoch] = true
	}
	if len(epochs) != 1 || epochs[before.Epoch] {
		t.Errorf("epochs %v after %s", epochs, before.Epoch)
	}
	var left int
	if err := raw.QueryRow(t.Context(), `SELECT (SELECT COUNT(*) FROM orgauthz_scopes WHERE position <> 0) +
		(SELECT COUNT(*) FROM orgauthz_events WHERE position <> 0)`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d positions of the old server are left, %v", left, err)
	}
	if _, err := nodes[0].Users.Block(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	page, err = nodes[1].Poll(t.Context(), page.Cursor)
	if err != nil || page.Gap || len(page.Changes) != 1 || page.Changes[0] != (orgstore.Revision{Scope: orgstore.UserScope("u"), Revision: 2}) {
		t.Errorf("the first change on the new server: %+v, %v", page, err)
	}
}

// An event can be committed after one with a greater id. Follow tells both; the twin that goes on behind the last id it has seen
// never hears of the first one.
func TestFollowMissesNothing(t *testing.T) {
	t.Parallel()
	e := fresh(t)
	start, err := e.Poll(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	create := func(ctx context.Context, e *orgstore.Engine, id string) {
		if _, _, err := e.Users.Create(ctx, orgstore.User{ID: id}); err != nil {
			t.Error(err)
		}
	}
	var followed, listed []string
	last := ""
	twin := func() {
		page, err := e.Events.List(t.Context(), orgstore.EventOptions{After: last})
		if err != nil {
			t.Error(err)
		}
		for _, event := range page.Items {
			listed, last = append(listed, event.Target), event.ID
		}
	}
	next, stop := iter.Pull2(e.Events.Follow(t.Context(), orgstore.FollowOptions{Cursor: start.Cursor}))
	defer stop()
	follow := func() {
		event, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		followed = append(followed, event.Target)
	}
	_, err = e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, inside *orgstore.Engine) error {
		create(ctx, inside, "first")
		create(t.Context(), e, "second")
		follow()
		twin()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	follow()
	twin()
	create(t.Context(), e, "third")
	follow()
	twin()
	if want := []string{"second", "first", "third"}; !slices.Equal(followed, want) {
		t.Errorf("followed %q, want %q", followed, want)
	}
	if want := []string{"second", "third"}; !slices.Equal(listed, want) {
		t.Errorf("the twin has seen %q, want %q: this test shows nothing", listed, want)
	}
}

// While the server has no answer a follower is told so, and afterwards it goes on where it was.
func TestFollowGoesOn(t *testing.T) {
	t.Parallel()
	address := database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	// The test's own function is found before PostgreSQL's.
	address = with(t, address, "search_path", u.Query().Get("search_path")+",pg_catalog")
	e, admin := openAt(t, address, orgstore.Config{}), connect(t, address)
	create := func(id string) {
		t.Helper()
		if _, _, err := e.Users.Create(t.Context(), orgstore.User{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	create("a")
	var told []string
	outages := 0
	for event, err := range e.Events.Follow(t.Context(), orgstore.FollowOptions{Interval: time.Millisecond}) {
		switch {
		case err != nil:
			if !errors.Is(err, orgstore.ErrUnavailable) || event != nil {
				t.Fatalf("%+v, %v", event, err)
			}
			if outages++; outages == 1 {
				create("b")
				create("c")
			}
			if outages == 3 {
				execute(t, admin, `DROP FUNCTION pg_is_in_recovery()`)
			}
			continue
		case event.Target == "a":
			execute(t, admin, `CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'`)
			execute(t, admin, `ALTER TABLE orgauthz_meta SET (fillfactor = 90)`) // so that plans are made again, with that function
		}
		if told = append(told, event.Target); len(told) == 3 {
			break
		}
	}
	if want := []string{"a", "b", "c"}; outages < 3 || !slices.Equal(told, want) {
		t.Errorf("told %q and %d outages, want %q", told, outages, want)
	}
}
