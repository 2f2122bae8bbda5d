package orgstore

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"maps"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore/internal/urls"
)

// Branding is how a login looks, of an organization or of the tenant.
type Branding struct {
	LogoURL string         `json:"logo_url,omitempty"` // an https URL; empty for none
	Colors  BrandingColors `json:"colors,omitzero"`
}

// BrandingColors are colors as in CSS, "#" and 3, 4, 6 or 8 hexadecimal digits: both or none.
type BrandingColors struct {
	Primary        string `json:"primary"`
	PageBackground string `json:"page_background"`
}

// TokenQuota is how many tokens are issued.
type TokenQuota struct {
	ClientCredentials Quota `json:"client_credentials,omitzero"` // to machines, for the organization
}

func (q TokenQuota) check(field string) error {
	if c := q.ClientCredentials; min(c.PerDay, c.PerHour) < 0 || max(c.PerDay, c.PerHour) > maxQuota {
		return &Invalid{field, "M2M-4", "must be 1 to 2,147,483,647 per day and per hour, or 0 for no bound"}
	}
	return nil
}

// ClientAccess says whether applications may log in to an organization.
type ClientAccess string

// The values of Organization.ThirdPartyClientAccess.
const (
	ClientAccessAllow ClientAccess = "allow"
	ClientAccessBlock ClientAccess = "block"
)

// AutoJoin says what follows from an e-mail address, which its user is known to have, in a domain that an organization has proven
// (rule AUTO-1).
type AutoJoin string

// The values of Organization.AutoJoin.
const (
	AutoJoinOff       AutoJoin = "off"       // nothing
	AutoJoinSuggest   AutoJoin = "suggest"   // the organization is suggested, and membership can be asked for
	AutoJoinApproval  AutoJoin = "approval"  // membership is asked for, and granted when an administrator approves
	AutoJoinAutomatic AutoJoin = "automatic" // membership
)

// Bounds of organizations.
const (
	maxExternalID = 255
	maxQuota      = 1<<31 - 1
)

// document is where a value goes that is stored as JSON, empty for its zero value.
type document struct{ v any }

// Scan makes document a sql.Scanner.
func (d document) Scan(src any) error {
	var text sql.NullString
	if err := text.Scan(src); err != nil || text.String == "" {
		return err
	}
	return json.Unmarshal([]byte(text.String), d.v)
}

// Value makes document a driver.Valuer.
func (d document) Value() (driver.Value, error) {
	data, err := json.Marshal(d.v)
	if string(data) == "{}" {
		data = nil
	}
	return string(data), err
}

// check checks b for whoever has the rule.
func (b Branding) check(rule string) error {
	var problems []error
	if b.LogoURL != "" {
		if err := urls.CheckDefault(b.LogoURL); err != nil {
			problems = append(problems, &Invalid{"logo_url", rule, err.Error()})
		}
	}
	if c := b.Colors; c != (BrandingColors{}) && (!validColor(c.Primary) || !validColor(c.PageBackground)) {
		problems = append(problems, &Invalid{"colors", rule, "must both be given, or none, as # and 3, 4, 6 or 8 hexadecimal digits"})
	}
	return errors.Join(problems...)
}

// check checks all that organizations say by themselves, and fills in what is empty.
func (o *Organization) check(metadata int) error {
	o.ThirdPartyClientAccess = cmp.Or(o.ThirdPartyClientAccess, ClientAccessBlock)
	o.AutoJoin = cmp.Or(o.AutoJoin, AutoJoinOff)
	problems := []error{
		checkName(o.Name), checkText("display_name", "ORG-3", o.DisplayName, maxDisplayName), checkMetadata(o.Metadata, metadata),
		checkExternalID(o.ExternalID), o.Branding.check("ORG-3"),
	}
	invalid := func(field, rule, text string) { problems = append(problems, &Invalid{field, rule, text}) }
	problems = append(problems, o.TokenQuota.check("token_quota"))
	if a := o.ThirdPartyClientAccess; a != ClientAccessAllow && a != ClientAccessBlock {
		invalid("third_party_client_access", "APP-1", "must be allow or block")
	}
	switch o.AutoJoin {
	case AutoJoinOff, AutoJoinSuggest, AutoJoinApproval, AutoJoinAutomatic:
	default:
		invalid("auto_join", "AUTO-1", "must be off, suggest, approval or automatic")
	}
	if o.InvitationRedirectURL != "" {
		if err := urls.CheckDefault(o.InvitationRedirectURL); err != nil {
			invalid("invitation_redirect_url", "ORG-3", err.Error())
		}
	}
	if o.OwnerRole != "" && !validID("rol_", o.OwnerRole) {
		problems = append(problems, &NotFound{"role"})
	}
	if o.LoginDomain != "" {
		domain, ok := domainOf(o.LoginDomain)
		if o.LoginDomain = domain; !ok {
			problems = append(problems, errLoginDomain)
		}
	}
	return errors.Join(problems...)
}

func checkExternalID(id string) error { return checkText("external_id", "ORG-3", id, maxExternalID) }

func validColor(s string) bool {
	digits, ok := strings.CutPrefix(s, "#")
	switch len(digits) {
	case 3, 4, 6, 8:
		return ok && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
	}
	return false
}

// equal reports whether o is as before.
func (o *Organization) equal(before *Organization) bool {
	is, err := json.Marshal(o)
	was, e := json.Marshal(before)
	return err == nil && e == nil && bytes.Equal(is, was) && maps.Equal(o.Metadata, before.Metadata)
}

var errLoginDomain = &Invalid{"login_domain", "LOG-8", "must be a discovery domain that the organization has proven, or below one"}

// loginDomainProven reports whether the organization has proven that its login domain is its own. Who holds the scope of the
// organization can rely on it.
func (o *Organization) loginDomainProven(ctx context.Context, q queryer) (bool, error) {
	proven, err := collect(ctx, q, `SELECT d.domain FROM orgauthz_domains d WHERE d.org_id = $1 AND d.proven_at IS NOT NULL`, []any{o.ID},
		func(row scanner) (domain string, err error) { return domain, row.Scan(&domain) })
	for _, domain := range proven {
		if domain == o.LoginDomain || strings.HasSuffix(o.LoginDomain, "."+domain) {
			return true, nil
		}
	}
	return false, err
}

// GetByLoginDomain returns the organization whose logins are at this host, as long as its proof that the host is its own holds
// (rule LOG-8). Errors: NotFound.
func (s *Organizations) GetByLoginDomain(ctx context.Context, host string) (*Organization, error) {
	host, ok := domainOf(host)
	if !ok {
		return nil, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (*Organization, error) {
		o, err := organizationBy(ctx, q, "o.login_domain", host)
		if err != nil {
			return nil, err
		}
		if proven, err := o.loginDomainProven(ctx, q); err != nil || !proven {
			return nil, cmp.Or(err, error(&NotFound{"organization"}))
		}
		return o, nil
	})
}
