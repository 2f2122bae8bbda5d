package middleware

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	routes := func(mux interface {
		HandleFunc(string, func(http.ResponseWriter, *http.Request))
	}) {
		mux.HandleFunc("GET /things", ok)
		mux.HandleFunc("POST /things", ok)
		mux.HandleFunc("GET /tree/", ok)
		mux.HandleFunc("GET /own-404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "mine", 404) })
		mux.HandleFunc("GET /own-405", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "mine", 405) })
	}
	std, own := http.NewServeMux(), NewMux()
	routes(std)
	routes(own)
	for name, h := range map[string]http.Handler{"http.ServeMux": Problems(std), "Mux": Problems(own)} {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		client := server.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		for _, tt := range []struct {
			method, path string
			status       int
			body         string
			allow        string
			location     string
		}{
			{method: "GET", path: "/things", status: 200, body: "ok"},
			{method: "GET", path: "/nothing", status: 404, body: bodyNotFound},
			{method: "HEAD", path: "/nothing", status: 404},
			{method: "DELETE", path: "/things", status: 405, body: bodyNotAllowed, allow: "GET, HEAD, POST"},
			{method: "get", path: "/things", status: 405, body: bodyNotAllowed, allow: "GET, HEAD, POST"},
			{method: "OPTIONS", path: "/things", status: 405, body: bodyNotAllowed, allow: "GET, HEAD, POST"},
			{method: "GET", path: "/own-404", status: 404, body: "mine\n"},
			{method: "GET", path: "/own-405", status: 405, body: "mine\n"},
			{method: "GET", path: "/tree", status: 307, location: "/tree/"},
			{method: "GET", path: "/x/../things", status: 307, location: "/things"},
			{method: "GET", path: "/x/../nothing", status: 307, location: "/nothing"},
		} {
			t.Run(name+" "+tt.method+" "+tt.path, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), tt.method, server.URL+tt.path, nil)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != tt.status || answer.Header.Get("Allow") != tt.allow || answer.Header.Get("Location") != tt.location {
					t.Errorf("%d %v", answer.StatusCode, answer.Header)
				}
				if tt.location == "" && string(body) != tt.body {
					t.Errorf("body %s", body)
				}
				problem := answer.Header.Get("Content-Type") == "application/problem+json"
				if want := strings.HasPrefix(tt.body, "{") || tt.method == "HEAD"; problem != want {
					t.Errorf("content type %s", answer.Header.Get("Content-Type"))
				}
				if tt.method == "HEAD" && answer.ContentLength != int64(len(bodyNotFound)) {
					t.Errorf("HEAD has length %d", answer.ContentLength)
				}
			})
		}
	}
}

// A registered handler gets the server's own writer, with all that it can do.
func TestProblemsLeavesWritersAlone(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "first")
		w.(http.Flusher).Flush()
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		if _, can := w.(io.ReaderFrom); !can {
			t.Error("ReaderFrom is hidden")
		}
	})
	server := httptest.NewServer(Problems(mux))
	defer server.Close()
	answer, err := server.Client().Get(server.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if line, _ := bufio.NewReader(answer.Body).ReadString('\n'); line != "first\n" {
		t.Errorf("%q", line)
	}
	w := &ownAnswer{ResponseWriter: httptest.NewRecorder()}
	if err := http.NewResponseController(w).Flush(); err != nil {
		t.Error(err)
	}
}

func TestProblemsOfServerWideRequest(t *testing.T) {
	t.Parallel()
	r := request("OPTIONS", "/", "")
	r.RequestURI, r.URL.Path = "*", "*"
	if w := serve(Problems(http.NewServeMux()), r); w.Code != 400 {
		t.Error(w.Code)
	}
}

func TestWriteProblem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		problem Problem
		status  int
		body    string
	}{
		"status only": {Problem{Status: 409}, 409, `{"title":"Conflict","status":409}`},
		"all":         {Problem{Status: 422, Type: "urn:x", Title: "No", Detail: "a < b"}, 422, `{"type":"urn:x","title":"No","status":422,"detail":"a \u003c b"}`},
		"extra": {Problem{Status: 400, Extra: map[string]any{"b": 1, "a": []string{"x"}, "status": 200, "instance": "/orgs/secret"}}, 400,
			`{"title":"Bad Request","status":400,"a":["x"],"b":1}`},
		"extra without a JSON form": {Problem{Status: 400, Extra: map[string]any{"a": make(chan int)}}, 400, `{"title":"Bad Request","status":400}`},
		"no status":                 {Problem{Detail: "x"}, 500, `{"title":"Internal Server Error","status":500,"detail":"x"}`},
		"no error":                  {Problem{Status: 200}, 500, `{"title":"Internal Server Error","status":500}`},
	} {
		w := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv")
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Content-Length", "9999")
			WriteProblem(w, tt.problem)
		}), request("GET", "/", ""))
		if w.Code != tt.status || w.Body.String() != tt.body+"\n" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s %v", name, w.Code, w.Body, w.Header())
		}
		if w.Header().Get("ETag") != "" || w.Header().Get("Content-Length") != fmt.Sprint(len(tt.body)+1) {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
	w := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=5")
		WriteProblem(w, Problem{Status: 404})
	}), request("GET", "/", ""))
	if w.Header().Get("Cache-Control") != "max-age=5" {
		t.Error("the handler's Cache-Control is lost")
	}
}
