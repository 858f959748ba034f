package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
)

// Metrics keeps the closed periods of metrics, the names of metrics, and the history of
// alarms. Numbers in keys are big-endian, times are seconds since 1970.
//
//	t/p/<resolution><chunk><metric><start><unit>    a statistic set
//	t/n/account/region/<namespace>\x00<name>\x00<metric>  the metric, and when it was last measured
//	t/h/account/region/<nanoseconds><number>        an item of an alarm's history
//
// A chunk is the part of a resolution that expires at once. A write adds to what a period
// already holds, so only one goroutine writes.
type Metrics struct {
	slot   Slot
	number atomic.Uint32 // of the last write to the history
}

// errStop ends a scan whose caller has enough.
var errStop = errors.New("enough")

const (
	metricPeriods = "t/p/"
	metricNames   = "t/n/"
	metricHistory = "t/h/"

	metricFormat = 1 // first byte of every value but a set, which has its own
)

// A resolution is a length of stored periods.
type resolution struct {
	code   byte
	length time.Duration
	chunk  time.Duration // what expires at once
	keep   time.Duration
	next   *resolution // what it becomes when it expires
}

var (
	hours   = &resolution{'d', time.Hour, 91 * 24 * time.Hour, metric.KeepByHour, nil}
	fives   = &resolution{'c', 5 * time.Minute, 7 * 24 * time.Hour, metric.KeepByFive, hours}
	minutes = &resolution{'b', time.Minute, 24 * time.Hour, metric.KeepByMinute, fives}
	seconds = &resolution{'a', time.Second, time.Hour, metric.KeepHighResolution, nil}

	resolutions = []*resolution{seconds, minutes, fives, hours}
)

func resolutionOf(length time.Duration) *resolution {
	for _, r := range resolutions {
		if r.length == length {
			return r
		}
	}
	return nil
}

// A StoredPeriod is a period with the metric it belongs to.
type StoredPeriod struct {
	Key    metric.Key // its unit does not matter
	Period metric.Period
}

// Write adds periods, each of a second or a minute, to what is stored: in one commit, or few if
// there are many. It returns how many are stored for good: with an error the others are not, and
// can be written again.
func (m *Metrics) Write(ctx context.Context, periods []StoredPeriod) (int, error) {
	done, bytes := 0, 0
	var scratch []byte
	pending := make(map[string]metric.Set) // of the batch, which may name a period twice
	for i := range periods {
		p := &periods[i]
		r := resolutionOf(p.Period.Length)
		if r == nil {
			return done, fmt.Errorf("write metrics: no periods of %v are kept", p.Period.Length)
		}
		key := string(r.key(p.Key, p.Period.Start, p.Period.Unit))
		set, ok := pending[key]
		if !ok {
			var err error
			if set, err = m.read([]byte(key)); err != nil {
				return done, fmt.Errorf("write metrics: %w", err)
			}
		}
		set.Merge(&p.Period.Set)
		pending[key] = set
		// A period that the batch names twice is charged twice, which does no harm. A sketch has
		// some tens of kilobytes at most, so what is left of the batch is room enough.
		var err error
		if scratch, err = set.AppendBinary(scratch[:0]); err != nil {
			return done, fmt.Errorf("write metrics: %w", err)
		}
		bytes += len(key) + len(scratch) + opBytes
		if bytes < MaxBatch/2 && i < len(periods)-1 {
			continue
		}
		if err := m.writeBatch(ctx, pending); err != nil {
			return done, fmt.Errorf("write metrics: %w", err)
		}
		done, bytes = i+1, 0
		clear(pending)
	}
	return done, nil
}

func (m *Metrics) writeBatch(ctx context.Context, sets map[string]metric.Set) error {
	var b Batch
	for key, set := range sets {
		value, err := set.AppendBinary(nil)
		if err != nil {
			return err
		}
		b.Set([]byte(key), value)
	}
	_, err := m.slot.Commit(ctx, &b)
	return err
}

// commit applies a batch in parts that fit, and empties it.
func (m *Metrics) commit(ctx context.Context, b *Batch) error {
	ops := b.ops
	for len(ops) > 0 {
		var part Batch
		n := 0
		for n < len(ops) && part.bytes < MaxBatch/2 {
			part.add(ops[n])
			n++
		}
		if _, err := m.slot.Commit(ctx, &part); err != nil {
			return err
		}
		ops = ops[n:]
	}
	b.Reset()
	return nil
}

func (m *Metrics) read(key []byte) (metric.Set, error) {
	value, version, err := m.slot.Get(key)
	if err != nil || version == 0 {
		return metric.Set{}, err
	}
	var s metric.Set
	if err := s.UnmarshalBinary(value); err != nil {
		return s, fmt.Errorf("read the period %q: %w", key, err)
	}
	return s, nil
}

// Read calls f with the periods of a metric that start from lo (inclusive) to hi (exclusive), in
// order, all units. length is one of those that are kept: a second, a minute, five, an hour. What
// is older than the retention of one is held by the next. f must not keep the period.
func (m *Metrics) Read(k metric.Key, length time.Duration, lo, hi metric.Instant, f func(*metric.Period)) error {
	r := resolutionOf(length)
	if r == nil {
		return fmt.Errorf("read a metric: no periods of %v are kept", length)
	}
	hi = metric.Floor(hi+metric.Instant(time.Second)-1, time.Second) // keys are in seconds
	for chunk := metric.Floor(lo, r.chunk); chunk < hi; chunk = chunk.Add(r.chunk) {
		first := r.keyIn(chunk, k, max(lo, chunk), 0)
		last := r.keyIn(chunk, k, min(hi, chunk.Add(r.chunk)), 0)
		if err := m.scan(first, last, func(key, value []byte) error {
			p, err := r.decode(key, value)
			if err == nil {
				f(&p)
			}
			return err
		}); err != nil {
			return fmt.Errorf("read a metric: %w", err)
		}
	}
	return nil
}

