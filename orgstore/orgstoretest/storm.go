package orgstoretest

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

// stormers is how many callers a Storm has.
const stormers = 4

// The organization and the role that all stormers share.
const (
	stormOrg  = "org_9999999999999999"
	stormRole = "rol_9999999999999999"
)

// Storm runs mutations of several callers on e, and says on log what begins and what has returned, until they fail: it is for a
// process that is killed meanwhile. What each caller does depends on round and on how often it has done something, so that
// TestKilled knows it too.
func Storm(ctx context.Context, e *orgstore.Engine, round int, log io.Writer) {
	var group sync.WaitGroup
	for i := range stormers {
		group.Go(func() {
			s := stormer{round, i}
			for step := 0; ; step++ {
				fmt.Fprintf(log, "begin %d %d\n", i, step)
				if _, err := s.do(ctx, e, step); err != nil {
					fmt.Fprintf(log, "error %d %d: %v\n", i, step, err)
					return
				}
				fmt.Fprintf(log, "end %d %d\n", i, step)
			}
		})
	}
	group.Wait()
}

// stormer is one caller of one Storm.
type stormer struct{ round, number int }

func (s stormer) name(kind string, step int) string {
	return fmt.Sprintf("storm-%d-%d-%s%d", s.round, s.number, kind, step)
}

func (s stormer) org() string { return fmt.Sprintf("org_%016d", s.round*stormers+s.number) }

// do does step, with an idempotency key of its own.
func (s stormer) do(ctx context.Context, e *orgstore.Engine, step int) (result orgstore.Result, err error) {
	ctx = orgstore.WithIdempotencyKey(ctx, s.name("key", step))
	if step == 0 {
		_, result, err = e.Organizations.Create(ctx, orgstore.Organization{ID: s.org(), Name: s.name("o", 0)})
		return result, err
	}
	switch (step - 1) % 5 {
	case 0:
		_, result, err = e.Users.Create(ctx, orgstore.User{ID: s.name("u", step)})
	case 1:
		result, err = e.Members.Add(ctx, stormOrg, s.name("u", step-1), orgstore.MemberOptions{Roles: []string{stormRole}})
	case 2:
		result, err = e.Organizations.Update(ctx, s.org(), orgstore.OrganizationUpdate{DisplayName: new(s.name("d", step))})
	case 3:
		result, err = e.Transact(ctx, func(ctx context.Context, _ *sql.Tx, e *orgstore.Engine) error {
			for _, id := range []string{s.name("a", step), s.name("b", step)} {
				if _, _, err := e.Users.Create(ctx, orgstore.User{ID: id}); err != nil {
					return err
				}
				if _, err := e.Members.Add(ctx, stormOrg, id, orgstore.MemberOptions{Roles: []string{stormRole}}); err != nil {
					return err
				}
			}
			return nil
		})
	case 4:
		result, err = e.Members.Remove(ctx, stormOrg, s.name("u", step-4))
	}
	return result, err
}

// facts returns what is true after so many steps.
func (s stormer) facts(steps int) []string {
	facts := map[string]bool{}
	for step := range steps {
		add := func(kinds ...string) {
			for _, kind := range kinds {
				facts["user "+s.name(kind, step)] = true
				facts["member "+s.name(kind, step)] = true
			}
		}
		switch {
		case step == 0:
			facts["organization "+s.name("o", 0)+" "] = true
		case step%5 == 1:
			facts["user "+s.name("u", step)] = true
		case step%5 == 2:
			facts["member "+s.name("u", step-1)] = true
		case step%5 == 3:
			maps.DeleteFunc(facts, func(fact string, _ bool) bool { return strings.HasPrefix(fact, "organization ") })
			facts["organization "+s.name("o", 0)+" "+s.name("d", step)] = true
		case step%5 == 4:
			add("a", "b")
		default:
			delete(facts, "member "+s.name("u", step-4))
		}
	}
	return slices.Sorted(maps.Keys(facts))
}

