package orgstore

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// VerifyOptions says how Engine.Verify reports. The zero value is ready for use.
type VerifyOptions struct {
	// Limit is how many findings of one check are reported at most, default 100.
	Limit int
	// Progress is called before each check: its name, how many have been done, and how many there are. Optional.
	Progress func(check string, done, total int)
}

// Finding is something that is wrong in the database.
type Finding struct {
	Check string // what should be true, for example "organizations: members are counted"
	Row   string // ids of the row that breaks it, or what a tool of the database says
}

func (f Finding) String() string { return f.Check + ": " + f.Row }

// Verify looks for what the engine would never write: references to nothing, wrong counts, revisions without their events,
// events that are missing between others, things without revisions, and what the database itself finds damaged (SQLite's
// integrity_check). It is for after a crash, a restore, or SQL of somebody else's. No finding means that all is well; err means that
// it could not be told. Events that were pruned are not missed.
//
// It reads all tables, with one statement for each check, which each see one state: it may run beside mutations, and holds no
// locks. Two million memberships take about a minute, and SQLite's own check, which is the last one, as much again or more. ctx
// bounds it: what was found until then is returned with the error.
func (e *Engine) Verify(ctx context.Context, opts VerifyOptions) ([]Finding, error) {
	limit := cmp.Or(opts.Limit, 100)
	all, err := e.checks(ctx)
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for i, c := range all {
		if opts.Progress != nil {
			opts.Progress(c.name, i, len(all))
		}
		found, err := read(ctx, e, func(q queryer) ([]Finding, error) {
			return collect(ctx, q, c.query+` LIMIT `+strconv.Itoa(limit), nil, func(row scanner) (Finding, error) {
				f := Finding{Check: c.name}
				return f, row.Scan(&f.Row)
			})
		})
		if err != nil {
			return findings, fmt.Errorf("%s: %w", c.name, err)
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

// check is something that must be true: query returns the rows that break it, as one column of text, and takes a LIMIT.
type check struct{ name, query string }

// checks returns what Verify checks.
func (e *Engine) checks(ctx context.Context) ([]check, error) {
	references, err := read(ctx, e, func(q queryer) ([]check, error) { return references(ctx, q, e.dialect.References()) })
	if err != nil {
		return nil, err
	}
	all := append([]check{}, invariants...)
	for _, s := range scoped {
		all = append(all, s.check())
	}
	all = append(all, references...)
	if query := e.dialect.Damage(); query != "" {
		all = append(all, check{"database: not damaged", query})
	}
	return all, nil
}

// invariants are what must be true of the tables beyond their references and scopes. A noun adds its own.
var invariants = []check{
	{"organizations: members are counted", `
		SELECT o.id FROM orgauthz_organizations o
		LEFT JOIN (SELECT org_id, COUNT(*) AS members FROM orgauthz_members GROUP BY org_id) m ON m.org_id = o.id
		WHERE o.members <> COALESCE(m.members, 0)`},
	{"organizations: the store counts them", `
		SELECT 'orgauthz_meta' FROM orgauthz_meta
		WHERE organizations <> (SELECT COUNT(*) FROM orgauthz_organizations WHERE deleted_at IS NULL)`},
	{"organizations: parents exist", `
		SELECT o.id FROM orgauthz_organizations o WHERE o.parent_id <> ''
		AND NOT EXISTS (SELECT 1 FROM orgauthz_organizations p WHERE p.id = o.parent_id)`},
	{"organizations: none is above itself", `
		SELECT id FROM (WITH RECURSIVE above (id, parent_id) AS (
			SELECT id, parent_id FROM orgauthz_organizations WHERE parent_id <> ''
			UNION SELECT a.id, o.parent_id FROM above a JOIN orgauthz_organizations o ON o.id = a.parent_id WHERE o.parent_id <> '')
		SELECT id FROM above WHERE id = parent_id) circle`},
	{"members: roles are the tenant's or their organization's", `
		SELECT mr.org_id || ' ' || mr.user_id || ' ' || mr.role_id FROM orgauthz_member_roles mr
		JOIN orgauthz_roles r ON r.id = mr.role_id WHERE r.org_id <> '' AND r.org_id <> mr.org_id`},
	{"roles: those of organizations, and no others, have their names", `
		SELECT id FROM orgauthz_roles WHERE deleted_at IS NULL AND (org_id <> '') <> (SUBSTR(name, 1, 4) = 'org:')`},
	{"roles: those of organizations alone are based on one, of the tenant", `
		SELECT r.id FROM orgauthz_roles r LEFT JOIN orgauthz_roles b ON b.id = r.base_id
		WHERE r.base_id <> '' AND (r.org_id = '' OR b.id IS NULL OR b.org_id <> '')`},
	{"teams: parents are live teams of the same organization", `
		SELECT t.id FROM orgauthz_teams t LEFT JOIN orgauthz_teams p ON p.id = t.parent_id
		WHERE t.deleted_at IS NULL AND t.parent_id <> '' AND (p.id IS NULL OR p.org_id <> t.org_id OR p.deleted_at IS NOT NULL)`},
	{"teams: none is below itself, or deeper than 5 levels", `
		SELECT id FROM (WITH RECURSIVE up (id, parent_id, level) AS (
			SELECT id, parent_id, 1 FROM orgauthz_teams WHERE deleted_at IS NULL
			UNION ALL SELECT up.id, t.parent_id, up.level + 1 FROM up JOIN orgauthz_teams t ON t.id = up.parent_id WHERE up.level < 6)
		SELECT id FROM up WHERE level > 5) deep`},
	{"teams: roles are the tenant's or their organization's", `
		SELECT tr.team_id || ' ' || tr.role_id FROM orgauthz_team_roles tr JOIN orgauthz_teams t ON t.id = tr.team_id
		JOIN orgauthz_roles r ON r.id = tr.role_id WHERE r.org_id <> '' AND r.org_id <> t.org_id`},
	{"teams: members are their organization's", `
		SELECT tm.team_id || ' ' || tm.user_id FROM orgauthz_team_members tm JOIN orgauthz_teams t ON t.id = tm.team_id
		WHERE tm.org_id <> t.org_id`},
	{"groups: roles are the tenant's or their organization's", `
		SELECT gr.org_id || ' ' || gr.group_id || ' ' || gr.role_id FROM orgauthz_group_roles gr
		JOIN orgauthz_roles r ON r.id = gr.role_id WHERE r.org_id <> '' AND r.org_id <> gr.org_id`},
	{"members: names are those of users", `
		SELECT m.org_id || ' ' || m.user_id FROM orgauthz_members m JOIN orgauthz_users u ON u.id = m.user_id WHERE m.name <> u.name`},
	{"clients: each has its principal", `
		SELECT c.id FROM orgauthz_clients c WHERE c.deleted_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM orgauthz_users u WHERE u.id = c.id || '@clients' AND u.kind = 'client' AND u.name = c.name)`},
	{"clients: each principal has its client", `
		SELECT u.id FROM orgauthz_users u WHERE u.kind = 'client'
		AND NOT EXISTS (SELECT 1 FROM orgauthz_clients c WHERE u.id = c.id || '@clients' AND c.deleted_at IS NULL)`},
	{"client grants: client and API exist", `
		SELECT g.id FROM orgauthz_client_grants g
		WHERE NOT EXISTS (SELECT 1 FROM orgauthz_clients c WHERE c.id = g.client_id AND c.deleted_at IS NULL)
		OR NOT EXISTS (SELECT 1 FROM orgauthz_apis a WHERE a.identifier = g.audience)`},
	{"idempotency keys: each has a result", `
		SELECT actor || ' ' || key FROM orgauthz_idempotency WHERE result = ''`},
	{"events: no revision of a scope is missing between others", `
		SELECT CAST(scope_kind AS TEXT) || ' ' || scope_org || ' ' || scope_id FROM orgauthz_events
		GROUP BY scope_kind, scope_org, scope_id
		HAVING COUNT(*) <> MAX(revision) - MIN(revision) + 1
		OR MIN(revision) > 1 AND (SELECT pruned_id FROM orgauthz_meta) = ''`},
	{"events: the newest of a scope has its revision", `
		SELECT CAST(e.kind AS TEXT) || ' ' || e.org || ' ' || e.id
		FROM (SELECT scope_kind AS kind, scope_org AS org, scope_id AS id, MAX(revision) AS newest FROM orgauthz_events
			GROUP BY scope_kind, scope_org, scope_id) e
		LEFT JOIN orgauthz_scopes s ON s.kind = e.kind AND s.org = e.org AND s.id = e.id
		WHERE COALESCE(s.revision, 0) <> e.newest`},
	{"scopes: each revision has its event", `
		SELECT CAST(s.kind AS TEXT) || ' ' || s.org || ' ' || s.id FROM orgauthz_scopes s
		LEFT JOIN orgauthz_events e ON e.scope_kind = s.kind AND e.scope_org = s.org AND e.scope_id = s.id AND e.revision = s.revision
		WHERE s.revision > 0 AND e.id IS NULL AND ((SELECT pruned_id FROM orgauthz_meta) = ''
			OR s.clock > (SELECT MIN(created_at) FROM orgauthz_events))`},
	{"scopes: revisions are below 2^53", `
		SELECT CAST(kind AS TEXT) || ' ' || org || ' ' || id FROM orgauthz_scopes WHERE revision < 0 OR revision >= 9007199254740992`},
}

// inScope says which scope the rows of a table are in: each row has raised it at least once.
type inScope struct {
	table   string
	kind    ScopeKind
	org, id string // columns, or a text in quotes
	where   string // of the rows that are, empty for all
}

// scoped are the tables whose rows have scopes. A noun adds its own.
var scoped = []inScope{
	{"organizations", ScopeOrganization, `''`, "id", ""},
	{"organizations", ScopeName, `''`, "name", "deleted_at IS NULL"},
	{"domains", ScopeDomain, "org_id", "id", ""},
	{"enabled_connections", ScopeOrganizationConnection, "org_id", "connection_id", ""},
	{"organization_clients", ScopeOrganizationClient, "org_id", "client_id", ""},
	{"templates", ScopeTemplate, `''`,
		`CASE WHEN org_id <> '' THEN org_id WHEN client_id <> '' THEN 'client:' || client_id ELSE '' END || '/' || kind`, ""},
	{"users", ScopeUser, `''`, "id", ""},
	{"roles", ScopeRole, `''`, "id", ""},
	{"members", ScopeMembership, "org_id", "user_id", ""},
	{"teams", ScopeTeam, `''`, "id", ""},
	{"team_roles", ScopeTeam, `''`, "team_id", ""},
	{"connections", ScopeConnection, `''`, "id", ""},
	{"clients", ScopeClient, `''`, "id", ""},
	{"apis", ScopeAPI, `''`, "identifier", ""},
	{"client_grants", ScopeClientGrant, `''`, "id", ""},
	{"api_keys", ScopeAPIKey, "org_id", "id", ""},
	{"groups", ScopeGroup, `''`, "id", ""},
	{"requests", ScopeRequest, "org_id", "id", ""},
	{"invitations", ScopeInvitation, "org_id", "id", ""},
}

func (s inScope) check() check {
	return check{s.table + ": each has a revision as " + s.kind.String(), fmt.Sprintf(`
		SELECT t.org || ' ' || t.id FROM (SELECT %s AS org, %s AS id FROM orgauthz_%s WHERE %s) t
		LEFT JOIN orgauthz_scopes s ON s.kind = %d AND s.org = t.org AND s.id = t.id
		WHERE COALESCE(s.revision, 0) = 0`, s.org, s.id, s.table, cmp.Or(s.where, "1 = 1"), s.kind)}
}

// references returns a check for each foreign key. query is Dialect.References.
func references(ctx context.Context, q queryer, query string) ([]check, error) {
	type column struct{ table, key, child, parentTable, parent string }
	columns, err := collect(ctx, q, query, nil, func(row scanner) (c column, err error) {
		return c, row.Scan(&c.table, &c.key, &c.child, &c.parentTable, &c.parent)
	})
	if err != nil {
		return nil, err
	}
	var all []check
	for len(columns) > 0 {
		first := columns[0]
		var names, known, same []string
		for len(columns) > 0 && columns[0].table == first.table && columns[0].key == first.key {
			c := columns[0]
			columns = columns[1:]
			names = append(names, c.child)
			known = append(known, `c.`+c.child+` IS NOT NULL`)
			same = append(same, `p.`+c.parent+` = c.`+c.child)
		}
		all = append(all, check{
			first.table + ": " + strings.Join(names, ", ") + " refers to " + first.parentTable,
			`SELECT CAST(c.` + strings.Join(names, ` AS TEXT) || ' ' || CAST(c.`) + ` AS TEXT) FROM ` + first.table + ` c
			WHERE ` + strings.Join(known, ` AND `) + ` AND NOT EXISTS (SELECT 1 FROM ` + first.parentTable + ` p
			WHERE ` + strings.Join(same, ` AND `) + `)`,
		})
	}
	return all, nil
}
