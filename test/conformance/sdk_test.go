package conformance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-run/weir/aws/awsgen/model"
)

// modelDir is the directory of the vendored models.
const modelDir = "../../aws"

const sdkPath = "github.com/aws/aws-sdk-go-v2/service/"

// An sdkModule is a service module of aws-sdk-go-v2 in the module cache. Its snapshots hold
// one request and one answer of every operation, with every member set.
type sdkModule struct {
	model *model.Service
	id    string
	dir   string
}

// sdkModules returns the modules of testdata/sdk-modules.txt that the module cache has. It
// never fetches one.
func sdkModules(t *testing.T) []sdkModule {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatalf("find the module cache: %v", err)
	}
	cache := strings.TrimSpace(string(out))
	list, err := os.ReadFile("testdata/sdk-modules.txt")
	if err != nil {
		t.Fatal(err)
	}
	var found []sdkModule
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		name, version := fields[1], requiredVersion(t, fields[1])
		if len(fields) > 2 {
			version = fields[2]
		}
		dir := filepath.Join(cache, filepath.FromSlash(sdkPath+name+"@"+version))
		if _, err := os.Stat(dir); err != nil {
			t.Logf("skipped %s: not in the module cache; go mod download %s%s@%s", fields[0], sdkPath, name, version)
			continue
		}
		m, err := model.Load(modelDir, fields[0])
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, sdkModule{m, fields[0], dir})
	}
	if len(found) == 0 {
		t.Skip("no module of aws-sdk-go-v2 is in the module cache")
	}
	return found
}

// requiredVersion returns the version that go.mod requires of a service module, or "".
func requiredVersion(t *testing.T, name string) string {
	t.Helper()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(regexp.QuoteMeta(sdkPath+name) + ` (v\S+)`).FindSubmatch(mod)
	if m == nil {
		return ""
	}
	return string(m[1])
}

// A snapshot is a recorded message: a first line, headers and a body.
type snapshot struct {
	name    string // of the operation or the exception
	first   string
	headers map[string]string
	body    []byte
}

// snapshots reads the messages of a module in a folder whose files end in suffix.
func (m *sdkModule) snapshots(t *testing.T, folder, suffix string) []snapshot {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(m.dir, folder, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	var all []snapshot
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseSnapshot(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		s.name = strings.TrimSuffix(filepath.Base(file), suffix)
		all = append(all, s)
	}
	return all
}

// parseSnapshot splits a message. A request has an empty line after the first one, an
// answer has not.
func parseSnapshot(text []byte) (s snapshot, err error) {
	first, rest, ok := bytes.Cut(text, []byte("\n"))
	if !ok {
		return s, fmt.Errorf("no line in %q", text)
	}
	s.first, s.headers = string(first), map[string]string{}
	if strings.Contains(s.first, " ") {
		if rest, ok = bytes.CutPrefix(rest, []byte("\n")); !ok {
			return s, fmt.Errorf("no empty line after %q", first)
		}
	}
	for {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, []byte("\n")); !ok {
			return s, fmt.Errorf("no end of the headers in %q", text)
		}
		if len(line) == 0 {
			s.body = rest
			return s, nil
		}
		name, value, ok := strings.Cut(string(line), ": ")
		if !ok {
			return s, fmt.Errorf("no header: %q", line)
		}
		s.headers[name] = value
	}
}
