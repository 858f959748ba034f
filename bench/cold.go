package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

var coldMeasure = measure{
	id:   "P4",
	what: "cold start",
	note: "From environment.Host.Start until the environment is ready, which is its first GET /next: made for the function, and from a pool " +
		"that holds one started runtime (sandbox.Pool; `weir serve` does not ask for one yet). " +
		"The baseline starts the same command with the same variables, bootstrap and code by fork and exec without a sandbox, until the " +
		"first bytes of its GET /next.",
	run: measureCold,
}

// Targets of cold starts.
const (
	goOverExec = 4 * time.Millisecond
	madeRatio  = 1.25
)

// Largest ratios of a start from the pool to the bare one, by function.
var poolRatios = map[string]float64{"python": 0.10, "node": 0.15}

// refill is how long a pool gets to start the next runtime, several times what it takes.
const refill = 400 * time.Millisecond

// startLimit bounds how long an environment may take to be ready.
const startLimit = 20 * time.Second

// A starter starts environments of functions in this process, isolated as the server's are.
type starter struct {
	host     *environment.Host
	driver   sandbox.Driver
	recorder *recorder
}

// A recorder is a driver that remembers what was asked of it last.
type recorder struct {
	sandbox.Driver
	mu   sync.Mutex
	spec sandbox.Spec
}

func (r *recorder) Start(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	r.mu.Lock()
	r.spec = spec
	r.mu.Unlock()
	return r.Driver.Start(ctx, spec)
}

func (r *recorder) last() sandbox.Spec {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spec
}

