package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
	"bundle/bundle/reports"
)

// ImportOptions say where a bundle goes.
type ImportOptions struct {
	More []string // further files, folders and mount points, where the bundle is in parts
	// Scratch is a folder where parts are kept that have to be there with others, when
	// there is one drive: pieces of layers that are cut, and with parity all. What was
	// kept is removed at the end. Empty: nothing is kept.
	Scratch string
	// Swap asks for another medium of a bundle in parts, in place of the one that is
	// there, and on which nothing is open. Nil: nobody is asked.
	Swap        func(context.Context, *reports.MissingError) error
	Registry    Registry
	Names       Naming // how paths become paths there; empty: NamesFull
	Trust       *Trust
	Exclude     []string // references that are not pushed, and stay as they are in values
	SkipCharts  bool     // leave charts out of the registry: they are put beside their values
	NoReferrers bool     // leave signatures, SBOMs and the like out
	TagDigests  bool     // give what is named by digest alone a tag
	FailFast    bool     // end at the first refusal of the registry
	AllowOlder  bool     // put the bundle in the place of what a newer one brought
	NoOverwrite bool     // refuse to replace what a tag stands for
	NoRecord    bool     // leave no record of the import in the registry
	Tool        string   // name and version of the calling program, for that record
	Deep        bool     // read and hash what the registry says that it has
	DryRun      bool     // check, compare and derive, but write nothing anywhere
	OutputDir   string   // where values files and reports go; empty: nowhere
	Receipt     ReceiptOptions
	// Release, Namespace, KubeVersion and APIVersions take the place of what the
	// charts were exported for, where they are given: the sender may not have known.
	Release, Namespace, KubeVersion string
	APIVersions                     []string
	PullSecret                      string   // name of the secret the nodes pull with; set wherever a chart takes one
	OmitSecrets                     Secrets  // which Secrets stay out of RenderDir
	RenderDir                       string   // where the rendered manifests go, one file a resource; empty: nowhere
	GitOps                          []string // objects to write too: flux, argocd, kustomize
	Environments                    []string // overlays of them
	ValueFiles                      []string
	Set, SetString                  []string
	Jobs                            int   // transfers at once; 0: DefaultJobs, or two for each medium
	ChunkSize                       int64 // largest body of a request that uploads, in bytes; 0: no limit
	RegistryOptions                 RegistryOptions
	Progress                        Progress
}

