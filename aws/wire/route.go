package wire

import (
	"slices"
	"strings"
)

// maxLabels bounds the labels of a path template.
const maxLabels = 8

// A routeNode is one segment in the tree of a service's path templates.
type routeNode struct {
	literals map[string]*routeNode
	label    *routeNode
	leaves   []routeLeaf
}

// A routeLeaf is an operation whose template ends at a node.
type routeLeaf struct {
	method string
	query  string // parameters that the template demands: find=LayerVersion
	op     int
}

// addRoute enters an operation and returns the names of its labels in order. A trailing
// slash does not matter: old clients send one, new ones do not.
func (n *routeNode) addRoute(method, template string, op int) (labels []string) {
	path, query, _ := strings.Cut(template, "?")
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if segment == "" {
			continue
		}
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			if labels = append(labels, strings.TrimSuffix(name, "}")); len(labels) > maxLabels {
				panic("wire: too many labels in " + template)
			}
			if n.label == nil {
				n.label = &routeNode{}
			}
			n = n.label
			continue
		}
		if n.literals == nil {
			n.literals = map[string]*routeNode{}
		}
		if n.literals[segment] == nil {
			n.literals[segment] = &routeNode{}
		}
		n = n.literals[segment]
	}
	n.leaves = append(n.leaves, routeLeaf{method, query, op})
	// An operation that demands more of the query string is more special.
	slices.SortStableFunc(n.leaves, func(a, b routeLeaf) int { return len(b.query) - len(a.query) })
	return labels
}

// find returns the operation for a request, or -1, and the labels of its path. path is as
// it was sent, without outer slashes.
func (n *routeNode) find(method, path, query string, labels []string) (op int, _ []string) {
	if path == "" {
		for _, leaf := range n.leaves {
			if leaf.method == method && hasAll(query, leaf.query) {
				return leaf.op, labels
			}
		}
		return -1, labels
	}
	segment, rest, _ := strings.Cut(path, "/")
	if next := n.literals[segment]; next != nil {
		if op, labels := next.find(method, rest, query, labels); op >= 0 {
			return op, labels
		}
	}
	if n.label == nil || segment == "" || len(labels) == cap(labels) {
		return -1, labels
	}
	return n.label.find(method, rest, query, append(labels, segment))
}

// hasAll reports whether a query string has all the parameters of another.
func hasAll(query, demanded string) bool {
	for demanded != "" {
		var pair string
		pair, demanded, _ = strings.Cut(demanded, "&")
		if !hasPair(query, pair) {
			return false
		}
	}
	return true
}

func hasPair(query, pair string) bool {
	for query != "" {
		var p string
		p, query, _ = strings.Cut(query, "&")
		if strings.TrimSuffix(p, "=") == pair {
			return true
		}
	}
	return false
}
