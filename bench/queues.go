package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

var queuesMeasure = measure{
	id:   "SQS",
	what: "messages of a standard queue",
	note: "Over the wire, JSON protocol, 32 connections in a closed loop: SendMessageBatch of ten messages of 256 bytes, answered when they are " +
		"durable; then ReceiveMessage of ten and DeleteMessageBatch of what came, which is one message's way. Wake-up: from the answer to a " +
		"SendMessage until a ReceiveMessage that waits with WaitTimeSeconds has its answer.",
	run: measureQueues,
}

const (
	queueClients = 32
	queueRound   = 2 * time.Second
	queueBatch   = 10
	queueWakes   = 200
	leastQueue   = 20_000 // messages per second
	maxWake      = 2 * time.Millisecond
)

func measureQueues(b *bench) ([]row, error) {
	s, err := b.serve(false)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	for _, name := range []string{"many", "few"} {
		if err := s.sqs("CreateQueue", map[string]any{"QueueName": name}, nil); err != nil {
			return nil, err
		}
	}
	many := s.queue("many")
	var entries []map[string]any
	for i := range queueBatch {
		entries = append(entries, map[string]any{"Id": fmt.Sprint(i), "MessageBody": strings.Repeat("weir", 64)})
	}
	send, err := s.sqsRequest("SendMessageBatch", map[string]any{"QueueUrl": many, "Entries": entries})
	if err != nil {
		return nil, err
	}
	var sent, taken []float64
	for i := range b.rounds(5) + 1 {
		l, err := closedLoop(target{destination{s.addr, send}, s.cmd.Process.Pid}, queueClients, b.span(queueRound))
		if err != nil {
			return nil, err
		}
		rate, err := s.take(many, b.span(queueRound))
		if err != nil {
			return nil, err
		}
		if i > 0 { // the first warms up
			sent, taken = append(sent, l.rate*queueBatch), append(taken, rate)
		}
	}
	wakes, err := s.wakes(b.rounds(queueWakes))
	if err != nil {
		return nil, err
	}
	rate := func(metric string, v float64) row {
		return row{metric: metric, measured: fmt.Sprintf("%.0f messages/s", v), baseline: "–", ratio: "–",
			target: fmt.Sprintf("≥ %d/s", leastQueue), met: v >= leastQueue}
	}
	wake := quantile(wakes, 0.5)
	return []row{
		rate("durable SendMessageBatch", median(sent)),
		rate("ReceiveMessage and DeleteMessageBatch", median(taken)),
		{metric: "wake-up of a long poll, p50", measured: micros(wake), baseline: "–", ratio: "–", target: "≤ " + maxWake.String(), met: wake <= maxWake},
	}, nil
}

// queue returns the URL of a queue.
func (s *server) queue(name string) string { return "http://" + s.addr + "/000000000000/" + name }

// sqsRequest returns a request of SQS as it is on the wire.
func (s *server) sqsRequest(operation string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	return wireRequestWith(http.Header{"X-Amz-Target": {"AmazonSQS." + operation}, "Content-Type": {"application/x-amz-json-1.0"}}, s.addr, "/", body, false)
}

// A batch is what ReceiveMessage answers.
type batch struct {
	Messages []struct{ ReceiptHandle, Body string }
}

// take receives and deletes messages and returns how many per second.
func (s *server) take(queue string, span time.Duration) (float64, error) {
	receive, err := s.sqsRequest("ReceiveMessage", map[string]any{"QueueUrl": queue, "MaxNumberOfMessages": queueBatch})
	if err != nil {
		return 0, err
	}
	counts, errs := make([]int, queueClients), make([]error, queueClients)
	began := time.Now()
	var clients sync.WaitGroup
	for i := range queueClients {
		clients.Go(func() { counts[i], errs[i] = s.takeAlone(queue, receive, began.Add(span)) })
	}
	clients.Wait()
	took, n := time.Since(began), 0
	for i := range counts {
		if errs[i] != nil {
			return 0, errs[i]
		}
		n += counts[i]
	}
	return float64(n) / took.Seconds(), nil
}

// takeAlone is one client's part of take.
func (s *server) takeAlone(queue string, receive []byte, until time.Time) (n int, err error) {
	c, err := dial(s.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for time.Now().Before(until) {
		var got batch
		if err := c.ask(receive, &got); err != nil {
			return 0, err
		}
		if len(got.Messages) == 0 {
			return n, fmt.Errorf("the queue was empty after %d messages", n)
		}
		var entries []map[string]any
		for i, m := range got.Messages {
			entries = append(entries, map[string]any{"Id": fmt.Sprint(i), "ReceiptHandle": m.ReceiptHandle})
		}
		remove, err := s.sqsRequest("DeleteMessageBatch", map[string]any{"QueueUrl": queue, "Entries": entries})
		if err != nil {
			return 0, err
		}
		var done struct{ Successful []struct{ ID string } }
		if err := c.ask(remove, &done); err != nil {
			return 0, err
		}
		n += len(done.Successful)
	}
	return n, nil
}

// wakes returns how long after a message's being there a client that waits has it.
func (s *server) wakes(n int) ([]time.Duration, error) {
	few := s.queue("few")
	receive, err := s.sqsRequest("ReceiveMessage", map[string]any{"QueueUrl": few, "WaitTimeSeconds": 20})
	if err != nil {
		return nil, err
	}
	send, err := s.sqsRequest("SendMessage", map[string]any{"QueueUrl": few, "MessageBody": "weir"})
	if err != nil {
		return nil, err
	}
	waiting, err := dial(s.addr)
	if err != nil {
		return nil, err
	}
	defer waiting.Close()
	sending, err := dial(s.addr)
	if err != nil {
		return nil, err
	}
	defer sending.Close()
	var took []time.Duration
	for range n {
		var got batch
		var at time.Time
		answered := make(chan error, 1)
		go func() {
			err := waiting.ask(receive, &got)
			at = time.Now()
			answered <- err
		}()
		time.Sleep(5 * time.Millisecond) // until it waits
		if err := sending.do(send); err != nil {
			return nil, err
		}
		sent := time.Now()
		if err := <-answered; err != nil {
			return nil, err
		}
		if len(got.Messages) != 1 {
			return nil, fmt.Errorf("%d messages came", len(got.Messages))
		}
		took = append(took, max(at.Sub(sent), 0))
		if err := s.sqs("DeleteMessage", map[string]any{"QueueUrl": few, "ReceiptHandle": got.Messages[0].ReceiptHandle}, nil); err != nil {
			return nil, err
		}
	}
	return took, nil
}
