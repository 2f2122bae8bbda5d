package orgstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MemberListOptions selects a page of members: by id, name or created_at (when they joined). The zero value is the first page of
// all; what is set must hold together.
type MemberListOptions struct {
	ListOptions
	Status   MemberStatus // active or suspended
	Query    string       // how the name or the e-mail address begins; upper and lower case are the same
	Role     string       // id of a role that they hold themselves, neither by a team nor by a group
	Team     string       // id of a team that they are in themselves, and not by a team below
	Kind     string       // employee, freelancer, guest or other
	JoinedBy string       // admin, invitation, jit, contract, import or request
}

// checkStatus checks the status of memberships to list.
func checkStatus(status MemberStatus) error {
	if status != "" && status != MemberActive && status != MemberSuspended {
		return &Invalid{"Status", "LIFE-1", "must be active or suspended, or empty for both"}
	}
	return nil
}

// searchable is how a text is stored to be found by its beginning: in lower case.
func searchable(s string) string { return strings.ToLower(s) }

// conditions is the end of a query that grows, with its arguments.
type conditions struct {
	joins, where string
	args         []any
}

// arg adds an argument and returns its placeholder.
func (c *conditions) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

// memberList lists members that have not expired at $1, of the organization $2.
var memberList = listing[*Member]{
	name:  "members",
	id:    "m.user_id",
	sorts: map[Sort]string{SortName: "m.name", SortCreated: "m.created_at"},
	key: func(m *Member, by Sort) (any, string) {
		if by == SortName {
			return m.Name, m.User
		}
		return m.JoinedAt.UnixMicro(), m.User
	},
}

const (
	membersFrom = `SELECT m.* FROM orgauthz_members m JOIN orgauthz_organizations o ON o.id = m.org_id AND ` + live
	membersOf   = membersFrom + ` WHERE m.org_id = $2`
	memberLives = ` AND (m.expires_at IS NULL OR m.expires_at > $1)`
)

// Get returns one member with its roles. Errors: NotFound (member; also when there is no such organization).
func (s *Members) Get(ctx context.Context, org, user string) (*Member, error) {
	return read(ctx, s.e, func(q queryer) (*Member, error) { return member(ctx, q, org, user) })
}

