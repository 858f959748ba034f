package admission

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Int64("seed", -1, "play only this seed")
	seedsFlag = flag.Int64("seeds", 300, "how many seeds to play")
)

// TestSeeds plays random inputs, with a configuration that is drawn from the seed too,
// against the machine and the dumb model, and holds the six promises.
func TestSeeds(t *testing.T) {
	for seed := range *seedsFlag {
		if *seedFlag >= 0 && seed != *seedFlag {
			continue
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 7))
			if err := newTrial(rnd.Uint64N).play(600); err != nil {
				t.Fatalf("%v\nreproduce: go test ./admission -run TestSeeds -seeds %d -seed %d", err, seed+1, seed)
			}
		})
	}
}

// FuzzStep lets the fuzzer choose the inputs.
func FuzzStep(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add([]byte{0, 255, 1, 254, 2, 253, 3, 252, 100, 100, 100, 0, 0, 0, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		draw := func(n uint64) uint64 {
			if len(data) == 0 {
				return 0
			}
			x := uint64(data[0])
			data = data[1:]
			return x % n
		}
		if err := newTrial(draw).play(min(len(data), 400)); err != nil {
			t.Fatal(err)
		}
	})
}

// A trial plays inputs against three machines: one that is told the time only by its inputs,
// one that gets a Tick at every deadline and some more, and the model.
type trial struct {
	draw    func(n uint64) uint64
	now     Instant
	account Account
	late    *Machine
	prompt  *Machine
	model   *model

	lateLog, promptLog []Effect
	invocations        InvocationID
	open               map[InvocationID]string // what an arrival got: "", waiting, running
	live               []EnvironmentID
}

func newTrial(draw func(uint64) uint64) *trial {
	t := &trial{draw: draw, open: map[InvocationID]string{}}
	t.account = t.drawAccount()
	t.late, t.prompt, t.model = New(t.account), New(t.account), newModel(t.account)
	return t
}

func (t *trial) pick(n int) int { return int(t.draw(uint64(n))) }

func (t *trial) drawAccount() Account {
	profiles := []Profile{PerFunction, Classic("us-east-1"), Classic("eu-north-1")}
	return Account{
		Limit:       t.pick(14),
		Profile:     profiles[t.pick(3)],
		IdleTimeout: []time.Duration{time.Second, time.Minute, 10 * time.Minute}[t.pick(3)],
		MaxAge:      []time.Duration{5 * time.Second, 5 * time.Minute, 6 * time.Hour}[t.pick(3)],
	}
}

func (t *trial) play(steps int) error {
	for step := range steps {
		t.now = t.now.Add([]time.Duration{0, 0, 0, 2 * time.Millisecond, 30 * time.Millisecond, time.Second, 20 * time.Second, 5 * time.Minute}[t.pick(8)])
		// What falls due comes first and apart, so that the model can learn the environments
		// it boots.
		for _, in := range []Input{Tick(), t.input()} {
			if err := t.step(in); err != nil {
				return fmt.Errorf("step %d at %v, input %+v: %w", step, t.now, in, err)
			}
		}
	}
	return nil
}

// input draws what happens next. Most environments that are named exist.
func (t *trial) input() Input {
	f, v, a := FunctionID(t.pick(3)+1), VersionID(t.pick(6)+1), AliasID(t.pick(3)+1)
	target := Target{Version: v}
	if t.pick(3) == 0 {
		target = Target{Alias: a}
	}
	switch t.pick(26) {
	case 0:
		return Function(f, t.pick(8)-1)
	case 1:
		return Version(v, FunctionID(v+1)/2)
	case 2:
		return Alias(a, v, VersionID(t.pick(7)), float64(t.pick(5))/4)
	case 3:
		return Provision(target, t.pick(5))
	case 4:
		return Update(v)
	case 5:
		return t.rare(f, v, a)
	case 6:
		return Cancel(InvocationID(t.pick(int(t.invocations) + 1)))
	case 7, 8, 9:
		return Finished(t.environment())
	case 10, 18:
		e := t.environment()
		return Answered(e, t.runs(e))
	case 11, 12, 13:
		return Booted(t.environment())
	case 14:
		return InitFailed(t.environment())
	case 15:
		return Lost(t.environment())
	case 16:
		return Tick()
	case 17:
		t.invocations++
		return ArriveUnmetered(t.invocations, target, float64(t.pick(8))/8)
	}
	t.invocations++
	return Arrive(t.invocations, target, float64(t.pick(8))/8)
}

func (t *trial) rare(f FunctionID, v VersionID, a AliasID) Input {
	switch t.pick(6) {
	case 0:
		return RemoveFunction(f)
	case 1:
		return RemoveVersion(v)
	case 2:
		return RemoveAlias(a)
	case 3:
		t.account = t.drawAccount()
		return Configure(t.account)
	case 4:
		return Function(MaxID+1, 1)
	}
	return Version(MaxID+1, f)
}

