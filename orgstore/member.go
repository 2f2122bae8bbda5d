package orgstore

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Member is one user in one organization.
type Member struct {
	Organization string            `json:"organization_id"`
	User         string            `json:"user_id"`
	Email        string            `json:"email,omitempty"` // of the directory's user
	Name         string            `json:"name,omitempty"`  // of the directory's user
	Blocked      bool              `json:"blocked"`         // the directory's user is blocked, in every organization
	Kind         string            `json:"kind"`            // employee, freelancer, guest or other (rule MEM-4)
	Metadata     map[string]string `json:"metadata,omitempty"`
	Roles        []MemberRole      `json:"roles"` // held in this organization, by name
	JoinedBy     string            `json:"joined_by"`
	JoinedAt     time.Time         `json:"joined_at"`  // UTC
	UpdatedAt    time.Time         `json:"updated_at"` // UTC; of kind, metadata and roles
}

// MemberRole names a role that a member holds.
type MemberRole struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// The kinds of members (rule MEM-4), and the ways in which they join.
var (
	memberKinds = []string{"employee", "freelancer", "guest", "other"}
	joinedBy    = []string{"admin", "invitation", "jit", "contract", "import", "request"}
)

// MemberOptions says how somebody becomes a member. The zero value is an employee without roles, added by an admin.
type MemberOptions struct {
	Kind     string            // employee (default), freelancer, guest or other
	Metadata map[string]string // at most Limits.Metadata pairs
	Roles    []string          // ids of roles to hold; see Roles.GetByName
	JoinedBy string            // admin (default), invitation, jit, contract, import or request
}

// MemberUpdate says what to change of a member. What is nil stays as it is.
type MemberUpdate struct {
	Kind     *string
	Metadata map[string]*string // sets these keys; a nil value removes its key; other keys stay
}

// Members are the members of an Engine's organizations. Organizations, users and roles are named by their ids.
type Members struct{ e *Engine }

// memberState is what events show of a member: nothing of the directory's user.
type memberState struct {
	Kind     string            `json:"kind"`
	Metadata map[string]string `json:"metadata,omitempty"`
	Roles    []string          `json:"roles"` // ids, sorted
}

// Add makes user a member of organization org, with all that opts says, or changes nothing: somebody who already is a member
// keeps kind, metadata and roles as they are, and the Result says that nothing changed (rule MEM-1).
//
// Errors: NotFound (organization, user or role), Invalid (MEM-4), Limit (members, roles per member, metadata pairs).
func (s *Members) Add(ctx context.Context, org, user string, opts MemberOptions) (Result, error) {
	is := memberState{cmp.Or(opts.Kind, "employee"), emptyToNil(maps.Clone(opts.Metadata)), unique(opts.Roles)}
	by := cmp.Or(opts.JoinedBy, "admin")
	err := errors.Join(checkKind(is.Kind), checkMetadata(is.Metadata, s.e.cfg.Limits.Metadata))
	if !slices.Contains(joinedBy, by) {
		err = errors.Join(err, &Invalid{"joined_by", "MEM-4", "must be admin, invitation, jit, contract, import or request"})
	}
	if err != nil {
		return Result{}, err
	}
	metadata, err := encodeMetadata(is.Metadata)
	if err != nil {
		return Result{}, err
	}
	return s.e.mutate(ctx, call{"members.add", org, user, opts}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, user, is.Roles)
		if err != nil {
			return err
		}
		if err := checkRoles(ctx, tx, org, is.Roles); err != nil || before != nil {
			return err
		}
		// The organization's row holds the number of its members and is the lock that makes the limit hold.
		var members int
		if err := tx.sql.QueryRowContext(ctx, `
			UPDATE orgauthz_organizations SET members = members + 1 WHERE id = $1 RETURNING members`,
			org).Scan(&members); err != nil {
			return err
		}
		if limit := tx.cfg.Limits.Members; members > limit {
			return &Limit{"members", limit}
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_members (org_id, user_id, name, kind, metadata, joined_by, created_at, updated_at)
			VALUES ($1, $2, (SELECT name FROM orgauthz_users WHERE id = $2), $3, $4, $5, $6, $6)`, org, user, is.Kind, metadata, by, at.UnixMicro()); err != nil {
			return err
		}
		if err := addRoles(ctx, tx, org, user, is.Roles); err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.added", nil, &is)
	})
}

// Remove ends a membership, with the roles held and the metadata (rule MEM-2). Removing somebody who is no member changes
// nothing. Errors: NotFound (organization).
func (s *Members) Remove(ctx context.Context, org, user string) (Result, error) {
	return s.e.mutate(ctx, call{"members.remove", org, user}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, user, nil)
		if before == nil {
			if missing, ok := errors.AsType[*NotFound](err); ok && missing.Kind == "user" {
				return nil
			}
			return err
		}
		if err := removeMember(ctx, tx, org, user); err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.deleted", before, nil)
	})
}

// removeMember deletes a membership, unless Clean has been faster.
func removeMember(ctx context.Context, tx *transaction, org, user string) error {
	// The row that counts comes first, as everywhere: otherwise two transactions could wait for each other.
	const add = `UPDATE orgauthz_organizations SET members = members + $2 WHERE id = $1`
	if _, err := tx.sql.ExecContext(ctx, add, org, -1); err != nil {
		return err
	}
	n, err := affected(tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_members WHERE org_id = $1 AND user_id = $2`, org, user))
	if err == nil && n == 0 {
		_, err = tx.sql.ExecContext(ctx, add, org, 1)
	}
	return err
}

