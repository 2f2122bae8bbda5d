package orgstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
)

// erasureKey is the context key of a deletion whose event shows no personal data.
type erasureKey struct{}

// eraseBatch is how many events Erase changes in one transaction at most.
const eraseBatch = "500"

// Erase deletes the user as Delete does, and takes personal data out of the events that tell of the user (rule EVT-3): there, what
// was the e-mail address, the name, metadata and the like becomes null, also where the user was deleted before. In all other events
// the user's e-mail addresses, and the names beside them, become null. The trail stays: who did what, when, to whom, by ids. An id is
// not erased; it should not be anything personal, such as an e-mail address.
//
// The user is gone when the first transaction has been committed. The events follow in batches, after a look at every event there
// is, which takes its time; if it ends with an error, call Erase again.
//
// Answers that are remembered for idempotency keys hold what they hold for Config.IdempotencyTime.
func (s *Users) Erase(ctx context.Context, id string) (Result, error) {
	result, err := s.Delete(context.WithValue(ctx, erasureKey{}, true), id)
	if err != nil || !validUserID(id) {
		return result, err
	}
	own := where{}
	own.add(`target = ?`, id)
	own.add(`scope_kind IN (?, ?)`, ScopeUser, ScopeMembership)
	// Elsewhere first: what to look for there is known from the user's own events alone, as long as they still say it.
	emails, names, err := s.personalData(ctx, own)
	if err != nil {
		return result, err
	}
	for _, email := range emails {
		elsewhere := where{}
		elsewhere.add(`(lower(before_json) LIKE ? ESCAPE '\' OR lower(after_json) LIKE ? ESCAPE '\')`, containing(email), containing(email))
		err := s.rewriteEvents(ctx, elsewhere, func(text string) string { return withoutAddresses(text, emails, names) })
		if err != nil {
			return result, err
		}
	}
	if err := s.eraseInvitations(ctx, id, emails); err != nil {
		return result, err
	}
	return result, s.rewriteEvents(ctx, own, withoutPersonalData)
}

// eraseInvitations takes personal data out of invitations that are not pending any more: those that the user has accepted, and those of
// the user's addresses.
func (s *Users) eraseInvitations(ctx context.Context, id string, emails []string) error {
	_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
		if err := tx.permit(ctx, "", "delete:users"); err != nil {
			return err
		}
		tx.dirty = true
		const erase = `UPDATE orgauthz_invitations SET email = '', email_key = '', app_metadata = '{}', user_metadata = '{}'
			WHERE status <> 'pending' AND `
		_, err := tx.sql.ExecContext(ctx, erase+`accepted_by = $1`, id)
		for _, email := range emails {
			if err == nil {
				_, err = tx.sql.ExecContext(ctx, erase+`email_key = $1`, addressKey(email))
			}
		}
		return err
	})
	return err
}

// personalData returns the e-mail addresses and names that a user has had, as far as events know.
func (s *Users) personalData(ctx context.Context, own where) (emails, names []string, err error) {
	err = s.eachEvent(ctx, own, func(rows []eventText) error {
		for _, row := range rows {
			for _, text := range []string{row.before.String, row.after.String} {
				var u struct{ Email, Name string }
				if text != "" && json.Unmarshal([]byte(text), &u) == nil {
					emails, names = append(emails, u.Email), append(names, u.Name)
				}
			}
		}
		return nil
	})
	notEmpty := func(list []string) []string {
		return slices.DeleteFunc(inOrder(list), func(s string) bool { return s == "" })
	}
	return notEmpty(emails), notEmpty(names), err
}

// eventText is what an event shows.
type eventText struct {
	id            string
	before, after sql.NullString
}

// eachEvent goes through the events that w selects.
func (s *Users) eachEvent(ctx context.Context, w where, f func([]eventText) error) error {
	for last := ""; ; {
		page := where{slices.Clone(w.text), slices.Clone(w.args)}
		page.add(`id > ?`, last)
		rows, err := read(ctx, s.e, func(q queryer) ([]eventText, error) {
			return collect(ctx, q, `SELECT id, before_json, after_json FROM orgauthz_events `+page.String()+` ORDER BY id LIMIT `+eraseBatch,
				page.args, func(s scanner) (e eventText, err error) { return e, s.Scan(&e.id, &e.before, &e.after) })
		})
		if err != nil || len(rows) == 0 {
			return err
		}
		last = rows[len(rows)-1].id
		if err := f(rows); err != nil {
			return err
		}
	}
}

// rewriteEvents applies edit to what the events that w selects show.
func (s *Users) rewriteEvents(ctx context.Context, w where, edit func(string) string) error {
	return s.eachEvent(ctx, w, func(rows []eventText) error {
		changed := rows[:0]
		for _, row := range rows {
			before, after := edit(row.before.String), edit(row.after.String)
			if before != row.before.String || after != row.after.String {
				row.before.String, row.after.String = before, after
				changed = append(changed, row)
			}
		}
		if len(changed) == 0 {
			return nil
		}
		_, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
			if err := tx.permit(ctx, "", "delete:users"); err != nil {
				return err
			}
			tx.dirty = true
			for _, row := range changed {
				if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_events SET before_json = $2, after_json = $3 WHERE id = $1`,
					row.id, row.before, row.after); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
}

// impersonal are the fields of users and members that say nothing of a person. Booleans and numbers never do.
var impersonal = []string{
	"user_id", "kind", "status", "joined_by", "roles", "teams", "groups",
	"created_at", "updated_at", "joined_at", "expires_at", "tokens_valid_after",
}

// withoutPersonalData makes null what may be personal in the JSON of a user or member. A field that it does not know may be.
func withoutPersonalData(text string) string {
	fields, ok := fromJSON(text).(map[string]any)
	if !ok {
		return text
	}
	for name, value := range fields {
		switch value.(type) {
		case bool, json.Number:
			continue
		}
		if !slices.Contains(impersonal, name) {
			fields[name] = nil
		}
	}
	return toJSON(fields)
}

// withoutAddresses makes the strings of JSON null that are one of emails; and if there was one, also those that are one of names.
func withoutAddresses(text string, emails, names []string) string {
	found := false
	v := withoutStrings(fromJSON(text), func(s string) bool {
		is := slices.ContainsFunc(emails, func(email string) bool { return strings.EqualFold(s, email) })
		found = found || is
		return is
	})
	if !found {
		return text
	}
	return toJSON(withoutStrings(v, func(s string) bool { return slices.Contains(names, s) }))
}

func withoutStrings(v any, personal func(string) bool) any {
	switch v := v.(type) {
	case string:
		if personal(v) {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutStrings(v[i], personal)
		}
	case map[string]any:
		for name := range v {
			v[name] = withoutStrings(v[name], personal)
		}
	}
	return v
}

// fromJSON returns nil for what is no JSON.
func fromJSON(text string) (v any) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

func toJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON before
	}
	return string(data)
}

// containing is the pattern of a LIKE that finds s in JSON in small letters, as the databases make them: of ASCII only.
func containing(s string) string {
	s = toJSON(s)
	s = s[1 : len(s)-1]
	s = strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(s) + "%"
}
