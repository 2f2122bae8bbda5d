package login

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestRenderPage(t *testing.T) {
	t.Parallel()
	page := Page{
		Organization: Party{ID: "org_1", Name: "acme", DisplayName: "Acme <Inc>"}, Form: "<form></form>", Error: "try again", Locale: "en",
		Branding: Branding{LogoURL: "https://acme.example/a.png", PageBackground: "#eeeeee"},
	}
	const org, app, tenant = "org {{.Organization.DisplayName}} {{.Form}}", "app {{.Form}}", "tenant {{.Form}}"
	for _, tt := range []struct {
		name    string
		sources []string
		want    string // what the page begins with
		broken  int
	}{
		{"LOG-7: the organization's", []string{org, app, tenant}, "org Acme &lt;Inc&gt; <form></form>", 0},
		{"LOG-7: the application's", []string{"", app, tenant}, "app <form></form>", 0},
		{"LOG-7: the tenant's", []string{"", "", tenant}, "tenant <form></form>", 0},
		{"LOG-7: nobody's", []string{"", "", ""}, "<!DOCTYPE html>", 0},
		{"LOG-7: none at all", nil, "<!DOCTYPE html>", 0},
		{"LOG-7: a broken one keeps nobody from logging in", []string{"{{if}}", app, tenant}, "app <form></form>", 1},
		{"LOG-7: all broken", []string{"{{.X}}", "{{printf 1}}", "{{"}, "<!DOCTYPE html>", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			html, broken, err := RenderPage(t.Context(), page, tt.sources...)
			if err != nil || !strings.HasPrefix(html, tt.want) || len(broken) != tt.broken || !strings.Contains(html, "<form></form>") {
				t.Errorf("page is %q, broken %v, error %v", html, broken, err)
			}
			for _, err := range broken {
				if located, ok := errors.AsType[*TemplateError](err); !ok || located.Line != 1 {
					t.Errorf("%v names no line", err)
				}
			}
		})
	}
	html, _, err := RenderPage(t.Context(), page)
	for _, part := range []string{"<title>Acme &lt;Inc&gt;</title>", `style="background-color: #eeeeee"`, `<img src="https://acme.example/a.png"`, "try again"} {
		if err != nil || !strings.Contains(html, part) {
			t.Errorf("LOG-7: the page has no %s: %s", part, html)
		}
	}
	if err := CheckPage(builtinPage); err != nil {
		t.Errorf("LOG-7: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := RenderPage(ctx, page); !errors.Is(err, context.Canceled) {
		t.Errorf("LOG-7: after the end: %v", err)
	}
}

func TestRenderMail(t *testing.T) {
	t.Parallel()
	mail := Mail{
		Organization: Party{DisplayName: "Acme\r\nBcc: all@example.com"}, Application: Party{DisplayName: "Travel0"}, Inviter: "Hiroko <h>",
		Link: "https://travel0.example/?invitation=x", Expires: "tomorrow",
	}
	m, broken, err := RenderMail(t.Context(), mail)
	if err != nil || len(broken) > 0 || m.Subject != "Hiroko <h> invites you to Acme  Bcc: all@example.com" || m.HTML != "" ||
		!strings.Contains(m.Text, mail.Link) || !strings.Contains(m.Text, "until tomorrow") {
		t.Errorf("LOG-7: %+v, broken %v, error %v", m, broken, err)
	}
	own := MailTemplate{"Hi", "{{.Link}}", `<a href="{{.Link}}">{{.Inviter}}</a>`}
	m, broken, err = RenderMail(t.Context(), mail, MailTemplate{Subject: "{{.X}}"}, own)
	want := Message{"Hi", mail.Link, `<a href="https://travel0.example/?invitation=x">Hiroko &lt;h&gt;</a>`}
	if err != nil || len(broken) != 1 || m != want {
		t.Errorf("LOG-7: %+v, broken %v, error %v", m, broken, err)
	}
	if err := CheckMail(builtinMail.Subject, builtinMail.Text, builtinMail.HTML); err != nil {
		t.Errorf("LOG-7: %v", err)
	}
	if err := CheckMail("{{.X}}", "", ""); err == nil {
		t.Error("LOG-7: what is wrong is not told")
	}
}
