package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
)

// FanOut keeps published messages and, for each, the deliveries that are not settled. A
// message goes when its last delivery is settled.
//
// Keys, all below "n/"; numbers are big-endian:
//
//	n/m/<message>             what was published
//	n/d/<message><delivery>   a delivery: when it is due, to whom
//	n/o/<name>                a name that is published once until a time
//	n/x/<until><name>         the names in the order in which they expire
type FanOut struct {
	slot Slot

	mu struct {
		sync.Mutex
		last  uint64            // message
		left  map[uint64]uint32 // deliveries that are not settled, by message
		swept uint64            // no name expires before
	}
}

// A Delivery is one way of a message. Times are nanoseconds since 1970.
type Delivery struct {
	Message  uint64 // grows with every Add
	Number   uint32 // among those of the message
	Due      int64
	Attempts uint32
	Target   string
}

// A Once makes Add add nothing if the same name was added before and has not expired.
type Once struct {
	Name  string
	ID    string // returned for every repetition
	Until int64
}

const (
	fanOutMessage  = "n/m/"
	fanOutDelivery = "n/d/"
	fanOutOnce     = "n/o/"
	fanOutExpiry   = "n/x/"

	fanOutVersion = 1  // first byte of every value
	sweepNames    = 16 // expired names that an Add removes, at most
	onceAttempts  = 10 // against others that add the same name
)

// openFanOut numbers messages from the epoch on: no number is ever given twice.
func openFanOut(slot Slot) *FanOut {
	f := &FanOut{slot: slot}
	f.mu.last = slot.Epoch() << 32
	f.mu.left = make(map[uint64]uint32)
	return f
}

// An Added says what became of a message.
type Added struct {
	Message    uint64
	Deliveries []Delivery
	Earlier    string // ID of the Once that was added before; then there are no deliveries
}

// Add makes a message and its deliveries durable, due at once. once may be nil.
func (f *FanOut) Add(ctx context.Context, payload []byte, targets []string, once *Once, now int64) (Added, error) {
	for range onceAttempts {
		added, err := f.add(ctx, payload, targets, once, now)
		if !errors.Is(err, ErrConflict) {
			return added, err
		}
	}
	return Added{}, fmt.Errorf("store a message: others published the same name %d times: %w", onceAttempts, ErrConflict)
}

func (f *FanOut) add(ctx context.Context, payload []byte, targets []string, once *Once, now int64) (Added, error) {
	f.mu.Lock()
	f.mu.last++
	x := Added{Message: f.mu.last}
	f.mu.Unlock()
	var b Batch
	if once != nil {
		earlier, err := f.once(&b, x.Message, once, now)
		if err != nil || earlier.Earlier != "" {
			return earlier, err
		}
	}
	for i, target := range targets {
		d := Delivery{Message: x.Message, Number: uint32(i), Due: now, Target: target}
		b.Set(deliveryKey(d), encodeDelivery(d))
		x.Deliveries = append(x.Deliveries, d)
	}
	if len(targets) > 0 {
		b.Set(messageKey(x.Message), append([]byte{fanOutVersion}, payload...))
	}
	if len(b.ops) == 0 {
		return x, nil
	}
	if _, err := f.slot.Commit(ctx, &b); err != nil {
		return Added{}, fmt.Errorf("store a message: %w", err)
	}
	if len(targets) > 0 {
		f.mu.Lock()
		f.mu.left[x.Message] = uint32(len(targets))
		f.mu.Unlock()
	}
	return x, nil
}

// once adds a name to a batch, or returns the message that has it.
func (f *FanOut) once(b *Batch, message uint64, once *Once, now int64) (Added, error) {
	key := []byte(fanOutOnce + once.Name)
	value, version, err := f.slot.Get(key)
	if err != nil {
		return Added{}, fmt.Errorf("look for an earlier message: %w", err)
	}
	if version != 0 {
		if len(value) < 17 || value[0] != fanOutVersion {
			return Added{}, fmt.Errorf("%q is no name of a message", key)
		}
		until := binary.BigEndian.Uint64(value[1:])
		if now < int64(until) {
			return Added{Message: binary.BigEndian.Uint64(value[9:]), Earlier: string(value[17:])}, nil
		}
		b.Delete(expiryKey(until, once.Name))
	}
	if err := f.sweep(b, now, once.Name); err != nil {
		return Added{}, err
	}
	b.Check(key, version)
	value = binary.BigEndian.AppendUint64([]byte{fanOutVersion}, uint64(once.Until))
	value = binary.BigEndian.AppendUint64(value, message)
	b.Set(key, append(value, once.ID...))
	b.Set(expiryKey(uint64(once.Until), once.Name), []byte{fanOutVersion})
	return Added{}, nil
}

