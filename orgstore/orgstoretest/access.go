package orgstoretest

import (
	"context"
	"database/sql"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestAccess tests what Resolve answers beyond plain memberships: trees of organizations, expiry, teams and groups, machines,
// contracts, and signing out everywhere. open returns a fresh, empty engine with cfg.
func TestAccess(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	for name, test := range accessCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := &accessTest{}
			at.engineTest = &engineTest{T: t, Engine: open(t, orgstore.Config{Limits: orgstore.Limits{Contracts: 5}, Clock: at.clock})}
			test(at)
		})
	}
}

// accessCases lists the cases of TestAccess.
func accessCases() map[string]func(*accessTest) {
	all := map[string]func(*accessTest){}
	for _, cases := range []map[string]func(*accessTest){accessRules, treeCases, contractCases, travelCases} {
		maps.Copy(all, cases)
	}
	return all
}

// accessTest is a test whose clock stands still until it is moved.
type accessTest struct {
	*engineTest
	moved atomic.Int64 // nanoseconds
}

// epoch is when the tests begin.
var epoch = time.Date(2030, 1, 2, 3, 4, 5, 6000, time.UTC)

func (t *accessTest) clock() time.Time { return epoch.Add(time.Duration(t.moved.Load())) }

// at moves the clock to d after the beginning, and returns that instant.
func (t *accessTest) at(d time.Duration) time.Time {
	t.moved.Store(int64(d))
	return t.clock()
}

// sql writes past the engine what other nouns will write.
func (t *engineTest) sql(statement string, args ...any) {
	t.Helper()
	_, err := t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		_, err := tx.ExecContext(ctx, statement, args...)
		return err
	})
	t.ok(err)
}

// expect resolves, and compares the standing and the roles.
func (t *engineTest) expect(org, principal string, standing orgstore.Standing, roles ...string) *orgstore.Access {
	t.Helper()
	a := t.resolve(org, principal)
	if a.Standing != standing || !slices.Equal(a.Member.Roles, roles) {
		t.Fatalf("%s in %s is %v with %q, want %v with %q", principal, org, a.Standing, a.Member.Roles, standing, roles)
	}
	return a
}

func (t *engineTest) saw(a *orgstore.Access, scopes ...orgstore.Scope) {
	t.Helper()
	for _, s := range scopes {
		if _, ok := a.Vector.Of(s); !ok {
			t.Errorf("the vector lacks %v: %v", s, a.Vector)
		}
	}
}

// sources returns the effective roles as "name: source, source".
func (t *engineTest) sources(org, principal string, want ...string) {
	t.Helper()
	roles, err := t.Members.EffectiveRoles(t.Context(), org, principal)
	t.ok(err)
	var got []string
	for _, r := range roles {
		got = append(got, r.Name+": "+strings.Join(r.Sources, ", "))
	}
	if !slices.Equal(got, want) {
		t.Errorf("effective roles %q, want %q", got, want)
	}
}

const (
	member    = orgstore.StandingMember
	notMember = orgstore.StandingNotMember
)

var accessRules = map[string]func(*accessTest){
	"ROL-5: roles come from teams and groups too":             accessTeams,
	"ROL-5: permissions of one API":                           accessAPIPermissions,
	"LIFE-1: a suspended membership":                          accessSuspendedMember,
	"LIFE-2: memberships and roles end at their instant":      accessExpiry,
	"ORG-5: a deletion that is scheduled acts at its instant": accessScheduledDeletion,
	"M2M-3: grants admit machines":                            accessMachines,
	"M2M-2: a machine may be a member":                        accessMachineMember,
	"TOK-7: signing out everywhere":                           accessSignOut,
	"SEC-1: a security policy":                                accessSecurity,
	"ROL-5: effective roles, refused":                         accessEffectiveRefused,
}

