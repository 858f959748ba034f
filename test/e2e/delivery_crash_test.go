//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The size of the crash test of delivery.
const (
	deliveryKills  = 32
	deliveryLoad   = 900 * time.Millisecond // at most, between two kills
	reckonEvery    = 10                     // kills, between two times at which all must have arrived
	deliveryLimit  = 40 * time.Second       // until all has arrived
	leastDelivered = 100                    // of each kind, or the test is too weak
)

// TestKilledDelivering kills a server with signal 9 again and again, at random moments under a
// load of events, messages and notifications and of calls that change what leads them. All that
// was acknowledged must have been delivered once at least, or lie in a queue or a destination.
// WEIR_E2E_SEED repeats the random choices of a run.
func TestKilledDelivering(t *testing.T) {
	seed := crashSeed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	data := filepath.Join(scratch, "data", "killed-delivering")
	flags := []string{"-sandbox", "process", "-log-level", "error"}
	s := startIn(t, data, flags...)
	id := newAccount("").id
	l := &load{tenant: tenantOf(s.url, id), books: newBooks(), ledger: newLedger(t)}
	l.build(t)
	c := &clerk{tenant: l.tenant, random: rand.New(rand.NewPCG(seed, 1))}
	c.build(t)
	began, early := time.Now(), 0
	for n := range deliveryKills {
		underLoad(t, s, l, c, seed+uint64(n), time.Duration(random.Int64N(int64(deliveryLoad))))
		if random.IntN(4) == 0 {
			killEarly(t, data, time.Duration(random.Int64N(int64(startFor))), flags)
			early++
		}
		s = startIn(t, data, flags...)
		l.tenant = tenantOf(s.url, id)
		c.tenant = l.tenant
		noOrphans(t)
		c.verify(t)
		if n%reckonEvery == reckonEvery-1 {
			reckon(t, s, l)
		}
	}
	took := time.Since(began)
	reckon(t, s, l)
	t.Logf("%d kills in %.1f s and %d before the server was ready; acknowledged were %d things; seen: %v; calls: %v",
		deliveryKills, took.Seconds(), early, l.books.count(), l.books.sum(), c.done)
	for place, n := range l.books.sum() {
		if n < leastDelivered && place != inPoison && place != deleting && place != deleted {
			t.Errorf("%d were seen in %s: the test is too weak", n, place)
		}
	}
	for _, e := range errands {
		if c.done[e.name] == 0 {
			t.Errorf("no call of the kind %q was acknowledged: the test is too weak", e.name)
		}
	}
	checkReckoning(t, l)
}

// underLoad loads a server for a while and kills it amid that.
func underLoad(t *testing.T, s *server, l *load, c *clerk, seed uint64, after time.Duration) {
	t.Helper()
	kinds := []func(*load, context.Context, *rand.Rand) error{(*load).invoke, (*load).feed, (*load).publish, (*load).queueUp}
	errs := make([]error, len(kinds)+1)
	var all sync.WaitGroup
	for i, do := range kinds {
		random := rand.New(rand.NewPCG(seed, uint64(i+2)))
		all.Go(func() { errs[i] = l.work(t.Context(), random, do) })
	}
	all.Go(func() { errs[len(kinds)] = c.work(t.Context()) })
	<-time.After(after)
	s.kill()
	all.Wait()
	for _, err := range errs {
		if err != nil {
			t.Errorf("%v\n%s", err, s.tail())
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

// reckon waits until all that was acknowledged has been seen.
func reckon(t *testing.T, s *server, l *load) {
	t.Helper()
	began := time.Now()
	err := poll(deliveryLimit, func() error {
		// The server is alive now: nothing may fail.
		if err := errors.Join(l.collect(t.Context()), l.lookInPlain(t.Context())); err != nil {
			t.Fatal(err)
		}
		return l.books.paid()
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, s.tail())
	}
	t.Logf("%d things are accounted for after %.1f s", l.books.count(), time.Since(began).Seconds())
}

// checkReckoning checks that the books can fail: what never was sent must be found missing, of
// every kind, and nothing else; and so must a message that was deleted behind their back.
func checkReckoning(t *testing.T, l *load) {
	t.Helper()
	var want []string
	for _, place := range []string{inEvents, inMessages, inNotices, inSuccesses, inFailures, inDead, inPoison, inFan, inPlain} {
		l.books.owe("never-"+place, place)
		want = append(want, "never-"+place)
	}
	l.books.see(deleted, "risen")
	l.books.see(inPlain, "risen")
	want = append(want, "risen")
	stolen := parcel{ID: "stolen"}
	l.send(t, "plain", stolen.String())
	l.books.owe(stolen.ID, inPlain, deleting)
	want = append(want, stolen.ID)
	l.takeAll(t, "plain")
	if err := l.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.lookInPlain(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := l.books.open()
	for _, id := range want {
		if !slices.ContainsFunc(open, func(line string) bool { return strings.HasPrefix(line, id+" is ") }) {
			t.Errorf("the books do not say that %q is missing", id)
		}
	}
	if len(open) != len(want) {
		t.Errorf("the books miss %d things, want %d: %v", len(open), len(want), open)
	}
}

// noOrphans waits until the processes of a server that was killed are gone.
func noOrphans(t *testing.T) {
	t.Helper()
	eventually(t, patience, func() error {
		left, err := orphans()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the server that was killed left processes behind: %v", left)
		}
		return err
	})
}
