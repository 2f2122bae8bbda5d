// Package rediscache is the shared cache and the invalidation channel of cached.Store, in Redis.
//
//	rdb := redis.NewClient(rediscache.Options("127.0.0.1:6379"))
//	shared, err := rediscache.New(rdb, rediscache.Config{})
//	members, err := cached.New(store, cached.Config{Shared: shared})
//
// Open does the first two lines in one. The Store closes the Cache; the client that was given to New stays the caller's.
//
// # What it promises
//
// Redis may be slow, hung, empty, restarted, full or gone: each operation takes at most Config.Timeout, and after some
// failures in a row Redis is skipped but for one probe a second. What comes from there is never older than the Store's
// MaxStaleness: an entry is bound to its key, carries its vector of revisions, the instant of its source read and a checksum,
// and whatever does not fit is a miss. Where others than the nodes can write to the Redis, Config.HMACKey keeps them from
// forging entries; without it they could grant anything.
//
//   - An entry dies MaxStaleness after its source read, by the clock of its Redis, however long it takes to get there.
//   - A change of a membership, an organization or a name leaves its revision in Redis for twice that time. What was computed
//     from a lower one is neither returned nor stored, not even by a node that read the source before the change and
//     writes after it.
//   - An entry that is there is only replaced by one that is not older in any scope.
//   - Changes are published. A lost, silent or re-established subscription is a gap, upon which the Store forgets what it
//     holds in memory. A channel is silent when it says nothing for 1.35 s, although nodes speak about every 0.45 s.
//
// # What it does not do
//
// Role and user scopes leave nothing in Redis, as their dependants lie in the slots of many organizations: a node that has
// just begun, and so has not heard of such a change, may take an entry from before it until it is MaxStaleness old. The same
// holds for entries that were asked for by an organization's name, when the organization or membership behind it changes.
//
// Redis 6.2 or later is needed (SET … PXAT), with Lua scripts; any eviction policy will do. All keys of an organization
// share a hash tag, so that Redis Cluster and Sentinel work through redis.UniversalClient. A client whose
// ContextTimeoutEnabled is false is refused: with go-redis' defaults a hung Redis holds up a call for 5 s although its
// context ends after 25 ms. go-redis has a logger of its own, which writes to standard error: see redis.SetLogger.
package rediscache
