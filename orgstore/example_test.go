package orgstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func Example() {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	acme, _, err := engine.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	guide, _, err := engine.Roles.Create(ctx, orgstore.Role{Name: "guide", Permissions: []string{"read:adventures"}})
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err = engine.Users.Create(ctx, orgstore.User{ID: "auth0|emilio"}); err != nil {
		log.Fatal(err)
	}
	if _, err = engine.Members.Add(ctx, acme.ID, "auth0|emilio", orgstore.MemberOptions{Roles: []string{guide.ID}}); err != nil {
		log.Fatal(err)
	}

	access, err := engine.Resolve(ctx, orgstore.Query{Org: "acme", Principal: "auth0|emilio"})
	if err != nil {
		log.Fatal(err) // not known: refuse
	}
	fmt.Println(access.Standing, access.Member.Roles, access.Member.Has("read:adventures"))

	if _, err = engine.Members.Remove(ctx, acme.ID, "auth0|emilio"); err != nil {
		log.Fatal(err)
	}
	access, err = engine.Resolve(ctx, orgstore.Query{Org: "acme", Principal: "auth0|emilio"})
	fmt.Println(access.Standing, err)
	// Output:
	// member [guide] true
	// not_member <nil>
}

// A relay sends every event to another system. It keeps the cursor of the last one there, and begins behind it when it starts.
func ExampleEvents_Follow() {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()
	if _, _, err := engine.Users.Create(orgstore.WithActor(ctx, "auth0|root"), orgstore.User{ID: "auth0|emilio"}); err != nil {
		log.Fatal(err)
	}

	var kept string // for example in a file
	for event, err := range engine.Events.Follow(ctx, orgstore.FollowOptions{Cursor: kept}) {
		if errors.Is(err, orgstore.ErrUnavailable) {
			continue // the next one is not missed
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Type, event.Target, "by", event.Actor)
		kept = event.Cursor
		break // a relay would go on
	}
	fmt.Println(kept != "")
	// Output:
	// user.created auth0|emilio by auth0|root
	// true
}

// A product makes its customer and its organization together or not at all.
func ExampleEngine_Transact() {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	signUp := func(name string) error {
		_, err := engine.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
			org, _, err := e.Organizations.Create(ctx, orgstore.Organization{Name: name})
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO customers (org_id, plan) VALUES ($1, 'trial')`, org.ID)
			return err
		})
		return err
	}

	fmt.Println("without the table:", signUp("acme") != nil)
	_, err = engine.Organizations.GetByName(ctx, "acme")
	fmt.Println(errors.Is(err, orgstore.ErrNotFound))

	if _, err = engine.Transact(ctx, func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE customers (org_id TEXT PRIMARY KEY, plan TEXT NOT NULL)`)
		return err
	}); err != nil {
		log.Fatal(err)
	}
	fmt.Println("with the table:", signUp("acme"))
	// Output:
	// without the table: true
	// true
	// with the table: <nil>
}

func ExampleRoles_GetByName() {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer engine.Close()

	_, err = engine.Roles.GetByName(ctx, "guide")
	if missing, ok := errors.AsType[*orgstore.NotFound](err); ok {
		fmt.Println(missing.Kind, errors.Is(err, orgstore.ErrNotFound))
	}
	// Output: role true
}
