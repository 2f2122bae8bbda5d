package login

import (
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestLoginPage(t *testing.T) {
	t.Parallel()
	s := newScene(t, Config{})
	set := func(owner orgstore.TemplateOwner, html string) {
		t.Helper()
		_, err := s.engine.Templates.Set(t.Context(), orgstore.Template{Owner: owner, Kind: orgstore.TemplateLogin, HTML: html + " {{.Form}}"})
		s.ok(err)
	}
	rocky := s.orgs["rocky"]
	colors := orgstore.BrandingColors{Primary: "#111111", PageBackground: "#eeeeee"}
	_, err := s.engine.Tenant.Update(t.Context(), orgstore.TenantUpdate{
		Branding: &orgstore.Branding{LogoURL: "https://travel0.example/a.png", Colors: colors},
	})
	s.ok(err)
	_, err = s.engine.Organizations.Update(t.Context(), rocky, orgstore.OrganizationUpdate{
		DisplayName: new("Rocky Mountain High"), LogoURL: new("https://rocky.example/a.png"),
	})
	s.ok(err)
	page := func(org, client string) string {
		t.Helper()
		html, broken, err := s.LoginPage(t.Context(), org, client, Page{Form: "<form></form>", Organization: Party{Name: "not this"}})
		s.ok(err)
		if len(broken) > 0 || !strings.Contains(html, "<form></form>") {
			t.Errorf("%s, broken: %v", html, broken)
		}
		return html
	}
	if got := page(rocky, "adventures"); !strings.Contains(got, "https://rocky.example/a.png") || !strings.Contains(got, "#eeeeee") ||
		!strings.Contains(got, "<title>Rocky Mountain High</title>") {
		t.Errorf("LOG-7: the page that nobody has a template for: %s", got)
	}
	if got := page("", "adventures"); !strings.Contains(got, "https://travel0.example/a.png") || !strings.Contains(got, "<title>Adventure Management</title>") {
		t.Errorf("LOG-7: without an organization: %s", got)
	}
	set(orgstore.TemplateOwner{}, "tenant {{.Application.Name}}")
	set(orgstore.TemplateOwner{Client: "adventures"}, "app {{.Organization.Name}} {{.Branding.LogoURL}}")
	set(orgstore.TemplateOwner{Organization: rocky}, "org {{.Application.DisplayName}}")
	for _, tt := range []struct{ name, org, client, want string }{
		{"LOG-7: the organization's", rocky, "adventures", "org Adventure Management"},
		{"LOG-7: the application's", s.orgs["granite"], "adventures", "app granite https://travel0.example/a.png"},
		{"LOG-7: the application's without an organization", "", "adventures", "app  https://travel0.example/a.png"},
		{"LOG-7: the tenant's", "", "", "tenant "},
		{"LOG-7: of what is not there", "org_0000000000000000", "\x00", "tenant "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := page(tt.org, tt.client); got != tt.want+" <form></form>" {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestInvitationMail(t *testing.T) {
	t.Parallel()
	s := newGuest(t)
	i, _, err := s.engine.Invitations.Create(t.Context(), s.orgs["rocky"],
		orgstore.InvitationOptions{InviterName: "Jonno", Email: "new@example.com", Client: "adventures"})
	s.ok(err)
	m, broken, err := s.InvitationMail(t.Context(), i, Mail{})
	s.ok(err)
	if m.Subject != "Jonno invites you to rocky" || !strings.Contains(m.Text, "invitation="+i.Ticket) ||
		!strings.Contains(m.Text, i.ExpiresAt.UTC().Format("2 January 2006")) || len(broken) > 0 {
		t.Errorf("LOG-7: %+v, broken: %v", m, broken)
	}
	_, err = s.engine.Templates.Set(t.Context(), orgstore.Template{
		Owner: orgstore.TemplateOwner{Organization: s.orgs["rocky"]}, Kind: orgstore.TemplateInvitation,
		Subject: "Hi", Text: "{{.Email}} {{.Expires}} {{.Locale}}", HTML: `<a href="{{.Link}}">{{.Application.Name}}</a>`,
	})
	s.ok(err)
	m, _, err = s.InvitationMail(t.Context(), i, Mail{Locale: "en", Expires: "soon", Email: "not this", Link: "https://evil.example"})
	s.ok(err)
	if m.Subject != "Hi" || m.Text != "new@example.com soon en" || !strings.Contains(m.HTML, "Adventure Management</a>") || strings.Contains(m.HTML, "evil") {
		t.Errorf("LOG-7: %+v", m)
	}
	i.Ticket = ""
	if _, _, err := s.InvitationMail(t.Context(), i, Mail{}); err == nil {
		t.Error("INV-3: a mail without a ticket")
	}
}
