package claimstest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/claims/claimstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestEndpointDoesAsItIsTold(t *testing.T) {
	t.Parallel()
	issuer := claimstest.NewIssuer(t)
	remote, inMemory := issuer.RemoteInMemory()
	overHTTP := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for name, endpoint := range map[string]struct {
		client *http.Client
		url    string
	}{"in memory": {inMemory, remote.JWKSURL}, "over HTTP": {overHTTP, issuer.Remote().JWKSURL}} {
		answer := func() (int, string) { return get(t, endpoint.client, endpoint.url) }
		before := issuer.Fetches()
		if status, body := answer(); status != http.StatusOK || !strings.Contains(body, issuer.KeyID()) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		issuer.Fail(http.StatusTeapot)
		if status, _ := answer(); status != http.StatusTeapot {
			t.Errorf("%s: %d after Fail", name, status)
		}
		issuer.Heal()
		issuer.Serve([]byte("other"))
		if status, body := answer(); status != http.StatusOK || body != "other" {
			t.Errorf("%s: %d %s after Serve", name, status, body)
		}
		issuer.Heal()
		issuer.Hang()
		client := *endpoint.client
		client.Timeout = 10 * time.Millisecond
		if status, body := get(t, &client, endpoint.url); status != 0 {
			t.Errorf("%s: %d %s while hanging", name, status, body)
		}
		issuer.Heal()
		old := issuer.KeyID()
		issuer.Rotate()
		if _, body := answer(); strings.Contains(body, old) || !strings.Contains(body, issuer.KeyID()) {
			t.Errorf("%s: %s after a rotation", name, body)
		}
		if n := issuer.Fetches() - before; n != 5 {
			t.Errorf("%s: %d fetches", name, n)
		}
	}
}

func TestHostileTokensHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	tokens := map[string]bool{}
	for _, h := range claimstest.NewIssuer(t).Hostile() {
		if seen[h.Name] || tokens[h.Token] || h.Code == "" || h.Code == claims.CodeKeysUnavailable {
			t.Errorf("%+v: a name or a token twice, or no code of a refusal", h)
		}
		seen[h.Name], tokens[h.Token] = true, true
	}
}
