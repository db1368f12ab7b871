package emit

import (
	"path"
	"strings"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/nodes"
	"bundle/bundle/internal/place"
)

// mirrors is how the nodes' container runtimes find in the target what they pull by
// the names of the source.
func (o Options) mirrors(places []place.Placement) *nodes.Config {
	r := nodes.Registry{
		Host: o.Registry.Host, Plain: o.Access.Plain(o.Registry.Host), Insecure: o.Access.Insecure(o.Registry.Host), CA: o.CA,
	}
	var moves []nodes.Move
	for _, p := range places {
		if ref, err := name.Parse(p.Source); err == nil && p.Kind == place.Image {
			moves = append(moves, nodes.Move{Host: ref.Host, Path: ref.Path, To: p.Target.Path})
		}
	}
	return nodes.New(r, o.mirrorPrefix, moves)
}

// mirrorPrefix is the path in the target below which a mirror of host finds what it
// is asked for. Flat names are below none.
func (o Options) mirrorPrefix(host string) (string, bool) {
	switch o.Names {
	case place.Flat:
		return "", false
	case place.Host:
		return path.Join(o.Registry.Prefix, strings.ReplaceAll(host, ":", "-")), true
	}
	return o.Registry.Prefix, true
}

// nodeFiles are the files of a configuration, below the output folder.
func nodeFiles(c *nodes.Config) map[string]disk.File {
	files := make(map[string]disk.File)
	for _, f := range c.Files() {
		files[path.Join(nodesDir, f.Path)] = disk.File{Content: f.Content}
	}
	return files
}

// nodesDir is where they are.
const nodesDir = "nodes"
