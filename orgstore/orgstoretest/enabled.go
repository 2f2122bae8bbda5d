package orgstoretest

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var enabledCases = cases{
	"CON-1: the life of an enabled connection":         enabledLife,
	"CON-1: bad input":                                 enabledRefused,
	"CON-2: sign-up":                                   enabledSignup,
	"CON-3: a button is shown unless it is hidden":     enabledButton,
	"CON-1: connections of a new organization":         enabledFromTheStart,
	"CON-4: who is locked out":                         enabledLockedOut,
	"CON-5: one connection for many organizations":     enabledForMany,
	"CON-1: a deleted connection is enabled nowhere":   enabledConnectionDeleted,
	"CON-1, ORG-5: a deleted organization has nothing": enabledOrganizationDeleted,
}

var enabledRaces = map[string]race{
	"CON-1: connections of an organization": {limits: orgstore.Limits{Connections: 5}, setup: func(t *engineTest) func(int) error {
		o, connections := t.org("acme"), t.many(t.connectionNumber)
		return func(i int) error {
			return third(t.EnabledConnections.Add(t.Context(), o.ID, connections[i], orgstore.EnabledConnectionSettings{}))
		}
	}, most: 5, lost: limit("connections", 5)},
	"CON-1: connections of an organization, in transactions": {limits: orgstore.Limits{Connections: 5}, setup: func(t *engineTest) func(int) error {
		o, connections := t.org("acme"), t.many(t.connectionNumber)
		return func(i int) error {
			return second(t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
				if _, err := e.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{}); err != nil {
					return err
				}
				return third(e.EnabledConnections.Add(ctx, o.ID, connections[i], orgstore.EnabledConnectionSettings{}))
			}))
		}
	}, most: 5, lost: limit("connections", 5)},
	"CON-1: one connection of an organization": {setup: func(t *engineTest) func(int) error {
		o, connection := t.org("acme"), t.connection("db", "auth0")
		return func(int) error {
			return third(t.EnabledConnections.Add(t.Context(), o.ID, connection, orgstore.EnabledConnectionSettings{}))
		}
	}, most: 1, lost: conflict("connection", "connection_id")},
	"CON-1: a connection is deleted": {setup: func(t *engineTest) func(int) error {
		connection := t.connection("db", "auth0")
		orgs := t.many(func(i int) string { return t.org("o" + strconv.Itoa(i)).ID })
		return func(i int) error {
			if i == racers/2 {
				if _, err := t.Connections.Delete(t.Context(), connection); err != nil {
					t.Error(err)
				}
				return &orgstore.NotFound{Kind: "connection"}
			}
			err := third(t.EnabledConnections.Add(t.Context(), orgs[i], connection, orgstore.EnabledConnectionSettings{}))
			if err == nil {
				err = &orgstore.NotFound{Kind: "connection"} // it was faster
			}
			return err
		}
	}, most: 0, lost: func(t *engineTest, err error) { t.notFound(err, "connection") }, after: func(t *engineTest, _ []error) {
		if _, err := t.Clean(t.Context()); err != nil {
			t.Error(err)
		}
		var n int
		t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_enabled_connections`).Scan(&n)
		}))
		if n != 0 {
			t.Errorf("%d organizations kept a deleted connection", n)
		}
	}},
}

func (t *engineTest) connectionNumber(i int) string {
	return t.connection("c"+strconv.Itoa(i), "samlp")
}

// enable enables a connection, or ends the test.
func (t *engineTest) enable(org, connection string, settings orgstore.EnabledConnectionSettings) *orgstore.EnabledConnection {
	t.Helper()
	c, result, err := t.EnabledConnections.Add(t.Context(), org, connection, settings)
	t.changed(result, err)
	return c
}

// connections fails the test unless the page has the connections of these names.
func (t *engineTest) enabled(page orgstore.Page[*orgstore.EnabledConnection], err error) func(want ...string) {
	t.Helper()
	t.ok(err)
	var got []string
	for _, c := range page.Items {
		got = append(got, c.Connection.Name)
	}
	return func(want ...string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("connections are %q, want %q", got, want)
		}
	}
}

func enabledLife(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	db, saml := t.connection("db", "auth0"), t.connection("saml", "samlp")
	c := t.enable(o.ID, saml, orgstore.EnabledConnectionSettings{})
	if c.Organization != o.ID || c.ConnectionID != saml || c.Connection != (orgstore.ConnectionName{Name: "saml", Strategy: "samlp"}) ||
		c.AssignMembershipOnLogin || !c.ShowAsButton || c.Signup || c.Name != "" || c.AccessLevel != orgstore.AccessNone || !c.Enabled {
		t.Errorf("added %+v", c)
	}
	if got, err := t.EnabledConnections.Get(ctx, o.ID, saml); err != nil || *got != *c {
		t.Errorf("got %+v, %v, want %+v", got, err, c)
	}
	_, _, err := t.EnabledConnections.Add(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{})
	t.conflict(err, "connection", "connection_id")
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{Enabled: new(false), Name: new("Ours"), AccessLevel: new(orgstore.AccessFull), AssignMembershipOnLogin: new(true)})
	_, _, err = t.EnabledConnections.Add(ctx, o.ID, db, orgstore.EnabledConnectionSettings{})
	t.conflict(err, "connection", "connection_id")
	_, err = t.EnabledConnections.Get(ctx, other.ID, saml)
	t.notFound(err, "connection")

	byCreated := orgstore.ListOptions{Sort: orgstore.SortCreated}
	page, err := t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{ListOptions: byCreated})
	t.enabled(page, err)("saml", "db")
	for filter, want := range map[bool]string{true: "saml", false: "db"} {
		page, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{Enabled: &filter})
		t.enabled(page, err)(want)
		page, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{AssignMembership: new(!filter)})
		t.enabled(page, err)(want)
	}
	for _, tt := range []struct {
		opts orgstore.ConnectionListOptions
		want string
	}{
		{orgstore.ConnectionListOptions{Organization: o.ID}, saml},
		{orgstore.ConnectionListOptions{Organization: other.ID}, ""},
		{orgstore.ConnectionListOptions{Organization: "org_\x00"}, ""},
		{orgstore.ConnectionListOptions{Enabled: true}, saml},
	} {
		connections, err := t.Connections.List(ctx, tt.opts)
		t.ok(err)
		var ids []string
		for _, c := range connections.Items {
			ids = append(ids, c.ID)
		}
		if got := strings.Join(ids, " "); got != tt.want {
			t.Errorf("connections by %+v: %s, want %s", tt.opts, got, tt.want)
		}
	}
	page, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{Limit: 1, Total: true}})
	if err != nil || page.Total != 2 || page.Next == "" {
		t.Errorf("list: %+v, %v", page, err)
	}
	page, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{After: page.Next}})
	if err != nil || len(page.Items) != 1 || page.Next != "" {
		t.Errorf("list: %+v, %v", page, err)
	}

	t.unchanged(t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{}))
	t.unchanged(t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{ShowAsButton: new(true), Name: new(""), AccessLevel: new(orgstore.AccessLevel(""))}))
	result, err := t.EnabledConnections.Update(ctx, o.ID, db, orgstore.EnabledConnectionSettings{Enabled: new(true), Name: new(""), AccessLevel: new(orgstore.AccessLevel(""))})
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0] != (orgstore.Revision{Scope: orgstore.Scope{Kind: orgstore.ScopeOrganizationConnection, Org: o.ID, ID: db}, Revision: 2}) {
		t.Errorf("raised %v", result.Revision)
	}
	if got, err := t.EnabledConnections.Get(ctx, o.ID, db); err != nil || !got.Enabled || got.Name != "" || got.AccessLevel != orgstore.AccessNone || !got.AssignMembershipOnLogin {
		t.Errorf("updated: %+v, %v", got, err)
	}
	t.changed(t.EnabledConnections.Remove(ctx, o.ID, db))
	t.unchanged(t.EnabledConnections.Remove(ctx, o.ID, db))
	_, err = t.EnabledConnections.Get(ctx, o.ID, db)
	t.notFound(err, "connection")
	if c := t.enable(o.ID, db, orgstore.EnabledConnectionSettings{}); c.AssignMembershipOnLogin {
		t.Errorf("added again with the settings of before: %+v", c)
	}
	var types []string
	for _, e := range t.events() {
		if e.Scope.Kind == orgstore.ScopeOrganizationConnection && e.Scope.ID == db {
			types = append(types, strings.TrimPrefix(e.Type, "organization.connection."))
		}
	}
	if got := strings.Join(types, " "); got != "added updated removed added" {
		t.Errorf("events: %s", got)
	}
	t.consistent()
}

func enabledRefused(t *engineTest) {
	ctx := t.Context()
	o, other, db := t.org("acme"), t.org("other"), t.connection("db", "auth0")
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{})
	before := len(t.events())
	for _, org := range badIDs("org_") {
		_, _, err := t.EnabledConnections.Add(ctx, org, db, orgstore.EnabledConnectionSettings{})
		t.notFound(err, "organization")
		_, err = t.EnabledConnections.List(ctx, org, orgstore.EnabledConnectionListOptions{})
		t.notFound(err, "organization")
		_, err = t.EnabledConnections.LockedOut(ctx, org, orgstore.ListOptions{})
		t.notFound(err, "organization")
		_, err = t.EnabledConnections.Update(ctx, org, db, orgstore.EnabledConnectionSettings{})
		t.notFound(err, "connection")
		t.unchanged(t.EnabledConnections.Remove(ctx, org, db))
	}
	for _, id := range append(badIDs("con_"), o.ID) {
		_, _, err := t.EnabledConnections.Add(ctx, o.ID, id, orgstore.EnabledConnectionSettings{})
		t.notFound(err, "connection")
		_, err = t.EnabledConnections.Get(ctx, o.ID, id)
		t.notFound(err, "connection")
		_, err = t.EnabledConnections.Update(ctx, o.ID, id, orgstore.EnabledConnectionSettings{})
		t.notFound(err, "connection")
		t.unchanged(t.EnabledConnections.Remove(ctx, o.ID, id))
		page, err := t.EnabledConnections.ListByConnection(ctx, id, orgstore.EnabledConnectionListOptions{})
		t.enabled(page, err)()
	}
	_, err := t.EnabledConnections.Update(ctx, other.ID, db, orgstore.EnabledConnectionSettings{Enabled: new(false)})
	t.notFound(err, "connection")
	for _, name := range []string{strings.Repeat("ä", 51), "a\x00b", "a\nb", "\xff", strings.Repeat("a", 100_000)} {
		_, _, err := t.EnabledConnections.Add(ctx, other.ID, db, orgstore.EnabledConnectionSettings{Name: &name})
		t.invalid(err, "organization_connection_name", name)
		_, err = t.EnabledConnections.Update(ctx, o.ID, db, orgstore.EnabledConnectionSettings{Name: &name})
		t.invalid(err, "organization_connection_name", name)
	}
	for _, level := range []orgstore.AccessLevel{"Full", "full ", "admin-of-all", "full\x00"} {
		_, _, err := t.EnabledConnections.Add(ctx, other.ID, db, orgstore.EnabledConnectionSettings{AccessLevel: &level})
		t.invalid(err, "organization_access_level", string(level))
		_, err = t.EnabledConnections.Update(ctx, o.ID, db, orgstore.EnabledConnectionSettings{AccessLevel: &level})
		t.invalid(err, "organization_access_level", string(level))
	}
	_, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{Limit: -1}})
	t.invalid(err, "Limit", "")
	_, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}})
	t.invalid(err, "Sort", "")
	_, err = t.EnabledConnections.ListByConnection(ctx, db, orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{After: "foreign"}})
	t.invalid(err, "After", "foreign")
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
}

func enabledSignup(t *engineTest) {
	ctx := t.Context()
	const text = "Only database connections with assign_membership_on_login = true support is_signup_enabled = true."
	o, db := t.org("acme"), t.connection("db", "auth0")
	refused := func(err error) {
		t.Helper()
		t.invalid(err, "is_signup_enabled", "")
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error is %v", err)
		}
	}
	for i, strategy := range []string{"samlp", "google-oauth2", "email", "sms", "waad", "oidc", "unheard-of"} {
		id := t.connection(fmt.Sprint("c", i), strategy)
		_, _, err := t.EnabledConnections.Add(ctx, o.ID, id, orgstore.EnabledConnectionSettings{Signup: new(true), AssignMembershipOnLogin: new(true)})
		refused(err)
		t.enable(o.ID, id, orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true)})
		_, err = t.EnabledConnections.Update(ctx, o.ID, id, orgstore.EnabledConnectionSettings{Signup: new(true)})
		refused(err)
	}
	_, _, err := t.EnabledConnections.Add(ctx, o.ID, db, orgstore.EnabledConnectionSettings{Signup: new(true)})
	refused(err)
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{Signup: new(true), AssignMembershipOnLogin: new(true)})
	_, err = t.EnabledConnections.Update(ctx, o.ID, db, orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(false)})
	refused(err)
	t.changed(t.EnabledConnections.Update(ctx, o.ID, db, orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(false), Signup: new(false)}))
}

func enabledButton(t *engineTest) {
	ctx := t.Context()
	o, saml := t.org("acme"), t.connection("saml", "samlp")
	if c := t.enable(o.ID, saml, orgstore.EnabledConnectionSettings{}); !c.ShowAsButton {
		t.Error("it is hidden by default")
	}
	t.changed(t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{ShowAsButton: new(false)}))
	if c, err := t.EnabledConnections.Get(ctx, o.ID, saml); err != nil || c.ShowAsButton || !c.Enabled {
		t.Errorf("hidden: %+v, %v", c, err)
	}
}

func enabledForMany(t *engineTest) {
	ctx := t.Context()
	saml, db := t.connection("saml", "samlp"), t.connection("db", "auth0")
	var orgs []string
	for i := range 3 {
		o, _, err := t.Organizations.Create(ctx, orgstore.Organization{ID: "org_000000000000000" + strconv.Itoa(i), Name: "o" + strconv.Itoa(i)})
		t.ok(err)
		orgs = append(orgs, o.ID)
		t.enable(o.ID, saml, orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(i == 1), Enabled: new(i != 2)})
	}
	t.enable(orgs[0], db, orgstore.EnabledConnectionSettings{})
	list := func(opts orgstore.EnabledConnectionListOptions, want ...int) {
		t.Helper()
		page, err := t.EnabledConnections.ListByConnection(ctx, saml, opts)
		t.ok(err)
		var got []int
		for _, c := range page.Items {
			n, _ := strconv.Atoi(c.Organization[len(c.Organization)-1:])
			got = append(got, n)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: organizations %v, want %v", opts, got, want)
		}
	}
	list(orgstore.EnabledConnectionListOptions{}, 0, 1, 2)
	list(orgstore.EnabledConnectionListOptions{Enabled: new(true)}, 0, 1)
	list(orgstore.EnabledConnectionListOptions{AssignMembership: new(true)}, 1)
	list(orgstore.EnabledConnectionListOptions{ListOptions: orgstore.ListOptions{Limit: 2, Descending: true, Sort: orgstore.SortCreated}}, 2, 1)
	page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{Connection: saml})
	if err != nil || len(page.Items) != 2 || page.Items[0].ID != orgs[0] || page.Items[1].ID != orgs[1] {
		t.Errorf("organizations with the connection: %+v, %v", page, err)
	}
	t.changed(t.Organizations.Delete(ctx, orgs[1]))
	list(orgstore.EnabledConnectionListOptions{}, 0, 2)
	t.changed(t.Connections.Delete(ctx, saml))
	if page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{Connection: saml}); err != nil || len(page.Items) != 0 {
		t.Errorf("organizations with a deleted connection: %+v, %v", page, err)
	}
}

func enabledConnectionDeleted(t *engineTest) {
	ctx := t.Context()
	o, saml, db := t.org("acme"), t.connection("saml", "samlp"), t.connection("db", "auth0")
	t.enable(o.ID, saml, orgstore.EnabledConnectionSettings{})
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{})
	t.changed(t.Connections.Delete(ctx, saml))
	_, err := t.EnabledConnections.Get(ctx, o.ID, saml)
	t.notFound(err, "connection")
	_, err = t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{Name: new("x")})
	t.notFound(err, "connection")
	t.unchanged(t.EnabledConnections.Remove(ctx, o.ID, saml))
	page, err := t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{})
	t.enabled(page, err)("db")
	page, err = t.EnabledConnections.ListByConnection(ctx, saml, orgstore.EnabledConnectionListOptions{})
	t.enabled(page, err)()
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	var left int
	t.ok(t.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_enabled_connections`).Scan(&left)
	}))
	if left != 1 {
		t.Errorf("%d rows are left, want 1", left)
	}
}

