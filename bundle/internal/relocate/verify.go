package relocate

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
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

// Proved returns the render of the proof, in the way of helm install and like Before,
// if it was with exactly the given values, the user's and the overrides together;
// otherwise nil.
func (r *Result) Proved(values map[string]any) *chart.Output {
	if r.proof == nil || !reflect.DeepEqual(r.values, values) {
		return nil
	}
	return r.proof
}

// prove renders the plan strictly. When the chart refuses it, a value named in its
// message is switched on if it does no more than have the chart accept other images;
// when that does not help, the keys that it refuses are returned. Which ones is told by
// the checks, or where those know of no refusal by strict renders.
func (d *derivation) prove(ctx context.Context, p *plan) (proved *plan, refused []string, err error) {
	for _, ask := range []asker{d.check, d.strict} {
		unlocks := overlay{}
		if _, err = d.accept(ctx, p.overlay, unlocks, ask); err == nil {
			if proved, err = d.unlock(ctx, p, unlocks, ask); refusal(err) == nil {
				return proved, nil, err
			}
			continue
		}
		if refusal(err) == nil {
			return nil, nil, err
		}
		if _, err := ask(ctx, nil); err != nil {
			return nil, nil, err // the overrides are not to blame
		}
		refused, err = d.culprits(ctx, suspicion{p.overlay, unlocks, ask}, sortedKeys(p.overlay))
		return nil, refused, err
	}
	return nil, nil, err
}

// An asker tells whether the chart refuses an overlay, by its error.
type asker func(context.Context, overlay) (*chart.Output, error)

// accept asks, and adds values to unlocks that the chart's messages ask for as long as
// they are harmless. With its refusal comes what it asks for then.
func (d *derivation) accept(ctx context.Context, o, unlocks overlay, ask asker) (asks path, err error) {
	for {
		_, err := ask(ctx, o.with(unlocks))
		if refusal(err) == nil {
			return nil, err
		}
		key := d.lock(err.Error(), o.with(unlocks))
		if key == nil {
			return nil, err
		}
		harmless, failed := d.harmless(ctx, key, o.with(unlocks))
		if failed != nil {
			return nil, failed
		}
		if !harmless {
			return key, err
		}
		unlocks[key.String()] = setting{key, true}
	}
}

// unlock adds to a plan those of unlocks that it needs, and renders it strictly.
func (d *derivation) unlock(ctx context.Context, p *plan, unlocks overlay, ask asker) (*plan, error) {
	for _, key := range sortedKeys(unlocks) {
		if len(unlocks) == 1 {
			break // without it, the chart refused
		}
		_, err := ask(ctx, p.overlay.with(unlocks.without(key)))
		switch {
		case err == nil:
			unlocks = unlocks.without(key)
		case refusal(err) == nil:
			return nil, err
		}
	}
	var err error
	if p.out, err = d.strict(ctx, p.overlay.with(unlocks)); err != nil {
		return nil, err
	}
	p.overlay, p.unlocked = p.overlay.with(unlocks), sortedKeys(unlocks)
	return p, nil
}

// dotted matches a path of values in a message.
var dotted = lazy.Regexp(`[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)+`)

// lock finds a value that is false and that a message names, as charts do that tell
// how to go on; best one that speaks of images.
func (d *derivation) lock(message string, o overlay) path {
	var found path
	for _, name := range dotted().FindAllString(message, -1) {
		name = strings.TrimPrefix(name, "Values.")
		for _, at := range sortedKeys(d.templates().charts) {
			p := splitPath(at).join(splitPath(name)...)
			if v, ok := p.lookup(d.base); !ok || v != false {
				continue
			}
			if _, done := o[p.String()]; done {
				continue
			}
			if ofImages().MatchString(p.String()) {
				return p
			}
			if found == nil {
				found = p
			}
		}
	}
	return found
}

// ofImages matches keys that speak of images.
var ofImages = lazy.Regexp(`(?i)images?([^a-z]|$|[A-Z])|[a-z]Images?|registr(y|ies)`)

// harmless tells whether a key that the chart's message names may be set to true: it
// speaks of images, and nothing that is rendered changes. A chart may ask for
// anything in its messages, and nobody would see it.
func (d *derivation) harmless(ctx context.Context, key path, o overlay) (bool, error) {
	if !ofImages().MatchString(key.String()) {
		return false, nil
	}
	before, err := d.lenient(ctx, o)
	if refusal(err) != nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	after, err := d.lenient(ctx, o.with(overlay{key.String(): {key, true}}))
	if refusal(err) != nil {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(before.Differences(after), func(x chart.Difference) bool { return !d.random[x.Position] }), nil
}

// A suspicion is an overlay that the chart refuses, and who tells.
type suspicion struct {
	all, unlocks overlay
	ask          asker
}

// culprits halves keys until it has those that the chart refuses. When it refuses only
// some of them together, all of those are returned.
func (d *derivation) culprits(ctx context.Context, s suspicion, keys []string) ([]string, error) {
	o := overlay{}
	for _, k := range keys {
		o[k] = s.all[k]
	}
	asks, err := d.accept(ctx, o, s.unlocks, s.ask)
	if err == nil {
		return nil, nil
	}
	if refusal(err) == nil {
		return nil, err
	}
	if len(keys) == 1 && asks != nil {
		d.asks[keys[0]] = asks.String()
	}
	if len(keys) == 1 || d.renders >= 2*maxRenders {
		return keys, nil
	}
	half := len(keys) / 2
	a, err := d.culprits(ctx, s, keys[:half])
	if err != nil {
		return nil, err
	}
	b, err := d.culprits(ctx, s, keys[half:])
	if err != nil {
		return nil, err
	}
	if found := slices.Concat(a, b); len(found) > 0 {
		return found, nil
	}
	return keys, nil
}
