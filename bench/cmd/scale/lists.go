package main

import (
	"context"

	"github.com/orgauthz/orgauthz/orgstore"
)

// list is a list of the engine with a way through it.
type list struct {
	name string
	page func(ctx context.Context, e *orgstore.Engine, limit int, after string) (n int, next string, err error)
	// jump returns After of the page that begins at such a part of the list; nil where it is looked for page by page.
	jump func(part float64) string
	// short lists have less than one page.
	short bool
}

// of makes a list of a method of the engine.
func of[T any](name string, sort orgstore.Sort, page func(context.Context, *orgstore.Engine, orgstore.ListOptions) (orgstore.Page[T], error)) list {
	descending := false
	switch {
	case len(sort) > 0 && sort[0] == '-':
		sort, descending = sort[1:], true
		name += ", by " + string(sort) + " descending"
	case sort != "":
		name += ", by " + string(sort)
	}
	return list{name: name, page: func(ctx context.Context, e *orgstore.Engine, limit int, after string) (int, string, error) {
		p, err := page(ctx, e, orgstore.ListOptions{Limit: limit, After: after, Sort: sort, Descending: descending})
		return len(p.Items), p.Next, err
	}}
}

// place is where a part of a list of so many items begins, with a page left before and after it.
func place(part float64, items int) int {
	return max(2*pageSize, int(part*float64(items-3*pageSize)))
}

// few marks lists that have less than one page.
func few(l list) list {
	l.short = true
	return l
}

