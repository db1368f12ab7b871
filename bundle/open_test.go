package bundle

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// The unbroken bundle passes everywhere: what the breakages below break is the
// only thing wrong.
func TestOpenWhole(t *testing.T) {
	signer, believed := newKey(t)
	path := breakage{}.build(t, signer)
	b := mustOpen(t, path, believed)
	if len(b.Signers) != 1 || b.Signers[0].Fingerprint != signer.Fingerprint() {
		t.Errorf("signers %+v, want %s", b.Signers, signer.Fingerprint())
	}
	if _, err := Verify(context.Background(), path, believed, nil); err != nil {
		t.Error(err)
	}
	priv := startRegistry(t)
	mustImport(t, path, onto(priv, believed))
	holds(t, priv, "apps/acme/app:1", b.Record.Images[0].Digest)
	holds(t, priv, "apps/charts/app:1.0.0", b.Record.Charts[0].Digest)
}

var (
	layerName = layout.BlobName(digest.FromBytes(brokenLayer))
	elsewhere = digest.FromString("elsewhere")
)

// dropSum takes one line out.
func dropSum(name string) func(checksum.Sums) checksum.Sums {
	return func(s checksum.Sums) checksum.Sums {
		var kept checksum.Sums
		for _, x := range s {
			if x.Name != name {
				kept = append(kept, x)
			}
		}
		return kept
	}
}

// editSum changes the digest that one entry is listed under.
func editSum(name string) func(checksum.Sums) checksum.Sums {
	return func(s checksum.Sums) checksum.Sums {
		for i := range s {
			if s[i].Name == name {
				s[i].Digest[0] ^= 1
			}
		}
		return s
	}
}

func addSum(name string) func(checksum.Sums) checksum.Sums {
	return func(s checksum.Sums) checksum.Sums { return append(s, checksum.Sum{Name: name}) }
}

// entry edits the n-th descriptor of index.json: the image, the chart, the
// record.
func entry(n int, edit func(*ocispec.Descriptor)) func(*ocispec.Index) {
	return func(ix *ocispec.Index) { edit(&ix.Manifests[n]) }
}

func layer(edit func(*ocispec.Descriptor)) func(*ocispec.Manifest) {
	return func(m *ocispec.Manifest) { edit(&m.Layers[0]) }
}

func replace(old, with string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(with), 1) }
}

