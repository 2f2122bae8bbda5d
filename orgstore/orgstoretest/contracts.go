package orgstoretest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var contractCases = map[string]func(*accessTest){
	"CTR-1: create, change, end":                    contractLife,
	"CTR-1: refused":                                contractRefused,
	"CTR-1: every condition has to be met":          contractConditions,
	"CTR-1: from and until":                         contractInstants,
	"CTR-2: what is shared":                         contractShares,
	"CTR-3: it ends with either side":               contractEnds,
	"CTR-3: it reaches nobody further":              contractTransitive,
	"CTR-4: its roles and no others":                contractRoles,
	"CTR-1: limit":                                  contractLimit,
	"CTR-1: lists":                                  contractLists,
	"CTR-1: what a contract is, is in every vector": contractVector,
}

// contract makes a contract that admits employees with roles, after edit has changed its terms.
func (t *engineTest) contract(host, guest string, edit func(*orgstore.ContractTerms), roles ...string) *orgstore.Contract {
	t.Helper()
	c := orgstore.Contract{Host: host, Guest: guest, ContractTerms: orgstore.ContractTerms{Roles: roles}}
	if edit != nil {
		edit(&c.ContractTerms)
	}
	made, result, err := t.Contracts.Create(t.Context(), c)
	t.changed(result, err)
	return made
}

// refused fails the test unless principal has no access, and nothing of a membership.
func (t *engineTest) refused(org, principal string) *orgstore.Access {
	t.Helper()
	a := t.expect(org, principal, notMember)
	if a.Member.Kind != "" || a.Member.Via != "" || len(a.Member.Contracts)+len(a.Org.Shares)+len(a.Member.Permissions) > 0 {
		t.Fatalf("who is refused is %+v", a)
	}
	return a
}

func contractLife(t *accessTest) {
	ctx := t.Context()
	host, guest, user, guide := t.org("host").ID, t.org("guest").ID, t.user("u"), t.role("guide", "g")
	t.member(guest, user)
	t.refused(host, user)
	given := orgstore.Contract{Host: host, Guest: guest, ContractTerms: orgstore.ContractTerms{
		Name: "summer", Roles: []string{guide, guide}, Shares: []orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth}},
	}}
	c, result, err := t.Contracts.Create(ctx, given)
	t.changed(result, err)
	if _, ok := result.Revision.Of(orgstore.ContractsScope(host)); !ok || len(result.Revision) != 2 {
		t.Errorf("a new contract raised %v", result.Revision)
	}
	got, err := t.Contracts.Get(ctx, c.ID)
	t.ok(err)
	if !reflect.DeepEqual(got, c) || !slices.Equal(got.Kinds, []string{"employee"}) || !slices.Equal(got.Roles, []string{guide}) || got.CreatedAt.IsZero() {
		t.Errorf("got %+v, want %+v", got, c)
	}
	a := t.expect(host, user, member, "guide")
	if a.Member.Kind != "guest" || a.Member.Via != orgstore.ViaContract || a.Member.Metadata != nil || a.Org.ID != host ||
		!slices.Equal(a.Member.Contracts, []orgstore.AccessContract{{ID: c.ID, Guest: guest}}) {
		t.Errorf("access by contract: %+v", a)
	}
	t.sources(host, user, "guide: contract:"+c.ID)

	t.unchanged(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Name: new("summer"), Kinds: &[]string{}}))
	result, err = t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Roles: &[]string{}})
	t.changed(result, err)
	if len(result.Revision) != 1 || result.Revision[0].Scope != orgstore.ContractScope(c.ID) {
		t.Errorf("a changed contract raised %v", result.Revision)
	}
	t.expect(host, user, member)
	t.changed(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Roles: &[]string{guide}, Kinds: &[]string{"freelancer"}}))
	t.refused(host, user)
	t.changed(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Kinds: &[]string{"freelancer", "employee"}}))
	t.expect(host, user, member, "guide")
	t.changed(t.Roles.Delete(ctx, guide))
	t.expect(host, user, member)

	t.changed(t.Contracts.End(ctx, c.ID))
	t.refused(host, user)
	t.unchanged(t.Contracts.End(ctx, c.ID))
	t.invalid(second(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Name: new("x")})), "contract", "")
	if got, err := t.Contracts.Get(ctx, c.ID); err != nil || got.EndedAt.IsZero() {
		t.Errorf("an ended contract is %+v, %v", got, err)
	}
	// A member of the host is one, whatever contracts say.
	t.contract(host, guest, nil)
	t.member(host, user)
	if a := t.expect(host, user, member); a.Member.Via != "" || a.Member.Kind != "employee" || a.Member.Contracts != nil {
		t.Errorf("a member is %+v", a.Member)
	}
	t.sql(`UPDATE orgauthz_members SET status = 'suspended' WHERE org_id = $1`, host)
	t.expect(host, user, orgstore.StandingMemberSuspended)
	t.sql(`UPDATE orgauthz_members SET status = 'active', expires_at = $2 WHERE org_id = $1`, host, epoch.Add(time.Hour).UnixMicro())
	t.at(time.Hour)
	if a := t.expect(host, user, member); a.Member.Via != orgstore.ViaContract {
		t.Errorf("whose membership has expired is %+v", a.Member)
	}
}

