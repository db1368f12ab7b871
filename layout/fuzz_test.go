package layout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
)

// FuzzReader: what the reader accepts can be planned again from what it says,
// and comes out the same, byte for byte.
func FuzzReader(f *testing.F) {
	f.Add([]byte(nil), false)
	for _, sizes := range [][]int{nil, {0}, {600, 10}} {
		data := newSample(f, sizes...).bytes(f)
		f.Add(data, true)
		f.Add(data[:len(data)-512], false)
		f.Add(append(bytes.Clone(data), 0), false)
	}
	unsigned := newSample(f)
	unsigned.files = slices.Delete(unsigned.files, 2, 3)
	f.Add(unsigned.bytes(f), true)
	f.Fuzz(func(t *testing.T, data []byte, sealed bool) {
		if sealed {
			data = bytes.Clone(data)
			sealAll(data)
		}
		r, err := newReader(data)
		if err != nil {
			var format *layout.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("not a FormatError: %v", err)
			}
			return
		}
		replan(t, r, data)
	})
}

// sealAll makes the checksum of every header right: no mutation would get
// beyond it otherwise.
func sealAll(data []byte) {
	for len(data) >= 512 {
		if bytes.HasPrefix(data[257:], []byte("ustar")) {
			seal(data)
		}
		data = data[512:]
	}
}

func replan(t *testing.T, r *layout.Reader, data []byte) {
	var files []layout.File
	damaged := false
	for _, e := range r.Entries() {
		content, err := r.ReadFile(e.Name, e.Size)
		if err != nil {
			t.Fatal(err)
		}
		d, isBlob := layout.BlobDigest(e.Name)
		damaged = damaged || isBlob && digest.FromBytes(content) != d
		damaged = damaged || e.Name == layout.LayoutFile && layout.ParseLayout(content) != nil
		files = append(files, layout.File{Name: e.Name, Size: e.Size, Data: content})
	}
	p, err := layout.NewPlan(files, r.ModTime())
	if (err != nil) != damaged {
		t.Fatalf("damaged: %v, plan: %v", damaged, err)
	}
	if damaged {
		return
	}
	var again bytes.Buffer
	noBlobs := func(digest.Digest) (io.ReadCloser, error) { return nil, errors.New("all content is known") }
	if err := layout.Stream(&again, p, noBlobs); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), data) || p.Size() != int64(len(data)) || !slices.Equal(p.Entries(), r.Entries()) {
		t.Fatal("the reader accepted what no plan describes")
	}
}

// FuzzParseIndex: what is accepted stays the same when written and read again.
func FuzzParseIndex(f *testing.F) {
	f.Add(newSample(f).all[layout.IndexFile])
	f.Add([]byte(indexOf()))
	f.Add([]byte(indexOf(desc(ociIndex, xDigest, 1, `,"data":"eA=="`+named("a/b@sha256:x")))))
	f.Add([]byte(`{"schemaVersion":2,"SchemaVersion":2}`))
	f.Add([]byte(strings.Repeat(`{"a":[`, 20)))
	f.Fuzz(func(t *testing.T, data []byte) {
		index, err := layout.ParseIndex(data)
		if err != nil {
			wantTyped(t, err)
			return
		}
		text, err := json.Marshal(index)
		if err != nil {
			t.Fatal(err)
		}
		again, err := layout.ParseIndex(text)
		if err != nil {
			t.Fatalf("not accepted again: %v\n%s", err, text)
		}
		// Empty and absent maps and lists are written the same.
		text2, err := json.Marshal(again)
		if err != nil || !bytes.Equal(text, text2) {
			t.Fatalf("changed (%v):\n%s\n%s", err, text, text2)
		}
		for _, d := range again.Manifests {
			if _, ok := layout.BlobDigest(layout.BlobName(d.Digest)); !ok || d.Size < 0 || !layout.IsManifest(d.MediaType) {
				t.Fatalf("accepted descriptor %+v", d)
			}
		}
	})
}

// FuzzChildren: whatever comes out can be an entry of a bundle.
func FuzzChildren(f *testing.F) {
	types := []string{ociIndex, ociManifest, dockerList, dockerManifest, schema1}
	config, layer := desc(ociConfig, xDigest, 1, ""), desc(ociLayer, xDigest, 1, "")
	f.Add(0, []byte(indexOf(desc(ociManifest, xDigest, 1, ""))))
	f.Add(1, []byte(manifestOf(ociManifest, config, layer)))
	f.Add(2, []byte(strings.Replace(indexOf(desc(dockerManifest, xDigest, 1, "")), ociIndex, dockerList, 1)))
	f.Add(3, []byte(manifestOf(dockerManifest, config, layer)))
	f.Add(4, []byte(`{"schemaVersion":1,"fsLayers":[{"blobSum":"sha256:00"}]}`))
	f.Add(1, []byte(manifestOf(ociManifest, config, desc(ociLayer, xDigest, 1, `,"urls":["http://x"],"data":"eA=="`))))
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		mediaType := types[uint(kind)%uint(len(types))]
		children, err := layout.Children(mediaType, data)
		if err != nil {
			wantTyped(t, err)
			return
		}
		for i, d := range children {
			layer := i > 0 && !layout.IsIndex(mediaType)
			if _, ok := layout.BlobDigest(layout.BlobName(d.Digest)); !ok || d.Size < 0 || layout.Elsewhere(d) && !layer || d.MediaType == "" {
				t.Fatalf("accepted descriptor %+v", d)
			}
			if layout.IsManifest(d.MediaType) != layout.IsIndex(mediaType) {
				t.Fatalf("%s in a %s", d.MediaType, mediaType)
			}
		}
	})
}

func wantTyped(t *testing.T, err error) {
	t.Helper()
	var content *layout.ContentError
	if !errors.As(err, &content) {
		t.Fatalf("not a ContentError: %v", err)
	}
}
