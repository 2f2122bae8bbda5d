package orgstoretest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// mutation is one way to change answers of Resolve.
type mutation struct {
	name string // Noun.Method of an Engine, or other words
	do   func(c *chance) (orgstore.Result, error)
}

// changing is what random mutations choose from. Several goroutines may use one, each with a chance of its own.
type changing struct {
	mu       sync.Mutex
	lists    map[string][]string
	tickets  int
	frozen   *standing
	known    []string // principals, also those that are no more
	database string   // connections
	corp     string
	client   string // whose login invitations lead to
	domain   string // organization in which addresses of example.com join
}

// The lists of what is there. What belongs to an organization is the id of that, a space, and its own.
const (
	orgsThere      = "organizations"
	usersThere     = "users"
	rolesThere     = "roles"
	ownRoles       = "roles of organizations"
	teamsThere     = "teams"
	groupsThere    = "groups"
	contractsThere = "contracts"
	apisThere      = "apis"
	clientsThere   = "clients"
	grantsThere    = "grants"
)

// orgNames are all names that organizations get.
var orgNames = []string{"rocky", "granite-outpost", "adventurez", "summit"}

// standing is a clock that stands still until it is moved.
type standing struct {
	mu sync.Mutex
	at time.Time
}

func newStanding() *standing { return &standing{at: time.Now()} }

func (s *standing) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *standing) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

// chance is what one mutation is made of. Without random numbers it chooses the first of everything.
type chance struct {
	ctx    context.Context
	e      *orgstore.Engine
	w      *changing
	random *rand.Rand
}

// newChanging makes, in the world of Seed, what mutations need besides.
func newChanging(t testing.TB, e *orgstore.Engine, world World, clock *standing) *changing {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &changing{frozen: clock, domain: world.Other.ID}
	for connection, to := range map[[2]string]*string{{"db", "auth0"}: &w.database, {"corp", "samlp"}: &w.corp} {
		c, _, err := e.Connections.Create(ctx, orgstore.Connection{Name: connection[0], Strategy: connection[1]})
		must(err)
		*to = c.ID
	}
	_, _, err := e.APIs.Create(ctx, orgstore.API{Identifier: "https://api", Permissions: apiPermissions})
	must(err)
	w.client = "app"
	_, _, err = e.Clients.Create(ctx, orgstore.Client{
		ID: w.client, Name: "App", FirstParty: true, OrganizationUsage: orgstore.OrganizationAllow, InitiateLoginURI: "https://app.example/login",
	})
	must(err)
	_, err = e.Organizations.Update(ctx, w.domain, orgstore.OrganizationUpdate{AutoJoin: new(orgstore.AutoJoinAutomatic)})
	must(err)
	d, _, err := e.DiscoveryDomains.Create(ctx, orgstore.DiscoveryDomain{Organization: w.domain, Domain: "example.com"})
	must(err)
	dns := &names{}
	dns.set(d.VerificationHost, d.VerificationText)
	_, _, err = e.DiscoveryDomains.Verify(ctx, w.domain, d.ID, dns)
	must(err)
	w.lists = map[string][]string{
		orgsThere:  {world.Org.ID, world.Other.ID},
		usersThere: {world.Hiroko.ID, world.Emilio.ID, world.Jonno.ID, "auth0|linked"},
		rolesThere: {world.Admin.ID, world.Guide.ID},
		apisThere:  {"https://api"},
	}
	w.known = slices.Clone(w.lists[usersThere])
	_, _, err = (&chance{ctx: ctx, e: e, w: w}).newUser("auth0|linked")
	must(err)
	return w
}

var apiPermissions = []orgstore.APIPermission{{Name: "read"}, {Name: "write"}}

func (w *changing) list(of string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.lists[of])
}

func (w *changing) add(to, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists[to] = append(w.lists[to], id)
}

func (w *changing) remove(from, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lists[from] = without(w.lists[from], id)
}

// principals returns who may be asked for.
func (w *changing) principals() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.known)
}

// n returns a number below most.
func (c *chance) n(most int) int {
	if c.random == nil {
		return 0
	}
	return c.random.IntN(most)
}

func (c *chance) of(list ...string) string {
	if len(list) == 0 {
		return ""
	}
	return list[c.n(len(list))]
}

// some returns some of a list: the first, where there is no choice.
func (c *chance) some(list []string) []string {
	if c.random == nil {
		return list[:min(1, len(list))]
	}
	return slices.DeleteFunc(slices.Clone(list), func(string) bool { return c.n(2) == 0 })
}

func (c *chance) org() string  { return c.of(c.w.list(orgsThere)...) }
func (c *chance) user() string { return c.of(c.w.list(usersThere)...) }
func (c *chance) role() string { return c.of(c.w.list(rolesThere)...) }

