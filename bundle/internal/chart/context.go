package chart

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	helm "helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
)

// A source is a template file with what it sees.
type source struct {
	name     string // chart/charts/sub/templates/x.yaml
	file     *helm.File
	dot      map[string]any
	basePath string
}

// chartInfo is what templates see as .Chart.
type chartInfo struct {
	helm.Metadata
	IsRoot bool
}

func (c chartInfo) hash() uint64 {
	all := []string{c.part("").(string), c.part("Dependencies").(string)}
	return sum(strings.Join(all, "\xff"), 0)
}

// part: only the dependencies depend on values, and which version of a chart it is.
func (c chartInfo) part(name string) any {
	if name != "Dependencies" {
		return c.Name + " " + c.Version + " " + c.AppVersion
	}
	var on strings.Builder
	for _, d := range c.Dependencies {
		if d != nil && d.Enabled {
			on.WriteString(d.Name + " " + d.Version + "\n")
		}
	}
	return on.String()
}

// cluster is what templates see as .Capabilities.
type cluster struct{ chartutil.Capabilities }

func (c *cluster) hash() uint64 {
	return sum(c.part("KubeVersion").(string), sum(c.part("APIVersions").(string), 0))
}

func (c *cluster) part(name string) any {
	switch name {
	case "KubeVersion":
		return c.KubeVersion.Version
	case "APIVersions":
		return strings.Join(c.APIVersions, " ")
	}
	return ""
}

// contexts builds what the templates of h and its subcharts see, as Helm's engine
// does, and lists the templates in the order in which Helm parses and executes
// them.
func (e *engine) contexts(h *helm.Chart, top chartutil.Values) (root map[string]any, list []source) {
	caps, _ := top["Capabilities"].(*chartutil.Capabilities)
	shared := map[string]any{"Release": top["Release"], "Capabilities": &cluster{*caps}}
	root = e.context(h, top, shared, &list)
	slices.SortFunc(list, func(a, b source) int {
		if n := strings.Count(b.name, "/") - strings.Count(a.name, "/"); n != 0 {
			return n
		}
		return strings.Compare(b.name, a.name)
	})
	return root, list
}

func (e *engine) context(h *helm.Chart, above chartutil.Values, shared map[string]any, list *[]source) map[string]any {
	subcharts := map[string]any{}
	dot := map[string]any{
		"Chart": chartInfo{*h.Metadata, h.IsRoot()}, "Files": e.filesOf(h),
		"Release": shared["Release"], "Capabilities": shared["Capabilities"],
		"Values": chartutil.Values{}, "Subcharts": subcharts,
	}
	if h.IsRoot() {
		dot["Values"] = above["Values"]
	} else if values, err := above.Table("Values." + h.Name()); err == nil {
		dot["Values"] = values
	}
	for _, dep := range h.Dependencies() {
		subcharts[dep.Name()] = e.context(dep, dot, shared, list)
	}
	dir := h.ChartFullPath()
	library := strings.EqualFold(h.Metadata.Type, "library")
	for _, f := range h.Templates {
		if f != nil && (!library || strings.HasPrefix(filepath.Base(f.Name), "_")) {
			*list = append(*list, source{path.Join(dir, f.Name), f, dot, path.Join(dir, "templates")})
		}
	}
	return dot
}

// filesOf is the .Files of a chart, the same each time.
func (e *engine) filesOf(h *helm.Chart) chartFiles {
	if len(h.Files) == 0 {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	first := h.Files[0]
	if e.files[first] == nil {
		f := chartFiles{}
		for _, file := range h.Files {
			f[file.Name] = file.Data
		}
		e.files[first] = f
	}
	return e.files[first]
}