func (b *bench) starter(pool sandbox.Pool) (*starter, error) {
	dir, err := os.MkdirTemp(b.dir, "starter-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	d, err := sandbox.Open(sandbox.Options{Dir: filepath.Join(dir, "sandbox"), Pool: pool, Logger: quiet})
	if err != nil {
		return nil, err
	}
	r := &recorder{Driver: d}
	h, err := environment.Open(environment.Options{Sandboxes: r, Dir: filepath.Join(dir, "runtime"), Logger: quiet})
	if err != nil {
		d.Close()
		return nil, err
	}
	return &starter{h, d, r}, nil
}

// start starts an environment and returns it when it is ready, with how long that took.
func (s *starter) start(f function, dir string) (*environment.Environment, time.Duration, error) {
	ended := make(chan error, 2)
	from := time.Now()
	e := s.host.Start(environment.Spec{
		Scope: lambda.Scope{Account: "000000000000", Region: region}, Code: dir,
		Version: &lambda.Version{
			Function: f.name, Number: lambda.Latest, Runtime: f.runtime, Handler: "app.handler",
			TimeoutSec: 30, MemoryMB: memoryMB, EphemeralMB: 512,
		},
		Events: environment.Events{
			Ready: func(_ *environment.Environment, i environment.Init) { ended <- i.Err },
			Idle:  func(*environment.Environment, environment.Report) {},
			Gone:  func(_ *environment.Environment, err error) { ended <- fmt.Errorf("gone: %w", err) },
		},
	})
	select {
	case err := <-ended:
		if err != nil {
			e.Close()
			return nil, 0, err
		}
		return e, time.Since(from), nil
	case <-time.After(startLimit):
		e.Close()
		return nil, 0, fmt.Errorf("%s is not ready after %v", f.name, startLimit)
	}
}

// cycle starts an environment and ends it.
func (s *starter) cycle(f function, dir string) (time.Duration, error) {
	e, took, err := s.start(f, dir)
	if err != nil {
		return 0, err
	}
	e.Close()
	return took, nil
}

// A bareProcess is what a sandbox would run, without one.
type bareProcess struct {
	cmd      *exec.Cmd
	listener net.Listener
	conn     net.Conn
}

// startBare starts a spec's command as a plain process and waits for its first request.
func startBare(spec sandbox.Spec) (*bareProcess, time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	p := &bareProcess{listener: l}
	roots := strings.NewReplacer("/var/task", spec.Code, "/var/runtime", spec.Runtime, "/var/lang", spec.Lang, "/opt", "/nonexistent")
	var args, env []string
	for _, a := range spec.Command {
		args = append(args, roots.Replace(a))
	}
	for _, kv := range spec.Env {
		env = append(env, roots.Replace(kv))
	}
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Env = append(env, "AWS_LAMBDA_RUNTIME_API="+l.Addr().String())
	p.cmd.Dir = spec.Code
	from := time.Now()
	if err := p.cmd.Start(); err != nil {
		l.Close()
		return nil, 0, err
	}
	if err := l.(*net.TCPListener).SetDeadline(from.Add(startLimit)); err == nil {
		p.conn, err = l.Accept()
		if err == nil {
			_, err = bufio.NewReader(p.conn).ReadString('\n')
		}
		if err != nil {
			p.stop()
			return nil, 0, fmt.Errorf("start %s without a sandbox: %w", spec.Name, err)
		}
	}
	return p, time.Since(from), nil
}

func (p *bareProcess) stop() {
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	_ = p.cmd.Wait()         // reports the signal
	if p.conn != nil {
		p.conn.Close()
	}
	p.listener.Close()
}

func measureCold(b *bench) ([]row, error) {
	functions, err := b.functions()
	if err != nil {
		return nil, err
	}
	cold, err := b.starter(sandbox.Pool{})
	if err != nil {
		return nil, err
	}
	defer cold.driver.Close()
	var rows []row
	for _, f := range functions {
		more, err := b.coldOf(f, cold)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// coldOf measures one function: without a sandbox, in one, and in one from a pool.
func (b *bench) coldOf(f function, cold *starter) ([]row, error) {
	dir, err := b.unpack(f)
	if err != nil {
		return nil, err
	}
	starters := []*starter{cold}
	if poolRatios[f.name] > 0 {
		pooled, err := b.starter(sandbox.Pool{PrebootMin: 1, PrebootMax: 1})
		if err != nil {
			return nil, err
		}
		defer pooled.driver.Close()
		starters = append(starters, pooled)
	}
	took := make([][]time.Duration, 1+len(starters))
	for i := range b.rounds(20) + 1 {
		round := make([]time.Duration, 0, len(took))
		for k, s := range starters {
			t, err := s.cycle(f, dir)
			if err != nil {
				return nil, err
			}
			if k > 0 {
				time.Sleep(refill) // what starts for the pool must not slow the others down
			}
			round = append(round, t)
		}
		p, t, err := startBare(cold.recorder.last())
		if err != nil {
			return nil, err
		}
		p.stop()
		if i == 0 { // the first reads the files and fills the pool
			continue
		}
		took[0] = append(took[0], t)
		for k, t := range round {
			took[k+1] = append(took[k+1], t)
		}
	}
	return coldRows(f, cold.driver.Report(), took), nil
}

func coldRows(f function, report sandbox.Report, took [][]time.Duration) []row {
	bare := median(took[0])
	r := row{
		metric:   fmt.Sprintf("start to GET /next, %s, %s, no pool", f.title, report.Mechanism),
		measured: millis(median(took[1])), baseline: millis(bare), ratio: times(float64(median(took[1])) / float64(bare)),
		target: "≤ " + times(madeRatio), met: float64(median(took[1])) <= madeRatio*float64(bare),
	}
	if f.name == "go" {
		r.target, r.met = "≤ baseline + "+millis(goOverExec), median(took[1]) <= bare+goOverExec
	}
	rows := []row{r}
	if len(took) > 2 {
		limit, t := poolRatios[f.name], median(took[2])
		r.metric = fmt.Sprintf("start to GET /next, %s, %s, from the pool", f.title, report.Mechanism)
		r.measured, r.ratio = millis(t), times(float64(t)/float64(bare))
		r.target, r.met = "≤ "+times(limit), float64(t) <= limit*float64(bare)
		rows = append(rows, r)
	}
	return rows
}
