package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

func TestUsage(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		const mb = 60
		b := start(t, d, deeds(fmt.Sprint("alloc=", mb), "sleep"))
		b.line("alloc ok")
		u, err := b.Usage()
		if err != nil {
			t.Fatal(err)
		}
		if u.MaxMemory < mb<<20 || u.MaxMemory > (mb+40)<<20 || u.CPU <= 0 {
			t.Errorf("usage %+v after %d MB", u, mb)
		}
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := b.Usage()
		if err != nil || after.MaxMemory < u.MaxMemory-1<<20 || after.CPU < u.CPU {
			t.Errorf("usage %+v, %v after a restart, %+v before", after, err, u)
		}
	})
}

func TestCallsAtOnce(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		b := start(t, d, deeds("sleep"))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		for _, call := range []func() error{
			b.Freeze, b.Thaw, b.Settle, b.Terminate,
			func() error { _, err := b.Usage(); return err },
			func() error { return b.Restart(ctx) },
		} {
			for range 2 {
				wg.Go(func() {
					for range 10 {
						if err := call(); err != nil && !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestDriverCloses(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		d = openDriver(t, Options{Mechanism: d.Report().Mechanism})
		var boxes []*box
		for range 3 {
			boxes = append(boxes, start(t, d, deeds("say=up", "sleep")))
		}
		var wg sync.WaitGroup
		for range 4 { // while others start
			wg.Go(func() {
				if s, err := d.Start(t.Context(), deeds("sleep")); err == nil {
					s.Close()
				}
			})
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for _, b := range boxes {
			if _, err := b.Listener().Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accept after close: %v", err)
			}
		}
		if _, err := d.Start(t.Context(), deeds("exit=0")); !errors.Is(err, ErrClosed) {
			t.Errorf("start after close: %v", err)
		}
	})
}

func TestSlowReaderHoldsTheWriter(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		spec := deeds()
		spec.Command = []string{"/bin/sh", "-c", "head -c 1000000 /dev/zero; echo; echo end"}
		s, err := d.Start(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		n, err := io.CopyN(io.Discard, s.Output(), 1_000_000)
		if err != nil || n != 1_000_000 {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		rest := make([]byte, 5)
		if _, err := io.ReadFull(s.Output(), rest); err != nil || string(rest) != "\nend\n" {
			t.Fatalf("then %q, %v", rest, err)
		}
	})
}

func TestReport(t *testing.T) {
	eachDriver(t, func(t *testing.T, d Driver) {
		r := d.Report()
		if r.Reason != "asked for" || len(r.Exposed) == 0 {
			t.Errorf("report %+v", r)
		}
		if s := r.String(); !strings.Contains(s, string(r.Mechanism)) || !strings.Contains(s, r.Exposed[0]) {
			t.Errorf("report in words: %s", s)
		}
		t.Log(r)
	})
}

func TestAutoTakesTheStrongest(t *testing.T) {
	d := openDriver(t, Options{})
	want := Process
	if n, err := Open(Options{Mechanism: Namespace, Dir: scratch(t)}); err == nil {
		want = Namespace
		n.Close()
	}
	if got := d.Report(); got.Mechanism != want || got.Reason == "asked for" {
		t.Errorf("report %+v", got)
	}
	if _, err := Open(Options{Mechanism: "magic", Dir: scratch(t)}); err == nil {
		t.Error("an unknown mechanism is accepted")
	}
	if _, err := Open(Options{}); err == nil {
		t.Error("no directory is accepted")
	}
	if _, err := Open(Options{Dir: scratch(t), Egress: "some"}); err == nil {
		t.Error("an unknown egress is accepted")
	}
}
