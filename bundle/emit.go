package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"bundle/layout"
)

// emit writes what the far side needs: for each chart its values and, where
// values do not move everything, the other ways; the list of images, old and
// new; configuration for nodes. Each file appears whole or not at all.
func (o *ImportOptions) emit(rec *Record, charts []*relocated, report *ImportReport) error {
	files := o.mirrors(rec)
	files["images.txt"] = imageList(report)
	for _, c := range charts {
		own, err := c.emitted()
		if err != nil {
			return err
		}
		for name, content := range own {
			files[filepath.Join(c.dir, name)] = content
		}
	}
	if err := writeFiles(o.OutputDir, files); err != nil || o.RenderDir == "" {
		return err
	}
	resources := make(map[string][]byte)
	for _, c := range charts {
		for name, content := range c.resources() {
			resources[filepath.Join(c.dir, name)] = content
		}
	}
	return writeFiles(o.RenderDir, resources)
}

// emitted are the files of one chart, by name below its folder.
func (c *relocated) emitted() (map[string][]byte, error) {
	files := map[string][]byte{"values.yaml": c.values, "rewrite.map": c.rewriteFile()}
	if len(c.record.Values) > 0 {
		given, err := c.given()
		if err != nil {
			return nil, err
		}
		files["values.given.yaml"] = given
	}
	if !slices.ContainsFunc(c.left, func(l LeftFinding) bool { return l.Target != "" }) {
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

// writeFiles writes files below dir, and nowhere else: links that stand there
// already, and lead out of it, are not followed.
func writeFiles(dir string, files map[string][]byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range sortedKeys(files) {
		if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := writeSynced(filepath.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	return nil
}

// imageList is one line a reference: old, new, digest.
func imageList(r *ImportReport) []byte {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, im := range r.Images {
		fmt.Fprintf(t, "%s\t%s\t%s\n", im.Source, im.Target, im.Digest)
	}
	t.Flush() //nolint:errcheck // a bytes.Buffer takes everything
	return b.Bytes()
}

// checkOutput finds out before anything is pushed whether there is room for the
// files, and whether links would lead them elsewhere.
func (o *ImportOptions) checkOutput(charts []*relocated) error {
	below := []string{"nodes", "nodes/containerd", "nodes/containerd/certs.d", "nodes/registries.conf.d"}
	var dirs []string
	for _, c := range charts {
		dirs = append(dirs, c.dir, filepath.Join(c.dir, "kustomize"))
	}
	if err := checkBelow(o.OutputDir, append(below, dirs...)); err != nil {
		return err
	}
	if o.RenderDir != "" {
		if err := checkBelow(o.RenderDir, dirs); err != nil {
			return err
		}
	}
	return checkRoom(o.OutputDir)
}

// checkBelow requires that names are folders below dir, if they are there.
func checkBelow(dir string, names []string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	defer root.Close()
	for _, name := range names {
		st, err := root.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && st.IsDir() {
			continue
		}
		return &UsageError{
			What:   fmt.Sprintf("output folder %s: %s in it is no folder, or leads out of it", dir, name),
			Advice: "remove it, or choose another folder",
		}
	}
	return nil
}

// roomForReports is what reports and values files take at most, but for charts
// of a size that nobody has seen.
const roomForReports = 256 << 10

// checkRoom finds out whether files can be written below dir, before anything is
// pushed: it makes one, has room reserved for it, and takes it away again. No
// block is written. dir need not be there.
func checkRoom(dir string) error {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		f, err := os.CreateTemp(at, ".bundle-*")
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
		err = layout.Reserve(f, roomForReports)
		if err = errors.Join(err, f.Close(), os.Remove(f.Name())); err != nil {
			return fmt.Errorf("output folder: %w", err)
		}
		return nil
	}
}
