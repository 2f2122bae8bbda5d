package main

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// programDir holds the built command until the tests end.
var programDir string

// program builds the command once.
var program = sync.OnceValues(func() (_ string, err error) {
	if programDir, err = os.MkdirTemp("", "travel0"); err != nil {
		return "", err
	}
	path := filepath.Join(programDir, "travel0")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return path, nil
})

// command is a Travel0 process.
type command struct {
	*exec.Cmd
	url    string
	curls  []string // the lines that it printed to be pasted
	stdout io.Reader
	stderr *logBuffer
}

// launch starts a process and waits until it serves.
func launch(t *testing.T, args ...string) *command {
	t.Helper()
	c := begin(t, args...)
	c.await(t)
	return c
}

func begin(t *testing.T, args ...string) *command {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	c := &command{Cmd: exec.Command(path, append([]string{"-addr", "127.0.0.1:0"}, args...)...), stderr: &logBuffer{}}
	c.Stderr = c.stderr
	if c.stdout, err = c.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	return c
}

// printed is how many requests to try the program prints.
const printed = 7

func (c *command) await(t *testing.T) {
	t.Helper()
	lines := bufio.NewScanner(c.stdout)
	for len(c.curls) < printed && lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "listens on "); ok {
			c.url = url
		}
		if strings.HasPrefix(lines.Text(), "curl ") {
			c.curls = append(c.curls, lines.Text())
		}
	}
	if c.url == "" || len(c.curls) != printed {
		_ = c.Wait()
		t.Fatalf("Travel0 printed no address or not %d curl lines:\n%s", printed, c.stderr)
	}
}

// terminate sends SIGTERM and returns how long the process took to exit, and with which code.
func (c *command) terminate(t *testing.T) (time.Duration, int) {
	t.Helper()
	begin := time.Now()
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	return time.Since(begin), c.ProcessState.ExitCode()
}

func TestCommandPrintsWorkingRequests(t *testing.T) {
	t.Parallel()
	c := launch(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Fatal("curl is needed to try the printed requests: install it")
	}
	ticket := "TICKET"
	for _, line := range c.curls {
		out, err := exec.Command("sh", "-c", strings.Replace(line, "TICKET", ticket, 1)).Output()
		if err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if strings.Contains(string(out), `"status":4`) == !strings.Contains(line, "quarry-night-climb") {
			t.Errorf("%s\nprinted %s", line, out)
		}
		var made invitation
		if json.Unmarshal(out, &made) == nil && made.Ticket != "" {
			ticket = made.Ticket
		}
		if !json.Valid(out) || len(out) < 3 {
			t.Errorf("%s\nprinted %q, no JSON", line, out)
		}
	}
	if took, code := c.terminate(t); code != 0 || took > 5*time.Second {
		t.Errorf("SIGTERM: exit code %d after %v\n%s", code, took, c.stderr)
	}
}

// TestSIGTERMFinishesRequests sends half a request, then SIGTERM, then the other half.
func TestSIGTERMFinishesRequests(t *testing.T) {
	t.Parallel()
	c := launch(t)
	i := &instance{t: t, url: c.url}
	token := i.token("rocky-manager", "rocky-mountain-high")

	body, send := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", c.url+"/orgs/rocky-mountain-high/adventures", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Expect", "100-continue") // the server asks for the body when the handler begins to read it
	reading := make(chan struct{})
	go func() {
		_, _ = send.Write([]byte(`{"name":`)) // taken only once the server reads
		close(reading)
	}()
	type result struct {
		status int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second, DisableKeepAlives: true}
		res, err := transport.RoundTrip(req)
		if err != nil {
			done <- result{err: err}
			return
		}
		_, _ = io.Copy(io.Discard, res.Body)
		done <- result{res.StatusCode, res.Body.Close()}
	}()
	<-reading
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, 3*time.Second, "no new connections are taken", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	if _, err := send.Write([]byte(`"Night hike"}`)); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if r := <-done; r.err != nil || r.status != 201 {
		t.Errorf("the request in flight got %d, %v", r.status, r.err)
	}
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != 0 || time.Since(begin) > 5*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(begin), c.stderr)
	}
}

// TestRestart: a second start on the same file seeds nothing again.
func TestRestart(t *testing.T) {
	t.Parallel()
	eachDatabase(t, testRestart)
}

func testRestart(t *testing.T, db string) {
	o := options{db: db}
	first := start(t, o)
	if got := first.as("rocky-admin", "DELETE", jonnos, ""); got.status != 204 {
		t.Fatalf("removing = %d %s", got.status, got.body)
	}
	before := first.as("rocky-admin", "GET", "/orgs/rocky-mountain-high/members", "").body
	ratingsBefore := first.as("rocky-admin", "GET", "/orgs/rocky-mountain-high/guides/sumana/ratings", "").body
	second := start(t, o)
	if got := second.as("jonno", "GET", list, ""); got.status != 403 {
		t.Errorf("after a restart the removed member got %d", got.status)
	}
	if got := second.as("rocky-admin", "GET", "/orgs/rocky-mountain-high/members", "").body; got != before {
		t.Errorf("after a restart the members are\n%s, before\n%s", got, before)
	}
	if got := second.as("rocky-admin", "GET", "/orgs/rocky-mountain-high/guides/sumana/ratings", "").body; got != ratingsBefore {
		t.Errorf("after a restart the ratings are\n%s, before\n%s", got, ratingsBefore)
	}
}

