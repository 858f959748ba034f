package admission

import (
	"math"
	"time"
)

// An Instant is a moment on the clock of whoever drives the machine, in nanoseconds.
type Instant int64

// Never is later than every moment.
const Never Instant = math.MaxInt64

// Add returns the moment d after t.
func (t Instant) Add(d time.Duration) Instant {
	if d > 0 && t > Never-Instant(d) {
		return Never
	}
	return t + Instant(d)
}

// String prints the moment as a duration since zero.
func (t Instant) String() string { return time.Duration(t).String() }