func contractRefused(t *accessTest) {
	ctx := t.Context()
	host, guest, role := t.org("host").ID, t.org("guest").ID, t.role("r")
	c := t.contract(host, guest, nil)
	before := len(t.events())
	create := func(edit func(*orgstore.Contract)) error {
		c := orgstore.Contract{Host: host, Guest: guest}
		edit(&c)
		_, _, err := t.Contracts.Create(ctx, c)
		return err
	}
	long := strings.Repeat("a", 256)
	for _, bad := range []string{"", "org_0000000000000000", "host", "\x00", "\xff", strings.ToUpper(host)} {
		t.notFound(create(func(c *orgstore.Contract) { c.Host = bad }), "organization")
		t.notFound(create(func(c *orgstore.Contract) { c.Guest = bad }), "organization")
		_, err := t.Contracts.Get(ctx, bad)
		t.notFound(err, "contract")
		t.notFound(second(t.Contracts.End(ctx, bad)), "contract")
		t.notFound(second(t.Contracts.Update(ctx, bad, orgstore.ContractUpdate{})), "contract")
		_, err = t.Contracts.ListByHost(ctx, bad, orgstore.ListOptions{})
		t.notFound(err, "organization")
		_, err = t.Contracts.ListByGuest(ctx, bad, orgstore.ListOptions{})
		t.notFound(err, "organization")
	}
	t.invalid(create(func(c *orgstore.Contract) { c.Guest = host }), "guest", "")
	t.invalid(create(func(c *orgstore.Contract) { c.ID = "ctr_x" }), "id", "")
	t.conflict(create(func(other *orgstore.Contract) { other.ID = c.ID }), "contract", "id")
	share := func(s ...orgstore.Share) []orgstore.Share { return s }
	for field, terms := range map[string][]orgstore.ContractTerms{
		"name":         {{Name: long}, {Name: "a\nb"}, {Name: "\xff"}},
		"kinds":        {{Kinds: []string{"boss"}}, {Kinds: []string{""}}, {Kinds: []string{"employee "}}},
		"metadata_key": {{MetadataKey: long}, {MetadataKey: "\x00"}, {MetadataValue: "x"}, {MetadataKey: "x", MetadataValue: long}},
		"until":        {{From: epoch, Until: epoch}, {From: epoch.Add(1), Until: epoch}},
		"from":         {{From: time.Unix(-1, 0)}, {Until: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		"shares": {{Shares: share(orgstore.Share{Name: "x"})}, {Shares: share(orgstore.Share{Direction: orgstore.ShareBoth})},
			{Shares: share(orgstore.Share{Name: "x", Direction: "both "})}, {Shares: share(orgstore.Share{Name: "x", Direction: "both"}, orgstore.Share{Name: "x", Direction: "to_host"})}},
	} {
		for _, terms := range terms {
			t.invalid(create(func(c *orgstore.Contract) { c.ContractTerms = terms }), field, "")
		}
	}
	t.invalid(second(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Kinds: &[]string{"boss"}})), "kinds", "")
	foreign := "rol_0000000000000009"
	t.sql(`INSERT INTO orgauthz_roles (id, org_id, name, description, permissions, created_at, updated_at) VALUES ($1, $2, 'x', '', '', 0, 0)`, foreign, guest)
	for _, bad := range []string{foreign, "rol_0000000000000000", "r", "\x00"} {
		t.notFound(create(func(c *orgstore.Contract) { c.Roles = []string{role, bad} }), "role")
		t.notFound(second(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Roles: &[]string{bad}})), "role")
		if bad != foreign {
			t.notFound(create(func(c *orgstore.Contract) { c.Role = bad }), "role")
		}
	}
	t.sql(`INSERT INTO orgauthz_teams (id, org_id, parent_id, name, description, created_at, updated_at) VALUES ('team_0000000000000001', $1, '', 'x', '', 0, 0)`, host)
	for _, bad := range []string{"team_0000000000000001", "team_0000000000000000", "x", "\x00"} {
		t.notFound(create(func(c *orgstore.Contract) { c.Team = bad }), "team")
		t.notFound(second(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Team: &bad})), "team")
	}
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.ok(create(func(c *orgstore.Contract) { c.Role = foreign }))
	t.changed(t.Organizations.Delete(ctx, guest))
	_, err := t.Contracts.Get(ctx, c.ID)
	t.notFound(err, "contract")
}

