package relocate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/lazy"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/written"
)

// A Request says what to relocate and whereto.
type Request struct {
	Chart *chart.Chart
	// Render says how the chart will be installed: the user's values, the
	// release, the version of the cluster. Strict and StubKeys are ignored.
	Render chart.RenderOptions
	// Target maps a reference, exactly as the chart writes it, to the wanted
	// one; false leaves it where it is. See [written.Target] for the usual rule. A
	// target with another tag or digest than the reference has them changed in
	// the values too; otherwise no tag and no digest is ever set.
	Target func(raw string) (string, bool)
	// PullSecret is the name of a secret that the pods with moved images need
	// to pull them; empty for none. Secrets that are named already stay.
	PullSecret string
}

// Derive finds the smallest values file it can that makes the chart pull its
// images from where Target says, and proves it by rendering as helm install
// does. A reference that no value moves is in Left, never an error. An error
// means that the chart does not render with the user's values (then it is a
// *chart.RenderError or *chart.DependencyError), or that ctx ended.
func Derive(ctx context.Context, r Request) (*Result, error) {
	limit, cancel := limited(ctx, r.Chart)
	defer cancel()
	res, err := search(limit, r)
	if err != nil {
		return nil, r.Chart.Demands(ctx, r.Render, err)
	}
	return res, nil
}

func search(ctx context.Context, r Request) (*Result, error) {
	d, err := begin(ctx, r)
	if err != nil {
		return nil, err
	}
	banned := map[string]bool{}
	for {
		plan, err := d.plan(ctx, banned)
		if err != nil {
			return nil, err
		}
		if err := d.hosts(ctx, plan, banned); err != nil {
			return nil, err
		}
		if err := d.pullSecrets(ctx, plan, banned); err != nil {
			return nil, err
		}
		proved, refused, err := d.prove(ctx, plan)
		if err != nil {
			return nil, err
		}
		if len(refused) > 0 && (d.short || !d.ban(plan, refused, banned)) {
			proved, err = d.settle(ctx, plan, refused)
		}
		if err != nil {
			return nil, err
		}
		if proved != nil {
			return d.result(ctx, proved)
		}
	}
}

// A derivation is one run of Derive or Verify.
type derivation struct {
	*prober
	target  func(string) (string, bool)
	secret  string // name of the pull secret, or empty
	form    form
	short   bool          // probing stopped because there were enough renders
	before  *chart.Output // lenient, without overrides
	found   []chart.Finding
	guesses []path
	reader  *reader                   // see templates
	asks    map[string]string         // key that the chart refuses → value that its message wants to be true
	refused map[chart.Position]string // position → key that would move it, or name the pull secret, but that the chart refuses
}

// A plan is a set of values, and the keys that move each spot.
type plan struct {
	overlay  overlay
	keys     [][]string
	unlocked []string
	probed   *chart.Output // lenient, with overlay less what was unlocked
	out      *chart.Output // strict, with overlay

	hostKeys   map[chart.Position][]string // position of a setting → keys that move it
	secrets    overlay                     // the part of overlay that names the pull secret
	secretKeys map[chart.Position][]string // place → keys that name it there
}

// begin renders the chart as it is and lists the spots. A lenient render does:
// where the chart renders strictly, both give the same but for stubbed keys, and
// that it does is part of the proof.
func begin(ctx context.Context, r Request) (*derivation, error) {
	d := &derivation{
		prober:  &prober{chart: r.Chart, options: r.Render, reached: map[chart.Position]string{}, random: map[chart.Position]bool{}, altering: map[chart.Position]altering{}},
		target:  r.Target,
		secret:  r.PullSecret,
		refused: map[chart.Position]string{},
		asks:    map[string]string{},
	}
	d.prober.occasions = true
	var err error
	if d.before, err = d.lenient(ctx, nil); err != nil {
		if refusal(err) == nil {
			return nil, err
		}
		if _, strict := d.strict(ctx, nil); strict != nil {
			err = strict // says more
		}
		return nil, err
	}
	d.prober.occasions = slices.ContainsFunc(d.before.Manifests, func(m chart.Manifest) bool { return m.When != chart.Always })
	if d.base, err = r.Chart.Coalesced(r.Render.Values); err != nil {
		return nil, fmt.Errorf("values of chart %s: %w", r.Chart.Name(), err)
	}
	if !r.Chart.Deterministic(d.base) {
		again, err := d.anew(ctx)
		if err != nil {
			return nil, err
		}
		d.before = d.before.Steady(again)
		for _, x := range d.before.Differences(again.Like(d.before)) {
			d.random[x.Position] = true
		}
	}
	d.prober.like = d.before
	d.found = d.before.Findings()
	d.list(r.Target)
	return d, nil
}

