package metric

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Rule is the boolean expression of a composite alarm (CloudWatch: PutCompositeAlarm,
// AlarmRule).
type Rule struct {
	op       ruleOp
	left     *Rule
	right    *Rule
	name     string
	state    State
	constant bool
}

type ruleOp uint8

const (
	ruleConstant ruleOp = iota
	ruleState
	ruleNot
	ruleAnd
	ruleOr
)

// Bounds of a rule.
const (
	MaxRule     = 10_240 // bytes
	MaxChildren = 100    // alarms in a rule
	maxDepth    = 100    // parentheses and NOTs in one another
)

// ParseRule reads a rule. Alarms are named, or given by their ARN.
func ParseRule(text string) (*Rule, error) {
	if len(text) > MaxRule {
		return nil, fmt.Errorf("the rule has more than %d bytes", MaxRule)
	}
	p := &ruleParser{rest: text}
	r, err := p.or(0)
	if err == nil && p.token() != "" {
		err = fmt.Errorf("unexpected %q", p.peek)
	}
	if err != nil {
		return nil, err
	}
	if len(r.Children()) > MaxChildren {
		return nil, fmt.Errorf("the rule names more than %d alarms", MaxChildren)
	}
	return r, nil
}

type ruleParser struct {
	rest, peek string
}

// token returns the next word or parenthesis without taking it; "" at the end.
func (p *ruleParser) token() string {
	if p.peek == "" {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n")
		n := strings.IndexAny(p.rest, " \t\r\n()")
		switch {
		case n < 0:
			n = len(p.rest)
		case n == 0:
			n = 1
		}
		p.peek, p.rest = p.rest[:n], p.rest[n:]
	}
	return p.peek
}

func (p *ruleParser) take(word string) bool {
	if p.token() != word {
		return false
	}
	p.peek = ""
	return true
}

func (p *ruleParser) or(depth int) (*Rule, error) {
	left, err := p.and(depth)
	for err == nil && p.take("OR") {
		n := &Rule{op: ruleOr, left: left}
		n.right, err = p.and(depth)
		left = n
	}
	return left, err
}

func (p *ruleParser) and(depth int) (*Rule, error) {
	left, err := p.factor(depth)
	for err == nil && p.take("AND") {
		n := &Rule{op: ruleAnd, left: left}
		n.right, err = p.factor(depth)
		left = n
	}
	return left, err
}

func (p *ruleParser) factor(depth int) (*Rule, error) {
	if depth > maxDepth {
		return nil, errors.New("the rule is nested too deeply")
	}
	switch word := p.token(); word {
	case "NOT":
		p.peek = ""
		r, err := p.factor(depth + 1)
		return &Rule{op: ruleNot, left: r}, err
	case "(":
		p.peek = ""
		r, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = fmt.Errorf("expected ) and not %q", p.peek)
		}
		return r, err
	case "TRUE", "FALSE":
		p.peek = ""
		return &Rule{constant: word == "TRUE"}, nil
	case "ALARM", "OK", "INSUFFICIENT_DATA":
		p.peek = ""
		state, _ := ParseState(word)
		name, err := p.argument()
		return &Rule{op: ruleState, name: name, state: state}, err
	default:
		return nil, fmt.Errorf("unexpected %q", word)
	}
}

// argument reads a name in parentheses, quoted or not.
func (p *ruleParser) argument() (string, error) {
	if !p.take("(") {
		return "", fmt.Errorf("expected ( and not %q", p.peek)
	}
	p.rest = strings.TrimLeft(p.rest, " \t\r\n")
	var name string
	if quoted, ok := strings.CutPrefix(p.rest, `"`); ok {
		var closed bool
		if name, p.rest, closed = strings.Cut(quoted, `"`); !closed {
			return "", errors.New("a quoted name has no end")
		}
	} else {
		n := max(strings.IndexByte(p.rest, ')'), 0)
		name, p.rest = strings.TrimSpace(p.rest[:n]), p.rest[n:]
	}
	if _, after, ok := strings.Cut(name, ":alarm:"); ok && strings.HasPrefix(name, "arn:") {
		name = after
	}
	if name == "" || !p.take(")") {
		return "", errors.New("expected the name of an alarm in parentheses")
	}
	return name, nil
}

// Children returns the names of the alarms in the rule, in order, each once.
func (r *Rule) Children() []string {
	if r == nil {
		return nil
	}
	if r.op == ruleState {
		return []string{r.name}
	}
	names := append(r.left.Children(), r.right.Children()...)
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *Rule) mentions(name string) bool {
	return r != nil && (r.op == ruleState && r.name == name || r.left.mentions(name) || r.right.mentions(name))
}

// holds evaluates the rule. An alarm that does not exist is in no state.
func (r *Rule) holds(state func(string) (State, bool)) bool {
	switch r.op {
	case ruleState:
		s, ok := state(r.name)
		return ok && s == r.state
	case ruleNot:
		return !r.left.holds(state)
	case ruleAnd:
		return r.left.holds(state) && r.right.holds(state)
	case ruleOr:
		return r.left.holds(state) || r.right.holds(state)
	}
	return r.constant
}

// evaluateComposites moves the composite alarms until none changes. They form no cycle, which
// the driver sees to; in one that slipped through each alarm moves once.
func (m *Machine) evaluateComposites() {
	for range m.composites {
		changed := false
		for _, name := range m.composites {
			a := m.alarms[name]
			to := OK
			if a.Rule.holds(m.State) {
				to = InAlarm
			}
			if to == a.state {
				continue
			}
			changed = true
			m.transition(a, to, m.compositeReason(a), "", sample{})
		}
		if !changed {
			return
		}
	}
}

// compositeReason names the child that changed last, between ARNMarks: the driver makes an ARN
// of it.
func (m *Machine) compositeReason(a *alarm) string {
	child := m.alarms[a.trail]
	if child == nil {
		return "The alarm rule was evaluated."
	}
	return ARNMark + a.trail + ARNMark + " transitioned to " + child.state.String() + " at " +
		calendar(child.since).Format("Monday 02 January, 2006 15:04:05 MST")
}

// ARNMark encloses the names of alarms in a reason, since the machine knows no ARNs.
const ARNMark = "\x1f"
