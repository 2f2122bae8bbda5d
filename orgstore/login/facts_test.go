package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// scene is the scenario of Travel0 in an engine: three organizations, their connections and people.
type scene struct {
	*testing.T
	*Service
	orgs, connections map[string]string // ids by name
}

func newScene(t *testing.T, cfg Config) *scene {
	engine := open(t, orgstore.Config{Limits: orgstore.Limits{Requests: 3}})
	s := &scene{T: t, orgs: map[string]string{}, connections: map[string]string{}}
	var err error
	s.Service, err = New(engine, cfg)
	s.ok(err)
	ctx := t.Context()
	for _, c := range []orgstore.Connection{
		{Name: "travel0", Strategy: "auth0", Signup: true},
		{Name: "granite-okta", Strategy: "okta", Domains: []string{"granite.example"}},
		{Name: "adventurez-saml", Strategy: "samlp", Domains: []string{"adventurez.example"}},
	} {
		made, _, err := engine.Connections.Create(ctx, c)
		s.ok(err)
		s.connections[c.Name] = made.ID
	}
	_, _, err = engine.Clients.Create(ctx, orgstore.Client{
		ID: "adventures", Name: "Adventure Management", FirstParty: true, OIDCConformant: true,
		OrganizationUsage: orgstore.OrganizationRequire, OrganizationRequireBehavior: orgstore.PostLoginPrompt,
		Callbacks: []string{"https://{organization_name}.travel0.example/cb"},
	})
	s.ok(err)
	_, err = engine.Connections.EnableClients(ctx, s.connections["travel0"], "adventures")
	s.ok(err)
	for org, connections := range map[string][]string{"granite": {"travel0"}, "adventurez": {"adventurez-saml"}, "rocky": {"travel0"}} {
		o, _, err := engine.Organizations.Create(ctx, orgstore.Organization{Name: org})
		s.ok(err)
		s.orgs[org] = o.ID
		for _, c := range connections {
			s.enable(org, c, orgstore.EnabledConnectionSettings{})
		}
	}
	for user, orgs := range map[string][]string{
		"auth0|jonno": {"rocky"}, "auth0|hiroko": {"granite"}, "okta|hiroko": {"granite"}, "auth0|emilio": {"granite", "rocky"},
		"auth0|sumana": nil, "samlp|sumana": {"adventurez"}, "samlp|freelancer": nil,
	} {
		_, _, err := engine.Users.Create(ctx, orgstore.User{ID: user})
		s.ok(err)
		for _, org := range orgs {
			_, err := engine.Members.Add(ctx, s.orgs[org], user, orgstore.MemberOptions{})
			s.ok(err)
		}
	}
	return s
}

func (s *scene) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *scene) enable(org, connection string, settings orgstore.EnabledConnectionSettings) {
	s.Helper()
	_, _, err := s.engine.EnabledConnections.Add(s.Context(), s.orgs[org], s.connections[connection], settings)
	s.ok(err)
}

// in is the outcome of a login: the organization, or what is asked, or why not.
func (s *scene) in(req Request, user, connection string) string {
	s.Helper()
	req.Client = "adventures"
	if id, ok := s.orgs[req.Organization]; ok {
		req.Organization = id
	}
	r, err := s.Complete(s.Context(), req, Authentication{User: user, Connection: s.connections[connection]})
	return s.shown(r, err)
}

func (s *scene) shown(r *Result, err error) string {
	refused, ok := errors.AsType[*Error](err)
	switch {
	case ok:
		text := refused.Code + ": " + refused.Description
		for name, id := range s.orgs {
			text = strings.ReplaceAll(text, id, name)
		}
		return text
	case err != nil:
		return "unknown: " + err.Error()
	case r.Step != nil:
		return shown(r.Step)
	case r.Access == nil:
		return "personal"
	}
	return strings.TrimSpace(r.Access.Org.Name + " " + string(r.Access.Member.Via) + string(r.Joined))
}

