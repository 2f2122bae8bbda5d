package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// A file that cannot be written is told as such. (Permissions do not stop a test that runs as root, so that SQLite is asked
// for a read-only connection.)
func TestReadOnlyIsExplained(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	e, err := Open(t.Context(), path, orgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := pool(path, "", url.Values{"mode": {"ro"}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `INSERT INTO orgauthz_schema (version_id, is_applied) VALUES (2, 1)`)
	if err = explain(path, err); !strings.Contains(err.Error(), "cannot be written") || !strings.Contains(err.Error(), path) {
		t.Errorf("error: %v", err)
	}
}

func TestDurability(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{filepath.Join(t.TempDir(), "orgs.db"): 2, ":memory:": 0} { // FULL, OFF
		e, err := Open(t.Context(), path, orgstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
			for pragma, want := range map[string]any{"synchronous": int64(want), "foreign_keys": int64(1), "journal_mode": "wal"} {
				var got any
				if err := tx.QueryRowContext(ctx, "PRAGMA "+pragma).Scan(&got); err != nil {
					return err
				}
				if got != want {
					t.Errorf("%s: %s is %v, want %v", path, pragma, got, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// counter is a connector that counts the statements that its connections run.
type counter struct {
	driver.Connector
	statements *atomic.Int64
}

func (c counter) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return countingConn{conn, c.statements}, err
}

type countingConn struct {
	driver.Conn
	statements *atomic.Int64
}

func (c countingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.statements.Add(1)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// Prepare is how Resolve comes by its statements, and each run of one is counted too.
func (c countingConn) Prepare(query string) (driver.Stmt, error) {
	stmt, err := c.Conn.Prepare(query)
	return countingStmt{stmt, c.statements}, err
}

type countingStmt struct {
	driver.Stmt
	statements *atomic.Int64
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.statements.Add(1)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// The number of statements does not grow with the number of members and roles.
func TestReadsAreOneStatement(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	writer, err := Open(t.Context(), path, orgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = writer.Close() })
	o, _, err := writer.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	var roles []string
	for i := range 5 {
		r, _, err := writer.Roles.Create(t.Context(), orgstore.Role{Name: fmt.Sprint("role ", i)})
		if err != nil {
			t.Fatal(err)
		}
		roles = append(roles, r.ID)
	}
	for i := range 10 {
		id := fmt.Sprint("u", i)
		if _, _, err := writer.Users.Create(t.Context(), orgstore.User{ID: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Members.Add(t.Context(), o.ID, id, orgstore.MemberOptions{Roles: roles}); err != nil {
			t.Fatal(err)
		}
	}

	c, err := connector(path, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	statements := new(atomic.Int64)
	db := sql.OpenDB(counter{c, statements})
	reader, err := orgstore.New(db, db, db, dialect{}, orgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	for name, read := range map[string]func() error{
		"list members": func() error {
			page, err := reader.Members.List(t.Context(), o.ID, orgstore.MemberListOptions{})
			if len(page.Items) != 10 || len(page.Items[9].Roles) != 5 {
				t.Errorf("members: %+v", page)
			}
			return err
		},
		"get a member": func() error {
			_, err := reader.Members.Get(t.Context(), o.ID, "u3")
			return err
		},
		"organizations of a user": func() error {
			page, err := reader.Users.Organizations(t.Context(), "u3", orgstore.MembershipListOptions{})
			if len(page.Items) != 1 || len(page.Items[0].Member.Roles) != 5 {
				t.Errorf("organizations: %+v", page)
			}
			return err
		},
		"find members": func() error {
			page, err := reader.Members.List(t.Context(), o.ID, orgstore.MemberListOptions{Role: roles[0], Kind: "employee"})
			if len(page.Items) != 10 {
				t.Errorf("found: %+v", page)
			}
			return err
		},
		"list organizations": func() error {
			_, err := reader.Organizations.List(t.Context(), orgstore.OrganizationListOptions{})
			return err
		},
		"resolve by id": func() error {
			_, err := reader.Resolve(t.Context(), orgstore.Query{Org: o.ID, Principal: "u3"})
			return err
		},
		"resolve by name": func() error {
			a, err := reader.Resolve(t.Context(), orgstore.Query{Org: "acme", Principal: "u3"})
			if err == nil && len(a.Member.Roles) != 5 {
				t.Errorf("access: %+v", a)
			}
			return err
		},
	} {
		statements.Store(0)
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := statements.Load(); n != 1 {
			t.Errorf("%s: %d statements", name, n)
		}
	}
	// What cannot be anything's name or id is answered without the database.
	statements.Store(0)
	for _, org := range []string{"", "org_", "Not a name!", "org_%"} {
		if a, err := reader.Resolve(t.Context(), orgstore.Query{Org: org, Principal: "u3"}); err != nil || a.Standing != orgstore.StandingNoOrganization {
			t.Errorf("%q: %+v, %v", org, a, err)
		}
	}
	if n := statements.Load(); n != 0 {
		t.Errorf("malformed references: %d statements", n)
	}
}

// trusting is the dialect without the check that the transaction is still there.
type trusting struct{ dialect }

func (trusting) Alive(context.Context, *sql.Tx) error { return nil }

// SQLite rolls a transaction back when a statement of it fails badly, and then commits each later statement alone. The
// engine's operations must notice; the twin shows what happens when they do not.
func TestEndedTransaction(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dialect orgstore.Dialect
		left    int
	}{
		"checked":                {dialect{}, 0},
		"twin without the check": {trusting{}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "orgs.db")
			first, err := Open(t.Context(), path, orgstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = first.Close() })
			db, err := pool(path, "", url.Values{"_txlock": {"immediate"}})
			if err != nil {
				t.Fatal(err)
			}
			e, err := orgstore.New(db, db, db, test.dialect, orgstore.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Close() })
			_, err = e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
				if _, err := tx.ExecContext(ctx, "ROLLBACK"); err != nil { // as SQLite does by itself
					return err
				}
				_, _, _ = e.Users.Create(ctx, orgstore.User{ID: "u"}) // a caller that goes on after an error
				return nil
			})
			if err == nil {
				t.Error("Transact did not fail")
			}
			page, err := first.Users.List(t.Context(), orgstore.UserListOptions{})
			if err != nil || len(page.Items) != test.left {
				t.Errorf("%d users of a transaction that failed, want %d; %v", len(page.Items), test.left, err)
			}
		})
	}
}