// refusals are bundles that a trusted key signed, and that Open does not take
// all the same.
var refusals = []struct {
	name   string
	broken breakage
	kind   fault.Kind
	names  []string // parts of the message
}{
	// SHA256SUMS and the set of entries
	{"entry that is not listed", breakage{sums: dropSum(layerName)}, fault.Damaged, []string{layerName, "not listed"}},
	{"index.json not listed", breakage{sums: dropSum(layout.IndexFile)}, fault.Damaged, []string{"index.json", "not listed"}},
	{"listed entry that is not inside", breakage{sums: addSum(layout.BlobName(elsewhere))}, fault.Damaged, []string{elsewhere.Encoded(), "not in the bundle"}},
	{"listed file that no bundle has", breakage{sums: addSum("README")}, fault.Damaged, []string{"README"}},
	{"list that lists itself", breakage{sums: addSum(layout.SumsFile)}, fault.Damaged, []string{"SHA256SUMS"}},
	{"blob under a wrong digest", breakage{sums: editSum(layerName)}, fault.Damaged, []string{layerName}},
	{"index.json under a wrong digest", breakage{sums: editSum(layout.IndexFile)}, fault.Damaged, []string{"index.json"}},
	{"oci-layout under a wrong digest", breakage{sums: editSum(layout.LayoutFile)}, fault.Damaged, []string{"oci-layout"}},
	{"list in another order", breakage{list: func(b []byte) []byte {
		lines := strings.SplitAfter(string(b), "\n")
		lines[0], lines[1] = lines[1], lines[0]
		return []byte(strings.Join(lines, ""))
	}}, fault.Damaged, []string{"SHA256SUMS"}},
	{"signature over something else", breakage{signed: func([]byte) []byte { return []byte("else") }}, fault.Untrusted, []string{"signature"}},

	// the graph
	{"blob that nothing names", breakage{blobs: func(b map[digest.Digest][]byte) { b[elsewhere] = []byte("elsewhere") }}, fault.Damaged,
		[]string{layout.BlobName(elsewhere), "leads to"}},
	{"blob that is named and not inside", breakage{blobs: func(b map[digest.Digest][]byte) { delete(b, digest.FromBytes(brokenLayer)) }}, fault.Damaged,
		[]string{layerName, "not in the bundle"}},
	{"manifest that is named and not inside", breakage{index: func(ix *ocispec.Index) {
		ix.Manifests = append(ix.Manifests, nameIt(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: elsewhere, Size: 9}, "ghcr.io/acme/else:1"))
	}}, fault.Damaged, []string{elsewhere.Encoded()}},
	{"size of a layer", breakage{image: layer(func(d *ocispec.Descriptor) { d.Size++ })}, fault.Damaged, []string{layerName, "27"}},
	{"size of a manifest", breakage{index: entry(0, func(d *ocispec.Descriptor) { d.Size++ })}, fault.Damaged, []string{"descriptor says"}},
	{"negative size", breakage{image: layer(func(d *ocispec.Descriptor) { d.Size = -1 })}, fault.Damaged, []string{"negative"}},
	{"layer that only its urls have", breakage{image: layer(func(d *ocispec.Descriptor) {
		d.Digest, d.URLs = elsewhere, []string{"https://elsewhere.example/layer"}
	})}, fault.Damaged, []string{elsewhere.Encoded(), "not in the bundle"}},
	{"config that lies elsewhere", breakage{image: func(m *ocispec.Manifest) { m.Config.URLs = []string{"https://elsewhere.example/config"} }}, fault.Damaged,
		[]string{"foreign urls"}},
	{"media type of another kind of document", breakage{index: entry(0, func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex })}, fault.Damaged,
		[]string{"calls itself"}},
	{"digest that is not sha256", breakage{image: layer(func(d *ocispec.Descriptor) { d.Digest = digest.SHA512.FromBytes(brokenLayer) })}, fault.Damaged,
		[]string{"sha512"}},

	// names in index.json
	{"reference without host", breakage{
		record: func(r *record.Record) { r.Images[0].Reference = "acme/app:1" },
		index:  entry(0, func(d *ocispec.Descriptor) { *d = nameIt(*d, "acme/app:1") }),
	}, fault.Damaged, []string{"acme/app:1"}},
	{"reference without tag", breakage{
		record: func(r *record.Record) { r.Images[0].Reference = "ghcr.io/acme/app" },
		index:  entry(0, func(d *ocispec.Descriptor) { *d = nameIt(*d, "ghcr.io/acme/app") }),
	}, fault.Damaged, []string{"ghcr.io/acme/app"}},
	{"reference that is none", breakage{
		record: func(r *record.Record) { r.Images[0].Reference = "ghcr.io/../app:1" },
		index:  entry(0, func(d *ocispec.Descriptor) { *d = nameIt(*d, "ghcr.io/../app:1") }),
	}, fault.Damaged, []string{"ghcr.io/../app:1"}},
	{"reference pinned to another digest", breakage{
		record: func(r *record.Record) { r.Images[0].Reference = "ghcr.io/acme/app@" + elsewhere.String() },
		index:  entry(0, func(d *ocispec.Descriptor) { *d = nameIt(*d, "ghcr.io/acme/app@"+elsewhere.String()) }),
	}, fault.Damaged, []string{elsewhere.String()}},
	{"entry without a name", breakage{index: entry(0, func(d *ocispec.Descriptor) { d.Annotations = nil })}, fault.Damaged, []string{"ref.name"}},
	{"two names for containerd", breakage{index: entry(0, func(d *ocispec.Descriptor) { d.Annotations["io.containerd.image.name"] = "ghcr.io/acme/other:1" })}, fault.Damaged,
		[]string{"ghcr.io/acme/other:1", brokenImage}},
	{"one name twice", breakage{index: func(ix *ocispec.Index) { ix.Manifests = append(ix.Manifests, ix.Manifests[0]) }}, fault.Damaged, []string{brokenImage, "twice"}},

	// the record
	{"no record", breakage{index: entry(2, func(d *ocispec.Descriptor) { d.ArtifactType = "" })}, fault.Damaged, []string{"0 bundle records"}},
	{"two records", breakage{index: func(ix *ocispec.Index) {
		ix.Manifests = append(ix.Manifests, nameIt(ix.Manifests[2], "bundle.invalid/record:again"))
	}}, fault.Damaged, []string{"2 bundle records"}},
	{"record in two layers", breakage{holder: func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }}, fault.Damaged, []string{"bundle record"}},
	{"record of another type", breakage{holder: layer(func(d *ocispec.Descriptor) { d.MediaType = "application/json" })}, fault.Damaged, []string{record.Type}},
	{"record of a newer format", breakage{document: replace(`"formatVersion": 1`, `"formatVersion": 2`)}, fault.Damaged, []string{"version 2", "version 1"}},
	{"record without a format", breakage{document: replace(`"formatVersion": 1,`, ``)}, fault.Damaged, []string{"version 0"}},
	{"record that is not JSON", breakage{document: func(b []byte) []byte { return b[:len(b)/2] }}, fault.Damaged, []string{"bundle record"}},
	{"record with something behind it", breakage{document: func(b []byte) []byte { return append(b, '{', '}') }}, fault.Damaged, []string{"bundle record"}},
	{"image extra in the record", breakage{record: func(r *record.Record) {
		r.Images = append(r.Images, record.Image{Reference: "ghcr.io/acme/extra:1", Digest: elsewhere, Found: []record.Finding{{Raw: "ghcr.io/acme/extra:1"}}})
	}}, fault.Damaged, []string{"ghcr.io/acme/extra:1"}},
	{"image extra in the record, without digest", breakage{record: func(r *record.Record) {
		r.Images = append(r.Images, record.Image{Reference: "ghcr.io/acme/extra:1", Found: []record.Finding{{Raw: "ghcr.io/acme/extra:1"}}})
	}}, fault.Damaged, []string{"ghcr.io/acme/extra:1"}},
	{"image twice in the record", breakage{record: func(r *record.Record) { r.Images = append(r.Images, r.Images[0]) }}, fault.Damaged, []string{brokenImage}},
	{"image missing in the record", breakage{record: func(r *record.Record) { r.Images = nil }}, fault.Damaged, []string{brokenImage}},
	{"image with another digest in the record", breakage{record: func(r *record.Record) { r.Images[0].Digest = elsewhere }}, fault.Damaged, []string{brokenImage, elsewhere.String()}},
	{"chart missing in the record", breakage{record: func(r *record.Record) { r.Charts = nil }}, fault.Damaged, []string{brokenChart}},
	{"chart extra in the record", breakage{record: func(r *record.Record) {
		c := r.Charts[0]
		c.Reference = "bundle.invalid/charts/extra:1"
		r.Charts = append(r.Charts, c)
	}}, fault.Damaged, []string{"bundle.invalid/charts/extra:1"}},
	{"chart with another digest in the record", breakage{record: func(r *record.Record) { r.Charts[0].Digest = elsewhere }}, fault.Damaged, []string{brokenChart, elsewhere.String()}},
	{"release that leads out of the folder", breakage{record: func(r *record.Record) { r.Charts[0].Release = "../../escaped" }}, fault.Damaged, []string{"../../escaped"}},
	{"no release", breakage{record: func(r *record.Record) { r.Charts[0].Release = "" }}, fault.Damaged, []string{"release"}},
	{"time of another year", breakage{record: func(r *record.Record) { r.Created = r.Created.AddDate(1, 0, 0) }}, fault.Damaged, []string{"created"}},

	// the chart archive; only Import reads it, before it writes anything
	{"archive of another version", breakage{archive: func(f map[string]string) { f["Chart.yaml"] = "apiVersion: v2\nname: app\nversion: 2.0.0\n" }}, fault.Damaged,
		[]string{"chart app-1.0.0", "2.0.0"}},
	{"archive of another chart", breakage{archive: func(f map[string]string) { f["Chart.yaml"] = "apiVersion: v2\nname: other\nversion: 1.0.0\n" }}, fault.Damaged,
		[]string{"chart app-1.0.0", "other"}},
	{"archive without Chart.yaml", breakage{archive: func(f map[string]string) { delete(f, "Chart.yaml") }}, fault.Damaged, []string{"chart app-1.0.0"}},
	{"chart without archive", breakage{chart: layer(func(d *ocispec.Descriptor) { d.MediaType = "application/octet-stream" })}, fault.Damaged, []string{"chart app-1.0.0"}},
}

