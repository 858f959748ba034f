package main

import (
	"fmt"
	"sync"
	"time"
)

var throughputMeasure = measure{
	id:   "P3",
	what: "requests per second of synchronous invocations, and the server's CPU",
	note: "Closed loop: c clients send 1 KB requests one after the other, in turns to each function on one `weir serve` with its " +
		"defaults and to a process of httputil.ReverseProxy before one net/http echo process. CPU is user and system time of the server " +
		"process (of the proxy process), from /proc/PID/stat, without functions and echo.",
	run: measureThroughput,
}

const (
	throughputRound = time.Second
	warmUpRounds    = 4 // what is warmed up first: environments boot, and their compilers compile
)

// Least ratios to the proxy's requests per second, by function and clients; those left out
// have no target.
var throughputTargets = map[string]map[int]float64{
	"python": {1: 1, 16: 1, 64: 1},
	"node":   {1: 0.7, 16: 0.7, 64: 0.7},
	"go":     {1: 0.5, 16: 0.33},
}

const maxServerCPU = 0.9 // of the proxy's

// A load is what one round gave.
type load struct {
	rate float64 // requests per second
	cpu  float64 // µs of the process per request
}

func measureThroughput(b *bench) ([]row, error) {
	functions, err := b.functions()
	if err != nil {
		return nil, err
	}
	echo, err := startRole("echo")
	if err != nil {
		return nil, err
	}
	defer echo.stop()
	proxy, err := startRole("proxy http://" + echo.addr)
	if err != nil {
		return nil, err
	}
	defer proxy.stop()
	s, err := b.serve(false)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	request, err := wireRequest(proxy.addr, "/", event(), false)
	if err != nil {
		return nil, err
	}
	targets := []target{{destination{proxy.addr, request}, proxy.cmd.Process.Pid}}
	for _, f := range functions {
		if err := s.create(f); err != nil {
			return nil, err
		}
		if request, err = wireRequest(s.addr, invokePath(f.name), event(), false); err != nil {
			return nil, err
		}
		targets = append(targets, target{destination{s.addr, request}, s.cmd.Process.Pid})
	}
	var rows, cpu []row
	for _, clients := range []int{1, 16, 64} {
		loads, err := b.loads(targets, clients)
		if err != nil {
			return nil, err
		}
		for i, f := range functions {
			rate, used := compare(loads[0], loads[i+1])
			where := fmt.Sprintf("%s, c=%d", f.title, clients)
			rate.metric, used.metric = "requests/s, "+where, "server CPU per request, "+where
			if least := throughputTargets[f.name][clients]; least > 0 {
				rate.target, rate.met = "≥ "+times(least), rate.value >= least
			}
			used.target, used.met = "≤ "+times(maxServerCPU), used.value <= maxServerCPU
			rows, cpu = append(rows, rate.row), append(cpu, used.row)
		}
	}
	return append(rows, cpu...), nil
}

// A target is a process under load.
type target struct {
	destination
	pid int
}

// loads puts load on each target in turns; the first round boots what it needs.
func (b *bench) loads(targets []target, clients int) ([][]load, error) {
	all := make([][]load, len(targets))
	for i := range b.rounds(5) + 1 {
		for k, t := range targets {
			span := b.span(throughputRound)
			if i == 0 {
				span *= warmUpRounds
			}
			l, err := closedLoop(t, clients, span)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				all[k] = append(all[k], l)
			}
		}
	}
	return all, nil
}

// A comparison is a row whose ratio is still a number.
type comparison struct {
	row
	value float64
}

// compare compares the rounds of one target with those of the proxy.
func compare(proxy, weir []load) (rate, cpu comparison) {
	var rates, cpus [3][]float64 // baseline, measured, ratio
	for i := range proxy {
		rates[0], rates[1] = append(rates[0], proxy[i].rate), append(rates[1], weir[i].rate)
		rates[2] = append(rates[2], weir[i].rate/proxy[i].rate)
		cpus[0], cpus[1] = append(cpus[0], proxy[i].cpu), append(cpus[1], weir[i].cpu)
		cpus[2] = append(cpus[2], weir[i].cpu/proxy[i].cpu)
	}
	one := func(of [3][]float64, unit string) comparison {
		show := func(v float64) string { return fmt.Sprintf("%.0f%s", v, unit) }
		value := median(of[2])
		return comparison{row{measured: show(median(of[1])), baseline: show(median(of[0])), ratio: times(value)}, value}
	}
	return one(rates, "/s"), one(cpus, " µs")
}

// closedLoop lets clients send one request after the other.
func closedLoop(t target, clients int, span time.Duration) (load, error) {
	conns := make([]*conn, clients)
	for i := range conns {
		c, err := dial(t.addr)
		if err != nil {
			return load{}, err
		}
		defer c.Close()
		conns[i] = c
	}
	before, err := cpuTime(t.pid)
	if err != nil {
		return load{}, err
	}
	counts, errs := make([]int, clients), make([]error, clients)
	begin := time.Now()
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			for time.Since(begin) < span && errs[i] == nil {
				errs[i] = c.do(t.request)
				counts[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	after, err := cpuTime(t.pid)
	if err != nil {
		return load{}, err
	}
	n := 0
	for i := range counts {
		if errs[i] != nil {
			return load{}, errs[i]
		}
		n += counts[i]
	}
	return load{float64(n) / took.Seconds(), float64(after-before) / 1e3 / float64(n)}, nil
}
