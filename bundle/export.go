package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	"bundle/bundle/internal/cosign"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/kit"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/transfer"
	"bundle/bundle/reports"
)

// ExportOptions say what to bundle and where to write it.
type ExportOptions struct {
	Charts   []ChartSpec
	Force    bool     // replace a bundle of other content at Output
	Images   []string // beside those found in charts: references, images in files, and answers (TEXT=IMAGE)
	NotTaken []string // what lists of other tools have besides, see Config: it is in the report
	Exclude  []string // references to leave out, wherever they were found
	Ignore   []string // texts in charts, as they are written there, that are known not to be pulled
	// Destinations are names that images shall have on the other side, by
	// source reference; the import's registry takes the place of theirs.
	Destinations map[string]string
	Platforms    []Platform // empty: all
	// PlatformOptional takes an image that lacks some of Platforms with what it
	// has of them; the report lists those.
	PlatformOptional bool
	AllPlatforms     []string // references that Platforms does not hold for
	// Output is a file, a pipe or a device, or StreamOutput; empty: a file named
	// after the first chart.
	Output       string
	Stream       io.Writer   // where StreamOutput goes
	InOrder      bool        // let the file grow from its begin to its end, where the system does not ask for it itself
	Set          *SetOptions // cut the bundle into parts; Output then is their name, and no path; nil: one file
	NoReferrers  []string    // leave signatures, SBOMs and other referrers behind of images from these hosts; "*": of all
	VerifyImages string      // file with a policy that says which keys have to have signed which images, see `bundle export --help`; empty: none
	NoValues     bool        // leave the given values out of the bundle
	Redact       []string    // leave these keys of the given values out, a.b.c
	Signer       *Signer     // nil: needs Unsigned
	Unsigned     bool
	DryRun       bool          // plan and report, write nothing
	Created      time.Time     // of every entry and the record; zero: now, or that of the run that is gone on with
	Serial       int64         // tells newer bundles from older ones before Created does; 0: it does not
	ValidFor     time.Duration // after Created, an import refuses the bundle; 0: never
	Tool         string        // name and version that go into the record
	WithTool     kit.Wanted    // programs to put beside the bundle, for machines on the far side
	Bases        []string      // bundles, parts of them, receipts: layers that these have stay out
	BaseTrust    *Trust        // who has to have signed those; nil: they are taken as hints
	Jobs         int           // transfers at once; 0: DefaultJobs
	Registry     RegistryOptions
	Progress     Progress
}

// Export writes a bundle of charts and of every image they need. The file
// appears at Output only when it is complete and on the disk.
//
// References that cannot be pulled as they stand do not stop it: they are in
// the report, and the error is a *reports.IncompleteError beside a valid report.
func Export(ctx context.Context, o ExportOptions) (report *reports.Export, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	tools, err := kit.Open(ctx, o.WithTool)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tools.Close()) }()
	e := &departure{ExportOptions: o}
	if e.client, err = remote.New(o.Registry); err != nil {
		return nil, err
	}
	defer e.client.Close()
	e.named, err = source.Name(ctx, o.Images)
	defer func() { err = errors.Join(err, e.named.Close()) }()
	if err != nil {
		return nil, err
	}
	p, report, err := e.plan(ctx)
	if err != nil {
		return nil, err
	}
	report.Programs, report.Warnings = tools.Programs, tools.Warnings()
	if !o.DryRun {
		if o.Set == nil && !o.Force {
			if err := mayReplace(ctx, e.Output, report.ID); err != nil {
				return nil, err
			}
		}
		w, err := transfer.Write(ctx, e.client, p, e.transfer(e.beside(tools, p, report)))
		if err != nil {
			return nil, err
		}
		noteWritten(report, e.Output, w)
		report.Beside = tools.Written()
	}
	return report, fault.Both(incomplete(report), cosign.Unsigned(report.Verdicts))
}

