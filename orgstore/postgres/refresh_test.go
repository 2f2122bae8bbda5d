package postgres

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// A refresh token that was used before comes again while the newest of its family is being exchanged: the token that this gives
// ends with the family as well, although it was not there when the family was to end (rule TOK-8).
func TestReuseEndsWhatIsBeingIssued(t *testing.T) {
	t.Parallel()
	application := strings.ToLower(t.Name())
	address := database(t, "pool_max_conns", "4", "application_name", application)
	e, w := openDialect(t, address, dialect{gated})
	admin := connect(t, with(t, address, "application_name", "admin"))
	ctx := t.Context()
	s, err := e.Sessions.Create(ctx, orgstore.Session{User: w.Emilio.ID})
	if err != nil {
		t.Fatal(err)
	}
	used, err := e.Sessions.IssueRefreshToken(ctx, orgstore.RefreshGrant{Session: s.ID, Client: "app"})
	if err != nil {
		t.Fatal(err)
	}
	_, newest, err := e.Sessions.Refresh(ctx, "app", used)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var next string
	_, err = e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, inside *orgstore.Engine) (err error) {
		_, next, err = inside.Sessions.Refresh(ctx, "app", newest)
		group.Go(func() {
			if _, _, err := e.Sessions.Refresh(t.Context(), "app", used); !errors.Is(err, orgstore.ErrRefreshReused) {
				t.Errorf("the used token: %v", err)
			}
		})
		waiting(t, admin, application, 1)
		return err
	})
	group.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.Sessions.Refresh(ctx, "app", next); !errors.Is(err, orgstore.ErrNotFound) {
		t.Errorf("the newest token of a family that has ended: %v", err)
	}
}
