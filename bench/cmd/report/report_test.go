package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/bench"
)

func TestTable(t *testing.T) {
	t.Parallel()
	row := func(name string, allocs uint64, ns ...time.Duration) result {
		r := result{Row: bench.Row{Name: name}}
		for _, n := range ns {
			r.runs = append(r.runs, testing.BenchmarkResult{N: 10, T: 10 * n, MemAllocs: 10 * allocs})
		}
		return r
	}
	tests := []struct {
		name    string
		results []result
		want    []string
	}{
		{
			"goals met",
			[]result{row(bench.BareRow, 1, 100, 9000, 99), row(bench.WarmRow, 6, 2100), row(bench.CasbinRow, 9, 40_100), row(bench.OPARow, 9, 80_100)},
			[]string{
				"| bare handler | 100 | 99 to 9000 |", "| 80100 | 80100 to 80100 | 0 | 9 | 80000 | 8 | 40.0 |",
				"- met: the warm Guard costs 2000 ns", "- met: and 5 allocations", "- met: " + bench.CasbinRow, "- met: " + bench.OPARow,
			},
		},
		{
			"goals missed",
			[]result{row(bench.BareRow, 1, 100), row(bench.WarmRow, 7, 2101), row(bench.CasbinRow, 9, 40_000), row(bench.OPARow, 9, 80_000)},
			[]string{
				"- MISSED: the warm Guard costs 2001 ns", "- MISSED: and 6 allocations", "- MISSED: " + bench.CasbinRow, "- MISSED: " + bench.OPARow,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := writeReport(&out, tt.results, "redis", true); err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("report without %q:\n%s", want, out.String())
				}
			}
		})
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-fast"}, "-fast"},
		{"argument", []string{"fast"}, "see -h"},
		{"no runs", []string{"-count", "0"}, "-count"},
		{"no time", []string{"-benchtime", "0s"}, "-benchtime"},
		{"unreadable pattern", []string{"-rows", "("}, "-rows"},
		{"unwritable file", []string{"-out", t.TempDir()}, "-out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), tt.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run(%q) = %v, want an error with %q", tt.args, err, tt.want)
			}
		})
	}
	var usage strings.Builder
	if err := run(t.Context(), []string{"-h"}, io.Discard, &usage); !errors.Is(err, flag.ErrHelp) || !strings.Contains(usage.String(), "-benchtime") {
		t.Errorf("run(-h) = %v, and says %q", err, usage.String())
	}
}
