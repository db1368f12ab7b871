package chart

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"bundle/bundle/internal/child"
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
	var refused *RenderError
	if !errors.As(err, &refused) || errors.Is(refused.Err, ErrLibrary) {
		return err
	}
	all, werr := c.allDemands(ctx, o)
	if werr != nil {
		return err
	}
	refused.Also = slices.DeleteFunc(all, func(d Demand) bool { return d.Message == refused.Message })
	return err
}

// allDemands finds them where renders are done.
func (c *Chart) allDemands(ctx context.Context, o RenderOptions) ([]Demand, error) {
	if child.Available() {
		o.demands = true
		_, err := c.apart(ctx, o)
		var found *RenderError
		if errors.As(err, &found) {
			return found.Also, nil
		}
		return nil, err
	}
	done := make(chan []Demand, 1)
	go func() { done <- c.demands(o) }()
	return await(ctx, c.Name(), done)
}

// demands executes every template, notes what the checks in them would say, and goes
// on.
func (c *Chart) demands(o RenderOptions) (all []Demand) {
	defer func() { _ = recover() }() // what was found until then counts
	caps, err := capabilities(o)
	if err != nil {
		return nil
	}
	o.Values = copyMap(o.Values)
	e := c.lenient()
	p, values, err := e.process(c.helm, o, caps)
	if err != nil {
		return nil
	}
	root, list := e.contexts(p.chart, values)
	set, err := e.set(list)
	if err != nil {
		return nil
	}
	m := e.machine(set, mode{stub: true})
	defer e.release(set, m)
	defer func() { m.refused = nil }()
	m.begin(root, o.begins)
	for _, s := range list {
		if strings.HasPrefix(path.Base(s.name), "_") {
			continue
		}
		if o.begins != nil {
			o.begins(s.name)
		}
		m.refused = func(message string) {
			d := Demand{Template: s.name, Message: strings.TrimSpace(message)}
			if len(all) == maxDemands || d.Message == "" || slices.ContainsFunc(all, func(other Demand) bool { return other.Message == d.Message }) {
				return
			}
			named := RenderError{Template: d.Template, Message: d.Message}
			named.nameValue(asMap(values["Values"]))
			d.Value = named.Value
			all = append(all, d)
		}
		s.dot["Template"] = map[string]any{"Name": s.name, "BasePath": s.basePath}
		_, _ = m.execute(s, newRecording()) // one that stumbles has said what it could
		m.measure()
	}
	return all
}
