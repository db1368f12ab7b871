package bundle

import (
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
)

// readValues reads values files.
func readValues(paths []string) ([]chart.ValuesFile, error) {
	var files []chart.ValuesFile
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("values file: %w", err)
		}
		files = append(files, chart.ValuesFile{Name: path, Data: b})
	}
	return files, nil
}

// mergeOnto lays -f, --set and --set-string over base, as helm does.
func mergeOnto(base map[string]any, files []chart.ValuesFile, set, setString []string) (map[string]any, error) {
	src := chart.ValueSources{Set: set, String: setString}
	if len(base) > 0 {
		// Through text, as helm will read it on the other side.
		b, err := yaml.Marshal(base)
		if err != nil {
			return nil, fmt.Errorf("given values: %w", err)
		}
		src.Files = append(src.Files, chart.ValuesFile{Name: "given values", Data: b})
	}
	src.Files = append(src.Files, files...)
	return chart.MergeValues(src)
}

// exactIntegers lists, as helm's --set takes them, the integers that a values
// file would change: Helm reads every number of a file as a float, and from a
// million on a template writes 2.0240101e+07 for it.
func exactIntegers(values map[string]any) []string {
	var set []string
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range sortedKeys(v) {
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

// leaveOut removes given values from the record: all of them, or single keys.
func (r *ChartRecord) leaveOut(all bool, keys []string) error {
	if all {
		if len(r.Values) > 0 {
			r.Values, r.Set, r.LeftOut = nil, nil, []string{"*"}
		}
		return nil
	}
	for _, key := range keys {
		if removeKey(r.Values, strings.Split(key, ".")) {
			r.LeftOut = append(r.LeftOut, key)
		}
	}
	r.Set = exactIntegers(r.Values)
	if len(keys) > 0 && len(r.LeftOut) == 0 && len(r.Values) > 0 {
		return &UsageError{
			What:   fmt.Sprintf("--redact: none of %s is among the values given for %s", strings.Join(keys, ", "), r.label()),
			Advice: "name keys of -f or --set as a.b.c; the chart's own defaults travel with the chart",
		}
	}
	return nil
}

func removeKey(values map[string]any, path []string) bool {
	v, ok := values[path[0]]
	if !ok || len(path) == 1 {
		delete(values, path[0])
		return ok
	}
	below, _ := v.(map[string]any)
	return removeKey(below, path[1:])
}
