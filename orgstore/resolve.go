package orgstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// The first statements of Resolve, which answer by themselves for the many organizations and principals of which there is
// nothing else to know; where there is, the last column says so, and a statement of resolve_picture.go answers instead. Each is
// one statement and therefore one snapshot: two could combine roles of before a change with permissions of after it. They return
// one row, or one per role held, however many members there are. A principal that cannot be a user's id is passed as NULL and
// finds nothing. The kinds of scopes are written as their numbers, and columns have short names because drivers copy them.
const (
	resolveByID = resolveColumns + `FROM (SELECT CAST($1 AS TEXT) AS org,
		CAST($2 AS TEXT) AS principal, CAST(NULL AS TEXT) AS name) q` + resolveJoins
	resolveByName = resolveColumns + `FROM (SELECT (SELECT id FROM orgauthz_organizations WHERE name = $1 AND deleted_at IS NULL) AS org,
		CAST($2 AS TEXT) AS principal, CAST($1 AS TEXT) AS name) q` + resolveJoins

	resolveColumns = `
	SELECT COALESCE(q.org, '') AS a, o.id IS NOT NULL AS b, COALESCE(o.name, '') AS c, COALESCE(o.status, '') AS d,
		COALESCE(o.metadata, '') AS e, COALESCE(o.security, '') AS f,
		m.user_id IS NOT NULL AS g, COALESCE(m.kind, '') AS h, COALESCE(m.metadata, '') AS i, COALESCE(u.blocked, 0) AS j,
		COALESCE(r.id, '') AS k, COALESCE(r.name, '') AS l, COALESCE(r.permissions, '') AS m, COALESCE(r.api_permissions, '') AS n,
		COALESCE(sn.revision, 0) AS o, COALESCE(so.revision, 0) AS p, COALESCE(sm.revision, 0) AS q, COALESCE(su.revision, 0) AS r,
		COALESCE(sr.revision, 0) AS s, COALESCE(r.base_id, '') AS v, COALESCE(rb.permissions, '') AS w,
		COALESCE(rb.api_permissions, '') AS x, COALESCE(r.follows_base, 0) AS y, COALESCE(sb.revision, 0) AS z,
		CASE WHEN o.tokens_valid_after >= COALESCE(u.tokens_valid_after, 0) AND o.tokens_valid_after >= COALESCE(m.tokens_valid_after, 0)
			THEN o.tokens_valid_after WHEN u.tokens_valid_after >= COALESCE(m.tokens_valid_after, 0)
			THEN u.tokens_valid_after ELSE COALESCE(m.tokens_valid_after, 0) END AS u,
		CASE WHEN o.id IS NULL THEN 0 WHEN o.parent_id <> '' OR o.delete_at IS NOT NULL OR u.kind <> 'user' THEN -1
			WHEN m.user_id IS NULL THEN
				COALESCE((SELECT revision FROM orgauthz_scopes WHERE kind = 7 AND org = '' AND id = q.org), 0)
			WHEN m.status <> 'active' OR m.expires_at IS NOT NULL OR mr.expires_at IS NOT NULL THEN -1
			WHEN EXISTS (SELECT 1 FROM orgauthz_team_members tm WHERE tm.org_id = m.org_id AND tm.user_id = m.user_id) THEN -1
			WHEN EXISTS (SELECT 1 FROM orgauthz_group_roles gr WHERE gr.org_id = m.org_id) THEN -1 ELSE 0 END AS t
	`
	resolveJoins = `
	LEFT JOIN orgauthz_organizations o ON o.id = q.org AND o.deleted_at IS NULL
	LEFT JOIN orgauthz_users u ON u.id = q.principal
	LEFT JOIN orgauthz_members m ON m.org_id = o.id AND m.user_id = u.id
	LEFT JOIN orgauthz_member_roles mr ON mr.org_id = m.org_id AND mr.user_id = m.user_id
	LEFT JOIN orgauthz_roles r ON r.id = mr.role_id AND r.deleted_at IS NULL
	LEFT JOIN orgauthz_roles rb ON rb.id = NULLIF(r.base_id, '')
	LEFT JOIN orgauthz_scopes sn ON sn.kind = 5 AND sn.org = '' AND sn.id = q.name
	LEFT JOIN orgauthz_scopes so ON so.kind = 1 AND so.org = '' AND so.id = q.org
	LEFT JOIN orgauthz_scopes sm ON sm.kind = 2 AND sm.org = q.org AND sm.id = q.principal
	LEFT JOIN orgauthz_scopes su ON su.kind = 3 AND su.org = '' AND su.id = q.principal
	LEFT JOIN orgauthz_scopes sr ON sr.kind = 4 AND sr.org = '' AND sr.id = r.id
	LEFT JOIN orgauthz_scopes sb ON sb.kind = 4 AND sb.org = '' AND sb.id = NULLIF(r.base_id, '')
	WHERE `
)

