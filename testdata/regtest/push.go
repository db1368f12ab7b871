package regtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Artifact is an OCI artifact: a manifest with a config and blobs of any type.
type Artifact struct {
	ArtifactType    string
	ConfigMediaType string // empty: application/vnd.oci.empty.v1+json, content {}
	Config          []byte
	Blobs           []ArtifactBlob
	Annotations     map[string]string
	Subject         *ocispec.Descriptor // what it refers to (a referrer)
}

// ArtifactBlob is one layer of an artifact.
type ArtifactBlob struct {
	MediaType   string
	Data        []byte
	Annotations map[string]string
}

// Wasm is an artifact with one WebAssembly component, as wasm-oci describes it.
func Wasm(component []byte) Artifact {
	return Artifact{
		ConfigMediaType: "application/vnd.wasm.config.v0+json",
		Config:          []byte(`{"architecture":"wasm","os":"wasip2","layerDigests":[]}`),
		Blobs:           []ArtifactBlob{{MediaType: "application/wasm", Data: component}},
	}
}

// PushArtifact pushes an artifact as "repository:tag", or by digest alone as
// "repository", and returns the descriptor of its manifest.
func (r *Registry) PushArtifact(ctx context.Context, ref string, a Artifact) (ocispec.Descriptor, error) {
	repo, tag := splitRef(ref)
	return r.pushArtifact(ctx, repo, tag, a)
}

func (r *Registry) pushArtifact(ctx context.Context, repo, tag string, a Artifact) (ocispec.Descriptor, error) {
	if a.ConfigMediaType == "" {
		a.ConfigMediaType, a.Config = ocispec.MediaTypeEmptyJSON, []byte("{}")
	}
	config := dataBlob(a.ConfigMediaType, a.Config)
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: a.ArtifactType, Config: config.desc, Layers: []ocispec.Descriptor{},
		Annotations: a.Annotations, Subject: a.Subject,
	}
	blobs := []blob{config}
	for _, l := range a.Blobs {
		b := dataBlob(l.MediaType, l.Data)
		b.desc.Annotations = l.Annotations
		m.Layers = append(m.Layers, b.desc)
		blobs = append(blobs, b)
	}
	return r.pushAll(ctx, repo, tag, m, blobs)
}

// pushAll pushes blobs, and then the manifest of them.
func (r *Registry) pushAll(ctx context.Context, repo, tag string, m ocispec.Manifest, blobs []blob) (ocispec.Descriptor, error) {
	for _, b := range blobs {
		if err := r.pushBlob(ctx, repo, b); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("regtest: %w", err)
	}
	b := dataBlob(m.MediaType, raw)
	return b.desc, r.pushManifest(ctx, repo, tag, b)
}

// PushRaw pushes manifest bytes as they are, by tag ("repository:tag") or, as
// "repository", by digest. What they name has to be there.
func (r *Registry) PushRaw(ctx context.Context, ref, mediaType string, manifest []byte) (ocispec.Descriptor, error) {
	repo, tag := splitRef(ref)
	b := dataBlob(mediaType, manifest)
	return b.desc, r.pushManifest(ctx, repo, tag, b)
}

// PushBlob pushes one blob that no manifest has to name.
func (r *Registry) PushBlob(ctx context.Context, repo string, data []byte) (ocispec.Descriptor, error) {
	b := dataBlob("application/octet-stream", data)
	return b.desc, r.pushBlob(ctx, repo, b)
}

// Manifest reads a manifest by "repository:tag" or "repository@digest".
func (r *Registry) Manifest(ctx context.Context, ref string) (ocispec.Descriptor, []byte, error) {
	repo, tag := splitRef(ref)
	req, err := r.request(ctx, http.MethodGet, repo, "manifests/"+tag)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	req.Header.Set("Accept", strings.Join([]string{
		ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, DockerManifest, DockerIndex,
	}, ", "))
	resp, body, err := r.do(req, http.StatusOK)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return ocispec.Descriptor{
		MediaType: resp.Header.Get("Content-Type"), Digest: digest.FromBytes(body), Size: int64(len(body)),
	}, body, nil
}

// Blob reads a blob.
func (r *Registry) Blob(ctx context.Context, repo string, d digest.Digest) ([]byte, error) {
	req, err := r.request(ctx, http.MethodGet, repo, "blobs/"+d.String())
	if err != nil {
		return nil, err
	}
	_, body, err := r.do(req, http.StatusOK)
	return body, err
}

