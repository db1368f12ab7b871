package relocate

import (
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// compare fills in what the overrides did to the references; out is the strict
// render with them.
func (d *derivation) compare(r *Result, out *chart.Output) {
	spots := map[chart.Position]spot{}
	for _, s := range d.spots {
		spots[s.finding.Position] = s
	}
	for _, f := range d.found {
		reads, _ := out.Lookup(f.Position)
		s, wanted := spots[f.Position]
		switch {
		case f.Confidence == name.Placeholder:
			r.Left = append(r.Left, Left{Finding: f, Reads: reads, Reason: reasonPlaceholder})
		case wanted && reads == s.final:
			r.Moved = append(r.Moved, Move{Finding: f, Target: s.final})
		case wanted:
			r.Left = append(r.Left, d.left(f, reads))
		default:
			if target, ok := d.target(f.Raw); ok && target == reads {
				r.Moved = append(r.Moved, Move{Finding: f, Target: target})
			} else {
				r.Left = append(r.Left, Left{Finding: f, Reads: reads, Reason: reasonAsked})
			}
		}
	}
	d.residual(r, out)
}

// residual adds what the overrides brought along, also from the target, since nobody
// looked for that when images were fetched; and the places that still name a host
// that references were moved away from.
func (d *derivation) residual(r *Result, out *chart.Output) {
	own, known := map[string]bool{}, map[chart.Position]bool{}
	for _, s := range d.spots {
		own[written.Cut(s.final).Host] = true
	}
	for _, f := range d.found {
		known[f.Position], known[f.Scalar()] = true, true
	}
	for _, f := range out.Findings() {
		if known[f.Position] || f.Confidence == name.Placeholder {
			continue
		}
		was, _ := d.before.Lookup(f.Position)
		_, there := d.before.Lookup(f.Scalar())
		switch own := own[written.Cut(f.Raw).Host]; {
		case own && there: // a part of a reference that moved
		case was == f.Raw: // it was there before, and is a reference because others moved
			known[f.Scalar()] = true
			r.Left = append(r.Left, d.left(f, f.Raw))
		default:
			known[f.Scalar()] = true
			r.Left = append(r.Left, Left{Finding: f, Reads: f.Raw, Reason: reasonNew})
		}
	}
	d.named(r, out, known)
}

// changes lists what differs and is no part of a reference that moved; out is the
// lenient render with the overrides.
func (d *derivation) changes(r *Result, out *chart.Output, set overlay) {
	before, after := d.before.Leaves(), out.Leaves()
	j := d.examiner(d.before, out, r.Moved, set)
	for _, x := range d.before.Differences(out) {
		named := slices.ContainsFunc(r.Named, func(n Named) bool { return n.Position == x.Position && n.Reads != n.Raw })
		if named || d.onlySecrets(x, before, after) {
			continue
		}
		switch j.verdict(x) {
		case noted:
			r.Changed = append(r.Changed, change(x))
		case alteredIt:
			r.Altered = append(r.Altered, Alteration{Change: change(x)})
		}
	}
}

// onlySecrets tells whether something differs only because the pull secret is
// named there now.
func (d *derivation) onlySecrets(x chart.Difference, before, after map[chart.Position]string) bool {
	if d.secret == "" {
		return false
	}
	for _, leaves := range []map[chart.Position]string{before, after} {
		for at := range leaves {
			was, had := before[at]
			now, has := after[at]
			if at.Document == x.Document && at.Path.Within(x.Path) && (was != now || had != has) && !d.secretChange(at, before, after) {
				return false
			}
		}
	}
	return true
}

// secretChange tells whether a scalar changed only because the pull secret is
// named there now.
func (d *derivation) secretChange(at chart.Position, before, after map[chart.Position]string) bool {
	if now, ok := after[at]; ok {
		if at.Path.Last() == (chart.Step{Kind: chart.KeyStep, Text: "name"}) {
			entry := at.At(at.Path.Parent())
			if value, isEnv := after[entry.At(entry.Path.Key("value"))]; isEnv {
				now, at = value, entry // a new entry of an env list
			}
		}
		return namesSecret(now, d.secret) && aboutSecrets(at, after)
	}
	return aboutSecrets(at, before) && slices.Contains([]string{"", "null", "~"}, before[at])
}

// hidden stands in a Change for what a Secret holds.
const hidden = "(hidden)"

func change(d chart.Difference) Change {
	c := Change{Position: d.Position, Before: d.Before, After: d.After}
	if inSecret(d.Position) {
		c.Before, c.After = hide(d.Before), hide(d.After)
	}
	return c
}

// inSecret tells whether a position is inside of a Secret, also of one in a List.
func inSecret(p chart.Position) bool {
	return p.Kind == "Secret" || slices.ContainsFunc(p.Path.Steps(), func(s chart.Step) bool {
		return s.Kind == chart.IntoStep && s.Text == "base64" || s.Kind == chart.KeyStep && s.Text == "stringData"
	})
}

// hide keeps what stands in a Secret out of reports.
func hide(value string) string {
	if value == "" {
		return ""
	}
	return hidden
}

// explained tells whether a scalar changed only because references in it moved:
// word by word, a reference became its target, or a part of one that is spread
// over several scalars of this document became the same part of the target.
func explained(at chart.Position, was, now string, moved []Move) bool {
	a, b := written.Words(was), written.Words(now)
	if len(a) != len(b) {
		return false
	}
	endA, endB := 0, 0
	for i := range a {
		if was[endA:a[i].Start] != now[endB:b[i].Start] {
			return false
		}
		endA, endB = a[i].End, b[i].End
		if a[i].Text != b[i].Text && !slices.ContainsFunc(moved, func(m Move) bool {
			return becomes(a[i].Text, b[i].Text, m, m.Document == at.Document)
		}) {
			return false
		}
	}
	return was[endA:] == now[endB:]
}

// becomes tells whether move m turns the word a into b: all of a reference, a
// host with a namespace, or within the manifest any part.
func becomes(a, b string, m Move, here bool) bool {
	if strings.HasSuffix(a, m.Raw) && b == strings.TrimSuffix(a, m.Raw)+m.Target {
		return true
	}
	rest, ok := strings.CutPrefix(m.Raw, a)
	if !ok || m.Target != b+rest {
		return false
	}
	namespace := strings.Contains(a, "/") && strings.HasPrefix(rest, "/")
	return namespace || here && m.Spread
}
