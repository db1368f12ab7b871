package relocate

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// foreign lists the hosts that references are moved away from, each with what
// stands in its place in front of their paths; that is empty where targets
// differ.
func (d *derivation) foreign() map[string]string {
	own := map[string]bool{}
	for _, s := range d.spots {
		own[written.Cut(s.final).Host] = true
	}
	hosts := map[string]string{}
	for _, s := range d.spots {
		raw := written.Cut(s.finding.Raw)
		host, rest := raw.Host, raw.Short()
		if host == "" || own[host] {
			continue
		}
		base, ok := strings.CutSuffix(s.final, "/"+rest)
		if before, seen := hosts[host]; !ok || seen && before != base {
			base = ""
		}
		hosts[host] = base
	}
	return hosts
}

// namesHost matches one of the hosts as a word of its own, not in a URL or in
// the name of another host.
func namesHost(hosts []string) *regexp.Regexp {
	quoted := make([]string, len(hosts))
	for i, h := range hosts {
		quoted[i] = regexp.QuoteMeta(h)
	}
	return regexp.MustCompile(`(?:^|[^\w./:@-])(` + strings.Join(quoted, "|") + `)(?:$|[^\w.-])`)
}

func namedAt(at chart.Position, host string) chart.Finding {
	return chart.Finding{Position: at, Raw: host, Confidence: name.Repository}
}

// pullsFrom tells whether the last key, or the name of an env entry, in front of a
// host says that some program pulls images from there.
func pullsFrom(p chart.Path) bool {
	last := p.Last()
	if item := p.Parent().Last(); last.Kind == chart.KeyStep && last.Text == "value" && item.Kind == chart.ItemStep {
		last = item
	}
	return pullKeys().MatchString(last.Text)
}

var pullKeys = lazy.Regexp(`(?i)(registry|hub)$`)

// hosts moves settings too that name the host of moved references under a key
// that says registry, such as a controller has for images that it adds. It is
// worth a value, but nothing depends on it.
func (d *derivation) hosts(ctx context.Context, p *plan, banned map[string]bool) error {
	bases := d.foreign()
	settings := d.hostSettings(p.probed, bases)
	if len(settings) == 0 {
		return nil
	}
	p.hostKeys = map[chart.Position][]string{}
	pr := *d.prober
	pr.spots = slices.Concat(d.spots, settings)
	s := newSolver(&pr, d.form.mark, p.probed)
	s.below = p.overlay
	var open []int
	for i, at := range pr.spots {
		s.now.reads[i], _ = p.probed.Lookup(at.finding.Position)
		if i >= len(d.spots) {
			open = append(open, i)
		}
	}
	var slots []*slot
	walk(nil, d.base, func(at path, v any) bool {
		if text, ok := v.(string); ok && bases[text] != "" && !collides(at, p.overlay) && !banned[at.String()] {
			slots = append(slots, &slot{path: at, text: text, to: len(text)})
		}
		return !globalCopy(at, d.templates().charts)
	})
	err := s.stage(ctx, slots, open, true)
	d.renders = pr.renders
	if err := d.unlessSpent(err); err != nil {
		return err
	}
	for _, i := range open {
		if at := pr.spots[i]; len(s.keys[i]) > 0 && s.right(i) {
			p.hostKeys[at.finding.Position] = s.keys[i]
		}
	}
	p.overlay, p.probed = s.overlay(nil), s.now.out
	return nil
}

// named fills in the settings that were moved, and the places that still name a
// host that references were moved away from.
func (d *derivation) named(r *Result, out *chart.Output, known map[chart.Position]bool) {
	bases := d.foreign()
	if len(bases) == 0 {
		return
	}
	leaves := out.Leaves()
	for _, s := range d.hostSettings(d.before, bases) {
		if at := s.finding.Position; leaves[at] == s.final {
			known[at] = true
			r.Named = append(r.Named, Named{Finding: s.finding, Reads: s.final})
		}
	}
	whole := map[chart.Position]bool{} // maps with all parts of a reference, its registry too
	for _, f := range d.found {
		if f.Spread && f.Word == 0 {
			whole[f.At(f.Path.Parent())] = true
		}
	}
	hosts := namesHost(sortedKeys(bases))
	for _, at := range sortedPositions(leaves) {
		m := hosts.FindStringSubmatch(leaves[at])
		if m != nil && !known[at] && !(whole[at.At(at.Path.Parent())] && pullsFrom(at.Path)) {
			r.Named = append(r.Named, Named{Finding: namedAt(at, m[1]), Reads: m[1]})
		}
	}
}

func sortedPositions[V any](m map[chart.Position]V) []chart.Position {
	return slices.SortedFunc(maps.Keys(m), chart.Position.Compare)
}

// hostSettings are scalars outside of references that are one of the hosts,
// under a key that says registry.
func (d *derivation) hostSettings(out *chart.Output, bases map[string]string) []spot {
	known := map[chart.Position]bool{}
	for _, f := range d.found {
		known[f.Position] = true
	}
	var list []spot
	leaves := out.Leaves()
	for _, at := range sortedPositions(leaves) {
		if base := bases[leaves[at]]; base != "" && !known[at] && pullsFrom(at.Path) {
			list = append(list, spot{namedAt(at, leaves[at]), base, base})
		}
	}
	return list
}