// scan reads a range of any length in pages.
func (m *Metrics) scan(lo, hi []byte, f func(key, value []byte) error) error {
	var bad error
	for n := MaxScan; n == MaxScan && bad == nil; {
		n = 0
		err := m.slot.Scan(lo, hi, MaxScan, func(key, value []byte, _ Version) bool {
			n++
			lo = append(append([]byte(nil), key...), 0)
			bad = f(key, value)
			return bad == nil
		})
		if err != nil {
			return err
		}
	}
	return bad
}

const periodKeyBytes = len(metricPeriods) + 1 + 4 + 15 + 4 + 1

func (r *resolution) key(k metric.Key, start metric.Instant, u metric.Unit) []byte {
	return r.keyIn(metric.Floor(start, r.chunk), k, start, u)
}

func (r *resolution) keyIn(chunk metric.Instant, k metric.Key, start metric.Instant, u metric.Unit) []byte {
	b := binary.BigEndian.AppendUint32(r.prefix(), unixSeconds(chunk))
	b = append(b, k[:15]...)
	b = binary.BigEndian.AppendUint32(b, unixSeconds(start))
	return append(b, byte(u))
}

func (r *resolution) prefix() []byte {
	return append(append(make([]byte, 0, periodKeyBytes), metricPeriods...), r.code)
}

func (r *resolution) decode(key, value []byte) (metric.Period, error) {
	if len(key) != periodKeyBytes {
		return metric.Period{}, fmt.Errorf("%q is not the key of a period", key)
	}
	p := metric.Period{
		Unit: metric.Unit(key[len(key)-1]), Length: r.length,
		Start: metric.Instant(binary.BigEndian.Uint32(key[len(key)-5:])) * metric.Instant(time.Second),
	}
	if err := p.Set.UnmarshalBinary(value); err != nil {
		return p, fmt.Errorf("read the period %q: %w", key, err)
	}
	return p, nil
}

// unixSeconds holds until the year 2106.
func unixSeconds(at metric.Instant) uint32 { return uint32(max(at, 0) / metric.Instant(time.Second)) }

// Expire drops what is past its retention: minutes become five minutes before, and those hours.
// After a crash it begins anew where it was.
func (m *Metrics) Expire(ctx context.Context, now metric.Instant) error {
	for _, r := range resolutions {
		if err := m.expire(ctx, r, now); err != nil {
			return fmt.Errorf("expire metrics: %w", err)
		}
	}
	if err := m.expireHistory(now); err != nil {
		return fmt.Errorf("expire the history of alarms: %w", err)
	}
	return nil
}

func (m *Metrics) expire(ctx context.Context, r *resolution, now metric.Instant) error {
	for {
		chunk, ok, err := m.oldest(r)
		if err != nil || !ok || chunk.Add(r.chunk).Add(r.keep) > now {
			return err
		}
		lo, hi := r.chunkKey(chunk), r.chunkKey(chunk.Add(r.chunk))
		if r.next != nil {
			if err := m.rollUp(ctx, r, lo, hi); err != nil {
				return err
			}
		}
		if err := m.slot.DropBefore(r.prefix(), hi); err != nil {
			return err
		}
	}
}

func (r *resolution) chunkKey(chunk metric.Instant) []byte {
	return binary.BigEndian.AppendUint32(r.prefix(), unixSeconds(chunk))
}

// oldest returns the first chunk of a resolution that holds something.
func (m *Metrics) oldest(r *resolution) (chunk metric.Instant, ok bool, err error) {
	end := r.prefix()
	end[len(end)-1]++
	err = m.slot.Scan(r.prefix(), end, 1, func(key, _ []byte, _ Version) bool {
		if len(key) == periodKeyBytes {
			chunk, ok = metric.Instant(binary.BigEndian.Uint32(key[len(metricPeriods)+1:]))*metric.Instant(time.Second), true
		}
		return false
	})
	return chunk, ok, err
}

// rollUp writes the periods of a chunk into longer ones. It sets them, since no other chunk has
// a part of them: done again it changes nothing.
func (m *Metrics) rollUp(ctx context.Context, r *resolution, lo, hi []byte) error {
	var b Batch
	sets := make(map[string]metric.Set) // of one metric
	var owner string
	flush := func() error {
		for key, set := range sets {
			value, err := set.AppendBinary(nil)
			if err != nil {
				return err
			}
			b.Set([]byte(key), value)
		}
		clear(sets)
		if b.bytes < MaxBatch/4 {
			return nil
		}
		return m.commit(ctx, &b)
	}
	err := m.scan(lo, hi, func(key, value []byte) error {
		p, err := r.decode(key, value)
		if err != nil {
			return err
		}
		at := len(metricPeriods) + 1 + 4
		if name := string(key[at : at+15]); name != owner {
			if err := errors.Join(flush(), ctx.Err()); err != nil {
				return err
			}
			owner = name
		}
		var k metric.Key
		copy(k[:], owner)
		to := string(r.next.key(k, metric.Floor(p.Start, r.next.length), p.Unit))
		set := sets[to]
		set.Merge(&p.Set)
		sets[to] = set
		return nil
	})
	if err := errors.Join(err, flush()); err != nil {
		return err
	}
	return m.commit(ctx, &b)
}

// scopePrefix begins the keys of a scope below a prefix.
func scopePrefix(prefix string, s lambda.Scope) []byte {
	return []byte(prefix + s.Account + "/" + s.Region + "/")
}
