package claims_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

// Keys that are slow to make are made once for all tests.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func edKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

// jwk writes a public key as RFC 7518 says, by hand: a second opinion beside the library's.
func jwk(public crypto.PublicKey, more map[string]any) map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	var k map[string]any
	switch public := public.(type) {
	case *rsa.PublicKey:
		k = map[string]any{"kty": "RSA", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(public.Bytes())
		half := len(point) / 2
		k = map[string]any{"kty": "EC", "crv": public.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		k = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	case *ecdh.PublicKey:
		k = map[string]any{"kty": "OKP", "crv": "X25519", "x": b64(public.Bytes())}
	case []byte:
		k = map[string]any{"kty": "oct", "k": b64(public)}
	}
	maps.Copy(k, more)
	return k
}

func jwks(keys ...map[string]any) []byte {
	return must(json.Marshal(map[string]any{"keys": keys}))
}

// mint signs a good token with key, whose kid is as given.
func mint(t testing.TB, key crypto.Signer, kid string) string {
	t.Helper()
	signer, err := claims.NewSigner(claims.SignerConfig{Key: key, KeyID: kid, Issuer: claimstest.URL})
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign(claims.Token{Subject: "s", Audience: []string{claimstest.Audience}})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestParseKeySetTakesUsableKeys(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key  crypto.Signer
		more map[string]any
	}{
		"RSA":                       {rsaKey(), nil},
		"RSA with alg":              {rsaKey(), map[string]any{"alg": "RS256", "use": "sig"}},
		"RSA with a certificate":    {rsaKey(), map[string]any{"x5t": "x", "use": "sig"}},
		"EC":                        {ecKey(), nil},
		"EC with alg and key_ops":   {ecKey(), map[string]any{"alg": "ES256", "key_ops": []string{"verify"}}},
		"Ed25519":                   {edKey(), nil},
		"Ed25519 with alg":          {edKey(), map[string]any{"alg": "EdDSA"}},
		"EC with an unknown member": {ecKey(), map[string]any{"x-private": map[string]any{"a": 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := jwk(tt.key.Public(), map[string]any{"kid": "k"})
			maps.Copy(k, tt.more)
			set, err := claims.ParseKeySet(jwks(k))
			if err != nil {
				t.Fatal(err)
			}
			v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, set)))
			if _, err := v.Verify(t.Context(), mint(t, tt.key, "k")); err != nil {
				t.Error(err)
			}
		})
	}
}

