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
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/inventory"
	"bundle/bundle/internal/push"
	"bundle/bundle/internal/source"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// A trip has versions of one chart: each has an image with a layer of its own over
// one that all share.
type trip struct {
	pub    *regtest.Registry
	signer *trust.Signer
	trust  *trust.Trust
	dir    string
	chart  string
}

func newTrip(t testing.TB) *trip {
	t.Helper()
	tr := &trip{pub: startRegistry(t), dir: t.TempDir(), chart: regtest.Folder(t, podChart)}
	tr.signer, tr.trust = newKey(t)
	for v := range int64(4) {
		pushImage(t, tr.pub, "acme/app:"+string(rune('0'+v)), small(v))
	}
	pushImage(t, tr.pub, "acme/side:1", small(50))
	return tr
}

// export writes version v of the chart.
func (tr *trip) export(t testing.TB, v, name string, bases ...string) *reports.Export {
	t.Helper()
	return mustExport(t, tr.options(t, v, name, bases...))
}

func (tr *trip) options(t testing.TB, v, name string, bases ...string) ExportOptions {
	return ExportOptions{
		Charts:   []source.ChartSpec{{Ref: tr.chart, Set: []string{"image=acme/app:" + v, "sidecar=acme/side:1"}}},
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
	t.Parallel()
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
	// The whole bundle of the same, and a delta to something else, are other bundles:
	// neither takes the place of this one.
	full := tr.export(t, "2", "full.tar")
	other := tr.export(t, "2", "other.tar", one.Output, tr.export(t, "2", "base.tar").Output)
	if full.ID == two.ID || other.ID == two.ID || other.ID == full.ID {
		t.Errorf("full %s, delta %s, to another base %s", full.ID, two.ID, other.ID)
	}
	if again := tr.export(t, "2", "again.tar", one.Output); again.ID != two.ID {
		t.Errorf("delta %s, again %s", two.ID, again.ID)
	}
	for _, over := range []*reports.Export{full, other} {
		eo := tr.options(t, "2", filepath.Base(over.Output), one.Output)
		_, err := Export(t.Context(), eo)
		wantError(t, err, fault.Usage, "is another bundle, id "+over.ID, "it is not replaced")
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

// exportImages writes a bundle of images alone.
func (tr *trip) exportImages(t testing.TB, name string, bases []string, refs ...string) *reports.Export {
	t.Helper()
	o := ExportOptions{Output: filepath.Join(tr.dir, name), Registry: through(tr.pub), Signer: tr.signer, Bases: bases}
	for _, ref := range refs {
		o.Images = append(o.Images, "ghcr.io/"+ref)
	}
	return mustExport(t, o)
}

// withoutMounts has a registry answer every wish to mount as if it knew no mounting.
func withoutMounts(reg *regtest.Registry) {
	reg.Inject(regtest.Fault{Method: "POST", Match: func(r *http.Request) bool { return r.URL.Query().Has("mount") },
		Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.URL.RawQuery = ""
			next.ServeHTTP(w, r)
		}})
}

// A layer that another repository of the target has is mounted or, where the registry
// does not mount, copied through this machine.
func TestDeltaFromElsewhere(t *testing.T) {
	tr := newTrip(t)
	one := tr.exportImages(t, "1.tar", nil, "acme/app:1")
	two := tr.exportImages(t, "2.tar", []string{one.Output}, "acme/side:1")
	base := layers(t, tr.pub, "acme/app:1")[0]
	for _, mounts := range []bool{true, false} {
		priv := startRegistry(t)
		mustImport(t, one.Output, onto(priv, tr.trust))
		if !mounts {
			withoutMounts(priv)
		}
		report := mustImport(t, two.Output, onto(priv, tr.trust))
		holds(t, priv, "apps/acme/side:1", digest.Digest(report.Images[0].Digest))
		if mounted := report.Bytes.Mounted >= base.Size; mounted != mounts {
			t.Errorf("mounts %v: %+v", mounts, report.Bytes)
		}
	}
	// A name that the base's record does not tell is found in the registry's records.
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.Registry.Prefix, o.Names = "apps", "host"
	mustImport(t, one.Output, o)
	o.Names = "flat"
	report := mustImport(t, two.Output, o)
	holds(t, priv, "apps/ghcr.io--acme--side:1", digest.Digest(report.Images[0].Digest))
}

// A registry that sends other content for a layer is found out before it is copied,
// and with --deep before anything is pushed.
func TestDeltaOtherContent(t *testing.T) {
	tr := newTrip(t)
	one := tr.exportImages(t, "1.tar", nil, "acme/app:1")
	two := tr.exportImages(t, "2.tar", []string{one.Output}, "acme/side:1", "acme/app:2")
	base := layers(t, tr.pub, "acme/app:1")[0].Digest
	for _, deep := range []bool{false, true} {
		priv := startRegistry(t)
		mustImport(t, one.Output, onto(priv, tr.trust))
		withoutMounts(priv)
		priv.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Path: base.String(), Do: regtest.Corrupt(100)})
		priv.Log.Reset()
		o := onto(priv, tr.trust)
		o.Deep = deep
		_, err := Import(t.Context(), two.Output, o)
		wantError(t, err, fault.Refused, "serves other content for "+base.String())
		if w := writes(priv); deep && w != nil {
			t.Errorf("writes %v", w)
		}
		lacks(t, priv, "apps/acme/side:1")
		lacks(t, priv, "apps/acme/app:2")
	}
	// What is as it should be is read and taken.
	priv := startRegistry(t)
	mustImport(t, one.Output, onto(priv, tr.trust))
	o := onto(priv, tr.trust)
	o.Deep = true
	mustImport(t, two.Output, o)
	holds(t, priv, "apps/acme/side:1", two.Images[1].Digest)
	holds(t, priv, "apps/acme/app:2", two.Images[0].Digest)
}

