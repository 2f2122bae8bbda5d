package orgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Event is the record of one raised scope: who changed what, when, from what to what. Events are only ever added, until they are
// older than Config.EventRetention (rule EVT-4); Users.Erase takes personal data out of them (rule EVT-3).
type Event struct {
	ID           string          // sorts in the order of the changes, as far as one can have depended on another
	ChangeID     string          // common to all events of one transaction
	Type         string          // for example "organization.member.added"
	Organization string          // id; empty for what belongs to none, such as users
	Scope        Scope           // what was changed
	Revision     uint64          // what Scope was raised to; without gaps for each scope (rule EVT-2)
	Target       string          // what was acted on: the ID of Scope; for a membership the principal
	Actor        string          // from WithActor, or the User of Engine.As
	Impersonator string          // from Engine.As
	RequestID    string          // from WithRequestID
	Before       json.RawMessage // nil for what was not there before; never holds a secret
	After        json.RawMessage // nil for what is not there any more
	Time         time.Time       // UTC; never before that of an earlier event in that order
	Cursor       string          // where Follow continues after this event; empty in other answers
}

// requestKey is the context key of WithRequestID.
type requestKey struct{}

// WithRequestID returns a context whose mutations name the request that they are made for in their events: at most 255 bytes of
// printable characters. With any other id they fail as Invalid.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

func requestOf(ctx context.Context) (string, error) {
	id, _ := ctx.Value(requestKey{}).(string)
	if len(id) > 255 || !printable(id) {
		return "", &Invalid{"request_id", "", "must be at most 255 bytes of printable characters"}
	}
	return id, nil
}

// EventOptions selects a page of events. The zero value is the first 50 of all. An event is selected when it has all that is
// given.
type EventOptions struct {
	Organization string // id; a deleted one's too
	Type         string // a type, or the beginning of types with the dot after it: "organization.member."
	Actor        string
	Target       string
	Scope        Scope     // the zero Scope is all
	Since        time.Time // this instant or later; zero means from the beginning
	Until        time.Time // before this instant; zero means to the end
	Descending   bool      // newest first
	Limit        int       // as ListOptions.Limit
	After        string    // Next of the page before, or the ID of an event: those after it in the order of the page
}

// Events are the events of an Engine.
type Events struct{ e *Engine }

const eventColumns = `id, change_id, type, org, scope_kind, scope_org, scope_id, revision, target, actor, impersonator, request_id,
	before_json, after_json, created_at`

// List returns a page of events, oldest first.
//
// Transactions that do not depend on each other may commit at the same time on PostgreSQL, so that an event can appear before
// one that was listed already: who must not miss one uses Follow.
func (s *Events) List(ctx context.Context, opts EventOptions) (Page[*Event], error) {
	var w where
	err := opts.where(&w)
	limit := opts.Limit
	if limit < 0 || limit > 1000 {
		err = errors.Join(err, &Invalid{"Limit", "", "must be 1 to 1,000, or 0 for 50"})
	} else if limit == 0 {
		limit = 50
	}
	if len(opts.After) > maxEventID || !printable(opts.After) {
		err = errors.Join(err, &Invalid{"After", "", "must be the Next of a page of events, or the id of an event"})
	}
	if err != nil {
		return Page[*Event]{}, err
	}
	order := ""
	switch {
	case opts.Descending:
		order = " DESC"
		if opts.After != "" {
			w.add(`id < ?`, opts.After)
		}
	default:
		w.add(`id > ?`, opts.After)
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Event], err error) {
		end := ` ORDER BY id` + order + fmt.Sprintf(` LIMIT %d`, limit+1)
		text := `SELECT ` + eventColumns + ` FROM orgauthz_events ` + w.String() + end
		if opts.Type != "" && opts.Organization == "" && opts.Actor == "" && opts.Target == "" && opts.Scope == (Scope{}) {
			types, err := eventTypes(ctx, q, opts.Type)
			if err != nil || len(types) == 0 {
				return page, err
			}
			if len(types) <= maxEventTypes {
				text = w.each(types, opts.After, order, end)
			}
		}
		page.Items, err = collect(ctx, q, text, w.args, scanEvent)
		if len(page.Items) > limit {
			page.Items = page.Items[:limit]
			page.Next = page.Items[limit-1].ID
		}
		return page, err
	})
}

// maxEventTypes is how many types are read each by itself. More of them are so much of all events that these are read.
const maxEventTypes = 20

// eventTypes returns the types that there are of those that EventOptions.Type asks for, with a look at the index for each.
func eventTypes(ctx context.Context, q queryer, asked string) ([]string, error) {
	prefix, dotted := strings.CutSuffix(asked, ".")
	if !dotted {
		return []string{asked}, nil
	}
	return collect(ctx, q, fmt.Sprintf(`
		WITH RECURSIVE found (type) AS (
			SELECT MIN(type) FROM orgauthz_events WHERE type >= $1 AND type < $2
			UNION ALL
			SELECT (SELECT MIN(e.type) FROM orgauthz_events e WHERE e.type > found.type AND e.type < $2) FROM found WHERE found.type IS NOT NULL)
		SELECT type FROM found WHERE type IS NOT NULL LIMIT %d`, maxEventTypes+1), []any{asked, prefix + "/"},
		func(row scanner) (t string, err error) { return t, row.Scan(&t) })
}

