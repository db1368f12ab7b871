package emit

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/nodes"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/relocate"
	"bundle/bundle/internal/rewrite"
)

// What can move a reference that values do not.
const (
	WayPostRender  = "post-renderer"           // bundle postrender, between Helm and the cluster
	WayPostRender3 = "post-renderer of Helm 3" // where what Helm 4 hands on is broken
	WayPostRender4 = "post-renderer of Helm 4" // hooks, which Helm 3 does not hand on
	WayKustomize   = "kustomize"               // the rendered folder
	WayMirror      = "mirror"                  // configuration of the nodes' container runtime, whichever it is
	WayMirrorOther = "mirror (not hosts.toml)" // the same, but not containerd's, which knows no repositories
)

// Ways finds out what moves the references that values do not, and proves each way:
// the manifests are rewritten and read again, and a way counts for a reference whose
// position reads the target then. The nodes' configuration counts where the registry
// will serve what a node asks for; places are what it will have.
func Ways(charts []*Chart, places []place.Placement, o Options) {
	mirrors := o.mirrors(places)
	for _, c := range charts {
		c.proveWays(mirrors, places, o)
	}
}

func (c *Chart) proveWays(mirrors *nodes.Config, places []place.Placement, o Options) {
	lines := c.rewrites()
	c.rewritten = c.output.Rewritten(func(m *chart.Manifest) string {
		out, _ := lines.Rewrite([]byte(m.Raw))
		return string(out)
	})
	c.breaks4 = c.brokenByHelm4()
	c.unbuildable = c.notForKustomize()
	for i := range c.Left {
		l := &c.Left[i]
		l.Needs = nil
		if l.Target == "" {
			continue
		}
		m := c.manifestOf(l.position)
		if reads, ok := c.rewritten.Lookup(l.position); ok && reads == l.Target && m != nil {
			l.Needs = c.rewriters(m)
		}
		l.Needs = append(l.Needs, c.mirrored(l.Raw, mirrors, places)...)
	}
	c.Values = relocate.FormatYAML(c.result, c.header(o)) // the command above them is complete now
}

// rewriters are the ways by which a manifest is rewritten before it is installed.
func (c *Chart) rewriters(m *chart.Manifest) (w []string) {
	switch hook := len(m.Hooks) > 0; {
	case !hook && c.breaks4 == "":
		w = append(w, WayPostRender)
	case !hook:
		w = append(w, WayPostRender3)
	case c.breaks4 == "":
		w = append(w, WayPostRender4)
	}
	if installs(m) && c.unbuildable == "" {
		w = append(w, WayKustomize)
	}
	return w
}

// manifestOf is the manifest that a position lies in.
func (c *Chart) manifestOf(p chart.Position) *chart.Manifest {
	for i := range c.output.Manifests {
		if m := &c.output.Manifests[i]; m.ID == p.Document {
			return m
		}
	}
	return nil
}

// brokenByHelm4 names a manifest that Helm 4 cannot hand to any post-renderer: it
// writes the items of a List apart, and an alias in one loses its anchor in another
// (helm/helm issue 32203).
func (c *Chart) brokenByHelm4() string {
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if !strings.HasSuffix(m.Kind, "List") || !strings.Contains(m.Raw, "*") {
			continue
		}
		var doc yaml.Node
		if yaml.Unmarshal([]byte(m.Raw), &doc) == nil && hasAlias(&doc) {
			return m.Template
		}
	}
	return ""
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// notForKustomize says why kustomize would refuse the rendered folder, if it would:
// it wants a kind and name for each resource, and no two alike.
func (c *Chart) notForKustomize() string {
	type id struct{ group, kind, namespace, name string }
	seen := make(map[id]bool)
	for i := range c.output.Manifests {
		m := &c.output.Manifests[i]
		if !installs(m) || strings.HasSuffix(m.Kind, "List") && m.Name == "" {
			continue
		}
		if m.Kind == "" || m.Name == "" {
			return m.Template + " has a resource without a name"
		}
		group, _, found := strings.Cut(m.APIVersion, "/")
		if !found {
			group = ""
		}
		key := id{group, m.Kind, cmp.Or(m.Namespace, "default"), m.Name}
		if seen[key] {
			return fmt.Sprintf("%s and another template have a %s %s each", m.Template, m.Kind, m.Name)
		}
		seen[key] = true
	}
	return ""
}

// mirrored are the ways by which a node that asks for a reference is served the image
// that is in the bundle for it.
func (c *Chart) mirrored(raw string, mirrors *nodes.Config, places []place.Placement) []string {
	ref, err := name.Parse(raw)
	source, inside := c.seen[raw]
	if err != nil || !inside {
		return nil
	}
	serves := func(path string, ok bool) bool {
		return ok && slices.ContainsFunc(places, func(p place.Placement) bool {
			if p.Source != source || p.Target.Path != path {
				return false
			}
			if ref.Digest != "" {
				return ref.Digest == p.Root.Digest
			}
			return ref.Tag == p.Target.Tag
		})
	}
	switch {
	case !serves(mirrors.Others(ref.Host, ref.Path)):
		return nil
	case serves(mirrors.Containerd(ref.Host, ref.Path)):
		return []string{WayMirror}
	}
	return []string{WayMirrorOther}
}

// rewrites maps every reference that values do not move, as written, to its target.
func (c *Chart) rewrites() rewrite.Map {
	m := make(rewrite.Map)
	for _, l := range c.Left {
		if l.Target != "" {
			m[l.raw] = l.Target
		}
	}
	return m
}

// references maps every reference of the chart, as written, to its target.
func (c *Chart) references() rewrite.Map {
	m := c.rewrites()
	for _, x := range c.result.Moved {
		if x.Confidence != name.Placeholder && x.Raw != "" && c.Naming.Moves(x.Raw) {
			m[x.Raw] = c.Naming.Target(x.Raw)
		}
	}
	return m
}

// any tells whether some reference is moved by one of the ways.
func (c *Chart) any(ways ...string) bool {
	return slices.ContainsFunc(c.Left, func(l Left) bool { return l.needs(ways...) })
}

func (l Left) needs(ways ...string) bool {
	return slices.ContainsFunc(l.Needs, func(w string) bool { return slices.Contains(ways, w) })
}

// postRendered tells whether a post-renderer is of use for this chart.
func (c *Chart) postRendered() bool { return c.any(WayPostRender, WayPostRender3, WayPostRender4) }

// rewriteFile is the map for `bundle postrender`, with how to use it.
func (c *Chart) rewriteFile(o Options) []byte {
	head := fmt.Sprintf(`# References of %s, old and new, that values do not move. For Helm 3 and Helm 4:
#   %s
# Helm 3 hands no hooks to post-renderers.
`, c.Record.Label(), c.helmInstall(o))
	var b []byte
	return append(append(b, head...), c.rewrites().Format()...)
}

// plugins is the folder for HELM_PLUGINS, below the output folder.
const plugins = "helm4"

// pluginFile is what Helm 4 wants before it takes a command for a post-renderer
// (helm.sh/helm/v4/internal/plugin, metadata v1). Helm 3 knows no such plugin, and
// runs the command of the same name.
const pluginFile = `apiVersion: v1
type: postrenderer/v1
name: bundle
version: 0.1.0
runtime: subprocess
runtimeConfig:
  platformCommand:
    - command: bundle
`

// pluginName is where it lies, below the output folder.
var pluginName = filepath.Join(plugins, "bundle", "plugin.yaml")