// A layer that is taken away between question and push is an error that says so, and
// nothing that a client can see has changed.
func TestDeltaGone(t *testing.T) {
	tr := newTrip(t)
	one := tr.exportImages(t, "1.tar", nil, "acme/app:1")
	for _, tc := range []struct {
		name, ref string
		mounts    bool
	}{
		{"where it is needed", "acme/app:2", true},
		{"where it is copied from", "acme/side:1", false},
	} {
		two := tr.exportImages(t, strings.ReplaceAll(tc.name, " ", "-")+".tar", []string{one.Output}, tc.ref)
		base := layers(t, tr.pub, "acme/app:1")[0].Digest
		priv := startRegistry(t)
		mustImport(t, one.Output, onto(priv, tr.trust))
		if !tc.mounts {
			withoutMounts(priv)
		}
		once := false
		priv.Inject(regtest.Fault{Method: "POST", Class: regtest.Upload, Times: 1, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			once = true
			if err := priv.DeleteBlob(context.Background(), "apps/acme/app", base); err != nil {
				t.Error(err)
			}
			r.URL.RawQuery = ""
			next.ServeHTTP(w, r)
		}})
		_, err := Import(t.Context(), two.Output, onto(priv, tr.trust))
		wantError(t, err, fault.NeedsMore, "went away from "+priv.Host(), base.String(), tc.ref)
		if !once {
			t.Errorf("%s: nothing was pushed, so that nothing was taken away meanwhile", tc.name)
		}
		lacks(t, priv, "apps/"+tc.ref)
		// With the older bundle, the same works.
		priv.ClearFaults()
		o := onto(priv, tr.trust)
		o.More = []string{one.Output}
		report := mustImport(t, two.Output, o)
		holds(t, priv, "apps/"+tc.ref, digest.Digest(report.Images[0].Digest))
	}
}

