//go:build !race

// Helm's own code, which judges here, brings a Kubernetes client that takes long
// to compile with -race. Nothing here runs in parallel.

package source

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/cli"
	"helm.sh/helm/v3/pkg/downloader"
	"helm.sh/helm/v3/pkg/getter"
	"helm.sh/helm/v3/pkg/registry"

	"bundle/bundle/internal/fault"
	"bundle/bundle/internal/record"
	"bundle/bundle/internal/remote"
	"bundle/testdata/regtest"
)

// archive is a chart whose appVersion tells it from the others.
func archive(t *testing.T, name, version, appVersion string) []byte {
	t.Helper()
	b, err := regtest.ChartArchive(name, map[string]string{
		"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: %s\n", name, version, appVersion),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func registryOf(t *testing.T) (*regtest.Registry, *remote.Client) {
	t.Helper()
	reg := regtest.Running(t, regtest.Start, regtest.Options{})
	c, err := remote.New(remote.Options{PlainHTTP: []string{reg.Host()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return reg, c
}

// helms is what helm is to use, with nothing of this machine's.
func helms(t *testing.T) (*registry.Client, *cli.EnvSettings) {
	t.Helper()
	dir := t.TempDir()
	client, err := registry.NewClient(registry.ClientOptPlainHTTP(), registry.ClientOptWriter(io.Discard), registry.ClientOptCredentialsFile(filepath.Join(dir, "none")))
	if err != nil {
		t.Fatal(err)
	}
	settings := cli.New()
	settings.RepositoryConfig, settings.RepositoryCache = filepath.Join(dir, "repositories.yaml"), dir
	return client, settings
}

// helmUpdates has Helm's own code, that of helm dependency update, fetch the one
// dependency of a chart: its appVersion, or nothing where helm does not take it.
func helmUpdates(t *testing.T, dir string) string {
	t.Helper()
	client, settings := helms(t)
	m := downloader.Manager{
		Out: io.Discard, ChartPath: dir, Getters: getter.All(settings), RegistryClient: client,
		RepositoryConfig: settings.RepositoryConfig, RepositoryCache: settings.RepositoryCache,
	}
	if m.Update() != nil {
		return ""
	}
	files, err := filepath.Glob(filepath.Join(dir, "charts/*.tgz"))
	if err != nil || len(files) != 1 {
		t.Fatalf("helm fetched %q, %v", files, err)
	}
	c, err := loader.Load(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return c.Metadata.AppVersion
}

// judged asks Helm's own code, that of helm pull, for a chart by reference and
// version: its appVersion, or nothing where helm does not take it.
func judged(t *testing.T, ref, version string) string {
	t.Helper()
	client, settings := helms(t)
	d := downloader.ChartDownloader{
		Out: io.Discard, Getters: getter.All(settings), RepositoryConfig: settings.RepositoryConfig, RepositoryCache: settings.RepositoryCache,
		RegistryClient: client, Options: []getter.Option{getter.WithRegistryClient(client), getter.WithPlainHTTP(true)},
	}
	file, _, err := d.DownloadTo(ref, version, t.TempDir())
	if err != nil {
		return ""
	}
	c, err := loader.Load(file)
	if err != nil {
		return ""
	}
	return c.Metadata.AppVersion
}

// What helm takes is taken, and it is the same chart. What is taken beyond is
// listed.
func TestVersionsAsHelm(t *testing.T) {
	reg, c := registryOf(t)
	for repo, tags := range map[string]string{
		"charts/strict":   "1.0.0 1.1.0 1.10.0 2.0.0-rc.1 0.6 0.6.9 v0.5.1 latest 1.1.0_build.7 sha256-00.sig",
		"charts/vees":     "v1.17.0 v1.18.2",
		"charts/pre":      "1.0.0-alpha 1.0.0-beta.2",
		"charts/metadata": "1.0.0_a",
		"charts/other":    "main dev",
	} {
		for _, tag := range strings.Fields(tags) {
			if _, err := reg.PushChart(t.Context(), repo+":"+tag, archive(t, filepath.Base(repo), "0.0.1", repo+" "+tag), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	desc, _, err := reg.Manifest(t.Context(), "charts/strict:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	at := "@" + desc.Digest.String()
	for _, tt := range []struct {
		chart, version string
		more           string // taken beyond helm: this one
	}{
		{chart: "strict"}, {chart: "strict", version: "1.0.0"}, {chart: "strict", version: "1.1.0"},
		{chart: "strict", version: "0.6"}, {chart: "strict", version: "0.6.9"}, {chart: "strict", version: "v0.5.1"},
		{chart: "strict", version: "0.5.1", more: "v0.5.1"}, {chart: "strict", version: "v1.0.0", more: "1.0.0"}, {chart: "strict", version: "1.10", more: "1.10.0"},
		{chart: "strict", version: "1.1.0+build.7"}, {chart: "strict", version: "1.1.0+build.8"},
		{chart: "strict", version: "1.x"}, {chart: "strict", version: "~1.1"}, {chart: "strict", version: "^1"}, {chart: "strict", version: ">=2.0.0-0"},
		{chart: "strict", version: ">1.1.0 <1.10.0"}, {chart: "strict", version: "2.0.0-rc.1"}, {chart: "strict", version: "2.0.0"}, {chart: "strict", version: "9"},
		{chart: "strict", version: ">=9"}, {chart: "strict", version: "latest"}, {chart: "strict", version: "*"}, {chart: "strict", version: "not a version"},
		{chart: "strict:1.0.0"}, {chart: "strict:latest", more: "latest"}, {chart: "strict:v0.5.1"}, {chart: "strict:0.6"}, {chart: "strict:1.1.0+build.7", more: "1.1.0_build.7"}, {chart: "strict:1.1.0_build.7", more: "1.1.0_build.7"},
		{chart: "strict:1.0.0", version: "1.0.0"}, {chart: "strict:1.0.0", version: "1.1.0"}, {chart: "strict:1.0.0", version: "1.x"}, {chart: "strict:7"},
		{chart: "strict" + at}, {chart: "strict" + at, version: "1.0.0"}, {chart: "strict" + at, version: "1.1.0"}, {chart: "strict" + at, version: "8.8.8"},
		{chart: "vees"}, {chart: "vees", version: "v1.18.2"}, {chart: "vees", version: "1.18.2", more: "v1.18.2"}, {chart: "vees", version: "1.x"}, {chart: "vees:v1.17.0"},
		{chart: "pre"}, {chart: "pre", version: "*-0"}, {chart: "pre", version: ">=1.0.0-0"}, {chart: "pre", version: "1.0.0-alpha"}, {chart: "pre", version: "1.0.0"},
		{chart: "metadata"}, {chart: "metadata", version: "1.0.0+a"}, {chart: "metadata", version: "1.0.0"}, {chart: "metadata", version: "1.0.x"},
		{chart: "other"}, {chart: "other", version: "main"}, {chart: "other:main", more: "main"}, {chart: "gone"}, {chart: "gone", version: "1.0.0"}, {chart: "gone", version: "1.x"},
	} {
		ref := "oci://" + reg.Host() + "/charts/" + tt.chart
		want := judged(t, ref, tt.version)
		if want == "" && tt.more != "" {
			repo, _, _ := strings.Cut(tt.chart, ":")
			want = "charts/" + repo + " " + tt.more
		}
		a, err := Load(t.Context(), c, ChartSpec{Ref: ref, Version: tt.version})
		got := ""
		if err == nil {
			got = a.Chart.AppVersion()
		}
		if got != want {
			t.Errorf("%s --version %q: %q, helm takes %q: %v", tt.chart, tt.version, got, want, err)
		}
		if err != nil && fault.Hint(err) == "" && !strings.Contains(err.Error(), "contradicts") && !strings.Contains(err.Error(), "is another") && !strings.Contains(err.Error(), "neither a version") {
			t.Errorf("%s --version %q: no hint: %v", tt.chart, tt.version, err)
		}
	}
}

// The same versions as a dependency.
func TestDependencyVersionsAsHelm(t *testing.T) {
	reg, c := registryOf(t)
	for _, tag := range strings.Fields("1.0.0 1.10.0 2.0.0-rc.1 0.6 0.6.9 v0.5.1 1.1.0_b") {
		version := map[string]string{"0.6": "0.6.0", "v0.5.1": "0.5.1"}[tag]
		if version == "" {
			version = untag(tag)
		}
		if _, err := reg.PushChart(t.Context(), "charts/leaf:"+tag, archive(t, "leaf", version, "leaf "+tag), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"1.0.0", "0.6", "0.6.9", "v0.5.1", "1.x", "~0.6", ">=2.0.0-0", "1.1.0+b", "*", "9.x", "9.9.9"} {
		t.Run(version, func(t *testing.T) {
			dir := t.TempDir()
			text := fmt.Sprintf("apiVersion: v2\nname: top\nversion: 1.0.0\ndependencies:\n- {name: leaf, version: '%s', repository: 'oci://%s/charts'}\n", version, reg.Host())
			for _, d := range []string{"ours", "helms"} {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, d, "Chart.yaml"), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := helmUpdates(t, filepath.Join(dir, "helms"))
			a, err := Load(t.Context(), c, ChartSpec{Ref: filepath.Join(dir, "ours")})
			got := ""
			if err == nil {
				if len(a.Fetched) != 1 || a.Fetched[0].Parent != "top" {
					t.Fatalf("fetched %+v", a.Fetched)
				}
				got = "leaf " + a.Fetched[0].From[strings.LastIndexByte(a.Fetched[0].From, ':')+1:]
			}
			if got != want {
				t.Errorf("%q, helm fetches %q: %v", got, want, err)
			}
		})
	}
}

// Manifests of charts that tools have written, and registries with manners of their
// own: helm is the judge.
func TestChartManifestsAsHelm(t *testing.T) {
	reg, c := registryOf(t)
	ctx := t.Context()
	data := archive(t, "app", "1.0.0", "app")
	config := []byte(`{"name":"app","version":"1.0.0","apiVersion":"v2"}`)
	const content, legacy, prov = record.HelmChartType, "application/tar+gzip", record.HelmProvenanceType
	layer := func(mediaType string, b []byte) regtest.ArtifactBlob {
		return regtest.ArtifactBlob{MediaType: mediaType, Data: b}
	}
	artifacts := map[string]regtest.Artifact{
		"standard":        {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(content, data)}},
		"prov-first":      {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(prov, []byte("signed")), layer(content, data)}},
		"old-layer":       {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(legacy, data)}},
		"more-layers":     {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer("text/markdown", []byte("# hi")), layer(content, data)}},
		"artifact-type":   {ArtifactType: "application/vnd.example", ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(content, data)}},
		"empty-config":    {ConfigMediaType: record.HelmConfigType, Config: []byte("{}"), Blobs: []regtest.ArtifactBlob{layer(content, data)}},
		"no-layer":        {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer("text/plain", data)}},
		"no-config":       {Blobs: []regtest.ArtifactBlob{layer(content, data)}},
		"image-config":    {ConfigMediaType: ocispec.MediaTypeImageConfig, Config: []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`), Blobs: []regtest.ArtifactBlob{layer(content, data)}},
		"other-artifact":  {ArtifactType: "application/vnd.example", Blobs: []regtest.ArtifactBlob{layer("text/plain", []byte("x"))}},
		"broken-archive":  {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(content, []byte("no archive"))}},
		"truncated-chart": {ConfigMediaType: record.HelmConfigType, Config: config, Blobs: []regtest.ArtifactBlob{layer(content, data[:len(data)/2])}},
	}
	for name, a := range artifacts {
		if _, err := reg.PushArtifact(ctx, "charts/"+name+":1.0.0", a); err != nil {
			t.Fatal(err)
		}
	}
	// The same chart in an index, alone and beside something else, and without a
	// media type in the manifest itself.
	if _, err := reg.PushArtifact(ctx, "charts/index", artifacts["standard"]); err != nil {
		t.Fatal(err)
	}
	chartDesc, raw, err := reg.Manifest(ctx, "charts/standard:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := reg.PushArtifact(ctx, "charts/index", artifacts["other-artifact"])
	if err != nil {
		t.Fatal(err)
	}
	for tag, children := range map[string][]ocispec.Descriptor{"1.0.0": {chartDesc}, "2.0.0": {other, chartDesc}, "3.0.0": {other}} {
		doc, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reg.PushRaw(ctx, "charts/index:"+tag, ocispec.MediaTypeImageIndex, doc); err != nil {
			t.Fatal(err)
		}
	}
	bare := strings.Replace(string(raw), `"mediaType":"`+ocispec.MediaTypeImageManifest+`",`, "", 1)
	if _, err := reg.PushRaw(ctx, "charts/standard:2.0.0", ocispec.MediaTypeImageManifest, []byte(bare)); err != nil {
		t.Fatal(err)
	}

	noList := regtest.Fault{Class: regtest.Tags, Do: regtest.Status(403)}
	for _, tt := range []struct {
		chart  string
		faults []regtest.Fault
		more   bool // taken beyond helm
	}{
		{chart: "standard"}, {chart: "prov-first"}, {chart: "old-layer"}, {chart: "more-layers"}, {chart: "artifact-type"}, {chart: "empty-config"},
		{chart: "no-layer"}, {chart: "no-config"}, {chart: "image-config"}, {chart: "other-artifact"}, {chart: "broken-archive"}, {chart: "truncated-chart"},
		{chart: "index:1.0.0"}, {chart: "index:2.0.0"}, {chart: "index:3.0.0"}, {chart: "standard:2.0.0"},
		{chart: "standard", faults: []regtest.Fault{noList}},
		{chart: "standard", faults: []regtest.Fault{{Method: "HEAD", Do: regtest.Status(405)}}, more: true},
		{chart: "standard", faults: []regtest.Fault{{Method: "HEAD", Do: regtest.Status(403)}}, more: true},
		{chart: "standard", faults: []regtest.Fault{{Class: regtest.Manifest, Do: regtest.Header("Docker-Content-Digest", "")}}},
		{chart: "standard", faults: []regtest.Fault{{Class: regtest.Manifest, Do: regtest.Header("Content-Type", "application/vnd.oci.image.manifest.v1+json; charset=utf-8")}}},
		{chart: "standard", faults: []regtest.Fault{{Method: "GET", Class: regtest.Blob, Do: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
		}}}},
	} {
		ref, version := "oci://"+reg.Host()+"/charts/"+tt.chart, "1.0.0"
		if strings.Contains(tt.chart, ":") {
			version = ""
		}
		reg.ClearFaults()
		for _, f := range tt.faults {
			reg.Inject(f)
		}
		want := judged(t, ref, version)
		a, err := Load(t.Context(), c, ChartSpec{Ref: ref, Version: version})
		taken := err == nil && a.Chart.AppVersion() == "app"
		if taken != (want != "" || tt.more) {
			t.Errorf("%s: taken %v, by helm %v: %v", tt.chart, taken, want != "", err)
		}
	}
}
