package environment

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-run/weir/lambda"
)

func TestResolve(t *testing.T) {
	h := &Host{interpreters: []interpreter{
		{language: "python", version: "3.9.18", number: 9, patch: 18, prefix: "/py39", relative: "bin/python3.9", bootstrap: "bootstrap.py"},
		{language: "python", version: "3.11.7", number: 11, patch: 7, prefix: "/py311", relative: "bin/python3.11", bootstrap: "bootstrap.cpython-311.pyc"},
		{language: "nodejs", version: "20.20.2", number: 20, patch: 20, prefix: "/usr", relative: "bin/node", bootstrap: "index.mjs"},
	}}
	tests := []struct {
		id, version, initVersion, command string
		exact                             bool
	}{
		{"python3.11", "3.11.7", "python:3.11.v7", "/var/lang/bin/python3.11 -u -B -S -s /var/runtime/bootstrap.cpython-311.pyc", true},
		{"python3.9", "3.9.18", "python:3.9.v18", "/var/lang/bin/python3.9 -u -B -S -s /var/runtime/bootstrap.py", true},
		{"python3.10", "3.11.7", "python:3.11.v7", "/var/lang/bin/python3.11 -u -B -S -s /var/runtime/bootstrap.cpython-311.pyc", false},
		{"python3.13", "3.11.7", "python:3.11.v7", "/var/lang/bin/python3.11 -u -B -S -s /var/runtime/bootstrap.cpython-311.pyc", false},
		{"python3.8", "3.9.18", "python:3.9.v18", "/var/lang/bin/python3.9 -u -B -S -s /var/runtime/bootstrap.py", false},
		{"nodejs20.x", "20.20.2", "nodejs:20.v20", "/var/lang/bin/node /var/runtime/index.mjs", true},
		{"nodejs24.x", "20.20.2", "nodejs:20.v20", "/var/lang/bin/node /var/runtime/index.mjs", false},
		{"provided.al2023", "", "provided:al2023.v1", "/var/task/bootstrap", true},
		{"provided.al2", "", "provided:al2.v1", "/var/task/bootstrap", true},
	}
	for _, tt := range tests {
		r, err := h.Resolve(tt.id)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		if r.Version != tt.version || r.initVersion() != tt.initVersion || strings.Join(r.command(), " ") != tt.command || r.Exact != tt.exact || (r.Note == "") != tt.exact {
			t.Errorf("%s: %+v %s %s", tt.id, r, r.initVersion(), r.command())
		}
	}
	for _, id := range []string{"", "java21", "ruby3.3", "dotnet8", "go1.x", "python2.7", "python3.", "python3.x", "python3.1111", "nodejs", "nodejs20", "nodejs.x", "nodejs20.y", "provided"} {
		var refusal *lambda.Error
		if _, err := h.Resolve(id); !errors.As(err, &refusal) || refusal.Code != lambda.CodeInvalidParameterValue || !strings.Contains(refusal.Message, "weir does not run the runtime "+id+".") {
			t.Errorf("%s: %v", id, err)
		}
	}
	h.interpreters = h.interpreters[:2]
	if _, err := h.Resolve("nodejs20.x"); err == nil || !strings.Contains(err.Error(), "This machine has no interpreter for the runtime nodejs20.x.") {
		t.Error(err)
	}
}

