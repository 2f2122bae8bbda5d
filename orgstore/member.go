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
	Status       MemberStatus      `json:"status"`          // rule LIFE-1
	Kind         string            `json:"kind"`            // employee, freelancer, guest or other (rule MEM-4)
	Metadata     map[string]string `json:"metadata,omitempty"`
	Roles        []MemberRole      `json:"roles"` // held in this organization at this moment, by name
	JoinedBy     string            `json:"joined_by"`
	JoinedAt     time.Time         `json:"joined_at"`           // UTC
	UpdatedAt    time.Time         `json:"updated_at"`          // UTC; of status, kind, metadata, expiry and roles
	ExpiresAt    time.Time         `json:"expires_at,omitzero"` // UTC; when the membership ends by itself (rule LIFE-2); zero for never
	UsedAt       time.Time         `json:"used_at,omitzero"`    // UTC; what Members.Use has noted last; zero for never
}

// MemberStatus is the status of a membership.
type MemberStatus string

// The statuses of a membership (rule LIFE-1).
const (
	MemberActive    MemberStatus = "active"
	MemberSuspended MemberStatus = "suspended"
)

// The kinds of members (rule MEM-4), and the ways in which they join.
var (
	memberKinds = []string{"employee", "freelancer", "guest", "other"}
	joinedBy    = []string{"admin", "invitation", "jit", "contract", "import", "request"}
)

// MemberOptions says how somebody becomes a member. The zero value is an employee without roles, added by an admin, for good.
type MemberOptions struct {
	Kind      string            // employee (default), freelancer, guest or other
	Metadata  map[string]string // at most Limits.Metadata pairs
	Roles     []string          // ids of roles to hold; see Roles.GetByName, and Members.Assign for those that end
	JoinedBy  string            // admin (default), invitation, jit, contract, import or request
	ExpiresAt time.Time         // in the future: when the membership ends by itself (rule LIFE-2); zero for never
}

// MemberUpdate says what to change of a member. What is nil stays as it is.
type MemberUpdate struct {
	Kind      *string
	Metadata  map[string]*string // sets these keys; a nil value removes its key; other keys stay
	ExpiresAt *time.Time         // in the future; the zero time makes the membership last
}

// Members are the members of an Engine's organizations. Organizations, users and roles are named by their ids.
//
// A membership that has expired is none, for every operation, from its instant on (rule LIFE-2).
type Members struct{ e *Engine }

// What an actor needs to change members. The last one is not among Auth0's scopes, where a membership has nothing to change.
const (
	createMember = "create:organization_members"
	deleteMember = "delete:organization_members"
	updateMember = "update:organization_members"
)

// permitAdd permits making users members with roles.
func permitAdd(ctx context.Context, tx *transaction, org string, roles []string, users ...string) error {
	err := tx.permit(ctx, org, createMember, users...)
	if err == nil && len(roles) > 0 {
		err = tx.permit(ctx, org, assignRoles, users...)
	}
	return err
}

// memberState is what events show of a member: nothing of the directory's user.
type memberState struct {
	Kind      string               `json:"kind"`
	Status    MemberStatus         `json:"status"`
	ExpiresAt time.Time            `json:"expires_at,omitzero"`
	Metadata  map[string]string    `json:"metadata,omitempty"`
	Roles     []string             `json:"roles"` // ids, sorted
	Terms     map[string]roleTerms `json:"role_terms,omitempty"`
	Reason    string               `json:"reason,omitempty"` // expired, of what ended by itself
}

// stateOf returns the state of a member that was read.
func stateOf(m *Member) *memberState {
	is := &memberState{Kind: m.Kind, Status: m.Status, ExpiresAt: m.ExpiresAt, Metadata: m.Metadata}
	for _, r := range m.Roles {
		is.Roles = append(is.Roles, r.ID)
		is.setTerms(r.ID, roleTerms{r.ExpiresAt, r.Descendants})
	}
	slices.Sort(is.Roles)
	return is
}

// newMember returns the state of a new member.
func newMember(opts MemberOptions, limits Limits) (is memberState, by string, err error) {
	is = memberState{
		Kind: cmp.Or(opts.Kind, "employee"), Status: MemberActive, ExpiresAt: micro(opts.ExpiresAt),
		Metadata: emptyToNil(maps.Clone(opts.Metadata)), Roles: unique(opts.Roles),
	}
	by = cmp.Or(opts.JoinedBy, "admin")
	err = errors.Join(checkKind(is.Kind), checkMetadata(is.Metadata, limits.Metadata), checkInstant(opts.ExpiresAt))
	if !slices.Contains(joinedBy, by) {
		err = errors.Join(err, &Invalid{"joined_by", "MEM-4", "must be admin, invitation, jit, contract, import or request"})
	}
	return is, by, err
}

