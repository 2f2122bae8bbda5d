package login

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

// New returns a Service for the organizations, applications and connections of engine.
func New(engine *orgstore.Engine, cfg Config) (*Service, error) {
	if engine == nil {
		return nil, errors.New("login: New needs an engine")
	}
	s := &Service{engine: engine, cfg: cfg}
	s.facts = s.read
	return s, nil
}

// read returns the application, and the facts that e knows for it.
func (s *Service) read(ctx context.Context, e *orgstore.Engine, id string) (store, *orgstore.Client, error) {
	c, err := e.Clients.Get(ctx, id)
	if errors.Is(err, orgstore.ErrNotFound) {
		return nil, nil, &Error{Code: UnauthorizedClient, Description: "unknown client", Show: true}
	}
	if err != nil {
		return nil, nil, err
	}
	tenant, err := e.Tenant.Get(ctx)
	return &facts{e, c, tenant}, c, err
}

// facts are those of an engine, for one application.
type facts struct {
	e      *orgstore.Engine
	client *orgstore.Client
	tenant *orgstore.TenantSettings
}

func (f *facts) settings() *orgstore.TenantSettings { return f.tenant }

func (f *facts) organization(ctx context.Context, ref string) (organization, error) {
	get := f.e.Organizations.GetByName
	if orgstore.IsOrganizationID(ref) {
		get = f.e.Organizations.Get
	}
	o, err := get(ctx, ref)
	if err != nil {
		return organization{}, err
	}
	return f.seen(ctx, o)
}

func (f *facts) atHost(ctx context.Context, host string) (organization, error) {
	o, err := f.e.Organizations.GetByLoginDomain(ctx, host)
	if err != nil {
		return organization{}, err
	}
	return f.seen(ctx, o)
}

// seen is o as the application sees it.
func (f *facts) seen(ctx context.Context, o *orgstore.Organization) (organization, error) {
	seen := organization{
		Organization: Organization{o.ID, o.Name, o.DisplayName}, thirdParties: o.ThirdPartyClientAccess == orgstore.ClientAccessAllow,
		entitlement: o.AppEntitlement, landing: o.InvitationRedirectURL,
	}
	if o.AppEntitlement {
		access, err := f.e.OrganizationClients.Get(ctx, o.ID, f.client.ID)
		if err != nil && !errors.Is(err, orgstore.ErrNotFound) {
			return seen, err
		}
		seen.listed = err == nil
		seen.entitled = seen.listed && access.UseForMemberAccess
	}
	// What nobody is in the organization says whether it, or one above it, is suspended.
	access, err := f.e.Resolve(ctx, orgstore.Query{Org: o.ID, Strong: true})
	if err != nil {
		return seen, err
	}
	seen.suspended = access.Standing != orgstore.StandingNotMember
	seen.security = access.Org.Security
	return seen, nil
}

func (f *facts) discover(ctx context.Context, domain string) (found []organization, err error) {
	matches, err := f.e.DiscoveryDomains.Discover(ctx, domain, orgstore.ListOptions{Limit: pickerPage})
	if errors.Is(err, orgstore.ErrInvalid) {
		return nil, nil // there can be no such domain
	}
	if err != nil {
		return nil, err
	}
	for _, m := range matches.Items {
		o, err := f.seen(ctx, m.Organization)
		if err != nil {
			return nil, err
		}
		found = append(found, o)
	}
	return found, nil
}

func (f *facts) memberships(ctx context.Context, user, query, after string) (found []Organization, next string, err error) {
	order := orgstore.ListOptions{Limit: pickerPage, After: after, Sort: orgstore.SortUsed, Descending: true}
	switch f.tenant.PickerOrder {
	case orgstore.PickByName:
		order.Sort, order.Descending = orgstore.SortName, false
	case orgstore.PickByJoin:
		order.Sort, order.Descending = orgstore.SortCreated, false
	}
	page, err := f.e.Users.Organizations(ctx, user, orgstore.MembershipListOptions{
		ListOptions: order,
		Status:      orgstore.MemberActive, OrganizationStatus: orgstore.OrganizationActive, Query: query,
	})
	if errors.Is(err, orgstore.ErrNotFound) {
		return nil, "", denied("user is unknown")
	}
	if err != nil {
		return nil, "", err
	}
	for _, m := range page.Items {
		found = append(found, Organization{m.Organization.ID, m.Organization.Name, m.Organization.DisplayName})
	}
	return found, page.Next, nil
}

