package rediscache

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
)

func sample(asOf time.Time) *orgstore.Access {
	return &orgstore.Access{
		Standing:  orgstore.StandingMember,
		Principal: "auth0|sumana",
		Org: orgstore.AccessOrg{
			ID: "org_rocky", Name: "rocky-mountain-high", Status: orgstore.OrganizationActive,
			Metadata: map[string]string{"plan": "gold", "": "empty key"},
			Security: &orgstore.SecurityPolicy{MFA: true, ACR: []string{"b", "a"}, MaxSession: time.Hour,
				Methods: []string{"hwk"}, Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}},
			Shares: []orgstore.AccessShare{{
				Share:    orgstore.Share{Name: "ratings", Direction: orgstore.ShareBoth, Until: time.Unix(1_800_000_000, 0).UTC()},
				Contract: "ctr_1", With: "org_adventurez",
			}, {}},
		},
		Member: orgstore.AccessMember{
			Kind: "freelancer", Roles: []string{"guide", "mänager"}, Permissions: []string{},
			Metadata:       map[string]string{"employment": "freelance\n\x00"},
			APIPermissions: map[string][]string{"https://api": {"read"}, "": nil},
			Via:            orgstore.ViaContract, Contracts: []orgstore.AccessContract{{ID: "ctr_1", Guest: "org_adventurez"}},
		},
		TokensValidAfter: time.Unix(1_700_000_000, 5).UTC(),
		Vector: orgstore.Vector{
			{Scope: orgstore.OrganizationScope("org_rocky"), Revision: 3},
			{Scope: orgstore.MembershipScope("org_rocky", "auth0|sumana"), Revision: revisionLimit - 1},
			{Scope: orgstore.UserScope("auth0|sumana"), Revision: 0},
			{Scope: orgstore.RoleScope("rol_ guide=\n."), Revision: 12},
			{Scope: orgstore.NameScope(""), Revision: 1},
		},
		AsOf: asOf,
	}
}

