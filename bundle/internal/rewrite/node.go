package rewrite

import "slices"

type kind uint8

const (
	scalarKind kind = iota
	mapKind
	listKind
	aliasKind // of a scalar, a mapping or a list that stands earlier
)

// A node is a value of a document, with where it stands in the text.
type node struct {
	kind  kind
	str   bool    // a scalar that is a string, not a number, boolean or null
	value string  // of a scalar
	src   *source // of a scalar or an alias: how its text maps to the document's; nil: it cannot be edited

	keys  []string // of a mapping, in order
	items []*node  // of a mapping or a list
	merge []bool   // of a mapping: that entry is a merge (<<)

	target *node // of an alias
}

// get returns the value of a mapping's key, or nil.
func (n *node) get(key string) *node {
	if n == nil || n.kind != mapKind {
		return nil
	}
	if i := slices.Index(n.keys, key); i >= 0 {
		return n.items[i]
	}
	return nil
}

// scalar returns the text of a scalar, or of the one that an alias stands for.
func (n *node) scalar() (string, bool) {
	switch {
	case n == nil:
		return "", false
	case n.kind == aliasKind:
		return n.target.scalar()
	case n.kind != scalarKind || !n.str && isNull(n.value):
		return "", false
	}
	return n.value, true
}

// text returns the scalar under a key, or "".
func (n *node) text(key string) string {
	s, _ := n.get(key).scalar()
	return s
}

func isNull(s string) bool {
	return slices.Contains([]string{"", "~", "null", "Null", "NULL"}, s)
}

// fields are the scalars of a mapping by key: its own, and those it merges.
func (n *node) fields() []field {
	seen := make(map[string]bool)
	var all []field
	n.collect(&all, seen, 0)
	return all
}

func (n *node) collect(all *[]field, seen map[string]bool, depth int) {
	if n.kind != mapKind || depth > maxMerges {
		return
	}
	for i, key := range n.keys {
		if n.merge[i] || seen[key] {
			continue
		}
		seen[key] = true
		if _, ok := n.items[i].scalar(); ok {
			*all = append(*all, field{key: key, node: n.items[i]})
		}
	}
	for i, item := range n.items {
		if !n.merge[i] {
			continue
		}
		for _, m := range item.merged() {
			m.collect(all, seen, depth+1)
		}
	}
}

// merged are the mappings that a merge entry names.
func (n *node) merged() []*node {
	switch n.kind {
	case aliasKind:
		return n.target.merged()
	case mapKind:
		return []*node{n}
	case listKind:
		var all []*node
		for _, item := range n.items {
			if item.kind == aliasKind {
				item = item.target
			}
			if item.kind == mapKind {
				all = append(all, item)
			}
		}
		return all
	}
	return nil
}

// same tells whether two documents read alike, where the scalars of n have what
// value says.
func (n *node) same(other *node, value func(*node) string) bool {
	// A rewritten alias is a scalar of its own.
	if n.kind == aliasKind && other.kind == scalarKind && n.target.kind == scalarKind {
		return value(n) == other.value
	}
	if n.kind != other.kind || len(n.items) != len(other.items) || !slices.Equal(n.keys, other.keys) {
		return false
	}
	switch n.kind {
	case scalarKind:
		now := value(n)
		return now == other.value && (n.str == other.str || now != n.value)
	case aliasKind:
		return n.target.kind != scalarKind || value(n) == other.target.value
	}
	for i := range n.items {
		if !n.items[i].same(other.items[i], value) {
			return false
		}
	}
	return true
}

// Limits of one document, so that aliases and strings within strings cannot blow
// up.
const (
	maxDepth  = 200
	maxEmbeds = 6
	maxMerges = 20
)
