package middleware_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module is the path that every package of ours starts with. The rules name packages by what follows it.
const module = "github.com/orgauthz/orgauthz/"

// Modules that belong to one package of ours each.
const (
	jwx     = "github.com/lestrrat-go/jwx/..."
	opa     = "github.com/open-policy-agent/opa/..."
	goRedis = "github.com/redis/go-redis/..."
)

// rule is one row of the import rules. Packages are named by import path, ours without the module; "x/..." means x and
// everything below it. Tests are free: only what a user's build would pull in counts.
type rule struct {
	pkg   string   // the package or packages that the row speaks of; the longest pattern that fits decides
	may   []string // which of ours it may import, besides internal packages of its own tree
	why   string   // why no others
	never []ban    // what else it must not import
	deep  bool     // never also holds for all that it pulls in, at any distance
	only  []string // if not nil: nothing but the standard library, ours and these, at any distance
}

type ban struct{ what, why string }

// Bans that several rows share.
var (
	noRedis = ban{goRedis, "go-redis belongs to orgstore/rediscache: who has no Redis does not build its client"}
	noJWX   = ban{jwx, "jwx belongs to claims: its next major version must be a change to claims alone"}
	noOPA   = ban{opa, "OPA belongs to policy: whoever uses another part does not build a policy engine"}
	drivers = []ban{
		{"modernc.org/...", "a SQL driver belongs to the backend that opens it"},
		{"github.com/jackc/...", "a SQL driver belongs to the backend that opens it"},
	}
	noSQL = append(drivers[:2:2], ban{"github.com/pressly/goose/...", "migrations belong to the backends that open a database"})
)

// Reasons that several rows share.
const (
	rootsApart     = "the three roots share no types: the glue between them is in middleware"
	backendsApart  = "whoever picks one backend or decorator builds no other: what they share is in orgstore/internal"
	testHelper     = "a helper for tests knows what it helps to test, and nothing beside it"
	composesRoots  = "middleware composes the roots through interfaces of its own: the user brings backends and caches"
	commandsBeside = "a command for policy authors needs policies, and neither tokens nor organizations"
)

var rules = []rule{
	{pkg: "claims/...", why: rootsApart, deep: true, never: []ban{
		{"policy/...", rootsApart}, {"orgstore/...", rootsApart}, {"middleware/...", rootsApart},
		noRedis, noOPA,
		{"database/sql", "a verifier of tokens has no database, nor what one drags in"},
	}},
	{pkg: "claims/claimstest/...", may: []string{"claims"}, why: testHelper, never: []ban{noRedis, noOPA}},

	{pkg: "policy/...", why: rootsApart, never: append([]ban{noJWX, noRedis}, noSQL...)},
	{pkg: "policy/orgpolicy/...", may: []string{"policy", "policy/policytest"}, why: commandsBeside, never: []ban{noJWX, noRedis}},
	{pkg: "policy/policytest/...", may: []string{"policy"}, why: testHelper, never: []ban{noJWX, noRedis}},

	{pkg: "orgstore", why: rootsApart, only: []string{"golang.org/x/..."}},
	{pkg: "orgstore/internal/...", may: []string{"orgstore"}, why: backendsApart, never: append([]ban{noJWX, noRedis, noOPA}, drivers...)},
	{pkg: "orgstore/orgstoretest/...", may: []string{"orgstore"}, why: testHelper, deep: true, never: append([]ban{noJWX, noRedis, noOPA}, noSQL...)},
	{pkg: "orgstore/sqlite/...", may: []string{"orgstore"}, why: backendsApart, never: []ban{noJWX, noRedis, noOPA, {"github.com/jackc/...", backendsApart}}},
	{pkg: "orgstore/postgres/...", may: []string{"orgstore"}, why: backendsApart, never: []ban{noJWX, noRedis, noOPA, {"modernc.org/...", backendsApart}}},
	{pkg: "orgstore/cached/...", may: []string{"orgstore"}, why: backendsApart, deep: true, never: append([]ban{noJWX, noRedis, noOPA}, noSQL...)},
	{
		pkg: "orgstore/rediscache/...", may: []string{"orgstore", "orgstore/cached"}, why: backendsApart, deep: true,
		never: append([]ban{noJWX, noOPA}, noSQL...),
	},
	{pkg: "orgstore/management/...", may: []string{"orgstore"}, why: backendsApart, deep: true, never: append([]ban{noJWX, noRedis, noOPA}, noSQL...)},
	{
		pkg: "orgstore/auth0import/...", may: []string{"orgstore", "orgstore/internal/urls"}, deep: true,
		why:   "who moves a tenant in converts files, and needs neither a database nor a network for that",
		never: append([]ban{noJWX, noRedis, noOPA}, drivers...),
	},
	{pkg: "orgstore/login/...", may: []string{"orgstore"}, why: backendsApart, deep: true, never: append([]ban{noJWX, noRedis, noOPA}, noSQL...)},

	{
		pkg: "middleware/...", may: []string{"claims", "orgstore", "policy"}, why: composesRoots,
		never: append([]ban{noJWX, noRedis, noOPA, {"database/sql", "whoever brings their own Resolver may have no database"}}, noSQL...),
	},
	{
		pkg: "middleware/middlewaretest/...", may: []string{"claims", "orgstore", "policy", "middleware"}, why: testHelper,
		never: append([]ban{noJWX, noRedis, noOPA}, noSQL...),
	},

	{pkg: "examples/...", may: []string{"..."}, why: "an example shows what any user may do"},
}

