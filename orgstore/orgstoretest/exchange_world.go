package orgstoretest

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// unexported are the tables whose rows an export does not have, and why.
var unexported = map[string]string{
	"orgauthz_meta":                  "counters of the database itself",
	"orgauthz_schema":                "versions of the schema",
	"orgauthz_scopes":                "revisions of the database itself",
	"orgauthz_events":                "the trail of the database itself",
	"orgauthz_idempotency":           "answers to calls on the database itself",
	"orgauthz_sessions":              "live logins: people log in again",
	"orgauthz_session_organizations": "live logins",
	"orgauthz_refresh_tokens":        "secrets",
	"orgauthz_api_keys":              "secrets, which would be no use without their hashes",
	"orgauthz_api_key_secrets":       "secrets",
	"orgauthz_token_usage":           "counts of the running hour and day",
}

// unexportedColumns are columns of other tables that may differ after an import, and why.
var unexportedColumns = map[string]string{
	"orgauthz_clients.secret":     "a secret",
	"orgauthz_invitations.ticket": "a secret",
}

// timesInside are times in settings that are stored as JSON. The columns have the ones that count.
var timesInside = regexp.MustCompile(`,"(created|updated)_at":"[^"]*"`)

// tables returns the engine's tables with their rows, each row as text: column=value for each column, sorted.
func (t *engineTest) tables() map[string][]string {
	t.Helper()
	var names []string
	for _, query := range []string{
		`SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'orgauthz%'`,
		`SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'orgauthz%'`,
	} {
		if err := t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, query)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var name string
				if err := rows.Scan(&name); err != nil {
					return err
				}
				names = append(names, name)
			}
			return rows.Err()
		}); err == nil {
			break
		}
	}
	all := map[string][]string{}
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for _, name := range names {
			found, err := rowsOf(ctx, tx, name)
			if err != nil {
				return err
			}
			all[name] = found
		}
		return nil
	}))
	if len(all) < 20 {
		t.Fatalf("tables are %q: these are not all", names)
	}
	return all
}

// content is the tables that exports have.
func (t *engineTest) content() map[string][]string {
	t.Helper()
	all := t.tables()
	maps.DeleteFunc(all, func(table string, _ []string) bool { return unexported[table] != "" })
	return all
}

func rowsOf(ctx context.Context, tx *sql.Tx, table string) ([]string, error) {
	rows, err := tx.QueryContext(ctx, `SELECT * FROM `+table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	all := []string{}
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		var row []string
		for i, c := range columns {
			if _, ok := unexportedColumns[table+"."+c]; !ok {
				row = append(row, timesInside.ReplaceAllString(fmt.Sprintf("%s=%v", c, values[i]), ""))
			}
		}
		slices.Sort(row)
		all = append(all, strings.Join(row, " "))
	}
	slices.Sort(all)
	return all, rows.Err()
}

// sameTables checks that a copy has the rows of t that exports have, and that there are some in each table.
func (t *engineTest) sameTables(copied *engineTest) {
	t.Helper()
	is, was := copied.tables(), t.tables()
	for _, table := range slices.Sorted(maps.Keys(was)) {
		if _, ok := unexported[table]; ok {
			continue
		}
		if len(was[table]) == 0 {
			t.Errorf("%s has no rows: whether an export has them nobody knows", table)
		}
		for _, row := range was[table] {
			if !slices.Contains(is[table], row) {
				t.Errorf("%s: missing in the copy:\n%s\nit has\n%s", table, row, strings.Join(is[table], "\n"))
			}
		}
		if len(is[table]) != len(was[table]) {
			t.Errorf("%s has %d rows, and the copy %d", table, len(was[table]), len(is[table]))
		}
	}
}

