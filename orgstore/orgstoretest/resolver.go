package orgstoretest

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestResolver tests a Resolver over an Engine: every mutation that goes through the engine is in the resolver's next
// answer, and every answer is the one that the engine itself gives. open returns a fresh, empty engine and a resolver over
// it, which runs on the node that writes; both go by clock.
func TestResolver(t *testing.T, open func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver)) {
	for name, test := range resolverCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newStanding()
			engine, resolver := open(t, clock.now)
			test(&resolverTest{T: t, engine: engine, resolver: resolver, world: Seed(t, engine), clock: clock})
		})
	}
}

var resolverCases = map[string]func(*resolverTest){
	"MEM-3, ORG-6: standings":           standings,
	"ORG-1, MEM-1: malformed questions": malformedQuestions,
	"MEM-2, MEM-3, ORG-2, ORG-5, ORG-6, ROL-3: every mutation is in the next answer": everyMutation,
	"EVT-1: an answer names what would change it":                                    vectors,
	"every mutation is known":                                                        mutationsKnown,
	"EVT-2: random mutations":                                                        randomMutations,
	"EVT-1: dependants of what changes":                                              concurrentDependants,
}

type resolverTest struct {
	*testing.T
	engine   *orgstore.Engine
	resolver orgstore.Resolver
	world    World
	clock    *standing // of engine and resolver
}

// ask returns the resolver's answer, which must be the engine's.
func (t *resolverTest) ask(org, principal string) *orgstore.Access {
	t.Helper()
	q := orgstore.Query{Org: org, Principal: principal}
	got, err := t.resolver.Resolve(t.Context(), q)
	if err != nil {
		t.Fatalf("Resolve(%.40q, %.40q): %v", org, principal, err)
	}
	want, err := t.engine.Resolve(t.Context(), q)
	if err != nil {
		t.Fatalf("the engine's Resolve(%.40q, %.40q): %v", org, principal, err)
	}
	if !Equal(got, want) {
		t.Fatalf("Resolve(%.40q, %.40q):\n got %+v\nwant %+v", org, principal, got, want)
	}
	if got.AsOf.IsZero() {
		t.Fatalf("Resolve(%.40q, %.40q): AsOf is zero", org, principal)
	}
	return got
}

// expect asks and compares the standing and, for a member, the roles.
func (t *resolverTest) expect(org, principal string, standing orgstore.Standing, roles ...string) *orgstore.Access {
	t.Helper()
	a := t.ask(org, principal)
	if a.Standing != standing {
		t.Fatalf("standing of %.40q in %.40q is %v, want %v", principal, org, a.Standing, standing)
	}
	if standing == orgstore.StandingMember && !slices.Equal(a.Member.Roles, roles) {
		t.Fatalf("roles of %.40q in %.40q are %q, want %q", principal, org, a.Member.Roles, roles)
	}
	return a
}

// do fails the test unless a mutation changed something.
func (t *resolverTest) do(result orgstore.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("mutation: %v", err)
	}
	if !result.Changed || len(result.Revision) == 0 {
		t.Fatalf("the mutation changed nothing: %+v", result)
	}
}

