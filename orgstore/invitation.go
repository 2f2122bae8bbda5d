package orgstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Invitation asks somebody, by e-mail address, to become a member of an organization. Fields are called as in Auth0's
// Management API.
type Invitation struct {
	ID           string           `json:"id"` // "uinv_" and 16 alphanumerics
	Organization string           `json:"organization_id"`
	Status       InvitationStatus `json:"status"`
	Inviter      Inviter          `json:"inviter"`
	Invitee      Invitee          `json:"invitee"`
	Client       string           `json:"client_id"`               // the application whose login the link leads to
	Connection   string           `json:"connection_id,omitempty"` // the connection to accept through; empty for any of the organization
	Kind         string           `json:"kind"`                    // of the membership, as Member.Kind
	Roles        []string         `json:"roles,omitempty"`         // ids, sorted
	AppMetadata  map[string]any   `json:"app_metadata,omitempty"`  // is merged into the user's
	UserMetadata map[string]any   `json:"user_metadata,omitempty"` // is merged into the user's
	RedirectURI  string           `json:"redirect_uri,omitempty"`  // where to go after acceptance; empty for the organization's or the client's
	Attempts     int              `json:"attempts"`                // how often a wrong account tried to accept
	AcceptedBy   string           `json:"accepted_by,omitempty"`   // user id
	CreatedAt    time.Time        `json:"created_at"`              // UTC
	UpdatedAt    time.Time        `json:"updated_at"`              // UTC; attempts do not count
	ExpiresAt    time.Time        `json:"expires_at"`              // UTC

	// Ticket is what the link holds, 26 characters with 130 random bits. It is set in what Create and Resend return and nowhere
	// else: only its hash is stored (rule INV-3).
	Ticket string `json:"-"`
}

// Invitations invite people into organizations.
type Invitations struct{ e *Engine }

// Inviter is who invites.
type Inviter struct {
	Name string `json:"name"` // 1 to 300 characters, for people to read
	// User is the id of the user for whom an Engine of As made the invitation: roles that this user may not grant any more when
	// it is accepted are not given (rule INV-9). Empty when nobody's rights bound it.
	User string `json:"user_id,omitempty"`
}

// Invitee is who is invited.
type Invitee struct {
	Email string `json:"email"`
}

// InvitationStatus is the status of an invitation.
type InvitationStatus string

// The statuses of an invitation. Only a pending one can be accepted.
const (
	InvitationPending  InvitationStatus = "pending"
	InvitationAccepted InvitationStatus = "accepted"
	InvitationExpired  InvitationStatus = "expired"
	InvitationRevoked  InvitationStatus = "revoked" // by Revoke, by a newer invitation of the same address, or by wrong accounts
)

// Bounds of invitations (rules INV-2, INV-5).
const (
	usualInvitationTTL = 7 * 24 * time.Hour
	maxInvitationTTL   = 30 * 24 * time.Hour
	maxAttempts        = 10
	maxInviterName     = 300
)

// InvitationOptions says whom to invite and what the membership will be. InviterName, Email and Client must be given.
type InvitationOptions struct {
	InviterName  string         // 1 to 300 characters
	Email        string         // of who may accept, compared without regard to case
	Client       string         // id of the application whose login the link leads to; it must allow organizations
	Connection   string         // id of the only connection to accept through, which must be enabled for the organization; empty for any
	Kind         string         // of the membership: employee (default), freelancer, guest or other
	Roles        []string       // ids of roles to hold
	AppMetadata  map[string]any // a JSON object to merge into the user's, at most 16,384 bytes; nil for none
	UserMetadata map[string]any // a JSON object to merge into the user's, at most 16,384 bytes; nil for none
	RedirectURI  string         // where to go after acceptance, which must be among the callbacks of the client; empty for the usual place
	TTL          time.Duration  // how long it can be accepted, up to 30 days; 0 means 7 days (rule INV-2)
}

const invitationColumns = `id, org_id, status, email, inviter_name, inviter_id, client_id, connection_id, kind, roles, app_metadata,
	user_metadata, redirect_uri, attempts, accepted_by, created_at, updated_at, expires_at`

