package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

// World holds what rows share: the store with all organizations, and Redis, each opened when the first row asks for it. The
// zero value is ready to use. Close it after the last row.
type World struct {
	closers []func() error
	store   *orgstore.Engine
	redis   string // address; empty until a row asks for it
	version string // what answers there
}

func (w *World) closeLast(closer func() error) { w.closers = append(w.closers, closer) }

// Close closes what the rows opened, newest first.
func (w *World) Close() error {
	var errs []error
	for ; len(w.closers) > 0; w.closers = w.closers[:len(w.closers)-1] {
		errs = append(errs, w.closers[len(w.closers)-1]())
	}
	return errors.Join(errs...)
}

// openStore returns the store with all organizations and members, in memory.
func (w *World) openStore(ctx context.Context) (*orgstore.Engine, error) {
	if w.store != nil {
		return w.store, nil
	}
	store, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		return nil, err
	}
	w.closeLast(store.Close)
	_, err = store.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		roles := make(map[string]string, len(roleNames))
		for _, name := range roleNames {
			role, _, err := e.Roles.Create(ctx, orgstore.Role{Name: name, Permissions: rolePermissions[name]})
			if err != nil {
				return err
			}
			roles[name] = role.ID
		}
		for org := range organizations {
			if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{ID: orgID(org), Name: orgName(org)}); err != nil {
				return err
			}
			for member := range membersPerOrg {
				user := userID(org, member)
				if _, _, err := e.Users.Create(ctx, orgstore.User{ID: user}); err != nil {
					return err
				}
				_, err := e.Members.Add(ctx, orgID(org), user, orgstore.MemberOptions{
					Roles: []string{roles[roleOf(member)]}, Metadata: map[string]string{"employment": employmentOf(member)},
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("seeding the store: %w", err)
	}
	w.store = store
	return store, nil
}

// Redis says which Redis the rows used.
func (w *World) Redis() string {
	if w.version == "" {
		return "not used"
	}
	return w.version
}

// openRedis returns the address of a Redis of this process's own: a redis-server where one is installed, else miniredis.
func (w *World) openRedis(ctx context.Context) (string, error) {
	if w.redis != "" {
		return w.redis, nil
	}
	start := w.startRedis
	if _, err := exec.LookPath("redis-server"); err != nil {
		start = w.startMiniredis
	}
	err := start(ctx)
	return w.redis, err
}

func (w *World) startMiniredis(context.Context) error {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting miniredis: %w", err)
	}
	w.closeLast(func() error { server.Close(); return nil })
	w.redis, w.version = server.Addr(), "miniredis, as no redis-server is installed: slower or faster than a real one"
	return nil
}

// startRedis runs a redis-server that keeps nothing, on a port of its own.
func (w *World) startRedis(ctx context.Context) error {
	version, err := exec.CommandContext(ctx, "redis-server", "--version").Output()
	if err != nil {
		return fmt.Errorf("redis-server --version: %w", err)
	}
	dir, err := os.MkdirTemp("", "orgauthz-bench-")
	if err != nil {
		return err
	}
	w.closeLast(func() error { return os.RemoveAll(dir) })
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	server := exec.CommandContext(context.WithoutCancel(ctx), "redis-server",
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no") // Close ends it, not ctx
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting redis-server: %w", err)
	}
	w.closeLast(func() error {
		err := server.Process.Kill()
		_ = server.Wait() // says that it was killed
		return err
	})

	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			_ = conn.Close()
			break
		}
		if ctx.Err() != nil {
			return fmt.Errorf("redis-server was started and does not answer: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.redis, w.version = addr, "private, over loopback: "+strings.TrimSpace(string(version))
	return nil
}