func accessTeams(t *accessTest) {
	o, user := t.org("acme"), t.user("u")
	guide, lead, boss, sales := t.role("guide"), t.role("lead"), t.role("boss"), t.role("sales")
	t.member(o.ID, user, guide)
	team := func(id, parent, role string) string {
		id = "team_" + strings.Repeat("0", 15) + id
		t.sql(`INSERT INTO orgauthz_teams (id, org_id, parent_id, name, description, created_at, updated_at) VALUES ($1, $2, $3, $1, '', 0, 0)`, id, o.ID, parent)
		t.sql(`INSERT INTO orgauthz_team_roles (team_id, role_id) VALUES ($1, $2)`, id, role)
		return id
	}
	top := team("1", "", boss)
	middle := team("2", top, lead)
	low := team("3", middle, guide)
	team("4", top, sales) // another branch
	t.sql(`INSERT INTO orgauthz_team_members (org_id, user_id, team_id) VALUES ($1, $2, $3)`, o.ID, user, low)
	a := t.expect(o.ID, user, member, "boss", "guide", "lead")
	t.saw(a, orgstore.TeamScope(top), orgstore.TeamScope(middle), orgstore.TeamScope(low), orgstore.RoleScope(boss), orgstore.RoleScope(lead))
	t.sources(o.ID, user, "boss: team:"+top, "guide: direct, team:"+low, "lead: team:"+middle)

	t.sql(`INSERT INTO orgauthz_groups (id, connection_id, external_id, name, created_at, updated_at) VALUES ('grp_0000000000000001', 'con_0000000000000000', '', 'staff', 0, 0)`)
	t.sql(`INSERT INTO orgauthz_group_members (user_id, group_id) VALUES ($1, 'grp_0000000000000001')`, user)
	t.expect(o.ID, user, member, "boss", "guide", "lead")
	t.sql(`INSERT INTO orgauthz_organization_groups (org_id, group_id) VALUES ($1, 'grp_0000000000000001')`, o.ID)
	t.sql(`INSERT INTO orgauthz_group_roles (org_id, group_id, role_id) VALUES ($1, 'grp_0000000000000001', $2)`, o.ID, sales)
	a = t.expect(o.ID, user, member, "boss", "guide", "lead", "sales")
	t.saw(a, orgstore.Scope{Kind: orgstore.ScopeGroup, ID: "grp_0000000000000001"})
	t.sources(o.ID, user, "boss: team:"+top, "guide: direct, team:"+low, "lead: team:"+middle, "sales: group:grp_0000000000000001")

	// Groups hold roles for members alone, and in one organization each.
	other := t.user("other")
	t.sql(`INSERT INTO orgauthz_group_members (user_id, group_id) VALUES ($1, 'grp_0000000000000001')`, other)
	t.expect(o.ID, other, notMember)
	elsewhere := t.org("elsewhere")
	t.member(elsewhere.ID, user)
	t.expect(elsewhere.ID, user, member)

	t.sql(`UPDATE orgauthz_groups SET deleted_at = 1`)
	t.expect(o.ID, user, member, "boss", "guide", "lead")
	t.sql(`UPDATE orgauthz_teams SET deleted_at = 1 WHERE id = $1`, middle) // ends the line
	t.expect(o.ID, user, member, "guide")
	t.changed(t.Members.Remove(t.Context(), o.ID, user))
	t.expect(o.ID, user, notMember)

	// Five teams in a line.
	t.member(o.ID, user)
	parent := ""
	for i, name := range []string{"a", "b", "c", "d", "e", "f"} {
		parent = team(name, parent, t.role("level "+string(rune('0'+i))))
	}
	t.sql(`INSERT INTO orgauthz_team_members (org_id, user_id, team_id) VALUES ($1, $2, $3)`, o.ID, user, parent)
	t.expect(o.ID, user, member, "level 1", "level 2", "level 3", "level 4", "level 5")
}

func accessAPIPermissions(t *accessTest) {
	o, user, a, b := t.org("acme"), t.user("u"), t.role("a", "everywhere"), t.role("b")
	t.sql(`UPDATE orgauthz_roles SET api_permissions = '{"https://x":["w","r"],"https://y":["r"]}' WHERE id = $1`, a)
	t.sql(`UPDATE orgauthz_roles SET api_permissions = '{"https://x":["r","a"]}' WHERE id = $1`, b)
	t.member(o.ID, user, a, b)
	want := map[string][]string{"https://x": {"a", "r", "w"}, "https://y": {"r"}}
	for range 2 {
		m := t.expect(o.ID, user, member, "a", "b").Member
		if !maps.EqualFunc(m.APIPermissions, want, slices.Equal) {
			t.Errorf("permissions of APIs: %q", m.APIPermissions)
		}
		if !m.HasFor("https://x", "w") || m.HasFor("https://y", "w") || m.Has("w") || m.HasFor("", "w") || !m.HasFor("https://z", "everywhere") {
			t.Errorf("HasFor of %+v", m)
		}
		// The same by the statement for everything else.
		t.sql(`UPDATE orgauthz_members SET expires_at = $1`, epoch.Add(time.Hour).UnixMicro())
	}
}

