package orgstoretest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// idempotencyTests are tests of WithIdempotencyKey with a Config of their own.
var idempotencyTests = map[string]func(t *engineTest, clock *clock){
	"TXN-1: a repeated create returns the first value":    repeatedCreate,
	"TXN-1: a repeated operation does nothing":            repeatedOperations,
	"TXN-1: doing nothing is remembered":                  repeatedNothing,
	"TXN-1: an error is not remembered":                   repeatedError,
	"TXN-1: another operation or other arguments":         keyOfAnother,
	"TXN-1: a key is the actor's own":                     keyOfActors,
	"TXN-1: a key answers nobody who acts for the actor":  keyOfDelegates,
	"TXN-1: a key belongs to the whole Transact":          keyOfTransact,
	"TXN-1: bad keys":                                     keysRefused,
	"TXN-1: listeners hear it again":                      keyTellsAgain,
	"TXN-1: keys are forgotten":                           keysForgotten,
	"TXN-1: one of many callers does it":                  keyRace,
	"TXN-1: one of many callers of Transact does it":      keyRaceTransact,
	"TXN-1: a forgotten key is taken by one of many":      keyRaceForgotten,
	"TXN-1: keys race with operations that share nothing": keyRaceOthers,
}

// TestIdempotency tests mutations with idempotency keys. open returns a fresh, empty engine with cfg.
func TestIdempotency(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	for name, test := range idempotencyTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(clock)
			e := &engineTest{T: t, Engine: open(t, orgstore.Config{Clock: c.now})}
			test(e, c)
			e.consistent()
		})
	}
}

func (t *engineTest) key(key string) context.Context {
	return orgstore.WithIdempotencyKey(t.Context(), key)
}

// replayed checks that second is the answer of first again.
func (t *engineTest) replayed(first, second orgstore.Result, err error) {
	t.Helper()
	t.ok(err)
	if first.Replayed || !second.Replayed {
		t.Errorf("replayed: first %v, second %v", first.Replayed, second.Replayed)
	}
	second.Replayed = false
	if !reflect.DeepEqual(first, second) {
		t.Errorf("first %+v, then %+v", first, second)
	}
}

func repeatedCreate(t *engineTest, _ *clock) {
	given := orgstore.Organization{Name: "acme", DisplayName: "Acme", Metadata: map[string]string{"b": "1", "a": "2"}}
	o, first, err := t.Organizations.Create(t.key("o"), given)
	t.changed(first, err)
	// What has become of it since then does not count.
	t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{Name: new("other")}))
	again, second, err := t.Organizations.Create(t.key("o"), given)
	t.replayed(first, second, err)
	if !reflect.DeepEqual(o, again) {
		t.Errorf("made %+v, then %+v", o, again)
	}
	r, first, err := t.Roles.Create(t.key("r"), orgstore.Role{Name: "admin", Permissions: []string{"b", "a", "b"}})
	t.changed(first, err)
	t.changed(t.Roles.Delete(t.Context(), r.ID))
	sameRole, second, err := t.Roles.Create(t.key("r"), orgstore.Role{Name: "admin", Permissions: []string{"b", "a", "b"}})
	t.replayed(first, second, err)
	if !reflect.DeepEqual(r, sameRole) {
		t.Errorf("made %+v, then %+v", r, sameRole)
	}
	u, first, err := t.Users.Create(t.key("u"), orgstore.User{ID: "u", Email: "u@example.com"})
	t.changed(first, err)
	sameUser, second, err := t.Users.Create(t.key("u"), orgstore.User{ID: "u", Email: "u@example.com"})
	t.replayed(first, second, err)
	if !reflect.DeepEqual(u, sameUser) {
		t.Errorf("made %+v, then %+v", u, sameUser)
	}
	// The twin without a key is refused, because it does it again.
	_, _, err = t.Users.Create(t.Context(), orgstore.User{ID: "u", Email: "u@example.com"})
	t.conflict(err, "user", "id")
}

