package xray

import (
	"container/list"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/weir-run/weir/lambda"
)

// Bounds of what is kept.
const (
	maxDocument   = 64 << 10  // bytes of a segment document, as on AWS
	maxTraceBytes = 500 << 10 // of the documents of a trace, as on AWS
	maxBytes      = 64 << 20  // of all documents; the oldest traces go first
	perDocument   = 512       // bytes that one counts beside its text
)

type traceKey struct {
	scope lambda.Scope
	id    string
}

// A trace is the segments that have come of one.
type trace struct {
	key       traceKey
	documents []document
	bytes     int
	exceeded  bool // some segments were dropped
	place     *list.Element
}

type document struct {
	id   string
	text []byte
}

// begun is when the trace's id says that it began.
func (t *trace) begun() time.Time {
	n, _ := strconv.ParseInt(t.key.id[2:10], 16, 64) // its id was checked
	return time.Unix(n, 0)
}

// put keeps a document. One of the same id is replaced: a segment that was in progress.
func (s *Service) put(scope lambda.Scope, x *segment, text []byte) {
	key := traceKey{scope, x.TraceID}
	size := len(text) + perDocument
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.mu.traces[key]
	if t == nil {
		t = &trace{key: key}
		t.place = s.mu.order.PushBack(t)
		s.mu.traces[key] = t
	}
	if i := slices.IndexFunc(t.documents, func(d document) bool { return d.id == x.ID }); i >= 0 {
		old := len(t.documents[i].text) + perDocument
		t.documents = slices.Delete(t.documents, i, i+1)
		t.bytes, s.mu.bytes = t.bytes-old, s.mu.bytes-old
	}
	if t.bytes+size > maxTraceBytes {
		t.exceeded = true
		return
	}
	t.documents = append(t.documents, document{x.ID, text})
	t.bytes, s.mu.bytes = t.bytes+size, s.mu.bytes+size
	for s.mu.bytes > s.maxBytes {
		s.dropLocked(s.mu.order.Front().Value.(*trace))
	}
}

func (s *Service) dropLocked(t *trace) {
	delete(s.mu.traces, t.key)
	s.mu.order.Remove(t.place)
	s.mu.bytes -= t.bytes
}

// snapshot returns the traces of a scope that keep says yes to, the oldest first; a trace that
// changes later does not change them.
func (s *Service) snapshot(scope lambda.Scope, keep func(*trace) bool) []trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []trace
	for e := s.mu.order.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*trace); t.key.scope == scope && keep(t) {
			c := *t
			c.documents = slices.Clone(t.documents)
			found = append(found, c)
		}
	}
	return found
}

// find returns one trace.
func (s *Service) find(scope lambda.Scope, id string) (trace, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.mu.traces[traceKey{scope, id}]
	if t == nil {
		return trace{}, false
	}
	c := *t
	c.documents = slices.Clone(t.documents)
	return c, true
}

// segments decodes the documents of a trace.
func (t *trace) segments() []*segment {
	all := make([]*segment, 0, len(t.documents))
	for _, d := range t.documents {
		x := new(segment)
		if json.Unmarshal(d.text, x) == nil { // it was, when it came
			all = append(all, x)
		}
	}
	return all
}

// A whole is a segment with all that belongs below it.
type whole struct {
	id   string
	text string
}

// assemble hangs the subsegments that came by themselves below their parents, as X-Ray does.
// One whose parent is not there stands for itself.
func (t *trace) assemble() ([]whole, error) {
	nodes := make([]map[string]any, 0, len(t.documents))
	byID := make(map[string]map[string]any)
	for _, d := range t.documents {
		var node map[string]any
		if err := json.Unmarshal(d.text, &node); err != nil {
			return nil, err
		}
		index(node, byID)
		nodes = append(nodes, node)
	}
	var out []whole
	for _, node := range nodes {
		parent := byID[textOf(node["parent_id"])]
		if node["type"] == "subsegment" && parent != nil && !below(node, textOf(node["parent_id"])) {
			subs, _ := parent["subsegments"].([]any)
			parent["subsegments"] = append(subs, node)
		}
	}
	for _, node := range nodes {
		parent := byID[textOf(node["parent_id"])]
		if node["type"] == "subsegment" && parent != nil && !below(node, textOf(node["parent_id"])) {
			continue
		}
		text, err := json.Marshal(node)
		if err != nil {
			return nil, err
		}
		out = append(out, whole{textOf(node["id"]), string(text)})
	}
	return out, nil
}

func index(node map[string]any, byID map[string]map[string]any) {
	byID[textOf(node["id"])] = node
	subs, _ := node["subsegments"].([]any)
	for _, sub := range subs {
		if m, ok := sub.(map[string]any); ok {
			index(m, byID)
		}
	}
}

// below reports whether an id is that of a node or of one below it: such a parent would make a
// circle.
func below(node map[string]any, id string) bool {
	if textOf(node["id"]) == id {
		return true
	}
	subs, _ := node["subsegments"].([]any)
	for _, sub := range subs {
		if m, ok := sub.(map[string]any); ok && below(m, id) {
			return true
		}
	}
	return false
}

func textOf(v any) string {
	s, _ := v.(string)
	return s
}