func (s *scene) planned(req Request) string {
	s.Helper()
	req.Client = "adventures"
	if id, ok := s.orgs[req.Organization]; ok {
		req.Organization = id
	}
	step, err := s.Plan(s.Context(), req)
	return s.shown(&Result{Step: step}, err)
}

func TestPicker(t *testing.T) {
	t.Parallel()
	s := newScene(t, Config{})
	order := func() (names string) {
		t.Helper()
		step, err := s.Plan(t.Context(), Request{Client: "adventures", User: "auth0|emilio", UserConnection: s.connections["travel0"]})
		s.ok(err)
		for _, o := range step.Organizations {
			names += o.Name + " "
		}
		return names
	}
	for _, last := range []string{"rocky", "granite"} {
		// What was used is noted once a minute: each organization has its turn once.
		if got := s.in(Request{Organization: last}, "auth0|emilio", "travel0"); got != last {
			t.Fatal(got)
		}
		if got := order(); !strings.HasPrefix(got, last+" ") {
			t.Errorf("LOG-5: after %s the picker shows %s", last, got)
		}
	}
	_, err := s.engine.Organizations.Update(t.Context(), s.orgs["granite"], orgstore.OrganizationUpdate{Name: new("zion")})
	s.ok(err)
	_, err = s.engine.Tenant.Update(t.Context(), orgstore.TenantUpdate{PickerOrder: new(orgstore.PickByName)})
	s.ok(err)
	if got := order(); got != "rocky zion " {
		t.Errorf("LOG-5: by name the picker shows %s", got)
	}
	if got := s.planned(Request{User: "auth0|emilio", Query: "ROC"}); got != "picker rocky" {
		t.Errorf("LOG-5: a search: %s", got)
	}
	if got := s.planned(Request{User: "auth0|emilio", After: "x"}); !strings.HasPrefix(got, "unknown: orgstore: After must be") {
		t.Errorf("LOG-5: a foreign cursor: %s", got)
	}
}

// text is a TXTResolver that answers with one text.
type text string

func (s text) LookupTXT(context.Context, string) ([]string, error) { return []string{string(s)}, nil }

