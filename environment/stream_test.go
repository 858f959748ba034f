package environment

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-run/weir/lambda"
)

func newTestStream() (*stream, *logStream) {
	out := new(logStream)
	s := &stream{initialized: onDemand}
	s.attach(out.take)
	return s, out
}

func TestOutputLines(t *testing.T) {
	s, out := newTestStream()
	s.output([]byte("a\nb"))
	s.output([]byte("c\n\nd"))
	s.flush()
	if got := out.b.String(); got != "a\nbc\n\n" {
		t.Errorf("%q", got)
	}
	s.end(&Report{RequestID: "r", Status: Success}, 128)
	if got := out.b.String(); !strings.HasPrefix(got, "a\nbc\n\nd\nEND RequestId: r\n") {
		t.Errorf("%q", got)
	}
}

// A line without end is cut, not collected for ever.
func TestOutputLongLine(t *testing.T) {
	s, out := newTestStream()
	chunk := bytes.Repeat([]byte("x"), 10000)
	for range 60 {
		s.output(chunk)
	}
	s.flush()
	lines := strings.Split(out.b.String(), "\n")
	if len(lines) != 3 || len(lines[0]) != maxEvent || len(lines[1]) != maxEvent || len(s.mu.partial) != 600000-2*maxEvent {
		t.Errorf("%d lines, %d left", len(lines), len(s.mu.partial))
	}
}

// The log tail is the last 4 KB.
func TestTail(t *testing.T) {
	s, _ := newTestStream()
	s.output([]byte("before\n"))
	s.startTail()
	s.start("r", "7")
	if got := s.takeTail(); string(got) != "START RequestId: r Version: 7\n" {
		t.Errorf("%q", got)
	}
	s.output([]byte("between\n"))
	s.startTail()
	var all strings.Builder
	for i := range 2000 {
		line := fmt.Sprintf("line %d\n", i)
		all.WriteString(line)
		s.output([]byte(line))
	}
	if got, want := string(s.takeTail()), all.String()[all.Len()-maxTail:]; got != want {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}
	s.startTail()
	s.output(bytes.Repeat([]byte("y\n"), 3*maxTail))
	if got := s.takeTail(); len(got) != maxTail || string(got[:2]) != "y\n" {
		t.Errorf("%d bytes", len(got))
	}
}

func TestReportLines(t *testing.T) {
	ms := time.Millisecond
	tests := []struct {
		report Report
		want   string
	}{
		{Report{Duration: 3010 * time.Microsecond, Billed: 4 * ms, MaxMemoryMB: 36, InitDuration: 110100 * time.Microsecond, Status: Success},
			"Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: 110.10 ms\t\n"},
		{Report{Duration: 1234567 * time.Nanosecond, Billed: 2 * ms, Status: Success},
			"Duration: 1.23 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\t\n"},
		{Report{Duration: 9995 * time.Microsecond, Billed: 10 * ms, Status: Failed, ErrorType: "Runtime.OutOfMemory"},
			"Duration: 10.00 ms\tBilled Duration: 10 ms\tMemory Size: 128 MB\tMax Memory Used: 0 MB\tStatus: error\tError Type: Runtime.OutOfMemory\n"},
		{Report{Duration: 5000 * ms, Billed: 5579 * ms, MaxMemoryMB: 113, InitDuration: 578070 * time.Microsecond, Status: Timeout},
			"Duration: 5000.00 ms\tBilled Duration: 5579 ms\tMemory Size: 128 MB\tMax Memory Used: 113 MB\tInit Duration: 578.07 ms\tStatus: timeout\n"},
	}
	for _, tt := range tests {
		s, out := newTestStream()
		tt.report.RequestID = "r"
		s.end(&tt.report, 128)
		if got, want := out.b.String(), "END RequestId: r\nREPORT RequestId: r\t"+tt.want; got != want {
			t.Errorf("\n%q\n%q", got, want)
		}
	}
	for d, want := range map[time.Duration]time.Duration{0: 0, 1: ms, ms: ms, ms + 1: 2 * ms, 213610 * time.Microsecond: 214 * ms} {
		if got := billed(d); got != want {
			t.Errorf("%v is billed as %v", d, got)
		}
	}
}