func accessSuspendedMember(t *accessTest) {
	o, user, role := t.org("acme"), t.user("u"), t.role("a", "p")
	t.member(o.ID, user, role)
	t.sql(`UPDATE orgauthz_members SET status = 'suspended'`)
	a := t.expect(o.ID, user, orgstore.StandingMemberSuspended, "a")
	if a.Standing.String() != "member_suspended" {
		t.Errorf("it is called %v", a.Standing)
	}
	t.changed(t.Users.Block(t.Context(), user))
	t.expect(o.ID, user, orgstore.StandingBlocked, "a")
	t.changed(t.Organizations.Suspend(t.Context(), o.ID))
	t.expect(o.ID, user, orgstore.StandingSuspended, "a")
	t.changed(t.Organizations.Resume(t.Context(), o.ID))
	t.changed(t.Users.Unblock(t.Context(), user))
	t.sql(`UPDATE orgauthz_members SET status = 'active'`)
	t.expect(o.ID, user, member, "a")
}

func accessExpiry(t *accessTest) {
	o, user, a, b := t.org("acme"), t.user("u"), t.role("a", "p"), t.role("b", "q")
	t.member(o.ID, user, a, b)
	t.sql(`UPDATE orgauthz_member_roles SET expires_at = $1 WHERE role_id = $2`, epoch.Add(time.Hour).UnixMicro(), a)
	t.sql(`UPDATE orgauthz_members SET expires_at = $1`, epoch.Add(2*time.Hour).UnixMicro())
	until := func(got *orgstore.Access, want time.Time) {
		t.Helper()
		if !got.ValidUntil.Equal(want) {
			t.Errorf("valid until %v, want %v", got.ValidUntil, want)
		}
	}
	until(t.expect(o.ID, user, member, "a", "b"), epoch.Add(time.Hour).Truncate(time.Microsecond))
	t.at(time.Hour - time.Microsecond)
	t.expect(o.ID, user, member, "a", "b")
	t.at(time.Hour) // the instant itself is over
	got := t.expect(o.ID, user, member, "b")
	until(got, epoch.Add(2*time.Hour).Truncate(time.Microsecond))
	if got.Member.Has("p") || !got.Member.Has("q") {
		t.Errorf("permissions %q", got.Member.Permissions)
	}
	t.sources(o.ID, user, "b: direct")
	t.at(2 * time.Hour)
	got = t.expect(o.ID, user, notMember)
	until(got, time.Time{})
	if got.Member.Kind != "" || len(got.Member.Permissions) != 0 {
		t.Errorf("whose membership has expired is %+v", got.Member)
	}
	t.saw(got, orgstore.MembershipScope(o.ID, user), orgstore.ContractsScope(o.ID))
	t.sources(o.ID, user)
}

func accessScheduledDeletion(t *accessTest) {
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	t.sql(`UPDATE orgauthz_organizations SET delete_at = $1`, epoch.Add(time.Hour).UnixMicro())
	a := t.expect("acme", user, member)
	if want := epoch.Add(time.Hour).Truncate(time.Microsecond); !a.ValidUntil.Equal(want) {
		t.Errorf("valid until %v, want %v", a.ValidUntil, want)
	}
	t.at(time.Hour)
	a = t.expect("acme", user, orgstore.StandingNoOrganization)
	if a.Org.ID != "" || a.Org.Name != "" || a.Member.Kind != "" {
		t.Errorf("something of a deleted organization: %+v", a)
	}
	t.saw(a, orgstore.NameScope("acme"), orgstore.OrganizationScope(o.ID))
	t.expect(o.ID, "", orgstore.StandingNoOrganization)
}

// machine makes the principal of an application, and a grant for it.
func (t *accessTest) machine(client, grant, usage string, anywhere int) string {
	t.Helper()
	id := client + "@clients"
	t.sql(`INSERT INTO orgauthz_users (id, kind, email, name, blocked, created_at, updated_at) VALUES ($1, 'client', '', '', 0, 0, 0)`, id)
	t.sql(`INSERT INTO orgauthz_client_grants (id, client_id, audience, scopes, organization_usage, allow_any_organization, created_at, updated_at)
		VALUES ($1, $2, 'https://api', 'write read', $3, $4, 0, 0)`, grant, client, usage, anywhere)
	return id
}

