package templates

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"slices"
	"strings"
	"unicode"
)

// Branding is how something looks. Each field may be empty.
type Branding struct {
	LogoURL        string // https
	Primary        string // a colour in HTML notation
	PageBackground string // a colour in HTML notation
}

// Merge fills in what is empty in b from others, the nearest first, field by field.
func (b Branding) Merge(others ...Branding) Branding {
	for _, o := range others {
		b.LogoURL = cmp.Or(b.LogoURL, o.LogoURL)
		b.Primary = cmp.Or(b.Primary, o.Primary)
		b.PageBackground = cmp.Or(b.PageBackground, o.PageBackground)
	}
	return b
}

// Party is what a template knows of an organization or an application.
type Party struct {
	ID, Name, DisplayName string            // DisplayName is never empty where there is a Name
	Metadata              map[string]string // an organization's
}

// Page is what the template of a page shows.
type Page struct {
	Prompt       string // which page it is: organization, picker, credentials or error
	Organization Party  // empty when the login is for none, or for none yet
	Application  Party
	Branding     Branding
	Head         template.HTML // what the form needs within the page's head
	Form         template.HTML // the form itself
	Error        string        // what went wrong with what the user entered
	Locale       string        // language of the page, for example "en"
}

// Mail is what the templates of an e-mail show.
type Mail struct {
	Organization Party
	Application  Party
	Branding     Branding
	Inviter      string // who invites
	Email        string // to whom the e-mail goes
	Link         string // where it leads
	Expires      string // until when, in words
	Locale       string
}

// CheckPage checks the template of a page: it is well-formed, names only what there is, and shows the form.
func CheckPage(source string) error {
	t, err := HTML(source)
	if err != nil {
		return err
	}
	if !slices.Contains(t.Fields, "Form") {
		return &Error{Text: "must show {{.Form}}"}
	}
	party := Party{"x", "x", "x", map[string]string{"x": "x"}}
	return try(t, Page{}, Page{
		Prompt: "x", Organization: party, Application: party, Branding: Branding{"https://x.example", "#000000", "#000000"}, Head: "x", Form: "x",
		Error: "x", Locale: "x",
	})
}

// CheckMail checks the templates of an e-mail. Each problem is named with its part: subject, text or html.
func CheckMail(subject, text, html string) error {
	party := Party{"x", "x", "x", map[string]string{"x": "x"}}
	full := Mail{
		Organization: party, Application: party, Branding: Branding{"https://x.example", "#000000", "#000000"}, Inviter: "x", Email: "x@x.example",
		Link: "https://x.example", Expires: "x", Locale: "x",
	}
	var problems []error
	for _, part := range []struct {
		name, source string
		parse        func(string) (*Template, error)
	}{{"subject", subject, Text}, {"text", text, Text}, {"html", html, HTML}} {
		t, err := part.parse(part.source)
		if err == nil {
			err = try(t, Mail{}, full)
		}
		if broken, ok := errors.AsType[*Error](err); ok {
			problems = append(problems, &Error{Line: broken.Line, Text: "in the " + part.name + ": " + broken.Text})
		}
	}
	return errors.Join(problems...)
}

// try runs t with nothing and with something in every field, so that both ways of a condition are seen.
func try(t *Template, data ...any) error {
	for _, d := range data {
		if _, err := t.Execute(context.Background(), d); err != nil {
			return err
		}
	}
	return nil
}

// Line makes one line of what is to stand in a header, such as a subject.
func Line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s))
}
