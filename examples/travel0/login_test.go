package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// login logs in and returns the token.
func (i *instance) login(body string) string {
	i.t.Helper()
	got := i.send(call{method: "POST", path: "/dev/login", body: body})
	return i.accessToken(got, "POST /dev/login "+body)
}

// accessToken is the token that was answered to a request.
func (i *instance) accessToken(got answer, what string) string {
	i.t.Helper()
	var issued struct {
		Token     string `json:"access_token"`
		Type      string `json:"token_type"`
		ExpiresIn int64  `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(got.body), &issued); err != nil || got.status != 201 || issued.Token == "" {
		i.t.Fatalf("%s = %d %s", what, got.status, got.body)
	}
	if issued.Type != "Bearer" || issued.ExpiresIn != 600 || got.header.Get("Cache-Control") != "no-store" {
		i.t.Errorf("%s: %+v, Cache-Control %q", what, issued, got.header.Get("Cache-Control"))
	}
	return issued.Token
}

func TestLogin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		status     int
		want       string // the whole body of a next step, or the organization of a token
		problem    string
	}{
		{"nothing is known", `{}`, 200, `{"next":{"do":"credentials","connections":["travel0-users"]}}`, ""},
		{"the organization is known", `{"organization":"granite-outpost"}`, 200,
			`{"next":{"do":"credentials","organization":"granite-outpost","connections":["granite-sso","travel0-users"]}}`, ""},
		{"a connection that is hidden", `{"organization":"rocky-mountain-high"}`, 200,
			`{"next":{"do":"credentials","organization":"rocky-mountain-high","connections":["travel0-users"]}}`, ""},
		{"one organization needs no picker", `{"email":"jonno@example.com"}`, 201, "rocky-mountain-high", ""},
		{"by the user's id", `{"user":"jonno"}`, 201, "rocky-mountain-high", ""},
		{"an address in upper case", `{"email":"Jonno@Example.com"}`, 201, "rocky-mountain-high", ""},
		{"two organizations do", `{"email":"emilio@example.com"}`, 200,
			`{"next":{"do":"picker","organizations":["rocky-mountain-high","granite-outpost"]}}`, ""},
		{"picked", `{"email":"emilio@example.com","organization":"rocky-mountain-high"}`, 201, "rocky-mountain-high", ""},
		{"picked by id", `{"email":"emilio@example.com","organization":"` + rockyID + `"}`, 201, "rocky-mountain-high", ""},
		{"two connections", `{"email":"emilio@example.com","organization":"granite-outpost"}`, 200,
			`{"next":{"do":"credentials","organization":"granite-outpost","connections":["granite-sso","travel0-users"]}}`, ""},
		{"one of them", `{"email":"emilio@example.com","organization":"granite-outpost","connection":"travel0-users"}`, 201, "granite-outpost", ""},
		{"the address leads to the identity provider", `{"email":"sumana@adventurez.example"}`, 201, "adventurez", ""},
		{"also for a hidden connection", `{"email":"sumana@adventurez.example","organization":"rocky-mountain-high"}`, 201, "rocky-mountain-high", ""},
		{"an identity provider's newcomer is no member", `{"email":"new@granite.example","organization":"granite-outpost"}`, 403, "", "login_refused"},
		{"nor the second time", `{"email":"new@granite.example","organization":"granite-outpost"}`, 403, "", "login_refused"},
		{"nor of any", `{"email":"new@granite.example"}`, 400, "", "bad_request"},
		{"no member there", `{"email":"jonno@example.com","organization":"granite-outpost","connection":"travel0-users"}`, 403, "", "login_refused"},
		{"not an account there", `{"user":"jonno","organization":"granite-outpost","connection":"granite-sso"}`, 403, "", "login_refused"},
		{"no account at all", `{"email":"nobody@example.com"}`, 403, "", "login_refused"},
		{"no address", `{"email":"nobody"}`, 403, "", "login_refused"},
		{"an address that cannot be read", `{"email":"a\u0000b@granite.example"}`, 400, "", "bad_request"},
		{"an unknown user", `{"user":"nobody"}`, 400, "", "bad_request"},
		{"a connection of another organization", `{"user":"sumana","organization":"granite-outpost","connection":"adventurez-sso"}`, 403, "", "login_refused"},
		{"an unknown connection", `{"user":"jonno","connection":"x"}`, 400, "", "bad_request"},
		{"an unknown organization", `{"user":"jonno","organization":"nowhere"}`, 400, "", "bad_request"},
		{"user and email", `{"user":"jonno","email":"jonno@example.com"}`, 400, "", "bad_request"},
		{"an unknown field", `{"user":"jonno","password":"x"}`, 400, "", "bad_request"},
		{"a wrong type", `{"user":1}`, 400, "", "bad_request"},
		{"no JSON", `user=jonno`, 400, "", "bad_request"},
		{"no body", ``, 400, "", "bad_request"},
	}
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				i := &instance{t: t, app: i.app, url: i.url}
				got := i.send(call{method: "POST", path: "/dev/login", body: tt.body})
				if got.status != tt.status {
					t.Fatalf("POST /dev/login %s = %d %s, want %d", tt.body, got.status, got.body, tt.status)
				}
				switch {
				case tt.problem != "":
					wantProblem(t, got, tt.problem)
				case tt.status == 200:
					wantJSON(t, got.body, tt.want)
				default:
					i.want(200, i.accessToken(got, tt.body), "GET", "/orgs/"+tt.want+"/adventures", "")
				}
			})
		}
	})
}

func TestMyOrganizations(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		for body, want := range map[string]string{
			`{"user":"jonno"}`: `{"organizations":[{"name":"rocky-mountain-high","roles":["guide"],"via":"membership"}]}`,
			`{"user":"emilio","organization":"rocky-mountain-high"}`: `{"organizations":[{"name":"granite-outpost","roles":["guide"],"via":"membership"},
				{"name":"rocky-mountain-high","roles":["guide"],"via":"membership"}]}`,
			`{"user":"sumana"}`: `{"organizations":[{"name":"adventurez","roles":["guide"],"via":"membership"},
				{"name":"rocky-mountain-high","roles":["guide"],"via":"contract"}]}`,
			`{"user":"lena"}`: `{"organizations":[{"name":"adventurez","roles":["guide"],"via":"membership"}]}`,
		} {
			wantJSON(t, i.want(200, i.login(body), "GET", "/me/organizations", ""), want)
		}
		wantProblem(t, i.send(call{method: "GET", path: "/me/organizations"}), "no_credentials")
		outsider := i.token("hiroko", "adventurez")
		wantProblem(t, i.send(call{method: "GET", path: "/me/organizations", token: outsider}), "no_organization_access")
	})
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		i := start(t, options{db: db})
		to := func(token, body string) answer {
			return i.send(call{method: "POST", path: "/me/switch", token: token, body: body})
		}

		// Emilio goes from Rocky to Granite without a new login. The token that he came with is Rocky's still.
		atRocky := i.login(`{"user":"emilio","organization":"rocky-mountain-high"}`)
		i.want(403, atRocky, "GET", granite+"/adventures", "")
		atGranite := i.accessToken(to(atRocky, `{"organization":"granite-outpost"}`), "switching")
		i.want(200, atGranite, "GET", granite+"/adventures", "")
		i.want(403, atGranite, "GET", rocky+"/adventures", "")
		i.want(200, atRocky, "GET", rocky+"/adventures", "")

		jonno := i.login(`{"user":"jonno"}`)
		for _, tt := range []struct {
			name, token, body string
			status            int
			problem           string
		}{
			{"no member there", jonno, `{"organization":"granite-outpost"}`, 403, "login_refused"},
			{"a connection that is not enabled there", i.login(`{"user":"hiroko","organization":"granite-outpost","connection":"travel0-users"}`),
				`{"organization":"adventurez"}`, 403, "login_refused"},
			{"an unknown organization", jonno, `{"organization":"nowhere"}`, 400, "bad_request"},
			{"no organization", jonno, `{}`, 400, "bad_request"},
			{"a token without a session", i.token("emilio", "rocky-mountain-high"), `{"organization":"granite-outpost"}`, 403, "login_refused"},
			{"no body", jonno, ``, 400, "bad_request"},
			{"an unknown field", jonno, `{"organization":"granite-outpost","user":"emilio"}`, 400, "bad_request"},
			{"a wrong type", jonno, `{"organization":["granite-outpost"]}`, 400, "bad_request"},
			{"no token", "", `{"organization":"granite-outpost"}`, 401, "no_credentials"},
		} {
			got := to(tt.token, tt.body)
			if got.status != tt.status {
				t.Errorf("%s = %d %s, want %d", tt.name, got.status, got.body, tt.status)
				continue
			}
			wantProblem(t, got, tt.problem)
		}

		// Removed, he is let into neither, by a switch or by a token that he has.
		i.want(204, i.token("granite-admin", "granite-outpost"), "DELETE", granite+"/members/emilio", "")
		wantProblem(t, to(atRocky, `{"organization":"granite-outpost"}`), "login_refused")
		i.want(403, atGranite, "GET", granite+"/adventures", "")
	})
}

// TestDevelopmentOnly: what lets in whoever asks says so when the program starts.
func TestDevelopmentOnly(t *testing.T) {
	t.Parallel()
	if text := start(t, options{}).log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, "development only") {
		t.Errorf("the log does not warn of the simulated logins:\n%s", text)
	}
}
