package orgstoretest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var lifetimeCases = cases{
	"LIFE-1: a membership is suspended and resumed":                  suspendMember,
	"LIFE-2: a membership ends":                                      membershipEnds,
	"LIFE-2: adding somebody whose membership has ended begins anew": membershipBeginsAnew,
	"LIFE-2: an end can be set, moved and taken away":                endIsUpdated,
	"LIFE-2: ends that cannot be":                                    endsRefused,
	"LIFE-3: a role ends and can be assigned anew":                   roleEnds,
	"LIFE-3: assignments have terms":                                 roleTerms,
	"LIFE-3, ROL-2: roles that have ended do not count":              endedRolesDoNotCount,
	"LIFE-4: Clean tells what has ended":                             cleanTells,
	"LIFE-4: Clean goes through many":                                cleanMany,
	"MEM-5: what ends makes no owner":                                endMakesNoOwner,
}

// in returns the instant that is d ahead, as it is stored.
func (t *engineTest) in(d time.Duration) time.Time {
	return t.clock.now().Add(d).Truncate(time.Microsecond).UTC()
}

// types returns the types of the events after the first n.
func (t *engineTest) types(n int) []string {
	t.Helper()
	var types []string
	for _, e := range t.events()[n:] {
		types = append(types, e.Type)
	}
	return types
}

func suspendMember(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	_, err := t.Members.Suspend(ctx, o.ID, user)
	t.notFound(err, "member")
	_, err = t.Members.Resume(ctx, o.ID, user)
	t.notFound(err, "member")
	_, err = t.Members.Suspend(ctx, "org_0000000000000000", user)
	t.notFound(err, "organization")
	t.member(o.ID, user, role)
	before, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || before.Status != orgstore.MemberActive {
		t.Errorf("a new member: %+v, %v", before, err)
	}
	n := len(t.events())
	t.unchanged(t.Members.Resume(ctx, o.ID, user))
	t.changed(t.Members.Suspend(ctx, o.ID, user))
	t.unchanged(t.Members.Suspend(ctx, o.ID, user))
	t.unchanged(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{}))
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || m.Status != orgstore.MemberSuspended || len(m.Roles) != 1 {
		t.Errorf("suspended: %+v, %v", m, err)
	}
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: new("guest")}))
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, t.role("b")))
	t.changed(t.Members.Resume(ctx, o.ID, user))
	m, err = t.Members.Get(ctx, o.ID, user)
	if err != nil || m.Status != orgstore.MemberActive || m.Kind != "guest" || len(m.Roles) != 2 || !m.JoinedAt.Equal(before.JoinedAt) {
		t.Errorf("resumed: %+v, %v", m, err)
	}
	if want := []string{"organization.member.suspended", "organization.member.updated", "role.created",
		"organization.member.role.assigned", "organization.member.resumed"}; !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
	t.changed(t.Members.Suspend(ctx, o.ID, user))
	t.changed(t.Members.Remove(ctx, o.ID, user))
	t.member(o.ID, user)
	if m, err = t.Members.Get(ctx, o.ID, user); err != nil || m.Status != orgstore.MemberActive {
		t.Errorf("added again: %+v, %v", m, err)
	}
}

// gone checks that nobody takes user for a member of org.
func (t *engineTest) gone(org, user string) {
	t.Helper()
	ctx := t.Context()
	_, err := t.Members.Get(ctx, org, user)
	t.notFound(err, "member")
	page, err := t.Members.List(ctx, org, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Total: true}})
	if err != nil || len(page.Items) != page.Total || slices.ContainsFunc(page.Items, func(m *orgstore.Member) bool { return m.User == user }) {
		t.Errorf("members: %+v, %v", page, err)
	}
	orgs, err := t.Users.Organizations(ctx, user, orgstore.MembershipListOptions{})
	if err != nil || slices.ContainsFunc(orgs.Items, func(m *orgstore.Membership) bool { return m.Organization.ID == org }) {
		t.Errorf("organizations: %+v, %v", orgs, err)
	}
	_, err = t.Members.Update(ctx, org, user, orgstore.MemberUpdate{Kind: new("guest")})
	t.notFound(err, "member")
	_, err = t.Members.AssignRoles(ctx, org, user)
	t.notFound(err, "member")
	_, err = t.Members.Suspend(ctx, org, user)
	t.notFound(err, "member")
	t.unchanged(t.Members.Remove(ctx, org, user))
}

