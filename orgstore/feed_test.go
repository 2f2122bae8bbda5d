package orgstore

import (
	"database/sql"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"github.com/orgauthz/orgauthz/orgstore/internal/migrations"
)

// FuzzFeedCursor reads cursors, which come from wherever the caller kept them: what is taken for one means the same when it is written
// and read again.
func FuzzFeedCursor(f *testing.F) {
	for _, seed := range []string{
		"", "e:1:2:3:", "e:1:2:5:2,4", "e:1:0:0:/1:7:3,4/evt_00", "e:1:0:0:/1:7:3,4/", "/1:1:/evt_0", ":::::", "e:-1:01:+1:", "e:1:2:5:2,,4", "a.b.c:1:1:1:\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePlace(text)
		if err != nil {
			if _, ok := err.(*Invalid); !ok {
				t.Fatalf("error %v", err)
			}
			return
		}
		if text == "" {
			return
		}
		again, err := parsePlace(p.String())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("%q is %+v, written and read again %+v, %v", text, p, again, err)
		}
		if strings.Trim(p.xip, "0123456789,") != "" {
			t.Fatalf("%q: in progress %q", text, p.xip)
		}
	})
}

// The filters that narrow a list down most are served by an index that has the order of the list as well.
func TestEventIndexes(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "events.db")+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrations.Up(t.Context(), db, goose.DialectSQLite3); err != nil {
		t.Fatal(err)
	}
	for want, opts := range map[string]EventOptions{
		"sqlite_autoindex_orgauthz_events_1": {Since: time.Unix(1, 0), Until: time.Unix(2, 0)},
		"orgauthz_events_org":                {Organization: "org_0000000000000000"},
		"orgauthz_events_type":               {Type: "user.created"},
		"orgauthz_events_actor":              {Actor: "a"},
		"orgauthz_events_target":             {Target: "a", Since: time.Unix(1, 0)},
	} {
		var w where
		if err := opts.where(&w); err != nil {
			t.Fatal(err)
		}
		plan, err := collect(t.Context(), pool{db, time.Now}, `EXPLAIN QUERY PLAN SELECT `+eventColumns+` FROM orgauthz_events `+w.String()+
			` ORDER BY id LIMIT 50`, w.args, func(row scanner) (step string, err error) {
			var ignored any
			return step, row.Scan(&ignored, &ignored, &ignored, &step)
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(plan) != 1 || !strings.Contains(plan[0], "USING INDEX "+want+" ") {
			t.Errorf("%+v: %q, want %s alone", opts, plan, want)
		}
	}
}
