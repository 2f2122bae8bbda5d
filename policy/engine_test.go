package policy

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCombination(t *testing.T) {
	t.Parallel()
	allows := map[string]string{
		"true": "allow := true", "false": "allow := false", "undefined": "allow if input.action == \"other\"", "default": "default allow := false",
		"not boolean": "allow := input.action", "conflict": "allow := true if input.action\nallow := false if input.action",
		"failing": "allow if 1 / (count(input.action) - 1) == 1",
	}
	denies := map[string]string{
		"absent": "", "empty": `deny contains "x" if input.action == "other"`, "members": `deny contains "why"`,
		"not a set": `deny := input.member.permissions`, "wrong member": `deny contains 1`, "failing": `deny contains to_number(input.action)`,
	}
	bad := func(s string) bool {
		switch s {
		case "not boolean", "conflict", "failing", "not a set", "wrong member":
			return true
		}
		return false
	}
	for allow, allowText := range allows {
		for deny, denyText := range denies {
			for org, orgText := range denies {
				t.Run(allow+"/"+deny+"/"+org, func(t *testing.T) {
					t.Parallel()
					e, l := open(t, files("authz.rego", "package authz\n"+allowText+"\n"+denyText+"\nobligations := {\"mask\": true}",
						"granite", "package org\nallow := true\n"+orgText), Config{})
					want, reasons := Allowed, []any(nil)
					if deny == "members" {
						reasons = append(reasons, "why")
					}
					if org == "members" {
						reasons = append(reasons, "why")
					}
					switch {
					case bad(allow) || bad(deny) || bad(org):
						want, reasons = Failed, nil
					case reasons != nil:
						want = Denied
					case allow == "undefined":
						want = Undefined
					case allow == "false" || allow == "default":
						want = Denied
					}
					for range 2 { // the second time from the cache, if it may be
						d := decide(t, e, member(granite, "a"))
						if d.Outcome != want || !reflect.DeepEqual(d.Reasons, reasons) {
							t.Errorf("got %q %v, want %q %v", d.Outcome, d.Reasons, want, reasons)
						}
						if (d.Obligations != nil) != (want == Allowed) {
							t.Errorf("obligations %v", d.Obligations)
						}
						if d.Revision != e.Revision() || d.Revision == "" {
							t.Errorf("revision %q", d.Revision)
						}
					}
					if (want == Failed) != strings.Contains(l.String(), "policy evaluation failed") {
						t.Errorf("log: %s", l)
					}
				})
			}
		}
	}
}

// A built-in error that OPA would swallow as undefined turns "not" into a grant: it must fail the evaluation.
func TestBuiltinErrorUnderNotDenies(t *testing.T) {
	t.Parallel()
	e, _ := open(t, files("a.rego", "package authz\nallow if not banned\nbanned if to_number(input.action) > 1"), Config{})
	if d := decide(t, e, member(granite, "not a number")); d.Outcome != Failed {
		t.Errorf("got %q", d.Outcome)
	}
}

func TestOneOrganizationsFailureIsItsOwn(t *testing.T) {
	t.Parallel()
	e, l := open(t, files("granite", "package org\ndeny contains 1", "rocky", nothing), Config{})
	if d := decide(t, e, member(granite, "a", "a")); d.Outcome != Failed {
		t.Errorf("granite: %q", d.Outcome)
	}
	for _, org := range []string{rocky, "org_other00000000000", ""} {
		if d := decide(t, e, member(org, "a", "a")); !d.Allow {
			t.Errorf("%s: %q", org, d.Outcome)
		}
	}
	mustContain(t, l.String(), "policy of organization "+granite, "deny holds number")
}

