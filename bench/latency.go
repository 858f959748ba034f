package main

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"
)

var latencyMeasure = measure{
	id:   "P2",
	what: "latency that a warm invocation adds",
	note: "Open loop: 1 KB requests leave at a fixed rate, whatever the answers do, over 8 kept connections, to `weir serve` and to " +
		"a plain HTTP server in the function's language (Python: sockets; Go: net/http) that echoes without decoding. A request " +
		"that finds no free connection waits, and its wait counts. Added = weir's quantile less the baseline's, by round. " +
		"The aws-lambda-go row contains that library's own work. The relay copies the bytes of connections from one process to another " +
		"and back: what a hop costs on this machine if nothing is done in it.",
	run: measureLatency,
}

const (
	arrivalRate  = 300 // requests per second
	openConns    = 8
	latencyRound = 2 * time.Second
)

// Targets of added latency.
const (
	addedP50 = 120 * time.Microsecond
	addedP99 = 500 * time.Microsecond
)

// A destination is where requests of a measure go.
type destination struct {
	addr    string
	request []byte
}

// echoServers starts the baselines, by function name.
func echoServers() (map[string]*process, error) {
	python, err := startEcho(exec.Command("python3", "-c", pythonEcho))
	if err != nil {
		return nil, fmt.Errorf("start Python's echo: %w", err)
	}
	golang, err := startRole("echo")
	if err != nil {
		python.stop()
		return nil, err
	}
	return map[string]*process{"python": python, "go": golang}, nil
}

func measureLatency(b *bench) ([]row, error) {
	g, err := b.goFunction()
	if err != nil {
		return nil, err
	}
	echoes, err := echoServers()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range echoes {
			p.stop()
		}
	}()
	var servers []*server
	for _, signed := range []bool{false, true} {
		s, err := b.serve(signed)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		servers = append(servers, s)
		for _, f := range []function{pythonFunction, g} {
			if err := s.create(f); err != nil {
				return nil, err
			}
		}
	}
	proxy, err := startRole("proxy http://" + echoes["go"].addr)
	if err != nil {
		return nil, err
	}
	defer proxy.stop()
	relay, err := startRole("relay " + echoes["go"].addr)
	if err != nil {
		return nil, err
	}
	defer relay.stop()
	others := []hop{{"httputil.ReverseProxy", proxy}, {"a relay of bytes", relay}}
	var rows []row
	for _, f := range []function{pythonFunction, g} {
		more, err := b.latencyOf(f, echoes[f.name], servers, others)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// A hop is a process between client and echo, for comparison.
type hop struct {
	name string
	*process
}

// latencyOf measures one function on servers, beside its baseline; and for comparison, beside
// Go's, what other hops add on this machine.
func (b *bench) latencyOf(f function, echo *process, servers []*server, others []hop) ([]row, error) {
	request, err := wireRequest(echo.addr, "/", event(), false)
	if err != nil {
		return nil, err
	}
	all := []destination{{echo.addr, request}}
	for _, s := range servers {
		if request, err = wireRequest(s.addr, invokePath(f.name), event(), s.signed); err != nil {
			return nil, err
		}
		all = append(all, destination{s.addr, request})
	}
	if f.name != "go" {
		others = nil
	}
	for _, o := range others {
		if request, err = wireRequest(o.addr, "/", event(), false); err != nil {
			return nil, err
		}
		all = append(all, destination{o.addr, request})
	}
	samples := make([][2][]time.Duration, len(all)) // p50 and p99 of each round
	for i := range b.rounds(8) + 1 {
		for k, d := range all {
			took, err := openLoop(d, b.span(latencyRound))
			if err != nil {
				return nil, err
			}
			if i > 0 { // the first warms up
				samples[k][0] = append(samples[k][0], quantile(took, 0.5))
				samples[k][1] = append(samples[k][1], quantile(took, 0.99))
			}
		}
	}
	var rows []row
	for k := range all[1:] {
		var what string
		limits := []time.Duration{0, 0}
		if k >= len(servers) {
			what = others[k-len(servers)].name + ", for comparison"
		} else {
			auth := "unsigned"
			if servers[k].signed {
				auth = "SigV4"
			}
			what = fmt.Sprintf("%s, %s, %s", f.title, auth, strings.Trim(servers[k].mechanism, "()"))
			limits = []time.Duration{addedP50, addedP99}
		}
		for q, name := range []string{"p50", "p99"} {
			rows = append(rows, addedRow("added "+name+", "+what, samples[0][q], samples[k+1][q], limits[q]))
		}
	}
	return rows, nil
}

// addedRow compares quantiles of rounds; no limit is no target.
func addedRow(metric string, base, with []time.Duration, limit time.Duration) row {
	added := make([]time.Duration, len(base))
	for i := range base {
		added[i] = with[i] - base[i]
	}
	r := row{
		metric:   metric,
		measured: fmt.Sprintf("%+.0f µs (%s)", float64(median(added))/1e3, micros(median(with))),
		baseline: micros(median(base)),
		ratio:    times(float64(median(with)) / float64(median(base))),
	}
	if limit > 0 {
		r.target, r.met = "≤ +"+micros(limit), median(added) <= limit
	}
	return r
}

// openLoop sends requests at the fixed rate and returns how long each took, from when it was
// due if the connections were the reason that it was late.
func openLoop(d destination, span time.Duration) ([]time.Duration, error) {
	free := make(chan *openConn, openConns)
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	var readers sync.WaitGroup
	for range openConns {
		c, err := dial(d.addr)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		o := &openConn{conn: c, sent: make(chan time.Time, 1)}
		free <- o
		readers.Go(func() {
			for at := range o.sent {
				err := o.answer()
				mu.Lock()
				took = append(took, time.Since(at))
				if err != nil && failed == nil {
					failed = err
				}
				mu.Unlock()
				free <- o
			}
		})
	}
	const period = time.Second / arrivalRate
	n := int(span / period)
	begin := time.Now()
	for i := range n {
		at := begin.Add(time.Duration(i) * period)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
			at = time.Now() // the timer's lateness is not the server's
		}
		o := <-free
		o.sent <- at
		if _, err := o.Write(d.request); err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
			break
		}
	}
	for range openConns {
		o := <-free
		close(o.sent)
	}
	readers.Wait()
	return took, failed
}

// An openConn is a connection whose answers are read by a goroutine of its own.
type openConn struct {
	*conn
	sent chan time.Time
}
