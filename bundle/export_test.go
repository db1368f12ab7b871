package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/image"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// Equal content under two names lies in the bundle once, and is fetched once.
func TestExportSameDigestTwice(t *testing.T) {
	pub := startRegistry(t)
	d := pushImage(t, pub, "acme/a:1", small(1))
	pushImage(t, pub, "acme/b:2", small(1))
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Images: []string{"docker.io/acme/a:1", "ghcr.io/acme/b:2"}, Signer: signer, Registry: through(pub),
	})
	b := mustOpen(t, r.Output, trust)
	want := map[string]digest.Digest{"docker.io/acme/a:1": d.Digest, "ghcr.io/acme/b:2": d.Digest}
	if got := namesOf(b); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("index.json names %v, want %v", got, want)
	}
	if r.Blobs != 2 {
		t.Errorf("%d blobs to fetch, want the 2 layers", r.Blobs)
	}
	asked := make(map[string]int)
	for _, q := range pub.Log.Requests() {
		if q.Class == regtest.Blob && q.Method == "GET" {
			asked[filepath.Base(q.Path)]++
		}
	}
	for _, l := range imageLayers(t, b, d.Digest) {
		if asked[l.String()] != 1 {
			t.Errorf("layer %s was fetched %d times", l, asked[l.String()])
		}
	}

	// Both names arrive.
	priv := startRegistry(t)
	mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/a:1", d.Digest)
	holds(t, priv, "apps/acme/b:2", d.Digest)
}

func imageLayers(t testing.TB, b *open.Bundle, d digest.Digest) []digest.Digest {
	t.Helper()
	var m ocispec.Manifest
	content, err := b.Reader.ReadBlob(d, 1<<20)
	if err == nil {
		err = json.Unmarshal(content, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	var layers []digest.Digest
	for _, l := range m.Layers {
		layers = append(layers, l.Digest)
	}
	return layers
}

// Two charts that use one image carry it once, and the record says where each
// of them does.
func TestExportChartsShareImages(t *testing.T) {
	pub := startRegistry(t)
	app := pushImage(t, pub, "acme/app:1", small(1))
	pushImage(t, pub, "acme/side:1", small(2))
	other := strings.ReplaceAll(podChart, "name: app\nversion", "name: other\nversion")
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{
			{Ref: regtest.Folder(t, podChart)},
			{Ref: regtest.Folder(t, other), Set: []string{"sidecar=acme/side:1"}, Release: "second"},
		},
		Signer: signer, Registry: through(pub),
	})
	var names []string
	for _, im := range r.Images {
		names = append(names, im.Reference)
	}
	if want := []string{"ghcr.io/acme/app:1", "ghcr.io/acme/side:1"}; !slices.Equal(names, want) {
		t.Fatalf("images %v, want %v", names, want)
	}
	var charts []string
	for _, f := range r.Images[0].Found {
		charts = append(charts, f.Chart)
	}
	slices.Sort(charts)
	if want := []string{"app-1.0.0", "other-1.0.0"}; !slices.Equal(charts, want) {
		t.Errorf("%s was found in %v, want %v", names[0], charts, want)
	}

	priv := startRegistry(t)
	o := onto(priv, trust)
	o.OutputDir = t.TempDir()
	mustImport(t, r.Output, o)
	wantValues(t, o.OutputDir, "app/values.yaml", "second/values.given.yaml", "second/values.yaml")
	holds(t, priv, "apps/acme/app:1", app.Digest)
	holds(t, priv, "apps/charts/app:1.0.0", r.Charts[0].Digest)
	holds(t, priv, "apps/charts/other:1.0.0", r.Charts[1].Digest)
}

