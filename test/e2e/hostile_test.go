//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// A cell is where hostile functions run: a server with the strongest isolation, and a neighbour
// that must not notice.
type cell struct {
	*server
	*account
	secret string // the name of a file in the neighbour's code
}

// report is what a hostile function says of what it did.
type report struct {
	MB, Made, UID, GID, Seen, Size int
	Text, Error, Files             string
	Found, Heard, Beside           []string
	Groups, PIDs                   []int
	Could                          any
}

// TestHostile lets functions try what they must not achieve. Each is contained, its caller is
// told, and a neighbour in the same account lives on as before.
func TestHostile(t *testing.T) {
	python.on(t)
	s := start(t, "-idle-timeout", "2s")
	need(t, s.mechanism(t) == "namespace", "isolation is by %s: it contains nothing", s.mechanism(t))
	c := &cell{s, newAccount(s.url), "neighbours-secret"}
	code, err := os.ReadFile(filepath.Join("testdata", "functions", "hostile.py"))
	if err != nil {
		t.Fatal(err)
	}
	c.account.create(t, function{name: "neighbour", language: python, timeout: 60, memory: 1769,
		code: zipped(t, map[string][]byte{"app.py": code, c.secret: []byte("secret\n")})})
	for _, f := range []struct {
		name string
		test func(*testing.T, *cell, string)
		function
	}{
		{"memory", testMemory, function{memory: 128}},
		{"processes", testProcesses, function{memory: 2048}},
		{"disk", testDisk, function{memory: 1769}},
		{"files", testFiles, function{memory: 1769}},
		{"network", testNetwork, function{}},
		{"processor", testProcessor, function{timeout: 2}},
		{"signals", testSignals, function{}},
		{"identity", testIdentity, function{}},
	} {
		t.Run(f.name, func(t *testing.T) {
			f.function.name, f.language, f.code = f.name, python, zipped(t, map[string][]byte{"app.py": code})
			if f.timeout == 0 {
				f.timeout = 60
			}
			c.account.create(t, f.function)
			calm := c.watch(t)
			f.test(t, c, f.name)
			calm()
		})
	}
}

// watch invokes the neighbour again and again until the function it returns is called, which
// checks that all was well.
func (c *cell) watch(t *testing.T) func() {
	var before report
	c.do(t, "neighbour", map[string]any{"do": "write", "path": "/tmp/mine", "size": 1000}, &before)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			began := time.Now()
			var r report
			if _, err := c.call(t.Context(), "neighbour", map[string]any{"do": "hello"}, &r); err != nil {
				done <- err
				return
			}
			if took := time.Since(began); took > 5*time.Second {
				done <- fmt.Errorf("the neighbour took %v", took)
				return
			}
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() {
		t.Helper()
		close(stop)
		if err := <-done; err != nil {
			t.Errorf("the neighbour: %v", err)
		}
		var after report
		c.do(t, "neighbour", map[string]any{"do": "write", "path": "/tmp/mine2", "size": 1 << 20}, &after)
		if after.Size != 1<<20 || slices.ContainsFunc(after.Beside, func(name string) bool { return name != "mine" && name != "mine2" }) {
			t.Errorf("the neighbour's /tmp afterwards: %+v", after)
		}
		if _, err := c.health(); err != nil {
			t.Errorf("the server: %v", err)
		}
	}
}

func testMemory(t *testing.T, c *cell, name string) {
	out := c.do(t, name, map[string]any{"do": "allocate", "mb": 1024}, nil)
	id, tail := requestID(out)
	want := `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: ` + id + ` Error: Runtime exited with error: signal: killed"}`
	if aws.ToString(out.FunctionError) != "Unhandled" || string(out.Payload) != want {
		t.Errorf("got  %s\nwant %s", out.Payload, want)
	}
	if !strings.Contains(tail, "Status: error\tError Type: Runtime.OutOfMemory") {
		t.Errorf("the log does not report that memory ran out:\n%s", tail)
	}
	var r report
	c.do(t, name, map[string]any{"do": "allocate", "mb": 16}, &r)
	if r.MB != 16 {
		t.Errorf("afterwards it got %d MB of 16", r.MB)
	}
}

func testProcesses(t *testing.T, c *cell, name string) {
	var r report
	c.do(t, name, map[string]any{"do": "fork", "n": 1500}, &r)
	if r.Made < 500 || r.Made > 1024 || r.Error != "EAGAIN" {
		t.Errorf("of 1500 children it had %d, then %q; want at most 1024 processes, then EAGAIN", r.Made, r.Error)
	}
	if _, err := c.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, func() error {
		all, err := children(c.cmd.Process.Pid)
		if err == nil && len(all) > 100 {
			err = fmt.Errorf("the server has %d processes after the function is gone", len(all))
		}
		return err
	})
}

func testDisk(t *testing.T, c *cell, name string) {
	for range 2 { // what it deletes it gets back
		var r report
		c.do(t, name, map[string]any{"do": "fill", "path": "/tmp/full"}, &r)
		if r.MB < 400 || r.MB > 512+8 || r.Error != "ENOSPC" && r.Error != "EDQUOT" {
			t.Errorf("it wrote %d MB to its /tmp, then %q; want 512 MB, or little more", r.MB, r.Error)
		}
	}
	var r report
	c.do(t, name, map[string]any{"do": "change", "paths": []string{"/var/task/app.py", "/opt/x", "/etc/passwd", "/etc/x", "/usr/bin/env", "/x", "/var/runtime/x", "/var/lang/x", "/dev/shm/x"}}, &r)
	if fmt.Sprint(r.Could) != "[]" {
		t.Errorf("it could write to %v", r.Could)
	}
}

