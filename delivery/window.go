package delivery

// A window holds the earliest waiting events of a queue, as a heap in the order of the index.
type window struct {
	heap []Entry
	has  map[EventID]struct{}
}

func (w *window) len() int      { return len(w.heap) }
func (w *window) first() *Entry { return &w.heap[0] }

func (w *window) less(i, j int) bool { return w.heap[i].before(w.heap[j].Due, w.heap[j].Event) }

// push adds an event; it reports false if the window has it already.
func (w *window) push(e Entry) bool {
	if _, ok := w.has[e.Event]; ok {
		return false
	}
	if w.has == nil {
		w.has = make(map[EventID]struct{})
	}
	w.has[e.Event] = struct{}{}
	w.heap = append(w.heap, e)
	i := len(w.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !w.less(i, up) {
			break
		}
		w.heap[i], w.heap[up] = w.heap[up], w.heap[i]
		i = up
	}
	return true
}

// pop removes the first event.
func (w *window) pop() Entry {
	e := w.heap[0]
	w.removeAt(0)
	return e
}

// popLast removes the last event. It takes time in proportion to the window.
func (w *window) popLast() Entry {
	last := len(w.heap) / 2
	for i := last + 1; i < len(w.heap); i++ {
		if w.less(last, i) {
			last = i
		}
	}
	e := w.heap[last]
	w.removeAt(last)
	return e
}

func (w *window) removeAt(i int) {
	delete(w.has, w.heap[i].Event)
	n := len(w.heap) - 1
	w.heap[i] = w.heap[n]
	w.heap = w.heap[:n]
	for i < n {
		child := 2*i + 1
		if child >= n {
			break
		}
		if child+1 < n && w.less(child+1, child) {
			child++
		}
		if !w.less(child, i) {
			break
		}
		w.heap[i], w.heap[child] = w.heap[child], w.heap[i]
		i = child
	}
	if i < n {
		for i > 0 && w.less(i, (i-1)/2) {
			up := (i - 1) / 2
			w.heap[i], w.heap[up] = w.heap[up], w.heap[i]
			i = up
		}
	}
}
