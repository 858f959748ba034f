package engine

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/weir-run/weir/lambda"
)

// NewTrace returns the trace header of an invocation whose caller gave none: a new trace that is
// not sampled, unless its first function decides otherwise. Its parent, which does not exist,
// is the end of its Root; that is how isNew knows it again.
func NewTrace(now time.Time) string {
	var id [24]byte
	binary.BigEndian.PutUint32(id[:], uint32(now.Unix()))
	binary.BigEndian.PutUint32(id[4:], rand.Uint32())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	copy(id[16:], id[8:16])
	b := make([]byte, 0, 96)
	b = hex.AppendEncode(append(b, "Root=1-"...), id[:4])
	b = hex.AppendEncode(append(b, '-'), id[4:16])
	b = hex.AppendEncode(append(b, ";Parent="...), id[16:])
	return string(append(b, ";Sampled=0"...))
}

// The lengths of a header of NewTrace and of its root.
const (
	newTraceLen = len("Root=1-01234567-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0")
	rootLen     = len("1-01234567-0123456789abcdef01234567")
)

// isNew reports whether a trace header comes from NewTrace and has met no function yet, which
// would have added a lineage: nobody has decided whether it is sampled.
func isNew(trace string) bool {
	const root, parent = len("Root="), len("Root=") + rootLen + len(";Parent=")
	return len(trace) == newTraceLen && trace[newTraceLen-1] == '0' && isUnborn(trace[root:root+rootLen], trace[parent:parent+16])
}

// isUnborn reports whether a parent is the one that NewTrace has made up.
func isUnborn(root, parent string) bool {
	return len(root) == rootLen && root[rootLen-16:] == parent
}

// A Traced is a sampled invocation that has ended, or that was throttled.
type Traced struct {
	Invocation *lambda.Invocation
	Version    string // that ran; empty: it was throttled
	Root       string // the trace, such as 1-5759e988-bd862e3fe1be46a994272793
	Parent     string // segment of the caller, or empty
	Child      string // segment that the function was told is its parent

	Arrived   time.Time // at the engine
	Began     time.Time // the environment got the event
	Ended     time.Time // the environment gave its answer
	Throttled bool
	Outcome   lambda.Outcome
}

const sampledPart = "Sampled="

// undecided is the verdict of a trace header that leaves open whether it is sampled.
const undecided = '?'

// verdict returns what a trace header says of sampling: '1', '0' or undecided.
func verdict(trace string) byte {
	if isNew(trace) {
		return undecided
	}
	i := strings.Index(trace, sampledPart) + len(sampledPart)
	if i < len(sampledPart) || i >= len(trace) {
		return undecided
	}
	if v := trace[i]; v == '0' || v == '1' {
		return v
	}
	return undecided
}

// The default rule of X-Ray samples the first request of every second and a share of the others.
const sampledShare = 0.05

// samples decides by the default rule.
func (p *pool) samples(now lambda.Instant) bool {
	second := int64(now) / int64(time.Second)
	last := p.sampled.Load()
	return last != second && p.sampled.CompareAndSwap(last, second) || rand.Float64() < sampledShare
}

// decide decides about the trace of an asynchronous invocation, if nobody has and its version
// traces actively: all its attempts share the decision.
func (p *pool) decide(inv *lambda.Invocation) {
	switch {
	case p.engine.opt.Trace == nil || verdict(inv.TraceID) != undecided || !p.active(inv):
	case p.samples(p.engine.now()):
		inv.TraceID = withVerdict(inv.TraceID, true, "")
	default: // with another parent it is not new any more
		inv.TraceID = withVerdict(inv.TraceID, false, NewSegmentID())
	}
}

// active reports whether the version that an invocation names traces actively.
func (p *pool) active(inv *lambda.Invocation) bool {
	v, ok := versionOf(p.engine.opt.Store.Catalog().Snapshot(), inv.Scope, inv.Function, inv.Qualifier)
	return ok && v.TracesActive
}

// withVerdict returns a trace header that says whether it is sampled, and which segment is the
// parent; empty leaves the parent as it is. A header without a trace begins one.
func withVerdict(trace string, sampled bool, parent string) string {
	if !strings.Contains(trace, "Root=") {
		trace = NewTrace(time.Now()) + ";" + trace
	}
	b := make([]byte, 0, len(trace)+32)
	told := false
	for part := range strings.SplitSeq(trace, ";") {
		switch {
		case part == "" || strings.HasPrefix(part, sampledPart) || parent != "" && strings.HasPrefix(part, "Parent="):
			continue
		case strings.HasPrefix(part, "Lineage=") && !told:
			b, told = appendVerdict(b, sampled, parent), true
		}
		b = append(append(b, part...), ';')
	}
	if !told {
		b = appendVerdict(b, sampled, parent)
	}
	return string(b[:len(b)-1])
}

func appendVerdict(b []byte, sampled bool, parent string) []byte {
	if parent != "" {
		b = append(append(append(b, "Parent="...), parent...), ';')
	}
	if sampled {
		return append(b, sampledPart+"1;"...)
	}
	return append(b, sampledPart+"0;"...)
}

// part returns a part of a trace header, such as Root.
func part(trace, name string) string {
	for p := range strings.SplitSeq(trace, ";") {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			return value
		}
	}
	return ""
}

// NewSegmentID returns the id of a segment.
func NewSegmentID() string {
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	return hex.EncodeToString(id[:])
}

// begin decides whether an invocation that is about to run is traced. If so it tells the
// function its parent; otherwise it returns nil.
func (g *Grant) begin() *Traced {
	if g.pool.engine.opt.Trace == nil || g.verdict == '0' {
		return nil
	}
	if g.verdict == undecided && !(g.active && g.pool.samples(g.at)) {
		return nil
	}
	t := &Traced{Invocation: g.inv, Version: g.version, Child: NewSegmentID(), Arrived: wall(g.arrived), Began: time.Now()}
	t.place(t.Child)
	return t
}

// place reads where in which trace an invocation is, and notes in its header that it is sampled.
func (t *Traced) place(child string) {
	t.Parent = part(t.Invocation.TraceID, "Parent")
	t.Invocation.TraceID = withVerdict(t.Invocation.TraceID, true, child)
	t.Root = part(t.Invocation.TraceID, "Root")
	if isUnborn(t.Root, t.Parent) {
		t.Parent = ""
	}
}

func wall(i lambda.Instant) time.Time { return time.Unix(0, int64(i)) }

// end hands over what is known of a traced invocation.
func (g *Grant) end(t *Traced, out *lambda.Outcome) {
	t.Ended, t.Outcome = time.Now(), *out
	g.pool.engine.opt.Trace(t)
}

// traceRefused hands over an invocation that was throttled, if it is sampled.
func (p *pool) traceRefused(inv *lambda.Invocation, verdict byte, err error) {
	if p.engine.opt.Trace == nil || !errors.As(err, new(*Throttle)) || verdict == '0' || verdict == undecided && !(p.active(inv) && p.samples(p.engine.now())) {
		return
	}
	now := time.Now()
	t := &Traced{Invocation: inv, Arrived: now, Began: now, Ended: now, Throttled: true}
	t.place("")
	p.engine.opt.Trace(t)
}
