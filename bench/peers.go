package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// authorizer says whether user may do action in an organization.
type authorizer func(ctx context.Context, user, org, action string) (bool, error)

// orgClaims are the claims of Auth0's organizations, as go-jwt-middleware's documentation adds claims of one's own.
type orgClaims struct {
	OrgID   string `json:"org_id"`
	OrgName string `json:"org_name"`
}

// Validate is part of validator.CustomClaims.
func (c *orgClaims) Validate(context.Context) error {
	if c.OrgID == "" {
		return errors.New("the token is for no organization")
	}
	return nil
}

// jwtMiddleware guards next with go-jwt-middleware, set up as its README shows, with the signing key at hand. authorize may be
// nil: then any valid token passes.
func jwtMiddleware(authorize authorizer, action string) (http.Handler, error) {
	key := &signingKey().PublicKey
	v, err := validator.New(
		func(context.Context) (any, error) { return key, nil },
		validator.RS256, issuer, []string{audience},
		validator.WithCustomClaims(func() validator.CustomClaims { return &orgClaims{} }),
	)
	if err != nil {
		return nil, err
	}
	next := http.Handler(handler)
	if authorize != nil {
		next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, ok := r.Context().Value(jwtmiddleware.ContextKey{}).(*validator.ValidatedClaims)
			if !ok {
				http.Error(w, "no claims", http.StatusInternalServerError)
				return
			}
			org, ok := claims.CustomClaims.(*orgClaims)
			if !ok || org.OrgName != r.PathValue("org") {
				http.Error(w, "another organization", http.StatusForbidden)
				return
			}
			allowed, err := authorize(r.Context(), claims.RegisteredClaims.Subject, org.OrgID, action)
			switch {
			case err != nil:
				http.Error(w, "cannot decide", http.StatusServiceUnavailable)
			case !allowed:
				http.Error(w, "not permitted", http.StatusForbidden)
			default:
				handler(w, r)
			}
		})
	}
	return routed(jwtmiddleware.New(v.ValidateToken).CheckJWT(next)), nil
}

// casbinModel is the model "RBAC with domains" of casbin's documentation.
const casbinModel = `
[request_definition]
r = sub, dom, obj, act

[policy_definition]
p = sub, dom, obj, act

[role_definition]
g = _, _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act
`

// casbinAuthorizer holds all members and roles in the enforcer of casbin that caches decisions, without the lock around the
// policy that only those need who change it while it serves.
func casbinAuthorizer() (authorizer, error) {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		return nil, err
	}
	e, err := casbin.NewCachedEnforcer(m)
	if err != nil {
		return nil, err
	}
	var permissions, members [][]string
	for org := range organizations {
		for role, actions := range rolePermissions {
			for _, action := range actions {
				permissions = append(permissions, []string{role, orgID(org), objectOf(action), verbOf(action)})
			}
		}
		for member := range membersPerOrg {
			members = append(members, []string{userID(org, member), roleOf(member), orgID(org)})
		}
	}
	if _, err := e.AddPolicies(permissions); err != nil {
		return nil, err
	}
	if _, err := e.AddGroupingPolicies(members); err != nil {
		return nil, err
	}
	return func(_ context.Context, user, org, action string) (bool, error) {
		return e.Enforce(user, org, objectOf(action), verbOf(action))
	}, nil
}

// opaDataPolicy finds the member's roles and their permissions in OPA's own data.
const opaDataPolicy = `package authz

default allow := false

allow if {
	some role in data.members[input.org][input.user]
	input.action in data.permissions[role]
}
`

// opaOptions is the query of OPA's rows over data that holds all members and roles.
func opaOptions() []func(*rego.Rego) {
	members := make(map[string]any, organizations)
	for org := range organizations {
		of := make(map[string]any, membersPerOrg)
		for member := range membersPerOrg {
			of[userID(org, member)] = []any{roleOf(member)}
		}
		members[orgID(org)] = of
	}
	permissions := make(map[string]any, len(rolePermissions))
	for role, actions := range rolePermissions {
		list := make([]any, 0, len(actions))
		for _, action := range actions {
			list = append(list, action)
		}
		permissions[role] = list
	}
	return []func(*rego.Rego){
		rego.Query("data.authz.allow"),
		rego.Module("authz.rego", opaDataPolicy),
		rego.Store(inmem.NewFromObject(map[string]any{"members": members, "permissions": permissions})),
	}
}

// opaAuthorizer asks OPA's library with a query that was prepared once, and the input as a map, as its documentation shows.
func opaAuthorizer() (authorizer, error) {
	query, err := rego.New(opaOptions()...).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, user, org, action string) (bool, error) {
		results, err := query.Eval(ctx, rego.EvalInput(map[string]any{"user": user, "org": org, "action": action}))
		return results.Allowed(), err
	}, nil
}

// opaUnpreparedAuthorizer builds the query on each request, as many tutorials do.
func opaUnpreparedAuthorizer() (authorizer, error) {
	options := opaOptions()
	return func(ctx context.Context, user, org, action string) (bool, error) {
		input := rego.Input(map[string]any{"user": user, "org": org, "action": action})
		results, err := rego.New(append(slices.Clip(options), input)...).Eval(ctx)
		return results.Allowed(), err
	}, nil
}

// opaDocumentAuthorizer asks OPA's library the policy of the guard's rows, with the same input document.
func opaDocumentAuthorizer() (authorizer, error) {
	query, err := rego.New(rego.Query("data.authz.allow"), rego.Module("authz.rego", guardPolicy)).PrepareForEval(context.Background())
	if err != nil {
		return nil, err
	}
	members := make(map[[2]string]int, organizations*membersPerOrg)
	names := make(map[string]string, organizations)
	for org := range organizations {
		names[orgID(org)] = orgName(org)
		for member := range membersPerOrg {
			members[[2]string{orgID(org), userID(org, member)}] = member
		}
	}
	return func(ctx context.Context, user, org, action string) (bool, error) {
		member, ok := members[[2]string{org, user}]
		if !ok {
			return false, nil
		}
		results, err := query.Eval(ctx, rego.EvalInput(map[string]any{
			"action":  action,
			"request": map[string]any{"method": http.MethodGet, "pattern": pattern, "params": map[string]any{"org": names[org]}},
			"token":   map[string]any{"sub": user, "iss": issuer, "scopes": []string{"openid", "profile", "email"}},
			"org":     map[string]any{"id": org, "name": names[org], "status": "active", "metadata": map[string]string{}},
			"member": map[string]any{
				"id": user, "kind": "employee", "roles": []string{roleOf(member)}, "permissions": permissionsOf(member),
				"metadata": map[string]string{"employment": employmentOf(member)},
			},
		}))
		if err != nil {
			return false, fmt.Errorf("evaluating: %w", err)
		}
		return results.Allowed(), nil
	}, nil
}
