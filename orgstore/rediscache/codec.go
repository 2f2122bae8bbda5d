package rediscache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The value of an entry is
//
//	"oae3 " vector "\n" body sum
//
// and a message between nodes is
//
//	"oam1 " sender " " epoch "\n" vector "\n" sum
//
// where vector is text, because scripts in Redis compare vectors too: pairs kind.org.id=revision with base64url ids,
// separated by one space. sum is a SHA-256, or an HMAC of it, over the value and over what it is bound to: the key of the
// entry, or the channel. The schema's version is the digit in the first word, and part of every key.
const (
	entryMagic   = "oae3 "
	messageMagic = "oam1 "

	maxEntry   = 256 << 10 // bytes of an entry; larger ones are neither written nor read
	maxMessage = 256 << 10 // bytes of a message; larger ones are ignored
	chunk      = 32 << 10  // bytes of a vector from which a message is sent and another begun

	revisionLimit = 1 << 53 // the first revision that no engine gives, and that Lua could not count
)

var (
	errCorrupt = errors.New("rediscache: malformed value")
	encoding   = base64.RawURLEncoding.Strict()
)

// appendScope writes the text of a scope, which holds no space, no line feed and no "=".
func appendScope(b []byte, s orgstore.Scope) []byte {
	b = strconv.AppendUint(b, uint64(s.Kind), 10)
	b = append(b, '.')
	b = encoding.AppendEncode(b, []byte(s.Org))
	b = append(b, '.')
	return encoding.AppendEncode(b, []byte(s.ID))
}

func appendRevision(b []byte, r orgstore.Revision) []byte {
	b = appendScope(b, r.Scope)
	b = append(b, '=')
	return strconv.AppendUint(b, r.Revision, 10)
}

func appendVector(b []byte, v orgstore.Vector) []byte {
	for i, r := range v {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendRevision(b, r)
	}
	return b
}

func parseVector(s string) (orgstore.Vector, error) {
	if s == "" {
		return nil, nil
	}
	v := make(orgstore.Vector, 0, strings.Count(s, " ")+1)
	for pair := range strings.SplitSeq(s, " ") {
		kind, rest, _ := strings.Cut(pair, ".")
		org, rest, _ := strings.Cut(rest, ".")
		id, revision, _ := strings.Cut(rest, "=")
		k, err1 := strconv.ParseUint(kind, 10, 8)
		o, err2 := encoding.DecodeString(org)
		i, err3 := encoding.DecodeString(id)
		r, err4 := strconv.ParseUint(revision, 10, 64)
		if errors.Join(err1, err2, err3, err4) != nil || r >= revisionLimit {
			return nil, errCorrupt
		}
		v = append(v, orgstore.Revision{Revision: r, Scope: orgstore.Scope{Kind: orgstore.ScopeKind(k), Org: string(o), ID: string(i)}})
	}
	return v, nil
}

// sealer appends and checks sums.
type sealer struct {
	key []byte // of the HMAC; empty is a plain SHA-256
}

func (s sealer) sum(to []byte, bound string, value []byte) []byte {
	var h hash.Hash
	if len(s.key) > 0 {
		h = hmac.New(sha256.New, s.key)
	} else {
		h = sha256.New()
	}
	h.Write(binary.AppendUvarint(nil, uint64(len(bound))))
	h.Write([]byte(bound))
	h.Write(value)
	return h.Sum(to)
}

func (s sealer) seal(bound string, value []byte) []byte { return s.sum(value, bound, value) }

func (s sealer) open(bound, sealed string) (value string, err error) {
	n := len(sealed) - sha256.Size
	if n < 0 || !hmac.Equal([]byte(sealed[n:]), s.sum(nil, bound, []byte(sealed[:n]))) {
		return "", errCorrupt
	}
	return sealed[:n], nil
}

