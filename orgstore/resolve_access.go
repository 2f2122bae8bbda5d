package orgstore

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// never is an instant that nothing waits for.
const never = math.MaxInt64

// builder makes the answer of a picture: a pure function of it.
type builder struct {
	*picture
	a     Access
	next  int64           // the next instant at which the answer changes by time alone
	roles []EffectiveRole // in the order in which they were found
}

// access returns the answer.
func (b *builder) access() (*Access, error) {
	b.a.Principal, b.a.Standing = b.principal, StandingNoOrganization
	if b.byName {
		b.saw(NameScope(b.ref), b.nameRevision)
	}
	if b.org != "" {
		b.saw(OrganizationScope(b.org), b.orgRevision)
	}
	if chain := b.chain(b.org); len(chain) > 0 {
		if err := b.stand(chain); err != nil {
			return nil, err
		}
	}
	b.a.finish()
	if b.next != never {
		// On this node's clock, and rather too soon: the snapshot was taken after asOf.
		b.a.ValidUntil = time.UnixMicro(b.asOf.UnixMicro() + b.next - b.now).UTC()
	}
	return &b.a, nil
}

// stand fills in what the principal is in the organization with which chain begins.
func (b *builder) stand(chain []pictureOrg) error {
	host := &chain[0]
	if err := b.a.Org.fill(host.id, host.name, host.status, host.metadata, host.security); err != nil {
		return err
	}
	var m pictureMember
	var is, admitted bool // a member; whoever is admitted without being one
	if !b.nobody {
		b.saw(UserScope(b.principal), b.principalChanges)
		m, is = b.member(host.id)
		b.a.Member.Kind = m.kind
		var err error
		if is {
			if b.a.Member.Metadata, err = decodeMetadata(m.metadata); err != nil {
				return err
			}
			err = b.hold(func(r *pictureRole) bool {
				return r.root == host.id && (r.way == wayDirect || r.way == wayTeam || r.way == wayGroup)
			})
			for _, s := range b.scopes {
				if s.root == host.id {
					b.saw(s.Scope, s.Revision.Revision)
				}
			}
		} else {
			b.a.Member.Kind = ""
		}
		if err == nil {
			admitted, err = b.admit(host, chain[1:], is)
		}
		if err != nil {
			return err
		}
		after := max(host.tokensValidAfter, b.tokensValidAfter)
		if is {
			after = max(after, m.tokensValidAfter)
		}
		if after != 0 {
			b.a.TokensValidAfter = time.UnixMicro(after).UTC()
		}
	}
	switch {
	case suspended(chain): // a suspension counts for all organizations below (rule TREE-3)
		b.a.Standing = StandingSuspended
	case !is && !admitted:
		b.a.Standing = StandingNotMember
	case b.blocked:
		b.a.Standing = StandingBlocked
	case is && m.status != string(MemberActive):
		b.a.Standing = StandingMemberSuspended
	default:
		b.a.Standing = StandingMember
	}
	return nil
}

// admit adds what the principal has in host beside a membership, by roles that count in the organizations below those of above
// (rule TREE-4), by grants of a machine (rule M2M-3) and, for whoever is no member otherwise, by contracts. It reports whether any
// of it admits somebody who is no member.
func (b *builder) admit(host *pictureOrg, above []pictureOrg, is bool) (bool, error) {
	via := Via("")
	for i := range above {
		m, ok := b.member(above[i].id)
		if !ok || m.status != string(MemberActive) {
			continue
		}
		n := len(b.roles)
		err := b.hold(func(r *pictureRole) bool {
			return r.root == host.id && r.way == wayAncestor && r.source == above[i].id
		})
		if err != nil {
			return false, err
		}
		if len(b.roles) > n && via == "" {
			via = ViaAncestor
			if !is {
				b.a.Member.Kind = m.kind
			}
		}
	}
	for _, g := range b.grants {
		if b.client {
			b.a.Member.addFor(g.audience, strings.Fields(g.scopes)...)
			via = ViaGrant
		}
	}
	if b.client && (is || via != "") {
		b.a.Member.Kind = "machine"
	}
	if !is && via == "" && !b.client {
		err := b.contract(host)
		if err != nil {
			return false, err
		}
		if len(b.a.Member.Contracts) > 0 {
			via, b.a.Member.Kind = ViaContract, "guest"
		}
	}
	if is {
		via = ""
	}
	b.a.Member.Via = via
	return via != "", nil
}

