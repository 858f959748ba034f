package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/metric"
	"github.com/weir-run/weir/store"
)

var meteringMeasure = measure{
	id:   "CW",
	what: "metrics: what comes in, and what measuring costs",
	note: "The machine takes a datapoint of each of 10,000 metrics in turn, 10,000 a second of its own time, with each minute's closing. Over the " +
		"wire: PutMetricData of 1,000 datapoints, JSON protocol, of 10,000 metrics, by the CPU time of the server. What metrics add to an " +
		"invocation: one through the engine with an environment that answers at once, with a recorder and without, in turns.",
	run: measureMetering,
}

const (
	meteringSeries = 10_000
	meteringBatch  = 1000 // datapoints of a request, the most that AWS takes
	meteringRound  = time.Second
	leastIngest    = 200_000 // datapoints per second and CPU
	maxMetering    = 100 * time.Nanosecond
)

func measureMetering(b *bench) ([]row, error) {
	ingest := func(metric string, v float64) row {
		return row{metric: metric, measured: fmt.Sprintf("%.0f datapoints/s and CPU", v), baseline: "–", ratio: "–",
			target: fmt.Sprintf("≥ %d", leastIngest), met: v >= leastIngest}
	}
	machine := b.machineIngest()
	wired, err := b.wireIngest()
	if err != nil {
		return nil, err
	}
	added, without, err := b.metered()
	if err != nil {
		return nil, err
	}
	return []row{
		ingest("taking datapoints, the machine", machine),
		ingest("PutMetricData, the server", wired),
		{metric: "metrics of an invocation", measured: fmt.Sprintf("%+.0f ns (%.0f ns)", added, without+added), baseline: fmt.Sprintf("%.0f ns", without),
			ratio: times((without + added) / without), target: "≤ +" + maxMetering.String(), met: added <= float64(maxMetering)},
	}, nil
}

// machineIngest returns how many datapoints the machine takes per second.
func (b *bench) machineIngest() float64 {
	m := metric.New()
	keys := make([]metric.Key, meteringSeries)
	for i := range keys {
		keys[i] = metric.KeyOf(lambda.Scope{Account: "000000000000", Region: region}, metric.Metric{Namespace: "n", Name: fmt.Sprint(i)}, metric.Count)
	}
	var rates []float64
	var out []metric.Effect
	now, n := metric.Instant(0), 0
	for range b.rounds(5) + 1 {
		first, began := n, time.Now()
		for time.Since(began) < b.span(meteringRound) {
			for range meteringSeries {
				now += metric.Instant(time.Second / meteringSeries)
				var s metric.Set
				s.Add(float64(n%1000), 1)
				out = m.Step(now, metric.Put(keys[n%meteringSeries], now, &s, false), out[:0])
				n++
			}
		}
		rates = append(rates, float64(n-first)/time.Since(began).Seconds())
	}
	return median(rates[1:]) // the first warms up
}

// wireIngest returns how many datapoints a server takes per second of its CPU time.
func (b *bench) wireIngest() (float64, error) {
	s, err := b.serve(false)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	header := http.Header{"X-Amz-Target": {"GraniteServiceVersion20100801.PutMetricData"}, "Content-Type": {"application/x-amz-json-1.0"}}
	var requests [][]byte
	for r := range meteringSeries / meteringBatch {
		var data []map[string]any
		for i := range meteringBatch {
			data = append(data, map[string]any{"MetricName": "latency", "Value": 1.5 * float64(i), "Dimensions": []any{map[string]any{"Name": "id", "Value": fmt.Sprint(r, "-", i)}}})
		}
		body, err := json.Marshal(map[string]any{"Namespace": "bench", "MetricData": data})
		if err != nil {
			return 0, err
		}
		request, err := wireRequestWith(header, s.addr, "/", body, false)
		if err != nil {
			return 0, err
		}
		requests = append(requests, request)
	}
	var rates []float64
	for i := range len(requests) + b.rounds(10) {
		span := b.span(meteringRound)
		if i < len(requests) {
			span /= 10
		}
		l, err := closedLoop(target{destination{s.addr, requests[i%len(requests)]}, s.cmd.Process.Pid}, 1, span)
		if err != nil {
			return 0, err
		}
		if i >= len(requests) { // before, it warms up
			rates = append(rates, meteringBatch/l.cpu*1e6)
		}
	}
	return median(rates), nil
}

