package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// recorder is a connector that keeps the text of all that is prepared, and counts what is run.
type recorder struct {
	driver.Connector
	mu    sync.Mutex
	texts map[string]bool
	runs  int
}

func (r *recorder) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := r.Connector.Connect(ctx)
	return recordedConn{conn, r}, err
}

type recordedConn struct {
	driver.Conn
	r *recorder
}

func (c recordedConn) Prepare(query string) (driver.Stmt, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.texts[query] = true
	stmt, err := c.Conn.Prepare(query)
	return recordedStmt{stmt, c.r}, err
}

type recordedStmt struct {
	driver.Stmt
	r *recorder
}

func (s recordedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.r.mu.Lock()
	s.r.runs++
	s.r.mu.Unlock()
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// A Resolve is one statement, and two where there is more to know than the first one reads. Both find every row by a key,
// however many there are.
func TestResolveStatements(t *testing.T) {
	t.Parallel()
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "orgs.db")
	e, err := Open(ctx, path, orgstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := map[string]string{}
	for _, name := range []string{"plain", "top", "low", "host", "teams"} {
		o, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: name})
		must(nil, err)
		ids[name] = o.ID
	}
	for _, user := range []string{"u", "nobody"} {
		_, _, err := e.Users.Create(ctx, orgstore.User{ID: user})
		must(nil, err)
	}
	for _, name := range []string{"plain", "top", "low", "teams"} {
		must(e.Members.Add(ctx, ids[name], "u", orgstore.MemberOptions{}))
	}
	must(e.Organizations.SetParent(ctx, ids["low"], ids["top"]))
	_, _, err = e.Contracts.Create(ctx, orgstore.Contract{Host: ids["host"], Guest: ids["plain"]})
	must(nil, err)
	team, _, err := e.Teams.Create(ctx, orgstore.Team{Organization: ids["teams"], Name: "x"})
	must(nil, err)
	must(e.Teams.AddMember(ctx, ids["teams"], team.ID, "u"))
	must(e.Users.SignOut(ctx, "u"))

	c, err := connector(path, url.Values{})
	must(nil, err)
	r := &recorder{Connector: c, texts: map[string]bool{}}
	db := sql.OpenDB(r)
	reader, err := orgstore.New(db, db, db, dialect{}, orgstore.Config{})
	must(nil, err)
	t.Cleanup(func() { _ = reader.Close() })
	for _, q := range []struct {
		org, principal string
		want           int
	}{
		{"plain", "u", 1}, {"plain", "nobody", 1}, {"plain", "stranger", 1}, {"top", "u", 1}, {"nowhere", "u", 1},
		{"low", "u", 2}, {"low", "nobody", 2}, {"host", "u", 2}, {"host", "nobody", 2}, {"host", "stranger", 1},
		{"teams", "u", 2}, {"teams", "nobody", 1},
	} {
		for _, ref := range []string{q.org, ids[q.org]} {
			r.runs = 0
			must(reader.Resolve(ctx, orgstore.Query{Org: ref, Principal: q.principal}))
			if want := q.want; r.runs != want && ref != "" {
				t.Errorf("%s in %s: %d statements, want %d", q.principal, q.org, r.runs, want)
			}
		}
	}
	explained := 0
	for _, text := range slices.Collect(maps.Keys(r.texts)) {
		if !strings.Contains(text, "orgauthz_member_roles") { // those of Resolve do
			continue
		}
		explained++
		args := []any{ids["low"], "u"}
		if strings.Contains(text, "$3") {
			args = append(args, "u")
		}
		rows, err := db.QueryContext(ctx, "EXPLAIN QUERY PLAN "+text, args...)
		must(nil, err)
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int
			var detail string
			must(nil, rows.Scan(&id, &parent, &unused, &detail))
			// The tables have short names in the statements; what is no table is small.
			if name, ok := strings.CutPrefix(detail, "SCAN "); ok && !small[strings.Fields(name)[0]] {
				t.Errorf("a plan has %q", detail)
			}
			if strings.Contains(detail, "AUTOMATIC") && strings.Contains(detail, "orgauthz_") {
				t.Errorf("a plan makes an index: %q", detail)
			}
		}
		must(nil, rows.Err())
	}
	if explained != 4 {
		t.Errorf("%d statements, want 4", explained)
	}
}

// small names what is read whole: rows of the question itself, and of what it has found.
var small = map[string]bool{"q": true, "chain": true, "team": true, "held": true, "deal": true, "c": true, "d": true, "h": true, "t": true, "CONSTANT": true}
