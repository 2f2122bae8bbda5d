package orgstoretest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestNodes tests two engines on one database, as two processes would have them: concurrent random mutations on both, after
// which every answer must be what the parts that it is made of say. open returns the engines, on an empty database.
func TestNodes(t *testing.T, open func(t testing.TB) (a, b *orgstore.Engine)) {
	const writers, steps = 8, 40
	a, b := open(t)
	w := &nodesWorld{users: []string{"u0", "u1", "u2", "u3"}}
	first := &engineTest{T: t, Engine: a}
	for _, user := range w.users {
		first.user(user)
	}
	for i := range 4 {
		w.orgs = append(w.orgs, first.org(fmt.Sprint("org", i)).ID)
		w.roles = append(w.roles, first.role(fmt.Sprint("role", i), fmt.Sprint("p:", i), "p:all"))
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for _, err := range together(writers, func(i int) error {
		e, random := []*orgstore.Engine{a, b}[i%2], rand.New(rand.NewPCG(seed, uint64(i)))
		for step := range steps {
			err := w.mutate(t.Context(), e, random, fmt.Sprint(i, "-", step))
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
	first.consistent()
	members := 0
	for _, org := range w.orgs {
		for _, user := range w.users {
			for _, e := range []*orgstore.Engine{a, b} {
				x := &engineTest{T: t, Engine: e}
				got := x.resolve(org, user)
				if want := x.recompute(org, user); !Equal(got, want) {
					t.Errorf("%s in %s:\n got %+v\nwant %+v", user, org, got, want)
				}
				if got.Standing == orgstore.StandingMember {
					members++
				}
			}
		}
	}
	if members == 0 {
		t.Log("nobody is a member in the end")
	}
}

type nodesWorld struct {
	mu                 sync.Mutex
	users, orgs, roles []string
}

// mutate runs one random mutation, or a transaction of two.
func (w *nodesWorld) mutate(ctx context.Context, e *orgstore.Engine, random *rand.Rand, unique string) error {
	w.mu.Lock()
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	org, user, role, other := pick(w.orgs), pick(w.users), pick(w.roles), pick(w.roles)
	w.mu.Unlock()
	switch n := random.IntN(32); n {
	case 0:
		return second(e.Organizations.Suspend(ctx, org))
	case 1, 2:
		return second(e.Organizations.Resume(ctx, org))
	case 3:
		return second(e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{Name: new(fmt.Sprint("org", random.IntN(6)))}))
	case 4:
		if random.IntN(4) == 0 {
			return second(e.Organizations.Delete(ctx, org))
		}
	case 5:
		o, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: fmt.Sprint("org", random.IntN(6))})
		if err == nil {
			w.mu.Lock()
			w.orgs = append(w.orgs, o.ID)
			w.mu.Unlock()
		}
		return err
	case 6:
		return second(e.Users.Block(ctx, user))
	case 7, 8:
		return second(e.Users.Unblock(ctx, user))
	case 9:
		return second(e.Users.Delete(ctx, user))
	case 10, 11, 12:
		return third(e.Users.Create(ctx, orgstore.User{ID: user}))
	case 13:
		if random.IntN(3) == 0 {
			return second(e.Roles.Delete(ctx, role))
		}
	case 14:
		r, _, err := e.Roles.Create(ctx, orgstore.Role{Name: unique, Permissions: []string{"p:" + unique}})
		if err == nil {
			w.mu.Lock()
			w.roles = append(w.roles, r.ID)
			w.mu.Unlock()
		}
		return err
	case 15, 16:
		return second(e.Roles.Update(ctx, role, orgstore.RoleUpdate{Permissions: &[]string{"p:" + unique}}))
	case 17, 18:
		return second(e.Members.Remove(ctx, org, user))
	case 19, 20:
		return second(e.Members.AssignRoles(ctx, org, user, role, other))
	case 21:
		return second(e.Members.RemoveRoles(ctx, org, user, role))
	case 22:
		return second(e.Members.SetRoles(ctx, org, user, role))
	case 23:
		return second(e.Members.Update(ctx, org, user, orgstore.MemberUpdate{Metadata: map[string]*string{"n": &unique}}))
	case 24, 25: // both or none, with locks in whatever order
		return second(e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			_, a := e.Members.Update(ctx, org, user, orgstore.MemberUpdate{Metadata: map[string]*string{"n": &unique}})
			_, b := e.Roles.Update(ctx, role, orgstore.RoleUpdate{Description: &unique})
			_, c := e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{DisplayName: &unique})
			return errors.Join(a, b, c)
		}))
	default:
		return second(e.Members.Add(ctx, org, user, orgstore.MemberOptions{Roles: []string{role}}))
	}
	return nil
}

// recompute puts the answer of Resolve together from reads of its parts and from the newest events of their scopes. Nothing
// may change meanwhile.
func (t *engineTest) recompute(org, user string) *orgstore.Access {
	t.Helper()
	ctx := t.Context()
	newest := make(map[orgstore.Scope]uint64)
	for _, e := range t.events() {
		newest[e.Scope] = max(newest[e.Scope], e.Revision)
	}
	a := &orgstore.Access{Standing: orgstore.StandingNoOrganization, Principal: user}
	saw := func(scopes ...orgstore.Scope) {
		for _, s := range scopes {
			a.Vector = append(a.Vector, orgstore.Revision{Scope: s, Revision: newest[s]})
		}
	}
	saw(orgstore.OrganizationScope(org))
	o, err := t.Organizations.Get(ctx, org)
	if errors.Is(err, orgstore.ErrNotFound) {
		return a
	}
	t.ok(err)
	saw(orgstore.MembershipScope(org, user), orgstore.UserScope(user))
	a.Org = orgstore.AccessOrg{ID: o.ID, Name: o.Name, Status: o.Status, Metadata: o.Metadata}
	a.Standing = orgstore.StandingNotMember
	m, err := t.Members.Get(ctx, org, user)
	if errors.Is(err, orgstore.ErrNotFound) {
		saw(orgstore.ContractsScope(org)) // of which there is none here
	} else {
		t.ok(err)
		a.Standing, a.Member.Kind, a.Member.Metadata = orgstore.StandingMember, m.Kind, m.Metadata
		for _, held := range m.Roles {
			r, err := t.Roles.Get(ctx, held.ID)
			t.ok(err)
			saw(orgstore.RoleScope(r.ID))
			a.Member.Roles = append(a.Member.Roles, r.Name)
			a.Member.Permissions = append(a.Member.Permissions, r.Permissions...)
		}
		slices.Sort(a.Member.Permissions)
		a.Member.Permissions = slices.Compact(a.Member.Permissions)
		u, err := t.Users.Get(ctx, user)
		t.ok(err)
		if u.Blocked {
			a.Standing = orgstore.StandingBlocked
		}
	}
	if o.Status == orgstore.OrganizationSuspended {
		a.Standing = orgstore.StandingSuspended
	}
	slices.SortFunc(a.Vector, func(x, y orgstore.Revision) int { return cmp.Compare(x.Scope.ID, y.Scope.ID) })
	return a
}
