package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// racers is how many callers race for each limit and each unique name.
const racers = 32

// race is one thing that only so many of the racers may get.
type race struct {
	limits orgstore.Limits
	setup  func(t *engineTest) (attempt func(i int) error)
	most   int                              // how many succeed
	lost   func(t *engineTest, err error)   // checks the errors of the others
	after  func(t *engineTest, won []error) // optional
}

// TestRaces tests that limits and uniqueness hold when many callers race to break them, and that nothing is added to what is
// deleted at the same moment. open returns a fresh, empty engine with cfg.
func TestRaces(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	for _, races := range allRaces {
		for name, r := range races {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r.run(&engineTest{T: t, Engine: open(t, orgstore.Config{Limits: r.limits})})
			})
		}
	}
	for name, test := range deletionRaces {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &engineTest{T: t, Engine: open(t, orgstore.Config{})}
			test(e)
			e.consistent()
		})
	}
}

var deletionRaces = cases{
	"ORG-5: an organization is deleted": raceDeleteOrganization,
	"MEM-3: users are deleted":          raceDeleteUsers,
	"ROL-3: roles are deleted":          raceDeleteRoles,
}

func (r race) run(e *engineTest) {
	errs := together(racers, r.setup(e))
	if n := succeeded(errs); n != r.most {
		e.Errorf("%d of %d succeeded, want %d", n, racers, r.most)
	}
	for _, err := range errs {
		if err != nil {
			r.lost(e, err)
		}
	}
	e.consistent()
	if r.after != nil {
		r.after(e, errs)
		e.consistent()
	}
}

func limit(name string, most int) func(*engineTest, error) {
	return func(t *engineTest, err error) { t.limit(err, name, most) }
}

func conflict(kind, field string) func(*engineTest, error) {
	return func(t *engineTest, err error) { t.conflict(err, kind, field) }
}