// TestOtherSeed: a database that another version filled is left as it is, and the error says what to do.
func TestOtherSeed(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, db string) {
		engine, err := openStore(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = engine.Close() })
		ctx := t.Context()
		refused := func(what string) {
			t.Helper()
			a, err := open(ctx, options{db: db, log: slog.New(slog.DiscardHandler)})
			if !errors.Is(err, errOtherSeed) {
				t.Errorf("%s: error %v, want %v", what, err, errOtherSeed)
			}
			if err == nil {
				_ = a.Close()
			}
		}
		if _, _, err := engine.Organizations.Create(ctx, orgstore.Organization{ID: graniteID, Name: "granite-outpost"}); err != nil {
			t.Fatal(err)
		}
		refused("organizations without this seed")
		if list, err := engine.Clients.List(ctx, orgstore.ClientListOptions{}); err != nil || len(list.Items) > 0 {
			t.Errorf("what was refused has left applications: %v, %v", list.Items, err)
		}

		if _, err := engine.Organizations.Delete(ctx, graniteID); err != nil {
			t.Fatal(err)
		}
		if err := (catalog{engine}).write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, schema+`; INSERT INTO travel0_seed (once, version, database) VALUES (1, 1, 'x')`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		refused("another version")
	})
}

// TestStartTogether: instances that start at once on a new database seed it once.
func TestStartTogether(t *testing.T) {
	t.Parallel()
	eachDatabase(t, testStartTogether)
}

func testStartTogether(t *testing.T, db string) {
	instances := make([]*command, 3)
	for n := range instances {
		instances[n] = begin(t, "-db", db)
	}
	for _, c := range instances {
		c.await(t)
	}
	i := &instance{t: t, url: instances[0].url}
	got := i.as("rocky-admin", "GET", "/orgs/rocky-mountain-high/guides/sumana/ratings", "")
	if !strings.Contains(got.body, `"count":3`) {
		t.Errorf("sumana's ratings: %s", got.body)
	}
	for _, c := range instances {
		if took, code := c.terminate(t); code != 0 || took > 5*time.Second {
			t.Errorf("exit code %d after %v\n%s", code, took, c.stderr)
		}
	}
}

// TestUnusableFlags: each is refused with a message that names the flag or the file, and the exit code is not 0.
func TestUnusableFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	broken := filepath.Dir(write("broken/authz.rego", "package authz\n\nallow if {\n"))
	badFolder := filepath.Dir(filepath.Dir(filepath.Dir(write("folder/orgs/granite-outpost/p.rego", "package org\n"))))
	tests := []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"help", []string{"-h"}, 0, []string{"-addr", "-db", "-redis", "-policies", "-key"}},
		{"an unknown flag", []string{"-port", "1"}, 2, []string{"-port"}},
		{"an argument", []string{"serve"}, 2, []string{"serve", "-h"}},
		{"an occupied port", []string{"-addr", taken.Addr().String()}, 1, []string{"-addr", taken.Addr().String(), "in use"}},
		{"an empty address", []string{"-addr", ""}, 1, []string{"-addr", "host:port"}},
		{"no address", []string{"-addr", "nonsense"}, 1, []string{"-addr"}},
		{"a database in a missing folder", []string{"-db", filepath.Join(dir, "none", "x.db")}, 1, []string{"-db", filepath.Join(dir, "none")}},
		{"a database that is none", []string{"-db", write("text.db", strings.Repeat("no database ", 100))}, 1, []string{"-db", "text.db"}},
		{"a folder for a database", []string{"-db", dir}, 1, []string{"-db", dir}},
		{"a PostgreSQL that is not there", []string{"-db", "postgres://x:secret@127.0.0.1:1/test"}, 1, []string{"-db", "127.0.0.1:1", "cannot be reached"}},
		{"another database", []string{"-db", "mysql://127.0.0.1/test"}, 1, []string{"-db", "mysql", "postgres://", "SQLite"}},
		{"no Redis address", []string{"-redis", "localhost"}, 1, []string{"-redis", "host:port"}},
		{"no policies", []string{"-policies", filepath.Join(dir, "none")}, 1, []string{"-policies", filepath.Join(dir, "none")}},
		{"a folder without policies", []string{"-policies", t.TempDir()}, 1, []string{"-policies", ".rego"}},
		{"a policy that does not compile", []string{"-policies", broken}, 1, []string{"authz.rego:"}},
		{"a policy folder without an id", []string{"-policies", badFolder}, 1, []string{"granite-outpost"}},
		{"no key", []string{"-key", filepath.Join(dir, "none.pem")}, 1, []string{"-key", "none.pem"}},
		{"a key that is none", []string{"-key", write("text.pem", "no key")}, 1, []string{"-key", "text.pem", "PEM"}},
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if args[0] != "-addr" {
				args = append([]string{"-addr", "127.0.0.1:0"}, args...)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, args...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			for _, word := range tt.says {
				if !strings.Contains(stderr.String(), word) {
					t.Errorf("the message does not hold %q:\n%s", word, &stderr)
				}
			}
		})
	}
}