// encodeEntry returns the sealed value of a, or an error when it cannot be kept.
func (s sealer) encodeEntry(key string, a *orgstore.Access) ([]byte, error) {
	for _, r := range a.Vector {
		if r.Revision >= revisionLimit {
			return nil, errCorrupt
		}
	}
	b := make([]byte, 0, 1024)
	b = append(b, entryMagic...)
	b = appendVector(b, a.Vector)
	b = append(b, '\n')

	b = append(b, byte(a.Standing))
	b = appendString(b, a.Principal)
	b = appendString(b, a.Org.ID)
	b = appendString(b, a.Org.Name)
	b = appendString(b, string(a.Org.Status))
	b = appendMap(b, a.Org.Metadata)
	b = appendSecurity(b, a.Org.Security)
	b = appendList(b, a.Org.Shares, func(b []byte, s orgstore.AccessShare) []byte {
		return appendString(appendString(appendTime(appendString(appendString(b, s.Name), string(s.Direction)), s.Until), s.Contract), s.With)
	})
	b = appendString(b, a.Member.Kind)
	b = appendStrings(b, a.Member.Roles)
	b = appendStrings(b, a.Member.Permissions)
	b = appendLists(b, a.Member.APIPermissions)
	b = appendMap(b, a.Member.Metadata)
	b = appendString(b, string(a.Member.Via))
	b = appendList(b, a.Member.Contracts, func(b []byte, c orgstore.AccessContract) []byte {
		return appendString(appendString(b, c.ID), c.Guest)
	})
	b = appendTime(b, a.TokensValidAfter)
	b = appendTime(b, a.AsOf)
	b = appendTime(b, a.ValidUntil)
	if len(b) > maxEntry-sha256.Size {
		return nil, errCorrupt
	}
	return s.seal(key, b), nil
}

// decodeEntry is the inverse of encodeEntry for the same key; every other value is an error.
func (s sealer) decodeEntry(key, sealed string) (*orgstore.Access, error) {
	value, err := s.open(key, sealed)
	if err != nil {
		return nil, err
	}
	value, ok := strings.CutPrefix(value, entryMagic)
	if !ok {
		return nil, errCorrupt
	}
	vector, body, ok := strings.Cut(value, "\n")
	if !ok {
		return nil, errCorrupt
	}
	a := &orgstore.Access{}
	if a.Vector, err = parseVector(vector); err != nil {
		return nil, err
	}
	r := reader{rest: body}
	a.Standing = orgstore.Standing(r.byte())
	a.Principal = r.string()
	a.Org.ID = r.string()
	a.Org.Name = r.string()
	a.Org.Status = orgstore.OrganizationStatus(r.string())
	a.Org.Metadata = r.pairs()
	a.Org.Security = r.security()
	a.Org.Shares = list(&r, 7, func() (s orgstore.AccessShare) {
		s.Name, s.Direction, s.Until = r.string(), orgstore.ShareDirection(r.string()), r.time()
		s.Contract, s.With = r.string(), r.string()
		return s
	})
	a.Member.Kind = r.string()
	a.Member.Roles = r.strings()
	a.Member.Permissions = r.strings()
	a.Member.APIPermissions = r.lists()
	a.Member.Metadata = r.pairs()
	a.Member.Via = orgstore.Via(r.string())
	a.Member.Contracts = list(&r, 2, func() orgstore.AccessContract { return orgstore.AccessContract{ID: r.string(), Guest: r.string()} })
	a.TokensValidAfter = r.time()
	a.AsOf = r.time()
	a.ValidUntil = r.time()
	known := a.Standing >= orgstore.StandingMember && a.Standing <= orgstore.StandingMemberSuspended
	if r.failed || r.rest != "" || !known || a.AsOf.IsZero() {
		return nil, errCorrupt
	}
	return a, nil
}

// encodeMessages returns sealed messages that tell of v, each of bounded size. An empty v is one message: a heartbeat.
func (s sealer) encodeMessages(channel, sender string, v orgstore.Vector) [][]byte {
	var all [][]byte
	for first := true; first || len(v) > 0; first = false {
		b := append([]byte(messageMagic), sender...)
		b = append(b, " -\n"...) // in this mode no epoch is known
		for n := len(b); len(v) > 0 && len(b)-n < chunk; v = v[1:] {
			if len(b) > n {
				b = append(b, ' ')
			}
			b = appendRevision(b, v[0])
		}
		all = append(all, s.seal(channel, append(b, '\n')))
	}
	return all
}

