package orgstore

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Every mutation that can be repeated has a name of its own: two with one name could be answered with each other's results.
func TestCalls(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\bcall\{"([^"]+)"`)
	where := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if file == "transaction.go" { // in which a comment has an example
			continue
		}
		for _, name := range named.FindAllStringSubmatch(string(text), -1) {
			if other, ok := where[name[1]]; ok {
				t.Errorf("%s and %s both have a mutation %s", other, file, name[1])
			}
			where[name[1]] = file
		}
	}
	if len(where) < 15 {
		t.Errorf("found only %d mutations", len(where))
	}
}
