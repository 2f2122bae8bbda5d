package orgstoretest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

type outcome = orgstore.Result

// mutations are all ways to change answers, some of them more often than others: those that make more possible, or take back what
// refuses everything.
var mutations = slices.Concat(mutationsInOrder, mutationsAgain)

// mutationsInOrder each change something when they run in this order, with the first choice everywhere.
var mutationsInOrder = []mutation{
	{"Organizations.Create", func(c *chance) (outcome, error) {
		o, result, err := c.e.Organizations.Create(c.ctx, orgstore.Organization{Name: c.of(orgNames...)})
		if err != nil {
			return result, err
		}
		return c.made(orgsThere, o.ID, result, nil)
	}},
	{"Organizations.Update", func(c *chance) (outcome, error) {
		u := orgstore.OrganizationUpdate{Metadata: map[string]*string{"step": new(fmt.Sprint(c.n(3)))}}
		switch c.n(4) {
		case 1:
			u.Name = new(c.of(orgNames...))
		case 2:
			u.OwnerRole = new(c.of("", c.role()))
		}
		return c.e.Organizations.Update(c.ctx, c.org(), u)
	}},
	{"Organizations.SetParent", func(c *chance) (outcome, error) {
		parent := c.last(orgsThere)
		if c.n(4) == 1 {
			parent = ""
		}
		return c.e.Organizations.SetParent(c.ctx, c.org(), parent)
	}},
	{"Organizations.SetSecurity", func(c *chance) (outcome, error) {
		return c.e.Organizations.SetSecurity(c.ctx, c.org(), &orgstore.SecurityPolicy{MFA: c.n(2) == 0})
	}},
	{"Organizations.SignOut", func(c *chance) (outcome, error) { return c.e.Organizations.SignOut(c.ctx, c.org()) }},
	{"Organizations.Suspend", func(c *chance) (outcome, error) { return c.e.Organizations.Suspend(c.ctx, c.org()) }},
	{"Organizations.Resume", resume},
	{"Organizations.ScheduleDeletion", func(c *chance) (outcome, error) {
		return c.e.Organizations.ScheduleDeletion(c.ctx, c.org(), c.soon())
	}},
	{"Organizations.CancelDeletion", cancelDeletion},

	{"Users.Update", func(c *chance) (outcome, error) {
		return c.e.Users.Update(c.ctx, c.user(), orgstore.UserUpdate{Name: new(c.unique("name"))})
	}},
	{"Users.Block", func(c *chance) (outcome, error) { return c.e.Users.Block(c.ctx, c.user()) }},
	{"Users.Unblock", unblock},
	{"Users.SignOut", func(c *chance) (outcome, error) { return c.e.Users.SignOut(c.ctx, c.user()) }},
	{"Users.Link", func(c *chance) (outcome, error) { return c.e.Users.Link(c.ctx, c.user(), c.last(usersThere)) }},
	{"Users.Unlink", func(c *chance) (outcome, error) {
		_, result, err := c.e.Users.Unlink(c.ctx, c.user(), c.w.database, c.last(usersThere))
		return result, err
	}},
	{"Users.Delete", func(c *chance) (outcome, error) { return c.e.Users.Delete(c.ctx, c.last(usersThere)) }},
	{"Users.Create", createUser},
	{"Users.ForceDelete", func(c *chance) (outcome, error) { return c.e.Users.ForceDelete(c.ctx, c.last(usersThere)) }},
	{"Users.Create", createUser},
	{"Users.Erase", func(c *chance) (outcome, error) { return c.e.Users.Erase(c.ctx, c.last(usersThere)) }},
	{"Users.Create", createUser},

	{"Roles.Create", func(c *chance) (outcome, error) {
		r := orgstore.Role{Name: c.unique("role"), Permissions: []string{"p:1", "p:2"}, Template: true}
		if api := c.of(c.w.list(apisThere)...); api != "" {
			r.APIPermissions = map[string][]string{api: {"read"}}
		}
		made, result, err := c.e.Roles.Create(c.ctx, r)
		if err != nil {
			return result, err
		}
		return c.made(rolesThere, made.ID, result, nil)
	}},
	{"Roles.Create", func(c *chance) (outcome, error) {
		r := orgstore.Role{Organization: c.org(), Name: c.unique("org:role"), Base: c.last(rolesThere), Permissions: []string{c.of("p:1", "p:2")}}
		made, result, err := c.e.Roles.Create(c.ctx, r)
		if err != nil {
			return result, err
		}
		return c.made(ownRoles, r.Organization+" "+made.ID, result, nil)
	}},
	{"Roles.Update", func(c *chance) (outcome, error) {
		u := orgstore.RoleUpdate{Name: new(c.unique("role"))}
		switch c.n(4) {
		case 1, 2:
			u = orgstore.RoleUpdate{Permissions: new(c.some([]string{"p:0", "p:1", "p:2"}))}
		case 3:
			u = orgstore.RoleUpdate{Template: new(c.n(2) == 0)}
			if api := c.of(c.w.list(apisThere)...); api != "" {
				u.APIPermissions = map[string][]string{api: c.some([]string{"read", "write"})}
			}
		}
		return c.e.Roles.Update(c.ctx, c.last(rolesThere), u)
	}},
	{"Roles.Update", func(c *chance) (outcome, error) {
		_, role := c.owned(ownRoles)
		u := orgstore.RoleUpdate{Name: new(c.unique("org:role"))}
		switch c.n(4) {
		case 1:
			u = orgstore.RoleUpdate{Permissions: new(c.some([]string{"p:1", "p:2"})), FollowsBase: new(false)}
		case 3:
			u = orgstore.RoleUpdate{Permissions: &[]string{}, FollowsBase: new(true)}
		case 2:
			u = orgstore.RoleUpdate{Base: new(c.role())}
		}
		return c.e.Roles.Update(c.ctx, role, u)
	}},

	{"Members.Add", func(c *chance) (outcome, error) {
		org := c.last(orgsThere)
		return c.e.Members.Add(c.ctx, org, c.user(), orgstore.MemberOptions{
			Kind: c.of("employee", "freelancer"), Metadata: map[string]string{"team": c.of("a", "b")}, Roles: c.some([]string{c.roleIn(org)}),
			ExpiresAt: c.neverOrSoon(),
		})
	}},
	{"Members.Add", func(c *chance) (outcome, error) {
		org := c.org()
		return c.e.Members.Add(c.ctx, org, "auth0|jonno", orgstore.MemberOptions{Roles: []string{c.roleIn(org)}})
	}},
	{"Members.Update", func(c *chance) (outcome, error) {
		u := orgstore.MemberUpdate{Kind: new(c.of("freelancer", "employee", "guest")), Metadata: map[string]*string{"team": new(c.of("a", "b"))}}
		if c.n(2) == 1 {
			u = orgstore.MemberUpdate{ExpiresAt: new(c.neverOrSoon())}
		}
		return c.e.Members.Update(c.ctx, c.org(), c.user(), u)
	}},
	{"Members.Suspend", func(c *chance) (outcome, error) { return c.e.Members.Suspend(c.ctx, c.org(), c.user()) }},
	{"Members.Resume", resumeMember},
	{"Members.AssignRoles", func(c *chance) (outcome, error) {
		org := c.org()
		return c.e.Members.AssignRoles(c.ctx, org, c.user(), c.last(rolesThere))
	}},
	{"Members.RemoveRoles", func(c *chance) (outcome, error) {
		return c.e.Members.RemoveRoles(c.ctx, c.org(), c.user(), c.some(c.w.list(rolesThere))...)
	}},
	{"Members.SetRoles", func(c *chance) (outcome, error) {
		org := c.org()
		return c.e.Members.SetRoles(c.ctx, org, c.user(), c.roleIn(org))
	}},
	{"Members.Assign", func(c *chance) (outcome, error) {
		org := c.org()
		return c.e.Members.Assign(c.ctx, org, c.user(), orgstore.RoleAssignment{
			Role: c.roleIn(org), ExpiresAt: c.soon(), Descendants: c.n(2) == 0,
		})
	}},
	{"Members.Assign", func(c *chance) (outcome, error) {
		return c.e.Members.Assign(c.ctx, c.last(orgsThere), c.user(), orgstore.RoleAssignment{Role: c.role(), Descendants: true})
	}},
	{"Members.SignOut", func(c *chance) (outcome, error) { return c.e.Members.SignOut(c.ctx, c.org(), c.user()) }},
	{"Members.Remove", func(c *chance) (outcome, error) { return c.e.Members.Remove(c.ctx, c.last(orgsThere), c.user()) }},
	{"Members.AddAll", addAll},
	{"Members.RemoveAll", func(c *chance) (outcome, error) {
		_, result, err := c.e.Members.RemoveAll(c.ctx, c.last(orgsThere), c.some(c.w.list(usersThere)))
		return result, err
	}},

	{"Teams.Create", createTeam},
	{"Teams.Create", createTeam},
	{"Teams.AssignRoles", func(c *chance) (outcome, error) {
		org, team := c.owned(teamsThere)
		return c.e.Teams.AssignRoles(c.ctx, org, team, c.roleIn(org))
	}},
	{"Teams.AddMember", addToTeam},
	{"Teams.AddMember", func(c *chance) (outcome, error) {
		org, team := c.owned(teamsThere)
		return c.e.Teams.AddMember(c.ctx, org, team, "auth0|jonno")
	}},
	{"Teams.Update", func(c *chance) (outcome, error) {
		org, team := c.owned(teamsThere)
		u := orgstore.TeamUpdate{Name: new(c.unique("team"))}
		if c.n(3) > 0 {
			_, above := c.owned(teamsThere)
			u = orgstore.TeamUpdate{Parent: new(c.of("", above))}
		}
		return c.e.Teams.Update(c.ctx, org, team, u)
	}},
	{"Teams.RemoveMember", func(c *chance) (outcome, error) {
		org, team := c.owned(teamsThere)
		return c.e.Teams.RemoveMember(c.ctx, org, team, c.user())
	}},
	{"Teams.RemoveRoles", func(c *chance) (outcome, error) {
		org, team := c.owned(teamsThere)
		return c.e.Teams.RemoveRoles(c.ctx, org, team, c.roleIn(org))
	}},
	{"Teams.Delete", func(c *chance) (outcome, error) {
		org, team, _ := strings.Cut(c.last(teamsThere), " ")
		result, err := c.e.Teams.Delete(c.ctx, org, team)
		return c.ended(teamsThere, org+" "+team, result, err)
	}},

	{"Groups.Create", createGroup},
	{"Groups.Create", createGroup},
	{"Groups.AddMember", addToGroup},
	{"Groups.RemoveMember", func(c *chance) (outcome, error) {
		return c.e.Groups.RemoveMember(c.ctx, c.of(c.w.list(groupsThere)...), c.user())
	}},
	{"Groups.SetOfUser", func(c *chance) (outcome, error) {
		var names []string
		for _, id := range c.some(c.w.list(groupsThere)) {
			g, err := c.e.Groups.Get(c.ctx, id)
			if err != nil {
				return outcome{}, err
			}
			names = append(names, g.Name)
		}
		return c.e.Groups.SetOfUser(c.ctx, c.w.corp, c.user(), names...)
	}},
	{"Groups.Assign", assignGroup},
	{"Groups.AssignRoles", groupRoles},
	{"Groups.AssignRoles", func(c *chance) (outcome, error) { return c.groupRoles(c.last(rolesThere)) }},
	{"Groups.Update", func(c *chance) (outcome, error) {
		return c.e.Groups.Update(c.ctx, c.of(c.w.list(groupsThere)...), orgstore.GroupUpdate{Name: new(c.unique("group"))})
	}},
	{"Groups.RemoveRoles", func(c *chance) (outcome, error) {
		org := c.org()
		return c.e.Groups.RemoveRoles(c.ctx, org, c.of(c.w.list(groupsThere)...), c.roleIn(org))
	}},
	{"Groups.Unassign", func(c *chance) (outcome, error) {
		return c.e.Groups.Unassign(c.ctx, c.org(), c.of(c.w.list(groupsThere)...))
	}},
	{"Groups.Delete", func(c *chance) (outcome, error) {
		group := c.last(groupsThere)
		result, err := c.e.Groups.Delete(c.ctx, group)
		return c.ended(groupsThere, group, result, err)
	}},

	{"Contracts.Create", createContract},
	{"Contracts.Create", func(c *chance) (outcome, error) { return c.contract(c.last(orgsThere), c.org()) }},
	{"Contracts.Update", func(c *chance) (outcome, error) {
		_, team := c.owned(teamsThere)
		return c.e.Contracts.Update(c.ctx, c.of(c.w.list(contractsThere)...), []orgstore.ContractUpdate{
			{Kinds: &[]string{c.of("freelancer", "employee", "guest")}},
			{Roles: &[]string{c.role()}, From: &time.Time{}, Until: &time.Time{}, Role: new(""), Team: new(""), MetadataKey: new(""), MetadataValue: new("")},
			{Role: new(c.role())},
			{Team: &team},
			{MetadataKey: new("team"), MetadataValue: new(c.of("a", "b"))},
			{From: new(c.neverOrSoon())},
			{Until: new(c.neverOrSoon())},
			{Shares: &[]orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth, Until: c.neverOrSoon()}}},
		}[c.n(8)])
	}},
	{"Contracts.End", func(c *chance) (outcome, error) {
		id := c.of(c.w.list(contractsThere)...)
		result, err := c.e.Contracts.End(c.ctx, id)
		return c.ended(contractsThere, id, result, err)
	}},

	{"APIs.Create", createAPI},
	{"Clients.Create", createClient},
	{"Clients.Update", func(c *chance) (outcome, error) {
		return c.e.Clients.Update(c.ctx, c.last(clientsThere), orgstore.ClientUpdate{Name: new(c.unique("robot"))})
	}},
	{"ClientGrants.Create", createGrant},
	{"ClientGrants.Update", func(c *chance) (outcome, error) {
		return c.e.ClientGrants.Update(c.ctx, c.of(c.w.list(grantsThere)...), orgstore.ClientGrantUpdate{
			Scopes: &[]string{c.of("write", "read")}, AllowAnyOrganization: new(c.n(3) == 1),
		})
	}},
	{"ClientGrants.AddOrganization", func(c *chance) (outcome, error) {
		return c.e.ClientGrants.AddOrganization(c.ctx, c.of(c.w.list(grantsThere)...), c.org())
	}},
	{"ClientGrants.RemoveOrganization", func(c *chance) (outcome, error) {
		return c.e.ClientGrants.RemoveOrganization(c.ctx, c.of(c.w.list(grantsThere)...), c.org())
	}},
	{"Members.Add", func(c *chance) (outcome, error) {
		return c.e.Members.Add(c.ctx, c.org(), orgstore.ClientPrincipal(c.last(clientsThere)), orgstore.MemberOptions{Roles: []string{c.role()}})
	}},
	{"APIs.Update", func(c *chance) (outcome, error) {
		return c.e.APIs.Update(c.ctx, c.of(c.w.list(apisThere)...), orgstore.APIUpdate{
			Permissions: &[]orgstore.APIPermission{{Name: c.of("read", "write")}},
		})
	}},
	{"ClientGrants.Delete", func(c *chance) (outcome, error) {
		grant := c.of(c.w.list(grantsThere)...)
		result, err := c.e.ClientGrants.Delete(c.ctx, grant)
		return c.ended(grantsThere, grant, result, err)
	}},
	{"ClientGrants.Create", createGrant},
	{"APIs.Delete", func(c *chance) (outcome, error) {
		api := c.last(apisThere)
		result, err := c.e.APIs.Delete(c.ctx, api)
		return c.ended(apisThere, api, result, err)
	}},
	{"Clients.Delete", func(c *chance) (outcome, error) {
		client := c.last(clientsThere)
		result, err := c.e.Clients.Delete(c.ctx, client)
		return c.ended(clientsThere, client, result, err)
	}},
	{"Clients.Create", createClient},
	{"ClientGrants.Create", createGrant},

	{"Invitations.Accept", func(c *chance) (outcome, error) {
		org, user := c.last(orgsThere), c.user()
		i, _, err := c.e.Invitations.Create(c.ctx, org, orgstore.InvitationOptions{
			InviterName: "Ada", Email: mailOf(user), Client: c.w.client, Roles: []string{c.roleIn(org)},
		})
		if err != nil {
			return outcome{}, err
		}
		_, result, err := c.e.Invitations.Accept(c.ctx, i.Ticket, orgstore.AcceptOptions{User: user})
		return result, err
	}},
	{"Requests.Approve", func(c *chance) (outcome, error) {
		org, user := c.last(orgsThere), c.last(usersThere)
		r, _, err := c.e.Requests.Create(c.ctx, org, user, "")
		if err != nil {
			return outcome{}, err
		}
		return c.e.Requests.Approve(c.ctx, org, r.ID, orgstore.MemberOptions{Roles: []string{c.roleIn(org)}})
	}},
	{"Requests.ByDomain", func(c *chance) (outcome, error) {
		user := c.user()
		_, result, err := c.e.Requests.ByDomain(c.ctx, c.w.domain, user, mailOf(user))
		return result, err
	}},

	{"Roles.Delete", func(c *chance) (outcome, error) {
		role := c.last(rolesThere)
		if len(c.w.list(rolesThere)) <= 2 {
			return outcome{}, orgstore.ErrNotFound
		}
		result, err := c.e.Roles.Delete(c.ctx, role)
		return c.ended(rolesThere, role, result, err)
	}},
	{"Organizations.Delete", func(c *chance) (outcome, error) {
		org := c.last(orgsThere)
		if len(c.w.list(orgsThere)) <= 2 || org == c.w.domain {
			return outcome{}, orgstore.ErrNotFound
		}
		result, err := c.e.Organizations.Delete(c.ctx, org)
		return c.ended(orgsThere, org, result, err)
	}},
}

