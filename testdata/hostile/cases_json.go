package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// replaced replaces text once.
func replaced(old, with string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(with), 1) }
}

func indexed(edit func([]byte) []byte) func() Content  { return attack{indexed: edit}.make() }
func document(edit func([]byte) []byte) func() Content { return attack{document: edit}.make() }
func recorded(edit func([]byte) []byte) func() Content { return attack{recorded: edit}.make() }

// deep is n arrays within each other, many n of them beside each other.
func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
func many(n int) string { return "[" + strings.Repeat("[],", n-1) + "[]]" }

// documents are JSON that is too much, or that two parsers read in two ways.
func documents() []Case {
	return []Case{
		{"JSON", "index.json is none", Damaged, "not JSON", indexed(func(b []byte) []byte { return b[:len(b)/2] })},
		{"JSON", "index.json is empty", Damaged, "not JSON", indexed(func(b []byte) []byte { return []byte{} })},
		{"JSON", "index.json in UTF-16", Damaged, "not JSON", indexed(func(b []byte) []byte {
			wide := []byte("\xff\xfe")
			for _, c := range b {
				wide = append(wide, c, 0)
			}
			return wide
		})},
		{"JSON", "something behind index.json", Damaged, "not JSON", indexed(func(b []byte) []byte { return append(b, "{}"...) })},
		{"JSON", "key of index.json twice", Damaged, `"manifests" twice`, indexed(replaced(`"manifests":`, `"manifests":[],"manifests":`))},
		{"JSON", "case twin in index.json", Damaged, `"Manifests" in place of`, indexed(replaced(`"manifests":`, `"Manifests":[],"manifests":`))},
		{"JSON", "field that an index does not have", Damaged, `unknown field "layers2"`, indexed(replaced(`{`, `{"layers2":[],`))},
		{"JSON", "depth in index.json", Damaged, "deeper than 32 levels", indexed(replaced(`{`, `{"annotations":`+deep(5000)+`,`))},
		{"JSON", "depth beyond any parser", Damaged, "not JSON", indexed(replaced(`{`, `{"annotations":`+deep(1_000_000)+`,`))},
		{"JSON", "number of values in index.json", Damaged, "more than 200000 JSON values", indexed(replaced(`{`, `{"annotations":`+many(1_000_000)+`,`))},
		{"JSON", "size that is no integer", Damaged, "cannot unmarshal number", indexed(replaced(`"size":`, `"size":1e30,"x":`))},

		{"JSON", "manifest is none", Damaged, "not JSON", document(func(b []byte) []byte { return []byte("<html>") })},
		{"JSON", "something behind a manifest", Damaged, "not JSON", document(func(b []byte) []byte { return append(b, "{}"...) })},
		{"JSON", "key of a manifest twice", Damaged, `"layers" twice`, document(replaced(`"layers":`, `"layers":[],"layers":`))},
		{"JSON", "case twin in a manifest", Damaged, `"Layers" in place of`, document(replaced(`"layers":`, `"Layers":[],"layers":`))},
		{"JSON", "case twin in a descriptor", Damaged, `"Digest" in place of`, document(replaced(`"digest":`, `"Digest":"","digest":`))},
		{"JSON", "depth in a manifest", Damaged, "deeper than 32 levels", document(replaced(`{`, `{"x":`+deep(5000)+`,`))},
		{"JSON", "number of values in a manifest", Damaged, "more than 200000 JSON values", document(replaced(`{`, `{"x":`+many(1_000_000)+`,`))},
		{"JSON", "manifest of 5 MB", Damaged, "more than the 4194304 allowed", document(func(b []byte) []byte {
			return append(b, bytes.Repeat([]byte(" "), 5<<20)...)
		})},

		{"JSON", "record is none", Damaged, "bundle record", recorded(func(b []byte) []byte { return []byte("formatVersion: 1\n") })},
		{"JSON", "something behind the record", Damaged, "bundle record", recorded(func(b []byte) []byte { return append(b, "{}"...) })},
		{"JSON", "key of the record twice", Damaged, `"tool" twice`, recorded(replaced(`"tool":`, `"tool":"other","tool":`))},
		{"JSON", "case twin in the record", Damaged, `twice in one object`, recorded(replaced(`"reference":`, `"Reference":"ghcr.io/acme/other:1","reference":`))},
		{"JSON", "field that a record does not have", Damaged, `unknown field "autorun"`, recorded(replaced(`{`, `{"autorun":"/bin/sh",`))},
		{"JSON", "values of a chart: key twice", Damaged, `"a" twice`, recorded(replaced(`"release":`, `"values":{"a":1,"a":2},"release":`))},
		{"JSON", "values of a chart: depth", Damaged, "deeper than 100 levels", recorded(replaced(`"release":`, `"values":{"a":`+deep(5000)+`},"release":`))},
		{"JSON", "values of a chart: number", Damaged, "more than 1000000 JSON values", recorded(replaced(`"release":`, `"values":{"a":`+many(1_500_000)+`},"release":`))},
		{"JSON", "record of 17 MB", Damaged, "more than the 16777216 allowed", recorded(func(b []byte) []byte {
			return append(b, bytes.Repeat([]byte(" "), 17<<20)...)
		})},
	}
}

