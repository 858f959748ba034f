package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/sandbox"
)

var memoryMeasure = measure{
	id:   "P10",
	what: "memory of an idle environment above its runtime's own",
	note: "40 environments of one function in `weir serve`, idle and frozen. Counted for each: the PSS of weir's processes (the server " +
		"and all its descendants but the runtimes) less what it was before, and the kernel's memory (Slab, KernelStack, PageTables and Percpu of " +
		"/proc/meminfo) by which it exceeds the same number of bare processes. The baseline is the runtime's own PSS, which is not in the figure. " +
		"Other programs on the machine disturb the kernel's part.",
	run: measureMemory,
}

const (
	memoryMany   = 40
	memoryLimit  = 1536 // KB for an environment
	settleMemory = 1500 * time.Millisecond
)

func measureMemory(b *bench) ([]row, error) {
	g, err := b.goFunction()
	if err != nil {
		return nil, err
	}
	s, err := b.starter(sandbox.Pool{})
	if err != nil {
		return nil, err
	}
	defer s.driver.Close()
	var rows []row
	for _, f := range []function{pythonFunction, g} {
		dir, err := b.unpack(f)
		if err != nil {
			return nil, err
		}
		if _, err := s.cycle(f, dir); err != nil {
			return nil, err
		}
		var parts [4][]float64 // KB: weir, kernel, runtime, both of the first
		for range b.rounds(4) {
			bareKernel, err := bareMemory(s.recorder.last())
			if err != nil {
				return nil, err
			}
			m, err := b.idleMemory(f)
			if err != nil {
				return nil, err
			}
			kernel := m.kernel - bareKernel
			for i, kb := range []float64{m.weir, kernel, m.runtime, m.weir + kernel} {
				parts[i] = append(parts[i], kb)
			}
		}
		kb := func(i int) string { return fmt.Sprintf("%.0f KB", median(parts[i])) }
		total := median(parts[3])
		rows = append(rows, row{
			metric:   fmt.Sprintf("memory per idle environment, %s, %s", f.title, s.driver.Report().Mechanism),
			measured: kb(3) + " (server and init " + kb(0) + ", kernel " + kb(1) + ")", baseline: kb(2) + " (the runtime's PSS)",
			ratio: times(total / median(parts[2])), target: fmt.Sprintf("≤ %d KB", memoryLimit), met: total <= memoryLimit,
		})
	}
	return rows, nil
}

// A footprint is KB for one environment.
type footprint struct{ weir, kernel, runtime float64 }

// idleMemory measures environments of a server of its own.
func (b *bench) idleMemory(f function) (footprint, error) {
	s, err := b.serve(false)
	if err != nil {
		return footprint{}, err
	}
	defer s.stop()
	if err := s.create(f); err != nil {
		return footprint{}, err
	}
	before, err := s.memory()
	if err != nil {
		return footprint{}, err
	}
	// Each invocation sleeps until all have an environment.
	request, err := wireRequest(s.addr, invokePath(f.name), []byte(`{"sleep": 4}`), false)
	if err != nil {
		return footprint{}, err
	}
	errs := make([]error, memoryMany)
	var wg sync.WaitGroup
	for i := range memoryMany {
		wg.Go(func() {
			c, err := dial(s.addr)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			errs[i] = c.do(request)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return footprint{}, err
	}
	var health struct{ Environments int }
	if err := s.call("GET", "/_weir/health", nil, &health); err != nil {
		return footprint{}, err
	}
	if health.Environments != memoryMany {
		return footprint{}, fmt.Errorf("%d environments exist, not %d", health.Environments, memoryMany)
	}
	after, err := s.memory()
	return footprint{
		(after.weir - before.weir) / memoryMany, (after.kernel - before.kernel) / memoryMany, after.runtime / memoryMany,
	}, err
}

// memory returns what a server and its environments use, once that has settled.
func (s *server) memory() (footprint, error) {
	time.Sleep(settleMemory)
	m := footprint{kernel: kernelMemory()}
	for _, pid := range descendants(s.cmd.Process.Pid) {
		kb, err := pss(pid)
		if err != nil {
			continue // it has ended
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			return m, err
		}
		if name := filepath.Base(exe); name == "bootstrap" || name == "node" || strings.HasPrefix(name, "python") {
			m.runtime += kb
		} else {
			m.weir += kb
		}
	}
	return m, nil
}

// bareMemory returns the kernel's memory, in KB, for one of many bare processes.
func bareMemory(spec sandbox.Spec) (float64, error) {
	time.Sleep(settleMemory)
	before := kernelMemory()
	for range memoryMany {
		p, _, err := startBare(spec)
		if err != nil {
			return 0, err
		}
		defer p.stop()
	}
	time.Sleep(settleMemory)
	return (kernelMemory() - before) / memoryMany, nil
}

// descendants returns a process and all that it has started, directly or not.
func descendants(pid int) []int {
	all := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, descendants(child)...)
			}
		}
	}
	return all
}

// pss returns a process's proportional set size in KB.
func pss(pid int) (float64, error) {
	kb, err := fields(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	return kb, err
}

// kernelMemory returns what the kernel uses for processes and files, in KB.
func kernelMemory() float64 {
	kb, err := fields("/proc/meminfo", "Slab:", "KernelStack:", "PageTables:", "Percpu:")
	if err != nil {
		return 0 // no Linux
	}
	return kb
}

// fields adds up lines of a file like "Name:  12 kB".
func fields(file string, names ...string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var sum float64
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		for _, name := range names {
			if len(words) > 1 && words[0] == name {
				kb, err := strconv.ParseFloat(words[1], 64)
				if err != nil {
					return 0, err
				}
				sum += kb
			}
		}
	}
	return sum, nil
}
