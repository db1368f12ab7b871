package hostile

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// called gives the image another name, in index.json and in the record.
func called(name string) func() Content {
	return attack{
		index: func(ix *ocispec.Index) { ix.Manifests[0] = named(ix.Manifests[0], name) },
		record: func(r map[string]any) {
			im := first(r, "images")
			im["reference"], im["found"] = name, []any{map[string]any{"raw": name}}
		},
	}.make()
}

// first is the first image or chart of a record.
func first(r map[string]any, list string) map[string]any {
	return r[list].([]any)[0].(map[string]any)
}

func references() []Case {
	return []Case{
		{"reference", "no host", Damaged, "does not name what it stands for in full", called("acme/app:1")},
		{"reference", "no tag", Damaged, "does not name what it stands for in full", called("ghcr.io/acme/app")},
		{"reference", "scheme", Damaged, "does not name what it stands for in full", called("oci://ghcr.io/acme/app:1")},
		{"reference", "URL", Damaged, "does not name what it stands for in full", called("https://evil.example/app:1")},
		{"reference", "user and host", Damaged, "does not name what it stands for in full", called("user@evil.example/app:1")},
		{"reference", "outside", Damaged, "does not name what it stands for in full", called("ghcr.io/../../app:1")},
		{"reference", "capitals", Damaged, "does not name what it stands for in full", called("ghcr.io/ACME/app:1")},
		{"reference", "pinned to another digest", Damaged, "does not name what it stands for in full", called("ghcr.io/acme/app@" + digest.FromString("x").String())},
		{"reference", "pinned by sha512", Damaged, "does not name what it stands for in full", called("ghcr.io/acme/app@" + digest.SHA512.FromString("x").String())},
		{"reference", "terminal codes", Damaged, "cannot be printed", called("ghcr.io/acme/\x1b[2Japp:1")},
		{"reference", "turned round", Damaged, "cannot be printed", called("ghcr.io/acme/\u202eppa:1")},
		{"reference", "blank", Damaged, "cannot be printed", called("ghcr.io/acme/app :1")},
		{"reference", "host of 300 characters", Damaged, "does not name what it stands for in full", called(strings.Repeat("a.", 150) + "io/acme/app:1")},
		{"reference", "two kilobytes", Damaged, "name of", called("ghcr.io/" + strings.Repeat("a", 2048) + ":1")},
		{"reference", "none", Damaged, "is missing", called("")},
		{"reference", "twice", Damaged, "twice", attack{index: func(ix *ocispec.Index) { ix.Manifests[1] = named(ix.Manifests[1], imageName) }}.make()},
		{"reference", "another host for containerd", Damaged, "but the name is", root(func(d *ocispec.Descriptor) {
			d.Annotations[nameAnnotation] = "evil.example/acme/app:1"
		})},
	}
}

func record1(edit func(map[string]any)) func() Content { return attack{record: edit}.make() }

func image(field string, value any) func() Content {
	return record1(func(r map[string]any) { first(r, "images")[field] = value })
}

func chart(field string, value any) func() Content {
	return record1(func(r map[string]any) { first(r, "charts")[field] = value })
}

func found(raw string) func() Content { return image("found", []any{map[string]any{"raw": raw}}) }

// attached makes the artifact that referrer lists.
func attached(b blobs) ocispec.Descriptor {
	return b.putManifest(ocispec.Manifest{
		ArtifactType: "application/vnd.example.signature",
		Config:       b.put(ocispec.MediaTypeEmptyJSON, []byte("{}")), Layers: []ocispec.Descriptor{},
	}, nil)
}

