package postgres

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orgauthz/orgauthz/orgstore"
	"github.com/orgauthz/orgauthz/orgstore/orgstoretest"
)

// stormIn is the other process of the tests that kill one.
func stormIn(address, round string) error {
	n, err := strconv.Atoi(round)
	if err != nil {
		return err
	}
	e, err := Open(context.Background(), address, orgstore.Config{})
	if err != nil {
		return err
	}
	orgstoretest.Storm(context.Background(), e, n, os.Stdout)
	return e.Close()
}

// stormAt returns a command that runs a storm on the database.
func stormAt(t *testing.T, address string) func(round int) *exec.Cmd {
	return func(round int) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "ORGAUTHZ_TEST_DATABASE="+with(t, address, "application_name", "storm"),
			fmt.Sprint("ORGAUTHZ_TEST_STORM=", round))
		cmd.Stderr = os.Stderr
		return cmd
	}
}

// What was acknowledged, and nothing half, survives the end of the process at any moment.
func TestKilledInStorm(t *testing.T) {
	t.Parallel()
	address := database(t)
	rounds := 5
	if os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1" && !testing.Short() { // a full run
		rounds = 20
	}
	admin := connect(t, address)
	orgstoretest.TestKilled(t, orgstoretest.Crash{
		Rounds: rounds,
		Start:  stormAt(t, address),
		Open: func(t testing.TB) *orgstore.Engine {
			// The server finishes what it had been told, also when nobody hears its answer.
			execute(t, admin, `DO $$ BEGIN
				WHILE EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'storm') LOOP
					PERFORM pg_sleep(0.005), pg_stat_clear_snapshot();
				END LOOP; END $$`)
			return openAt(t, address, orgstore.Config{})
		},
	})
}

// What was acknowledged, and nothing half, survives the end of the server: of all its processes, or of one of them, after which
// it recovers by itself.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	rounds := 3
	if os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1" && !testing.Short() { // a full run
		rounds = 8
	}
	orgstoretest.TestKilled(t, orgstoretest.Crash{
		Rounds: rounds,
		Start:  stormAt(t, s.address),
		Kill: func(random *rand.Rand) {
			if random.IntN(2) == 0 {
				s.killAll()
			} else {
				s.killOne(random)
			}
		},
		Open: func(t testing.TB) *orgstore.Engine {
			s.start()
			return openAt(t, s.address, orgstore.Config{})
		},
	})
}

// privateServer is a PostgreSQL of a test's own.
type privateServer struct {
	t       *testing.T
	bin     string
	dir     string
	port    int
	owner   *syscall.SysProcAttr
	address string
}

// startServer starts one. Where that is not possible, the test is skipped.
func startServer(t *testing.T) *privateServer {
	t.Helper()
	s := &privateServer{t: t}
	missing := t.Skipf
	if os.Getenv("ORGAUTHZ_REQUIRE_SERVICES") == "1" {
		missing = t.Fatalf
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		missing("NOT TESTED: no initdb in /usr/lib/postgresql/*/bin to start a PostgreSQL with that can be killed")
	}
	slices.Sort(found)
	s.bin = filepath.Dir(found[len(found)-1])
	s.dir = t.TempDir()
	if err := os.Chmod(filepath.Dir(s.dir), 0o755); err != nil { // for the user postgres
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := s.run("pg_ctl", "-D", s.dir+"/data", "-m", "immediate", "-w", "stop"); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	if os.Getuid() == 0 { // as whom it refuses to run
		owner, err := user.Lookup("postgres")
		if err != nil {
			missing("NOT TESTED: PostgreSQL does not run as root, and there is no user postgres: %v", err)
		}
		uid, uidErr := strconv.Atoi(owner.Uid)
		gid, gidErr := strconv.Atoi(owner.Gid)
		if uidErr != nil || gidErr != nil || os.Chown(s.dir, uid, gid) != nil {
			t.Fatalf("the user postgres is %+v", owner)
		}
		s.owner = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run("initdb", "-A", "trust", "-U", "postgres", "--no-sync", "-D", s.dir+"/data"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.address = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", s.port)
	s.start()
	return s
}

func (s *privateServer) run(program string, args ...string) ([]byte, error) {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.owner
	return cmd.CombinedOutput()
}

// start starts the server unless it runs, and waits until it answers.
func (s *privateServer) start() {
	s.t.Helper()
	var out []byte
	for began := time.Now(); time.Since(began) < time.Minute; {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		conn, err := pgx.Connect(ctx, s.address)
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return
		}
		// Fails while it runs and recovers, and while what was killed is not gone.
		out, _ = s.run("pg_ctl", "-D", s.dir+"/data", "-l", s.dir+"/log", "-w", "-o",
			fmt.Sprintf("-p %d -k %s -c listen_addresses=127.0.0.1 -c shared_buffers=16MB", s.port, s.dir), "start")
	}
	s.t.Fatalf("the server does not start: %s", out)
}

// processes returns the ids of the server's processes, its first one first.
func (s *privateServer) processes() (ids []int) {
	file, err := os.ReadFile(s.dir + "/data/postmaster.pid")
	if err != nil {
		s.t.Error(err)
		return nil
	}
	first, _, _ := bytes.Cut(file, []byte("\n"))
	id, err := strconv.Atoi(string(first))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	ids = append(ids, id)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // has ended
		}
		// pid (name) state parent
		if fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(fields) > 1 && fields[1] == strconv.Itoa(id) {
			if child, err := strconv.Atoi(strings.Split(name, "/")[2]); err == nil {
				ids = append(ids, child)
			}
		}
	}
	return ids
}

func (s *privateServer) killAll() {
	for _, id := range s.processes() {
		_ = syscall.Kill(id, syscall.SIGKILL) // may have ended
	}
}

// killOne kills one process that serves a client, after which the others end and the server recovers.
func (s *privateServer) killOne(random *rand.Rand) {
	var serving []int
	for _, id := range s.processes() {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id)); err == nil && bytes.Contains(line, []byte("127.0.0.1(")) {
			serving = append(serving, id)
		}
	}
	if len(serving) == 0 {
		s.t.Error("no process serves the storm")
		return
	}
	_ = syscall.Kill(serving[random.IntN(len(serving))], syscall.SIGKILL)
}