func contractConditions(t *accessTest) {
	ctx := t.Context()
	host, guest := t.org("host").ID, t.org("guest").ID
	guide, licence := t.role("guide"), t.role("licence")
	employee, licensed, teamed, ranked := t.user("employee"), t.user("licensed"), t.user("teamed"), t.user("ranked")
	t.member(guest, employee)
	t.member(guest, licensed, licence)
	t.member(guest, teamed)
	t.changed(t.Members.Add(ctx, guest, ranked, orgstore.MemberOptions{Kind: "other", Metadata: map[string]string{"rank": "5"}}))
	top, low := "team_0000000000000001", "team_0000000000000002"
	for id, parent := range map[string]string{top: "", low: top} {
		t.sql(`INSERT INTO orgauthz_teams (id, org_id, parent_id, name, description, created_at, updated_at) VALUES ($1, $2, $3, $1, '', 0, 0)`, id, guest, parent)
	}
	t.sql(`INSERT INTO orgauthz_team_members (org_id, user_id, team_id) VALUES ($1, $2, $3)`, guest, teamed, low)
	admits := func(edit func(*orgstore.ContractTerms), want ...string) *orgstore.Contract {
		t.Helper()
		c := t.contract(host, guest, edit, guide)
		var got []string
		for _, user := range []string{employee, licensed, teamed, ranked} {
			if t.resolve(host, user).Standing == member {
				got = append(got, user)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("it admits %q, want %q", got, want)
		}
		return c
	}
	end := func(c *orgstore.Contract) { t.changed(t.Contracts.End(ctx, c.ID)) }
	end(admits(nil, employee, licensed, teamed))
	end(admits(func(c *orgstore.ContractTerms) { c.Kinds = []string{"other", "guest"} }, ranked))
	end(admits(func(c *orgstore.ContractTerms) { c.Role = licence }, licensed))
	end(admits(func(c *orgstore.ContractTerms) { c.Team = top }, teamed))
	end(admits(func(c *orgstore.ContractTerms) { c.Team = low }, teamed))
	end(admits(func(c *orgstore.ContractTerms) {
		c.Kinds, c.MetadataKey, c.MetadataValue = []string{"other"}, "rank", "5"
	}, ranked))
	end(admits(func(c *orgstore.ContractTerms) {
		c.Kinds, c.MetadataKey, c.MetadataValue = []string{"other"}, "rank", "6"
	}))
	end(admits(func(c *orgstore.ContractTerms) { c.Kinds, c.MetadataKey = []string{"other"}, "none" }))
	end(admits(func(c *orgstore.ContractTerms) { c.Role, c.Team = licence, top }))

	// A role held by a team counts, and no longer when the role or the team has been deleted, or the holding has expired.
	t.sql(`INSERT INTO orgauthz_team_roles (team_id, role_id) VALUES ($1, $2)`, top, licence)
	c := admits(func(c *orgstore.ContractTerms) { c.Role = licence }, licensed, teamed)
	t.saw(t.resolve(host, teamed), orgstore.TeamScope(top), orgstore.TeamScope(low), orgstore.RoleScope(licence))
	t.sql(`UPDATE orgauthz_member_roles SET expires_at = $1`, epoch.Add(time.Hour).UnixMicro())
	if a := t.expect(host, licensed, member, "guide"); !a.ValidUntil.Equal(epoch.Add(time.Hour).Truncate(time.Microsecond)) {
		t.Errorf("valid until %v", a.ValidUntil)
	}
	t.at(time.Hour)
	t.refused(host, licensed)
	t.expect(host, teamed, member, "guide")
	t.changed(t.Roles.Delete(ctx, licence))
	t.refused(host, teamed)
	end(c)
}

func contractInstants(t *accessTest) {
	host, guest, user := t.org("host").ID, t.org("guest").ID, t.user("u")
	t.member(guest, user)
	from, until := epoch.Add(time.Hour).Truncate(time.Microsecond), epoch.Add(2*time.Hour).Truncate(time.Microsecond)
	c := t.contract(host, guest, func(c *orgstore.ContractTerms) { c.From, c.Until = from, until })
	if a := t.refused(host, user); !a.ValidUntil.Equal(from) {
		t.Errorf("valid until %v, want %v", a.ValidUntil, from)
	}
	t.at(time.Hour)
	if a := t.expect(host, user, member); !a.ValidUntil.Equal(until) {
		t.Errorf("valid until %v, want %v", a.ValidUntil, until)
	}
	t.at(2 * time.Hour)
	if a := t.refused(host, user); !a.ValidUntil.IsZero() {
		t.Errorf("valid until %v, want always", a.ValidUntil)
	}
	t.changed(t.Contracts.Update(t.Context(), c.ID, orgstore.ContractUpdate{Until: new(time.Time{})}))
	if a := t.expect(host, user, member); !a.ValidUntil.IsZero() {
		t.Errorf("valid until %v, want always", a.ValidUntil)
	}
	t.sql(`UPDATE orgauthz_members SET expires_at = $1`, epoch.Add(3*time.Hour).UnixMicro())
	t.at(3 * time.Hour)
	t.refused(host, user)
}

func contractShares(t *accessTest) {
	ctx := t.Context()
	host, guest, user, own := t.org("host").ID, t.org("guest").ID, t.user("u"), t.user("own")
	t.member(guest, user)
	t.member(host, own)
	soon := epoch.Add(time.Hour).Truncate(time.Microsecond)
	shares := []orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth}, {Name: "photos", Direction: orgstore.ShareToHost, Until: soon}}
	c := t.contract(host, guest, func(c *orgstore.ContractTerms) { c.Shares = shares })
	a := t.expect(host, user, member)
	want := []orgstore.AccessShare{{Share: shares[0], Contract: c.ID, With: guest}, {Share: shares[1], Contract: c.ID, With: guest}}
	if !slices.Equal(a.Org.Shares, want) || !a.ValidUntil.Equal(soon) {
		t.Errorf("shares %+v until %v", a.Org.Shares, a.ValidUntil)
	}
	if a := t.resolve(host, own); a.Org.Shares != nil {
		t.Errorf("shares of a member %+v", a.Org.Shares)
	}
	t.at(time.Hour)
	if a := t.resolve(host, user); !slices.Equal(a.Org.Shares, want[:1]) {
		t.Errorf("shares later %+v", a.Org.Shares)
	}
	t.changed(t.Contracts.Update(ctx, c.ID, orgstore.ContractUpdate{Shares: &[]orgstore.Share{}}))
	if a := t.expect(host, user, member); a.Org.Shares != nil {
		t.Errorf("shares after the last %+v", a.Org.Shares)
	}
}

