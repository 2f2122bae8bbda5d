package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/orgauthz/orgauthz/bench"
)

// figures are the medians of one row.
type figures struct {
	ns, low, high float64 // a request in nanoseconds, and between which values the runs lie
	bytes, allocs int64
}

func (r result) figures() figures {
	var ns []float64
	var bytes, allocs []int64
	for _, run := range r.runs {
		ns = append(ns, float64(run.T.Nanoseconds())/float64(run.N))
		bytes = append(bytes, run.AllocedBytesPerOp())
		allocs = append(allocs, run.AllocsPerOp())
	}
	return figures{ns: median(ns), low: slices.Min(ns), high: slices.Max(ns), bytes: median(bytes), allocs: median(allocs)}
}

func median[T cmp.Ordered](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// table looks a row's figures up.
type table map[key]figures

type key struct {
	name     string
	parallel bool
}

// above is what a row costs over the bare handler of its kind.
func (t table) above(k key) figures {
	f, bare := t[k], t[key{bench.BareRow, k.parallel}]
	f.ns -= bare.ns
	f.allocs -= bare.allocs
	return f
}

// ratio says how many times what the warm Guard costs a row costs, both above the bare handler.
func (t table) ratio(k key) float64 {
	return t.above(k).ns / t.above(key{bench.WarmRow, k.parallel}).ns
}

// writeReport prints the tables, the notes, and whether the goals are met if the measurements are worth it.
func writeReport(w io.Writer, results []result, redis string, judged bool) error {
	out := bufio.NewWriter(w)
	t := make(table, len(results))
	for _, r := range results {
		t[key{r.Name, r.Parallel}] = r.figures()
	}
	fmt.Fprint(out, "# What a guarded request costs\n\n")
	writeEnvironment(out)
	fmt.Fprintf(out, "redis: %s\nruns of each row: %d, figures are medians of one run of this program\n", redis, len(results[0].runs))

	for _, parallel := range []bool{false, true} {
		if parallel {
			fmt.Fprintf(out, "\n## %d goroutines\n", runtime.GOMAXPROCS(0))
		} else {
			fmt.Fprint(out, "\n## One goroutine\n")
		}
		fmt.Fprint(out, "\n| row | ns/op | lowest to highest | B/op | allocs/op | above bare, ns | above bare, allocs |")
		fmt.Fprint(out, " times the warm Guard | what a request does |\n")
		fmt.Fprint(out, "|---|--:|--:|--:|--:|--:|--:|--:|---|\n")
		for _, r := range results {
			if r.Parallel != parallel {
				continue
			}
			k := key{r.Name, parallel}
			f, above, times := t[k], figures{}, "-"
			if r.Name != bench.BareRow {
				above = t.above(k)
				times = fmt.Sprintf("%.1f", t.ratio(k))
			}
			fmt.Fprintf(out, "| %s | %.0f | %.0f to %.0f | %d | %d | %.0f | %d | %s | %s |\n",
				r.Name, f.ns, f.low, f.high, f.bytes, f.allocs, above.ns, above.allocs, times, r.State)
		}
	}
	if judged {
		writeGoals(out, t)
	}
	fmt.Fprint(out, notes)
	return out.Flush()
}

// writeGoals holds the figures of this run against what they should be.
func writeGoals(w io.Writer, t table) {
	fmt.Fprint(w, "\n## Goals\n\n")
	goal := func(met bool, format string, args ...any) {
		verdict := "met"
		if !met {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "- %s: %s\n", verdict, fmt.Sprintf(format, args...))
	}
	warm := t.above(key{bench.WarmRow, false})
	goal(warm.ns <= 2000, "the warm Guard costs %.0f ns above the bare handler, at most 2,000", warm.ns)
	goal(warm.allocs <= 5, "and %d allocations, at most 5", warm.allocs)
	for _, peer := range []struct {
		name  string
		times float64
	}{{bench.CasbinRow, 20}, {bench.OPARow, 40}} {
		k := key{peer.name, false}
		if _, measured := t[k]; measured {
			goal(t.ratio(k) >= peer.times, "%s costs %.1f times that, at least %.0f", peer.name, t.ratio(k), peer.times)
		}
	}
}

// notes say what the table does not show.
const notes = `
## What is not like for like

- go-jwt-middleware and the libraries behind it verify the token on every request: they have no cache of tokens. Their rows
  stand beside "Guard, token miss" as well as beside "Guard, warm"; "signature check alone" is what no verification goes below.
- The Guard's warm rows include what keeps its cache fresh: an access older than its bound is read again. The peers hold all members in
  memory and are never told of a change; to be as fresh they would have to read from a store, which "Guard, cold" does.
- casbin's and OPA's rows find the member's roles in their own data. The Guard's policy is given them by its store; the row
  "Guard's input" gives OPA the same policy and document, found in a Go map.
- One token is the favourable case of every cache; "16,000 tokens" is the unfavourable one.
- A denial of the Guard is a problem+json body with a challenge, a denial of a peer one line of text.
- There is no network: the handler is called in the process, with a ResponseWriter that keeps nothing. In production the
  request's own way through net/http comes on top of every row.
`

// writeEnvironment says on what and with what was measured, in the format of go test -bench.
func writeEnvironment(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\ngo: %s\ncpu: %s\ngomaxprocs: %d\n",
		runtime.GOOS, runtime.GOARCH, runtime.Version(), cpuModel(), runtime.GOMAXPROCS(0))
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" || setting.Key == "vcs.modified" {
			fmt.Fprintf(w, "%s: %s\n", setting.Key, setting.Value)
		}
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/auth0/go-jwt-middleware/v2", "github.com/casbin/casbin/v2", "github.com/open-policy-agent/opa",
			"github.com/redis/go-redis/v9", "github.com/lestrrat-go/jwx/v2":
			fmt.Fprintf(w, "%s: %s\n", dep.Path, dep.Version)
		}
	}
}

// cpuModel is the processor's name where the system tells it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
