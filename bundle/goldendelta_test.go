package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// Golden deltas leave out what v1b has, beside an image that is new. They stay readable
// for ever, too.
const (
	firstDelta  = golden + "delta-v1.bundle.tar"  // has the id of the whole bundle
	goldenDelta = golden + "delta-v1b.bundle.tar" // has one of its own
)

func TestGoldenDelta(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/sidecar:2", regtest.Image{Layers: []regtest.Layer{{Size: 700, Seed: 4}}, Docker: true})
	pushImage(t, pub, "acme/new:1", regtest.Image{Layers: []regtest.Layer{{Size: 700, Seed: 4}, {Size: 300, Seed: 9}}, Docker: true})
	signer, err := trust.LoadSigner(t.Context(), golden+"key", trust.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made := mustExport(t, ExportOptions{
		Images:   []string{"ghcr.io/acme/sidecar:2", "ghcr.io/acme/new:1"},
		Output:   filepath.Join(t.TempDir(), "x.tar"),
		Bases:    []string{golden + "v1b.bundle.tar"},
		Signer:   signer,
		Created:  time.Unix(1700100000, 0),
		Tool:     "bundle golden",
		Registry: through(pub),
	})
	got := []byte(regtest.ReadFile(t, made.Output))
	if *update {
		if err := os.WriteFile(goldenDelta, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := []byte(regtest.ReadFile(t, goldenDelta)); !bytes.Equal(got, want) {
		t.Errorf("%d bytes, the golden delta has %d; first difference at byte %d", len(got), len(want), firstDifference(got, want))
	}
	for _, path := range []string{firstDelta, goldenDelta} {
		r, err := Verify(t.Context(), path, goldenTrust(t), nil)
		if err != nil || r.Requires == nil || len(r.Requires.Layers) != 1 || r.Requires.Bases[0].Kind != "bundle" {
			t.Errorf("%s: %+v, %v", path, r, err)
		}
		priv := startRegistry(t)
		o := onto(priv, goldenTrust(t))
		_, err = Import(t.Context(), path, o)
		wantError(t, err, fault.NeedsMore, "a layer", "ghcr.io/acme/")
		mustImport(t, golden+"v1b.bundle.tar", o)
		mustImport(t, path, o)
		for _, im := range made.Images {
			holds(t, priv, "apps/acme/"+map[string]string{"ghcr.io/acme/sidecar:2": "sidecar:2", "ghcr.io/acme/new:1": "new:1"}[im.Reference], im.Digest)
		}
	}
}
