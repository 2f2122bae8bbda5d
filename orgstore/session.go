package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
)

// Session is the login of a user: at one connection, at one time, with certain methods. It enters organizations, each once, and
// is what refresh tokens hang on.
//
// A session is active until it expires, is idle for too long, is ended, or its user is blocked, deleted or signed out
// (Users.SignOut): all of that acts at its instant, without anybody coming to clean up (rule SES-1).
type Session struct {
	ID              string    `json:"id"` // "ses_" and 16 alphanumerics, what tokens name in the claim sid
	User            string    `json:"user_id"`
	Connection      string    `json:"connection_id,omitempty"`
	Client          string    `json:"client_id,omitempty"` // the application that the user logged in to
	ACR             string    `json:"acr,omitempty"`       // OpenID Connect Core section 2
	AMR             []string  `json:"amr,omitempty"`       // RFC 8176: pwd, mfa, otp and so on; sorted
	Device          string    `json:"device,omitempty"`    // what people recognise it by; at most 300 characters
	AuthenticatedAt time.Time `json:"authenticated_at"`    // UTC; when the user last proved who they are: the claim auth_time
	CreatedAt       time.Time `json:"created_at"`          // UTC
	ActiveAt        time.Time `json:"last_interacted_at"`  // UTC; see Touch
	ExpiresAt       time.Time `json:"expires_at"`          // UTC
	Active          bool      `json:"active"`              // at the moment of reading

	Organizations []SessionOrganization `json:"organizations,omitempty"` // that it has entered and not left; by id
}

// SessionOrganization is an organization that a session has entered.
type SessionOrganization struct {
	ID        string    `json:"organization_id"`
	EnteredAt time.Time `json:"entered_at"` // UTC
}

// Sessions are the login sessions of users.
type Sessions struct{ e *Engine }

// SessionTimes bound sessions. The zero value has the defaults of Auth0.
type SessionTimes struct {
	Lifetime time.Duration // from the login on; 0 means 7 days
	Idle     time.Duration // without activity; 0 means 3 days
}

// sessionActive is a condition in SQL on a session s and its user u. $1 is now, and activity up to $2 is too old. A user who was
// deleted and has come back under the same id is another one.
const sessionActive = `s.ended_at IS NULL AND s.expires_at > $1 AND s.active_at > $2
	AND u.blocked = 0 AND s.created_at > u.tokens_valid_after AND s.created_at >= u.created_at`

// sessionEntered joins what makes the entry so of a session into an organization one that still counts. A member who was removed
// and has come back has to enter again. Of a guest, whom a contract or an organization above admits, the entry says nothing: what
// relies on it asks Resolve.
const sessionEntered = `
	JOIN orgauthz_organizations o ON o.id = so.org_id AND o.deleted_at IS NULL AND so.entered_at > o.tokens_valid_after
	LEFT JOIN orgauthz_members m ON m.org_id = so.org_id AND m.user_id = so.user_id`

// sessionStays is the condition of sessionEntered on the membership. $1 is now.
const sessionStays = ` AND CASE WHEN so.guest = 1 THEN m.user_id IS NULL ELSE so.entered_at > m.tokens_valid_after
	AND so.entered_at >= m.created_at AND m.status = 'active' AND (m.expires_at IS NULL OR m.expires_at > $1) END`

