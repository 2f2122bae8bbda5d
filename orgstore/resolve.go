package orgstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// The statements of Resolve. Each is one statement and therefore one snapshot: two could combine roles of before a change
// with permissions of after it. They return one row, or one per role held, however many members there are. A principal that
// cannot be a user's id is passed as NULL and finds nothing. The kinds of scopes are written as their numbers.
const (
	resolveByID = resolveColumns + `FROM (SELECT CAST($1 AS TEXT) AS org,
		CAST($2 AS TEXT) AS principal, CAST(NULL AS TEXT) AS name) q` + resolveJoins
	resolveByName = resolveColumns + `FROM (SELECT (SELECT id FROM orgauthz_organizations WHERE name = $1 AND deleted_at IS NULL) AS org,
		CAST($2 AS TEXT) AS principal, CAST($1 AS TEXT) AS name) q` + resolveJoins

	resolveColumns = `
	SELECT COALESCE(q.org, ''), o.id IS NOT NULL, COALESCE(o.name, ''), COALESCE(o.status, ''), COALESCE(o.metadata, ''),
		m.user_id IS NOT NULL, COALESCE(m.kind, ''), COALESCE(m.metadata, ''), COALESCE(u.blocked, 0),
		COALESCE(r.id, ''), COALESCE(r.name, ''), COALESCE(r.permissions, ''),
		COALESCE(sn.revision, 0), COALESCE(so.revision, 0), COALESCE(sm.revision, 0), COALESCE(su.revision, 0), COALESCE(sr.revision, 0)
	`
	resolveJoins = `
	LEFT JOIN orgauthz_organizations o ON o.id = q.org AND o.deleted_at IS NULL
	LEFT JOIN orgauthz_users u ON u.id = q.principal
	LEFT JOIN orgauthz_members m ON m.org_id = o.id AND m.user_id = u.id
	LEFT JOIN orgauthz_member_roles mr ON mr.org_id = m.org_id AND mr.user_id = m.user_id
	LEFT JOIN orgauthz_roles r ON r.id = mr.role_id AND r.deleted_at IS NULL
	LEFT JOIN orgauthz_scopes sn ON sn.kind = 5 AND sn.org = '' AND sn.id = q.name
	LEFT JOIN orgauthz_scopes so ON so.kind = 1 AND so.org = '' AND so.id = q.org
	LEFT JOIN orgauthz_scopes sm ON sm.kind = 2 AND sm.org = q.org AND sm.id = q.principal
	LEFT JOIN orgauthz_scopes su ON su.kind = 3 AND su.org = '' AND su.id = q.principal
	LEFT JOIN orgauthz_scopes sr ON sr.kind = 4 AND sr.org = '' AND sr.id = r.id
	WHERE `
)

// errNoAnswer is the cause when a server returns nothing because it may not know the newest state.
var errNoAnswer = errors.New("the database server is a standby, or in recovery, and may lack the newest changes")

// resolved is one row of a statement of Resolve.
type resolved struct {
	org                                                   string
	organization, member, blocked                         bool
	name, status, metadata                                string
	kind, memberMetadata                                  string
	roleID, roleName, permissions                         string
	nameRev, orgRev, membershipRev, principalRev, roleRev uint64
}

func scanResolved(row scanner) (r resolved, err error) {
	err = row.Scan(&r.org, &r.organization, &r.name, &r.status, &r.metadata,
		&r.member, &r.kind, &r.memberMetadata, &r.blocked,
		&r.roleID, &r.roleName, &r.permissions,
		&r.nameRev, &r.orgRev, &r.membershipRev, &r.principalRev, &r.roleRev)
	return r, err
}

// Resolve answers what a principal is in an organization, from the newest committed state, whatever the Query asks for in
// freshness. Names of organizations are read in lower case; a reference that can be neither name nor id is no organization's,
// and a principal that can be no user's id is no member, without a look at the database.
//
// The vector holds the name if it was asked by name, and, as far as there is an organization, the organization, the
// membership, the user and each role held, whatever the standing. (The scope of a deleted role never changes again and
// is left out.)
func (e *Engine) Resolve(ctx context.Context, q Query) (*Access, error) {
	a := &Access{Principal: q.Principal, Standing: StandingNoOrganization, AsOf: e.cfg.Clock()}
	ref, wellFormed, statement := q.Org, validID("org_", q.Org), &e.byID
	byName := !IsOrganizationID(q.Org)
	if byName {
		ref, wellFormed = nameOf(q.Org)
		statement = &e.byName
	}
	if !wellFormed {
		return a, nil
	}
	nobody := !validUserID(q.Principal)

	if e.tx == nil {
		if err := e.enter(); err != nil {
			return nil, err
		}
		defer e.leave()
	}
	bounded, cancel := context.WithTimeout(ctx, e.cfg.LoadTimeout)
	defer cancel()
	rows, err := statement.query(bounded, e.tx, ref, sql.NullString{String: q.Principal, Valid: !nobody})
	if err != nil {
		return nil, e.failure(ctx, err)
	}
	defer rows.Close()
	for first := true; rows.Next(); first = false {
		r, err := scanResolved(rows)
		if err == nil && first {
			err = a.begin(r)
			if byName {
				a.Vector = append(a.Vector, Revision{NameScope(ref), r.nameRev})
			}
			if r.org != "" {
				a.Vector = append(a.Vector, Revision{OrganizationScope(r.org), r.orgRev})
			}
			if r.organization && !nobody {
				a.Vector = append(a.Vector, Revision{MembershipScope(r.org, q.Principal), r.membershipRev},
					Revision{UserScope(q.Principal), r.principalRev})
			}
		}
		if err != nil {
			return nil, e.failure(ctx, err)
		}
		if r.roleID != "" {
			a.Member.Roles = append(a.Member.Roles, r.roleName)
			a.Member.Permissions = append(a.Member.Permissions, strings.Fields(r.permissions)...)
			a.Vector = append(a.Vector, Revision{RoleScope(r.roleID), r.roleRev})
		}
	}
	if err := rows.Err(); err != nil {
		return nil, e.failure(ctx, err)
	}
	if len(a.Vector) == 0 {
		return nil, e.failure(ctx, errNoAnswer)
	}
	a.Member.Roles, a.Member.Permissions = inOrder(a.Member.Roles), inOrder(a.Member.Permissions)
	slices.SortFunc(a.Vector, func(x, y Revision) int {
		return cmp.Or(cmp.Compare(x.Scope.Kind, y.Scope.Kind), cmp.Compare(x.Scope.ID, y.Scope.ID))
	})
	return a, nil
}

// begin fills a with what every row says.
func (a *Access) begin(r resolved) (err error) {
	if !r.organization {
		return nil
	}
	a.Org = AccessOrg{ID: r.org, Name: r.name, Status: OrganizationStatus(r.status)}
	if a.Org.Metadata, err = decodeMetadata(r.metadata); err != nil {
		return err
	}
	if r.member {
		a.Member.Kind = r.kind
		if a.Member.Metadata, err = decodeMetadata(r.memberMetadata); err != nil {
			return err
		}
	}
	switch {
	case a.Org.Status == OrganizationSuspended:
		a.Standing = StandingSuspended
	case !r.member:
		a.Standing = StandingNotMember
	case r.blocked:
		a.Standing = StandingBlocked
	default:
		a.Standing = StandingMember
	}
	return nil
}

// inOrder sorts list in place and returns it with each element once.
func inOrder(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
