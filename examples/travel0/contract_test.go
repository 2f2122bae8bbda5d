package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestRoutes drives every row of the API's table that succeeds, and the refusals that are a row's own.
func TestRoutes(t *testing.T) {
	t.Parallel()
	const (
		granite    = "/orgs/granite-outpost"
		adventurez = "/orgs/adventurez"
		rocky      = "/orgs/rocky-mountain-high"
	)
	graniteAdventures := `{"adventures":[
		{"id":"quarry-night-climb","name":"Quarry night climb","staff_only":true},
		{"id":"ridge-traverse","name":"Ridge traverse","staff_only":false}]}`
	theContract := `{"contracts":[{"id":"` + contractID + `","name":"AdventureZ guides for Rocky Mountain High","host":"rocky-mountain-high",
		"guest":"adventurez","kinds":["employee"],"shares":["ratings"]}]}`
	tests := []struct {
		name         string
		user         string // with a token for the path's organization
		method, path string
		body         string
		status       int
		want         string // the whole body; empty: see problem
		problem      string // the problem's code
	}{
		{"a guide lists adventures", "emilio", "GET", granite + "/adventures", "", 200, graniteAdventures, ""},
		{"a manager lists adventures", "granite-manager", "GET", granite + "/adventures", "", 200, graniteAdventures, ""},
		{"an admin lists adventures", "granite-admin", "GET", granite + "/adventures", "", 200, graniteAdventures, ""},
		{"by the organization's id", "hiroko", "GET", "/orgs/" + graniteID + "/adventures", "", 200, graniteAdventures, ""},
		{"another organization has its own", "sumana", "GET", adventurez + "/adventures", "", 200, `{"adventures":[
			{"id":"canyon-zip-line","name":"Canyon zip line","staff_only":false},
			{"id":"white-water-rafting","name":"White water rafting","staff_only":false}]}`, ""},
		{"the third has its own", "jonno", "GET", rocky + "/adventures", "", 200, `{"adventures":[
			{"id":"alpine-lakes-loop","name":"Alpine lakes loop","staff_only":false},
			{"id":"sunrise-summit","name":"Sunrise summit","staff_only":false}]}`, ""},

		{"a guide creates no adventure", "hiroko", "POST", granite + "/adventures", `{"name":"x"}`, 403, "", "insufficient_scope"},
		{"permission before the body", "hiroko", "POST", granite + "/adventures", `{"nonsense`, 403, "", "insufficient_scope"},
		{"an adventure needs a name", "rocky-manager", "POST", rocky + "/adventures", `{"staff_only":true}`, 422, "", "unprocessable_content"},
		{"an empty name", "rocky-manager", "POST", rocky + "/adventures", `{"name":""}`, 422, "", "unprocessable_content"},
		{"a blank name", "rocky-admin", "POST", rocky + "/adventures", `{"name":" \t"}`, 422, "", "unprocessable_content"},
		{"no JSON", "rocky-admin", "POST", rocky + "/adventures", `name=x`, 400, "", "bad_request"},
		{"no body", "rocky-admin", "POST", rocky + "/adventures", ``, 400, "", "bad_request"},
		{"JSON cut short", "rocky-admin", "POST", rocky + "/adventures", `{"name":"x"`, 400, "", "bad_request"},
		{"more behind the JSON", "rocky-admin", "POST", rocky + "/adventures", `{"name":"x"} {}`, 400, "", "bad_request"},
		{"a list instead of an object", "rocky-admin", "POST", rocky + "/adventures", `[]`, 400, "", "bad_request"},
		{"null instead of an object", "rocky-admin", "POST", rocky + "/adventures", `null`, 400, "", "bad_request"},
		{"an unknown field", "rocky-admin", "POST", rocky + "/adventures", `{"name":"x","nmae":"x"}`, 400, "", "bad_request"},
		{"a field in another case", "rocky-admin", "POST", rocky + "/adventures", `{"Name":"x"}`, 400, "", "bad_request"},
		{"a field twice", "rocky-admin", "POST", rocky + "/adventures", `{"name":"x","name":"y"}`, 400, "", "bad_request"},
		{"a wrong type", "rocky-admin", "POST", rocky + "/adventures", `{"name":1}`, 400, "", "bad_request"},
		{"null for a value", "rocky-admin", "POST", rocky + "/adventures", `{"name":null}`, 400, "", "bad_request"},
		{"no UTF-8", "rocky-admin", "POST", rocky + "/adventures", "{\"name\":\"a\xffb\"}", 400, "", "bad_request"},
		{"a name that cannot be read", "rocky-admin", "POST", rocky + "/adventures", `{"name":"a\u202eb"}`, 422, "", "unprocessable_content"},
		{"a body that is too large", "rocky-admin", "POST", rocky + "/adventures", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "", "content_too_large"},
		{"a body that is far too large", "rocky-admin", "POST", rocky + "/adventures", strings.Repeat("x", 12<<20), 413, "", "content_too_large"},

		{"a guide signs up", "hiroko", "POST", granite + "/adventures/ridge-traverse/signups", "", 201,
			`{"adventure":"ridge-traverse","user":"hiroko","signups":1}`, ""},
		{"signing up twice counts once", "hiroko", "POST", granite + "/adventures/ridge-traverse/signups", "", 201,
			`{"adventure":"ridge-traverse","user":"hiroko","signups":1}`, ""},
		{"a freelancer signs up where all may", "emilio", "POST", granite + "/adventures/ridge-traverse/signups", "", 201,
			`{"adventure":"ridge-traverse","user":"emilio","signups":2}`, ""},
		{"staff signs up for what is kept for staff", "hiroko", "POST", granite + "/adventures/quarry-night-climb/signups", "", 201,
			`{"adventure":"quarry-night-climb","user":"hiroko","signups":1}`, ""},
		{"an unknown adventure", "emilio", "POST", granite + "/adventures/nowhere/signups", "", 404, "", "not_found"},
		{"another organization's adventure", "emilio", "POST", granite + "/adventures/sunrise-summit/signups", "", 404, "", "not_found"},
		{"a manager does not sign up", "granite-manager", "POST", granite + "/adventures/ridge-traverse/signups", "", 403, "", "insufficient_scope"},
		{"nor for an unknown adventure", "granite-manager", "POST", granite + "/adventures/nowhere/signups", "", 403, "", "insufficient_scope"},

		{"ratings stay apart without a contract", "granite-admin", "GET", granite + "/guides/emilio/ratings", "", 200,
			`{"user":"emilio","count":2,"average":3.5,"ratings":[{"org":"granite-outpost","stars":3},{"org":"granite-outpost","stars":4}]}`, ""},
		{"and elsewhere", "jonno", "GET", rocky + "/guides/emilio/ratings", "", 200,
			`{"user":"emilio","count":1,"average":5,"ratings":[{"org":"rocky-mountain-high","stars":5}]}`, ""},
		{"ratings combine under the contract", "jonno", "GET", rocky + "/guides/sumana/ratings", "", 200,
			`{"user":"sumana","count":3,"average":4.333333333333333,"ratings":[
				{"org":"adventurez","stars":4},{"org":"adventurez","stars":5},{"org":"rocky-mountain-high","stars":4}]}`, ""},
		{"on its other end too", "adventurez-manager", "GET", adventurez + "/guides/sumana/ratings", "", 200,
			`{"user":"sumana","count":3,"average":4.333333333333333,"ratings":[
				{"org":"adventurez","stars":4},{"org":"adventurez","stars":5},{"org":"rocky-mountain-high","stars":4}]}`, ""},
		{"nobody has rated", "hiroko", "GET", granite + "/guides/granite-manager/ratings", "", 200,
			`{"user":"granite-manager","count":0,"average":null,"ratings":[]}`, ""},
		{"a manager rates a guide", "granite-manager", "POST", granite + "/guides/hiroko/ratings", `{"stars":1}`, 201, `{"user":"hiroko","stars":1}`, ""},
		{"who has that rating from then on", "hiroko", "GET", granite + "/guides/hiroko/ratings", "", 200,
			`{"user":"hiroko","count":4,"average":3.75,"ratings":[{"org":"granite-outpost","stars":1},{"org":"granite-outpost","stars":4},
				{"org":"granite-outpost","stars":5},{"org":"granite-outpost","stars":5}]}`, ""},
		{"a guide rates nobody", "hiroko", "POST", granite + "/guides/hiroko/ratings", `{"stars":5}`, 403, "", "insufficient_scope"},
		{"a rating that is none", "granite-admin", "POST", granite + "/guides/hiroko/ratings", `{"stars":6}`, 422, "", "unprocessable_content"},
		{"no rating", "granite-admin", "POST", granite + "/guides/hiroko/ratings", `{}`, 422, "", "unprocessable_content"},
		{"a rating in words", "granite-admin", "POST", granite + "/guides/hiroko/ratings", `{"stars":"5"}`, 400, "", "bad_request"},
		{"a rating of another organization's guide", "granite-admin", "POST", granite + "/guides/sumana/ratings", `{"stars":5}`, 404, "", "not_found"},
		{"a user who is no member there", "hiroko", "GET", granite + "/guides/sumana/ratings", "", 404, "", "not_found"},
		{"nobody at all", "hiroko", "GET", granite + "/guides/nobody/ratings", "", 404, "", "not_found"},

		{"a manager lists members", "adventurez-manager", "GET", adventurez + "/members", "", 200, `{"members":[
			{"user":"adventurez-admin","roles":["admin"]},{"user":"adventurez-manager","roles":["manager"]},{"user":"lena","roles":["guide"]},{"user":"sumana","roles":["guide"]}]}`, ""},
		{"an admin lists members", "adventurez-admin", "GET", adventurez + "/members", "", 200, `{"members":[
			{"user":"adventurez-admin","roles":["admin"]},{"user":"adventurez-manager","roles":["manager"]},{"user":"lena","roles":["guide"]},{"user":"sumana","roles":["guide"]}]}`, ""},
		{"a guide lists no members", "sumana", "GET", adventurez + "/members", "", 403, "", "insufficient_scope"},

		{"a manager lists contracts", "adventurez-manager", "GET", adventurez + "/contracts", "", 200, theContract, ""},
		{"on the other side too", "rocky-admin", "GET", rocky + "/contracts", "", 200, theContract, ""},
		{"who has none", "granite-admin", "GET", granite + "/contracts", "", 200, `{"contracts":[]}`, ""},
		{"a guide lists no contracts", "jonno", "GET", rocky + "/contracts", "", 403, "", "insufficient_scope"},
		{"a manager ends no contract", "rocky-manager", "DELETE", rocky + "/contracts/" + contractID, "", 403, "", "insufficient_scope"},
		{"an unknown contract", "rocky-admin", "DELETE", rocky + "/contracts/ctr_0000000000000000", "", 404, "", "not_found"},
		{"what can be no contract", "rocky-admin", "DELETE", rocky + "/contracts/x", "", 404, "", "not_found"},
		{"a third party's contract", "granite-admin", "DELETE", granite + "/contracts/" + contractID, "", 404, "", "not_found"},
		{"an admin ends a contract", "adventurez-admin", "DELETE", adventurez + "/contracts/" + contractID, "", 204, "", ""},
		{"for both sides", "rocky-admin", "DELETE", rocky + "/contracts/" + contractID, "", 404, "", "not_found"},

		{"nobody is invited", "granite-admin", "GET", granite + "/invitations", "", 200, `{"invitations":[]}`, ""},
		{"a manager lists no invitations", "granite-manager", "GET", granite + "/invitations", "", 403, "", "insufficient_scope"},
		{"a manager invites nobody", "granite-manager", "POST", granite + "/invitations", `{"email":"x@example.com","roles":["guide"]}`, 403, "", "insufficient_scope"},
		{"an invitation to nobody", "granite-admin", "POST", granite + "/invitations", `{"roles":["guide"]}`, 422, "", "unprocessable_content"},
		{"to what is no address", "granite-admin", "POST", granite + "/invitations", `{"email":"x","roles":["guide"]}`, 422, "", "unprocessable_content"},
		{"to no role", "granite-admin", "POST", granite + "/invitations", `{"email":"x@example.com"}`, 422, "", "unprocessable_content"},
		{"to an unknown role", "granite-admin", "POST", granite + "/invitations", `{"email":"x@example.com","roles":["king"]}`, 422, "", "unprocessable_content"},
		{"as what nobody can be", "granite-admin", "POST", granite + "/invitations", `{"email":"x@example.com","roles":["guide"],"employment":"owner"}`, 422, "", "unprocessable_content"},
		{"through a connection that is not there", "granite-admin", "POST", granite + "/invitations",
			`{"email":"x@example.com","roles":["guide"],"connection":"x"}`, 422, "", "unprocessable_content"},
		{"through another organization's", "granite-admin", "POST", granite + "/invitations",
			`{"email":"x@example.com","roles":["guide"],"connection":"adventurez-sso"}`, 422, "", "unprocessable_content"},
		{"an invitation with an unknown field", "granite-admin", "POST", granite + "/invitations", `{"email":"x@example.com","role":"guide"}`, 400, "", "bad_request"},
		{"an invitation of a wrong type", "granite-admin", "POST", granite + "/invitations", `{"email":["x@example.com"]}`, 400, "", "bad_request"},
		{"an invitation without a body", "granite-admin", "POST", granite + "/invitations", ``, 400, "", "bad_request"},
		{"none of them has invited anybody", "granite-admin", "GET", granite + "/invitations", "", 200, `{"invitations":[]}`, ""},

		{"a manager adds no member", "granite-manager", "POST", granite + "/members", `{"user":"jonno","roles":["guide"]}`, 403, "", "insufficient_scope"},
		{"an unknown user", "granite-admin", "POST", granite + "/members", `{"user":"nobody","roles":["guide"]}`, 422, "", "unprocessable_content"},
		{"no user", "granite-admin", "POST", granite + "/members", `{"roles":["guide"]}`, 422, "", "unprocessable_content"},
		{"an unknown role", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":["guide","king"]}`, 422, "", "unprocessable_content"},
		{"no role", "granite-admin", "POST", granite + "/members", `{"user":"jonno"}`, 422, "", "unprocessable_content"},
		{"an empty list of roles", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":[]}`, 422, "", "unprocessable_content"},
		{"an unknown employment", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":["guide"],"employment":"owner"}`, 422, "", "unprocessable_content"},
		{"roles of a wrong type", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":"guide"}`, 400, "", "bad_request"},
		{"null among the roles", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":[null]}`, 400, "", "bad_request"},
		{"a member already", "granite-admin", "POST", granite + "/members", `{"user":"hiroko","roles":["admin"]}`, 409, "", "conflict"},
		{"an admin adds a member", "granite-admin", "POST", granite + "/members", `{"user":"jonno","roles":["guide","guide"],"employment":"freelance"}`, 201,
			`{"user":"jonno","roles":["guide"]}`, ""},
		{"whom the organization's policy knows", "jonno", "POST", granite + "/adventures/quarry-night-climb/signups", "", 403, "", "policy_denied"},

		{"a manager removes no member", "granite-manager", "DELETE", granite + "/members/jonno", "", 403, "", "insufficient_scope"},
		{"nor an unknown one", "granite-manager", "DELETE", granite + "/members/nobody", "", 403, "", "insufficient_scope"},
		{"an admin removes no unknown member", "granite-admin", "DELETE", granite + "/members/nobody", "", 404, "", "not_found"},
		{"nor another organization's", "granite-admin", "DELETE", granite + "/members/sumana", "", 404, "", "not_found"},
		{"an admin removes a member", "granite-admin", "DELETE", granite + "/members/jonno", "", 204, "", ""},
		{"once", "granite-admin", "DELETE", granite + "/members/jonno", "", 404, "", "not_found"},
		{"who is refused at once", "jonno", "GET", granite + "/adventures", "", 403, "", "no_organization_access"},
	}
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		for _, tt := range tests { // in order: later rows see what earlier ones did
			t.Run(tt.name, func(t *testing.T) {
				i := &instance{t: t, app: i.app, url: i.url}
				got := i.as(tt.user, tt.method, tt.path, tt.body)
				if got.status != tt.status {
					t.Fatalf("%s %s = %d %s, want %d", tt.method, tt.path, got.status, got.body, tt.status)
				}
				switch {
				case tt.problem != "":
					wantProblem(t, got, tt.problem)
				case tt.want != "":
					wantJSON(t, got.body, tt.want)
				case got.body != "":
					t.Errorf("body %q, want none", got.body)
				}
			})
		}
	})
}

// wantProblem asserts the shape of a refusal: its media type, its code, and the challenge that goes with it or not.
func wantProblem(t testing.TB, got answer, code string) {
	t.Helper()
	if ct := got.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type %q, want application/problem+json", ct)
	}
	var p struct {
		Type, Title, Detail, Error string
		Status                     int
	}
	if err := json.Unmarshal([]byte(got.body), &p); err != nil {
		t.Fatalf("problem %q: %v", got.body, err)
	}
	if p.Status != got.status || p.Title == "" {
		t.Errorf("problem %s: status or title is wrong for a %d", got.body, got.status)
	}
	switch code {
	case "bad_request", "not_found", "conflict", "content_too_large", "unprocessable_content": // the handlers' own
		if p.Detail == "" && code != "not_found" {
			t.Errorf("problem %s does not say what was wrong", got.body)
		}
	case "login_refused":
		if p.Detail == "" || p.Error == "" {
			t.Errorf("problem %s does not say what was wrong", got.body)
		}
	default:
		if want := "urn:orgauthz:problem:" + code; p.Type != want {
			t.Errorf("problem type %q, want %q", p.Type, want)
		}
	}
	challenge := got.header.Get("WWW-Authenticate")
	if has := strings.Contains(challenge, `error="insufficient_scope"`); has != (code == "insufficient_scope") {
		t.Errorf("challenge %q with a problem of type %s", challenge, code)
	}
}

func TestCreatedAdventureIsListed(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	got := i.as("rocky-manager", "POST", "/orgs/rocky-mountain-high/adventures", `{"name":" Glacier walk ","staff_only":true}`)
	var a adventure
	if err := json.Unmarshal([]byte(got.body), &a); err != nil || got.status != http.StatusCreated {
		t.Fatalf("creating = %d %s", got.status, got.body)
	}
	if a.ID == "" || a.Name != "Glacier walk" || !a.StaffOnly {
		t.Errorf("created %+v", a)
	}
	list := i.as("jonno", "GET", "/orgs/rocky-mountain-high/adventures", "")
	if !strings.Contains(list.body, a.ID) {
		t.Errorf("the new adventure %s is not in %s", a.ID, list.body)
	}
	// Only Granite Outpost's own policy restricts freelancers: Rocky Mountain High has none.
	if got := i.as("emilio", "POST", "/orgs/rocky-mountain-high/adventures/"+a.ID+"/signups", ""); got.status != http.StatusCreated {
		t.Errorf("a freelancer signing up elsewhere = %d %s", got.status, got.body)
	}
}

func TestStaffOnlyReason(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	got := i.as("emilio", "POST", "/orgs/granite-outpost/adventures/quarry-night-climb/signups", "")
	if got.status != http.StatusForbidden {
		t.Fatalf("status %d, want 403", got.status)
	}
	wantProblem(t, got, "policy_denied")
	var p struct{ Reasons []string }
	if err := json.Unmarshal([]byte(got.body), &p); err != nil || len(p.Reasons) != 1 || p.Reasons[0] != "staff_only" {
		t.Errorf(`body %s, want "reasons":["staff_only"]`, got.body)
	}
}

func TestEveryRouteIsGuardedOrPublic(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	if err := i.app.guard.Audit(i.app.routes(), publicRoutes...); err != nil {
		t.Error(err)
	}
}

func TestPublicRoutes(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	if got := i.send(call{method: "GET", path: "/healthz"}); got.status != 200 {
		t.Errorf("GET /healthz = %d", got.status)
	}
	got := i.send(call{method: "GET", path: "/.well-known/jwks.json"})
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(got.body), &set); err != nil || got.status != 200 || len(set.Keys) != 1 {
		t.Fatalf("the JWKS is %d %s", got.status, got.body)
	}
	for _, private := range []string{"d", "p", "q"} {
		if _, ok := set.Keys[0][private]; ok {
			t.Errorf("the JWKS publishes the private member %q", private)
		}
	}
}

func TestDemoTokens(t *testing.T) {
	t.Parallel()
	i := start(t, options{})
	tests := []struct {
		name, body string
		status     int
		expiresIn  int64 // when 201
	}{
		{"default lifetime", `{"user":"emilio","org":"granite-outpost"}`, 201, 600},
		{"by the organization's id", `{"user":"emilio","org":"` + graniteID + `"}`, 201, 600},
		{"not a member", `{"user":"hiroko","org":"adventurez"}`, 201, 600},
		{"a day", `{"user":"emilio","org":"granite-outpost","expires_in":86400}`, 201, 86400},
		{"one second", `{"user":"emilio","org":"granite-outpost","expires_in":1}`, 201, 1},
		{"expired", `{"user":"emilio","org":"granite-outpost","expires_in":-31}`, 201, -31},
		{"expired for ever", `{"user":"emilio","org":"granite-outpost","expires_in":-9223372036854775808}`, 201, -1 << 63},
		{"over a day", `{"user":"emilio","org":"granite-outpost","expires_in":86401}`, 400, 0},
		{"zero", `{"user":"emilio","org":"granite-outpost","expires_in":0}`, 400, 0},
		{"within the skew", `{"user":"emilio","org":"granite-outpost","expires_in":-30}`, 400, 0},
		{"a fraction", `{"user":"emilio","org":"granite-outpost","expires_in":1.5}`, 400, 0},
		{"text", `{"user":"emilio","org":"granite-outpost","expires_in":"60"}`, 400, 0},
		{"null", `{"user":"emilio","org":"granite-outpost","expires_in":null}`, 400, 0},
		{"too large a number", `{"user":"emilio","org":"granite-outpost","expires_in":1e99}`, 400, 0},
		{"an unknown user", `{"user":"nobody","org":"granite-outpost"}`, 400, 0},
		{"an unknown organization", `{"user":"emilio","org":"nowhere"}`, 400, 0},
		{"an unknown organization's id", `{"user":"emilio","org":"org_0000000000000000"}`, 400, 0},
		{"no user", `{"org":"granite-outpost"}`, 400, 0},
		{"nothing", `{}`, 400, 0},
		{"an unknown field", `{"user":"emilio","org":"granite-outpost","role":"admin"}`, 400, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := &instance{t: t, url: i.url}
			got := i.send(call{method: "POST", path: "/dev/tokens", body: tt.body})
			if got.status != tt.status {
				t.Fatalf("status %d %s, want %d", got.status, got.body, tt.status)
			}
			if tt.status != 201 {
				wantProblem(t, got, "bad_request")
				return
			}
			var minted struct {
				Token     string `json:"access_token"`
				Type      string `json:"token_type"`
				ExpiresIn int64  `json:"expires_in"`
			}
			if err := json.Unmarshal([]byte(got.body), &minted); err != nil {
				t.Fatal(err)
			}
			if minted.Token == "" || minted.Type != "Bearer" || minted.ExpiresIn != tt.expiresIn {
				t.Errorf("minted %+v", minted)
			}
			if tt.expiresIn < 0 {
				got := i.send(call{method: "GET", path: "/orgs/granite-outpost/adventures", token: minted.Token})
				if got.status != 401 {
					t.Errorf("an expired token got %d %s", got.status, got.body)
				}
			}
		})
	}
}
