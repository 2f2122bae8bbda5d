package policy

import (
	"testing"
)

// What cannot give what the engine asks for, or is a misspelt rule, is refused with its position.
func TestRulesRefused(t *testing.T) {
	t.Parallel()
	const (
		allow   = "package authz\nallow := true\n"
		deny    = `deny must be a set: write deny contains "<reason>" if …; this one `
		neither = "the policy defines neither deny nor allow"
	)
	for name, test := range map[string]struct {
		product, org string // texts; one of them is wrong
		want         string
	}{
		"no allow":                 {"package authz\nallowed if input.action", "", "authz.rego:1:1: the policy does not define allow in package authz; write allow if …"},
		"no rule":                  {"package authz", "", "authz.rego:1:1: the policy does not define allow"},
		"misspelt allow":           {"package authz\nx := 1\nalow if input.action", "", `authz.rego:3:1: the policy does not define allow in package authz (is "alow" meant to be "allow"?)`},
		"allow in a sub-package":   {"package authz.sub\nallow := true", "", "authz.rego:1:1: the policy does not define allow"},
		"allow as a package":       {"package authz.allow\nx := true", "", "authz.rego:2:1: allow must be a boolean: write allow if …; this one makes it an object"},
		"allow as a function":      {"package authz\nallow(x) if x", "", "authz.rego:2:1: allow must be a boolean: write allow if …; this one makes it a function"},
		"default of a function":    {"package authz\ndefault allow(_) := false", "", "makes it a function"},
		"allow as a set":           {"package authz\nallow contains \"x\"", "", "makes it a set"},
		"allow as an object":       {"package authz\nallow[x] := 1 if x := input.action", "", "makes it an object"},
		"allow with a key":         {"package authz\nallow.read if input.action", "", "makes it an object"},
		"allow with a text":        {"package authz\nallow := \"yes\"", "", "has the type string"},
		"default allow text":       {"package authz\ndefault allow := \"no\"\nallow if input.action", "", "authz.rego:2:1: allow must be a boolean"},
		"one allow of two":         {"package authz\nallow if input.action\nallow := 1 if input.member", "", "authz.rego:3:1: allow must be a boolean"},
		"else":                     {"package authz\nallow if input.action\nelse := null", "", "authz.rego:3:1: allow must be a boolean"},
		"deny without value":       {allow + "deny if input.action", "", "authz.rego:3:1: " + deny + "has the type boolean"},
		"deny with a boolean":      {allow + "deny := true", "", deny + "has the type boolean"},
		"default deny":             {allow + "default deny := false", "", deny + "has the type boolean"},
		"deny with a list":         {allow + "deny := [\"x\"]", "", deny + "has the type array"},
		"deny with listed members": {allow + "deny := [x | some x in input.member.roles]", "", deny + "has the type arraycomprehension"},
		"deny in old syntax":       {allow + "deny[\"x\"] if input.action", "", deny + "makes it an object"},
		"deny in old syntax, var":  {allow + "deny[x] if x := input.action", "", deny + "makes it an object"},
		"deny below":               {allow + "deny.x contains \"y\"", "", deny + "makes it an object"},
		"deny as a package":        {"package authz.deny\nx contains 1", "", deny + "makes it an object"},
		"deny as a function":       {allow + "deny(x) := {x}", "", deny + "makes it a function"},
		"deny with else":           {allow + "deny := {\"x\"} if input.action\nelse := false", "", deny + "has the type boolean"},
		"obligations, function":    {allow + "obligations(x) := {\"a\": x}", "", "authz.rego:3:1: obligations must be an object: write obligations := {…} if …; this one makes it a function"},
		"obligations, set":         {allow + "obligations contains \"x\"", "", "makes it a set"},
		"obligations, no value":    {allow + "obligations if input.action", "", "has the type boolean"},
		"misspelt beside others":   {allow + "dney contains \"x\"", "", `authz.rego:3:1: nothing reads "dney": is it meant to be "deny"?`},
		"capital":                  {allow + "Deny contains \"x\"", "", `nothing reads "Deny"`},
		"numbered":                 {allow + "deny contains \"x\"\ndeny2 contains \"y\"", "", `nothing reads "deny2"`},
		"one obligation":           {allow + "obligation := {\"x\": 1}", "", `is it meant to be "obligations"?`},

		"organization: misspelt":         {"", "package org\ndney contains \"x\"", `org.rego:2:1: ` + neither + ` (is "dney" meant to be "deny"?); write deny contains "<reason>" if …, or deny := set() to restrict nothing`},
		"organization: no rule":          {"", "package org", "org.rego:1:1: " + neither},
		"organization: other rules":      {"", "package org\nlevel := 3", "org.rego:1:1: " + neither},
		"organization: sub-package":      {"", "package org.sub\ndeny contains \"x\"", neither},
		"organization: deny, boolean":    {"", "package org\ndeny if input.action", "org.rego:2:1: " + deny},
		"organization: allow, function":  {"", "package org\nallow(x) := x", "org.rego:2:1: allow must be"},
		"organization: misspelt beside":  {"", "package org\nallow := false\ndenny contains \"x\"", `org.rego:3:1: nothing reads "denny"`},
		"organization: obligations, set": {"", nothing + "\nobligations contains 1", "org.rego:3:1: obligations must be"},

		"http.send":        {allow + "a if http.send({}).x", "", "the built-in function http.send is not available to the product's policy; the documentation of package policy lists"},
		"sprintf":          {"", "package org\ndeny contains sprintf(\"%s\", [1])", "the built-in function sprintf is not available to an organization's policy; the documentation"},
		"unknown function": {allow + "a if http.sned({}).x", "", "undefined function http.sned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := files("authz.rego", allow)
			if test.product != "" {
				source = files("authz.rego", test.product)
			}
			if test.org != "" {
				source = files("authz.rego", allow, "granite", test.org)
			}
			mustContain(t, openErr(t, FS(source)), test.want)
		})
	}
}

