package orgstoretest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

// scopesRaised lists what each mutation raises: the scopes whose rows it changed, and no others. Adding a member of a large
// organization must not make every other member's answer out of date.
func scopesRaised(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	a, b := t.role("a"), t.role("b")
	organization, membership := orgstore.OrganizationScope(o.ID), orgstore.MembershipScope(o.ID, user)
	members := t.Members
	update := func(u orgstore.OrganizationUpdate) func() (orgstore.Result, error) {
		return func() (orgstore.Result, error) { return t.Organizations.Update(ctx, o.ID, u) }
	}
	for _, step := range []struct {
		name   string
		mutate func() (orgstore.Result, error)
		want   []orgstore.Scope
	}{
		{"add", func() (orgstore.Result, error) {
			return members.Add(ctx, o.ID, user, orgstore.MemberOptions{Roles: []string{a}})
		}, []orgstore.Scope{membership}},
		{"assign", func() (orgstore.Result, error) { return members.AssignRoles(ctx, o.ID, user, b) }, []orgstore.Scope{membership}},
		{"take", func() (orgstore.Result, error) { return members.RemoveRoles(ctx, o.ID, user, a) }, []orgstore.Scope{membership}},
		{"set", func() (orgstore.Result, error) { return members.SetRoles(ctx, o.ID, user, a) }, []orgstore.Scope{membership}},
		{"member", func() (orgstore.Result, error) {
			return members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Kind: new("guest")})
		}, []orgstore.Scope{membership}},
		{"role", func() (orgstore.Result, error) {
			return t.Roles.Update(ctx, a, orgstore.RoleUpdate{Permissions: &[]string{"x"}})
		}, []orgstore.Scope{orgstore.RoleScope(a)}},
		{"role name", func() (orgstore.Result, error) {
			return t.Roles.Update(ctx, a, orgstore.RoleUpdate{Name: new("c")})
		}, []orgstore.Scope{orgstore.RoleScope(a)}},
		{"delete role", func() (orgstore.Result, error) { return t.Roles.Delete(ctx, a) }, []orgstore.Scope{orgstore.RoleScope(a)}},
		{"block", func() (orgstore.Result, error) { return t.Users.Block(ctx, user) }, []orgstore.Scope{orgstore.UserScope(user)}},
		{"unblock", func() (orgstore.Result, error) { return t.Users.Unblock(ctx, user) }, []orgstore.Scope{orgstore.UserScope(user)}},
		{"metadata", update(orgstore.OrganizationUpdate{Metadata: map[string]*string{"a": new("b")}}), []orgstore.Scope{organization}},
		{"suspend", func() (orgstore.Result, error) { return t.Organizations.Suspend(ctx, o.ID) }, []orgstore.Scope{organization}},
		{"resume", func() (orgstore.Result, error) { return t.Organizations.Resume(ctx, o.ID) }, []orgstore.Scope{organization}},
		{"rename", update(orgstore.OrganizationUpdate{Name: new("new")}), []orgstore.Scope{organization, orgstore.NameScope("acme"), orgstore.NameScope("new")}},
		{"remove", func() (orgstore.Result, error) { return members.Remove(ctx, o.ID, user) }, []orgstore.Scope{membership}},
		{"delete user", func() (orgstore.Result, error) { return t.Users.Delete(ctx, user) }, []orgstore.Scope{orgstore.UserScope(user)}},
		{"delete organization", func() (orgstore.Result, error) { return t.Organizations.Delete(ctx, o.ID) }, []orgstore.Scope{organization, orgstore.NameScope("new")}},
	} {
		result, err := step.mutate()
		t.changed(result, err)
		if len(result.Revision) != len(step.want) {
			t.Errorf("%s raised %v, want %v", step.name, result.Revision, step.want)
		}
		for _, scope := range step.want {
			if _, ok := result.Revision.Of(scope); !ok {
				t.Errorf("%s did not raise %v", step.name, scope)
			}
		}
	}
}