func TestReasonsAndObligations(t *testing.T) {
	t.Parallel()
	e, _ := open(t, files("a.rego", `package authz
allow := true
deny contains "b" if input.action == "no"
deny contains "a" if input.action == "no"
deny contains {"code": 7, "tags": {"y", "x"}} if input.action == "no"
obligations := {"limit": 10, "fields": ["id"], "set": {"b", "a"}, "deep": {"on": true, "off": null, 1.5: 2}}`,
		"granite", `package org
deny contains "Z" if input.action == "no"
deny contains "A" if input.action == "no"`), Config{})
	d := decide(t, e, member(granite, "no"))
	want := []any{"a", "b", map[string]any{"code": json.Number("7"), "tags": []any{"x", "y"}}, "A", "Z"}
	if !reflect.DeepEqual(d.Reasons, want) {
		t.Errorf("reasons %v, want %v", d.Reasons, want)
	}
	d = decide(t, e, member(granite, "yes"))
	deep := map[string]any{"on": true, "off": nil, "1.5": json.Number("2")}
	if want := (map[string]any{"limit": json.Number("10"), "fields": []any{"id"}, "set": []any{"a", "b"}, "deep": deep}); !reflect.DeepEqual(d.Obligations, want) {
		t.Errorf("obligations %v, want %v", d.Obligations, want)
	}
	for _, bad := range []string{"obligations := input.action", "obligations := 1 / 0"} {
		e, _ := open(t, files("a.rego", "package authz\nallow := input.action == \"yes\"\n"+bad), Config{})
		if d := decide(t, e, member(granite, "yes")); d.Outcome != Failed {
			t.Errorf("%s: %q", bad, d.Outcome)
		}
		if d := decide(t, e, member(granite, "no")); d.Outcome != Denied { // never asked for after a denial
			t.Errorf("%s: %q", bad, d.Outcome)
		}
	}
}

func TestProductAsksTheOrganizationsPolicy(t *testing.T) {
	t.Parallel()
	const org = `package org
import data.org.team
allow if input.action == "own"
allow if team.leads
level := 3
double(x) := x * 2
seen := input.action`
	const team = "package org.team\nleads if input.action == \"lead\""
	for name, test := range map[string]struct {
		product string
		action  string
		org     string
		want    Outcome
	}{
		"allowed by it":             {"allow if data.org.allow", "own", granite, Allowed},
		"through its own package":   {"allow if data.org.allow", "lead", granite, Allowed},
		"not allowed by it":         {"allow if data.org.allow", "other", granite, Undefined},
		"another organization":      {"allow if data.org.allow", "own", rocky, Undefined},
		"never asked":               {"allow := false", "own", granite, Denied},
		"another value":             {"allow if data.org.level == 3", "x", granite, Allowed},
		"below":                     {"allow if data.org.team.leads", "lead", granite, Allowed},
		"dynamic":                   {"allow if {\n some x in [\"org\"]\n data[x].allow\n}", "own", granite, Allowed},
		"whole":                     {"allow if data.org == {\"allow\": true, \"level\": 3, \"team\": {}, \"seen\": \"own\"}", "own", granite, Allowed},
		"import":                    {"import data.org\nallow if org.level == 3", "own", granite, Allowed},
		"with another input":        {"allow if data.org.seen == \"b\" with input.action as \"b\"", "a", granite, Allowed},
		"with and without, in turn": {"allow if {\n data.org.seen == \"a\"\n data.org.seen == \"b\" with input.action as \"b\"\n data.org.seen == \"a\"\n}", "a", granite, Allowed},
		"replaced":                  {"allow if data.org.level == 4 with data.org.level as 4", "a", granite, Allowed},
		"beside replaced data":      {"allow if data.org.level == 3 with data.x as 4", "a", granite, Failed},
		"a failing one denies":      {"allow if not data.org.bad", "a", "org_bad0000000000000", Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, l := open(t, files("a.rego", "package authz\n"+test.product, "granite", org,
				"orgs/granite."+granite+"/team.rego", team, "rocky", nothing,
				"orgs/bad.org_bad0000000000000/a.rego", nothing+"\nbad := to_number(input.action)"), Config{CacheBytes: -1})
			if d := decide(t, e, member(test.org, test.action)); d.Outcome != test.want {
				t.Errorf("got %q, want %q: %s", d.Outcome, test.want, l)
			}
		})
	}
}

