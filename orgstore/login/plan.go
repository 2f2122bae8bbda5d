package login

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

// pickerPage is how many organizations one page of a picker shows.
const pickerPage = 20

// Request is what is known of a login: what the application sent, and what the user has answered since. After each answer Plan
// is asked again, with one field more.
type Request struct {
	Client       string   // client_id
	Protocol     Protocol // zero is OpenID Connect
	RedirectURI  string   // redirect_uri; empty when the application sent none
	Organization string   // organization: an id, or a name where the tenant allows names. Also what the user picked
	Connection   string   // connection: the name or the id of one
	Invitation   string   // invitation: the ticket of one
	LoginHint    string   // login_hint: filled in for the user, and decides nothing
	Screen       string   // screen_hint: "signup" or empty
	Host         string   // the host that the login is at; empty where no organization has a login domain of its own

	Entered    string // what the user entered on the prompt for an organization: its name or an e-mail address
	Identifier string // what the user entered on the prompt for credentials: an e-mail address or another identifier
	Personal   bool   // the user chose to go on without an organization

	// User and UserConnection are who has authenticated already, and the id of the connection: in this login, or in a session
	// that is still good.
	User           string
	UserConnection string

	Query string // what the user searches for in the picker
	After string // Step.Next of the picker's page before
}

// Do is what to do next in a login.
type Do string

// What can be next.
const (
	AskOrganization  Do = "organization" // ask for an organization, by Step.Methods
	PickOrganization Do = "picker"       // let the user pick one of Step.Organizations
	AskCredentials   Do = "credentials"  // let the user log in through one of Step.Connections
	UseConnection    Do = "connection"   // go to Step.Connections[0] at once
	Finish           Do = "complete"     // nothing is left to ask: call Complete
)

// Step is the next step of a login.
type Step struct {
	Do            Do
	Organization  *Organization  // the organization that the login is for; nil: none, or none yet
	Connections   []Connection   // for AskCredentials and UseConnection
	SignUp        bool           // the page offers to sign up
	Screen        string         // "signup" when the page begins with that
	Methods       []string       // for AskOrganization: "email", "organization_name" or both
	Personal      bool           // the page offers to go on without an organization
	Organizations []Organization // for PickOrganization, 20 at most
	Next          string         // Request.After of the picker's next page; empty on the last one
	LoginHint     string         // to be filled in: who is invited, or what the application or the user said
	// Invitation is the one that the login is by; nil for none.
	Invitation *orgstore.Invitation
	// MFA says that the organization requires a second factor, and ACR which authentication contexts count as one, best first: what
	// to ask an identity provider for (acr_values of OpenID Connect).
	MFA bool
	ACR []string
}

// Organization is what pages show of an organization.
type Organization struct {
	ID, Name, DisplayName string
}

// flow is one Plan: the request, what is known of its client, and where to look up the rest.
type flow struct {
	store  store
	req    Request
	client *orgstore.Client

	name       string               // of the organization that the login is for, once that is sure
	landing    string               // where that organization wants those to go who have accepted an invitation; empty for nowhere
	connection Connection           // that the user has come through, once that is found among the organization's
	invitation *orgstore.Invitation // of the ticket that was sent, once it is found
}

// host makes the organization whose login domain the login is at the one that it is for (rule LOG-8).
func (f *flow) host(ctx context.Context) error {
	if f.req.Host == "" {
		return nil
	}
	o, err := f.store.atHost(ctx, f.req.Host)
	switch sent := f.req.Organization; {
	case errors.Is(err, orgstore.ErrNotFound):
		return nil
	case err != nil:
		return err
	case sent != "" && sent != o.ID && !strings.EqualFold(sent, o.Name):
		return f.refused(invalidOrganization(sent))
	}
	f.req.Organization = o.ID
	return nil
}

// plan answers the request. An error is for the application only if it can be sent where the application asked for (rule URL-3).
func (f *flow) plan(ctx context.Context) (*Step, error) {
	s, err := f.next(ctx)
	return s, f.refused(err)
}

// refused marks a "no" that must not be sent where the application asked for.
func (f *flow) refused(err error) error {
	if refused, ok := errors.AsType[*Error](err); ok && f.req.RedirectURI != "" &&
		!urls.Allowed(f.client.Callbacks, f.req.RedirectURI, f.name) {
		shown := *refused
		shown.Show = true
		return &shown
	}
	return err
}

func (f *flow) next(ctx context.Context) (*Step, error) {
	req := f.req
	if uses(f.client) || req.Organization != "" || req.Invitation != "" {
		if err := req.Protocol.check(); err != nil {
			return nil, err
		}
	}
	way, err := decide(f.client.OrganizationUsage, f.client.OrganizationRequireBehavior, req.Organization != "" || req.Invitation != "")
	switch {
	case err != nil:
		return nil, err
	case req.Personal && !way.personal:
		return nil, invalid("parameter organization is required for this client")
	case way.organization:
		return f.inOrganization(ctx)
	case req.Personal || !way.prompt && !way.picker:
		return f.personal(ctx)
	case way.prompt:
		return f.prompt(ctx, way)
	case req.User == "":
		return f.credentials(ctx, true)
	}
	return f.picker(ctx, way)
}

