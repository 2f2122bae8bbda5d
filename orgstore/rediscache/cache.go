package rediscache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/redis/go-redis/v9"
)

// Config is what New needs besides the client. The zero value is ready for use.
type Config struct {
	// Prefix begins every key and the channel; products and environments that share a Redis need different ones. It holds
	// no "{" and no "}". Default "orgauthz".
	Prefix string

	// Timeout bounds each operation. Default 25 ms.
	Timeout time.Duration

	// HMACKey authenticates entries and messages, where others than the nodes can write to this Redis. At least 16 bytes,
	// the same on all nodes. Without it a checksum shows damage, not forgery.
	HMACKey []byte

	// Clock tells the time by which the ages of entries are judged; nil is time.Now.
	Clock func() time.Time

	// Logger gets losses and returns of Redis. Nil discards.
	Logger *slog.Logger

	heartbeat time.Duration // how long the channel may be silent before this node speaks; for tests
}

// heartbeat of a Config that has none. The channel counts as lost after three of them.
const heartbeat = 450 * time.Millisecond

func (c Config) withDefaults(client redis.UniversalClient) (Config, error) {
	var problems []error
	bad := func(text string) { problems = append(problems, errors.New("rediscache: "+text)) }
	if client == nil {
		bad("client is nil: pass a client made with Options, or use Open")
	} else if !honoursContexts(client) {
		bad("the client's ContextTimeoutEnabled is false, so that a hung Redis would hang requests: set it, or make the client with Options")
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		bad(`Config.Prefix holds "{" or "}", which would take the hash tag's place`)
	}
	if c.Timeout < 0 {
		bad("Config.Timeout is negative: 0 is the default, 25 ms")
	}
	if n := len(c.HMACKey); n > 0 && n < 16 {
		bad("Config.HMACKey is shorter than 16 bytes: use 32 random ones")
	}
	if c.Prefix == "" {
		c.Prefix = "orgauthz"
	}
	if c.Timeout == 0 {
		c.Timeout = 25 * time.Millisecond
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.heartbeat == 0 {
		c.heartbeat = heartbeat
	}
	return c, errors.Join(problems...)
}

// honoursContexts asks the clients that can tell; others are taken at their word.
func honoursContexts(client redis.UniversalClient) bool {
	switch c := client.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return c.Options().ContextTimeoutEnabled
	}
	return true
}

// Cache is a cached.Shared in Redis. Make one with New or Open; one Cache serves one cached.Store. It is safe for
// concurrent use.
type Cache struct {
	cfg     Config
	client  redis.UniversalClient
	owned   bool // Close closes client
	keys    keyspace
	sealer  sealer
	sender  string
	breaker breaker
	stats   counters
	put     *redis.Script // tests replace it to show what it is good for

	ctx        context.Context // of the subscription
	cancel     context.CancelFunc
	mu         sync.Mutex // guards what Subscribe and Close start and end
	closed     bool
	running    sync.WaitGroup
	subscribed atomic.Bool
	closing    sync.Once
	closeErr   error
}

// New returns a Cache over client, which stays the caller's to close. It does not wait for Redis, which may be down now
// and come later. The client must have ContextTimeoutEnabled, and should have the other settings of Options.
func New(client redis.UniversalClient, cfg Config) (*Cache, error) {
	cfg, err := cfg.withDefaults(client)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		cfg:    cfg,
		client: client,
		keys:   newKeyspace(cfg.Prefix),
		sealer: sealer{key: cfg.HMACKey},
		sender: rand.Text(),
		put:    putScript,
	}
	c.breaker.base = time.Now()
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

var (
	errOpen   = errors.New("rediscache: Redis has not answered of late and is skipped")
	errClosed = errors.New("rediscache: closed")
)

// try runs one operation within Timeout and under the breaker. A reply that is an error comes from a Redis that answers.
func (c *Cache) try(ctx context.Context, operation func(ctx context.Context) error) error {
	if c.ctx.Err() != nil {
		return errClosed
	}
	if !c.breaker.allow() {
		return errOpen
	}
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	err := operation(bounded)
	var reply redis.Error
	switch {
	case err == nil || errors.As(err, &reply):
		if c.breaker.succeeded() {
			c.cfg.Logger.Info("orgstore/rediscache: Redis answers again")
		}
	case errors.Is(ctx.Err(), context.Canceled): // says nothing about Redis
	default:
		if c.breaker.failed() {
			c.cfg.Logger.Warn("orgstore/rediscache: Redis does not answer and is skipped, but for one probe a second", slog.Any("error", err))
		}
	}
	if err != nil {
		c.stats.errors.Add(1)
		return fmt.Errorf("rediscache: %w", err)
	}
	return nil
}

// maxAhead is how far the clock of the node that wrote an entry may be ahead of this one's.
const maxAhead = 250 * time.Millisecond