func TestRulesAccepted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		product, org string
		want         Outcome
	}{
		"default alone":           {"default allow := true", "", Allowed},
		"allow by a reference":    {"allow := data.org.allow", "allow := true", Allowed},
		"allow by a comparison":   {"allow := input.action == \"a\"", "", Allowed},
		"deny as a set":           {"allow := true\ndeny := {\"x\"}", "", Denied},
		"deny as a comprehension": {"allow := true\ndeny := {p | some p in input.member.permissions}", "", Denied},
		"deny by a call":          {"allow := true\ndeny := reasons | {\"y\"}\nreasons contains \"x\"", "", Denied},
		"deny of the org's":       {"allow := true\ndeny := data.org.deny", "deny contains \"x\"", Denied},
		"default deny":            {"allow := true\ndefault deny := set()\ndeny := {\"x\"} if input.action == \"a\"", "", Denied},
		"obligations by key":      {"allow := true\nobligations.mask contains \"phone\"", "", Allowed},
		"near name that is read":  {"allow := true\ndeny contains x if some x in denys\ndenys contains \"x\"", "", Denied},
		"near name from below":    {"import data.authz.sub\nallow if sub.x\nallows := true", "", Allowed},
		"organization: allow":     {"allow := true", "allow := false", Allowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := files("authz.rego", "package authz\n"+test.product, "sub.rego", "package authz.sub\nx if data.authz.allows")
			if name != "near name from below" {
				delete(source, "sub.rego")
			}
			if test.org != "" {
				source["orgs/granite."+granite+"/org.rego"] = files("x", "package org\n"+test.org)["x"]
			}
			e, l := open(t, source, Config{})
			if d := decide(t, e, member(granite, "a", "a")); d.Outcome != test.want {
				t.Errorf("got %q, want %q: %s", d.Outcome, test.want, l)
			}
		})
	}
}

func TestResembles(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"dney", "den", "denyy", "Deny", "DNEY", "edny", "dany", "deny_", "ddeny", "eny"} {
		if !resembles(s, "deny") {
			t.Errorf("%s does not", s)
		}
	}
	for _, s := range []string{"deny", "denied", "dy", "yned", "", "allow", "level", "d", "denial"} {
		if resembles(s, "deny") {
			t.Errorf("%s does", s)
		}
	}
}
