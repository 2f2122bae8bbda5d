package cached

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Config is what New needs besides the loader. The zero value caches in this process alone.
type Config struct {
	// Shared is the cache between this node's memory and the loader, and the channel to other nodes; rediscache.New makes
	// one. Nil means none: other nodes' changes are then seen within MaxStaleness. The Store closes it.
	Shared Shared

	// MaxStaleness is the age beyond which no answer is served, counted from the read of the source and through all tiers.
	// Default 2 s, at most 1 min. All nodes on one Shared should have the same.
	MaxStaleness time.Duration

	// SharedTimeout bounds each operation on Shared. Default 25 ms.
	SharedTimeout time.Duration

	// LoadTimeout bounds what one question may cost the loader, waiting for a free slot included. Default 500 ms.
	LoadTimeout time.Duration

	// MaxLoads bounds how many calls to the loader run at once. A call that finds no free slot within half of LoadTimeout is
	// answered ErrUnavailable. Default 64.
	MaxLoads int

	// MaxBytes bounds the memory of the answers held here, by estimate. Default 64 MiB, at least 64 KiB. The table itself
	// takes some hundredths of it besides; what is remembered of scopes takes as much again at most, when thousands of
	// questions a second never repeat.
	MaxBytes int64

	// Clock tells the time; nil is time.Now. Ages take both of its readings, wall and monotonic.
	Clock func() time.Time

	// Logger gets what nobody else is told: loaders that panic, changes that other nodes may not have been told of. Nil
	// discards.
	Logger *slog.Logger
}

func (c Config) withDefaults(loader orgstore.Resolver) (Config, error) {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf("cached: "+format, args...)) }
	if loader == nil {
		bad("loader is nil: pass the Engine, or your own Resolver")
	}
	if c.MaxStaleness < 0 || c.MaxStaleness > time.Minute {
		bad("Config.MaxStaleness is %v: it must be between 0 (the default, 2 s) and 1 min", c.MaxStaleness)
	}
	if c.SharedTimeout < 0 {
		bad("Config.SharedTimeout is %v: it must not be negative; 0 is the default, 25 ms", c.SharedTimeout)
	}
	if c.LoadTimeout < 0 {
		bad("Config.LoadTimeout is %v: it must not be negative; 0 is the default, 500 ms", c.LoadTimeout)
	}
	if c.MaxLoads < 0 {
		bad("Config.MaxLoads is %d: it must not be negative; 0 is the default, 64", c.MaxLoads)
	}
	if c.MaxBytes != 0 && c.MaxBytes < 64<<10 {
		bad("Config.MaxBytes is %d: it must be at least 65536; 0 is the default, 64 MiB", c.MaxBytes)
	}
	c.MaxStaleness = cmp.Or(c.MaxStaleness, 2*time.Second)
	c.SharedTimeout = cmp.Or(c.SharedTimeout, 25*time.Millisecond)
	c.LoadTimeout = cmp.Or(c.LoadTimeout, 500*time.Millisecond)
	c.MaxLoads = cmp.Or(c.MaxLoads, 64)
	c.MaxBytes = cmp.Or(c.MaxBytes, 64<<20)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(problems...)
}

// committer is a loader that tells what it changes, as orgstore.Engine does: after the commit, before the mutation returns.
type committer interface {
	OnCommit(func(ctx context.Context, changes []orgstore.Change)) (stop func())
}

// healther is a loader that knows whether it can answer.
type healther interface {
	Health(ctx context.Context) error
}
