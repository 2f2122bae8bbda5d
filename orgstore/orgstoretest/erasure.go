package orgstoretest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// holds counts the events in which any of texts is to be found.
func (t *engineTest) holds(texts ...string) (n int) {
	t.Helper()
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT * FROM orgauthz_events`)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			row := make([]any, len(columns))
			for i := range row {
				row[i] = new(any)
			}
			if err := rows.Scan(row...); err != nil {
				return err
			}
			var text strings.Builder
			for _, value := range row {
				fmt.Fprintf(&text, "%s\n", *value.(*any))
			}
			if slices.ContainsFunc(texts, func(s string) bool {
				return strings.Contains(strings.ToLower(text.String()), strings.ToLower(s))
			}) {
				n++
			}
		}
		return rows.Err()
	}))
	return n
}

// elsewhere writes an event that holds data of a user and is not the user's.
func (t *engineTest) elsewhere(org, text string) {
	t.Helper()
	t.changed(t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, err := e.Organizations.Update(ctx, org, orgstore.OrganizationUpdate{DisplayName: new(fmt.Sprint(len(text)))}); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE orgauthz_events SET after_json = $1
			WHERE id = (SELECT MAX(id) FROM orgauthz_events WHERE type = 'organization.updated')`, text)
		return err
	}))
}

func eraseUser(t *engineTest, _ *clock) {
	ctx := t.Context()
	o := t.org("acme")
	u := orgstore.User{ID: "auth0|1", Email: `Emilio_100%@Example.com`, Name: "Emilio Estévez"}
	t.changed(second2(t.Users.Create(ctx, u)))
	t.changed(t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Email: new("emilio&son@example.org"), Name: new("Emilio Zweig")}))
	t.changed(t.Users.Block(ctx, u.ID))
	t.changed(t.Members.Add(ctx, o.ID, u.ID, orgstore.MemberOptions{Kind: "guest", Metadata: map[string]string{"phone": "+49 30 555 0100"}}))
	t.elsewhere(o.ID, `{"invitee":{"email":"EMILIO_100%@example.com","names":["Emilio Estévez","Jonno"]},"n":12345678901234567890}`)
	t.elsewhere(o.ID, `{"email":"emilioX100%@example.com"}`)
	personal := []string{"emilio_100%", `emilio&son`, `emilio\u0026son`, "Estévez", "Zweig", "555 0100"}
	if n := t.holds(personal...); n < 5 {
		t.Fatalf("%d events hold personal data: nothing to erase", n)
	}
	was := t.events()

	result, err := t.Users.Erase(ctx, u.ID)
	t.changed(result, err)
	if revision, ok := result.Revision.Of(orgstore.UserScope(u.ID)); !ok || revision != 4 {
		t.Errorf("raised %v", result.Revision)
	}
	if n := t.holds(personal...); n != 0 {
		t.Errorf("%d events hold personal data of somebody who was erased", n)
	}
	if _, err := t.Users.Get(ctx, u.ID); !errors.Is(err, orgstore.ErrNotFound) {
		t.Errorf("the user: %v", err)
	}

	events := t.events()
	gapless(t)
	if len(events) != len(was)+1 || events[len(was)].Type != "user.deleted" || events[len(was)].Target != u.ID {
		t.Errorf("%d events of %d", len(events), len(was))
	}
	for i, e := range was {
		got := events[i]
		if got.ID != e.ID || got.Target != e.Target || got.Type != e.Type || got.Revision != e.Revision || !got.Time.Equal(e.Time) ||
			(got.Before == nil) != (e.Before == nil) || (got.After == nil) != (e.After == nil) {
			t.Errorf("the trail has changed from %+v to %+v", e, got)
		}
		switch e.Type {
		case "user.blocked":
			var after orgstore.User
			if err := json.Unmarshal(got.After, &after); err != nil || !after.Blocked || after.ID != u.ID || after.Email != "" || after.Name != "" || after.CreatedAt.IsZero() {
				t.Errorf("blocked: %s, %v", got.After, err)
			}
		case "organization.member.added":
			var after struct {
				Kind     string
				Metadata map[string]string
			}
			if err := json.Unmarshal(got.After, &after); err != nil || after.Kind != "guest" || after.Metadata != nil {
				t.Errorf("added: %s, %v", got.After, err)
			}
		}
	}
	if n := t.holds("emilioX100%@example.com"); n != 1 {
		t.Error("another address that looks like it was erased")
	}
	if n := t.holds(`"Jonno"`); n != 1 {
		t.Error("somebody else's name was erased")
	}
	if n := t.holds("12345678901234567890"); n != 1 {
		t.Error("a number was changed")
	}
	t.unchanged(t.Users.Erase(ctx, u.ID))
	for _, id := range []string{"", "nobody", "a\x00", "\xff", strings.Repeat("a", 1025), "%"} {
		t.unchanged(t.Users.Erase(ctx, id))
	}
	if again := t.events(); !slices.Equal(ids(again), ids(events)) {
		t.Error("erasing again wrote events")
	}
}

func second2[A any](_ A, result orgstore.Result, err error) (orgstore.Result, error) {
	return result, err
}

func eraseDeleted(t *engineTest, _ *clock) {
	u := orgstore.User{ID: "auth0|1", Email: "emilio@example.com", Name: "Emilio"}
	for range 2 {
		t.changed(second2(t.Users.Create(t.Context(), u)))
		t.changed(t.Users.Delete(t.Context(), u.ID))
	}
	if n := t.holds("emilio"); n != 4 {
		t.Fatalf("%d events hold personal data", n)
	}
	t.unchanged(t.Users.Erase(t.Context(), u.ID))
	if n := t.holds("emilio"); n != 0 {
		t.Errorf("%d events hold personal data", n)
	}
	if len(t.events()) != 4 {
		t.Errorf("%d events", len(t.events()))
	}
	// In a transaction that is undone, nothing is erased.
	t.changed(second2(t.Users.Create(t.Context(), u)))
	_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		return errors.Join(errUndo, second(e.Users.Erase(ctx, u.ID)))
	})
	t.is(err, errUndo)
	if n := t.holds("emilio"); n != 1 {
		t.Errorf("%d events hold personal data", n)
	}
}

func eraseDenied(t *engineTest, c *clock) {
	u := orgstore.User{ID: "auth0|1", Email: "emilio@example.com"}
	t.changed(second2(t.Users.Create(t.Context(), u)))
	t.changed(t.Users.Delete(t.Context(), u.ID))
	c.ahead.Store(int64(1000 * 24 * time.Hour))
	as := t.As(orgstore.Actor{User: "somebody"})
	_, err := as.Users.Erase(t.Context(), u.ID)
	t.is(err, orgstore.ErrDenied)
	_, err = as.Events.Prune(t.Context())
	t.is(err, orgstore.ErrDenied)
	if n := t.holds("emilio"); n != 2 {
		t.Errorf("%d events", n)
	}
}

func eraseOthers(t *engineTest, _ *clock) {
	o := t.org("acme")
	for i := range 4 {
		u := orgstore.User{ID: fmt.Sprint("u", i), Email: fmt.Sprintf("%d@example.com", i), Name: "Emilio"}
		t.changed(second2(t.Users.Create(t.Context(), u)))
		t.member(o.ID, u.ID)
	}
	t.changed(t.Users.Erase(t.Context(), "u0"))
	if n := t.holds("Emilio"); n != 3 {
		t.Errorf("%d events hold the name that others have too, want theirs", n)
	}
}
