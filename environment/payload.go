package environment

import (
	"math/bits"
	"sync"
	"unsafe"
)

// Payloads from minClass bytes on come from pools of buffers by size class, powers of two up to
// maxClass: a fresh 6 MB slice costs a page fault for every 4 KB, about 1.8 ms.
const (
	minClass = 16 // 64 KiB
	maxClass = 23 // 8 MiB: a response of the largest size
)

var payloads [maxClass + 1]sync.Pool // of *byte, the first byte of a buffer of 1<<class bytes

// makePayload returns a slice of n bytes of undefined content.
func makePayload(n int) []byte {
	class := bits.Len(uint(max(n-1, 0)))
	if n < 1<<minClass || class > maxClass {
		return make([]byte, n)
	}
	if first, ok := payloads[class].Get().(*byte); ok {
		return unsafe.Slice(first, 1<<class)[:n]
	}
	return make([]byte, 1<<class)[:n]
}

// growPayload returns p longer by n bytes of undefined content, moved if it has no room.
func growPayload(p []byte, n int) []byte {
	size := len(p) + n
	if size <= cap(p) {
		return p[:size]
	}
	room := size
	if len(p) > 0 {
		room = max(size, 2*cap(p)) // not the first chunk: more may follow
	}
	grown := makePayload(room)[:size]
	copy(grown, p)
	Recycle(p)
	return grown
}

// Recycle gives the payload of an Outcome back when nobody refers to it any more. It is an
// economy, not a duty: a payload that is not given back is collected as garbage.
func Recycle(p []byte) {
	class := bits.Len(uint(max(cap(p)-1, 0)))
	if class < minClass || class > maxClass || cap(p) != 1<<class {
		return
	}
	payloads[class].Put(unsafe.SliceData(p))
}
