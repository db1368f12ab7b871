package remote_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

const (
	ociManifest    = ocispec.MediaTypeImageManifest
	ociIndex       = ocispec.MediaTypeImageIndex
	dockerManifest = regtest.DockerManifest
)

// What registries answer when asked for a manifest.
func TestManifestAnswers(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	tests := []struct {
		name, contentType, body, header string
		want                            string // media type, or
		message                         string
	}{
		{"OCI", ociManifest, `{"schemaVersion":2,"mediaType":"` + ociManifest + `","layers":[]}`, "", ociManifest, ""},
		{"no field", ociManifest, `{"schemaVersion":2,"layers":[]}`, "", ociManifest, ""},
		{"no field, index", ociIndex + "; charset=utf-8", `{"schemaVersion":2,"manifests":[]}`, "", ociIndex, ""},
		{"generic header", "application/json", `{"mediaType":"` + dockerManifest + `"}`, "", dockerManifest, ""},
		{"contradiction", dockerManifest, `{"mediaType":"` + ociManifest + `"}`, "", "", "the registry that it is"},
		{"ambiguous manifest", ociManifest, `{"layers":[],"manifests":[]}`, "", "", "ambiguous"},
		{"ambiguous index", ociIndex, `{"config":{},"manifests":[]}`, "", "", "ambiguous"},
		{"nobody says", "application/json", `{"layers":[]}`, "", "", "not that of a manifest"},
		{"another thing", "application/json", `{"mediaType":"application/x\u001b[31m"}`, "", "", "not that of a manifest"},
		{"schema 1", "application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, "", "", "schema 1"},
		{"schema 1 by field", "application/json", `{"schemaVersion":1}`, "", "", "schema 1"},
		{"HTML", "text/html; charset=utf-8", `<!doctype html><title>Log in</title>`, "", "", "HTML"},
		{"HTML in disguise", ociManifest, ` <html>`, "", "", "HTML"},
		{"no JSON", ociManifest, `{"layers":[`, "", "", "not JSON"},
		{"empty", ociManifest, ``, "", "", "not JSON"},
		{"other digest in header", ociManifest, `{}`, "sha256:" + strings.Repeat("0", 64), "", "digest"},
		{"no digest in header", ociManifest, `{}`, "md5:zz", "", "digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := tt.header
			if header == "" {
				header = digest.FromString(tt.body).String()
			}
			reg.ClearFaults()
			reg.Inject(regtest.Fault{Class: regtest.Manifest, Do: regtest.Answer(200, tt.contentType, tt.body, "Docker-Content-Digest", header)})
			d, raw, err := c.Resolve(t.Context(), reg.Host()+"/r:1")
			if tt.want != "" {
				if err != nil || d.MediaType != tt.want || string(raw) != tt.body || d.Digest != digest.FromString(tt.body) {
					t.Errorf("%+v, error %v", d, err)
				}
				return
			}
			e := wantError(t, err, remote.Protocol)
			if !strings.Contains(e.Error(), tt.message) || strings.Contains(e.Error(), "\x1b") {
				t.Errorf("error is %q, want %q in it", e, tt.message)
			}
		})
	}
}

