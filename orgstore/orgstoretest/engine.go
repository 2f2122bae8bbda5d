package orgstoretest

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestEngine tests an Engine: the rules of the domain, revisions and events, transactions, and callers at the same time.
// open returns a fresh, empty engine with cfg, which has a Clock that the tests move and is the default besides.
func TestEngine(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	all := merged(allCases...)
	t.Logf("%d cases", len(all))
	for name, test := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(clock)
			test(&engineTest{T: t, Engine: open(t, orgstore.Config{Clock: c.now}), clock: c})
		})
	}
}

// clock is a Config.Clock that tests move.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// cases are named tests. The names begin with the numbers of the rules that they test, as far as there are any.
type cases map[string]func(*engineTest)

func merged(all ...cases) cases {
	sum := cases{}
	for _, c := range all {
		for name, test := range c {
			if sum[name] != nil {
				panic("two cases are called " + name)
			}
			sum[name] = test
		}
	}
	return sum
}

var coreCases = cases{
	"ORG-1, ORG-2: organizations are made, and found by id and name": organizationsCreate,
	"ORG-1, ORG-3: names, display names and metadata":                organizationsRules,
	"ORG-3, ORG-4: an update changes what it names":                  organizationsUpdate,
	"ORG-2: names go from one organization to another":               organizationsNames,
	"ORG-5: a deleted organization is gone, and its name is free":    organizationsDelete,
	"ORG-6: suspended, and resumed as it was":                        organizationsSuspend,
	"ORG-4, MEM-3: the life of a user":                               usersLife,
	"MEM-1: ids of users are kept byte for byte":                     usersIDs,
	"MEM-3: a deleted user is gone everywhere":                       usersDelete,
	"ROL-5: the life of a role":                                      rolesLife,
	"ROL-5: roles, bad input":                                        rolesRules,
	"ROL-3: a deleted role is taken from everybody":                  rolesDelete,
	"MEM-1, MEM-4: what a membership has":                            membersAdd,
	"MEM-1, MEM-4, ROL-4: members, bad input":                        membersAddRefused,
	"ROL-1: each membership has its own roles":                       membersOwnRoles,
	"ROL-4: roles are assigned, taken and set":                       membersRoles,
	"ROL-2: more roles than the limit":                               membersRoleLimit,
	"MEM-3: a blocked user is refused everywhere":                    usersBlock,
	"ORG-2: a renamed organization keeps its access":                 organizationsRename,
	"MEM-4, ORG-4: an update changes what it names":                  membersUpdate,
	"MEM-2: removed, and added again with nothing of before":         membersRemove,
	"ROL-1, MEM-1: lists of members, with their roles":               membersList,
	"lists: pages":   listPages,
	"lists: stable":  listStable,
	"lists: cursors": listCursors,
	"text":           textTraps,
	"EVT-1: each mutation raises what it changed": scopesRaised,
	"EVT-1: events of mutations":                  eventsWritten,
	"EVT-2: revisions without gaps":               eventsGapless,
	"events: list":                                eventsList,
	"transact: together":                          transactTogether,
	"transact: not at all":                        transactNotAtAll,
	"transact: a savepoint of the function":       transactSavepoint,
	"transact: nested":                            transactNested,
	"transact: a refused operation":               transactRefusedOperation,
	"transact: misuse":                            transactMisuse,
	"transact: ended behind our back":             transactEnded,
	"view":                                        viewReads,
	"on commit":                                   onCommitTells,
	"on commit: context":                          onCommitContext,
	"on commit: panic":                            onCommitPanic,
	"ORG-1: one name at the same time":            concurrentName,
	"ORG-4, EVT-2: no change of many at the same time is lost": concurrentUpdates,
	"ROL-2: the limit of roles at the same time":               concurrentRoleLimit,
	"MEM-1, MEM-2: added and removed at the same time":         concurrentMembership,
	"concurrent: transact":                                     concurrentTransact,
	"concurrent: a resolve is a picture":                       concurrentSnapshot,
	"context":                                                  contextEnds,
	"close":                                                    closeEnds,
}

type engineTest struct {
	*testing.T
	*orgstore.Engine
	clock *clock // the Engine's
}

