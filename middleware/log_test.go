package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/orgauthz/orgauthz/claims"
	"github.com/orgauthz/orgauthz/policy"
)

func TestDecisionLog(t *testing.T) {
	t.Parallel()
	const fingerprintOfAda = "fdee430d" // sha256("ada")
	for name, tt := range map[string]struct {
		config func(*Config)
		bearer string
		want   map[string]any
		not    []string
	}{
		"allowed": {nil, "ada", map[string]any{
			"level": "DEBUG", "outcome": "allowed", "action": "read:things", "method": "GET", "org": acme, "subject": "ada",
			"pattern": "GET /orgs/{org}/things/{id}", "token": fingerprintOfAda, "revision": "permission match",
		}, []string{"code"}},
		"allowed at Info": {func(c *Config) { c.AllowLevel = slog.LevelInfo }, "ada", map[string]any{"level": "INFO", "outcome": "allowed"}, nil},
		"denied": {answering(policy.Decision{Outcome: policy.Denied, Revision: "r7"}), "ada", map[string]any{
			"level": "INFO", "outcome": "refused", "code": "policy_denied", "org": acme, "subject": "ada", "token": fingerprintOfAda, "revision": "r7",
		}, nil},
		"denied with reasons": {
			answering(policy.Decision{Outcome: policy.Denied, Reasons: []any{"closed\n", map[string]any{"a": "b"}}}), "ada",
			map[string]any{"code": "policy_denied", "reasons": `["closed\n",{"a":"b"}]`}, nil,
		},
		"no token": {nil, "", map[string]any{"level": "INFO", "outcome": "refused", "code": "no_credentials", "subject": ""}, []string{"token"}},
		"not a member": {nil, "ada-elsewhere", map[string]any{
			"level": "INFO", "code": "no_organization_access", "cause": "not_member", "org": bravo, "subject": "ada",
		}, nil},
		"unknown": {failingPolicy(errors.New("down\nlevel=INFO msg=forged")), "ada", map[string]any{
			"level": "WARN", "outcome": "unknown", "code": "unavailable", "cause": "policy", "error": "down\uFFFDlevel=INFO msg=forged",
		}, nil},
		"panic": {verifying(func(context.Context, string) (*claims.Claims, error) { panic("a token") }), "ada", map[string]any{
			"level": "WARN", "code": "unavailable", "cause": "verifier", "error": "middleware: panic with a string",
		}, nil},
		"cause of the verifier": {verifying(func(context.Context, string) (*claims.Claims, error) {
			return nil, &claims.Error{Code: claims.CodeInvalidSignature, Cause: errors.New("unknown kid")}
		}), "ada", map[string]any{"level": "INFO", "code": "invalid_token", "error": "claims: invalid_signature: unknown kid"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			g, ran := guard(t, func(c *Config) {
				c.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
				if tt.config != nil {
					tt.config(c)
				}
			}), 0
			serve(thing(g, &ran), request("GET", "/orgs/acme/things/7", tt.bearer))
			var got map[string]any
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("not one record: %v in %s", err, &out)
			}
			for k, want := range tt.want {
				if got[k] != want {
					t.Errorf("%s is %v, want %v", k, got[k], want)
				}
			}
			for _, k := range tt.not {
				if v, there := got[k]; there {
					t.Errorf("%s is %v", k, v)
				}
			}
		})
	}
}

func TestDecisionLogOfCan(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := guard(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Policy = decideFunc(func(_ context.Context, in *policy.Input) (policy.Decision, error) {
			if in.Action == "break:things" {
				return policy.Decision{}, errors.New("down")
			}
			return policy.Decision{Outcome: policy.Denied}, nil
		})
	})
	ctx := WithPrincipal(t.Context(), &Principal{Subject: "eva", Org: policy.Org{ID: acme}, Member: policy.Member{ID: "eva"}})
	_, _ = g.Can(ctx, "read:things")
	_, _ = g.Can(ctx, "break:things")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%s", &out)
	}
	for i, wants := range [][]string{
		{"level=DEBUG", "outcome=denied", "action=read:things", "subject=eva", "org=" + acme, "inside=true"},
		{"level=WARN", "outcome=unknown", "action=break:things", "error=down"},
	} {
		for _, want := range wants {
			if !strings.Contains(lines[i], want) {
				t.Errorf("no %s in %s", want, lines[i])
			}
		}
	}
}

// A client that hangs up is no outage to warn of.
func TestLogOfClientThatWentAway(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	g := guard(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, nil))
		failingPolicy(context.Canceled)(c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Authorize(ctx, Request{Token: "ada", Action: "read:things"}); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "level=INFO") {
		t.Errorf("%s", &out)
	}
}

// Whatever a token holds, a record is one line of plain text, and no record holds a token.
func TestLogIsClean(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	const secret = "eyJhbGciOiJub25lIn0.secret.secret"
	g, ran := guard(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		evil := token("a\nb\u202ec\x1b[31m"+strings.Repeat("x", 4096), claims.Org{ID: acme})
		c.Tokens = tokens{secret: evil}
		c.Members = members{{acme, evil.Subject}: access(acme, "acme", evil.Subject, "read:things")}
	}), 0
	mux := thing(g, &ran)
	for _, bearer := range []string{secret, secret + "x"} {
		serve(mux, request("GET", "/orgs/acme/things/7", bearer))
	}
	if ran != 1 || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("ran %d, log %s", ran, &out)
	}
	if strings.ContainsAny(out.String(), "\u202e\x1b") || strings.Contains(out.String(), "secret") || out.Len() > 2000 {
		t.Errorf("%q", out.String())
	}
}

func TestPrincipalInALog(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "who", &Principal{
		Subject: "eva", Org: policy.Org{ID: acme}, Member: policy.Member{Metadata: map[string]string{"k": "private"}},
	})
	if s := out.String(); !strings.Contains(s, "who.subject=eva who.org="+acme) || strings.Contains(s, "private") {
		t.Error(s)
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "plain", "a\nb", "\u202e", "\xff\xfe", strings.Repeat("ä", 200), "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := clean(s)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\t\x1b\x7f\u0085\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f") {
			t.Errorf("%q became %q", s, got)
		}
		if len(got) > 3*maxText+len("…") {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
	})
}

// A disabled log must cost a look at its level and nothing else.
func TestDisabledLogIsNotBuilt(t *testing.T) {
	t.Parallel()
	logger := slog.New(refusingHandler{t})
	g, ran := guard(t, func(c *Config) { c.Logger = logger }), 0
	mux := thing(g, &ran)
	for _, bearer := range []string{"ada", "", "x"} {
		if w := serve(mux, request("GET", "/orgs/acme/things/7", bearer)); w.Code == http.StatusServiceUnavailable {
			t.Error(fmt.Sprint(w.Code))
		}
	}
}

type refusingHandler struct{ t *testing.T }

func (refusingHandler) Enabled(context.Context, slog.Level) bool { return false }
func (h refusingHandler) Handle(context.Context, slog.Record) error {
	h.t.Error("a record was made")
	return nil
}
func (h refusingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h refusingHandler) WithGroup(string) slog.Handler      { return h }
