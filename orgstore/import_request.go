package orgstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// importRequest writes a request with whatever has become of it.
func importRequest(ctx context.Context, _ *importer, e *Engine, r *Request) (outcome, error) {
	err := errors.Join(needID("req_", r.ID), checkText("message", "REQ-1", r.Message, maxMessage))
	if !slices.Contains([]RequestStatus{RequestPending, RequestApproved, RequestDeclined, RequestWithdrawn, RequestExpired}, r.Status) {
		err = errors.Join(err, &Invalid{"status", "REQ-2", "must be pending, approved, declined, withdrawn or expired"})
	}
	if r.Source != RequestByUser && r.Source != RequestByDomain {
		err = errors.Join(err, &Invalid{"source", "EXC-2", "must be user or domain"})
	}
	err = errors.Join(err, checkTimes(r.CreatedAt, r.UpdatedAt, r.ExpiresAt))
	if err != nil {
		return created, err
	}
	was, err := e.Requests.Get(ctx, r.Organization, r.ID)
	if err == nil {
		r.Email, r.Name = was.Email, was.Name
		if *r != *was {
			return found, errKept // what has become of it since
		}
		return found, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return created, err
	}
	return created, second(e.mutate(ctx, nil, func(tx *transaction) error {
		if err := r.lock(ctx, tx); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, r.Organization); err != nil {
			return err
		}
		if _, err := user(ctx, tx.sql, r.User); err != nil {
			return err
		}
		var taken, own, all int
		if err := tx.sql.QueryRowContext(ctx, `
			SELECT (SELECT COUNT(*) FROM orgauthz_requests WHERE id = $1),
				(SELECT COUNT(*) FROM orgauthz_requests WHERE org_id = $2 AND user_id = $3 AND status = 'pending'),
				(SELECT COUNT(*) FROM orgauthz_requests WHERE org_id = $2 AND status = 'pending')`,
			r.ID, r.Organization, r.User).Scan(&taken, &own, &all); err != nil {
			return err
		}
		switch {
		case taken > 0:
			return &Conflict{"request", "id"}
		case r.Status == RequestPending && own > 0:
			return &Conflict{"request", "user_id"}
		case r.Status == RequestPending && all >= tx.cfg.Limits.Requests:
			return &Limit{"requests", tx.cfg.Limits.Requests}
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_requests (id, org_id, user_id, message, source, status, created_at, updated_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, r.ID, r.Organization, r.User, r.Message, r.Source, string(r.Status),
			r.CreatedAt.UnixMicro(), r.UpdatedAt.UnixMicro(), r.ExpiresAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, requestScope(r.Organization, r.ID), r.Organization, "organization.membership_request.created", nil, r.shown(r.Status))
	}))
}

// importInvitation writes an invitation with whatever has become of it. Nobody has a ticket of it: one that is pending is to be sent
// again.
func importInvitation(ctx context.Context, _ *importer, e *Engine, i *Invitation) (outcome, error) {
	opts := InvitationOptions{
		InviterName: i.Inviter.Name, Email: i.Invitee.Email, Kind: i.Kind, AppMetadata: i.AppMetadata, UserMetadata: i.UserMetadata,
	}
	app, own, err := opts.check()
	err = errors.Join(needID("uinv_", i.ID), err, checkTimes(i.CreatedAt, i.UpdatedAt, i.ExpiresAt))
	if !slices.Contains([]InvitationStatus{InvitationPending, InvitationAccepted, InvitationExpired, InvitationRevoked}, i.Status) {
		err = errors.Join(err, &Invalid{"status", "INV-7", "must be pending, accepted, expired or revoked"})
	}
	for field, ok := range map[string]bool{
		"client_id": validClientID(i.Client), "connection_id": i.Connection == "" || validID("con_", i.Connection),
		"inviter.user_id": i.Inviter.User == "" || validUserID(i.Inviter.User), "accepted_by": i.AcceptedBy == "" || validUserID(i.AcceptedBy),
		"roles":        !slices.ContainsFunc(i.Roles, func(id string) bool { return !validID("rol_", id) }),
		"redirect_uri": len(i.RedirectURI) <= maxPicture && printable(i.RedirectURI), "attempts": i.Attempts >= 0,
	} {
		if !ok {
			err = errors.Join(err, &Invalid{field, "EXC-2", "must be as an invitation has it"})
		}
	}
	if err != nil {
		return created, err
	}
	was, err := e.Invitations.Get(ctx, i.Organization, i.ID)
	if err == nil {
		if is, e := sameJSON(i, was); e != nil || !is {
			return found, errors.Join(e, errKept) // what has become of it since
		}
		return found, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return created, err
	}
	i.Roles = unique(i.Roles)
	return created, second(e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{invitationScope(i)}, []Scope{OrganizationScope(i.Organization)}); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, i.Organization); err != nil {
			return err
		}
		taken := 0
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_invitations WHERE id = $1`, i.ID).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return &Conflict{"invitation", "id"}
		}
		if i.Status == InvitationPending {
			older, err := e.Invitations.pending(ctx, tx, i.Organization, i.Invitee.Email)
			if err != nil {
				return err
			}
			if len(older) > 0 {
				return &Conflict{"invitation", "email"}
			}
			if err := roomForInvitation(ctx, tx, i.Organization, tx.cfg.Clock()); err != nil {
				return err
			}
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_invitations (id, org_id, status, email, email_key, inviter_name, inviter_id, client_id, connection_id, kind,
				roles, app_metadata, user_metadata, redirect_uri, ticket, attempts, accepted_by, created_at, updated_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, '', $15, $16, $17, $18, $19)`,
			i.ID, i.Organization, string(i.Status), i.Invitee.Email, strings.ToLower(i.Invitee.Email), i.Inviter.Name, i.Inviter.User, i.Client,
			i.Connection, i.Kind, strings.Join(i.Roles, " "), app, own, i.RedirectURI, i.Attempts, i.AcceptedBy,
			i.CreatedAt.UnixMicro(), i.UpdatedAt.UnixMicro(), i.ExpiresAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, invitationScope(i), i.Organization, "organization.invitation.created", nil, i)
	}))
}

// checkTimes checks the times of what is taken over as it is.
func checkTimes(createdAt, updatedAt, expiresAt time.Time) (err error) {
	for field, at := range map[string]time.Time{"created_at": createdAt, "updated_at": updatedAt, "expires_at": expiresAt} {
		if at.IsZero() || !storable(at) {
			err = errors.Join(err, &Invalid{field, "EXC-2", "must be given, between the years 1970 and 9999"})
		}
	}
	return err
}

func sameJSON(a, b any) (bool, error) {
	is, err := json.Marshal(a)
	was, e := json.Marshal(b)
	return bytes.Equal(is, was), errors.Join(err, e)
}
