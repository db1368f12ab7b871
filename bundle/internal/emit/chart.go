package emit

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
)

// Chart is one chart with the values that move it to a registry.
type Chart struct {
	Record record.Chart
	Chart  *chart.Chart
	Naming place.Names
	dir    string            // below the output folder
	seen   map[string]string // raw reference in the render → name of the image in the bundle
	result *relocate.Result
	beside bool          // the chart is not in the registry: it lies beside its values
	Values []byte        // the emitted file
	output *chart.Output // rendered with it, as helm install does, with what only upgrades and the like have
	Left   []Left

	// What Ways found out.
	rewritten   *chart.Output // output, with what values do not move rewritten
	breaks4     string        // template that Helm 4 cannot hand to a post-renderer
	unbuildable string        // why kustomize refuses the rendered folder

	generated map[chart.Document]bool // what differs between two renders of the same input

	nulls    bool             // the values hold nulls, and the chart would not be the same without
	excluded []record.Finding // that stay outside because the user says so
}

// Options say what charts are moved to, and where what import writes goes.
type Options struct {
	Registry       place.Registry
	Names          place.Naming
	Access         remote.Options // how the registry is reached: helm and nodes are told the same
	CA             []byte         // PEM of what nodes have to trust; nil: they do already
	DryRun         bool           // nothing is written
	OutputDir      string         // where values files and reports go; empty: nowhere
	OmitSecrets    Secrets        // which stay out of RenderDir
	RenderDir      string         // where the rendered manifests go; empty: nowhere
	GitOps         []string       // objects to write too: Flux, ArgoCD, Kustomize
	Environments   []string       // overlays of Kustomize; none: production and staging
	PullSecret     string         // name of the secret the nodes pull with; empty: none
	ValueFiles     []string       // laid over the values that travel
	Set, SetString []string
}

