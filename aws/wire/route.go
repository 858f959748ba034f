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
	method     string
	key, value string // query parameter that the template demands; empty: none
	op         int
}

// addRoute enters an operation and returns the names of its labels in order. A trailing
// slash does not matter: old clients send one, new ones do not.
func (n *routeNode) addRoute(method, template string, op int) (labels []string) {
	path, query, _ := strings.Cut(template, "?")
	leaf := routeLeaf{method: method, op: op}
	leaf.key, leaf.value, _ = strings.Cut(query, "=")
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if segment == "" {
			continue
		}
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			labels = append(labels, strings.TrimSuffix(name, "}"))
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
	n.leaves = append(n.leaves, leaf)
	// An operation that demands a query parameter is more special than one that does not.
	slices.SortStableFunc(n.leaves, func(a, b routeLeaf) int { return strings.Compare(b.key, a.key) })
	return labels
}

// find returns the operation for a request, or -1, and the labels of its path. path is as
// it was sent, without outer slashes.
func (n *routeNode) find(method, path, query string, labels []string) (op int, _ []string) {
	if path == "" {
		for _, leaf := range n.leaves {
			if leaf.method == method && (leaf.key == "" || hasParameter(query, leaf.key, leaf.value)) {
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

func hasParameter(query, key, value string) bool {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if k, v, _ := strings.Cut(pair, "="); k == key && v == value {
			return true
		}
	}
	return false
}
