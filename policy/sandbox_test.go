package policy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// What an organization's policy must not hold is refused before it runs, with a position.
func TestSandboxRefuses(t *testing.T) {
	t.Parallel()
	const onlyOwn = "may read only input, data.org and data.orgauthz"
	for name, test := range map[string]struct{ text, want string }{
		"http.send":              {`package org` + "\n" + `deny contains "x" if http.send({"method": "get", "url": "http://localhost"}).status_code == 200`, "http.send"},
		"opa.runtime":            {"package org\ndeny contains x if x := opa.runtime().env.HOME", "opa.runtime"},
		"look-up of names":       {"package org\ndeny contains x if some x in net.lookup_ip_addr(\"localhost\")", "net.lookup_ip_addr"},
		"clock":                  {"package org\ndeny contains \"x\" if time.now_ns() > 0", "time.now_ns"},
		"random":                 {"package org\ndeny contains \"x\" if rand.intn(\"a\", 2) == 0", "rand.intn"},
		"uuid":                   {"package org\ndeny contains x if x := uuid.rfc4122(\"k\")", "uuid.rfc4122"},
		"shift":                  {"package org\ndeny contains \"x\" if bits.lsh(1, 1000000000) > 0", "bits.lsh"},
		"paths":                  {"package org\ndeny contains \"x\" if count(graph.reachable_paths({}, {})) > 0", "graph.reachable_paths"},
		"parse":                  {"package org\ndeny contains \"x\" if rego.parse_module(\"a\", \"b\")", "rego.parse_module"},
		"text that grows":        {"package org\ndeny contains sprintf(\"%1000000d\", [1])", "sprintf"},
		"text that doubles":      {"package org\ndeny contains concat(\"\", [\"a\", \"a\"])", "concat"},
		"template":               {"package org\ndeny contains $\"a {input.action}\"", "template strings"},
		"pattern":                {"package org\ndeny contains \"x\" if regex.match(`(a|aa)*`, input.action)", "regex.match"},
		"schema fetch":           {"package org\ndeny contains \"x\" if json.match_schema({}, {\"$ref\": \"http://localhost\"})[0]", "json.match_schema"},
		"another package":        {"package authz\nallow := true", "package must be org or below it, not authz"},
		"look-alike package":     {"package orgs\nallow := true", "package must be org or below it"},
		"library's package":      {"package orgauthz\nallow := true", "package must be org or below it"},
		"system package":         {"package system.authz\nallow := true", "package must be org or below it"},
		"product's data":         {"package org\ndeny contains \"x\" if data.authz.allow", onlyOwn},
		"product's data, quoted": {"package org\ndeny contains \"x\" if data[\"authz\"].allow", onlyOwn},
		"dynamic":                {"package org\ndeny contains \"x\" if data[x].allow", onlyOwn},
		"dynamic from input":     {"package org\ndeny contains \"x\" if data[input.action]", onlyOwn},
		"nested dynamic":         {"package org\na := {\"b\": 1}\ndeny contains \"x\" if a[data[input.action]]", onlyOwn},
		"in its own ref":         {"package org\na := {\"b\": 1}\ndeny contains \"x\" if data.org.a[data.authz.b]", onlyOwn},
		"all of data":            {"package org\ndeny contains \"x\" if count(data) > 1", onlyOwn},
		"data in a variable":     {"package org\ndeny contains \"x\" if {\n d := data\n d.authz.allow\n}", onlyOwn},
		"data in a list":         {"package org\ndeny contains \"x\" if [data][0].authz", onlyOwn},
		"import":                 {"package org\nimport data.authz\ndeny contains \"x\" if authz.allow", onlyOwn},
		"import with alias":      {"package org\nimport data.authz as org\ndeny contains \"x\" if org.allow", onlyOwn},
		"walk":                   {"package org\ndeny contains \"x\" if walk(input, [_, 1])", "walk"},
		"with on a built-in":     {"package org\ndeny contains \"x\" if count([]) == 1 with count as 1", "replace only input and data.org"},
		"with on data":           {"package org\ndeny contains \"x\" if input.a with data.authz.allow as true", onlyOwn},
		"with on all data":       {"package org\ndeny contains \"x\" if input.a with data as {}", onlyOwn},
		"with a forbidden value": {"package org\ndeny contains \"x\" if input.a with input.b as data.authz", onlyOwn},
		"unknown function":       {"package org\ndeny contains \"x\" if nonsense(1)", "nonsense"},
		"unknown function below": {"package org\ndeny contains \"x\" if data.org.nonsense(1)", "nonsense"},
		"recursion":              {"package org\na if b\nb if a\ndeny contains \"x\" if a", "recursive"},
		"unused variable":        {"package org\ndeny contains \"x\" if y := 1", "unused"},
		"old syntax":             {"package org\ndeny[\"x\"] { true }", "`if` keyword is required"},
		"deep brackets":          {"package org\na := " + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000), "nested more than 100 deep"},
		"deep, hidden by text":   {"package org\na := " + strings.Repeat(`["]",`, 101) + strings.Repeat("]", 101), "nested more than 100 deep"},
		"deep, hidden by notes":  {"package org\na := " + strings.Repeat("[ # ]\n", 101) + strings.Repeat("]", 101), "nested more than 100 deep"},
		"deep, mixed":            {"package org\na := " + strings.Repeat("f([{", 34), "nested more than 100 deep"},
		"deep, behind a quote":   {"package org\na := [\"\\\"\", " + strings.Repeat("[", 100), "nested more than 100 deep"},
		"deep, behind raw text":  {"package org\na := [`\\`, " + strings.Repeat("[", 100), "nested more than 100 deep"},
		"too long":               {"package org\n# " + strings.Repeat("x", maxOrgSource), "more than 65536 bytes"},
		"no text":                {"", "empty module"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := openErr(t, FS(files("granite", test.text)))
			mustContain(t, got, test.want, "orgs/granite."+granite)
		})
	}
}

