package orgstore

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// The second statements of Resolve read all that an answer can depend on, as rows of one shape: a tag, a root, texts, numbers
// and a revision. It is one statement and one snapshot. Every table is read by its keys, whatever its size: in SQLite CROSS JOIN
// keeps the order of the tables, from the question to what it leads to.
//
//   - deal: the contracts of the organization, unless the principal is a member of it for good
//   - chain: the organization (depth 0) and those above it, and the same for each organization that a contract admits from and
//     that the principal is a member of; root is where a chain begins
//   - team: the principal's teams at each root, and those above them
//   - held: roles, by where the principal has them from, or would by a contract; their bases are read beside them
//
// A chain has 8 organizations at most, and a line of teams 5, so that what must not be, a cycle, would do no harm. What is said of
// instants is 0 for none. $3 is the id of the application that the principal belongs to, if it is one's.
const (
	pictureByID = `
	WITH RECURSIVE q AS (SELECT CAST($1 AS TEXT) AS org,
		CAST($2 AS TEXT) AS principal, CAST(NULL AS TEXT) AS name, CAST($3 AS TEXT) AS client),` + pictureTables
	pictureByName = `
	WITH RECURSIVE q AS (SELECT (SELECT id FROM orgauthz_organizations WHERE name = $1 AND deleted_at IS NULL) AS org,
		CAST($2 AS TEXT) AS principal, CAST($1 AS TEXT) AS name, CAST($3 AS TEXT) AS client),` + pictureTables

	pictureTables = `
	deal AS (
		SELECT c.id, c.guest_id AS guest FROM q CROSS JOIN orgauthz_contracts c
		WHERE c.host_id = q.org AND c.ended_at IS NULL AND q.principal IS NOT NULL AND NOT EXISTS (
			SELECT 1 FROM orgauthz_members m WHERE m.org_id = q.org AND m.user_id = q.principal AND m.expires_at IS NULL)
	),
	chain (root, depth, id, parent, name, status, metadata, security, delete_at, valid_after) AS (
		SELECT o.id, 0, o.id, o.parent_id, o.name, o.status, o.metadata, o.security, COALESCE(o.delete_at, 0), o.tokens_valid_after
		FROM q CROSS JOIN orgauthz_organizations o WHERE o.id = q.org AND o.deleted_at IS NULL
		UNION ALL
		SELECT o.id, 0, o.id, o.parent_id, o.name, o.status, o.metadata, o.security, COALESCE(o.delete_at, 0), o.tokens_valid_after
		FROM q CROSS JOIN (SELECT DISTINCT guest FROM deal) d
		CROSS JOIN orgauthz_members m CROSS JOIN orgauthz_organizations o
		WHERE m.org_id = d.guest AND m.user_id = q.principal AND o.id = d.guest AND o.deleted_at IS NULL
		UNION ALL
		SELECT c.root, c.depth + 1, o.id, o.parent_id, o.name, o.status, o.metadata, o.security, COALESCE(o.delete_at, 0), o.tokens_valid_after
		FROM chain c CROSS JOIN orgauthz_organizations o
		WHERE o.id = c.parent AND o.deleted_at IS NULL AND c.depth < 7
	),
	team (root, depth, id, parent) AS (
		SELECT c.root, 0, t.id, t.parent_id FROM q CROSS JOIN chain c CROSS JOIN orgauthz_team_members tm CROSS JOIN orgauthz_teams t
		WHERE c.depth = 0 AND tm.org_id = c.root AND tm.user_id = q.principal AND t.id = tm.team_id AND t.deleted_at IS NULL
		UNION
		SELECT c.root, c.depth + 1, t.id, t.parent_id FROM team c CROSS JOIN orgauthz_teams t
		WHERE t.id = c.parent AND t.deleted_at IS NULL AND c.depth < 4
	),
	held (root, way, source, role, expires) AS (
		SELECT c.root, CASE WHEN c.depth = 0 THEN 1 ELSE 2 END, c.id, mr.role_id, COALESCE(mr.expires_at, 0)
		FROM q CROSS JOIN chain c CROSS JOIN orgauthz_member_roles mr
		WHERE mr.org_id = c.id AND mr.user_id = q.principal AND (c.depth = 0 OR c.root = q.org AND mr.descendants = 1)
		UNION ALL
		SELECT t.root, 3, t.id, tr.role_id, 0 FROM (SELECT DISTINCT root, id FROM team) t CROSS JOIN orgauthz_team_roles tr
		WHERE tr.team_id = t.id
		UNION ALL
		SELECT c.root, 4, g.id, gr.role_id, 0
		FROM q CROSS JOIN chain c CROSS JOIN orgauthz_group_members gm CROSS JOIN orgauthz_groups g CROSS JOIN orgauthz_group_roles gr
		WHERE c.depth = 0 AND gm.user_id = q.principal AND g.id = gm.group_id AND g.deleted_at IS NULL
			AND gr.org_id = c.root AND gr.group_id = g.id
		UNION ALL
		SELECT d.guest, 5, d.id, cr.role_id, 0 FROM deal d CROSS JOIN orgauthz_contract_roles cr WHERE cr.contract_id = d.id
	)
	SELECT 1 AS a, COALESCE(q.org, '') AS b, '' AS c, '' AS d, '' AS e, '' AS f, '' AS g, '' AS h, '' AS i,
		{now} AS j, COALESCE(sn.revision, 0) AS k, COALESCE(sc.revision, 0) AS l, COALESCE(so.revision, 0) AS m
	FROM q
	LEFT JOIN orgauthz_scopes sn ON sn.kind = 5 AND sn.org = '' AND sn.id = q.name
	LEFT JOIN orgauthz_scopes sc ON sc.kind = 7 AND sc.org = '' AND sc.id = q.org
	LEFT JOIN orgauthz_scopes so ON so.kind = 1 AND so.org = '' AND so.id = q.org
	WHERE {newest}
	UNION ALL
	SELECT 2, c.root, c.id, c.name, c.status, c.metadata, c.security, '', '',
		c.depth, c.delete_at, c.valid_after, COALESCE(s.revision, 0)
	FROM chain c LEFT JOIN orgauthz_scopes s ON s.kind = 1 AND s.org = '' AND s.id = c.id
	UNION ALL
	SELECT 3, '', COALESCE(u.kind, ''), '', '', '', '', '', '', COALESCE(u.blocked, 0), 0, COALESCE(u.tokens_valid_after, 0), COALESCE(s.revision, 0)
	FROM q LEFT JOIN orgauthz_users u ON u.id = q.principal
	LEFT JOIN orgauthz_scopes s ON s.kind = 3 AND s.org = '' AND s.id = q.principal
	UNION ALL
	SELECT 4, c.id, COALESCE(m.kind, ''), COALESCE(m.metadata, ''), COALESCE(m.status, ''), '', '', '', '',
		CASE WHEN m.user_id IS NULL THEN 0 ELSE 1 END, COALESCE(m.expires_at, 0), COALESCE(m.tokens_valid_after, 0), COALESCE(s.revision, 0)
	FROM q CROSS JOIN (SELECT c.id FROM q CROSS JOIN chain c WHERE c.depth = 0 OR c.root = q.org UNION SELECT guest FROM deal) c
	LEFT JOIN orgauthz_members m ON m.org_id = c.id AND m.user_id = q.principal
	LEFT JOIN orgauthz_scopes s ON s.kind = 2 AND s.org = c.id AND s.id = q.principal
	UNION ALL
	SELECT 5, h.root, r.id, h.source, r.name, r.permissions, r.api_permissions, r.base_id, '',
		h.way, h.expires, r.follows_base, COALESCE(s.revision, 0)
	FROM held h CROSS JOIN orgauthz_roles r
	LEFT JOIN orgauthz_scopes s ON s.kind = 4 AND s.org = '' AND s.id = r.id
	WHERE r.id = h.role AND r.deleted_at IS NULL
	UNION ALL
	SELECT 6, t.root, t.id, '', '', '', '', '', '', 0, 0, 0, COALESCE(s.revision, 0)
	FROM (SELECT DISTINCT root, id FROM team) t LEFT JOIN orgauthz_scopes s ON s.kind = 6 AND s.org = '' AND s.id = t.id
	UNION ALL
	SELECT 7, h.root, h.source, '', '', '', '', '', '', 0, 0, 0, COALESCE(s.revision, 0)
	FROM (SELECT DISTINCT root, source FROM held WHERE way = 4) h
	LEFT JOIN orgauthz_scopes s ON s.kind = 17 AND s.org = '' AND s.id = h.source
	UNION ALL
	SELECT 8, d.guest, d.id, c.kinds, c.team_id, c.role_id, c.metadata_key, c.metadata_value, c.shares,
		COALESCE(c.from_at, 0), COALESCE(c.until_at, 0), 0, COALESCE(s.revision, 0)
	FROM deal d CROSS JOIN orgauthz_contracts c LEFT JOIN orgauthz_scopes s ON s.kind = 8 AND s.org = '' AND s.id = d.id
	WHERE c.id = d.id
	UNION ALL
	SELECT 9, COALESCE(q.org, ''), g.id, g.audience, g.scopes, '', '', '', '', 0, 0, 0, 0
	FROM q CROSS JOIN orgauthz_client_grants g
	WHERE g.client_id = q.client AND g.organization_usage <> 'deny' AND (g.allow_any_organization = 1
		OR EXISTS (SELECT 1 FROM orgauthz_organization_grants og WHERE og.org_id = q.org AND og.grant_id = g.id))
	UNION ALL
	SELECT 10, '', r.id, r.permissions, r.api_permissions, '', '', '', '', 0, 0, 0, COALESCE(s.revision, 0)
	FROM (SELECT DISTINCT r.base_id AS id FROM held h CROSS JOIN orgauthz_roles r WHERE r.id = h.role AND r.deleted_at IS NULL) h
	CROSS JOIN orgauthz_roles r LEFT JOIN orgauthz_scopes s ON s.kind = 4 AND s.org = '' AND s.id = r.id
	WHERE r.id = h.id`
)

