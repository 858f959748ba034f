package environment

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/weir-run/weir/lambda"
	"github.com/weir-run/weir/sandbox"
)

// A prebootDriver starts every sandbox from a process that is already running, as a pool does.
type prebootDriver struct {
	early   bool // the address of the Runtime API is known ahead of time
	started chan []string
}

func (d *prebootDriver) Report() sandbox.Report { return sandbox.Report{} }
func (d *prebootDriver) Close() error           { return nil }

// A prebootSandbox is one process that can be started once.
type prebootSandbox struct {
	lis    net.Listener
	outR   *os.File
	outW   *os.File
	exited chan sandbox.Exit
	cmd    *exec.Cmd
	done   chan struct{}
}

func (d *prebootDriver) Start(_ context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	lis, err := loopback()
	if err != nil {
		return nil, err
	}
	s := &prebootSandbox{lis: lis, exited: make(chan sandbox.Exit, 1), done: make(chan struct{})}
	if s.outR, s.outW, err = os.Pipe(); err != nil {
		return nil, err
	}
	roots := strings.NewReplacer("/var/task", spec.Code, "/var/runtime", spec.Runtime, "/var/lang", spec.Lang)
	api := "AWS_LAMBDA_RUNTIME_API=" + lis.Addr().String()
	command := make([]string, len(spec.Preboot.Command))
	for i, arg := range spec.Preboot.Command {
		command[i] = roots.Replace(arg)
	}
	assignment, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.cmd = exec.Command(command[0], command[1:]...)
	for _, kv := range spec.Preboot.Env {
		s.cmd.Env = append(s.cmd.Env, roots.Replace(kv))
	}
	if d.early {
		s.cmd.Env = append(s.cmd.Env, api)
	}
	s.cmd.Dir = "/"
	s.cmd.Stdout, s.cmd.Stderr = s.outW, s.outW
	s.cmd.ExtraFiles = []*os.File{assignment}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	assignment.Close()
	go func() {
		defer close(s.done)
		s.cmd.Wait()
		s.exited <- sandbox.Exit{Code: s.cmd.ProcessState.ExitCode()}
	}()
	d.started <- command
	for _, kv := range append(spec.Env, api) {
		if _, err := io.WriteString(w, roots.Replace(kv)+"\x00"); err != nil {
			return nil, err
		}
	}
	return s, w.Close()
}

func (s *prebootSandbox) Listener() net.Listener        { return s.lis }
func (s *prebootSandbox) Endpoint() net.Listener        { return nil }
func (s *prebootSandbox) Daemon() *net.UDPConn          { return nil }
func (s *prebootSandbox) Output() io.Reader             { return s.outR }
func (s *prebootSandbox) Exited() <-chan sandbox.Exit   { return s.exited }
func (s *prebootSandbox) Settle() error                 { return nil }
func (s *prebootSandbox) Freeze() error                 { return nil }
func (s *prebootSandbox) Thaw() error                   { return nil }
func (s *prebootSandbox) Restart(context.Context) error { return sandbox.ErrClosed }
func (s *prebootSandbox) Terminate() error              { return nil }
func (s *prebootSandbox) Usage() (sandbox.Usage, error) { return sandbox.Usage{}, nil }

func (s *prebootSandbox) Close() error {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
	s.outW.Close()
	s.outR.Close()
	return s.lis.Close()
}

// A runtime that was started before its function was known behaves as one that was not.
func TestPrebootedRuntimes(t *testing.T) {
	files := map[string]string{
		"app.py": `import logging, os, sys, helper
logging.warning("loaded")
def handler(event, context):
    return [helper.NAME, os.environ["MINE"], os.environ.get("SHLVL"), context.function_name, os.getcwd() == os.environ["LAMBDA_TASK_ROOT"], os.environ["TZ"]]
`,
		"helper.py":                          "NAME = 'helper'\n",
		"extra/node_modules/helper/index.js": "module.exports = 'helper'",
		"app.js": `const helper = require('helper'); console.log('loaded');
exports.handler = async (event, context) => [helper, process.env.MINE, process.env.SHLVL, context.functionName, process.cwd() === process.env.LAMBDA_TASK_ROOT, process.env.TZ];
`,
	}
	for _, id := range []string{"python3.11", "nodejs20.x"} {
		for _, early := range []bool{false, true} {
			d := &prebootDriver{early: early, started: make(chan []string, 1)}
			h := hostOn(t, sandbox.Process).with(func(o *Options) { o.Sandboxes = d })
			needRuntime(t, h, id)
			env := map[string]string{"MINE": "yes", "TZ": "Europe/Berlin"}
			if id == "nodejs20.x" {
				env["NODE_PATH"] = "/var/task/extra/node_modules"
			}
			e := startFunction(t, h, lambda.Version{Runtime: id, Handler: "app.handler", Environment: env}, files)
			if i := e.waitReady(); i.Err != nil {
				t.Fatalf("%s: %+v\n%s", id, i, e.logs.text())
			}
			for range 2 {
				o, _ := e.call(`{}`)
				got := strings.ReplaceAll(string(o.Payload), ", ", ",")
				if got != `["helper","yes","0","fn",true,"Europe/Berlin"]` {
					t.Errorf("%s: %s", id, got)
				}
			}
			lines := bufio.NewScanner(strings.NewReader(e.logs.text()))
			var loaded int
			for lines.Scan() {
				if strings.HasSuffix(lines.Text(), "\tloaded") {
					loaded++
				}
			}
			if loaded != 1 {
				t.Errorf("%s: log\n%s", id, e.logs.text())
			}
			e.Close()
		}
	}
}
