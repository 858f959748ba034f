package lambda

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// newTrace returns the trace header of an invocation whose caller gave none: a new trace that
// is not sampled, at the beginning of its lineage.
func newTrace(now time.Time) string {
	return fmt.Sprintf("Root=1-%08x-%08x%016x;Parent=%016x;Sampled=0;Lineage=1:%08x:0",
		uint32(now.Unix()), rand.Uint32(), rand.Uint64(), rand.Uint64(), rand.Uint32())
}
