package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"time"
)

// Organization is one customer organization.
type Organization struct {
	ID          string             `json:"id"`   // "org_" and 16 alphanumerics; never given again (rule ORG-5)
	Name        string             `json:"name"` // rule ORG-1; unique in the store
	DisplayName string             `json:"display_name,omitempty"`
	Status      OrganizationStatus `json:"status"`
	Metadata    map[string]string  `json:"metadata,omitempty"` // nil when there is none
	CreatedAt   time.Time          `json:"created_at"`         // UTC
	UpdatedAt   time.Time          `json:"updated_at"`         // UTC; members do not count
}

// OrganizationUpdate says what to change of an organization. What is nil stays as it is.
type OrganizationUpdate struct {
	Name        *string
	DisplayName *string            // "" clears it
	Metadata    map[string]*string // sets these keys; a nil value removes its key; other keys stay
}

// Organizations are the organizations of an Engine.
type Organizations struct{ e *Engine }

const organizationColumns = `o.id, o.name, o.display_name, o.status, o.metadata, o.created_at, o.updated_at`

func scanOrganization(row scanner) (*Organization, error) {
	var o Organization
	return &o, row.Scan(o.columns()...)
}

// columns are where a row of organizationColumns goes.
func (o *Organization) columns() []any {
	return []any{&o.ID, &o.Name, &o.DisplayName, &o.Status, pairs{&o.Metadata}, instant{&o.CreatedAt}, instant{&o.UpdatedAt}}
}

// organization reads a live organization.
func organization(ctx context.Context, q queryer, id string) (*Organization, error) {
	if !validID("org_", id) {
		return nil, &NotFound{"organization"}
	}
	return one(scanOrganization(q.QueryRowContext(ctx,
		`SELECT `+organizationColumns+` FROM orgauthz_organizations o WHERE o.id = $1 AND o.deleted_at IS NULL`, id)))("organization")
}

// one turns the absence of a row into a NotFound.
func one[T any](v *T, err error) func(kind string) (*T, error) {
	return func(kind string) (*T, error) {
		if errors.Is(err, sql.ErrNoRows) {
			return nil, &NotFound{kind}
		}
		return v, err
	}
}

// Create makes an organization of o, whose Name must be given. ID is generated when empty; a given one must never have been
// used in this store. Status is active when empty. The times of o are ignored.
//
// Errors: Invalid (ORG-1, ORG-3), Conflict (id or name taken), Limit (organizations, metadata pairs).
func (s *Organizations) Create(ctx context.Context, o Organization) (*Organization, Result, error) {
	given := o
	if o.ID == "" {
		o.ID = newID("org_")
	}
	if o.Status == "" {
		o.Status = OrganizationActive
	}
	o.Metadata = emptyToNil(maps.Clone(o.Metadata))
	err := errors.Join(checkID("org_", o.ID), checkName(o.Name), checkText("display_name", "ORG-3", o.DisplayName, maxDisplayName),
		checkMetadata(o.Metadata, s.e.cfg.Limits.Metadata))
	if o.Status != OrganizationActive && o.Status != OrganizationSuspended {
		err = errors.Join(err, &Invalid{"status", "ORG-6", "must be active or suspended"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	metadata, err := encodeMetadata(o.Metadata)
	if err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"organizations.create", given}, &o, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{OrganizationScope(o.ID), NameScope(o.Name)}, nil); err != nil {
			return err
		}
		var taken int
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organizations WHERE id = $1`,
			o.ID).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return &Conflict{"organization", "id"}
		}
		if err := nameIsFree(ctx, tx, o.Name); err != nil {
			return err
		}
		if err := count(ctx, tx, 1); err != nil {
			return err
		}
		if o.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		o.UpdatedAt = o.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_organizations (id, name, display_name, status, metadata, members, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, 0, $6, $6)`,
			o.ID, o.Name, o.DisplayName, string(o.Status), metadata, o.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, OrganizationScope(o.ID), o.ID, "organization.created", nil, &o); err != nil {
			return err
		}
		return tx.raise(ctx, NameScope(o.Name), o.ID, "organization.name.assigned", nil, &o.ID)
	})
}

// count adds n to the number of organizations, under the lock of the row that holds it.
func count(ctx context.Context, tx *transaction, n int) error {
	var organizations int
	if err := tx.sql.QueryRowContext(ctx, `
		UPDATE orgauthz_meta SET organizations = organizations + $1 WHERE id = 1 RETURNING organizations`,
		n).Scan(&organizations); err != nil {
		return err
	}
	if limit := tx.cfg.Limits.Organizations; n > 0 && organizations > limit {
		return &Limit{"organizations", limit}
	}
	return nil
}

