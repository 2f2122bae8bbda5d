package orgstoretest

import (
	"context"
	"database/sql"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func organizationsCreate(t *engineTest) {
	ctx := t.Context()
	began := time.Now().Add(-time.Millisecond)
	metadata := map[string]string{"plan": "gold"}
	o, result, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme", DisplayName: "Acme Inc.", Metadata: metadata})
	t.changed(result, err)
	metadata["plan"] = "changed by the caller"
	if !regexp.MustCompile(`^org_[a-zA-Z0-9]{16}$`).MatchString(o.ID) {
		t.Errorf("id %q", o.ID)
	}
	if o.Status != orgstore.OrganizationActive || o.CreatedAt.Before(began) || o.CreatedAt.Location() != time.UTC || o.UpdatedAt != o.CreatedAt {
		t.Errorf("created %+v", o)
	}
	for name, get := range map[string]func() (*orgstore.Organization, error){
		"by id":                 func() (*orgstore.Organization, error) { return t.Organizations.Get(ctx, o.ID) },
		"by name":               func() (*orgstore.Organization, error) { return t.Organizations.GetByName(ctx, "acme") },
		"by name in upper case": func() (*orgstore.Organization, error) { return t.Organizations.GetByName(ctx, "ACME") },
	} {
		got, err := get()
		t.ok(err)
		if got.ID != o.ID || got.Name != "acme" || got.DisplayName != "Acme Inc." || got.Status != o.Status ||
			!maps.Equal(got.Metadata, map[string]string{"plan": "gold"}) || !got.CreatedAt.Equal(o.CreatedAt) || !got.UpdatedAt.Equal(o.UpdatedAt) {
			t.Errorf("%s: got %+v, want %+v", name, got, o)
		}
	}

	given, _, err := t.Organizations.Create(ctx, orgstore.Organization{ID: "org_aZ09aZ09aZ09aZ09", Name: "given", Status: orgstore.OrganizationSuspended})
	t.ok(err)
	if given.ID != "org_aZ09aZ09aZ09aZ09" || t.resolve(given.ID, "x").Standing != orgstore.StandingSuspended {
		t.Errorf("given: %+v", given)
	}
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{ID: given.ID, Name: "other"})
	t.conflict(err, "organization", "id")
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "given"})
	t.conflict(err, "organization", "name")
	if _, _, err = t.Organizations.Create(ctx, orgstore.Organization{ID: "org_AZ09AZ09AZ09AZ09", Name: "case-matters"}); err != nil {
		t.Errorf("an id that differs in case: %v", err)
	}
	for _, id := range []string{"org_", "org_0000000000000000", "", "acme", "org_%", o.ID + " ", strings.ToUpper(o.ID)} {
		_, err := t.Organizations.Get(ctx, id)
		t.notFound(err, "organization")
	}
	_, err = t.Organizations.GetByName(ctx, o.ID)
	t.notFound(err, "organization")
}

func organizationsRules(t *engineTest) {
	ctx := t.Context()
	for _, name := range []string{"a", "0", "a-b", "a_b", "a--b", "1-2", "organization", "orgx", strings.Repeat("a", 50)} {
		if _, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: name}); err != nil {
			t.Errorf("name %q: %v", name, err)
		}
	}
	target := t.org("target")
	for _, name := range []string{
		"", "A", "Acme", "-acme", "acme-", "_acme", "acme_", "org_acme", "org_0000000000000000", "ac me", "ac.me", "acmé", "acme\x00", "acme\n",
		"ac\u2010me", strings.Repeat("a", 51), strings.Repeat("a", 10_000), "\xff",
	} {
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: name})
		t.invalid(err, "name", name)
		_, err = t.Organizations.Update(ctx, target.ID, orgstore.OrganizationUpdate{Name: &name})
		t.invalid(err, "name", name)
	}
	for _, id := range []string{"org_", "org_000000000000000", "org_00000000000000000", "org_000000000000000-", "rol_0000000000000000", "0000000000000000"} {
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{ID: id, Name: "x"})
		t.invalid(err, "id", id)
	}
	for _, display := range []string{"line\nbreak", "NUL\x00", "\xff", strings.Repeat("ä", 256)} {
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "x", DisplayName: display})
		t.invalid(err, "display_name", display)
	}
	_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "x", Status: "closed"})
	t.invalid(err, "status", "closed")

	// Characters count, not bytes; joiners belong to words of some scripts.
	if _, _, err := t.Organizations.Create(ctx, orgstore.Organization{
		Name: "long", DisplayName: strings.Repeat("ä", 254) + "\u200c",
		Metadata: map[string]string{strings.Repeat("k", 255): strings.Repeat("ä", 255), "empty": "", "lines": "a\nb", "json": `{"a":"\"<b>"}`},
	}); err != nil {
		t.Errorf("texts of the greatest length: %v", err)
	}
	for _, metadata := range []map[string]string{{"": "x"}, {strings.Repeat("k", 256): "x"}, {"k": strings.Repeat("v", 256)}, {"k": "\x00"}, {"\xff": "x"}} {
		_, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "x", Metadata: metadata})
		t.invalid(err, "metadata", strings.Repeat("v", 256))
	}
	many := make(map[string]string)
	for i := range 25 {
		many["key"+strconv.Itoa(i)] = "value"
	}
	o, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "many", Metadata: many})
	t.ok(err)
	_, err = t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Metadata: map[string]*string{"one more": new("x")}})
	t.limit(err, "metadata pairs", 25)
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Metadata: map[string]*string{"one more": new("x"), "key0": nil}}))
}