func standings(t *resolverTest) {
	w, e, ctx := t.world, t.engine, t.Context()
	a := t.expect(w.Org.ID, w.Hiroko.ID, orgstore.StandingMember, "admin", "guide")
	if a.Org.ID != w.Org.ID || a.Org.Name != "granite-outpost" || a.Org.Status != orgstore.OrganizationActive ||
		a.Org.Metadata["plan"] != "gold" {
		t.Errorf("organization: %+v", a.Org)
	}
	if !slices.Equal(a.Member.Permissions, []string{"create:adventures", "read:adventures"}) {
		t.Errorf("permissions: %q", a.Member.Permissions)
	}
	a = t.expect("granite-outpost", w.Emilio.ID, orgstore.StandingMember, "guide")
	if a.Member.Kind != "freelancer" || a.Member.Metadata["employment"] != "freelance" {
		t.Errorf("member: %+v", a.Member)
	}
	a = t.expect("adventurez", w.Emilio.ID, orgstore.StandingMember, "guide")
	if a.Member.Kind != "employee" || len(a.Member.Metadata) != 0 || len(a.Org.Metadata) != 0 {
		t.Errorf("member of the other organization: %+v", a)
	}
	t.expect("Granite-OUTPOST", w.Emilio.ID, orgstore.StandingMember, "guide")
	t.expect("granite-outpost", w.Jonno.ID, orgstore.StandingNotMember)
	t.expect(w.Other.ID, w.Hiroko.ID, orgstore.StandingNotMember)
	t.expect(w.Org.ID, "auth0|nobody", orgstore.StandingNotMember)
	t.expect("nowhere", w.Hiroko.ID, orgstore.StandingNoOrganization)
	t.expect("org_0000000000000000", w.Hiroko.ID, orgstore.StandingNoOrganization)

	t.do(e.Users.Block(ctx, w.Emilio.ID))
	t.expect(w.Org.ID, w.Emilio.ID, orgstore.StandingBlocked)
	t.do(e.Users.Block(ctx, w.Jonno.ID))
	t.expect(w.Org.ID, w.Jonno.ID, orgstore.StandingNotMember)
	t.do(e.Organizations.Suspend(ctx, w.Org.ID))
	t.expect(w.Org.ID, w.Hiroko.ID, orgstore.StandingSuspended)
	t.expect("granite-outpost", w.Jonno.ID, orgstore.StandingSuspended)
	t.expect("adventurez", w.Emilio.ID, orgstore.StandingBlocked)
}

func malformedQuestions(t *resolverTest) {
	w := t.world
	if _, _, err := t.engine.Organizations.Create(t.Context(), orgstore.Organization{Name: "rock"}); err != nil {
		t.Fatal(err)
	}
	for name, org := range map[string]string{
		"empty": "", "id prefix only": "org_", "id too short": w.Org.ID[:19], "id too long": w.Org.ID + "0",
		"id in upper case": strings.ToUpper(w.Org.ID), "id with a quote": "org_00000000000000'0", "id with a wildcard": "org_%",
		"name with a wildcard": "granite%", "name with an underscore wildcard": "granite_outpost", "name with a space": "granite-outpost ",
		"name with NUL": "granite-outpost\x00", "newline": "granite-outpost\n", "glob": "granite*", "braces": "{granite-outpost}",
		"colon": "granite:outpost", "not UTF-8": "granite-outpost\xff", "look-alike": "granite‐outpost", "10 kB": strings.Repeat("a", 10_000),
		"Kelvin sign, which lower-cases to k": "roc\u212a", "leading hyphen": "-granite", "51 characters": strings.Repeat("a", 51),
	} {
		if a := t.ask(org, w.Hiroko.ID); a.Standing != orgstore.StandingNoOrganization {
			t.Errorf("organization %s: standing %v", name, a.Standing)
		}
	}
	for name, principal := range map[string]string{
		"empty": "", "wildcard": "%", "underscore wildcard": "auth0_hiroko", "case": "auth0|Hiroko", "space": "auth0|hiroko ",
		"NUL": "auth0|hiroko\x00", "newline": "auth0|hiroko\n", "glob": "*", "braces": "{auth0|hiroko}", "colon": ":", "not UTF-8": "auth0|hiroko\xff",
		"10 kB": strings.Repeat("a", 10_000), "quote": "' OR 1=1 --", "look-alike": "auth0|hirоko",
	} {
		if a := t.ask(w.Org.ID, principal); a.Standing != orgstore.StandingNotMember {
			t.Errorf("principal %s: standing %v", name, a.Standing)
		}
		if a := t.ask("nowhere", principal); a.Standing != orgstore.StandingNoOrganization {
			t.Errorf("principal %s in no organization: standing %v", name, a.Standing)
		}
	}
	// Ids that caches could take for each other.
	e, ctx := t.engine, t.Context()
	for _, id := range []string{"a:b", "a", "b", "a:", ":b", "{a}", "a*", "A", "a|b", "\u00e4", "a\u0308", "  ", strings.Repeat("a", 1024), "a%b", "a_b"} {
		if _, _, err := e.Users.Create(ctx, orgstore.User{ID: id}); err != nil {
			t.Fatalf("user %.40q: %v", id, err)
		}
		t.expect(w.Org.ID, id, orgstore.StandingNotMember)
		t.do(e.Members.Add(ctx, w.Org.ID, id, orgstore.MemberOptions{Roles: []string{w.Guide.ID}}))
		t.expect(w.Org.ID, id, orgstore.StandingMember, "guide")
		t.expect(w.Other.ID, id, orgstore.StandingNotMember)
	}
}

