package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Foreign begins transactions that are the application's own, on the database of an engine.
type Foreign struct {
	Begin    func(ctx context.Context) (*sql.Tx, error) // as the application is told to begin them
	Snapshot func(ctx context.Context) (*sql.Tx, error) // one that keeps seeing what its first statement saw
}

// TestIn tests operations in transactions that the engine does not commit. open returns a fresh, empty engine.
func TestIn(t *testing.T, open func(t testing.TB) (*orgstore.Engine, Foreign)) {
	for name, test := range map[string]func(*engineTest, Foreign){
		"TXN-2: committed":                         inCommitted,
		"TXN-2: rolled back":                       inRolledBack,
		"TXN-2: Committed is forgotten":            inForgotten,
		"TXN-2: rolled back to a savepoint":        inSavepoint,
		"TXN-2: a refused operation":               inRefused,
		"TXN-2: conflicts go to the caller":        inConflict,
		"TXN-2: misuse":                            inMisuse,
		"TXN-2: keys are not looked at":            inKeys,
		"TXN-2: a large transaction":               inLarge,
		"TXN-2: every operation, among each other": inConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, foreign := open(t)
			test(&engineTest{T: t, Engine: e}, foreign)
		})
	}
}

// begin begins a transaction that is rolled back at the end if it is still there.
func (f Foreign) begin(t *engineTest) *sql.Tx {
	t.Helper()
	tx, err := f.Begin(t.Context())
	t.ok(err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// silent fails the test when a listener is called before stop.
func (t *engineTest) silent() (stop func()) {
	return t.OnCommit(func(_ context.Context, changes []orgstore.Change) { t.Errorf("OnCommit was told %+v", changes) })
}

func inCommitted(t *engineTest, f Foreign) {
	t.ownTable()
	user, role := t.user("u"), t.role("admin", "do:it")
	loud := t.silent()
	tx := f.begin(t)
	in := t.In(tx)
	o, created, err := in.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	t.changed(created, err)
	t.changed(in.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{Roles: []string{role}}))
	t.unchanged(in.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{}))
	nested, err := in.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, err := e.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{DisplayName: new("Acme")})
		return err
	})
	t.changed(nested, err)
	t.ok(insertCustomer(t.Context(), tx, "Acme", o.ID))

	inside, err := in.Resolve(t.Context(), orgstore.Query{Org: "acme", Principal: user})
	if err != nil || inside.Standing != orgstore.StandingMember {
		t.Errorf("inside: %+v, %v", inside, err)
	}
	if outside := t.resolve("acme", user); outside.Standing != orgstore.StandingNoOrganization {
		t.Errorf("outside: %+v", outside)
	}
	for range 2 {
		if _, err := in.Committed(t.Context()); !errors.Is(err, orgstore.ErrNotCommitted) {
			t.Errorf("Committed before the commit: %v", err)
		}
	}
	t.ok(tx.Commit())
	loud()

	var told [][]orgstore.Change
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) { told = append(told, changes) })
	first, err := in.Committed(t.Context())
	t.changed(first, err)
	again, err := in.Committed(t.Context())
	t.changed(again, err)
	if len(first.Revision) != 3 || len(again.Revision) != 3 {
		t.Errorf("results %+v and %+v", first, again)
	}
	if revision, _ := first.Revision.Of(orgstore.OrganizationScope(o.ID)); revision != 2 {
		t.Errorf("revisions: %+v", first.Revision)
	}
	if len(told) != 1 || len(told[0]) != 4 || told[0][0].ID == "" || told[0][0].ID != told[0][3].ID {
		t.Errorf("told: %+v", told)
	}
	if a := t.resolve("acme", user); !a.Member.Has("do:it") {
		t.Errorf("after the commit: %+v", a)
	}
	_, err = in.Organizations.Suspend(t.Context(), o.ID)
	t.is(err, orgstore.ErrUnavailable)
	if got := t.customers(); len(got) != 1 {
		t.Errorf("customers: %q", got)
	}
	t.consistent()
}

