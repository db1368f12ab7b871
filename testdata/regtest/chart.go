package regtest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"sigs.k8s.io/yaml"
)

// Media types of a chart in a registry: https://helm.sh/docs/topics/registries/
const (
	ChartConfig  = "application/vnd.cncf.helm.config.v1+json"
	ChartContent = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	ChartProv    = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// ChartArchive packs files (path inside the chart → content) as a .tgz whose one
// folder is named name. Equal files give equal bytes.
func ChartArchive(name string, files map[string]string) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		hdr := &tar.Header{Name: path.Join(name, file), Size: int64(len(files[file])), Mode: 0o644, ModTime: Epoch}
		if err := tw.WriteHeader(hdr); err != nil {
			return nil, fmt.Errorf("regtest: pack %s: %w", file, err)
		}
		if _, err := io.WriteString(tw, files[file]); err != nil {
			return nil, fmt.Errorf("regtest: pack %s: %w", file, err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return nil, fmt.Errorf("regtest: pack %s: %w", name, err)
	}
	return buf.Bytes(), nil
}

// chartMetadata returns the Chart.yaml of a chart archive as JSON and as a map.
func chartMetadata(archive []byte) ([]byte, map[string]any, error) {
	zr, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, nil, fmt.Errorf("regtest: chart: %w", err)
	}
	for tr := tar.NewReader(zr); ; {
		hdr, err := tr.Next()
		if err != nil {
			return nil, nil, fmt.Errorf("regtest: chart without Chart.yaml: %w", err)
		}
		if _, file, _ := strings.Cut(hdr.Name, "/"); file != "Chart.yaml" {
			continue
		}
		raw, err := io.ReadAll(tr)
		if err != nil {
			return nil, nil, fmt.Errorf("regtest: Chart.yaml: %w", err)
		}
		doc, err := yaml.YAMLToJSON(raw)
		if err != nil {
			return nil, nil, fmt.Errorf("regtest: Chart.yaml: %w", err)
		}
		var m map[string]any
		return doc, m, json.Unmarshal(doc, &m)
	}
}

// PushChart pushes a chart archive, and its provenance file unless empty, as
// "repository:tag", in the form that helm push uses.
func (r *Registry) PushChart(ctx context.Context, ref string, archive, prov []byte) (ocispec.Descriptor, error) {
	config, meta, err := chartMetadata(archive)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	a := Artifact{
		ConfigMediaType: ChartConfig, Config: config,
		Blobs: []ArtifactBlob{{MediaType: ChartContent, Data: archive}},
		Annotations: map[string]string{
			ocispec.AnnotationTitle:   fmt.Sprint(meta["name"]),
			ocispec.AnnotationVersion: fmt.Sprint(meta["version"]),
		},
	}
	if len(prov) > 0 {
		a.Blobs = append(a.Blobs, ArtifactBlob{MediaType: ChartProv, Data: prov})
	}
	return r.PushArtifact(ctx, ref, a)
}

// StartCharts runs an HTTP chart repository (index.yaml and archives) with the
// given charts. Of opts, Addr, TLS, HTTP2, Username, Password and Wrap apply.
// Pass its URL to --repo.
func StartCharts(opts Options, archives ...[]byte) (*Registry, error) {
	files := map[string][]byte{}
	entries := map[string][]any{}
	for _, archive := range archives {
		_, meta, err := chartMetadata(archive)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(meta["name"])
		file := fmt.Sprintf("%s-%v.tgz", name, meta["version"])
		meta["urls"] = []string{file}
		meta["digest"] = digest.FromBytes(archive).Encoded()
		meta["created"] = Epoch
		entries[name] = append(entries[name], meta)
		files["/"+file] = archive
	}
	index, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "entries": entries, "generated": Epoch})
	if err != nil {
		return nil, fmt.Errorf("regtest: chart index: %w", err)
	}
	files["/index.yaml"] = index
	r := &Registry{opts: opts}
	return r.start(func() (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			user, password, _ := req.BasicAuth()
			if opts.Username != "" && (user != opts.Username || password != opts.Password) {
				w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
				http.Error(w, "unauthorized", http.StatusUnauthorized)
				return
			}
			data, ok := files[req.URL.Path]
			if !ok {
				http.NotFound(w, req)
				return
			}
			_, _ = w.Write(data)
		}), nil
	})
}