// What is held back keeps the time at which it happened.
func TestTimesOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := newTestStream()
		began := time.Now()
		s.start("r", "1")
		time.Sleep(time.Second)
		s.output([]byte("x\n"))
		s.end(&Report{RequestID: "r"}, 128)
		if len(out.at) != 3 || !out.at[0].Equal(began) || !out.at[1].Equal(began.Add(time.Second)) {
			t.Errorf("%v", out.at)
		}
		s.close()
		s.line("after its end")
		s.flush()
		if strings.Contains(out.b.String(), "after") {
			t.Error("a stream that was closed was written to")
		}
	})
}

// What the function printed before is in the log before the line that follows catchUp.
func TestCatchUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s, out := newTestStream()
	o := newOutput(r, s)
	if o.raw == nil {
		t.Skip("pipes block here")
	}
	done := make(chan struct{})
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		o.copy(done)
	}()
	for i := range 2000 {
		fmt.Fprintf(w, "printed %d\n", i)
		o.catchUp()
		s.line(fmt.Sprintf("then %d", i))
	}
	w.Close()
	<-copied
	r.Close()
	s.flush()
	var want strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&want, "printed %d\nthen %d\n", i, i)
	}
	if out.b.String() != want.String() {
		t.Error("the order is wrong")
	}
}

// A function that floods its output is held up after a while, and loses nothing.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		s, out := newTestStream()
		o := newOutput(r, s)
		done := make(chan struct{})
		go o.copy(done)
		start := time.Now()
		line := bytes.Repeat([]byte("x"), 1023)
		line = append(line, '\n')
		const total = 64 << 20
		for range total / len(line) {
			w.Write(line)
		}
		if d, least := time.Since(start), time.Duration(total-outputBurst-outputRead)*time.Second/outputRate; d < least || d > least+time.Second {
			t.Errorf("%d MB in %v, want at least %v", total>>20, d, least)
		}
		w.Close()
		synctest.Wait()
		time.Sleep(time.Minute)
		if out.b.Len() != total {
			t.Errorf("%d bytes of %d", out.b.Len(), total)
		}
		close(done)
	})
}

func TestLogNames(t *testing.T) {
	now := time.Date(2026, 3, 9, 23, 59, 59, 0, time.UTC)
	tests := []struct{ version, group, wantGroup, wantStream string }{
		{"$LATEST", "", "/aws/lambda/fn", "2026/03/09/[$LATEST]ID"},
		{"3", "/aws/lambda/fn", "/aws/lambda/fn", "2026/03/09/[3]ID"},
		{"3", "mine", "mine", "2026/03/09/fn[3][ID]"},
	}
	for _, tt := range tests {
		e := &Environment{id: "ID", spec: Spec{Version: &lambda.Version{Function: "fn", Number: tt.version, LogGroup: tt.group}}}
		if group, stream := e.logNames(now); group != tt.wantGroup || stream != tt.wantStream {
			t.Errorf("%s %s", group, stream)
		}
	}
}

// The log of an environment is opened once, under the names its function sees.
func TestLogOpens(t *testing.T) {
	bubble(t, echo, func(t *testing.T, e *liveEnvironment, s *fakeSandbox) {
		e.waitReady()
		e.call(`1`)
		e.Close()
		if len(e.logs.streams) != 1 {
			t.Fatalf("%d streams", len(e.logs.streams))
		}
		env := strings.Join(s.spec.Env, "\n")
		for name, l := range e.logs.streams {
			group, stream, _ := strings.Cut(name, " ")
			if !strings.Contains(env, "AWS_LAMBDA_LOG_GROUP_NAME="+group+"\n") || !strings.Contains(env, "AWS_LAMBDA_LOG_STREAM_NAME="+stream+"\n") {
				t.Errorf("%s is not in\n%s", name, env)
			}
			if !strings.Contains(l.b.String(), "REPORT RequestId: ") {
				t.Error("the log is not whole")
			}
		}
	})
}