func (f *facts) organizationConnections(ctx context.Context, org string) (found []Connection, err error) {
	enabled, err := f.e.EnabledConnections.List(ctx, org, orgstore.EnabledConnectionListOptions{
		ListOptions: orgstore.ListOptions{Limit: 1000}, Enabled: new(true),
	})
	if err != nil {
		return nil, err
	}
	all, err := f.list(ctx, orgstore.ConnectionListOptions{Organization: org})
	for _, ec := range enabled.Items { // an organization has few
		if c, ok := named(all, ec.ConnectionID); ok { // not deleted meanwhile
			hidden := c.Kind() == orgstore.ConnectionEnterprise && !ec.ShowAsButton
			found = append(found, Connection{c.Connection, ec.Signup, hidden, ec.AssignMembershipOnLogin})
		}
	}
	return found, err
}

func (f *facts) clientConnections(ctx context.Context, client string) ([]Connection, error) {
	return f.list(ctx, orgstore.ConnectionListOptions{Client: client})
}

func (f *facts) enterpriseConnections(ctx context.Context, domain string) ([]Connection, error) {
	return f.list(ctx, orgstore.ConnectionListOptions{Domain: domain, Enabled: true})
}

// list returns all connections that opts admits.
func (f *facts) list(ctx context.Context, opts orgstore.ConnectionListOptions) (found []Connection, err error) {
	for opts.Limit = 1000; ; {
		page, err := f.e.Connections.List(ctx, opts)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Items {
			found = append(found, Connection{Connection: *c, SignUp: c.Signup})
		}
		if opts.After = page.Next; opts.After == "" {
			return found, nil
		}
	}
}

func (f *facts) assigning(ctx context.Context, connection string) (found []string, err error) {
	enabled, err := f.e.EnabledConnections.ListByConnection(ctx, connection, orgstore.EnabledConnectionListOptions{
		ListOptions: orgstore.ListOptions{Limit: 2}, Enabled: new(true), AssignMembership: new(true),
	})
	if err != nil {
		return nil, err
	}
	for _, ec := range enabled.Items {
		found = append(found, ec.Organization)
	}
	return found, nil
}

func (f *facts) joinable(ctx context.Context, org, email string) (orgstore.AutoJoin, error) {
	for opts := (orgstore.ListOptions{Limit: 1000}); ; {
		page, err := f.e.DiscoveryDomains.Joinable(ctx, email, opts)
		if errors.Is(err, orgstore.ErrInvalid) {
			return orgstore.AutoJoinOff, nil // there can be no such domain
		}
		if err != nil {
			return orgstore.AutoJoinOff, err
		}
		for _, m := range page.Items {
			if m.Organization.ID == org {
				return m.Organization.AutoJoin, nil
			}
		}
		if opts.After = page.Next; opts.After == "" {
			return orgstore.AutoJoinOff, nil
		}
	}
}

func (f *facts) invitation(ctx context.Context, ticket string) (*orgstore.Invitation, error) {
	return f.e.Invitations.GetByTicket(ctx, ticket)
}

func (f *facts) hasAddress(ctx context.Context, user, connection, email string) (bool, error) {
	u, err := f.e.Users.Get(ctx, user)
	if errors.Is(err, orgstore.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(u.Identities, func(i orgstore.Identity) bool {
		return i.Connection == connection && strings.EqualFold(i.Email, email)
	}), nil
}

func (f *facts) defaultDatabase(ctx context.Context) (c Connection, ok bool, err error) {
	if f.tenant.DefaultDirectory == "" {
		return c, false, nil
	}
	found, err := f.e.Connections.Get(ctx, f.tenant.DefaultDirectory)
	if errors.Is(err, orgstore.ErrNotFound) {
		return c, false, nil
	}
	if err != nil {
		return c, false, err
	}
	return Connection{Connection: *found, SignUp: found.Signup}, true, nil
}
