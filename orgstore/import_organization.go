package orgstore

import (
	"cmp"
	"context"
	"time"
)

func importOrganization(ctx context.Context, im *importer, e *Engine, r *organizationRecord) (outcome, error) {
	o := &r.Organization
	if err := needID("org_", o.ID); err != nil {
		return created, err
	}
	was, err := e.Organizations.Get(ctx, o.ID)
	is, err := either(err, func() error { return third(e.Organizations.Create(ctx, *o)) }, func() error {
		metadata := map[string]*string{}
		for key := range was.Metadata {
			metadata[key] = nil
		}
		for key, value := range o.Metadata {
			metadata[key] = &value
		}
		if err := second(e.Organizations.Update(ctx, o.ID, OrganizationUpdate{
			Name: &o.Name, DisplayName: &o.DisplayName, ExternalID: &o.ExternalID, LogoURL: &o.Branding.LogoURL, Colors: &o.Branding.Colors,
			Metadata: metadata, TokenQuota: &o.TokenQuota, ThirdPartyClientAccess: &o.ThirdPartyClientAccess,
			AppEntitlement: &o.AppEntitlement, InvitationRedirectURL: &o.InvitationRedirectURL, AutoJoin: &o.AutoJoin,
		})); err != nil {
			return err
		}
		switch cmp.Or(o.Status, OrganizationActive) {
		case OrganizationActive:
			return second(e.Organizations.Resume(ctx, o.ID))
		case OrganizationSuspended:
			return second(e.Organizations.Suspend(ctx, o.ID))
		}
		return &Invalid{"status", "ORG-6", "must be active or suspended"}
	})
	if err == nil {
		err = second(e.Organizations.SetSecurity(ctx, o.ID, r.Security))
	}
	if err == nil {
		err = im.valid(ctx, e, r.TokensValidAfter, OrganizationScope(o.ID), o.ID, "organization.signed_out",
			"orgauthz_organizations", "id = $1", o.ID)
	}
	return im.stamp(ctx, e, is, err, o.CreatedAt, o.UpdatedAt, "orgauthz_organizations", "id = $1", o.ID)
}

// importSettings sets what of an organization refers to what comes after it. What is empty says nothing.
func importSettings(ctx context.Context, im *importer, e *Engine, r *settingsRecord) (outcome, error) {
	was, err := e.Organizations.Get(ctx, r.Organization)
	if err != nil {
		return created, err
	}
	var parent string
	if err := e.tx.sql.QueryRowContext(ctx, `SELECT parent_id FROM orgauthz_organizations WHERE id = $1`, r.Organization).Scan(&parent); err != nil {
		return created, err
	}
	is := found
	if parent == "" && was.OwnerRole == "" && was.LoginDomain == "" && was.DeleteAt.IsZero() {
		is = created
	}
	if r.Parent != "" {
		err = second(e.Organizations.SetParent(ctx, r.Organization, r.Parent))
	}
	if err == nil && (r.OwnerRole != "" || r.LoginDomain != "") {
		u := OrganizationUpdate{}
		if r.OwnerRole != "" {
			u.OwnerRole = &r.OwnerRole
		}
		if r.LoginDomain != "" {
			u.LoginDomain = &r.LoginDomain
		}
		err = second(e.Organizations.Update(ctx, r.Organization, u))
	}
	if err == nil && !r.DeleteAt.IsZero() {
		err = second(e.Organizations.ScheduleDeletion(ctx, r.Organization, r.DeleteAt))
	}
	return im.stamp(ctx, e, is, err, was.CreatedAt, was.UpdatedAt, "orgauthz_organizations", "id = $1", r.Organization)
}

func importDomain(ctx context.Context, im *importer, e *Engine, d *DiscoveryDomain) (outcome, error) {
	if err := needID("ord_", d.ID); err != nil {
		return created, err
	}
	text := d.VerificationText
	if text == "" || len(text) > maxDescription || !printable(text) {
		return created, &Invalid{"verification_txt", "EXC-2", "must be 1 to 255 printable characters"}
	}
	was, err := e.DiscoveryDomains.Get(ctx, d.Organization, d.ID)
	is, err := either(err, func() error {
		if !storable(d.ProvenAt) || !storable(d.CheckedAt) {
			return &Invalid{"proven_at", "EXC-2", "and checked_at must be between the years 1970 and 9999"}
		}
		if err := third(e.DiscoveryDomains.create(ctx, *d, d.ID, text)); err != nil {
			return err
		}
		if d.Status != DomainVerified {
			d.ProvenAt = time.Time{}
		}
		// What its making is told with is not what it becomes: the proof has its own event.
		if !d.ProvenAt.IsZero() || !d.CheckedAt.IsZero() {
			return second(e.mutate(ctx, nil, func(tx *transaction) error {
				before, err := e.DiscoveryDomains.begin(ctx, tx, "update:organization_discovery_domains", d.Organization, d.ID)
				if err != nil {
					return err
				}
				after := *before
				after.ProvenAt, after.CheckedAt = d.ProvenAt, d.CheckedAt
				return e.DiscoveryDomains.write(ctx, tx, "organization.domain.verified", before, &after)
			}))
		}
		return nil
	}, func() error {
		if err := keeps("domain", d.Domain, was.Domain); err != nil {
			return err
		}
		return second(e.DiscoveryDomains.Update(ctx, d.Organization, d.ID, DiscoveryDomainUpdate{&d.Status, &d.Discovery, &d.Subdomains}))
	})
	return im.stamp(ctx, e, is, err, d.CreatedAt, d.UpdatedAt, "orgauthz_domains", "org_id = $1 AND id = $2", d.Organization, d.ID)
}

