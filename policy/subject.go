package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Subject is the part of an Input that stays the same from request to request: the token, the organization and the
// membership. Make one with NewSubject and use it for as long as all three stay the same: what evaluation and the decision
// cache need of them is prepared once. It is immutable and safe for concurrent use.
type Subject struct {
	token  Token
	org    Org
	member Member

	tokenTerm, orgTerm, memberTerm *ast.Term // nil in a Subject that NewSubject did not make

	key  string // injective encoding of all that policies see: two Subjects are one to policies exactly when their keys are equal
	hash uint64 // of key
}

// NewSubject prepares a Subject. It keeps the slices and maps of its arguments, which must not change afterwards.
func NewSubject(token Token, org Org, member Member) *Subject {
	key := subjectKey(&token, &org, &member)
	sum := sha256.Sum256(key)
	return &Subject{
		token:  token,
		org:    org,
		member: member,
		tokenTerm: object(
			text(keySub, token.Subject),
			text(keyIss, token.Issuer),
			text(keyClientID, token.ClientID),
			pair{keyScopes, texts(token.Scopes)},
			text(keyACR, token.ACR),
			pair{keyAMR, texts(token.AMR)},
			seconds(keyAuthTime, token.AuthTime),
		),
		orgTerm: object(
			text(keyID, org.ID),
			text(keyName, org.Name),
			text(keyStatus, org.Status),
			pair{keyMetadata, textMap(org.Metadata)},
			objects(keyShares, org.Shares, func(s Share) *ast.Term {
				return object(text(keyName, s.Name), text(keyDirection, s.Direction), text(keyWith, s.With))
			}),
		),
		memberTerm: object(
			text(keyID, member.ID),
			text(keyKind, member.Kind),
			pair{keyRoles, texts(member.Roles)},
			pair{keyPermissions, texts(member.Permissions)},
			pair{keyMetadata, textMap(member.Metadata)},
			text(keyVia, member.Via),
			objects(keyContracts, member.Contracts, func(c Contract) *ast.Term {
				return object(text(keyID, c.ID), text(keyGuest, c.Guest))
			}),
		),
		key:  string(key),
		hash: binary.LittleEndian.Uint64(sum[:]),
	}
}

// Token returns what policies see of the access token.
func (s *Subject) Token() Token { return s.token }

// Org returns what policies see of the organization.
func (s *Subject) Org() Org { return s.org }

// Member returns what policies see of the membership.
func (s *Subject) Member() Member { return s.member }

// subjectKey encodes every field with its length before it, so that no two different subjects share an encoding. It does
// not tell nil from empty, nor does the document that policies see.
func subjectKey(t *Token, o *Org, m *Member) []byte {
	b := make([]byte, 0, 512)
	b = appendTexts(b, t.Subject, t.Issuer, t.ClientID, t.ACR)
	b = appendList(b, t.Scopes)
	b = appendList(b, t.AMR)
	b = binary.AppendVarint(b, t.AuthTime)
	b = appendTexts(b, o.ID, o.Name, o.Status)
	b = appendMap(b, o.Metadata)
	b = binary.AppendUvarint(b, uint64(len(o.Shares)))
	for _, s := range o.Shares {
		b = appendTexts(b, s.Name, s.Direction, s.With)
	}
	b = appendTexts(b, m.ID, m.Kind)
	b = appendList(b, m.Roles)
	b = appendList(b, m.Permissions)
	b = appendMap(b, m.Metadata)
	b = appendTexts(b, m.Via)
	b = binary.AppendUvarint(b, uint64(len(m.Contracts)))
	for _, c := range m.Contracts {
		b = appendTexts(b, c.ID, c.Guest)
	}
	return b
}

func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func appendList(b []byte, list []string) []byte {
	return appendTexts(binary.AppendUvarint(b, uint64(len(list))), list...)
}

func appendMap(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendTexts(b, k, m[k])
	}
	return b
}
