package delivery

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the effects that scripts have into their files")

// TestScripts plays the scripts under testdata: inputs, a line of dashes, the effects
// expected. Files named async_* are for Async (asyncplayer_test.go), mapping_* for Mapping.
// "go test ./delivery -run Scripts -rewrite" writes the effects anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			command := newAsyncPlayer(t).command
			if strings.HasPrefix(name, "mapping_") {
				command = newMapPlayer(t).command
			}
			got := play(t, command, string(text))
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
func play(t *testing.T, command func(string) []string, script string) string {
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
			effects = append(effects, command(text)...)
		}
	}
	if len(effects) > 0 {
		t.Errorf("effects after the last ----: %q", effects)
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
