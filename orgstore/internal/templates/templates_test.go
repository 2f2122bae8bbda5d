package templates

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	htmltemplate "html/template"
)

type item struct{ Name string }

type data struct {
	Title, URL, Color string
	Form              htmltemplate.HTML
	Items             []item
	Metadata          map[string]string
	On                bool
}

var sample = data{
	Title: `<b>"O'Reilly" & co</b>`, URL: "javascript:alert(1)", Color: "#ff0000", Form: "<form></form>",
	Items: []item{{"a"}, {"<b>"}}, Metadata: map[string]string{"k": "<v>"}, On: true,
}

func TestExecute(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, html, text string }{
		{"LOG-7: empty", "", "", ""},
		{"LOG-7: text", "Hello", "Hello", "Hello"},
		{"LOG-7: a value is escaped", "<p>{{.Title}}</p>", `<p>&lt;b&gt;&#34;O&#39;Reilly&#34; &amp; co&lt;/b&gt;</p>`, `<p><b>"O'Reilly" & co</b></p>`},
		{"LOG-7: a URL is filtered", `<a href="{{.URL}}">x</a>`, `<a href="#ZgotmplZ">x</a>`, `<a href="javascript:alert(1)">x</a>`},
		{"LOG-7: a colour", `<p style="color: {{.Color}}">`, `<p style="color: #ff0000">`, `<p style="color: #ff0000">`},
		{"LOG-7: the form stays what it is", "{{.Form}}", "<form></form>", "<form></form>"},
		{"LOG-7: a loop", "{{range .Items}}{{.Name}};{{end}}", "a;&lt;b&gt;;", "a;<b>;"},
		{"LOG-7: a loop over a field of a variable", "{{with $x := .Title}}{{range $.Items}}{{.Name}}{{end}}{{end}}", "a&lt;b&gt;", "a<b>"},
		{"LOG-7: a condition", `{{if and .On (eq (len .Items) 2)}}two{{else}}other{{end}}`, "two", "two"},
		{"LOG-7: metadata", `{{index .Metadata "k"}}{{.Metadata.k}}`, "&lt;v&gt;&lt;v&gt;", "<v><v>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for want, parse := range map[string]func(string) (*Template, error){"html " + tt.html: HTML, "text " + tt.text: Text} {
				template, err := parse(tt.source)
				if err != nil {
					t.Fatal(err)
				}
				got, err := template.Execute(t.Context(), sample)
				if _, want, _ := strings.Cut(want, " "); err != nil || got != want {
					t.Errorf("%q (%v), want %q", got, err, want)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"LOG-7: printf", "\n{{printf \"%0999999999d\" 1}}", `line 2: function "printf" not defined`},
		{"LOG-7: call", "{{call .Title}}", `line 1: function "call" not defined`},
		{"LOG-7: an escaper of the library", "{{.Title | html}}", `line 1: function "html" not defined`},
		{"LOG-7: another escaper", "{{_html_template_nospaceescaper .Title}}", `line 1: function "_html_template_nospaceescaper" not defined`},
		{"LOG-7: a loop over a number", "\n\n{{range 1000000000}}{{end}}", "line 3: must loop over a field, such as .Organizations"},
		{"LOG-7: a loop over a variable", "{{$n := 1000000000}}{{range $n}}{{end}}", "line 1: must loop over a field, such as .Organizations"},
		{"LOG-7: a loop over an expression", "{{range (len .Title)}}{{end}}", "line 1: must loop over a field, such as .Organizations"},
		{"LOG-7: three loops", "{{range .Items}}{{range $.Items}}{{if true}}\n{{range $.Items}}{{end}}{{end}}{{end}}{{end}}", "line 2: must have at most 2 loops within each other"},
		{"LOG-7: a template of its own", `{{define "x"}}{{template "x"}}{{end}}`, "must define no templates of its own"},
		{"LOG-7: a block", `{{block "x" .}}{{end}}`, "must define no templates of its own"},
		{"LOG-7: recursion", "\n{{template \"template\" .}}", "line 2: must include no templates"},
		{"LOG-7: syntax", "\n\n{{if}}", "line 3: missing value for if"},
		{"LOG-7: not closed", "{{if .On}}", "line 1: unexpected EOF"},
		{"LOG-7: NUL", "a\x00", "must be valid UTF-8 without NUL"},
		{"LOG-7: invalid UTF-8", "\xff", "must be valid UTF-8 without NUL"},
		{"LOG-7: too long", strings.Repeat("x", MaxSource+1), "must be at most 100000 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, parse := range []func(string) (*Template, error){HTML, Text} {
				if _, err := parse(tt.source); err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error is %v, want %s", err, tt.want)
				}
			}
		})
	}
	_, err := HTML("\n<a href='{{.URL}}")
	if broken, ok := errors.AsType[*Error](err); !ok || !strings.Contains(err.Error(), "ends in a non-text context") {
		t.Errorf("LOG-7: HTML that cannot be escaped: %v", broken)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	template, err := HTML("{{range .Items}}" + strings.Repeat("x", 90_000) + "{{end}}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = template.Execute(t.Context(), data{Items: make([]item, 20)})
	if broken, ok := errors.AsType[*Error](err); !ok || broken.Text != "must not write more than 1048576 bytes" {
		t.Errorf("LOG-7: too much output: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = template.Execute(ctx, data{Items: make([]item, 2)}); !errors.Is(err, context.Canceled) {
		t.Errorf("LOG-7: too late: %v", err)
	}
	template, err = HTML("a\n{{.Unknown}}")
	if err != nil {
		t.Fatal(err)
	}
	_, err = template.Execute(t.Context(), sample)
	if broken, ok := errors.AsType[*Error](err); !ok || broken.Line != 2 || !slices.Equal(template.Fields, []string{"Unknown"}) {
		t.Errorf("LOG-7: an unknown field: %v, fields %q", err, template.Fields)
	}
}

// FuzzHTML runs whatever is accepted: it ends, and a value that it shows never becomes a tag.
func FuzzHTML(f *testing.F) {
	for _, source := range []string{"{{.Title}}", "<a href={{.URL}}>", "{{range .Items}}{{.Name}}{{end}}", "<!-- {{.Title}} -->", "<script>{{.Title}}</script>"} {
		f.Add(source)
	}
	const evil = "<evil-element onload=x>"
	f.Fuzz(func(t *testing.T, source string) {
		template, err := HTML(source)
		if err != nil {
			return
		}
		got, err := template.Execute(t.Context(), data{Title: evil, URL: evil, Color: evil, Items: []item{{evil}}, Metadata: map[string]string{"k": evil}})
		if err == nil && strings.Contains(got, evil) && !strings.Contains(source, evil) {
			t.Errorf("%q shows %q", source, got)
		}
		if len(got) > MaxOutput {
			t.Errorf("%q writes %d bytes", source, len(got))
		}
	})
}
