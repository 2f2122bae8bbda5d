package orgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
)

// raised is a scope whose revision a change raises, and what its event says.
type raised struct {
	scope         Scope
	org           string // id; empty for what belongs to no organization
	eventType     string
	before, after any // what the event shows of scope, as JSON; nil for what was not, or is not any more
}

// raise raises the revision of scope by one and writes the event that says why. before and after are what the event shows of
// the scope, as JSON; nil for what was not, or is not any more.
func (tx *transaction) raise(ctx context.Context, scope Scope, org, eventType string, before, after any) error {
	return tx.raiseAll(ctx, []raised{{scope, org, eventType, before, after}})
}

// raiseAll is raise for many scopes, each of which is there once, in few statements.
func (tx *transaction) raiseAll(ctx context.Context, list []raised) error {
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	impersonator := ""
	if tx.as != nil {
		ctx, impersonator = WithActor(ctx, tx.as.User), tx.as.Impersonator
	}
	actor, err := actorOf(ctx)
	if err != nil {
		return err
	}
	request, err := requestOf(ctx)
	if err != nil {
		return err
	}
	if !validActor(impersonator) {
		return &Invalid{"impersonator", "", "must be at most 1,024 bytes of printable characters"}
	}
	erasing := ctx.Value(erasureKey{}) != nil
	for some := range slices.Chunk(list, batch) {
		revisions, err := tx.raiseRevisions(ctx, some, at.UnixMicro())
		if err != nil {
			return err
		}
		events := make([][]any, 0, len(some))
		for _, r := range some {
			was, err := eventJSON(r.before)
			if err != nil {
				return err
			}
			is, err := eventJSON(r.after)
			if err != nil {
				return err
			}
			if erasing {
				was.String, is.String = withoutPersonalData(was.String), withoutPersonalData(is.String)
			}
			id := eventID(at, tx.position, len(tx.changes))
			events = append(events, []any{id, tx.id, r.eventType, r.org, r.scope.Kind, r.scope.Org, r.scope.ID, revisions[r.scope], r.scope.ID,
				actor, impersonator, request, was, is, at.UnixMicro(), tx.position})
			tx.events = append(tx.events, id)
			tx.changes = append(tx.changes, Change{Scope: r.scope, Revision: revisions[r.scope], ID: tx.id, Type: r.eventType})
		}
		if err := tx.insert(ctx, `orgauthz_events (`+eventColumns+`, position)`, events, ""); err != nil {
			return err
		}
	}
	return nil
}

func (tx *transaction) raiseRevisions(ctx context.Context, list []raised, at int64) (map[Scope]uint64, error) {
	args := make([]any, 0, 6*len(list))
	for _, r := range list {
		args = append(args, r.scope.Kind, r.scope.Org, r.scope.ID, 1, tx.position, at)
	}
	revisions := make(map[Scope]uint64, len(list))
	_, err := collect(ctx, tx.sql, `
		INSERT INTO orgauthz_scopes (kind, org, id, revision, position, clock) VALUES `+rowParameters(len(list), 6)+`
		ON CONFLICT (kind, org, id) DO UPDATE
		SET revision = orgauthz_scopes.revision + 1, position = excluded.position, clock = excluded.clock
		RETURNING kind, org, id, revision`, args,
		func(row scanner) (struct{}, error) {
			var s Scope
			var revision uint64
			err := row.Scan(&s.Kind, &s.Org, &s.ID, &revision)
			revisions[s] = revision
			return struct{}{}, err
		})
	return revisions, err
}

func eventJSON(v any) (sql.NullString, error) {
	if v == nil {
		return sql.NullString{}, nil
	}
	data, err := json.Marshal(v)
	return sql.NullString{String: string(data), Valid: true}, err
}
