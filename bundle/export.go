package bundle

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/remote"
)

// DefaultJobs is how many transfers run at once where the caller says nothing.
const DefaultJobs = 6

// ExportOptions say what to bundle and where to write it.
type ExportOptions struct {
	Charts  []ChartSpec
	Images  []string // references beside those found in charts
	Exclude []string // references to leave out, wherever they were found
	// Destinations are names that images shall have on the other side, by
	// source reference; the import's registry takes the place of theirs.
	Destinations map[string]string
	Platforms    []Platform // empty: all
	// Output is a file, a pipe or a device, or StreamOutput; empty: a file named
	// after the first chart.
	Output      string
	Stream      io.Writer // where StreamOutput goes
	InOrder     bool      // let the file grow from its begin to its end, where the system does not ask for it itself
	NoReferrers bool      // leave signatures, SBOMs and other referrers of images behind
	NoValues    bool      // leave the given values out of the bundle
	Redact      []string  // leave these keys of the given values out, a.b.c
	Signer      *Signer   // nil: needs Unsigned
	Unsigned    bool
	DryRun      bool      // plan and report, write nothing
	Created     time.Time // of every entry and the record; zero: now, or that of the run that is gone on with
	Tool        string    // name and version that go into the record
	Jobs        int       // transfers at once; 0: DefaultJobs
	Registry    RegistryOptions
	Progress    Progress
}

// An ExportReport says what went into a bundle, or would.
type ExportReport struct {
	Output      string        `json:"output,omitempty"`  // empty after a dry run
	Size        int64         `json:"size,omitempty"`    // of the whole file; 0 after a dry run
	Payload     int64         `json:"payload"`           // bytes to fetch: each unique blob once
	Resumed     int64         `json:"resumed,omitempty"` // bytes of them that an earlier run had fetched
	Changed     []Change      `json:"changed,omitempty"` // references that moved since that run
	Blobs       int           `json:"blobs"`             // number of them
	ID          string        `json:"id"`
	Created     time.Time     `json:"created"`
	Fingerprint string        `json:"fingerprint,omitempty"` // of the signing key
	Charts      []ChartRecord `json:"charts,omitempty"`
	Images      []ImageRecord `json:"images,omitempty"`
	Referrers   []ImageRecord `json:"referrers,omitempty"`
	Unresolved  []Finding     `json:"unresolved,omitempty"`
}

// Export writes a bundle of charts and of every image they need. The file
// appears at Output only when it is complete and on the disk.
//
// References that cannot be pulled as they stand do not stop it: they are in
// the report, and the error is an *IncompleteError beside a valid report.
func Export(ctx context.Context, o ExportOptions) (*ExportReport, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	client, err := o.Registry.client()
	if err != nil {
		return nil, err
	}
	p, err := o.plan(ctx, client)
	if err != nil {
		return nil, err
	}
	report := p.report()
	if !o.DryRun {
		if err := o.write(ctx, client, p, report); err != nil {
			return nil, err
		}
	}
	return report, report.incomplete()
}

func (o *ExportOptions) complete() error {
	if len(o.Charts) == 0 && len(o.Images) == 0 {
		return &UsageError{What: "nothing to export", Advice: "name a chart, or images with --image"}
	}
	if o.Signer == nil && !o.Unsigned && !o.DryRun {
		return &UsageError{
			What:   "no key to sign the bundle with",
			Advice: "give --key FILE (an OpenSSH private key; `bundle keygen` makes one), or --unsigned",
		}
	}
	for _, raw := range o.Images {
		if _, err := ParseReference(raw); err != nil {
			return &UsageError{What: err.Error(), Advice: "want HOST/PATH:TAG or HOST/PATH@sha256:…"}
		}
	}
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	o.Created = o.Created.UTC().Truncate(time.Second)
	o.Progress = orSilent(o.Progress)
	return nil
}