// referrer adds an artifact to the bundle, under a tag or, for "@", by digest,
// and says it is attached to subject: "image" is the image, "found" as well,
// with a place where a chart asks for it.
func referrer(tag string, subject digest.Digest) func() Content {
	d := attached(make(blobs))
	if tag == "@" {
		tag += d.Digest.String()
	}
	name := "ghcr.io/acme/app" + tag
	return attack{
		extra: func(b blobs) []ocispec.Descriptor { return []ocispec.Descriptor{named(attached(b), name)} },
		record: func(r map[string]any) {
			im := map[string]any{"reference": name, "digest": d.Digest, "mediaType": d.MediaType, "size": d.Size + 2, "subject": subject}
			switch {
			case subject == "found":
				im["found"] = []any{map[string]any{"raw": name}}
				fallthrough
			case subject == "image", subject == "" && strings.HasPrefix(tag, ":"):
				im["subject"] = first(r, "images")["digest"]
			}
			r["referrers"] = []any{im}
		},
	}.make()
}

// twice repeats the first item of a list, after edit had the copy.
func twice(list string, edit func(map[string]any)) func() Content {
	return record1(func(r map[string]any) {
		again := make(map[string]any)
		for k, v := range first(r, list) {
			again[k] = v
		}
		edit(again)
		r[list] = append(r[list].([]any), again)
	})
}

