package login

import (
	"cmp"
	"context"
	"errors"

	"github.com/orgauthz/orgauthz/orgstore"
)

// LoginPage is RenderPage with the templates and the branding that the engine has for an organization and an application (rule
// LOG-7). Both are ids, or empty for none; an organization that is not there is none. It sets Organization, Application and
// Branding of page.
//
// Errors: ErrUnavailable and the context's error. What is wrong with templates is in broken, and keeps nobody from logging in.
func (s *Service) LoginPage(ctx context.Context, org, client string, page Page) (html string, broken []error, err error) {
	look, err := s.look(ctx, org, client, orgstore.TemplateLogin)
	if err != nil {
		return "", nil, err
	}
	page.Organization, page.Application, page.Branding = look.organization, look.application, look.branding
	var sources []string
	for _, t := range look.templates {
		sources = append(sources, t.HTML)
	}
	return RenderPage(ctx, page, sources...)
}

// InvitationMail is RenderMail for an invitation that Create or Resend has returned, with the templates and the branding that the
// engine has for its organization and its application (rule LOG-7). Of mail, Locale counts, and Expires, which is the time in UTC
// unless it is given.
//
// Errors: those of InvitationURL, and the context's error. What is wrong with templates is in broken.
func (s *Service) InvitationMail(ctx context.Context, i *orgstore.Invitation, mail Mail) (m Message, broken []error, err error) {
	if mail.Link, err = s.InvitationURL(ctx, i); err != nil {
		return m, nil, err
	}
	look, err := s.look(ctx, i.Organization, i.Client, orgstore.TemplateInvitation)
	if err != nil {
		return m, nil, err
	}
	mail.Organization, mail.Application, mail.Branding = look.organization, look.application, look.branding
	mail.Inviter, mail.Email = i.Inviter.Name, i.Invitee.Email
	mail.Expires = cmp.Or(mail.Expires, i.ExpiresAt.UTC().Format("2 January 2006, 15:04 UTC"))
	var sources []MailTemplate
	for _, t := range look.templates {
		sources = append(sources, MailTemplate{t.Subject, t.Text, t.HTML})
	}
	return RenderMail(ctx, mail, sources...)
}

// look is how something looks for an organization and an application, and by what.
type look struct {
	organization, application Party
	branding                  Branding
	templates                 []*orgstore.Template // the nearest first
}

func (s *Service) look(ctx context.Context, org, client string, kind orgstore.TemplateKind) (*look, error) {
	tenant, err := s.engine.Tenant.Get(ctx)
	if err != nil {
		return nil, err
	}
	l := &look{branding: branding(tenant.Branding)}
	o, err := s.engine.Organizations.Get(ctx, org)
	switch {
	case err == nil:
		l.organization = Party{ID: o.ID, Name: o.Name, DisplayName: cmp.Or(o.DisplayName, o.Name), Metadata: o.Metadata}
		l.branding = branding(o.Branding).Merge(l.branding)
	case !errors.Is(err, orgstore.ErrNotFound):
		return nil, err
	}
	c, err := s.engine.Clients.Get(ctx, client)
	switch {
	case err == nil: // applications have no branding of their own
		l.application = Party{ID: c.ID, Name: c.Name, DisplayName: c.Name}
	case !errors.Is(err, orgstore.ErrNotFound):
		return nil, err
	}
	l.templates, err = s.engine.Templates.Inherited(ctx, org, client, kind)
	return l, err
}

func branding(b orgstore.Branding) Branding {
	return Branding{LogoURL: b.LogoURL, Primary: b.Colors.Primary, PageBackground: b.Colors.PageBackground}
}