func enabledOrganizationDeleted(t *engineTest) {
	ctx := t.Context()
	o, db := t.org("acme"), t.connection("db", "auth0")
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{})
	t.changed(t.Organizations.Delete(ctx, o.ID))
	_, err := t.EnabledConnections.Get(ctx, o.ID, db)
	t.notFound(err, "connection")
	_, err = t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{})
	t.notFound(err, "organization")
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows of a small organization, %v", n, err)
	}
}

func enabledFromTheStart(t *engineTest) {
	ctx := t.Context()
	db, saml := t.connection("db", "auth0"), t.connection("saml", "samlp")
	signup := orgstore.EnabledConnectionSettings{Signup: new(true), AssignMembershipOnLogin: new(true)}
	o, result, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme"},
		orgstore.NewConnection{ConnectionID: saml}, orgstore.NewConnection{ConnectionID: db, EnabledConnectionSettings: signup})
	t.changed(result, err)
	if len(result.Revision) != 4 {
		t.Errorf("raised %v", result.Revision)
	}
	page, err := t.EnabledConnections.List(ctx, o.ID, orgstore.EnabledConnectionListOptions{})
	t.ok(err)
	for _, c := range page.Items {
		if c.Signup != (c.ConnectionID == db) || !c.Enabled || !c.ShowAsButton {
			t.Errorf("enabled %+v", c)
		}
	}
	before := len(t.events())
	for name, test := range map[string]struct {
		connections []orgstore.NewConnection
		check       func(err error)
	}{
		"unknown":  {[]orgstore.NewConnection{{ConnectionID: db}, {ConnectionID: "con_0000000000000000"}}, func(err error) { t.notFound(err, "connection") }},
		"no id":    {[]orgstore.NewConnection{{}}, func(err error) { t.notFound(err, "connection") }},
		"twice":    {[]orgstore.NewConnection{{ConnectionID: db}, {ConnectionID: db}}, func(err error) { t.conflict(err, "connection", "connection_id") }},
		"settings": {[]orgstore.NewConnection{{ConnectionID: saml, EnabledConnectionSettings: signup}}, func(err error) { t.invalid(err, "is_signup_enabled", "") }},
		"name": {[]orgstore.NewConnection{{ConnectionID: saml, EnabledConnectionSettings: orgstore.EnabledConnectionSettings{Name: new("\x00")}}},
			func(err error) { t.invalid(err, "organization_connection_name", "") }},
	} {
		t.Log(name)
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "other"}, test.connections...)
		test.check(err)
	}
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
	t.consistent()
}

