package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	sqlitedriver "modernc.org/sqlite"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/postgres"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

// store is a filled database.
type store struct {
	*orgstore.Engine
	world    *world
	database database
}

// database is a place for a store: a schema of a PostgreSQL server, or a file of SQLite. Its methods go around the engine, with SQL
// on its tables: what it would take hours to make one by one is loaded in bulk, and plans are asked for.
type database interface {
	open(ctx context.Context) (*orgstore.Engine, error)
	// load writes rows into empty tables, and calls progress with how many there are.
	load(ctx context.Context, w *world, progress func(table string, rows, of int)) error
	// connector gives connections of the driver that the engine uses.
	connector() (driver.Connector, error)
	// plan returns how the database would run a statement. A database that reads small tables whole is told not to, unless the
	// tables are large.
	plan(ctx context.Context, tx *sql.Tx, text string, args []any, large bool) ([]string, error)
	// scanned returns the tables that a plan of a statement reads whole, as they are called there.
	scanned(text string, plan []string) []string
	version(ctx context.Context, tx *sql.Tx) (string, error)
	size(ctx context.Context, tx *sql.Tx) (int64, error)
	remove(ctx context.Context) error
	name() string
}

// newDatabase returns a database: a file when where is a directory, or a schema of a server when it is a URL. It is empty, unless kept
// is the name of one that was kept.
func newDatabase(ctx context.Context, where, kept string) (database, error) {
	name := cmp.Or(kept, "orgauthz_scale_"+strings.ToLower(rand.Text()[:12]))
	if !strings.Contains(where, "://") {
		return &sqliteDatabase{filepath.Join(where, name+".db")}, nil
	}
	if kept == "" {
		conn, err := pgx.Connect(ctx, where)
		if err != nil {
			return nil, err
		}
		_, err = conn.Exec(ctx, "CREATE SCHEMA "+name)
		if err = errors.Join(err, conn.Close(ctx)); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(where)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return &postgresDatabase{where, u.String(), name}, nil
}

type postgresDatabase struct{ server, url, schema string }

func (d *postgresDatabase) open(ctx context.Context) (*orgstore.Engine, error) {
	return postgres.Open(ctx, d.url, orgstore.Config{})
}

func (d *postgresDatabase) connector() (driver.Connector, error) {
	config, err := pgx.ParseConfig(d.url)
	if err != nil {
		return nil, err
	}
	return stdlib.GetConnector(*config), nil
}

// load drops the indexes that are no keys, and makes them anew: that is many times faster than keeping them. References are not
// checked while rows come in (Engine.Verify does it), for which the server wants a superuser.
func (d *postgresDatabase) load(ctx context.Context, w *world, progress func(string, int, int)) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var indexes []string
	rows, err := conn.Query(ctx, `SELECT indexname, indexdef FROM pg_indexes
		WHERE schemaname = current_schema() AND tablename LIKE 'orgauthz\_%'
		AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE connamespace = current_schema()::regnamespace)`)
	if err != nil {
		return err
	}
	drop := ""
	var name, text string
	if _, err := pgx.ForEachRow(rows, []any{&name, &text}, func() error {
		indexes, drop = append(indexes, text), drop+"DROP INDEX "+name+"; "
		return nil
	}); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, drop+`SET session_replication_role = replica; SET synchronous_commit = off;
		SET maintenance_work_mem = '1GB'`); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, `SELECT pg_current_xact_id()::text::bigint`).Scan(&w.position); err != nil {
		return err
	}
	for _, t := range w.tables() {
		source := &copySource{table: t, progress: progress}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"orgauthz_" + t.name}, strings.Fields(t.columns), source.start())
		source.stop()
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		progress(t.name, source.n, source.n)
	}
	for i, text := range indexes {
		progress("indexes", i, len(indexes))
		if _, err := conn.Exec(ctx, text); err != nil {
			return err
		}
	}
	progress("indexes", len(indexes), len(indexes))
	progress("VACUUM ANALYZE", 0, 1)
	if _, err := conn.Exec(ctx, fmt.Sprintf(`UPDATE orgauthz_meta SET organizations = %d`, w.orgs)); err != nil {
		return err
	}
	all := []string{"orgauthz_meta"}
	for _, t := range w.tables() {
		all = append(all, "orgauthz_"+t.name)
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE "+strings.Join(all, ", "))
	progress("VACUUM ANALYZE", 1, 1)
	return err
}

func (d *postgresDatabase) plan(ctx context.Context, tx *sql.Tx, text string, args []any, large bool) ([]string, error) {
	if !large {
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return nil, err
		}
	}
	return texts(ctx, tx, "EXPLAIN (COSTS OFF) "+text, args)
}

var seqScan = regexp.MustCompile(`Seq Scan on (orgauthz_\w+)`)

func (d *postgresDatabase) scanned(_ string, plan []string) (tables []string) {
	for _, line := range plan {
		if found := seqScan.FindStringSubmatch(line); found != nil {
			tables = append(tables, found[1])
		}
	}
	return tables
}

func (d *postgresDatabase) version(ctx context.Context, tx *sql.Tx) (v string, err error) {
	return v, tx.QueryRowContext(ctx, `SELECT 'PostgreSQL ' || current_setting('server_version') || ', shared_buffers '
		|| current_setting('shared_buffers')`).Scan(&v)
}

func (d *postgresDatabase) size(ctx context.Context, tx *sql.Tx) (n int64, err error) {
	return n, tx.QueryRowContext(ctx, `SELECT SUM(pg_total_relation_size(oid)) FROM pg_class
		WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`).Scan(&n)
}