// What looks alike but is harmless is accepted, and works.
func TestSandboxAccepts(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"own data":            "package org\nlimits := {\"a\": 1}\ndeny contains \"x\" if data.org.limits[input.action] == 1",
		"own rules below":     "package org\nmore.a := 1\ndeny contains \"x\" if data.org.more.a == 2",
		"own import":          "package org\nimport data.org.limits\nlimits := {\"a\": 1}\ndeny contains \"x\" if limits.a == 1",
		"the library":         "package org\ndeny contains \"x\" if data.orgauthz.anything",
		"with on input":       "package org\na if input.b == 1\ndeny contains \"x\" if a with input.b as 1",
		"the word data":       "package org\ndeny contains \"data.authz\" if input.data == \"data\"",
		"brackets in text":    "package org\ndeny contains \"x\" if input.action == \"" + strings.Repeat("[", 200) + "\" # " + strings.Repeat("(", 200),
		"brackets in raw":     "package org\ndeny contains \"x\" if input.action == `" + strings.Repeat("[\n", 200) + "`",
		"many beside another": "package org\nallow := false\na := [" + strings.Repeat("[1],", 500) + "]",
		"print":               "package org\ndeny contains \"x\" if {\n print(\"hello\", input.action)\n input.action == \"b\"\n}",
		"member, loops":       "package org\ndeny contains \"x\" if {\n some r in input.member.roles\n every p in input.member.permissions { p != r }\n}",
		"nothing":             nothing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, l := open(t, files("granite", text), Config{})
			if d := decide(t, e, member(granite, "x", "x")); d.Outcome != Allowed && d.Outcome != Denied {
				t.Errorf("got %q: %s", d.Outcome, l)
			}
		})
	}
}

// What keeps OPA's compiler busy for long, the more the longer it is, is refused or compiles soon.
func TestSandboxCompilesSoon(t *testing.T) {
	t.Parallel()
	lines := func(n int, format string) string { // backwards; %[1]d counts, %[2]d is one less
		var b strings.Builder
		for i := n; i > 0; i-- {
			fmt.Fprintf(&b, format+"\n", i, i-1)
		}
		return b.String()
	}
	again := strings.Repeat
	for name, test := range map[string]struct {
		text    string
		refused bool
	}{
		"types that double":     {"a if {\nx0 = [input.a]\ny0 = [input.a]\n" + lines(40, "x%[1]d = [x%[2]d, x%[2]d]\ny%[1]d = [y%[2]d, y%[2]d]") + "x40 == y40\n}", false},
		"unlucky order":         {again("a if {\n"+lines(95, "x%d = x%d + 1")+"x0 = 1\n}\n", 10), false},
		"unlucky order, longer": {"a if {\n" + lines(3000, "x%d = x%d + 1") + "x0 = 1\n}", true},
		"sums":                  {again("a := 1"+again("+1", 190)+"\n", 40), false},
		"a longer sum":          {"a := 1" + again("+1", 30_000), true},
		"unions":                {"a := {1}" + again("|{2}", 15_000), true},
		"comparisons":           {"a if 1" + again("==1", 20_000), true},
		"rules in a row":        {lines(900, "r%d if r%d") + "r0 := true", false},
		"more rules in a row":   {lines(3000, "r%d if r%d") + "r0 := true", true},
		"else":                  {"a := 1 if input.b\n" + lines(2000, "else := %d if input.a == %d"), true},
		"unified variables":     {"a if { " + again("x = y; y = x; ", 4000) + "x = 1 }", true},
		"references":            {"a := input" + again(".a", 30_000), false},
		"wild references":       {"a if input" + again("[_]", 20_000), false},
		"objects":               {"a := {" + again(`"a": {},`, 7_000) + "}", false},
		"signs":                 {"a := " + again("- ", 30_000) + "1", true},
		"comprehensions":        {"a := " + again("[x | x := ", 99) + "1" + again("]", 99), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, problems := compile(granite, []file{{name: "a.rego", org: granite, text: nothing + "\n" + test.text}})
			if took := time.Since(start); took > 20*time.Second { // 3 s on a busy machine; without the limits some take minutes
				t.Errorf("took %v", took)
			} else {
				t.Log(took)
			}
			if (problems != nil) != test.refused {
				t.Errorf("problems: %.300v", problems)
			}
		})
	}
}

