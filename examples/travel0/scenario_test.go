package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/orgauthz/orgauthz/orgstore"
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

// Jonno guides for Rocky Mountain High only, which has no identity provider: he is in Travel0's database.
func TestJonnoIsInTheDatabase(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	jonno := i.login(`{"email":"jonno@example.com"}`) // nobody asks him for which organization
	i.want(200, jonno, "GET", rocky+"/adventures", "")
	for org, path := range map[string]string{"granite-outpost": granite, "adventurez": adventurez} {
		i.want(403, jonno, "GET", path+"/adventures", "")
		got := i.send(call{method: "POST", path: "/dev/login", body: `{"user":"jonno","organization":"` + org + `"}`})
		if got.status == 201 {
			t.Errorf("Jonno is let into %s: %s", org, got.body)
		}
	}
}

// Hiroko guides for Granite Outpost only. Her account is in Travel0's database, or with Granite's own identity provider, whose
// connection must then be enabled for Granite.
func TestHirokoLogsInAtEither(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		inTheDatabase := `{"user":"hiroko","organization":"granite-outpost","connection":"travel0-users"}`
		atGranite := `{"email":"hiroko@granite.example"}` // the address leads there
		for _, body := range []string{inTheDatabase, atGranite} {
			i.want(200, i.login(body), "GET", granite+"/adventures", "")
		}
		sso, err := i.app.engine.Connections.GetByName(t.Context(), graniteSSO)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := i.app.engine.EnabledConnections.Remove(t.Context(), graniteID, sso.ID); err != nil {
			t.Fatal(err)
		}
		i.want(200, i.login(inTheDatabase), "GET", granite+"/adventures", "")
		i.want(403, "", "POST", "/dev/login", `{"user":"hiroko","organization":"granite-outpost","connection":"granite-sso"}`)
	})
}

// Emilio is a freelancer at Rocky and at Granite: one account in the database, with two memberships. He picks one, and goes on to
// the other without a new login.
func TestEmilioHasTwoMemberships(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	wantJSON(t, i.want(200, "", "POST", "/dev/login", `{"email":"emilio@example.com"}`),
		`{"next":{"do":"picker","organizations":["rocky-mountain-high","granite-outpost"]}}`)
	atRocky := i.login(`{"email":"emilio@example.com","organization":"rocky-mountain-high"}`)
	i.want(201, atRocky, "POST", rocky+"/adventures/sunrise-summit/signups", "")
	atGranite := i.accessToken(i.send(call{method: "POST", path: "/me/switch", token: atRocky, body: `{"organization":"granite-outpost"}`}), "switch")
	i.want(201, atGranite, "POST", granite+"/adventures/ridge-traverse/signups", "")
	i.want(403, atGranite, "POST", granite+"/adventures/quarry-night-climb/signups", "") // which is kept for staff
}

// Or Emilio has two accounts, each with its own membership: one in the database, of Rocky, and one with Granite's identity provider.
// They are two people to Travel0.
func TestEmilioHasTwoAccounts(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	i.want(204, i.token("granite-admin", "granite-outpost"), "DELETE", granite+"/members/emilio", "")
	ticket := i.invite(`{"email":"emilio@granite.example","roles":["guide"],"employment":"freelance","connection":"granite-sso"}`)
	atGranite := i.login(`{"invitation":"` + ticket + `","email":"emilio@granite.example"}`)
	atRocky := i.login(`{"email":"emilio@example.com"}`) // of one organization, and not asked for which
	for token, at := range map[string]struct{ organizations, other string }{
		atGranite: {`{"organizations":[{"name":"granite-outpost","roles":["guide"],"via":"membership"}]}`, "rocky-mountain-high"},
		atRocky:   {`{"organizations":[{"name":"rocky-mountain-high","roles":["guide"],"via":"membership"}]}`, "granite-outpost"},
	} {
		wantJSON(t, i.want(200, token, "GET", "/me/organizations", ""), at.organizations)
		i.want(403, token, "POST", "/me/switch", `{"organization":"`+at.other+`"}`)
	}
}

