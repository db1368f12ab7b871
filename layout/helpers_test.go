package layout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)

const testRef = "registry.example/team/app:1.0"

// sample is the content of a small, complete bundle.
type sample struct {
	files []layout.File
	late  map[digest.Digest][]byte // blobs without Data
	all   map[string][]byte        // content of every entry
	root  ocispec.Descriptor
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// pseudo returns bytes that depend on the seed alone.
func pseudo(seed uint64, size int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// newSample makes a bundle of one image whose layers have the sizes given.
func newSample(t testing.TB, sizes ...int) *sample {
	t.Helper()
	s := &sample{late: make(map[digest.Digest][]byte), all: make(map[string][]byte)}
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    describe(ocispec.MediaTypeImageConfig, config),
	}
	var layers []layout.File
	for i, size := range sizes {
		data := pseudo(uint64(i), size)
		d := describe(ocispec.MediaTypeImageLayer, data)
		manifest.Layers = append(manifest.Layers, d)
		s.late[d.Digest] = data
		layers = append(layers, layout.File{Name: layout.BlobName(d.Digest), Size: d.Size})
	}
	manifestJSON := mustJSON(t, manifest)
	s.root = describe(ocispec.MediaTypeImageManifest, manifestJSON)
	s.root.Annotations = map[string]string{ocispec.AnnotationRefName: testRef}
	index := mustJSON(t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{s.root},
	})
	s.files = append([]layout.File{
		known(layout.LayoutFile, layout.LayoutContent()),
		known(layout.SumsFile, []byte("sums\n")),
		known(layout.SignatureFile, []byte("signature\n")),
		known(layout.IndexFile, index),
		known(layout.BlobName(manifest.Config.Digest), config),
		known(layout.BlobName(s.root.Digest), manifestJSON),
	}, layers...)
	for _, f := range s.files {
		if s.all[f.Name] = f.Data; f.Data == nil {
			d, _ := layout.BlobDigest(f.Name)
			s.all[f.Name] = s.late[d]
		}
	}
	return s
}

func known(name string, data []byte) layout.File {
	return layout.File{Name: name, Size: int64(len(data)), Data: data}
}

func (s *sample) plan(t testing.TB) *layout.Plan {
	t.Helper()
	p, err := layout.NewPlan(s.files, testTime)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (s *sample) open(d digest.Digest) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.late[d])), nil
}

// bytes returns the bundle as a stream.
func (s *sample) bytes(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := layout.Stream(&buf, s.plan(t), s.open); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func create(t testing.TB, path string, p *layout.Plan) *layout.Writer {
	t.Helper()
	w, err := layout.Create(path, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func writeBlob(w *layout.Writer, d digest.Digest, data []byte) error {
	b, err := w.Blob(d)
	if err != nil {
		return err
	}
	_, err = b.Write(data)
	return errors.Join(err, b.Close())
}

func newReader(data []byte) (*layout.Reader, error) {
	return layout.NewReader(bytes.NewReader(data), int64(len(data)))
}

func mustReader(t testing.TB, data []byte) *layout.Reader {
	t.Helper()
	r, err := newReader(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// readAll reads an entry through the verifying reader.
func readAll(r *layout.Reader, name string, want digest.Digest) ([]byte, error) {
	rc, err := r.OpenFile(name, want)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(rc)
	return data, errors.Join(err, rc.Close())
}

// wantFiles checks what a folder holds.
func wantFiles(t testing.TB, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if len(got) != len(want) {
		t.Fatalf("%s holds %q, want %q", folder, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s holds %q, want %q", folder, got, want)
		}
	}
}
