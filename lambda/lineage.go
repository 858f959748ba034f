package lambda

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// MaxHops is how often one chain of events may invoke the same function before the next
// invocation is stopped (AWS: "Lambda recursive loop detection", approximately 16).
const MaxHops = 16

// Hop adds an invocation of a function to the lineage of a trace header: the part
// Lineage=1:<function>:<hops>|… counts how often the chain of events that led here has
// invoked each function. It returns the header for the function and how often it was
// invoked before. A header without a lineage begins one.
func Hop(trace, functionARN string) (next string, before int) {
	h := fnv.New32a()
	h.Write([]byte(functionARN))
	self := fmt.Sprintf("%08x", h.Sum32())
	var parts, hops []string
	for part := range strings.SplitSeq(trace, ";") {
		if lineage, ok := strings.CutPrefix(part, "Lineage="); ok {
			hops = strings.Split(lineage, "|")
		} else if part != "" {
			parts = append(parts, part)
		}
	}
	found := false
	for i, hop := range hops {
		fields := strings.Split(hop, ":")
		n := len(fields)
		if n < 2 || fields[n-2] != self {
			continue
		}
		if count, err := strconv.Atoi(fields[n-1]); err == nil && count >= 0 {
			before, found = count+1, true
			hops[i] = fmt.Sprintf("%d:%s:%d", i+1, self, before)
		}
	}
	if !found {
		hops = append(hops, fmt.Sprintf("%d:%s:0", len(hops)+1, self))
	}
	if len(hops) > maxLineage {
		hops = hops[len(hops)-maxLineage:]
	}
	parts = append(parts, "Lineage="+strings.Join(hops, "|"))
	return strings.Join(parts, ";"), before
}

// maxLineage bounds the functions of a lineage; the oldest are forgotten.
const maxLineage = 32