// each is a statement that reads the first events of each type, and of these the first. Each part is in the order of an index of
// types, which no other index has: where a type is rare, or has its events close together, another way would be long. The range of
// the type alone is for PostgreSQL, and that of type and id for SQLite, which would begin with the type's first event otherwise.
func (w *where) each(types []string, after, order, end string) string {
	parts := make([]string, len(types))
	condition := strings.Replace(w.String(), "WHERE ", " AND ", 1)
	than := " > "
	if order != "" {
		than = " < "
	}
	for i, t := range types {
		w.args = append(w.args, t)
		p := parameter(w.args)
		condition := condition
		if after != "" {
			w.args = append(w.args, after)
			condition += ` AND (type, id)` + than + `(` + p + `, ` + parameter(w.args) + `)`
		}
		parts[i] = `SELECT * FROM (SELECT ` + eventColumns + ` FROM orgauthz_events WHERE type >= ` + p + ` AND type <= ` + p + condition +
			strings.Replace(end, ` ORDER BY id`, ` ORDER BY type`+order+`, id`, 1) + `) e`
	}
	return strings.Join(parts, ` UNION ALL `) + end
}

// Get returns the event with this id. Errors: NotFound, also for what was pruned.
func (s *Events) Get(ctx context.Context, id string) (*Event, error) {
	return read(ctx, s.e, func(q queryer) (*Event, error) {
		if !strings.HasPrefix(id, "evt_") || len(id) > maxEventID || !printable(id) {
			return nil, &NotFound{"event"}
		}
		return one(scanEvent(q.QueryRowContext(ctx, `SELECT `+eventColumns+` FROM orgauthz_events WHERE id = $1`, id)))("event")
	})
}

// maxEventID is more than any id of an event has bytes.
const maxEventID = 64

// where is a condition of a query under construction.
type where struct {
	text []string
	args []any
}

// add adds a condition in which each ? stands for the next of args.
func (w *where) add(condition string, args ...any) {
	for _, arg := range args {
		w.args = append(w.args, arg)
		condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(w.args)), 1)
	}
	w.text = append(w.text, condition)
}

func (w *where) String() string {
	if len(w.text) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.text, " AND ")
}

// where adds what opts asks for, without its place in the list.
func (opts EventOptions) where(w *where) error {
	var problems []error
	text := func(field, value, column string) {
		switch {
		case value == "":
		case len(value) > maxUserID || !printable(value):
			problems = append(problems, &Invalid{field, "", "must be at most 1,024 bytes of printable characters"})
		default:
			w.add(column+` = ?`, value)
		}
	}
	text("Organization", opts.Organization, "org")
	prefix, dotted := strings.CutSuffix(opts.Type, ".")
	if dotted && printable(prefix) && len(prefix) <= maxUserID {
		w.add(`type >= ? AND type < ?`, opts.Type, prefix+"/") // the character after the dot
	} else {
		text("Type", opts.Type, "type")
	}
	text("Actor", opts.Actor, "actor <> '' AND actor")
	text("Target", opts.Target, "target")
	switch {
	case opts.Scope == Scope{}:
	case !opts.Scope.valid():
		problems = append(problems, &Invalid{"Scope", "", "must be a scope that there can be"})
	default:
		w.add(`scope_kind = ? AND scope_org = ? AND scope_id = ?`, opts.Scope.Kind, opts.Scope.Org, opts.Scope.ID)
	}
	if !opts.Since.IsZero() {
		w.add(`id >= ?`, firstEventID(opts.Since))
	}
	if !opts.Until.IsZero() {
		w.add(`id < ?`, firstEventID(opts.Until))
	}
	return errors.Join(problems...)
}

// eventID makes ids that begin with the time.
func eventID(at time.Time, position int64, n int) string {
	return fmt.Sprintf("evt_%014x%012x%06x", at.UnixMicro(), position, n)
}

// firstEventID is no greater than the id of any event of this time or later, and greater than those of before.
func firstEventID(at time.Time) string {
	first, last := time.UnixMicro(0), time.UnixMicro(1<<56-1)
	switch {
	case at.Before(first):
		at = first
	case at.After(last):
		at = last
	}
	return fmt.Sprintf("evt_%014x", at.UnixMicro())
}

func scanEvent(row scanner) (*Event, error) {
	var e Event
	var before, after sql.NullString
	var at int64
	err := row.Scan(&e.ID, &e.ChangeID, &e.Type, &e.Organization, &e.Scope.Kind, &e.Scope.Org, &e.Scope.ID, &e.Revision, &e.Target,
		&e.Actor, &e.Impersonator, &e.RequestID, &before, &after, &at)
	if before.Valid {
		e.Before = json.RawMessage(before.String)
	}
	if after.Valid {
		e.After = json.RawMessage(after.String)
	}
	e.Time = time.UnixMicro(at).UTC()
	return &e, err
}
