package orgstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ListOptions selects a page of a list. The zero value is its first page of 50, in byte order of the id.
type ListOptions struct {
	Limit      int    // items on the page, 1 to 1,000; 0 means 50
	After      string // Next of the page before, with the same Sort and Descending; empty means from the beginning
	Sort       Sort   // SortID when empty; which others there are, each list says
	Descending bool   // the greatest first

	// Offset skips so many items, for interfaces that count pages. Offset and Limit together reach 1,000 items, as in Auth0's
	// Management API; After reaches all of them, at the same cost for each page.
	Offset int
	Total  bool // count all items of the list, whatever the page; that takes the longer the more there are
}

// Sort is the order of a list. Items that are equal in it are in byte order of the id.
type Sort string

// The orders of lists. Texts are compared byte by byte.
const (
	SortID      Sort = "id"
	SortName    Sort = "name"
	SortCreated Sort = "created_at"
	SortUsed    Sort = "used_at"
)

// Page is one page of a list. Pages stay right while items come and go: what is there all the time, with the same place in
// the order, is on exactly one of them.
type Page[T any] struct {
	Items []T
	Next  string // After of the next page; empty when this is the last one
	Total int    // only if ListOptions.Total asked for it, and at the moment of this page
}

// window is how far Offset and Limit reach together.
const window = 1000

// listing is a list that pages are read from.
type listing[T any] struct {
	name  string // names the list in cursors, so that the cursor of one is refused by another
	query string // SELECT … FROM … WHERE …, with all conditions and without an order; see bounded
	args  []any  // of query
	id    string // the column that is different for each row, and ends every order
	sorts map[Sort]string
	scan  func(scanner) (T, error)
	key   func(item T, by Sort) (value any, id string) // of the columns of by and id; value is a string or an int64, and does not matter for SortID
}

// read returns the page that opts selects.
func (l listing[T]) read(ctx context.Context, e *Engine, opts ListOptions) (Page[T], error) {
	text, args, limit, err := l.page(opts)
	if err != nil {
		return Page[T]{}, err
	}
	return read(ctx, e, func(q queryer) (page Page[T], err error) {
		if page.Items, err = collect(ctx, q, text, args, l.scan); err != nil {
			return page, err
		}
		if opts.Total {
			page.Total, err = l.total(ctx, q)
		}
		l.cut(&page, limit, opts)
		return page, err
	})
}

// and returns l with one more condition, in which each ? stands for the next of values.
func (l listing[T]) and(condition string, values ...any) listing[T] {
	l.args = slices.Clone(l.args)
	for _, value := range values {
		l.args = append(l.args, value)
		condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(l.args)), 1)
	}
	l.query += " AND " + condition
	return l
}

// of returns the page that opts selects of what organization org has; $1 is its id in the query, also where l has no arguments.
// Errors: NotFound (organization).
func (l listing[T]) of(ctx context.Context, e *Engine, org string, opts ListOptions) (page Page[T], err error) {
	if len(l.args) == 0 {
		l.args = []any{org}
	}
	if _, _, _, err := l.page(opts); err != nil {
		return page, err
	}
	if !validID("org_", org) {
		return page, &NotFound{"organization"}
	}
	page, err = l.read(ctx, e, opts)
	if err == nil && len(page.Items) == 0 {
		_, err = e.Organizations.Get(ctx, org)
	}
	return page, err
}