// A departure is an export under way: what was asked for, completed, and what it is
// asked of.
type departure struct {
	ExportOptions
	client *remote.Client
	named  *source.Named // images that the user names
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
	if o.Serial < 0 {
		return &fault.UsageError{What: fmt.Sprintf("serial %d is less than 1", o.Serial)}
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
	return o.checkOutput()
}

// checkOutput refuses an output that is to be kept, before anything is asked.
func (o *ExportOptions) checkOutput() error {
	if o.Set != nil {
		o.Set.Name, o.Set.Force = o.Output, o.Set.Force || o.Force
		return nil
	}
	if o.Output == "" {
		return nil
	}
	if len(o.WithTool.Platforms) > 0 && transfer.Streams(o.Output) {
		return &fault.UsageError{What: "a stream has no place beside it for --with-tool", Advice: "name a file with -o FILE"}
	}
	if o.DryRun {
		return nil
	}
	return transfer.CheckOutput(o.Output)
}

// plan finds, resolves and lays out everything; it reads from registries, but
// no layer.
func (e *departure) plan(ctx context.Context) (*plan.Plan, *reports.Export, error) {
	policy, err := cosign.Load(ctx, e.VerifyImages)
	if err != nil {
		return nil, nil, err
	}
	e.Progress.Phase("resolving", 0)
	defer e.Progress.End()
	bases, err := loadBases(ctx, e.Bases, e.BaseTrust)
	if err != nil {
		return nil, nil, err
	}
	charts, findings, err := e.find(ctx)
	if err != nil {
		return nil, nil, err
	}
	texts, exclude := source.Placeholders(findings, e.Exclude)
	sorted, err := source.Sort(append(findings, e.named.Findings...), append(texts, e.Ignore...), e.named.Answers)
	if err != nil {
		return nil, nil, err
	}
	wanted, err := image.Collect(sorted.Pullable)
	if err != nil {
		return nil, nil, err
	}
	if wanted, err = image.Exclude(wanted, exclude); err != nil {
		return nil, nil, err
	}
	image.InFiles(wanted, e.named.Files)
	images, verdicts, unasked, err := e.resolve(ctx, wanted, charts, policy)
	if err != nil {
		return nil, nil, err
	}
	if err := source.LeaveOut(charts, e.NoValues, e.Redact); err != nil {
		return nil, nil, err
	}
	rec := &record.Record{
		FormatVersion: record.FormatVersion, Tool: e.Tool, Created: e.Created, Serial: e.Serial,
		Unresolved: sorted.Open, Accepted: sorted.Accepted,
	}
	times := plan.Times{ValidFor: e.ValidFor, Begun: func(id string) time.Time { return transfer.Begun(e.Output, e.Set.HeadPath(), id) }}
	var known []plan.Base
	for _, b := range bases {
		known = append(known, b.Base)
	}
	p, err := plan.New(rec, images, charts, times, known...)
	if err != nil {
		return nil, nil, err
	}
	report := exportReport(p, images, unasked)
	report.NotTaken, report.Verdicts, report.Bases = e.NotTaken, verdicts, baseReports(bases, rec.Requires)
	report.DryRun = e.DryRun
	if e.Signer != nil {
		report.KeyType = e.Signer.Key.PublicKey().Type()
	}
	return p, report, nil
}

// find loads the charts and searches them. The first gives the bundle its name,
// where it has none.
func (e *departure) find(ctx context.Context) (charts []*source.Chart, findings []record.Finding, err error) {
	var demands unrendered
	for _, spec := range e.Charts {
		c, err := source.Load(ctx, e.client, spec)
		if err != nil {
			return nil, nil, err
		}
		if err := c.Record.CheckName(); err != nil {
			return nil, nil, &fault.UsageError{What: err.Error(), Advice: "change it in its Chart.yaml; helm push does not take it either"}
		}
		found, err := source.FindImages(ctx, c)
		if err != nil {
			if demands.add(err) {
				continue
			}
			return nil, nil, err
		}
		if slices.ContainsFunc(charts, func(other *source.Chart) bool { return reflect.DeepEqual(other.Record, c.Record) }) {
			return nil, nil, &fault.UsageError{
				What:   fmt.Sprintf("release %s of chart %s is named twice, with the same values", c.Record.Release, c.Record.Label()),
				Advice: "drop one of them, or give it another release or namespace",
			}
		}
		charts = append(charts, c)
		findings = append(findings, found...)
	}
	switch {
	case demands.all != nil:
		return nil, nil, demands.all
	case e.Output != "":
		return charts, findings, nil
	case len(charts) > 0:
		e.Output = charts[0].Record.Label() + ".bundle.tar"
	default:
		e.Output = "images.bundle.tar"
	}
	return charts, findings, e.checkOutput()
}

// resolve reads what is small about the images and what is attached to them.
func (e *departure) resolve(ctx context.Context, wanted []image.Want, charts []*source.Chart, policy *cosign.Policy) (images []*image.Image, verdicts []cosign.Verdict, unasked []image.Unasked, err error) {
	if err := image.AllPlatforms(wanted, e.AllPlatforms); err != nil {
		return nil, nil, nil, err
	}
	resolver := image.NewResolver(e.client, e.Jobs)
	images, err = resolver.Images(ctx, wanted, image.Choice{Platforms: e.Platforms, Optional: e.PlatformOptional})
	if err != nil {
		return nil, nil, nil, err
	}
	if err := source.SetDestinations(images, e.Destinations); err != nil {
		return nil, nil, nil, err
	}
	if policy != nil {
		if verdicts, err = cosign.Check(ctx, e.client, resolver, images, policy); err != nil {
			return nil, nil, nil, err
		}
	}
	holders, err := source.Holders(images, charts)
	if err != nil {
		return nil, nil, nil, err
	}
	attached, unasked, err := resolver.Referrers(ctx, holders, e.leavesReferrers)
	return append(images, attached...), verdicts, unasked, err
}

func (o *ExportOptions) leavesReferrers(host string) bool {
	return slices.ContainsFunc(o.NoReferrers, func(h string) bool { return h == AllRegistries || strings.EqualFold(h, host) })
}

// transfer is what the use case asks of the packages that move bytes.
func (o *ExportOptions) transfer(beside transfer.Beside) transfer.Options {
	t := transfer.Options{
		Output:   o.Output,
		Stream:   o.Stream,
		InOrder:  o.InOrder,
		Signer:   o.Signer,
		Jobs:     o.Jobs,
		Progress: o.Progress,
		Set:      o.Set,
		Beside:   beside,
	}
	if o.Set != nil {
		set := *o.Set
		set.Beside, t.Set = beside, &set
	}
	return t
}
