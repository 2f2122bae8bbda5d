package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// key is one public key with the one algorithm that it is used with.
type key struct {
	id         string // kid, may be empty
	alg        string
	thumbprint string // RFC 7638, base64url
	jwk        []byte // the public JWK, with kid, alg and use
	check      func(input, signature []byte) error

	// goodUntil is the instant, in Unix nanoseconds, up to which tokens of this key are accepted, from the cache as well.
	// 0 is a key that left its set.
	goodUntil atomic.Int64
}

const forever = math.MaxInt64

func (k *key) good(now int64) bool { return now < k.goodUntil.Load() }

// keyring is a set of keys at one moment. It does not change, but its keys may stop being good.
type keyring struct {
	keys    []*key
	byID    map[string]*key
	dropped []error // why keys of the source are not in it
}

func newKeyring(keys []*key, dropped []error) *keyring {
	r := &keyring{byID: make(map[string]*key, len(keys)), dropped: dropped}
	count := map[string]int{}
	for _, k := range keys {
		count[k.id]++
	}
	for _, k := range keys {
		if k.id != "" && count[k.id] > 1 { // which one is meant cannot be known, and guessing is how keys get confused
			r.dropped = append(r.dropped, fmt.Errorf("kid %q: several keys have it", k.id))
			continue
		}
		r.keys = append(r.keys, k)
		if k.id != "" {
			r.byID[k.id] = k
		}
	}
	return r
}

var (
	errUnknownKID   = errors.New("no key of the issuer has the token's kid")
	errKeyAlgorithm = errors.New("the key with the token's kid is for another algorithm")
	errNoSoleKey    = errors.New("a token without kid, and not exactly one key for its alg")
)

// find returns the one key that may have signed a token with this header. Without a kid that is the only key for alg.
func (r *keyring) find(t *compact, now int64) (*key, error) {
	if t.hasKID {
		k := r.byID[t.kid]
		switch {
		case k == nil || !k.good(now):
			return nil, errUnknownKID
		case k.alg != t.alg:
			return nil, errKeyAlgorithm
		}
		return k, nil
	}
	var sole *key
	for _, k := range r.keys {
		if k.alg == t.alg && k.good(now) {
			if sole != nil {
				return nil, errNoSoleKey
			}
			sole = k
		}
	}
	if sole == nil {
		return nil, errNoSoleKey
	}
	return sole, nil
}

// KeySet is a set of public keys that an issuer signs with. Make one with [ParseKeySet], or take the one of a [Signer],
// which follows the signer's rotations. It is safe for concurrent use.
type KeySet struct{ ring atomic.Pointer[keyring] }

// ParseKeySet reads a JSON Web Key Set (RFC 7517 section 5) of public keys.
//
// A key without alg is used with RS256 if it is RSA, with ES256 on P-256, with EdDSA if it is Ed25519: each key has exactly
// one algorithm, so an RSA key for PS256 must say so. Keys for encryption are left out. Keys that are weak, private,
// symmetric, broken or of an unsupported type are left out too, and so are all keys that share one kid; NewVerifier logs why. An
// error means that the set is no JSON Web Key Set, or that no key is left.
func ParseKeySet(jwksJSON []byte) (*KeySet, error) {
	r, err := parseKeyring(jwksJSON)
	if err != nil {
		return nil, err
	}
	if len(r.keys) == 0 {
		return nil, errors.Join(append([]error{errNoUsableKey}, r.dropped...)...)
	}
	for _, k := range r.keys {
		k.goodUntil.Store(forever)
	}
	set := new(KeySet)
	set.ring.Store(r)
	return set, nil
}

var errNoUsableKey = errors.New("claims: no usable key in the JSON Web Key Set")

// parseKeyring returns an error for what is no JSON Web Key Set at all. A set without a usable key is an empty ring: its issuer
// says that it has no keys, which is not the same as saying nothing.
func parseKeyring(data []byte) (*keyring, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, errors.New(`claims: not a JSON Web Key Set: want a JSON object with an array "keys"`)
	}
	var keys []*key
	var dropped []error
	for i, raw := range set.Keys {
		k, err := parseJWK(raw)
		if err != nil {
			dropped = append(dropped, fmt.Errorf("key %d: %w", i, err))
		} else if k != nil {
			keys = append(keys, k)
		}
	}
	return newKeyring(keys, dropped), nil
}

// replace puts next in the place of what the set holds, with keys that are good until the given instant. A key that stays
// keeps its identity, so that cached tokens stay; one that leaves stops being good, and with it its tokens.
// One goroutine at a time may call it.
func (s *KeySet) replace(next *keyring, goodUntil int64) {
	var leaving []*key
	if old := s.ring.Load(); old != nil {
		leaving = slices.Clone(old.keys)
	}
	for i, k := range next.keys {
		at := slices.IndexFunc(leaving, func(o *key) bool {
			return o.id == k.id && o.alg == k.alg && o.thumbprint == k.thumbprint
		})
		if at >= 0 {
			k = leaving[at]
			leaving = slices.Delete(leaving, at, at+1)
			next.keys[i] = k
			if k.id != "" {
				next.byID[k.id] = k
			}
		}
		k.goodUntil.Store(goodUntil)
	}
	s.ring.Store(next)
	for _, k := range leaving {
		k.goodUntil.Store(0)
	}
}

// marshal returns the JSON Web Key Set of the keys that are good at now.
func (s *KeySet) marshal(now time.Time) ([]byte, error) {
	keys := []json.RawMessage{}
	for _, k := range s.ring.Load().keys {
		if k.good(now.UnixNano()) {
			keys = append(keys, k.jwk)
		}
	}
	return json.Marshal(map[string]any{"keys": keys})
}
