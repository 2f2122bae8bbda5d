package orgstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// DomainStatus says whether a discovery domain counts for discovery.
type DomainStatus string

// The statuses of discovery domains.
const (
	DomainPending  DomainStatus = "pending"
	DomainVerified DomainStatus = "verified"
)

// DiscoveryDomain is an e-mail domain by which an organization is found. Several organizations may have the same one (rule DOM-1).
type DiscoveryDomain struct {
	ID           string `json:"id"` // "ord_" and 16 alphanumerics
	Organization string `json:"organization_id"`
	Domain       string `json:"domain"`     // in lower case, international names in their ASCII form (RFC 5891)
	Subdomains   bool   `json:"subdomains"` // the domains below it count as well
	// Status is what discovery goes by: verified by DiscoveryDomains.Verify, or by whoever wrote so. ProvenAt tells them apart.
	Status    DomainStatus `json:"status"`
	Discovery bool         `json:"use_for_organization_discovery"` // whether it finds the organization at a login, once verified
	// VerificationText is what a TXT record at VerificationHost must be, to prove who has the domain.
	VerificationText string `json:"verification_txt"`
	VerificationHost string `json:"verification_host"`
	// ProvenAt is when DiscoveryDomains.Verify last found the text; the zero time while it is not there. Only a proven domain makes
	// somebody a member (rule DOM-1).
	ProvenAt  time.Time `json:"proven_at,omitzero"`
	CheckedAt time.Time `json:"checked_at,omitzero"` // when it last looked for the text; the zero time for never
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"` // of what can be updated, and of the proof's coming and going
}

// DiscoveryDomainUpdate says what to change of a discovery domain. What is nil stays as it is.
type DiscoveryDomainUpdate struct {
	Status     *DomainStatus // pending also withdraws the proof
	Discovery  *bool
	Subdomains *bool
}

// DiscoveryDomains are the e-mail domains by which organizations are found.
type DiscoveryDomains struct{ e *Engine }

const domainColumns = `d.id, d.org_id, d.domain, d.subdomains, d.status, d.discovery, d.verification_text,
	'_ss-verification.' || d.org_id || '.' || d.domain, d.proven_at, d.checked_at, d.created_at, d.updated_at`

func scanDomain(row scanner) (*DiscoveryDomain, error) {
	var d DiscoveryDomain
	return &d, row.Scan(d.columns()...)
}

// columns are where a row of domainColumns goes.
func (d *DiscoveryDomain) columns() []any {
	return []any{&d.ID, &d.Organization, &d.Domain, &d.Subdomains, &d.Status, &d.Discovery, &d.VerificationText, &d.VerificationHost,
		instant{&d.ProvenAt}, instant{&d.CheckedAt}, instant{&d.CreatedAt}, instant{&d.UpdatedAt}}
}

// domain reads a domain of a live organization.
func domain(ctx context.Context, q queryer, org, id string) (*DiscoveryDomain, error) {
	if !validID("org_", org) || !validID("ord_", id) {
		return nil, &NotFound{"domain"}
	}
	return one(scanDomain(q.QueryRowContext(ctx, `
		SELECT `+domainColumns+` FROM orgauthz_domains d JOIN orgauthz_organizations o ON o.id = d.org_id AND o.deleted_at IS NULL
		WHERE d.org_id = $1 AND d.id = $2`, org, id)))("domain")
}

// domainScope is the scope of one discovery domain of one organization.
func domainScope(org, id string) Scope { return Scope{Kind: ScopeDomain, Org: org, ID: id} }

