package orgstore

import (
	"context"
)

// EffectiveRole is a role that counts for a principal in an organization, and where it comes from (rule ROL-5).
type EffectiveRole struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Sources are "direct", and "team:", "group:", "ancestor:" or "contract:" with the id of the team, the group, the
	// organization above or the contract; sorted.
	Sources []string `json:"sources"`
}

// EffectiveRoles returns the roles that count for a principal in an organization, by name, with where each comes from: those of
// which Resolve gives the names. Like there, they are also listed for somebody who is blocked or suspended, and none for whoever
// has no access at all.
//
// Errors: NotFound (organization).
func (s *Members) EffectiveRoles(ctx context.Context, org, principal string) ([]EffectiveRole, error) {
	asked, ok := newQuestion(Query{Org: org, Principal: principal})
	if !ok || asked.byName {
		return nil, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(queryer) ([]EffectiveRole, error) {
		b, err := s.e.picture(ctx, asked, s.e.cfg.Clock())
		if err != nil {
			return nil, err
		}
		a, err := b.access()
		if err != nil {
			return nil, err
		}
		if a.Standing == StandingNoOrganization {
			return nil, &NotFound{"organization"}
		}
		return b.effective(), nil
	})
}
