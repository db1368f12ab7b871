package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"testing"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/source"
	"bundle/testdata/regtest"
)

// chartOf writes a chart whose archive has at least so many bytes, and returns the
// name of the file.
func chartOf(t *testing.T, size int) string {
	t.Helper()
	noise := make([]byte, size)
	rand.New(rand.NewSource(int64(size))).Read(noise)
	var b bytes.Buffer
	zw, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	tw := tar.NewWriter(zw)
	type file struct {
		name string
		data []byte
	}
	list := []file{
		{"app/Chart.yaml", []byte("apiVersion: v2\nname: app\nversion: 1.0.0\n")},
		{"app/templates/t.yaml", []byte("image: ghcr.io/acme/app:1\n")},
	}
	for i := 0; len(noise) > 0; i++ {
		n := min(len(noise), 5<<20) // Helm takes no larger file
		list = append(list, file{fmt.Sprintf("app/noise-%d.bin", i), noise[:n]})
		noise = noise[n:]
	}
	for _, f := range list {
		if err := tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "app-1.0.0.tgz")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// A chart that an export accepts is accepted by the import, and what the import
// would refuse the export does not write, whatever the size of the chart.
func TestChartsOfAllSizes(t *testing.T) {
	pub, priv := startRegistry(t), startRegistry(t)
	pushImage(t, pub, "acme/app:1", regtest.Image{Layers: []regtest.Layer{{Size: 100, Seed: 1}}})
	signer, trust := newKey(t)
	for _, size := range []int{1, 21 << 20, 101 << 20} {
		path := chartOf(t, size%(100<<20))
		if size > 100<<20 { // that it is too large is seen before it is read
			if err := os.Truncate(path, int64(size)); err != nil {
				t.Fatal(err)
			}
		}
		report, err := Export(t.Context(), ExportOptions{
			Charts: []source.ChartSpec{{Ref: path}}, Signer: signer,
			Registry: through(pub), Output: filepath.Join(t.TempDir(), "a.tar"),
		})
		if (err == nil) != (size <= 100<<20) {
			t.Errorf("%d bytes: export: %v", size, err)
		}
		if err != nil {
			continue
		}
		in := onto(priv, trust)
		in.OutputDir = t.TempDir()
		if _, err := Import(t.Context(), report.Output, in); err != nil && fault.KindOf(err) != fault.Incomplete {
			t.Errorf("%d bytes: import: %v", size, err)
		}
	}
}