// Update changes what u names. Errors: NotFound (organization, user or member), Invalid (MEM-4), Limit (metadata pairs).
func (s *Members) Update(ctx context.Context, org, user string, u MemberUpdate) (Result, error) {
	return s.change(ctx, call{"members.update", org, user, u}, org, user, nil, func(is *memberState) error {
		if u.Kind != nil {
			is.Kind = *u.Kind
		}
		is.Metadata = patched(is.Metadata, u.Metadata)
		return errors.Join(checkKind(is.Kind), checkMetadata(is.Metadata, s.e.cfg.Limits.Metadata))
	})
}

// AssignRoles gives a member roles, by id; those held already stay. Either all are given or none.
//
// Errors: NotFound (organization, user, member or role; rule ROL-4), Limit (roles per member; rule ROL-2).
func (s *Members) AssignRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.assignRoles", org, user, roles}, org, user, roles, func(is *memberState) error {
		is.Roles = unique(slices.Concat(is.Roles, roles))
		return nil
	})
}

// RemoveRoles takes roles from a member, by id; those not held, or not known, change nothing.
//
// Errors: NotFound (organization, user or member).
func (s *Members) RemoveRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.removeRoles", org, user, roles}, org, user, nil, func(is *memberState) error {
		is.Roles = slices.DeleteFunc(slices.Clone(is.Roles), func(id string) bool { return slices.Contains(roles, id) })
		return nil
	})
}

// SetRoles makes roles, by id, the only ones that a member holds. Errors: as AssignRoles.
func (s *Members) SetRoles(ctx context.Context, org, user string, roles ...string) (Result, error) {
	return s.change(ctx, call{"members.setRoles", org, user, roles}, org, user, roles, func(is *memberState) error {
		is.Roles = unique(roles)
		return nil
	})
}

// change applies edit to a member; what is as before is no change (rule ORG-4). roles are those that edit may add.
func (s *Members) change(ctx context.Context, c call, org, user string, roles []string,
	edit func(*memberState) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, org, user, roles)
		if err != nil {
			return err
		}
		if before == nil {
			return &NotFound{"member"}
		}
		is := *before
		if err := edit(&is); err != nil {
			return err
		}
		added, removed := without(is.Roles, before.Roles), without(before.Roles, is.Roles)
		if len(added) > 0 {
			if err := checkRoles(ctx, tx, org, added); err != nil {
				return err
			}
			if limit := tx.cfg.Limits.RolesPerMember; len(is.Roles) > limit {
				return &Limit{"roles per member", limit}
			}
		}
		edited := is.Kind != before.Kind || !maps.Equal(is.Metadata, before.Metadata)
		if !edited && len(added) == 0 && len(removed) == 0 {
			return nil
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		metadata, err := encodeMetadata(is.Metadata)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_members SET kind = $3, metadata = $4, updated_at = $5 WHERE org_id = $1 AND user_id = $2`,
			org, user, is.Kind, metadata, at.UnixMicro()); err != nil {
			return err
		}
		for _, id := range removed {
			if _, err := tx.sql.ExecContext(ctx, `
				DELETE FROM orgauthz_member_roles WHERE org_id = $1 AND user_id = $2 AND role_id = $3`,
				org, user, id); err != nil {
				return err
			}
		}
		if err := addRoles(ctx, tx, org, user, added); err != nil {
			return err
		}
		// One event for each type that other systems know, so that a set of roles may raise the membership twice.
		scope, step := MembershipScope(org, user), *before
		raise := func(eventType string, after memberState) error {
			from := step
			step = after
			return tx.raise(ctx, scope, org, eventType, &from, &after)
		}
		if edited {
			if err := raise("organization.member.updated", memberState{is.Kind, is.Metadata, step.Roles}); err != nil {
				return err
			}
		}
		if len(removed) > 0 {
			kept := memberState{is.Kind, is.Metadata, without(step.Roles, removed)}
			if err := raise("organization.member.role.deleted", kept); err != nil {
				return err
			}
		}
		if len(added) > 0 {
			return raise("organization.member.role.assigned", is)
		}
		return nil
	})
}

// begin locks what an operation on a membership needs and returns the member, nil when the user is none.
func (s *Members) begin(ctx context.Context, tx *transaction, org, userID string, roles []string) (*memberState, error) {
	read := []Scope{OrganizationScope(org), UserScope(userID)}
	for _, id := range roles {
		read = append(read, RoleScope(id))
	}
	if err := tx.lock(ctx, []Scope{MembershipScope(org, userID)}, read); err != nil {
		return nil, err
	}
	if _, err := organization(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	if _, err := principal(ctx, tx.sql, userID); err != nil {
		return nil, err
	}
	m, err := member(ctx, tx.sql, org, userID)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state := &memberState{Kind: m.Kind, Metadata: m.Metadata}
	for _, r := range m.Roles {
		state.Roles = append(state.Roles, r.ID)
	}
	slices.Sort(state.Roles)
	return state, nil
}

func checkKind(kind string) error {
	if !slices.Contains(memberKinds, kind) {
		return &Invalid{"kind", "MEM-4", "must be employee, freelancer, guest or other"}
	}
	return nil
}

// checkRoles checks that a member of org can be given these roles, if it held no others (rules ROL-2, ROL-4).
func checkRoles(ctx context.Context, tx *transaction, org string, roles []string) error {
	if limit := tx.cfg.Limits.RolesPerMember; len(roles) > limit {
		return &Limit{"roles per member", limit}
	}
	for _, id := range roles {
		if _, err := roleIn(ctx, tx.sql, org, id); err != nil {
			return err
		}
	}
	return nil
}

func addRoles(ctx context.Context, tx *transaction, org, user string, roles []string) error {
	for _, id := range roles {
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_member_roles (org_id, user_id, role_id) VALUES ($1, $2, $3)`, org, user, id); err != nil {
			return err
		}
	}
	return nil
}

