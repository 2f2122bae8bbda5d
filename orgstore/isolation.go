package orgstore

import (
	"context"
	"maps"
	"slices"
)

var errIsolated = &Conflict{"user", "membership"}

// isolated returns which of users may have one membership at most (rule MEM-6). It is asked before anything is locked: whoever is
// isolated is locked alone then, so that they join one organization after the other.
func isolated(ctx context.Context, tx *transaction, users ...string) (map[string]bool, error) {
	alone := map[string]bool{}
	users = slices.DeleteFunc(slices.Clone(users), func(id string) bool { return !validUserID(id) })
	for some := range slices.Chunk(users, batch) {
		found, err := ids(ctx, tx.sql, `
			SELECT u.id FROM orgauthz_users u WHERE u.kind = 'user' AND u.id IN (`+parameters(1, len(some))+`)
			AND (EXISTS (SELECT 1 FROM orgauthz_tenant WHERE isolated = 1) OR EXISTS (SELECT 1 FROM orgauthz_identities i
				JOIN orgauthz_connections c ON c.id = i.connection_id AND c.isolated = 1 AND c.deleted_at IS NULL
				WHERE i.user_id = u.id))`, anys(some)...)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			alone[id] = true
		}
	}
	return alone, nil
}

// elsewhere returns which of users have a membership in another organization than org although they may have one at most. alone
// are those who could not before the users were locked: should there be more by now, the operation runs again.
func elsewhere(ctx context.Context, tx *transaction, org string, alone map[string]bool, users ...string) (map[string]bool, error) {
	now, err := isolated(ctx, tx, users...)
	if err != nil {
		return nil, err
	}
	for id := range now {
		if !alone[id] && !tx.unguarded {
			return nil, errMoved
		}
	}
	isolated := slices.Sorted(maps.Keys(now))
	there := map[string]bool{}
	for some := range slices.Chunk(isolated, batch) {
		found, err := ids(ctx, tx.sql, `
			SELECT DISTINCT m.user_id FROM orgauthz_members m
			JOIN orgauthz_organizations o ON o.id = m.org_id AND `+live+`
			WHERE m.org_id <> $2`+memberLives+` AND m.user_id IN (`+parameters(3, len(some))+`)`,
			append([]any{tx.cfg.Clock().UnixMicro(), org}, anys(some)...)...)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			there[id] = true
		}
		if tx.checked != nil {
			tx.checked()
		}
	}
	return there, nil
}
