package middleware

import (
	"net/http"
	"strings"
	"testing"
)

// wrapped hides what it wraps, or shows it.
type wrapped struct{ http.Handler }

func (w wrapped) Unwrap() http.Handler { return w.Handler }

func TestAudit(t *testing.T) {
	t.Parallel()
	g, other := guard(t, nil), guard(t, nil)
	h := http.HandlerFunc(ok)
	for name, tt := range map[string]struct {
		routes func(*Mux)
		public []string
		says   []string // nil: no error
	}{
		"all guarded": {func(m *Mux) {
			m.Handle("/orgs/{org}/a", g.Require("a", h))
			m.Handle("/orgs/{org}/b", g.Require("b", h))
		}, nil, nil},
		"guarded and public": {func(m *Mux) { m.Handle("/orgs/{org}/a", g.Require("a", h)); m.HandleFunc("GET /healthz", ok) }, []string{"GET /healthz"}, nil},
		"visibly wrapped":    {func(m *Mux) { m.Handle("/orgs/{org}/a", wrapped{wrapped{g.Require("a", h)}}) }, nil, nil},
		"below another Mux": {func(m *Mux) {
			below := NewMux()
			below.Handle("/x/{org}/a", g.Require("a", h))
			m.Handle("/x/", below)
		}, nil, nil},

		"forgotten": {func(m *Mux) { m.Handle("/orgs/{org}/a", g.Require("a", h)); m.Handle("/orgs/{org}/b", h) }, nil,
			[]string{`"/orgs/{org}/b" is not guarded`}},
		"two forgotten": {func(m *Mux) {
			m.Handle("/orgs/{org}/a", g.Require("a", h))
			m.Handle("/b", h)
			m.HandleFunc("/c", ok)
		}, nil, []string{`"/b" is not`, `"/c" is not`}},
		"forgotten below another Mux": {func(m *Mux) {
			below := NewMux()
			below.Handle("/x/{org}/a", g.Require("a", h))
			below.HandleFunc("/x/b", ok)
			m.Handle("/x/", below)
		}, nil, []string{`"/x/b" is not guarded`}},
		"hidden by a wrapper": {func(m *Mux) {
			m.Handle("/orgs/{org}/a", g.Require("a", h))
			m.Handle("/orgs/{org}/b", http.StripPrefix("/x", g.Require("b", h)))
		}, nil, []string{`"/orgs/{org}/b" is not guarded`}},
		"another guard's": {func(m *Mux) {
			m.Handle("/orgs/{org}/a", g.Require("a", h))
			m.Handle("/orgs/{org}/b", other.Require("b", h))
		}, nil, []string{`"/orgs/{org}/b" is not`}},
		"stale list":         {func(m *Mux) { m.Handle("/orgs/{org}/a", g.Require("a", h)) }, []string{"GET /gone"}, []string{`"GET /gone" is named public but is no route`}},
		"public but guarded": {func(m *Mux) { m.Handle("/orgs/{org}/a", g.Require("a", h)) }, []string{"/orgs/{org}/a"}, []string{`named public but guarded by "a"`, "nothing to audit"}},
		"nothing":            {func(*Mux) {}, nil, []string{"nothing to audit"}},
		"nothing but public": {func(m *Mux) { m.Handle("/a", h) }, []string{"/a"}, []string{"nothing to audit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := NewMux()
			tt.routes(mux)
			err := g.Audit(mux, tt.public...)
			if (err == nil) != (tt.says == nil) {
				t.Fatal(err)
			}
			for _, want := range tt.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("nothing about %s in %v", want, err)
				}
			}
		})
	}
}

// A Mux matches as http.ServeMux does, and a registration that fails leaves nothing behind.
func TestMux(t *testing.T) {
	t.Parallel()
	mux := NewMux()
	mux.HandleFunc("GET /a/{x}", ok)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a conflict is accepted")
			}
		}()
		mux.HandleFunc("GET /a/{y}", ok)
	}()
	if n := len(mux.all()); n != 1 {
		t.Errorf("%d routes", n)
	}
	if _, pattern := mux.Handler(request("GET", "/a/b", "")); pattern != "GET /a/{x}" {
		t.Error(pattern)
	}
	if w := serve(mux, request("GET", "/a/b", "")); w.Code != 200 {
		t.Error(w.Code)
	}
}