// personal is a login without an organization.
func (f *flow) personal(ctx context.Context) (*Step, error) {
	if err := f.redirect(); err != nil {
		return nil, err
	}
	if f.req.User != "" {
		return &Step{Do: Finish}, nil
	}
	return f.credentials(ctx, false)
}

// credentials asks for credentials before an organization is picked, or for a login without one (rule LOG-4).
func (f *flow) credentials(ctx context.Context, picks bool) (*Step, error) {
	connections, err := f.clientConnections(ctx)
	if err != nil {
		return nil, err
	}
	if f.req.Connection != "" {
		c, ok := named(connections, f.req.Connection)
		if !ok {
			return nil, invalid("the connection is not enabled for the client")
		}
		return f.step(nil, []Connection{c}, true), nil
	}
	if f.req.Identifier != "" {
		domain := domainOf(f.req.Identifier)
		c, ok := byDomain(connections, domain)
		if !ok && picks && domain != "" {
			more, err := f.store.enterpriseConnections(ctx, domain)
			if err != nil {
				return nil, err
			}
			c, ok = byDomain(f.open(more), domain)
		}
		if ok {
			return f.step(nil, []Connection{c}, true), nil
		}
		// A password is asked for one database only: the tenant's default one, even where the application has it not enabled.
		c, ok, err := f.store.defaultDatabase(ctx)
		if err != nil {
			return nil, err
		}
		ok = ok && len(f.open([]Connection{c})) > 0
		databases := slices.DeleteFunc(visible(connections), func(c Connection) bool { return c.Kind() != orgstore.ConnectionDatabase })
		switch {
		case ok:
			return f.step(nil, []Connection{c}, false), nil
		case len(databases) > 0:
			return f.step(nil, databases[:1], false), nil
		}
	}
	shown := visible(connections)
	if len(shown) == 0 {
		return nil, invalid("no connections enabled for the client")
	}
	return f.step(nil, shown, false), nil
}

// step asks for credentials, or leads to the only connection at once.
func (f *flow) step(o *Organization, connections []Connection, direct bool) *Step {
	s := &Step{Do: AskCredentials, Organization: o, Connections: connections, LoginHint: f.req.LoginHint}
	s.SignUp = slices.ContainsFunc(connections, func(c Connection) bool { return c.SignUp })
	if direct && connections[0].Kind() != orgstore.ConnectionDatabase && connections[0].Kind() != orgstore.ConnectionPasswordless {
		s.Do = UseConnection // there is no page of ours on the way
	}
	if f.req.Identifier != "" {
		s.LoginHint = f.req.Identifier
	}
	if s.SignUp && f.req.Screen == "signup" {
		s.Screen = f.req.Screen
	}
	return s
}

// prompt asks for an organization, or for which one, or goes on with the only one that the answer leads to (rule LOG-4).
func (f *flow) prompt(ctx context.Context, way way) (*Step, error) {
	methods := f.client.OrganizationDiscoveryMethods
	if len(methods) == 0 {
		methods = []string{ByName}
	}
	if f.req.Entered == "" {
		return &Step{Do: AskOrganization, Methods: methods, Personal: way.personal, LoginHint: f.req.LoginHint}, nil
	}
	var found []organization
	var err error
	if domain := domainOf(f.req.Entered); domain != "" && slices.Contains(methods, ByEmail) {
		found, err = f.store.discover(ctx, domain)
		// Some of them may be suspended, or closed to the application: they are not told from those that are not there.
		found = slices.DeleteFunc(found, func(o organization) bool { return o.closed(f.client) })
	} else if domain == "" && slices.Contains(methods, ByName) {
		var o organization
		if o, err = f.store.organization(ctx, f.req.Entered); err == nil && !o.closed(f.client) {
			found = []organization{o}
		}
	}
	switch {
	case err != nil && !errors.Is(err, orgstore.ErrNotFound):
		return nil, err
	case len(found) == 0:
		return nil, invalid("no organization was found")
	case len(found) == 1:
		f.req.Organization, f.req.Identifier = found[0].ID, ""
		if domainOf(f.req.Entered) != "" {
			f.req.Identifier = f.req.Entered
		}
		return f.enter(ctx, &found[0])
	}
	slices.SortFunc(found, func(a, b organization) int { return compareShown(a.Organization, b.Organization) })
	s := &Step{Do: PickOrganization, Personal: way.personal, LoginHint: f.req.Entered}
	for _, o := range found {
		s.Organizations = append(s.Organizations, o.Organization)
	}
	return s, nil
}

