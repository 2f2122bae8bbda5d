package claims_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

func TestSignerMintsWhatVerifiersAccept(t *testing.T) {
	t.Parallel()
	for alg, key := range map[string]crypto.Signer{"RS256": rsaKey(), "ES256": ecKey(), "EdDSA": edKey(), "ES256 in hardware": opaque{ecKey()}} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			signer := must(claims.NewSigner(claims.SignerConfig{Key: key, Issuer: claimstest.URL}))
			token := must(signer.Sign(claims.Token{Subject: "s", Audience: []string{claimstest.Audience}, Org: claims.Org{ID: "org_a"}}))
			header := string(must(base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])))
			if !strings.Contains(header, `"alg":"`+alg[:5]) || !strings.Contains(header, `"typ":"at+jwt"`) {
				t.Errorf("header = %s", header)
			}
			w := httptest.NewRecorder()
			signer.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			for name, set := range map[string]*claims.KeySet{
				"own key set": signer.KeySet(),
				"JWKS":        must(claims.ParseKeySet(w.Body.Bytes())),
				"by hand":     must(claims.ParseKeySet(jwks(jwk(key.Public(), map[string]any{"kid": kidOf(t, header)})))),
			} {
				v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, set)))
				c, err := v.Verify(t.Context(), token)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := c.Expiry.Sub(c.IssuedAt); got != 10*time.Minute || c.ID == "" || c.Org.ID != "org_a" {
					t.Errorf("%s: claims = %+v", name, c)
				}
			}
		})
	}
}

// opaque hides everything of a key but crypto.Signer, as a hardware key does.
type opaque struct{ crypto.Signer }

func kidOf(t *testing.T, header string) string {
	t.Helper()
	var h struct{ Kid string }
	if err := json.Unmarshal([]byte(header), &h); err != nil || h.Kid == "" {
		t.Fatalf("header %s has no kid: %v", header, err)
	}
	return h.Kid
}

// The example of RFC 8037, appendix A.3.
func TestKeyIDIsTheThumbprint(t *testing.T) {
	t.Parallel()
	seed := must(base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	token := mint(t, ed25519.NewKeyFromSeed(seed), "")
	header := string(must(base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])))
	if kid := kidOf(t, header); kid != "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k" {
		t.Errorf("kid = %s", kid)
	}
}

func TestSignerRotation(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	clock := func() time.Time { return now }
	signer := must(claims.NewSigner(claims.SignerConfig{Key: ecKey(), Issuer: claimstest.URL, KeepOldKeys: time.Hour, Clock: clock}))
	cfg := trusting(claims.Plain(claimstest.URL, claimstest.Audience, signer.KeySet()))
	cfg.Clock = clock
	v := newVerifier(t, cfg)
	sign := func() string {
		return must(signer.Sign(claims.Token{Subject: "s", Audience: []string{claimstest.Audience}, Lifetime: 3 * time.Hour}))
	}
	published := func() int {
		w := httptest.NewRecorder()
		signer.JWKS().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return strings.Count(w.Body.String(), `"kid"`)
	}
	old := sign()
	wantOK(t, v, old)
	key := ecKey()
	if err := signer.Rotate(key, "second"); err != nil {
		t.Fatal(err)
	}
	wantOK(t, v, old)
	wantOK(t, v, sign())
	if n := published(); n != 2 {
		t.Errorf("%d keys published after a rotation", n)
	}
	if err := signer.Rotate(key, "second"); err == nil {
		t.Error("rotated to the key in use")
	}
	if err := signer.Rotate(weakRSAKey(), ""); err == nil {
		t.Error("rotated to a weak key")
	}
	wantOK(t, v, sign())
	now = now.Add(time.Hour - 1)
	wantOK(t, v, old)
	now = now.Add(1)
	wantRefusal(t, v, old, claims.CodeInvalidSignature)
	wantOK(t, v, sign())
	if n := published(); n != 1 {
		t.Errorf("%d keys published after an hour", n)
	}
}

func TestSignAndRotateConcurrently(t *testing.T) {
	t.Parallel()
	signer := must(claims.NewSigner(claims.SignerConfig{Key: edKey(), Issuer: claimstest.URL}))
	v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, signer.KeySet())))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if _, err := v.Verify(t.Context(), must(signer.Sign(claims.Token{Subject: "s", Audience: []string{claimstest.Audience}}))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 20 {
		if err := signer.Rotate(edKey(), ""); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
}

func TestSignRefusesContradictions(t *testing.T) {
	t.Parallel()
	signer := claimstest.NewIssuer(t).Signer()
	ok := claims.Token{Subject: "s", Audience: []string{"a"}}
	for want, edit := range map[string]func(*claims.Token){
		"Subject":  func(t *claims.Token) { t.Subject = "" },
		"Audience": func(t *claims.Token) { t.Audience = nil },
		"Scopes":   func(t *claims.Token) { t.Scopes = []string{"a b"} },
		"both set": func(t *claims.Token) { t.Expiry, t.Lifetime = time.Now(), time.Hour },
		"negative": func(t *claims.Token) { t.Lifetime = -time.Second },
		"fraction": func(t *claims.Token) { t.Lifetime = time.Millisecond },
		"iss":      func(t *claims.Token) { t.Extra = map[string]any{"iss": "x"} },
		"Extra":    func(t *claims.Token) { t.Extra = map[string]any{"x": func() {}} },
	} {
		token := ok
		edit(&token)
		if got, err := signer.Sign(token); err == nil || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("%s: Sign = %q, %v", want, got, err)
		}
	}
	if _, err := signer.Sign(claims.Token{}); err == nil || !strings.Contains(err.Error(), "Subject") || !strings.Contains(err.Error(), "Audience") {
		t.Errorf("not all problems at once: %v", err)
	}
}

func TestSignMintsExpiredTokens(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))
	wantRefusal(t, v, issuer.Token(claims.Token{Expiry: time.Now().Add(-time.Minute)}), claims.CodeExpired)
	wantOK(t, v, issuer.Token(claims.Token{Expiry: time.Now().Add(-10 * time.Second)})) // within the skew
}

func TestNewSignerRefusesBadConfig(t *testing.T) {
	t.Parallel()
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	for want, cfg := range map[string]claims.SignerConfig{
		"no key":    {Issuer: "i"},
		"1024 bits": {Issuer: "i", Key: weakRSAKey()},
		"P-384":     {Issuer: "i", Key: p384},
		"Issuer":    {Key: ecKey()},
		"kid":       {Issuer: "i", Key: ecKey(), KeyID: "a\nb"},
	} {
		if s, err := claims.NewSigner(cfg); err == nil || !strings.Contains(err.Error(), want) || s != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	signer := must(claims.NewSigner(claims.SignerConfig{Key: rsaKey(), KeyID: "k1", Issuer: claimstest.URL}))
	server := httptest.NewServer(signer.JWKS())
	t.Cleanup(server.Close)
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "OPTIONS": 405, "DELETE": 405} {
		req := must(http.NewRequest(method, server.URL, nil))
		res := must(server.Client().Do(req))
		body := new(bytes.Buffer)
		_, _ = body.ReadFrom(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s = %d, want %d", method, res.StatusCode, want)
		}
		if want == 200 && (res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Cache-Control") != "public, max-age=60") {
			t.Errorf("%s: headers %v", method, res.Header)
		}
		if want == 405 && res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: headers %v", method, res.Header)
		}
		if method != "GET" {
			continue
		}
		var set struct{ Keys []map[string]string }
		if err := json.Unmarshal(body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		k := set.Keys[0]
		if k["kid"] != "k1" || k["alg"] != "RS256" || k["use"] != "sig" || k["kty"] != "RSA" || len(k) != 6 {
			t.Errorf("key = %v", k)
		}
	}
}

func TestLoadPrivateKeyPEM(t *testing.T) {
	t.Parallel()
	block := func(typ string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}) }
	pkcs8 := func(key any) []byte { return must(x509.MarshalPKCS8PrivateKey(key)) }
	ec, ed := ecKey(), edKey()
	for name, key := range map[string]interface {
		crypto.Signer
		Equal(crypto.PrivateKey) bool
	}{"RSA": rsaKey(), "EC": ec, "Ed25519": ed} {
		got, err := claims.LoadPrivateKeyPEM(append([]byte("a comment\n"), block("PRIVATE KEY", pkcs8(key))...))
		if err != nil || !key.Equal(got) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	x25519 := must(ecdh.X25519().GenerateKey(rand.Reader))
	good := block("PRIVATE KEY", pkcs8(ec))
	for name, tt := range map[string]struct {
		in   []byte
		want string
	}{
		"empty":          {nil, "not PEM"},
		"DER":            {pkcs8(ec), "not PEM"},
		"PKCS #1":        {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "openssl pkcs8 -topk8"},
		"SEC 1":          {block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))), "openssl pkcs8 -topk8"},
		"EC parameters":  {append(block("EC PARAMETERS", []byte{6}), good...), "EC PARAMETERS"},
		"encrypted":      {block("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		"old encryption": {[]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"), "encrypted"},
		"OpenSSH":        {block("OPENSSH PRIVATE KEY", []byte{1}), "ssh-keygen"},
		"certificate":    {block("CERTIFICATE", []byte{1}), "certificate"},
		"public":         {block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(ec.Public()))), "cannot sign"},
		"another type":   {block("X509 CRL", []byte{1}), "PKCS #8"},
		"two keys":       {append(good, good...), "more than one"},
		"garbage inside": {block("PRIVATE KEY", []byte("garbage")), "no PKCS #8"},
		"P-384":          {block("PRIVATE KEY", pkcs8(p384)), "P-384"},
		"X25519":         {block("PRIVATE KEY", pkcs8(x25519)), "cannot sign"},
		"RSA 1024":       {block("PRIVATE KEY", pkcs8(weakRSAKey())), "1024 bits"},
	} {
		got, err := claims.LoadPrivateKeyPEM(tt.in)
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
