package chart

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	helmengine "helm.sh/helm/v3/pkg/engine"

	"bundle/bundle/internal/child"
)

// DefaultKubeVersion is the Kubernetes version that charts are rendered for
// when none is given. Helm's own default would be v1.20.
const DefaultKubeVersion = "v1.34.0"

// maxOutput limits what one render may produce, in bytes.
const maxOutput = 256 << 20

// RenderOptions say how to render. The zero value renders the chart's defaults
// leniently.
type RenderOptions struct {
	Values      map[string]any // the user's values; never changed
	ReleaseName string         // default "release-name", as helm template
	Namespace   string         // default "default"
	KubeVersion string         // default DefaultKubeVersion
	// APIVersions are API versions that the cluster has beyond those Helm
	// knows, as helm template --api-versions takes them.
	APIVersions []string
	// Strict renders as helm install does: the values schema, the chart's
	// kubeVersion, missing dependencies, and the checks that charts make with
	// fail and required all count. Without it none of them does: it is for
	// probing.
	Strict bool
	// Checks asks only whether the chart refuses these values, as far as can be told
	// fast: schema, kubeVersion and the checks of templates count, and the output has
	// nothing in it. An error is one of a strict render too; that there is none proves
	// nothing. Ignored when Strict.
	Checks bool
	// Demands, with Checks, has the error list everything else that the chart asks for.
	Demands bool
	// StubKeys replaces key and password generation in templates by constants
	// (see keyStubs), which makes probing several times faster for some
	// charts. Ignored when Strict.
	StubKeys bool
	// SameRandom lets templates keep what they chose at random in earlier such renders,
	// where nothing else changed for them: two are easier to compare, and take less time.
	// Ignored when Strict.
	SameRandom bool
	// Occasions renders upgrades and the other occasions that templates speak of as
	// well (see When), and adds the documents with references that only those have.
	// It costs nothing for charts that speak of none.
	Occasions bool

	begins func(template string) // is called before each template that is executed
}

// Render renders the chart. It is safe for concurrent use and leaves the chart
// and the options unchanged. An error of the chart or its values is a
// *RenderError or a *DependencyError.
//
// It is done by a child of this program, where that can have one (see [Child]). A
// render that takes more than 20 seconds of the processor, two minutes, a GiB, or 300
// MiB in recursion is a *LimitError, and so is the end of a child that wanted much more at once. When ctx
// ends first, Render returns at once, and the child is ended soon.
//
// In a program without children, templates cannot be interrupted: what is given up
// goes on in the background until its template ends, and what is asked for at once,
// as in repeat of terabytes, ends the process.
func (c *Chart) Render(ctx context.Context, o RenderOptions) (*Output, error) {
	if ctx.Err() != nil {
		return nil, Stopped(ctx, c.Name())
	}
	if o.Strict || o.Checks {
		o.StubKeys = false
		if err := c.checkRenderable(); err != nil {
			return nil, err
		}
	}
	if c.library() {
		return nil, fmt.Errorf("chart %s: %w", c.Name(), ErrLibrary)
	}
	if child.Available() {
		return c.apart(ctx, o)
	}
	o.Values = copyMap(o.Values)
	return c.within(ctx, o)
}

// within renders in this process. It may change the values.
func (c *Chart) within(ctx context.Context, o RenderOptions) (*Output, error) {
	type result struct {
		out *Output
		err error
	}
	done := make(chan result, 1)
	var at atomic.Value // the template at work
	at.Store("")
	begins := o.begins
	o.begins = func(template string) {
		if at.Swap(template) != template && begins != nil {
			begins(template)
		}
	}
	go func() {
		out, err := c.render(o)
		done <- result{out, err}
	}()
	r, err := await(ctx, c.Name(), done)
	var limit *LimitError
	if errors.As(err, &limit) && limit.Template == "" && ctx.Err() == nil {
		limit.Template = at.Load().(string)
	}
	if err != nil {
		return nil, err
	}
	return r.out, r.err
}

// checkRenderable refuses what helm install refuses before it renders.
func (c *Chart) checkRenderable() error {
	missing := missingDependencies(c.helm)
	if len(missing) == 0 {
		return nil
	}
	e := &DependencyError{Chart: c.Name()}
	for _, d := range missing {
		e.Missing = append(e.Missing, MissingDependency{
			Name: d.Name, Version: d.Version, Repository: d.Repository,
			Err: errors.New("not in the charts folder"),
		})
	}
	return e
}

