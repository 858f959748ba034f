//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-run/weir/test/e2e/tally"
)

// The crowd of TestTwoThousandAtOnce.
const (
	crowdCalls = 2000
	crowdLimit = 1000
)

// TestTwoThousandAtOnce calls a function 2,000 times at once in an account whose limit is 1,000.
// The function counts itself how many of it run, in memory that all its environments share.
func TestTwoThousandAtOnce(t *testing.T) {
	s := start(t, "-sandbox", "process", "-account-concurrency", fmt.Sprint(crowdLimit), "-idle-timeout", "5s", "-log-level", "error")
	a := newAccount(s.url)
	a.create(t, function{name: "busy", language: golang, code: program(t, "light"), timeout: 60})
	other := newAccount(s.url)
	other.create(t, function{name: "other", language: golang, code: program(t, "light"), timeout: 60})
	other.do(t, "other", struct{}{}, &struct{}{})

	t.Run("a second of work", func(t *testing.T) {
		crowd(t, s, a, other, `{"ms": 1000, "tally": %q}`)
	})
	// Here the work begins when all have come: the limit is reached, not just kept.
	t.Run("when all are there", func(t *testing.T) {
		if c := crowd(t, s, a, other, `{"ms": 1000, "after": 1000, "tally": %q}`); c.Peak != crowdLimit {
			t.Errorf("at most %d ran at once, not the %d that may", c.Peak, crowdLimit)
		}
	})
	eventually(t, time.Minute, func() error {
		h, err := s.health()
		if err != nil {
			return err
		}
		left, err := children(s.cmd.Process.Pid)
		if err == nil && h.Environments+len(left) > 0 {
			err = fmt.Errorf("the server has %d environments left, and the processes %v", h.Environments, left)
		}
		return err
	})
}

// crowd invokes the function and checks who got through, by what it is told and by what the
// function counted.
func crowd(t *testing.T, s *server, a, other *account, event string) tally.Count {
	page := filepath.Join(scratch, "tally-"+filepath.Base(t.Name()))
	count, err := tally.Open(page)
	if err != nil {
		t.Fatal(err)
	}
	defer count.Close()
	began := time.Now()
	watch := watchServer(t, s, other)
	answers := volley(t, s.url, a.id, "busy", fmt.Sprintf(event, page), crowdCalls)
	worst := watch()
	t.Logf("%d calls in %.1f s; meanwhile health took %v at most, another account's function %v",
		crowdCalls, time.Since(began).Seconds(), worst.health, worst.invoke)

	environments := make(map[string]bool)
	for _, r := range answers {
		if r.stream != "" {
			environments[r.stream] = true
		}
	}
	want := map[string]int{"200": crowdLimit, overAccount: crowdCalls - crowdLimit}
	if seen := outcomes(answers); !maps.Equal(seen, want) {
		t.Errorf("got %v, want %v", seen, want)
	}
	c := count.Count()
	t.Logf("in the function: %+v, in %d environments", c, len(environments))
	if c.Begun != crowdLimit || c.Ended != crowdLimit || c.Now != 0 || c.Peak > crowdLimit {
		t.Errorf("in the function: %+v, want %d begun and ended, at most as many at once", c, crowdLimit)
	}
	if int64(len(environments)) < c.Peak {
		t.Errorf("%d ran at once in %d environments", c.Peak, len(environments))
	}
	if worst.health > 3*time.Second || worst.invoke > 5*time.Second {
		t.Errorf("the server did not stay responsive: health took up to %v, another account's function %v", worst.health, worst.invoke)
	}
	return c
}

// A result is what one call of a volley came to.
type result struct {
	outcome string // the status, and of a refusal its code and reason
	stream  string // the log stream of the environment, of a success
	init    string // how the environment came to be, of a success
}

// volley invokes a function n times at once: all connections are there before the first
// request is sent.
func volley(t testing.TB, url, key, function, event string, n int) []result {
	t.Helper()
	address := strings.TrimPrefix(url, "http://")
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		conns[i] = c
	}
	request := fmt.Appendf(nil, "POST /2015-03-31/functions/%s/invocations HTTP/1.1\r\nHost: %s\r\n"+
		"Authorization: AWS4-HMAC-SHA256 Credential=%s/20260101/%s/lambda/aws4_request, SignedHeaders=host, Signature=0\r\n"+
		"Content-Length: %d\r\n\r\n%s", function, address, key, region, len(event), event)
	results := make([]result, n)
	var all sync.WaitGroup
	for _, c := range conns {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		all.Go(func() { results[i] = receive(c) })
	}
	all.Wait()
	return results
}

// receive reads the answer to a call of Invoke.
func receive(c net.Conn) result {
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return result{outcome: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return result{outcome: err.Error()}
	}
	var text struct{ Reason, Stream, Init string }
	if err := json.Unmarshal(body, &text); err != nil {
		return result{outcome: fmt.Sprintf("%s: %v: %s", resp.Status, err, body)}
	}
	words := []string{fmt.Sprint(resp.StatusCode)}
	for _, word := range []string{resp.Header.Get("X-Amzn-Errortype"), resp.Header.Get("X-Amz-Function-Error"), text.Reason} {
		if word != "" {
			words = append(words, word)
		}
	}
	return result{strings.Join(words, " "), text.Stream, text.Init}
}

// slowest is how long a server took at most to answer.
type slowest struct{ health, invoke time.Duration }

// watchServer asks a server again and again how it does and invokes a function of another
// account, until the function it returns is called.
func watchServer(t testing.TB, s *server, other *account) func() slowest {
	stop := make(chan struct{})
	var worst slowest
	var all sync.WaitGroup
	again := func(most *time.Duration, f func() error) {
		all.Go(func() {
			for {
				began := time.Now()
				if err := f(); err != nil {
					t.Errorf("while the server was busy: %v", err)
				}
				*most = max(*most, time.Since(began))
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	again(&worst.health, func() error { _, err := s.health(); return err })
	again(&worst.invoke, func() error {
		_, err := other.call(t.Context(), "other", struct{}{}, &struct{}{})
		return err
	})
	return func() slowest {
		close(stop)
		all.Wait()
		return worst
	}
}

// children returns the processes below a process that are alive.
func children(pid int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	below := map[int]bool{pid: true}
	var found []process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if below[p.parent] && !below[p.pid] && p.state != 'Z' {
				below[p.pid] = true
				found = append(found, p)
				grown = true
			}
		}
	}
	return found, nil
}
