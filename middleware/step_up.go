package middleware

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/orgstore"
)

// stepUp answers whether the login that the token is from suffices for what the organization demands (rule SEC-1), and how a
// client can make one that does (RFC 9470 section 3). What the token does not say does not suffice. Applications that act for
// themselves have no login.
func (g *Guard) stepUp(action string, c *claims.Claims, a *orgstore.Access) *Refusal {
	p := a.Org.Security
	if p == nil || a.Member.Kind == "machine" {
		return nil
	}
	wants := ""
	if p.MFA && !slices.Contains(c.AMR, "mfa") && (c.ACR == "" || !slices.Contains(p.ACR, c.ACR)) {
		wants = "no_second_factor"
	}
	if !p.Knows(c.AMR) {
		wants = "another_method"
	}
	if p.MaxSession > 0 && (c.AuthTime.IsZero() || time.Since(c.AuthTime) > p.MaxSession+g.cfg.ClockSkew) {
		wants = "authenticated_too_long_ago"
	}
	if wants == "" {
		return nil
	}
	no := g.refuse(action, CodeStepUp, wants, nil)
	if p.MFA && len(p.ACR) > 0 {
		no.Challenge += `, acr_values="` + strings.Join(p.ACR, " ") + `"`
	}
	if p.MaxSession > 0 {
		no.Challenge += `, max_age="` + strconv.FormatInt(int64(p.MaxSession/time.Second), 10) + `"`
	}
	return no
}