// without returns the elements of list that are not in other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// Get returns one member with its roles. Errors: NotFound (member; also when there is no such organization).
func (s *Members) Get(ctx context.Context, org, user string) (*Member, error) {
	return read(ctx, s.e, func(q queryer) (*Member, error) { return member(ctx, q, org, user) })
}

var memberList = listing[*Member]{
	name: "members",
	query: `SELECT m.* FROM orgauthz_members m JOIN orgauthz_organizations o ON o.id = m.org_id AND o.deleted_at IS NULL
		WHERE m.org_id = $1`,
	id:  "m.user_id",
	key: byID(func(m *Member) string { return m.User }),
}

// List returns a page of an organization's members with their roles, in one query. Errors: NotFound (organization).
func (s *Members) List(ctx context.Context, org string, opts ListOptions) (Page[*Member], error) {
	l := memberList
	l.args = []any{org}
	text, args, limit, err := l.page(opts)
	if err != nil {
		return Page[*Member]{}, err
	}
	if !validID("org_", org) {
		return Page[*Member]{}, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Member], err error) {
		page.Items, err = members(ctx, q, text, args)
		if err == nil && len(page.Items) == 0 {
			_, err = organization(ctx, q, org)
		}
		l.cut(&page, limit, opts)
		return page, err
	})
}

func member(ctx context.Context, q queryer, org, user string) (*Member, error) {
	if !validID("org_", org) || !validUserID(user) {
		return nil, &NotFound{"member"}
	}
	found, err := members(ctx, q, memberList.query+` AND m.user_id = $2`, []any{org, user})
	if err == nil && len(found) == 0 {
		err = &NotFound{"member"}
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// members reads members with their roles. rows is a query of rows of orgauthz_members.
func members(ctx context.Context, q queryer, rows string, args []any) ([]*Member, error) {
	var found []*Member
	// Each row is a member and one of its roles, if it has any.
	_, err := collect(ctx, q, `
		SELECT m.org_id, m.user_id, u.email, u.name, u.blocked, m.kind, m.metadata, m.joined_by, m.created_at, m.updated_at,
			COALESCE(r.id, ''), COALESCE(r.name, '')
		FROM (`+rows+`) m
		JOIN orgauthz_users u ON u.id = m.user_id
		LEFT JOIN orgauthz_member_roles mr ON mr.org_id = m.org_id AND mr.user_id = m.user_id
		LEFT JOIN orgauthz_roles r ON r.id = mr.role_id AND r.deleted_at IS NULL
		ORDER BY m.user_id, r.name`,
		args,
		func(row scanner) (struct{}, error) {
			var m Member
			var r MemberRole
			var metadata string
			var created, updated int64
			if err := row.Scan(&m.Organization, &m.User, &m.Email, &m.Name, &m.Blocked, &m.Kind, &metadata, &m.JoinedBy,
				&created, &updated, &r.ID, &r.Name); err != nil {
				return struct{}{}, err
			}
			last := &m
			var err error
			if n := len(found); n > 0 && found[n-1].User == m.User {
				last = found[n-1]
			} else {
				m.Metadata, err = decodeMetadata(metadata)
				m.JoinedAt, m.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
				found = append(found, last)
			}
			if r.ID != "" {
				last.Roles = append(last.Roles, r)
			}
			return struct{}{}, err
		})
	return found, err
}