func everyMutation(t *resolverTest) {
	w, e, ctx := t.world, t.engine, t.Context()
	org, user := w.Org.ID, w.Emilio.ID
	warm := func() {
		for range 2 {
			for _, o := range []string{org, w.Other.ID, "granite-outpost", "adventurez", "granite"} {
				for _, u := range []string{w.Hiroko.ID, user, w.Jonno.ID} {
					t.ask(o, u)
				}
			}
		}
	}
	type member = []string // nil: no member
	for _, step := range []struct {
		name     string
		mutate   func() (orgstore.Result, error)
		org      string
		user     string
		standing orgstore.Standing
		roles    member
	}{
		{"remove", func() (orgstore.Result, error) { return e.Members.Remove(ctx, org, user) }, org, user, orgstore.StandingNotMember, nil},
		{"add again", func() (orgstore.Result, error) {
			return e.Members.Add(ctx, org, user, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
		}, org, user, orgstore.StandingMember, member{"guide"}},
		{"assign", func() (orgstore.Result, error) { return e.Members.AssignRoles(ctx, org, user, w.Admin.ID) }, org, user, orgstore.StandingMember, member{"admin", "guide"}},
		{"take", func() (orgstore.Result, error) { return e.Members.RemoveRoles(ctx, org, user, w.Guide.ID) }, org, user, orgstore.StandingMember, member{"admin"}},
		{"set", func() (orgstore.Result, error) { return e.Members.SetRoles(ctx, org, user, w.Guide.ID) }, org, user, orgstore.StandingMember, member{"guide"}},
		{"kind", func() (orgstore.Result, error) {
			return e.Members.Update(ctx, org, user, orgstore.MemberUpdate{Kind: new("guest"), Metadata: map[string]*string{"a": new("b")}})
		}, org, user, orgstore.StandingMember, member{"guide"}},
		{"rename role", func() (orgstore.Result, error) {
			return e.Roles.Update(ctx, w.Guide.ID, orgstore.RoleUpdate{Name: new("leader")})
		}, org, user, orgstore.StandingMember, member{"leader"}},
		{"role permissions", func() (orgstore.Result, error) {
			return e.Roles.Update(ctx, w.Guide.ID, orgstore.RoleUpdate{Permissions: &[]string{"create:signups"}})
		}, org, user, orgstore.StandingMember, member{"leader"}},
		{"organization metadata", func() (orgstore.Result, error) {
			return e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{Metadata: map[string]*string{"plan": nil, "x": new("y")}})
		}, org, user, orgstore.StandingMember, member{"leader"}},
		{"block", func() (orgstore.Result, error) { return e.Users.Block(ctx, user) }, org, user, orgstore.StandingBlocked, nil},
		{"unblock", func() (orgstore.Result, error) { return e.Users.Unblock(ctx, user) }, org, user, orgstore.StandingMember, member{"leader"}},
		{"suspend", func() (orgstore.Result, error) { return e.Organizations.Suspend(ctx, org) }, org, user, orgstore.StandingSuspended, nil},
		{"resume", func() (orgstore.Result, error) { return e.Organizations.Resume(ctx, org) }, org, user, orgstore.StandingMember, member{"leader"}},
		{"rename", func() (orgstore.Result, error) {
			return e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{Name: new("granite")})
		}, "granite", user, orgstore.StandingMember, member{"leader"}},
		{"take over the name", func() (orgstore.Result, error) {
			return e.Organizations.Update(ctx, w.Other.ID, orgstore.OrganizationUpdate{Name: new("granite-outpost")})
		}, "granite-outpost", w.Hiroko.ID, orgstore.StandingNotMember, nil},
		{"delete role", func() (orgstore.Result, error) { return e.Roles.Delete(ctx, w.Guide.ID) }, org, user, orgstore.StandingMember, nil},
		{"delete user", func() (orgstore.Result, error) { return e.Users.Delete(ctx, user) }, org, user, orgstore.StandingNotMember, nil},
		{"make the user again", func() (orgstore.Result, error) {
			_, result, err := e.Users.Create(ctx, orgstore.User{ID: user})
			return result, err
		}, org, user, orgstore.StandingNotMember, nil},
		{"add the user again", func() (orgstore.Result, error) {
			return e.Members.Add(ctx, org, user, orgstore.MemberOptions{})
		}, org, user, orgstore.StandingMember, nil},
		{"several at once", func() (orgstore.Result, error) {
			return e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
				if _, err := e.Members.Remove(ctx, org, user); err != nil {
					return err
				}
				_, err := e.Members.Add(ctx, org, user, orgstore.MemberOptions{Roles: []string{w.Admin.ID}})
				return err
			})
		}, org, user, orgstore.StandingMember, member{"admin"}},
		{"delete organization", func() (orgstore.Result, error) { return e.Organizations.Delete(ctx, org) }, org, user, orgstore.StandingNoOrganization, nil},
		{"its name is free", func() (orgstore.Result, error) {
			_, result, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "granite"})
			return result, err
		}, "granite", w.Hiroko.ID, orgstore.StandingNotMember, nil},
	} {
		warm()
		t.Log(step.name)
		t.do(step.mutate())
		t.expect(step.org, step.user, step.standing, step.roles...)
		warm()
	}
}