var mutationsAgain = []mutation{
	{"Organizations.Resume", resume},
	{"Organizations.CancelDeletion", cancelDeletion},
	{"Users.Unblock", unblock},
	{"Members.Resume", resumeMember},
	{"Members.AddAll", addAll},
	{"Teams.AddMember", addToTeam},
	{"Groups.AddMember", addToGroup},
	{"Groups.Assign", assignGroup},
	{"Groups.AssignRoles", groupRoles},
	{"Contracts.Create", createContract},
	{"what is over is cleaned", func(c *chance) (outcome, error) {
		n, err := c.e.Clean(c.ctx)
		return outcome{Changed: n > 0}, err
	}},
	{"time", func(c *chance) (outcome, error) {
		c.w.frozen.advance([]time.Duration{time.Second, 2 * time.Second, time.Minute, time.Hour}[c.n(4)])
		return outcome{}, nil
	}},
}

func resume(c *chance) (outcome, error) { return c.e.Organizations.Resume(c.ctx, c.org()) }

func cancelDeletion(c *chance) (outcome, error) {
	return c.e.Organizations.CancelDeletion(c.ctx, c.org())
}

func unblock(c *chance) (outcome, error) { return c.e.Users.Unblock(c.ctx, c.user()) }

func resumeMember(c *chance) (outcome, error) { return c.e.Members.Resume(c.ctx, c.org(), c.user()) }

