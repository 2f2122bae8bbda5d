package login

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

const (
	notFound     = "invalid_request: invitation not found or already used"
	wrongAccount = "access_denied: the specified account is not allowed to accept the current invitation"
)

// newGuest is a scene in which "auth0|new" has the address that is invited, and "auth0|other" another one.
func newGuest(t *testing.T) *scene {
	s := newScene(t, Config{})
	for user, email := range map[string]string{"auth0|new": "new@example.com", "auth0|other": "other@example.com", "okta|new": "new@example.com"} {
		connection := s.connections["travel0"]
		if strings.HasPrefix(user, "okta") {
			connection = s.connections["granite-okta"]
		}
		_, _, err := s.engine.Users.Create(t.Context(), orgstore.User{ID: user, Identities: []orgstore.Identity{
			{Connection: connection, ID: user, Email: email, EmailVerified: user == "okta|new"},
		}})
		s.ok(err)
	}
	_, err := s.engine.Clients.Update(t.Context(), "adventures", orgstore.ClientUpdate{InitiateLoginURI: new("https://travel0.example/login?x=y")})
	s.ok(err)
	return s
}

// invite invites new@example.com to Rocky, and returns the ticket.
func (s *scene) invite(opts orgstore.InvitationOptions) string {
	s.Helper()
	opts.InviterName, opts.Client = "Jonno", "adventures"
	if opts.Email == "" {
		opts.Email = "New@example.com"
	}
	i, _, err := s.engine.Invitations.Create(s.Context(), s.orgs["rocky"], opts)
	s.ok(err)
	return i.Ticket
}

