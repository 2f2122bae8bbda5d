package orgstore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// FeedPage is an answer of Engine.Poll: what became visible since the poll before.
type FeedPage struct {
	// Changes are the scopes that were raised, each once, at their newest revision, in no particular order.
	Changes []Revision
	// Gap says that more may have changed than anybody can tell: nothing that was known before may be used any longer.
	// Changes is empty then. It is true after the empty cursor, after one of another epoch, and when more than 20,000
	// scopes have changed.
	Gap bool
	// Cursor is where the next poll continues. Equal cursors mean that nothing at all was committed in between.
	Cursor string
	// Epoch names one life of the database's history. A failover to a server that may lack commits begins another, and so
	// does restoring a backup.
	Epoch string
	// Time is the database's clock, UTC.
	Time time.Time
}

// feedRows is how many scopes one poll tells of.
const feedRows = 20_000

// Poll returns which scopes have been raised, by any process, by transactions that became visible after the poll that
// returned after; what the page says is complete as of the moment at which Poll was called. The empty cursor begins.
//
// It is one small statement on a connection of its own, which waits for no load, no mutation and no transaction left open: call
// it some times a second to keep copies fresh. (Reading what has a higher number than the last one seen is not the same:
// transactions do not commit in the order of their numbers, so that whoever reads so misses changes.) Only ctx bounds it.
//
// Errors: Invalid (the cursor is none), ErrUnavailable, also from a server that is in recovery.
func (e *Engine) Poll(ctx context.Context, after string) (*FeedPage, error) {
	from, err := parseCursor(after)
	if err != nil {
		return nil, err
	}
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	for {
		at, changes, err := e.poll(ctx, from)
		if err != nil {
			return nil, e.failure(ctx, err)
		}
		if at.foreign() || from.before(at) {
			if err := e.renew(ctx, at); err != nil {
				return nil, e.failure(ctx, err)
			}
			continue
		}
		page := &FeedPage{Changes: changes, Cursor: at.cursor().String(), Epoch: at.epochName(), Time: at.clock}
		if from.epoch != page.Epoch || len(changes) > feedRows {
			page.Gap, page.Changes = true, nil
		}
		return page, nil
	}
}