// plan finds, resolves and lays out everything; it reads from registries, but
// no layer.
func (o *ExportOptions) plan(ctx context.Context, client *remote.Client) (*plan, error) {
	o.Progress.Phase("resolving", 0)
	defer o.Progress.End()
	rec := &Record{FormatVersion: FormatVersion, Tool: o.Tool}
	var charts []*chartArtifact
	var findings []Finding
	for _, spec := range o.Charts {
		c, err := loadChart(ctx, client, spec, o.Registry.CAFile)
		if err != nil {
			return nil, err
		}
		if err := c.record.checkName(); err != nil {
			return nil, &UsageError{What: err.Error(), Advice: "rename it in its Chart.yaml; helm push does not take it either"}
		}
		found, err := findImages(ctx, c)
		if err != nil {
			return nil, err
		}
		charts = append(charts, c)
		findings = append(findings, found...)
		if o.Output == "" {
			o.Output = c.record.label() + ".bundle.tar"
		}
	}
	if o.Output == "" {
		o.Output = "images.bundle.tar"
	}
	for _, raw := range o.Images {
		findings = append(findings, Finding{Raw: raw, Confidence: string(chart.Image)})
	}
	pullable, open := splitFindings(findings)
	rec.Unresolved = open
	wanted, err := collectWanted(pullable)
	if err != nil {
		return nil, err
	}
	if wanted, err = o.exclude(wanted); err != nil {
		return nil, err
	}
	resolver := newResolver(client, o.Jobs)
	images, err := resolver.images(ctx, wanted, o.Platforms)
	if err != nil {
		return nil, err
	}
	if err := o.setDestinations(images); err != nil {
		return nil, err
	}
	if !o.NoReferrers {
		attached, err := resolver.attached(ctx, images, charts)
		if err != nil {
			return nil, err
		}
		images = append(images, attached...)
	}
	if rec.Created = o.Created; o.Created.IsZero() {
		rec.Created = o.begun()
	}
	if err := o.leaveOut(charts); err != nil {
		return nil, err
	}
	return planBundle(rec, images, charts)
}

// leaveOut removes given values from the records of charts. A key that none of
// them has is a mistake: what it was to hide would travel.
func (o *ExportOptions) leaveOut(charts []*chartArtifact) error {
	given, found := false, make(map[string]bool)
	for _, c := range charts {
		given = given || len(c.record.Values) > 0
		c.record.leaveOut(o.NoValues, o.Redact)
		for _, key := range c.record.LeftOut {
			found[key] = true
		}
	}
	for _, key := range o.Redact {
		if given && !o.NoValues && !found[key] {
			return &UsageError{
				What:   fmt.Sprintf("--redact %s: no value given has that key", key),
				Advice: "name keys of -f or --set as helm's --set does: a.b[0].c, dots in keys as \\.;\nthe chart's own defaults travel with the chart",
			}
		}
	}
	return nil
}

// exclude drops what the user does not want. A reference that nobody asked for
// is a mistake.
func (o *ExportOptions) exclude(wanted []want) ([]want, error) {
	for _, raw := range o.Exclude {
		ref, err := ParseReference(raw)
		if err != nil {
			return nil, &UsageError{What: "--exclude: " + err.Error()}
		}
		n := len(wanted)
		wanted = slices.DeleteFunc(wanted, func(w want) bool { return w.ref == ref })
		if len(wanted) == n {
			return nil, &UsageError{What: fmt.Sprintf("--exclude %s: no chart names it", raw), Advice: "see bundle images CHART"}
		}
	}
	return wanted, nil
}

// setDestinations gives images the names that the user chose for them.
func (o *ExportOptions) setDestinations(images []*image) error {
	byRef := make(map[string]string, len(o.Destinations))
	for source, dest := range o.Destinations {
		spec := ImageSpec{source, dest}
		path, err := spec.destinationPath()
		if err != nil {
			return &UsageError{What: err.Error()}
		}
		ref, err := ParseReference(source)
		if err != nil {
			return &UsageError{What: err.Error()}
		}
		byRef[ref.String()] = path
	}
	for _, im := range images {
		im.destination = byRef[im.ref.String()]
	}
	return nil
}

