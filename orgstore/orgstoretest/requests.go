package orgstoretest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var requestCases = cases{
	"REQ-1: asking":                          requestsAsk,
	"REQ-1, REQ-2, REQ-3: bad input":         requestsBadInput,
	"REQ-2: answers, and the end of time":    requestsAnswers,
	"REQ-3: approving":                       requestsApprove,
	"REQ-2: lists":                           requestsLists,
	"REQ-1, DEL-1, DEL-2: who may":           requestsDelegated,
	"REQ-2: end with user and organization":  requestsEnd,
	"AUTO-2: what follows from an address":   requestsByDomain,
	"AUTO-2: what follows from no other one": requestsByNoDomain,
}

var requestRaces = map[string]race{
	"REQ-1: requests": {orgstore.Limits{Requests: 5}, func(t *engineTest) func(int) error {
		o, users := t.org("acme"), t.many(t.userNumber)
		return func(i int) error { return third(t.Requests.Create(t.Context(), o.ID, users[i], "")) }
	}, 5, limit("requests", 5), nil},
	"REQ-1: one pending request": {setup: func(t *engineTest) func(int) error {
		o, user := t.org("acme"), t.user("u")
		return func(int) error { return third(t.Requests.Create(t.Context(), o.ID, user, "")) }
	}, most: 1, lost: conflict("request", "user_id")},
	"REQ-2: one answer": {setup: func(t *engineTest) func(int) error {
		o, user := t.org("acme"), t.user("u")
		id := t.request(o.ID, user)
		return func(i int) error {
			var result orgstore.Result
			var err error
			switch i % 3 {
			case 0:
				result, err = t.Requests.Approve(t.Context(), o.ID, id, orgstore.MemberOptions{})
			case 1:
				result, err = t.Requests.Decline(t.Context(), o.ID, id)
			case 2:
				result, err = t.Requests.Withdraw(t.Context(), o.ID, id)
			}
			if err == nil && !result.Changed {
				err = errUndo // the same answer
			}
			return err
		}
	}, most: 1, lost: func(t *engineTest, err error) {
		if !errors.Is(err, errUndo) {
			t.invalid(err, "request", "")
		}
	}},
	"REQ-3: members by request": {orgstore.Limits{Members: 7}, func(t *engineTest) func(int) error {
		o := t.org("acme")
		requests := t.many(func(i int) string { return t.request(o.ID, t.userNumber(i)) })
		return func(i int) error {
			return second(t.Requests.Approve(t.Context(), o.ID, requests[i], orgstore.MemberOptions{}))
		}
	}, 7, limit("members", 7), nil},
}

// request asks for user, or ends the test.
func (t *engineTest) request(org, user string) string {
	t.Helper()
	r, result, err := t.Requests.Create(t.Context(), org, user, "")
	t.changed(result, err)
	return r.ID
}

func (t *engineTest) requestIs(org, id string, want orgstore.RequestStatus) {
	t.Helper()
	if r, err := t.Requests.Get(t.Context(), org, id); err != nil || r.Status != want {
		t.Errorf("request %+v, %v; want it %s", r, err, want)
	}
}

func requestsAsk(t *engineTest) {
	ctx := t.Context()
	o, other := t.org("acme"), t.org("other")
	_, _, err := t.Users.Create(ctx, orgstore.User{ID: "u", Email: "u@acme.example", Name: "U."})
	t.ok(err)
	r, result, err := t.Requests.Create(ctx, o.ID, "u", "may I?")
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0].Scope != (orgstore.Scope{Kind: orgstore.ScopeRequest, Org: o.ID, ID: r.ID}) {
		t.Errorf("raised %v", result.Revision)
	}
	got, err := t.Requests.Get(ctx, o.ID, r.ID)
	t.ok(err)
	if *got != *r || got.User != "u" || got.Email != "u@acme.example" || got.Name != "U." || got.Message != "may I?" ||
		got.Source != "user" || got.Status != orgstore.RequestPending || got.ExpiresAt.Sub(got.CreatedAt) != 30*24*time.Hour {
		t.Errorf("got %+v, want %+v", got, r)
	}
	events := t.events()
	e := events[len(events)-1]
	if shown := string(e.After); e.Type != "organization.membership_request.created" || e.Organization != o.ID ||
		strings.Contains(shown, "may I") || strings.Contains(shown, "acme.example") || strings.Contains(shown, "U.") {
		t.Errorf("event %+v: %s", e, e.After)
	}
	_, err = t.Requests.Get(ctx, other.ID, r.ID)
	t.notFound(err, "request")
	_, _, err = t.Requests.Create(ctx, o.ID, "u", "")
	t.conflict(err, "request", "user_id")
	t.request(other.ID, "u")

	t.member(o.ID, t.user("member"))
	_, _, err = t.Requests.Create(ctx, o.ID, "member", "")
	t.conflict(err, "member", "user_id")
	t.changed(t.Users.Block(ctx, t.user("blocked")))
	_, _, err = t.Requests.Create(ctx, o.ID, "blocked", "")
	t.invalid(err, "user_id", "blocked")
	t.changed(t.Organizations.Suspend(ctx, o.ID))
	_, _, err = t.Requests.Create(ctx, o.ID, t.user("late"), "")
	t.notFound(err, "organization")
}

