package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/orgauthz/orgauthz/policy"
)

// The fakes cost about what a map look-up does, so what is measured is the Guard: the difference to the bare handler.
func benchmark(b *testing.B, h http.Handler) {
	mux := http.NewServeMux()
	mux.Handle("GET /orgs/{org}/things/{id}", h)
	r := request("GET", "/orgs/acme/things/7", "ada")
	var w discard
	mux.ServeHTTP(&w, r)
	if w.status != 0 && w.status != http.StatusNoContent {
		b.Fatal(w.status)
	}
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(&w, r)
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func noContent(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func BenchmarkBare(b *testing.B) { benchmark(b, http.HandlerFunc(noContent)) }

func BenchmarkWarm(b *testing.B) {
	g := guard(b, answering(policy.Decision{Allow: true, Outcome: policy.Allowed}))
	benchmark(b, g.RequireFunc("read:things", noContent))
}

// With all three answers at hand a request costs two allocations: what it carries through the Guard, and its copy with a
// context.
func TestWarmAllocations(t *testing.T) {
	g := guard(t, answering(policy.Decision{Allow: true, Outcome: policy.Allowed}))
	per := func(h http.Handler) float64 {
		mux := http.NewServeMux()
		mux.Handle("GET /orgs/{org}/things/{id}", h)
		r := request("GET", "/orgs/acme/things/7", "ada")
		var w discard
		return testing.AllocsPerRun(100, func() { mux.ServeHTTP(&w, r) })
	}
	if bare, guarded := per(http.HandlerFunc(noContent)), per(g.RequireFunc("read:things", noContent)); guarded-bare > 2 {
		t.Errorf("%v allocations, %v without the Guard", guarded, bare)
	}
}

func BenchmarkPermissionMatch(b *testing.B) {
	benchmark(b, guard(b, nil).RequireFunc("read:things", noContent))
}

func BenchmarkResource(b *testing.B) {
	g := guard(b, answering(policy.Decision{Allow: true, Outcome: policy.Allowed}))
	type adventure struct{ Name string }
	benchmark(b, g.RequireFunc("read:things", noContent, Resource(func(*http.Request, *Principal) (*adventure, error) {
		return &adventure{"x"}, nil
	})))
}

func BenchmarkWarmParallel(b *testing.B) {
	g := guard(b, answering(policy.Decision{Allow: true, Outcome: policy.Allowed}))
	mux := http.NewServeMux()
	mux.Handle("GET /orgs/{org}/things/{id}", g.RequireFunc("read:things", noContent))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r := request("GET", "/orgs/acme/things/7", "ada")
		var w discard
		for pb.Next() {
			mux.ServeHTTP(&w, r)
		}
	})
}

func BenchmarkDenied(b *testing.B) {
	g := guard(b, answering(policy.Decision{Outcome: policy.Denied}))
	h := g.RequireFunc("write:things", noContent)
	mux := http.NewServeMux()
	mux.Handle("GET /orgs/{org}/things/{id}", h)
	r := request("GET", "/orgs/acme/things/7", "ada")
	b.ReportAllocs()
	for b.Loop() {
		mux.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkProblems(b *testing.B) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orgs/{org}/things/{id}", noContent)
	h := Problems(mux)
	r := request("GET", "/orgs/acme/things/7", "ada")
	var w discard
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&w, r)
	}
}
