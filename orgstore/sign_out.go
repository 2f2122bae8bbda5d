package orgstore

import (
	"context"
	"errors"
	"time"
)

// signedOut is what the event of a sign-out shows.
type signedOut struct {
	TokensValidAfter time.Time `json:"tokens_valid_after"` // UTC
}

// SignOut refuses all tokens that the user has been given until now, in every organization (rule TOK-7). Errors: NotFound.
func (s *Users) SignOut(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"users.signOut", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "update:users", id); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{UserScope(id)}, nil); err != nil {
			return err
		}
		if _, err := user(ctx, tx.sql, id); err != nil {
			return err
		}
		return tx.signOut(ctx, UserScope(id), "", "user.signed_out",
			`UPDATE orgauthz_users SET tokens_valid_after = $1 WHERE id = $2`, id)
	})
}

// SignOut refuses all tokens for the organization that anybody has been given until now (rule TOK-7). Errors: NotFound.
func (s *Organizations) SignOut(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"organizations.signOut", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, id, "update:organizations"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(id)}, nil); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, id); err != nil {
			return err
		}
		return tx.signOut(ctx, OrganizationScope(id), id, "organization.signed_out",
			`UPDATE orgauthz_organizations SET tokens_valid_after = $1 WHERE id = $2`, id)
	})
}

// SignOut refuses all tokens for the organization that the member has been given until now (rule TOK-7). Errors: NotFound
// (organization, user or member).
func (s *Members) SignOut(ctx context.Context, org, userID string) (Result, error) {
	return s.e.mutate(ctx, call{"members.signOut", org, userID}, func(tx *transaction) error {
		if err := tx.permit(ctx, org, "update:organization_members", userID); err != nil {
			return err
		}
		read := []Scope{OrganizationScope(org), UserScope(userID)}
		if err := tx.lock(ctx, []Scope{MembershipScope(org, userID)}, read); err != nil {
			return err
		}
		_, noOrg := organization(ctx, tx.sql, org)
		noUser := principal(ctx, tx.sql, userID)
		_, noMember := member(ctx, tx.sql, org, userID)
		for _, err := range []error{noOrg, noUser, noMember} {
			if err != nil {
				return err
			}
		}
		return tx.signOut(ctx, MembershipScope(org, userID), org, "organization.member.signed_out",
			`UPDATE orgauthz_members SET tokens_valid_after = $1 WHERE org_id = $2 AND user_id = $3`, org, userID)
	})
}

// signOut writes the instant with update, whose $1 it is and which changes one row.
func (tx *transaction) signOut(ctx context.Context, scope Scope, org, eventType, update string, keys ...any) error {
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	n, err := affected(tx.sql.ExecContext(ctx, update, append([]any{at.UnixMicro()}, keys...)...))
	if err == nil && n != 1 {
		err = errors.New("orgstore: what is signed out of is not there")
	}
	if err != nil {
		return err
	}
	return tx.raise(ctx, scope, org, eventType, nil, signedOut{at})
}
