package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// builtInPolicy is the product's policy where the source has none.
const builtInPolicy = `package authz

default allow := false

allow if input.action in input.member.permissions
`

// program is one compiled set of modules: the product's, or one organization's own. It is immutable.
type program struct {
	text          [sha256.Size]byte // of the files: programs with equal texts are interchangeable
	id            uint64            // never given twice by one engine: part of the cache's key
	org           string            // organization id; empty for the product
	compiler      *ast.Compiler
	root          ast.Ref             // data.authz or data.org
	entries       map[string]ast.Body // compiled queries by name of the top-level rule below root
	both          ast.Body            // asks for allow and deny; nil unless it has both
	deterministic bool                // the same input always gives the same answer
	asksOrg       bool                // the product's policy may read data.org
}

// The rules that the engine asks for.
const (
	ruleAllow       = "allow"
	ruleDeny        = "deny"
	ruleObligations = "obligations"
)

// The variables of compiled queries.
const (
	answer = ast.Var("answer")
	denial = ast.Var("denial")
)

var (
	productRoot = ast.MustParseRef("data.authz")
	orgRoot     = ast.MustParseRef("data.org")
)

// textOf tells programs apart by what they are compiled from.
func textOf(files []file) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, f := range files {
		for _, part := range []string{f.name, f.text} {
			h.Write(binary.AppendUvarint(nil, uint64(len(part))))
			h.Write([]byte(part))
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// compile compiles the product's files, or those of the organization org. It reports all problems that can be found at once.
func compile(org string, files []file) (p *program, problems []Problem) {
	defer func() { // a compiler that panics on some text must not take the process along
		if r := recover(); r != nil {
			p, problems = nil, []Problem{{File: files[0].name, Message: fmt.Sprintf("the compiler failed: %v", r)}}
		}
	}()
	root, capabilities := productRoot, productCapabilities()
	if org != "" {
		root, capabilities = orgRoot, orgCapabilities()
	}
	modules := map[string]*ast.Module{}
	for _, f := range files {
		if org != "" {
			if found := checkNesting(f); found != nil {
				problems = append(problems, *found)
				continue
			}
		}
		m, err := ast.ParseModuleWithOpts(f.name, f.text, ast.ParserOptions{
			RegoVersion:  ast.RegoV1,
			Capabilities: capabilities,
		})
		if err != nil {
			problems = append(problems, toProblems(f.name, err)...)
			continue
		}
		if !m.Package.Path.HasPrefix(root) {
			problems = append(problems, problemAt(m.Package.Location, "package must be %s or below it, not %s",
				name(root), name(m.Package.Path)))
			continue
		}
		if org != "" {
			problems = append(problems, checkOrgModule(m)...)
		}
		modules[f.name] = m
	}
	if org != "" {
		problems = append(problems, checkSize(modules)...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	problems = checkRules(root, modules)

	c := ast.NewCompiler().
		WithStrict(true).
		WithCapabilities(capabilities).
		WithDefaultRegoVersion(ast.RegoV1).
		SetErrorLimit(0)
	if org != "" {
		c = c.WithSkipStages(ast.StageCheckTypes) // see orgCapabilities
	}
	c.Compile(modules)
	if c.Failed() {
		return nil, append(problems, explain(org, toProblems(files[0].name, c.Errors))...)
	}
	problems = append(problems, checkSpelling(root, c.Modules)...)
	p = &program{text: textOf(files), org: org, compiler: c, root: root, deterministic: true}
	for _, m := range c.Modules {
		if org != "" {
			problems = append(problems, checkOrgModule(m)...) // again, on what will run
		}
		p.deterministic = p.deterministic && isDeterministic(m)
		p.asksOrg = p.asksOrg || org == "" && asksOrg(m)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if err := p.prepare(); err != nil {
		return nil, toProblems(files[0].name, err)
	}
	return p, nil
}

// prepare compiles one query for each value below the root.
func (p *program) prepare() error {
	p.entries = map[string]ast.Body{}
	node := p.compiler.RuleTree.Find(p.root)
	if node == nil { // "package org" alone
		return nil
	}
	ask := func(variable ast.Var, rule string) *ast.Expr {
		return ast.Equality.Expr(ast.NewTerm(variable), ast.NewTerm(p.root.Append(ast.StringTerm(rule))))
	}
	var err error
	for key, child := range node.Children {
		rule, ok := key.(ast.String)
		if !ok || isFunction(child) {
			continue
		}
		if p.entries[string(rule)], err = p.compiler.QueryCompiler().Compile(ast.NewBody(ask(answer, string(rule)))); err != nil {
			return err
		}
	}
	if p.entries[ruleAllow] != nil && p.entries[ruleDeny] != nil {
		p.both, err = p.compiler.QueryCompiler().Compile(ast.NewBody(ask(denial, ruleDeny), ask(answer, ruleAllow)))
	}
	return err
}

func isFunction(node *ast.TreeNode) bool {
	return slices.ContainsFunc(node.Values, func(r *ast.Rule) bool { return len(r.Head.Args) > 0 })
}

// isDeterministic reports whether nothing in m, not even as a replacement in a with, names a built-in function whose answer
// depends on more than its arguments.
func isDeterministic(m *ast.Module) bool {
	pure := true
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if b, ok := ast.BuiltinMap[r.String()]; ok && (b.Nondeterministic || readsClock(b.Name)) {
			pure = false
		}
		return !pure
	})
	return pure
}

// asksOrg reports whether a reference in m may lead into data.org.
func asksOrg(m *ast.Module) bool {
	asks := false
	ast.WalkRefs(m, func(r ast.Ref) bool {
		if ast.DefaultRootDocument.Equal(r[0]) {
			root, static := ast.Value(nil), len(r) > 1
			if static {
				root, static = r[1].Value, ast.IsConstant(r[1].Value)
			}
			asks = asks || !static || root.Compare(ast.String("org")) == 0
		}
		return asks
	})
	return asks
}

// readsClock names the built-in functions that OPA does not mark although they compare with the time of day.
func readsClock(builtin string) bool {
	return strings.HasPrefix(builtin, "crypto.x509.parse_and_verify_certificates")
}

// name is how policies write a reference to a package.
func name(r ast.Ref) string { return strings.TrimPrefix(r.String(), "data.") }

func problemAt(loc *ast.Location, format string, args ...any) Problem {
	p := Problem{Message: fmt.Sprintf(format, args...)}
	if loc != nil {
		p.File, p.Row, p.Col = loc.File, loc.Row, loc.Col
	}
	return p
}

// explain says of built-in functions that they are not available, where the compiler calls them undefined.
func explain(org string, problems []Problem) []Problem {
	for i, p := range problems {
		function, found := strings.CutPrefix(p.Message, "undefined function ")
		if _, exists := ast.BuiltinMap[function]; !found || !exists {
			continue
		}
		whose := "the product's policy"
		if org != "" {
			whose = "an organization's policy"
		}
		problems[i].Message = fmt.Sprintf("the built-in function %s is not available to %s; the documentation of package policy lists "+
			"what is", function, whose)
	}
	return problems
}

// toProblems translates what OPA's parser and compiler report. The file is for reports without a position.
func toProblems(file string, err error) []Problem {
	reports, ok := errors.AsType[ast.Errors](err)
	if !ok {
		report, ok := errors.AsType[*ast.Error](err)
		if !ok {
			return []Problem{{File: file, Message: err.Error()}}
		}
		reports = ast.Errors{report}
	}
	seen := map[Problem]bool{}
	for _, r := range reports {
		p := problemAt(r.Location, "%s", r.Message)
		if p.File == "" {
			p.File = file
		}
		seen[p] = true
	}
	return slices.SortedFunc(maps.Keys(seen), byPosition)
}