// Every built-in function of the sandbox stops soon after a cancel, with the worst arguments that we know of. The chain that
// prepares them is part of the evaluation, so what cannot be prepared within the budget harms nobody either.
func TestSandboxStops(t *testing.T) {
	const (
		many = "n := [x | some x in numbers.range(1, 20000)]\nm := [y | some x in n; y := x + 1]\n"
		sets = many + "a := {x | some x in n}\nb := {x | some x in m}\n"
		text = "s := input.resource\n"
		deep = "f(x) := [x, x]\n"
	)
	big := strings.Repeat("9", 25_000)
	calls := map[string]string{
		"numbers.range": "count(numbers.range(1, 1000000000)) < 0",
		"loops":         many + "some a in n\nsome b in m\nsome c in n\na + b + c < 0",
		"mul":           squares(30, "*"), "plus": squares(30, "+"), "minus": big + " - 1 < 0", "div": big + " / 7 < 0",
		"rem": big + " % 7 == 9", "abs": "abs(-" + big + ") < 0", "ceil": "ceil(" + big + ".5) < 0",
		"floor": "floor(" + big + ".5) < 0", "round": "round(" + big + ".5) < 0",
		"sum": many + "sum(n) < sum(m) - 1000000", "max": many + "max(n) > max(m)", "min": many + "min(n) > min(m)",
		"count":         many + "count(n) < count(m)",
		"array.slice":   many + "array.slice(n, 0, 1000000000) == m",
		"array.reverse": many + "array.reverse(n) == m",
		"union":         sets + "count(union({a, b})) < 0", "intersection": sets + "count(intersection({a, b})) < 0",
		"or": sets + "count(a | b) < 0", "and": sets + "count(a & b) < 0", "set_diff": sets + "count(a - b) < 0", "eq": sets + "a == b",
		"object.keys":   many + "o := {x: x | some x in n}\nobject.keys(o) == m",
		"object.subset": many + "o := {x: x | some x in n}\nobject.subset(o, {x: x | some x in m})",
		"object.get":    many + "o := {x: x | some x in n}\nobject.get(o, m, 0) == 1",
		"lower":         text + "lower(s) == \"\"", "upper": text + "upper(s) == \"\"",
		"indexof": text + "indexof(s, \"b\") > 0", "contains": text + "contains(s, \"b\")",
		"startswith": text + "startswith(s, \"b\")", "endswith": text + "endswith(s, \"b\")",
		"substring": text + "substring(s, 1, -1) == \"\"", "trim": text + "trim(s, \"a\") == \"b\"",
		"trim_left": text + "trim_left(s, \"a\") == \"b\"", "trim_right": text + "trim_right(s, \"a\") == \"b\"",
		"trim_prefix": text + "trim_prefix(s, s) == \"b\"", "trim_suffix": text + "trim_suffix(s, s) == \"b\"",
		"trim_space":               text + "trim_space(s) == \"b\"",
		"strings.any_prefix_match": many + "strings.any_prefix_match([\"a\" | some _ in n], [\"b\" | some _ in m])",
		"strings.any_suffix_match": many + "strings.any_suffix_match([\"a\" | some _ in n], [\"b\" | some _ in m])",
		"to_number":                text + "to_number(s) > 0", "semver.compare": text + "semver.is_valid(s)",
		"net.cidr_contains":         text + "net.cidr_is_valid(s)",
		"time.parse_rfc3339_ns":     text + "time.parse_rfc3339_ns(s) > 0",
		"time.parse_duration_ns":    text + "time.parse_duration_ns(s) > 0",
		"time.add_date":             "time.add_date(1, 1000000000, 1000000000, 1000000000) < 0",
		"time.diff":                 "time.diff(-9000000000000000000, 9000000000000000000) == []",
		"two equal values, doubled": deep,
	}
	for name, body := range calls {
		t.Run(name, func(t *testing.T) {
			rule := "x if {\n" + body + "\n}"
			if body == deep {
				call := strings.Repeat("f(", 40) + "input.action" + strings.Repeat(")", 40)
				rule = deep + "x if {\n a := " + call + "\n b := " + call + "\n a == b\n}"
			}
			p, problems := compile(granite, []file{{name: "a.rego", org: granite, text: nothing + "\n" + rule}})
			if problems != nil {
				t.Fatal(problems)
			}
			in := member(granite, "a")
			in.Resource = []byte(`"` + strings.Repeat("a", 1<<20) + `"`)
			input, err := document(in)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := open(t, files("granite", nothing), Config{})
			run := &evaluation{ctx: t.Context(), revision: e.active.Load(), org: p, input: input}
			var cancelled atomic.Int64
			timer := time.AfterFunc(10*time.Millisecond, func() { cancelled.Store(time.Now().UnixNano()); run.cancel.Cancel() })
			defer timer.Stop()
			_, err = run.queryOrg("x", input)
			if err != nil && !topdown.IsCancel(err) && !strings.Contains(err.Error(), topdown.BuiltinErr) {
				t.Fatal(err)
			}
			if at := cancelled.Load(); at != 0 {
				late := time.Since(time.Unix(0, at))
				t.Logf("returned %v after the cancel", late)
				if late > 3*time.Second { // 50 ms on an idle machine; what does not stop takes seconds to minutes
					t.Errorf("returned %v after the cancel", late)
				}
			}
		})
	}
}

