package remote_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// kinds are the registries that every operation has to work with.
var kinds = []struct {
	name  string
	start func(*testing.T) *regtest.Registry
}{
	{"distribution", func(t *testing.T) *regtest.Registry { return start(t, regtest.Options{}) }},
	{"distribution on disk", func(t *testing.T) *regtest.Registry { return start(t, regtest.Options{Dir: t.TempDir()}) }},
	{"distribution+tls+basic", func(t *testing.T) *regtest.Registry {
		return start(t, regtest.Options{TLS: true, Username: "u", Password: "hunter2"})
	}},
	{"distribution+http2+bearer", func(t *testing.T) *regtest.Registry {
		return start(t, regtest.Options{TLS: true, HTTP2: true, Token: true, Username: "u", Password: "hunter2"})
	}},
	{"referrers API", func(t *testing.T) *regtest.Registry {
		return started(t)(regtest.StartReferrers(regtest.Options{}))
	}},
	{"docker-registry 2.8+tls+basic", func(t *testing.T) *regtest.Registry {
		back := started(t)(regtest.StartProcess(regtest.Options{TLS: true, Username: "u", Password: "hunter2"}))
		return started(t)(regtest.StartFront(back, regtest.Options{TLS: true}))
	}},
}

// direct is docker-registry with nothing before it; faults and log need a front.
var direct = func(t *testing.T) *regtest.Registry {
	return started(t)(regtest.StartProcess(regtest.Options{TLS: true, Username: "u", Password: "hunter2"}))
}

// Everything that the package does, once, with every kind of registry.
func TestRegistries(t *testing.T) {
	t.Parallel()
	starts := map[string]func(*testing.T) *regtest.Registry{
		"docker-registry direct": direct,
		"docker-registry direct+bearer": func(t *testing.T) *regtest.Registry {
			return started(t)(regtest.StartProcess(regtest.Options{TLS: true, Token: true, Username: "u", Password: "hunter2"}))
		},
	}
	for _, kind := range kinds {
		starts[kind.name] = kind.start
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := start(t)
			c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
			checkEmpty(t, c, reg)
			desc, manifest, layer, data := pushImage(t, c, reg)
			checkPulled(t, c, reg, desc, manifest, layer, data)
			checkSecondPush(t, c, reg, layer, data)
			checkReferrer(t, c, reg, desc)
		})
	}
}

func checkEmpty(t *testing.T, c *remote.Client, reg *regtest.Registry) {
	t.Helper()
	repo := reg.Host() + "/team/app"
	if err := c.Preflight(t.Context(), repo); err != nil {
		t.Errorf("preflight: %v", err)
	}
	_, _, err := c.Resolve(t.Context(), repo+":none")
	wantError(t, err, remote.NotFound)
	_, d := content(10, 99)
	_, err = c.Blob(t.Context(), repo, d)
	wantError(t, err, remote.NotFound)
	if has, err := c.HasBlob(t.Context(), repo, d); has || err != nil {
		t.Errorf("blob that nobody pushed: %v, %v", has, err)
	}
	if got, has, err := c.HasManifest(t.Context(), repo, "none"); has || err != nil || got != "" {
		t.Errorf("tag that nobody pushed: %q, %v, %v", got, has, err)
	}
}

func pushImage(t *testing.T, c *remote.Client, reg *regtest.Registry) (desc ocispec.Descriptor, manifest []byte, layer ocispec.Descriptor, data []byte) {
	t.Helper()
	repo := reg.Host() + "/team/app"
	data, layer = content(300_000, 1)
	src := source(data)
	var moved int64
	src.Progress = func(n int64) { moved += n }
	res, err := c.PushBlob(t.Context(), repo, layer, src)
	if err != nil || res != (remote.PushResult{Sent: layer.Size}) || moved != layer.Size {
		t.Fatalf("push blob: %+v, progress %d, error %v", res, moved, err)
	}
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	configDesc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	if _, err := c.PushBlob(t.Context(), repo, configDesc, source(config)); err != nil {
		t.Fatal(err)
	}
	layer.MediaType = ocispec.MediaTypeImageLayerGzip
	desc, manifest = image(t, ocispec.Manifest{Config: configDesc, Layers: []ocispec.Descriptor{layer}})
	for _, ref := range []string{"", "1.0"} {
		if err := c.PushManifest(t.Context(), repo, ref, desc, manifest); err != nil {
			t.Fatal(err)
		}
	}
	return desc, manifest, layer, data
}

