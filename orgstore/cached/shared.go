package cached

import (
	"context"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Key is what an entry is kept under, in every tier: the organization as it was asked for (id or name) and the principal.
// An id and a name never meet, because no name starts with "org_" (rule ORG-1).
type Key struct {
	Org       string
	Principal string
}

// Shared is a cache that several nodes share, and the channel by which they tell each other what changed; rediscache.Cache
// is one. It is never trusted to be there, to be complete or to be in time: each error means "not known here", and the
// Store goes on to its loader. It is safe for concurrent use, and returns within the deadline of the context it is given.
//
// maxAge is the Store's MaxStaleness. An implementation keeps nothing for longer, and returns nothing older.
//
// What is here is the mode for loaders without a feed of changes, in which ages are inherited entry by entry. A follower of
// such a feed would vouch for shared entries by itself, by their vectors: it needs Get and a plain store of them, and
// neither leases nor tombstones.
type Shared interface {
	// Get looks an entry up, and begins a fill: Found.Lease is what a later Put needs.
	Get(ctx context.Context, key Key, maxAge time.Duration) (Found, error)

	// Put stores a, an answer of the source that was read after lease was taken, unless lease is the zero Lease, a is
	// older than maxAge by the shared cache's own clock, or a revision of its vector is lower than one that is known there.
	// To refuse is no error.
	Put(ctx context.Context, key Key, a *orgstore.Access, lease Lease, maxAge time.Duration) error

	// Invalidate makes what was computed from lower revisions than those of changed unusable, as far as it can, and tells
	// every subscriber.
	Invalidate(ctx context.Context, changed orgstore.Vector, maxAge time.Duration) error

	// Subscribe begins to deliver what other nodes tell: raised for revisions, gap when some may have been lost (the
	// connection was lost, is established again, or is silent). It is called once; delivery ends before Close returns.
	Subscribe(raised func(orgstore.Vector), gap func())

	// Health is nil when the shared cache answers and the subscription stands.
	Health(ctx context.Context) error

	// Close ends what the Shared has started. The Store calls it in its own Close.
	Close() error
}

// Found is the answer of Shared.Get.
type Found struct {
	Access *orgstore.Access // nil is a miss
	Lease  Lease
}

// Lease ties a fill to the clock of the shared cache: an entry dies at the same instant however long its way there takes.
type Lease struct {
	Server time.Time // the clock of the shared cache, or of the key's shard, during Get
	Local  time.Time // the clock of this node after Get was answered
}

// IsZero reports whether l allows no Put.
func (l Lease) IsZero() bool { return l.Server.IsZero() }
