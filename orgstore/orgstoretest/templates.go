package orgstoretest

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/orgauthz/orgauthz/orgstore"
)

var templateCases = cases{
	"LOG-7: the life of a template":                    templatesLife,
	"LOG-7: templates are inherited":                   templatesInherited,
	"LOG-7: templates, bad input":                      templatesRefused,
	"LOG-7: templates of what is deleted are nobody's": templatesDeleted,
}

var templateRaces = map[string]race{
	"LOG-7: one template": {setup: func(t *engineTest) func(int) error {
		o := t.org("acme")
		return func(i int) error {
			return second(t.Templates.Set(t.Context(), loginTemplate(orgstore.TemplateOwner{Organization: o.ID}, strconv.Itoa(i))))
		}
	}, most: racers, lost: func(t *engineTest, err error) { t.ok(err) }, after: func(t *engineTest, _ []error) {
		t.left("orgauthz_templates", 1)
	}},
}

func loginTemplate(owner orgstore.TemplateOwner, text string) orgstore.Template {
	return orgstore.Template{Owner: owner, Kind: orgstore.TemplateLogin, HTML: "<p>" + text + "</p>{{.Form}}"}
}

func templatesLife(t *engineTest) {
	ctx := t.Context()
	o, app := t.org("acme"), t.client("app")
	for _, owner := range []orgstore.TemplateOwner{{}, {Organization: o.ID}, {Client: app}} {
		before := len(t.events())
		_, err := t.Templates.Get(ctx, owner, orgstore.TemplateLogin)
		t.notFound(err, "template")
		t.unchanged(t.Templates.Delete(ctx, owner, orgstore.TemplateLogin))
		page := loginTemplate(owner, "secret words")
		result, err := t.Templates.Set(ctx, page)
		t.changed(result, err)
		if len(result.Revision) != 1 || result.Revision[0].Scope.Kind != orgstore.ScopeTemplate {
			t.Errorf("raised %v", result.Revision)
		}
		t.unchanged(t.Templates.Set(ctx, page))
		mail := orgstore.Template{Owner: owner, Kind: orgstore.TemplateInvitation, Subject: "Come to {{.Organization.DisplayName}}", Text: "{{.Link}}", HTML: `<a href="{{.Link}}">x</a>`}
		t.changed(t.Templates.Set(ctx, mail))
		got, err := t.Templates.Get(ctx, owner, orgstore.TemplateInvitation)
		t.ok(err)
		mail.CreatedAt, mail.UpdatedAt = got.CreatedAt, got.UpdatedAt
		if *got != mail {
			t.Errorf("got %+v, want %+v", got, mail)
		}
		t.changed(t.Templates.Set(ctx, loginTemplate(owner, "other words")))
		if got, err := t.Templates.Get(ctx, owner, orgstore.TemplateLogin); err != nil || !strings.Contains(got.HTML, "other words") || got.UpdatedAt.Equal(got.CreatedAt) {
			t.Errorf("got %+v, %v", got, err)
		}
		if list, err := t.Templates.List(ctx, owner); err != nil || len(list) != 2 || list[0].Kind != orgstore.TemplateInvitation || list[1].Owner != owner {
			t.Errorf("list: %+v, %v", list, err)
		}
		t.changed(t.Templates.Delete(ctx, owner, orgstore.TemplateLogin))
		t.unchanged(t.Templates.Delete(ctx, owner, orgstore.TemplateLogin))
		var types []string
		for _, e := range t.events()[before:] {
			types = append(types, e.Type)
			if e.Organization != owner.Organization || strings.Contains(string(e.Before)+string(e.After), "words") {
				t.Errorf("event %+v", e)
			}
			if len(e.After) > 0 && !json.Valid(e.After) {
				t.Errorf("event %s", e.After)
			}
		}
		if got := strings.Join(types, " "); got != "template.updated template.updated template.updated template.deleted" {
			t.Errorf("events: %s", got)
		}
	}
	t.consistent()
}

func templatesInherited(t *engineTest) {
	ctx := t.Context()
	o, other, app := t.org("acme"), t.org("other"), t.client("app")
	tenant, client, organization := orgstore.TemplateOwner{}, orgstore.TemplateOwner{Client: app}, orgstore.TemplateOwner{Organization: o.ID}
	for _, owner := range []orgstore.TemplateOwner{tenant, client, organization} {
		t.changed(t.Templates.Set(ctx, loginTemplate(owner, "x")))
	}
	for _, tt := range []struct {
		org, client string
		want        []orgstore.TemplateOwner
	}{
		{o.ID, app, []orgstore.TemplateOwner{organization, client, tenant}},
		{o.ID, "", []orgstore.TemplateOwner{organization, tenant}},
		{other.ID, app, []orgstore.TemplateOwner{client, tenant}},
		{"", "", []orgstore.TemplateOwner{tenant}},
		{"no id\x00", "\xff", []orgstore.TemplateOwner{tenant}},
	} {
		list, err := t.Templates.Inherited(ctx, tt.org, tt.client, orgstore.TemplateLogin)
		t.ok(err)
		var got []orgstore.TemplateOwner
		for _, l := range list {
			got = append(got, l.Owner)
		}
		if len(got) != len(tt.want) {
			t.Errorf("%q, %q: %+v, want %+v", tt.org, tt.client, got, tt.want)
			continue
		}
		for i := range got {
			if got[i] != tt.want[i] {
				t.Errorf("%q, %q: %+v, want %+v", tt.org, tt.client, got, tt.want)
			}
		}
		if list, err := t.Templates.Inherited(ctx, tt.org, tt.client, orgstore.TemplateInvitation); err != nil || len(list) != 0 {
			t.Errorf("e-mails: %+v, %v", list, err)
		}
	}
}

