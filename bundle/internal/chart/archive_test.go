package chart

import (
	"archive/tar"
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart/loader"
)

func TestOpen(t *testing.T) {
	b := tgz(t, "app", files{
		"Chart.yaml":      "apiVersion: v2\nname: app\nversion: 1.2.3\nappVersion: '9'\ndescription: d\nkubeVersion: '>=1.20'\nannotations: {a: b}\n",
		"values.yaml":     "a: {b: 1}\n",
		"charts/sub.tgz":  string(tgz(t, "sub", files{"Chart.yaml": chartYAML("sub")})),
		"charts/_old.tgz": "ignored, as Helm does",
	})
	c, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if c.Name() != "app" || c.Version() != "1.2.3" || c.AppVersion() != "9" || c.library() {
		t.Errorf("metadata: %+v", c.helm.Metadata)
	}
	if !bytes.Equal(c.Archive(), b) || c.Prov() != nil || c.Source() != "" {
		t.Error("archive, provenance or source are not the given ones")
	}
	if d := cmp.Diff(map[string]any{"a": map[string]any{"b": 1.0}}, c.DefaultValues()); d != "" {
		t.Error(d)
	}
	config, err := c.ConfigJSON()
	if want := `{"name":"app","version":"1.2.3","description":"d","apiVersion":"v2","appVersion":"9","annotations":{"a":"b"},"kubeVersion":"\u003e=1.20"}`; err != nil || string(config) != want {
		t.Errorf("config: %s, %v", config, err)
	}
	if deps := c.helm.Dependencies(); len(deps) != 1 || deps[0].Name() != "sub" {
		t.Errorf("dependencies: %v", deps)
	}
}

func TestOpenHostile(t *testing.T) {
	meta := tar.Header{Typeflag: tar.TypeReg, Name: "app/Chart.yaml", Mode: 0o644, Size: int64(len(chartYAML("app")))}
	with := func(h ...tar.Header) []byte {
		bodies := map[string]string{"app/Chart.yaml": chartYAML("app")}
		for _, e := range h {
			if e.Typeflag == tar.TypeReg {
				bodies[e.Name] = strings.Repeat("x", int(e.Size))
			}
		}
		return tarGz(t, append([]tar.Header{meta}, h...), bodies)
	}
	nested := tgz(t, "app", files{"Chart.yaml": chartYAML("app")})
	for range maxNesting + 1 {
		nested = tgz(t, "app", files{"Chart.yaml": chartYAML("app"), "charts/x.tgz": string(nested)})
	}
	file := func(name string) tar.Header {
		return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: 1}
	}
	tests := []struct {
		name    string
		archive []byte
		message string
	}{
		{"no gzip", []byte("PK\x03\x04"), "not a gzip file"},
		{"nothing", nil, "not a gzip file"},
		{"no tar", gzipped(t, []byte("text")), "unexpected EOF"},
		{"truncated", with()[:60], "EOF"},
		{"empty", tarGz(t, nil, nil), "no files"},
		{"no Chart.yaml", tgz(t, "app", files{"values.yaml": ""}), "Chart.yaml file is missing"},
		{"malformed Chart.yaml", tgz(t, "app", files{"Chart.yaml": "a: ["}), "cannot load Chart.yaml"},
		{"no name", tgz(t, "app", files{"Chart.yaml": "apiVersion: v2\nversion: 1.0.0\n"}), "chart.metadata.name is required"},
		{"empty dependency", tgz(t, "app", files{"Chart.yaml": chartYAML("app", "dependencies: [null]")}), "dependenc"},
		{"symbolic link", with(tar.Header{Typeflag: tar.TypeSymlink, Name: "app/l", Linkname: "/etc/passwd"}), "no regular file"},
		{"hard link", with(tar.Header{Typeflag: tar.TypeLink, Name: "app/l", Linkname: "app/Chart.yaml"}), "no regular file"},
		{"device", with(tar.Header{Typeflag: tar.TypeChar, Name: "app/d"}), "no regular file"},
		{"parent folder", with(file("app/../../x")), "leads out of the chart"},
		{"parent folder of Windows", with(file(`app\..\..\x`)), "leads out of the chart"},
		{"absolute name", with(file("/app/x")), "leads out of the chart"},
		{"drive", with(file("app/c:/x")), "illegally named"},
		{"archives in archives", nested, "nest deeper"},
		{"one large file", with(tar.Header{Typeflag: tar.TypeReg, Name: "app/l", Mode: 0o644, Size: 6 << 20}), "larger than the maximum"},
		{"damaged subchart", tgz(t, "app", files{"Chart.yaml": chartYAML("app"), "charts/s.tgz": "x"}), "not a gzip file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.archive)
			var e *ArchiveError
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.message) {
				t.Errorf("error is %v, want one with %q", err, tt.message)
			}
		})
	}
}

// A small archive that decompresses endlessly must not be read to its end.
func TestOpenBomb(t *testing.T) {
	h := tar.Header{Typeflag: tar.TypeReg, Name: "app/Chart.yaml", Mode: 0o644, Size: 1 << 40}
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(gzipped(t, buf.Bytes())); !errors.Is(err, errTooLarge) {
		t.Errorf("error is %v", err)
	}
}

