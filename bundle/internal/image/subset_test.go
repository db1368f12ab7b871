package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/layout"
)

// Indexes that share what they name are looked at once each, and not once for
// each way that leads to them: here there are 40^4.
func TestSubsetShared(t *testing.T) {
	content := make(Tree)
	leaf := content.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`))
	leaf.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	other := content.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"n":1}`))
	other.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	level := []ocispec.Descriptor{leaf, other}
	for depth := range 4 {
		var next []ocispec.Descriptor
		for i := range 40 {
			d, err := content.PutJSON(ocispec.MediaTypeImageIndex, ocispec.Index{
				MediaType: ocispec.MediaTypeImageIndex, Manifests: level, Annotations: map[string]string{"n": fmt.Sprint(depth, i)},
			})
			if err != nil {
				t.Fatal(err)
			}
			next = append(next, d)
		}
		level = next
	}
	root, err := content.PutJSON(ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: level})
	if err != nil {
		t.Fatal(err)
	}
	want := Platform{OS: "linux", Architecture: "amd64"}
	got, err := content.subset(root, []Platform{want})
	if err != nil {
		t.Fatal(err)
	}
	if p := slices.Compact(content.Platforms(got)); !slices.Equal(p, []Platform{want}) || got.Digest == root.Digest {
		t.Errorf("%v is left in %s of %s", p, got.Digest, root.Digest)
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
		content := make(Tree)
		in, err := json.Marshal(content.Put(ocispec.MediaTypeImageIndex, nested))
		if err != nil {
			t.Fatal(err)
		}
		doc = bytes.ReplaceAll(doc, []byte("INNER"), in)
		root := content.Put(ocispec.MediaTypeImageIndex, doc)
		// Export subsets only what Children has accepted.
		for _, d := range [][]byte{doc, nested} {
			if _, err := layout.Children(root.MediaType, d); err != nil {
				return
			}
		}
		had := content.Platforms(root)
		got, err := content.subset(root, want)
		if err != nil {
			return
		}
		for _, p := range content.Platforms(got) {
			if len(had) > 0 && !want[0].matches(p) {
				t.Fatalf("%s was kept, wanted %s", p, want[0])
			}
		}
		if len(had) > 0 && len(content.Platforms(got)) == 0 {
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
