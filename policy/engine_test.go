package policy

import (
	"testing"
	"testing/fstest"
)

func TestSmoke(t *testing.T) {
	fsys := fstest.MapFS{
		"authz.rego": {Data: []byte("package authz\ndefault allow := false\nallow if input.action in input.member.permissions\nallow if data.org.allow\nobligations := {\"x\": 1} if allow\n")},
		"orgs/a.org_0123456789abcdef/p.rego": {Data: []byte("package org\nallow if input.action == \"b\"\ndeny contains \"no\" if input.action == \"c\"\n")},
	}
	e, err := Open(t.Context(), Config{Source: FS(fsys)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for _, org := range []string{"org_0123456789abcdef", "org_z"} {
		s := NewSubject(Token{}, Org{ID: org}, Member{Permissions: []string{"a", "c"}})
		for _, a := range []string{"a", "b", "c", "d"} {
			d, err := e.Decide(t.Context(), &Input{Action: a, Subject: s})
			t.Log(org, a, d, err)
			d, err = e.Decide(t.Context(), &Input{Action: a, Subject: s})
			t.Log(org, a, d, err)
		}
	}
}