// scanInvitation reads an invitation as it is at an instant.
func scanInvitation(now time.Time) func(scanner) (*Invitation, error) {
	return func(row scanner) (*Invitation, error) {
		var i Invitation
		var roles, app, user string
		err := row.Scan(&i.ID, &i.Organization, &i.Status, &i.Invitee.Email, &i.Inviter.Name, &i.Inviter.User, &i.Client, &i.Connection, &i.Kind,
			&roles, &app, &user, &i.RedirectURI, &i.Attempts, &i.AcceptedBy, instant{&i.CreatedAt}, instant{&i.UpdatedAt}, instant{&i.ExpiresAt})
		if err != nil {
			return nil, err
		}
		i.Roles = strings.Fields(roles)
		if err := errors.Join(json.Unmarshal([]byte(app), &i.AppMetadata), json.Unmarshal([]byte(user), &i.UserMetadata)); err != nil {
			return nil, err
		}
		if i.Status == InvitationPending && !now.Before(i.ExpiresAt) {
			i.Status = InvitationExpired
		}
		return &i, nil
	}
}

func invitation(ctx context.Context, q queryer, where string, args ...any) (*Invitation, error) {
	return one(scanInvitation(q.clock())(q.QueryRowContext(ctx, `
		SELECT `+invitationColumns+` FROM orgauthz_invitations WHERE `+where, args...)))("invitation")
}

// check checks what can be checked without the database, and returns app_metadata and user_metadata as they are stored.
func (opts *InvitationOptions) check() (app, user string, err error) {
	var problems [2]error
	app, problems[0] = encodeObject("app_metadata", opts.AppMetadata)
	user, problems[1] = encodeObject("user_metadata", opts.UserMetadata)
	err = errors.Join(problems[:]...)
	if opts.InviterName == "" {
		err = errors.Join(err, &Invalid{"inviter.name", "INV-1", "must be given"})
	}
	return app, user, errors.Join(err, checkText("inviter.name", "INV-1", opts.InviterName, maxInviterName),
		checkEmail("invitee.email", "INV-1", opts.Email), checkKind(opts.Kind), checkTTL(opts.TTL))
}

// checkEmail checks an e-mail address as far as everybody agrees on it.
func checkEmail(field, rule, address string) error {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" || strings.ContainsAny(domain, "@ ") || len(address) > maxEmail || !printable(address) {
		return &Invalid{field, rule, "must be an e-mail address of at most 320 characters"}
	}
	return nil
}

// addressKey is what e-mail addresses have in common that differ in nothing but case. What gets an ASCII letter by that was none: the
// lower case of the Kelvin sign is a k, and the address another one.
func addressKey(address string) string {
	return strings.Map(func(r rune) rune {
		if lower := unicode.ToLower(r); r < utf8.RuneSelf || lower >= utf8.RuneSelf {
			return lower
		}
		return r
	}, address)
}

func sameAddress(a, b string) bool { return addressKey(a) == addressKey(b) }

func checkTTL(ttl time.Duration) error {
	if ttl < 0 || ttl > maxInvitationTTL {
		return &Invalid{"ttl_sec", "INV-2", "must be at most 30 days, or 0 for 7 days"}
	}
	return nil
}