// Get returns the entry of key and a lease. Anything wrong with the entry is a miss and is counted in Stats.
func (c *Cache) Get(ctx context.Context, key cached.Key, maxAge time.Duration) (cached.Found, error) {
	keys, scopes := c.keys.entry(key)
	var reply []any
	err := c.try(ctx, func(ctx context.Context) (err error) {
		reply, err = getScript.Run(ctx, c.client, keys, maxEntry).Slice()
		return err
	})
	if err != nil {
		return cached.Found{}, err
	}
	now := c.cfg.Clock()
	r := replies(reply)
	seconds, ok1 := r.number(0)
	micros, ok2 := r.number(1)
	if !ok1 || !ok2 {
		return cached.Found{}, errCorrupt
	}
	found := cached.Found{Lease: cached.Lease{Server: time.Unix(seconds, micros*1000), Local: now}}
	switch {
	case len(r) == 2:
		c.stats.misses.Add(1)
	case len(r) != 8:
		c.stats.corrupt.Add(1)
	default:
		found.Access = c.judge(keys[0], key, scopes, r, now, maxAge)
	}
	return found, nil
}

// judge returns the entry of a reply, or nil when it must not be used.
func (c *Cache) judge(name string, key cached.Key, scopes []string, r replies, now time.Time, maxAge time.Duration) *orgstore.Access {
	ttl, ok1 := r.number(3)
	value, ok2 := r[4].(string)
	a, err := c.sealer.decodeEntry(name, value)
	if !ok1 || !ok2 || err != nil || a.Principal != key.Principal ||
		orgstore.IsOrganizationID(key.Org) && a.Org.ID != "" && a.Org.ID != key.Org {
		c.stats.corrupt.Add(1)
		return nil
	}
	// The larger of two ages counts: one by the wall clocks of the nodes, one by the clock of Redis.
	life := time.Duration(ttl) * time.Millisecond
	byWall := now.Round(0).Sub(a.AsOf)
	age := max(byWall, maxAge-life, 0)
	if ttl <= 0 || life > maxAge || byWall < -maxAhead || age > maxAge {
		c.stats.outdated.Add(1)
		return nil
	}
	for i, scope := range scopes {
		if r[5+i] == nil {
			continue
		}
		known, ok := r.number(5 + i)
		if !ok || known < 0 || known >= revisionLimit {
			c.stats.corrupt.Add(1)
			return nil
		}
		for _, have := range a.Vector {
			if have.Revision < uint64(known) && string(appendScope(nil, have.Scope)) == scope {
				c.stats.outdated.Add(1)
				return nil
			}
		}
	}
	a.AsOf = now.Add(-age)
	c.stats.hits.Add(1)
	return a
}

// replies is what a script returned.
type replies []any

func (r replies) number(i int) (int64, bool) {
	switch v := r[i].(type) {
	case int64:
		return v, true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

// Put stores a until its source read is maxAge old by the clock of Redis, unless something there knows better.
func (c *Cache) Put(ctx context.Context, key cached.Key, a *orgstore.Access, lease cached.Lease, maxAge time.Duration) error {
	if lease.IsZero() {
		return nil
	}
	keys, scopes := c.keys.entry(key)
	value, err := c.sealer.encodeEntry(keys[0], a)
	if err != nil { // too large, or with revisions that no engine gives
		c.stats.refused.Add(1)
		return nil
	}
	// The clock of Redis showed lease.Server not later than this node's showed lease.Local, so that the entry dies early
	// rather than late.
	read := min(a.AsOf.Sub(lease.Local), c.cfg.Clock().Sub(lease.Local))
	dies := lease.Server.Add(read + maxAge)
	args := []any{value, dies.UnixMilli(), maxAge.Milliseconds()}
	for _, s := range scopes {
		args = append(args, s)
	}
	var status string
	err = c.try(ctx, func(ctx context.Context) (err error) {
		status, err = c.put.Run(ctx, c.client, keys, args...).Text()
		return err
	})
	switch {
	case err != nil:
		return err
	case status == "stored":
		c.stats.puts.Add(1)
	default:
		c.stats.refused.Add(1)
	}
	return nil
}

// Invalidate raises the cells of organizations, names and memberships, removes what falls with them, and tells every node.
// All of it is one pipeline.
func (c *Cache) Invalidate(ctx context.Context, changed orgstore.Vector, maxAge time.Duration) error {
	sane := make(orgstore.Vector, 0, len(changed))
	for _, r := range changed {
		if r.Revision < revisionLimit {
			sane = append(sane, r)
		}
	}
	if len(sane) == 0 {
		return nil
	}
	return c.try(ctx, func(ctx context.Context) error {
		_, err := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, m := range c.sealer.encodeMessages(c.keys.channel(), c.sender, sane) {
				p.Publish(ctx, c.keys.channel(), m)
			}
			for _, r := range sane {
				if keys := c.keys.cell(r.Scope); keys != nil {
					// Whatever was read before now is dead by its own death after maxAge; twice is for clocks that are set.
					p.Eval(ctx, raiseScript, keys, r.Revision, 2*maxAge.Milliseconds())
				}
			}
			return nil
		})
		return err
	})
}

// Health is nil when Redis answers and the subscription stands.
func (c *Cache) Health(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if err := c.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("rediscache: %w", err)
	}
	if !c.subscribed.Load() {
		return errors.New("rediscache: not subscribed to other nodes' changes")
	}
	return nil
}

// Close ends the subscription and waits for it. It closes the client when Open made it.
func (c *Cache) Close() error {
	c.closing.Do(func() {
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		c.cancel()
		c.running.Wait()
		if c.owned {
			c.closeErr = c.client.Close()
		}
	})
	return c.closeErr
}

var _ cached.Shared = (*Cache)(nil)
