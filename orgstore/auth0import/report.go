package auth0import

import (
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// Report says what was converted, and what was not.
type Report struct {
	Records map[string]int64 // written, by type of record
	Left    []Left           // sorted by Kind, Field and Reason
}

// Left is what could not be carried over.
type Left struct {
	Kind   string // as the API calls it: organization, member and so on
	Field  string // empty where the whole thing was left out
	Reason string
	Count  int
	First  string // id of the first one
}

// left notes that something could not be carried over.
func (c *converter) left(kind, id, field, reason string) {
	key := Left{Kind: kind, Field: field, Reason: reason}
	l := c.lefts[key]
	if l == nil {
		l = &Left{kind, field, reason, 0, id}
		c.lefts[key] = l
	}
	l.Count++
}

func (c *converter) report() *Report {
	r := &Report{Records: c.counts}
	for _, l := range c.lefts {
		r.Left = append(r.Left, *l)
	}
	slices.SortFunc(r.Left, func(a, b Left) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
	return r
}

// stays are fields that are not carried over on purpose, and why; "" for those that say nothing of their own.
var stays = map[string]map[string]string{
	"resource server": {
		"id": "the identifier takes its place", "signing_alg": issuer, "signing_secret": secret, "allow_offline_access": issuer, "is_system": "",
		"skip_consent_for_verifiable_first_party_clients": issuer, "token_lifetime_for_web": issuer, "token_encryption": issuer,
		"consent_policy": issuer, "authorization_details": issuer, "proof_of_possession": issuer, "subject_type_authorization": issuer,
	},
	"connection": {
		"options": provider, "realms": provider, "metadata": provider, "authentication": provider, "connected_accounts": provider,
		"show_as_button": "organizations have it for themselves",
	},
	"client": {
		"client_secret": secret, "signing_keys": secret, "client_authentication_methods": issuer, "tenant": "", "global": "",
		"jwt_configuration": issuer,
		"refresh_token":     issuer, "token_endpoint_auth_method": issuer, "app_type": issuer, "sso": issuer, "sso_disabled": issuer,
		"cross_origin_authentication": issuer, "cross_origin_auth": issuer, "custom_login_page_on": issuer,
		"is_token_endpoint_ip_header_trusted": issuer,
		"web_origins":                         issuer, "logo_uri": issuer, "client_metadata": issuer,
		"addons": issuer, "mobile": issuer, "native_social_login": issuer,
		"oidc_logout": issuer, "encryption_key": secret, "client_aliases": issuer, "allowed_clients": issuer, "custom_login_page": issuer,
		"form_template": issuer, "require_pushed_authorization_requests": issuer, "default_token_quota": issuer, "token_quota": issuer,
	},
	"client grant": {
		"subject_type": "", "allow_all_scopes": "", "authorization_details_types": issuer, "is_system": "", "default_for": issuer,
	},
	"user": {
		"last_login": login, "last_ip": login, "logins_count": login, "last_password_reset": login, "multifactor": login, "nickname": profile,
		"given_name": profile, "family_name": profile, "username": profile, "phone_number": profile, "phone_verified": profile,
		"multifactor_last_modified": login, "locale": profile, "password_hash": secret,
	},
	"organization":        {"enabled_connections": ""},
	"invitation":          {"ticket_id": secret, "invitation_url": secret},
	"organization client": {"client": ""},
	"organization grant":  {"client_id": "", "audience": "", "scope": "", "organization_usage": "", "allow_any_organization": "", "subject_type": ""},
	"permission":          {"description": "", "resource_server_name": ""},
	"member":              {},
	"role":                {},
	"discovery domain":    {},
	"enabled connection":  {"connection": ""},
	"member role":         {"name": "", "description": "", "type": "", "owner_id": ""},
}

// Reasons that fields share.
const (
	secret   = "a secret, or worth nothing without one"
	issuer   = "for whoever issues tokens, which is not changed by this"
	provider = "settings of the identity provider, which stay there"
	login    = "the trail of logins stays there"
	profile  = "there is no place for it: put it into user_metadata if it is needed"
	unknown  = "not known here"
)

// read decodes an item, and notes the fields that are not carried over.
func read[T any](c *converter, kind string, id func(*T) string, raw json.RawMessage) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, shapeOf(kind, err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, shapeOf(kind, err)
	}
	known := c.names(reflect.TypeFor[T]())
	for name, value := range fields {
		reason, deliberate := stays[kind][name]
		switch {
		case deliberate && reason != "" && string(value) != "null":
			c.left(kind, id(v), name, reason)
		case !deliberate && !known[name]:
			c.left(kind, id(v), name, unknown)
		}
	}
	return v, nil
}

func shapeOf(kind string, err error) error {
	text := "must be an object as the Management API returns it"
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		text = "has the field " + e.Field + " with another JSON type than the Management API returns"
	}
	return &shape{kind, text}
}

type shape struct{ kind, text string }

func (e *shape) Error() string { return "a " + e.kind + " " + e.text }

// names returns the JSON names of the fields of a struct.
func (c *converter) names(t reflect.Type) map[string]bool {
	if found := c.fields[t]; found != nil {
		return found
	}
	found := map[string]bool{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		found[name] = true
	}
	c.fields[t] = found
	return found
}