// Create invites somebody into organization org, and returns the invitation with its Ticket. An older pending one of the same
// address in the same organization is revoked (rule INV-7).
//
// Errors: NotFound (organization, role), Invalid (INV-1, INV-2), Limit (invitations, roles per member), Denied (see Engine.As).
func (s *Invitations) Create(ctx context.Context, org string, opts InvitationOptions) (*Invitation, Result, error) {
	given := opts
	opts.Kind, opts.TTL = cmp.Or(opts.Kind, "employee"), cmp.Or(opts.TTL, usualInvitationTTL)
	app, user, err := opts.check()
	if err == nil && !validID("org_", org) {
		err = &NotFound{"organization"}
	}
	if err != nil {
		return nil, Result{}, err
	}
	ticket, hash := newTicket()
	i := Invitation{
		ID: newID("uinv_"), Organization: org, Status: InvitationPending, Inviter: Inviter{Name: opts.InviterName}, Invitee: Invitee{opts.Email},
		Client: opts.Client, Connection: opts.Connection, Kind: opts.Kind, Roles: unique(opts.Roles), AppMetadata: opts.AppMetadata,
		UserMetadata: opts.UserMetadata, RedirectURI: opts.RedirectURI,
	}
	if s.e.as != nil {
		i.Inviter.User = s.e.as.User
	}
	_, result, err := create(ctx, s.e, call{"invitations.create", org, given}, &i, func(tx *transaction) error {
		older, err := s.pending(ctx, tx, org, opts.Email)
		if err != nil {
			return err
		}
		if err := tx.permit(ctx, org, "create:organization_invitations"); err != nil {
			return err
		}
		if err := i.permitMetadata(tx); err != nil {
			return err
		}
		if err := tx.lock(ctx, append(invitationScopes(older), invitationScope(&i)), invitationReads(&i)); err != nil {
			return err
		}
		if err := checkInvitation(ctx, tx, &i); err != nil {
			return err
		}
		for _, o := range older {
			if err := s.supersede(ctx, tx, o.ID); err != nil {
				return err
			}
		}
		if i.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		i.UpdatedAt, i.ExpiresAt = i.CreatedAt, i.CreatedAt.Add(opts.TTL)
		if err := roomForInvitation(ctx, tx, org, i.CreatedAt); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_invitations (id, org_id, status, email, email_key, inviter_name, inviter_id, client_id, connection_id, kind,
				roles, app_metadata, user_metadata, redirect_uri, ticket, attempts, accepted_by, created_at, updated_at, expires_at)
			VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, '', $15, $15, $16)`,
			i.ID, org, i.Invitee.Email, addressKey(i.Invitee.Email), i.Inviter.Name, i.Inviter.User, i.Client, i.Connection, i.Kind,
			strings.Join(i.Roles, " "), app, user, i.RedirectURI, hash,
			i.CreatedAt.UnixMicro(), i.ExpiresAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, invitationScope(&i), org, "organization.invitation.created", nil, &i)
	})
	if err != nil {
		return nil, Result{}, err
	}
	if !result.Replayed {
		i.Ticket = ticket
	}
	return &i, result, nil
}

func invitationScope(i *Invitation) Scope {
	return Scope{Kind: ScopeInvitation, Org: i.Organization, ID: i.ID}
}

func invitationScopes(list []*Invitation) []Scope {
	scopes := make([]Scope, 0, len(list))
	for _, i := range list {
		scopes = append(scopes, invitationScope(i))
	}
	return scopes
}

// invitationReads are the scopes that an invitation refers to.
func invitationReads(i *Invitation) []Scope {
	scopes := []Scope{
		OrganizationScope(i.Organization), {Kind: ScopeClient, ID: i.Client}, {Kind: ScopeConnection, ID: i.Connection},
		{Kind: ScopeOrganizationConnection, Org: i.Organization, ID: i.Connection}, {Kind: ScopeTenant, ID: tenantID},
	}
	for _, id := range i.Roles {
		scopes = append(scopes, RoleScope(id))
	}
	return scopes
}

// pending returns the invitations of an address that are not used up, expired ones included.
func (s *Invitations) pending(ctx context.Context, tx *transaction, org, email string) ([]*Invitation, error) {
	return collect(ctx, tx.sql, `SELECT `+invitationColumns+` FROM orgauthz_invitations
		WHERE org_id = $1 AND email_key = $2 AND status = 'pending'`, []any{org, addressKey(email)}, scanInvitation(tx.cfg.Clock()))
}

// roomForInvitation checks the limit of pending invitations, under the lock of the organization's row.
func roomForInvitation(ctx context.Context, tx *transaction, org string, now time.Time) error {
	if err := guard(ctx, tx, org); err != nil {
		return err
	}
	var n int
	if err := tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM orgauthz_invitations WHERE org_id = $1 AND status = 'pending' AND expires_at > $2`,
		org, now.UnixMicro()).Scan(&n); err != nil {
		return err
	}
	if limit := tx.cfg.Limits.Invitations; n >= limit {
		return &Limit{"invitations", limit}
	}
	return nil
}