func member(ctx context.Context, q queryer, org, user string) (*Member, error) {
	if !validID("org_", org) || !validUserID(user) {
		return nil, &NotFound{"member"}
	}
	found, err := members(ctx, q, membersOf+memberLives+` AND m.user_id = $3`, "", []any{q.clock().UnixMicro(), org, user})
	if err == nil && len(found) == 0 {
		err = &NotFound{"member"}
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// List returns a page of an organization's members with their roles, in one query. Errors: NotFound (organization), Invalid (a
// field of opts).
func (s *Members) List(ctx context.Context, org string, opts MemberListOptions) (Page[*Member], error) {
	l, err := opts.listing(org)
	_, _, _, pageErr := l.page(opts.ListOptions)
	if err = errors.Join(pageErr, err); err != nil {
		return Page[*Member]{}, err
	}
	if !validID("org_", org) {
		return Page[*Member]{}, &NotFound{"organization"}
	}
	return read(ctx, s.e, func(q queryer) (page Page[*Member], err error) {
		l.args[0] = q.clock().UnixMicro()
		text, args, limit, err := l.page(opts.ListOptions)
		if err == nil {
			page.Items, err = members(ctx, q, text, l.order(opts.ListOptions), args)
		}
		if err == nil && len(page.Items) == 0 {
			_, err = organization(ctx, q, org)
		}
		if err == nil && opts.Total {
			page.Total, err = l.total(ctx, q)
		}
		l.cut(&page, limit, opts.ListOptions)
		return page, err
	})
}

// listing returns the list of what opts selects in org. Its first argument is the time, still to be told.
func (opts MemberListOptions) listing(org string) (listing[*Member], error) {
	c := conditions{args: []any{int64(0), org}}
	invalid := []error{checkStatus(opts.Status)}
	// There are indexes of members who are suspended, and of those who are not employees, with none of the others.
	switch opts.Status {
	case MemberActive:
		c.where += " AND m.status = 'active'"
	case MemberSuspended:
		c.where += " AND m.status = 'suspended'"
	}
	if opts.Kind != "" {
		c.where += " AND m.kind = " + c.arg(opts.Kind)
		if opts.Kind != "employee" {
			c.where += " AND m.kind <> 'employee'"
		}
		if checkKind(opts.Kind) != nil {
			invalid = append(invalid, &Invalid{"Kind", "MEM-4", "must be employee, freelancer, guest or other, or empty for all"})
		}
	}
	if opts.JoinedBy != "" {
		c.where += " AND m.joined_by = " + c.arg(opts.JoinedBy)
		if !slices.Contains(joinedBy, opts.JoinedBy) {
			invalid = append(invalid, &Invalid{"JoinedBy", "MEM-4", "must be admin, invitation, jit, contract, import or request, or empty for all"})
		}
	}
	if opts.Role != "" {
		c.joins += ` JOIN orgauthz_member_roles held ON held.org_id = m.org_id AND held.user_id = m.user_id
			AND held.role_id = ` + c.arg(opts.Role) + ` AND (held.expires_at IS NULL OR held.expires_at > $1)
			{after held.user_id} JOIN orgauthz_roles heldrole ON heldrole.id = held.role_id AND heldrole.deleted_at IS NULL`
		if !validID("rol_", opts.Role) {
			invalid = append(invalid, &Invalid{"Role", "", "must be the id of a role, or empty for all"})
		}
	}
	if opts.Team != "" {
		c.joins += ` JOIN orgauthz_team_members inteam ON inteam.org_id = m.org_id AND inteam.user_id = m.user_id
			AND inteam.team_id = ` + c.arg(opts.Team) + `
			{after inteam.user_id} JOIN orgauthz_teams team ON team.id = inteam.team_id AND team.deleted_at IS NULL`
		if !validID("team_", opts.Team) {
			invalid = append(invalid, &Invalid{"Team", "", "must be the id of a team, or empty for all"})
		}
	}
	if opts.Query != "" {
		_, _, err := beginning(opts.Query) // before it is in lower case, which would hide what is no text
		invalid = append(invalid, err)
		from, to, _ := beginning(searchable(opts.Query))
		// A range for each index. With LIKE it would need escaping, and with OR it would be a scan.
		from, to = c.arg(from), c.arg(to)
		c.where += ` AND m.user_id IN (
			SELECT user_id FROM orgauthz_members WHERE org_id = $2 AND name_key >= ` + from + ` AND name_key < ` + to + `
			UNION
			SELECT user_id FROM orgauthz_members WHERE org_id = $2 AND email_key >= ` + from + ` AND email_key < ` + to + `)`
	}
	l := memberList
	l.query, l.args = membersFrom+c.joins+` WHERE m.org_id = $2`+memberLives+c.where, c.args
	return l, errors.Join(invalid...)
}

// membersWith reads members of a live organization by id, expired ones too, in the order of the ids, with the roles that have
// not expired at now.
func membersWith(ctx context.Context, q queryer, now time.Time, org string, users []string) ([]*Member, error) {
	var all []*Member
	for some := range slices.Chunk(users, batch) {
		found, err := members(ctx, q, membersOf+` AND m.user_id IN (`+parameters(3, len(some))+`)`, "",
			append([]any{now.UnixMicro(), org}, anys(some)...))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

const (
	memberColumns = `m.org_id, m.user_id, u.email, m.name, u.blocked, m.status, m.kind, m.metadata, m.joined_by, m.created_at, m.updated_at,
		m.expires_at, m.used_at, COALESCE(r.id, ''), COALESCE(r.name, ''), mr.expires_at, COALESCE(mr.descendants, 0)`

	// Each row is a member and one of its roles, if it has any: those that have not expired at $1.
	memberJoins = ` JOIN orgauthz_users u ON u.id = m.user_id
		LEFT JOIN orgauthz_member_roles mr ON mr.org_id = m.org_id AND mr.user_id = m.user_id AND (mr.expires_at IS NULL OR mr.expires_at > $1)
		LEFT JOIN orgauthz_roles r ON r.id = mr.role_id AND r.deleted_at IS NULL`
)

// members reads members with their roles. rows is a query of rows of orgauthz_members, order is its order, as an ORDER BY of rows
// called m; ids when empty.
func members(ctx context.Context, q queryer, rows, order string, args []any) ([]*Member, error) {
	if order == "" {
		order = " ORDER BY m.user_id"
	}
	var found []*Member
	_, err := collect(ctx, q, membersStatement(rows, order), args,
		func(row scanner) (struct{}, error) {
			m, r, err := scanMember(row)
			if err != nil {
				return struct{}{}, err
			}
			if n := len(found); n == 0 || found[n-1].User != m.User {
				found = append(found, m)
			}
			found[len(found)-1].add(r)
			return struct{}{}, nil
		})
	return found, err
}

func membersStatement(rows, order string) string {
	return `SELECT ` + memberColumns + ` FROM (` + rows + `) m` + memberJoins + order + `, r.name`
}

// scanMember reads a row of memberColumns.
func scanMember(row scanner) (*Member, MemberRole, error) {
	var m Member
	var r MemberRole
	err := row.Scan(&m.Organization, &m.User, &m.Email, &m.Name, &m.Blocked, &m.Status, &m.Kind, pairs{&m.Metadata}, &m.JoinedBy,
		instant{&m.JoinedAt}, instant{&m.UpdatedAt}, instant{&m.ExpiresAt}, instant{&m.UsedAt},
		&r.ID, &r.Name, instant{&r.ExpiresAt}, &r.Descendants)
	return &m, r, err
}

func (m *Member) add(r MemberRole) {
	if r.ID != "" {
		m.Roles = append(m.Roles, r)
	}
}
