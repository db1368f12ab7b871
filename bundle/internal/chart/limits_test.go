package chart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A chart whose templates loop or explode is given up, not waited for. What is given
// up runs on, so it is no larger here than it has to be.
func TestRenderLimits(t *testing.T) {
	oldWatch, oldTime, oldMemory, oldStack := watchInterval, maxRenderTime, maxRenderMemory, maxRenderStack
	defer func() {
		watchInterval, maxRenderTime, maxRenderMemory, maxRenderStack = oldWatch, oldTime, oldMemory, oldStack
	}()
	watchInterval = time.Millisecond
	for _, tc := range []struct {
		name, template, what string
		time                 time.Duration
		memory, stack        int64
	}{
		{"loops", `{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}`, "more than 5ms", 5 * time.Millisecond, 1 << 40, 1 << 40},
		{"explodes", `{{ $l := list }}{{ range until 64 }}{{ $l = append $l (repeat 1000000 "x") }}{{ end }}`, "more than 16 MiB", time.Hour, 16 << 20, 1 << 40},
		{"recurses", `{{ define "a" }}{{ if lt . 30000 }}{{ template "a" (add1 . | int) }}{{ end }}{{ end }}{{ template "a" 0 }}`, "1 MiB of memory in recursion", time.Hour, 1 << 40, 1 << 20},
		{"schema", ``, "more than 5ms", 5 * time.Millisecond, 1 << 40, 1 << 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			maxRenderTime, maxRenderMemory, maxRenderStack = tc.time, tc.memory, tc.stack
			f := files{"templates/x.yaml": tc.template}
			if tc.name == "schema" {
				f["values.schema.json"] = schemaBomb(18)
			}
			_, err := open(t, f).within(context.Background(), RenderOptions{Strict: tc.name == "schema"})
			var limit *LimitError
			if !errors.As(err, &limit) || !strings.Contains(limit.What, tc.what) {
				t.Errorf("error %v, want a LimitError: %s", err, tc.what)
			}
		})
	}
}

// schemaBomb is a schema that is checked 2^n times.
func schemaBomb(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"a%d": {"allOf": [{"$ref": "#/$defs/a%d"}, {"$ref": "#/$defs/a%d"}]}, `, i, i+1, i+1)
	}
	return fmt.Sprintf(`{"$ref": "#/$defs/a0", "$defs": {%s"a%d": {"type": "object"}}}`, b.String(), n)
}

// Text that is small and becomes large when it is read, is refused or left as it
// is: aliases of aliases, in values and in what a template renders, and long keys
// above many entries. The limits are counts, lowered here so that reaching them
// costs next to nothing.
func TestExpansionIsBounded(t *testing.T) {
	oldNodes, oldPaths := maxNodes, maxPaths
	defer func() { maxNodes, maxPaths = oldNodes, oldPaths }()
	maxNodes, maxPaths = 10_000, 1<<20
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 9))
	}
	if _, err := MergeValues(ValueSources{Files: []ValuesFile{{Name: "bomb.yaml", Data: []byte(bomb)}}}); err == nil || !strings.Contains(err.Error(), "bomb.yaml") {
		t.Errorf("values file: %v", err)
	}
	if _, err := Open(tgz(t, "app", files{"Chart.yaml": chartYAML("app"), "values.yaml": bomb})); err == nil || !strings.Contains(err.Error(), "values.yaml") {
		t.Errorf("default values: %v", err)
	}
	_, err := open(t, files{"templates/t.yaml": bomb}).Render(t.Context(), RenderOptions{Strict: true})
	if !errors.Is(err, errDocumentLimit) {
		t.Errorf("rendered: %v", err)
	}
	out := render(t, open(t, files{"templates/t.yaml": "image: ghcr.io/a/b:1\n" +
		"d: '{\"{{ repeat 10000 \"k\" }}\":[{{ range until 200 }}1,{{ end }}1]}'\n"}), RenderOptions{})
	if n := len(out.Leaves()); n != 2 {
		t.Errorf("%d leaves, want the image and the text", n)
	}
	if f := out.Findings(); len(f) != 1 || f[0].Raw != "ghcr.io/a/b:1" {
		t.Errorf("findings %+v", f)
	}
}

// Subcharts that use each other twice at each level are counted before anything
// walks over all of them.
func TestInstancesAreCounted(t *testing.T) {
	f := files{"Chart.yaml": chartYAML("app", "dependencies: [{name: d0, version: '*'}, {name: d0, version: '*', alias: e0}]")}
	dir := ""
	for i := range 20 {
		dir += fmt.Sprintf("charts/d%d/", i)
		f[dir+"Chart.yaml"] = chartYAML(fmt.Sprintf("d%d", i), fmt.Sprintf("dependencies: [{name: d%[1]d, version: '*'}, {name: d%[1]d, version: '*', alias: e%[1]d}]", i+1))
	}
	_, err := Open(tgz(t, "app", f))
	var archive *ArchiveError
	if !errors.As(err, &archive) || !strings.Contains(err.Error(), "used more than") {
		t.Errorf("error is %v", err)
	}
}