func inRolledBack(t *engineTest, f Foreign) {
	o := t.org("acme")
	t.silent()
	tx := f.begin(t)
	in := t.In(tx)
	t.changed(in.Organizations.Suspend(t.Context(), o.ID))
	t.ok(tx.Rollback())
	if _, err := in.Committed(t.Context()); !errors.Is(err, orgstore.ErrNotCommitted) {
		t.Errorf("Committed: %v", err)
	}
	if a := t.resolve(o.ID, "u"); a.Standing != orgstore.StandingNotMember {
		t.Errorf("standing: %v", a.Standing)
	}
	t.consistent()

	// Nothing changed, nothing to look for.
	tx = f.begin(t)
	in = t.In(tx)
	t.unchanged(in.Organizations.Resume(t.Context(), o.ID))
	t.ok(tx.Commit())
	t.unchanged(in.Committed(t.Context()))
}

func inForgotten(t *engineTest, f Foreign) {
	o := t.org("acme")
	loud := t.silent()
	tx := f.begin(t)
	t.changed(t.In(tx).Organizations.Suspend(t.Context(), o.ID))
	t.ok(tx.Commit())
	if a := t.resolve(o.ID, "u"); a.Standing != orgstore.StandingSuspended {
		t.Errorf("standing: %v", a.Standing)
	}
	loud()
	t.changed(t.Organizations.Resume(t.Context(), o.ID))
	t.consistent()
}

func inSavepoint(t *engineTest, f Foreign) {
	a, b := t.org("a"), t.org("b")
	var told []orgstore.Change
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) { told = append(told, changes...) })
	tx := f.begin(t)
	in := t.In(tx)
	execute := func(statement string) {
		t.Helper()
		_, err := tx.ExecContext(t.Context(), statement)
		t.ok(err)
	}
	execute("SAVEPOINT theirs")
	t.changed(in.Organizations.Suspend(t.Context(), a.ID))
	execute("ROLLBACK TO SAVEPOINT theirs")
	t.changed(in.Organizations.Suspend(t.Context(), b.ID))
	execute("RELEASE SAVEPOINT theirs")
	t.ok(tx.Commit())
	result, err := in.Committed(t.Context())
	t.changed(result, err)
	if _, ok := result.Revision.Of(orgstore.OrganizationScope(b.ID)); !ok || len(result.Revision) != 1 {
		t.Errorf("result: %+v", result)
	}
	if len(told) != 1 {
		t.Errorf("told: %+v", told)
	}
	if got := t.resolve(a.ID, "u").Standing; got != orgstore.StandingNotMember {
		t.Errorf("what was rolled back: %v", got)
	}
	t.changed(t.Organizations.Suspend(t.Context(), a.ID))
	t.consistent()
}

func inRefused(t *engineTest, f Foreign) {
	o, user := t.org("acme"), t.user("u")
	tx := f.begin(t)
	in := t.In(tx)
	t.changed(in.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{}))
	_, _, err := in.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	t.conflict(err, "organization", "name")
	_, err = in.Members.AssignRoles(t.Context(), o.ID, user, "rol_0000000000000000")
	t.notFound(err, "role")
	t.changed(in.Users.Block(t.Context(), user))
	t.ok(tx.Commit())
	result, err := in.Committed(t.Context())
	if t.changed(result, err); len(result.Revision) != 2 {
		t.Errorf("result: %+v", result)
	}
	t.consistent()
}