// found returns what is true in the database of what facts may say.
func (s stormer) found(t *engineTest) (facts []string) {
	t.Helper()
	t.ok(t.View(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT 'user ' || id FROM orgauthz_users WHERE id >= $1 AND id < $2
			UNION ALL SELECT 'member ' || m.user_id FROM orgauthz_members m JOIN orgauthz_member_roles mr
			ON mr.org_id = m.org_id AND mr.user_id = m.user_id WHERE m.org_id = $3 AND m.user_id >= $1 AND m.user_id < $2
			UNION ALL SELECT 'organization ' || name || ' ' || display_name FROM orgauthz_organizations WHERE id = $4`,
			fmt.Sprintf("storm-%d-%d-", s.round, s.number), fmt.Sprintf("storm-%d-%d.", s.round, s.number), stormOrg, s.org())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var fact string
			if err := rows.Scan(&fact); err != nil {
				return err
			}
			facts = append(facts, fact)
		}
		return rows.Err()
	}))
	slices.Sort(facts)
	return facts
}

// Crash is how a process that runs a Storm comes to its end.
type Crash struct {
	Rounds int
	// Start returns a command that runs Storm of this round on the database, with its standard output as log.
	Start func(round int) *exec.Cmd
	// Kill ends the database server, abruptly, and the process of the Storm is killed a moment later. When it is nil, only that.
	Kill func(random *rand.Rand)
	// Open opens the database after that.
	Open func(t testing.TB) *orgstore.Engine
}

// TestKilled tests that what has returned is stored and that nothing is stored half when a process is killed at any moment, and
// that what it was doing can be repeated with the same idempotency keys.
func TestKilled(t *testing.T, crash Crash) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	first := &engineTest{T: t, Engine: crash.Open(t)}
	_, _, err := first.Organizations.Create(t.Context(), orgstore.Organization{ID: stormOrg, Name: "storm"})
	first.ok(err)
	_, _, err = first.Roles.Create(t.Context(), orgstore.Role{ID: stormRole, Name: "storm"})
	first.ok(err)
	first.ok(first.Close())

	returned, repeated := 0, 0
	for round := range crash.Rounds {
		begun, ended := storm(t, crash, round, random)
		e := &engineTest{T: t, Engine: crash.Open(t)}
		for i := range stormers {
			s := stormer{round, i}
			got := s.found(e)
			done := slices.Equal(got, s.facts(begun[i]))
			if !done && !slices.Equal(got, s.facts(ended[i])) {
				t.Errorf("round %d: after %d steps of %d found %q", round, ended[i], begun[i], got)
				continue
			}
			returned += ended[i]
			if begun[i] == ended[i] {
				continue
			}
			result, err := s.do(t.Context(), e.Engine, ended[i])
			if err != nil || result.Replayed != done {
				t.Errorf("round %d: step %d was done %t, repeated: %+v, %v", round, ended[i], done, result, err)
			}
			if got, want := s.found(e), s.facts(begun[i]); !slices.Equal(got, want) {
				t.Errorf("round %d: after the repetition of step %d found %q", round, ended[i], got)
			}
			if done {
				repeated++
			}
		}
		e.verified()
		if round == crash.Rounds-1 {
			e.consistent()
		}
		e.ok(e.Close())
		if t.Failed() {
			return
		}
	}
	t.Logf("%d mutations had returned, %d more were done without having returned", returned, repeated)
	if returned == 0 {
		t.Error("nothing was done before the ends of the processes")
	}
}

// storm runs a Storm and ends it a moment after some of its mutations have returned. It returns how many of each stormer had begun
// and returned.
func storm(t *testing.T, crash Crash, round int, random *rand.Rand) (begun, ended [stormers]int) {
	t.Helper()
	mutations, moment := 1+random.IntN(40), time.Duration(random.IntN(2000))*time.Microsecond
	cmd := crash.Start(round)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { _ = cmd.Process.Kill() }
	var ending sync.WaitGroup
	defer func() {
		kill()
		ending.Wait()
		_ = cmd.Wait() // killed
	}()
	end := func() {
		defer ending.Done()
		if crash.Kill == nil {
			kill()
			return
		}
		crash.Kill(random)
		time.AfterFunc(200*time.Millisecond, kill) // for what it says of the server's end
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		var what string
		var i, step int
		if n, err := fmt.Sscan(strings.ReplaceAll(lines.Text(), ":", " "), &what, &i, &step); n != 3 || err != nil || i >= stormers {
			t.Fatalf("the process said %q", lines.Text())
		}
		switch what {
		case "begin":
			begun[i] = step + 1
		case "end":
			ended[i] = step + 1
			if mutations--; mutations == 0 {
				ending.Add(1)
				time.AfterFunc(moment, end)
			}
		default:
			if crash.Kill == nil || mutations > 0 {
				t.Errorf("the process failed: %s", lines.Text())
			}
		}
	}
	if mutations > 0 {
		t.Errorf("the process ended before it was killed")
	}
	return begun, ended
}
