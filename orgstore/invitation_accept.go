package orgstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

// ErrWrongAccount is the error of accepting an invitation with an account that it is not for (rule INV-4). It is an ErrDenied.
var ErrWrongAccount error = &refusal{"the specified account is not allowed to accept the current invitation"}

// AcceptOptions says which account accepts an invitation.
type AcceptOptions struct {
	User string // user id
	// Connection is the id of the connection at which the user has just proved who they are. Empty for embedders that have no
	// connections: then the user's own e-mail address counts, and an invitation that demands a connection is not accepted.
	Connection string
}

// Acceptance is what accepting an invitation has done.
type Acceptance struct {
	Invitation *Invitation `json:"invitation"`
	Joined     bool        `json:"joined"`            // false when the user was a member already; roles are given all the same
	Roles      []string    `json:"roles,omitempty"`   // ids of the roles of the invitation that the member holds now
	Skipped    []string    `json:"skipped,omitempty"` // ids of those that are deleted, or that the inviter may not grant any more
}

// Accept makes the user a member of the invitation's organization, with its roles and metadata, all in one transaction, and uses
// the ticket up (rules INV-3 to INV-6, INV-9). The user's e-mail address counts as verified from then on: the ticket was sent
// there. Somebody who is a member already gets the roles.
//
// A wrong account gets ErrWrongAccount and leaves the invitation as it is; the attempt is counted, and the tenth revokes it.
// Inside a Transact, which an error undoes, nothing can be counted: there the caller calls CountAttempt after it.
//
// Errors: NotFound (invitation: also used, revoked, expired, or of a suspended organization; user), ErrWrongAccount, Limit
// (members; or roles per member: then nothing is accepted), Conflict (rule MEM-6).
func (s *Invitations) Accept(ctx context.Context, ticket string, opts AcceptOptions) (*Acceptance, Result, error) {
	var a Acceptance
	ctx = s.e.acting(ctx)
	if s.e.as != nil && s.e.as.User != opts.User { // for oneself, or for nobody
		return nil, Result{}, &Denied{createMember}
	}
	_, result, err := create(ctx, s.e, call{"invitations.accept", hashOf(ticket), opts}, &a, func(tx *transaction) (err error) {
		a, err = s.accept(ctx, tx, ticket, opts)
		return err
	})
	if err != nil {
		if errors.Is(err, ErrWrongAccount) && s.e.tx == nil {
			if _, counted := s.CountAttempt(ctx, ticket); counted != nil {
				err = errors.Join(err, counted)
			}
		}
		return nil, Result{}, err
	}
	return &a, result, nil
}

func (s *Invitations) accept(ctx context.Context, tx *transaction, ticket string, opts AcceptOptions) (a Acceptance, err error) {
	// What the ticket opens is read before it can be locked, and again after.
	i, err := s.byTicket(ctx, tx.sql, ticket)
	if err != nil {
		return a, err
	}
	if err := tx.lock(ctx, []Scope{invitationScope(i), MembershipScope(i.Organization, opts.User), UserScope(opts.User)},
		invitationReads(i)); err != nil {
		return a, err
	}
	if i, err = s.byTicket(ctx, tx.sql, ticket); err != nil {
		return a, err
	}
	o, err := organization(ctx, tx.sql, i.Organization)
	if err != nil {
		return a, err
	}
	if o.Status != OrganizationActive {
		return a, &NotFound{"invitation"}
	}
	u, err := user(ctx, tx.sql, opts.User)
	if err != nil {
		return a, err
	}
	if err := mayAccept(ctx, tx, i, u, opts.Connection); err != nil {
		return a, err
	}
	if a.Roles, a.Skipped, err = s.grantable(ctx, tx, i); err != nil {
		return a, err
	}
	e := tx.engine(tx)
	added, err := e.Members.Add(ctx, o.ID, u.ID, MemberOptions{Kind: i.Kind, Roles: a.Roles, JoinedBy: "invitation"})
	if err == nil && !added.Changed && len(a.Roles) > 0 {
		_, err = e.Members.AssignRoles(ctx, o.ID, u.ID, a.Roles...)
	}
	if err == nil {
		err = verifyInvitee(ctx, e, i, u)
	}
	if err == nil {
		err = s.end(ctx, tx, i, InvitationAccepted, u.ID, "organization.invitation.accepted")
	}
	if err != nil {
		return a, err
	}
	a.Joined = added.Changed
	a.Invitation, err = invitation(ctx, tx.sql, `id = $1`, i.ID)
	return a, err
}

