package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// SecurityPolicy is what an organization demands of the logins to it (rule SEC-1). The zero value of a field demands nothing.
type SecurityPolicy struct {
	// Connections are the ids of the connections that a login may come through, sorted.
	Connections []string `json:"connections,omitempty"`
	// MFA demands a second factor: an acr of ACR, or "mfa" among the amr of the token (RFC 8176).
	MFA bool `json:"mfa,omitempty"`
	// ACR are the authentication contexts that count as a second factor, as the identity provider calls them, best first. A
	// login that has to be repeated is asked for with them (RFC 9470).
	ACR []string `json:"acr,omitempty"`
	// Methods are the authentication methods of which a login has to have used one: values of amr, as the identity provider calls
	// them (RFC 8176), sorted. A login that says none has used none of them.
	Methods []string `json:"methods,omitempty"`
	// Networks are those that a login may come from, IPv4 or IPv6, sorted. Tokens do not say it: whoever decides logins and
	// gives out tokens checks it.
	Networks []netip.Prefix `json:"networks,omitempty"`
	// MaxSession is how long ago somebody may have authenticated, in whole seconds.
	MaxSession time.Duration `json:"max_session,omitempty"`
	// MaxIdle is for how long a session may have been idle, in whole seconds. Tokens do not say it: who keeps sessions checks it.
	MaxIdle time.Duration `json:"max_idle,omitempty"`
}

// Most values of the lists of a SecurityPolicy, and the longest of them.
const (
	maxSecurityValues = 20
	maxACR            = 255
	maxNetworks       = 100
)

// IsZero reports whether p demands nothing.
func (p *SecurityPolicy) IsZero() bool {
	return p == nil || len(p.Connections)+len(p.ACR)+len(p.Methods)+len(p.Networks) == 0 && !p.MFA && p.MaxSession == 0 && p.MaxIdle == 0
}

// Knows reports whether a login with these amr has used one of the methods that p demands, or p demands none.
func (p *SecurityPolicy) Knows(amr []string) bool {
	return p == nil || len(p.Methods) == 0 || slices.ContainsFunc(amr, func(m string) bool { return slices.Contains(p.Methods, m) })
}

// Admits reports whether p lets logins come from address, or demands nothing of it. An IPv4 address may be written in IPv6; an
// address that is not known is in no network.
func (p *SecurityPolicy) Admits(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	return p == nil || len(p.Networks) == 0 || slices.ContainsFunc(p.Networks, func(n netip.Prefix) bool { return n.Contains(address) })
}

func (p *SecurityPolicy) check() error {
	var err error
	if len(p.Connections) > maxSecurityValues || slices.ContainsFunc(p.Connections, func(id string) bool { return !validID("con_", id) }) {
		err = &Invalid{"connections", "SEC-1", "must be at most 20 ids of connections"}
	}
	bad := func(v string) bool {
		return v == "" || len(v) > maxACR || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	}
	if len(p.ACR) > maxSecurityValues || slices.ContainsFunc(p.ACR, bad) {
		err = errors.Join(err, &Invalid{"acr", "SEC-1", `must be at most 20 values of 1 to 255 ASCII characters without spaces, " and \`})
	}
	if len(p.Methods) > maxSecurityValues || slices.ContainsFunc(p.Methods, bad) {
		err = errors.Join(err, &Invalid{"methods", "SEC-1", `must be at most 20 values of 1 to 255 ASCII characters without spaces, " and \`})
	}
	strange := func(n netip.Prefix) bool { return !n.IsValid() || n.Addr().Is4In6() || n != n.Masked() }
	if len(p.Networks) > maxNetworks || slices.ContainsFunc(p.Networks, strange) {
		err = errors.Join(err, &Invalid{"networks", "SEC-1",
			"must be at most 100 networks in CIDR notation, without bits outside of the mask, IPv4 ones not written in IPv6"})
	}
	for field, d := range map[string]time.Duration{"max_session": p.MaxSession, "max_idle": p.MaxIdle} {
		if d < 0 || d%time.Second != 0 {
			err = errors.Join(err, &Invalid{field, "SEC-1", "must be whole seconds, or 0 for no bound"})
		}
	}
	return err
}

// SetSecurity makes p what the organization demands of logins, instead of what it has demanded so far; nil demands nothing. It
// counts for every token, also for those that were issued before.
//
// Errors: NotFound, Invalid (SEC-1).
func (s *Organizations) SetSecurity(ctx context.Context, id string, p *SecurityPolicy) (Result, error) {
	text := ""
	var after *SecurityPolicy
	if !p.IsZero() {
		if err := p.check(); err != nil {
			return Result{}, err
		}
		after = new(*p)
		after.Connections, after.Methods = unique(p.Connections), unique(p.Methods)
		after.Networks = slices.SortedFunc(slices.Values(p.Networks), netip.Prefix.Compare)
		after.Networks = slices.Compact(after.Networks)
		data, err := json.Marshal(after)
		if err != nil {
			return Result{}, err
		}
		text = string(data)
	}
	return s.e.mutate(ctx, call{"organizations.setSecurity", id, p}, func(tx *transaction) error {
		if err := tx.permit(ctx, id, "update:organizations"); err != nil {
			return err
		}
		if err := tx.lock(ctx, []Scope{OrganizationScope(id)}, nil); err != nil {
			return err
		}
		if _, err := organization(ctx, tx.sql, id); err != nil {
			return err
		}
		var was string
		if err := tx.sql.QueryRowContext(ctx, `SELECT security FROM orgauthz_organizations WHERE id = $1`, id).Scan(&was); err != nil || was == text {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_organizations SET security = $2 WHERE id = $1`, id, text); err != nil {
			return err
		}
		var before *SecurityPolicy
		if was != "" {
			if err := json.Unmarshal([]byte(was), &before); err != nil {
				return err
			}
		}
		type state struct {
			Security *SecurityPolicy `json:"security"`
		}
		return tx.raise(ctx, OrganizationScope(id), id, "organization.security.updated", state{before}, state{after})
	})
}