func TestEntryRoundTrip(t *testing.T) {
	t.Parallel()
	want := sample(time.Now().Round(0).UTC())
	for name, s := range map[string]sealer{"checksum": {}, "HMAC": {key: []byte("0123456789abcdef")}} {
		value, err := s.encodeEntry("key", want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.decodeEntry("key", string(value))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
		if _, err := s.decodeEntry("other key", string(value)); !errors.Is(err, errCorrupt) {
			t.Errorf("%s: an entry is accepted under another key: %v", name, err)
		}
		if _, err := (sealer{key: []byte("fedcba9876543210")}).decodeEntry("key", string(value)); !errors.Is(err, errCorrupt) {
			t.Errorf("%s: an entry is accepted under another secret: %v", name, err)
		}
		for i := range value {
			for bit := range 8 {
				damaged := bytes.Clone(value)
				damaged[i] ^= 1 << bit
				if _, err := s.decodeEntry("key", string(damaged)); err == nil {
					t.Fatalf("%s: bit %d of byte %d may be flipped", name, bit, i)
				}
			}
			if _, err := s.decodeEntry("key", string(value[:i])); err == nil {
				t.Fatalf("%s: may be cut at %d", name, i)
			}
		}
	}
	want.Vector[0].Revision = revisionLimit
	if _, err := (sealer{}).encodeEntry("key", want); err == nil {
		t.Error("a revision of 2^53 was encoded")
	}
}

func TestMessagesAreOfBoundedSize(t *testing.T) {
	t.Parallel()
	var want orgstore.Vector
	for i := range 3000 {
		id := strings.Repeat("x", i%500)
		want = append(want, orgstore.Revision{Scope: orgstore.MembershipScope(ids(i), id), Revision: uint64(i)})
	}
	want = append(want, orgstore.Revision{Scope: orgstore.UserScope(strings.Repeat("y", 10<<10))})
	var got orgstore.Vector
	messages := sealer{}.encodeMessages("channel", "me", want)
	for _, m := range messages {
		if len(m) > 2*chunk {
			t.Errorf("a message of %d bytes", len(m))
		}
		sender, v, err := sealer{}.decodeMessage("channel", string(m))
		if err != nil || sender != "me" {
			t.Fatalf("from %q: %v", sender, err)
		}
		got = append(got, v...)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%d pairs in %d messages became %d", len(want), len(messages), len(got))
	}
	beat := sealer{}.encodeMessages("channel", "me", nil)
	if len(beat) != 1 {
		t.Fatalf("a heartbeat is %d messages", len(beat))
	}
	if _, v, err := (sealer{}).decodeMessage("channel", string(beat[0])); err != nil || len(v) != 0 {
		t.Errorf("a heartbeat says %v, %v", v, err)
	}
}

// No two keys share a name in Redis, whatever they are made of, and each lies in the slot of its organization.
func TestKeysAreInjective(t *testing.T) {
	t.Parallel()
	hostile := []string{"", ":", "{", "}", "*", "\x00", "\n", "a:b", "a", "b", "{a}", "e:", "o", "n", "m:", "org_a", "org_A", "org_ä",
		"org_a\u0308", strings.Repeat("x", 10<<10), strings.Repeat("x", 10<<10) + "y", "\xff\xfe"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		b := make([]byte, random.IntN(6))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		hostile = append(hostile, string(b))
	}
	slices.Sort(hostile)
	hostile = slices.Compact(hostile)
	k := newKeyspace("orgauthz")
	seen := map[string]any{}
	own := func(name string, owner any) {
		if other, ok := seen[name]; ok && other != owner {
			t.Errorf("%.60q is the name of %.60q and of %.60q", name, other, owner)
		}
		seen[name] = owner
	}
	for _, org := range hostile {
		for _, principal := range hostile {
			keys, _ := k.entry(cached.Key{Org: org, Principal: principal})
			own(keys[0], cached.Key{Org: org, Principal: principal})
			own(keys[1], orgstore.OrganizationScope(org))
			own(keys[2], orgstore.NameScope(org))
			own(keys[3], orgstore.MembershipScope(org, principal))
			tag := k.tag(org)
			for _, name := range keys {
				if !strings.HasPrefix(name, tag) || strings.Count(name, "{") != 1 || strings.Count(name, "}") != 1 {
					t.Errorf("%.60q is outside of its organization's slot", name)
				}
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("a:b", "c", "a", "b:c")
	f.Add("{a}", "*", "a", "\x00\n")
	k := newKeyspace("p")
	f.Fuzz(func(t *testing.T, org1, principal1, org2, principal2 string) {
		a, _ := k.entry(cached.Key{Org: org1, Principal: principal1})
		b, _ := k.entry(cached.Key{Org: org2, Principal: principal2})
		if (a[0] == b[0]) != (org1 == org2 && principal1 == principal2) {
			t.Errorf("%q", a[0])
		}
	})
}

// What is decoded encodes to the same bytes: a value has one spelling, and none makes the decoder panic.
func FuzzEntry(f *testing.F) {
	s := sealer{}
	unsealed := func(a *orgstore.Access) []byte {
		value, err := s.encodeEntry("key", a)
		if err != nil {
			f.Fatal(err)
		}
		return value[:len(value)-32]
	}
	f.Add(unsealed(sample(time.Unix(1_800_000_000, 0))))
	f.Add(unsealed(&orgstore.Access{Standing: orgstore.StandingNotMember, AsOf: time.Unix(1, 0)}))
	f.Add([]byte(entryMagic + "1..=1\n"))
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = s.decodeEntry("key", string(value)) // as an attacker without the sum
		sealed := s.seal("key", bytes.Clone(value))
		a, err := s.decodeEntry("key", string(sealed))
		if err != nil {
			return
		}
		if a.Standing == orgstore.StandingUnknown {
			t.Error("no standing")
		}
		again, err := s.encodeEntry("key", a)
		if err != nil {
			t.Fatal(err)
		}
		back, err := s.decodeEntry("key", string(again))
		if err != nil || !reflect.DeepEqual(a, back) {
			t.Errorf("%+v became %+v, %v", a, back, err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	s := sealer{}
	f.Add([]byte(messageMagic + "me -\n1..b3Jn=5 2.b3Jn.dQ=6\n"))
	f.Add([]byte(messageMagic + "me -\n\n"))
	f.Fuzz(func(t *testing.T, value []byte) {
		_, v, err := s.decodeMessage("channel", string(s.seal("channel", bytes.Clone(value))))
		if err != nil {
			return
		}
		for _, r := range v {
			if r.Revision >= revisionLimit {
				t.Errorf("revision %d", r.Revision)
			}
		}
		if back, err := parseVector(string(appendVector(nil, v))); err != nil || !reflect.DeepEqual(back, v) {
			t.Errorf("%v became %v, %v", v, back, err)
		}
	})
}
