package login

import (
	"cmp"
	"context"
	"errors"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

var (
	// errInvitation is the one answer to a ticket that opens nothing, or nothing in the organization that was sent.
	errInvitation = invalid("invitation not found or already used")
	// errWrongAccount refuses whoever an invitation is not for (rule INV-4).
	errWrongAccount = denied("the specified account is not allowed to accept the current invitation")
)

// invite makes the login one for the organization of the invitation that was sent, if one was.
func (f *flow) invite(ctx context.Context) error {
	if f.req.Invitation == "" {
		return nil
	}
	i, err := f.store.invitation(ctx, f.req.Invitation)
	if errors.Is(err, orgstore.ErrNotFound) {
		return errInvitation
	}
	if err != nil {
		return err
	}
	f.invitation = i
	f.req.Organization = cmp.Or(f.req.Organization, i.Organization)
	f.req.Connection = cmp.Or(i.Connection, f.req.Connection)
	f.req.LoginHint = i.Invitee.Email
	return nil
}

// invites reports whether the invitation, if there is one, can be for the user as they came through c: somebody else, whose session
// is still good, has to log in as the one who is invited.
func (f *flow) invites(ctx context.Context, c Connection) (bool, error) {
	switch i := f.invitation; {
	case i == nil:
		return true, nil
	case i.Connection != "" && i.Connection != c.ID:
		return false, nil
	default:
		return f.store.hasAddress(ctx, f.req.User, c.ID, i.Invitee.Email)
	}
}

// afterInvitation is where the user goes who has accepted the invitation: to its own URL, to the organization's, or to where the
// application asked for, each only if the application allows it (rules INV-8, URL-3).
func (f *flow) afterInvitation() string {
	for _, uri := range []string{f.invitation.RedirectURI, f.landing} {
		if uri != "" && urls.Allowed(f.client.Callbacks, uri, f.name) {
			return uri
		}
	}
	return f.req.RedirectURI
}

// accept accepts the invitation of a login with e, in the transaction that the login is decided in.
func accept(ctx context.Context, e *orgstore.Engine, req Request, auth Authentication) (*orgstore.Acceptance, error) {
	a, _, err := e.Invitations.Accept(ctx, req.Invitation, orgstore.AcceptOptions{User: auth.User, Connection: auth.Connection})
	gone, _ := errors.AsType[*orgstore.NotFound](err)
	switch {
	case errors.Is(err, orgstore.ErrWrongAccount):
		return nil, errWrongAccount
	case gone != nil && gone.Kind == "invitation":
		return nil, errInvitation
	}
	return a, err
}

// counted counts that a wrong account has tried to use an invitation, if that is why it was refused (rule INV-5): in a transaction
// of its own, because the refusal has undone the other.
func (s *Service) counted(ctx context.Context, req Request, refusal error) error {
	refused, ok := errors.AsType[*Error](refusal)
	if !ok || refused.Description != errWrongAccount.Description {
		return refusal
	}
	_, err := s.engine.Invitations.CountAttempt(ctx, req.Invitation)
	return errors.Join(refusal, err)
}

// InvitationURL returns the link to send to who is invited: where the invitation's application begins a login for the organization,
// with the ticket (rule URL-2). The invitation is one that Create or Resend has returned; later ones have no Ticket.
//
// Errors: NotFound (client, organization), Invalid (ticket; or client_id, of an application that has no place for logins any more,
// nor has the tenant).
func (s *Service) InvitationURL(ctx context.Context, i *orgstore.Invitation) (string, error) {
	if i.Ticket == "" {
		return "", &orgstore.Invalid{Field: "ticket", Rule: "INV-3", Text: "must be there: it is shown by Create and Resend only"}
	}
	c, err := s.engine.Clients.Get(ctx, i.Client)
	if err != nil {
		return "", err
	}
	o, err := s.engine.Organizations.Get(ctx, i.Organization)
	if err != nil {
		return "", err
	}
	tenant, err := s.engine.Tenant.Get(ctx)
	if err != nil {
		return "", err
	}
	uri, ok := urls.Login(c.InitiateLoginURI, tenant.DefaultRedirectionURI, o.Metadata)
	if !ok {
		return "", &orgstore.Invalid{Field: "client_id", Rule: "URL-2", Text: "must be that of an application with a default login route"}
	}
	return urls.Invitation(uri, i.Ticket, o.ID, o.Name), nil
}
