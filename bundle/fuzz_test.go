package bundle

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
	"bundle/testdata/hostile"
)

func goldenRecord(t testing.TB) []byte {
	t.Helper()
	b, err := Open(goldenFile, TrustAnyone())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, d := range b.all {
		if d.MediaType == RecordType {
			doc, err := b.reader.ReadBlob(d.Digest, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			return doc
		}
	}
	t.Fatal("no record")
	return nil
}

// The record of history is written today as it was then.
func TestRecordRoundTrip(t *testing.T) {
	doc := goldenRecord(t)
	r, err := ParseRecord(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again, doc) {
		t.Errorf("encoded again:\n%s\nwant\n%s", again, doc)
	}
}

// What ParseRecord takes, Encode can write, and reading that gives the same
// record again.
func FuzzParseRecord(f *testing.F) {
	f.Add(goldenRecord(f))
	for _, s := range []string{
		`{"formatVersion":1}`,
		`{"formatVersion":2,"images":7}`,
		`{"formatVersion":1,"created":"2024-02-29T23:59:60Z"}`,
		`{"formatVersion":1,"created":"2024-01-01T00:00:00.5+14:00","charts":[{"values":{"a":1e300,"b":-0.0,"c":12345678901234567890,"d":[null,{}]}}]}`,
		`{"formatVersion":1,"images":[{"digest":"sha256:","size":-1,"platforms":[""],"found":[{"keys":null}]}]}`,
		`{"formatVersion":1} {}`, `[]`, `null`, ``, "{\"formatVersion\":1,\"tool\":\"\xff\u2028<\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		if r.FormatVersion != FormatVersion {
			t.Fatalf("format version %d was read", r.FormatVersion)
		}
		once, err := r.Encode()
		if err != nil {
			t.Fatalf("was read, but cannot be written: %v", err)
		}
		r2, err := ParseRecord(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, once)
		}
		twice, err := r2.Encode()
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("changes from one writing to the next (%v):\n%s\n%s", err, once, twice)
		}
	})
}

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
		if content := c.Make(); content.Size < 64<<10 {
			b, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := read(bytes.NewReader(data), int64(len(data)), TrustAnyone())
		if err != nil {
			if kind := KindOf(err); kind != Damaged {
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
	f.Add(byte(0), goldenRecord(f))
	f.Add(byte(1), []byte(`{"schemaVersion":2,"config":{"mediaType":"a","digest":"`+elsewhere.String()+`","size":0},"layers":null}`))
	f.Add(byte(2), []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[]}`))
	f.Fuzz(func(t *testing.T, part byte, doc []byte) {
		if len(doc) == 0 {
			return
		}
		broken := parts(doc, nil)
		data := broken[int(part)%len(broken)].bytes(t, nil)
		b, err := read(bytes.NewReader(data), int64(len(data)), TrustAnyone())
		if err != nil {
			if kind := KindOf(err); kind != Damaged {
				t.Fatalf("kind %d: %v", kind, err)
			}
			return
		}
		fitsTogether(t, b)
	})
}

// fitsTogether requires what Open promises of a bundle.
func fitsTogether(t *testing.T, b *Bundle) {
	t.Helper()
	listed := b.names()
	for _, im := range b.Record.Images {
		if listed[im.Reference] != im.Digest || im.Digest == "" {
			t.Fatalf("record names %s as %q, index.json as %q", im.Reference, im.Digest, listed[im.Reference])
		}
		ref, err := ParseReference(im.Reference)
		if err != nil || ref.String() != im.Reference {
			t.Fatalf("%s is no full reference (%v)", im.Reference, err)
		}
	}
	for _, d := range b.index.Manifests {
		manifests, blobs, err := b.blobsOf(d)
		if err != nil {
			t.Fatalf("%s: %v", d.Digest, err)
		}
		for _, x := range append(manifests, blobs...) {
			if e, ok := b.reader.Entry(layout.BlobName(x.Digest)); !ok || e.Size != x.Size {
				t.Fatalf("%s: blob %s of %d bytes: entry %+v", d.Digest, x.Digest, x.Size, e)
			}
		}
	}
	for _, c := range b.Record.Charts {
		// Whether it opens or not, it must not panic.
		if _, err := b.openChart(c); err != nil && KindOf(err) != Damaged {
			t.Fatalf("chart: kind %d: %v", KindOf(err), err)
		}
	}
}

// A platform choice over any index, and one nested in it (where INNER stands):
// no panic, the result offers what was asked for and nothing else, comes out
// the same again, and keeps fields that are not ours.
func FuzzSubset(f *testing.F) {
	const head = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`
	child := func(extra string) string {
		return `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + digest.FromString(extra).String() + `","size":2` + extra + `}`
	}
	platform := func(os, arch string) string { return `,"platform":{"os":"` + os + `","architecture":"` + arch + `"}` }
	about := `,"annotations":{"` + annotationSubject + `":"` + digest.FromString(platform("linux", "amd64")).String() + `"}`
	inner := head + child(platform("linux", "amd64")) + "," + child(platform("linux", "s390x")) + "]}"
	for _, children := range [][]string{
		{child(platform("linux", "amd64")), child(platform("linux", "arm64")), child(platform("unknown", "unknown") + about)},
		{child(platform("linux", "amd64")), child(platform("linux", "amd64"))},
		{child(""), child(platform("", ""))},
		{child(platform("linux", "arm64")), child(about)},
		{child(platform("linux", "amd64")), child(platform("linux", "s390x") + about)},
		{"INNER", child(platform("linux", "arm64"))},
		{"INNER", "INNER"},
		{`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","digest":"` + digest.FromString("").String() + `","size":0` + platform("linux", "amd64") + `}`},
		{`null`, `7`, `{}`},
		{},
	} {
		f.Add([]byte(head+strings.Join(children, ",")+`],"x-other":{"a":1}}`), []byte(inner), "linux", "amd64")
	}
	f.Add([]byte(`null`), []byte(`null`), "linux", "amd64")
	f.Add([]byte(head+`INNER]}`), []byte(head+`]}`), "linux", "amd64")
	f.Add([]byte(`{"manifests":null,"Manifests":[]}`), []byte{}, "", "")
	f.Fuzz(func(t *testing.T, doc, nested []byte, os, arch string) {
		want := []Platform{{OS: os, Architecture: arch}}
		content := make(tree)
		in, err := json.Marshal(content.put(ocispec.MediaTypeImageIndex, nested))
		if err != nil {
			t.Fatal(err)
		}
		doc = bytes.ReplaceAll(doc, []byte("INNER"), in)
		root := content.put(ocispec.MediaTypeImageIndex, doc)
		// Export subsets only what Children has accepted.
		for _, d := range [][]byte{doc, nested} {
			if _, err := layout.Children(root.MediaType, d); err != nil {
				return
			}
		}
		had := content.platforms(root)
		got, err := content.subset(root, want)
		if err != nil {
			return
		}
		for _, p := range content.platforms(got) {
			if len(had) > 0 && !want[0].matches(p) {
				t.Fatalf("%s was kept, wanted %s", p, want[0])
			}
		}
		if len(had) > 0 && len(content.platforms(got)) == 0 {
			t.Fatalf("nothing is left of %s", doc)
		}
		b := content[got.Digest]
		if digest.FromBytes(b) != got.Digest || int64(len(b)) != got.Size {
			t.Fatalf("%d bytes of %s, descriptor %+v", len(b), digest.FromBytes(b), got)
		}
		if _, err := layout.Children(got.MediaType, b); err != nil {
			t.Fatalf("no index any more: %v\n%s", err, b)
		}
		again, err := content.subset(got, want)
		if err != nil || again.Digest != got.Digest {
			t.Fatalf("a second choice of the same changes it (%v):\n%s\n%s", err, b, content[again.Digest])
		}
		sameOthers(t, doc, b)
	})
}

// sameOthers requires that two documents differ in their manifests only.
func sameOthers(t *testing.T, a, b []byte) {
	t.Helper()
	fields := func(doc []byte) map[string]any {
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(doc))
		dec.UseNumber()
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		delete(m, "manifests")
		return m
	}
	x, err := json.Marshal(fields(a))
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(fields(b))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Fatalf("fields changed from %s to %s", x, y)
	}
}

// Times of the record are whole seconds in UTC, whatever the caller gave.
func TestRecordTime(t *testing.T) {
	pub := startRegistry(t)
	pushImage(t, pub, "acme/app:1", small(1))
	at := time.Date(2024, 5, 6, 7, 8, 9, 987654321, time.FixedZone("", 3*3600))
	r := mustExport(t, ExportOptions{Images: []string{"ghcr.io/acme/app:1"}, Unsigned: true, Created: at, Registry: through(pub)})
	b := mustOpen(t, r.Output, TrustAnyone())
	if want := "2024-05-06T04:08:09Z"; b.Record.Created.Format(time.RFC3339Nano) != want || r.Created.Format(time.RFC3339Nano) != want {
		t.Errorf("record %s, report %s, want %s", b.Record.Created, r.Created, want)
	}
	if !b.reader.ModTime().Equal(b.Record.Created) {
		t.Errorf("entries are of %s, the record is of %s", b.reader.ModTime(), b.Record.Created)
	}
}
