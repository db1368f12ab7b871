package chart

import (
	"reflect"
	"text/template/parse"

	"helm.sh/helm/v3/pkg/chartutil"
)

// A recording is what happened while one template was executed.
type recording struct {
	looks map[int]bool           // numbers of looks
	calls map[string]*parse.Tree // templates that were called, nil for those that are not there
	// again is set when the text may be another one next time although everything
	// that was read is the same: it is random, or the template changed what it and
	// others see.
	again bool
	wrote bool // it changed what others see
}

func newRecording() *recording {
	return &recording{looks: map[int]bool{}, calls: map[string]*parse.Tree{}}
}

// read notices what an operand reads, of value.
func (r *recording) read(v *view, value any, o operand) {
	var at *tracked // the map of the tree that value stands in, under key
	var key string
	for _, field := range o.fields {
		if _, ok := value.(sheet); ok && at != nil {
			r.at(v, at, key+"\x00"+field, false)
			return
		}
		m, ok := asTree(value)
		if !ok {
			break // an error, or something that never changes; what is here counts
		}
		if isMethod(value, field) {
			r.whole(v, value, 0)
			return
		}
		at, key, value = v.node(m), field, m[field]
	}
	if at != nil {
		r.at(v, at, key, o.through)
		return
	}
	if m, ok := asTree(value); ok && v.node(m) != nil {
		r.node(v, v.node(m), o.through)
	} else if !o.through {
		r.whole(v, value, 0)
	}
}

// isMethod tells whether a field of the values is a method of their type.
func isMethod(value any, field string) bool {
	if _, ok := value.(chartutil.Values); !ok {
		return false
	}
	switch field {
	case "YAML", "Table", "AsMap", "Encode", "PathValue":
		return true
	}
	return false
}

// at notices the value under a key of a map of the tree.
func (r *recording) at(v *view, t *tracked, key string, shape bool) {
	for _, p := range t.paths {
		r.looks[v.ledger.id(look{p + "\x00" + key, shape})] = true
	}
	r.again = r.again || v.lost
}

// node notices a map of the tree.
func (r *recording) node(v *view, t *tracked, shape bool) {
	for _, p := range t.paths {
		r.looks[v.ledger.id(look{p, shape})] = true
	}
	r.again = r.again || v.lost
}

// maxWhole limits how far whole looks.
const maxWhole = 10_000

// whole notices all maps of the tree that a value holds or is; it returns how many
// values it has looked at.
func (r *recording) whole(v *view, value any, seen int) int {
	if seen++; seen > maxWhole {
		r.again = true
		return seen
	}
	if m, ok := asTree(value); ok {
		if t := v.node(m); t != nil {
			r.node(v, t, false)
			return seen
		}
		for _, e := range m {
			if seen = r.whole(v, e, seen); seen > maxWhole {
				break
			}
		}
		return seen
	}
	if list, ok := value.([]any); ok {
		for _, e := range list {
			if seen = r.whole(v, e, seen); seen > maxWhole {
				break
			}
		}
	}
	return seen
}

// holds tells whether a value is or holds a map of the tree.
func (v *view) holds(value any, depth int) bool {
	if depth > maxDepth {
		return true
	}
	switch x := value.(type) {
	case []any:
		for _, e := range x {
			if v.holds(e, depth+1) {
				return true
			}
		}
		return false
	case nil, string, bool, int64, float64, int:
		return false
	}
	m, ok := asTree(value)
	if !ok {
		return false
	}
	if len(m) > 0 && v.maps[reflect.ValueOf(m).Pointer()] != nil {
		return true
	}
	for _, e := range m {
		if v.holds(e, depth+1) {
			return true
		}
	}
	return false
}