// One chart installed several times is one chart in the bundle and several
// sets of values; no set overwrites another.
func TestExportChartTwice(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	pushImage(t, pub, "acme/app:2", small(2))
	dir := regtest.Folder(t, podChart)
	signer, trust := newKey(t)
	for _, tc := range []struct {
		name     string
		releases []string
		folders  []string
	}{
		{"two releases", []string{"blue", "green"}, []string{"blue", "green"}},
		{"one release twice", []string{"blue", "blue"}, []string{"blue", "blue-2"}},
		{"a name that looks like a second", []string{"blue", "blue", "blue-2"}, nil},
		{"the other way round", []string{"blue-2", "blue", "blue"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := ExportOptions{Signer: signer, Registry: through(pub)}
			for i, release := range tc.releases {
				o.Charts = append(o.Charts, source.ChartSpec{Ref: dir, Release: release, Set: []string{fmt.Sprintf("replicas=%d", i+1)}})
			}
			r := mustExport(t, o)
			b := mustOpen(t, r.Output, trust)
			if got := namesOf(b); len(got) != 2 || got["bundle.invalid/charts/app:1.0.0"] != r.Charts[0].Digest {
				t.Errorf("index.json names %v", got)
			}
			in := onto(startRegistry(t), trust)
			in.OutputDir = t.TempDir()
			report := mustImport(t, r.Output, in)
			seen := make(map[string]bool)
			for i, c := range report.Charts {
				given := regtest.ReadFile(t, in.OutputDir, c.Files[0])
				if want := fmt.Sprintf("replicas: %d\n", i+1); !strings.HasSuffix(given, want) {
					t.Errorf("chart %d: %s holds %q, want %q at the end", i, c.Files[0], given, want)
				}
				dir := filepath.Dir(c.Files[0])
				if seen[dir] {
					t.Errorf("chart %d: folder %s is that of another", i, dir)
				}
				seen[dir] = true
				if tc.folders != nil && dir != tc.folders[i] {
					t.Errorf("chart %d: folder %s, want %s", i, dir, tc.folders[i])
				}
			}
		})
	}
}

// Two charts that are not the same, but claim one name and version, cannot
// both travel: index.json has each name once.
func TestExportChartNameTwice(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	signer, _ := newKey(t)
	out := t.TempDir()
	_, err := Export(context.Background(), ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart)}, {Ref: regtest.Folder(t, podChart+"          # changed\n")}},
		Output: filepath.Join(out, "x.tar"), Signer: signer, Registry: through(pub),
	})
	if err == nil {
		_, err := open.File(t.Context(), filepath.Join(out, "x.tar"), trust.TrustAnyone())
		t.Fatalf("the export succeeded; opening what it wrote: %v", err)
	}
	wantError(t, err, fault.Usage, "app", "1.0.0")
	regtest.WantFiles(t, out)
}

// A chart from a registry keeps its manifest and with it its digest, its
// annotations and its provenance.
func TestExportKeepsChartDigest(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	archive := podArchive(t)
	prov := []byte("-----BEGIN PGP SIGNED MESSAGE-----\n")
	root, err := pub.PushChart(context.Background(), "charts/app:1.0.0", archive, prov)
	if err != nil {
		t.Fatal(err)
	}
	signer, trust := newKey(t)
	for _, tc := range []struct {
		ref, version, name string
		images             []string
	}{
		{"oci://ghcr.io/charts/app", "1.0.0", "ghcr.io/charts/app:1.0.0", nil},
		{"oci://ghcr.io/charts/app", "", "ghcr.io/charts/app:1.0.0", nil},
		{"oci://ghcr.io/charts/app", ">= 1.0, < 2", "ghcr.io/charts/app:1.0.0", nil},
		{"oci://ghcr.io/charts/app:1.0.0", "", "ghcr.io/charts/app:1.0.0", nil},
		{"oci://ghcr.io/charts/app@" + root.Digest.String(), "", "ghcr.io/charts/app@" + root.Digest.String(), nil},
		// named once as a chart and once as an artifact
		{"oci://ghcr.io/charts/app:1.0.0", "", "ghcr.io/charts/app:1.0.0", []string{"oci://ghcr.io/charts/app:1.0.0"}},
	} {
		t.Run(tc.ref+" "+tc.version, func(t *testing.T) {
			r := mustExport(t, ExportOptions{
				Charts: []source.ChartSpec{{Ref: tc.ref, Version: tc.version}}, Images: tc.images, Signer: signer, Registry: through(pub),
			})
			if c := r.Charts[0]; c.Digest != root.Digest || c.Reference != tc.name || c.Source != "oci://"+tc.name {
				t.Errorf("chart %s from %s, digest %s; want %s, digest %s", c.Reference, c.Source, c.Digest, tc.name, root.Digest)
			}
			priv := startRegistry(t)
			mustImport(t, r.Output, onto(priv, trust))
			holds(t, priv, "apps/charts/app:1.0.0", root.Digest)
			if got, err := priv.Blob(context.Background(), "apps/charts/app", digest.FromBytes(prov)); err != nil || string(got) != string(prov) {
				t.Errorf("provenance %q, %v", got, err)
			}
		})
	}
}

