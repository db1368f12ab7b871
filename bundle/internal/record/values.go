package record

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// ExactIntegers lists, as helm's --set takes them, the integers that a values
// file would change: Helm reads every number of a file as a float, and from a
// million on a template writes 2.0240101e+07 for it.
func ExactIntegers(values map[string]any) []string {
	var set []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				below := setEscape.Replace(k)
				if path != "" {
					below = path + "." + below
				}
				walk(below, v[k])
			}
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		case int64:
			if fmt.Sprint(v) != fmt.Sprint(float64(v)) {
				set = append(set, fmt.Sprintf("%s=%d", path, v))
			}
		}
	}
	walk("", values)
	return set
}

// setEscape writes a key so that --set takes it as one.
var setEscape = strings.NewReplacer(`\`, `\\`, ".", `\.`, ",", `\,`, "=", `\=`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)

// LeaveOut removes given values from the record: all of them, or single keys.
// LeftOut lists those that were there.
func (r *Chart) LeaveOut(all bool, keys []string) {
	if all {
		if len(r.Values) > 0 {
			r.Values, r.Set, r.LeftOut = nil, nil, []string{"*"}
		}
		return
	}
	for _, key := range keys {
		if removeKey(r.Values, splitKey(key)) {
			r.LeftOut = append(r.LeftOut, key)
		}
	}
	r.Set = ExactIntegers(r.Values)
}

// splitKey reads a path as helm's --set writes it: the keys of maps, and the
// indexes of lists in brackets.
func splitKey(key string) []string {
	var steps []string
	var b strings.Builder
	end := func() {
		if b.Len() > 0 {
			steps = append(steps, b.String())
			b.Reset()
		}
	}
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c == '\\' && i+1 < len(key):
			i++
			b.WriteByte(key[i])
		case c == '.', c == '[', c == ']':
			end()
		default:
			b.WriteByte(c)
		}
	}
	end()
	return steps
}

// removeKey takes away what stands at a path below v. Of a list, the entry
// becomes null: the others keep their indexes.
func removeKey(v any, path []string) bool {
	if len(path) == 0 {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		below, ok := v[path[0]]
		if ok && len(path) == 1 {
			delete(v, path[0])
		}
		return ok && (len(path) == 1 || removeKey(below, path[1:]))
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return false
		}
		if len(path) > 1 {
			return removeKey(v[i], path[1:])
		}
		v[i] = nil
		return true
	}
	return false
}
