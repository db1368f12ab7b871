package layout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"bundle/layout"

	"github.com/opencontainers/go-digest"
)

const (
	ociIndex       = "application/vnd.oci.image.index.v1+json"
	ociManifest    = "application/vnd.oci.image.manifest.v1+json"
	ociConfig      = "application/vnd.oci.image.config.v1+json"
	ociLayer       = "application/vnd.oci.image.layer.v1.tar+gzip"
	dockerManifest = layout.MediaTypeDockerManifest
	dockerList     = layout.MediaTypeDockerManifestList
	schema1        = "application/vnd.docker.distribution.manifest.v1+json"
)

var xDigest = digest.FromString("x")

// desc is a descriptor as JSON; more goes in as it is.
func desc(mediaType string, d digest.Digest, size int, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, d, size, more)
}

func named(name string) string {
	return `,"annotations":{"org.opencontainers.image.ref.name":"` + name + `"}`
}

func indexOf(descriptors ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + strings.Join(descriptors, ",") + `]}`
}

func TestParseLayout(t *testing.T) {
	if err := layout.ParseLayout(layout.LayoutContent()); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "{}", `{"imageLayoutVersion":"1.0.1"}`, `{"imageLayoutVersion":"1.0.0"} `} {
		wantContentError(t, layout.ParseLayout([]byte(text)), layout.LayoutFile, "content is not")
	}
}

