package environment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-run/weir/lambda"
)

// A Runtime is what a function's runtime id means on this machine.
type Runtime struct {
	ID       string // as configured, such as python3.13
	Language string // python, nodejs or provided
	Version  string // of the interpreter that runs it, such as 3.11.7; empty for provided
	Exact    bool   // the interpreter has the version that the id asks for
	Note     string // for people: what stands in for what; empty if Exact

	interpreter *interpreter
	wanted      int // the version number within the language: 13 of python3.13, 20 of nodejs20.x
}

// Resolve finds what runs a runtime id: the exact interpreter version, else the nearest one of
// the language, the newer of two equally near. A runtime this server cannot run at all is a
// *lambda.Error that says so; CreateFunction refuses it with that.
func (h *Host) Resolve(id string) (Runtime, error) {
	r, ok := parseRuntime(id)
	if !ok {
		return Runtime{}, lambda.Errorf(lambda.CodeInvalidParameterValue,
			"weir does not run the runtime %s. It runs python3.x, nodejs20.x and later, provided.al2 and provided.al2023.", id)
	}
	if r.Language == "provided" {
		r.Exact = true
		return r, nil
	}
	for i := range h.interpreters {
		in := &h.interpreters[i]
		if in.language == r.Language && (r.interpreter == nil || in.nearer(r.interpreter, r.wanted)) {
			r.interpreter = in
		}
	}
	if r.interpreter == nil {
		return Runtime{}, lambda.Errorf(lambda.CodeInvalidParameterValue,
			"This machine has no interpreter for the runtime %s. Install one and start weir again.", id)
	}
	r.Version = r.interpreter.version
	r.Exact = r.interpreter.number == r.wanted
	if !r.Exact {
		r.Note = fmt.Sprintf("this machine has no interpreter for %s; %s %s runs the function instead",
			id, r.interpreter.language, r.Version)
	}
	return r, nil
}

// parseRuntime splits a runtime id.
func parseRuntime(id string) (Runtime, bool) {
	r := Runtime{ID: id}
	if id == "provided.al2" || id == "provided.al2023" {
		r.Language = "provided"
		return r, true
	}
	var digits string
	if minor, ok := strings.CutPrefix(id, "python3."); ok {
		r.Language, digits = "python", minor
	} else if major, ok := strings.CutPrefix(id, "nodejs"); ok {
		if major, ok = strings.CutSuffix(major, ".x"); !ok {
			return r, false
		}
		r.Language, digits = "nodejs", major
	}
	n, ok := parseDecimal([]byte(digits))
	r.wanted = int(n)
	return r, ok && n < 1000
}

// initVersion is the version in the INIT_START line, in AWS's form language:version.vN.
func (r Runtime) initVersion() string {
	switch {
	case r.interpreter == nil:
		return strings.Replace(r.ID, ".", ":", 1) + ".v1"
	case r.Language == "python":
		return fmt.Sprintf("python:3.%d.v%d", r.interpreter.number, r.interpreter.patch)
	}
	return fmt.Sprintf("nodejs:%d.v%d", r.interpreter.number, r.interpreter.patch)
}

// VersionARN stands in for AWS's ARN of a runtime version: it changes with the interpreter.
func (r Runtime) VersionARN(scope lambda.Scope) string {
	sum := sha256.Sum256([]byte(r.initVersion() + " " + r.Version))
	return "arn:" + scope.Partition() + ":lambda:" + scope.Region + "::runtime:" + hex.EncodeToString(sum[:])
}

// command returns the program and arguments that start the runtime, as paths inside the sandbox.
func (r Runtime) command() []string {
	in := r.interpreter
	switch r.Language {
	case "python":
		// -S: the host's site-packages are found, but their .pth files are not run: 30 ms.
		return []string{in.path(), "-u", "-B", "-S", "-s", "/var/runtime/" + in.bootstrap}
	case "nodejs":
		return []string{in.path(), "/var/runtime/" + in.bootstrap}
	}
	return []string{"/var/task/bootstrap"}
}

// An interpreter is an installed version of a language.
type interpreter struct {
	language  string
	version   string // such as 3.11.7
	number    int    // what distinguishes runtimes: the minor of Python, the major of Node.js
	patch     int    // the next number of the version
	prefix    string // host directory of the installation, shown as /var/lang
	relative  string // the program's path below prefix
	bootstrap string // file name in the runtime directory
}

func (in *interpreter) path() string { return "/var/lang/" + in.relative }

// nearer reports whether in fits a wanted version better than other does.
func (in *interpreter) nearer(other *interpreter, wanted int) bool {
	a, b := max(in.number-wanted, wanted-in.number), max(other.number-wanted, wanted-other.number)
	if a != b {
		return a < b
	}
	return in.number > other.number
}

// newInterpreter checks what a probe reported: a dotted version, the installation prefix and
// the program below it.
func newInterpreter(language, version, prefix, program string) (interpreter, bool) {
	in := interpreter{language: language, version: version, prefix: prefix}
	parts := strings.Split(version, ".")
	if len(parts) != 3 {
		return in, false
	}
	var numbers [3]int
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return in, false
		}
		numbers[i] = n
	}
	in.number, in.patch, in.bootstrap = numbers[0], numbers[1], "index.mjs"
	if language == "python" {
		if numbers[0] != 3 {
			return in, false
		}
		in.number, in.patch, in.bootstrap = numbers[1], numbers[2], "bootstrap.py"
	}
	prefix = strings.TrimSuffix(prefix, "/")
	rest, ok := strings.CutPrefix(program, prefix+"/")
	in.relative = rest
	return in, ok && prefix != ""
}
