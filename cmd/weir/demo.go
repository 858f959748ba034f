package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"text/tabwriter"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/environment"
	"github.com/weir-run/weir/sandbox"
)

const demoAbout = `Shows what weir does, in about twenty seconds: it starts a server on a free port and in a
temporary directory, deploys a real function and drives it past its limits. It takes no
flags and leaves nothing behind.
`

// demoConcurrency is the account's limit in the demo: 100 must stay unreserved beside what the
// scenes reserve and provision.
const demoConcurrency = 175

// A demo is one showing: a server, a client of it and where the tables go.
type demo struct {
	client  *demoClient
	out     io.Writer
	runtime string
}

// demo runs the command.
func (m *Main) demo(ctx context.Context, args []string) error {
	f := m.flags("demo", demoAbout)
	if err := parse(f, args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := openServer(serverOptions{
		Data:      dir,
		Account:   admission.Account{Limit: demoConcurrency, IdleTimeout: 10 * time.Minute, MaxAge: maxAge},
		Mechanism: sandbox.Auto,
		Logger:    slog.New(slog.NewTextHandler(m.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}, l)
	if err != nil {
		l.Close()
		return err
	}
	err = m.show(ctx, s, time.Since(began))
	limit, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	if closeErr := s.close(limit); err == nil {
		err = closeErr
	}
	if err == nil {
		fmt.Fprintf(m.Stdout, "\nAll of it as AWS does it, in %.1f s. Next: weir serve, and docs/.\n", time.Since(began).Seconds())
	}
	return err
}

// show plays the scenes on a server.
func (m *Main) show(ctx context.Context, s *server, startUp time.Duration) error {
	d := &demo{client: newDemoClient(ctx, s.url), out: m.Stdout, runtime: demoRuntime(s.host)}
	fmt.Fprintf(d.out, "A server at %s, ready after %d ms: isolation by %s, %s functions, account concurrency %d.\n",
		s.url, startUp.Milliseconds(), s.report.Mechanism, d.runtime, demoConcurrency)
	for _, scene := range []struct {
		title string
		play  func(*demo) error
	}{
		{"A cold start, then warm ones", (*demo).coldAndWarm},
		{"Reserved concurrency 10 is a guarantee and a cap: 50 calls at once", (*demo).reserved},
		{"Reserved concurrency 0 is the emergency brake", (*demo).brake},
		{"Provisioned concurrency 5: five warm answers, the sixth spills over", (*demo).provisioned},
		{"An asynchronous storm meets reserved concurrency 5: throttled, tried again, nothing lost", (*demo).storm},
		{"A queue before a database that accepts 50 connections", (*demo).database},
		{"A noisy function starves the account's pool; a reservation saves the other", (*demo).noisyNeighbour},
	} {
		fmt.Fprintf(d.out, "\n%s\n", scene.title)
		if err := scene.play(d); err != nil {
			return fmt.Errorf("%s: %w", scene.title, err)
		}
	}
	return nil
}

// demoRuntime is Python if this machine has it, else the program itself.
func demoRuntime(host *environment.Host) string {
	for _, id := range []string{"python3.14", "python3.13", "python3.12", "python3.11", "python3.10"} {
		if r, err := host.Resolve(id); err == nil && r.Exact {
			return id
		}
	}
	return "provided.al2023"
}

// table prints rows under a header, two spaces in.
func (d *demo) table(header string, rows ...string) {
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "  %s\n", header)
	for _, r := range rows {
		fmt.Fprintf(w, "  %s\n", r)
	}
	w.Flush()
}

func row(f string, args ...any) string { return fmt.Sprintf(f, args...) }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func (d *demo) coldAndWarm() error {
	if err := d.client.create("hello", d.runtime, nil); err != nil {
		return err
	}
	var rows []string
	for i, name := range []string{"first", "second", "third"} {
		a := d.client.invoke("hello", "", 0)
		if a.err != nil || a.status != 200 || a.cold() != (i == 0) {
			return fmt.Errorf("the %s call: %v", name, a)
		}
		rows = append(rows, row("%s\t%s\t%s", name, ms(a.latency), a.start()))
	}
	d.table("call\tlatency\tstart", rows...)
	return nil
}

func (d *demo) reserved() error {
	if err := d.client.create("payment-processor", d.runtime, nil); err != nil {
		return err
	}
	if err := d.client.reserve("payment-processor", 10); err != nil {
		return err
	}
	t := tally(d.client.volley("payment-processor", 50, 300*time.Millisecond))
	d.table("outcome\tcalls\tp50 latency\twhy", t.rows()...)
	fmt.Fprintf(d.out, "  Measured inside the function: at most %d at the same time.\n", t.peak)
	return t.want(10, map[string]int{"ReservedFunctionConcurrentInvocationLimitExceeded": 40}, 10)
}

func (d *demo) brake() error {
	if err := d.client.reserve("payment-processor", 0); err != nil {
		return err
	}
	on := d.client.invoke("payment-processor", "", 0)
	if err := d.client.reserve("payment-processor", 10); err != nil {
		return err
	}
	off := d.client.invoke("payment-processor", "", 0)
	if on.status != 429 || off.status != 200 {
		return fmt.Errorf("on: %v; off: %v", on, off)
	}
	d.table("brake\tstatus\tlatency\tanswer", row("on\t%d\t%s\t%s", on.status, ms(on.latency), on.why), row("off again\t%d\t%s\t%s", off.status, ms(off.latency), off.start()))
	return nil
}

func (d *demo) provisioned() error {
	c := d.client
	if err := c.create("api-handler", d.runtime, nil); err != nil {
		return err
	}
	version, err := c.publish("api-handler")
	if err != nil {
		return err
	}
	began := time.Now()
	if err := c.provision("api-handler", version, 5); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "  READY after %s.\n", ms(time.Since(began)))
	var rows []string
	warm := 0
	for i, a := range c.invokeInTurn("api-handler", version, 6, 400*time.Millisecond) {
		if a.status != 200 {
			return fmt.Errorf("call %d: %v", i+1, a)
		}
		if !a.cold() {
			warm++
		}
		rows = append(rows, row("%d\t%s\t%s", i+1, ms(a.latency), a.start()))
	}
	d.table("call\tlatency (400 ms of it work)\tstart", rows...)
	if warm != 5 {
		return fmt.Errorf("%d of the six calls were warm, not 5", warm)
	}
	return nil
}

func (d *demo) noisyNeighbour() error {
	c := d.client
	if err := c.create("noisy", d.runtime, nil); err != nil {
		return err
	}
	const pool = demoConcurrency - 10 - 5 - stormReserved - connections // less what is reserved and provisioned
	answers := c.volley("noisy", pool+10, 5*time.Second)
	// The first answer is of one that is throttled, for the others work: noisy holds the pool.
	if first := <-answers; first.status != 429 {
		return fmt.Errorf("the first answer to noisy: %v", first)
	}
	starved := c.invoke("hello", "", 0)
	if err := c.reserve("hello", 5); err != nil {
		return err
	}
	saved := c.invoke("hello", "", 0)
	t := tally(answers)
	d.table("hello is called while noisy holds the pool\tstatus\tanswer",
		row("without a reservation\t%d\t%s", starved.status, starved.why),
		row("with reserved concurrency 5\t%d\t%s", saved.status, saved.start()))
	fmt.Fprintf(d.out, "  noisy: %d calls ran, at most %d at once; %d were throttled.\n", t.ran, t.peak, 1+t.throttled())
	if starved.status != 429 || saved.status != 200 || t.ran != pool || t.peak > pool {
		return fmt.Errorf("starved: %v; saved: %v; noisy ran %d of %d, %d at once", starved, saved, t.ran, pool, t.peak)
	}
	return nil
}