// TestImportRules holds every package of the module against the rules. The direct imports count, and where a rule says so
// everything that they pull in.
func TestImportRules(t *testing.T) {
	t.Parallel()
	pkgs := listPackages(t)
	for _, root := range []string{
		"claims", "claims/claimstest", "policy", "middleware",
		"orgstore", "orgstore/sqlite", "orgstore/postgres", "orgstore/cached", "orgstore/rediscache", "orgstore/orgstoretest",
	} {
		if _, ok := pkgs[module+root]; !ok {
			t.Errorf("package %s is not there: the rules would hold of nothing", root)
		}
	}
	for _, v := range violations(rules, pkgs) {
		t.Error(v)
	}
}

// TestImportRulesCanFail is the twin of TestImportRules: made-up packages, each of which must be found out.
func TestImportRulesCanFail(t *testing.T) {
	t.Parallel()
	const (
		driver = "modernc.org/sqlite"
		other  = "example.com/other"
	)
	tests := []struct {
		name    string
		imports map[string]string // package of ours -> what it imports
		want    string            // part of the violation; empty: none
	}{
		{"a root imports another", map[string]string{"claims": module + "orgstore"}, "claims imports orgstore: " + rootsApart},
		{"a root below imports another", map[string]string{"policy/internal/x": module + "claims"}, "policy/internal/x imports claims"},
		{"policy imports jwx", map[string]string{"policy": "github.com/lestrrat-go/jwx/v2/jwk"}, noJWX.why},
		{"claims pulls database/sql in from afar", map[string]string{"claims": other, other: "database/sql"}, "by way of example.com/other"},
		{"claims pulls OPA in", map[string]string{"claims": other, other: "github.com/open-policy-agent/opa/v1/ast"}, noOPA.why},
		{"orgstore imports a driver", map[string]string{"orgstore": driver}, "orgstore imports modernc.org/sqlite"},
		{"orgstore imports anything", map[string]string{"orgstore": other}, "orgstore imports example.com/other"},
		{"orgstore pulls anything in", map[string]string{"orgstore": "golang.org/x/sync/singleflight", "golang.org/x/sync/singleflight": other}, "by way of golang.org/x"},
		{"a backend imports another", map[string]string{"orgstore/sqlite": module + "orgstore/cached"}, backendsApart},
		{"a backend imports another's driver", map[string]string{"orgstore/postgres": driver}, backendsApart},
		{"a cache pulls migrations in", map[string]string{"orgstore/cached": other, other: "github.com/pressly/goose/v3"}, "orgstore/cached pulls in"},
		{"rediscache imports a driver", map[string]string{"orgstore/rediscache": driver}, "rediscache imports modernc.org/sqlite"},
		{"middleware imports a backend", map[string]string{"middleware": module + "orgstore/sqlite"}, composesRoots},
		{"middleware imports database/sql", map[string]string{"middleware": "database/sql"}, "middleware imports database/sql"},
		{"middleware imports a test helper", map[string]string{"middleware": module + "claims/claimstest"}, composesRoots},
		{"a package without a row", map[string]string{"util": "strings"}, "util has no row"},

		{"a similar name is another module", map[string]string{"policy": "github.com/lestrrat-go/jwxtra"}, ""},
		{"middleware composes the roots", map[string]string{"middleware": module + "policy"}, ""},
		{"rediscache imports cached", map[string]string{"orgstore/rediscache": module + "orgstore/cached"}, ""},
		{"an internal package of its own tree", map[string]string{"orgstore/sqlite": module + "orgstore/internal/dialect"}, ""},
		{"policy pulls jwx in through OPA", map[string]string{"policy": opa[:len(opa)-4], opa[:len(opa)-4]: "github.com/lestrrat-go/jwx/v3"}, ""},
		{"an example imports all", map[string]string{"examples/travel0": module + "orgstore/sqlite"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pkgs := map[string]listed{"strings": {Standard: true}, "database/sql": {Standard: true}}
			for from, to := range tt.imports {
				if !strings.Contains(from, ".") {
					from = module + from
				}
				pkgs[from] = listed{Imports: []string{to}}
			}
			got := violations(rules, pkgs)
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("violations = %q, want none", got)
			case tt.want != "" && (len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), tt.want)):
				t.Errorf("violations = %q, want one with %q", got, tt.want)
			}
		})
	}
}

