package cached

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/orgauthz/orgauthz/orgstore"
)

func TestCellsAreRememberedAndForgotten(t *testing.T) {
	t.Parallel()
	c := newCells(time.Second, 1<<16)
	scope := orgstore.UserScope("jonno")
	began := c.change.Load()
	c.raise(scope, 5, 0)
	// Nothing pointed to the scope when it was raised; a fill from before is refused all the same.
	if c.meet(scope, 4, began, true, int64(999*time.Millisecond)) != nil {
		t.Error("a fill from before the raise was accepted")
	}
	// Within a generation after it was last met, a cell is the same.
	first := c.meet(scope, 5, began, true, int64(1500*time.Millisecond))
	if first == nil || first != c.meet(scope, 5, began, true, int64(2400*time.Millisecond)) {
		t.Error("a cell in use was forgotten")
	}
	if again := c.meet(scope, 4, began, true, int64(10*time.Second)); again != nil {
		// One look-up turns one generation: the cell is in the old one, as nobody met it.
		t.Error("a cell was forgotten before its second generation")
	}
	sh := c.shard(scope)
	c.get(sh, orgstore.UserScope("other"), 0, int64(20*time.Second))
	c.get(sh, orgstore.UserScope("other"), 0, int64(30*time.Second))
	if c.meet(scope, 4, began, true, int64(30*time.Second)) == nil {
		t.Error("a cell that nobody met for two generations is still there")
	}
}

func TestReadAfterARaiseIsTheTruth(t *testing.T) {
	t.Parallel()
	c := newCells(time.Second, 1<<16)
	scope := orgstore.RoleScope("rol_guide")
	c.raise(scope, 1<<52, 0) // forged, or lost by a restored database
	if c.meet(scope, 3, c.change.Load(), false, 0) != nil {
		t.Error("a shared entry has lowered a cell")
	}
	if cl := c.meet(scope, 3, c.change.Load(), true, 0); cl == nil || cl.revision.Load() != 3 {
		t.Error("a later read of the source has not")
	}
	c.raise(scope, 1<<53, 0)
	if cl := c.meet(scope, 3, 0, false, 0); cl == nil {
		t.Error("a revision that nobody gives has raised a cell")
	}
}

// Of two reads that run at once, the one that read later may finish first.
func TestReadsThatOvertake(t *testing.T) {
	t.Parallel()
	c := newCells(time.Second, 1<<16)
	scope := orgstore.RoleScope("rol_guide")
	first := c.change.Load()
	second := c.change.Load()
	if c.meet(scope, 6, second, true, 0) == nil {
		t.Fatal("the later read was refused")
	}
	if c.meet(scope, 5, first, true, 0) != nil {
		t.Error("the earlier read was accepted after the later one")
	}
	if c.meet(scope, 6, first, true, 0) == nil {
		t.Error("two reads of the same revision do not get on")
	}
}

func TestOverflowFlushes(t *testing.T) {
	t.Parallel()
	c := newCells(time.Hour, 1)
	e := &entry{began: c.change.Load()}
	scope := orgstore.UserScope("jonno")
	e.deps = []dep{{c.meet(scope, 1, e.began, true, 0), 1}}
	if !c.current(e) {
		t.Fatal("a new entry is not current")
	}
	for i := 0; c.floor.Load() == 0; i++ {
		c.raise(orgstore.UserScope(fmt.Sprint(i)), 1, 0)
	}
	if c.current(e) {
		t.Error("an entry is current although its cell may be forgotten")
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].now) + len(c.shards[i].old)
	}
	if n > 64*16*2 {
		t.Errorf("%d cells, more than the limit", n)
	}
}

// A flush and a raise by others at the same time: nothing that began before either is current after both.
func TestFlushRaces(t *testing.T) {
	t.Parallel()
	c := newCells(time.Hour, 1<<16)
	for range 2000 {
		e := &entry{began: c.change.Load()}
		var wg sync.WaitGroup
		wg.Go(func() { c.flush(&c.floor) })
		wg.Go(func() { c.flush(&c.floor) })
		wg.Go(func() { c.raise(orgstore.UserScope("x"), c.change.Load(), 0) })
		wg.Go(func() { c.current(e) })
		wg.Wait()
		if c.current(e) {
			t.Fatal("an entry survived a flush")
		}
	}
}
