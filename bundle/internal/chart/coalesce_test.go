package chart

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// randomValues are values of few keys, so that those of several charts meet.
func randomValues(r *rand.Rand, depth int, more ...string) map[string]any {
	m := map[string]any{}
	for _, key := range slices.Concat([]string{"a", "b", "c", "global"}, more) {
		switch n := r.IntN(10); {
		case n < 3:
		case n < 4:
			m[key] = nil
		case n < 6:
			m[key] = fmt.Sprint(r.IntN(100))
		case n < 7:
			m[key] = []any{map[string]any{"x": 1.0}, "y"}
		case depth > 0:
			m[key] = randomValues(r, depth-1)
		default:
			m[key] = map[string]any{}
		}
	}
	return m
}

func randomChart(r *rand.Rand, name string, depth int) *helm.Chart {
	h := &helm.Chart{Metadata: &helm.Metadata{Name: name}}
	var below []string
	for i := range r.IntN(3) {
		if depth > 0 {
			below = append(below, fmt.Sprintf("sub%d", i))
			h.AddDependency(randomChart(r, below[i], depth-1))
		}
	}
	h.Values = randomValues(r, 3, below...)
	return h
}

// shared lists the places at which one map stands more than once.
func shared(v any) [][]string {
	at := map[uintptr][]string{}
	var walk func(v any, path string)
	walk = func(v any, path string) {
		if m, ok := asTree(v); ok {
			at[reflect.ValueOf(m).Pointer()] = append(at[reflect.ValueOf(m).Pointer()], path)
			for _, k := range slices.Sorted(maps.Keys(m)) {
				walk(m[k], path+"."+k)
			}
		}
	}
	walk(v, "")
	var list [][]string
	for _, paths := range at {
		if len(paths) > 1 {
			list = append(list, slices.Sorted(slices.Values(paths)))
		}
	}
	slices.SortFunc(list, slices.Compare[[]string])
	return list
}

func TestCoalesceIsHelms(t *testing.T) {
	defer silence()()
	failed, aliased := 0, 0
	for seed := range uint64(4000) {
		r := rand.New(rand.NewPCG(seed, 0))
		h := randomChart(r, "app", 3)
		values := randomValues(r, 3, "sub0", "sub1")
		before := copyMap(h.Values)
		want, wantErr := chartutil.CoalesceValues(h, values)
		got, err := coalesce(h, copyMap(values))
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("seed %d: %v, not %v", seed, err, wantErr)
		}
		if !reflect.DeepEqual(h.Values, before) {
			t.Fatalf("seed %d: the chart changed", seed)
		}
		if err != nil {
			failed++
			continue
		}
		if !reflect.DeepEqual(got, want.AsMap()) {
			t.Fatalf("seed %d:\n%v\nnot\n%v", seed, got, want)
		}
		if a, b := shared(got), shared(want); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: shared are\n%v\nnot\n%v", seed, a, b)
		} else if len(a) > 0 {
			aliased++
		}
	}
	if failed == 0 || failed > 3000 || aliased == 0 {
		t.Errorf("of the charts, %d were refused, and %d shared maps", failed, aliased)
	}
}
