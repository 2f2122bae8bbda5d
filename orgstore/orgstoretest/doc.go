// Package orgstoretest is the conformance suite of the org store: what every backend, every cache in front of one, and every
// Resolver of a team's own must do.
//
//	func TestEngine(t *testing.T) { orgstoretest.TestEngine(t, open) }
//
//	func TestResolver(t *testing.T) {
//		orgstoretest.TestResolver(t, func(t testing.TB, clock func() time.Time) (*orgstore.Engine, orgstore.Resolver) {
//			engine := open(t, orgstore.Config{Clock: clock})
//			return engine, newCache(t, engine, clock)
//		})
//	}
//
// For backends there are also TestRaces, in which many callers race to break each limit and each unique name, and TestNodes,
// in which two engines change one database at the same time.
//
// All open a fresh, empty store for each subtest, and run their subtests in parallel. What open makes is closed by open
// itself, with t.Cleanup.
package orgstoretest
