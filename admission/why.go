package admission

import (
	"fmt"
)

// A Why explains a throttle or a cold start: the limit or circumstance that caused it, and
// the numbers that held when it did.
type Why struct {
	Limit  Limit
	Value  int        // of the limit
	InUse  int        // of it
	Holder FunctionID // the function that holds most of it, if it is shared
	Held   int        // by Holder
}

// A Limit is what stood in an invocation's way.
type Limit uint8

// Limits that throttle, circumstances that make a cold start, and causes of failure.
const (
	AccountConcurrency  Limit = iota + 1 // the unreserved pool of Value is used up
	ReservedConcurrency                  // the reservation of Value is used up
	ReservedProvisioned                  // the reservation of Value is all provisioned, for other versions or busy
	ReservedZero                         // the function is turned off
	AccountRate                          // more than Value requests per second in the account
	ReservedRate                         // more than Value requests per second for the reservation
	FunctionScaling                      // the function made Value environments in so short a time
	RegionScaling                        // all functions together did

	FirstEnvironment    // the version had no environment yet
	NewGeneration       // nor since its last update
	NoneLeft            // those it had were retired
	AllBusy             // all Value are busy or booting
	ProvisionedBusy     // all Value provisioned ones are busy, and no other is idle
	ProvisionedRate     // more than Value requests per second on provisioned concurrency
	ProvisionedNotReady // the Value provisioned ones are not all up
	Allocation          // the boot is for provisioned concurrency

	Unknown  // there is no such target
	BootLost // the environment could not be made
)

var limits = [...]string{
	"none", "AccountConcurrency", "ReservedConcurrency", "ReservedProvisioned", "ReservedZero", "AccountRate", "ReservedRate",
	"FunctionScaling", "RegionScaling", "FirstEnvironment", "NewGeneration", "NoneLeft", "AllBusy", "ProvisionedBusy",
	"ProvisionedRate", "ProvisionedNotReady", "Allocation", "Unknown", "BootLost",
}

// String returns the limit's name, as logs and scripts show it.
func (l Limit) String() string { return limits[l] }

// spillover reports whether provisioned concurrency was there but could not serve.
func (w Why) spillover() bool { return w.Limit == ProvisionedBusy || w.Limit == ProvisionedRate }

// Text explains in a sentence: which limit, who held it, and what would have avoided it.
// It prints functions as name gives them.
func (w Why) Text(name func(FunctionID) string) string {
	switch w.Limit {
	case AccountConcurrency:
		s := fmt.Sprintf("%d of %d unreserved concurrency in use", w.InUse, w.Value)
		if w.Holder != 0 {
			s += fmt.Sprintf(", %d by %s", w.Held, name(w.Holder))
		}
		return s + "; reserve concurrency for this function, cap the other, or raise the account's limit"
	case ReservedConcurrency:
		return fmt.Sprintf("%d of %d reserved concurrency in use; raise the reservation", w.InUse, w.Value)
	case ReservedProvisioned:
		return fmt.Sprintf("all %d reserved concurrency is provisioned; raise the reservation or lower the provisioned concurrency", w.Value)
	case ReservedZero:
		return "reserved concurrency is 0: the function is turned off; raise or delete the reservation"
	case AccountRate:
		return fmt.Sprintf("more than %d requests per second, ten times the account's concurrency; raise the account's limit", w.Value)
	case ReservedRate:
		return fmt.Sprintf("more than %d requests per second, ten times the reserved concurrency; raise the reservation", w.Value)
	case FunctionScaling:
		return fmt.Sprintf("the function created %d environments faster than 1,000 per 10 s; provision concurrency or ramp up", w.Value)
	case RegionScaling:
		return fmt.Sprintf("the region's burst of %d environments is used up and grows by %d a minute; provision concurrency or ramp up", w.Value, classicPerMinute)
	case FirstEnvironment:
		return "first invocation: no environment existed; provision concurrency to have one ready"
	case NewGeneration:
		return "first invocation since code or configuration changed"
	case NoneLeft:
		return "earlier environments were retired after being idle; provision concurrency to keep some ready"
	case AllBusy:
		return fmt.Sprintf("all %d environments were busy; provision concurrency for the peak", w.Value)
	case ProvisionedBusy:
		return fmt.Sprintf("all %d provisioned environments were busy; raise the provisioned concurrency", w.Value)
	case ProvisionedRate:
		return fmt.Sprintf("more than %d requests per second, ten times the provisioned concurrency; raise it", w.Value)
	case ProvisionedNotReady:
		return fmt.Sprintf("the %d provisioned environments were not all up yet", w.Value)
	case Allocation:
		return "provisioned concurrency"
	case Unknown:
		return "there is no such function, version or alias"
	case BootLost:
		return "the environment could not be made"
	}
	return ""
}

