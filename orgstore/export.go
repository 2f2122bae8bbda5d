package orgstore

import (
	"context"
	"database/sql"
	"io"
	"time"
)

// exportPage is how many rows are read at a time.
const exportPage = 1000

// ExportOptions says what to export, and how it reports. The zero value exports everything.
type ExportOptions struct {
	// Organization exports only this organization, by id, with its members, and the whole directory apart from other users.
	Organization string
	// Progress is called now and then with what has been written so far. Optional.
	Progress func(ExportResult)
}

// ExportResult is how much was exported.
type ExportResult struct {
	Records int64
	Counts  map[string]int64 // by type of record
}

// Export writes what the store holds to w, in the format that FORMAT.md describes and Import reads (rule EXC-1): one state, of the
// moment at which it begins, whatever changes while it is written. The same state gives the same bytes.
//
// Secrets are left out: those of applications, API keys with theirs, tickets of invitations, sessions and refresh tokens. So are
// events, and what has been deleted or has ended.
//
// It reads in pages and keeps one of them in memory, beside the teams of one organization. As long as it takes, one transaction
// is open that reads: a writer that is slow keeps databases from forgetting old states.
//
// Errors: NotFound (organization), Denied (an Engine of As), Unavailable, and those of w as they are. What was written is cut off then,
// which Import notices.
func (e *Engine) Export(ctx context.Context, w io.Writer, opts ExportOptions) (ExportResult, error) {
	if e.as != nil {
		return ExportResult{}, &refusal{"exports are not for an engine that acts for somebody"}
	}
	if opts.Organization != "" && !validID("org_", opts.Organization) {
		return ExportResult{}, &NotFound{"organization"}
	}
	now := e.cfg.Clock()
	var result ExportResult
	err := e.View(ctx, func(ctx context.Context, tx *sql.Tx) error {
		x := &exporter{e: e, q: sqlTx{tx, func() time.Time { return now }}, now: now.UnixMicro(), opts: opts, only: opts.Organization}
		var err error
		if x.only != "" {
			if _, err := organization(ctx, x.q, x.only); err != nil {
				return e.failure(ctx, err)
			}
		}
		out := &tracked{w: w}
		if x.w, err = newExportWriter(out, x.only); err == nil {
			err = x.everything(ctx)
		}
		if err == nil {
			err = x.w.Close()
		}
		result = x.w.result()
		if out.err != nil {
			return out.err
		}
		return e.failure(ctx, err)
	})
	return result, err
}

// tracked remembers that writing failed, which is not the store's failure.
type tracked struct {
	w   io.Writer
	err error
}

func (t *tracked) Write(p []byte) (n int, err error) {
	n, err = t.w.Write(p)
	if err != nil {
		t.err = err
	}
	return n, err
}

// exporter is one export.
type exporter struct {
	e    *Engine
	q    queryer
	now  int64
	opts ExportOptions
	only string // the organization that is exported alone
	w    *ExportWriter
}

// everything writes all records, each after those that it refers to.
func (x *exporter) everything(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		x.apis, x.tenantRoles, x.connections, x.organizations, x.clients, x.grants, x.groups, x.users, x.insides,
		x.contracts, x.templates, x.isolations, x.tenant,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pages hands the pages of a list to page, by id.
func pages[T any](ctx context.Context, x *exporter, l listing[T], page func(items []T) error) error {
	return pagesBy(l, func(text string, args []any) ([]T, error) { return collect(ctx, x.q, text, args, l.scan) }, func(items []T) error {
		if err := page(items); err != nil {
			return err
		}
		if x.opts.Progress != nil && len(items) > 0 {
			x.opts.Progress(x.w.result())
		}
		return nil
	})
}

// pagesBy is pages for lists that read reads.
func pagesBy[T any](l listing[T], read func(text string, args []any) ([]T, error), page func(items []T) error) error {
	for opts := (ListOptions{Limit: exportPage}); ; {
		text, args, limit, err := l.page(opts)
		if err != nil {
			return err
		}
		var p Page[T]
		if p.Items, err = read(text, args); err != nil {
			return err
		}
		l.cut(&p, limit, opts)
		if err := page(p.Items); err != nil {
			return err
		}
		if opts.After = p.Next; opts.After == "" {
			return nil
		}
	}
}

// each writes a record for each item of a list.
func each[T any](ctx context.Context, x *exporter, typ string, l listing[T], record func(T) (any, error)) error {
	return pages(ctx, x, l, func(items []T) error {
		for _, item := range items {
			value, err := record(item)
			if err == nil {
				err = x.w.Write(typ, value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// same is the record of what is one by itself.
func same[T any](item T) (any, error) { return item, nil }

// grouped reads pairs of a key and a value, in the order of the values.
func grouped(ctx context.Context, q queryer, query string, args ...any) (map[string][]string, error) {
	all := map[string][]string{}
	_, err := collect(ctx, q, query, args, func(row scanner) (struct{}, error) {
		var key, value string
		err := row.Scan(&key, &value)
		all[key] = append(all[key], value)
		return struct{}{}, err
	})
	return all, err
}

// instants reads pairs of a key and an instant, those apart that are 0.
func instants(ctx context.Context, q queryer, query string, args ...any) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	_, err := collect(ctx, q, query, args, func(row scanner) (struct{}, error) {
		var key string
		var at time.Time
		err := row.Scan(&key, instant{&at})
		if !at.IsZero() {
			all[key] = at
		}
		return struct{}{}, err
	})
	return all, err
}
