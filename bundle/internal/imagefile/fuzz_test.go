package imagefile

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/layout"
)

// archived packs files, in pairs of name and content; a content that begins with
// -> is a link.
func archived(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644}
		if to, ok := strings.CutPrefix(files[i+1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, files[i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func openBytes(t testing.TB, kind Kind, b []byte) (*Archive, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(t.Context(), kind, name, "")
}

const (
	diff   = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	config = `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + diff + `"]}}`
	listed = `[{"Config":"c.json","RepoTags":["a:1"],"Layers":["l/layer.tar"]}]`
)

// What is wrong in a docker save is the fault of who named it.
func TestDockerRefused(t *testing.T) {
	for _, tc := range []struct {
		name, want string
		files      []string
	}{
		{"empty", "manifest.json", nil},
		{"no JSON", "manifest.json", []string{"manifest.json", "<html>"}},
		{"no image", "there is no image", []string{"manifest.json", "[]"}},
		{"no config", "c.json", []string{"manifest.json", listed}},
		{"config is none", "config c.json", []string{"manifest.json", listed, "c.json", "x"}},
		{"no layer", "layer.tar", []string{"manifest.json", listed, "c.json", config}},
		{"other number of layers", "its config says 0", []string{"manifest.json", listed, "c.json", "{}", "l/layer.tar", "{}"}},
		{"digest of another kind", "only sha256", []string{"manifest.json", listed, "c.json", strings.Replace(config, diff, "md5:00", 1), "l/layer.tar", "{}"}},
		{"link to itself", "layer.tar", []string{"manifest.json", listed, "c.json", config, "l/layer.tar", "->layer.tar"}},
		{"link that leads outside", "etc/passwd", []string{"manifest.json", listed, "c.json", config, "l/layer.tar", "->../../../../etc/passwd"}},
		{"manifest.json is a link outside", "etc/passwd", []string{"manifest.json", "->/etc/passwd"}},
		{"too many layers", "more than 10000 layers", []string{"manifest.json", `[{"Layers":["l"` + strings.Repeat(`,"l"`, 10_000) + `]}]`}},
		{"large manifest.json", "more than the", []string{"manifest.json", strings.Repeat(" ", layout.MaxManifestSize+1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := openBytes(t, Docker, archived(t, tc.files...))
			if err == nil || !strings.Contains(err.Error(), tc.want) || fault.KindOf(err) != fault.Usage {
				t.Errorf("got %v, want a usage error with %q", err, tc.want)
			}
		})
	}
}

// Names in a docker save stand for what they say, however a layer is packed.
func TestDockerLayers(t *testing.T) {
	zipped := "\x1f\x8b\x08 and so on"
	for _, tc := range []struct {
		name, layer, content string
		media                string
		digest               digest.Digest
	}{
		{"plain", "l/layer.tar", "tar", ocispec.MediaTypeImageLayer, diff},
		{"plain in a layout", "blobs/sha256/" + diff[7:], "tar", ocispec.MediaTypeImageLayer, diff},
		{"compressed", "l/layer.tar", zipped, ocispec.MediaTypeImageLayerGzip, digest.FromString(zipped)},
		{"compressed in a layout", "blobs/sha256/" + digest.FromString(zipped).Encoded(), zipped, ocispec.MediaTypeImageLayerGzip, digest.FromString(zipped)},
		{"zstd", "l/layer.tar", "\x28\xb5\x2f\xfd and so on", ocispec.MediaTypeImageLayerZstd, digest.FromString("\x28\xb5\x2f\xfd and so on")},
		{"nothing", "l/layer.tar", "", ocispec.MediaTypeImageLayer, diff},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := openBytes(t, Docker, archived(t, "manifest.json", strings.Replace(listed, "l/layer.tar", tc.layer, 1), "c.json", config, tc.layer, tc.content))
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			root, doc, err := a.Images[0].Root()
			if err != nil {
				t.Fatal(err)
			}
			children, err := layout.Children(root.MediaType, doc)
			if err != nil || len(children) != 2 || children[1].MediaType != tc.media || children[1].Digest != tc.digest {
				t.Fatalf("%+v (%v)", children, err)
			}
			for i, want := range []string{config, tc.content} {
				rc, err := a.Images[0].Open(children[i], 1)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(rc)
				if err != nil || string(got) != want[min(1, len(want)):] {
					t.Errorf("read %q from byte 1 on, want %q without its first (%v)", got, want, err)
				}
				rc.Close()
			}
		})
	}
}

// Any file: no panic, and what is opened can be told and read.
func FuzzOpen(f *testing.F) {
	f.Add(true, archived(f, "manifest.json", listed, "c.json", config, "l/layer.tar", "tar"))
	f.Add(true, archived(f, "manifest.json", listed, "c.json", config, "l/layer.tar", "->../m/layer.tar", "m/layer.tar", "tar"))
	manifest := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`
	f.Add(false, archived(f, "oci-layout", `{"imageLayoutVersion":"1.0.0"}`, "index.json",
		`{"schemaVersion":2,"manifests":[{"mediaType":"`+ocispec.MediaTypeImageManifest+`","digest":"`+digest.FromString(manifest).String()+`","size":76}]}`,
		layout.BlobName(digest.FromString(manifest)), manifest))
	f.Add(false, []byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, docker bool, b []byte) {
		kind := OCIArchive
		if docker {
			kind = Docker
		}
		a, err := openBytes(t, kind, b)
		if err != nil {
			if fault.KindOf(err) != fault.Usage {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		defer a.Close()
		for _, im := range a.Images {
			root, doc, err := im.Root()
			if err != nil || digest.FromBytes(doc) != root.Digest || int64(len(doc)) != root.Size {
				t.Fatalf("root %+v of %d bytes (%v)", root, len(doc), err)
			}
		}
	})
}