// last returns the newest, where there is no choice.
func (c *chance) last(of string) string {
	list := c.w.list(of)
	slices.Reverse(list)
	return c.of(list...)
}

// owned returns one of what belongs to organizations, and the organization.
func (c *chance) owned(of string) (org, id string) {
	org, id, _ = strings.Cut(c.of(c.w.list(of)...), " ")
	return org, id
}

// roleIn returns a role that can be held in org.
func (c *chance) roleIn(org string) string {
	list := c.w.list(rolesThere)
	for _, own := range c.w.list(ownRoles) {
		if id, ok := strings.CutPrefix(own, org+" "); ok {
			list = append(list, id)
		}
	}
	return c.of(list...)
}

// soon returns an instant that clocks may be moved beyond.
func (c *chance) soon() time.Time {
	return c.w.frozen.now().Add([]time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[c.n(4)])
}

// neverOrSoon returns the zero time, or else soon.
func (c *chance) neverOrSoon() time.Time {
	if c.n(2) == 0 {
		return time.Time{}
	}
	return c.soon()
}

// mailOf is the address of a user of this world.
func mailOf(user string) string { return strings.TrimPrefix(user, "auth0|") + "@example.com" }

func (c *chance) newUser(id string) (*orgstore.User, orgstore.Result, error) {
	return c.e.Users.Create(c.ctx, orgstore.User{
		ID: id, Email: mailOf(id), Identities: []orgstore.Identity{{Connection: c.w.database, ID: id, Email: mailOf(id)}},
	})
}

// made adds to a list what a mutation has made.
func (c *chance) made(list, id string, result orgstore.Result, err error) (orgstore.Result, error) {
	if err == nil {
		c.w.add(list, id)
	}
	return result, err
}

// ended takes from a list what a mutation has ended.
func (c *chance) ended(list, id string, result orgstore.Result, err error) (orgstore.Result, error) {
	if err == nil {
		c.w.remove(list, id)
	}
	return result, err
}

// refused reports whether an error says that something is not there, or may not be.
func refused(err error) bool {
	for _, category := range []error{orgstore.ErrNotFound, orgstore.ErrConflict, orgstore.ErrLimit, orgstore.ErrInvalid, orgstore.ErrDenied} {
		if errors.Is(err, category) {
			return true
		}
	}
	return false
}

// answersNothing are the mutations that change no answer of Resolve, by noun or method, with the reason.
var answersNothing = map[string]string{
	"Connections":              "logins alone go by them; deleting one ends identities, and no membership",
	"EnabledConnections":       "logins alone go by them",
	"DiscoveryDomains":         "they lead to answers by Requests.ByDomain alone",
	"OrganizationClients":      "logins alone go by them",
	"Templates":                "pages and e-mails",
	"Tenant":                   "isolation refuses memberships that begin, and ends none",
	"APIKeys":                  "they say who asks, not what the answer is",
	"Sessions":                 "they say who asks, not what the answer is",
	"Clients.RotateSecret":     "it says who asks, not what the answer is",
	"Invitations.Create":       "it is nobody's membership until it is accepted",
	"Invitations.Resend":       "it is nobody's membership until it is accepted",
	"Invitations.Revoke":       "it is nobody's membership until it is accepted",
	"Invitations.CountAttempt": "it is nobody's membership until it is accepted",
	"Requests.Create":          "it is nobody's membership until it is approved",
	"Requests.Decline":         "it is nobody's membership until it is approved",
	"Requests.Withdraw":        "it is nobody's membership until it is approved",
}

// mutationsKnown checks that every method of a noun that changes something is among the mutations, or changes no answer.
func mutationsKnown(t *resolverTest) {
	known := map[string]bool{}
	for _, m := range mutations {
		known[m.name] = true
	}
	found := map[string]bool{}
	for noun := range reflect.TypeFor[orgstore.Engine]().Fields() {
		if !noun.IsExported() || noun.Anonymous || noun.Type.Kind() != reflect.Pointer {
			continue
		}
		found[noun.Name] = true
		for method := range noun.Type.Methods() {
			name := noun.Name + "." + method.Name
			for out := range method.Type.Outs() {
				if out != reflect.TypeFor[orgstore.Result]() {
					continue
				}
				found[name] = true
				excepted := answersNothing[noun.Name] != "" || answersNothing[name] != ""
				if known[name] == excepted {
					t.Errorf("%s must be among the mutations, or else among those that change no answer, with a reason", name)
				}
			}
		}
	}
	for name := range answersNothing {
		if !found[name] {
			t.Errorf("%s, which changes no answer, is not there", name)
		}
	}
	for name := range known {
		if strings.Contains(name, ".") && !found[name] {
			t.Errorf("the mutation %s is not there", name)
		}
	}
}

// unique returns a text that was not there before.
func (c *chance) unique(of string) string {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.tickets++
	return fmt.Sprint(of, " ", c.w.tickets)
}
