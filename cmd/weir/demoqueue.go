package main

import (
	"encoding/json"
	"fmt"
	"time"
)

// The scenes about work that cannot run now.

const (
	stormEvents   = 40
	stormReserved = 5
	stormWork     = 100 * time.Millisecond
)

// storm sends more events than may run. What came of them is in the destination's queue.
func (d *demo) storm() error {
	c := d.client
	done, err := c.queue("storm-done")
	if err != nil {
		return err
	}
	if err := c.create("storm", d.runtime, nil); err != nil {
		return err
	}
	if err := c.reserve("storm", stormReserved); err != nil {
		return err
	}
	to := map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]any{"Destination": queueARN("storm-done")}}}
	if err := c.call("PUT", "/2019-09-25/functions/storm/event-invoke-config", to, nil); err != nil {
		return err
	}
	began := time.Now()
	for range stormEvents {
		if err := c.sendEvent("storm", stormWork); err != nil {
			return err
		}
	}
	accepted := time.Since(began)
	var s score
	records := make(chan answer, stormEvents)
	for range stormEvents {
		var r struct{ ResponsePayload result }
		if err := c.receive(done, &r); err != nil {
			return err
		}
		records <- answer{status: 200, from: r.ResponsePayload.From, to: r.ResponsePayload.To}
	}
	close(records)
	s = tally(records)
	d.table("events\taccepted with 202\tran\tat most at once\tthe last ended after",
		row("%d\tin %s\t%d\t%d\t%.1f s", stormEvents, ms(accepted), s.ran, s.peak, time.Since(began).Seconds()))
	fmt.Fprintf(d.out, "  Those that were throttled waited 1 s, 2 s, 4 s ...; on AWS and here for up to six hours.\n")
	return s.want(stormEvents, map[string]int{}, stormReserved)
}

const (
	connections    = 50 // of the database
	orders         = 120
	orderWork      = 500 * time.Millisecond
	orderPollers   = 6 // provisioned, of 10 batches each
	warmUp         = 1500 * time.Millisecond
	orderVisibleIn = "60"
)

// database runs a function that holds a connection to a database on each message of a queue,
// first as fast as the queue's pollers go, then with a reservation.
func (d *demo) database() error {
	c := d.client
	if _, err := c.queue("orders"); err != nil {
		return err
	}
	report, err := c.queue("orders-report")
	if err != nil {
		return err
	}
	if err := c.create("orders", d.runtime, map[string]string{"REPORT": report}); err != nil {
		return err
	}
	// So many environments that their starts do not limit what follows.
	if err := tally(c.volley("orders", 10*orderPollers, warmUp)).want(10*orderPollers, map[string]int{}, 10*orderPollers); err != nil {
		return err
	}
	for range 10 * orderPollers { // the reports of these
		if err := c.receive(report, new(result)); err != nil {
			return err
		}
	}
	mapping := map[string]any{
		"EventSourceArn": queueARN("orders"), "FunctionName": "orders", "BatchSize": 1,
		"ProvisionedPollerConfig": map[string]any{"MinimumPollers": orderPollers, "MaximumPollers": orderPollers},
	}
	if err := c.call("POST", "/2015-03-31/event-source-mappings", mapping, nil); err != nil {
		return err
	}
	var rows []string
	for _, limit := range []int{0, connections} {
		name := "none"
		if limit > 0 {
			name = fmt.Sprintf("reserved concurrency %d", limit)
			if err := c.reserve("orders", limit); err != nil {
				return err
			}
		}
		s, took, err := d.runOrders(report)
		if err != nil {
			return err
		}
		rows = append(rows, row("%s\t%d of %d\t%d\t%d\t%.1f s", name, s.ran, orders, s.peak, max(s.peak-connections, 0), took.Seconds()))
		if overrun := s.peak > connections; s.ran != orders || overrun != (limit == 0) {
			return fmt.Errorf("with %s: %d ran, %d at once", name, s.ran, s.peak)
		}
	}
	d.table("limit\torders processed\tconnections at the peak\ttoo many\ttime", rows...)
	return nil
}

// runOrders fills the queue and waits until each order was processed.
func (d *demo) runOrders(report string) (score, time.Duration, error) {
	c := d.client
	began := time.Now()
	for i := 0; i < orders; i += 10 {
		var entries []map[string]string
		for j := range 10 {
			entries = append(entries, map[string]string{"Id": fmt.Sprint(j), "MessageBody": fmt.Sprintf(`{"ms": %d}`, orderWork.Milliseconds())})
		}
		if err := c.sqs("SendMessageBatch", map[string]any{"QueueUrl": c.queueURL("orders"), "Entries": entries}, nil); err != nil {
			return score{}, 0, err
		}
	}
	results := make(chan answer, orders)
	for range orders {
		var r result
		if err := c.receive(report, &r); err != nil {
			return score{}, 0, err
		}
		results <- answer{status: 200, from: r.From, to: r.To}
	}
	close(results)
	return tally(results), time.Since(began), nil
}

// A result is what the demo's function returns.
type result struct{ From, To float64 }

func queueARN(name string) string {
	return "arn:aws:sqs:" + defaultRegion + ":" + defaultAccount + ":" + name
}

func (c *demoClient) queueURL(name string) string { return c.url + "/" + defaultAccount + "/" + name }

// queue makes a queue and returns its URL.
func (c *demoClient) queue(name string) (string, error) {
	in := map[string]any{"QueueName": name, "Attributes": map[string]string{"VisibilityTimeout": orderVisibleIn}}
	return c.queueURL(name), c.sqs("CreateQueue", in, nil)
}

// sendEvent invokes a function asynchronously.
func (c *demoClient) sendEvent(name string, work time.Duration) error {
	h := map[string][]string{"X-Amz-Invocation-Type": {"Event"}}
	return c.callWith(h, "POST", "/2015-03-31/functions/"+name+"/invocations", map[string]any{"ms": work.Milliseconds()}, nil)
}

// receive waits for a message, deletes it and decodes its body.
func (c *demoClient) receive(queue string, body any) error {
	var got struct {
		Messages []struct{ ReceiptHandle, Body string }
	}
	for limit := time.Now().Add(patience); len(got.Messages) == 0; {
		if time.Now().After(limit) {
			return fmt.Errorf("no message came to %s in %v", queue, patience)
		}
		if err := c.sqs("ReceiveMessage", map[string]any{"QueueUrl": queue, "WaitTimeSeconds": 5}, &got); err != nil {
			return err
		}
	}
	m := got.Messages[0]
	if err := c.sqs("DeleteMessage", map[string]any{"QueueUrl": queue, "ReceiptHandle": m.ReceiptHandle}, nil); err != nil {
		return err
	}
	return json.Unmarshal([]byte(m.Body), body)
}
