package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"
)

// randomInput draws from few values, so that equal and nearly equal inputs come often.
func randomInput(r *rand.Rand) *Input {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	some := func(list ...string) []string {
		var out []string
		for _, s := range list {
			if r.IntN(2) == 0 {
				out = append(out, s)
			}
		}
		return out
	}
	meta := func() map[string]string {
		if r.IntN(3) == 0 {
			return nil
		}
		return map[string]string{pick("a", "b"): pick("", "a", "b")}
	}
	var shares []Share
	var contracts []Contract
	for range r.IntN(3) {
		shares = append(shares, Share{Name: pick("", "a", "b"), Direction: pick("both", ""), With: pick("", "a")})
	}
	for range r.IntN(3) {
		contracts = append(contracts, Contract{ID: pick("", "a", "b"), Guest: pick("", "a")})
	}
	in := &Input{
		Action:  pick("a", "b", "ab", ""),
		Request: Request{Method: pick("GET", "HEAD", "POST"), Pattern: pick("/x", "/{id}")},
		Subject: NewSubject(
			Token{
				Subject: pick("", "a", "b"), Issuer: pick("", "a"), ClientID: pick("", "a"), Scopes: some("a", "b"),
				ACR: pick("", "a"), AMR: some("a", "b"), AuthTime: int64(r.IntN(3)) - 1,
			},
			Org{ID: pick(granite, rocky, ""), Name: pick("", "a"), Status: pick("", "active"), Metadata: meta(), Shares: shares},
			Member{Via: pick("", "a"), Contracts: contracts, ID: pick("", "a"), Kind: pick("", "a"), Roles: some("a", "b"), Permissions: some("a", "b", "ab"), Metadata: meta()},
		),
	}
	if r.IntN(2) == 0 {
		in.Request.Params = []Param{{pick("id", "x"), pick("", "a", "b")}}
	}
	if resource := pick("", "null", `{"owner":"a"}`, `{"owner":"b"}`, `{"owner":["a"]}`, `1`); resource != "" {
		in.Resource = json.RawMessage(resource)
	}
	return in
}

// oddPolicies read all parts of the input, so that a decision from the cache that forgot one of them is wrong.
var oddPolicies = files("authz.rego", `package authz
default allow := false
allow if input.action in input.member.permissions
allow if data.org.allow
allow if input.resource.owner == input.token.sub
deny contains "null" if input.resource == null
deny contains input.request.params.id if input.request.method == "POST"
deny contains {"at": input.token.auth_time, "acr": input.token.acr}
obligations := {"in": input}`,
	"granite", `package org
allow if input.org.metadata.a == input.member.metadata.b
deny contains {"scopes": input.token.scopes, "amr": input.token.amr} if "a" in input.member.roles
deny contains "bad" if to_number(input.member.metadata.a) > 1`)

func TestCachedEqualsUncached(t *testing.T) {
	t.Parallel()
	cached, _ := open(t, oddPolicies, Config{CacheBytes: 256 << 10}) // small: entries are replaced
	direct, _ := open(t, oddPolicies, Config{CacheBytes: -1})
	r := rand.New(rand.NewPCG(1, 2))
	hits, outcomes := 0, map[Outcome]int{}
	inputs := make([]*Input, 200)
	for i := range inputs {
		inputs[i] = randomInput(r)
	}
	for range 4000 {
		in := inputs[r.IntN(len(inputs))]
		got, want := decide(t, cached, in), decide(t, direct, in)
		if got.Cached {
			hits++
		}
		outcomes[got.Outcome]++
		got.Cached = false
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("cached %+v, direct %+v, for %+v", got, want, in)
		}
		if total := cached.cache.bytes.Load(); total > cached.cache.limit {
			t.Fatalf("%d bytes of %d", total, cached.cache.limit)
		}
	}
	if hits < 1000 || outcomes[Allowed] == 0 || outcomes[Denied] == 0 || outcomes[Failed] == 0 {
		t.Errorf("%d hits, outcomes %v: the test does not say much", hits, outcomes)
	}
}

