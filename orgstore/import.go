package orgstore

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of imports.
const (
	usualImportBatch = 500
	maxImportBatch   = 10_000
	maxImportLine    = 16 << 20 // bytes
	maxDifferent     = 100      // that are named
)

// ImportOptions says how to import, and how it reports. The zero value creates what is not there, keeps what is, and stops at the
// first bad record.
type ImportOptions struct {
	// Skip passes over so many lines from the beginning: ImportResult.Lines of the import that is to be continued. What is passed over
	// is not looked at, apart from the header.
	Skip int64
	// Update makes what is there already as the file says. Without it, it stays as it is, and is told by ImportResult.Different. Nothing
	// is ever deleted that the file does not have.
	Update bool
	// MaxErrors is how many bad records may be left out, with all that refers to them, before the import gives up. Default 0: the
	// first one ends it.
	MaxErrors int
	// DryRun does everything in one transaction and takes it back. While it runs nobody else may be able to write, and what it would
	// change is counted in memory: for large files import into a store of its own instead.
	DryRun bool
	// Batch is how many records are imported in one transaction, 1 to 10,000; default 500.
	Batch int
	// Progress is called after each transaction. Optional.
	Progress func(ImportResult)
}

// ImportResult says what an import has done. What failed is in none of the counts but Errors.
type ImportResult struct {
	// Lines are done for good: an import of the same file with ImportOptions.Skip goes on behind them.
	Lines     int64
	Created   int64
	Updated   int64 // was there and was made as in the file; only with ImportOptions.Update
	Unchanged int64 // was there as in the file
	Kept      int64 // was there, is not as in the file, and stayed
	Ended     int64 // left out because it has ended since the export, by itself
	// Different are the first 100 that were kept.
	Different []ImportLine
	Errors    []*ImportError // of records that were left out
}

// ImportLine names a line of a file.
type ImportLine struct {
	Line int64  // the first one, the header, is 1
	Type string // of record
}

// ImportError is what is wrong with a line. It wraps what the operation of the engine returned, or an Invalid that says what the line
// must be.
type ImportError struct {
	ImportLine
	Err error
}

func (e *ImportError) Error() string {
	of := ""
	if e.Type != "" {
		of = " (" + e.Type + ")"
	}
	return "orgstore: line " + strconv.FormatInt(e.Line, 10) + of + ": " + e.Err.Error()
}

func (e *ImportError) Unwrap() error { return e.Err }

// Import reads what Export wrote, or somebody else did as FORMAT.md describes, and creates what is not there (rule EXC-2). Ids stay the
// same. It reads one line after the other and imports many in one transaction; importing the same again changes nothing. An import
// that was broken off is imported again, or goes on behind ImportResult.Lines.
//
// Rules and limits are those of each operation, except that times, proofs of domains and statuses are taken over: a file is trusted
// like whoever imports it. Each change has its event, of the actor import where ctx names none. Idempotency keys are not looked at.
//
// The error is an *ImportError for a bad line: what stands before it is imported. A file that is cut off is known by the end of it, when
// all that it has is imported. An Engine of As cannot import (Denied).
func (e *Engine) Import(ctx context.Context, r io.Reader, opts ImportOptions) (ImportResult, error) {
	if e.as != nil {
		return ImportResult{}, &refusal{"imports are not for an engine that acts for somebody"}
	}
	opts.Batch = cmp.Or(opts.Batch, usualImportBatch)
	var err error
	for field, bad := range map[string]bool{"Skip": opts.Skip < 0, "MaxErrors": opts.MaxErrors < 0} {
		if bad {
			err = errors.Join(err, &Invalid{field, "", "must not be negative"})
		}
	}
	if opts.Batch < 0 || opts.Batch > maxImportBatch {
		err = errors.Join(err, &Invalid{"Batch", "", "must be 1 to 10,000, or 0 for 500"})
	}
	if err != nil {
		return ImportResult{}, err
	}
	if actor, _ := ctx.Value(actorKey{}).(string); actor == "" {
		ctx = WithActor(ctx, "import")
	}
	ctx = context.WithValue(ctx, idempotencyKey{}, nil)
	im := &importer{e: e, opts: opts, lines: bufio.NewReaderSize(r, 64*1024), counts: map[string]int64{}}
	if !opts.DryRun {
		err = im.everything(ctx)
		return im.result, err
	}
	runs := 0
	_, err = e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *Engine) error {
		if runs++; runs > 1 {
			return &unavailable{errors.New("somebody else has changed what the trial run relied on: run it again")}
		}
		im.e = e
		return cmp.Or(im.everything(ctx), errTakenBack)
	})
	if errors.Is(err, errTakenBack) {
		err = nil
	}
	return im.result, err
}

