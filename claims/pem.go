package claims

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// LoadPrivateKeyPEM reads a private key for a [Signer] from PEM: one PKCS #8 block, "PRIVATE KEY", of RSA, EC on P-256 or
// Ed25519. An error says what was found instead and how to convert it, and holds nothing of the key.
func LoadPrivateKeyPEM(data []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New(`claims: not PEM: want a "-----BEGIN PRIVATE KEY-----" block; ` +
			`make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`)
	}
	const convert = "convert it with: openssl pkcs8 -topk8 -nocrypt -in old.pem -out new.pem"
	switch {
	case block.Type == "PRIVATE KEY":
	case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
		return nil, errors.New("claims: an encrypted private key, which cannot be read without its password; " + convert)
	case block.Type == "RSA PRIVATE KEY" || block.Type == "EC PRIVATE KEY":
		return nil, fmt.Errorf("claims: a private key in the older form %q, not PKCS #8; %s", block.Type, convert)
	case block.Type == "EC PARAMETERS":
		return nil, errors.New("claims: the file begins with EC PARAMETERS, as openssl ecparam writes it; " + convert)
	case block.Type == "OPENSSH PRIVATE KEY":
		return nil, errors.New("claims: a private key in OpenSSH's form; convert it with: ssh-keygen -p -m PKCS8 -f copy.pem")
	case block.Type == "CERTIFICATE" || strings.HasSuffix(block.Type, "PUBLIC KEY"):
		return nil, fmt.Errorf("claims: a %s, which cannot sign; want the private key that belongs to it", strings.ToLower(block.Type))
	default:
		return nil, fmt.Errorf(`claims: a PEM block of another type than "PRIVATE KEY"; want a PKCS #8 private key`)
	}
	if extra, _ := pem.Decode(rest); extra != nil {
		return nil, errors.New("claims: more than one PEM block; want a file with the private key alone")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("claims: a PRIVATE KEY block that is no PKCS #8 key of a known type; it may be cut off or of an unsupported type")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("claims: a private key that cannot sign (%T); want RSA, EC on P-256 or Ed25519", parsed)
	}
	if _, _, err := newCheck(signer.Public(), ""); err != nil {
		return nil, fmt.Errorf("claims: a private key that cannot be used: %w; want RSA of 2048 bits or more, EC on P-256 or Ed25519", err)
	}
	return signer, nil
}
