package claims

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Signer mints access tokens of the shape that Auth0 gives them, with typ at+jwt (RFC 9068), and publishes its keys. A
// Verifier in the same process takes Plain(issuer, audience, signer.KeySet()); one elsewhere fetches [Signer.JWKS]. It
// is safe for concurrent use.
type Signer struct {
	cfg    SignerConfig
	active atomic.Pointer[signingKey]
	public KeySet

	rotating sync.Mutex
}

// SignerConfig is what a Signer is made from. Key and Issuer are required.
type SignerConfig struct {
	// Key signs: RSA of 2048 to 8192 bits (RS256), ECDSA on P-256 (ES256) or Ed25519 (EdDSA). It may be a hardware key.
	Key crypto.Signer
	// KeyID becomes kid: printable ASCII, at most 256 bytes. "" means the key's thumbprint (RFC 7638).
	KeyID string
	// Issuer becomes iss.
	Issuer string
	// KeepOldKeys is how long a key that was rotated out stays published: as long as the longest-lived token. 0 means 25 h, a
	// negative value withdraws it at once.
	KeepOldKeys time.Duration
	// Clock tells the time. Nil means time.Now.
	Clock func() time.Time
}

type signingKey struct {
	*key
	signer crypto.Signer
	header string // encoded, with the dot behind it
}

// NewSigner makes a Signer, or says everything that is wrong with cfg.
func NewSigner(cfg SignerConfig) (*Signer, error) {
	orDefault(&cfg.KeepOldKeys, 25*time.Hour)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	var problems []error
	if cfg.Issuer == "" {
		problems = append(problems, errors.New("claims: SignerConfig.Issuer is empty: want the URL that becomes iss"))
	}
	k, err := newSigningKey(cfg.Key, cfg.KeyID)
	if err != nil {
		problems = append(problems, fmt.Errorf("claims: SignerConfig.Key: %w", err))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	s := &Signer{cfg: cfg}
	k.goodUntil.Store(forever)
	s.public.ring.Store(newKeyring([]*key{k.key}, nil))
	s.active.Store(k)
	return s, nil
}

func newSigningKey(signer crypto.Signer, id string) (*signingKey, error) {
	if signer == nil {
		return nil, errors.New("no key: want a private key, such as LoadPrivateKeyPEM returns")
	}
	public, err := newKey(signer.Public(), id)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{"alg": public.alg, "kid": public.id, "typ": typeAccessToken})
	return &signingKey{key: public, signer: signer, header: segments.EncodeToString(header) + "."}, err
}

// Rotate makes the Signer sign with another key from now on; its keyID is as in SignerConfig. Both keys are published for
// SignerConfig.KeepOldKeys, then the new one alone: tokens of the old one end there.
func (s *Signer) Rotate(newKey crypto.Signer, keyID string) error {
	next, err := newSigningKey(newKey, keyID)
	if err != nil {
		return fmt.Errorf("claims: Rotate: %w", err)
	}
	s.rotating.Lock()
	defer s.rotating.Unlock()
	now := s.cfg.Clock()
	keys := slices.DeleteFunc(slices.Clone(s.public.ring.Load().keys), func(k *key) bool { return !k.good(now.UnixNano()) })
	if slices.ContainsFunc(keys, func(k *key) bool { return k.id == next.id }) {
		return errors.New("claims: Rotate: a key with this id is still published")
	}
	next.goodUntil.Store(forever)
	s.public.ring.Store(newKeyring(append(keys, next.key), nil))
	until := now.Add(s.cfg.KeepOldKeys).UnixNano()
	if s.cfg.KeepOldKeys < 0 {
		until = 0
	}
	s.active.Swap(next).goodUntil.Store(until)
	return nil
}

// KeySet returns the signer's public keys. The set follows the signer's rotations.
func (s *Signer) KeySet() *KeySet { return &s.public }

// JWKS serves the public keys as a JSON Web Key Set (RFC 7517), usually at /.well-known/jwks.json. It answers GET and HEAD;
// caches may keep the answer for a minute.
func (s *Signer) JWKS() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := s.public.marshal(s.cfg.Clock())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=60")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(body) // the client is gone if this fails
	})
}

