package orgstore

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// maxGroupsPerUser bounds the groups of one user, in all connections together.
const maxGroupsPerUser = 1000

// GroupMember is a user in a group.
type GroupMember struct {
	User  string `json:"user_id"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// groupsState is what events show of the groups of a user: ids, sorted.
type groupsState struct {
	Groups []string `json:"groups"`
}

// AddMember puts a user into a group. Adding somebody who is in it changes nothing.
//
// Errors: NotFound (group or user), Limit (groups per user).
func (s *Groups) AddMember(ctx context.Context, group, user string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.addMember", group, user}, func(tx *transaction) error {
		return changeGroups(ctx, tx, user, []string{group}, func(in []string) ([]string, error) {
			return unique(slices.Concat(in, []string{group})), groupExists(ctx, tx.sql, group)
		})
	})
}

// RemoveMember takes a user out of a group. Removing somebody who is not in it changes nothing. Errors: NotFound (group).
func (s *Groups) RemoveMember(ctx context.Context, group, user string) (Result, error) {
	return s.e.mutate(ctx, call{"groups.removeMember", group, user}, func(tx *transaction) error {
		err := changeGroups(ctx, tx, user, []string{group}, func(in []string) ([]string, error) {
			return without(in, []string{group}), groupExists(ctx, tx.sql, group)
		})
		if missing, ok := errors.AsType[*NotFound](err); ok && missing.Kind == "user" {
			return nil
		}
		return err
	})
}

// SetOfUser makes those with these names the only groups of a connection, by id, that a user is in, as a login or a
// synchronization finds them. Names that no group of the connection has are left out: they are not known here.
//
// Errors: NotFound (user or connection), Invalid (names), Limit (groups per user).
func (s *Groups) SetOfUser(ctx context.Context, connection, user string, names ...string) (Result, error) {
	if !validID("con_", connection) {
		return Result{}, &NotFound{"connection"}
	}
	names = unique(names)
	if len(names) > maxGroupsPerUser {
		return Result{}, &Limit{"groups per user", maxGroupsPerUser}
	}
	if i := slices.IndexFunc(names, func(name string) bool { return !printable(name) || len(name) > 1024 }); i >= 0 {
		return Result{}, &Invalid{"names", "GRP-2", "must each be at most 1,024 bytes of printable characters"}
	}
	return s.e.mutate(ctx, call{"groups.setOfUser", connection, user, names}, func(tx *transaction) error {
		known, err := named(ctx, tx.sql, connection, names)
		if err != nil {
			return err
		}
		return changeGroups(ctx, tx, user, known, func(in []string) ([]string, error) {
			others, err := ids(ctx, tx.sql, `
				SELECT gm.group_id FROM orgauthz_group_members gm JOIN orgauthz_groups g ON g.id = gm.group_id
				WHERE gm.user_id = $1 AND g.connection_id <> $2 AND g.deleted_at IS NULL`, user, connection)
			if err != nil {
				return nil, err
			}
			// What was deleted or renamed before it could be locked is left out, and so is what has come since.
			left, err := named(ctx, tx.sql, connection, names)
			return unique(slices.Concat(others, without(known, without(known, left)))), err
		})
	})
}

func groupExists(ctx context.Context, q queryer, id string) error {
	_, err := group(ctx, q, id)
	return err
}

// named returns the ids of the groups of a connection that have one of names.
func named(ctx context.Context, q queryer, connection string, names []string) ([]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	args := []any{connection}
	var list []string
	for _, name := range names {
		args = append(args, name)
		list = append(list, parameter(args))
	}
	return ids(ctx, q, `SELECT id FROM orgauthz_groups WHERE connection_id = $1 AND deleted_at IS NULL AND name IN (`+
		strings.Join(list, ", ")+`)`, args...)
}

// changeGroups puts a user into the groups that edit makes of those that they are in, once all is locked; what is new is
// among named.
func changeGroups(ctx context.Context, tx *transaction, userID string, named []string, edit func(in []string) ([]string, error)) error {
	if err := tx.permit(ctx, "", "update:group_members"); err != nil {
		return err
	}
	var read []Scope
	for _, id := range named {
		read = append(read, Scope{Kind: ScopeGroup, ID: id})
	}
	if err := tx.lock(ctx, []Scope{UserScope(userID)}, read); err != nil {
		return err
	}
	if _, err := user(ctx, tx.sql, userID); err != nil {
		return err
	}
	in, err := ids(ctx, tx.sql, `
		SELECT gm.group_id FROM orgauthz_group_members gm JOIN orgauthz_groups g ON g.id = gm.group_id AND g.deleted_at IS NULL
		WHERE gm.user_id = $1 ORDER BY gm.group_id`, userID)
	if err != nil {
		return err
	}
	is, err := edit(in)
	if err != nil {
		return err
	}
	added, removed := without(is, in), without(in, is)
	if len(added) > 0 && len(is) > maxGroupsPerUser {
		return &Limit{"groups per user", maxGroupsPerUser}
	}
	for _, id := range removed {
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_group_members WHERE user_id = $1 AND group_id = $2`, userID, id); err != nil {
			return err
		}
	}
	for _, id := range added {
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_group_members (user_id, group_id) VALUES ($1, $2)`, userID, id); err != nil {
			return err
		}
	}
	// One event for each type that other systems know.
	kept := without(in, removed)
	if len(removed) > 0 {
		if err := tx.raise(ctx, UserScope(userID), "", "group.member.deleted", &groupsState{in}, &groupsState{kept}); err != nil {
			return err
		}
	}
	if len(added) > 0 {
		return tx.raise(ctx, UserScope(userID), "", "group.member.added", &groupsState{kept}, &groupsState{is})
	}
	return nil
}

var groupMemberList = listing[*GroupMember]{
	name: "group members",
	query: `SELECT u.id, u.email, u.name FROM orgauthz_group_members gm JOIN orgauthz_users u ON u.id = gm.user_id
		WHERE gm.group_id = $1 {after u.id}`,
	id: "gm.user_id",
	scan: func(row scanner) (*GroupMember, error) {
		var m GroupMember
		return &m, row.Scan(&m.User, &m.Email, &m.Name)
	},
	key: byID(func(m *GroupMember) string { return m.User }),
}

// Members returns a page of the users in a group, by id. Errors: NotFound (group), Invalid.
func (s *Groups) Members(ctx context.Context, id string, opts ListOptions) (Page[*GroupMember], error) {
	if _, err := s.Get(ctx, id); err != nil {
		return Page[*GroupMember]{}, err
	}
	l := groupMemberList
	l.args = []any{id}
	return l.read(ctx, s.e, opts)
}
