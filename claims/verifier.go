package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Verifier tells whether a bearer token is one of its issuers' access tokens for this API, and what it says. Make one with
// [NewVerifier]. It is safe for concurrent use.
type Verifier struct {
	cfg     Config
	issuers map[string]*trustedIssuer
	cache   *cache
	stop    context.CancelFunc
	running sync.WaitGroup
}

type trustedIssuer struct {
	url        string
	audience   []string
	algorithms []string
	dialect    Dialect
	static     *KeySet     // nil when
	remote     *remoteKeys // the keys are fetched
}

// NewVerifier makes a Verifier, or says everything that is wrong with cfg. It does not wait for keys: it starts to fetch them
// for every issuer with a JWKSURL, and [Verifier.Close] must be called in the end.
func NewVerifier(cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	v := &Verifier{cfg: cfg, issuers: map[string]*trustedIssuer{}, cache: newCache(cfg.CacheBytes), stop: stop}
	for _, issuer := range cfg.Issuers {
		trusted := &trustedIssuer{
			url:        issuer.URL,
			audience:   slices.Clone(issuer.Audience),
			algorithms: slices.Clone(issuer.Algorithms),
			dialect:    issuer.Dialect.withDefaults(),
			static:     issuer.Keys,
		}
		if len(trusted.algorithms) == 0 {
			trusted.algorithms = supportedAlgorithms
		}
		if trusted.static != nil {
			for _, reason := range trusted.static.ring.Load().dropped {
				cfg.Logger.Warn("claims: a key of an issuer is not used", "issuer", issuer.URL, "reason", reason)
			}
		} else {
			trusted.remote = &remoteKeys{
				url:         issuer.JWKSURL,
				shown:       showURL(issuer.JWKSURL),
				client:      newKeyClient(cfg.HTTPClient, issuer.InsecureKeysOverHTTP),
				log:         cfg.Logger,
				clock:       cfg.Clock,
				refresh:     cfg.RefreshInterval,
				askInterval: cfg.UnknownKeyInterval,
				maxAge:      cfg.MaxKeyAge,
				first:       make(chan struct{}),
				asked:       make(chan struct{}, 1),
				closed:      ctx.Done(),
				missing:     map[string]time.Time{},
			}
			v.running.Go(func() { trusted.remote.run(ctx) })
		}
		v.issuers[issuer.URL] = trusted
	}
	return v, nil
}

// Close ends the fetching of keys and waits for it to end. Verify goes on with the keys that it has, for as long as
// Config.MaxKeyAge allows. Close may be called more than once; it returns nil.
func (v *Verifier) Close() error {
	v.stop()
	v.running.Wait()
	return nil
}

