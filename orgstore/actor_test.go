package orgstore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
)

// TestActorLosesRight takes an actor's right away between the check and the change that relies on it. (On SQLite nobody else can
// write in between.)
func TestActorLosesRight(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, seam func(*orgstore.Engine, func())) error {
		e, ctx := onPostgres(t), t.Context()
		orgs, owner := world(t, e)
		must[orgstore.Result](t)(e.Roles.Update(ctx, owner, orgstore.RoleUpdate{Permissions: &[]string{"create:organization_members"}}))
		demote := sync.OnceFunc(func() { must[orgstore.Result](t)(e.Members.RemoveRoles(ctx, orgs[0], "a", owner)) })
		seam(e, demote)
		_, err := e.As(orgstore.Actor{User: "a"}).Members.Add(ctx, orgs[0], "alone", orgstore.MemberOptions{})
		return err
	}
	t.Run("DEL-4: the right is looked at again under its locks", func(t *testing.T) {
		t.Parallel()
		if err := run(t, orgstore.Between); !errors.Is(err, orgstore.ErrDenied) {
			t.Errorf("without the right: %v", err)
		}
	})
	t.Run("DEL-4: twin without", func(t *testing.T) {
		t.Parallel()
		if err := run(t, orgstore.Unguard); err != nil {
			t.Errorf("%v: this test proves nothing", err)
		}
	})
}
