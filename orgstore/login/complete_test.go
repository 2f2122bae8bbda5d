package login

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// stage is a Service over an engine whose organizations and users are those of a world, which holds the rest of the facts.
type stage struct {
	*testing.T
	*Service
	world  *world
	client orgstore.Client
	ids    map[string]string // of organizations, by name
}

func newStage(t *testing.T, cfg Config) *stage {
	engine := open(t, orgstore.Config{})
	s := &stage{T: t, world: travel0(), client: application(orgstore.OrganizationAllow, ""), ids: map[string]string{}}
	s.Service = &Service{engine, cfg, func(context.Context, *orgstore.Engine, string) (store, *orgstore.Client, error) {
		return s.world, &s.client, nil
	}}
	for i := range s.world.organizations {
		o, _, err := engine.Organizations.Create(t.Context(), orgstore.Organization{Name: s.world.organizations[i].Name})
		s.ok(err)
		s.world.organizations[i].ID, s.ids[o.Name] = o.ID, o.ID
	}
	for user, orgs := range map[string][]string{"jonno": {"rocky"}, "emilio": {"granite", "rocky"}, "sumana": nil, "blocked": {"rocky"}, "x\"\\é": nil} {
		_, _, err := engine.Users.Create(t.Context(), orgstore.User{ID: user})
		s.ok(err)
		for _, name := range orgs {
			_, err := engine.Members.Add(t.Context(), s.ids[name], user, orgstore.MemberOptions{})
			s.ok(err)
		}
	}
	_, err := engine.Users.Block(t.Context(), "blocked")
	s.ok(err)
	return s
}

func (s *stage) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// assign makes the connection one that assigns membership in the organization.
func (s *stage) assign(org, connection string) {
	for i := range s.world.enabled[org] {
		if c := &s.world.enabled[org][i]; c.Name == connection {
			c.jit = true
		}
	}
}

// completed is the outcome of a login in one line.
func (s *stage) completed(org, user, connection string) string {
	s.Helper()
	r, err := s.Complete(s.Context(), Request{Organization: s.ids[org]}, Authentication{User: user, Connection: "con_" + connection})
	if refused, ok := errors.AsType[*Error](err); ok {
		return refused.Code + ": " + refused.Description
	}
	if err != nil {
		return "unknown: " + err.Error()
	}
	switch {
	case r.Step != nil:
		return shown(r.Step)
	case r.Access == nil:
		return "personal" + string(r.Joined)
	case r.Access.Standing != orgstore.StandingMember || r.Access.Principal != r.User.ID:
		s.Errorf("access is %+v", r.Access)
	}
	return r.Access.Org.Name + " " + string(r.Joined)
}

// changes is how many events there are.
func (s *stage) changes() int {
	s.Helper()
	page, err := s.engine.Events.List(s.Context(), orgstore.EventOptions{Limit: 1000})
	s.ok(err)
	return len(page.Items)
}