func TestParseIndex(t *testing.T) {
	s := newSample(t)
	index, err := layout.ParseIndex(s.all[layout.IndexFile])
	if err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 || index.Manifests[0].Digest != s.root.Digest {
		t.Errorf("index %+v", index)
	}
	for name, text := range map[string]string{
		"empty":             indexOf(),
		"two names, one":    indexOf(desc(ociManifest, xDigest, 1, named("a/b:1")), desc(ociManifest, xDigest, 1, named("a/b:2"))),
		"docker":            indexOf(desc(dockerList, xDigest, 1, named("a/b:1"))),
		"inline data":       indexOf(desc(ociManifest, xDigest, 1, `,"data":"eA=="`+named("a/b:1"))),
		"containerd's name": indexOf(desc(ociManifest, xDigest, 1, `,"annotations":{"org.opencontainers.image.ref.name":"a/b:1","io.containerd.image.name":"a/b:1","OS":"x","os":"y"}`)),
		"platform":          indexOf(desc(ociManifest, xDigest, 1, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"}`+named("a/b:1"))),
	} {
		if _, err := layout.ParseIndex([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseIndexRefuses(t *testing.T) {
	ref := named("a/b:1")
	good := desc(ociManifest, xDigest, 1, ref)
	tests := []struct{ name, text, want string }{
		{"nothing", "", "not JSON"},
		{"null", "null", "schemaVersion is 0"},
		{"array", "[]", "cannot unmarshal array"},
		{"text after it", indexOf() + "{}", "not JSON"},
		{"cut", indexOf()[:30], "not JSON"},
		{"schema 1", `{"schemaVersion":1}`, "schemaVersion is 1"},
		{"no media type", `{"schemaVersion":2,"manifests":[]}`, "media type is"},
		{"other media type", strings.Replace(indexOf(), ociIndex, dockerList, 1), "media type is"},
		{"subject", `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[],"subject":` + good + `}`, "has a subject"},
		{"unknown field", `{"schemaVersion":2,"mediaType":"` + ociIndex + `","extra":1}`, "unknown field"},
		{"unknown field of a descriptor", indexOf(desc(ociManifest, xDigest, 1, `,"extra":1`+ref)), "unknown field"},
		{"key twice", `{"schemaVersion":2,"schemaVersion":2}`, `key "schemaVersion" twice`},
		{"key twice, escaped", `{"schemaVersion":2,"\u0073chemaVersion":2}`, `key "schemaVersion" twice`},
		{"key in another case", indexOf(desc(ociManifest, xDigest, 1, `,"Digest":"sha256:x"`+ref)), `key "Digest" in place of "digest"`},
		{"key with a long s", indexOf(desc(ociManifest, xDigest, 1, `,"ſize":2`+ref)), `in place of "size"`},
		{"key twice in annotations", indexOf(desc(ociManifest, xDigest, 1, `,"annotations":{"a":"1","a":"2"}`)), `key "a" twice`},
		{"deep", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), "deeper than 32"},
		{"very deep", strings.Repeat("[", 1<<20), "not JSON"},
		{"many values", indexOf(strings.Repeat("{},", 100_000) + "{}"), "more than 200000 JSON values"},
		{"too large", indexOf() + strings.Repeat(" ", layout.MaxIndexSize), "more than the 16777216 allowed"},
		{"sha512", indexOf(desc(ociManifest, digest.Digest("sha512:"+strings.Repeat("0", 128)), 1, ref)), "is not sha256"},
		{"no digest", indexOf(desc(ociManifest, "", 1, ref)), "is not sha256"},
		{"bad digest", indexOf(desc(ociManifest, "sha256:../../x", 1, ref)), "is not a digest"},
		{"upper digest", indexOf(desc(ociManifest, digest.Digest("sha256:"+strings.ToUpper(xDigest.Encoded())), 1, ref)), "is not a digest"},
		{"negative size", indexOf(desc(ociManifest, xDigest, -1, ref)), "negative size"},
		{"fraction", strings.Replace(indexOf(good), `"size":1`, `"size":1.5`, 1), "cannot unmarshal number"},
		{"large manifest", indexOf(desc(ociManifest, xDigest, layout.MaxManifestSize+1, ref)), "more than the 4194304 allowed"},
		{"urls", indexOf(desc(ociManifest, xDigest, 1, `,"urls":["http://x"]`+ref)), "foreign urls"},
		{"wrong inline data", indexOf(desc(ociManifest, xDigest, 1, `,"data":"eQ=="`+ref)), "inline data"},
		{"short inline data", indexOf(desc(ociManifest, xDigest, 1, `,"data":""`+ref)), "inline data"},
		{"no descriptor type", indexOf(desc("", xDigest, 1, ref)), "without media type"},
		{"layer", indexOf(desc(ociLayer, xDigest, 1, ref)), "is not a manifest or an index"},
		{"docker schema 1", indexOf(desc(schema1, xDigest, 1, ref)), "schema 1 is obsolete"},
		{"no name", indexOf(desc(ociManifest, xDigest, 1, "")), "ref.name is missing"},
		{"empty name", indexOf(desc(ociManifest, xDigest, 1, named(""))), "ref.name is missing"},
		{"long name", indexOf(desc(ociManifest, xDigest, 1, named(strings.Repeat("x", 2000)))), "name of 2000 bytes"},
		{"escape in name", indexOf(desc(ociManifest, xDigest, 1, named(`a\u001b[2J`))), "cannot be printed"},
		{"right-to-left name", indexOf(desc(ociManifest, xDigest, 1, named(`a\u202eb`))), "cannot be printed"},
		{"space in name", indexOf(desc(ociManifest, xDigest, 1, named(`a b`))), "cannot be printed"},
		{"name twice", indexOf(good, good), `name "a/b:1" twice`},
		{"containerd's name", indexOf(desc(ociManifest, xDigest, 1, `,"annotations":{"org.opencontainers.image.ref.name":"a/b:1","io.containerd.image.name":"a/b:2"}`)), "but the name is"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layout.ParseIndex([]byte(tt.text))
			wantContentError(t, err, layout.IndexFile, tt.want)
		})
	}
}

func manifestOf(mediaType, config string, layers ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + mediaType + `","config":` + config + `,"layers":[` + strings.Join(layers, ",") + `]}`
}

func TestChildren(t *testing.T) {
	config, layer := desc(ociConfig, xDigest, 1, ""), desc(ociLayer, digest.FromString("y"), 2, "")
	child := desc(ociManifest, digest.FromString("z"), 3, `,"platform":{"os":"unknown","architecture":"unknown"}`)
	subject := `"subject":` + desc(ociManifest, digest.FromString("s"), 4, "")
	tests := []struct {
		name, mediaType, text string
		want                  []string
	}{
		{"oci manifest", ociManifest, manifestOf(ociManifest, config, layer, layer), []string{"x", "y", "y"}},
		{"docker manifest", dockerManifest, manifestOf(dockerManifest, config, layer), []string{"x", "y"}},
		{"no layers", ociManifest, manifestOf(ociManifest, config), []string{"x"}},
		{"layers null", ociManifest, `{"schemaVersion":2,"layers":null,"config":` + config + `}`, []string{"x"}},
		{"no media type inside", ociManifest, `{"schemaVersion":2,"config":` + config + `,"layers":[` + layer + `]}`, []string{"x", "y"}},
		{"subject", ociManifest, `{"schemaVersion":2,` + subject + `,"config":` + config + `}`, []string{"x"}},
		{"unknown fields", ociManifest, `{"schemaVersion":2,"extra":{"a":[1]},"config":` + config + `}`, []string{"x"}},
		{"inline config", ociManifest, manifestOf(ociManifest, desc("application/vnd.oci.empty.v1+json", digest.FromString("{}"), 2, `,"data":"e30="`)), []string{"{}"}},
		{"oci index", ociIndex, indexOf(child, child), []string{"z", "z"}},
		{"docker list", dockerList, strings.Replace(indexOf(child), ociIndex, dockerList, 1), []string{"z"}},
		{"empty index", ociIndex, indexOf(), nil},
		{"nested index", ociIndex, indexOf(desc(ociIndex, digest.FromString("z"), 3, "")), []string{"z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := layout.Children(tt.mediaType, []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %q", got, tt.want)
			}
			for i, d := range got {
				if d.Digest != digest.FromString(tt.want[i]) {
					t.Errorf("child %d is %s, want that of %q", i, d.Digest, tt.want[i])
				}
			}
		})
	}
}

func TestChildrenRefuses(t *testing.T) {
	config, layer := desc(ociConfig, xDigest, 1, ""), desc(ociLayer, xDigest, 1, "")
	with := func(layer string) string { return manifestOf(ociManifest, config, layer) }
	foreign := "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	tests := []struct{ name, mediaType, text, want string }{
		{"html", ociManifest, "<html>", "not JSON"},
		{"unknown type", "text/html", "{}", "is not a manifest or an index"},
		{"no type", "", "{}", "no media type"},
		{"schema 1 by type", schema1, "{}", "schema 1 is obsolete"},
		{"signed schema 1 by type", "application/vnd.docker.distribution.manifest.v1+prettyjws", "{}", "schema 1 is obsolete"},
		{"schema 1 by content", dockerManifest, `{"schemaVersion":1,"fsLayers":[]}`, "schema 1 is obsolete"},
		{"schema 1 in disguise", ociManifest, `{"schemaVersion":2,"fsLayers":[],"config":` + config + `}`, "schema 1 is obsolete"},
		{"schema 3", ociManifest, `{"schemaVersion":3}`, "schemaVersion is 3"},
		{"other type inside", ociManifest, manifestOf(dockerManifest, config), "calls itself"},
		{"docker without type", dockerManifest, `{"schemaVersion":2,"config":` + config + `}`, "calls itself"},
		{"index as manifest", ociManifest, `{"schemaVersion":2,"manifests":[]}`, "lists manifests"},
		{"both", ociIndex, `{"schemaVersion":2,"manifests":[],"layers":[]}`, "config or layers"},
		{"index with config", ociIndex, `{"schemaVersion":2,"config":` + config + `}`, "config or layers"},
		{"no config", ociManifest, `{"schemaVersion":2,"layers":[]}`, "without config"},
		{"empty config", ociManifest, manifestOf(ociManifest, "{}"), "without media type"},
		{"config with urls", ociManifest, manifestOf(ociManifest, desc(ociConfig, xDigest, 1, `,"urls":["https://x"]`)), "foreign urls"},
		{"config of a foreign type", ociManifest, manifestOf(ociManifest, desc(foreign, xDigest, 1, "")), "may not be distributed"},
		{"child with urls", ociIndex, indexOf(desc(ociManifest, xDigest, 1, `,"urls":["https://x"]`)), "foreign urls"},
		{"subject with urls", ociManifest, `{"schemaVersion":2,"config":` + config + `,"subject":` + desc(ociManifest, xDigest, 1, `,"urls":["https://x"]`) + `}`, "foreign urls"},
		{"sha512 layer with urls", ociManifest, with(desc(ociLayer, "sha512:00", 1, `,"urls":["https://x"]`)), "is not sha256"},
		{"sha512 layer", ociManifest, with(desc(ociLayer, "sha512:00", 1, "")), "is not sha256"},
		{"negative layer", ociManifest, with(desc(ociLayer, xDigest, -1, "")), "negative size"},
		{"layer without type", ociManifest, with(desc("", xDigest, 1, "")), "without media type"},
		{"manifest as layer", ociManifest, with(desc(ociManifest, xDigest, 1, "")), "media type of a manifest"},
		{"schema 1 as config", ociManifest, manifestOf(ociManifest, desc(schema1, xDigest, 1, "")), "media type of a manifest"},
		{"false inline data", ociManifest, with(desc(ociLayer, xDigest, 1, `,"data":"eQ=="`)), "inline data"},
		{"layer in an index", ociIndex, indexOf(layer), "is not a manifest or an index"},
		{"schema 1 in an index", ociIndex, indexOf(desc(schema1, xDigest, 1, "")), "schema 1 is obsolete"},
		{"large child", ociIndex, indexOf(desc(ociManifest, xDigest, 1<<30, "")), "more than the 4194304 allowed"},
		{"bad subject", ociManifest, `{"schemaVersion":2,"config":` + config + `,"subject":{}}`, "subject: "},
		{"layers twice", ociManifest, `{"schemaVersion":2,"config":` + config + `,"layers":[],"layers":[` + layer + `]}`, `"layers" twice`},
		{"Layers", ociManifest, `{"schemaVersion":2,"config":` + config + `,"Layers":[` + layer + `]}`, `"Layers" in place of "layers"`},
		{"too large", ociManifest, strings.Repeat(" ", layout.MaxManifestSize) + with(layer), "more than the 4194304 allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := layout.Children(tt.mediaType, []byte(tt.text))
			wantContentError(t, err, "manifest", tt.want)
		})
	}
}

