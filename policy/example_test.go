package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing/fstest"
	"time"

	"github.com/orgauthz/orgauthz/policy"
)

// budget is larger than the default, which is wall time, so that the examples decide on a machine with much else to do.
const budget = time.Minute

func Example() {
	ctx := context.Background()
	rules, err := policy.Open(ctx, policy.Config{Source: policy.Dir("testdata/policies"), Timeout: budget})
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
	rules, err := policy.Open(ctx, policy.Config{Timeout: budget})
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

// The product's policy decides what an organization's own policy may add: here a grant for one action, and obligations beside
// the product's own, which win.
func Example_organization() {
	ctx := context.Background()
	rules, err := policy.Open(ctx, policy.Config{Timeout: budget, Source: policy.FS(fstest.MapFS{
		"authz.rego": {Data: []byte(`package authz

default allow := false

allow if input.action in input.member.permissions

allow if {
	input.action == "read:adventures"
	data.org.allow
}

default theirs := {}

theirs := data.org.obligations

obligations := object.union(theirs, {"mask": ["phone"]})
`)},
		"orgs/granite-outpost.org_0123456789abcdef/org.rego": {Data: []byte(`package org

allow if input.member.kind == "guest"

obligations := {"limit": 10, "mask": []}
`)},
	})})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rules.Close()

	for _, org := range []string{"org_0123456789abcdef", "org_fedcba9876543210"} {
		for _, permissions := range [][]string{nil, {"read:adventures"}} {
			guest := policy.NewSubject(policy.Token{}, policy.Org{ID: org}, policy.Member{Kind: "guest", Permissions: permissions})
			decision, err := rules.Decide(ctx, &policy.Input{Action: "read:adventures", Subject: guest})
			fmt.Println(org, permissions, decision.Outcome, decision.Obligations, err)
		}
	}
	// Output:
	// org_0123456789abcdef [] allowed map[limit:10 mask:[phone]] <nil>
	// org_0123456789abcdef [read:adventures] allowed map[limit:10 mask:[phone]] <nil>
	// org_fedcba9876543210 [] denied map[] <nil>
	// org_fedcba9876543210 [read:adventures] allowed map[mask:[phone]] <nil>
}
