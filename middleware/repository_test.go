package middleware_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLayout keeps the root of the repository to what belongs there, so that a newcomer sees the house at once: four
// packages, their examples and benchmarks, and no internal, pkg, cmd or util beside them.
func TestLayout(t *testing.T) {
	t.Parallel()
	allowed := []string{
		"claims", "orgstore", "policy", "middleware", "examples", "bench",
		"go.mod", "go.sum", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md",
	}
	entries := rootEntries(t)
	for _, name := range entries {
		if !slices.Contains(allowed, name) && !strings.HasPrefix(name, ".") {
			t.Errorf("%s stands at the root; allowed are dotfiles and %s", name, strings.Join(allowed, ", "))
		}
	}
	for _, name := range allowed {
		if !slices.Contains(entries, name) && name != "bench" { // a nested module is not part of the published one
			t.Errorf("%s is missing at the root", name)
		}
	}
}

// rootEntries returns the names at the root of the repository that git does not ignore, or all of them outside a clone.
func rootEntries(t *testing.T) []string {
	t.Helper()
	listing, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(listing))
	for _, entry := range listing {
		names = append(names, entry.Name())
	}
	ignored, _ := exec.CommandContext(t.Context(), "git", append([]string{"-C", "..", "check-ignore", "--"}, names...)...).Output()
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(strings.Fields(string(ignored)), name) })
}

// TestReadme holds the README's words against what they speak of: the quickstart is a part of examples/quickstart/main.go, the two
// commands name packages that are there, and links lead to files.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")

	program := read(t, "examples/quickstart/main.go")
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) != 1 || !strings.Contains(blocks[0][1], "middleware.New(") {
		t.Fatalf("README.md has %d blocks of Go, want the quickstart alone", len(blocks))
	}
	if !strings.Contains(program, blocks[0][1]) {
		t.Errorf("the quickstart of README.md is not a part of examples/quickstart/main.go:\n%s", program)
	}

	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme, -1) {
		commands = append(commands, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	if want := []string{"go run ./examples/travel0", "go test ./..."}; len(commands) < 2 || !slices.Equal(commands[:2], want) {
		t.Errorf("README.md begins with the commands %q, want %q: a newcomer needs these two first", commands, want)
	}
	for _, command := range commands {
		for word := range strings.FieldsSeq(command) {
			if dir, ok := strings.CutPrefix(word, "./"); ok && dir != "..." {
				read(t, dir+"/main.go")
			}
		}
	}

	prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(readme, "")
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(prose, -1) {
		if _, err := os.Stat(filepath.Join("..", link[1])); err != nil {
			t.Errorf("README.md links to nothing: %v", err)
		}
	}
}

const ruleNumber = `(?:ORG|CON|DOM|MEM|ROL|INV|LOG|JIT|URL|APP|PRO|SEC|TOK|M2M|GRP|TEAM|ROLE|TREE|CTR|DEL|LIFE|REQ|AUTO|SES|EVT|TXN|DIR|EXC)-[0-9]+`

var (
	number  = regexp.MustCompile(`\b` + ruleNumber + `\b`)
	caption = regexp.MustCompile(`^` + ruleNumber + `(?:,? ` + ruleNumber + `)*: `)
)

// TestRules holds orgstore/RULES.md, which explains the rules, against the code, which cites them by their numbers, and against the
// tests: each rule stands at the beginning of the name of a case at least.
func TestRules(t *testing.T) {
	t.Parallel()
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z0-9]+-[0-9]+) \|`).FindAllStringSubmatch(read(t, "orgstore/RULES.md"), -1) {
		if _, twice := explained[row[1]]; twice {
			t.Errorf("orgstore/RULES.md explains %s twice", row[1])
		}
		explained[row[1]] = false
	}
	if len(explained) == 0 {
		t.Fatal("orgstore/RULES.md explains no rule")
	}
	cases := map[string]int{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, rule := range number.FindAllString(string(text), -1) {
			if _, ok := explained[rule]; !ok {
				t.Errorf("%s cites the rule %s, which orgstore/RULES.md does not explain", path, rule)
			}
			explained[rule] = true
		}
		if !strings.HasSuffix(path, "_test.go") && !strings.Contains(filepath.ToSlash(path), "/orgstoretest/") {
			return nil
		}
		names, err := caseNames(path, text)
		for _, name := range names {
			for _, rule := range number.FindAllString(caption.FindString(name), -1) {
				cases[rule]++
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for rule, cited := range explained {
		if !cited {
			t.Errorf("orgstore/RULES.md explains %s, which no code and no test cites", rule)
		}
		if cases[rule] == 0 {
			t.Errorf("the name of no case begins with the rule %s", rule)
		}
	}
}

// caseNames returns the names of the cases in a file of tests: what Run is called with, the keys of maps, and in tables the first field
// and the one called name.
func caseNames(path string, text []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var names []string
	add := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if name, err := strconv.Unquote(literal.Value); err == nil {
				names = append(names, name)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Run" && len(n.Args) == 2 {
				add(n.Args[0])
			}
		case *ast.KeyValueExpr:
			add(n.Key)
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "name" {
				add(n.Value)
			}
		case *ast.CompositeLit:
			if len(n.Elts) > 1 && n.Type == nil { // of a table's row
				add(n.Elts[0])
			}
		}
		return true
	})
	return names, nil
}

// A rule that is cited anywhere but in the name of a case has no case.
func TestRulesWithoutCase(t *testing.T) {
	t.Parallel()
	names, err := caseNames("twin_test.go", []byte("package twin\n"+`// "ORG-1: in a comment"
var cases = map[string]func(){"ORG-2: a key": nil, "about ORG-3: not at the beginning": nil, "plain": nil}
var table = []struct{ name, want string }{{"ORG-4: the first field", "ORG-5: another field"}, {name: "ORG-6: by name", want: "ORG-5: x"}}
func f(t T) {
	t.Run("URL-1, MEM-1: run", nil)
	t.Errorf("URL-2: an error, %v", t)
	t.Run("URL-3 in words", nil)
}`))
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, name := range names {
		rules = append(rules, number.FindAllString(caption.FindString(name), -1)...)
	}
	slices.Sort(rules)
	if want := []string{"MEM-1", "ORG-2", "ORG-4", "ORG-6", "URL-1"}; !slices.Equal(rules, want) {
		t.Errorf("rules with a case are %q, want %q", rules, want)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
