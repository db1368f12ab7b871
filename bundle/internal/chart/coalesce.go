package chart

import (
	"fmt"
	"maps"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// Helm copies the values of each chart by reflection whenever it lays them under those
// of the user, which takes longer than many a probe. For probes the same is done here;
// a test compares what comes out.

// coalesce lays the values of h and its dependencies under values, which it changes, as
// chartutil.CoalesceValues does. The result shares nothing with the chart.
func coalesce(h *helm.Chart, values map[string]any) (map[string]any, error) {
	underlay(h, values)
	for _, dep := range h.Dependencies() {
		at, there := values[dep.Name()]
		own, isMap := at.(map[string]any)
		switch {
		case !there:
			own = map[string]any{}
		case !isMap:
			return nil, fmt.Errorf("type mismatch on %s: %t", dep.Name(), at)
		}
		passGlobals(own, values)
		below, err := coalesce(dep, own)
		if err != nil {
			return nil, err
		}
		values[dep.Name()] = below
	}
	return values, nil
}

// underlay lays the values of h itself under values.
func underlay(h *helm.Chart, values map[string]any) {
	for key, own := range h.Values {
		given, there := values[key]
		switch given := given.(type) {
		case nil:
			if there {
				delete(values, key)
			} else {
				values[key] = Clone(own)
			}
		case map[string]any:
			if below, ok := own.(map[string]any); ok {
				isDependency := false
				for _, dep := range h.Dependencies() {
					isDependency = isDependency || dep.Name() == key
				}
				underlayMap(given, below, isDependency)
			}
		}
	}
}

// underlayMap lays own under given, which it changes. Nulls that are given delete what
// is not null, unless they are kept.
func underlayMap(given, own map[string]any, keepNulls bool) {
	if own == nil || given == nil {
		return
	}
	for key, value := range own {
		now, there := given[key]
		if !there {
			given[key] = Clone(value)
			continue
		}
		if now == nil && value != nil && !keepNulls {
			delete(given, key)
			continue
		}
		a, _ := now.(map[string]any)
		b, _ := value.(map[string]any)
		underlayMap(a, b, keepNulls)
	}
}

// passGlobals lays the globals of the chart above over those of a dependency.
func passGlobals(to, from map[string]any) {
	globals := func(of map[string]any) (map[string]any, bool) {
		v, there := of[chartutil.GlobalKey]
		if !there {
			return map[string]any{}, true
		}
		m, ok := v.(map[string]any)
		return m, ok
	}
	own, ok := globals(to)
	above, ok2 := globals(from)
	if !ok || !ok2 {
		return
	}
	for key, value := range above {
		now, there := own[key]
		table, isTable := value.(map[string]any)
		nowTable, wasTable := now.(map[string]any)
		switch {
		case isTable && !there:
			own[key] = maps.Clone(table)
		case isTable && wasTable:
			// What is below the table is shared with the chart above, as Helm has it.
			own[key] = maps.Clone(table)
			underlayMap(own[key].(map[string]any), nowTable, true)
		case !isTable && !wasTable:
			own[key] = value
		}
	}
	to[chartutil.GlobalKey] = own
}