func requestsBadInput(t *engineTest) {
	ctx := t.Context()
	o, other, user := t.org("acme"), t.org("other"), t.user("u")
	id, foreign := t.request(o.ID, user), t.request(other.ID, user)
	own := t.organizationRole(other.ID, "org:foreign", "")
	check := t.nothingWritten()
	for _, message := range []string{"a\nb", "\x00", "\xff", strings.Repeat("m", 1001)} {
		_, _, err := t.Requests.Create(ctx, o.ID, user, message)
		t.invalid(err, "message", message)
	}
	for _, org := range []string{"", "acme", "org_0000000000000000", strings.ToUpper(o.ID), "\x00", "\xff", strings.Repeat("o", 10_000)} {
		_, _, err := t.Requests.Create(ctx, org, user, "")
		t.notFound(err, "organization")
		_, err = t.Requests.List(ctx, org, orgstore.RequestListOptions{})
		t.notFound(err, "organization")
		_, err = t.Requests.Approve(ctx, org, id, orgstore.MemberOptions{})
		t.notFound(err, "request")
		_, _, err = t.Requests.ByDomain(ctx, org, user, "u@acme.example")
		t.notFound(err, "organization")
	}
	for _, user := range []string{"", "nobody", "U", "\x00", "\xff", strings.Repeat("u", 10_000)} {
		_, _, err := t.Requests.Create(ctx, o.ID, user, "")
		t.notFound(err, "user")
		_, _, err = t.Requests.ByDomain(ctx, o.ID, user, "u@acme.example")
		t.notFound(err, "user")
	}
	for _, id := range []string{"", "x", "req_0000000000000000", foreign, strings.ToUpper(id), "\x00", "\xff", strings.Repeat("r", 10_000)} {
		_, err := t.Requests.Get(ctx, o.ID, id)
		t.notFound(err, "request")
		_, err = t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{})
		t.notFound(err, "request")
		_, err = t.Requests.Decline(ctx, o.ID, id)
		t.notFound(err, "request")
		_, err = t.Requests.Withdraw(ctx, o.ID, id)
		t.notFound(err, "request")
	}
	for _, role := range []string{"", "r", "rol_0000000000000000", own, "\x00"} {
		_, err := t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{Roles: []string{role}})
		t.notFound(err, "role")
	}
	_, err := t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{Kind: "owner"})
	t.invalid(err, "kind", "owner")
	for _, email := range []string{"", "u@", "u@acme", "\x00", strings.Repeat("u", 10_000)} {
		_, _, err := t.Requests.ByDomain(ctx, o.ID, user, email)
		t.invalid(err, "email", email)
	}
	for field, opts := range map[string]orgstore.RequestListOptions{
		"Status": {Status: "open"},
		"User":   {User: "\x00"},
		"Sort":   {ListOptions: orgstore.ListOptions{Sort: orgstore.SortName}},
		"After":  {ListOptions: orgstore.ListOptions{After: "bogus"}},
	} {
		_, err := t.Requests.List(ctx, o.ID, opts)
		t.invalid(err, field, "")
	}
	check()
	t.requestIs(o.ID, id, orgstore.RequestPending)
}

