package admission

import "fmt"

// A line is an effect as a script shows it. Effects that differ only in counted-up numbers
// share a line: "boot e1..e10 for f".
type line struct {
	verb, suffix string
	inv, env     int  // first; 0: not shown
	down         bool // the environments count down
	n            int
}

func (p *player) print(effects []Effect) []string {
	var lines []line
	for _, e := range effects {
		l := p.line(e)
		if k := len(lines) - 1; k >= 0 && lines[k].follows(l) {
			lines[k].down = l.env < lines[k].env
			lines[k].n++
			continue
		}
		lines = append(lines, l)
	}
	var out []string
	for _, l := range lines {
		out = append(out, l.String())
	}
	return out
}

// follows reports whether next continues l by one.
func (l line) follows(next line) bool {
	invs := l.inv == 0 && next.inv == 0 || next.inv == l.inv+l.n
	envs := l.env == 0 && next.env == 0 || next.env == l.env+l.n && !l.down || next.env == l.env-l.n && (l.down || l.n == 1)
	return l.verb == next.verb && l.suffix == next.suffix && invs && envs
}

func (l line) String() string {
	s := l.verb
	span := func(prefix string, first, last int) string {
		if first == 0 {
			return ""
		}
		if first == last {
			return fmt.Sprintf(" %s%d", prefix, first)
		}
		return fmt.Sprintf(" %s%d..%s%d", prefix, first, prefix, last)
	}
	s += span("i", l.inv, l.inv+l.n-1)
	if l.inv != 0 && l.env != 0 {
		s += " on"
	}
	last := l.env + l.n - 1
	if l.down {
		last = l.env - l.n + 1
	}
	return s + span("e", l.env, last) + l.suffix
}

func (p *player) line(e Effect) line {
	why := e.Why.Text(p.functionName)
	l := line{inv: int(e.Invocation), n: 1}
	if e.Environment != 0 {
		l.env = p.env(e.Environment)
	}
	switch e.Do {
	case Grant:
		l.verb, l.suffix = "grant", ", warm"
		if e.Cold {
			l.suffix = ", cold"
		}
		if e.IsProvisioned {
			l.suffix += ", provisioned"
		}
		if e.Spillover {
			l.suffix += ", spillover"
		}
	case Boot:
		l.verb, l.suffix = "boot", " for "+p.versionName(e.Version)
		if e.Generation > 1 {
			l.suffix += fmt.Sprintf(" generation %d", e.Generation)
		}
		l.suffix += ": " + e.Why.Limit.String()
	case Throttle:
		l.verb, l.suffix = "throttle", ": "+e.Reason.String()+": "+why
	case Fail:
		l.verb, l.suffix = "fail", ": "+why
	case Retire:
		l.verb, l.suffix = "retire", " of "+p.versionName(e.Version)
	case Provisioned:
		l.verb, l.suffix = "provisioned", " "+p.targetName(e.Target)+" "+e.Status.String()
	}
	return l
}

func (p *player) targetName(t Target) string {
	for name, a := range p.aliases {
		if a == t.Alias {
			return name
		}
	}
	return p.versionName(t.Version)
}
