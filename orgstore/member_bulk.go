package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// maxBulk is how many members one call adds or removes.
const maxBulk = 10_000

// MemberAdd is somebody to add.
type MemberAdd struct {
	User string
	MemberOptions
}

// Outcome is what became of one item of AddAll or RemoveAll.
type Outcome struct {
	User    string
	Changed bool  // added or removed; false for who was a member, or none, before, and for who was refused
	Err     error // why the item was refused: what Add or Remove would have returned; nil when it was not
}

// AddAll is Add for up to 10,000 users, in one transaction and with few statements: all who can be added are, and the outcomes,
// in the order of list, say who was not and why. Each membership has its event and revision. Where the limit of members leaves
// no room for all, the first ones of list are added. Who is in list twice is a member the second time.
//
// An error for the call means that nobody was added: NotFound (organization), Limit (members per call), Denied.
func (s *Members) AddAll(ctx context.Context, org string, list []MemberAdd) ([]Outcome, Result, error) {
	if len(list) > maxBulk {
		return nil, Result{}, &Limit{"members per call", maxBulk}
	}
	checked, joins := make([]Outcome, len(list)), make([]joining, len(list))
	c := call{"members.addAll", org}
	for i, add := range list {
		is, by, err := newMember(add.MemberOptions, s.e.cfg.Limits)
		if limit := s.e.cfg.Limits.RolesPerMember; len(is.Roles) > limit {
			err = errors.Join(err, &Limit{"roles per member", limit})
		}
		checked[i] = Outcome{User: add.User, Err: err}
		joins[i] = joining{user: &User{ID: add.User}, is: is, by: by}
		if checkInstant(is.ExpiresAt) == nil { // otherwise JSON could not have it
			c = append(c, add.User, is, by)
		}
	}
	return s.addAll(ctx, c, org, checked, joins)
}

// addAll adds those of joins that checked has no error for.
func (s *Members) addAll(ctx context.Context, c call, org string, checked []Outcome, joins []joining) ([]Outcome, Result, error) {
	var users, roles []string
	for i, j := range joins {
		if checked[i].Err == nil && validUserID(j.user.ID) {
			users, roles = append(users, j.user.ID), append(roles, j.is.Roles...)
		}
	}
	users, roles = unique(users), unique(roles)
	return s.all(ctx, c, checked, func(tx *transaction, outcomes []Outcome) error {
		if err := permitAdd(ctx, tx, org, roles, users...); err != nil {
			return err
		}
		b, err := beginAll(ctx, tx, org, users, roles)
		if err != nil {
			return err
		}
		if err := b.readDirectory(ctx, tx, users, roles); err != nil {
			return err
		}
		if err := tx.hold(ctx, org, slices.Sorted(maps.Keys(b.roles))); err != nil {
			return err
		}
		room, err := b.room(ctx, tx)
		if err != nil {
			return err
		}
		var news []joining
		var again []string
		var ends, adds []raised
		for i, j := range joins {
			id := j.user.ID
			if outcomes[i].Err == nil {
				outcomes[i].Err = b.refuses(tx, j)
			}
			if outcomes[i].Err != nil || b.is[id] != nil {
				continue
			}
			switch expired := b.expired[id]; {
			case expired != nil: // leaves its place to the new one
				again, ends = append(again, id), append(ends, ended(org, id, expired))
			case room <= 0:
				outcomes[i].Err = &Limit{"members", tx.cfg.Limits.Members}
				continue
			default:
				room--
			}
			j.user = b.users[id]
			outcomes[i].Changed, b.is[id] = true, &j.is
			news, adds = append(news, j), append(adds, raised{MembershipScope(org, id), org, "organization.member.added", nil, &j.is})
		}
		if len(news) == 0 {
			return nil
		}
		err = deleteMembers(ctx, tx, org, again)
		if err == nil {
			err = tx.raiseAll(ctx, ends)
		}
		if err == nil {
			err = countMembers(ctx, tx, org, len(news))
		}
		if err == nil {
			err = insertMembers(ctx, tx, org, news)
		}
		if err == nil {
			err = tx.raiseAll(ctx, adds)
		}
		return err
	})
}