// contract looks at the contracts that admit members of other organizations into host: those of them that admit the principal
// give their roles, and no others (rules CTR-1 to CTR-4).
func (b *builder) contract(host *pictureOrg) error {
	b.saw(ContractsScope(host.id), b.contractsRevision)
	slices.SortFunc(b.contracts, func(x, y pictureContract) int { return cmp.Compare(x.id, y.id) })
	for i := range b.contracts {
		c := &b.contracts[i]
		m, is := b.member(c.guest)
		if !m.exists {
			continue
		}
		b.saw(ContractScope(c.id), c.revision)
		chain := b.chain(c.guest)
		switch {
		case len(chain) == 0 || suspended(chain) || !is || m.status != string(MemberActive):
			continue
		case c.from != 0 && b.ahead(c.from), c.until != 0 && !b.ahead(c.until):
			continue
		}
		ok, err := b.meets(c, &m)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := b.hold(func(r *pictureRole) bool { return r.way == wayContract && r.source == c.id }); err != nil {
			return err
		}
		b.a.Member.Contracts = append(b.a.Member.Contracts, AccessContract{ID: c.id, Guest: c.guest})
		var shares []Share
		if err := json.Unmarshal([]byte(c.shares), &shares); err != nil {
			return err
		}
		for _, s := range shares {
			if !s.Until.IsZero() && !b.ahead(s.Until.UnixMicro()) {
				continue
			}
			b.a.Org.Shares = append(b.a.Org.Shares, AccessShare{Share: s, Contract: c.id, With: c.guest})
		}
	}
	return nil
}

// meets reports whether a member of the guest is one of those that a contract is for.
func (b *builder) meets(c *pictureContract, m *pictureMember) (bool, error) {
	metadata, err := decodeMetadata(m.metadata)
	if err != nil {
		return false, err
	}
	if c.team != "" || c.role != "" {
		for _, s := range b.scopes {
			if s.root == c.guest {
				b.saw(s.Scope, s.Revision.Revision)
			}
		}
	}
	value, has := metadata[c.metadataKey]
	return slices.Contains(strings.Fields(c.kinds), m.kind) && (c.team == "" || b.inTeam(c.guest, c.team)) &&
		(c.role == "" || b.holds(c.guest, c.role)) && (c.metadataKey == "" || has && value == c.metadataValue), nil
}

// holds reports whether the principal, a member of root, holds a role there, itself or by a team or group.
func (b *builder) holds(root, role string) bool {
	for i := range b.picture.roles {
		r := &b.picture.roles[i]
		if r.root != root || r.id != role || r.way == wayAncestor || r.way == wayContract {
			continue
		}
		b.saw(RoleScope(r.id), r.revision)
		if r.expiresAt == 0 || b.ahead(r.expiresAt) {
			return true
		}
	}
	return false
}

// hold adds the roles that which chooses, as far as holding them has not expired.
func (b *builder) hold(which func(*pictureRole) bool) error {
	for i := range b.picture.roles {
		r := &b.picture.roles[i]
		if !which(r) || r.expiresAt != 0 && !b.ahead(r.expiresAt) {
			continue
		}
		b.saw(RoleScope(r.id), r.revision)
		base := b.bases[r.base]
		if base.id, base.follows = r.base, r.follows; base.id != "" {
			b.saw(RoleScope(base.id), base.revision)
		}
		if err := b.a.Member.add(r.name, r.permissions, r.apiPermissions, &base); err != nil {
			return err
		}
		b.roles = append(b.roles, EffectiveRole{r.id, r.name, []string{r.from()}})
	}
	return nil
}

// from names where a role comes from.
func (r *pictureRole) from() string {
	switch r.way {
	case wayAncestor:
		return "ancestor:" + r.source
	case wayTeam:
		return "team:" + r.source
	case wayGroup:
		return "group:" + r.source
	case wayContract:
		return "contract:" + r.source
	}
	return "direct"
}

// chain returns the organization root and those above it; none when it is no live one. What is deleted, also by schedule, ends
// the chain: the organizations below go on without it.
func (b *builder) chain(root string) []pictureOrg {
	chain := b.chains[root]
	for i, o := range chain {
		b.saw(OrganizationScope(o.id), o.revision)
		if o.deleteAt != 0 && !b.ahead(o.deleteAt) {
			return chain[:i]
		}
	}
	return chain
}

// suspended reports whether an organization of a chain is.
func suspended(chain []pictureOrg) bool {
	return slices.ContainsFunc(chain, func(o pictureOrg) bool { return o.status != string(OrganizationActive) })
}

// member returns the principal's membership in org, and whether it is one now: not one that has expired.
func (b *builder) member(org string) (pictureMember, bool) {
	m := b.members[org]
	b.saw(MembershipScope(org, b.principal), m.revision)
	return m, m.exists && (m.expiresAt == 0 || b.ahead(m.expiresAt))
}

// ahead reports whether an instant is in the future: then the answer holds until it at most.
func (b *builder) ahead(at int64) bool {
	if at <= b.now {
		return false
	}
	b.next = min(b.next, at)
	return true
}

func (b *builder) saw(s Scope, revision uint64) {
	b.a.Vector = append(b.a.Vector, Revision{s, revision})
}

// effective returns the roles that the answer counts, by name, each once with all its sources.
func (b *builder) effective() []EffectiveRole {
	slices.SortStableFunc(b.roles, func(x, y EffectiveRole) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
	})
	var list []EffectiveRole
	for _, r := range b.roles {
		if n := len(list); n > 0 && list[n-1].ID == r.ID {
			list[n-1].Sources = inOrder(append(list[n-1].Sources, r.Sources...))
			continue
		}
		list = append(list, r)
	}
	return list
}
