package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestQuickstart(t *testing.T) {
	api, token := newAPI(t.Context())
	server := httptest.NewServer(api)
	defer server.Close()
	for _, tt := range []struct {
		name, path, token string
		status            int
		body              string // empty: not looked at
	}{
		{"a member", "/orgs/acme/adventures", token, 200, "Hello auth0|ada, [guide] at acme\n"},
		{"another organization", "/orgs/evil/adventures", token, 403, ""},
		{"no token", "/orgs/acme/adventures", "", 401, ""},
		{"no route", "/", token, 404, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.status || tt.body != "" && string(body) != tt.body {
			t.Errorf("%s: %d %q, %v; want %d %q", tt.name, res.StatusCode, body, err, tt.status, tt.body)
		}
	}
}
