package orgstoretest

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var userCases = cases{
	"DIR-10: identities of users":                       identitiesLife,
	"DIR-10: identities, bad input":                     identitiesBad,
	"DIR-10, DIR-2: identities end with connections":    identitiesDeletedConnection,
	"DIR-11: e-mails in a database":                     usersEmails,
	"DIR-11: metadata of users":                         usersMetadata,
	"DIR-11: a changed e-mail is not verified":          usersVerified,
	"DIR-12: users are linked, and unlinked":            usersLink,
	"DIR-12: what cannot be linked, and not unlinked":   usersLinkRefused,
	"DIR-12, MEM-6: a link with an isolated connection": usersLinkIsolated,
	"DIR-13: users are found":                           usersFound,
	"DIR-13: members have the names of users":           usersRenamed,
}

func (t *engineTest) account(id, connection, email string) *orgstore.User {
	t.Helper()
	u, _, err := t.Users.Create(t.Context(), orgstore.User{ID: id, Email: email, Identities: []orgstore.Identity{{Connection: connection, ID: id}}})
	t.ok(err)
	return u
}

func (t *engineTest) getUser(id string) *orgstore.User {
	t.Helper()
	u, err := t.Users.Get(t.Context(), id)
	t.ok(err)
	return u
}

func identitiesLife(t *engineTest) {
	ctx := t.Context()
	db, idp := t.connection("db", "auth0"), t.connection("idp", "samlp")
	given := orgstore.User{ID: "auth0|emilio", Email: "Emilio@example.com", EmailVerified: true, Name: "Emilio", Picture: "https://a.example/e.png", Blocked: true,
		AppMetadata: map[string]any{"plan": "gold"}, UserMetadata: map[string]any{"size": 1.5, "list": []any{"a", nil}},
		Identities: []orgstore.Identity{{Connection: idp, ID: "e|'\"%_|日本"}, {Connection: db, ID: "emilio", Email: "other@example.com"}}}
	u, result, err := t.Users.Create(ctx, given)
	t.ok(err)
	t.raised(result, orgstore.UserScope(u.ID))
	want := given
	want.CreatedAt, want.UpdatedAt = u.CreatedAt, u.CreatedAt
	want.Identities = slices.Clone(given.Identities)
	want.Identities[0].Email, want.Identities[0].EmailVerified = given.Email, true
	if got := t.getUser(u.ID); !reflect.DeepEqual(*got, want) || !reflect.DeepEqual(*u, want) {
		t.Errorf("got %+v\nand %+v\nwant %+v", got, u, want)
	}
	if given.Identities[0].Email != "" {
		t.Error("the caller's identities were changed")
	}
	t.user("nobody's")
	for _, i := range given.Identities {
		got, err := t.Users.GetByIdentity(ctx, i.Connection, i.ID)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("by %v: %+v, %v", i, got, err)
		}
	}
	page, err := t.Users.List(ctx, orgstore.UserListOptions{Connection: db})
	if err != nil || len(page.Items) != 1 || !reflect.DeepEqual(*page.Items[0], want) {
		t.Errorf("list: %+v, %v", page.Items, err)
	}
	_, err = t.Users.GetByIdentity(ctx, db, "EMILIO")
	t.notFound(err, "user")
	t.conflict(third(t.Users.Create(ctx, orgstore.User{ID: "new", Identities: []orgstore.Identity{{Connection: db, ID: "emilio"}}})), "user", "identity")
	t.account("emilio", idp, given.Email) // one id, and one e-mail, at another connection
	t.changed(t.Users.Delete(ctx, u.ID))
	_, err = t.Users.GetByIdentity(ctx, db, "emilio")
	t.notFound(err, "user")
	t.account("emilio|again", db, given.Email)
}

