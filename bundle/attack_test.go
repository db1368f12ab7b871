package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/chart"
	"bundle/bundle/internal/relocate"
	"bundle/checksum"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// A medium whose content changes after it was checked changes nothing that a
// client can see: what is sent is what was verified, or nothing.
func TestImportChangedMeanwhile(t *testing.T) {
	good := goodBundle(t)
	whole := []byte(readFile(t, good))
	b := mustOpen(t, good, trustOf(t))
	for _, root := range b.index.Manifests {
		if root.ArtifactType == RecordType {
			continue // stays outside
		}
		manifests, blobs, err := b.blobsOf(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(manifests, blobs...) {
			t.Run(d.MediaType, func(t *testing.T) {
				e, _ := b.reader.Entry(layout.BlobName(d.Digest))
				testChangedMeanwhile(t, whole, e.Offset+e.Size-1, d)
			})
		}
	}
}

// testChangedMeanwhile imports a bundle of which one byte, of d, changes when
// everything has been checked and planned.
func testChangedMeanwhile(t *testing.T, whole []byte, at int64, d ocispec.Descriptor) {
	path := filepath.Join(t.TempDir(), "x.bundle.tar")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	priv := startRegistry(t)
	change := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt([]byte{whole[at] ^ 1}, at)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Error(err)
		}
		next.ServeHTTP(w, r)
	}
	priv.Inject(regtest.Fault{Method: "POST", Class: regtest.Upload, Times: 1, Do: change})
	o := onto(priv, trustOf(t))
	o.OutputDir = filepath.Join(t.TempDir(), "out")
	_, err := Import(context.Background(), path, o)
	wantError(t, err, Damaged, d.Digest.Encoded())
	for _, name := range []string{"acme/app:1", "charts/app:1.0.0"} {
		if _, m, err := priv.Manifest(context.Background(), "apps/"+name); err == nil && bytes.Contains(m, []byte(d.Digest)) {
			t.Errorf("%s is there", name)
		}
	}
	if !layout.IsManifest(d.MediaType) && priv.Log.Count("PUT", regtest.Manifest) > 0 {
		t.Error("manifests were pushed before all blobs were verified")
	}
	if _, err := os.Stat(o.OutputDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("output folder: %v", err)
	}
}

// Links that stand in the output folder already do not lead files out of it,
// and are found before anything is pushed.
func TestImportOutputLinks(t *testing.T) {
	path := goodBundle(t)
	priv := startRegistry(t)
	for _, link := range []string{"out/app", "out/nodes", "out/app/kustomize", "out/nodes/containerd/certs.d", "render/app"} {
		t.Run(link, func(t *testing.T) {
			dir, outside := t.TempDir(), t.TempDir()
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(link)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
			o := onto(priv, trustOf(t))
			o.OutputDir, o.RenderDir = filepath.Join(dir, "out"), filepath.Join(dir, "render")
			_, err := Import(context.Background(), path, o)
			wantError(t, err, Usage, "leads out of it")
			if w := writes(priv); len(w) != 0 {
				t.Errorf("written: %v", w)
			}
			wantFiles(t, outside)
		})
	}
	t.Run("the host's folder", func(t *testing.T) { // found late, but found
		dir, outside := t.TempDir(), t.TempDir()
		below := filepath.Join(dir, "nodes/containerd/certs.d")
		if err := errors.Join(os.MkdirAll(below, 0o755), os.Symlink(outside, filepath.Join(below, "ghcr.io"))); err != nil {
			t.Fatal(err)
		}
		o := onto(priv, trustOf(t))
		o.OutputDir = dir
		if _, err := Import(context.Background(), path, o); err == nil {
			t.Error("not refused")
		}
		wantFiles(t, outside)
	})
	t.Run("the folder itself is the user's choice", func(t *testing.T) {
		dir, elsewhere := t.TempDir(), t.TempDir()
		o := onto(priv, trustOf(t))
		o.OutputDir = filepath.Join(dir, "out")
		if err := os.Symlink(elsewhere, o.OutputDir); err != nil {
			t.Fatal(err)
		}
		mustImport(t, path, o)
		if _, err := os.Stat(filepath.Join(elsewhere, "app/values.yaml")); err != nil {
			t.Error(err)
		}
	})
}

// Files are named after resources, whatever these are called.
func TestResourceNames(t *testing.T) {
	long := strings.Repeat("n", 300)
	text := "---\nkind: A\nmetadata: {name: " + long + "}\n---\nx: 1\n---\ny: 1\n---\nkind: A\nmetadata: {name: ../../x}\n" +
		"---\nkind: A\nmetadata: {name: " + long + "m}\n---\nkind: a\nmetadata: {name: x-2}\n---\nkind: a\nmetadata: {name: x}\n---\nkind: a\nmetadata: {name: x}\n"
	ch, err := chart.Load(context.Background(), chart.Source{Ref: chartDir(t, "-- Chart.yaml --\napiVersion: v2\nname: app\nversion: 1.0.0\n-- templates/x.yaml --\n"+text)}, chart.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := &relocated{chart: ch, result: new(relocate.Result)}
	if c.output, err = ch.Render(context.Background(), chart.RenderOptions{}); err != nil {
		t.Fatal(err)
	}
	names := sortedKeys(c.resources())
	if want := []string{
		"a-.._.._x.yaml", "a-" + long[:238] + "-2.yaml", "a-" + long[:238] + ".yaml", "a-x-2.yaml", "a-x-3.yaml", "a-x.yaml", "manifest-2.yaml", "manifest.yaml",
	}; !slices.Equal(names, want) {
		t.Errorf("%q\nwant\n%q", names, want)
	}
}

// Indexes that share what they name are looked at once each, and not once for
// each way that leads to them: here there are 40^4.
func TestSubsetShared(t *testing.T) {
	content := make(tree)
	leaf := content.put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
	leaf.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	other := content.put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"n":1}`))
	other.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	level := []ocispec.Descriptor{leaf, other}
	for depth := range 4 {
		var next []ocispec.Descriptor
		for i := range 40 {
			d, err := content.putJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
				MediaType: ocispec.MediaTypeImageIndex, Manifests: level, Annotations: map[string]string{"n": fmt.Sprint(depth, i)},
			})
			if err != nil {
				t.Fatal(err)
			}
			next = append(next, d)
		}
		level = next
	}
	root, err := content.putJSON(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: level})
	if err != nil {
		t.Fatal(err)
	}
	want := Platform{OS: "linux", Architecture: "amd64"}
	got, err := content.subset(root, []Platform{want})
	if err != nil {
		t.Fatal(err)
	}
	if p := slices.Compact(content.platforms(got)); !slices.Equal(p, []Platform{want}) || got.Digest == root.Digest {
		t.Errorf("%v is left in %s of %s", p, got.Digest, root.Digest)
	}
}

// What a reader would refuse is not written.
func TestPlanTooManyCharts(t *testing.T) {
	_, err := planBundle(&Record{}, nil, make([]*chartArtifact, maxCharts+1))
	wantError(t, err, Usage, "more than the 1000")
}

// Whatever is wrong with a signature is exit code 3, with advice.
func TestTrustHints(t *testing.T) {
	for reason := checksum.Unsigned; reason <= checksum.TooFew; reason++ {
		err := fmt.Errorf("x.bundle.tar: %w", &checksum.TrustError{Reason: reason, Fingerprint: digest.FromString("x").Encoded()})
		if KindOf(err) != Untrusted || Hint(err) == "" {
			t.Errorf("%s: kind %d, hint %q", reason, KindOf(err), Hint(err))
		}
	}
}