func manifest(edit func(*ocispec.Manifest)) func() Content { return attack{manifest: edit}.make() }

// layer edits the descriptor of the one layer.
func layer(edit func(*ocispec.Descriptor)) func() Content {
	return manifest(func(m *ocispec.Manifest) { edit(&m.Layers[0]) })
}

// root edits the image's descriptor in index.json.
func root(edit func(*ocispec.Descriptor)) func() Content {
	return attack{index: func(ix *ocispec.Index) { edit(&ix.Manifests[0]) }}.make()
}

const schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

func manifests() []Case {
	return []Case{
		{"manifest", "layer that only its urls have", Damaged, "not in the bundle", layer(func(d *ocispec.Descriptor) {
			d.Digest, d.URLs = digest.FromString("elsewhere"), []string{"https://evil.example/layer"}
		})},
		{"manifest", "foreign layer that is not inside", Damaged, "not in the bundle", layer(func(d *ocispec.Descriptor) {
			d.Digest, d.MediaType = digest.FromString("elsewhere"), "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		})},
		{"manifest", "non-distributable layer that is not inside", Damaged, "not in the bundle", layer(func(d *ocispec.Descriptor) {
			d.Digest, d.MediaType = digest.FromString("elsewhere"), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
		})},
		{"manifest", "layer with urls and another size", Damaged, "its descriptor says", layer(func(d *ocispec.Descriptor) {
			d.Size, d.URLs = d.Size+1, []string{"https://evil.example/layer"}
		})},
		{"manifest", "config with urls", Damaged, "foreign urls", manifest(func(m *ocispec.Manifest) { m.Config.URLs = []string{"https://evil.example/config"} })},
		{"manifest", "config of a foreign type", Damaged, "may not be distributed", manifest(func(m *ocispec.Manifest) {
			m.Config.MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		})},
		{"manifest", "layer is a manifest", Damaged, "has the media type of a manifest", layer(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageManifest })},
		{"manifest", "layer without media type", Damaged, "without media type", layer(func(d *ocispec.Descriptor) { d.MediaType = "" })},
		{"manifest", "layer too large", Damaged, "its descriptor says", layer(func(d *ocispec.Descriptor) { d.Size++ })},
		{"manifest", "layer too small", Damaged, "its descriptor says", layer(func(d *ocispec.Descriptor) { d.Size-- })},
		{"manifest", "layer of negative size", Damaged, "negative size", layer(func(d *ocispec.Descriptor) { d.Size = -1 })},
		{"manifest", "layer that is not inside", Damaged, "not in the bundle", layer(func(d *ocispec.Descriptor) { d.Digest = digest.FromString("elsewhere") })},
		{"manifest", "inline data of another content", Damaged, "inline data", layer(func(d *ocispec.Descriptor) { d.Data = []byte("else") })},
		{"manifest", "sha512", Damaged, "is not sha256", layer(func(d *ocispec.Descriptor) { d.Digest = digest.SHA512.FromString("x") })},
		{"manifest", "md5", Damaged, "is not sha256", layer(func(d *ocispec.Descriptor) { d.Digest = "md5:d41d8cd98f00b204e9800998ecf8427e" })},
		{"manifest", "digest that leads outside", Damaged, "is not a digest", layer(func(d *ocispec.Descriptor) { d.Digest = "sha256:../../../../etc/passwd" })},
		{"manifest", "digest in capitals", Damaged, "is not a digest", layer(func(d *ocispec.Descriptor) {
			d.Digest = digest.Digest("sha256:" + strings.ToUpper(d.Digest.Encoded()))
		})},
		{"manifest", "config is a manifest", Damaged, "has the media type of a manifest", manifest(func(m *ocispec.Manifest) { m.Config.MediaType = ocispec.MediaTypeImageIndex })},
		{"manifest", "no config", Damaged, "without config", document(replaced(`"config":`, `"x":`))},
		{"manifest", "index as well", Damaged, "image manifest that lists manifests", document(replaced(`{`, `{"manifests":[],`))},
		{"manifest", "calls itself something else", Damaged, "calls itself", document(replaced(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex))},
		{"manifest", "subject of sha512", Damaged, "subject", manifest(func(m *ocispec.Manifest) {
			m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.SHA512.FromString("x"), Size: 1}
		})},
		{"manifest", "schema 1 inside", Damaged, "schema 1", document(replaced(`"schemaVersion":2`, `"schemaVersion":1,"fsLayers":[]`))},
		{"manifest", "schema 1", Damaged, "schema 1", root(func(d *ocispec.Descriptor) { d.MediaType = schema1 })},
		{"manifest", "index.json says another media type", Damaged, "calls itself", root(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageIndex })},
		{"manifest", "index.json says a layer", Damaged, "is not a manifest or an index", root(func(d *ocispec.Descriptor) { d.MediaType = ocispec.MediaTypeImageLayer })},
		{"manifest", "index.json says another size", Damaged, "its descriptor says", root(func(d *ocispec.Descriptor) { d.Size++ })},
		{"manifest", "index.json says a gigabyte", Damaged, "more than the 4194304 allowed", root(func(d *ocispec.Descriptor) { d.Size = gigabyte })},
		{"manifest", "index.json names a blob that is not inside", Damaged, "missing", root(func(d *ocispec.Descriptor) { d.Digest = digest.FromString("elsewhere") })},
		{"manifest", "index.json has urls", Damaged, "foreign urls", root(func(d *ocispec.Descriptor) { d.URLs = []string{"https://evil.example/"} })},
		{"manifest", "index.json has a subject", Damaged, "subject", attack{index: func(ix *ocispec.Index) {
			ix.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 1}
		}}.make()},
	}
}

