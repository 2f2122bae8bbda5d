package middleware_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// TestRules holds the numbers of rules that code and errors cite against orgstore/RULES.md, which explains them, and that
// against the tests: a rule that nothing cites may have been forgotten.
func TestRules(t *testing.T) {
	t.Parallel()
	number := regexp.MustCompile(`\b(?:ORG|CON|DOM|MEM|ROL|INV|LOG|JIT|URL|APP|PRO|SEC|TOK|M2M|GRP|TEAM|ROLE|TREE|CTR|DEL|LIFE|REQ|AUTO|SES|EVT|TXN|DIR|EXC)-[0-9]+\b`)
	explained := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([A-Z0-9]+-[0-9]+) \|`).FindAllStringSubmatch(read(t, "orgstore/RULES.md"), -1) {
		explained[row[1]] = false
	}
	if len(explained) == 0 {
		t.Fatal("orgstore/RULES.md explains no rule")
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, rule := range number.FindAllString(string(text), -1) {
			if _, ok := explained[rule]; !ok {
				t.Errorf("%s cites the rule %s, which orgstore/RULES.md does not explain", path, rule)
			}
			explained[rule] = true
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
