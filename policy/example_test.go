package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing/fstest"

	"github.com/orgauthz/orgauthz/policy"
)

func Example() {
	ctx := context.Background()
	rules, err := policy.Open(ctx, policy.Config{Source: policy.Dir("testdata/policies")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rules.Close()

	emilio := policy.NewSubject(
		policy.Token{Subject: "emilio"},
		policy.Org{ID: "org_0123456789abcdef", Name: "granite-outpost"},
		policy.Member{
			ID: "emilio", Roles: []string{"guide"}, Permissions: []string{"create:signups"},
			Metadata: map[string]string{"employment": "freelance"},
		},
	)
	for _, adventure := range []string{`{"staff_only": false}`, `{"staff_only": true}`} {
		decision, err := rules.Decide(ctx, &policy.Input{
			Action:   "create:signups",
			Subject:  emilio,
			Resource: json.RawMessage(adventure),
		})
		fmt.Println(decision.Outcome, decision.Reasons, err)
	}
	// Output:
	// allowed [] <nil>
	// denied [staff_only] <nil>
}

// Without a source, what is asked for must be among the member's permissions.
func ExampleOpen_builtIn() {
	ctx := context.Background()
	rules, err := policy.Open(ctx, policy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rules.Close()

	guide := policy.NewSubject(policy.Token{}, policy.Org{}, policy.Member{Permissions: []string{"read:adventures"}})
	for _, action := range []string{"read:adventures", "create:adventures"} {
		decision, err := rules.Decide(ctx, &policy.Input{Action: action, Subject: guide})
		fmt.Println(action, decision.Allow, err)
	}
	// Output:
	// read:adventures true <nil>
	// create:adventures false <nil>
}

// All problems of all files are reported at once.
func ExampleOpen_invalid() {
	_, err := policy.Open(context.Background(), policy.Config{Source: policy.FS(fstest.MapFS{
		"authz.rego": {Data: []byte("package authz\n\nallow if input.action ==")},
		"orgs/granite.org_0123456789abcdef/org.rego": {Data: []byte("package org\n\ndeny contains \"x\" if data.authz.allow")},
	})})
	fmt.Println(err)
	// Output:
	// policy: invalid: 2 problems
	//   authz.rego:3:24: unexpected eof token
	//   orgs/granite.org_0123456789abcdef/org.rego:3:22: an organization's policy may read only input, data.org and data.orgauthz, each written out
}
