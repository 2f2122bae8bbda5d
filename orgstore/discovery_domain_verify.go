package orgstore

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// verifyTimeout bounds one look at the DNS when the caller's context does not end sooner.
const verifyTimeout = 10 * time.Second

// TXTResolver looks up TXT records. *net.Resolver is one.
type TXTResolver interface {
	LookupTXT(ctx context.Context, host string) ([]string, error)
}

// Verify looks with resolver for the text that proves who has a domain (rule DOM-1), and writes down what it has found: whether
// it is there, ProvenAt of the result says. A domain whose text is found becomes verified; one that had been proven and whose
// text is not there any more becomes pending again. Where the text never was, a status that somebody has written stays.
//
// No transaction is open while resolver is asked, so that the engine of a Transact has no Verify. Ask a resolver that you trust:
// its answer makes people members.
//
// Errors: NotFound (domain), ErrUnavailable when resolver does not answer: then nothing is known, and nothing changes.
func (s *DiscoveryDomains) Verify(ctx context.Context, org, id string, resolver TXTResolver) (*DiscoveryDomain, Result, error) {
	if s.e.tx != nil {
		return nil, Result{}, &Invalid{"engine", "DOM-1", "must not be one of Transact: no transaction waits for the DNS"}
	}
	d, err := s.Get(ctx, org, id)
	if err != nil {
		return nil, Result{}, err
	}
	asked := s.e.cfg.Clock().Truncate(time.Microsecond).UTC()
	found, err := d.lookUp(ctx, resolver)
	if err != nil {
		return nil, Result{}, s.e.failure(ctx, err)
	}
	return create(ctx, s.e, call{"discovery_domains.verify", org, id}, d, func(tx *transaction) error {
		before, err := s.begin(ctx, tx, "update:organization_discovery_domains", org, id)
		if err != nil {
			return err
		}
		*d = *before
		if asked.Before(before.CheckedAt) {
			return nil // somebody has asked later, and knows better
		}
		d.CheckedAt = asked
		switch {
		case found && d.ProvenAt.IsZero():
			d.Status, d.ProvenAt = DomainVerified, asked
			return s.write(ctx, tx, "organization.domain.verified", before, d)
		case !found && !d.ProvenAt.IsZero():
			d.Status, d.ProvenAt = DomainPending, time.Time{}
			return s.write(ctx, tx, "organization.domain.lost", before, d)
		case found:
			d.ProvenAt = asked
		}
		// When we looked last is no change of the domain (rule ORG-4).
		tx.dirty = true
		_, err = tx.sql.ExecContext(ctx, `UPDATE orgauthz_domains SET checked_at = $3, proven_at = $4 WHERE org_id = $1 AND id = $2`,
			org, id, asked.UnixMicro(), instant{&d.ProvenAt})
		return err
	})
}

// lookUp reports whether the text of d is where it has to be.
func (d *DiscoveryDomain) lookUp(ctx context.Context, resolver TXTResolver) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	texts, err := resolver.LookupTXT(ctx, d.VerificationHost)
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return false, nil
	}
	if err != nil {
		return false, errors.New("the DNS did not answer") // what it says may name hosts
	}
	return slices.ContainsFunc(texts, func(text string) bool { return strings.TrimSpace(text) == d.VerificationText }), nil
}

// Due returns domains of all organizations that Verify has not looked at since before, those waiting longest first, those that it
// has never looked at before all others; limit is 1 to 1,000, 0 means 50. Call Verify for each, now and then: proofs that are never
// looked at again stay.
func (s *DiscoveryDomains) Due(ctx context.Context, before time.Time, limit int) ([]*DiscoveryDomain, error) {
	limit, err := ListOptions{Limit: limit}.limit()
	if err != nil {
		return nil, err
	}
	return read(ctx, s.e, func(q queryer) ([]*DiscoveryDomain, error) {
		return collect(ctx, q, `
			SELECT `+domainColumns+` FROM orgauthz_domains d JOIN orgauthz_organizations o ON o.id = d.org_id AND o.deleted_at IS NULL
			WHERE d.checked_at < $1 ORDER BY d.checked_at, d.id LIMIT $2`, []any{before.UnixMicro(), limit}, scanDomain)
	})
}

// DomainMatch is an organization that an e-mail address leads to, and the domain by which it does.
type DomainMatch struct {
	Organization *Organization
	Domain       *DiscoveryDomain
}

// Discover returns a page of the organizations that email leads to at a login (rule DOM-1): those that have its domain, verified
// and for discovery, or else those that have the closest domain above it together with its subdomains. They may be suspended.
// email is an e-mail address, or a domain alone. Sorted by organization id.
//
// It only helps people to find their organization: nothing follows from it. Errors: Invalid (email).
func (s *DiscoveryDomains) Discover(ctx context.Context, email string, opts ListOptions) (Page[DomainMatch], error) {
	return s.match(ctx, "discover", email, `d.status = 'verified' AND d.discovery = 1`, opts)
}

// Joinable is Discover for what makes people members (rule AUTO-1): it goes by domains that Verify has proven, whether they are for
// discovery or not, of organizations whose AutoJoin is not off. email must be an address that its user is known to have. Errors: Invalid (email).
func (s *DiscoveryDomains) Joinable(ctx context.Context, email string, opts ListOptions) (Page[DomainMatch], error) {
	return s.match(ctx, "joinable", email, `d.proven_at IS NOT NULL AND o.auto_join <> 'off'`, opts)
}

// match returns the matches of email among the domains that condition selects.
func (s *DiscoveryDomains) match(ctx context.Context, list, email, condition string, opts ListOptions) (Page[DomainMatch], error) {
	name, ok := domainOf(email[strings.LastIndexByte(email, '@')+1:])
	if !ok {
		return Page[DomainMatch]{}, &Invalid{"email", "DOM-1", "must be an e-mail address, or a domain"}
	}
	above, args := "", []any{name}
	last, err := publicsuffix.EffectiveTLDPlusOne(name)
	for parent := name; err == nil && parent != last; {
		_, parent, _ = strings.Cut(parent, ".")
		args = append(args, parent)
		above += " OR d.subdomains = 1 AND d.domain = $" + strconv.Itoa(len(args))
	}
	args = append(args, s.e.cfg.Clock().UnixMicro())
	matching := ` FROM orgauthz_domains d JOIN orgauthz_organizations o ON o.id = d.org_id AND o.deleted_at IS NULL
		AND (o.delete_at IS NULL OR o.delete_at > $` + strconv.Itoa(len(args)) + `)
		WHERE ` + condition + ` AND (d.domain = $1` + above + `)`
	return listing[DomainMatch]{
		name: list + " " + name,
		query: `SELECT ` + domainColumns + `, ` + organizationColumns + matching + `
			AND d.domain = (SELECT d.domain` + matching + ` ORDER BY LENGTH(d.domain) DESC LIMIT 1)`,
		args: args,
		id:   "d.org_id",
		scan: scanMatch,
		key:  byID(func(m DomainMatch) string { return m.Organization.ID }),
	}.read(ctx, s.e, opts)
}

func scanMatch(row scanner) (DomainMatch, error) {
	m := DomainMatch{&Organization{}, &DiscoveryDomain{}}
	return m, row.Scan(append(m.Domain.columns(), m.Organization.columns()...)...)
}
