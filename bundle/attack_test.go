package bundle

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/plan"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/source"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// A medium whose content changes after it was checked changes nothing that a
// client can see: what is sent is what was verified, or nothing.
func TestImportChangedMeanwhile(t *testing.T) {
	good := goodBundle(t)
	whole := []byte(regtest.ReadFile(t, good))
	b := mustOpen(t, good, trustOf(t))
	for _, root := range b.Index.Manifests {
		if root.ArtifactType == record.Type {
			continue // stays outside
		}
		manifests, blobs, err := b.BlobsOf(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range append(manifests, blobs...) {
			t.Run(d.MediaType, func(t *testing.T) {
				e, _ := b.Reader.Entry(layout.BlobName(d.Digest))
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
	wantError(t, err, fault.Damaged, d.Digest.Encoded())
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
			wantError(t, err, fault.Usage, "leads out of it")
			if w := writes(priv); len(w) != 0 {
				t.Errorf("written: %v", w)
			}
			regtest.WantFiles(t, outside)
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
		regtest.WantFiles(t, outside)
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

// What a reader would refuse is not written.
func TestPlanTooManyCharts(t *testing.T) {
	_, err := plan.New(&record.Record{}, nil, make([]*source.Chart, record.MaxCharts+1), plan.Times{})
	wantError(t, err, fault.Usage, "more than the 1000")
}