// Add makes user a member of organization org, with all that opts says, or changes nothing: somebody who already is a member
// keeps everything as it is, and the Result says that nothing changed (rule MEM-1). Where the membership has expired a new one
// begins (rule LIFE-2).
//
// Errors: NotFound (organization, user or role), Invalid (MEM-4, LIFE-2), Limit (members, roles per member, metadata pairs),
// Conflict (user membership; rule MEM-6).
func (s *Members) Add(ctx context.Context, org, user string, opts MemberOptions) (Result, error) {
	is, by, err := newMember(opts, s.e.cfg.Limits)
	if err != nil {
		return Result{}, err
	}
	return s.e.mutate(ctx, call{"members.add", org, user, opts}, func(tx *transaction) error {
		if err := permitAdd(ctx, tx, org, is.Roles, user); err != nil {
			return err
		}
		m, err := begin(ctx, tx, org, user, is.Roles)
		if err != nil {
			return err
		}
		if err := checkRoles(ctx, tx, org, is.Roles); err != nil || m.is != nil {
			return err
		}
		err = errors.Join(tx.hold(ctx, org, is.Roles), checkFuture(tx, is.ExpiresAt))
		if err == nil && m.elsewhere {
			err = errIsolated
		}
		if err == nil && m.expired != nil {
			err = m.expire(ctx, tx)
		}
		if err == nil {
			err = countMembers(ctx, tx, org, 1)
		}
		if err == nil {
			err = insertMembers(ctx, tx, org, []joining{{user: m.user, is: is, by: by}})
		}
		if err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.added", nil, &is)
	})
}

// countMembers adds n to the number of members of org. The row that holds it is the lock that makes the limit hold: it comes
// before any row of members is written or deleted, as everywhere, because otherwise two transactions could wait for each other.
func countMembers(ctx context.Context, tx *transaction, org string, n int) error {
	var members int
	if err := tx.sql.QueryRowContext(ctx, `
		UPDATE orgauthz_organizations SET members = members + $2 WHERE id = $1 RETURNING members`,
		org, n).Scan(&members); err != nil {
		return err
	}
	if limit := tx.cfg.Limits.Members; n > 0 && members > limit {
		return &Limit{"members", limit}
	}
	return nil
}

// joining is somebody who becomes a member.
type joining struct {
	user *User
	is   memberState
	by   string
	file *memberRecord // that has the times of an import, as far as they are known; nil for everybody else
}

// insertMembers writes the rows of new members of org.
func insertMembers(ctx context.Context, tx *transaction, org string, list []joining) error {
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	members := make([][]any, 0, len(list))
	var roles [][]any
	for _, j := range list {
		metadata, err := encodeMetadata(j.is.Metadata)
		if err != nil {
			return err
		}
		joined, updated, used, valid := at.UnixMicro(), at.UnixMicro(), int64(0), int64(0)
		if j.file != nil {
			joined, updated, used, valid = j.file.times(joined)
		}
		members = append(members, []any{org, j.user.ID, j.is.Kind, string(j.is.Status), metadata, j.by, instant{&j.is.ExpiresAt},
			j.user.Name, searchable(j.user.Name), searchable(j.user.Email), joined, updated, used, valid})
		roles = append(roles, j.is.rows(org, j.user.ID, j.is.Roles)...)
	}
	if err := tx.insert(ctx, `orgauthz_members (org_id, user_id, kind, status, metadata, joined_by, expires_at,
		name, name_key, email_key, created_at, updated_at, used_at, tokens_valid_after)`, members, ""); err != nil {
		return err
	}
	return insertRoles(ctx, tx, roles)
}

// Remove ends a membership, with the roles held and the metadata (rule MEM-2). Removing somebody who is no member changes
// nothing. Errors: NotFound (organization), Conflict (organization owner; rule MEM-5).
func (s *Members) Remove(ctx context.Context, org, user string) (Result, error) {
	return s.e.mutate(ctx, call{"members.remove", org, user}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, deleteMember, user); err != nil {
			return err
		}
		m, err := begin(ctx, tx, org, user, nil)
		if missing, ok := errors.AsType[*NotFound](err); ok && missing.Kind == "user" {
			return nil
		}
		if err != nil || m.is == nil {
			return err
		}
		if err := m.keepOwner(ctx, tx, nil); err != nil {
			return err
		}
		if err := removeMember(ctx, tx, org, user); err != nil {
			return err
		}
		return tx.raise(ctx, MembershipScope(org, user), org, "organization.member.deleted", m.is, nil)
	})
}

