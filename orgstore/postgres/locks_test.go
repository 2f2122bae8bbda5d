package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// openDialect opens an engine with another dialect, and seeds it.
func openDialect(t testing.TB, address string, d orgstore.Dialect) (*orgstore.Engine, orgstoretest.World) {
	t.Helper()
	e, err := open(t.Context(), address, orgstore.Config{}, d)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, e)
	return e, orgstoretest.Seed(t, e)
}

// waiting waits until n sessions with this application_name wait for a lock.
func waiting(t testing.TB, admin *pgx.Conn, application string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for got := -1; got != n; {
		if err := admin.QueryRow(ctx, `SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`,
			application).Scan(&got); err != nil {
			t.Fatalf("%d sessions wait, want %d: %v", got, n, err)
		}
	}
}

func ungated(orgstore.Scope) bool { return false }

// While one transaction shares a lock and another one waits to have it alone, a third that wants to share it must wait its
// turn: a suspension would never come through an organization whose members change all the time.
func TestLocksComeInTurn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dialect orgstore.Dialect
		waiting int
	}{
		"gated":               {dialect{gated}, 2},
		"twin without a gate": {dialect{ungated}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			application := strings.ReplaceAll(t.Name(), " ", "_")
			application = application[len(application)-min(60, len(application)):]
			address := database(t, "pool_max_conns", "12", "application_name", application)
			e, w := openDialect(t, address, test.dialect)
			admin := connect(t, with(t, address, "application_name", "admin"))
			var group sync.WaitGroup
			_, err := e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, inside *orgstore.Engine) error {
				if _, err := inside.Members.RemoveRoles(ctx, w.Org.ID, w.Emilio.ID, w.Guide.ID); err != nil {
					return err
				}
				group.Go(func() {
					if _, err := e.Organizations.Suspend(t.Context(), w.Org.ID); err != nil {
						t.Error(err)
					}
				})
				waiting(t, admin, application, 1)
				third := make(chan struct{})
				group.Go(func() {
					if _, err := e.Members.RemoveRoles(t.Context(), w.Org.ID, w.Hiroko.ID, w.Guide.ID); err != nil {
						t.Error(err)
					}
					close(third)
				})
				if test.waiting == 1 {
					<-third // it got in before
				}
				waiting(t, admin, application, test.waiting)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			group.Wait()
		})
	}
}

// lockless is the dialect without locks. Its Stamp, which comes between the checks and the writes, waits until everybody has
// made the checks.
type lockless struct {
	dialect
	all *sync.WaitGroup
}

func (lockless) Lock(context.Context, *sql.Tx, []orgstore.Scope, []orgstore.Scope) (int64, error) {
	return 0, nil
}

func (l lockless) Stamp(ctx context.Context, tx *sql.Tx, now int64) (position, at int64, err error) {
	if l.all != nil {
		l.all.Done()
		l.all.Wait()
	}
	return l.dialect.Stamp(ctx, tx, now)
}