func createUser(c *chance) (outcome, error) {
	_, result, err := c.newUser(c.last(usersThere))
	return result, err
}

func addAll(c *chance) (outcome, error) {
	var list []orgstore.MemberAdd
	for _, user := range c.some(c.w.list(usersThere)) {
		list = append(list, orgstore.MemberAdd{User: user, MemberOptions: orgstore.MemberOptions{Roles: []string{c.role()}, ExpiresAt: c.neverOrSoon()}})
	}
	_, result, err := c.e.Members.AddAll(c.ctx, c.last(orgsThere), list)
	return result, err
}

func createTeam(c *chance) (outcome, error) {
	org := c.org()
	in, above := c.owned(teamsThere)
	if in != org {
		above = ""
	}
	made, result, err := c.e.Teams.Create(c.ctx, orgstore.Team{Organization: org, Parent: above, Name: c.unique("team")})
	if err != nil {
		return result, err
	}
	return c.made(teamsThere, org+" "+made.ID, result, nil)
}

func addToTeam(c *chance) (outcome, error) {
	org, team := c.owned(teamsThere)
	return c.e.Teams.AddMember(c.ctx, org, team, c.user())
}

func createGroup(c *chance) (outcome, error) {
	made, result, err := c.e.Groups.Create(c.ctx, orgstore.Group{Connection: c.w.corp, Name: c.unique("group")})
	if err != nil {
		return result, err
	}
	return c.made(groupsThere, made.ID, result, nil)
}

