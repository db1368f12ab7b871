package bundle

import (
	"context"
	"errors"
	"slices"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/reports"
)

// ValuesOptions say for which charts and which registry values are wanted.
type ValuesOptions struct {
	Charts          []ChartSpec
	Registry        Registry
	Names           Naming // how paths become paths there; empty: NamesFull
	PullSecret      string
	RegistryOptions RegistryOptions
}

// Values derives the values with which charts pull their images from a
// registry, without any bundle: the images have to be there by other means. It
// needs no network beyond reading the charts. References that values do not
// move are in the report, and the error is a *reports.IncompleteError beside it. Where a
// chart does not render there is no report.
func Values(ctx context.Context, o ValuesOptions) (*reports.Values, error) {
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
	report := &reports.Values{Registry: o.Registry.String()}
	var demands unrendered
	var left []error
	for _, spec := range o.Charts {
		v, lacks, err := chartValues(ctx, client, spec, o)
		switch {
		case err == nil:
			report.Charts = append(report.Charts, *v)
			left = append(left, lacks)
		case !demands.add(err):
			return nil, err
		}
	}
	if demands.all != nil {
		return nil, demands.all
	}
	return report, asOne(left)
}

// asOne is all errors as one; one alone stays what it is.
func asOne(all []error) error {
	all = slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// chartValues derives the values of one chart; lacks is what they do not move.
func chartValues(ctx context.Context, client *remote.Client, spec ChartSpec, o ValuesOptions) (v *reports.ChartValues, lacks, err error) {
	a, err := source.Load(ctx, client, spec)
	if err != nil {
		return nil, nil, err
	}
	target := emit.Options{
		Registry:   o.Registry,
		Names:      o.Names,
		PullSecret: o.PullSecret,
		Access:     o.RegistryOptions,
	}
	c := &emit.Chart{Record: a.Record, Chart: a.Chart, Naming: place.NewNames(&record.Record{}, o.Registry, o.Names)}
	if err := c.Derive(ctx, target); err != nil {
		return nil, nil, remote.About("chart "+a.Record.Label(), err)
	}
	emit.Ways([]*emit.Chart{c}, nil, target)
	v = &reports.ChartValues{ChartReport: c.Report(target), Values: c.Values}
	v.Files, v.Helm, v.Target = nil, "", ""
	return v, fault.Both(colliding(c.Collisions()), emit.Incomplete([]*emit.Chart{c}, target)), nil
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