// However long a manifest claims to be, or is, no more than the limit is read.
func TestManifestSize(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	desc, err := reg.PushImage(t.Context(), "r:1", regtest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	huge := desc
	huge.Size = 1 << 40
	_, err = c.Manifest(t.Context(), reg.Host()+"/r", huge)
	wantError(t, err, remote.Protocol)
	if n := reg.Log.Count("", ""); n != 0 {
		t.Errorf("asked for a manifest of 1 TiB (%d requests)", n)
	}
	for _, wrong := range []int64{-1, 1} {
		d := desc
		d.Size += wrong
		_, err = c.Manifest(t.Context(), reg.Host()+"/r", d)
		wantError(t, err, remote.Protocol)
	}
	other := desc
	other.MediaType = dockerManifest
	_, err = c.Manifest(t.Context(), reg.Host()+"/r", other)
	wantError(t, err, remote.Protocol)

	reg.Inject(regtest.Fault{Class: regtest.Manifest, Do: regtest.Endless(ociManifest)})
	_, _, err = c.Resolve(t.Context(), reg.Host()+"/r:1")
	wantError(t, err, remote.Protocol)
	_, err = c.Manifest(t.Context(), reg.Host()+"/r", desc)
	wantError(t, err, remote.Protocol)
}

// A registry that does not tell the digest, or knows no HEAD, is asked for the
// manifest itself.
func TestHasManifest(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	desc, err := reg.PushImage(t.Context(), "r:1", regtest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]regtest.Injector{
		"HEAD works": nil, "no digest": regtest.Header("Docker-Content-Digest", ""), "no HEAD": regtest.Status(405),
	} {
		if do != nil {
			reg.Inject(regtest.Fault{Method: "HEAD", Times: 1, Do: do})
		}
		got, has, err := c.HasManifest(t.Context(), reg.Host()+"/r", "1")
		if err != nil || !has || got != desc.Digest {
			t.Errorf("%s: %s, %v, %v", name, got, has, err)
		}
	}
	reg.Inject(regtest.Fault{Do: regtest.Status(403)})
	_, _, err = c.HasManifest(t.Context(), reg.Host()+"/r", "1")
	wantError(t, err, remote.Denied)
}

// Bytes that do not match their descriptor are not pushed.
func TestPushManifestMismatch(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	d := ocispec.Descriptor{MediaType: ociManifest, Digest: digest.FromString("{}"), Size: 2}
	wantError(t, c.PushManifest(t.Context(), reg.Host()+"/r", "1", d, []byte("{ }")), remote.Other)
	if n := reg.Log.Count("", ""); n != 0 {
		t.Errorf("%d requests", n)
	}
	reg.Inject(regtest.Fault{Method: "PUT", Times: 2, Do: regtest.Status(503)})
	desc, raw := image(t, ocispec.Manifest{Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}})
	e := wantError(t, c.PushManifest(t.Context(), reg.Host()+"/r", "1", desc, raw), remote.Protocol)
	if e.Status != 400 || e.Attempts != 2+4 || e.Code != "MANIFEST_BLOB_UNKNOWN" || !strings.Contains(e.Error(), "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("config is missing: %v", e)
	}
}

// Names that are not canonical reach no registry.
func TestNames(t *testing.T) {
	c := client(t, remote.Options{})
	for _, ref := range []string{"", "nginx", "nginx:1", "docker.io/nginx", "host.example/../x:1", "host.example/x", "https://host.example/x:1", "host.example/x:1?y"} {
		if _, _, err := c.Resolve(t.Context(), ref); err == nil {
			t.Errorf("resolved %q", ref)
		}
	}
	for _, d := range []digest.Digest{"", "sha256:../../x", "sha256:12", "x"} {
		_, err := c.Blob(t.Context(), "host.example/x", ocispec.Descriptor{Digest: d, Size: 1})
		wantError(t, err, remote.Protocol)
	}
}

// A mirror is contacted instead, and errors say both names.
func TestMirror(t *testing.T) {
	reg := start(t, regtest.Options{})
	if _, err := reg.PushImage(t.Context(), "hub/library/nginx:1", regtest.Image{}); err != nil {
		t.Fatal(err)
	}
	for _, mirror := range []string{reg.Host() + "/hub", reg.Host() + "/hub/"} {
		c := client(t, remote.Options{Mirrors: map[string]string{"docker.io": mirror}}, reg)
		if _, _, err := c.Resolve(t.Context(), "docker.io/library/nginx:1"); err != nil {
			t.Error(err)
		}
		_, _, err := c.Resolve(t.Context(), "docker.io/library/nginx:2")
		e := wantError(t, err, remote.NotFound)
		want := fmt.Sprintf("resolve docker.io/library/nginx:2 through mirror %s/hub/library/nginx: ", reg.Host())
		if !strings.HasPrefix(e.Error(), want) || e.Host != reg.Host() {
			t.Errorf("error is %q, want %q", e, want)
		}
	}
}
