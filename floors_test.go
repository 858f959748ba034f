package weir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// floors is the policy of the house: a package imports only packages of lower floors,
// never one of its own. A path that ends in "/..." stands for a whole tree. The policy
// is changed by a design decision, not to make a build pass.
const floors = `
	0 lambda
	1 admission delivery metric schedule filter aws/... front
	2 sandbox/... store/... cluster
	3 environment
	4 engine sim
	5 service/... dashboard
	6 cmd/...
	7 test/... bench
`

// within lists the imports allowed inside one floor: the parts of a tree that build on
// each other.
const within = `
	aws/... -> aws/wire
	test/... -> test/...
`

// pure are the floors whose packages decide without doing: no goroutine, channel, clock,
// lock or I/O.
var pure = []string{"lambda", "admission", "delivery", "metric", "schedule", "filter"}

// impure are the imports a pure package must not have.
var impure = []string{
	"bufio", "context", "io", "log", "log/slog", "net", "net/http", "os", "os/exec", "path/filepath",
	"sync", "sync/atomic", "syscall", "math/rand", "math/rand/v2", "crypto/rand",
}

const module = "github.com/weir-run/weir"

func TestImportsPointDown(t *testing.T) {
	policy, inside := parseFloors(t), parseWithin()
	for pkg, files := range sourceFiles(t) {
		floor, ok := floorOf(policy, pkg)
		if !ok {
			t.Errorf("package %s stands on no floor: add it to the policy", pkg)
			continue
		}
		for _, f := range files {
			for _, path := range imports(t, f) {
				target, ours := strings.CutPrefix(path, module+"/")
				if !ours || target == pkg {
					continue
				}
				below, ok := floorOf(policy, target)
				if !ok || below < floor || floor == below && allowed(inside, pkg, target) {
					continue
				}
				t.Errorf("%s: %s (floor %d) imports %s (floor %d)", f, pkg, floor, target, below)
			}
		}
	}
}

func TestPurePackagesDoNothing(t *testing.T) {
	for pkg, files := range sourceFiles(t) {
		if !slices.Contains(pure, pkg) {
			continue
		}
		for _, name := range files {
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range imports(t, name) {
				if slices.Contains(impure, path) {
					t.Errorf("%s: a pure package imports %s", name, path)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if what := deed(n); what != "" {
					t.Errorf("%s: a pure package must not use %s", set.Position(n.Pos()), what)
				}
				return true
			})
		}
	}
}

// deed names what a node does that a pure package may not do, or returns "".
func deed(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "go"
	case *ast.ChanType:
		return "chan"
	case *ast.SelectStmt:
		return "select"
	case *ast.SendStmt:
		return "a channel send"
	case *ast.SelectorExpr:
		pkg, ok := n.X.(*ast.Ident)
		clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}
		if ok && pkg.Name == "time" && slices.Contains(clock, n.Sel.Name) {
			return "time." + n.Sel.Name
		}
	}
	return ""
}

type floorRule struct {
	pattern string
	floor   int
}

func parseFloors(t *testing.T) []floorRule {
	t.Helper()
	var rules []floorRule
	for line := range strings.Lines(floors) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		n, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatalf("floor policy: %v", err)
		}
		for _, w := range words[1:] {
			rules = append(rules, floorRule{w, n})
		}
	}
	return rules
}

func parseWithin() [][2]string {
	var pairs [][2]string
	for line := range strings.Lines(within) {
		if from, to, ok := strings.Cut(strings.TrimSpace(line), " -> "); ok {
			pairs = append(pairs, [2]string{from, to})
		}
	}
	return pairs
}

func floorOf(rules []floorRule, pkg string) (int, bool) {
	for _, r := range rules {
		if matches(r.pattern, pkg) {
			return r.floor, true
		}
	}
	return 0, false
}

func matches(pattern, pkg string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return pkg == tree || isTree && strings.HasPrefix(pkg, tree+"/")
}

func allowed(pairs [][2]string, from, to string) bool {
	// A package and the suite that tests it are one room: store, store/storetest.
	if strings.HasPrefix(from, to+"/") || strings.HasPrefix(to, from+"/") {
		return true
	}
	return slices.ContainsFunc(pairs, func(p [2]string) bool {
		return matches(p[0], from) && matches(p[1], to)
	})
}

// sourceFiles returns the module's Go files by package, tests left out: a test may use
// whatever helps to judge.
func sourceFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dir := filepath.ToSlash(filepath.Dir(path))
			files[dir] = append(files[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}
