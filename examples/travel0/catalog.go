package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
)

// schema holds the product's own tables. They lie beside the engine's in the same database, so that one transaction can
// change both.
const schema = `
CREATE TABLE IF NOT EXISTS travel0_seed (
	once     INTEGER PRIMARY KEY CHECK (once = 1),
	version  INTEGER NOT NULL,
	database TEXT NOT NULL -- tells this database from others
);
CREATE TABLE IF NOT EXISTS travel0_adventures (
	org        TEXT NOT NULL,
	id         TEXT NOT NULL,
	name       TEXT NOT NULL,
	staff_only BOOLEAN NOT NULL,
	PRIMARY KEY (org, id)
);
CREATE TABLE IF NOT EXISTS travel0_signups (
	org       TEXT NOT NULL,
	adventure TEXT NOT NULL,
	guide     TEXT NOT NULL,
	PRIMARY KEY (org, adventure, guide)
);
CREATE TABLE IF NOT EXISTS travel0_ratings (
	org   TEXT NOT NULL,
	guide TEXT NOT NULL,
	stars INTEGER NOT NULL CHECK (stars BETWEEN 1 AND 5)
);
CREATE INDEX IF NOT EXISTS travel0_ratings_of ON travel0_ratings (guide, org);`

// catalog is the product's data: adventures, sign-ups and ratings, each belonging to one organization.
type catalog struct{ engine *orgstore.Engine }

type adventure struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	StaffOnly bool   `json:"staff_only"`
}

type rating struct {
	Org   string `json:"org"` // organization id
	Stars int    `json:"stars"`
}

func (c catalog) adventures(ctx context.Context, org string) ([]adventure, error) {
	list := []adventure{}
	err := c.engine.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id, name, staff_only FROM travel0_adventures WHERE org = $1 ORDER BY id`, org)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a adventure
			if err := rows.Scan(&a.ID, &a.Name, &a.StaffOnly); err != nil {
				return err
			}
			list = append(list, a)
		}
		return rows.Err()
	})
	return list, err
}

// adventure returns one adventure of org, or middleware.ErrResourceNotFound.
func (c catalog) adventure(ctx context.Context, org, id string) (adventure, error) {
	a := adventure{ID: id}
	err := c.engine.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT name, staff_only FROM travel0_adventures WHERE org = $1 AND id = $2`, org, id).
			Scan(&a.Name, &a.StaffOnly)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return a, middleware.ErrResourceNotFound
	}
	return a, err
}

func (c catalog) createAdventure(ctx context.Context, org, name string, staffOnly bool) (adventure, error) {
	a := adventure{ID: "adv_" + rand.Text()[:16], Name: name, StaffOnly: staffOnly}
	return a, c.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return insertAdventure(ctx, tx, org, a) })
}

func insertAdventure(ctx context.Context, tx *sql.Tx, org string, a adventure) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO travel0_adventures (org, id, name, staff_only) VALUES ($1, $2, $3, $4)`,
		org, a.ID, a.Name, a.StaffOnly)
	return err
}

// signUp signs guide up for one adventure, once however often it is called, and returns how many guides are signed up.
func (c catalog) signUp(ctx context.Context, org, adventure, guide string) (count int, err error) {
	err = c.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx,
			`INSERT INTO travel0_signups (org, adventure, guide) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, org, adventure, guide)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM travel0_signups WHERE org = $1 AND adventure = $2`, org, adventure).
			Scan(&count)
	})
	return count, err
}

// ratings returns the ratings that one guide has in these organizations.
func (c catalog) ratings(ctx context.Context, guide string, orgs []string) ([]rating, error) {
	list := []rating{}
	err := c.engine.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT org, stars FROM travel0_ratings WHERE guide = $1 ORDER BY org, stars`, guide)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r rating
			if err := rows.Scan(&r.Org, &r.Stars); err != nil {
				return err
			}
			if slices.Contains(orgs, r.Org) {
				list = append(list, r)
			}
		}
		return rows.Err()
	})
	return list, err
}

func (c catalog) rate(ctx context.Context, org, guide string, stars int64) error {
	return c.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return insertRating(ctx, tx, org, guide, stars) })
}

func insertRating(ctx context.Context, tx *sql.Tx, org, guide string, stars int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO travel0_ratings (org, guide, stars) VALUES ($1, $2, $3)`, org, guide, stars)
	return err
}

// write runs f in a transaction of the engine, which owns the one connection that may write.
func (c catalog) write(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	_, err := c.engine.Transact(ctx, func(ctx context.Context, tx *sql.Tx, _ *orgstore.Engine) error { return f(ctx, tx) })
	if err != nil {
		return fmt.Errorf("travel0: %w", err)
	}
	return nil
}
