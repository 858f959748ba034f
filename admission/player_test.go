package admission

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A player gives a script's commands to a machine and prints its effects.
//
//	t=1s COMMAND            at this time; without t= at the time of the line before
//	account limit=1000 profile=per-function idle=10m age=6h
//	function f [reserved=N|none]      makes f and its $LATEST
//	publish f:1                       makes a version
//	alias f:prod 1 [2 0.1]            points an alias to version 1, a tenth to 2
//	provision f:prod 5                0 takes it away
//	update f                          new code for $LATEST (or f:1)
//	remove f | f:1 | f:prod
//	arrive f[:q] i1[..i9] [roll=0.5] [unmetered]
//	cancel i1[..i9]
//	booted, initfailed, answered, finished, lost   e1[..e9] | i1[..i9] | all
//	reserve? f N, provision? f N      what the budget says of a wish
//	tick, status f:q, free f, deadline
type player struct {
	t       *testing.T
	machine *Machine
	now     Instant
	account Account

	functions map[string]FunctionID
	versions  map[string]VersionID // "f" is $LATEST, "f:1" a number
	aliases   map[string]AliasID
	wishes    map[string]int // configured provisioned concurrency by name
	reserved  map[string]int

	made []EnvironmentID // e1 is made[0]
	runs map[EnvironmentID]InvocationID
	boot map[EnvironmentID]bool
}

