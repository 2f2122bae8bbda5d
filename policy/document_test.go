package policy

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// sameDocument fails unless policies see in as the equivalent JSON document.
func sameDocument(t *testing.T, in *Input) {
	t.Helper()
	var plain any = inputMap(in)
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	viaJSON, err := ast.ValueFromReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	direct, err := ast.InterfaceToValue(plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := document(in)
	if err != nil {
		t.Fatal(err)
	}
	if got.Value.Compare(direct) != 0 || direct.Compare(got.Value) != 0 {
		t.Errorf("document %v, want %v", got, direct)
	}
	if got.Value.Compare(viaJSON) != 0 {
		t.Errorf("document %v, by JSON %v", got, viaJSON)
	}
	if got.Value.Hash() != direct.Hash() {
		t.Error("equal values with different hashes")
	}
}

func TestDocumentEqualsJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		sameDocument(t, randomInput(r))
	}
	sameDocument(t, &Input{Subject: NewSubject(Token{}, Org{}, Member{})})
	sameDocument(t, benchInput())
}

func TestDocumentShape(t *testing.T) {
	t.Parallel()
	in := &Input{Action: "a", Subject: NewSubject(Token{}, Org{ID: "o"}, Member{}), Resource: json.RawMessage(`null`)}
	doc, err := document(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ast.JSON(doc.Value)
	if err != nil {
		t.Fatal(err)
	}
	empty := func() map[string]any { return map[string]any{} }
	want := map[string]any{
		"action":   "a",
		"request":  map[string]any{"params": empty()},
		"token":    map[string]any{"scopes": []any{}, "amr": []any{}},
		"org":      map[string]any{"id": "o", "metadata": empty()},
		"member":   map[string]any{"roles": []any{}, "permissions": []any{}, "metadata": empty()},
		"resource": nil,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// A Subject's key is equal exactly when what policies see is.
func TestSubjectKeyIsInjective(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	seen := map[string]ast.Value{}
	for range 5000 {
		in := randomInput(r)
		in.Request, in.Resource, in.Action = Request{}, nil, ""
		doc, err := document(in)
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[in.Subject.key]; ok && other.Compare(doc.Value) != 0 {
			t.Fatalf("one key for %v and %v", other, doc)
		}
		seen[in.Subject.key] = doc.Value
	}
	if len(seen) < 1000 {
		t.Errorf("only %d different subjects", len(seen))
	}
}

// FuzzSubjectKey puts the same texts in different places: neighbouring fields, list members, map keys and values.
func FuzzSubjectKey(f *testing.F) {
	f.Add("a", "b", "", int64(0))
	f.Add("\x01a", "\x00", "\x02", int64(-1))
	f.Add("id", "sub", "\xff\x00", int64(1<<62))
	f.Fuzz(func(t *testing.T, a, b, c string, n int64) {
		subjects := []*Subject{
			NewSubject(Token{Subject: a, Issuer: b, ClientID: c, AuthTime: n}, Org{}, Member{}),
			NewSubject(Token{Subject: a + b, Issuer: c, AuthTime: n}, Org{}, Member{}),
			NewSubject(Token{Scopes: []string{a, b}, AMR: []string{c}}, Org{}, Member{}),
			NewSubject(Token{Scopes: []string{a}, AMR: []string{b, c}}, Org{}, Member{}),
			NewSubject(Token{Scopes: []string{a + b + c}}, Org{}, Member{}),
			NewSubject(Token{}, Org{ID: a, Name: b, Metadata: map[string]string{a: b, c: a}}, Member{}),
			NewSubject(Token{}, Org{ID: a, Name: b, Metadata: map[string]string{a: b}}, Member{ID: c}),
			NewSubject(Token{}, Org{}, Member{Roles: []string{a, b}, Permissions: []string{c}}),
			NewSubject(Token{}, Org{}, Member{Roles: []string{a}, Permissions: []string{b, c}}),
			NewSubject(Token{}, Org{}, Member{Roles: []string{b, a}, Permissions: []string{c}}),
			NewSubject(Token{}, Org{}, Member{Metadata: map[string]string{a: b, b: c}}),
			NewSubject(Token{}, Org{Metadata: map[string]string{a: b, b: c}}, Member{}),
		}
		for i, s := range subjects {
			for _, o := range subjects[i+1:] {
				same := s.tokenTerm.Equal(o.tokenTerm) && s.orgTerm.Equal(o.orgTerm) && s.memberTerm.Equal(o.memberTerm)
				if (s.key == o.key) != same {
					t.Errorf("keys equal: %v, documents equal: %v\n%+v\n%+v", s.key == o.key, same, s, o)
				}
			}
		}
	})
}

// FuzzDocument compares the document that is built by hand with one that goes through JSON.
func FuzzDocument(f *testing.F) {
	f.Add("read:x", "GET", "id", "v", int64(1), []byte(`{"a":[1,2.5,null,"x"],"a":true}`))
	f.Add("", "", "", "", int64(0), []byte(``))
	f.Add("a", "b", "c", "d", int64(-1), []byte(` 1e5 `))
	f.Add("a", "b", "c", "d", int64(-1), []byte("{\"a\\u0000\\\"\": [\"\xff\", -0.5E-3, {}, [] , false], \"a\": 1, \"a\": 2}"))
	f.Fuzz(func(t *testing.T, action, method, name, value string, n int64, resource []byte) {
		for _, s := range []*string{&action, &method, &name, &value} {
			text, _ := json.Marshal(*s) // JSON can hold only valid UTF-8
			_ = json.Unmarshal(text, s)
		}
		in := &Input{
			Action: action, Request: Request{Method: method, Params: []Param{{name, value}}}, Resource: resource,
			Subject: NewSubject(Token{Subject: value, AuthTime: n, AMR: []string{name}}, Org{Metadata: map[string]string{name: value}},
				Member{Roles: []string{action, method}}),
		}
		if _, err := document(in); err != nil {
			return
		}
		if len(resource) > 0 && !json.Valid(resource) {
			t.Errorf("%q is not JSON", resource)
		}
		sameDocument(t, in)
	})
}
