package orgstore

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNewID(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for range 1000 {
		id := newID("org_")
		if !validID("org_", id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

// FuzzReference compares the hand-written checks with the patterns of rule ORG-1.
func FuzzReference(f *testing.F) {
	name := regexp.MustCompile(`\A[a-z0-9]([a-z0-9_-]{0,48}[a-z0-9])?\z`)
	id := regexp.MustCompile(`\Aorg_[a-zA-Z0-9]{16}\z`)
	for _, seed := range []string{"", "a", "acme", "a-b_c", "-a", "a-", "org_acme", "org_0000000000000000", "org_000000000000000\n", strings.Repeat("a", 50), strings.Repeat("a", 51), "é", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := validName(s), name.MatchString(s) && !strings.HasPrefix(s, "org_"); got != want {
			t.Errorf("name %q: %v, want %v", s, got, want)
		}
		if got, want := validID("org_", s), id.MatchString(s); got != want {
			t.Errorf("id %q: %v, want %v", s, got, want)
		}
		if validName(s) && validID("org_", s) {
			t.Errorf("%q is a name and an id", s)
		}
		if IsOrganizationID(s) && validName(s) {
			t.Errorf("%q is read as an id and is a name", s)
		}
		if validUserID(s) && (!utf8.ValidString(s) || strings.ContainsAny(s, "\x00\n\r\t\u2028\u202e") || len(s) > 1024 || s == "") {
			t.Errorf("%q is a user's id", s)
		}
	})
}

func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"", "x", "%%%", base64.RawURLEncoding.EncodeToString([]byte("users:auth0|emilio")), base64.RawURLEncoding.EncodeToString([]byte("users:\x00"))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, after string) {
		limit, key, err := ListOptions{After: after}.cursor("users")
		if err != nil {
			if !errors.Is(err, ErrInvalid) || len(after) > 8 && strings.Contains(err.Error(), after) {
				t.Errorf("error: %v", err)
			}
			return
		}
		if limit != 50 || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
			t.Errorf("cursor %q gives %d, %q", after, limit, key)
		}
		next := page("users", 1, []string{key, "more"}, func(s string) string { return s }).Next
		if _, again, err := (ListOptions{After: next}).cursor("users"); err != nil || again != key {
			t.Errorf("key %q comes back as %q, %v", key, again, err)
		}
		if _, _, err := (ListOptions{After: next}).cursor("roles"); err == nil {
			t.Error("a cursor of another list is accepted")
		}
	})
}

func TestResultKeepsTheLastRevision(t *testing.T) {
	t.Parallel()
	a, b := UserScope("a"), UserScope("b")
	got := resultOf([]Change{{Scope: a, Revision: 1}, {Scope: b, Revision: 5}, {Scope: a, Revision: 2}})
	if revision, _ := got.Revision.Of(a); !got.Changed || len(got.Revision) != 2 || revision != 2 {
		t.Errorf("%+v", got)
	}
	if got := resultOf(nil); got.Changed || got.Revision != nil {
		t.Errorf("%+v", got)
	}
}
