package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// Delete ends the organization and everything in it at once; users stay (rule ORG-5). Its name is free from then on, its id
// is never given again. Deleting one that is not there changes nothing.
//
// What belongs to it and is too much for one transaction stays behind unseen until Engine.Clean.
func (s *Organizations) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"organizations.delete", id}, func(tx *transaction) error {
		if err := tx.permit(ctx, id, "delete:organizations"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(id)}, nil); err != nil {
			return err
		}
		return deleteOrganization(ctx, tx, id, `CAST($1 AS BIGINT) > 0`)
	})
}

// deleteOrganization ends an organization whose scope is locked, if there is one that fulfills condition, in which $1 is now.
func deleteOrganization(ctx context.Context, tx *transaction, id, condition string) error {
	if !validID("org_", id) {
		return nil
	}
	o, err := scanOrganization(tx.sql.QueryRowContext(ctx, `SELECT `+organizationColumns+` FROM orgauthz_organizations o
		WHERE `+condition+` AND o.id = $2 AND o.deleted_at IS NULL`, tx.sql.clock().UnixMicro(), id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := tx.now(ctx)
	if err != nil {
		return err
	}
	if err := (&Organization{ID: id, Name: o.Name, Status: o.Status, UpdatedAt: at}).save(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET deleted_at = $2, security = '' WHERE id = $1`,
		id, at.UnixMicro()); err != nil {
		return err
	}
	for _, owned := range []string{"orgauthz_roles", "orgauthz_teams"} {
		if _, err := tx.sql.ExecContext(ctx, `UPDATE `+owned+` SET deleted_at = $2 WHERE org_id = $1 AND deleted_at IS NULL`,
			id, at.UnixMicro()); err != nil {
			return err
		}
	}
	if err := count(ctx, tx, -1); err != nil {
		return err
	}
	if _, err := cleanOrganization(ctx, tx, id, cleanBatch); err != nil {
		return err
	}
	if err := tx.raise(ctx, OrganizationScope(id), id, "organization.deleted", o, nil); err != nil {
		return err
	}
	return tx.raise(ctx, NameScope(o.Name), id, "organization.name.released", &id, nil)
}

// ScheduleDeletion ends the organization at an instant to come, or at another one than before (rule ORG-5): from then on it is as
// if deleted, whether anybody calls Engine.Clean or not. Only its name, external id and login domain are not free before Clean has
// made it a deletion.
//
// Errors: NotFound, Invalid (at is not to come).
func (s *Organizations) ScheduleDeletion(ctx context.Context, id string, at time.Time) (Result, error) {
	at = at.Truncate(time.Microsecond).UTC()
	return s.change(ctx, call{"organizations.scheduleDeletion", id, at}, "delete:organizations", id, "organization.deletion.scheduled",
		OrganizationUpdate{}, func(o *Organization) error {
			if !at.After(s.e.cfg.Clock()) {
				return &Invalid{"delete_at", "ORG-5", "must be to come"}
			}
			o.DeleteAt = at
			return nil
		})
}

// CancelDeletion takes back a scheduled deletion that has not taken effect; without one it changes nothing. Errors: NotFound.
func (s *Organizations) CancelDeletion(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"organizations.cancelDeletion", id}, "delete:organizations", id, "organization.deletion.canceled",
		OrganizationUpdate{}, func(o *Organization) error {
			o.DeleteAt = time.Time{}
			return nil
		})
}

// deleteDue makes deletions of those that are due.
func (s *Organizations) deleteDue(ctx context.Context) error {
	for {
		due, err := read(ctx, s.e, func(q queryer) ([]string, error) {
			return collect(ctx, q, `SELECT id FROM orgauthz_organizations
				WHERE deleted_at IS NULL AND delete_at <= $1 ORDER BY delete_at LIMIT 1`, []any{q.clock().UnixMicro()},
				func(row scanner) (id string, err error) { return id, row.Scan(&id) })
		})
		if err != nil || len(due) == 0 {
			return err
		}
		if _, err := s.e.mutate(ctx, nil, func(tx *transaction) error {
			if err := tx.lock(ctx, []Scope{OrganizationScope(due[0])}, nil); err != nil {
				return err
			}
			return deleteOrganization(ctx, tx, due[0], `o.delete_at <= $1`)
		}); err != nil {
			return err
		}
	}
}