// multi adds an image to index.json and to the record, so that what is wrong
// with its graph is all that is wrong.
func multi(build func(blobs) ocispec.Descriptor) func() Content {
	return attack{extra: func(b blobs) []ocispec.Descriptor {
		return []ocispec.Descriptor{named(build(b), "ghcr.io/acme/multi:1")}
	}}.make()
}

// listedAs is multi with the blob that claims to be the hash of name listed
// under that.
func listedAs(build func(blobs) ocispec.Descriptor, name string) func() Content {
	return attack{
		extra: func(b blobs) []ocispec.Descriptor {
			return []ocispec.Descriptor{named(build(b), "ghcr.io/acme/multi:1")}
		},
		sums: func(l []string) []string {
			claim := digest.FromString(name).Encoded()
			for i := range l {
				if strings.Contains(l[i][66:], claim) {
					l[i] = claim + l[i][64:]
				}
			}
			return l
		},
	}.make()
}

// leaf is an image that multi can name.
func leaf(b blobs) ocispec.Descriptor {
	return b.putManifest(ocispec.Manifest{Config: b.put(ocispec.MediaTypeImageConfig, imageConfig), Layers: []ocispec.Descriptor{}}, nil)
}

func graphs() []Case {
	return []Case{
		{"graph", "index that is part of itself", Damaged, "listed in SHA256SUMS with digest", multi(cycle(1))},
		{"graph", "three indexes in a ring", Damaged, "listed in SHA256SUMS with digest", multi(cycle(3))},
		{"graph", "three indexes in a ring, listed as they claim to be", Damaged, "content has the digest", listedAs(cycle(3), "ring")},
		{"graph", "nested too deep", Damaged, "nested deeper than 16 levels", multi(func(b blobs) ocispec.Descriptor {
			d := leaf(b)
			for range 17 {
				d = b.putIndex(d)
			}
			return d
		})},
		{"graph", "child that is not inside", Damaged, "missing", multi(func(b blobs) ocispec.Descriptor {
			d := leaf(b)
			d.Digest = digest.FromString("elsewhere")
			return b.putIndex(d)
		})},
		{"graph", "child of two sizes", Damaged, "named with two sizes", multi(func(b blobs) ocispec.Descriptor {
			d, e := leaf(b), leaf(b)
			e.Size++
			return b.putIndex(d, e)
		})},
		{"graph", "manifest and layer in one", Damaged, "named with two media types", multi(func(b blobs) ocispec.Descriptor {
			d := leaf(b)
			as := d
			as.MediaType = ocispec.MediaTypeImageLayer
			return b.putIndex(d, b.putManifest(ocispec.Manifest{
				Config: b.put(ocispec.MediaTypeImageConfig, imageConfig), Layers: []ocispec.Descriptor{as},
			}, nil))
		})},
		{"graph", "index with layers", Damaged, "index with a config or layers", multi(func(b blobs) ocispec.Descriptor {
			return b.put(ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"layers":[],"manifests":[`+string(must(json.Marshal(leaf(b))))+`]}`))
		})},
		{"graph", "child with urls", Damaged, "foreign urls", multi(func(b blobs) ocispec.Descriptor {
			d := leaf(b)
			d.URLs = []string{"https://evil.example/manifest"}
			return b.putIndex(d)
		})},
		{"graph", "index of layers", Damaged, "is not a manifest or an index", multi(func(b blobs) ocispec.Descriptor {
			return b.putIndex(b.put(ocispec.MediaTypeImageLayer, []byte("layer")))
		})},
		{"graph", "images that share all they name", Damaged, "shares more manifests", shared(40, 500)},
		{"graph", "image that the record does not know", Damaged, "it does not say what ghcr.io/acme/multi:1", multi(leaf)},
	}
}

// cycle makes n indexes that name each other in a ring. No hash allows that:
// one of them has a name that is not the digest of its content, and is listed
// under it.
func cycle(n int) func(blobs) ocispec.Descriptor {
	return func(b blobs) ocispec.Descriptor {
		first := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("ring"), Size: 250}
		d := first
		for range n - 1 {
			d = b.putIndex(d)
		}
		doc := must(json.Marshal(ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{d},
		}))
		b[first.Digest] = append(doc, bytes.Repeat([]byte(" "), int(first.Size)-len(doc))...)
		return first
	}
}

// shared is n images that are indexes of one other index, which has the given
// number of children: to read each image takes all of them.
func shared(n, children int) func() Content {
	var roots []ocispec.Descriptor
	var size int64
	return attack{
		extra: func(b blobs) []ocispec.Descriptor {
			roots, size = nil, 0
			var list []ocispec.Descriptor
			for i := range children {
				d := b.put(ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"n":"%d"}}`, i))
				list = append(list, d)
				size += d.Size
			}
			inner := b.putIndex(list...)
			for i := range n {
				d := b.put(ocispec.MediaTypeImageIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[%s],"annotations":{"n":"%d"}}`, must(json.Marshal(inner)), i))
				roots = append(roots, named(d, fmt.Sprintf("ghcr.io/acme/multi:%d", i)))
			}
			size += inner.Size
			return roots
		},
		record: func(r map[string]any) {
			list := r["images"].([]any)
			for _, d := range roots {
				list = append(list, map[string]any{
					"reference": d.Annotations[nameAnnotation], "digest": d.Digest, "mediaType": d.MediaType, "size": size + d.Size,
				})
			}
			r["images"] = list
		},
	}.make()
}