func nameIsFree(ctx context.Context, tx *transaction, name string) error {
	var taken int
	err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_organizations WHERE name = $1 AND deleted_at IS NULL`,
		name).Scan(&taken)
	if err == nil && taken > 0 {
		return &Conflict{"organization", "name"}
	}
	return err
}

// Get returns the organization with this id. Errors: NotFound.
func (s *Organizations) Get(ctx context.Context, id string) (*Organization, error) {
	return read(ctx, s.e, func(q queryer) (*Organization, error) { return organization(ctx, q, id) })
}

// GetByName returns the organization that has this name now, upper case read as lower case (rule ORG-1). Errors: NotFound.
func (s *Organizations) GetByName(ctx context.Context, name string) (*Organization, error) {
	name, ok := nameOf(name)
	if !ok {
		return nil, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (*Organization, error) {
		return one(scanOrganization(q.QueryRowContext(ctx,
			`SELECT `+organizationColumns+` FROM orgauthz_organizations o WHERE o.name = $1 AND o.deleted_at IS NULL`, name)))("organization")
	})
}

var organizationList = listing[*Organization]{
	name:  "organizations",
	query: `SELECT ` + organizationColumns + ` FROM orgauthz_organizations o WHERE o.deleted_at IS NULL`,
	id:    "o.id",
	sorts: map[Sort]string{SortName: "o.name", SortCreated: "o.created_at"},
	scan:  scanOrganization,
	key: func(o *Organization, by Sort) (any, string) {
		if by == SortName {
			return o.Name, o.ID
		}
		return o.CreatedAt.UnixMicro(), o.ID
	},
}

// List returns a page of the organizations, by id, name or created_at.
func (s *Organizations) List(ctx context.Context, opts ListOptions) (Page[*Organization], error) {
	return organizationList.read(ctx, s.e, opts)
}

// Update changes what u names. A rename frees the old name at once (rule ORG-2).
//
// Errors: NotFound, Invalid (ORG-1, ORG-3), Conflict (name taken), Limit (metadata pairs).
func (s *Organizations) Update(ctx context.Context, id string, u OrganizationUpdate) (Result, error) {
	return s.change(ctx, call{"organizations.update", id, u}, id, "organization.updated", u.Name, func(o *Organization) error {
		if u.Name != nil {
			o.Name = *u.Name
		}
		if u.DisplayName != nil {
			o.DisplayName = *u.DisplayName
		}
		o.Metadata = patched(o.Metadata, u.Metadata)
		return errors.Join(checkName(o.Name), checkText("display_name", "ORG-3", o.DisplayName, maxDisplayName),
			checkMetadata(o.Metadata, s.e.cfg.Limits.Metadata))
	})
}

// Suspend keeps everything of the organization and refuses every access to it (rule ORG-6). Errors: NotFound.
func (s *Organizations) Suspend(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"organizations.suspend", id}, id, "organization.suspended", nil, func(o *Organization) error {
		o.Status = OrganizationSuspended
		return nil
	})
}

// Resume ends a suspension: everything is as it was. Errors: NotFound.
func (s *Organizations) Resume(ctx context.Context, id string) (Result, error) {
	return s.change(ctx, call{"organizations.resume", id}, id, "organization.resumed", nil, func(o *Organization) error {
		o.Status = OrganizationActive
		return nil
	})
}

// change applies edit to an organization; what is as before is no change (rule ORG-4). newName is the name that edit may
// give, nil for none.
func (s *Organizations) change(ctx context.Context, c call, id, eventType string, newName *string,
	edit func(*Organization) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		scopes := []Scope{OrganizationScope(id)}
		if newName != nil {
			if err := checkName(*newName); err != nil {
				return err
			}
			// The old name's scope needs no lock: only who holds the organization's can free it.
			scopes = append(scopes, NameScope(*newName))
		}
		if err := tx.lock(ctx, scopes, nil); err != nil {
			return err
		}
		before, err := organization(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		o := *before
		if err := edit(&o); err != nil {
			return err
		}
		if o.Name == before.Name && o.DisplayName == before.DisplayName && o.Status == before.Status &&
			maps.Equal(o.Metadata, before.Metadata) {
			return nil
		}
		if o.Name != before.Name {
			if err := nameIsFree(ctx, tx, o.Name); err != nil {
				return err
			}
		}
		if o.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		metadata, err := encodeMetadata(o.Metadata)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_organizations SET name = $2, display_name = $3, status = $4, metadata = $5, updated_at = $6
			WHERE id = $1`,
			id, o.Name, o.DisplayName, string(o.Status), metadata, o.UpdatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, OrganizationScope(id), id, eventType, before, &o); err != nil {
			return err
		}
		if o.Name == before.Name {
			return nil
		}
		if err := tx.raise(ctx, NameScope(before.Name), id, "organization.name.released", &id, nil); err != nil {
			return err
		}
		return tx.raise(ctx, NameScope(o.Name), id, "organization.name.assigned", nil, &id)
	})
}

// Delete ends the organization and everything in it at once; users stay (rule ORG-5). Its name is free from then on, its id
// is never given again. Deleting one that is not there changes nothing.
//
// What belongs to it and is too much for one transaction stays behind unseen until Engine.Clean.
func (s *Organizations) Delete(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"organizations.delete", id}, func(tx *transaction) error {
		if err := tx.lock(ctx, []Scope{OrganizationScope(id)}, nil); err != nil {
			return err
		}
		o, err := organization(ctx, tx.sql, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			UPDATE orgauthz_organizations SET display_name = '', metadata = '{}', updated_at = $2, deleted_at = $2
			WHERE id = $1`, id, at.UnixMicro()); err != nil {
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
	})
}
