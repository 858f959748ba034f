package wire

import (
	"slices"
	"testing"
)

func TestPages(t *testing.T) {
	names := []string{"a", "b/ä", "c", "d", "e"}
	for size, want := range map[int]int{1: 5, 2: 3, 3: 2, 4: 2, 5: 1, 6: 1} {
		var got []string
		var token Opt[string]
		pages := 0
		for more := true; more; more = token.OK {
			p, ok := NewPage(token, size)
			if !ok {
				t.Fatalf("its own token %q is refused", token.V)
			}
			pages++
			for _, name := range names {
				if name <= p.After {
					continue
				}
				if !p.Take(name) {
					break
				}
				got = append(got, name)
			}
			token = p.Token()
		}
		if pages != want || !slices.Equal(got, names) {
			t.Errorf("by %d: %d pages, want %d: %v", size, pages, want, got)
		}
	}
	if _, ok := NewPage(Some("%"), 1); ok {
		t.Error("a token that is none is taken")
	}
}