// findImages renders the chart with the user's values and returns every
// reference in it, with the values keys that will move each.
func findImages(ctx context.Context, c *chartArtifact) ([]Finding, error) {
	render, err := c.record.renderOptions()
	if err != nil {
		return nil, err
	}
	res, err := relocate.Derive(ctx, relocate.Request{
		Chart:  c.chart,
		Render: render,
		Target: func(raw string) (string, bool) { return relocate.TargetName(raw, "registry."+localHost, false), true },
	})
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.record.label(), err)
	}
	var all []Finding
	for _, m := range res.Moved {
		if !m.Test || !c.record.SkipTests {
			all = append(all, finding(c.record, m.Finding, m.Keys))
		}
	}
	for _, l := range res.Left {
		if !l.Test || !c.record.SkipTests {
			all = append(all, finding(c.record, l.Finding, nil))
		}
	}
	annotated, err := annotatedImages(ctx, c, render)
	if err != nil {
		return nil, err
	}
	all = append(all, annotated...)
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Template, b.Template), cmp.Compare(a.Path, b.Path))
	})
	return all, nil
}

// annotatedImages lists what Chart.yaml names, of the chart and of those
// dependencies that the values enable.
func annotatedImages(ctx context.Context, c *chartArtifact, render chart.RenderOptions) ([]Finding, error) {
	if len(c.chart.AnnotatedImages()) == 0 {
		return nil, nil
	}
	out, err := c.chart.Render(ctx, render)
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.record.label(), err)
	}
	var all []Finding
	for _, raw := range out.AnnotatedImages() {
		all = append(all, Finding{Raw: raw, Chart: c.record.label(), Confidence: string(chart.Image)})
	}
	return all, nil
}

// finding is what a report says of a reference. Names of templates and keys are
// the chart's, and may hold what deceives a terminal.
func finding(c ChartRecord, f chart.Finding, keys []string) Finding {
	return Finding{
		Raw:        printable(f.Raw),
		Chart:      c.label(),
		Template:   printable(f.Template),
		Kind:       printable(f.Kind),
		Path:       printable(f.Path),
		Confidence: string(f.Confidence),
		Keys:       printables(keys),
	}
}

// splitFindings parts what can be pulled from what cannot. A reference without
// a tag that is put together at run time counts as answered when the user names
// an image of that repository.
func splitFindings(all []Finding) (pullable, open []Finding) {
	answered := make(map[string]bool)
	var rest []Finding
	for _, f := range all {
		ref, err := ParseReference(f.Raw)
		if err != nil || f.Confidence != string(chart.Image) {
			rest = append(rest, f)
			continue
		}
		pullable = append(pullable, f)
		if f.Chart == "" {
			answered[ref.Repository()] = true
		}
	}
	for _, f := range rest {
		if ref, err := ParseReference(f.Raw); err != nil || !answered[ref.Repository()] {
			open = append(open, f)
		}
	}
	return pullable, open
}

func (p *plan) report() *ExportReport {
	return &ExportReport{
		Payload:    p.payload(),
		Blobs:      len(p.fetch),
		ID:         p.record.ID,
		Created:    p.created,
		Charts:     p.record.Charts,
		Images:     p.record.Images,
		Referrers:  p.record.Referrers,
		Unresolved: p.record.Unresolved,
	}
}

func (r *ExportReport) incomplete() error {
	if len(r.Unresolved) == 0 {
		return nil
	}
	e := &IncompleteError{
		Summary: "some references cannot be pulled as they stand, and are not in the bundle:",
		Advice:  "add the images they become at run time with --image REF",
	}
	for _, f := range r.Unresolved {
		e.Items = append(e.Items, fmt.Sprintf("%s (%s) in %s", f.Raw, f.Confidence, f.Where()))
	}
	return e
}