var errTakenBack = errors.New("taken back")

// importer is one import.
type importer struct {
	e      *Engine
	opts   ImportOptions
	lines  *bufio.Reader
	line   int64 // that was read last
	result ImportResult
	counts map[string]int64 // records of each type that were read

	before int // how many changes there were before the record
}

// pending is a record that was read.
type pending struct {
	ImportLine
	value json.RawMessage
}

func (im *importer) everything(ctx context.Context) error {
	if err := im.header(); err != nil {
		return err
	}
	for {
		batch, end, err := im.read(ctx)
		if len(batch) > 0 {
			if e := im.commit(ctx, batch); e != nil {
				return e
			}
		}
		if err != nil || end {
			return err
		}
	}
}

// bad is the error of the line that was read last.
func (im *importer) bad(typ, field, text string) error {
	return &ImportError{ImportLine{im.line, typ}, &Invalid{field, "EXC-2", text}}
}

// next reads a line; none at the end.
func (im *importer) next() ([]byte, error) {
	im.line++
	var line []byte
	for {
		part, err := im.lines.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxImportLine:
			return nil, im.bad("", "line", "must be at most 16 MB")
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		default:
			return line, nil
		}
	}
}

func (im *importer) header() error {
	line, err := im.next()
	if err != nil {
		return err
	}
	var h exportHeader
	if json.Unmarshal(line, &h) != nil || h.Version == 0 {
		return im.bad("", "orgauthz_export", "must be in the first line: this is no export")
	}
	if h.Version != exportVersion {
		return im.bad("", "orgauthz_export", "must be 1: a newer version of this library wrote the file, and can read it")
	}
	im.result.Lines = max(1, im.opts.Skip)
	return nil
}

// read reads a batch. end says that it is the last one.
func (im *importer) read(ctx context.Context) (batch []pending, end bool, err error) {
	for len(batch) < im.opts.Batch {
		if err := ctx.Err(); err != nil {
			return nil, false, im.e.failure(ctx, err)
		}
		line, err := im.next()
		if err != nil {
			return batch, false, err
		}
		if len(line) == 0 {
			return batch, false, im.bad("", endType, "must be the last record: the file is cut off, and all of it is imported that is here")
		}
		var r struct {
			Type  string          `json:"type"`
			Value json.RawMessage `json:"value"`
		}
		if err := strict(line, &r); err != nil {
			return batch, false, &ImportError{ImportLine{im.line, ""}, err}
		}
		switch {
		case r.Type == endType:
			return batch, true, im.ends(r.Value)
		case r.Type != memberType && recordTypes[r.Type] == nil:
			return batch, false, im.bad("", "type", "must be a type that FORMAT.md names: a newer version of this library may have written the file")
		}
		im.counts[r.Type]++
		if im.line > im.opts.Skip {
			batch = append(batch, pending{ImportLine{im.line, r.Type}, r.Value})
		}
	}
	return batch, false, nil
}

// ends checks the last line.
func (im *importer) ends(value json.RawMessage) error {
	var want exportEnd
	if err := strict(value, &want); err != nil {
		return &ImportError{ImportLine{im.line, endType}, err}
	}
	if want.Records != im.line-2 || !maps.Equal(want.Counts, im.counts) {
		return im.bad(endType, "counts", "must be those of the records before it: some are missing, or too many")
	}
	switch line, err := im.next(); {
	case err != nil:
		return err
	case len(line) > 0:
		return im.bad("", "line", "must not be there: the file goes on behind its end")
	}
	return nil
}

// commit imports a batch in one transaction, or what stands before a bad record that ends the import.
func (im *importer) commit(ctx context.Context, batch []pending) error {
	before := im.result
	var last error // that ends the import
	_, err := im.e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *Engine) error {
		im.result, last = before, nil // it may run again
		for rest := batch; len(rest) > 0 && last == nil; {
			some := rest[:together(rest)]
			rest = rest[len(some):]
			errs, err := im.records(ctx, e, some)
			if err != nil {
				return err
			}
			for i, err := range errs {
				if err == nil || last != nil {
					continue
				}
				failed := &ImportError{some[i].ImportLine, err}
				if len(im.result.Errors) >= im.opts.MaxErrors {
					last = failed
					im.result.Lines = failed.Line - 1
					break
				}
				im.result.Errors = append(slices.Clip(im.result.Errors), failed)
			}
			if last == nil {
				im.result.Lines = some[len(some)-1].Line
			}
		}
		return nil
	})
	if err != nil {
		im.result = before
		return err
	}
	if im.opts.Progress != nil {
		im.opts.Progress(im.result)
	}
	return last
}