// inConflict lets somebody else be faster: the caller is told, and told why, and begins again.
func inConflict(t *engineTest, f Foreign) {
	o := t.org("acme")
	var count int
	old, err := f.Snapshot(t.Context())
	t.ok(err)
	t.Cleanup(func() { _ = old.Rollback() })
	t.ok(old.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM orgauthz_organizations`).Scan(&count))
	t.changed(t.Organizations.Suspend(t.Context(), o.ID))
	stop := t.silent()
	_, err = t.In(old).Organizations.Resume(t.Context(), o.ID)
	t.is(err, orgstore.ErrUnavailable)
	if errors.Unwrap(err) == nil {
		t.Errorf("the driver's error is lost: %v", err)
	}
	t.ok(old.Rollback())
	stop()
	tx := f.begin(t)
	in := t.In(tx)
	t.changed(in.Organizations.Resume(t.Context(), o.ID))
	t.ok(tx.Commit())
	t.changed(in.Committed(t.Context()))
	t.consistent()
}

func inMisuse(t *engineTest, f Foreign) {
	o := t.org("acme")
	tx := f.begin(t)
	in := t.In(tx)
	if err := in.Close(); err == nil {
		t.Error("the engine of a transaction was closed")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := in.Organizations.Suspend(ended, o.ID)
	t.is(err, context.Canceled)
	t.ok(tx.Rollback())
	tx = f.begin(t)
	in = t.As(orgstore.Actor{User: "nobody"}).In(tx)
	_, err = in.Organizations.Suspend(t.Context(), o.ID)
	t.is(err, orgstore.ErrDenied) // the rights stay bounded
	t.ok(tx.Rollback())
	tx = f.begin(t)
	in = t.In(tx)
	t.changed(in.Organizations.Suspend(t.Context(), o.ID))
	t.ok(t.Close())
	_, err = in.Organizations.Resume(t.Context(), o.ID)
	t.is(err, orgstore.ErrUnavailable)
	t.ok(tx.Commit())
	_, err = in.Committed(t.Context())
	t.is(err, orgstore.ErrUnavailable)
}

func inKeys(t *engineTest, f Foreign) {
	o := t.org("acme")
	tx := f.begin(t)
	in := t.In(tx)
	t.changed(in.Organizations.Suspend(t.key("k"), o.ID))
	t.changed(in.Organizations.Resume(t.key("k"), o.ID))
	t.ok(tx.Commit())
	t.changed(in.Committed(t.key("k")))
	result, err := t.Organizations.Suspend(t.key("k"), o.ID)
	if t.changed(result, err); result.Replayed {
		t.Errorf("the key was taken inside: %+v", result)
	}
}

func inLarge(t *engineTest, f Foreign) {
	const many = 501 // more than one statement looks for
	tx := f.begin(t)
	in := t.In(tx)
	for i := range many {
		_, result, err := in.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint("u", i)})
		t.changed(result, err)
	}
	t.ok(tx.Commit())
	if result, err := in.Committed(t.Context()); err != nil || len(result.Revision) != many {
		t.Errorf("%d revisions, %v", len(result.Revision), err)
	}
}

// inConcurrent has foreign transactions and the engine's own change the same few things at the same time.
func inConcurrent(t *engineTest, f Foreign) {
	const writers, steps = 6, 25
	w := &nodesWorld{users: []string{"u0", "u1", "u2"}}
	for _, user := range w.users {
		t.user(user)
	}
	for i := range 3 {
		w.orgs = append(w.orgs, t.org(fmt.Sprint("org", i)).ID)
		w.roles = append(w.roles, t.role(fmt.Sprint("role", i), fmt.Sprint("p:", i)))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	// foreign runs some mutations in a transaction of its own, again as often as others are faster.
	foreign := func(random *rand.Rand, unique string) error {
		for {
			tx, err := f.Begin(t.Context())
			if err != nil {
				return err
			}
			in := t.In(tx)
			for range 1 + random.IntN(3) {
				err = w.mutate(t.Context(), in.Engine, random, unique)
				if err != nil && !errors.Is(err, orgstore.ErrNotFound) && !errors.Is(err, orgstore.ErrConflict) {
					break
				}
				err = nil
			}
			undone := err != nil || random.IntN(4) == 0
			if undone {
				err = errors.Join(err, tx.Rollback())
			} else {
				err = tx.Commit()
			}
			if errors.Is(err, orgstore.ErrUnavailable) {
				continue
			}
			if err != nil {
				return err
			}
			result, err := in.Committed(t.Context())
			if undone && errors.Is(err, orgstore.ErrNotCommitted) {
				err = nil
			}
			if err != nil || undone && result.Changed {
				return fmt.Errorf("undone: %t, committed: %+v, %w", undone, result, err)
			}
			return nil
		}
	}
	for _, err := range together(writers, func(i int) error {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		for step := range steps {
			unique := fmt.Sprint(i, "-", step)
			if i%2 == 0 {
				if err := foreign(random, unique); err != nil {
					return fmt.Errorf("step %d: %w", step, err)
				}
				continue
			}
			err := w.mutate(t.Context(), t.Engine, random, unique)
			if err != nil && !errors.Is(err, orgstore.ErrNotFound) && !errors.Is(err, orgstore.ErrConflict) {
				return fmt.Errorf("step %d: %w", step, err)
			}
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	t.consistent()
	for _, org := range slices.Concat(w.orgs, []string{"org_0000000000000000"}) {
		for _, user := range w.users {
			if got, want := t.resolve(org, user), t.recompute(org, user); !Equal(got, want) {
				t.Errorf("%s in %s:\n got %+v\nwant %+v", user, org, got, want)
			}
		}
	}
}
