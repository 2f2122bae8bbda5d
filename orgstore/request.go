package orgstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"time"
)

// requestTime is how long a request waits for an answer (rule REQ-1).
const requestTime = 30 * 24 * time.Hour

// maxMessage is the longest message of a request, in characters.
const maxMessage = 1000

// RequestStatus is what has become of a Request.
type RequestStatus string

// The statuses of requests. Only RequestPending changes to another one, and to which does not change any more.
const (
	RequestPending   RequestStatus = "pending"
	RequestApproved  RequestStatus = "approved"
	RequestDeclined  RequestStatus = "declined"
	RequestWithdrawn RequestStatus = "withdrawn"
	RequestExpired   RequestStatus = "expired"
)

// The values of Request.Source.
const (
	RequestByUser   = "user"
	RequestByDomain = "domain" // AutoJoinApproval made it (rule AUTO-2)
)

// Request is what somebody asks who wants to be a member of an organization.
type Request struct {
	ID           string        `json:"id"` // "req_" and 16 alphanumerics
	Organization string        `json:"organization_id"`
	User         string        `json:"user_id"`
	Email        string        `json:"email,omitempty"`   // of the directory's user; not in events
	Name         string        `json:"name,omitempty"`    // of the directory's user; not in events
	Message      string        `json:"message,omitempty"` // at most 1,000 characters, without line breaks; not in events
	Source       string        `json:"source"`            // user or domain
	Status       RequestStatus `json:"status"`
	CreatedAt    time.Time     `json:"created_at"` // UTC
	UpdatedAt    time.Time     `json:"updated_at"` // UTC
	ExpiresAt    time.Time     `json:"expires_at"` // UTC; from then on it is expired, unless it was decided before
}

// RequestListOptions selects a page of requests.
type RequestListOptions struct {
	ListOptions
	Status RequestStatus // only those that are so now; empty for all
	User   string        // only those of this user, by id
}

// Requests are what people ask who want to be members. A request of another organization than the one named is not found.
type Requests struct{ e *Engine }

const liveRequests = `SELECT q.id, q.org_id, q.user_id, u.email, u.name, q.message, q.source,
	CASE WHEN q.status = 'pending' AND q.expires_at <= $1 THEN 'expired' ELSE q.status END, q.created_at, q.updated_at, q.expires_at
	FROM orgauthz_requests q JOIN orgauthz_users u ON u.id = q.user_id
	JOIN orgauthz_organizations o ON o.id = q.org_id AND ` + live + ` WHERE q.org_id = $2`

func scanRequest(row scanner) (*Request, error) {
	var r Request
	var created, updated, expires int64
	err := row.Scan(&r.ID, &r.Organization, &r.User, &r.Email, &r.Name, &r.Message, &r.Source, &r.Status, &created, &updated, &expires)
	r.CreatedAt, r.UpdatedAt, r.ExpiresAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC(), time.UnixMicro(expires).UTC()
	return &r, err
}

func request(ctx context.Context, q queryer, org, id string) (*Request, error) {
	if !validID("org_", org) || !validID("req_", id) {
		return nil, &NotFound{"request"}
	}
	return one(scanRequest(q.QueryRowContext(ctx, liveRequests+` AND q.id = $3`, q.clock().UnixMicro(), org, id)))("request")
}

func requestScope(org, id string) Scope { return Scope{Kind: ScopeRequest, Org: org, ID: id} }

// shown is what events show of a request: nothing of the directory's user, and not what they wrote.
func (r *Request) shown(status RequestStatus) *Request {
	of := *r
	of.Email, of.Name, of.Message, of.Status = "", "", "", status
	return &of
}

// permitAsking checks that the actor of tx may ask for user, or take back what user has asked: users may do so for themselves.
func (tx *transaction) permitAsking(ctx context.Context, org, permission, user string) error {
	if tx.as != nil && tx.as.User == user && user != "" {
		return nil
	}
	return tx.permit(ctx, org, permission)
}

