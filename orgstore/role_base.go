package orgstore

import (
	"context"
	"errors"
	"slices"
)

// roleBase is the base of an organization role, as it is at this moment; "" for the id of none. What was deleted has no permissions.
type roleBase struct {
	id, permissions, apiPermissions string
	follows                         bool // the role has what its base has
	revision                        uint64
}

// counted returns what r counts for below its base: never more than this has, and all of it where r follows it (rules ROLE-3, ROLE-4).
func (r *Role) counted(base *Role) *Role {
	if r.FollowsBase {
		return base
	}
	c := &Role{Permissions: among(r.Permissions, base.Permissions)}
	for api, permissions := range r.APIPermissions {
		if left := among(permissions, slices.Concat(base.APIPermissions[api], base.Permissions)); len(left) > 0 {
			if c.APIPermissions == nil {
				c.APIPermissions = map[string][]string{}
			}
			c.APIPermissions[api] = left
		}
	}
	return c
}

// among returns the elements of list that are in other.
func among(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !slices.Contains(other, s) })
}

// counting returns what r counts for now.
func (r *Role) counting(ctx context.Context, q queryer) (*Role, error) {
	if r.Base == "" {
		return r, nil
	}
	base, err := role(ctx, q, r.Base)
	if errors.Is(err, ErrNotFound) {
		return &Role{}, nil
	}
	if err != nil {
		return nil, err
	}
	return r.counted(base), nil
}

// held checks that the actor of tx holds what r, which is not written yet, counts for beyond what was (rule DEL-2).
func (r *Role) held(ctx context.Context, tx *transaction, was *Role) error {
	if tx.as == nil {
		return nil
	}
	is, err := r.counting(ctx, tx.sql)
	if err != nil {
		return err
	}
	var before Role
	if was != nil {
		counted, err := was.counting(ctx, tx.sql)
		if err != nil {
			return err
		}
		before = *counted
	}
	// What the base has lost, and may get again, is held as well.
	if err := tx.holdAll(ctx, r.Organization, r.more(&before)); err != nil {
		return err
	}
	return tx.holdAll(ctx, r.Organization, is.more(&before))
}
