package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// folder is a directory of policies with an engine that follows it.
type folder struct {
	t       *testing.T
	dir     string
	engine  *Engine
	log     *log
	reloads chan error
}

func follow(t *testing.T, namesAndTexts ...string) *folder {
	t.Helper()
	f := &folder{t: t, dir: t.TempDir(), log: &log{}, reloads: make(chan error, 100)}
	for i := 0; i < len(namesAndTexts); i += 2 {
		f.write(namesAndTexts[i], namesAndTexts[i+1])
	}
	e, err := Open(t.Context(), Config{
		Source: Dir(f.dir), PollInterval: 5 * time.Millisecond, Timeout: time.Minute, Logger: f.log.logger(),
		OnReload: func(err error) { f.reloads <- err },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.engine = e
	t.Cleanup(func() { _ = e.Close() })
	return f
}

func (f *folder) write(name, text string) {
	f.t.Helper()
	name = filepath.Join(f.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) remove(name string) {
	f.t.Helper()
	if err := os.RemoveAll(filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// replace writes a file in one step, so that no look at the folder sees it half written.
func (f *folder) replace(name, text string) {
	f.t.Helper()
	f.write(".new", text)
	if err := os.Rename(filepath.Join(f.dir, ".new"), filepath.Join(f.dir, name)); err != nil {
		f.t.Fatal(err)
	}
}

// reload waits for the next reload that was tried.
func (f *folder) reload() error {
	f.t.Helper()
	select {
	case err := <-f.reloads:
		return err
	case <-time.After(20 * time.Second):
		f.t.Fatal("no reload")
		return nil
	}
}

func (f *folder) mustReload() {
	f.t.Helper()
	if err := f.reload(); err != nil {
		f.t.Fatal(err)
	}
	if err := f.engine.Health(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// mustRefuse waits for a refusal that names all parts in the error, the log and Health.
func (f *folder) mustRefuse(parts ...string) {
	f.t.Helper()
	err := f.reload()
	if !errors.Is(err, ErrInvalid) {
		f.t.Fatalf("reload: %v", err)
	}
	mustContain(f.t, err.Error(), parts...)
	h := f.engine.Health(f.t.Context())
	if !errors.Is(h, ErrDegraded) || !errors.Is(h, ErrInvalid) || errors.Is(h, ErrUnavailable) || !strings.Contains(h.Error(), err.Error()) {
		f.t.Errorf("health: %v", h)
	}
	for _, p := range parts {
		mustContain(f.t, strings.ReplaceAll(f.log.String(), `\"`, `"`), p)
	}
}

func (f *folder) expect(org string, want Outcome) {
	f.t.Helper()
	if d := decide(f.t, f.engine, member(org, "a")); d.Outcome != want {
		f.t.Errorf("%s: got %q, want %q", org, d.Outcome, want)
	}
}

const (
	allowAll  = "package authz\nallow := true"
	denyAll   = "package authz\nallow := false"
	broken    = "package authz\nallow := true\nallow if {\n"
	graniteIn = "orgs/granite." + granite + "/org.rego"
	rockyIn   = "orgs/rocky." + rocky + "/org.rego"
	refuseAll = "package org\ndeny contains \"closed\""
)

func TestReloadBreakAndMend(t *testing.T) {
	t.Parallel()
	f := follow(t, "authz.rego", allowAll)
	first := f.engine.Revision()
	f.expect(granite, Allowed)

	f.replace("authz.rego", broken)
	f.mustRefuse(filepath.Join(f.dir, "authz.rego")+":4:0", "unexpected eof")
	f.expect(granite, Allowed)
	if f.engine.Revision() != first {
		t.Error("the revision changed")
	}

	f.replace("authz.rego", denyAll)
	f.mustReload()
	f.expect(granite, Denied)
	if f.engine.Revision() == first {
		t.Error("the revision did not change")
	}

	f.replace("authz.rego", broken)
	f.mustRefuse("authz.rego:4:0")
	f.replace("authz.rego", denyAll) // taken back
	f.mustReload()
	f.expect(granite, Denied)
	if n := strings.Count(f.log.String(), "not reloaded"); n != 2 { // once for each break, however often it was looked at
		t.Errorf("%d refusals in the log:\n%s", n, f.log)
	}
}

func TestReloadReportsAllProblems(t *testing.T) {
	t.Parallel()
	f := follow(t, "authz.rego", allowAll, graniteIn, refuseAll)
	f.replace("authz.rego", "package authz\nallow if nonsense(1)\ndeny contains x if y := 1")
	f.write("more.rego", "package other")
	f.replace(graniteIn, "package org\ndeny contains \"x\" if http.send({}).x\n")
	for range 3 { // the three may be seen one by one
		if err := f.reload(); strings.Contains(err.Error(), "more.rego") && strings.Contains(err.Error(), "http.send") {
			mustContain(t, err.Error(), "more.rego:1:1: package must be authz or below it, not other", "org.rego:2:22")
			f.expect(granite, Denied)
			f.expect(rocky, Allowed)
			return
		}
	}
	t.Error("the problems were not reported together")
}

func TestReloadOfOneOrganization(t *testing.T) {
	t.Parallel()
	f := follow(t, "authz.rego", allowAll, graniteIn, nothing, rockyIn, nothing)
	before := f.engine.active.Load()
	f.expect(granite, Allowed)
	f.replace(graniteIn, refuseAll)
	f.mustReload()
	f.expect(granite, Denied)
	f.expect(rocky, Allowed)
	after := f.engine.active.Load()
	if after.product != before.product || after.orgs[rocky] != before.orgs[rocky] || after.orgs[granite] == before.orgs[granite] {
		t.Error("compiled something else than what changed")
	}

	f.replace(graniteIn, "package org\ndeny contains")
	f.mustRefuse("org.rego:2:")
	f.expect(granite, Denied)
	f.expect(rocky, Allowed)

	// A policy may be taken away by itself; in one step, or its empty folder is seen.
	if err := os.Rename(filepath.Join(f.dir, filepath.Dir(graniteIn)), filepath.Join(f.dir, ".away")); err != nil {
		t.Fatal(err)
	}
	f.mustReload()
	f.expect(granite, Allowed)
}

func TestReloadOpensNothingByAccident(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hurt func(*folder)
		want string
	}{
		"source removed":           {func(f *folder) { f.remove("") }, "is no readable directory"},
		"source emptied":           {func(f *folder) { f.remove("authz.rego"); f.remove("orgs") }, "holds no .rego file"},
		"misplaced":                {func(f *folder) { f.write("billing/deny.rego", denyAll) }, "billing/deny.rego: is not read"},
		"product's file removed":   {func(f *folder) { f.remove("authz.rego") }, "the product's .rego files are gone"},
		"product's file renamed":   {func(f *folder) { f.remove("authz.rego"); f.write("authz.rego.bak", denyAll) }, "the product's .rego files are gone"},
		"organizations removed":    {func(f *folder) { f.remove("orgs") }, "policies of all organizations are gone"},
		"organization's emptied":   {func(f *folder) { f.remove(graniteIn) }, "holds no .rego file"},
		"file cut to nothing":      {func(f *folder) { f.replace("authz.rego", "") }, "empty module"},
		"organization's cut":       {func(f *folder) { f.replace(graniteIn, "") }, "empty module"},
		"folder with a wrong name": {func(f *folder) { f.write("orgs/x.org_short/a.rego", nothing) }, "does not end in an organization id"},
		"second folder": {func(f *folder) { f.write("orgs/y."+granite+"/a.rego", nothing) },
			"is a second folder for the organization"},
		"too large": {func(f *folder) { f.replace(graniteIn, refuseAll+"\n#"+strings.Repeat("x", maxOrgSource)) }, "more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := follow(t, "authz.rego", "package authz\nallow if input.action == \"b\"", graniteIn, refuseAll)
			f.expect(granite, Denied)
			f.expect(rocky, Undefined)
			test.hurt(f)
			err := f.reload()
			for err != nil && !strings.Contains(err.Error(), test.want) { // a step on the way was seen
				err = f.reload()
			}
			if err == nil {
				t.Fatal("it was accepted")
			}
			if err := f.engine.Health(t.Context()); !errors.Is(err, ErrDegraded) || !errors.Is(err, ErrInvalid) {
				t.Errorf("health: %v", err)
			}
			f.expect(granite, Denied)
			f.expect(rocky, Undefined)
		})
	}
}

// A change that keeps size and time is seen as long as the time is recent.
func TestReloadOfEqualSizeAndTime(t *testing.T) {
	t.Parallel()
	f := follow(t, "authz.rego", "package authz\nallow := 1 == 1")
	f.expect(granite, Allowed)
	info, err := os.Stat(filepath.Join(f.dir, "authz.rego"))
	if err != nil {
		t.Fatal(err)
	}
	f.replace("authz.rego", "package authz\nallow := 1 == 2")
	if err := os.Chtimes(filepath.Join(f.dir, "authz.rego"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	f.mustReload()
	f.expect(granite, Denied)
}

// A content that is replaced before it has stayed the same for a moment never becomes active, though it would compile. The twin
// without that protection opens what is about to be closed.
func TestReloadWaitsUntilWritten(t *testing.T) {
	t.Parallel()
	for _, eager := range []bool{false, true} {
		source := files("authz.rego", denyAll)
		e, _ := open(t, source, Config{})
		w := &watcher{engine: e, eager: eager}
		look := func() Decision { w.look(t.Context()); return decide(t, e, member(granite, "a")) }

		source["authz.rego"].Data = []byte(allowAll) // the deny rule that follows is not written yet
		if d := look(); d.Allow != eager {
			t.Errorf("eager %v: half a policy: %+v", eager, d)
		}
		source["authz.rego"].Data = []byte(allowAll + "\ndeny contains \"closed\"")
		if d := look(); (len(d.Reasons) == 1) != eager {
			t.Errorf("eager %v: first sight: %+v", eager, d)
		}
		if d := look(); d.Outcome != Denied || len(d.Reasons) != 1 {
			t.Errorf("eager %v: not activated: %+v", eager, d)
		}
	}
}

func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	f := follow(t, "authz.rego", allowAll)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if d, err := f.engine.Decide(t.Context(), member(granite, "a")); err != nil || d.Outcome != Allowed && d.Outcome != Denied {
				t.Errorf("%+v, %v", d, err)
				return
			}
		}
	}()
	for i := range 10 {
		f.replace("authz.rego", []string{denyAll, allowAll}[i%2])
		f.mustReload()
		f.expect(granite, []Outcome{Denied, Allowed}[i%2])
	}
	close(stop)
	<-stopped
}
