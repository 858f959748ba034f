package logs

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
)

var testGroup = GroupID{lambda.Scope{Account: "111111111111", Region: "us-east-1"}, "/aws/lambda/f"}

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	o.Dir = dir
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func event(at int64, text string) Event { return Event{Time: at, Ingested: at, Message: []byte(text)} }

// put writes events to a stream, which it makes if needed.
func put(t *testing.T, s *Store, stream string, events ...Event) {
	t.Helper()
	if err := s.CreateStream(testGroup, stream); err != nil && err != ErrExists {
		t.Fatal(err)
	}
	check(t, s.Put(testGroup, stream, events))
}

// all is a query for everything.
func all() Query { return Query{To: 1 << 50, Limit: 10000, MaxBytes: 1 << 20} }

// texts returns "stream: message" of what a query finds on all its pages.
func texts(t *testing.T, s *Store, q Query) []string {
	t.Helper()
	var out []string
	for range 10000 {
		page, err := s.Read(testGroup, q)
		check(t, err)
		var part []string
		for _, e := range page.Events {
			part = append(part, e.Stream+": "+string(e.Message))
		}
		if q.Backward {
			out = append(part, out...)
		} else {
			out = append(out, part...)
		}
		if !page.More {
			return out
		}
		q.After = &page.Next
	}
	t.Fatal("the pages do not end")
	return nil
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d lines instead of %d; from line %d on:\ngot  %.300q\nwant %.300q", len(got), len(want), i, got[min(i, len(got)):min(i+2, len(got))], want[min(i, len(want)):min(i+2, len(want))])
		}
	}
}

func TestWriterIsReadAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	w := s.Writer(testGroup, "a")
	now := time.Now()
	w.Append(now, []byte("START\nline \\ \r two\n"))
	w.Append(now.Add(time.Second), []byte("END\n"))
	equal(t, texts(t, s, all()), []string{"a: START\n", "a: line \\ \r two\n", "a: END\n"})
	streams, err := s.Streams(testGroup)
	check(t, err)
	if len(streams) != 1 || !streams[0].HasEvents || streams[0].Last != now.Add(time.Second).UnixMilli() {
		t.Errorf("streams: %+v", streams)
	}
}

// Events come back in the order of their times, whatever the order in which they came, with any
// page size, in both directions, before and after a restart.
func TestReadAgainstModel(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	rnd := rand.New(rand.NewPCG(1, 2))
	type line struct {
		at   int64
		text string
	}
	var model []line
	for i := range 120 {
		stream := fmt.Sprint("s", rnd.IntN(3))
		var events []Event
		for j := range 1 + rnd.IntN(40) {
			at := int64(i*10 + rnd.IntN(500))
			text := fmt.Sprintf("%d-%d %s", i, j, strings.Repeat("x", rnd.IntN(200)))
			events = append(events, event(at, text))
			model = append(model, line{at, stream + ": " + text})
		}
		put(t, s, stream, events...)
	}
	slices.SortStableFunc(model, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	for range 2 {
		for range 60 {
			q := Query{From: int64(rnd.IntN(1600)), Limit: 1 + rnd.IntN(900), MaxBytes: 100 + rnd.IntN(50000), Backward: rnd.IntN(2) == 0}
			q.To = q.From + int64(rnd.IntN(1600))
			s.maxRead = int64(rnd.IntN(500000))
			only := fmt.Sprint("s", rnd.IntN(4))
			if only != "s3" {
				q.Stream = func(name string) bool { return name == only }
			}
			var want []string
			for _, l := range model {
				if q.From <= l.at && l.at < q.To && (only == "s3" || strings.HasPrefix(l.text, only)) {
					want = append(want, l.text)
				}
			}
			equal(t, texts(t, s, q), want)
		}
		check(t, s.Close())
		s = open(t, dir, Options{})
	}
}

func TestPositionsSortAsText(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		a := position{rnd.Int64N(1 << 45), rnd.IntN(1 << 20), rnd.Int64N(1 << 30)}
		b := position{rnd.Int64N(1 << 45), rnd.IntN(1 << 20), rnd.Int64N(1 << 30)}
		if len(a.String()) != 56 || strings.Compare(a.String(), b.String()) != a.compare(b) {
			t.Fatalf("%v %v", a, b)
		}
		if p, err := ParsePosition(a.String()); err != nil || p.p != a {
			t.Fatalf("%v became %v, %v", a, p, err)
		}
	}
	for _, bad := range []string{"", "1", strings.Repeat("x", 56), strings.Repeat("-", 56), "-" + strings.Repeat("0", 55)} {
		if _, err := ParsePosition(bad); err == nil {
			t.Errorf("%q is a position", bad)
		}
	}
}