func records() []Case {
	return []Case{
		{"record", "none", Damaged, "0 bundle records", attack{index: func(ix *ocispec.Index) { ix.Manifests[2].ArtifactType = "" }}.make()},
		{"record", "two", Damaged, "2 bundle records", attack{index: func(ix *ocispec.Index) {
			ix.Manifests = append(ix.Manifests, named(ix.Manifests[2], "bundle.invalid/record:again"))
		}}.make()},
		{"record", "named as an image", Damaged, "index.json calls it", attack{index: func(ix *ocispec.Index) {
			ix.Manifests[2] = named(ix.Manifests[2], "docker.io/library/nginx:1")
		}}.make()},
		{"record", "two layers", Damaged, "bundle record", attack{holder: func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }}.make()},
		{"record", "layer of another type", Damaged, recordType, attack{holder: func(m *ocispec.Manifest) { m.Layers[0].MediaType = "application/json" }}.make()},
		{"record", "newer format", Damaged, "version 2 is not known", recorded(replaced(`"formatVersion":1`, `"formatVersion":2`))},
		{"record", "no format", Damaged, "version 0 is not known", recorded(replaced(`"formatVersion":1,`, ``))},
		{"record", "other time", Damaged, "but its entries are of", record1(func(r map[string]any) { r["created"] = modTime.AddDate(1, 0, 0) })},
		{"record", "terminal codes", Damaged, "cannot be printed", record1(func(r map[string]any) { r["tool"] = "bundle \x1b]0;owned\x07" })},

		{"record", "image with another digest", Damaged, "index.json says", image("digest", digest.FromString("x"))},
		{"record", "image of another kind", Damaged, "it says media type", image("mediaType", ocispec.MediaTypeImageIndex)},
		{"record", "image of another size", Damaged, "bytes; there are", image("size", 1)},
		{"record", "image for another platform", Damaged, `it says it is for ["linux/arm64"]`, image("platforms", []string{"linux/arm64"})},
		{"record", "image for one platform more", Damaged, `it says it is for ["linux/amd64" "linux/arm64"]`, image("platforms", []string{"linux/amd64", "linux/arm64"})},
		{"record", "image for no platform", Damaged, "it says it is for []", image("platforms", []string{})},
		{"record", "image found as another", Damaged, "which is another image", found("docker.io/library/nginx:1")},
		{"record", "image found on another host", Damaged, "which is another image", found("evil.example/acme/app:1")},
		{"record", "image found under another tag", Damaged, "which is another image", found("ghcr.io/acme/app:latest")},
		{"record", "image found under another digest", Damaged, "which pins another digest", found(imageName + "@" + digest.FromString("x").String())},
		{"record", "image found as no reference", Damaged, "invalid reference format", found("../../etc/passwd")},
		{"record", "image re-keyed", Damaged, "no choice of platforms changed it", image("sourceDigest", digest.FromString("x"))},
		{"record", "image missing", Damaged, "does not say what " + imageName, record1(func(r map[string]any) { delete(r, "images") })},
		{"record", "image twice", Damaged, "twice", twice("images", func(map[string]any) {})},
		{"record", "image that is not inside", Damaged, "ghcr.io/acme/other:1", twice("images", func(im map[string]any) { im["reference"] = "ghcr.io/acme/other:1" })},
		{"record", "destination outside", Damaged, "is no path and tag", image("destination", "../../other/app:1")},
		{"record", "destination on another host", Damaged, "is no path and tag", image("destination", "evil.example:5000/app:1")},
		{"record", "destination that is a URL", Damaged, "is no path and tag", image("destination", "https://evil.example/app:1")},
		{"record", "destination without a tag", Damaged, "is no path and tag", image("destination", "acme/app")},

		{"record", "image attached to another", Damaged, "an image, but attached to another", image("subject", digest.FromString("x"))},
		{"record", "referrer of what is not inside", Damaged, "which is not in the bundle", referrer("@", digest.FromString("x"))},
		{"record", "referrer of nothing", Damaged, "which is not in the bundle", referrer("@", "")},
		{"record", "referrer under an image's tag", Damaged, "the tag says something else", referrer(":2", "")},
		{"record", "signature of another digest", Damaged, "the tag says something else",
			referrer(":sha256-"+digest.FromString("x").Encoded()+".sig", "image")},
		{"record", "referrer that is an image", Damaged, "an image of its own", referrer("@", "found")},

		{"record", "chart with another digest", Damaged, "index.json says", chart("digest", digest.FromString("x"))},
		{"record", "chart that is not inside", Damaged, "bundle.invalid/charts/other:1", twice("charts", func(c map[string]any) { c["reference"] = "bundle.invalid/charts/other:1" })},
		{"record", "chart missing", Damaged, "does not say what " + chartName, record1(func(r map[string]any) { delete(r, "charts") })},
		{"record", "fifty thousand charts", Damaged, "more than the 1000 allowed", record1(func(r map[string]any) {
			one := string(must(json.Marshal(first(r, "charts"))))
			r["charts"] = json.RawMessage("[" + strings.Repeat(one+",", 49_999) + one + "]")
		})},
		{"record", "chart of another name", Damaged, "the archive holds app 1.0.0", chart("name", "other")},
		{"record", "chart whose name leads outside", Damaged, "is no chart name", chart("name", "../../other")},
		{"record", "chart of another version", Damaged, "the archive holds app 1.0.0", chart("version", "2.0.0")},
		{"record", "chart that is an image", Damaged, "no layer of type", attack{record: func(r map[string]any) {
			im := first(r, "images")
			c := first(r, "charts")
			c["reference"], c["digest"] = im["reference"], im["digest"]
			r["images"] = []any{map[string]any{
				"reference": chartName, "digest": c["digest"], "mediaType": im["mediaType"], "size": im["size"], "platforms": im["platforms"],
			}}
		}, index: func(ix *ocispec.Index) {
			ix.Manifests[1] = named(ix.Manifests[0], chartName)
		}, blobs: dropChart}.make()},
		{"record", "release that leads outside", Damaged, "../../etc/cron.d", chart("release", "../../etc/cron.d")},
		{"record", "absolute release", Damaged, "/etc/cron.d", chart("release", "/etc/cron.d")},
		{"record", "release with a command", Damaged, "release name", chart("release", "app; rm -rf /")},
		{"record", "release that is an option", Damaged, "release name", chart("release", "--post-renderer=sh")},
		{"record", "namespace with a command", Damaged, "namespace", chart("namespace", "$(reboot)")},
		{"record", "Kubernetes version that is none", Damaged, "kubeVersion", chart("kubeVersion", "banana")},
	}
}