func identitiesBad(t *engineTest) {
	ctx := t.Context()
	db := t.connection("db", "auth0")
	before := len(t.events())
	create := func(i ...orgstore.Identity) error {
		return third(t.Users.Create(ctx, orgstore.User{ID: "u", Identities: i}))
	}
	for _, id := range []string{"", "a\nb", "a\x00", "a\x1fb", "\xff", "\u202eabc", strings.Repeat("x", 1025)} {
		t.invalid(create(orgstore.Identity{Connection: db, ID: id}), "identities", id)
		_, err := t.Users.GetByIdentity(ctx, db, id)
		t.notFound(err, "user")
	}
	for _, id := range noConnections {
		t.notFound(create(orgstore.Identity{Connection: id, ID: "i"}), "connection")
		_, err := t.Users.GetByIdentity(ctx, id, "i")
		t.notFound(err, "user")
	}
	for _, email := range []string{"a\x1fb@example.com", "a\x00", "\xff", "a\nb", strings.Repeat("e", 321)} {
		t.invalid(create(orgstore.Identity{Connection: db, ID: "i", Email: email}), "identities", email)
	}
	t.conflict(create(orgstore.Identity{Connection: db, ID: "i"}, orgstore.Identity{Connection: db, ID: "i"}), "user", "identity")
	many := make([]orgstore.Identity, 21)
	for i := range many {
		many[i] = orgstore.Identity{Connection: db, ID: fmt.Sprint(i)}
	}
	t.limit(create(many...), "identities per user", 20)
	_, err := t.Users.Get(ctx, "u")
	t.notFound(err, "user")
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.ok(create(many[:20]...))
	if got := t.getUser("u"); !slices.Equal(got.Identities, many[:20]) {
		t.Errorf("identities are in the order %v", got.Identities)
	}
}

func identitiesDeletedConnection(t *engineTest) {
	ctx := t.Context()
	db, o := t.connection("db", "auth0"), t.org("o")
	u := t.account("u", db, "u@example.com")
	t.member(o.ID, u.ID)
	t.changed(t.Connections.Delete(ctx, db))
	_, err := t.Users.GetByIdentity(ctx, db, "u")
	t.notFound(err, "user")
	if got := t.getUser("u"); len(got.Identities) != 0 || got.Email != u.Email {
		t.Errorf("the user is %+v", got)
	}
	if a := t.resolve(o.ID, u.ID); a.Standing != orgstore.StandingMember {
		t.Errorf("the user is %v", a.Standing)
	}
	t.changed(t.Users.Update(ctx, u.ID, orgstore.UserUpdate{Email: new("new@example.com")}))
	t.notFound(third(t.Users.Create(ctx, orgstore.User{ID: "v", Identities: []orgstore.Identity{{Connection: db, ID: "v"}}})), "connection")
}

func usersEmails(t *engineTest) {
	ctx := t.Context()
	db, other, idp := t.connection("db", "auth0"), t.connection("other", "auth0"), t.connection("idp", "samlp")
	create := func(id, connection, email string) error {
		return third(t.Users.Create(ctx, orgstore.User{ID: id, Email: email, Identities: []orgstore.Identity{{Connection: connection, ID: id}}}))
	}
	t.ok(create("u", db, "Ümlaut@Example.com"))
	t.conflict(create("v", db, "ümlaut@example.COM"), "user", "email")
	t.ok(create("v", other, "ümlaut@example.com"))
	t.ok(create("w", idp, "ümlaut@example.com"))
	t.ok(create("x", idp, "ümlaut@example.com"))
	t.ok(create("y", db, ""))
	t.ok(create("z", db, ""))
	t.ok(third(t.Users.Create(ctx, orgstore.User{ID: "no identity", Email: "ümlaut@example.com"})))
	_, err := t.Users.Update(ctx, "y", orgstore.UserUpdate{Email: new("ÜMLAUT@example.com")})
	t.conflict(err, "user", "email")
	t.changed(t.Users.Update(ctx, "u", orgstore.UserUpdate{Email: new("ÜMLAUT@example.com")}))
	t.changed(t.Users.Update(ctx, "u", orgstore.UserUpdate{Email: new("u@example.com"), EmailVerified: new(true)}))
	if i := t.getUser("u").Identities[0]; i.Email != "u@example.com" || !i.EmailVerified {
		t.Errorf("the identity is %+v", i)
	}
	t.changed(t.Users.Update(ctx, "y", orgstore.UserUpdate{Email: new("ÜMLAUT@example.com")}))
	t.changed(t.Users.Update(ctx, "y", orgstore.UserUpdate{Email: new("")}))
	t.ok(create("again", db, "ümlaut@example.com"))
}

