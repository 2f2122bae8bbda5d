package login

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// SwitchRequest asks for tokens of another organization in a session, without a new login (rule TOK-6).
type SwitchRequest struct {
	Client       string     // client_id of the application, which has proven who it is
	Session      string     // id of the session: the claim sid of the token that is exchanged, which has been verified
	Organization string     // id, or a name where the tenant allows names
	Audience     string     // identifier of the API that the access token is for; empty for no access token
	Scope        string     // separated by spaces
	Address      netip.Addr // of the user's device; see Authentication.Address
}

// Switch returns what to sign for another organization in a session that is active, without a new login: in the form of a token
// exchange (RFC 8693), whose subject token names the session. The application has to allow organizations, the user to be a member,
// the connection of the login to be enabled for the organization, and the login to be what its security policy demands; otherwise
// the error says by Again how to log in. Whether a third party's application has the user's consent is the embedder's to ask.
//
// Errors: those of Tokens.
func (s *Service) Switch(ctx context.Context, req SwitchRequest) (*Tokens, error) {
	if req.Organization == "" {
		return nil, invalid("parameter organization is required")
	}
	return s.Tokens(ctx, TokenRequest{
		Client: req.Client, Session: req.Session, Organization: req.Organization, Audience: req.Audience, Scope: req.Scope,
		Address: req.Address,
	})
}

// standing returns what the session's user is in the organization of the request, if the session is good enough for it.
func (f *flow) standing(ctx context.Context, e *orgstore.Engine, session *orgstore.Session, address netip.Addr,
	now time.Time) (*orgstore.Access, error) {
	o, err := f.sent(ctx)
	if err != nil {
		return nil, err
	}
	a, err := e.Resolve(ctx, orgstore.Query{Org: o.ID, Principal: session.User, Strong: true})
	if err != nil {
		return nil, err
	}
	if a.Standing == orgstore.StandingNoOrganization || a.Standing == orgstore.StandingSuspended {
		return nil, invalidOrganization(f.req.Organization) // it went away meanwhile, or one above it is suspended
	}
	if _, err := admit(a, false, false); err != nil {
		return nil, err
	}
	connections, err := f.connections(ctx, o)
	if err != nil {
		return nil, err
	}
	demanded := a.Org.Security
	if demanded == nil {
		demanded = &orgstore.SecurityPolicy{}
	}
	again := &Again{
		Organization: a.Org.ID, Connections: demanded.Connections, MFA: demanded.MFA, ACR: demanded.ACR, MaxAge: demanded.MaxSession,
	}
	lacks := unmet(demanded, Authentication{
		session.User, session.Connection, session.ACR, session.AMR, session.AuthenticatedAt, address,
	}, now)
	refused, _ := errors.AsType[*Error](lacks)
	_, enabled := named(connections, session.Connection)
	switch {
	case errors.Is(lacks, errNetwork):
		return nil, lacks
	case !enabled || refused != nil && refused.Code == AccessDenied:
		return nil, &Error{Code: LoginRequired, Description: "the organization requires a login through one of its connections", Again: again}
	case refused != nil:
		refused.Again = again
		return nil, refused
	case demanded.MaxIdle > 0 && now.Sub(session.ActiveAt) > demanded.MaxIdle:
		return nil, &Error{Code: LoginRequired, Description: "the session was idle for longer than the organization allows", Again: again}
	case !session.CreatedAt.After(a.TokensValidAfter):
		return nil, &Error{Code: LoginRequired, Description: "the session was signed out of the organization", Again: again}
	}
	return a, nil
}

// enter makes the session enter the organization of the tokens, if it has not. Whoever is no member cannot, and goes on without.
func (s *Service) enter(ctx context.Context, f *Facts) error {
	if f.Access == nil || f.Access.Member.Via != "" ||
		slices.ContainsFunc(f.Session.Organizations, func(o orgstore.SessionOrganization) bool { return o.ID == f.Access.Org.ID }) {
		return nil
	}
	_, err := s.engine.Sessions.Enter(ctx, f.Session.ID, f.Access.Org.ID)
	gone, ok := errors.AsType[*orgstore.NotFound](err)
	switch {
	case !ok:
		return err
	case gone.Kind == "session":
		return sessionEnded(f.Access.Org.ID)
	}
	return notPart(f.Access)
}