// member says whether the user is a member of Rocky.
func (s *scene) member(user string) bool {
	s.Helper()
	_, err := s.engine.Members.Get(s.Context(), s.orgs["rocky"], user)
	if err != nil && !errors.Is(err, orgstore.ErrNotFound) {
		s.Fatal(err)
	}
	return err == nil
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	for name, play := range map[string]func(*scene) (got, want string){
		"INV-6: the invitation makes a member": func(s *scene) (string, string) {
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{}), Organization: "rocky"}, "auth0|new", "travel0"), "rocky invitation"
		},
		"INV-6: the ticket alone says which organization it is": func(s *scene) (string, string) {
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "auth0|new", "travel0"), "rocky invitation"
		},
		"INV-6: before a connection that assigns membership": func(s *scene) (string, string) {
			_, err := s.engine.EnabledConnections.Update(s.Context(), s.orgs["rocky"], s.connections["travel0"],
				orgstore.EnabledConnectionSettings{AssignMembershipOnLogin: new(true)})
			s.ok(err)
			got := s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{Kind: "guest"})}, "auth0|new", "travel0")
			m, err := s.engine.Members.Get(s.Context(), s.orgs["rocky"], "auth0|new")
			s.ok(err)
			return got + " " + m.Kind + " " + m.JoinedBy, "rocky invitation guest invitation"
		},
		"INV-6: a member gets the roles": func(s *scene) (string, string) {
			_, err := s.engine.Members.Add(s.Context(), s.orgs["rocky"], "auth0|new", orgstore.MemberOptions{})
			s.ok(err)
			role, _, err := s.engine.Roles.Create(s.Context(), orgstore.Role{Name: "guide"})
			s.ok(err)
			ticket := s.invite(orgstore.InvitationOptions{Roles: []string{role.ID}})
			r, err := s.Complete(s.Context(), Request{Client: "adventures", Invitation: ticket},
				Authentication{User: "auth0|new", Connection: s.connections["travel0"]})
			s.ok(err)
			if r.Accepted == nil || r.Accepted.Joined || len(r.Access.Member.Roles) != 1 || len(r.Revision) == 0 {
				s.Errorf("%+v", r)
			}
			return s.shown(r, err), "rocky"
		},
		"INV-6: more roles than a member may hold": func(s *scene) (string, string) {
			var roles []string
			for i := range 51 {
				r, _, err := s.engine.Roles.Create(s.Context(), orgstore.Role{Name: "role" + strings.Repeat("x", i)})
				s.ok(err)
				roles = append(roles, r.ID)
			}
			_, err := s.engine.Members.Add(s.Context(), s.orgs["rocky"], "auth0|new", orgstore.MemberOptions{Roles: roles[:50]})
			s.ok(err)
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{Roles: roles[50:]})}, "auth0|new", "travel0"),
				"access_denied: a member of the organization cannot have more roles"
		},
		"INV-3: used twice": func(s *scene) (string, string) {
			req := Request{Invitation: s.invite(orgstore.InvitationOptions{})}
			if got := s.in(req, "auth0|new", "travel0"); got != "rocky invitation" {
				s.Error(got)
			}
			return s.in(req, "auth0|new", "travel0"), notFound
		},
		"INV-3: no such ticket": func(s *scene) (string, string) { return s.planned(Request{Invitation: "x\x00\xff"}), notFound },
		"INV-7: revoked": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			i, err := s.engine.Invitations.GetByTicket(s.Context(), ticket)
			s.ok(err)
			_, err = s.engine.Invitations.Revoke(s.Context(), s.orgs["rocky"], i.ID)
			s.ok(err)
			return s.planned(Request{Invitation: ticket}), notFound
		},
		"INV-3: of another organization": func(s *scene) (string, string) {
			return s.planned(Request{Invitation: s.invite(orgstore.InvitationOptions{}), Organization: "granite"}), notFound
		},
		"INV-3: to an application that allows no organizations": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			_, err := s.engine.Clients.Update(s.Context(), "adventures", orgstore.ClientUpdate{OrganizationUsage: new(orgstore.OrganizationDeny)})
			s.ok(err)
			return s.planned(Request{Invitation: ticket}), "invalid_request: parameter organization is not allowed for this client"
		},
		"INV-4: a wrong account": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			got := s.in(Request{Invitation: ticket}, "auth0|other", "travel0")
			if s.member("auth0|other") {
				s.Error("a member all the same")
			}
			return got, wrongAccount
		},
		"INV-4: a member of the organization with a wrong account": func(s *scene) (string, string) {
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "auth0|jonno", "travel0"), wrongAccount
		},
		"INV-4: the right address at a connection that is not enabled": func(s *scene) (string, string) {
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "okta|new", "granite-okta"), wrongAccount
		},
		"INV-4: an enterprise is believed for its own domains": func(s *scene) (string, string) {
			s.enable("rocky", "granite-okta", orgstore.EnabledConnectionSettings{})
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "okta|new", "granite-okta"), wrongAccount
		},
		"INV-4: and where the invitation asks for it": func(s *scene) (string, string) {
			s.enable("rocky", "granite-okta", orgstore.EnabledConnectionSettings{})
			ticket := s.invite(orgstore.InvitationOptions{Connection: s.connections["granite-okta"]})
			return s.in(Request{Invitation: ticket}, "okta|new", "granite-okta"), "rocky invitation"
		},
		"INV-4: through another connection than the invitation's": func(s *scene) (string, string) {
			s.enable("rocky", "granite-okta", orgstore.EnabledConnectionSettings{})
			ticket := s.invite(orgstore.InvitationOptions{Connection: s.connections["granite-okta"]})
			return s.in(Request{Invitation: ticket}, "auth0|new", "travel0"), wrongAccount
		},
		"INV-4: a blocked user": func(s *scene) (string, string) {
			_, err := s.engine.Users.Block(s.Context(), "auth0|new")
			s.ok(err)
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "auth0|new", "travel0"), "access_denied: user is blocked"
		},
		"INV-5: the tenth wrong account ends it": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			for range 10 {
				if got := s.in(Request{Invitation: ticket}, "auth0|other", "travel0"); got != wrongAccount {
					s.Error(got)
				}
			}
			return s.in(Request{Invitation: ticket}, "auth0|new", "travel0"), notFound
		},
		"INV-5: nine leave it": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			for range 9 {
				s.in(Request{Invitation: ticket}, "auth0|other", "travel0")
			}
			return s.in(Request{Invitation: ticket}, "auth0|new", "travel0"), "rocky invitation"
		},
		"INV-5: asking what is next counts nothing": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			for range 11 {
				s.planned(Request{Invitation: ticket, User: "auth0|other", UserConnection: s.connections["travel0"]})
			}
			return s.in(Request{Invitation: ticket}, "auth0|new", "travel0"), "rocky invitation"
		},
		"INV-4: whose session is another's is asked to log in": func(s *scene) (string, string) {
			return s.planned(Request{
				Invitation: s.invite(orgstore.InvitationOptions{}), User: "auth0|other", UserConnection: s.connections["travel0"],
			}), "credentials +signup for rocky travel0"
		},
		"INV-4: whose session is the invited one's is not": func(s *scene) (string, string) {
			return s.planned(Request{
				Invitation: s.invite(orgstore.InvitationOptions{}), User: "auth0|new", UserConnection: s.connections["travel0"],
			}), "complete for rocky"
		},
		"INV-4: the connection is the invitation's": func(s *scene) (string, string) {
			s.enable("rocky", "granite-okta", orgstore.EnabledConnectionSettings{})
			ticket := s.invite(orgstore.InvitationOptions{Connection: s.connections["granite-okta"]})
			return s.planned(Request{Invitation: ticket, Connection: "travel0"}), "connection for rocky granite-okta"
		},
		"CON-2: who is invited signs up where the connection allows it": func(s *scene) (string, string) {
			if got := s.planned(Request{Organization: "rocky"}); got != "credentials for rocky travel0" {
				s.Error(got)
			}
			return s.planned(Request{Invitation: s.invite(orgstore.InvitationOptions{}), Screen: "signup"}),
				"credentials +begin-with-signup +signup for rocky travel0"
		},
		"CON-2: and not where neither does": func(s *scene) (string, string) {
			_, err := s.engine.Connections.Update(s.Context(), s.connections["travel0"], orgstore.ConnectionUpdate{Signup: new(false)})
			s.ok(err)
			return s.planned(Request{Invitation: s.invite(orgstore.InvitationOptions{})}), "credentials for rocky travel0"
		},
		"SEC-1: nothing is accepted before the policy is met": func(s *scene) (string, string) {
			ticket := s.invite(orgstore.InvitationOptions{})
			_, err := s.engine.Organizations.SetSecurity(s.Context(), s.orgs["rocky"], &orgstore.SecurityPolicy{MFA: true})
			s.ok(err)
			got := s.in(Request{Invitation: ticket}, "auth0|new", "travel0")
			if s.member("auth0|new") {
				s.Error("a member all the same")
			}
			return got, "unmet_authentication_requirements: the organization requires multi-factor authentication"
		},
		"LIFE-1: a suspended member stays suspended, and the ticket good": func(s *scene) (string, string) {
			_, err := s.engine.Members.Add(s.Context(), s.orgs["rocky"], "auth0|new", orgstore.MemberOptions{})
			s.ok(err)
			_, err = s.engine.Members.Suspend(s.Context(), s.orgs["rocky"], "auth0|new")
			s.ok(err)
			ticket := s.invite(orgstore.InvitationOptions{})
			got := s.in(Request{Invitation: ticket}, "auth0|new", "travel0")
			if _, err := s.engine.Invitations.GetByTicket(s.Context(), ticket); err != nil {
				s.Error(err)
			}
			return got, "access_denied: user auth0|new is not part of the rocky organization"
		},
		"MEM-6: an isolated member of another organization": func(s *scene) (string, string) {
			_, err := s.engine.Tenant.Update(s.Context(), orgstore.TenantUpdate{IsolateUsers: new(true)})
			s.ok(err)
			_, err = s.engine.Members.Add(s.Context(), s.orgs["granite"], "auth0|new", orgstore.MemberOptions{})
			s.ok(err)
			return s.in(Request{Invitation: s.invite(orgstore.InvitationOptions{})}, "auth0|new", "travel0"),
				"access_denied: the user is isolated to another organization"
		},
		"INV-3: 32 logins with one ticket": func(s *scene) (string, string) {
			ticket, outcomes := s.invite(orgstore.InvitationOptions{}), make(chan string, 32)
			var racers sync.WaitGroup
			for range cap(outcomes) {
				racers.Go(func() { outcomes <- s.in(Request{Invitation: ticket}, "auth0|new", "travel0") })
			}
			racers.Wait()
			close(outcomes)
			joined := 0
			for got := range outcomes {
				switch got {
				case "rocky invitation":
					joined++
				case notFound:
				default:
					s.Error(got)
				}
			}
			return strings.Repeat("joined ", joined), "joined "
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, want := play(newGuest(t)); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
	t.Run("INV-1: what the page shows", func(t *testing.T) {
		t.Parallel()
		s := newGuest(t)
		step, err := s.Plan(t.Context(), Request{Client: "adventures", Invitation: s.invite(orgstore.InvitationOptions{}), LoginHint: "x@example.com"})
		s.ok(err)
		if step.LoginHint != "New@example.com" || step.Invitation == nil || step.Invitation.Inviter.Name != "Jonno" {
			t.Errorf("%+v", step)
		}
	})
	const callback, own, landing = "https://travel0.example/cb", "https://rocky.travel0.example/welcome", "https://travel0.example/hello"
	for _, tt := range []struct{ name, own, landing, want string }{
		{"INV-8: the invitation's", own, landing, own},
		{"INV-8: the organization's", "", landing, landing},
		{"INV-8: the application's", "", "", callback},
		{"URL-3: an organization's that the application does not allow", "", "https://evil.example/", callback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newGuest(t)
			_, err := s.engine.Clients.Update(t.Context(), "adventures", orgstore.ClientUpdate{Callbacks: &[]string{callback, own, landing}})
			s.ok(err)
			_, err = s.engine.Organizations.Update(t.Context(), s.orgs["rocky"], orgstore.OrganizationUpdate{InvitationRedirectURL: &tt.landing})
			s.ok(err)
			req := Request{Client: "adventures", Invitation: s.invite(orgstore.InvitationOptions{RedirectURI: tt.own}), RedirectURI: callback}
			r, err := s.Complete(t.Context(), req, Authentication{User: "auth0|new", Connection: s.connections["travel0"]})
			s.ok(err)
			if r.Next != tt.want {
				t.Errorf("%s, want %s", r.Next, tt.want)
			}
		})
	}
	t.Run("URL-3: the invitation's that the application does not allow any more", func(t *testing.T) {
		t.Parallel()
		s := newGuest(t)
		_, err := s.engine.Clients.Update(t.Context(), "adventures", orgstore.ClientUpdate{Callbacks: &[]string{callback, own}})
		s.ok(err)
		ticket := s.invite(orgstore.InvitationOptions{RedirectURI: own})
		_, err = s.engine.Clients.Update(t.Context(), "adventures", orgstore.ClientUpdate{Callbacks: &[]string{callback}})
		s.ok(err)
		r, err := s.Complete(t.Context(), Request{Client: "adventures", Invitation: ticket, RedirectURI: callback},
			Authentication{User: "auth0|new", Connection: s.connections["travel0"]})
		s.ok(err)
		if r.Next != callback {
			t.Error(r.Next)
		}
	})
}