// Create records that a user has logged in. User must be given; AuthenticatedAt is now when zero; ID, CreatedAt, ActiveAt,
// ExpiresAt and Organizations are set by the engine. Logins and their activity raise no revision and tell no event (rule SES-2).
//
// Errors: NotFound (user), Invalid, Denied (the user is blocked).
func (s *Sessions) Create(ctx context.Context, session Session) (*Session, error) {
	given := session
	session.ID, session.AMR, session.Organizations, session.Active = newID("ses_"), unique(session.AMR), nil, true
	err := errors.Join(checkText("device", "SES-1", session.Device, maxDevice), checkMethods(session.ACR, session.AMR))
	for field, id := range map[string]string{"connection_id": session.Connection, "client_id": session.Client} {
		if !printable(id) || len(id) > maxUserID {
			err = errors.Join(err, &Invalid{field, "SES-1", "must be an id, or empty"})
		}
	}
	if err != nil {
		return nil, err
	}
	made, _, err := create(ctx, s.e, call{"sessions.create", given}, &session, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "create:sessions"); err != nil {
			return err
		}
		if err := tx.lock(ctx, nil, []Scope{UserScope(session.User)}); err != nil {
			return err
		}
		u, err := user(ctx, tx.sql, session.User)
		if err != nil {
			return err
		}
		if u.Blocked {
			return &refusal{"the user is blocked"}
		}
		tx.dirty = true
		if session.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		session.ActiveAt, session.ExpiresAt = session.CreatedAt, session.CreatedAt.Add(tx.cfg.Sessions.Lifetime)
		if session.AuthenticatedAt.IsZero() || session.AuthenticatedAt.After(session.CreatedAt) {
			session.AuthenticatedAt = session.CreatedAt
		}
		session.AuthenticatedAt = session.AuthenticatedAt.UTC().Truncate(time.Microsecond)
		_, err = tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_sessions (id, user_id, connection_id, client_id, acr, amr, device, authenticated_at, created_at,
				active_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`,
			session.ID, session.User, session.Connection, session.Client, session.ACR, strings.Join(session.AMR, " "), session.Device,
			session.AuthenticatedAt.UnixMicro(), session.CreatedAt.UnixMicro(), session.ExpiresAt.UnixMicro())
		return err
	})
	return made, err
}

const maxDevice = 300

func checkMethods(acr string, amr []string) error {
	err := checkText("acr", "SES-1", acr, maxDescription)
	for _, method := range amr {
		if method == "" || len(method) > 64 || !printable(method) || strings.Contains(method, " ") {
			return errors.Join(err, &Invalid{"amr", "SES-1", "must be methods of 1 to 64 printable characters without spaces, as in RFC 8176"})
		}
	}
	return err
}

const sessionColumns = `s.id, s.user_id, s.connection_id, s.client_id, s.acr, s.amr, s.device, s.authenticated_at, s.created_at,
	s.active_at, s.expires_at`

func scanSession(row scanner) (*Session, error) {
	var s Session
	var amr string
	err := row.Scan(&s.ID, &s.User, &s.Connection, &s.Client, &s.ACR, &amr, &s.Device, instant{&s.AuthenticatedAt}, instant{&s.CreatedAt},
		instant{&s.ActiveAt}, instant{&s.ExpiresAt}, &s.Active)
	if amr != "" {
		s.AMR = strings.Fields(amr)
	}
	return &s, err
}

// session reads a session that is active.
func (s *Sessions) session(ctx context.Context, q queryer, id string) (*Session, error) {
	if !validID("ses_", id) {
		return nil, &NotFound{"session"}
	}
	now := s.e.cfg.Clock()
	found, err := one(scanSession(q.QueryRowContext(ctx, `
		SELECT `+sessionColumns+`, 1 FROM orgauthz_sessions s JOIN orgauthz_users u ON u.id = s.user_id
		WHERE `+sessionActive+` AND s.id = $3`, now.UnixMicro(), now.Add(-s.e.cfg.Sessions.Idle).UnixMicro(), id)))("session")
	if err != nil {
		return nil, err
	}
	found.Organizations, err = collect(ctx, q, `
		SELECT so.org_id, so.entered_at FROM orgauthz_session_organizations so`+sessionEntered+`
		WHERE so.session_id = $2`+sessionStays+` ORDER BY so.org_id`, []any{now.UnixMicro(), id},
		func(row scanner) (o SessionOrganization, err error) {
			return o, row.Scan(&o.ID, instant{&o.EnteredAt})
		})
	return found, err
}

// Get returns the session with this id, if it is active, with the organizations that it has entered. Errors: NotFound.
func (s *Sessions) Get(ctx context.Context, id string) (*Session, error) {
	return read(ctx, s.e, func(q queryer) (*Session, error) { return s.session(ctx, q, id) })
}

// Touch records that a session is in use and returns it. That is written at most once a minute. Errors: NotFound (also when it
// is not active any more).
func (s *Sessions) Touch(ctx context.Context, id string) (*Session, error) {
	session, err := s.Get(ctx, id)
	if err != nil || s.e.cfg.Clock().Sub(session.ActiveAt) < usageInterval {
		return session, err
	}
	_, err = s.e.mutate(ctx, nil, func(tx *transaction) error {
		tx.dirty = true
		session.ActiveAt = tx.cfg.Clock().UTC().Truncate(time.Microsecond)
		_, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_sessions SET active_at = $2 WHERE id = $1 AND ended_at IS NULL AND active_at < $2`,
			id, session.ActiveAt.UnixMicro())
		return err
	})
	return session, err
}

// usageInterval is how exactly it is known when something was last used.
const usageInterval = time.Minute