func contractEnds(t *accessTest) {
	ctx := t.Context()
	host, above, guest, user := t.org("host").ID, t.org("above").ID, t.org("guest").ID, t.user("u")
	t.member(guest, user)
	t.contract(host, guest, nil)
	t.changed(t.Organizations.SetParent(ctx, guest, above))
	for name, step := range map[string]struct {
		off, on func()
		want    orgstore.Standing
	}{
		"suspended guest":        {func() { t.changed(t.Organizations.Suspend(ctx, guest)) }, func() { t.changed(t.Organizations.Resume(ctx, guest)) }, notMember},
		"suspended above":        {func() { t.changed(t.Organizations.Suspend(ctx, above)) }, func() { t.changed(t.Organizations.Resume(ctx, above)) }, notMember},
		"suspended host":         {func() { t.changed(t.Organizations.Suspend(ctx, host)) }, func() { t.changed(t.Organizations.Resume(ctx, host)) }, orgstore.StandingSuspended},
		"suspended membership":   {func() { t.sql(`UPDATE orgauthz_members SET status = 'suspended'`) }, func() { t.sql(`UPDATE orgauthz_members SET status = 'active'`) }, notMember},
		"removed":                {func() { t.changed(t.Members.Remove(ctx, guest, user)) }, func() { t.member(guest, user) }, notMember},
		"blocked":                {func() { t.changed(t.Users.Block(ctx, user)) }, func() { t.changed(t.Users.Unblock(ctx, user)) }, orgstore.StandingBlocked},
		"another kind of member": {func() { t.sql(`UPDATE orgauthz_members SET kind = 'freelancer'`) }, func() { t.sql(`UPDATE orgauthz_members SET kind = 'employee'`) }, notMember},
	} {
		t.Log(name)
		t.expect(host, user, member)
		step.off()
		t.expect(host, user, step.want)
		step.on()
	}
	t.expect(host, user, member)
	t.changed(t.Organizations.Delete(ctx, guest))
	t.refused(host, user)
}

