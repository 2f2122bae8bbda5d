// Package sqlite opens an org engine on SQLite: a file, or memory. The driver is pure Go, so that nothing is to be installed.
//
//	engine, err := sqlite.Open(ctx, "orgs.db", orgstore.Config{})
//
// Several processes on one machine may open the same file: what one commits, the others see with their next statement. The
// file must lie on a local disk (SQLite's write-ahead log needs shared memory); beside it SQLite keeps files with its name
// and -wal and -shm. An application may keep tables of its own in the file, written through Engine.Transact and read through
// Engine.View; the engine's begin with orgauthz_.
//
// One transaction writes at a time, and readers never wait for it. Commits are synced to the disk (synchronous=FULL) before
// they return: with SQLite's faster setting, a power failure could bring back a member whose removal was acknowledged.
//
// ":memory:" is a private file in the system's temporary directory, without syncing, removed by Close: SQLite's own memory
// databases make readers and writers wait for each other.
package sqlite
