package main

import (
	"cmp"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The smallest stores that hold everything: that all is loaded as the engine would have written it, that every list has pages, and
// that no statement reads a table whole.
func TestSmall(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T) string{"sqlite": func(t *testing.T) string { return t.TempDir() }, "postgres": server} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, progress strings.Builder
			err := run(t.Context(), []string{
				"-db", place(t), "-organizations", "1200", "-memberships", "12000", "-small", "4", "-samples", "20", "-pages", "1",
			}, &out, &progress)
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out.String(), progress.String())
			}
			for _, want := range []string{"| member, by id | 1 |", "| events descending |", " 0 read a table whole"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out.String())
				}
			}
			for _, want := range []string{"large: members: 12000 of 12000", "Verify: 1 of "} {
				if !strings.Contains(progress.String(), want) {
					t.Errorf("no %q in\n%s", want, progress.String())
				}
			}
		})
	}
}

// server returns the URL of a PostgreSQL.
func server(t *testing.T) string {
	address := cmp.Or(os.Getenv("ORGAUTHZ_POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/test")
	conn, err := pgx.Connect(t.Context(), address)
	switch {
	case err == nil:
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	case os.Getenv("ORGAUTHZ_POSTGRES_URL") != "" || os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1":
		t.Fatalf("no PostgreSQL to test with: %v", err)
	default:
		t.Skipf("NOT TESTED: no PostgreSQL at 127.0.0.1:5432 with a database test, and ORGAUTHZ_POSTGRES_URL names no other: %v", err)
	}
	return address
}

// A check that finds nothing must be able to find something.
func TestScanned(t *testing.T) {
	t.Parallel()
	text := `SELECT * FROM orgauthz_users u JOIN (SELECT 1) m`
	if got := (&sqliteDatabase{}).scanned(text, []string{"CO-ROUTINE m", "SCAN u", "SCAN m", "SEARCH x USING INDEX y"}); len(got) != 1 || got[0] != "orgauthz_users" {
		t.Errorf("SQLite: %q", got)
	}
	if got := (&postgresDatabase{}).scanned(text, []string{"  ->  Seq Scan on orgauthz_users u", "Index Scan using a on orgauthz_roles"}); len(got) != 1 || got[0] != "orgauthz_users" {
		t.Errorf("PostgreSQL: %q", got)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-fast"}, {"fast"}, {"-organizations", "10"}, {"-memberships", "10"}, {"-samples", "0"}, {"-db", "postgres://127.0.0.1:1/none"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("run(%q) has no error", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("run(-h) = %v", err)
	}
}
