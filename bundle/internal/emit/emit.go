// Package emit makes and writes what an import leaves for people: for each chart
// the values that move it, proved by rendering with them; other ways for what
// values do not move; lists, configuration for nodes, receipts.
//
// The contract: values are read back from the text that is written before they
// are believed; whatever still points outside is a [Left] with its reason.
//
//	charts, err := emit.Relocate(ctx, b, names, o)
//	err = emit.Write(b.Record, charts, images, o)
package emit

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"bundle/bundle/internal/disk"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/record"
)

// Write writes what the far side needs: for each chart its values and, where
// values do not move everything, the other ways; the list of images, old and
// new; configuration for nodes. Each file appears whole or not at all.
func Write(rec *record.Record, charts []*Chart, images []push.Image, o Options) error {
	files := o.mirrors(rec)
	files["images.txt"] = imageList(images)
	for _, c := range charts {
		own, err := c.emitted()
		if err != nil {
			return err
		}
		for name, content := range own {
			files[filepath.Join(c.dir, name)] = content
		}
	}
	if err := disk.WriteAll(o.OutputDir, files); err != nil || o.RenderDir == "" {
		return err
	}
	resources := make(map[string][]byte)
	for _, c := range charts {
		for name, content := range c.resources() {
			resources[filepath.Join(c.dir, name)] = content
		}
	}
	return disk.WriteAll(o.RenderDir, resources)
}

// emitted are the files of one chart, by name below its folder.
func (c *Chart) emitted() (map[string][]byte, error) {
	files := map[string][]byte{"values.yaml": c.Values, "rewrite.map": c.rewriteFile()}
	if c.beside {
		files[c.Record.Label()+".tgz"] = c.Chart.Archive()
	}
	if len(c.Record.Values) > 0 {
		given, err := c.given()
		if err != nil {
			return nil, err
		}
		files["values.given.yaml"] = given
	}
	if !slices.ContainsFunc(c.Left, func(l Left) bool { return l.Target != "" }) {
		return files, nil
	}
	k, err := c.kustomization()
	if err != nil {
		return nil, err
	}
	for name, content := range k {
		files[filepath.Join("kustomize", name)] = content
	}
	return files, nil
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
	below := []string{"nodes", "nodes/containerd", "nodes/containerd/certs.d", "nodes/registries.conf.d"}
	var dirs []string
	for _, c := range charts {
		dirs = append(dirs, c.dir, filepath.Join(c.dir, "kustomize"))
	}
	if err := disk.CheckBelow(o.OutputDir, append(below, dirs...)); err != nil {
		return err
	}
	if o.RenderDir != "" {
		if err := disk.CheckBelow(o.RenderDir, dirs); err != nil {
			return err
		}
	}
	return disk.CheckRoom(o.OutputDir)
}
