package policy

import "encoding/json"

// InputVersion is the version of the input document that policies see. A field is never renamed or given another meaning
// within a version; new ones may come.
const InputVersion = "v1"

// Input is one question: may this subject do this action, on this resource, in this request? Policies see it as
//
//	input.action      "update:adventure"
//	input.request     {method, pattern, params}
//	input.token       {sub, iss, client_id, scopes, acr, amr, auth_time}
//	input.org         {id, name, metadata, status, shares}
//	input.member      {id, kind, roles, permissions, metadata, via, contracts}
//	input.resource    any JSON; absent when the route names no resource
//
// Text fields that are not known are absent from the document rather than empty; lists and metadata are always
// there, except for shares and contracts, which are absent when there are none: a member of the organization itself has neither.
type Input struct {
	Action  string // what the route requires, for example "update:adventure"
	Request Request
	Subject *Subject // never nil

	// Resource is the JSON form of the thing that the request is about. Empty means that the route names none and
	// input.resource is undefined; "null" means that it was looked for and not found.
	Resource json.RawMessage
}

// Request is what a policy sees of the request: the route that matched, never a raw path or a header.
type Request struct {
	Method  string  // upper case; HEAD stays HEAD
	Pattern string  // the pattern that matched, for example "GET /orgs/{org}/adventures"
	Params  []Param // values of the pattern's wildcards, in the pattern's order
}

// Param is one wildcard of a pattern and its value.
type Param struct{ Name, Value string }

// Token is what a policy sees of the access token.
type Token struct {
	Subject  string   // input.token.sub
	Issuer   string   // input.token.iss
	ClientID string   // input.token.client_id
	Scopes   []string // input.token.scopes
	ACR      string   // input.token.acr
	AMR      []string // input.token.amr
	AuthTime int64    // input.token.auth_time, seconds since 1970; absent when 0
}

// Org is what a policy sees of the organization.
type Org struct {
	ID       string            // input.org.id
	Name     string            // input.org.name
	Status   string            // input.org.status
	Metadata map[string]string // input.org.metadata
	Shares   []Share           // input.org.shares
}

// Share is what a policy sees of data that the organization and the member's own one share by a contract.
type Share struct {
	Name      string // input.org.shares[_].name
	Direction string // input.org.shares[_].direction: both, to_host or to_guest; this organization is the host
	With      string // input.org.shares[_].with: id of the other organization
}

// Member is what a policy sees of the membership.
type Member struct {
	ID          string            // input.member.id
	Kind        string            // input.member.kind: employee, freelancer, guest or other; machine for applications
	Roles       []string          // input.member.roles
	Permissions []string          // input.member.permissions
	Metadata    map[string]string // input.member.metadata
	Via         string            // input.member.via: ancestor, contract or grant for whoever is no member itself; else absent
	Contracts   []Contract        // input.member.contracts
}

// Contract is what a policy sees of a contract that admits the member.
type Contract struct {
	ID    string // input.member.contracts[_].id
	Guest string // input.member.contracts[_].guest: id of the organization that the member is a member of
}
