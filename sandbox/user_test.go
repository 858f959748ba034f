//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// nobody is the user of the tests without root.
const nobody = 65534

// TestWithoutRoot runs the other tests of the namespace driver as a user without privileges.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run without root already")
	}
	namespaces(t) // or skip
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(payload, "tests")
	if err := os.WriteFile(self, program, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(self)
	cmd := exec.Command(self, "-test.v", "-test.skip=.*/process$")
	cmd.Env = []string{"SANDBOX_TEST_PAYLOAD=" + payload, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.Dir = payload
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("--- SKIP")) || bytes.Contains(line, []byte("--- FAIL")) || bytes.Contains(line, []byte("_test.go:")) {
			t.Logf("%s", bytes.TrimRight(line, "\n"))
		}
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