// The test above must be able to fail: a cache whose entries forget a part of the input gives wrong decisions.
func TestCacheThatForgetsIsSeen(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*Input) *Input{
		"action":   func(in *Input) *Input { c := *in; c.Action = ""; return &c },
		"request":  func(in *Input) *Input { c := *in; c.Request = Request{}; return &c },
		"resource": func(in *Input) *Input { c := *in; c.Resource = nil; return &c },
		"subject":  func(in *Input) *Input { c := *in; c.Subject = NewSubject(Token{}, in.Subject.org, Member{}); return &c },
	} {
		direct, _ := open(t, oddPolicies, Config{CacheBytes: -1})
		forgetful := newCache(1 << 20)
		r, wrong := rand.New(rand.NewPCG(1, 2)), false
		subjects := make([]*Subject, 8)
		for i := range subjects {
			subjects[i] = randomInput(r).Subject
		}
		for range 5000 {
			in := randomInput(r)
			if name != "subject" {
				in.Subject = subjects[r.IntN(len(subjects))]
			}
			want, key := decide(t, direct, in), forget(in)
			hash := forgetful.hash(1, 1, key)
			if hit := forgetful.get(hash, 1, 1, key); hit != nil && !reflect.DeepEqual(hit.decision, want) {
				wrong = true
				break
			}
			forgetful.put(hash, 1, 1, key, want)
		}
		if !wrong {
			t.Errorf("nobody notices a cache that forgets the %s", name)
		}
	}
}

func TestCacheTellsApart(t *testing.T) {
	t.Parallel()
	base := func() *Input {
		in := member(granite, "a")
		in.Request.Params = []Param{{"x", "y"}}
		return in
	}
	c := newCache(1 << 20)
	for name, change := range map[string]func(*Input){
		"action":          func(in *Input) { in.Action = "b" },
		"method":          func(in *Input) { in.Request.Method = "HEAD" },
		"pattern":         func(in *Input) { in.Request.Pattern = "GET /y" },
		"param's value":   func(in *Input) { in.Request.Params = []Param{{"x", "z"}} },
		"param's name":    func(in *Input) { in.Request.Params = []Param{{"z", "y"}} },
		"shifted param":   func(in *Input) { in.Request.Params = []Param{{"xy", ""}} },
		"no params":       func(in *Input) { in.Request.Params = nil },
		"more params":     func(in *Input) { in.Request.Params = append(in.Request.Params, Param{}) },
		"null resource":   func(in *Input) { in.Resource = json.RawMessage("null") },
		"resource":        func(in *Input) { in.Resource = json.RawMessage("{}") },
		"shifted text":    func(in *Input) { in.Action, in.Request.Method = "aG", "ET" },
		"subject's token": func(in *Input) { in.Subject = NewSubject(Token{Subject: "v"}, in.Subject.org, in.Subject.member) },
		"subject's members": func(in *Input) {
			in.Subject = NewSubject(in.Subject.token, in.Subject.org, Member{ID: "u", Roles: []string{"x"}})
		},
	} {
		in, other := base(), base()
		change(other)
		h := c.hash(1, 2, in)
		c.put(h, 1, 2, in, Decision{Outcome: Allowed})
		if c.get(h, 1, 2, in) == nil || c.get(c.hash(1, 2, base()), 1, 2, base()) == nil {
			t.Errorf("%s: the same question is not found", name)
		}
		if c.get(h, 1, 2, other) != nil { // even where the hashes collide
			t.Errorf("%s makes no difference", name)
		}
		if c.get(h, 3, 2, in) != nil || c.get(h, 1, 3, in) != nil {
			t.Error("the programs make no difference")
		}
	}
}

func TestCacheKeepsNoMemoryOfTheCaller(t *testing.T) {
	t.Parallel()
	c, in := newCache(1<<20), member(granite, "a")
	in.Resource = json.RawMessage(`{"a":1}`)
	in.Request.Params = []Param{{"x", "y"}}
	h := c.hash(1, 0, in)
	c.put(h, 1, 0, in, Decision{Outcome: Denied})
	copy(in.Resource, `{"a":2}`)
	if c.get(h, 1, 0, in) != nil {
		t.Error("the resource's bytes are shared")
	}
	copy(in.Resource, `{"a":1}`)
	in.Request.Params[0].Value = "z"
	if c.get(h, 1, 0, in) != nil {
		t.Error("the parameters are shared")
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := newCache(128 << 10)
	in := member(granite, "a")
	in.Resource = make(json.RawMessage, 4<<10)
	c.put(c.hash(1, 0, in), 1, 0, in, Decision{})
	if c.bytes.Load() != 0 {
		t.Error("an entry larger than its share was stored")
	}
	in.Resource = nil
	big := Decision{Reasons: []any{map[string]any{"x": string(make([]byte, 4<<10))}}}
	c.put(c.hash(1, 0, in), 1, 0, in, big)
	if c.bytes.Load() != 0 {
		t.Error("a decision larger than its share was stored")
	}

	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				in := member(granite, fmt.Sprint(w, i%1000))
				in.Resource = make(json.RawMessage, 1000+i%100)
				h := c.hash(1, 0, in)
				if c.get(h, 1, 0, in) == nil {
					c.put(h, 1, 0, in, Decision{Outcome: Denied})
				}
			}
		})
	}
	wg.Wait()
	held := int64(0)
	for i := range c.sets {
		for j := range c.sets[i] {
			if e := c.sets[i][j].Load(); e != nil {
				held += e.size
			}
		}
	}
	if held != c.bytes.Load() || held > c.limit || held < c.limit/4 {
		t.Errorf("holds %d, counts %d, limit %d", held, c.bytes.Load(), c.limit)
	}
	if newCache(-1) != nil || newCache(100) != nil {
		t.Error("a cache without room")
	}
}