// RemoveAll is Remove for up to 10,000 users, in one transaction and with few statements: all who can be removed are, and the
// outcomes, in the order of users, say who was not and why. Of several owners the last one in users stays (rule MEM-5).
//
// An error for the call means that nobody was removed: NotFound (organization), Limit (members per call), Denied.
func (s *Members) RemoveAll(ctx context.Context, org string, users []string) ([]Outcome, Result, error) {
	if len(users) > maxBulk {
		return nil, Result{}, &Limit{"members per call", maxBulk}
	}
	checked := make([]Outcome, len(users))
	for i, id := range users {
		checked[i].User = id
	}
	known := slices.DeleteFunc(unique(users), func(id string) bool { return !validUserID(id) })
	return s.all(ctx, call{"members.removeAll", org, users}, checked, func(tx *transaction, outcomes []Outcome) error {
		if err := tx.permit(ctx, org, deleteMember, known...); err != nil {
			return err
		}
		b, err := beginAll(ctx, tx, org, known, nil)
		if err != nil {
			return err
		}
		owners := -1 // not counted yet
		var gone []string
		var events []raised
		for i, o := range outcomes {
			is := b.is[o.User]
			if is == nil {
				continue
			}
			if is.owns(b.owner) {
				if owners < 0 {
					if owners, err = lockOwners(ctx, tx, org, b.owner, ""); err != nil {
						return err
					}
				}
				others := owners
				if !b.blocked[o.User] {
					others--
				}
				if others == 0 {
					outcomes[i].Err = errNoOwner
					continue
				}
				owners = others
			}
			outcomes[i].Changed, b.is[o.User] = true, nil
			gone = append(gone, o.User)
			events = append(events, raised{MembershipScope(org, o.User), org, "organization.member.deleted", is, nil})
		}
		if len(gone) == 0 {
			return nil
		}
		if err := deleteMembers(ctx, tx, org, gone); err != nil {
			return err
		}
		return tx.raiseAll(ctx, events)
	})
}

// all runs op on a copy of outcomes, and returns that.
func (s *Members) all(ctx context.Context, c call, checked []Outcome, op func(tx *transaction, outcomes []Outcome) error) ([]Outcome, Result, error) {
	outcomes := new([]Outcome)
	outcomes, result, err := create(ctx, s.e, c, outcomes, func(tx *transaction) error {
		*outcomes = slices.Clone(checked) // anew: it may run again
		return op(tx, *outcomes)
	})
	if err != nil {
		return nil, Result{}, err
	}
	return *outcomes, result, nil
}

// memberships is membership for many users of one organization.
type memberships struct {
	org         string
	owner       string
	is, expired map[string]*memberState // by user
	blocked     map[string]bool         // members whose user is blocked

	users     map[string]*User // those that there are
	roles     map[string]bool  // those that members can hold
	elsewhere map[string]bool  // users who are isolated to another organization
}

func beginAll(ctx context.Context, tx *transaction, org string, users, roles []string) (*memberships, error) {
	read := []Scope{OrganizationScope(org)}
	var write []Scope
	for _, id := range users {
		write = append(write, MembershipScope(org, id))
	}
	alone, err := isolated(ctx, tx, users...)
	if err != nil {
		return nil, err
	}
	for _, id := range users {
		if alone[id] {
			write = append(write, UserScope(id))
		} else {
			read = append(read, UserScope(id))
		}
	}
	for _, id := range roles {
		read = append(read, RoleScope(id))
	}
	if err := tx.lock(ctx, write, read); err != nil {
		return nil, err
	}
	b := &memberships{org: org, is: map[string]*memberState{}, expired: map[string]*memberState{}, blocked: map[string]bool{}}
	if b.owner, err = ownerRole(ctx, tx.sql, org); err != nil {
		return nil, err
	}
	if b.elsewhere, err = elsewhere(ctx, tx, org, alone, users...); err != nil {
		return nil, err
	}
	now := tx.cfg.Clock()
	found, err := membersWith(ctx, tx.sql, now, org, users)
	for _, m := range found {
		b.blocked[m.User] = m.Blocked
		if expiredAt(m.ExpiresAt, now) {
			b.expired[m.User] = stateOf(m)
		} else {
			b.is[m.User] = stateOf(m)
		}
	}
	return b, err
}

