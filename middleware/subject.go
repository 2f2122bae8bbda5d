package middleware

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// subjectTable keeps one policy.Subject for each pair of claims and access that requests come with, so that what policies
// need of them is prepared once. It is a cache of fixed size without locks: a slot is replaced whole, both pointers are
// compared on every hit, and losing a slot costs making the Subject again. A slot is found by the claims alone, so that a
// refreshed access takes the place of the one before. The bytes of all that is kept stay below a limit: when they reach it,
// slots are emptied in turn.
type subjectTable struct {
	seed  maphash.Seed
	mask  uint64
	slots []atomic.Pointer[preparedSubject]
	api   string // Config.API
	limit int64
	bytes atomic.Int64
	hand  atomic.Uint64 // the next slot to empty
}

type preparedSubject struct {
	claims  *claims.Claims
	access  *orgstore.Access
	subject *policy.Subject
	size    int64 // estimated bytes
}

// bytesPerSubject is what a slot adds to the limit: an ordinary token and membership take about half of it.
const bytesPerSubject = 2 << 10

// ways is the number of neighbouring slots that one token may be in: one cache line of pointers.
const ways = 8

func newSubjectTable(size int) subjectTable {
	n := ways
	for n < size {
		n <<= 1
	}
	return subjectTable{
		seed: maphash.MakeSeed(), mask: uint64(n - 1), slots: make([]atomic.Pointer[preparedSubject], n), limit: int64(n) * bytesPerSubject,
	}
}

func (t *subjectTable) get(c *claims.Claims, a *orgstore.Access) *policy.Subject {
	h := maphash.Comparable(t.seed, c)
	set := t.slots[h&t.mask&^(ways-1):][:ways]
	// Each token begins at its own slot of the set, so that few have to look at the entries of others.
	begin := h >> 32
	var mine, free *atomic.Pointer[preparedSubject]
	var s *policy.Subject
	for i := range uint64(ways) {
		slot := &set[(begin+i)%ways]
		held := slot.Load()
		if held != nil && held.claims == c {
			if held.access == a {
				return held.subject
			}
			if sameSubject(held.access, a, t.api) {
				s = held.subject // the access was read again, and nothing had changed
			}
			mine = slot
			break
		}
		if held == nil && free == nil {
			free = slot
		}
	}
	if s == nil {
		s = newSubject(c, a, t.api)
	}
	t.put(cmp.Or(mine, free, &set[begin%ways]), &preparedSubject{claims: c, access: a, subject: s, size: sizeOf(c, a, t.api)})
	return s
}

// put stores p, and empties slots while there is more than the limit.
func (t *subjectTable) put(slot *atomic.Pointer[preparedSubject], p *preparedSubject) {
	added := p.size
	if added > t.limit/2 {
		return
	}
	if old := slot.Swap(p); old != nil {
		added -= old.size
	}
	for total := t.bytes.Add(added); total > t.limit; {
		slot := &t.slots[t.hand.Add(1)&t.mask]
		if old := slot.Swap(nil); old != nil {
			total = t.bytes.Add(-old.size)
		}
	}
}

// sizeOf estimates the bytes that are kept for one token and access: themselves, and what is prepared of them.
func sizeOf(c *claims.Claims, a *orgstore.Access, api string) int64 {
	const (
		fixed = 1 << 10
		term  = 160 // of each text: its header, twice, and its term
	)
	n := fixed
	for _, list := range [...][]string{c.Scopes, c.Roles, c.Permissions, c.Audience, c.AMR,
		a.Member.Roles, a.Member.Permissions, a.Member.APIPermissions[api]} {
		for _, s := range list {
			n += term + 2*len(s)
		}
	}
	for _, s := range a.Org.Shares {
		n += 3*term + 2*(len(s.Name)+len(s.Direction)+len(s.With))
	}
	for _, c := range a.Member.Contracts {
		n += 2*term + 2*(len(c.ID)+len(c.Guest))
	}
	for _, m := range [...]map[string]string{a.Org.Metadata, a.Member.Metadata} {
		for k, v := range m {
			n += 2*term + 2*(len(k)+len(v))
		}
	}
	return int64(n)
}

// sameSubject reports whether newSubject would make the same of a and b. It takes a hundredth of the time.
func sameSubject(a, b *orgstore.Access, api string) bool {
	return a.Org.ID == b.Org.ID && a.Org.Name == b.Org.Name && a.Org.Status == b.Org.Status && a.Member.Kind == b.Member.Kind &&
		slices.Equal(a.Member.Roles, b.Member.Roles) && slices.Equal(a.Member.Permissions, b.Member.Permissions) &&
		slices.Equal(a.Member.APIPermissions[api], b.Member.APIPermissions[api]) && a.Member.Via == b.Member.Via &&
		slices.Equal(a.Member.Contracts, b.Member.Contracts) && slices.Equal(a.Org.Shares, b.Org.Shares) &&
		maps.Equal(a.Org.Metadata, b.Org.Metadata) && maps.Equal(a.Member.Metadata, b.Member.Metadata)
}

func newSubject(c *claims.Claims, a *orgstore.Access, api string) *policy.Subject {
	var authTime int64
	if !c.AuthTime.IsZero() {
		authTime = c.AuthTime.Unix()
	}
	permissions := a.Member.Permissions
	if more := a.Member.APIPermissions[api]; api != "" && len(more) > 0 {
		permissions = slices.Concat(permissions, more)
		slices.Sort(permissions)
		permissions = slices.Compact(permissions)
	}
	var shares []policy.Share
	for _, s := range a.Org.Shares {
		shares = append(shares, policy.Share{Name: s.Name, Direction: string(s.Direction), With: s.With})
	}
	var contracts []policy.Contract
	for _, c := range a.Member.Contracts {
		contracts = append(contracts, policy.Contract{ID: c.ID, Guest: c.Guest})
	}
	return policy.NewSubject(
		policy.Token{
			Subject: c.Subject, Issuer: c.Issuer, ClientID: c.ClientID,
			Scopes: c.Scopes, ACR: c.ACR, AMR: c.AMR, AuthTime: authTime,
		},
		policy.Org{ID: a.Org.ID, Name: a.Org.Name, Status: string(a.Org.Status), Metadata: a.Org.Metadata, Shares: shares},
		policy.Member{
			ID: c.Subject, Kind: a.Member.Kind, Roles: a.Member.Roles,
			Permissions: permissions, Metadata: a.Member.Metadata, Via: string(a.Member.Via), Contracts: contracts,
		},
	)
}
