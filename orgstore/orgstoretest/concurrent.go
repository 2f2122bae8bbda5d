package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// together runs f n times at the same time and returns the errors, in the order of the numbers.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	group.Wait()
	return errs
}

func succeeded(errs []error) (n int) {
	for _, err := range errs {
		if err == nil {
			n++
		}
	}
	return n
}

func concurrentName(t *engineTest) {
	errs := together(8, func(int) error {
		_, _, err := t.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
		return err
	})
	if n := succeeded(errs); n != 1 {
		t.Errorf("%d organizations have one name: %v", n, errs)
	}
	for _, err := range errs {
		if err != nil {
			t.conflict(err, "organization", "name")
		}
	}
	if page, err := t.Organizations.List(t.Context(), orgstore.OrganizationListOptions{}); err != nil || len(page.Items) != 1 {
		t.Errorf("list: %+v, %v", page, err)
	}
	gapless(t)
}

// concurrentUpdates changes one organization from many sides: no change is lost, and each has a revision of its own.
func concurrentUpdates(t *engineTest) {
	const writers, each = 8, 5
	o := t.org("acme")
	var mu sync.Mutex
	var revisions []uint64
	var told []uint64
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, changes[0].Revision)
	})
	t.ok(errors.Join(together(writers, func(w int) error {
		for i := range each {
			result, err := t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{
				Metadata: map[string]*string{"writer " + strconv.Itoa(w): new(strconv.Itoa(i))},
			})
			if err != nil {
				return err
			}
			mu.Lock()
			revisions = append(revisions, result.Revision[0].Revision)
			if !slices.Contains(told, result.Revision[0].Revision) {
				t.Errorf("OnCommit had not told revision %d when its mutation returned", result.Revision[0].Revision)
			}
			mu.Unlock()
		}
		return nil
	})...))
	slices.Sort(revisions)
	for i, revision := range revisions {
		if revision != uint64(i+2) {
			t.Fatalf("revisions %v", revisions)
		}
	}
	got, err := t.Organizations.Get(t.Context(), o.ID)
	t.ok(err)
	if len(got.Metadata) != writers {
		t.Errorf("metadata: %v", got.Metadata)
	}
	for w := range writers {
		if got.Metadata["writer "+strconv.Itoa(w)] != strconv.Itoa(each-1) {
			t.Errorf("the last change of writer %d is lost: %v", w, got.Metadata)
		}
	}
	gapless(t)
}

func concurrentRoleLimit(t *engineTest) {
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	var roles []string
	for i := range 60 {
		roles = append(roles, t.role(fmt.Sprint("role ", i)))
	}
	errs := together(len(roles), func(i int) error {
		_, err := t.Members.AssignRoles(t.Context(), o.ID, user, roles[i])
		return err
	})
	if n := succeeded(errs); n != 50 {
		t.Errorf("%d roles were assigned, want 50", n)
	}
	for _, err := range errs {
		if err != nil {
			t.limit(err, "roles per member", 50)
		}
	}
	if m, err := t.Members.Get(t.Context(), o.ID, user); err != nil || len(m.Roles) != 50 {
		t.Errorf("the member holds %d roles, %v", len(m.Roles), err)
	}
}

func concurrentMembership(t *engineTest) {
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	added, removed := make([]int, 8), make([]int, 8)
	t.ok(errors.Join(together(8, func(i int) error {
		for range 5 {
			result, err := t.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{Roles: []string{role}})
			if err != nil {
				return err
			}
			if result.Changed {
				added[i]++
			}
			if result, err = t.Members.Remove(t.Context(), o.ID, user); err != nil {
				return err
			}
			if result.Changed {
				removed[i]++
			}
		}
		return nil
	})...))
	sum := func(list []int) (n int) {
		for _, i := range list {
			n += i
		}
		return n
	}
	if sum(added) == 0 || sum(added) != sum(removed) {
		t.Errorf("%d times added, %d times removed", sum(added), sum(removed))
	}
	_, err := t.Members.Get(t.Context(), o.ID, user)
	t.notFound(err, "member")
	gapless(t)
}

// concurrentTransact counts with the application's own SQL: read, then write, without losing a count.
func concurrentTransact(t *engineTest) {
	t.ownTable()
	const writers, each = 6, 4
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		return insertCustomer(ctx, tx, "n", "0")
	})
	t.ok(err)
	t.ok(errors.Join(together(writers, func(w int) error {
		for i := range each {
			_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
				var n int
				if err := tx.QueryRowContext(ctx, `SELECT org FROM customers WHERE name = 'n'`).Scan(&n); err != nil {
					return err
				}
				if _, _, err := e.Users.Create(ctx, orgstore.User{ID: fmt.Sprint(w, " ", i)}); err != nil {
					return err
				}
				_, err := tx.ExecContext(ctx, `UPDATE customers SET org = $1 WHERE name = 'n'`, strconv.Itoa(n+1))
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})...))
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		var n int
		t.ok(tx.QueryRowContext(ctx, `SELECT org FROM customers WHERE name = 'n'`).Scan(&n))
		if n != writers*each {
			t.Errorf("counted %d, want %d", n, writers*each)
		}
		return nil
	}))
	gapless(t)
}

