package lambda

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// MaxHops is how often one chain of events may invoke the same function before the next
// invocation is stopped (AWS: "Lambda recursive loop detection", approximately 16).
const MaxHops = 16

// lineagePart is where a trace header tells who was invoked on the way:
// Lineage=1:<function>:<hops>|… counts the invocations of each function.
const lineagePart = "Lineage="

// Hop adds an invocation of a function to the lineage of a trace header. It returns the header
// for the function and how often the chain of events that led here has invoked it before. A
// header without a lineage begins one.
func Hop(trace string, s Scope, function string) (next string, before int) {
	id := lineageID(s, function)
	if !strings.Contains(trace, lineagePart) {
		separator := ";"
		if trace == "" {
			separator = ""
		}
		return trace + separator + lineagePart + "1:" + string(id[:]) + ":0", 0
	}
	self := string(id[:])
	var parts, hops []string
	for part := range strings.SplitSeq(trace, ";") {
		if lineage, ok := strings.CutPrefix(part, lineagePart); ok {
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
	parts = append(parts, lineagePart+strings.Join(hops, "|"))
	return strings.Join(parts, ";"), before
}

// maxLineage bounds the functions of a lineage; the oldest are forgotten.
const maxLineage = 32

// lineageID names a function in a lineage: eight hexadecimal digits, as AWS's (FNV-1a).
func lineageID(s Scope, function string) (id [8]byte) {
	h := uint32(2166136261)
	for _, part := range [...]string{s.Account, s.Region, function} {
		for i := range len(part) {
			h = (h ^ uint32(part[i])) * 16777619
		}
		h = (h ^ ':') * 16777619
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], h)
	hex.Encode(id[:], b[:])
	return id
}
