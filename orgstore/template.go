package orgstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/orgstore/internal/templates"
)

// TemplateKind says what a template is for.
type TemplateKind string

// The kinds of templates.
const (
	TemplateLogin      TemplateKind = "login"      // the page of a login
	TemplateInvitation TemplateKind = "invitation" // the e-mail with an invitation
)

// TemplateOwner is whose template it is: an organization's, an application's or, empty, the tenant's.
type TemplateOwner struct {
	Organization string `json:"organization_id,omitempty"`
	Client       string `json:"client_id,omitempty"`
}

// Template is the source of a page or of an e-mail (rule LOG-7).
type Template struct {
	Owner     TemplateOwner `json:"owner"`
	Kind      TemplateKind  `json:"kind"`
	HTML      string        `json:"html"`              // of a page; may be empty for an e-mail
	Subject   string        `json:"subject,omitempty"` // of an e-mail
	Text      string        `json:"text,omitempty"`    // of an e-mail
	CreatedAt time.Time     `json:"created_at"`
	UpdatedAt time.Time     `json:"updated_at"`
}

// templateState is what events show of a template: enough to tell two apart.
type templateState struct {
	Owner  TemplateOwner `json:"owner"`
	Kind   TemplateKind  `json:"kind"`
	Bytes  int           `json:"bytes"`
	SHA256 string        `json:"sha256"` // of subject, text and HTML with zero bytes between them
}

func (t *Template) state() *templateState {
	all := t.Subject + "\x00" + t.Text + "\x00" + t.HTML
	sum := sha256.Sum256([]byte(all))
	return &templateState{t.Owner, t.Kind, len(all) - 2, hex.EncodeToString(sum[:])}
}

// Templates are the page and e-mail templates of the tenant, of applications and of organizations.
type Templates struct{ e *Engine }

const (
	templateColumns = `t.org_id, t.client_id, t.kind, t.html, t.subject, t.body, t.created_at, t.updated_at`
	// fromTemplates leaves out those of deleted organizations and applications.
	fromTemplates = ` FROM orgauthz_templates t WHERE (t.org_id = '' OR EXISTS
			(SELECT 1 FROM orgauthz_organizations o WHERE o.id = t.org_id AND o.deleted_at IS NULL))
		AND (t.client_id = '' OR EXISTS (SELECT 1 FROM orgauthz_clients c WHERE c.id = t.client_id AND c.deleted_at IS NULL))`
)

func scanTemplate(row scanner) (*Template, error) {
	var t Template
	return &t, row.Scan(&t.Owner.Organization, &t.Owner.Client, &t.Kind, &t.HTML, &t.Subject, &t.Text, instant{&t.CreatedAt}, instant{&t.UpdatedAt})
}

func template(ctx context.Context, q queryer, owner TemplateOwner, kind TemplateKind) (*Template, error) {
	if !owner.possible() || kind.check() != nil {
		return nil, &NotFound{"template"}
	}
	return one(scanTemplate(q.QueryRowContext(ctx, `SELECT `+templateColumns+fromTemplates+` AND t.org_id = $1 AND t.client_id = $2 AND t.kind = $3`,
		owner.Organization, owner.Client, string(kind))))("template")
}

func (k TemplateKind) check() error {
	if k != TemplateLogin && k != TemplateInvitation {
		return &Invalid{"kind", "LOG-7", "must be login or invitation"}
	}
	return nil
}

// possible reports whether there can be such an owner.
func (o TemplateOwner) possible() bool {
	return (o.Organization == "" || validID("org_", o.Organization)) && (o.Client == "" || validClientID(o.Client)) &&
		(o.Organization == "" || o.Client == "")
}

// scopes are those of a template of the owner, and of the owner itself.
func (o TemplateOwner) scopes(kind TemplateKind) (write, read []Scope) {
	id := "/" + string(kind)
	switch {
	case o.Organization != "":
		id, read = o.Organization+id, []Scope{OrganizationScope(o.Organization)}
	case o.Client != "":
		id, read = "client:"+o.Client+id, []Scope{ClientScope(o.Client)}
	}
	return []Scope{{Kind: ScopeTemplate, ID: id}}, read
}

// permission is what changing a template of the owner needs.
func (o TemplateOwner) permission() string {
	if o.Organization != "" {
		return "update:organizations"
	}
	return "update:branding"
}

func (t *Template) check() error {
	err := t.Kind.check()
	if t.Owner.Organization != "" && t.Owner.Client != "" {
		err = errors.Join(err, &Invalid{"owner", "LOG-7", "must be an organization, an application or empty, and not both"})
	}
	switch t.Kind {
	case TemplateLogin:
		if t.Subject != "" || t.Text != "" {
			err = errors.Join(err, &Invalid{"subject", "LOG-7", "and text must be empty for a page"})
		}
		if e := templates.CheckPage(t.HTML); e != nil {
			err = errors.Join(err, &Invalid{"html", "LOG-7", e.Error()})
		}
	case TemplateInvitation:
		if e := templates.CheckMail(t.Subject, t.Text, t.HTML); e != nil {
			err = errors.Join(err, &Invalid{"template", "LOG-7", strings.ReplaceAll(e.Error(), "\n", "; ")})
		}
	}
	return err
}

