package orgstoretest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

var apiKeyCases = cases{
	"M2M-5: the life of an API key":                     apiKeyLife,
	"M2M-5: a secret is shown once":                     apiKeySecret,
	"M2M-5: rotation overlaps":                          apiKeyRotation,
	"M2M-5: an API key expires":                         apiKeyExpires,
	"M2M-5: an API key ends with its organization":      apiKeyOrganization,
	"M2M-5: lists of API keys":                          apiKeyLists,
	"M2M-5: bad input":                                  apiKeysRefused,
	"M2M-5: use is written once a minute, as no change": apiKeyUse,
}

var apiKeyRaces = map[string]race{
	"M2M-5: API keys of an organization": {limits: orgstore.Limits{APIKeys: 5}, setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		t.user("u")
		t.member(o.ID, "u")
		return func(i int) error {
			return third(t.APIKeys.Create(t.Context(), o.ID, orgstore.APIKeyOptions{Name: strconv.Itoa(i), Principal: "u"}))
		}
	}, most: 5, lost: limit("live API keys", 5), after: func(t *engineTest, _ []error) {
		o, err := t.Organizations.GetByName(t.Context(), "acme")
		t.ok(err)
		page, err := t.APIKeys.List(t.Context(), o.ID, orgstore.ListOptions{})
		t.ok(err)
		t.changed(t.APIKeys.Revoke(t.Context(), o.ID, page.Items[0].ID)) // makes room for one
		errs := together(racers, func(i int) error {
			return third(t.APIKeys.Create(t.Context(), o.ID, orgstore.APIKeyOptions{Name: "again", Principal: "u"}))
		})
		if n := succeeded(errs); n != 1 {
			t.Errorf("room for %d keys, want 1", n)
		}
	}},
}

// apiKey makes a key of a new member "u" of a new organization.
func (t *engineTest) apiKey(name string) *orgstore.APIKey {
	t.Helper()
	o := t.org(name)
	if _, err := t.Users.Get(t.Context(), "u"); err != nil {
		t.user("u")
	}
	t.member(o.ID, "u")
	k, result, err := t.APIKeys.Create(t.Context(), o.ID, orgstore.APIKeyOptions{Name: "Build server", Principal: "u"})
	t.changed(result, err)
	return k
}

func (t *engineTest) noKey(secret string) {
	t.Helper()
	_, err := t.APIKeys.Authenticate(t.Context(), secret)
	t.notFound(err, "API key")
}

func apiKeyLife(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	if k.Name != "Build server" || k.Principal != "u" || !strings.HasPrefix(k.Secret, k.Prefix) || len(k.Prefix) != 10 || len(k.Secret) != 30 || k.CreatedAt.IsZero() {
		t.Errorf("key: %+v", k)
	}
	got, err := t.APIKeys.Authenticate(ctx, k.Secret)
	t.ok(err)
	if got.ID != k.ID || got.Organization != k.Organization || got.Principal != "u" || got.Secret != "" || got.LastUsedAt.IsZero() {
		t.Errorf("authenticated: %+v", got)
	}
	t.changed(t.APIKeys.Revoke(ctx, k.Organization, k.ID))
	t.noKey(k.Secret)
	t.unchanged(t.APIKeys.Revoke(ctx, k.Organization, k.ID))
	got, err = t.APIKeys.Get(ctx, k.Organization, k.ID)
	if err != nil || got.RevokedAt.IsZero() {
		t.Errorf("revoked: %+v, %v", got, err)
	}
	_, _, err = t.APIKeys.Rotate(ctx, k.Organization, k.ID, 0)
	t.conflict(err, "API key", "status")
}

