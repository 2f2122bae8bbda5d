package login

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Authentication is who has just proved who they are, or proved it earlier in a session that is still good.
type Authentication struct {
	User       string // id of the directory's user
	Connection string // id of the connection

	ACR string    // authentication context class (OpenID Connect Core section 2); empty for none
	AMR []string  // methods (RFC 8176), for example pwd, otp, mfa
	At  time.Time // when; zero means now

	// Address is the network address of the user's device, as far as the embedder can trust what it knows of it. The zero value is
	// not known, and refused by organizations that admit some networks only (rule SEC-1).
	Address netip.Addr
}

// Joined says by what somebody has become a member in a login.
type Joined string

// By what a login makes members.
const (
	JoinedByInvitation Joined = "invitation" // the invitation of Request.Invitation (rule INV-6)
	JoinedByConnection Joined = "jit"        // assign_membership_on_login of the connection (rule JIT-1)
	JoinedByDomain     Joined = "domain"     // a proven domain of an organization that joins automatically (rule JIT-3)
)

// Joining is a membership that a login is about to make.
type Joining struct {
	User         *orgstore.User
	Organization *Organization
	Connection   string // id of the connection that the user came through
	By           Joined
}

// Result is what a login yields.
type Result struct {
	// Step is what is left to ask the user before Complete is called again, such as a picker after the credentials. The login is
	// done when it is nil.
	Step *Step
	User *orgstore.User
	// Access is what the user is and may do in the organization that the login is for; nil when it is for none.
	Access *orgstore.Access
	// Joined says by what this login made the user a member: of Access.Org, or before a Step of the only organization that has the
	// connection so. Empty when it made nobody one.
	Joined Joined
	// Accepted is what accepting the invitation has done; nil without one. Joined is empty where the user was a member already.
	Accepted *orgstore.Acceptance
	// Next is where the user goes: Request.RedirectURI, which the application and the organization allow. After an invitation it is
	// the invitation's own URL or the organization's, if there is one among the application's callbacks (rule INV-8).
	Next string
	// Revision holds what this login raised, for orgstore.Query.AtLeast.
	Revision orgstore.Vector
}

// attempts is how often Complete begins again when what it decided by has changed under it.
const attempts = 3

// errMoved says that what a decision was made by has changed before it could be carried out.
var errMoved = fmt.Errorf("login: what the login was decided by keeps changing: %w", orgstore.ErrUnavailable)

// Complete says what an authentication yields (rule LOG-6). A blocked user is refused, then a connection that is not enabled, then
// what the organization's security policy does not accept (rule SEC-1). Then an invitation is accepted (rules INV-3 to INV-9), or a
// membership or a contract admits the user, or a membership is made because the connection or a domain says so (rules JIT-1 to
// JIT-3); else the answer is access_denied, after a request for a membership was made where a domain says so (rule AUTO-2). What it
// decided by is checked again in the transaction that makes a member.
//
// Errors: *Error for a "no"; ErrUnavailable and the context's error for a "don't know"; those of Config.Join, as they are.
func (s *Service) Complete(ctx context.Context, req Request, auth Authentication) (*Result, error) {
	ctx = orgstore.WithActor(ctx, auth.User)
	req.User, req.UserConnection = auth.User, auth.Connection
	joined, err := s.withoutContext(ctx, req, auth)
	if err != nil {
		return nil, err
	}
	r, err := s.complete(ctx, req, auth)
	err = s.counted(ctx, req, err)
	if err == nil && r.Access != nil {
		// The order of a picker is a comfort: nobody is kept from logging in by it.
		_ = s.engine.Members.Use(ctx, r.Access.Org.ID, auth.User)
	}
	if err == nil && joined != nil {
		r.Joined, r.Revision = cmp.Or(r.Joined, joined.Joined), append(r.Revision, joined.Revision...)
	}
	return r, err
}