// Create asks for the membership of user in org. The request waits for an answer for 30 days.
//
// Errors: NotFound (organization, also when it is suspended; user), Invalid (message, blocked user), Conflict (the user is a member,
// or waits for an answer already), Limit (requests).
func (s *Requests) Create(ctx context.Context, org, user, message string) (*Request, Result, error) {
	if err := checkText("message", "REQ-1", message, maxMessage); err != nil {
		return nil, Result{}, err
	}
	r := Request{ID: newID("req_"), Organization: org, User: user, Message: message, Source: RequestByUser}
	return create(ctx, s.e, call{"requests.create", org, user, message}, &r, func(tx *transaction) error {
		if err := tx.permitAsking(ctx, org, "create:organization_membership_requests", user); err != nil {
			return err
		}
		if err := r.lock(ctx, tx); err != nil {
			return err
		}
		return r.ask(ctx, tx)
	})
}

// lock locks what asking depends on. Requests are counted by who has their organization alone.
func (r *Request) lock(ctx context.Context, tx *transaction) error {
	return tx.lock(ctx, []Scope{
		OrganizationScope(r.Organization), MembershipScope(r.Organization, r.User), requestScope(r.Organization, r.ID),
	}, []Scope{UserScope(r.User)})
}

// ask makes r, which has been locked.
func (r *Request) ask(ctx context.Context, tx *transaction) error {
	o, err := organization(ctx, tx.sql, r.Organization)
	if err == nil && o.Status != OrganizationActive {
		err = &NotFound{"organization"}
	}
	if err != nil {
		return err
	}
	u, err := user(ctx, tx.sql, r.User)
	if err == nil && u.Blocked {
		err = &Invalid{"user_id", "REQ-1", "must not be blocked"}
	}
	if err != nil {
		return err
	}
	if _, err := member(ctx, tx.sql, r.Organization, r.User); !errors.Is(err, ErrNotFound) {
		return cmp.Or[error](err, &Conflict{"member", "user_id"})
	}
	if r.CreatedAt, err = tx.now(ctx); err != nil {
		return err
	}
	r.Status, r.UpdatedAt, r.ExpiresAt = RequestPending, r.CreatedAt, r.CreatedAt.Add(requestTime)
	// What has expired is marked so that it does not count any more: that it has, all have seen since.
	if _, err := tx.sql.ExecContext(ctx, `
		UPDATE orgauthz_requests SET status = 'expired' WHERE org_id = $1 AND status = 'pending' AND expires_at <= $2`,
		r.Organization, tx.sql.clock().UnixMicro()); err != nil {
		return err
	}
	var all, own int
	if err := tx.sql.QueryRowContext(ctx, `
		SELECT COUNT(*), COALESCE(SUM(CASE WHEN user_id = $2 THEN 1 ELSE 0 END), 0) FROM orgauthz_requests
		WHERE org_id = $1 AND status = 'pending'`, r.Organization, r.User).Scan(&all, &own); err != nil {
		return err
	}
	if own > 0 {
		return &Conflict{"request", "user_id"}
	}
	if limit := tx.cfg.Limits.Requests; all >= limit {
		return &Limit{"requests", limit}
	}
	if _, err := tx.sql.ExecContext(ctx, `
		INSERT INTO orgauthz_requests (id, org_id, user_id, message, source, status, created_at, updated_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8)`,
		r.ID, r.Organization, r.User, r.Message, r.Source, string(r.Status), r.CreatedAt.UnixMicro(), r.ExpiresAt.UnixMicro()); err != nil {
		return err
	}
	r.Email, r.Name = u.Email, u.Name
	return tx.raise(ctx, requestScope(r.Organization, r.ID), r.Organization, "organization.membership_request.created", nil, r.shown(r.Status))
}

