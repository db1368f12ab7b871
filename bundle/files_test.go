package bundle

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/source"
	"bundle/testdata/regtest"
)

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	im, err := random.Image(2000, 3)
	if err != nil {
		t.Fatal(err)
	}
	if im, err = mutate.ConfigFile(im, withPlatform(t, im)); err != nil {
		t.Fatal(err)
	}
	return im
}

func withPlatform(t *testing.T, im v1.Image) *v1.ConfigFile {
	t.Helper()
	c, err := im.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", "amd64"
	return c
}

func digestOf(t *testing.T, im interface{ Digest() (v1.Hash, error) }) digest.Digest {
	t.Helper()
	h, err := im.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.Digest(h.String())
}

// writeLayout makes an OCI layout with images by the names that its index gives
// them.
func writeLayout(t *testing.T, images map[string]v1.Image, index v1.ImageIndex) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "My_Layout")
	p, err := ggcr.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	named := func(n string) ggcr.Option {
		return ggcr.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": n})
	}
	for n, im := range images {
		var o []ggcr.Option
		if n != "" {
			o = append(o, named(n))
		}
		if err := p.AppendImage(im, o...); err != nil {
			t.Fatal(err)
		}
	}
	if index != nil {
		if err := p.AppendIndex(index, named("multi")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tarOf packs a folder.
func tarOf(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "layout.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// Images that are in no registry travel from where they lie, byte for byte, and
// the registry is asked for nothing.
func TestImagesInLayouts(t *testing.T) {
	t.Parallel()
	a, b := randomImage(t), randomImage(t)
	ix, err := random.Index(1000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	single, several := writeLayout(t, map[string]v1.Image{"1.0": a}, nil), writeLayout(t, map[string]v1.Image{"ghcr.io/acme/a:1": a, "acme/b:2": b}, nil)
	multi, unnamed := writeLayout(t, map[string]v1.Image{"x": a}, ix), writeLayout(t, map[string]v1.Image{"": a}, nil)
	for _, tc := range []struct {
		name   string
		images []string
		want   map[string]digest.Digest // path:tag below the target
	}{
		{"tag alone", []string{"oci:" + single + ":1.0"}, map[string]digest.Digest{"my-layout:1.0": digestOf(t, a)}},
		{"no name asked for", []string{"oci:" + single}, map[string]digest.Digest{"my-layout:1.0": digestOf(t, a)}},
		{"no name there", []string{"oci:" + unnamed}, map[string]digest.Digest{"my-layout:latest": digestOf(t, a)}},
		{"name given", []string{"ghcr.io/acme/other:3=oci:" + single + ":1.0"}, map[string]digest.Digest{"acme/other:3": digestOf(t, a)}},
		{"all of several", []string{"oci:" + several}, map[string]digest.Digest{"acme/a:1": digestOf(t, a), "acme/b:2": digestOf(t, b)}},
		{"one of several", []string{"oci:" + several + ":docker.io/acme/b:2"}, map[string]digest.Digest{"acme/b:2": digestOf(t, b)}},
		{"index", []string{"oci:" + multi + ":multi"}, map[string]digest.Digest{"my-layout:multi": digestOf(t, ix)}},
		{"tar", []string{"oci-archive:" + tarOf(t, several) + ":acme/b:2"}, map[string]digest.Digest{"acme/b:2": digestOf(t, b)}},
		{"tar of an index", []string{"oci-archive:" + tarOf(t, multi) + ":multi"}, map[string]digest.Digest{"layout:multi": digestOf(t, ix)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pub, priv := startRegistry(t), startRegistry(t)
			signer, trust := newKey(t)
			report := mustExport(t, ExportOptions{Images: tc.images, Signer: signer, Registry: through(pub, "localhost")})
			if n := pub.Log.Count("", ""); n > 0 {
				t.Errorf("%d requests", n)
			}
			mustImport(t, report.Output, onto(priv, trust))
			if len(report.Images) != len(tc.want) {
				t.Errorf("images %+v", report.Images)
			}
			for name, d := range tc.want {
				holds(t, priv, "apps/"+name, d)
			}
		})
	}
}

// What docker save and others wrote has no manifest: its image gets one, always
// the same, with the config, and so the image ID, that it had.
func TestImagesInDockerArchives(t *testing.T) {
	t.Parallel()
	a, b := randomImage(t), randomImage(t)
	id, err := a.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	tag := func(s string) name.Tag {
		n, err := name.NewTag(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	compressed := filepath.Join(t.TempDir(), "crane.tar") // as crane pull writes it
	if err := tarball.MultiWriteToFile(compressed, map[name.Tag]v1.Image{tag("acme/a:1"): a, tag("ghcr.io/acme/b:2"): b}); err != nil {
		t.Fatal(err)
	}
	plain := dockerSave(t, a, "acme/a:1", false)
	linked := dockerSave(t, a, "acme/a:1", true)
	untagged := dockerSave(t, a, "", false)
	for _, tc := range []struct {
		name, image, want string
		count             int
	}{
		{"layers compressed", "docker-archive:" + compressed + ":acme/a:1", "acme/a:1", 1},
		{"all of them", "docker-archive:" + compressed, "acme/a:1", 2},
		{"layers as docker save has them", "docker-archive:" + plain, "acme/a:1", 1},
		{"links between layers", "docker-archive:" + linked + ":docker.io/acme/a:1", "acme/a:1", 1},
		{"no tag", "docker-archive:" + untagged, "saved:latest", 1},
		{"name given", "quay.io/x/y:7=docker-archive:" + untagged, "x/y:7", 1},
		{"two tags", "docker-archive:" + dockerSave(t, a, `acme/a:1","acme/a:latest`, false), "acme/a:1", 2},
		{"two tags and a name given", "quay.io/x/y:7=docker-archive:" + dockerSave(t, a, `acme/a:1","acme/a:latest`, false), "x/y:7", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			priv := startRegistry(t)
			signer, trust := newKey(t)
			o := ExportOptions{Images: []string{tc.image}, Signer: signer, Created: regtest.Epoch}
			first, second := mustExport(t, o), mustExport(t, o)
			if x, y := regtest.ReadFile(t, first.Output), regtest.ReadFile(t, second.Output); x != y {
				t.Error("two runs wrote two files")
			}
			mustImport(t, first.Output, onto(priv, trust))
			if len(first.Images) != tc.count || first.Images[0].Platforms[0] != "linux/amd64" {
				t.Errorf("images %+v", first.Images)
			}
			d, doc, err := priv.Manifest(t.Context(), "apps/"+tc.want)
			if err != nil {
				t.Fatal(err)
			}
			holds(t, priv, "apps/"+tc.want, d.Digest)
			if !bytes.Contains(doc, []byte(id.String())) {
				t.Errorf("%s does not name the config %s", doc, id)
			}
		})
	}
}

// dockerSave writes an image as docker save did before it wrote OCI layouts: one
// folder a layer, the same layer a second time as a link.
func dockerSave(t *testing.T, im v1.Image, tag string, twice bool) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "saved.tar")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	put := func(name string, b []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(b)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	config, err := im.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := im.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, l := range layers {
		rc, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		dir := strings.Repeat(string(rune('a'+i)), 64)
		if put(dir+"/layer.tar", b); twice {
			err := w.WriteHeader(&tar.Header{Name: dir + "x/layer.tar", Typeflag: tar.TypeSymlink, Linkname: "../" + dir + "/layer.tar"})
			if err != nil {
				t.Fatal(err)
			}
			dir += "x"
		}
		names = append(names, dir+"/layer.tar")
	}
	put("config.json", config)
	tags := "null"
	if tag != "" {
		tags = `["` + tag + `"]`
	}
	put("manifest.json", []byte(`[{"Config":"config.json","RepoTags":`+tags+`,"Layers":["`+strings.Join(names, `","`)+`"]}]`))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// An image of a chart may lie in a file, too: it is not asked for in its registry.
func TestChartImageInFile(t *testing.T) {
	im := randomImage(t)
	pub, priv := startRegistry(t), startRegistry(t)
	signer, trust := newKey(t)
	report := mustExport(t, ExportOptions{
		Charts: []source.ChartSpec{{Ref: regtest.Folder(t, podChart)}}, Images: []string{"ghcr.io/acme/app:1=oci:" + writeLayout(t, map[string]v1.Image{"dev": im}, nil)},
		Signer: signer, Registry: through(pub),
	})
	r := mustImport(t, report.Output, onto(priv, trust))
	holds(t, priv, "apps/acme/app:1", digestOf(t, im))
	if len(r.Charts) != 1 || r.Charts[0].Moved != 1 {
		t.Errorf("charts %+v", r.Charts)
	}
}

// Files that are not what they are called, or that lie, are refused with advice,
// and leave nothing.
func TestImageFilesRefused(t *testing.T) {
	layout := writeLayout(t, map[string]v1.Image{"1.0": randomImage(t)}, nil)
	good := tarOf(t, layout)
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	whole := regtest.ReadFile(t, good)
	damaged := writeLayout(t, map[string]v1.Image{"1.0": randomImage(t)}, nil)
	spoil(t, damaged)
	outside := writeLayout(t, map[string]v1.Image{"1.0": randomImage(t)}, nil)
	if err := os.Remove(filepath.Join(outside, "index.json")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(outside, "index.json")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, image string
		kind        fault.Kind
		want        string
	}{
		{"not there", "oci:/not/there:1", fault.Usage, "no such file"},
		{"a file as a folder", "oci:" + good, fault.Usage, "not a directory"},
		{"a folder as a tar", "oci-archive:" + layout, fault.Usage, "not a regular file"},
		{"no such image", "oci:" + layout + ":2.0", fault.Usage, `there is no image "2.0" in it; there is ["1.0"]`},
		{"other kind", "docker-archive:" + good, fault.Usage, "manifest.json"},
		{"compressed", "oci-archive:" + file("\x1f\x8b\x08"), fault.Usage, "is compressed"},
		{"no tar", "oci-archive:" + file(strings.Repeat("x", 2000)), fault.Usage, "tar"},
		{"cut off", "oci-archive:" + file(whole[:len(whole)/2]), fault.Usage, ""},
		{"endless", "docker-archive:/dev/zero", fault.Usage, "not a regular file"},
		{"index that leads outside", "oci:" + outside, fault.Usage, "escapes"},
		{"a layer has other content", "oci:" + damaged, fault.Failed, "digest"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out := t.TempDir()
			_, err := Export(t.Context(), ExportOptions{Images: []string{tc.image}, Unsigned: true, Output: filepath.Join(out, "a.tar")})
			wantError(t, err, tc.kind, tc.want)
			regtest.WantFiles(t, out)
		})
	}
}

// spoil changes the last bit of each layer of a layout.
func spoil(t *testing.T, dir string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range blobs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if b[0] == '{' {
			continue
		}
		b[len(b)-1] ^= 1
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
