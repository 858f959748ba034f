package lambda

import (
	"strings"
	"testing"
)

func TestHop(t *testing.T) {
	hop := func(trace, function string) (string, int) {
		return Hop(trace, Scope{"111111111111", "us-east-1"}, function)
	}
	const f, g = "f", "g"
	trace, before := hop("Root=1-a;Parent=b;Sampled=0", f)
	if before != 0 || !strings.HasPrefix(trace, "Root=1-a;Parent=b;Sampled=0;Lineage=1:") || !strings.HasSuffix(trace, ":0") {
		t.Errorf("the first hop: %s, %d", trace, before)
	}
	for want := 1; want <= 20; want++ {
		if trace, before = hop(trace, f); before != want {
			t.Fatalf("hop %d counts %d: %s", want, before, trace)
		}
		if trace, before = hop(trace, g); before != want-1 {
			t.Fatalf("hop %d of the other counts %d: %s", want, before, trace)
		}
	}
	for _, odd := range []string{"", "Lineage=", "Lineage=x", "Lineage=1:zz:-4|q", ";;"} {
		if next, before := hop(odd, f); before != 0 || !strings.Contains(next, "Lineage=") {
			t.Errorf("Hop(%q) = %q, %d", odd, next, before)
		}
	}
	long := "Lineage=" + strings.Repeat("1:00000000:1|", 200)
	if next, _ := hop(long, f); strings.Count(next, "|") >= maxLineage {
		t.Errorf("a lineage of %d", strings.Count(next, "|"))
	}
}
