package orgstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
)

// maxIdempotencyKey is in bytes.
const maxIdempotencyKey = 255

// idempotencyKey is the context key of WithIdempotencyKey.
type idempotencyKey struct{}

// WithIdempotencyKey returns a context whose next mutation is done once, however often it is called (rule TXN-1): a call with the same key
// of the same actor (WithActor) is answered with what the first one returned, Result and value, and does nothing. That makes it
// safe to repeat a mutation whose outcome is unknown, because its answer was lost or its process has ended. Calls at the same
// time wait for the one that is doing it.
//
// The key is 1 to 255 bytes of printable characters, for example a random one for each request of a user. Another operation, or
// one with other arguments, is a Conflict of the mutation's idempotency_key. Only what succeeded is remembered: after an error
// the key is as new. Keys are remembered for Config.IdempotencyTime.
//
// The value of an answer from memory is the one of that time, without fields that are kept out of JSON: secrets such as
// tickets, which are shown once. OnCommit tells the changes again, because the first process may not have come to tell them.
//
// A key belongs to one mutation: take a new context for the next. Given to Transact it belongs to that as a whole, whatever its
// function is, which then does not run again; operations inside of it, and those of the Engine of In, take no key. Operations
// whose first answer must not come again look at none: those that run in many transactions (Clean, Prune, Erase), record a use, or
// issue and exchange tokens.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, idempotencyKey{}, key)
}

// call is an operation and its arguments as the caller gave them, before anything was generated: what two calls with one
// idempotency key must have in common. nil for what takes no key.
type call []any

// of is c as the call of a, so that an answer from memory goes to nobody else.
func (c call) of(a *actor) call {
	if a == nil || c == nil {
		return c
	}
	return append(slices.Clone(c), a.Actor)
}

// once is a mutation that is done once.
type once struct {
	actor, key, call string
}

// once returns what ctx says about repeating c, nil when nothing.
func (c call) once(ctx context.Context) (*once, error) {
	key, ok := ctx.Value(idempotencyKey{}).(string)
	if !ok || c == nil {
		return nil, nil
	}
	actor, err := actorOf(ctx)
	if key == "" || len(key) > maxIdempotencyKey || !printable(key) {
		err = errors.Join(err, &Invalid{"idempotency_key", "", "must be 1 to 255 bytes of printable characters"})
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(text)
	return &once{actor, key, hex.EncodeToString(hash[:])}, nil
}

// remembered is what orgauthz_idempotency keeps of a mutation.
type remembered struct {
	Changes []Change        `json:"changes,omitempty"`
	Value   json.RawMessage `json:"value,omitempty"`
}

// do runs op in tx, unless it was done before: then tx has the changes, and v the value, of that time.
func (o *once) do(ctx context.Context, tx *transaction, v value, op func(tx *transaction) error) error {
	first, err := o.claim(ctx, tx)
	if err != nil {
		return err
	}
	if !first {
		return o.recall(ctx, tx, v)
	}
	tx.dirty = true // doing nothing is remembered too
	if err := op(tx); err != nil {
		return err
	}
	r := remembered{Changes: tx.changes}
	if v != nil {
		if r.Value, err = v.encode(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_idempotency SET result = $3 WHERE actor = $1 AND key = $2 AND result = ''`, o.actor, o.key, string(text))
	return err
}

// claim takes the key, and reports whether it was free. It comes before all locks, and waits for whoever has just taken it.
func (o *once) claim(ctx context.Context, tx *transaction) (bool, error) {
	now := tx.cfg.Clock()
	var one int
	err := tx.sql.QueryRowContext(ctx, `
		INSERT INTO orgauthz_idempotency (actor, key, call, result, created_at) VALUES ($1, $2, $3, '', $4)
		ON CONFLICT (actor, key) DO UPDATE SET call = excluded.call, result = '', created_at = excluded.created_at
		WHERE orgauthz_idempotency.created_at <= $5
		RETURNING 1`, o.actor, o.key, o.call, now.UnixMicro(), now.Add(-tx.cfg.IdempotencyTime).UnixMicro()).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (o *once) recall(ctx context.Context, tx *transaction, v value) error {
	var call, text string
	if err := tx.sql.QueryRowContext(ctx, `SELECT call, result FROM orgauthz_idempotency WHERE actor = $1 AND key = $2`,
		o.actor, o.key).Scan(&call, &text); err != nil {
		return err
	}
	if call != o.call {
		return &Conflict{"mutation", "idempotency_key"}
	}
	var r remembered
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return err
	}
	tx.changes, tx.replayed = r.Changes, true
	if v == nil {
		return nil
	}
	return v.decode(r.Value)
}

// value is what an operation returns beside its Result.
type value interface {
	encode() (json.RawMessage, error)
	decode(json.RawMessage) error
}

type made[T any] struct{ v *T }

func (m made[T]) encode() (json.RawMessage, error) { return json.Marshal(m.v) }

// decode leaves nothing of what is in v: the ids and times of a call that was not the first.
func (m made[T]) decode(text json.RawMessage) error {
	*m.v = *new(T)
	return json.Unmarshal(text, m.v)
}

// create is mutate for operations that return what they have made: op makes *v.
func create[T any](ctx context.Context, e *Engine, c call, v *T, op func(tx *transaction) error) (*T, Result, error) {
	result, err := e.run(ctx, c, made[T]{v}, op)
	if err != nil {
		return nil, Result{}, err
	}
	return v, result, nil
}

// cleanKeys forgets keys whose time is over.
func cleanKeys(ctx context.Context, tx *transaction) (int, error) {
	return affected(tx.sql.ExecContext(ctx, `
		DELETE FROM orgauthz_idempotency WHERE (actor, key) IN
			(SELECT actor, key FROM orgauthz_idempotency WHERE created_at <= $1 ORDER BY created_at LIMIT $2)`,
		tx.cfg.Clock().Add(-tx.cfg.IdempotencyTime).UnixMicro(), cleanBatch))
}