func image(t *testing.T, m ocispec.Manifest) (ocispec.Descriptor, []byte) {
	t.Helper()
	m.Versioned, m.MediaType = specs.Versioned{SchemaVersion: 2}, ocispec.MediaTypeImageManifest
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw)), ArtifactType: m.ArtifactType}, raw
}

func checkPulled(t *testing.T, c *remote.Client, reg *regtest.Registry, desc ocispec.Descriptor, manifest []byte, layer ocispec.Descriptor, data []byte) {
	t.Helper()
	repo := reg.Host() + "/team/app"
	for _, ref := range []string{repo + ":1.0", repo + "@" + desc.Digest.String(), repo + ":other@" + desc.Digest.String()} {
		got, raw, err := c.Resolve(t.Context(), ref)
		if err != nil || got.Digest != desc.Digest || got.Size != desc.Size || got.MediaType != desc.MediaType || !bytes.Equal(raw, manifest) {
			t.Errorf("resolve %s: %+v, error %v", ref, got, err)
		}
	}
	if raw, err := c.Manifest(t.Context(), repo, desc); err != nil || !bytes.Equal(raw, manifest) {
		t.Errorf("manifest: %s, error %v", raw, err)
	}
	for _, ref := range []string{"1.0", desc.Digest.String()} {
		if got, has, err := c.HasManifest(t.Context(), repo, ref); err != nil || !has || got != desc.Digest {
			t.Errorf("has manifest %s: %s, %v, %v", ref, got, has, err)
		}
	}
	if got, err := pull(t.Context(), c, repo, layer); err != nil || !bytes.Equal(got, data) {
		t.Errorf("pull: %d bytes, error %v", len(got), err)
	}
	if has, err := c.HasBlob(t.Context(), repo, layer); err != nil || !has {
		t.Errorf("has blob: %v, %v", has, err)
	}
}

// What is there is not sent: only HEAD for the same repository, a mount for another.
func checkSecondPush(t *testing.T, c *remote.Client, reg *regtest.Registry, layer ocispec.Descriptor, data []byte) {
	t.Helper()
	reg.Log.Reset()
	res, err := c.PushBlob(t.Context(), reg.Host()+"/team/app", layer, source(data))
	if err != nil || res != (remote.PushResult{Existed: true}) {
		t.Errorf("second push: %+v, %v", res, err)
	}
	if all, heads := reg.Log.Count("", ""), reg.Log.Count("HEAD", regtest.Blob); all != heads {
		t.Errorf("second push: %d requests, %d of them HEAD", all, heads)
	}
	src := source(data)
	src.MountFrom = reg.Host() + "/team/app"
	res, err = c.PushBlob(t.Context(), reg.Host()+"/other", layer, src)
	// A registry without mounts, or that shares blobs anyway, is right too.
	if err != nil || !res.Mounted && !res.Existed && res.Sent != layer.Size {
		t.Errorf("mount: %+v, %v", res, err)
	}
	if has, err := reg.HasBlob(t.Context(), "other", layer.Digest); err != nil || !has {
		t.Errorf("after mount: %v, %v", has, err)
	}
}