// Approve makes who has asked a member, with all that opts says, in one transaction with the answer. JoinedBy of opts is request,
// whatever it says. Who has become a member meanwhile stays as they are, and gets the roles that they lack.
//
// Errors: NotFound (request or role), Invalid (MEM-4; REQ-2: the request is not pending), Limit (members, roles per member, metadata
// pairs), and those of Members.Add.
func (s *Requests) Approve(ctx context.Context, org, id string, opts MemberOptions) (Result, error) {
	opts.JoinedBy = "request"
	return s.decide(ctx, call{"requests.approve", org, id, opts}, org, id, RequestApproved, opts.Roles, func(tx *transaction, r *Request) error {
		permissions := []string{"update:organization_membership_requests", "create:organization_members"}
		if len(opts.Roles) > 0 {
			permissions = append(permissions, "create:organization_member_roles")
		}
		for _, permission := range permissions {
			if err := tx.permit(ctx, org, permission, r.User); err != nil {
				return err
			}
		}
		return nil
	}, func(tx *transaction, r *Request) error {
		if err := tx.hold(ctx, org, opts.Roles); err != nil {
			return err
		}
		e := tx.engine(tx)
		e.as = tx.as // within the rights of the same actor
		members := e.Members
		added, err := members.Add(ctx, org, r.User, opts)
		if err == nil && !added.Changed && len(opts.Roles) > 0 {
			_, err = members.AssignRoles(ctx, org, r.User, opts.Roles...)
		}
		return err
	})
}

// Decline answers no. Errors: NotFound (request), Invalid (REQ-2: it is not pending).
func (s *Requests) Decline(ctx context.Context, org, id string) (Result, error) {
	return s.decide(ctx, call{"requests.decline", org, id}, org, id, RequestDeclined, nil, func(tx *transaction, r *Request) error {
		return tx.permit(ctx, org, "update:organization_membership_requests")
	}, nil)
}

// Withdraw takes a request back. Errors: NotFound (request), Invalid (REQ-2: it is not pending).
func (s *Requests) Withdraw(ctx context.Context, org, id string) (Result, error) {
	return s.decide(ctx, call{"requests.withdraw", org, id}, org, id, RequestWithdrawn, nil, func(tx *transaction, r *Request) error {
		return tx.permitAsking(ctx, org, "delete:organization_membership_requests", r.User)
	}, nil)
}

