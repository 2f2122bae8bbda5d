package rediscache

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options returns settings for a client of the Redis at addr ("host:port") that keep a Redis in trouble from holding up
// requests: contexts are honoured, timeouts are short, nothing is tried twice. Change what you need, pass it to
// redis.NewClient, and the client to New. For Cluster and Sentinel set the same fields of their options.
func Options(addr string) *redis.Options {
	o := &redis.Options{Addr: addr}
	harden(o)
	return o
}

// checkAddress refuses what can never be the address of a Redis. The client would take an empty one for localhost.
func checkAddress(target string) error {
	_, port, err := net.SplitHostPort(target)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("rediscache: %q is no address of a Redis: give host:port, or a URL such as redis://host:port/database", target)
	}
	return nil
}

func harden(o *redis.Options) {
	o.ContextTimeoutEnabled = true
	o.DialTimeout = time.Second
	o.ReadTimeout = 250 * time.Millisecond
	o.WriteTimeout = 250 * time.Millisecond
	o.PoolTimeout = 250 * time.Millisecond
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Open returns a Cache with a client of its own, which its Close closes. target is "host:port" or a URL (redis://,
// rediss://, unix://) with user, password and database. A Redis that does not answer is a warning in the log, no error:
// it may come later. ctx bounds that one question.
func Open(ctx context.Context, target string, cfg Config) (*Cache, error) {
	o := &redis.Options{Addr: target}
	if strings.Contains(target, "://") {
		var err error
		if o, err = redis.ParseURL(target); err != nil {
			return nil, fmt.Errorf("rediscache: the Redis URL is malformed: it should read redis://user:password@host:port/database")
		}
	} else if err := checkAddress(target); err != nil {
		return nil, err
	}
	harden(o)
	client := redis.NewClient(o)
	c, err := New(client, cfg)
	if err != nil {
		_ = client.Close()
		return nil, err
	}
	c.owned = true
	if err := c.try(ctx, func(ctx context.Context) error { return client.Ping(ctx).Err() }); err != nil {
		c.cfg.Logger.Warn("orgstore/rediscache: Redis does not answer yet; going on without it", slog.Any("error", err))
	}
	return c, nil
}
