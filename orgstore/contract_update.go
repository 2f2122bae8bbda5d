package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"time"
)

// ContractUpdate says what to change of a contract. What is nil stays as it is.
type ContractUpdate struct {
	Name          *string
	Kinds         *[]string // empty for employee alone
	Team          *string   // "" for any, as in the next three
	Role          *string
	MetadataKey   *string
	MetadataValue *string
	Roles         *[]string
	Shares        *[]Share
	From          *time.Time // the zero time for at once
	Until         *time.Time // the zero time for until it is ended
}

func (u *ContractUpdate) apply(t *ContractTerms) {
	set(&t.Name, u.Name)
	set(&t.Kinds, u.Kinds)
	set(&t.Team, u.Team)
	set(&t.Role, u.Role)
	set(&t.MetadataKey, u.MetadataKey)
	set(&t.MetadataValue, u.MetadataValue)
	set(&t.Roles, u.Roles)
	set(&t.Shares, u.Shares)
	set(&t.From, u.From)
	set(&t.Until, u.Until)
}

// Update changes the terms that u names, for everybody whom the contract admits.
//
// Errors: NotFound (contract, organization, role or team), Invalid (CTR-1, CTR-2; CTR-3: it has ended), Limit (roles per member,
// shares of a contract).
func (s *Contracts) Update(ctx context.Context, id string, u ContractUpdate) (Result, error) {
	return s.e.mutate(ctx, call{"contracts.update", id, u}, func(tx *transaction) error {
		// Its organizations never change, but what it shares may, before it is locked.
		first, err := contract(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		relied := *first
		u.apply(&relied.ContractTerms)
		if len(relied.Roles) > tx.cfg.Limits.RolesPerMember {
			return &Limit{"roles per member", tx.cfg.Limits.RolesPerMember}
		}
		if len(relied.Shares) == 0 {
			relied.Shares = first.Shares
		}
		if err := s.begin(ctx, tx, &relied, "update:contracts"); err != nil {
			return err
		}
		before, err := contract(ctx, tx.sql, id)
		switch {
		case err != nil:
			return err
		case !before.EndedAt.IsZero():
			return &Invalid{"contract", "CTR-3", "must not have ended"}
		case !reflect.DeepEqual(first, before):
			return errMoved
		}
		c := *before
		u.apply(&c.ContractTerms)
		if err := c.check(tx.cfg.Limits.RolesPerMember); err != nil {
			return err
		}
		if reflect.DeepEqual(before.ContractTerms, c.ContractTerms) {
			return nil
		}
		if err := c.checkTerms(ctx, tx, before); err != nil {
			return err
		}
		if c.UpdatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		if err := c.write(ctx, tx, before.Roles); err != nil {
			return err
		}
		return tx.raise(ctx, ContractScope(id), c.Host, "contract.updated", before, &c)
	})
}

// End ends a contract at once and for good: it admits nobody any more. Ending it again changes nothing. Errors: NotFound
// (contract).
func (s *Contracts) End(ctx context.Context, id string) (Result, error) {
	return s.e.mutate(ctx, call{"contracts.end", id}, func(tx *transaction) error {
		first, err := contract(ctx, tx.sql, id)
		if err != nil {
			return err
		}
		// Either side can end it.
		if err := tx.permit(ctx, first.Host, "delete:contracts"); err != nil {
			if !errors.Is(err, ErrDenied) {
				return err
			}
			if err := tx.permit(ctx, first.Guest, "delete:contracts"); err != nil {
				return err
			}
		}
		if err := tx.lock(ctx, []Scope{ContractsScope(first.Host), ContractScope(id)}, nil); err != nil {
			return err
		}
		before, err := contract(ctx, tx.sql, id)
		if err != nil || !before.EndedAt.IsZero() {
			return err
		}
		c := *before
		if c.EndedAt, err = tx.now(ctx); err != nil {
			return err
		}
		c.UpdatedAt = c.EndedAt
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_contracts SET ended_at = $2, updated_at = $2 WHERE id = $1`,
			id, c.EndedAt.UnixMicro()); err != nil {
			return err
		}
		if err := tx.raise(ctx, ContractsScope(c.Host), c.Host, "organization.contract.deleted", &id, nil); err != nil {
			return err
		}
		return tx.raise(ctx, ContractScope(id), c.Host, "contract.ended", before, &c)
	})
}

// liveContracts leaves out those of organizations that have been deleted, which have ended with them.
const liveContracts = `
	SELECT c.id, c.host_id, c.guest_id, c.name, c.kinds, c.team_id, c.role_id, c.metadata_key, c.metadata_value, c.shares,
		c.from_at, c.until_at, c.ended_at, c.created_at, c.updated_at
	FROM orgauthz_contracts c
	JOIN orgauthz_organizations h ON h.id = c.host_id AND h.deleted_at IS NULL
	JOIN orgauthz_organizations g ON g.id = c.guest_id AND g.deleted_at IS NULL`

// contracts reads contracts with their roles. rows is a query of liveContracts.
func contracts(ctx context.Context, q queryer, rows string, args []any, descending bool) ([]*Contract, error) {
	order := ""
	if descending {
		order = " DESC"
	}
	var found []*Contract
	_, err := collect(ctx, q, `
		SELECT c.id, c.host_id, c.guest_id, c.name, c.kinds, c.team_id, c.role_id, c.metadata_key, c.metadata_value, c.shares,
			c.from_at, c.until_at, c.ended_at, c.created_at, c.updated_at, COALESCE(r.id, '')
		FROM (`+rows+`) c
		LEFT JOIN orgauthz_contract_roles cr ON cr.contract_id = c.id
		LEFT JOIN orgauthz_roles r ON r.id = cr.role_id AND r.deleted_at IS NULL
		ORDER BY c.id`+order+`, r.id`,
		args,
		func(row scanner) (struct{}, error) {
			var c Contract
			var kinds, shares, role string
			if err := row.Scan(&c.ID, &c.Host, &c.Guest, &c.Name, &kinds, &c.Team, &c.Role, &c.MetadataKey, &c.MetadataValue, &shares,
				instant{&c.From}, instant{&c.Until}, instant{&c.EndedAt}, instant{&c.CreatedAt}, instant{&c.UpdatedAt}, &role); err != nil {
				return struct{}{}, err
			}
			last := &c
			if n := len(found); n > 0 && found[n-1].ID == c.ID {
				last = found[n-1]
			} else {
				found = append(found, last)
				if err := json.Unmarshal([]byte(shares), &c.Shares); err != nil {
					return struct{}{}, err
				}
				c.Kinds = strings.Fields(kinds)
			}
			if role != "" {
				last.Roles = append(last.Roles, role)
			}
			return struct{}{}, nil
		})
	return found, err
}

func contract(ctx context.Context, q queryer, id string) (*Contract, error) {
	if !validID("ctr_", id) {
		return nil, &NotFound{"contract"}
	}
	found, err := contracts(ctx, q, liveContracts+` WHERE c.id = $1`, []any{id}, false)
	if err == nil && len(found) == 0 {
		err = &NotFound{"contract"}
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Get returns the contract with this id, also when it has ended. Errors: NotFound.
func (s *Contracts) Get(ctx context.Context, id string) (*Contract, error) {
	return read(ctx, s.e, func(q queryer) (*Contract, error) { return contract(ctx, q, id) })
}

// ListByHost returns a page of the contracts that admit members of others into an organization, by id, those that have ended
// included. Errors: NotFound (organization).
func (s *Contracts) ListByHost(ctx context.Context, org string, opts ListOptions) (Page[*Contract], error) {
	return s.list(ctx, "contracts of a host", `c.host_id`, org, opts)
}

// ListByGuest returns a page of the contracts that admit an organization's members into others, as ListByHost.
func (s *Contracts) ListByGuest(ctx context.Context, org string, opts ListOptions) (Page[*Contract], error) {
	return s.list(ctx, "contracts of a guest", `c.guest_id`, org, opts)
}

func (s *Contracts) list(ctx context.Context, name, column, org string, opts ListOptions) (Page[*Contract], error) {
	l := listing[*Contract]{
		name:  name,
		query: liveContracts + ` WHERE ` + column + ` = $1`,
		args:  []any{org},
		id:    "c.id",
		key:   byID(func(c *Contract) string { return c.ID }),
	}
	text, args, limit, err := l.page(opts)
	if err != nil {
		return Page[*Contract]{}, err
	}
	if !validID("org_", org) {
		return Page[*Contract]{}, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Contract], err error) {
		page.Items, err = contracts(ctx, q, text, args, opts.Descending)
		if err == nil && len(page.Items) == 0 {
			_, err = organization(ctx, q, org)
		}
		if err == nil && opts.Total {
			err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+l.query+`) listed`, org).Scan(&page.Total)
		}
		l.cut(&page, limit, opts)
		return page, err
	})
}