// org, user, role and member make one of each, or end the test.
func (t *engineTest) org(name string) *orgstore.Organization {
	t.Helper()
	o, _, err := t.Organizations.Create(t.Context(), orgstore.Organization{Name: name})
	t.ok(err)
	return o
}

func (t *engineTest) user(id string) string {
	t.Helper()
	u, _, err := t.Users.Create(t.Context(), orgstore.User{ID: id})
	t.ok(err)
	return u.ID
}

func (t *engineTest) role(name string, permissions ...string) string {
	t.Helper()
	r, _, err := t.Roles.Create(t.Context(), orgstore.Role{Name: name, Permissions: permissions})
	t.ok(err)
	return r.ID
}

func (t *engineTest) member(org, user string, roles ...string) {
	t.Helper()
	t.changed(t.Members.Add(t.Context(), org, user, orgstore.MemberOptions{Roles: roles}))
}

func (t *engineTest) ok(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t *engineTest) changed(result orgstore.Result, err error) {
	t.Helper()
	t.ok(err)
	if !result.Changed || len(result.Revision) == 0 {
		t.Fatalf("nothing changed: %+v", result)
	}
}

func (t *engineTest) unchanged(result orgstore.Result, err error) {
	t.Helper()
	t.ok(err)
	if result.Changed || result.Revision != nil {
		t.Fatalf("changed: %+v", result)
	}
}

// is fails the test unless err is of the category.
func (t *engineTest) is(err, category error) {
	t.Helper()
	if !errors.Is(err, category) {
		t.Errorf("error is %v, want %v", err, category)
	}
}

func (t *engineTest) notFound(err error, kind string) {
	t.Helper()
	if missing, ok := errors.AsType[*orgstore.NotFound](err); !ok || missing.Kind != kind {
		t.Errorf("error is %v, want no such %s", err, kind)
	}
	t.is(err, orgstore.ErrNotFound)
}

func (t *engineTest) conflict(err error, kind, field string) {
	t.Helper()
	if c, ok := errors.AsType[*orgstore.Conflict](err); !ok || c.Kind != kind || c.Field != field {
		t.Errorf("error is %v, want a conflict of the %s's %s", err, kind, field)
	}
	t.is(err, orgstore.ErrConflict)
}

// invalid also checks that the error does not repeat the value.
func (t *engineTest) invalid(err error, field, value string) {
	t.Helper()
	invalid, ok := errors.AsType[*orgstore.Invalid](err)
	if !ok || invalid.Field != field {
		t.Errorf("error is %v, want invalid %s", err, field)
		return
	}
	t.is(err, orgstore.ErrInvalid)
	if len(value) > 8 && strings.Contains(err.Error(), value) {
		t.Errorf("the error repeats the value: %v", err)
	}
}

func (t *engineTest) limit(err error, name string, most int) {
	t.Helper()
	if l, ok := errors.AsType[*orgstore.Limit](err); !ok || l.Name != name || l.Max != most {
		t.Errorf("error is %v, want limit of %d %s", err, most, name)
	}
	t.is(err, orgstore.ErrLimit)
}

// events returns all events.
func (t *engineTest) events() []*orgstore.Event {
	t.Helper()
	var all []*orgstore.Event
	for after := ""; ; {
		page, err := t.Events.List(t.Context(), orgstore.EventOptions{Limit: 1000, After: after})
		t.ok(err)
		all = append(all, page.Items...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

// standing returns what principal is in org.
func (t *engineTest) resolve(org, principal string) *orgstore.Access {
	t.Helper()
	a, err := t.Resolve(t.Context(), orgstore.Query{Org: org, Principal: principal})
	t.ok(err)
	return a
}

func (t *engineTest) roles(org, user string, want ...string) {
	t.Helper()
	m, err := t.Members.Get(t.Context(), org, user)
	t.ok(err)
	var names []string
	for _, r := range m.Roles {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, want) {
		t.Errorf("roles are %q, want %q", names, want)
	}
}

// unjoined returns the errors that errors.Join has joined, at any depth.
func unjoined(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, unjoined(e)...)
	}
	return all
}
