package policy

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// productCapabilities is what the product's policy may use: all of OPA but the network and the process's own surroundings.
func productCapabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		switch b.Name {
		case "http.send", "net.lookup_ip_addr", "opa.runtime":
			return true
		}
		return false
	})
	c.AllowNet = []string{} // none: JSON schemas are not fetched either
	return c
}

// orgBuiltins are the built-in functions that an organization's own policy may call: what is computed from the arguments
// alone, and returns soon after the evaluation is cancelled, whatever the arguments are. What can make a text or a list much
// longer than the input in one step is left out, because the next call on it would not stop; so is what is slow on a text of
// 1 MB: split (0.1 s) and patterns (9 s for a regular expression of 40 bytes).
var orgBuiltins = strings.Fields(`
	assign eq equal neq gt gte lt lte internal.member_2 internal.member_3 print internal.print
	plus minus mul div rem abs ceil floor round
	count max min sum numbers.range
	and or intersection union set_diff
	array.slice array.reverse
	object.get object.keys object.subset
	contains startswith endswith indexof lower upper substring trim trim_left trim_right trim_prefix trim_suffix
	trim_space strings.any_prefix_match strings.any_suffix_match
	is_array is_boolean is_null is_number is_object is_set is_string type_name to_number
	net.cidr_contains net.cidr_intersects net.cidr_is_valid
	semver.compare semver.is_valid
	time.parse_rfc3339_ns time.parse_duration_ns time.clock time.date time.weekday time.diff time.add_date
`)

// orgCapabilities is what an organization's own policy may use.
//
// Its types are not checked at compile time: OPA's checker takes time exponential in the length of a chain of x1 := [x0, x0]
// (14 links took 5 s) and cannot be stopped. A call with a wrong type is an error of the evaluation instead, which denies.
func orgCapabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(slices.Clone(c.Builtins), func(b *ast.Builtin) bool {
		return !slices.Contains(orgBuiltins, b.Name)
	})
	c.AllowNet = []string{}
	return c
}

// checkOrgModule refuses what an organization's own policy must not name: any part of data but its own package and the
// standard library, written out, and built-in functions as the target of a with.
func checkOrgModule(m *ast.Module) []Problem {
	var (
		problems []Problem
		around   *ast.Location // of the rule or expression that is being walked: what the compiler generates has none of its own
		visitor  *ast.GenericVisitor
	)
	refuse := func(loc *ast.Location, why string) {
		if loc == nil || loc.File == "" {
			loc = around
		}
		problems = append(problems, problemAt(loc, "%s", why))
	}
	const onlyOwn = "an organization's policy may read only input, data.org and data.orgauthz, each written out"
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Package:
			return true
		case *ast.Rule:
			around = x.Location
		case *ast.Expr:
			around = x.Location
		case *ast.With:
			if r, ok := x.Target.Value.(ast.Ref); !ok || !ast.InputRootDocument.Equal(r[0]) && !isOwn(r) {
				refuse(x.Location, "an organization's policy may replace only input and data.org by with")
			}
		case *ast.Term:
			switch v := x.Value.(type) {
			case ast.Ref:
				if ast.DefaultRootDocument.Equal(v[0]) {
					if !isOwn(v) {
						refuse(x.Location, onlyOwn)
					}
					for _, t := range v[1:] {
						visitor.Walk(t)
					}
					return true
				}
			case ast.Var:
				if v.Equal(ast.DefaultRootDocument.Value) {
					refuse(x.Location, onlyOwn)
				}
			}
		}
		return false
	})
	visitor.Walk(m)
	return problems
}

// isOwn reports whether r begins with data.org or data.orgauthz.
func isOwn(r ast.Ref) bool {
	if len(r) < 2 || !ast.DefaultRootDocument.Equal(r[0]) {
		return false
	}
	name, ok := r[1].Value.(ast.String)
	return ok && (name == "org" || name == "orgauthz")
}

// The compiler's time grows with the square, and for statements in an unlucky order with the cube, of what one rule holds: 3,000
// equations took minutes.
const (
	maxRules     = 1000 // of one organization
	maxRuleParts = 200  // statements and calls of one rule, its else branches and comprehensions included
)

// checkSize refuses what would keep the compiler busy for long.
func checkSize(modules map[string]*ast.Module) []Problem {
	var problems []Problem
	rules := 0
	for _, m := range modules {
		for _, r := range m.Rules {
			if rules++; rules == maxRules+1 {
				problems = append(problems, problemAt(r.Location, "an organization may have at most %d rules", maxRules))
			}
			parts := 0
			ast.NewGenericVisitor(func(x any) bool {
				switch x.(type) {
				case *ast.Expr, ast.Call:
					parts++
				}
				return parts > maxRuleParts
			}).Walk(r)
			if parts > maxRuleParts {
				problems = append(problems, problemAt(r.Location, "a rule may hold at most %d statements and calls; split it", maxRuleParts))
			}
		}
	}
	return problems
}

// maxNesting is how deep brackets may be nested in an organization's policy.
const maxNesting = 100

// checkNesting finds brackets nested too deeply for the parser to be trusted with. It follows the lexical rules of Rego:
// brackets in strings and comments do not count. Template strings, which hold expressions, are refused here already.
func checkNesting(f file) *Problem {
	depth, row, start := 0, 1, 0 // start is where the row begins
	for i := 0; i < len(f.text); i++ {
		problem := func(message string) *Problem {
			return &Problem{File: f.name, Row: row, Col: i - start + 1, Message: message}
		}
		switch c := f.text[i]; c {
		case '\n':
			row, start = row+1, i+1
		case '#':
			for i+1 < len(f.text) && f.text[i+1] != '\n' {
				i++
			}
		case '$':
			return problem("template strings are not available to an organization's policy")
		case '"':
			for i++; i < len(f.text) && f.text[i] != '"' && f.text[i] != '\n'; i++ {
				if f.text[i] == '\\' {
					i++
				}
			}
			if i < len(f.text) && f.text[i] == '\n' { // not closed: the parser will say so
				i--
			}
		case '`':
			for i++; i < len(f.text) && f.text[i] != '`'; i++ {
				if f.text[i] == '\n' {
					row, start = row+1, i+1
				}
			}
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return problem("brackets are nested more than 100 deep")
			}
		case ')', ']', '}':
			depth--
		}
	}
	return nil
}
