package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMergeValues(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, []byte("from a file"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := MergeValues(ValueSources{
		Files: []ValuesFile{
			{"one", []byte("a: {x: 1, w: 2, z: {p: 1}}\nlist: [1, 2]\ngone: 1\n")},
			{"two", []byte("a: {w: 3, z: {q: 2}}\nlist: [3]\ngone: null\n")},
			{"empty", nil},
		},
		JSON:    []string{`json={"k": [1]}`},
		Set:     []string{"a.x=10,b=true", "hosts[0].name=h", "n=null"},
		String:  []string{"port=80"},
		File:    []string{"file=" + file},
		Literal: []string{"lit=a,b={c}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a":    map[string]any{"x": int64(10), "w": 3.0, "z": map[string]any{"p": 1.0, "q": 2.0}},
		"list": []any{3.0}, "gone": nil, "n": nil, "b": true, "port": "80", "file": "from a file", "lit": "a,b={c}",
		"json": map[string]any{"k": []any{1.0}}, "hosts": []any{map[string]any{"name": "h"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("values (-want +got):\n%s", d)
	}
}

func TestMergeValuesErrors(t *testing.T) {
	for want, s := range map[string]ValueSources{
		"values file bad.yaml": {Files: []ValuesFile{{"bad.yaml", []byte("a: [")}}},
		"values file list":     {Files: []ValuesFile{{"list", []byte("[1]")}}},
		"--set a[":             {Set: []string{"a["}},
		"--set-json x":         {JSON: []string{"x={"}},
		"--set-file f=/gone/x": {File: []string{"f=/gone/x"}},
		"--set-string [":       {String: []string{"["}},
		"--set db.password":    {Set: []string{"db.password=hunter2,hunter3"}},
		"--set-string token":   {String: []string{"token=hunter2,{hunter3"}},
	} {
		if _, err := MergeValues(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want one with %q", err, want)
		} else if strings.Contains(err.Error(), "hunter") {
			t.Errorf("error repeats a value: %v", err)
		}
	}
}

func TestMerge(t *testing.T) {
	a := map[string]any{"a": map[string]any{"x": 1, "y": []any{1, 2}}, "b": nil, "c": map[string]any{"d": 1}}
	b := map[string]any{"a": map[string]any{"y": []any{3}, "z": nil}, "b": map[string]any{"k": 1}, "c": nil}
	want := map[string]any{"a": map[string]any{"x": 1, "y": []any{3}, "z": nil}, "b": map[string]any{"k": 1}, "c": nil}
	got := Merge(a, b)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got["a"].(map[string]any)["y"].([]any)[0] = 4
	if diff := cmp.Diff(map[string]any{"x": 1, "y": []any{1, 2}}, a["a"]); diff != "" {
		t.Errorf("Merge changed its argument:\n%s", diff)
	}
	if b["a"].(map[string]any)["y"].([]any)[0] != 3 {
		t.Error("the result shares a list with an argument")
	}
}
