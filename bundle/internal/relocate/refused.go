package relocate

import (
	"context"
	"slices"
)

// ban notes keys that the chart refuses, and tells whether any of them was not
// known for that: if there are none, another plan would be the same.
func (d *derivation) ban(p *plan, refused []string, banned map[string]bool) bool {
	d.noteRefused(p, refused)
	known := len(banned)
	for _, key := range refused {
		if s, ok := p.secrets[key]; ok {
			key = shapeKey(key, shapeOf(s.value))
		}
		banned[key] = true
	}
	return len(banned) > known
}

// settle drops keys that the chart refuses without looking for others, until it
// renders with the rest.
func (d *derivation) settle(ctx context.Context, p *plan, refused []string) (*plan, error) {
	for len(refused) > 0 {
		d.short = true
		d.noteRefused(p, refused)
		p.overlay, p.secrets = p.overlay.without(refused...), p.secrets.without(refused...)
		var err error
		if _, refused, err = d.prove(ctx, p); err != nil {
			return nil, err
		}
	}
	var err error
	p.probed, err = d.lenient(ctx, p.overlay)
	return p, err
}

// unlessSpent swallows the error of a probe that was not made because there were
// enough, and remembers it.
func (d *derivation) unlessSpent(err error) error {
	if spent(err) {
		d.short = true
		return nil
	}
	return err
}

// noteRefused remembers for which spots and pods a refused key was meant.
func (d *derivation) noteRefused(p *plan, refused []string) {
	for at, keys := range p.secretKeys {
		for _, key := range keys {
			if slices.Contains(refused, key) {
				d.refused[at] = key
			}
		}
	}
	for i, s := range d.spots {
		for _, key := range p.keys[i] {
			if slices.Contains(refused, key) {
				d.refused[s.finding.Position] = key
			}
		}
	}
}
