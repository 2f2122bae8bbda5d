package rediscache

import (
	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
)

// Keys are
//
//	prefix:ttl2:{org}e:principal    an entry
//	prefix:ttl2:{org}o              the highest revision known of the organization's scope
//	prefix:ttl2:{org}n              the same of the name's scope
//	prefix:ttl2:{org}m:principal    the same of a membership's scope
//
// with base64url ids, so that no id can spell another key, and with the organization, as it was asked for, as the hash
// tag: a script finds all that it needs in one slot of a cluster. What dependants by role, by user, and by an id that was
// asked for by name need is not there: their entries are caught by the cells of each node, and by age.
type keyspace struct {
	prefix string // "orgauthz:ttl2:"
}

func newKeyspace(prefix string) keyspace { return keyspace{prefix: prefix + ":ttl2:"} }

func (k keyspace) channel() string { return k.prefix + "changes" }

func (k keyspace) tag(org string) string {
	return k.prefix + "{" + encoding.EncodeToString([]byte(org)) + "}"
}

// entry returns the keys of an entry and of the cells that its scripts look at, with the texts of the cells' scopes.
func (k keyspace) entry(key cached.Key) (keys []string, scopes []string) {
	tag, principal := k.tag(key.Org), encoding.EncodeToString([]byte(key.Principal))
	keys = []string{tag + "e:" + principal, tag + "o", tag + "n", tag + "m:" + principal}
	for _, s := range []orgstore.Scope{
		orgstore.OrganizationScope(key.Org), orgstore.NameScope(key.Org), orgstore.MembershipScope(key.Org, key.Principal),
	} {
		scopes = append(scopes, string(appendScope(nil, s)))
	}
	return keys, scopes
}

// cell returns the key of a scope's cell, and that of the one entry that falls with it; nil for scopes that have none.
func (k keyspace) cell(s orgstore.Scope) []string {
	switch s.Kind {
	case orgstore.ScopeOrganization:
		return []string{k.tag(s.ID) + "o"}
	case orgstore.ScopeName:
		return []string{k.tag(s.ID) + "n"}
	case orgstore.ScopeMembership:
		tag, principal := k.tag(s.Org), encoding.EncodeToString([]byte(s.ID))
		return []string{tag + "m:" + principal, tag + "e:" + principal}
	}
	return nil
}
