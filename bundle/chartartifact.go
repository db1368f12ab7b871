package bundle

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/remote"
)

// Media types of a chart in a registry (Helm, "Use OCI-based registries").
const (
	helmConfigType     = "application/vnd.cncf.helm.config.v1+json"
	helmChartType      = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	helmProvenanceType = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// maxChart bounds a packaged chart. Helm keeps it in a Secret of 1 MiB at most
// once it is installed.
const maxChart = 20 << 20

// A ChartSpec is a chart and the inputs to render it with.
type ChartSpec struct {
	Ref         string         // folder, .tgz, oci://host/path[:version], or a name in Repo
	Repo        string         // URL of an HTTP chart repository
	Version     string         // exact, or a constraint where Repo is given; empty: newest
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

// A chartArtifact is a chart as it lies in the bundle: a Helm OCI manifest
// with everything it names.
type chartArtifact struct {
	chart   *chart.Chart
	root    ocispec.Descriptor
	content tree
	record  ChartRecord
}

// loadChart reads the chart that spec names, wherever it is.
func loadChart(ctx context.Context, c *remote.Client, spec ChartSpec, caFile string) (*chartArtifact, error) {
	files, err := readValues(spec.ValueFiles)
	if err != nil {
		return nil, err
	}
	values, err := mergeOnto(spec.Values, files, spec.Set, spec.SetString)
	if err != nil {
		return nil, err
	}
	var a *chartArtifact
	if strings.HasPrefix(spec.Ref, "oci://") {
		a, err = pullChart(ctx, c, spec.Ref, spec.Version)
	} else {
		a, err = packChart(ctx, c, spec, caFile)
	}
	if err != nil {
		return nil, err
	}
	a.record.Name, a.record.Version = a.chart.Name(), a.chart.Version()
	a.record.AppVersion = a.chart.AppVersion()
	a.record.Digest = a.root.Digest
	a.record.Values, a.record.Set = values, exactIntegers(values)
	a.record.Release = orDefault(spec.Release, a.chart.Name())
	a.record.Namespace = orDefault(spec.Namespace, "default")
	if err := checkRelease(a.record.Release, a.record.Namespace); err != nil {
		return nil, &UsageError{What: err.Error(), Advice: "see --release-name and --namespace"}
	}
	a.record.KubeVersion = orDefault(spec.KubeVersion, chart.DefaultKubeVersion)
	if !kubeVersion.MatchString(a.record.KubeVersion) {
		return nil, &UsageError{What: fmt.Sprintf("Kubernetes version %q is none", a.record.KubeVersion), Advice: "for example v1.34.0"}
	}
	a.record.APIVersions = spec.APIVersions
	a.record.SkipTests = spec.SkipTests
	return a, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// renderOptions are the inputs every render of the chart uses, here and on the
// far side, with further values files laid over them.
func (r ChartRecord) renderOptions(over ...chart.ValuesFile) (chart.RenderOptions, error) {
	values, err := mergeOnto(r.Values, over, r.Set, nil)
	return chart.RenderOptions{
		Values:      values,
		ReleaseName: r.Release,
		Namespace:   r.Namespace,
		KubeVersion: r.KubeVersion,
		APIVersions: r.APIVersions,
	}, err
}

// checkName requires a name and version that charts can have in a registry: they
// become a repository and a tag.
func (r ChartRecord) checkName() error {
	name := "charts/" + r.Name
	ref, err := ParseReference(localHost + "/" + name + ":" + chartTag(r.Version))
	if err != nil || ref.Path != name || ref.Tag != chartTag(r.Version) || strings.Contains(r.Name, "/") {
		return fmt.Errorf("%q in version %q is no chart name: registries take lower-case letters, digits, dots and dashes", r.Name, r.Version)
	}
	return nil
}

// checkRelease requires names that Kubernetes and Helm take: they become
// folders and words of a command.
func checkRelease(release, namespace string) error {
	if !dnsName.MatchString(release) || len(release) > 53 {
		return fmt.Errorf("release name %q is not up to 53 lower-case letters, digits, dots and dashes", release)
	}
	if !dnsName.MatchString(namespace) || len(namespace) > 63 {
		return fmt.Errorf("namespace %q is not up to 63 lower-case letters, digits and dashes", namespace)
	}
	return nil
}

// dnsName is a DNS subdomain (RFC 1123).
var dnsName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// kubeVersion is what a Kubernetes version begins with; Helm takes what follows
// for what it is.
var kubeVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+`)

// label names the chart in findings and messages.
func (r ChartRecord) label() string { return r.Name + "-" + r.Version }

// packChart loads a chart that has no manifest yet and makes one, the same
// each time.
func packChart(ctx context.Context, c *remote.Client, spec ChartSpec, caFile string) (*chartArtifact, error) {
	ch, err := chart.Load(ctx, chart.Source{
		Ref:      spec.Ref,
		Repo:     spec.Repo,
		Version:  spec.Version,
		Username: spec.Username,
		Password: spec.Password,
	}, chart.LoadOptions{CAFile: caFile, UserAgent: "bundle", OCI: func(ctx context.Context, ref, version string) ([]byte, error) {
		a, err := pullChart(ctx, c, ref, version)
		if err != nil {
			return nil, err
		}
		return a.chart.Archive(), nil
	}})
	if err != nil {
		return nil, err
	}
	config, err := ch.ConfigJSON()
	if err != nil {
		return nil, err
	}
	a := &chartArtifact{chart: ch, content: make(tree)}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    a.content.put(helmConfigType, config),
		Layers:    []ocispec.Descriptor{a.content.put(helmChartType, ch.Archive())},
		Annotations: map[string]string{
			ocispec.AnnotationTitle:   ch.Name(),
			ocispec.AnnotationVersion: ch.Version(),
		},
	}
	if prov := ch.Prov(); len(prov) > 0 {
		m.Layers = append(m.Layers, a.content.put(helmProvenanceType, prov))
	}
	if a.root, err = a.content.putJSON(m.MediaType, m); err != nil {
		return nil, err
	}
	a.record.Source = ch.Source()
	a.record.Reference = localHost + "/charts/" + ch.Name() + ":" + chartTag(ch.Version())
	return a, nil
}

// pullChart reads a chart from a registry and keeps its manifest bytes, so
// that signatures over its digest stay valid.
func pullChart(ctx context.Context, c *remote.Client, raw, version string) (*chartArtifact, error) {
	ref, err := chartReference(ctx, c, raw, version)
	if err != nil {
		return nil, err
	}
	root, b, err := c.Resolve(ctx, ref.pull())
	if err != nil {
		return nil, err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("chart %s: manifest: %w", ref, err)
	}
	if m.Config.MediaType != helmConfigType {
		return nil, fmt.Errorf("chart %s: this is not a Helm chart but %s", ref, orDefault(m.Config.MediaType, root.MediaType))
	}
	a := &chartArtifact{root: root, content: tree{root.Digest: b}}
	var archive []byte
	var total int64
	for _, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if total += d.Size; total > maxChart {
			return nil, fmt.Errorf("chart %s: its blobs have more than %d MiB", ref, maxChart>>20)
		}
		blob, err := fetchBlob(ctx, c, ref.Repository(), d, maxChart)
		if err != nil {
			return nil, err
		}
		a.content[d.Digest] = blob
		if d.MediaType == helmChartType {
			archive = blob
		}
	}
	if archive == nil {
		return nil, fmt.Errorf("chart %s: its manifest has no layer of type %s", ref, helmChartType)
	}
	if a.chart, err = chart.Open(archive); err != nil {
		return nil, fmt.Errorf("chart %s: %w", ref, err)
	}
	a.record.Source = "oci://" + ref.String()
	a.record.Reference = ref.String()
	return a, nil
}

// chartReference completes oci://host/path/name with the version wanted, or
// the newest there is.
func chartReference(ctx context.Context, c *remote.Client, raw, version string) (Reference, error) {
	named := strings.TrimPrefix(raw, "oci://")
	if host, _, _ := strings.Cut(named, "/"); strings.Contains(host, "@") {
		return Reference{}, &UsageError{
			What:   "chart oci://" + named[strings.LastIndexByte(host, '@')+1:] + ": a user name and password do not belong into a reference",
			Advice: "log in with docker login, podman login or helm registry login",
		}
	}
	ref, err := ParseReference(named)
	if err != nil {
		return Reference{}, err
	}
	if strings.HasSuffix(named, ":"+ref.Tag) || ref.Digest != "" {
		if version != "" && ref.Tag != chartTag(version) {
			return Reference{}, &UsageError{What: fmt.Sprintf("chart %s: --version %s contradicts the reference", raw, version)}
		}
		return ref, nil
	}
	tags, err := c.Tags(ctx, ref.Repository())
	if err != nil {
		return Reference{}, err
	}
	ref.Tag, err = newestVersion(tags, version)
	if err != nil {
		return Reference{}, fmt.Errorf("chart %s: %w", raw, err)
	}
	return ref, nil
}

// image is the chart as something that signatures and the like are attached to;
// nil for one that no registry has.
func (a *chartArtifact) image() (*image, error) {
	ref, err := ParseReference(a.record.Reference)
	if err != nil || ref.Host == localHost {
		return nil, err
	}
	return &image{ref: ref, source: a.root, root: a.root, content: a.content}, nil
}

// chartTag is the tag of a chart version: + is not allowed in a tag, and Helm
// writes _ for it.
func chartTag(version string) string { return strings.ReplaceAll(version, "+", "_") }

// newestVersion returns the tag of the highest version that satisfies the
// constraint; without one, of the highest that is not a pre-release.
func newestVersion(tags []string, constraint string) (string, error) {
	c, err := semver.NewConstraint(orDefault(constraint, "*"))
	if err != nil {
		return "", &UsageError{What: fmt.Sprintf("version %q: %v", constraint, err)}
	}
	var newest *semver.Version
	tag := ""
	for _, t := range tags {
		v, err := semver.StrictNewVersion(strings.ReplaceAll(t, "_", "+"))
		if err == nil && c.Check(v) && (newest == nil || v.GreaterThan(newest)) {
			newest, tag = v, t
		}
	}
	if newest == nil {
		return "", fmt.Errorf("none of its %d tags is a version that satisfies %q", len(tags), orDefault(constraint, "*"))
	}
	return tag, nil
}
