package bundle

import (
	"context"
	"errors"
	"time"

	"bundle/bundle/internal/emit"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/progress"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/remote"
	"bundle/bundle/internal/trust"
)

// ImportOptions say where a bundle goes.
type ImportOptions struct {
	More             []string // further files, folders and mount points, where the bundle is in parts
	Registry         place.Registry
	Trust            *trust.Trust
	KeepRegistryHost bool   // HOST/ghcr.io/org/app instead of HOST/org/app
	SkipCharts       bool   // push images only, and derive no values
	DryRun           bool   // check, compare and derive, but write nothing anywhere
	OutputDir        string // where values files and reports go
	Receipt          emit.ReceiptOptions
	PullSecret       string // name of the secret the nodes pull with; set wherever a chart takes one
	RenderDir        string // where the rendered manifests go, one file a resource; empty: nowhere
	ValueFiles       []string
	Set, SetString   []string
	Jobs             int   // transfers at once; 0: DefaultJobs
	ChunkSize        int64 // largest body of a request that uploads, in bytes; 0: no limit
	RegistryOptions  RegistryOptions
	Progress         progress.Reporter
}

// An ImportReport says what was verified, pushed and written.
type ImportReport struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	trust.Vouched
	Registry  string             `json:"registry"`
	Images    []push.Image       `json:"images"`
	Charts    []emit.ChartReport `json:"charts,omitempty"`
	Bytes     push.Bytes         `json:"bytes"`
	OutputDir string             `json:"outputDir,omitempty"` // empty after a dry run
	Receipt   string             `json:"receipt,omitempty"`   // where it was written

	Parts   *open.PartsReport  `json:"parts,omitempty"`   // of a bundle in parts: what was there
	Missing *open.MissingError `json:"missing,omitempty"` // what is still to be brought; then nothing but blobs was pushed
}

// Import checks a bundle, pushes what the registry lacks, and writes for each
// chart the values file with which Helm pulls everything from there, proved by
// rendering the chart with it.
//
// All that can fail without writing is done first: signature, structure,
// collisions of names, values, credentials. References that values cannot move
// do not stop it: they are in the report, and the error is an *IncompleteError
// beside a valid report.
//
// Of a bundle in parts, path and o.More may have some and not all. Then the blobs
// that are there are pushed, and the error is a *MissingError beside a valid
// report: the same call with other media goes on, since the registry knows what it
// has.
func Import(ctx context.Context, path string, o ImportOptions) (*ImportReport, error) {
	if o.Jobs <= 0 {
		o.Jobs = DefaultJobs
	}
	o.Progress = progress.OrSilent(o.Progress)
	b, err := open.File(ctx, path, o.Trust, o.More...)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	client, err := remote.New(o.RegistryOptions)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	names := place.NewNames(b.Record, o.Registry, o.KeepRegistryHost)
	var charts []*emit.Chart
	if !o.SkipCharts {
		if charts, err = emit.Relocate(ctx, b, names, o.emit()); err != nil {
			return nil, err
		}
	}
	places, err := place.All(b, names, emit.Seen(charts), !o.SkipCharts)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(path, charts); err != nil {
		return nil, err
	}
	report := importReport(b, charts, o)
	p := &push.Pusher{Client: client, Bundle: b, Jobs: o.Jobs, Chunk: o.ChunkSize, Pr: o.Progress}
	report.Images, report.Bytes, err = p.Run(ctx, places, o.DryRun)
	if errors.As(err, &report.Missing) {
		return report, err
	}
	if err != nil {
		return nil, err
	}
	if !o.DryRun {
		if err := o.write(path, b, charts, report); err != nil {
			return nil, err
		}
	}
	return report, emit.Incomplete(charts, "besides values there are, in the output folder: rewrite.map for `bundle postrender`,\n"+
		"kustomize/ for `kubectl kustomize`, and nodes/ for the container runtime of each node")
}

// emit is what the use case asks of the package that writes.
func (o *ImportOptions) emit() emit.Options {
	return emit.Options{
		Registry:         o.Registry,
		KeepRegistryHost: o.KeepRegistryHost,
		Access:           o.RegistryOptions,
		OutputDir:        o.OutputDir,
		RenderDir:        o.RenderDir,
		PullSecret:       o.PullSecret,
		ValueFiles:       o.ValueFiles,
		Set:              o.Set,
		SetString:        o.SetString,
	}
}

// prepare finds out before the first push whether all that an import writes can
// be written.
func (o *ImportOptions) prepare(path string, charts []*emit.Chart) error {
	if err := o.Receipt.Prepare(path, o.DryRun); err != nil || o.DryRun {
		return err
	}
	return emit.Check(charts, o.emit())
}

// write puts files where the user wants them, the receipt last.
func (o *ImportOptions) write(path string, b *open.Bundle, charts []*emit.Chart, report *ImportReport) error {
	if err := emit.Write(b.Record, charts, report.Images, o.emit()); err != nil {
		return err
	}
	report.OutputDir = o.OutputDir
	if o.Receipt.Path == "" {
		return nil
	}
	receipt, err := emit.NewReceipt(path, b, charts, report.Images, o.emit())
	if err != nil {
		return err
	}
	receipt.Tool, report.Receipt = o.Receipt.Tool, o.Receipt.Path
	return o.Receipt.Write(receipt)
}

func importReport(b *open.Bundle, charts []*emit.Chart, o ImportOptions) *ImportReport {
	r := &ImportReport{ID: b.Record.ID, Created: b.Record.Created, Vouched: b.Vouched, Registry: o.Registry.String(), Parts: b.PartsReport()}
	for _, c := range charts {
		r.Charts = append(r.Charts, c.Report(o.emit()))
	}
	return r
}
