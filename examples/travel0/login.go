package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/login"
)

// credentials are what is sent to POST /dev/login.
type credentials struct {
	organization string // name or id; empty when none is known yet
	connection   string // name; empty for the one that the e-mail address leads to
	user, email  string // who it is; one of them, or none to see what the login page would ask
	invitation   string // the ticket of an invitation to accept
}

// devLogin answers POST /dev/login: a login whose connections are SIMULATED. It is FOR DEVELOPMENT ONLY: whoever names an account
// has proved to be its owner, no password is asked for and no identity provider is visited. All the rest is what a real login page
// does: it asks login.Service what is next, and shows that, until there is a token.
func (a *app) devLogin(w http.ResponseWriter, r *http.Request) {
	var c credentials
	err := decodeBody(r, map[string]any{
		"organization": &c.organization, "connection": &c.connection, "user": &c.user, "email": &c.email, "invitation": &c.invitation,
	})
	if err == nil && c.user != "" && c.email != "" {
		err = badRequest("give user or email, not both")
	}
	if err == nil && c.invitation != "" && c.organization != "" {
		err = badRequest("give invitation or organization, not both: the invitation says which organization")
	}
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	step, tokens, err := a.login(r.Context(), c)
	switch {
	case err != nil:
		a.refuse(w, r, err)
	case step != nil:
		writeJSON(w, http.StatusOK, map[string]any{"next": shown(step)})
	default:
		a.writeToken(w, r, tokens)
	}
}

// login goes as far as it can with c: to the next step, or to tokens.
func (a *app) login(ctx context.Context, c credentials) (*login.Step, *login.Tokens, error) {
	req := login.Request{Client: clientID, Organization: c.organization, Connection: c.connection, Identifier: c.email}
	var invited *orgstore.Invitation
	if c.invitation != "" {
		var err error
		invited, err = a.engine.Invitations.GetByTicket(ctx, c.invitation)
		switch {
		case errors.Is(err, orgstore.ErrNotFound):
			return nil, nil, errNoInvitation
		case err != nil:
			return nil, nil, err
		}
		req.Organization, req.Connection = invited.Organization, cmp.Or(c.connection, invited.Connection)
	}
	var who *orgstore.User
	if c.user != "" {
		var err error
		if who, err = a.engine.Users.Get(ctx, c.user); err != nil {
			return nil, nil, unlessFound(err, "unknown user")
		}
		req.Identifier = who.Email
	}
	step, err := a.logins.Plan(ctx, req)
	if err != nil || req.Identifier == "" || len(step.Connections) != 1 {
		return step, nil, err
	}
	auth, err := a.authenticate(ctx, &step.Connections[0], who, c.email, invited)
	if err == nil && invited != nil {
		_, err = a.accept(ctx, c.invitation, orgstore.AcceptOptions{User: auth.User, Connection: auth.Connection})
	}
	if err != nil {
		return nil, nil, err
	}
	done, err := a.logins.Complete(ctx, req, auth)
	if err != nil || done.Step != nil {
		return stepOf(done), nil, err
	}
	session, err := a.engine.Sessions.Create(ctx, orgstore.Session{
		User: auth.User, Connection: auth.Connection, Client: clientID, AMR: auth.AMR,
	})
	if err != nil {
		return nil, nil, err
	}
	tokens, err := a.logins.Tokens(ctx, login.TokenRequest{
		Client: clientID, Session: session.ID, Organization: done.Access.Org.ID, Audience: audience,
	})
	return nil, tokens, err
}

func stepOf(r *login.Result) *login.Step {
	if r == nil {
		return nil
	}
	return r.Step
}

// authenticate is the SIMULATED connection: it believes whoever names an account that is there.
func (a *app) authenticate(ctx context.Context, c *login.Connection, who *orgstore.User, email string, invited *orgstore.Invitation) (
	auth login.Authentication, err error) {
	if who == nil {
		who, err = a.account(ctx, c, email, invited)
	}
	if err == nil && !slices.ContainsFunc(who.Identities, func(i orgstore.Identity) bool { return i.Connection == c.ID }) {
		err = noAccount(c)
	}
	if err != nil {
		return auth, err
	}
	return login.Authentication{User: who.ID, Connection: c.ID, AMR: []string{"pwd"}}, nil
}

func noAccount(c *login.Connection) error {
	return &login.Error{Code: login.AccessDenied, Description: "no such account at " + c.Name}
}

