package orgstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"
)

// times returns what an import knows of a membership, in microseconds; joined where it does not know better.
func (r *memberRecord) times(joined int64) (joinedAt, updatedAt, usedAt, validAfter int64) {
	or := func(at time.Time, or int64) int64 {
		if at.IsZero() {
			return or
		}
		return at.UnixMicro()
	}
	return or(r.JoinedAt, joined), or(r.UpdatedAt, joined), or(r.UsedAt, 0), or(r.TokensValidAfter, 0)
}

// incoming is a record of a member on its way.
type incoming struct {
	line   ImportLine
	record *memberRecord
	join   joining
}

// parse reads a record. over says that the membership has ended since.
func (im *importer) parse(p pending, now time.Time) (in incoming, isOver bool, err error) {
	r, err := decodeRecord[memberRecord](p.value)
	if err != nil {
		return in, false, err
	}
	r.Teams = unique(r.Teams)
	opts := MemberOptions{
		Kind: r.Kind, Metadata: r.Metadata, JoinedBy: cmp.Or(r.JoinedBy, "import"), ExpiresAt: r.ExpiresAt,
	}
	held := map[string]roleTerms{}
	for _, a := range r.Roles {
		err = errors.Join(err, checkInstant(a.ExpiresAt))
		if expiredAt(micro(a.ExpiresAt), now) {
			continue // has ended, as the membership may have
		}
		opts.Roles = append(opts.Roles, a.Role)
		held[a.Role] = roleTerms{micro(a.ExpiresAt), a.Descendants}
	}
	is, by, e := newMember(opts, im.e.cfg.Limits)
	if err = errors.Join(err, e); err != nil {
		return in, false, err
	}
	for id, t := range held {
		is.setTerms(id, t)
	}
	is.Status = cmp.Or(r.Status, MemberActive)
	if checkStatus(is.Status) != nil {
		err = errors.Join(err, &Invalid{"status", "LIFE-1", "must be active or suspended"})
	}
	if limit := im.e.cfg.Limits.RolesPerMember; len(is.Roles) > limit {
		err = errors.Join(err, &Limit{"roles per member", limit})
	}
	if limit := im.e.cfg.Limits.TeamsPerMember; len(r.Teams) > limit {
		err = errors.Join(err, &Limit{"teams per member", limit})
	}
	for field, at := range map[string]time.Time{
		"joined_at": r.JoinedAt, "updated_at": r.UpdatedAt, "used_at": r.UsedAt, "tokens_valid_after": r.TokensValidAfter,
	} {
		if !storable(at) {
			err = errors.Join(err, &Invalid{field, "EXC-2", "must be between the years 1970 and 9999"})
		}
	}
	return incoming{p.ImportLine, r, joining{&User{ID: r.User}, is, by, r}}, expiredAt(is.ExpiresAt, now), err
}

// members imports records of members of one organization, and returns what is wrong with each.
func (im *importer) members(ctx context.Context, e *Engine, some []pending) (errs []error, err error) {
	errs = make([]error, len(some))
	before := im.result
	now := im.e.cfg.Clock()
	var list []incoming
	var at []int // where in some
	for i, p := range some {
		in, isOver, err := im.parse(p, now)
		switch {
		case err != nil:
			errs[i] = err
		case isOver:
			im.result.Ended++
		default:
			list, at = append(list, in), append(at, i)
		}
	}
	if len(list) == 0 {
		return errs, nil
	}
	_, err = e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *Engine) error {
		found, err := im.join(ctx, e, list)
		for i, err := range found {
			errs[at[i]] = err
		}
		return err
	})
	if err != nil && refused(err) { // the organization is
		im.result = before
		for _, i := range at {
			errs[i] = err
		}
		err = nil
	}
	return errs, err
}

// join makes members of those of list who are none, and looks at the others.
func (im *importer) join(ctx context.Context, e *Engine, list []incoming) ([]error, error) {
	org := list[0].record.Organization
	known, err := im.knownTeams(ctx, e, org, list)
	if err != nil {
		return nil, err
	}
	errs, checked, joins := make([]error, len(list)), make([]Outcome, len(list)), make([]joining, len(list))
	for i, in := range list {
		checked[i].User, joins[i] = in.record.User, in.join
		for _, id := range in.record.Teams {
			if !known[id] {
				checked[i].Err = &NotFound{"team"}
			}
		}
	}
	outcomes, _, err := e.Members.addAll(ctx, nil, org, checked, joins)
	if err != nil {
		return nil, err
	}
	var there []int
	var teams [][]any
	var raises []raised
	for i, o := range outcomes {
		r := list[i].record
		switch {
		case o.Err != nil:
			errs[i] = o.Err
		case !o.Changed:
			there = append(there, i)
		default:
			im.result.Created++
			for _, id := range r.Teams {
				teams = append(teams, []any{org, r.User, id})
			}
			if len(r.Teams) > 0 {
				raises = append(raises, raised{MembershipScope(org, r.User), org, "organization.member.team.added",
					&teamsState{[]string{}}, &teamsState{r.Teams}})
			}
		}
	}
	if len(raises) > 0 {
		if err := second(e.mutate(ctx, nil, func(tx *transaction) error {
			if err := tx.insert(ctx, `orgauthz_team_members (org_id, user_id, team_id)`, teams, ""); err != nil {
				return err
			}
			return tx.raiseAll(ctx, raises)
		})); err != nil {
			return nil, err
		}
	}
	return errs, im.compare(ctx, e, org, list, there, errs)
}