// HasBlob reports whether a repository has a blob.
func (r *Registry) HasBlob(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	req, err := r.request(ctx, http.MethodHead, repo, "blobs/"+d.String())
	if err != nil {
		return false, err
	}
	resp, _, err := r.do(req, http.StatusOK, http.StatusNotFound)
	return err == nil && resp.StatusCode == http.StatusOK, err
}

func (r *Registry) pushBlob(ctx context.Context, repo string, b blob) error {
	if has, err := r.HasBlob(ctx, repo, b.desc.Digest); err != nil || has {
		return err
	}
	req, err := r.request(ctx, http.MethodPost, repo, "blobs/uploads/")
	if err != nil {
		return err
	}
	resp, _, err := r.do(req, http.StatusAccepted)
	if err != nil {
		return err
	}
	location, err := req.URL.Parse(resp.Header.Get("Location"))
	if err != nil {
		return fmt.Errorf("regtest: upload location: %w", err)
	}
	q := location.Query()
	q.Set("digest", b.desc.Digest.String())
	location.RawQuery = q.Encode()
	body := b.open()
	defer body.Close()
	req, err = http.NewRequestWithContext(ctx, http.MethodPut, location.String(), body)
	if err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	req.ContentLength = b.desc.Size
	req.Header.Set("Content-Type", "application/octet-stream")
	if err := r.authorize(req, repo); err != nil {
		return err
	}
	_, _, err = r.do(req, http.StatusCreated)
	return err
}

func (r *Registry) pushManifest(ctx context.Context, repo, tag string, b blob) error {
	if tag == "" {
		tag = b.desc.Digest.String()
	}
	req, err := r.request(ctx, http.MethodPut, repo, "manifests/"+tag)
	if err != nil {
		return err
	}
	req.Body = b.open()
	req.ContentLength = b.desc.Size
	req.Header.Set("Content-Type", b.desc.MediaType)
	_, _, err = r.do(req, http.StatusCreated)
	return err
}

func (r *Registry) request(ctx context.Context, method, repo, path string) (*http.Request, error) {
	u := url.URL{Scheme: r.scheme, Host: r.host, Path: "/v2/" + repo + "/" + path}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("regtest: %w", err)
	}
	return req, r.authorize(req, repo)
}

// do sends a request straight to the registry, past log and faults where it runs
// in this process, and demands one of the wanted statuses.
func (r *Registry) do(req *http.Request, want ...int) (*http.Response, []byte, error) {
	var (
		resp *http.Response
		body []byte
		err  error
	)
	if r.direct != nil {
		resp, body = r.ask(req)
	} else {
		req.Header.Set(ownHeader, "1")
		if resp, err = r.client.Do(req); err != nil {
			return nil, nil, fmt.Errorf("regtest: %w", err)
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err != nil {
			return nil, nil, fmt.Errorf("regtest: %s %s: %w", req.Method, req.URL.Path, err)
		}
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, body, nil
		}
	}
	return nil, nil, fmt.Errorf("regtest: %s %s: status %d: %.300s", req.Method, req.URL.Path, resp.StatusCode, body)
}

// ask calls the registry without a network.
func (r *Registry) ask(req *http.Request) (*http.Response, []byte) {
	req.Host = r.host
	req.RequestURI = req.URL.RequestURI()
	if req.Body == nil {
		req.Body = http.NoBody
	}
	a := &answer{header: make(http.Header)}
	r.direct.ServeHTTP(a, req)
	a.WriteHeader(http.StatusOK)
	return &http.Response{StatusCode: a.status, Header: a.header}, a.body
}

// An answer is what a registry says. Its body is made as large as was announced, not
// larger and larger: new memory takes longer than all else here.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
		if n, err := strconv.Atoi(a.header.Get("Content-Length")); err == nil {
			a.body = make([]byte, 0, n)
		}
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, b...)
	return len(b), nil
}

// splitRef splits "repository:tag" or "repository@digest"; either part after the
// repository may be missing.
func splitRef(ref string) (repo, tag string) {
	if repo, d, ok := strings.Cut(ref, "@"); ok {
		return repo, d
	}
	i := strings.LastIndexByte(ref, ':')
	if i < 0 {
		return ref, ""
	}
	return ref[:i], ref[i+1:]
}

// Referrers reads the answer of the referrers API.
func (r *Registry) Referrers(ctx context.Context, repo string, d digest.Digest) ([]byte, error) {
	req, err := r.request(ctx, http.MethodGet, repo, "referrers/"+d.String())
	if err != nil {
		return nil, err
	}
	_, body, err := r.do(req, http.StatusOK)
	return body, err
}