// missingDependencies lists what Chart.yaml declares and charts/ lacks. Like
// Helm, it compares names alone and does not ask whether values disable the
// dependency.
func missingDependencies(h *helm.Chart) []*helm.Dependency {
	var missing []*helm.Dependency
	for _, want := range h.Metadata.Dependencies {
		found := false
		for _, have := range h.Dependencies() {
			found = found || have.Name() == want.Name
		}
		if !found {
			missing = append(missing, want)
		}
	}
	return missing
}

// render does the work on a copy of the chart. With stubbed keys, a failure is
// tried again without: only then can be told whether the chart is to blame.
func (c *Chart) render(o RenderOptions) (*Output, error) {
	defer silence()()
	out, err := c.renderCopy(o)
	if err != nil && o.StubKeys {
		o.StubKeys = false
		out, err = c.renderCopy(o)
	}
	return out, err
}

func (c *Chart) renderCopy(o RenderOptions) (out *Output, err error) {
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, c.fail(fmt.Sprintf("malformed chart: %v", r), nil)
		}
	}()
	caps, err := capabilities(o)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	out = &Output{}
	var base *renderings
	switch {
	case o.Strict:
		err = c.strictly(o, caps, out)
	case o.Checks:
		out.Unread, err = c.refuses(o, caps)
		if o.Demands {
			c.demands(o, caps, err)
		}
		return out, err
	default:
		base, err = c.leniently(o, caps, out)
	}
	if err == nil && o.Occasions {
		err = c.further(o, caps, base, out)
	}
	if err != nil {
		return nil, err
	}
	if !out.bounded() {
		return nil, c.fail(fmt.Sprintf("it renders to more than %d values, or to names too long for them", maxAllNodes), nil)
	}
	out.index()
	return out, nil
}

// Limits of all documents of a render together; see maxNodes.
const (
	maxAllNodes = 4_000_000
	maxAllPaths = 256 << 20
)

// bounded tells whether the documents stay within the limits.
func (o *Output) bounded() bool {
	nodes, paths := 0, 0
	for i := range o.Manifests {
		nodes += o.Manifests[i].doc.nodes
		paths += o.Manifests[i].doc.paths
	}
	return nodes <= maxAllNodes && paths <= maxAllPaths
}

// working says which template is at work.
func (o *RenderOptions) working(template string) {
	if o.begins != nil {
		o.begins(template)
	}
}

// refuses returns the error that a strict render would end with, as far as the
// engine for probes can tell: that takes much less time, and charts that check their
// values are asked again and again. That there is none proves nothing. It checks the
// schemas, and returns what of them cannot be read here.
func (c *Chart) refuses(o RenderOptions, caps *chartutil.Capabilities) ([]UnreadSchema, error) {
	want := c.helm.Metadata.KubeVersion
	if want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.Version) {
		return nil, c.fail(fmt.Sprintf("it wants Kubernetes %s, not %s", want, caps.KubeVersion.Version), nil)
	}
	e := c.lenient()
	p, values, err := e.process(c.helm, o, caps)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	unread, err := c.checkSchema(p.chart, values)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	_, err = e.render(p.chart, values, mode{stub: true, checks: true}, o.working)
	if err != nil && !errors.Is(err, errStubbed) {
		return nil, c.engineError(err, values)
	}
	return unread, nil
}

// strictly renders by Helm's own engine, on a copy of the chart.
func (c *Chart) strictly(o RenderOptions, caps *chartutil.Capabilities, out *Output) error {
	var err error
	if out.Unread, err = c.refuses(o, caps); err != nil {
		return err
	}
	h := clone(c.helm)
	values, err := renderValues(h, o, caps)
	if err != nil {
		return c.fail(err.Error(), err)
	}
	o.working("") // nobody knows
	files, err := helmengine.Engine{}.Render(h, values)
	if err != nil {
		return c.engineError(err, values)
	}
	out.annotated = annotatedImages(h)
	size := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		if size += len(text); size > maxOutput {
			return c.tooLarge()
		}
		if strings.HasSuffix(name, notesSuffix) {
			if name == h.Name()+"/templates/"+notesSuffix {
				out.Notes = text
			}
			continue
		}
		o.working(name)
		docs := c.docs.all(text)
		for _, d := range docs {
			if d.err != nil {
				return &RenderError{
					Chart: c.Name(), Template: name, Err: d.err,
					Message: fmt.Sprintf("the rendered text is no YAML: %v", d.err),
				}
			}
		}
		out.add(name, text, docs)
	}
	return nil
}