// list turns findings into spots and references that stay.
func (d *derivation) list(target func(string) (string, bool)) {
	d.spots, d.stay = nil, nil
	for _, f := range d.found {
		if f.Confidence == name.Placeholder {
			continue
		}
		final, ok := target(f.Raw)
		if !ok || final == f.Raw {
			d.stay = append(d.stay, f)
			continue
		}
		want := written.Cut(final).Repository() + written.Cut(f.Raw).Suffix()
		d.spots = append(d.spots, spot{f, want, final})
		if len(d.spots) == 1 {
			d.form = formOf(f.Raw, final)
		}
	}
}

// plan looks for values that move the spots, without the banned keys.
func (d *derivation) plan(ctx context.Context, banned map[string]bool) (*plan, error) {
	d.list(d.target)
	if len(d.spots) == 0 {
		return &plan{probed: d.before}, nil
	}
	if d.guesses == nil {
		d.guesses = d.templates().imageKeys(d.base)
	}
	var raws []string
	for _, s := range d.spots {
		raws = append(raws, s.finding.Raw)
	}
	stages := findCandidates(d.base, raws, d.guesses, d.templates().charts).stages()
	for i := range stages {
		stages[i] = pick(stages[i], func(s *slot) bool { return !banned[s.path.String()] })
	}
	s := newSolver(d.prober, d.form.mark, d.before)
	if err := d.unlessSpent(s.solve(ctx, stages)); err != nil {
		return nil, err
	}
	if err := d.unlessSpent(s.alone(ctx, slices.Concat(stages...), d.templates().nearby)); err != nil {
		return nil, err
	}
	paths := pick(pathSlots(d.base, raws, d.templates().charts), func(s *slot) bool { return !banned[s.path.String()] })
	if err := d.unlessSpent(s.rename(ctx, paths, stages)); err != nil {
		return nil, err
	}
	if err := d.unlessSpent(s.pins(ctx, banned)); err != nil {
		return nil, err
	}
	o, err := s.prune(ctx, slices.Concat(stages...))
	if err := d.unlessSpent(err); err != nil {
		return nil, err
	}
	if err := d.unlessSpent(s.attribute(ctx, o, d.form.mark)); err != nil {
		return nil, err
	}
	return &plan{overlay: o, keys: s.keys, probed: s.now.out}, nil
}

// templates returns what the templates read; they are parsed once.
func (d *derivation) templates() *reader {
	if d.reader == nil {
		d.reader = readTemplates(d.chart.Templates())
	}
	return d.reader
}

// result compares the renders without and with the overrides.
func (d *derivation) result(ctx context.Context, p *plan) (*Result, error) {
	r := &Result{Overrides: p.overlay.values(d.base), Keys: sortedKeys(p.overlay), Unlocked: p.unlocked}
	if len(p.unlocked) > 0 {
		var err error
		if p.probed, err = d.lenient(ctx, p.overlay); err != nil {
			return nil, err
		}
	}
	if err := d.unlessSpent(d.trace(ctx, p)); err != nil {
		return nil, err
	}
	d.compare(r, p.out)
	d.secrets(r, p)
	d.changes(r, p.probed, p.overlay)
	if err := d.blame(ctx, r, p.overlay); err != nil {
		return nil, err
	}
	for i, n := range r.Named {
		r.Named[i].Keys = p.hostKeys[n.Position]
	}
	r.Named = slices.DeleteFunc(r.Named, func(n Named) bool { return n.Reads != n.Raw && n.Keys == nil }) // parts of references
	keys := map[chart.Position][]string{}
	for i, s := range d.spots {
		if i < len(p.keys) {
			keys[s.finding.Position] = p.keys[i]
		}
	}
	for i := range r.Moved {
		r.Moved[i].Keys = keys[r.Moved[i].Position]
	}
	r.tests()
	r.Remarks = p.out.Remarks()
	r.Renders, r.Before, r.Short = d.renders, d.before, d.short
	r.proof, r.values = p.out, chart.Merge(d.options.Values, r.Overrides)
	return r, nil
}

