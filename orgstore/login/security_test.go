package login

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestUnmet(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mfa := &orgstore.SecurityPolicy{MFA: true, ACR: []string{"gold"}}
	office := &orgstore.SecurityPolicy{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}
	from := func(address string) Authentication { return Authentication{Address: netip.MustParseAddr(address)} }
	methods := &orgstore.SecurityPolicy{Methods: []string{"hwk", "otp"}}
	for _, tt := range []struct {
		name   string
		policy *orgstore.SecurityPolicy
		auth   Authentication
		want   string
	}{
		{"SEC-1: no policy", nil, Authentication{}, ""},
		{"SEC-1: nothing demanded", &orgstore.SecurityPolicy{}, Authentication{}, ""},
		{"SEC-1: a connection", &orgstore.SecurityPolicy{Connections: []string{"con_a"}}, Authentication{Connection: "con_a"}, ""},
		{"SEC-1: another connection", &orgstore.SecurityPolicy{Connections: []string{"con_a"}}, Authentication{Connection: "con_b"}, AccessDenied},
		{"SEC-1: a second factor", mfa, Authentication{AMR: []string{"pwd", "mfa"}}, ""},
		{"SEC-1: a context that counts", mfa, Authentication{ACR: "gold"}, ""},
		{"SEC-1: a context that does not", mfa, Authentication{ACR: "silver", AMR: []string{"pwd"}}, UnmetRequirements},
		{"SEC-1: neither", mfa, Authentication{}, UnmetRequirements},
		{"SEC-1: no context counts", &orgstore.SecurityPolicy{MFA: true, ACR: []string{""}}, Authentication{}, UnmetRequirements},
		{"SEC-1: a method", methods, Authentication{AMR: []string{"pwd", "otp"}}, ""},
		{"SEC-1: other methods", methods, Authentication{AMR: []string{"pwd", "OTP"}}, UnmetRequirements},
		{"SEC-1: no methods", methods, Authentication{}, UnmetRequirements},
		{"SEC-1: a network", office, from("10.255.255.255"), ""},
		{"SEC-1: a network of IPv6", office, from("2001:db8::1"), ""},
		{"SEC-1: with a zone", office, from("2001:db8::1%eth0"), ""},
		{"SEC-1: IPv4 in IPv6", office, from("::ffff:10.0.0.1"), ""},
		{"SEC-1: another network", office, from("11.0.0.0"), AccessDenied},
		{"SEC-1: another network of IPv6", office, from("2001:db9::"), AccessDenied},
		{"SEC-1: an address that is not known", office, Authentication{}, AccessDenied},
		{"SEC-1: an address that is not known, and no networks", methods, Authentication{AMR: []string{"hwk"}}, ""},
		{"SEC-1: every network of IPv4", &orgstore.SecurityPolicy{Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}, from("::1"), AccessDenied},
		{"SEC-1: recent", &orgstore.SecurityPolicy{MaxSession: time.Hour}, Authentication{At: now.Add(-time.Hour)}, ""},
		{"SEC-1: now", &orgstore.SecurityPolicy{MaxSession: time.Hour}, Authentication{}, ""},
		{"SEC-1: too long ago", &orgstore.SecurityPolicy{MaxSession: time.Hour}, Authentication{At: now.Add(-time.Hour - 1)}, LoginRequired},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if refused, ok := errors.AsType[*Error](unmet(tt.policy, tt.auth, now)); ok {
				got = refused.Code
			}
			if got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	w := travel0()
	w.organizations[0].security = &orgstore.SecurityPolicy{Connections: []string{"con_granite-okta"}, MFA: true, ACR: []string{"gold"}}
	merging := *w
	merging.tenant.MergeConnections = true
	allow := application("allow", "")
	for _, tt := range []struct {
		name string
		w    *world
		req  Request
		want string
	}{
		{"SEC-1: only what the policy allows is shown", w, Request{Organization: "org_granite"}, "credentials +mfa for granite granite-okta"},
		{"SEC-1: also among the application's", &merging, Request{Organization: "org_granite"}, "credentials +mfa for granite granite-okta"},
		{"SEC-1: nor by name", w, Request{Organization: "org_granite", Connection: "travel0"}, "access_denied: the connection is not enabled for the organization"},
		{"SEC-1: a session through another connection is not enough", w, Request{Organization: "org_granite", User: "emilio", UserConnection: "con_travel0"}, "credentials +mfa for granite granite-okta"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := planned(tt.w, allow, tt.req); got != tt.want {
				t.Errorf("%s\nwant %s", got, tt.want)
			}
		})
	}
	t.Run("SEC-1: nobody becomes a member before the policy is met", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, Config{})
		s.assign("rocky", "travel0")
		_, err := s.engine.Organizations.SetSecurity(t.Context(), s.ids["rocky"], &orgstore.SecurityPolicy{MFA: true})
		s.ok(err)
		before := s.changes()
		const want = "unmet_authentication_requirements: the organization requires multi-factor authentication"
		if got := s.completed("rocky", "sumana", "travel0"); got != want || s.changes() != before {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
		r, err := s.Complete(t.Context(), Request{Organization: s.ids["rocky"]}, Authentication{User: "sumana", Connection: "con_travel0", AMR: []string{"mfa"}})
		s.ok(err)
		if r.Joined != JoinedByConnection {
			t.Errorf("%+v", r)
		}
	})
}