// A reference with a digest is bundled by it, whatever its tag says today.
func TestExportPinned(t *testing.T) {
	pub := startRegistry(t)
	pinned := pushImage(t, pub, "acme/app:1", small(1))
	moved := pushImage(t, pub, "acme/app:1", small(2))
	by := "ghcr.io/acme/app@" + pinned.Digest.String()
	both := "ghcr.io/acme/app:1@" + pinned.Digest.String()
	signer, trust := newKey(t)
	for _, tc := range []struct {
		image, target string
	}{
		{by, "apps/acme/app@" + pinned.Digest.String()},
		{both, "apps/acme/app:1"},
	} {
		t.Run(tc.image, func(t *testing.T) {
			r := mustExport(t, ExportOptions{Images: []string{tc.image}, Signer: signer, Registry: through(pub)})
			b := mustOpen(t, r.Output, trust)
			if got := namesOf(b); len(got) != 1 || got[tc.image] != pinned.Digest {
				t.Errorf("index.json names %v, want %s", got, tc.image)
			}
			if r.Images[0].SourceDigest != "" {
				t.Errorf("source digest %s, though nothing changed it", r.Images[0].SourceDigest)
			}
			priv := startRegistry(t)
			mustImport(t, r.Output, onto(priv, trust))
			holds(t, priv, tc.target, pinned.Digest)
			holds(t, priv, "apps/acme/app@"+pinned.Digest.String(), pinned.Digest)
		})
	}
	// The tag alone is what it is today, and both fit beside each other.
	r := mustExport(t, ExportOptions{Images: []string{by, "ghcr.io/acme/app:1"}, Signer: signer, Registry: through(pub)})
	priv := startRegistry(t)
	mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/app:1", moved.Digest)
	holds(t, priv, "apps/acme/app@"+pinned.Digest.String(), pinned.Digest)
}

