package chart

import (
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Conditions, tags and imported values are resolved by Helm, which takes much longer
// than the rest of a render that changes little. What comes out depends on few of
// the user's values alone, so it is kept by those.

// A processed chart has its dependencies resolved. It does not change.
type processed struct {
	chart     *helm.Chart
	annotated []string
}

// deciding lists the paths in the user's values on which it depends which
// dependencies are enabled, and whether Helm takes the values at all.
func deciding(h *helm.Chart) (paths [][]string, globals bool) {
	paths = [][]string{{"tags"}}
	add := func(steps []string) {
		globals = globals || slices.Contains(steps[1:], chartutil.GlobalKey)
		paths = append(paths, steps)
	}
	var walk func(h *helm.Chart, above []string)
	walk = func(h *helm.Chart, above []string) {
		for _, d := range h.Metadata.Dependencies {
			for _, condition := range strings.Split(strings.TrimSpace(d.Condition), ",") {
				if condition != "" {
					add(slices.Concat(above, strings.Split(condition, ".")))
				}
			}
		}
		for _, dep := range h.Dependencies() {
			for _, name := range dependencyNames(h, dep.Name()) {
				// Helm looks for the values of subcharts of subcharts at the top too.
				add([]string{name})
				below := slices.Concat(above, []string{name})
				add(below)
				walk(dep, below)
			}
		}
	}
	walk(h, nil)
	return paths, globals
}

// decision sums up the values at the deciding paths.
func (e *engine) decision(h *helm.Chart, values map[string]any) uint64 {
	e.mu.Lock()
	if e.paths == nil {
		e.paths, e.globals = deciding(h)
	}
	e.mu.Unlock()
	v := measure(&e.ledger, map[string]any{}, nil)
	var total uint64
	for i, steps := range e.paths {
		total += sum("path", uint64(i)+v.along(values, steps))
	}
	if e.globals {
		total += v.hash(values[chartutil.GlobalKey])
	}
	return total
}

// along sums up what is met on the way along a path: of maps nothing but that they
// are some, of tags all.
func (v *view) along(at map[string]any, steps []string) uint64 {
	for i, step := range steps {
		value, ok := at[step]
		if !ok {
			return sum("nothing", uint64(i))
		}
		m, isMap := asTree(value)
		if !isMap || step == "tags" {
			return sum("value", uint64(i)+v.hash(value))
		}
		at = m
	}
	return sum("map", 0)
}

// maxProcessed limits the charts that an engine keeps: each holds all values.
const maxProcessed = 64

// process resolves the dependencies of h for the given values, which it may change,
// and returns what templates see.
func (e *engine) process(h *helm.Chart, o RenderOptions, caps *chartutil.Capabilities) (*processed, chartutil.Values, error) {
	values := copyMap(o.Values)
	if values == nil {
		values = map[string]any{}
	}
	id := e.decision(h, values)
	e.mu.Lock()
	p := e.processed[id]
	e.mu.Unlock()
	if p == nil {
		c := clone(h)
		if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
			return nil, nil, err
		}
		p = &processed{c, annotatedImages(c)}
		e.mu.Lock()
		if len(e.processed) >= maxProcessed {
			clear(e.processed)
		}
		e.processed[id] = p
		e.mu.Unlock()
	}
	top, err := topValues(p.chart, values, o, caps)
	return p, top, err
}
