package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/checksum"
	"bundle/layout"
	"bundle/testdata/regtest"
)

// A breakage breaks exactly one rule of the format. Each hook runs while a
// small whole bundle is put together (without any code of export), and what is
// built on top of the changed part is made to fit: digests, the record, the
// checksums, the signature.
type breakage struct {
	image    func(*ocispec.Manifest)           // manifest of the one image
	archive  func(files map[string]string)     // of the one chart
	chart    func(*ocispec.Manifest)           // manifest of the chart
	record   func(*record.Record)              //
	document func([]byte) []byte               // the record as it travels
	manifest func([]byte) []byte               // manifest of the image as it travels
	head     func([]byte) []byte               // index.json as it travels
	holder   func(*ocispec.Manifest)           // manifest that holds the record
	index    func(*ocispec.Index)              //
	blobs    func(map[digest.Digest][]byte)    // by digest
	sums     func(checksum.Sums) checksum.Sums //
	list     func([]byte) []byte               // SHA256SUMS as it travels
	signed   func([]byte) []byte               // what is signed in its place
}

const (
	brokenImage = "ghcr.io/acme/app:1"
	brokenChart = "bundle.invalid/charts/app:1.0.0"
)

var brokenLayer = []byte("the one layer of the image")

// blobSet collects the blobs of a bundle.
type blobSet map[digest.Digest][]byte

func (s blobSet) put(mediaType string, b []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
	s[d.Digest] = b
	return d
}

func (s blobSet) putJSON(t testing.TB, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(mediaType, b)
}

// putManifest stores m after edit had it, and then bytes.
func (s blobSet) putManifest(t testing.TB, m ocispec.Manifest, edit func(*ocispec.Manifest), bytes func([]byte) []byte) ocispec.Descriptor {
	t.Helper()
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	if edit != nil {
		edit(&m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if bytes != nil {
		b = bytes(b)
	}
	return s.put(m.MediaType, b)
}

func nameIt(d ocispec.Descriptor, name string) ocispec.Descriptor {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name, "io.containerd.image.name": name}
	return d
}

// build writes the bundle, signed, into a new folder and returns its path.
func (k breakage) build(t testing.TB, signer *trust.Signer) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broken.bundle.tar")
	if err := os.WriteFile(path, k.bytes(t, signer), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// bytes returns the bundle; without a signer it is not signed.
func (k breakage) bytes(t testing.TB, signer *trust.Signer) []byte {
	t.Helper()
	blobs := make(blobSet)
	config := blobs.put(ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	image := blobs.putManifest(t, ocispec.Manifest{
		Config: config,
		Layers: []ocispec.Descriptor{blobs.put(ocispec.MediaTypeImageLayer, brokenLayer)},
	}, k.image, k.manifest)
	chart := k.putChart(t, blobs)
	rec := &record.Record{
		FormatVersion: record.FormatVersion,
		Tool:          "test",
		Created:       regtest.Epoch,
		ID:            "0123456789abcdef",
		Charts: []record.Chart{{
			Name: "app", Version: "1.0.0", Source: "app", Reference: brokenChart, Digest: chart.Digest,
			Release: "app", Namespace: "default", KubeVersion: "v1.34.0",
		}},
		Images: []record.Image{{
			Reference: brokenImage, Digest: image.Digest, MediaType: image.MediaType, Size: image.Size + config.Size + int64(len(brokenLayer)), Platforms: []string{"linux/amd64"},
			Found: []record.Finding{{Raw: brokenImage, Confidence: "image"}},
		}},
	}
	if k.record != nil {
		k.record(rec)
	}
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{
			nameIt(image, brokenImage), nameIt(chart, brokenChart), k.putRecord(t, blobs, rec),
		},
	}
	if k.index != nil {
		k.index(&index)
	}
	if k.blobs != nil {
		k.blobs(blobs)
	}
	return k.seal(t, signer, index, blobs)
}

func (k breakage) putChart(t testing.TB, blobs blobSet) ocispec.Descriptor {
	t.Helper()
	files := map[string]string{
		"Chart.yaml":         "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"values.yaml":        "image: " + brokenImage + "\n",
		"templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec: {containers: [{name: app, image: '{{ .Values.image }}'}]}\n",
	}
	if k.archive != nil {
		k.archive(files)
	}
	archive, err := regtest.ChartArchive("app", files)
	if err != nil {
		t.Fatal(err)
	}
	return blobs.putManifest(t, ocispec.Manifest{
		Config: blobs.put(regtest.ChartConfig, []byte(`{"apiVersion":"v2","name":"app","version":"1.0.0"}`)),
		Layers: []ocispec.Descriptor{blobs.put(regtest.ChartContent, archive)},
	}, k.chart, nil)
}

func (k breakage) putRecord(t testing.TB, blobs blobSet, rec *record.Record) ocispec.Descriptor {
	t.Helper()
	doc, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	doc = append(doc, '\n')
	if k.document != nil {
		doc = k.document(doc)
	}
	d := blobs.putManifest(t, ocispec.Manifest{
		ArtifactType: record.Type,
		Config:       blobs.put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{blobs.put(record.Type, doc)},
	}, k.holder, nil)
	d.ArtifactType = record.Type
	return nameIt(d, "bundle.invalid/record:0123456789abcdef")
}

// seal lists, signs and lays out.
func (k breakage) seal(t testing.TB, signer *trust.Signer, index ocispec.Index, blobs blobSet) []byte {
	t.Helper()
	head, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	if k.head != nil {
		head = k.head(head)
	}
	sums := checksum.Sums{
		{Name: layout.LayoutFile, Digest: sha256.Sum256(layout.LayoutContent())},
		{Name: layout.IndexFile, Digest: sha256.Sum256(head)},
	}
	digests := slices.Sorted(maps.Keys(blobs))
	for _, d := range digests {
		sums = append(sums, checksum.Sum{Name: layout.BlobName(d), Digest: sha256.Sum256(blobs[d])})
	}
	if k.sums != nil {
		sums = k.sums(sums)
	}
	list := sums.Format()
	if k.list != nil {
		list = k.list(list)
	}
	message := list
	if k.signed != nil {
		message = k.signed(list)
	}
	file := func(name string, b []byte) layout.File {
		return layout.File{Name: name, Size: int64(len(b)), Data: b}
	}
	files := []layout.File{file(layout.LayoutFile, layout.LayoutContent()), file(layout.SumsFile, list)}
	if signer != nil {
		sig, err := signer.Sign(message)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file(layout.SignatureFile, sig))
	}
	files = append(files, file(layout.IndexFile, head))
	for _, d := range digests {
		files = append(files, file(layout.BlobName(d), blobs[d]))
	}
	plan, err := layout.NewPlan(files, regtest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	var tar bytes.Buffer
	if err := layout.Stream(&tar, plan, nil); err != nil {
		t.Fatal(err)
	}
	return tar.Bytes()
}
