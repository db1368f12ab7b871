package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"bundle/bundle/internal/words"
)

// A Value is a setting that is added, removed or changed.
type Value struct {
	Key      string      // as helm's --set writes it: image.tag, args[0], annotations.example\.org/x
	State    words.State // added, removed, changed
	Value    any
	Previous any
}

// compareValues lists the settings that differ, sorted by key. A map that is there
// on one side alone is listed by its settings, a list of another length as one value.
func compareValues(older, newer map[string]any) []Value {
	var all []Value
	walkMaps("", older, newer, &all)
	return all
}

func walkMaps(path string, older, newer map[string]any, all *[]Value) {
	keys := make(map[string]bool)
	for k := range older {
		keys[k] = true
	}
	for k := range newer {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		was, had := older[k]
		is, has := newer[k]
		walk(path+escape(k), side{was, had}, side{is, has}, all)
	}
}

// A side is a value, or none.
type side struct {
	value any
	there bool
}

func walk(path string, was, is side, all *[]Value) {
	oldMap, oldIs := was.value.(map[string]any)
	newMap, newIs := is.value.(map[string]any)
	switch {
	case oldIs && newIs, oldIs && !is.there && len(oldMap) > 0, newIs && !was.there && len(newMap) > 0:
		walkMaps(path+".", oldMap, newMap, all)
		return
	}
	oldList, oldIs := was.value.([]any)
	newList, newIs := is.value.([]any)
	if oldIs && newIs && len(oldList) == len(newList) {
		for i := range oldList {
			walk(fmt.Sprintf("%s[%d]", path, i), side{oldList[i], true}, side{newList[i], true}, all)
		}
		return
	}
	switch {
	case !was.there && !is.there, was.there == is.there && equal(was.value, is.value):
	case !was.there:
		*all = append(*all, Value{Key: path, State: words.Added, Value: is.value})
	case !is.there:
		*all = append(*all, Value{Key: path, State: words.Removed, Previous: was.value})
	default:
		*all = append(*all, Value{Key: path, State: words.Changed, Value: is.value, Previous: was.value})
	}
}

// equal compares numbers by what they are: values of a chart are read from YAML, and
// those of a record from JSON.
func equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return float64(r.Int()), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(r.Uint()), true
	case reflect.Float32, reflect.Float64:
		return r.Float(), true
	}
	return 0, false
}

// escape writes a key as helm's --set does.
func escape(key string) string {
	return strings.NewReplacer(`\`, `\\`, ".", `\.`, ",", `\,`, "=", `\=`, "[", `\[`).Replace(key)
}
