package bundle

import (
	"context"
	"fmt"
	"io"
	"time"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/media"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/internal/trust"
)

// DefaultJobs is how many transfers run at once where the caller says nothing.
const DefaultJobs = 6

// ExportOptions say what to bundle and where to write it.
type ExportOptions struct {
	Charts  []source.ChartSpec
	Images  []string // references beside those found in charts
	Exclude []string // references to leave out, wherever they were found
	// Destinations are names that images shall have on the other side, by
	// source reference; the import's registry takes the place of theirs.
	Destinations map[string]string
	Platforms    []image.Platform // empty: all
	// Output is a file, a pipe or a device, or StreamOutput; empty: a file named
	// after the first chart.
	Output      string
	Stream      io.Writer     // where StreamOutput goes
	InOrder     bool          // let the file grow from its begin to its end, where the system does not ask for it itself
	Set         *SetOptions   // cut the bundle into parts; Output then is their name, and no path; nil: one file
	NoReferrers bool          // leave signatures, SBOMs and other referrers of images behind
	NoValues    bool          // leave the given values out of the bundle
	Redact      []string      // leave these keys of the given values out, a.b.c
	Signer      *trust.Signer // nil: needs Unsigned
	Unsigned    bool
	DryRun      bool      // plan and report, write nothing
	Created     time.Time // of every entry and the record; zero: now, or that of the run that is gone on with
	Tool        string    // name and version that go into the record
	Jobs        int       // transfers at once; 0: DefaultJobs
	Registry    RegistryOptions
	Progress    progress.Reporter
}

// An ExportReport says what went into a bundle, or would.
type ExportReport struct {
	Output      string            `json:"output,omitempty"`  // empty after a dry run
	Size        int64             `json:"size,omitempty"`    // of the whole file; 0 after a dry run
	Payload     int64             `json:"payload"`           // bytes to fetch: each unique blob once
	Resumed     int64             `json:"resumed,omitempty"` // bytes of them that an earlier run had fetched
	Changed     []transfer.Change `json:"changed,omitempty"` // references that moved since that run
	Blobs       int               `json:"blobs"`             // number of them
	ID          string            `json:"id"`
	Created     time.Time         `json:"created"`
	Fingerprint string            `json:"fingerprint,omitempty"` // of the signing key
	Charts      []record.Chart    `json:"charts,omitempty"`
	Images      []record.Image    `json:"images,omitempty"`
	Referrers   []record.Image    `json:"referrers,omitempty"`
	Unresolved  []record.Finding  `json:"unresolved,omitempty"`
	Fetched     []chart.Fetched   `json:"fetched,omitempty"` // charts that came over the network, dependencies too
	Parts       []media.Written   `json:"parts,omitempty"`   // of a bundle in parts: those that are on their media
	Count       int               `json:"count,omitempty"`   // of a bundle in parts: how many there are
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
	client, err := remote.New(o.Registry)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	p, err := o.plan(ctx, client)
	if err != nil {
		return nil, err
	}
	report := exportReport(p)
	if !o.DryRun {
		w, err := transfer.Write(ctx, client, p, o.transfer())
		if err != nil {
			return nil, err
		}
		report.written(o.Output, w)
	}
	return report, report.incomplete()
}

func (o *ExportOptions) complete() error {
	if len(o.Charts) == 0 && len(o.Images) == 0 {
		return &fault.UsageError{What: "nothing to export", Advice: "name a chart, or images with --image"}
	}
	if o.Signer == nil && !o.Unsigned && !o.DryRun {
		return &fault.UsageError{
			What:   "no key to sign the bundle with",
			Advice: "give --key FILE (an OpenSSH private key; `bundle keygen` makes one), or --unsigned",
		}
	}
	for _, raw := range o.Images {
		if _, err := name.Parse(raw); err != nil {
			return &fault.UsageError{What: err.Error(), Advice: "want HOST/PATH:TAG or HOST/PATH@sha256:…"}
		}
	}
	if o.Set != nil {
		if err := o.Set.Complete(); err != nil {
			return err
		}
	}
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	o.Created = o.Created.UTC().Truncate(time.Second)
	o.Progress = progress.OrSilent(o.Progress)
	return nil
}

// plan finds, resolves and lays out everything; it reads from registries, but
// no layer.
func (o *ExportOptions) plan(ctx context.Context, client *remote.Client) (*plan.Plan, error) {
	o.Progress.Phase("resolving", 0)
	defer o.Progress.End()
	rec := &record.Record{FormatVersion: record.FormatVersion, Tool: o.Tool}
	var charts []*source.Chart
	var findings []record.Finding
	for _, spec := range o.Charts {
		c, err := source.Load(ctx, client, spec)
		if err != nil {
			return nil, err
		}
		if err := c.Record.CheckName(); err != nil {
			return nil, &fault.UsageError{What: err.Error(), Advice: "rename it in its Chart.yaml; helm push does not take it either"}
		}
		found, err := source.FindImages(ctx, c)
		if err != nil {
			return nil, err
		}
		charts = append(charts, c)
		findings = append(findings, found...)
		if o.Output == "" {
			o.Output = c.Record.Label() + ".bundle.tar"
		}
	}
	if o.Output == "" {
		o.Output = "images.bundle.tar"
	}
	for _, raw := range o.Images {
		findings = append(findings, record.Finding{Raw: raw, Confidence: string(chart.Image)})
	}
	pullable, open := source.Split(findings)
	rec.Unresolved = open
	wanted, err := image.Collect(pullable)
	if err != nil {
		return nil, err
	}
	if wanted, err = image.Exclude(wanted, o.Exclude); err != nil {
		return nil, err
	}
	resolver := image.NewResolver(client, o.Jobs)
	images, err := resolver.Images(ctx, wanted, o.Platforms)
	if err != nil {
		return nil, err
	}
	if err := source.SetDestinations(images, o.Destinations); err != nil {
		return nil, err
	}
	if !o.NoReferrers {
		holders, err := source.Holders(images, charts)
		if err != nil {
			return nil, err
		}
		attached, err := resolver.Referrers(ctx, holders)
		if err != nil {
			return nil, err
		}
		images = append(images, attached...)
	}
	if o.Set != nil {
		o.Set.Name = o.Output
	}
	if rec.Created = o.Created; o.Created.IsZero() {
		rec.Created = transfer.Begun(o.Output, o.Set.HeadPath())
	}
	if err := source.LeaveOut(charts, o.NoValues, o.Redact); err != nil {
		return nil, err
	}
	return plan.New(rec, images, charts)
}

// transfer is what the use case asks of the packages that move bytes.
func (o *ExportOptions) transfer() transfer.Options {
	return transfer.Options{
		Output:   o.Output,
		Stream:   o.Stream,
		InOrder:  o.InOrder,
		Signer:   o.Signer,
		Jobs:     o.Jobs,
		Progress: o.Progress,
		Set:      o.Set,
	}
}

// written notes what came of it.
func (r *ExportReport) written(output string, w *transfer.Result) {
	r.Output, r.Size, r.Resumed = output, w.Size, w.Resumed
	r.Changed, r.Fingerprint = w.Changed, w.Fingerprint
	r.Parts, r.Count = w.Parts, w.Count
}

func exportReport(p *plan.Plan) *ExportReport {
	return &ExportReport{
		Payload:    p.Payload(),
		Blobs:      len(p.Fetch),
		ID:         p.Record.ID,
		Created:    p.Created,
		Charts:     p.Record.Charts,
		Images:     p.Record.Images,
		Referrers:  p.Record.Referrers,
		Unresolved: p.Record.Unresolved,
		Fetched:    p.Sources,
	}
}

func (r *ExportReport) incomplete() error {
	if len(r.Unresolved) == 0 {
		return nil
	}
	e := &fault.IncompleteError{
		Summary: "some references cannot be pulled as they stand, and are not in the bundle:",
		Advice:  "add the images they become at run time with --image REF",
	}
	for _, f := range r.Unresolved {
		e.Items = append(e.Items, fmt.Sprintf("%s (%s) in %s", f.Raw, f.Confidence, f.Where()))
	}
	return e
}
