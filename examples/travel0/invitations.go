package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

type invitation struct {
	ID         string                    `json:"id"`
	Email      string                    `json:"email"`
	Status     orgstore.InvitationStatus `json:"status"`
	Roles      []string                  `json:"roles"`
	Connection string                    `json:"connection,omitempty"` // name of the only one to accept through
	ExpiresAt  time.Time                 `json:"expires_at"`
	Ticket     string                    `json:"ticket,omitempty"` // once, to whoever invites
}

// shownInvitation is i with names instead of ids. What has been deleted meanwhile has none.
func (a *app) shownInvitation(ctx context.Context, i *orgstore.Invitation) (invitation, error) {
	shown := invitation{ID: i.ID, Email: i.Invitee.Email, Status: i.Status, ExpiresAt: i.ExpiresAt, Ticket: i.Ticket}
	var err error
	if shown.Roles, err = a.rolesByID(ctx, i.Roles); err != nil || i.Connection == "" {
		return shown, err
	}
	c, err := a.engine.Connections.Get(ctx, i.Connection)
	if errors.Is(err, orgstore.ErrNotFound) {
		return shown, nil
	}
	if err == nil {
		shown.Connection = c.Name
	}
	return shown, err
}

func (a *app) rolesByID(ctx context.Context, ids []string) ([]string, error) {
	names := []string{}
	for _, id := range ids {
		role, err := a.engine.Roles.Get(ctx, id)
		if errors.Is(err, orgstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names = append(names, role.Name)
	}
	return names, nil
}

func (a *app) listInvitations(w http.ResponseWriter, r *http.Request) {
	list := []invitation{}
	for page := (orgstore.ListOptions{Limit: 1000, Sort: orgstore.SortCreated}); ; {
		some, err := a.engine.Invitations.List(r.Context(), caller(r).Org.ID, orgstore.InvitationListOptions{ListOptions: page})
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		for _, i := range some.Items {
			shown, err := a.shownInvitation(r.Context(), i)
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			list = append(list, shown)
		}
		if page.After = some.Next; page.After == "" {
			break
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"invitations": list})
}

// invite answers with the ticket that a real product sends by e-mail, in a link to its login.
func (a *app) invite(w http.ResponseWriter, r *http.Request) {
	opts := orgstore.InvitationOptions{InviterName: caller(r).Member.ID, Client: clientID}
	var through string
	var names []string
	kind := staff
	err := decodeBody(r, map[string]any{"email": &opts.Email, "roles": &names, "employment": &kind, "connection": &through})
	if err == nil && through != "" {
		var c *orgstore.Connection
		if c, err = a.engine.Connections.GetByName(r.Context(), through); err == nil {
			opts.Connection = c.ID
		} else if errors.Is(err, orgstore.ErrNotFound) {
			err = unprocessable("unknown connection")
		}
	}
	var as orgstore.MemberOptions
	if err == nil {
		as, err = a.membership(r.Context(), names, kind)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	opts.Kind, opts.Roles = as.Kind, as.Roles
	made, _, err := a.engine.Invitations.Create(r.Context(), caller(r).Org.ID, opts)
	if bad, ok := errors.AsType[*orgstore.Invalid](err); ok {
		err = unprocessable(bad.Field + " " + bad.Text)
	}
	var shown invitation
	if err == nil {
		shown, err = a.shownInvitation(r.Context(), made)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // who has the ticket can accept
	writeJSON(w, http.StatusCreated, shown)
}

// errNoInvitation is the answer to every ticket that opens nothing.
var errNoInvitation error = &refusal{http.StatusNotFound, "no such invitation: it was used, revoked or replaced, or has expired"}

// acceptInvitation makes the caller a member of the organization that a ticket is of, with the account of the caller's login.
func (a *app) acceptInvitation(w http.ResponseWriter, r *http.Request) {
	var ticket string
	err := decodeBody(r, map[string]any{"ticket": &ticket})
	who := caller(r)
	by := orgstore.AcceptOptions{User: who.Subject}
	if err == nil && who.Token.SessionID != "" {
		var session *orgstore.Session
		if session, err = a.engine.Sessions.Get(r.Context(), who.Token.SessionID); err == nil {
			by.Connection = session.Connection
		} else if errors.Is(err, orgstore.ErrNotFound) {
			err = &refusal{http.StatusForbidden, "the session has ended: log in again"}
		}
	}
	var accepted *orgstore.Acceptance
	if err == nil {
		accepted, err = a.accept(r.Context(), ticket, by)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	o, err := a.engine.Organizations.Get(r.Context(), accepted.Invitation.Organization)
	var roles []string
	if err == nil {
		roles, err = a.rolesByID(r.Context(), accepted.Roles)
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"organization": o.Name, "joined": accepted.Joined, "roles": roles})
}

func (a *app) accept(ctx context.Context, ticket string, by orgstore.AcceptOptions) (*orgstore.Acceptance, error) {
	accepted, _, err := a.engine.Invitations.Accept(ctx, ticket, by)
	switch {
	case errors.Is(err, orgstore.ErrWrongAccount):
		return nil, &refusal{http.StatusForbidden, "this account is not allowed to accept the invitation"}
	case errors.Is(err, orgstore.ErrNotFound):
		return nil, errNoInvitation
	case errors.Is(err, orgstore.ErrLimit):
		return nil, unprocessable("the organization has as many members, or the member as many roles, as can be")
	}
	return accepted, err
}
