package orgstore

import (
	"context"
	"errors"
	"slices"
)

// Actor is who an Engine acts for; see Engine.As.
type Actor struct {
	// User is the id of the user whose rights bound what can be done.
	User string
	// Impersonator is the id of who acts as User, for example somebody of the support; empty for User. It only shows in events.
	Impersonator string
}

// actor is the Actor of an Engine.
type actor struct{ Actor }

// As returns an Engine for delegated administration: its mutations do only what a may do, at the moment of their transaction,
// and are refused with a Denied otherwise (rules DEL-1 to DEL-5):
//
//   - An operation on an organization needs its permission among those that a holds there. The permissions are called like the
//     scopes of Auth0's Management API: create:organization_members to add a member, and so on. Denied names the missing one.
//   - What belongs to no organization, such as users, connections and roles of the tenant, cannot be changed.
//   - Nobody grants more than they hold: by roles assigned, invited with or approved, nor by the permissions of a role.
//   - Nobody acts on somebody who holds a permission in the organization that they do not hold themselves.
//
// Events name a, whatever WithActor says. Reads are those of e: guard the routes from which you call them.
//
// An Engine for no user (an empty Actor) may do nothing. The result shares everything with e and need not be closed.
func (e *Engine) As(a Actor) *Engine {
	as := e.engine(e.tx)
	as.as = &actor{a}
	return as
}

// acting returns ctx with the actor of e, if it has one.
func (e *Engine) acting(ctx context.Context) context.Context {
	if e.as == nil {
		return ctx
	}
	return WithActor(ctx, e.as.User)
}

// authority is what a permitted operation relies on, to be looked at again under its locks.
type authority struct {
	org, permission string
	targets         []string
	vector          Vector
}

// errMoved says that what an authority relied on was changed before it could be locked. The operation runs again.
var errMoved = errors.New("orgstore: the rights of the actor have changed meanwhile")

// permit checks that the actor of tx may do what needs permission in org, and to all of targets, which are principals: nobody
// acts on somebody with permissions that they do not hold themselves (rules DEL-1, DEL-3). org is empty for what belongs to the tenant. Without an
// actor everything is permitted. It is called before lock, which then also locks what the answer depends on.
func (tx *transaction) permit(ctx context.Context, org, permission string, targets ...string) error {
	if tx.as == nil {
		return nil
	}
	vector, err := tx.authorize(ctx, org, permission, targets)
	if err != nil {
		return err
	}
	if !tx.unguarded {
		tx.authorities = append(tx.authorities, authority{org, permission, targets, vector})
	}
	if tx.checked != nil {
		tx.checked()
	}
	return nil
}

// authorize returns the revisions of all that makes the answer to permit a yes.
func (tx *transaction) authorize(ctx context.Context, org, permission string, targets []string) (Vector, error) {
	if org == "" || tx.as.User == "" {
		return nil, &Denied{permission}
	}
	actor, err := tx.access(ctx, org, tx.as.User)
	if err != nil {
		return nil, err
	}
	if actor.Standing != StandingMember || !actor.Member.Has(permission) {
		return nil, &Denied{permission}
	}
	vector := actor.Vector
	for _, principal := range targets {
		if principal == tx.as.User {
			continue
		}
		target, err := tx.access(ctx, org, principal)
		if err != nil {
			return nil, err
		}
		if missing := missing(&target.Member, &actor.Member); missing != "" {
			return nil, &Denied{missing}
		}
		vector = append(vector, target.Vector...)
	}
	return vector, nil
}

// access returns what principal is in org, with locks or without them, as tx sees it.
func (tx *transaction) access(ctx context.Context, org, principal string) (*Access, error) {
	if !IsOrganizationID(org) { // a name is no id here
		return &Access{Standing: StandingNoOrganization}, nil
	}
	return tx.engine(tx).Resolve(ctx, Query{Org: org, Principal: principal})
}

