package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-run/weir/dashboard"
	"github.com/weir-run/weir/engine"
)

const topAbout = `Shows what a server does, live: who holds the account's concurrency, the environments of each
function by state, what is throttled and why, and what waits. q or ctrl-C ends it, n shows the
next account and region.
`

const (
	topEvery   = time.Second      // between two frames
	topTimeout = 10 * time.Second // of a look at the server
	onceWidth  = 120              // characters
	maxState   = 64 << 20         // bytes of an answer
)

// A top is a run of weir top.
type top struct {
	state   *http.Request
	out     io.Writer
	account string // shown; empty: the one that runs most
	shown   int    // entry of the accounts shown, if there are several
}

func (m *Main) top(ctx context.Context, args []string) error {
	f := m.flags("top", topAbout)
	endpoint := f.String("endpoint", cmp.Or(os.Getenv("AWS_ENDPOINT_URL"), "http://127.0.0.1:4566"), "`URL` of the server")
	account := f.String("account", "", "`account` to show; default: all, the busiest first")
	credentials := f.String("credentials", "", "`file` of access keys, as for serve, if the server checks signatures; the first is used")
	once := f.Bool("once", false, "print one frame and end")
	if err := parse(f, args); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(*endpoint, "/")+dashboard.Prefix+"state", nil)
	if err != nil {
		return usageError{fmt.Errorf("-endpoint: %w", err)}
	}
	if *credentials != "" {
		keys, err := readCredentials(*credentials)
		if err != nil {
			return usageError{err}
		}
		ids := make([]string, 0, len(keys))
		for id, c := range keys {
			if *account == "" || accountOf(id, c) == *account {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return usageError{fmt.Errorf("%s has no key of account %s", *credentials, *account)}
		}
		id := slices.Min(ids)
		req.SetBasicAuth(id, keys[id].Secret)
	}
	t := &top{state: req, out: m.Stdout, account: *account}
	if *once {
		return t.print(onceWidth, 0)
	}
	return t.follow(ctx, m.Stdin)
}

// print writes one frame, of any height if height is 0.
func (t *top) print(width, height int) error {
	state, err := t.look()
	if err != nil {
		return err
	}
	_, err = io.WriteString(t.out, t.frame(state, width, height))
	return err
}

// follow writes a frame each second until the context ends or somebody wants no more.
func (t *top) follow(ctx context.Context, in io.Reader) error {
	screen, err := openScreen(in, t.out)
	if err != nil {
		return err
	}
	defer screen.close()
	tick := time.NewTicker(topEvery)
	defer tick.Stop()
	var last dashboard.State
	for {
		width, height := screen.size()
		state, err := t.look()
		switch {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil && last.Views == nil:
			return err
		case err != nil:
			screen.show(t.frame(last, width, height-1) + "no answer: " + err.Error())
		default:
			last = state
			screen.show(t.frame(state, width, height))
		}
		select {
		case <-tick.C:
		case <-screen.resized:
		case key := <-screen.keys:
			switch key {
			case 'q', 'Q', 3, 4: // ctrl-C and ctrl-D come as bytes in raw mode
				return nil
			case 'n', '\t':
				t.shown++
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// look asks the server for its state.
func (t *top) look() (dashboard.State, error) {
	client := http.Client{Timeout: topTimeout}
	resp, err := client.Do(t.state)
	if err != nil {
		return dashboard.State{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return dashboard.State{}, errors.New("the server checks signatures: give it -credentials")
	}
	if resp.StatusCode != http.StatusOK {
		return dashboard.State{}, fmt.Errorf("%s answers %s: is it weir?", t.state.URL, resp.Status)
	}
	var state dashboard.State
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxState)).Decode(&state); err != nil {
		return dashboard.State{}, fmt.Errorf("read the answer of %s: %w", t.state.URL, err)
	}
	return state, nil
}

// frame draws the account that is shown, at most so many characters wide and lines high.
func (t *top) frame(state dashboard.State, width, height int) string {
	views := slices.DeleteFunc(slices.Clone(state.Views), func(v engine.View) bool { return t.account != "" && v.Scope.Account != t.account })
	if len(views) == 0 {
		return "There is no such account.\n"
	}
	slices.SortStableFunc(views, func(a, b engine.View) int {
		return cmp.Or(cmp.Compare(busyness(&b), busyness(&a)), cmp.Compare(a.Scope.String(), b.Scope.String()))
	})
	if t.shown > 0 { // by name, so that the order holds still
		slices.SortFunc(views, func(a, b engine.View) int { return cmp.Compare(a.Scope.String(), b.Scope.String()) })
	}
	lines := topLines(&views[t.shown%len(views)], len(views), max(width, 40))
	if height > 0 && len(lines) > height {
		lines = append(lines[:height-1], fmt.Sprintf("… %d lines more", len(lines)-height+1))
	}
	for i, l := range lines {
		if r := []rune(l); len(r) > width {
			lines[i] = string(r[:width])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func busyness(v *engine.View) int {
	n := len(v.Functions)
	for i := range v.Functions {
		n += 1000 * v.Functions[i].Concurrency
	}
	return n
}
