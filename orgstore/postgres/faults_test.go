package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// A server that ends all connections: what runs fails, what comes later works.
func TestTerminated(t *testing.T) {
	t.Parallel()
	address := database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	application := u.Query().Get("search_path")
	e := openAt(t, with(t, address, "application_name", application), orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	admin := connect(t, address)
	terminate := func() {
		execute(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, application)
	}
	attempts := 0
	_, err = e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, inside *orgstore.Engine) error {
		attempts++
		if _, err := inside.Organizations.Suspend(ctx, w.Org.ID); err != nil {
			return err
		}
		terminate()
		_, err := inside.Organizations.Suspend(ctx, w.Other.ID)
		if !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("inside: %v", err)
		}
		return nil // although it failed
	})
	if !errors.Is(err, orgstore.ErrUnavailable) || strings.Contains(err.Error(), "unknown") || attempts != 1 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
	// Each connection of the pool that was idle may fail once.
	var failed int
	for range 6 {
		a, err := e.Resolve(t.Context(), orgstore.Query{Org: w.Org.ID, Principal: w.Emilio.ID})
		switch {
		case err == nil && a.Standing == orgstore.StandingMember:
		case errors.Is(err, orgstore.ErrUnavailable):
			failed++
		default:
			t.Errorf("a read: %+v, %v", a, err)
		}
	}
	t.Logf("%d reads failed", failed)
	if a, err := e.Resolve(t.Context(), orgstore.Query{Org: w.Org.ID, Principal: w.Emilio.ID}); err != nil || a.Standing != orgstore.StandingMember {
		t.Errorf("recovered: %+v, %v", a, err)
	}
	if _, err := e.Organizations.Suspend(t.Context(), w.Org.ID); err != nil {
		t.Errorf("recovered: %v", err)
	}
}

// cutter is a proxy that, once armed, forwards the next commit to the server and cuts the connection before its answer. With
// messages it does so at the message of this number instead, which it forwards or not.
type cutter struct {
	armed, messages, cuts atomic.Int64
	forward               atomic.Bool
	group                 sync.WaitGroup
}

// cutsAt reports whether the connection is to be cut at message, and whether that is to be forwarded.
func (c *cutter) cutsAt(message []byte) (cut, forward bool) {
	for n := c.messages.Load(); n > 0; n = c.messages.Load() {
		if c.messages.CompareAndSwap(n, n-1) {
			return n == 1, c.forward.Load()
		}
	}
	return bytes.Contains(message, []byte("commit\x00")) && c.armed.CompareAndSwap(1, 0), true
}