func templatesRefused(t *engineTest) {
	ctx := t.Context()
	o, app := t.org("acme"), t.client("app")
	before := len(t.events())
	refused := func(field string, tmpl orgstore.Template) {
		t.Helper()
		tmpl.Owner = orgstore.TemplateOwner{Organization: o.ID}
		_, err := t.Templates.Set(ctx, tmpl)
		t.invalid(err, field, tmpl.HTML)
	}
	for _, html := range []string{"", "<p>no form</p>", "{{.Form}}{{.Nothing}}", "{{.Form}}{{define \"x\"}}{{end}}", "{{.Form", "{{.Form}}\xff", "{{.Form}}{{call .Form}}", "{{.Form}}" + strings.Repeat("a", 100_000)} {
		refused("html", orgstore.Template{Kind: orgstore.TemplateLogin, HTML: html})
	}
	refused("subject", orgstore.Template{Kind: orgstore.TemplateLogin, HTML: "{{.Form}}", Subject: "x"})
	refused("subject", orgstore.Template{Kind: orgstore.TemplateLogin, HTML: "{{.Form}}", Text: "x"})
	refused("template", orgstore.Template{Kind: orgstore.TemplateInvitation, Subject: "{{.Nothing}}"})
	refused("template", orgstore.Template{Kind: orgstore.TemplateInvitation, Text: "{{.Form}}"})
	refused("template", orgstore.Template{Kind: orgstore.TemplateInvitation, HTML: "<script>{{.Inviter"})
	for _, kind := range []orgstore.TemplateKind{"", "Login", "login\x00", "password-reset"} {
		refused("kind", orgstore.Template{Kind: kind, HTML: "{{.Form}}"})
		_, err := t.Templates.Get(ctx, orgstore.TemplateOwner{}, kind)
		t.notFound(err, "template")
		_, err = t.Templates.Inherited(ctx, o.ID, app, kind)
		t.invalid(err, "kind", string(kind))
		t.unchanged(t.Templates.Delete(ctx, orgstore.TemplateOwner{Organization: o.ID}, kind))
	}
	both := orgstore.TemplateOwner{Organization: o.ID, Client: app}
	_, err := t.Templates.Set(ctx, loginTemplate(both, "x"))
	t.invalid(err, "owner", "")
	for _, org := range badIDs("org_")[1:] {
		owner := orgstore.TemplateOwner{Organization: org}
		_, err := t.Templates.Set(ctx, loginTemplate(owner, "x"))
		t.notFound(err, "organization")
		_, err = t.Templates.Get(ctx, owner, orgstore.TemplateLogin)
		t.notFound(err, "template")
		t.unchanged(t.Templates.Delete(ctx, owner, orgstore.TemplateLogin))
	}
	for _, client := range []string{"unknown", "a\x00", "\xff", strings.Repeat("a", 65)} {
		owner := orgstore.TemplateOwner{Client: client}
		_, err := t.Templates.Set(ctx, loginTemplate(owner, "x"))
		t.notFound(err, "client")
		_, err = t.Templates.Get(ctx, owner, orgstore.TemplateLogin)
		t.notFound(err, "template")
		if list, err := t.Templates.List(ctx, owner); err != nil || len(list) != 0 {
			t.Errorf("list: %+v, %v", list, err)
		}
		t.unchanged(t.Templates.Delete(ctx, owner, orgstore.TemplateLogin))
	}
	if after := len(t.events()); after != before {
		t.Errorf("refused operations wrote %d events", after-before)
	}
}

func templatesDeleted(t *engineTest) {
	ctx := t.Context()
	o, app := t.org("acme"), t.client("app")
	owners := []orgstore.TemplateOwner{{Organization: o.ID}, {Client: app}}
	for _, owner := range owners {
		t.changed(t.Templates.Set(ctx, loginTemplate(owner, "x")))
	}
	t.changed(t.Organizations.Delete(ctx, o.ID))
	t.changed(t.Clients.Delete(ctx, app))
	for _, owner := range owners {
		_, err := t.Templates.Get(ctx, owner, orgstore.TemplateLogin)
		t.notFound(err, "template")
		if list, err := t.Templates.List(ctx, owner); err != nil || len(list) != 0 {
			t.Errorf("list: %+v, %v", list, err)
		}
	}
	if list, err := t.Templates.Inherited(ctx, o.ID, app, orgstore.TemplateLogin); err != nil || len(list) != 0 {
		t.Errorf("inherited: %+v, %v", list, err)
	}
	if _, err := t.Clean(ctx); err != nil {
		t.Error(err)
	}
	t.left("orgauthz_templates", 0)
}
