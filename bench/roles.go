package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"
)

// roleVariable makes this program a baseline's process: "echo", "proxy URL" or "relay
// ADDRESS". It prints its address and runs until its standard input ends.
const roleVariable = "WEIR_BENCH_ROLE"

func playRole(role string) error {
	name, target, _ := strings.Cut(role, " ")
	var h http.Handler
	switch name {
	case "echo":
		h = http.HandlerFunc(echo)
	case "proxy":
		u, err := url.Parse(target)
		if err != nil {
			return err
		}
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256} // one for each client
		h = proxy
	case "relay":
	default:
		return fmt.Errorf("no such role: %s", role)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent does
		os.Exit(0)
	}()
	if h == nil {
		return relay(l, target)
	}
	return http.Serve(l, h)
}

// relay copies what arrives on connections to others to a target, and back.
func relay(l net.Listener, target string) error {
	for {
		near, err := l.Accept()
		if err != nil {
			return err
		}
		far, err := net.Dial("tcp", target)
		if err != nil {
			return err
		}
		pipe := func(to, from net.Conn) {
			_, _ = io.Copy(to, from) // an error ends both, as the end of one does
			to.Close()
			from.Close()
		}
		go pipe(far, near)
		go pipe(near, far)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // an error means that the client is gone
}

// A process is one that a baseline or a server runs in.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	addr  string
}

// startRole starts this program in a role.
func startRole(role string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	return startEcho(cmd)
}

// startEcho starts a command that prints its address, and reads it.
func startEcho(cmd *exec.Cmd) (*process, error) {
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("read the address of %s: %w", cmd.Path, err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

func (p *process) stop() {
	p.stdin.Close()
	_ = p.cmd.Process.Kill() // an error means that it has ended already
	_ = p.cmd.Wait()         // reports the signal
}

// clockTick is the unit of times in /proc/PID/stat.
const clockTick = time.Second / 100

// cpuTime returns the user and system time that a process has used.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name
	fields := strings.Fields(rest)
	var user, system int64
	if len(fields) < 13 {
		return 0, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	if _, err := fmt.Sscan(fields[11], &user); err != nil {
		return 0, err
	}
	if _, err := fmt.Sscan(fields[12], &system); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}
