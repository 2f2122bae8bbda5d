package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// ownerRole returns the role that somebody has to hold in a live organization (rule MEM-5), empty for none.
func ownerRole(ctx context.Context, q queryer, org string) (role string, err error) {
	if !validID("org_", org) {
		return "", &NotFound{"organization"}
	}
	err = q.QueryRowContext(ctx, `SELECT o.owner_role FROM orgauthz_organizations o WHERE `+live+` AND o.id = $2`,
		q.clock().UnixMicro(), org).Scan(&role)
	if errors.Is(err, sql.ErrNoRows) {
		err = &NotFound{"organization"}
	}
	return role, err
}

var errNoOwner = &Conflict{"organization", "owner"}

// owns reports whether a member is an owner where role makes owners.
func (m *memberState) owns(role string) bool {
	return role != "" && m != nil && m.Status == MemberActive && m.ExpiresAt.IsZero() &&
		slices.Contains(m.Roles, role) && m.Terms[role].ExpiresAt.IsZero()
}

// keepOwner checks that the organization keeps an owner when a member becomes what is says; nil for no member.
func (m *membership) keepOwner(ctx context.Context, tx *transaction, is *memberState) error {
	if !m.is.owns(m.owner) || is.owns(m.owner) {
		return nil
	}
	others, err := lockOwners(ctx, tx, m.org, m.owner, m.user.ID)
	if err == nil && others == 0 {
		err = errNoOwner
	}
	return err
}

// lockOwners counts the owners of org who are not blocked, without one user, so that the answer holds until the transaction ends
// if everybody locks first and counts then: the lock is the row that counts members. (A block is no obstacle: it is never refused,
// so that it may come in between as well as afterwards.)
func lockOwners(ctx context.Context, tx *transaction, org, role, without string) (n int, err error) {
	if !tx.unguarded {
		if err := countMembers(ctx, tx, org, 0); err != nil {
			return 0, err
		}
	}
	err = tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM orgauthz_member_roles mr
		JOIN orgauthz_members m ON m.org_id = mr.org_id AND m.user_id = mr.user_id
		JOIN orgauthz_users u ON u.id = m.user_id
		WHERE mr.org_id = $1 AND mr.role_id = $2 AND mr.expires_at IS NULL AND m.status = 'active' AND m.expires_at IS NULL
			AND u.blocked = 0 AND m.user_id <> $3`, org, role, without).Scan(&n)
	if tx.checked != nil {
		tx.checked()
	}
	return n, err
}

// checkOwnerships checks that no organization loses its last owner with a user. Whoever calls it has the lock of the user.
func checkOwnerships(ctx context.Context, tx *transaction, user string) error {
	orgs, err := ids(ctx, tx.sql, `
		SELECT m.org_id FROM orgauthz_members m JOIN orgauthz_organizations o ON o.id = m.org_id AND `+live+`
		WHERE m.user_id = $2 ORDER BY m.org_id`, tx.cfg.Clock().UnixMicro(), user)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		// The organization is not locked, so that its demand must be read after the row that counts has been.
		var role string
		err := tx.sql.QueryRowContext(ctx, `
			UPDATE orgauthz_organizations SET members = members WHERE id = $1 AND deleted_at IS NULL RETURNING owner_role`,
			org).Scan(&role)
		if errors.Is(err, sql.ErrNoRows) || err == nil && role == "" {
			continue
		}
		if err != nil {
			return err
		}
		found, err := membersWith(ctx, tx.sql, tx.cfg.Clock(), org, []string{user})
		if err != nil {
			return err
		}
		if len(found) == 0 || !stateOf(found[0]).owns(role) {
			continue
		}
		others, err := lockOwners(ctx, tx, org, role, user)
		if err != nil {
			return err
		}
		if others == 0 {
			return errNoOwner
		}
	}
	return nil
}

// checkNotDemanded checks that no organization demands the role. Whoever calls it has the lock of the role.
func checkNotDemanded(ctx context.Context, tx *transaction, role string) error {
	var n int
	err := tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*) FROM orgauthz_organizations WHERE owner_role = $1 AND owner_role <> '' AND deleted_at IS NULL`, role).Scan(&n)
	if err == nil && n > 0 {
		err = &Conflict{"role", "owner"}
	}
	return err
}
