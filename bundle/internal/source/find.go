package source

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/written"
)

// FindImages renders the chart with the user's values and returns every
// reference in it, with the values keys that will move each.
func FindImages(ctx context.Context, c *Chart) ([]record.Finding, error) {
	render, err := RenderOptions(c.Record)
	if err != nil {
		return nil, err
	}
	res, err := relocate.Derive(ctx, relocate.Request{
		Chart:  c.Chart,
		Render: render,
		Target: func(raw string) (string, bool) {
			return written.Target(raw, "registry."+name.LocalHost, false), true
		},
	})
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Record.Label(), err)
	}
	var all []record.Finding
	for _, m := range res.Moved {
		if !m.Test || !c.Record.SkipTests {
			all = append(all, Finding(c.Record, m.Finding, m.Keys))
		}
	}
	for _, l := range res.Left {
		if !l.Test || !c.Record.SkipTests {
			all = append(all, Finding(c.Record, l.Finding, nil))
		}
	}
	annotated, err := annotatedImages(ctx, c, render)
	if err != nil {
		return nil, err
	}
	all = append(all, annotated...)
	slices.SortStableFunc(all, func(a, b record.Finding) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Path, b.Path))
	})
	return all, nil
}

// annotatedImages lists what Chart.yaml names, of the chart and of those
// dependencies that the values enable.
func annotatedImages(ctx context.Context, c *Chart, render chart.RenderOptions) ([]record.Finding, error) {
	if len(c.Chart.AnnotatedImages()) == 0 {
		return nil, nil
	}
	out, err := c.Chart.Render(ctx, render)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.Record.Label(), err)
	}
	var all []record.Finding
	for _, raw := range out.AnnotatedImages() {
		all = append(all, record.Finding{Raw: raw, Chart: c.Record.Label(), Confidence: string(name.Image)})
	}
	return all, nil
}

// Finding is what a report says of a reference. Names of templates and keys are
// the chart's, and may hold what deceives a terminal.
func Finding(c record.Chart, f chart.Finding, keys []string) record.Finding {
	return record.Finding{
		Raw:        record.Printable(f.Raw),
		Chart:      c.Label(),
		Template:   record.Printable(f.Template),
		Kind:       record.Printable(f.Kind),
		Path:       record.Printable(f.Path.String()),
		Confidence: string(f.Confidence),
		Keys:       record.Printables(keys),
	}
}