// withoutContext makes the user a member of the only organization that has the connection with assign_membership_on_login, when
// the login names none (rule JIT-1). Where it is refused, the login goes on without.
func (s *Service) withoutContext(ctx context.Context, req Request, auth Authentication) (*Result, error) {
	f, err := s.flow(ctx, s.engine, req)
	if err != nil || !uses(f.client) || f.req.Organization != "" || req.Invitation != "" {
		return nil, err
	}
	organizations, err := f.store.assigning(ctx, auth.Connection)
	if err != nil || len(organizations) != 1 {
		return nil, err
	}
	r, err := s.complete(ctx, Request{
		Client: req.Client, Organization: organizations[0], User: req.User, UserConnection: req.UserConnection,
	}, auth)
	if _, refused := errors.AsType[*Error](err); refused {
		return nil, nil
	}
	return r, err
}

func (s *Service) complete(ctx context.Context, req Request, auth Authentication) (*Result, error) {
	for range attempts {
		d, err := s.decide(ctx, s.engine, req, auth)
		var r *Result
		switch {
		case err != nil:
			err = s.ask(ctx, d, err)
		case d.joined == "":
			return d.result(), nil
		default:
			r, err = s.join(ctx, req, auth, d)
		}
		if !errors.Is(err, errMoved) {
			return r, err
		}
	}
	return nil, errMoved
}

// decision is what Complete will do.
type decision struct {
	step         *Step
	user         *orgstore.User
	organization *Organization
	access       *orgstore.Access
	joined       Joined // has to be made a member, by this
	accepted     *orgstore.Acceptance
	email        string // that the user is known to have
	next         string
}

func (d *decision) result() *Result {
	return &Result{Step: d.step, User: d.user, Access: d.access, Joined: d.joined, Accepted: d.accepted, Next: d.next}
}

// decide reads what there is to know with e, and changes nothing. There is a decision also with a refusal that has an AutoJoin.
func (s *Service) decide(ctx context.Context, e *orgstore.Engine, req Request, auth Authentication) (*decision, error) {
	f, err := s.flow(ctx, e, req)
	if err != nil {
		return nil, err
	}
	u, err := e.Users.Get(ctx, auth.User)
	switch {
	case errors.Is(err, orgstore.ErrNotFound):
		return nil, f.refused(denied("user is unknown"))
	case err != nil:
		return nil, err
	case u.Blocked:
		return nil, f.refused(denied("user is blocked"))
	}
	step, err := f.plan(ctx)
	if err != nil {
		return nil, err
	}
	d := &decision{user: u, organization: step.Organization, next: req.RedirectURI}
	switch {
	case step.Do != Finish && step.Invitation != nil:
		return nil, f.refused(errWrongAccount)
	case step.Do != Finish && step.Organization != nil:
		return nil, f.refused(denied("the connection is not enabled for the organization"))
	case step.Do != Finish:
		d.step, d.next = step, ""
		return d, nil
	case step.Organization == nil:
		return d, f.refused(f.personalConnection(ctx, auth.Connection))
	}
	if d.access, err = e.Resolve(ctx, orgstore.Query{Org: step.Organization.ID, Principal: u.ID, Strong: true}); err != nil {
		return nil, err
	}
	if err := unmet(d.access.Org.Security, auth, s.cfg.now()); err != nil {
		return nil, f.refused(err)
	}
	if step.Invitation != nil {
		d.joined, d.next = JoinedByInvitation, f.afterInvitation()
		return d, nil
	}
	follows := orgstore.AutoJoinOff
	if d.email = proven(u, f.connection); d.email != "" && d.access.Standing == orgstore.StandingNotMember {
		if follows, err = f.store.joinable(ctx, step.Organization.ID, d.email); err != nil {
			return nil, err
		}
	}
	d.joined, err = admit(d.access, f.connection.jit, follows == orgstore.AutoJoinAutomatic)
	if refused, ok := errors.AsType[*Error](err); ok && follows != orgstore.AutoJoinOff {
		refused.AutoJoin = follows
	}
	return d, f.refused(err)
}

// ask makes the request for a membership that an organization wants from those who are refused and have an address in one of its
// domains (rule AUTO-2).
func (s *Service) ask(ctx context.Context, d *decision, refusal error) error {
	refused, ok := errors.AsType[*Error](refusal)
	if !ok || refused.AutoJoin != orgstore.AutoJoinApproval {
		return refusal
	}
	_, err := s.engine.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		follows, _, err := e.Requests.ByDomain(ctx, d.organization.ID, d.user.ID, d.email)
		if err == nil && follows != orgstore.AutoJoinApproval {
			err = errMoved // and undone: nobody joins before Config.Join was asked
		}
		return err
	})
	if errors.Is(err, orgstore.ErrLimit) {
		refused.AutoJoin, err = "", nil // too many are waiting for an answer already
	}
	if err != nil {
		return err
	}
	return refusal
}

