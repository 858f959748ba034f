package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var handoverMeasure = measure{
	id:   "P8",
	what: "asynchronous invocation, from the answer 202 to the handler",
	note: "A warm Python function is sent events at a low fixed rate and returns its clock at the handler's first line, which comes back " +
		"through its OnSuccess queue. Then the same while another function, with reserved concurrency 1, has a backlog of events.",
	run: measureHandover,
}

const (
	handoverEvents  = 300
	handoverEvery   = 10 * time.Millisecond
	handoverLimit   = time.Minute // for all results to come
	floodEvents     = 4000
	maxHandoverP50  = 3 * time.Millisecond
	maxHandoverRise = 2.0
)

func measureHandover(b *bench) ([]row, error) {
	s, err := b.serve(false)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	flood := stampFunction
	flood.name = "flood"
	for _, f := range []function{stampFunction, flood} {
		if err := s.create(f); err != nil {
			return nil, err
		}
	}
	if err := s.sqs("CreateQueue", map[string]any{"QueueName": "stamps"}, nil); err != nil {
		return nil, err
	}
	to := map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]any{"Destination": "arn:aws:sqs:" + region + ":000000000000:stamps"}}}
	if err := s.call("PUT", "/2019-09-25/functions/stamp/event-invoke-config", to, nil); err != nil {
		return nil, err
	}
	n := b.rounds(handoverEvents)
	if _, err := s.handovers(n / 4); err != nil { // warms up
		return nil, err
	}
	idle, err := s.handovers(n)
	if err != nil {
		return nil, err
	}
	if err := s.call("PUT", "/2017-10-31/functions/flood/concurrency", map[string]any{"ReservedConcurrentExecutions": 1}, nil); err != nil {
		return nil, err
	}
	for i := range floodEvents {
		if err := s.sendEvent("flood", map[string]any{"n": i, "sleep": 0.002}); err != nil {
			return nil, err
		}
	}
	flooded, err := s.handovers(n)
	if err != nil {
		return nil, err
	}
	p50, quiet, rise := quantile(idle, 0.5), quantile(idle, 0.99), quantile(flooded, 0.99)
	ratio := float64(rise) / float64(quiet)
	return []row{
		{metric: "202 to handler, p50", measured: micros(p50), baseline: "–", ratio: "–", target: "≤ " + maxHandoverP50.String(), met: p50 <= maxHandoverP50},
		{metric: "202 to handler, p99, while another function is flooded", measured: micros(rise), baseline: micros(quiet) + " (no flood)",
			ratio: fmt.Sprintf("%.2f", ratio), target: fmt.Sprintf("≤ %.0f", maxHandoverRise), met: ratio <= maxHandoverRise},
	}, nil
}

func (s *server) sendEvent(name string, event any) error {
	h := http.Header{}
	h.Set("X-Amz-Invocation-Type", "Event")
	return s.callWith(h, "POST", invokePath(name), event, nil)
}

// handovers sends events at a fixed rate and returns how long after its answer each one's
// handler began.
func (s *server) handovers(n int) ([]time.Duration, error) {
	answered := make([]time.Time, n)
	tick := time.NewTicker(handoverEvery)
	defer tick.Stop()
	for i := range n {
		if err := s.sendEvent("stamp", map[string]any{"n": i}); err != nil {
			return nil, err
		}
		answered[i] = time.Now()
		<-tick.C
	}
	var took []time.Duration
	for limit := time.Now().Add(handoverLimit); len(took) < n; {
		if time.Now().After(limit) {
			return nil, errors.New("some events did not come back")
		}
		var got struct {
			Messages []struct{ ReceiptHandle, Body string }
		}
		if err := s.sqs("ReceiveMessage", map[string]any{"QueueUrl": "http://" + s.addr + "/000000000000/stamps", "MaxNumberOfMessages": 10, "WaitTimeSeconds": 5}, &got); err != nil {
			return nil, err
		}
		for _, m := range got.Messages {
			var r struct {
				ResponsePayload struct {
					N  int
					At float64
				}
			}
			if err := json.Unmarshal([]byte(m.Body), &r); err != nil {
				return nil, err
			}
			at := time.Unix(0, int64(r.ResponsePayload.At*1e9))
			took = append(took, max(at.Sub(answered[r.ResponsePayload.N]), 0))
			if err := s.sqs("DeleteMessage", map[string]any{"QueueUrl": "http://" + s.addr + "/000000000000/stamps", "ReceiptHandle": m.ReceiptHandle}, nil); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}