func TestDomainJoin(t *testing.T) {
	t.Parallel()
	const refused = "access_denied: user auth0|new is not part of the granite organization"
	for _, tt := range []struct {
		name, email string
		verified    bool
		join        orgstore.AutoJoin
		proven      bool
		want        string
	}{
		{"JIT-3: a verified address in a proven domain", "new@granite.example", true, orgstore.AutoJoinAutomatic, true, "granite domain"},
		{"JIT-3: an unverified address never joins", "new@granite.example", false, orgstore.AutoJoinAutomatic, true, refused},
		{"JIT-3: another domain", "new@example.com", true, orgstore.AutoJoinAutomatic, true, refused},
		{"JIT-3: a domain that only somebody wrote to be verified", "new@granite.example", true, orgstore.AutoJoinAutomatic, false, refused},
		{"AUTO-2: with approval", "new@granite.example", true, orgstore.AutoJoinApproval, true, refused + " (approval, 1 asked)"},
		{"AUTO-2: with approval, an unverified address", "new@granite.example", false, orgstore.AutoJoinApproval, true, refused},
		{"AUTO-2: with approval, a domain that is not proven", "new@granite.example", true, orgstore.AutoJoinApproval, false, refused},
		{"AUTO-2: a suggestion", "new@granite.example", true, orgstore.AutoJoinSuggest, true, refused + " (suggest, 0 asked)"},
		{"AUTO-2: a suggestion for another domain", "new@example.com", true, orgstore.AutoJoinSuggest, true, refused},
		{"JIT-3: switched off", "new@granite.example", true, orgstore.AutoJoinOff, true, refused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, Config{})
			_, _, err := s.engine.Users.Create(t.Context(), orgstore.User{ID: "auth0|new", Identities: []orgstore.Identity{
				{Connection: s.connections["travel0"], ID: "new", Email: tt.email, EmailVerified: tt.verified},
			}})
			s.ok(err)
			_, err = s.engine.Organizations.Update(t.Context(), s.orgs["granite"], orgstore.OrganizationUpdate{AutoJoin: &tt.join})
			s.ok(err)
			d, _, err := s.engine.DiscoveryDomains.Create(t.Context(), orgstore.DiscoveryDomain{
				Organization: s.orgs["granite"], Domain: "granite.example", Status: orgstore.DomainVerified,
			})
			s.ok(err)
			if tt.proven {
				_, _, err := s.engine.DiscoveryDomains.Verify(t.Context(), s.orgs["granite"], d.ID, text(d.VerificationText))
				s.ok(err)
			}
			for i := range 2 { // asking again changes nothing
				r, err := s.Complete(t.Context(), Request{Client: "adventures", Organization: s.orgs["granite"]},
					Authentication{User: "auth0|new", Connection: s.connections["travel0"]})
				got, want := s.shown(r, err), tt.want
				if i > 0 {
					want = strings.TrimSuffix(want, " domain")
				}
				requests, failed := s.engine.Requests.List(t.Context(), s.orgs["granite"], orgstore.RequestListOptions{})
				s.ok(failed)
				refused, ok := errors.AsType[*Error](err)
				if ok && refused.AutoJoin != "" {
					got += fmt.Sprintf(" (%s, %d asked)", refused.AutoJoin, len(requests.Items))
				} else if len(requests.Items) > 0 {
					t.Error("a request was made")
				}
				if got != want {
					t.Errorf("%s, want %s", got, want)
				}
			}
		})
	}
	t.Run("AUTO-2: an organization that waits for answers enough", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, Config{})
		s.prove("granite", "granite.example", orgstore.AutoJoinApproval)
		for _, user := range []string{"auth0|jonno", "auth0|sumana", "samlp|sumana"} {
			_, _, err := s.engine.Requests.Create(t.Context(), s.orgs["granite"], user, "")
			s.ok(err)
		}
		s.known("auth0|new", "travel0", "new@granite.example")
		r, err := s.Complete(t.Context(), Request{Client: "adventures", Organization: s.orgs["granite"]},
			Authentication{User: "auth0|new", Connection: s.connections["travel0"]})
		if refused, ok := errors.AsType[*Error](err); !ok || refused.AutoJoin != "" {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("AUTO-2: an enterprise's identity provider knows its own domains only", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, Config{})
		s.prove("granite", "granite.example", orgstore.AutoJoinApproval)
		s.enable("granite", "adventurez-saml", orgstore.EnabledConnectionSettings{})
		s.known("samlp|new", "adventurez-saml", "new@granite.example")
		_, err := s.Complete(t.Context(), Request{Client: "adventures", Organization: s.orgs["granite"]},
			Authentication{User: "samlp|new", Connection: s.connections["adventurez-saml"]})
		if refused, ok := errors.AsType[*Error](err); !ok || refused.AutoJoin != "" {
			t.Error(err)
		}
	})
	t.Run("AUTO-2: who joins another organization asks nothing of this one", func(t *testing.T) {
		t.Parallel()
		s := newScene(t, Config{})
		s.prove("granite", "granite.example", orgstore.AutoJoinApproval)
		s.known("auth0|new", "travel0", "new@granite.example")
		s.in(Request{Organization: "rocky"}, "auth0|new", "travel0")
		requests, err := s.engine.Requests.List(t.Context(), s.orgs["granite"], orgstore.RequestListOptions{})
		s.ok(err)
		if len(requests.Items) > 0 {
			t.Errorf("%+v", requests.Items)
		}
	})
	c := connection("samlp", "saml", "adventurez.example")
	for email, want := range map[string]string{"a@adventurez.example": "a@adventurez.example", "a@granite.example": ""} {
		u := &orgstore.User{Identities: []orgstore.Identity{{Connection: c.ID, Email: email, EmailVerified: true}}}
		if got := proven(u, c); got != want {
			t.Errorf("JIT-3: an enterprise's identity provider proves %q", got)
		}
	}
}

