// Package claimstest is an issuer of access tokens for tests: keys, a JWKS endpoint that can be told to fail or hang, key
// rotation, good tokens and hostile ones.
//
//	issuer := claimstest.NewIssuer(t)
//	tokens, err := claims.NewVerifier(claims.Config{Issuers: []claims.Issuer{issuer.Trusted()}})
//	…
//	token := issuer.Token(claims.Token{Subject: "auth0|ann", Org: claims.Org{ID: "org_acme"}})
package claimstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
)

// The names that every Issuer uses.
const (
	URL      = "https://issuer.example/" // iss
	Audience = "https://api.example"     // aud, unless a token names its own
	jwksPath = "/.well-known/jwks.json"  // below the endpoint's address
	endpoint = "http://localhost:0"      // an address that Client answers for, and nobody else
)

// Issuer is a fake issuer. It is safe for concurrent use.
type Issuer struct {
	t      testing.TB
	clock  func() time.Time
	signer *claims.Signer

	mu     sync.Mutex
	key    *ecdsa.PrivateKey // the signer's current one
	keyID  string
	status int           // of the endpoint; 0 works
	hang   chan struct{} // not nil: the endpoint answers when it is closed
	body   []byte        // of the endpoint; nil is the signer's keys

	fetches atomic.Int64
	server  func() *httptest.Server
}

// NewIssuer returns an issuer with a fresh ES256 key, which lives until the test ends.
func NewIssuer(t testing.TB) *Issuer { return NewIssuerAt(t, time.Now) }

// NewIssuerAt is NewIssuer with a clock of the test's own.
func NewIssuerAt(t testing.TB, clock func() time.Time) *Issuer {
	t.Helper()
	i := &Issuer{t: t, clock: clock, key: newKey(t), keyID: "key-" + rand.Text()}
	var err error
	i.signer, err = claims.NewSigner(claims.SignerConfig{Key: i.key, KeyID: i.keyID, Issuer: URL, KeepOldKeys: -1, Clock: clock})
	if err != nil {
		t.Fatalf("claimstest: %v", err)
	}
	i.server = sync.OnceValue(func() *httptest.Server {
		server := httptest.NewServer(i)
		t.Cleanup(server.Close)
		return server
	})
	t.Cleanup(i.Heal) // before the server closes: that waits for answers under way
	return i
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("claimstest: %v", err)
	}
	return key
}

// Trusted is the entry for claims.Config that accepts this issuer's tokens with keys that need no endpoint, and that follow
// Rotate at once. Its dialect takes typ JWT as well, as Auth0's does.
func (i *Issuer) Trusted() claims.Issuer {
	trusted := claims.Auth0(URL, Audience)
	trusted.JWKSURL, trusted.Keys = "", i.signer.KeySet()
	return trusted
}

// Remote is Trusted with keys that the verifier fetches from the issuer's endpoint, a server on the loopback interface.
func (i *Issuer) Remote() claims.Issuer {
	trusted := claims.Auth0(URL, Audience)
	trusted.JWKSURL = i.server().URL + jwksPath
	return trusted
}

// RemoteInMemory is Remote without a network, and the HTTP client that reaches the endpoint: for tests in a synctest bubble,
// where a wait for the network stops the bubble's clock.
func (i *Issuer) RemoteInMemory() (claims.Issuer, *http.Client) {
	trusted := claims.Auth0(URL, Audience)
	trusted.JWKSURL = endpoint + jwksPath
	return trusted, &http.Client{Transport: roundTripper(i.answer)}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (i *Issuer) answer(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// ServeHTTP is the endpoint: it answers with the key set, unless it was told otherwise.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.fetches.Add(1)
	i.mu.Lock()
	status, hang, body := i.status, i.hang, i.body
	i.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case status != 0:
		w.WriteHeader(status)
	case body != nil:
		_, _ = w.Write(body)
	default:
		i.signer.JWKS().ServeHTTP(w, r)
	}
}

// Fetches counts the requests that the endpoint got.
func (i *Issuer) Fetches() int { return int(i.fetches.Load()) }

// Fail makes the endpoint answer with an HTTP status until Heal.
func (i *Issuer) Fail(status int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status = status
}

// Hang makes the endpoint's answers wait for Heal, or for the client to give up.
func (i *Issuer) Hang() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.hang == nil {
		i.hang = make(chan struct{})
	}
}

// Serve makes the endpoint answer with body until Heal.
func (i *Issuer) Serve(body []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.body = body
}

// Heal makes the endpoint work again, and lets go of what hangs.
func (i *Issuer) Heal() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.body = 0, nil
	if i.hang != nil {
		close(i.hang)
		i.hang = nil
	}
}

// Rotate replaces the key. The old one is withdrawn at once.
func (i *Issuer) Rotate() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key, i.keyID = newKey(i.t), "key-"+rand.Text()
	if err := i.signer.Rotate(i.key, i.keyID); err != nil {
		i.t.Errorf("claimstest: %v", err)
	}
}

// Signer returns what mints the issuer's tokens, for a test that needs its errors.
func (i *Issuer) Signer() *claims.Signer { return i.signer }

// Token returns a good token for t, with Audience and the subject "auth0|ann" where t has none.
func (i *Issuer) Token(t claims.Token) string {
	i.t.Helper()
	if t.Audience == nil {
		t.Audience = []string{Audience}
	}
	if t.Subject == "" {
		t.Subject = "auth0|ann"
	}
	token, err := i.signer.Sign(t)
	if err != nil {
		i.t.Fatalf("claimstest: %v", err)
	}
	return token
}

// KeyID returns the kid of the current key.
func (i *Issuer) KeyID() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keyID
}

// Forge signs any header and payload, well-formed or not, with the issuer's own key (ES256).
func (i *Issuer) Forge(header, payload string) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return forge(i.t, i.key, header, payload)
}

func forge(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := encode(header) + "." + encode(payload)
	digest := crypto.SHA256.New()
	digest.Write([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest.Sum(nil))
	if err != nil {
		t.Fatalf("claimstest: %v", err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + encode(string(signature))
}