// spill says why no provisioned environment can take an invocation now; a zero Limit means
// that one can.
func (m *Machine) spill(fl *fleet) Why {
	switch r := m.requestRate(int(fl.wanted)); {
	case fl.usable() == 0:
		return Why{Limit: ProvisionedNotReady, Value: int(fl.wanted)}
	case fl.warm.top == 0:
		return Why{Limit: ProvisionedBusy, Value: int(fl.usable()), InUse: int(fl.usable())}
	case !m.versions[fl.version].requests.has(m.now, r):
		return Why{Limit: ProvisionedRate, Value: int(r.capacity)}
	}
	return Why{}
}

// coldWhy explains the cold start of an invocation that found no idle environment.
func (m *Machine) coldWhy(fl *fleet, spill Why) Why {
	n := fl.busy + fl.boots.len
	switch {
	case spill.Limit != 0:
		return spill
	case n > 0:
		return Why{Limit: AllBusy, Value: int(n), InUse: int(n)}
	case fl.used:
		return Why{Limit: NoneLeft}
	case fl.generation > 1:
		return Why{Limit: NewGeneration}
	}
	return Why{Limit: FirstEnvironment}
}

// throttleConcurrency refuses an invocation for want of a permit.
func (m *Machine) throttleConcurrency(inv InvocationID, id FunctionID) {
	f := &m.functions[id]
	if f.reserved == Unreserved {
		why := Why{Limit: AccountConcurrency, Value: max(m.pool(), 0), InUse: m.poolRunning}
		if why.Holder = m.noisiest(); why.Holder != 0 {
			why.Held = int(m.functions[why.Holder].running)
		}
		m.throttle(inv, ConcurrentInvocationLimitExceeded, why)
		return
	}
	why := Why{Limit: ReservedConcurrency, Value: int(f.reserved), InUse: int(f.running + f.provisioned)}
	if f.provisioned >= f.reserved {
		why.Limit = ReservedProvisioned
	}
	m.throttle(inv, ReservedFunctionConcurrentInvocationLimitExceeded, why)
}

// throttleRate refuses an invocation that came too soon after others.
func (m *Machine) throttleRate(inv InvocationID, f *function) {
	if f.reserved == Unreserved {
		m.throttle(inv, FunctionInvocationRateLimitExceeded, Why{Limit: AccountRate, Value: int(m.requestRate(m.account.Limit).capacity)})
		return
	}
	m.throttle(inv, ReservedFunctionInvocationRateLimitExceeded, Why{Limit: ReservedRate, Value: int(m.requestRate(int(f.reserved)).capacity)})
}

func (m *Machine) scalingWhy() Why {
	if p := m.account.Profile; p.IsClassic() {
		return Why{Limit: RegionScaling, Value: int(p.burst())}
	}
	return Why{Limit: FunctionScaling, Value: perFunctionBurst}
}

// looks is how many functions noisiest compares at a time.
const looks = 16

// noisiest returns the function that holds most of the pool, as far as is known: hold notes
// who grows past it, and every throttle looks at a few more, so that a function that stays
// large while the noisy one shrinks is soon found.
func (m *Machine) noisiest() FunctionID {
	for range min(looks, len(m.functions)) {
		m.look++
		if int(m.look) >= len(m.functions) {
			m.look = 0
		}
		f, most := &m.functions[m.look], &m.functions[m.noisy]
		if f.reserved == Unreserved && (f.running > most.running || most.reserved != Unreserved) {
			m.noisy = m.look
		}
	}
	if most := &m.functions[m.noisy]; most.reserved != Unreserved || most.running == 0 {
		return 0
	}
	return m.noisy
}
