package login

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TokenRequest asks for the tokens of a login that is complete.
type TokenRequest struct {
	Client       string     // client_id of the application, which has proven who it is
	Session      string     // id of the user's session
	Organization string     // the id of Result.Access.Org; empty for a login without an organization
	Audience     string     // identifier of the API that the access token is for; empty for no access token
	Scope        string     // separated by spaces
	Nonce        string     // nonce of the request to log in, as it was sent
	Address      netip.Addr // of the user's device; see Authentication.Address
}

// RefreshRequest uses a refresh token up.
type RefreshRequest struct {
	Client string // client_id of the application, which has proven who it is
	Token  string
	Scope  string // at most that of the refresh token; empty for all of it
	// Address is that of the user's device, or of the server that acts for it; see Authentication.Address.
	Address netip.Addr
}

// Tokens is the answer to a request for tokens.
type Tokens struct {
	Access *AccessToken // nil when no API was asked for
	ID     *IDToken     // nil unless the scope has openid, and where Facts.IDToken returns nil
	Scope  string       // that was granted: the parameter scope of the answer (RFC 6749 section 5.1)
	// Refresh is the next refresh token; empty unless the scope has offline_access, which only applications with the grant type
	// refresh_token get, and members of the organization.
	Refresh string
	// Quota is how much of the organization's quota is used, for tokens that count; else nil.
	Quota *orgstore.QuotaUse
}

// Tokens returns what to sign for a user whose login Complete has completed, and makes the session enter the organization. What
// the login was allowed by is looked at again: who lost it meanwhile gets nothing.
//
// Errors: *Error for a "no", with Again where another login helps; ErrUnavailable and the context's error for a "don't know".
func (s *Service) Tokens(ctx context.Context, req TokenRequest) (*Tokens, error) {
	session, err := s.engine.Sessions.Get(ctx, req.Session)
	if errors.Is(err, orgstore.ErrNotFound) {
		return nil, sessionEnded(req.Organization)
	}
	if err != nil {
		return nil, err
	}
	facts, err := s.gather(ctx, s.engine, session, req)
	if err != nil {
		return nil, err
	}
	t := facts.tokens()
	if err := s.enter(ctx, facts); err != nil {
		return nil, err
	}
	if facts.offline() && slices.Contains(strings.Fields(t.Scope), offlineAccess) {
		g := orgstore.RefreshGrant{Session: session.ID, Client: facts.Client.ID, Audience: req.Audience, Scope: t.Scope}
		g.Organization, _ = facts.organization()
		t.Refresh, err = s.engine.Sessions.IssueRefreshToken(ctx, g)
		if errors.Is(err, orgstore.ErrNotFound) {
			return nil, sessionEnded(req.Organization)
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Refresh uses a refresh token up and returns what to sign now, with the next refresh token (rule TOK-8). All that Switch asks for
// is asked for again. What is refused leaves the refresh token as it is, but for one that was used before: that ends its family.
//
// Errors: *Error with invalid_grant, also for what Switch refuses otherwise, or with invalid_scope; ErrUnavailable and the context's
// error for a "don't know".
func (s *Service) Refresh(ctx context.Context, req RefreshRequest) (*Tokens, error) {
	var t *Tokens
	var reused error
	_, err := s.engine.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		t, reused = nil, nil
		grant, next, err := e.Sessions.Refresh(ctx, req.Client, req.Token)
		switch {
		case errors.Is(err, orgstore.ErrRefreshReused):
			reused = invalidGrant(errRefresh) // and committed
			return nil
		case errors.Is(err, orgstore.ErrNotFound):
			return invalidGrant(errRefresh)
		case err != nil:
			return err
		}
		scope, asked := strings.Fields(grant.Scope), strings.Fields(req.Scope)
		for _, a := range asked {
			if !slices.Contains(scope, a) {
				return &Error{Code: InvalidScope, Description: "the scope is more than that of the refresh token"}
			}
		}
		if len(asked) == 0 {
			asked = scope
		}
		session, err := e.Sessions.Get(ctx, grant.Session)
		if errors.Is(err, orgstore.ErrNotFound) {
			return invalidGrant(errRefresh)
		}
		if err != nil {
			return err
		}
		facts, err := s.gather(ctx, e, session, TokenRequest{
			Client: grant.Client, Organization: grant.Organization, Audience: grant.Audience, Scope: strings.Join(asked, " "),
			Address: req.Address,
		})
		if err != nil {
			return invalidGrant(err)
		}
		t = facts.tokens()
		t.Refresh = next
		return nil
	})
	if err == nil {
		err = reused
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// errRefresh is the answer to all that is wrong with a refresh token itself.
var errRefresh error = &Error{Code: InvalidGrant, Description: "unknown or invalid refresh token"}

// invalidGrant is why a refresh token yields nothing any more.
func invalidGrant(err error) error {
	if refused, ok := errors.AsType[*Error](err); ok && refused.Code != InvalidScope {
		again := *refused
		again.Code, again.Show = InvalidGrant, false
		return &again
	}
	return err
}

func sessionEnded(org string) error {
	e := &Error{Code: LoginRequired, Description: "the session has ended", Again: &Again{}}
	if orgstore.IsOrganizationID(org) {
		e.Again.Organization = org
	}
	return e
}

// gather reads with e what the tokens of a session are made of, and refuses what must not be: in a fixed number of statements.
func (s *Service) gather(ctx context.Context, e *orgstore.Engine, session *orgstore.Session, req TokenRequest) (*Facts, error) {
	f, err := s.flow(ctx, e, Request{Client: req.Client, Organization: req.Organization})
	if err != nil {
		return nil, err
	}
	facts := &Facts{
		Client: f.client, Session: session, Scope: req.Scope, Nonce: req.Nonce, Now: s.cfg.now(),
		Names: f.store.settings().OrganizationNames, RolesClaim: s.cfg.RolesClaim, IDTokenLifetime: s.cfg.IDTokenLifetime,
	}
	way, err := decide(f.client.OrganizationUsage, orgstore.NoPrompt, req.Organization != "")
	if err != nil {
		return nil, err
	}
	if way.organization {
		if facts.Access, err = f.standing(ctx, e, session, req.Address, facts.Now); err != nil {
			return nil, err
		}
	}
	facts.API, err = audience(ctx, e, req.Audience)
	return facts, err
}

// audience returns the API that an access token is for; nil when none is asked for.
func audience(ctx context.Context, e *orgstore.Engine, identifier string) (*orgstore.API, error) {
	if identifier == "" {
		return nil, nil
	}
	api, err := e.APIs.Get(ctx, identifier)
	if errors.Is(err, orgstore.ErrNotFound) {
		return nil, &Error{Code: InvalidTarget, Description: "the audience is no API"}
	}
	return api, err
}

// tokens returns the tokens that f is good for.
func (f *Facts) tokens() *Tokens {
	scope := f.scope()
	t := &Tokens{Access: f.AccessToken(), Scope: strings.Join(scope, " ")}
	if slices.Contains(scope, "openid") {
		t.ID = f.IDToken()
	}
	return t
}