func contractTransitive(t *accessTest) {
	ctx := t.Context()
	a, b, c, below := t.org("a").ID, t.org("b").ID, t.org("c").ID, t.org("below").ID
	user, role := t.user("u"), t.role("boss")
	t.member(c, user, role)
	t.contract(b, c, func(terms *orgstore.ContractTerms) {
		terms.Kinds = []string{"employee", "guest", "freelancer", "other"}
	})
	t.contract(a, b, func(terms *orgstore.ContractTerms) {
		terms.Kinds = []string{"employee", "guest", "freelancer", "other"}
	})
	t.expect(b, user, member)
	t.refused(a, user)
	// Nor does it reach the organizations below the host, nor those whom a role from above makes somebody in the guest.
	t.changed(t.Organizations.SetParent(ctx, below, b))
	t.refused(below, user)
	top, other := t.org("top").ID, t.user("other")
	t.member(top, other, role)
	t.sql(`UPDATE orgauthz_member_roles SET descendants = 1`)
	t.changed(t.Organizations.SetParent(ctx, c, top))
	t.expect(c, other, member, "boss")
	t.refused(b, other)
}

func contractRoles(t *accessTest) {
	host, guest, third := t.org("host").ID, t.org("guest").ID, t.org("third").ID
	user := t.user("u")
	guide, boss, sales := t.role("guide", "g"), t.role("boss", "b"), t.role("sales", "s")
	t.member(guest, user, boss)
	t.member(third, user)
	first := t.contract(host, guest, nil, guide)
	a := t.expect(host, user, member, "guide")
	if a.Member.Has("b") || !a.Member.Has("g") {
		t.Errorf("permissions %q", a.Member.Permissions)
	}
	// Whom several contracts admit has the roles of all of them.
	next := t.contract(host, third, nil, guide, sales)
	a = t.expect(host, user, member, "guide", "sales")
	if len(a.Member.Contracts) != 2 {
		t.Errorf("contracts %+v", a.Member.Contracts)
	}
	from := []string{"contract:" + first.ID, "contract:" + next.ID}
	slices.Sort(from)
	t.sources(host, user, "guide: "+strings.Join(from, ", "), "sales: contract:"+next.ID)
}

