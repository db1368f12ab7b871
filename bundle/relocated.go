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

// relocated is one chart with the values that move it to a registry.
type relocated struct {
	record ChartRecord
	chart  *chart.Chart
	naming naming
	dir    string            // below the output folder
	seen   map[string]string // raw reference in the render → name of the image in the bundle
	result *relocate.Result
	values []byte        // the emitted file
	output *chart.Output // rendered with it, as helm install does
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
	Named   []string      `json:"named,omitempty"`   // settings that still name a source registry, but pull nothing by it
	Changed []string      `json:"changed,omitempty"` // what else the values change, besides references
	Renders int           `json:"renders"`
	Helm    string        `json:"helm"` // the command that installs it

	Secrets     int      `json:"secrets,omitempty"`     // pods proved to name the pull secret
	SecretsLeft []string `json:"secretsLeft,omitempty"` // pods that do not, and why
	Kubectl     string   `json:"kubectl,omitempty"`     // the command that creates the pull secret
}

// A LeftFinding is a reference that values do not move, or that nobody can
// pull.
type LeftFinding struct {
	Finding
	Reason string   `json:"reason"`
	Target string   `json:"target,omitempty"` // where it should point
	Needs  []string `json:"needs,omitempty"`  // what can move it all the same, see the Way constants
}

// relocateCharts renders every chart as on the far side and derives its
// values.
func (o *ImportOptions) relocateCharts(ctx context.Context, b *Bundle, names naming) ([]*relocated, error) {
	if o.SkipCharts {
		return nil, nil
	}
	files, err := readValues(o.ValueFiles)
	if err != nil {
		return nil, err
	}
	dirs := folders(b.Record.Charts)
	var all []*relocated
	for i, rec := range b.Record.Charts {
		ch, err := b.openChart(rec)
		if err != nil {
			return nil, err
		}
		if rec.Values, err = mergeOnto(rec.Values, files, slices.Concat(rec.Set, o.Set), o.SetString); err != nil {
			return nil, err
		}
		rec.Set = exactIntegers(rec.Values)
		c := &relocated{record: rec, chart: ch, naming: names, dir: dirs[i]}
		if err := c.derive(ctx, o); err != nil {
			return nil, fmt.Errorf("chart %s: %w", rec.label(), err)
		}
		c.match(b.Record)
		all = append(all, c)
	}
	return all, nil
}

// folders gives each chart one of its own: the release's name, with a number
// where two releases share it.
func folders(charts []ChartRecord) []string {
	taken := make(map[string]bool)
	for _, c := range charts {
		taken[c.Release] = true
	}
	used := make(map[string]bool)
	dirs := make([]string, len(charts))
	for i, c := range charts {
		dir := c.Release
		for n := 2; used[dir] || dir != c.Release && taken[dir]; n++ {
			dir = fmt.Sprintf("%s-%d", c.Release, n)
		}
		used[dir] = true
		dirs[i] = dir
	}
	return dirs
}