// Interpreters are found by asking them, whatever they are called and linked to.
func TestFindInterpreters(t *testing.T) {
	fake := func(dir, name, version string) string {
		root := filepath.Join(dir, "root-"+version)
		program := filepath.Join(root, "bin", name)
		if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\nprintf '%s\\n' " + version + " " + root + " " + program + " some.file\n"
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		return program
	}
	dir, bin, home := t.TempDir(), t.TempDir(), t.TempDir()
	for name, program := range map[string]string{
		"python3":    fake(dir, "python3.11", "3.11.4"),
		"python3.12": fake(dir, "python3.12", "3.12.1"),
		"node":       fake(dir, "node", "22.3.1"),
		"nodejs":     filepath.Join(dir, "root-22.3.1/bin/node"),
	} {
		if err := os.Symlink(program, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	fake(home, "python3.6", "3.6.1") // too old
	managed := filepath.Join(home, ".pyenv/versions/3.13.0/bin")
	if err := os.MkdirAll(managed, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(fake(dir, "python3.13", "3.13.0"), filepath.Join(managed, "python3.13")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "python3.14"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":relative:"+filepath.Join(home, "root-3.6.1/bin")+":/nowhere")
	t.Setenv("HOME", home)
	t.Setenv("PYENV_ROOT", "")
	t.Setenv("NVM_DIR", "")
	var got []string
	for _, in := range findInterpreters(t.TempDir(), testLogger) {
		if in.prefix != filepath.Join(dir, "root-"+in.version) || in.bootstrap != "some.file" {
			t.Errorf("%+v", in)
		}
		got = append(got, in.language+" "+in.version+" "+in.relative)
	}
	slices.Sort(got)
	want := []string{"nodejs 22.3.1 bin/node", "python 3.11.4 bin/python3.11", "python 3.12.1 bin/python3.12", "python 3.13.0 bin/python3.13"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// The bootstraps are unpacked once per content, readable for everyone.
func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	first, err := unpack(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := unpack(dir); err != nil || again != first {
		t.Errorf("%s %v", again, err)
	}
	for _, name := range []string{"bootstrap.py", "index.mjs", "log.cjs", "client.cjs", "stream.cjs"} {
		if info, err := os.Stat(filepath.Join(first, name)); err != nil || info.Mode().Perm()&0o044 != 0o044 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if info, err := os.Stat(first); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

// The variables of a function, as recorded on AWS for python3.13.
func TestVariables(t *testing.T) {
	h := &Host{opt: Options{
		EndpointURL: "http://127.0.0.1:4566",
		Credentials: func(s lambda.Scope) (string, string, string) { return "AKID" + s.Account, "secret", "token" },
		Tracing:     func(lambda.Scope) (string, error) { return "169.254.100.1:2000", nil },
	}}
	python := `AWS_ACCESS_KEY_ID=AKID123456789012
AWS_DEFAULT_REGION=us-east-1
AWS_ENDPOINT_URL=http://127.0.0.1:4566
AWS_EXECUTION_ENV=AWS_Lambda_python3.13
AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256
AWS_LAMBDA_FUNCTION_NAME=fn
AWS_LAMBDA_FUNCTION_VERSION=$LATEST
AWS_LAMBDA_INITIALIZATION_TYPE=on-demand
AWS_LAMBDA_LOG_GROUP_NAME=group
AWS_LAMBDA_LOG_STREAM_NAME=stream
AWS_REGION=us-east-1
AWS_SECRET_ACCESS_KEY=secret
AWS_SESSION_TOKEN=token
AWS_XRAY_CONTEXT_MISSING=LOG_ERROR
AWS_XRAY_DAEMON_ADDRESS=169.254.100.1:2000
LAMBDA_RUNTIME_DIR=/var/runtime
LAMBDA_TASK_ROOT=/var/task
LANG=en_US.UTF-8
LC_CTYPE=C.UTF-8
LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib
MINE=yes
PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin
PWD=/var/task
PYTHONPATH=/my/python
SHLVL=0
TZ=:UTC
_AWS_XRAY_DAEMON_ADDRESS=169.254.100.1
_AWS_XRAY_DAEMON_PORT=2000
_HANDLER=app.handler`
	node := strings.NewReplacer("PYTHONPATH=/my/python\n", "", "LC_CTYPE=C.UTF-8\n", "", "python3.13", "nodejs22.x", "MINE=yes\n",
		"MINE=yes\nNODE_PATH=/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task\n").Replace(python)
	provided := strings.NewReplacer("PYTHONPATH=/my/python\n", "", "LC_CTYPE=C.UTF-8\n", "", "AWS_EXECUTION_ENV=AWS_Lambda_python3.13\n", "",
		"PWD=/var/task\n", "", "SHLVL=0\n", "").Replace(python)
	for id, want := range map[string]string{"python3.13": python, "nodejs22.x": node, "provided.al2023": provided} {
		r, _ := parseRuntime(id)
		env := map[string]string{"MINE": "yes", "AWS_REGION": "elsewhere", "_HANDLER": "other"}
		if r.Language == "python" {
			env["PYTHONPATH"] = "/my/python"
		}
		spec := Spec{Scope: testScope, Version: &lambda.Version{Function: "fn", Number: "$LATEST", Handler: "app.handler", MemoryMB: 256, Environment: env}}
		if got := strings.Join(h.variables(spec, r, "group", "stream"), "\n"); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", id, got, want)
		}
	}
}

// A process started ahead of time serves a function unless its variables are needed at the
// start.
func TestPreboot(t *testing.T) {
	in := &interpreter{language: "python", version: "3.11.7", number: 11, prefix: "/py", relative: "bin/python3.11", bootstrap: "bootstrap.py"}
	r := Runtime{ID: "python3.11", Language: "python", Version: "3.11.7", interpreter: in, wanted: 11}
	for name, late := range map[string]bool{
		"MINE": true, "PYTHONPATH": true, "TZ": true, "AWS_LAMBDA_LOG_LEVEL": true,
		"PYTHONHASHSEED": false, "PYTHONWARNINGS": false, "NODE_OPTIONS": false, "LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "AWS_LAMBDA_EXEC_WRAPPER": false,
	} {
		e := &Environment{host: &Host{runtimeDir: "/rt"}, runtime: r, command: r.command()}
		e.spec.Version = &lambda.Version{Environment: map[string]string{name: "x"}}
		s := e.sandboxSpec("g", "s")
		if (s.Preboot != nil) != late {
			t.Errorf("%s: %+v", name, s.Preboot)
		}
		if name == "AWS_LAMBDA_EXEC_WRAPPER" && s.Command[0] != "x" {
			t.Errorf("%q", s.Command)
		}
		if s.Lang != "/py" || s.Runtime != "/rt" {
			t.Errorf("%+v", s)
		}
		if late && (s.Preboot.Lang != s.Lang || s.Preboot.Runtime != s.Runtime || s.Preboot.Key == "" || !slices.Equal(s.Preboot.Command, s.Command)) {
			t.Errorf("%+v", s.Preboot)
		}
	}
	e := &Environment{host: new(Host), command: []string{"/var/task/bootstrap"}, runtime: Runtime{ID: "provided.al2", Language: "provided"}}
	e.spec.Version = &lambda.Version{Environment: map[string]string{"AWS_LAMBDA_EXEC_WRAPPER": "/x"}}
	if s := e.sandboxSpec("g", "s"); s.Preboot != nil || s.Lang != "" || s.Command[0] != "/var/task/bootstrap" {
		t.Errorf("%+v", s)
	}
}

// A bootstrap that an earlier server compiled is used again, unless another Python made it.
func TestBootstrapIsCompiledOnce(t *testing.T) {
	dir, err := unpack(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	findInterpreters(dir, log)
	compiled, err := filepath.Glob(filepath.Join(dir, "*.pyc"))
	if err != nil || len(compiled) == 0 {
		t.Skipf("no Python here compiles: %v", err)
	}
	path := compiled[0]
	first, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	findInterpreters(dir, log)
	again, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(first, again) {
		t.Error("the second search compiled anew")
	}
	if err := os.WriteFile(path, []byte("\x00\x00\x00\x00 of another Python"), 0o644); err != nil {
		t.Fatal(err)
	}
	findInterpreters(dir, log)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(content), "\x00\x00\x00\x00") {
		t.Error("what another Python compiled was kept")
	}
}
