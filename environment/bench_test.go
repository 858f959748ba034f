package environment

import (
	"bytes"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/weir-run/weir/lambda"
)

// loopback listens on a TCP port of this machine.
func loopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// pipelining is a runtime that answers every event with body, in one write with its next GET,
// and allocates nothing meanwhile.
func pipelining(body []byte) func(*fakeProcess) {
	return func(p *fakeProcess) {
		c, err := p.dial()
		if err != nil {
			return
		}
		ask := []byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Write(ask)
		in := make([]byte, 16<<20)
		out := make([]byte, 0, len(body)+1024)
		have := 0
		for {
			// The event is complete when its Content-Length is there; a 202 may precede it.
			n, err := c.Read(in[have:])
			if err != nil {
				return
			}
			have += n
			id, ok := completeEvent(in[:have])
			if !ok {
				continue
			}
			out = append(out[:0], "POST /2018-06-01/runtime/invocation/"...)
			out = append(out, id...)
			out = append(out, "/response HTTP/1.1\r\nHost: x\r\nContent-Length: "...)
			out = strconv.AppendInt(out, int64(len(body)), 10)
			out = append(out, "\r\n\r\n"...)
			out = append(out, body...)
			out = append(out, ask...)
			have = 0
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
}

// completeEvent finds a complete event in b and returns its request id.
func completeEvent(b []byte) (id []byte, ok bool) {
	_, b, ok = bytes.Cut(b, []byte("HTTP/1.1 200 OK\r\n"))
	if !ok {
		return nil, false
	}
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return nil, false
	}
	_, value, _ := bytes.Cut(head, []byte("Content-Length: "))
	length, ok := parseDecimal(value)
	_, id, _ = bytes.Cut(head, []byte("Request-Id: "))
	id, _, _ = bytes.Cut(id, []byte("\r"))
	return id, ok && int64(len(body)) >= length
}

// benchmarkInvoke measures one invocation after the other.
func benchmarkInvoke(b *testing.B, size int, command func(*fakeProcess), maxAllocs int64) {
	h, d := fakeHost(b, command)
	d.listen = loopback
	h.opt.OpenLog = func(lambda.Scope, string, string) (func(time.Time, []byte), error) { return discardLog, nil }
	e := startFake(b, h, 30)
	e.waitReady()
	idle := make(chan struct{}, 1)
	e.spec.Events.Idle = func(*Environment, Report) { idle <- struct{}{} }
	inv := e.invocation(string(bytes.Repeat([]byte("x"), size)))
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		o := e.Invoke(inv)
		if o.FunctionError != "" {
			b.Fatalf("%s", o.Payload)
		}
		Recycle(o.Payload)
		<-idle
	}
	b.StopTimer()
	allocs := testing.AllocsPerRun(200, func() {
		Recycle(e.Invoke(inv).Payload)
		<-idle
	})
	if int64(allocs) > maxAllocs {
		b.Errorf("%v allocations per invocation, want at most %d", allocs, maxAllocs)
	}
}

func discardLog(time.Time, []byte) {}

func BenchmarkInvokePipelined1K(b *testing.B) {
	benchmarkInvoke(b, 1<<10, pipelining(bytes.Repeat([]byte("y"), 1<<10)), 2)
}

func BenchmarkInvokePipelined100K(b *testing.B) {
	benchmarkInvoke(b, 100<<10, pipelining(bytes.Repeat([]byte("y"), 100<<10)), 4)
}

func BenchmarkInvokePipelined6M(b *testing.B) {
	benchmarkInvoke(b, 6<<20, pipelining(bytes.Repeat([]byte("y"), 6<<20)), 16)
}
