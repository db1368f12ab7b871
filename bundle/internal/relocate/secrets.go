package relocate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
)

// A SecretMove is a place that names the pull secret: a pod, or else a custom
// resource or setting that tells a controller which secret its pods need.
type SecretMove struct {
	chart.Position                // of the pod spec, or of the setting
	Kind           string         // Deployment, CronJob, …
	Name           string         // of the object; it may be random
	Through        chart.Position // the ServiceAccount that gives the secret to the pod; zero when its own spec does
	Keys           []string       // dotted paths of the values that put it there; none when it is there anyway
}

// A SecretLeft is a pod whose images moved and that does not get the pull
// secret.
type SecretLeft struct {
	chart.Position // of the pod spec
	Kind           string
	Name           string
	Reason         string
}

// A secretSolver looks for values that put the pull secret into pods.
type secretSolver struct {
	*derivation
	base   overlay                 // what moves images
	open   map[chart.Position]bool // of pods that need the secret, and have it not
	before *coverage
	chosen overlay
	keys   map[chart.Position][]string // place → keys
	now    *coverage
}

// pullSecrets adds values to the plan that put the pull secret into every pod
// with a moved image, and wherever else the chart takes one. banned holds keys
// with shapes that the chart refuses.
func (d *derivation) pullSecrets(ctx context.Context, p *plan, banned map[string]bool) error {
	if d.secret == "" {
		return nil
	}
	s := &secretSolver{
		derivation: d, base: p.overlay, chosen: overlay{}, keys: map[chart.Position][]string{},
		open: map[chart.Position]bool{},
	}
	s.before = s.cover(p.probed)
	s.now = s.before
	for at, pod := range s.before.pods {
		if d.private(pod.Pod) && !slices.Contains(pod.names, d.secret) {
			s.open[at] = true
		}
	}
	for i, slots := range d.secretSlots(p.overlay) {
		if i == absentSecrets && len(s.open) == 0 {
			break // a guess is for pods alone
		}
		for _, slot := range slots {
			slot.shapes = slices.DeleteFunc(slot.shapes, func(sh shape) bool { return banned[shapeKey(slot.path.String(), sh)] })
		}
		if err := d.unlessSpent(s.stage(ctx, slots)); err != nil {
			return err
		}
	}
	if err := d.unlessSpent(s.prune(ctx)); err != nil {
		return err
	}
	p.overlay, p.probed = p.overlay.with(s.chosen), s.now.out
	p.secrets, p.secretKeys = s.chosen, s.keys
	return nil
}

func shapeKey(key string, s shape) string { return fmt.Sprintf("%s#%d", key, s) }

// shapeOf tells in which shape a value names secrets.
func shapeOf(v any) shape {
	list, ok := v.([]any)
	if !ok {
		return singleShape
	}
	if _, ok := list[len(list)-1].(map[string]any); ok {
		return mapShape
	}
	return stringShape
}

// cover reads the pull secrets in a render.
func (d *derivation) cover(out *chart.Output) *coverage {
	return cover(out, cmp.Or(d.options.Namespace, "default"))
}

// private tells whether a pod has an image at its target.
func (d *derivation) private(p chart.Pod) bool {
	for _, s := range d.spots {
		if slices.Contains(p.Images, s.final) {
			return true
		}
	}
	return slices.ContainsFunc(d.stay, func(f chart.Finding) bool {
		target, ok := d.target(f.Raw)
		return ok && target == f.Raw && slices.Contains(p.Images, f.Raw)
	})
}

// stage tries slots, in one shape after the other, until nothing is open or no
// slot does anything.
func (s *secretSolver) stage(ctx context.Context, slots []*secretSlot) error {
	for {
		slots = slices.DeleteFunc(slots, func(c *secretSlot) bool { return len(c.shapes) == 0 })
		if len(slots) == 0 {
			return nil
		}
		for i, c := range slots {
			c.sentinel = fmt.Sprintf("zs%dz-pull", i)
		}
		seen := map[*secretSlot][]chart.Position{}
		if err := s.observe(ctx, slots, seen); err != nil {
			return err
		}
		if err := s.adopt(ctx, slots, seen); err != nil {
			return err
		}
		for _, c := range slots {
			c.shapes = c.shapes[1:] // another shape may do more
			if _, done := s.chosen[c.path.String()]; done {
				c.shapes = nil
			}
		}
	}
}

// render returns nil when the chart does not render, or renders to something that
// is no manifest where there was one.
func (s *secretSolver) render(ctx context.Context, o overlay) (*coverage, error) {
	out, err := s.probe(ctx, o)
	if refusal(err) != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := s.cover(out)
	if now.broken > s.before.broken {
		return nil, nil
	}
	return now, nil
}

// observe puts sentinels into all slots and notes the places of each that still
// lack the secret. Slots that the chart does not render with are found by
// halving.
func (s *secretSolver) observe(ctx context.Context, slots []*secretSlot, seen map[*secretSlot][]chart.Position) error {
	o := s.base.with(s.chosen)
	for _, c := range slots {
		o = o.with(overlay{c.path.String(): {c.path, c.with(c.sentinel)}})
	}
	now, err := s.render(ctx, o)
	if err != nil {
		return err
	}
	if now == nil {
		if len(slots) == 1 {
			return nil
		}
		half := len(slots) / 2
		if err := s.observe(ctx, slots[:half], seen); err != nil {
			return err
		}
		return s.observe(ctx, slots[half:], seen)
	}
	for _, c := range slots {
		if now.mistaken(c.sentinel) {
			continue
		}
		for at := range s.open {
			if slices.Contains(now.pods[at].names, c.sentinel) {
				seen[c] = append(seen[c], at)
			}
		}
		for at, text := range now.others {
			if namesSecret(text, c.sentinel) && !namesSecret(s.now.others[at], s.secret) {
				seen[c] = append(seen[c], at)
			}
		}
	}
	return nil
}

