package policy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		source Source
		want   []string
	}{
		"no such directory": {Dir(filepath.Join(dir, "none")), []string{"none", "create the directory"}},
		"a file":            {Dir(filepath.Join(dir, "file")), []string{"file", "directory"}},
		"syntax":            {FS(files("a.rego", "package authz\nallow if {")), []string{"a.rego:2:10: unexpected eof"}},
		"types":             {FS(files("a.rego", "package authz\nallow if startswith(1, \"x\")")), []string{"a.rego:2:", "invalid argument"}},
		"several":           {FS(files("a.rego", "package authz\nallow if {", "b.rego", "package b", "granite", "package x")), []string{"3 problems", "a.rego:2", "b.rego:1:1", "org.rego:1:1"}},
		"unknown id":        {FS(files("orgs/x/a.rego", nothing)), []string{"orgs/x: does not end in an organization id"}},
		"id without label":  {FS(files("orgs/"+granite+"/a.rego", nothing)), []string{"<label>."}},
		"id too long":       {FS(files("orgs/x."+granite+"0/a.rego", nothing)), []string{"does not end in"}},
		"strange id":        {FS(files("orgs/x.org_0123456789abcde-/a.rego", nothing)), []string{"does not end in"}},
		"look-alike id":     {FS(files("orgs/x.org_0123456789abcdé/a.rego", nothing)), []string{"does not end in"}},
		"two folders":       {FS(files("granite", nothing, "orgs/z."+granite+"/a.rego", nothing)), []string{"second folder", "orgs/granite." + granite}},
		"no folder":         {FS(files("orgs/a.rego", nothing)), []string{"outside of an organization's folder"}},
		"no file":           {FS(files("orgs/x."+granite+"/README.md", "")), []string{"holds no .rego file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustContain(t, openErr(t, test.source), test.want...)
		})
	}
}

func TestOpenIgnores(t *testing.T) {
	t.Parallel()
	e, _ := open(t, files(
		"README.md", "{", "a_test.rego", "package authz_test\nnonsense {", ".hidden.rego", "{", "sub/b.rego", "{",
		"orgs/README.md", "{", "orgs/.git/x", "{",
		"orgs/dots.in.label."+granite+"/org.rego", "package org\ndeny contains \"x\"", "orgs/dots.in.label."+granite+"/x_test.rego", "{",
	), Config{})
	if d := decide(t, e, member(granite, "a", "a")); d.Outcome != Denied {
		t.Errorf("the organization's own: %q", d.Outcome)
	}
	if d := decide(t, e, member(rocky, "a", "a")); d.Outcome != Allowed { // by the built-in policy
		t.Errorf("another organization: %q", d.Outcome)
	}
	if err := e.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// As a mounted Kubernetes ConfigMap has it: names are links into a folder that is exchanged as a whole.
func TestDirFollowsLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "..data"), 0o755),
		os.WriteFile(filepath.Join(dir, "..data", "authz.rego"), []byte(allowAll), 0o644),
		os.Symlink(filepath.Join("..data", "authz.rego"), filepath.Join(dir, "authz.rego")),
	); err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), Config{Source: Dir(dir), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if d := decide(t, e, member(granite, "a")); !d.Allow {
		t.Errorf("got %q", d.Outcome)
	}
}

func TestInvalidErrorIsTyped(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Source: FS(files("a.rego", "package authz\nallow if {"))})
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok || !errors.Is(err, ErrInvalid) || len(invalid.Problems) != 1 || invalid.Problems[0].Row != 2 {
		t.Errorf("%#v", err)
	}
}