// What a layer says of where else it lies, and of who may have it, changes
// nothing: it is a layer.
func TestLayersElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name, layer string
		elsewhere   bool
	}{
		{"plain", desc(ociLayer, xDigest, 1, ""), false},
		{"no urls", desc(ociLayer, xDigest, 1, `,"urls":[]`), false},
		{"urls", desc(ociLayer, xDigest, 1, `,"urls":["https://x","ftp://y"]`), true},
		{"no url at all", desc(ociLayer, xDigest, 1, `,"urls":["; rm -rf /"]`), true},
		{"docker foreign", desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", xDigest, 1, `,"urls":["https://x"]`), true},
		{"docker foreign, uncompressed", desc("application/vnd.docker.image.rootfs.foreign.diff.tar", xDigest, 1, ""), true},
		{"oci non-distributable", desc("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", xDigest, 1, ""), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := layout.Children(ociManifest, []byte(manifestOf(ociManifest, desc(ociConfig, xDigest, 1, ""), tt.layer)))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 2 || layout.Elsewhere(got[1]) != tt.elsewhere {
				t.Errorf("%v: elsewhere %v, want %v", got, layout.Elsewhere(got[len(got)-1]), tt.elsewhere)
			}
		})
	}
}

// Who chooses among the children of an index sees all of them, odd ones too.
func TestListed(t *testing.T) {
	odd := []string{
		desc(ociManifest, xDigest, 1, `,"urls":["https://x"]`), desc(schema1, xDigest, 1, ""), desc(ociLayer, xDigest, 1, ""),
		desc("", "sha512:00", -1, ""), desc(ociManifest, xDigest, 1<<40, ""),
	}
	got, err := layout.Listed(ociIndex, []byte(indexOf(odd...)))
	if err != nil || len(got) != len(odd) {
		t.Errorf("%d listed, want %d: %v", len(got), len(odd), err)
	}
	for _, text := range []string{"<html>", `{"schemaVersion":2,"manifests":[],"manifests":[]}`, `{"schemaVersion":1}`, `{"schemaVersion":2,"Manifests":[]}`} {
		if _, err := layout.Listed(ociIndex, []byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}

// Annotations are the user's: case does not matter there, at any depth.
func TestAnnotationsAreFree(t *testing.T) {
	text := manifestOf(ociManifest, desc(ociConfig, xDigest, 1, `,"annotations":{"Digest":"a","digest":"b"}`))
	if _, err := layout.Children(ociManifest, []byte(text)); err != nil {
		t.Error(err)
	}
	var compact bytes.Buffer
	if err := json.Indent(&compact, []byte(text), "", "  "); err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Children(ociManifest, compact.Bytes()); err != nil {
		t.Error(err)
	}
}
