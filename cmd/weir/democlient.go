package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A demoClient calls Lambda's API as any client does, over HTTP.
type demoClient struct {
	ctx  context.Context
	url  string
	http *http.Client
}

func newDemoClient(ctx context.Context, url string) *demoClient {
	return &demoClient{ctx, url, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * demoConcurrency}}}
}

// call sends a request, with a body if in is not nil, and decodes the answer, if out is not nil.
func (c *demoClient) call(method, path string, in, out any) error {
	return c.callWith(http.Header{}, method, path, in, out)
}

// sqs calls an operation of SQS.
func (c *demoClient) sqs(operation string, in, out any) error {
	h := http.Header{}
	h.Set("X-Amz-Target", "AmazonSQS."+operation)
	h.Set("Content-Type", "application/x-amz-json-1.0")
	return c.callWith(h, "POST", "/", in, out)
}

func (c *demoClient) callWith(header http.Header, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(c.ctx, method, c.url+path, &body)
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// create makes a function and waits until it is active.
func (c *demoClient) create(name, runtime string, variables map[string]string) error {
	code, more, err := demoCode(runtime)
	if err != nil {
		return err
	}
	variables = maps.Clone(variables)
	if variables == nil {
		variables = make(map[string]string)
	}
	maps.Copy(variables, more)
	err = c.call("POST", "/2015-03-31/functions", map[string]any{
		"FunctionName": name, "Runtime": runtime, "Handler": "demo.handler", "Role": "arn:aws:iam::" + defaultAccount + ":role/demo",
		"Timeout": 30, "Code": map[string]any{"ZipFile": base64.StdEncoding.EncodeToString(code)}, "Environment": map[string]any{"Variables": variables},
	}, nil)
	if err != nil {
		return err
	}
	return c.wait(func() (bool, error) {
		var f struct{ State string }
		err := c.call("GET", "/2015-03-31/functions/"+name+"/configuration", nil, &f)
		return f.State == "Active", err
	})
}

func (c *demoClient) reserve(name string, n int) error {
	return c.call("PUT", "/2017-10-31/functions/"+name+"/concurrency", map[string]any{"ReservedConcurrentExecutions": n}, nil)
}

func (c *demoClient) publish(name string) (string, error) {
	var v struct{ Version string }
	err := c.call("POST", "/2015-03-31/functions/"+name+"/versions", map[string]any{}, &v)
	return v.Version, err
}

// provision asks for provisioned concurrency and waits until it is ready.
func (c *demoClient) provision(name, version string, n int) error {
	path := "/2019-09-30/functions/" + name + "/provisioned-concurrency?Qualifier=" + version
	if err := c.call("PUT", path, map[string]any{"ProvisionedConcurrentExecutions": n}, nil); err != nil {
		return err
	}
	return c.wait(func() (bool, error) {
		var p struct{ Status string }
		err := c.call("GET", path, nil, &p)
		return p.Status == "READY", err
	})
}

// patience bounds a wait for something that takes milliseconds.
const patience = 15 * time.Second

// wait polls until done or for as long as patience lasts.
func (c *demoClient) wait(done func() (bool, error)) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("waited %v in vain", patience)
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}

// An answer is what came of one call of Invoke.
type answer struct {
	status   int
	latency  time.Duration
	reason   string // of a 429
	why      string // X-Weir-Reason
	from, to float64
	err      error
}

func (a answer) cold() bool { return strings.HasPrefix(a.why, "cold start") }

// start describes how the call began.
func (a answer) start() string {
	if a.cold() {
		return a.why
	}
	return "warm"
}

// invoke calls a function that works for so long.
func (c *demoClient) invoke(name, qualifier string, work time.Duration) answer {
	path := "/2015-03-31/functions/" + name + "/invocations"
	if qualifier != "" {
		path += "?Qualifier=" + qualifier
	}
	began := time.Now()
	req, err := http.NewRequestWithContext(c.ctx, "POST", c.url+path, strings.NewReader(fmt.Sprintf(`{"ms": %d}`, work.Milliseconds())))
	if err != nil {
		return answer{err: err}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := answer{status: resp.StatusCode, latency: time.Since(began), why: resp.Header.Get("X-Weir-Reason"), err: err}
	var result struct {
		Reason   string
		From, To float64
	}
	if err == nil {
		a.err = json.Unmarshal(body, &result)
	}
	if resp.Header.Get("X-Amz-Function-Error") != "" {
		a.err = fmt.Errorf("the function failed: %s", body)
	}
	a.reason, a.from, a.to = result.Reason, result.From, result.To
	return a
}

// volley makes n calls at the same time and delivers the answers as they come.
func (c *demoClient) volley(name string, n int, work time.Duration) <-chan answer {
	answers := make(chan answer, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() { answers <- c.invoke(name, "", work) })
	}
	go func() {
		all.Wait()
		close(answers)
	}()
	return answers
}

// invokeInTurn makes n calls that overlap, one shortly after the other.
func (c *demoClient) invokeInTurn(name, qualifier string, n int, work time.Duration) []answer {
	answers := make([]answer, n)
	var all sync.WaitGroup
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range answers {
		all.Go(func() { answers[i] = c.invoke(name, qualifier, work) })
		<-tick.C
	}
	all.Wait()
	return answers
}

// A score is what came of many calls.
type score struct {
	ran     int
	peak    int // most at the same time, by the function's own clock
	latency []time.Duration
	refused map[string][]answer // by reason
	err     error
}

func tally(answers <-chan answer) score {
	s := score{refused: map[string][]answer{}}
	type edge struct {
		at   float64
		step int
	}
	var edges []edge
	for a := range answers {
		switch {
		case a.err != nil:
			s.err = a.err
		case a.status == 200:
			s.ran++
			s.latency = append(s.latency, a.latency)
			edges = append(edges, edge{a.from, 1}, edge{a.to, -1})
		default:
			s.refused[a.reason] = append(s.refused[a.reason], a)
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if a.at != b.at {
			return int(1 - 2*btoi(a.at < b.at))
		}
		return a.step - b.step
	})
	now := 0
	for _, e := range edges {
		now += e.step
		s.peak = max(s.peak, now)
	}
	return s
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s score) throttled() int {
	n := 0
	for _, a := range s.refused {
		n += len(a)
	}
	return n
}

// rows are the lines of a table of outcomes.
func (s score) rows() []string {
	rows := []string{row("200 ran\t%d\t%s\t", s.ran, ms(median(s.latency)))}
	for _, reason := range slices.Sorted(maps.Keys(s.refused)) {
		var latency []time.Duration
		for _, a := range s.refused[reason] {
			latency = append(latency, a.latency)
		}
		rows = append(rows, row("429 %s\t%d\t%s\t%s", reason, len(latency), ms(median(latency)), s.refused[reason][0].why))
	}
	return rows
}

// want compares the score with what must come of it.
func (s score) want(ran int, refused map[string]int, peak int) error {
	if s.err != nil {
		return s.err
	}
	got := make(map[string]int)
	for reason, answers := range s.refused {
		got[reason] = len(answers)
	}
	if s.ran != ran || !maps.Equal(got, refused) || s.peak > peak {
		return fmt.Errorf("%d ran, %v were refused, %d ran at once; want %d, %v, at most %d", s.ran, got, s.peak, ran, refused, peak)
	}
	return nil
}

func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}
