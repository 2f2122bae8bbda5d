package orgstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	c := Config{}.withDefaults()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if l := c.Limits; l.Organizations != 100_000 || l.Members != 100_000 || l.RolesPerMember != 50 || l.PermissionsPerRole != 1_000 ||
		l.Metadata != 25 || l.Connections != 10 || l.DiscoveryDomains != 100 || l.OrganizationRoles != 350 || l.RolesPerGroup != 10 ||
		l.OrganizationGrants != 100 {
		t.Errorf("limits: %+v", l)
	}
	if c.LoadTimeout != 500*time.Millisecond || c.LockTimeout != 5*time.Second || c.CommitTimeout != time.Second || c.Clock == nil || c.Logger == nil {
		t.Errorf("config: %+v", c)
	}
	given := Config{Limits: Limits{RolesPerMember: math.MaxInt}, LoadTimeout: 1}.withDefaults()
	if given.Limits.RolesPerMember != math.MaxInt || given.LoadTimeout != 1 {
		t.Errorf("what was given is lost: %+v", given)
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	c := Config{LoadTimeout: -1, LockTimeout: -1, CommitTimeout: -1}
	names := []string{"LoadTimeout", "LockTimeout", "CommitTimeout"}
	fields := reflect.ValueOf(&c.Limits).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(-1)
		names = append(names, fields.Type().Field(i).Name)
	}
	err := c.Validate()
	for _, name := range names {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestFailure(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c := &core{}
	driver := errors.New("driver")
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		is   error
		not  error
		same bool
	}{
		"nothing":             {ctx: t.Context()},
		"a rule's":            {ctx: t.Context(), err: &NotFound{"role"}, is: ErrNotFound, not: ErrUnavailable, same: true},
		"several rules'":      {ctx: t.Context(), err: errors.Join(&Invalid{Field: "a"}, &Limit{"b", 1}), is: ErrLimit, not: ErrUnavailable, same: true},
		"the database's":      {ctx: t.Context(), err: driver, is: ErrUnavailable, not: context.Canceled},
		"keeps its cause":     {ctx: t.Context(), err: fmt.Errorf("x: %w", driver), is: driver},
		"already told":        {ctx: t.Context(), err: &unavailable{driver}, is: ErrUnavailable, same: true},
		"our own bound":       {ctx: t.Context(), err: context.DeadlineExceeded, is: ErrUnavailable, not: context.DeadlineExceeded},
		"the caller's end":    {ctx: ended, err: driver, is: context.Canceled, not: ErrUnavailable},
		"the caller's, exact": {ctx: ended, err: context.Canceled, is: context.Canceled, not: ErrUnavailable},
	} {
		got := c.failure(test.ctx, test.err)
		if test.is != nil && !errors.Is(got, test.is) || test.not != nil && errors.Is(got, test.not) || test.err == nil && got != nil ||
			test.same && got != test.err {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"orgstore: no such member":                                     &NotFound{"member"},
		"orgstore: organization name is already taken":                 &Conflict{"organization", "name"},
		"orgstore: name must be short (ORG-1)":                         &Invalid{"name", "ORG-1", "must be short"},
		"orgstore: After must be a cursor":                             &Invalid{"After", "", "must be a cursor"},
		"orgstore: more roles per member than the limit of 50":         &Limit{"roles per member", 50},
		"orgstore: store unavailable: disk full":                       &unavailable{errors.New("disk full")},
		"standing suspended, kind membership, kind scope(99), unknown": fmt.Errorf("standing %v, kind %v, kind %v, %v", StandingSuspended, ScopeMembership, ScopeKind(99), StandingUnknown),
		"member not_member blocked no_organization organization role":  fmt.Errorf("%v %v %v %v %v %v", StandingMember, StandingNotMember, StandingBlocked, StandingNoOrganization, ScopeOrganization, ScopeRole),
		"user name": fmt.Errorf("%v %v", ScopeUser, ScopeName),
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}
