// Scale measures how the engine of package orgstore behaves on a large store: it loads one, and another that is so many times
// smaller, looks with Engine.Verify whether they are right, and prints as Markdown what a Resolve takes on either, what pages of all
// lists take at any depth, and which statements read a table whole.
//
//	go run -C bench ./cmd/scale -db postgres://postgres@127.0.0.1:5432/test -organizations 1000000 -memberships 10000000
//	go run -C bench ./cmd/scale -db /tmp -organizations 100000 -memberships 1000000
//
// On PostgreSQL each store is a schema of its own, on SQLite a file in the directory that -db names; both are removed in the end. The
// rows are loaded with SQL, past the engine: ten million memberships would take it days. So nothing but Verify says that they are
// what it would have written. All else goes through the engine's exported methods.
//
// Both stores are asked in turn within one run: only the ratios say anything. With -check it fails when a goal is missed.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has said what is wrong
	case err != nil:
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("unusable flags")

// settings are what the flags say.
type settings struct {
	db                               string
	orgs, memberships, largest, down int
	samples, pages                   int
	verify, keep, check              bool
	kept, lists                      string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var set settings
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "scale loads a large and a small store, and prints what Resolve and lists take on them.")
		fmt.Fprintln(stderr, "\nusage: go run -C bench ./cmd/scale [flags]")
		flags.PrintDefaults()
	}
	flags.StringVar(&set.db, "db", os.TempDir(), "a `place`: the URL of a PostgreSQL database, as a superuser, or a directory for files of SQLite")
	flags.IntVar(&set.orgs, "organizations", 100_000, "how many organizations the large store has")
	flags.IntVar(&set.memberships, "memberships", 1_000_000, "how many memberships it has")
	flags.IntVar(&set.largest, "largest", 0, "members of its largest organization; 0 is a tenth of all, at most 100,000")
	flags.IntVar(&set.down, "small", 100, "how many times smaller the other store is")
	flags.IntVar(&set.samples, "samples", 4000, "how often each question is asked of each store")
	flags.IntVar(&set.pages, "pages", 40, "how often each page is read")
	flags.BoolVar(&set.verify, "verify", true, "run Engine.Verify on the large store")
	flags.BoolVar(&set.keep, "keep", false, "leave the stores where they are, and say where")
	flags.StringVar(&set.lists, "lists", "", "measure only lists whose names match this `regexp`")
	flags.StringVar(&set.kept, "kept", "", "measure these two `stores`, small,large, that -keep has left, loaded with the same flags")
	flags.BoolVar(&set.check, "check", false, "fail when a ratio is above its goal, and also when a table is read whole because it is small")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if set.largest == 0 {
		set.largest = min(set.memberships/10, 100_000)
	}
	if flags.NArg() > 0 || set.samples < 1 || set.pages < 1 || set.down < 1 || set.orgs/set.down < 300 ||
		set.largest < 100*1 || set.largest/set.down < 1 || (set.memberships-set.largest)/set.orgs < 4 {
		return errors.New("it takes only flags; the small store must have 300 organizations, and each of them 4 members: see -h")
	}
	return measure(ctx, set, stdout, stderr)
}