func TestComplete(t *testing.T) {
	t.Parallel()
	const notEnabled = "access_denied: the connection is not enabled for the organization"
	for _, tt := range []struct {
		name                  string
		org, user, connection string
		jit                   string // the organization whose connection assigns membership
		want                  string
		written               int // events
	}{
		{"LOG-6: a member", "rocky", "jonno", "travel0", "", "rocky ", 0},
		{"LOG-6: a member through a connection that assigns", "rocky", "jonno", "travel0", "rocky", "rocky ", 0},
		{"LOG-6: no member", "rocky", "sumana", "travel0", "", "access_denied: user sumana is not part of the ROCKY organization", 0},
		{"LOG-6: a member elsewhere", "granite", "jonno", "travel0", "rocky", "access_denied: user jonno is not part of the GRANITE organization", 0},
		{"LOG-6: an id that a description cannot hold", "rocky", "x\"\\é", "travel0", "", "access_denied: user x is not part of the ROCKY organization", 0},
		{"LOG-6: a blocked member", "rocky", "blocked", "travel0", "", "access_denied: user is blocked", 0},
		{"LOG-6: blocked comes before the connection", "rocky", "blocked", "unknown", "", "access_denied: user is blocked", 0},
		{"LOG-6: blocked, and the connection assigns", "rocky", "blocked", "travel0", "rocky", "access_denied: user is blocked", 0},
		{"LOG-6: an unknown user", "rocky", "unknown", "travel0", "rocky", "access_denied: user is unknown", 0},
		{"LOG-6: the connection comes before the membership", "rocky", "jonno", "google", "", notEnabled, 0},
		{"LOG-6: another organization's connection", "rocky", "jonno", "granite-okta", "", notEnabled, 0},
		{"LOG-6: a suspended organization", "suspended", "jonno", "travel0", "", "invalid_request: parameter organization is invalid: SUSPENDED", 0},
		{"JIT-1: in the organization's context", "rocky", "sumana", "travel0", "rocky", "rocky jit", 1},
		{"JIT-1: through another connection", "granite", "sumana", "travel0", "rocky", "access_denied: user sumana is not part of the GRANITE organization", 0},
		{"JIT-1: a connection that is not enabled", "granite", "sumana", "google", "adventurez", notEnabled, 0},
		{"JIT-1: without context, the only organization", "", "sumana", "travel0", "rocky", "personaljit", 1},
		{"JIT-1: without context, a member already", "", "jonno", "travel0", "rocky", "personal", 0},
		{"JIT-1: without context, no organization", "", "sumana", "travel0", "", "personal", 0},
		{"JIT-1: without context, blocked", "", "blocked", "travel0", "rocky", "access_denied: user is blocked", 0},
		{"LOG-6: a personal login through an organization's connection", "", "sumana", "granite-okta", "", "invalid_request: the connection is not enabled for the client", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, Config{})
			s.assign(tt.jit, tt.connection)
			before := s.changes()
			want := tt.want
			for placeholder, name := range map[string]string{"ROCKY": "rocky", "GRANITE": "granite", "SUSPENDED": "suspended"} {
				want = strings.ReplaceAll(want, placeholder, s.ids[name])
			}
			if got := s.completed(tt.org, tt.user, tt.connection); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			if got := s.changes() - before; got != tt.written {
				t.Errorf("%d events were written, want %d", got, tt.written)
			}
		})
	}
}

func TestCompleteWithoutContext(t *testing.T) {
	t.Parallel()
	t.Run("JIT-1: two organizations have the connection so", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, Config{})
		s.assign("rocky", "travel0")
		s.assign("granite", "travel0")
		before := s.changes()
		if got := s.completed("", "sumana", "travel0"); got != "personal" || s.changes() != before {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
	})
	t.Run("JIT-1: an application that allows no organizations makes nobody a member", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, Config{})
		s.client.OrganizationUsage = orgstore.OrganizationDeny
		s.assign("rocky", "travel0")
		before := s.changes()
		if got := s.completed("", "sumana", "travel0"); got != "personal" || s.changes() != before {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
	})
	t.Run("JIT-1: before the picker", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, Config{})
		s.world.tenant.AskSole = true
		s.client = application(orgstore.OrganizationRequire, orgstore.PostLoginPrompt)
		s.assign("rocky", "travel0")
		s.world.members["sumana"] = []string{"rocky"} // as the store will say
		before := s.changes()
		if got := s.completed("", "sumana", "travel0"); got != "picker rocky" || s.changes() != before+1 {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
		if got := s.completed("rocky", "sumana", "travel0"); got != "rocky " {
			t.Errorf("after the pick: %s", got)
		}
	})
	t.Run("JIT-2: refused, the login goes on without", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, Config{Join: func(context.Context, Joining) (orgstore.MemberOptions, error) {
			return orgstore.MemberOptions{}, &Error{Code: AccessDenied, Description: "no"}
		}})
		s.assign("rocky", "travel0")
		before := s.changes()
		if got := s.completed("", "sumana", "travel0"); got != "personal" || s.changes() != before {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
	})
}

