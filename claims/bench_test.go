package claims_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

// BenchmarkVerify compares, in one run, a token that was seen before (hit), one that was not (miss), and the check of the
// signature alone by the standard library (bare), which is the floor of a miss. The goal of a miss is 1.3 times bare.
//
// Go 1.26, 2 shared vCPU, one run: hit 60 to 68 ns and no allocation; miss against bare 27.2 / 23.3 µs (RS256), 52.7 / 48.3
// (ES256), 44.7 / 35.8 (EdDSA).
func BenchmarkVerify(b *testing.B) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name string
		key  crypto.Signer
		bare func(input, signature []byte) bool
	}{
		{"RS256", rsaKey, func(input, signature []byte) bool {
			digest := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, digest[:], signature) == nil
		}},
		{"ES256", ecKey, func(input, signature []byte) bool {
			digest := sha256.Sum256(input)
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			return ecdsa.Verify(&ecKey.PublicKey, digest[:], r, s)
		}},
		{"EdDSA", edKey, func(input, signature []byte) bool {
			return ed25519.Verify(edKey.Public().(ed25519.PublicKey), input, signature)
		}},
	} {
		signer, err := claims.NewSigner(claims.SignerConfig{Key: bm.key, Issuer: claimstest.URL})
		if err != nil {
			b.Fatal(err)
		}
		token, err := signer.Sign(typicalToken)
		if err != nil {
			b.Fatal(err)
		}
		config := trusting(claims.Plain(claimstest.URL, claimstest.Audience, signer.KeySet()))
		b.Run(bm.name+"/hit", func(b *testing.B) {
			v := newVerifier(b, config)
			other := strings.Clone(token) // so that the comparison cannot end at equal pointers
			mustVerify(b, v, token)
			b.ReportAllocs()
			for b.Loop() {
				mustVerify(b, v, other)
			}
		})
		b.Run(bm.name+"/miss", func(b *testing.B) {
			config := config
			config.CacheBytes = -1
			v := newVerifier(b, config)
			b.ReportAllocs()
			for b.Loop() {
				mustVerify(b, v, token)
			}
		})
		b.Run(bm.name+"/bare", func(b *testing.B) {
			end := strings.LastIndexByte(token, '.')
			input := []byte(token[:end])
			signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !bm.bare(input, signature) {
					b.Fatal("bad signature")
				}
			}
		})
	}
}

// BenchmarkVerifyHitParallel has all cores read one entry.
func BenchmarkVerifyHitParallel(b *testing.B) {
	issuer := claimstest.NewIssuer(b)
	v := newVerifier(b, trusting(issuer.Trusted()))
	token := issuer.Token(typicalToken)
	mustVerify(b, v, token)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		other := strings.Clone(token)
		for pb.Next() {
			mustVerify(b, v, other)
		}
	})
}

// BenchmarkVerifyHit16k walks over 16,000 live tokens: what a hit costs when the CPU's caches do not hold them (0.44 µs).
func BenchmarkVerifyHit16k(b *testing.B) {
	issuer := claimstest.NewIssuer(b)
	v := newVerifier(b, trusting(issuer.Trusted()))
	tokens := make([]string, 16_000)
	for i := range tokens {
		tokens[i] = issuer.Token(typicalToken)
		mustVerify(b, v, tokens[i])
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		mustVerify(b, v, tokens[i])
		if i++; i == len(tokens) {
			i = 0
		}
	}
}

var typicalToken = claims.Token{
	Subject: "auth0|65f1c0a7e2b34d5566778899", Audience: []string{claimstest.Audience, "https://acme.eu.auth0.com/userinfo"},
	Org: claims.Org{ID: "org_Zq3vJ8mWc2Xt5YbN", Name: "granite-outpost"}, ClientID: "mF3kq8RzT1vXw7Yb2Nc5Pd9Hs4Lg6Ja0",
	Scopes:      []string{"openid", "profile", "read:adventures", "create:adventures"},
	Permissions: []string{"read:adventures", "create:adventures", "update:adventures", "read:members"},
}

func mustVerify(b *testing.B, v *claims.Verifier, token string) {
	if _, err := v.Verify(b.Context(), token); err != nil {
		b.Fatal(err)
	}
}
