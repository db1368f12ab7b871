package relocate

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
)

// compare fills in what the overrides did to the references; out is the strict
// render with them.
func (d *derivation) compare(r *Result, out *chart.Output) {
	spots := map[string]spot{}
	for _, s := range d.spots {
		spots[s.finding.Position] = s
	}
	for _, f := range d.found {
		reads, _ := out.Lookup(f.Position)
		s, wanted := spots[f.Position]
		switch {
		case f.Confidence == chart.Placeholder:
			r.Left = append(r.Left, Left{f, reads, reasonPlaceholder})
		case wanted && reads == s.final:
			r.Moved = append(r.Moved, Move{Finding: f, Target: s.final})
		case wanted:
			r.Left = append(r.Left, Left{f, reads, d.reason(f, reads)})
		default:
			if target, ok := d.target(f.Raw); ok && target == reads {
				r.Moved = append(r.Moved, Move{Finding: f, Target: target})
			} else {
				r.Left = append(r.Left, Left{f, reads, reasonAsked})
			}
		}
	}
	d.residual(r, out)
}

// residual adds what the overrides brought along, and the places that still
// name a host that references were moved away from.
func (d *derivation) residual(r *Result, out *chart.Output) {
	own, known := map[string]bool{}, map[string]bool{}
	for _, s := range d.spots {
		host, _ := splitHost(s.final)
		own[host] = true
	}
	for _, f := range d.found {
		known[f.Position], known[scalarOf(f.Position)] = true, true
	}
	for _, f := range out.Findings() {
		host, _ := splitHost(f.Raw)
		if !known[f.Position] && f.Confidence != chart.Placeholder && !own[host] {
			known[scalarOf(f.Position)] = true
			r.Left = append(r.Left, Left{f, f.Raw, reasonNew})
		}
	}
	d.named(r, out, known)
}

// scalarOf cuts the token off a position: what is left is the scalar that the
// reference stands in.
func scalarOf(position string) string {
	if i := strings.LastIndexByte(position, '~'); i >= 0 && !strings.ContainsAny(position[i:], `"]|`) {
		return position[:i]
	}
	return position
}

// changes lists the scalars that differ and are no part of a reference that
// moved; out is the lenient render with the overrides. Where there are any, the chart is rendered once more without the
// overrides: what differs then too is random.
func (d *derivation) changes(ctx context.Context, r *Result, out *chart.Output) error {
	before, after := d.before.Leaves(), out.Leaves()
	var differ []string
	for at, was := range before {
		if now, ok := after[at]; !ok || now != was && !explained(at, was, now, r.Moved) {
			differ = append(differ, at)
		}
	}
	for at := range after {
		if _, ok := before[at]; !ok {
			differ = append(differ, at)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	second, err := d.probe(ctx, nil)
	if err != nil {
		return err
	}
	again := second.Leaves()
	slices.Sort(differ)
	for _, at := range differ {
		was, had := before[at]
		if d.secretChange(at, before, after) || slices.ContainsFunc(r.Named, func(n Named) bool { return n.Position == at && n.Reads != n.Raw }) {
			continue
		}
		if v, has := again[at]; has == had && v == was {
			r.Changed = append(r.Changed, change(at, was, after[at]))
		}
	}
	return nil
}

// secretChange tells whether a scalar changed only because the pull secret is
// named there now.
func (d *derivation) secretChange(at string, before, after map[string]string) bool {
	if d.secret == "" {
		return false
	}
	if now, ok := after[at]; ok {
		if entry, found := strings.CutSuffix(at, ".name"); found {
			if value, isEnv := after[entry+".value"]; isEnv {
				now, at = value, entry // a new entry of an env list
			}
		}
		return namesSecret(now, d.secret) && aboutSecrets(at, after)
	}
	return aboutSecrets(at, before) && slices.Contains([]string{"", "null", "~"}, before[at])
}

// manifestOf cuts the path off a position.
func manifestOf(position string) string {
	template, rest, _ := strings.Cut(position, "#")
	kind, rest, _ := strings.Cut(rest, "/")
	path := strings.TrimLeft(rest, "0123456789")
	return template + "#" + kind + "/" + strings.TrimSuffix(rest, path)
}

// hidden stands in a Change for what a Secret holds.
const hidden = "(hidden)"

// change takes a position apart: template#Kind/ordinal.path.
func change(position, before, after string) Change {
	c := Change{Position: position, Before: before, After: after}
	var rest string
	c.Template, rest, _ = strings.Cut(position, "#")
	c.Kind, rest, _ = strings.Cut(rest, "/")
	c.Path = strings.TrimPrefix(strings.TrimLeft(rest, "0123456789"), ".")
	if secretData.MatchString(position) {
		c.Before, c.After = hide(before), hide(after)
	}
	return c
}

// secretData matches positions inside of Secrets, also of those in a List.
var secretData = regexp.MustCompile(`#Secret/|\|base64|\.stringData[.["]`)

// hide keeps what stands in a Secret out of reports.
func hide(value string) string {
	if value == "" {
		return ""
	}
	return hidden
}

// hexSum matches a checksum: of a configuration, say, that a reference in it
// changed.
var hexSum = regexp.MustCompile(`^[0-9a-f]{32,128}$`)

// explained tells whether a scalar changed only because references in it moved:
// word by word, a reference became its target, or a part of one that is spread
// over several scalars of this manifest became the same part of the target.
func explained(at, was, now string, moved []Move) bool {
	if hexSum.MatchString(was) && hexSum.MatchString(now) && len(was) == len(now) {
		return true
	}
	a, b := token.FindAllString(was, -1), token.FindAllString(now, -1)
	if len(a) != len(b) || token.ReplaceAllString(was, "\x00") != token.ReplaceAllString(now, "\x00") {
		return false
	}
	manifest := manifestOf(at)
	for i := range a {
		if a[i] != b[i] && !slices.ContainsFunc(moved, func(m Move) bool {
			return becomes(a[i], b[i], m, manifestOf(m.Position) == manifest)
		}) {
			return false
		}
	}
	return true
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
	return namespace || here && strings.HasSuffix(m.Position, "~ref")
}
