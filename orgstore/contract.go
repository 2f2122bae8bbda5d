package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// Contract admits members of one organization, the guest, into another, the host, with the contract's roles and no others. It
// admits nobody any more when it has ended, or while the guest or the membership there is suspended (rules CTR-1 to CTR-4).
type Contract struct {
	ID    string `json:"id"`    // "ctr_" and 16 alphanumerics; never given again
	Host  string `json:"host"`  // id of the organization that admits
	Guest string `json:"guest"` // id of the organization whose members are admitted
	ContractTerms
	EndedAt   time.Time `json:"ended_at,omitzero"` // UTC; when End was called
	CreatedAt time.Time `json:"created_at"`        // UTC
	UpdatedAt time.Time `json:"updated_at"`        // UTC
}

// ContractTerms say whom a contract admits, with what, and when. Of the conditions, all that are given must be met.
type ContractTerms struct {
	Name          string    `json:"name,omitempty"`           // at most 255 characters
	Kinds         []string  `json:"kinds"`                    // kinds of members of the guest; default employee alone
	Team          string    `json:"team,omitempty"`           // id of a team of the guest: its members, and those of teams below
	Role          string    `json:"role,omitempty"`           // id of a role that is held in the guest
	MetadataKey   string    `json:"metadata_key,omitempty"`   // of the membership in the guest
	MetadataValue string    `json:"metadata_value,omitempty"` // what MetadataKey must be
	Roles         []string  `json:"roles"`                    // ids of roles, of the host or of the tenant, that count in the host
	Shares        []Share   `json:"shares,omitempty"`
	From          time.Time `json:"from,omitzero"`  // UTC; zero for at once
	Until         time.Time `json:"until,omitzero"` // UTC; zero for until it is ended
}

// Share is data that two organizations share under a contract, for policies and applications to act by (rule CTR-2).
type Share struct {
	Name      string         `json:"name"` // 1 to 100 printable characters, for example ratings; each once
	Direction ShareDirection `json:"direction"`
	Until     time.Time      `json:"until,omitzero"` // UTC; zero for as long as the contract
}

// ShareDirection says who sees whose data.
type ShareDirection string

// The directions of a Share.
const (
	ShareBoth    ShareDirection = "both"
	ShareToHost  ShareDirection = "to_host"  // the host sees the guest's
	ShareToGuest ShareDirection = "to_guest" // the guest sees the host's
)

// Contracts admit members of one organization into another.
type Contracts struct{ e *Engine }

// maxShares is how much one contract shares at most.
const maxShares = 50

// check checks t, and puts its lists in order.
func (t *ContractTerms) check(roles int) error {
	t.Kinds, t.Roles = unique(t.Kinds), unique(t.Roles)
	if t.Kinds == nil {
		t.Kinds = []string{"employee"}
	}
	t.From, t.Until = micro(t.From), micro(t.Until)
	err := checkText("name", "CTR-1", t.Name, maxDisplayName)
	bad := func(field, rule, text string) { err = errors.Join(err, &Invalid{field, rule, text}) }
	if len(without(t.Kinds, memberKinds)) > 0 {
		bad("kinds", "CTR-1", "must be among employee, freelancer, guest and other")
	}
	if !validMetadata(t.MetadataKey) || !validMetadata(t.MetadataValue) || t.MetadataKey == "" && t.MetadataValue != "" {
		bad("metadata_key", "CTR-1", "must be a key of at most 255 characters, if there is a value, which has at most as many")
	}
	if !t.From.IsZero() && !t.Until.IsZero() && !t.From.Before(t.Until) {
		bad("until", "CTR-1", "must be later than from")
	}
	if !storable(t.From) || !storable(t.Until) {
		bad("from", "CTR-1", "and until must be between the years 1970 and 9999")
	}
	if len(t.Roles) > roles {
		err = errors.Join(err, &Limit{"roles per member", roles})
	}
	t.Shares = slices.Clone(t.Shares)
	names := map[string]bool{}
	for i := range t.Shares {
		s := &t.Shares[i]
		s.Until = micro(s.Until)
		if !validRoleName(s.Name) || names[s.Name] || !storable(s.Until) ||
			!slices.Contains([]ShareDirection{ShareBoth, ShareToHost, ShareToGuest}, s.Direction) {
			bad("shares", "CTR-2", "must have names of 1 to 100 printable characters, each once, and the direction both, to_host or to_guest")
			break
		}
		names[s.Name] = true
	}
	if len(t.Shares) > maxShares {
		err = errors.Join(err, &Limit{"shares of a contract", maxShares})
	}
	return err
}

// micro is t as it is stored.
func micro(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Truncate(time.Microsecond).UTC()
}

// storable reports whether t can stand in a column where 0 is none, and in JSON.
func storable(t time.Time) bool {
	return t.IsZero() || t.UnixMicro() > 0 && t.Year() <= 9999
}

// Create makes a contract of c, whose Host and Guest must be given. ID is generated when empty; the other times than From and
// Until are ignored.
//
// Errors: NotFound (organization, role or team), Invalid (CTR-1, CTR-2), Conflict (id taken), Limit (contracts, roles per member,
// shares of a contract).
func (s *Contracts) Create(ctx context.Context, c Contract) (*Contract, Result, error) {
	return s.create(ctx, c, &Contract{})
}