// Health returns nil when every issuer's keys are known and not too old, and else an error that is ErrUnavailable and names,
// for each issuer without keys, its URL, its JWKSURL (without a query) and what the last fetch ended with: for operators, not
// for clients. Keys that cannot be refreshed but are still in use are healthy: the Logger hears of them.
func (v *Verifier) Health(context.Context) error {
	var problems []error
	for _, issuer := range v.cfg.Issuers {
		if remote := v.issuers[issuer.URL].remote; remote != nil {
			if err := remote.usable(remote.keys.ring.Load()); err != nil {
				err = fmt.Errorf("issuer %q, keys from %s: %w", issuer.URL, remote.shown, err)
				if refusal, ok := errors.AsType[*Error](err); ok && refusal.Cause != nil {
					err = fmt.Errorf("%w: %w", err, refusal.Cause)
				}
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

// Verify returns what token says if an issuer vouches for it, it is meant for this API, and now lies within its time. Every
// error is an *[Error], and either ErrInvalid or ErrUnavailable. The Claims are shared with other callers: nobody changes them.
//
// A token that was verified before is answered from memory, for as long as the verification would come out the same.
// Verify waits for nothing but the issuer's keys: for the first fetch after NewVerifier, and, at most once per
// Config.UnknownKeyInterval, for a fetch because a token's kid is unknown; never longer than ctx lasts. When that fetch fails,
// whether the token is good is not known: it gets ErrUnavailable, and so do others with an unknown kid until a fetch succeeds.
func (v *Verifier) Verify(ctx context.Context, token string) (*Claims, error) {
	if len(token) > v.cfg.MaxTokenBytes {
		return nil, refuse(CodeTooLarge, "")
	}
	if c := v.cache.get(token, v.cfg.Clock().UnixNano()); c != nil {
		return c, nil
	}
	return v.verify(ctx, token)
}

func (v *Verifier) verify(ctx context.Context, token string) (*Claims, error) {
	t, err := open(token)
	if err != nil {
		return nil, err
	}
	issuer := v.issuers[t.iss]
	if issuer == nil {
		return nil, refuse(CodeWrongIssuer, "")
	}
	if !slices.Contains(issuer.algorithms, t.alg) {
		return nil, refuse(CodeAlgorithmNotAllowed, "")
	}
	k, err := issuer.key(ctx, &t, v.cfg.Clock)
	if err != nil {
		return nil, err
	}
	if err := k.check(t.input, t.signature); err != nil {
		return nil, refuseSignature(errors.New("the signature is not the key's"))
	}
	c, err := issuer.decode(&t)
	if err != nil {
		return nil, err
	}
	now := v.cfg.Clock() // again: the key may have taken its time
	if err := v.checkTimes(c, now); err != nil {
		return nil, err
	}
	if _, bound := c.Claim("cnf"); bound && !v.cfg.InsecureSkipConfirmation { // by whatever member, understood here or not
		return nil, refuse(CodeSenderConstrained, "")
	}
	v.cache.add(v.newEntry(token, c, k), now.UnixNano())
	return c, nil
}

func (i *trustedIssuer) key(ctx context.Context, t *compact, clock func() time.Time) (k *key, err error) {
	if i.remote != nil {
		k, err = i.remote.find(ctx, t)
	} else {
		k, err = i.static.ring.Load().find(t, clock().UnixNano())
	}
	if err != nil && !errors.Is(err, ErrUnavailable) {
		return nil, refuseSignature(err)
	}
	return k, err
}

func (v *Verifier) checkTimes(c *Claims, now time.Time) error {
	begin := c.IssuedAt
	if begin.IsZero() {
		begin = c.NotBefore
	}
	if begin.IsZero() {
		begin = now
	}
	switch {
	case !now.Before(c.Expiry.Add(v.cfg.Leeway)):
		return refuse(CodeExpired, "")
	case c.NotBefore.After(now.Add(v.cfg.Leeway)):
		return refuse(CodeNotYetValid, "nbf")
	case c.IssuedAt.After(now.Add(v.cfg.Leeway)):
		return refuse(CodeNotYetValid, "iat")
	case c.Expiry.Sub(begin) > v.cfg.MaxLifetime:
		return refuse(CodeLifetimeTooLong, "")
	}
	return nil
}

func (v *Verifier) newEntry(token string, c *Claims, k *key) *entry {
	e := &entry{token: strings.Clone(token), claims: c, key: k, notAfter: c.Expiry.Add(v.cfg.Leeway).UnixNano()}
	begin := c.IssuedAt
	if c.NotBefore.After(begin) {
		begin = c.NotBefore
	}
	if !begin.IsZero() {
		e.notBefore = begin.Add(-v.cfg.Leeway).UnixNano()
	}
	lists := cap(c.Audience) + cap(c.Scopes) + cap(c.Roles) + cap(c.Permissions) + cap(c.AMR)
	e.size = int(unsafe.Sizeof(*e)+unsafe.Sizeof(*c)) + 2*len(token) + // the token, and its payload that the claims point into
		cap(c.payload)*int(unsafe.Sizeof(member{})) + lists*int(unsafe.Sizeof(""))
	return e
}
