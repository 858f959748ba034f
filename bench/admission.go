package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/weir-run/weir/admission"
)

var admissionMeasure = measure{
	id:   "P1",
	what: "admission of a warm invocation",
	note: "The server's own admission machine, with one idle environment for each of 10 or 100,000 functions, takes an arrival and its end; " +
		"functions are drawn by Zipf's law with the exponent 1.2. The two sizes alternate. Under the mutex: two goroutines, the lock that the engine " +
		"takes around each step. Allocations are those of the whole process during the rounds.",
	run: measureAdmission,
}

// Targets of admission.
const (
	stepLimit   = 150 * time.Nanosecond
	driverLimit = 500 * time.Nanosecond
	sizeLimit   = 1.5 // 100,000 functions compared with 10
)

const admissionOps = 500_000 // in a round

// A warmed is a machine whose functions each have an idle environment, and traffic for it.
type warmed struct {
	m       *admission.Machine
	traffic []admission.VersionID // a power of two
	now     admission.Instant
	next    admission.InvocationID
	out     []admission.Effect
}

func warm(functions int) *warmed {
	w := &warmed{m: admission.New(admission.Account{
		Limit: 1 << 20, Profile: admission.PerFunction, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour,
	}), traffic: make([]admission.VersionID, 1<<16)}
	for i := 1; i <= functions; i++ {
		w.m.Step(0, admission.Function(admission.FunctionID(i), admission.Unreserved), nil)
		w.m.Step(0, admission.Version(admission.VersionID(i), admission.FunctionID(i)), nil)
		w.next++
		w.out = w.m.Step(0, admission.ArriveUnmetered(w.next, admission.Target{Version: admission.VersionID(i)}, 0), w.out[:0])
		e := w.out[0].Environment
		w.m.Step(0, admission.Booted(e), nil)
		w.m.Step(0, admission.Finished(e), nil)
	}
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.2, 1, uint64(functions-1))
	for i := range w.traffic {
		w.traffic[i] = admission.VersionID(z.Uint64() + 1)
	}
	return w
}

// draw returns the version of the next arrival.
func (w *warmed) draw() admission.VersionID {
	w.next++
	return w.traffic[int(w.next)&(len(w.traffic)-1)]
}

// arrive is the first half of an invocation; finish is the second.
func (w *warmed) arrive(v admission.VersionID) admission.EnvironmentID {
	w.now += 1000
	w.out = w.m.Step(w.now, admission.Arrive(w.next, admission.Target{Version: v}, 0), w.out[:0])
	return w.out[0].Environment
}

func (w *warmed) finish(e admission.EnvironmentID) {
	w.out = w.m.Step(w.now, admission.Finished(e), w.out[:0])
}

// alone runs a round on one goroutine and returns the time and allocations of an invocation.
func (w *warmed) alone() (time.Duration, float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for range admissionOps {
		w.finish(w.arrive(w.draw()))
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&after)
	return took / admissionOps, float64(after.Mallocs-before.Mallocs) / admissionOps
}

// locked runs a round on two goroutines that share the machine under a mutex, and returns the
// time between two ends of invocations.
func (w *warmed) locked() time.Duration {
	var mu sync.Mutex
	var wg sync.WaitGroup
	begin := time.Now()
	for k := range admission.VersionID(2) {
		wg.Go(func() {
			for range admissionOps / 2 {
				mu.Lock()
				// Each takes one of a pair of functions, so that its environment is idle.
				e := w.arrive((w.draw()-1)&^1 + 1 + k)
				mu.Unlock()
				mu.Lock()
				w.finish(e)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return time.Since(begin) / admissionOps
}

func measureAdmission(b *bench) ([]row, error) {
	few, many := warm(10), warm(100_000)
	var times10, times100k, locks []time.Duration
	var allocs, ratios []float64
	for i := range b.rounds(12) + 1 {
		a, _ := few.alone()
		z, n := many.alone()
		l := many.locked()
		if i == 0 { // fills the caches
			continue
		}
		times10, times100k, locks = append(times10, a), append(times100k, z), append(locks, l)
		allocs, ratios = append(allocs, n), append(ratios, float64(z)/float64(a))
	}
	nanos := func(d time.Duration) string { return fmt.Sprintf("%d ns", d) }
	count := median(allocs)
	return []row{
		{metric: "arrive and finish, 100k functions, the machine", measured: nanos(median(times100k)), baseline: nanos(median(times10)) + " (10 functions)",
			ratio: times(median(ratios)), target: "≤ " + nanos(stepLimit), met: median(times100k) <= stepLimit},
		{metric: "the same, cost with 100k functions over 10", measured: nanos(median(times100k)), baseline: nanos(median(times10)),
			ratio: times(median(ratios)), target: "≤ " + times(sizeLimit), met: median(ratios) <= sizeLimit},
		{metric: "the same, allocations", measured: fmt.Sprintf("%.4f", count), baseline: "–", ratio: "–", target: "0", met: count < 0.001},
		{metric: "the same, two goroutines under a mutex", measured: nanos(median(locks)), baseline: nanos(median(times100k)) + " (no mutex)",
			ratio: times(float64(median(locks)) / float64(median(times100k))), target: "≤ " + nanos(driverLimit), met: median(locks) <= driverLimit},
	}, nil
}