func measure(ctx context.Context, set settings, stdout, stderr io.Writer) (err error) {
	wanted, err := regexp.Compile(set.lists)
	if err != nil {
		return fmt.Errorf("-lists: %w", err)
	}
	p := &progress{w: stderr, began: time.Now()}
	rep := report{settings: set}
	now := time.Now()
	keptSmall, keptLarge, _ := strings.Cut(set.kept, ",")
	w := newWorld(set.orgs/set.down, set.memberships/set.down, max(set.largest/set.down, 120), now)
	small, _, err := load(ctx, set, keptSmall, w, p.named("small: "))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, small.end(set.keep, stderr)) }()
	w = newWorld(set.orgs, set.memberships, set.largest, now)
	large, took, err := load(ctx, set, keptLarge, w, p.named("large: "))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, large.end(set.keep, stderr)) }()
	rep.loading = took
	if err := rep.describe(ctx, small, large); err != nil {
		return err
	}
	for _, q := range questions {
		p.say("Resolve: %s", q.name)
		f, err := measureResolve(ctx, small, large, q, set.samples)
		if err != nil {
			return err
		}
		rep.resolves = append(rep.resolves, f)
		if err := rep.explain(ctx, large, "Resolve: "+q.name, resolveOnce(large, q)); err != nil {
			return err
		}
	}
	for _, l := range large.world.lists() {
		if !wanted.MatchString(l.name) {
			continue
		}
		p.say("list: %s", l.name)
		f, found, err := measureList(ctx, large, l, set.pages)
		if err != nil {
			return err
		}
		rep.lists = append(rep.lists, f)
		if err := rep.explain(ctx, large, l.name, func(e *orgstore.Engine) error {
			for _, cursor := range found[:min(len(found), 2)] {
				if _, _, err := l.page(ctx, e, pageSize, cursor); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if set.verify {
		if err := rep.verify(ctx, large, p); err != nil {
			return err
		}
	}
	if err := rep.write(stdout); err != nil {
		return err
	}
	return rep.verdict()
}

// load makes a store, unless it is kept.
func load(ctx context.Context, set settings, kept string, w *world, p func(string, int, int)) (*store, time.Duration, error) {
	d, err := newDatabase(ctx, set.db, kept)
	if err != nil {
		return nil, 0, err
	}
	s := &store{world: w, database: d}
	fail := func(err error) (*store, time.Duration, error) {
		return nil, 0, errors.Join(err, s.end(kept != "", io.Discard))
	}
	if kept != "" {
		if s.Engine, err = d.open(ctx); err != nil {
			return fail(err)
		}
		if err := s.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
			var first int64
			err := tx.QueryRowContext(ctx, `SELECT position, clock FROM orgauthz_scopes WHERE kind = 1 AND org = '' AND id = $1`, orgID(0)).
				Scan(&w.position, &first)
			w.began = time.UnixMicro(first)
			return err
		}); err != nil {
			return fail(err)
		}
		return s, 0, nil
	}
	e, err := d.open(ctx) // makes the schema
	if err != nil {
		return fail(err)
	}
	if err := e.Close(); err != nil {
		return fail(err)
	}
	if set.keep {
		p("store "+d.name(), 0, 0)
	}
	began := time.Now()
	if err := d.load(ctx, w, p); err != nil {
		return fail(err)
	}
	took := time.Since(began)
	if s.Engine, err = d.open(ctx); err != nil {
		return fail(err)
	}
	return s, took, nil
}

// end closes s and removes its database.
func (s *store) end(keep bool, stderr io.Writer) error {
	var err error
	if s.Engine != nil {
		err = s.Close()
	}
	if keep {
		fmt.Fprintln(stderr, "kept:", s.database.name())
		return err
	}
	return errors.Join(err, s.database.remove(context.Background()))
}

// progress says on what the program is.
type progress struct {
	w     io.Writer
	began time.Time
	last  time.Time
	table string
	start time.Time
}

func (p *progress) say(format string, args ...any) {
	fmt.Fprintf(p.w, "%6.0fs %s\n", time.Since(p.began).Seconds(), fmt.Sprintf(format, args...))
}

// named returns a function that says how far loading is, once a second at most for each table, and at its end.
func (p *progress) named(store string) func(table string, rows, of int) {
	return func(table string, rows, of int) {
		now := time.Now()
		if table != p.table {
			p.table, p.start, p.last = table, now, now
		}
		if now.Sub(p.last) < time.Second && (rows != of || 0 < of && of < 1000) {
			return
		}
		p.last = now
		took := now.Sub(p.start)
		rate := float64(rows) / max(took.Seconds(), 0.001)
		left := time.Duration(float64(max(of-rows, 0)) / max(rate, 0.001) * float64(time.Second))
		p.say("%s%s: %d of %d, %.0f a second, %s left", store, table, rows, max(of, rows), rate, left.Round(time.Second))
	}
}

// resolveOnce asks a question once.
func resolveOnce(s *store, q question) func(e *orgstore.Engine) error {
	return func(e *orgstore.Engine) error {
		_, err := e.Resolve(context.Background(), q.draw(s.world, newRandom()))
		return err
	}
}

func lines(plan []string) string { return "  " + strings.Join(plan, "\n  ") }