func addToGroup(c *chance) (outcome, error) {
	return c.e.Groups.AddMember(c.ctx, c.of(c.w.list(groupsThere)...), c.user())
}

func assignGroup(c *chance) (outcome, error) {
	return c.e.Groups.Assign(c.ctx, c.org(), c.of(c.w.list(groupsThere)...))
}

func groupRoles(c *chance) (outcome, error) { return c.groupRoles("") }

func (c *chance) groupRoles(role string) (outcome, error) {
	org := c.org()
	if role == "" {
		role = c.roleIn(org)
	}
	return c.e.Groups.AssignRoles(c.ctx, org, c.of(c.w.list(groupsThere)...), role)
}

func createContract(c *chance) (outcome, error) { return c.contract(c.org(), c.last(orgsThere)) }

func (c *chance) contract(host, guest string) (outcome, error) {
	terms := orgstore.ContractTerms{Roles: []string{c.roleIn(host)}, Kinds: []string{"employee", "freelancer"}}
	if c.n(3) == 1 {
		terms.From, terms.Until = c.neverOrSoon(), c.soon().Add(24*time.Hour)
	}
	made, result, err := c.e.Contracts.Create(c.ctx, orgstore.Contract{Host: host, Guest: guest, ContractTerms: terms})
	if err != nil {
		return result, err
	}
	return c.made(contractsThere, made.ID, result, nil)
}