func organizationsUpdate(t *engineTest) {
	ctx := t.Context()
	o, _, err := t.Organizations.Create(ctx, orgstore.Organization{Name: "acme", DisplayName: "Acme", Metadata: map[string]string{"a": "1", "b": "2"}})
	t.ok(err)
	for name, u := range map[string]orgstore.OrganizationUpdate{
		"nothing":  {},
		"the same": {Name: new("acme"), DisplayName: new("Acme"), Metadata: map[string]*string{"a": new("1"), "absent": nil}},
	} {
		t.Log(name)
		t.unchanged(t.Organizations.Update(ctx, o.ID, u))
	}
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{DisplayName: new(""), Metadata: map[string]*string{"a": nil, "b": new(""), "c": new("3")}}))
	got, err := t.Organizations.Get(ctx, o.ID)
	t.ok(err)
	if got.Name != "acme" || got.DisplayName != "" || !maps.Equal(got.Metadata, map[string]string{"b": "", "c": "3"}) || got.UpdatedAt.Before(o.UpdatedAt) {
		t.Errorf("updated: %+v", got)
	}
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Metadata: map[string]*string{"b": nil, "c": nil}}))
	if got, err = t.Organizations.Get(ctx, o.ID); err != nil || got.Metadata != nil {
		t.Errorf("metadata removed: %+v, %v", got, err)
	}
	_, err = t.Organizations.Update(ctx, "org_0000000000000000", orgstore.OrganizationUpdate{DisplayName: new("x")})
	t.notFound(err, "organization")
}

func organizationsNames(t *engineTest) {
	ctx := t.Context()
	a, b := t.org("first"), t.org("second")
	_, err := t.Organizations.Update(ctx, b.ID, orgstore.OrganizationUpdate{Name: new("first")})
	t.conflict(err, "organization", "name")
	result, err := t.Organizations.Update(ctx, a.ID, orgstore.OrganizationUpdate{Name: new("third")})
	t.changed(result, err)
	for scope, want := range map[orgstore.Scope]uint64{
		orgstore.OrganizationScope(a.ID): 2, orgstore.NameScope("first"): 2, orgstore.NameScope("third"): 1,
	} {
		if got, _ := result.Revision.Of(scope); got != want {
			t.Errorf("revision of %v is %d, want %d", scope, got, want)
		}
	}
	// The freed name goes to another organization, and its revision goes on.
	result, err = t.Organizations.Update(ctx, b.ID, orgstore.OrganizationUpdate{Name: new("first")})
	t.changed(result, err)
	if got, _ := result.Revision.Of(orgstore.NameScope("first")); got != 3 {
		t.Errorf("revision of the taken-over name is %d", got)
	}
	if got, err := t.Organizations.GetByName(ctx, "first"); err != nil || got.ID != b.ID {
		t.Errorf("first is %+v, %v", got, err)
	}
	// Two organizations change names with each other, in one transaction.
	_, err = t.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		for _, step := range []struct{ id, name string }{{a.ID, "aside"}, {b.ID, "third"}, {a.ID, "first"}} {
			if _, err := e.Organizations.Update(ctx, step.id, orgstore.OrganizationUpdate{Name: &step.name}); err != nil {
				return err
			}
		}
		return nil
	})
	t.ok(err)
	if got := t.resolve("first", "x").Org.ID; got != a.ID {
		t.Errorf("first is %q", got)
	}
	if got := t.resolve("third", "x").Org.ID; got != b.ID {
		t.Errorf("third is %q", got)
	}
}

