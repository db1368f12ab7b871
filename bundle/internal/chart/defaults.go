package chart

import helm "helm.sh/helm/v3/pkg/chart"

// maxDefaults bounds the settings that AllDefaults returns: a dependency that is used
// many times, each time with all its settings, is small in an archive.
const maxDefaults = 200_000

// AllDefaults are the default values with those of every dependency, enabled or not,
// under its name or alias. Of a chart with more than 200,000 settings they are those
// of the chart alone, and whole is false. The result belongs to the caller.
func (c *Chart) AllDefaults() (values map[string]any, whole bool) {
	if left := maxDefaults; !countDefaults(c.helm, &left) {
		return c.DefaultValues(), false
	}
	return allDefaults(c.helm), true
}

func allDefaults(h *helm.Chart) map[string]any {
	all := Merge(nil, h.Values)
	for _, dep := range h.Dependencies() {
		below := allDefaults(dep)
		for _, name := range dependencyNames(h, dep.Name()) {
			over, _ := all[name].(map[string]any)
			all[name] = Merge(below, over)
		}
	}
	return all
}

// countDefaults reports whether there are no more than are left.
func countDefaults(h *helm.Chart, left *int) bool {
	if !countValues(h.Values, left) {
		return false
	}
	for _, dep := range h.Dependencies() {
		for range dependencyNames(h, dep.Name()) {
			if !countDefaults(dep, left) {
				return false
			}
		}
	}
	return true
}

func countValues(v any, left *int) bool {
	if *left--; *left < 0 {
		return false
	}
	switch v := v.(type) {
	case map[string]any:
		for _, below := range v {
			if !countValues(below, left) {
				return false
			}
		}
	case []any:
		for _, below := range v {
			if !countValues(below, left) {
				return false
			}
		}
	}
	return true
}