// Set makes t the template of its owner and kind, instead of the one that there may be. The times of t are ignored.
//
// Errors: Invalid (LOG-7), NotFound (organization or client).
func (s *Templates) Set(ctx context.Context, t Template) (Result, error) {
	if err := t.check(); err != nil {
		return Result{}, err
	}
	write, read := t.Owner.scopes(t.Kind)
	return s.e.mutate(ctx, call{"templates.set", t}, func(tx *transaction) error {
		if err := tx.permit(ctx, t.Owner.Organization, t.Owner.permission()); err != nil {
			return err
		}
		if err := tx.lock(ctx, write, read); err != nil {
			return err
		}
		if t.Owner.Organization != "" {
			if _, err := organization(ctx, tx.sql, t.Owner.Organization); err != nil {
				return err
			}
		}
		if t.Owner.Client != "" {
			if _, err := client(ctx, tx.sql, t.Owner.Client); err != nil {
				return err
			}
		}
		var was any
		before, err := template(ctx, tx.sql, t.Owner, t.Kind)
		switch {
		case err == nil && before.HTML == t.HTML && before.Subject == t.Subject && before.Text == t.Text:
			return nil
		case err == nil:
			was = before.state()
		case !errors.Is(err, ErrNotFound):
			return err
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `
			INSERT INTO orgauthz_templates (org_id, client_id, kind, html, subject, body, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
			ON CONFLICT (org_id, client_id, kind) DO UPDATE
			SET html = excluded.html, subject = excluded.subject, body = excluded.body, updated_at = excluded.updated_at`,
			t.Owner.Organization, t.Owner.Client, string(t.Kind), t.HTML, t.Subject, t.Text, at.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, write[0], t.Owner.Organization, "template.updated", was, t.state())
	})
}

// Get returns the template of this owner and kind, without what it inherits. Errors: NotFound (template).
func (s *Templates) Get(ctx context.Context, owner TemplateOwner, kind TemplateKind) (*Template, error) {
	return read(ctx, s.e, func(q queryer) (*Template, error) { return template(ctx, q, owner, kind) })
}

// Inherited returns the templates of one kind that a login or an e-mail uses, the first that works: the organization's, the
// application's, the tenant's, as far as there are any (rule LOG-7). org and client are ids, or empty for none.
func (s *Templates) Inherited(ctx context.Context, org, client string, kind TemplateKind) ([]*Template, error) {
	if !validID("org_", org) {
		org = ""
	}
	if !validClientID(client) {
		client = ""
	}
	if err := kind.check(); err != nil {
		return nil, err
	}
	return read(ctx, s.e, func(q queryer) ([]*Template, error) {
		return collect(ctx, q, `SELECT `+templateColumns+fromTemplates+` AND t.kind = $3
			AND (t.org_id = $1 AND t.client_id = '' OR t.org_id = '' AND t.client_id = $2 OR t.org_id = '' AND t.client_id = '')
			ORDER BY CASE WHEN t.org_id <> '' THEN 0 WHEN t.client_id <> '' THEN 1 ELSE 2 END`, []any{org, client, string(kind)}, scanTemplate)
	})
}

// List returns all templates of an owner, by kind. It is empty when there is no such owner.
func (s *Templates) List(ctx context.Context, owner TemplateOwner) ([]*Template, error) {
	if !owner.possible() {
		return nil, nil
	}
	return read(ctx, s.e, func(q queryer) ([]*Template, error) {
		return collect(ctx, q, `SELECT `+templateColumns+fromTemplates+` AND t.org_id = $1 AND t.client_id = $2 ORDER BY t.kind`,
			[]any{owner.Organization, owner.Client}, scanTemplate)
	})
}

// Delete takes a template from its owner, who then inherits. Deleting one that is not there changes nothing.
func (s *Templates) Delete(ctx context.Context, owner TemplateOwner, kind TemplateKind) (Result, error) {
	write, read := owner.scopes(kind)
	return s.e.mutate(ctx, call{"templates.delete", owner, kind}, func(tx *transaction) error {
		if err := tx.permit(ctx, owner.Organization, owner.permission()); err != nil {
			return err
		}
		if err := tx.lock(ctx, write, read); err != nil {
			return err
		}
		before, err := template(ctx, tx.sql, owner, kind)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `DELETE FROM orgauthz_templates WHERE org_id = $1 AND client_id = $2 AND kind = $3`,
			owner.Organization, owner.Client, string(kind)); err != nil {
			return err
		}
		return tx.raise(ctx, write[0], owner.Organization, "template.deleted", before.state(), nil)
	})
}
