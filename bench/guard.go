package bench

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing/fstest"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/rediscache"
	"github.com/orgauthz/orgauthz/policy"
)

// guardPolicy is the product's policy of the Guard's rows: permissions decide, and a deny rule that has to be looked at.
const guardPolicy = `package authz

default allow := false

allow if input.action in input.member.permissions

deny contains "suspended" if input.org.status != "active"
`

// parts says how the Guard of a row differs from one that a product would set up. The zero value is that one.
type parts struct {
	action    string            // what the route requires; empty is readAction
	fewTokens bool              // the cache of tokens holds some hundredths of those that come
	uncached  bool              // no cache of decisions
	staleness time.Duration     // of the cache of memberships; 0 is its default
	members   orgstore.Resolver // instead of that cache
}

// guarded sets up a Guard with RS256, memberships cached in front of SQLite, and a policy in Rego.
func (w *World) guarded(ctx context.Context, p parts) (http.Handler, error) {
	if p.members == nil {
		store, err := w.openStore(ctx)
		if err != nil {
			return nil, err
		}
		members, err := cached.New(store, cached.Config{MaxStaleness: p.staleness})
		if err != nil {
			return nil, err
		}
		w.closeLast(members.Close)
		p.members = members
	}

	keys, err := claims.ParseKeySet(publicKeys())
	if err != nil {
		return nil, err
	}
	auth0 := claims.Auth0(issuer, audience)
	auth0.JWKSURL, auth0.Keys = "", keys
	verifier := claims.Config{Issuers: []claims.Issuer{auth0}}
	if p.fewTokens {
		verifier.CacheBytes = 64 << 10
	}
	tokens, err := claims.NewVerifier(verifier)
	if err != nil {
		return nil, err
	}
	w.closeLast(tokens.Close)

	product := policy.Config{
		Source:  policy.FS(fstest.MapFS{"authz.rego": {Data: []byte(guardPolicy)}}),
		Timeout: time.Second, // a slow moment of the machine is no denial
	}
	if p.uncached {
		product.CacheBytes = -1
	}
	rules, err := policy.Open(ctx, product)
	if err != nil {
		return nil, err
	}
	w.closeLast(rules.Close)

	guard, err := middleware.New(middleware.Config{Tokens: tokens, Members: p.members, Policy: rules})
	if err != nil {
		return nil, err
	}
	return routed(guard.Require(cmp.Or(p.action, readAction), handler)), nil
}

func guardWarm(ctx context.Context, w *World) (setup, error) {
	h, err := w.guarded(ctx, parts{})
	return setup{handler: h, calls: measuredCalls()}, err
}

func guardDenied(ctx context.Context, w *World) (setup, error) {
	h, err := w.guarded(ctx, parts{action: deleteAction})
	return setup{handler: h, calls: measuredCalls()}, err
}

// guardManyTokens has memberships that stay fresh for longer than a run: what is measured is the size of the working set,
// not the reading of 10,000 memberships again every two seconds.
func guardManyTokens(ctx context.Context, w *World) (setup, error) {
	h, err := w.guarded(ctx, parts{staleness: time.Minute})
	return setup{handler: h, calls: mintAll(manyTokens)}, err
}

func guardTokenMiss(ctx context.Context, w *World) (setup, error) {
	h, err := w.guarded(ctx, parts{staleness: time.Minute, fewTokens: true})
	return setup{handler: h, calls: mintAll(tokensOverCache)}, err
}

func guardCold(ctx context.Context, w *World) (setup, error) {
	loader, err := w.openStore(ctx)
	if err != nil {
		return setup{}, err
	}
	addr, err := w.openRedis(ctx)
	if err != nil {
		return setup{}, err
	}
	members := &coldMembers{loader: loader, addr: addr}
	w.closeLast(members.Close)
	h, err := w.guarded(ctx, parts{members: members, fewTokens: true, uncached: true})
	return setup{
		handler: h, calls: mintAll(tokensOverCache),
		prepare: func() error { return members.restart(ctx, true) },
		rewind:  func() error { return members.restart(ctx, false) },
		check:   members.check,
	}, err
}

// coldMembers is a cache of memberships that has just been started again: nothing is in memory, and all in Redis.
type coldMembers struct {
	*cached.Store
	loader orgstore.Resolver
	addr   string // of Redis

	prefix            int    // of the keys in Redis: another one where nothing is to be found there
	filling           bool   // Redis is being filled, and nothing counted
	fromRedis, loaded uint64 // answers of caches that were closed
}

// restart begins with an empty memory, and with an empty Redis too where everything is to be forgotten.
func (m *coldMembers) restart(ctx context.Context, everything bool) error {
	if err := m.Close(); err != nil {
		return err
	}
	if m.filling {
		m.fromRedis, m.loaded = 0, 0
	}
	if m.filling = everything; everything {
		m.prefix++
	}
	// Bounds within which no entry ends during a run, and no slow moment of the machine is taken for a Redis that is down.
	const age, patience = time.Minute, time.Second
	shared, err := rediscache.Open(ctx, m.addr, rediscache.Config{Prefix: fmt.Sprint("bench", m.prefix), Timeout: patience})
	if err != nil {
		return err
	}
	m.Store, err = cached.New(m.loader, cached.Config{Shared: shared, MaxStaleness: age, SharedTimeout: patience})
	return err
}

// Close closes the cache that is in use, if any.
func (m *coldMembers) Close() error {
	if m.Store == nil {
		return nil
	}
	s := m.Stats()
	m.fromRedis, m.loaded = m.fromRedis+s.SharedHits, m.loaded+s.Loads
	err := m.Store.Close()
	m.Store = nil
	return err
}

// check says whether requests were answered from Redis, but for a few around the moment at which a cache subscribes to it.
func (m *coldMembers) check(requests uint64) error {
	s := m.Stats()
	fromRedis, loaded := m.fromRedis+s.SharedHits, m.loaded+s.Loads
	if few := 10 + requests/50; fromRedis+few < requests || loaded > few {
		return fmt.Errorf("of %d requests %d were answered from Redis, and %d from SQLite", requests, fromRedis, loaded)
	}
	return nil
}

// publicKeys is the key set that the identity provider publishes.
func publicKeys() []byte {
	key := signingKey().PublicKey
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
	if err != nil {
		panic(err)
	}
	return set
}

// signatureAlone checks the signature of the token and nothing else: no verification costs less.
func signatureAlone(context.Context, *World) (setup, error) {
	key := &signingKey().PublicKey
	return setup{calls: measuredCalls(), handler: routed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		end := strings.LastIndexByte(token, '.')
		signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
		digest := sha256.Sum256([]byte(token[:end]))
		if err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
			http.Error(w, "bad signature", http.StatusUnauthorized)
			return
		}
		handler(w, r)
	}))}, nil
}
