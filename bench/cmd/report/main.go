// Report measures what a request costs behind orgauthz and behind other libraries, in one process, and prints a table of
// ratios.
//
//	go run -C bench ./cmd/report
//
// Rows are measured in turn, all of them once before any of them again, so that a slow minute of the machine slows all rows
// alike; the figures are medians. -out keeps the raw measurements in the format that benchstat reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // the flag package has said what is wrong
	case err != nil:
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("unusable flags")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "report measures what a guarded request costs, and prints a table of ratios.")
		fmt.Fprintln(stderr, "\nusage: go run -C bench ./cmd/report [flags]")
		flags.PrintDefaults()
	}
	count := flags.Int("count", 5, "measure every row this `many` times, and print medians")
	benchtime := flags.Duration("benchtime", 500*time.Millisecond, "measure a row for at least this `long` each time")
	quick := flags.Bool("quick", false, "measure every row once for 20ms: shows that all works, and little else")
	only := flags.String("rows", "", "measure only rows whose names match this `regexp`, besides those that they are compared with")
	out := flags.String("out", "", "write the raw measurements to this `file`")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if *quick {
		*count, *benchtime = 1, 20*time.Millisecond
	}
	if flags.NArg() > 0 || *count < 1 || *benchtime <= 0 {
		return errors.New("it takes only flags, a -count of at least 1 and a -benchtime above 0: see -h")
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	raw := io.Discard
	if *out != "" {
		file, createErr := os.Create(*out)
		if createErr != nil {
			return fmt.Errorf("-out: %w", createErr)
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		raw = file
	}

	var world bench.World
	defer func() { err = errors.Join(err, world.Close()) }()
	results, err := measure(ctx, &world, wanted, *count, *benchtime, raw, stderr)
	if err != nil {
		return err
	}
	return writeReport(stdout, results, world.Redis(), !*quick)
}

// result is one row with all its measurements.
type result struct {
	bench.Row
	runs []testing.BenchmarkResult
}

// measure opens every wanted row and measures it count times.
func measure(
	ctx context.Context, world *bench.World, wanted *regexp.Regexp, count int, benchtime time.Duration, raw, progress io.Writer,
) ([]result, error) {
	testing.Init()
	if err := flag.Set("test.benchtime", benchtime.String()); err != nil {
		return nil, err
	}
	var subjects []*bench.Subject
	var results []result
	for _, row := range bench.Rows() {
		if row.Name != bench.BareRow && row.Name != bench.WarmRow && !wanted.MatchString(row.Name) {
			continue
		}
		fmt.Fprintln(progress, "preparing", row.BenchmarkName())
		subject, err := world.Open(ctx, row)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, subject)
		results = append(results, result{Row: row})
	}
	writeEnvironment(raw)
	for n := range count {
		fmt.Fprintf(progress, "measuring, %d of %d\n", n+1, count)
		for i, subject := range subjects {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r := testing.Benchmark(subject.Bench)
			if err := subject.Err(); err != nil {
				return nil, err
			}
			if r.N == 0 {
				return nil, fmt.Errorf("%s: not measured", subject.Name)
			}
			results[i].runs = append(results[i].runs, r)
			if _, err := fmt.Fprintf(raw, "BenchmarkRequest/%s\t%s\t%s\n", subject.BenchmarkName(), r, r.MemString()); err != nil {
				return nil, fmt.Errorf("-out: %w", err)
			}
		}
	}
	return results, nil
}
