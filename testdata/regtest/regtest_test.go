package regtest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bundle/testdata/regtest"
)

func start(t *testing.T, o regtest.Options) *regtest.Registry {
	t.Helper()
	return regtest.Running(t, regtest.Start, o)
}

func startProcess(t *testing.T, o regtest.Options) *regtest.Registry {
	t.Helper()
	return regtest.Running(t, regtest.StartProcess, o)
}

// Every kind of registry takes the same images, and a foreign client (crane's
// library) reads and validates them.
func TestKinds(t *testing.T) {
	kinds := map[string]func(*testing.T) *regtest.Registry{
		"memory":     func(t *testing.T) *regtest.Registry { return start(t, regtest.Options{}) },
		"filesystem": func(t *testing.T) *regtest.Registry { return start(t, regtest.Options{Dir: t.TempDir()}) },
		"tls+basic": func(t *testing.T) *regtest.Registry {
			return start(t, regtest.Options{TLS: true, Username: "u", Password: "p"})
		},
		"tls+http2+token": func(t *testing.T) *regtest.Registry {
			return start(t, regtest.Options{TLS: true, HTTP2: true, Token: true, Username: "u", Password: "p"})
		},
		"referrers": func(t *testing.T) *regtest.Registry {
			return regtest.Running(t, regtest.StartReferrers, regtest.Options{})
		},
		"process": func(t *testing.T) *regtest.Registry { return startProcess(t, regtest.Options{}) },
		"process+tls+basic behind a front": func(t *testing.T) *regtest.Registry {
			back := startProcess(t, regtest.Options{TLS: true, Username: "u", Password: "p"})
			front := func(o regtest.Options) (*regtest.Registry, error) { return regtest.StartFront(back, o) }
			return regtest.Running(t, front, regtest.Options{TLS: true})
		},
	}
	for kind, startKind := range kinds {
		t.Run(kind, func(t *testing.T) { checkKind(t, startKind(t)) })
	}
}

