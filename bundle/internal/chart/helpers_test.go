package chart

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files are the contents of a chart by name, relative to the chart's folder.
type files map[string]string

// chartYAML is a minimal Chart.yaml with more lines appended.
func chartYAML(name string, more ...string) string {
	return "apiVersion: v2\nname: " + name + "\nversion: 1.2.3\n" + strings.Join(more, "\n") + "\n"
}

// tgz packs the files below the folder name, in sorted order.
func tgz(t testing.TB, name string, f files) []byte {
	t.Helper()
	var entries []tar.Header
	bodies := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(f)) {
		n := path.Join(name, k)
		entries = append(entries, tar.Header{Typeflag: tar.TypeReg, Name: n, Mode: 0o644, Size: int64(len(f[k]))})
		bodies[n] = f[k]
	}
	return tarGz(t, entries, bodies)
}

func tarGz(t testing.TB, entries []tar.Header, bodies map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, h := range entries {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(bodies[h.Name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// folder writes the files below dir.
func folder(t testing.TB, dir string, f files) string {
	t.Helper()
	for name, text := range f {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// open opens a chart made of files; Chart.yaml is added when missing.
func open(t testing.TB, f files) *Chart {
	t.Helper()
	f = maps.Clone(f)
	if f["Chart.yaml"] == "" {
		f["Chart.yaml"] = chartYAML("app")
	}
	c, err := Open(tgz(t, "app", f))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// render renders and fails the test on error.
func render(t testing.TB, c *Chart, o RenderOptions) *Output {
	t.Helper()
	out, err := c.Render(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// manifest renders a chart whose one template is the text, with braces in it
// left alone.
func manifest(t testing.TB, text string) *Output {
	t.Helper()
	c := open(t, files{"m.yaml": text, "templates/t.yaml": `{{ .Files.Get "m.yaml" }}`})
	return render(t, c, RenderOptions{})
}

// set parses --set style values.
func set(t testing.TB, sets ...string) map[string]any {
	t.Helper()
	v, err := MergeValues(ValueSources{Set: sets})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	if _, err := zw.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// inTemplate reads a scalar of the first object of a kind without a name in
// templates/t.yaml.
func inTemplate(out *Output, kind string, keys ...string) (string, bool) {
	var p Path
	for _, k := range keys {
		p = p.Key(k)
	}
	return out.Lookup(Document{Template: "app/templates/t.yaml", Kind: kind}.At(p))
}
