package source

import (
	"context"
	"fmt"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/input"
	"bundle/bundle/internal/record"
)

// maxValues bounds a values file, in bytes.
const maxValues = 32 << 20

// ReadValues reads values files.
func ReadValues(ctx context.Context, paths []string) ([]chart.ValuesFile, error) {
	var files []chart.ValuesFile
	for _, path := range paths {
		b, err := input.File(ctx, path, maxValues)
		if err != nil {
			return nil, fmt.Errorf("values file: %w", err)
		}
		files = append(files, chart.ValuesFile{Name: path, Data: b})
	}
	return files, nil
}

// RenderOptions are the inputs every render of a chart uses, here and on the far
// side, with further values files laid over them.
func RenderOptions(c record.Chart, over ...chart.ValuesFile) (chart.RenderOptions, error) {
	values, err := chart.MergeOnto(c.Values, nil, over, c.Set, nil)
	return chart.RenderOptions{
		Values:      values,
		ReleaseName: c.Release,
		Namespace:   c.Namespace,
		KubeVersion: c.KubeVersion,
		APIVersions: c.APIVersions,
	}, err
}
