package delivery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A mapPlayer gives a script's commands to a Mapping and prints its effects.
//
//	t=1s COMMAND            at this time; without t= at the time of the line before
//	mapping [batch=10] [window=0s] [max=N] [disabled] [scaling=today|classic|provisioned:2:5]
//	received r1 m1[..m9] [full] [group=1] [bytes=100] [for=30s] [run=3s]
//	                            for: until visible again; run: the time that a run may take
//	empty r1                    a receive that found nothing
//	ok b1 [failed=m2,m3], fail b1, throttle b1
//	run 10s                     lets that time pass
//	pollers                     prints how many are allowed and in use
type mapPlayer struct {
	t       *testing.T
	machine *Mapping
	now     Instant
	out     []string
}

func newMapPlayer(t *testing.T) *mapPlayer { return &mapPlayer{t: t, machine: NewMapping()} }

func (p *mapPlayer) command(line string) []string {
	words := strings.Fields(line)
	p.out = nil
	if at, ok := strings.CutPrefix(words[0], "t="); ok {
		p.now = Instant(p.duration(at))
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{"tick"}
	}
	switch words[0] {
	case "tick":
		p.step(MappingTick())
	case "mapping":
		p.step(ConfigureMapping(p.config(words[1:])))
	case "received":
		p.received(words)
	case "empty":
		for _, r := range numbers(p.t, words[1], "r") {
			p.step(Received(ReceiveID(r), nil, false, true))
		}
	case "ok", "fail", "throttle":
		p.answered(words)
	case "run":
		p.run(p.now.Add(p.duration(words[1])))
	case "pollers":
		p.step(MappingTick())
		m := p.machine
		p.say("%d pollers: %d receive, %d batches", m.Pollers(), len(m.receives), m.busy()-len(m.receives))
	default:
		p.t.Fatalf("what is %v?", words)
	}
	return compress(p.out)
}

func (p *mapPlayer) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func (p *mapPlayer) config(words []string) MappingConfig {
	c := MappingConfig{Enabled: true, BatchSize: 10, Scaling: ScalingToday}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "batch":
			c.BatchSize = n
		case "window":
			c.Window = p.duration(value)
		case "max":
			c.MaxConcurrency = n
		case "disabled":
			c.Enabled = false
		case "scaling":
			if value == "classic" {
				c.Scaling = ScalingClassic
			}
			if parts := strings.Split(value, ":"); len(parts) == 3 {
				least, _ := strconv.Atoi(parts[1])
				most, _ := strconv.Atoi(parts[2])
				c.Scaling = ProvisionedScaling(least, most)
			}
		}
	}
	return c
}

func (p *mapPlayer) received(words []string) {
	x := Message{Bytes: 100, Until: p.now.Add(30 * time.Second)}
	full := false
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "full":
			full = true
		case "group":
			x.Group = uint64(n)
		case "bytes":
			x.Bytes = n
		case "for":
			x.Until = p.now.Add(p.duration(value))
		case "run":
			x.Start = x.Until.Add(-p.duration(value))
		}
	}
	var messages []Message
	for i, part := range strings.Split(words[2], ",") {
		if i > 0 && x.Group > 0 {
			x.Group++ // each part of a list is another group
		}
		for _, n := range numbers(p.t, part, "m") {
			x.ID = MessageID(n)
			messages = append(messages, x)
		}
	}
	p.step(Received(ReceiveID(numbers(p.t, words[1], "r")[0]), messages, full, len(messages) == 0))
}

func (p *mapPlayer) answered(words []string) {
	var failed []MessageID
	if len(words) > 2 {
		for _, part := range strings.Split(strings.TrimPrefix(words[2], "failed="), ",") {
			failed = append(failed, MessageID(numbers(p.t, part, "m")[0]))
		}
	}
	for _, b := range numbers(p.t, words[1], "b") {
		p.step(Answered(BatchID(b), results[words[0]], failed))
	}
}

func (p *mapPlayer) run(to Instant) {
	for {
		at, ok := p.machine.Deadline()
		if !ok || at > to {
			break
		}
		p.now = max(p.now, at)
		p.step(MappingTick())
	}
	p.now = to
}

func (p *mapPlayer) step(in MappingInput) {
	effects := p.machine.Step(p.now, in, nil)
	if err := p.machine.check(); err != nil {
		p.t.Fatalf("at %v: %v", p.now, err)
	}
	for _, e := range effects {
		switch e.Do {
		case Receive:
			p.say("receive r%d up to %d", e.Receive, e.Max)
		case StopReceive:
			p.say("stop r%d", e.Receive)
		case Invoke:
			p.say("invoke b%d with %s", e.Batch, span(e.Messages))
		case Delete:
			p.say("delete %s", span(e.Messages))
		case Release:
			p.say("let go %s", span(e.Messages))
		}
	}
}

func (p *mapPlayer) say(format string, args ...any) {
	p.out = append(p.out, fmt.Sprintf("%v ", p.now)+fmt.Sprintf(format, args...))
}

// span prints messages, in runs.
func span(ids []MessageID) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprintf("m%d", ids[i]))
		} else {
			parts = append(parts, fmt.Sprintf("m%d..m%d", ids[i], ids[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}

// compress joins lines that start or stop one receive after the other.
func compress(lines []string) []string {
	var out []string
	for i := 0; i < len(lines); {
		var at, what, rest string
		var first int
		j := i
		if n, _ := fmt.Sscanf(lines[i], "%s %s r%d", &at, &what, &first); n == 3 {
			rest = lines[i][strings.Index(lines[i], fmt.Sprintf("r%d", first))+len(fmt.Sprintf("r%d", first)):]
			step := 1
			if what == "stop" {
				step = -1
			}
			for j+1 < len(lines) && lines[j+1] == fmt.Sprintf("%s %s r%d%s", at, what, first+(j+1-i)*step, rest) {
				j++
			}
			if j > i {
				out = append(out, fmt.Sprintf("%s %s r%d..r%d%s", at, what, first, first+(j-i)*step, rest))
				i = j + 1
				continue
			}
		}
		out = append(out, lines[i])
		i++
	}
	return slices.Clip(out)
}
