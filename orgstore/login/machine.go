package login

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// MachineRequest asks for an access token of an application that acts for itself (RFC 6749 section 4.4).
type MachineRequest struct {
	Client string // client_id
	Secret string // client_secret
	// Authenticated says that the application has proven who it is by other means than Secret, which does not count then.
	Authenticated bool

	Audience     string // identifier of an API
	Organization string // id, or a name where the tenant allows names; empty when the application sent none
	Scope        string // separated by spaces; empty for all that the client grant permits
}

// ClientCredentials returns the access token of an application that acts for itself, in an organization's context where its client
// grant wants one (rules M2M-1, M2M-2). The token counts against the organization's quota (rule M2M-4).
//
// Errors: *Error for a "no": too_many_requests, with RetryAt, when an enforced quota is used up; ErrUnavailable and the context's
// error for a "don't know".
func (s *Service) ClientCredentials(ctx context.Context, req MachineRequest) (*Tokens, error) {
	client, err := s.machine(ctx, req)
	if err != nil {
		return nil, err
	}
	grant, err := s.grant(ctx, client, req.Audience)
	if err != nil {
		return nil, err
	}
	ref, err := grantedFor(grant, client, req.Organization)
	if err != nil {
		return nil, err
	}
	f, err := s.flow(ctx, s.engine, Request{Client: client.ID, Organization: ref})
	if err != nil {
		return nil, err
	}
	facts := &Facts{
		Client: client, Grant: grant, Scope: req.Scope, Now: s.cfg.now(), Names: f.store.settings().OrganizationNames, RolesClaim: s.cfg.RolesClaim,
	}
	if facts.API, err = audience(ctx, s.engine, req.Audience); err != nil {
		return nil, err
	}
	if ref == "" {
		return facts.tokens(), nil
	}
	if facts.Access, err = f.entitled(ctx, s.engine, grant); err != nil {
		return nil, err
	}
	use, err := s.count(ctx, facts, f.store.settings())
	if err != nil {
		return nil, err
	}
	t := facts.tokens()
	t.Quota = use
	return t, nil
}

// machine returns the application, which has proven who it is.
func (s *Service) machine(ctx context.Context, req MachineRequest) (c *orgstore.Client, err error) {
	if req.Authenticated {
		c, err = s.engine.Clients.Get(ctx, req.Client)
	} else {
		c, err = s.engine.Clients.Authenticate(ctx, req.Client, req.Secret)
	}
	switch {
	case errors.Is(err, orgstore.ErrNotFound):
		return nil, &Error{Code: InvalidClient, Description: "the client is unknown, or its secret is wrong"}
	case err != nil:
		return nil, err
	case !slices.Contains(c.GrantTypes, "client_credentials"):
		return nil, &Error{Code: UnauthorizedClient, Description: "the grant type client_credentials is not allowed for this client"}
	}
	return c, nil
}

// grant returns the client grant of an application for an API. No grant and no API are one answer.
func (s *Service) grant(ctx context.Context, c *orgstore.Client, audience string) (*orgstore.ClientGrant, error) {
	if audience == "" {
		return nil, invalid("parameter audience is required")
	}
	page, err := s.engine.ClientGrants.List(ctx, orgstore.ClientGrantListOptions{Client: c.ID, Audience: audience})
	if err != nil {
		return nil, err
	}
	if len(page.Items) == 0 {
		return nil, denied("the client is not authorized to access the audience")
	}
	return page.Items[0], nil
}

// grantedFor returns the organization that a client grant is to be used for: an id, a name, or empty for none (rule M2M-1).
func grantedFor(g *orgstore.ClientGrant, c *orgstore.Client, sent string) (string, error) {
	switch g.OrganizationUsage {
	case orgstore.OrganizationAllow:
		return sent, nil
	case orgstore.OrganizationRequire:
		if sent == "" && c.DefaultOrganization != nil && slices.Contains(c.DefaultOrganization.Flows, "client_credentials") {
			return c.DefaultOrganization.OrganizationID, nil
		}
		if sent == "" {
			return "", invalid("parameter organization is required for this client grant")
		}
		return sent, nil
	}
	if sent != "" {
		return "", invalid("parameter organization is not allowed for this client grant")
	}
	return "", nil
}

// entitled returns what the application is in the organization of the request. An organization that is unknown or suspended, or
// that the grant does not reach, gives one answer.
func (f *flow) entitled(ctx context.Context, e *orgstore.Engine, g *orgstore.ClientGrant) (*orgstore.Access, error) {
	ref := f.req.Organization
	if !orgstore.IsOrganizationID(ref) && !f.store.settings().OrganizationNames {
		return nil, errNamesOff
	}
	a, err := e.Resolve(ctx, orgstore.Query{Org: ref, Principal: orgstore.ClientPrincipal(f.client.ID), Strong: true})
	if err != nil {
		return nil, err
	}
	if a.Standing != orgstore.StandingMember {
		return nil, invalidOrganization(ref)
	}
	if g.AllowAnyOrganization && f.client.FirstParty {
		return a, nil
	}
	page, err := e.ClientGrants.ListByOrganization(ctx, a.Org.ID, orgstore.ClientGrantListOptions{Client: g.ClientID, Audience: g.Audience})
	if errors.Is(err, orgstore.ErrNotFound) || err == nil && len(page.Items) == 0 {
		return nil, invalidOrganization(ref)
	}
	return a, err
}

// count counts a token against the quota of its organization, or else against the tenant's default.
func (s *Service) count(ctx context.Context, f *Facts, tenant *orgstore.TenantSettings) (*orgstore.QuotaUse, error) {
	org := f.Access.Org.ID
	o, err := s.engine.Organizations.Get(ctx, org)
	if errors.Is(err, orgstore.ErrNotFound) {
		return nil, invalidOrganization(org)
	}
	if err != nil {
		return nil, err
	}
	quota := o.TokenQuota.ClientCredentials
	if quota == (orgstore.Quota{}) {
		quota = tenant.DefaultTokenQuota.ClientCredentials
	}
	use, err := s.engine.Clients.CountToken(ctx, f.Client.ID, org, quota)
	if over, ok := errors.AsType[*orgstore.Limit](err); ok {
		period, length := "hour", time.Hour
		if over.Name == "tokens per day" {
			period, length = "day", 24*time.Hour
		}
		return nil, &Error{
			Code: TooManyRequests, Description: "the organization's quota of tokens per " + period + " is used up",
			RetryAt: f.Now.UTC().Truncate(length).Add(length),
		}
	}
	if err != nil {
		return nil, err
	}
	return &use, nil
}