// everything makes a store in which each table has rows, and each column has something in it somewhere.
func (t *engineTest) everything() {
	t.Helper()
	ctx := t.Context()
	year := time.Now().Add(365 * 24 * time.Hour).Truncate(time.Second)
	api := t.api("https://api.example/<a>&b", "read:adventures", "create:adventures")
	template, _, err := t.Roles.Create(ctx, orgstore.Role{
		Name: "template", Template: true, Permissions: []string{"p"}, APIPermissions: map[string][]string{api: {"read:adventures"}},
	})
	t.ok(err)
	admin, guide := t.role("admin", "a", "b"), t.role("guide")
	database, enterprise := t.connection("database", "auth0"), t.connection("enterprise", "samlp")
	t.changed(t.Connections.Update(ctx, enterprise, orgstore.ConnectionUpdate{Domains: &[]string{"acme.example", "b.example"}}))
	t.client("portal")
	t.changed(t.Connections.EnableClients(ctx, database, "portal"))
	t.changed(t.Connections.EnableClients(ctx, enterprise, "portal"))
	grant := t.grant("portal", api, "read:adventures")

	acme, _, err := t.Organizations.Create(ctx, orgstore.Organization{
		Name: "acme", DisplayName: "Acme \u00dc <b>&", ExternalID: "crm-1", Metadata: map[string]string{"plan": "gold"},
		Branding:   orgstore.Branding{LogoURL: "https://acme.example/l.png", Colors: orgstore.BrandingColors{Primary: "#fff", PageBackground: "#000"}},
		TokenQuota: orgstore.TokenQuota{ClientCredentials: orgstore.Quota{PerDay: 5, Enforce: true}},
		AutoJoin:   orgstore.AutoJoinSuggest, InvitationRedirectURL: "https://acme.example/in", AppEntitlement: true,
	})
	t.ok(err)
	below, leaving := t.org("below"), t.org("leaving")
	t.changed(t.Organizations.Suspend(ctx, below.ID))
	t.changed(t.Organizations.SetParent(ctx, acme.ID, below.ID))
	t.changed(t.Organizations.ScheduleDeletion(ctx, leaving.ID, year))
	t.changed(t.Organizations.SetSecurity(ctx, acme.ID, &orgstore.SecurityPolicy{Connections: []string{enterprise}, MFA: true, MaxIdle: time.Hour}))
	t.changed(t.Organizations.SignOut(ctx, acme.ID))
	t.changed(t.Clients.Update(ctx, "portal", orgstore.ClientUpdate{
		OrganizationUsage: new(orgstore.OrganizationRequire), InitiateLoginURI: new("https://portal.example/login"),
		DefaultOrganization: &orgstore.DefaultOrganization{OrganizationID: acme.ID, Flows: []string{"client_credentials"}},
	}))
	group := t.group(enterprise, "staff")

	t.user("u1")
	for _, u := range []orgstore.User{
		{
			ID: "auth0|hiroko", Email: "Hiroko@acme.example", EmailVerified: true, Name: "Hiroko", Picture: "https://a.example/p",
			AppMetadata: map[string]any{"n": 1.5}, UserMetadata: map[string]any{"a": []any{"b", nil}},
			Identities: []orgstore.Identity{{Connection: database, ID: "hiroko"}},
		},
		{ID: "samlp|hiroko", Email: "h@acme.example", Identities: []orgstore.Identity{{Connection: enterprise, ID: "h"}}},
		{ID: "auth0|emilio", Email: "emilio@b.example", Name: "Emilio", Identities: []orgstore.Identity{{Connection: database, ID: "emilio"}}},
	} {
		_, _, err := t.Users.Create(ctx, u)
		t.ok(err)
	}
	t.changed(t.Users.Link(ctx, "auth0|hiroko", "samlp|hiroko"))
	t.changed(t.Users.Block(ctx, "u1"))
	t.changed(t.Users.SignOut(ctx, "auth0|emilio"))
	t.changed(t.Groups.AddMember(ctx, group, "auth0|hiroko"))

	own, _, err := t.Roles.Create(ctx, orgstore.Role{Organization: acme.ID, Name: "org:own", Base: template.ID, Permissions: []string{"p"}})
	t.ok(err)
	t.changed(t.Roles.Update(ctx, template.ID, orgstore.RoleUpdate{Template: new(false)}))
	t.proven(orgstore.DiscoveryDomain{Organization: acme.ID, Domain: "acme.example", Discovery: true, Subdomains: true})
	t.domain(orgstore.DiscoveryDomain{Organization: acme.ID, Domain: "other.example"})
	t.enable(acme.ID, database, orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true), Signup: new(true), Name: new("Passwords")})
	t.enable(acme.ID, enterprise, orgstore.EnabledConnectionSettings{Enabled: new(false), ShowAsButton: new(false)})
	t.changed(t.OrganizationClients.Add(ctx, acme.ID, orgstore.NewOrganizationClient{ClientID: "portal", UseForMemberAccess: true}))
	t.changed(t.ClientGrants.AddOrganization(ctx, grant, acme.ID))
	lower, upper := t.team(acme.ID, "lower", ""), t.team(acme.ID, "upper", "")
	t.changed(t.Teams.Update(ctx, acme.ID, lower, orgstore.TeamUpdate{Parent: &upper}))
	t.changed(t.Teams.AssignRoles(ctx, acme.ID, upper, guide, own.ID))
	t.changed(t.Groups.Assign(ctx, acme.ID, group))
	t.changed(t.Groups.AssignRoles(ctx, acme.ID, group, guide))

	t.changed(t.Members.Add(ctx, acme.ID, "auth0|hiroko", orgstore.MemberOptions{Roles: []string{admin, own.ID}, Metadata: map[string]string{"k": "v"}}))
	t.changed(t.Members.Assign(ctx, acme.ID, "auth0|hiroko", orgstore.RoleAssignment{Role: guide, ExpiresAt: year, Descendants: true}))
	t.changed(t.Members.Add(ctx, acme.ID, "auth0|emilio", orgstore.MemberOptions{Kind: "freelancer", JoinedBy: "invitation", ExpiresAt: year}))
	t.changed(t.Members.Suspend(ctx, acme.ID, "auth0|emilio"))
	t.changed(t.Members.SignOut(ctx, acme.ID, "auth0|emilio"))
	t.ok(t.Members.Use(ctx, acme.ID, "auth0|hiroko"))
	t.member(acme.ID, "portal@clients", guide)
	t.member(below.ID, "auth0|emilio")
	t.changed(t.Teams.AddMember(ctx, acme.ID, lower, "auth0|hiroko"))
	t.changed(t.Teams.AddMember(ctx, acme.ID, upper, "auth0|hiroko"))
	t.changed(t.Organizations.Update(ctx, acme.ID, orgstore.OrganizationUpdate{OwnerRole: &admin, LoginDomain: new("login.acme.example")}))

	for _, owner := range []orgstore.TemplateOwner{{}, {Client: "portal"}, {Organization: acme.ID}} {
		t.changed(t.Templates.Set(ctx, orgstore.Template{Owner: owner, Kind: orgstore.TemplateInvitation, Subject: "Hi", Text: "{{.Link}}"}))
	}
	t.changed(t.Requests.Decline(ctx, leaving.ID, t.request(leaving.ID, "auth0|emilio")))
	t.request(leaving.ID, "auth0|hiroko")
	for _, email := range []string{"a@b.example", "A@b.example", "c@b.example"} { // the second supersedes the first
		_, result, err := t.Invitations.Create(ctx, acme.ID, orgstore.InvitationOptions{
			InviterName: "Hiroko", Email: email, Client: "portal", Connection: database, Kind: "guest", Roles: []string{guide, own.ID},
			AppMetadata: map[string]any{"a": 1.0}, UserMetadata: map[string]any{"b": "c"},
		})
		t.changed(result, err)
	}
	t.changed(t.Contracts.End(ctx, t.contract(acme.ID, leaving.ID, nil, guide).ID))
	t.contract(leaving.ID, acme.ID, func(c *orgstore.ContractTerms) {
		c.Name, c.Kinds, c.Team, c.Role, c.MetadataKey, c.MetadataValue = "c", []string{"guest", "other"}, upper, guide, "k", "v"
		c.Shares = []orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth, Until: year}}
		c.Until = year
	}, guide)
	// Memberships from before an isolation stay.
	t.changed(t.Connections.Update(ctx, database, orgstore.ConnectionUpdate{Isolated: new(true)}))
	t.changed(t.Tenant.Update(ctx, orgstore.TenantUpdate{IsolateUsers: new(true), DefaultDirectory: &database, OrganizationNames: new(true)}))
}
