package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/relocate"
)

// relocated is one chart of the bundle with the values that move it.
type relocated struct {
	record ChartRecord
	chart  *chart.Chart
	dir    string            // below the output folder
	seen   map[string]string // raw reference in the render → name of the image in the bundle
	result *relocate.Result
	left   []LeftFinding
}

// An ImportChart says what became of a chart.
type ImportChart struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Target  string        `json:"target"` // oci:// reference without version
	Files   []string      `json:"files"`  // values files for helm, in order, relative to the output folder
	Keys    []string      `json:"keys"`   // values keys that the emitted file sets
	Moved   int           `json:"moved"`  // references proved to point to the target
	Left    []LeftFinding `json:"left,omitempty"`
	Renders int           `json:"renders"`
	Helm    string        `json:"helm"` // the command that installs it
}

// A LeftFinding is a reference that values do not move, or that nobody can
// pull.
type LeftFinding struct {
	Finding
	Reason string `json:"reason"`
}

// relocateCharts renders every chart as on the far side and derives its
// values.
func (o *ImportOptions) relocateCharts(ctx context.Context, b *Bundle, names naming) ([]*relocated, error) {
	if o.SkipCharts {
		return nil, nil
	}
	dirs := make(map[string]int)
	var all []*relocated
	for _, rec := range b.Record.Charts {
		ch, err := b.openChart(rec)
		if err != nil {
			return nil, err
		}
		if rec.Values, err = mergeOnto(rec.Values, o.ValueFiles, o.Set, o.SetString); err != nil {
			return nil, err
		}
		c := &relocated{record: rec, chart: ch, dir: rec.Release}
		if dirs[c.dir]++; dirs[c.dir] > 1 {
			c.dir = fmt.Sprintf("%s-%d", c.dir, dirs[rec.Release])
		}
		if err := c.derive(ctx, b.Record, names); err != nil {
			return nil, fmt.Errorf("chart %s: %w", rec.label(), err)
		}
		all = append(all, c)
	}
	return all, nil
}

// openChart reads a chart's archive out of its manifest.
func (b *Bundle) openChart(rec ChartRecord) (*chart.Chart, error) {
	damaged := func(err error) error { return &DamagedError{"chart " + rec.label(), err} }
	var m ocispec.Manifest
	if err := json.Unmarshal(b.docs[rec.Digest], &m); err != nil {
		return nil, damaged(err)
	}
	for _, l := range m.Layers {
		if l.MediaType != helmChartType {
			continue
		}
		if l.Size > maxChart {
			return nil, damaged(fmt.Errorf("archive of %d bytes, more than the %d allowed", l.Size, int64(maxChart)))
		}
		archive, err := b.readBlob(l)
		if err != nil {
			return nil, err
		}
		ch, err := chart.Open(archive)
		if err != nil {
			return nil, damaged(err)
		}
		if ch.Name() != rec.Name || ch.Version() != rec.Version {
			return nil, damaged(fmt.Errorf("the archive holds %s %s", ch.Name(), ch.Version()))
		}
		return ch, nil
	}
	return nil, damaged(fmt.Errorf("its manifest has no layer of type %s", helmChartType))
}

func (c *relocated) derive(ctx context.Context, rec *Record, names naming) error {
	res, err := relocate.Derive(ctx, relocate.Request{
		Chart:  c.chart,
		Render: c.record.renderOptions(),
		Target: func(raw string) (string, bool) { return names.target(raw), true },
	})
	if err != nil {
		return err
	}
	c.result = res
	c.seen = make(map[string]string)
	inside := make(map[string]string) // full source reference → name in the bundle
	for _, im := range rec.Images {
		inside[im.Reference] = im.Reference
		for _, f := range im.Found {
			if ref, err := ParseReference(f.Raw); err == nil {
				inside[ref.String()] = im.Reference
			}
		}
	}
	for _, m := range res.Moved {
		c.check(m.Finding, inside, "")
	}
	for _, l := range res.Left {
		c.check(l.Finding, inside, l.Reason)
	}
	return nil
}

// check notes one reference of the render: what the bundle has for it, and
// why it is left, if it is.
func (c *relocated) check(f chart.Finding, inside map[string]string, left string) {
	if f.Confidence == chart.Image {
		ref, err := ParseReference(f.Raw)
		name, ok := inside[ref.String()]
		switch {
		case err == nil && ok:
			c.seen[f.Raw] = name
		case left == "":
			left = "not in the bundle"
		}
	}
	if left != "" {
		c.left = append(c.left, LeftFinding{finding(c.record, f, nil), left})
	}
}

func (c *relocated) report(o *ImportOptions) ImportChart {
	return ImportChart{
		Name:    c.record.Name,
		Version: c.record.Version,
		Target:  "oci://" + o.Registry.Charts() + "/" + c.record.Name,
		Files:   c.files(),
		Keys:    c.result.Keys,
		Moved:   len(c.result.Moved),
		Left:    c.left,
		Renders: c.result.Renders,
		Helm:    c.helmInstall(o),
	}
}

// helmInstall is the command that installs the chart with the emitted files.
func (c *relocated) helmInstall(o *ImportOptions) string {
	r := c.record
	words := []string{"helm", "install", r.Release, "oci://" + o.Registry.Charts() + "/" + r.Name, "--version", r.Version,
		"--namespace", r.Namespace, "--create-namespace"}
	for _, f := range c.files() {
		words = append(words, "-f", filepath.Join(o.OutputDir, f))
	}
	if slices.Contains(o.RegistryOptions.PlainHTTP, o.Registry.Host) {
		words = append(words, "--plain-http")
	}
	if ca := o.RegistryOptions.CAFile; ca != "" {
		words = append(words, "--ca-file", ca)
	}
	for i, w := range words {
		words[i] = shellQuote(w)
	}
	return strings.Join(words, " ")
}

// values is the file that moves the chart's references.
func (c *relocated) values(registry, helm string) []byte {
	return relocate.FormatYAML(c.result, []string{
		"Values with which " + c.record.label() + " pulls its images from " + registry + ".",
		"Derived by rendering the chart and proved by rendering it again.",
		"",
		helm,
	})
}

// files names the values files for helm, in order, below the output folder.
func (c *relocated) files() []string {
	var files []string
	if len(c.record.Values) > 0 {
		files = append(files, filepath.Join(c.dir, "values.given.yaml"))
	}
	return append(files, filepath.Join(c.dir, "values.yaml"))
}

// given is the file that carries the values the chart was exported with.
func (c *relocated) given() ([]byte, error) {
	b, err := yaml.Marshal(c.record.Values)
	if err != nil {
		return nil, fmt.Errorf("chart %s: values: %w", c.record.label(), err)
	}
	head := fmt.Sprintf("# Values given when %s was exported or imported; pass this file to helm before values.yaml.\n", c.record.label())
	return append([]byte(head), b...), nil
}