// lists are all lists of w that grow with it, with their filters.
func (w *world) lists() []list {
	var all []list
	add := func(l ...list) { all = append(all, l...) }
	type options = orgstore.ListOptions
	type engine = orgstore.Engine
	first, id, name, created, used := orgID(0), orgstore.SortID, orgstore.SortName, orgstore.SortCreated, orgstore.SortUsed

	organizations := func(title string, sort orgstore.Sort, with orgstore.OrganizationListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Organization], error) {
			with.ListOptions = o
			return e.Organizations.List(ctx, with)
		})
	}
	for _, sort := range []orgstore.Sort{id, name, created, "-" + created} {
		add(organizations("organizations", sort, orgstore.OrganizationListOptions{}))
	}
	for _, sort := range []orgstore.Sort{id, name, created} {
		add(organizations("organizations suspended", sort, orgstore.OrganizationListOptions{Status: orgstore.OrganizationSuspended}))
	}
	add(organizations("organizations searched, many", id, orgstore.OrganizationListOptions{Query: "company-00000"}),
		organizations("organizations searched, many", name, orgstore.OrganizationListOptions{Query: "company-00000"}),
		organizations("organizations searched, many", created, orgstore.OrganizationListOptions{Query: "the company-00000"}),
		few(organizations("organizations searched, one", id, orgstore.OrganizationListOptions{Query: "company-00000042"})),
		few(organizations("organizations searched, one", created, orgstore.OrganizationListOptions{Query: "the company-00000042"})),
		organizations("organizations with a domain", id, orgstore.OrganizationListOptions{Domain: shared}),
		organizations("organizations with a connection", id, orgstore.OrganizationListOptions{Connection: connectionID}),
		of("organizations below one", id, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Organization], error) {
			return e.Organizations.Children(ctx, orgID(1), o)
		}),
		of("organizations of a client grant", id, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Organization], error) {
			return e.ClientGrants.Organizations(ctx, grantID, o)
		}),
		of("organizations of an e-mail domain", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[orgstore.DomainMatch], error) {
			return e.DiscoveryDomains.Discover(ctx, "a@"+shared, o)
		}))

	users := func(title string, sort orgstore.Sort, with orgstore.UserListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.User], error) {
			with.ListOptions = o
			return e.Users.List(ctx, with)
		})
	}
	for _, sort := range []orgstore.Sort{id, name, created} {
		add(users("users", sort, orgstore.UserListOptions{}))
	}
	add(users("users searched, many", id, orgstore.UserListOptions{Query: "emilio"}),
		users("users searched, many", name, orgstore.UserListOptions{Query: "emilio"}),
		few(users("users searched, one", id, orgstore.UserListOptions{Query: "u00000042@"})),
		few(users("users searched, one", created, orgstore.UserListOptions{Query: "u00000042@"})),
		users("users blocked", id, orgstore.UserListOptions{Blocked: new(true)}),
		users("users blocked", name, orgstore.UserListOptions{Blocked: new(true)}),
		users("users not blocked", created, orgstore.UserListOptions{Blocked: new(false)}),
		users("users of a connection", id, orgstore.UserListOptions{Connection: connectionID}),
		of("users of a group", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.GroupMember], error) {
			return e.Groups.Members(ctx, groupID, o)
		}))

	members := func(title string, sort orgstore.Sort, with orgstore.MemberListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Member], error) {
			with.ListOptions = o
			return e.Members.List(ctx, first, with)
		})
	}
	for _, sort := range []orgstore.Sort{id, name, created, "-" + name} {
		add(members("members", sort, orgstore.MemberListOptions{}))
	}
	for _, sort := range []orgstore.Sort{id, name, created} {
		add(members("members who are guests", sort, orgstore.MemberListOptions{Kind: "guest"}),
			members("members suspended", sort, orgstore.MemberListOptions{Status: orgstore.MemberSuspended}))
	}
	add(members("members imported", id, orgstore.MemberListOptions{JoinedBy: "import"}),
		members("members with a role", id, orgstore.MemberListOptions{Role: roleID(1)}),
		members("members with a role", name, orgstore.MemberListOptions{Role: roleID(1)}),
		members("members in a team", id, orgstore.MemberListOptions{Team: teamID(0)}),
		members("members in a team", name, orgstore.MemberListOptions{Team: teamID(0)}),
		members("members searched, many", id, orgstore.MemberListOptions{Query: "emilio"}),
		members("members searched, many", name, orgstore.MemberListOptions{Query: "emilio"}),
		few(members("members searched, one", id, orgstore.MemberListOptions{Query: w.email(42)})))

	memberships := func(title string, sort orgstore.Sort, with orgstore.MembershipListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Membership], error) {
			with.ListOptions = o
			return e.Users.Organizations(ctx, userID(w.users), with)
		})
	}
	for _, sort := range []orgstore.Sort{id, name, created, "-" + used} {
		add(memberships("a user's organizations", sort, orgstore.MembershipListOptions{}))
	}
	add(memberships("a user's organizations searched", id, orgstore.MembershipListOptions{Query: "company-000"}))

	events := func(title string, with orgstore.EventOptions) list {
		return list{name: title, page: func(ctx context.Context, e *engine, limit int, after string) (int, string, error) {
			with.Limit, with.After = limit, after
			p, err := e.Events.List(ctx, with)
			return len(p.Items), p.Next, err
		}}
	}
	everything := 2*w.orgs + w.memberships + w.users
	every := func(title string, with orgstore.EventOptions) list {
		l := events(title, with)
		l.jump = func(part float64) string {
			if with.Descending {
				part = 1 - part
			}
			return w.eventID(place(part, everything))
		}
		return l
	}
	among := every("events, by beginning of type", orgstore.EventOptions{Type: "organization.member."})
	among.jump = func(part float64) string { return w.eventID(w.orgs + place(part, w.memberships)) }
	add(every("events", orgstore.EventOptions{}),
		every("events descending", orgstore.EventOptions{Descending: true}),
		events("events of an organization", orgstore.EventOptions{Organization: first}),
		events("events of an organization descending", orgstore.EventOptions{Organization: first, Descending: true}),
		events("events of an organization, by type", orgstore.EventOptions{Organization: first, Type: "organization.request.created"}),
		events("events of an organization, by beginning of type", orgstore.EventOptions{Organization: first, Type: "organization.request."}),
		every("events, by type", orgstore.EventOptions{Type: "user.created"}),
		among,
		events("events, by beginning of a rare type", orgstore.EventOptions{Type: "organization.request."}),
		events("events of an actor", orgstore.EventOptions{Actor: userID(0)}),
		few(events("events of a target", orgstore.EventOptions{Target: userID(42)})),
		few(events("events of a scope", orgstore.EventOptions{Scope: orgstore.UserScope(userID(42))})))
	all[len(all)-6].jump = func(part float64) string { return w.eventID(w.orgs + w.memberships + place(part, w.users)) }

	for _, sort := range []orgstore.Sort{id, name, created} {
		add(of("roles of the tenant", sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Role], error) {
			return e.Roles.List(ctx, orgstore.RoleListOptions{ListOptions: o})
		}), of("roles of an organization", sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Role], error) {
			return e.Roles.List(ctx, orgstore.RoleListOptions{ListOptions: o, Organization: first})
		}), of("teams", sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Team], error) {
			return e.Teams.List(ctx, first, orgstore.TeamListOptions{ListOptions: o})
		}), of("API keys", sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.APIKey], error) {
			return e.APIKeys.List(ctx, first, o)
		}))
	}
	requests := func(title string, sort orgstore.Sort, with orgstore.RequestListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Request], error) {
			with.ListOptions = o
			return e.Requests.List(ctx, first, with)
		})
	}
	sessions := func(title string, sort orgstore.Sort, with orgstore.SessionListOptions) list {
		return of(title, sort, func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Session], error) {
			with.ListOptions = o
			return e.Sessions.List(ctx, with)
		})
	}
	add(of("members of a team", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.TeamMember], error) {
		return e.Teams.Members(ctx, first, teamID(0), o)
	}), few(of("teams of a member", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Team], error) {
		return e.Teams.List(ctx, first, orgstore.TeamListOptions{ListOptions: o, Member: userID(42)})
	})),
		requests("requests", id, orgstore.RequestListOptions{}),
		requests("requests", created, orgstore.RequestListOptions{}),
		requests("requests declined", id, orgstore.RequestListOptions{Status: orgstore.RequestDeclined}),
		requests("requests pending", created, orgstore.RequestListOptions{Status: orgstore.RequestPending}),
		sessions("sessions of a user", id, orgstore.SessionListOptions{User: userID(0)}),
		sessions("sessions of a user", created, orgstore.SessionListOptions{User: userID(0)}),
		sessions("sessions of an organization", id, orgstore.SessionListOptions{Organization: first}),
		of("contracts of a host", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Contract], error) {
			return e.Contracts.ListByHost(ctx, orgID(3), o)
		}),
		few(of("contracts of a guest", "", func(ctx context.Context, e *engine, o options) (orgstore.Page[*orgstore.Contract], error) {
			return e.Contracts.ListByGuest(ctx, orgID(guests[0]), o)
		})))
	for _, sort := range []orgstore.Sort{id, created} {
		type page = orgstore.Page[*orgstore.EnabledConnection]
		add(of("organizations of a connection", sort, func(ctx context.Context, e *engine, o options) (page, error) {
			return e.EnabledConnections.ListByConnection(ctx, connectionID, orgstore.EnabledConnectionListOptions{ListOptions: o})
		}))
	}
	return all
}
