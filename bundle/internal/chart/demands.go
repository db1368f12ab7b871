package chart

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chartutil"
)

// A Demand is what a chart says, with fail or required, that it wants.
type Demand struct {
	Template string // chart/templates/x.yaml
	Message  string
	Value    string // the values path that the message names; often empty
}

// maxDemands bounds those that are listed.
const maxDemands = 50

// Demands completes the error of a render: Helm ends at the first thing that a chart
// asks for, and this lists the others, as far as can be told while the first is not
// given. It returns err.
func (c *Chart) Demands(ctx context.Context, o RenderOptions, err error) error {
	var refused, again *RenderError
	if !errors.As(err, &refused) || errors.Is(refused.Err, ErrLibrary) || refused.Template == "" && refused.Err == nil {
		return err
	}
	o.Strict, o.Checks, o.Occasions, o.Demands = false, true, false, true
	if _, cerr := c.Render(ctx, o); errors.As(cerr, &again) {
		refused.Also = slices.DeleteFunc(again.Also, func(d Demand) bool { return d.Message == refused.Message })
	}
	return err
}

// demands executes every template, notes what the checks in them would say, and goes
// on.
func (c *Chart) demands(o RenderOptions, caps *chartutil.Capabilities, err error) {
	var refused *RenderError
	if !errors.As(err, &refused) {
		return
	}
	defer func() { _ = recover() }() // what was found until then counts
	e := c.lenient()
	p, values, err := e.process(c.helm, o, caps)
	if err != nil {
		return
	}
	root, list := e.contexts(p.chart, values)
	set, err := e.set(list)
	if err != nil {
		return
	}
	m := e.machine(set, mode{stub: true})
	defer e.release(set, m)
	m.begin(root, o.begins)
	for _, s := range list {
		if strings.HasPrefix(path.Base(s.name), "_") {
			continue
		}
		m.asked = func(message string) { refused.add(s.name, message, asMap(values["Values"])) }
		s.dot["Template"] = chartutil.Values{"Name": s.name, "BasePath": s.basePath}
		m.begins(s.name)
		_, _ = m.execute(s, newRecording()) // one that stumbles has said what it could
		m.measure()
	}
}

func (e *RenderError) add(template, message string, values map[string]any) {
	d := Demand{Template: template, Message: strings.TrimSpace(message)}
	same := func(other Demand) bool { return other.Message == d.Message }
	if len(e.Also) == maxDemands || d.Message == "" || slices.ContainsFunc(e.Also, same) {
		return
	}
	named := RenderError{Template: d.Template, Message: d.Message}
	named.nameValue(values)
	d.Value = named.Value
	e.Also = append(e.Also, d)
}
