package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The scenario of Travel0: three customers, and four people who show where credentials and memberships live. Each test tells of
// one of them.

const (
	granite    = "/orgs/granite-outpost"
	adventurez = "/orgs/adventurez"
	rocky      = "/orgs/rocky-mountain-high"
)

// want sends a request with a token and asserts what is answered, without the rest of the body.
func (i *instance) want(status int, token, method, path, body string) string {
	i.t.Helper()
	got := i.send(call{method: method, path: path, token: token, body: body})
	if got.status != status {
		i.t.Fatalf("%s %s = %d %s, want %d", method, path, got.status, got.body, status)
	}
	return got.body
}

// rated is how many ratings of a guide an organization sees, and of whom.
func (i *instance) rated(token, org, guide string) string {
	i.t.Helper()
	var answer struct{ Ratings []rating }
	if err := json.Unmarshal([]byte(i.want(200, token, "GET", org+"/guides/"+guide+"/ratings", "")), &answer); err != nil {
		i.t.Fatal(err)
	}
	count := map[string]int{}
	for _, r := range answer.Ratings {
		count[r.Org]++
	}
	return strings.TrimPrefix(fmt.Sprint(count), "map")
}

// Rocky Mountain High has a contract that lets any employee of AdventureZ guide for it. Sumana is one; her ratings carry over, and
// combine between the two.
func TestSumanaGuidesUnderTheContract(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		sumana, home := i.token("sumana", "rocky-mountain-high"), i.token("sumana", "adventurez")
		lena, jonno := i.token("lena", "rocky-mountain-high"), i.token("jonno", "rocky-mountain-high")
		manager, admin := i.token("rocky-manager", "rocky-mountain-high"), i.token("rocky-admin", "rocky-mountain-high")

		// She reads and guides there, and is no member.
		i.want(200, sumana, "GET", rocky+"/adventures", "")
		i.want(201, sumana, "POST", rocky+"/adventures/sunrise-summit/signups", "")
		i.want(403, sumana, "POST", rocky+"/adventures", `{"name":"x"}`)
		if members := i.want(200, manager, "GET", rocky+"/members", ""); strings.Contains(members, "sumana") {
			t.Errorf("the contract has made Sumana a member: %s", members)
		}
		// It admits employees: not AdventureZ's freelancers, and nobody of Rocky at AdventureZ.
		i.want(403, lena, "GET", rocky+"/adventures", "")
		i.want(403, i.token("jonno", "adventurez"), "GET", adventurez+"/adventures", "")

		// Rocky rates her, and both see what she has earned at either.
		i.want(201, manager, "POST", rocky+"/guides/sumana/ratings", `{"stars":5}`)
		i.want(404, manager, "POST", rocky+"/guides/lena/ratings", `{"stars":5}`)
		for token, org := range map[string]string{jonno: rocky, home: adventurez} {
			if got := i.rated(token, org, "sumana"); got != "[adventurez:2 rocky-mountain-high:2]" {
				t.Errorf("%s sees %s", org, got)
			}
		}

		// The contract ends: at once, for tokens that are still good, and the ratings are apart again.
		i.want(204, admin, "DELETE", rocky+"/contracts/"+contractID, "")
		i.want(403, sumana, "GET", rocky+"/adventures", "")
		i.want(404, jonno, "GET", rocky+"/guides/sumana/ratings", "")
		if got := i.rated(home, adventurez, "sumana"); got != "[adventurez:2]" {
			t.Errorf("without the contract AdventureZ sees %s", got)
		}
		i.want(200, home, "GET", adventurez+"/adventures", "")
	})
}

// Whoever leaves AdventureZ is out at Rocky too, and whoever joins is in.
func TestTheContractFollowsEmployment(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	sumana, lena := i.token("sumana", "rocky-mountain-high"), i.token("lena", "rocky-mountain-high")
	admin := i.token("adventurez-admin", "adventurez")
	i.want(200, sumana, "GET", rocky+"/adventures", "")
	i.want(204, admin, "DELETE", adventurez+"/members/sumana", "")
	i.want(403, sumana, "GET", rocky+"/adventures", "")

	i.want(204, admin, "DELETE", adventurez+"/members/lena", "")
	i.want(201, admin, "POST", adventurez+"/members", `{"user":"lena","roles":["guide"],"employment":"staff"}`)
	i.want(200, lena, "GET", rocky+"/adventures", "")
}
