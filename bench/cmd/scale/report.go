package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// The goals: what Resolve takes on the large store, as a multiple of the small one, and what a page takes as a multiple of the first.
const (
	resolveGoal = 1.3
	pageGoal    = 2.0
)

// report is what was measured.
type report struct {
	settings
	version            string
	smallBytes, bytes  int64
	smallWorld, world  *world
	loading, verifying time.Duration
	findings           []orgstore.Finding
	resolves           []resolveFigures
	lists              []listFigures
	explained          int
	scans              []string // what reads a table whole
	slowest            string
	slowestCheck       time.Duration
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(3, 4)) } //nolint:gosec // the same questions in every run

func (r *report) describe(ctx context.Context, small, large *store) error {
	r.smallWorld, r.world = small.world, large.world
	return errors.Join(small.within(ctx, func(tx *sql.Tx, _ *recorder) (err error) {
		r.smallBytes, err = small.database.size(ctx, tx)
		return err
	}), large.within(ctx, func(tx *sql.Tx, _ *recorder) (err error) {
		if r.version, err = large.database.version(ctx, tx); err != nil {
			return err
		}
		r.bytes, err = large.database.size(ctx, tx)
		return err
	}))
}

func (r *report) explain(ctx context.Context, s *store, name string, f func(e *orgstore.Engine) error) error {
	bad, n, err := explain(ctx, s, r.check, f)
	if err == nil && n == 0 {
		err = fmt.Errorf("%s: no statement to explain", name)
	}
	r.explained += n
	for _, text := range bad {
		r.scans = append(r.scans, name+": "+text)
	}
	return err
}

// verify runs Engine.Verify.
func (r *report) verify(ctx context.Context, s *store, p *progress) (err error) {
	began := time.Now()
	last, name := began, ""
	done := func() {
		if took := time.Since(last); took > r.slowestCheck {
			r.slowestCheck, r.slowest = took, name
		}
	}
	r.findings, err = s.Verify(ctx, orgstore.VerifyOptions{Progress: func(check string, n, total int) {
		done()
		last, name = time.Now(), check
		p.say("Verify: %d of %d: %s", n+1, total, check)
	}})
	done()
	r.verifying = time.Since(began)
	return err
}

func (r *report) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# %d organizations and %d memberships\n\n", r.world.orgs, r.world.memberships)
	fmt.Fprintf(out, "%s, %s/%s, %s, GOMAXPROCS %d, %s, commit %s\n\n", r.version, runtime.GOOS, runtime.GOARCH, runtime.Version(),
		runtime.GOMAXPROCS(0), cpuModel(), commit())
	fmt.Fprintf(out, "The store has %d MiB, and its largest organization %d members. ", r.bytes>>20, r.world.largest)
	fmt.Fprintf(out, "The small one has %d organizations and %d memberships, in %d MiB. ",
		r.smallWorld.orgs, r.smallWorld.memberships, r.smallBytes>>20)
	if r.loading > 0 {
		fmt.Fprintf(out, "It was loaded in %s. ", r.loading.Round(time.Second))
	}
	if r.settings.verify {
		fmt.Fprintf(out, "Verify took %s with %d findings (the slowest check, %q, %s).", r.verifying.Round(time.Second), len(r.findings),
			r.slowest, r.slowestCheck.Round(time.Second))
	}
	fmt.Fprint(out, "\n")
	for _, f := range r.findings {
		fmt.Fprintf(out, "- %s\n", f)
	}
	fmt.Fprintf(out, "\n## Resolve\n\nMedians of %d calls with at most %d different questions, each asked once before, both stores in turn.\n\n",
		r.samples, drawn)
	fmt.Fprint(out, "| | statements | small, µs | large, µs | ratio |\n|---|--:|--:|--:|--:|\n")
	for _, f := range r.resolves {
		fmt.Fprintf(out, "| %s | %d | %.0f | %.0f | %s |\n", f.name, f.statements, micro(f.small), micro(f.large), judged(f.ratio(), resolveGoal))
	}
	fmt.Fprintf(out, "\n## Pages of %d, µs\n\nMedians of %d calls, in turn.\n\n", pageSize, r.pages)
	fmt.Fprint(out, "| list | items | first | at 10 % | at 50 % | at 99 % | worst ratio |\n|---|--:|--:|--:|--:|--:|--:|\n")
	for _, f := range r.lists {
		items := ""
		if f.items > 0 {
			items = fmt.Sprint(f.items)
		}
		fmt.Fprintf(out, "| %s | %s |", f.name, items)
		for i := range parts {
			if i < len(f.took) {
				fmt.Fprintf(out, " %.0f", micro(f.took[i]))
			}
			fmt.Fprint(out, " |")
		}
		if len(f.took) > 1 {
			fmt.Fprint(out, " "+judged(f.worst(), pageGoal))
		}
		fmt.Fprint(out, " |\n")
	}
	fmt.Fprintf(out, "\n## Plans\n\n%d statements of the above were explained with their arguments on the large store; %d read a table whole.\n",
		r.explained, len(r.scans))
	for _, text := range r.scans {
		fmt.Fprintf(out, "\n```\n%s\n```\n", text)
	}
	return out.Flush()
}

// verdict is an error when something is wrong, or if that is to be checked when a goal is missed.
func (r *report) verdict() error {
	var problems []error
	if len(r.findings) > 0 {
		problems = append(problems, fmt.Errorf("the store has %d findings", len(r.findings)))
	}
	if len(r.scans) > 0 {
		problems = append(problems, fmt.Errorf("%d statements read a table whole", len(r.scans)))
	}
	for _, f := range r.resolves {
		if f.statements > 2 {
			problems = append(problems, fmt.Errorf("a Resolve of %s takes %d statements", f.name, f.statements))
		}
		if r.check && f.ratio() > resolveGoal {
			problems = append(problems, fmt.Errorf("a Resolve of %s takes %.2f times as long", f.name, f.ratio()))
		}
	}
	for _, f := range r.lists {
		if r.check && len(f.took) > 1 && f.worst() > pageGoal {
			problems = append(problems, fmt.Errorf("a page of %s takes %.2f times as long as the first", f.name, f.worst()))
		}
	}
	return errors.Join(problems...)
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func judged(ratio, goal float64) string {
	if ratio > goal {
		return fmt.Sprintf("**%.2f**", ratio)
	}
	return fmt.Sprintf("%.2f", ratio)
}

// commit is the commit that this was built of, as far as it is known.
func commit() string {
	info, _ := debug.ReadBuildInfo()
	found, modified := "unknown", ""
	if info != nil {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				found = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " with changes"
			}
		}
	}
	return found + modified
}

// cpuModel is the processor's name where the system tells it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}
