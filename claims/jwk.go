package claims

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// newKey makes a key of a Signer. An empty id is the thumbprint (RFC 7638), the algorithm the natural one of the key's type.
func newKey(public crypto.PublicKey, id string) (*key, error) {
	if id != "" && !wellFormedKID(id) {
		return nil, errKID
	}
	k, err := describe(public, id, "")
	if err != nil || id != "" {
		return k, err
	}
	return describe(public, k.thumbprint, "")
}

// describe makes a key whose JWK holds what describes the public key, and nothing else that came with it.
func describe(public crypto.PublicKey, id, alg string) (*key, error) {
	check, alg, err := newCheck(public, alg)
	if err != nil {
		return nil, err
	}
	bare, err := jwk.FromRaw(public)
	if err != nil {
		return nil, err
	}
	thumbprint, err := bare.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if id != "" {
		err = bare.Set(jwk.KeyIDKey, id)
	}
	if err := errors.Join(err, bare.Set(jwk.AlgorithmKey, alg), bare.Set(jwk.KeyUsageKey, jwk.ForSignature)); err != nil {
		return nil, err
	}
	data, err := json.Marshal(bare)
	return &key{id: id, alg: alg, thumbprint: segments.EncodeToString(thumbprint), jwk: data, check: check}, err
}

var errKID = fmt.Errorf("a kid that is not printable ASCII of at most %d bytes", maxKIDBytes)

// parseJWK reads one key of a set (RFC 7517). It returns nil without an error for a key that is not there for signatures.
func parseJWK(data []byte) (*key, error) {
	parsed, err := jwk.ParseKey(data)
	if err != nil {
		return nil, errors.New("not a JWK of a known type, or one with parameters missing")
	}
	if use := parsed.KeyUsage(); use != "" && use != string(jwk.ForSignature) {
		return nil, nil
	}
	if ops := parsed.KeyOps(); len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) {
		return nil, nil
	}
	var public any
	if err := parsed.Raw(&public); err != nil {
		return nil, errors.New("a JWK with broken parameters")
	}
	switch public.(type) {
	case crypto.Signer:
		return nil, errors.New("a private key, which must not be in a public set and is to be replaced")
	case []byte:
		return nil, errors.New("a symmetric key, which cannot stand in a public set")
	}
	var alg string
	if a := parsed.Algorithm(); a != nil {
		alg = a.String()
	}
	id := parsed.KeyID()
	if id != "" && !wellFormedKID(id) {
		return nil, errKID
	}
	return describe(public, id, alg)
}
