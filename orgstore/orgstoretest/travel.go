package orgstoretest

import (
	"slices"

	"github.com/orgauthz/orgauthz/orgstore"
)

// travelCases tell of Travel0, whose customers are Granite Outpost, AdventureZ and Rocky Mountain High.
var travelCases = map[string]func(*accessTest){
	"CTR-1: Rocky Mountain High lets any AdventureZ employee freelance for it": travelContract,
	"CTR-1: Sumana is a member of both instead":                                travelMemberships,
}

type travel struct{ rocky, adventurez, granite, guide, sumana, freelancer, jonno string }

func (t *accessTest) travel() travel {
	w := travel{
		rocky: t.org("rocky-mountain-high").ID, adventurez: t.org("adventurez").ID, granite: t.org("granite-outpost").ID,
		guide:  t.role("guide", "read:adventures", "create:signups"),
		sumana: t.user("samlp|adventurez|sumana"), freelancer: t.user("auth0|freelancer"), jonno: t.user("auth0|jonno"),
	}
	t.member(w.adventurez, w.sumana, w.guide)
	t.changed(t.Members.Add(t.Context(), w.adventurez, w.freelancer, orgstore.MemberOptions{Kind: "freelancer", Roles: []string{w.guide}}))
	t.member(w.rocky, w.jonno, w.guide)
	return w
}

func travelContract(t *accessTest) {
	ctx := t.Context()
	w := t.travel()
	t.refused(w.rocky, w.sumana)
	c := t.contract(w.rocky, w.adventurez, func(c *orgstore.ContractTerms) {
		c.Name = "AdventureZ guides for Rocky"
		c.Shares = []orgstore.Share{{Name: "ratings", Direction: orgstore.ShareBoth}}
	}, w.guide)

	// Sumana, employed by AdventureZ, guides at Rocky under the contract, and her ratings carry over.
	a := t.expect(w.rocky, w.sumana, member, "guide")
	if a.Member.Kind != "guest" || !a.Member.Has("create:signups") {
		t.Errorf("Sumana at Rocky is %+v", a.Member)
	}
	if !slices.ContainsFunc(a.Org.Shares, func(s orgstore.AccessShare) bool {
		return s.Name == "ratings" && s.Direction == orgstore.ShareBoth && s.With == w.adventurez
	}) {
		t.Errorf("Sumana's ratings do not carry over: %+v", a.Org.Shares)
	}
	t.expect(w.adventurez, w.sumana, member, "guide")
	t.refused(w.granite, w.sumana)

	t.refused(w.rocky, w.freelancer) // an AdventureZ freelancer is no employee
	t.refused(w.adventurez, w.jonno) // it goes one way
	t.expect(w.rocky, w.jonno, member, "guide")

	// Somebody AdventureZ employs later is admitted at once; whoever leaves AdventureZ is out at Rocky too.
	late := t.user("samlp|adventurez|late")
	t.refused(w.rocky, late)
	t.member(w.adventurez, late)
	t.expect(w.rocky, late, member, "guide")
	t.changed(t.Members.Remove(ctx, w.adventurez, late))
	t.refused(w.rocky, late)

	// AdventureZ makes the freelancer an employee.
	t.changed(t.Members.Update(ctx, w.adventurez, w.freelancer, orgstore.MemberUpdate{Kind: new("employee")}))
	t.expect(w.rocky, w.freelancer, member, "guide")

	// Without the contract nobody of AdventureZ is anything at Rocky, and nothing is shared.
	t.changed(t.Contracts.End(ctx, c.ID))
	for _, who := range []string{w.sumana, w.freelancer, late} {
		t.refused(w.rocky, who)
	}
	t.expect(w.rocky, w.jonno, member, "guide")
	t.expect(w.adventurez, w.sumana, member, "guide")
}

func travelMemberships(t *accessTest) {
	ctx := t.Context()
	w := t.travel()
	lead := t.role("lead")
	c := t.contract(w.rocky, w.adventurez, nil, w.guide)
	t.changed(t.Members.Add(ctx, w.rocky, w.sumana, orgstore.MemberOptions{Kind: "freelancer", Roles: []string{lead}, JoinedBy: "contract"}))
	a := t.expect(w.rocky, w.sumana, member, "lead")
	if a.Member.Kind != "freelancer" || a.Member.Via != "" {
		t.Errorf("Sumana at Rocky is %+v", a.Member)
	}
	// A membership of her own outlives the contract and her employment at AdventureZ.
	t.changed(t.Contracts.End(ctx, c.ID))
	t.changed(t.Members.Remove(ctx, w.adventurez, w.sumana))
	t.expect(w.rocky, w.sumana, member, "lead")
	t.changed(t.Members.Add(ctx, w.granite, w.sumana, orgstore.MemberOptions{JoinedBy: "invitation"}))
	t.expect(w.granite, w.sumana, member)
}
