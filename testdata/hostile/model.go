package hostile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/checksum"
)

const (
	recordType = "application/vnd.bundle.record.v1+json"
	chartType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	configType = "application/vnd.cncf.helm.config.v1+json"

	imageName  = "ghcr.io/acme/app:1"
	chartName  = "bundle.invalid/charts/app:1.0.0"
	recordName = "bundle.invalid/record:0123456789abcdef"

	nameAnnotation = "io.containerd.image.name"
)

// modTime is the time of creation of every bundle here.
var modTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// An attack is a bundle with something changed on the way from its content to
// its bytes. What comes after the change is made to fit.
type attack struct {
	layer    []byte                                  // content of the one layer
	manifest func(*ocispec.Manifest)                 // of the image
	document func([]byte) []byte                     // its bytes
	extra    func(blobs) []ocispec.Descriptor        // more entries for index.json, with their blobs
	archive  []byte                                  // the chart, packed
	chart    func(*ocispec.Manifest)                 // its manifest
	record   func(map[string]any)                    // the bundle record
	recorded func([]byte) []byte                     // its bytes
	holder   func(*ocispec.Manifest)                 // its manifest
	index    func(*ocispec.Index)                    // index.json
	indexed  func([]byte) []byte                     // its bytes
	blobs    func(blobs)                             // all blobs, before they are listed
	sums     func([]string) []string                 // lines of SHA256SUMS
	sign     func(sums []byte) []byte                // makes SHA256SUMS.sig
	after    func(sums []byte) []byte                // SHA256SUMS, after it was signed
	entries  func([]entry) []entry                   // what goes into the tar
	parts    func([]entry) []part                    // the whole tar
	bytes    func(whole []byte, at offsets) []byte   // the whole tar
	image    func(root *ocispec.Descriptor, b blobs) // the image's entry in index.json
}

// blobs is content by digest. A nil content is a blob that is not inside.
type blobs map[digest.Digest][]byte

func (b blobs) put(mediaType string, content []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	b[d.Digest] = content
	return d
}

func (b blobs) putJSON(mediaType string, v any) ocispec.Descriptor {
	return b.put(mediaType, must(json.Marshal(v)))
}

func (b blobs) putManifest(m ocispec.Manifest, edit func(*ocispec.Manifest)) ocispec.Descriptor {
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	if edit != nil {
		edit(&m)
	}
	return b.putJSON(ocispec.MediaTypeImageManifest, m)
}

// putIndex makes an index of its own.
func (b blobs) putIndex(children ...ocispec.Descriptor) ocispec.Descriptor {
	return b.putJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
}

func named(d ocispec.Descriptor, name string) ocispec.Descriptor {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name, nameAnnotation: name}
	return d
}

var imageConfig = []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)

// content makes the bundle.
func (a attack) content() Content {
	b := make(blobs)
	image := a.putImage(b)
	chart := a.putChart(b)
	index := ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{named(image, imageName), named(chart, chartName)},
	}
	if a.extra != nil {
		index.Manifests = append(index.Manifests, a.extra(b)...)
	}
	index.Manifests = append(index.Manifests, a.putRecord(b, image, chart))
	if a.index != nil {
		a.index(&index)
	}
	head := must(json.Marshal(index))
	if a.indexed != nil {
		head = a.indexed(head)
	}
	if a.blobs != nil {
		a.blobs(b)
	}
	return a.seal(head, b)
}

func (a attack) make() func() Content { return a.content }

func (a attack) putImage(b blobs) ocispec.Descriptor {
	layer := a.layer
	if layer == nil {
		layer = theLayer
	}
	root := b.putManifest(ocispec.Manifest{
		Config: b.put(ocispec.MediaTypeImageConfig, imageConfig),
		Layers: []ocispec.Descriptor{b.put(ocispec.MediaTypeImageLayer, layer)},
	}, a.manifest)
	if a.document != nil {
		doc := a.document(b[root.Digest])
		delete(b, root.Digest)
		root = b.put(root.MediaType, doc)
	}
	if a.image != nil {
		a.image(&root, b)
	}
	return root
}

func (a attack) putChart(b blobs) ocispec.Descriptor {
	archive := a.archive
	if archive == nil {
		archive = goodArchive()
	}
	return b.putManifest(ocispec.Manifest{
		Config: b.put(configType, []byte(`{"apiVersion":"v2","name":"app","version":"1.0.0"}`)),
		Layers: []ocispec.Descriptor{b.put(chartType, archive)},
	}, a.chart)
}