// personalConnection checks that a login without an organization may go through a connection: one of the application's, or the
// tenant's default database.
func (f *flow) personalConnection(ctx context.Context, id string) error {
	connections, err := f.clientConnections(ctx)
	if err != nil {
		return err
	}
	if _, ok := named(connections, id); ok {
		return nil
	}
	c, ok, err := f.store.defaultDatabase(ctx)
	if err == nil && (!ok || c.ID != id) {
		err = invalid("the connection is not enabled for the client")
	}
	return err
}

// admit says whether a user may enter an organization, and what has to make a member of the user first.
func admit(a *orgstore.Access, jit, domain bool) (Joined, error) {
	switch {
	case a.Standing == orgstore.StandingMember: // by a membership or by a contract
		return "", nil
	case a.Standing == orgstore.StandingBlocked:
		return "", denied("user is blocked")
	case a.Standing == orgstore.StandingNotMember && jit:
		return JoinedByConnection, nil
	case a.Standing == orgstore.StandingNotMember && domain:
		return JoinedByDomain, nil
	}
	return "", notPart(a)
}

// proven returns the e-mail address that the user is known to have by the connection, or nothing. An enterprise's identity provider
// knows about the addresses in its own domains only.
func proven(u *orgstore.User, c Connection) string {
	for _, i := range u.Identities {
		own := c.Kind() != orgstore.ConnectionEnterprise || slices.Contains(c.Domains, domainOf(i.Email))
		if i.Connection == c.ID && i.EmailVerified && own && domainOf(i.Email) != "" {
			return i.Email
		}
	}
	return ""
}

// notPart is Auth0's answer to a user that nothing admits.
func notPart(a *orgstore.Access) *Error {
	// What an error's description cannot hold (RFC 6749 section 4.1.2.1) is left out of the id.
	id := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, a.Principal)
	return denied("user " + id + " is not part of the " + a.Org.ID + " organization")
}

// join makes a member as d says, after Config.Join has approved who was not invited, and if everything is still as it was.
func (s *Service) join(ctx context.Context, req Request, auth Authentication, d *decision) (*Result, error) {
	var opts orgstore.MemberOptions
	if s.cfg.Join != nil && d.joined != JoinedByInvitation {
		var err error
		opts, err = s.cfg.Join(ctx, Joining{User: d.user, Organization: d.organization, Connection: auth.Connection, By: d.joined})
		if err != nil {
			return nil, err
		}
	}
	opts.JoinedBy = "jit"
	var r *Result
	done, err := s.engine.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		again, err := s.decide(ctx, e, req, auth)
		if err != nil {
			return err
		}
		if again.step != nil || again.organization == nil || *again.organization != *d.organization || again.joined != d.joined {
			return errMoved
		}
		if d.joined == JoinedByInvitation {
			again.accepted, err = accept(ctx, e, req, auth)
		} else {
			_, err = e.Members.Add(ctx, d.organization.ID, auth.User, opts)
		}
		if err != nil {
			return err
		}
		again.access, err = e.Resolve(ctx, orgstore.Query{Org: d.organization.ID, Principal: auth.User})
		if err == nil && again.access.Standing != orgstore.StandingMember {
			err = notPart(again.access)
		}
		if again.accepted != nil && !again.accepted.Joined {
			again.joined = ""
		}
		r = again.result()
		return err
	})
	limit, _ := errors.AsType[*orgstore.Limit](err)
	switch {
	case err == nil:
		r.Revision = done.Revision
		return r, nil
	case limit != nil && limit.Name == "roles per member" && d.joined == JoinedByInvitation:
		return nil, denied("a member of the organization cannot have more roles")
	case limit != nil && limit.Name == "members":
		return nil, denied("the organization cannot have more members")
	case errors.Is(err, orgstore.ErrConflict):
		return nil, denied("the user is isolated to another organization") // rule MEM-6
	}
	return nil, err
}