func accessMachines(t *accessTest) {
	o, other := t.org("acme"), t.org("other")
	here := t.machine("here", "cgr_0000000000000001", "allow", 0)
	anywhere := t.machine("anywhere", "cgr_0000000000000002", "require", 1)
	denied := t.machine("denied", "cgr_0000000000000003", "deny", 1)
	t.expect(o.ID, here, notMember)
	t.sql(`INSERT INTO orgauthz_organization_grants (org_id, grant_id, created_at) VALUES ($1, 'cgr_0000000000000001', 0)`, o.ID)
	a := t.expect(o.ID, here, member)
	if a.Member.Kind != "machine" || a.Member.Via != orgstore.ViaGrant || len(a.Member.Permissions) != 0 ||
		!slices.Equal(a.Member.APIPermissions["https://api"], []string{"read", "write"}) {
		t.Errorf("a machine is %+v", a.Member)
	}
	t.saw(a, orgstore.MembershipScope(o.ID, here), orgstore.UserScope(here), orgstore.OrganizationScope(o.ID))
	t.expect(other.ID, here, notMember)
	t.expect(o.ID, anywhere, member)
	t.expect(other.ID, anywhere, member)
	t.expect(o.ID, denied, notMember)
	// Whoever is called like a machine is none by that.
	t.sql(`UPDATE orgauthz_users SET kind = 'user' WHERE id = $1`, anywhere)
	t.expect(o.ID, anywhere, notMember)

	t.changed(t.Organizations.Suspend(t.Context(), o.ID))
	t.expect(o.ID, here, orgstore.StandingSuspended)
	t.changed(t.Organizations.Resume(t.Context(), o.ID))
	t.sql(`DELETE FROM orgauthz_organization_grants`)
	t.expect(o.ID, here, notMember)
}

func accessMachineMember(t *accessTest) {
	o, role := t.org("acme"), t.role("robot", "run:jobs")
	id := t.machine("here", "cgr_0000000000000001", "allow", 0)
	t.member(o.ID, id, role)
	a := t.expect(o.ID, id, member, "robot")
	if a.Member.Kind != "machine" || a.Member.Via != "" || len(a.Member.APIPermissions) != 0 {
		t.Errorf("a machine without an association is %+v", a.Member)
	}
	t.sql(`INSERT INTO orgauthz_organization_grants (org_id, grant_id, created_at) VALUES ($1, 'cgr_0000000000000001', 0)`, o.ID)
	a = t.expect(o.ID, id, member, "robot")
	if a.Member.Via != "" || !a.Member.Has("run:jobs") || !a.Member.HasFor("https://api", "read") || a.Member.HasFor("https://other", "read") {
		t.Errorf("a machine with a role and a grant is %+v", a.Member)
	}
	t.sql(`UPDATE orgauthz_members SET status = 'suspended'`)
	t.expect(o.ID, id, orgstore.StandingMemberSuspended, "robot")
	t.changed(t.Members.Remove(t.Context(), o.ID, id))
	t.expect(o.ID, id, member)
}

func accessSignOut(t *accessTest) {
	ctx := t.Context()
	o, other, user, colleague := t.org("acme"), t.org("other"), t.user("u"), t.user("colleague")
	for _, org := range []string{o.ID, other.ID} {
		t.member(org, user)
	}
	t.member(o.ID, colleague)
	after := func(org, principal string, want time.Time) {
		t.Helper()
		if got := t.resolve(org, principal).TokensValidAfter; !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("tokens of %s are valid after %v, want %v", principal, got, want)
		}
	}
	after(o.ID, user, time.Time{})
	one := t.at(time.Minute).Truncate(time.Microsecond)
	t.changed(t.Members.SignOut(ctx, o.ID, user))
	after(o.ID, user, one)
	after(other.ID, user, time.Time{})
	after(o.ID, colleague, time.Time{})
	two := t.at(2 * time.Minute).Truncate(time.Microsecond)
	t.changed(t.Organizations.SignOut(ctx, o.ID))
	after(o.ID, user, two)
	after(o.ID, colleague, two)
	after(other.ID, user, time.Time{})
	three := t.at(3 * time.Minute).Truncate(time.Microsecond)
	t.changed(t.Users.SignOut(ctx, user))
	after(o.ID, user, three)
	after(other.ID, user, three)
	after(o.ID, colleague, two)
	four := t.at(4 * time.Minute).Truncate(time.Microsecond)
	t.changed(t.Members.SignOut(ctx, other.ID, user))
	after(other.ID, user, four)
	// The same by the statement for everything else.
	t.sql(`UPDATE orgauthz_members SET expires_at = $1`, epoch.Add(time.Hour).UnixMicro())
	after(o.ID, user, three)
	after(other.ID, user, four)

	t.notFound(second(t.Users.SignOut(ctx, "nobody")), "user")
	t.notFound(second(t.Users.SignOut(ctx, "\x00")), "user")
	t.notFound(second(t.Organizations.SignOut(ctx, "org_0000000000000000")), "organization")
	t.notFound(second(t.Organizations.SignOut(ctx, "acme")), "organization")
	t.notFound(second(t.Members.SignOut(ctx, o.ID, "nobody")), "user")
	t.notFound(second(t.Members.SignOut(ctx, other.ID, colleague)), "member")
	t.notFound(second(t.Members.SignOut(ctx, "org_0000000000000000", colleague)), "organization")
}

