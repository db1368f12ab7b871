package bundle

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/open"
	"bundle/bundle/internal/place"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/trust"
	"bundle/bundle/reports"
	"bundle/testdata/regtest"
)

// These tests run against real registries in this process: a public one that
// stands for every host on the internet, and private ones that start empty.

func startRegistry(t testing.TB) *regtest.Registry {
	t.Helper()
	reg, err := regtest.Start(regtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg
}

// through reaches each host by way of pub: docker.io/acme/x lies there as
// acme/x.
func through(pub *regtest.Registry, hosts ...string) RegistryOptions {
	o := RegistryOptions{PlainHTTP: []string{pub.Host()}, Mirrors: make(map[string]string)}
	for _, h := range append(hosts, "docker.io", "ghcr.io") {
		o.Mirrors[h] = pub.Host()
	}
	return o
}

// onto imports into priv, below apps.
func onto(priv *regtest.Registry, trust *trust.Trust) ImportOptions {
	return ImportOptions{
		Registry:        place.Registry{Host: priv.Host(), Prefix: "apps"},
		Trust:           trust,
		RegistryOptions: RegistryOptions{PlainHTTP: []string{priv.Host()}},
	}
}

// newKey makes a key pair in files, as a user does.
func newKey(t testing.TB) (*trust.Signer, *trust.Trust) {
	t.Helper()
	signer, trust, err := keyIn(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return signer, trust
}

func keyIn(dir string) (*trust.Signer, *trust.Trust, error) {
	path := filepath.Join(dir, "key")
	if _, err := trust.Keygen(path, "release@example.com", nil); err != nil {
		return nil, nil, err
	}
	signer, err := trust.LoadSigner(context.Background(), path, trust.KeyOptions{})
	if err != nil {
		return nil, nil, err
	}
	trust, err := trust.LoadTrust(context.Background(), []string{path + ".pub"}, "")
	return signer, trust, err
}

// small is an image with one layer of its own beside a base that all share.
func small(seed int64) regtest.Image {
	return regtest.Image{Layers: []regtest.Layer{{Size: 3000, Seed: 1}, {Size: 1000, Seed: 1000 + seed}}}
}

// platforms is a multi-platform image with BuildKit's attestation of its first
// child.
func platforms(names ...string) regtest.Index {
	ix := regtest.Index{Attestation: true}
	for i, p := range names {
		ix.Images = append(ix.Images, regtest.Image{Platform: p, Layers: small(int64(100 + i)).Layers})
	}
	return ix
}

func pushImage(t testing.TB, reg *regtest.Registry, ref string, img regtest.Image) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushImage(context.Background(), ref, img)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pushIndex(t testing.TB, reg *regtest.Registry, ref string, ix regtest.Index) ocispec.Descriptor {
	t.Helper()
	d, err := reg.PushIndex(context.Background(), ref, ix)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// holds requires that a registry serves want under "repository:tag" or
// "repository@digest", whole down to the last blob.
func holds(t testing.TB, reg *regtest.Registry, ref string, want digest.Digest) {
	t.Helper()
	d, b, err := reg.Manifest(context.Background(), ref)
	if err != nil {
		t.Errorf("%s: %v", ref, err)
		return
	}
	if d.Digest != want {
		t.Errorf("%s is %s, want %s", ref, d.Digest, want)
	}
	repo, _, _ := strings.Cut(ref, "@")
	if i := strings.LastIndexByte(repo, ':'); i >= 0 {
		repo = repo[:i]
	}
	var m struct {
		Config            *ocispec.Descriptor
		Layers, Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
	for _, child := range m.Manifests {
		holds(t, reg, repo+"@"+child.Digest.String(), child.Digest)
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, child := range m.Layers {
		got, err := reg.Blob(context.Background(), repo, child.Digest)
		if err != nil {
			t.Errorf("%s: blob %s: %v", ref, child.Digest, err)
		} else if digest.FromBytes(got) != child.Digest {
			t.Errorf("%s: blob %s has other content", ref, child.Digest)
		}
	}
}

func lacks(t testing.TB, reg *regtest.Registry, ref string) {
	t.Helper()
	if d, _, err := reg.Manifest(context.Background(), ref); err == nil {
		t.Errorf("%s is there: %s", ref, d.Digest)
	}
}

// podChart is a chart with one container: registry and the rest of the
// reference are values.
const podChart = `
-- Chart.yaml --
apiVersion: v2
name: app
version: 1.0.0
-- values.yaml --
registry: ghcr.io
image: acme/app:1
replicas: 1
-- templates/deployment.yaml --
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app
spec:
  replicas: {{ .Values.replicas }}
  template:
    spec:
      containers:
        - name: app
          image: {{ .Values.registry }}/{{ .Values.image }}
        {{- if .Values.sidecar }}
        - name: sidecar
          image: {{ .Values.registry }}/{{ .Values.sidecar }}
        {{- end }}
`

// mustExport exports into a new folder and returns the report; its Output is
// the bundle.
func mustExport(t testing.TB, o ExportOptions) *reports.Export {
	t.Helper()
	if o.Output == "" {
		o.Output = filepath.Join(t.TempDir(), "x.bundle.tar")
	}
	r, err := Export(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mustImport imports and returns the report. Files go to OutputDir, a new
// folder unless given.
func mustImport(t testing.TB, path string, o ImportOptions) *reports.Import {
	t.Helper()
	r, err := Import(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustOpen(t testing.TB, path string, trust *trust.Trust) *open.Bundle {
	t.Helper()
	b, err := open.File(t.Context(), path, trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// wantValues requires that these values files, and no other, were emitted.
func wantValues(t testing.TB, dir string, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(regtest.Files(t, dir), func(f string) bool { return !strings.HasPrefix(filepath.Base(f), "values") })
	if !slices.Equal(got, want) {
		t.Errorf("values files %q, want %q", got, want)
	}
}

// wantError requires an error of a kind whose text holds all parts.
func wantError(t testing.TB, err error, kind fault.Kind, parts ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	if got := fault.KindOf(err); got != kind {
		t.Errorf("kind %d, want %d: %v", got, kind, err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not name %q", err, p)
		}
	}
}

// writes returns the requests that change something, as "METHOD path".
func writes(reg *regtest.Registry) []string {
	var w []string
	for _, r := range reg.Log.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			w = append(w, r.Method+" "+r.Path)
		}
	}
	return w
}

// names returns the names in index.json with their digests, but for the
// record.
func namesOf(b *open.Bundle) map[string]digest.Digest {
	m := make(map[string]digest.Digest)
	for _, d := range b.Index.Manifests {
		if d.ArtifactType != record.Type {
			m[d.Annotations[ocispec.AnnotationRefName]] = d.Digest
		}
	}
	return m
}