// A crash at any byte of a segment leaves every whole line and nothing else; what is written
// afterwards is whole.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, "a", event(1, "one"), event(2, "two\n"))
	put(t, s, "b", event(3, "three"))
	check(t, s.Close())
	path := filepath.Join(dir, "111111111111", "us-east-1", "+aws+lambda+f", "00000001.log")
	whole, err := os.ReadFile(path)
	check(t, err)
	want := []string{"a: one", "a: two\n", "b: three"}
	for cut := range len(whole) {
		check(t, os.WriteFile(path, whole[:cut], 0o644))
		s := open(t, dir, Options{})
		left := bytes.Count(whole[:cut], []byte("Z +"))
		if cut > 0 && left > 0 && bytes.LastIndex(whole[:cut], []byte("Z +")) > bytes.LastIndexByte(whole[:cut], '\n') {
			left-- // its line has no end
		}
		equal(t, texts(t, s, all()), want[:left])
		put(t, s, "c", event(9, "after"))
		check(t, s.Close())
		s = open(t, dir, Options{})
		equal(t, texts(t, s, all()), append(slices.Clone(want[:left]), "c: after"))
		check(t, s.Close())
		extra, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.log"))
		check(t, err)
		for _, x := range extra {
			check(t, os.Remove(x))
		}
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "111111111111", "us-east-1", "+aws+lambda+f")
	check(t, os.MkdirAll(path, 0o755))
	check(t, os.WriteFile(filepath.Join(path, "00000001.log"), []byte("weir-logs 2\nsomething\n"), 0o644))
	s := open(t, dir, Options{})
	if _, err := s.Read(testGroup, all()); err == nil || !strings.Contains(err.Error(), "format") {
		t.Errorf("read: %v", err)
	}
	if left, err := os.ReadFile(filepath.Join(path, "00000001.log")); err != nil || string(left) != "weir-logs 2\nsomething\n" {
		t.Errorf("the file was changed: %q, %v", left, err)
	}
}

func TestDeleteStream(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, "a", event(1, "old"))
	put(t, s, "b", event(2, "other"))
	check(t, s.DeleteStream(testGroup, "a"))
	if err := s.DeleteStream(testGroup, "a"); err != ErrNoStream {
		t.Errorf("second deletion: %v", err)
	}
	if err := s.Put(testGroup, "a", []Event{event(3, "x")}); err != ErrNoStream {
		t.Errorf("put: %v", err)
	}
	put(t, s, "a", event(4, "new"))
	for range 2 {
		equal(t, texts(t, s, all()), []string{"b: other", "a: new"})
		check(t, s.Close())
		s = open(t, dir, Options{})
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, "a", event(1, "old"))
	w := s.Writer(testGroup, "b")
	w.Append(time.UnixMilli(2), []byte("gone too\n"))
	check(t, s.Remove(testGroup))
	equal(t, texts(t, s, all()), nil)
	w.Append(time.UnixMilli(3), []byte("a writer goes on\n"))
	equal(t, texts(t, s, all()), []string{"b: a writer goes on\n"})
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 1 {
		t.Errorf("left in the directory: %v", entries)
	}
	check(t, os.MkdirAll(filepath.Join(dir, trash+"1", "x"), 0o755))
	check(t, s.Close())
	open(t, dir, Options{})
	if _, err := os.Stat(filepath.Join(dir, trash+"1")); !os.IsNotExist(err) {
		t.Errorf("an interrupted removal was not ended: %v", err)
	}
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	now := time.Now()
	put(t, s, "a", event(now.Add(-48*time.Hour).UnixMilli(), "old"), event(now.UnixMilli(), "new"))
	s.SetRetention(testGroup, 24*time.Hour)
	equal(t, texts(t, s, all()), []string{"a: new"})
	s.sweep(now)
	equal(t, texts(t, s, all()), []string{"a: new"})
	s.sweep(now.Add(30 * time.Hour))
	if files, _ := s.files(); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
	if streams, err := s.Streams(testGroup); err != nil || len(streams) != 0 {
		t.Errorf("streams: %v, %v", streams, err)
	}
	put(t, s, "a", event(now.UnixMilli(), "after"))
	equal(t, texts(t, s, all()), []string{"a: after"})
}