func createAPI(c *chance) (outcome, error) {
	made, result, err := c.e.APIs.Create(c.ctx, orgstore.API{Identifier: "https://api/" + c.unique("")[1:], Permissions: apiPermissions})
	if err != nil {
		return result, err
	}
	return c.made(apisThere, made.Identifier, result, nil)
}

// createClient makes an application, whose principal may be asked for from then on.
func createClient(c *chance) (outcome, error) {
	if len(c.w.list(clientsThere)) > 1 {
		return outcome{}, orgstore.ErrLimit
	}
	made, result, err := c.e.Clients.Create(c.ctx, orgstore.Client{Name: "robot", FirstParty: true, GrantTypes: []string{"client_credentials"}})
	if err != nil {
		return result, err
	}
	c.w.mu.Lock()
	c.w.known = append(c.w.known, orgstore.ClientPrincipal(made.ID))
	c.w.mu.Unlock()
	return c.made(clientsThere, made.ID, result, nil)
}

func createGrant(c *chance) (outcome, error) {
	made, result, err := c.e.ClientGrants.Create(c.ctx, orgstore.ClientGrant{
		ClientID: c.last(clientsThere), Audience: c.of(c.w.list(apisThere)...), Scopes: []string{"read"}, OrganizationUsage: orgstore.OrganizationAllow,
	})
	if err != nil {
		return result, err
	}
	return c.made(grantsThere, made.ID, result, nil)
}
