package chart

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	helm "helm.sh/helm/v3/pkg/chart"
)

// The defaults of a chart are its own over those of its dependencies, under each name
// that they have, whether or not they are enabled.
func TestAllDefaults(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	leaf := &helm.Chart{Metadata: &helm.Metadata{Name: "leaf"}, Values: m{"x": 1, "y": m{"z": 2}}}
	sub := &helm.Chart{Metadata: &helm.Metadata{Name: "sub"}, Values: m{"leaf": m{"x": 3}}}
	sub.AddDependency(leaf)
	top := &helm.Chart{
		Metadata: &helm.Metadata{Name: "top", Dependencies: []*helm.Dependency{{Name: "sub", Alias: "a", Condition: "off"}, {Name: "sub", Alias: "b"}}},
		Values:   m{"own": true, "a": m{"leaf": m{"y": m{"z": 4}}}},
	}
	top.AddDependency(sub)
	got, whole := (&Chart{helm: top}).AllDefaults()
	want := m{
		"own": true,
		"a":   m{"leaf": m{"x": 3, "y": m{"z": 4}}},
		"b":   m{"leaf": m{"x": 3, "y": m{"z": 2}}},
	}
	if !whole || !reflect.DeepEqual(got, want) {
		t.Errorf("%v (whole: %v)\nwant %v", got, whole, want)
	}
	got["own"] = false
	got["b"].(m)["leaf"].(m)["x"] = 9
	if again, _ := (&Chart{helm: top}).AllDefaults(); !reflect.DeepEqual(again, want) {
		t.Error("the result is shared with the chart")
	}
}

// A dependency of many settings that is used many times is not unfolded.
func TestAllDefaultsBounded(t *testing.T) {
	t.Parallel()
	dep := &helm.Chart{Metadata: &helm.Metadata{Name: "dep"}, Values: map[string]any{"l": make([]any, maxDefaults/10)}}
	top := &helm.Chart{Metadata: &helm.Metadata{Name: "top"}, Values: map[string]any{"own": strings.Repeat("x", 3)}}
	for i := range 20 {
		top.Metadata.Dependencies = append(top.Metadata.Dependencies, &helm.Dependency{Name: "dep", Alias: fmt.Sprint("a", i)})
	}
	top.AddDependency(dep)
	if got, whole := (&Chart{helm: top}).AllDefaults(); whole || !reflect.DeepEqual(got, map[string]any{"own": "xxx"}) {
		t.Errorf("whole: %v, %d settings", whole, len(got))
	}
}