// Import checks a bundle, pushes what the registry lacks, and writes for each
// chart the values file with which Helm pulls everything from there, proved by
// rendering the chart with it.
//
// All that can fail without writing is done first: signature, structure,
// collisions of names, values, credentials. References that values cannot move
// do not stop it, nor does what the registry refuses: they are in the report, and
// the error is a *reports.IncompleteError or a *reports.RefusedError beside a valid report. Where
// nothing arrived there is no report.
//
// Of a bundle in parts, path and o.More may have some and not all. Then the blobs
// that are there are pushed, and the error is a *reports.MissingError beside a valid
// report: the same call with other media goes on, since the registry knows what it
// has.
func Import(ctx context.Context, path string, o ImportOptions) (*reports.Import, error) {
	t, err := begin(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	if t.nodeCA, err = t.client.CAs(o.Registry.Host); err != nil {
		return nil, err
	}
	if err := t.renderFor(); err != nil {
		return nil, err
	}
	charts, underived, err := t.relocate(ctx)
	if err != nil {
		return nil, err
	}
	places, err := t.places(charts)
	if err != nil {
		return nil, err
	}
	if err := t.prepare(charts); err != nil {
		return nil, err
	}
	pushed, err := t.pushAll(ctx, places)
	if errors.Is(err, context.Canceled) && !o.DryRun {
		err = fault.WithHint(err, "the registry keeps what has arrived, and no name of it has changed before all of it was there:\nthe same command goes on from there")
	}
	var missing *open.MissingError
	if errors.As(err, &missing) && pushed != nil {
		report := t.report(charts, pushed)
		report.Missing = missing
		return report, err
	}
	if err != nil {
		return nil, err
	}
	refused := pushed.Refused()
	if refused != nil && fault.KindOf(refused) != fault.Incomplete {
		return nil, refused
	}
	places = arrived(places, pushed.Images)
	emit.Ways(charts, places, t.emit())
	t.putBeside(charts, pushed.Images)
	report := t.report(charts, pushed)
	if !o.DryRun {
		if err := t.write(charts, places, report); err != nil {
			return nil, err
		}
		if !o.NoRecord {
			if err := t.past.add(ctx, t.bundle, pushed.Images, o.Tool); err != nil {
				return nil, err
			}
		}
		if err := t.dropScratch(); err != nil {
			t.past.warnings = append(t.past.warnings, err.Error())
		}
	}
	report.Warnings = t.past.warnings
	return report, fault.Both(refused, fault.Both(underived, emit.Incomplete(charts, t.emit())))
}

// relocate derives the values of all charts. Where they are to be left out of the
// registry, one that does not render holds up no image: there are no values then.
func (t *arrival) relocate(ctx context.Context) (charts []*emit.Chart, underived, err error) {
	charts, err = emit.Relocate(ctx, t.bundle, t.names, t.emit())
	var (
		render  *chart.RenderError
		depends *chart.DependencyError
	)
	if !t.SkipCharts || !errors.As(err, &render) && !errors.As(err, &depends) {
		return charts, nil, err
	}
	return nil, &fault.IncompleteError{Summary: "there are no values, since a chart does not render:", Items: []string{err.Error()}, Advice: fault.Hint(err)}, nil
}

// renderFor has charts rendered for what the far side knows better.
func (t *arrival) renderFor() error {
	o, rec := &t.ImportOptions, t.bundle.Record
	if o.PullSecret != "" {
		if err := record.CheckSecret(o.PullSecret); err != nil {
			return &fault.UsageError{What: "--pull-secret: " + err.Error()}
		}
	}
	if o.Release != "" && len(rec.Charts) > 1 {
		return &fault.UsageError{
			What:   fmt.Sprintf("--release-name is for one chart, and the bundle has %d", len(rec.Charts)),
			Advice: "export with --config, which names the release of each",
		}
	}
	if o.KubeVersion != "" && !record.KubeVersion.MatchString(o.KubeVersion) {
		return &fault.UsageError{What: fmt.Sprintf("Kubernetes version %q is none", o.KubeVersion), Advice: "for example v1.34.0"}
	}
	for i := range rec.Charts {
		c := &rec.Charts[i]
		c.Release = cmp.Or(o.Release, c.Release)
		c.Namespace = cmp.Or(o.Namespace, c.Namespace)
		c.KubeVersion = cmp.Or(o.KubeVersion, c.KubeVersion)
		c.APIVersions = append(slices.Clip(c.APIVersions), o.APIVersions...)
		if err := record.CheckRelease(c.Release, c.Namespace); err != nil {
			return &fault.UsageError{What: err.Error(), Advice: "see --release-name and --namespace"}
		}
	}
	return nil
}

// media are the paths beside the first, with what was kept of others.
func (o *ImportOptions) media() []string {
	if st, err := os.Stat(o.Scratch); o.Scratch != "" && err == nil && st.IsDir() {
		return append(slices.Clone(o.More), o.Scratch)
	}
	return o.More
}

// arrived are the places that the registry took.
func arrived(places []place.Placement, images []push.Image) []place.Placement {
	refused := make(map[string]bool)
	for _, im := range images {
		refused[im.Target] = im.Refused != ""
	}
	return slices.DeleteFunc(slices.Clone(places), func(p place.Placement) bool { return refused[p.Target.String()] })
}

// putBeside has the charts that the registry does not get, or does not take, lie
// beside their values.
func (t *arrival) putBeside(charts []*emit.Chart, images []push.Image) {
	has := make(map[string]bool)
	for _, im := range images {
		if im.Kind == place.Chart && im.Refused == "" {
			has[im.Source] = true
		}
	}
	for _, c := range charts {
		if !has[c.Record.Reference] {
			c.PutBeside(t.emit())
		}
	}
}

// emit is what an import asks of the package that writes.
func (t *arrival) emit() emit.Options {
	return emit.Options{
		Registry:  t.Registry,
		Names:     t.Names,
		Access:    t.RegistryOptions,
		CA:        t.nodeCA,
		DryRun:    t.DryRun,
		OutputDir: t.OutputDir,
		RenderDir: t.RenderDir, OmitSecrets: t.OmitSecrets,

		GitOps: t.GitOps, Environments: t.Environments,

		PullSecret: t.PullSecret,
		ValueFiles: t.ValueFiles,
		Set:        t.Set,
		SetString:  t.SetString,
	}
}

// prepare finds out before the first push whether all that an import writes can
// be written.
func (t *arrival) prepare(charts []*emit.Chart) error {
	if err := emit.PrepareReceipt(t.Receipt, t.path, t.DryRun); err != nil || t.DryRun {
		return err
	}
	return emit.Check(charts, t.emit())
}

// write puts files where the user wants them, the receipt last.
func (t *arrival) write(charts []*emit.Chart, places []place.Placement, report *reports.Import) error {
	changed, err := emit.Write(charts, places, report.Images, t.emit())
	if err != nil {
		return err
	}
	report.OutputDir, report.Kept = t.OutputDir, changed
	if t.Receipt.Path == "" {
		return nil
	}
	receipt, err := emit.NewReceipt(t.path, t.bundle, charts, report.Images, t.emit())
	if err != nil {
		return err
	}
	receipt.Tool, report.Receipt = t.Receipt.Tool, t.Receipt.Path
	return emit.WriteReceipt(t.Receipt, receipt)
}

// report says what came of it.
func (t *arrival) report(charts []*emit.Chart, pushed *push.Result) *reports.Import {
	b := t.bundle
	r := &reports.Import{
		DryRun: t.DryRun, Bundle: emit.About(t.path, b), ID: b.Record.ID, Created: b.Record.Created, Vouched: b.Vouched,
		Requires: b.Record.Requires, Registry: t.Registry.String(), Parts: b.PartsReport(),
		Images: pushed.Images, Bytes: pushed.Bytes, Excluded: t.excluded,
	}
	for _, c := range charts {
		r.Charts = append(r.Charts, c.Report(t.emit()))
	}
	return r
}