var coreRaces = map[string]race{
	"ORG-1: organizations": {orgstore.Limits{Organizations: 5}, raceOrganizations, 5, limit("organizations", 5), roomForOrganizations},
	"MEM-1: members":       {orgstore.Limits{Members: 7}, raceMembers, 7, limit("members", 7), roomForMembers},
	"ROL-2: roles of a member": {orgstore.Limits{RolesPerMember: 6}, func(t *engineTest) func(int) error {
		o, user, roles := t.org("acme"), t.user("u"), t.many(t.roleNumber)
		t.member(o.ID, user)
		return func(i int) error { return second(t.Members.AssignRoles(t.Context(), o.ID, user, roles[i])) }
	}, 6, limit("roles per member", 6), nil},
	"ORG-3: metadata of an organization": {orgstore.Limits{Metadata: 4}, func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return second(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{Metadata: pair(i)}))
		}
	}, 4, limit("metadata pairs", 4), nil},
	"MEM-4: metadata of a member": {orgstore.Limits{Metadata: 4}, func(t *engineTest) func(int) error {
		o, user := t.org("acme"), t.user("u")
		t.member(o.ID, user)
		return func(i int) error {
			return second(t.Members.Update(t.Context(), o.ID, user, orgstore.MemberUpdate{Metadata: pair(i)}))
		}
	}, 4, limit("metadata pairs", 4), nil},

	"ORG-1: one name for new organizations": {setup: func(t *engineTest) func(int) error {
		return func(int) error {
			return third(t.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"}))
		}
	}, most: 1, lost: conflict("organization", "name")},
	"ORG-2: one name for organizations": {setup: func(t *engineTest) func(int) error {
		orgs := t.many(func(i int) string { return t.org("o" + strconv.Itoa(i)).ID })
		return func(i int) error {
			return second(t.Organizations.Update(t.Context(), orgs[i], orgstore.OrganizationUpdate{Name: new("acme")}))
		}
	}, most: 1, lost: conflict("organization", "name")},
	"ORG-5: one id for organizations": {setup: func(t *engineTest) func(int) error {
		return func(i int) error {
			o := orgstore.Organization{ID: "org_0000000000000000", Name: "o" + strconv.Itoa(i)}
			return third(t.Organizations.Create(t.Context(), o))
		}
	}, most: 1, lost: conflict("organization", "id")},
	"ROL-5: one name for new roles": {setup: func(t *engineTest) func(int) error {
		return func(int) error { return third(t.Roles.Create(t.Context(), orgstore.Role{Name: "admin"})) }
	}, most: 1, lost: conflict("role", "name")},
	"ROL-5: one name for roles": {setup: func(t *engineTest) func(int) error {
		roles := t.many(t.roleNumber)
		return func(i int) error {
			return second(t.Roles.Update(t.Context(), roles[i], orgstore.RoleUpdate{Name: new("admin")}))
		}
	}, most: 1, lost: conflict("role", "name")},
	"ROL-3: one id for roles": {setup: func(t *engineTest) func(int) error {
		return func(i int) error {
			return third(t.Roles.Create(t.Context(), orgstore.Role{ID: "rol_0000000000000000", Name: strconv.Itoa(i)}))
		}
	}, most: 1, lost: conflict("role", "id")},
	"MEM-1: one id for users": {setup: func(t *engineTest) func(int) error {
		return func(int) error { return third(t.Users.Create(t.Context(), orgstore.User{ID: "u"})) }
	}, most: 1, lost: conflict("user", "id")},
	"MEM-1: one membership": {setup: func(t *engineTest) func(int) error {
		o, user, role := t.org("acme"), t.user("u"), t.role("a")
		return func(int) error {
			result, err := t.Members.Add(t.Context(), o.ID, user, orgstore.MemberOptions{Roles: []string{role}})
			if err == nil && !result.Changed {
				err = errUndo // was there already
			}
			return err
		}
	}, most: 1, lost: func(t *engineTest, err error) { t.is(err, errUndo) }},
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func pair(i int) map[string]*string { return map[string]*string{strconv.Itoa(i): new("x")} }

// many makes one thing for each racer.
func (t *engineTest) many(one func(i int) string) []string {
	ids := make([]string, racers)
	for i := range ids {
		ids[i] = one(i)
	}
	return ids
}

func (t *engineTest) roleNumber(i int) string { return t.role("role " + strconv.Itoa(i)) }
func (t *engineTest) userNumber(i int) string { return t.user("user " + strconv.Itoa(i)) }

func raceOrganizations(t *engineTest) func(int) error {
	return func(i int) error {
		return third(t.Organizations.Create(t.Context(), orgstore.Organization{Name: "o" + strconv.Itoa(i)}))
	}
}

func raceMembers(t *engineTest) func(int) error {
	o := t.org("acme")
	t.many(t.userNumber)
	return func(i int) error {
		return second(t.Members.Add(t.Context(), o.ID, fmt.Sprint("user ", i), orgstore.MemberOptions{}))
	}
}

// roomForOrganizations deletes one organization, which makes room for one other.
func roomForOrganizations(t *engineTest, errs []error) {
	o, err := t.Organizations.GetByName(t.Context(), "o"+strconv.Itoa(slices.Index(errs, nil)))
	t.ok(err)
	t.changed(t.Organizations.Delete(t.Context(), o.ID))
	again := together(racers, func(i int) error {
		return third(t.Organizations.Create(t.Context(), orgstore.Organization{Name: "again" + strconv.Itoa(i)}))
	})
	if n := succeeded(again); n != 1 {
		t.Errorf("room for %d organizations, want 1", n)
	}
}

// roomForMembers lets two members leave, by removal and by the end of the user: each makes room for one other.
func roomForMembers(t *engineTest, errs []error) {
	o, err := t.Organizations.GetByName(t.Context(), "acme")
	t.ok(err)
	won := slices.Index(errs, nil)
	t.changed(t.Members.Remove(t.Context(), o.ID, fmt.Sprint("user ", won)))
	won += 1 + slices.Index(errs[won+1:], nil)
	t.changed(t.Users.Delete(t.Context(), fmt.Sprint("user ", won)))
	again := together(racers, func(i int) error {
		if errs[i] == nil {
			return errUndo
		}
		return second(t.Members.Add(t.Context(), o.ID, fmt.Sprint("user ", i), orgstore.MemberOptions{}))
	})
	if n := succeeded(again); n != 2 {
		t.Errorf("room for %d members, want 2", n)
	}
}

func raceDeleteOrganization(t *engineTest) {
	o, role := t.org("acme"), t.role("a")
	users := t.many(t.userNumber)
	errs := together(racers, func(i int) error {
		if i == racers/2 {
			return second(t.Organizations.Delete(t.Context(), o.ID))
		}
		return second(t.Members.Add(t.Context(), o.ID, users[i], orgstore.MemberOptions{Roles: []string{role}}))
	})
	for i, err := range errs {
		if err != nil && i != racers/2 {
			t.notFound(err, "organization")
		}
	}
	t.ok(errs[racers/2])
	if n, err := t.Clean(t.Context()); err != nil || n != 0 {
		t.Errorf("Clean found %d members that were added to a deleted organization, %v", n, err)
	}
}

// raceDeleteUsers deletes users while they become members of many organizations, and while these are cleaned up.
func raceDeleteUsers(t *engineTest) {
	users := []string{t.user("a"), t.user("b"), t.user("c")}
	orgs := t.many(func(i int) string { return t.org("o" + strconv.Itoa(i)).ID })
	for _, err := range together(racers, func(i int) error {
		for _, user := range users {
			_, err := t.Members.Add(t.Context(), orgs[i], user, orgstore.MemberOptions{})
			if err != nil && !errors.Is(err, orgstore.ErrNotFound) {
				return err
			}
		}
		switch {
		case i < len(users):
			return second(t.Users.Delete(t.Context(), users[i]))
		case i%5 == 0:
			return second(t.Organizations.Delete(t.Context(), orgs[i]))
		case i%7 == 0:
			return second(t.Clean(t.Context()))
		}
		return nil
	}) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, org := range orgs {
		for _, user := range users {
			if s := t.resolve(org, user).Standing; s == orgstore.StandingMember {
				t.Errorf("the deleted user %s is a member", user)
			}
		}
	}
}

func raceDeleteRoles(t *engineTest) {
	o, user, roles := t.org("acme"), t.user("u"), t.many(t.roleNumber)
	t.member(o.ID, user)
	for _, err := range together(racers, func(i int) error {
		err := second(t.Members.AssignRoles(t.Context(), o.ID, user, roles[i], roles[(i+1)%racers]))
		if i%2 == 0 && (err == nil || errors.Is(err, orgstore.ErrNotFound)) {
			return second(t.Roles.Delete(t.Context(), roles[i]))
		}
		return err
	}) {
		if err != nil {
			t.notFound(err, "role")
		}
	}
	for _, role := range t.resolve(o.ID, user).Member.Roles {
		if _, err := t.Roles.GetByName(t.Context(), role); err != nil {
			t.Errorf("role %s is held: %v", role, err)
		}
	}
	if n, err := t.Clean(t.Context()); err != nil || n != 0 {
		t.Errorf("Clean found %d deleted roles that are held, %v", n, err)
	}
}

// consistent checks what must be true of the tables after any mutations: Verify finds nothing, and the events of a scope are
// without gaps, in the order of their ids and times (rules EVT-1, EVT-2).
func (t *engineTest) consistent() {
	t.Helper()
	t.verified()
	// More than one transaction can clean up stays behind, unseen; the tests make less.
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_member_roles mr JOIN orgauthz_roles r ON r.id = mr.role_id
			WHERE r.deleted_at IS NOT NULL`).Scan(&n)
		if n != 0 {
			t.Errorf("%d members hold deleted roles", n)
		}
		return err
	}))
	gapless(t)
}

func (t *engineTest) verified() {
	t.Helper()
	found, err := t.Verify(t.Context(), orgstore.VerifyOptions{})
	t.ok(err)
	for _, f := range found {
		t.Errorf("Verify: %v", f)
	}
}