// namesSecret tells whether a text has the name as a word of its own.
func namesSecret(text, name string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,=:\"'\n;", r) }), func(w string) bool { return w == name })
}

// A secretPick is a slot with the places that it serves.
type secretPick struct {
	slot   *secretSlot
	places []chart.Position
}

// adopt takes the fewest slots that serve all places seen, those that serve most
// first: all together, or else one after the other.
func (s *secretSolver) adopt(ctx context.Context, slots []*secretSlot, seen map[*secretSlot][]chart.Position) error {
	served := map[chart.Position]bool{}
	news := func(c *secretSlot) []chart.Position {
		return slices.DeleteFunc(slices.Clone(seen[c]), func(at chart.Position) bool { return served[at] })
	}
	var picks []secretPick
	for {
		best := slices.MaxFunc(slots, func(a, b *secretSlot) int {
			return cmp.Or(cmp.Compare(len(news(a)), len(news(b))), cmp.Compare(len(b.path), len(a.path)))
		})
		places := news(best)
		if len(places) == 0 {
			break
		}
		for _, at := range places {
			served[at] = true
		}
		picks = append(picks, secretPick{best, places})
	}
	if len(picks) == 0 {
		return nil
	}
	if done, err := s.take(ctx, picks); done || err != nil || len(picks) == 1 {
		return err
	}
	for _, p := range picks {
		if _, err := s.take(ctx, []secretPick{p}); err != nil {
			return err
		}
	}
	return nil
}

// take sets slots, unless they do not do what their sentinels promised.
func (s *secretSolver) take(ctx context.Context, picks []secretPick) (done bool, err error) {
	chosen := s.chosen
	for _, p := range picks {
		chosen = chosen.with(overlay{p.slot.path.String(): {p.slot.path, p.slot.with(s.secret)}})
	}
	now, err := s.render(ctx, s.base.with(chosen))
	if err != nil || now == nil || s.loses(now) {
		return false, err
	}
	for _, p := range picks {
		if slices.ContainsFunc(p.places, func(at chart.Position) bool { return !s.has(now, at) }) {
			return false, nil
		}
	}
	for _, p := range picks {
		for _, at := range p.places {
			delete(s.open, at)
			s.keys[at] = append(s.keys[at], p.slot.path.String())
		}
	}
	s.chosen, s.now = chosen, now
	return true, nil
}

// has tells whether a place names the secret.
func (s *secretSolver) has(c *coverage, at chart.Position) bool {
	if pod, ok := c.pods[at]; ok {
		return slices.Contains(pod.names, s.secret)
	}
	return namesSecret(c.others[at], s.secret)
}

// loses tells whether a pod has lost a secret, or a place the wanted one.
func (s *secretSolver) loses(now *coverage) bool {
	for at, pod := range s.before.pods {
		for _, name := range pod.names {
			if !slices.Contains(now.pods[at].names, name) {
				return true
			}
		}
	}
	for at := range s.keys {
		if !s.has(now, at) {
			return true
		}
	}
	return false
}

// prune drops keys that later ones made superfluous.
func (s *secretSolver) prune(ctx context.Context) error {
	if len(s.chosen) < 2 {
		return nil
	}
	for _, key := range sortedKeys(s.chosen) {
		fewer := s.chosen.without(key)
		now, err := s.render(ctx, s.base.with(fewer))
		if err != nil {
			return err
		}
		if now != nil && !s.loses(now) {
			s.chosen, s.now = fewer, now
			for at, keys := range s.keys {
				s.keys[at] = slices.DeleteFunc(keys, func(k string) bool { return k == key })
			}
		}
	}
	return nil
}

// Reasons why a pod does not get the pull secret.
const (
	reasonNoSecret    = "no value of the chart puts a pull secret there"
	reasonRefused     = "the chart refuses the key that would put it there: "
	reasonOtherSecret = "it names other pull secrets, and no value of the chart adds one"
)

// secrets fills in which pods and settings of the strict render name the pull
// secret, and which pods with a moved image do not.
func (d *derivation) secrets(r *Result, p *plan) {
	if d.secret == "" {
		return
	}
	r.SecretKeys = sortedKeys(p.secrets)
	c := d.cover(p.out)
	for _, at := range sortedPositions(c.pods) {
		pod := c.pods[at]
		if !d.private(pod.Pod) {
			continue
		}
		if slices.Contains(pod.names, d.secret) {
			r.Secrets = append(r.Secrets, SecretMove{at, pod.Kind, pod.Name, pod.through, p.secretKeys[at]})
			continue
		}
		reason := reasonNoSecret
		if key := d.refused[at]; key != "" {
			reason = reasonRefused + key
		} else if len(pod.names) > 0 {
			reason = reasonOtherSecret
		}
		r.SecretsLeft = append(r.SecretsLeft, SecretLeft{at, pod.Kind, pod.Name, reason})
	}
	for _, at := range sortedPositions(c.others) {
		if namesSecret(c.others[at], d.secret) {
			r.Secrets = append(r.Secrets, SecretMove{Position: at, Kind: at.Kind, Keys: p.secretKeys[at]})
		}
	}
}
