package postgres

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	address := nothing(t)
	admin := connect(t, address)
	role := randomName()
	execute(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD 'hunter2'")
	t.Cleanup(func() { execute(t, admin, "DROP OWNED BY "+role); execute(t, admin, "DROP ROLE "+role) })
	var schema string
	if err := admin.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema); err != nil {
		t.Fatal(err)
	}
	execute(t, admin, "GRANT USAGE ON SCHEMA "+schema+" TO "+role)

	// A port at which nobody listens.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	path := func(change func(u *url.URL)) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	for name, test := range map[string]struct {
		url  string
		cfg  orgstore.Config
		want []string
	}{
		"empty":              {url: "", want: []string{"must look like postgres://"}},
		"key and value":      {url: "host=localhost password=hunter2", want: []string{"must look like postgres://"}},
		"another scheme":     {url: "mysql://u:hunter2@h/d", want: []string{"must look like postgres://"}},
		"not escaped":        {url: "postgres://u:hunter2/hunter2@h/d", want: []string{"percent-encoded"}},
		"bad escape":         {url: "postgres://u:hunter2%zz@h/d", want: []string{"percent-encoded"}},
		"bad parameters":     {url: "postgres://u:hunter2@h/d?x=%zz", want: []string{"percent-encoded"}},
		"pool size":          {url: "postgres://u:hunter2@h/d?pool_max_conns=many", want: []string{"pool_max_conns"}},
		"pool too small":     {url: "postgres://u:hunter2@h/d?pool_max_conns=1", want: []string{"at least 2"}},
		"sslmode":            {url: "postgres://u:hunter2@h/d?sslmode=hunter2", want: []string{"the URL"}},
		"standby":            {url: "postgres://u:hunter2@h/d?target_session_attrs=standby", want: []string{"target_session_attrs"}},
		"config as well":     {url: "", cfg: orgstore.Config{LoadTimeout: -1}, want: []string{"LoadTimeout", "must look like"}},
		"nobody listens":     {url: "postgres://u:hunter2@" + closed + "/d?sslmode=disable", want: []string{"cannot be reached", closed}},
		"no such database":   {url: path(func(u *url.URL) { u.Path = "/orgauthz_test_nowhere" }), want: []string{"no such database", "orgauthz_test_nowhere"}},
		"no such schema":     {url: with(t, address, "search_path", "orgauthz_test_nowhere"), want: []string{"search_path", "orgauthz_test_nowhere"}},
		"no right to create": {url: path(func(u *url.URL) { u.User = url.UserPassword(role, "hunter2") }), want: []string{"may not create tables", "grant the right", role}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := Open(t.Context(), test.url, test.cfg)
			if err == nil {
				_ = e.Close()
				t.Fatal("opened")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error repeats the password: %v", err)
			}
		})
	}
	if err := checkVersion(120_022); err == nil || !strings.Contains(err.Error(), "version 13") {
		t.Errorf("an old version: %v", err)
	}
	if err := checkVersion(130_000); err != nil {
		t.Error(err)
	}
	for version, fit := range map[string]bool{
		"PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc": true,
		"PostgreSQL 17.4 on aarch64-unknown-linux-gnu, compiled by gcc, 64-bit":             true,
		"CockroachDB CCL v25.2.1 (x86_64-pc-linux-gnu, built 2025/06/04 13:44:02, go1.23)":  false,
		"PostgreSQL 15.12-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang":       false,
		"": false,
	} {
		if err := checkProduct(version); (err == nil) != fit {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	// A server that accepts and never answers.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if e, err := Open(ctx, "postgres://u@"+listener.Addr().String()+"/d?connect_timeout=1", orgstore.Config{}); err == nil {
		t.Errorf("opened %v", e)
	}
}

func TestOpenRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	address := nothing(t)
	openAt(t, address, orgstore.Config{})
	execute(t, connect(t, address), `INSERT INTO orgauthz_schema (version_id, is_applied) VALUES (9999, true)`)
	e, err := Open(t.Context(), address, orgstore.Config{})
	if err == nil {
		_ = e.Close()
		t.Fatal("a database of a newer version was opened")
	}
	if !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer version of orgauthz") {
		t.Errorf("error: %v", err)
	}
}

