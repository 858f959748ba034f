package store_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/weir-run/weir/store"
)

// childDir names the data directory in the environment of a child that TestKill starts.
const childDir = "WEIR_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		fmt.Fprintln(os.Stderr, child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child writes to a store until it is killed, and prints what was acknowledged.
func child(dir string) error {
	s, err := store.Open(store.Options{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for w := range 16 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d.%d.%d", s.Slot().Epoch(), w, i)
				if _, err := commitThree(s, id, 1+i%100); err != nil {
					failed <- err
					return
				}
				fmt.Fprintf(os.Stdout, "batch %s\n", id) // one write, so one line
				if i%16 != w {
					continue
				}
				d, err := deploy(s, id)
				if err != nil {
					failed <- err
					return
				}
				fmt.Fprintf(os.Stdout, "function %s %s\n", id, d.Base64())
			}
		}()
	}
	return <-failed
}

// TestKill kills a process under load, again and again on one data directory, and finds
// all that it had acknowledged.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := new(account)
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 5 {
		n := killChild(t, dir, 1+r.IntN(3000), acked)
		acked.verify(t, store.Options{Dir: dir})
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
		t.Logf("round %d: %d acknowledgements", round, n)
	}
}

// killChild starts a child, kills it after a number of acknowledgements and enters all it
// printed into the account.
func killChild(t *testing.T, dir string, after int, acked *account) (lines int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = cmd.Process.Kill() })
	defer func() {
		kill()
		_ = cmd.Wait() // it was killed
	}()
	for in := bufio.NewScanner(out); in.Scan(); {
		switch f := strings.Fields(in.Text()); {
		case len(f) == 2 && f[0] == "batch":
			acked.ackBatch(f[1])
		case len(f) == 3 && f[0] == "function":
			d, err := store.ParseDigest(f[2])
			if err != nil {
				t.Fatal(err)
			}
			acked.ackFunction(f[1], d)
		default:
			t.Fatalf("the child printed %q", in.Text())
		}
		if lines++; lines == after {
			kill() // and read on: what it printed before it died counts
		}
	}
	if lines < after {
		t.Fatalf("the child ended by itself after %d lines: %s", lines, stderr.String())
	}
	return lines
}
