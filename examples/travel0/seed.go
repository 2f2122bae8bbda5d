package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The organizations have fixed ids, because an organization's own policy lies in a folder that ends with its id.
const (
	graniteID    = "org_GraniteOutpost01"
	adventurezID = "org_AdventureZ000001"
	rockyID      = "org_RockyMountain001"
)

const (
	staff     = "staff"
	freelance = "freelance"
)

var organizations = []struct{ id, name, displayName string }{
	{graniteID, "granite-outpost", "Granite Outpost"},
	{adventurezID, "adventurez", "AdventureZ"},
	{rockyID, "rocky-mountain-high", "Rocky Mountain High"},
}

var roles = []struct {
	name        string
	permissions []string
}{
	{"admin", []string{"read:adventures", "create:adventures", "read:ratings", "read:members", "create:members", "delete:members"}},
	{"manager", []string{"read:adventures", "create:adventures", "read:ratings", "read:members"}},
	{"guide", []string{"read:adventures", "create:signups", "read:ratings"}},
}

var memberships = []struct{ user, org, role, employment string }{
	{"jonno", rockyID, "guide", staff},
	{"hiroko", graniteID, "guide", staff},
	{"emilio", graniteID, "guide", freelance},
	{"emilio", rockyID, "guide", freelance},
	{"sumana", adventurezID, "guide", staff},
	{"sumana", rockyID, "guide", freelance},
	{"granite-admin", graniteID, "admin", staff},
	{"granite-manager", graniteID, "manager", staff},
	{"adventurez-admin", adventurezID, "admin", staff},
	{"adventurez-manager", adventurezID, "manager", staff},
	{"rocky-admin", rockyID, "admin", staff},
	{"rocky-manager", rockyID, "manager", staff},
}

var adventures = []struct {
	org string
	adventure
}{
	{graniteID, adventure{ID: "ridge-traverse", Name: "Ridge traverse"}},
	{graniteID, adventure{ID: "quarry-night-climb", Name: "Quarry night climb", StaffOnly: true}},
	{adventurezID, adventure{ID: "canyon-zip-line", Name: "Canyon zip line"}},
	{adventurezID, adventure{ID: "white-water-rafting", Name: "White water rafting"}},
	{rockyID, adventure{ID: "alpine-lakes-loop", Name: "Alpine lakes loop"}},
	{rockyID, adventure{ID: "sunrise-summit", Name: "Sunrise summit"}},
}

var ratings = []struct {
	org, guide string
	stars      []int
}{
	{rockyID, "jonno", []int{5, 4}},
	{graniteID, "hiroko", []int{5, 5, 4}},
	{graniteID, "emilio", []int{3, 4}},
	{rockyID, "emilio", []int{5}},
	{adventurezID, "sumana", []int{5, 4}},
	{rockyID, "sumana", []int{4}},
}

// sharing lists the contracts under which two organizations read each other's ratings.
var sharing = [][2]string{{adventurezID, rockyID}}

// seed fills a database that was never seeded, in one transaction, and leaves any other as it is. It may run in several
// instances at once: the first to commit seeds. All of them get the same name for the database, which no other one has.
//
// On PostgreSQL, instances that make the tables at the same moment collide in spite of IF NOT EXISTS, and try again.
func seed(ctx context.Context, engine *orgstore.Engine) (database string, err error) {
	for range 5 {
		if database, err = seedOnce(ctx, engine); err == nil {
			return database, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return "", fmt.Errorf("seeding the database: %w", err)
}

func seedOnce(ctx context.Context, engine *orgstore.Engine) (database string, err error) {
	_, err = engine.Transact(ctx, func(ctx context.Context, tx *sql.Tx, e *orgstore.Engine) error {
		if _, err := tx.ExecContext(ctx, schema); err != nil {
			return err
		}
		database = strings.ToLower(rand.Text())
		res, err := tx.ExecContext(ctx, `INSERT INTO travel0_seeded (once, database) VALUES (1, $1) ON CONFLICT DO NOTHING`, database)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return tx.QueryRowContext(ctx, `SELECT database FROM travel0_seeded`).Scan(&database)
		}
		if err := seedOrganizations(ctx, e); err != nil {
			return err
		}
		return seedCatalog(ctx, tx)
	})
	return database, err
}

func seedOrganizations(ctx context.Context, e *orgstore.Engine) error {
	for _, o := range organizations {
		if _, _, err := e.Organizations.Create(ctx, orgstore.Organization{ID: o.id, Name: o.name, DisplayName: o.displayName}); err != nil {
			return err
		}
	}
	roleIDs := map[string]string{}
	for _, r := range roles {
		role, _, err := e.Roles.Create(ctx, orgstore.Role{Name: r.name, Permissions: r.permissions})
		if err != nil {
			return err
		}
		roleIDs[r.name] = role.ID
	}
	users := map[string]bool{}
	for _, m := range memberships {
		if !users[m.user] {
			users[m.user] = true
			if _, _, err := e.Users.Create(ctx, orgstore.User{ID: m.user}); err != nil {
				return err
			}
		}
		_, err := e.Members.Add(ctx, m.org, m.user, orgstore.MemberOptions{
			Roles: []string{roleIDs[m.role]}, Metadata: employment(m.employment),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func seedCatalog(ctx context.Context, tx *sql.Tx) error {
	for _, a := range adventures {
		if err := insertAdventure(ctx, tx, a.org, a.adventure); err != nil {
			return err
		}
	}
	for _, r := range ratings {
		for _, stars := range r.stars {
			_, err := tx.ExecContext(ctx, `INSERT INTO travel0_ratings (org, guide, stars) VALUES ($1, $2, $3)`, r.org, r.guide, stars)
			if err != nil {
				return err
			}
		}
	}
	for _, pair := range sharing {
		_, err := tx.ExecContext(ctx, `INSERT INTO travel0_sharing (org, partner) VALUES ($1, $2), ($2, $1)`, pair[0], pair[1])
		if err != nil {
			return err
		}
	}
	return nil
}

// employment is the member metadata that policies tell staff and freelancers apart by.
func employment(kind string) map[string]string { return map[string]string{"employment": kind} }