// Images that only Chart.yaml names travel too.
func TestExportAnnotatedImages(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	extra := pushImage(t, pub, "acme/extra:3", small(3))
	chart := strings.Replace(podChart, "version: 1.0.0\n", `version: 1.0.0
annotations:
  artifacthub.io/images: |
    - name: extra
      image: ghcr.io/acme/extra:3
    - name: app
      image: ghcr.io/acme/app:1
`, 1)
	signer, trust := newKey(t)
	r := mustExport(t, ExportOptions{Charts: []source.ChartSpec{{Ref: regtest.Folder(t, chart)}}, Signer: signer, Registry: through(pub)})
	if len(r.Images) != 2 || r.Images[1].Reference != "ghcr.io/acme/extra:3" {
		t.Fatalf("images %+v", r.Images)
	}
	if got := r.Images[1].Found[0].Where(); got != "app-1.0.0: Chart.yaml" {
		t.Errorf("seen in %s", got)
	}
	priv := startRegistry(t)
	mustImport(t, r.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/extra:3", extra.Digest)
}

// What a chart writes where an image should be, and nobody can pull, is told
// with its place; the bundle is whole all the same.
func TestExportUnparsable(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	signer, trust := newKey(t)
	for _, tc := range []struct{ name, image string }{
		{"upper case", "acme/UPPER:1"},
		{"bad tag", "acme/side:-1"},
		{"bad digest", "acme/side@sha256:12"},
		{"digest that is not sha256", "acme/side@sha512:" + strings.Repeat("ab", 64)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "x.tar")
			r, err := Export(context.Background(), ExportOptions{
				Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Set: []string{"sidecar=" + tc.image}}},
				Output: out, Signer: signer, Registry: through(pub),
			})
			wantError(t, err, fault.Incomplete, "ghcr.io/"+tc.image, "app/templates/deployment.yaml", "spec.template.spec.containers[sidecar].image")
			if r == nil {
				t.Fatal("no report beside the error")
			}
			if len(r.Unresolved) != 1 || r.Unresolved[0].Raw != "ghcr.io/"+tc.image {
				t.Errorf("unresolved %+v", r.Unresolved)
			}
			if len(r.Images) != 1 || r.Images[0].Reference != "ghcr.io/acme/app:1" {
				t.Errorf("images %+v", r.Images)
			}
			if _, err := Verify(context.Background(), out, trust, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// A platform choice keeps the attestation of what it keeps, and only that; the
// record knows both digests.
func TestExportPlatform(t *testing.T) {
	pub := startRegistry(t)
	src := pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64", "linux/arm/v7"))
	signer, trust := newKey(t)
	for _, tc := range []struct {
		platform string
		children int
	}{
		{"linux/amd64", 2}, // with its attestation
		{"linux/arm64", 1},
	} {
		t.Run(tc.platform, func(t *testing.T) {
			pub.Log.Reset()
			p, err := image.ParsePlatform(tc.platform)
			if err != nil {
				t.Fatal(err)
			}
			r := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Platforms: []image.Platform{p}, Signer: signer, Registry: through(pub)})
			im := r.Images[0]
			if im.SourceDigest != src.Digest || im.Digest == src.Digest || !slices.Equal(im.Platforms, []string{tc.platform}) {
				t.Errorf("image %+v, src %s", im, src.Digest)
			}
			priv := startRegistry(t)
			mustImport(t, r.Output, onto(priv, trust))
			holds(t, priv, "apps/acme/app:1", im.Digest)
			_, b, err := priv.Manifest(context.Background(), "apps/acme/app:1")
			if err != nil {
				t.Fatal(err)
			}
			var ix ocispec.Index
			if err := json.Unmarshal(b, &ix); err != nil {
				t.Fatal(err)
			}
			if len(ix.Manifests) != tc.children {
				t.Errorf("%d children, want %d: %s", len(ix.Manifests), tc.children, b)
			}
		})
	}
}

// A chart that pins an index gets values with the digest that is inside.
func TestExportPlatformPinned(t *testing.T) {
	pub := startRegistry(t)
	src := pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	signer, trust := newKey(t)
	const img = "acme/app"
	for _, tc := range []struct{ name, chart, target string }{
		{"in one value", strings.ReplaceAll(podChart, "image: acme/app:1", "image: "+img+"@"+src.Digest.String()), "apps/acme/app@"},
		{"tag and digest", strings.ReplaceAll(podChart, "image: acme/app:1", "image: "+img+":1@"+src.Digest.String()), "apps/acme/app:1@"},
		{"in a value of its own", strings.NewReplacer("image: acme/app:1", "image: acme/app\ndigest: "+src.Digest.String(),
			"{{ .Values.image }}", "{{ .Values.image }}@{{ .Values.digest }}").Replace(podChart), "apps/acme/app@"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := mustExport(t, ExportOptions{
				Charts:    []source.ChartSpec{{Ref: regtest.Folder(t, tc.chart)}},
				Platforms: []image.Platform{{OS: "linux", Architecture: "amd64"}},
				Signer:    signer, Registry: through(pub),
			})
			inside := r.Images[0].Digest
			if inside == src.Digest || !strings.HasSuffix(r.Images[0].Reference, "@"+inside.String()) {
				t.Fatalf("image %+v", r.Images[0])
			}
			priv := startRegistry(t)
			o := onto(priv, trust)
			o.OutputDir = t.TempDir()
			report := mustImport(t, r.Output, o)
			values := uncommented(regtest.ReadFile(t, o.OutputDir, "app", "values.yaml"))
			if !strings.Contains(values, inside.String()) || strings.Contains(values, src.Digest.String()) {
				t.Errorf("values do not carry %s in place of %s:\n%s", inside, src.Digest, values)
			}
			if want := priv.Host() + "/" + tc.target + inside.String(); report.Images[0].Target != want {
				t.Errorf("target %s, want %s", report.Images[0].Target, want)
			}
			holds(t, priv, "apps/acme/app@"+inside.String(), inside)
		})
	}
}