// removeMember deletes a membership, unless Clean has been faster.
func removeMember(ctx context.Context, tx *transaction, org, user string) error {
	if err := countMembers(ctx, tx, org, -1); err != nil {
		return err
	}
	n, err := affected(tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_members WHERE org_id = $1 AND user_id = $2`, org, user))
	if err == nil && n == 0 {
		_, err = tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET members = members + 1 WHERE id = $1`, org)
	}
	return err
}

// Update changes what u names. Errors: NotFound (organization, user or member), Invalid (MEM-4, LIFE-2), Limit (metadata
// pairs), Conflict (organization owner; rule MEM-5).
func (s *Members) Update(ctx context.Context, org, user string, u MemberUpdate) (Result, error) {
	if u.ExpiresAt != nil {
		if err := checkInstant(*u.ExpiresAt); err != nil {
			return Result{}, err
		}
	}
	return s.change(ctx, call{"members.update", org, user, u}, []string{updateMember}, org, user, nil,
		func(tx *transaction, is *memberState) error {
			if u.Kind != nil {
				is.Kind = *u.Kind
			}
			is.Metadata = patched(is.Metadata, u.Metadata)
			err := errors.Join(checkKind(is.Kind), checkMetadata(is.Metadata, tx.cfg.Limits.Metadata))
			if u.ExpiresAt != nil && !is.ExpiresAt.Equal(micro(*u.ExpiresAt)) {
				is.ExpiresAt = micro(*u.ExpiresAt)
				err = errors.Join(err, checkFuture(tx, is.ExpiresAt))
			}
			return err
		})
}

// Suspend keeps everything of the membership and refuses every access by it (rule LIFE-1).
//
// Errors: NotFound (organization, user or member), Conflict (organization owner; rule MEM-5).
func (s *Members) Suspend(ctx context.Context, org, user string) (Result, error) {
	return s.setStatus(ctx, "members.suspend", org, user, MemberSuspended)
}

// Resume ends a suspension: everything is as it was (rule LIFE-1). Errors: NotFound (organization, user or member).
func (s *Members) Resume(ctx context.Context, org, user string) (Result, error) {
	return s.setStatus(ctx, "members.resume", org, user, MemberActive)
}

func (s *Members) setStatus(ctx context.Context, name, org, user string, status MemberStatus) (Result, error) {
	return s.change(ctx, call{name, org, user}, []string{updateMember}, org, user, nil,
		func(_ *transaction, is *memberState) error {
			is.Status = status
			return nil
		})
}