// guard locks the row of an organization, so that what is counted next stays as it is until the transaction ends.
func guard(ctx context.Context, tx *transaction, org string) error {
	_, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET members = members WHERE id = $1`, org)
	return err
}

// supersede ends an older invitation, unless it has ended meanwhile.
func (s *Invitations) supersede(ctx context.Context, tx *transaction, id string) error {
	before, err := invitation(ctx, tx.sql, `id = $1`, id)
	if err != nil {
		return err
	}
	status := InvitationRevoked
	switch before.Status {
	case InvitationPending:
	case InvitationExpired:
		status = InvitationExpired
	default:
		return nil
	}
	return s.end(ctx, tx, before, status, "", "organization.invitation."+string(status))
}

// end gives an invitation its last status. Its ticket is worth nothing from then on.
func (s *Invitations) end(ctx context.Context, tx *transaction, before *Invitation, status InvitationStatus, user, eventType string) error {
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	i := *before
	i.Status, i.AcceptedBy, i.UpdatedAt = status, user, at
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_invitations SET status = $2, accepted_by = $3, ticket = '', updated_at = $4 WHERE id = $1`,
		i.ID, string(status), user, at.UnixMicro()); err != nil {
		return err
	}
	return tx.raise(ctx, invitationScope(&i), i.Organization, eventType, before, &i)
}

// Get returns one invitation of organization org. Errors: NotFound.
func (s *Invitations) Get(ctx context.Context, org, id string) (*Invitation, error) {
	return read(ctx, s.e, func(q queryer) (*Invitation, error) {
		if !validID("org_", org) || !validID("uinv_", id) {
			return nil, &NotFound{"invitation"}
		}
		if _, err := organization(ctx, q, org); err != nil {
			return nil, &NotFound{"invitation"}
		}
		return invitation(ctx, q, `org_id = $1 AND id = $2`, org, id)
	})
}

// GetByTicket returns the pending invitation that ticket opens, whatever its organization: what a login page shows. Errors:
// NotFound (also when it was used, revoked or has expired, and when the organization is deleted).
func (s *Invitations) GetByTicket(ctx context.Context, ticket string) (*Invitation, error) {
	return read(ctx, s.e, func(q queryer) (*Invitation, error) { return s.byTicket(ctx, q, ticket) })
}

func (s *Invitations) byTicket(ctx context.Context, q queryer, ticket string) (*Invitation, error) {
	i, err := invitation(ctx, q, `ticket = $1`, hashOf(ticket))
	if err != nil {
		return nil, err
	}
	if i.Status != InvitationPending {
		return nil, &NotFound{"invitation"}
	}
	if _, err := organization(ctx, q, i.Organization); err != nil {
		if errors.Is(err, ErrNotFound) {
			err = &NotFound{"invitation"}
		}
		return nil, err
	}
	return i, nil
}

// InvitationListOptions selects a page of invitations.
type InvitationListOptions struct {
	ListOptions                  // by id or created_at
	Status      InvitationStatus // only these; empty means all
	Email       string           // only of this address, without regard to case; empty means all
}

