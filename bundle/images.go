package bundle

import (
	"context"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/reports"
)

// An ImagesReport lists the references of a chart.
type ImagesReport struct {
	Chart    string                  `json:"chart"` // name-version
	Found    []record.Finding        `json:"found"`
	Disabled []reports.DisabledImage `json:"disabled,omitempty"`
	Failed   []string                `json:"failed,omitempty"`  // switches with which the chart does not render
	Untried  int                     `json:"untried,omitempty"` // switches beyond what is tried
	NotTaken []string                `json:"notTaken,omitempty"`
	Charts   []source.Listed         `json:"-"`
}

// Images finds every reference of a chart, where it stands and which values
// key moves it. It needs no network beyond reading the chart.
//
// With disabled, it also switches on, one at a time, the components that the
// values leave off, and lists what appears.
func Images(ctx context.Context, spec source.ChartSpec, disabled bool, o RegistryOptions) (*ImagesReport, error) {
	client, err := remote.New(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	c, err := source.Load(ctx, client, spec)
	if err != nil {
		return nil, err
	}
	found, err := source.FindImages(ctx, c)
	if err != nil {
		return nil, err
	}
	report := &ImagesReport{Chart: c.Record.Label(), Found: found, Charts: []source.Listed{{Spec: spec, Name: c.Record.Name, Version: c.Record.Version}}}
	if disabled {
		err = report.addDisabled(ctx, c)
	}
	return report, err
}

func (r *ImagesReport) addDisabled(ctx context.Context, c *source.Chart) error {
	render, err := c.Record.RenderOptions()
	if err != nil {
		return err
	}
	off, err := relocate.Disabled(ctx, relocate.Request{Chart: c.Chart, Render: render})
	if err != nil {
		return remote.About("chart "+c.Record.Label(), err)
	}
	for _, f := range off.Found {
		r.Disabled = append(r.Disabled, reports.DisabledImage{Finding: source.Finding(c.Record, f.Finding, nil), Switch: record.Printables(f.Switch)})
	}
	r.Failed, r.Untried = record.Printables(off.Failed), off.Untried
	return nil
}

// ValuesOptions say for which registry values are wanted.
type ValuesOptions struct {
	Chart           source.ChartSpec
	Registry        place.Registry
	Names           place.Naming // how paths become paths there; empty: place.Full
	PullSecret      string
	RegistryOptions RegistryOptions
}

// A ValuesReport is what [Values] found.
type ValuesReport struct {
	emit.ChartReport        // without what only an import has
	Registry         string `json:"registry"`
	Values           []byte `json:"-"` // the values file
}

// Values derives the values with which a chart pulls its images from a
// registry, without any bundle: the images have to be there by other means. It
// needs no network beyond reading the chart. References that values do not
// move are in the report, and the error is an *IncompleteError beside it.
func Values(ctx context.Context, o ValuesOptions) (*ValuesReport, error) {
	if o.PullSecret != "" {
		if err := record.CheckSecret(o.PullSecret); err != nil {
			return nil, &fault.UsageError{What: "--pull-secret: " + err.Error()}
		}
	}
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	a, err := source.Load(ctx, client, o.Chart)
	if err != nil {
		return nil, err
	}
	target := emit.Options{
		Registry:   o.Registry,
		Names:      o.Names,
		PullSecret: o.PullSecret,
		Access:     o.RegistryOptions,
	}
	c := &emit.Chart{Record: a.Record, Chart: a.Chart, Naming: place.NewNames(&record.Record{}, o.Registry, o.Names)}
	if err := c.Derive(ctx, target); err != nil {
		return nil, remote.About("chart "+a.Record.Label(), err)
	}
	emit.Ways([]*emit.Chart{c}, nil, target)
	report := &ValuesReport{
		ChartReport: c.Report(target),
		Registry:    o.Registry.String(),
		Values:      c.Values,
	}
	report.Files, report.Helm, report.Target = nil, "", ""
	return report, fault.Both(colliding(c.Collisions()), emit.Incomplete([]*emit.Chart{c}, target))
}

// colliding says that images would share names: that is right only where they are
// the same.
func colliding(all []*place.CollisionError) error {
	if len(all) == 0 {
		return nil
	}
	e := &fault.IncompleteError{
		Summary: "these share a name in the target registry, which can hold one of each only:",
		Advice:  place.HintCollision,
	}
	for _, c := range all {
		e.Items = append(e.Items, c.Error())
	}
	return e
}
