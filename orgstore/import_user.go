package orgstore

import (
	"context"
	"maps"
	"slices"
)

func importUser(ctx context.Context, im *importer, e *Engine, r *userRecord) (outcome, error) {
	u := &r.User
	u.Identities = nil
	for _, i := range r.Identities {
		u.Identities = append(u.Identities, i.Identity)
	}
	was, err := e.Users.Get(ctx, u.ID)
	is, err := either(err, func() error {
		if err := third(e.Users.Create(ctx, *u)); err != nil {
			return err
		}
		for _, i := range r.Identities {
			if i.LinkedFrom == "" {
				continue
			}
			if !validUserID(i.LinkedFrom) {
				return &Invalid{"linked_from", "DIR-12", "must be the id of a user"}
			}
			if _, err := e.tx.sql.ExecContext(ctx, `UPDATE orgauthz_identities SET origin = $3 WHERE connection_id = $1 AND id = $2`,
				i.Connection, i.Identity.ID, i.LinkedFrom); err != nil {
				return err
			}
		}
		return nil
	}, func() error { return updateUser(ctx, e, was, u) })
	if err == nil {
		err = second(e.mutate(ctx, nil, func(tx *transaction) error {
			return changeGroups(ctx, tx, u.ID, r.Groups, func(in []string) ([]string, error) {
				for _, id := range without(r.Groups, in) {
					if err := groupExists(ctx, tx.sql, id); err != nil {
						return nil, err
					}
				}
				return unique(r.Groups), nil
			})
		}))
	}
	if err == nil {
		err = im.valid(ctx, e, r.TokensValidAfter, UserScope(u.ID), "", "user.signed_out", "orgauthz_users", "id = $1", u.ID)
	}
	return im.stamp(ctx, e, is, err, u.CreatedAt, u.UpdatedAt, "orgauthz_users", "id = $1", u.ID)
}

// updateUser makes a user as u says. Accounts come and go by linking alone.
func updateUser(ctx context.Context, e *Engine, was, u *User) error {
	if !slices.EqualFunc(was.Identities, u.Identities, func(a, b Identity) bool { return a.Connection == b.Connection && a.ID == b.ID }) {
		return &Invalid{"identities", "DIR-12", "must be those that the user has: link or unlink accounts"}
	}
	patch := func(was, is map[string]any) map[string]any {
		patch := map[string]any{}
		for key := range was {
			patch[key] = nil
		}
		maps.Copy(patch, is)
		return patch
	}
	if err := second(e.Users.Update(ctx, u.ID, UserUpdate{
		Email: &u.Email, EmailVerified: &u.EmailVerified, Name: &u.Name, Picture: &u.Picture,
		AppMetadata: patch(was.AppMetadata, u.AppMetadata), UserMetadata: patch(was.UserMetadata, u.UserMetadata),
	})); err != nil {
		return err
	}
	if u.Blocked {
		return second(e.Users.Block(ctx, u.ID))
	}
	return second(e.Users.Unblock(ctx, u.ID))
}