func accessSecurity(t *accessTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	if p := t.resolve(o.ID, user).Org.Security; p != nil {
		t.Errorf("an organization demands %+v by itself", p)
	}
	want := orgstore.SecurityPolicy{MFA: true, ACR: []string{"b", "a"}, Connections: []string{"con_0000000000000000"}, MaxSession: time.Hour,
		Methods: []string{"otp", "hwk"}, Networks: networks("2001:db8::/32", "10.0.0.0/8", "10.0.0.0/8")}
	t.changed(t.Organizations.SetSecurity(ctx, o.ID, &want))
	t.unchanged(t.Organizations.SetSecurity(ctx, o.ID, &want))
	for range 2 {
		p := t.resolve(o.ID, user).Org.Security
		if p == nil || !p.MFA || !slices.Equal(p.ACR, want.ACR) || !slices.Equal(p.Connections, want.Connections) || p.MaxSession != time.Hour || p.MaxIdle != 0 ||
			!slices.Equal(p.Methods, []string{"hwk", "otp"}) || !slices.Equal(p.Networks, networks("10.0.0.0/8", "2001:db8::/32")) {
			t.Errorf("the organization demands %+v", p)
		}
		t.sql(`UPDATE orgauthz_members SET expires_at = $1`, epoch.Add(time.Hour).UnixMicro())
	}
	t.changed(t.Organizations.SetSecurity(ctx, o.ID, nil))
	t.unchanged(t.Organizations.SetSecurity(ctx, o.ID, &orgstore.SecurityPolicy{}))
	if p := t.resolve(o.ID, user).Org.Security; p != nil {
		t.Errorf("the organization still demands %+v", p)
	}
	for field, bad := range map[string]orgstore.SecurityPolicy{
		"connections": {Connections: []string{"auth0"}},
		"acr":         {ACR: []string{"a b"}},
		"methods":     {Methods: []string{""}},
		"max_session": {MaxSession: -time.Second},
		"max_idle":    {MaxIdle: time.Millisecond},
	} {
		t.invalid(second(t.Organizations.SetSecurity(ctx, o.ID, &bad)), field, "")
	}
	t.invalid(second(t.Organizations.SetSecurity(ctx, o.ID, &orgstore.SecurityPolicy{ACR: make([]string, 21)})), "acr", "")
	for _, bad := range [][]netip.Prefix{{{}}, networks("10.0.0.1/8"), networks("::ffff:10.0.0.0/104"), make([]netip.Prefix, 101)} {
		t.invalid(second(t.Organizations.SetSecurity(ctx, o.ID, &orgstore.SecurityPolicy{Networks: bad})), "networks", "")
	}
	t.notFound(second(t.Organizations.SetSecurity(ctx, "acme", &want)), "organization")
}

func networks(texts ...string) (parsed []netip.Prefix) {
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

func accessEffectiveRefused(t *accessTest) {
	o := t.org("acme")
	for _, org := range []string{"", "acme", "org_0000000000000000", "org_\x00", "org_'"} {
		_, err := t.Members.EffectiveRoles(t.Context(), org, "u")
		t.notFound(err, "organization")
	}
	for _, principal := range []string{"", "nobody", "\x00", "\xff", strings.Repeat("a", 2000)} {
		t.sources(o.ID, principal)
	}
}
