package orgstore

import (
	"context"
	"errors"
	"time"
)

func (x *exporter) apis(ctx context.Context) error { return each(ctx, x, "api", apiList, same) }

func (x *exporter) tenantRoles(ctx context.Context) error { return x.roles(ctx, "") }

// roles writes those of an organization, or of the tenant. A role whose template has been deleted permits nothing that a reader of the
// export could check: it keeps its name.
func (x *exporter) roles(ctx context.Context, org string) error {
	l := roleList
	l.query, l.args = liveRoles+` AND r.org_id = $1`, []any{org}
	return each(ctx, x, "role", l, func(r *Role) (any, error) {
		if r.Base == "" {
			return r, nil
		}
		_, err := role(ctx, x.q, r.Base)
		if errors.Is(err, ErrNotFound) {
			r.Base, r.Permissions, r.APIPermissions, err = "", []string{}, nil, nil
		}
		return r, err
	})
}

func (x *exporter) connections(ctx context.Context) error {
	return each(ctx, x, "connection", connectionList, func(c *Connection) (any, error) {
		c.Isolated = false // comes after the memberships: those from before stay
		return c, nil
	})
}

func (x *exporter) isolations(ctx context.Context) error {
	return each(ctx, x, "connection_isolation", connectionList.where("isolated = ?", true, 1), func(c *Connection) (any, error) {
		return isolationRecord{c.ID}, nil
	})
}

// listed is the list of the organizations that are exported.
func (x *exporter) listed() listing[*Organization] {
	l := organizationList(x.q.clock())
	if x.only != "" {
		l = l.where("o.id = ?", true, x.only)
	}
	return l
}

func (x *exporter) organizations(ctx context.Context) error {
	return each(ctx, x, "organization", x.listed(), func(o *Organization) (any, error) {
		r := organizationRecord{Organization: *o}
		r.OwnerRole, r.LoginDomain, r.DeleteAt = "", "", time.Time{}
		return &r, x.q.QueryRowContext(ctx, `SELECT security, tokens_valid_after FROM orgauthz_organizations WHERE id = $1`, o.ID).
			Scan(document{&r.Security}, instant{&r.TokensValidAfter})
	})
}

func (x *exporter) clients(ctx context.Context) error {
	return pages(ctx, x, clientList, func(items []*Client) error {
		if len(items) == 0 {
			return nil
		}
		uses, err := grouped(ctx, x.q, `
			SELECT cc.client_id, cc.connection_id FROM orgauthz_connection_clients cc
			JOIN orgauthz_connections c ON c.id = cc.connection_id AND c.deleted_at IS NULL
			WHERE cc.client_id >= $1 AND cc.client_id <= $2 ORDER BY cc.connection_id`, items[0].ID, items[len(items)-1].ID)
		for _, c := range items {
			if d := c.DefaultOrganization; err == nil && d != nil {
				if _, err = organization(ctx, x.q, d.OrganizationID); errors.Is(err, ErrNotFound) || x.only != "" && d.OrganizationID != x.only {
					c.DefaultOrganization, err = nil, nil // there is none any more
				}
			}
			if err == nil {
				err = x.w.Write("client", clientRecord{*c, uses[c.ID]})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (x *exporter) grants(ctx context.Context) error {
	return each(ctx, x, "client_grant", grantList, same)
}

func (x *exporter) groups(ctx context.Context) error { return each(ctx, x, "group", groupList, same) }

func (x *exporter) users(ctx context.Context) error {
	l := userList
	if x.only != "" {
		l.query += ` AND (id IN (SELECT user_id FROM orgauthz_members WHERE org_id = $1)
			OR id IN (SELECT user_id FROM orgauthz_requests WHERE org_id = $1))`
		l.args = []any{x.only}
	}
	return pages(ctx, x, l, func(items []*User) error {
		if len(items) == 0 {
			return nil
		}
		first, last := items[0].ID, items[len(items)-1].ID
		groups, err := grouped(ctx, x.q, `
			SELECT gm.user_id, gm.group_id FROM orgauthz_group_members gm
			JOIN orgauthz_groups g ON g.id = gm.group_id AND g.deleted_at IS NULL
			WHERE gm.user_id >= $1 AND gm.user_id <= $2 ORDER BY gm.group_id`, first, last)
		if err != nil {
			return err
		}
		valid, err := instants(ctx, x.q, `
			SELECT id, tokens_valid_after FROM orgauthz_users WHERE id >= $1 AND id <= $2 AND tokens_valid_after > 0`, first, last)
		if err != nil {
			return err
		}
		linked, err := grouped(ctx, x.q, `
			SELECT connection_id || '`+fieldEnd+`' || id, origin FROM orgauthz_identities
			WHERE user_id >= $1 AND user_id <= $2 AND origin <> user_id`, first, last)
		if err != nil {
			return err
		}
		for _, u := range items {
			r := userRecord{User: *u, Groups: groups[u.ID], TokensValidAfter: valid[u.ID]}
			for _, i := range u.Identities {
				from := ""
				if of := linked[i.Connection+fieldEnd+i.ID]; len(of) > 0 {
					from = of[0]
				}
				r.Identities = append(r.Identities, identityRecord{i, from})
			}
			if err := x.w.Write("user", r); err != nil {
				return err
			}
		}
		return nil
	})
}

// contracts writes those between organizations that are exported.
func (x *exporter) contracts(ctx context.Context) error {
	if x.only != "" {
		return nil
	}
	// Those that have ended come first: they do not count where contracts are bounded.
	for _, ended := range []string{"c.ended_at IS NOT NULL", "c.ended_at IS NULL"} {
		l := listing[*Contract]{
			name: "contracts",
			query: liveContracts + ` WHERE (h.delete_at IS NULL OR h.delete_at > $1)
				AND (g.delete_at IS NULL OR g.delete_at > $1) AND ` + ended,
			args: []any{x.now},
			id:   "c.id",
			key:  byID(func(c *Contract) string { return c.ID }),
		}
		read := func(text string, args []any) ([]*Contract, error) { return contracts(ctx, x.q, text, args, false) }
		if err := pagesBy(l, read, func(items []*Contract) error {
			for _, c := range items {
				if err := x.w.Write("contract", c); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// templates writes those of the tenant and of applications.
func (x *exporter) templates(ctx context.Context) error {
	return x.templatesOf(ctx, ` AND t.org_id = '' ORDER BY t.client_id, t.kind`)
}

func (x *exporter) templatesOf(ctx context.Context, which string, args ...any) error {
	// One at a time: each may be large.
	keys, err := collect(ctx, x.q, `SELECT t.org_id, t.client_id, t.kind`+fromTemplates+which, args, func(row scanner) (t Template, err error) {
		return t, row.Scan(&t.Owner.Organization, &t.Owner.Client, &t.Kind)
	})
	for _, k := range keys {
		var t *Template
		if err == nil {
			t, err = template(ctx, x.q, k.Owner, k.Kind)
		}
		if err == nil {
			err = x.w.Write("template", t)
		}
	}
	return err
}

func (x *exporter) tenant(ctx context.Context) error {
	t, err := tenant(ctx, x.q)
	if err == nil && t.DefaultDirectory != "" {
		if _, err = connection(ctx, x.q, t.DefaultDirectory); errors.Is(err, ErrNotFound) {
			t.DefaultDirectory, err = "", nil
		}
	}
	if err != nil {
		return err
	}
	return x.w.Write("tenant", t)
}
