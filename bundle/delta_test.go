package bundle

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/testdata/regtest"
)

// A trip has versions of one chart: each has an image with a layer of its own over
// one that all share.
type trip struct {
	pub    *regtest.Registry
	signer *trust.Signer
	trust  *trust.Trust
	dir    string
}

func newTrip(t testing.TB) *trip {
	t.Helper()
	tr := &trip{pub: startRegistry(t), dir: t.TempDir()}
	tr.signer, tr.trust = newKey(t)
	for v := range int64(4) {
		pushImage(t, tr.pub, "acme/app:"+string(rune('0'+v)), small(v))
	}
	pushImage(t, tr.pub, "acme/side:1", small(50))
	return tr
}

// export writes version v of the chart.
func (tr *trip) export(t testing.TB, v, name string, bases ...string) *ExportReport {
	t.Helper()
	return mustExport(t, tr.options(t, v, name, bases...))
}

func (tr *trip) options(t testing.TB, v, name string, bases ...string) ExportOptions {
	return ExportOptions{
		Charts:   []source.ChartSpec{{Ref: regtest.Folder(t, podChart), Set: []string{"image=acme/app:" + v, "sidecar=acme/side:1"}}},
		Output:   filepath.Join(tr.dir, name),
		Registry: through(tr.pub), Signer: tr.signer, Bases: bases,
	}
}

// layers are those of an image, the base first.
func layers(t testing.TB, reg *regtest.Registry, ref string) []ocispec.Descriptor {
	t.Helper()
	_, b, err := reg.Manifest(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m.Layers
}

// A delta has what its base does not have, and is taken where the rest is.
func TestDelta(t *testing.T) {
	tr := newTrip(t)
	one := tr.export(t, "1", "1.tar")
	two := tr.export(t, "2", "2.tar", one.Output)
	if two.Size >= one.Size || len(two.Bases) != 1 || two.Bases[0].Layers != 2 || two.Bases[0].Bytes < 4000 || two.Bases[0].ID != one.ID {
		t.Errorf("sizes %d and %d, bases %+v", one.Size, two.Size, two.Bases)
	}
	priv := startRegistry(t)
	mustImport(t, one.Output, onto(priv, tr.trust))
	report := mustImport(t, two.Output, onto(priv, tr.trust))
	holds(t, priv, "apps/acme/app:2", digest.Digest(report.Images[0].Digest))
	if n := report.Bytes.Sent; n < 1000 || n > 5000 {
		t.Errorf("%d bytes were sent, for one layer of 1000", n)
	}
	// A full bundle of the same has the same id.
	if full := tr.export(t, "2", "full.tar"); full.ID != two.ID {
		t.Errorf("full %s, delta %s", full.ID, two.ID)
	}
}

// Nothing is changed where a layer lacks, and its image and base are named.
func TestDeltaLacks(t *testing.T) {
	tr := newTrip(t)
	one := tr.export(t, "1", "1.tar")
	two := tr.export(t, "2", "2.tar", one.Output)
	for _, dry := range []bool{false, true} {
		priv := startRegistry(t)
		o := onto(priv, tr.trust)
		o.DryRun, o.OutputDir = dry, t.TempDir()
		_, err := Import(t.Context(), two.Output, o)
		wantError(t, err, fault.NeedsMore, "2 layers (", "ghcr.io/acme/app:2", "bundle "+one.ID)
		var lack *push.LackError
		if !errors.As(err, &lack) || len(lack.Layers) != 2 {
			t.Errorf("error %#v", err)
		}
		if w := writes(priv); w != nil {
			t.Errorf("dry run %v: writes %v", dry, w)
		}
		if files := regtest.Files(t, o.OutputDir); len(files) > 0 {
			t.Errorf("dry run %v: files %v", dry, files)
		}
	}
	// The older bundle in the same command has them.
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.More = []string{one.Output}
	report := mustImport(t, two.Output, o)
	holds(t, priv, "apps/acme/app:2", digest.Digest(report.Images[0].Digest))
	if !slices.ContainsFunc(report.Images, func(im push.Image) bool { return im.Source == "ghcr.io/acme/side:1" && im.Pushed }) {
		t.Errorf("%+v", report.Images)
	}
}
