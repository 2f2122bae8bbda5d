package postgres

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// Whatever a Resolve reads, it can find by a key: no plan of its statements reads a table whole.
func TestResolvePlans(t *testing.T) {
	t.Parallel()
	e := openAt(t, database(t), orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	if _, err := e.Organizations.SetParent(t.Context(), w.Org.ID, w.Other.ID); err != nil {
		t.Fatal(err)
	}
	explained := 0
	_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		for _, org := range []string{w.Org.ID, w.Org.Name} { // the driver prepares what it runs
			if a, err := e.Resolve(ctx, orgstore.Query{Org: org, Principal: w.Emilio.ID}); err != nil || a.Standing != orgstore.StandingMember {
				t.Errorf("%+v, %v", a, err)
			}
		}
		for _, setting := range []string{"enable_seqscan = off", "plan_cache_mode = force_generic_plan"} {
			if _, err := tx.ExecContext(ctx, "SET LOCAL "+setting); err != nil {
				return err
			}
		}
		names := map[string]string{}
		rows, err := tx.QueryContext(ctx, `
			SELECT name, statement FROM pg_prepared_statements
			WHERE statement LIKE '%AS TEXT) AS principal%' AND statement NOT LIKE '%pg_prepared%'`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name, text string
			if err := rows.Scan(&name, &text); err != nil {
				return err
			}
			names[name] = text
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for name, text := range names {
			arguments := "'x', 'y'"
			if strings.Contains(text, "$3") {
				arguments += ", 'z'"
			}
			explained++
			plan, err := tx.QueryContext(ctx, `EXPLAIN (COSTS OFF) EXECUTE "`+name+`" (`+arguments+`)`)
			if err != nil {
				return err
			}
			defer plan.Close()
			for plan.Next() {
				var line string
				if err := plan.Scan(&line); err != nil {
					return err
				}
				if strings.Contains(line, "Seq Scan") {
					t.Errorf("a plan has %q", line)
				}
			}
			if err := plan.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || explained != 4 {
		t.Errorf("%d statements explained, want 4: %v", explained, err)
	}
}

// unshared is the dialect that locks only what is written.
type unshared struct{ dialect }

func (d unshared) Lock(ctx context.Context, tx *sql.Tx, write, _ []orgstore.Scope) (int64, error) {
	return d.dialect.Lock(ctx, tx, write, nil)
}

// Two moves that are right one by one would make a cycle together (rule TREE-1): the second waits for the first, and is refused.
// The twin shows what the locks of the organizations above are for.
func TestMovesMakeNoCycle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dialect orgstore.Dialect
		cycle   bool
	}{
		"locked":                 {dialect{gated}, false},
		"twin without the locks": {unshared{dialect{gated}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			application := "cycle_" + strings.ReplaceAll(name, " ", "_")
			address := database(t, "application_name", application)
			admin := connect(t, with(t, address, "application_name", "admin"))
			e, w := openDialect(t, address, test.dialect)
			second := make(chan error, 1)
			_, err := e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, in *orgstore.Engine) error {
				if _, err := in.Organizations.SetParent(ctx, w.Org.ID, w.Other.ID); err != nil {
					return err
				}
				go func() {
					_, err := e.Organizations.SetParent(t.Context(), w.Other.ID, w.Org.ID)
					second <- err
				}()
				if test.cycle {
					err := <-second
					second <- err
					return err
				}
				waiting(t, admin, application, 1)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case err = <-second:
			case <-time.After(time.Minute):
				t.Fatal("the second move never ends")
			}
			above, lineErr := e.Organizations.Ancestors(t.Context(), w.Org.ID)
			if lineErr != nil {
				t.Fatal(lineErr)
			}
			if cycle := len(above) > 8; cycle != test.cycle || (err == nil) != test.cycle {
				t.Errorf("a cycle: %v, want %v; the second move ended with %v", cycle, test.cycle, err)
			}
			// Even a cycle is read to its end.
			if _, err := e.Resolve(t.Context(), orgstore.Query{Org: w.Org.ID, Principal: w.Hiroko.ID}); err != nil {
				t.Error(err)
			}
		})
	}
}
