package engine

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// NewTrace returns the trace header of an invocation whose caller gave none: a new trace that
// is not sampled.
func NewTrace(now time.Time) string {
	var id [24]byte
	binary.BigEndian.PutUint32(id[:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(id[4:], rand.Uint32())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	binary.BigEndian.PutUint64(id[16:], rand.Uint64())
	b := make([]byte, 0, 96)
	b = hex.AppendEncode(append(b, "Root=1-"...), id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:16])
	b = hex.AppendEncode(append(b, ";Parent="...), id[16:])
	return string(append(b, ";Sampled=0"...))
}