func enabledLockedOut(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	db, saml := t.connection("db", "auth0"), t.connection("saml", "samlp")
	t.enable(o.ID, db, orgstore.EnabledConnectionSettings{})
	t.enable(o.ID, saml, orgstore.EnabledConnectionSettings{})
	identities := map[string][]string{"a": {db}, "b": {saml}, "c": {db, saml}, "none": nil, "elsewhere": {saml}}
	for user, connections := range identities {
		t.member(map[bool]string{true: other.ID, false: o.ID}[user == "elsewhere"], t.user(user))
		_, err := t.Transact(ctx, func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
			for i, connection := range connections {
				if _, err := tx.ExecContext(ctx, `
					INSERT INTO orgauthz_identities (connection_id, id, user_id, number, origin, email, email_verified, email_key)
					VALUES ($1, $2, $3, $4, $3, '', 0, '')`, connection, user, user, i); err != nil {
					return err
				}
			}
			return nil
		})
		t.ok(err)
	}
	is := func(want ...string) {
		t.Helper()
		page, err := t.EnabledConnections.LockedOut(ctx, o.ID, orgstore.ListOptions{Total: true})
		t.ok(err)
		if strings.Join(page.Items, " ") != strings.Join(want, " ") || page.Total != len(want) {
			t.Errorf("locked out are %q, want %q", page.Items, want)
		}
	}
	is()
	t.changed(t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{Enabled: new(false)}))
	is("b")
	t.changed(t.EnabledConnections.Update(ctx, o.ID, saml, orgstore.EnabledConnectionSettings{Enabled: new(true)}))
	t.changed(t.EnabledConnections.Remove(ctx, o.ID, db))
	is("a")
	t.changed(t.EnabledConnections.Remove(ctx, o.ID, saml))
	is("a", "b", "c")
	if _, err := t.Members.Get(ctx, o.ID, "a"); err != nil {
		t.Errorf("who is locked out is no member any more: %v", err)
	}
	page, err := t.EnabledConnections.LockedOut(ctx, o.ID, orgstore.ListOptions{Limit: 2})
	if err != nil || len(page.Items) != 2 || page.Next == "" {
		t.Errorf("page: %+v, %v", page, err)
	}
}