func TestBuiltInPolicy(t *testing.T) {
	t.Parallel()
	e, err := Open(t.Context(), Config{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for action, want := range map[string]Outcome{"read": Allowed, "write": Denied, "": Denied, "rea": Denied} {
		if d := decide(t, e, member(granite, action, "read", "list")); d.Outcome != want {
			t.Errorf("%q: got %q, want %q", action, d.Outcome, want)
		}
	}
	if e.Revision() != "built-in" || e.Health(t.Context()) != nil {
		t.Errorf("revision %q, health %v", e.Revision(), e.Health(t.Context()))
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	if _, err := e.Decide(t.Context(), member(granite, "read", "read")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if err := e.Health(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}

func TestInputThatPoliciesCannotSee(t *testing.T) {
	t.Parallel()
	e, l := open(t, files("a.rego", "package authz\nallow := true"), Config{})
	with := func(resource string) *Input {
		in := member(granite, "a")
		in.Resource = json.RawMessage(resource)
		return in
	}
	for name, in := range map[string]*Input{
		"nil": nil, "no subject": {Action: "a"}, "zero subject": {Subject: &Subject{}},
		"cut JSON": with(`{"a":`), "two values": with(`1 2`), "not JSON": with(`x`), "huge exponent": with(`{"n":1e999999999}`),
	} {
		if d := decide(t, e, in); d.Outcome != Failed {
			t.Errorf("%s: %q", name, d.Outcome)
		}
	}
	mustContain(t, l.String(), "policy evaluation failed")
	if d := decide(t, e, with(` {"a": [1]} `)); !d.Allow {
		t.Errorf("good JSON: %q", d.Outcome)
	}
}

// slow takes longer than any budget here, but can be stopped.
const slow = "package authz\nallow if count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j < 0]) == 1"

func TestBudgetAndCancellation(t *testing.T) {
	t.Parallel()
	e, l := open(t, files("a.rego", slow), Config{Timeout: time.Millisecond})
	for range 2 {
		if d := decide(t, e, member(granite, "a")); d.Outcome != TimedOut || d.Cached {
			t.Errorf("got %+v", d)
		}
	}
	mustContain(t, l.String(), "took more than 1ms")

	e, _ = open(t, files("a.rego", slow), Config{Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if _, err := e.Decide(ctx, member(granite, "a")); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline of the caller: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Decide(cancelled, member(granite, "a")); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}

	e, _ = open(t, files("granite", strings.Replace(strings.Replace(slow, "authz", "org", 1), "allow", "deny contains 1", 1)),
		Config{Timeout: 200 * time.Millisecond})
	if d := decide(t, e, member(granite, "a", "a")); d.Outcome != TimedOut {
		t.Errorf("the organization's own: %q", d.Outcome)
	}
	others := TimedOut
	for range 100 { // a busy machine may take a while even for little
		if others = decide(t, e, member(rocky, "a", "a")).Outcome; others != TimedOut {
			break
		}
	}
	if others != Allowed {
		t.Errorf("another organization: %q", others)
	}
}

// Subjects, with their terms, are shared by concurrent evaluations.
func TestDecideConcurrently(t *testing.T) {
	t.Parallel()
	e, _ := open(t, oddPolicies, Config{CacheBytes: -1})
	in := benchInput()
	want := decide(t, e, in)
	in = benchInput() // not yet looked at by any evaluation
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if d, err := e.Decide(t.Context(), in); err != nil || !reflect.DeepEqual(d, want) {
					t.Errorf("got %+v, %v, want %+v", d, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestPanicDenies(t *testing.T) {
	t.Parallel()
	e, l := open(t, files("a.rego", "package authz\nallow := true"), Config{})
	broken := *e.active.Load()
	broken.store = nil
	broken.product = &program{entries: broken.product.entries}
	e.active.Store(&broken)
	if d := decide(t, e, member(granite, "a")); d.Outcome != Failed {
		t.Errorf("got %q", d.Outcome)
	}
	mustContain(t, l.String(), "panic")
}

func TestConfigProblemsComeTogether(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Source: Dir(""), Timeout: -1})
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	mustContain(t, err.Error(), "Timeout", `Dir("")`)
	_, err = Open(t.Context(), Config{Source: FS(nil)})
	if !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
}
