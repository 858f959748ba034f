package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A row is one figure beside its baseline and its target.
type row struct {
	id       string // filled in by the program
	metric   string
	measured string
	baseline string
	ratio    string
	target   string // empty: for information
	met      bool
}

func (r row) verdict() string {
	switch {
	case r.target == "":
		return "–"
	case r.met:
		return "yes"
	}
	return "**no**"
}

func (r row) String() string {
	if r.target == "" {
		return fmt.Sprintf("%s: %s, baseline %s, ratio %s", r.metric, r.measured, r.baseline, r.ratio)
	}
	return fmt.Sprintf("%s: %s, baseline %s, ratio %s, target %s: %s", r.metric, r.measured, r.baseline, r.ratio, r.target, r.verdict())
}

// report returns the content of BENCHMARKS.md.
func report(rows []row, measures []measure, args []string, took time.Duration) string {
	var t strings.Builder
	fmt.Fprintf(&t, "# Benchmarks\n\nWritten by `%s`; do not edit.\n\n", strings.TrimSpace("go run ./bench "+strings.Join(args, " ")))
	fmt.Fprintf(&t, "Machine: %s, %d CPUs, Linux %s, %s. %s, in %.0f s; load average at the end %s.\n\n",
		cpuModel(), runtime.NumCPU(), command("uname", "-r"), runtime.Version(), time.Now().UTC().Format("2006-01-02"), took.Seconds(), loadAverage())
	t.WriteString("Client, server and functions share these CPUs. A figure is the median of rounds that alternate with those of its\n" +
		"baseline; trust the ratios, not the absolute figures of a shared machine.\n\n")
	t.WriteString("| id | metric | measured | baseline of the same run | ratio | target | met? |\n|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s |\n", r.id, r.metric, r.measured, r.baseline, r.ratio, r.target, r.verdict())
	}
	t.WriteString("\n## How each is measured\n\n")
	for _, m := range measures {
		fmt.Fprintf(&t, "- **%s, %s.** %s\n", m.id, m.what, m.note)
	}
	return t.String()
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// command returns the first line that a command prints, or "unknown".
func command(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	line, _, _ := bufio.NewReader(strings.NewReader(string(out))).ReadLine()
	return string(line)
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// median returns the middle of figures.
func median[T float64 | time.Duration](all []T) T { return quantile(all, 0.5) }

// quantile returns the figure below which a share of all lies; it sorts a copy.
func quantile[T float64 | time.Duration](all []T, share float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func micros(d time.Duration) string { return fmt.Sprintf("%.0f µs", float64(d)/1e3) }
func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/1e6) }
func times(ratio float64) string    { return fmt.Sprintf("%.2f", ratio) }
