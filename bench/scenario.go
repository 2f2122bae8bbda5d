package bench

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The product's API, and its identity provider.
const (
	issuer   = "https://acme.eu.auth0.com/"
	audience = "https://api.acme.example"
	keyID    = "Rk3_8n1Q2mXvbW0sT9yLe"

	pattern = "GET /orgs/{org}/adventures"

	// readAction is what every member may do, deleteAction what only admins may. The measured member is a guide.
	readAction   = "read:adventures"
	deleteAction = "delete:members"
)

// The populated case: every organization has the same number of members, spread over the roles.
const (
	organizations   = 100
	membersPerOrg   = 100
	measuredOrg     = 42 // the organization and member of the rows with one token
	measuredMember  = 5
	manyTokens      = 16_000 // tokens alive at once in the row with many
	tokensOverCache = 4_096  // tokens that the rows without a token cache go through
)

var roleNames = []string{"admin", "manager", "guide"}

// rolePermissions is what each role may do in every organization.
var rolePermissions = map[string][]string{
	"admin":   {readAction, "create:adventures", "read:ratings", "read:members", "create:members", deleteAction},
	"manager": {readAction, "create:adventures", "read:ratings", "read:members"},
	"guide":   {readAction, "create:signups", "read:ratings"},
}

func orgID(org int) string         { return fmt.Sprintf("org_Bench%011d", org) }
func orgName(org int) string       { return fmt.Sprintf("customer-%04d", org) }
func userID(org, m int) string     { return fmt.Sprintf("auth0|%08x%016x", org, m) }
func roleOf(member int) string     { return roleNames[member%len(roleNames)] }
func employmentOf(m int) string    { return []string{"staff", "freelance"}[m%2] }
func pathOf(org int) string        { return "/orgs/" + orgName(org) + "/adventures" }
func objectOf(a string) string     { _, object, _ := strings.Cut(a, ":"); return object }
func verbOf(a string) string       { verb, _, _ := strings.Cut(a, ":"); return verb }
func permissionsOf(m int) []string { return rolePermissions[roleOf(m)] }

// signingKey is the identity provider's key, made once.
var signingKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
})

// mint signs an access token like those that Auth0 issues for an organization with RBAC switched on.
func mint(org, member, serial int) string {
	now := time.Now()
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": keyID})
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": userID(org, member), "aud": []string{audience, issuer + "userinfo"},
		"iat": now.Unix(), "exp": now.Add(24 * time.Hour).Unix(), "azp": "my3n7Y6iJq1cRrV8tXw2Zb5dKf9hLs0g",
		"scope": "openid profile email", "org_id": orgID(org), "org_name": orgName(org),
		"permissions": permissionsOf(member), "jti": fmt.Sprintf("%016x", serial),
	})
	if err != nil {
		panic(err)
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, signingKey(), crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// mintAll signs n tokens, spread over all organizations and members, on all cores.
func mintAll(n int) []call {
	calls := make([]call, n)
	var wg sync.WaitGroup
	const workers = 8
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				org, member := i%organizations, i/organizations%membersPerOrg
				calls[i] = newCall(org, mint(org, member, i))
			}
		})
	}
	wg.Wait()
	return calls
}

// call is what one request is made of, so that every goroutine can have requests of its own.
type call struct {
	path, authorization string
}

func newCall(org int, token string) call { return call{pathOf(org), "Bearer " + token} }

func (c call) request() *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://api.acme.example"+c.path, nil)
	if err != nil {
		panic(err)
	}
	r.RequestURI = c.path
	r.RemoteAddr = "192.0.2.1:40000"
	r.Header.Set("Authorization", c.authorization)
	r.Header.Set("Accept", "application/json")
	return r
}

var answer = []byte(`{"adventures":[]}`)

// handler is what every row guards.
var handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(answer)
})

var jsonType = []string{"application/json"}

// routed puts guarded behind the mux that every row has, the bare one too.
func routed(guarded http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(pattern, guarded)
	return mux
}

// recorder is a ResponseWriter that keeps the status, and costs nothing.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	w.body = append(w.body[:0], p...)
	return len(p), nil
}

func (w *recorder) reset() {
	clear(w.header)
	w.status = 0
}