// create is Create. What the terms of before name need not be there.
func (s *Contracts) create(ctx context.Context, c Contract, before *Contract) (*Contract, Result, error) {
	given := c
	if c.ID == "" {
		c.ID = newID("ctr_")
	}
	c.EndedAt = time.Time{}
	err := errors.Join(checkID("ctr_", c.ID), c.check(s.e.cfg.Limits.RolesPerMember))
	if c.Host == c.Guest {
		err = errors.Join(err, &Invalid{"guest", "CTR-1", "must be another organization than the host"})
	}
	if err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"contracts.create", given}, &c, func(tx *transaction) error {
		if err := s.begin(ctx, tx, &c, "create:contracts", ContractsScope(c.Host)); err != nil {
			return err
		}
		var taken, live int
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_contracts WHERE id = $1`, c.ID).Scan(&taken); err != nil {
			return err
		}
		if taken > 0 {
			return &Conflict{"contract", "id"}
		}
		if err := c.checkTerms(ctx, tx, before); err != nil {
			return err
		}
		if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_contracts WHERE host_id = $1 AND ended_at IS NULL`,
			c.Host).Scan(&live); err != nil {
			return err
		}
		if limit := tx.cfg.Limits.Contracts; live >= limit {
			return &Limit{"contracts", limit}
		}
		if c.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		c.UpdatedAt = c.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_contracts (id, host_id, guest_id, name, kinds, team_id, role_id, metadata_key, metadata_value, shares,
				created_at, updated_at)
			VALUES ($1, $2, $3, '', '', '', '', '', '', '', $4, $4)`, c.ID, c.Host, c.Guest, c.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		if err := c.write(ctx, tx, nil); err != nil {
			return err
		}
		if err := tx.raise(ctx, ContractsScope(c.Host), c.Host, "organization.contract.added", nil, &c.ID); err != nil {
			return err
		}
		return tx.raise(ctx, ContractScope(c.ID), c.Host, "contract.created", nil, &c)
	})
}

// begin permits an operation on a contract of c's organizations, and locks what it changes and what the terms of c name. Who
// shares the data of the guest, or ends that, needs the permission there as well.
func (s *Contracts) begin(ctx context.Context, tx *transaction, c *Contract, permission string, write ...Scope) error {
	if err := tx.permit(ctx, c.Host, permission); err != nil {
		return err
	}
	if len(c.Shares) > 0 {
		if err := tx.permit(ctx, c.Guest, permission); err != nil {
			return err
		}
	}
	read := []Scope{OrganizationScope(c.Host), OrganizationScope(c.Guest)}
	for _, id := range c.Roles {
		read = append(read, RoleScope(id))
	}
	if c.Role != "" {
		read = append(read, RoleScope(c.Role))
	}
	if c.Team != "" {
		read = append(read, TeamScope(c.Team))
	}
	if err := tx.lock(ctx, append(write, ContractScope(c.ID)), read); err != nil {
		return err
	}
	for _, org := range []string{c.Host, c.Guest} {
		if _, err := organization(ctx, tx.sql, org); err != nil {
			return err
		}
	}
	return nil
}

// checkTerms checks that what the terms name, and those of before did not, is there, and that the actor may grant the roles.
func (c *Contract) checkTerms(ctx context.Context, tx *transaction, before *Contract) error {
	added := without(c.Roles, before.Roles)
	for _, id := range added {
		if err := checkRoleIn(ctx, tx.sql, c.Host, id); err != nil {
			return err
		}
	}
	if c.Role != "" && c.Role != before.Role {
		if err := checkRoleIn(ctx, tx.sql, c.Guest, c.Role); err != nil {
			return err
		}
	}
	if c.Team != "" && c.Team != before.Team {
		there := 0
		if validID("team_", c.Team) {
			if err := tx.sql.QueryRowContext(ctx, `SELECT COUNT(*) FROM orgauthz_teams WHERE id = $1 AND org_id = $2 AND deleted_at IS NULL`,
				c.Team, c.Guest).Scan(&there); err != nil {
				return err
			}
		}
		if there == 0 {
			return &NotFound{"team"}
		}
	}
	if c.admits(before) {
		return tx.hold(ctx, c.Host, added)
	}
	return tx.hold(ctx, c.Host, c.Roles) // it hands them to others than before
}

// admits reports whether c is for the same people at the same time as before.
func (c *Contract) admits(before *Contract) bool {
	return slices.Equal(c.Kinds, before.Kinds) && c.Team == before.Team && c.Role == before.Role &&
		c.MetadataKey == before.MetadataKey && c.MetadataValue == before.MetadataValue &&
		c.From.Equal(before.From) && c.Until.Equal(before.Until)
}

// write writes the terms of c into its rows. before are the roles that it has had.
func (c *Contract) write(ctx context.Context, tx *transaction, before []string) error {
	shares, err := json.Marshal(c.Shares)
	if err != nil {
		return err
	}
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_contracts SET name = $2, kinds = $3, team_id = $4, role_id = $5, metadata_key = $6, metadata_value = $7,
			shares = $8, from_at = $9, until_at = $10, updated_at = $11
		WHERE id = $1`,
		c.ID, c.Name, strings.Join(c.Kinds, " "), c.Team, c.Role, c.MetadataKey, c.MetadataValue, string(shares),
		instant{&c.From}, instant{&c.Until}, c.UpdatedAt.UnixMicro()); err != nil {
		return err
	}
	for _, id := range without(before, c.Roles) {
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_contract_roles WHERE contract_id = $1 AND role_id = $2`, c.ID, id); err != nil {
			return err
		}
	}
	for _, id := range without(c.Roles, before) {
		if _, err := tx.sql.ExecContext(ctx, `INSERT INTO orgauthz_contract_roles (contract_id, role_id) VALUES ($1, $2)`, c.ID, id); err != nil {
			return err
		}
	}
	return nil
}