func usersVerified(t *engineTest) {
	u, _, err := t.Users.Create(t.Context(), orgstore.User{ID: "u", Email: "u@example.com", EmailVerified: true})
	t.ok(err)
	for _, c := range []struct {
		u    orgstore.UserUpdate
		want bool
	}{
		{orgstore.UserUpdate{Email: new("U@example.com")}, true},
		{orgstore.UserUpdate{Email: new("v@example.com")}, false},
		{orgstore.UserUpdate{EmailVerified: new(true)}, true},
		{orgstore.UserUpdate{Email: new("w@example.com"), EmailVerified: new(true)}, true},
		{orgstore.UserUpdate{Email: new("")}, false},
	} {
		t.changed(t.Users.Update(t.Context(), u.ID, c.u))
		if got := t.getUser(u.ID); got.EmailVerified != c.want {
			t.Errorf("after %+v: %+v", c.u, got)
		}
	}
	_, err = t.Users.Update(t.Context(), u.ID, orgstore.UserUpdate{EmailVerified: new(true)})
	t.invalid(err, "email_verified", "")
	t.invalid(third(t.Users.Create(t.Context(), orgstore.User{ID: "v", EmailVerified: true})), "email_verified", "")
	_, err = t.Users.Update(t.Context(), u.ID, orgstore.UserUpdate{Picture: new(strings.Repeat("p", 2049))})
	t.invalid(err, "picture", strings.Repeat("p", 2049))
}

func usersMetadata(t *engineTest) {
	ctx := t.Context()
	given := map[string]any{"n": 1, "s": "a\x00\ufffd\\ufffd", "list": []string{"x"}, "nested": map[string]any{"deep": true}}
	u, _, err := t.Users.Create(ctx, orgstore.User{ID: "u", AppMetadata: given, UserMetadata: map[string]any{}})
	t.ok(err)
	want := map[string]any{"n": 1.0, "s": "a\x00\ufffd\\ufffd", "list": []any{"x"}, "nested": map[string]any{"deep": true}}
	if got := t.getUser("u"); !reflect.DeepEqual(got.AppMetadata, want) || got.UserMetadata != nil || !reflect.DeepEqual(u, got) {
		t.Errorf("made %+v\ngot %+v", u, got)
	}
	t.unchanged(t.Users.Update(ctx, "u", orgstore.UserUpdate{AppMetadata: map[string]any{"n": 1, "unknown": nil}, UserMetadata: map[string]any{}}))
	t.changed(t.Users.Update(ctx, "u", orgstore.UserUpdate{AppMetadata: map[string]any{"n": nil, "s": nil, "nested": nil}, UserMetadata: map[string]any{"k": "v"}}))
	if got := t.getUser("u"); !reflect.DeepEqual(got.AppMetadata, map[string]any{"list": []any{"x"}}) || got.UserMetadata["k"] != "v" {
		t.Errorf("updated: %+v", got)
	}
	for name, bad := range map[string]map[string]any{
		"large": {"k": strings.Repeat("v", 16_384)}, "not UTF-8": {"k": "a\xff"}, "a key that is not UTF-8": {"\xff": 1}, "no JSON": {"k": func() {}},
		"no number": {"k": math.Inf(1)},
	} {
		t.Log(name)
		t.invalid(third(t.Users.Create(ctx, orgstore.User{ID: "v", AppMetadata: bad})), "app_metadata", "")
		_, err := t.Users.Update(ctx, "u", orgstore.UserUpdate{UserMetadata: bad})
		t.invalid(err, "user_metadata", "")
	}
	t.ok(third(t.Users.Create(ctx, orgstore.User{ID: "v", AppMetadata: map[string]any{"k": strings.Repeat("v", 16_376)}})))
}