func membershipEnds(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.user("v")
	t.member(o.ID, "v")
	ends := t.in(time.Hour)
	t.changed(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{ExpiresAt: ends, Roles: []string{role}}))
	t.clock.advance(time.Hour / 2)
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || !m.ExpiresAt.Equal(ends) || m.ExpiresAt.Location() != time.UTC || len(m.Roles) != 1 {
		t.Errorf("before its end: %+v, %v", m, err)
	}
	n := len(t.events())
	t.clock.advance(time.Hour / 2)
	t.gone(o.ID, user)
	if got := t.types(n); len(got) != 0 {
		t.Errorf("events: %q", got)
	}
	if page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{Role: role}); err != nil || len(page.Items) != 0 {
		t.Errorf("members with the role: %+v, %v", page, err)
	}
}

func membershipBeginsAnew(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.changed(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{ExpiresAt: t.in(time.Hour), Roles: []string{role}, Metadata: map[string]string{"a": "b"}}))
	t.unchanged(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{}))
	t.clock.advance(time.Hour)
	n := len(t.events())
	result, err := t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Kind: "guest"})
	t.changed(result, err)
	if len(result.Revision) != 1 {
		t.Errorf("the result names a scope twice: %v", result.Revision)
	}
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || m.Kind != "guest" || len(m.Roles) != 0 || m.Metadata != nil || !m.ExpiresAt.IsZero() || m.JoinedAt.Before(t.in(-time.Hour/2)) {
		t.Errorf("anew: %+v, %v", m, err)
	}
	if want := []string{"organization.member.deleted", "organization.member.added"}; !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
	t.expired(t.events()[n])
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows, %v", n, err)
	}
	t.consistent()
}

// expired checks that an event tells of something that ended by itself.
func (t *engineTest) expired(e *orgstore.Event) {
	t.Helper()
	var before struct{ Reason string }
	if err := json.Unmarshal(e.Before, &before); err != nil || before.Reason != "expired" {
		t.Errorf("event %s of %s, %v", e.Before, e.Type, err)
	}
}

func endIsUpdated(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user)
	hour, never := t.in(time.Hour), time.Time{}
	t.unchanged(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{ExpiresAt: &never}))
	n := len(t.events())
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{ExpiresAt: &hour}))
	elsewhere := hour.In(time.FixedZone("", 3600)).Add(100 * time.Nanosecond)
	t.unchanged(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{ExpiresAt: &elsewhere}))
	t.unchanged(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{}))
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{ExpiresAt: new(hour.Add(time.Hour))}))
	t.clock.advance(90 * time.Minute)
	if _, err := t.Members.Get(ctx, o.ID, user); err != nil {
		t.Errorf("the end was moved: %v", err)
	}
	t.changed(t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{ExpiresAt: &never}))
	t.clock.advance(90 * time.Minute)
	if m, err := t.Members.Get(ctx, o.ID, user); err != nil || !m.ExpiresAt.IsZero() {
		t.Errorf("the end was taken away: %+v, %v", m, err)
	}
	if want := slices.Repeat([]string{"organization.member.updated"}, 3); !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
}