func requestsAnswers(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	approve := func(id string) (orgstore.Result, error) {
		return t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{})
	}
	decline := func(id string) (orgstore.Result, error) { return t.Requests.Decline(ctx, o.ID, id) }
	withdraw := func(id string) (orgstore.Result, error) { return t.Requests.Withdraw(ctx, o.ID, id) }
	type answer struct {
		status orgstore.RequestStatus
		give   func(string) (orgstore.Result, error)
	}
	answers := []answer{{orgstore.RequestApproved, approve}, {orgstore.RequestDeclined, decline}, {orgstore.RequestWithdrawn, withdraw}}
	for i, a := range answers {
		id := t.request(o.ID, t.user(fmt.Sprint("u", i)))
		t.changed(a.give(id))
		t.requestIs(o.ID, id, a.status)
		events := t.events()
		if e := events[len(events)-1]; e.Type != "organization.membership_request."+string(a.status) {
			t.Errorf("event %+v", e)
		}
		for _, b := range answers {
			if result, err := b.give(id); b.status == a.status {
				t.unchanged(result, err)
			} else {
				t.invalid(err, "request", "")
			}
		}
		t.requestIs(o.ID, id, a.status)
	}
	t.request(o.ID, "u1") // who was declined may ask again
	// Time ends what nobody has answered, without an event; then it can be asked again.
	id := t.request(o.ID, t.user("late"))
	t.clock.advance(30*24*time.Hour - time.Minute)
	t.requestIs(o.ID, id, orgstore.RequestPending)
	check := t.nothingWritten()
	t.clock.advance(2 * time.Minute)
	t.requestIs(o.ID, id, orgstore.RequestExpired)
	for _, a := range answers {
		_, err := a.give(id)
		t.invalid(err, "request", "")
	}
	check()
	again := t.request(o.ID, "late")
	t.requestIs(o.ID, id, orgstore.RequestExpired)
	t.requestIs(o.ID, again, orgstore.RequestPending)
}

func requestsApprove(t *engineTest) {
	ctx := t.Context()
	o, user, a, b := t.org("acme"), t.user("u"), t.role("a"), t.role("b")
	id := t.request(o.ID, user)
	result, err := t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{Kind: "guest", Roles: []string{a}, JoinedBy: "import"})
	t.changed(result, err)
	if len(result.Revision) != 2 {
		t.Errorf("raised %v", result.Revision)
	}
	m, err := t.Members.Get(ctx, o.ID, user)
	if err != nil || m.JoinedBy != "request" || m.Kind != "guest" {
		t.Errorf("member %+v, %v", m, err)
	}
	t.roles(o.ID, user, "a")
	events := t.events()
	last := events[len(events)-2:]
	if last[0].Type != "organization.member.added" || last[1].Type != "organization.membership_request.approved" ||
		last[0].ChangeID != last[1].ChangeID {
		t.Errorf("events %+v, %+v", last[0], last[1])
	}
	var shown orgstore.Request
	if err := json.Unmarshal(last[1].After, &shown); err != nil || shown.Status != orgstore.RequestApproved || shown.User != user {
		t.Errorf("event: %s, %v", last[1].After, err)
	}
	// Who has become a member meanwhile gets roles alone.
	user = t.user("v")
	id = t.request(o.ID, user)
	t.member(o.ID, user, b)
	t.changed(t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{Kind: "guest", Roles: []string{a}}))
	if m, err = t.Members.Get(ctx, o.ID, user); err != nil || m.JoinedBy != "admin" || m.Kind != "employee" {
		t.Errorf("member %+v, %v", m, err)
	}
	t.roles(o.ID, user, "a", "b")
	// All or nothing.
	user = t.user("w")
	id = t.request(o.ID, user)
	t.changed(t.Roles.Delete(ctx, b))
	_, err = t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{Roles: []string{a, b}})
	t.notFound(err, "role")
	t.requestIs(o.ID, id, orgstore.RequestPending)
	_, err = t.Members.Get(ctx, o.ID, user)
	t.notFound(err, "member")
}

