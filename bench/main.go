// Command bench measures weir against baselines that run beside it, in turns, and writes the
// table of BENCHMARKS.md.
//
// One file holds one measure. A figure is the median of rounds that alternate with their
// baseline, so what else the machine does falls on both; what misses its target is shown as
// missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weir-run/weir/sandbox"
)

const about = `Usage: go run ./bench [flags]

Measures weir and writes a table of what it is, what its baseline is in the same run, and
whether the target is met. Run it from the root of the repository on a machine that does
nothing else; namespace sandboxes need root. Go, python3 and node must be on PATH.

`

// A measure produces rows of the table.
type measure struct {
	id   string
	what string
	note string // how it is measured, for the reader of the table
	run  func(*bench) ([]row, error)
}

var measures = []measure{admissionMeasure, latencyMeasure, throughputMeasure, coldMeasure, createMeasure, enqueueMeasure, handoverMeasure, memoryMeasure, queuesMeasure, meteringMeasure}

// A bench is one run of the program.
type bench struct {
	dir   string // for everything that is removed at the end
	short bool
	weir  string // the program that is measured, once it is built
}

// rounds is how often a measure alternates with its baseline: n, or less in a short run.
func (b *bench) rounds(n int) int {
	if b.short {
		return max(1, n/4)
	}
	return n
}

// span is how long a round lasts: d, or less in a short run.
func (b *bench) span(d time.Duration) time.Duration {
	if b.short {
		return d / 3
	}
	return d
}

func main() {
	sandbox.Reexec()
	if role := os.Getenv(roleVariable); role != "" {
		fmt.Fprintln(os.Stderr, playRole(role))
		os.Exit(1)
	}
	err := run(os.Args[1:])
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), about)
		f.PrintDefaults()
		fmt.Fprintln(f.Output(), "\nMeasures:")
		for _, m := range measures {
			fmt.Fprintf(f.Output(), "  %-4s %s\n", m.id, m.what)
		}
	}
	which := f.String("run", "", "measures to run, as in `P2,P3`; default: all")
	short := f.Bool("short", false, "fewer and shorter rounds: a check that the program works, not a measurement")
	out := f.String("o", "BENCHMARKS.md", "`file` to write; - is standard output")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("what is %q?", f.Arg(0))
	}
	chosen, err := choose(*which)
	if err != nil {
		return err
	}
	text, err := measureAll(chosen, *short, args)
	if err != nil {
		return err
	}
	if *out == "-" {
		fmt.Print(text)
		return nil
	}
	return os.WriteFile(*out, []byte(text), 0o644)
}

// choose returns the measures named in a list.
func choose(list string) ([]measure, error) {
	if list == "" {
		return measures, nil
	}
	var chosen []measure
	for _, id := range strings.Split(list, ",") {
		i := slices.IndexFunc(measures, func(m measure) bool { return strings.EqualFold(m.id, strings.TrimSpace(id)) })
		if i < 0 {
			return nil, fmt.Errorf("there is no measure %q; -h lists them", id)
		}
		chosen = append(chosen, measures[i])
	}
	return chosen, nil
}

// measureAll runs measures and returns the text of the report.
func measureAll(chosen []measure, short bool, args []string) (string, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	// A server that this program starts ends with it: an interrupt ends the measures first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Sandboxes look into directories of this one as users of their own.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	b := &bench{dir: dir, short: short}
	fmt.Fprintln(os.Stderr, "building weir")
	if b.weir, err = b.build("weir", "./cmd/weir"); err != nil {
		return "", err
	}
	var rows []row
	began := time.Now()
	for _, m := range chosen {
		fmt.Fprintf(os.Stderr, "%s %s\n", m.id, m.what)
		from := time.Now()
		more, err := m.run(b)
		if err != nil {
			return "", fmt.Errorf("measure %s: %w", m.id, err)
		}
		for i := range more {
			more[i].id = m.id
			fmt.Fprintln(os.Stderr, "  "+more[i].String())
		}
		rows = append(rows, more...)
		fmt.Fprintf(os.Stderr, "  %.0f s\n", time.Since(from).Seconds())
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("interrupted after %s: %w", m.id, err)
		}
	}
	return report(rows, chosen, args, time.Since(began)), nil
}

// build compiles a program of this repository, statically, as it is deployed.
func (b *bench) build(name, pkg string) (string, error) {
	path := filepath.Join(b.dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// quiet is the log of what runs inside this program.
var quiet = slog.New(slog.DiscardHandler)