func endsRefused(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	t.user("v")
	t.member(o.ID, "v")
	n := len(t.events())
	for _, at := range []time.Time{
		t.in(0), t.in(-time.Microsecond), t.in(-100_000 * time.Hour), time.Unix(0, 0), time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0), time.Unix(-1<<60, 0),
	} {
		_, err := t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{ExpiresAt: at})
		t.invalid(err, "expires_at", "")
		_, err = t.Members.Update(ctx, o.ID, "v", orgstore.MemberUpdate{ExpiresAt: &at})
		t.invalid(err, "expires_at", "")
		_, err = t.Members.Assign(ctx, o.ID, "v", orgstore.RoleAssignment{Role: role, ExpiresAt: at})
		t.invalid(err, "expires_at", "")
	}
	if got := t.types(n); len(got) != 0 {
		t.Errorf("refused mutations wrote %q", got)
	}
	t.changed(t.Members.Update(ctx, o.ID, "v", orgstore.MemberUpdate{ExpiresAt: new(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))}))
}

func roleEnds(t *engineTest) {
	ctx := t.Context()
	o, user, a, b := t.org("acme"), t.user("u"), t.role("a"), t.role("b")
	t.member(o.ID, user, b)
	ends := t.in(time.Hour)
	t.changed(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: a, ExpiresAt: ends}))
	m, err := t.Members.Get(ctx, o.ID, user)
	if want := []orgstore.MemberRole{{ID: a, Name: "a", ExpiresAt: ends}, {ID: b, Name: "b"}}; err != nil || !slices.Equal(m.Roles, want) {
		t.Errorf("roles: %+v, want %+v, %v", m.Roles, want, err)
	}
	t.clock.advance(time.Hour)
	t.roles(o.ID, user, "b")
	for filter, want := range map[string]int{a: 0, b: 1} {
		if page, err := t.Members.List(ctx, o.ID, orgstore.MemberListOptions{Role: filter}); err != nil || len(page.Items) != want {
			t.Errorf("members with %s: %+v, %v", filter, page, err)
		}
	}
	t.unchanged(t.Members.RemoveRoles(ctx, o.ID, user, a))
	t.unchanged(t.Members.SetRoles(ctx, o.ID, user, b))
	n := len(t.events())
	t.changed(t.Members.AssignRoles(ctx, o.ID, user, a))
	t.roles(o.ID, user, "a", "b")
	if want := []string{"organization.member.role.assigned"}; !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
	t.clock.advance(1000 * time.Hour)
	t.roles(o.ID, user, "a", "b")
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows, %v", n, err)
	}
}

func roleTerms(t *engineTest) {
	ctx := t.Context()
	o, user, a, b := t.org("acme"), t.user("u"), t.role("a"), t.role("b")
	_, err := t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: a})
	t.notFound(err, "member")
	t.member(o.ID, user, a)
	for _, id := range []string{"", "a", "rol_0000000000000000", "rol_%", a + "\x00", strings.ToUpper(a)} {
		_, err = t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: b}, orgstore.RoleAssignment{Role: id})
		t.notFound(err, "role")
	}
	t.roles(o.ID, user, "a")
	n := len(t.events())
	hour := t.in(time.Hour)
	t.unchanged(t.Members.Assign(ctx, o.ID, user))
	t.unchanged(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: a}))
	t.changed(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: a, Descendants: true}, orgstore.RoleAssignment{Role: b, ExpiresAt: hour}))
	t.unchanged(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: b}, orgstore.RoleAssignment{Role: b, ExpiresAt: hour}))
	t.unchanged(t.Members.AssignRoles(ctx, o.ID, user, a, b))
	t.unchanged(t.Members.SetRoles(ctx, o.ID, user, a, b))
	m, err := t.Members.Get(ctx, o.ID, user)
	if want := []orgstore.MemberRole{{ID: a, Name: "a", Descendants: true}, {ID: b, Name: "b", ExpiresAt: hour}}; err != nil || !slices.Equal(m.Roles, want) {
		t.Errorf("roles: %+v, want %+v, %v", m.Roles, want, err)
	}
	if want := []string{"organization.member.role.updated", "organization.member.role.assigned"}; !slices.Equal(t.types(n), want) {
		t.Errorf("events: %q, want %q", t.types(n), want)
	}
	var after struct {
		Roles []string
		Terms map[string]orgstore.RoleAssignment `json:"role_terms"`
	}
	t.ok(json.Unmarshal(t.events()[n+1].After, &after))
	if len(after.Roles) != 2 || !after.Terms[a].Descendants || !after.Terms[b].ExpiresAt.Equal(hour) {
		t.Errorf("the event shows %+v", after)
	}
	t.changed(t.Members.SetRoles(ctx, o.ID, user, b))
	t.changed(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: b}, orgstore.RoleAssignment{Role: a}))
	m, err = t.Members.Get(ctx, o.ID, user)
	if want := []orgstore.MemberRole{{ID: a, Name: "a"}, {ID: b, Name: "b"}}; err != nil || !slices.Equal(m.Roles, want) {
		t.Errorf("roles: %+v, want %+v, %v", m.Roles, want, err)
	}
}

