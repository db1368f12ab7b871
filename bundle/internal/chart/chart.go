package chart

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	helm "helm.sh/helm/v3/pkg/chart"
	"sigs.k8s.io/yaml"

	"bundle/bundle/internal/child"
	"bundle/bundle/internal/written"
)

// Chart is a loaded chart. It is immutable and safe for concurrent use.
type Chart struct {
	helm    *helm.Chart // never handed to Helm's mutating functions: see clone
	archive []byte
	prov    []byte
	source  string
	fetched []Fetched

	engineOnce sync.Once
	engine     *engine // for lenient renders

	speechOnce sync.Once
	speech     speech

	childOnce sync.Once
	child     *child.Client // that renders the chart

	docs    docCache
	schemas sync.Map // first byte of a schema file → *schema
}

// lenient returns the engine for lenient renders.
func (c *Chart) lenient() *engine {
	c.engineOnce.Do(func() { c.engine = newEngine() })
	return c.engine
}

// Name is the chart's name.
func (c *Chart) Name() string { return c.helm.Name() }

// Version is the chart's version.
func (c *Chart) Version() string { return c.helm.Metadata.Version }

// AppVersion is the version of the application, as Chart.yaml says it; it may
// be empty.
func (c *Chart) AppVersion() string { return c.helm.Metadata.AppVersion }

// library tells whether the chart is a library chart, which cannot be
// installed or rendered alone.
func (c *Chart) library() bool { return strings.EqualFold(c.helm.Metadata.Type, "library") }

// Source says where the chart was loaded from: a path or a URL, empty for a
// chart from Open.
func (c *Chart) Source() string { return c.source }

// Fetched lists what Load fetched over the network for the chart: itself, where
// it came from there, and its dependencies.
func (c *Chart) Fetched() []Fetched { return c.fetched }

// Archive is the chart as a .tgz: the original bytes of an archive, otherwise
// a deterministic package. The caller must not change it.
func (c *Chart) Archive() []byte { return c.archive }

// Prov is the provenance file that came with the archive, or nil.
func (c *Chart) Prov() []byte { return c.prov }

// ConfigJSON is Chart.yaml as JSON: the config blob of a chart in an OCI
// registry (Helm's HIP-6).
func (c *Chart) ConfigJSON() ([]byte, error) {
	b, err := json.Marshal(c.helm.Metadata)
	if err != nil {
		return nil, fmt.Errorf("encode metadata of chart %s: %w", c.Name(), err)
	}
	return b, nil
}

// DefaultValues returns a copy of the chart's own values.yaml, without those
// of its dependencies.
func (c *Chart) DefaultValues() map[string]any { return copyMap(c.helm.Values) }

// TemplateFile is one file of a chart's templates folder.
type TemplateFile struct {
	Name string // as in Manifest.Template: chart/charts/sub/templates/x.yaml
	Path string // values path of the chart it belongs to: "" for the root, "sub" or "sub.deeper"
	Text string
	// Library is set when the file belongs to a library chart, whose helpers
	// see the values of the chart that calls them.
	Library bool
}

// Templates lists the template files of the chart and of its dependencies,
// each dependency once for every alias it is declared under.
func (c *Chart) Templates() []TemplateFile {
	var all []TemplateFile
	eachDependency(c.helm, c.helm.Name(), "", func(h *helm.Chart, dir, path string) {
		for _, t := range h.Templates {
			all = append(all, TemplateFile{
				Name: dir + "/" + t.Name, Path: path, Text: string(t.Data),
				Library: strings.EqualFold(h.Metadata.Type, "library"),
			})
		}
	})
	return all
}

