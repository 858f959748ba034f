package admission

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// model is a deliberately dumb machine: it keeps a list of environments and a list of
// waiters, counts everything anew for every question, and predicts the effects of a step.
// It does not know the environments that a step will boot; adopt tells it.
type model struct {
	now     Instant
	account Account

	functions map[FunctionID]*modelFunction // never deleted, since buckets live on
	versions  map[VersionID]*modelVersion
	aliases   map[AliasID]alias
	configs   []Target
	config    map[Target]*config
	envs      []*modelEnv
	waiters   []modelWaiter
	requests  modelBucket
	region    stair
	seq       int
	effects   []Effect
}

type modelFunction struct {
	known             bool
	reserved          int
	requests, scaling modelBucket
	allocation        *modelBucket // from the first allocation on
}

type modelVersion struct {
	known      bool
	function   FunctionID
	generation uint32
	wanted     int // what the last change of configuration wanted
	holding    bool
	used       bool
	failures   int
	since      int // when it began to miss environments, in steps of seq; orders allocation
	requests   modelBucket
}

type modelEnv struct {
	id                        EnvironmentID // 0 until adopted
	version                   VersionID
	function                  FunctionID
	generation                uint32
	provisioned, ready, spent bool
	answered                  bool
	state                     state
	invocation                InvocationID
	born, idleSince           Instant
	seq                       int // when it entered its state
	age                       int // when it became ready
}

type modelWaiter struct {
	invocation InvocationID
	version    VersionID
	generation uint32
	reason     waitReason
	spillover  bool
	unmetered  bool
	since      Instant
}

// A modelBucket remembers the tokens at a moment, in billionths of nothing: plain fractions
// of a token per nanosecond, scaled by a minute.
type modelBucket struct {
	tokens int64 // × time.Minute
	at     Instant
}

func (b *modelBucket) has(now Instant, capacity, perMinute int64) bool {
	for b.at < now && b.tokens < capacity*int64(time.Minute) && perMinute > 0 {
		// In small bites, so that nothing overflows.
		bite := min(int64(now-b.at), int64(time.Second))
		b.tokens += bite * perMinute
		b.at += Instant(bite)
	}
	b.tokens, b.at = min(b.tokens, capacity*int64(time.Minute)), now
	return b.tokens >= int64(time.Minute)
}

func (b *modelBucket) take() { b.tokens -= int64(time.Minute) }
func (b *modelBucket) give() { b.tokens += int64(time.Minute) }

func newModel(a Account) *model {
	m := &model{account: a, functions: map[FunctionID]*modelFunction{}, versions: map[VersionID]*modelVersion{}, aliases: map[AliasID]alias{}, config: map[Target]*config{}}
	m.requests.tokens = int64(a.Limit) * 10 * int64(time.Minute)
	return m
}

// count counts the environments for which all conditions hold.
func (m *model) count(conditions ...func(*modelEnv) bool) int { return len(m.all(conditions...)) }

func (m *model) all(conditions ...func(*modelEnv) bool) []*modelEnv {
	var found []*modelEnv
	for _, e := range m.envs {
		ok := true
		for _, c := range conditions {
			ok = ok && c(e)
		}
		if ok {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b *modelEnv) int { return cmp.Compare(a.seq, b.seq) })
	return found
}

func provisioned(e *modelEnv) bool { return e.provisioned }
func onDemand(e *modelEnv) bool    { return !e.provisioned }
func permit(e *modelEnv) bool      { return !e.provisioned && e.state != idle }
func is(s state) func(*modelEnv) bool {
	return func(e *modelEnv) bool { return e.state == s }
}
func isReady(e *modelEnv) bool    { return e.ready }
func isNotReady(e *modelEnv) bool { return !e.ready }

func of(f FunctionID) func(*modelEnv) bool {
	return func(e *modelEnv) bool { return e.function == f }
}

func (m *model) fleet(v VersionID) func(*modelEnv) bool {
	g := m.versions[v].generation
	return func(e *modelEnv) bool { return e.version == v && e.generation == g }
}

func (m *model) inPool(e *modelEnv) bool { return m.functions[e.function].reserved == Unreserved }

func (m *model) reserved() int {
	n := 0
	for _, f := range m.functions {
		if f.reserved != Unreserved {
			n += f.reserved
		}
	}
	return n
}

// charged sums the provisioned concurrency of a function's versions.
func (m *model) charged(f FunctionID) int {
	n := 0
	for _, v := range m.versions {
		if v.function == f {
			n += v.wanted
		}
	}
	return n
}

func (m *model) poolCharged() int {
	n := 0
	for id, f := range m.functions {
		if f.reserved == Unreserved {
			n += m.charged(id)
		}
	}
	return n
}

func (m *model) free(id FunctionID) int {
	if f := m.functions[id]; f.reserved != Unreserved {
		return f.reserved - m.charged(id) - m.count(of(id), permit)
	}
	return m.account.Limit - m.reserved() - m.poolCharged() - m.count(permit, m.inPool)
}

func (m *model) room(id FunctionID) bool {
	if f := m.functions[id]; f.reserved != Unreserved {
		return m.count(of(id), permit)+m.count(of(id), provisioned) < f.reserved
	}
	return m.count(m.inPool, permit)+m.count(m.inPool, provisioned) < m.account.Limit-m.reserved()
}

func (m *model) waitersOf(v VersionID, generation uint32, reason waitReason) []modelWaiter {
	var ws []modelWaiter
	for _, w := range m.waiters {
		if w.version == v && w.generation == generation && w.reason == reason {
			ws = append(ws, w)
		}
	}
	return ws
}

func (m *model) dropWaiter(i InvocationID) {
	m.waiters = slices.DeleteFunc(m.waiters, func(w modelWaiter) bool { return w.invocation == i })
}

func (m *model) stamp(e *modelEnv, s state) {
	m.seq++
	e.state, e.seq = s, m.seq
}

func (m *model) gone(e *modelEnv) {
	m.envs = slices.DeleteFunc(m.envs, func(x *modelEnv) bool { return x == e })
}

func (m *model) retire(e *modelEnv) {
	m.gone(e)
	m.do(Effect{Do: Retire, Environment: e.id, Version: e.version})
}

func (m *model) do(e Effect) { m.effects = append(m.effects, e) }

func (m *model) boot(v VersionID, prov bool) {
	ver := m.versions[v]
	e := &modelEnv{version: v, function: ver.function, generation: ver.generation, provisioned: prov, born: m.now}
	m.stamp(e, booting)
	m.envs = append(m.envs, e)
	ver.used = true
	m.do(Effect{Do: Boot, Version: v, Generation: ver.generation, IsProvisioned: prov})
}

// adopt names the environments that the step booted, in their order per version.
func (m *model) adopt(effects []Effect) error {
	for _, x := range effects {
		if x.Do != Boot {
			continue
		}
		i := slices.IndexFunc(m.envs, func(e *modelEnv) bool {
			return e.id == 0 && e.version == x.Version && e.generation == x.Generation && e.provisioned == x.IsProvisioned
		})
		if i < 0 {
			return fmt.Errorf("nobody asked for %+v", x)
		}
		m.envs[i].id = x.Environment
	}
	return nil
}

func (m *model) find(id EnvironmentID) *modelEnv {
	for _, e := range m.envs {
		if e.id == id && id != 0 {
			return e
		}
	}
	return nil
}
