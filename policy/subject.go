package policy

// Subject is the part of an Input that stays the same from request to request: the token, the organization and the
// membership. Make one with NewSubject and use it for as long as all three stay the same: what evaluation and the decision
// cache need of them is prepared once.
type Subject struct {
	token  Token
	org    Org
	member Member
}

// NewSubject prepares a Subject. It keeps the slices and maps of its arguments, which must not change afterwards.
func NewSubject(token Token, org Org, member Member) *Subject {
	return &Subject{token: token, org: org, member: member}
}

// Token returns what policies see of the access token.
func (s *Subject) Token() Token { return s.token }

// Org returns what policies see of the organization.
func (s *Subject) Org() Org { return s.org }

// Member returns what policies see of the membership.
func (s *Subject) Member() Member { return s.member }
