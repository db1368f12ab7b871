// Package source finds what a bundle is to carry: charts, wherever they are, the
// images that they name, and what a configuration file lists.
//
// The contract: a chart is rendered with the values given, as helm would; its
// manifest is kept byte for byte where a registry has one, and made the same
// each time where none has.
//
//	c, err := source.Load(ctx, client, source.ChartSpec{Ref: "./chart"}, "")
//	findings, err := source.FindImages(ctx, c)
package source

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
)

// A ChartSpec is a chart and the inputs to render it with.
type ChartSpec struct {
	Ref         string         // folder, .tgz, oci://host/path[:version], or a name in Repo
	Repo        string         // URL of an HTTP chart repository
	Version     string         // or a constraint; empty: the newest; a folder or a .tgz has to be of it
	Username    string         // for Repo
	Password    string         //
	Values      map[string]any // below the files
	ValueFiles  []string       // as helm's -f
	Set         []string       // as helm's --set
	SetString   []string       // as helm's --set-string
	Release     string         // empty: the chart's name
	Namespace   string         // empty: default
	KubeVersion string         // empty: chart.DefaultKubeVersion
	APIVersions []string       // beyond those of a plain cluster
	SkipTests   bool           // leave out what only helm test runs
}

// A Chart is a chart as it lies in the bundle: a Helm OCI manifest
// with everything it names.
type Chart struct {
	Chart   *chart.Chart
	Root    ocispec.Descriptor
	Content image.Tree
	Record  record.Chart
	Fetched []chart.Fetched // what came over the network for it
}

// Load reads the chart that spec names, wherever it is.
func Load(ctx context.Context, c *remote.Client, spec ChartSpec) (*Chart, error) {
	files, err := ReadValues(ctx, spec.ValueFiles)
	if err != nil {
		return nil, err
	}
	values, err := chart.MergeOnto(spec.Values, nil, files, spec.Set, spec.SetString)
	if err != nil {
		return nil, err
	}
	var a *Chart
	if strings.HasPrefix(spec.Ref, "oci://") {
		a, err = pullChart(ctx, c, spec.Ref, spec.Version)
	} else {
		a, err = packChart(ctx, c, spec)
	}
	if err != nil {
		return nil, err
	}
	a.Record.Name, a.Record.Version = a.Chart.Name(), a.Chart.Version()
	a.Record.AppVersion = a.Chart.AppVersion()
	a.Record.Digest = a.Root.Digest
	a.Record.Values, a.Record.Set = values, record.ExactIntegers(values)
	a.Record.Release = cmp.Or(spec.Release, a.Chart.Name())
	a.Record.Namespace = cmp.Or(spec.Namespace, "default")
	if err := record.CheckRelease(a.Record.Release, a.Record.Namespace); err != nil {
		return nil, &fault.UsageError{What: err.Error(), Advice: "see --release-name and --namespace"}
	}
	a.Record.KubeVersion = cmp.Or(spec.KubeVersion, chart.DefaultKubeVersion)
	if !record.KubeVersion.MatchString(a.Record.KubeVersion) {
		return nil, &fault.UsageError{What: fmt.Sprintf("Kubernetes version %q is none", a.Record.KubeVersion), Advice: "for example v1.34.0"}
	}
	a.Record.APIVersions = spec.APIVersions
	a.Record.SkipTests = spec.SkipTests
	return a, nil
}

// packChart loads a chart that has no manifest yet and makes one, the same
// each time.
func packChart(ctx context.Context, c *remote.Client, spec ChartSpec) (*Chart, error) {
	ch, err := chart.Load(ctx, chart.Source{
		Ref:      spec.Ref,
		Repo:     spec.Repo,
		Version:  spec.Version,
		Username: spec.Username,
		Password: spec.Password,
	}, chart.LoadOptions{Fetcher: fetcher{c}})
	if err != nil {
		return nil, err
	}
	config, err := ch.ConfigJSON()
	if err != nil {
		return nil, err
	}
	a := &Chart{Chart: ch, Content: make(image.Tree)}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    a.Content.Put(record.HelmConfigType, config),
		Layers:    []ocispec.Descriptor{a.Content.Put(record.HelmChartType, ch.Archive())},
		Annotations: map[string]string{
			ocispec.AnnotationTitle:   ch.Name(),
			ocispec.AnnotationVersion: ch.Version(),
		},
	}
	if prov := ch.Prov(); len(prov) > 0 {
		m.Layers = append(m.Layers, a.Content.Put(record.HelmProvenanceType, prov))
	}
	if a.Root, err = a.Content.PutJSON(m.MediaType, m); err != nil {
		return nil, err
	}
	a.Fetched = ch.Fetched()
	if a.Record.Source, err = sourceName(ch.Source()); err != nil {
		return nil, err
	}
	a.Record.Reference = name.LocalHost + "/charts/" + ch.Name() + ":" + record.Tag(ch.Version())
	return a, nil
}