// listed is what go list says of one package.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// listPackages returns the module's packages and all that they pull in, by import path.
func listPackages(t *testing.T) map[string]listed {
	t.Helper()
	// go test must not answer from its cache after a change to any package: it sees what this process reads, not what go list
	// does.
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "list", "-C", "..", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, stderr.Bytes())
	}
	pkgs := make(map[string]listed)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatalf("%v: %v", cmd, err)
		}
		pkgs[p.ImportPath] = p
	}
}

// violations returns a line for every import that a rule forbids, sorted.
func violations(rules []rule, pkgs map[string]listed) []string {
	var found []string
	for _, p := range slices.Sorted(maps.Keys(pkgs)) {
		short, ours := strings.CutPrefix(p, module)
		if !ours {
			continue
		}
		r, ok := ruleFor(rules, short)
		if !ok {
			found = append(found, short+" has no row in the import rules: give it one, with a reason")
			continue
		}
		for target, chain := range reached(pkgs, p) {
			if why := r.forbids(short, target, len(chain) == 0, pkgs[target].Standard); why != "" {
				line := short + " imports " + strings.TrimPrefix(target, module)
				if len(chain) > 0 {
					line = fmt.Sprintf("%s pulls in %s by way of %s", short, strings.TrimPrefix(target, module), strings.Join(chain, ", "))
				}
				found = append(found, line+": "+why)
			}
		}
	}
	slices.Sort(found)
	return found
}

// forbids returns why r, the rule of package short, forbids target, or "".
func (r rule) forbids(short, target string, direct, standard bool) string {
	name, ours := strings.CutPrefix(target, module)
	if ours && direct {
		tree, _, internal := strings.Cut(name, "/internal/")
		own := internal && fits(tree+"/...", short)
		if !own && !slices.ContainsFunc(r.may, func(p string) bool { return fits(p, name) }) {
			return r.why
		}
	}
	if direct || r.deep {
		for _, b := range r.never {
			if fits(b.what, name) {
				return b.why
			}
		}
	}
	if r.only != nil && !ours && !standard && !slices.ContainsFunc(r.only, func(p string) bool { return fits(p, name) }) {
		return "only the standard library and " + strings.Join(r.only, ", ") + " may be pulled in: everybody who stores organizations builds it"
	}
	return ""
}

// reached returns everything that p pulls in, each with the packages on one shortest way there, both ends left out.
func reached(pkgs map[string]listed, p string) map[string][]string {
	chains := make(map[string][]string)
	for queue := []string{p}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		chain := slices.Clone(chains[from])
		if from != p {
			chain = append(chain, from)
		}
		for _, to := range pkgs[from].Imports {
			if to == "C" && pkgs[from].Standard { // no package: net asks the system's resolver
				continue
			}
			if _, seen := chains[to]; !seen && to != p {
				chains[to] = chain
				queue = append(queue, to)
			}
		}
	}
	return chains
}

// ruleFor returns the row with the longest pattern that fits name.
func ruleFor(rules []rule, name string) (best rule, ok bool) {
	for _, r := range rules {
		if fits(r.pkg, name) && len(r.pkg) > len(best.pkg) {
			best, ok = r, true
		}
	}
	return best, ok
}

// fits reports whether name is what pattern means.
func fits(pattern, name string) bool {
	tree, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == name
	}
	return strings.HasPrefix(name+"/", tree)
}