// Token is what a Signer writes into a token. Subject and Audience are required.
type Token struct {
	Subject     string   // sub
	Audience    []string // aud
	Org         Org      // org_id and org_name; a zero field is left out
	ClientID    string   // client_id
	Scopes      []string // scope
	Permissions []string // permissions
	Roles       []string // roles

	ID       string        // jti; "" means 128 random bits
	IssuedAt time.Time     // iat, whole seconds; zero means now
	Lifetime time.Duration // from IssuedAt to exp, whole seconds; 0 means 10 min
	Expiry   time.Time     // exp, whole seconds; if set, Lifetime must not be. It may lie in the past, for tests and demonstrations.

	// Extra are further claims by name. Those that the other fields write, and iss, cannot be among them.
	Extra map[string]any
}

const defaultLifetime = 10 * time.Minute

// Sign returns the token, signed with the current key. An error means that t is incomplete or contradicts itself, or that the
// key could not sign.
func (s *Signer) Sign(t Token) (string, error) {
	payload, err := s.payload(t)
	if err != nil {
		return "", err
	}
	k := s.active.Load()
	input := k.header + segments.EncodeToString(payload)
	signature, err := k.sign([]byte(input))
	if err != nil {
		return "", fmt.Errorf("claims: Sign: %w", err)
	}
	return input + "." + segments.EncodeToString(signature), nil
}

func (s *Signer) payload(t Token) ([]byte, error) {
	var problems []error
	problem := func(text string) { problems = append(problems, errors.New("claims: Token."+text)) }
	if t.Subject == "" {
		problem("Subject is empty")
	}
	if len(t.Audience) == 0 || slices.Contains(t.Audience, "") {
		problem("Audience is empty")
	}
	for _, scope := range t.Scopes {
		if scope == "" || strings.ContainsAny(scope, " \t\r\n") {
			problem("Scopes: a scope is empty or has white space in it")
			break
		}
	}
	switch {
	case !t.Expiry.IsZero() && t.Lifetime != 0:
		problem("Expiry and Lifetime are both set: want one of them")
	case t.Lifetime < 0 || t.Lifetime%time.Second != 0:
		problem("Lifetime is negative or has a fraction of a second")
	}
	orDefault(&t.Lifetime, defaultLifetime)
	orDefault(&t.ID, rand.Text())
	if t.IssuedAt.IsZero() {
		t.IssuedAt = s.cfg.Clock()
	}
	if t.Expiry.IsZero() {
		t.Expiry = t.IssuedAt.Add(t.Lifetime)
	}

	payload := map[string]any{
		"iss": s.cfg.Issuer, "sub": t.Subject, "aud": t.Audience, "jti": t.ID, "iat": t.IssuedAt.Unix(), "exp": t.Expiry.Unix(),
	}
	if len(t.Audience) == 1 {
		payload["aud"] = t.Audience[0]
	}
	for name, value := range map[string]string{
		"org_id": t.Org.ID, "org_name": t.Org.Name, "client_id": t.ClientID, "scope": strings.Join(t.Scopes, " "),
	} {
		if value != "" {
			payload[name] = value
		}
	}
	for name, list := range map[string][]string{"permissions": t.Permissions, "roles": t.Roles} {
		if list != nil {
			payload[name] = list
		}
	}
	for name, value := range t.Extra {
		if _, taken := payload[name]; taken {
			problem("Extra holds " + name + ", which another field of Token writes")
		}
		payload[name] = value
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	data, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("claims: Token.Extra: %w", err)
	}
	return data, nil
}

// sign returns the signature over input in the form of RFC 7518 section 3.
func (k *signingKey) sign(input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch k.signer.Public().(type) {
	case *rsa.PublicKey:
		return k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	case *ecdsa.PublicKey:
		der, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		var point struct{ R, S *big.Int }
		if rest, err := asn1.Unmarshal(der, &point); err != nil || len(rest) != 0 {
			return nil, errors.New("the key returned no ASN.1 signature")
		}
		if point.R.Sign() <= 0 || point.R.BitLen() > 256 || point.S.Sign() <= 0 || point.S.BitLen() > 256 {
			return nil, errors.New("the key returned a signature out of range")
		}
		signature := make([]byte, 64)
		point.R.FillBytes(signature[:32])
		point.S.FillBytes(signature[32:])
		return signature, nil
	case ed25519.PublicKey:
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	return nil, errors.New("the key changed its type")
}