// An instant environment answers at once.
type instant struct{ events environment.Events }

func (e instant) Invoke(inv *lambda.Invocation) lambda.Outcome {
	e.events.Idle(nil, environment.Report{})
	return lambda.Outcome{Payload: inv.Payload, Version: lambda.Latest}
}

func (e instant) InvokeStream(inv *lambda.Invocation, _ lambda.Response) lambda.Outcome {
	return e.Invoke(inv)
}

func (instant) Close() {}

// metered returns how many nanoseconds metrics add to an invocation, and what it takes without.
func (b *bench) metered() (added, without float64, err error) {
	var engines [2]*engine.Engine
	recorder := new(store.Recorder)
	for i, r := range []*store.Recorder{recorder, nil} {
		dir, err := os.MkdirTemp(b.dir, "metered-")
		if err != nil {
			return 0, 0, err
		}
		s, err := store.Open(store.Options{Dir: dir, Logger: quiet})
		if err != nil {
			return 0, 0, err
		}
		defer s.Close()
		if err := putFunction(s); err != nil {
			return 0, 0, err
		}
		engines[i], err = engine.Open(engine.Options{
			Store: s, Logger: quiet, Recorder: r,
			Account: admission.Account{Limit: 1000, IdleTimeout: time.Hour, MaxAge: 24 * time.Hour},
			Start: func(spec environment.Spec) engine.Environment {
				go spec.Events.Ready(nil, environment.Init{})
				return instant{spec.Events}
			},
		})
		if err != nil {
			return 0, 0, err
		}
		defer engines[i].Close()
	}
	const calls = 200_000
	rounds := b.rounds(20) + 1
	var differences, alone []float64
	for i := range rounds {
		var ns [2]float64
		for k, e := range engines {
			began := time.Now()
			for range calls {
				// An event, since those are not limited by rate; each begins a chain of its own.
				inv := lambda.Invocation{Scope: benchScope, Function: "f", Type: lambda.Event, Payload: []byte("{}")}
				if _, err := e.Invoke(context.Background(), &inv); err != nil {
					return 0, 0, err
				}
			}
			ns[k] = float64(time.Since(began).Nanoseconds()) / calls
		}
		if i > 0 { // the first warms up
			differences, alone = append(differences, ns[0]-ns[1]), append(alone, ns[1])
		}
	}
	recorded := 0.0
	recorder.Drain(func(s *store.Series, _ metric.Instant, set *metric.Set) {
		if m := s.Metric; m.Name == "Invocations" && len(m.Dimensions) == 0 {
			recorded += set.Sum
		}
	})
	if recorded != float64(rounds*calls) {
		return 0, 0, fmt.Errorf("%.0f of %d invocations were recorded", recorded, rounds*calls)
	}
	return median(differences), median(alone), nil
}

var benchScope = lambda.Scope{Account: "000000000000", Region: region}

// putFunction puts an active function into a catalogue.
func putFunction(s *store.Store) error {
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	if _, err := w.Create("bootstrap"); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	blob, err := s.Blobs().Put(&z)
	if err != nil {
		return err
	}
	return s.Catalog().Update(context.Background(), func(tx *store.Tx) error {
		store.Functions.Put(tx, benchScope, "f", &lambda.Function{Name: "f"})
		store.Versions.Put(tx, benchScope, store.QualifiedName("f", lambda.Latest), &lambda.Version{
			Function: "f", Number: lambda.Latest, Generation: 1, State: lambda.Active,
			Code: lambda.Code{SHA256: blob.Digest.Base64(), Size: blob.Size},
		})
		return nil
	})
}