// readDirectory reads users, and which of roles members can hold.
func (b *memberships) readDirectory(ctx context.Context, tx *transaction, users, roles []string) (err error) {
	b.users = make(map[string]*User, len(users))
	for some := range slices.Chunk(users, batch) {
		found, err := collect(ctx, tx.sql, `SELECT id, email, name FROM orgauthz_users WHERE id IN (`+parameters(1, len(some))+`)`, anys(some),
			func(row scanner) (*User, error) {
				var u User
				return &u, row.Scan(&u.ID, &u.Email, &u.Name)
			})
		if err != nil {
			return err
		}
		for _, u := range found {
			b.users[u.ID] = u
		}
	}
	b.roles, err = rolesFor(ctx, tx, b.org, roles)
	return err
}

// refuses returns why somebody cannot become a member, even if they are one.
func (b *memberships) refuses(tx *transaction, j joining) error {
	if b.users[j.user.ID] == nil {
		return &NotFound{"user"}
	}
	for _, id := range j.is.Roles {
		if !b.roles[id] {
			return &NotFound{"role"}
		}
	}
	if b.is[j.user.ID] != nil {
		return nil
	}
	if b.elsewhere[j.user.ID] {
		return errIsolated
	}
	return checkFuture(tx, j.is.ExpiresAt)
}

// room locks the row that counts members, and returns how many more there may be.
func (b *memberships) room(ctx context.Context, tx *transaction) (int, error) {
	var members int
	err := tx.sql.QueryRowContext(ctx, `
		UPDATE orgauthz_organizations SET members = members WHERE id = $1 RETURNING members`, b.org).Scan(&members)
	return tx.cfg.Limits.Members - members, err
}

// outcomeJSON is an Outcome as it is written down. All problems of an item are kept, each as what it is.
type outcomeJSON struct {
	User     string      `json:"user_id"`
	Changed  bool        `json:"changed"`
	NotFound []*NotFound `json:"not_found,omitempty"`
	Conflict []*Conflict `json:"conflict,omitempty"`
	Limit    []*Limit    `json:"limit,omitempty"`
	Invalid  []*Invalid  `json:"invalid,omitempty"`
}

// MarshalJSON writes user_id, changed, and the errors by their categories.
func (o Outcome) MarshalJSON() ([]byte, error) {
	j := outcomeJSON{User: o.User, Changed: o.Changed}
	j.add(o.Err)
	return json.Marshal(j)
}

func (j *outcomeJSON) add(err error) {
	switch e := err.(type) { //nolint:errorlint // errors of this package are not wrapped, only joined
	case *NotFound:
		j.NotFound = append(j.NotFound, e)
	case *Conflict:
		j.Conflict = append(j.Conflict, e)
	case *Limit:
		j.Limit = append(j.Limit, e)
	case *Invalid:
		j.Invalid = append(j.Invalid, e)
	case interface{ Unwrap() []error }: // of errors.Join
		for _, err := range e.Unwrap() {
			j.add(err)
		}
	}
}

// UnmarshalJSON reads what MarshalJSON has written.
func (o *Outcome) UnmarshalJSON(data []byte) error {
	var j outcomeJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	var problems []error
	for _, e := range j.NotFound {
		problems = append(problems, e)
	}
	for _, e := range j.Conflict {
		problems = append(problems, e)
	}
	for _, e := range j.Limit {
		problems = append(problems, e)
	}
	for _, e := range j.Invalid {
		problems = append(problems, e)
	}
	*o = Outcome{User: j.User, Changed: j.Changed, Err: errors.Join(problems...)}
	if len(problems) == 1 {
		o.Err = problems[0]
	}
	return nil
}