func (d *postgresDatabase) name() string { return d.schema }

func (d *postgresDatabase) remove(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "DROP SCHEMA "+d.schema+" CASCADE")
	return errors.Join(err, conn.Close(ctx))
}

type sqliteDatabase struct{ path string }

func (d *sqliteDatabase) open(ctx context.Context) (*orgstore.Engine, error) {
	return sqlite.Open(ctx, d.path, orgstore.Config{})
}

func (d *sqliteDatabase) connector() (driver.Connector, error) {
	return sqlitedriver.NewConnector((&url.URL{Scheme: "file", Path: filepath.ToSlash(d.path), RawQuery: "_pragma=foreign_keys(1)"}).String())
}

// rowsPerInsert is a size of statement that SQLite likes.
const rowsPerInsert = 40

// load writes one table in each transaction, without indexes that are no keys, which it makes afterwards.
func (d *sqliteDatabase) load(ctx context.Context, w *world, progress func(string, int, int)) error {
	c, err := sqlitedriver.NewConnector((&url.URL{Scheme: "file", Path: filepath.ToSlash(d.path), RawQuery: url.Values{
		"_pragma": {"synchronous(OFF)", "cache_size(-262144)", "foreign_keys(0)"},
	}.Encode()}).String())
	if err != nil {
		return err
	}
	db := sql.OpenDB(c)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	const some = ` FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND name LIKE 'orgauthz\_%' ESCAPE '\' ORDER BY name`
	names, err := texts(ctx, conn, `SELECT name`+some, nil)
	if err != nil {
		return err
	}
	indexes, err := texts(ctx, conn, `SELECT sql`+some, nil)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return err
		}
	}
	w.position = 1
	for _, t := range w.tables() {
		if err := d.loadTable(ctx, conn, t, progress); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for i, text := range indexes {
		progress("indexes", i, len(indexes))
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	progress("indexes", len(indexes), len(indexes))
	_, err = conn.ExecContext(ctx, `
		UPDATE orgauthz_meta SET organizations = $1, position = 1, clock = (SELECT MAX(clock) FROM orgauthz_scopes)`, w.orgs)
	return err
}

func (d *sqliteDatabase) loadTable(ctx context.Context, conn *sql.Conn, t table, progress func(string, int, int)) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	columns := strings.Fields(t.columns)
	insert := func(rows int) string {
		one := "(?" + strings.Repeat(", ?", len(columns)-1) + ")"
		return "INSERT INTO orgauthz_" + t.name + " (" + strings.Join(columns, ", ") + ") VALUES " + one + strings.Repeat(", "+one, rows-1)
	}
	statement, n := insert(rowsPerInsert), 0
	args := make([]any, 0, rowsPerInsert*len(columns))
	for row := range t.rows {
		if args = append(args, row...); len(args) == cap(args) {
			if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
				return err
			}
			args = args[:0]
		}
		if n++; n%4000 == 0 {
			progress(t.name, n, t.about)
		}
	}
	if len(args) > 0 {
		if _, err := tx.ExecContext(ctx, insert(len(args)/len(columns)), args...); err != nil {
			return err
		}
	}
	progress(t.name, n, n)
	return tx.Commit()
}

func (d *sqliteDatabase) plan(ctx context.Context, tx *sql.Tx, text string, args []any, _ bool) ([]string, error) {
	return collect(ctx, tx, "EXPLAIN QUERY PLAN "+text, args, func(rows *sql.Rows) (line string, err error) {
		var id, parent, unused int
		return line, rows.Scan(&id, &parent, &unused, &line)
	})
}

var scan = regexp.MustCompile(`^SCAN (\w+)$`)

// scanned knows tables by their short names, which a plan has. A subquery of the same name has a line of its own there.
func (d *sqliteDatabase) scanned(text string, plan []string) (tables []string) {
	for _, line := range plan {
		found := scan.FindStringSubmatch(line)
		if found == nil || slices.Contains(plan, "CO-ROUTINE "+found[1]) || slices.Contains(plan, "MATERIALIZE "+found[1]) {
			continue
		}
		if name := regexp.MustCompile(`\borgauthz_\w+ ` + found[1] + `\b`).FindString(text); name != "" {
			tables = append(tables, strings.Fields(name)[0])
		} else if strings.HasPrefix(found[1], "orgauthz_") {
			tables = append(tables, found[1])
		}
	}
	return tables
}

func (d *sqliteDatabase) version(ctx context.Context, tx *sql.Tx) (v string, err error) {
	return v, tx.QueryRowContext(ctx, `SELECT 'SQLite ' || sqlite_version()`).Scan(&v)
}

func (d *sqliteDatabase) size(context.Context, *sql.Tx) (int64, error) {
	info, err := os.Stat(d.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (d *sqliteDatabase) name() string { return strings.TrimSuffix(filepath.Base(d.path), ".db") }

func (d *sqliteDatabase) remove(context.Context) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(d.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func collect[T any](ctx context.Context, q queryer, text string, args []any, scan func(*sql.Rows) (T, error)) ([]T, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return slices.Clip(all), rows.Err()
}

// texts returns the rows of a query with one column.
func texts(ctx context.Context, q queryer, text string, args []any) ([]string, error) {
	return collect(ctx, q, text, args, func(rows *sql.Rows) (s string, err error) { return s, rows.Scan(&s) })
}
