package orgstore

// Unguard leaves out the locks of checks that need one, and has between called between such a check and the writes that rely on it.
func Unguard(e *Engine, between func()) { e.unguarded, e.checked = true, between }

// Between has between called between a check and the locks that keep its answer.
func Between(e *Engine, between func()) { e.checked = between }

// MemberPage is the statement of a page of members.
func MemberPage(org string, opts MemberListOptions) (text string, args []any, err error) {
	l, err := opts.listing(org)
	if err != nil {
		return "", nil, err
	}
	l.args[0] = int64(1)
	text, args, _, err = l.page(opts.ListOptions)
	return membersStatement(text, l.order(opts.ListOptions)), args, err
}

// MembershipPage is the statement of a page of a user's organizations.
func MembershipPage(user string, opts MembershipListOptions) (text string, args []any, err error) {
	l, err := opts.listing(user)
	if err != nil {
		return "", nil, err
	}
	l.args[0] = int64(1)
	text, args, _, err = l.page(opts.ListOptions)
	return membershipsStatement(text, l.order(opts.ListOptions)), args, err
}