// A base may be a bundle, its head, a part of it, a receipt or an inventory: all leave
// out the same.
func TestDeltaBases(t *testing.T) {
	t.Parallel()
	tr := newTrip(t)
	one := tr.export(t, "1", "1.tar")
	dir := t.TempDir()
	set := &SetOptions{Folders: []string{dir}, Size: PartSize{Bytes: 24_000}}
	if _, err := Split(t.Context(), one.Output, *set, nil); err != nil {
		t.Fatal(err)
	}
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.Receipt.Path, o.Receipt.Signer = filepath.Join(dir, "receipt.json"), tr.signer
	mustImport(t, one.Output, o)
	inv := InventoryOptions{Registry: o.Registry, Output: filepath.Join(dir, "site.inventory"), Signer: tr.signer, RegistryOptions: o.RegistryOptions}
	if _, err := Inventory(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	bare := inv
	bare.Output, bare.DigestsOnly = filepath.Join(dir, "bare.inventory"), true
	if _, err := Inventory(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(t.TempDir(), "alone.head")
	if err := os.WriteFile(alone, []byte(regtest.ReadFile(t, dir, "1.tar.head")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{one.Output, filepath.Join(dir, "1.tar.head"), alone, filepath.Join(dir, "1.tar.002"), o.Receipt.Path, inv.Output, bare.Output} {
		for _, key := range []*trust.Trust{nil, tr.trust} {
			eo := tr.options(t, "2", "2.tar", base)
			eo.BaseTrust, eo.Force = key, true
			two := mustExport(t, eo)
			if len(two.Bases) != 1 || two.Bases[0].Layers != 2 || (two.Bases[0].Fingerprint != "") != (key != nil) {
				t.Errorf("%s: %+v", base, two.Bases)
			}
			on := startRegistry(t)
			mustImport(t, one.Output, onto(on, tr.trust))
			report := mustImport(t, two.Output, onto(on, tr.trust))
			holds(t, on, "apps/acme/app:2", digest.Digest(report.Images[0].Digest))
		}
		_, other := newKey(t)
		eo := tr.options(t, "2", "2.tar", base)
		eo.BaseTrust = other
		_, err := Export(t.Context(), eo)
		wantError(t, err, fault.Untrusted)
	}
}

// A base that says another size of a layer than the image does is refused.
func TestDeltaSize(t *testing.T) {
	tr := newTrip(t)
	one := tr.export(t, "1", "1.tar")
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.Receipt.Path = filepath.Join(tr.dir, "receipt.json")
	mustImport(t, one.Output, o)
	doc := regtest.ReadFile(t, o.Receipt.Path)
	base := layers(t, tr.pub, "acme/app:1")[0]
	i := strings.Index(doc, `"layers"`)
	forged := doc[:i] + strings.ReplaceAll(doc[i:], fmt.Sprintf(`"size": %d`, base.Size), `"size": 17`)
	if err := os.WriteFile(o.Receipt.Path, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Export(t.Context(), tr.options(t, "2", "2.tar", o.Receipt.Path))
	wantError(t, err, fault.Usage, base.Digest.String(), "17 bytes in base "+o.Receipt.Path, fmt.Sprintf("%d in ghcr.io/acme/app:2", base.Size))
}

// A delta of a delta of a delta requires what all of them left out, and merges with
// the others into the bundle that an export in full makes.
func TestDeltaOfDeltas(t *testing.T) {
	tr := newTrip(t)
	all := []*reports.Export{tr.export(t, "0", "0.tar")}
	for _, v := range []string{"1", "2", "3"} {
		all = append(all, tr.export(t, v, v+".tar", all[len(all)-1].Output))
	}
	last := all[3]
	if last.Bases[0].Layers != 2 || last.Bases[0].ID != all[2].ID {
		t.Errorf("%+v", last.Bases)
	}
	priv := startRegistry(t)
	for _, r := range all {
		mustImport(t, r.Output, onto(priv, tr.trust))
	}
	holds(t, priv, "apps/acme/app:3", last.Images[0].Digest)
	o := MergeOptions{Older: []string{all[2].Output, all[1].Output}, Output: filepath.Join(tr.dir, "whole.tar"), Signer: tr.signer}
	_, err := Merge(t.Context(), last.Output, o)
	wantError(t, err, fault.NeedsMore, "2 layers", "no bundle given here has", "ghcr.io/acme/app:3")
	if _, err := os.Stat(o.Output); err == nil {
		t.Error("a merge that failed left its file")
	}
	o.Older = append(o.Older, all[0].Output)
	merged, err := Merge(t.Context(), last.Output, o)
	if err != nil {
		t.Fatal(err)
	}
	eo := tr.options(t, "3", "full.tar")
	eo.Created = last.Created
	full := mustExport(t, eo)
	if merged.ID != full.ID || merged.Layers != 2 {
		t.Errorf("%+v", merged)
	}
	if got, want := regtest.ReadFile(t, o.Output), regtest.ReadFile(t, full.Output); got != want {
		t.Errorf("merged %d bytes, exported in full %d, and they differ", len(got), len(want))
	}
	_, err = Merge(t.Context(), full.Output, MergeOptions{Output: filepath.Join(tr.dir, "again.tar"), Signer: tr.signer})
	wantError(t, err, fault.Usage, "is whole")
}

// A forged inventory makes a delta too small, and nothing worse: that is found before
// anything is pushed. With a key, it is not taken.
func TestDeltaForged(t *testing.T) {
	tr := newTrip(t)
	forged := &inventory.Inventory{Tool: "x", Created: time.Unix(1700000000, 0)}
	for _, d := range append(layers(t, tr.pub, "acme/app:2"), layers(t, tr.pub, "acme/side:1")[1]) {
		forged.Blobs = append(forged.Blobs, inventory.Blob{Digest: d.Digest, Size: d.Size})
	}
	path := filepath.Join(tr.dir, "forged.inventory")
	if err := forged.Write(path, nil); err != nil {
		t.Fatal(err)
	}
	two := tr.export(t, "2", "2.tar", path)
	if two.Bases[0].Layers != 3 {
		t.Errorf("%+v", two.Bases)
	}
	priv := startRegistry(t)
	_, err := Import(t.Context(), two.Output, onto(priv, tr.trust))
	wantError(t, err, fault.NeedsMore, "3 layers", "inventory "+two.Bases[0].ID)
	if w := writes(priv); w != nil {
		t.Errorf("writes %v", w)
	}
	eo := tr.options(t, "2", "2.tar", path)
	eo.BaseTrust = tr.trust
	_, err = Export(t.Context(), eo)
	wantError(t, err, fault.Untrusted)
}

// Two deltas that require of each other what neither has lead nowhere, and at once.
func TestDeltaCycle(t *testing.T) {
	tr := newTrip(t)
	one, two := tr.export(t, "1", "1.tar"), tr.export(t, "2", "2.tar")
	a, b := tr.export(t, "1", "a.tar", two.Output), tr.export(t, "2", "b.tar", one.Output)
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.More = []string{b.Output}
	_, err := Import(t.Context(), a.Output, o)
	wantError(t, err, fault.NeedsMore, "2 layers", "bundle "+two.ID)
	if w := writes(priv); w != nil {
		t.Errorf("writes %v", w)
	}
	_, err = Merge(t.Context(), a.Output, MergeOptions{Older: o.More, Output: filepath.Join(tr.dir, "m.tar"), Signer: tr.signer})
	wantError(t, err, fault.NeedsMore)
	// One that requires all of itself is taken where it was imported in full.
	self := tr.export(t, "1", "self.tar", one.Output)
	if self.ID == one.ID || self.Payload != 0 {
		t.Errorf("%+v", self)
	}
	mustImport(t, one.Output, onto(priv, tr.trust))
	mustImport(t, self.Output, onto(priv, tr.trust))
}

// The bundle that lends need be signed by nobody: what it lends has the digest that
// the delta asks for, or is not taken.
func TestDeltaLender(t *testing.T) {
	tr := newTrip(t)
	signer := tr.signer
	tr.signer, _ = newKey(t)
	one := tr.export(t, "1", "1.tar")
	tr.signer = signer
	two := tr.export(t, "2", "2.tar", one.Output)
	priv := startRegistry(t)
	o := onto(priv, tr.trust)
	o.More = []string{one.Output}
	mustImport(t, two.Output, o)
	holds(t, priv, "apps/acme/app:2", two.Images[0].Digest)
	if r, err := Verify(t.Context(), two.Output, tr.trust, nil, one.Output); err != nil || r.Lent != 2 {
		t.Errorf("%+v, %v", r, err)
	}

	whole := []byte(regtest.ReadFile(t, one.Output))
	base := layers(t, tr.pub, "acme/app:1")[0].Digest
	e, _ := mustOpen(t, one.Output, trust.TrustAnyone()).Reader.Entry(layout.BlobName(base))
	whole[e.Offset+e.Size/2] ^= 1
	bad := filepath.Join(tr.dir, "bad.tar")
	if err := os.WriteFile(bad, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	priv = startRegistry(t)
	o = onto(priv, tr.trust)
	o.More = []string{bad}
	_, err := Import(t.Context(), two.Output, o)
	wantError(t, err, fault.Damaged, bad, base.String()[7:])
	lacks(t, priv, "apps/acme/app:2")
	lacks(t, priv, "apps/acme/side:1")
	_, err = Verify(t.Context(), two.Output, tr.trust, nil, bad)
	wantError(t, err, fault.Damaged, bad, base.String()[7:])
	_, err = Merge(t.Context(), two.Output, MergeOptions{Older: []string{bad}, Output: filepath.Join(tr.dir, "m.tar"), Signer: tr.signer})
	wantError(t, err, fault.Damaged, base.String())
	// Two whole bundles are not one and what it lacks.
	_, err = Import(t.Context(), one.Output, onto(priv, tr.trust))
	wantError(t, err, fault.Untrusted)
	o.More = []string{one.Output}
	full := tr.export(t, "2", "full.tar")
	_, err = Import(t.Context(), full.Output, o)
	wantError(t, err, fault.Usage, "different bundles", one.Output, full.Output)
}

// A delta in parts, of a bundle in parts: any medium at a time, with parity.
func TestDeltaParts(t *testing.T) {
	t.Parallel()
	pub, _, eo, set, tr := inParts(t, SetOptions{Folders: []string{t.TempDir()}, Parity: 1})
	eo.Images = append(eo.Images, "docker.io/acme/more:1")
	pushImage(t, pub, "acme/more:1", regtest.Image{Layers: []regtest.Layer{{Size: 5000, Seed: 1}, {Size: 90_000, Seed: 77}, {Size: 90_000, Seed: 78}}})
	dir := t.TempDir()
	eo.Bases = []string{filepath.Dir(set.Parts[0].Path)}
	eo.Set = &SetOptions{Folders: []string{dir}, Size: PartSize{Bytes: partSize}, Parity: 1}
	eo.Output = "delta.bundle.tar"
	delta := mustExport(t, eo)
	if delta.Count < 3 || delta.Bases[0].Layers != 6 {
		t.Fatalf("%d parts, %+v", delta.Count, delta.Bases)
	}
	if err := os.Remove(delta.Parts[1].Path); err != nil { // parity makes up for it
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), dir, tr, nil); err != nil {
		t.Error(err)
	}
	priv := startRegistry(t)
	o := onto(priv, tr)
	_, err := Import(t.Context(), dir, o)
	wantError(t, err, fault.NeedsMore, "6 layers")
	if w := writes(priv); w != nil {
		t.Errorf("writes %v", w)
	}
	o.More = []string{filepath.Dir(set.Parts[0].Path)}
	mustImport(t, dir, o)
	for _, im := range delta.Images {
		holds(t, priv, "apps/"+strings.TrimPrefix(im.Reference, "docker.io/"), im.Digest)
	}
}

// An update in which three of 65 layers change weighs those and two hundredths more,
// and an import sends no other layer.
func TestDeltaWeighs(t *testing.T) {
	t.Parallel()
	tr := newTrip(t)
	image := func(changed int64) (im regtest.Image) {
		for i := range int64(65) {
			l := regtest.Layer{Size: 1000, Seed: i}
			if i >= 62 {
				l = regtest.Layer{Size: 1_500_000, Seed: changed + i}
			}
			im.Layers = append(im.Layers, l)
		}
		return im
	}
	pushImage(t, tr.pub, "acme/large:1", image(1000))
	pushImage(t, tr.pub, "acme/large:2", image(2000))
	one := tr.exportImages(t, "1.tar", nil, "acme/large:1")
	two := tr.exportImages(t, "2.tar", []string{one.Output}, "acme/large:2")
	changed := int64(0)
	for _, l := range layers(t, tr.pub, "acme/large:2")[62:] {
		changed += l.Size
	}
	if limit := changed * 102 / 100; two.Size > limit || two.Bases[0].Layers != 62 {
		t.Errorf("%d bytes, more than %d; %+v", two.Size, limit, two.Bases)
	}
	priv := startRegistry(t)
	mustImport(t, one.Output, onto(priv, tr.trust))
	priv.Log.Reset()
	report := mustImport(t, two.Output, onto(priv, tr.trust))
	holds(t, priv, "apps/acme/large:2", two.Images[0].Digest)
	if n := report.Bytes.Sent; n < changed || n > changed*102/100 {
		t.Errorf("%d bytes were sent, for layers of %d", n, changed)
	}
	if n := priv.Log.Count("GET", regtest.Blob); n > 1 { // of the record of the import before
		t.Errorf("%d blobs were read", n)
	}
}

// A server says of a delta what it lacks, unless another bundle has it.
func TestDeltaServed(t *testing.T) {
	tr := newTrip(t)
	one := tr.export(t, "1", "1.tar")
	two := tr.export(t, "2", "2.tar", one.Output)
	for _, tc := range []struct {
		paths []string
		lacks int
	}{{[]string{two.Output}, 2}, {[]string{two.Output, one.Output}, 0}, {[]string{one.Output, two.Output}, 0}} {
		ctx, cancel := context.WithCancel(t.Context())
		var told *reports.Serve
		err := Serve(ctx, tc.paths, ServeOptions{Trust: tr.trust, Listen: "127.0.0.1:0", PlainHTTP: true, Ready: func(r *reports.Serve) {
			told = r
			cancel()
		}})
		cancel()
		if err != nil || told == nil {
			t.Fatalf("%v: %v", tc.paths, err)
		}
		got, bytes := 0, int64(0)
		for _, b := range told.Bundles {
			got, bytes = got+b.Lacks, bytes+b.LacksBytes
		}
		if got != tc.lacks || (bytes > 0) != (got > 0) {
			t.Errorf("%v: %+v", tc.paths, told.Bundles)
		}
	}
}
