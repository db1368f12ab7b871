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

// A decider is a path in the user's values on which it depends which dependencies
// are enabled, or whether Helm takes the values at all.
type decider struct {
	steps []string
	// maps is how many steps lead to a map if the user's values have nothing there:
	// then it is all the same whether they have a map.
	maps int
}

// deciding lists the deciders of a chart; globals tells whether the values that are
// passed down are among them.
func deciding(h *helm.Chart) (list []decider, globals bool) {
	paths := [][]string{{"tags"}}
	type level struct {
		above    []string
		defaults map[string]any
	}
	var levels []level
	var walk func(h *helm.Chart, above []string)
	walk = func(h *helm.Chart, above []string) {
		levels = append(levels, level{above, h.Values}, level{nil, h.Values}) // see below
		for _, d := range h.Metadata.Dependencies {
			for _, condition := range strings.Split(strings.TrimSpace(d.Condition), ",") {
				if condition != "" {
					paths = append(paths, slices.Concat(above, strings.Split(condition, ".")))
				}
			}
		}
		for _, dep := range h.Dependencies() {
			for _, name := range dependencyNames(h, dep.Name()) {
				below := slices.Concat(above, []string{name})
				// Helm looks for the values of subcharts of subcharts at the top too.
				paths = append(paths, []string{name}, below)
				walk(dep, below)
			}
		}
	}
	walk(h, nil)
	for _, steps := range paths {
		globals = globals || slices.Contains(steps[1:], chartutil.GlobalKey)
		d := decider{steps, len(steps)}
		for _, l := range levels {
			if n := len(l.above); n < len(steps) && slices.Equal(l.above, steps[:n]) {
				d.maps = min(d.maps, n+mapSteps(l.defaults, steps[n:]))
			}
		}
		list = append(list, d)
	}
	return list, globals
}

// mapSteps counts the steps until there is something that is no map.
func mapSteps(at map[string]any, steps []string) int {
	for i, step := range steps {
		value, ok := at[step]
		m, isMap := asTree(value)
		if ok && !isMap {
			return i
		}
		at = m
	}
	return len(steps)
}

// decision sums up the values at the deciding paths.
func (e *engine) decision(h *helm.Chart, values map[string]any) uint64 {
	e.mu.Lock()
	if e.deciders == nil {
		e.deciders, e.globals = deciding(h)
	}
	e.mu.Unlock()
	v := measure(&e.ledger, map[string]any{}, nil)
	var total uint64
	for i, d := range e.deciders {
		total += sum("path", sum("", uint64(i))+v.along(values, d))
	}
	if e.globals {
		total += v.hash(values[chartutil.GlobalKey])
	}
	return total
}

// along sums up what is met on the way along a path: of maps nothing but that they
// are some, of tags all.
func (v *view) along(at map[string]any, d decider) uint64 {
	for i, step := range d.steps {
		value, ok := at[step]
		if !ok && i >= d.maps {
			return sum("nothing", uint64(i))
		}
		m, isMap := asTree(value)
		if ok && (!isMap || step == "tags") {
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
	all, err := coalesce(p.chart, values)
	if err != nil {
		return nil, nil, err
	}
	release := o.release()
	return p, chartutil.Values{
		"Chart": p.chart.Metadata, "Capabilities": caps, "Values": chartutil.Values(all),
		"Release": map[string]any{
			"Name": release.Name, "Namespace": release.Namespace, "Service": "Helm",
			"IsUpgrade": release.IsUpgrade, "IsInstall": release.IsInstall, "Revision": release.Revision,
		},
	}, nil
}
