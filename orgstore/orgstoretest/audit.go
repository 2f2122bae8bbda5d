package orgstoretest

import (
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var auditCases = cases{
	"EVT-1: events say who, for which request, on what": eventsSay,
	"EVT-1: events say who acted as somebody":           eventsImpersonated,
	"events: filters":   eventsFilters,
	"events: bad input": eventsRefused,
}

func eventsSay(t *engineTest) {
	ctx := orgstore.WithRequestID(orgstore.WithActor(t.Context(), "auth0|root"), "req-1")
	o, result, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
	t.changed(result, err)
	user := t.user("u")
	t.changed(t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{}))
	for _, e := range t.events() {
		request, actor := "req-1", "auth0|root"
		if e.Type == "user.created" {
			request, actor = "", ""
		}
		if e.RequestID != request || e.Actor != actor || e.Target != e.Scope.ID || e.Impersonator != "" || e.Cursor != "" {
			t.Errorf("event %+v", e)
		}
		got, err := t.Events.Get(t.Context(), e.ID)
		if err != nil || got.ID != e.ID || got.RequestID != request || string(got.After) != string(e.After) {
			t.Errorf("get: %+v, %v", got, err)
		}
	}
	for _, request := range []string{"a\x00", "\xff", "a\nb", strings.Repeat("a", 256)} {
		_, err = t.Organizations.Suspend(orgstore.WithRequestID(t.Context(), request), o.ID)
		t.invalid(err, "request_id", request)
	}
	for _, id := range []string{"", "evt_", "evt_x", "x", "evt_\x00", "evt_\xff", "EVT_1", strings.Repeat("evt_", 1000)} {
		_, err := t.Events.Get(t.Context(), id)
		t.notFound(err, "event")
	}
}

func eventsImpersonated(t *engineTest) {
	o, admin, role := t.org("acme"), t.user("admin"), t.role("admin", "create:roles")
	t.member(o.ID, admin, role)
	as := orgstore.Actor{User: admin, Impersonator: "support"}
	_, result, err := t.As(as).Roles.Create(orgstore.WithActor(t.Context(), "else"), orgstore.Role{Organization: o.ID, Name: "org:new"})
	t.changed(result, err)
	page, err := t.Events.List(t.Context(), orgstore.EventOptions{Actor: admin})
	t.ok(err)
	if len(page.Items) != 1 || page.Items[0].Impersonator != "support" || page.Items[0].Organization != o.ID {
		t.Errorf("%d events of the admin", len(page.Items))
	}
	as.Impersonator = "a\x00"
	_, _, err = t.As(as).Roles.Create(t.Context(), orgstore.Role{Organization: o.ID, Name: "org:other"})
	t.invalid(err, "impersonator", as.Impersonator)
}

func eventsFilters(t *engineTest) {
	ctx := t.Context()
	a, b, user, role := t.org("a"), t.org("b"), t.user("u"), t.role("r")
	for _, actor := range []string{"x", "y", ""} {
		acting := orgstore.WithActor(ctx, actor)
		for _, org := range []string{a.ID, b.ID} {
			t.changed(t.Members.Add(acting, org, user, orgstore.MemberOptions{}))
			t.changed(t.Members.AssignRoles(acting, org, user, role))
			t.changed(t.Members.Remove(acting, org, user))
			t.changed(t.Organizations.Suspend(acting, org))
			t.changed(t.Organizations.Resume(acting, org))
		}
	}
	all := t.events()
	middle := all[len(all)/2]
	membership := orgstore.MembershipScope(a.ID, user)
	for name, test := range map[string]struct {
		opts orgstore.EventOptions
		want func(e *orgstore.Event) bool
	}{
		"all":          {orgstore.EventOptions{}, func(*orgstore.Event) bool { return true }},
		"organization": {orgstore.EventOptions{Organization: a.ID}, func(e *orgstore.Event) bool { return e.Organization == a.ID }},
		"type":         {orgstore.EventOptions{Type: "organization.member.added"}, func(e *orgstore.Event) bool { return e.Type == "organization.member.added" }},
		"types": {orgstore.EventOptions{Type: "organization.member."}, func(e *orgstore.Event) bool {
			return strings.HasPrefix(e.Type, "organization.member.")
		}},
		"actor":  {orgstore.EventOptions{Actor: "x"}, func(e *orgstore.Event) bool { return e.Actor == "x" }},
		"target": {orgstore.EventOptions{Target: user}, func(e *orgstore.Event) bool { return e.Scope.ID == user }},
		"scope":  {orgstore.EventOptions{Scope: membership}, func(e *orgstore.Event) bool { return e.Scope == membership }},
		"since":  {orgstore.EventOptions{Since: middle.Time}, func(e *orgstore.Event) bool { return !e.Time.Before(middle.Time) }},
		"until":  {orgstore.EventOptions{Until: middle.Time}, func(e *orgstore.Event) bool { return e.Time.Before(middle.Time) }},
		"everything": {orgstore.EventOptions{
			Organization: a.ID, Type: "organization.member.", Actor: "y", Target: user, Scope: membership,
			Since: all[0].Time, Until: all[len(all)-1].Time,
		}, func(e *orgstore.Event) bool { return e.Scope == membership && e.Actor == "y" }},
	} {
		var want []string
		for _, e := range all {
			if test.want(e) {
				want = append(want, e.ID)
			}
		}
		if len(want) == 0 {
			t.Errorf("%s: nothing to find", name)
		}
		for _, descending := range []bool{false, true} {
			var got []string
			opts := test.opts
			opts.Limit, opts.Descending = 4, descending
			for {
				page, err := t.Events.List(ctx, opts)
				t.ok(err)
				for _, e := range page.Items {
					got = append(got, e.ID)
				}
				if opts.After = page.Next; opts.After == "" {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, descending %v: %d events, want %d", name, descending, len(got), len(want))
			}
			slices.Reverse(want)
		}
	}
	for name, opts := range map[string]orgstore.EventOptions{
		"another's type": {Type: "organization.memberx."}, "a part of a type": {Type: "organization"}, "a dot": {Type: "."},
		"case": {Type: "Organization."}, "nobody": {Actor: "z"}, "wildcard": {Target: "%"},
		"the far past": {Until: time.Unix(-1<<40, 0)}, "the far future": {Since: time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"no time": {Since: middle.Time, Until: middle.Time},
	} {
		if page, err := t.Events.List(ctx, opts); err != nil || len(page.Items) != 0 {
			t.Errorf("%s: %d events, %v", name, len(page.Items), err)
		}
	}
}

func eventsRefused(t *engineTest) {
	t.org("acme")
	for _, bad := range []string{"a\x00", "\xff", "a\nb", strings.Repeat("a", 1025)} {
		for field, opts := range map[string]orgstore.EventOptions{
			"Organization": {Organization: bad}, "Type": {Type: bad}, "Actor": {Actor: bad}, "Target": {Target: bad}, "After": {After: bad},
			"Scope": {Scope: orgstore.OrganizationScope(bad)},
		} {
			_, err := t.Events.List(t.Context(), opts)
			t.invalid(err, field, bad)
		}
		_, err := t.Events.List(t.Context(), orgstore.EventOptions{Type: bad + "."})
		t.invalid(err, "Type", bad)
	}
	for _, limit := range []int{-1, 1001} {
		_, err := t.Events.List(t.Context(), orgstore.EventOptions{Limit: limit})
		t.invalid(err, "Limit", "")
	}
}