// missing returns a permission that a has and b has not; empty when there is none.
func missing(a, b *AccessMember) string {
	for _, p := range a.Permissions {
		if !b.Has(p) {
			return p
		}
	}
	for api, permissions := range a.APIPermissions {
		for _, p := range permissions {
			if !b.HasFor(api, p) {
				return p
			}
		}
	}
	return ""
}

// reliedOn returns the scopes that the authorities of tx rely on.
func (tx *transaction) reliedOn() []Scope {
	var scopes []Scope
	for _, a := range tx.authorities {
		for _, r := range a.vector {
			scopes = append(scopes, r.Scope)
		}
	}
	return scopes
}

// confirm looks at the authorities of tx again, now that what they rely on is locked (rule DEL-4).
func (tx *transaction) confirm(ctx context.Context) error {
	authorities := tx.authorities
	tx.authorities = nil
	for _, a := range authorities {
		vector, err := tx.authorize(ctx, a.org, a.permission, a.targets)
		if err != nil {
			return err
		}
		if !slices.Equal(vector, a.vector) {
			return errMoved
		}
	}
	return nil
}

// hold checks that the actor of tx holds every permission of roles, ids, in org: nobody grants more than they hold (rule DEL-2).
// It is called after lock.
func (tx *transaction) hold(ctx context.Context, org string, roles []string) error {
	if tx.as == nil {
		return nil
	}
	var granted AccessMember
	for _, id := range roles {
		if err := tx.addRole(ctx, &granted, id); err != nil {
			return err
		}
	}
	return tx.holdAll(ctx, org, &granted)
}

// grant adds the permissions of a role.
func (m *AccessMember) grant(r *Role) {
	m.Permissions = append(m.Permissions, r.Permissions...)
	for api, permissions := range r.APIPermissions {
		m.addFor(api, permissions...)
	}
}

// holdAll is hold for permissions.
func (tx *transaction) holdAll(ctx context.Context, org string, granted *AccessMember) error {
	if tx.as == nil {
		return nil
	}
	actor, err := tx.access(ctx, org, tx.as.User)
	if err != nil {
		return err
	}
	if actor.Standing != StandingMember {
		actor.Member = AccessMember{}
	}
	if missing := missing(granted, &actor.Member); missing != "" {
		return &Denied{missing}
	}
	return nil
}

// holdBelow is hold for roles that are to count in all organizations below org as well: the actor holds their permissions there by
// roles that do so too, in org or in one above it.
func (tx *transaction) holdBelow(ctx context.Context, org string, roles []string) error {
	if tx.as == nil || len(roles) == 0 {
		return nil
	}
	line, err := tx.line(ctx, org)
	if err != nil {
		return err
	}
	var granted, held AccessMember
	for _, id := range line {
		if _, err := organization(ctx, tx.sql, id); errors.Is(err, ErrNotFound) {
			break // to be deleted, and due: the line ends here
		} else if err != nil {
			return err
		}
		found, err := membersWith(ctx, tx.sql, tx.cfg.Clock(), id, []string{tx.as.User})
		if err != nil {
			return err
		}
		if len(found) == 0 || found[0].Status != MemberActive || expiredAt(found[0].ExpiresAt, tx.cfg.Clock()) {
			continue
		}
		for _, m := range found[0].Roles {
			if !m.Descendants {
				continue
			}
			if err := tx.addRole(ctx, &held, m.ID); err != nil {
				return err
			}
		}
	}
	for _, id := range roles {
		if err := tx.addRole(ctx, &granted, id); err != nil {
			return err
		}
	}
	if missing := missing(&granted, &held); missing != "" {
		return &Denied{missing}
	}
	return nil
}

// addRole adds the permissions of a role to m.
func (tx *transaction) addRole(ctx context.Context, m *AccessMember, id string) error {
	r, err := role(ctx, tx.sql, id)
	if err == nil {
		r, err = r.counting(ctx, tx.sql)
	}
	if err == nil {
		m.grant(r)
	}
	return err
}