// picker lets an authenticated user pick an organization (rule LOG-5).
func (f *flow) picker(ctx context.Context, way way) (*Step, error) {
	found, next, err := f.store.memberships(ctx, f.req.User, f.req.Query, f.req.After)
	if err != nil {
		return nil, err
	}
	s := &Step{Do: PickOrganization, Personal: way.personal, Organizations: found, Next: next}
	if f.req.Query != "" || f.req.After != "" {
		return s, nil
	}
	switch {
	case len(found) == 0 && way.personal:
		f.req.Personal = true
		return f.personal(ctx)
	case len(found) == 0:
		return nil, invalid("client requires organization membership, but user does not belong to any organization")
	case len(found) == 1 && !way.personal && !f.store.settings().AskSole:
		f.req.Organization = found[0].ID
		return f.inOrganization(ctx)
	}
	return s, nil
}

// inOrganization is a login for the organization that was sent or picked, or that the invitation is of.
func (f *flow) inOrganization(ctx context.Context) (*Step, error) {
	if err := f.invite(ctx); err != nil {
		return nil, err
	}
	o, err := f.sent(ctx)
	if err == nil && f.invitation != nil && o.ID != f.invitation.Organization {
		err = errInvitation
	}
	if err != nil {
		return nil, err
	}
	return f.enter(ctx, o)
}

// errNamesOff refuses a name where the tenant does not allow names.
var errNamesOff = invalid("authorization request parameter organization must be an organization id")

// sent returns the organization of the request (rules LOG-1, LOG-2).
func (f *flow) sent(ctx context.Context) (*organization, error) {
	ref := f.req.Organization
	if !orgstore.IsOrganizationID(ref) && !f.store.settings().OrganizationNames {
		return nil, errNamesOff
	}
	o, err := f.store.organization(ctx, ref)
	switch {
	case errors.Is(err, orgstore.ErrNotFound) || err == nil && o.closed(f.client):
		return nil, invalidOrganization(ref)
	case err != nil:
		return nil, err
	}
	return &o, nil
}

// enter is a login for o.
func (f *flow) enter(ctx context.Context, o *organization) (*Step, error) {
	s, err := f.through(ctx, o)
	if err == nil && o.security != nil {
		s.MFA, s.ACR = o.security.MFA, o.security.ACR
	}
	if err == nil {
		s.Invitation = f.invitation
	}
	return s, err
}

func (f *flow) through(ctx context.Context, o *organization) (*Step, error) {
	f.name, f.landing = o.Name, o.landing
	if err := f.redirect(); err != nil {
		return nil, err
	}
	connections, err := f.connections(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(connections) == 0 {
		return nil, invalid("no connections enabled for the organization")
	}
	if f.req.User != "" {
		c, ok := named(connections, f.req.UserConnection)
		if ok {
			if ok, err = f.invites(ctx, c); err != nil {
				return nil, err
			}
		}
		if ok {
			f.connection = c
			return &Step{Do: Finish, Organization: &o.Organization}, nil
		}
	}
	if f.req.Connection != "" {
		c, ok := named(connections, f.req.Connection)
		if !ok {
			return nil, denied("the connection is not enabled for the organization")
		}
		return f.step(&o.Organization, []Connection{c}, true), nil
	}
	if c, ok := byDomain(connections, domainOf(f.req.Identifier)); ok {
		return f.step(&o.Organization, []Connection{c}, true), nil
	}
	shown := visible(connections)
	if len(shown) == 0 {
		return nil, invalid("no connections enabled for the organization are visible")
	}
	return f.step(&o.Organization, shown, false), nil
}

// redirect checks that the login may end where the application asked for (rules URL-1, URL-3).
func (f *flow) redirect() error {
	if uri := f.req.RedirectURI; uri != "" && !urls.Allowed(f.client.Callbacks, uri, f.name) {
		return invalid("the redirect URI is not allowed for the client")
	}
	return nil
}

// connections returns the connections that a login for o may go through: those enabled for it, and the application's beside them
// only by the switch (rule LOG-3).
func (f *flow) connections(ctx context.Context, o *organization) ([]Connection, error) {
	connections, err := f.store.organizationConnections(ctx, o.ID)
	connections = permitted(o.security, f.open(connections))
	if f.invitation != nil { // who is invited signs up where the organization or the connection lets people do so
		for i := range connections {
			connections[i].SignUp = connections[i].SignUp || connections[i].Signup
		}
	}
	if err != nil || !f.store.settings().MergeConnections {
		return connections, err
	}
	more, err := f.clientConnections(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range permitted(o.security, more) {
		if _, ok := named(connections, c.ID); !ok {
			connections = append(connections, c)
		}
	}
	return connections, nil
}

func (f *flow) clientConnections(ctx context.Context) ([]Connection, error) {
	connections, err := f.store.clientConnections(ctx, f.client.ID)
	return f.open(connections), err
}

// open returns the connections that the application may use: those of the domain level, if it is a third party's (rule APP-1).
func (f *flow) open(connections []Connection) []Connection {
	return slices.DeleteFunc(slices.Clone(connections), func(c Connection) bool { return !f.client.FirstParty && !c.DomainConnection })
}