func apiKeySecret(t *engineTest) {
	k := t.apiKey("acme")
	text, err := json.Marshal(k)
	t.ok(err)
	texts := [][]byte{text}
	for _, e := range t.events() {
		texts = append(texts, e.Before, e.After)
	}
	all := string(bytes.Join(texts, nil))
	if strings.Contains(all, k.Secret) || strings.Contains(all, k.Secret[10:]) {
		t.Error("the secret is in the JSON or in an event")
	}
	read, err := t.APIKeys.Get(t.Context(), k.Organization, k.ID)
	if err != nil || read.Secret != "" || read.Prefix != k.Prefix {
		t.Errorf("read: %+v, %v", read, err)
	}
	// Repeating the call does not show it again.
	opts := orgstore.APIKeyOptions{Name: "once", Principal: "u"}
	first, _, err := t.APIKeys.Create(t.key("k"), k.Organization, opts)
	t.ok(err)
	again, result, err := t.APIKeys.Create(t.key("k"), k.Organization, opts)
	t.ok(err)
	if first.Secret == "" || again.Secret != "" || again.ID != first.ID || !result.Replayed {
		t.Errorf("repeated: %+v, %+v", again, result)
	}
}

func apiKeyRotation(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	second, result, err := t.APIKeys.Rotate(ctx, k.Organization, k.ID, time.Hour)
	t.changed(result, err)
	if second.ID != k.ID || second.Secret == k.Secret || second.Prefix == k.Prefix {
		t.Errorf("rotated: %+v", second)
	}
	for _, secret := range []string{k.Secret, second.Secret} {
		if got, err := t.APIKeys.Authenticate(ctx, secret); err != nil || got.ID != k.ID {
			t.Errorf("within the overlap: %+v, %v", got, err)
		}
	}
	t.clock.advance(time.Hour + time.Second)
	t.noKey(k.Secret)
	third, _, err := t.APIKeys.Rotate(ctx, k.Organization, k.ID, 0)
	t.ok(err)
	t.noKey(second.Secret)
	if _, err := t.APIKeys.Authenticate(ctx, third.Secret); err != nil {
		t.Error(err)
	}
	// A later rotation does not lengthen an overlap.
	fourth, _, err := t.APIKeys.Rotate(ctx, k.Organization, k.ID, time.Hour)
	t.ok(err)
	_, _, err = t.APIKeys.Rotate(ctx, k.Organization, k.ID, 24*time.Hour)
	t.ok(err)
	t.clock.advance(2 * time.Hour)
	t.noKey(third.Secret)
	if _, err := t.APIKeys.Authenticate(ctx, fourth.Secret); err != nil {
		t.Error(err)
	}
	for _, overlap := range []time.Duration{-1, 31 * 24 * time.Hour} {
		_, _, err := t.APIKeys.Rotate(ctx, k.Organization, k.ID, overlap)
		t.invalid(err, "overlap", "")
	}
}

func apiKeyExpires(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	at := t.clock.now().Add(time.Hour)
	short, _, err := t.APIKeys.Create(ctx, k.Organization, orgstore.APIKeyOptions{Name: "short", Principal: "u", ExpiresAt: at})
	t.ok(err)
	if _, err := t.APIKeys.Authenticate(ctx, short.Secret); err != nil {
		t.Error(err)
	}
	t.clock.advance(time.Hour)
	t.noKey(short.Secret)
	_, _, err = t.APIKeys.Rotate(ctx, k.Organization, short.ID, 0)
	t.conflict(err, "API key", "status")
}

func apiKeyOrganization(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	t.changed(t.Organizations.Delete(ctx, k.Organization))
	t.noKey(k.Secret)
	_, err := t.APIKeys.Get(ctx, k.Organization, k.ID)
	t.notFound(err, "API key")
	_, err = t.APIKeys.List(ctx, k.Organization, orgstore.ListOptions{})
	t.notFound(err, "organization")
	// The member's end leaves the key, which is nobody's then.
	k = t.apiKey("other")
	t.changed(t.Members.Remove(ctx, k.Organization, "u"))
	got, err := t.APIKeys.Authenticate(ctx, k.Secret)
	t.ok(err)
	if a := t.resolve(got.Organization, got.Principal); a.Standing == orgstore.StandingMember {
		t.Error("the key of somebody who was removed has access")
	}
}