func testFiles(t *testing.T, c *cell, name string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var r report
	c.do(t, name, map[string]any{"do": "read", "paths": []string{
		"/etc/shadow", c.data, c.server.log, binary("weir"), self, "/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/kcore", "/dev/mem", "/root/.bashrc",
	}}, &r)
	if fmt.Sprint(r.Could) != "map[]" {
		t.Errorf("it could read %.1000v", r.Could)
	}
	var s report
	c.do(t, name, map[string]any{"do": "search", "name": c.secret}, &s)
	if len(s.Found) > 0 || s.Seen < 100 {
		t.Errorf("among %d files it found %v", s.Seen, s.Found)
	}
	// The neighbour does find it: the search can fail.
	c.do(t, "neighbour", map[string]any{"do": "search", "name": c.secret}, &s)
	if !slices.Contains(s.Found, "/var/task/"+c.secret) {
		t.Errorf("its owner found %v", s.Found)
	}
}

func testNetwork(t *testing.T, c *cell, name string) {
	const port = 18080
	c.do(t, name, map[string]any{"do": "listen", "port": port}, &report{})
	lingering := make(chan report, 1)
	go func() {
		var r report
		if _, err := c.call(t.Context(), name, map[string]any{"do": "linger", "ms": 2000}, &r); err != nil {
			t.Error(err)
		}
		lingering <- r
	}()
	own := []string{"127.0.0.1", "169.254.100.1"}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil {
			own = append(own, ip.String())
		}
	}
	var targets []string
	for _, ip := range own {
		address := net.JoinHostPort(ip, fmt.Sprint(port))
		targets = append(targets, address)
		if greets(address) {
			t.Errorf("from outside %s can be reached", address)
		}
	}
	var r report
	c.do(t, "neighbour", map[string]any{"do": "connect", "addresses": targets}, &r)
	if fmt.Sprint(r.Could) != "[]" {
		t.Errorf("a neighbour reached %v", r.Could)
	}
	if heard := (<-lingering).Heard; len(heard) > 0 {
		t.Errorf("it heard %v", heard)
	}
	// From inside it can be reached, and nothing of the host: not even the server's own port.
	var inside report
	host := strings.TrimPrefix(c.url, "http://")
	targets = append(targets, host)
	c.do(t, name, map[string]any{"do": "connect", "addresses": targets}, &inside)
	if !strings.Contains(fmt.Sprint(inside.Could), fmt.Sprintf("127.0.0.1:%d", port)) || strings.Contains(fmt.Sprint(inside.Could), host) {
		t.Errorf("of %v it reached %v", targets, inside.Could)
	}
}

// greets reports whether the hostile server answers at an address. That somebody takes the
// connection is not enough: a gateway may do that for any address.
func greets(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	text, err := io.ReadAll(conn)
	return err == nil && string(text) == "caught"
}

func testProcessor(t *testing.T, c *cell, name string) {
	out := c.do(t, name, map[string]any{"do": "spin"}, nil)
	if !strings.Contains(string(out.Payload), `"errorType":"Sandbox.Timedout"`) || !strings.Contains(string(out.Payload), "Task timed out after 2.00 seconds") {
		t.Errorf("it answered %s", out.Payload)
	}
	var r report
	c.do(t, name, map[string]any{"do": "hello"}, &r)
	if r.Text != "hello" {
		t.Errorf("afterwards it answered %+v", r)
	}
}

func testSignals(t *testing.T, c *cell, name string) {
	var r report
	c.do(t, name, map[string]any{"do": "slay"}, &r)
	if r.Text != "alone" {
		t.Errorf("it answered %+v", r)
	}
	c.do(t, name, map[string]any{"do": "deaf"}, &r)
	c.do(t, name, map[string]any{"do": "fork", "n": 3}, &r)
	before, err := children(c.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	// It is idle now, and after its idle timeout it is gone, whether it listens or not.
	eventually(t, patience, func() error {
		after, err := children(c.cmd.Process.Pid)
		if err == nil && len(after) > len(before)-4 {
			err = fmt.Errorf("the server has %d processes, and had %d with the function", len(after), len(before))
		}
		return err
	})
}

func testIdentity(t *testing.T, c *cell, name string) {
	var r report
	c.do(t, name, map[string]any{"do": "who"}, &r)
	if r.UID == 0 || r.GID == 0 || slices.Contains(r.Groups, 0) {
		t.Errorf("it runs as user %d, group %d, groups %v", r.UID, r.GID, r.Groups)
	}
	if len(r.PIDs) > 5 || slices.Contains(r.PIDs, c.cmd.Process.Pid) {
		t.Errorf("it sees the processes %v", r.PIDs)
	}
	for _, limit := range []string{"Max open files            1024", "Max processes             1024", "Max core file size        0"} {
		if !strings.Contains(r.Files, limit) {
			t.Errorf("its limits lack %q:\n%s", limit, r.Files)
		}
	}
}
