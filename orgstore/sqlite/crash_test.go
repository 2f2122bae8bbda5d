package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// interrupted is a connector that calls between, between any two calls of the driver. With loose, transactions are none: each
// statement stands alone.
type interrupted struct {
	driver.Connector
	between func()
	loose   bool
}

func (i *interrupted) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := i.Connector.Connect(ctx)
	return &interruptedConn{c, i}, err
}

type interruptedConn struct {
	driver.Conn
	*interrupted
}

func (c *interruptedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.between()
	if c.loose {
		return &interruptedTx{c.interrupted, nil}, nil
	}
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	return &interruptedTx{c.interrupted, tx}, err
}

func (c *interruptedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.between()
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c *interruptedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.between()
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

type interruptedTx struct {
	*interrupted
	tx driver.Tx
}

func (t *interruptedTx) Commit() error {
	t.between()
	defer t.between()
	if t.tx == nil {
		return nil
	}
	return t.tx.Commit()
}

func (t *interruptedTx) Rollback() error {
	if t.tx == nil {
		return nil
	}
	return t.tx.Rollback()
}

// copied copies the files of a database as a process leaves them that is killed at this moment.
func copied(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "orgs.db")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+suffix, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// dump returns all that is in the engine's tables.
func dump(t *testing.T, path string) (text string) {
	t.Helper()
	db, err := pool(path, "", url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables []string
	collect := func(query string, each func(*sql.Rows) error) {
		t.Helper()
		rows, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			if err := each(rows); err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	collect(`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'orgauthz%' ORDER BY name`, func(rows *sql.Rows) error {
		tables = append(tables, "")
		return rows.Scan(&tables[len(tables)-1])
	})
	for _, table := range tables {
		text += table + "\n"
		collect(`SELECT * FROM `+table, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, pointers := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				pointers[i] = &values[i]
			}
			if err := rows.Scan(pointers...); err != nil {
				return err
			}
			text += fmt.Sprintln(values...)
			return nil
		})
	}
	return text
}

// A process may end between any two statements of a mutation: what is left is all of it or nothing, and all of it when it has
// returned. The twin without transactions shows that halves are found.
func TestKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, loose bool) (halves int) {
		path := filepath.Join(t.TempDir(), "orgs.db")
		first, err := Open(t.Context(), path, orgstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		w := orgstoretest.Seed(t, first)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		var copies []string
		c, err := connector(path, url.Values{"_txlock": {"immediate"}, "_pragma": {"synchronous(OFF)"}})
		if err != nil {
			t.Fatal(err)
		}
		watching := false
		write := sql.OpenDB(&interrupted{c, func() {
			if watching {
				copies = append(copies, copied(t, path))
			}
		}, loose})
		write.SetMaxOpenConns(1)
		read, err := pool(path, "", url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := orgstore.New(write, read, read, dialect{}, orgstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
		org, jonno, ctx := w.Org.ID, w.Jonno.ID, t.Context()
		for i, mutate := range []func() error{
			func() error {
				_, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
				return err
			},
			func() error {
				_, err := e.Members.Add(ctx, org, jonno, orgstore.MemberOptions{Roles: []string{w.Admin.ID, w.Guide.ID}})
				return err
			},
			func() error { _, err := e.Members.SetRoles(ctx, org, jonno, w.Guide.ID); return err },
			func() error {
				_, err := e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{Name: new("renamed")})
				return err
			},
			func() error { _, err := e.Roles.Delete(ctx, w.Admin.ID); return err },
			func() error { _, err := e.Users.Delete(ctx, jonno); return err },
			func() error {
				_, _, err := e.Users.Create(orgstore.WithIdempotencyKey(ctx, "k"), orgstore.User{ID: "with a key"})
				return err
			},
			func() error { _, err := e.Organizations.Delete(ctx, org); return err },
			func() error {
				if loose { // it would notice
					return nil
				}
				_, err := e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
					for n := range 3 {
						if _, _, err := e.Users.Create(ctx, orgstore.User{ID: "u" + strconv.Itoa(n)}); err != nil {
							return err
						}
					}
					return nil
				})
				return err
			},
		} {
			if loose && i == 2 {
				break // one that does anything shows it
			}
			before := dump(t, path)
			copies, watching = nil, true
			if err := mutate(); err != nil {
				t.Fatalf("mutation %d: %v", i, err)
			}
			watching = false
			after := dump(t, path)
			if after == before && !loose {
				t.Fatalf("mutation %d did nothing", i)
			}
			for n, copied := range copies {
				if left := dump(t, copied); left != before && left != after || n == len(copies)-1 && left != after {
					halves++
					continue
				}
				verified, err := Open(t.Context(), copied, orgstore.Config{})
				if err != nil {
					t.Fatal(err)
				}
				found, err := verified.Verify(t.Context(), orgstore.VerifyOptions{})
				if err := errors.Join(err, verified.Close()); err != nil || len(found) != 0 && !loose {
					t.Errorf("mutation %d, step %d: %v, %v", i, n, found, err)
				}
			}
			if len(copies) < 5 && !loose {
				t.Errorf("mutation %d has %d steps", i, len(copies))
			}
		}
		return halves
	}
	t.Run("transactions", func(t *testing.T) {
		t.Parallel()
		if n := run(t, false); n != 0 {
			t.Errorf("%d steps at which a process must not be killed", n)
		}
	})
	t.Run("twin without transactions", func(t *testing.T) {
		t.Parallel()
		if run(t, true) == 0 {
			t.Error("no half was found")
		}
	})
}

// unlucky is the dialect of a database on which every transaction loses against another one.
type unlucky struct{ dialect }

func (unlucky) Retryable(err error) bool { return errors.Is(err, errUnlucky) }

var errUnlucky = errors.New("lost again")

// What loses begins again with pauses, and not for ever.
func TestBeginningAgainIsBounded(t *testing.T) {
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
	const patience = 300 * time.Millisecond
	e, err := orgstore.New(db, db, db, unlucky{}, orgstore.Config{LockTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	attempts, began := 0, time.Now()
	_, err = e.Transact(t.Context(), func(context.Context, *sql.Tx, *orgstore.Engine) error {
		attempts++
		return errUnlucky
	})
	took := time.Since(began)
	if !errors.Is(err, errUnlucky) || took < patience || attempts < 2 || attempts > 100 {
		t.Errorf("%d attempts in %v: %v", attempts, took, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	attempts = 0
	_, err = e.Transact(ctx, func(context.Context, *sql.Tx, *orgstore.Engine) error {
		if attempts++; attempts == 2 {
			cancel()
		}
		return errUnlucky
	})
	if err == nil || attempts != 2 {
		t.Errorf("%d attempts for a caller who has gone: %v", attempts, err)
	}
}
