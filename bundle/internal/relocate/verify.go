package relocate

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
)

// Verify is the proof alone: it renders the chart as helm install does, without
// and with the overrides, and compares. Every reference whose position reads
// its target is in Moved, every other one in Left.
func Verify(ctx context.Context, r Request, overrides map[string]any) (*Result, error) {
	ctx, cancel := limited(ctx, r.Chart)
	defer cancel()
	d, err := begin(ctx, r)
	if err != nil {
		return nil, err
	}
	d.options.Values = chart.Merge(r.Render.Values, overrides)
	out, err := d.strict(ctx, nil)
	if err != nil {
		return nil, err
	}
	probed, err := d.lenient(ctx, nil)
	if err != nil {
		return nil, err
	}
	d.options.Values = r.Render.Values
	res := &Result{Overrides: overrides}
	walk(nil, overrides, func(p path, v any) bool {
		m, ok := v.(map[string]any)
		if ok && len(m) > 0 {
			return true
		}
		res.Keys = append(res.Keys, p.String())
		return false
	})
	d.compare(res, out)
	d.secrets(res, &plan{out: out})
	set := overlay{}
	walk(nil, overrides, func(p path, v any) bool {
		set[p.String()] = setting{p, v}
		return true
	})
	d.changes(res, probed, set)
	res.Renders, res.Before = d.renders, d.before
	return res, nil
}

// prove renders the plan strictly. When the chart refuses it, values named in
// its message are switched on; when that does not help, the keys that it
// refuses are returned.
func (d *derivation) prove(ctx context.Context, p *plan) (proved *plan, refused []string, err error) {
	for {
		p.out, err = d.strict(ctx, p.overlay)
		if err == nil {
			return p, nil, nil
		}
		if refusal(err) == nil {
			return nil, nil, err
		}
		key := d.unlock(err.Error(), p.overlay)
		if key == nil {
			break
		}
		p.overlay = p.overlay.with(overlay{key.String(): {key, true}})
		p.unlocked = append(p.unlocked, key.String())
	}
	if _, err := d.strict(ctx, nil); err != nil {
		return nil, nil, err // the overrides are not to blame
	}
	open := p.overlay.without(p.unlocked...)
	refused, err = d.culprits(ctx, open, sortedKeys(open))
	return nil, refused, err
}

// dotted matches a path of values in a message.
var dotted = regexp.MustCompile(`[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+`)

// unlock finds a value that is false and that a message names, as charts do
// that tell how to go on.
func (d *derivation) unlock(message string, o overlay) path {
	for _, name := range dotted.FindAllString(message, -1) {
		name = strings.TrimPrefix(name, "Values.")
		for _, at := range sortedKeys(d.templates().charts) {
			p := splitPath(at).join(splitPath(name)...)
			if v, ok := p.lookup(d.base); !ok || v != false {
				continue
			}
			if _, done := o[p.String()]; !done {
				return p
			}
		}
	}
	return nil
}

// culprits halves keys until it has those that the chart refuses strictly. When
// it refuses only some of them together, all of those are returned.
func (d *derivation) culprits(ctx context.Context, all overlay, keys []string) ([]string, error) {
	o := overlay{}
	for _, k := range keys {
		o[k] = all[k]
	}
	_, err := d.strict(ctx, o)
	if err == nil {
		return nil, nil
	}
	if refusal(err) == nil {
		return nil, err
	}
	if len(keys) == 1 || d.renders >= 2*maxRenders {
		return keys, nil
	}
	half := len(keys) / 2
	a, err := d.culprits(ctx, all, keys[:half])
	if err != nil {
		return nil, err
	}
	b, err := d.culprits(ctx, all, keys[half:])
	if err != nil {
		return nil, err
	}
	if found := slices.Concat(a, b); len(found) > 0 {
		return found, nil
	}
	return keys, nil
}
