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
	for _, c := range charts {
		if err := writeFiles(filepath.Join(o.RenderDir, c.dir), c.resources()); err != nil {
			return err
		}
	}
	return nil
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

func writeFiles(dir string, files map[string][]byte) error {
	for _, name := range sortedKeys(files) {
		if err := writeFile(filepath.Join(dir, name), files[name]); err != nil {
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

// writeFile replaces path in one step, and has it on the disk before it returns.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return writeSynced(path, content)
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
