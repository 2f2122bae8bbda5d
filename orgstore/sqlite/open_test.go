package sqlite_test

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func openFile(t testing.TB, path string, cfg orgstore.Config) *orgstore.Engine {
	t.Helper()
	cfg.LockTimeout = cmp.Or(cfg.LockTimeout, time.Minute) // what is tested is not how busy the machine is
	cfg.LoadTimeout = cmp.Or(cfg.LoadTimeout, time.Minute)
	e, err := sqlite.Open(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// raw opens the file beside the engines, as another program would.
func raw(t testing.TB, path string) *sql.Conn {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func execute(t testing.TB, conn *sql.Conn, statement string) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// The file is a file like any other: the suite runs on it as well, with an engine that resolves over another one's writes.
func TestResolverOfAnotherEngine(t *testing.T) {
	t.Parallel()
	orgstoretest.TestResolver(t, func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
		path := filepath.Join(t.TempDir(), "orgs.db")
		return openFile(t, path, orgstore.Config{Clock: clock}), openFile(t, path, orgstore.Config{Clock: clock})
	})
}

func TestOpenAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"orgs.db", "with space.db", "question?mark.db", "per%20cent.db", "hash#.db", "ampersand&mode=memory.db", "ünï.db", "quote'.db"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), name)
			e, err := sqlite.Open(t.Context(), path, orgstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			world := orgstoretest.Seed(t, e)
			want, err := e.Resolve(t.Context(), orgstore.Query{Org: "granite-outpost", Principal: world.Emilio.ID})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Size() == 0 {
				t.Fatalf("the file is not where it should be: %v", err)
			}
			got, err := openFile(t, path, orgstore.Config{}).Resolve(t.Context(), orgstore.Query{Org: "granite-outpost", Principal: world.Emilio.ID})
			if err != nil || !orgstoretest.Equal(got, want) {
				t.Errorf("opened again: %+v, %v; want %+v", got, err, want)
			}
		})
	}
}

func TestOpenRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	openFile(t, "orgs.db", orgstore.Config{})
	if _, err := os.Stat("orgs.db"); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := []byte("this is a text of some length, and certainly not a SQLite database\n" + strings.Repeat("x", 4096))
	file := filepath.Join(dir, "text.txt")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path string
		cfg  orgstore.Config
		want []string
	}{
		"empty path":          {path: "", want: []string{"path is empty", ":memory:"}},
		"directory":           {path: dir, want: []string{dir, "is a directory"}},
		"missing directory":   {path: filepath.Join(dir, "missing", "orgs.db"), want: []string{"directory does not exist", "create it"}},
		"file as a directory": {path: filepath.Join(file, "orgs.db"), want: []string{"not a directory"}},
		"URI":                 {path: "file:orgs.db?mode=memory", want: []string{"plain path"}},
		"not a database":      {path: file, want: []string{"not a SQLite database", "left as it is"}},
		"device":              {path: os.DevNull, want: []string{"no regular file"}},
		"config": {path: filepath.Join(dir, "never.db"), cfg: orgstore.Config{LoadTimeout: -1, Limits: orgstore.Limits{Members: -1}},
			want: []string{"LoadTimeout", "Limits.Members"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := sqlite.Open(t.Context(), test.path, test.cfg)
			if err == nil {
				_ = e.Close()
				t.Fatal("opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
	t.Cleanup(func() { // after the parallel subtests
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, text) {
			t.Errorf("the file that is no database was changed: %v", err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("refused opens left files behind: %v, %v", entries, err)
		}
	})
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	openFile(t, path, orgstore.Config{})
	execute(t, raw(t, path), `INSERT INTO orgauthz_schema (version_id, is_applied) VALUES (9999, 1)`)
	e, err := sqlite.Open(t.Context(), path, orgstore.Config{})
	if err == nil {
		_ = e.Close()
		t.Fatal("a database of a newer version was opened")
	}
	if !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer version of orgauthz") {
		t.Errorf("error: %v", err)
	}
}

func TestMemoryIsPrivateAndTemporary(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	a, b := memory(t), memory(t)
	if _, _, err := a.Users.Create(t.Context(), orgstore.User{ID: "u"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Users.Get(t.Context(), "u"); !errors.Is(err, orgstore.ErrNotFound) {
		t.Errorf("two memory databases share a user: %v", err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestTablesHavePrefix(t *testing.T) {
	t.Parallel()
	e := memory(t)
	err := e.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			n++
			if !strings.HasPrefix(name, "orgauthz_") {
				t.Errorf("%s could collide with an application's own", name)
			}
		}
		if n < 10 {
			t.Errorf("only %d tables and indexes", n)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// While another process has the database locked, mutations end with their context, or with the engine's own bound; reads go on.
func TestLocked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	patient := openFile(t, path, orgstore.Config{LockTimeout: time.Hour})
	impatient := openFile(t, path, orgstore.Config{LockTimeout: 10 * time.Millisecond})
	world := orgstoretest.Seed(t, patient)
	other := raw(t, path)
	execute(t, other, "BEGIN IMMEDIATE")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := patient.Organizations.Suspend(ctx, world.Org.ID)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("a caller's deadline: %v", err)
	}
	_, err = impatient.Organizations.Suspend(t.Context(), world.Org.ID)
	if !errors.Is(err, orgstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the engine's bound: %v", err)
	}
	if a, err := impatient.Resolve(t.Context(), orgstore.Query{Org: world.Org.ID, Principal: world.Emilio.ID}); err != nil || a.Standing != orgstore.StandingMember {
		t.Errorf("a read: %+v, %v", a, err)
	}
	execute(t, other, "ROLLBACK")
	if _, err = impatient.Organizations.Suspend(t.Context(), world.Org.ID); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

// A writer of this process that takes too long is the same to the others as one of another process.
func TestBusyWriter(t *testing.T) {
	t.Parallel()
	e := openFile(t, filepath.Join(t.TempDir(), "orgs.db"), orgstore.Config{LockTimeout: 10 * time.Millisecond})
	_, err := e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, _ *orgstore.Engine) error {
		_, _, err := e.Users.Create(t.Context(), orgstore.User{ID: "u"}) // with a context that does not know of the transaction
		if !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("error: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A failed database is "not known", never "no".
func TestResolveFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	e := openFile(t, path, orgstore.Config{})
	world := orgstoretest.Seed(t, e)
	execute(t, raw(t, path), `DROP TABLE orgauthz_member_roles`)
	a, err := e.Resolve(t.Context(), orgstore.Query{Org: world.Org.ID, Principal: world.Emilio.ID})
	if a != nil || !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("a broken schema: %+v, %v", a, err)
	}
	execute(t, raw(t, path), `UPDATE orgauthz_organizations SET metadata = '{"broken'`)
	if o, err := e.Organizations.Get(t.Context(), world.Org.ID); o != nil || !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("broken metadata: %+v, %v", o, err)
	}
}

// An interrupted write makes SQLite roll the whole transaction back, and would make it commit each later statement alone.
func TestInterruptedStatementInTransact(t *testing.T) {
	t.Parallel()
	e := memory(t)
	_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE numbers (n INTEGER)`); err != nil {
			return err
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		_, err := tx.ExecContext(short, `INSERT INTO numbers
			WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 1000000000) SELECT n FROM c`)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the long statement: %v", err)
		}
		if _, _, err := e.Users.Create(ctx, orgstore.User{ID: "u"}); !errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("after it: %v", err)
		}
		return nil
	})
	if !errors.Is(err, orgstore.ErrUnavailable) {
		t.Errorf("Transact: %v", err)
	}
	if _, err := e.Users.Get(t.Context(), "u"); !errors.Is(err, orgstore.ErrNotFound) {
		t.Errorf("the user: %v", err)
	}
	if _, _, err := e.Users.Create(t.Context(), orgstore.User{ID: "u"}); err != nil {
		t.Errorf("the next mutation: %v", err)
	}
}

// A deletion of what is too large for one transaction is honoured at once, and cleaned up later without a trace.
func TestCleanLarge(t *testing.T) {
	t.Parallel()
	const n = 2500
	e := memory(t)
	world := orgstoretest.Seed(t, e)
	crowd(t, e, world.Org.ID, world.Guide.ID, n)
	last := fmt.Sprintf("crowd|%08d", n)
	is := func(principal string, want orgstore.Standing, roles int) {
		t.Helper()
		a, err := e.Resolve(t.Context(), orgstore.Query{Org: world.Org.ID, Principal: principal})
		if err != nil || a.Standing != want || len(a.Member.Roles) != roles {
			t.Errorf("%+v, %v", a, err)
		}
	}
	is(last, orgstore.StandingMember, 1)
	if _, err := e.Roles.Delete(t.Context(), world.Guide.ID); err != nil {
		t.Fatal(err)
	}
	is(last, orgstore.StandingMember, 0)
	if m, err := e.Members.Get(t.Context(), world.Org.ID, last); err != nil || len(m.Roles) != 0 {
		t.Errorf("member: %+v, %v", m, err)
	}
	// A user that comes back does not find what has not been cleaned up yet.
	if _, err := e.Organizations.Delete(t.Context(), world.Org.ID); err != nil {
		t.Fatal(err)
	}
	is(last, orgstore.StandingNoOrganization, 0)
	before, err := e.Events.List(t.Context(), orgstore.EventOptions{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := e.Clean(t.Context())
	if err != nil || deleted < n-1000 {
		t.Errorf("cleaned %d rows, %v", deleted, err)
	}
	if again, err := e.Clean(t.Context()); err != nil || again != 0 {
		t.Errorf("cleaned again: %d rows, %v", again, err)
	}
	after, err := e.Events.List(t.Context(), orgstore.EventOptions{Limit: 1000})
	if err != nil || len(after.Items) != len(before.Items) {
		t.Errorf("%d events, before %d, %v", len(after.Items), len(before.Items), err)
	}
	var left int
	if err := e.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM orgauthz_members WHERE org_id = $1) +
			(SELECT COUNT(*) FROM orgauthz_member_roles WHERE role_id = $2)`, world.Org.ID, world.Guide.ID).Scan(&left)
	}); err != nil || left != 0 {
		t.Errorf("%d rows left, %v", left, err)
	}
}

// crowd adds n members with one role to an organization, past the engine: "crowd|00000001" and so on.
func crowd(t testing.TB, e *orgstore.Engine, org, role string, n int) {
	t.Helper()
	_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		const numbers = `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT $1) SELECT `
		for _, s := range []struct {
			statement string
			args      []any
		}{
			{`INSERT INTO orgauthz_users (id, email, name, blocked, created_at, updated_at) ` + numbers +
				`printf('crowd|%08d', n), '', '', 0, 0, 0 FROM c`, []any{n}},
			{`INSERT INTO orgauthz_scopes (kind, org, id, revision, position) ` + numbers + `3, '', printf('crowd|%08d', n), 1, 0 FROM c`, []any{n}},
			{`INSERT INTO orgauthz_members (org_id, user_id, kind, metadata, joined_by, created_at, updated_at) ` + numbers +
				`$2, printf('crowd|%08d', n), 'employee', '{}', 'import', 0, 0 FROM c`, []any{n, org}},
			{`INSERT INTO orgauthz_scopes (kind, org, id, revision, position) ` + numbers + `2, $2, printf('crowd|%08d', n), 1, 0 FROM c`, []any{n, org}},
			{`INSERT INTO orgauthz_member_roles (org_id, user_id, role_id) ` + numbers + `$2, printf('crowd|%08d', n), $3 FROM c`, []any{n, org, role}},
			{`UPDATE orgauthz_organizations SET members = members + $1 WHERE id = $2`, []any{n, org}},
		} {
			if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
				return fmt.Errorf("%s: %w", s.statement, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Events sort in the order of their changes even when the clock goes back, and answers are as old as the clock says.
func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	e := openFile(t, filepath.Join(t.TempDir(), "orgs.db"), orgstore.Config{Clock: func() time.Time {
		now = now.Add(-time.Hour)
		return now
	}})
	world := orgstoretest.Seed(t, e)
	a, err := e.Resolve(t.Context(), orgstore.Query{Org: world.Org.ID, Principal: world.Emilio.ID})
	if err != nil || !a.AsOf.Equal(now) {
		t.Errorf("as of %v, the clock says %v, %v", a.AsOf, now, err)
	}
	page, err := e.Events.List(t.Context(), orgstore.EventOptions{})
	if err != nil || len(page.Items) < 10 || page.Items[0].Type != "organization.created" {
		t.Fatalf("events: %+v, %v", page, err)
	}
	for i, event := range page.Items[1:] {
		if event.Time.Before(page.Items[i].Time) || event.ID <= page.Items[i].ID {
			t.Errorf("event %d is older than the one before", i+1)
		}
	}
}
