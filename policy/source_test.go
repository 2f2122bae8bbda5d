package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir, empty := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		source Source
		want   []string
	}{
		"no such directory": {Dir(filepath.Join(dir, "none")), []string{dir + "/none is no readable directory; create the directory", ": no such file or directory"}},
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
		"nothing":           {FS(files()), []string{"the source: holds no .rego file; put the policies there, or leave Config.Source nil"}},
		"empty directory":   {Dir(empty), []string{empty + ": holds no .rego file; put the policies there"}},
		"only tests":        {FS(files("authz_test.rego", "package authz", "orgs/README.md", "")), []string{"holds no .rego file"}},

		"in a sub-folder":        {FS(files("authz.rego", allowAll, "billing/eu/deny.rego", "")), []string{"billing/eu/deny.rego: is not read in this folder; move it up into the source's top folder, or into orgs/<label>.<organization id>/"}},
		"embedded with a folder": {FS(files("policies/authz.rego", allowAll)), []string{"policies/authz.rego: is not read"}},
		"Orgs":                   {FS(files("authz.rego", allowAll, "Orgs/x."+granite+"/a.rego", nothing)), []string{"Orgs/x." + granite + "/a.rego: is not read", "is orgs, in small letters"}},
		"below an organization's": {FS(files("authz.rego", allowAll, "granite", nothing, "orgs/granite."+granite+"/more/a.rego", "")),
			[]string{"orgs/granite." + granite + "/more/a.rego: is not read", "move it up into orgs/granite." + granite + "/"}},
		"large letters":             {FS(files("authz.rego", allowAll, "DENY.REGO", "")), []string{"DENY.REGO: is not read; let its name end in .rego"}},
		"large letters of the test": {FS(files("authz.rego", allowAll, "a_test.Rego", "")), []string{"a_test.Rego: is not read"}},
		"organization's, large":     {FS(files("granite", nothing, "orgs/granite."+granite+"/b.Rego", "")), []string{"b.Rego: is not read"}},
		"large, in orgs":            {FS(files("authz.rego", allowAll, "orgs/b.REGO", "")), []string{"orgs/b.REGO: lies outside"}},
		"large, in a sub-folder":    {FS(files("authz.rego", allowAll, "sub/b.REGO", "")), []string{"sub/b.REGO: is not read"}},
		"folders without end":       {FS(files("authz.rego", allowAll, strings.Repeat("x/", 30)+"a", "")), []string{"x/x", "more than 20 folders deep"}},
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
		"README.md", "{", "a_test.rego", "package authz_test\nnonsense {", ".hidden.rego", "{",
		"sub/b_test.rego", "{", "sub/README.md", "{", ".git/b.rego", "{", "sub/.hidden/b.rego", "{", "orgs/.git/x.rego", "{",
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
	dir, version := t.TempDir(), "..2026_01_02_03_04_05.678"
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, version, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("authz.rego", allowAll)
	write(graniteIn, refuseAll)
	link(version, "..data")
	link(filepath.Join("..data", "authz.rego"), "authz.rego")
	link(filepath.Join("..data", "orgs"), "orgs")
	e, err := Open(t.Context(), Config{Source: Dir(dir), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if d := decide(t, e, member(granite, "a")); d.Outcome != Denied {
		t.Errorf("got %q", d.Outcome)
	}
	if d := decide(t, e, member(rocky, "a")); d.Outcome != Allowed {
		t.Errorf("got %q", d.Outcome)
	}

	write("billing/deny.rego", denyAll)
	link(filepath.Join("..data", "billing"), "billing")
	mustContain(t, openErr(t, Dir(dir)), filepath.Join(dir, "billing/deny.rego")+": is not read")
	if err := os.Remove(filepath.Join(dir, "billing")); err != nil {
		t.Fatal(err)
	}
	link(".", "loop")
	mustContain(t, openErr(t, Dir(dir)), "a link leads back", filepath.Join(dir, "loop"))
	if err := errors.Join(os.Remove(filepath.Join(dir, "loop")), os.RemoveAll(filepath.Join(dir, version, "orgs"))); err != nil {
		t.Fatal(err)
	}
	mustContain(t, openErr(t, Dir(dir)), filepath.Join(dir, "orgs")+": no such file") // it leads nowhere
}

func TestInvalidErrorIsTyped(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Source: FS(files("a.rego", "package authz\nallow if {"))})
	invalid, ok := errors.AsType[*InvalidError](err)
	if !ok || !errors.Is(err, ErrInvalid) || errors.Is(err, ErrDegraded) || len(invalid.Problems) != 1 || invalid.Problems[0].Row != 2 {
		t.Errorf("%#v", err)
	}
}
