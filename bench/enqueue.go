package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/store"
)

var enqueueMeasure = measure{
	id:   "P7",
	what: "durable asynchronous events per second",
	note: "Closed loop: callers add 1 KB events to the store, each one durable before the next. The baseline is the same Pebble, " +
		"called directly: one Set of the same bytes with Sync by as many callers.",
	run: measureEnqueue,
}

const (
	enqueueRound  = time.Second
	leastEnqueue  = 0.5                   // of the baseline
	maxEnqueueP99 = 15 * time.Millisecond // with 64 callers
)

func measureEnqueue(b *bench) ([]row, error) {
	dir, err := os.MkdirTemp(b.dir, "enqueue-")
	if err != nil {
		return nil, err
	}
	bare, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{Logger: silent{}})
	if err != nil {
		return nil, err
	}
	defer bare.Close()
	s, err := store.Open(store.Options{Dir: filepath.Join(dir, "weir"), Logger: quiet})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	queue := store.EventQueue{Scope: lambda.Scope{Account: "000000000000", Region: region}, Function: "f"}
	add := func() error {
		_, err := s.Events().Add(context.Background(), &store.Event{Queue: queue, RequestID: uuid.NewString(), Payload: event()}, time.Now().UnixNano())
		return err
	}
	set := func() error {
		id := uuid.New()
		return bare.Set(id[:], event(), pebble.Sync)
	}
	var rows []row
	for _, callers := range []int{64, 512} {
		var weir, base, p99 []float64
		for i := range b.rounds(6) + 1 {
			w, err := repeat(callers, b.span(enqueueRound), add)
			if err != nil {
				return nil, err
			}
			r, err := repeat(callers, b.span(enqueueRound), set)
			if err != nil {
				return nil, err
			}
			if i > 0 { // the first warms up
				weir, base, p99 = append(weir, w.rate), append(base, r.rate), append(p99, float64(w.p99))
			}
		}
		rate, direct := median(weir), median(base)
		rows = append(rows, row{
			metric:   fmt.Sprintf("durable enqueue, %d callers", callers),
			measured: fmt.Sprintf("%.0f/s", rate), baseline: fmt.Sprintf("%.0f/s", direct), ratio: fmt.Sprintf("%.2f", rate/direct),
			target: fmt.Sprintf("≥ %.1f", leastEnqueue), met: rate/direct >= leastEnqueue,
		})
		if callers == 64 {
			worst := time.Duration(median(p99))
			rows = append(rows, row{
				metric: "p99 until durable, 64 callers", measured: worst.Round(10 * time.Microsecond).String(), baseline: "–", ratio: "–",
				target: "≤ " + maxEnqueueP99.String(), met: worst <= maxEnqueueP99,
			})
		}
	}
	return rows, nil
}

// A round is what a closed loop gave.
type round struct {
	rate float64 // per second
	p99  time.Duration
}

// repeat has callers do something one time after the other.
func repeat(callers int, span time.Duration, do func() error) (round, error) {
	var all sync.WaitGroup
	took := make([][]time.Duration, callers)
	errs := make([]error, callers)
	began := time.Now()
	for i := range callers {
		all.Go(func() {
			for at := time.Now(); at.Sub(began) < span && errs[i] == nil; {
				errs[i] = do()
				next := time.Now()
				took[i] = append(took[i], next.Sub(at))
				at = next
			}
		})
	}
	all.Wait()
	ended := time.Since(began)
	var times []time.Duration
	for i := range callers {
		if errs[i] != nil {
			return round{}, errs[i]
		}
		times = append(times, took[i]...)
	}
	return round{float64(len(times)) / ended.Seconds(), quantile(times, 0.99)}, nil
}

// silent is a log of Pebble's that nobody reads; what is fatal still ends the program.
type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
