//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A language is a runtime that benchmarks start.
type language struct {
	name    string
	lang    string   // its prefix on the host, shown as /var/lang
	command []string // in which DIR is the directory of testdata/bench or of the payload
	dir     string
	preboot bool
}

// languages returns those of this machine.
func languages(b *testing.B) []language {
	b.Helper()
	bench, err := filepath.Abs("testdata/bench")
	if err != nil {
		b.Fatal(err)
	}
	all := []language{
		{name: "least", command: []string{"DIR/payload", "next"}, dir: payload},
		{name: "go", command: []string{"DIR/function"}, dir: buildFunction(b)},
	}
	for _, l := range []struct{ name, flags, query string }{
		{"python3", "-S", "import sys; print(sys.base_prefix)"},
		{"node", "", "console.log(require('path').dirname(require('path').dirname(process.execPath)))"},
	} {
		flag := map[string]string{"python3": "-c", "node": "-e"}[l.name]
		out, err := exec.Command(l.name, flag, l.query).Output()
		if err != nil {
			b.Logf("no %s here: %v", l.name, err)
			continue
		}
		script := map[string]string{"python3": "DIR/next.py", "node": "DIR/next.js"}[l.name]
		all = append(all, language{
			name: l.name, lang: strings.TrimSpace(string(out)), dir: bench, preboot: true,
			command: append(strings.Fields("LANG/bin/"+l.name+" "+l.flags), script),
		})
	}
	return all
}

// buildFunction builds testdata/function as a function is deployed.
func buildFunction(b *testing.B) (dir string) {
	b.Helper()
	if payload == "" {
		b.Skip("no Go compiler here")
	}
	dir = scratch(b)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "function"), "./testdata/function")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func (l language) resolve(dir, lang string, args ...string) []string {
	var command []string
	for _, arg := range append(slices.Clone(l.command), args...) {
		command = append(command, strings.NewReplacer("DIR", dir, "LANG", lang).Replace(arg))
	}
	return command
}

func (l language) spec() Spec {
	spec := Spec{
		Name: l.name, Command: l.resolve(runtimeDir, langDir), Runtime: l.dir, Lang: l.lang, Code: l.dir,
		Env: []string{"LAMBDA_TASK_ROOT=" + taskDir, "PATH=/usr/bin:/bin"}, MemoryMB: 128, EphemeralMB: 512,
	}
	if l.preboot {
		spec.Preboot = &Preboot{
			Key: l.name, Command: l.resolve(runtimeDir, langDir, "preboot"), Env: []string{"PATH=/usr/bin:/bin"},
			Runtime: l.dir, Lang: l.lang,
		}
	}
	return spec
}

// bare starts the runtime as a plain process, waits for its request and ends it.
func (l language) bare(b *testing.B) time.Duration {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	command := l.resolve(l.dir, l.lang)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String(), "PATH=/usr/bin:/bin"}
	from := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	conn := firstRequest(b, listener)
	took := time.Since(from)
	cmd.Process.Kill()
	cmd.Wait()
	conn.Close()
	return took
}

// boxed does the same in a sandbox.
func (l language) boxed(b *testing.B, d Driver) time.Duration {
	from := time.Now()
	s, err := d.Start(b.Context(), l.spec())
	if err != nil {
		b.Fatal(err)
	}
	conn := firstRequest(b, s.Listener())
	took := time.Since(from)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	conn.Close()
	return took
}

func firstRequest(b *testing.B, l net.Listener) net.Conn {
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		b.Fatal(err)
	}
	return conn
}

func median(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)/2].Seconds() * 1000
}