func (t *trial) environment() EnvironmentID {
	if len(t.live) == 0 || t.pick(20) == 0 {
		return EnvironmentID(t.pick(9))
	}
	return t.live[t.pick(len(t.live))]
}

// runs returns what runs on an environment, or sometimes something else.
func (t *trial) runs(e EnvironmentID) InvocationID {
	if x := t.model.find(e); x != nil && t.pick(8) > 0 {
		return x.invocation
	}
	return InvocationID(t.pick(int(t.invocations) + 1))
}

func (t *trial) step(in Input) error {
	before := t.limits()
	effects := t.late.Step(t.now, in, nil)
	if err := t.late.check(); err != nil {
		return err
	}
	if err := t.holds(in, effects, before); err != nil {
		return err
	}
	t.lateLog = append(t.lateLog, effects...)
	t.promptly(in)
	if d := difference(t.lateLog, t.promptLog); d != "" {
		return fmt.Errorf("ticks change a decision: %s", d)
	}
	t.lateLog, t.promptLog = nil, nil
	predicted := t.model.step(t.now, in)
	if d := difference(plain(effects), plain(predicted)); d != "" {
		return fmt.Errorf("the machine and the model disagree: %s", d)
	}
	return t.model.adopt(effects)
}

// promptly drives the prompt machine to now with all its ticks and then gives it the input.
func (t *trial) promptly(in Input) {
	for {
		at, ok := t.prompt.Deadline()
		if !ok || at > t.now {
			break
		}
		t.promptLog = t.prompt.Step(at, Tick(), t.promptLog)
		t.promptLog = t.prompt.Step(at-1, Tick(), t.promptLog)
	}
	t.promptLog = t.prompt.Step(t.now, in, t.promptLog)
}

// plain leaves out what the model does not predict: identities of new environments, the
// explanations, and the order.
func plain(effects []Effect) []Effect {
	effects = slices.Clone(effects)
	for i := range effects {
		effects[i].Why = Why{}
		if effects[i].Do == Boot {
			effects[i].Environment = 0
		}
	}
	slices.SortFunc(effects, func(a, b Effect) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return effects
}

func difference(a, b []Effect) string {
	if slices.Equal(a, b) {
		return ""
	}
	return fmt.Sprintf("\n  %v\n  %v", brief(a), brief(b))
}

// brief prints the effects without what is zero.
func brief(effects []Effect) string {
	s := ""
	for _, e := range effects {
		s += fmt.Sprintf("[%s %v on %v v%d.%d provisioned=%t cold=%t spill=%t %d %v]", [...]string{"?", "grant", "throttle", "fail", "boot", "retire", "provisioned"}[e.Do],
			e.Invocation, e.Environment, e.Version, e.Generation, e.IsProvisioned, e.Cold, e.Spillover, e.Reason, e.Status)
	}
	return s
}

// limits notes how far the permits in use exceed what is allowed, before a step.
func (t *trial) limits() map[FunctionID]int {
	over := map[FunctionID]int{}
	m := t.late
	for i := range m.functions {
		if f := &m.functions[i]; f.reserved != Unreserved {
			over[FunctionID(i)] = int(max(f.running+f.up, f.reserved))
		}
	}
	over[0] = max(m.poolRunning+m.poolUp, m.account.Limit-m.reserved)
	return over
}

// holds checks promises 3 and 4 from outside, by the effects alone.
func (t *trial) holds(in Input, effects []Effect, before map[FunctionID]int) error {
	if in.kind == kindArrive {
		t.open[in.invocation] = "arrived"
	}
	if in.kind == kindCancel && t.open[in.invocation] == "arrived" {
		delete(t.open, in.invocation)
	}
	for _, e := range effects {
		switch e.Do {
		case Grant, Throttle, Fail:
			if t.open[e.Invocation] != "arrived" {
				return fmt.Errorf("%v was answered before: %+v", e.Invocation, e)
			}
			delete(t.open, e.Invocation)
		case Boot:
			t.live = append(t.live, e.Environment)
		case Retire:
			t.live = slices.DeleteFunc(t.live, func(id EnvironmentID) bool { return id == e.Environment })
		}
	}
	if in.kind >= kindArrive {
		return t.within(before)
	}
	return nil
}

// within checks that no more is in use than a limit allows, unless it was before.
func (t *trial) within(before map[FunctionID]int) error {
	m := t.late
	for i := range m.functions {
		f := &m.functions[i]
		if limit, ok := before[FunctionID(i)]; ok && f.reserved != Unreserved && int(f.running+f.up) > limit {
			return fmt.Errorf("f%d uses %d + %d of %d", i, f.running, f.up, limit)
		}
	}
	if limit := before[0]; m.poolRunning+m.poolUp > limit {
		return fmt.Errorf("the pool uses %d + %d of %d", m.poolRunning, m.poolUp, limit)
	}
	return nil
}
