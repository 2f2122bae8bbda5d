package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
	"github.com/orgauthz/orgauthz/orgstore/sqlite"
)

// TestMain is also the other process of the tests that need one.
func TestMain(m *testing.M) {
	if path := os.Getenv("ORGAUTHZ_TEST_DATABASE"); path != "" {
		if err := otherProcess(path); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// otherProcess opens the database and, for every line that it reads, makes a user of that name and says so.
func otherProcess(path string) error {
	ctx := context.Background()
	e, err := sqlite.Open(ctx, path, orgstore.Config{})
	if err != nil {
		return err
	}
	if round, err := strconv.Atoi(os.Getenv("ORGAUTHZ_TEST_STORM")); err == nil {
		orgstoretest.Storm(ctx, e, round, os.Stdout)
		return e.Close()
	}
	fmt.Println("open")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if _, _, err := e.Users.Create(ctx, orgstore.User{ID: lines.Text()}); err != nil {
			return err
		}
		fmt.Println("made", lines.Text())
	}
	return e.Close()
}

type process struct {
	t       testing.TB
	cmd     *exec.Cmd
	answers *bufio.Scanner
	input   interface{ Write([]byte) (int, error) }
}

func start(t testing.TB, path string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0])}
	p.cmd.Env = append(os.Environ(), "ORGAUTHZ_TEST_DATABASE="+path)
	p.cmd.Stderr = os.Stderr
	input, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.input, p.answers = input, bufio.NewScanner(output)
	t.Cleanup(func() {
		_ = input.Close()
		_ = p.cmd.Wait() // killed, in one test
	})
	return p
}

// expect waits for one line.
func (p *process) expect(want string) {
	p.t.Helper()
	if !p.answers.Scan() || p.answers.Text() != want {
		p.t.Errorf("the other process said %q, want %q", p.answers.Text(), want)
	}
}

func (p *process) makeUser(id string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.input, id); err != nil {
		p.t.Error(err)
	}
	p.expect("made " + id)
}

func TestProcessesStartTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	var processes []*process
	for range 4 {
		processes = append(processes, start(t, path))
	}
	for i, p := range processes {
		p.expect("open")
		p.makeUser(fmt.Sprint("u", i))
	}
	e := openFile(t, path, orgstore.Config{})
	if page, err := e.Users.List(t.Context(), orgstore.UserListOptions{}); err != nil || len(page.Items) != len(processes) {
		t.Errorf("users: %+v, %v", page.Items, err)
	}
}

// The same within one process, with engines of their own.
func TestEnginesStartTogether(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	engines, errs := make([]*orgstore.Engine, 8), make([]error, 8)
	var group sync.WaitGroup
	for i := range engines {
		group.Go(func() { engines[i], errs[i] = sqlite.Open(t.Context(), path, orgstore.Config{}) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("engine %d: %v", i, err)
			continue
		}
		if _, _, err := engines[i].Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint(i)}); err != nil {
			t.Error(err)
		}
		if err := engines[i].Close(); err != nil {
			t.Error(err)
		}
	}
}

// What one process commits, the other sees with its next statement; and writers of two processes get along.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	e, other := openFile(t, path, orgstore.Config{}), start(t, path)
	other.expect("open")
	o, _, err := e.Organizations.Create(t.Context(), orgstore.Organization{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		id := fmt.Sprint("user ", i)
		if _, err := e.Users.Get(t.Context(), id); err == nil {
			t.Fatal("the user was there before")
		}
		other.makeUser(id)
		if _, err := e.Members.Add(t.Context(), o.ID, id, orgstore.MemberOptions{}); err != nil {
			t.Fatalf("the other process's user: %v", err)
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 20 {
			other.makeUser(fmt.Sprint("theirs ", i))
		}
	})
	for i := range 20 {
		if _, _, err := e.Users.Create(t.Context(), orgstore.User{ID: fmt.Sprint("ours ", i)}); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if page, err := e.Users.List(t.Context(), orgstore.UserListOptions{ListOptions: orgstore.ListOptions{Limit: 1000}}); err != nil || len(page.Items) != 60 {
		t.Errorf("%d users, %v", len(page.Items), err)
	}
}

// What was acknowledged, and nothing half, survives the end of the process at any moment.
func TestKilledInStorm(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	rounds := 20
	if os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1" && !testing.Short() { // a full run
		rounds = 100
	}
	orgstoretest.TestKilled(t, orgstoretest.Crash{
		Rounds: rounds,
		Start: func(round int) *exec.Cmd {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "ORGAUTHZ_TEST_DATABASE="+path, fmt.Sprint("ORGAUTHZ_TEST_STORM=", round))
			cmd.Stderr = os.Stderr
			return cmd
		},
		Open: func(t testing.TB) *orgstore.Engine { return openFile(t, path, orgstore.Config{}) },
	})
}

// What was acknowledged survives the end of the process that wrote it.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orgs.db")
	p := start(t, path)
	p.expect("open")
	for i := range 10 {
		p.makeUser(fmt.Sprint("u", i))
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.cmd.Wait()
	e := openFile(t, path, orgstore.Config{})
	page, err := e.Users.List(t.Context(), orgstore.UserListOptions{})
	if err != nil || len(page.Items) != 10 {
		t.Errorf("%d users, %v", len(page.Items), err)
	}
	var verdict string
	if err := raw(t, path).QueryRowContext(t.Context(), `PRAGMA integrity_check`).Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity check: %q, %v", verdict, err)
	}
}