func contractLimit(t *accessTest) {
	ctx := t.Context()
	host := t.org("host").ID
	var made []*orgstore.Contract
	for i := range 5 {
		made = append(made, t.contract(host, t.org(fmt.Sprint("guest", i)).ID, nil))
	}
	more := orgstore.Contract{Host: host, Guest: made[0].Guest}
	t.limit(third(t.Contracts.Create(ctx, more)), "contracts", 5)
	t.contract(made[0].Guest, host, nil) // another host's
	t.changed(t.Contracts.End(ctx, made[0].ID))
	t.ok(third(t.Contracts.Create(ctx, more)))
	many := t.org("many").ID
	errs := together(racers, func(i int) error {
		return third(t.Contracts.Create(ctx, orgstore.Contract{Host: many, Guest: made[i%5].Guest}))
	})
	if n := succeeded(errs); n != 5 {
		t.Errorf("%d of %d contracts, want 5", n, racers)
	}
	for _, err := range errs {
		if err != nil {
			t.limit(err, "contracts", 5)
		}
	}
	t.limit(third(t.Contracts.Create(ctx, orgstore.Contract{Host: t.org("o").ID, Guest: host, ContractTerms: orgstore.ContractTerms{Roles: t.many(t.roleNumber)[:20], Shares: make([]orgstore.Share, 51)}})), "shares of a contract", 50)
}

func contractLists(t *accessTest) {
	ctx := t.Context()
	host, guest, a, b := t.org("host").ID, t.org("guest").ID, t.role("a"), t.role("b")
	var want []string
	for range 5 {
		want = append(want, t.contract(host, guest, nil, a, b).ID)
	}
	t.changed(t.Contracts.End(ctx, want[1])) // stays listed
	slices.Sort(want)
	for name, list := range map[string]func(opts orgstore.ListOptions) (orgstore.Page[*orgstore.Contract], error){
		"host": func(opts orgstore.ListOptions) (orgstore.Page[*orgstore.Contract], error) {
			return t.Contracts.ListByHost(ctx, host, opts)
		},
		"guest": func(opts orgstore.ListOptions) (orgstore.Page[*orgstore.Contract], error) {
			return t.Contracts.ListByGuest(ctx, guest, opts)
		},
	} {
		for _, descending := range []bool{false, true} {
			var got []string
			for after := ""; ; {
				page, err := list(orgstore.ListOptions{Limit: 2, After: after, Descending: descending, Total: true})
				t.ok(err)
				for _, c := range page.Items {
					got = append(got, c.ID)
					if len(c.Roles) != 2 {
						t.Errorf("%s: %+v", name, c)
					}
				}
				if page.Total != 5 {
					t.Errorf("%s: %d in all", name, page.Total)
				}
				if after = page.Next; after == "" {
					break
				}
			}
			if descending {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		_, err := list(orgstore.ListOptions{After: "x"})
		t.invalid(err, "After", "x")
	}
	if page, err := t.Contracts.ListByHost(ctx, guest, orgstore.ListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("an empty list: %+v, %v", page, err)
	}
}

func contractVector(t *accessTest) {
	host, guest, user := t.org("host").ID, t.org("guest").ID, t.user("u")
	a := t.refused(host, user)
	if revision, ok := a.Vector.Of(orgstore.ContractsScope(host)); !ok || revision != 0 || len(a.Vector) != 4 {
		t.Errorf("the vector of a no is %v", a.Vector)
	}
	role := t.role("guide")
	c := t.contract(host, guest, nil, role)
	a = t.refused(host, user)
	t.saw(a, orgstore.ContractsScope(host), orgstore.MembershipScope(guest, user))
	t.member(guest, user)
	a = t.expect(host, user, member, "guide")
	t.saw(a, orgstore.ContractsScope(host), orgstore.MembershipScope(guest, user), orgstore.MembershipScope(host, user),
		orgstore.ContractScope(c.ID), orgstore.OrganizationScope(guest), orgstore.OrganizationScope(host), orgstore.RoleScope(role), orgstore.UserScope(user))
	if len(a.Vector) != 8 {
		t.Errorf("the vector is %v", a.Vector)
	}
}