// uncommented is a values file without its comments.
func uncommented(s string) string {
	lines := slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.HasPrefix(strings.TrimSpace(l), "#") })
	return strings.Join(lines, "\n")
}

// Two pins that a platform choice makes one are one image.
func TestExportPlatformMakesEqual(t *testing.T) {
	pub := startRegistry(t)
	src := pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	amd64 := []image.Platform{{OS: "linux", Architecture: "amd64"}}
	signer, trust := newKey(t)
	pin := "ghcr.io/acme/app@" + src.Digest.String()
	first := mustExport(t, ExportOptions{Images: []string{pin}, Platforms: amd64, Signer: signer, Registry: through(pub)})
	// Somebody published the reduced index in the same repository.
	b := mustOpen(t, first.Output, trust)
	reduced, err := b.Reader.ReadBlob(first.Images[0].Digest, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pub.PushRaw(context.Background(), "acme/app:reduced", ocispec.MediaTypeImageIndex, reduced); err != nil {
		t.Fatal(err)
	}
	both := mustExport(t, ExportOptions{
		Images: []string{pin, first.Images[0].Reference}, Platforms: amd64, Signer: signer, Registry: through(pub),
	})
	if _, err := Verify(context.Background(), both.Output, trust, nil); err != nil {
		t.Error(err)
	}
}

// A registry that sends other content than it promised ends the export, and no
// file is left.
func TestExportWrongContent(t *testing.T) {
	const img = "ghcr.io/acme/app:1"
	for _, tc := range []struct {
		name  string
		fault regtest.Fault
		parts []string
	}{
		{"layer with a flipped bit", regtest.Fault{Class: regtest.Blob, Skip: 1, Do: regtest.Corrupt(100)}, []string{"ghcr.io/acme/app", "sha256:"}},
		{"config with a flipped bit", regtest.Fault{Class: regtest.Blob, Times: 1, Do: regtest.Corrupt(10)}, []string{"ghcr.io/acme/app", "sha256:"}},
		{"manifest with a flipped bit", regtest.Fault{Class: regtest.Manifest, Do: regtest.Corrupt(10)}, []string{img}},
		{"layer that is too short", regtest.Fault{Class: regtest.Blob, Skip: 1, Do: regtest.Header("Content-Length", "99")}, []string{"ghcr.io/acme/app", "99 bytes"}},
		{"layer that never ends", regtest.Fault{Class: regtest.Blob, Skip: 1, Do: regtest.Endless("application/octet-stream")}, []string{"ghcr.io/acme/app", "longer"}},
		{"page of a portal", regtest.Fault{Class: regtest.Manifest, Do: regtest.Answer(200, "text/html", "<html>log in</html>")}, []string{img}},
		{"layer that is gone", regtest.Fault{Class: regtest.Blob, Skip: 1, Do: regtest.Status(404)}, []string{"ghcr.io/acme/app", "404"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pub := startRegistry(t)
			pushImage(t, pub, "acme/app:1", small(1))
			pub.Inject(tc.fault)
			out := t.TempDir()
			r, err := Export(context.Background(), ExportOptions{
				Images: []string{img}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub), Jobs: 1,
			})
			wantError(t, err, fault.Failed, tc.parts...)
			if r != nil {
				t.Errorf("report %+v", r)
			}
			regtest.WantFiles(t, out)
		})
	}
}