func checkKind(t *testing.T, reg *regtest.Registry) {
	t.Helper()
	ctx := t.Context()
	base := regtest.Layer{Size: 100_000, Seed: 1}
	idx := regtest.Index{Attestation: true, Images: []regtest.Image{
		{Layers: []regtest.Layer{base, {Size: 5000, Seed: 2, Compressible: true}}},
		{Layers: []regtest.Layer{base, {Size: 5000, Seed: 3}}, Platform: "linux/arm64/v8"},
	}}
	desc, err := reg.PushIndex(ctx, "team/app:1", idx)
	if err != nil {
		t.Fatal(err)
	}
	img, err := reg.PushImage(ctx, "team/docker:1", regtest.Image{Docker: true, Layers: []regtest.Layer{base}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(reg.Log.Requests()); n != 0 {
		t.Errorf("%d of the registry's own requests are in its log", n)
	}

	opts := []remote.Option{remote.WithContext(ctx), remote.WithTransport(transport(t, reg)),
		remote.WithAuth(&authn.Basic{Username: "u", Password: "p"})}
	ref, err := name.ParseReference(reg.Host() + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if got := must(index.Digest()); got.String() != desc.Digest.String() {
		t.Errorf("index digest is %s, pushed %s", got, desc.Digest)
	}
	children := must(index.IndexManifest()).Manifests
	if len(children) != 3 || children[2].Platform.OS != "unknown" {
		t.Errorf("children are %v, want two images and one attestation", children)
	}
	if err := validate.Image(must(index.Image(children[1].Digest))); err != nil {
		t.Error(err)
	}
	ref, err = name.ParseReference(reg.Host() + "/team/docker:1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(ref, opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
	if d := must(got.Digest()); d.String() != img.Digest.String() {
		t.Errorf("image digest is %s, pushed %s", d, img.Digest)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The bytes of layers and images never change: bundles with recorded digests
// depend on them.
func TestDeterministic(t *testing.T) {
	reg := start(t, regtest.Options{})
	for _, tt := range []struct {
		name string
		img  regtest.Image
		want string
	}{
		{"empty", regtest.Image{}, "sha256:b3dcabe4fd456858fa8bd27ee3f9459ae36e03710c6ba8f05900b6b9043761d2"},
		{"layers", regtest.Image{Layers: []regtest.Layer{{Size: 1 << 20, Seed: 7}, {Size: 1 << 20, Seed: 7, Compressible: true}}}, "sha256:bfd0877fe0469da098ae0ac58f492eb4421baed4fe66fd3ea8df423e56156f61"},
	} {
		desc, err := reg.PushImage(t.Context(), tt.name+":1", tt.img)
		if err != nil {
			t.Fatal(err)
		}
		if desc.Digest.String() != tt.want {
			t.Errorf("%s: digest is %s, want %s", tt.name, desc.Digest, tt.want)
		}
	}
}

func TestLayerSizes(t *testing.T) {
	for _, l := range []regtest.Layer{{}, {Size: 1}, {Size: 3 << 20, Seed: 1}, {Size: 3 << 20, Seed: 1, Compressible: true}} {
		rc := l.Open()
		n, err := io.Copy(io.Discard, rc)
		if err != nil {
			t.Fatal(err)
		}
		low, high := l.Size, l.Size+l.Size/100+4096
		if l.Compressible {
			low, high = l.Size*4/10, l.Size*7/10
		}
		if n < low || n > high {
			t.Errorf("%+v has %d bytes, want %d to %d", l, n, low, high)
		}
	}
}

// Each fault, seen by a plain HTTP client that gets one blob of 10000 bytes.
func TestFaults(t *testing.T) {
	reg := start(t, regtest.Options{})
	data := bytes.Repeat([]byte("0123456789"), 1000)
	desc, err := reg.PushBlob(t.Context(), "r", data)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		do     regtest.Injector
		status int
		check  func(body []byte, err error) bool
	}{
		{"status", regtest.Status(429, "Retry-After", "7"), 429, func(b []byte, err error) bool { return err == nil }},
		{"reset", regtest.Reset(3000), 200, func(b []byte, err error) bool { return len(b) == 3000 && err != nil }},
		{"truncate", regtest.Truncate(3000), 200, func(b []byte, err error) bool { return len(b) == 3000 && err == nil }},
		{"corrupt", regtest.Corrupt(3000), 200, func(b []byte, err error) bool {
			return len(b) == 10000 && b[3000] == data[3000]^1 && digest.FromBytes(b) != desc.Digest
		}},
		{"header", regtest.Header("X-A", "b"), 200, func(b []byte, err error) bool { return bytes.Equal(b, data) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg.Log.Reset()
			reg.Inject(regtest.Fault{Method: "GET", Class: regtest.Blob, Times: 1, Do: tt.do})
			status, body, err := get(t.Context(), reg, "/v2/r/blobs/"+desc.Digest.String())
			if status != tt.status || !tt.check(body, err) {
				t.Errorf("status %d, %d bytes, error %v", status, len(body), err)
			}
			status, body, err = get(t.Context(), reg, "/v2/r/blobs/"+desc.Digest.String())
			if status != 200 || err != nil || !bytes.Equal(body, data) {
				t.Errorf("after the fault: status %d, %d bytes, error %v", status, len(body), err)
			}
			if n := reg.Log.Count("GET", regtest.Blob); n != 2 {
				t.Errorf("%d requests logged, want 2", n)
			}
		})
	}
}

// A registry with a stalled upload and download can still be closed.
func TestCloseWhileStalled(t *testing.T) {
	reg := start(t, regtest.Options{})
	reg.Inject(regtest.Fault{Method: "POST", Do: regtest.StallUpload(10)})
	reg.Inject(regtest.Fault{Method: "GET", Do: regtest.Stall(0)})
	got := make(chan error, 2)
	go func() {
		resp, err := http.Post(reg.URL()+"/v2/r/blobs/uploads/", "", io.LimitReader(zeros{}, 1<<20))
		if err == nil {
			resp.Body.Close()
		}
		got <- err
	}()
	resp, err := http.Get(reg.URL() + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		got <- err
	}()
	reg.Close()
	for range 2 {
		if err := <-got; err == nil {
			t.Error("a stalled request ended without an error")
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestCharts(t *testing.T) {
	archive, err := regtest.ChartArchive("app", map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.2.3\n", "templates/x.yaml": "a: b\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := regtest.StartCharts(regtest.Options{Username: "u", Password: "p"}, archive)
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	for _, tt := range []struct {
		path, user string
		status     int
	}{{"/index.yaml", "", 401}, {"/index.yaml", "u", 200}, {"/app-1.2.3.tgz", "u", 200}, {"/none.tgz", "u", 404}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", repo.URL()+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.user != "" {
			req.SetBasicAuth(tt.user, "p")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status {
			t.Errorf("%s as %q: status %d (want %d), error %v", tt.path, tt.user, resp.StatusCode, tt.status, err)
		}
		if tt.path == "/app-1.2.3.tgz" && sha256.Sum256(body) != sha256.Sum256(archive) {
			t.Error("archive differs")
		}
	}

	reg := start(t, regtest.Options{})
	if _, err := reg.PushChart(t.Context(), "charts/app:1.2.3", archive, []byte("prov")); err != nil {
		t.Fatal(err)
	}
	_, raw, err := reg.Manifest(t.Context(), "charts/app:1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Config.MediaType != regtest.ChartConfig || len(m.Layers) != 2 || m.Layers[0].Digest != digest.FromBytes(archive) {
		t.Errorf("chart manifest is %s", raw)
	}
	config, err := reg.Blob(t.Context(), "charts/app", m.Config.Digest)
	if err != nil || string(config) != `{"apiVersion":"v2","name":"app","version":"1.2.3"}` {
		t.Errorf("chart config is %s, error %v", config, err)
	}
}

func TestReferrers(t *testing.T) {
	reg := regtest.Running(t, regtest.StartReferrers, regtest.Options{})
	subject, err := reg.PushImage(t.Context(), "r:1", regtest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	a := regtest.Wasm([]byte("\x00asm"))
	a.ArtifactType, a.Subject = "application/x", &subject
	desc, err := reg.PushArtifact(t.Context(), "r", a)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := get(t.Context(), reg, "/v2/r/referrers/"+subject.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	var idx v1.IndexManifest
	if err := json.Unmarshal(body, &idx); err != nil {
		t.Fatal(err)
	}
	if len(idx.Manifests) != 1 || idx.Manifests[0].Digest.String() != desc.Digest.String() {
		t.Errorf("referrers are %s", body)
	}
}

func get(ctx context.Context, reg *regtest.Registry, path string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", reg.URL()+path, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("get %s: %w", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
