//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A language is one in which functions of the suite are written.
type language struct {
	name    string
	runtime string
	code    func(testing.TB) []byte // the deployment package of the app
}

var (
	python = language{"python", pythonRuntime(), func(t testing.TB) []byte { return script(t, "app.py") }}
	node   = language{"node", nodeRuntime(), func(t testing.TB) []byte { return script(t, "app.mjs") }}
	golang = language{"go", "provided.al2023", func(t testing.TB) []byte { return program(t, "app") }}

	languages = []language{python, node, golang}
)

// on ends a test of a language that this machine does not have.
func (l language) on(t testing.TB) {
	t.Helper()
	need(t, l.runtime != "", "no interpreter for %s on PATH", l.name)
}

// pythonRuntime names the runtime of the Python on PATH; where Lambda has no such version it is
// one that weir lets it stand in for.
func pythonRuntime() string {
	out, err := exec.Command("python3", "-c", "import sys; print('python%d.%d' % sys.version_info[:2])").Output()
	id := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		return ""
	case slices.Contains([]string{"python3.10", "python3.11", "python3.12", "python3.13", "python3.14"}, id):
		return id
	}
	return "python3.13"
}

func nodeRuntime() string {
	out, err := exec.Command("node", "-p", "'nodejs' + process.versions.node.split('.')[0] + '.x'").Output()
	id := strings.TrimSpace(string(out))
	switch {
	case err != nil:
		return ""
	case slices.Contains([]string{"nodejs20.x", "nodejs22.x", "nodejs24.x"}, id):
		return id
	}
	return "nodejs22.x"
}

// script is the deployment package of a function that is one file of testdata.
func script(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "functions", file))
	if err != nil {
		t.Fatal(err)
	}
	return zipped(t, map[string][]byte{"app" + filepath.Ext(file): text})
}

// packages are the deployment packages of the suite's Go functions, by name: compressing them
// takes longer than compiling.
var packages struct {
	sync.Mutex
	made map[string][]byte
}

// program is the deployment package of a Go function of the suite.
func program(t testing.TB, name string) []byte {
	t.Helper()
	file := built(t, name)
	packages.Lock()
	defer packages.Unlock()
	if p := packages.made[name]; p != nil {
		return p
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if packages.made == nil {
		packages.made = make(map[string][]byte)
	}
	packages.made[name] = zipped(t, map[string][]byte{"bootstrap": text})
	return packages.made[name]
}

// zipped packs executable files.
func zipped(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestSpeed) })
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
