package cached

import "time"

// instant is one reading of both clocks, in nanoseconds: the wall clock since 1970, the monotonic one since the Store began.
type instant struct {
	wall, mono int64
}

// since is the larger of the two differences: the monotonic clock stands still while a machine is suspended, the wall
// clock can be set back. Older than the truth is safe, younger is not.
func (n instant) since(t instant) time.Duration {
	return time.Duration(max(n.mono-t.mono, n.wall-t.wall))
}

// clock reads both clocks at once.
type clock struct {
	now  func() time.Time
	base time.Time
}

func newClock(now func() time.Time) clock { return clock{now: now, base: now()} }

func (c clock) read() instant {
	t := c.now()
	return instant{wall: t.UnixNano(), mono: int64(t.Sub(c.base))}
}

// at translates a time that was read earlier. One without a monotonic reading is as old as the wall clock says, and
// nothing is from the future.
func (c clock) at(t time.Time, now instant) instant {
	var wall int64
	if t.Unix() > 0 { // before, UnixNano may overflow
		wall = min(t.UnixNano(), now.wall)
	}
	if t != t.Round(0) {
		return instant{wall: wall, mono: min(int64(t.Sub(c.base)), now.mono)}
	}
	return instant{wall: wall, mono: now.mono - (now.wall - wall)}
}
