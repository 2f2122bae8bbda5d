package orgstore

import (
	"context"
	"slices"
	"time"
)

// maxInstant bounds instants: RFC 3339, and with it JSON, knows years of four digits.
var maxInstant = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)

// checkInstant checks the form of a time at which something is to end; zero stands for never.
func checkInstant(at time.Time) error {
	if !at.IsZero() && (at.UnixMicro() <= 0 || !at.Before(maxInstant)) {
		return &Invalid{"expires_at", "LIFE-2", "must be after 1970 and before the year 10000"}
	}
	return nil
}

// checkFuture checks that something can be set to end at an instant. It is checked in the transaction, so that a repeated call
// with an idempotency key is answered whenever it comes.
func checkFuture(tx *transaction, at time.Time) error {
	if expiredAt(at, tx.cfg.Clock()) {
		return &Invalid{"expires_at", "LIFE-2", "must be in the future"}
	}
	return nil
}

// expiredAt reports whether what ends at an instant has ended: at the instant itself it has.
func expiredAt(at, now time.Time) bool { return !at.IsZero() && at.UnixMicro() <= now.UnixMicro() }

// expire removes a membership that has expired, and says so.
func (m *membership) expire(ctx context.Context, tx *transaction) error {
	if err := removeMember(ctx, tx, m.org, m.user.ID); err != nil {
		return err
	}
	return tx.raiseAll(ctx, []raised{ended(m.org, m.user.ID, m.expired)})
}

// expiredOf locks the memberships of some rows that have ended, all of one organization, and returns its members with everything
// they have had, whatever has ended of it.
func expiredOf(ctx context.Context, tx *transaction, table string) (org string, found []*Member, err error) {
	type row struct{ org, user string }
	rows, err := collect(ctx, tx.sql, `SELECT org_id, user_id FROM `+table+`
		WHERE expires_at IS NOT NULL AND expires_at <= $1 ORDER BY expires_at LIMIT $2`,
		[]any{tx.cfg.Clock().UnixMicro(), 500},
		func(s scanner) (r row, err error) { return r, s.Scan(&r.org, &r.user) })
	if err != nil || len(rows) == 0 {
		return "", nil, err
	}
	org = rows[0].org
	var users []string
	var scopes []Scope
	for _, r := range rows {
		if r.org == org {
			users, scopes = append(users, r.user), append(scopes, MembershipScope(org, r.user))
		}
	}
	if err := tx.lock(ctx, scopes, nil); err != nil {
		return "", nil, err
	}
	// Who deletes members locks the row that counts them first.
	if err := countMembers(ctx, tx, org, 0); err != nil {
		return "", nil, err
	}
	found, err = membersWith(ctx, tx.sql, time.UnixMicro(0), org, unique(users))
	return org, found, err
}

// cleanExpiredMembers ends memberships whose time is over (rule LIFE-4).
func cleanExpiredMembers(ctx context.Context, tx *transaction) (deleted int, err error) {
	org, found, err := expiredOf(ctx, tx, "orgauthz_members")
	if err != nil {
		return 0, err
	}
	var gone []string
	var list []raised
	for _, m := range found {
		if expiredAt(m.ExpiresAt, tx.cfg.Clock()) {
			gone = append(gone, m.User)
			list = append(list, ended(org, m.User, stateOf(m)))
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	if err := deleteMembers(ctx, tx, org, gone); err != nil {
		return 0, err
	}
	return len(gone), tx.raiseAll(ctx, list)
}

// ended is the end of a membership whose time was over.
func ended(org, user string, is *memberState) raised {
	is.Reason = "expired"
	return raised{MembershipScope(org, user), org, "organization.member.deleted", is, nil}
}

// cleanExpiredRoles takes roles whose time is over from members (rule LIFE-4).
func cleanExpiredRoles(ctx context.Context, tx *transaction) (deleted int, err error) {
	org, found, err := expiredOf(ctx, tx, "orgauthz_member_roles")
	if err != nil {
		return 0, err
	}
	now := tx.cfg.Clock()
	var users []string
	var list []raised
	for _, m := range found {
		var gone []string
		for _, r := range m.Roles {
			if expiredAt(r.ExpiresAt, now) {
				gone = append(gone, r.ID)
			}
		}
		if len(gone) == 0 {
			continue
		}
		before, after := stateOf(m), stateOf(m)
		before.Reason = "expired"
		after.drop(gone)
		users = append(users, m.User)
		list = append(list, raised{MembershipScope(org, m.User), org, "organization.member.role.deleted", before, after})
	}
	if len(users) == 0 {
		return 0, nil
	}
	deleted, err = affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_member_roles WHERE org_id = $1 AND expires_at <= $2 AND user_id IN (`+parameters(3, len(users))+`)`,
		append([]any{org, now.UnixMicro()}, anys(users)...)...))
	if err != nil {
		return 0, err
	}
	return deleted, tx.raiseAll(ctx, list)
}

// deleteMembers deletes the rows of members of org, all of which are there.
func deleteMembers(ctx context.Context, tx *transaction, org string, users []string) error {
	if err := countMembers(ctx, tx, org, -len(users)); err != nil {
		return err
	}
	for some := range slices.Chunk(users, batch) {
		if _, err := tx.sql.ExecContext(ctx, `
			DELETE FROM orgauthz_members WHERE org_id = $1 AND user_id IN (`+parameters(2, len(some))+`)`,
			append([]any{org}, anys(some)...)...); err != nil {
			return err
		}
	}
	return nil
}