// Whoever may not create tables may use those that are there.
func TestOpenWithoutRightToCreate(t *testing.T) {
	t.Parallel()
	address := nothing(t)
	openAt(t, address, orgstore.Config{})
	admin := connect(t, address)
	role := randomName()
	execute(t, admin, "CREATE ROLE "+role+" LOGIN PASSWORD 'x'")
	t.Cleanup(func() { execute(t, admin, "DROP OWNED BY "+role); execute(t, admin, "DROP ROLE "+role) })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	execute(t, admin, "GRANT USAGE ON SCHEMA "+u.Query().Get("search_path")+" TO "+role)
	execute(t, admin, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "+u.Query().Get("search_path")+" TO "+role)
	u.User = url.UserPassword(role, "x")
	orgstoretest.Seed(t, openAt(t, u.String(), orgstore.Config{}))
}

func TestEnginesStartTogether(t *testing.T) {
	t.Parallel()
	address := with(t, nothing(t), "pool_max_conns", "2")
	engines, errs := make([]*orgstore.Engine, 6), make([]error, 6)
	var group sync.WaitGroup
	for i := range engines {
		group.Go(func() { engines[i], errs[i] = Open(t.Context(), address, orgstore.Config{}) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("engine %d: %v", i, err)
			continue
		}
		closeAfter(t, engines[i])
		if _, _, err := engines[i].Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
	}
	var n, different int
	if err := connect(t, address).QueryRow(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT version_id) FROM orgauthz_schema`).
		Scan(&n, &different); err != nil || n < 2 || n != different {
		t.Errorf("%d records of %d migrations, %v", n, different, err)
	}
}

// Lists are in byte order and names compare byte by byte, whatever the collation of the database.
func TestCollation(t *testing.T) {
	t.Parallel()
	admin := connect(t, nothing(t))
	name := randomName()
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' ENCODING 'UTF8'"); err != nil {
		t.Skipf("NOT TESTED: the server has no other collation than that of the other tests: %v", err)
	}
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	address, err := server()
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	e := openAt(t, u.String(), orgstore.Config{})
	want := []string{"A", "B", "Z", "_", "a", "a b", "ab", "b", "z", "ä", "ö", "日"}
	for _, i := range []int{3, 11, 0, 7, 1, 9, 5, 2, 10, 4, 8, 6} {
		if _, _, err := e.Users.Create(t.Context(), orgstore.User{ID: want[i]}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Roles.Create(t.Context(), orgstore.Role{Name: want[i]}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		page, err := e.Users.List(t.Context(), orgstore.UserListOptions{ListOptions: orgstore.ListOptions{Limit: 3, After: after}})
		if err != nil {
			t.Fatal(err)
		}
		for _, user := range page.Items {
			got = append(got, user.ID)
		}
		after = page.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("users %q, want %q", got, want)
	}
	var other int // the twin: the database itself orders otherwise
	if err := connect(t, u.String()).QueryRow(t.Context(), `SELECT COUNT(*) FROM (VALUES ('a')) v (x) WHERE x < 'B'`).Scan(&other); err != nil || other != 1 {
		t.Errorf("the collation of the database is in byte order too: %v", err)
	}
	columns := connect(t, u.String())
	var without []string
	rows, err := columns.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_name LIKE 'orgauthz\_%' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		without = append(without, column)
	}
	if err := rows.Err(); err != nil || len(without) > 0 {
		t.Errorf("texts that do not compare byte by byte: %q, %v", without, err)
	}
}

func TestTablesHavePrefix(t *testing.T) {
	t.Parallel()
	address := nothing(t)
	openAt(t, address, orgstore.Config{})
	var all, ours int
	if err := connect(t, address).QueryRow(t.Context(), `
		SELECT COUNT(*), COUNT(*) FILTER (WHERE relname LIKE 'orgauthz\_%') FROM pg_class WHERE relnamespace = current_schema()::regnamespace`).
		Scan(&all, &ours); err != nil || all != ours || ours < 10 {
		t.Errorf("%d of %d tables and indexes have the prefix, %v", ours, all, err)
	}
}
