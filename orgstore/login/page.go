package login

import (
	"context"
	"errors"
	"slices"

	"github.com/orgauthz/orgauthz/orgstore/internal/templates"
)

// What templates show. Every field is plain data; Page.Head and Page.Form alone are HTML, and the embedder's own.
type (
	// Page is what the template of a page shows.
	Page = templates.Page
	// Mail is what the templates of an e-mail show.
	Mail = templates.Mail
	// Party is an organization or an application in a Page or a Mail.
	Party = templates.Party
	// Branding is how an organization, an application or the tenant looks.
	Branding = templates.Branding
	// TemplateError is what is wrong with a template, with the line.
	TemplateError = templates.Error
)

// PagePolicy is the Content-Security-Policy to send with a rendered page whose form needs no script: a template may come from an
// organization, and a page that asks for passwords must neither run what it says nor send them where it says.
const PagePolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src https: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// builtinPage is the page where nobody has a template that works.
const builtinPage = `<!DOCTYPE html>
<html lang="{{.Locale}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{with .Organization.DisplayName}}{{.}}{{else}}{{.Application.DisplayName}}{{end}}</title>
{{.Head}}
</head>
<body{{with .Branding.PageBackground}} style="background-color: {{.}}"{{end}}>
<main>
{{with .Branding.LogoURL}}<img src="{{.}}" alt="">{{end}}
{{with .Error}}<p role="alert">{{.}}</p>{{end}}
{{.Form}}
</main>
</body>
</html>
`

// CheckPage returns what is wrong with the template of a page, as a *TemplateError.
func CheckPage(source string) error { return templates.CheckPage(source) }

// CheckMail returns all that is wrong with the templates of an e-mail, each as a *TemplateError that names the part.
func CheckMail(subject, text, html string) error { return templates.CheckMail(subject, text, html) }

// RenderPage shows page in the first of the templates that works: the organization's, the application's, the tenant's, of which
// any may be empty, and a plain one of our own at last (rule LOG-7). Nobody is kept from logging in by a template: what is wrong
// with those before the one that worked is in broken. The error is the context's.
func RenderPage(ctx context.Context, page Page, sources ...string) (html string, broken []error, err error) {
	for _, source := range append(slices.Clip(sources), builtinPage) {
		if source == "" {
			continue
		}
		html, err := run(ctx, templates.HTML, source, page)
		if err == nil {
			return html, broken, nil
		}
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		broken = append(broken, err)
	}
	return "", broken, errors.Join(broken...)
}

// MailTemplate are the templates of one e-mail. HTML may be empty.
type MailTemplate struct {
	Subject, Text, HTML string
}

// Message is an e-mail without its addresses.
type Message struct {
	Subject string // one line
	Text    string
	HTML    string // empty when the template has none
}

// builtinMail is the invitation where nobody has a template that works.
var builtinMail = MailTemplate{
	Subject: `{{.Inviter}} invites you to {{.Organization.DisplayName}}`,
	Text: `{{.Inviter}} invites you to join {{.Organization.DisplayName}}{{with .Application.DisplayName}} on {{.}}{{end}}.

To accept, open this link{{with .Expires}} until {{.}}{{end}}:

{{.Link}}
`,
}

// RenderMail is RenderPage for the templates of an e-mail, each of which is used as a whole. The last resort is the text of an
// invitation.
func RenderMail(ctx context.Context, mail Mail, sources ...MailTemplate) (m Message, broken []error, err error) {
	for _, source := range append(slices.Clip(sources), builtinMail) {
		if source == (MailTemplate{}) {
			continue
		}
		m, err := source.render(ctx, mail)
		if err == nil {
			return m, broken, nil
		}
		if ctx.Err() != nil {
			return Message{}, nil, ctx.Err()
		}
		broken = append(broken, err)
	}
	return Message{}, broken, errors.Join(broken...)
}

func (t *MailTemplate) render(ctx context.Context, mail Mail) (m Message, err error) {
	if m.Subject, err = run(ctx, templates.Text, t.Subject, mail); err != nil {
		return m, err
	}
	m.Subject = templates.Line(m.Subject)
	if m.Text, err = run(ctx, templates.Text, t.Text, mail); err != nil {
		return m, err
	}
	m.HTML, err = run(ctx, templates.HTML, t.HTML, mail)
	return m, err
}

func run(ctx context.Context, parse func(string) (*templates.Template, error), source string, data any) (string, error) {
	t, err := parse(source)
	if err != nil {
		return "", err
	}
	return t.Execute(ctx, data)
}