// A manifest that lies about the size of a layer is found out, in both
// directions, and so are two manifests that contradict each other.
func TestExportWrongSize(t *testing.T) {
	for _, tc := range []struct {
		name string
		by   int64
	}{{"too small", -1}, {"too large", 1}} {
		t.Run(tc.name, func(t *testing.T) {
			pub := startRegistry(t)
			pushLiar(t, pub, "acme/liar:1", tc.by)
			out := t.TempDir()
			_, err := Export(context.Background(), ExportOptions{
				Images: []string{"ghcr.io/acme/liar:1"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub),
			})
			wantError(t, err, fault.Failed, "ghcr.io/acme/liar")
			regtest.WantFiles(t, out)
		})
	}
	t.Run("contradiction", func(t *testing.T) {
		pub := startRegistry(t)
		pushLiar(t, pub, "acme/liar:1", 0)
		layer := pushLiar(t, pub, "acme/liar:2", 7)
		pub.Log.Reset()
		out := t.TempDir()
		_, err := Export(context.Background(), ExportOptions{
			Images: []string{"ghcr.io/acme/liar:1", "ghcr.io/acme/liar:2"}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub),
		})
		wantError(t, err, fault.Failed, layer.String(), "two sizes")
		regtest.WantFiles(t, out)
	})
}

// pushLiar pushes an image whose manifest gives its layer a size that is off.
func pushLiar(t testing.TB, reg *regtest.Registry, ref string, off int64) digest.Digest {
	t.Helper()
	repo, _, _ := strings.Cut(ref, ":")
	layer, err := reg.PushBlob(context.Background(), repo, brokenLayer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := reg.PushBlob(context.Background(), repo, []byte(`{"architecture":"amd64","os":"linux"}`))
	if err != nil {
		t.Fatal(err)
	}
	config.MediaType, layer.MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayer
	layer.Size += off
	m, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.PushRaw(context.Background(), ref, ocispec.MediaTypeImageManifest, m); err != nil {
		t.Fatal(err)
	}
	return layer.Digest
}

// cancelOn ends the context when a request arrives, and lets that request hang
// for as long as its client waits: who returns has noticed.
func cancelOn(cancel context.CancelFunc, method string, class regtest.Class) regtest.Fault {
	return regtest.Fault{Method: method, Class: class, Do: func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		cancel()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}}
}

func TestExportCancelled(t *testing.T) {
	for _, tc := range []struct {
		name  string
		class regtest.Class
		skip  int
	}{
		{"while resolving", regtest.Manifest, 1},
		{"while fetching", regtest.Blob, 2}, // two configs are read while planning
	} {
		t.Run(tc.name, func(t *testing.T) {
			pub := startRegistry(t)
			pushImage(t, pub, "acme/a:1", small(1))
			pushImage(t, pub, "acme/b:1", small(2))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			out := t.TempDir()
			earlier := filepath.Join(out, "x.tar")
			old := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/a:1"}, Unsigned: true, Output: earlier, Registry: through(pub)})
			f := cancelOn(cancel, "GET", tc.class)
			f.Skip = tc.skip
			pub.Inject(f)
			_, err := Export(ctx, ExportOptions{
				Images: []string{"ghcr.io/acme/a:1", "ghcr.io/acme/b:1"}, Unsigned: true, Output: earlier, Force: true, Registry: through(pub),
			})
			wantError(t, err, fault.Interrupted)
			regtest.WantFiles(t, out, "x.tar")
			if b := mustOpen(t, earlier, trust.TrustAnyone()); b.Record.ID != old.ID {
				t.Errorf("the earlier file is %s", b.Record.ID)
			}
		})
	}
}

