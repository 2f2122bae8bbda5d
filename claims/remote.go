package claims

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxJWKSBytes   = 512 << 10
	maxRedirects   = 3
	fetchTimeout   = 10 * time.Second
	firstRetry     = time.Second
	lastRetry      = time.Minute
	maxMissing     = 256             // kids remembered as unknown
	missingTTL     = 5 * time.Minute // how long a kid that was asked for in vain causes no further fetch
	defaultRefresh = 15 * time.Minute
)

// remoteKeys holds the keys of one issuer that publishes them at a URL. One goroutine does all fetching, so there is never
// more than one request under way.
type remoteKeys struct {
	url         string
	shown       string // url for people
	client      *http.Client
	log         *slog.Logger
	clock       func() time.Time
	refresh     time.Duration // between two fetches that succeed, at most
	askInterval time.Duration // between two fetches on behalf of unknown kids, at least
	maxAge      time.Duration

	keys   KeySet        // nil ring before the first success
	first  chan struct{} // closed when the first fetch has ended, well or not
	asked  chan struct{} // wakes the goroutine for an unknown kid
	closed <-chan struct{}

	mu        sync.Mutex
	flight    *flight // the fetch that was asked for; nil when none is pending
	lastAsk   time.Time
	missing   map[string]time.Time // kids that a fetch has not found, until when they are not asked for again
	goodUntil time.Time            // of the whole set
	lastErr   error                // of the last fetch
}

// flight is a fetch on behalf of an unknown kid.
type flight struct {
	done chan struct{} // closed when it has ended
	err  error         // how; set before that
}

// find returns the key for a token, as keyring.find does. It waits for the first fetch, and for one fetch when the token's
// kid is unknown, each as long as ctx lasts.
func (r *remoteKeys) find(ctx context.Context, t *compact) (*key, error) {
	ring, err := r.ring(ctx)
	if err != nil {
		return nil, err
	}
	k, err := ring.find(t, r.clock().UnixNano())
	if err == nil || !errors.Is(err, errUnknownKID) {
		return k, err
	}
	asked, err := r.ask(t.kid)
	if err != nil {
		return nil, err
	}
	if err := r.wait(ctx, asked.done); err != nil {
		return nil, err
	}
	if ring, err = r.ring(ctx); err != nil {
		return nil, err
	}
	k, err = ring.find(t, r.clock().UnixNano())
	switch {
	case !errors.Is(err, errUnknownKID):
		return k, err
	case asked.err != nil:
		return nil, unknownMeanwhile(asked.err)
	}
	r.remember(t.kid)
	return nil, err
}

// unknownMeanwhile is the answer to an unknown kid while the keys cannot be fetched: the issuer may well have such a key.
func unknownMeanwhile(cause error) error {
	return unavailable("the token's kid is unknown, and the issuer's keys could not be fetched again", cause)
}

// ring returns the keys that may be used now.
func (r *remoteKeys) ring(ctx context.Context) (*keyring, error) {
	if err := r.wait(ctx, r.first); err != nil {
		return nil, err
	}
	ring := r.keys.ring.Load()
	return ring, r.usable(ring)
}

// usable reports an error when no key of ring may be used now: none were ever fetched, the issuer withdrew all of them, or
// they are too old.
func (r *remoteKeys) usable(ring *keyring) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case ring == nil:
		return unavailable("no keys of the issuer have been fetched yet", r.lastErr)
	case len(ring.keys) == 0:
		return unavailable("the issuer publishes no usable key", r.lastErr)
	case !r.clock().Before(r.goodUntil):
		return unavailable("the issuer's keys could not be refreshed for too long", r.lastErr)
	}
	return nil
}

func (r *remoteKeys) wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return unavailable("the caller's context ended before the issuer's keys came", context.Cause(ctx))
	case <-r.closed:
		return unavailable("the Verifier was closed", nil)
	}
}

// ask has the keys fetched again for an unknown kid. When it is too early for that it returns the answer to the kid instead:
// anyone can send unknown kids, so they must not set the pace. The answer is "no" only on the word of the issuer, which is a
// fetch that did not find this very kid, or a last fetch that succeeded.
func (r *remoteKeys) ask(kid string) (*flight, error) {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	early := !r.lastAsk.IsZero() && now.Sub(r.lastAsk) < r.askInterval
	switch {
	case r.flight != nil:
		return r.flight, nil
	case now.Before(r.missing[kid]):
		return nil, errUnknownKID
	case early && r.lastErr != nil:
		return nil, unknownMeanwhile(r.lastErr)
	case early:
		return nil, errUnknownKID
	}
	r.lastAsk, r.flight = now, &flight{done: make(chan struct{})}
	r.asked <- struct{}{} // has room: it is emptied before flight becomes nil
	return r.flight, nil
}