// dropChart takes the chart's blobs out, which nothing names any more.
func dropChart(b blobs) {
	for d, content := range b {
		if bytes.Contains(content, []byte(chartType)) || bytes.HasPrefix(content, []byte("\x1f\x8b")) ||
			bytes.HasPrefix(content, []byte(`{"apiVersion"`)) {
			delete(b, d)
		}
	}
}

func chartManifest(edit func(*ocispec.Manifest)) func() Content { return attack{chart: edit}.make() }

func charts() []Case {
	return []Case{
		{"chart", "no archive", Damaged, "no layer of type", chartManifest(func(m *ocispec.Manifest) { m.Layers[0].MediaType = "application/octet-stream" })},
		{"chart", "archive of 101 MB", Damaged, "more than the 104857600 allowed", zeroChart(101 << 20)},
		{"chart", "archive is an image layer", Damaged, "not a gzip file", archived([]byte("a layer"))},
		{"chart", "archive cut off", Damaged, "chart archive", archived(packed(chartFiles()...)[:200])},
		{"chart", "archive with another chart", Damaged, "the archive holds other", archived(bytesOf("apiVersion: v2\nname: other\nversion: 1.0.0\n"))},
		{"chart", "no Chart.yaml", Damaged, "Chart.yaml", archived(packed(chartFiles()[1:]...))},
		{"chart", "Chart.yaml is none", Damaged, "chart archive", archived(bytesOf("]["))},
		{"chart", "name that leads outside", Damaged, "is no chart name", chartCalled("../../x")},
		{"chart", "name that is an option", Damaged, "is no chart name", chartCalled("--set")},
		{"chart", "name with a command", Damaged, "is no chart name", chartCalled("app;reboot")},
		{"chart", "name of two lines", Damaged, "cannot be printed", chartCalled("app\nevil: true")},
		{"chart", "name of another repository", Damaged, "is no chart name", chartCalled("app:1.0.0@sha256")},
		{"chart", "aliases without end", Damaged, "chart archive", archived(bytesOf(aliases(12)))},
	}
}

func archived(archive []byte) func() Content { return attack{archive: archive}.make() }

// chartCalled gives the chart another name, in its archive and in the record.
func chartCalled(name string) func() Content {
	return attack{
		archive: bytesOf(fmt.Sprintf("apiVersion: v2\nname: %q\nversion: 1.0.0\n", name)),
		record:  func(r map[string]any) { first(r, "charts")["name"] = name },
	}.make()
}

// bytesOf is the chart with another Chart.yaml.
func bytesOf(chartYAML string) []byte {
	files := chartFiles()
	files[0].data = []byte(chartYAML)
	return packed(files...)
}

// aliases is a YAML document that grows tenfold with each level.
func aliases(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range levels {
		ref := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", ")
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, ref)
	}
	return b.String()
}

// with is the chart with one more file.
func with(f file) func() Content { return archived(packed(chartFiles(f)...)) }

func link(kind byte, name, target string) func() Content {
	return with(file{name: name, header: func(h *tar.Header) { h.Typeflag, h.Linkname = kind, target }})
}