// errNoAnswer is the cause when a server returns nothing because it may not know the newest state.
var errNoAnswer = errors.New("the database server is a standby, or in recovery, and may lack the newest changes")

// resolved is one row of a first statement.
type resolved struct {
	org                                                   string
	organization, member, blocked                         bool
	name, status, metadata, security                      string
	kind, memberMetadata                                  string
	roleID, roleName, permissions, apiPermissions         string
	nameRev, orgRev, membershipRev, principalRev, roleRev uint64
	base                                                  roleBase // of the role
	tokensValidAfter                                      int64
	contracts                                             int64 // revision of the set of contracts, for no member; -1 for more
}

// more reports whether a first statement does not answer.
func (r *resolved) more() bool {
	return r.contracts < 0 || r.contracts > 0 && !r.member && r.principalRev > 0
}

func scanResolved(row scanner) (r resolved, err error) {
	err = row.Scan(&r.org, &r.organization, &r.name, &r.status, &r.metadata, &r.security,
		&r.member, &r.kind, &r.memberMetadata, &r.blocked,
		&r.roleID, &r.roleName, &r.permissions, &r.apiPermissions,
		&r.nameRev, &r.orgRev, &r.membershipRev, &r.principalRev, &r.roleRev,
		&r.base.id, &r.base.permissions, &r.base.apiPermissions, &r.base.follows, &r.base.revision, &r.tokensValidAfter, &r.contracts)
	return r, err
}

// question is a Query that the database is asked.
type question struct {
	ref       string // id or name of an organization
	byName    bool
	principal string
	nobody    bool // principal can be no user's id
}

// newQuestion returns false for a reference that is neither id nor name.
func newQuestion(q Query) (question, bool) {
	asked := question{ref: q.Org, byName: !IsOrganizationID(q.Org), principal: q.Principal, nobody: !validUserID(q.Principal)}
	if !asked.byName {
		return asked, validID("org_", q.Org)
	}
	var ok bool
	asked.ref, ok = nameOf(q.Org)
	return asked, ok
}

// Resolve answers what a principal is in an organization, from the newest committed state, whatever the Query asks for in
// freshness. Names of organizations are read in lower case; a reference that can be neither name nor id is no organization's,
// and a principal that can be no user's id is no member, without a look at the database.
//
// The vector holds every scope that was read, or looked for and not found: the name if it was asked by name, the organization,
// the membership, the user and each role held, whatever the standing; further the organizations above, the memberships there,
// teams, groups, and for whoever is no member the contracts of the organization and what these depend on. (What is deleted for
// ever never changes again and is left out.)
//
// It is one statement, or two where an organization has a parent or is to be deleted, or groups hold roles there, a member is
// suspended, expires, or is in a team, whoever is no member could be admitted by a contract, and for machines. Each of them is
// one snapshot, and the second answers alone.
func (e *Engine) Resolve(ctx context.Context, q Query) (*Access, error) {
	asOf := e.cfg.Clock()
	asked, ok := newQuestion(q)
	if !ok {
		return &Access{Principal: q.Principal, Standing: StandingNoOrganization, AsOf: asOf}, nil
	}
	if e.tx == nil {
		if err := e.enter(); err != nil {
			return nil, err
		}
		defer e.leave()
	}
	bounded, cancel := context.WithTimeout(ctx, e.cfg.LoadTimeout)
	defer cancel()
	a, more, err := e.resolve(bounded, asked)
	if err == nil && more {
		asOf = e.cfg.Clock()
		var b *builder
		if b, err = e.picture(bounded, asked, asOf); err == nil {
			a, err = b.access()
		}
	}
	if err != nil {
		return nil, e.failure(ctx, err)
	}
	a.AsOf = asOf
	return a, nil
}