// decide gives a pending request its last status, after what then does. Giving it the one that it has changes nothing.
func (s *Requests) decide(ctx context.Context, c call, org, id string, status RequestStatus, roles []string,
	permit, then func(tx *transaction, r *Request) error) (Result, error) {
	return s.e.mutate(ctx, c, func(tx *transaction) error {
		// Whose it is never changes: it can be asked before anything is locked. The rest is read again.
		r, err := request(ctx, tx.sql, org, id)
		if err != nil {
			r = &Request{ID: id, Organization: org}
		}
		if err := permit(tx, r); err != nil {
			return err
		}
		if err != nil {
			return err
		}
		read := []Scope{OrganizationScope(org), UserScope(r.User)}
		for _, role := range roles {
			read = append(read, RoleScope(role))
		}
		if err := tx.lock(ctx, []Scope{MembershipScope(org, r.User), requestScope(org, id)}, read); err != nil {
			return err
		}
		if r, err = request(ctx, tx.sql, org, id); err != nil {
			return err
		}
		switch r.Status {
		case status:
			return nil
		case RequestPending:
		default:
			return &Invalid{"request", "REQ-2", "must be pending"}
		}
		if then != nil {
			if err := then(tx, r); err != nil {
				return err
			}
		}
		at, err := tx.now(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.sql.ExecContext(ctx, `UPDATE orgauthz_requests SET status = $2, updated_at = $3 WHERE id = $1`,
			id, string(status), at.UnixMicro()); err != nil {
			return err
		}
		return tx.raise(ctx, requestScope(org, id), org, "organization.membership_request."+string(status), r.shown(RequestPending), r.shown(status))
	})
}

// Get returns a request of an organization. Errors: NotFound.
func (s *Requests) Get(ctx context.Context, org, id string) (*Request, error) {
	return read(ctx, s.e, func(q queryer) (*Request, error) { return request(ctx, q, org, id) })
}

var requestList = listing[*Request]{
	name:  "requests",
	query: liveRequests,
	id:    "q.id",
	sorts: map[Sort]string{SortCreated: "q.created_at"},
	scan:  scanRequest,
	key:   func(r *Request, _ Sort) (any, string) { return r.CreatedAt.UnixMicro(), r.ID },
}

// List returns a page of an organization's requests, by id or created_at. Errors: NotFound (organization), Invalid.
func (s *Requests) List(ctx context.Context, org string, opts RequestListOptions) (Page[*Request], error) {
	now := s.e.cfg.Clock().UnixMicro()
	l := requestList
	l.args = []any{now, org}
	switch opts.Status {
	case "":
	case RequestPending:
		l = l.and(`q.status = 'pending' AND q.expires_at > ?`, now)
	case RequestExpired:
		l = l.and(`(q.status = 'expired' OR q.status = 'pending' AND q.expires_at <= ?)`, now)
	case RequestApproved, RequestDeclined, RequestWithdrawn:
		l = l.and(`q.status = ?`, string(opts.Status))
	default:
		return Page[*Request]{}, &Invalid{"Status", "REQ-2", "must be pending, approved, declined, withdrawn or expired, or empty"}
	}
	switch {
	case opts.User == "":
	case validUserID(opts.User):
		l = l.and(`q.user_id = ?`, opts.User)
	default:
		return Page[*Request]{}, &Invalid{"User", "", "must be the id of a user, or empty"}
	}
	return l.of(ctx, s.e, org, opts.ListOptions)
}

// ByDomain does what follows in an organization from the e-mail address of a user (rule AUTO-2), and returns which of its settings
// it went by: AutoJoinOff, where nothing follows; AutoJoinSuggest, where it is left to the user to Create a request; AutoJoinApproval,
// after it made a request, unless one is pending or was declined; AutoJoinAutomatic, after it made the user a member without roles,
// joined by jit. Only domains count that the engine has proven by a look of its own. The caller knows that email is the user's.
//
// Errors: NotFound (organization or user), Invalid (email), Limit (requests, members), and those of Members.Add.
func (s *Requests) ByDomain(ctx context.Context, org, user, email string) (AutoJoin, Result, error) {
	mode := AutoJoinOff
	r := Request{ID: newID("req_"), Organization: org, User: user, Source: RequestByDomain}
	_, result, err := create(ctx, s.e, call{"requests.byDomain", org, user, email}, &mode, func(tx *transaction) error {
		mode = AutoJoinOff
		// Nobody's rights in an organization are enough to say whose an address is.
		if err := tx.permit(ctx, "", "create:organization_members"); err != nil {
			return err
		}
		if err := r.lock(ctx, tx); err != nil {
			return err
		}
		follows, err := r.follows(ctx, tx, email)
		if err != nil || follows == AutoJoinOff {
			return err
		}
		switch mode = follows; mode {
		case AutoJoinAutomatic:
			_, err = tx.engine(tx).Members.Add(ctx, org, user, MemberOptions{JoinedBy: "jit"})
		case AutoJoinApproval:
			var one int
			err = tx.sql.QueryRowContext(ctx, `
				SELECT 1 FROM orgauthz_requests WHERE org_id = $1 AND user_id = $2
				AND (status = 'declined' OR status = 'pending' AND expires_at > $3) LIMIT 1`, org, user, tx.sql.clock().UnixMicro()).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				err = r.ask(ctx, tx)
			}
		}
		return err
	})
	if err != nil {
		return AutoJoinOff, Result{}, err
	}
	return mode, result, nil
}

// follows returns what follows for the user of r from an e-mail address. Whoever has the organization alone keeps its domains, too,
// from being changed.
func (r *Request) follows(ctx context.Context, tx *transaction, email string) (AutoJoin, error) {
	o, err := organization(ctx, tx.sql, r.Organization)
	if err != nil {
		return AutoJoinOff, err
	}
	u, err := user(ctx, tx.sql, r.User)
	if err != nil {
		return AutoJoinOff, err
	}
	if _, err := member(ctx, tx.sql, r.Organization, r.User); !errors.Is(err, ErrNotFound) {
		return AutoJoinOff, err
	}
	for opts := (ListOptions{Limit: 1000}); ; {
		page, err := tx.engine(tx).DiscoveryDomains.Joinable(ctx, email, opts)
		if err != nil {
			return AutoJoinOff, err
		}
		for _, match := range page.Items {
			if match.Organization.ID == o.ID && o.Status == OrganizationActive && !u.Blocked {
				return o.AutoJoin, nil
			}
		}
		if opts.After = page.Next; opts.After == "" {
			return AutoJoinOff, nil
		}
	}
}