func archives() []Case {
	return []Case{
		{"chart archive", "outside", Damaged, "leads out of the chart", with(file{name: "app/../../../etc/cron.d/x", data: []byte("x")})},
		{"chart archive", "outside at once", Damaged, "leads out of the chart", with(file{name: "../x", data: []byte("x")})},
		{"chart archive", "outside by backslashes", Damaged, "leads out of the chart", with(file{name: `app\..\..\x`, data: []byte("x")})},
		{"chart archive", "absolute", Damaged, "leads out of the chart", with(file{name: "/etc/cron.d/x", data: []byte("x")})},
		{"chart archive", "drive", Damaged, "illegally named", with(file{name: "app/c:/x", data: []byte("x")})},
		{"chart archive", "terminal codes", Damaged, "its name has a control character", with(file{name: "app/templates/\x1b[2Jx.yaml", data: []byte("a: 1")})},
		{"chart archive", "name of two lines", Damaged, "its name has a control character", with(file{name: "app/templates/x\nkind: Pod\n.yaml", data: []byte("a: 1")})},
		{"chart archive", "symbolic link", Damaged, "is no regular file", link(tar.TypeSymlink, "app/x", "/etc/passwd")},
		{"chart archive", "hard link", Damaged, "is no regular file", link(tar.TypeLink, "app/x", "app/../../x")},
		{"chart archive", "device", Damaged, "is no regular file", link(tar.TypeChar, "app/x", "")},
		{"chart archive", "pipe", Damaged, "is no regular file", link(tar.TypeFifo, "app/x", "")},
		{"chart archive", "bomb of one file", Damaged, "decompresses to more than", attack{archive: bomb(8 << 30)}.make()},
		{"chart archive", "bomb of many files", Damaged, "holds more than 20000 files", lazily(func() []byte { return crowd(20_001) })},
		{"chart archive", "bomb of folders", Damaged, "holds more than 20000 files", lazily(folders)},
		{"chart archive", "archives in archives", Damaged, "nest deeper than", lazily(func() []byte { return nest(10) })},
		{"chart archive", "bomb in an archive", Damaged, "decompresses to more than", lazily(func() []byte {
			return packed(chartFiles(file{name: "app/charts/sub.tgz", data: bomb(8 << 30)})...)
		})},
		{"chart archive", "subchart that is zeros", Damaged, "not a gzip file", lazily(func() []byte {
			return packed(chartFiles(file{name: "app/charts/sub.tgz", data: make([]byte, 60<<20)})...)
		})},
	}
}

// zeroChart is a chart archive of n zeros, which are nowhere in memory.
func zeroChart(n int64) func() Content {
	return func() Content {
		hash := sha256.New()
		for some, left := make([]byte, 1<<20), n; left > 0; left -= int64(len(some)) {
			hash.Write(some[:min(left, int64(len(some)))])
		}
		archive := ocispec.Descriptor{MediaType: chartType, Digest: digest.NewDigest(digest.SHA256, hash), Size: n}
		name := blobName(archive.Digest)
		return attack{
			chart: func(m *ocispec.Manifest) { m.Layers[0] = archive },
			blobs: func(b blobs) {
				delete(b, digest.FromBytes(goodArchive()))
				b[archive.Digest] = []byte{}
			},
			sums: func(lines []string) []string {
				lines[slices.Index(lines, line(nil, name))] = archive.Digest.Encoded() + "  " + name + "\n"
				return lines
			},
			entries: func(l []entry) []entry {
				l[slices.IndexFunc(l, func(e entry) bool { return e.name == name })].hole = n
				return l
			},
		}.content()
	}
}

func lazily(archive func() []byte) func() Content {
	return func() Content { return attack{archive: archive()}.content() }
}

// bomb is an archive that says its one file has so many bytes, and goes on
// with zeros for a while.
func bomb(size int64) []byte {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "app/x", Size: size, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
		panic(err)
	}
	return zipped(append(buf.Bytes(), make([]byte, 1<<20)...))
}

// crowd is a chart of n more files, all empty.
func crowd(n int) []byte {
	files := chartFiles()
	for i := range n {
		files = append(files, file{name: fmt.Sprintf("app/f%d", i)})
	}
	return packed(files...)
}

// folders is an archive that never comes to its first file.
func folders() []byte {
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "app/", Mode: 0o755}); err != nil {
		panic(err)
	}
	var packed bytes.Buffer
	zw := must(gzip.NewWriterLevel(&packed, gzip.BestSpeed))
	for range 290_000 {
		must(zw.Write(buf.Bytes()))
	}
	if err := zw.Close(); err != nil {
		panic(err)
	}
	return packed.Bytes()
}

// nest is a chart within n charts, each packed as an archive.
func nest(n int) []byte {
	archive := packed(chartFiles()...)
	for range n {
		archive = packed(chartFiles(file{name: "app/charts/sub.tgz", data: archive})...)
	}
	return archive
}
