package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/weir-run/weir/lambda"
)

// Events keeps the asynchronous events of all functions until they are settled: an index in
// the order in which they fall due, and their payloads apart from it, so that a retry moves
// some thirty bytes and not the event.
//
// Keys, all below "a/":
//
//	a/i/<queue>\x00<due><event>    an entry of the index; due and event are big-endian
//	a/p/<event>                    what was sent
//	a/l/<queue>                    where the queue's index begins, or a little before
type Events struct {
	slot Slot

	mu struct {
		sync.Mutex
		last    uint64            // event
		settled map[string]int    // by queue, since its low-water mark was written
		low     map[string][]byte // by queue: no entry is before this key
	}
}

// An EventQueue names the events sent to one function by one qualifier.
type EventQueue struct {
	Scope     lambda.Scope
	Function  string
	Qualifier string // as the sender gave it; may be empty
}

func (q EventQueue) String() string {
	return strings.Join([]string{q.Scope.Account, q.Scope.Region, q.Function, q.Qualifier}, "/")
}

func parseEventQueue(s string) (EventQueue, bool) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 {
		return EventQueue{}, false
	}
	return EventQueue{lambda.Scope{Account: parts[0], Region: parts[1]}, parts[2], parts[3]}, true
}

// An EventEntry is the index's part of an event. Times are nanoseconds since 1970.
type EventEntry struct {
	Event    uint64
	Due      int64
	Born     int64
	Failures uint8
	Refusals uint16
}

// An Event is what was sent.
type Event struct {
	Queue     EventQueue
	RequestID string
	TraceID   string
	Payload   []byte
}

const (
	eventIndex   = "a/i/"
	eventPayload = "a/p/"
	eventLow     = "a/l/"

	eventVersion = 1 // first byte of every value

	// lowEvery is how many events of a queue are settled before its low-water mark is
	// written anew: a scan enters a queue over so many tombstones at most.
	lowEvery = 1000
)

// openEvents numbers events from the epoch on: no number is ever given twice.
func openEvents(slot Slot) *Events {
	e := &Events{slot: slot}
	e.mu.last = slot.Epoch() << 32
	e.mu.settled = make(map[string]int)
	e.mu.low = make(map[string][]byte)
	return e
}

// Add makes an event durable, due at once, and returns its entry. Later events have larger
// numbers.
func (e *Events) Add(ctx context.Context, x *Event, now int64) (EventEntry, error) {
	e.mu.Lock()
	e.mu.last++
	entry := EventEntry{Event: e.mu.last, Due: now, Born: now}
	e.mu.Unlock()
	payload, err := encodeEvent(x)
	if err != nil {
		return EventEntry{}, err
	}
	var b Batch
	b.Set(indexKey(x.Queue, entry.Due, entry.Event), encodeEntry(entry))
	b.Set(payloadKey(entry.Event), payload)
	if _, err := e.slot.Commit(ctx, &b); err != nil {
		return EventEntry{}, fmt.Errorf("store an event: %w", err)
	}
	return entry, nil
}

// Read returns what was sent as an event.
func (e *Events) Read(event uint64) (*Event, error) {
	value, version, err := e.slot.Get(payloadKey(event))
	if err != nil {
		return nil, fmt.Errorf("read event %d: %w", event, err)
	}
	if version == 0 {
		return nil, fmt.Errorf("event %d is gone", event)
	}
	return decodeEvent(value)
}

// Load returns at most limit entries of a queue from (due, event) on, in order, and whether
// there may be more.
func (e *Events) Load(q EventQueue, due int64, event uint64, limit int) ([]EventEntry, bool, error) {
	lo := indexKey(q, due, event)
	if low := e.lowWater(q); string(low) > string(lo) {
		lo = low
	}
	limit = min(limit, MaxScan-1)
	var found []EventEntry
	var bad error
	err := e.slot.Scan(lo, queueEnd(q), limit+1, func(key, value []byte, _ Version) bool {
		var entry EventEntry
		if entry, bad = decodeEntry(key, value); bad != nil {
			return false
		}
		found = append(found, entry)
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, false, fmt.Errorf("load events of %v: %w", q, err)
	}
	if len(found) > limit {
		return found[:limit], true, nil
	}
	return found, false, nil
}

// Count returns how many events a queue holds. It takes time in proportion to them.
func (e *Events) Count(q EventQueue) (int, error) {
	n := 0
	lo := indexKey(q, 0, 0)
	if low := e.lowWater(q); string(low) > string(lo) {
		lo = low
	}
	for more := true; more; {
		seen := 0
		err := e.slot.Scan(lo, queueEnd(q), MaxScan, func(key, _ []byte, _ Version) bool {
			seen++
			lo = append(append([]byte(nil), key...), 0)
			return true
		})
		if err != nil {
			return 0, fmt.Errorf("count the events of %v: %w", q, err)
		}
		n += seen
		more = seen == MaxScan
	}
	return n, nil
}

// Move gives an event, due at from, another place and other counts.
func (e *Events) Move(ctx context.Context, q EventQueue, from int64, to EventEntry) error {
	var b Batch
	b.Delete(indexKey(q, from, to.Event))
	b.Set(indexKey(q, to.Due, to.Event), encodeEntry(to))
	if _, err := e.slot.Commit(ctx, &b); err != nil {
		return fmt.Errorf("move event %d: %w", to.Event, err)
	}
	return nil
}

// Settle removes an event for good.
func (e *Events) Settle(ctx context.Context, q EventQueue, due int64, event uint64) error {
	var b Batch
	b.Delete(indexKey(q, due, event))
	b.Delete(payloadKey(event))
	low, err := e.nextLow(q)
	if err != nil {
		return err
	}
	if low != nil {
		b.Set([]byte(eventLow+q.String()), append([]byte{eventVersion}, low...))
	}
	if _, err := e.slot.Commit(ctx, &b); err != nil {
		return fmt.Errorf("settle event %d: %w", event, err)
	}
	if low != nil {
		e.mu.Lock()
		e.mu.low[q.String()] = low
		e.mu.Unlock()
	}
	return nil
}

// nextLow returns a queue's new low-water mark when it is time to write one.
func (e *Events) nextLow(q EventQueue) ([]byte, error) {
	name := q.String()
	e.mu.Lock()
	e.mu.settled[name]++
	due := e.mu.settled[name] >= lowEvery
	if due {
		e.mu.settled[name] = 0
	}
	e.mu.Unlock()
	if !due {
		return nil, nil
	}
	lo := max(string(e.lowWater(q)), string(indexKey(q, 0, 0)))
	var first []byte
	err := e.slot.Scan([]byte(lo), queueEnd(q), 1, func(key, _ []byte, _ Version) bool {
		first = append(first, key...)
		return false
	})
	return first, err
}

func (e *Events) lowWater(q EventQueue) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.low[q.String()]
}