// poll runs the statement of Poll.
func (c *core) poll(ctx context.Context, from cursor) (at moment, changes []Revision, err error) {
	rows, err := c.changes.query(ctx, nil, from.xmax, from.xip)
	if err != nil {
		return at, nil, err
	}
	defer rows.Close()
	answered := false
	for rows.Next() {
		var r Revision
		if err := rows.Scan(&r.Scope.Kind, &r.Scope.Org, &r.Scope.ID, &r.Revision); err != nil {
			return at, nil, err
		}
		if r.Scope.Kind != 0 {
			changes = append(changes, r)
			continue
		}
		answered = true
		if at, err = parseMoment(r.Scope.Org); err != nil {
			return at, nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return at, nil, err
	}
	if !answered {
		return at, nil, errNoAnswer
	}
	return at, changes, nil
}

// momentColumn is a text that says what a statement sees, and when. It is read from orgauthz_meta.
func momentColumn(f Feed) string {
	return strings.Join([]string{
		f.Snapshot, f.Cluster, f.Timeline, f.Progress, f.Clock, "cluster", "epoch", "pruned_position", "pruned_id",
	}, " || '|' || ")
}

// changesStatement is one statement, and therefore one snapshot: its first row, of kind 0, says what the others are complete
// for.
func changesStatement(d Dialect) string {
	f := d.Feed()
	return `
	SELECT 0, ` + momentColumn(f) + `, '', 0 FROM orgauthz_meta WHERE id = 1 AND ` + d.Newest() + `
	UNION ALL
	SELECT kind, org, id, revision FROM (
		SELECT kind, org, id, revision FROM orgauthz_scopes
		WHERE ` + f.Since("$1", "$2") + ` LIMIT ` + strconv.Itoa(feedRows+1) + `) c`
}

// moment is a state of the database that a statement saw.
type moment struct {
	snapshot       snapshot
	cluster        string // the server that answers
	timeline       string
	progress       int64
	clock          time.Time
	knownCluster   string // the server that the positions in the database were counted by
	epoch          string // of the database; not all of the epoch's name
	prunedPosition int64  // newest position of an event that was pruned; -1 when none was
	prunedID       string // its id
}

func parseMoment(text string) (m moment, err error) {
	part := strings.Split(text, "|")
	if len(part) != 9 {
		return m, errors.New("the database does not say what it sees")
	}
	clock, clockErr := strconv.ParseInt(part[4], 10, 64)
	m.cluster, m.timeline, m.clock, m.knownCluster, m.epoch = part[1], part[2], time.UnixMicro(clock).UTC(), part[5], part[6]
	m.prunedID = part[8]
	var snapshotErr, progressErr, prunedErr error
	m.snapshot, snapshotErr = parseSnapshot(part[0])
	m.progress, progressErr = strconv.ParseInt(part[3], 10, 64)
	m.prunedPosition, prunedErr = strconv.ParseInt(part[7], 10, 64)
	return m, errors.Join(clockErr, snapshotErr, progressErr, prunedErr)
}

// foreign reports whether the positions in the database are those of another server, from which it was restored.
func (m *moment) foreign() bool { return m.cluster != m.knownCluster }

// epochName is the name of the epoch outside of the database. A promoted standby counts a new timeline.
func (m *moment) epochName() string { return m.cluster + "." + m.timeline + "." + m.epoch }

func (m *moment) cursor() cursor { return cursor{m.epochName(), m.progress, m.snapshot} }

// snapshot says which transactions a statement sees, by their positions: all below xmax, except those of xip, which are in
// progress. Nothing below xmin is.
type snapshot struct {
	xmin, xmax int64
	xip        string // positions, separated by commas
}

// parseSnapshot reads xmin:xmax:xip, the text of PostgreSQL's pg_snapshot.
func parseSnapshot(text string) (s snapshot, err error) {
	part := strings.Split(text, ":")
	if len(part) != 3 {
		return s, errors.New("not a snapshot")
	}
	var minErr, maxErr error
	s.xmin, minErr = strconv.ParseInt(part[0], 10, 64)
	s.xmax, maxErr = strconv.ParseInt(part[1], 10, 64)
	s.xip = part[2]
	if s.xip != "" {
		for position := range strings.SplitSeq(s.xip, ",") {
			if _, e := strconv.ParseUint(position, 10, 63); e != nil {
				err = e
			}
		}
	}
	return s, errors.Join(minErr, maxErr, err)
}

func (s snapshot) String() string {
	return strconv.FormatInt(s.xmin, 10) + ":" + strconv.FormatInt(s.xmax, 10) + ":" + s.xip
}

// cursor is a place in the feed: what has been seen of an epoch.
type cursor struct {
	epoch    string
	progress int64
	snapshot
}

// parseCursor reads a cursor. The empty one is that of no epoch.
func parseCursor(text string) (c cursor, err error) {
	if text == "" {
		c.xmax = math.MaxInt64 // no change is after it
		return c, nil
	}
	part := strings.SplitN(text, ":", 3)
	if len(part) == 3 && part[0] != "" {
		c.epoch = part[0]
		var progressErr error
		c.progress, progressErr = strconv.ParseInt(part[1], 10, 64)
		if c.snapshot, err = parseSnapshot(part[2]); err == nil && progressErr == nil && printable(c.epoch) {
			return c, nil
		}
	}
	return c, &Invalid{"cursor", "", "must be one that the feed has returned"}
}

func (c cursor) String() string {
	return c.epoch + ":" + strconv.FormatInt(c.progress, 10) + ":" + c.snapshot.String()
}

// before reports whether c has seen more of its epoch than there is of it: then commits were lost, or the database is a copy
// of an older state.
func (c cursor) before(m moment) bool { return c.epoch == m.epochName() && m.progress < c.progress }

// renew begins a new epoch unless somebody else has since m. Positions that another server has counted say nothing on this
// one: what has them was visible before.
func (c *core) renew(ctx context.Context, m moment) error {
	_, err := c.commit(ctx, sql.LevelReadCommitted, nil, nil, func(tx *transaction) error {
		tx.dirty = true
		n, err := affected(tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_meta SET epoch = $1, cluster = $2,
				pruned_position = CASE WHEN cluster <> $2 AND pruned_position > 0 THEN 0 ELSE pruned_position END
			WHERE id = 1 AND epoch = $3 AND cluster = $4`, strings.ToLower(rand.Text()), m.cluster, m.epoch, m.knownCluster))
		if err != nil || n == 0 || !m.foreign() {
			return err
		}
		for _, table := range []string{"orgauthz_scopes", "orgauthz_events"} {
			if _, err := tx.sql.ExecContext(ctx, `UPDATE `+table+` SET position = 0 WHERE position <> 0`); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
