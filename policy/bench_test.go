package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
)

// benchPolicy is a product policy of ordinary size: roles, ownership, an obligation, a restriction.
const benchPolicy = `package authz

default allow := false

allow if {
	permitted
	not suspended
}

allow if {
	permitted
	input.resource.owner == input.token.sub
}

permitted if input.action in input.member.permissions

suspended if input.org.status != "active"

deny contains "staff_only" if {
	input.resource.staff_only
	input.member.metadata.employment == "freelance"
	not "admin" in input.member.roles
}

deny contains {"code": "step_up", "acr": "mfa"} if {
	startswith(input.action, "delete:")
	input.token.acr != "mfa"
}

obligations := {"fields": fields}

fields contains field if {
	some field in ["id", "name", "price"]
	permitted
}
`

// benchOrg asks the organization's own policy as well.
const benchOrg = `package org

deny contains "closed" if {
	input.resource.closed
	not "admin" in input.member.roles
}
`

func benchInput() *Input {
	return &Input{
		Action: "create:signups",
		Request: Request{
			Method: "POST", Pattern: "POST /orgs/{org}/adventures/{id}/signups",
			Params: []Param{{"org", "granite-outpost"}, {"id", "adv_42"}},
		},
		Subject: NewSubject(
			Token{
				Subject: "auth0|emilio", Issuer: "https://travel0.example/", ClientID: "web",
				Scopes: []string{"openid", "profile"}, AMR: []string{"pwd"}, ACR: "mfa", AuthTime: 1_700_000_000,
			},
			Org{ID: "org_0123456789abcdef", Name: "granite-outpost", Status: "active", Metadata: map[string]string{"plan": "pro"}},
			Member{
				ID: "auth0|emilio", Kind: "freelancer", Roles: []string{"guide"},
				Permissions: []string{"read:adventures", "create:signups", "read:ratings"},
				Metadata:    map[string]string{"employment": "staff"},
			},
		),
		Resource: json.RawMessage(`{"id":"adv_42","owner":"auth0|hiroko","staff_only":true,"price":120.5,"tags":["ice","rope"]}`),
	}
}

func openBench(b *testing.B, config Config, files fstest.MapFS) *Engine {
	b.Helper()
	config.Source = FS(files)
	config.PollInterval, config.Timeout = -1, time.Minute
	e, err := Open(b.Context(), config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	return e
}

// BenchmarkDecide compares, in one run, a decision from the cache, an evaluation by the engine with the input built for it, and
// what OPA's documentation shows for the same policy and input: a prepared query, and the input as a map. The least of five
// runs in turn, 1 core of an AMD EPYC, Go 1.26: from the cache 58 ns without an allocation; ordinary policy with a resource
// 20.1 µs to 42.1 µs (0.48), with an organization's own 22.3 µs; built-in policy 5.6 µs to 20.0 µs (0.28).
func BenchmarkDecide(b *testing.B) {
	product := fstest.MapFS{"authz.rego": {Data: []byte(benchPolicy)}}
	withOrg := maps.Clone(product)
	withOrg["orgs/granite.org_0123456789abcdef/org.rego"] = &fstest.MapFile{Data: []byte(benchOrg)}
	in := benchInput()

	engine := func(config Config, files fstest.MapFS, in *Input) func(b *testing.B) {
		return func(b *testing.B) {
			e := openBench(b, config, files)
			b.ReportAllocs()
			for b.Loop() {
				if d, err := e.Decide(b.Context(), in); err != nil || !d.Allow {
					b.Fatal(d, err)
				}
			}
		}
	}
	b.Run("cached", engine(Config{}, product, in))
	b.Run("uncached", engine(Config{CacheBytes: -1}, product, in))
	b.Run("uncached, own policy", engine(Config{CacheBytes: -1}, withOrg, in))

	b.Run("opa, input as a map", opaAsDocumented(benchPolicy, in))

	small := *in
	small.Resource = nil
	b.Run("built-in policy, uncached", engine(Config{CacheBytes: -1}, nil, &small))
	b.Run("built-in policy, opa, input as a map", opaAsDocumented(builtInPolicy, &small))
	b.Run("cached, all cores", func(b *testing.B) {
		e := openBench(b, Config{}, product)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if d, err := e.Decide(b.Context(), in); err != nil || !d.Allow {
					b.Error(d, err)
				}
			}
		})
	})
}

func opaAsDocumented(policy string, in *Input) func(b *testing.B) {
	return func(b *testing.B) {
		query, err := rego.New(rego.Query("data.authz"), rego.Module("authz.rego", policy),
			rego.StrictBuiltinErrors(true)).PrepareForEval(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			results, err := query.Eval(b.Context(), rego.EvalInput(inputMap(in)))
			if err != nil || results[0].Expressions[0].Value.(map[string]any)["allow"] != true {
				b.Fatal(results, err)
			}
		}
	}
}

// inputMap is the document of in as a program without this package would build it.
func inputMap(in *Input) map[string]any {
	set := func(m map[string]any, key, value string) {
		if value != "" {
			m[key] = value
		}
	}
	list := func(texts []string) []any {
		l := make([]any, 0, len(texts))
		for _, s := range texts {
			l = append(l, s)
		}
		return l
	}
	object := func(texts map[string]string) map[string]any {
		m := make(map[string]any, len(texts))
		for k, v := range texts {
			m[k] = v
		}
		return m
	}
	t, o, m := in.Subject.Token(), in.Subject.Org(), in.Subject.Member()
	token := map[string]any{"scopes": list(t.Scopes), "amr": list(t.AMR)}
	set(token, "sub", t.Subject)
	set(token, "iss", t.Issuer)
	set(token, "client_id", t.ClientID)
	set(token, "acr", t.ACR)
	if t.AuthTime != 0 {
		token["auth_time"] = t.AuthTime
	}
	org := map[string]any{"metadata": object(o.Metadata)}
	set(org, "id", o.ID)
	set(org, "name", o.Name)
	set(org, "status", o.Status)
	member := map[string]any{"roles": list(m.Roles), "permissions": list(m.Permissions), "metadata": object(m.Metadata)}
	set(member, "id", m.ID)
	set(member, "kind", m.Kind)
	set(member, "via", m.Via)
	for _, s := range o.Shares {
		share := map[string]any{}
		set(share, "name", s.Name)
		set(share, "direction", s.Direction)
		set(share, "with", s.With)
		shares, _ := org["shares"].([]any)
		org["shares"] = append(shares, share)
	}
	for _, c := range m.Contracts {
		contract := map[string]any{}
		set(contract, "id", c.ID)
		set(contract, "guest", c.Guest)
		contracts, _ := member["contracts"].([]any)
		member["contracts"] = append(contracts, contract)
	}
	params := map[string]any{}
	for _, p := range in.Request.Params {
		params[p.Name] = p.Value
	}
	request := map[string]any{"params": params}
	set(request, "method", in.Request.Method)
	set(request, "pattern", in.Request.Pattern)
	doc := map[string]any{"request": request, "token": token, "org": org, "member": member}
	set(doc, "action", in.Action)
	if len(in.Resource) > 0 {
		var v any
		dec := json.NewDecoder(bytes.NewReader(in.Resource))
		dec.UseNumber() // as OPA reads JSON
		if err := dec.Decode(&v); err != nil {
			panic(err)
		}
		doc["resource"] = v
	}
	return doc
}

func BenchmarkNewSubject(b *testing.B) {
	s := benchInput().Subject
	b.ReportAllocs()
	for b.Loop() {
		NewSubject(s.token, s.org, s.member)
	}
}