// One bad key does not break the others, is never used, and the log says why it is not.
func TestParseKeySetDropsBadKeys(t *testing.T) {
	t.Parallel()
	good := ecKey()
	ec := ecKey()
	offCurve := jwk(ec.Public(), map[string]any{"kid": "bad"})
	offCurve["x"], offCurve["y"] = offCurve["y"], offCurve["x"]
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	private := jwk(ec.Public(), map[string]any{"kid": "bad", "d": base64.RawURLEncoding.EncodeToString(must(ec.Bytes()))})
	kid := func(more ...any) map[string]any {
		m := map[string]any{"kid": "bad"}
		for i := 0; i < len(more); i += 2 {
			m[more[i].(string)] = more[i+1]
		}
		return m
	}
	for name, tt := range map[string]struct {
		bad    []map[string]any
		reason string // "" for a key that is left out in silence
	}{
		"symmetric":             {[]map[string]any{jwk([]byte("0123456789abcdef0123456789abcdef"), kid("alg", "HS256"))}, "symmetric"},
		"RSA of 1024 bits":      {[]map[string]any{jwk(weakRSAKey().Public(), kid())}, "1024 bits"},
		"RSA with exponent 1":   {[]map[string]any{jwk(&rsa.PublicKey{N: rsaKey().N, E: 1}, kid())}, "exponent"},
		"RSA of 16384 bits":     {[]map[string]any{jwk(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 16383, 1), E: 65537}, kid())}, "16384 bits"},
		"EC on P-384":           {[]map[string]any{jwk(p384.Public(), kid())}, "P-384"},
		"EC off its curve":      {[]map[string]any{offCurve}, "not a point"},
		"Ed25519 of 31 bytes":   {[]map[string]any{jwk(edKey().Public().(ed25519.PublicKey)[:31], kid())}, "31 bytes"},
		"Ed25519 without x":     {[]map[string]any{{"kty": "OKP", "crv": "Ed25519", "kid": "bad"}}, "parameters missing"},
		"X25519":                {[]map[string]any{jwk(must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey(), kid())}, "no public key for signatures"},
		"private":               {[]map[string]any{private}, "private"},
		"unknown kty":           {[]map[string]any{{"kty": "AKP", "kid": "bad"}}, "not a JWK"},
		"no kty":                {[]map[string]any{{"kid": "bad"}}, "not a JWK"},
		"RSA without n":         {[]map[string]any{{"kty": "RSA", "e": "AQAB", "kid": "bad"}}, "key 1"},
		"alg of another type":   {[]map[string]any{jwk(ec.Public(), kid("alg", "RS256"))}, "alg"},
		"alg HS256 on RSA":      {[]map[string]any{jwk(rsaKey().Public(), kid("alg", "HS256"))}, "alg"},
		"alg none":              {[]map[string]any{jwk(ec.Public(), kid("alg", "none"))}, "alg"},
		"kid of 257 bytes":      {[]map[string]any{jwk(ec.Public(), kid("kid", strings.Repeat("k", 257)))}, "kid"},
		"duplicate kid":         {[]map[string]any{jwk(ec.Public(), kid()), jwk(ecKey().Public(), kid())}, "several keys"},
		"same key twice":        {[]map[string]any{jwk(ec.Public(), kid()), jwk(ec.Public(), kid())}, "several keys"},
		"for encryption":        {[]map[string]any{jwk(ec.Public(), kid("use", "enc"))}, ""},
		"for other operations":  {[]map[string]any{jwk(ec.Public(), kid("key_ops", []string{"sign"}))}, ""},
		"alg of key encryption": {[]map[string]any{jwk(rsaKey().Public(), kid("alg", "RSA-OAEP"))}, "alg"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := claims.ParseKeySet(jwks(append([]map[string]any{jwk(good.Public(), map[string]any{"kid": "good"})}, tt.bad...)...))
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cfg := trusting(claims.Plain(claimstest.URL, claimstest.Audience, set))
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			v := newVerifier(t, cfg)
			if _, err := v.Verify(t.Context(), mint(t, good, "good")); err != nil {
				t.Errorf("the good key: %v", err)
			}
			_, err = v.Verify(t.Context(), mint(t, ec, "bad"))
			wantCode(t, err, claims.CodeInvalidSignature)
			if (log.Len() > 0) != (tt.reason != "") || !strings.Contains(log.String(), tt.reason) {
				t.Errorf("log = %s, want %q", &log, tt.reason)
			}
			if _, err := claims.ParseKeySet(jwks(tt.bad...)); err == nil || !strings.Contains(err.Error(), "no usable key") {
				t.Errorf("a set of bad keys alone: %v", err)
			}
		})
	}
	for _, body := range []string{"", "null", "[]", "{}", `{"keys":null}`, `{"keys":{}}`, `{"keys":[]}`, `{"keys":[1,"x",null]}`, "<html>"} {
		if _, err := claims.ParseKeySet([]byte(body)); err == nil {
			t.Errorf("ParseKeySet(%q) succeeded", body)
		}
	}
}

// An RSA key serves the algorithm that it names, or RS256: never both.
func TestKeyDecidesAlgorithm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ published, token string }{{"", "PS256"}, {"RS256", "PS256"}, {"PS256", "RS256"}} {
		more := map[string]any{"kid": "k"}
		if tt.published != "" {
			more["alg"] = tt.published
		}
		set := must(claims.ParseKeySet(jwks(jwk(rsaKey().Public(), more))))
		v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, set)))
		_, err := v.Verify(t.Context(), signRSA(t, tt.token, "k"))
		wantCode(t, err, claims.CodeInvalidSignature)
		right := tt.published
		if right == "" {
			right = "RS256"
		}
		if _, err := v.Verify(t.Context(), signRSA(t, right, "k")); err != nil {
			t.Errorf("key for %q, token %s: %v", tt.published, right, err)
		}
	}
}