func (a attack) putRecord(b blobs, image, chart ocispec.Descriptor) ocispec.Descriptor {
	size := image.Size + int64(len(imageConfig))
	var m ocispec.Manifest
	if json.Unmarshal(b[image.Digest], &m) == nil {
		for _, l := range m.Layers {
			size += l.Size
		}
	}
	rec := map[string]any{
		"formatVersion": 1,
		"tool":          "hostile",
		"created":       modTime,
		"id":            "0123456789abcdef",
		"charts": []any{map[string]any{
			"name": "app", "version": "1.0.0", "source": "app", "reference": chartName, "digest": chart.Digest,
			"release": "app", "namespace": "default", "kubeVersion": "v1.34.0",
		}},
		"images": []any{map[string]any{
			"reference": imageName, "digest": image.Digest, "mediaType": image.MediaType, "size": size,
			"platforms": []string{"linux/amd64"},
			"found":     []any{map[string]any{"raw": imageName, "confidence": "image"}},
		}},
	}
	if a.record != nil {
		a.record(rec)
	}
	doc := must(json.Marshal(rec))
	if a.recorded != nil {
		doc = a.recorded(doc)
	}
	d := b.putManifest(ocispec.Manifest{
		ArtifactType: recordType,
		Config:       b.put(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers:       []ocispec.Descriptor{b.put(recordType, doc)},
	}, a.holder)
	d.ArtifactType = recordType
	return named(d, recordName)
}

// seal lists, signs and writes.
func (a attack) seal(head []byte, b blobs) Content {
	files := []entry{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {name: "index.json", data: head}}
	for _, d := range slices.Sorted(maps.Keys(b)) {
		if b[d] != nil {
			files = append(files, entry{name: blobName(d), data: b[d]})
		}
	}
	var lines []string
	for _, f := range files {
		lines = append(lines, line(f.data, f.name))
	}
	slices.SortFunc(lines, func(x, y string) int { return strings.Compare(x[64:], y[64:]) })
	if a.sums != nil {
		lines = a.sums(lines)
	}
	sums := []byte(strings.Join(lines, ""))
	sign := a.sign
	if sign == nil {
		sign = func(sums []byte) []byte { return must(checksum.Sign(sums, Signer())) }
	}
	sig := sign(sums)
	if a.after != nil {
		sums = a.after(sums)
	}
	list := []entry{files[0], {name: "SHA256SUMS", data: sums}}
	if sig != nil {
		list = append(list, entry{name: "SHA256SUMS.sig", data: sig})
	}
	return a.write(append(list, files[1:]...))
}

func (a attack) write(list []entry) Content {
	if a.entries != nil {
		list = a.entries(list)
	}
	if a.parts != nil {
		return content(a.parts(list)...)
	}
	if a.bytes != nil {
		b, at := packTar(list)
		return whole(a.bytes(b, at))
	}
	return content(tarParts(list)...)
}

func line(data []byte, name string) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]) + "  " + name + "\n"
}

func blobName(d digest.Digest) string {
	return "blobs/" + strings.Replace(d.String(), ":", "/", 1)
}

// A file of a chart archive.
type file struct {
	name   string
	data   []byte
	header func(*tar.Header)
}

func chartFiles(more ...file) []file {
	return append([]file{
		{name: "app/Chart.yaml", data: []byte("apiVersion: v2\nname: app\nversion: 1.0.0\n")},
		{name: "app/values.yaml", data: []byte("image: " + imageName + "\n")},
		{name: "app/templates/pod.yaml", data: []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: app}\nspec: {containers: [{name: app, image: '{{ .Values.image }}'}]}\n")},
	}, more...)
}

// goodArchive is the chart of most bundles, packed once.
var goodArchive = sync.OnceValue(func() []byte { return packed(chartFiles()...) })

// packed is a chart archive.
func packed(files ...file) []byte {
	var buf bytes.Buffer
	zw := must(gzip.NewWriterLevel(&buf, gzip.BestSpeed))
	tw := tar.NewWriter(zw)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data)), ModTime: modTime}
		if f.header != nil {
			f.header(h)
		}
		if err := tw.WriteHeader(h); err != nil {
			panic(err)
		}
		must(tw.Write(f.data))
	}
	if err := tw.Close(); err != nil {
		panic(err)
	}
	if err := zw.Close(); err != nil {
		panic(err)
	}
	return buf.Bytes()
}
