package migrations

import (
	"context"
	"database/sql"
	"io"
	"io/fs"
	"strings"
)

// collated makes texts compare byte by byte on PostgreSQL, as they do on SQLite, whatever the collation of the database: the
// order of lists is part of what the engine promises, and so is that names which differ in a byte are different names.
type collated struct{ fs.FS }

func (c collated) Open(name string) (fs.File, error) {
	f, err := c.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return file{f, strings.NewReader(strings.ReplaceAll(string(text), " TEXT", ` TEXT COLLATE "C"`))}, nil
}

// file is a file with another text.
type file struct {
	fs.File
	text *strings.Reader
}

func (f file) Read(p []byte) (int, error) { return f.text.Read(p) }

// lock waits until no other process applies migrations to the same schema. Should its connection be lost, the guard of the
// store still holds.
func lock(ctx context.Context, db *sql.DB) (unlock func(), err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	const key = `hashtextextended('orgauthz migrations ' || current_schema(), 0)`
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock(`+key+`)`); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return func() {
		// Closing the connection would do as well, but it goes back to a pool.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(`+key+`)`)
		_ = conn.Close()
	}, nil
}