func (s sealer) decodeMessage(channel, sealed string) (sender string, v orgstore.Vector, err error) {
	if len(sealed) > maxMessage {
		return "", nil, errCorrupt
	}
	value, err := s.open(channel, sealed)
	if err != nil {
		return "", nil, err
	}
	value, ok := strings.CutPrefix(value, messageMagic)
	head, rest, ok1 := strings.Cut(value, "\n")
	sender, _, ok2 := strings.Cut(head, " ")
	vector, rest, ok3 := strings.Cut(rest, "\n")
	if !ok || !ok1 || !ok2 || !ok3 || rest != "" {
		return "", nil, errCorrupt
	}
	v, err = parseVector(vector)
	return sender, v, err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Lists and maps are written with their length plus one, 0 for nil.
func appendStrings(b []byte, list []string) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(list))+1)
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func appendList[T any](b []byte, list []T, element func([]byte, T) []byte) []byte {
	if list == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(list))+1)
	for _, e := range list {
		b = element(b, e)
	}
	return b
}

func appendLists(b []byte, m map[string][]string) []byte {
	if m == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(m))+1)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendStrings(appendString(b, k), m[k])
	}
	return b
}

func appendSecurity(b []byte, p *orgstore.SecurityPolicy) []byte {
	if p == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	if p.MFA {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = appendStrings(appendStrings(appendStrings(b, p.Connections), p.ACR), p.Methods)
	var networks []string
	for _, n := range p.Networks {
		networks = append(networks, n.String())
	}
	b = appendStrings(b, networks)
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.MaxSession)), uint64(p.MaxIdle))
}

func appendMap(b []byte, m map[string]string) []byte {
	if m == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(m))+1)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, k), m[k])
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// reader takes a body apart. After a failure it returns zero values. Its strings share the memory of the body.
type reader struct {
	rest   string
	failed bool
}

func (r *reader) fail() { r.rest, r.failed = "", true }

func (r *reader) byte() byte {
	if r.rest == "" {
		r.fail()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

// number reads a uvarint in its shortest form, so that a value has one spelling.
func (r *reader) number() uint64 {
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		c := r.byte()
		if shift == 63 && c > 1 || shift > 0 && c == 0 {
			break
		}
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x
		}
	}
	r.fail()
	return 0
}

func (r *reader) string() string {
	n := r.number()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// count reads the length of a list whose elements take size bytes at least; -1 is nil.
func (r *reader) count(size int) int {
	n := r.number()
	if n == 0 {
		return -1
	}
	if n-1 > uint64(len(r.rest)/size) {
		r.fail()
		return -1
	}
	return int(n - 1)
}

func (r *reader) strings() []string {
	n := r.count(1)
	if n < 0 {
		return nil
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.string()
	}
	return list
}

// list reads a list whose elements take size bytes at least.
func list[T any](r *reader, size int, element func() T) []T {
	n := r.count(size)
	if n < 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		list[i] = element()
	}
	return list
}

func (r *reader) lists() map[string][]string {
	n := r.count(2)
	if n < 0 {
		return nil
	}
	m := make(map[string][]string, n)
	for range n {
		k := r.string()
		m[k] = r.strings()
	}
	if len(m) != n {
		r.fail()
	}
	return m
}

func (r *reader) flag() bool {
	c := r.byte()
	if c > 1 {
		r.fail()
	}
	return c == 1
}

func (r *reader) security() *orgstore.SecurityPolicy {
	if !r.flag() {
		return nil
	}
	return &orgstore.SecurityPolicy{
		MFA: r.flag(), Connections: r.strings(), ACR: r.strings(), Methods: r.strings(), Networks: r.networks(),
		MaxSession: time.Duration(r.number()), MaxIdle: time.Duration(r.number()),
	}
}

func (r *reader) networks() (networks []netip.Prefix) {
	for _, text := range r.strings() {
		n, err := netip.ParsePrefix(text)
		if err != nil {
			r.fail()
		}
		networks = append(networks, n)
	}
	return networks
}

func (r *reader) pairs() map[string]string {
	n := r.count(2)
	if n < 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := r.string()
		m[k] = r.string()
	}
	if len(m) != n {
		r.fail()
	}
	return m
}

func (r *reader) time() time.Time {
	u := r.number()
	seconds := int64(u>>1) ^ -int64(u&1) // as in binary.AppendVarint
	nanoseconds := r.number()
	if nanoseconds >= uint64(time.Second) || seconds > math.MaxInt64>>8 || seconds < math.MinInt64>>8 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC()
}