// A dry run reads no layer and writes nothing, and its numbers are those of
// the export.
func TestExportDryRun(t *testing.T) {
	pub := startRegistry(t)
	pushIndex(t, pub, "acme/app:1", platforms("linux/amd64", "linux/arm64"))
	t.Chdir(t.TempDir())
	o := ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, DryRun: true, Created: regtest.Epoch, Registry: through(pub)}
	dry, err := Export(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if n := pub.Log.Count("GET", regtest.Blob); n != 0 {
		t.Errorf("%d blobs fetched", n)
	}
	regtest.WantFiles(t, ".")
	if dry.Output != "" || dry.Size != 0 {
		t.Errorf("report of a dry run: %+v", dry)
	}
	o.DryRun = false
	wet, err := Export(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	regtest.WantFiles(t, ".", "images.bundle.tar")
	if n := pub.Log.Count("GET", regtest.Blob); n != wet.Blobs {
		t.Errorf("%d blobs fetched, %d announced", n, wet.Blobs)
	}
	if st, err := os.Stat(wet.Output); err != nil || st.Size() != wet.Size {
		t.Errorf("size %v, %v; announced %d", st, err, wet.Size)
	}
	if !dry.DryRun || wet.DryRun {
		t.Errorf("a dry run: %v, and %v", dry.DryRun, wet.DryRun)
	}
	dry.DryRun = false
	wet.Output, wet.Size = "", 0
	if fmt.Sprintf("%+v", dry) != fmt.Sprintf("%+v", wet) {
		t.Errorf("dry run %+v\nexport %+v", dry, wet)
	}
	var n int64
	b := mustOpen(t, "images.bundle.tar", trust.TrustAnyone())
	for _, d := range b.Blobs {
		if !layout.IsManifest(d.MediaType) && d.MediaType != record.Type && d.MediaType != ocispec.MediaTypeEmptyJSON {
			n += d.Size
		}
	}
	if n != dry.Payload {
		t.Errorf("payload %d, announced %d", n, dry.Payload)
	}
}

func TestExportUsage(t *testing.T) {
	pub := startRegistry(t)
	for _, tc := range []struct {
		name string
		o    ExportOptions
		part string
	}{
		{"nothing", ExportOptions{Unsigned: true}, "nothing to export"},
		{"no key", ExportOptions{Images: []string{"nats:1"}}, "no key"},
		{"no reference", ExportOptions{Images: []string{"UPPER"}, Unsigned: true}, "UPPER"},
		{"no release name", ExportOptions{Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Release: "../x"}}, Unsigned: true}, "../x"},
		{"no such version", ExportOptions{Charts: []source.ChartSpec{{Ref: "oci://ghcr.io/charts/app:1.0.0", Version: "2.0.0"}}, Unsigned: true}, "2.0.0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := t.TempDir()
			tc.o.Output, tc.o.Registry = filepath.Join(out, "x.tar"), through(pub)
			_, err := Export(context.Background(), tc.o)
			wantError(t, err, fault.Usage, tc.part)
			regtest.WantFiles(t, out)
		})
	}
	if n := pub.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// An image that cannot be had is named together with the place that asks for
// it.
func TestExportMissingImage(t *testing.T) {
	pub := startRegistry(t)
	out := t.TempDir()
	_, err := Export(context.Background(), ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart)}}, Unsigned: true, Output: filepath.Join(out, "x.tar"), Registry: through(pub),
	})
	wantError(t, err, fault.Failed, "ghcr.io/acme/app:1")
	if hint := fault.Hint(err); !strings.Contains(hint, "app/templates/deployment.yaml") {
		t.Errorf("hint %q", hint)
	}
	regtest.WantFiles(t, out)
	var incomplete *fault.IncompleteError
	if errors.As(err, &incomplete) {
		t.Error("an image that is missing is not a bundle that is incomplete")
	}
}

// Times of the record are whole seconds in UTC, whatever the caller gave.
func TestRecordTime(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	at := time.Date(2024, 5, 6, 7, 8, 9, 987654321, time.FixedZone("", 3*3600))
	r := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Created: at, Registry: through(pub)})
	b := mustOpen(t, r.Output, trust.TrustAnyone())
	if want := "2024-05-06T04:08:09Z"; b.Record.Created.Format(time.RFC3339Nano) != want || r.Created.Format(time.RFC3339Nano) != want {
		t.Errorf("record %s, report %s, want %s", b.Record.Created, r.Created, want)
	}
	if !b.Reader.ModTime().Equal(b.Record.Created) {
		t.Errorf("entries are of %s, the record is of %s", b.Reader.ModTime(), b.Record.Created)
	}
}