// domainOf returns the normal form of a domain name: ASCII, in lower case, at least two labels.
func domainOf(name string) (domain string, ok bool) {
	domain, err := idna.Lookup.ToASCII(name)
	if err != nil || !utf8.ValidString(name) || len(name) > 255 || len(domain) < 3 || len(domain) > 253 || !strings.Contains(domain, ".") {
		return "", false
	}
	for label := range strings.SplitSeq(domain, ".") {
		for i := range len(label) {
			if c := label[i]; !isLower(c) && !isDigit(c) && (c != '-' || i == 0 || i == len(label)-1) {
				return "", false
			}
		}
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	// A last label of digits is an address to whoever parses it as one.
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	_, err = netip.ParseAddr(domain)
	return domain, err != nil && strings.Trim(last, "0123456789") != ""
}

// checkDomain returns the normal form of a domain that one owner can have: none under which everybody registers names.
func checkDomain(name string) (string, error) {
	domain, ok := domainOf(name)
	if !ok {
		return "", &Invalid{"domain", "DOM-1", "must be a domain name of 3 to 253 characters with at least two labels"}
	}
	if _, err := publicsuffix.EffectiveTLDPlusOne(domain); err != nil {
		return "", &Invalid{"domain", "DOM-1", "must not be a public suffix, below which anybody can have names (publicsuffix.org)"}
	}
	return domain, nil
}

func (s DomainStatus) check() error {
	if s != DomainPending && s != DomainVerified {
		return &Invalid{"status", "DOM-1", "must be pending or verified"}
	}
	return nil
}

// Create gives an organization the domain of d, whose Organization and Domain must be given; Status is pending when empty. The
// rest of d is ignored. A status of verified serves discovery, and nothing that needs a proof.
//
// Errors: NotFound (organization), Invalid (DOM-1), Conflict (the organization has the domain), Limit (discovery domains).
func (s *DiscoveryDomains) Create(ctx context.Context, d DiscoveryDomain) (*DiscoveryDomain, Result, error) {
	random := make([]byte, 16)
	rand.Read(random) // never fails
	return s.create(ctx, d, newID("ord_"), hex.EncodeToString(random))
}

func (s *DiscoveryDomains) create(ctx context.Context, d DiscoveryDomain, id, text string) (*DiscoveryDomain, Result, error) {
	given := d
	name, err := checkDomain(d.Domain)
	d = DiscoveryDomain{ID: id, Organization: d.Organization, Domain: name, Subdomains: d.Subdomains, Status: d.Status,
		Discovery: d.Discovery, VerificationText: text}
	d.VerificationHost = "_ss-verification." + d.Organization + "." + d.Domain
	if d.Status == "" {
		d.Status = DomainPending
	}
	if err := errors.Join(err, d.Status.check()); err != nil {
		return nil, Result{}, err
	}
	return create(ctx, s.e, call{"discovery_domains.create", given}, &d, func(tx *transaction) error {
		if err := tx.permit(ctx, d.Organization, "create:organization_discovery_domains"); err != nil {
			return err
		}
		// Alone with the organization: it counts its domains, and has each once.
		if err := tx.lock(ctx, []Scope{OrganizationScope(d.Organization), domainScope(d.Organization, d.ID)}, nil); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, d.Organization); err != nil {
			return err
		}
		var domains, same int
		if err := tx.sql.QueryRowContext(ctx, `
			SELECT COUNT(*), COALESCE(SUM(CASE WHEN domain = $2 THEN 1 ELSE 0 END), 0) FROM orgauthz_domains WHERE org_id = $1`,
			d.Organization, d.Domain).Scan(&domains, &same); err != nil {
			return err
		}
		if same > 0 {
			return &Conflict{"domain", "domain"}
		}
		if limit := tx.cfg.Limits.DiscoveryDomains; domains >= limit {
			return &Limit{"discovery domains", limit}
		}
		if d.CreatedAt, err = tx.now(ctx); err != nil {
			return err
		}
		d.UpdatedAt = d.CreatedAt
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_domains (id, org_id, domain, subdomains, status, discovery, verification_text, checked_at, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)`,
			d.ID, d.Organization, d.Domain, flag(d.Subdomains), string(d.Status), flag(d.Discovery), d.VerificationText,
			d.CreatedAt.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, domainScope(d.Organization, d.ID), d.Organization, "organization.domain.added", nil, &d)
	})
}

// Get returns one domain of an organization. Errors: NotFound (domain; also when there is no such organization).
func (s *DiscoveryDomains) Get(ctx context.Context, org, id string) (*DiscoveryDomain, error) {
	return read(ctx, s.e, func(q queryer) (*DiscoveryDomain, error) { return domain(ctx, q, org, id) })
}

// GetByName returns an organization's domain by its name, in any form that Create takes. Errors: NotFound (domain).
func (s *DiscoveryDomains) GetByName(ctx context.Context, org, name string) (*DiscoveryDomain, error) {
	name, ok := domainOf(name)
	if !ok || !validID("org_", org) {
		return nil, &NotFound{"domain"}
	}
	return read(ctx, s.e, func(q queryer) (*DiscoveryDomain, error) {
		return one(scanDomain(q.QueryRowContext(ctx, domainList.query+` AND d.domain = $2`, org, name)))("domain")
	})
}

var domainList = listing[*DiscoveryDomain]{
	name: "domains",
	query: `SELECT ` + domainColumns + ` FROM orgauthz_domains d
		JOIN orgauthz_organizations o ON o.id = d.org_id AND o.deleted_at IS NULL WHERE d.org_id = $1`,
	id:    "d.id",
	sorts: map[Sort]string{SortName: "d.domain", SortCreated: "d.created_at"},
	scan:  scanDomain,
	key: func(d *DiscoveryDomain, by Sort) (any, string) {
		if by == SortName {
			return d.Domain, d.ID
		}
		return d.CreatedAt.UnixMicro(), d.ID
	},
}

// List returns a page of an organization's domains, by id, name (the domain) or created_at. Errors: NotFound (organization).
func (s *DiscoveryDomains) List(ctx context.Context, org string, opts ListOptions) (Page[*DiscoveryDomain], error) {
	return domainList.of(ctx, s.e, org, opts)
}

// Update changes what u names. Errors: NotFound (domain), Invalid (DOM-1).
func (s *DiscoveryDomains) Update(ctx context.Context, org, id string, u DiscoveryDomainUpdate) (Result, error) {
	if u.Status != nil {
		if err := u.Status.check(); err != nil {
			return Result{}, err
		}
	}
	return s.e.mutate(ctx, call{"discovery_domains.update", org, id, u}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, "update:organization_discovery_domains", org, id)
		if err != nil {
			return err
		}
		d := *before
		if u.Status != nil {
			d.Status = *u.Status
		}
		if d.Status == DomainPending {
			d.ProvenAt = time.Time{}
		}
		if u.Discovery != nil {
			d.Discovery = *u.Discovery
		}
		if u.Subdomains != nil {
			d.Subdomains = *u.Subdomains
		}
		if d == *before {
			return nil
		}
		return s.write(ctx, tx, "organization.domain.updated", before, &d)
	})
}

// Delete takes a domain from an organization. Deleting one that is not there changes nothing.
func (s *DiscoveryDomains) Delete(ctx context.Context, org, id string) (Result, error) {
	return s.e.mutate(ctx, call{"discovery_domains.delete", org, id}, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, "delete:organization_discovery_domains", org, id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_domains WHERE org_id = $1 AND id = $2`, org, id); err != nil {
			return err
		}
		return tx.raise(ctx, domainScope(org, id), org, "organization.domain.removed", before, nil)
	})
}

