package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// The connection may be lost at any message, before the server gets it or before it is answered: the mutation is done or it is
// not, and repeating it with its key makes that it is, once.
func TestCutAtEveryMessage(t *testing.T) {
	t.Parallel()
	address := database(t, "sslmode", "disable")
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	c := new(cutter)
	u.Host = c.listen(t, u.Host)
	e := openAt(t, u.String(), orgstore.Config{})
	w := orgstoretest.Seed(t, e)
	direct := openAt(t, address, orgstore.Config{})
	outcomes := map[string]int{}
	for _, forward := range []bool{false, true} {
		c.forward.Store(forward)
		for n := int64(1); ; n++ {
			user := fmt.Sprint("u ", n, forward)
			if _, _, err := direct.Users.Create(t.Context(), orgstore.User{ID: user}); err != nil {
				t.Fatal(err)
			}
			ctx := orgstore.WithIdempotencyKey(t.Context(), user)
			add := func() (orgstore.Result, error) {
				return e.Members.Add(ctx, w.Org.ID, user, orgstore.MemberOptions{Roles: []string{w.Guide.ID}})
			}
			cuts := c.cuts.Load()
			c.messages.Store(n)
			_, first := add()
			c.messages.Store(0)
			cut := c.cuts.Load() > cuts
			if first != nil && (!cut || !errors.Is(first, orgstore.ErrUnavailable)) {
				t.Errorf("message %d, forwarded %t, cut %t: %v", n, forward, cut, first)
			}
			again, err := add()
			if err != nil || first == nil && !again.Replayed || again.Revision[0].Revision != 1 {
				t.Errorf("message %d, forwarded %t, first %v; repeated: %+v, %v", n, forward, first, again, err)
			}
			if m, err := direct.Members.Get(t.Context(), w.Org.ID, user); err != nil || len(m.Roles) != 1 {
				t.Errorf("message %d, forwarded %t: %+v, %v", n, forward, m, err)
			}
			outcomes[fmt.Sprintf("failed %t, had been done %t", first != nil, again.Replayed)]++
			if !cut {
				if n < 8 {
					t.Errorf("the mutation has only %d messages", n-1)
				}
				break
			}
		}
	}
	t.Log(outcomes)
	if outcomes["failed true, had been done true"] == 0 || outcomes["failed true, had been done false"] == 0 {
		t.Errorf("outcomes: %v", outcomes)
	}
	if found, err := direct.Verify(t.Context(), orgstore.VerifyOptions{}); err != nil || len(found) != 0 {
		t.Errorf("Verify: %v, %v", found, err)
	}
}
