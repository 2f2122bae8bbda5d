package cached_test

import (
	"context"
	"fmt"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/cached"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

func Example() {
	ctx := context.Background()
	engine, err := sqlite.Open(ctx, ":memory:", orgstore.Config{})
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	members, err := cached.New(engine, cached.Config{})
	if err != nil {
		panic(err)
	}
	defer members.Close()

	org, _, err := engine.Organizations.Create(ctx, orgstore.Organization{Name: "granite-outpost"})
	if err != nil {
		panic(err)
	}
	hiroko, _, err := engine.Users.Create(ctx, orgstore.User{ID: "auth0|hiroko"})
	if err != nil {
		panic(err)
	}
	ask := orgstore.Query{Org: org.ID, Principal: hiroko.ID}

	access, err := members.Resolve(ctx, ask)
	fmt.Println(access.Standing, err)
	if _, err := engine.Members.Add(ctx, org.ID, hiroko.ID, orgstore.MemberOptions{}); err != nil {
		panic(err)
	}
	access, err = members.Resolve(ctx, ask) // the answer in memory ended with the commit
	fmt.Println(access.Standing, err)
	// Output:
	// not_member <nil>
	// member <nil>
}

// source is a team's own source of organizations, without revisions: its answers are kept for MaxStaleness.
type source struct{}

func (source) Resolve(_ context.Context, q orgstore.Query) (*orgstore.Access, error) {
	return &orgstore.Access{
		Standing:  orgstore.StandingMember,
		Principal: q.Principal,
		Org:       orgstore.AccessOrg{ID: q.Org, Name: "granite-outpost", Status: orgstore.OrganizationActive},
		Member:    orgstore.AccessMember{Roles: []string{"guide"}},
	}, nil
}

func Example_ownLoader() {
	members, err := cached.New(source{}, cached.Config{})
	if err != nil {
		panic(err)
	}
	defer members.Close()
	access, err := members.Resolve(context.Background(), orgstore.Query{Org: "org_granite", Principal: "hiroko"})
	fmt.Println(access.Member.Roles, err)
	// Output: [guide] <nil>
}
