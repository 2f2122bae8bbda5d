package main

import (
	"encoding/json"
	"testing"
)

// invite sends an invitation of Granite Outpost and returns its ticket.
func (i *instance) invite(body string) string {
	i.t.Helper()
	return i.invitedBy("granite-admin", "granite-outpost", body)
}

// invitedBy sends an invitation of an organization and returns its ticket.
func (i *instance) invitedBy(admin, org, body string) string {
	i.t.Helper()
	var made struct{ Ticket string }
	text := i.want(201, i.token(admin, org), "POST", "/orgs/"+org+"/invitations", body)
	if err := json.Unmarshal([]byte(text), &made); err != nil || made.Ticket == "" {
		i.t.Fatalf("inviting %s: %s, %v", body, text, err)
	}
	return made.Ticket
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		accept := func(token, ticket string) answer {
			return i.send(call{method: "POST", path: "/invitations/accept", token: token, body: `{"ticket":"` + ticket + `"}`})
		}
		jonno, emilio := i.login(`{"user":"jonno"}`), i.login(`{"user":"emilio","organization":"rocky-mountain-high"}`)
		i.want(403, jonno, "POST", "/me/switch", `{"organization":"granite-outpost"}`)

		// Jonno is invited, and accepts with the account that he is logged in with: for another it does not open.
		replaced := i.invite(`{"email":"jonno@example.com","roles":["manager"]}`)
		ticket := i.invite(`{"email":"Jonno@Example.com","roles":["guide"],"employment":"freelance"}`)
		for name, got := range map[string]answer{
			"an invitation that another replaced": accept(jonno, replaced), "an unknown one": accept(jonno, "x"), "none": accept(jonno, ""),
		} {
			if got.status != 404 {
				t.Errorf("%s = %d %s, want 404", name, got.status, got.body)
			}
			wantProblem(t, got, "not_found")
		}
		if got := accept(emilio, ticket); got.status != 403 {
			t.Errorf("another account = %d %s, want 403", got.status, got.body)
		}
		if got := accept("", ticket); got.status != 401 {
			t.Errorf("without a token = %d, want 401", got.status)
		}
		for _, body := range []string{``, `{`, `{"ticket":1}`, `{"ticket":null}`, `{"ticket":"x","user":"jonno"}`} {
			wantProblem(t, i.send(call{method: "POST", path: "/invitations/accept", token: jonno, body: body}), "bad_request")
		}
		got := accept(jonno, ticket)
		wantJSON(t, got.body, `{"organization":"granite-outpost","joined":true,"roles":["guide"]}`)
		if got := accept(jonno, ticket); got.status != 404 {
			t.Errorf("accepting twice = %d %s, want 404", got.status, got.body)
		}

		// He is what he was invited as: a freelancer, whom Granite's own policy knows.
		atGranite := i.accessToken(i.send(call{method: "POST", path: "/me/switch", token: jonno, body: `{"organization":"granite-outpost"}`}), "switch")
		i.want(201, atGranite, "POST", granite+"/adventures/ridge-traverse/signups", "")
		i.want(403, atGranite, "POST", granite+"/adventures/quarry-night-climb/signups", "")

		// A member already is given the roles.
		wantJSON(t, accept(jonno, i.invite(`{"email":"jonno@example.com","roles":["manager"]}`)).body,
			`{"organization":"granite-outpost","joined":false,"roles":["manager"]}`)
		i.want(200, atGranite, "GET", granite+"/members", "")

		// The list tells how each ended, and shows no ticket.
		var list struct{ Invitations []invitation }
		if err := json.Unmarshal([]byte(i.want(200, i.token("granite-admin", "granite-outpost"), "GET", granite+"/invitations", "")), &list); err != nil {
			t.Fatal(err)
		}
		statuses := map[string]int{}
		for _, one := range list.Invitations {
			statuses[string(one.Status)]++
			if one.Ticket != "" || one.ID == "" || one.Email == "" || len(one.Roles) != 1 || one.ExpiresAt.IsZero() {
				t.Errorf("the list has %+v", one)
			}
		}
		if statuses["accepted"] != 2 || statuses["revoked"] != 1 || len(list.Invitations) != 3 {
			t.Errorf("the list has %v", statuses)
		}
	})
}

// TestLoginWithInvitation: whoever has no account yet gets one by logging in with the invitation.
func TestLoginWithInvitation(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		with := func(ticket, more string) answer {
			return i.send(call{method: "POST", path: "/dev/login", body: `{"invitation":"` + ticket + `"` + more + `}`})
		}
		ticket := i.invite(`{"email":"mina@example.com","roles":["guide"]}`)
		// An account is made for whoever is invited, and for nobody else.
		i.want(403, "", "POST", "/dev/login", `{"email":"mina@example.com","organization":"granite-outpost","connection":"travel0-users"}`)
		for name, got := range map[string]answer{
			"another address":             with(ticket, `,"email":"other@example.com","connection":"travel0-users"`),
			"another's account":           with(ticket, `,"user":"emilio","connection":"travel0-users"`),
			"another identity provider's": with(ticket, `,"email":"new@granite.example"`),
		} {
			if got.status != 403 {
				t.Errorf("%s = %d %s, want 403", name, got.status, got.body)
			}
		}
		wantJSON(t, with(ticket, "").body,
			`{"next":{"do":"credentials","organization":"granite-outpost","connections":["granite-sso","travel0-users"]}}`)
		wantProblem(t, with(ticket, `,"organization":"granite-outpost"`), "bad_request")
		wantProblem(t, with("x", `,"email":"mina@example.com"`), "not_found")

		mina := i.accessToken(with(ticket, `,"email":"mina@example.com","connection":"travel0-users"`), "logging in with the invitation")
		i.want(200, mina, "GET", granite+"/adventures", "")
		wantProblem(t, with(ticket, `,"email":"mina@example.com","connection":"travel0-users"`), "not_found")
		// From then on she logs in without.
		i.want(200, i.login(`{"email":"mina@example.com"}`), "GET", granite+"/adventures", "")

		// An invitation for one connection is for no other, and leads there.
		ticket = i.invite(`{"email":"kai@granite.example","roles":["manager"],"connection":"granite-sso"}`)
		if got := with(ticket, `,"email":"kai@granite.example","connection":"travel0-users"`); got.status != 403 {
			t.Errorf("through another connection = %d %s, want 403", got.status, got.body)
		}
		kai := i.accessToken(with(ticket, `,"email":"kai@granite.example"`), "logging in with the invitation")
		i.want(200, kai, "GET", granite+"/members", "")
	})
}
