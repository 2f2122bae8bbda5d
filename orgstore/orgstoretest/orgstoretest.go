package orgstoretest

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// Equal reports whether a and b are the same answer, however old they are (AsOf). Order counts in no list, and an empty list
// or map is the same as none. ValidUntil is the same within a minute: it is converted from one clock to another.
func Equal(a, b *orgstore.Access) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Standing == b.Standing && a.Principal == b.Principal &&
		a.Org.ID == b.Org.ID && a.Org.Name == b.Org.Name && a.Org.Status == b.Org.Status &&
		maps.Equal(a.Org.Metadata, b.Org.Metadata) && a.Org.Security.IsZero() == b.Org.Security.IsZero() &&
		(a.Org.Security.IsZero() || reflect.DeepEqual(a.Org.Security, b.Org.Security)) && slices.Equal(a.Org.Shares, b.Org.Shares) &&
		a.Member.Kind == b.Member.Kind && a.Member.Via == b.Member.Via && slices.Equal(a.Member.Contracts, b.Member.Contracts) &&
		maps.EqualFunc(a.Member.APIPermissions, b.Member.APIPermissions, sameSet) && maps.Equal(a.Member.Metadata, b.Member.Metadata) &&
		sameSet(a.Member.Roles, b.Member.Roles) && sameSet(a.Member.Permissions, b.Member.Permissions) &&
		a.TokensValidAfter.Equal(b.TokensValidAfter) && a.ValidUntil.IsZero() == b.ValidUntil.IsZero() &&
		a.ValidUntil.Sub(b.ValidUntil).Abs() < time.Minute &&
		sameVector(a.Vector, b.Vector)
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func sameVector(a, b orgstore.Vector) bool {
	if len(a) != len(b) {
		return false
	}
	for _, r := range a {
		if revision, ok := b.Of(r.Scope); !ok || revision != r.Revision {
			return false
		}
	}
	return true
}

// World is what Seed has put into an engine.
type World struct {
	Org                   *orgstore.Organization // "granite-outpost"
	Other                 *orgstore.Organization // "adventurez"
	Admin, Guide          *orgstore.Role         // "admin": create:adventures and read:adventures; "guide": read:adventures
	Hiroko, Emilio, Jonno *orgstore.User         // "auth0|hiroko" and so on
}

// Seed puts a small world into an empty engine: Hiroko is admin and guide of Org; Emilio is guide of Org (a freelancer with
// metadata employment=freelance) and of Other; Jonno is a user without any membership.
func Seed(t testing.TB, e *orgstore.Engine) World {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("seed: %v", err)
		}
	}
	var w World
	var err error
	w.Org, _, err = e.Organizations.Create(ctx, orgstore.Organization{
		Name: "granite-outpost", DisplayName: "Granite Outpost", Metadata: map[string]string{"plan": "gold"},
	})
	must(err)
	w.Other, _, err = e.Organizations.Create(ctx, orgstore.Organization{Name: "adventurez"})
	must(err)
	w.Admin, _, err = e.Roles.Create(ctx, orgstore.Role{
		Name: "admin", Permissions: []string{"read:adventures", "create:adventures"},
	})
	must(err)
	w.Guide, _, err = e.Roles.Create(ctx, orgstore.Role{Name: "guide", Permissions: []string{"read:adventures"}})
	must(err)
	for name, user := range map[string]**orgstore.User{"hiroko": &w.Hiroko, "emilio": &w.Emilio, "jonno": &w.Jonno} {
		*user, _, err = e.Users.Create(ctx, orgstore.User{ID: "auth0|" + name, Email: name + "@example.com", Name: name})
		must(err)
	}
	_, err = e.Members.Add(ctx, w.Org.ID, w.Hiroko.ID, orgstore.MemberOptions{Roles: []string{w.Admin.ID, w.Guide.ID}})
	must(err)
	_, err = e.Members.Add(ctx, w.Org.ID, w.Emilio.ID, orgstore.MemberOptions{
		Kind: "freelancer", Metadata: map[string]string{"employment": "freelance"}, Roles: []string{w.Guide.ID},
	})
	must(err)
	_, err = e.Members.Add(ctx, w.Other.ID, w.Emilio.ID, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
	must(err)
	return w
}
