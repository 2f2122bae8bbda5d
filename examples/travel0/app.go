package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/login"
	"github.com/orgauthz/orgauthz/orgstore/postgres"
	"github.com/orgauthz/orgauthz/orgstore/rediscache"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
	"github.com/orgauthz/orgauthz/policy"
)

// patience bounds what a request waits for: a demo on a busy machine should not refuse for want of time.
const patience = 4 * time.Second

//go:embed policies
var embeddedPolicies embed.FS

// options are the command's flags. The zero value serves everything from embedded defaults.
type options struct {
	db       string // SQLite file, or postgres:// URL; empty keeps the data in memory
	redis    string // host:port or URL; empty starts an embedded one
	policies string // directory; empty uses the embedded policies
	key      string // PEM file of the signing key; empty makes one
	log      *slog.Logger
}

// app is the running product.
type app struct {
	log     *slog.Logger
	engine  *orgstore.Engine
	signer  *claims.Signer
	guard   *middleware.Guard
	logins  *login.Service
	catalog catalog
	closers []func() error
}

// open builds the product. What it opened by the time something fails is closed again.
func open(ctx context.Context, o options) (_ *app, err error) {
	a := &app{log: o.log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.signer, err = openSigner(o.key); err != nil {
		return nil, err
	}
	rules, err := openPolicies(ctx, o)
	if err != nil {
		return nil, err
	}
	a.closeLast(rules.Close)
	if a.engine, err = openStore(ctx, o.db); err != nil {
		return nil, err
	}
	a.closeLast(a.engine.Close)
	name, err := seed(ctx, a.engine)
	if err != nil {
		return nil, err
	}
	a.catalog = catalog{a.engine}
	if a.logins, err = login.New(a.engine, login.Config{}); err != nil {
		return nil, err
	}
	o.log.Warn("POST /dev/tokens and POST /dev/login let in whoever asks, as anybody: this program is for development only")

	shared, err := a.openRedis(ctx, o.redis, name)
	if err != nil {
		return nil, err
	}
	members, err := cached.New(a.engine, cached.Config{Shared: shared, LoadTimeout: patience, Logger: o.log})
	if err != nil {
		return nil, err
	}
	a.closeLast(members.Close)

	travel0 := claims.Auth0(issuer, audience)
	travel0.JWKSURL, travel0.Keys = "", a.signer.KeySet()
	travel0.Dialect.Types = []string{"at+jwt"}
	tokens, err := claims.NewVerifier(claims.Config{
		Issuers: []claims.Issuer{travel0}, MaxLifetime: maxLifetime, Leeway: clockSkew, Logger: o.log,
	})
	if err != nil {
		return nil, err
	}
	a.closeLast(tokens.Close)
	a.guard, err = middleware.New(middleware.Config{
		Tokens: tokens, Members: members, Policy: rules, Realm: "travel0", Timeout: patience, Logger: o.log,
	})
	return a, err
}

func (a *app) closeLast(close func() error) { a.closers = append(a.closers, close) }

// Close closes what open opened, newest first.
func (a *app) Close() error {
	var errs []error
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		errs = append(errs, a.closers[last]())
		a.closers = a.closers[:last]
	}
	return errors.Join(errs...)
}

func openSigner(path string) (*claims.Signer, error) {
	var key crypto.Signer
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("-key: %w", err)
		}
		if key, err = claims.LoadPrivateKeyPEM(text); err != nil {
			return nil, fmt.Errorf("-key %s: %w", path, err)
		}
	}
	return claims.NewSigner(claims.SignerConfig{Issuer: issuer, Key: key})
}

func openPolicies(ctx context.Context, o options) (*policy.Engine, error) {
	embedded, err := fs.Sub(embeddedPolicies, "policies")
	if err != nil {
		return nil, err
	}
	source := policy.FS(embedded)
	if o.policies != "" {
		source = policy.Dir(o.policies)
	}
	rules, err := policy.Open(ctx, policy.Config{Source: source, Timeout: patience, Logger: o.log})
	if err != nil {
		return nil, fmt.Errorf("-policies: %w", err)
	}
	return rules, nil
}

func openStore(ctx context.Context, db string) (engine *orgstore.Engine, err error) {
	switch scheme, _, isURL := strings.Cut(db, "://"); {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		engine, err = postgres.Open(ctx, db, orgstore.Config{LoadTimeout: patience})
	case isURL:
		return nil, fmt.Errorf("-db: URLs begin with postgres://, not %s://; for SQLite give the path of a file", scheme)
	default:
		engine, err = sqlite.Open(ctx, cmp.Or(db, ":memory:"), orgstore.Config{LoadTimeout: patience})
	}
	if err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	return engine, nil
}

// openRedis connects the cache that instances share. A Redis that does not answer is no reason not to start: the cache
// works without it and takes it up when it comes. Only instances on the same database share what is in it.
func (a *app) openRedis(ctx context.Context, addr, database string) (*rediscache.Cache, error) {
	cfg := rediscache.Config{Prefix: "travel0:" + database}
	if addr == "" {
		embedded := miniredis.NewMiniRedis()
		if err := embedded.Start(); err != nil {
			return nil, fmt.Errorf("starting the embedded Redis: %w", err)
		}
		a.closeLast(func() error { embedded.Close(); return nil })
		addr = embedded.Addr()
		cfg.HMACKey = make([]byte, 32) // other programs on this machine can write to it
		_, _ = rand.Read(cfg.HMACKey)  // never fails
	}
	cfg.Logger = a.log.With("redis", addr)
	shared, err := rediscache.Open(ctx, addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("-redis: %w", err)
	}
	a.closeLast(shared.Close)
	return shared, nil
}