func repeatedOperations(t *engineTest, _ *clock) {
	o, user, role := t.org("acme"), t.user("u"), t.role("admin")
	for i, op := range []func(ctx context.Context) (orgstore.Result, error){
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{Roles: []string{role}})
		},
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Members.Update(ctx, o.ID, user, orgstore.MemberUpdate{Metadata: map[string]*string{"k": new("v"), "x": nil}})
		},
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Members.RemoveRoles(ctx, o.ID, user, role)
		},
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Members.AssignRoles(ctx, o.ID, user, role)
		},
		func(ctx context.Context) (orgstore.Result, error) { return t.Members.SetRoles(ctx, o.ID, user) },
		func(ctx context.Context) (orgstore.Result, error) { return t.Members.Remove(ctx, o.ID, user) },
		func(ctx context.Context) (orgstore.Result, error) { return t.Users.Block(ctx, user) },
		func(ctx context.Context) (orgstore.Result, error) { return t.Users.Unblock(ctx, user) },
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Users.Update(ctx, user, orgstore.UserUpdate{Name: new("U")})
		},
		func(ctx context.Context) (orgstore.Result, error) { return t.Users.Delete(ctx, user) },
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Roles.Update(ctx, role, orgstore.RoleUpdate{Description: new("d")})
		},
		func(ctx context.Context) (orgstore.Result, error) { return t.Roles.Delete(ctx, role) },
		func(ctx context.Context) (orgstore.Result, error) { return t.Organizations.Suspend(ctx, o.ID) },
		func(ctx context.Context) (orgstore.Result, error) { return t.Organizations.Resume(ctx, o.ID) },
		func(ctx context.Context) (orgstore.Result, error) {
			return t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Name: new("other")})
		},
		func(ctx context.Context) (orgstore.Result, error) { return t.Organizations.Delete(ctx, o.ID) },
	} {
		first, err := op(t.key(fmt.Sprint("key ", i)))
		t.changed(first, err)
		events := len(t.events())
		second, err := op(t.key(fmt.Sprint("key ", i)))
		t.replayed(first, second, err)
		if n := len(t.events()); n != events {
			t.Errorf("operation %d wrote %d events when it was repeated", i, n-events)
		}
		// Each operation has a name of its own.
		if i > 0 {
			_, err = op(t.key(fmt.Sprint("key ", i-1)))
			t.conflict(err, "mutation", "idempotency_key")
		}
	}
}

func repeatedNothing(t *engineTest, _ *clock) {
	o := t.org("acme")
	first, err := t.Organizations.Resume(t.key("k"), o.ID)
	t.unchanged(first, err)
	t.changed(t.Organizations.Suspend(t.Context(), o.ID))
	second, err := t.Organizations.Resume(t.key("k"), o.ID)
	t.replayed(first, second, err)
	if a := t.resolve(o.ID, "u"); a.Standing != orgstore.StandingSuspended {
		t.Errorf("the repeated call did something: %v", a.Standing)
	}
}

func repeatedError(t *engineTest, _ *clock) {
	_, err := t.Users.Block(t.key("k"), "u")
	t.notFound(err, "user")
	t.user("u")
	t.changed(t.Users.Block(t.key("k"), "u"))
}

func keyOfAnother(t *engineTest, _ *clock) {
	o, user := t.org("acme"), t.user("u")
	t.changed(t.Members.Add(t.key("k"), o.ID, user, orgstore.MemberOptions{Kind: "guest"}))
	for _, err := range []error{
		second(t.Members.Add(t.key("k"), o.ID, user, orgstore.MemberOptions{Kind: "other"})),
		second(t.Members.Add(t.key("k"), o.ID, "v", orgstore.MemberOptions{Kind: "guest"})),
		second(t.Members.Remove(t.key("k"), o.ID, user)),
		second(t.Organizations.Delete(t.key("k"), o.ID)),
		third(t.Users.Create(t.key("k"), orgstore.User{ID: "w"})),
		second(t.Transact(t.key("k"), func(context.Context, *sql.Tx, *orgstore.Engine) error {
			t.Error("the function of Transact ran")
			return nil
		})),
	} {
		t.conflict(err, "mutation", "idempotency_key")
	}
	if a := t.resolve(o.ID, user); a.Standing != orgstore.StandingMember {
		t.Errorf("standing: %v", a.Standing)
	}
}