// grantable returns those roles of an invitation that it still gives, and the others (rule INV-9).
func (s *Invitations) grantable(ctx context.Context, tx *transaction, i *Invitation) (roles, skipped []string, err error) {
	var inviter *Access
	if i.Inviter.User != "" {
		if inviter, err = tx.access(ctx, i.Organization, i.Inviter.User); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range i.Roles {
		var granted AccessMember
		err := tx.addRole(ctx, &granted, id)
		switch {
		case errors.Is(err, ErrNotFound):
			skipped = append(skipped, id)
		case err != nil:
			return nil, nil, err
		case inviter != nil && (inviter.Standing != StandingMember || missing(&granted, &inviter.Member) != ""):
			skipped = append(skipped, id)
		default:
			roles = append(roles, id)
		}
	}
	return roles, skipped, nil
}

// CountAttempt counts that a wrong account tried to accept the invitation that ticket opens; the tenth time revokes it (rule
// INV-5). Accept does it by itself, except inside a Transact. A ticket that opens nothing changes nothing.
func (s *Invitations) CountAttempt(ctx context.Context, ticket string) (Result, error) {
	return s.e.mutate(ctx, nil, func(tx *transaction) error {
		i, err := s.byTicket(ctx, tx.sql, ticket)
		if err == nil {
			err = tx.lock(ctx, []Scope{invitationScope(i)}, nil)
		}
		if err == nil {
			i, err = s.byTicket(ctx, tx.sql, ticket)
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		tx.dirty = true // a counter is no change
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_invitations SET attempts = attempts + 1 WHERE id = $1`, i.ID); err != nil {
			return err
		}
		if i.Attempts++; i.Attempts < maxAttempts {
			return nil
		}
		return s.end(ctx, tx, i, InvitationRevoked, "", "organization.invitation.revoked")
	})
}

// mayAccept checks that a user who has proved who they are at a connection is whom an invitation is for (rule INV-4).
func mayAccept(ctx context.Context, tx *transaction, i *Invitation, u *User, connectionID string) error {
	if u.Blocked || i.Connection != "" && i.Connection != connectionID {
		return ErrWrongAccount
	}
	if connectionID == "" {
		if !sameAddress(u.Email, i.Invitee.Email) {
			return ErrWrongAccount
		}
		return nil
	}
	c, err := connection(ctx, tx.sql, connectionID)
	if err == nil {
		err = usable(ctx, tx, i.Organization, connectionID)
	}
	if errors.Is(err, ErrNotFound) {
		return ErrWrongAccount
	}
	if err != nil {
		return err
	}
	for _, account := range u.Identities {
		if account.Connection == connectionID && sameAddress(account.Email, i.Invitee.Email) && provesAddress(c, &account, i) {
			return nil
		}
	}
	return ErrWrongAccount
}

// usable checks that people log in to an organization through a connection.
func usable(ctx context.Context, tx *transaction, org, connection string) error {
	c, err := enabledConnection(ctx, tx.sql, org, connection)
	if err == nil && !c.Enabled {
		err = &NotFound{"connection"}
	}
	return err
}

// provesAddress reports whether an account's e-mail address can be trusted to be its owner's. In a database the ticket, which was
// sent to the address, is the proof; elsewhere the connection has to say so, and an enterprise's is believed for its own domains,
// or where the invitation asks for just this connection.
func provesAddress(c *Connection, account *Identity, i *Invitation) bool {
	switch c.Kind() {
	case ConnectionDatabase:
		return true
	case ConnectionEnterprise:
		_, domain, _ := strings.Cut(account.Email, "@")
		return account.EmailVerified && (i.Connection == c.ID || slices.Contains(c.Domains, lowerASCII(domain)))
	}
	return account.EmailVerified
}

// verifyInvitee gives the user what the invitation brings, and takes the address as verified: the ticket was sent there.
func verifyInvitee(ctx context.Context, e *Engine, i *Invitation, u *User) error {
	update := UserUpdate{AppMetadata: i.AppMetadata, UserMetadata: i.UserMetadata}
	if sameAddress(u.Email, i.Invitee.Email) {
		update.EmailVerified = new(true)
	}
	_, err := e.Users.Update(ctx, u.ID, update)
	return err
}

// invites checks that the actor of tx could make this invitation: who gets a ticket of it can use it.
func (i *Invitation) invites(ctx context.Context, tx *transaction) error {
	if err := i.permitMetadata(tx); err != nil {
		return err
	}
	known, err := rolesFor(ctx, tx, i.Organization, i.Roles)
	if err != nil {
		return err
	}
	return tx.hold(ctx, i.Organization, slices.Sorted(maps.Keys(known)))
}

// permitMetadata refuses an actor who invites with what only the directory writes: applications decide by app_metadata, in every
// organization.
func (i *Invitation) permitMetadata(tx *transaction) error {
	if tx.as == nil || len(i.AppMetadata) == 0 {
		return nil
	}
	return &Denied{"update:users_app_metadata"}
}

// checkInvitation checks what an invitation refers to (rule INV-1). The texts are those of Auth0's Management API.
func checkInvitation(ctx context.Context, tx *transaction, i *Invitation) error {
	if _, err := organization(ctx, tx.sql, i.Organization); err != nil {
		return err
	}
	if err := i.checkClient(ctx, tx); err != nil {
		return err
	}
	if err := i.checkConnection(ctx, tx); err != nil {
		return err
	}
	if err := checkRoles(ctx, tx, i.Organization, i.Roles); err != nil {
		return err
	}
	return tx.hold(ctx, i.Organization, i.Roles)
}

func (i *Invitation) checkClient(ctx context.Context, tx *transaction) error {
	c, err := client(ctx, tx.sql, i.Client)
	if errors.Is(err, ErrNotFound) {
		return &Invalid{"client_id", "INV-1", "must be the id of an application: the client does not exist"}
	}
	if err != nil {
		return err
	}
	if c.OrganizationUsage == OrganizationDeny {
		return &Invalid{"client_id", "INV-1", "must be that of an application that allows organizations: set its organization_usage"}
	}
	settings, err := tenant(ctx, tx.sql)
	if err != nil {
		return err
	}
	if c.InitiateLoginURI == "" && settings.DefaultRedirectionURI == "" {
		return &Invalid{"client_id", "INV-1",
			"must be that of an application with a default login route: set its initiate_login_uri, or the tenant's default_redirection_uri"}
	}
	if i.RedirectURI != "" && !urls.Allowed(c.Callbacks, i.RedirectURI, "") {
		return &Invalid{"redirect_uri", "INV-8", "must be one of the application's callbacks"}
	}
	return nil
}

func (i *Invitation) checkConnection(ctx context.Context, tx *transaction) error {
	if i.Connection == "" {
		return nil
	}
	c, err := connection(ctx, tx.sql, i.Connection)
	if errors.Is(err, ErrNotFound) {
		return &Invalid{"connection_id", "INV-1", "must be the id of a connection: the connection does not exist"}
	}
	if err != nil {
		return err
	}
	if c.Kind() == ConnectionPasswordless {
		return &Invalid{"connection_id", "INV-1", "must not be that of a passwordless connection"}
	}
	err = usable(ctx, tx, i.Organization, i.Connection)
	if errors.Is(err, ErrNotFound) {
		return &Invalid{"connection_id", "INV-1", "must be that of a connection that is enabled for the organization"}
	}
	return err
}
