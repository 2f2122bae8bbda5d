package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var errUndo = errors.New("undo")

// ownTable makes a table as an application would have one in the same database.
func (t *engineTest) ownTable() {
	t.Helper()
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE customers (name TEXT NOT NULL PRIMARY KEY, org TEXT NOT NULL)`)
		return err
	})
	t.ok(err)
}

func insertCustomer(ctx context.Context, tx *sql.Tx, name, org string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO customers (name, org) VALUES ($1, $2)`, name, org)
	return err
}

func (t *engineTest) customers() (names []string) {
	t.Helper()
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT name FROM customers ORDER BY name`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	}))
	return names
}

func transactTogether(t *engineTest) {
	t.ownTable()
	user, role := t.user("u"), t.role("admin", "do:it")
	var commits [][]orgstore.Change
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) { commits = append(commits, changes) })
	var id string
	result, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		o, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
		if err != nil {
			return err
		}
		id = o.ID
		added, err := e.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Roles: []string{role}})
		if err != nil || len(added.Revision) != 1 {
			t.Errorf("inside: %+v, %v", added, err)
		}
		// What was done is seen inside and not outside.
		inside, err := e.Resolve(ctx, orgstore.Query{Org: "acme", Principal: user})
		if err != nil || inside.Standing != orgstore.StandingMember {
			t.Errorf("inside: %+v, %v", inside, err)
		}
		if page, err := e.Members.List(ctx, o.ID, orgstore.MemberListOptions{}); err != nil || len(page.Items) != 1 {
			t.Errorf("inside: %+v, %v", page, err)
		}
		if outside := t.resolve("acme", user); outside.Standing != orgstore.StandingNoOrganization {
			t.Errorf("outside: %+v", outside)
		}
		if len(commits) != 0 {
			t.Error("OnCommit was called before the commit")
		}
		return insertCustomer(ctx, tx, "Acme Inc.", o.ID)
	})
	t.changed(result, err)
	if len(result.Revision) != 3 {
		t.Errorf("raised %v", result.Revision)
	}
	if a := t.resolve("acme", user); a.Org.ID != id || !a.Member.Has("do:it") {
		t.Errorf("after the commit: %+v", a)
	}
	if got := t.customers(); !slices.Equal(got, []string{"Acme Inc."}) {
		t.Errorf("customers: %q", got)
	}
	if len(commits) != 1 || len(commits[0]) != 3 || commits[0][0].ID != commits[0][2].ID || commits[0][2].Type != "organization.member.added" {
		t.Errorf("OnCommit told %+v", commits)
	}
	result, err = t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		return insertCustomer(ctx, tx, "B", "b")
	})
	t.unchanged(result, err)
	if len(commits) != 1 {
		t.Error("OnCommit told of a transaction that changed nothing of the engine's")
	}
}

func transactNotAtAll(t *engineTest) {
	t.ownTable()
	before := len(t.events())
	t.OnCommit(func(context.Context, []orgstore.Change) { t.Error("OnCommit was called") })
	work := func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{ID: "org_0000000000000000", Name: "acme"}); err != nil {
			return err
		}
		return insertCustomer(ctx, tx, "Acme Inc.", "x")
	}
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		return errors.Join(work(ctx, tx, e), errUndo)
	})
	if !errors.Is(err, errUndo) {
		t.Errorf("error: %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "panic" {
				t.Errorf("recovered %v", p)
			}
		}()
		_, _ = t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			t.ok(work(ctx, tx, e))
			panic("panic")
		})
	}()
	ended, end := context.WithCancel(t.Context())
	_, err = t.Transact(ended, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		defer end()
		return work(ctx, tx, e)
	})
	t.is(err, context.Canceled)

	if got := t.customers(); len(got) != 0 {
		t.Errorf("customers: %q", got)
	}
	if s := t.resolve("acme", "u"); s.Standing != orgstore.StandingNoOrganization || s.Vector[0].Revision != 0 {
		t.Errorf("left: %+v", s)
	}
	if n := len(t.events()); n != before {
		t.Errorf("%d events were left", n-before)
	}
	_, err = t.Organizations.Get(t.Context(), "org_0000000000000000")
	t.notFound(err, "organization")
}

func transactNested(t *engineTest) {
	t.ownTable()
	result, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "outer"}); err != nil {
			return err
		}
		inner, err := e.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "kept"}); err != nil {
				return err
			}
			_, err := e.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
				_, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "undone"})
				return errors.Join(err, insertCustomer(ctx, tx, "undone", "x"), errUndo)
			})
			if !errors.Is(err, errUndo) {
				t.Errorf("the innermost error: %v", err)
			}
			return insertCustomer(ctx, tx, "kept", "x")
		})
		if err != nil || len(inner.Revision) != 2 {
			t.Errorf("inner: %+v, %v", inner, err)
		}
		return nil
	})
	t.changed(result, err)
	if len(result.Revision) != 4 {
		t.Errorf("raised %v", result.Revision)
	}
	for name, want := range map[string]orgstore.Standing{
		"outer": orgstore.StandingNotMember, "kept": orgstore.StandingNotMember, "undone": orgstore.StandingNoOrganization,
	} {
		if got := t.resolve(name, "u").Standing; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := t.customers(); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("customers: %q", got)
	}

	// A first change that is undone takes the transaction's place in the order of events with it.
	_, err = t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, err := e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			_, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "undone"})
			return errors.Join(err, errUndo)
		})
		if !errors.Is(err, errUndo) {
			t.Errorf("error: %v", err)
		}
		_, _, err = e.Users.Create(ctx, orgstore.User{ID: "u"})
		return err
	})
	t.ok(err)
	t.user("v")
	gapless(t)
}

// transactSavepoint rolls back to a savepoint of the function's own, as frameworks do: what is told is what is there.
func transactSavepoint(t *engineTest) {
	a, b := t.org("a"), t.org("b")
	var told []orgstore.Change
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) { told = append(told, changes...) })
	result, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		for _, statement := range []string{"SAVEPOINT theirs", "ROLLBACK TO SAVEPOINT theirs"} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
			t.changed(e.Organizations.Suspend(ctx, a.ID))
			t.changed(e.Organizations.Resume(ctx, a.ID))
		}
		_, err := e.Organizations.Suspend(ctx, b.ID)
		return err
	})
	t.changed(result, err)
	if revision, _ := result.Revision.Of(orgstore.OrganizationScope(a.ID)); revision != 3 || len(result.Revision) != 2 || len(told) != 3 {
		t.Errorf("result %+v, told %+v", result, told)
	}
	t.changed(t.Organizations.Suspend(t.Context(), a.ID))
	t.consistent()
}

// transactRefusedOperation goes on after an operation was refused half-way: nothing of that operation is left.
func transactRefusedOperation(t *engineTest) {
	o, user := t.org("acme"), t.user("u")
	t.user("v")
	var many []string
	for i := range 51 {
		many = append(many, t.role(string(rune('A'+i))))
	}
	t.member(o.ID, user, many[:50]...)
	result, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, err := e.Members.AssignRoles(ctx, o.ID, user, many[50])
		t.limit(err, "roles per member", 50)
		_, _, err = e.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
		t.conflict(err, "organization", "name")
		_, err = e.Members.Add(ctx, o.ID, "v", orgstore.MemberOptions{Roles: []string{"rol_0000000000000000"}})
		t.notFound(err, "role")
		_, err = e.Members.Add(ctx, o.ID, "v", orgstore.MemberOptions{})
		return err
	})
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("raised %v", result.Revision)
	}
	gapless(t)
}

func transactMisuse(t *engineTest) {
	var after *orgstore.Engine
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		after = e
		// The engine outside would wait for this transaction to end.
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
		t.invalid(err, "engine", "")
		_, err = t.Transact(ctx, func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil })
		t.invalid(err, "engine", "")
		if err := e.Close(); err == nil {
			t.Error("the engine of a transaction was closed")
		}
		return nil
	})
	t.ok(err)
	_, _, err = after.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	t.is(err, orgstore.ErrUnavailable)
	_, err = after.Resolve(t.Context(), orgstore.Query{Org: "acme", Principal: "u"})
	t.is(err, orgstore.ErrUnavailable)
	t.is(after.View(t.Context(), func(context.Context, *sql.Tx) error { return nil }), orgstore.ErrUnavailable)
}

// transactEnded ends the transaction as a database does by itself when a statement fails badly. What comes later must not be
// committed on its own.
func transactEnded(t *engineTest) {
	stop := t.OnCommit(func(context.Context, []orgstore.Change) { t.Error("OnCommit was called") })
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "before"}); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "ROLLBACK"); err != nil {
			return err
		}
		for range 2 {
			_, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "after"})
			t.is(err, orgstore.ErrUnavailable)
		}
		return nil
	})
	t.is(err, orgstore.ErrUnavailable)
	if page, err := t.Organizations.List(t.Context(), orgstore.OrganizationListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("left: %+v, %v", page.Items, err)
	}
	stop()
	t.org("works")
}

func viewReads(t *engineTest) {
	t.ownTable()
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO customers (name, org) VALUES ('x', 'x')`); err == nil {
			t.Error("a view could write")
		}
		return nil
	}))
	if err := t.View(t.Context(), func(context.Context, *sql.Tx) error { return errUndo }); err != errUndo {
		t.Errorf("error: %v", err)
	}
	// One snapshot, whatever is committed meanwhile.
	count := func(ctx context.Context, tx *sql.Tx) (n int) {
		t.ok(tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM customers`).Scan(&n))
		return n
	}
	t.ok(t.View(t.Context(), func(viewCtx context.Context, view *sql.Tx) error {
		if n := count(viewCtx, view); n != 0 {
			t.Errorf("%d customers", n)
		}
		_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			if err := insertCustomer(ctx, tx, "x", "x"); err != nil {
				return err
			}
			return e.View(ctx, func(ctx context.Context, tx2 *sql.Tx) error {
				if n := count(ctx, tx2); n != 1 {
					t.Errorf("the transaction's own view has %d customers", n)
				}
				return nil
			})
		})
		t.ok(err)
		if n := count(viewCtx, view); n != 0 {
			t.Errorf("the snapshot moved: %d customers", n)
		}
		return nil
	}))
	if got := t.customers(); len(got) != 1 {
		t.Errorf("customers: %q", got)
	}
}

func onCommitTells(t *engineTest) {
	var told []string
	listen := func(name string) (stop func()) {
		return t.OnCommit(func(ctx context.Context, changes []orgstore.Change) {
			// The change is committed, and the mutation has not returned.
			if a, err := t.Resolve(ctx, orgstore.Query{Org: "acme", Principal: "u"}); err != nil || a.Standing != orgstore.StandingNotMember {
				t.Errorf("in OnCommit: %+v, %v", a, err)
			}
			for _, c := range changes {
				told = append(told, name+" "+c.Type)
			}
			changes[0].Type = "changed by a listener"
		})
	}
	first, second := listen("first"), listen("second")
	o, result, err := t.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	t.changed(result, err)
	if want := []string{
		"first organization.created", "first organization.name.assigned", "second organization.created", "second organization.name.assigned",
	}; !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
	told = nil
	t.unchanged(t.Organizations.Resume(t.Context(), o.ID))
	first()
	first()
	t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{DisplayName: new("A")}))
	second()
	t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{DisplayName: new("B")}))
	if want := []string{"second organization.updated"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func onCommitContext(t *engineTest) {
	type key struct{}
	calling, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	called := false
	t.OnCommit(func(ctx context.Context, _ []orgstore.Change) {
		called = true
		cancel() // the caller goes away
		if ctx.Err() != nil || ctx.Value(key{}) != "value" {
			t.Errorf("context: %v, %v", ctx.Err(), ctx.Value(key{}))
		}
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > time.Minute {
			t.Error("the context is not bounded")
		}
	})
	_, result, err := t.Users.Create(calling, orgstore.User{ID: "u"})
	t.changed(result, err) // it is committed, whether the caller is still there or not
	if !called {
		t.Error("OnCommit was not called")
	}
}

func onCommitPanic(t *engineTest) {
	called := false
	t.OnCommit(func(context.Context, []orgstore.Change) { panic("a listener's") })
	t.OnCommit(func(context.Context, []orgstore.Change) { called = true })
	_, result, err := t.Users.Create(t.Context(), orgstore.User{ID: "u"})
	t.changed(result, err)
	if !called {
		t.Error("the next listener was not called")
	}
}
