package metric

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// An Expression is a parsed expression of metric math (CloudWatch: "Using math expressions").
type Expression struct {
	text string
	root *node
}

// String returns the expression as it was written.
func (e *Expression) String() string { return e.text }

// MaxExpression bounds an expression, in bytes.
const MaxExpression = 2048

type nodeKind uint8

const (
	nodeNumber nodeKind = iota
	nodeString
	nodeName   // another line, or a word such as REPEAT
	nodeCall   // text is the function
	nodeArray  // [a, b]
	nodeBinary // text is the operator
	nodeMinus
)

type node struct {
	kind   nodeKind
	text   string
	number float64
	args   []*node
}

// ParseExpression reads an expression. Functions that weir does not have are an error.
func ParseExpression(text string) (*Expression, error) {
	if len(text) > MaxExpression {
		return nil, fmt.Errorf("the expression has more than %d bytes", MaxExpression)
	}
	p := &mathParser{text: text}
	p.advance()
	root, err := p.binary(0, 0)
	if err == nil && p.tok != "" {
		err = fmt.Errorf("unexpected %q", p.tok)
	}
	if err == nil {
		err = p.err
	}
	if err != nil {
		return nil, err
	}
	return &Expression{text, root}, nil
}

type mathParser struct {
	text string
	pos  int
	tok  string // "" at the end; a string keeps its quote in front
	err  error
}

// levels are the binary operators, the loosest first.
var levels = [][]string{{"||", "OR"}, {"&&", "AND"}, {"==", "!=", "<=", ">=", "<", ">"}, {"+", "-"}, {"*", "/"}, {"^"}}

func (p *mathParser) advance() {
	p.pos += len(p.text[p.pos:]) - len(strings.TrimLeft(p.text[p.pos:], " \t\r\n"))
	rest := p.text[p.pos:]
	n := 1
	switch {
	case rest == "":
		n = 0
	case rest[0] == '\'' || rest[0] == '"':
		end := strings.IndexByte(rest[1:], rest[0])
		if end < 0 {
			p.err = errors.New("a string has no end")
			end = len(rest) - 1
		}
		p.tok, p.pos = rest[:end+1], min(p.pos+end+2, len(p.text))
		return
	case isWord(rest[0]):
		for n < len(rest) && isWord(rest[n]) {
			n++
		}
	case len(rest) > 1 && strings.Contains("== != <= >= && ||", rest[:2]) && rest[1] != ' ':
		n = 2
	}
	p.tok, p.pos = rest[:n], p.pos+n
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}

func (p *mathParser) take(tok string) bool {
	if p.tok != tok {
		return false
	}
	p.advance()
	return true
}

func (p *mathParser) expect(tok string) error {
	if !p.take(tok) {
		return fmt.Errorf("expected %q and not %q", tok, p.tok)
	}
	return nil
}

func (p *mathParser) binary(level, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("the expression is nested too deeply")
	}
	if level == len(levels) {
		return p.unary(depth)
	}
	left, err := p.binary(level+1, depth)
	for err == nil {
		op := p.tok
		found := false
		for _, o := range levels[level] {
			found = found || o == op
		}
		if !found {
			break
		}
		p.advance()
		n := &node{kind: nodeBinary, text: op, args: []*node{left, nil}}
		n.args[1], err = p.binary(level+1, depth+1)
		left = n
	}
	return left, err
}

func (p *mathParser) unary(depth int) (*node, error) {
	tok := p.tok
	switch {
	case p.take("-"):
		arg, err := p.binary(len(levels), depth+1)
		return &node{kind: nodeMinus, args: []*node{arg}}, err
	case p.take("("):
		n, err := p.binary(0, depth+1)
		if err == nil {
			err = p.expect(")")
		}
		return n, err
	case p.take("["):
		args, err := p.list("]", depth)
		return &node{kind: nodeArray, args: args}, err
	case tok != "" && (tok[0] == '\'' || tok[0] == '"'):
		p.advance()
		return &node{kind: nodeString, text: tok[1:]}, nil
	case tok == "" || !isWord(tok[0]):
		return nil, fmt.Errorf("unexpected %q", tok)
	}
	p.advance()
	if tok[0] >= '0' && tok[0] <= '9' || tok[0] == '.' {
		x, err := strconv.ParseFloat(tok, 64)
		if err != nil || !finite(x) {
			return nil, fmt.Errorf("%q is no number", tok)
		}
		return &node{kind: nodeNumber, number: x}, nil
	}
	if !p.take("(") {
		return &node{kind: nodeName, text: tok}, nil
	}
	f, ok := functions[strings.ToUpper(tok)]
	if !ok {
		return nil, fmt.Errorf("the function %s is not supported", tok)
	}
	args, err := p.list(")", depth)
	if err == nil && (len(args) < f.least || len(args) > f.most) {
		err = fmt.Errorf("%s takes %d to %d arguments", tok, f.least, f.most)
	}
	return &node{kind: nodeCall, text: strings.ToUpper(tok), args: args}, err
}

func (p *mathParser) list(end string, depth int) ([]*node, error) {
	if p.take(end) {
		return nil, nil
	}
	var args []*node
	for {
		n, err := p.binary(0, depth+1)
		if err != nil {
			return nil, err
		}
		args = append(args, n)
		if p.take(end) {
			return args, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// A SearchCall is a SEARCH of an expression.
type SearchCall struct {
	Search *Search
	Stat   Stat
	Period time.Duration // 0: that of the request
}

// Searches returns the SEARCH calls of the expression by their text; see Inputs.Found.
func (e *Expression) Searches() (map[string]SearchCall, error) {
	calls := make(map[string]SearchCall)
	return calls, e.root.searches(calls)
}

func (n *node) searches(calls map[string]SearchCall) error {
	if n.kind == nodeCall && n.text == "SEARCH" {
		if n.args[0].kind != nodeString || n.args[1].kind != nodeString {
			return errors.New("SEARCH takes a query and a statistic in quotes")
		}
		var c SearchCall
		var err error
		if c.Search, err = ParseSearch(n.args[0].text); err != nil {
			return err
		}
		var ok bool
		if c.Stat, ok = ParseStat(n.args[1].text); !ok {
			return fmt.Errorf("%q is no statistic", n.args[1].text)
		}
		if len(n.args) > 2 {
			c.Period = time.Duration(n.args[2].number) * time.Second
			if n.args[2].kind != nodeNumber || c.Period <= 0 {
				return errors.New("the period of SEARCH must be a number of seconds")
			}
		}
		calls[n.searchKey()] = c
		return nil
	}
	for _, a := range n.args {
		if err := a.searches(calls); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) searchKey() string {
	key := n.args[0].text + "\x00" + n.args[1].text
	if len(n.args) > 2 {
		key += "\x00" + strconv.FormatFloat(n.args[2].number, 'g', -1, 64)
	}
	return key
}

// Names returns the lines that the expression refers to.
func (e *Expression) Names() []string {
	var names []string
	var walk func(n *node)
	walk = func(n *node) {
		if n.kind == nodeName && n.text[0] >= 'a' && n.text[0] <= 'z' {
			names = append(names, n.text)
		}
		for _, a := range n.args {
			walk(a)
		}
	}
	walk(e.root)
	return names
}