// vectors checks that an answer names every scope that a change of it would raise, and that the Result of a mutation can be
// asked for with AtLeast.
func vectors(t *resolverTest) {
	w, e, ctx := t.world, t.engine, t.Context()
	a := t.ask("granite-outpost", w.Emilio.ID)
	for _, scope := range []orgstore.Scope{
		orgstore.NameScope("granite-outpost"), orgstore.OrganizationScope(w.Org.ID), orgstore.MembershipScope(w.Org.ID, w.Emilio.ID),
		orgstore.UserScope(w.Emilio.ID), orgstore.RoleScope(w.Guide.ID),
	} {
		if revision, ok := a.Vector.Of(scope); !ok || revision != 1 {
			t.Errorf("revision of %v is %d, %v", scope, revision, ok)
		}
	}
	if len(a.Vector) != 5 {
		t.Errorf("vector: %v", a.Vector)
	}
	a = t.ask(w.Org.ID, "auth0|nobody")
	for _, scope := range []orgstore.Scope{orgstore.MembershipScope(w.Org.ID, "auth0|nobody"), orgstore.UserScope("auth0|nobody")} {
		if revision, ok := a.Vector.Of(scope); !ok || revision != 0 {
			t.Errorf("revision of the absent %v is %d, %v", scope, revision, ok)
		}
	}
	if revision, ok := t.ask("nowhere", "x").Vector.Of(orgstore.NameScope("nowhere")); !ok || revision != 0 {
		t.Errorf("revision of an unused name is %d, %v", revision, ok)
	}
	result, err := e.Members.AssignRoles(ctx, w.Org.ID, w.Emilio.ID, w.Admin.ID)
	t.do(result, err)
	got, err := t.resolver.Resolve(ctx, orgstore.Query{Org: w.Org.ID, Principal: w.Emilio.ID, AtLeast: result.Revision, Strong: true})
	if err != nil {
		t.Fatal(err)
	}
	if revision, _ := got.Vector.Of(orgstore.MembershipScope(w.Org.ID, w.Emilio.ID)); revision != 2 || !got.Member.Has("create:adventures") {
		t.Errorf("AtLeast %v answered with %v", result.Revision, got.Vector)
	}
}