func newPlayer(t *testing.T) *player {
	a := Account{Limit: 1000, IdleTimeout: 10 * time.Minute, MaxAge: 6 * time.Hour}
	return &player{
		t: t, machine: New(a), account: a,
		functions: map[string]FunctionID{}, versions: map[string]VersionID{}, aliases: map[string]AliasID{},
		wishes: map[string]int{}, reserved: map[string]int{},
		runs: map[EnvironmentID]InvocationID{}, boot: map[EnvironmentID]bool{},
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

func (p *player) command(line string) []string {
	words := strings.Fields(line)
	if at, ok := strings.CutPrefix(words[0], "t="); ok {
		d, err := time.ParseDuration(at)
		if err != nil || Instant(d) < p.now {
			p.t.Fatalf("%s: a bad time: %v", line, err)
		}
		p.now = Instant(d)
		words = words[1:]
	}
	var effects []Effect
	switch words[0] {
	case "tick":
		effects = p.step(Tick())
	case "account":
		p.setAccount(words[1:])
		effects = p.step(Configure(p.account))
	case "arrive":
		effects = p.arrive(words[1:])
	case "cancel":
		for _, i := range p.numbers(words[1], "i") {
			effects = append(effects, p.step(Cancel(InvocationID(i)))...)
		}
	case "booted", "initfailed", "answered", "finished", "lost":
		effects = p.environments(words[0], words[1])
	case "status", "free", "deadline", "reserve?", "provision?":
		return p.query(words)
	default:
		effects = p.configure(words)
	}
	return p.print(effects)
}

func (p *player) step(in Input) []Effect {
	effects := p.machine.Step(p.now, in, nil)
	if err := p.machine.check(); err != nil {
		p.t.Fatalf("at %v: %v", p.now, err)
	}
	for _, e := range effects {
		switch e.Do {
		case Boot:
			p.made = append(p.made, e.Environment)
			p.boot[e.Environment] = true
		case Grant:
			p.runs[e.Environment] = e.Invocation
		case Retire:
			delete(p.boot, e.Environment)
			delete(p.runs, e.Environment)
		}
	}
	return effects
}

func (p *player) setAccount(words []string) {
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		var err error
		switch key {
		case "limit":
			p.account.Limit, err = strconv.Atoi(value)
		case "profile":
			p.account.Profile, err = ParseProfile(value)
		case "idle":
			p.account.IdleTimeout, err = time.ParseDuration(value)
		case "age":
			p.account.MaxAge, err = time.ParseDuration(value)
		default:
			err = fmt.Errorf("what is %s?", key)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *player) configure(words []string) []Effect {
	name := words[1]
	switch words[0] {
	case "function":
		reserved := Unreserved
		if len(words) > 2 && words[2] != "reserved=none" {
			reserved = p.number(strings.TrimPrefix(words[2], "reserved="))
		}
		p.reserved[name] = reserved
		if _, ok := p.functions[name]; ok {
			return p.step(Function(p.functions[name], reserved))
		}
		p.functions[name] = FunctionID(len(p.functions) + 1)
		p.versions[name] = VersionID(len(p.versions) + 1)
		effects := p.step(Function(p.functions[name], reserved))
		return append(effects, p.step(Version(p.versions[name], p.functions[name]))...)
	case "publish":
		f, _, _ := strings.Cut(name, ":")
		p.versions[name] = VersionID(len(p.versions) + 1)
		return p.step(Version(p.versions[name], p.functions[f]))
	case "alias":
		f, _, _ := strings.Cut(name, ":")
		if _, ok := p.aliases[name]; !ok {
			p.aliases[name] = AliasID(len(p.aliases) + 1)
		}
		var second VersionID
		var weight float64
		if len(words) > 4 {
			second = p.versions[f+":"+words[3]]
			weight, _ = strconv.ParseFloat(words[4], 64)
		}
		return p.step(Alias(p.aliases[name], p.versions[f+":"+words[2]], second, weight))
	case "provision":
		p.wishes[name] = p.number(words[2])
		return p.step(Provision(p.target(name), p.number(words[2])))
	case "update":
		return p.step(Update(p.versions[name]))
	case "remove":
		return p.remove(name)
	}
	p.t.Fatalf("what is %v?", words)
	return nil
}

func (p *player) remove(name string) []Effect {
	if a, ok := p.aliases[name]; ok {
		delete(p.aliases, name)
		return p.step(RemoveAlias(a))
	}
	effects := p.step(RemoveVersion(p.versions[name]))
	if f, ok := p.functions[name]; ok {
		effects = append(effects, p.step(RemoveFunction(f))...)
	}
	return effects
}

func (p *player) target(name string) Target {
	if a, ok := p.aliases[name]; ok {
		return Target{Alias: a}
	}
	return Target{Version: p.versions[name]}
}

func (p *player) arrive(words []string) []Effect {
	roll, unmetered := 0.5, false
	for _, w := range words[2:] {
		if r, ok := strings.CutPrefix(w, "roll="); ok {
			roll, _ = strconv.ParseFloat(r, 64)
		}
		unmetered = unmetered || w == "unmetered"
	}
	var effects []Effect
	for _, i := range p.numbers(words[1], "i") {
		in := Arrive(InvocationID(i), p.target(words[0]), roll)
		if unmetered {
			in = ArriveUnmetered(InvocationID(i), p.target(words[0]), roll)
		}
		effects = append(effects, p.step(in)...)
	}
	return effects
}

// environments tells the machine what became of environments, named by themselves or by
// what runs on them.
func (p *player) environments(what, which string) []Effect {
	var effects []Effect
	for _, e := range p.which(what, which) {
		switch what {
		case "booted":
			effects = append(effects, p.step(Booted(e))...)
		case "initfailed":
			effects = append(effects, p.step(InitFailed(e))...)
		case "answered":
			effects = append(effects, p.step(Answered(e, p.runs[e]))...)
		case "finished":
			effects = append(effects, p.step(Finished(e))...)
		case "lost":
			effects = append(effects, p.step(Lost(e))...)
		}
	}
	return effects
}

func (p *player) which(what, which string) []EnvironmentID {
	var ids []EnvironmentID
	switch {
	case which == "all":
		for _, e := range p.made {
			running := what == "finished" || what == "answered"
			if running && p.runs[e] != 0 || !running && p.boot[e] {
				ids = append(ids, e)
			}
		}
	case which[0] == 'i':
		for _, i := range p.numbers(which, "i") {
			for _, e := range p.made {
				if p.runs[e] == InvocationID(i) {
					ids = append(ids, e)
				}
			}
		}
	default:
		for _, n := range p.numbers(which, "e") {
			ids = append(ids, p.made[n-1])
		}
	}
	if what == "answered" {
		return ids
	}
	for _, e := range ids {
		delete(p.runs, e)
		delete(p.boot, e)
	}
	return ids
}

func (p *player) query(words []string) []string {
	switch words[0] {
	case "status":
		s := p.machine.Provisioned(p.target(words[1]))
		return []string{fmt.Sprintf("%s: %d requested, %d available, %v", words[1], s.Requested, s.Available, s.Status)}
	case "free":
		return []string{fmt.Sprintf("%s: %d free", words[1], p.machine.free(&p.machine.functions[p.functions[words[1]]]))}
	case "deadline":
		at, ok := p.machine.Deadline()
		if !ok {
			return []string{"deadline never"}
		}
		return []string{"deadline " + at.String()}
	}
	b, n := p.budget(words[1]), p.number(words[2])
	breach := b.Reserve(n)
	if words[0] == "provision?" {
		breach = b.Provision(n)
	}
	return []string{[]string{"fits", "below the unreserved floor", "below the function's provisioned concurrency", "above the reservation", "above the unreserved concurrency"}[breach]}
}

// budget adds up what the script has configured.
func (p *player) budget(name string) Budget {
	b := Budget{Limit: p.account.Limit, Reserved: p.reserved[name]}
	for f, r := range p.reserved {
		if f != name && r != Unreserved {
			b.OthersReserved += r
		}
	}
	for wish, n := range p.wishes {
		f, _, _ := strings.Cut(wish, ":")
		switch {
		case f == name:
			b.Provisioned += n
		case p.reserved[f] == Unreserved:
			b.OthersProvisioned += n
		}
	}
	return b
}

func (p *player) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// numbers reads "i3" or "i1..i9".
func (p *player) numbers(s, prefix string) []int {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	var ns []int
	for n := p.number(strings.TrimPrefix(from, prefix)); n <= p.number(strings.TrimPrefix(to, prefix)); n++ {
		ns = append(ns, n)
	}
	return ns
}

func (p *player) env(e EnvironmentID) int { return slices.Index(p.made, e) + 1 }

func (p *player) functionName(id FunctionID) string {
	for name, f := range p.functions {
		if f == id {
			return name
		}
	}
	return id.String()
}

func (p *player) versionName(id VersionID) string {
	for name, v := range p.versions {
		if v == id {
			return name
		}
	}
	return "?"
}
