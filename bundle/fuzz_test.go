package bundle

import (
	"bytes"
	"io"
	"os"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/carried"
	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/name"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/trust"
	"bundle/layout"
	"bundle/testdata/hostile"
	"bundle/testdata/regtest"
)

// Whatever the bytes are, Open gives a bundle in which everything fits
// together, or an error that says it is damaged.
func FuzzOpen(f *testing.F) {
	whole, err := os.ReadFile(goldenFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-512])
	f.Add(whole[:1024])
	f.Add([]byte{})
	signer, _ := newKey(f)
	for _, tc := range refusals {
		f.Add(tc.broken.bytes(f, signer))
	}
	for _, c := range hostile.Cases() {
		if c.Large() {
			continue
		}
		if content := c.Make(); content.Size < 64<<10 {
			b, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := open.Reader(t.Context(), bytes.NewReader(data), int64(len(data)), trust.TrustAnyone())
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Damaged {
				t.Fatalf("kind %d: %v", kind, err)
			}
			return
		}
		fitsTogether(t, b)
	})
}

// FuzzOpenParts replaces one document in a bundle and makes everything else
// fit, so that what is wrong with it is not caught by a checksum.
func FuzzOpenParts(f *testing.F) {
	parts := func(doc []byte, seen func(part byte, b []byte)) []breakage {
		hook := func(part byte) func([]byte) []byte {
			return func(b []byte) []byte {
				if seen != nil {
					seen(part, b)
				}
				return doc
			}
		}
		return []breakage{{document: hook(0)}, {manifest: hook(1)}, {head: hook(2)}, {list: hook(3)}}
	}
	for _, k := range parts([]byte("{}"), func(part byte, b []byte) { f.Add(part, b) }) {
		k.bytes(f, nil)
	}
	f.Add(byte(0), []byte(regtest.ReadFile(f, regtest.Golden("v1.record.json"))))
	f.Add(byte(1), []byte(`{"schemaVersion":2,"config":{"mediaType":"a","digest":"`+elsewhere.String()+`","size":0},"layers":null}`))
	f.Add(byte(2), []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[]}`))
	f.Fuzz(func(t *testing.T, part byte, doc []byte) {
		if len(doc) == 0 {
			return
		}
		broken := parts(doc, nil)
		data := broken[int(part)%len(broken)].bytes(t, nil)
		b, err := open.Reader(t.Context(), bytes.NewReader(data), int64(len(data)), trust.TrustAnyone())
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Damaged {
				t.Fatalf("kind %d: %v", kind, err)
			}
			return
		}
		fitsTogether(t, b)
	})
}

// fitsTogether requires what Open promises of a bundle.
func fitsTogether(t *testing.T, b *open.Bundle) {
	t.Helper()
	listed := namesOf(b)
	for _, im := range b.Record.Images {
		if listed[im.Reference] != im.Digest || im.Digest == "" {
			t.Fatalf("record names %s as %q, index.json as %q", im.Reference, im.Digest, listed[im.Reference])
		}
		ref, err := name.Parse(im.Reference)
		if err != nil || ref.String() != im.Reference {
			t.Fatalf("%s is no full reference (%v)", im.Reference, err)
		}
	}
	for _, d := range b.Index.Manifests {
		manifests, blobs, err := b.BlobsOf(d)
		if err != nil {
			t.Fatalf("%s: %v", d.Digest, err)
		}
		for _, x := range append(manifests, blobs...) {
			if e, ok := b.Reader.Entry(layout.BlobName(x.Digest)); !ok || e.Size != x.Size {
				t.Fatalf("%s: blob %s of %d bytes: entry %+v", d.Digest, x.Digest, x.Size, e)
			}
		}
	}
	for _, c := range b.Record.Charts {
		// Whether it opens or not, it must not panic.
		if _, err := carried.Chart(b, c); err != nil && fault.KindOf(err) != fault.Damaged {
			t.Fatalf("chart: kind %d: %v", fault.KindOf(err), err)
		}
	}
}
