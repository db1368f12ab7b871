package bundle

import (
	"context"
	"fmt"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ImportOptions say where a bundle goes.
type ImportOptions struct {
	Registry         Registry
	Trust            *Trust
	KeepRegistryHost bool   // HOST/ghcr.io/org/app instead of HOST/org/app
	SkipCharts       bool   // push images only, and derive no values
	DryRun           bool   // check, compare and derive, but write nothing anywhere
	OutputDir        string // where values files and reports go
	Receipt          ReceiptOptions
	PullSecret       string // name of the secret the nodes pull with; set wherever a chart takes one
	RenderDir        string // where the rendered manifests go, one file a resource; empty: nowhere
	ValueFiles       []string
	Set, SetString   []string
	Jobs             int   // transfers at once; 0: DefaultJobs
	ChunkSize        int64 // largest body of a request that uploads, in bytes; 0: no limit
	RegistryOptions  RegistryOptions
	Progress         Progress
}

// An ImportReport says what was verified, pushed and written.
type ImportReport struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Vouched
	Registry  string        `json:"registry"`
	Images    []ImportImage `json:"images"`
	Charts    []ImportChart `json:"charts,omitempty"`
	Bytes     pushResult    `json:"bytes"`
	OutputDir string        `json:"outputDir,omitempty"` // empty after a dry run
	Receipt   string        `json:"receipt,omitempty"`   // where it was written
}

// An ImportImage is one reference, old and new.
type ImportImage struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Digest string `json:"digest"`
	Pushed bool   `json:"pushed"` // false: the target had it

	SourceDigest string `json:"sourceDigest,omitempty"` // where a choice of platforms changed it: what the source has
}

// Import checks a bundle, pushes what the registry lacks, and writes for each
// chart the values file with which Helm pulls everything from there, proved by
// rendering the chart with it.
//
// All that can fail without writing is done first: signature, structure,
// collisions of names, values, credentials. References that values cannot move
// do not stop it: they are in the report, and the error is an *IncompleteError
// beside a valid report.
func Import(ctx context.Context, path string, o ImportOptions) (*ImportReport, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	o.Progress = orSilent(o.Progress)
	b, err := Open(path, o.Trust)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	client, err := o.RegistryOptions.client()
	if err != nil {
		return nil, err
	}
	names := newNaming(b.Record, o.Registry, o.KeepRegistryHost)
	charts, err := o.relocateCharts(ctx, b, names)
	if err != nil {
		return nil, err
	}
	places, err := o.place(b, names, charts)
	if err != nil {
		return nil, err
	}
	if err := o.Receipt.prepare(path, o.DryRun); err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := o.checkOutput(charts); err != nil {
			return nil, err
		}
	}
	report := o.report(b, charts)
	p := &pusher{client: client, bundle: b, jobs: o.Jobs, chunk: o.ChunkSize, pr: o.Progress}
	if err := o.push(ctx, p, places, report); err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := o.emit(b.Record, charts, report); err != nil {
			return nil, err
		}
		report.OutputDir = o.OutputDir
	}
	if report.Receipt = o.Receipt.Path; report.Receipt != "" {
		r, err := o.receipt(path, b, charts, report)
		if err == nil {
			err = o.Receipt.write(r)
		}
		if err != nil {
			return nil, err
		}
	}
	return report, incomplete(charts, "besides values there are, in the output folder: rewrite.map for `bundle postrender`,\n"+
		"kustomize/ for `kubectl kustomize`, and nodes/ for the container runtime of each node")
}

// place decides the name of every image and chart in the target registry.
func (o *ImportOptions) place(b *Bundle, names naming, charts []*relocated) ([]placement, error) {
	ps := newPlacements(names)
	roots := make(map[string]ocispec.Descriptor)
	for _, d := range b.index.Manifests {
		roots[d.Annotations[ocispec.AnnotationRefName]] = d
	}
	for _, im := range b.Record.Images {
		if len(im.Found) == 0 {
			if err := ps.add(im.Reference, im.Reference, roots[im.Reference]); err != nil {
				return nil, err
			}
		}
		for _, f := range im.Found {
			if err := ps.add(f.Raw, im.Reference, roots[im.Reference]); err != nil {
				return nil, err
			}
		}
	}
	if err := ps.addOfficial(b.Record, roots); err != nil {
		return nil, err
	}
	for _, c := range charts {
		// Values given here may show another spelling of a reference.
		for raw, source := range c.seen {
			if err := ps.add(raw, source, roots[source]); err != nil {
				return nil, err
			}
		}
	}
	charted := b.Record.Charts
	if o.SkipCharts {
		charted = nil
	}
	for _, c := range charted {
		target := o.Registry.Charts() + "/" + c.Name + ":" + chartTag(c.Version)
		if err := ps.addAt(target, c.Reference, roots[c.Reference]); err != nil {
			return nil, err
		}
	}
	if err := ps.addReferrers(b, roots); err != nil {
		return nil, err
	}
	return ps.all(), nil
}

func (o *ImportOptions) report(b *Bundle, charts []*relocated) *ImportReport {
	r := &ImportReport{ID: b.Record.ID, Created: b.Record.Created, Vouched: b.Vouched, Registry: o.Registry.String()}
	for _, c := range charts {
		r.Charts = append(r.Charts, c.report(o))
	}
	return r
}

// push compares, preflights and pushes, and notes in the report what it did.
func (o *ImportOptions) push(ctx context.Context, p *pusher, places []placement, report *ImportReport) error {
	plan, err := p.plan(ctx, places)
	if err != nil {
		return err
	}
	lacking := make(map[string]bool)
	for _, t := range plan.tags {
		lacking[t.repo+":"+t.ref] = true
	}
	for _, m := range plan.manifests {
		lacking[m.repo+"@"+m.desc.Digest.String()] = true
	}
	reduced := make(map[string]string)
	for _, im := range p.bundle.Record.Images {
		reduced[im.Reference] = im.SourceDigest.String()
	}
	for _, pl := range places {
		ref := pl.target
		byTag := ref.Tag != "" && lacking[ref.Repository()+":"+ref.Tag]
		report.Images = append(report.Images, ImportImage{
			Source: pl.source,
			Target: ref.String(),
			Digest: pl.root.Digest.String(),
			Pushed: byTag || lacking[ref.Repository()+"@"+pl.root.Digest.String()],

			SourceDigest: reduced[pl.source],
		})
	}
	report.Bytes.Present = plan.present
	if plan.empty() {
		return nil
	}
	if err := p.preflight(ctx, plan); err != nil {
		return err
	}
	if o.DryRun {
		report.Bytes.Sent = plan.total()
		return nil
	}
	report.Bytes, err = p.push(ctx, plan)
	return err
}

// incomplete collects what values could not move, over all charts.
func incomplete(charts []*relocated, advice string) error {
	e := &IncompleteError{
		Summary: "these references still point outside, or cannot be pulled:",
		Advice:  advice,
	}
	for _, c := range charts {
		for _, l := range c.left {
			item := fmt.Sprintf("%s: %s: %s", l.Raw, l.Where(), l.Reason)
			if len(l.Needs) > 0 {
				item += "; moved by " + strings.Join(l.Needs, ", ")
			}
			e.Items = append(e.Items, item)
		}
	}
	if len(e.Items) == 0 {
		return nil
	}
	return e
}

// shellQuote quotes s where a POSIX shell would not take it as one word.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