// A manifest with a subject is found from its subject, by the API or by the tag.
func checkReferrer(t *testing.T, c *remote.Client, reg *regtest.Registry, subject ocispec.Descriptor) {
	t.Helper()
	repo := reg.Host() + "/team/app"
	empty := ocispec.DescriptorEmptyJSON
	empty.Data = nil
	if _, err := c.PushBlob(t.Context(), repo, empty, source([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	s := ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	desc, raw := image(t, ocispec.Manifest{ArtifactType: "application/x", Config: empty, Layers: []ocispec.Descriptor{}, Subject: &s})
	if err := c.PushManifest(t.Context(), repo, "", desc, raw); err != nil {
		t.Fatal(err)
	}
	_, index, err := reg.Manifest(t.Context(), "team/app:"+subject.Digest.Algorithm().String()+"-"+subject.Digest.Encoded())
	if err != nil {
		index, err = reg.Referrers(t.Context(), "team/app", subject.Digest)
	}
	if err != nil || !bytes.Contains(index, []byte(desc.Digest)) {
		t.Errorf("referrers of %s are %s, error %v", subject.Digest, index, err)
	}
}

// distribution does mount, and then nothing is sent.
func TestMount(t *testing.T) {
	reg := start(t, regtest.Options{Token: true, Username: "u", Password: "hunter2"})
	data, d := content(1000, 1)
	if _, err := reg.PushBlob(t.Context(), "from", data); err != nil {
		t.Fatal(err)
	}
	c := client(t, remote.Options{Credentials: map[string]remote.Credential{reg.Host(): {Username: "u", Password: "hunter2"}}}, reg)
	src := remote.BlobSource{MountFrom: reg.Host() + "/from"} // Open is nil: the content is not needed
	res, err := c.PushBlob(t.Context(), reg.Host()+"/to", d, src)
	if err != nil || res != (remote.PushResult{Mounted: true}) {
		t.Errorf("mount: %+v, %v", res, err)
	}

	// A refused mount and one from another registry fall back to sending.
	for _, from := range []string{reg.Host() + "/from", "other.example/from"} {
		reg.Inject(regtest.Fault{Method: "POST", Class: regtest.Upload, Times: 1, Match: isMount, Do: regtest.Status(403)})
		src := source(data)
		src.MountFrom = from
		res, err := c.PushBlob(t.Context(), reg.Host()+"/to"+string(rune('a'+len(from)%26)), d, src)
		if err != nil || res != (remote.PushResult{Sent: d.Size}) {
			t.Errorf("mount from %s: %+v, %v", from, res, err)
		}
	}
}

// A mount that fails as if it could succeed later is tried again, and given up
// where it does not.
func TestMountAgain(t *testing.T) {
	reg := start(t, regtest.Options{})
	data, d := content(1000, 1)
	if _, err := reg.PushBlob(t.Context(), "from", data); err != nil {
		t.Fatal(err)
	}
	c := client(t, remote.Options{}, reg)
	for _, tt := range []struct {
		repo  string
		times int
		do    regtest.Injector
		want  remote.PushResult
	}{
		{"a", 1, regtest.Status(503), remote.PushResult{Mounted: true}},
		{"b", 1, regtest.LoseAnswer(), remote.PushResult{Mounted: true}},
		{"c", 0, regtest.Status(500), remote.PushResult{Sent: d.Size}},
	} {
		reg.ClearFaults()
		reg.Inject(regtest.Fault{Method: "POST", Class: regtest.Upload, Times: tt.times, Match: isMount, Do: tt.do})
		src := source(data)
		src.MountFrom, src.Missing = reg.Host()+"/from", true
		if res, err := c.PushBlob(t.Context(), reg.Host()+"/"+tt.repo, d, src); err != nil || res != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.repo, res, err, tt.want)
		}
	}
}

// Referrers pushed at the same time to a registry without the API are all listed.
func TestConcurrentReferrers(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	subject, err := reg.PushImage(t.Context(), "r:1", regtest.Image{})
	if err != nil {
		t.Fatal(err)
	}
	subject.Platform = nil
	config, err := reg.PushBlob(t.Context(), "r", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	var want []digest.Digest
	for i := range 8 {
		desc, raw := image(t, ocispec.Manifest{
			ArtifactType: "application/x", Config: config, Layers: []ocispec.Descriptor{}, Subject: &subject,
			Annotations: map[string]string{"n": strconv.Itoa(i)},
		})
		want = append(want, desc.Digest)
		g.Go(func() error { return c.PushManifest(t.Context(), reg.Host()+"/r", "", desc, raw) })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	_, index, err := reg.Manifest(t.Context(), "r:sha256-"+subject.Digest.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range want {
		if !bytes.Contains(index, []byte(d)) {
			t.Errorf("%s is not among the referrers", d)
		}
	}
}

func TestTags(t *testing.T) {
	reg := start(t, regtest.Options{})
	c := client(t, remote.Options{}, reg)
	_, err := c.Tags(t.Context(), reg.Host()+"/charts/app")
	wantError(t, err, remote.NotFound)
	for _, tag := range []string{"1.0.0", "1.1.0"} {
		if _, err := reg.PushImage(t.Context(), "charts/app:"+tag, regtest.Image{}); err != nil {
			t.Fatal(err)
		}
	}
	reg.Inject(regtest.Fault{Class: regtest.Tags, Times: 1, Do: regtest.Status(503)})
	tags, err := c.Tags(t.Context(), reg.Host()+"/charts/app")
	if err != nil || !slices.Equal(tags, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("tags are %q, %v", tags, err)
	}
}