// leniently renders by the engine for probes.
func (c *Chart) leniently(o RenderOptions, caps *chartutil.Capabilities, out *Output) (*renderings, error) {
	e := c.lenient()
	p, values, err := e.process(c.helm, o, caps)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	out.annotated = p.annotated
	all, err := e.render(p.chart, values, mode{stub: o.StubKeys, fresh: !o.SameRandom}, o.working)
	if err != nil {
		return nil, c.engineError(err, values)
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(all.byName)) {
		r := all.byName[name]
		if size += len(r.text); size > maxOutput {
			return nil, c.tooLarge()
		}
		o.working(name)
		out.add(name, r.text, r.documents(&c.docs))
	}
	return all, nil
}

func (c *Chart) engineError(err error, values chartutil.Values) *RenderError {
	e := newRenderError(c.Name(), err)
	e.nameValue(asMap(values["Values"]))
	return e
}

func (c *Chart) tooLarge() *RenderError {
	return c.fail(fmt.Sprintf("it renders to more than %d MiB", maxOutput>>20), nil)
}

// notesSuffix ends the names of notes.
const notesSuffix = "NOTES.txt"

func (c *Chart) fail(message string, err error) *RenderError {
	return &RenderError{Chart: c.Name(), Message: strings.TrimSpace(message), Err: err}
}

// capabilities describes the cluster: the given Kubernetes version, with the
// API versions of Helm's own default set, which is what helm template assumes.
func capabilities(o RenderOptions) (*chartutil.Capabilities, error) {
	version := o.KubeVersion
	if version == "" {
		version = DefaultKubeVersion
	}
	kube, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		return nil, fmt.Errorf("kubernetes version %q: %w", version, err)
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = *kube
	caps.APIVersions = append(append(chartutil.VersionSet{}, caps.APIVersions...), o.APIVersions...)
	return caps, nil
}

// renderValues resolves conditions, tags, aliases and imported values in h and
// returns what templates see.
func renderValues(h *helm.Chart, o RenderOptions, caps *chartutil.Capabilities) (chartutil.Values, error) {
	values := copyMap(o.Values)
	if values == nil {
		values = map[string]any{}
	}
	if err := chartutil.ProcessDependenciesWithMerge(h, values); err != nil {
		return nil, err
	}
	return topValues(h, values, o, caps)
}

// release says what is installed.
func (o RenderOptions) release() chartutil.ReleaseOptions {
	return chartutil.ReleaseOptions{
		Name: cmp.Or(o.ReleaseName, "release-name"), Namespace: cmp.Or(o.Namespace, "default"), Revision: 1, IsInstall: true,
	}
}

// topValues returns what templates see of a chart whose dependencies are resolved.
func topValues(h *helm.Chart, values map[string]any, o RenderOptions, caps *chartutil.Capabilities) (chartutil.Values, error) {
	// The schema is checked by checkSchema, which stays off the network.
	return chartutil.ToRenderValuesWithSchemaValidation(h, values, o.release(), caps, true)
}

// Coalesced returns the values as templates see them: the chart's defaults with
// the given values over them, those of each enabled dependency under its name
// or alias, with globals passed down. The result belongs to the caller.
func (c *Chart) Coalesced(values map[string]any) (m map[string]any, err error) {
	defer silence()()
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, c.fail(fmt.Sprintf("malformed chart: %v", r), nil)
		}
	}()
	h := clone(c.helm)
	v := copyMap(values)
	if v == nil {
		v = map[string]any{}
	}
	if err := chartutil.ProcessDependenciesWithMerge(h, v); err != nil {
		return nil, c.fail(err.Error(), err)
	}
	all, err := chartutil.CoalesceValues(h, v)
	if err != nil {
		return nil, c.fail(err.Error(), err)
	}
	return copyMap(all), nil
}
