package orgstore

import (
	"context"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// ListOptions selects a page of a list. The zero value is its first page of 50.
type ListOptions struct {
	Limit int    // items on the page, 1 to 1,000; 0 means 50
	After string // Next of the page before; empty means from the beginning
}

// Page is one page of a list. Lists are in byte order of the id, so that pages stay right while items come and go: what
// is there all the time is on exactly one of them.
type Page[T any] struct {
	Items []T
	Next  string // After of the next page; empty when this is the last one
}

// cursor returns the limit and the key that opts asks for. list keeps the cursors of one list from being used on another.
func (opts ListOptions) cursor(list string) (limit int, after string, err error) {
	switch {
	case opts.Limit < 0 || opts.Limit > 1000:
		return 0, "", &Invalid{"Limit", "", "must be 1 to 1,000, or 0 for 50"}
	case opts.Limit == 0:
		opts.Limit = 50
	}
	if opts.After == "" {
		return opts.Limit, "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(opts.After)
	key, ok := strings.CutPrefix(string(data), list+":")
	if err != nil || !ok || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return 0, "", &Invalid{"After", "", "must be the Next of a page of the same list"}
	}
	return opts.Limit, key, nil
}

// page returns the page of items, which were read with one more than limit.
func page[T any](list string, limit int, items []T, key func(T) string) Page[T] {
	if len(items) <= limit {
		return Page[T]{Items: items}
	}
	items = items[:limit]
	return Page[T]{items, base64.RawURLEncoding.EncodeToString([]byte(list + ":" + key(items[limit-1])))}
}

// list reads a page. The last two parameters of query are the key to read after and the number of rows to read.
func list[T any](ctx context.Context, e *Engine, name string, opts ListOptions, query string, args []any,
	scan func(scanner) (T, error), key func(T) string,
) (Page[T], error) {
	limit, after, err := opts.cursor(name)
	if err != nil {
		return Page[T]{}, err
	}
	return read(ctx, e, func(q queryer) (Page[T], error) {
		items, err := collect(ctx, q, query, append(args, after, limit+1), scan)
		return page(name, limit, items, key), err
	})
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, q queryer, query string, args []any, scan func(scanner) (T, error)) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var items []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// scanner is a row: *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }
