package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/remote"
	"bundle/layout"
)

// DefaultJobs is how many transfers run at once where the caller says nothing.
const DefaultJobs = 6

// ExportOptions say what to bundle and where to write it.
type ExportOptions struct {
	Charts    []ChartSpec
	Images    []string   // references beside those found in charts
	Platforms []Platform // empty: all
	Output    string     // empty: named after the first chart
	Signer    *Signer    // nil: needs Unsigned
	Unsigned  bool
	DryRun    bool      // plan and report, write nothing
	Created   time.Time // of every entry and the record; zero: now
	Tool      string    // name and version that go into the record
	Jobs      int       // transfers at once; 0: DefaultJobs
	Registry  RegistryOptions
	Progress  Progress
}

// An ExportReport says what went into a bundle, or would.
type ExportReport struct {
	Output      string        `json:"output,omitempty"` // empty after a dry run
	Size        int64         `json:"size,omitempty"`   // of the whole file; 0 after a dry run
	Payload     int64         `json:"payload"`          // bytes to fetch: each unique blob once
	Blobs       int           `json:"blobs"`            // number of them
	ID          string        `json:"id"`
	Created     time.Time     `json:"created"`
	Fingerprint string        `json:"fingerprint,omitempty"` // of the signing key
	Charts      []ChartRecord `json:"charts,omitempty"`
	Images      []ImageRecord `json:"images,omitempty"`
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
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	if o.Created.IsZero() {
		o.Created = time.Now()
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
	rec := &Record{FormatVersion: FormatVersion, Tool: o.Tool, Created: o.Created}
	var charts []*chartArtifact
	var findings []Finding
	for _, spec := range o.Charts {
		c, err := loadChart(ctx, client, spec)
		if err != nil {
			return nil, err
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
	images, err := resolveImages(ctx, client, wanted, o.Platforms, o.Jobs)
	if err != nil {
		return nil, err
	}
	return planBundle(rec, images, charts)
}

// findImages renders the chart with the user's values and returns every
// reference in it, with the values keys that will move each.
func findImages(ctx context.Context, c *chartArtifact) ([]Finding, error) {
	res, err := relocate.Derive(ctx, relocate.Request{
		Chart:  c.chart,
		Render: c.record.renderOptions(),
		Target: func(raw string) (string, bool) { return relocate.TargetName(raw, "registry."+localHost, false), true },
	})
	if err != nil {
		return nil, fmt.Errorf("chart %s: %w", c.record.label(), err)
	}
	var all []Finding
	for _, m := range res.Moved {
		all = append(all, finding(c.record, m.Finding, m.Keys))
	}
	for _, l := range res.Left {
		all = append(all, finding(c.record, l.Finding, nil))
	}
	for _, raw := range c.chart.AnnotatedImages() {
		all = append(all, Finding{Raw: raw, Chart: c.record.label(), Confidence: string(chart.Image)})
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return compareStrings(a.Template, b.Template, a.Path, b.Path) })
	return all, nil
}

func finding(c ChartRecord, f chart.Finding, keys []string) Finding {
	return Finding{
		Raw:        f.Raw,
		Chart:      c.label(),
		Template:   f.Template,
		Kind:       f.Kind,
		Path:       f.Path,
		Confidence: string(f.Confidence),
		Keys:       keys,
	}
}

// compareStrings orders by the first pair that differs.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		switch a, b := pairs[i], pairs[i+1]; {
		case a < b:
			return -1
		case a > b:
			return 1
		}
	}
	return 0
}

// splitFindings parts what can be pulled from what cannot. A reference without
// a tag that is put together at run time counts as answered when another
// finding, or the user, names an image of that repository.
func splitFindings(all []Finding) (pullable, open []Finding) {
	answered := make(map[string]bool)
	for _, f := range all {
		if f.Confidence == string(chart.Image) {
			pullable = append(pullable, f)
			if ref, err := ParseReference(f.Raw); err == nil && f.Chart == "" {
				answered[ref.Repository()] = true
			}
		}
	}
	for _, f := range all {
		if f.Confidence == string(chart.Image) {
			continue
		}
		if ref, err := ParseReference(f.Raw); err == nil && answered[ref.Repository()] {
			continue
		}
		open = append(open, f)
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

// write signs the plan and carries it out.
func (o *ExportOptions) write(ctx context.Context, client *remote.Client, p *plan, report *ExportReport) (err error) {
	sums := p.sums()
	var sig []byte
	if o.Signer != nil {
		if sig, err = o.Signer.sign(sums); err != nil {
			return err
		}
		report.Fingerprint = o.Signer.Fingerprint()
	}
	lp, err := layout.NewPlan(p.files(sums, sig), p.created)
	if err != nil {
		return err
	}
	w, err := layout.Create(o.Output, lp)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := o.transfer(ctx, client, p, w); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	report.Output, report.Size = o.Output, lp.Size()
	return nil
}

// transfer fetches every blob of the plan into its place.
func (o *ExportOptions) transfer(ctx context.Context, client *remote.Client, p *plan, w *layout.Writer) error {
	o.Progress.Phase("fetching", p.payload())
	defer o.Progress.End()
	t := newTally(p.needs, o.Progress)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(o.Jobs)
	for _, d := range p.fetch {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := transferBlob(ctx, client, p.from[d.Digest], d, w, o.Progress); err != nil {
				return err
			}
			t.finished(d.Digest)
			return nil
		})
	}
	return g.Wait()
}

func transferBlob(ctx context.Context, client *remote.Client, repo string, d ocispec.Descriptor, w *layout.Writer, pr Progress) (err error) {
	rc, err := client.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	bw, err := w.Blob(d.Digest)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err = io.CopyBuffer(onlyWriter{bw}, counted{rc, pr}, *buf)
	if cerr := bw.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: blob %s: %w", repo, d.Digest, err)
	}
	return nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// onlyWriter and counted hide ReadFrom and WriteTo, which would bypass the
// pooled buffer.
type onlyWriter struct{ io.Writer }

type counted struct {
	r io.Reader
	p Progress
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.Add(int64(n))
	return n, err
}

// A tally knows how many blobs each image still waits for, and says when one
// is complete.
type tally struct {
	mu      sync.Mutex
	missing map[string]int
	waiting map[digest.Digest][]string
	pr      Progress
}

func newTally(needs map[string][]ocispec.Descriptor, pr Progress) *tally {
	t := &tally{missing: make(map[string]int), waiting: make(map[digest.Digest][]string), pr: pr}
	for _, name := range sortedKeys(needs) {
		for _, d := range needs[name] {
			t.missing[name]++
			t.waiting[d.Digest] = append(t.waiting[d.Digest], name)
		}
	}
	return t
}

func (t *tally) finished(d digest.Digest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range t.waiting[d] {
		if t.missing[name]--; t.missing[name] == 0 {
			t.pr.Done(name)
		}
	}
	delete(t.waiting, d)
}