func TestJoin(t *testing.T) {
	t.Parallel()
	// join is a stage on which sumana is about to join rocky, with a function for the hook.
	join := func(t *testing.T, hook func(*stage, Joining) (orgstore.MemberOptions, error)) *stage {
		var s *stage
		s = newStage(t, Config{Join: func(_ context.Context, j Joining) (orgstore.MemberOptions, error) { return hook(s, j) }})
		s.assign("rocky", "travel0")
		return s
	}
	t.Run("JIT-2: sets what the membership has", func(t *testing.T) {
		t.Parallel()
		var role string
		s := join(t, func(s *stage, j Joining) (orgstore.MemberOptions, error) {
			if j.User.ID != "sumana" || j.Organization.Name != "rocky" || j.Connection != "con_travel0" || j.By != JoinedByConnection {
				t.Errorf("asked for %+v", j)
			}
			return orgstore.MemberOptions{Kind: "freelancer", Roles: []string{role}, JoinedBy: "import"}, nil
		})
		r, _, err := s.engine.Roles.Create(t.Context(), orgstore.Role{Name: "guide"})
		s.ok(err)
		role = r.ID
		if got := s.completed("rocky", "sumana", "travel0"); got != "rocky jit" {
			t.Error(got)
		}
		m, err := s.engine.Members.Get(t.Context(), s.ids["rocky"], "sumana")
		s.ok(err)
		if m.Kind != "freelancer" || m.JoinedBy != "jit" || len(m.Roles) != 1 || m.Roles[0].ID != role {
			t.Errorf("the member is %+v", m)
		}
		events, err := s.engine.Events.List(t.Context(), orgstore.EventOptions{Organization: s.ids["rocky"], Limit: 1000})
		s.ok(err)
		if last := events.Items[len(events.Items)-1]; last.Type != "organization.member.added" || last.Actor != "sumana" {
			t.Errorf("the event is %+v", last)
		}
	})
	t.Run("JIT-2: refuses before anything is written", func(t *testing.T) {
		t.Parallel()
		s := join(t, func(*stage, Joining) (orgstore.MemberOptions, error) {
			return orgstore.MemberOptions{}, &Error{Code: AccessDenied, Description: "ask your admin"}
		})
		before := s.changes()
		if got := s.completed("rocky", "sumana", "travel0"); got != "access_denied: ask your admin" || s.changes() != before {
			t.Errorf("%s, %d events", got, s.changes()-before)
		}
	})
	t.Run("JIT-2: without context, what the hook does not know is no refusal", func(t *testing.T) {
		t.Parallel()
		s := join(t, func(*stage, Joining) (orgstore.MemberOptions, error) { return orgstore.MemberOptions{Kind: "x"}, nil })
		if got := s.completed("", "sumana", "travel0"); !strings.HasPrefix(got, "unknown: orgstore: kind must be") {
			t.Error(got)
		}
	})
	t.Run("JIT-2: does not know", func(t *testing.T) {
		t.Parallel()
		s := join(t, func(*stage, Joining) (orgstore.MemberOptions, error) {
			return orgstore.MemberOptions{}, errors.New("no answer")
		})
		if got := s.completed("rocky", "sumana", "travel0"); got != "unknown: no answer" {
			t.Error(got)
		}
	})
	for name, change := range map[string]func(*stage) (want string){
		"JIT-2: the user is blocked meanwhile": func(s *stage) string {
			_, err := s.engine.Users.Block(s.Context(), "sumana")
			s.ok(err)
			return "access_denied: user is blocked"
		},
		"JIT-2: the organization is suspended meanwhile": func(s *stage) string {
			_, err := s.engine.Organizations.Suspend(s.Context(), s.ids["rocky"])
			s.ok(err)
			return "access_denied: user sumana is not part of the " + s.ids["rocky"] + " organization"
		},
		"JIT-2: the connection assigns no more": func(s *stage) string {
			s.world.enabled["rocky"][0].jit = false
			return "access_denied: user sumana is not part of the " + s.ids["rocky"] + " organization"
		},
		"JIT-2: the connection is removed meanwhile": func(s *stage) string {
			s.world.enabled["rocky"] = []Connection{connection("okta", "other")}
			return "access_denied: the connection is not enabled for the organization"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want string
			s := join(t, func(s *stage, _ Joining) (orgstore.MemberOptions, error) {
				want = change(s) // outside of any transaction, or this would wait for ever
				return orgstore.MemberOptions{}, nil
			})
			if got := s.completed("rocky", "sumana", "travel0"); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			if _, err := s.engine.Members.Get(t.Context(), s.ids["rocky"], "sumana"); !errors.Is(err, orgstore.ErrNotFound) {
				t.Errorf("a member all the same: %v", err)
			}
		})
	}
	t.Run("JIT-2: became a member meanwhile", func(t *testing.T) {
		t.Parallel()
		s := join(t, func(s *stage, _ Joining) (orgstore.MemberOptions, error) {
			_, err := s.engine.Members.Add(t.Context(), s.ids["rocky"], "sumana", orgstore.MemberOptions{Kind: "guest"})
			s.ok(err)
			return orgstore.MemberOptions{Kind: "freelancer"}, nil
		})
		if got := s.completed("rocky", "sumana", "travel0"); got != "rocky " {
			t.Error(got)
		}
		m, err := s.engine.Members.Get(t.Context(), s.ids["rocky"], "sumana")
		s.ok(err)
		if m.Kind != "guest" {
			t.Errorf("the member is %+v", m)
		}
	})
	t.Run("JIT-2: keeps changing", func(t *testing.T) {
		t.Parallel()
		calls := 0
		s := join(t, func(s *stage, _ Joining) (orgstore.MemberOptions, error) {
			calls++
			s.world.organizations[2].DisplayName += "x"
			return orgstore.MemberOptions{}, nil
		})
		if got := s.completed("rocky", "sumana", "travel0"); got != "unknown: "+errMoved.Error() || calls != attempts {
			t.Errorf("%s after %d calls", got, calls)
		}
	})
	t.Run("JIT-1: many logins at once make one member", func(t *testing.T) {
		t.Parallel()
		s := join(t, func(*stage, Joining) (orgstore.MemberOptions, error) { return orgstore.MemberOptions{}, nil })
		before := s.changes()
		var racers sync.WaitGroup
		for range 32 {
			racers.Go(func() {
				if got := s.completed("rocky", "sumana", "travel0"); got != "rocky jit" && got != "rocky " {
					t.Error(got)
				}
			})
		}
		racers.Wait()
		if got := s.changes() - before; got != 1 {
			t.Errorf("%d events were written", got)
		}
	})
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		standing orgstore.Standing
		jit      bool
		domain   bool
		want     string
	}{
		{"LOG-6: a member", orgstore.StandingMember, false, false, ""},
		{"JIT-1: a member through a connection that assigns", orgstore.StandingMember, true, true, ""},
		{"JIT-1: no member through a connection that assigns", orgstore.StandingNotMember, true, true, "jit"},
		{"LOG-6: no member", orgstore.StandingNotMember, false, false, "not part"},
		{"JIT-3: no member, by domain", orgstore.StandingNotMember, false, true, "domain"},
		{"LOG-6: blocked", orgstore.StandingBlocked, true, true, "blocked"},
		{"LOG-6: suspended", orgstore.StandingSuspended, true, true, "not part"},
		{"LOG-6: gone", orgstore.StandingNoOrganization, true, true, "not part"},
		{"LOG-6: no answer", orgstore.StandingUnknown, true, true, "not part"},
		{"LOG-6: a standing that is not known here", 200, true, true, "not part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			joined, err := admit(&orgstore.Access{Standing: tt.standing, Principal: "u", Org: orgstore.AccessOrg{ID: "org_1"}}, tt.jit, tt.domain)
			got := string(joined)
			switch refused, _ := errors.AsType[*Error](err); {
			case refused == nil:
			case refused.Description == "user is blocked":
				got = "blocked"
			case refused.Description == "user u is not part of the org_1 organization":
				got = "not part"
			default:
				got = refused.Description
			}
			if got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
