package orgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"
)

// Event is the record of one raised scope: who changed what, when, from what to what. Events are only ever added.
type Event struct {
	ID           string          // sorts in the order of the changes, as far as one can have depended on another
	ChangeID     string          // common to all events of one transaction
	Type         string          // for example "organization.member.added"
	Organization string          // id; empty for users and roles
	Scope        Scope           // what was changed
	Revision     uint64          // what Scope was raised to; without gaps for each scope (rule EVT-2)
	Actor        string          // from WithActor
	Before       json.RawMessage // nil for what was not there before
	After        json.RawMessage // nil for what is not there any more
	Time         time.Time       // UTC; never before that of an earlier event in that order
}

// EventOptions selects a page of events. The zero value is the first 50 of all.
type EventOptions struct {
	Organization string // only this organization's, by id, a deleted one's too; empty means all
	Limit        int    // as ListOptions.Limit
	After        string // Next of the page before, or the ID of an event: those after it
}

// Events are the events of an Engine.
type Events struct{ e *Engine }

// List returns a page of events, oldest first.
//
// Transactions that do not depend on each other may commit at the same time on PostgreSQL, so that an event can appear before
// one that was listed already: who follows what changes asks OnCommit, or compares revisions.
func (s *Events) List(ctx context.Context, opts EventOptions) (Page[*Event], error) {
	where := `$1 = ''`
	if opts.Organization != "" {
		where = `org = $1`
	}
	limit, err := ListOptions{Limit: opts.Limit}.limit()
	if err == nil && !printable(opts.After+opts.Organization) {
		err = &Invalid{"After", "", "must be the Next of a page of events, or the id of an event"}
	}
	if err != nil {
		return Page[*Event]{}, err
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Event], err error) {
		page.Items, err = collect(ctx, q, `
			SELECT id, change_id, type, org, scope_kind, scope_org, scope_id, revision, actor, before_json, after_json, created_at
			FROM orgauthz_events WHERE `+where+` AND id > $2 ORDER BY id LIMIT $3`,
			[]any{opts.Organization, opts.After, limit + 1}, scanEvent)
		if len(page.Items) > limit {
			page.Items = page.Items[:limit]
			page.Next = page.Items[limit-1].ID
		}
		return page, err
	})
}

func scanEvent(row scanner) (*Event, error) {
	var e Event
	var before, after sql.NullString
	var at int64
	err := row.Scan(&e.ID, &e.ChangeID, &e.Type, &e.Organization, &e.Scope.Kind, &e.Scope.Org, &e.Scope.ID, &e.Revision, &e.Actor,
		&before, &after, &at)
	if before.Valid {
		e.Before = json.RawMessage(before.String)
	}
	if after.Valid {
		e.After = json.RawMessage(after.String)
	}
	e.Time = time.UnixMicro(at).UTC()
	return &e, err
}