// sourceName is where a chart came from, as the record says it: of a file, its name
// alone. Where it lies on this machine is nobody's business, and the same chart
// gives the same bytes from wherever it is named.
func sourceName(source string) (string, error) {
	if strings.Contains(source, "://") {
		return source, nil
	}
	abs, err := filepath.Abs(source)
	return filepath.Base(abs), err
}

// fetcher is a client as chart wants it.
type fetcher struct{ client *remote.Client }

func (f fetcher) Get(ctx context.Context, q chart.Request) ([]byte, error) {
	return f.client.Get(ctx, remote.Request(q))
}

func (f fetcher) Pull(ctx context.Context, q chart.PullRequest) (chart.Pulled, error) {
	if !q.Named {
		ctx = remote.Guard(ctx)
	}
	a, err := pullChart(ctx, f.client, q.Ref, q.Version)
	if err != nil {
		return chart.Pulled{}, err
	}
	return chart.Pulled{Archive: a.Chart.Archive(), From: a.Record.Source}, nil
}

// pullChart reads a chart from a registry and keeps its manifest bytes, so
// that signatures over its digest stay valid.
func pullChart(ctx context.Context, c *remote.Client, raw, version string) (*Chart, error) {
	ref, root, b, err := resolveChart(ctx, c, raw, version)
	if err != nil {
		return nil, err
	}
	m, err := chartManifest(ref, root, b)
	if err != nil {
		return nil, err
	}
	a := &Chart{Root: root, Content: image.Tree{root.Digest: b}}
	var archive []byte
	var total int64
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if total += d.Size; total > chart.MaxArchive {
			return nil, fmt.Errorf("chart %s: its blobs have more than %d MiB", ref, chart.MaxArchive>>20)
		}
		blob, err := image.FetchBlob(ctx, c, ref.Repository(), d, chart.MaxArchive)
		if err != nil {
			return nil, err
		}
		a.Content[d.Digest] = blob
		if record.IsChartLayer(d.MediaType) {
			archive = blob
		}
	}
	if a.Chart, err = chart.Open(archive); err != nil {
		return nil, fmt.Errorf("chart %s: %w", ref, err)
	}
	a.Record.Source = "oci://" + ref.String()
	a.Record.Reference = ref.String()
	a.Fetched = []chart.Fetched{chart.NewFetched(a.Chart, a.Record.Source)}
	return a, nil
}

// chartManifest reads the manifest of a chart as Helm does: by its media types.
func chartManifest(ref name.Reference, root ocispec.Descriptor, b []byte) (m ocispec.Manifest, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("chart %s: manifest: %w", ref, err)
	}
	if m.Config.MediaType != record.HelmConfigType {
		return m, notChart(ref, cmp.Or(m.ArtifactType, m.Config.MediaType, root.MediaType))
	}
	if !slices.ContainsFunc(m.Layers, func(d ocispec.Descriptor) bool { return record.IsChartLayer(d.MediaType) }) {
		return m, fmt.Errorf("chart %s: its manifest has no layer of type %s", ref, record.HelmChartType)
	}
	return m, nil
}

// notChart says what stands in the place of a chart.
func notChart(ref name.Reference, is string) error {
	switch is {
	case ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json":
		return &fault.UsageError{What: fmt.Sprintf("chart %s: this is a container image, not a Helm chart", ref), Advice: "bundle export --image " + ref.String() + " takes it"}
	}
	return &fault.UsageError{What: fmt.Sprintf("chart %s: this is not a Helm chart but %s", ref, is), Advice: "bundle export --image " + ref.String() + " takes any artifact"}
}

// image is the chart as something that signatures and the like are attached to;
// nil for one that no registry has.
func (a *Chart) image() (*image.Image, error) {
	ref, err := name.Parse(a.Record.Reference)
	if err != nil || ref.Host == name.LocalHost {
		return nil, err
	}
	return &image.Image{Ref: ref, Source: a.Root, Root: a.Root, Content: a.Content}, nil
}

// Holders is what referrers are looked for: images, and charts that came
// from a registry.
func Holders(images []*image.Image, charts []*Chart) ([]*image.Image, error) {
	all := slices.Clone(images)
	for _, c := range charts {
		im, err := c.image()
		if err != nil {
			return nil, err
		}
		if im != nil {
			all = append(all, im)
		}
	}
	return all, nil
}
