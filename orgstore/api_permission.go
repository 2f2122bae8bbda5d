package orgstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// maxRoleAPIs is how many APIs one role has permissions of.
const maxRoleAPIs = 100

// checkAPIPermissions checks the form of the permissions that r has of single APIs, and puts them in order.
func (r *Role) checkAPIPermissions(limit int) error {
	if len(r.APIPermissions) > maxRoleAPIs {
		return &Limit{"APIs per role", maxRoleAPIs}
	}
	r.APIPermissions = cloneAPIPermissions(r.APIPermissions)
	n := len(r.Permissions)
	for identifier, permissions := range r.APIPermissions {
		sorted, err := checkPermissions(permissions, limit)
		if len(sorted) == 0 && err == nil {
			delete(r.APIPermissions, identifier)
			continue
		}
		if invalid, ok := errors.AsType[*Invalid](err); ok {
			invalid.Field = "api_permissions"
		}
		if err != nil {
			return err
		}
		if !validAPI(identifier) {
			return &NotFound{"api"}
		}
		r.APIPermissions[identifier] = sorted
		n += len(sorted)
	}
	if n > limit {
		return &Limit{"permissions per role", limit}
	}
	if len(r.APIPermissions) == 0 {
		r.APIPermissions = nil
	}
	return nil
}

// apisKnow checks that the APIs that given names know what r has of them. Their scopes are locked.
func (r *Role) apisKnow(ctx context.Context, tx *transaction, given map[string][]string) error {
	for _, identifier := range slices.Sorted(maps.Keys(given)) {
		permissions := r.APIPermissions[identifier]
		if len(permissions) == 0 {
			continue
		}
		a, err := api(ctx, tx.sql, identifier)
		if err != nil {
			return err
		}
		if len(a.without(permissions)) > 0 {
			return &Invalid{"api_permissions", "ROL-5", "must each be a permission of the API"}
		}
	}
	return nil
}

// apiScopes returns the scopes of the APIs that permissions are of.
func apiScopes(permissions map[string][]string) []Scope {
	scopes := make([]Scope, 0, len(permissions))
	for identifier := range permissions {
		scopes = append(scopes, APIScope(identifier))
	}
	return scopes
}

// patchedAPIPermissions returns permissions with patch applied: what is empty removes the API's.
func patchedAPIPermissions(permissions, patch map[string][]string) map[string][]string {
	if len(patch) == 0 {
		return permissions
	}
	sum := cloneAPIPermissions(permissions)
	if sum == nil {
		sum = map[string][]string{}
	}
	maps.Copy(sum, patch)
	return sum
}

func cloneAPIPermissions(permissions map[string][]string) map[string][]string {
	permissions = maps.Clone(permissions)
	for identifier, list := range permissions {
		permissions[identifier] = slices.Clone(list)
	}
	return permissions
}

func encodeAPIPermissions(permissions map[string][]string) string {
	if len(permissions) == 0 {
		return "{}"
	}
	text, _ := json.Marshal(permissions) // identifiers and permissions are ASCII
	return string(text)
}

func decodeAPIPermissions(text string) (permissions map[string][]string, err error) {
	if text == "" || text == "{}" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &permissions)
	return permissions, err
}

// more returns the permissions that r grants and before did not: one of a single API is none of another.
func (r *Role) more(before *Role) *AccessMember {
	m := &AccessMember{Permissions: without(r.Permissions, before.Permissions)}
	for identifier, permissions := range r.APIPermissions {
		m.addFor(identifier, without(without(permissions, before.APIPermissions[identifier]), before.Permissions)...)
	}
	return m
}

// beyond returns permissions that r has of single APIs and base has not.
func (r *Role) beyond(base *Role) []string {
	var all []string
	for identifier, permissions := range r.APIPermissions {
		all = append(all, without(without(permissions, base.APIPermissions[identifier]), base.Permissions)...)
	}
	return all
}
