package orgstore

import (
	"context"
	"slices"
	"strconv"
)

// maxTreeDepth is how many organizations a line of a tree has at most, the uppermost and the lowest included (rule TREE-1).
const maxTreeDepth = 8

// parentState is what the event of a move shows.
type parentState struct {
	Parent string `json:"parent_id"` // empty for none
}

// SetParent moves an organization, with all those below it, below parent; an empty parent makes it the uppermost of its tree.
// It is one change of the organization moved, whatever depends on it (rule TREE-2).
//
// Errors: NotFound (organization or parent), Invalid (TREE-1: the parent is the organization itself or below it), Limit
// (organizations in one line).
func (s *Organizations) SetParent(ctx context.Context, id, parent string) (Result, error) {
	return s.e.mutate(ctx, call{"organizations.setParent", id, parent}, func(tx *transaction) error {
		// What is above the parent has to stay there while this is decided: otherwise two moves, each of them right by itself,
		// could make a cycle. The line is read, locked, and read again.
		was, err := tx.line(ctx, id)
		if err != nil {
			return err
		}
		ancestry, err := tx.line(ctx, parent)
		if err != nil {
			return err
		}
		for _, org := range slices.Compact([]string{id, above(was), parent}) {
			if org != "" || org == id {
				if err := tx.permit(ctx, org, "update:organizations"); err != nil {
					return err
				}
			}
		}
		var read []Scope
		for _, org := range ancestry {
			read = append(read, OrganizationScope(org))
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(id)}, read); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, id); err != nil {
			return err
		}
		if parent != "" {
			if _, err := organization(ctx, tx.sql, parent); err != nil {
				return &NotFound{"parent"}
			}
		}
		now, err := tx.line(ctx, id)
		if err != nil {
			return err
		}
		over, err := tx.line(ctx, parent)
		switch {
		case err != nil:
			return err
		case !slices.Equal(over, ancestry) || above(now) != above(was):
			return errMoved
		case above(now) == parent:
			return nil
		case slices.Contains(over, id):
			return &Invalid{"parent", "TREE-1", "must be neither the organization itself nor one below it"}
		}
		if parent != "" {
			height, err := tx.height(ctx, id)
			if err != nil {
				return err
			}
			if len(over)+height > maxTreeDepth {
				return &Limit{"organizations in one line", maxTreeDepth}
			}
			if err := tx.holdFrom(ctx, id, height > 1, without(over, now)); err != nil {
				return err
			}
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET parent_id = $2 WHERE id = $1`, id, parent); err != nil {
			return err
		}
		return tx.raise(ctx, OrganizationScope(id), id, "organization.parent.updated", parentState{above(now)}, parentState{parent})
	})
}

// holdFrom checks that the actor holds, in org and if need be below it, all that members of the organizations above would get there:
// who moves an organization grants that.
func (tx *transaction) holdFrom(ctx context.Context, org string, below bool, above []string) error {
	if tx.as == nil || len(above) == 0 {
		return nil
	}
	roles, err := ids(ctx, tx.sql, `
		SELECT DISTINCT r.id FROM orgauthz_member_roles mr JOIN orgauthz_roles r ON r.id = mr.role_id AND r.deleted_at IS NULL
		WHERE mr.descendants = 1 AND mr.org_id IN (`+parameters(1, len(above))+`)`, anys(above)...)
	if err == nil {
		err = tx.hold(ctx, org, roles)
	}
	if err == nil && below {
		err = tx.holdBelow(ctx, org, roles)
	}
	return err
}

// above returns the nearest organization above the first of a line; empty for none.
func above(line []string) string {
	if len(line) < 2 {
		return ""
	}
	return line[1]
}

// lineage is a CTE with the live organizations of a line, from $1 up. It ends where one has been deleted.
const lineage = `
	WITH RECURSIVE line (depth, id, parent) AS (
		SELECT 1, o.id, o.parent_id FROM orgauthz_organizations o WHERE o.id = $1 AND o.deleted_at IS NULL
		UNION ALL
		SELECT l.depth + 1, o.id, o.parent_id FROM line l
		JOIN orgauthz_organizations o ON o.id = l.parent AND o.deleted_at IS NULL WHERE l.depth < 32
	)`

// line returns the ids of an organization and those above it, upwards; none for what is no live organization.
func (tx *transaction) line(ctx context.Context, id string) ([]string, error) {
	if !validID("org_", id) {
		return nil, nil
	}
	return collect(ctx, tx.sql, lineage+` SELECT id FROM line ORDER BY depth`, []any{id},
		func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// height returns how many organizations the longest line from id downwards has, as far as it matters.
func (tx *transaction) height(ctx context.Context, id string) (height int, err error) {
	err = tx.sql.QueryRowContext(ctx, `
		WITH RECURSIVE below (depth, id) AS (
			SELECT 1, o.id FROM orgauthz_organizations o WHERE o.id = $1
			UNION ALL
			SELECT b.depth + 1, o.id FROM below b
			JOIN orgauthz_organizations o ON o.parent_id = b.id AND o.parent_id <> '' AND o.deleted_at IS NULL
			WHERE b.depth < `+strconv.Itoa(maxTreeDepth)+`
		)
		SELECT MAX(depth) FROM below`, id).Scan(&height)
	return height, err
}

// Ancestors returns the organizations above one, the nearest first; none for the uppermost of a tree. Errors: NotFound.
func (s *Organizations) Ancestors(ctx context.Context, id string) ([]*Organization, error) {
	if !validID("org_", id) {
		return nil, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) ([]*Organization, error) {
		line, err := collect(ctx, q, lineage+` SELECT `+organizationColumns+`
			FROM line l JOIN orgauthz_organizations o ON o.id = l.id ORDER BY l.depth`, []any{id}, scanOrganization)
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			return nil, &NotFound{"organization"}
		}
		return line[1:], nil
	})
}

// Children returns a page of the organizations directly below one, by id. Errors: NotFound.
func (s *Organizations) Children(ctx context.Context, id string, opts ListOptions) (Page[*Organization], error) {
	if !validID("org_", id) {
		return Page[*Organization]{}, &NotFound{"organization"}
	}
	l := listing[*Organization]{
		name: "children",
		query: `SELECT ` + organizationColumns + ` FROM orgauthz_organizations o
			WHERE o.parent_id = $1 AND o.parent_id <> '' AND o.deleted_at IS NULL`,
		args: []any{id},
		id:   "o.id",
		scan: scanOrganization,
		key:  byID(func(o *Organization) string { return o.ID }),
	}
	page, err := l.read(ctx, s.e, opts)
	if err == nil && len(page.Items) == 0 {
		_, err = s.Get(ctx, id)
	}
	return page, err
}
