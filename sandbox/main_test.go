package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// payload is the host's directory with the program of testdata/payload, or empty.
var payload string

func TestMain(m *testing.M) {
	Reexec()
	if payload = os.Getenv("SANDBOX_TEST_PAYLOAD"); payload != "" { // see TestWithoutRoot
		os.Exit(closeShared(m.Run()))
	}
	dir, err := os.MkdirTemp("", "payload-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", filepath.Join(dir, "payload"), "./testdata/payload")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "tests that need the payload are skipped: %v\n%s", err, out)
	} else {
		payload = dir
	}
	code := closeShared(m.Run())
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// closeShared closes the shared drivers and returns the exit code.
func closeShared(code int) int {
	for mechanism, d := range shared {
		if err := d.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "close the %s driver: %v\n", mechanism, err)
			code = 1
		}
	}
	return code
}
