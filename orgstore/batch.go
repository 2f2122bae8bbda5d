package orgstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// batch is how many rows one statement writes, or how many ids it names, at most. Databases bound the number of parameters, and
// SQLite looks for each one among all those before it, so that statements of many hundreds get slow.
const batch = 60

// parameters returns n placeholders, separated by commas, that begin with number from.
func parameters(from, n int) string {
	var text strings.Builder
	for i := range n {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteByte('$')
		text.WriteString(strconv.Itoa(from + i))
	}
	return text.String()
}

// rowParameters returns placeholders for rows of so many columns: ($1, $2), ($3, $4) and so on.
func rowParameters(rows, columns int) string {
	list := make([]string, rows)
	for i := range list {
		list[i] = "(" + parameters(1+i*columns, columns) + ")"
	}
	return strings.Join(list, ", ")
}

// insert inserts rows into a table (with its columns, as in INSERT INTO), of which there may be none. end ends each statement.
func (tx *transaction) insert(ctx context.Context, into string, rows [][]any, end string) error {
	for some := range slices.Chunk(rows, batch) {
		if _, err := tx.sql.ExecContext(ctx,
			`INSERT INTO `+into+` VALUES `+rowParameters(len(some), len(some[0]))+end, slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

func anys(list []string) []any {
	args := make([]any, len(list))
	for i, s := range list {
		args[i] = s
	}
	return args
}