func TestWhatIsNotCached(t *testing.T) {
	t.Parallel()
	const plain, clock = "package authz\nallow := true", "package authz\nallow if time.now_ns() > 0"
	now := time.Unix(1000, 0)
	for name, test := range map[string]struct {
		files []string
		want  bool
	}{
		"plain":                  {[]string{"a.rego", plain}, true},
		"clock":                  {[]string{"a.rego", clock}, false},
		"clock in another file":  {[]string{"a.rego", plain, "b.rego", "package authz.b\nx := time.now_ns()"}, false},
		"random by with":         {[]string{"a.rego", "package authz\nallow if f(\"a\") with f as uuid.rfc4122\nf(_) := 1"}, false},
		"random":                 {[]string{"a.rego", "package authz\nallow if rand.intn(\"a\", 1) == 0"}, false},
		"uuid":                   {[]string{"a.rego", "package authz\nallow if uuid.rfc4122(\"a\")"}, false},
		"certificates":           {[]string{"a.rego", "package authz\nallow if not crypto.x509.parse_and_verify_certificates(\"\")[0]"}, false},
		"failing":                {[]string{"a.rego", "package authz\nallow if to_number(input.action) == 1"}, false},
		"an organization's own":  {[]string{"a.rego", plain, "granite", "package org\ndeny contains 1"}, false},
		"organization's, plain":  {[]string{"a.rego", plain, "granite", "package org\ndeny contains \"x\" if input.action == \"b\""}, true},
		"text that names clocks": {[]string{"a.rego", plain + "\nx := \"time.now_ns\" # time.now_ns()"}, true},
	} {
		e, err := Open(t.Context(), Config{
			Source: FS(files(test.files...)), PollInterval: -1, Timeout: time.Minute, Clock: func() time.Time { return now },
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		decide(t, e, member(granite, "a"))
		if d := decide(t, e, member(granite, "a")); d.Cached != test.want {
			t.Errorf("%s: cached %v", name, d.Cached)
		}
		_ = e.Close()
	}
}

// A decision by an earlier revision is not served by the next one; one that does not depend on what changed is.
func TestCacheAndReload(t *testing.T) {
	t.Parallel()
	source := files("authz.rego", allowAll, "granite", nothing, "rocky", nothing)
	e, _ := open(t, source, Config{})
	w := &watcher{engine: e}
	for _, org := range []string{granite, rocky} {
		decide(t, e, member(org, "a"))
	}
	before := e.Revision()
	source[graniteIn].Data = []byte(refuseAll)
	w.look(t.Context())
	w.look(t.Context())
	if d := decide(t, e, member(granite, "a")); d.Outcome != Denied || d.Cached {
		t.Errorf("granite: %+v", d)
	}
	if d := decide(t, e, member(rocky, "a")); !d.Cached || d.Revision == before || d.Revision != e.Revision() {
		t.Errorf("rocky: %+v", d)
	}
	delete(source, graniteIn)
	w.look(t.Context())
	w.look(t.Context())
	if d := decide(t, e, member(granite, "a")); d.Outcome != Allowed || d.Cached {
		t.Errorf("granite, without a policy: %+v", d)
	}
}

func TestCacheHitAllocatesNothing(t *testing.T) {
	e, _ := open(t, files("a.rego", benchPolicy), Config{})
	in := benchInput()
	decide(t, e, in)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = e.Decide(ctx, in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
