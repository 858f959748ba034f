package environment

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the search for interpreters.
const (
	maxCandidates = 64 // programs asked for their version
	probeTimeout  = 10 * time.Second
	probes        = 4 // at a time
)

// Oldest versions whose language the bootstraps are written in.
const (
	minPython = 8
	minNode   = 16
)

var errUnknownInterpreter = errors.New("unknown kind or version of interpreter")

// A candidate may be an interpreter. A shim or a link is asked like any other: the interpreter
// behind it says where it is.
type candidate struct {
	language string
	path     string
}

// findInterpreters asks every python3 and node on PATH and in the directories of the usual
// version managers who they are, the first of each version wins.
func findInterpreters(runtimeDir string, log *slog.Logger) []interpreter {
	candidates := interpreterCandidates()
	found := make([]*interpreter, len(candidates))
	var wg sync.WaitGroup
	turn := make(chan struct{}, probes)
	for i, c := range candidates {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			in, err := probe(c, runtimeDir)
			if err != nil {
				log.Debug("not an interpreter", "path", c.path, "err", err)
				return
			}
			found[i] = &in
		})
	}
	wg.Wait()
	var all []interpreter
	for _, in := range found {
		if in == nil || slices.ContainsFunc(all, func(a interpreter) bool {
			return a.language == in.language && a.number == in.number
		}) {
			continue
		}
		log.Info("interpreter", "language", in.language, "version", in.version, "prefix", in.prefix)
		all = append(all, *in)
	}
	return all
}

// interpreterCandidates lists the programs to ask, each file once, in order of preference.
func interpreterCandidates() []candidate {
	var dirs []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) && !isPyenvShims(dir) {
			dirs = append(dirs, dir)
		}
	}
	home, _ := os.UserHomeDir()
	pyenv := os.Getenv("PYENV_ROOT")
	if pyenv == "" && home != "" {
		pyenv = filepath.Join(home, ".pyenv")
	}
	nvm := os.Getenv("NVM_DIR")
	if nvm == "" && home != "" {
		nvm = filepath.Join(home, ".nvm")
	}
	for _, pattern := range []string{
		filepath.Join(pyenv, "versions", "3.*", "bin"),
		filepath.Join(nvm, "versions", "node", "*", "bin"),
	} {
		managed, err := filepath.Glob(pattern)
		if err == nil && filepath.IsAbs(pattern) {
			slices.Reverse(managed) // newest patch first
			dirs = append(dirs, managed...)
		}
	}
	var list []candidate
	seen := make(map[string]bool)
	for _, dir := range dirs {
		for _, name := range programNames(dir) {
			path := filepath.Join(dir, name)
			target, err := filepath.EvalSymlinks(path)
			if err != nil || seen[target] || len(list) == maxCandidates {
				continue
			}
			seen[target] = true
			language := "python"
			if strings.HasPrefix(name, "node") {
				language = "nodejs"
			}
			list = append(list, candidate{language, path})
		}
	}
	return list
}

// isPyenvShims recognises pyenv's directory of shims: slow scripts in front of interpreters that
// are found in the directory beside it.
func isPyenvShims(dir string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(dir), "versions"))
	return filepath.Base(dir) == "shims" && err == nil
}

// programNames returns the names in dir that interpreters have.
func programNames(dir string) []string {
	names := []string{"python3", "node", "nodejs"}
	versioned, err := filepath.Glob(filepath.Join(dir, "python3.*"))
	if err != nil {
		return names
	}
	for _, path := range versioned {
		name := filepath.Base(path)
		if _, ok := parseDecimal([]byte(strings.TrimPrefix(name, "python3."))); ok {
			names = append(names, name)
		}
	}
	return names
}

// What an interpreter prints about itself: version, prefix, program, and for Python the name of
// the bootstrap compiled for it, which saves the compilation at every start. The directory is
// named by the bootstrap's content, so what an earlier server compiled there still holds for an
// interpreter of the same magic number.
const (
	askPython = `import os, sys
version = "%d.%d.%d" % sys.version_info[:3]
name = "bootstrap.py"
try:
    from _frozen_importlib_external import MAGIC_NUMBER
    compiled = "bootstrap.%s.pyc" % sys.implementation.cache_tag
    path = os.path.join(sys.argv[1], compiled)
    magic = b""
    if os.path.exists(path):
        with open(path, "rb") as f:
            magic = f.read(4)
    if magic != MAGIC_NUMBER:
        import py_compile
        temporary = "%s.%d" % (path, os.getpid())
        py_compile.compile(os.path.join(sys.argv[1], name), temporary, "/var/runtime/bootstrap.py", True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        os.rename(temporary, path)
    name = compiled
except Exception:
    pass
program = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)
print(version, sys.base_prefix, program, name, sep="\n")`
	askNode = `const fs = require('fs'), path = require('path'), program = fs.realpathSync(process.execPath);
console.log([process.versions.node, path.dirname(path.dirname(program)), program, 'index.mjs'].join('\n'))`
)

// probe asks one candidate.
func probe(c candidate, runtimeDir string) (interpreter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, "-I", "-S", "-B", "-c", askPython, runtimeDir)
	if c.language == "nodejs" {
		cmd = exec.CommandContext(ctx, c.path, "-e", askNode)
	}
	cmd.Dir = "/"
	out, err := cmd.Output()
	if err != nil {
		return interpreter{}, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 4 {
		return interpreter{}, errUnknownInterpreter
	}
	prefix, err := filepath.EvalSymlinks(lines[1])
	if err != nil {
		return interpreter{}, err
	}
	in, ok := newInterpreter(c.language, lines[0], prefix, lines[2])
	old := in.language == "python" && in.number < minPython || in.language == "nodejs" && in.number < minNode
	if !ok || old {
		return interpreter{}, errUnknownInterpreter
	}
	in.bootstrap = lines[3]
	return in, nil
}
