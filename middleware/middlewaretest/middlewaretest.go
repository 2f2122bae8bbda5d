// Package middlewaretest gives a team's own tests a principal without tokens, keys or a store.
//
// A handler alone, as if Require had let the request through:
//
//	ada := middlewaretest.Member("acme", "admin").Permissions("read:adventures")
//	handler.ServeHTTP(recorder, ada.Request(request))
//
// Whole routes, with the real Guard and the real policy, where a member's Token stands for a login:
//
//	people := middlewaretest.NewDirectory(ada, bob)
//	guard, err := middleware.New(middleware.Config{Tokens: people, Members: people, Policy: rules})
//	…
//	mux.ServeHTTP(recorder, ada.Login(request))
package middlewaretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/middleware"
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/policy"
)

// M is a made-up member of an organization. Its methods return changed copies, so that one member can be the start of many.
type M struct {
	subject  string
	org      policy.Org
	member   policy.Member
	resource any
	obliged  map[string]any
}

// Member returns a member of the organization with this name, who holds these roles. The organization's id is made of the
// name: always the same one, and one that could be the name of a folder of policies. (Given an id, the name is what follows
// "org_" in lower case.) The member is the employee "test|member", without permissions.
func Member(org string, roles ...string) M {
	id, name := org, strings.ToLower(strings.TrimPrefix(org, "org_"))
	if !orgstore.IsOrganizationID(org) {
		sum := sha256.Sum256([]byte(org))
		id, name = "org_"+hex.EncodeToString(sum[:8]), org
	}
	m := M{
		org:    policy.Org{ID: id, Name: name, Status: string(orgstore.OrganizationActive)},
		member: policy.Member{Kind: "employee", Roles: sorted(roles)},
	}
	return m.Subject("test|member")
}

// Subject sets the member's id.
func (m M) Subject(id string) M {
	m.subject, m.member.ID = id, id
	return m
}

// OrgID sets the organization's id.
func (m M) OrgID(id string) M {
	m.org.ID = id
	return m
}

// Kind sets the kind of membership: employee, freelancer, guest or other.
func (m M) Kind(kind string) M {
	m.member.Kind = kind
	return m
}

// Permissions adds permissions that the member's roles hold.
func (m M) Permissions(permissions ...string) M {
	m.member.Permissions = sorted(append(slices.Clone(m.member.Permissions), permissions...))
	return m
}

// Metadata sets one entry of the membership's metadata.
func (m M) Metadata(key, value string) M {
	m.member.Metadata = with(m.member.Metadata, key, value)
	return m
}

// OrgMetadata sets one entry of the organization's metadata.
func (m M) OrgMetadata(key, value string) M {
	m.org.Metadata = with(m.org.Metadata, key, value)
	return m
}

// Resource sets what ResourceFrom returns in Context. A Directory has no use for it: there the route's own loader runs.
func (m M) Resource(v any) M {
	m.resource = v
	return m
}

// Obligations sets the obligations of the Principal's Decision, in the types that a policy's have: see policy.Decision. It
// panics when o has no JSON form. A Directory has no use for them: there the policy decides.
func (m M) Obligations(o map[string]any) M {
	text, err := json.Marshal(o)
	if err != nil {
		panic("middlewaretest: obligations are a JSON object: " + err.Error())
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	m.obliged = nil
	if err := dec.Decode(&m.obliged); err != nil {
		panic("middlewaretest: " + err.Error()) // it was encoded just now
	}
	return m
}

// Principal returns what PrincipalFrom returns in Context.
func (m M) Principal() *middleware.Principal {
	return &middleware.Principal{
		Subject: m.subject, Org: m.org, Member: m.member,
		Decision: policy.Decision{Allow: true, Outcome: policy.Allowed, Obligations: m.obliged, Revision: "middlewaretest"},
	}
}

// Context returns ctx as a handler behind Require has it.
func (m M) Context(ctx context.Context) context.Context {
	ctx = middleware.WithPrincipal(ctx, m.Principal())
	if m.resource != nil {
		ctx = middleware.WithResource(ctx, m.resource)
	}
	return ctx
}

// Request returns r as a handler behind Require gets it.
func (m M) Request(r *http.Request) *http.Request { return r.WithContext(m.Context(r.Context())) }

// Wrap returns h behind this member, whoever asks: for a test server around one handler.
func (m M) Wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, m.Request(r)) })
}

// Token is what a Directory takes for this member's access token.
func (m M) Token() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(m.org.ID), m.org.ID, m.subject))
	return "middlewaretest-" + hex.EncodeToString(sum[:8])
}

// Login returns a copy of r with the member's Token.
func (m M) Login(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+m.Token())
	return r
}

// Directory is a set of members that can stand for a Guard's Tokens and Members. It trusts anybody who knows how a Token is
// made, so it belongs into tests alone. It is safe for concurrent use.
type Directory struct {
	tokens map[string]*claims.Claims
	access map[key]*orgstore.Access
	orgs   map[string]bool
}

var (
	_ middleware.TokenVerifier  = (*Directory)(nil)
	_ middleware.MemberResolver = (*Directory)(nil)
)

// NewDirectory returns a Directory of members. It panics when two of them have one subject in one organization.
func NewDirectory(members ...M) *Directory {
	d := &Directory{
		tokens: map[string]*claims.Claims{}, access: map[key]*orgstore.Access{}, orgs: map[string]bool{},
	}
	now := time.Now().Truncate(time.Second)
	for _, m := range members {
		token := m.Token()
		if d.tokens[token] != nil {
			panic(fmt.Sprintf("middlewaretest: two members of %s are called %s: tell them apart with Subject", m.org.Name, m.subject))
		}
		d.tokens[token] = &claims.Claims{
			Issuer: "https://middlewaretest.example/", Subject: m.subject, IssuedAt: now, Expiry: now.Add(time.Hour),
			Org: claims.Org{ID: m.org.ID},
		}
		a := &orgstore.Access{
			Standing: orgstore.StandingMember, Principal: m.subject, AsOf: now,
			Org: orgstore.AccessOrg{
				ID: m.org.ID, Name: m.org.Name, Status: orgstore.OrganizationStatus(m.org.Status), Metadata: m.org.Metadata,
			},
			Member: orgstore.AccessMember{
				Kind: m.member.Kind, Roles: m.member.Roles, Permissions: m.member.Permissions, Metadata: m.member.Metadata,
			},
		}
		for _, ref := range []string{m.org.ID, m.org.Name} {
			d.access[key{ref, m.subject}] = a
			d.orgs[ref] = true
		}
	}
	return d
}

// Verify implements middleware.TokenVerifier.
func (d *Directory) Verify(_ context.Context, token string) (*claims.Claims, error) {
	if c := d.tokens[token]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("middlewaretest: nobody has this token: %w", claims.ErrInvalid)
}

// Resolve implements middleware.MemberResolver.
func (d *Directory) Resolve(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
	if a := d.access[key{q.Org, q.Principal}]; a != nil {
		return a, nil
	}
	standing := orgstore.StandingNoOrganization
	if d.orgs[q.Org] {
		standing = orgstore.StandingNotMember
	}
	return &orgstore.Access{Standing: standing, Principal: q.Principal, AsOf: time.Now()}, nil
}

type key struct{ org, principal string }

func sorted(s []string) []string { return slices.Compact(slices.Sorted(slices.Values(s))) }

func with(m map[string]string, key, value string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