func endedRolesDoNotCount(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	var roles []string
	for i := range 50 {
		roles = append(roles, t.role(fmt.Sprintf("role %02d", i)))
	}
	t.member(o.ID, user, roles[1:]...)
	t.changed(t.Members.Assign(ctx, o.ID, user, orgstore.RoleAssignment{Role: roles[0], ExpiresAt: t.in(time.Hour)}))
	more := orgstore.RoleAssignment{Role: t.role("one more")}
	_, err := t.Members.Assign(ctx, o.ID, user, more)
	t.limit(err, "roles per member", 50)
	t.clock.advance(time.Hour)
	t.changed(t.Members.Assign(ctx, o.ID, user, more))
	if m, err := t.Members.Get(ctx, o.ID, user); err != nil || len(m.Roles) != 50 {
		t.Errorf("member: %+v, %v", m, err)
	}
}

func cleanTells(t *engineTest) {
	ctx := t.Context()
	o, other, a, b := t.org("acme"), t.org("other"), t.role("a"), t.role("b")
	for _, user := range []string{"stays", "goes", "loses"} {
		t.user(user)
		t.changed(t.Members.Add(ctx, other.ID, user, orgstore.MemberOptions{Roles: []string{a}}))
	}
	t.member(o.ID, "stays", a)
	t.changed(t.Members.Add(ctx, o.ID, "goes", orgstore.MemberOptions{Roles: []string{a}, ExpiresAt: t.in(time.Hour), Kind: "guest"}))
	t.member(o.ID, "loses", a)
	t.changed(t.Members.Assign(ctx, o.ID, "loses", orgstore.RoleAssignment{Role: b, ExpiresAt: t.in(time.Hour)}))
	t.changed(t.Members.Assign(ctx, o.ID, "goes", orgstore.RoleAssignment{Role: b, ExpiresAt: t.in(time.Minute)}))
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows before their time, %v", n, err)
	}
	t.clock.advance(time.Hour)
	n := len(t.events())
	if n, err := t.Clean(ctx); err != nil || n != 2 {
		t.Errorf("Clean deleted %d rows, %v", n, err)
	}
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows again, %v", n, err)
	}
	events := t.events()[n:]
	if want := []string{"organization.member.deleted", "organization.member.role.deleted"}; !slices.Equal(t.types(n), want) {
		t.Fatalf("events: %q, want %q", t.types(n), want)
	}
	if e := events[0]; e.Scope != orgstore.MembershipScope(o.ID, "goes") || e.After != nil || !strings.Contains(string(e.Before), `"guest"`) {
		t.Errorf("deleted: %+v, %s", e, e.Before)
	}
	if e := events[1]; e.Scope != orgstore.MembershipScope(o.ID, "loses") || !strings.Contains(string(e.Before), b) ||
		strings.Contains(string(e.After), b) || !strings.Contains(string(e.After), a) {
		t.Errorf("role deleted: %+v, %s, %s", e, e.Before, e.After)
	}
	t.expired(events[0])
	t.expired(events[1])
	t.roles(o.ID, "loses", "a")
	t.roles(o.ID, "stays", "a")
	t.roles(other.ID, "goes", "a")
	t.gone(o.ID, "goes")
	t.consistent()
}