func TestInvitationURL(t *testing.T) {
	t.Parallel()
	s := newGuest(t)
	i, _, err := s.engine.Invitations.Create(t.Context(), s.orgs["rocky"],
		orgstore.InvitationOptions{InviterName: "Jonno", Email: "new@example.com", Client: "adventures", TTL: time.Hour})
	s.ok(err)
	url := func(i orgstore.Invitation) string {
		uri, err := s.InvitationURL(t.Context(), &i)
		if err != nil {
			return err.Error()
		}
		return strings.NewReplacer(i.Ticket, "TICKET", s.orgs["rocky"], "ROCKY").Replace(uri)
	}
	if got := url(*i); got != "https://travel0.example/login?x=y&invitation=TICKET&organization=ROCKY&organization_name=rocky" {
		t.Errorf("URL-2: %s", got)
	}
	for name, change := range map[string]func(i *orgstore.Invitation){
		"INV-3: no ticket": func(i *orgstore.Invitation) { i.Ticket = "" },
		"INV-1: no client": func(i *orgstore.Invitation) { i.Client = "other" },
		"INV-1: nowhere":   func(i *orgstore.Invitation) { i.Organization = "org_0000000000000000" },
	} {
		bad := *i
		change(&bad)
		if got := url(bad); !strings.HasPrefix(got, "orgstore: ") {
			t.Errorf("%s: %s", name, got)
		}
	}
	_, err = s.engine.Clients.Update(t.Context(), "adventures", orgstore.ClientUpdate{InitiateLoginURI: new("")})
	s.ok(err)
	if got := url(*i); !strings.Contains(got, "default login route") {
		t.Errorf("URL-2: without a login route: %s", got)
	}
	_, err = s.engine.Tenant.Update(t.Context(), orgstore.TenantUpdate{DefaultRedirectionURI: new("https://travel0.example/begin")})
	s.ok(err)
	if got := url(*i); !strings.HasPrefix(got, "https://travel0.example/begin?invitation=TICKET&") {
		t.Errorf("URL-2: the tenant's: %s", got)
	}
}