// organizationsRename renames an organization that has a member, and gives its old name to another one.
func organizationsRename(t *engineTest) {
	ctx := t.Context()
	o, user := t.org("acme"), t.user("u")
	t.member(o.ID, user, t.role("admin", "do:it"))
	t.changed(t.Organizations.Update(ctx, o.ID, orgstore.OrganizationUpdate{Name: new("new")}))
	if s := t.resolve("acme", user).Standing; s != orgstore.StandingNoOrganization {
		t.Errorf("by the old name: %v", s)
	}
	other := t.org("acme")
	for org, want := range map[string]orgstore.Standing{
		o.ID: orgstore.StandingMember, "new": orgstore.StandingMember, "NEW": orgstore.StandingMember,
		other.ID: orgstore.StandingNotMember, "acme": orgstore.StandingNotMember,
	} {
		a := t.resolve(org, user)
		if a.Standing != want || a.Member.Has("do:it") != (want == orgstore.StandingMember) {
			t.Errorf("%s: %+v", org, a)
		}
	}
}

func organizationsDelete(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("admin")
	t.member(o.ID, user, role)
	result, err := t.Organizations.Delete(ctx, o.ID)
	t.changed(result, err)
	if len(result.Revision) != 2 {
		t.Errorf("a deletion raised %v", result.Revision)
	}
	t.unchanged(t.Organizations.Delete(ctx, o.ID))
	t.unchanged(t.Organizations.Delete(ctx, "org_0000000000000000"))
	t.unchanged(t.Organizations.Delete(ctx, "no id at all"))

	_, err = t.Organizations.Get(ctx, o.ID)
	t.notFound(err, "organization")
	_, err = t.Organizations.GetByName(ctx, "acme")
	t.notFound(err, "organization")
	_, err = t.Members.Get(ctx, o.ID, user)
	t.notFound(err, "member")
	_, err = t.Members.List(ctx, o.ID, orgstore.MemberListOptions{})
	t.notFound(err, "organization")
	_, err = t.Members.Add(ctx, o.ID, user, orgstore.MemberOptions{})
	t.notFound(err, "organization")
	if page, err := t.Organizations.List(ctx, orgstore.OrganizationListOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("list: %+v, %v", page, err)
	}
	if _, err := t.Users.Get(ctx, user); err != nil {
		t.Errorf("the user went with the organization: %v", err)
	}
	if a := t.resolve(o.ID, user); a.Standing != orgstore.StandingNoOrganization || a.Org.ID != "" || a.Member.Kind != "" {
		t.Errorf("resolve: %+v", a)
	}
	_, _, err = t.Organizations.Create(ctx, orgstore.Organization{ID: o.ID, Name: "other"})
	t.conflict(err, "organization", "id")
	_, result, err = t.Organizations.Create(ctx, orgstore.Organization{Name: "acme"})
	t.changed(result, err)
	if revision, _ := result.Revision.Of(orgstore.NameScope("acme")); revision != 3 {
		t.Errorf("the name used again has revision %d", revision)
	}
	if n, err := t.Clean(ctx); err != nil || n != 0 {
		t.Errorf("Clean found %d rows of a small organization, %v", n, err)
	}
}

func organizationsSuspend(t *engineTest) {
	ctx := t.Context()
	o, user, role := t.org("acme"), t.user("u"), t.role("admin", "do:it")
	t.member(o.ID, user, role)
	before := t.resolve(o.ID, user)
	t.unchanged(t.Organizations.Resume(ctx, o.ID))
	t.changed(t.Organizations.Suspend(ctx, o.ID))
	t.unchanged(t.Organizations.Suspend(ctx, o.ID))
	if a := t.resolve("acme", user); a.Standing != orgstore.StandingSuspended {
		t.Errorf("suspended: %v", a.Standing)
	}
	t.changed(t.Organizations.Resume(ctx, o.ID))
	after := t.resolve(o.ID, user)
	after.Vector = before.Vector
	if !Equal(before, after) {
		t.Errorf("resumed: %+v, before: %+v", after, before)
	}
	_, err := t.Organizations.Suspend(ctx, "org_0000000000000000")
	t.notFound(err, "organization")
	_, err = t.Organizations.Resume(ctx, "")
	t.notFound(err, "organization")
}
