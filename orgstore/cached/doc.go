// Package cached answers for another orgstore.Resolver from memory, and from a cache that nodes share, within a stated
// bound of staleness.
//
//	store, err := sqlite.Open(ctx, "orgs.db", orgstore.Config{})
//	members, err := cached.New(store, cached.Config{Shared: shared}) // Shared: rediscache.New or rediscache.Open; optional
//	defer members.Close()
//	access, err := members.Resolve(ctx, orgstore.Query{Org: "org_…", Principal: "auth0|…"})
//
// The loader may be the Engine, or a team's own Resolver in front of organizations that live elsewhere. It needs no more
// than Access.Vector for changes to be seen before MaxStaleness, and nothing at all for MaxStaleness itself.
//
// # Freshness
//
// S is Config.MaxStaleness, 2 s by default. An answer's age is counted from Access.AsOf, the instant before its source was
// read. Copies inherit it: memory, Shared and what callers keep are together within S.
//
//	what                      key                                        lives until
//	answer in memory          organization as asked for, principal       age S, ValidUntil, a change of its vector, a gap
//	answer in Shared          the same                                   age S, ValidUntil, a change of its vector
//	"no" (not a member, …)    the same                                   the same: a no is an answer
//	revision of a scope       the scope                                  longer than anything that was read before it
//	error                     -                                          never kept
//
//	a change is seen by               at the latest
//	the node that wrote it            when the mutation returns
//	a caller with its revision        at once: Query.AtLeast; it gets an answer that has seen it, or ErrUnavailable
//	a caller that asks strongly       at once: Query.Strong
//	other nodes, channel healthy      some milliseconds after the mutation returned
//	other nodes, whatever happens     S after the mutation returned
//
// Each answer carries the revision of every scope that it was computed from. Memory holds one cell for each scope, with the
// highest revision that this node has heard of, and an answer is compared with its cells on every hit. A change raises a
// cell, whatever the number of answers that depend on it. An answer read before a change and delivered after it is
// refused, and read once more.
//
// A hit that is older than about half of S begins a refresh in the background; no request waits for one. Requests for one
// key share one call of the loader, which runs on a context of its own. Calls of the loader are bounded in number and time;
// beyond that the answer is ErrUnavailable. Ages are the larger of what the wall clock and the monotonic clock say.
//
// # What it does not do
//
//   - The loader is taken at its word that a read which began after a change was committed has seen it. A loader that reads
//     from a lagging replica adds that lag to every bound above.
//   - A revision that nobody can reach (a forged message, commits that a restored database has lost) costs one load: a later
//     read of the source is the truth.
//   - A node that has just begun has not heard of earlier changes. Shared refuses what a change of a membership, an
//     organization or a name has outdated; an answer from before the change of a role or a user may be taken from it until
//     its age is S.
//   - A hypervisor that stops a machine together with both of its clocks adds the pause to S.
//   - When the loader is down, what is held is served up to age S, and then refused.
//
// This is the mode for loaders without a feed of changes. A follower of a feed would replace the ages of entries by one
// instant for the whole node, through which everything held is known to be valid, and let entries live for hours; it takes
// the place of the gap in Shared.Subscribe, and of the age in Store.serves.
package cached