// prove makes a domain one that the organization has proven, with what follows from it.
func (s *scene) prove(org, domain string, join orgstore.AutoJoin) {
	s.Helper()
	_, err := s.engine.Organizations.Update(s.Context(), s.orgs[org], orgstore.OrganizationUpdate{AutoJoin: &join})
	s.ok(err)
	d, _, err := s.engine.DiscoveryDomains.Create(s.Context(), orgstore.DiscoveryDomain{Organization: s.orgs[org], Domain: domain})
	s.ok(err)
	_, _, err = s.engine.DiscoveryDomains.Verify(s.Context(), s.orgs[org], d.ID, text(d.VerificationText))
	s.ok(err)
}

// known makes a user with a verified address at a connection.
func (s *scene) known(user, connection, email string) {
	s.Helper()
	_, _, err := s.engine.Users.Create(s.Context(), orgstore.User{ID: user, Identities: []orgstore.Identity{
		{Connection: s.connections[connection], ID: user, Email: email, EmailVerified: true},
	}})
	s.ok(err)
}

func TestTravel0(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*scene) (got, want string){
		"LOG-6: Jonno, of one organization, in the database": func(s *scene) (string, string) {
			return s.in(Request{}, "auth0|jonno", "travel0"), "rocky"
		},
		"LOG-6: Jonno elsewhere": func(s *scene) (string, string) {
			return s.in(Request{Organization: "granite"}, "auth0|jonno", "travel0"),
				"access_denied: user auth0|jonno is not part of the granite organization"
		},
		"LOG-6: Hiroko in the database": func(s *scene) (string, string) {
			return s.in(Request{Organization: "granite"}, "auth0|hiroko", "travel0"), "granite"
		},
		"LOG-6: Hiroko at Granite's identity provider before it is enabled": func(s *scene) (string, string) {
			return s.in(Request{Organization: "granite"}, "okta|hiroko", "granite-okta"),
				"access_denied: the connection is not enabled for the organization"
		},
		"LOG-6: Hiroko at Granite's identity provider": func(s *scene) (string, string) {
			s.enable("granite", "granite-okta", orgstore.EnabledConnectionSettings{})
			return s.in(Request{Organization: "granite"}, "okta|hiroko", "granite-okta"), "granite"
		},
		"LOG-3: where the connection's settings are kept but it is off": func(s *scene) (string, string) {
			s.enable("granite", "granite-okta", orgstore.EnabledConnectionSettings{Enabled: new(false)})
			return s.in(Request{Organization: "granite"}, "okta|hiroko", "granite-okta"),
				"access_denied: the connection is not enabled for the organization"
		},
		"LOG-5: Emilio picks": func(s *scene) (string, string) {
			return s.in(Request{}, "auth0|emilio", "travel0"), "picker granite rocky"
		},
		"LOG-5: Emilio has picked": func(s *scene) (string, string) {
			return s.in(Request{Organization: "rocky", RedirectURI: "https://rocky.travel0.example/cb"}, "auth0|emilio", "travel0"), "rocky"
		},
		"LOG-5: a suspended organization cannot be picked": func(s *scene) (string, string) {
			_, err := s.engine.Organizations.Suspend(s.Context(), s.orgs["granite"])
			s.ok(err)
			return s.in(Request{}, "auth0|emilio", "travel0"), "rocky"
		},
		"LOG-1: a suspended organization": func(s *scene) (string, string) {
			_, err := s.engine.Organizations.Suspend(s.Context(), s.orgs["granite"])
			s.ok(err)
			return s.planned(Request{Organization: "granite"}), "invalid_request: parameter organization is invalid: granite"
		},
		"LOG-1: a deleted organization": func(s *scene) (string, string) {
			_, err := s.engine.Organizations.Delete(s.Context(), s.orgs["granite"])
			s.ok(err)
			return s.planned(Request{Organization: "granite"}), "invalid_request: parameter organization is invalid: granite"
		},
		"LOG-4: Sumana's address leads to her identity provider": func(s *scene) (string, string) {
			return s.planned(Request{Identifier: "sumana@adventurez.example"}), "connection adventurez-saml"
		},
		"LOG-4: another address leads to the database": func(s *scene) (string, string) {
			return s.planned(Request{Identifier: "emilio@example.com"}), "credentials +signup travel0"
		},
		"LOG-3: a hidden connection is not shown": func(s *scene) (string, string) {
			s.enable("granite", "granite-okta", orgstore.EnabledConnectionSettings{ShowAsButton: new(false)})
			return s.planned(Request{Organization: "granite"}), "credentials for granite travel0"
		},
		"LOG-3: the organization says who may sign up": func(s *scene) (string, string) {
			_, err := s.engine.EnabledConnections.Update(s.Context(), s.orgs["granite"], s.connections["travel0"],
				orgstore.EnabledConnectionSettings{Signup: new(true), AssignMembershipOnLogin: new(true)})
			s.ok(err)
			return s.planned(Request{Organization: "granite"}), "credentials +signup for granite travel0"
		},
		"JIT-1: Sumana at AdventureZ's identity provider, enabled for Rocky too": func(s *scene) (string, string) {
			s.enable("rocky", "adventurez-saml", orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true)})
			return s.in(Request{Organization: "rocky"}, "samlp|sumana", "adventurez-saml"), "rocky jit"
		},
		"JIT-1: and without context": func(s *scene) (string, string) {
			s.enable("rocky", "adventurez-saml", orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true)})
			return s.in(Request{}, "samlp|sumana", "adventurez-saml"), "picker adventurez rocky"
		},
		"JIT-1: a suspended membership is not made anew": func(s *scene) (string, string) {
			_, err := s.engine.EnabledConnections.Update(s.Context(), s.orgs["rocky"], s.connections["travel0"],
				orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true)})
			s.ok(err)
			_, err = s.engine.Members.Suspend(s.Context(), s.orgs["rocky"], "auth0|jonno")
			s.ok(err)
			return s.in(Request{Organization: "rocky"}, "auth0|jonno", "travel0"),
				"access_denied: user auth0|jonno is not part of the rocky organization"
		},
		"CTR-1: Sumana, employed by AdventureZ, under Rocky's contract": func(s *scene) (string, string) {
			s.contract()
			return s.in(Request{Organization: "rocky"}, "samlp|sumana", "adventurez-saml"), "rocky contract"
		},
		"CTR-1: a freelancer of AdventureZ is refused at Rocky": func(s *scene) (string, string) {
			s.contract()
			_, err := s.engine.Members.Add(s.Context(), s.orgs["adventurez"], "samlp|freelancer", orgstore.MemberOptions{Kind: "freelancer"})
			s.ok(err)
			return s.in(Request{Organization: "rocky"}, "samlp|freelancer", "adventurez-saml"),
				"access_denied: user samlp|freelancer is not part of the rocky organization"
		},
		"LOG-4: a discovery domain": func(s *scene) (string, string) {
			s.prompt()
			_, _, err := s.engine.DiscoveryDomains.Create(s.Context(), orgstore.DiscoveryDomain{
				Organization: s.orgs["granite"], Domain: "granite.example", Status: orgstore.DomainVerified, Discovery: true,
			})
			s.ok(err)
			return s.planned(Request{Entered: "hiroko@granite.example"}), "credentials for granite travel0"
		},
		"LOG-4: a pending discovery domain": func(s *scene) (string, string) {
			s.prompt()
			_, _, err := s.engine.DiscoveryDomains.Create(s.Context(), orgstore.DiscoveryDomain{
				Organization: s.orgs["granite"], Domain: "granite.example", Discovery: true,
			})
			s.ok(err)
			return s.planned(Request{Entered: "hiroko@granite.example"}), "invalid_request: no organization was found"
		},
		"LOG-4: no domain": func(s *scene) (string, string) {
			s.prompt()
			return s.planned(Request{Entered: "hiroko@\x00"}), "invalid_request: no organization was found"
		},
		"APP-1: entitlement without an association": func(s *scene) (string, string) {
			_, err := s.engine.Organizations.Update(s.Context(), s.orgs["rocky"], orgstore.OrganizationUpdate{AppEntitlement: new(true)})
			s.ok(err)
			return s.in(Request{Organization: "rocky"}, "auth0|jonno", "travel0"), "invalid_request: parameter organization is invalid: rocky"
		},
		"APP-1: entitlement with an association": func(s *scene) (string, string) {
			_, err := s.engine.OrganizationClients.Add(s.Context(), s.orgs["rocky"],
				orgstore.NewOrganizationClient{ClientID: "adventures", UseForMemberAccess: true})
			s.ok(err)
			_, err = s.engine.Organizations.Update(s.Context(), s.orgs["rocky"], orgstore.OrganizationUpdate{AppEntitlement: new(true)})
			s.ok(err)
			return s.in(Request{Organization: "rocky"}, "auth0|jonno", "travel0"), "rocky"
		},
		"LOG-2: a name before the tenant allows it": func(s *scene) (string, string) {
			r, err := s.Plan(s.Context(), Request{Client: "adventures", Organization: "Rocky"})
			return s.shown(&Result{Step: r}, err), "invalid_request: authorization request parameter organization must be an organization id"
		},
		"LOG-2: a name where the tenant allows it": func(s *scene) (string, string) {
			_, err := s.engine.Tenant.Update(s.Context(), orgstore.TenantUpdate{OrganizationNames: new(true)})
			s.ok(err)
			r, err := s.Plan(s.Context(), Request{Client: "adventures", Organization: "Rocky"})
			return s.shown(&Result{Step: r}, err), "credentials for rocky travel0"
		},
		"LOG-4: the tenant's default database": func(s *scene) (string, string) {
			made, _, err := s.engine.Connections.Create(s.Context(), orgstore.Connection{Name: "customers", Strategy: "auth0"})
			s.ok(err)
			_, err = s.engine.Tenant.Update(s.Context(), orgstore.TenantUpdate{DefaultDirectory: &made.ID})
			s.ok(err)
			return s.planned(Request{Identifier: "emilio@example.com"}), "credentials customers"
		},
		"SEC-1: a policy that allows another connection": func(s *scene) (string, string) {
			_, err := s.engine.Organizations.SetSecurity(s.Context(), s.orgs["rocky"],
				&orgstore.SecurityPolicy{Connections: []string{s.connections["granite-okta"]}})
			s.ok(err)
			return s.in(Request{Organization: "rocky"}, "auth0|jonno", "travel0"), "invalid_request: no connections enabled for the organization"
		},
		"URL-1: another organization's callback": func(s *scene) (string, string) {
			return s.in(Request{Organization: "rocky", RedirectURI: "https://granite.travel0.example/cb"}, "auth0|jonno", "travel0"),
				"invalid_request: the redirect URI is not allowed for the client"
		},
		"LOG-6: an application that is not there": func(s *scene) (string, string) {
			r, err := s.Complete(s.Context(), Request{Client: "unknown"}, Authentication{User: "auth0|jonno"})
			return s.shown(r, err), "unauthorized_client: unknown client"
		},
		"LOG-6: a store that is closed is no refusal": func(s *scene) (string, string) {
			s.ok(s.engine.Close())
			got := s.in(Request{Organization: "rocky"}, "auth0|jonno", "travel0")
			return got[:len("unknown: ")], "unknown: "
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, want := play(newScene(t, Config{})); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
	if _, err := New(nil, Config{}); err == nil {
		t.Error("a service without an engine")
	}
}

// contract lets Rocky admit the employees of AdventureZ, who log in at their own identity provider.
func (s *scene) contract() {
	s.Helper()
	_, _, err := s.engine.Contracts.Create(s.Context(), orgstore.Contract{Host: s.orgs["rocky"], Guest: s.orgs["adventurez"]})
	s.ok(err)
	s.enable("rocky", "adventurez-saml", orgstore.EnabledConnectionSettings{})
}

// prompt makes the application ask for an organization first.
func (s *scene) prompt() {
	s.Helper()
	_, err := s.engine.Clients.Update(s.Context(), "adventures", orgstore.ClientUpdate{
		OrganizationRequireBehavior: new(orgstore.PreLoginPrompt), OrganizationDiscoveryMethods: &[]string{ByEmail, ByName},
	})
	s.ok(err)
}