// total counts all items of the list.
func (l listing[T]) total(ctx context.Context, q queryer) (n int, err error) {
	err = q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (`+bounded(l.query, "")+`) listed`, l.args...).Scan(&n)
	return n, err
}

// page returns the statement that reads one item more than the page has.
func (l listing[T]) page(opts ListOptions) (text string, args []any, limit int, err error) {
	if limit, err = opts.limit(); err != nil {
		return "", nil, 0, err
	}
	by := opts.by()
	column, sorted := l.sorts[by]
	if by != SortID && !sorted {
		return "", nil, 0, &Invalid{"Sort", "", "must be an order that this list has: " + l.orders()}
	}
	args = append(args, l.args...)
	parameter := func(value any) string {
		args = append(args, value)
		return parameter(args)
	}
	than := " > "
	if opts.Descending {
		than = " < "
	}
	bound := ""
	if opts.After != "" {
		value, id, err := l.position(opts)
		switch {
		case err != nil:
			return "", nil, 0, err
		case sorted:
			text = " AND (" + column + ", " + l.id + ")" + than + "(" + parameter(value) + ", " + parameter(id) + ")"
		default:
			bound = than + parameter(id)
			text = " AND " + l.id + bound
		}
	}
	// The limit is no parameter: a plan that is made for all of them would be one for many more rows.
	text = bounded(l.query, bound) + text + l.order(opts) + " LIMIT " + strconv.Itoa(limit+1)
	if opts.Offset > 0 {
		text += " OFFSET " + parameter(opts.Offset)
	}
	return text, args, limit, nil
}

// bounded fills in where the ids of a page begin. A query can have {after column} for a column of another table that equals the id:
// planners do not see what follows from both, and would read that table from its beginning for each page.
func bounded(query, bound string) string {
	for {
		before, rest, found := strings.Cut(query, "{after ")
		column, rest, closed := strings.Cut(rest, "}")
		if !found || !closed {
			return query
		}
		if query = before + rest; bound != "" {
			query = before + "AND " + column + bound + rest
		}
	}
}

// order is the ORDER BY of a page.
func (l listing[T]) order(opts ListOptions) string {
	direction := ""
	if opts.Descending {
		direction = " DESC"
	}
	text := " ORDER BY "
	if column, sorted := l.sorts[opts.by()]; sorted {
		text += column + direction + ", "
	}
	return text + l.id + direction
}

// cut makes a page of the items that were read with one more than limit.
func (l listing[T]) cut(page *Page[T], limit int, opts ListOptions) {
	if len(page.Items) <= limit {
		return
	}
	page.Items = page.Items[:limit]
	value, id := l.key(page.Items[limit-1], opts.by())
	text := ""
	if opts.by() == SortID {
		value = nil
	}
	switch v := value.(type) {
	case string:
		text = "s" + v
	case int64:
		text = "n" + strconv.FormatInt(v, 10)
	}
	page.Next = base64.RawURLEncoding.EncodeToString([]byte(l.prefix(opts) + text + "\x00" + id))
}

// prefix begins the cursors of a list in one order.
func (l listing[T]) prefix(opts ListOptions) string {
	return l.name + " " + string(opts.by()) + " " + strconv.FormatBool(opts.Descending) + ":"
}

// position returns what the cursor of opts says of the last item of the page before.
func (l listing[T]) position(opts ListOptions) (value any, id string, err error) {
	data, err := base64.RawURLEncoding.DecodeString(opts.After)
	rest, ok := strings.CutPrefix(string(data), l.prefix(opts))
	text, id, cut := strings.Cut(rest, "\x00")
	if err != nil || !ok || !cut || !utf8.ValidString(rest) || strings.ContainsRune(id, 0) {
		return nil, "", errCursor
	}
	switch {
	case opts.by() == SortID:
		ok = text == ""
	case opts.by() == SortName && strings.HasPrefix(text, "s"):
		value = text[1:]
	case opts.by() != SortName && strings.HasPrefix(text, "n"): // an instant
		value, err = strconv.ParseInt(text[1:], 10, 64)
	default:
		ok = false
	}
	if err != nil || !ok {
		return nil, "", errCursor
	}
	return value, id, nil
}

var errCursor = &Invalid{"After", "", "must be the Next of a page of the same list in the same order"}

func (l listing[T]) orders() string {
	orders := []string{string(SortID)}
	for by := range l.sorts {
		orders = append(orders, string(by))
	}
	slices.Sort(orders)
	return strings.Join(orders, ", ")
}

func (opts ListOptions) by() Sort {
	if opts.Sort == "" {
		return SortID
	}
	return opts.Sort
}

// limit returns the number of items that opts asks for.
func (opts ListOptions) limit() (int, error) {
	limit := opts.Limit
	switch {
	case limit < 0 || limit > 1000:
		return 0, &Invalid{"Limit", "", "must be 1 to 1,000, or 0 for 50"}
	case limit == 0:
		limit = 50
	}
	switch {
	case opts.Offset < 0 || opts.Offset > 0 && opts.Offset+limit > window:
		return 0, &Invalid{"Offset", "", "must be at least 0 and reach, with Limit, at most 1,000 items: use After"}
	case opts.Offset > 0 && opts.After != "":
		return 0, &Invalid{"Offset", "", "must be 0 where After says where to go on"}
	}
	return limit, nil
}

// beginning returns the bounds of the texts that begin with query: from ones included, to ones not.
func beginning(query string) (from, to string, err error) {
	if !printable(query) || len(query) > 1024 {
		return "", "", &Invalid{"Query", "", "must be at most 1,024 bytes of printable characters"}
	}
	return query, query + "\U0010FFFF", nil // no printable character is greater
}

// parameter is the placeholder of the last of args.
func parameter(args []any) string { return "$" + strconv.Itoa(len(args)) }

// byID is the key of a listing that is sorted by id alone.
func byID[T any](id func(T) string) func(T, Sort) (any, string) {
	return func(item T, _ Sort) (any, string) { return nil, id(item) }
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

// instant is a time as it is stored, in microseconds: NULL for the zero time, which 0 is read as too.
type instant struct{ t *time.Time }

// Scan makes instant a sql.Scanner.
func (i instant) Scan(src any) error {
	var at sql.NullInt64
	err := at.Scan(src)
	*i.t = time.Time{}
	if at.Int64 != 0 {
		*i.t = time.UnixMicro(at.Int64).UTC()
	}
	return err
}

// Value makes instant a driver.Valuer.
func (i instant) Value() (driver.Value, error) {
	if i.t.IsZero() {
		return nil, nil
	}
	return i.t.UnixMicro(), nil
}