func signRSA(t testing.TB, alg, kid string) string {
	t.Helper()
	var opts crypto.SignerOpts = crypto.SHA256
	if alg == "PS256" {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return sign(t, map[string]string{"alg": alg, "kid": kid, "typ": "at+jwt"}, func(digest []byte) []byte {
		return must(rsaKey().Sign(rand.Reader, digest, opts))
	})
}

func signEC(t testing.TB, key *ecdsa.PrivateKey, header map[string]string) string {
	t.Helper()
	return sign(t, header, func(digest []byte) []byte {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		return append(must(r, err).FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	})
}

func sign(t testing.TB, header map[string]string, signature func(digest []byte) []byte) string {
	_, payload := claimstest.NewIssuer(t).Baseline()
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(must(json.Marshal(header))) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	return input + "." + b64(signature(digest[:]))
}

func TestTokenWithoutKID(t *testing.T) {
	t.Parallel()
	one, two, ed := ecKey(), ecKey(), edKey()
	own := ecKey()
	for name, tt := range map[string]struct {
		keys []map[string]any
		ok   bool
	}{
		"only key":                     {[]map[string]any{jwk(own.Public(), map[string]any{"kid": "own"})}, true},
		"only key for its alg":         {[]map[string]any{jwk(own.Public(), map[string]any{"kid": "own"}), jwk(ed.Public(), nil), jwk(rsaKey().Public(), nil)}, true},
		"two keys for its alg":         {[]map[string]any{jwk(own.Public(), map[string]any{"kid": "own"}), jwk(one.Public(), map[string]any{"kid": "other"})}, false},
		"two without kid":              {[]map[string]any{jwk(own.Public(), map[string]any{"kid": "own"}), jwk(one.Public(), nil)}, false},
		"no key for its alg":           {[]map[string]any{jwk(ed.Public(), nil)}, false},
		"only key, of somebody else's": {[]map[string]any{jwk(two.Public(), nil)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, must(claims.ParseKeySet(jwks(tt.keys...))))))
			_, err := v.Verify(t.Context(), signEC(t, own, map[string]string{"alg": "ES256", "typ": "at+jwt"}))
			if !tt.ok {
				wantCode(t, err, claims.CodeInvalidSignature)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	// A key without kid serves no token that names one.
	v := newVerifier(t, trusting(claims.Plain(claimstest.URL, claimstest.Audience, must(claims.ParseKeySet(jwks(jwk(one.Public(), nil)))))))
	_, err := v.Verify(t.Context(), mint(t, one, "k"))
	wantCode(t, err, claims.CodeInvalidSignature)
}

func TestUnknownKeyReadsLikeBadSignature(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	v := newVerifier(t, trusting(issuer.Trusted()))
	header, payload := issuer.Baseline()
	good := issuer.Forge(header, payload)
	_, unknown := v.Verify(t.Context(), issuer.Forge(strings.Replace(header, issuer.KeyID(), "unknown", 1), payload))
	_, bad := v.Verify(t.Context(), good[:len(good)-20]+strings.Repeat("A", 20))
	wantCode(t, unknown, claims.CodeInvalidSignature)
	wantCode(t, bad, claims.CodeInvalidSignature)
	if unknown.Error() != bad.Error() {
		t.Errorf("%q differs from %q", unknown, bad)
	}
	// The log may tell them apart.
	text := func(err error) string {
		var b bytes.Buffer
		slog.New(slog.NewTextHandler(&b, nil)).Info("refused", "error", err)
		return b.String()[strings.Index(b.String(), "error"):]
	}
	if text(unknown) == text(bad) {
		t.Errorf("the log says %s of both", text(bad))
	}
}

// Two issuers with one kid: each vouches for its own tokens alone.
func TestKeySetsArePerIssuer(t *testing.T) {
	t.Parallel()
	var trusted []claims.Issuer
	var signers []*claims.Signer
	for i := range 2 {
		url := fmt.Sprintf("https://issuer%d.example/", i)
		signer := must(claims.NewSigner(claims.SignerConfig{Key: ecKey(), KeyID: "same", Issuer: url}))
		signers = append(signers, signer)
		trusted = append(trusted, claims.Plain(url, claimstest.Audience, signer.KeySet()))
	}
	swapped := []claims.Issuer{trusted[0], trusted[1]}
	swapped[0].Keys, swapped[1].Keys = trusted[1].Keys, trusted[0].Keys
	right, wrong := newVerifier(t, trusting(trusted...)), newVerifier(t, trusting(swapped...))
	for _, signer := range signers {
		token := must(signer.Sign(claims.Token{Subject: "s", Audience: []string{claimstest.Audience}}))
		if _, err := right.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
		_, err := wrong.Verify(t.Context(), token)
		wantCode(t, err, claims.CodeInvalidSignature)
	}
}
