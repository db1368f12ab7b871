package layout_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// graph is a set of documents under digests of our choice: with real digests,
// no cycle could be made.
type graph map[digest.Digest]string

func (g graph) fetch(d ocispec.Descriptor) ([]byte, error) {
	text, ok := g[d.Digest]
	if !ok {
		return nil, fmt.Errorf("fetch %s: %w", d.Digest, fs.ErrNotExist)
	}
	return []byte(text), nil
}

// add puts a document under the digest of its name, and returns its descriptor
// as JSON.
func (g graph) add(mediaType, name, text string) string {
	d := digest.FromString(name)
	g[d] = text
	return desc(mediaType, d, len(text), "")
}

func blob(name string) string {
	return desc(ociLayer, digest.FromString(name), len(name), "")
}

func root(mediaType, name, text string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType:   mediaType,
		Digest:      digest.FromString(name),
		Size:        int64(len(text)),
		Annotations: map[string]string{ocispec.AnnotationRefName: name},
	}
}

func (g graph) root(mediaType, name string) ocispec.Descriptor {
	return root(mediaType, name, g[digest.FromString(name)])
}

func TestReachable(t *testing.T) {
	g := make(graph)
	m1 := g.add(ociManifest, "m1", manifestOf(ociManifest, blob("c1"), blob("base"), blob("l1")))
	m2 := g.add(dockerManifest, "m2", manifestOf(dockerManifest, blob("c2"), blob("base"), blob("l2")))
	inner := g.add(ociIndex, "inner", indexOf(m2))
	g.add(ociIndex, "top", indexOf(m1, inner, m1))
	g.add(ociManifest, "m3", manifestOf(ociManifest, blob("c2"), blob("l3")))
	calls := make(map[digest.Digest]int)
	fetch := func(d ocispec.Descriptor) ([]byte, error) {
		calls[d.Digest]++
		return g.fetch(d)
	}
	roots := []ocispec.Descriptor{g.root(ociIndex, "top"), g.root(ociManifest, "m3"), g.root(ociIndex, "top"), g.root(dockerManifest, "m2")}
	list, err := layout.Reachable(roots, fetch)
	if err != nil {
		t.Fatal(err)
	}
	var got []digest.Digest
	for _, d := range list {
		got = append(got, d.Digest)
		if d.Annotations != nil || d.MediaType == "" {
			t.Errorf("descriptor %+v is not plain", d)
		}
	}
	var want []digest.Digest
	for _, name := range []string{"c1", "base", "l1", "m1", "c2", "l2", "m2", "inner", "top", "l3", "m3"} {
		want = append(want, digest.FromString(name))
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	for d, n := range calls {
		if n != 1 {
			t.Errorf("%s was fetched %d times", d, n)
		}
	}
}

func TestReachableRefuses(t *testing.T) {
	g := make(graph)
	g.add(ociIndex, "self", "")
	self := indexOf(desc(ociIndex, digest.FromString("self"), 250, ""))
	self += strings.Repeat(" ", 250-len(self))
	g.add(ociIndex, "self", self)

	deep := g.add(ociManifest, "leaf", manifestOf(ociManifest, blob("c")))
	for i := range 15 {
		deep = g.add(ociIndex, fmt.Sprint("deep", i), indexOf(deep))
	}
	if _, err := layout.Reachable([]ocispec.Descriptor{g.root(ociIndex, "deep14")}, g.fetch); err != nil {
		t.Fatalf("16 levels: %v", err)
	}
	g.add(ociIndex, "deeper", indexOf(deep))

	g.add(ociManifest, "sizes", manifestOf(ociManifest, blob("c"), desc(ociLayer, digest.FromString("c"), 7, "")))
	leaf := g[digest.FromString("leaf")]
	g.add(ociIndex, "types", indexOf(desc(ociManifest, digest.FromString("leaf"), len(leaf), ""), desc(ociIndex, digest.FromString("leaf"), len(leaf), "")))
	clash := g.add(ociManifest, "clash", manifestOf(ociManifest, blob("c"), desc(ociLayer, digest.FromString("leaf"), len(leaf), "")))
	g.add(ociIndex, "blob and manifest", indexOf(desc(ociManifest, digest.FromString("leaf"), len(leaf), ""), clash))
	g.add(ociIndex, "broken", indexOf(g.add(ociManifest, "bad", "<html>")))
	wrongSize := g.root(ociManifest, "leaf")
	wrongSize.Size++
	tests := []struct {
		name    string
		root    ocispec.Descriptor
		subject string // of which the error speaks
		want    string
	}{
		{"cycle", g.root(ociIndex, "self"), "self", "part of itself"},
		{"depth", g.root(ociIndex, "deeper"), "leaf", "deeper than 16"},
		{"two sizes", g.root(ociManifest, "sizes"), "c", "two sizes, 1 and 7"},
		{"two kinds of manifest", g.root(ociIndex, "types"), "leaf", "two media types"},
		{"blob and manifest", g.root(ociIndex, "blob and manifest"), "leaf", "two media types"},
		{"not the size", wrongSize, "leaf", "its descriptor says"},
		{"bad child", g.root(ociIndex, "broken"), "bad", "not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layout.Reachable([]ocispec.Descriptor{tt.root}, g.fetch)
			wantContentError(t, err, digest.FromString(tt.subject).String(), tt.want)
		})
	}
	_, err := layout.Reachable([]ocispec.Descriptor{root(ociLayer, "x", "x")}, g.fetch)
	wantContentError(t, err, "root", "is not a manifest or an index")
	_, err = layout.Reachable([]ocispec.Descriptor{root(ociManifest, "absent", "x")}, g.fetch)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), digest.FromString("absent").String()) {
		t.Errorf("missing manifest: %v", err)
	}
}

// One blob may be a config here and a layer there.
func TestReachableAllowsTwoUsesOfABlob(t *testing.T) {
	g := make(graph)
	empty := desc("application/vnd.oci.empty.v1+json", digest.FromString("{}"), 2, "")
	layer := desc(ociLayer, digest.FromString("{}"), 2, "")
	g.add(ociManifest, "m", manifestOf(ociManifest, empty, layer))
	list, err := layout.Reachable([]ocispec.Descriptor{g.root(ociManifest, "m")}, g.fetch)
	if err != nil || len(list) != 2 {
		t.Errorf("got %v (%v)", list, err)
	}
}
