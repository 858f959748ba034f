package sandbox

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestRootsReplaceOnlyBeginnings(t *testing.T) {
	r := newRoots(Spec{Code: "/h/code", Lang: "/usr", Runtime: "/h/rt"}, "/h/empty", "/h/1")
	for _, c := range [][2]string{
		{"/var/task", "/h/code"},
		{"/var/task/bootstrap", "/h/code/bootstrap"},
		{"/var/taskforce", "/var/taskforce"},
		{"/opt/nodejs:/var/runtime:/var/task/lib", "/h/empty/nodejs:/h/rt:/h/code/lib"},
		{"/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin", "/usr/bin:/usr/local/bin:/usr/bin/:/bin:/h/empty/bin"},
		{":UTC", ":UTC"},
		{"see /var/task", "see /var/task"},
		{"/tmp/cache", "/h/1/cache"},
		{"", ""},
	} {
		if got := r.apply(c[0]); got != c[1] {
			t.Errorf("apply(%q) = %q, want %q", c[0], got, c[1])
		}
	}
}

func TestProcessRecoversStrays(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, "7")
	if err := os.MkdirAll(filepath.Join(left, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, "notes")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stray := exec.Command("/bin/sh", "-c", "echo up; exec sleep 600")
	stray.Env = []string{"TMPDIR=" + left}
	out, err := stray.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	defer stray.Process.Kill()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	d, err := Open(Options{Mechanism: Process, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ended := make(chan error, 1)
	go func() { ended <- stray.Wait() }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a process of the previous run is alive")
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory of the previous run: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a foreign file was removed: %v", err)
	}
	if _, err := Open(Options{Mechanism: Process, Dir: dir}); err == nil {
		t.Error("two drivers share a directory")
	}
}

func TestProcessRuns(t *testing.T) {
	d, err := Open(Options{Mechanism: Process, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := d.Start(t.Context(), Spec{
		Command: []string{"/bin/sh", "-c", `echo "$X $AWS_LAMBDA_RUNTIME_API"; pwd; (sleep 600 &); exit 3`},
		Env:     []string{"X=/var/task/x"}, Code: "/usr", MemoryMB: 128, EphemeralMB: 512,
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case exit := <-s.Exited():
		if exit.Code != 3 || exit.Signal != "" || exit.Err != nil {
			t.Errorf("exit = %+v, want code 3", exit)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the command does not end")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(s.Output())
	if want := "/usr/x " + s.Listener().Addr().String() + "\n/usr\n"; err != nil || string(text) != want {
		t.Errorf("output = %q, %v, want %q", text, err, want)
	}
}