func cleanMany(t *engineTest) {
	ctx := t.Context()
	role := t.role("a")
	const each = 300
	var orgs []string
	users := t.directory(2 * each)
	for _, name := range []string{"a", "b"} {
		o := t.org(name)
		orgs = append(orgs, o.ID)
		var adds []orgstore.MemberAdd
		for i := range 2 * each {
			add := orgstore.MemberAdd{User: users[i], MemberOptions: orgstore.MemberOptions{Roles: []string{role}}}
			if i%2 == 0 {
				add.ExpiresAt = t.in(time.Duration(i+1) * time.Second)
			}
			adds = append(adds, add)
		}
		_, result, err := t.Members.AddAll(ctx, o.ID, adds)
		t.changed(result, err)
		for i := 1; i < 20; i += 2 {
			t.changed(t.Members.Assign(ctx, o.ID, users[i], orgstore.RoleAssignment{Role: role, ExpiresAt: t.in(time.Minute)}))
		}
	}
	t.clock.advance(24 * time.Hour)
	n := len(t.events())
	if n, err := t.Clean(ctx); err != nil || n != 2*each+20 {
		t.Errorf("Clean deleted %d rows, want %d, %v", n, 2*each+20, err)
	}
	if got := len(t.events()) - n; got != 2*each+20 {
		t.Errorf("%d events", got)
	}
	for _, org := range orgs {
		if page, err := t.Members.List(ctx, org, orgstore.MemberListOptions{ListOptions: orgstore.ListOptions{Total: true}}); err != nil || page.Total != each {
			t.Errorf("%d are left, %v", page.Total, err)
		}
	}
	t.consistent()
}

func endMakesNoOwner(t *engineTest) {
	ctx := t.Context()
	o, owner := t.org("acme"), t.role("owner")
	t.user("a")
	t.user("b")
	t.changed(t.Members.Add(ctx, o.ID, "a", orgstore.MemberOptions{Roles: []string{owner}, ExpiresAt: t.in(time.Hour)}))
	t.member(o.ID, "b")
	t.changed(t.Members.Assign(ctx, o.ID, "b", orgstore.RoleAssignment{Role: owner, ExpiresAt: t.in(time.Hour)}))
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{OwnerRole: &owner}))
	t.changed(t.Members.Suspend(ctx, o.ID, "a"))
	t.changed(t.Members.Resume(ctx, o.ID, "a"))
	t.changed(t.Members.Assign(ctx, o.ID, "b", orgstore.RoleAssignment{Role: owner}))
	_, err := t.Members.Assign(ctx, o.ID, "b", orgstore.RoleAssignment{Role: owner, ExpiresAt: t.in(time.Hour)})
	t.conflict(err, "organization", "owner")
	_, err = t.Members.Update(ctx, o.ID, "b", orgstore.MemberUpdate{ExpiresAt: new(t.in(time.Hour))})
	t.conflict(err, "organization", "owner")
	_, err = t.Members.Remove(ctx, o.ID, "b")
	t.conflict(err, "organization", "owner")
	// An owner's role may count below as well.
	t.changed(t.Members.Assign(ctx, o.ID, "b", orgstore.RoleAssignment{Role: owner, Descendants: true}))
	t.changed(t.Members.Update(ctx, o.ID, "a", orgstore.MemberUpdate{ExpiresAt: new(time.Time)}))
	t.changed(t.Members.Update(ctx, o.ID, "b", orgstore.MemberUpdate{ExpiresAt: new(t.in(time.Hour))}))
}

// directory makes n users in one transaction.
func (t *engineTest) directory(n int) []string {
	t.Helper()
	users := make([]string, n)
	_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		for i := range users {
			users[i] = fmt.Sprintf("user|%05d", i)
			if _, _, err := e.Users.Create(ctx, orgstore.User{ID: users[i], Name: fmt.Sprint("User ", i), Email: fmt.Sprintf("u%d@example.com", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	t.ok(err)
	return users
}