// When the segments take more than they may, the oldest go.
func TestDiskLimit(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{MaxBytes: 20 << 20})
	w := s.Writer(testGroup, "a")
	line := []byte(strings.Repeat("x", 1000) + "\n")
	for i := range 40 << 10 {
		w.Append(time.UnixMilli(int64(i)), line)
		if i%10000 == 0 {
			_, err := s.Bytes(testGroup) // writes what is pending
			check(t, err)
		}
	}
	_, err := s.Bytes(testGroup)
	check(t, err)
	s.sweep(time.Now())
	files, total := s.files()
	if total > 20<<20 || total == 0 { // how full the last file is depends on when the others were
		t.Errorf("%d files, %d bytes", len(files), total)
	}
	page, err := s.Read(testGroup, Query{To: 1 << 50, Limit: 1, MaxBytes: 1 << 20, Backward: true})
	check(t, err)
	if len(page.Events) != 1 || page.Events[0].Time != 40<<10-1 {
		t.Errorf("the last event: %+v", page.Events)
	}
}

// What comes faster than it is written is dropped, counted, and told in the stream.
func TestDropsAreVisible(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	g := s.group(testGroup)
	g.mu.Lock() // nothing can be written
	w := s.Writer(testGroup, "a")
	lines := bytes.Repeat([]byte(strings.Repeat("x", 1023)+"\n"), 1<<10) // 1 MiB
	for range 26 {
		w.Append(time.UnixMilli(5), lines)
	}
	g.mu.Unlock()
	q := all()
	q.Match = func(m []byte) bool { return bytes.Contains(m, []byte("dropped")) }
	got := texts(t, s, q)
	if want := "a: [weir] 2048 log events (2097152 bytes) were dropped here: they could not be written in time\n"; len(got) != 1 || got[0] != want {
		t.Errorf("%q", got)
	}
	if n := s.pending.Load(); n != 0 {
		t.Errorf("%d bytes are pending", n)
	}
}

