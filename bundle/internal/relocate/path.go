package relocate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"bundle/bundle/internal/chart"
)

// A path leads to a value: each step is a string, the key of a map, or an int,
// the index of a list.
type path []any

// String writes the path as helm --set takes it: a.b[0].c, dots in keys
// escaped.
func (p path) String() string {
	var b strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if i > 0 {
				b.WriteByte('.')
			}
			b.WriteString(strings.ReplaceAll(step, ".", `\.`))
		}
	}
	return b.String()
}

// join returns p followed by more keys; p is not changed.
func (p path) join(keys ...any) path {
	return append(slices.Clip(slices.Clone(p)), keys...)
}

// key is the last map key of the path.
func (p path) key() string { return p.keyBefore(len(p)) }

// parentKey is the map key before the last one.
func (p path) parentKey() string {
	for i := len(p) - 1; i >= 0; i-- {
		if _, ok := p[i].(string); ok {
			return p.keyBefore(i)
		}
	}
	return ""
}

func (p path) keyBefore(end int) string {
	for i := end - 1; i >= 0; i-- {
		if s, ok := p[i].(string); ok {
			return s
		}
	}
	return ""
}

// global tells whether the key is passed down to every subchart.
func (p path) global() bool { return len(p) > 0 && p[0] == "global" }

// lookup reads the value at p below root.
func (p path) lookup(root any) (any, bool) {
	for _, step := range p {
		switch step := step.(type) {
		case string:
			m, ok := root.(map[string]any)
			if !ok {
				return nil, false
			}
			if root, ok = m[step]; !ok {
				return nil, false
			}
		case int:
			l, ok := root.([]any)
			if !ok || step >= len(l) {
				return nil, false
			}
			root = l[step]
		}
	}
	return root, true
}

// walk calls f for every map, list and scalar below v, maps in the order of
// their keys; f says whether to go on below.
func walk(p path, v any, f func(path, any) bool) {
	if !f(p, v) {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v) {
			walk(p.join(k), v[k], f)
		}
	case []any:
		for i, e := range v {
			walk(p.join(i), e, f)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// An overlay is a set of values to put over others, by path.
type overlay map[string]setting

type setting struct {
	path  path
	value any
}

// with returns o and more; where both have a path, more wins.
func (o overlay) with(more overlay) overlay {
	all := make(overlay, len(o)+len(more))
	for k, s := range o {
		all[k] = s
	}
	for k, s := range more {
		all[k] = s
	}
	return all
}

// without returns o less some keys.
func (o overlay) without(keys ...string) overlay {
	rest := make(overlay, len(o))
	for k, s := range o {
		if !slices.Contains(keys, k) {
			rest[k] = s
		}
	}
	return rest
}

// values builds the overrides. Helm replaces lists whole, so a path through a
// list brings the rest of that list along, taken from base: the values as
// templates see them.
func (o overlay) values(base map[string]any) map[string]any {
	out := map[string]any{}
	for _, k := range sortedKeys(o) {
		put(out, base, o[k])
	}
	return out
}

func put(out, base map[string]any, s setting) {
	var at any = out
	var from any = base
	var replace func(any) // stores a value where at came from
	for i, step := range s.path {
		last := i == len(s.path)-1
		switch step := step.(type) {
		case string:
			m, _ := at.(map[string]any)
			if m == nil {
				m = map[string]any{}
				replace(m)
			}
			from, _ = path{step}.lookup(from)
			replace = func(v any) { m[step] = v }
			at = m[step]
		case int:
			l, _ := at.([]any)
			if l == nil {
				l, _ = chart.Clone(from).([]any)
				replace(l)
			}
			if step >= len(l) {
				panic(fmt.Sprintf("relocate: no list item at %s", s.path[:i+1]))
			}
			from, _ = path{step}.lookup(from)
			replace = func(v any) { l[step] = v }
			at = l[step]
		}
		if last {
			replace(chart.Clone(s.value))
		}
	}
}