func importEnabled(ctx context.Context, im *importer, e *Engine, c *EnabledConnection) (outcome, error) {
	settings := EnabledConnectionSettings{
		&c.AssignMembershipOnLogin, &c.ShowAsButton, &c.Signup, &c.Name, &c.AccessLevel, &c.Enabled,
	}
	is, err := either(second(e.EnabledConnections.Get(ctx, c.Organization, c.ConnectionID)), func() error {
		return third(e.EnabledConnections.Add(ctx, c.Organization, c.ConnectionID, settings))
	}, func() error {
		return second(e.EnabledConnections.Update(ctx, c.Organization, c.ConnectionID, settings))
	})
	return im.stamp(ctx, e, is, err, c.CreatedAt, c.UpdatedAt, "orgauthz_enabled_connections", "org_id = $1 AND connection_id = $2",
		c.Organization, c.ConnectionID)
}

func importOrganizationClient(ctx context.Context, im *importer, e *Engine, c *organizationClientRecord) (outcome, error) {
	is, err := either(second(e.OrganizationClients.Get(ctx, c.Organization, c.Client)), func() error {
		return second(e.OrganizationClients.Add(ctx, c.Organization, NewOrganizationClient{c.Client, c.UseForMemberAccess}))
	}, func() error {
		return second(e.OrganizationClients.Update(ctx, c.Organization, c.Client, c.UseForMemberAccess))
	})
	return im.stamp(ctx, e, is, err, c.CreatedAt, c.UpdatedAt, "orgauthz_organization_clients", "org_id = $1 AND client_id = $2",
		c.Organization, c.Client)
}

func importOrganizationGrant(ctx context.Context, im *importer, e *Engine, r *organizationGrantRecord) (outcome, error) {
	result, err := e.ClientGrants.AddOrganization(ctx, r.Grant, r.Organization)
	if err == nil && !result.Changed {
		return found, nil
	}
	return im.stamp(ctx, e, created, err, r.CreatedAt, time.Time{}, "orgauthz_organization_grants", "org_id = $1 AND grant_id = $2",
		r.Organization, r.Grant)
}

func importTeam(ctx context.Context, im *importer, e *Engine, r *teamRecord) (outcome, error) {
	t := &r.Team
	if err := needID("team_", t.ID); err != nil {
		return created, err
	}
	is, err := either(second(e.Teams.Get(ctx, t.Organization, t.ID)), func() error { return third(e.Teams.Create(ctx, *t)) }, func() error {
		return second(e.Teams.Update(ctx, t.Organization, t.ID, TeamUpdate{&t.Name, &t.Description, &t.Parent}))
	})
	if err == nil {
		err = second(e.mutate(ctx, nil, func(tx *transaction) error {
			return changeTeamRoles(ctx, tx, t.Organization, t.ID, "create:organization_team_roles", r.Roles,
				func([]string) []string { return unique(r.Roles) })
		}))
	}
	return im.stamp(ctx, e, is, err, t.CreatedAt, t.UpdatedAt, "orgauthz_teams", "id = $1", t.ID)
}

func importOrganizationGroup(ctx context.Context, _ *importer, e *Engine, r *organizationGroupRecord) (outcome, error) {
	result, err := e.Groups.Assign(ctx, r.Organization, r.Group)
	is := created
	if err == nil && !result.Changed {
		is = found
	}
	if err == nil {
		err = second(e.mutate(ctx, nil, func(tx *transaction) error {
			return changeGroupRoles(ctx, tx, r.Organization, r.Group, "create:organization_group_roles", r.Roles,
				func([]string) []string { return unique(r.Roles) })
		}))
	}
	return is, err
}