// Queues calls f with each queue that holds an event.
func (e *Events) Queues(f func(EventQueue) error) error {
	if err := e.loadLow(); err != nil {
		return err
	}
	for lo := []byte(eventIndex); ; {
		var name string
		err := e.slot.Scan(lo, []byte("a/i0"), 1, func(key, _ []byte, _ Version) bool {
			name, _, _ = strings.Cut(strings.TrimPrefix(string(key), eventIndex), "\x00")
			return false
		})
		if err != nil {
			return fmt.Errorf("list the queues of events: %w", err)
		}
		if name == "" {
			return nil
		}
		q, ok := parseEventQueue(name)
		if !ok {
			return fmt.Errorf("%q does not name a queue of events", name)
		}
		if err := f(q); err != nil {
			return err
		}
		lo = queueEnd(q)
	}
}

// loadLow reads the low-water marks.
func (e *Events) loadLow() error {
	lo := []byte(eventLow)
	for n := MaxScan; n == MaxScan; {
		n = 0
		err := e.slot.Scan(lo, []byte("a/l0"), MaxScan, func(key, value []byte, _ Version) bool {
			n++
			lo = append(append(lo[:0], key...), 0)
			if len(value) > 1 {
				e.mu.low[string(key[len(eventLow):])] = append([]byte(nil), value[1:]...)
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("read the low-water marks: %w", err)
		}
	}
	return nil
}

func indexKey(q EventQueue, due int64, event uint64) []byte {
	key := append([]byte(eventIndex), q.String()...)
	key = append(key, 0)
	key = binary.BigEndian.AppendUint64(key, uint64(due))
	return binary.BigEndian.AppendUint64(key, event)
}

// queueEnd sorts behind every entry of a queue.
func queueEnd(q EventQueue) []byte { return append(append([]byte(eventIndex), q.String()...), 1) }

func payloadKey(event uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(eventPayload), event)
}

const entryBytes = 1 + 8 + 1 + 2

func encodeEntry(x EventEntry) []byte {
	b := make([]byte, 0, entryBytes)
	b = append(b, eventVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(x.Born))
	b = append(b, x.Failures)
	return binary.BigEndian.AppendUint16(b, x.Refusals)
}

func decodeEntry(key, value []byte) (EventEntry, error) {
	if len(key) < 16 || len(value) != entryBytes || value[0] != eventVersion {
		return EventEntry{}, fmt.Errorf("%q is no entry of the index of events", key)
	}
	place := key[len(key)-16:]
	return EventEntry{
		Due: int64(binary.BigEndian.Uint64(place)), Event: binary.BigEndian.Uint64(place[8:]),
		Born: int64(binary.BigEndian.Uint64(value[1:])), Failures: value[9], Refusals: binary.BigEndian.Uint16(value[10:]),
	}, nil
}

// eventHead is the part of a stored event before its payload.
type eventHead struct {
	Queue     EventQueue
	RequestID string
	TraceID   string `json:",omitempty"`
}

// encodeEvent writes a version, the length of the head, the head as JSON and the payload.
func encodeEvent(x *Event) ([]byte, error) {
	head, err := json.Marshal(eventHead{x.Queue, x.RequestID, x.TraceID})
	if err != nil {
		return nil, fmt.Errorf("encode an event: %w", err)
	}
	b := make([]byte, 0, 1+4+len(head)+len(x.Payload))
	b = append(b, eventVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = append(b, head...)
	return append(b, x.Payload...), nil
}

func decodeEvent(value []byte) (*Event, error) {
	if len(value) < 5 || value[0] != eventVersion {
		return nil, errors.New("a stored event has an unknown format")
	}
	n := binary.BigEndian.Uint32(value[1:])
	if uint64(n) > uint64(len(value)-5) {
		return nil, errors.New("a stored event is cut off")
	}
	var head eventHead
	if err := json.Unmarshal(value[5:5+n], &head); err != nil {
		return nil, fmt.Errorf("decode an event: %w", err)
	}
	return &Event{head.Queue, head.RequestID, head.TraceID, value[5+n:]}, nil
}
