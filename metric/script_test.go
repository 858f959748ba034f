package metric

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the effects that scripts have into their files")

// TestScripts plays the scripts under testdata: commands (player_test.go), a line of dashes,
// what comes out. "go test ./metric -run Scripts -rewrite" writes what comes out anew.
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

// play runs a script and returns it with what came out.
func play(t *testing.T, script string) string {
	p := newPlayer(t)
	var out bytes.Buffer
	inEffects := false
	for line := range strings.Lines(script) {
		text := strings.TrimSpace(line)
		switch {
		case text == "----":
			out.WriteString("----\n")
			for _, e := range p.out {
				out.WriteString(e + "\n")
			}
			p.out, inEffects = nil, true
		case text == "":
			out.WriteString("\n")
			inEffects = false
		case inEffects:
			// What the file expects; the comparison is of the whole text.
		case strings.HasPrefix(text, "#"):
			out.WriteString(line)
		default:
			out.WriteString(line)
			p.command(text)
		}
	}
	if len(p.out) > 0 {
		t.Errorf("output after the last ----: %q", p.out)
	}
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return "\n  want: " + w[i] + "\n  got:  " + g[i]
		}
	}
	return "one is longer"
}