func eventsWritten(t *engineTest) {
	ctx := orgstore.WithActor(t.Context(), "auth0|root")
	o, result, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme", Metadata: map[string]string{"plan": "gold"}})
	t.changed(result, err)
	user, a, b := t.user("u"), t.role("a"), t.role("b")
	t.changed(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Roles: []string{a}}))
	t.changed(t.Members.SetRoles(t.Context(), o.ID, user, b))
	t.changed(t.Members.Remove(ctx, o.ID, user))
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Name: new("new")}))

	events := t.events()
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
		if e.Time.IsZero() || e.ID == "" || e.ChangeID == "" {
			t.Errorf("event %+v", e)
		}
	}
	if want := []string{
		"organization.created", "organization.name.assigned", "user.created", "role.created", "role.created",
		"organization.member.added", "organization.member.role.deleted", "organization.member.role.assigned", "organization.member.deleted",
		"organization.updated", "organization.name.released", "organization.name.assigned",
	}; !slices.Equal(types, want) {
		t.Fatalf("types are %q, want %q", types, want)
	}
	for i, together := range map[int]bool{1: true, 2: false, 6: false, 7: true, 10: true, 11: true} {
		if (events[i].ChangeID == events[i-1].ChangeID) != together {
			t.Errorf("event %d has change id %s, the one before %s", i, events[i].ChangeID, events[i-1].ChangeID)
		}
	}
	if e := events[0]; e.Actor != "auth0|root" || e.Organization != o.ID || e.Before != nil || e.Scope != orgstore.OrganizationScope(o.ID) || e.Revision != 1 {
		t.Errorf("created: %+v", e)
	}
	var created orgstore.Organization
	if err := json.Unmarshal(events[0].After, &created); err != nil || created.ID != o.ID || created.Metadata["plan"] != "gold" {
		t.Errorf("created: %s, %v", events[0].After, err)
	}
	if e := events[2]; e.Actor != "" || e.Organization != "" {
		t.Errorf("a user's event: %+v", e)
	}
	type member struct{ Roles []string }
	var before, after member
	t.ok(json.Unmarshal(events[7].Before, &before))
	t.ok(json.Unmarshal(events[7].After, &after))
	if e := events[7]; e.Actor != "" || e.Scope != orgstore.MembershipScope(o.ID, user) || e.Revision != 3 || len(before.Roles) != 0 || !slices.Equal(after.Roles, []string{b}) {
		t.Errorf("assigned: %+v, %s, %s", e, e.Before, e.After)
	}
	if e := events[8]; e.After != nil || e.Before == nil || e.Revision != 4 {
		t.Errorf("removed: %+v", e)
	}

	// Who acts is stored and shown: it must be fit for both.
	for _, actor := range []string{"a\x00", "\xff", "a\nb", strings.Repeat("a", 1025)} {
		_, err = t.Organizations.Suspend(orgstore.WithActor(t.Context(), actor), o.ID)
		t.invalid(err, "actor", actor)
	}

	// What changes nothing, and what is refused, writes nothing.
	t.unchanged(t.Members.Remove(ctx, o.ID, user))
	t.unchanged(t.Organizations.Resume(ctx, o.ID))
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "new"})
	t.is(err, orgstore.ErrConflict)
	if got := t.events(); len(got) != len(events) {
		t.Errorf("%d events more", len(got)-len(events))
	}
}

// gapless checks that the events of each scope have the revisions 1, 2, 3 … in their order (rules EVT-1, EVT-2).
func gapless(t *engineTest) {
	t.Helper()
	last := make(map[orgstore.Scope]uint64)
	id := ""
	for _, e := range t.events() {
		if e.Revision != last[e.Scope]+1 {
			t.Errorf("%v goes from %d to %d", e.Scope, last[e.Scope], e.Revision)
		}
		if e.ID <= id {
			t.Errorf("event %s comes after %s", e.ID, id)
		}
		last[e.Scope], id = e.Revision, e.ID
	}
	if len(last) == 0 {
		t.Error("no events")
	}
}

func eventsGapless(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("a")
	for i := range 5 {
		t.member(o.ID, user)
		t.changed(t.Members.AssignRoles(ctx, o.ID, user, role))
		t.changed(t.Members.Remove(ctx, o.ID, user))
		t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Name: new(fmt.Sprint("acme", i%2))}))
		t.changed(t.Users.Delete(ctx, user))
		t.user("u")
		_, err := t.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			_, err := e.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{})
			return fmt.Errorf("undone: %w", err)
		})
		if err == nil {
			t.Fatal("the error was lost")
		}
	}
	gapless(t)
}

func eventsList(t *engineTest) {
	ctx := t.Context()
	a, b := t.org("a"), t.org("b")
	for range 3 {
		t.changed(t.Organizations.Suspend(ctx, a.ID))
		t.changed(t.Organizations.Resume(ctx, a.ID))
		t.changed(t.Organizations.Suspend(ctx, b.ID))
		t.changed(t.Organizations.Resume(ctx, b.ID))
	}
	t.changed(t.Organizations.Delete(ctx, a.ID))
	n := 0
	for after := ""; ; {
		page, err := t.Events.List(ctx, orgstore.EventOptions{Organization: a.ID, Limit: 3, After: after})
		t.ok(err)
		for _, e := range page.Items {
			n++
			if e.Organization != a.ID {
				t.Errorf("another organization's event: %+v", e)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if n != 10 {
		t.Errorf("%d events, want 10", n)
	}
	all := t.events()
	page, err := t.Events.List(ctx, orgstore.EventOptions{After: all[len(all)-2].ID})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID != all[len(all)-1].ID {
		t.Errorf("after the last but one: %+v, %v", page, err)
	}
	for _, organization := range []string{"nonsense", "%", "org_0000000000000000"} {
		if page, err := t.Events.List(ctx, orgstore.EventOptions{Organization: organization}); err != nil || len(page.Items) != 0 {
			t.Errorf("events of %q: %+v, %v", organization, page, err)
		}
	}
}