func squares(n int, op string) string {
	b := strings.Builder{}
	b.WriteString("x0 := 99999999999999999999\n")
	for i := range n {
		fmt.Fprintf(&b, "x%d := x%d %s x%d\n", i+1, i, op, i)
	}
	fmt.Fprintf(&b, "x%d < 0", n)
	return b.String()
}

// The lists say what they mean: nothing non-deterministic is in the sandbox, no name is misspelt, and nothing of OPA's next
// version comes in by itself.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	found := 0
	for _, b := range orgCapabilities().Builtins {
		found++
		if b.Nondeterministic || readsClock(b.Name) {
			t.Errorf("%s is not deterministic", b.Name)
		}
	}
	if found != len(orgBuiltins) || len(slices.Compact(slices.Sorted(slices.Values(orgBuiltins)))) != found {
		t.Errorf("%d built-in functions found, %d listed", found, len(orgBuiltins))
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(strings.ReplaceAll(string(doc), ",", " "))
	for _, name := range orgBuiltins {
		if b := ast.BuiltinMap[name]; b.Infix == "" && !b.IsDeprecated() && !strings.HasPrefix(name, "internal.") && !slices.Contains(listed, name) {
			t.Errorf("%s is not in the package documentation", name)
		}
	}
	for _, b := range productCapabilities().Builtins {
		if slices.Contains([]string{"http.send", "opa.runtime", "net.lookup_ip_addr"}, b.Name) {
			t.Errorf("%s is available", b.Name)
		}
	}
	if len(ast.CapabilitiesForThisVersion().Builtins) == len(productCapabilities().Builtins) {
		t.Error("nothing was taken away")
	}
}

// The product's policy cannot reach the network, not even by the built-in functions that can fetch a schema.
func TestProductReachesNoNetwork(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		_, _ = w.Write([]byte(`{}`))
	}))
	defer server.Close()
	for _, expr := range []string{
		`json.match_schema({}, {"$ref": "` + server.URL + `/s"})[0]`,
		`json.verify_schema({"$ref": "` + server.URL + `/s"})[0]`,
		`http.send({"method": "get", "url": "` + server.URL + `"}).status_code == 200`,
	} {
		e, err := Open(t.Context(), Config{Source: FS(files("a.rego", "package authz\nallow if "+expr)), PollInterval: -1})
		if err != nil {
			continue // refused at once
		}
		if d, err := e.Decide(t.Context(), member(granite, "a")); err != nil || d.Allow {
			t.Errorf("%s: %v, %v", expr, d, err)
		}
		_ = e.Close()
	}
	if hits.Load() > 0 {
		t.Error("a policy reached the network")
	}
}
