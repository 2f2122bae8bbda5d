package orgstore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config is what an Engine can be told. The zero value is ready for use.
type Config struct {
	// Limits bounds what one store may hold. Zero fields have their documented defaults.
	Limits Limits
	// LoadTimeout bounds one Resolve when the caller's context does not end sooner. Default 500 ms.
	LoadTimeout time.Duration
	// LockTimeout bounds how long a mutation waits for other writers, of this process and of others. Default 5 s.
	LockTimeout time.Duration
	// CommitTimeout bounds the context that the functions of OnCommit get. Default 1 s.
	CommitTimeout time.Duration
	// Clock tells the time. Default time.Now.
	Clock func() time.Time
	// Logger gets what the engine cannot return to anyone, such as a panic of a function of OnCommit. Default: discarded.
	Logger *slog.Logger
}

// Limits bounds what one store may hold. A zero field has the default; math.MaxInt switches a limit off.
type Limits struct {
	Organizations      int // organizations in the store, default 100,000
	Members            int // members of one organization, default 100,000
	RolesPerMember     int // roles that one member holds in one organization, default 50 (rule ROL-2)
	PermissionsPerRole int // default 1,000
	Metadata           int // pairs of one organization's or one member's metadata, default 25 (rules ORG-3, MEM-4)
}

// Validate returns all that is wrong with c, or nil. Backends call it before they touch anything.
func (c Config) Validate() error {
	var problems []error
	atLeastZero := func(name string, n int64) {
		if n < 0 {
			problems = append(problems, fmt.Errorf("orgstore: Config.%s is negative; leave it 0 for the default", name))
		}
	}
	atLeastZero("Limits.Organizations", int64(c.Limits.Organizations))
	atLeastZero("Limits.Members", int64(c.Limits.Members))
	atLeastZero("Limits.RolesPerMember", int64(c.Limits.RolesPerMember))
	atLeastZero("Limits.PermissionsPerRole", int64(c.Limits.PermissionsPerRole))
	atLeastZero("Limits.Metadata", int64(c.Limits.Metadata))
	atLeastZero("LoadTimeout", int64(c.LoadTimeout))
	atLeastZero("LockTimeout", int64(c.LockTimeout))
	atLeastZero("CommitTimeout", int64(c.CommitTimeout))
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	c.Limits.Organizations = cmp.Or(c.Limits.Organizations, 100_000)
	c.Limits.Members = cmp.Or(c.Limits.Members, 100_000)
	c.Limits.RolesPerMember = cmp.Or(c.Limits.RolesPerMember, 50)
	c.Limits.PermissionsPerRole = cmp.Or(c.Limits.PermissionsPerRole, 1_000)
	c.Limits.Metadata = cmp.Or(c.Limits.Metadata, 25)
	c.LoadTimeout = cmp.Or(c.LoadTimeout, 500*time.Millisecond)
	c.LockTimeout = cmp.Or(c.LockTimeout, 5*time.Second)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, time.Second)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