// together returns how many of the first records are imported together: members of one organization.
func together(list []pending) int {
	if list[0].Type != memberType {
		return 1
	}
	n, org := 1, organizationOf(list[0].value)
	for n < len(list) && list[n].Type == memberType && organizationOf(list[n].value) == org {
		n++
	}
	return n
}

func organizationOf(value json.RawMessage) string {
	var r struct {
		Organization string `json:"organization_id"`
	}
	if json.Unmarshal(value, &r) != nil {
		return ""
	}
	return r.Organization
}

// outcome is what became of a record.
type outcome int

const (
	created outcome = iota
	found           // was there; whether it was changed, the transaction tells
	over            // has ended
)

// records imports some records, and returns what is wrong with each. err is of the store, and leaves all to be done again.
func (im *importer) records(ctx context.Context, e *Engine, some []pending) (errs []error, err error) {
	if some[0].Type == memberType {
		return im.members(ctx, e, some)
	}
	err = im.one(ctx, e, some[0].ImportLine, func(ctx context.Context) (outcome, error) {
		return recordTypes[some[0].Type](ctx, im, e, some[0].value)
	})
	if err != nil && !refused(err) {
		return nil, err
	}
	return []error{err}, nil
}

// refused reports whether err says that a record is bad, and not the store.
func refused(err error) bool {
	for _, category := range []error{ErrNotFound, ErrConflict, ErrInvalid, ErrLimit, ErrDenied} {
		if errors.Is(err, category) {
			return true
		}
	}
	return false
}

var errKept = errors.New("kept")

// one imports one record by apply: all of it, or nothing where it is refused, or to be kept.
func (im *importer) one(ctx context.Context, e *Engine, line ImportLine, apply func(context.Context) (outcome, error)) error {
	var is outcome
	result, err := e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *Engine) (err error) {
		im.before = len(e.tx.changes)
		is, err = apply(ctx)
		keeps := is == found && !im.opts.Update
		if keeps && (err == nil && im.changed(e) || err != nil && refused(err)) {
			return errKept
		}
		return err
	})
	switch {
	case errors.Is(err, errKept):
		im.kept(line)
		return nil
	case err != nil:
		return err
	case is == created && result.Changed:
		im.result.Created++
	case is == over:
		im.result.Ended++
	case result.Changed:
		im.result.Updated++
	default:
		im.result.Unchanged++
	}
	return nil
}

func (im *importer) kept(line ImportLine) {
	im.result.Kept++
	if n := len(im.result.Different); n < maxDifferent {
		im.result.Different = append(im.result.Different[:n:n], line)
	}
}

// changed reports whether the record has changed anything so far.
func (im *importer) changed(e *Engine) bool { return len(e.tx.changes) > im.before }

// strict reads JSON that has no unknown fields and nothing behind it.
func strict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, e := dec.Token(); errors.Is(e, io.EOF) {
			return nil
		}
		return &Invalid{"line", "EXC-2", "must be one JSON object"}
	}
	field, text := "line", "must be one JSON object, without line breaks: it is damaged or cut off"
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field, text = cmp.Or(jsonField(e.Field), "value"), "must be of another JSON type: see FORMAT.md"
	}
	if _, ok := errors.AsType[*time.ParseError](err); ok {
		field, text = "value", "must have times as in RFC 3339"
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if field, err = strconv.Unquote(name); err != nil || len(field) > 100 || !printable(field) {
			field = "value"
		}
		text = "must not be there: it is not known"
	}
	return &Invalid{field, "EXC-2", text}
}

// jsonField returns the path of a field without the names of Go types in it.
func jsonField(path string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(path, "."), func(name string) bool { return name != strings.ToLower(name) }), ".")
}

// decodeRecord reads the value of a record.
func decodeRecord[T any](data json.RawMessage) (*T, error) {
	v := new(T)
	if len(data) == 0 {
		return v, &Invalid{"value", "EXC-2", "must be given"}
	}
	return v, strict(data, v)
}
