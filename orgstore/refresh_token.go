package orgstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"time"
)

// RefreshGrant is what a refresh token stands for: to ask for new access tokens of this kind, in this session.
type RefreshGrant struct {
	Session      string        // id
	Client       string        // id of the application that the token was issued to
	Organization string        // id; empty for a personal login
	Audience     string        // of the access tokens (RFC 8707 resource)
	Scope        string        // of the access tokens, separated by spaces
	Lifetime     time.Duration // of the family of tokens, from now on; 0 means as long as the session
}

// IssueRefreshToken returns a new refresh token of 26 characters with 130 random bits: the first of a family in which each is
// used once (rule TOK-8). Only its hash is stored. Errors: NotFound (session, not active), Invalid.
func (s *Sessions) IssueRefreshToken(ctx context.Context, g RefreshGrant) (string, error) {
	if g.Lifetime < 0 || !readable(g.Audience) || !readable(g.Scope) || !validClientID(g.Client) ||
		g.Organization != "" && !validID("org_", g.Organization) {
		return "", &Invalid{"grant", "TOK-8", "must have the id of a client, none or an id as organization, readable texts, and no negative lifetime"}
	}
	token, hash := newTicket()
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:sessions"); err != nil {
			return err
		}
		session, err := s.session(ctx, tx.sql, g.Session)
		if err != nil {
			return err
		}
		if err := tx.lock(ctx, nil, []Scope{UserScope(session.User)}); err != nil {
			return err
		}
		if session, err = s.session(ctx, tx.sql, g.Session); err != nil {
			return err
		}
		tx.dirty = true
		now := tx.cfg.Clock()
		expires := session.ExpiresAt
		if g.Lifetime > 0 {
			expires = now.Add(g.Lifetime)
		}
		return addRefreshToken(ctx, tx, hash, rand.Text(), g, now, expires)
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

func addRefreshToken(ctx context.Context, tx *transaction, hash, family string, g RefreshGrant, now, expires time.Time) error {
	_, err := tx.sql.ExecContext(ctx, `
		INSERT INTO orgauthz_refresh_tokens (token, family, session_id, client_id, org_id, audience, scope, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		hash, family, g.Session, g.Client, g.Organization, g.Audience, g.Scope, now.UnixMicro(), expires.UnixMicro())
	return err
}

// ErrRefreshReused is the error of a refresh token that was used before: either the application or a thief has a copy, so that
// the whole family has ended (RFC 9700 section 4.14.2). It is an ErrDenied.
var ErrRefreshReused error = &refusal{"the refresh token was used before; all that came of it have ended: the user has to log in again"}

// Refresh uses a refresh token of an application up, and returns what it stands for, with the next token of its family. The
// session counts as active from then on. In an organization's context the user has to be a member still, of an organization
// that is not suspended, must not have signed out of it, and must not have been idle for longer than its security policy allows
// (rules TOK-8, SEC-1).
//
// Errors: NotFound (refresh token: unknown, expired, of another client, of a session that has ended, or of a membership that has
// ended), ErrRefreshReused. Inside a Transact, ErrRefreshReused ends the family only if that is committed nevertheless.
func (s *Sessions) Refresh(ctx context.Context, client, token string) (*RefreshGrant, string, error) {
	if !validClientID(client) {
		return nil, "", &NotFound{"refresh token"}
	}
	next, nextHash := newTicket()
	hash := hashOf(token)
	var g RefreshGrant
	var refused error
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:sessions"); err != nil {
			return err
		}
		refused, tx.dirty = nil, true
		now := tx.cfg.Clock()
		var family string
		var expires int64
		var used sql.NullInt64
		// The update of the session is the lock of all families in it: of two that use one token at the same time the second sees the
		// first, and who ends a family sees the token that somebody else has just got.
		_, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_sessions SET active_at = active_at
			WHERE id = (SELECT session_id FROM orgauthz_refresh_tokens WHERE token = $1 AND client_id = $2)`, hash, client)
		if err != nil {
			return err
		}
		err = tx.sql.QueryRowContext(ctx, `
			SELECT family, session_id, client_id, org_id, audience, scope, expires_at, used_at
			FROM orgauthz_refresh_tokens WHERE token = $1 AND client_id = $2`, hash, client).
			Scan(&family, &g.Session, &g.Client, &g.Organization, &g.Audience, &g.Scope, &expires, &used)
		if errors.Is(err, sql.ErrNoRows) || err == nil && now.UnixMicro() >= expires {
			return &NotFound{"refresh token"}
		}
		if err != nil {
			return err
		}
		if used.Valid {
			refused = ErrRefreshReused
			_, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_refresh_tokens WHERE family = $1 AND token <> $2`, family, hash)
			return err
		}
		session, err := s.session(ctx, tx.sql, g.Session)
		if err == nil && g.Organization != "" {
			err = s.stillThere(ctx, tx, session, g.Organization)
		}
		if errors.Is(err, ErrNotFound) {
			return &NotFound{"refresh token"}
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_refresh_tokens SET used_at = $2 WHERE token = $1`, hash, now.UnixMicro()); err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_sessions SET active_at = $2 WHERE id = $1`, g.Session, now.UnixMicro()); err != nil {
			return err
		}
		return addRefreshToken(ctx, tx, nextHash, family, g, now, time.UnixMicro(expires))
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, "", err
	}
	return &g, next, nil
}

// stillThere checks that a session may go on in an organization: it has entered and not left it, its user has access, and it was
// not idle for longer than the organization's security policy allows.
func (s *Sessions) stillThere(ctx context.Context, tx *transaction, session *Session, org string) error {
	access, err := tx.access(ctx, org, session.User)
	if err != nil {
		return err
	}
	demanded := access.Org.Security
	idle := demanded != nil && demanded.MaxIdle > 0 && tx.cfg.Clock().Sub(session.ActiveAt) > demanded.MaxIdle
	for _, o := range session.Organizations {
		if o.ID == org && access.Standing == StandingMember && !idle {
			return nil
		}
	}
	return &NotFound{"organization"}
}