// Use notes that the user has chosen the organization, for SortUsed of Users.Organizations. It is no change: it raises no
// revision and writes no event (rule ORG-4), and is noted once a minute at most. For somebody who is no member it does nothing.
func (s *Members) Use(ctx context.Context, org, user string) error {
	if !validID("org_", org) || !validUserID(user) {
		return nil
	}
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		tx.dirty = true
		now := tx.cfg.Clock()
		_, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_members SET used_at = $3 WHERE org_id = $1 AND user_id = $2 AND used_at <= $4`,
			org, user, now.UnixMicro(), now.Add(-time.Minute).UnixMicro())
		return err
	})
	return err
}

// change applies edit to a member; what is as before is no change (rule ORG-4). roles are those that edit may add.
func (s *Members) change(ctx context.Context, c call, permissions []string, org, user string, roles []string,
	edit func(tx *transaction, is *memberState) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		for _, permission := range permissions {
			if err := tx.permit(ctx, org, permission, user); err != nil {
				return err
			}
		}
		m, err := begin(ctx, tx, org, user, roles)
		if err != nil {
			return err
		}
		if m.is == nil {
			return &NotFound{"member"}
		}
		is := *m.is
		is.Terms = maps.Clone(is.Terms)
		if err := edit(tx, &is); err != nil {
			return err
		}
		return m.become(ctx, tx, &is)
	})
}

// become makes the membership what is says.
func (m *membership) become(ctx context.Context, tx *transaction, is *memberState) error {
	was := m.is
	added, removed, altered := without(is.Roles, was.Roles), without(was.Roles, is.Roles), is.altered(was)
	if granted := slices.Concat(added, altered); len(granted) > 0 {
		if err := checkRoles(ctx, tx, m.org, granted); err != nil {
			return err
		}
		if limit := tx.cfg.Limits.RolesPerMember; len(added) > 0 && len(is.Roles) > limit {
			return &Limit{"roles per member", limit}
		}
		if err := tx.hold(ctx, m.org, granted); err != nil {
			return err
		}
		if err := tx.holdBelow(ctx, m.org, is.below(granted)); err != nil {
			return err
		}
	}
	edited := is.Kind != was.Kind || !maps.Equal(is.Metadata, was.Metadata) || !is.ExpiresAt.Equal(was.ExpiresAt)
	if is.Status == was.Status && !edited && len(added)+len(removed)+len(altered) == 0 {
		return nil
	}
	if err := m.keepOwner(ctx, tx, is); err != nil {
		return err
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
		UPDATE orgauthz_members SET kind = $3, status = $4, metadata = $5, expires_at = $6, updated_at = $7
		WHERE org_id = $1 AND user_id = $2`,
		m.org, m.user.ID, is.Kind, string(is.Status), metadata, instant{&is.ExpiresAt}, at.UnixMicro()); err != nil {
		return err
	}
	if len(removed) > 0 {
		if _, err := tx.sql.ExecContext(ctx, `
			DELETE FROM orgauthz_member_roles WHERE org_id = $1 AND user_id = $2 AND role_id IN (`+parameters(3, len(removed))+`)`,
			append([]any{m.org, m.user.ID}, anys(removed)...)...); err != nil {
			return err
		}
	}
	if err := insertRoles(ctx, tx, is.rows(m.org, m.user.ID, slices.Concat(added, altered))); err != nil {
		return err
	}
	// One event for each type that other systems know, so that a set of roles may raise the membership twice.
	step := *was
	raise := func(happened bool, eventType string, next func(after *memberState)) {
		if err != nil || !happened {
			return
		}
		before := step
		step.Terms = maps.Clone(step.Terms)
		next(&step)
		after := step
		err = tx.raise(ctx, MembershipScope(m.org, m.user.ID), m.org, eventType, &before, &after)
	}
	raise(is.Status != was.Status && is.Status == MemberSuspended, "organization.member.suspended", func(s *memberState) { s.Status = is.Status })
	raise(is.Status != was.Status && is.Status == MemberActive, "organization.member.resumed", func(s *memberState) { s.Status = is.Status })
	raise(edited, "organization.member.updated", func(s *memberState) { s.Kind, s.Metadata, s.ExpiresAt = is.Kind, is.Metadata, is.ExpiresAt })
	raise(len(removed) > 0, "organization.member.role.deleted", func(s *memberState) { s.drop(removed) })
	raise(len(altered) > 0, "organization.member.role.updated", func(s *memberState) {
		for _, id := range altered {
			s.setTerms(id, is.Terms[id])
		}
	})
	raise(len(added) > 0, "organization.member.role.assigned", func(s *memberState) { *s = *is })
	return err
}

// membership is what an operation on one of them finds, under its locks.
type membership struct {
	org     string
	owner   string // the role that somebody has to hold in the organization (rule MEM-5), empty for none
	user    *User
	is      *memberState // nil when the user is no member
	expired *memberState // of a membership that has ended by itself and was not cleaned up yet

	elsewhere bool // the user may have one membership at most, and has another one (rule MEM-6)
}

// begin locks what an operation on a membership needs. roles are those that it may give.
func begin(ctx context.Context, tx *transaction, org, userID string, roles []string) (*membership, error) {
	write, read := []Scope{MembershipScope(org, userID)}, []Scope{OrganizationScope(org)}
	alone, err := isolated(ctx, tx, userID)
	if err != nil {
		return nil, err
	}
	if alone[userID] && !tx.unguarded {
		write = append(write, UserScope(userID))
	} else {
		read = append(read, UserScope(userID))
	}
	for _, id := range roles {
		read = append(read, RoleScope(id))
	}
	if err := tx.lock(ctx, write, read); err != nil {
		return nil, err
	}
	m := &membership{org: org}
	if m.owner, err = ownerRole(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	if m.user, err = person(ctx, tx.sql, userID); err != nil {
		return nil, err
	}
	others, err := elsewhere(ctx, tx, org, alone, userID)
	if err != nil {
		return nil, err
	}
	m.elsewhere = others[userID]
	found, err := membersWith(ctx, tx.sql, tx.cfg.Clock(), org, []string{userID})
	if err != nil || len(found) == 0 {
		return m, err
	}
	if is := stateOf(found[0]); expiredAt(is.ExpiresAt, tx.cfg.Clock()) {
		m.expired = is
	} else {
		m.is = is
	}
	return m, nil
}

func checkKind(kind string) error {
	if !slices.Contains(memberKinds, kind) {
		return &Invalid{"kind", "MEM-4", "must be employee, freelancer, guest or other"}
	}
	return nil
}