// Rocky Mountain High has a contract that lets any employee of AdventureZ guide for it. Sumana is one; her ratings carry over, and
// combine between the two.
func TestSumanaGuidesUnderTheContract(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		home := i.login(`{"email":"sumana@adventurez.example"}`) // at AdventureZ's identity provider, which is enabled for Rocky too
		sumana := i.accessToken(i.send(call{method: "POST", path: "/me/switch", token: home, body: `{"organization":"rocky-mountain-high"}`}), "switch")
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
		i.want(403, "", "POST", "/dev/login", `{"email":"lena@adventurez.example","organization":"rocky-mountain-high"}`)
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
		i.want(403, home, "POST", "/me/switch", `{"organization":"rocky-mountain-high"}`)
		i.want(403, "", "POST", "/dev/login", `{"email":"sumana@adventurez.example","organization":"rocky-mountain-high"}`)
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

// Or Sumana is in the database, with a membership in either organization, the second of which needs no contract.
func TestSumanaHasTwoMemberships(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	ctx := t.Context()
	passwords, err := i.app.engine.Connections.GetByName(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.app.engine.EnabledConnections.Add(ctx, adventurezID, passwords.ID, orgstore.EnabledConnectionSettings{}); err != nil {
		t.Fatal(err)
	}
	const invited = `{"email":"sumana@adventurez.example","roles":["guide"],"connection":"travel0-users"}`
	atRocky := i.login(`{"email":"sumana@adventurez.example","invitation":"` + i.invitedBy("rocky-admin", "rocky-mountain-high", invited) + `"}`)
	i.want(200, atRocky, "POST", "/invitations/accept", `{"ticket":"`+i.invitedBy("adventurez-admin", "adventurez", invited)+`"}`)
	wantJSON(t, i.want(200, atRocky, "GET", "/me/organizations", ""), `{"organizations":[
		{"name":"adventurez","roles":["guide"],"via":"membership"},{"name":"rocky-mountain-high","roles":["guide"],"via":"membership"}]}`)
	home := i.accessToken(i.send(call{method: "POST", path: "/me/switch", token: atRocky, body: `{"organization":"adventurez"}`}), "switch")

	// Her ratings carry over as long as the contract shares them; she stays at both when it ends.
	const her = "travel0-users%7Csumana@adventurez.example"
	i.want(201, i.token("rocky-manager", "rocky-mountain-high"), "POST", rocky+"/guides/"+her+"/ratings", `{"stars":4}`)
	i.want(201, i.token("adventurez-manager", "adventurez"), "POST", adventurez+"/guides/"+her+"/ratings", `{"stars":5}`)
	if got := i.rated(home, adventurez, her); got != "[adventurez:1 rocky-mountain-high:1]" {
		t.Errorf("AdventureZ sees %s", got)
	}
	i.want(204, i.token("adventurez-admin", "adventurez"), "DELETE", adventurez+"/contracts/"+contractID, "")
	if got := i.rated(home, adventurez, her); got != "[adventurez:1]" {
		t.Errorf("without the contract AdventureZ sees %s", got)
	}
	i.want(200, atRocky, "GET", rocky+"/adventures", "")
	i.want(200, home, "GET", adventurez+"/adventures", "")
}

// Invited to Granite, Sumana is added through the database connection or Granite's identity provider: AdventureZ's is none of
// Granite's.
func TestSumanaIsInvitedToGranite(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		home := i.login(`{"email":"sumana@adventurez.example"}`)
		ticket := i.invite(`{"email":"sumana@adventurez.example","roles":["guide"],"employment":"freelance"}`)
		i.want(403, home, "POST", "/invitations/accept", `{"ticket":"`+ticket+`"}`)
		i.want(403, "", "POST", "/dev/login", `{"email":"sumana@adventurez.example","connection":"adventurez-sso","invitation":"`+ticket+`"}`)
		i.want(200, i.login(`{"email":"sumana@adventurez.example","connection":"travel0-users","invitation":"`+ticket+`"}`),
			"GET", granite+"/adventures", "")

		ticket = i.invite(`{"email":"sumana@granite.example","roles":["guide"],"employment":"freelance","connection":"granite-sso"}`)
		i.want(200, i.login(`{"email":"sumana@granite.example","invitation":"`+ticket+`"}`), "GET", granite+"/adventures", "")
		i.want(200, home, "GET", adventurez+"/adventures", "")
	})
}