// Relocate renders every chart as on the far side and derives its
// values.
func Relocate(ctx context.Context, b *open.Bundle, names place.Names, o Options) ([]*Chart, error) {
	files, err := source.ReadValues(ctx, o.ValueFiles)
	if err != nil {
		return nil, err
	}
	dirs := folders(b.Record.Charts)
	var all []*Chart
	var demands error // of charts that do not render
	for i, rec := range b.Record.Charts {
		ch, err := carried.Chart(b, rec)
		if err != nil {
			return nil, err
		}
		if rec.Values, err = chart.MergeOnto(rec.Values, rec.Set, files, o.Set, o.SetString); err != nil {
			return nil, err
		}
		rec.Set = record.ExactIntegers(rec.Values)
		c := &Chart{Record: rec, Chart: ch, Naming: names, dir: dirs[i]}
		err = c.Derive(ctx, o)
		if err != nil {
			err = fmt.Errorf("chart %s: %w", rec.Label(), err)
		}
		var refused *chart.RenderError
		if errors.As(err, &refused) { // the next ones may ask for something, too
			demands = fault.Both(demands, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		c.match(b.Record)
		c.Left = slices.DeleteFunc(c.Left, func(l Left) bool { return b.Record.Accepts(l.Chart, l.Raw) })
		all = append(all, c)
	}
	return all, demands
}

// folders gives each chart one of its own: the release's name, with a number
// where two releases share it.
func folders(charts []record.Chart) []string {
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

// Derive finds the values, writes them as the file that is emitted, and proves
// that file: it is read back and the chart is rendered with it.
func (c *Chart) Derive(ctx context.Context, o Options) error {
	render, err := source.RenderOptions(c.Record)
	if err != nil {
		return err
	}
	request := relocate.Request{
		Chart:  c.Chart,
		Render: render,
		Target: func(raw string) (string, bool) { return c.Naming.Target(raw), c.Naming.Moves(raw) },

		PullSecret: o.PullSecret,
	}
	res, err := relocate.Derive(ctx, request)
	if err != nil {
		return err
	}
	if err := c.prove(ctx, request, res, o); err != nil {
		return err
	}
	if err := c.final(ctx, res, o); err != nil {
		return err
	}
	for _, l := range res.Left {
		switch {
		case l.Test && c.Record.SkipTests:
		case !c.Naming.Moves(l.Raw):
			c.excluded = append(c.excluded, source.Finding(c.Record, l.Finding, nil))
		default:
			c.leave(l.Finding, l.Reason)
		}
	}
	return nil
}

// final is the render of the chart with what was emitted, in the way of helm install:
// the proof of the derivation, if that was with the very same values.
func (c *Chart) final(ctx context.Context, res *relocate.Result, o Options) error {
	render, err := source.RenderOptions(c.Record, chart.ValuesFile{Name: "emitted values", Data: c.Values})
	if err != nil {
		return err
	}
	render.Strict, render.Occasions = true, true
	if c.output = res.Proved(render.Values); c.output == nil {
		out, err := c.Chart.Render(ctx, render)
		if err != nil {
			return err
		}
		c.output = out.Like(res.Before)
	}
	if o.renders() {
		return c.findGenerated(ctx, render)
	}
	return nil
}

// prove writes the values and proves what was written: it is read back, and the chart
// rendered with it. Nulls, which a list can bring along, mean other things to other
// versions of Helm: they are left out where that changes nothing.
func (c *Chart) prove(ctx context.Context, request relocate.Request, res *relocate.Result, o Options) error {
	if values, nulls := withoutNulls(res.Overrides); nulls {
		without := *res
		without.Overrides = values.(map[string]any)
		if proof, err := c.readBack(ctx, request, &without, o); err == nil && alike(proof, res) {
			return nil
		}
		c.nulls = true
	}
	proof, err := c.readBack(ctx, request, res, o)
	if err != nil {
		return err
	}
	if len(proof.Moved) != len(res.Moved) || len(proof.Left) != len(res.Left) {
		return fmt.Errorf("the emitted values move %d references when read back from the file, not %d", len(proof.Moved), len(res.Moved))
	}
	return nil
}

// alike tells whether two derivations do the same.
func alike(a, b *relocate.Result) bool {
	return len(a.Moved) == len(b.Moved) && len(a.Left) == len(b.Left) && len(a.Altered) == len(b.Altered) && len(a.Changed) == len(b.Changed)
}

// readBack writes the values as the file that is emitted, and verifies that: what was
// proved already is not proved again.
func (c *Chart) readBack(ctx context.Context, request relocate.Request, res *relocate.Result, o Options) (*relocate.Result, error) {
	c.result = res
	c.Values = relocate.FormatYAML(res, c.header(o))
	overrides, err := chart.MergeValues(chart.ValueSources{Files: []chart.ValuesFile{{Name: "emitted values", Data: c.Values}}})
	if err != nil {
		return nil, err
	}
	if res.Proved(chart.Merge(request.Render.Values, overrides)) != nil {
		return res, nil
	}
	return relocate.Verify(ctx, request, overrides)
}

// withoutNulls is a value without the entries of maps that are null; found tells
// whether there were any.
func withoutNulls(v any) (without any, found bool) {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, below := range v {
			if below == nil {
				found = true
				continue
			}
			b, f := withoutNulls(below)
			m[k], found = b, found || f
		}
		return m, found
	case []any:
		l := make([]any, len(v))
		for i, below := range v {
			b, f := withoutNulls(below)
			l[i], found = b, found || f
		}
		return l, found
	}
	return v, false
}

// leave notes a reference that stays outside.
func (c *Chart) leave(f chart.Finding, reason string) {
	l := Left{Finding: source.Finding(c.Record, f, nil), Reason: record.Printable(reason), raw: f.Raw, position: f.Position}
	if target := c.Naming.Target(f.Raw); f.Confidence != name.Placeholder && f.Raw != "" && target != f.Raw {
		l.Target = target
	}
	c.Left = append(c.Left, l)
}

// unread are the schemas that Helm cannot load without a network.
func (c *Chart) unread() []chart.UnreadSchema {
	if c.output == nil {
		return nil // not proved yet
	}
	return c.output.Unread
}

// notInside is why nobody can pull a reference, wherever it points.
const notInside = "not in the bundle"

// match looks every reference of the render up in the bundle.
func (c *Chart) match(rec *record.Record) {
	c.seen = make(map[string]string)
	inside := make(map[string]string) // full source reference → name in the bundle
	for _, im := range rec.Images {
		inside[im.Reference] = im.Reference
		for _, f := range im.Found {
			if ref, err := name.Parse(f.Raw); err == nil {
				inside[ref.String()] = im.Reference
			}
		}
	}
	look := func(f chart.Finding, moved bool) {
		ref, err := name.Parse(f.Raw)
		if err != nil || f.Confidence != name.Image || f.Test && c.Record.SkipTests {
			return
		}
		if !c.Naming.Moves(f.Raw) {
			return
		}
		if name, ok := inside[ref.String()]; ok {
			c.seen[f.Raw] = name
		} else if moved {
			c.Left = append(c.Left, Left{Finding: source.Finding(c.Record, f, nil), Reason: notInside})
		} else if i := slices.IndexFunc(c.Left, func(l Left) bool { return l.position == f.Position }); i >= 0 {
			c.Left[i].Reason += "; " + notInside
		}
	}
	for _, m := range c.result.Moved {
		look(m.Finding, true)
	}
	for _, l := range c.result.Left {
		look(l.Finding, false)
	}
}

// files names the values files for helm, in order, below the output folder.
func (c *Chart) files() []string {
	var files []string
	if len(c.Record.Values) > 0 {
		files = append(files, filepath.Join(c.dir, "values.given.yaml"))
	}
	return append(files, filepath.Join(c.dir, "values.yaml"))
}

// given is the file that carries the values the chart was exported with.
func (c *Chart) given() ([]byte, error) {
	b, err := yaml.Marshal(c.Record.Values)
	if err != nil {
		return nil, fmt.Errorf("chart %s: values: %w", c.Record.Label(), err)
	}
	head := fmt.Sprintf("# Values given when %s was exported or imported; pass this file to helm before values.yaml.\n", c.Record.Label())
	return append([]byte(head), b...), nil
}

// PutBeside has a chart lie beside its values, for registries that do not take
// it: helm installs it from there.
func (c *Chart) PutBeside(o Options) {
	c.beside = true
	c.Values = relocate.FormatYAML(c.result, c.header(o)) // the comment on top names it
}

// archive is the name of the chart's own file below the output folder, empty where
// the registry has it.
func (c *Chart) archive() string {
	if !c.beside {
		return ""
	}
	return filepath.Join(c.dir, c.Record.Label()+".tgz")
}

// Collisions finds references of different images that get one name.
func (c *Chart) Collisions() []*place.CollisionError {
	var rec record.Record
	at := make(map[string]int)
	add := func(f chart.Finding) {
		ref, err := name.Parse(f.Raw)
		if err != nil || f.Confidence == name.Placeholder {
			return
		}
		i, known := at[ref.String()]
		if !known {
			i = len(rec.Images)
			at[ref.String()] = i
			rec.Images = append(rec.Images, record.Image{Reference: ref.String()})
		}
		rec.Images[i].Found = append(rec.Images[i].Found, record.Finding{Raw: f.Raw})
	}
	for _, m := range c.result.Moved {
		add(m.Finding)
	}
	for _, l := range c.result.Left {
		add(l.Finding)
	}
	return place.Collisions(&rec, c.Naming)
}
