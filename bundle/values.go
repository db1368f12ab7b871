package bundle

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
)

// mergeValues combines -f, --set and --set-string as helm does.
func mergeValues(files, set, setString []string) (map[string]any, error) {
	return mergeOnto(nil, files, set, setString)
}

// mergeOnto is mergeValues with base below everything.
func mergeOnto(base map[string]any, files, set, setString []string) (map[string]any, error) {
	src := chart.ValueSources{Set: set, String: setString}
	if len(base) > 0 {
		b, err := yaml.Marshal(base)
		if err != nil {
			return nil, fmt.Errorf("values in the bundle: %w", err)
		}
		src.Files = append(src.Files, chart.ValuesFile{Name: "values in the bundle", Data: b})
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("values file: %w", err)
		}
		src.Files = append(src.Files, chart.ValuesFile{Name: name, Data: b})
	}
	return chart.MergeValues(src)
}
