package dashboard

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
)

// A part is a piece of the account's concurrency, as the picture shows it.
type part struct {
	Kind     string // reserved, provisioned, pool or free
	Function string // empty: nobody's, or several
	Label    string
	Size     int // concurrency
	Used     int // of it
	Start    float64
	Width    float64 // both in percent of the limit
	Filled   float64 // used, in percent of the part
}

// maxParts is how many functions of a kind the picture shows one by one.
const maxParts = 12

// budget divides the account's concurrency: what is reserved, by function; what is provisioned
// without a reservation; what is in use of the rest, and by whom; and what is free.
func budget(v *engine.View) []part {
	var reserved, provisioned, pool []part
	for i := range v.Functions {
		f := &v.Functions[i]
		switch {
		case f.Reserved > 0:
			reserved = append(reserved, part{Kind: "reserved", Function: f.Name, Label: f.Name, Size: f.Reserved, Used: f.Running + busyProvisioned(f)})
		case f.Reserved == admission.Unreserved:
			if f.Provisioned > 0 {
				provisioned = append(provisioned, part{Kind: "provisioned", Function: f.Name, Label: f.Name, Size: f.Provisioned, Used: busyProvisioned(f)})
			}
			if f.Running > 0 {
				pool = append(pool, part{Kind: "pool", Function: f.Name, Label: f.Name, Size: f.Running, Used: f.Running})
			}
		}
	}
	parts := slices.Concat(largest(reserved), largest(provisioned), largest(pool))
	if free := v.Pool.Unreserved - v.Pool.InUse; free > 0 {
		parts = append(parts, part{Kind: "free", Label: "free", Size: free})
	}
	return place(parts, v.Pool.Limit)
}

// largest keeps the largest parts of a kind and merges the others.
func largest(parts []part) []part {
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.Size, a.Size) })
	if len(parts) <= maxParts {
		return parts
	}
	rest := part{Kind: parts[0].Kind, Label: fmt.Sprintf("%d others", len(parts)-maxParts+1)}
	for _, p := range parts[maxParts-1:] {
		rest.Size += p.Size
		rest.Used += p.Used
	}
	return append(parts[:maxParts-1], rest)
}

// place puts the parts side by side. They are more than the limit while a lowered one drains.
func place(parts []part, limit int) []part {
	sum := 0
	for _, p := range parts {
		sum += p.Size
	}
	all := float64(max(limit, sum, 1))
	at := 0.0
	for i := range parts {
		p := &parts[i]
		p.Start, p.Width = at, 100*float64(p.Size)/all
		p.Filled = 100 * min(1, float64(p.Used)/float64(max(p.Size, 1)))
		at += p.Width
	}
	return parts
}

// busyProvisioned counts the provisioned environments of a function that run.
func busyProvisioned(f *engine.FunctionView) int {
	n := 0
	for _, e := range f.Environments {
		n += e.ProvisionedBusy
	}
	return n
}

// room is how much may be reserved in the account beside what is.
func room(p admission.Pool) int {
	b := admission.Budget{Limit: p.Limit, OthersReserved: p.Reserved, OthersProvisioned: p.Provisioned}
	return b.Unreserved() - b.Floor()
}

// An advice is a change of a limit that would have avoided a throttle, and where to make it.
type advice struct {
	Text     string
	Function string // whose page has the control; empty: it is not on a page
}

// advise says what to change so that a starving does not come back. room is how much can be
// reserved now.
func advise(s *engine.Starving, room int) []advice {
	shared := s.Holder != "" && s.Holder != s.Victim
	switch s.Limit {
	case admission.AccountConcurrency.String():
		all := advice{Text: fmt.Sprintf("raise the account's limit, which leaves %d unreserved", s.Value)}
		switch {
		case !shared:
			return []advice{{Text: "it filled the unreserved concurrency itself: slow down what calls it"}, all}
		case room <= 0:
			return []advice{all, {"stop " + s.Holder + " for now: nothing can be reserved, since the rest must stay unreserved", s.Holder}}
		}
		return []advice{
			{fmt.Sprintf("reserve concurrency for %s, up to %d", s.Victim, room), s.Victim},
			{fmt.Sprintf("cap %s, which held %d, by reserving up to %d for it", s.Holder, s.Held, room), s.Holder},
			all,
		}
	case admission.ReservedConcurrency.String():
		return []advice{{fmt.Sprintf("raise the reserved concurrency of %s above %d", s.Victim, s.Value), s.Victim}}
	case admission.ReservedProvisioned.String():
		return []advice{{fmt.Sprintf("raise the reserved concurrency of %s above %d, or lower its provisioned concurrency", s.Victim, s.Value), s.Victim}}
	case admission.ReservedZero.String():
		return []advice{{s.Victim + " is turned off: raise or remove its reservation of 0", s.Victim}}
	case admission.ReservedRate.String():
		return []advice{{fmt.Sprintf("raise the reserved concurrency of %s: it allows %d requests per second", s.Victim, s.Value), s.Victim}}
	case admission.AccountRate.String():
		return []advice{{Text: fmt.Sprintf("raise the account's limit: it allows %d requests per second", s.Value)}}
	}
	return []advice{{"provision concurrency for " + s.Victim + ", or let its callers ramp up", s.Victim}}
}
