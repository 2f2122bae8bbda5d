package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/policy"
)

// Principal is who a request comes from and what they are in its organization. A Guard makes one for each request that it
// lets through. It is not to be changed, nor is anything that it points to: caches share it.
type Principal struct {
	Subject string        // the token's sub: the id of a user or a machine
	Org     policy.Org    // the organization that the request is about
	Member  policy.Member // what they are there; Member.ID is Subject

	// Token is what the verified token says. Roles and permissions in it inform and never grant: Member has those that count.
	// Nil where there was no token (middlewaretest, WithPrincipal).
	Token *claims.Claims

	Action   string          // what the route required
	Decision policy.Decision // why the request was let through; Decision.Obligations is what the policy asks of the handler

	input policy.Input // what the policy was asked; input.Subject is nil when the Principal was made by hand
}

// Has reports whether the member's roles hold permission. It asks no policy: Guard.Can does.
func (p *Principal) Has(permission string) bool {
	return slices.Contains(p.Member.Permissions, permission)
}

// LogValue implements slog.LogValuer: ids only, and nothing of the token.
func (p *Principal) LogValue() slog.Value {
	return slog.GroupValue(slog.String("subject", clean(p.Subject)), slog.String("org", clean(p.Org.ID)))
}

type (
	principalKey struct{}
	resourceKey  struct{}
)

// PrincipalFrom returns the Principal that Require put into a request's context, or false when there is none: outside of
// every Require, and below Config.ReportOnly.
func PrincipalFrom(ctx context.Context) (*Principal, bool) {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	return p, p != nil
}

// MustPrincipal is PrincipalFrom for handlers behind Require. It panics when there is no Principal, which is a mistake in
// the routes and not in the request.
func MustPrincipal(ctx context.Context) *Principal {
	p, ok := PrincipalFrom(ctx)
	if !ok {
		panic("middleware: no Principal in this context: register the handler through Guard.Require, RequireFunc or Middleware " +
			"(below Config.ReportOnly use PrincipalFrom), and pass the request's own context on")
	}
	return p
}

// ResourceFrom returns what the route's Resource option loaded, or false when the route has none or of another type.
func ResourceFrom[T any](ctx context.Context) (T, bool) {
	v, ok := ctx.Value(resourceKey{}).(T)
	return v, ok
}

// MustResource is ResourceFrom for handlers that cannot do without. It panics when the route has no Resource option, or one
// that loads another type.
func MustResource[T any](ctx context.Context) T {
	v, ok := ResourceFrom[T](ctx)
	if !ok {
		panic(fmt.Sprintf("middleware: this context has no resource of type %v but a %T: give the route the option Resource with a "+
			"loader of that type, and pass the request's own context on", reflect.TypeFor[T](), ctx.Value(resourceKey{})))
	}
	return v
}

// WithResource returns ctx with what ResourceFrom is to return, for tests and adapters.
func WithResource(ctx context.Context, v any) context.Context {
	return context.WithValue(ctx, resourceKey{}, v)
}

// WithPrincipal returns ctx with p, for adapters that called Authorize themselves. No Require trusts it: a request's
// Principal comes from its token alone.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}