func usersLink(t *engineTest) {
	ctx := t.Context()
	db, idp, o := t.connection("db", "auth0"), t.connection("idp", "samlp"), t.org("o")
	first := t.account("auth0|sumana", db, "sumana@example.com")
	second, _, err := t.Users.Create(ctx, orgstore.User{ID: "samlp|sumana", Email: "s@adventurez.example", EmailVerified: true, Name: "Sumana",
		Identities: []orgstore.Identity{{Connection: idp, ID: "s"}, {Connection: db, ID: "s2", Email: "s2@example.com"}}})
	t.ok(err)
	t.member(o.ID, second.ID)
	result, err := t.Users.Link(ctx, first.ID, second.ID)
	t.ok(err)
	t.raised(result, orgstore.UserScope(first.ID), orgstore.UserScope(second.ID))
	both := slices.Concat(first.Identities, second.Identities)
	got := t.getUser(first.ID)
	if !slices.Equal(got.Identities, both) || got.Email != first.Email || got.Name != "" || !got.UpdatedAt.After(first.UpdatedAt) {
		t.Errorf("linked: %+v", got)
	}
	for _, i := range both {
		if u, err := t.Users.GetByIdentity(ctx, i.Connection, i.ID); err != nil || u.ID != first.ID {
			t.Errorf("by %v: %+v, %v", i, u, err)
		}
	}
	_, err = t.Users.Get(ctx, second.ID)
	t.notFound(err, "user")
	if s := t.resolve(o.ID, second.ID).Standing; s != orgstore.StandingNotMember {
		t.Errorf("the linked user is %v", s)
	}
	// What was linked keeps its e-mail; the user's own identity follows the user.
	t.changed(t.Users.Update(ctx, first.ID, orgstore.UserUpdate{Email: new("new@example.com")}))
	if got = t.getUser(first.ID); got.Identities[0].Email != "new@example.com" || !slices.Equal(got.Identities[1:], second.Identities) {
		t.Errorf("after the update: %+v", got.Identities)
	}
	t.conflict(third(t.Users.Create(ctx, orgstore.User{ID: "x", Identities: []orgstore.Identity{{Connection: db, ID: "x", Email: "s2@example.com"}}})), "user", "email")

	made, result, err := t.Users.Unlink(ctx, first.ID, db, "s2")
	t.ok(err)
	t.raised(result, orgstore.UserScope(first.ID), orgstore.UserScope(second.ID))
	if again := t.getUser(second.ID); !reflect.DeepEqual(again, made) || !slices.Equal(made.Identities, second.Identities) || made.Email != second.Email ||
		!made.EmailVerified || made.Name != "" {
		t.Errorf("unlinked: %+v, %+v", made, again)
	}
	if got = t.getUser(first.ID); len(got.Identities) != 1 {
		t.Errorf("left: %+v", got)
	}
	t.changed(t.Users.Update(ctx, second.ID, orgstore.UserUpdate{Email: new("back@example.com")}))
	if i := t.getUser(second.ID).Identities[0]; i.Email != "back@example.com" {
		t.Errorf("the identity of the user who is back: %+v", i)
	}
	if s := t.resolve(o.ID, second.ID).Standing; s != orgstore.StandingNotMember {
		t.Errorf("the user who is back is %v", s)
	}
}