// Limits count over all archives within an archive, and over what is no file.
func TestLimits(t *testing.T) {
	inner := tgz(t, "sub", files{"Chart.yaml": chartYAML("sub"), "x": strings.Repeat("x", 3000)})
	outer := tgz(t, "app", files{"Chart.yaml": chartYAML("app"), "charts/a.tgz": string(inner), "charts/b.tgz": string(inner)})
	var dir bytes.Buffer
	if err := tar.NewWriter(&dir).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "app/"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		archive []byte
		limit   budget
		want    error
	}{
		{"within", outer, budget{size: 10_000, files: 7, parsed: 1000}, nil},
		{"too large", outer, budget{size: 6_000, files: 7, parsed: 1000}, errTooLarge},
		{"too many files", outer, budget{size: 10_000, files: 6, parsed: 1000}, errTooMany},
		{"too much to parse", outer, budget{size: 10_000, files: 7, parsed: 10}, errTooMuch},
		{"folders without end", gzipped(t, bytes.Repeat(dir.Bytes(), 1000)), budget{size: 10_000, files: 7, parsed: 1000}, errTooMany},
	}
	for _, tt := range tests {
		if err := tt.limit.check(tt.archive, 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestPackIsDeterministic(t *testing.T) {
	src := files{
		"Chart.yaml":               chartYAML("app", "dependencies: [{name: b, version: 1.2.3}, {name: a, version: 1.2.3}]"),
		"Chart.lock":               "dependencies: []\ndigest: x\ngenerated: '2024-01-01T00:00:00Z'\n",
		"values.yaml":              "# kept as it is\na: 1\n",
		"values.schema.json":       "{}",
		"templates/t.yaml":         "v: 1",
		"templates/a.yaml":         "v: 2",
		"README.md":                "r",
		"files/x":                  "x",
		".helmignore":              "*.secret\n/ignored/\n",
		"a.secret":                 "s",
		"ignored/y":                "y",
		"charts/a/Chart.yaml":      chartYAML("a"),
		"charts/b/Chart.yaml":      chartYAML("b"),
		"charts/b/templates/_.tpl": "",
	}
	load := func() *Chart {
		c, err := Load(t.Context(), Source{Ref: folder(t, t.TempDir(), src)}, LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := load()
	for range 5 { // Helm's loader walks a map
		if !bytes.Equal(first.Archive(), load().Archive()) {
			t.Fatal("two packages of one folder differ")
		}
	}
	entries, err := loader.LoadArchiveFiles(bytes.NewReader(first.Archive()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
		if e.Name == "values.yaml" && string(e.Data) != src["values.yaml"] {
			t.Errorf("values.yaml changed: %s", e.Data)
		}
	}
	want := []string{
		"Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json", "templates/a.yaml", "templates/t.yaml",
		".helmignore", "README.md", "files/x",
		"charts/a/Chart.yaml", "charts/b/Chart.yaml", "charts/b/templates/_.tpl",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(tgz(f, "app", files{"Chart.yaml": chartYAML("app"), "templates/t.yaml": "image: a/b:1"}))
	f.Add(tgz(f, "app", files{
		"Chart.yaml":     chartYAML("app", "dependencies: [{name: sub, version: '*', alias: x, import-values: [a]}]"),
		"charts/sub.tgz": string(tgz(f, "sub", files{"Chart.yaml": chartYAML("sub"), "values.yaml": "exports: {a: {b: 1}}"})),
	}))
	f.Add(tgz(f, "app", files{"Chart.yaml": "apiVersion: v1\nname: app\nversion: 0.1.0\n", "requirements.yaml": "dependencies: [{name: x}]"}))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Open(b)
		if err != nil {
			return
		}
		packed, err := pack(c.helm)
		if err != nil {
			return // a chart that Helm reads but would not write
		}
		again, err := Open(packed)
		if err != nil {
			t.Fatalf("the package of a readable chart is not readable: %v", err)
		}
		if again.Name() != c.Name() || again.Version() != c.Version() {
			t.Errorf("%s-%s became %s-%s", c.Name(), c.Version(), again.Name(), again.Version())
		}
		_, _ = c.Coalesced(nil)
		c.AnnotatedImages()
	})
}

// FuzzParts reaches the loader behind the compression.
func FuzzParts(f *testing.F) {
	f.Add("dependencies: [{name: x, version: 1, condition: a.b}]", "a: {b: true}", "{}", "v: {{ .Values.a }}")
	f.Add("type: library", "null", `{"type": "object"}`, "{{ define \"a\" }}{{ end }}")
	f.Add("annotations: {images: '- image: a/b:1'}", "[]", "[", "{{ genCA \"a\" 1 }}")
	f.Fuzz(func(t *testing.T, meta, values, schema, template string) {
		c, err := Open(tgz(t, "app", files{
			"Chart.yaml": chartYAML("app", meta), "values.yaml": values, "values.schema.json": schema, "templates/t.yaml": template,
		}))
		if err != nil {
			return
		}
		if strings.Contains(template, "range") || strings.Contains(template, "template") || strings.Contains(template, "include") || strings.Contains(template, "repeat") || strings.Contains(template, "until") {
			return // may run for ever, as templates do
		}
		for _, o := range []RenderOptions{{}, {Strict: true}, {StubKeys: true}} {
			if out, err := c.Render(t.Context(), o); err == nil {
				out.Findings()
			}
		}
	})
}