func keyOfActors(t *engineTest, _ *clock) {
	o := t.org("acme")
	for _, actor := range []string{"", "a", "b"} {
		ctx := orgstore.WithActor(t.key("k"), actor)
		t.changed(t.Organizations.Suspend(ctx, o.ID))
		t.changed(t.Organizations.Resume(t.Context(), o.ID))
		if result, err := t.Organizations.Suspend(ctx, o.ID); err != nil || !result.Replayed {
			t.Errorf("actor %q: %+v, %v", actor, result, err)
		}
	}
	_, err := t.Organizations.Suspend(orgstore.WithActor(t.key("k"), "a\n"), o.ID)
	t.invalid(err, "actor", "")
}

// keyOfDelegates uses one key for the same user, acting themselves, by somebody else, and as the server's actor.
func keyOfDelegates(t *engineTest, _ *clock) {
	nothing := func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil }
	t.user("u")
	alone := t.As(orgstore.Actor{User: "u"})
	t.unchanged(alone.Transact(t.key("k"), nothing))
	if result, err := alone.Transact(t.key("k"), nothing); err != nil || !result.Replayed {
		t.Errorf("repeated: %+v, %v", result, err)
	}
	_, err := t.As(orgstore.Actor{User: "u", Impersonator: "support"}).Transact(t.key("k"), nothing)
	t.conflict(err, "mutation", "idempotency_key")
	_, err = t.Transact(orgstore.WithActor(t.key("k"), "u"), nothing)
	t.conflict(err, "mutation", "idempotency_key")
	t.unchanged(t.As(orgstore.Actor{User: "v"}).Transact(t.key("k"), nothing))
}

func keyOfTransact(t *engineTest, _ *clock) {
	t.ownTable()
	runs := 0
	work := func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		runs++
		for _, name := range []string{"a", "b"} { // the same key for both
			if _, result, err := e.Organizations.Create(ctx, orgstore.Organization{Name: name}); err != nil || result.Replayed {
				return errors.Join(err, errors.New("replayed inside"))
			}
		}
		_, err := e.Transact(orgstore.WithIdempotencyKey(ctx, "inner"), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			_, _, err := e.Users.Create(ctx, orgstore.User{ID: "u"})
			return err
		})
		return errors.Join(err, insertCustomer(ctx, tx, fmt.Sprint("c", runs), "x"))
	}
	first, err := t.Transact(t.key("k"), work)
	t.changed(first, err)
	again, err := t.Transact(t.key("k"), work)
	t.replayed(first, again, err)
	if got := t.customers(); runs != 1 || len(got) != 1 {
		t.Errorf("%d runs, customers %q", runs, got)
	}
	// The inner key was not taken.
	t.changed(t.Users.Block(t.key("inner"), "u"))
	// The twin without a key does it twice.
	_, err = t.Transact(t.Context(), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		return insertCustomer(ctx, tx, "twice", "x")
	})
	t.ok(err)
	_, err = t.Transact(t.key("undone"), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error { return errUndo })
	t.is(err, errUndo)
	result, err := t.Transact(t.key("undone"), func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error { return nil })
	if t.unchanged(result, err); result.Replayed {
		t.Error("an error was remembered")
	}
}

func keysRefused(t *engineTest, _ *clock) {
	for name, key := range map[string]string{
		"empty": "", "too long": strings.Repeat("k", 256), "NUL": "a\x00b", "newline": "a\nb", "not UTF-8": "a\xff",
	} {
		_, _, err := t.Users.Create(t.key(key), orgstore.User{ID: "u"})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		t.invalid(err, "idempotency_key", key)
		_, err = t.Transact(t.key(key), func(context.Context, *sql.Tx, *orgstore.Engine) error { return nil })
		t.invalid(err, "idempotency_key", key)
	}
	if n := len(t.events()); n != 0 {
		t.Errorf("%d events", n)
	}
	_, result, err := t.Users.Create(t.key(strings.Repeat("k", 255)), orgstore.User{ID: "u"})
	t.changed(result, err)
	// Keys differ in every byte, as everywhere.
	for _, key := range []string{"a", "A", "a ", "ä", "a\u0308"} {
		if result, err := t.Users.Unblock(t.key(key), "u"); err != nil || result.Replayed {
			t.Errorf("%q: %+v, %v", key, result, err)
		}
	}
}