// BenchmarkStart measures the time from Start to the first request, in turns: as a plain
// process, in a sandbox made for it, and in one from the pool.
func BenchmarkStart(b *testing.B) {
	cold := openDriver(b, Options{Mechanism: Namespace})
	for _, l := range languages(b) {
		b.Run(l.name, func(b *testing.B) {
			pool := Pool{ReadyMin: 1, ReadyMax: 1}
			if p := l.spec().Preboot; p != nil {
				pool = Pool{PrebootMin: 1, PrebootMax: 1, Preboot: []Preboot{*p}}
			}
			warm := pooled(b, pool)
			var bare, made, assigned []time.Duration
			for b.Loop() {
				bare = append(bare, l.bare(b))
				made = append(made, l.boxed(b, cold))
				awaitPools(b, warm)
				<-time.After(time.Duration(len(l.lang)/2+1) * 10 * time.Millisecond) // to boot
				assigned = append(assigned, l.boxed(b, warm))
			}
			b.ReportMetric(median(bare), "bare-ms")
			b.ReportMetric(median(made), "made-ms")
			b.ReportMetric(median(assigned), "pool-ms")
			b.ReportMetric(median(made)-median(bare), "made-bare-ms")
			b.ReportMetric(median(made)/median(bare), "made/bare")
			b.ReportMetric(median(assigned)/median(bare), "pool/bare")
		})
	}
}

// BenchmarkCreate measures how many starts and ends there are in a second, eight at a time, in
// turns with plain processes.
func BenchmarkCreate(b *testing.B) {
	d := openDriver(b, Options{Mechanism: Namespace})
	for _, l := range languages(b)[:2] {
		b.Run(l.name, func(b *testing.B) { benchmarkCreate(b, d, l) })
	}
}

func benchmarkCreate(b *testing.B, d Driver, l language) {
	const parallel, each = 8, 10
	var rates [2][]float64 // bare, boxed
	measure := func(i int, once func()) {
		from := time.Now()
		var wg sync.WaitGroup
		for range parallel {
			wg.Go(func() {
				for range each {
					once()
				}
			})
		}
		wg.Wait()
		rates[i] = append(rates[i], parallel*each/time.Since(from).Seconds())
	}
	var ratios []float64
	for b.Loop() {
		measure(0, func() { l.bare(b) })
		measure(1, func() { l.boxed(b, d) })
		n := len(rates[0]) - 1
		ratios = append(ratios, rates[1][n]/rates[0][n])
	}
	for name, of := range map[string][]float64{"bare/s": rates[0], "boxed/s": rates[1], "boxed/bare": ratios} {
		slices.Sort(of)
		b.ReportMetric(of[len(of)/2], name)
	}
}

// BenchmarkIdleMemory measures what an idle sandbox takes of the host's memory, less what the
// same processes take without one.
func BenchmarkIdleMemory(b *testing.B) {
	const many = 40
	d := openDriver(b, Options{Mechanism: Namespace})
	l := languages(b)[0]
	l.boxed(b, d) // what is made once
	var bare, boxed []float64
	for b.Loop() {
		bare = append(bare, taken(b, many, func() func() {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			command := l.resolve(l.dir, l.lang)
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			conn := firstRequest(b, listener)
			return func() { cmd.Process.Kill(); cmd.Wait(); conn.Close(); listener.Close() }
		}))
		boxed = append(boxed, taken(b, many, func() func() {
			s, err := d.Start(b.Context(), l.spec())
			if err != nil {
				b.Fatal(err)
			}
			conn := firstRequest(b, s.Listener())
			return func() { s.Close(); conn.Close() }
		}))
	}
	slices.Sort(bare)
	slices.Sort(boxed)
	b.ReportMetric(bare[len(bare)/2], "bare-KB")
	b.ReportMetric(boxed[len(boxed)/2], "boxed-KB")
	b.ReportMetric(boxed[len(boxed)/2]-bare[len(bare)/2], "boxed-bare-KB")
}

// taken returns by how many KB each of many things lowers the free memory.
func taken(b *testing.B, many int, open func() (close func())) float64 {
	settled := func() (kb float64) {
		<-time.After(500 * time.Millisecond)
		return freeMemory(b)
	}
	before := settled()
	var closers []func()
	for range many {
		closers = append(closers, open())
	}
	used := (before - settled()) / float64(many)
	for _, c := range closers {
		c()
	}
	return used
}

// freeMemory returns MemFree and what the page cache holds, in KB: the cache is not the
// sandboxes'.
func freeMemory(b *testing.B) (kb float64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var n float64
		fmt.Sscan(line, &name, &n)
		switch name {
		case "MemFree:", "Buffers:", "Cached:":
			kb += n
		case "Shmem:":
			kb -= n
		}
	}
	return kb
}