func requestsLists(t *engineTest) {
	ctx := t.Context()
	o := t.org("acme")
	var all []string
	for i := range 5 {
		all = append(all, t.request(o.ID, t.user(fmt.Sprint("u", i))))
	}
	t.request(t.org("other").ID, "u0")
	t.changed(t.Requests.Decline(ctx, o.ID, all[1]))
	t.changed(t.Requests.Withdraw(ctx, o.ID, all[2]))
	t.changed(t.Requests.Approve(ctx, o.ID, all[3], orgstore.MemberOptions{}))
	list := func(opts orgstore.RequestListOptions, want ...string) {
		t.Helper()
		opts.Sort, opts.Limit, opts.Total = orgstore.SortCreated, 2, true
		var got []string
		for {
			page, err := t.Requests.List(ctx, o.ID, opts)
			t.ok(err)
			if page.Total != len(want) {
				t.Errorf("total %d, want %d", page.Total, len(want))
			}
			for _, r := range page.Items {
				got = append(got, r.ID)
			}
			if opts.After = page.Next; opts.After == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s of %q: %q, want %q", opts.Status, opts.User, got, want)
		}
	}
	list(orgstore.RequestListOptions{}, all...)
	list(orgstore.RequestListOptions{Status: orgstore.RequestPending}, all[0], all[4])
	list(orgstore.RequestListOptions{Status: orgstore.RequestDeclined}, all[1])
	list(orgstore.RequestListOptions{Status: orgstore.RequestWithdrawn}, all[2])
	list(orgstore.RequestListOptions{Status: orgstore.RequestApproved}, all[3])
	list(orgstore.RequestListOptions{Status: orgstore.RequestExpired})
	list(orgstore.RequestListOptions{User: "u4"}, all[4])
	t.clock.advance(31 * 24 * time.Hour)
	again := t.request(o.ID, "u0")
	list(orgstore.RequestListOptions{Status: orgstore.RequestExpired}, all[0], all[4])
	list(orgstore.RequestListOptions{Status: orgstore.RequestPending}, again)
	list(orgstore.RequestListOptions{User: "u0", Status: orgstore.RequestExpired}, all[0])
}

func requestsDelegated(t *engineTest) {
	ctx := t.Context()
	o, strong := t.org("acme"), t.role("strong", "root")
	t.member(o.ID, t.user("admin"), t.role("admin", "a", "update:organization_membership_requests", "create:organization_members",
		"create:organization_member_roles"))
	t.member(o.ID, t.user("half"), t.role("half", "update:organization_membership_requests"))
	denied := func(err error) { t.Helper(); t.is(err, orgstore.ErrDenied) }
	asking, admin := t.As(orgstore.Actor{User: t.user("u")}), t.As(orgstore.Actor{User: "admin"})
	t.user("v")
	r, result, err := asking.Requests.Create(ctx, o.ID, "u", "")
	t.changed(result, err)
	other := t.request(o.ID, "v")
	check := t.nothingWritten()
	_, _, err = asking.Requests.Create(ctx, o.ID, "admin", "")
	denied(err)
	_, err = asking.Requests.Approve(ctx, o.ID, r.ID, orgstore.MemberOptions{})
	denied(err)
	_, err = asking.Requests.Decline(ctx, o.ID, r.ID)
	denied(err)
	_, err = asking.Requests.Withdraw(ctx, o.ID, other)
	denied(err)
	_, _, err = asking.Requests.ByDomain(ctx, o.ID, "u", "u@acme.example")
	denied(err)
	_, err = admin.Requests.Withdraw(ctx, o.ID, r.ID)
	denied(err)
	_, err = admin.Requests.Approve(ctx, o.ID, r.ID, orgstore.MemberOptions{Roles: []string{strong}})
	denied(err)
	_, err = t.As(orgstore.Actor{User: "half"}).Requests.Approve(ctx, o.ID, r.ID, orgstore.MemberOptions{})
	denied(err)
	check()
	t.changed(asking.Requests.Withdraw(ctx, o.ID, r.ID))
	t.changed(admin.Requests.Approve(ctx, o.ID, other, orgstore.MemberOptions{Roles: []string{t.role("weak", "a")}}))
	t.roles(o.ID, "v", "weak")
}

func requestsEnd(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	id, other := t.request(o.ID, user), t.request(o.ID, t.user("v"))
	t.changed(t.Users.Delete(ctx, user))
	_, err := t.Requests.Get(ctx, o.ID, id)
	t.notFound(err, "request")
	t.user(user)
	_, err = t.Requests.Approve(ctx, o.ID, id, orgstore.MemberOptions{})
	t.notFound(err, "request")
	t.request(o.ID, user)
	t.changed(t.Organizations.Delete(ctx, o.ID))
	_, err = t.Requests.Get(ctx, o.ID, other)
	t.notFound(err, "request")
	_, err = t.Requests.Decline(ctx, o.ID, other)
	t.notFound(err, "request")
	_, err = t.Requests.List(ctx, o.ID, orgstore.RequestListOptions{})
	t.notFound(err, "organization")
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows, %v", n, err)
	}
}