func keyTellsAgain(t *engineTest, _ *clock) {
	var told [][]orgstore.Change
	t.OnCommit(func(_ context.Context, changes []orgstore.Change) { told = append(told, changes) })
	for range 2 {
		_, _, err := t.Organizations.Create(t.key("k"), orgstore.Organization{Name: "acme"})
		t.ok(err)
	}
	if len(told) != 2 || len(told[0]) != 2 || !reflect.DeepEqual(told[0], told[1]) {
		t.Errorf("told %+v", told)
	}
}

func keysForgotten(t *engineTest, c *clock) {
	t.user("u")
	t.changed(t.Users.Block(t.key("a"), "u"))
	t.changed(t.Users.Unblock(t.key("b"), "u"))
	c.ahead.Store(int64(23 * time.Hour))
	t.changed(t.Users.Block(t.key("c"), "u"))
	if result, err := t.Users.Block(t.key("a"), "u"); err != nil || !result.Replayed {
		t.Errorf("after 23 hours: %+v, %v", result, err)
	}
	c.ahead.Store(int64(25 * time.Hour))
	t.unchanged(t.Users.Block(t.key("a"), "u")) // taken again
	n, err := t.Clean(t.key("a"))
	if t.ok(err); n != 1 {
		t.Errorf("Clean forgot %d keys, want b alone", n)
	}
	t.changed(t.Users.Unblock(t.key("b"), "u"))
	if result, err := t.Users.Block(t.key("c"), "u"); err != nil || !result.Replayed {
		t.Errorf("after two hours: %+v, %v", result, err)
	}
}

// race has racers call op and returns the results, of which all but one must be replayed, and nothing else different.
func (t *engineTest) onceOf(op func(i int) (orgstore.Result, error)) {
	t.Helper()
	results := make([]orgstore.Result, racers)
	for _, err := range together(racers, func(i int) (err error) {
		results[i], err = op(i)
		return err
	}) {
		t.ok(err)
	}
	did := 0
	for i := range results {
		if !results[i].Replayed {
			did++
		}
		results[i].Replayed = false
		if !reflect.DeepEqual(results[i], results[0]) {
			t.Errorf("results differ: %+v and %+v", results[0], results[i])
		}
	}
	if did != 1 {
		t.Errorf("%d of %d callers did it", did, racers)
	}
}

func keyRace(t *engineTest, _ *clock) {
	made := make([]*orgstore.Organization, racers)
	t.onceOf(func(i int) (result orgstore.Result, err error) {
		made[i], result, err = t.Organizations.Create(t.key("k"), orgstore.Organization{Name: "acme"})
		return result, err
	})
	for _, o := range made {
		if !reflect.DeepEqual(o, made[0]) {
			t.Errorf("made %+v and %+v", made[0], o)
		}
	}
}

func keyRaceTransact(t *engineTest, _ *clock) {
	t.ownTable()
	t.onceOf(func(i int) (orgstore.Result, error) {
		return t.Transact(t.key("k"), func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			_, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
			return errors.Join(err, insertCustomer(ctx, tx, fmt.Sprint("c", i), "x"))
		})
	})
	if got := t.customers(); len(got) != 1 {
		t.Errorf("customers: %q", got)
	}
}

func keyRaceForgotten(t *engineTest, c *clock) {
	t.user("u")
	t.changed(t.Users.Block(t.key("k"), "u"))
	c.ahead.Store(int64(25 * time.Hour))
	t.onceOf(func(i int) (orgstore.Result, error) {
		if i%8 == 1 {
			if _, err := t.Clean(t.Context()); err != nil {
				return orgstore.Result{}, err
			}
		}
		return t.Users.Unblock(t.key("k"), "u")
	})
}

// keyRaceOthers has callers with a key each, and the same locks: nobody waits for another in a circle.
func keyRaceOthers(t *engineTest, _ *clock) {
	a, b := t.org("a"), t.org("b")
	for _, err := range together(racers, func(i int) error {
		_, err := t.Transact(t.key(fmt.Sprint("k", i/2)), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			for _, id := range []string{a.ID, b.ID} {
				u := orgstore.OrganizationUpdate{DisplayName: new(fmt.Sprint("n", i/2))}
				if _, err := e.Organizations.Update(ctx, id, u); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	}) {
		t.ok(err)
	}
	if n := len(t.events()); n != 4+2*racers/2 {
		t.Errorf("%d events", n)
	}
}
