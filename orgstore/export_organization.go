package orgstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"
)

// insides writes what organizations have, one organization after the other.
func (x *exporter) insides(ctx context.Context) error {
	return pages(ctx, x, x.listed(), func(items []*Organization) error {
		for _, o := range items {
			for _, step := range []func(context.Context, string) error{
				x.roles, x.domains, x.enabled, x.organizationClients, x.organizationGrants, x.teams, x.organizationGroups, x.members,
				x.organizationTemplates, x.requests, x.invitations,
			} {
				if err := step(ctx, o.ID); err != nil {
					return err
				}
			}
			if err := x.settings(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

// within is a list of what an organization has; $1 of its query is the id.
func within[T any](l listing[T], org string) listing[T] {
	l.args = []any{org}
	return l
}

func (x *exporter) domains(ctx context.Context, org string) error {
	return each(ctx, x, "discovery_domain", within(domainList, org), same)
}

func (x *exporter) enabled(ctx context.Context, org string) error {
	l := enabledBy("org_id", "connection_id", org, func(c *EnabledConnection) string { return c.ConnectionID }, EnabledConnectionListOptions{})
	return each(ctx, x, "enabled_connection", l, same)
}

func (x *exporter) organizationClients(ctx context.Context, org string) error {
	l := within(listing[*OrganizationClient]{
		name: "organization clients", query: organizationClients, id: "oc.client_id", scan: scanOrganizationClient,
		key: byID(func(c *OrganizationClient) string { return c.ClientID }),
	}, org)
	return each(ctx, x, "organization_client", l, func(c *OrganizationClient) (any, error) {
		return organizationClientRecord{c.Organization, c.ClientID, c.UseForMemberAccess, c.CreatedAt, c.UpdatedAt}, nil
	})
}

func (x *exporter) organizationGrants(ctx context.Context, org string) error {
	l := within(listing[organizationGrantRecord]{
		name: "organization grants", query: `SELECT org_id, grant_id, created_at FROM orgauthz_organization_grants WHERE org_id = $1`,
		id: "grant_id",
		scan: func(row scanner) (r organizationGrantRecord, err error) {
			return r, row.Scan(&r.Organization, &r.Grant, instant{&r.CreatedAt})
		},
		key: byID(func(r organizationGrantRecord) string { return r.Grant }),
	}, org)
	return each(ctx, x, "organization_client_grant", l, same)
}

// teams writes those of an organization, each after the one that it is below.
func (x *exporter) teams(ctx context.Context, org string) error {
	l := teamList
	l.args = []any{x.now, org}
	var all []*Team
	parent := map[string]string{}
	err := pages(ctx, x, l, func(items []*Team) error {
		for _, t := range items {
			all, parent[t.ID] = append(all, t), t.Parent
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	roles, err := grouped(ctx, x.q, `
		SELECT tr.team_id, tr.role_id FROM orgauthz_team_roles tr
		JOIN orgauthz_teams t ON t.id = tr.team_id AND t.org_id = $1
		JOIN orgauthz_roles r ON r.id = tr.role_id AND r.deleted_at IS NULL ORDER BY tr.role_id`, org)
	if err != nil {
		return err
	}
	depth := func(t *Team) (n int) {
		for id := t.Parent; id != "" && n < maxTeamLevels; id = parent[id] {
			n++
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b *Team) int { return depth(a) - depth(b) })
	for _, t := range all {
		if err := x.w.Write("team", teamRecord{*t, roles[t.ID]}); err != nil {
			return err
		}
	}
	return nil
}

func (x *exporter) organizationGroups(ctx context.Context, org string) error {
	l := within(listing[string]{
		name: "organization groups", id: "og.group_id",
		query: `SELECT og.group_id FROM orgauthz_organization_groups og
			JOIN orgauthz_groups g ON g.id = og.group_id AND g.deleted_at IS NULL WHERE og.org_id = $1`,
		scan: func(row scanner) (id string, err error) { return id, row.Scan(&id) },
		key:  byID(func(id string) string { return id }),
	}, org)
	return pages(ctx, x, l, func(items []string) error {
		if len(items) == 0 {
			return nil
		}
		roles, err := grouped(ctx, x.q, `
			SELECT gr.group_id, gr.role_id FROM orgauthz_group_roles gr
			JOIN orgauthz_roles r ON r.id = gr.role_id AND r.deleted_at IS NULL
			WHERE gr.org_id = $1 AND gr.group_id >= $2 AND gr.group_id <= $3 ORDER BY gr.role_id`, org, items[0], items[len(items)-1])
		for _, id := range items {
			if err == nil {
				err = x.w.Write("organization_group", organizationGroupRecord{org, id, roles[id]})
			}
		}
		return err
	})
}

func (x *exporter) members(ctx context.Context, org string) error {
	l := memberList
	l.query, l.args = membersOf+memberLives, []any{x.now, org}
	return pagesBy(l, func(text string, args []any) ([]*Member, error) {
		return members(ctx, x.q, text, l.order(ListOptions{}), args)
	}, func(items []*Member) error {
		if len(items) == 0 {
			return nil
		}
		more, err := beside(ctx, x.q, org, `>= $2 AND tm.user_id <= $3`, items[0].User, items[len(items)-1].User)
		if err != nil {
			return err
		}
		for _, m := range items {
			r := memberRecord{
				Organization: org, User: m.User, Status: m.Status, Kind: m.Kind, Metadata: m.Metadata, Teams: more.teams[m.User],
				JoinedBy: m.JoinedBy, JoinedAt: m.JoinedAt, UpdatedAt: m.UpdatedAt, ExpiresAt: m.ExpiresAt, UsedAt: m.UsedAt,
				TokensValidAfter: more.valid[m.User],
			}
			for _, role := range m.Roles {
				r.Roles = append(r.Roles, RoleAssignment{role.ID, role.ExpiresAt, role.Descendants})
			}
			slices.SortFunc(r.Roles, func(a, b RoleAssignment) int { return strings.Compare(a.Role, b.Role) })
			if err := x.w.Write(memberType, r); err != nil {
				return err
			}
		}
		if x.opts.Progress != nil {
			x.opts.Progress(x.w.result())
		}
		return nil
	})
}

// besides is what members have beside what they are.
type besides struct {
	teams map[string][]string  // ids, sorted, by user
	valid map[string]time.Time // since when their tokens count
}

// beside reads it. which continues a condition that begins with tm.user_id; $1 is the organization.
func beside(ctx context.Context, q queryer, org, which string, args ...any) (b besides, err error) {
	args = append([]any{org}, args...)
	if b.teams, err = grouped(ctx, q, `
		SELECT tm.user_id, tm.team_id FROM orgauthz_team_members tm JOIN orgauthz_teams t ON t.id = tm.team_id AND t.deleted_at IS NULL
		WHERE tm.org_id = $1 AND tm.user_id `+which+` ORDER BY tm.team_id`, args...); err != nil {
		return b, err
	}
	b.valid, err = instants(ctx, q, `
		SELECT tm.user_id, tm.tokens_valid_after FROM orgauthz_members tm
		WHERE tm.org_id = $1 AND tm.tokens_valid_after > 0 AND tm.user_id `+which, args...)
	return b, err
}

func (x *exporter) organizationTemplates(ctx context.Context, org string) error {
	return x.templatesOf(ctx, ` AND t.org_id = $1 ORDER BY t.kind`, org)
}

func (x *exporter) requests(ctx context.Context, org string) error {
	l := requestList
	l.args = []any{x.now, org}
	return each(ctx, x, "request", l, func(r *Request) (any, error) {
		r.Email, r.Name = "", "" // are the user's
		return r, nil
	})
}

// invitations writes them without their tickets.
func (x *exporter) invitations(ctx context.Context, org string) error {
	l := within(listing[*Invitation]{
		name: "invitations", query: `SELECT ` + invitationColumns + ` FROM orgauthz_invitations WHERE org_id = $1`, id: "id",
		scan: scanInvitation(x.q.clock()), key: byID(func(i *Invitation) string { return i.ID }),
	}, org)
	return each(ctx, x, "invitation", l, same)
}

// settings writes what of an organization refers to what has come since.
func (x *exporter) settings(ctx context.Context, o *Organization) error {
	r := settingsRecord{Organization: o.ID, OwnerRole: o.OwnerRole, LoginDomain: o.LoginDomain, DeleteAt: o.DeleteAt}
	err := x.q.QueryRowContext(ctx, `
		SELECT p.id FROM orgauthz_organizations c JOIN orgauthz_organizations p ON p.id = c.parent_id AND p.deleted_at IS NULL
			AND (p.delete_at IS NULL OR p.delete_at > $2) WHERE c.id = $1`, o.ID, x.now).Scan(&r.Parent)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if x.only != "" {
		r.Parent = ""
	}
	if r.LoginDomain != "" {
		proven, err := o.loginDomainProven(ctx, x.q)
		if err != nil {
			return err
		}
		if !proven {
			r.LoginDomain = "" // leads nowhere
		}
	}
	if r == (settingsRecord{Organization: o.ID}) {
		return nil
	}
	return x.w.Write("organization_settings", r)
}
