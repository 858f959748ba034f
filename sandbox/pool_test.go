//go:build linux && (amd64 || arm64)

package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pooled opens a driver with full pools.
func pooled(t testing.TB, pool Pool) *namespaceDriver {
	t.Helper()
	d := openDriver(t, Options{Mechanism: Namespace, Pool: pool}).(*namespaceDriver)
	awaitPools(t, d)
	return d
}

// awaitPools waits until nothing is lacking.
func awaitPools(t testing.TB, d *namespaceDriver) {
	t.Helper()
	eventually(t, "the pools are full", func() bool { return d.pools.lacking() == nil })
}

func (p *pools) idle(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.all[key] == nil {
		return 0
	}
	return len(p.mu.all[key].idle)
}

// payloadPreboot is a Preboot that takes its deeds from the environment after its assignment.
func payloadPreboot(args ...string) Preboot {
	return Preboot{
		Key: "payload", Command: append([]string{"/var/runtime/payload", "say=booted", "preboot"}, args...),
		Env: []string{"EARLY=1"}, Runtime: payload,
	}
}

func TestReadyPool(t *testing.T) {
	d := pooled(t, Pool{ReadyMin: 2, ReadyMax: 2})
	b := start(t, d, deeds("env", "write=/tmp/x", "next"))
	if n := d.pools.idle(""); n != 1 {
		t.Errorf("%d left of 2", n)
	}
	b.line("write ok")
	b.next()
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.next()
	awaitPools(t, d)
	if n := d.pools.idle(""); n != 2 {
		t.Errorf("refilled to %d", n)
	}
	if d.user {
		return // its processes cannot be told from the tests by their user
	}
	names := func() (found []string) {
		for _, status := range processes(t, d) {
			if text, err := os.ReadFile(filepath.Join(filepath.Dir(status), "comm")); err == nil {
				found = append(found, strings.TrimSpace(string(text)))
			}
		}
		slices.Sort(found)
		return found
	}
	want := []string{"payload", "weir:idle", "weir:idle", "weir:test"}
	eventually(t, "processes have names", func() bool { return slices.Equal(names(), want) })
}

func TestReadyPoolGivesWhatTheSpecAsks(t *testing.T) {
	d := pooled(t, Pool{ReadyMin: 1, ReadyMax: 1})
	if d.volumes == nil {
		t.Skip("no volumes here")
	}
	spec := deeds()
	spec.EphemeralMB, spec.Opt = 1000, payload
	spec.Command = []string{"/bin/sh", "-c", "pwd; ls /opt; df -m --output=avail /tmp; echo x >/tmp/x; cat /tmp/x"}
	b := start(t, d, spec)
	if e := b.exit(); e != (Exit{}) {
		t.Errorf("exit %+v", e)
	}
	b.line("/var/task")
	b.line("payload")
	b.line(" 10")
	b.line("x")
	bad := deeds("exit=0")
	awaitPools(t, d)
	bad.Code = "/nonexistent"
	if s, err := d.Start(t.Context(), bad); err == nil {
		t.Error("a missing directory is shown")
		s.Close()
	}
	oom := deeds("alloc=300")
	oom.MemoryMB = 128
	awaitPools(t, d)
	if e := start(t, d, oom).exit(); d.groups.Has("memory") && !e.OutOfMem {
		t.Errorf("a sandbox of the pool has no memory limit: %+v", e)
	}
}

func TestPrebootedPool(t *testing.T) {
	preboot := payloadPreboot("env", "read=secret", "next")
	d := pooled(t, Pool{PrebootMin: 1, PrebootMax: 2, Preboot: []Preboot{preboot}})
	code := scratch(t)
	if err := os.MkdirAll(code, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(code, "secret"), []byte("of the function\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := Spec{
		Name: "test", Command: []string{"/var/runtime/payload", "say=not prebooted", "next"}, Code: code, Runtime: payload,
		Env:      []string{"LATE=2", "LAMBDA_TASK_ROOT=/var/task"},
		MemoryMB: 128, EphemeralMB: 512, Preboot: &preboot,
	}
	b := start(t, d, spec)
	b.line("booted")
	b.line("EARLY=1")
	b.line("LATE=2")
	b.line("AWS_LAMBDA_RUNTIME_API=169.254.100.1:9001")
	b.line("of the function")
	b.next()
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.line("not prebooted")
	b.next()
}

func TestPrebootedPoolIsNotForAll(t *testing.T) {
	preboot := payloadPreboot("next")
	d := pooled(t, Pool{PrebootMin: 1, PrebootMax: 1, Preboot: []Preboot{preboot}})
	for name, change := range map[string]func(*Spec){
		"another runtime":    func(s *Spec) { s.Runtime = "" },
		"another language":   func(s *Spec) { s.Lang = "/usr" },
		"another network":    func(s *Spec) { s.Egress = EgressHost },
		"too much to assign": func(s *Spec) { s.Env = []string{"A=" + strings.Repeat("a", maxAssignment)} },
		"another key":        func(s *Spec) { p := preboot; p.Key = "other"; s.Preboot = &p },
		"no preboot":         func(s *Spec) { s.Preboot = nil },
	} {
		spec := deeds("say=by itself", "next")
		spec.Runtime, spec.Preboot = payload, &preboot
		change(&spec)
		b := start(t, d, spec)
		b.line("by itself")
		if n := d.pools.idle("payload"); n != 1 {
			t.Errorf("%s: %d left of 1", name, n)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPoolFollowsDemand(t *testing.T) {
	d := pooled(t, Pool{ReadyMin: 0, ReadyMax: 3})
	p := d.pools
	if n := p.idle(""); n != 0 {
		t.Errorf("%d without demand", n)
	}
	for range 5 {
		start(t, d, deeds("exit=0")).exit()
	}
	awaitPools(t, d)
	if n := p.idle(""); n != 3 {
		t.Errorf("%d after a demand of 5", n)
	}
	p.shrink() // the demand is in the last window
	if n := p.idle(""); n != 3 {
		t.Errorf("%d in the next window", n)
	}
	p.shrink()
	if n := p.idle(""); n != 0 {
		t.Errorf("%d when nobody asks any more", n)
	}
}

func TestPoolSurvivesTheSpawner(t *testing.T) {
	d := pooled(t, Pool{ReadyMin: 1, ReadyMax: 1})
	if err := d.mu.link.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.mu.link.gone
	start(t, d, deeds("next")).next()
	d.pools.shrink() // finds the dead
	d.pools.changed()
	awaitPools(t, d)
	start(t, d, deeds("next")).next()
}