// concurrentSnapshot writes one number to four places in one transaction, again and again, while others resolve: whoever
// sees two numbers has seen a state that never was.
func concurrentSnapshot(t *engineTest) {
	o, user, role := t.org("acme"), t.user("u"), t.role("0", "p:0")
	t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{Metadata: map[string]*string{"n": new("0")}}))
	t.changed(t.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{Metadata: map[string]string{"n": "0"}, Roles: []string{role}}))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 3 {
		readers.Go(func() {
			for reads := 0; ; reads++ {
				select {
				case <-done:
					if reads == 0 {
						t.Error("nothing was read")
					}
					return
				default:
				}
				a, err := t.Resolve(t.Context(), orgstore.Query{Org: []string{o.ID, "acme", "ACME"}[i], Principal: user})
				if err != nil {
					t.Error(err)
					return
				}
				n := a.Org.Metadata["n"]
				if a.Member.Metadata["n"] != n || a.Member.Roles[0] != n || a.Member.Permissions[0] != "p:"+n {
					t.Errorf("organization %s, member %s, role %s, permission %s", n, a.Member.Metadata["n"], a.Member.Roles, a.Member.Permissions)
					return
				}
				want, _ := strconv.ParseUint(n, 10, 64)
				if revision, _ := a.Vector.Of(orgstore.RoleScope(role)); revision != want+1 {
					t.Errorf("the vector says %d, the answer %s", revision, n)
					return
				}
			}
		})
	}
	for i := 1; i <= 40; i++ {
		n := strconv.Itoa(i)
		_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			_, a := e.Roles.Update(ctx, role, orgstore.RoleUpdate{Name: &n, Permissions: &[]string{"p:" + n}})
			_, b := e.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Metadata: map[string]*string{"n": &n}})
			_, c := e.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Metadata: map[string]*string{"n": &n}})
			return errors.Join(a, b, c)
		})
		if err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}

func contextEnds(t *engineTest) {
	o := t.org("acme")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for ctx, want := range map[context.Context]error{ended: context.Canceled, late: context.DeadlineExceeded} {
		_, err := t.Resolve(ctx, orgstore.Query{Org: o.ID, Principal: "u"})
		t.is(err, want)
		_, err = t.Organizations.Suspend(ctx, o.ID)
		t.is(err, want)
		_, err = t.Organizations.Get(ctx, o.ID)
		t.is(err, want)
		_, err = t.Organizations.List(ctx, orgstore.OrganizationListOptions{})
		t.is(err, want)
		_, err = t.Transact(ctx, func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil })
		t.is(err, want)
		t.is(t.View(ctx, func(context.Context, *sql.Tx) error { return nil }), want)
		t.is(t.Health(ctx), want)
	}
	// One operation of a transaction that ran out of time does not end the transaction.
	result, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		_, err := e.Organizations.Suspend(ended, o.ID)
		t.is(err, context.Canceled)
		_, err = e.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{DisplayName: new("x")})
		return err
	})
	t.changed(result, err)
	if s := t.resolve(o.ID, "u").Standing; s != orgstore.StandingNotMember {
		t.Errorf("standing %v", s)
	}
}

func closeEnds(t *engineTest) {
	o := t.org("acme")
	t.ok(t.Health(t.Context()))
	// Close waits for what runs.
	inside, release, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var group sync.WaitGroup
	group.Go(func() {
		_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			close(inside)
			<-release
			_, err := e.Organizations.Suspend(ctx, o.ID)
			return err
		})
		if err != nil {
			t.Errorf("the transaction that ran during Close: %v", err)
		}
	})
	<-inside
	group.Go(func() { closed <- t.Close() })
	for t.Health(t.Context()) == nil { // until Close has begun
	}
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	default:
	}
	close(release)
	group.Wait()
	t.ok(<-closed)
	t.ok(t.Close())

	ctx := t.Context()
	_, err := t.Resolve(ctx, orgstore.Query{Org: o.ID, Principal: "u"})
	t.is(err, orgstore.ErrUnavailable)
	_, err = t.Organizations.Get(ctx, o.ID)
	t.is(err, orgstore.ErrUnavailable)
	_, err = t.Organizations.Suspend(ctx, o.ID)
	t.is(err, orgstore.ErrUnavailable)
	_, err = t.Users.List(ctx, orgstore.UserListOptions{})
	t.is(err, orgstore.ErrUnavailable)
	_, err = t.Transact(ctx, func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil })
	t.is(err, orgstore.ErrUnavailable)
	t.is(t.View(ctx, func(context.Context, *sql.Tx) error { return nil }), orgstore.ErrUnavailable)
	t.is(t.Health(ctx), orgstore.ErrUnavailable)
}
