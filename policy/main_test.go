package policy

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	granite = "org_0123456789abcdef" // an organization with a policy of its own, in most tests
	rocky   = "org_fedcba9876543210"
	nothing = "package org\ndeny := set()" // a policy of an organization's that restricts nothing
)

// files makes a source of names and texts in turn. "granite" and "rocky" stand for their organization's file.
func files(namesAndTexts ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(namesAndTexts); i += 2 {
		name := namesAndTexts[i]
		switch name {
		case "granite":
			name = "orgs/granite." + granite + "/org.rego"
		case "rocky":
			name = "orgs/rocky." + rocky + "/org.rego"
		}
		m[name] = &fstest.MapFile{Data: []byte(namesAndTexts[i+1])}
	}
	return m
}

// log is a slog destination for tests.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// open opens an engine that does not poll and logs into the test's log.
func open(t *testing.T, source fstest.MapFS, config Config) (*Engine, *log) {
	t.Helper()
	l := &log{}
	config.Source, config.Logger = FS(source), l.logger()
	if config.PollInterval == 0 {
		config.PollInterval = -1
	}
	if config.Timeout == 0 {
		config.Timeout = time.Minute // the machine may be busy
	}
	e, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, l
}

// member asks for an action as a member of org.
func member(org, action string, permissions ...string) *Input {
	return &Input{
		Action:  action,
		Request: Request{Method: "GET", Pattern: "GET /x"},
		Subject: NewSubject(Token{Subject: "u"}, Org{ID: org, Status: "active"}, Member{ID: "u", Permissions: permissions}),
	}
}

func decide(t *testing.T, e *Engine, in *Input) Decision {
	t.Helper()
	d, err := e.Decide(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if d.Allow != (d.Outcome == Allowed) {
		t.Errorf("Allow is %v, Outcome is %q", d.Allow, d.Outcome)
	}
	return d
}

// openErr returns the text of what Open says about source.
func openErr(t *testing.T, source Source) string {
	t.Helper()
	e, err := Open(context.Background(), Config{Source: source})
	if err == nil {
		_ = e.Close()
		t.Fatal("Open accepted it")
	}
	return err.Error()
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}