func usersLinkRefused(t *engineTest) {
	ctx := t.Context()
	db := t.connection("db", "auth0")
	first, bare := t.account("first", db, "").ID, t.user("bare")
	blocked, _, err := t.Users.Create(ctx, orgstore.User{ID: "blocked", Blocked: true, Identities: []orgstore.Identity{{Connection: db, ID: "b"}}})
	t.ok(err)
	client := orgstore.ClientPrincipal(t.client("c"))
	second := t.account("second", db, "").ID
	before := len(t.events())
	for _, other := range []string{first, bare, blocked.ID} {
		_, err := t.Users.Link(ctx, first, other)
		t.invalid(err, "user_id", "")
	}
	for _, nobody := range []string{"", "nobody", "\x00", "\xff", client} {
		_, err := t.Users.Link(ctx, first, nobody)
		t.notFound(err, "user")
		_, err = t.Users.Link(ctx, nobody, first)
		t.notFound(err, "user")
		t.notFound(third(t.Users.Unlink(ctx, nobody, db, "first")), "user")
	}
	for _, id := range []string{"", "nothing", "\x00", "\xff", second} {
		t.notFound(third(t.Users.Unlink(ctx, first, db, id)), "identity")
		t.notFound(third(t.Users.Unlink(ctx, first, id, "first")), "identity")
	}
	t.invalid(third(t.Users.Unlink(ctx, first, db, "first")), "identity", "")
	if n := len(t.events()); n != before {
		t.Errorf("%d events of what was refused", n-before)
	}
	t.changed(t.Users.Link(ctx, first, second))
	t.user(second)
	t.conflict(third(t.Users.Unlink(ctx, first, db, second)), "user", "id")
	t.changed(t.Users.Delete(ctx, second))
	t.ok(third(t.Users.Unlink(ctx, first, db, second)))
}

func usersLinkIsolated(t *engineTest) {
	ctx := t.Context()
	db, a, b := t.connection("db", "auth0"), t.org("a"), t.org("b")
	isolated, _, err := t.Connections.Create(ctx, orgstore.Connection{Name: "isolated", Strategy: "samlp", Isolated: true})
	t.ok(err)
	first, second := t.account("first", db, "").ID, t.account("second", isolated.ID, "").ID
	t.member(a.ID, first)
	t.member(b.ID, first)
	_, err = t.Users.Link(ctx, first, second)
	t.invalid(err, "user_id", "")
	t.changed(t.Members.Remove(ctx, b.ID, first))
	t.changed(t.Users.Link(ctx, first, second))
}

func usersFound(t *engineTest) {
	ctx := t.Context()
	db := t.connection("db", "auth0")
	for _, u := range []orgstore.User{
		{ID: "1", Name: "Anna Äpfel", Email: "x1@example.com"}, {ID: "2", Name: "ANNA", Blocked: true}, {ID: "3", Name: "Hanna"},
		{ID: "4", Email: "Anna@example.com", Identities: []orgstore.Identity{{Connection: db, ID: "4"}}}, {ID: "5", Name: "100%_'\\"},
	} {
		t.ok(third(t.Users.Create(ctx, u)))
	}
	t.client("anna")
	for _, c := range []struct {
		opts orgstore.UserListOptions
		want string
	}{
		{orgstore.UserListOptions{Query: "anna"}, "1 2 4"},
		{orgstore.UserListOptions{Query: "aNNa ä"}, "1"},
		{orgstore.UserListOptions{Query: "x1@"}, "1"},
		{orgstore.UserListOptions{Query: "100%_'\\"}, "5"},
		{orgstore.UserListOptions{Query: "%"}, ""},
		{orgstore.UserListOptions{Query: "_"}, ""},
		{orgstore.UserListOptions{Blocked: new(true)}, "2"},
		{orgstore.UserListOptions{Query: "anna", Blocked: new(false)}, "1 4"},
		{orgstore.UserListOptions{Query: "anna", Connection: db}, "4"},
		{orgstore.UserListOptions{Connection: "con_\x00"}, ""},
	} {
		var ids []string
		c.opts.Limit, c.opts.Total = 1, true
		for {
			page, err := t.Users.List(ctx, c.opts)
			t.ok(err)
			for _, u := range page.Items {
				ids = append(ids, u.ID)
			}
			if n := len(strings.Fields(c.want)); page.Total != n {
				t.Errorf("%+v: total %d, want %d", c.opts, page.Total, n)
			}
			if c.opts.After = page.Next; page.Next == "" {
				break
			}
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%+v: %q, want %q", c.opts, got, c.want)
		}
	}
	for _, q := range []string{"a\x00", "\xff", "a\n", strings.Repeat("x", 1025)} {
		_, err := t.Users.List(ctx, orgstore.UserListOptions{Query: q})
		t.invalid(err, "Query", q)
	}
}

