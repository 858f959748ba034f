package admission

import "time"

// A bucket is a token bucket that refills continuously. Its unit is a token divided by the
// nanoseconds of a minute, so that its arithmetic is exact: how often it is looked at
// changes nothing.
type bucket struct {
	level int64 // at the moment at
	at    Instant
}

// rate is what a bucket holds at most and how many tokens it gains in a minute.
type rate struct {
	capacity  int64
	perMinute int64
}

const token = int64(time.Minute)

// fill makes the bucket full.
func (b *bucket) fill(now Instant, r rate) { b.level, b.at = r.capacity*token, now }

// refill brings the bucket to now. A bucket whose rate was lowered loses the excess.
func (b *bucket) refill(now Instant, r rate) {
	full := r.capacity * token
	gap := full - b.level
	elapsed := int64(now - b.at)
	b.at = now
	switch {
	case gap <= 0:
		b.level = full
	case r.perMinute > 0 && elapsed > gap/r.perMinute:
		b.level = full
	default:
		b.level += elapsed * r.perMinute
	}
}

// has reports whether a token is there at now.
func (b *bucket) has(now Instant, r rate) bool {
	b.refill(now, r)
	return b.level >= token
}

// take uses one token; has must have reported one.
func (b *bucket) take() { b.level -= token }

// give returns a token that was not used; the next refill drops it if the bucket is full.
func (b *bucket) give() { b.level += token }

// next returns when a token will be there, having none at b.at.
func (b *bucket) next(r rate) Instant {
	if r.perMinute <= 0 || r.capacity <= 0 {
		return Never
	}
	missing := token - b.level
	return b.at.Add(time.Duration((missing + r.perMinute - 1) / r.perMinute))
}

// A stair is the older regional model: a burst at once, then a fixed number more at every
// full minute since the burst began, until nothing is missing.
type stair struct {
	used  int64   // environments made and not yet given back by a minute's step
	began Instant // of the burst
	steps int64   // minutes already counted
}

// has reports whether another environment may be made at now.
func (s *stair) has(now Instant, burst, perMinute int64) bool {
	if s.used > 0 {
		minutes := int64(now-s.began) / int64(time.Minute)
		s.used = max(0, s.used-(minutes-s.steps)*perMinute)
		s.steps = minutes
	}
	return s.used < burst
}

func (s *stair) take(now Instant) {
	if s.used == 0 {
		s.began, s.steps = now, 0
	}
	s.used++
}
