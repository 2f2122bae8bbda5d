package orgstore

import (
	"encoding/base64"
	"errors"
	"regexp"
	"slices"
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
	for _, seed := range []string{
		"", "x", "%%%", "users id false:\x00auth0|emilio", "users name false:sEmilio\x00auth0|emilio", "users created_at true:n17\x00x",
		"users created_at true:n\x00x", "users name false:\x00x", "users id false:sx\x00x", "users id false:\x00\x00",
	} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(seed)))
	}
	f.Fuzz(func(t *testing.T, after string) {
		for by := range userList.sorts {
			checkCursor(t, ListOptions{After: after, Sort: by, Descending: by == SortCreated})
		}
		checkCursor(t, ListOptions{After: after})
	})
}

func checkCursor(t *testing.T, opts ListOptions) {
	_, args, limit, err := userList.page(opts)
	if err != nil {
		if !errors.Is(err, ErrInvalid) || len(opts.After) > 8 && strings.Contains(err.Error(), opts.After) {
			t.Errorf("error: %v", err)
		}
		return
	}
	if opts.After == "" {
		return
	}
	id, _ := args[len(args)-1].(string)
	if limit != 50 || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		t.Errorf("cursor %q gives %d, %q", opts.After, limit, id)
	}
	l := userList
	l.key = func(*User, Sort) (any, string) { // as the last item of a page
		if len(args) == 1 {
			return nil, id
		}
		return args[0], id
	}
	page := Page[*User]{Items: make([]*User, limit+1)}
	l.cut(&page, limit, opts)
	again := opts
	again.After = page.Next
	if _, args2, _, err := l.page(again); err != nil || !slices.Equal(args, args2) {
		t.Errorf("%q comes back as %q, %v", args, args2, err)
	}
	if _, _, _, err := roleList.page(again); err == nil {
		t.Error("a cursor of another list is accepted")
	}
	again.Descending = !again.Descending
	if _, _, _, err := userList.page(again); err == nil {
		t.Error("a cursor of the other direction is accepted")
	}
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