// pictureStatement fills in what the dialect says.
func pictureStatement(text string, d Dialect) string {
	now := d.Now()
	if now == "" {
		now = "0"
	}
	return strings.NewReplacer("{now}", now, "{newest}", d.Newest()).Replace(text)
}

// clientSuffix ends the principals of applications that act for themselves, after their client id (rule M2M-2).
const clientSuffix = "@clients"

// picture is what a second statement says, with the clock to read it by.
type picture struct {
	question
	asOf time.Time
	now  int64 // when the snapshot was taken, microseconds, by the clock that all instants in it are compared with

	org                                               string // id; empty when there is none of that name
	nameRevision, contractsRevision, principalChanges uint64
	orgRevision                                       uint64

	client           bool // the principal is an application's
	blocked          bool
	tokensValidAfter int64 // of the principal

	chains    map[string][]pictureOrg  // by root, in order of depth
	members   map[string]pictureMember // by organization; also for those of which the principal is no member
	roles     []pictureRole
	bases     map[string]roleBase
	scopes    []pictureScope // teams and groups
	contracts []pictureContract
	grants    []pictureGrant
}

// pictureOrg is a live organization, unless it is to be deleted at deleteAt and this is over.
type pictureOrg struct {
	id, name, status, metadata, security string
	deleteAt, tokensValidAfter           int64
	revision                             uint64
}