// List returns a page of an organization's invitations, by id or created_at. Errors: NotFound (organization), Invalid.
func (s *Invitations) List(ctx context.Context, org string, opts InvitationListOptions) (Page[*Invitation], error) {
	if !validID("org_", org) {
		return Page[*Invitation]{}, &NotFound{"organization"}
	}
	now := s.e.cfg.Clock()
	l := listing[*Invitation]{
		name: "invitations", query: `SELECT ` + invitationColumns + ` FROM orgauthz_invitations WHERE org_id = $1`, args: []any{org},
		id: "id", sorts: map[Sort]string{SortCreated: "created_at"}, scan: scanInvitation(now),
		key: func(i *Invitation, _ Sort) (any, string) { return i.CreatedAt.UnixMicro(), i.ID },
	}
	switch opts.Status {
	case "":
	case InvitationPending:
		l.query += ` AND status = 'pending' AND expires_at > $2`
		l.args = append(l.args, now.UnixMicro())
	case InvitationExpired:
		l.query += ` AND (status = 'expired' OR status = 'pending' AND expires_at <= $2)`
		l.args = append(l.args, now.UnixMicro())
	case InvitationAccepted, InvitationRevoked:
		l.query += ` AND status = $2`
		l.args = append(l.args, string(opts.Status))
	default:
		return Page[*Invitation]{}, &Invalid{"Status", "INV-7", "must be pending, accepted, expired or revoked"}
	}
	if opts.Email != "" {
		if err := checkEmail("Email", "", opts.Email); err != nil {
			return Page[*Invitation]{}, err
		}
		l.query += ` AND email_key = $` + string(rune('1'+len(l.args)))
		l.args = append(l.args, addressKey(opts.Email))
	}
	page, err := l.read(ctx, s.e, opts.ListOptions)
	if err == nil && len(page.Items) == 0 {
		_, err = s.e.Organizations.Get(ctx, org)
	}
	return page, err
}

// Resend gives a pending or expired invitation a new ticket and a new time to be accepted in: ttl, or 7 days when 0. The old
// ticket is worth nothing from then on. The invitation that it returns has the Ticket.
//
// Errors: NotFound (organization, invitation), Invalid (INV-2), Conflict (accepted or revoked; or a newer one of the address is pending).
func (s *Invitations) Resend(ctx context.Context, org, id string, ttl time.Duration) (*Invitation, Result, error) {
	if err := checkTTL(ttl); err != nil {
		return nil, Result{}, err
	}
	ticket, hash := newTicket()
	var i Invitation
	_, result, err := create(ctx, s.e, call{"invitations.resend", org, id, ttl}, &i, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, id, "create:organization_invitations")
		if err != nil {
			return err
		}
		if before.Status != InvitationPending && before.Status != InvitationExpired {
			return &Conflict{"invitation", "status"}
		}
		others, err := s.pending(ctx, tx, org, before.Invitee.Email)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(others, func(o *Invitation) bool { return o.ID != id }) {
			return &Conflict{"invitation", "email"}
		}
		if err := before.invites(ctx, tx); err != nil {
			return err
		}
		i = *before
		if i.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		i.Status, i.ExpiresAt = InvitationPending, i.UpdatedAt.Add(cmp.Or(ttl, usualInvitationTTL))
		if before.Status == InvitationExpired {
			if err := roomForInvitation(ctx, tx, org, i.UpdatedAt); err != nil {
				return err
			}
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_invitations SET status = 'pending', ticket = $2, updated_at = $3, expires_at = $4 WHERE id = $1`,
			id, hash, i.UpdatedAt.UnixMicro(), i.ExpiresAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, invitationScope(&i), org, "organization.invitation.resent", before, &i)
	})
	if err != nil {
		return nil, Result{}, err
	}
	if !result.Replayed {
		i.Ticket = ticket
	}
	return &i, result, nil
}

// Revoke ends a pending invitation: its ticket is worth nothing from then on. One that has ended already changes nothing.
// Errors: NotFound (organization, invitation).
func (s *Invitations) Revoke(ctx context.Context, org, id string) (Result, error) {
	return s.e.mutate(ctx, call{"invitations.revoke", org, id}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, id, "delete:organization_invitations")
		if err != nil || before.Status != InvitationPending {
			return err
		}
		return s.end(ctx, tx, before, InvitationRevoked, "", "organization.invitation.revoked")
	})
}

// begin locks an invitation and returns it.
func (s *Invitations) begin(ctx context.Context, tx *transaction, org, id, permission string) (*Invitation, error) {
	if err := tx.permit(ctx, org, permission); err != nil {
		return nil, err
	}
	scope := Scope{Kind: ScopeInvitation, Org: org, ID: id}
	if err := tx.lock(ctx, []Scope{scope}, []Scope{OrganizationScope(org)}); err != nil {
		return nil, err
	}
	if _, err := organization(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	if !scope.valid() {
		return nil, &NotFound{"invitation"}
	}
	return invitation(ctx, tx.sql, `org_id = $1 AND id = $2`, org, id)
}