// sweep adds the removal of some expired names to a batch. Each is removed only if nobody has
// renewed it meanwhile.
func (f *FanOut) sweep(b *Batch, now int64, except string) error {
	f.mu.Lock()
	from := f.mu.swept
	f.mu.Unlock()
	var names []string
	var first uint64
	err := f.slot.Scan(expiryKey(from, ""), expiryKey(uint64(now), ""), sweepNames, func(key, _ []byte, _ Version) bool {
		place := key[len(fanOutExpiry):]
		if len(names) == 0 {
			first = binary.BigEndian.Uint64(place)
		}
		names = append(names, string(place[8:]))
		b.Delete(append([]byte(nil), key...))
		return true
	})
	if err != nil {
		return fmt.Errorf("look for expired names: %w", err)
	}
	for _, name := range names {
		if name == except {
			continue
		}
		key := []byte(fanOutOnce + name)
		value, version, err := f.slot.Get(key)
		if err != nil {
			return fmt.Errorf("read an expired name: %w", err)
		}
		if version != 0 && len(value) >= 9 && int64(binary.BigEndian.Uint64(value[1:])) <= now {
			b.Check(key, version)
			b.Delete(key)
		}
	}
	if len(names) > 0 {
		f.mu.Lock()
		f.mu.swept = max(f.mu.swept, first)
		f.mu.Unlock()
	}
	return nil
}

// Read returns what was published as a message, or false if it is gone: then all its
// deliveries were settled, even if a crash left one of them behind.
func (f *FanOut) Read(message uint64) ([]byte, bool, error) {
	value, version, err := f.slot.Get(messageKey(message))
	if err != nil {
		return nil, false, fmt.Errorf("read message %d: %w", message, err)
	}
	if version == 0 {
		return nil, false, nil
	}
	if len(value) == 0 || value[0] != fanOutVersion {
		return nil, false, fmt.Errorf("message %d has an unknown format", message)
	}
	return value[1:], true, nil
}

// Load calls f with every delivery that is not settled, in the order of their messages. It is
// called once, before the first Add.
func (f *FanOut) Load(each func(Delivery)) error {
	lo, hi := []byte(fanOutDelivery), []byte("n/d0")
	for n := MaxScan; n == MaxScan; {
		n = 0
		var bad error
		err := f.slot.Scan(lo, hi, MaxScan, func(key, value []byte, _ Version) bool {
			n++
			lo = append(append(lo[:0], key...), 0)
			var d Delivery
			if d, bad = decodeDelivery(key, value); bad != nil {
				return false
			}
			f.mu.Lock()
			f.mu.left[d.Message]++
			f.mu.Unlock()
			each(d)
			return true
		})
		if err = errors.Join(err, bad); err != nil {
			return fmt.Errorf("load the deliveries: %w", err)
		}
	}
	return nil
}

// Move gives a delivery another time and count of attempts.
func (f *FanOut) Move(ctx context.Context, d Delivery) error {
	var b Batch
	b.Set(deliveryKey(d), encodeDelivery(d))
	if _, err := f.slot.Commit(ctx, &b); err != nil {
		return fmt.Errorf("move a delivery of message %d: %w", d.Message, err)
	}
	return nil
}

// Settle removes a delivery for good, and the message with its last one.
func (f *FanOut) Settle(ctx context.Context, d Delivery) error {
	var b Batch
	b.Delete(deliveryKey(d))
	f.mu.Lock()
	f.mu.left[d.Message]--
	if f.mu.left[d.Message] == 0 {
		delete(f.mu.left, d.Message)
		b.Delete(messageKey(d.Message))
	}
	f.mu.Unlock()
	if _, err := f.slot.Commit(ctx, &b); err != nil {
		return fmt.Errorf("settle a delivery of message %d: %w", d.Message, err)
	}
	return nil
}

func messageKey(message uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(fanOutMessage), message)
}

func deliveryKey(d Delivery) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64([]byte(fanOutDelivery), d.Message), d.Number)
}

func expiryKey(until uint64, name string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte(fanOutExpiry), until), name...)
}

const deliveryBytes = 1 + 8 + 4 // before the target

func encodeDelivery(d Delivery) []byte {
	b := make([]byte, 0, deliveryBytes+len(d.Target))
	b = append(b, fanOutVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(d.Due))
	b = binary.BigEndian.AppendUint32(b, d.Attempts)
	return append(b, d.Target...)
}

func decodeDelivery(key, value []byte) (Delivery, error) {
	if len(key) != len(fanOutDelivery)+12 || len(value) < deliveryBytes || value[0] != fanOutVersion {
		return Delivery{}, fmt.Errorf("%q is no delivery", key)
	}
	place := key[len(fanOutDelivery):]
	return Delivery{
		Message: binary.BigEndian.Uint64(place), Number: binary.BigEndian.Uint32(place[8:]),
		Due: int64(binary.BigEndian.Uint64(value[1:])), Attempts: binary.BigEndian.Uint32(value[9:]),
		Target: string(value[deliveryBytes:]),
	}, nil
}