type pictureMember struct {
	kind, metadata, status      string
	exists                      bool
	expiresAt, tokensValidAfter int64
	revision                    uint64
}

// The ways to a role, as they stand in the statement.
const (
	wayDirect = 1 + iota
	wayAncestor
	wayTeam
	wayGroup
	wayContract
)

type pictureRole struct {
	root, id, name, permissions, apiPermissions string
	base                                        string // id
	follows                                     bool
	way                                         int64
	source                                      string // id of the organization, team, group or contract
	expiresAt                                   int64
	revision                                    uint64
}

// pictureScope is a team or group that hands roles to the principal at root.
type pictureScope struct {
	root string
	Revision
}

type pictureContract struct {
	id, guest, kinds, team, role, metadataKey, metadataValue, shares string
	from, until                                                      int64
	revision                                                         uint64
}

type pictureGrant struct{ id, audience, scopes string }

// picture runs a second statement.
func (e *Engine) picture(ctx context.Context, q question, asOf time.Time) (*builder, error) {
	statement := &e.pictureByID
	if q.byName {
		statement = &e.pictureByName
	}
	client, isClient := strings.CutSuffix(q.principal, clientSuffix)
	rows, err := statement.query(ctx, e.tx, q.ref, sql.NullString{String: q.principal, Valid: !q.nobody},
		sql.NullString{String: client, Valid: isClient && !q.nobody})
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	p := &picture{question: q, asOf: asOf, chains: map[string][]pictureOrg{}, members: map[string]pictureMember{}, bases: map[string]roleBase{}}
	answered := false
	for rows.Next() {
		tag, err := p.scan(rows)
		if err != nil {
			return nil, err
		}
		answered = answered || tag == 1
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if !answered {
		return nil, errNoAnswer
	}
	// Where nodes have clocks of their own and the database has one, that is the time. A clock that was given is for tests.
	if p.now == 0 || e.clockGiven {
		p.now = asOf.UnixMicro()
	}
	return &builder{picture: p, next: never}, nil
}

// scan reads one row.
func (p *picture) scan(row scanner) (tag int, err error) {
	var root string
	var t [7]string
	var n [3]int64
	var revision uint64
	if err := row.Scan(&tag, &root, &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &n[0], &n[1], &n[2], &revision); err != nil {
		return 0, err
	}
	switch tag {
	case 1:
		p.org, p.now, p.orgRevision = root, n[0], revision
		p.nameRevision, p.contractsRevision = uint64(n[1]), uint64(n[2])
	case 2:
		depth := int(n[0])
		for len(p.chains[root]) <= depth { // rows come in any order
			p.chains[root] = append(p.chains[root], pictureOrg{})
		}
		p.chains[root][depth] = pictureOrg{t[0], t[1], t[2], t[3], t[4], n[1], n[2], revision}
	case 3:
		p.client, p.blocked, p.tokensValidAfter, p.principalChanges = t[0] == "client", n[0] != 0, n[2], revision
	case 4:
		p.members[root] = pictureMember{t[0], t[1], t[2], n[0] != 0, n[1], n[2], revision}
	case 5:
		p.roles = append(p.roles, pictureRole{root, t[0], t[2], t[3], t[4], t[5], n[2] != 0, n[0], t[1], n[1], revision})
	case 6:
		p.scopes = append(p.scopes, pictureScope{root, Revision{TeamScope(t[0]), revision}})
	case 7:
		p.scopes = append(p.scopes, pictureScope{root, Revision{Scope{Kind: ScopeGroup, ID: t[0]}, revision}})
	case 8:
		p.contracts = append(p.contracts, pictureContract{t[0], root, t[1], t[2], t[3], t[4], t[5], t[6], n[0], n[1], revision})
	case 9:
		p.grants = append(p.grants, pictureGrant{t[0], t[1], t[2]})
	case 10:
		p.bases[t[0]] = roleBase{id: t[0], permissions: t[1], apiPermissions: t[2], revision: revision}
	}
	return tag, nil
}

// inTeam reports whether the principal is in a team at root, or in one below it.
func (p *picture) inTeam(root, team string) bool {
	return slices.ContainsFunc(p.scopes, func(s pictureScope) bool { return s.root == root && s.Scope == TeamScope(team) })
}
