package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// emit writes what the far side needs to install the charts: values files, and
// the list of images, old and new. Each file appears whole or not at all.
func emit(dir string, charts []*relocated, report *ImportReport) error {
	for i, c := range charts {
		out := &report.Charts[i]
		files := map[string][]byte{}
		if len(c.record.Values) > 0 {
			b, err := c.given()
			if err != nil {
				return err
			}
			files["values.given.yaml"] = b
		}
		files["values.yaml"] = c.values(report.Registry, out.Helm)
		for _, name := range sortedKeys(files) {
			if err := writeFile(filepath.Join(dir, c.dir, name), files[name]); err != nil {
				return err
			}
		}
	}
	return writeFile(filepath.Join(dir, "images.txt"), imageList(report))
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

// writeFile replaces path in one step.
func writeFile(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
