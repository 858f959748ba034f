package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-run/weir/admission"
	"github.com/weir-run/weir/engine"
)

// topLines draws an account and region.
func topLines(v *engine.View, accounts, width int) []string {
	running := 0
	for i := range v.Functions {
		running += v.Functions[i].Concurrency
	}
	title := fmt.Sprintf("weir top   %s %s   %s UTC   q quits", v.Scope.Account, v.Scope.Region, v.At.UTC().Format("15:04:05"))
	if accounts > 1 {
		title += fmt.Sprintf(", n: next of %d accounts", accounts)
	}
	p := v.Pool
	lines := []string{
		title, "",
		fmt.Sprintf("%d of %d running   unreserved %d of %d in use   reserved %d   provisioned %d", running, p.Limit, p.InUse, p.Unreserved, p.Reserved, p.Provisioned),
	}
	lines = append(lines, topBars(v, width)...)
	lines = append(lines, "", topHeader)
	functions := slices.Clone(v.Functions)
	slices.SortStableFunc(functions, func(a, b engine.FunctionView) int {
		return cmp.Or(cmp.Compare(b.Concurrency, a.Concurrency), cmp.Compare(b.Counters.Throttled(), a.Counters.Throttled()), cmp.Compare(a.Name, b.Name))
	})
	for i := range functions {
		lines = append(lines, topFunction(&functions[i]))
	}
	lines = append(lines, "", "THROTTLES, AND WHY")
	if len(v.Starvings) == 0 {
		lines = append(lines, "none")
	}
	for i := range v.Starvings {
		lines = append(lines, topStarving(&v.Starvings[i], v.At)...)
	}
	return lines
}

// topBars draws the concurrency that is reserved, provisioned and unreserved: # in use, - free.
func topBars(v *engine.View, width int) []string {
	reserved, provisioned := 0, 0 // in use
	for i := range v.Functions {
		f := &v.Functions[i]
		warm := 0
		for _, e := range f.Environments {
			warm += e.ProvisionedBusy
		}
		switch {
		case f.Reserved != admission.Unreserved:
			reserved += f.Running + warm
		default:
			provisioned += warm
		}
	}
	return []string{
		bar("reserved", reserved, v.Pool.Reserved, v.Pool.Limit, width),
		bar("provisioned", provisioned, v.Pool.Provisioned, v.Pool.Limit, width),
		bar("unreserved", v.Pool.InUse, v.Pool.Unreserved, v.Pool.Limit, width),
	}
}

// bar is as long as its part of the limit. What is in use is seen even if it is little.
func bar(name string, used, size, limit, width int) string {
	room := width - len("provisioned [] 100000/100000")
	cells := func(n int) int {
		if n <= 0 || limit <= 0 {
			return 0
		}
		return max(1, min(room, n*room/limit))
	}
	all := cells(size)
	full := min(cells(used), all)
	return fmt.Sprintf("%-11s [%s%s%s] %d/%d", name, strings.Repeat("#", full), strings.Repeat("-", all-full), strings.Repeat(" ", room-all), used, size)
}

const topHeader = "FUNCTION              RES PROV  RUN BOOT BUSY IDLE  P-BUSY P-IDLE  INVOKED ERROR THROTTLED  COLD QUEUED  AGE"

func topFunction(f *engine.FunctionView) string {
	var e engine.Environments
	for _, x := range f.Environments {
		e.Booting += x.Booting + x.ProvisionedBooting
		e.Busy += x.Busy
		e.Idle += x.Idle
		e.ProvisionedBusy += x.ProvisionedBusy
		e.ProvisionedIdle += x.ProvisionedIdle
	}
	name := f.Name
	if r := []rune(name); len(r) > 20 {
		name = string(r[:19]) + "…"
	}
	reserved := "-"
	if f.Reserved != admission.Unreserved {
		reserved = fmt.Sprint(f.Reserved)
	}
	age := "-"
	if f.Async.Oldest > 0 {
		age = f.Async.Oldest.Round(time.Second).String()
	}
	return fmt.Sprintf("%-20s %4s %4d %4d %4d %4d %4d  %6d %6d  %7d %5d %9d %5d %6d %4s", name, reserved, f.Provisioned, f.Concurrency,
		e.Booting, e.Busy, e.Idle, e.ProvisionedBusy, e.ProvisionedIdle, f.Invocations, f.Errors, f.Counters.Throttled(), f.Cold, f.Async.Queued, age)
}

func topStarving(s *engine.Starving, now time.Time) []string {
	who := s.Victim + " throttled"
	if s.Holder != "" && s.Holder != s.Victim {
		who = s.Holder + " starved " + s.Victim
	}
	ago := "now"
	if d := now.Sub(s.At).Round(time.Second); d >= 5*time.Second {
		ago = d.String() + " ago"
	}
	return []string{
		fmt.Sprintf("%s  %dx  %s-%s (%s)  %s", who, s.Count, s.First.UTC().Format("15:04:05"), s.At.UTC().Format("15:04:05"), ago, s.Reason),
		"  " + s.Why,
	}
}
