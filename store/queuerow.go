package store

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// Keys of queues. Queues and messages are numbered, big-endian, and no number is ever given
// twice; a queue that is made again under its old name has a new number.
//
//	m/i/<queue><sequence>        the index: what memory holds of a message, and its group
//	m/b/<queue><sequence>        what was sent
//	m/l/<queue>                  the sequence number before which the index is empty
//	m/m/<queue><sequence>        the message was moved to another queue and may be deleted
//	d/<queue><sent><sequence>    a deduplication id, for five minutes
const (
	queueIndex = "m/i/"
	queueBody  = "m/b/"
	queueLow   = "m/l/"
	queueMoved = "m/m/"
	queueDedup = "d/"

	queueVersion = 1 // first byte of every value
)

func queueKey(prefix string, parts ...uint64) []byte {
	key := make([]byte, 0, len(prefix)+8*len(parts))
	key = append(key, prefix...)
	for _, p := range parts {
		key = binary.BigEndian.AppendUint64(key, p)
	}
	return key
}

const queueRowBytes = 1 + 8 + 8 + 8 + 4 // and the group

func encodeQueued(m *queued) []byte {
	b := make([]byte, 0, queueRowBytes)
	b = append(b, queueVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(m.visibleAt))
	b = binary.BigEndian.AppendUint64(b, uint64(m.sent))
	b = binary.BigEndian.AppendUint64(b, uint64(m.first))
	b = binary.BigEndian.AppendUint32(b, m.receives)
	if m.group != nil {
		b = append(b, m.group.name...)
	}
	return b
}

func decodeQueued(key, value []byte) (m *queued, group string, err error) {
	if len(key) != len(queueIndex)+16 || len(value) < queueRowBytes || value[0] != queueVersion {
		return nil, "", fmt.Errorf("%q is no entry of the index of a queue", key)
	}
	m = &queued{
		seq:       binary.BigEndian.Uint64(key[len(key)-8:]),
		visibleAt: int64(binary.BigEndian.Uint64(value[1:])),
		sent:      int64(binary.BigEndian.Uint64(value[9:])),
		first:     int64(binary.BigEndian.Uint64(value[17:])),
		receives:  binary.BigEndian.Uint32(value[25:]),
	}
	return m, string(value[queueRowBytes:]), nil
}

// encodeMessage writes a version and the fields, each behind its length.
func encodeMessage(m *Message) []byte {
	n := 64 + len(m.Body) + len(m.Group) + len(m.Dedup) + len(m.Sender) + len(m.Trace) + len(m.Source)
	for _, a := range m.Attributes {
		n += 16 + len(a.Name) + len(a.Type) + len(a.Value)
	}
	b := append(make([]byte, 0, n), queueVersion)
	for _, s := range []string{m.ID, m.Group, m.Dedup, m.Sender, m.Trace, m.Source} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(m.Attributes)))
	for _, a := range m.Attributes {
		b = appendText(appendText(appendText(b, a.Name), a.Type), a.Value)
	}
	return append(b, m.Body...)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBadMessage = errors.New("a stored message has an unknown format")

func decodeMessage(value []byte) (*Message, error) {
	if len(value) == 0 || value[0] != queueVersion {
		return nil, errBadMessage
	}
	rest := string(value[1:])
	m, ok := new(Message), true
	for _, s := range []*string{&m.ID, &m.Group, &m.Dedup, &m.Sender, &m.Trace, &m.Source} {
		*s, rest, ok = cutText(rest, ok)
	}
	n, rest, ok := cutNumber(rest, ok)
	if !ok || n > uint64(len(rest)) {
		return nil, errBadMessage
	}
	if n > 0 {
		m.Attributes = make([]MessageAttribute, n)
	}
	for i := range m.Attributes {
		a := &m.Attributes[i]
		a.Name, rest, ok = cutText(rest, ok)
		a.Type, rest, ok = cutText(rest, ok)
		a.Value, rest, ok = cutText(rest, ok)
	}
	if !ok {
		return nil, errBadMessage
	}
	m.Body = rest
	return m, nil
}

func cutNumber(s string, ok bool) (uint64, string, bool) {
	var n uint64
	for i := 0; ok && i < len(s) && i < binary.MaxVarintLen64; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}

func cutText(s string, ok bool) (string, string, bool) {
	n, rest, ok := cutNumber(s, ok)
	if !ok || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// A receipt names one delivery of a message.
type receipt struct {
	queue    uint64
	seq      uint64
	receives uint32
}

func (r receipt) String() string {
	b := []byte{queueVersion}
	b = binary.BigEndian.AppendUint64(b, r.queue)
	b = binary.BigEndian.AppendUint64(b, r.seq)
	b = binary.BigEndian.AppendUint32(b, r.receives)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return "AQEB" + base64.StdEncoding.EncodeToString(b)
}

func parseReceipt(s string) (receipt, bool) {
	text, ok := strings.CutPrefix(s, "AQEB")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != 25 || b[0] != queueVersion || binary.BigEndian.Uint32(b[21:]) != crc32.ChecksumIEEE(b[:21]) {
		return receipt{}, false
	}
	return receipt{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:]), binary.BigEndian.Uint32(b[17:])}, true
}

func encodeDedup(key dedupKey, id string) []byte {
	b := append([]byte{queueVersion}, key[:]...)
	return append(b, id...)
}

func decodeDedup(key, value []byte) (k dedupKey, d dedup, err error) {
	if len(key) != len(queueDedup)+24 || len(value) < 1+len(k) || value[0] != queueVersion {
		return k, d, fmt.Errorf("%q is no deduplication id", key)
	}
	copy(k[:], value[1:])
	at := key[len(queueDedup)+8:]
	return k, dedup{
		sent: int64(binary.BigEndian.Uint64(at)), seq: binary.BigEndian.Uint64(at[8:]),
		id: string(value[1+len(k):]),
	}, nil
}
