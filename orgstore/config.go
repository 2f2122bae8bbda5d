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
	// LockTimeout bounds how long a mutation waits for other writers, of this process and of others: for a connection to write
	// with, for one lock, and for how long what lost against others begins again. Default 5 s. A context bounds all of them together.
	LockTimeout time.Duration
	// CommitTimeout bounds the context that the functions of OnCommit get. Default 1 s.
	CommitTimeout time.Duration
	// IdempotencyTime is how long a mutation with an idempotency key is remembered. Default 24 h.
	IdempotencyTime time.Duration
	// EventRetention is how long events are kept: Events.Prune deletes older ones. Default 400 days; math.MaxInt64 keeps them for
	// ever.
	EventRetention time.Duration
	// Sessions says how long login sessions last.
	Sessions SessionTimes
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

	Connections         int // connections enabled for one organization, default 10
	DiscoveryDomains    int // of one organization, default 100
	OrganizationRoles   int // roles that one organization owns, default 350
	RolesPerGroup       int // roles that one group holds in one organization, default 10
	RolesPerTeam        int // roles that one team holds, default 50
	Teams               int // of one organization, default 1,000
	TeamsPerMember      int // that one member is directly in, default 50
	Contracts           int // that admit members into one organization, default 100
	OrganizationGrants  int // client grants associated with one organization, default 100
	OrganizationClients int // applications associated with one organization, default 100
	APIKeys             int // live keys of one organization, default 100
	Invitations         int // pending ones of one organization, default 10,000
	Requests            int // pending ones of one organization, default 10,000
}

// limit is one field of Limits and its default.
type limit struct {
	name  string
	value *int
	usual int
}

func (l *Limits) all() []limit {
	return []limit{
		{"Organizations", &l.Organizations, 100_000},
		{"Members", &l.Members, 100_000},
		{"RolesPerMember", &l.RolesPerMember, 50},
		{"PermissionsPerRole", &l.PermissionsPerRole, 1_000},
		{"Metadata", &l.Metadata, 25},
		{"Connections", &l.Connections, 10},
		{"DiscoveryDomains", &l.DiscoveryDomains, 100},
		{"OrganizationRoles", &l.OrganizationRoles, 350},
		{"RolesPerGroup", &l.RolesPerGroup, 10},
		{"RolesPerTeam", &l.RolesPerTeam, 50},
		{"Teams", &l.Teams, 1_000},
		{"TeamsPerMember", &l.TeamsPerMember, 50},
		{"Contracts", &l.Contracts, 100},
		{"OrganizationGrants", &l.OrganizationGrants, 100},
		{"OrganizationClients", &l.OrganizationClients, 100},
		{"APIKeys", &l.APIKeys, 100},
		{"Invitations", &l.Invitations, 10_000},
		{"Requests", &l.Requests, 10_000},
	}
}

// Validate returns all that is wrong with c, or nil. Backends call it before they touch anything.
func (c Config) Validate() error {
	var problems []error
	atLeastZero := func(name string, n int64) {
		if n < 0 {
			problems = append(problems, fmt.Errorf("orgstore: Config.%s is negative; leave it 0 for the default", name))
		}
	}
	for _, l := range c.Limits.all() {
		atLeastZero("Limits."+l.name, int64(*l.value))
	}
	atLeastZero("Sessions.Lifetime", int64(c.Sessions.Lifetime))
	atLeastZero("Sessions.Idle", int64(c.Sessions.Idle))
	atLeastZero("LoadTimeout", int64(c.LoadTimeout))
	atLeastZero("LockTimeout", int64(c.LockTimeout))
	atLeastZero("CommitTimeout", int64(c.CommitTimeout))
	atLeastZero("IdempotencyTime", int64(c.IdempotencyTime))
	atLeastZero("EventRetention", int64(c.EventRetention))
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	for _, l := range c.Limits.all() {
		*l.value = cmp.Or(*l.value, l.usual)
	}
	c.Sessions.Lifetime = cmp.Or(c.Sessions.Lifetime, 7*24*time.Hour)
	c.Sessions.Idle = cmp.Or(c.Sessions.Idle, 3*24*time.Hour)
	c.LoadTimeout = cmp.Or(c.LoadTimeout, 500*time.Millisecond)
	c.LockTimeout = cmp.Or(c.LockTimeout, 5*time.Second)
	c.CommitTimeout = cmp.Or(c.CommitTimeout, time.Second)
	c.IdempotencyTime = cmp.Or(c.IdempotencyTime, 24*time.Hour)
	c.EventRetention = cmp.Or(c.EventRetention, 400*24*time.Hour)
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
