package admission

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the effects that scripts have into their files")

// TestScripts plays the scripts under testdata. A script is blocks of inputs, a line of
// dashes, and the effects expected; comments start with #. The commands are in player_test.go.
// "go test ./admission -run Scripts -rewrite" writes the effects anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if got == string(text) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: %s", file, firstDifference(string(text), got))
		})
	}
}

// play runs a script and returns it with the effects it had.
func play(t *testing.T, script string) string {
	p := newPlayer(t)
	var out bytes.Buffer
	var effects []string
	inEffects := false
	for line := range strings.Lines(script) {
		text := strings.TrimSpace(line)
		switch {
		case text == "----":
			out.WriteString("----\n")
			for _, e := range effects {
				out.WriteString(e + "\n")
			}
			effects, inEffects = nil, true
		case text == "":
			out.WriteString("\n")
			inEffects = false
		case inEffects:
			// What the file expects; the comparison is of the whole text.
		case strings.HasPrefix(text, "#"):
			out.WriteString(line)
		default:
			out.WriteString(line)
			effects = append(effects, p.command(text)...)
		}
	}
	if len(effects) > 0 {
		t.Errorf("effects after the last ----: %q", effects)
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return "line " + itoa(i+1) + "\n  want: " + a + "\n  got:  " + b
		}
	}
	return "equal"
}