func (r *remoteKeys) remember(kid string) {
	now := r.clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.missing) >= maxMissing {
		clear(r.missing)
	}
	r.missing[strings.Clone(kid)] = now.Add(missingTTL)
}

// run fetches until ctx ends.
func (r *remoteKeys) run(ctx context.Context) {
	var asked *flight
	retry := firstRetry
	for first := true; ; first = false {
		err := r.fetch(ctx)
		if ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		if r.lastErr = err; err == nil {
			clear(r.missing)
		}
		if asked != nil {
			asked.err = err
			close(asked.done)
			r.flight = nil
		}
		r.mu.Unlock()
		if first {
			close(r.first)
		}

		// Spread over the last third, so that many processes do not come at once.
		pause := r.refresh - rand.N(r.refresh/3+1)
		if err == nil {
			retry = firstRetry
		} else {
			level, text := slog.LevelWarn, "claims: an issuer's keys could not be fetched"
			if errors.Is(err, errNoUsableKey) {
				level, text = slog.LevelError, "claims: an issuer publishes no usable key, so none of its tokens is accepted"
			}
			r.log.Log(ctx, level, text, "url", r.shown, "error", err, "retry_in", min(pause, retry))
			pause = min(pause, retry)
			retry = min(2*retry, lastRetry)
		}
		timer := time.NewTimer(pause)
		asked = nil
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-r.asked:
			timer.Stop()
			r.mu.Lock()
			asked = r.flight
			r.mu.Unlock()
		}
	}
}

// fetch replaces the keys by what the issuer publishes, be it nothing: a key that it withdrew must not go on, the last one
// included. An answer that is no key set says nothing about keys and leaves them as they are. Both are errors.
func (r *remoteKeys) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	began := r.clock() // the keys are as old as the question, not as the answer
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := r.client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // without the URL, whose query may hold a secret
	} else if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("claims: the key endpoint answered %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxJWKSBytes+1))
	if err != nil {
		return err
	}
	if len(body) > maxJWKSBytes {
		return fmt.Errorf("claims: the key endpoint answered with more than %d bytes", maxJWKSBytes)
	}
	next, err := parseKeyring(body)
	if err != nil {
		return err
	}
	for _, reason := range next.dropped {
		r.log.Warn("claims: a key of an issuer is not used", "url", r.shown, "reason", reason)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.goodUntil = began.Add(r.maxAge)
	r.keys.replace(next, r.goodUntil.UnixNano())
	if len(next.keys) == 0 {
		return errNoUsableKey
	}
	return nil
}

// newKeyClient returns a client that follows few redirects, and only to where keys may be fetched from: never away from https.
func newKeyClient(base *http.Client, insecureHTTP bool) *http.Client {
	client := &http.Client{
		// Keys are fetched every few minutes: a connection kept open in between would only go stale.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
	}
	if base != nil {
		*client = *base
	}
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("claims: too many redirects of the key endpoint")
		}
		secure := slices.ContainsFunc(via, func(r *http.Request) bool { return r.URL.Scheme == "https" })
		if secure && req.URL.Scheme != "https" {
			return errors.New("claims: the key endpoint redirects from https to http")
		}
		if err := checkKeyURL(req.URL, insecureHTTP); err != nil {
			return fmt.Errorf("claims: a redirect of the key endpoint: %w", err)
		}
		return nil
	}
	return client
}

// showURL returns what of a URL may stand in logs and errors: no password, no query.
func showURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a broken URL"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.RawQuery != "" {
		return shown.String() + "?…"
	}
	return shown.String()
}

// checkKeyURL: whoever can change the keys on their way can mint any token.
func checkKeyURL(u *url.URL, insecureHTTP bool) error {
	switch {
	case u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return errors.New(`not an absolute URL: want "https://" and a host in front`)
	case u.User != nil:
		return errors.New("it holds a user name or password, which logs would show: give Config.HTTPClient a transport that adds them")
	case u.Scheme == "https" || insecureHTTP:
		return nil
	}
	host := u.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return errors.New("keys are fetched by https only, except from this machine; InsecureKeysOverHTTP allows it")
}
