package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkRules refuses rules of a kind that cannot give what the engine asks for, and policies without the rules that make them
// one: a misspelt deny closes nothing, and nobody would notice.
func checkRules(root ast.Ref, modules map[string]*ast.Module) []Problem {
	var problems []Problem
	defined := map[string]bool{}
	for _, m := range modules {
		for _, r := range m.Rules {
			below := m.Package.Path.Extend(r.Head.Ref())[len(root):]
			entry := nameOf(below[0])
			defined[entry] = true
			for ; r != nil; r = r.Else {
				if found := checkKind(entry, len(below) > 1, r); found != nil {
					problems = append(problems, *found)
				}
			}
		}
	}
	switch {
	case root.Equal(orgRoot) && !defined[ruleDeny] && !defined[ruleAllow]:
		at, guess := look(root, modules, ruleDeny, ruleAllow)
		problems = append(problems, problemAt(at, "the policy defines neither deny nor allow%s; write deny contains \"<reason>\" if …, "+
			"or deny := set() to restrict nothing", guess))
	case root.Equal(productRoot) && !defined[ruleAllow]:
		at, guess := look(root, modules, ruleAllow)
		problems = append(problems, problemAt(at, "the policy does not define allow in package authz%s; write allow if …", guess))
	}
	return problems
}

// checkKind looks at one definition of a rule: entry is the name below the root, deeper says that the rule lies below that.
func checkKind(entry string, deeper bool, r *ast.Rule) *Problem {
	var wanted string
	switch entry {
	case ruleAllow:
		wanted = "allow must be a boolean: write allow if …"
	case ruleDeny:
		wanted = "deny must be a set: write deny contains \"<reason>\" if …"
	case ruleObligations:
		wanted = "obligations must be an object: write obligations := {…} if …"
	default:
		return nil
	}
	var is string
	switch {
	case deeper && entry == ruleObligations: // obligations.mask := …
		return nil
	case deeper:
		is = "makes it an object"
	case len(r.Head.Args) > 0:
		is = "makes it a function"
	case r.Head.Value == nil && entry == ruleDeny:
		return nil
	case r.Head.Value == nil:
		is = "makes it a set"
	case !mayBe(entry, r.Head.Value.Value):
		is = "has the type " + ast.ValueName(r.Head.Value.Value)
	default:
		return nil
	}
	found := problemAt(r.Location, "%s; this one %s", wanted, is)
	return &found
}

// mayBe reports whether a value that is written like v may have the type that entry must have.
func mayBe(entry string, v ast.Value) bool {
	switch v.(type) {
	case ast.Var, ast.Ref, ast.Call:
		return true
	case ast.Boolean:
		return entry == ruleAllow
	case ast.Set, *ast.SetComprehension:
		return entry == ruleDeny
	case ast.Object, *ast.ObjectComprehension:
		return entry == ruleObligations
	}
	return false
}

// look finds where to report that all of entries are missing: at a rule that may be meant to be one of them, and a guess which,
// or else at a package.
func look(root ast.Ref, modules map[string]*ast.Module, entries ...string) (at *ast.Location, guess string) {
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		m := modules[file]
		if at == nil {
			at = m.Package.Location
		}
		for _, r := range m.Rules {
			rule := nameOf(m.Package.Path.Extend(r.Head.Ref())[len(root)])
			for _, entry := range entries {
				if resembles(rule, entry) {
					return r.Location, fmt.Sprintf(" (is %q meant to be %q?)", rule, entry)
				}
			}
		}
	}
	return at, ""
}

// checkSpelling refuses rules that nothing reads and whose names are one slip away from what the engine asks for. It looks at
// compiled modules, where references are written out.
func checkSpelling(root ast.Ref, modules map[string]*ast.Module) []Problem {
	read := map[string]bool{}
	for _, m := range modules {
		dynamic := false
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if len(r) > len(root) && r.HasPrefix(root) {
				rule, static := r[len(root)].Value.(ast.String)
				read[string(rule)] = true
				dynamic = dynamic || !static
			}
			return dynamic
		})
		if dynamic { // any rule may be read
			return nil
		}
	}
	var problems []Problem
	for _, m := range modules {
		for _, r := range m.Rules {
			rule := nameOf(m.Package.Path.Extend(r.Head.Ref())[len(root)])
			for _, entry := range []string{ruleAllow, ruleDeny, ruleObligations} {
				if !read[rule] && resembles(rule, entry) {
					problems = append(problems, problemAt(r.Location, "nothing reads %[1]q: is it meant to be %[2]q? If not, give it "+
						"another name", rule, entry))
				}
			}
		}
	}
	return problems
}

// nameOf returns the text of a part of a rule's path.
func nameOf(t *ast.Term) string {
	s, _ := t.Value.(ast.String)
	return string(s)
}

// resembles reports whether a is not b, but one slip away: a letter too many, too few or wrong, two exchanged, or large for small.
func resembles(a, b string) bool {
	if a == b {
		return false
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}