// TestLocksAreNeeded is the twin of orgstoretest.TestRaces: the limit of roles that does not hold without the locks.
func TestLocksAreNeeded(t *testing.T) {
	t.Parallel()
	const racers, limit = 8, 3
	all := new(sync.WaitGroup)
	address := database(t, "pool_max_conns", fmt.Sprint(2*racers))
	seeded, w := openDialect(t, address, dialect{gated})
	var roles []string
	for i := range racers {
		r, _, err := seeded.Roles.Create(t.Context(), orgstore.Role{Name: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		roles = append(roles, r.ID)
	}
	e, err := open(t.Context(), address, orgstore.Config{Limits: orgstore.Limits{RolesPerMember: limit}}, lockless{dialect{gated}, all})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, e)
	all.Add(racers)
	var group sync.WaitGroup
	for _, role := range roles {
		group.Go(func() {
			if _, err := e.Members.AssignRoles(t.Context(), w.Other.ID, w.Emilio.ID, role); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	m, err := e.Members.Get(t.Context(), w.Other.ID, w.Emilio.ID)
	if err != nil || len(m.Roles) <= limit {
		t.Errorf("without locks the member holds %d roles, the limit is %d: the race proves nothing; %v", len(m.Roles), limit, err)
	}
}

// While a transaction that changes one organization is open, all that does not depend on it goes on.
func TestOrganizationsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	e := openAt(t, database(t), orgstore.Config{LockTimeout: 200 * time.Millisecond})
	w := orgstoretest.Seed(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := e.Transact(ctx, func(inside context.Context, _ *sql.Tx, tx *orgstore.Engine) error {
		_, a := tx.Members.Add(inside, w.Org.ID, w.Jonno.ID, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
		_, b := tx.Organizations.Update(inside, w.Org.ID, orgstore.OrganizationUpdate{Name: new("granite")})
		if err := errors.Join(a, b); err != nil {
			return err
		}
		for name, mutate := range map[string]func() (orgstore.Result, error){
			"the same user, the same role": func() (orgstore.Result, error) {
				return e.Members.Add(ctx, w.Other.ID, w.Jonno.ID, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
			},
			"another member's roles": func() (orgstore.Result, error) {
				return e.Members.AssignRoles(ctx, w.Other.ID, w.Emilio.ID, w.Admin.ID)
			},
			"the other organization": func() (orgstore.Result, error) {
				return e.Organizations.Update(ctx, w.Other.ID, orgstore.OrganizationUpdate{DisplayName: new("x")})
			},
			"a new user": func() (orgstore.Result, error) {
				_, result, err := e.Users.Create(ctx, orgstore.User{ID: "new"})
				return result, err
			},
			"a new organization": func() (orgstore.Result, error) {
				_, result, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "new"})
				return result, err
			},
			"another role": func() (orgstore.Result, error) {
				return e.Roles.Update(ctx, w.Admin.ID, orgstore.RoleUpdate{Description: new("x")})
			},
		} {
			if result, err := mutate(); err != nil || !result.Changed {
				t.Errorf("%s: %+v, %v", name, result, err)
			}
		}
		// The twin: what does depend on it waits, until its own bound.
		for name, mutate := range map[string]func() (orgstore.Result, error){
			"the organization": func() (orgstore.Result, error) { return e.Organizations.Suspend(ctx, w.Org.ID) },
			"its members":      func() (orgstore.Result, error) { return e.Members.Remove(ctx, w.Org.ID, w.Hiroko.ID) },
			"its name": func() (orgstore.Result, error) {
				return second(e.Organizations.Create(ctx, orgstore.Organization{Name: "granite"}))
			},
			"the user": func() (orgstore.Result, error) { return e.Users.Delete(ctx, w.Jonno.ID) },
			"the role": func() (orgstore.Result, error) { return e.Roles.Delete(ctx, w.Guide.ID) },
		} {
			if _, err := mutate(); !errors.Is(err, orgstore.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if a, err := e.Resolve(ctx, orgstore.Query{Org: w.Org.Name, Principal: w.Emilio.ID}); err != nil || a.Standing != orgstore.StandingMember {
			t.Errorf("a read: %+v, %v", a, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func second[A any](_ A, result orgstore.Result, err error) (orgstore.Result, error) {
	return result, err
}

// Two transactions that lock in opposite orders: one of them runs again.
func TestDeadlock(t *testing.T) {
	t.Parallel()
	e := openAt(t, database(t), orgstore.Config{LockTimeout: 20 * time.Second})
	w := orgstoretest.Seed(t, e)
	var both, group sync.WaitGroup
	var attempts atomic.Int64
	both.Add(2)
	for _, orgs := range [][]string{{w.Org.ID, w.Other.ID}, {w.Other.ID, w.Org.ID}} {
		group.Go(func() {
			met := false
			_, err := e.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
				attempts.Add(1)
				if _, err := e.Organizations.Update(ctx, orgs[0], orgstore.OrganizationUpdate{Metadata: map[string]*string{orgs[0]: new("first")}}); err != nil {
					return err
				}
				if !met {
					met = true
					both.Done()
					both.Wait()
				}
				_, err := e.Organizations.Update(ctx, orgs[1], orgstore.OrganizationUpdate{Metadata: map[string]*string{orgs[0]: new("second")}})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := attempts.Load(); n < 3 {
		t.Errorf("%d attempts: there was no deadlock", n)
	}
	for _, id := range []string{w.Org.ID, w.Other.ID} {
		if o, err := e.Organizations.Get(t.Context(), id); err != nil || len(o.Metadata) < 2 {
			t.Errorf("organization: %+v, %v", o, err)
		}
	}
}

// A transaction does not go on with what it saw before somebody else had its locks, although that one changed nothing which
// the transaction itself changes.
func TestTransactSeesNoOldState(t *testing.T) {
	t.Parallel()
	e := fresh(t)
	w := orgstoretest.Seed(t, e)
	attempts := 0
	_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, inside *orgstore.Engine) error {
		attempts++
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_roles`).Scan(&n); err != nil { // takes the snapshot
			return err
		}
		if attempts == 1 {
			if _, err := e.Users.Delete(t.Context(), w.Jonno.ID); err != nil {
				return err
			}
		}
		_, err := inside.Members.Add(ctx, w.Org.ID, w.Jonno.ID, orgstore.MemberOptions{})
		return err
	})
	if !errors.Is(err, orgstore.ErrNotFound) || attempts != 2 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
}

// A unique index of the application's own is its own business: the transaction does not run again.
func TestForeignUniqueViolation(t *testing.T) {
	t.Parallel()
	e := fresh(t)
	attempts := 0
	_, err := e.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		attempts++
		_, err := tx.ExecContext(ctx, `CREATE TABLE own (n INTEGER PRIMARY KEY)`)
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO own (n) VALUES (1), (1)`)
		}
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "own_pkey") || attempts != 1 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
}

// TestTeamLocksAreNeeded is the twin of the race to put two teams below each other: without locks both moves are made, and the
// teams are a cycle.
func TestTeamLocksAreNeeded(t *testing.T) {
	t.Parallel()
	all := new(sync.WaitGroup)
	address := database(t, "pool_max_conns", "8")
	seeded, w := openDialect(t, address, dialect{gated})
	var teams []string
	for _, name := range []string{"a", "b"} {
		team, _, err := seeded.Teams.Create(t.Context(), orgstore.Team{Organization: w.Org.ID, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		teams = append(teams, team.ID)
	}
	e, err := open(t.Context(), address, orgstore.Config{}, lockless{dialect{gated}, all})
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, e)
	all.Add(2)
	var group sync.WaitGroup
	for i := range teams {
		group.Go(func() {
			if _, err := e.Teams.Update(t.Context(), w.Org.ID, teams[i], orgstore.TeamUpdate{Parent: &teams[1-i]}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range teams {
		if team, err := e.Teams.Get(t.Context(), w.Org.ID, teams[i]); err != nil || team.Parent != teams[1-i] {
			t.Errorf("without locks there is no cycle: the race proves nothing; %+v, %v", team, err)
		}
	}
}