func usersRenamed(t *engineTest) {
	o, u := t.org("o"), t.user("u")
	t.member(o.ID, u)
	t.changed(t.Users.Update(t.Context(), u, orgstore.UserUpdate{Name: new("new name")}))
	if m, err := t.Members.Get(t.Context(), o.ID, u); err != nil || m.Name != "new name" {
		t.Errorf("member %+v, %v", m, err)
	}
}

var userRaces = map[string]race{
	"DIR-10: one identity": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		return func(i int) error {
			return third(t.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint(i), Identities: []orgstore.Identity{{Connection: db, ID: "i"}}}))
		}
	}, most: 1, lost: conflict("user", "identity")},
	"DIR-11: one e-mail for new users of a database": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		return func(i int) error {
			email := []string{"u@example.com", "U@Example.com"}[i%2]
			return third(t.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint(i), Email: email, Identities: []orgstore.Identity{{Connection: db, ID: fmt.Sprint(i)}}}))
		}
	}, most: 1, lost: conflict("user", "email")},
	"DIR-11: one e-mail for users of a database": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		users := t.many(func(i int) string { return t.account(fmt.Sprint(i), db, "").ID })
		return func(i int) error {
			return second(t.Users.Update(t.Context(), users[i], orgstore.UserUpdate{Email: new("u@example.com")}))
		}
	}, most: 1, lost: conflict("user", "email")},
	"DIR-12: one user is linked to one": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		users := t.many(func(i int) string { return t.account(fmt.Sprint(i), db, "").ID })
		t.account("second", db, "")
		return func(i int) error { return second(t.Users.Link(t.Context(), users[i], "second")) }
	}, most: 1, lost: func(t *engineTest, err error) { t.notFound(err, "user") }},
	"DIR-12: users are linked in a ring": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		users := t.many(func(i int) string { return t.account(fmt.Sprint(i), db, "").ID })
		return func(i int) error {
			err := second(t.Users.Link(t.Context(), users[i], users[(i+1)%racers]))
			if err != nil && !errors.Is(err, orgstore.ErrNotFound) && !errors.Is(err, orgstore.ErrLimit) {
				return err
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		page, err := t.Users.List(t.Context(), orgstore.UserListOptions{})
		t.ok(err)
		identities := 0
		for _, u := range page.Items {
			identities += len(u.Identities)
		}
		if len(page.Items) == 0 || identities != racers {
			t.Errorf("%d users have %d identities", len(page.Items), identities)
		}
	}},
	"DIR-2: a connection is deleted while users come by it": {setup: func(t *engineTest) func(int) error {
		db := t.connection("db", "auth0")
		return func(i int) error {
			if i == racers/2 {
				return second(t.Connections.Delete(t.Context(), db))
			}
			err := third(t.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint(i), Identities: []orgstore.Identity{{Connection: db, ID: fmt.Sprint(i)}}}))
			if err != nil {
				t.notFound(err, "connection")
			}
			return nil
		}
	}, most: racers, after: func(t *engineTest, _ []error) {
		if n, err := t.Clean(t.Context()); err != nil || n != 0 {
			t.Errorf("Clean found %d identities of a deleted connection, %v", n, err)
		}
	}},
}
