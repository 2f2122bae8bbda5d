package orgstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// dependants makes random changes of what answers depend on beyond the organization, the membership, the user and the roles
// themselves. Several goroutines may use one, each with numbers of its own.
type dependants struct {
	users, orgs, roles []string
	machine            string

	mu                       sync.Mutex
	contracts, teams, grants []string // a team is its organization's id, a space and its own
}

// newDependants makes an application with a grant, whose principal is asked for too.
func newDependants(t *resolverTest) *dependants {
	t.Helper()
	ctx, e := t.Context(), t.engine
	d := &dependants{machine: "robot@clients"}
	_, _, err := e.APIs.Create(ctx, orgstore.API{Identifier: "https://api", Name: "api", Permissions: []orgstore.APIPermission{{Name: "read"}, {Name: "write"}}})
	if err == nil {
		_, _, err = e.Clients.Create(ctx, orgstore.Client{ID: "robot", Name: "robot", FirstParty: true, GrantTypes: []string{"client_credentials"}})
	}
	var g *orgstore.ClientGrant
	if err == nil {
		g, _, err = e.ClientGrants.Create(ctx, orgstore.ClientGrant{
			ClientID: "robot", Audience: "https://api", Scopes: []string{"read"}, OrganizationUsage: orgstore.OrganizationAllow,
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	d.grants = []string{g.ID}
	return d
}

// mutate makes one change. Errors that say that something is not there, or may not be, are none.
func (d *dependants) mutate(ctx context.Context, e *orgstore.Engine, random *rand.Rand) (orgstore.Result, error) {
	result, err := d.attempt(ctx, e, random)
	for _, refused := range []error{orgstore.ErrNotFound, orgstore.ErrConflict, orgstore.ErrLimit, orgstore.ErrInvalid} {
		if errors.Is(err, refused) {
			err = nil
		}
	}
	return result, err
}

func (d *dependants) attempt(ctx context.Context, e *orgstore.Engine, random *rand.Rand) (result orgstore.Result, err error) {
	d.mu.Lock()
	pick := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[random.IntN(len(list))]
	}
	org, other, user, role := pick(d.orgs), pick(d.orgs), pick(d.users), pick(d.roles)
	contract, grant := pick(d.contracts), pick(d.grants)
	var teamOrg, team, above string
	_, _ = fmt.Sscan(pick(d.teams), &teamOrg, &team)
	_, _ = fmt.Sscan(pick(d.teams), new(string), &above)
	d.mu.Unlock()
	add := func(to *[]string, id string) {
		d.mu.Lock()
		defer d.mu.Unlock()
		*to = append(*to, id)
	}
	switch random.IntN(24) {
	case 0, 1, 2:
		return e.Organizations.SetParent(ctx, org, other)
	case 3:
		return e.Organizations.SetParent(ctx, org, "")
	case 4, 5, 6:
		c := orgstore.Contract{Host: org, Guest: other, ContractTerms: orgstore.ContractTerms{
			Roles: []string{role}, Kinds: []string{"employee", "freelancer"}, Shares: []orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth}},
		}}
		switch random.IntN(4) {
		case 0:
			c.Role = pick(d.roles)
		case 1:
			c.Until = time.Now().Add(time.Hour)
		case 2:
			c.From = time.Now().Add(time.Hour)
		}
		made, result, err := e.Contracts.Create(ctx, c)
		if err == nil {
			add(&d.contracts, made.ID)
		}
		return result, err
	case 7:
		return e.Contracts.End(ctx, contract)
	case 8, 9:
		return e.Contracts.Update(ctx, contract, orgstore.ContractUpdate{Roles: &[]string{role}, From: new(time.Time{}), Role: new("")})
	case 10:
		return e.Contracts.Update(ctx, contract, orgstore.ContractUpdate{Kinds: &[]string{[]string{"employee", "freelancer", "other"}[random.IntN(3)]}})
	case 11:
		switch random.IntN(3) {
		case 0:
			return e.Users.SignOut(ctx, user)
		case 1:
			return e.Organizations.SignOut(ctx, org)
		}
		return e.Members.SignOut(ctx, org, user)
	case 12:
		return e.Organizations.SetSecurity(ctx, org, &orgstore.SecurityPolicy{MFA: random.IntN(2) == 0})
	case 13, 14:
		made, result, err := e.Teams.Create(ctx, orgstore.Team{Organization: org, Parent: above, Name: fmt.Sprint("team ", random.IntN(1000))})
		if err == nil {
			add(&d.teams, org+" "+made.ID)
		}
		return result, err
	case 15:
		return e.Teams.AssignRoles(ctx, teamOrg, team, role)
	case 16:
		return e.Teams.RemoveRoles(ctx, teamOrg, team, role)
	case 17, 18:
		return e.Teams.AddMember(ctx, teamOrg, team, user)
	case 19:
		switch random.IntN(3) {
		case 0:
			return e.Teams.RemoveMember(ctx, teamOrg, team, user)
		case 1:
			return e.Teams.Delete(ctx, teamOrg, team)
		}
		return e.Teams.Update(ctx, teamOrg, team, orgstore.TeamUpdate{Parent: &above})
	case 20:
		return e.ClientGrants.AddOrganization(ctx, grant, org)
	case 21:
		return e.ClientGrants.RemoveOrganization(ctx, grant, org)
	case 22:
		return e.ClientGrants.Update(ctx, grant, orgstore.ClientGrantUpdate{
			Scopes: &[]string{[]string{"read", "write"}[random.IntN(2)]}, AllowAnyOrganization: new(random.IntN(3) == 0),
		})
	}
	if random.IntN(4) == 0 {
		return e.Organizations.ScheduleDeletion(ctx, org, time.Now().Add(time.Hour))
	}
	return e.Members.Add(ctx, org, d.machine, orgstore.MemberOptions{Roles: []string{role}})
}

