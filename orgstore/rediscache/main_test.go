package rediscache

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{}) // of refused connections, which the tests cause by the hundred
	goleak.VerifyTestMain(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// onEach runs a test on miniredis and on a private redis-server.
func onEach(t *testing.T, test func(t *testing.T, addr string)) {
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		m := miniredis.RunT(t)
		test(t, m.Addr())
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		s := startServer(t)
		test(t, s.addr)
	})
}

// server is a redis-server of the test's own.
type server struct {
	t    testing.TB
	addr string
	args []string
	cmd  *exec.Cmd
}

func startServer(t testing.TB) *server {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1" {
			t.Fatal("ORGAUTHZ_REQUIRE_SERVICES is set, and there is no redis-server on PATH")
		}
		t.Skip("NOT TESTED on a real Redis: there is no redis-server on PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addr: l.Addr().String()}
	_, port, _ := net.SplitHostPort(s.addr)
	s.args = []string{path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir()}
	_ = l.Close()
	s.start()
	t.Cleanup(s.kill)
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	client := redis.NewClient(Options(s.addr))
	defer client.Close()
	eventually(s.t, "redis-server answers", func() bool { return client.Ping(context.Background()).Err() == nil })
}

func (s *server) signal(sig os.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually polls up to a deadline that is no part of what is tested.
func eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

// rawClient returns a client with the patience of a machine that runs many tests at once. What is to be bounded is so by
// Config.Timeout.
func rawClient(t testing.TB, addr string) *redis.Client {
	o := Options(addr)
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = 20*time.Second, 20*time.Second, 20*time.Second, 20*time.Second
	client := redis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// newCache returns a Cache with a client of its own, and as patient as that, unless cfg says otherwise.
func newCache(t testing.TB, addr string, cfg Config) *Cache {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	c, err := New(rawClient(t, addr), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// subscribe starts the subscription, and waits until it stands.
func subscribe(t testing.TB, c *Cache, raised func(orgstore.Vector), gap func()) {
	t.Helper()
	c.Subscribe(raised, gap)
	eventually(t, "subscribed", c.subscribed.Load)
}

// quiet hides OnCommit, as on a node that did not write.
type quiet struct{ orgstore.Resolver }

func newEngine(t testing.TB) *orgstore.Engine {
	t.Helper()
	return newEngineAt(t, nil)
}

func newEngineAt(t testing.TB, clock func() time.Time) *orgstore.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), ":memory:", orgstore.Config{LoadTimeout: time.Minute, LockTimeout: time.Minute, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func newStore(t testing.TB, loader orgstore.Resolver, shared cached.Shared, cfg cached.Config) *cached.Store {
	t.Helper()
	cfg.Shared = shared
	if cfg.SharedTimeout == 0 {
		cfg.SharedTimeout = 10 * time.Second
	}
	if cfg.LoadTimeout == 0 {
		cfg.LoadTimeout = 10 * time.Second
	}
	s, err := cached.New(loader, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if c, ok := shared.(*Cache); ok && c != nil {
		eventually(t, "subscribed", c.subscribed.Load)
	}
	return s
}

// proxy is a TCP proxy that can stop carrying bytes in either direction, holding them back.
type proxy struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	free     [2]chan struct{} // closed while bytes flow to the server, to the client
	open     map[net.Conn]bool
	refusing bool
	running  sync.WaitGroup
}

const (
	toServer = 0
	toClient = 1
)

func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, open: map[net.Conn]bool{}}
	for i := range p.free {
		p.free[i] = make(chan struct{})
		close(p.free[i])
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.set(toServer, true)
		p.set(toClient, true)
		_ = l.Close()
		p.refuse(true)
		p.running.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.open[client], p.open[server] = true, true
		if p.refusing {
			_, _ = client.Close(), server.Close()
		}
		p.mu.Unlock()
		p.running.Go(func() { p.carry(toServer, server, client) })
		p.running.Go(func() { p.carry(toClient, client, server) })
	}
}

func (p *proxy) carry(direction int, to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		p.mu.Lock()
		free := p.free[direction]
		p.mu.Unlock()
		<-free
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// refuse cuts all connections and takes no others, or takes them again.
func (p *proxy) refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing = refuse
	if refuse {
		for c := range p.open {
			_ = c.Close()
		}
		clear(p.open)
	}
}

// set lets bytes flow in one direction, or holds them back.
func (p *proxy) set(direction int, flow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.free[direction]:
		if !flow {
			p.free[direction] = make(chan struct{})
		}
	default:
		if flow {
			close(p.free[direction])
		}
	}
}

// deadEnd is an address where nobody listens.
func deadEnd(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func ids(i int) string { return fmt.Sprint("org_", i) }
