package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weir-run/weir/sandbox"
)

var createMeasure = measure{
	id:   "P5",
	what: "environments created per second",
	note: "Eight at a time: an environment of a Go function (aws-lambda-go) is started, becomes ready and is ended; the baseline starts the " +
		"same program by fork and exec, waits for its GET /next and kills it. Both count whole cycles.",
	run: measureCreate,
}

const (
	createParallel = 8
	createEach     = 12   // cycles of each in a round
	createRatio    = 0.40 // least share of the bare rate
)

func measureCreate(b *bench) ([]row, error) {
	f, err := b.goFunction()
	if err != nil {
		return nil, err
	}
	dir, err := b.unpack(f)
	if err != nil {
		return nil, err
	}
	s, err := b.starter(sandbox.Pool{})
	if err != nil {
		return nil, err
	}
	defer s.driver.Close()
	if _, err := s.cycle(f, dir); err != nil {
		return nil, err
	}
	spec := s.recorder.last()
	var bare, boxed, ratios []float64
	for range b.rounds(8) {
		r, err := rate(func() error {
			p, _, err := startBare(spec)
			if err == nil {
				p.stop()
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		bare = append(bare, r)
		if r, err = rate(func() error { _, err := s.cycle(f, dir); return err }); err != nil {
			return nil, err
		}
		boxed = append(boxed, r)
		ratios = append(ratios, r/bare[len(bare)-1])
	}
	return []row{{
		metric:   fmt.Sprintf("environments started and ended per second, %s, 8 parallel", s.driver.Report().Mechanism),
		measured: fmt.Sprintf("%.0f/s", median(boxed)), baseline: fmt.Sprintf("%.0f/s", median(bare)),
		ratio: times(median(ratios)), target: "≥ " + times(createRatio), met: median(ratios) >= createRatio,
	}}, nil
}

// rate returns how often once can be done in a second.
func rate(once func() error) (float64, error) {
	errs := make([]error, createParallel)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range createParallel {
		wg.Go(func() {
			for range createEach {
				if errs[i] = once(); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	return createParallel * createEach / time.Since(begin).Seconds(), errors.Join(errs...)
}