// resolve runs a first statement. more says that it does not answer.
func (e *Engine) resolve(ctx context.Context, q question) (a *Access, more bool, err error) {
	statement := &e.byID
	if q.byName {
		statement = &e.byName
	}
	rows, err := statement.query(ctx, e.tx, q.ref, sql.NullString{String: q.principal, Valid: !q.nobody})
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	a = &Access{Principal: q.principal, Standing: StandingNoOrganization}
	for first := true; rows.Next(); first = false {
		r, err := scanResolved(rows)
		if err != nil || r.more() {
			return nil, err == nil, err
		}
		if first {
			if err := a.begin(r, q); err != nil {
				return nil, false, err
			}
		}
		if r.roleID != "" {
			if err := a.Member.add(r.roleName, r.permissions, r.apiPermissions, &r.base); err != nil {
				return nil, false, err
			}
			a.Vector = append(a.Vector, Revision{RoleScope(r.roleID), r.roleRev})
			if r.base.id != "" {
				a.Vector = append(a.Vector, Revision{RoleScope(r.base.id), r.base.revision})
			}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if len(a.Vector) == 0 {
		return nil, false, errNoAnswer
	}
	a.finish()
	return a, false, nil
}

// begin fills a with what every row says.
func (a *Access) begin(r resolved, q question) (err error) {
	if q.byName {
		a.Vector = append(a.Vector, Revision{NameScope(q.ref), r.nameRev})
	}
	if r.org != "" {
		a.Vector = append(a.Vector, Revision{OrganizationScope(r.org), r.orgRev})
	}
	if !r.organization {
		return nil
	}
	if !q.nobody {
		a.Vector = append(a.Vector, Revision{MembershipScope(r.org, q.principal), r.membershipRev},
			Revision{UserScope(q.principal), r.principalRev})
		if !r.member {
			a.Vector = append(a.Vector, Revision{ContractsScope(r.org), uint64(r.contracts)})
		}
	}
	if err := a.Org.fill(r.org, r.name, r.status, r.metadata, r.security); err != nil {
		return err
	}
	if r.member {
		a.Member.Kind = r.kind
		if a.Member.Metadata, err = decodeMetadata(r.memberMetadata); err != nil {
			return err
		}
	}
	if r.tokensValidAfter != 0 {
		a.TokensValidAfter = time.UnixMicro(r.tokensValidAfter).UTC()
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

// fill sets what columns of orgauthz_organizations say.
func (o *AccessOrg) fill(id, name, status, metadata, security string) (err error) {
	o.ID, o.Name, o.Status = id, name, OrganizationStatus(status)
	if o.Metadata, err = decodeMetadata(metadata); err != nil || security == "" {
		return err
	}
	return json.Unmarshal([]byte(security), &o.Security)
}

// add adds a role to m, with the permissions that columns of orgauthz_roles say, of itself and of its base.
func (m *AccessMember) add(name, permissions, apiPermissions string, base *roleBase) error {
	m.Roles = append(m.Roles, name)
	if base.id != "" {
		r, is := Role{Permissions: strings.Fields(permissions), FollowsBase: base.follows}, Role{Permissions: strings.Fields(base.permissions)}
		var err, baseErr error
		r.APIPermissions, err = decodeAPIPermissions(apiPermissions)
		is.APIPermissions, baseErr = decodeAPIPermissions(base.apiPermissions)
		if err := errors.Join(err, baseErr); err != nil {
			return err
		}
		m.grant(r.counted(&is))
		return nil
	}
	m.Permissions = append(m.Permissions, strings.Fields(permissions)...)
	if apiPermissions == "" || apiPermissions == "{}" {
		return nil
	}
	var apis map[string][]string
	if err := json.Unmarshal([]byte(apiPermissions), &apis); err != nil {
		return err
	}
	for api, permissions := range apis {
		m.addFor(api, permissions...)
	}
	return nil
}

// addFor adds permissions that count for one API.
func (m *AccessMember) addFor(api string, permissions ...string) {
	if len(permissions) == 0 {
		return
	}
	if m.APIPermissions == nil {
		m.APIPermissions = map[string][]string{}
	}
	m.APIPermissions[api] = append(m.APIPermissions[api], permissions...)
}

// finish puts the lists of a in order, each element once.
func (a *Access) finish() {
	a.Member.Roles, a.Member.Permissions = inOrder(a.Member.Roles), inOrder(a.Member.Permissions)
	for api, permissions := range a.Member.APIPermissions {
		a.Member.APIPermissions[api] = inOrder(permissions)
	}
	slices.SortFunc(a.Vector, func(x, y Revision) int {
		return cmp.Or(cmp.Compare(x.Scope.Kind, y.Scope.Kind), cmp.Compare(x.Scope.Org, y.Scope.Org), cmp.Compare(x.Scope.ID, y.Scope.ID))
	})
	a.Vector = slices.CompactFunc(a.Vector, func(x, y Revision) bool { return x.Scope == y.Scope })
}

// inOrder sorts list in place and returns it with each element once.
func inOrder(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