// begin locks what an operation on a domain needs, and returns the domain.
func (s *DiscoveryDomains) begin(ctx context.Context, tx *transaction, permission, org, id string) (*DiscoveryDomain, error) {
	if err := tx.permit(ctx, org, permission); err != nil {
		return nil, err
	}
	if err := tx.lock(ctx, []Scope{domainScope(org, id)}, []Scope{OrganizationScope(org)}); err != nil {
		return nil, err
	}
	return domain(ctx, tx.sql, org, id)
}

func (s *DiscoveryDomains) write(ctx context.Context, tx *transaction, eventType string, before, d *DiscoveryDomain) (err error) {
	if d.UpdatedAt, err = tx.now(ctx); err != nil {
		return err
	}
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_domains SET subdomains = $3, status = $4, discovery = $5, proven_at = $6,
			checked_at = COALESCE(CAST($7 AS BIGINT), 0), updated_at = $8
		WHERE org_id = $1 AND id = $2`, d.Organization, d.ID, flag(d.Subdomains), string(d.Status), flag(d.Discovery),
		instant{&d.ProvenAt}, instant{&d.CheckedAt}, d.UpdatedAt.UnixMicro()); err != nil {
		return err
	}
	return tx.raise(ctx, domainScope(d.Organization, d.ID), d.Organization, eventType, before, d)
}
