package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// corruption is SQL that the engine would never run, and the checks of Verify that find it.
type corruption struct {
	sql  string
	want []string
}

// corruptions are made one at a time to the world of Seed. Emilio and granite-outpost have three revisions there.
var corruptions = []corruption{
	{`UPDATE orgauthz_organizations SET members = members + 1 WHERE name = 'adventurez'`,
		[]string{"organizations: members are counted"}},
	{`UPDATE orgauthz_meta SET organizations = organizations - 1`, []string{"organizations: the store counts them"}},
	{`UPDATE orgauthz_organizations SET parent_id = 'org_0000000000000000' WHERE name = 'adventurez'`,
		[]string{"organizations: parents exist"}},
	{`UPDATE orgauthz_organizations SET parent_id = (SELECT id FROM orgauthz_organizations o WHERE o.name <> orgauthz_organizations.name)`,
		[]string{"organizations: none is above itself"}},
	{`UPDATE orgauthz_roles SET org_id = (SELECT id FROM orgauthz_organizations WHERE name = 'adventurez') WHERE name = 'admin'`,
		[]string{"members: roles are the tenant's or their organization's", "roles: those of organizations, and no others, have their names"}},
	{`UPDATE orgauthz_roles SET base_id = id WHERE name = 'admin'`,
		[]string{"roles: those of organizations alone are based on one, of the tenant"}},
	{`UPDATE orgauthz_teams SET parent_id = 'team_0000000000000000' WHERE name = 'below'`,
		[]string{"teams: parents are live teams of the same organization"}},
	{`UPDATE orgauthz_teams SET parent_id = (SELECT id FROM orgauthz_teams t WHERE t.name = 'below') WHERE name = 'above'`,
		[]string{"teams: none is below itself, or deeper than 5 levels"}},
	{`UPDATE orgauthz_roles SET org_id = (SELECT id FROM orgauthz_organizations WHERE name = 'adventurez') WHERE name = 'org:own'`,
		[]string{"teams: roles are the tenant's or their organization's"}},
	{`UPDATE orgauthz_teams SET org_id = (SELECT id FROM orgauthz_organizations WHERE name = 'adventurez') WHERE name = 'lone'`,
		[]string{"teams: members are their organization's"}},
	{`UPDATE orgauthz_roles SET org_id = (SELECT id FROM orgauthz_organizations WHERE name = 'adventurez') WHERE name = 'org:group'`,
		[]string{"groups: roles are the tenant's or their organization's"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 19`, []string{
		"events: the newest of a scope has its revision", "requests: each has a revision as request"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 17`, []string{
		"events: the newest of a scope has its revision", "groups: each has a revision as group"}},
	{`INSERT INTO orgauthz_idempotency (actor, key, call, result, created_at) VALUES ('', 'k', '', '', 0)`,
		[]string{"idempotency keys: each has a result"}},
	{`DELETE FROM orgauthz_events WHERE scope_kind = 3 AND scope_id = 'auth0|emilio' AND revision = 2`,
		[]string{"events: no revision of a scope is missing between others"}},
	{`DELETE FROM orgauthz_events WHERE scope_kind = 3 AND scope_id = 'auth0|emilio' AND revision = 1`,
		[]string{"events: no revision of a scope is missing between others"}},
	{`DELETE FROM orgauthz_events WHERE scope_kind = 3 AND scope_id = 'auth0|emilio' AND revision = 3`,
		[]string{"events: the newest of a scope has its revision", "scopes: each revision has its event"}},
	{`DELETE FROM orgauthz_events WHERE scope_kind = 3 AND scope_id = 'auth0|emilio'`, []string{"scopes: each revision has its event"}},
	{`UPDATE orgauthz_scopes SET revision = 9007199254740992 WHERE kind = 3 AND id = 'auth0|emilio'`, []string{
		"events: the newest of a scope has its revision", "scopes: each revision has its event", "scopes: revisions are below 2^53"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 1`, []string{
		"events: the newest of a scope has its revision", "organizations: each has a revision as organization"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 2`, []string{
		"events: the newest of a scope has its revision", "members: each has a revision as membership"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 3`, []string{
		"events: the newest of a scope has its revision", "users: each has a revision as user"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 4`, []string{
		"events: the newest of a scope has its revision", "roles: each has a revision as role"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 5`, []string{
		"events: the newest of a scope has its revision", "organizations: each has a revision as name"}},
	{`DELETE FROM orgauthz_scopes WHERE kind = 6`, []string{
		"events: the newest of a scope has its revision", "teams: each has a revision as team", "team_roles: each has a revision as team"}},
	{`INSERT INTO orgauthz_connections (id, name, strategy, display_name, domains, signup, domain_connection, isolated, created_at, updated_at)
		VALUES ('con', 'con', 'auth0', '', '', 0, 0, 0, 0, 0)`, []string{"connections: each has a revision as connection"}},
	{`INSERT INTO orgauthz_clients (id, name, settings, secret, created_at, updated_at) VALUES ('c', 'c', '{}', '', 0, 0)`,
		[]string{"clients: each has its principal", "clients: each has a revision as client"}},
	{`UPDATE orgauthz_users SET kind = 'client' WHERE id = 'auth0|jonno'`, []string{"clients: each principal has its client"}},
	{`UPDATE orgauthz_users SET name = 'x' WHERE id = 'auth0|emilio'`, []string{"members: names are those of users"}},
	{`INSERT INTO orgauthz_apis (identifier, name, settings, created_at, updated_at) VALUES ('a', 'a', '{}', 0, 0)`,
		[]string{"apis: each has a revision as api"}},
	{`INSERT INTO orgauthz_client_grants (id, client_id, audience, scopes, organization_usage, allow_any_organization, created_at, updated_at)
		VALUES ('cgr', 'c', 'a', '', 'deny', 0, 0, 0)`, []string{
		"client grants: client and API exist", "client_grants: each has a revision as client_grant"}},
	{`INSERT INTO orgauthz_api_keys (id, org_id, name, principal, prefix, created_at, updated_at)
		SELECT 'key_0000000000000000', id, 'n', 'u', 'oak_', 1, 1 FROM orgauthz_organizations WHERE name = 'adventurez'`,
		[]string{"api_keys: each has a revision as api_key"}},
	{`INSERT INTO orgauthz_domains (id, org_id, domain, subdomains, status, discovery, verification_text, checked_at, created_at, updated_at)
		SELECT 'ord_0000000000000000', id, 'a.example', 0, 'pending', 0, '', 0, 1, 1 FROM orgauthz_organizations WHERE name = 'adventurez'`,
		[]string{"domains: each has a revision as domain"}},
	{`INSERT INTO orgauthz_enabled_connections (org_id, connection_id, assign_membership, show_as_button, signup, name, access_level,
			is_enabled, created_at, updated_at)
		SELECT id, 'con_0000000000000000', 0, 1, 0, '', 'none', 1, 1, 1 FROM orgauthz_organizations WHERE name = 'adventurez'`, []string{
		"enabled_connections: each has a revision as organization_connection",
		"orgauthz_enabled_connections: connection_id refers to orgauthz_connections"}},
	{`INSERT INTO orgauthz_organization_clients (org_id, client_id, use_for_member_access, created_at, updated_at)
		SELECT id, 'c', 1, 1, 1 FROM orgauthz_organizations WHERE name = 'adventurez'`, []string{
		"organization_clients: each has a revision as organization_client",
		"orgauthz_organization_clients: client_id refers to orgauthz_clients"}},
	{`INSERT INTO orgauthz_templates (org_id, client_id, kind, html, subject, body, created_at, updated_at)
		VALUES ('', '', 'login', '', '', '', 1, 1)`, []string{"templates: each has a revision as template"}},
	{`INSERT INTO orgauthz_invitations (id, org_id, status, email, email_key, inviter_name, inviter_id, client_id, connection_id, kind, roles,
			app_metadata, user_metadata, redirect_uri, ticket, attempts, accepted_by, created_at, updated_at, expires_at)
		SELECT 'uinv_0000000000000000', id, 'revoked', 'a@b', 'a@b', '', '', '', '', '', '', '{}', '{}', '', '', 0, '', 1, 1, 1
		FROM orgauthz_organizations WHERE name = 'adventurez'`, []string{"invitations: each has a revision as invitation"}},
	{`DELETE FROM orgauthz_users WHERE id = 'auth0|emilio'`, []string{"orgauthz_members: user_id refers to orgauthz_users"}},
	{`DELETE FROM orgauthz_roles WHERE name = 'admin'`, []string{"orgauthz_member_roles: role_id refers to orgauthz_roles"}},
	{`DELETE FROM orgauthz_members WHERE user_id = 'auth0|emilio'`, []string{
		"organizations: members are counted", "orgauthz_member_roles: org_id, user_id refers to orgauthz_members",
		"orgauthz_team_members: org_id, user_id refers to orgauthz_members"}},
}

// TestVerify tests that Verify finds what is wrong, and nothing else. open returns a fresh, empty engine, and a pool on the same
// database on which foreign keys are not enforced.
func TestVerify(t *testing.T, open func(t testing.TB) (*orgstore.Engine, *sql.DB)) {
	world := func(t *testing.T) (*engineTest, *sql.DB) {
		e, raw := open(t)
		w := Seed(t, e)
		x := &engineTest{T: t, Engine: e}
		above, own := x.team(w.Org.ID, "above", ""), x.organizationRole(w.Org.ID, "org:own", "")
		x.team(w.Org.ID, "below", above)
		x.changed(e.Teams.AssignRoles(t.Context(), w.Org.ID, above, own))
		x.changed(e.Teams.AddMember(t.Context(), w.Org.ID, x.team(w.Org.ID, "lone", ""), w.Emilio.ID))
		x.request(w.Org.ID, w.Jonno.ID)
		group := x.group(x.connection("groups", "samlp"), "g")
		x.changed(e.Groups.Assign(t.Context(), w.Org.ID, group))
		x.changed(e.Groups.AssignRoles(t.Context(), w.Org.ID, group, x.organizationRole(w.Org.ID, "org:group", "")))
		x.changed(e.Users.Block(t.Context(), w.Emilio.ID))
		x.changed(e.Users.Unblock(t.Context(), w.Emilio.ID))
		return x, raw
	}
	for _, c := range corruptions {
		t.Run(strings.Join(c.want, ", "), func(t *testing.T) {
			t.Parallel()
			x, raw := world(t)
			x.execute(raw, c.sql)
			if got := x.findings(); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
	for name, test := range map[string]func(x *engineTest, raw *sql.DB){
		"every check has a corruption": verifyAll,
		"pruned events":                verifyPruned,
		"limit":                        verifyLimit,
		"context":                      verifyContext,
		"inside of a transaction":      verifyInside,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(world(t))
		})
	}
}

func (t *engineTest) execute(db *sql.DB, statement string) {
	t.Helper()
	if result, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	} else if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%d rows, %v: %s", n, err, statement)
	}
}

// findings returns the names of the checks that found something.
func (t *engineTest) findings() []string {
	t.Helper()
	found, err := t.Verify(t.Context(), orgstore.VerifyOptions{})
	t.ok(err)
	var names []string
	for _, f := range found {
		if f.Row == "" || f.String() != f.Check+": "+f.Row {
			t.Errorf("%+v names nothing", f)
		}
		if !slices.Contains(names, f.Check) {
			names = append(names, f.Check)
		}
	}
	return names
}

func verifyAll(t *engineTest, _ *sql.DB) {
	covered, seen := map[string]bool{}, map[string]bool{}
	for _, c := range corruptions {
		for _, name := range c.want {
			covered[name] = true
		}
	}
	found, err := t.Verify(t.Context(), orgstore.VerifyOptions{Progress: func(check string, done, total int) {
		if seen[check] || done != len(seen) || total <= done {
			t.Errorf("progress: %s, %d of %d", check, done, total)
		}
		seen[check] = true
	}})
	if err != nil || len(found) != 0 {
		t.Errorf("found %v, %v", found, err)
	}
	references := 0
	for name := range seen {
		switch {
		case strings.Contains(name, " refers to "):
			references++
		case !covered[name] && !strings.HasPrefix(name, "database:"):
			t.Errorf("nothing shows that Verify finds %q", name)
		}
		delete(covered, name)
	}
	if len(covered) != 0 || references < 5 {
		t.Errorf("%d foreign keys are checked; not checked: %v", references, covered)
	}
}

func verifyPruned(t *engineTest, raw *sql.DB) {
	events := t.events()
	// All but the newest two, of which one is in the middle of its scope.
	last := events[len(events)-3].ID
	t.execute(raw, `DELETE FROM orgauthz_events WHERE id <= '`+last+`'`)
	if got := t.findings(); len(got) == 0 {
		t.Error("events that nobody has pruned are not missed")
	}
	t.execute(raw, `UPDATE orgauthz_meta SET pruned_id = '`+last+`'`)
	if got := t.findings(); len(got) != 0 {
		t.Errorf("events that were pruned are missed: %q", got)
	}
	t.changed(t.Users.Delete(t.Context(), "auth0|emilio"))
	t.execute(raw, `DELETE FROM orgauthz_events WHERE scope_kind = 3 AND revision = 4`)
	if got := t.findings(); !slices.Equal(got, []string{"events: the newest of a scope has its revision", "scopes: each revision has its event"}) {
		t.Errorf("an event that was not pruned: %q", got)
	}
	t.execute(raw, `DELETE FROM orgauthz_events`)
	if got := t.findings(); len(got) != 0 {
		t.Errorf("all were pruned: %q", got)
	}
}

func verifyLimit(t *engineTest, raw *sql.DB) {
	for i := range 120 {
		t.execute(raw, fmt.Sprintf(`
			INSERT INTO orgauthz_users (id, email, name, blocked, created_at, updated_at) VALUES ('u%d', '', '', 0, 0, 0)`, i))
	}
	for limit, want := range map[int]int{0: 100, 3: 3, 1000: 120} {
		if found, err := t.Verify(t.Context(), orgstore.VerifyOptions{Limit: limit}); err != nil || len(found) != want {
			t.Errorf("limit %d: %d findings, %v", limit, len(found), err)
		}
	}
}

func verifyContext(t *engineTest, _ *sql.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := t.Verify(ctx, orgstore.VerifyOptions{Progress: func(_ string, done, _ int) {
		if done == 3 {
			cancel()
		}
	}})
	t.is(err, context.Canceled)
	t.ok(t.Close())
	_, err = t.Verify(t.Context(), orgstore.VerifyOptions{})
	t.is(err, orgstore.ErrUnavailable)
}

func verifyInside(t *engineTest, _ *sql.DB) {
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, err := tx.ExecContext(ctx, `UPDATE orgauthz_meta SET organizations = 0`); err != nil {
			return err
		}
		if found, err := e.Verify(ctx, orgstore.VerifyOptions{}); err != nil || len(found) != 1 {
			t.Errorf("inside: %v, %v", found, err)
		}
		if got := t.findings(); len(got) != 0 {
			t.Errorf("outside: %v", got)
		}
		return errUndo
	})
	if !errors.Is(err, errUndo) {
		t.Error(err)
	}
}
