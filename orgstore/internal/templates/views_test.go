package templates

import (
	"strings"
	"testing"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	org, app, tenant := Branding{Primary: "#111111"}, Branding{"https://app.example/a.png", "#222222", ""}, Branding{"https://t.example/t.png", "#333333", "#eeeeee"}
	if got, want := org.Merge(app, tenant), (Branding{"https://app.example/a.png", "#111111", "#eeeeee"}); got != want {
		t.Errorf("LOG-7: %+v, want %+v", got, want)
	}
}

func TestCheckPage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, source, want string }{
		{"LOG-7: all that there is", `{{.Prompt}}{{with .Organization}}{{.ID}}{{.DisplayName}}{{.Metadata.k}}{{end}}{{.Application.Name}}{{.Branding.LogoURL}}{{.Head}}{{.Form}}{{.Error}}{{.Locale}}`, ""},
		{"LOG-7: no form", "<p>", "must show {{.Form}}"},
		{"LOG-7: an unknown field", "{{.Form}}\n{{.Password}}", "line 2: <.Password>: can't evaluate field Password in type templates.Page"},
		{"LOG-7: an unknown field where something is", "{{.Form}}{{if .Error}}{{.X}}{{end}}", "line 1: <.X>"},
		{"LOG-7: an unknown field where nothing is", "{{.Form}}{{if not .Error}}{{.X}}{{end}}", "line 1: <.X>"},
		{"LOG-7: not well-formed", "{{.Form}}\n{{", "line 2: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := CheckPage(tt.source)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCheckMail(t *testing.T) {
	t.Parallel()
	if err := CheckMail("{{.Organization.DisplayName}}", "{{.Inviter}}: {{.Link}}", `<a href="{{.Link}}">{{.Email}}</a>`); err != nil {
		t.Errorf("LOG-7: %v", err)
	}
	err := CheckMail("{{.X}}", "\n{{if}}", "<a href='{{.Link}}")
	for _, want := range []string{"line 1: in the subject: <.X>", "line 2: in the text: missing value", "in the html: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("LOG-7: error is %v, want %q", err, want)
		}
	}
	if got := Line(" a\r\nBcc: b\u2028c\x00 "); got != "a  Bcc: b c" {
		t.Errorf("LOG-7: a subject of several lines became %q", got)
	}
}