// account returns the user whose account at a connection has this e-mail address. An identity provider knows the people of its own
// domains, of whom Travel0 hears when they log in for the first time; in its database, people sign up when they are invited.
func (a *app) account(ctx context.Context, c *login.Connection, email string, invited *orgstore.Invitation) (*orgstore.User, error) {
	email = strings.ToLower(email)
	u, err := a.engine.Users.GetByIdentity(ctx, c.ID, email) // which is the account's id at a simulated connection
	if !errors.Is(err, orgstore.ErrNotFound) {
		return u, err
	}
	_, domain, _ := strings.Cut(email, "@")
	known := slices.Contains(c.Domains, domain)
	if !known && (c.Kind() != orgstore.ConnectionDatabase || invited == nil || !strings.EqualFold(invited.Invitee.Email, email)) {
		return nil, noAccount(c)
	}
	u, _, err = a.engine.Users.Create(ctx, orgstore.User{
		ID: c.Name + "|" + email, Email: email, EmailVerified: known, Identities: []orgstore.Identity{{Connection: c.ID, ID: email}},
	})
	if errors.Is(err, orgstore.ErrConflict) { // another login of the same person was faster
		return a.engine.Users.GetByIdentity(ctx, c.ID, email)
	}
	return u, unlessFound(err, "email must be an e-mail address")
}

// next is a step of a login as it is answered.
type next struct {
	Do            login.Do `json:"do"`
	Organization  string   `json:"organization,omitempty"`  // name of the one that the login is for
	Connections   []string `json:"connections,omitempty"`   // send connection: one of these
	Organizations []string `json:"organizations,omitempty"` // send organization: one of these
}

func shown(s *login.Step) next {
	n := next{Do: s.Do}
	if s.Organization != nil {
		n.Organization = s.Organization.Name
	}
	for _, c := range s.Connections {
		n.Connections = append(n.Connections, c.Name)
	}
	for _, o := range s.Organizations {
		n.Organizations = append(n.Organizations, o.Name)
	}
	return n
}

// writeToken signs what a login has yielded.
func (a *app) writeToken(w http.ResponseWriter, r *http.Request, tokens *login.Tokens) {
	t := tokens.Access
	signed, err := a.signer.Sign(claims.Token{
		Subject: t.Subject, Audience: []string{t.Audience}, ClientID: t.ClientID, Org: claims.Org{ID: t.OrgID, Name: t.OrgName},
		Scopes: strings.Fields(t.Scope), Permissions: t.Permissions, ID: t.ID, IssuedAt: t.IssuedAt, Expiry: t.Expiry, Extra: t.Extra,
	})
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // RFC 6749 section 5.1
	writeJSON(w, http.StatusCreated, map[string]any{
		"access_token": signed, "token_type": "Bearer", "expires_in": int64(t.Expiry.Sub(t.IssuedAt).Seconds()), "organization": t.OrgName,
	})
}

// loginRefused answers with a "no" of login, in its words.
func loginRefused(w http.ResponseWriter, no *login.Error) {
	status := http.StatusForbidden
	if no.Code == login.InvalidRequest {
		status = http.StatusBadRequest
	}
	middleware.WriteProblem(w, middleware.Problem{Status: status, Detail: no.Description, Extra: map[string]any{"error": no.Code}})
}

// organization is one that the caller can switch to.
type organization struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	Via   string   `json:"via"` // membership or contract
}

// listMyOrganizations answers with the organizations that the caller is a member of, and those that a contract admits the caller to.
func (a *app) listMyOrganizations(w http.ResponseWriter, r *http.Request) {
	who := caller(r).Subject
	list, admitting := []organization{}, map[string]bool{}
	for page := (orgstore.ListOptions{Limit: 1000, Sort: orgstore.SortName}); ; {
		mine, err := a.engine.Users.Organizations(r.Context(), who, orgstore.MembershipListOptions{
			ListOptions: page, Status: orgstore.MemberActive, OrganizationStatus: orgstore.OrganizationActive,
		})
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		for _, m := range mine.Items {
			list = append(list, organization{m.Organization.Name, roleNames(m.Member.Roles), "membership"})
			contracts, err := a.contracts(r.Context(), m.Organization.ID)
			if err != nil {
				a.refuse(w, r, err)
				return
			}
			for _, c := range contracts {
				admitting[c.Host] = true
			}
		}
		if page.After = mine.Next; page.After == "" {
			break
		}
	}
	for _, host := range slices.Sorted(maps.Keys(admitting)) {
		access, err := a.engine.Resolve(r.Context(), orgstore.Query{Org: host, Principal: who})
		if err != nil {
			a.refuse(w, r, err)
			return
		}
		if access.Standing == orgstore.StandingMember && access.Member.Via == orgstore.ViaContract {
			list = append(list, organization{access.Org.Name, access.Member.Roles, "contract"})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"organizations": list})
}

// switchOrganization answers with a token of another organization in the caller's session, without a new login.
func (a *app) switchOrganization(w http.ResponseWriter, r *http.Request) {
	var to string
	if err := decodeBody(r, map[string]any{"organization": &to}); err != nil {
		a.refuse(w, r, err)
		return
	}
	tokens, err := a.logins.Switch(r.Context(), login.SwitchRequest{
		Client: clientID, Session: caller(r).Token.SessionID, Organization: to, Audience: audience,
	})
	if err != nil {
		a.refuse(w, r, err)
		return
	}
	a.writeToken(w, r, tokens)
}