// concurrentDependants changes trees against suspensions, contracts against the removal of guests, and roles against their
// assignment, by several writers, while others ask. In the end every answer is the one that the engine gives.
func concurrentDependants(t *resolverTest) {
	const writers, readers, steps = 4, 2, 60
	ctx, e := t.Context(), t.engine
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	d := newDependants(t)
	d.users = []string{t.world.Hiroko.ID, t.world.Emilio.ID, t.world.Jonno.ID}
	d.orgs = []string{t.world.Org.ID, t.world.Other.ID}
	d.roles = []string{t.world.Admin.ID, t.world.Guide.ID}
	for _, name := range []string{"rocky", "summit", "basecamp"} {
		o, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		d.orgs = append(d.orgs, o.ID)
	}
	principals := append([]string{d.machine}, d.users...)
	done := make(chan struct{})
	var asking sync.WaitGroup
	for i := range readers {
		random := rand.New(rand.NewPCG(seed, uint64(100+i)))
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				q := orgstore.Query{Org: d.orgs[random.IntN(len(d.orgs))], Principal: principals[random.IntN(len(principals))]}
				if _, err := t.resolver.Resolve(ctx, q); err != nil && !errors.Is(err, orgstore.ErrUnavailable) {
					t.Errorf("Resolve: %v", err)
					return
				}
			}
		})
	}
	errs := together(writers, func(i int) error {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		pick := func(list []string) string { return list[random.IntN(len(list))] }
		for step := range steps {
			org, user, role := pick(d.orgs), pick(d.users), pick(d.roles)
			var err error
			switch random.IntN(16) {
			case 0:
				_, err = e.Organizations.Suspend(ctx, org)
			case 1, 2:
				_, err = e.Organizations.Resume(ctx, org)
			case 3:
				_, err = e.Members.Remove(ctx, org, user)
			case 4, 5:
				_, err = e.Members.Add(ctx, org, user, orgstore.MemberOptions{Roles: []string{role}})
			case 6:
				_, err = e.Roles.Update(ctx, role, orgstore.RoleUpdate{Permissions: &[]string{fmt.Sprint("p:", random.IntN(5))}})
			case 7:
				_, err = e.Members.AssignRoles(ctx, org, user, role)
			default:
				_, err = d.mutate(ctx, e, random)
			}
			if err != nil && !errors.Is(err, orgstore.ErrNotFound) {
				return fmt.Errorf("step %d: %w", step, err)
			}
		}
		return nil
	})
	close(done)
	asking.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	for _, org := range d.orgs {
		for _, principal := range principals {
			t.ask(org, principal)
		}
	}
}
