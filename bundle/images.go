package bundle

import (
	"context"
	"errors"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/reports"
)

// Images finds every reference of some charts, where it stands and which values key
// moves it. It needs no network beyond reading the charts. What charts ask for that do
// not render is one error, beside the report on the others.
//
// With disabled, it also switches on, one at a time, the components that the
// values leave off, and lists what appears.
func Images(ctx context.Context, charts []ChartSpec, disabled bool, o RegistryOptions) (*reports.Images, error) {
	client, err := remote.New(o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	report := new(reports.Images)
	var demands unrendered
	for _, spec := range charts {
		err := addImages(ctx, report, client, spec, disabled)
		if err != nil && !demands.add(err) {
			return nil, err
		}
	}
	return report, demands.all
}

// unrendered is what charts ask for that do not render: the next one may ask for
// something, too, and a person wants to hear all of it at once.
type unrendered struct{ all error }

// add reports whether err is of that kind.
func (u *unrendered) add(err error) bool {
	var e *chart.RenderError
	if !errors.As(err, &e) {
		return false
	}
	u.all = fault.Both(u.all, err)
	return true
}

// addImages finds those of one chart.
func addImages(ctx context.Context, r *reports.Images, client *remote.Client, spec ChartSpec, disabled bool) error {
	c, err := source.Load(ctx, client, spec)
	if err != nil {
		return err
	}
	found, err := source.FindImages(ctx, c)
	if err != nil {
		return err
	}
	r.Charts = append(r.Charts, source.Listed{Spec: spec, Name: c.Record.Name, Version: c.Record.Version})
	r.Found = append(r.Found, found...)
	if !disabled {
		return nil
	}
	render, err := source.RenderOptions(c.Record)
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
	r.Failed = append(r.Failed, record.Printables(off.Failed)...)
	r.Untried += off.Untried
	return nil
}
