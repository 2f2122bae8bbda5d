// Package postgres opens an org engine on PostgreSQL 13 or later.
//
//	engine, err := postgres.Open(ctx, "postgres://app:secret@db.example.com/orgs?search_path=orgauthz", orgstore.Config{})
//
// Any number of processes may open the same database: what one commits, the others see with their next statement. The tables
// are in the first schema of search_path that exists, and their names begin with orgauthz_. An application may keep tables
// of its own beside them, written through Engine.Transact and read through Engine.View.
//
// # Connections
//
// An engine has one pool. The parameters of the URL set it, as pgxpool documents them: pool_max_conns (default 4 for each CPU,
// at least 8), pool_max_conn_lifetime, pool_max_conn_idle_time and so on. Mutations use at most half of it, so that those that
// wait for each other never keep Resolve from a connection. What the URL leaves open comes from the environment as with every
// PostgreSQL client (PGHOST, PGPASSWORD …). Behind PgBouncer in transaction mode add default_query_exec_mode=exec.
//
// Only a primary is used: of several hosts in the URL the one that is it, and an answer of a server in recovery is none.
//
// # Transactions
//
// A mutation runs with READ COMMITTED and locks first: the rows in orgauthz_scopes of what it changes (by an update that
// changes nothing), and of what its checks read (FOR SHARE), in one ascending order of kind, organization and id. Each later
// statement then sees what whoever had the locks before has committed. Counts are kept in one row each, which everybody who
// counts updates. So mutations of different organizations do not wait for each other, except while organizations are made or
// deleted: the store counts them.
//
// Transact runs with REPEATABLE READ, so that what its function reads of the application's tables stays as it is. Because
// locks change rows, it fails and runs again when somebody else had one of its locks since it began.
//
// Serialization failures (40001), deadlocks (40P01) and unique indexes of the engine that another transaction filled at the
// same moment (23505) run again, for at most Config.LockTimeout, which is also how long one lock is waited for (lock_timeout).
// Commits are synced to the disk before they return (synchronous_commit is set to on whatever the server's default is). A
// commit that is not answered is not run again: its error is an ErrUnavailable that says that the outcome is unknown.
//
// The pauses before that are random and grow from milliseconds to 65 of them. What fails after its commit was sent is never run again.
//
// # Databases that are almost PostgreSQL
//
// Open refuses them: nothing was tested on any of them, and this is what their documents of 2026 say about what the engine relies on.
// It needs transaction ids that snapshots can be compared with (pg_current_xact_id, pg_current_snapshot, version 13), advisory
// locks that wait, row locks that wait and hold until the commit, and READ COMMITTED in which each statement sees what was
// committed before.
//
//   - CockroachDB: advisory locks were stubs that lock nothing (issue 13546) until transaction-level ones were added in 2026
//     (pull request 168353). READ COMMITTED runs as SERIALIZABLE where sql.txn.read_committed_isolation.enabled is off, and FOR
//     SHARE locks nothing under SERIALIZABLE unless enable_shared_locking_for_serializable is set. No documented function tells
//     PostgreSQL's transaction ids and snapshots.
//   - YugabyteDB: READ COMMITTED runs as snapshot isolation unless yb_enable_read_committed_isolation is set, which later versions
//     do by default. FOR SHARE and, in recent versions, advisory locks are documented. Transaction ids as PostgreSQL has them are
//     not supported (issue 15638), and asking for one has ended the connection (issue 14144): there is no feed.
//
// Services that run PostgreSQL itself, with another storage below, keep its rules; they were not tested either.
package postgres
