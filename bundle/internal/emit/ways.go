package emit

import (
	"fmt"
	"regexp"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/place"
)

// What can move a reference that values do not.
const (
	WayPostRender = "post-renderer" // bundle postrender, between Helm and the cluster
	WayKustomize  = "kustomize"     // an images: transformer
	WayMirror     = "mirror"        // configuration of the nodes' container runtime
)

// podImage matches the image fields that an images: transformer knows.
var podImage = regexp.MustCompile(`(^|\.)(containers|initContainers|ephemeralContainers)\[[^\]]+\]\.image$`)

// ways says what moves a reference at f. Helm v3 hands no hooks to a
// post-renderer; a transformer knows the containers of pods alone; a mirror
// serves whatever the nodes pull, but nothing that a program pulls by itself.
func (c *Chart) ways(f chart.Finding, hook bool) []string {
	var w []string
	if !hook {
		w = append(w, WayPostRender)
	}
	if podImage.MatchString(f.Path.String()) {
		w = append(w, WayKustomize)
	}
	if c.Naming.Naming == place.Flat {
		return w // see mirrors
	}
	return append(w, WayMirror)
}

// rewrites maps every reference of the chart, as written, to its target.
func (c *Chart) rewrites() RewriteMap {
	m := make(RewriteMap)
	add := func(f chart.Finding) {
		if f.Confidence != chart.Placeholder && f.Raw != "" && c.Naming.Moves(f.Raw) {
			m[f.Raw] = c.Naming.Target(f.Raw)
		}
	}
	for _, x := range c.result.Moved {
		add(x.Finding)
	}
	for _, x := range c.result.Left {
		add(x.Finding)
	}
	return m
}

// rewriteFile is the map for `bundle postrender`, with how to use it.
func (c *Chart) rewriteFile() []byte {
	head := fmt.Sprintf(`# References of %s, old and new, for what values cannot move:
#   helm install … --post-renderer bundle --post-renderer-args postrender --post-renderer-args --map=FILE
# Helm v3 does not hand hooks to post-renderers.
`, c.Record.Label())
	return append([]byte(head), c.rewrites().Format()...)
}
