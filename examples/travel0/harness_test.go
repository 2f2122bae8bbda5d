package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(programDir)
		os.Exit(code)
	}))
}

// instance is a running Travel0 that is spoken to over HTTP.
type instance struct {
	t   testing.TB
	app *app
	url string
	log *logBuffer
}

func start(t testing.TB, o options) *instance {
	t.Helper()
	i := &instance{t: t, log: &logBuffer{}}
	o.log = slog.New(slog.NewTextHandler(i.log, nil))
	a, err := open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.handler())
	t.Cleanup(func() {
		server.Close()
		if err := a.Close(); err != nil {
			t.Errorf("closing Travel0: %v", err)
		}
	})
	i.app, i.url = a, server.URL
	return i
}

// answer is one response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

type call struct {
	method, path, token, body string
	header                    http.Header // sent besides
}

func (i *instance) send(c call) answer {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), c.method, i.url+c.path, strings.NewReader(c.body))
	if err != nil {
		i.t.Fatal(err)
	}
	maps.Copy(req.Header, c.header)
	if c.token != "" {
		req.Header.Add("Authorization", "Bearer "+c.token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req) // no redirects
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// as sends a request with a token of user in the organization that the path names.
func (i *instance) as(user, method, path, body string) answer {
	i.t.Helper()
	org, _, _ := strings.Cut(strings.TrimPrefix(path, "/orgs/"), "/")
	return i.send(call{method: method, path: path, body: body, token: i.token(user, org)})
}

// token asks the demo endpoint for a token.
func (i *instance) token(user, org string) string {
	i.t.Helper()
	return i.mint(`{"user":"` + user + `","org":"` + org + `"}`)
}

func (i *instance) mint(body string) string {
	i.t.Helper()
	a := i.send(call{method: "POST", path: "/dev/tokens", body: body})
	var minted struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &minted); err != nil || a.status != 201 || minted.Token == "" {
		i.t.Fatalf("POST /dev/tokens %s = %d %s", body, a.status, a.body)
	}
	return minted.Token
}

// wantJSON asserts that a body is this JSON, whatever the order of its members.
func wantJSON(t testing.TB, body, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(body), &g); err != nil {
		t.Errorf("body %q is not JSON: %v", body, err)
		return
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the test's own JSON %s: %v", want, err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("body\n got %s\nwant %s", body, want)
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, within time.Duration, what string, f func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !f() {
		if time.Since(begin) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(begin)
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// eachDatabase runs f on a SQLite file, and on PostgreSQL where there is one: at ORGAUTHZ_POSTGRES_URL or the usual port.
func eachDatabase(t *testing.T, f func(t *testing.T, db string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "travel0.db")) })
	t.Run("postgres", func(t *testing.T) {
		server := cmp.Or(os.Getenv("ORGAUTHZ_POSTGRES_URL"), "postgres://postgres@127.0.0.1:5432/test")
		conn, err := pgx.Connect(t.Context(), server)
		if err != nil && os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") != "" {
			t.Fatalf("PostgreSQL is required here: %v", err)
		} else if err != nil {
			t.Skipf("SKIPPED: nothing was tried on PostgreSQL: %v", err)
		}
		schema := "travel0_test_" + strings.ToLower(rand.Text())
		if _, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			if _, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
				t.Error(err)
			}
			_ = conn.Close(ctx)
		})
		f(t, server+"?pool_max_conns=4&search_path="+schema)
	})
}

// redisServer is a Redis of a test's own that can be stopped and started again at the same address.
type redisServer interface {
	Addr() string
	Stop()
	Start() error
}

// eachRedis runs f against miniredis, and against a real redis-server where the machine has one.
func eachRedis(t *testing.T, f func(t *testing.T, r redisServer)) {
	t.Run("miniredis", func(t *testing.T) {
		m := &embeddedRedis{server: miniredis.NewMiniRedis()}
		if err := m.server.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.server.Close)
		f(t, m)
	})
	t.Run("redis-server", func(t *testing.T) {
		program, err := exec.LookPath("redis-server")
		if err != nil && os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") != "" {
			t.Fatal("redis-server is required here, but is not on the PATH: install Redis")
		} else if err != nil {
			t.Skip("SKIPPED: no redis-server on the PATH, so nothing was tried on a real Redis")
		}
		r := &realRedis{program: program, port: freePort(t), dir: t.TempDir()}
		if err := r.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Stop)
		f(t, r)
	})
}

type embeddedRedis struct{ server *miniredis.Miniredis }

func (m *embeddedRedis) Addr() string { return m.server.Addr() }
func (m *embeddedRedis) Stop()        { m.server.Close() }
func (m *embeddedRedis) Start() error { return m.server.Restart() }

type realRedis struct {
	program, port, dir string
	process            *exec.Cmd
}

func (r *realRedis) Addr() string { return net.JoinHostPort("127.0.0.1", r.port) }

func (r *realRedis) Stop() {
	if r.process != nil {
		_ = r.process.Process.Kill()
		_ = r.process.Wait()
		r.process = nil
	}
}

// Start returns once the server takes connections.
func (r *realRedis) Start() error {
	r.process = exec.Command(r.program, "--bind", "127.0.0.1", "--port", r.port, "--save", "", "--dir", r.dir)
	if err := r.process.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.Addr())
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// mustSub returns the embedded policies.
func mustSub(t testing.TB) fs.FS {
	t.Helper()
	policies, err := fs.Sub(embeddedPolicies, "policies")
	if err != nil {
		t.Fatal(err)
	}
	return policies
}

// writeKey writes a signing key to a PEM file and returns its path.
func writeKey(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