func TestTellAndRace(t *testing.T) {
	var mu sync.Mutex
	told := make(map[string]int)
	s := open(t, t.TempDir(), Options{Tell: func(b Batch) {
		mu.Lock()
		defer mu.Unlock()
		told[b.Stream] += len(b.Events)
	}})
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			w := s.Writer(testGroup, fmt.Sprint("w", i))
			for j := range 500 {
				w.Append(time.UnixMilli(int64(j)), []byte("x\ny\n"))
				if j%100 == 0 {
					if _, err := s.Read(testGroup, Query{To: 1 << 50, Limit: 10, MaxBytes: 1 << 20}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wait.Wait()
	if got := texts(t, s, all()); len(got) != 4000 {
		t.Errorf("%d events", len(got))
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range 4 {
		if n := told[fmt.Sprint("w", i)]; n != 1000 {
			t.Errorf("told %d of w%d", n, i)
		}
	}
}

func TestDirNames(t *testing.T) {
	for name, want := range map[string]string{"/aws/lambda/f": "+aws+lambda+f", ".": ",", "..": ",.", "a.b": "a.b"} {
		if got := dirName(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	a, b := dirName(strings.Repeat("x", 400)), dirName(strings.Repeat("x", 401))
	if a == b || len(a) > maxDirName {
		t.Errorf("%s %s", a, b)
	}
}

// What is written is read: any message, any time that fits.
func FuzzRecord(f *testing.F) {
	f.Add(int64(0), int64(3), []byte("START\n"))
	f.Add(int64(maxTime), int64(-5), []byte("a\\b\r\n\\c"))
	f.Add(int64(1763701408123), int64(0), []byte("\\"))
	f.Fuzz(func(t *testing.T, at, delay int64, message []byte) {
		if at < minTime || at > maxTime || delay > 1<<50 || delay < -1<<50 {
			return
		}
		line := appendEvent(nil, 7, Event{Time: at, Ingested: at + delay, Message: message})
		if bytes.IndexByte(line, '\n') != len(line)-1 || bytes.IndexByte(line, '\r') >= 0 {
			t.Fatalf("not one line: %q", line)
		}
		r, err := parseRecord(line[:len(line)-1])
		if err != nil || r.kind != '.' || r.time != at || r.ingest != at+delay || r.number != 7 || !bytes.Equal(r.text(), message) {
			t.Fatalf("%q: %+v %q %v", line, r, r.text(), err)
		}
	})
}

// Any file is read without a panic, and never grows.
func FuzzSegment(f *testing.F) {
	f.Add([]byte(formatLine + "= 0 2026-11-21T05:03:28.100Z a\n2026-11-21T05:03:28.123Z +4 0 x\n"))
	f.Add([]byte(formatLine + "x a\n= 65537 2026-11-21T05:03:28.100Z a\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		g := &group{streams: make(map[string]*stream), numbers: make(map[*stream]int)}
		s := &segment{}
		g.segments = append(g.segments, s)
		if err := s.scan(bytes.NewReader(content), g); err == nil && s.size > int64(len(content)) {
			t.Errorf("size %d of %d", s.size, len(content))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, err := Open(Options{Dir: b.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	w := s.Writer(testGroup, "a")
	lines := []byte("START RequestId: 8f3c0000-0000-0000-0000-000000000000 Version: $LATEST\nEND RequestId: 8f3c0000-0000-0000-0000-000000000000\nREPORT RequestId: 8f3c0000-0000-0000-0000-000000000000\tDuration: 1.00 ms\n")
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		w.Append(now, lines)
	}
	b.SetBytes(int64(len(lines)))
}

// A write that fails loses its events, which are counted in the stream; what comes later goes to
// another segment. A Put that fails says so.
func TestWriteFailure(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, "a", event(1, "before"))
	breakFile := func() {
		g := s.group(testGroup)
		g.mu.Lock()
		defer g.mu.Unlock()
		check(t, g.file.Close())
	}
	breakFile()
	if err := s.Put(testGroup, "a", []Event{event(2, "refused")}); err == nil {
		t.Error("a Put that was not written is acknowledged")
	}
	put(t, s, "a", event(3, "between"))
	breakFile()
	w := s.Writer(testGroup, "a")
	w.Append(time.UnixMilli(4), []byte("lost\n"))
	_, err := s.Bytes(testGroup) // writes what is pending
	check(t, err)
	now := time.Now()
	w.Append(now, []byte("after\n"))
	want := []string{"a: before", "a: between", "a: after\n",
		"a: [weir] 1 log events (5 bytes) were dropped here: they could not be written in time\n"}
	for range 2 {
		equal(t, texts(t, s, all()), want)
		check(t, s.Close())
		s = open(t, dir, Options{})
	}
}
