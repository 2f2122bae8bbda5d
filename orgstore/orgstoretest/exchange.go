package orgstoretest

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// exported is an export with a record of each type, which every backend must give back byte for byte. What it has that ends does so
// in a far future.
//
//go:embed testdata/export.jsonl
var exported []byte

// exchangeTests are tests of Export and Import. copied opens another fresh engine.
var exchangeTests = map[string]func(t *engineTest, copied func() *engineTest){
	"EXC-1, EXC-2: a store and its copy are the same":        exchangeEverything,
	"EXC-1, EXC-2: a file from another backend":              exchangeFile,
	"EXC-2: importing again changes nothing":                 exchangeTwice,
	"EXC-2: an import is broken off and goes on":             exchangeBroken,
	"EXC-2: what is there is kept, or made as the file says": exchangeDifferent,
	"EXC-2: bad files":                                          exchangeBadFiles,
	"EXC-2: bad records":                                        exchangeBadRecords,
	"EXC-2: bad records are left out":                           exchangeLeftOut,
	"EXC-2: a trial run writes nothing":                         exchangeDry,
	"EXC-2: what has ended since is left out":                   exchangeEnded,
	"EXC-2: events name the actor":                              exchangeActor,
	"EXC-1: one organization":                                   exchangeOne,
	"EXC-1, EXC-2: many members, in pages and transactions":     exchangeMany,
	"EXC-1, EXC-2: options, writers, readers and closed stores": exchangeRefused,
}

// TestExchange tests that what one engine exports another one imports. open returns a fresh, empty engine with cfg.
func TestExchange(t *testing.T, open func(t testing.TB, cfg orgstore.Config) *orgstore.Engine) {
	for name, test := range exchangeTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := new(clock)
			another := func() *engineTest {
				return &engineTest{T: t, Engine: open(t, orgstore.Config{Clock: c.now}), clock: c}
			}
			e := another()
			test(e, another)
			e.consistent()
		})
	}
}

// export returns an export of t.
func (t *engineTest) export() []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := t.Export(t.Context(), &b, orgstore.ExportOptions{})
	t.ok(err)
	return b.Bytes()
}

func (t *engineTest) imports(file []byte, opts orgstore.ImportOptions) orgstore.ImportResult {
	t.Helper()
	result, err := t.Import(t.Context(), bytes.NewReader(file), opts)
	t.ok(err)
	return result
}

// sameText fails the test at the first line in which two exports differ.
func (t *engineTest) sameText(got, want []byte) {
	t.Helper()
	is, was := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(is), len(was)) {
		if !bytes.Equal(is[i], was[i]) {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, is[i], was[i])
		}
	}
	if len(is) != len(was) {
		t.Fatalf("%d lines, want %d", len(is), len(was))
	}
}

func exchangeEverything(t *engineTest, copied func() *engineTest) {
	t.everything()
	file := t.export()
	t.sameText(t.export(), file)
	for _, batch := range []int{0, 7} {
		other := copied()
		var steps []orgstore.ImportResult
		result := other.imports(file, orgstore.ImportOptions{Batch: batch, Progress: func(r orgstore.ImportResult) { steps = append(steps, r) }})
		lines := int64(bytes.Count(file, []byte("\n")))
		// The client's grant, and so on, are all new; what nothing was said of is unchanged.
		if result.Created+result.Unchanged != lines-2 || result.Kept+result.Updated+result.Ended > 0 || result.Lines != lines-1 || len(result.Errors) > 0 {
			t.Errorf("batches of %d: %+v of %d lines", batch, result, lines)
		}
		if n := len(steps); n == 0 || steps[n-1].Lines != result.Lines {
			t.Errorf("progress was %+v", steps)
		}
		t.sameText(other.export(), file)
		t.sameTables(other)
		other.consistent()
	}
}

