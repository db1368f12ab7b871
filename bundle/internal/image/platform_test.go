package image

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// multi builds an index with one child for each platform, and an attestation
// for the first.
func multi(t *testing.T, platforms ...string) (Tree, ocispec.Descriptor) {
	t.Helper()
	content := make(Tree)
	var ix ocispec.Index
	ix.SchemaVersion = 2
	ix.MediaType = ocispec.MediaTypeImageIndex
	for i, s := range platforms {
		p, err := ParsePlatform(s)
		if err != nil {
			t.Fatal(err)
		}
		d := content.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"n":"`+s+`"}`))
		d.Platform = &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
		ix.Manifests = append(ix.Manifests, d)
		if i == 0 {
			a := content.Put(ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"attests":"`+s+`"}`))
			a.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
			a.Annotations = map[string]string{annotationSubject: d.Digest.String()}
			ix.Manifests = append(ix.Manifests, a)
		}
	}
	root, err := content.PutJSON(ocispec.MediaTypeImageIndex, ix)
	if err != nil {
		t.Fatal(err)
	}
	return content, root
}

func TestSubset(t *testing.T) {
	all := []string{"linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "windows/amd64"}
	for _, tc := range []struct {
		want, kept string
		children   int // attestation included
		err        string
	}{
		{"", strings.Join(all, " "), 6, ""},
		{"linux/amd64", "linux/amd64", 2, ""},
		{"linux/arm64/v8", "linux/arm64", 1, ""},
		{"linux/arm", "linux/arm/v6 linux/arm/v7", 2, ""},
		{"linux/arm/v7 windows/amd64", "linux/arm/v7 windows/amd64", 2, ""},
		{"linux/arm/v8", "", 0, "linux/arm/v8 is not offered"},
		{"linux/amd64 linux/s390x", "", 0, "linux/s390x is not offered"},
	} {
		t.Run(tc.want, func(t *testing.T) {
			content, root := multi(t, all...)
			var want []Platform
			for _, s := range strings.Fields(tc.want) {
				p, err := ParsePlatform(s)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, p)
			}
			got, err := content.subset(root, want)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range content.Platforms(got) {
				names = append(names, p.String())
			}
			if s := strings.Join(names, " "); s != tc.kept {
				t.Errorf("kept %s, want %s", s, tc.kept)
			}
			var ix ocispec.Index
			if err := json.Unmarshal(content[got.Digest], &ix); err != nil {
				t.Fatal(err)
			}
			if len(ix.Manifests) != tc.children {
				t.Errorf("%d children, want %d", len(ix.Manifests), tc.children)
			}
			if (got.Digest == root.Digest) != (tc.children == 6) {
				t.Errorf("digest changed: %v", got.Digest != root.Digest)
			}
		})
	}
}

// An index inside an index is reduced too, and the outer one follows.
func TestSubsetNested(t *testing.T) {
	content, inner := multi(t, "linux/amd64", "linux/arm64")
	outer, err := content.PutJSON(ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{inner}, "x-kept": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := content.subset(outer, []Platform{{OS: "linux", Architecture: "arm64"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := content.Platforms(got); !slices.Equal(p, []Platform{{"linux", "arm64", ""}}) {
		t.Errorf("platforms %v", p)
	}
	if got.Digest == outer.Digest {
		t.Error("the outer index did not change")
	}
	if !strings.Contains(string(content[got.Digest]), `"x-kept":"yes"`) {
		t.Errorf("a field that is not ours was lost: %s", content[got.Digest])
	}
}