// openChart reads a chart's archive out of its manifest.
func (b *Bundle) openChart(rec ChartRecord) (*chart.Chart, error) {
	damaged := func(err error) error { return &DamagedError{"chart " + rec.label(), err} }
	var m ocispec.Manifest
	doc, err := b.docs.fetch(ocispec.Descriptor{Digest: rec.Digest})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc, &m); err != nil {
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

// derive finds the values, writes them as the file that is emitted, and proves
// that file: it is read back and the chart is rendered with it.
func (c *relocated) derive(ctx context.Context, o *ImportOptions) error {
	render, err := c.record.renderOptions()
	if err != nil {
		return err
	}
	request := relocate.Request{
		Chart:  c.chart,
		Render: render,
		Target: func(raw string) (string, bool) { return c.naming.target(raw), true },

		PullSecret: o.PullSecret,
	}
	res, err := relocate.Derive(ctx, request)
	if err != nil {
		return err
	}
	c.result = res
	c.values = relocate.FormatYAML(res, c.header(o))
	emitted := chart.ValuesFile{Name: "emitted values", Data: c.values}
	overrides, err := chart.MergeValues(chart.ValueSources{Files: []chart.ValuesFile{emitted}})
	if err != nil {
		return err
	}
	proof, err := relocate.Verify(ctx, request, overrides)
	if err != nil {
		return err
	}
	if len(proof.Moved) != len(res.Moved) || len(proof.Left) != len(res.Left) {
		return fmt.Errorf("the emitted values move %d references when read back from the file, not %d", len(proof.Moved), len(res.Moved))
	}
	if render, err = c.record.renderOptions(emitted); err != nil {
		return err
	}
	render.Strict = true
	if c.output, err = c.chart.Render(ctx, render); err != nil {
		return err
	}
	for _, l := range res.Left {
		if !l.Test || !c.record.SkipTests {
			c.leave(l.Finding, l.Reason)
		}
	}
	return nil
}

// leave notes a reference that stays outside.
func (c *relocated) leave(f chart.Finding, reason string) {
	l := LeftFinding{Finding: finding(c.record, f, nil), Reason: printable(reason)}
	if f.Confidence != chart.Placeholder && f.Raw != "" {
		l.Target = c.naming.target(f.Raw)
		l.Needs = ways(f, c.isHook(f))
	}
	c.left = append(c.left, l)
}

// isHook tells whether a finding stands in a hook, which Helm v3 does not hand
// to post-renderers.
func (c *relocated) isHook(f chart.Finding) bool {
	for i := range c.output.Manifests {
		if m := &c.output.Manifests[i]; strings.HasPrefix(f.Position, m.Position()+".") {
			return len(m.Hooks) > 0
		}
	}
	return false
}

// match looks every reference of the render up in the bundle.
func (c *relocated) match(rec *Record) {
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
	look := func(f chart.Finding, moved bool) {
		ref, err := ParseReference(f.Raw)
		if err != nil || f.Confidence != chart.Image || f.Test && c.record.SkipTests {
			return
		}
		if name, ok := inside[ref.String()]; ok {
			c.seen[f.Raw] = name
		} else if moved {
			c.left = append(c.left, LeftFinding{Finding: finding(c.record, f, nil), Reason: "not in the bundle"})
		}
	}
	for _, m := range c.result.Moved {
		look(m.Finding, true)
	}
	for _, l := range c.result.Left {
		look(l.Finding, false)
	}
}

func (c *relocated) report(o *ImportOptions) ImportChart {
	r := ImportChart{
		Name:    c.record.Name,
		Version: c.record.Version,
		Target:  "oci://" + o.Registry.Charts() + "/" + c.record.Name,
		Files:   c.files(),
		Keys:    printables(c.result.Keys),
		Moved:   len(c.result.Moved),
		Left:    c.left,
		Renders: c.result.Renders,
		Helm:    c.helmInstall(o),
	}
	for _, n := range c.result.Named {
		if n.Reads == n.Raw {
			r.Named = append(r.Named, fmt.Sprintf("%s: %s", n.Raw, finding(c.record, n.Finding, nil).Where()))
		}
	}
	for _, ch := range c.result.Changed {
		r.Changed = append(r.Changed, printable(fmt.Sprintf("%s: %s %s: %q becomes %q", ch.Template, ch.Kind, ch.Path, clip(ch.Before), clip(ch.After))))
	}
	if o.PullSecret != "" {
		r.Secrets = len(c.result.Secrets)
		r.Kubectl = "kubectl create secret docker-registry " + shellQuote(o.PullSecret) + " --namespace " + shellQuote(c.record.Namespace) +
			" --docker-server=" + shellQuote(o.Registry.Host) + " --docker-username=USER --docker-password=PASSWORD"
		for _, l := range c.result.SecretsLeft {
			r.SecretsLeft = append(r.SecretsLeft, printable(fmt.Sprintf("%s: %s %s: %s", l.Template, l.Kind, l.Name, l.Reason)))
		}
	}
	return r
}

// clip shortens a text for a line of a report.
func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// helmInstall is the command that installs the chart with the emitted files.
func (c *relocated) helmInstall(o *ImportOptions) string {
	r := c.record
	words := []string{"helm", "install", r.Release, "oci://" + o.Registry.Charts() + "/" + r.Name, "--version", r.Version,
		"--namespace", r.Namespace, "--create-namespace"}
	for _, f := range c.files() {
		words = append(words, "-f", filepath.Join(o.OutputDir, f))
	}
	for _, s := range r.Set {
		words = append(words, "--set", s)
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

// header stands above the emitted values.
func (c *relocated) header(o *ImportOptions) []string {
	lines := []string{
		"Values with which " + c.record.label() + " pulls its images from " + c.naming.registry.String() + ".",
		"Derived by rendering the chart and proved by rendering it again.",
	}
	if o.OutputDir != "" {
		lines = append(lines, "", c.helmInstall(o))
	}
	return lines
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
