package orgstoretest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

// randomMutations runs random mutations, and after each asks for what it may have changed.
func randomMutations(t *resolverTest) {
	const steps = 150
	ctx, e := t.Context(), t.engine
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	names := []string{"granite-outpost", "adventurez", "rocky", "summit"}
	users := []string{t.world.Hiroko.ID, t.world.Emilio.ID, t.world.Jonno.ID}
	orgs := []string{t.world.Org.ID, t.world.Other.ID}
	roles := []string{t.world.Admin.ID, t.world.Guide.ID}
	var deleted []string // organizations
	pick := func(list []string) string { return list[random.IntN(len(list))] }
	some := func(list []string) []string {
		var picked []string
		for _, s := range list {
			if random.IntN(2) == 0 {
				picked = append(picked, s)
			}
		}
		return picked
	}
	changed := 0
	d := newDependants(t)
	for step := range steps {
		org, user, role := pick(orgs), pick(users), pick(roles)
		var result orgstore.Result
		var err error
		d.users, d.orgs, d.roles = users, orgs, roles
		switch random.IntN(34) {
		case 0:
			var o *orgstore.Organization
			if o, result, err = e.Organizations.Create(ctx, orgstore.Organization{Name: pick(names)}); err == nil {
				orgs = append(orgs, o.ID)
			}
		case 1:
			result, err = e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{Name: new(pick(names))})
		case 2:
			result, err = e.Organizations.Suspend(ctx, org)
		case 3, 4:
			result, err = e.Organizations.Resume(ctx, org)
		case 5:
			if len(orgs) > 2 {
				result, err = e.Organizations.Delete(ctx, org)
				orgs = without(orgs, org)
				deleted = append(deleted, org)
			}
		case 6:
			_, result, err = e.Users.Create(ctx, orgstore.User{ID: user})
		case 7:
			result, err = e.Users.Block(ctx, user)
		case 8, 9:
			result, err = e.Users.Unblock(ctx, user)
		case 10:
			if random.IntN(3) == 0 {
				result, err = e.Users.Delete(ctx, user)
			}
		case 11:
			var r *orgstore.Role
			if r, result, err = e.Roles.Create(ctx, orgstore.Role{Name: fmt.Sprintf("role %d", step), Permissions: some(names)}); err == nil {
				roles = append(roles, r.ID)
			}
		case 12:
			result, err = e.Roles.Update(ctx, role, orgstore.RoleUpdate{Permissions: new(some(names))})
		case 13:
			if len(roles) > 2 {
				result, err = e.Roles.Delete(ctx, role)
				roles = without(roles, role)
			}
		case 14, 15:
			result, err = e.Members.Add(ctx, org, user, orgstore.MemberOptions{Roles: []string{role}})
		case 16:
			result, err = e.Members.Remove(ctx, org, user)
		case 17:
			result, err = e.Members.AssignRoles(ctx, org, user, role)
		case 18:
			result, err = e.Members.RemoveRoles(ctx, org, user, some(roles)...)
		case 19:
			result, err = e.Members.Update(ctx, org, user, orgstore.MemberUpdate{Metadata: map[string]*string{"step": new(fmt.Sprint(step % 3))}})
		default:
			result, err = d.mutate(ctx, e, random)
		}
		if err != nil && !errors.Is(err, orgstore.ErrNotFound) && !errors.Is(err, orgstore.ErrConflict) {
			t.Fatalf("step %d: %v", step, err)
		}
		if result.Changed {
			changed++
		}
		for _, o := range slices.Concat(names, orgs, deleted[max(0, len(deleted)-2):]) {
			for _, u := range users {
				t.ask(o, u)
			}
			t.ask(o, d.machine)
		}
	}
	if changed < steps/10 { // a seed may block or delete everybody for a while
		t.Fatalf("only %d of %d mutations changed anything", changed, steps)
	}
}

func without(list []string, element string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == element })
}
