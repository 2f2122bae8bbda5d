// Package templates runs the templates of pages and e-mails that customers write (rule LOG-7). A template is the language of
// html/template with a few of its functions and no others, so that it can do nothing but show the data that it is given.
package templates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"time"
	"unicode/utf8"
)

// Limits of one template.
const (
	MaxSource = 100_000         // bytes
	MaxOutput = 1 << 20         // bytes
	maxTime   = 2 * time.Second // of one run
	maxRange  = 2               // loops within each other
)

// functions are those that cannot make much of little, nor call anything.
var functions = []string{"and", "eq", "ge", "gt", "index", "le", "len", "lt", "ne", "not", "or"}

// Error is what is wrong with a template.
type Error struct {
	Line int // 1 is the first; 0 when no line is to blame
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return "line " + strconv.Itoa(e.Line) + ": " + e.Text
}

// Template is a template that may be run, by any number of goroutines.
type Template struct {
	run func(w io.Writer, data any) error
	// Fields holds the fields of the data that the template names at its top, sorted.
	Fields []string
}

const name = "template"

// HTML parses the template of a page or of an e-mail's HTML part: what it shows is escaped for where it stands.
func HTML(source string) (*Template, error) {
	fields, err := check(source)
	if err != nil {
		return nil, err
	}
	t, err := htmltemplate.New(name).Parse(source)
	if err == nil {
		// Escaping happens with the first run, and refuses what cannot be escaped, such as a value within a tag's name.
		err = t.Execute(io.Discard, nil)
		if broken, ok := errors.AsType[*htmltemplate.Error](err); ok {
			return nil, located(broken)
		}
		return &Template{t.Execute, fields}, nil
	}
	return nil, located(err)
}

// Text parses the template of plain text.
func Text(source string) (*Template, error) {
	fields, err := check(source)
	if err != nil {
		return nil, err
	}
	t, err := texttemplate.New(name).Parse(source)
	if err != nil {
		return nil, located(err)
	}
	return &Template{t.Execute, fields}, nil
}

// Execute shows data, which has to be plain: structs, maps, slices, strings and booleans, without methods. No number and no
// channel, because a loop may go over them.
func (t *Template) Execute(ctx context.Context, data any) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, maxTime)
	defer cancel()
	w := &writer{ctx: ctx}
	if err := t.run(w, data); err != nil {
		if w.failed != nil {
			return "", w.failed
		}
		return "", located(err)
	}
	return w.out.String(), nil
}

// writer ends a run that takes too long or writes too much.
type writer struct {
	ctx    context.Context
	out    bytes.Buffer
	failed error
}

func (w *writer) Write(p []byte) (int, error) {
	switch {
	case w.ctx.Err() != nil:
		w.failed = w.ctx.Err()
	case w.out.Len()+len(p) > MaxOutput:
		w.failed = &Error{Text: "must not write more than " + strconv.Itoa(MaxOutput) + " bytes"}
	default:
		return w.out.Write(p)
	}
	return 0, w.failed
}

// check refuses what a template must not do, and returns the fields that it names.
func check(source string) ([]string, error) {
	switch {
	case len(source) > MaxSource:
		return nil, &Error{Text: "must be at most " + strconv.Itoa(MaxSource) + " bytes"}
	case !utf8.ValidString(source) || strings.ContainsRune(source, 0):
		return nil, &Error{Text: "must be valid UTF-8 without NUL"}
	}
	// Functions are known by their names only: what is not allowed is refused below.
	known := map[string]any{}
	for _, f := range functions {
		known[f] = true
	}
	trees, err := parse.Parse(name, source, "{{", "}}", known)
	if err != nil {
		return nil, located(err)
	}
	if len(trees) > 1 {
		return nil, &Error{Text: "must define no templates of its own"}
	}
	w := walker{source: source}
	if tree := trees[name]; tree != nil && tree.Root != nil {
		w.walk(tree.Root, 0)
	}
	slices.Sort(w.fields)
	return slices.Compact(w.fields), w.err
}

// walker looks at every node of a template.
type walker struct {
	source string
	fields []string
	err    error
}

func (w *walker) refuse(node parse.Node, text string) {
	if w.err == nil {
		w.err = &Error{1 + strings.Count(w.source[:min(int(node.Position()), len(w.source))], "\n"), text}
	}
}

func (w *walker) walk(node parse.Node, loops int) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, child := range n.Nodes {
				w.walk(child, loops)
			}
		}
	case *parse.ActionNode:
		w.walk(n.Pipe, loops)
	case *parse.IfNode:
		w.branch(&n.BranchNode, loops)
	case *parse.WithNode:
		w.branch(&n.BranchNode, loops)
	case *parse.RangeNode:
		if !lists(n.Pipe) {
			w.refuse(n, "must loop over a field, such as .Organizations")
		}
		if loops++; loops > maxRange {
			w.refuse(n, "must have at most "+strconv.Itoa(maxRange)+" loops within each other")
		}
		w.branch(&n.BranchNode, loops)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				w.walk(arg, loops)
			}
		}
	case *parse.ChainNode:
		w.walk(n.Node, loops)
	case *parse.FieldNode:
		w.fields = append(w.fields, n.Ident[0])
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			w.fields = append(w.fields, n.Ident[1])
		}
	case *parse.TemplateNode:
		w.refuse(n, "must include no templates")
	case *parse.TextNode, *parse.CommentNode, *parse.IdentifierNode, *parse.DotNode, *parse.NilNode, *parse.BoolNode, *parse.NumberNode,
		*parse.StringNode, *parse.BreakNode, *parse.ContinueNode:
	default:
		w.refuse(n, fmt.Sprintf("must not have a %T", n))
	}
}

func (w *walker) branch(n *parse.BranchNode, loops int) {
	w.walk(n.Pipe, loops)
	w.walk(n.List, loops)
	w.walk(n.ElseList, loops)
}

// lists reports whether a loop goes over a field alone. What an expression yields may be a number, however large.
func lists(pipe *parse.PipeNode) bool {
	if len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return false
	}
	switch n := pipe.Cmds[0].Args[0].(type) {
	case *parse.FieldNode:
		return true
	case *parse.VariableNode:
		return len(n.Ident) > 1
	}
	return false
}

// place is how the packages of the standard library say where an error is.
var place = regexp.MustCompile(`^(?:html/)?template: ?` + name + `:(\d+)(?::\d+)?: (?:executing "` + name + `" at )?`)

// located turns an error of the standard library into one with its line.
func located(err error) error {
	text := err.Error()
	m := place.FindStringSubmatchIndex(text)
	if m == nil {
		return &Error{Text: strings.TrimPrefix(text, "template: ")}
	}
	line, _ := strconv.Atoi(text[m[2]:m[3]])
	return &Error{line, text[m[1]:]}
}
