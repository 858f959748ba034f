//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The size of the crash test.
const (
	kills    = 25
	builders = 4
	loadFor  = 900 * time.Millisecond // at most, between two kills
	startFor = 400 * time.Millisecond // at most, where it is killed before it is ready
)

// TestKilled kills a server with signal 9 again and again, at random moments under a load of
// calls that change things, and sometimes before it is ready. What was acknowledged must be there
// afterwards, and nothing by halves. WEIR_E2E_SEED repeats the random choices of a run.
func TestKilled(t *testing.T) {
	seed := crashSeed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	data := filepath.Join(scratch, "data", "killed")
	crew := newCrew(t, seed)
	flags := []string{"-account-concurrency", "1000", "-log-level", "error"}
	began, early := time.Now(), 0
	for range kills {
		if random.IntN(4) == 0 {
			killEarly(t, data, time.Duration(random.Int64N(int64(startFor))), flags)
			early++
			continue
		}
		s := startIn(t, data, flags...)
		verifyAll(t, s, crew)
		loadAndKill(t, s, crew, time.Duration(random.Int64N(int64(loadFor))))
	}
	took := time.Since(began)
	s := startIn(t, data, flags...)
	verifyAll(t, s, crew)

	done := make(map[string]int)
	total := 0
	for _, b := range crew {
		for name, n := range b.done {
			done[name] += n
			total += n
		}
	}
	t.Logf("%d kills in %.1f s, %d of them before the server was ready; acknowledged were %d calls: %v", kills, took.Seconds(), early, total, done)
	for _, d := range deeds {
		if done[d.name] == 0 {
			t.Errorf("no call of the kind %q was acknowledged: the test is too weak", d.name)
		}
	}
}

// crashSeed is the seed of a crash test's random choices.
func crashSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("WEIR_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("WEIR_E2E_SEED=%d", seed)
	return seed
}

// newCrew returns builders of functions in one account.
func newCrew(t *testing.T, seed uint64) []*builder {
	text, err := os.ReadFile(built(t, "light"))
	if err != nil {
		t.Fatal(err)
	}
	var variants []variant
	for i := range 4 {
		marker := fmt.Sprint("marker ", i)
		variants = append(variants, variant{zipped(t, map[string][]byte{"bootstrap": text, "marker": []byte(marker)}), marker})
	}
	a := newAccount("")
	var crew []*builder
	for i := range builders {
		crew = append(crew, &builder{
			account: a, name: fmt.Sprint("function-", i), variants: variants,
			random: rand.New(rand.NewPCG(seed, uint64(i+1))), done: make(map[string]int),
		})
	}
	return crew
}

// loadAndKill lets the builders work for a while and kills the server amid it.
func loadAndKill(t *testing.T, s *server, crew []*builder, after time.Duration) {
	t.Helper()
	errs := make([]error, len(crew))
	var all sync.WaitGroup
	for i, b := range crew {
		all.Go(func() { errs[i] = b.work(t.Context()) })
	}
	<-time.After(after)
	s.kill()
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("%v\n%s", err, s.tail())
		}
	}
}

// killEarly kills a server soon after its start, ready or not.
func killEarly(t *testing.T, data string, after time.Duration, flags []string) {
	t.Helper()
	s, ready, err := begin(nil, data, flags...)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-time.After(after):
	case <-ready:
	}
	s.kill()
}

// verifyAll checks the work of all builders on a server, and that the processes of the server
// before it are gone.
func verifyAll(t *testing.T, s *server, crew []*builder) {
	t.Helper()
	noOrphans(t)
	for _, b := range crew {
		b.account = accountOf(s.url, b.id)
		b.verify(t)
		if t.Failed() {
			t.FailNow()
		}
	}
}