func (c *cutter) listen(t *testing.T, server string) (address string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			var cut atomic.Bool
			c.group.Go(func() {
				defer backend.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := client.Read(buffer)
					if err != nil {
						return
					}
					if cuts, forward := c.cutsAt(buffer[:n]); cuts {
						c.cuts.Add(1)
						cut.Store(true)
						if !forward {
							_ = client.Close()
							return
						}
					}
					if _, err := backend.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
			c.group.Go(func() {
				defer client.Close()
				buffer := make([]byte, 64<<10)
				for {
					n, err := backend.Read(buffer)
					if err != nil || cut.Load() { // the server has answered the commit, and nobody learns of it
						return
					}
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		c.group.Wait()
	})
	return listener.Addr().String()
}

// A commit that is not answered is told as such, and not run again: it may have been done, as it has here.
func TestUnansweredCommit(t *testing.T) {
	t.Parallel()
	address := database(t, "sslmode", "disable")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c := new(cutter)
	u.Host = c.listen(t, u.Host)
	e := openAt(t, u.String(), orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	c.armed.Store(1)
	_, err = e.Organizations.Suspend(t.Context(), w.Org.ID)
	if c.cuts.Load() != 1 {
		t.Fatal("no commit was cut")
	}
	if !errors.Is(err, orgstore.ErrUnavailable) || !strings.Contains(err.Error(), "unknown whether") {
		t.Errorf("error: %v", err)
	}
	other := openAt(t, address, orgstore.Config{})
	if o, err := other.Organizations.Get(t.Context(), w.Org.ID); err != nil || o.Status != orgstore.OrganizationSuspended {
		t.Errorf("the organization: %+v, %v", o, err)
	}
	if _, err := e.Organizations.Resume(t.Context(), w.Org.ID); err != nil {
		t.Errorf("the next mutation: %v", err)
	}
}

// Repeating a mutation whose commit was not answered is safe with an idempotency key, and only with one.
func TestUnansweredCommitRepeated(t *testing.T) {
	t.Parallel()
	address := database(t, "sslmode", "disable")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c := new(cutter)
	u.Host = c.listen(t, u.Host)
	e := openAt(t, u.String(), orgstore.Config{})
	_, err = e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE payments (who TEXT NOT NULL)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pay := func(ctx context.Context, who string) error {
		_, err := e.Transact(ctx, func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO payments (who) VALUES ($1)`, who)
			return err
		})
		return err
	}
	unanswered := func(do func() error) {
		t.Helper()
		c.armed.Store(1)
		if err := do(); !errors.Is(err, orgstore.ErrUnavailable) || !strings.Contains(err.Error(), "unknown whether") {
			t.Errorf("error: %v", err)
		}
		if err := do(); err != nil {
			t.Errorf("repeated: %v", err)
		}
	}
	unanswered(func() error { return pay(orgstore.WithIdempotencyKey(t.Context(), "k"), "with a key") })
	unanswered(func() error { return pay(t.Context(), "twin without a key") })
	admin := connect(t, address)
	for who, want := range map[string]int{"with a key": 1, "twin without a key": 2} {
		var n int
		if err := admin.QueryRow(t.Context(), `SELECT COUNT(*) FROM payments WHERE who = $1`, who).Scan(&n); err != nil || n != want {
			t.Errorf("%s: paid %d times, %v", who, n, err)
		}
	}

	// What was made, and its revisions, come with the second call. Listeners hear of it then.
	var told int
	e.OnCommit(func(_ context.Context, changes []orgstore.Change) { told += len(changes) })
	var o *orgstore.Organization
	var result orgstore.Result
	unanswered(func() (err error) {
		o, result, err = e.Organizations.Create(orgstore.WithIdempotencyKey(t.Context(), "o"), orgstore.Organization{Name: "acme"})
		return err
	})
	if found, err := e.Organizations.GetByName(t.Context(), "acme"); err != nil || o == nil || found.ID != o.ID {
		t.Errorf("made %+v, found %+v, %v", o, found, err)
	}
	if !result.Replayed || len(result.Revision) != 2 || told != 2 {
		t.Errorf("result %+v, %d changes told", result, told)
	}
	if c.cuts.Load() != 3 {
		t.Errorf("%d commits were cut", c.cuts.Load())
	}
}

// A caller that goes away while its commit is under way does not leave the outcome open.
func TestCommitOutlivesItsContext(t *testing.T) {
	t.Parallel()
	e := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := e.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, _, err := e.Users.Create(ctx, orgstore.User{ID: "u"}); err != nil {
			return err
		}
		// Checked at the commit, which so takes longer than the context lives.
		_, err := tx.ExecContext(ctx, `
			CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
			CREATE TABLE slow (n INTEGER);
			CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();
			INSERT INTO slow (n) VALUES (1)`)
		time.AfterFunc(50*time.Millisecond, cancel)
		return err
	})
	if err != nil {
		t.Errorf("Transact: %v", err)
	}
	if _, err := e.Users.Get(t.Context(), "u"); err != nil {
		t.Errorf("the user: %v", err)
	}
}

// A server in recovery may lack what was committed on the primary: it has no answer, neither yes nor no.
func TestServerInRecovery(t *testing.T) {
	t.Parallel()
	address := database(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	// The test's own function is found before PostgreSQL's.
	address = with(t, address, "search_path", u.Query().Get("search_path")+",pg_catalog")
	e := openAt(t, address, orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	admin := connect(t, address)
	execute(t, admin, `CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'`)
	for name, org := range map[string]string{"by id": w.Org.ID, "by name": w.Org.Name, "absent": "nowhere"} {
		if a, err := e.Resolve(t.Context(), orgstore.Query{Org: org, Principal: w.Emilio.ID}); a != nil || !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	if err := e.Health(t.Context()); !errors.Is(err, orgstore.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("Health: %v", err)
	}
	execute(t, admin, `ALTER TABLE orgauthz_meta SET (fillfactor = 90)`) // so that the plan of the feed is made again, with that function
	if page, err := e.Poll(t.Context(), ""); page != nil || !errors.Is(err, orgstore.ErrUnavailable) || !strings.Contains(err.Error(), "standby") {
		t.Errorf("Poll: %+v, %v", page, err)
	}
	if other, err := Open(t.Context(), address, orgstore.Config{}); err == nil {
		t.Errorf("a standby was opened: %v", other.Close())
	} else if !strings.Contains(err.Error(), "standby") {
		t.Errorf("Open: %v", err)
	}
	execute(t, admin, `DROP FUNCTION pg_is_in_recovery()`)
	if err := e.Health(t.Context()); err != nil {
		t.Errorf("Health: %v", err)
	}
}

// Commits are synced whatever the server's default, or a function of an earlier Transact, says.
func TestDurability(t *testing.T) {
	t.Parallel()
	e := openAt(t, with(t, database(t), "synchronous_commit", "off", "pool_max_conns", "2"), orgstore.Config{LockTimeout: 5 * time.Second})
	for range 2 {
		_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
			var commit, timeout string
			if err := tx.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')`).Scan(&commit, &timeout); err != nil {
				return err
			}
			if commit != "on" || timeout != "5s" {
				t.Errorf("synchronous_commit is %s, lock_timeout %s", commit, timeout)
			}
			_, err := tx.ExecContext(ctx, `SET SESSION synchronous_commit = off`)
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Nodes whose clocks differ write events in the order of the changes.
func TestClocks(t *testing.T) {
	t.Parallel()
	address := database(t)
	early := openAt(t, address, orgstore.Config{Clock: func() time.Time { return time.Unix(1_900_000_000, 0) }})
	late := openAt(t, address, orgstore.Config{Clock: func() time.Time { return time.Unix(2_000_000_000, 0) }})
	w := orgstoretest.Seed(t, late)
	for i := range 6 {
		e := []*orgstore.Engine{early, late}[i%2]
		_, a := e.Members.Remove(t.Context(), w.Org.ID, w.Emilio.ID)
		_, b := e.Organizations.Suspend(t.Context(), w.Org.ID)
		_, c := e.Members.Add(t.Context(), w.Org.ID, w.Emilio.ID, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
		_, d := e.Organizations.Resume(t.Context(), w.Org.ID)
		if err := errors.Join(a, b, c, d); err != nil {
			t.Fatal(err)
		}
	}
	page, err := early.Events.List(t.Context(), orgstore.EventOptions{Organization: w.Org.ID, Limit: 1000})
	if err != nil || len(page.Items) < 24 || page.Items[0].Type != "organization.created" {
		t.Fatalf("events: %+v, %v", page, err)
	}
	last := make(map[orgstore.Scope]uint64)
	for i, event := range page.Items {
		if event.Revision != last[event.Scope]+1 || i > 0 && event.Time.Before(page.Items[i-1].Time) {
			t.Errorf("event %d, %s, has revision %d after %d, time %v", i, event.Type, event.Revision, last[event.Scope], event.Time)
		}
		last[event.Scope] = event.Revision
	}
}