// Every refusal comes before the registry hears anything.
func TestRefusals(t *testing.T) {
	t.Parallel()
	signer, believed := newKey(t)
	priv := startRegistry(t)
	for _, tc := range refusals {
		t.Run(tc.name, func(t *testing.T) {
			priv.Log.Reset()
			path := tc.broken.build(t, signer)
			out := filepath.Join(t.TempDir(), "out")
			o := onto(priv, believed)
			o.OutputDir = out
			r, err := Import(context.Background(), path, o)
			wantError(t, err, tc.kind, tc.names...)
			if err == nil {
				t.Fatalf("pushed: %+v", r.Images)
			}
			if n := priv.Log.Count("", ""); n != 0 {
				t.Errorf("the registry got %d requests", n)
			}
			if fault.Hint(err) == "" {
				t.Error("no hint")
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the output folder: %v", err)
			}
		})
	}
}

// What Open refuses, Verify and Inspect refuse too, and whoever signed it.
func TestRefusalsWithoutKey(t *testing.T) {
	signer, _ := newKey(t)
	for _, tc := range refusals {
		if tc.kind != fault.Damaged || tc.broken.archive != nil || tc.broken.chart != nil {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			path := tc.broken.build(t, signer)
			_, err := Verify(context.Background(), path, trust.TrustAnyone(), nil)
			wantError(t, err, fault.Damaged, append(tc.names, path)...)
			_, err = Inspect(context.Background(), path, nil)
			wantError(t, err, fault.Damaged, append(tc.names, path)...)
		})
	}
}