func apiKeyLists(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	for _, name := range []string{"b", "a", "c"} {
		t.clock.advance(time.Second)
		_, _, err := t.APIKeys.Create(ctx, k.Organization, orgstore.APIKeyOptions{Name: name, Principal: "u"})
		t.ok(err)
	}
	for by, want := range map[orgstore.Sort]string{orgstore.SortName: "Build server a b c", orgstore.SortCreated: "Build server b a c"} {
		opts, names := orgstore.ListOptions{Limit: 2, Sort: by}, []string(nil)
		for {
			page, err := t.APIKeys.List(ctx, k.Organization, opts)
			t.ok(err)
			for _, k := range page.Items {
				names = append(names, k.Name)
			}
			if opts.After = page.Next; opts.After == "" {
				break
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("by %s: %s, want %s", by, got, want)
		}
	}
	page, err := t.APIKeys.List(ctx, k.Organization, orgstore.ListOptions{Total: true, Limit: 1})
	if err != nil || page.Total != 4 {
		t.Errorf("total %d, %v", page.Total, err)
	}
}

func apiKeysRefused(t *engineTest) {
	ctx := t.Context()
	k, other := t.apiKey("acme"), t.apiKey("other")
	before := len(t.events())
	for _, name := range []string{"", " x", "x\n", "\x00", "\xff", strings.Repeat("n", 101)} {
		_, _, err := t.APIKeys.Create(ctx, k.Organization, orgstore.APIKeyOptions{Name: name, Principal: "u"})
		t.invalid(err, "name", name)
	}
	_, _, err := t.APIKeys.Create(ctx, k.Organization, orgstore.APIKeyOptions{Name: "n", Principal: "u", ExpiresAt: t.clock.now()})
	t.invalid(err, "expires_at", "")
	for _, principal := range []string{"", "nobody", "u\x00", "U"} {
		_, _, err := t.APIKeys.Create(ctx, k.Organization, orgstore.APIKeyOptions{Name: "n", Principal: principal})
		t.notFound(err, "member")
	}
	for _, org := range []string{"", "acme", "org_0000000000000000"} {
		_, _, err := t.APIKeys.Create(ctx, org, orgstore.APIKeyOptions{Name: "n", Principal: "u"})
		t.notFound(err, "organization")
		_, err = t.APIKeys.List(ctx, org, orgstore.ListOptions{})
		t.notFound(err, "organization")
	}
	for _, id := range []string{"", other.ID, "key_0000000000000000", strings.ToUpper(k.ID)} {
		_, err := t.APIKeys.Get(ctx, k.Organization, id)
		t.notFound(err, "API key")
		_, err = t.APIKeys.Revoke(ctx, k.Organization, id)
		t.notFound(err, "API key")
		_, _, err = t.APIKeys.Rotate(ctx, k.Organization, id, 0)
		t.notFound(err, "API key")
	}
	for _, secret := range []string{"", "oak_", strings.ToUpper(k.Secret), k.Secret + "a", k.Secret[:29], strings.Repeat("x", 30), "oak_" + strings.Repeat("\x00", 26)} {
		t.noKey(secret)
	}
	if after := len(t.events()); after != before {
		t.Errorf("bad input has written %d events", after-before)
	}
}

func apiKeyUse(t *engineTest) {
	ctx := t.Context()
	k := t.apiKey("acme")
	before := len(t.events())
	var used []time.Time
	for range 3 {
		got, err := t.APIKeys.Authenticate(ctx, k.Secret)
		t.ok(err)
		used = append(used, got.LastUsedAt)
		t.clock.advance(40 * time.Second)
	}
	if used[0].IsZero() || !used[1].Equal(used[0]) || !used[2].After(used[0]) {
		t.Errorf("used at %v", used)
	}
	if after := len(t.events()); after != before {
		t.Errorf("%d events", after-before)
	}
}