// Reasons why a reference is left.
const (
	reasonPlaceholder = "a placeholder: another program puts an image there"
	reasonAsked       = "left where it is on request"
	reasonNoValue     = "no value reaches it"
	reasonNew         = "it appears only with the overrides"
)

// left says why a spot was not moved.
func (d *derivation) left(f chart.Finding, reads string) Left {
	l := Left{Finding: f, Reads: reads, Reason: reasonNoValue}
	if key := d.refused[f.Position]; key != "" {
		l.Reason, l.Keys, l.Asks = "the chart refuses the key that would move it: "+key, []string{key}, d.asks[key]
		if l.Asks != "" {
			l.Reason += ", and asks for " + l.Asks + "=true: set it if that is what you want"
		}
		return l
	}
	if reads != f.Raw && reads != "" {
		l.Reason = "values move it, but not to its target"
		return l
	}
	if a, ok := d.altering[f.Position]; ok {
		l.Reason, l.Keys = "the key that would move it does more: "+a.key+" "+a.does, []string{a.key}
		return l
	}
	if key, ok := d.reached[f.Position]; ok {
		l.Reason = "a value reaches it, but the chart makes something else of it"
		if key != "" {
			l.Reason, l.Keys = l.Reason+": "+key, []string{key}
		}
		return l
	}
	if file := d.writtenIn(f); file != "" {
		l.Reason = file
	}
	return l
}

// trace looks once more for values that reach a reference of which nothing is known
// yet. Sentinels end like the values that they replace; where the chart itself puts
// another host in front, nothing of them is seen. So here they are other all through.
func (d *derivation) trace(ctx context.Context, p *plan) error {
	var raws []string
	var open []spot
	for _, s := range d.spots {
		at := s.finding.Position
		_, reached := d.reached[at]
		_, alters := d.altering[at]
		reads, _ := p.out.Lookup(at)
		if reads == s.finding.Raw && !reached && !alters && d.refused[at] == "" && d.writtenIn(s.finding) == "" {
			raws, open = append(raws, s.finding.Raw), append(open, s)
		}
	}
	c := findCandidates(d.base, raws, nil, d.templates().charts)
	slots := slices.Concat(c.leaves, c.odd)
	if len(open) == 0 || len(slots) == 0 {
		return nil
	}
	set := choice{}
	for i, s := range slots {
		s.sentinel = fmt.Sprintf("zs%dz.probe.io", i)
		set[s] = fmt.Sprintf("%s/zs%dz/zs%dz", s.sentinel, i, i)
	}
	out, err := d.probe(ctx, p.overlay.with(set.overlay()))
	if refusal(err) != nil {
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range open {
		reads, _ := out.Lookup(s.finding.Position)
		if key := traceOf(reads, slots); key != "" {
			d.reached[s.finding.Position] = key
		}
	}
	return nil
}

// writtenIn says which file of the chart has the reference in its text: best
// the template itself, then any template, then files that templates read. Comments
// do not count.
func (d *derivation) writtenIn(f chart.Finding) string {
	r := written.Cut(f.Raw)
	name, rest := r.Repository(), r.Path // in its own template the parts may stand apart
	if fixed := f.Fixed(); fixed != f.Raw {
		if name, rest = fixed, ""; !strings.Contains(strings.TrimSuffix(fixed, "/"), "/") && r.Host == "" {
			return ""
		}
	}
	templates := d.chart.Templates()
	if i := slices.IndexFunc(templates, func(t chart.TemplateFile) bool { return t.Name == f.Template }); i >= 0 {
		templates = slices.Concat(templates[i:i+1], templates)
	}
	for i, t := range slices.Concat(templates, d.chart.Files()) {
		what := "written in the template "
		if i >= len(templates) {
			what = "written in the file "
		}
		text := templateComments().ReplaceAllString(t.Text, "")
		if i == 0 && t.Name == f.Template && strings.Contains(rest, "/") && strings.Contains(text, rest) {
			return what + t.Name
		}
		if strings.Contains(name, "/") && strings.Contains(text, name) || strings.Contains(f.Raw, ":") && strings.Contains(text, f.Raw) {
			return what + t.Name
		}
	}
	return ""
}

// templateComments matches those of templates and of YAML, each on lines of its own.
var templateComments = lazy.Regexp(`(?s)\{\{-?\s*/\*.*?\*/\s*-?\}\}|(?m:^[ \t]*#[^\n]*$)`)
