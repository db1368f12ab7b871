// Package emit makes and writes what an import leaves for people: for each chart
// the values that move it, proved by rendering with them; other ways for what
// values do not move; lists, configuration for nodes, receipts.
//
// The contract: values are read back from the text that is written before they
// are believed; whatever still points outside is a [Left] with its reason, and with
// the ways that were proved to move it.
//
//	charts, err := emit.Relocate(ctx, b, names, o)
//	places, err := place.All(b, names, emit.Seen(charts), true)
//	emit.Ways(charts, places, o)
//	changed, err := emit.Write(charts, places, images, o)
package emit

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"text/tabwriter"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/push"
)

// Write writes what the far side needs: for each chart its values and, where
// values do not move everything, the other ways; the list of images, old and
// new; configuration for nodes, for what the registry has at places. Each file
// appears whole or not at all. What an earlier import wrote into the folders, and
// this one does not, is taken away; names of such files that somebody changed are
// returned, and they stay.
func Write(charts []*Chart, places []place.Placement, images []push.Image, o Options) (changed []string, err error) {
	files := nodeFiles(o.mirrors(places))
	files["images.txt"] = disk.File{Content: imageList(images)}
	rendered := make(map[string]disk.File)
	for _, c := range charts {
		own, err := c.emitted(o)
		if err != nil {
			return nil, err
		}
		for name, file := range own {
			files[filepath.Join(c.dir, name)] = file
		}
		if c.postRendered() {
			files[pluginName] = disk.File{Content: []byte(pluginFile)}
		}
		if o.RenderDir != "" {
			for name, file := range c.resources(o.OmitSecrets) {
				rendered[filepath.Join(c.dir, name)] = file
			}
		}
	}
	if o.OutputDir != "" && sameFolder(o.OutputDir, o.RenderDir) { // one list of what is ours
		maps.Copy(files, rendered)
		return replace(o.OutputDir, files)
	}
	if changed, err = replace(o.OutputDir, files); err != nil {
		return changed, err
	}
	more, err := replace(o.RenderDir, rendered)
	return append(changed, more...), err
}

// replace writes below dir, or nothing where there is none.
func replace(dir string, files map[string]disk.File) (changed []string, err error) {
	if dir == "" {
		return nil, nil
	}
	return disk.Replace(dir, files)
}

func sameFolder(a, b string) bool {
	first, err := os.Stat(a)
	second, err2 := os.Stat(b)
	return filepath.Clean(a) == filepath.Clean(b) || err == nil && err2 == nil && os.SameFile(first, second)
}

// emitted are the files of one chart, by name below its folder. What holds values
// that the user gave is for the user's own eyes.
func (c *Chart) emitted(o Options) (map[string]disk.File, error) {
	files := map[string]disk.File{"values.yaml": {Content: c.Values, Private: len(c.Record.Values) > 0 && hasList(c.result.Overrides)}}
	if c.postRendered() {
		files["rewrite.map"] = disk.File{Content: c.rewriteFile(o)}
	}
	if c.beside {
		files[c.Record.Label()+".tgz"] = disk.File{Content: c.Chart.Archive()}
	}
	if len(c.Record.Values) > 0 {
		given, err := c.given()
		if err != nil {
			return nil, err
		}
		files["values.given.yaml"] = disk.File{Content: given, Private: true}
	}
	more, err := c.gitOpsFiles(o)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, more)
	if !c.any(WayKustomize) && (!o.gitOps(Kustomize) || c.unbuildable != "") {
		return files, nil
	}
	k, err := c.kustomization()
	if err != nil {
		return nil, err
	}
	for name, file := range k {
		files[filepath.Join("kustomize", name)] = file
	}
	return files, nil
}

// hasList tells whether values carry a list: it is the whole of one, with what the
// user gave in it.
func hasList(v any) bool {
	switch v := v.(type) {
	case []any:
		return true
	case map[string]any:
		for _, below := range v {
			if hasList(below) {
				return true
			}
		}
	}
	return false
}

// imageList is one line a reference that the registry has: old, new, digest.
func imageList(images []push.Image) []byte {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, im := range images {
		if im.Refused != "" {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", im.Source, im.Target, im.Digest)
	}
	t.Flush() //nolint:errcheck // a bytes.Buffer takes everything
	return b.Bytes()
}

// Check finds out before anything is pushed whether there is room for the
// files, and whether links would lead them elsewhere.
func Check(charts []*Chart, o Options) error {
	below := []string{plugins, filepath.Dir(pluginName)}
	for _, dir := range []string{"", "containerd", "containerd/certs.d", "registries.conf.d", "certs.d", "k3s", "rke2", "openshift"} {
		below = append(below, filepath.Join(nodesDir, dir))
	}
	var dirs []string
	for _, c := range charts {
		for _, below := range []string{"", "kustomize", Flux, ArgoCD, "overlays"} {
			dirs = append(dirs, filepath.Join(c.dir, below))
		}
	}
	for _, out := range []struct {
		dir   string
		below []string
	}{{o.OutputDir, append(below, dirs...)}, {o.RenderDir, dirs}} {
		if out.dir == "" {
			continue
		}
		if err := disk.CheckBelow(out.dir, out.below); err != nil {
			return err
		}
		if err := disk.CheckRoom(out.dir); err != nil {
			return err
		}
	}
	return nil
}