// joins gives an organization that setting, and a proven domain.
func (t *engineTest) joins(name, domain string, setting orgstore.AutoJoin) *orgstore.Organization {
	t.Helper()
	o, _, err := t.Organizations.Create(t.Context(), orgstore.Organization{Name: name, AutoJoin: setting})
	t.ok(err)
	t.proven(orgstore.DiscoveryDomain{Organization: o.ID, Domain: domain})
	return o
}

func requestsByDomain(t *engineTest) {
	ctx := t.Context()
	user := t.user("u")
	by := func(o *orgstore.Organization, want orgstore.AutoJoin, changed bool) {
		t.Helper()
		got, result, err := t.Requests.ByDomain(ctx, o.ID, user, "u@Acme.example")
		if err != nil || got != want || result.Changed != changed {
			t.Errorf("%s: %s, %+v, %v", o.Name, got, result, err)
		}
	}
	off := t.joins("off", "acme.example", orgstore.AutoJoinOff)
	by(off, orgstore.AutoJoinOff, false)
	suggest := t.joins("suggest", "acme.example", orgstore.AutoJoinSuggest)
	by(suggest, orgstore.AutoJoinSuggest, false)
	automatic := t.joins("automatic", "acme.example", orgstore.AutoJoinAutomatic)
	by(automatic, orgstore.AutoJoinAutomatic, true)
	if m, err := t.Members.Get(ctx, automatic.ID, user); err != nil || m.JoinedBy != "jit" || len(m.Roles) != 0 {
		t.Errorf("member %+v, %v", m, err)
	}
	by(automatic, orgstore.AutoJoinOff, false) // a member

	approval := t.joins("approval", "acme.example", orgstore.AutoJoinApproval)
	by(approval, orgstore.AutoJoinApproval, true)
	by(approval, orgstore.AutoJoinApproval, false) // is pending
	page, err := t.Requests.List(ctx, approval.ID, orgstore.RequestListOptions{Status: orgstore.RequestPending})
	if err != nil || len(page.Items) != 1 || page.Items[0].Source != "domain" || page.Items[0].User != user {
		t.Fatalf("requests: %+v, %v", page.Items, err)
	}
	t.changed(t.Requests.Withdraw(ctx, approval.ID, page.Items[0].ID))
	by(approval, orgstore.AutoJoinApproval, true)
	page, err = t.Requests.List(ctx, approval.ID, orgstore.RequestListOptions{Status: orgstore.RequestPending})
	t.ok(err)
	t.changed(t.Requests.Decline(ctx, approval.ID, page.Items[0].ID))
	by(approval, orgstore.AutoJoinApproval, false) // was declined
	t.request(approval.ID, user)                   // but may ask
}

func requestsByNoDomain(t *engineTest) {
	ctx := t.Context()
	user := t.user("u")
	o := t.joins("automatic", "acme.example", orgstore.AutoJoinAutomatic)
	unproven, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "unproven", AutoJoin: orgstore.AutoJoinAutomatic})
	t.ok(err)
	_, _, err = t.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{
		Organization: unproven.ID, Domain: "acme.example", Status: orgstore.DomainVerified, Discovery: true,
	})
	t.ok(err)
	check := t.nothingWritten()
	for email, org := range map[string]string{
		"u@other.example":        o.ID,
		"u@sub.acme.example":     o.ID,
		"u@acme.example.evil.io": o.ID,
		"u@notacme.example":      o.ID,
		"u@acme.example":         unproven.ID, // somebody has merely said that it is verified
	} {
		if got, result, err := t.Requests.ByDomain(ctx, org, user, email); err != nil || got != orgstore.AutoJoinOff || result.Changed {
			t.Errorf("%s: %s, %+v, %v", email, got, result, err)
		}
	}
	check()
	t.changed(t.Users.Block(ctx, user))
	if got, _, err := t.Requests.ByDomain(ctx, o.ID, user, "u@acme.example"); err != nil || got != orgstore.AutoJoinOff {
		t.Errorf("blocked: %s, %v", got, err)
	}
	t.changed(t.Users.Unblock(ctx, user))
	t.changed(t.Organizations.Suspend(ctx, o.ID))
	if got, _, err := t.Requests.ByDomain(ctx, o.ID, user, "u@acme.example"); err != nil || got != orgstore.AutoJoinOff {
		t.Errorf("suspended: %s, %v", got, err)
	}
	_, err = t.Members.Get(ctx, o.ID, user)
	t.notFound(err, "member")
}
