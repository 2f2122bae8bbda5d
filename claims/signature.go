package claims

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// supportedAlgorithms are all asymmetric. Each is also in the default allow-list of an Issuer.
var supportedAlgorithms = []string{"RS256", "ES256", "EdDSA", "PS256"}

const (
	minRSABits = 2048 // NIST SP 800-131A
	maxRSABits = 8192 // checking one signature of a larger key is a denial of service
)

var errSignatureLength = errors.New("the signature does not have the length of the key's")

// newCheck returns the check of signatures by one key with one algorithm. An empty alg is the natural one of the key: RS256
// for RSA. It refuses a key that is too weak, malformed, or not made for alg.
func newCheck(public crypto.PublicKey, alg string) (check func(input, signature []byte) error, _ string, _ error) {
	var fits []string
	var size int // of a signature, in bytes
	switch public := public.(type) {
	case *rsa.PublicKey:
		fits, size = []string{"RS256", "PS256"}, public.Size()
		switch bits := public.N.BitLen(); {
		case bits < minRSABits:
			return nil, "", fmt.Errorf("RSA key of %d bits, at least %d are needed", bits, minRSABits)
		case bits > maxRSABits:
			return nil, "", fmt.Errorf("RSA key of %d bits, at most %d are accepted", bits, maxRSABits)
		case public.N.Bit(0) == 0 || public.E < 3 || public.E&1 == 0:
			return nil, "", errors.New("RSA key with an even modulus or a bad exponent")
		}
	case *ecdsa.PublicKey:
		fits, size = []string{"ES256"}, 64
		if public.Curve != elliptic.P256() {
			return nil, "", fmt.Errorf("EC key on %s, P-256 is needed", public.Curve.Params().Name)
		}
		if _, err := public.ECDH(); err != nil {
			return nil, "", errors.New("EC key that is not a point of its curve")
		}
	case ed25519.PublicKey:
		fits, size = []string{"EdDSA"}, ed25519.SignatureSize
		if len(public) != ed25519.PublicKeySize {
			return nil, "", fmt.Errorf("Ed25519 key of %d bytes, not %d", len(public), ed25519.PublicKeySize)
		}
	default:
		return nil, "", fmt.Errorf("a key of type %T, which is no public key for signatures", public)
	}
	if alg == "" {
		alg = fits[0]
	} else if alg != fits[0] && alg != fits[len(fits)-1] {
		return nil, "", fmt.Errorf("alg is not one of %q, the supported ones for a %T", fits, public)
	}
	verifier, err := jws.NewVerifier(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return nil, "", err
	}
	return func(input, signature []byte) error {
		if len(signature) != size {
			return errSignatureLength
		}
		return verifier.Verify(input, signature, public)
	}, alg, nil
}