func exchangeFile(t *engineTest, _ func() *engineTest) {
	t.imports(exported, orgstore.ImportOptions{})
	t.sameText(t.export(), exported)
	types := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\{"type":"([a-z_]+)"`).FindAllSubmatch(exported, -1) {
		types[string(m[1])] = true
	}
	var b bytes.Buffer
	result, err := t.Export(t.Context(), &b, orgstore.ExportOptions{})
	t.ok(err)
	if len(types) != len(result.Counts)+1 {
		t.Errorf("types %v, counted %v", types, result.Counts)
	}
	for table, rows := range t.tables() {
		if _, ok := unexported[table]; !ok && len(rows) == 0 {
			t.Errorf("the file has nothing for %s", table)
		}
	}
}

func exchangeTwice(t *engineTest, _ func() *engineTest) {
	t.imports(exported, orgstore.ImportOptions{})
	before, tables := len(t.events()), t.content()
	for _, update := range []bool{false, true} {
		result := t.imports(exported, orgstore.ImportOptions{Update: update})
		if result.Unchanged != result.Lines-1 || result.Created+result.Updated+result.Kept > 0 {
			t.Errorf("the second import, with update %v: %+v", update, result)
		}
	}
	if after := len(t.events()); after != before {
		t.Errorf("%d events, then %d", before, after)
	}
	if is := t.content(); fmt.Sprint(is) != fmt.Sprint(tables) {
		t.Errorf("rows were %v, and are %v", tables, is)
	}
}

// cut is a reader that breaks after some bytes.
type cut struct {
	r    io.Reader
	left int
	err  error
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

func exchangeBroken(t *engineTest, copied func() *engineTest) {
	gone := errors.New("gone")
	for at := len(exported) - 1; at > 0; at -= 1 + len(exported)/3 {
		other := copied()
		first, err := other.Import(t.Context(), &cut{bytes.NewReader(exported), at, gone}, orgstore.ImportOptions{Batch: 5})
		if !errors.Is(err, gone) {
			t.Fatalf("error is %v, want that of the reader", err)
		}
		other.imports(exported, orgstore.ImportOptions{Batch: 5, Skip: first.Lines})
		t.sameText(other.export(), exported)
		other.consistent()
	}
	// Whoever ends the import between two transactions finds all of the first ones and nothing of the next.
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	first, err := t.Import(ctx, bytes.NewReader(exported), orgstore.ImportOptions{Batch: 5, Progress: func(orgstore.ImportResult) {
		if steps++; steps == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || first.Lines != 16 {
		t.Fatalf("broken off: %+v, %v", first, err)
	}
	t.imports(exported, orgstore.ImportOptions{}) // from the beginning
	t.sameText(t.export(), exported)
}

func exchangeDifferent(t *engineTest, _ func() *engineTest) {
	t.imports(exported, orgstore.ImportOptions{})
	o, err := t.Organizations.GetByName(t.Context(), "acme")
	t.ok(err)
	t.changed(t.Organizations.Update(t.Context(), o.ID, orgstore.OrganizationUpdate{DisplayName: new("other"), Metadata: map[string]*string{"x": new("y")}}))
	t.changed(t.Members.Update(t.Context(), o.ID, "auth0|hiroko", orgstore.MemberUpdate{Kind: new("guest")}))
	t.changed(t.Users.Unblock(t.Context(), "u1"))
	u := t.user("new")
	result := t.imports(exported, orgstore.ImportOptions{})
	if result.Kept != 3 || len(result.Different) != 3 || result.Updated+result.Created > 0 {
		t.Errorf("kept: %+v", result)
	}
	for _, d := range result.Different {
		if d.Type != "organization" && d.Type != "member" && d.Type != "user" {
			t.Errorf("different is %+v", d)
		}
	}
	if is, err := t.Organizations.Get(t.Context(), o.ID); err != nil || is.DisplayName != "other" {
		t.Errorf("organization %+v, %v", is, err)
	}
	result = t.imports(exported, orgstore.ImportOptions{Update: true})
	if result.Updated != 3 || result.Kept+result.Created > 0 {
		t.Errorf("updated: %+v", result)
	}
	t.changed(t.Users.Delete(t.Context(), u)) // the file does not have it, so that it stayed
	t.sameText(t.export(), exported)
}

func exchangeLeftOut(t *engineTest, copied func() *engineTest) {
	file := bytes.Replace(exported, []byte(`"portal@clients","status":"active","kind":"employee"`),
		[]byte(`"portal@clients","status":"active","kind":"boss"`), 1)
	result, err := t.Import(t.Context(), bytes.NewReader(file), orgstore.ImportOptions{})
	t.invalid(err, "kind", "")
	if len(result.Errors) > 0 {
		t.Errorf("errors %v", result.Errors)
	}
	// What stands before the line is there. Corrected, the import goes on with it.
	if wrong, ok := errors.AsType[*orgstore.ImportError](err); !ok || result.Lines != wrong.Line-1 {
		t.Errorf("lines %d, error %v", result.Lines, err)
	}
	t.imports(exported, orgstore.ImportOptions{Skip: result.Lines})
	t.sameText(t.export(), exported)

	other := copied()
	result = other.imports(file, orgstore.ImportOptions{MaxErrors: 1})
	if len(result.Errors) != 1 || result.Errors[0].Type != "member" {
		t.Errorf("left out: %v", result.Errors)
	}
	if result := other.imports(exported, orgstore.ImportOptions{}); result.Created != 1 {
		t.Errorf("the rest: %+v", result)
	}
	t.sameText(other.export(), exported)
}

func exchangeDry(t *engineTest, _ func() *engineTest) {
	before := t.content()
	result := t.imports(exported, orgstore.ImportOptions{DryRun: true, Batch: 5})
	if result.Created == 0 || len(result.Errors) > 0 {
		t.Errorf("trial: %+v", result)
	}
	t.bad(bytes.Replace(exported, []byte(`"kind":"freelancer"`), []byte(`"kind":"boss"`), 1), orgstore.ImportOptions{DryRun: true},
		int64(1+bytes.Count(exported[:bytes.Index(exported, []byte(`"kind":"freelancer"`))], []byte("\n"))), "member", "kind")
	if is := t.content(); fmt.Sprint(is) != fmt.Sprint(before) {
		t.Errorf("rows were %v, and are %v", before, is)
	}
	real := t.imports(exported, orgstore.ImportOptions{})
	if real.Created != result.Created || real.Unchanged != result.Unchanged {
		t.Errorf("trial %+v, then %+v", result, real)
	}
}

func exchangeEnded(t *engineTest, copied func() *engineTest) {
	o, role := t.org("acme"), t.role("guide")
	t.user("a")
	t.user("b")
	soon := t.clock.now().Add(time.Hour)
	t.changed(t.Members.Add(t.Context(), o.ID, "a", orgstore.MemberOptions{ExpiresAt: soon}))
	t.member(o.ID, "b")
	t.changed(t.Members.Assign(t.Context(), o.ID, "b", orgstore.RoleAssignment{Role: role, ExpiresAt: soon}))
	file := t.export()
	t.clock.advance(2 * time.Hour)
	other := copied()
	if result := other.imports(file, orgstore.ImportOptions{}); result.Ended != 1 {
		t.Errorf("imported: %+v", result)
	}
	_, err := other.Members.Get(t.Context(), o.ID, "a")
	t.notFound(err, "member")
	other.roles(o.ID, "b")
	t.sameText(other.export(), t.export()) // which has them no more either
}

func exchangeActor(t *engineTest, copied func() *engineTest) {
	other := copied()
	t.imports(exported, orgstore.ImportOptions{})
	_, err := other.Import(orgstore.WithIdempotencyKey(orgstore.WithActor(t.Context(), "root"), "key"), bytes.NewReader(exported), orgstore.ImportOptions{})
	t.ok(err)
	for e, actor := range map[*engineTest]string{t: "import", other: "root"} {
		for _, event := range e.events() {
			if event.Actor != actor {
				t.Fatalf("event %+v is not of %s", event, actor)
			}
		}
	}
}

func exchangeOne(t *engineTest, copied func() *engineTest) {
	t.imports(exported, orgstore.ImportOptions{})
	o, err := t.Organizations.GetByName(t.Context(), "acme")
	t.ok(err)
	var b bytes.Buffer
	_, err = t.Export(t.Context(), &b, orgstore.ExportOptions{Organization: o.ID})
	t.ok(err)
	other := copied()
	other.imports(b.Bytes(), orgstore.ImportOptions{})
	page, err := other.Organizations.List(t.Context(), orgstore.OrganizationListOptions{})
	t.ok(err)
	if len(page.Items) != 1 || page.Items[0].ID != o.ID {
		t.Errorf("organizations %+v", page.Items)
	}
	_, err = other.Users.Get(t.Context(), "u1")
	t.notFound(err, "user")
	if a, b := t.resolve(o.ID, "auth0|hiroko"), other.resolve(o.ID, "auth0|hiroko"); !sameSet(a.Member.Roles, b.Member.Roles) {
		t.Errorf("roles were %v, and are %v", a.Member.Roles, b.Member.Roles)
	}
	other.consistent()
}

func exchangeMany(t *engineTest, copied func() *engineTest) {
	const n = 1100 // more than a page
	a, b := t.org("a"), t.org("b")
	role, team := t.role("guide"), t.team(a.ID, "all", "")
	var users []orgstore.MemberAdd
	_, err := t.Transact(t.Context(), func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
		for i := range n {
			u, _, err := e.Users.Create(ctx, orgstore.User{ID: fmt.Sprintf("u%05d", i)})
			if err != nil {
				return err
			}
			users = append(users, orgstore.MemberAdd{User: u.ID, MemberOptions: orgstore.MemberOptions{Roles: []string{role}}})
		}
		return nil
	})
	t.ok(err)
	for _, o := range []*orgstore.Organization{a, b} {
		_, _, err := t.Members.AddAll(t.Context(), o.ID, users)
		t.ok(err)
	}
	t.changed(t.Teams.AddMember(t.Context(), a.ID, team, "u00999"))
	t.changed(t.Teams.AddMember(t.Context(), a.ID, team, "u01000"))
	file := t.export()
	other := copied()
	other.imports(file, orgstore.ImportOptions{})
	t.sameText(other.export(), file)
	if result := other.imports(file, orgstore.ImportOptions{Batch: 3000}); result.Unchanged != result.Lines-1 {
		t.Errorf("again: %+v", result)
	}
	other.consistent()
}

// fails is a writer that fails after some bytes.
type fails struct {
	left int
	err  error
}

func (f *fails) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, f.err
	}
	return len(p), nil
}

func exchangeRefused(t *engineTest, copied func() *engineTest) {
	ctx := t.Context()
	for field, opts := range map[string]orgstore.ImportOptions{"Skip": {Skip: -1}, "MaxErrors": {MaxErrors: -1}, "Batch": {Batch: 10_001}} {
		_, err := t.Import(ctx, bytes.NewReader(exported), opts)
		t.invalid(err, field, "")
	}
	for _, org := range []string{"org_0000000000000000", "acme", "\x00", "\xff"} {
		_, err := t.Export(ctx, io.Discard, orgstore.ExportOptions{Organization: org})
		t.notFound(err, "organization")
	}
	as := t.As(orgstore.Actor{User: "u"})
	_, err := as.Export(ctx, io.Discard, orgstore.ExportOptions{})
	t.is(err, orgstore.ErrDenied)
	_, err = as.Import(ctx, bytes.NewReader(exported), orgstore.ImportOptions{})
	t.is(err, orgstore.ErrDenied)
	if len(t.events()) > 0 {
		t.Error("something was written")
	}
	t.imports(exported, orgstore.ImportOptions{})
	full := errors.New("full")
	for _, left := range []int{0, 10, len(exported) - 1} {
		if _, err := t.Export(ctx, &fails{left, full}, orgstore.ExportOptions{}); !errors.Is(err, full) || errors.Is(err, orgstore.ErrUnavailable) {
			t.Errorf("error is %v, want that of the writer", err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = t.Export(ended, io.Discard, orgstore.ExportOptions{})
	t.is(err, context.Canceled)
	_, err = t.Import(ended, bytes.NewReader(exported), orgstore.ImportOptions{})
	t.is(err, context.Canceled)
	other := copied()
	t.ok(other.Close())
	_, err = other.Export(ctx, io.Discard, orgstore.ExportOptions{})
	t.is(err, orgstore.ErrUnavailable)
	_, err = other.Import(ctx, bytes.NewReader(exported), orgstore.ImportOptions{})
	t.is(err, orgstore.ErrUnavailable)
}