// Enter records that a session has entered organization org, to which its user has access (see Access.Standing): as a member, or
// as a guest by a contract or by an organization above. Removing the member, or signing out of the organization, makes the session
// leave it (rule SES-3). What else a login has to satisfy is package login's to decide.
//
// Errors: NotFound (session, organization, member: no access).
func (s *Sessions) Enter(ctx context.Context, id, org string) (*Session, error) {
	var session Session
	made, _, err := create(ctx, s.e, call{"sessions.enter", id, org}, &session, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:sessions"); err != nil {
			return err
		}
		found, err := s.session(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		if err := tx.lock(ctx, nil, []Scope{OrganizationScope(org), MembershipScope(org, found.User), UserScope(found.User)}); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
		access, err := tx.access(ctx, org, found.User)
		if err != nil {
			return err
		}
		if access.Standing != StandingMember {
			return &NotFound{"member"}
		}
		tx.dirty = true
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		// After a sign-out the row is still there: then this enters anew.
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_session_organizations (session_id, org_id, user_id, entered_at, guest) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (session_id, org_id) DO UPDATE SET entered_at = excluded.entered_at, guest = excluded.guest`,
			id, org, found.User, at.UnixMicro(), flag(access.Member.Via != "")); err != nil {
			return err
		}
		if found, err = s.session(ctx, tx.sql, id); err == nil {
			session = *found
		}
		return err
	})
	return made, err
}

// SessionListOptions selects a page of sessions. One of User and Organization must be given.
type SessionListOptions struct {
	ListOptions         // by id; of a user also by created_at
	User         string // only this user's, by id
	Organization string // only those that have entered this organization and not left it, by id
}

// List returns a page of active sessions, by id or, of one user, by created_at. Their Organizations are not filled. Errors: Invalid.
func (s *Sessions) List(ctx context.Context, opts SessionListOptions) (Page[*Session], error) {
	now := s.e.cfg.Clock()
	l := listing[*Session]{
		name: "sessions", args: []any{now.UnixMicro(), now.Add(-s.e.cfg.Sessions.Idle).UnixMicro()}, id: "s.id", scan: scanSession,
		key: func(s *Session, _ Sort) (any, string) { return s.CreatedAt.UnixMicro(), s.ID },
	}
	from := ` FROM orgauthz_sessions s JOIN orgauthz_users u ON u.id = s.user_id`
	switch {
	case opts.User != "" && opts.Organization != "" || opts.User == "" && opts.Organization == "":
		return Page[*Session]{}, &Invalid{"User", "SES-4", "or Organization must be given, and not both"}
	case !printable(opts.User) || !printable(opts.Organization):
		return Page[*Session]{}, &Invalid{"User", "SES-4", "and Organization must be ids"}
	case opts.User != "":
		l.query = `SELECT ` + sessionColumns + `, 1` + from + ` WHERE ` + sessionActive + ` AND s.user_id = $3`
		l.args = append(l.args, opts.User)
		l.sorts = map[Sort]string{SortCreated: "s.created_at"}
	default:
		l.query = `SELECT ` + sessionColumns + `, 1` + from + `
			JOIN orgauthz_session_organizations so ON so.session_id = s.id` + sessionEntered + `
			WHERE ` + sessionActive + sessionStays + ` AND so.org_id = $3 {after s.id}`
		l.id = "so.session_id" // the order that the index has
		l.args = append(l.args, opts.Organization)
	}
	return l.read(ctx, s.e, opts.ListOptions)
}

// End ends one session and its refresh tokens. Access tokens that were issued in it go on until they expire: Users.SignOut ends
// these too. Ending one that has ended, or was never there, changes nothing.
func (s *Sessions) End(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"sessions.end", id}, func(tx *transaction) error {
		scope := Scope{Kind: ScopeSession, ID: id}
		if err := tx.permit(ctx, "", "delete:sessions"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{scope}, nil); err != nil {
			return err
		}
		if !scope.valid() {
			return nil
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		var user string
		err = tx.sql.QueryRowContext(ctx, `UPDATE orgauthz_sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL RETURNING user_id`,
			id, at.UnixMicro()).Scan(&user)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_refresh_tokens WHERE session_id = $1`, id); err != nil {
			return err
		}
		return tx.raise(ctx, scope, "", "session.ended", &sessionState{user}, nil)
	})
}

// sessionState is what events show of a session.
type sessionState struct {
	User string `json:"user_id"`
}

// cleanSessions deletes sessions whose time is over, with their refresh tokens, and counts of tokens that nobody asks for any more.
func cleanSessions(ctx context.Context, tx *transaction) (int, error) {
	now := tx.cfg.Clock()
	n, err := affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_sessions WHERE id IN
			(SELECT id FROM orgauthz_sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)`, now.UnixMicro(), cleanBatch))
	if err != nil || n > 0 {
		return n, err
	}
	return affected(tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_token_usage WHERE begins_at < $1`, now.Add(-48*time.Hour).UnixMicro()))
}
