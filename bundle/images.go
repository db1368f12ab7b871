package bundle

import (
	"context"

	"bundle/bundle/internal/relocate"
)

// An ImagesReport lists the references of a chart.
type ImagesReport struct {
	Chart    string          `json:"chart"` // name-version
	Found    []Finding       `json:"found"`
	Disabled []DisabledImage `json:"disabled,omitempty"`
	Failed   []string        `json:"failed,omitempty"`  // switches with which the chart does not render
	Untried  int             `json:"untried,omitempty"` // switches beyond what is tried
}

// A DisabledImage appears when a component that is off is switched on.
type DisabledImage struct {
	Finding
	Switch []string `json:"switch"` // values keys to set true together
}

// Images finds every reference of a chart, where it stands and which values
// key moves it. It needs no network beyond reading the chart.
//
// With disabled, it also switches on, one at a time, the components that the
// values leave off, and lists what appears.
func Images(ctx context.Context, spec ChartSpec, disabled bool, o RegistryOptions) (*ImagesReport, error) {
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	c, err := loadChart(ctx, client, spec, o.CAFile)
	if err != nil {
		return nil, err
	}
	found, err := findImages(ctx, c)
	if err != nil {
		return nil, err
	}
	report := &ImagesReport{Chart: c.record.label(), Found: found}
	if disabled {
		err = report.addDisabled(ctx, c)
	}
	return report, err
}

func (r *ImagesReport) addDisabled(ctx context.Context, c *chartArtifact) error {
	render, err := c.record.renderOptions()
	if err != nil {
		return err
	}
	off, err := relocate.Disabled(ctx, relocate.Request{Chart: c.chart, Render: render})
	if err != nil {
		return about("chart "+c.record.label(), err)
	}
	for _, f := range off.Found {
		r.Disabled = append(r.Disabled, DisabledImage{finding(c.record, f.Finding, nil), printables(f.Switch)})
	}
	r.Failed, r.Untried = printables(off.Failed), off.Untried
	return nil
}

// ValuesOptions say for which registry values are wanted.
type ValuesOptions struct {
	Chart            ChartSpec
	Registry         Registry
	KeepRegistryHost bool
	PullSecret       string
	RegistryOptions  RegistryOptions
}

// A ValuesReport is what [Values] found.
type ValuesReport struct {
	ImportChart        // without what only an import has
	Registry    string `json:"registry"`
	Values      []byte `json:"-"` // the values file
}

// Values derives the values with which a chart pulls its images from a
// registry, without any bundle: the images have to be there by other means. It
// needs no network beyond reading the chart. References that values do not
// move are in the report, and the error is an *IncompleteError beside it.
func Values(ctx context.Context, o ValuesOptions) (*ValuesReport, error) {
	client, err := o.RegistryOptions.client()
	if err != nil {
		return nil, err
	}
	a, err := loadChart(ctx, client, o.Chart, o.RegistryOptions.CAFile)
	if err != nil {
		return nil, err
	}
	target := &ImportOptions{
		Registry:         o.Registry,
		KeepRegistryHost: o.KeepRegistryHost,
		PullSecret:       o.PullSecret,
		RegistryOptions:  o.RegistryOptions,
	}
	c := &relocated{record: a.record, chart: a.chart, naming: newNaming(&Record{}, o.Registry, o.KeepRegistryHost)}
	if err := c.derive(ctx, target); err != nil {
		return nil, about("chart "+a.record.label(), err)
	}
	report := &ValuesReport{
		ImportChart: c.report(target),
		Registry:    o.Registry.String(),
		Values:      c.values,
	}
	report.Files, report.Helm, report.Target = nil, "", ""
	return report, incomplete([]*relocated{c}, "`bundle import` emits what moves them besides values")
}
