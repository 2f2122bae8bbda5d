package orgstore

import (
	"context"
	"errors"
	"strings"
)

// Membership is one organization of a user.
type Membership struct {
	Organization *Organization `json:"organization"`
	Member       *Member       `json:"member"`
}

// MembershipListOptions selects a page of a user's memberships: by the organization's id or name, created_at (when the user
// joined) or used_at (see Members.Use). The zero value is the first page of all; what is set must hold together.
type MembershipListOptions struct {
	ListOptions
	Status             MemberStatus       // of the membership: active or suspended
	OrganizationStatus OrganizationStatus // active or suspended
	Query              string             // how the organization's name or display name begins; upper and lower case of ASCII letters are the same
}

// membershipList lists memberships that have not expired at $1, of the user $2.
var membershipList = listing[*Membership]{
	name:  "memberships",
	query: membersFrom + ` WHERE m.user_id = $2` + memberLives,
	id:    "m.org_id",
	sorts: map[Sort]string{SortName: "o.name", SortCreated: "m.created_at", SortUsed: "m.used_at"},
	key: func(m *Membership, by Sort) (any, string) {
		switch {
		case by == SortName:
			return m.Organization.Name, m.Organization.ID
		case by == SortCreated:
			return m.Member.JoinedAt.UnixMicro(), m.Organization.ID
		case m.Member.UsedAt.IsZero():
			return int64(0), m.Organization.ID
		}
		return m.Member.UsedAt.UnixMicro(), m.Organization.ID
	},
}

// Organizations returns a page of the organizations that a user is a member of, with the roles held there, in one query. Those
// that are suspended are among them, unless opts says otherwise.
//
// Errors: NotFound (user), Invalid (a field of opts).
func (s *Users) Organizations(ctx context.Context, id string, opts MembershipListOptions) (Page[*Membership], error) {
	l, err := opts.listing(id)
	_, _, _, pageErr := l.page(opts.ListOptions)
	if err = errors.Join(pageErr, err); err != nil {
		return Page[*Membership]{}, err
	}
	if !validUserID(id) {
		return Page[*Membership]{}, &NotFound{"user"}
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Membership], err error) {
		l.args[0] = q.clock().UnixMicro()
		text, args, limit, err := l.page(opts.ListOptions)
		if err != nil {
			return page, err
		}
		_, err = collect(ctx, q, membershipsStatement(text, l.order(opts.ListOptions)), args,
			func(row scanner) (struct{}, error) {
				var o Organization
				m, r, err := scanMember(after{row, o.columns()})
				if err != nil {
					return struct{}{}, err
				}
				if n := len(page.Items); n == 0 || page.Items[n-1].Organization.ID != o.ID {
					page.Items = append(page.Items, &Membership{&o, m})
				}
				page.Items[len(page.Items)-1].Member.add(r)
				return struct{}{}, nil
			})
		if err == nil && len(page.Items) == 0 {
			_, err = user(ctx, q, id)
		}
		if err == nil && opts.Total {
			page.Total, err = l.total(ctx, q)
		}
		l.cut(&page, limit, opts.ListOptions)
		return page, err
	})
}

// membershipsStatement reads memberships with their organizations, as membersStatement reads members.
func membershipsStatement(rows, order string) string {
	return `SELECT ` + organizationColumns + `, ` + memberColumns + ` FROM (` + rows + `) m
		JOIN orgauthz_organizations o ON o.id = m.org_id` + memberJoins + order + `, r.name`
}

// listing returns the list of what opts selects of a user's. Its first argument is the time, still to be told.
func (opts MembershipListOptions) listing(user string) (listing[*Membership], error) {
	l, c := membershipList, conditions{args: []any{int64(0), user}}
	invalid := []error{checkStatus(opts.Status)}
	if opts.Status != "" {
		c.where += ` AND m.status = ` + c.arg(string(opts.Status))
	}
	if opts.OrganizationStatus != "" {
		c.where += ` AND o.status = ` + c.arg(string(opts.OrganizationStatus))
		if opts.OrganizationStatus != OrganizationActive && opts.OrganizationStatus != OrganizationSuspended {
			invalid = append(invalid, &Invalid{"OrganizationStatus", "ORG-6", "must be active or suspended, or empty for both"})
		}
	}
	if opts.Query != "" {
		_, _, err := beginning(opts.Query)
		invalid = append(invalid, err)
		from, to, _ := beginning(asciiLower(opts.Query))
		// Among the organizations of one user, so that it needs no index. LOWER does not go beyond ASCII everywhere.
		from, to = c.arg(from), c.arg(to)
		c.where += ` AND (o.name >= ` + from + ` AND o.name < ` + to + `
			OR LOWER(o.display_name) >= ` + from + ` AND LOWER(o.display_name) < ` + to + `)`
	}
	l.query, l.args = l.query+c.where, c.args
	return l, errors.Join(invalid...)
}

// after is a row whose first columns go elsewhere.
type after struct {
	row   scanner
	first []any
}

func (a after) Scan(dest ...any) error { return a.row.Scan(append(a.first, dest...)...) }

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