// Files lists the other files of the chart and of its dependencies that templates
// can read, each under the name that it has in the chart. Documentation is left
// out.
func (c *Chart) Files() []TemplateFile {
	var all []TemplateFile
	eachDependency(c.helm, c.helm.Name(), "", func(h *helm.Chart, dir, path string) {
		for _, f := range h.Files {
			if !strings.HasSuffix(f.Name, ".md") {
				all = append(all, TemplateFile{Name: dir + "/" + f.Name, Path: path, Text: string(f.Data)})
			}
		}
	})
	return all
}

// eachDependency calls f for h and everything below it, with the folder that
// Helm names templates after and the path of its values. A dependency that is
// declared under several aliases is visited under each of them.
func eachDependency(h *helm.Chart, dir, path string, f func(h *helm.Chart, dir, path string)) {
	f(h, dir, path)
	for _, dep := range h.Dependencies() {
		for _, name := range dependencyNames(h, dep.Name()) {
			sub := name
			if path != "" {
				sub = path + "." + name
			}
			eachDependency(dep, dir+"/charts/"+name, sub, f)
		}
	}
}

// dependencyNames lists the names under which parent uses the dependency.
func dependencyNames(parent *helm.Chart, name string) []string {
	var names []string
	for _, d := range parent.Metadata.Dependencies {
		if d == nil || d.Name != name {
			continue
		}
		n := name
		if d.Alias != "" {
			n = d.Alias
		}
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return []string{name}
	}
	return names
}

// clone copies everything that chartutil changes: metadata, values and the
// tree of dependencies. File contents are shared.
func clone(h *helm.Chart) *helm.Chart {
	md := *h.Metadata
	md.Dependencies = make([]*helm.Dependency, 0, len(h.Metadata.Dependencies))
	for _, d := range h.Metadata.Dependencies {
		if d == nil {
			continue
		}
		dep := *d
		dep.Tags = slices.Clone(d.Tags)
		dep.ImportValues, _ = Clone(d.ImportValues).([]any)
		md.Dependencies = append(md.Dependencies, &dep)
	}
	if h.Metadata.Dependencies == nil {
		md.Dependencies = nil
	}
	c := &helm.Chart{
		Raw: h.Raw, Metadata: &md, Lock: h.Lock, Templates: h.Templates,
		Values: copyMap(h.Values), Schema: h.Schema, Files: h.Files,
	}
	for _, dep := range h.Dependencies() {
		c.AddDependency(clone(dep))
	}
	return c
}

// sortDependencies puts subcharts into a fixed order: Helm's loader walks a
// map.
func sortDependencies(h *helm.Chart) {
	deps := slices.Clone(h.Dependencies())
	sort.SliceStable(deps, func(i, j int) bool {
		a, b := deps[i].Metadata, deps[j].Metadata
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return a.Version < b.Version
	})
	h.SetDependencies(deps...)
	for _, d := range deps {
		sortDependencies(d)
	}
}

// imageAnnotations are the annotations by which chart authors list images, each
// a YAML list of maps with an image key.
var imageAnnotations = []string{"artifacthub.io/images", "helm.sh/images", "images"}

// AnnotatedImages lists the references that Chart.yaml and the Chart.yaml of
// every dependency name in annotations, sorted, each once. Dependencies that
// values may disable are included; see [Output.AnnotatedImages].
func (c *Chart) AnnotatedImages() []string { return annotatedImages(c.helm) }

func annotatedImages(h *helm.Chart) []string {
	set := map[string]bool{}
	eachDependency(h, "", "", func(h *helm.Chart, _, _ string) {
		for _, key := range imageAnnotations {
			var list []struct {
				Image string `json:"image"`
			}
			// An annotation is free text; one that is no such list names no image.
			if yaml.Unmarshal([]byte(h.Metadata.Annotations[key]), &list) != nil {
				continue
			}
			for _, e := range list {
				if r, ok := written.Parse(strings.TrimSpace(e.Image)); ok {
					set[r.String()] = true
				}
			}
		}
	})
	images := make([]string, 0, len(set))
	for i := range set {
		images = append(images, i)
	}
	sort.Strings(images)
	return images
}