func TestOpenUntrusted(t *testing.T) {
	signer, believed := newKey(t)
	_, stranger := newKey(t)
	path := breakage{}.build(t, signer)
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	unsigned := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Registry: through(pub)}).Output
	priv := startRegistry(t)
	for _, tc := range []struct {
		name, path string
		believed   *trust.Trust
		reason     checksum.Reason
	}{
		{"key that is not trusted", path, stranger, checksum.UnknownKey},
		{"nobody is trusted", path, new(trust.Trust), checksum.NoTrust},
		{"nobody was named", path, nil, checksum.NoTrust},
		{"unsigned", unsigned, believed, checksum.Unsigned},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Import(context.Background(), tc.path, onto(priv, tc.believed))
			var found *checksum.TrustError
			if !errors.As(err, &found) || found.Reason != tc.reason {
				t.Errorf("error %v, want reason %s", err, tc.reason)
			}
			wantError(t, err, fault.Untrusted, tc.path)
			if fault.Hint(err) == "" {
				t.Error("no hint")
			}
			if _, err := Verify(context.Background(), tc.path, tc.believed, nil); fault.KindOf(err) != fault.Untrusted {
				t.Errorf("verify: %v", err)
			}
		})
	}
	if n := priv.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
	b := mustOpen(t, unsigned, trust.TrustAnyone())
	if len(b.Signers) != 0 || !b.SignatureSkipped {
		t.Errorf("signed by %+v", b.Signers)
	}
}

// An index below an index is walked too.
func TestOpenNestedMissing(t *testing.T) {
	signer, believed := newKey(t)
	blobs := make(blobSet)
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: elsewhere, Size: 9}
	inner := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{missing}}
	outer := inner
	outer.Manifests = []ocispec.Descriptor{blobs.putJSON(t, ocispec.MediaTypeImageIndex, inner)}
	root := blobs.putJSON(t, ocispec.MediaTypeImageIndex, outer)
	path := breakage{
		record: func(r *record.Record) {
			r.Images = append(r.Images, record.Image{Reference: "ghcr.io/acme/multi:1", Digest: root.Digest, Found: []record.Finding{{Raw: "ghcr.io/acme/multi:1"}}})
		},
		index: func(ix *ocispec.Index) { ix.Manifests = append(ix.Manifests, nameIt(root, "ghcr.io/acme/multi:1")) },
		blobs: func(all map[digest.Digest][]byte) {
			for d, b := range blobs {
				all[d] = b
			}
		},
	}.build(t, signer)
	_, err := open.File(t.Context(), path, believed)
	wantError(t, err, fault.Damaged, elsewhere.Encoded())
}

// Flipping any one bit of a bundle is found by Verify, and what it says
// depends on where the bit is: before the signature is checked nothing is
// believed.
func TestVerifyFindsEveryFlip(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	believed := goldenTrust(t)
	path := filepath.Join(t.TempDir(), "flipped.tar")
	for at := 0; at < len(whole); at += 61 {
		b := bytes.Clone(whole)
		b[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Verify(context.Background(), path, believed, nil)
		if kind := fault.KindOf(err); err == nil || kind != fault.Damaged && kind != fault.Untrusted {
			t.Errorf("bit %d of byte %d flipped: kind %d: %v", at%8, at, kind, err)
		}
	}
}

// All damaged entries are named, not the first alone.
func TestVerifyNamesAll(t *testing.T) {
	b := mustOpen(t, goldenFile, goldenTrust(t))
	whole := []byte(regtest.ReadFile(t, goldenFile))
	var names []string
	for _, d := range b.Blobs {
		if strings.Contains(d.MediaType, "layer") || strings.Contains(d.MediaType, "diff.tar") {
			e, _ := b.Reader.Entry(layout.BlobName(d.Digest))
			whole[e.Offset] ^= 1
			names = append(names, e.Name)
		}
	}
	if len(names) != 4 {
		t.Fatalf("%d layers in the golden bundle, want 4", len(names))
	}
	path := filepath.Join(t.TempDir(), "damaged.tar")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Verify(context.Background(), path, goldenTrust(t), nil)
	wantError(t, err, fault.Damaged, names...)
}

func TestVerifyCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Verify(ctx, goldenFile, goldenTrust(t), nil)
	wantError(t, err, fault.Interrupted)
}

func TestOpenNotAFile(t *testing.T) {
	dir := t.TempDir()
	_, err := open.File(t.Context(), dir, trust.TrustAnyone())
	wantError(t, err, fault.Usage, dir)
	_, err = open.File(t.Context(), filepath.Join(dir, "nowhere"), trust.TrustAnyone())
	wantError(t, err, fault.Usage, "nowhere")
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = open.File(t.Context(), empty, trust.TrustAnyone())
	wantError(t, err, fault.Usage, empty)
}