// knownTeams locks the teams that list names, and returns which of them are there.
func (im *importer) knownTeams(ctx context.Context, e *Engine, org string, list []incoming) (map[string]bool, error) {
	known := map[string]bool{}
	var teams []string
	for _, in := range list {
		teams = append(teams, in.record.Teams...)
	}
	teams = slices.DeleteFunc(unique(teams), func(id string) bool { return !validID("team_", id) })
	if len(teams) == 0 || !validID("org_", org) {
		return known, nil
	}
	return known, second(e.mutate(ctx, nil, func(tx *transaction) error {
		read := []Scope{OrganizationScope(org)}
		for _, id := range teams {
			read = append(read, TeamScope(id))
		}
		if err := tx.lock(ctx, nil, read); err != nil {
			return err
		}
		for some := range slices.Chunk(teams, batch) {
			there, err := ids(ctx, tx.sql, `SELECT id FROM orgauthz_teams WHERE org_id = $1 AND deleted_at IS NULL
				AND id IN (`+parameters(2, len(some))+`)`, append([]any{org}, anys(some)...)...)
			if err != nil {
				return err
			}
			for _, id := range there {
				known[id] = true
			}
		}
		return nil
	}))
}

// compare looks at those of list who were members before, and makes them as the file says where that is asked for.
func (im *importer) compare(ctx context.Context, e *Engine, org string, list []incoming, there []int, errs []error) error {
	for some := range slices.Chunk(there, batch) {
		users := make([]string, len(some))
		for n, i := range some {
			users[n] = list[i].record.User
		}
		is := map[string]*memberState{}
		stored, err := membersWith(ctx, e.tx.sql, im.e.cfg.Clock(), org, unique(users))
		if err != nil {
			return err
		}
		for _, m := range stored {
			is[m.User] = stateOf(m)
		}
		more, err := beside(ctx, e.tx.sql, org, `IN (`+parameters(2, len(users))+`)`, anys(users)...)
		if err != nil {
			return err
		}
		for _, i := range some {
			in := list[i]
			teams, valid := more.teams[in.record.User], more.valid[in.record.User]
			switch {
			case in.join.is.equal(is[in.record.User]) && slices.Equal(teams, in.record.Teams) &&
				in.record.TokensValidAfter.UnixMicro() <= max(valid.UnixMicro(), 0):
				im.result.Unchanged++
			case !im.opts.Update:
				im.kept(in.line)
			default:
				err := im.one(ctx, e, in.line, func(ctx context.Context) (outcome, error) { return im.become(ctx, e, &in, teams) })
				if err != nil && !refused(err) {
					return err
				}
				errs[i] = err
			}
		}
	}
	return nil
}

func (m *memberState) equal(other *memberState) bool {
	return other != nil && m.Kind == other.Kind && m.Status == other.Status && m.ExpiresAt.Equal(other.ExpiresAt) &&
		maps.Equal(m.Metadata, other.Metadata) && slices.Equal(m.Roles, other.Roles) && maps.EqualFunc(m.Terms, other.Terms, roleTerms.equal)
}

// become makes a member, who is in teams, as the file says.
func (im *importer) become(ctx context.Context, e *Engine, in *incoming, teams []string) (outcome, error) {
	r := in.record
	err := second(e.Members.change(ctx, nil, nil, r.Organization, r.User, in.join.is.Roles, func(_ *transaction, is *memberState) error {
		*is = in.join.is
		return nil
	}))
	for _, id := range without(r.Teams, teams) {
		if err == nil {
			err = second(e.Teams.AddMember(ctx, r.Organization, id, r.User))
		}
	}
	for _, id := range without(teams, r.Teams) {
		if err == nil {
			err = second(e.Teams.RemoveMember(ctx, r.Organization, id, r.User))
		}
	}
	if err == nil {
		err = im.valid(ctx, e, r.TokensValidAfter, MembershipScope(r.Organization, r.User), r.Organization, "organization.member.signed_out",
			"orgauthz_members", "org_id = $1 AND user_id = $2", r.Organization, r.User)
	}
	return im.stamp(ctx, e, found, err, r.JoinedAt, r.UpdatedAt, "orgauthz_members", "org_id = $1 AND user_id = $2", r.Organization, r.User)
}
